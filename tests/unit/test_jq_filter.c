/* SPDX-License-Identifier: Apache-2.0 */
/* jq over records: truth as its select has it, values, and what does not end, ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/event/loop.h"
#include "shared/query/jq_filter.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATIENT_MS 600000 /* a tenth is for one record, on a machine that is busy */

struct asked {
	struct loop *loop;
	struct jq_filter *filter;
	bool failed;
	char in[256];    /* "web01 web02": where it is true */
	char text[1024]; /* "web01: text; ", of errors; or why it failed */
	char values[512];
	size_t errors, answers, ends;
};

static void
add_text(char *to, size_t size, const char *a, const char *between, const char *b)
{
	size_t at = strlen(to);

	snprintf(to + at, size - at, "%s%s%s", a, between, b);
}

static void
on_compiled(void *arg)
{
}

static void
on_answer(const char *host, enum jq_word word, const char *text, size_t len, void *arg)
{
	struct asked *a = arg;

	a->answers++;
	if (word == JQ_WORD_TRUE)
		add_text(a->in, sizeof(a->in), a->in[0] == '\0' ? "" : " ", "", host);
	if (word == JQ_WORD_VALUES) {
		assert_int_equal(strlen(text), len);
		add_text(a->values, sizeof(a->values), host, "=", text);
		add_text(a->values, sizeof(a->values), ";", "", "");
	}
	if (word == JQ_WORD_ERROR) {
		a->errors++;
		add_text(a->text, sizeof(a->text), host, ": ", text);
		add_text(a->text, sizeof(a->text), "; ", "", "");
	}
}

static void
on_end(const char *why, void *arg)
{
	struct asked *a = arg;

	a->ends++;
	a->failed = why != NULL;
	if (why != NULL)
		snprintf(a->text, sizeof(a->text), "%s", why);
	loop_stop(a->loop);
}

static const struct jq_filter_handlers handlers = {on_compiled, on_answer, on_end};

static const char *const records[][2] = {
    {"db01", "{\"_id\": \"db01\", \"facter\": {\"os\": \"Debian\"}, \"n\": 1}"},
    {"web01", "{\"_id\": \"web01\", \"facter\": {\"os\": \"Debian\"}, \"n\": 2}"},
    {"web02", "{\"_id\": \"web02\", \"facter\": {\"os\": \"Alpine\"}, \"n\": \"two\"}"},
};

static void
add(struct jq_filter *f, const char *host, const char *json)
{
	json_t *rec = json_loads(json, 0, NULL);

	assert_non_null(rec);
	assert_true(jq_filter_add(f, host, rec));
	json_decref(rec);
}

/* false: it was refused at once, with a->text. */
static bool
begin(struct asked *a, const char *program, enum jq_mode mode, int64_t timeout_ms)
{
	char *why = NULL;

	*a = (struct asked){.loop = loop_create()};
	a->filter = jq_filter_create(
	    a->loop, program, mode, timeout_ms, "--where-timeout", &handlers, a, &why);
	if (a->filter != NULL)
		return true;
	a->failed = true;
	snprintf(a->text, sizeof(a->text), "%s", why);
	free(why);
	return false;
}

static void
finish(struct asked *a)
{
	jq_filter_destroy(a->filter);
	loop_destroy(a->loop);
}

static struct asked
ask_mode(const char *program, enum jq_mode mode, int64_t timeout_ms)
{
	struct asked a;

	if (begin(&a, program, mode, timeout_ms)) {
		for (size_t i = 0; i < 3; i++)
			add(a.filter, records[i][0], records[i][1]);
		jq_filter_close(a.filter);
		assert_int_equal(a.ends, 0);
		loop_run(a.loop);
		assert_int_equal(a.ends, 1);
		assert_true(a.failed || a.answers == 3);
	}
	finish(&a);
	return a;
}

static struct asked
ask(const char *program, int64_t timeout_ms)
{
	return ask_mode(program, JQ_TRUTH, timeout_ms);
}

static void
assert_in(const char *program, const char *in)
{
	struct asked a = ask(program, PATIENT_MS);

	if (a.failed)
		fail_msg("%s: %s", program, a.text);
	assert_string_equal(a.in, in);
	assert_string_equal(a.text, "");
}

