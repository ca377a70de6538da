/* SPDX-License-Identifier: Apache-2.0 */
/* Names in few words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/target/ranges.h"

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
	CHECK("rack2-node[1,2]-x", "rack2-node1-x", "rack2-node2-x");
	CHECK("a[1-2,4]", "a1", "a2", "a4"); /* the comma tells it from a glob */
	CHECK("10-0-0-[1,2].lan", "10-0-0-1.lan", "10-0-0-2.lan");
}

static void
others_stand_alone(void **state)
{
	CHECK("web01", "web01");
	CHECK("a, b", "a", "b");
	CHECK("a1.x, a2.y", "a1.x", "a2.y");
	CHECK("db1, web1", "db1", "web1");
	CHECK("a, a[1,2]", "a", "a1", "a2");
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

static void
some_of_many_are_named_in_a_sentence(void **state)
{
	char text[RANGES_SOME + 3][2], *some;
	const char *names[RANGES_SOME + 3];
	size_t i;

	for (i = 0; i < RANGES_SOME + 3; i++) {
		text[i][0] = (char)('A' + i);
		text[i][1] = '\0';
		names[i] = text[i];
	}
	some = ranges_some(names, RANGES_SOME);
	assert_null(strstr(some, "more"));
	free(some);
	some = ranges_some(names, RANGES_SOME + 3);
	assert_non_null(strstr(some, "S, T and 3 more"));
	free(some);
}

static const char *
append(const char *name, void *arg)
{
	char *text = arg;

	strcat(text, text[0] == '\0' ? "" : " ");
	strcat(text, name);
	return NULL;
}

static void
assert_means(const char *word, const char *expected)
{
	char text[1024] = "";

	assert_null(ranges_expand(word, append, text));
	assert_string_equal(text, expected);
}

static void
numbers_are_read(void **state)
{
	assert_means("web[10-12]", "web10 web11 web12");
	assert_means("web[1,10-12].lan", "web1.lan web10.lan web11.lan web12.lan");
	assert_means("a[08-11]", "a08 a09 a10 a11");
	assert_means("a[099-100]", "a099 a100");
	assert_means("a[9-10]", "a9 a10");
	assert_means("a[1,01]", "a1 a01");
	assert_means("r[1,2]n[09-10]", "r1n09 r1n10 r2n09 r2n10");
	assert_means("a[00-01]*", "a00* a01*");
}

static void
globs_stay_globs(void **state)
{
	static const char *const globs[] = {"web[0-9]", "web[1-3]", "web[123]", "web[abc]",
	    "web[!1]", "web[^1-3]", "web[0-9a-f]", "web[1-]", "web[-1]", "web[]", "web[10-12",
	    "web*", "web", "[1-3]x[ab]", "web[1-3-5]"};

	for (size_t i = 0; i < sizeof(globs) / sizeof(globs[0]); i++) {
		assert_false(ranges_are_in(globs[i]));
		assert_means(globs[i], globs[i]);
	}
}

static const char *
count_name(const char *name, void *arg)
{
	++*(size_t *)arg;
	return NULL;
}

/* Of a glob that no host fits. */
static void
what_may_have_been_meant_for_numbers(void **state)
{
	static const char *const silent[] = {"web*", "web01", "web[123]", "web[!1-3]", "web[abc]",
	    "web[a-f]", "web[10-12]*", "web[1-3", "web[]", "[", "web[a-Z]", "web[-1]", "web[1-]"};
	char hint[RANGES_HINT_SIZE];

	assert_string_equal(ranges_hint("web[2-1]", hint),
	    "; 2-1 is backwards in the brackets and fits nothing; cure: write 1-2");
	assert_non_null(strstr(ranges_hint("r[10-12]n[xf-a]*", hint), "; f-a is backwards"));
	assert_non_null(strstr(ranges_hint("web[!9-0]", hint), "; 9-0 is backwards"));
	assert_string_equal(ranges_hint("web[1-3]", hint),
	    "; with one character on each side of the hyphen [1-3] is a glob's character class: "
	    "for numbers write [01-03], or with commas, without zeros, as [1,2,3]");
	assert_non_null(strstr(ranges_hint("[a-f]x[0-9]", hint), "[00-09]"));
	for (size_t i = 0; i < sizeof(silent) / sizeof(silent[0]); i++)
		assert_string_equal(ranges_hint(silent[i], hint), "");
}

static void
wrong_numbers_are_refused(void **state)
{
	size_t n = 0;

	assert_non_null(strstr(ranges_expand("a[12-10]", count_name, &n), "lower"));
	assert_non_null(strstr(ranges_expand("a[9-010]", count_name, &n), "counted"));
	assert_non_null(strstr(ranges_expand("a[010-9]", count_name, &n), "lower"));
	assert_non_null(strstr(ranges_expand("a[0-1234567890123456]", count_name, &n), "15"));
	assert_int_equal(n, 0);
	assert_non_null(strstr(ranges_expand("a[0-999999999999999]", count_name, &n), "100000"));
	assert_int_equal(n, RANGES_MAX);
	assert_null(ranges_expand("a[1-100][0-999]", count_name, &n));
	assert_int_equal(n, 2 * RANGES_MAX);
}

/* Of random fleets, all that is printed, given back, means the same names. */
static void
what_is_printed_is_read_back(void **state)
{
	static const struct {
		const char *head;
		int width;
		const char *tail;
	} frames[] = {{"web", 1, ""}, {"web", 2, ""}, {"web", 3, ".a.lan"}, {"r", 1, "-x"},
	    {"db", 1, "x.b"}, {"", 1, ".lan"}};

	srand(7);
	for (int round = 0; round < 300; round++) {
		char names[40][32], *text, again[4096] = "";
		const char *list[40], *at;
		size_t n = 0, left;
		unsigned int most = round % 3 == 0 ? 9 : round % 3 == 1 ? 30 : 130;

		for (int i = 0; i < 40; i++) {
			bool known = false;
			size_t f = (size_t)rand() % 6;

			snprintf(names[n], sizeof(names[n]), "%s%0*u%s", frames[f].head,
			    frames[f].width, (unsigned int)rand() % most, frames[f].tail);
			for (size_t j = 0; j < n; j++)
				known |= strcmp(names[j], names[n]) == 0;
			if (!known)
				list[n] = names[n], n++;
		}
		text = ranges_text(list, n, 1000, &left);
		assert_int_equal(left, 0);
		for (at = text;; at += 2) { /* over the comma and the blank */
			char word[512];
			size_t len = ranges_word_length(at);

			snprintf(word, sizeof(word), "%.*s", (int)len, at);
			assert_true(strchr(word, '[') == NULL || ranges_are_in(word));
			assert_null(ranges_expand(word, append, again));
			at += len;
			if (*at == '\0')
				break;
		}
		for (size_t i = 0, found = 0; i <= n; i++) {
			if (i == n) {
				assert_int_equal(found, n);
				break;
			}
			for (at = again; at != NULL; at = strchr(at, ' ')) {
				at += *at == ' ';
				found += strcspn(at, " ") == strlen(list[i]) &&
					 strncmp(at, list[i], strlen(list[i])) == 0;
			}
		}
		free(text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(names_that_count_are_folded),
	    cmocka_unit_test(others_stand_alone),
	    cmocka_unit_test(there_is_an_end),
	    cmocka_unit_test(some_of_many_are_named_in_a_sentence),
	    cmocka_unit_test(numbers_are_read),
	    cmocka_unit_test(globs_stay_globs),
	    cmocka_unit_test(what_may_have_been_meant_for_numbers),
	    cmocka_unit_test(wrong_numbers_are_refused),
	    cmocka_unit_test(what_is_printed_is_read_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
