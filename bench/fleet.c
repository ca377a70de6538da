/* SPDX-License-Identifier: Apache-2.0 */
/* See fleet.h. */
#include "bench/fleet.h"

#include "shared/base/buf.h"
#include "shared/base/log.h"
#include "shared/base/trouble.h"
#include "shared/base/xalloc.h"
#include "shared/config/plugin.h"
#include "shared/wire/wire.h"

#include <bsd/string.h>
#include <inttypes.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX  (256 * 1024)
#define MINUTE_MS 60000

/* ---- drawing ---- */

/* The finisher of splitmix64 (Steele, Lea, Flood 2014) over FNV-1a: one number for each question
 * that is asked about a host, the same each time. */
static uint64_t
draw(const struct fleet *f, uint32_t host, const char *question)
{
	uint64_t z = UINT64_C(0xcbf29ce484222325) ^ f->seed;

	for (const char *c = question; *c != '\0'; c++)
		z = (z ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
	z += (uint64_t)(host + 1) * UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static unsigned int
draw_below(const struct fleet *f, uint32_t host, const char *question, unsigned int n)
{
	return (unsigned int)(draw(f, host, question) % n);
}

/* ---- who there is ---- */

static const struct role {
	const char *name;
	unsigned int share; /* of ten hosts; together 10 */
	const char *packages[3];
	const char *service;
	unsigned int port;
} roles[] = {
    {"web", 4, {"nginx", "php8.2-fpm"}, "nginx", 80},
    {"app", 3, {"openjdk-17-jre-headless", "haproxy"}, "haproxy", 8080},
    {"db", 1, {"postgresql-15", "pgbouncer"}, "postgresql", 5432},
    {"cache", 1, {"redis-server", "memcached"}, "redis-server", 6379},
    {"mon", 1, {"prometheus", "grafana-agent"}, "prometheus", 9090},
};
#define ROLES (sizeof(roles) / sizeof(roles[0]))
#define TEN   10

/* Ten hosts in a row are of the same roles as any other ten. */
static const struct role *
role_of(uint32_t host, uint32_t *number)
{
	unsigned int place = host % TEN;

	for (size_t i = 0; i < ROLES; i++) {
		if (place < roles[i].share) {
			*number = host / TEN * roles[i].share + place + 1;
			return &roles[i];
		}
		place -= roles[i].share;
	}
	abort(); /* the shares are ten together */
}

void
fleet_host(const struct fleet *f, uint32_t host, char out[FLEET_NAME_SIZE])
{
	uint32_t number;
	const struct role *role = role_of(host, &number);

	snprintf(out, FLEET_NAME_SIZE, "%s%02" PRIu32, role->name, number);
}

/* Each trouble has so many of a hundred hosts; the seed says which. With the default seed the first
 * ten are well: whoever starts with a few hosts shall see what a fleet is like first. */
enum fleet_trouble
fleet_trouble(const struct fleet *f, uint32_t host)
{
	unsigned int place = (unsigned int)((host * UINT64_C(37) + f->seed * 11 + 27) % 100);

	if (place < f->failing)
		return FLEET_FAILING;
	if (place < f->failing + f->hanging)
		return FLEET_HANGING;
	if (place < f->failing + f->hanging + f->silent)
		return FLEET_SILENT;
	return FLEET_WELL;
}

struct release {
	const char *number, *codename, *version, *kernel;
};
static const struct release releases[] = {
    {"11", "bullseye", "11 (bullseye)", "5.10.0-32-amd64"},
    {"12", "bookworm", "12 (bookworm)", "6.1.0-28-amd64"},
    {"13", "trixie", "13 (trixie)", "6.12.38+deb13-amd64"},
};
#define RELEASES (sizeof(releases) / sizeof(releases[0]))

static unsigned int
release_of(const struct fleet *f, uint32_t host)
{
	unsigned int place = draw_below(f, host, "release", 10);

	return place < 1 ? 0 : place < 8 ? 1 : 2;
}

/* ---- packages ---- */

struct package {
	const char *name;
	const char *versions[RELEASES]; /* NULL: not in that release */
	bool patched;                   /* has security updates */
};

/* clang-format off */
static const struct package packages[] = {
	{"adduser", {"3.118", "3.134", "3.152"}, false},
	{"apt", {"2.2.4", "2.6.1", "3.0.3"}, false},
	{"base-files", {"11.1", "12.4", "13.8"}, true},
	{"bash", {"5.1-2", "5.2.15-2", "5.2.37-2"}, false},
	{"bind9-host", {"1:9.16.50-1", "1:9.18.28-1", "1:9.20.11-4"}, true},
	{"ca-certificates", {"20210119", "20230311", "20250419"}, false},
	{"coreutils", {"8.32-4", "9.1-1", "9.7-3"}, false},
	{"cron", {"3.0pl1-137", "3.0pl1-162", "3.0pl1-197"}, false},
	{"curl", {"7.74.0-1.3", "7.88.1-10", "8.14.1-2"}, true},
	{"dbus", {"1.12.28-0", "1.14.10-1", "1.16.2-2"}, false},
	{"dpkg", {"1.20.13", "1.21.22", "1.22.21"}, false},
	{"gnupg", {"2.2.27-2", "2.2.40-1.1", "2.4.7-21"}, true},
	{"grep", {"3.6-1", "3.8-5", "3.11-4"}, false},
	{"iproute2", {"5.10.0-4", "6.1.0-3", "6.15.0-1"}, false},
	{"libc6", {"2.31-13", "2.36-9", "2.41-12"}, true},
	{"libcurl4", {"7.74.0-1.3", "7.88.1-10", NULL}, true},
	{"libcurl4t64", {NULL, NULL, "8.14.1-2"}, true},
	{"libexpat1", {"2.2.10-2", "2.5.0-1", "2.7.1-2"}, true},
	{"libssl1.1", {"1.1.1w-0", NULL, NULL}, true},
	{"libssl3", {NULL, "3.0.15-1", NULL}, true},
	{"libssl3t64", {NULL, NULL, "3.5.1-1"}, true},
	{"libsqlite3-0", {"3.34.1-3", "3.40.1-2", "3.46.1-7"}, true},
	{"libsystemd0", {"247.3-7", "252.31-1", "257.7-1"}, true},
	{"libxml2", {"2.9.10", "2.9.14", "2.12.7"}, true},
	{"linux-image-amd64", {"5.10.226-1", "6.1.119-1", "6.12.38-1"}, true},
	{"logrotate", {"3.18.0-2", "3.21.0-1", "3.22.0-1"}, false},
	{"ntpsec", {"1.2.0", "1.2.2", "1.2.3"}, false},
	{"openssh-server", {"1:8.4p1-5", "1:9.2p1-2", "1:10.0p1-7"}, true},
	{"openssl", {"1.1.1w-0", "3.0.15-1", "3.5.1-1"}, true},
	{"perl-base", {"5.32.1-4", "5.36.0-7", "5.40.1-6"}, true},
	{"procps", {"2:3.3.17-5", "2:4.0.2-3", "2:4.0.4-9"}, false},
	{"python3", {"3.9.2-3", "3.11.2-1", "3.13.5-1"}, false},
	{"rsyslog", {"8.2102.0-2", "8.2302.0-1", "8.2504.0-1"}, true},
	{"sed", {"4.7-1", "4.9-1", "4.9-2"}, false},
	{"sudo", {"1.9.5p2-3", "1.9.13p3-1", "1.9.16p2-3"}, true},
	{"systemd", {"247.3-7", "252.31-1", "257.7-1"}, true},
	{"tar", {"1.34", "1.34", "1.35"}, false},
	{"tzdata", {"2024b-0", "2024b-0", "2025b-4"}, true},
	{"util-linux", {"2.36.1-8", "2.38.1-5", "2.41-5"}, true},
	{"vim-tiny", {"2:8.2.2434-3", "2:9.0.1378-2", "2:9.1.1230-2"}, true},
	{"zlib1g", {"1:1.2.11", "1:1.2.13", "1:1.3.1"}, false},
};
/* clang-format on */

/* The update of a package that a host has: each comes out some minutes after the one before, and
 * each host takes it up in its own time. */
static unsigned int
update_of(const struct fleet *f, uint32_t host, const char *package, int64_t wallclock_ms)
{
	unsigned int first = 1 + draw_below(f, host, package, 2);
	int64_t between = (int64_t)(7 + draw_below(f, 0, package, 60)) * MINUTE_MS;
	int64_t late = (int64_t)draw_below(f, host, "late", 15) * MINUTE_MS;

	if (wallclock_ms < f->began + late)
		return first;
	return first + (unsigned int)((wallclock_ms - f->began - late) / between);
}

static bool
print_package(const struct fleet *f, uint32_t host, const struct package *p, int64_t wallclock_ms,
    struct buf *out)
{
	unsigned int release = release_of(f, host);

	if (p->versions[release] == NULL)
		return true;
	if (!p->patched)
		return buf_printf(out, "%s %s amd64 ii \n", p->name, p->versions[release]);
	return buf_printf(out, "%s %s+deb%su%u amd64 ii \n", p->name, p->versions[release],
	    releases[release].number, update_of(f, host, p->name, wallclock_ms));
}

static bool
print_packages(const struct fleet *f, uint32_t host, int64_t wallclock_ms, struct buf *out)
{
	uint32_t number;
	const struct role *role = role_of(host, &number);
	bool ok = true;

	for (size_t i = 0; i < sizeof(packages) / sizeof(packages[0]); i++)
		ok = ok && print_package(f, host, &packages[i], wallclock_ms, out);
	for (size_t i = 0; i < 3 && role->packages[i] != NULL; i++)
		ok = ok && buf_printf(out, "%s 1.%u.%u-1+deb%su%u amd64 ii \n", role->packages[i],
			       draw_below(f, 0, role->packages[i], 30),
			       draw_below(f, host, role->packages[i], 3),
			       releases[release_of(f, host)].number,
			       update_of(f, host, role->packages[i], wallclock_ms));
	return ok;
}

/* ---- the other plugins ---- */

static bool
print_os_release(const struct fleet *f, uint32_t host, int64_t wallclock_ms, struct buf *out)
{
	const struct release *r = &releases[release_of(f, host)];

	return buf_printf(out,
	    "PRETTY_NAME=\"Debian GNU/Linux %s\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"%s\"\n"
	    "VERSION=\"%s\"\nVERSION_CODENAME=%s\nID=debian\nHOME_URL=\"https://www.debian.org/\"\n",
	    r->version, r->number, r->version, r->codename);
}

struct hardware {
	unsigned int cores, memory_gib, disk_gib;
};

static struct hardware
hardware_of(const struct fleet *f, uint32_t host)
{
	unsigned int size = draw_below(f, host, "size", 4);

	return (struct hardware){
	    .cores = 2U << size,
	    .memory_gib = 4U << size,
	    .disk_gib = 40U << draw_below(f, host, "disk", 4),
	};
}

/* 10.20.x.y: by place, so that no two have the same. */
static void
address_of(uint32_t host, char out[32])
{
	snprintf(out, 32, "10.20.%" PRIu32 ".%" PRIu32, host / 250 % 250, host % 250 + 2);
}

static bool
print_facter(const struct fleet *f, uint32_t host, int64_t wallclock_ms, struct buf *out)
{
	const struct release *r = &releases[release_of(f, host)];
	struct hardware h = hardware_of(f, host);
	int64_t up_s =
	    (wallclock_ms - f->began) / 1000 + 86400 * (1 + draw_below(f, host, "up", 300));
	char name[FLEET_NAME_SIZE], address[32];

	fleet_host(f, host, name);
	address_of(host, address);
	return buf_printf(out,
	    "---\narchitecture: amd64\nhostname: %s\nkernel: Linux\nkernelrelease: %s\n"
	    "is_virtual: true\nvirtual: kvm\ntimezone: UTC\n"
	    "os:\n  family: Debian\n  name: Debian\n  architecture: amd64\n  distro:\n"
	    "    codename: %s\n    id: Debian\n"
	    "  release:\n    full: '%s.%u'\n    major: '%s'\n"
	    "processors:\n  count: %u\n  physicalcount: 1\n  isa: unknown\n"
	    "memory:\n  system:\n    total: %u.00 GiB\n    total_bytes: %" PRIu64 "\n"
	    "    used_bytes: %" PRIu64 "\n"
	    "networking:\n  hostname: %s\n  ip: %s\n  netmask: 255.255.0.0\n  primary: eth0\n"
	    "load_averages:\n  1m: %u.%02u\n  5m: %u.%02u\n  15m: 0.%02u\n"
	    "system_uptime:\n  days: %" PRId64 "\n  hours: %" PRId64 "\n  seconds: %" PRId64 "\n",
	    name, r->kernel, r->codename, r->number, draw_below(f, host, "point", 12), r->number,
	    h.cores, h.memory_gib, (uint64_t)h.memory_gib << 30,
	    ((uint64_t)h.memory_gib << 29) + (uint64_t)(wallclock_ms % 999983) * 1024, name,
	    address, draw_below(f, host, "load", 3), (unsigned int)(wallclock_ms / 977 % 100),
	    draw_below(f, host, "load", 2), (unsigned int)(wallclock_ms / 4999 % 100),
	    (unsigned int)(wallclock_ms / 14983 % 100), up_s / 86400, up_s / 3600, up_s);
}

static bool
print_disks(const struct fleet *f, uint32_t host, int64_t wallclock_ms, struct buf *out)
{
	uint64_t bytes = (uint64_t)hardware_of(f, host).disk_gib << 30;

	return buf_printf(out,
	    "{\"blockdevices\": [{\"name\":\"vda\", \"kname\":\"vda\", \"type\":\"disk\", "
	    "\"size\":%" PRIu64 ", \"ro\":false, \"rm\":false, \"model\":null, \"fstype\":null, "
	    "\"mountpoints\":[null], \"children\": [{\"name\":\"vda1\", \"kname\":\"vda1\", "
	    "\"type\":\"part\", \"size\":%" PRIu64 ", \"ro\":false, \"rm\":false, "
	    "\"fstype\":\"ext4\", \"uuid\":\"%08x-%04x-4%03x-9%03x-%012" PRIx64
	    "\", \"mountpoints\":[\"/\"]}]}]}\n",
	    bytes, bytes - (1 << 20), (unsigned int)draw(f, host, "uuid1"),
	    draw_below(f, host, "uuid2", 0x10000), draw_below(f, host, "uuid3", 0x1000),
	    draw_below(f, host, "uuid4", 0x1000), draw(f, host, "uuid5") >> 16);
}

static bool
print_network(const struct fleet *f, uint32_t host, int64_t wallclock_ms, struct buf *out)
{
	char address[32];

	address_of(host, address);
	return buf_printf(out,
	    "[{\"ifindex\":1,\"ifname\":\"lo\",\"flags\":[\"LOOPBACK\",\"UP\",\"LOWER_UP\"],"
	    "\"mtu\":65536,\"operstate\":\"UNKNOWN\",\"link_type\":\"loopback\",\"addr_info\":"
	    "[{\"family\":\"inet\",\"local\":\"127.0.0.1\",\"prefixlen\":8,\"scope\":\"host\"}]},"
	    "{\"ifindex\":2,\"ifname\":\"eth0\",\"flags\":[\"BROADCAST\",\"MULTICAST\",\"UP\"],"
	    "\"mtu\":1500,\"operstate\":\"UP\",\"link_type\":\"ether\","
	    "\"address\":\"52:54:00:%02x:%02x:%02x\",\"addr_info\":[{\"family\":\"inet\","
	    "\"local\":\"%s\",\"prefixlen\":16,\"scope\":\"global\",\"label\":\"eth0\"}]}]\n",
	    draw_below(f, host, "mac1", 256), (unsigned int)(host >> 8 & 255),
	    (unsigned int)(host & 255), address);
}

static bool
print_sockets(const struct fleet *f, uint32_t host, int64_t wallclock_ms, struct buf *out)
{
	uint32_t number;
	const struct role *role = role_of(host, &number);

	return buf_printf(out,
	    "udp   UNCONN 0      0      127.0.0.1:323        0.0.0.0:*\n"
	    "tcp   LISTEN 0      128      0.0.0.0:22         0.0.0.0:*    "
	    "users:((\"sshd\",pid=%u,fd=3))\n"
	    "tcp   LISTEN 0      511      0.0.0.0:%-10u 0.0.0.0:*    "
	    "users:((\"%s\",pid=%u,fd=6))\n",
	    600 + draw_below(f, host, "sshd", 300), role->port, role->service,
	    1000 + draw_below(f, host, role->service, 4000));
}

static bool
print_units(const struct fleet *f, uint32_t host, int64_t wallclock_ms, struct buf *out)
{
	static const char *const units[] = {
	    "cron", "dbus", "networking", "rsyslog", "ssh", "systemd-timesyncd", "vogeler-agent"};
	uint32_t number;
	const struct role *role = role_of(host, &number);
	bool ok = buf_append_str(out, "[");

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		ok = ok && buf_printf(out,
			       "{\"unit_file\":\"%s.service\",\"state\":\"enabled\","
			       "\"preset\":\"enabled\"},",
			       units[i]);
	return ok && buf_printf(out,
			 "{\"unit_file\":\"%s.service\",\"state\":\"%s\",\"preset\":\"enabled\"}]"
			 "\n",
			 role->service,
			 draw_below(f, host, "disabled", 20) == 0 ? "disabled" : "enabled");
}

static bool
print_ps(const struct fleet *f, uint32_t host, int64_t wallclock_ms, struct buf *out)
{
	static const char *const idle[] = {"/sbin/init", "/lib/systemd/systemd-journald",
	    "/usr/sbin/cron -f", "/usr/sbin/rsyslogd -n", "sshd: /usr/sbin/sshd -D",
	    "/usr/local/sbin/vogeler-agent run"};
	uint32_t number;
	const struct role *role = role_of(host, &number);
	unsigned int workers = 2 + (unsigned int)(wallclock_ms / 30000 + host) % 5;
	bool ok = buf_append_str(out, "UID          PID    PPID  C STIME TTY          TIME CMD\n");

	for (size_t i = 0; i < sizeof(idle) / sizeof(idle[0]); i++)
		ok = ok &&
		     buf_printf(out, "root     %7zu       1  0 Nov02 ?        00:00:%02zu %s\n",
			 i * 217 + 1, i * 7 % 60, idle[i]);
	for (unsigned int i = 0; i < workers; i++)
		ok = ok && buf_printf(out,
			       "www-data %7u    1108  1 09:%02u ?        00:01:%02u %s: worker\n",
			       2000 + i, i, i * 11 % 60, role->service);
	return ok;
}

static const struct plugin_row {
	const char *name, *alias; /* as in conf/plugins */
	enum wire_format format;
	bool (*print)(const struct fleet *f, uint32_t host, int64_t wallclock_ms, struct buf *out);
} plugins[FLEET_PLUGINS] = {
    {"os-release", "get_os_release", WIRE_OUTPUT, print_os_release},
    {"packages", "get_packages", WIRE_OUTPUT, print_packages},
    {"facter", "get_facts", WIRE_YAML, print_facter},
    {"disks", "get_disks", WIRE_JSON, print_disks},
    {"network", "get_network", WIRE_JSON, print_network},
    {"sockets", "get_sockets", WIRE_OUTPUT, print_sockets},
    {"units", "get_units", WIRE_JSON, print_units},
    {"ps", "get_procs", WIRE_OUTPUT, print_ps},
};

const char *
fleet_plugin(unsigned int i)
{
	return plugins[i].name;
}

/* Finds a plugin that is one of the fleet's. */
static const struct plugin_row *
find_row(const char *name)
{
	size_t i = 0;

	while (strcmp(plugins[i].name, name) != 0)
		i++;
	return &plugins[i];
}

bool
fleet_print(
    const struct fleet *f, uint32_t host, const char *plugin, int64_t wallclock_ms, struct buf *out)
{
	return find_row(plugin)->print(f, host, wallclock_ms, out);
}

/* ---- running ---- */

/* What is in trouble is in trouble with one plugin alone: the others show that the host lives. */
static bool
is_troubled(const struct fleet *f, uint32_t host, enum fleet_trouble trouble, const char *plugin)
{
	return fleet_trouble(f, host) == trouble &&
	       strcmp(plugin, trouble == FLEET_HANGING ? "facter" : "packages") == 0;
}

uint32_t
fleet_delay_ms(const struct fleet *f, uint32_t host, const char *plugin)
{
	if (is_troubled(f, host, FLEET_HANGING, plugin))
		return FLEET_TIMEOUT_MS;
	return 20 + draw_below(f, host, plugin, 400);
}

static void
set_stderr(struct child_event *done, const char *text)
{
	done->length = (uint32_t)strlcpy(done->data, text, sizeof(done->data));
	done->stderr_bytes = done->length;
}

void
fleet_run(const struct fleet *f, uint32_t host, const char *plugin, int64_t wallclock_ms,
    struct child_event *done, struct buf *out)
{
	const struct plugin_row *row = find_row(plugin);

	memset(done, 0, offsetof(struct child_event, data));
	done->kind = CHILD_DONE;
	done->outcome = CHILD_EXITED;
	done->duration_ms = fleet_delay_ms(f, host, row->name);
	done->timeout_ms = FLEET_TIMEOUT_MS;
	if (is_troubled(f, host, FLEET_FAILING, row->name)) {
		done->exit_status = 2;
		set_stderr(done, "dpkg-query: error: parsing file '/var/lib/dpkg/status' near line "
				 "4711: missing 'Version' field\n");
	} else if (is_troubled(f, host, FLEET_HANGING, row->name)) {
		done->outcome = CHILD_TIMEOUT;
		done->exit_status = -1;
		done->signal = SIGTERM;
	} else {
		if (!row->print(f, host, wallclock_ms, out))
			xalloc_fail(0);
		done->success = true;
		done->stdout_bytes = out->len;
	}
}

static void
fleet_on_error(const char *file, unsigned int line, const struct trouble *what, void *arg)
{
	fatal("bench", "a plugin of the fleet: %s", what->what);
}

void
fleet_define(struct plugin_set *set)
{
	struct buf text;

	buf_init(&text, TEXT_MAX);
	for (size_t i = 0; i < FLEET_PLUGINS; i++) {
		const struct plugin_row *row = &plugins[i];

		if (!buf_printf(&text,
			"[%s]\nname = %s\ncommand_alias = %s\ndescription = simulated\n"
			"command = true\nresult_format = %s\n",
			row->name, row->name, row->alias, wire_format_name(row->format)))
			xalloc_fail(0);
	}
	plugin_read_text(set, "fleet", &text, fleet_on_error, NULL);
	buf_finish(&text);
}
