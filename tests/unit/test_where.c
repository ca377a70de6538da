/* Questions to records: truth as jq's select has it, and what does not end, ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runner/where.h"
#include "shared/loop.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct asked {
	struct loop *loop;
	bool failed;
	char in[256];   /* "web01 web02" */
	char text[512]; /* "" = none */
	int calls;
};

static void
on_answer(const struct hosts *in, const char *text, void *arg)
{
	struct asked *a = arg;
	size_t at = 0;

	a->calls++;
	a->failed = in == NULL;
	snprintf(a->text, sizeof(a->text), "%s", text == NULL ? "" : text);
	for (size_t i = 0; in != NULL && i < in->n; i++)
		at += (size_t)snprintf(
		    a->in + at, sizeof(a->in) - at, "%s%s", i > 0 ? " " : "", in->names[i]);
	loop_stop(a->loop);
}

static const char *const records[][2] = {
    {"db01", "{\"_id\": \"db01\", \"facter\": {\"os\": \"Debian\"}, \"n\": 1}"},
    {"web01", "{\"_id\": \"web01\", \"facter\": {\"os\": \"Debian\"}, \"n\": 2}"},
    {"web02", "{\"_id\": \"web02\", \"facter\": {\"os\": \"Alpine\"}, \"n\": \"two\"}"},
};

static struct asked
ask(const char *program, int64_t timeout_ms)
{
	struct asked a = {.loop = loop_create()};
	char *why = NULL;
	struct where *w = where_create(a.loop, program, &why);

	if (w == NULL) {
		a.failed = true;
		snprintf(a.text, sizeof(a.text), "%s", why);
		free(why);
	} else {
		for (size_t i = 0; i < 3; i++) {
			json_t *rec = json_loads(records[i][1], 0, NULL);

			assert_true(where_add(w, records[i][0], rec));
			json_decref(rec);
		}
		where_run(w, timeout_ms, on_answer, &a);
		assert_int_equal(a.calls, 0);
		loop_run(a.loop);
		assert_int_equal(a.calls, 1);
		where_destroy(w);
	}
	loop_destroy(a.loop);
	return a;
}

static void
assert_in(const char *program, const char *in)
{
	struct asked a = ask(program, 60000);

	if (a.failed)
		fail_msg("%s: %s", program, a.text);
	assert_string_equal(a.in, in);
	assert_string_equal(a.text, "");
}

static void
test_truth_is_that_of_select(void **state)
{
	assert_in(".facter.os == \"Debian\"", "db01 web01");
	assert_in("._id | test(\"^web\")", "web01 web02");
	assert_in(".n", "db01 web01 web02");
	assert_in("0", "db01 web01 web02");
	assert_in("\"\"", "db01 web01 web02");
	assert_in("null", "");
	assert_in("empty", "");
	assert_in(".nothing.there", "");
	assert_in("false, .n == 2", "web01");
	assert_in("select(.n == 2)", "web01");
	assert_in(".n == 1 or .n == 2 # those", "db01 web01");
}

static void
test_first_truth_is_enough(void **state)
{
	assert_in("repeat(1)", "db01 web01 web02");
}

static void
test_what_does_not_compile_has_jqs_message(void **state)
{
	struct asked a = ask(".facter.os ==", 60000);

	assert_true(a.failed);
	assert_non_null(strstr(a.text, "jq: error: syntax error"));
	a = ask("nosuch", 60000);
	assert_true(a.failed);
	assert_non_null(strstr(a.text, "nosuch/0 is not defined"));
}

static void
test_no_modules(void **state)
{
	static const char *const programs[] = {
	    "import \"a\" as a; .x",
	    "include \"x\"; .",
	    "# a comment\n\timport \"a\" as $a; .",
	    "import \"passwd\" as $x {\"search\": \"/etc\"}; .",
	    "module {}; .",
	};

	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		struct asked a = ask(programs[i], 60000);

		assert_true(a.failed);
		if (strstr(a.text, "is not possible here: no modules of jq are used") == NULL)
			fail_msg("%s: %s", programs[i], a.text);
	}
	assert_in(".import, .include", "");
	assert_in("def imported: 1; imported", "db01 web01 web02");
	assert_in("\"import\" # import", "db01 web01 web02");
}

/* Nothing that jq knows ends it in another way than with words. */
static void
test_no_input_but_the_record(void **state)
{
	static const char *const failing[] = {"input", "input_line_number", "\"x\" | modulemeta",
	    "halt_error", "error", "getpath(1)", "ltrimstr"};
	struct asked a = ask("input", 60000);

	assert_false(a.failed);
	assert_non_null(strstr(a.text, "3 of 3 hosts left out, it failed on them: db01: "));
	assert_in("inputs", "");
	assert_in("input_filename", "");
	assert_in("get_search_list | length > 0", "");
	assert_in("halt", "");
	for (size_t i = 0; i < sizeof(failing) / sizeof(failing[0]); i++) {
		a = ask(failing[i], 60000);
		if (strstr(a.text, "died") != NULL || strstr(a.text, "ended early") != NULL)
			fail_msg("%s: %s", failing[i], a.text);
	}
}

