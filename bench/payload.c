/* SPDX-License-Identifier: Apache-2.0 */
/* See payload.h. */
#include "bench/payload.h"

#include "shared/base/buf.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MARKER_KEY "bench"

static const struct {
	const char *name;
	enum wire_format format;
	size_t bytes;
} payloads[PAYLOAD_N] = {
    [PAYLOAD_SMALL] = {"small", WIRE_OUTPUT, 200},
    [PAYLOAD_LINES] = {"lines", WIRE_OUTPUT, 2 * 1024},
    [PAYLOAD_FACTER] = {"facter", WIRE_YAML, 3 * 1024},
    [PAYLOAD_PS] = {"ps", WIRE_OUTPUT, 16 * 1024},
    [PAYLOAD_PACKAGES] = {"packages", WIRE_OUTPUT, 30 * 1024},
    [PAYLOAD_OHAI] = {"ohai", WIRE_JSON, 130 * 1024},
    [PAYLOAD_FACT_1] = {"fact1", WIRE_OUTPUT, 600},
    [PAYLOAD_FACT_2] = {"fact2", WIRE_OUTPUT, 600},
    [PAYLOAD_FACT_3] = {"fact3", WIRE_OUTPUT, 600},
    [PAYLOAD_FACT_4] = {"fact4", WIRE_OUTPUT, 600},
    [PAYLOAD_FACT_5] = {"fact5", WIRE_OUTPUT, 600},
};

static const char *const words[] = {
    "kernel",
    "memory",
    "network",
    "eth0",
    "uptime",
    "release",
    "debian",
    "processor",
    "swap",
    "mount",
    "filesystem",
    "interface",
    "version",
    "python3",
    "openssl",
    "systemd",
    "journal",
    "cron",
    "ssh",
    "nginx",
    "libc6",
    "perl",
    "locale",
    "timezone",
    "virtual",
    "physical",
    "vendor",
    "model",
    "serial",
    "address",
    "netmask",
    "gateway",
};

const char *
payload_name(enum payload p)
{
	return payloads[p].name;
}

bool
payload_parse(const char *text, enum payload *p)
{
	for (int i = 0; i < PAYLOAD_N; i++) {
		if (strcmp(text, payloads[i].name) == 0) {
			*p = (enum payload)i;
			return true;
		}
	}
	return false;
}

enum wire_format
payload_format(enum payload p)
{
	return payloads[p].format;
}

