/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/read/convert.h"
#include "shared/base/buf.h"
#include "shared/config/options.h"

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int
group_setup(void **state)
{
	ident_init();
	return 0;
}

/* What a plugin printed, as it comes in a body. */
static struct result *
convert_within(
    enum wire_format format, const char *text, size_t len, const struct convert_limits *limits)
{
	struct result *r = calloc(1, sizeof(*r));
	struct buf json;

	assert_non_null(r);
	result_init(r);
	r->format = format;
	buf_init(&json, 1 << 24);
	assert_true(jsonx_write_string(&json, text, len));
	assert_true(convert_value(r, json.data, json.len, limits));
	buf_finish(&json);
	return r;
}

static struct result *
convert(enum wire_format format, const char *text)
{
	return convert_within(format, text, strlen(text), NULL);
}

static void
release(struct result *r)
{
	result_finish(r);
	free(r);
}

static void
assert_value(enum wire_format format, const char *text, const char *expected)
{
	struct result *r = convert(format, text);
	char hash[IDENT_HASH_SIZE];

	if (r->value == NULL)
		fail_msg("%s: %s", text, r->error);
	assert_string_equal(r->value, expected);
	assert_int_equal(r->value_len, strlen(expected));
	ident_hash(hash, expected, strlen(expected));
	assert_string_equal(r->hash, hash);
	assert_null(r->unparsed);
	assert_null(r->error);
	release(r);
}

static void
assert_unparsed(enum wire_format format, const char *text, const char *why)
{
	struct result *r = convert(format, text);

	assert_null(r->value);
	assert_string_equal(r->hash, "");
	assert_string_equal(r->unparsed, text);
	assert_non_null(r->error);
	if (strstr(r->error, why) == NULL)
		fail_msg("got \"%s\", want \"%s\"", r->error, why);
	release(r);
}

static void
output_is_stripped_lines_without_the_last_empty_one(void **state)
{
	assert_value(WIRE_OUTPUT, "a\nb\n", "[\"a\",\"b\"]");
	assert_value(WIRE_OUTPUT, "  a \t\r\n\n b", "[\"a\",\"\",\"b\"]");
	assert_value(WIRE_OUTPUT, "a\n\n", "[\"a\",\"\"]");
	assert_value(WIRE_OUTPUT, "\n", "[\"\"]");
	assert_value(WIRE_OUTPUT, "", "[]");
	assert_value(WIRE_OUTPUT,
	    "\xef\xbb\xbf"
	    "a\n",
	    "[\"a\"]");
	assert_value(WIRE_OUTPUT, "\xef\xbb\xbf", "[]");
	assert_value(WIRE_OUTPUT, "say \"hi\" \xe2\x82\xac\n", "[\"say \\\"hi\\\" \xe2\x82\xac\"]");
	assert_value(WIRE_OUTPUT, "\xc2\xa0x\n", "[\"\xc2\xa0x\"]");
}

static void
json_and_yaml_become_values_in_one_canonical_text(void **state)
{
	assert_value(WIRE_JSON, "{\"b\": 1.0, \"a\": [true, null, 0.1]}",
	    "{\"a\":[true,null,0.1],\"b\":1.0}");
	assert_value(WIRE_YAML, "b: 1.0\na: [yes, ~, 0.1]\n", "{\"a\":[true,null,0.1],\"b\":1.0}");
	assert_value(WIRE_YAML, "", "null");
	assert_value(WIRE_JSON, "12", "12");
}

static void
string_and_raw_are_taken_as_they_are(void **state)
{
	assert_value(WIRE_STRING, " a\n", "\" a\\n\"");
	assert_value(WIRE_RAW, "\tx", "\"\\tx\"");
	assert_value(WIRE_PYDICT, "x", "\"x\"");
}

static void
what_does_not_parse_is_kept_with_the_reason(void **state)
{
	assert_unparsed(WIRE_YAML, "a: [", "as YAML: line 2, column 1: ");
	assert_unparsed(WIRE_JSON, "{\"a\": 1,", "");
	assert_unparsed(WIRE_JSON, "", "printed nothing where JSON is due");
	assert_unparsed(WIRE_JSON, " \r\n", "printed nothing where JSON is due");
	assert_unparsed(WIRE_JSON, "\xef\xbb\xbf\n", "printed nothing where JSON is due");
	assert_unparsed(
	    WIRE_JSON, "Warning: x\n{}\n", "line 1, column 1: \"Warning: x\" is no JSON");
	assert_unparsed(WIRE_JSON, "{\"a\":1,}", "line 1, column 8: a key in double quotes is due");
}

