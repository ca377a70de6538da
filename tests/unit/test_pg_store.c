/* SPDX-License-Identifier: Apache-2.0 */
/* The suite over pg://, and what only that store can do. tests/with-postgres starts
 * the server, and says where it is; each test has a database of its own on it. */
#include "shared/base/buf.h"
#include "shared/base/ident.h"
#include "shared/base/trouble.h"
#include "shared/base/xalloc.h"
#include "tests/unit/ledger_suite.h"
#include "tests/unit/store_drive.h"
#include "tests/unit/store_suite.h"

#include <libpq-fe.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char uri[256], name[32];
static unsigned int databases;

static PGconn *
connect_to(const char *database)
{
	const char *const keys[] = {"dbname", NULL};
	const char *const values[] = {database, NULL};
	PGconn *c = PQconnectdbParams(keys, values, 0);

	if (PQstatus(c) != CONNECTION_OK)
		fail_msg("%s", PQerrorMessage(c));
	return c;
}

/* Returns the first column of the first row, as a number. */
static long long
ask(const char *database, const char *sql)
{
	PGconn *c = connect_to(database);
	PGresult *r = PQexec(c, sql);
	long long number = 0;

	if (PQresultStatus(r) != PGRES_COMMAND_OK && PQresultStatus(r) != PGRES_TUPLES_OK)
		fail_msg("%s: %s", sql, PQerrorMessage(c));
	if (PQresultStatus(r) == PGRES_TUPLES_OK && PQntuples(r) > 0)
		number = strtoll(PQgetvalue(r, 0, 0), NULL, 10);
	PQclear(r);
	PQfinish(c);
	return number;
}

static void
drop_last(void)
{
	char sql[96];

	if (name[0] == '\0')
		return;
	snprintf(sql, sizeof(sql), "DROP DATABASE %s WITH (FORCE)", name);
	ask("postgres", sql);
	name[0] = '\0';
}

static const char *
begin(void)
{
	char sql[96];

	drop_last();
	snprintf(name, sizeof(name), "t%d_%u", (int)getpid(), databases++);
	snprintf(sql, sizeof(sql), "CREATE DATABASE %s", name);
	ask("postgres", sql);
	snprintf(uri, sizeof(uri), "pg://:%s/%s?host=%s", getenv("PGPORT"), name, getenv("PGHOST"));
	return uri;
}

static void
open_new(struct fixture *s)
{
	drive_open(s, begin(), DRIVE_RECORD_MAX);
	drive_setup(s, "created");
}

/* ---- setup ---- */

static void
without_setup_the_cure_is_named(void **state)
{
	struct fixture s;
	char what[256];

	drive_open(&s, begin(), DRIVE_RECORD_MAX);
	assert_false(drive_probe(&s, what, sizeof(what)));
	assert_non_null(strstr(what, "vogeler-admin setup"));
	drive_close(&s);
}

static void
tables_of_a_newer_vogeler_are_left_alone(void **state)
{
	struct fixture s;
	char what[256];

	open_new(&s);
	ask(name, "INSERT INTO vogeler.migration (version) VALUES (999)");
	assert_false(drive_probe(&s, what, sizeof(what)));
	assert_non_null(strstr(what, "newer Vogeler"));
	drive_close(&s);
}

/* Who may make no role asks somebody who may; then it is run again. */
static void
setup_gives_rights_that_are_missing(void **state)
{
	static const char may_read[] =
	    "SELECT has_table_privilege('vogeler_read', 'vogeler.v_host', 'SELECT')::int";
	struct fixture s;

	open_new(&s);
	assert_int_equal(ask(name, may_read), 1);
	ask(name, "REVOKE SELECT ON ALL TABLES IN SCHEMA vogeler FROM vogeler_read");
	assert_int_equal(ask(name, may_read), 0);
	drive_setup(&s, "was there");
	assert_int_equal(ask(name, may_read), 1);
	drive_close(&s);
}

