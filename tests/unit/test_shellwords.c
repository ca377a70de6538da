/* SPDX-License-Identifier: Apache-2.0 */
/* words: as Python's shlex.split(). */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "shared/base/shellwords.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N(a) (sizeof(a) / sizeof((a)[0]))

static void
splits(void **state)
{
	/* Expected words joined by '|'; what python3's shlex.split() says to the same text. */
	const char *const rows[][2] = {
	    {"", ""},
	    {"  \t ", ""},
	    {"facter -y", "facter|-y"},
	    {"  ps   -ef ", "ps|-ef"},
	    {"a 'b c' d", "a|b c|d"},
	    {"a \"b 'c' d\"", "a|b 'c' d"},
	    {"a'b'\"c\"d", "abcd"},
	    {"'' \"\" x", "||x"},
	    {"a\\ b c", "a b|c"},
	    {"\\'a\\\"", "'a\""},
	    {"\"a\\\"b\\\\c\\d\"", "a\"b\\c\\d"},
	    {"'a\\b\\\\c'", "a\\b\\\\c"},
	    {"sh -c 'echo $(id) ; ls | wc'", "sh|-c|echo $(id) ; ls | wc"},
	    {"echo $(id) * | & > x", "echo|$(id)|*|||&|>|x"},
	    {"a;b c\\; \\;d ';' e;", "a;b|c;|;d|;|e;"},
	    {"a#b #c", "a#b|#c"},
	    {"a\nb\rc\td", "a|b|c|d"},
	};
	char err[200], joined[200];

	for (size_t i = 0; i < N(rows); i++) {
		char **words = shellwords_split(rows[i][0], err, sizeof(err));
		size_t len = 0;

		if (words == NULL)
			fail_msg("%s: %s", rows[i][0], err);
		joined[0] = '\0';
		for (size_t w = 0; words[w] != NULL; w++)
			len += (size_t)snprintf(
			    joined + len, sizeof(joined) - len, "%s%s", w > 0 ? "|" : "", words[w]);
		assert_string_equal(joined, rows[i][1]);
		shellwords_free(words);
	}
}

static void
refuses(void **state)
{
	const char *const bad[] = {"'", "\"", "a 'b", "a \"b'", "a\\", "\"a\\", "\"a\\\"",
	    "'a\\'b'", "a ; b", "a ;", ";", "a \t;b"};
	char err[200];

	for (size_t i = 0; i < N(bad); i++) {
		err[0] = '\0';
		if (shellwords_split(bad[i], err, sizeof(err)) != NULL || err[0] == '\0')
			fail_msg("\"%s\" passed", bad[i]);
	}
}

static void
finds_what_a_shell_would_do(void **state)
{
	/* {text, what is found; NULL: nothing} */
	static const char *const rows[][2] = {
	    {"a | b", "|"},
	    {"a|b", "|"},
	    {"a || b", "||"},
	    {"a && b", "&&"},
	    {"a &", "&"},
	    {"a; b", ";"},
	    {"a > b", ">"},
	    {"a >> b", ">>"},
	    {"a 2>&1", ">"},
	    {"a <b", "<"},
	    {"a $(b)", "$("},
	    {"a ${b}", "${"},
	    {"a $HOME/x", "$HOME"},
	    {"a `b`", "`"},
	    {"ls *.c", "*"},
	    {"a 'b' | c", "|"},
	    {"a \"b\" | c", "|"},
	    {"a \\\\| c", "|"},
	    {"a \"\\\"\" | c", "|"},
	    {"a '\\' | c", "|"},
	    {"sh -c 'a | b && c > d; $(e)'", NULL},
	    {"sh -c \"a | b > $HOME\"", NULL},
	    {"a \\| b \\> c \\$\\(", NULL},
	    {"grep x$ y", NULL},
	    {"a $1 $", NULL},
	    {"a 'it' \"is\" b=c -d,e:f/g#h ~i", NULL},
	    {"a \\", NULL},
	    {"", NULL},
	};
	char found[20];

	for (size_t i = 0; i < N(rows); i++) {
		bool any = shellwords_find_shell(rows[i][0], found, sizeof(found));

		if (any != (rows[i][1] != NULL))
			fail_msg("%s: %s", rows[i][0], any ? found : "nothing is found");
		if (any)
			assert_string_equal(found, rows[i][1]);
	}
	assert_true(shellwords_find_shell("a $LONG_NAME", found, 4));
	assert_string_equal(found, "$LO");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(splits),
	    cmocka_unit_test(refuses),
	    cmocka_unit_test(finds_what_a_shell_would_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
