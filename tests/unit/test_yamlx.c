/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/read/yamlx.h"

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TEXT_MAX (1024 * 1024) /* the default of yamlx_limits.bytes */

static char *
repeat(const char *s, size_t n)
{
	size_t len = strlen(s), i;
	char *out = malloc(len * n + 1);

	assert_non_null(out);
	for (i = 0; i < n; i++)
		memcpy(out + i * len, s, len);
	out[len * n] = '\0';
	return out;
}

/* Compares values, not text, so that this does not depend on how JSON is written. */
static void
assert_yaml(const char *yaml, const char *json)
{
	char err[256] = "";
	json_t *got = yamlx_parse(yaml, strlen(yaml), NULL, NULL, err, sizeof(err));
	json_t *want = json_loads(json, JSON_DECODE_ANY, NULL);

	if (got == NULL)
		fail_msg("%s: %s", yaml, err);
	assert_non_null(want);
	if (!json_equal(got, want)) {
		char *text = json_dumps(got, JSON_ENCODE_ANY);

		fail_msg("%s: got %s, want %s", yaml, text, json);
	}
	json_decref(got);
	json_decref(want);
}

static void
assert_refused(const char *yaml, size_t len, const char *expected)
{
	char err[256] = "";
	json_t *got = yamlx_parse(yaml, len, NULL, NULL, err, sizeof(err));

	assert_null(got);
	if (strstr(err, expected) == NULL)
		fail_msg("got \"%s\", want \"%s\"", err, expected);
}

static enum jsonx_refusal
refusal_of(const char *sentence)
{
	if (sentence == NULL)
		return JSONX_READ;
	if (strstr(sentence, "deeper") != NULL)
		return JSONX_DEPTH;
	if (strstr(sentence, "keys") != NULL)
		return JSONX_KEYS;
	if (strstr(sentence, "values") != NULL)
		return JSONX_VALUES;
	return strstr(sentence, "bytes") != NULL || strstr(sentence, "at most") != NULL
		   ? JSONX_BYTES
		   : JSONX_SYNTAX;
}

static void
assert_within(const char *yaml, const struct yamlx_limits *limits, const char *refusal)
{
	char err[256] = "";
	struct jsonx_note note = {0};
	json_t *got = yamlx_parse(yaml, strlen(yaml), limits, &note, err, sizeof(err));

	assert_int_equal(note.refusal, refusal_of(refusal));
	if (refusal == NULL && got == NULL)
		fail_msg("%.60s: %s", yaml, err);
	if (refusal != NULL && (got != NULL || strstr(err, refusal) == NULL))
		fail_msg("%.60s: got \"%s\", want \"%s\"", yaml, err, refusal);
	json_decref(got);
}

static void
types_plain_scalars_as_yaml_1_1(void **state)
{
	assert_yaml("[yes, Yes, YES, on, On, ON, true, True, TRUE]",
	    "[true, true, true, true, true, true, true, true, true]");
	assert_yaml("[no, No, NO, off, Off, OFF, false, False, FALSE]",
	    "[false, false, false, false, false, false, false, false, false]");
	assert_yaml(
	    "[y, n, oN, tRUE, yes please]", "[\"y\", \"n\", \"oN\", \"tRUE\", \"yes please\"]");
	assert_yaml("[~, null, Null, NULL, nULL]", "[null, null, null, null, \"nULL\"]");
	assert_yaml("a:\nb: ''\n", "{\"a\": null, \"b\": \"\"}");
	assert_yaml("['yes', \"12\", '~']", "[\"yes\", \"12\", \"~\"]");
	assert_yaml("|\n  12\n", "\"12\\n\"");
}

static void
types_integers_of_every_base(void **state)
{
	assert_yaml("[0, 7, -7, +7, 1_000, 1__0, 1_, 0_]", "[0, 7, -7, 7, 1000, 10, 1, 0]");
	assert_yaml("[017, -017, 0x1F, -0x1f, 0b101, +0b1, 0b1_1]", "[15, -15, 31, -31, 5, 1, 3]");
	assert_yaml(
	    "[08, 0o17, 0x, 0b, _1, 0xg]", "[\"08\", \"0o17\", \"0x\", \"0b\", \"_1\", \"0xg\"]");
	assert_yaml("[9223372036854775807, -9223372036854775808]",
	    "[9223372036854775807, -9223372036854775808]");
}

