/* SPDX-License-Identifier: Apache-2.0 */
/* The suite over sqlite://, and what only a file can do. */
#include "shared/base/ident.h"
#include "shared/base/trouble.h"
#include "shared/base/xalloc.h"
#include "tests/unit/ledger_suite.h"
#include "tests/unit/store_drive.h"
#include "tests/unit/store_suite.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];
static char path[128], uri[160];
static unsigned int files;

static const char *
begin(void)
{
	snprintf(path, sizeof(path), "%s/%u.db", folder, files++);
	snprintf(uri, sizeof(uri), "sqlite://%s", path);
	return uri;
}

static void
remove_all(void)
{
	char name[160];
	unsigned int i;

	for (i = 0; i < files; i++) {
		static const char *const ends[] = {"", "-wal", "-shm", ".old", ".old-wal"};
		size_t e;

		for (e = 0; e < sizeof(ends) / sizeof(ends[0]); e++) {
			snprintf(name, sizeof(name), "%s/%u.db%s", folder, i, ends[e]);
			unlink(name);
		}
	}
}

static void
the_file_and_its_mode(void **state)
{
	mode_t before = umask(022);
	struct fixture s;
	struct stat st;

	drive_open(&s, begin(), DRIVE_RECORD_MAX);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_string_equal(store_id(s.store), uri);
	assert_int_equal(store_limits(s.store)->batches_in_flight, 1);
	assert_int_equal(store_limits(s.store)->min_interval_ms, 50);
	drive_close(&s);
	umask(before);
}

static void
a_folder_that_is_not_there(void **state)
{
	char missing[160];

	snprintf(missing, sizeof(missing), "sqlite://%s/none/x.db", folder);
	drive_open_fails(missing, "/none; cure: make it");
}

static void
write_file(const char *text, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), len);
	close(fd);
}