static void
big_integers_are_noted(void **state)
{
	struct result *r = convert(WIRE_YAML, "[18446744073709551616, 1]");

	assert_string_equal(r->value, "[\"18446744073709551616\",1]");
	assert_int_equal(json_array_size(r->note), 1);
	assert_non_null(strstr(json_string_value(json_array_get(r->note, 0)), "1 integers beyond"));
	release(r);
	r = convert(WIRE_JSON, "[18446744073709551616, 1]");
	assert_string_equal(r->value, "[\"18446744073709551616\",1]");
	assert_int_equal(json_array_size(r->note), 1);
	release(r);
}

static void
assert_note(const struct result *r, const char *text)
{
	assert_int_equal(json_array_size(r->note), 1);
	assert_string_equal(json_string_value(json_array_get(r->note, 0)), text);
}

static void
assert_noted(enum wire_format format, const char *text, const char *value, const char *note)
{
	struct result *r = convert(format, text);

	if (r->value == NULL)
		fail_msg("%s: %s", text, r->error);
	assert_string_equal(r->value, value);
	assert_note(r, note);
	release(r);
}

/* In JSON and in YAML alike: the rest of the value is read, and a note says what was odd and where.
 */
static void
one_odd_value_spoils_nothing_else(void **state)
{
	static const char big[] = "1 numbers beyond the range of a double are kept as text ",
			  none[] = "2 numbers that are none (NaN, Infinity) are kept as text ",
			  twice[] = "2 repeated keys have the last of their values ",
			  nul[] = "1 keys hold a NUL, shown as U+2400 ";
	const struct {
		enum wire_format format;
		const char *text, *value, *note, *where;
	} cases[] = {
	    {WIRE_YAML, "[1.0e+400, 1]", "[\"1.0e+400\",1]", big, "(first: line 1, column 2)"},
	    {WIRE_JSON, "{\"counter\":1e400,\"ok\":1}", "{\"counter\":\"1e400\",\"ok\":1}", big,
		"(first: line 1, column 12)"},
	    {WIRE_JSON, "[\"caf\\udce9.txt\"]", "[\"caf\xef\xbf\xbd.txt\"]",
		"1 halves of a surrogate pair are shown as U+FFFD ", "(first: line 1, column 2)"},
	    {WIRE_JSON, "[1,\n NaN,-Infinity]", "[1,\"NaN\",\"-Infinity\"]", none,
		"(first: line 2, column 2)"},
	    {WIRE_YAML, "[1,\n .nan, -.INF]", "[1,\".nan\",\"-.INF\"]", none,
		"(first: line 2, column 2)"},
	    {WIRE_JSON, "{\"a\":1,\n\"a\":2,\"b\":3,\"a\":4}", "{\"a\":4,\"b\":3}", twice,
		"(first: \"a\", line 2, column 1)"},
	    {WIRE_YAML, "a: 1\na: 2\nb: 3\n'a': 4\n", "{\"a\":4,\"b\":3}", twice,
		"(first: \"a\", line 2, column 1)"},
	    {WIRE_JSON, "{\"b\":0,\"a\\u0000b\":1}", "{\"a\xe2\x90\x80\x62\":1,\"b\":0}", nul,
		"(first: line 1, column 8)"},
	    {WIRE_YAML, "{b: 0, \"a\\0b\": 1}", "{\"a\xe2\x90\x80\x62\":1,\"b\":0}", nul,
		"(first: line 1, column 8)"},
	    {WIRE_YAML, "? [a, {b: 1}]\n: x\nc: 2\n",
		"{\"[\\\"a\\\",{\\\"b\\\":1}]\":\"x\",\"c\":2}",
		"1 keys are a list or a map, kept as the text of its JSON ",
		"(first: line 1, column 13)"},
	    {WIRE_YAML, "a: &a [1, *a]\nb: *nobody\n", "{\"a\":[1,\"*a\"],\"b\":\"*nobody\"}",
		"2 aliases name nothing, or what they are in, and are kept as text ",
		"(first: line 1, column 11)"},
	};
	char note[256];
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(note, sizeof(note), "%s%s", cases[i].note, cases[i].where);
		assert_noted(cases[i].format, cases[i].text, cases[i].value, note);
	}
}

static void
assert_limited(
    enum wire_format format, const char *text, const struct convert_limits *limits, const char *why)
{
	struct result *r = convert_within(format, text, strlen(text), limits);

