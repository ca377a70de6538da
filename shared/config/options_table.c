/* SPDX-License-Identifier: Apache-2.0 */
/* See options_table.h and options.h. */
#include "shared/config/options_table.h"

#include "shared/base/name.h"
#include "shared/base/near.h"
#include "shared/base/trouble.h"
#include "shared/base/units.h"
#include "shared/base/uri.h"
#include "shared/base/xalloc.h"
#include "shared/config/ini_file.h"
#include "shared/event/listen_addr.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KIB 1024ULL
#define MIB (1024ULL * KIB)
#define GIB (1024ULL * MIB)
#define TIB (1024ULL * GIB)
#define MIN (60ULL * 1000)
#define DAY (24ULL * 60 * MIN)

#define TTL_MAX    (49 * DAY) /* RabbitMQ counts in 32 bits of milliseconds */
#define LENGTH_MAX UINT32_MAX

#define KEEP_AGE_MAX   (3650 * DAY)
#define KEEP_COUNT_MAX 1000000

/* The releases of clang-format lay braces in a macro out differently. */
/* clang-format off */
/* Every row says what becomes of it at a reload: in the collector, in the agent. */
#define BOTH(change)      {OPTION_##change, OPTION_##change}
#define COLLECTOR(change) {OPTION_##change, OPTION_UNUSED}
#define AGENT(change)     {OPTION_UNUSED, OPTION_##change}
#define NEITHER           BOTH(UNUSED)

#define ROW(sec, k, t, field, def, changes) \
	{sec, k, t, offsetof(struct options, field), def, 0, 0, NULL, changes}
#define NUM(sec, k, t, field, def, low, top, changes) \
	{sec, k, t, offsetof(struct options, field), def, low, top, NULL, changes}
/* A number or "none". */
#define LIMIT(sec, k, t, field, low, top, changes) \
	{sec, k, t, offsetof(struct options, field), "none", low, top, "none", changes}
/* A number or "auto": what suits. */
#define AUTO(sec, k, t, field, low, top, changes) \
	{sec, k, t, offsetof(struct options, field), "auto", low, top, "auto", changes}
/* A CHECK has no field, and nothing that could change. */
#define CHECK(sec, k, t) {sec, k, t, 0, NULL, 0, 0, NULL, NEITHER}
/* clang-format on */