/* As if it had been restored on a server that has counted fewer transactions. */
static void
what_another_server_wrote_goes_before_ours(void **state)
{
	static const char changes[] = "SELECT count(*) FROM vogeler.v_change";
	struct fixture s;

	open_new(&s);
	assert_int_equal(drive_put(&s, "h", drive_good("ps", "1", 1, 1), NULL), STORE_OK);
	assert_int_equal(drive_put(&s, "h", drive_good("ps", "2", 2, 2), NULL), STORE_OK);
	ask(name, "UPDATE vogeler.version SET xid = '9999999999'");
	assert_int_equal(ask(name, changes), 0);
	drive_setup(&s, "was there");
	assert_int_equal(drive_put(&s, "h", drive_good("ps", "3", 3, 3), NULL), STORE_OK);
	assert_int_equal(ask(name, changes), 3);
	assert_int_equal(
	    ask(name, "SELECT ord FROM vogeler.version ORDER BY xid DESC, seq DESC LIMIT 1"), 3);
	drive_close(&s);
}

/* The collector's own user has a database, and no rights beyond that. */
static void
an_owner_that_is_no_superuser_sets_up(void **state)
{
	char sql[128];
	struct fixture s;

	begin();
	ask("postgres", "DO $$ BEGIN CREATE ROLE plain LOGIN PASSWORD 'p'; EXCEPTION WHEN"
			" duplicate_object THEN NULL; END $$");
	snprintf(sql, sizeof(sql), "ALTER DATABASE %s OWNER TO plain", name);
	ask("postgres", sql);
	snprintf(
	    uri, sizeof(uri), "pg://plain:p@127.0.0.1:%s/%s", getenv("VOGELER_TEST_PG_PORT"), name);
	drive_open(&s, uri, DRIVE_RECORD_MAX);
	drive_setup(&s, "created");
	drive_setup(&s, "was there");
	assert_true(drive_probe(&s, NULL, 0));
	assert_int_equal(drive_put(&s, "h", drive_good("ps", "1", 1, 1), NULL), STORE_OK);
	drive_close(&s);
}

/* ---- the history ---- */

static void
each_value_of_a_write_has_its_entry(void **state)
{
	struct fixture s;

	open_new(&s);
	assert_int_equal(drive_put(&s, "h", drive_good("ps", "1", 1, 1), NULL), STORE_OK);
	assert_int_equal(
	    drive_put(&s, "h", drive_good("ps", "2", 2, 2), drive_good("df", "[]", 2, 2),
		drive_good("ps", "3", 3, 3), drive_good("ps", "3", 4, 4), NULL),
	    STORE_OK);
	assert_int_equal(drive_put(&s, "h", drive_good("ps", "3", 5, 5), NULL), STORE_OK);
	assert_int_equal(ask(name, "SELECT count(*) FROM vogeler.version"), 4);
	assert_int_equal(ask(name, "SELECT convert_from(v.v, 'UTF8')::int FROM vogeler.fresh f"
				   " JOIN vogeler.version v ON v.seq = f.version AND f.ord = 5"),
	    3);
	assert_int_equal(
	    ask(name, "SELECT count(*) FROM (SELECT ord, lag(ord) OVER (PARTITION BY plugin"
		      " ORDER BY seq) AS before FROM vogeler.version) v WHERE ord <= before"),
	    0);
	drive_close(&s);
}

/* A list of packages of which one has another version; caller frees. */
static char *
packages(int odd)
{
	struct buf b;
	bool ok;

	buf_init(&b, 1 << 20);
	ok = buf_append_str(&b, "[\"\\u0000\"");
	for (int i = 0; i < 400; i++)
		ok = ok && buf_printf(&b, ",\"package-%d %d.%d\"", i * 7919 % 1009, i * 31 % 17,
			       i == odd ? 99 : i % 7);
	assert_true(ok && buf_append_char(&b, ']'));
	return buf_take(&b, NULL);
}

static void
assert_packages(struct fixture *s, const char *text)
{
	json_t *rec = drive_get(s, "h"), *want = json_loads(text, JSON_ALLOW_NUL, NULL);

	assert_true(json_equal(json_object_get(rec, "packages"), want));
	json_decref(rec);
	json_decref(want);
}

