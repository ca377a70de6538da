/* SPDX-License-Identifier: Apache-2.0 */
/* A page of an SQLite file is damaged, or the disk does not give it: those whose it is are answered
 * alone, and everybody else goes on. */
#include "shared/base/ident.h"
#include "shared/base/log.h"
#include "shared/base/xalloc.h"
#include "tests/unit/store_drive.h"

#include <fcntl.h>
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

enum { HOSTS = 2100, PAGE = 4096, VALUE_SIZE = 400 };

#define JOB "0192f0c1-7b7a-7000-8000-000000000001"

static char folder[64], path[96], uri[128];

static int
begin(void **state)
{
	snprintf(folder, sizeof(folder), "/tmp/vogeler-damage-XXXXXX");
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

/* ---- writes ---- */

struct fleet {
	char name[HOSTS][16];
	struct result *results[HOSTS];
	struct store_write writes[HOSTS];
	enum store_status statuses[HOSTS];
	char why[HOSTS][DRIVE_WHY_SIZE];
	unsigned int taken, refused;
};

/* Of the size at which each table has many pages, and a difference is made. */
static void
make_value(char value[VALUE_SIZE], int64_t order)
{
	memset(value, 'x', VALUE_SIZE);
	value[0] = value[VALUE_SIZE - 2] = '"';
	value[VALUE_SIZE - 1] = '\0';
	snprintf(value + 1, 32, "%08d", (int)order);
	value[9] = 'x';
}

/* All hosts in one put. Those that are not taken are to come again, and are named. */
static void
put_fleet(struct fixture *s, struct fleet *f, int64_t order)
{
	char value[VALUE_SIZE];

	make_value(value, order);
	for (int i = 0; i < HOSTS; i++) {
		snprintf(f->name[i], sizeof(f->name[i]), "host%04d", i);
		f->results[i] = drive_good("ps", value, order, order);
		f->results[i]->meta.job = xstrdup(JOB);
		drive_write_init(&f->writes[i], f->name[i], &f->results[i], 1);
	}
	drive_put_batch(s, f->writes, HOSTS, f->statuses, f->why);
	drive_results_free(f->results, HOSTS);
	f->taken = f->refused = 0;
	for (int i = 0; i < HOSTS; i++) {
		f->taken += f->statuses[i] == STORE_OK;
		f->refused += f->statuses[i] != STORE_OK;
		if (f->statuses[i] == STORE_OK)
			continue;
		assert_int_equal(f->statuses[i], STORE_DAMAGED);
		if (strstr(f->why[i], f->name[i]) == NULL)
			fail_msg("%s: %s", f->name[i], f->why[i]);
	}
}

/* ---- damage ---- */

static int
page_in_the_middle_of(const char *table)
{
	sqlite3 *db;
	sqlite3_stmt *stmt;
	int page;

	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, "unix"), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db,
			     "SELECT pageno FROM dbstat WHERE name = ?1 AND pagetype = 'leaf'"
			     " ORDER BY path LIMIT 1 OFFSET 2",
			     -1, &stmt, NULL),
	    SQLITE_OK);
	sqlite3_bind_text(stmt, 1, table, -1, SQLITE_STATIC);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	page = sqlite3_column_int(stmt, 0);
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	return page;
}

static void
damage(int page)
{
	char rubbish[PAGE];
	int fd = open(path, O_WRONLY);

	memset(rubbish, 0xa5, sizeof(rubbish));
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, rubbish, sizeof(rubbish), (off_t)(page - 1) * PAGE), PAGE);
	close(fd);
}

/* A disk that does not give one page: between SQLite and the file of the database. */
static int bad_page;
static sqlite3_vfs *disk, bad_disk;
static sqlite3_io_methods bad_methods;
static const sqlite3_io_methods *disk_methods;

static int
read_bad(sqlite3_file *file, void *to, int n, sqlite3_int64 at)
{
	if (bad_page > 0 && at / PAGE == bad_page - 1)
		return SQLITE_IOERR_READ;
	return disk_methods->xRead(file, to, n, at);
}

static int
open_bad(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
	int rc = disk->xOpen(disk, name, file, flags, out);

	if (rc != SQLITE_OK || (flags & SQLITE_OPEN_MAIN_DB) == 0)
		return rc;
	disk_methods = file->pMethods;
	bad_methods = *file->pMethods;
	bad_methods.xRead = read_bad;
	bad_methods.iVersion = 2; /* without memory maps */
	file->pMethods = &bad_methods;
	return rc;
}