/* The rows stand in the order of --dump-config: by section, then key. */
const struct option_row option_rows[] = {
    ROW("amqp", "broadcast_exchange", OPTION_STR, broadcast_exchange, "vogeler.broadcast.in",
	BOTH(RESTART)),
    ROW("amqp", "ca_file", OPTION_STR, amqp_tls.ca_file, NULL, BOTH(RESTART)),
    ROW("amqp", "cert_file", OPTION_STR, amqp_tls.cert_file, NULL, BOTH(RESTART)),
    NUM("amqp", "connect_timeout", OPTION_MS, connect_timeout_ms, "10s", 100, 10 * MIN,
	BOTH(RESTART)),
    ROW("amqp", "dsn", OPTION_BROKERS, qhost, NULL, BOTH(LOGIN)),
    ROW("amqp", "dsn_file", OPTION_STR, qhost_file, NULL, NEITHER), /* what is in it counts */
    NUM("amqp", "heartbeat", OPTION_SECONDS, heartbeat_s, "10s", 1, 600, BOTH(RESTART)),
    ROW("amqp", "key_file", OPTION_STR, amqp_tls.key_file, NULL, BOTH(RESTART)),
    ROW("amqp", "master_exchange", OPTION_STR, master_exchange, "vogeler.master.in", BOTH(RESTART)),
    NUM("amqp", "reconnect_max", OPTION_MS, reconnect_max_ms, "30s", 100, 60 * MIN, BOTH(RESTART)),

    NUM("client", "catch_up_splay", OPTION_MS, catch_up_splay_ms, "10s", 0, 60 * MIN,
	AGENT(RELOAD)),
    NUM("client", "concurrency", OPTION_COUNT, concurrency, "2", 1, 64, AGENT(RESTART)),
    ROW("client", "listen", OPTION_LISTEN, client_listen, "none", AGENT(RESTART)),
    CHECK("client", "log_level", OPTION_IGNORED),
    NUM("client", "max_output", OPTION_BYTES, plugin_max_output, "1MiB", KIB, 7 * MIB,
	AGENT(RELOAD)),
    ROW("client", "name", OPTION_HOST, node_name, NULL, AGENT(RESTART)),
    ROW("client", "state_dir", OPTION_STR, state_dir, "/var/lib/vogeler-agent", AGENT(RESTART)),
    /* Below the broker's consumer timeout of 30 minutes, with room for the answer. */
    NUM("client", "timeout", OPTION_MS, plugin_timeout_ms, "60s", 100, 25 * MIN - 1, AGENT(RELOAD)),

    ROW("couch", "ca_file", OPTION_STR, couch_tls.ca_file, NULL, COLLECTOR(RESTART)),
    NUM("couch", "cache_bytes", OPTION_BYTES, couch_cache_bytes, "256MiB", 0, 64 * GIB,
	COLLECTOR(RESTART)),
    ROW("couch", "cert_file", OPTION_STR, couch_tls.cert_file, NULL, COLLECTOR(RESTART)),
    ROW("couch", "design_docs_path", OPTION_STR, design_docs_path, NULL, NEITHER),
    ROW("couch", "dsn", OPTION_STORE, dbhost, NULL, COLLECTOR(LOGIN)),
    ROW("couch", "key_file", OPTION_STR, couch_tls.key_file, NULL, COLLECTOR(RESTART)),
    NUM("couch", "requests", OPTION_COUNT, couch_requests, "16", 1, 64, COLLECTOR(RESTART)),
    NUM("couch", "timeout", OPTION_MS, couch_timeout_ms, "30s", 100, 20 * MIN, COLLECTOR(RESTART)),

    CHECK("file_handler", "*", OPTION_IGNORED),

    CHECK("global", "log_handler", OPTION_IGNORED),
    ROW("global", "log_level", OPTION_LEVEL, log_level, "WARN", BOTH(RELOAD)),
    ROW("global", "plugin_path", OPTION_STR, plugin_path, VOGELER_SYSCONFDIR "/vogeler/plugins",
	AGENT(RELOAD)),

    ROW("history", "keep", OPTION_KEEP, history_keep, "400d, 1000", COLLECTOR(RELOAD)),

    /* Below 20, a few ends of an agent would take what it only had in hand with it. */
    LIMIT("host_queue", "delivery_limit", OPTION_COUNT, host_queue.delivery_limit, 20, 65535,
	AGENT(RESTART)),
    LIMIT("host_queue", "expires", OPTION_MS, host_queue.expires_ms, MIN, TTL_MAX, AGENT(RESTART)),
    LIMIT("host_queue", "max_length", OPTION_COUNT, host_queue.max_length, 1, LENGTH_MAX,
	AGENT(RESTART)),
    LIMIT("host_queue", "max_length_bytes", OPTION_BYTES, host_queue.max_length_bytes, KIB, TIB,
	AGENT(RESTART)),
    LIMIT("host_queue", "message_ttl", OPTION_MS, host_queue.message_ttl_ms, 1000, TTL_MAX,
	AGENT(RESTART)),
    ROW("host_queue", "overflow", OPTION_OVERFLOW, host_queue.overflow, "drop-head",
	AGENT(RESTART)),
    ROW("host_queue", "type", OPTION_QUEUE_TYPE, host_queue.type, "classic", AGENT(RESTART)),

    /* A record that is written must be read again: jsonx.h has 64 for good. */
    NUM("limits", "json_depth", OPTION_COUNT, json_depth, "64", 1, 64, COLLECTOR(RELOAD)),
    NUM("limits", "json_nodes", OPTION_COUNT, json_nodes, "300000", 1, 1000000, COLLECTOR(RELOAD)),
    NUM("limits", "object_keys", OPTION_COUNT, object_keys, "20000", 1, 1000000, COLLECTOR(RELOAD)),
    NUM("limits", "yaml_bytes", OPTION_BYTES, yaml_bytes, "1MiB", KIB, 16 * MIB, COLLECTOR(RELOAD)),
    NUM("limits", "yaml_depth", OPTION_COUNT, yaml_depth, "64", 1, 64, COLLECTOR(RELOAD)),
    NUM("limits", "yaml_nodes", OPTION_COUNT, yaml_nodes, "100000", 1, 1000000, COLLECTOR(RELOAD)),

    ROW("master_queue", "dead_letter", OPTION_BOOL, master_queue.dead_letter, "no", BOTH(RESTART)),
    /* Below 20, a few ends of the collector would take what it only had in hand with it. */
    LIMIT("master_queue", "delivery_limit", OPTION_COUNT, master_queue.delivery_limit, 20, 65535,
	BOTH(RESTART)),
    LIMIT(
	"master_queue", "expires", OPTION_MS, master_queue.expires_ms, MIN, TTL_MAX, BOTH(RESTART)),
    LIMIT("master_queue", "max_length", OPTION_COUNT, master_queue.max_length, 1, LENGTH_MAX,
	BOTH(RESTART)),
    LIMIT("master_queue", "max_length_bytes", OPTION_BYTES, master_queue.max_length_bytes, KIB, TIB,
	BOTH(RESTART)),
    LIMIT("master_queue", "message_ttl", OPTION_MS, master_queue.message_ttl_ms, 1000, TTL_MAX,
	BOTH(RESTART)),
    ROW("master_queue", "overflow", OPTION_OVERFLOW, master_queue.overflow, "drop-head",
	BOTH(RESTART)),
    ROW("master_queue", "type", OPTION_ANY_QUEUE_TYPE, master_queue.type, "auto", BOTH(RESTART)),

    CHECK("messaging", "backend", OPTION_AMQP),

    CHECK("persistence", "backend", OPTION_BACKEND),
    ROW("persistence", "dsn", OPTION_STORE, dbhost, NULL, COLLECTOR(LOGIN)),
    NUM("persistence", "job_ttl", OPTION_SECONDS, job_ttl_s, "30d", 0, 3650 * DAY / 1000,
	COLLECTOR(RELOAD)),

    NUM("pg", "connections", OPTION_COUNT, pg_connections, "8", 1, 32, COLLECTOR(RESTART)),
    ROW("pg", "dsn", OPTION_STORE, dbhost, NULL, COLLECTOR(LOGIN)),
    ROW("pg", "sql_values", OPTION_STR, pg_sql_values, NULL, COLLECTOR(RESTART)),

    CHECK("runner", "log_level", OPTION_IGNORED),

    ROW("server", "attest", OPTION_ATTEST, attest, "auto", COLLECTOR(RELOAD)),
    NUM("server", "batch_max_age", OPTION_MS, batch_max_age_ms, "50ms", 0, MIN, COLLECTOR(RELOAD)),
    AUTO("server", "batch_max_bytes", OPTION_BYTES, batch_max_bytes, KIB, 64 * MIB,
	COLLECTOR(RELOAD)),
    AUTO("server", "batch_max_count", OPTION_COUNT, batch_max_count, 1, 65535, COLLECTOR(RELOAD)),
    NUM("server", "drain_timeout", OPTION_MS, drain_timeout_ms, "10s", 0, 10 * MIN,
	COLLECTOR(RELOAD)),
    NUM("server", "intake_max_bytes", OPTION_BYTES, intake_max_bytes, "32MiB", 64 * KIB, 16 * GIB,
	COLLECTOR(RELOAD)),
    ROW("server", "listen", OPTION_LISTEN, server_listen, "auto", COLLECTOR(RESTART)),
    CHECK("server", "log_level", OPTION_IGNORED),
    NUM("server", "message_max_bytes", OPTION_BYTES, message_max_bytes, "8MiB", KIB, 128 * MIB,
	COLLECTOR(RESTART)),
    NUM("server", "prefetch", OPTION_COUNT, prefetch, "1000", 1, 65535, COLLECTOR(RELOAD)),
    NUM("server", "record_max_bytes", OPTION_BYTES, record_max_bytes, "7MiB", KIB, 128 * MIB,
	COLLECTOR(RESTART)),
    ROW("server", "retry_users", OPTION_STR, retry_users, NULL, COLLECTOR(RELOAD)),
    NUM("server", "store_patience", OPTION_MS, store_patience_ms, "10s", 0, 20 * MIN,
	COLLECTOR(RELOAD)),

    ROW("sqlite", "dsn", OPTION_STORE, dbhost, NULL, COLLECTOR(LOGIN)),
    ROW("sqlite", "synchronous", OPTION_SYNC, sqlite_relaxed, "full", COLLECTOR(RESTART)),

    CHECK("syslog_handler", "*", OPTION_IGNORED),
};
const size_t option_n_rows = sizeof(option_rows) / sizeof(option_rows[0]);

