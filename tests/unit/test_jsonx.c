/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/wire/jsonx.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The same without a tree between. Returns what was noted; err is "" if it was read. */
static struct jsonx_note
rewrite(
    const char *text, size_t len, const struct jsonx_limits *limits, struct buf *out, char err[256])
{
	struct jsonx_note note;
	bool ok;

	err[0] = '\0';
	ok = jsonx_rewrite(out, text, len, limits, &note, err, 256);
	assert_int_equal(ok, err[0] == '\0');
	return note;
}

static void
check_rewritten(const char *text, const char *canonical, const struct jsonx_note *noted)
{
	struct jsonx_note note;
	struct buf out;
	char err[256];

	buf_init(&out, 1 << 20);
	note = rewrite(text, strlen(text), NULL, &out, err);
	assert_string_equal(err, "");
	assert_string_equal(out.data, canonical);
	assert_memory_equal(&note, noted, sizeof(note));
	buf_finish(&out);
}

/* Reads text and writes it again. */
static struct jsonx_note
check_noted(const char *text, const char *canonical)
{
	struct jsonx_note note;
	struct buf out;
	char err[256] = "";
	json_t *value = jsonx_parse(text, strlen(text), &note, err, sizeof(err));

	assert_string_equal(err, "");
	assert_non_null(value);
	buf_init(&out, 1 << 20);
	assert_true(jsonx_write(&out, value));
	assert_string_equal(out.data, canonical);
	assert_int_equal(out.len, strlen(canonical));
	buf_finish(&out);
	json_decref(value);
	check_rewritten(text, canonical, &note);
	return note;
}

static void
check(const char *text, const char *canonical, unsigned int big_integers)
{
	struct jsonx_note note = check_noted(text, canonical);

	assert_int_equal(note.odd[JSONX_BIG_INTEGER].count, big_integers);
	assert_int_equal(jsonx_is_odd(&note), big_integers > 0);
}

static void
check_refused(const char *text, const char *why)
{
	struct jsonx_note note = {.twice = "x"};
	char err[256] = "", again[256];
	struct buf out;

	assert_null(jsonx_parse(text, strlen(text), &note, err, sizeof(err)));
	assert_string_equal(note.twice, "");
	assert_false(jsonx_is_odd(&note));
	buf_init(&out, 1 << 20);
	note = rewrite(text, strlen(text), NULL, &out, again);
	assert_string_equal(again, err);
	buf_finish(&out);
	assert_int_equal(note.refusal, strstr(why, "deeper") != NULL ? JSONX_DEPTH : JSONX_SYNTAX);
	if (strstr(err, why) == NULL)
		fail_msg("%s: \"%s\" does not say \"%s\"", text, err, why);
}

static void
canonical_text(void **state)
{
	check("{\"b\" : 1, \"a\": [true, false ,null], \"aa\": {}, \"A\": []}",
	    "{\"A\":[],\"a\":[true,false,null],\"aa\":{},\"b\":1}", 0);
	check("\"x\"", "\"x\"", 0);
	check(" 7\n", "7", 0);
	check("null", "null", 0);
	check("\"\\u0041\\u00e9\\ud83d\\ude00\\/\"", "\"A\xc3\xa9\xf0\x9f\x98\x80/\"", 0);
	check("\"\\u0000\\u001f\\b\\f\\n\\r\\t\\\"\\\\\\u007f\"",
	    "\"\\u0000\\u001f\\b\\f\\n\\r\\t\\\"\\\\\x7f\"", 0);
}