	if (why == NULL && r->value == NULL)
		fail_msg("%s: %s", text, r->error);
	if (why != NULL) {
		assert_null(r->value);
		assert_string_equal(r->unparsed, text); /* nothing is lost */
		assert_non_null(strstr(r->error, why));
	}
	release(r);
}

static void
each_format_has_its_limits(void **state)
{
	const struct convert_limits limits = {
	    .json = {.depth = 2, .values = 6}, .yaml = {.depth = 3, .nodes = 5, .bytes = 12}};
	const struct convert_limits keys = {.json = {.depth = 9, .keys = 2},
	    .yaml = {.depth = 9, .nodes = 99, .keys = 2, .bytes = 99}};

	assert_limited(WIRE_JSON, "{\"a\":1,\"b\":{\"c\":1,\"d\":2}}", &keys, NULL);
	assert_limited(WIRE_JSON, "{\"a\":1,\"b\":2,\"c\":3}", &keys, "more than 2 keys");
	assert_limited(WIRE_YAML, "{a: 1, b: {c: 1, d: 2}}", &keys, NULL);
	assert_limited(WIRE_YAML, "{a: 1, b: 2, c: 3}", &keys, "more than 2 keys");
	assert_limited(WIRE_JSON, "[1]", &limits, NULL);
	assert_limited(WIRE_JSON, "[1,2,3,4,5]", &limits, NULL);
	assert_limited(WIRE_JSON, "[1,2,3,4,5,6]", &limits,
	    "more than 6 values and keys ([limits] json_nodes)");
	assert_limited(WIRE_JSON, "[[1]]", &limits, NULL);
	assert_limited(WIRE_JSON, "[[[1]]]", &limits, "nested deeper than 2 levels");
	assert_limited(WIRE_JSON, "{\"a\":{\"b\":{}}}", &limits, "nested deeper than 2 levels");
	assert_limited(WIRE_YAML, "[[1]]", &limits, NULL);
	assert_limited(WIRE_YAML, "[[[1]]]", &limits, NULL);
	assert_limited(WIRE_YAML, "[[[[1]]]]", &limits, "deeper than 3");
	assert_limited(WIRE_YAML, "[1,2,3]", &limits, NULL);
	assert_limited(WIRE_YAML, "[1,2,3,4]", &limits, NULL);
	assert_limited(WIRE_YAML, "[1,2,3,4,5]", &limits, "more than 5 values");
	assert_limited(WIRE_YAML, "12345678901", &limits, NULL);
	assert_limited(WIRE_YAML, "123456789012", &limits, NULL);
	assert_limited(WIRE_YAML, "1234567890123", &limits, "at most 12 are read");
	assert_limited(WIRE_OUTPUT, "12345678901234567890", &limits, NULL);
	assert_limited(WIRE_STRING, "12345678901234567890", &limits, NULL);
}

static void
a_nul_does_not_hide_what_is_behind_it(void **state)
{
	struct result *r = convert_within(WIRE_YAML, "a: \0b\0", 6, NULL);

	assert_null(r->value);
	assert_string_equal(r->unparsed, "a: \xe2\x90\x80"
					 "b\xe2\x90\x80");
	assert_int_equal(json_array_size(r->note), 1);
	release(r);
}

/* As it comes, with the host and the format in front. */
static struct result **
convert_message(
    const char *members, enum wire_format format, const struct response_meta *meta, size_t *n)
{
	struct message m;
	struct response resp;
	struct result **results;
	char *text, err[256] = "";

	assert_int_not_equal(asprintf(&text, "{\"syskey\":\"web01\",\"format\":\"%s\"%s%s}",
				 wire_format_name(format), members[0] != '\0' ? "," : "", members),
	    -1);
	message_init(&m);
	message_set_body(&m, text, strlen(text));
	if (!wire_response_decode(&m, &resp, err, sizeof(err)))
		fail_msg("%s", err);
	resp.meta = *meta;
	*n = convert_response(&resp, NULL, 1234, &results);
	resp.meta = (struct response_meta){0};
	response_finish(&resp);
	message_finish(&m);
	return results;
}

static struct result **
convert_body(const char *members, enum wire_format format, const char *plugin,
    enum wire_state state, size_t *n)
{
	char job[] = "job-1", machine[] = "machine";
	const struct response_meta meta = {.plugin = (char *)plugin,
	    .job = job,
	    .machine_id = machine,
	    .order = 77,
	    .state = state};

	return convert_message(members, format, &meta, n);
}