/* splitmix64 (Steele, Lea, Flood 2014): plain, and good enough for text. */
static uint64_t
next(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static uint64_t
state_of(enum payload p, const struct payload_key *key)
{
	uint64_t state = key->seed * 31 + (uint64_t)p;

	for (const char *c = key->host; *c != '\0'; c++)
		state = state * 1099511628211U + (unsigned char)*c;
	state = state * 31 + key->version;
	return next(&state);
}

static const char *
word(uint64_t *state)
{
	return words[next(state) % (sizeof(words) / sizeof(words[0]))];
}

const char *
payload_marker(enum payload p, const struct payload_key *key, char out[PAYLOAD_MARKER_SIZE])
{
	snprintf(out, PAYLOAD_MARKER_SIZE, "%s %s version %" PRIu32, key->host, payload_name(p),
	    key->version);
	return out;
}

static bool
line_of(struct buf *out, enum payload p, uint64_t *s)
{
	uint64_t a = next(s), b = next(s);

	switch (p) {
	case PAYLOAD_PS:
		return buf_printf(out,
		    "%-8s %7u %4.1f %4.1f %8u %7u ?        Ss   %02u:%02u   0:%02u /usr/sbin/%s "
		    "--%s=%s\n",
		    (a & 1) != 0 ? "root" : "www-data", (unsigned int)(a >> 8) % 4000000,
		    (double)(b % 1000) / 10, (double)(b >> 32 & 511) / 10,
		    (unsigned int)(b >> 16) % 10000000, (unsigned int)(a >> 40) % 1000000,
		    (unsigned int)(a >> 3) % 24, (unsigned int)(b >> 7) % 60,
		    (unsigned int)(b >> 13) % 60, word(s), word(s), word(s));
	case PAYLOAD_PACKAGES:
		return buf_printf(out, "lib%s-%s%u %u.%u.%u-%u+deb12u%u\n", word(s), word(s),
		    (unsigned int)a % 10, (unsigned int)(a >> 8) % 10, (unsigned int)b % 30,
		    (unsigned int)(b >> 8) % 20, (unsigned int)(b >> 16) % 9,
		    (unsigned int)(b >> 24) % 9);
	default:
		return buf_printf(
		    out, "%s %s: %s %016" PRIx64 " %s\n", word(s), word(s), word(s), a, word(s));
	}
}

/* Writes what Facter 4 prints: a few levels, numbers, booleans and text. */
static bool
yaml_of(struct buf *out, unsigned int i, uint64_t *s)
{
	uint64_t a = next(s), b = next(s);

	return buf_printf(out,
	    "%s_%u:\n"
	    "  enabled: %s\n"
	    "  %s: \"%" PRIx64 "\"\n"
	    "  capacity: %u.%02u%%\n"
	    "  total_bytes: %" PRIu64 "\n"
	    "  list:\n"
	    "  - %s\n"
	    "  - 10.%u.%u.%u\n",
	    word(s), i, (a & 1) != 0 ? "true" : "false", word(s), b, (unsigned int)(a >> 8) % 100,
	    (unsigned int)(a >> 16) % 100, a >> 24, word(s), (unsigned int)b % 256,
	    (unsigned int)(b >> 8) % 256, (unsigned int)(b >> 16) % 256);
}

static bool
json_of(struct buf *out, unsigned int i, uint64_t *s)
{
	uint64_t a = next(s), b = next(s);

	return buf_printf(out,
	    ",\"%s_%u\":{\"%s\":\"%016" PRIx64 "\",\"size\":%" PRIu64
	    ",\"ok\":%s,\"load\":%u.%u,\"flags\":[\"%s\",\"%s\",\"%s\"],\"%s\":{\"a\":\"10.%u.%u.%u"
	    "\","
	    "\"up\":null}}",
	    word(s), i, word(s), b, a >> 24, (a & 1) != 0 ? "true" : "false",
	    (unsigned int)(a >> 8) % 100, (unsigned int)(a >> 16) % 9 + 1, word(s), word(s),
	    word(s), "net", (unsigned int)b % 256, (unsigned int)(b >> 8) % 256,
	    (unsigned int)(b >> 16) % 256);
}

bool
payload_write(struct buf *out, enum payload p, const struct payload_key *key)
{
	size_t end = out->len + payloads[p].bytes;
	uint64_t s = state_of(p, key);
	char marker[PAYLOAD_MARKER_SIZE];
	unsigned int i = 0;
	bool ok;

	payload_marker(p, key, marker);
	switch (payloads[p].format) {
	case WIRE_YAML:
		ok = buf_printf(out, "---\n" MARKER_KEY ": \"%s\"\n", marker);
		while (ok && out->len < end)
			ok = yaml_of(out, i++, &s);
		return ok;
	case WIRE_JSON:
		ok = buf_printf(out, "{\"" MARKER_KEY "\":\"%s\"", marker);
		while (ok && out->len < end)
			ok = json_of(out, i++, &s);
		return ok && buf_append_str(out, "}\n");
	default:
		ok = buf_printf(out, "%s\n", marker);
		while (ok && out->len < end)
			ok = line_of(out, p, &s);
		return ok;
	}
}

const char *
payload_marker_of(const json_t *value)
{
	if (json_is_array(value))
		return json_string_value(json_array_get(value, 0));
	return json_string_value(json_object_get(value, MARKER_KEY));
}
