/* SPDX-License-Identifier: Apache-2.0 */
/* Broker and store URIs: amqp[s]:// couch[s]:// sqlite:// pg:// null://. A password is never
 * printed: the only way to text is uri_redacted(). */
#ifndef VOGELER_URI_H
#define VOGELER_URI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum uri_scheme { URI_AMQP, URI_AMQPS, URI_COUCH, URI_COUCHS, URI_SQLITE, URI_PG, URI_NULL };
const char *uri_scheme_name(enum uri_scheme scheme);

struct uri_place {
	char *host; /* as in struct uri */
	uint16_t port;
};

struct uri_setting {
	char *key, *value;
};

struct uri {
	enum uri_scheme scheme;
	char *user;     /* percent-decoded; NULL if none */
	char *password; /* percent-decoded; NULL if none */
	/* Without [] for IPv6; NULL for sqlite and null. pg: a folder, "/run/postgresql", where the
	 * server's socket is; NULL, where libpq looks for it. */
	char *host;
	uint16_t port; /* default of the scheme filled in: 5672, 5671, 5984, 6984, 5432 */
	/* amqp: the vhost, by the AMQP URI rules (RabbitMQ's "URI Specification"): "/vogeler" is
	 * vhost "vogeler", "/%2Fvogeler" is "/vogeler", none or "/" is "/". couch: the database,
	 * "system_records" when missing. sqlite: the file's absolute path. pg: the database. */
	char *path;
	/* couch: "couch://a:5984,b:5984/db" has the nodes of one cluster; those after the first.
	 * pg: the servers of one database, of which one can be written. */
	struct uri_place *others;
	size_t n_others;
	/* pg: what stands behind '?', but for host; a few of libpq's parameters. */
	struct uri_setting *settings;
	size_t n_settings;
};

struct trouble;
/* false: why says what is wrong, without a password. A bare "host" or
 * "host:port" is taken as amqp://guest:guest@host:port/vogeler by uri_parse_brokers, as the
 * README's "--qhost 10.10.10.2". */
bool uri_parse(const char *text, struct uri *u, struct trouble *why);
/* Comma-separated broker URIs, tried in turn. *list is malloced, uri_list_free() it. */
bool uri_parse_brokers(const char *text, struct uri **list, size_t *n, struct trouble *why);
void uri_finish(struct uri *u);
void uri_list_free(struct uri *list, size_t n);
void uri_copy(struct uri *dst, const struct uri *src);
/* Alike but for user and password: a reload may change those. */
bool uri_same_place(const struct uri *a, const struct uri *b);
bool uri_list_same_places(const struct uri *a, size_t n_a, const struct uri *b, size_t n_b);
/* scheme://user:***@host:port/path into out; returns out. */
const char *uri_redacted(const struct uri *u, char *out, size_t size);
/* Masks a text that may not parse (one URI or several): every ":password@" becomes ":***@".
 */
const char *uri_redact_text(const char *text, char *out, size_t size);
char *uri_mask(const char *text); /* the same, malloced, never cut */
/* Masks a sentence, in which a ':' and an '@' need have nothing to do with each other: what stands
 * in double quotes is one text, and of the rest each word. Malloced. */
char *uri_mask_sentence(const char *text);
/* Overwrites passwords of URIs in place with '*', keeping the length: for argv. */
void uri_scrub(char *text);

#endif