static void
integers_beyond_64_bits_keep_their_digits_as_text(void **state)
{
	struct jsonx_note note = {0};
	const char *yaml = "[9223372036854775808, -1_0000000000000000000, 0xffffffffffffffffff]";
	char err[256];
	json_t *v = yamlx_parse(yaml, strlen(yaml), NULL, &note, err, sizeof(err));

	assert_non_null(v);
	assert_string_equal(json_string_value(json_array_get(v, 0)), "9223372036854775808");
	assert_string_equal(json_string_value(json_array_get(v, 1)), "-10000000000000000000");
	assert_string_equal(json_string_value(json_array_get(v, 2)), "0xffffffffffffffffff");
	assert_int_equal(note.odd[JSONX_BIG_INTEGER].count, 3);
	json_decref(v);
}

static void
types_floats_only_as_yaml_1_1_writes_them(void **state)
{
	assert_yaml("[1.5, -1.5, .5, 5., 1_0.5, 1.5e+3, 1.e-3, 6.8523015e+5]",
	    "[1.5, -1.5, 0.5, 5.0, 10.5, 1500.0, 0.001, 685230.15]");
	assert_yaml("[1e3, 1.0e3, -.5, ., ._1, 1.2.3, 2.6.32-5]",
	    "[\"1e3\", \"1.0e3\", \"-.5\", \".\", \"._1\", \"1.2.3\", \"2.6.32-5\"]");
	assert_yaml(
	    "[.inf, -.Inf, .NaN, 1.0e+999]", "[\".inf\", \"-.Inf\", \".NaN\", \"1.0e+999\"]");
}

static void
sexagesimals_and_timestamps_stay_strings(void **state)
{
	assert_yaml("[12:30, 190:20:30.15, 2010-06-11, 2010-06-11 12:37:48.046065 -04:00]",
	    "[\"12:30\", \"190:20:30.15\", \"2010-06-11\", \"2010-06-11 12:37:48.046065 "
	    "-04:00\"]");
}

static void
numbers_beyond_a_double_stay_as_they_were_written(void **state)
{
	struct jsonx_note note = {0};
	const char *yaml = "[1.0e+400, -1.5e+999, !!float 1.0e-400, 0.0e-400, 1.0e-310, .inf]";
	char err[256];
	json_t *v = yamlx_parse(yaml, strlen(yaml), NULL, &note, err, sizeof(err));

	assert_non_null(v);
	assert_string_equal(json_string_value(json_array_get(v, 0)), "1.0e+400");
	assert_string_equal(json_string_value(json_array_get(v, 1)), "-1.5e+999");
	assert_string_equal(json_string_value(json_array_get(v, 2)), "1.0e-400");
	assert_true(json_real_value(json_array_get(v, 3)) == 0);
	assert_true(json_real_value(json_array_get(v, 4)) > 0);
	assert_string_equal(json_string_value(json_array_get(v, 5)), ".inf");
	assert_int_equal(note.odd[JSONX_BIG_REAL].count, 3);
	json_decref(v);
}

static void
tags_of_yaml_count_and_others_mean_text(void **state)
{
	assert_yaml("[!!str 12, ! yes, !!int '5', !!float 3, !!bool 'on', !!null 'x', !!int x]",
	    "[\"12\", \"yes\", 5, 3.0, true, null, \"x\"]");
	assert_yaml(
	    "[!ruby/sym yes, !ruby/sym no, !ruby/sym 0644, !ruby/sym null, !ruby/string 0755]",
	    "[\"yes\", \"no\", \"0644\", \"null\", \"0755\"]");
	assert_yaml(
	    "[!x ~, !x , !<tag:a,2000:b> 1.5, !!python/long 12, !!python/none '', !!timestamp 12]",
	    "[\"~\", \"\", \"1.5\", \"12\", \"\", \"12\"]");
	assert_yaml(
	    "%TAG !y! tag:yaml.org,2002:\n--- [!y!int 12, !y!int yes, !!bool 1, !!float no]",
	    "[12, \"yes\", \"1\", \"no\"]");
	assert_yaml("!ruby/sym 12: !x 1\n", "{\"12\": \"1\"}");
	assert_yaml("!!binary aGVsbG8=", "\"aGVsbG8=\"");
	assert_yaml("!!binary 12", "\"12\"");
	assert_yaml("!ruby/object:Puppet::Resource\nname: !ruby/sym present\nn: !ruby/x 5\nq: !r "
		    "'5'\n",
	    "{\"name\": \"present\", \"n\": \"5\", \"q\": \"5\"}");
	assert_yaml("!!set {a, b}", "{\"a\": null, \"b\": null}");
	assert_yaml("!!python/object/apply:os.system ['true']", "[\"true\"]");
}