const char *
option_type_name(enum option_type type)
{
	switch (type) {
	case OPTION_STR:
		return "string";
	case OPTION_LISTEN:
		return "address";
	case OPTION_HOST:
		return "host";
	case OPTION_LEVEL:
		return "level";
	case OPTION_BOOL:
		return "bool";
	case OPTION_COUNT:
		return "count";
	case OPTION_MS:
	case OPTION_SECONDS:
		return "duration";
	case OPTION_BYTES:
		return "size";
	case OPTION_KEEP:
		return "keep";
	case OPTION_BROKERS:
	case OPTION_STORE:
		return "uri";
	case OPTION_ATTEST:
	case OPTION_QUEUE_TYPE:
	case OPTION_ANY_QUEUE_TYPE:
	case OPTION_OVERFLOW:
	case OPTION_SYNC:
		return "word";
	case OPTION_BACKEND:
	case OPTION_AMQP:
		return "backend";
	case OPTION_IGNORED:
		return "ignored";
	}
	return "?";
}

const struct option_row *
option_find(const char *section, const char *key)
{
	for (size_t i = 0; i < option_n_rows; i++) {
		const struct option_row *row = &option_rows[i];

		if (strcasecmp(row->section, section) == 0 &&
		    (strcasecmp(row->key, key) == 0 || strcmp(row->key, "*") == 0))
			return row;
	}
	return NULL;
}

