/* SPDX-License-Identifier: Apache-2.0 */
/* A file of an older Vogeler: its records are the same afterwards, and until then it is as it was.
 */
#include "shared/base/ident.h"
#include "shared/base/log.h"
#include "shared/base/xalloc.h"
#include "shared/store/sqlite/sqldb.h"
#include "shared/store/sqlite/sqlite_copy.h"
#include "shared/store/sqlite/sqlite_migrate.h"
#include "tests/unit/store_drive.h"

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
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64], path[96], uri[128];

static int
begin(void **state)
{
	snprintf(folder, sizeof(folder), "/tmp/vogeler-migrate-XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/db", folder);
	snprintf(uri, sizeof(uri), "sqlite://%s", path);
	return 0;
}

static void
remove_file(void)
{
	static const char *const ends[] = {"", "-wal", "-shm"};
	char name[128];

	for (size_t i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "%s%s", path, ends[i]);
		unlink(name);
	}
}

static int
end(void **state)
{
	remove_file();
	return rmdir(folder);
}

/* ---- what was stored ---- */

static char *
read_data(const char *name, const char *ending)
{
	char from[512], *text;
	FILE *file;
	long len;

	snprintf(
	    from, sizeof(from), "%s/tests/data/%s.%s", getenv("VOGELER_SOURCE_DIR"), name, ending);
	file = fopen(from, "r");
	assert_non_null(file);
	assert_int_equal(fseek(file, 0, SEEK_END), 0);
	len = ftell(file);
	rewind(file);
	text = xcalloc(1, (size_t)len + 1);
	assert_int_equal(fread(text, 1, (size_t)len, file), len);
	fclose(file);
	return text;
}

static void
make_file(const char *name)
{
	char *sql = read_data(name, "sql");
	sqlite3 *db;

	assert_int_equal(
	    sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, "unix"),
	    SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	free(sql);
}

/* All rows of a query, a line each; malloced. */
static char *
rows(const char *sql)
{
	char *all = xstrdup(""), *more;
	sqlite3 *db;
	sqlite3_stmt *stmt;

	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, "unix"), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
	while (sqlite3_step(stmt) == SQLITE_ROW) {
		xasprintf(&more, "%s%s\n", all, (const char *)sqlite3_column_text(stmt, 0));
		free(all);
		all = more;
	}
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	return all;
}

static void
expect_rows(const char *sql, const char *want)
{
	char *have = rows(sql);

	assert_string_equal(have, want);
	free(have);
}

#define OLD_OUTCOMES(stray)                                                                        \
	"SELECT json_array(job, host, state, ord, response_id, at, why, duration_ms, exit_status"  \
	"" stray ") FROM outcomes ORDER BY job, host, state, ord, response_id"
#define HEX(from, n) "substr(lower(hex(response_id)), " from ", " n ")"
#define NEW_OUTCOMES(stray)                                                                        \
	"SELECT json_array(j.name, h.name, state, ord, text, at, why, duration_ms, exit_status"    \
	"" stray ") FROM (SELECT *, CASE typeof(response_id) WHEN 'blob' THEN " HEX(               \
	    "1", "8") " || '-' || " HEX("9", "4") " || '-' || " HEX("13",                          \
	    "4") " || '-' || " HEX("17", "4") " || '-' || " HEX("21",                              \
	    "12") " ELSE response_id END AS text FROM outcome) o"                                  \
		  " JOIN job j ON j.id = o.job JOIN host h ON h.id = o.host"                       \
		  " ORDER BY j.name, h.name, state, ord, text"
#define OLD_JOBS "SELECT json_array(id, sent_at, not_after, job) FROM jobs ORDER BY id"
#define NEW_JOBS                                                                                   \
	"SELECT json_array(name, sent_at, not_after, job) FROM job WHERE job IS NOT NULL"          \
	" ORDER BY name"

