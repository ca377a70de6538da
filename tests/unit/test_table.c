/* SPDX-License-Identifier: Apache-2.0 */
/* Tables: whole lines in a pipe; on a terminal no line is wider than that, and no name is broken.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/printable.h"
#include "shared/print/table.h"

#include "shared/base/xalloc.h"

#include <cmocka.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define JOB   "0b7c1f6a-5d52-4f0e-9d6f-2a4e8d0c1b3a"
#define ERROR "df 2 h ago: /srv/backup/volume-group/data cannot be read: no such device, in short"

static struct table *
make_table(void)
{
	struct table *t = table_create();

	table_column(t, "JOB", TABLE_WHOLE);
	table_column(t, "AGE", TABLE_RIGHT);
	table_column(t, "ERROR", TABLE_WORDS);
	table_column(t, "TARGET", TABLE_WORDS);
	table_row(t);
	table_cell(t, 0, JOB);
	table_cell(t, 1, "9 min ago");
	table_cell(t, 2, ERROR);
	table_cell(t, 3, "web01.example.com,web02.example.com,cache[01-40]");
	table_row(t);
	table_cell(t, 0, JOB);
	table_cell(t, 1, "1 d ago");
	return t;
}

static char *
print(const struct table *t, size_t width)
{
	char *text;
	size_t size;
	FILE *out = xmemstream(&text, &size);

	table_print_within(out, t, width);
	fclose(out);
	return text;
}

static void
assert_printed(const struct table *t, size_t width, const char *expected)
{
	char *text = print(t, width);

	assert_string_equal(text, expected);
	free(text);
}

static size_t
widest_line(const char *text)
{
	size_t most = 0;

	while (*text != '\0') {
		size_t n = strcspn(text, "\n"), width;
		char *line = xstrndup(text, n);

		width = printable_width(line);
		most = width > most ? width : most;
		assert_true(n == 0 || line[n - 1] != ' ');
		free(line);
		text += n + (text[n] == '\n' ? 1 : 0);
	}
	return most;
}

static void
a_row_is_a_line_in_a_pipe(void **state)
{
	struct table *t = table_create();

	table_column(t, "HOST", TABLE_WHOLE);
	table_column(t, "N", TABLE_RIGHT);
	table_column(t, "TEXT", TABLE_WORDS);
	table_row(t);
	table_cell(t, 0, "web01");
	table_cell(t, 1, "1");
	table_cell(t, 2, ERROR "\n" ERROR);
	table_row(t);
	table_cell(t, 0, "w");
	table_cell(t, 1, "100");
	assert_int_equal(table_rows(t), 2);
	assert_printed(t, 0, "HOST    N TEXT\nweb01   1 " ERROR " " ERROR "\nw     100\n");
	table_hide(t, 1);
	assert_printed(t, 0, "HOST  TEXT\nweb01 " ERROR " " ERROR "\nw\n");
	table_destroy(t);
}

static void
words_wrap(void **state)
{
	struct table *t = table_create();

	table_column(t, "HOST", TABLE_WHOLE);
	table_column(t, "TEXT", TABLE_WORDS);
	table_row(t);
	table_cell(t, 0, "web01");
	table_cell(t, 1, "the disk is full, and so is the other one");
	assert_printed(t, 30,
	    "HOST  TEXT\n"
	    "web01 the disk is full, and so\n"
	    "      is the other one\n");
	table_destroy(t);
}

static void
columns_that_do_not_fit_go_on_below(void **state)
{
	struct table *t = make_table();

	assert_printed(t, 60,
	    "JOB                                        AGE\n"
	    "    ERROR                             TARGET\n" JOB " 9 min ago\n"
	    "    df 2 h ago:                       web01.example.com,\n"
	    "    /srv/backup/volume-group/data     web02.example.com,\n"
	    "    cannot be read: no such device,   cache[01-40]\n"
	    "    in short\n" JOB "   1 d ago\n");
	table_destroy(t);
}

/* Wherever the words stand, all of them are there, unbroken, at each width. */
static void
nothing_is_cut_or_broken(void **state)
{
	static const char *const whole[] = {JOB, "9 min ago", "/srv/backup/volume-group/data",
	    "web01.example.com,", "web02.example.com,", "cache[01-40]", "short"};
	struct table *t = make_table();

	for (size_t width = 40; width < 200; width++) {
		char *text = print(t, width);

		assert_true(widest_line(text) <= width);
		for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++)
			assert_non_null(strstr(text, whole[i]));
		free(text);
	}
	table_destroy(t);
}

/* A name that is wider than the terminal stays whole; a word is broken, as nothing else is left. */
static void
a_terminal_may_be_narrow(void **state)
{
	struct table *t = make_table();

	for (size_t width = 1; width < 40; width++) {
		char *text = print(t, width);

		assert_non_null(strstr(text, JOB));
		free(text);
	}
	table_destroy(t);
}

static void
wide_characters_count_twice(void **state)
{
	struct table *t = table_create();

	table_column(t, "A", TABLE_WHOLE);
	table_column(t, "B", TABLE_WORDS);
	table_row(t);
	table_cell(t, 0, "\346\227\245\346\234\254");
	table_cell(t, 1, "x");
	assert_printed(t, 0, "A    B\n\346\227\245\346\234\254 x\n");
	table_cell(t, 1,
	    "\346\227\245\346\227\245\346\227\245\346\227\245\346\227\245\346\227\245\346\227\245"
	    "\346\227\245\346\227\245\346\227\245");
	for (size_t width = 10; width < 30; width++) {
		char *text = print(t, width);

		assert_true(widest_line(text) <= width);
		free(text);
	}
	table_destroy(t);
}

static void
nothing_is_obeyed(void **state)
{
	struct table *t = table_create();

	table_column(t, "\033[2J", TABLE_WORDS);
	table_row(t);
	table_cell(t, 0, "a\rb\033");
	assert_printed(t, 0, "\\x1b[2J\na b\\x1b\n");
	table_destroy(t);
}

#define TEST(name) cmocka_unit_test(name)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_row_is_a_line_in_a_pipe),
	    TEST(words_wrap),
	    TEST(columns_that_do_not_fit_go_on_below),
	    TEST(nothing_is_cut_or_broken),
	    TEST(a_terminal_may_be_narrow),
	    TEST(wide_characters_count_twice),
	    TEST(nothing_is_obeyed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