/* --- values --- */

static void
set_str(char **field, const char *text)
{
	char *copy = xstrdup(text);

	free(*field);
	*field = copy;
}

static const char *
format_number(const struct option_row *row, uint64_t value, char out[UNITS_TEXT_SIZE])
{
	if (row->zero != NULL && value == 0) {
		snprintf(out, UNITS_TEXT_SIZE, "%s", row->zero);
		return out;
	}
	switch (row->type) {
	case OPTION_MS:
		return units_format_ms(value, out);
	case OPTION_SECONDS:
		return units_format_ms(value * 1000, out);
	case OPTION_BYTES:
		return units_format_bytes(value, out);
	default:
		snprintf(out, UNITS_TEXT_SIZE, "%llu", (unsigned long long)value);
		return out;
	}
}

static bool
read_number(const struct option_row *row, const char *text, uint64_t *value)
{
	switch (row->type) {
	case OPTION_MS:
		return units_parse_ms(text, value);
	case OPTION_SECONDS:
		if (!units_parse_ms(text, value) || *value % 1000 != 0)
			return false;
		*value /= 1000;
		return true;
	case OPTION_BYTES:
		return units_parse_bytes(text, value);
	default:
		return units_parse_count(text, UINT64_MAX, value);
	}
}

static bool
parse_number(const struct option_row *row, void *field, const char *text, struct trouble *why)
{
	char low[UNITS_TEXT_SIZE], top[UNITS_TEXT_SIZE];
	char ask[UNITS_ASK_SIZE];
	const char *form = "a number";
	uint64_t value;
	bool zero = row->zero != NULL && strcasecmp(text, row->zero) == 0;

	if (zero)
		value = 0;
	if (zero || (read_number(row, text, &value) && value >= row->min && value <= row->max)) {
		if (row->type == OPTION_BYTES)
			*(uint64_t *)field = value;
		else
			*(uint32_t *)field = (uint32_t)value; /* every max fits */
		return true;
	}
	if ((row->type == OPTION_MS || row->type == OPTION_SECONDS) &&
	    units_ask(text, ask) != NULL) {
		trouble_set(why, TROUBLE_OTHER, NULL, "'%s': %s", text, ask);
		return false;
	}
	if (row->type == OPTION_MS)
		form = "a duration like 500ms, 10s, 5min or 1h";
	else if (row->type == OPTION_SECONDS)
		form = "a duration in whole seconds like 10s";
	else if (row->type == OPTION_BYTES)
		form = "a size like 256KiB or 4MiB";
	trouble_set(why, TROUBLE_OTHER, NULL, "'%s' should be %s, from %s to %s%s%s", text, form,
	    format_number(row, row->min, low), format_number(row, row->max, top),
	    row->zero != NULL ? ", or " : "", row->zero != NULL ? row->zero : "");
	return false;
}