/* Strings are written eight bytes at a time: each place, and each byte, alone among plain ones. */
static void
escapes_at_every_place(void **state)
{
	for (unsigned int c = 1; c < 0x80; c++) {
		for (size_t place = 0; place < 20; place++) {
			char text[21], escaped[8], want[40];
			json_t *value;
			struct buf out;

			memset(text, 'x', 20);
			text[20] = '\0';
			text[place] = (char)c;
			value = json_string(text);
			if (c == '"' || c == '\\')
				snprintf(escaped, sizeof(escaped), "\\%c", c);
			else if (c >= 0x20)
				snprintf(escaped, sizeof(escaped), "%c", c);
			else if (strchr("\b\f\n\r\t", (int)c) != NULL)
				snprintf(escaped, sizeof(escaped), "\\%c", "btnvfr"[c - '\b']);
			else
				snprintf(escaped, sizeof(escaped), "\\u%04x", c);
			snprintf(want, sizeof(want), "\"%.*s%s%s\"", (int)place, text, escaped,
			    text + place + 1);
			buf_init(&out, 1 << 10);
			assert_true(jsonx_write(&out, value));
			assert_string_equal(out.data, want);
			buf_finish(&out);
			json_decref(value);
		}
	}
	check("\"\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xf0\x9f\x98\x80\xf0\x9f\x98\x80\"",
	    "\"\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xf0\x9f\x98\x80\xf0\x9f\x98\x80\"", 0);
}

static void
many_members_are_sorted(void **state)
{
	struct buf in, want;
	char err[128];
	json_t *value;
	int i;

	buf_init(&in, 1 << 20);
	buf_init(&want, 1 << 20);
	for (i = 0; i < 200; i++) {
		assert_true(
		    buf_printf(&in, "%s\"k%03d\":%d", i == 0 ? "{" : ",", 199 - i, 199 - i));
		assert_true(buf_printf(&want, "%s\"k%03d\":%d", i == 0 ? "{" : ",", i, i));
	}
	assert_true(buf_append_char(&in, '}') && buf_append_char(&want, '}'));
	value = jsonx_parse(in.data, in.len, NULL, err, sizeof(err));
	buf_reset(&in);
	assert_true(jsonx_write(&in, value));
	assert_string_equal(in.data, want.data);
	json_decref(value);
	buf_finish(&in);
	buf_finish(&want);
}

static void
integers(void **state)
{
	check("[0,-1,9223372036854775807,-9223372036854775808]",
	    "[0,-1,9223372036854775807,-9223372036854775808]", 0);
	check("9223372036854775808", "\"9223372036854775808\"", 1);
	check("-9223372036854775809", "\"-9223372036854775809\"", 1);
	check("{\"a\":[123456789012345678901234567890, 1, 18446744073709551615],\"b\":"
	      "99999999999999999999}",
	    "{\"a\":[\"123456789012345678901234567890\",1,\"18446744073709551615\"],"
	    "\"b\":\"99999999999999999999\"}",
	    3);
	/* Not numbers, or not integers. */
	check("\"99999999999999999999\"", "\"99999999999999999999\"", 0);
	check("[\"a\\\"99999999999999999999\",\"\\\\\",1]",
	    "[\"a\\\"99999999999999999999\",\"\\\\\",1]", 0);
	check("99999999999999999999.5", "1e+20", 0);
	check("99999999999999999999e1", "1e+21", 0);
	/* Quoting a number may not make right what was wrong. */
	check_refused("{99999999999999999999:1}", "line 1");
	check_refused("{\"a\":1,99999999999999999999:1}", "line 1");
	check_refused("[1 99999999999999999999]", "line 1");
	check_refused("00000000000000000000001", "line 1");
	check_refused("99999999999999999999a", "line 1");
	check_refused("-", "line 1");
}

static void
reals(void **state)
{
	check(
	    "[0.1,1.0,1e300,-0.0,0.30000000000000004,1e2,5e-324,1.2e-310,2.2250738585072014e-308,123456789.125]",
	    "[0.1,1.0,1e+300,-0.0,0.30000000000000004,100.0,5e-324,1.2e-310,2.2250738585072014e-308,123456789.125]",
	    0);
	check("[1.7976931348623157e308,2.2250738585072014e-308,1e22,1e15,1e16,0.1e-6]",
	    "[1.7976931348623157e+308,2.2250738585072014e-308,1e+22,1e+15,1e+16,1e-07]", 0);
	check("[100000.0,3.0e5]", "[100000.0,300000.0]", 0);
}

