/* SPDX-License-Identifier: Apache-2.0 */
/* How the file is opened; what is done with it is tested through sqlite_store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/base/trouble.h"
#include "shared/store/sqlite/sqldb.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int
pragma(struct sqldb *db, const char *sql)
{
	sqlite3_stmt *stmt;
	int value;

	assert_int_equal(sqlite3_prepare_v2(db->handle, sql, -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	value = sqlite3_column_int(stmt, 0);
	sqlite3_finalize(stmt);
	return value;
}

struct place {
	char folder[64], path[96];
};

/* A store with one host, closed. */
static void
make_store(struct place *p)
{
	struct sqldb db = {0};

	strcpy(p->folder, "/tmp/vogeler-sqldb-XXXXXX");
	assert_non_null(mkdtemp(p->folder));
	snprintf(p->path, sizeof(p->path), "%s/db", p->folder);
	assert_true(sqldb_open(&db, p->path, true, false));
	sqldb_bind_str(&db, STMT_HOST_ADD, 1, "web01");
	assert_true(sqldb_run(&db, STMT_HOST_ADD));
	sqldb_close(&db);
}

static void
set_modes(const struct place *p, mode_t folder, mode_t files)
{
	static const char *const ends[] = {"", "-wal", "-shm"};
	char path[128];

	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s%s", p->path, ends[i]);
		assert_int_equal(chmod(path, files), 0);
	}
	assert_int_equal(chmod(p->folder, folder), 0);
}

static void
remove_store(const struct place *p)
{
	static const char *const ends[] = {"", "-wal", "-shm"};
	char path[128];

	chmod(p->folder, 0700);
	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s%s", p->path, ends[i]);
		unlink(path);
	}
	assert_int_equal(rmdir(p->folder), 0);
}

/* https://www.sqlite.org/pragma.html#pragma_synchronous: NORMAL is 1, FULL is 2. */
static void
synchronous(void **state)
{
	struct place place;
	char folder[] = "/tmp/vogeler-sqldb-XXXXXX", path[64];

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/db", folder);
	for (int relaxed = 0; relaxed < 2; relaxed++) {
		struct sqldb db = {0};

		assert_true(sqldb_open(&db, path, true, relaxed != 0));
		assert_int_equal(pragma(&db, "PRAGMA synchronous"), relaxed ? 1 : 2);
		assert_string_equal(sqldb_synchronous(&db), relaxed ? "normal" : "full");
		assert_int_equal(pragma(&db, "PRAGMA journal_size_limit"), 67108864);
		sqldb_close(&db);
	}
	snprintf(path, sizeof(path), "%s/db", folder);
	strcpy(place.folder, folder);
	strcpy(place.path, path);
	remove_store(&place);
}

/* What check() says of the store as a user who owns nothing of it; root may do everything. */
static bool
as_reader(bool (*check)(struct sqldb *db, const char *path), const char *path)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		struct sqldb db = {0};
		bool ok = getuid() != 0 || (setresgid(65534, 65534, 65534) == 0 &&
					       setresuid(65534, 65534, 65534) == 0);

		ok = ok && check(&db, path);
		if (!ok)
			fprintf(stderr, TROUBLE_FMT "\n", TROUBLE_ARGS(&db.why));
		sqldb_close(&db);
		_exit(ok ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool
can_read_and_not_write(struct sqldb *db, const char *path)
{
	bool ok;

	if (!sqldb_open(db, path, false, false) || !db->read_only)
		return false;
	sqldb_bind_str(db, STMT_HOST_GET, 1, "web01");
	ok = sqldb_step(db, STMT_HOST_GET) == SQLITE_ROW;
	sqldb_done(db, STMT_HOST_GET);
	return ok && !sqldb_run(db, STMT_PROBE) && strstr(db->why.what, "readonly") != NULL;
}

static bool
is_told_of_the_folder(struct sqldb *db, const char *path)
{
	return !sqldb_open(db, path, false, false) &&
	       strstr(db->why.what, "this user may not look into the folder") != NULL;
}

static bool
is_told_of_the_file(struct sqldb *db, const char *path)
{
	return !sqldb_open(db, path, false, false) &&
	       strstr(db->why.what, "this user may not read it") != NULL;
}

/* While the collector has it open, and while it does not. */
static void
who_may_only_read_reads(void **state)
{
	struct place p;
	struct sqldb writer = {0};

	make_store(&p);
	set_modes(&p, 0555, 0444);
	assert_true(as_reader(can_read_and_not_write, p.path));
	set_modes(&p, 0755, 0644);
	assert_true(sqldb_open(&writer, p.path, true, false));
	set_modes(&p, 0555, 0444);
	assert_true(as_reader(can_read_and_not_write, p.path));
	sqldb_close(&writer);
	set_modes(&p, 0755, 0000);
	assert_true(as_reader(is_told_of_the_file, p.path));
	chmod(p.folder, 0000);
	assert_true(as_reader(is_told_of_the_folder, p.path));
	remove_store(&p);
}

/* A name that is mistyped becomes no store. */
static void
only_who_makes_makes(void **state)
{
	struct place p;
	struct sqldb db = {0};
	char path[128];

	make_store(&p);
	snprintf(path, sizeof(path), "%s/typo", p.folder);
	assert_false(sqldb_open(&db, path, false, false));
	assert_non_null(strstr(db.why.what, "no such file"));
	assert_non_null(strstr(db.why.cure, "correct the path in dbhost"));
	assert_int_not_equal(access(path, F_OK), 0);
	sqldb_close(&db);
	remove_store(&p);
}

/* Root sets up, and another user is to use it. */
static void
the_owner_of_the_folder_owns_what_root_makes(void **state)
{
	char folder[] = "/tmp/vogeler-sqldb-XXXXXX";
	struct place p;
	struct sqldb db = {0};
	struct stat st;

	assert_non_null(mkdtemp(folder));
	strcpy(p.folder, folder);
	snprintf(p.path, sizeof(p.path), "%s/db", folder);
	if (getuid() == 0)
		assert_int_equal(chown(folder, 65534, 65534), 0);
	umask(0007);
	assert_true(sqldb_open(&db, p.path, true, false));
	umask(0022);
	sqldb_close(&db);
	assert_int_equal(stat(p.path, &st), 0);
	assert_int_equal(st.st_uid, getuid() == 0 ? 65534 : getuid());
	assert_int_equal(st.st_mode & 0777, 0660);
	remove_store(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(synchronous),
	    cmocka_unit_test(who_may_only_read_reads),
	    cmocka_unit_test(only_who_makes_makes),
	    cmocka_unit_test(the_owner_of_the_folder_owns_what_root_makes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