static void
expect_records(struct fixture *s, const char *name)
{
	char *text = read_data(name, "json");
	json_t *want = json_loads(text, 0, NULL), *have = drive_list(s), *rec;
	size_t i;

	assert_int_equal(json_array_size(have), json_array_size(want));
	json_array_foreach (want, i, rec) {
		if (!json_equal(json_array_get(have, i), rec))
			fail_msg("%s\nwas\n%s", json_dumps(json_array_get(have, i), JSON_SORT_KEYS),
			    json_dumps(rec, JSON_SORT_KEYS));
	}
	json_decref(want);
	json_decref(have);
	free(text);
}

static void
the_records_are_the_same(void **state)
{
	static const char *const names[] = {"schema2", "schema4"};

	for (size_t i = 0; i < 2; i++) {
		char *jobs, *outcomes;
		struct fixture s;
		json_t *notes;

		make_file(names[i]);
		jobs = rows(OLD_JOBS);
		outcomes = rows(i == 0 ? OLD_OUTCOMES("") : OLD_OUTCOMES(", stray"));
		drive_open(&s, uri, DRIVE_RECORD_MAX);
		drive_setup(&s, "was there");
		expect_records(&s, names[i]);
		notes = drive_notes(&s, "contact.");
		assert_int_equal(json_object_size(notes), i); /* schema 2 has none */
		json_decref(notes);
		drive_close(&s);
		expect_rows(NEW_JOBS, jobs);
		expect_rows(i == 0 ? NEW_OUTCOMES("") : NEW_OUTCOMES(", stray"), outcomes);
		expect_rows("PRAGMA integrity_check", "ok\n");
		expect_rows("SELECT name FROM sqlite_master WHERE name IN ('hosts', 'facts',"
			    " 'fact_values', 'jobs', 'outcomes')",
		    "");
		free(jobs);
		free(outcomes);
		remove_file();
	}
}

/* What comes next is judged as it would have been: an order that was seen is a repeat. */
static void
what_comes_next_goes_on(void **state)
{
	struct fixture s;
	json_t *before, *after;
	char *versions;

	make_file("schema4");
	drive_open(&s, uri, DRIVE_RECORD_MAX);
	before = drive_get(&s, "old");
	versions = rows("SELECT count(*) FROM version");
	assert_int_equal(drive_put(&s, "old", drive_good("ps", "[1]", 0, 1000), NULL), STORE_OK);
	after = drive_get(&s, "old");
	expect_rows("SELECT count(*) FROM version", versions);
	assert_string_equal(
	    json_string_value(json_object_get(
		json_object_get(json_object_get(after, "vogeler"), "ps"), "changed_at")),
	    json_string_value(json_object_get(
		json_object_get(json_object_get(before, "vogeler"), "ps"), "changed_at")));
	json_decref(before);
	json_decref(after);
	free(versions);
	drive_close(&s);
}

/* ---- failures ---- */

static void
expect_as_it_was(const char *name)
{
	char *text = read_data(name, "json");
	json_t *want = json_loads(text, 0, NULL);
	char records[32];

	snprintf(records, sizeof(records), "%zu\n", json_array_size(want));
	expect_rows("PRAGMA integrity_check", "ok\n");
	expect_rows("PRAGMA user_version", "4\n");
	expect_rows("SELECT count(*) FROM hosts", records);
	expect_rows("SELECT count(*) FROM sqlite_master WHERE name = 'fresh'", "0\n");
	json_decref(want);
	free(text);
}

static sqlite3_vfs *disk, frail_disk;
static sqlite3_io_methods frail_methods[2];
static const sqlite3_io_methods *disk_methods[2];
static int writes_left;

static int
write_frail(sqlite3_file *file, const void *data, int n, sqlite3_int64 at)
{
	size_t log = file->pMethods == &frail_methods[1];

	if (--writes_left == 0) {
		disk_methods[log]->xWrite(file, data, n / 2, at); /* torn */
		kill(getpid(), SIGKILL);
	}
	return disk_methods[log]->xWrite(file, data, n, at);
}