static void
keys_are_taken_as_they_were_written(void **state)
{
	assert_yaml(":a: 1\n12: 2\nyes: 3\n1.50: 4\n~: 5\n",
	    "{\":a\": 1, \"12\": 2, \"yes\": 3, \"1.50\": 4, \"~\": 5}");
	assert_yaml("a: &k name\n*k : v\n", "{\"a\": \"name\", \"name\": \"v\"}");
	assert_yaml("? [a, 1]\n: b\n? {c: d}\n: e\n",
	    "{\"[\\\"a\\\",1]\": \"b\", \"{\\\"c\\\":\\\"d\\\"}\": \"e\"}");
	assert_yaml("- &k [1]\n- *k : v\n", "[[1], {\"[1]\": \"v\"}]");
	assert_yaml("\"a\\0b\": 1\n", "{\"a\xe2\x90\x80\x62\": 1}");
}

static void
anchors_are_expanded_and_may_be_given_again(void **state)
{
	assert_yaml(
	    "a: &x [1, {b: 2}]\nc: *x\n", "{\"a\": [1, {\"b\": 2}], \"c\": [1, {\"b\": 2}]}");
	assert_yaml("[&x 1, *x, &x 2, *x]", "[1, 1, 2, 2]");
	assert_yaml("&x [&x 1, *x]", "[1, 1]");
	assert_yaml("&a [*a]", "[\"*a\"]");
	assert_yaml(
	    "b: 1\na: *nobody\n*nobody : 2\n", "{\"b\": 1, \"a\": \"*nobody\", \"*nobody\": 2}");
}

static void
merges_fill_in_what_is_missing(void **state)
{
	assert_yaml("- &a {x: 1, y: 2}\n- <<: *a\n  y: 3\n",
	    "[{\"x\": 1, \"y\": 2}, {\"x\": 1, \"y\": 3}]");
	assert_yaml("- &a {x: 1}\n- &b {x: 2, y: 2}\n- {<<: [*a, *b], z: 3}\n",
	    "[{\"x\": 1}, {\"x\": 2, \"y\": 2}, {\"x\": 1, \"y\": 2, \"z\": 3}]");
	assert_yaml("{'<<': 1}", "{\"<<\": 1}");
	assert_yaml("<<: {a: 1}\n<<: {a: 2, b: 1}\n", "{\"a\": 2, \"b\": 1}");
	assert_yaml("<<: [{a: 1}, {a: 2, b: 3}]\n<<: {b: 1}\n", "{\"a\": 1, \"b\": 1}");
	assert_yaml("!!merge <<: {a: 1}\n!x <<: {b: 1}\n", "{\"a\": 1, \"<<\": {\"b\": 1}}");
}

static void
a_merge_key_without_maps_is_a_key(void **state)
{
	assert_yaml("a: 1\n<<: 5\n", "{\"a\": 1, \"<<\": 5}");
	assert_yaml("<<: [{a: 1}, 5]\n", "{\"<<\": [{\"a\": 1}, 5]}");
	assert_yaml("<<:\n", "{\"<<\": null}");
	assert_yaml("a: &x no map\n<<: *x\n", "{\"a\": \"no map\", \"<<\": \"no map\"}");
	assert_yaml("<<: {m: 1}\n\"<<\": plain\n", "{\"m\": 1, \"<<\": \"plain\"}");
	assert_yaml("<<: plain\n<<: {m: 1}\n", "{\"m\": 1, \"<<\": \"plain\"}");
	assert_yaml("<<: 1\n<<: 2\n", "{\"<<\": 2}");
	assert_yaml("\"<<\": 1\n<<: 2\n", "{\"<<\": 2}");
	assert_yaml("<<: 2\n\"<<\": 1\n", "{\"<<\": 1}");
}

