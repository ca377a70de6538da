/* SPDX-License-Identifier: Apache-2.0 */
/* Colours, harmless text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "runner/print/output.h"
#include "runner/verb.h"
#include "shared/base/xalloc.h"

#include <cmocka.h>
#include <fcntl.h>
#include <pty.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void
assert_clean(const char *text, const char *expected)
{
	char *got = NULL;
	size_t size;
	FILE *out = xmemstream(&got, &size);

	output_clean(out, text);
	fclose(out);
	assert_string_equal(got, expected);
	free(got);
}

static void
nothing_reaches_the_terminal_that_it_obeys(void **state)
{
	assert_clean("exit status 2: caf\303\251", "exit status 2: caf\303\251");
	assert_clean("\033[2J\033]0;x\007", "\\x1b[2J\\x1b]0;x\\x07");
	assert_clean("a\nb\tc\rd", "a b c d");
}

static void
colours(void **state)
{
	int terminal, master, file = open("/dev/null", O_RDWR | O_CLOEXEC);

	assert_int_equal(openpty(&master, &terminal, NULL, NULL, NULL), 0);
	setenv("TERM", "xterm", 1);
	unsetenv("NO_COLOR");
	assert_true(output_color_wanted(OUTPUT_COLOR_AUTO, terminal));
	assert_false(output_color_wanted(OUTPUT_COLOR_AUTO, file));
	assert_true(output_color_wanted(OUTPUT_COLOR_ALWAYS, file));
	assert_false(output_color_wanted(OUTPUT_COLOR_NEVER, terminal));
	setenv("TERM", "dumb", 1);
	assert_false(output_color_wanted(OUTPUT_COLOR_AUTO, terminal));
	setenv("TERM", "xterm", 1);
	setenv("NO_COLOR", "", 1); /* https://no-color.org: not an empty one */
	assert_true(output_color_wanted(OUTPUT_COLOR_AUTO, terminal));
	setenv("NO_COLOR", "1", 1);
	assert_false(output_color_wanted(OUTPUT_COLOR_AUTO, terminal));
	assert_true(output_color_wanted(OUTPUT_COLOR_ALWAYS, file));
	assert_int_equal(output_color_parse("auto"), OUTPUT_COLOR_AUTO);
	assert_int_equal(output_color_parse("always"), OUTPUT_COLOR_ALWAYS);
	assert_int_equal(output_color_parse("never"), OUTPUT_COLOR_NEVER);
	close(terminal);
	close(master);
	close(file);
}

static void
options_of_the_command_line(void **state)
{
	struct runner_arguments a = {.color = "always", .jsonl = true, .failed = true, .ok = true};
	struct output_options o;

	output_options_from(&o, &a);
	assert_int_equal(o.format, OUTPUT_JSONL);
	assert_int_equal(o.filter, FILTER_FAILED | FILTER_OK);
	assert_true(o.color && o.stderr_color);
	a = (struct runner_arguments){
	    .color = "never", .json = true, .quiet = true, .missing = true};
	output_options_from(&o, &a);
	assert_int_equal(o.format, OUTPUT_JSON);
	assert_int_equal(o.filter, FILTER_MISSING);
	assert_false(o.color || o.stderr_color || o.verbose);
	assert_true(o.quiet);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(nothing_reaches_the_terminal_that_it_obeys),
	    cmocka_unit_test(colours),
	    cmocka_unit_test(options_of_the_command_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