static void
numbers_beyond_a_double_are_text(void **state)
{
	struct jsonx_note note =
	    check_noted("{\"counter\":1e400,\"ok\":1}", "{\"counter\":\"1e400\",\"ok\":1}");

	assert_int_equal(note.odd[JSONX_BIG_REAL].count, 1);
	note = check_noted(
	    "[-1E+999,1e-400,0e-999,0.0e400,1e308]", "[\"-1E+999\",\"1e-400\",0.0,0.0,1e+308]");
	assert_int_equal(note.odd[JSONX_BIG_REAL].count, 2);
}

static void
halves_of_surrogate_pairs_are_replaced(void **state)
{
	struct jsonx_note note = check_noted("{\"files\":[\"ok.txt\",\"caf\\udce9.txt\"]}",
	    "{\"files\":[\"ok.txt\",\"caf\xef\xbf\xbd.txt\"]}");

	assert_int_equal(note.odd[JSONX_SURROGATE].count, 1);
	note = check_noted(
	    "[\"\\ud83d\",\"\\ud83d\\ud83d\\ude00\",\"\\ude00\\ud83d\",\"\\ud83d\\n\"]",
	    "[\"\xef\xbf\xbd\",\"\xef\xbf\xbd\xf0\x9f\x98\x80\",\"\xef\xbf\xbd\xef\xbf\xbd\",\"\xef\xbf\xbd\\n\"]");
	assert_int_equal(note.odd[JSONX_SURROGATE].count, 5);
	note = check_noted("{\"\\udc00\":1}", "{\"\xef\xbf\xbd\":1}");
	assert_int_equal(note.odd[JSONX_SURROGATE].count, 1);
}

static void
a_byte_order_mark_is_passed_over(void **state)
{
	check("\xef\xbb\xbf{\"a\":1}", "{\"a\":1}", 0);
	check("\xef\xbb\xbf \n7", "7", 0);
	check_refused("\xef\xbb\xbf\xef\xbb\xbf{}", "line 1");
	check_refused("\xef\xbb\xbf", "empty");
}

/* Keys are compared as they mean, not as they are written; a nested object is put in order first.
 */
static void
members_are_sorted_as_they_mean(void **state)
{
	check("{\"b\":{\"d\":1,\"c\":{\"y\":1,\"x\":2}},\"a\":[{\"f\":1,\"e\":2}]}",
	    "{\"a\":[{\"e\":2,\"f\":1}],\"b\":{\"c\":{\"x\":2,\"y\":1},\"d\":1}}", 0);
	check(
	    "{\"Z\":1,\"\\\"\":2,\"\\\\\":3,\"#\":4,\"\\n\":5,\"\\u0001\":6,\"\\u000b\":7,\"\":8,\"\\u00e9\":9}",
	    "{\"\":8,\"\\u0001\":6,\"\\n\":5,\"\\u000b\":7,\"\\\"\":2,\"#\":4,\"Z\":1,\"\\\\\":3,\"\xc3\xa9\":9}",
	    0);
}

static void
assert_odd(const char *text, const char *canonical, enum jsonx_odd odd, unsigned int count,
    size_t line, size_t column)
{
	struct jsonx_note note = check_noted(text, canonical);

	assert_int_equal(note.odd[odd].count, count);
	assert_int_equal(note.odd[odd].first.line, line);
	assert_int_equal(note.odd[odd].first.column, column);
	note.odd[odd].count = 0;
	assert_false(jsonx_is_odd(&note));
}

static void
assert_twice(
    const char *text, const char *canonical, unsigned int count, size_t column, const char *key)
{
	struct jsonx_note note = check_noted(text, canonical);

	assert_odd(text, canonical, JSONX_KEY_TWICE, count, 1, column);
	assert_string_equal(note.twice, key);
}