static void
use_bad_disk(int page)
{
	disk = sqlite3_vfs_find("unix"); /* a test before that failed may have left its own */
	bad_disk = *disk;
	bad_disk.zName = "bad";
	bad_disk.xOpen = open_bad;
	bad_page = page;
	assert_int_equal(sqlite3_vfs_register(&bad_disk, 1), SQLITE_OK);
}

/* As when the file system is mounted read-only: SQLite opens the file all the same. */
static bool disk_is_read_only;

static int
open_read_only(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
	if (disk_is_read_only && (flags & SQLITE_OPEN_MAIN_DB) != 0)
		flags =
		    (flags & ~(SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)) | SQLITE_OPEN_READONLY;
	return disk->xOpen(disk, name, file, flags, out);
}

static void
use_read_only_disk(void)
{
	disk = sqlite3_vfs_find("unix"); /* a test before that failed may have left its own */
	bad_disk = *disk;
	bad_disk.zName = "read-only";
	bad_disk.xOpen = open_read_only;
	disk_is_read_only = true;
	assert_int_equal(sqlite3_vfs_register(&bad_disk, 1), SQLITE_OK);
}

static void
use_good_disk(void)
{
	sqlite3_vfs_unregister(&bad_disk);
	sqlite3_vfs_register(disk, 1);
}

/* ---- tests ---- */

static unsigned int
listed(struct fixture *s)
{
	json_t *list = drive_list(s);
	unsigned int n = (unsigned int)json_array_size(list);

	json_decref(list);
	return n;
}

static void
expect_written(struct fleet *f, const char *damaged, int64_t order)
{
	sqlite3 *db;
	sqlite3_stmt *stmt;
	char value[VALUE_SIZE], hash[IDENT_HASH_SIZE], *sql;

	make_value(value, order);
	ident_hash(hash, value, strlen(value));
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, "unix"), SQLITE_OK);
	/* By what is whole: a number of a host is as good as its name. */
	xasprintf(&sql,
	    "SELECT 1 FROM version_new o JOIN version v ON v.seq = o.seq WHERE o.plugin = 1 AND"
	    " o.seq > %d AND o.host = (SELECT id FROM host %s WHERE name = ?1) AND"
	    " lower(hex(v.hash)) = ?2",
	    HOSTS, strcmp(damaged, "sqlite_autoindex_host_1") == 0 ? "NOT INDEXED" : "");
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
	free(sql);
	for (int i = 0; i < HOSTS; i++) {
		if (f->statuses[i] != STORE_OK)
			continue;
		sqlite3_bind_text(stmt, 1, f->name[i], -1, SQLITE_STATIC);
		sqlite3_bind_text(stmt, 2, hash, -1, SQLITE_STATIC);
		assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
		sqlite3_reset(stmt);
	}
	sqlite3_finalize(stmt);
	sqlite3_close(db);
}

/* What is damaged lies on one page of many: few are refused, at every put the same, and at most
 * `most` can be shown. */
static void
expect_few_refused(const char *table, unsigned int least, unsigned int most)
{
	struct fleet *f = xcalloc(1, sizeof(*f));
	unsigned int refused;
	struct fixture s;

	drive_open(&s, uri, DRIVE_RECORD_MAX);
	put_fleet(&s, f, 2);
	assert_in_range(f->refused, least, HOSTS / 2);
	refused = f->refused;
	expect_written(f, table, 2);
	put_fleet(&s, f, 3);
	assert_in_range(f->refused, refused / 2, refused + HOSTS / 10); /* rows were added */
	expect_written(f, table, 3);
	assert_in_range(listed(&s), HOSTS / 2, most);
	drive_close(&s);
	free(f);
}

static void
fill(void)
{
	struct fleet *f = xcalloc(1, sizeof(*f));
	struct fixture s;

	drive_open(&s, uri, DRIVE_RECORD_MAX);
	put_fleet(&s, f, 1);
	assert_int_equal(f->taken, HOSTS);
	drive_close(&s);
	free(f);
}

static const struct {
	const char *table;
	unsigned int least; /* hosts that are refused */
	unsigned int most;  /* records that can be shown */
} tables[] = {
    {"host", 1, HOSTS - 1},
    {"sqlite_autoindex_host_1", 1, HOSTS},
    {"fresh", 1, HOSTS - 1},
    {"outcome", 1, HOSTS},
    {"version", 1, HOSTS - 1},
    /* A row that is there keeps its key: no page of this is needed to write. */
    {"fresh_by_host", 0, HOSTS - 1},
    /* Rows go to its end. */
    {"version_new", 0, HOSTS},
};
#define N_TABLES (sizeof(tables) / sizeof(tables[0]))

