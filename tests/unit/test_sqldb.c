/* How the file is opened; what is done with it is tested through store_sqlite. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/store/sqldb.h"

#include <stdio.h>
#include <stdlib.h>
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

/* https://www.sqlite.org/pragma.html#pragma_synchronous: NORMAL is 1, FULL is 2. */
static void
test_synchronous(void **state)
{
	char folder[] = "/tmp/vogeler-sqldb-XXXXXX", path[64];

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/db", folder);
	for (int relaxed = 0; relaxed < 2; relaxed++) {
		struct sqldb db = {0};

		assert_true(sqldb_open(&db, path, relaxed != 0));
		assert_int_equal(pragma(&db, "PRAGMA synchronous"), relaxed ? 1 : 2);
		assert_string_equal(sqldb_synchronous(&db), relaxed ? "normal" : "full");
		assert_int_equal(pragma(&db, "PRAGMA journal_size_limit"), 67108864);
		sqldb_close(&db);
	}
	unlink(path);
	assert_int_equal(rmdir(folder), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_synchronous),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
