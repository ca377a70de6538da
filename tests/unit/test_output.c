/* Colours, harmless text, spans of time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "runner/output.h"
#include "runner/verb.h"

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
	FILE *out = output_memory(&got, &size);

	output_clean(out, text);
	fclose(out);
	assert_string_equal(got, expected);
	free(got);
}

static void
nothing_reaches_the_terminal_that_it_obeys(void **state)
{
	assert_clean("exit status 2: caf\303\251", "exit status 2: caf\303\251");
	assert_clean("\033[2J\033]0;x\007", "?[2J?]0;x?");
	assert_clean("a\nb\tc\rd\177", "a b c d?");
	assert_clean("\302\233"
		     "2J",
	    "??2J"); /* C1 */
	assert_clean("\377\300x\303", "??x?");
	assert_clean("\342\202\254 \360\237\230\200", "\342\202\254 \360\237\230\200");
	assert_clean("\342\202", "??");
}

static void
assert_span(int64_t ms, const char *expected)
{
	char text[OUTPUT_SPAN_SIZE];

	assert_string_equal(output_span(ms, text), expected);
}

static void
spans(void **state)
{
	assert_span(-5, "0 s");
	assert_span(999, "0 s");
	assert_span(59999, "59 s");
	assert_span(60000, "1 min");
	assert_span(245000, "4 min 5 s");
	assert_span(3600000, "1 h");
	assert_span(3659000, "1 h");
	assert_span(604799000, "6 d 23 h");
	assert_span(604800000, "7 d");
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
	    cmocka_unit_test(spans),
	    cmocka_unit_test(colours),
	    cmocka_unit_test(options_of_the_command_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
