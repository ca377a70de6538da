/* SPDX-License-Identifier: Apache-2.0 */
/* What goes of old values in an SQLite file, and that what stays can be read. */
#include "shared/base/ident.h"
#include "shared/base/log.h"
#include "shared/base/xalloc.h"
#include "shared/store/sql/value_codec.h"
#include "tests/unit/store_drive.h"

#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { ROWS_MAX = 4000 };

static char folder[64], path[96], uri[128];

static int
begin(void **state)
{
	snprintf(folder, sizeof(folder), "/tmp/vogeler-history-XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/db", folder);
	snprintf(uri, sizeof(uri), "sqlite://%s", path);
	return 0;
}

static int
end(void **state)
{
	static const char *const ends[] = {"", "-wal", "-shm"};
	char name[128];

	for (size_t i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "%s%s", path, ends[i]);
		unlink(name);
	}
	return rmdir(folder);
}

static int64_t
ask(const char *sql)
{
	sqlite3 *db;
	sqlite3_stmt *stmt;
	int64_t n;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	n = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	return n;
}

/* ---- pruning ---- */

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

	drive_open(&s, uri, DRIVE_RECORD_MAX);
	for (int i = 0; i < 10; i++) /* a value a second, and the last one stays */
		assert_int_equal(
		    drive_put(&s, "h", drive_good("ps", i == 9 ? "9" : "[1,2]", i + 1, i * 1000),
			drive_good("df", i % 2 == 0 ? "1" : "2", i + 1, i * 1000), NULL),
		    STORE_OK);
	assert_int_equal(ask("SELECT count(*) FROM version"), 12);
	assert_int_equal(prune_all(&s, OPTIONS_KEEP_ALL, OPTIONS_KEEP_ALL), 0);
	/* The list of ps was replaced at once with the newest, and five of df before that. */
	assert_int_equal(prune_all(&s, 4, OPTIONS_KEEP_ALL), 4);
	assert_int_equal(prune_all(&s, 4, OPTIONS_KEEP_ALL), 0);
	assert_int_equal(ask("SELECT count(*) FROM version_of"), 8);
	assert_int_equal(prune_all(&s, OPTIONS_KEEP_ALL, 1), 4);
	assert_int_equal(prune_all(&s, 0, 0), 2);
	assert_int_equal(
	    ask("SELECT count(*) FROM version v JOIN fresh f ON f.version = v.seq"), 2);
	assert_int_equal(ask("SELECT count(*) FROM version_of"), 2);
	drive_close(&s);
}

/* ---- against a model ---- */

struct version {
	int64_t seq, pair, at, base;
	bool stays;
};

static size_t
read_versions(struct version list[ROWS_MAX])
{
	sqlite3 *db;
	sqlite3_stmt *stmt;
	size_t n = 0;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db,
			     "SELECT seq, plugin * 1000 + host, at, coalesce(base, 0) FROM version"
			     " ORDER BY seq",
			     -1, &stmt, NULL),
	    SQLITE_OK);
	while (sqlite3_step(stmt) == SQLITE_ROW) {
		assert_true(n < ROWS_MAX);
		list[n++] =
		    (struct version){sqlite3_column_int64(stmt, 0), sqlite3_column_int64(stmt, 1),
			sqlite3_column_int64(stmt, 2), sqlite3_column_int64(stmt, 3), false};
	}
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	return n;
}

/* By the words of store_history_prune(). */
static void
judge(struct version *list, size_t n, const struct options_keep *keep)
{
	int64_t newest = list[n - 1].at;

	for (size_t i = 0; i < n; i++) {
		const struct version *next = NULL;
		uint32_t newer = 0;

		for (size_t k = i + 1; k < n; k++) {
			if (list[k].pair != list[i].pair)
				continue;
			if (next == NULL)
				next = &list[k];
			newer++;
		}
		list[i].stays =
		    next == NULL || ((keep->age_s == OPTIONS_KEEP_ALL ||
					 next->at >= newest - (int64_t)keep->age_s * 1000) &&
					(keep->count == OPTIONS_KEEP_ALL || newer <= keep->count));
	}
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; list[i].stays && k < i; k++)
			list[k].stays = list[k].stays || list[k].seq == list[i].base;
	}
}