/* A bound of "400d, 1000"; rest: what follows its comma, or NULL. */
static bool
parse_bound(const char *text, size_t len, bool is_age, uint32_t *out)
{
	char *word = xstrndup(text, len);
	uint64_t value = 0;
	bool ok;

	if (strcasecmp(word, "all") == 0)
		value = OPTIONS_KEEP_ALL;
	ok = value != 0 ||
	     (is_age ? units_parse_ms(word, &value) && value % 1000 == 0 && value <= KEEP_AGE_MAX
		     : units_parse_count(word, KEEP_COUNT_MAX, &value));
	if (ok)
		*out = value != OPTIONS_KEEP_ALL && is_age ? (uint32_t)(value / 1000)
							   : (uint32_t)value;
	free(word);
	return ok;
}

static bool
parse_keep(struct options_keep *field, const char *text, struct trouble *why)
{
	struct options_keep keep = {0, OPTIONS_KEEP_ALL};
	size_t len = strcspn(text, ",");
	const char *rest = text + len;

	while (len > 0 && text[len - 1] == ' ')
		len--;
	if (*rest != '\0')
		rest += 1 + strspn(rest + 1, " ");
	if (parse_bound(text, len, true, &keep.age_s) &&
	    (*rest == '\0' ? text[len] == '\0'
			   : parse_bound(rest, strlen(rest), false, &keep.count))) {
		*field = keep;
		return true;
	}
	trouble_set(why, TROUBLE_OTHER, NULL,
	    "'%s' should be how long and how many, like 400d, 1000 or 90d or all, 50: at most %d "
	    "days, and %d",
	    text, (int)(KEEP_AGE_MAX / DAY), KEEP_COUNT_MAX);
	return false;
}

static char *
print_keep(const struct options_keep *keep)
{
	char age[UNITS_TEXT_SIZE] = "all", count[16] = "all", *text;

	if (keep->age_s != OPTIONS_KEEP_ALL)
		units_format_ms((uint64_t)keep->age_s * 1000, age);
	if (keep->count != OPTIONS_KEEP_ALL)
		snprintf(count, sizeof(count), "%u", (unsigned int)keep->count);
	xasprintf(&text, "%s, %s", age, count);
	return text;
}

static bool
parse_bool(bool *field, const char *text, struct trouble *why)
{
	static const char *const words[] = {"no", "yes", "false", "true", "off", "on", "0", "1"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcasecmp(text, words[i]) == 0) {
			*field = i % 2 == 1;
			return true;
		}
	}
	trouble_set(why, TROUBLE_OTHER, NULL, "'%s' should be yes or no", text);
	return false;
}

const char *
options_attest_name(enum options_attest attest)
{
	switch (attest) {
	case OPTIONS_ATTEST_AUTO:
		return "auto";
	case OPTIONS_ATTEST_YES:
		return "yes";
	case OPTIONS_ATTEST_NO:
		return "no";
	}
	return "?";
}

