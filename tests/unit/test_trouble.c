/* SPDX-License-Identifier: Apache-2.0 */
/* What went wrong and the way out stay apart, whatever is in either, until they are one sentence.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/base/trouble.h"
#include <stdlib.h>
#include <string.h>

static void
says(const struct trouble *t, const char *expected)
{
	char *text = trouble_text(t);

	assert_string_equal(text, expected);
	free(text);
}

static void
is_one_sentence(void **state)
{
	struct trouble t;

	trouble_set(&t, TROUBLE_OTHER, "make room there", "cannot write %s", "/x");
	assert_int_equal(t.kind, TROUBLE_OTHER);
	says(&t, "cannot write /x; cure: make room there");
	trouble_prefix(&t, "%s: ", "web01");
	says(&t, "web01: cannot write /x; cure: make room there");
	trouble_set_cure(&t, "chmod %s", "/x");
	says(&t, "web01: cannot write /x; cure: chmod /x");
	trouble_set(&t, TROUBLE_NAMES, NULL, "no such host");
	says(&t, "no such host");
}

static void
what_looks_like_a_cure_is_none(void **state)
{
	struct trouble t;

	trouble_set(&t, TROUBLE_OTHER, NULL, "the broker says \"x; cure: none\"");
	assert_string_equal(t.cure, "");
}

static void
is_cut_between_characters(void **state)
{
	struct trouble t;
	char text[2 * TROUBLE_WHAT_SIZE + 1];

	for (size_t i = 0; i < sizeof(text) - 1; i += 2)
		memcpy(text + i, "\xc3\xa4", 2);
	text[sizeof(text) - 1] = '\0';
	for (size_t from = 0; from < 2; from++) {
		trouble_set(&t, TROUBLE_OTHER, text, "%.*s%s", (int)from, "x", text);
		assert_int_equal(strlen(t.what) % 2, from);
		assert_true(strlen(t.what) >= TROUBLE_WHAT_SIZE - 4);
		assert_int_equal(strlen(t.cure) % 2, 0);
	}
	trouble_prefix(&t, "%s", text);
	assert_int_equal(strlen(t.what) % 2, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(is_one_sentence),
	    cmocka_unit_test(what_looks_like_a_cure_is_none),
	    cmocka_unit_test(is_cut_between_characters),
	};

	return cmocka_run_group_tests_name("trouble", tests, NULL, NULL);
}