static void
a_damaged_page_is_the_trouble_of_those_on_it(void **state)
{
	for (size_t i = 0; i < N_TABLES; i++) {
		begin(state);
		fill();
		damage(page_in_the_middle_of(tables[i].table));
		expect_few_refused(tables[i].table, tables[i].least, tables[i].most);
		assert_int_equal(end(state), 0);
	}
}

/* SQLite ends the transaction then, with all that was in it. */
static void
a_page_that_the_disk_does_not_give_is_too(void **state)
{
	for (size_t i = 0; i < N_TABLES; i++) {
		begin(state);
		fill();
		use_bad_disk(page_in_the_middle_of(tables[i].table));
		expect_few_refused(tables[i].table, tables[i].least, tables[i].most);
		use_good_disk();
		assert_int_equal(end(state), 0);
	}
}

static void
a_file_that_can_be_written_again_is(void **state)
{
	struct fixture s;

	fill();
	use_read_only_disk();
	drive_open(&s, uri, DRIVE_RECORD_MAX);
	assert_int_equal(drive_put(&s, "h", drive_good("ps", "1", 1, 0), NULL), STORE_RETRY);
	assert_int_equal(listed(&s), HOSTS);
	assert_int_equal(drive_put(&s, "h", drive_good("ps", "1", 1, 0), NULL), STORE_RETRY);
	disk_is_read_only = false;
	assert_int_equal(drive_put(&s, "h", drive_good("ps", "1", 1, 0), NULL), STORE_OK);
	assert_int_equal(listed(&s), HOSTS + 1);
	drive_close(&s);
	use_good_disk();
}

/* ---- jobs ---- */

struct jobs {
	struct loop *loop;
	unsigned int n;
	enum store_found end;
	bool done;
};

static void
on_job(enum store_found found, const struct job *j, const struct trouble *why, void *arg)
{
	struct jobs *jobs = arg;

	if (found == STORE_FOUND) {
		jobs->n++;
		return;
	}
	jobs->end = found;
	jobs->done = true;
	loop_stop(jobs->loop);
}

static struct jobs
list_jobs(size_t max)
{
	struct jobs jobs = {0};
	struct fixture s;

	drive_open(&s, uri, DRIVE_RECORD_MAX);
	jobs.loop = s.loop;
	store_job_list(s.store, max, on_job, &jobs);
	drive_wait(&s, &jobs.done);
	drive_close(&s);
	return jobs;
}

static void
exec(const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, "unix"), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void
add_jobs(void)
{
	fill();
	exec("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)"
	     " INSERT INTO job (name, sent_at, not_after, job)"
	     " SELECT printf('0192f0c1-7b7a-7000-8000-%012d', i + 100), i, 0,"
	     " json_object('id', printf('0192f0c1-7b7a-7000-8000-%012d', i + 100), 'plugin', 'ps',"
	     " 'sent_at', '2010-09-26T02:16:29.609Z', 'target', printf('%.200c', 'x'),"
	     " 'hosts', json_array('a')) FROM n");
}

static void
a_damaged_job_is_left_out_of_the_list(void **state)
{
	struct jobs jobs;

	add_jobs();
	jobs = list_jobs(1000);
	assert_int_equal(jobs.end, STORE_MISSING);
	assert_int_equal(jobs.n, 200);
	exec("UPDATE job SET job = '{' WHERE sent_at IN (3, 199, 200)");
	jobs = list_jobs(1000);
	assert_int_equal(jobs.end, STORE_MISSING);
	assert_int_equal(jobs.n, 197);
	assert_int_equal(list_jobs(100).n, 100); /* as many as were asked for */
	damage(page_in_the_middle_of("job"));
	jobs = list_jobs(1000);
	assert_int_equal(jobs.end, STORE_MISSING);
	assert_in_range(jobs.n, 100, 196);
}

/* The order of the jobs is read from the table then. */
static void
a_damaged_index_of_jobs_hides_none(void **state)
{
	struct jobs jobs;

	add_jobs();
	damage(page_in_the_middle_of("job_by_time"));
	jobs = list_jobs(1000);
	assert_int_equal(jobs.end, STORE_MISSING);
	assert_int_equal(jobs.n, 200);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_damaged_page_is_the_trouble_of_those_on_it),
	    cmocka_unit_test(a_page_that_the_disk_does_not_give_is_too),
	    cmocka_unit_test_setup_teardown(a_file_that_can_be_written_again_is, begin, end),
	    cmocka_unit_test_setup_teardown(a_damaged_job_is_left_out_of_the_list, begin, end),
	    cmocka_unit_test_setup_teardown(a_damaged_index_of_jobs_hides_none, begin, end),
	};

	ident_init();
	log_set_level(LOG_LEVEL_CRITICAL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