static void
a_byte_order_mark_is_passed_over(void **state)
{
	assert_yaml("\xef\xbb\xbf"
		    "a: 1\nb: 2\n",
	    "{\"a\": 1, \"b\": 2}");
	assert_yaml("\xef\xbb\xbf---\na: 1\nb: 2\n", "{\"a\": 1, \"b\": 2}");
	assert_yaml("\xef\xbb\xbf", "null");
	assert_yaml("\xef\xbb\xbf%YAML 1.1\n--- x", "\"x\"");
}

static void
no_document_is_null_and_two_are_refused(void **state)
{
	assert_yaml("", "null");
	assert_yaml("# nothing\n\n", "null");
	assert_yaml("---\n", "null");
	assert_yaml("--- \nfoo: bar\n...\n", "{\"foo\": \"bar\"}");
	assert_refused("a: 1\n---\nb: 2\n", 14, "line 2, column 1: more than one document");
}

static void
of_repeated_keys_the_last_counts(void **state)
{
	assert_yaml("a: 1\nb: 2\na: 3\n", "{\"a\": 3, \"b\": 2}");
	assert_yaml("{12: 1, '12': 2}", "{\"12\": 2}");
	assert_yaml("a: &x 1\na: 3\nb: *x\n", "{\"a\": 3, \"b\": 1}");
	assert_yaml("a: 1\na: 2\n<<: {a: 3, b: 4}\n", "{\"a\": 2, \"b\": 4}");
}

static void
a_number_that_is_a_key_is_not_odd(void **state)
{
	struct jsonx_note note = {0};
	const char *yaml = "18446744073709551616: 1\n1.0e+400: 2\n.inf: 3\n";
	char err[256];
	json_t *v = yamlx_parse(yaml, strlen(yaml), NULL, &note, err, sizeof(err));

	assert_int_equal(json_object_size(v), 3);
	assert_false(jsonx_is_odd(&note));
	json_decref(v);
}

static void
broken_text_is_named_with_its_line(void **state)
{
	assert_refused("a: 1\nb: [1, 2\n", 14, "line 3, column 1: ");
	assert_refused(
	    "a: 1\nb: x\0y\n", 12, "line 2, column 5: control characters are not allowed");
	assert_refused("a: 1\n\nb: \xff\n", 11, "line 3, column 4: ");
	assert_refused("a: b: c\n", 8, "line 1, column 5: mapping values are not allowed");
}

static void
depth_stops_at_the_cap(void **state)
{
	char *open = repeat("[", 64), *close = repeat("]", 64), *yaml = NULL;
	json_t *v;
	char err[256];

	assert_int_not_equal(asprintf(&yaml, "%s%s", open, close), -1);
	v = yamlx_parse(yaml, strlen(yaml), NULL, NULL, err, sizeof(err));
	assert_non_null(v);
	json_decref(v);
	free(yaml);
	assert_int_not_equal(asprintf(&yaml, "[%s%s]", open, close), -1);
	assert_refused(yaml, strlen(yaml), "line 1, column 65: deeper than 64");
	free(yaml);
	free(open);
	free(close);
}

/* Each level adds 20 by an alias: the fourth is too deep though none is written so. */
static void
depth_counts_aliases(void **state)
{
	char *open = repeat("[", 20), *close = repeat("]", 20), *yaml = NULL;

	assert_int_not_equal(asprintf(&yaml, "- &a %s%s\n- &b %s*a%s\n- &c %s*b%s\n- %s*c%s\n",
				 open, close, open, close, open, close, open, close),
	    -1);
	assert_refused(yaml, strlen(yaml), "line 4, column 23: deeper than 64");
	free(yaml);
	free(open);
	free(close);
}