/* A few bytes each, from a value that is whole; it is read by others, and after a restart. */
static void
a_large_value_is_kept_as_a_difference(void **state)
{
	enum { CHANGES = 60 };
	struct fixture s;
	char *text = NULL;

	open_new(&s);
	for (int i = 1; i <= CHANGES; i++) {
		free(text);
		text = packages(i);
		assert_int_equal(
		    drive_put(&s, "h", drive_good("packages", text, i, i), NULL), STORE_OK);
		if (i % 20 == 0)
			assert_packages(&s, text);
	}
	drive_close(&s);
	drive_open(&s, uri, DRIVE_RECORD_MAX);
	assert_packages(&s, text);
	free(text);
	assert_int_equal(ask(name, "SELECT count(*) FROM vogeler.version"), CHANGES);
	assert_true(ask(name, "SELECT count(*) FROM vogeler.version WHERE base IS NOT NULL"
			      " AND octet_length(v) < bytes / 20") > CHANGES / 2);
	/* Differences do not add up to more than the values that they are from. */
	assert_true(
	    ask(name,
		"SELECT 1000 * sum(octet_length(v)) FILTER (WHERE base IS NOT NULL)"
		" / sum(octet_length(v)) FILTER (WHERE base IS NULL) FROM vogeler.version") < 1000);
	drive_close(&s);
}

struct pruned {
	struct fixture *s;
	bool done, more;
	uint64_t n;
};

static void
on_pruned(const struct trouble *why, uint64_t n, bool more, void *arg)
{
	struct pruned *p = arg;

	if (why != NULL)
		fail_msg(TROUBLE_FMT, TROUBLE_ARGS(why));
	p->n += n;
	p->more = more || n > 0;
	p->done = true;
	loop_stop(p->s->loop);
}

static uint64_t
prune_all(struct fixture *s, uint32_t age_s, uint32_t count)
{
	struct options_keep keep = {age_s, count};
	struct pruned p = {.s = s, .more = true};

	while (p.more) {
		p.done = false;
		store_history_prune(s->store, &keep, on_pruned, &p);
		drive_wait(s, &p.done);
	}
	return p.n;
}

/* By age it counts when a value was replaced, and not when it came. */
static void
what_was_replaced_long_ago_goes(void **state)
{
	struct fixture s;

	open_new(&s);
	for (int i = 0; i < 10; i++) /* a value a second, and the last one stays */
		assert_int_equal(
		    drive_put(&s, "h", drive_good("ps", i == 9 ? "9" : "[1,2]", i + 1, i * 1000),
			drive_good("df", i % 2 == 0 ? "1" : "2", i + 1, i * 1000), NULL),
		    STORE_OK);
	assert_int_equal(ask(name, "SELECT count(*) FROM vogeler.version"), 12);
	assert_int_equal(prune_all(&s, OPTIONS_KEEP_ALL, OPTIONS_KEEP_ALL), 0);
	/* The list of ps was replaced at once with the newest, and five of df before that. */
	assert_int_equal(prune_all(&s, 4, OPTIONS_KEEP_ALL), 4);
	assert_int_equal(prune_all(&s, 4, OPTIONS_KEEP_ALL), 0);
	assert_int_equal(prune_all(&s, OPTIONS_KEEP_ALL, 1), 4);
	assert_int_equal(prune_all(&s, 0, 0), 2);
	assert_int_equal(ask(name, "SELECT count(*) FROM vogeler.version v JOIN vogeler.fresh f"
				   " ON f.version = v.seq"),
	    2);
	drive_close(&s);
}