/* Malloced. hash: of the row, in hex. */
static char *
decode(sqlite3 *db, struct value_coder *coder, int64_t seq, char hash[IDENT_HASH_SIZE])
{
	sqlite3_stmt *stmt;
	char *text, *key = NULL, unused[IDENT_HASH_SIZE];

	assert_int_equal(
	    sqlite3_prepare_v2(db, "SELECT codec, bytes, v, hash, base FROM version WHERE seq = ?1",
		-1, &stmt, NULL),
	    SQLITE_OK);
	sqlite3_bind_int64(stmt, 1, seq);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	if (sqlite3_column_type(stmt, 4) != SQLITE_NULL)
		key = decode(db, coder, sqlite3_column_int64(stmt, 4), unused);
	ident_hash_from_bytes(hash, sqlite3_column_blob(stmt, 3));
	assert_int_equal(
	    value_decode(coder, sqlite3_column_int64(stmt, 0), sqlite3_column_blob(stmt, 2),
		(size_t)sqlite3_column_bytes(stmt, 2), (uint64_t)sqlite3_column_int64(stmt, 1), key,
		key == NULL ? 0 : strlen(key), &text),
	    VALUE_DECODED);
	sqlite3_finalize(stmt);
	free(key);
	return text;
}

/* Every value that is there is what its hash says. */
static void
expect_whole(void)
{
	struct version *list = xcalloc(ROWS_MAX, sizeof(*list));
	struct value_coder *coder = value_coder_create();
	size_t n = read_versions(list);
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	for (size_t i = 0; i < n; i++) {
		char hash[IDENT_HASH_SIZE], want[IDENT_HASH_SIZE];
		char *text = decode(db, coder, list[i].seq, want);

		ident_hash(hash, text, strlen(text));
		assert_string_equal(hash, want);
		free(text);
	}
	sqlite3_close(db);
	value_coder_destroy(coder);
	free(list);
}

/* A value of one to six kilobytes that changes here and there, so that there are differences. */
static struct result *
changing(const char *plugin, unsigned int *seed, char *body, size_t size, int64_t order, int64_t at)
{
	struct result *r;
	char *text;

	body[rand_r(seed) % size] = (char)('a' + rand_r(seed) % 26);
	if (rand_r(seed) % 10 == 0)
		for (size_t i = 0; i < size / 3; i++)
			body[rand_r(seed) % size] = (char)('a' + rand_r(seed) % 26);
	xasprintf(&text, "\"%.*s\"", (int)size, body);
	r = drive_good(plugin, text, order, at);
	free(text);
	return r;
}

static void
fill(struct fixture *s, unsigned int *seed)
{
	static char bodies[12][6000];
	static const char *const plugins[] = {"a", "b", "c"};
	int64_t at = 0;

	for (int i = 0; i < 12; i++)
		for (size_t k = 0; k < sizeof(bodies[i]); k++)
			bodies[i][k] = (char)('a' + rand_r(seed) % 26);
	for (int i = 0; i < 400; i++) {
		unsigned int pair = rand_r(seed) % 12;
		char host[16];

		at += rand_r(seed) % 2000;
		snprintf(host, sizeof(host), "h%u", pair / 3);
		assert_int_equal(drive_put(s, host,
				     changing(plugins[pair % 3], seed, bodies[pair],
					 pair < 2 ? 100 : 1000 * (pair % 6 + 1), i + 1, at),
				     NULL),
		    STORE_OK);
	}
}

static void
expect_pruned(struct fixture *s, uint32_t age_s, uint32_t count)
{
	struct options_keep keep = {age_s, count};
	struct version *before = xcalloc(ROWS_MAX, sizeof(*before));
	struct version *after = xcalloc(ROWS_MAX, sizeof(*after));
	size_t n = read_versions(before), kept = 0, m;
	json_t *records = drive_list(s), *same;

	judge(before, n, &keep);
	prune_all(s, age_s, count);
	m = read_versions(after);
	for (size_t i = 0; i < n; i++) {
		if (!before[i].stays)
			continue;
		assert_true(kept < m);
		assert_int_equal(after[kept++].seq, before[i].seq);
	}
	assert_int_equal(kept, m);
	expect_whole();
	same = drive_list(s);
	assert_true(json_equal(records, same));
	json_decref(records);
	json_decref(same);
	free(before);
	free(after);
}