static void
truth_is_that_of_select(void **state)
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
first_truth_is_enough(void **state)
{
	assert_in("repeat(1)", "db01 web01 web02");
}

static void
what_does_not_compile_is_told(void **state)
{
	struct asked a = ask(".facter.os ==", PATIENT_MS);

	assert_true(a.failed);
	assert_string_equal(a.text, "jq: syntax error: it ends too early");
	a = ask("nosuch", PATIENT_MS);
	assert_true(a.failed);
	assert_string_equal(a.text, "jq: there is no function \"nosuch\"");
}

static void
no_modules(void **state)
{
	static const char *const programs[] = {
	    "import \"a\" as a; .x",
	    "include \"x\"; .",
	    "# a comment\n\timport \"a\" as $a; .",
	    "import \"passwd\" as $x {\"search\": \"/etc\"}; .",
	    "module {}; .",
	};

	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		struct asked a = ask(programs[i], PATIENT_MS);

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
no_input_but_the_record(void **state)
{
	static const char *const failing[] = {"input", "input_line_number", "\"x\" | modulemeta",
	    "halt_error", "error", "getpath(1)", "ltrimstr"};
	struct asked a = ask("input", PATIENT_MS);

	assert_false(a.failed);
	assert_int_equal(a.errors, 3);
	assert_non_null(strstr(a.text, "db01: it asks for one more input, and there is none"));
	assert_in("inputs", "");
	a = ask("error(\"break\")", PATIENT_MS); /* its own word */
	assert_non_null(strstr(a.text, "db01: break"));
	a = ask("error({a: 1})", PATIENT_MS);
	assert_non_null(strstr(a.text, "db01: its error is no text: {\"a\":1}"));
	a = ask("error(\"\")", PATIENT_MS);
	assert_non_null(strstr(a.text, "db01: its error has no text"));
	assert_in("input_filename", "");
	assert_in("get_search_list | length > 0", "");
	a = ask("halt", PATIENT_MS);
	assert_false(a.failed);
	assert_int_equal(a.errors, 3);
	for (size_t i = 0; i < sizeof(failing) / sizeof(failing[0]); i++) {
		a = ask(failing[i], PATIENT_MS);
		if (strstr(a.text, "died") != NULL || strstr(a.text, "ended early") != NULL)
			fail_msg("%s: %s", failing[i], a.text);
	}
}

/* Whoever asks, the answer is the same, and nothing is shown that only the environment has. */
static void
no_environment_but_the_time_zone(void **state)
{
	struct asked a;

	setenv("VOGELER_TEST_SECRET", "s3cret", 1);
	assert_in("env.VOGELER_TEST_SECRET, $ENV.PATH", "");
	unsetenv("TZ");
	a = ask_mode("[env, $ENV] | tojson", JQ_VALUES, PATIENT_MS);
	assert_string_equal(a.values, "db01=\"[{},{}]\";web01=\"[{},{}]\";web02=\"[{},{}]\";");
	setenv("TZ", "UTC", 1);
	assert_in("env == {TZ: \"UTC\"}", "db01 web01 web02");
	unsetenv("TZ");
}

/* Compiling is under the deadline as well: 40 functions, each of which is two of the one before. */
static void
endless_compiling_ends(void **state)
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
without_records_it_says_whether_it_compiles(void **state)
{
	struct asked a;

	assert_true(begin(&a, ".n == 1", JQ_TRUTH, PATIENT_MS));
	jq_filter_close(a.filter);
	loop_run(a.loop);
	assert_false(a.failed);
	finish(&a);
	assert_true(begin(&a, ".n ==", JQ_TRUTH, PATIENT_MS)); /* not closed: that is enough */
	loop_run(a.loop);
	assert_true(a.failed);
	assert_non_null(strstr(a.text, "syntax error"));
	finish(&a);
}

static void
host_on_which_it_fails_is_out_and_told(void **state)
{
	struct asked a = ask(".n | test(\"o\")", PATIENT_MS);

	assert_false(a.failed);
	assert_string_equal(a.in, "web02");
	assert_int_equal(a.errors, 2);
	assert_non_null(strstr(a.text, "db01: "));
	assert_non_null(strstr(a.text, "web01: "));
	assert_non_null(strstr(a.text, "cannot be matched"));
}

static void
text_of_an_error_is_one_line(void **state)
{
	struct asked a = ask("error(\"a\\nb\\u001b[1m\")", PATIENT_MS);

	assert_non_null(strstr(a.text, "db01: a b [1m"));
}

static void
loop_for_ever_ends(void **state)
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
memory_is_bounded(void **state)
{
	struct asked a = ask("reduce range(1e12) as $i (\"xxxxxxxx\"; . + .)", PATIENT_MS);

	assert_true(a.failed);
	if (strstr(a.text, "1 GiB of memory") == NULL)
		fail_msg("%s", a.text);
}
#endif

#define DEADLY "(reduce range(300000) as $i (0; [.]) | tojson)" /* jq's own stack */

/* The first, one in the middle, the last; and several. */
static void
one_record_is_not_the_end_for_others(void **state)
{
	struct asked a = ask("if .n == 1 then last(repeat(null)) else true end", 6000);

	assert_false(a.failed);
	assert_string_equal(a.in, "web01 web02");
	assert_non_null(strstr(a.text, "db01: no end after 600ms"));
	assert_int_equal(a.errors, 1);
	a = ask("if .n == 2 then last(repeat(null)) else true end", 6000);
	assert_string_equal(a.in, "db01 web02");
	assert_non_null(strstr(a.text, "web01: no end"));
	a = ask("if .n == \"two\" then last(repeat(null)) else true end", 6000);
	assert_string_equal(a.in, "db01 web01");
	assert_non_null(strstr(a.text, "web02: no end"));
	a = ask("if .n == 2 then " DEADLY " else true end", PATIENT_MS);
	assert_false(a.failed);
	assert_string_equal(a.in, "db01 web02");
	assert_non_null(strstr(a.text, "web01: "));
	assert_int_equal(a.errors, 1);
	a = ask(
	    "if .n == 1 then " DEADLY " elif .n == 2 then error(\"no\") else true end", PATIENT_MS);
	assert_false(a.failed);
	assert_string_equal(a.in, "web02");
	assert_int_equal(a.errors, 2);
	assert_non_null(strstr(a.text, "web01: no"));
}

static void
one_that_every_record_is_the_death_of_failed(void **state)
{
	struct asked a = ask(DEADLY, PATIENT_MS);

	assert_true(a.failed);
	assert_non_null(strstr(a.text, "jq"));
}

static void
assert_rounded(const char *program, const char *text)
{
	struct asked a;
	const char *rounded;

	assert_true(begin(&a, program, JQ_TRUTH, PATIENT_MS));
	assert_null(jq_filter_rounded(a.filter));
	add(a.filter, "db01", "{\"n\": 9007199254740992}");
	if (text != NULL && strstr(text, "web01") != NULL)
		add(a.filter, "web01", "{\"f\": {\"list\": [1, {\"id\": 9007199254740993}]}}");
	rounded = jq_filter_rounded(a.filter);
	if (text == NULL)
		assert_null(rounded);
	else
		assert_string_equal(rounded, text);
	finish(&a);
}

static void
integers_that_jq_rounds_are_told(void **state)
{
	assert_rounded(
	    ".f.id > 1", "jq rounds integers above 2^53: web01 has one at .f.list[1].id");
	assert_rounded(
	    ".n == 9007199254740993", "jq rounds integers above 2^53, also that of the expression");
	assert_rounded(
	    ".n == 9007199254740992 or .x12345678901234567890 or 12345678901234567890.5", NULL);
}

static void
stopped_in_the_middle(void **state)
{
	struct asked a;

	assert_true(begin(&a, "last(repeat(null))", JQ_TRUTH, PATIENT_MS));
	add(a.filter, "web01", "{}");
	jq_filter_close(a.filter);
	finish(&a);
	assert_int_equal(a.ends, 0);
}

static void
values_are_what_comes_out(void **state)
{
	struct asked a = ask_mode(".n, (._id | ascii_upcase)", JQ_VALUES, PATIENT_MS);

	assert_string_equal(
	    a.values, "db01=1\n\"DB01\";web01=2\n\"WEB01\";web02=\"two\"\n\"WEB02\";");
	a = ask_mode("select(.n == 2) | {a: .n, b: [null]}", JQ_VALUES, PATIENT_MS);
	assert_string_equal(a.values, "db01=;web01={\"a\":2,\"b\":[null]};web02=;");
	a = ask_mode("\"\", .n + 1", JQ_VALUES, PATIENT_MS);
	assert_string_equal(a.values, "db01=\"\"\n2;web01=\"\"\n3;");
	assert_int_equal(a.errors, 1);
	assert_non_null(strstr(a.text, "web02: "));
}

static void
what_comes_out_is_bounded(void **state)
{
	struct asked a =
	    ask_mode("if .n == 1 then reduce range(25) as $i (\"x\"; . + .) else .n end", JQ_VALUES,
		PATIENT_MS);

	assert_string_equal(a.values, "web01=2;web02=\"two\";");
	if (strstr(a.text, "db01: what comes out is more than 16 MiB") == NULL)
		fail_msg("%s", a.text);
}

/* More than a part for each child, some of which die. */
struct many {
	struct asked a;
	size_t next;
	bool ordered;
};

enum { MANY = 1500 };

static void
many_on_answer(const char *host, enum jq_word word, const char *text, size_t len, void *arg)
{
	struct many *m = arg;
	char expected[16];
	bool fails = m->next == 3 || m->next == 700 || m->next == MANY - 1;

	snprintf(expected, sizeof(expected), "h%05zu", m->next++);
	m->ordered &= strcmp(host, expected) == 0 &&
		      word == (fails ? JQ_WORD_ERROR : JQ_WORD_VALUES) &&
		      (fails || strcmp(text, expected + 1 + strspn(expected + 1, "0")) == 0 ||
			  strcmp(text, "0") == 0);
}

static void
many_on_compiled(void *arg)
{
	struct many *m = arg;
	char host[16], json[64];

	for (int i = 0; i < MANY; i++) {
		snprintf(host, sizeof(host), "h%05d", i);
		snprintf(json, sizeof(json), "{\"n\": %d}", i);
		add(m->a.filter, host, json);
	}
	jq_filter_close(m->a.filter);
}

static void
many_on_end(const char *why, void *arg)
{
	struct many *m = arg;

	m->a.failed = why != NULL;
	jq_filter_destroy(m->a.filter); /* as it may be */
	loop_stop(m->a.loop);
}

static void
many_are_answered_in_their_order(void **state)
{
	static const struct jq_filter_handlers many_handlers = {
	    many_on_compiled, many_on_answer, many_on_end};
	struct many m = {.a = {.loop = loop_create()}, .ordered = true};
	char *why;

	m.a.filter = jq_filter_create(m.a.loop,
	    "if .n == 3 or .n == 700 or .n == 1499 then " DEADLY " else .n end", JQ_VALUES,
	    PATIENT_MS, "-t", &many_handlers, &m, &why);
	assert_non_null(m.a.filter);
	loop_run(m.a.loop);
	assert_false(m.a.failed);
	assert_int_equal(m.next, MANY);
	assert_true(m.ordered);
	loop_destroy(m.a.loop);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(truth_is_that_of_select),
	    cmocka_unit_test(first_truth_is_enough),
	    cmocka_unit_test(what_does_not_compile_is_told),
	    cmocka_unit_test(no_modules),
	    cmocka_unit_test(no_input_but_the_record),
	    cmocka_unit_test(no_environment_but_the_time_zone),
	    cmocka_unit_test(endless_compiling_ends),
	    cmocka_unit_test(without_records_it_says_whether_it_compiles),
	    cmocka_unit_test(host_on_which_it_fails_is_out_and_told),
	    cmocka_unit_test(text_of_an_error_is_one_line),
	    cmocka_unit_test(loop_for_ever_ends),
#ifndef __SANITIZE_ADDRESS__
	    cmocka_unit_test(memory_is_bounded),
#endif
	    cmocka_unit_test(one_record_is_not_the_end_for_others),
	    cmocka_unit_test(one_that_every_record_is_the_death_of_failed),
	    cmocka_unit_test(integers_that_jq_rounds_are_told),
	    cmocka_unit_test(stopped_in_the_middle),
	    cmocka_unit_test(values_are_what_comes_out),
	    cmocka_unit_test(what_comes_out_is_bounded),
	    cmocka_unit_test(many_are_answered_in_their_order),
	};

	if (jq_child_is_meant(argc, argv))
		return jq_child_main(argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
