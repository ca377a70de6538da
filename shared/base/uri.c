/* SPDX-License-Identifier: Apache-2.0 */
/* See uri.h. libevent splits (evhttp_uri_parse) and decodes; what our schemes mean is decided here.
 * Error sentences name the rule that was broken and quote nothing of the text but a scheme that is
 * known: anything else might be a piece of a password. */
#include "shared/base/uri.h"
#include "shared/base/trouble.h"

#include "shared/base/xalloc.h"
#include <bsd/string.h>
#include <ctype.h>
#include <event2/http.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VHOST_MAX  255 /* AMQP 0-9-1 4.2.5.3: a short string */
#define HOST_BYTES "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._"

struct scheme {
	const char *name;
	uint16_t port;
	const char *form;
};

static const struct scheme schemes[] = {
    [URI_AMQP] = {"amqp", 5672, "amqp://user:password@host:5672/vhost"},
    [URI_AMQPS] = {"amqps", 5671, "amqps://user:password@host:5671/vhost"},
    [URI_COUCH] = {"couch", 5984, "couch://user:password@host:5984/database"},
    [URI_COUCHS] = {"couchs", 6984, "couchs://user:password@host:6984/database"},
    [URI_SQLITE] = {"sqlite", 0, "sqlite:///absolute/path/file.db"},
    [URI_PG] = {"pg", 5432, "pg://user@host:5432/database or pg:///database?host=/run/postgresql"},
    [URI_NULL] = {"null", 0, "null://"},
};
#define N_SCHEMES (sizeof(schemes) / sizeof(schemes[0]))

const char *
uri_scheme_name(enum uri_scheme scheme)
{
	return schemes[scheme].name;
}