static void
what_stays_is_what_is_to_stay(void **state)
{
	for (unsigned int seed = 1; seed <= 6; seed++) {
		unsigned int random = seed;
		struct fixture s;

		begin(state);
		drive_open(&s, uri, DRIVE_RECORD_MAX);
		fill(&s, &random);
		assert_true(ask("SELECT count(*) FROM version WHERE base IS NOT NULL") > 100);
		expect_pruned(&s, OPTIONS_KEEP_ALL, OPTIONS_KEEP_ALL);
		expect_pruned(&s, 350, OPTIONS_KEEP_ALL);
		expect_pruned(&s, 300, 25);
		expect_pruned(&s, OPTIONS_KEEP_ALL, 12);
		expect_pruned(&s, 100, 12);
		expect_pruned(&s, 0, 3);
		expect_pruned(&s, 0, 0);
		drive_close(&s);
		assert_int_equal(end(state), 0);
	}
}

/* A repeat of the same rounds goes on where values have come since, and a step is done again after
 * a crash: another process begins its walk anew. */
static void
a_walk_goes_on_with_what_came_since(void **state)
{
	unsigned int random = 7;
	struct fixture s;

	drive_open(&s, uri, DRIVE_RECORD_MAX);
	for (int i = 0; i < 3; i++) {
		fill(&s, &random);
		expect_pruned(&s, OPTIONS_KEEP_ALL, 5);
		if (i == 1) {
			drive_close(&s);
			drive_open(&s, uri, DRIVE_RECORD_MAX);
		}
	}
	drive_close(&s);
}

/* What the index still leads to is not there: nobody needs it. */
static void
an_index_that_is_behind_harms_nobody(void **state)
{
	unsigned int random = 9;
	struct fixture s;
	sqlite3 *db;

	drive_open(&s, uri, DRIVE_RECORD_MAX);
	fill(&s, &random);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(
	    sqlite3_exec(db,
		"DELETE FROM version WHERE seq <= 100 AND seq NOT IN (SELECT base FROM version"
		" WHERE base IS NOT NULL) AND seq NOT IN (SELECT version FROM fresh)",
		NULL, NULL, NULL),
	    SQLITE_OK);
	sqlite3_close(db);
	expect_pruned(&s, 200, 20);
	assert_int_equal(
	    ask("SELECT count(*) FROM version_of WHERE seq NOT IN (SELECT seq FROM version)"), 0);
	drive_forget(&s, "h1", "forgotten");
	expect_pruned(&s, 100, 10);
	drive_close(&s);
}

/* ---- the index follows in slices ---- */

enum { SLICE = 4096, AT_ONCE = 65536 };

static void
add_new(void)
{
	ask("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 70000)"
	    " INSERT INTO version (plugin, host, at, codec, bytes, v)"
	    " SELECT 1, 1 + i * 31 % 700, 0, 0, 1, '1' FROM n RETURNING 1");
	ask("INSERT INTO version_new SELECT seq, plugin, host FROM version WHERE true"
	    " ON CONFLICT DO NOTHING RETURNING 1");
}

static void
put_changes(struct fixture *s, int n)
{
	static int order;

	for (int i = 0; i < n; i++, order++)
		assert_int_equal(
		    drive_put(
			s, "h", drive_good("ps", order % 2 == 0 ? "1" : "2", order + 1, 1), NULL),
		    STORE_OK);
}

static int64_t
indexed(void)
{
	return ask("SELECT count(*) FROM version_of");
}