static void
every_key_is_a_result_with_the_meta_of_the_message(void **state)
{
	size_t n;
	struct result **r = convert_body(
	    "\"a\": \"x: 1\", \"b\": {\"y\": 2}, \"c\": \"[\"", WIRE_YAML, NULL, WIRE_OK, &n);

	assert_int_equal(n, 3);
	assert_string_equal(r[0]->plugin, "a");
	assert_string_equal(r[0]->value, "{\"x\":1}");
	assert_string_equal(r[1]->plugin, "b");
	assert_string_equal(r[1]->value, "{\"y\":2}");
	assert_string_equal(r[2]->plugin, "c");
	assert_null(r[2]->value);
	assert_string_equal(r[2]->unparsed, "[");
	assert_string_equal(r[2]->meta.job, "job-1");
	assert_string_equal(r[2]->meta.machine_id, "machine");
	assert_int_equal(r[2]->meta.order, 77);
	assert_int_equal(r[2]->received_at, 1234);
	convert_free(r, n);
}

/* In every format, and of a failure, where they were in what it printed. */
static void
bytes_that_were_replaced_are_noted(void **state)
{
	static const enum wire_format formats[] = {WIRE_OUTPUT, WIRE_JSON, WIRE_YAML, WIRE_STRING};
	struct response_meta meta = {.replaced = 3};
	char plugin[] = "a";
	struct result **r;
	size_t i, n;

	meta.plugin = plugin;
	for (i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		r = convert_message("\"a\":\"\\\"x\xef\xbf\xbd\\\"\"", formats[i], &meta, &n);
		assert_int_equal(n, 1);
		assert_note(r[0], "3 bytes that are not UTF-8 are shown as U+FFFD");
		convert_free(r, n);
	}
	meta.state = WIRE_FAILED;
	r = convert_message("\"last_error\":{\"message\":\"no\"}", WIRE_PYDICT, &meta, &n);
	assert_note(r[0], "3 bytes that are not UTF-8 are shown as U+FFFD");
	convert_free(r, n);
}

/* What is JSON in the message is rewritten, within the same limits as what is text. */
static void
native_values_are_rewritten(void **state)
{
	size_t n;
	struct result **r =
	    convert_body("\"p\": {\"b\": [1e2, \"x\"], \"a\": 18446744073709551616}", WIRE_PYDICT,
		NULL, WIRE_OK, &n);
	const struct convert_limits few = {.json = {.depth = 64, .values = 3}};
	struct result one;

	assert_string_equal(r[0]->value, "{\"a\":\"18446744073709551616\",\"b\":[100.0,\"x\"]}");
	assert_note(r[0], "1 integers beyond 64 bits are kept as text (first: line 1, column 24)");
	convert_free(r, n);
	result_init(&one);
	assert_true(convert_value(&one, "[1, 2,3]", 8, &few));
	assert_string_equal(one.unparsed, "[1, 2,3]");
	assert_int_equal(one.refusal, JSONX_VALUES);
	assert_non_null(strstr(one.error, "[limits] json_nodes"));
	result_finish(&one);
	r = convert_body("\"last_error\": {\"timestamp\": 5, \"message\": {\"b\": 1}}", WIRE_PYDICT,
	    NULL, WIRE_OK, &n);
	assert_string_equal(r[0]->error, "{\"b\": 1}");
	assert_null(r[0]->error_timestamp);
	convert_free(r, n);
	r = convert_body("\"last_error\": {}", WIRE_PYDICT, NULL, WIRE_OK, &n);
	assert_string_equal(r[0]->error, "{}");
	convert_free(r, n);
}

static void
an_empty_response_is_about_the_host(void **state)
{
	const struct response_meta meta = {.state = WIRE_OK};
	size_t n;
	struct result **r = convert_message("", WIRE_PYDICT, &meta, &n);

	assert_int_equal(n, 1);
	assert_null(r[0]->plugin);
	assert_null(r[0]->value);
	assert_null(r[0]->error);
	assert_int_equal(r[0]->meta.state, WIRE_OK);
	convert_free(r, n);
}

static void
an_answer_without_a_result_is_a_failure_with_a_reason(void **state)
{
	size_t n;
	struct result **r = convert_body("", WIRE_PYDICT, NULL, WIRE_OK, &n);

	assert_int_equal(n, 1);
	assert_int_equal(r[0]->meta.state, WIRE_FAILED);
	assert_non_null(strstr(r[0]->error, "has no result"));
	convert_free(r, n);
	r = convert_body("", WIRE_PYDICT, "facter", WIRE_OK, &n);
	assert_int_equal(r[0]->meta.state, WIRE_FAILED);
	assert_non_null(strstr(r[0]->error, "facter: "));
	convert_free(r, n);
}