static int
open_frail(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
	int rc = disk->xOpen(disk, name, file, flags, out);
	size_t log = (flags & SQLITE_OPEN_WAL) != 0;

	if (rc != SQLITE_OK || (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL)) == 0)
		return rc;
	disk_methods[log] = file->pMethods;
	frail_methods[log] = *file->pMethods;
	frail_methods[log].xWrite = write_frail;
	file->pMethods = &frail_methods[log];
	return rc;
}

static bool
migrate(struct trouble *why)
{
	struct sqlite_migration m;
	struct sqldb db = {0};
	bool ok;

	atomic_init(&m.percent, -1);
	atomic_init(&m.cancel, false);
	ok = sqldb_open(&db, path, true, false) && sqlite_migrate(&db, &m);
	if (why != NULL)
		*why = db.why;
	sqldb_close(&db);
	return ok;
}

/* true: it was not killed. */
static bool
migrate_killed_at(int nth_write)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		writes_left = nth_write;
		disk = sqlite3_vfs_find("unix");
		frail_disk = *disk;
		frail_disk.zName = "frail";
		frail_disk.xOpen = open_frail;
		sqlite3_vfs_register(&frail_disk, 1);
		_exit(migrate(NULL) ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
	return !WIFSIGNALED(status);
}

static bool
is_new(void)
{
	char *version = rows("PRAGMA user_version");
	bool new = strcmp(version, "5\n") == 0;

	free(version);
	return new;
}

static void
killed_at_any_write_it_is_whole_or_as_it_was(void **state)
{
	int old = 0, new = 0;
	bool over = false;

	for (int nth = 1; !over; nth += 1 + nth / 8) {
		struct fixture s;

		make_file("schema4");
		over = migrate_killed_at(nth);
		if (is_new()) {
			new ++;
		} else {
			old++;
			expect_as_it_was("schema4");
		}
		drive_open(&s, uri, DRIVE_RECORD_MAX);
		expect_records(&s, "schema4");
		drive_close(&s);
		remove_file();
	}
	assert_true(old > 10 && new > 1);
}

static unsigned long free_blocks; /* 0: as it is */

int
statvfs(const char *name, struct statvfs *st)
{
	memset(st, 0, sizeof(*st));
	st->f_frsize = st->f_bsize = 4096;
	st->f_bavail = st->f_bfree = free_blocks == 0 ? 1UL << 40 : free_blocks;
	return 0;
}

static void
without_room_it_is_as_it_was(void **state)
{
	struct trouble why;

	make_file("schema4");
	free_blocks = 3;
	assert_false(migrate(&why));
	free_blocks = 0;
	assert_non_null(strstr(why.what, path));
	assert_non_null(strstr(why.what, "to bring it up to date takes"));
	assert_string_equal(why.cure, "make room on the disk it is on");
	expect_as_it_was("schema4");
	assert_true(migrate(NULL));
}

static void
limit_files(rlim_t bytes)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes == RLIM_INFINITY ? limit.rlim_max : bytes;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* The collector asks again and again; once there is room all is well. */
static void
a_disk_that_becomes_full_and_empty_again(void **state)
{
	struct fixture s;
	char what[512];

	make_file("schema4");
	limit_files(40000);
	drive_open(&s, uri, DRIVE_RECORD_MAX);
	assert_false(drive_probe(&s, what, sizeof(what)));
	assert_non_null(strstr(what, path));
	assert_int_equal(drive_put(&s, "h", drive_good("ps", "1", 1, 0), NULL), STORE_RETRY);
	limit_files(RLIM_INFINITY);
	expect_as_it_was("schema4");
	assert_true(drive_probe(&s, NULL, 0));
	expect_records(&s, "schema4");
	assert_int_equal(drive_put(&s, "h", drive_good("ps", "1", 1, 0), NULL), STORE_OK);
	drive_close(&s);
}