/* What others that stay are differences from stays as well; and what nobody has goes. */
static void
a_value_stays_that_others_are_from(void **state)
{
	struct fixture s;
	char *text = NULL;

	open_new(&s);
	for (int i = 1; i <= 5; i++) {
		free(text);
		text = packages(i);
		assert_int_equal(
		    drive_put(&s, "h", drive_good("packages", text, i, i), NULL), STORE_OK);
	}
	assert_int_equal(prune_all(&s, OPTIONS_KEEP_ALL, 1), 2);
	assert_packages(&s, text);
	assert_int_equal(prune_all(&s, OPTIONS_KEEP_ALL, 0), 1);
	assert_packages(&s, text);
	free(text);
	ask(name, "DELETE FROM vogeler.host");
	assert_int_equal(prune_all(&s, OPTIONS_KEEP_ALL, OPTIONS_KEEP_ALL), 2);
	drive_close(&s);
}

/* What comes again and again is to cost little: one small row, of which no index is written. */
static void
an_unchanged_result_touches_one_row(void **state)
{
	static const char others[] =
	    "SELECT (SELECT xmin::text::bigint FROM vogeler.host) * 1000"
	    " + (SELECT count(*) FROM vogeler.version) * 10 + (SELECT count(*) FROM vogeler.plugin)";
	struct fixture s;
	long long before;

	open_new(&s);
	assert_int_equal(drive_put(&s, "h", drive_good("ps", "[1]", 1, 1), NULL), STORE_OK);
	before = ask(name, others);
	for (int i = 2; i < 12; i++)
		assert_int_equal(drive_put(&s, "h", drive_good("ps", "[1]", i, i), NULL), STORE_OK);
	assert_int_equal(ask(name, others), before);
	assert_int_equal(ask(name, "SELECT ord FROM vogeler.fresh"), 11);
	drive_close(&s); /* a backend tells what it counted when it ends */
	while (ask(name, "SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'fresh'") < 10)
		usleep(20000);
	assert_int_equal(
	    ask(name, "SELECT n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'fresh'"), 10);
}

/* ---- SQL for people ---- */

static struct store *
open_beside(const struct fixture *s, const char *sql_values)
{
	struct options opt = {.record_max_bytes = DRIVE_RECORD_MAX,
	    .pg_connections = 2,
	    .pg_sql_values = (char *)sql_values};
	struct trouble why;
	struct uri parsed;
	struct store *store;

	assert_true(uri_parse(uri, &parsed, &why));
	store = store_open(s->loop, &parsed, &opt, STORE_USE, &why);
	uri_finish(&parsed);
	assert_non_null(store);
	return store;
}

/* Of the plugins that are named, and as it is now. */
static void
some_values_have_a_copy_for_sql(void **state)
{
	struct fixture s, named;

	open_new(&s);
	named = (struct fixture){s.loop, open_beside(&s, "facter, df,ps")};
	assert_int_equal(
	    drive_put(&named, "h", drive_good("ps", "{\"a\":1}", 1, 1),
		drive_good("ps", "{\"a\":2}", 2, 2), drive_good("packages", "[1]", 2, 2),
		drive_good("df", "[\"\\u0000\"]", 2, 2), NULL),
	    STORE_OK);
	assert_int_equal(ask(name, "SELECT count(*) FROM vogeler.value"), 2);
	assert_int_equal(
	    ask(name, "SET ROLE vogeler_read; SELECT (value->>'a')::int FROM vogeler.v_result"
		      " WHERE plugin = 'ps'"),
	    2);
	assert_int_equal(ask(name, "SELECT count(*) FROM vogeler.v_result WHERE value IS NULL"), 2);
	/* One that answers the same is as it was; of another value there is none to be shown. */
	assert_int_equal(drive_put(&s, "h", drive_good("ps", "{\"a\":2}", 3, 3), NULL), STORE_OK);
	assert_int_equal(ask(name, "SELECT count(*) FROM vogeler.v_result WHERE value IS NULL"), 2);
	assert_int_equal(drive_put(&s, "h", drive_good("ps", "{\"a\":3}", 4, 4), NULL), STORE_OK);
	assert_int_equal(ask(name, "SELECT count(*) FROM vogeler.v_result WHERE value IS NULL"), 3);
	assert_int_equal(
	    drive_put(&named, "h", drive_good("ps", "{\"a\":4}", 5, 5), NULL), STORE_OK);
	assert_int_equal(
	    ask(name, "SELECT (value->>'a')::int FROM vogeler.v_result WHERE plugin = 'ps'"), 4);
	store_close(named.store);
	drive_close(&s);
}

