/* What jq cannot compile, in words of who asks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/query/jq_words.h"

#include <stdlib.h>
#include <string.h>

#define WHERE(program) " at <top-level>, line 1:\n" program "\njq: 1 compile error"

static const struct {
	const char *program, *text, *words;
} errors[] = {
    {".a |", "jq: error: syntax error, unexpected $end (Unix shell quoting issues?)" WHERE(".a |"),
	"jq: syntax error: it ends too early"},
    {".a |", "jq: error: syntax error, unexpected end of file" WHERE(".a |"),
	"jq: syntax error: it ends too early"},
    {".a &&",
	"jq: error: syntax error, unexpected INVALID_CHARACTER, expecting $end (Unix shell quoting "
	"issues?)" WHERE(".a &&"),
	"jq: syntax error: a character that means nothing there; cure: in place of && and || it is "
	"\"and\" and \"or\""},
    {".a.[0]",
	"jq: error: syntax error, unexpected '[', expecting FORMAT or QQSTRING_START (Unix shell "
	"quoting issues?)" WHERE(".a.[0]"),
	"jq: syntax error: '[' does not belong there; cure: no dot stands before a bracket: .a[0]"},
    {".os-release", "jq: error: release/0 is not defined" WHERE(".os-release"),
	"jq: there is no function \"release\"; cure: a name with \"-\" in it stands in quotes, "
	".\"os-release\""},
    {".a.b-c-d == 1", "jq: error: c/0 is not defined" WHERE(".a.b-c-d == 1"),
	"jq: there is no function \"c\"; cure: a name with \"-\" in it stands in quotes, "
	".\"b-c-d\""},
    {"foo(1;2)", "jq: error: foo/2 is not defined" WHERE("foo(1;2)"),
	"jq: there is no function \"foo\" of 2 arguments"},
    {"$x", "jq: error: $x is not defined" WHERE("$x"), "jq: there is no variable \"$x\""},
    {"if .a\nthen 1",
	"jq: error: syntax error, unexpected $end (Unix shell quoting issues?) at <top-level>, line "
	"2:\nif .a\nthen 1\njq: error: Possibly unterminated 'if' statement at <top-level>, line "
	"1:\nif .a\nthen 1\njq: 2 compile errors",
	"jq: syntax error: it ends too early (line 2); Possibly unterminated 'if' statement (line "
	"1)"},
    {"1/0", "jq: error: Division by zero?" WHERE("1/0"), "jq: Division by zero?"},
    {"x", "what is not known", "what is not known"},
};

static void
each_is_told_in_its_words(void **state)
{
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		char *words = jq_words_uncompiled(errors[i].program, errors[i].text);

		assert_string_equal(words, errors[i].words);
		free(words);
	}
}

/* The text may be of any length: a function's name is the asker's. */
static void
long_texts_are_cut(void **state)
{
	size_t n = 40000;
	char *program = malloc(n + 1), *text = malloc(n + 100), *words;

	memset(program, 'a', n);
	program[n] = '\0';
	strcpy(text, "jq: error: ");
	strcat(strcat(text, program), "/0 is not defined at <top-level>, line 1:");
	words = jq_words_uncompiled(program, text);
	assert_true(strlen(words) < 20000);
	free(words);
	free(program);
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_is_told_in_its_words),
	    cmocka_unit_test(long_texts_are_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
