/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/wire/jspan.h"

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool
value_of(const char *text, struct jspan *s)
{
	return jspan_value(text, strlen(text), s);
}

static void
finds_the_one_value(void **state)
{
	static const char *const good[] = {
	    "{}", "[]", "{\"a\":[1,{\"b\":\"}\"}]}", "\"x\\\"]\"", "-1.5e3", "null", "[[[\"[\"]]]"};
	static const char *const bad[] = {
	    "", " ", "{", "[1", "{\"a", "\"\\\"", "{} {}", "1 2", "<html></html> x", "]", ","};
	struct jspan s;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		char text[64];

		snprintf(text, sizeof(text), " \n%s\t ", good[i]);
		assert_true(value_of(text, &s));
		assert_int_equal(s.len, strlen(good[i]));
		assert_memory_equal(s.text, good[i], s.len);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(value_of(bad[i], &s));
}

static void
walks_members(void **state)
{
	struct jspan s, key, value;
	struct jspan_iter it;

	(void)state;
	assert_true(value_of("{ \"a\" : 18446744073709551616 , \"b\\u0041\":[1, 2],\"c\":{}}", &s));
	assert_true(jspan_open(&it, s));
	assert_true(jspan_next_member(&it, &key, &value));
	assert_true(jspan_is(key, "\"a\""));
	assert_true(jspan_is(value, "18446744073709551616"));
	assert_true(jspan_next_member(&it, &key, &value));
	char *name = jspan_string(key);
	assert_string_equal(name, "bA");
	free(name);
	assert_true(jspan_is(value, "[1, 2]"));
	assert_true(jspan_next_member(&it, &key, &value));
	assert_int_equal(jspan_kind(value), '{');
	assert_false(jspan_next_member(&it, &key, &value));
	assert_false(it.bad);
}

static void
walks_elements(void **state)
{
	struct jspan s, value;
	struct jspan_iter it;
	size_t n = 0;

	(void)state;
	assert_true(value_of("[1,\"two\", {\"three\":3}, [] ]", &s));
	assert_true(jspan_open(&it, s));
	while (jspan_next_element(&it, &value))
		n++;
	assert_int_equal(n, 4);
	assert_false(it.bad);
	assert_true(value_of("[ ]", &s) && jspan_open(&it, s));
	assert_false(jspan_next_element(&it, &value));
	assert_false(it.bad);
}

static void
says_what_is_bad(void **state)
{
	static const char *const bad[] = {"{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "{1:1}",
	    "{\"a\":1 \"b\":2}", "{,}", "{\"a\" 1}", "{\"a\":1,,\"b\":1}"};
	struct jspan s, key, value;
	struct jspan_iter it;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_true(value_of(bad[i], &s));
		assert_true(jspan_open(&it, s));
		while (jspan_next_member(&it, &key, &value))
			;
		assert_true(it.bad);
	}
	assert_true(value_of("[}", &s));  /* brackets are only counted ... */
	assert_false(jspan_open(&it, s)); /* ... until one walks in */
	assert_true(value_of("12", &s));
	assert_false(jspan_open(&it, s));
}

/* Every beginning of a text is either refused or the walk over it says bad; none reads past the
 * end (which ASan and valgrind see). */
static void
survives_being_cut(void **state)
{
	static const char text[] = "{\"rows\":[{\"key\":\"a\\\\\",\"doc\":{\"x\":[1.5,null]}}]}";

	(void)state;
	for (size_t len = 0; len < sizeof(text) - 1; len++) {
		char *copy = malloc(len + 1); /* not terminated */
		struct jspan s;

		assert_non_null(copy);
		memcpy(copy, text, len);
		assert_false(jspan_value(copy, len, &s));
		free(copy);
	}
}

static void
strings_with_nul_are_none(void **state)
{
	struct jspan s;

	(void)state;
	assert_true(value_of("\"a\\u0000b\"", &s));
	assert_null(jspan_string(s));
	assert_true(value_of("12", &s));
	assert_null(jspan_string(s));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(finds_the_one_value),
	    cmocka_unit_test(walks_members),
	    cmocka_unit_test(walks_elements),
	    cmocka_unit_test(says_what_is_bad),
	    cmocka_unit_test(survives_being_cut),
	    cmocka_unit_test(strings_with_nul_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