static void
the_views_say_what_the_records_say(void **state)
{
	struct fixture s;

	open_new(&s);
	assert_int_equal(drive_put(&s, "h", drive_good("ps", "1", 1, 0),
			     drive_failed("df", "boom", 2, 1000), NULL),
	    STORE_OK);
	assert_int_equal(drive_put(&s, "h", drive_good("ps", "2", 3, 2000), NULL), STORE_OK);
	assert_int_equal(ask(name, "SELECT count(*) FROM vogeler.v_host WHERE host = 'h' AND"
				   " plugins = 2 AND failing = 1 AND last_error = 'boom' AND"
				   " updated_at = '2010-09-26T02:16:31.609Z'"),
	    1);
	assert_int_equal(ask(name, "SELECT count(*) FROM vogeler.v_result WHERE plugin = 'df' AND"
				   " state = 'failed' AND error = 'boom' AND"
				   " failing_since = '2010-09-26T02:16:30.609Z'"),
	    1);
	assert_int_equal(ask(name, "SELECT count(*) FROM vogeler.v_history"), 2);
	assert_int_equal(ask(name, "SELECT count(*) FROM vogeler.v_change"), 2);
	assert_int_equal(ask(name, "SELECT count(*) FROM vogeler.v_job"), 0);
	drive_close(&s);
}

/* ---- several writers ---- */

enum { WRITERS = 2, HOSTS = 40, ROUNDS = 25 };

struct writer {
	struct fixture *s;
	struct store *store;
	int id, round;
	size_t left;
	struct store_write writes[HOSTS];
	struct store_write *given[HOSTS];
	struct result *results[HOSTS];
	char hosts[HOSTS][16];
	unsigned int *running;
};

static void next_round(struct writer *w);

static void
on_written(
    struct store_write *write, enum store_status status, const struct trouble *why, void *arg)
{
	struct writer *w = arg;

	if (status != STORE_OK)
		fail_msg("%s: %s", store_status_name(status), why == NULL ? "" : why->what);
	if (--w->left > 0)
		return;
	drive_results_free(w->results, HOSTS);
	next_round(w);
}

/* The same hosts, each in its own order, with orders of which every second is the other's. */
static void
next_round(struct writer *w)
{
	if (w->round++ == ROUNDS) {
		if (--*w->running == 0)
			loop_stop(w->s->loop);
		return;
	}
	w->left = HOSTS;
	for (int i = 0; i < HOSTS; i++) {
		int k = w->id == 0 ? i : HOSTS - 1 - i, order = w->round * WRITERS + w->id;
		char value[32];

		snprintf(w->hosts[i], sizeof(w->hosts[i]), "h%03d", k);
		snprintf(value, sizeof(value), "%d", order);
		w->results[i] = drive_good("ps", value, order, order);
		drive_write_init(&w->writes[i], w->hosts[i], &w->results[i], 1);
		w->given[i] = &w->writes[i];
	}
	store_put(w->store, w->given, HOSTS, on_written, w);
}

/* They begin with hosts that nobody knows, and go on with the same ones: no answer is a fault, the
 * newest stays, and no entry of the history is older than the one before. */
static void
two_write_the_same_hosts(void **state)
{
	static struct writer writers[WRITERS];
	unsigned int running = WRITERS;
	struct fixture s;

	open_new(&s);
	for (int i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){.s = &s, .id = i, .running = &running};
		writers[i].store = i == 0 ? s.store : open_beside(&s, NULL);
		next_round(&writers[i]);
	}
	loop_run(s.loop);
	store_close(writers[1].store);
	drive_close(&s);
	assert_int_equal(ask(name, "SELECT count(*) FROM vogeler.host"), HOSTS);
	assert_int_equal(ask(name, "SELECT count(*) FROM vogeler.fresh WHERE ord = 51"), HOSTS);
	assert_int_equal(
	    ask(name, "SELECT count(*) FROM (SELECT ord, lag(ord) OVER (PARTITION BY host"
		      " ORDER BY seq) AS before FROM vogeler.version) v WHERE ord <= before"),
	    0);
}

