/* SPDX-License-Identifier: Apache-2.0 */
/* What --where says of its answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/query/where.h"

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
true_ones_are_in(void **state)
{
	struct where w = {0};

	where_take(&w, "db01", JQ_WORD_TRUE, NULL);
	where_take(&w, "web01", JQ_WORD_FALSE, NULL);
	where_take(&w, "web02", JQ_WORD_TRUE, NULL);
	assert_int_equal(w.in.n, 2);
	assert_string_equal(w.in.names[1], "web02");
	assert_null(where_trouble(&w));
	where_finish(&w);
}

static void
failed_ones_are_named_some_of_them(void **state)
{
	struct where w = {0};
	char host[16], *text;

	where_take(&w, "a", JQ_WORD_ERROR, "no");
	where_take(&w, "b", JQ_WORD_TRUE, NULL);
	text = where_trouble(&w);
	assert_string_equal(text, "1 of 2 hosts left out, it failed on them: a: no");
	free(text);
	for (int i = 0; i < 9; i++) {
		snprintf(host, sizeof(host), "web%02d", i);
		where_take(&w, host, JQ_WORD_ERROR, "no");
	}
	text = where_trouble(&w);
	assert_non_null(strstr(text, "10 of 11 hosts left out"));
	assert_non_null(strstr(text, "; web03: no"));
	assert_null(strstr(text, "web04"));
	free(text);
	where_finish(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(true_ones_are_in),
	    cmocka_unit_test(failed_ones_are_named_some_of_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