/* libyaml alone takes 48 s of CPU for this. The margin is for a slow machine under a sanitizer. */
static void
brackets_without_end_cost_next_to_nothing(void **state)
{
	static const char *const what[] = {"[", "{", "- ", "? ", "[{"};
	size_t i;

	for (i = 0; i < sizeof(what) / sizeof(what[0]); i++) {
		char *yaml = repeat(what[i], 200 * 1024 / strlen(what[i]));
		clock_t start = clock();

		assert_refused(yaml, strlen(yaml), "deeper than 64");
		assert_true(clock() - start < CLOCKS_PER_SEC);
		free(yaml);
	}
}

static void
bombs_are_refused_before_they_go_off(void **state)
{
	const char *laughs = "a: &a [l, l, l, l, l, l, l, l, l]\n"
			     "b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\n"
			     "c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b]\n"
			     "d: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c]\n"
			     "e: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d]\n"
			     "f: &f [*e, *e, *e, *e, *e, *e, *e, *e, *e]\n";
	char *text = repeat("x", 500000), *many = repeat("- a\n", 100001), *yaml = NULL;
	char *tags = repeat("%TAG !a! tag:x\n", 33);

	assert_refused(laughs, strlen(laughs), "line 6, column 8: more than 100000 values");
	assert_int_not_equal(asprintf(&yaml, "[&a %s, *a, *a, *a, *a, *a, *a, *a, *a]", text), -1);
	assert_refused(yaml, strlen(yaml), "bytes when aliases are expanded");
	assert_refused(many, strlen(many), "more than 100000 values");
	assert_refused(tags, strlen(tags), "more than 32 %TAG lines");
	free(yaml);
	yaml = repeat("x", TEXT_MAX + 1);
	assert_refused(yaml, TEXT_MAX + 1, "at most 1048576 are read");
	free(yaml);
	free(text);
	free(many);
	free(tags);
}

/* Each limit at one below, at it, and at one above. */
static void
limits_hold_where_they_are(void **state)
{
	struct yamlx_limits limits = yamlx_limits_default;

	limits.depth = 3;
	assert_within("[[1]]", &limits, NULL);
	assert_within("[[[1]]]", &limits, NULL);
	assert_within("[[[[1]]]]", &limits, "deeper than 3");
	assert_within("[&a [1], [*a]]", &limits, NULL);
	assert_within("[&a [1], [[*a]]]", &limits, "deeper than 3");
	limits = yamlx_limits_default;
	limits.nodes = 6;
	assert_within("[1, 2, 3, 4]", &limits, NULL);
	assert_within("[1, 2, 3, 4, 5]", &limits, NULL);
	assert_within("[1, 2, 3, 4, 5, 6]", &limits, "more than 6 values");
	assert_within("{a: 1, b: 2}", &limits, NULL);
	assert_within("{a: 1, b: 2, c: 3}", &limits, "more than 6 values");
	assert_within("[&a [1, 2], *a]", &limits, "more than 6 values");
	limits = yamlx_limits_default;
	limits.keys = 3;
	assert_within("{a: 1, b: 2}", &limits, NULL);
	assert_within("{a: 1, b: 2, c: {d: 3}}", &limits, NULL);
	assert_within(
	    "{a: 1, b: 2, c: 3, d: 4}", &limits, "line 1, column 20: more than 3 keys in a map");
	assert_within("[&m {a: 1, b: 2}, {<<: *m, b: 3, c: 4}]", &limits, NULL);
	assert_within("[&m {a: 1, b: 2}, {<<: *m, c: 3, d: 4}]", &limits, "more than 3 keys");
	limits.keys = 0; /* none */
	assert_within("{a: 1, b: 2, c: 3, d: 4}", &limits, NULL);
	limits = yamlx_limits_default;
	limits.bytes = 10;
	assert_within("- 3456789", &limits, NULL);
	assert_within("- 34567890", &limits, NULL);
	assert_within("- 345678901", &limits, "11 bytes, at most 10 are read");
	limits.bytes = 24; /* so 96 with aliases expanded */
	assert_within("[&a 6789012345678,*a,*a]", &limits, NULL);
}

static void
aliases_expand_to_four_times_the_input(void **state)
{
	struct yamlx_limits limits = yamlx_limits_default;
	char *x = repeat("x", 100), *aliases, *yaml = NULL;

	limits.bytes = 225; /* 900 expanded */
	for (size_t n = 7; n <= 9; n++) {
		aliases = repeat(",*a", n);
		assert_int_not_equal(asprintf(&yaml, "[&a %s%s]", x, aliases), -1);
		assert_within(yaml, &limits, n == 9 ? "more than 900 bytes" : NULL);
		free(yaml);
		free(aliases);
	}
	free(x);
}