static void
exec(const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void
a_file_that_is_no_database(void **state)
{
	char text[4096];

	begin();
	memset(text, 'x', sizeof(text));
	write_file(text, sizeof(text));
	drive_open_fails(uri, "not a database");
}

static void
a_database_of_somebody_else(void **state)
{
	begin();
	exec("CREATE TABLE bookmarks (url TEXT)");
	drive_open_fails(uri, "not one of Vogeler's");
}

static void
a_newer_schema(void **state)
{
	begin();
	exec("PRAGMA user_version = 99");
	drive_open_fails(uri, "newer Vogeler (schema 99");
}

static void is_on_disk(const char *sql, int want);

/* As it was made before there was a ledger; what is in it stays. */
static void
a_file_of_schema_1(void **state)
{
	struct fixture s;

	begin();
	exec("CREATE TABLE hosts (host TEXT PRIMARY KEY, created_at INTEGER NOT NULL,"
	     " updated_at INTEGER NOT NULL, last_error TEXT) WITHOUT ROWID;"
	     "CREATE TABLE facts (host TEXT, plugin TEXT, value_bytes INTEGER NOT NULL,"
	     " meta TEXT NOT NULL, PRIMARY KEY (host, plugin)) WITHOUT ROWID;"
	     "CREATE TABLE fact_values (host TEXT, plugin TEXT, value TEXT NOT NULL,"
	     " PRIMARY KEY (host, plugin));"
	     "INSERT INTO hosts VALUES ('h', 1, 2, NULL);"
	     "INSERT INTO facts VALUES ('h', 'ps', 3, '{}');"
	     "INSERT INTO fact_values VALUES ('h', 'ps', '[1]');"
	     "PRAGMA user_version = 1");
	drive_open(&s, uri, DRIVE_RECORD_MAX);
	drive_setup(&s, "was there");
	drive_expect(&s, "h",
	    "{\"_id\":\"h\",\"system_name\":\"h\",\"doc_type\":\"SystemRecord\","
	    "\"created_at\":\"1970-01-01T00:00:00.001Z\","
	    "\"updated_at\":\"1970-01-01T00:00:00.002Z\",\"ps\":[1],\"vogeler\":{\"ps\":{}}}");
	drive_close(&s);
	is_on_disk("PRAGMA user_version", 5);
	is_on_disk("SELECT count(*) FROM outcome", 0);
	is_on_disk("SELECT count(*) FROM job", 0);
}

/* As it was made before there were notes. */
static void
a_file_of_schema_3(void **state)
{
	struct fixture s;

	begin();
	exec("CREATE TABLE hosts (host TEXT PRIMARY KEY, created_at INTEGER NOT NULL,"
	     " updated_at INTEGER NOT NULL, last_error TEXT) WITHOUT ROWID;"
	     "CREATE TABLE facts (host TEXT, plugin TEXT, value_bytes INTEGER NOT NULL,"
	     " meta TEXT NOT NULL, PRIMARY KEY (host, plugin)) WITHOUT ROWID;"
	     "CREATE TABLE fact_values (host TEXT, plugin TEXT, value TEXT NOT NULL,"
	     " PRIMARY KEY (host, plugin));"
	     "CREATE TABLE jobs (id TEXT PRIMARY KEY, sent_at INTEGER NOT NULL,"
	     " not_after INTEGER NOT NULL, job TEXT NOT NULL);"
	     "CREATE INDEX jobs_by_time ON jobs (sent_at, id);"
	     "CREATE TABLE outcomes (job TEXT, host TEXT, state INTEGER, ord INTEGER,"
	     " response_id TEXT, at INTEGER NOT NULL, why TEXT, duration_ms INTEGER NOT NULL,"
	     " exit_status INTEGER NOT NULL, stray INTEGER,"
	     " PRIMARY KEY (job, host, state, ord, response_id)) WITHOUT ROWID;"
	     "CREATE INDEX outcomes_stray ON outcomes (host, at) WHERE stray = 1;"
	     "PRAGMA user_version = 3");
	drive_open(&s, uri, DRIVE_RECORD_MAX);
	drive_setup(&s, "was there");
	drive_close(&s);
	is_on_disk("PRAGMA user_version", 5);
	is_on_disk("SELECT count(*) FROM notes", 0);
}

static void
is_on_disk(const char *sql, int want)
{
	sqlite3 *db;
	sqlite3_stmt *stmt;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	assert_int_equal(sqlite3_column_int(stmt, 0), want);
	sqlite3_finalize(stmt);
	sqlite3_close(db);
}

/* When it is answered another process sees it, and the file is in the mode that promises that. */
static void
answered_means_committed(void **state)
{
	struct fixture s;

	drive_open(&s, begin(), DRIVE_RECORD_MAX);
	assert_int_equal(drive_put(&s, "h", drive_good("ps", "1", 1, 0), NULL), STORE_OK);
	is_on_disk("SELECT count(*) FROM version WHERE CAST(v AS TEXT) = '1'", 1);
	is_on_disk("SELECT count(*) FROM pragma_journal_mode WHERE journal_mode = 'wal'", 1);
	drive_close(&s);
}

/* ---- the runner, beside the collector ---- */

enum { AT_ONCE = 30 };

/* In the child cmocka's failures would go on with the next test. */
static void
child_fails(const char *why)
{
	fprintf(stderr, "the other process: %s\n", why);
	_exit(2);
}

static void
on_added(const struct trouble *why, const char *done, void *arg)
{
	if (why != NULL)
		child_fails(why->what);
	loop_stop(arg);
}

/* The other process. */
static void
add_jobs(void)
{
	struct options opt = {.record_max_bytes = DRIVE_RECORD_MAX};
	struct fixture s = {.loop = loop_create()};
	struct trouble why;
	struct uri u;

	if (!uri_parse(uri, &u, &why))
		child_fails(why.what);
	s.store = store_open(s.loop, &u, &opt, STORE_MAKE, &why);
	if (s.store == NULL)
		child_fails(why.what);
	for (int i = 0; i < AT_ONCE; i++) {
		char id[16];
		struct job j = {.id = id, .plugin = id};

		snprintf(id, sizeof(id), "job-%d", i);
		store_job_add(s.store, &j, on_added, s.loop);
		loop_run(s.loop);
	}
	drive_close(&s);
}

static void
two_processes_at_once(void **state)
{
	struct fixture s;
	int status;
	pid_t pid;

	begin();
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		add_jobs();
		_exit(0);
	}
	drive_open(&s, uri, DRIVE_RECORD_MAX);
	for (int i = 0; i < AT_ONCE; i++) {
		struct result *r = drive_good("ps", "1", i + 1, i);

		r->meta.job = xstrdup("job-0");
		assert_int_equal(drive_put(&s, "h", r, NULL), STORE_OK);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	drive_close(&s);
	is_on_disk("SELECT count(*) FROM job", AT_ONCE);
	is_on_disk(
	    "SELECT count(*) FROM outcome JOIN job j ON j.id = outcome.job WHERE j.name = 'job-0'",
	    AT_ONCE);
}

/* What is remembered of a record's size holds until another process writes. */
static void
another_process_makes_a_record_larger(void **state)
{
	char *text;
	struct fixture s, other;

	begin();
	xasprintf(&text, "\"%07000d\"", 0);
	drive_open(&s, uri, 20000);
	assert_int_equal(drive_put(&s, "h", drive_good("a", text, 1, 0), NULL), STORE_OK);
	drive_open(&other, uri, 20000);
	assert_int_equal(drive_put(&other, "h", drive_good("b", text, 2, 0), NULL), STORE_OK);
	drive_close(&other);
	assert_int_equal(drive_put(&s, "h", drive_good("c", text, 3, 0), NULL), STORE_REJECT);
	assert_int_equal(drive_put(&s, "h", drive_good("c", "1", 4, 0), NULL), STORE_OK);
	drive_close(&s);
	free(text);
}

static void
not_called(struct store_write *w, enum store_status status, const struct trouble *why, void *arg)
{
	fail_msg("answered after close");
}

static void
closing_finishes_the_commit_in_hand(void **state)
{
	struct result *results[] = {drive_good("ps", "1", 1, 0)};
	struct store_write w, *writes[] = {&w};
	struct fixture s;

	drive_open(&s, begin(), DRIVE_RECORD_MAX);
	drive_write_init(&w, "h", results, 1);
	store_put(s.store, writes, 1, not_called, NULL);
	drive_close(&s);
	drive_results_free(results, 1);
	is_on_disk("SELECT count(*) FROM host", 1);
}

/* A limit that was lowered refuses what makes the record larger, and does not lock the host out. */
static void
over_a_lowered_limit(void **state)
{
	struct fixture s;
	char *big = xcalloc(1, 10001);

	memset(big, 'x', 10000);
	big[0] = big[9999] = '"';
	drive_open(&s, begin(), DRIVE_RECORD_MAX);
	assert_int_equal(drive_put(&s, "h", drive_good("a", big, 1, 0), NULL), STORE_OK);
	assert_int_equal(drive_put(&s, "h", drive_good("b", big, 2, 0), NULL), STORE_OK);
	drive_close(&s);
	drive_open(&s, uri, 5000);
	assert_int_equal(drive_put(&s, "h", drive_good("c", "1", 3, 0), NULL), STORE_REJECT);
	assert_int_equal(drive_put(&s, "h", drive_good("a", big, 4, 0), NULL), STORE_OK);
	assert_int_equal(drive_put(&s, "h", drive_good("a", "1", 5, 0), NULL), STORE_OK);
	drive_close(&s);
	free(big);
}

#define ID_OF_B    "(SELECT id FROM host WHERE name = 'b')"
#define VALUE_OF_B " version v JOIN fresh f ON f.version = v.seq WHERE f.host = " ID_OF_B

/* One host's damage is that host's alone: the batch goes on, and so does the list. */
static void
a_damaged_record_stops_no_other(void **state)
{
	static const char *const damages[] = {
	    "UPDATE fresh SET meta = 'garbage' WHERE host = (SELECT id FROM host WHERE name = 'b')",
	    "UPDATE fresh SET meta = NULL; UPDATE host SET last_error = '{' WHERE name = 'b'",
	};
	const char *const wanted[] = {"ps"};
	const struct store_filter filter = {wanted, 1};
	enum store_status statuses[3];
	char why[3][DRIVE_WHY_SIZE];
	struct fixture s;
	json_t *list;

	drive_open(&s, begin(), DRIVE_RECORD_MAX);
	for (int i = 0; i < 3; i++)
		assert_int_equal(drive_put(&s, (const char *[]){"a", "b", "c"}[i],
				     drive_good("ps", "1", 1, 0), NULL),
		    STORE_OK);
	for (int d = 0; d < 2; d++) {
		struct result *r[3];
		struct store_write writes[3];

		exec(damages[d]);
		for (int i = 0; i < 3; i++) {
			r[i] = drive_good("ps", "2", 2 + d, 1);
			r[i]->meta.job = xstrdup("j");
			drive_write_init(&writes[i], (const char *[]){"a", "b", "c"}[i], &r[i], 1);
		}
		drive_put_batch(&s, writes, 3, statuses, why);
		assert_int_equal(statuses[0], STORE_OK);
		assert_int_equal(statuses[1], STORE_REJECT);
		assert_int_equal(statuses[2], STORE_OK);
		assert_string_equal(
		    why[1], d == 0 ? "what is stored of b, plugin ps is damaged: not JSON"
				   : "what is stored of b is damaged: not JSON");
		drive_results_free(r, 3);
		list = drive_list(&s);
		assert_int_equal(json_array_size(list), 2);
		json_decref(list);
	}
	is_on_disk("SELECT CAST(v AS TEXT) FROM" VALUE_OF_B, 1);
	is_on_disk("SELECT count(*) FROM version WHERE CAST(v AS TEXT) = '2'", 2);
	is_on_disk("SELECT count(*) FROM outcome WHERE host = " ID_OF_B, 0);
	/* A value, which a new one replaces: until then the record cannot be shown. */
	exec("UPDATE host SET last_error = NULL; UPDATE version SET v = '{' WHERE host = " ID_OF_B);
	list = drive_list_filtered(&s, &filter);
	assert_int_equal(json_array_size(list), 2);
	json_decref(list);
	list = drive_list(&s);
	assert_int_equal(json_array_size(list), 2);
	json_decref(list);
	assert_int_equal(drive_put(&s, "b", drive_good("ps", "3", 9, 2), NULL), STORE_OK);
	list = drive_list(&s);
	assert_int_equal(json_array_size(list), 3);
	json_decref(list);
	drive_close(&s);
}

/* ---- somebody else has the file locked ---- */

struct locked {
	struct fixture s;
	sqlite3 *other;
	int ticks; /* of the loop, while the write waits */
	struct loop_timer *timer;
	bool done;
	enum store_status status;
};

static void
on_tick(void *arg)
{
	struct locked *l = arg;

	if (++l->ticks == 5)
		assert_int_equal(sqlite3_exec(l->other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	else
		loop_timer_arm(l->timer, 5);
}

static void
on_written(struct store_write *w, enum store_status status, const struct trouble *why, void *arg)
{
	struct locked *l = arg;

	l->status = status;
	l->done = true;
	loop_stop(l->s.loop);
}

static void
a_lock_is_waited_for_and_the_loop_goes_on(void **state)
{
	struct result *results[] = {drive_good("ps", "1", 1, 0)};
	struct store_write w, *writes[] = {&w};
	struct locked l = {0};

	drive_open(&l.s, begin(), DRIVE_RECORD_MAX);
	l.timer = loop_timer_create(l.s.loop, "tick", on_tick, &l);
	assert_int_equal(sqlite3_open(path, &l.other), SQLITE_OK);
	assert_int_equal(sqlite3_exec(l.other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	drive_write_init(&w, "h", results, 1);
	store_put(l.s.store, writes, 1, on_written, &l);
	loop_timer_arm(l.timer, 5);
	drive_wait(&l.s, &l.done);
	assert_int_equal(l.ticks, 5);
	assert_int_equal(l.status, STORE_OK);
	loop_timer_destroy(l.timer);
	sqlite3_close(l.other);
	drive_close(&l.s);
	drive_results_free(results, 1);
}

/* ---- no room ---- */

static void
limit_files(rlim_t bytes)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes == RLIM_INFINITY ? limit.rlim_max : bytes;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void
a_full_disk_is_no_loss(void **state)
{
	struct result *of_a[] = {drive_good("ps", "1", 2, 0)}, *of_b[1];
	struct store_write writes[2];
	enum store_status statuses[2];
	char *big = xcalloc(1, 300001), why[2][DRIVE_WHY_SIZE];
	struct fixture s;

	memset(big, '7', 300000);
	big[0] = big[299999] = '"';
	of_b[0] = drive_good("ps", big, 1, 0);
	of_a[0]->meta.job = xstrdup("j");
	drive_open(&s, begin(), DRIVE_RECORD_MAX);
	assert_int_equal(drive_put(&s, "a", drive_good("ps", "0", 1, 0), NULL), STORE_OK);
	drive_write_init(&writes[0], "a", of_a, 1);
	drive_write_init(&writes[1], "b", of_b, 1);
	limit_files(100000); /* a write beyond this fails, as on a full disk */
	drive_put_batch(&s, writes, 2, statuses, why);
	assert_int_equal(statuses[0], STORE_RETRY);
	assert_int_equal(statuses[1], STORE_RETRY);
	assert_non_null(strstr(why[0], path));
	limit_files(1000);
	assert_false(drive_probe(&s, why[0], sizeof(why[0])));
	assert_non_null(strstr(why[0], path));
	limit_files(RLIM_INFINITY);
	assert_true(drive_probe(&s, NULL, 0));
	is_on_disk("SELECT CAST(v AS TEXT) FROM version", 0);
	is_on_disk("SELECT count(*) FROM version", 1);
	is_on_disk("SELECT count(*) FROM outcome", 0); /* all or nothing */
	drive_put_batch(&s, writes, 2, statuses, why);
	assert_int_equal(statuses[0], STORE_OK);
	assert_int_equal(statuses[1], STORE_OK);
	is_on_disk("SELECT CAST(v AS TEXT) FROM version v JOIN fresh f ON f.version = v.seq WHERE"
		   " f.host = (SELECT id FROM host WHERE name = 'a')",
	    1);
	is_on_disk("SELECT count(*) FROM outcome", 1);
	drive_close(&s);
	drive_results_free(of_a, 1);
	drive_results_free(of_b, 1);
	free(big);
}

/* Writing on into a file that nobody will find again would be losing. */
static void
a_file_that_was_moved_away(void **state)
{
	char moved[160];
	struct fixture s;

	drive_open(&s, begin(), DRIVE_RECORD_MAX);
	snprintf(moved, sizeof(moved), "%s.old", path);
	assert_int_equal(rename(path, moved), 0);
	assert_int_equal(drive_put(&s, "h", drive_good("ps", "1", 1, 0), NULL), STORE_RETRY);
	assert_false(drive_probe(&s, NULL, 0));
	write_file("", 0);
	assert_int_equal(drive_put(&s, "h", drive_good("ps", "1", 1, 0), NULL), STORE_RETRY);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rename(moved, path), 0);
	assert_int_equal(drive_put(&s, "h", drive_good("ps", "1", 1, 0), NULL), STORE_OK);
	drive_close(&s);
}

/* ---- closing in a callback ---- */

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
closed_by_a_callback(void **state)
{
	struct listing l = {0};
	char host[16];
	int i;

	drive_open(&l.s, begin(), DRIVE_RECORD_MAX);
	for (i = 0; i < 5; i++) {
		snprintf(host, sizeof(host), "h%d", i);
		assert_int_equal(
		    drive_put(&l.s, host, drive_good("ps", "1", 1, 0), NULL), STORE_OK);
	}
	store_list(l.s.store, NULL, on_listed, &l);
	drive_wait(&l.s, &l.done);
	assert_int_equal(l.seen, 3);
	loop_destroy(l.s.loop);
}

int
main(void)
{
	static const struct suite_factory factory = {.begin = begin, .bounds_strays = true};
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_file_and_its_mode),
	    cmocka_unit_test(a_folder_that_is_not_there),
	    cmocka_unit_test(a_file_that_is_no_database),
	    cmocka_unit_test(a_database_of_somebody_else),
	    cmocka_unit_test(a_newer_schema),
	    cmocka_unit_test(a_file_of_schema_1),
	    cmocka_unit_test(a_file_of_schema_3),
	    cmocka_unit_test(answered_means_committed),
	    cmocka_unit_test(two_processes_at_once),
	    cmocka_unit_test(another_process_makes_a_record_larger),
	    cmocka_unit_test(closing_finishes_the_commit_in_hand),
	    cmocka_unit_test(over_a_lowered_limit),
	    cmocka_unit_test(a_damaged_record_stops_no_other),
	    cmocka_unit_test(a_lock_is_waited_for_and_the_loop_goes_on),
	    cmocka_unit_test(a_full_disk_is_no_loss),
	    cmocka_unit_test(a_file_that_was_moved_away),
	    cmocka_unit_test(closed_by_a_callback),
	};
	int failed;

	snprintf(folder, sizeof(folder), "/tmp/vogeler-sqlite-XXXXXX");
	if (mkdtemp(folder) == NULL)
		return 1;
	signal(SIGXFSZ, SIG_IGN); /* a_full_disk_is_no_loss: an error, not the end */
	ident_init();
	failed = store_suite_run(&factory);
	failed += ledger_suite_run(&factory);
	failed += cmocka_run_group_tests_name("sqlite", tests, NULL, NULL);
	remove_all();
	rmdir(folder);
	return failed;
}