/* Compiling is under the deadline as well: 40 functions, each of which is two of the one before. */
static void
test_endless_compiling_ends(void **state)
{
	char program[4096];
	size_t at = (size_t)snprintf(program, sizeof(program), "def f0: 1;");
	struct asked a;

	for (int i = 1; i <= 40; i++)
		at += (size_t)snprintf(
		    program + at, sizeof(program) - at, "def f%d: f%d + f%d;", i, i - 1, i - 1);
	snprintf(program + at, sizeof(program) - at, "f40");
	a = ask(program, 200);
	assert_true(a.failed);
	assert_non_null(strstr(a.text, "no end after 200ms"));
}

static void
test_without_records_it_says_whether_it_compiles(void **state)
{
	struct asked a = {.loop = loop_create()};
	char *why;
	struct where *w = where_create(a.loop, ".n == 1", &why);
	json_t *rec;

	where_run(w, 60000, on_answer, &a);
	loop_run(a.loop);
	assert_int_equal(a.calls, 1);
	assert_false(a.failed);
	assert_string_equal(a.in, "");
	rec = json_loads(records[0][1], 0, NULL);
	assert_true(where_add(w, "db01", rec));
	json_decref(rec);
	where_run(w, 60000, on_answer, &a);
	loop_run(a.loop);
	assert_int_equal(a.calls, 2);
	assert_string_equal(a.in, "db01");
	rec = json_loads(records[0][1], 0, NULL);
	assert_true(where_add(w, "web01", rec));
	json_decref(rec);
	where_run(w, 60000, on_answer, &a);
	loop_run(a.loop);
	assert_string_equal(a.in, "db01 web01");
	where_destroy(w);
	w = where_create(a.loop, ".n ==", &why);
	where_run(w, 60000, on_answer, &a);
	loop_run(a.loop);
	assert_true(a.failed);
	assert_non_null(strstr(a.text, "syntax error"));
	where_destroy(w);
	loop_destroy(a.loop);
}

static void
test_host_on_which_it_fails_is_out_and_told(void **state)
{
	struct asked a = ask(".n | test(\"o\")", 60000);

	assert_false(a.failed);
	assert_string_equal(a.in, "web02");
	assert_non_null(strstr(a.text, "2 of 3 hosts left out, it failed on them: db01: "));
	assert_non_null(strstr(a.text, "cannot be matched"));
}

static void
test_text_of_an_error_is_one_line(void **state)
{
	struct asked a = ask("error(\"a\\nb\\u001b[1m\")", 60000);

	assert_non_null(strstr(a.text, "db01: a b [1m"));
}

static void
test_loop_for_ever_ends(void **state)
{
	struct asked a = ask("def f: f; f", 200);

	assert_true(a.failed);
	assert_non_null(strstr(a.text, "no end after 200ms"));
	a = ask("last(repeat(null))", 200);
	assert_true(a.failed);
	assert_non_null(strstr(a.text, "no end after 200ms"));
}

#ifndef __SANITIZE_ADDRESS__
static void
test_memory_is_bounded(void **state)
{
	struct asked a = ask("reduce range(1e12) as $i (\"xxxxxxxx\"; . + .)", 60000);

	assert_true(a.failed);
	if (strstr(a.text, "1 GiB of memory") == NULL)
		fail_msg("%s", a.text);
}
#endif

static void
test_stopped_in_the_middle(void **state)
{
	struct loop *loop = loop_create();
	struct asked a = {.loop = loop};
	char *why;
	struct where *w = where_create(loop, "last(repeat(null))", &why);
	json_t *rec = json_object();

	assert_true(where_add(w, "web01", rec));
	json_decref(rec);
	where_run(w, 60000, on_answer, &a);
	where_destroy(w);
	assert_int_equal(a.calls, 0);
	loop_destroy(loop);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_truth_is_that_of_select),
	    cmocka_unit_test(test_first_truth_is_enough),
	    cmocka_unit_test(test_what_does_not_compile_has_jqs_message),
	    cmocka_unit_test(test_no_modules),
	    cmocka_unit_test(test_no_input_but_the_record),
	    cmocka_unit_test(test_endless_compiling_ends),
	    cmocka_unit_test(test_without_records_it_says_whether_it_compiles),
	    cmocka_unit_test(test_host_on_which_it_fails_is_out_and_told),
	    cmocka_unit_test(test_text_of_an_error_is_one_line),
	    cmocka_unit_test(test_loop_for_ever_ends),
#ifndef __SANITIZE_ADDRESS__
	    cmocka_unit_test(test_memory_is_bounded),
#endif
	    cmocka_unit_test(test_stopped_in_the_middle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