static void
of_repeated_keys_the_last_counts(void **state)
{
	assert_twice("{\"a\":1,\"a\":2}", "{\"a\":2}", 1, 8, "a");
	assert_twice(
	    "{\"b\":1,\"a\":2,\"\\u0062\":3,\"b\":[4]}", "{\"a\":2,\"b\":[4]}", 2, 14, "\\u0062");
	assert_twice("[{\"x\":1,\"x\":{}},7]", "[{\"x\":{}},7]", 1, 9, "x");
	assert_twice("{\"\":1,\"\":2}", "{\"\":2}", 1, 7, "");
	/* An inner object closes before it is seen that its own key is there again. */
	assert_twice(
	    "{\"o\":1,\"o\":{\"i\":1,\"i\":2},\"p\":3}", "{\"o\":{\"i\":2},\"p\":3}", 2, 8, "o");
	assert_twice("{\"o\":{\"i\":1,\"i\":2},\"o\":3}", "{\"o\":3}", 2, 13, "i");
	assert_odd("{\n \"a\": 1,\n \"a\": 2}", "{\"a\":2}", JSONX_KEY_TWICE, 1, 3, 2);
	/* What is shown is cut in whole characters, and not within an escape's quote. */
	assert_twice("{\"kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk\xc3\xa9\":1,"
		     "\"kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk\xc3\xa9\":2}",
	    "{\"kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk\xc3\xa9\":2}", 1, 67,
	    "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk");
	assert_twice("{\"\\\\\\\"\":1,\"\\\\\\\"\":2}", "{\"\\\\\\\"\":2}", 1, 11, "\\\\\\\"");
}

static void
nuls_in_keys_are_shown(void **state)
{
	assert_odd("{\"a\\u0000b\":1,\"\\u0000\\u0000\":2}",
	    "{\"a\xe2\x90\x80"
	    "b\":1,\"\xe2\x90\x80\xe2\x90\x80\":2}",
	    JSONX_KEY_NUL, 2, 1, 2);
	check("[\"a\\u0000b\"]", "[\"a\\u0000b\"]", 0);
}

static void
what_python_writes_for_no_number_is_text(void **state)
{
	assert_odd("{\"a\":NaN,\"b\":[Infinity,-Infinity]}",
	    "{\"a\":\"NaN\",\"b\":[\"Infinity\",\"-Infinity\"]}", JSONX_NOT_A_NUMBER, 3, 1, 6);
	check_refused("[nan]", "a value is due, there is \"nan]\"");
	check_refused("[-NaN]", "a digit is due, there is \"NaN]\"");
	check_refused("[NaNa]", "',' or ']' is due");
	check_refused("[Inf]", "a value is due, there is \"Inf]\"");
	check_refused("{NaN:1}", "a key in double quotes is due");
}

static uint64_t
next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return *state ^ (*state >> 29);
}

/* Every double that JSON can hold reads back as itself. */
static void
reals_survive(void **state)
{
	uint64_t seed = 20100926;
	char err[128];
	int i;

	for (i = 0; i < 20000; i++) {
		uint64_t bits = next_random(&seed);
		double real, back;
		json_t *value, *again;
		struct buf out;

		memcpy(&real, &bits, sizeof(real));
		value = json_real(real);
		if (value == NULL) /* infinite, or no number */
			continue;
		buf_init(&out, 100);
		assert_true(jsonx_write(&out, value));
		again = jsonx_parse(out.data, out.len, NULL, err, sizeof(err));
		assert_true(json_is_real(again));
		back = json_real_value(again);
		assert_memory_equal(&real, &back, sizeof(real));
		buf_finish(&out);
		json_decref(value);
		json_decref(again);
	}
}

static void
the_locale_does_not_show(void **state)
{
	static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8"};
	size_t i;

	/* Where no such locale is installed this repeats the C one. */
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (setlocale(LC_ALL, names[i]) != NULL)
			break;
	}
	check("[0.5,1.0,1.5e300,-2.25]", "[0.5,1.0,1.5e+300,-2.25]", 0);
	setlocale(LC_ALL, "C");
}