/* A store that is closed forgets where it was, as one that is killed does. */
static void
the_index_follows_the_values(void **state)
{
	struct fixture s;

	(void)state;
	drive_open(&s, uri, DRIVE_RECORD_MAX);
	put_changes(&s, 10);
	assert_int_equal(indexed(), 0); /* so few are not worth a page each */
	add_new();
	put_changes(&s, 5);
	assert_int_equal(indexed(), 5 * SLICE);
	drive_close(&s);
	drive_open(&s, uri, DRIVE_RECORD_MAX);
	put_changes(&s, 5); /* the same slices again */
	assert_int_equal(indexed(), 5 * SLICE);
	put_changes(&s, 11);
	assert_int_equal(indexed(), AT_ONCE);
	assert_int_equal(ask("SELECT min(seq) FROM version_new"), AT_ONCE + 1);
	put_changes(&s, 10); /* the rest is few again */
	assert_int_equal(indexed(), AT_ONCE);
	drive_forget(&s, "h", "forgotten");
	assert_int_equal(ask("SELECT count(*) FROM version v JOIN host h ON h.id = v.host"), 0);
	prune_all(&s, OPTIONS_KEEP_ALL, OPTIONS_KEEP_ALL);
	assert_int_equal(ask("SELECT count(*) FROM version_new"), 0);
	assert_int_equal(ask("SELECT count(*) FROM version WHERE (plugin, host, seq) NOT IN"
			     " (SELECT plugin, host, seq FROM version_of)"),
	    0);
	drive_close(&s);
}

/* Whoever invents machines, jobs and plugins leaves nothing of them. */
static void
names_that_nobody_mentions_go(void **state)
{
	struct fixture s;
	struct result *r;

	drive_open(&s, uri, DRIVE_RECORD_MAX);
	for (int i = 1; i <= 20; i++) {
		char text[32];

		r = drive_good("ps", "1", i, i);
		snprintf(text, sizeof(text), "boot-%d", i);
		r->meta.boot_id = xstrdup(text);
		snprintf(text, sizeof(text), "job/%d", i); /* no id of a job: without outcome */
		r->meta.job = xstrdup(text);
		assert_int_equal(drive_put(&s, "h", r, NULL), STORE_OK);
	}
	assert_int_equal(drive_put(&s, "gone", drive_good("of-gone", "1", 1, 1), NULL), STORE_OK);
	drive_forget(&s, "gone", "forgotten");
	assert_int_equal(ask("SELECT count(*) FROM machine"), 21);
	prune_all(&s, 1000, 1000); /* too few to look */
	assert_int_equal(ask("SELECT count(*) FROM machine"), 21);
	ask("INSERT INTO machine VALUES (20000, 'm', 'b', 'v') RETURNING 1");
	prune_all(&s, 999, 1000);
	assert_int_equal(ask("SELECT count(*) FROM machine"), 1);
	assert_int_equal(ask("SELECT count(*) FROM job"), 1);
	assert_int_equal(ask("SELECT count(*) FROM plugin"), 1);
	assert_int_equal(ask("SELECT count(*) FROM host"), 1);
	drive_expect(&s, "h",
	    "{\"_id\":\"h\",\"system_name\":\"h\",\"doc_type\":\"SystemRecord\","
	    "\"created_at\":\"2010-09-26T02:16:29.610Z\","
	    "\"updated_at\":\"2010-09-26T02:16:29.629Z\",\"ps\":1,\"vogeler\":{\"ps\":{"
	    "\"boot_id\":\"boot-20\",\"changed_at\":\"2010-09-26T02:16:29.610Z\","
	    "\"format\":\"json\",\"hash\":\"@\",\"job\":\"job/20\",\"machine_id\":\"" DRIVE_MACHINE
	    "\",\"order\":20,\"received_at\":\"2010-09-26T02:16:29.629Z\"}}}");
	drive_close(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(what_was_replaced_long_ago_goes, begin, end),
	    cmocka_unit_test(what_stays_is_what_is_to_stay),
	    cmocka_unit_test_setup_teardown(a_walk_goes_on_with_what_came_since, begin, end),
	    cmocka_unit_test_setup_teardown(an_index_that_is_behind_harms_nobody, begin, end),
	    cmocka_unit_test_setup_teardown(the_index_follows_the_values, begin, end),
	    cmocka_unit_test_setup_teardown(names_that_nobody_mentions_go, begin, end),
	};

	ident_init();
	log_set_level(LOG_LEVEL_CRITICAL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