/* "vogeler-admin restore", while the collector has the store open. */
static void
a_backup_of_an_older_vogeler_is_put_in_its_place(void **state)
{
	struct sqlite_copy *copy;
	struct trouble why = {0};
	struct fixture s;
	char backup[128];

	make_file("schema4");
	snprintf(backup, sizeof(backup), "%s/backup", folder);
	assert_int_equal(rename(path, backup), 0);
	drive_open(&s, uri, DRIVE_RECORD_MAX);
	assert_int_equal(drive_put(&s, "h", drive_good("ps", "1", 1, 0), NULL), STORE_OK);
	copy = sqlite_copy_create(backup, path, true, &why);
	assert_non_null(copy);
	while (sqlite_copy_step(copy, &why) == SQLITE_COPY_MORE)
		continue;
	sqlite_copy_destroy(copy);
	assert_int_equal(unlink(backup), 0);
	assert_int_equal(drive_put(&s, "h", drive_good("ps", "1", 1, 0), NULL), STORE_RETRY);
	assert_true(drive_probe(&s, NULL, 0));
	expect_records(&s, "schema4");
	assert_int_equal(drive_put(&s, "h", drive_good("ps", "1", 1, 0), NULL), STORE_OK);
	drive_close(&s);
}

static void
cancelled_it_is_as_it_was(void **state)
{
	struct sqlite_migration m;
	struct sqldb db = {0};

	make_file("schema4");
	atomic_init(&m.percent, -1);
	atomic_init(&m.cancel, true);
	assert_true(sqldb_open(&db, path, true, false));
	assert_false(sqlite_migrate(&db, &m));
	assert_int_equal(atomic_load(&m.percent), -1);
	sqldb_close(&db);
	expect_as_it_was("schema4");
}

/* Nobody but the collector, and setup, changes it. */
static void
others_leave_it_alone(void **state)
{
	struct sqldb db = {0};

	make_file("schema4");
	assert_false(sqldb_open(&db, path, false, false));
	assert_non_null(strstr(db.why.what, "made by an older Vogeler"));
	assert_non_null(strstr(db.why.cure, "start vogelerd"));
	sqldb_close(&db);
	expect_as_it_was("schema4");
}

static void
a_damaged_row_is_named(void **state)
{
	struct trouble why;
	sqlite3 *db;

	make_file("schema4");
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, "unix"), SQLITE_OK);
	assert_int_equal(
	    sqlite3_exec(db, "UPDATE facts SET meta = '{' WHERE host = 'old'", NULL, NULL, NULL),
	    SQLITE_OK);
	sqlite3_close(db);
	assert_false(migrate(&why));
	assert_non_null(strstr(why.what, "what is stored of old, plugin ps is not JSON"));
	expect_as_it_was("schema4");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(the_records_are_the_same, begin, end),
	    cmocka_unit_test_setup_teardown(what_comes_next_goes_on, begin, end),
	    cmocka_unit_test_setup_teardown(
		killed_at_any_write_it_is_whole_or_as_it_was, begin, end),
	    cmocka_unit_test_setup_teardown(without_room_it_is_as_it_was, begin, end),
	    cmocka_unit_test_setup_teardown(a_disk_that_becomes_full_and_empty_again, begin, end),
	    cmocka_unit_test_setup_teardown(
		a_backup_of_an_older_vogeler_is_put_in_its_place, begin, end),
	    cmocka_unit_test_setup_teardown(cancelled_it_is_as_it_was, begin, end),
	    cmocka_unit_test_setup_teardown(others_leave_it_alone, begin, end),
	    cmocka_unit_test_setup_teardown(a_damaged_row_is_named, begin, end),
	};

	signal(SIGXFSZ, SIG_IGN);
	ident_init();
	log_set_level(LOG_LEVEL_CRITICAL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