static bool
parse_attest(enum options_attest *field, const char *text, struct trouble *why)
{
	bool yes;

	if (strcasecmp(text, "auto") == 0) {
		*field = OPTIONS_ATTEST_AUTO;
		return true;
	}
	if (parse_bool(&yes, text, why)) {
		*field = yes ? OPTIONS_ATTEST_YES : OPTIONS_ATTEST_NO;
		return true;
	}
	trouble_set(why, TROUBLE_OTHER, NULL, "'%s' should be auto, yes or no", text);
	return false;
}

static bool
check_brokers(const char *text, struct trouble *why)
{
	struct uri *list;
	size_t n;

	if (!uri_parse_brokers(text, &list, &n, why))
		return false;
	uri_list_free(list, n);
	return true;
}

static bool
check_store(const struct option_row *row, const char *text, struct trouble *why)
{
	struct uri u;
	enum uri_scheme scheme;
	const char *expected = NULL;

	if (!uri_parse(text, &u, why))
		return false;
	scheme = u.scheme;
	uri_finish(&u);
	if (strcmp(row->section, "couch") == 0 && scheme != URI_COUCH && scheme != URI_COUCHS)
		expected = "couch://host:5984/database, or couchs://";
	else if (strcmp(row->section, "pg") == 0 && scheme != URI_PG)
		expected = "a pg:// URI";
	else if (strcmp(row->section, "sqlite") == 0 && scheme != URI_SQLITE)
		expected = "sqlite:///path/file.db";
	else if (scheme == URI_AMQP || scheme == URI_AMQPS)
		expected = "a store: couch://, couchs://, pg://, sqlite:/// or null://";
	if (expected != NULL)
		trouble_set(why, TROUBLE_OTHER, NULL, "%s:// should be %s", uri_scheme_name(scheme),
		    expected);
	return expected == NULL;
}

/* One of two; the first is 0. */
static bool
parse_either(
    const char *first, const char *second, const char *text, bool *is_second, struct trouble *why)
{
	*is_second = strcasecmp(text, second) == 0;
	if (*is_second || strcasecmp(text, first) == 0)
		return true;
	trouble_set(why, TROUBLE_OTHER, NULL, "'%s' should be %s or %s", text, first, second);
	return false;
}

static bool
parse_queue_word(const struct option_row *row, void *field, const char *text, struct trouble *why)
{
	bool second;

	switch (row->type) {
	case OPTION_ANY_QUEUE_TYPE:
		if (strcasecmp(text, "auto") == 0) {
			*(enum queue_type *)field = QUEUE_AUTO;
			return true;
		}
		if (parse_either("classic", "quorum", text, &second, why)) {
			*(enum queue_type *)field = second ? QUEUE_QUORUM : QUEUE_CLASSIC;
			return true;
		}
		trouble_set(
		    why, TROUBLE_OTHER, NULL, "'%s' should be auto, classic or quorum", text);
		return false;
	case OPTION_QUEUE_TYPE:
		if (!parse_either("classic", "quorum", text, &second, why))
			return false;
		*(enum queue_type *)field = second ? QUEUE_QUORUM : QUEUE_CLASSIC;
		return true;
	case OPTION_OVERFLOW:
		if (!parse_either("drop-head", "reject-publish", text, &second, why))
			return false;
		*(enum queue_overflow *)field = second ? QUEUE_REJECT_PUBLISH : QUEUE_DROP_HEAD;
		return true;
	default:
		if (!parse_either("full", "normal", text, &second, why))
			return false;
		*(bool *)field = second;
		return true;
	}
}

static bool
parse_listen(const char *text, struct trouble *why)
{
	struct listen_addr address;
	char err[256];

	if (listen_addr_parse(text, &address, err, sizeof(err)))
		return true;
	trouble_set(why, TROUBLE_OTHER, NULL, "%s", err);
	return false;
}

