/* SPDX-License-Identifier: Apache-2.0 */
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
#define BRACKET(program)                                                                           \
	"jq: error: syntax error, unexpected '[', expecting FORMAT or QQSTRING_START" WHERE(program)
#define BRACKET_WORDS                                                                              \
	"jq: syntax error: '[' does not belong there; cure: no dot stands before a bracket: .a[0]"
#define ENDS(program) "jq: error: syntax error, unexpected $end" WHERE(program)
#define ENDS_WORDS    "jq: syntax error: it ends too early"

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
    {".[0] | .a.[1]", BRACKET(".[0] | .a.[1]"), BRACKET_WORDS},
    {".a[0].[1]", BRACKET(".a[0].[1]"), BRACKET_WORDS},
    {".\"a\".[1]", BRACKET(".\"a\".[1]"), BRACKET_WORDS},
    {"(.a).[1]", BRACKET("(.a).[1]"), BRACKET_WORDS},
    {".a?.[1]", BRACKET(".a?.[1]"), BRACKET_WORDS},
    {".a == 'x'", "jq: error: syntax error, unexpected INVALID_CHARACTER" WHERE(".a == 'x'"),
	"jq: syntax error: a character that means nothing there; cure: texts stand in double "
	"quotes, and all of it in single ones"},
    /* What is right has no cure, */
    {".a | .[0] |", ENDS(".a | .[0] |"), ENDS_WORDS},
    {"[.[0],.[1]", ENDS("[.[0],.[1]"), ENDS_WORDS},
    {".a | .[0] | lenght", "jq: error: lenght/0 is not defined" WHERE(".a | .[0] | lenght"),
	"jq: there is no function \"lenght\""},
    /* nor what stands in texts and comments. */
    {".a == \"it's\" | foo", "jq: error: foo/0 is not defined" WHERE(".a == \"it's\" | foo"),
	"jq: there is no function \"foo\""},
    {".a == \"it's\" |", ENDS(".a == \"it's\" |"), ENDS_WORDS},
    {".a == \"\\\" && || a.[0]\" |", ENDS(".a == \"\\\" && || a.[0]\" |"), ENDS_WORDS},
    {".a | # it's\n.b |", "jq: error: syntax error, unexpected $end at <top-level>, line 2:\n",
	"jq: syntax error: it ends too early (line 2)"},
    {".a # it's", ENDS(".a # it's"), ENDS_WORDS},
    {"\"a\" && \"b\"", "jq: error: syntax error, unexpected INVALID_CHARACTER" WHERE(""),
	"jq: syntax error: a character that means nothing there; cure: in place of && and || it is "
	"\"and\" and \"or\""},
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