static void
refused_input(void **state)
{
	check_refused("", "empty");
	check_refused(" \n ", "empty");
	check_refused("{\"a\":1} x", "\"x\" stands behind the JSON");
	check_refused("{'a':1}", "line 1");
	check_refused("[1,\n2,\n}", "line 3");
	check_refused("\"\xff\"", "line 1, column 2: a text is not UTF-8");
	check_refused("\"\xed\xb3\xa9\"", "a text is not UTF-8");
	check_refused("\"\\x\"", "a backslash begins nothing");
	check_refused("\"\\u12g4\"", "a backslash begins nothing");
	check_refused("\"a\tb\"", "a control character is in a text");
	check_refused("[1,]", "column 4: a value is due, there is \"]\"");
	check_refused("{\"a\":1,}", "column 8: a key in double quotes is due, there is \"}\"");
	check_refused("[1}", "',' or ']' is due, there is \"}\"");
	check_refused("[01]", "',' or ']' is due");
	check_refused("[1.]", "a digit is due");
	check_refused("[+1]", "a value is due");
	check_refused("[1e]", "a digit is due");
	check_refused("[tru]", "a value is due");
	check_refused("{\"a\":[1,2", "column 10: it ends too early");
	check_refused("{\"a\":1", "column 7: it ends too early");
	check_refused("[1,", "column 4: it ends too early");
	check_refused("\x1b[0m{}", "column 1: a value is due, there is a control character");
	check_refused("{}\v", "column 3: a control character stands behind the JSON");
	check_refused("\"open", "line 1");
	check_refused("\"open\\", "line 1");
	check_refused("[[[[", "line 1");
	check_refused("]]]]", "line 1");
}

/* What programs print around the JSON, mostly warnings, is shown with the line it is on. */
static void
what_is_around_the_json_is_shown(void **state)
{
	check_refused("WARNING: no dmidecode\n{\"a\": 1}\n",
	    "line 1, column 1: \"WARNING: no dmidecode\" is no JSON, which seems to begin in line 2");
	check_refused("\n[WARN] x\n2010-09-26 y\n[1]",
	    "line 2, column 1: \"[WARN] x\" is no JSON, which seems to begin in line 4");
	check_refused("2010-09-26 02:16 WARN x\n{}",
	    "line 1, column 1: \"2010-09-26 02:16 WARN x\" is no JSON, which seems to begin in line 2");
	check_refused(
	    "{\"a\": 1}\nDone.\nBye.\n", "line 2, column 1: \"Done.\" stands behind the JSON");
	check_refused(
	    "{\"a\": 1}\n{\"a\": 2}\n", "line 2, column 1: \"{\"a\": 2}\" stands behind the JSON");
	check_refused("Usage: facter [option]", "there is \"Usage: facter [option]\"");
	check_refused("<html>\x1b[31m", "there is \"<html>\"");
	check_refused(
	    "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
	    "x\xc3\xa9",
	    "\xc3\xa9x\"");
}

static json_t *
nested(size_t depth, char open, char *err, size_t err_size, bool stored)
{
	char text[4096];
	size_t i, n = 0;

	for (i = 0; i < depth; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, open == '[' ? "[" : "{\"a\":");
	text[n++] = '1';
	for (i = 0; i < depth; i++)
		text[n++] = open == '[' ? ']' : '}';
	return stored ? jsonx_parse_stored(text, n, err, err_size)
		      : jsonx_parse(text, n, NULL, err, err_size);
}

static void
depth_is_capped(void **state)
{
	char err[128];
	json_t *value;
	const char *open;

	for (open = "[{"; *open != '\0'; open++) {
		value = nested(JSONX_DEPTH_MAX, *open, err, sizeof(err), false);
		assert_non_null(value);
		json_decref(value);
		assert_null(nested(JSONX_DEPTH_MAX + 1, *open, err, sizeof(err), false));
		assert_non_null(strstr(err, "nested deeper than 64 levels"));
		value = nested(JSONX_DEPTH_MAX + JSONX_DEPTH_AROUND, *open, err, sizeof(err), true);
		assert_non_null(value);
		json_decref(value);
		assert_null(nested(
		    JSONX_DEPTH_MAX + JSONX_DEPTH_AROUND + 1, *open, err, sizeof(err), true));
	}
}

static void
assert_limited(const char *text, const struct jsonx_limits *limits, const char *refusal,
    enum jsonx_refusal kind)
{
	struct jsonx_note note;
	struct buf out;
	char err[256];

	buf_init(&out, 1 << 20);
	note = rewrite(text, strlen(text), limits, &out, err);
	assert_int_equal(note.refusal, refusal[0] != '\0' ? kind : JSONX_READ);
	assert_string_equal(err, refusal);
	buf_finish(&out);
}