/* A collector that was stopped between the beginning and the end of what it says: its session lives
 * on, and so do its locks. */
static PGconn *
one_that_says_no_more(const char *sql)
{
	PGconn *c = connect_to(name);
	PGresult *r;

	PQclear(PQexec(c, "SET application_name = 'vogelerd'"));
	assert_true(PQenterPipelineMode(c) == 1 &&
		    PQsendQueryParams(c, sql, 0, NULL, NULL, NULL, NULL, 0) == 1 &&
		    PQsendFlushRequest(c) == 1 && PQflush(c) == 0);
	r = PQgetResult(c);
	assert_int_equal(PQresultStatus(r), PGRES_COMMAND_OK);
	PQclear(r);
	return c;
}

static void
who_holds_rows_and_says_nothing_is_thrown_out(void **state)
{
	struct fixture s;
	PGconn *stopped;

	open_new(&s);
	assert_int_equal(drive_put(&s, "h", drive_good("ps", "1", 1, 1), NULL), STORE_OK);
	stopped = one_that_says_no_more("UPDATE vogeler.fresh SET ord = 9");
	assert_int_equal(drive_put(&s, "h", drive_good("ps", "2", 2, 2), NULL), STORE_RETRY);
	assert_int_equal(drive_put(&s, "h", drive_good("ps", "2", 2, 2), NULL), STORE_OK);
	assert_int_equal(ask(name, "SELECT ord FROM vogeler.fresh"), 2);
	PQfinish(stopped);
	drive_close(&s);
}

/* ---- what the server refuses ---- */

static void
one_row_that_is_refused_leaves_the_others(void **state)
{
	struct result *results[3];
	struct store_write writes[3];
	enum store_status statuses[3];
	char why[3][DRIVE_WHY_SIZE];
	struct fixture s;

	open_new(&s);
	ask(name, "ALTER TABLE vogeler.fresh ADD CHECK (job IS DISTINCT FROM 'bad')");
	for (int i = 0; i < 3; i++) {
		static const char *const hosts[] = {"a", "b", "c"};

		results[i] = drive_good("ps", "1", 1, 1);
		results[i]->meta.job = xstrdup(i == 1 ? "bad" : "good");
		drive_write_init(&writes[i], hosts[i], &results[i], 1);
	}
	drive_put_batch(&s, writes, 3, statuses, why);
	for (int i = 0; i < 3; i++)
		assert_int_equal(statuses[i], i == 1 ? STORE_REFUSED : STORE_OK);
	assert_non_null(strstr(why[1], "fresh_job_check"));
	assert_int_equal(ask(name, "SELECT count(*) FROM vogeler.host WHERE name <> 'b'"), 2);
	assert_int_equal(ask(name, "SELECT count(*) FROM vogeler.host"), 2);
	drive_results_free(results, 3);
	drive_close(&s);
}

/* Where the server refuses all, that is not tried for each. */
static void
a_server_that_refuses_all_is_asked_a_few_times(void **state)
{
	enum { N = 20 };
	struct result *results[N];
	struct store_write writes[N];
	enum store_status statuses[N];
	char hosts[N][8];
	int refused = 0;
	struct fixture s;

	open_new(&s);
	ask(name, "ALTER TABLE vogeler.version ADD CHECK (codec > 99)");
	for (int i = 0; i < N; i++) {
		snprintf(hosts[i], sizeof(hosts[i]), "h%d", i);
		results[i] = drive_good("ps", "1", 1, 1);
		drive_write_init(&writes[i], hosts[i], &results[i], 1);
	}
	drive_put_batch(&s, writes, N, statuses, NULL);
	for (int i = 0; i < N; i++) {
		refused += statuses[i] == STORE_REFUSED;
		assert_true(statuses[i] == STORE_REFUSED || statuses[i] == STORE_REJECT_BATCH);
	}
	assert_true(refused > 0 && refused < N / 2);
	assert_int_equal(ask(name, "SELECT count(*) FROM vogeler.host"), 0);
	drive_results_free(results, N);
	drive_close(&s);
}

