/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/store/couch/couch_fetched.h"

#include <cmocka.h>
#include <string.h>

#define GOOD "{\"key\":\"web01\",\"doc\":{\"_id\":\"web01\",\"_rev\":\"1-a\",\"ps\":[1]}}"

static void
rows_are_told_apart(void **state)
{
	static const char body[] =
	    "{\"total_rows\":3,\"rows\":[" GOOD ",{\"key\":\"new\",\"error\":\"not_found\"},"
	    "{\"key\":\"gone\",\"value\":{\"deleted\":true},\"doc\":null},"
	    "{\"key\":\"broken\",\"error\":\"timeout\"},"
	    "{\"key\":\"norev\",\"doc\":{\"_id\":\"norev\"}}]}";
	static const struct {
		const char *id;
		enum couch_fetched_kind kind;
	} want[] = {
	    {"web01", COUCH_FETCHED_DOC},
	    {"new", COUCH_FETCHED_MISSING},
	    {"gone", COUCH_FETCHED_MISSING},
	    {"broken", COUCH_FETCHED_ERROR},
	    {"norev", COUCH_FETCHED_UNREADABLE},
	};
	struct couch_fetched f;
	size_t i;

	assert_true(couch_fetched_parse(&f, body, strlen(body)));
	assert_int_equal(f.n, sizeof(want) / sizeof(want[0]));
	for (i = 0; i < f.n; i++) {
		assert_string_equal(f.rows[i].id, want[i].id);
		assert_int_equal(f.rows[i].kind, want[i].kind);
		assert_int_equal(f.rows[i].doc != NULL, want[i].kind == COUCH_FETCHED_DOC);
		assert_int_equal(f.rows[i].why != NULL, want[i].kind == COUCH_FETCHED_UNREADABLE);
	}
	assert_string_equal(f.rows[0].doc->rev, "1-a");
	assert_string_equal(f.rows[0].doc->facts[0].value, "[1]");
	couch_fetched_finish(&f);
}

static void
what_was_read_before_it_breaks_is_kept(void **state)
{
	static const char body[] = "{\"rows\":[" GOOD ",{\"doc\":{}}]}";
	struct couch_fetched f;

	assert_false(couch_fetched_parse(&f, body, strlen(body)));
	assert_int_equal(f.n, 1);
	couch_fetched_finish(&f);
	assert_false(couch_fetched_parse(&f, "<html>", 6));
	assert_int_equal(f.n, 0);
	couch_fetched_finish(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rows_are_told_apart),
	    cmocka_unit_test(what_was_read_before_it_breaks_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