/* A map of n keys; malloced. */
static char *
map_of(size_t n)
{
	size_t size = n * 16 + 1, len = 0;
	char *yaml = malloc(size);

	assert_non_null(yaml);
	for (size_t i = 0; i < n; i++)
		len += (size_t)snprintf(yaml + len, size - len, "k%zu: 1\n", i);
	return yaml;
}

/* The defaults, at both sides. */
static void
the_defaults_hold_where_they_are(void **state)
{
	char *text, *yaml = NULL;

	for (size_t n = 99998; n <= 100000; n++) { /* and the array itself */
		text = repeat("- 1\n", n);
		assert_within(text, NULL, n == 100000 ? "more than 100000 values" : NULL);
		free(text);
	}
	for (size_t n = 19999; n <= 20001; n++) {
		text = map_of(n);
		assert_within(text, NULL, n > 20000 ? "more than 20000 keys" : NULL);
		free(text);
	}
	for (size_t n = TEXT_MAX - 1; n <= TEXT_MAX + 1; n++) {
		text = repeat("x", n);
		assert_within(text, NULL, n > TEXT_MAX ? "at most 1048576 are read" : NULL);
		free(text);
	}
	for (size_t n = 63; n <= 65; n++) {
		char *open = repeat("[", n), *close = repeat("]", n);

		assert_int_not_equal(asprintf(&yaml, "%s%s", open, close), -1);
		assert_within(yaml, NULL, n > 64 ? "deeper than 64" : NULL);
		free(open);
		free(close);
		free(yaml);
	}
}

static char *
data_path(const char *name)
{
	const char *source = getenv("VOGELER_SOURCE_DIR");
	char *path = NULL;

	assert_non_null(source);
	assert_int_not_equal(asprintf(&path, "%s/tests/data/%s", source, name), -1);
	return path;
}

/* The fixture on which the 2010 server failed; the expectation was written by PyYAML's safe loader
 * with the resolver of timestamps taken out. */
static void
the_puppet_fixture_comes_out_as_pyyaml_has_it(void **state)
{
	char *yaml_path = data_path("sample_complex.yaml");
	char *json_path = data_path("sample_complex.expected.json");
	json_t *want = json_load_file(json_path, 0, NULL), *got;
	struct buf text;
	char err[256];
	int error = 0;

	buf_init(&text, TEXT_MAX);
	assert_true(buf_read_file(&text, yaml_path, &error));
	got = yamlx_parse(text.data, text.len, NULL, NULL, err, sizeof(err));
	assert_non_null(got);
	assert_non_null(want);
	assert_true(json_object_size(got) > 30);
	assert_true(json_equal(got, want));
	json_decref(got);
	json_decref(want);
	buf_finish(&text);
	free(yaml_path);
	free(json_path);
}