static void
assert_keys(const char *text, size_t keys, const char *refusal)
{
	const struct jsonx_limits limits = {.depth = JSONX_DEPTH_MAX, .keys = keys};

	assert_limited(text, &limits, refusal, JSONX_KEYS);
}

/* Of each object for itself; neither members of an array nor colons in strings count. */
static void
keys_are_capped(void **state)
{
	assert_keys("{\"a\":1}", 2, "");
	assert_keys("{\"a\":1,\"b\":2}", 2, "");
	assert_keys("{\"a\":1,\"b\":2,\"c\":3}", 2,
	    "line 1, column 18: more than 2 keys in an object ([limits] object_keys)");
	assert_keys("{\"a\":{\"c\":1,\"d\":2},\"b\":[{\"e\":1},{\"f\":1},1,2]}", 2, "");
	assert_keys("[{\"a\":{},\"b\":{},\"c\":1}]", 2,
	    "line 1, column 21: more than 2 keys in an object ([limits] object_keys)");
	assert_keys("{\"a:b\":\":::\",\"b\":\":\"}", 2, "");
	assert_keys("{\"a\":1,\"b\":2,\"c\":3}", 0, "");
}

/* Keys count as in YAML. */
static void
values_are_capped(void **state)
{
	const struct jsonx_limits limits = {.depth = JSONX_DEPTH_MAX, .values = 5};
	static const char over[] = "more than 5 values and keys ([limits] json_nodes)";
	char refusal[128];

	assert_limited("[1,2,3,4]", &limits, "", JSONX_VALUES);
	snprintf(refusal, sizeof(refusal), "line 1, column %d: %s", 10, over);
	assert_limited("[1,2,3,4,5]", &limits, refusal, JSONX_VALUES);
	assert_limited("{\"a\":{\"b\":1}}", &limits, "", JSONX_VALUES);
	snprintf(refusal, sizeof(refusal), "line 1, column %d: %s", 12, over);
	assert_limited("{\"a\":[[],1,{}]}", &limits, refusal, JSONX_VALUES);
	assert_limited("[\"[[[,,,]]]\",[],[]]", &limits, "", JSONX_VALUES);
}

/* Depth counts what is open at once, not brackets, and not those in strings. */
static void
width_is_no_depth(void **state)
{
	char text[1000];
	size_t i, n = 0;
	char err[128];
	json_t *value;

	text[n++] = '[';
	for (i = 0; i < 100; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "[],\"[{\",");
	text[n++] = '1';
	text[n++] = ']';
	value = jsonx_parse(text, n, NULL, err, sizeof(err));
	assert_int_equal(json_array_size(value), 201);
	json_decref(value);
}

static void
writing_too_deep_fails(void **state)
{
	json_t *value = json_integer(1);
	struct buf out;
	unsigned int i;

	buf_init(&out, 1 << 20);
	for (i = 0; i < JSONX_DEPTH_MAX + JSONX_DEPTH_AROUND; i++)
		value = json_pack("[o]", value);
	assert_true(jsonx_write(&out, value));
	value = json_pack("{so}", "a", value);
	assert_false(jsonx_write(&out, value));
	buf_finish(&out);
	json_decref(value);
}

static void
the_cap_of_the_buffer_holds(void **state)
{
	json_t *value = json_pack("{s:[s,f,i,b]}", "key", "text\n", 0.5, 12345, 1);
	struct buf out;
	size_t cap, need = strlen("{\"key\":[\"text\\n\",0.5,12345,true]}");

	for (cap = 0; cap <= need; cap++) {
		buf_init(&out, cap);
		assert_int_equal(jsonx_write(&out, value), cap == need);
		buf_finish(&out);
	}
	json_decref(value);
}

static void
nul_in_text_and_input(void **state)
{
	static const char with_nul[] = "[\"a\\u0000b\"]\0";
	char err[128];
	json_t *value = jsonx_parse(with_nul, sizeof(with_nul) - 2, NULL, err, sizeof(err));

	assert_int_equal(json_string_length(json_array_get(value, 0)), 3);
	json_decref(value);
	assert_null(jsonx_parse(with_nul, sizeof(with_nul) - 1, NULL, err, sizeof(err)));
}