static bool
parse_word(const struct option_row *row, void *field, const char *text, struct trouble *why)
{
	const char *wrong;

	switch (row->type) {
	case OPTION_LISTEN:
		return strcmp(text, "none") == 0 || strcmp(text, "auto") == 0 ||
		       parse_listen(text, why);
	case OPTION_LEVEL:
		if (log_level_parse(text, field))
			return true;
		trouble_set(why, TROUBLE_OTHER, NULL,
		    "'%s' should be DEBUG, INFO, WARN, ERROR or CRITICAL", text);
		return false;
	case OPTION_BOOL:
		return parse_bool(field, text, why);
	case OPTION_ATTEST:
		return parse_attest(field, text, why);
	case OPTION_QUEUE_TYPE:
	case OPTION_ANY_QUEUE_TYPE:
	case OPTION_OVERFLOW:
	case OPTION_SYNC:
		return parse_queue_word(row, field, text, why);
	case OPTION_HOST:
		wrong = name_host_error(text);
		if (wrong != NULL)
			trouble_set(why, TROUBLE_OTHER, NULL, "'%s': %s", text, wrong);
		return wrong == NULL;
	case OPTION_BACKEND:
		if (strcmp(text, "couch") == 0 || strcmp(text, "pg") == 0 ||
		    strcmp(text, "sqlite") == 0 || strcmp(text, "null") == 0)
			return true;
		trouble_set(
		    why, TROUBLE_OTHER, NULL, "'%s' should be couch, pg, sqlite or null", text);
		return false;
	case OPTION_AMQP:
		if (strcmp(text, "amqp") == 0)
			return true;
		trouble_set(
		    why, TROUBLE_OTHER, NULL, "'%s' should be amqp: there is no other", text);
		return false;
	default:
		return true;
	}
}

static bool
parse_value(const struct option_row *row, void *field, const char *text, struct trouble *why)
{
	switch (row->type) {
	case OPTION_COUNT:
	case OPTION_MS:
	case OPTION_SECONDS:
	case OPTION_BYTES:
		return parse_number(row, field, text, why);
	case OPTION_BROKERS:
		return check_brokers(text, why);
	case OPTION_STORE:
		return check_store(row, text, why);
	case OPTION_KEEP:
		return parse_keep(field, text, why);
	default:
		return parse_word(row, field, text, why);
	}
}

static size_t
field_size(enum option_type type)
{
	switch (type) {
	case OPTION_STR:
	case OPTION_LISTEN:
	case OPTION_HOST:
	case OPTION_BROKERS:
	case OPTION_STORE:
		return sizeof(char *);
	case OPTION_LEVEL:
		return sizeof(enum log_level);
	case OPTION_BOOL:
	case OPTION_SYNC:
		return sizeof(bool);
	case OPTION_COUNT:
	case OPTION_MS:
	case OPTION_SECONDS:
		return sizeof(uint32_t);
	case OPTION_BYTES:
		return sizeof(uint64_t);
	case OPTION_KEEP:
		return sizeof(struct options_keep);
	case OPTION_ATTEST:
		return sizeof(enum options_attest);
	case OPTION_QUEUE_TYPE:
	case OPTION_ANY_QUEUE_TYPE:
		return sizeof(enum queue_type);
	case OPTION_OVERFLOW:
		return sizeof(enum queue_overflow);
	case OPTION_BACKEND:
	case OPTION_AMQP:
	case OPTION_IGNORED:
		return 0;
	}
	return 0;
}

bool
option_equal(const struct option_row *row, const struct options *a, const struct options *b)
{
	const char *x = (const char *)a + row->offset, *y = (const char *)b + row->offset;
	const char *s, *t;

	if (!option_has_string(row))
		return memcmp(x, y, field_size(row->type)) == 0;
	s = *(char *const *)(const void *)x;
	t = *(char *const *)(const void *)y;
	return s == t || (s != NULL && t != NULL && strcmp(s, t) == 0);
}

void
option_swap(const struct option_row *row, struct options *a, struct options *b)
{
	char *x = (char *)a + row->offset, *y = (char *)b + row->offset;
	size_t size = field_size(row->type);
	char t[sizeof(uint64_t)];

	memcpy(t, x, size);
	memcpy(x, y, size);
	memcpy(y, t, size);
}