/* Text of headers need not be UTF-8, which PostgreSQL insists on. */
static void
text_that_is_no_utf8_is_mended(void **state)
{
	struct result *r = drive_failed("ps", "bad \xff byte", 1, 1);
	struct fixture s;

	open_new(&s);
	r->meta.response_id = xstrdup("id \xfe");
	r->meta.job = xstrdup("job");
	r->meta.boot_id = xstrdup("\xc3");
	r->meta.stderr_tail = xstrdup("\x80");
	assert_int_equal(drive_put(&s, "h", r, NULL), STORE_OK);
	assert_int_equal(ask(name, "SELECT count(*) FROM vogeler.outcome"), 1);
	drive_close(&s);
}

/* ---- lifetimes ---- */

struct listing {
	struct fixture s;
	int seen;
	bool done;
};

static void
on_listed(enum store_found found, json_t *rec, const struct trouble *why, void *arg)
{
	struct listing *l = arg;

	assert_int_equal(found, STORE_FOUND);
	if (++l->seen < 3)
		return;
	store_close(l->s.store);
	l->done = true;
	loop_stop(l->s.loop);
}

static void
on_forgotten(enum store_found found, json_t *rec, const struct trouble *why, void *arg)
{
	fail_msg("answered after the store was closed");
}

static void
closed_by_a_callback(void **state)
{
	struct listing l = {0};
	char host[16];

	open_new(&l.s);
	for (int i = 0; i < 5; i++) {
		snprintf(host, sizeof(host), "h%d", i);
		assert_int_equal(
		    drive_put(&l.s, host, drive_good("ps", "1", 1, 0), NULL), STORE_OK);
	}
	store_list(l.s.store, NULL, on_listed, &l);
	drive_wait(&l.s, &l.done);
	assert_int_equal(l.seen, 3);
	loop_destroy(l.s.loop);
}

static void
closed_with_work_in_hand(void **state)
{
	struct fixture s;

	open_new(&s);
	for (int i = 0; i < 20; i++)
		store_get(s.store, "h", on_forgotten, NULL);
	drive_close(&s);
}

int
main(void)
{
	static const struct suite_factory factory = {.begin = begin, .bounds_strays = true};
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(without_setup_the_cure_is_named),
	    cmocka_unit_test(tables_of_a_newer_vogeler_are_left_alone),
	    cmocka_unit_test(setup_gives_rights_that_are_missing),
	    cmocka_unit_test(what_another_server_wrote_goes_before_ours),
	    cmocka_unit_test(an_owner_that_is_no_superuser_sets_up),
	    cmocka_unit_test(each_value_of_a_write_has_its_entry),
	    cmocka_unit_test(a_large_value_is_kept_as_a_difference),
	    cmocka_unit_test(what_was_replaced_long_ago_goes),
	    cmocka_unit_test(a_value_stays_that_others_are_from),
	    cmocka_unit_test(an_unchanged_result_touches_one_row),
	    cmocka_unit_test(some_values_have_a_copy_for_sql),
	    cmocka_unit_test(the_views_say_what_the_records_say),
	    cmocka_unit_test(two_write_the_same_hosts),
	    cmocka_unit_test(who_holds_rows_and_says_nothing_is_thrown_out),
	    cmocka_unit_test(one_row_that_is_refused_leaves_the_others),
	    cmocka_unit_test(a_server_that_refuses_all_is_asked_a_few_times),
	    cmocka_unit_test(text_that_is_no_utf8_is_mended),
	    cmocka_unit_test(closed_by_a_callback),
	    cmocka_unit_test(closed_with_work_in_hand),
	};
	int failed;

	ident_init();
	failed = store_suite_run(&factory);
	failed += ledger_suite_run(&factory);
	failed += cmocka_run_group_tests_name("pg", tests, NULL, NULL);
	drop_last();
	return failed;
}