static void
pretty_for_people(void **state)
{
	json_t *value = json_pack("{s:i,s:[i,{}],s:[]}", "b", 1, "a", 2, "c");
	struct buf out;

	buf_init(&out, 1000);
	assert_true(jsonx_write_pretty(&out, value));
	assert_string_equal(
	    out.data, "{\n  \"b\": 1,\n  \"a\": [\n    2,\n    {}\n  ],\n  \"c\": []\n}");
	buf_finish(&out);
	json_decref(value);
}

static void
lossy(const char *bytes, size_t len, const char *text, size_t replaced)
{
	size_t n = 99;
	json_t *value = jsonx_string_lossy(bytes, len, &n);

	assert_string_equal(json_string_value(value), text);
	assert_int_equal(n, replaced);
	json_decref(value);
}

#define FFFD "\xef\xbf\xbd"

static void
bytes_that_are_no_text(void **state)
{
	lossy("", 0, "", 0);
	lossy("plain", 5, "plain", 0);
	lossy("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 0);
	lossy("a\xff"
	      "b\xfe",
	    4, "a" FFFD "b" FFFD, 2);
	lossy("\xc0\xaf", 2, FFFD FFFD, 2);                   /* overlong */
	lossy("\xed\xa0\x80", 3, FFFD FFFD FFFD, 3);          /* surrogate */
	lossy("\xf4\x90\x80\x80", 4, FFFD FFFD FFFD FFFD, 4); /* beyond U+10FFFF */
	lossy("\xe0\x9f\xbf\xe2\x82", 5, FFFD FFFD FFFD FFFD FFFD, 5);
	lossy("\xe2\x82\xac\xe2\x82", 5, "\xe2\x82\xac" FFFD FFFD, 2);
}

static void
optional_members(void **state)
{
	json_t *obj = json_object();

	jsonx_set_str(obj, "absent", NULL);
	jsonx_set_str(obj, "text", "x");
	jsonx_set_str(obj, "bad", "\xff");
	jsonx_set_int(obj, "n", -3);
	assert_int_equal(json_object_size(obj), 3);
	assert_string_equal(json_string_value(json_object_get(obj, "text")), "x");
	assert_string_equal(json_string_value(json_object_get(obj, "bad")), FFFD);
	assert_int_equal(json_integer_value(json_object_get(obj, "n")), -3);
	json_decref(obj);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(canonical_text),
	    cmocka_unit_test(escapes_at_every_place),
	    cmocka_unit_test(many_members_are_sorted),
	    cmocka_unit_test(integers),
	    cmocka_unit_test(reals),
	    cmocka_unit_test(reals_survive),
	    cmocka_unit_test(the_locale_does_not_show),
	    cmocka_unit_test(numbers_beyond_a_double_are_text),
	    cmocka_unit_test(halves_of_surrogate_pairs_are_replaced),
	    cmocka_unit_test(a_byte_order_mark_is_passed_over),
	    cmocka_unit_test(members_are_sorted_as_they_mean),
	    cmocka_unit_test(of_repeated_keys_the_last_counts),
	    cmocka_unit_test(nuls_in_keys_are_shown),
	    cmocka_unit_test(what_python_writes_for_no_number_is_text),
	    cmocka_unit_test(what_is_around_the_json_is_shown),
	    cmocka_unit_test(values_are_capped),
	    cmocka_unit_test(refused_input),
	    cmocka_unit_test(depth_is_capped),
	    cmocka_unit_test(keys_are_capped),
	    cmocka_unit_test(width_is_no_depth),
	    cmocka_unit_test(writing_too_deep_fails),
	    cmocka_unit_test(the_cap_of_the_buffer_holds),
	    cmocka_unit_test(nul_in_text_and_input),
	    cmocka_unit_test(pretty_for_people),
	    cmocka_unit_test(bytes_that_are_no_text),
	    cmocka_unit_test(optional_members),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
