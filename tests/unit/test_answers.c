/* SPDX-License-Identifier: Apache-2.0 */
/* What many hosts say, folded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/ident.h"
#include "shared/base/xalloc.h"
#include "shared/print/answers.h"

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static void
add(struct answers *a, const char *host, const char *json)
{
	json_t *value = json_loads(json, JSON_DECODE_ANY, NULL);

	assert_non_null(value);
	answers_add(a, host, value);
	json_decref(value);
}

typedef void print_fn(FILE *out, struct answers *a);

static void
assert_text(print_fn *print, struct answers *a, const char *expected)
{
	char *text;
	size_t size;
	FILE *out = xmemstream(&text, &size);

	print(out, a);
	fclose(out);
	assert_string_equal(text, expected);
	free(text);
}

static void
assert_printed(struct answers *a, const char *expected)
{
	assert_text(answers_print, a, expected);
	answers_destroy(a);
}

static void
scalars_are_a_table(void **state)
{
	struct answers *a = answers_create();

	add(a, "db01", "\"13\"");
	add(a, "web02", "\"12\"");
	add(a, "web01", "\"12\"");
	add(a, "a", "\"\\u001b[2J\"");
	add(a, "b", "\"\"");
	assert_int_equal(answers_count(a), 5);
	assert_printed(a, "HOST                VALUE\n"
			  "2 hosts: web[01-02] 12\n"
			  "a                   \\x1b[2J\n"
			  "b                   \"\"\n"
			  "db01                13\n");
}

static void
others_are_one_below_the_other(void **state)
{
	struct answers *a = answers_create();

	add(a, "db01", "{\"b\":[1]}");
	add(a, "web01", "\"x\\ny\\u009b\"");
	add(a, "web02", "\"x\\ny\\u009b\"");
	assert_printed(
	    a, "2 hosts: web[01-02]\nx\ny\\u009b\n\ndb01\n{\n  \"b\": [\n    1\n  ]\n}\n");
}

static void
none_is_nothing(void **state)
{
	assert_printed(answers_create(), "");
}

/* Each host stands there once, below the others, in columns that grow. */
static void
lines_in_pieces_are_one_table(void **state)
{
	struct answers *a = answers_create();

	assert_text(answers_print_new, a, "");
	add(a, "db01", "13");
	assert_text(answers_print_new, a, "HOST VALUE\ndb01 13\n");
	add(a, "web02", "\"12\"");
	add(a, "db02", "14");
	add(a, "web01", "\"12\"");
	assert_text(answers_print_new, a, "2 hosts: web[01-02] 12\ndb02                14\n");
	assert_text(answers_print_new, a, "");
	assert_false(answers_are_scattered(a));
	add(a, "web03", "\"12\"");
	assert_text(answers_print_new, a, "web03               12\n");
	assert_true(answers_are_scattered(a));
	assert_int_equal(answers_different(a), 3);
	add(a, "web04", "\"\"");
	assert_printed(a, "web04               \"\"\n");
}

/* Its text is not kept: the value is named after who brought it first. */
static void
blocks_are_printed_once(void **state)
{
	struct answers *a = answers_create();

	add(a, "web02", "[1]");
	add(a, "db01", "[2]");
	assert_int_equal(answers_waiting(a), 6);
	assert_text(answers_print_new, a, "web02\n[\n  1\n]\n\ndb01\n[\n  2\n]\n");
	add(a, "web04", "[1]");
	add(a, "web03", "[1]");
	add(a, "mail", "7");
	add(a, "web01", "[3]");
	assert_text(answers_print_new, a,
	    "\nHOST VALUE\nmail 7\n2 hosts: web[03-04]: as web02\n\nweb01\n[\n  3\n]\n");
	assert_printed(a, "");
}

static void
keep_line(const char *line, void *arg)
{
	strcat(strcat(arg, line), "\n");
}

static void
who_has_none_is_told(void **state)
{
	struct answers *a = answers_create();
	char lines[256] = "";

	answers_lack(a, "web02", "no x");
	answers_lack(a, "db", "no y");
	answers_lack(a, "web01", "no x");
	answers_tell_lack(a, keep_line, lines);
	assert_string_equal(lines, "2 hosts: web[01-02]: no x\ndb: no y\n");
	assert_int_equal(answers_count(a), 0);
	answers_destroy(a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(scalars_are_a_table),
	    cmocka_unit_test(others_are_one_below_the_other),
	    cmocka_unit_test(none_is_nothing),
	    cmocka_unit_test(lines_in_pieces_are_one_table),
	    cmocka_unit_test(blocks_are_printed_once),
	    cmocka_unit_test(who_has_none_is_told),
	};

	ident_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
