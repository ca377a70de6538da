/* Names in few words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "runner/ranges.h"

#include <cmocka.h>
#include <stdlib.h>

#define CHECK(expected, ...)                                                                       \
	do {                                                                                       \
		static const char *const names[] = {__VA_ARGS__};                                  \
		size_t left;                                                                       \
		char *text = ranges_text(names, sizeof(names) / sizeof(names[0]), 20, &left);      \
                                                                                                   \
		assert_string_equal(text, expected);                                               \
		assert_int_equal(left, 0);                                                         \
		free(text);                                                                        \
	} while (0)

static void
names_that_count_are_folded(void **state)
{
	CHECK("web[01-03]", "web01", "web02", "web03");
	CHECK("web[01-03,07].example.com", "web01.example.com", "web03.example.com",
	    "web02.example.com", "web07.example.com");
	CHECK("db[1-11]", "db1", "db10", "db11", "db2", "db3", "db4", "db5", "db6", "db7", "db8",
	    "db9");
	CHECK("rack2-node[1-2]-x", "rack2-node1-x", "rack2-node2-x");
	CHECK("10-0-0-[1-2].lan", "10-0-0-1.lan", "10-0-0-2.lan");
}

static void
others_stand_alone(void **state)
{
	CHECK("web01", "web01");
	CHECK("a, b", "a", "b");
	CHECK("a1.x, a2.y", "a1.x", "a2.y");
	CHECK("db1, web1", "db1", "web1");
	CHECK("a, a[1-2]", "a", "a1", "a2");
	CHECK("a[1,01]", "a1", "a01"); /* two hosts, and neither is lost */
	CHECK("a[9,010]", "a9", "a010");
	CHECK("a[099-100]", "a099", "a100");
	CHECK("a1234567890123456, a1234567890123457", "a1234567890123456", "a1234567890123457");
}

static void
there_is_an_end(void **state)
{
	static const char *const names[] = {"a", "b", "c1", "c2", "c4", "c6", "d"};
	size_t left;
	char *text;

	text = ranges_text(names, 7, 4, &left);
	assert_string_equal(text, "a, b, c[1-2,4]");
	assert_int_equal(left, 2);
	free(text);
	text = ranges_text(names, 7, 1, &left);
	assert_string_equal(text, "a");
	assert_int_equal(left, 6);
	free(text);
	text = ranges_text(names, 0, 4, &left);
	assert_string_equal(text, "");
	assert_int_equal(left, 0);
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(names_that_count_are_folded),
	    cmocka_unit_test(others_stand_alone),
	    cmocka_unit_test(there_is_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
