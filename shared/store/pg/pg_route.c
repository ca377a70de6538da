/* SPDX-License-Identifier: Apache-2.0 */
/* See pg_route.h. */
#include "shared/store/pg/pg_route.h"

#include "shared/base/xalloc.h"

#include <arpa/inet.h>
#include <assert.h>
#include <bsd/string.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Where Debian and Fedora keep the CAs that the system trusts: libpq before 16 knows no word for
 * those. */
static const char *const system_cas[] = {
    "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"};

void
pg_route_init(struct pg_route *r, const struct uri *uri, const struct tls_options *tls)
{
	assert(uri->scheme == URI_PG);
	*r = (struct pg_route){0};
	uri_copy(&r->uri, uri);
	tls_options_copy(&r->tls, tls);
}

static void
forget_addresses(struct pg_route *r)
{
	if (r->list != NULL)
		freeaddrinfo(r->list);
	r->list = r->address = NULL;
	r->numeric[0] = '\0';
}

void
pg_route_finish(struct pg_route *r)
{
	forget_addresses(r);
	uri_finish(&r->uri);
	tls_options_finish(&r->tls);
}

void
pg_route_set_login(struct pg_route *r, const struct uri *uri)
{
	free(r->uri.user);
	if (r->uri.password != NULL)
		explicit_bzero(r->uri.password, strlen(r->uri.password));
	free(r->uri.password);
	r->uri.user = xstrdup_null(uri->user);
	r->uri.password = xstrdup_null(uri->password);
}

void
pg_route_begin(struct pg_route *r)
{
	forget_addresses(r);
	r->tried = 1;
}

const char *
pg_route_host(const struct pg_route *r)
{
	return r->place == 0 ? r->uri.host : r->uri.others[r->place - 1].host;
}

uint16_t
pg_route_port(const struct pg_route *r)
{
	return r->place == 0 ? r->uri.port : r->uri.others[r->place - 1].port;
}

bool
pg_route_is_socket(const struct pg_route *r)
{
	const char *host = pg_route_host(r);

	return host == NULL || host[0] == '/';
}

static void
write_numeric(struct pg_route *r)
{
	if (getnameinfo(r->address->ai_addr, r->address->ai_addrlen, r->numeric, sizeof(r->numeric),
		NULL, 0, NI_NUMERICHOST) != 0)
		r->numeric[0] = '\0';
}

void
pg_route_set_addresses(struct pg_route *r, struct addrinfo *list)
{
	assert(list != NULL);
	forget_addresses(r);
	r->list = r->address = list;
	write_numeric(r);
}

bool
pg_route_next_address(struct pg_route *r)
{
	if (r->address == NULL || r->address->ai_next == NULL)
		return false;
	r->address = r->address->ai_next;
	write_numeric(r);
	return true;
}

bool
pg_route_next_place(struct pg_route *r)
{
	forget_addresses(r);
	r->place = (r->place + 1) % (r->uri.n_others + 1);
	return r->tried++ <= r->uri.n_others;
}

static const char *
setting(const struct pg_route *r, const char *key)
{
	for (size_t i = 0; i < r->uri.n_settings; i++)
		if (strcmp(r->uri.settings[i].key, key) == 0)
			return r->uri.settings[i].value;
	return NULL;
}

bool
pg_route_wants_writes(const struct pg_route *r)
{
	const char *wanted = setting(r, "target_session_attrs");

	return wanted != NULL ? strcmp(wanted, "read-write") == 0 : r->uri.n_others > 0;
}

static bool
is_this_machine(const struct addrinfo *a)
{
	if (a->ai_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)a->ai_addr;

		return (ntohl(in->sin_addr.s_addr) >> 24) == IN_LOOPBACKNET;
	}
	return a->ai_family == AF_INET6 &&
	       IN6_IS_ADDR_LOOPBACK(
		   &((const struct sockaddr_in6 *)(const void *)a->ai_addr)->sin6_addr);
}

static void
add(struct pg_params *p, const char *key, const char *value)
{
	if (value == NULL)
		return;
	assert(p->n + 1 < PG_PARAMS_SIZE); /* the last is NULL */
	p->keys[p->n] = key;
	p->values[p->n++] = value;
}

static const char *
or_else(const char *value, const char *other)
{
	return value != NULL ? value : other;
}

static const char *
system_ca(void)
{
	for (size_t i = 0; i < sizeof(system_cas) / sizeof(system_cas[0]); i++)
		if (access(system_cas[i], R_OK) == 0)
			return system_cas[i];
	return NULL;
}

static void
add_tls(const struct pg_route *r, struct pg_params *p)
{
	const char *mode = setting(r, "sslmode");
	const char *ca = or_else(setting(r, "sslrootcert"), r->tls.ca_file);
	const char *cert = or_else(setting(r, "sslcert"), r->tls.cert_file);

	if (mode == NULL)
		mode = is_this_machine(r->address) ? "prefer" : "verify-full";
	add(p, "sslmode", mode);
	if (ca == NULL && strncmp(mode, "verify-", 7) == 0)
		ca = system_ca();
	add(p, "sslrootcert", ca);
	add(p, "sslcert", cert);
	add(p, "sslkey",
	    cert == NULL ? NULL : or_else(setting(r, "sslkey"), or_else(r->tls.key_file, cert)));
	add(p, "ssl_min_protocol_version", "TLSv1.2");
}

void
pg_route_params(const struct pg_route *r, const char *program, struct pg_params *p)
{
	*p = (struct pg_params){0};
	snprintf(p->port, sizeof(p->port), "%u", (unsigned int)pg_route_port(r));
	add(p, "host", pg_route_host(r));
	add(p, "port", p->port);
	add(p, "dbname", r->uri.path);
	add(p, "user", r->uri.user);
	add(p, "password", r->uri.password);
	add(p, "application_name", program);
	add(p, "client_encoding", "UTF8");
	add(p, "gssencmode", "disable"); /* asks a Kerberos server, blocking */
	if (!pg_route_is_socket(r)) {
		add(p, "hostaddr", r->numeric);
		add(p, "keepalives_idle", "30");
		add(p, "keepalives_interval", "10");
		add(p, "keepalives_count", "3");
		add_tls(r, p);
	}
}

const char *
pg_route_where(const struct pg_route *r, const char *user, char *out, size_t size)
{
	const char *host = pg_route_host(r);
	struct uri one = {
	    .scheme = URI_PG,
	    .user = r->uri.user == NULL ? xstrdup_null(user) : xstrdup(r->uri.user),
	    .host = xstrdup_null(host),
	    .port = pg_route_port(r),
	    .path = xstrdup_null(r->uri.path),
	};

	uri_redacted(&one, out, size);
	uri_finish(&one);
	if (r->numeric[0] != '\0' && host != NULL && strcmp(host, r->numeric) != 0) {
		strlcat(out, " (", size);
		strlcat(out, r->numeric, size);
		strlcat(out, ")", size);
	}
	return out;
}
