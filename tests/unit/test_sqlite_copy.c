/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/base/trouble.h"
#include "shared/store/sqlite/sqldb.h"
#include "shared/store/sqlite/sqlite_copy.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
	char folder[64], store[96], backup[96];
	struct sqldb db;
};

static void
put_host(struct sqldb *db, const char *host)
{
	sqldb_bind_str(db, STMT_HOST_ADD, 1, host);
	assert_true(sqldb_run(db, STMT_HOST_ADD));
}

static int
count(const char *path)
{
	sqlite3 *db;
	sqlite3_stmt *stmt;
	int n;

	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(
	    sqlite3_prepare_v2(db, "SELECT count(*) FROM host", -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	n = sqlite3_column_int(stmt, 0);
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	return n;
}

/* A store of more pages than a slice has, open as a collector has it. */
static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char host[32], *filler = malloc(2000);

	strcpy(f->folder, "/tmp/vogeler-copy-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(f->store, sizeof(f->store), "%s/store", f->folder);
	snprintf(f->backup, sizeof(f->backup), "%s/backup", f->folder);
	assert_true(sqldb_open(&f->db, f->store, true, true));
	memset(filler, 'x', 2000);
	assert_true(sqldb_run(&f->db, STMT_BEGIN_WRITE));
	for (int i = 0; i < 3000; i++) {
		snprintf(host, sizeof(host), "h%d", i);
		put_host(&f->db, host);
		sqldb_bind_int(&f->db, STMT_UNPARSED_PUT, 1, 1);
		sqldb_bind_int(&f->db, STMT_UNPARSED_PUT, 2, sqldb_last_id(&f->db));
		sqldb_bind_text(&f->db, STMT_UNPARSED_PUT, 3, filler, 2000);
		assert_true(sqldb_run(&f->db, STMT_UNPARSED_PUT));
	}
	assert_true(sqldb_run(&f->db, STMT_COMMIT));
	free(filler);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	const char *const ends[] = {"", "-wal", "-shm", "-journal"};
	char path[128];

	sqldb_close(&f->db);
	for (size_t i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "%s%s", f->store, ends[i]);
		unlink(path);
		snprintf(path, sizeof(path), "%s%s", f->backup, ends[i]);
		unlink(path);
	}
	assert_int_equal(rmdir(f->folder), 0);
	free(f);
	return 0;
}

static unsigned int
copy_all(struct sqlite_copy *c)
{
	enum sqlite_copy_result result;
	unsigned int slices = 0;
	struct trouble why = {0};

	assert_non_null(c);
	do {
		result = sqlite_copy_step(c, &why);
		slices++;
	} while (result == SQLITE_COPY_MORE);
	assert_int_equal(why.kind, TROUBLE_NONE);
	assert_int_equal(result, SQLITE_COPY_DONE);
	sqlite_copy_destroy(c);
	return slices;
}

static bool
is_there(const char *path)
{
	return access(path, F_OK) == 0;
}

/* Between two slices another connection commits: the copy is of the moment at which it began, does
 * not begin anew, and what was still in the log is in it. */
static void
a_copy_of_one_moment_while_others_write(void **state)
{
	struct fixture *f = *state;
	struct trouble why;
	char log[128];
	struct sqlite_copy *c = sqlite_copy_create(f->store, f->backup, false, &why);
	struct stat st;

	assert_non_null(c);
	assert_int_equal(sqlite_copy_step(c, &why), SQLITE_COPY_MORE);
	put_host(&f->db, "later");
	assert_true(copy_all(c) >= 1);
	assert_int_equal(count(f->backup), 3000);
	assert_int_equal(count(f->store), 3001);
	snprintf(log, sizeof(log), "%s-wal", f->backup);
	assert_false(is_there(log));
	assert_int_equal(stat(f->backup, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
}

static void
a_copy_replaces_a_store_that_is_open(void **state)
{
	struct fixture *f = *state;
	struct trouble why;

	copy_all(sqlite_copy_create(f->store, f->backup, false, &why));
	put_host(&f->db, "later");
	copy_all(sqlite_copy_create(f->backup, f->store, true, &why));
	assert_int_equal(count(f->store), 3000);
	assert_true(sqldb_file_is_there(&f->db));
	put_host(&f->db, "afterwards");
	assert_int_equal(count(f->store), 3001);
}

static void
a_copy_that_is_not_done_changes_nothing(void **state)
{
	struct fixture *f = *state;
	struct trouble why;
	struct sqlite_copy *c = sqlite_copy_create(f->store, f->backup, false, &why);

	assert_int_equal(sqlite_copy_step(c, &why), SQLITE_COPY_MORE);
	sqlite_copy_destroy(c);
	assert_false(is_there(f->backup));
	copy_all(sqlite_copy_create(f->store, f->backup, false, &why));
	put_host(&f->db, "later");
	c = sqlite_copy_create(f->backup, f->store, true, &why);
	assert_int_equal(sqlite_copy_step(c, &why), SQLITE_COPY_MORE);
	sqlite_copy_destroy(c);
	assert_int_equal(count(f->store), 3001);
}

static void
write_at(const char *path, off_t offset, const void *bytes, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, len, offset), (ssize_t)len);
	close(fd);
}

static void
what_is_no_store_or_damaged_is_refused(void **state)
{
	struct fixture *f = *state;
	struct trouble why;
	char junk[4096];

	assert_null(sqlite_copy_create("/nowhere/db", f->backup, false, &why));
	assert_non_null(strstr(why.what, "/nowhere/db: No such file"));
	assert_false(is_there(f->backup));
	write_at(f->backup, 0, "notes of mine, no database at all", 33);
	assert_null(sqlite_copy_create(f->store, f->backup, false, &why));
	assert_non_null(strstr(why.what, "File exists"));
	assert_null(sqlite_copy_create(f->backup, f->store, true, &why));
	assert_non_null(strstr(why.what, f->backup));
	assert_int_equal(count(f->store), 3000);
	unlink(f->backup);
	copy_all(sqlite_copy_create(f->store, f->backup, false, &why));
	memset(junk, 0xa5, sizeof(junk));
	write_at(f->backup, 10 * 4096, junk, sizeof(junk));
	assert_null(sqlite_copy_create(f->backup, f->store, true, &why));
	assert_non_null(strstr(why.what, "damaged"));
	assert_int_equal(count(f->store), 3000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		a_copy_of_one_moment_while_others_write, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_copy_replaces_a_store_that_is_open, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		a_copy_that_is_not_done_changes_nothing, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		what_is_no_store_or_damaged_is_refused, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