bool
option_has_string(const struct option_row *row)
{
	return row->type == OPTION_STR || row->type == OPTION_LISTEN || row->type == OPTION_HOST ||
	       row->type == OPTION_BROKERS || row->type == OPTION_STORE;
}

bool
option_parse(const struct option_row *row, struct options *o, const char *text, struct trouble *why)
{
	void *field = (char *)o + row->offset;
	bool is_uri = row->type == OPTION_BROKERS || row->type == OPTION_STORE;
	char *quote;

	if (row->type == OPTION_IGNORED)
		return true;
	if (text[0] == '\0') {
		trouble_set(
		    why, TROUBLE_OTHER, NULL, "has no value: give it one, or leave the line out");
		return false;
	}
	if (!parse_value(row, field, text, why)) {
		/* A URI may have been put in the wrong place: its password is not to be quoted. */
		quote = uri_mask_sentence(why->what);
		if (!is_uri)
			trouble_set(why, why->kind, NULL, "%s", quote);
		free(quote);
		return false;
	}
	if (option_has_string(row))
		set_str(field, text);
	return true;
}

static char *
masked(const char *text)
{
	char *shown = uri_mask(text), *result = ini_file_quote(shown);

	free(shown);
	return result;
}

char *
option_print(const struct option_row *row, const struct options *o)
{
	const void *field = (const char *)o + row->offset;
	char number[UNITS_TEXT_SIZE];
	const char *str;

	switch (row->type) {
	case OPTION_STR:
	case OPTION_LISTEN:
	case OPTION_HOST:
		str = *(char *const *)field;
		return str != NULL ? ini_file_quote(str) : NULL;
	case OPTION_BROKERS:
	case OPTION_STORE:
		str = *(char *const *)field;
		return str != NULL ? masked(str) : NULL;
	case OPTION_LEVEL:
		return xstrdup(log_level_name(*(const enum log_level *)field));
	case OPTION_BOOL:
		return xstrdup(*(const bool *)field ? "yes" : "no");
	case OPTION_ATTEST:
		return xstrdup(options_attest_name(*(const enum options_attest *)field));
	case OPTION_QUEUE_TYPE:
	case OPTION_ANY_QUEUE_TYPE:
		return xstrdup(queue_type_name(*(const enum queue_type *)field));
	case OPTION_OVERFLOW:
		return xstrdup(queue_overflow_name(*(const enum queue_overflow *)field));
	case OPTION_SYNC:
		return xstrdup(*(const bool *)field ? "normal" : "full");
	case OPTION_COUNT:
	case OPTION_MS:
	case OPTION_SECONDS:
		return xstrdup(format_number(row, *(const uint32_t *)field, number));
	case OPTION_BYTES:
		return xstrdup(format_number(row, *(const uint64_t *)field, number));
	case OPTION_KEEP:
		return print_keep(field);
	case OPTION_BACKEND:
	case OPTION_AMQP:
	case OPTION_IGNORED:
		return NULL;
	}
	return NULL;
}

/* --- "did you mean" --- */

void
option_suggest(const char *section, const char *key, char *out, size_t size)
{
	const struct option_row *best = NULL;
	size_t best_distance = NEAR_MAX + 1;

	out[0] = '\0';
	for (size_t i = 0; i < option_n_rows; i++) {
		const struct option_row *row = &option_rows[i];
		size_t d = near_distance(section, row->section) + near_distance(key, row->key);

		/* The right key in another section is a common slip too. */
		if (strcmp(key, row->key) == 0 && d > 2)
			d = 2;
		if (row->type != OPTION_IGNORED && d < best_distance) {
			best = row;
			best_distance = d;
		}
	}
	if (best == NULL)
		return;
	if (strcmp(best->section, section) == 0)
		snprintf(out, size, "; did you mean '%s'?", best->key);
	else
		snprintf(out, size, "; did you mean '%s' in [%s]?", best->key, best->section);
}