static void
surrogates_in_escapes_are_characters_or_replaced(void **state)
{
	static const struct {
		const char *yaml, *json;
		unsigned int halves;
		size_t line, column; /* of the scalar with the first half */
	} cases[] = {
	    {"a: \"M\\udcfcller\"\nos: x\n", "{\"a\":\"M\xef\xbf\xbdller\",\"os\":\"x\"}", 1, 1, 4},
	    {"[\"\\ud83d\\ude00\", \"\\uD83D\\uDE00!\"]",
		"[\"\xf0\x9f\x98\x80\",\"\xf0\x9f\x98\x80!\"]", 0, 0, 0},
	    {"\"\\ude00\\ud83d\"", "\"\xef\xbf\xbd\xef\xbf\xbd\"", 2, 1, 1},
	    {"\"\\U0000dcfc\"", "\"\xef\xbf\xbd\"", 1, 1, 1},
	    /* What only looks like one is text. */
	    {"- \"\\\\udcfc \\udcfc\"\n- '\\udcfc'\n- \\udcfc\n- \"\\\\\\\" \\udcfc\"",
		"[\"\\\\udcfc \xef\xbf\xbd\",\"\\\\udcfc\",\"\\\\udcfc\",\"\\\\\\\" \xef\xbf\xbd\"]",
		2, 1, 3},
	    /* A quote is found by characters, not by bytes. */
	    {"\xc3\xa9\xe2\x82\xac: 1\n\"k\\udc80\": \"\\udc80\"",
		"{\"\xc3\xa9\xe2\x82\xac\":1,\"k\xef\xbf\xbd\":\"\xef\xbf\xbd\"}", 2, 2, 1},
	    {"\xef\xbb\xbf\"\\udcfc\"", "\"\xef\xbf\xbd\"", 1, 1, 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct jsonx_note note;
		char err[256] = "";
		json_t *got = yamlx_parse(
		    cases[i].yaml, strlen(cases[i].yaml), NULL, &note, err, sizeof(err));

		if (got == NULL)
			fail_msg("%s: %s", cases[i].yaml, err);
		json_decref(got);
		assert_yaml(cases[i].yaml, cases[i].json);
		assert_int_equal(note.odd[JSONX_SURROGATE].count, cases[i].halves);
		assert_int_equal(note.odd[JSONX_SURROGATE].first.line, cases[i].line);
		assert_int_equal(note.odd[JSONX_SURROGATE].first.column, cases[i].column);
	}
	/* A text that is refused when it is counted leaks nothing. */
	json_decref(yamlx_parse("[*a, *b, *c]", 12, &(struct yamlx_limits){64, 3, 0, 100, 0}, NULL,
	    (char[256]){0}, 256));
	assert_refused("\"\\U00110000\"", 12, "line 1, column 4");
	assert_refused("\"\\udcfc", 7, "line 1, column");
}

/* Each costs one more reading of all that is before it. */
static void
scalars_with_surrogates_are_bounded(void **state)
{
	char *many = repeat("- \"\\udcfc\"\n", 4000);
	struct jsonx_note note;
	char err[256] = "";

	(void)state;
	assert_refused(many, strlen(many), "more texts than are read again ([limits] yaml_bytes");
	json_decref(yamlx_parse(many, 20 * 11, NULL, &note, err, sizeof(err)));
	assert_int_equal(note.odd[JSONX_SURROGATE].count, 20);
	free(many);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(surrogates_in_escapes_are_characters_or_replaced),
	    cmocka_unit_test(scalars_with_surrogates_are_bounded),
	    cmocka_unit_test(types_plain_scalars_as_yaml_1_1),
	    cmocka_unit_test(types_integers_of_every_base),
	    cmocka_unit_test(integers_beyond_64_bits_keep_their_digits_as_text),
	    cmocka_unit_test(types_floats_only_as_yaml_1_1_writes_them),
	    cmocka_unit_test(sexagesimals_and_timestamps_stay_strings),
	    cmocka_unit_test(tags_of_yaml_count_and_others_mean_text),
	    cmocka_unit_test(numbers_beyond_a_double_stay_as_they_were_written),
	    cmocka_unit_test(a_byte_order_mark_is_passed_over),
	    cmocka_unit_test(keys_are_taken_as_they_were_written),
	    cmocka_unit_test(anchors_are_expanded_and_may_be_given_again),
	    cmocka_unit_test(merges_fill_in_what_is_missing),
	    cmocka_unit_test(a_merge_key_without_maps_is_a_key),
	    cmocka_unit_test(no_document_is_null_and_two_are_refused),
	    cmocka_unit_test(of_repeated_keys_the_last_counts),
	    cmocka_unit_test(a_number_that_is_a_key_is_not_odd),
	    cmocka_unit_test(broken_text_is_named_with_its_line),
	    cmocka_unit_test(depth_stops_at_the_cap),
	    cmocka_unit_test(depth_counts_aliases),
	    cmocka_unit_test(brackets_without_end_cost_next_to_nothing),
	    cmocka_unit_test(limits_hold_where_they_are),
	    cmocka_unit_test(aliases_expand_to_four_times_the_input),
	    cmocka_unit_test(the_defaults_hold_where_they_are),
	    cmocka_unit_test(bombs_are_refused_before_they_go_off),
	    cmocka_unit_test(the_puppet_fixture_comes_out_as_pyyaml_has_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