static bool complain(struct trouble *why, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Always false, to be returned. */
static bool
complain(struct trouble *why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	trouble_vset(why, TROUBLE_OTHER, NULL, fmt, ap);
	va_end(ap);
	return false;
}

/* Shows how a URI of that scheme is written; always false, as well. */
static bool
show_form(struct trouble *why, enum uri_scheme scheme, const char *more)
{
	trouble_set_cure(why, "write %s%s", schemes[scheme].form, more);
	return false;
}

/* The scheme that text begins with ("amqp://"); *rest is what follows. */
static bool
find_scheme(const char *text, enum uri_scheme *scheme, const char **rest)
{
	for (size_t i = 0; i < N_SCHEMES; i++) {
		size_t len = strlen(schemes[i].name);

		if (strncasecmp(text, schemes[i].name, len) == 0 &&
		    strncmp(text + len, "://", 3) == 0) {
			*scheme = (enum uri_scheme)i;
			*rest = text + len + 3;
			return true;
		}
	}
	return false;
}

/* evhttp_uridecode() takes a '%' that begins no escape as itself, and %00 would cut the string:
 * both are mistakes here. */
static bool
escapes_are_good(const char *s)
{
	for (; *s != '\0'; s++) {
		if (*s != '%')
			continue;
		if (!isxdigit((unsigned char)s[1]) || !isxdigit((unsigned char)s[2]))
			return false;
		if (s[1] == '0' && s[2] == '0')
			return false;
	}
	return true;
}

/* NULL when an escape is bad. */
static char *
decode(const char *s, size_t len)
{
	char *raw = xstrndup(s, len), *out = NULL;

	/* 0: '+' is itself, not a space. */
	if (escapes_are_good(raw))
		out = evhttp_uridecode(raw, 0, NULL);
	free(raw);
	return out;
}

static bool
bad_escape(struct trouble *why)
{
	return complain(why,
	    "in a URI '%%' must be followed by two hex digits other than 00 (a '%%' itself is "
	    "%%25)");
}

static bool
set_userinfo(struct uri *u, const char *userinfo, struct trouble *why)
{
	const char *colon;

	if (userinfo == NULL)
		return true;
	colon = strchr(userinfo, ':');
	u->user = decode(userinfo, colon != NULL ? (size_t)(colon - userinfo) : strlen(userinfo));
	if (u->user == NULL)
		return bad_escape(why);
	if (colon == NULL)
		return true;
	u->password = decode(colon + 1, strlen(colon + 1));
	return u->password != NULL || bad_escape(why);
}

static bool
set_host(struct uri *u, const char *host, struct trouble *why)
{
	size_t len = host != NULL ? strlen(host) : 0;

	if (len == 0) {
		complain(why, "%s:// URI without a host", uri_scheme_name(u->scheme));
		return show_form(why, u->scheme, "");
	}
	if (host[0] == '[')
		u->host = xstrndup(host + 1, len - 2); /* evhttp saw to the ']' */
	else
		u->host = decode(host, len);
	if (u->host == NULL)
		return bad_escape(why);
	/* An escape could put in '@' or ':', which would show as another URI than it is. */
	if (host[0] != '[' && u->host[strspn(u->host, HOST_BYTES)] != '\0')
		return complain(why,
		    "a host in a URI has only letters, digits, '-', '.' and '_', or is an address");
	return true;
}

/* RabbitMQ's URI Specification, save that no path at all and "/" both are the vhost "/" (there: the
 * client's default, and the empty vhost, which nobody has). */
static bool
set_vhost(struct uri *u, const char *path, struct trouble *why)
{
	if (path[0] == '\0' || path[1] == '\0') {
		u->path = xstrdup("/");
		return true;
	}
	u->path = decode(path + 1, strlen(path + 1));
	if (u->path == NULL)
		return bad_escape(why);
	if (strlen(u->path) > VHOST_MAX)
		return complain(why, "a vhost has at most %d bytes", VHOST_MAX);
	return true;
}

/* CouchDB's rule: "must begin with a letter, a-z; lower case letters, digits, _ $ ( ) + - /". */
static bool
database_name_is_good(const char *name)
{
	return name[0] >= 'a' && name[0] <= 'z' &&
	       name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_$()+-/")] == '\0';
}

static bool
set_database(struct uri *u, const char *path, struct trouble *why)
{
	size_t len;

	path += path[0] == '/';
	len = strlen(path);
	if (len > 0 && path[len - 1] == '/')
		len--;
	if (len == 0) {
		u->path = xstrdup("system_records");
		return true;
	}
	if (memchr(path, '/', len) != NULL) {
		complain(why, "%s:// URI with more than a database name after the host",
		    uri_scheme_name(u->scheme));
		return show_form(why, u->scheme, "");
	}
	u->path = decode(path, len);
	if (u->path == NULL)
		return bad_escape(why);
	if (!database_name_is_good(u->path))
		return complain(why,
		    "a CouchDB database name begins with a lower-case letter and has only lower-case "
		    "letters, digits and _$()+-/");
	return true;
}

static bool
set_server_parts(struct uri *u, const struct evhttp_uri *parts, struct trouble *why)
{
	int port = evhttp_uri_get_port(parts);
	const char *path = evhttp_uri_get_path(parts);
	bool is_couch = u->scheme == URI_COUCH || u->scheme == URI_COUCHS;

	if (evhttp_uri_get_query(parts) != NULL || evhttp_uri_get_fragment(parts) != NULL)
		return complain(why,
		    "%s:// URI with '?' or '#': it takes no options (in a name write %%3F, %%23)",
		    uri_scheme_name(u->scheme));
	if (port == 0)
		return complain(why, "port 0 in a URI: ports are 1 to 65535");
	u->port = port < 0 ? schemes[u->scheme].port : (uint16_t)port;
	return set_userinfo(u, evhttp_uri_get_userinfo(parts), why) &&
	       set_host(u, evhttp_uri_get_host(parts), why) &&
	       (is_couch ? set_database(u, path, why) : set_vhost(u, path, why));
}

/* One more node, "host" or "host:port". */
static bool
add_other(struct uri *u, const char *place, struct trouble *why)
{
	struct uri other;
	char *full;
	bool ok;

	if (strchr(place, '@') != NULL)
		return complain(
		    why, "user and password stand once, before the first host of several");
	xasprintf(&full, "%s://%s/x", uri_scheme_name(u->scheme), place);
	ok = uri_parse(full, &other, why);
	free(full);
	if (!ok)
		return false;
	if (other.host == NULL) { /* pg:// alone, whose first may be a socket */
		uri_finish(&other);
		return complain(why, "one of several hosts in a %s:// URI is missing: \"%s\"",
		    uri_scheme_name(u->scheme), place);
	}
	u->others = xreallocarray(u->others, u->n_others + 1, sizeof(*u->others));
	u->others[u->n_others++] = (struct uri_place){xstrdup(other.host), other.port};
	uri_finish(&other);
	return true;
}

/* *first: the text with the first of its hosts alone. A comma of user or password is written %2C.
 */
static bool
take_others(struct uri *u, const char *text, const char *rest, char **first, struct trouble *why)
{
	size_t begin = (size_t)(rest - text), end = begin + strcspn(rest, "/");
	char *hosts, *place, *next;
	size_t comma;
	bool ok = true;

	for (size_t i = end; i > begin; i--) {
		if (text[i - 1] == '@') {
			begin = i;
			break;
		}
	}
	comma = begin + strcspn(text + begin, ",");
	if (comma >= end) {
		*first = xstrdup(text);
		return true;
	}
	xasprintf(first, "%.*s%s", (int)comma, text, text + end);
	next = hosts = xstrndup(text + comma + 1, end - comma - 1);
	while (ok && (place = strsep(&next, ",")) != NULL)
		ok = add_other(u, place, why);
	free(hosts);
	return ok;
}

/* libpq's parameters that a URI may have, and their values where these are few. */
static const struct pg_setting {
	const char *key;
	const char *values[7];
} pg_settings[] = {
    {"sslmode", {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}},
    {"sslrootcert", {NULL}},
    {"sslcert", {NULL}},
    {"sslkey", {NULL}},
    {"target_session_attrs", {"any", "read-write"}},
};

static bool
check_pg_value(const struct pg_setting *setting, const char *value, struct trouble *why)
{
	char known[100] = "";

	for (size_t i = 0; setting->values[i] != NULL; i++) {
		if (strcmp(setting->values[i], value) == 0)
			return true;
		strlcat(known, i == 0 ? "" : ", ", sizeof(known));
		strlcat(known, setting->values[i], sizeof(known));
	}
	if (setting->values[0] == NULL)
		return true;
	complain(why, "%s in a pg:// URI has another value than it may", setting->key);
	trouble_set_cure(why, "write one of %s", known);
	return false;
}

/* One piece of what stands behind '?'. */
static bool
set_pg_setting(struct uri *u, const char *piece, size_t len, struct trouble *why)
{
	size_t key_len = strcspn(piece, "=&");
	char *value;

	if (key_len >= len)
		return complain(why, "in a pg:// URI behind '?' stands KEY=VALUE");
	value = decode(piece + key_len + 1, len - key_len - 1);
	if (value == NULL)
		return bad_escape(why);
	if (key_len == 4 && strncmp(piece, "host", 4) == 0 && u->host == NULL && value[0] == '/') {
		u->host = value;
		return true;
	}
	for (size_t i = 0; i < sizeof(pg_settings) / sizeof(pg_settings[0]); i++) {
		const char *key = pg_settings[i].key;

		if (strlen(key) != key_len || strncmp(piece, key, key_len) != 0)
			continue;
		u->settings = xreallocarray(u->settings, u->n_settings + 1, sizeof(*u->settings));
		u->settings[u->n_settings++] = (struct uri_setting){xstrdup(key), value};
		return check_pg_value(&pg_settings[i], value, why);
	}
	free(value);
	complain(why, "behind the '?' of a pg:// URI is something unknown");
	trouble_set_cure(
	    why, key_len == 8 && strncmp(piece, "password", 8) == 0
		     ? "write the password before the host, user:password@host, or better in the "
		       "file that PGPASSFILE names"
		     : "write host=FOLDER-OF-THE-SOCKET, where no host stands before, or sslmode, "
		       "sslrootcert, sslcert, sslkey, target_session_attrs");
	return false;
}

static bool
set_pg_settings(struct uri *u, const char *query, struct trouble *why)
{
	bool ok = true;

	while (ok && query != NULL && query[0] != '\0') {
		size_t len = strcspn(query, "&");

		ok = set_pg_setting(u, query, len, why);
		query += len + (query[len] == '&');
	}
	return ok;
}

static bool
set_pg_parts(struct uri *u, const struct evhttp_uri *parts, struct trouble *why)
{
	int port = evhttp_uri_get_port(parts);
	const char *host = evhttp_uri_get_host(parts), *path = evhttp_uri_get_path(parts);

	if (evhttp_uri_get_fragment(parts) != NULL || port == 0 || path[0] != '/' ||
	    path[1] == '\0' || strchr(path + 1, '/') != NULL) {
		complain(why, "a pg:// URI names a host and a database");
		return show_form(why, URI_PG, "");
	}
	u->port = port < 0 ? schemes[URI_PG].port : (uint16_t)port;
	u->path = decode(path + 1, strlen(path + 1));
	if (u->path == NULL)
		return bad_escape(why);
	return set_userinfo(u, evhttp_uri_get_userinfo(parts), why) &&
	       (host == NULL || host[0] == '\0' || set_host(u, host, why)) &&
	       set_pg_settings(u, evhttp_uri_get_query(parts), why);
}

static bool
parse_server(struct uri *u, const char *text, struct trouble *why)
{
	struct evhttp_uri *parts = evhttp_uri_parse(text);
	bool ok;

	if (parts == NULL) {
		complain(why, "not a URI of this kind");
		return show_form(why, u->scheme,
		    "; ports are 1 to 65535, IPv6 addresses stand in [], and in user and password "
		    "write '@' as %40, '/' as %2F, ':' as %3A, ',' as %2C");
	}
	ok = u->scheme == URI_PG ? set_pg_parts(u, parts, why) : set_server_parts(u, parts, why);
	evhttp_uri_free(parts);
	return ok;
}

/* A file's path, not a URI's: '?', '#' and spaces are ordinary in it, and evhttp would cut there.
 * Only escapes are undone. */
static bool
parse_sqlite(struct uri *u, const char *rest, struct trouble *why)
{
	size_t len = strlen(rest);

	if (rest[0] != '/' || rest[len - 1] == '/')
		return complain(why,
		    "sqlite:// takes the absolute path of a file, with three slashes: write %s",
		    schemes[URI_SQLITE].form);
	u->path = decode(rest, len);
	return u->path != NULL || bad_escape(why);
}

static bool
parse_null(const char *rest, struct trouble *why)
{
	if (rest[0] == '\0' || strcmp(rest, "/") == 0)
		return true;
	return complain(why, "null:// takes nothing after the slashes");
}

bool
uri_parse(const char *text, struct uri *u, struct trouble *why)
{
	const char *rest;
	char *first = NULL;
	bool ok = false;

	*u = (struct uri){0};
	if (!find_scheme(text, &u->scheme, &rest))
		return complain(why,
		    "not a URI: a broker's begins with amqp:// or amqps://, a store's with couch://, "
		    "couchs://, sqlite://, pg:// or null://");
	switch (u->scheme) {
	case URI_AMQP:
	case URI_AMQPS:
		ok = parse_server(u, text, why);
		break;
	case URI_COUCH:
	case URI_COUCHS:
	case URI_PG:
		ok = take_others(u, text, rest, &first, why) && parse_server(u, first, why);
		free(first);
		break;
	case URI_SQLITE:
		ok = parse_sqlite(u, rest, why);
		break;
	case URI_NULL:
		ok = parse_null(rest, why);
		break;
	}
	if (!ok)
		uri_finish(u);
	return ok;
}

/* One of the list: a URI, or "host" or "host:port". */
static bool
parse_broker(const char *text, struct uri *u, struct trouble *why)
{
	char *full;
	bool ok;

	if (text[0] == '\0')
		return complain(why, "an empty place where a broker's URI should be");
	if (strstr(text, "://") != NULL) {
		if (!uri_parse(text, u, why))
			return false;
		if (u->scheme == URI_AMQP || u->scheme == URI_AMQPS)
			return true;
		complain(why, "%s:// is no broker", uri_scheme_name(u->scheme));
		uri_finish(u);
		return show_form(why, URI_AMQP, "");
	}
	if (strpbrk(text, "@/?#") != NULL) {
		complain(why, "not a broker");
		trouble_set_cure(why, "write host, host:port or %s", schemes[URI_AMQP].form);
		return false;
	}
	xasprintf(&full, "amqp://guest:guest@%s/vogeler", text);
	ok = uri_parse(full, u, why);
	free(full);
	return ok;
}

/* The next piece up to a comma, without white space around it; *rest moves on, to NULL at the end.
 */
static char *
next_piece(const char **rest)
{
	const char *begin = *rest + strspn(*rest, " \t");
	size_t len = strcspn(begin, ",");

	*rest = begin[len] == ',' ? begin + len + 1 : NULL;
	while (len > 0 && (begin[len - 1] == ' ' || begin[len - 1] == '\t'))
		len--;
	return xstrndup(begin, len);
}

bool
uri_parse_brokers(const char *text, struct uri **list, size_t *n, struct trouble *why)
{
	const char *rest = text;
	bool ok = true;

	*list = NULL;
	*n = 0;
	while (ok && rest != NULL) {
		char *piece = next_piece(&rest);

		*list = xreallocarray(*list, *n + 1, sizeof(**list));
		ok = parse_broker(piece, &(*list)[*n], why);
		*n += ok;
		free(piece);
	}
	if (!ok) {
		uri_list_free(*list, *n);
		*list = NULL;
		*n = 0;
	}
	return ok;
}

void
uri_finish(struct uri *u)
{
	free(u->user);
	if (u->password != NULL)
		explicit_bzero(u->password, strlen(u->password));
	free(u->password);
	free(u->host);
	free(u->path);
	for (size_t i = 0; i < u->n_others; i++)
		free(u->others[i].host);
	free(u->others);
	for (size_t i = 0; i < u->n_settings; i++) {
		free(u->settings[i].key);
		free(u->settings[i].value);
	}
	free(u->settings);
	*u = (struct uri){0};
}

void
uri_list_free(struct uri *list, size_t n)
{
	for (size_t i = 0; list != NULL && i < n; i++)
		uri_finish(&list[i]);
	free(list);
}

void
uri_copy(struct uri *dst, const struct uri *src)
{
	*dst = (struct uri){
	    .scheme = src->scheme,
	    .port = src->port,
	    .user = xstrdup_null(src->user),
	    .password = xstrdup_null(src->password),
	    .host = xstrdup_null(src->host),
	    .path = xstrdup_null(src->path),
	    .others = xcalloc(src->n_others + 1, sizeof(*src->others)),
	    .n_others = src->n_others,
	    .settings = xcalloc(src->n_settings + 1, sizeof(*src->settings)),
	    .n_settings = src->n_settings,
	};
	for (size_t i = 0; i < src->n_others; i++)
		dst->others[i] =
		    (struct uri_place){xstrdup(src->others[i].host), src->others[i].port};
	for (size_t i = 0; i < src->n_settings; i++)
		dst->settings[i] = (struct uri_setting){
		    xstrdup(src->settings[i].key), xstrdup(src->settings[i].value)};
}

static bool
same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool
same_others(const struct uri *a, const struct uri *b)
{
	if (a->n_others != b->n_others)
		return false;
	for (size_t i = 0; i < a->n_others; i++)
		if (a->others[i].port != b->others[i].port ||
		    strcmp(a->others[i].host, b->others[i].host) != 0)
			return false;
	return true;
}

static bool
same_settings(const struct uri *a, const struct uri *b)
{
	if (a->n_settings != b->n_settings)
		return false;
	for (size_t i = 0; i < a->n_settings; i++)
		if (strcmp(a->settings[i].key, b->settings[i].key) != 0 ||
		    strcmp(a->settings[i].value, b->settings[i].value) != 0)
			return false;
	return true;
}

bool
uri_same_place(const struct uri *a, const struct uri *b)
{
	return a->scheme == b->scheme && a->port == b->port && same_text(a->host, b->host) &&
	       same_text(a->path, b->path) && same_others(a, b) && same_settings(a, b);
}

bool
uri_list_same_places(const struct uri *a, size_t n_a, const struct uri *b, size_t n_b)
{
	if (n_a != n_b)
		return false;
	for (size_t i = 0; i < n_a; i++)
		if (!uri_same_place(&a[i], &b[i]))
			return false;
	return true;
}