static void
a_failure_belongs_to_the_plugin_of_its_headers(void **state)
{
	const char *body = "\"last_error\": {\"timestamp\": \"2010-09-26 06:16:29.609000\", "
			   "\"message\": \"boom\"}";
	size_t n;
	struct result **r = convert_body(body, WIRE_PYDICT, "facter", WIRE_TIMEOUT, &n);

	assert_int_equal(n, 1);
	assert_string_equal(r[0]->plugin, "facter");
	assert_string_equal(r[0]->error, "boom");
	assert_string_equal(r[0]->error_timestamp, "2010-09-26 06:16:29.609000");
	assert_int_equal(r[0]->meta.state, WIRE_TIMEOUT);
	assert_null(r[0]->value);
	convert_free(r, n);
	r = convert_body("", WIRE_PYDICT, "facter", WIRE_REFUSED, &n);
	assert_int_equal(n, 1);
	assert_string_equal(r[0]->plugin, "facter");
	assert_string_equal(r[0]->error, wire_state_name(WIRE_REFUSED));
	convert_free(r, n);
}

static void
a_failure_of_2010_is_about_the_host(void **state)
{
	size_t n;
	struct result **r = convert_body(
	    "\"last_error\": {\"message\": \"boom\"}, \"ps\": [1]", WIRE_PYDICT, NULL, WIRE_OK, &n);

	assert_int_equal(n, 2);
	assert_null(r[0]->plugin);
	assert_string_equal(r[0]->error, "boom");
	assert_int_equal(r[0]->meta.state, WIRE_FAILED);
	assert_string_equal(r[1]->plugin, "ps");
	assert_int_equal(r[1]->meta.state, WIRE_OK);
	assert_string_equal(r[1]->value, "[1]");
	convert_free(r, n);
}

static void
output_of_a_failed_run_never_becomes_the_value(void **state)
{
	size_t n;
	struct result **r = convert_body("\"ps\": \"half\"", WIRE_OUTPUT, "ps", WIRE_FAILED, &n);

	assert_int_equal(n, 1);
	assert_null(r[0]->value);
	assert_string_equal(r[0]->unparsed, "half");
	assert_int_equal(r[0]->meta.state, WIRE_FAILED);
	convert_free(r, n);
}

/* Whatever was in the memory before: a limit that is not the options' is none of the caller's. */
static void
limits_are_set_whole(void **state)
{
	const struct options o = {.yaml_depth = 3, .yaml_nodes = 4, .yaml_bytes = 5};
	struct convert_limits a, b;

	(void)state;
	memset(&a, 0xa5, sizeof(a));
	memset(&b, 0x5a, sizeof(b));
	convert_limits_of(&a, &o);
	convert_limits_of(&b, &o);
	assert_int_equal(a.yaml.bytes, 5);
	assert_int_equal(a.yaml.expanded, 0);
	assert_int_equal(b.yaml.expanded, 0);
	assert_int_equal(a.json.depth, b.json.depth);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(output_is_stripped_lines_without_the_last_empty_one),
	    cmocka_unit_test(json_and_yaml_become_values_in_one_canonical_text),
	    cmocka_unit_test(string_and_raw_are_taken_as_they_are),
	    cmocka_unit_test(limits_are_set_whole),
	    cmocka_unit_test(what_does_not_parse_is_kept_with_the_reason),
	    cmocka_unit_test(big_integers_are_noted),
	    cmocka_unit_test(one_odd_value_spoils_nothing_else),
	    cmocka_unit_test(bytes_that_were_replaced_are_noted),
	    cmocka_unit_test(native_values_are_rewritten),
	    cmocka_unit_test(each_format_has_its_limits),
	    cmocka_unit_test(a_nul_does_not_hide_what_is_behind_it),
	    cmocka_unit_test(every_key_is_a_result_with_the_meta_of_the_message),
	    cmocka_unit_test(an_empty_response_is_about_the_host),
	    cmocka_unit_test(an_answer_without_a_result_is_a_failure_with_a_reason),
	    cmocka_unit_test(a_failure_belongs_to_the_plugin_of_its_headers),
	    cmocka_unit_test(a_failure_of_2010_is_about_the_host),
	    cmocka_unit_test(output_of_a_failed_run_never_becomes_the_value),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
