/* SPDX-License-Identifier: Apache-2.0 */
/* Which plugins a question reads: never one too few. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/base/shellwords.h"
#include "shared/query/jq_plugins.h"
#include <stdio.h>
#include <string.h>

#define ANY NULL

struct question {
	const char *program;
	const char *reads; /* "a b", sorted; ANY: cannot be told */
};

static const struct question questions[] = {
    {".facter.os.name == \"Debian\" and (.packages | length) > 300", "facter packages"},
    {".facter", "facter"},
    {"true", ""},
    {"._id == \"web01\"", ""},
    {".facter.os.family", "facter"},
    {".facter .os", "facter os"},
    {".[\"os-release\"] | length > 3", "os-release"},
    {".[ \"os-release\" ][0]", "os-release"},
    {".\"os-release\"[0]", "os-release"},
    {".a // .b", "a b"},
    {".a+.5+.b", "a b"},
    {".a[.b]", "a b"},
    {".a?.b", "a b"},
    {"(.a).b", "a b"},
    {".a | keys", "a"},
    {".a | . == 3", "a"},
    {".a | {x: .y}", "a y"},
    {".a as $x | .b == $x", "a b"},
    {"select(.a) | .b", "a b"},
    {"any(.packages[]; .name == \"nginx\")", "name packages"},
    {"any(.packages[]?; startswith(\"openssl 3.0.\"))", "packages"},
    {"any(.a[]; keys) and .b", "a b"},
    {"any(.a[]; keys), keys", ANY},
    {"any(.a, select(.b); keys)", ANY},
    {".packages | any(.name == \"nginx\")", "name packages"},
    {".packages | map(select(.size > 3)) | length > 2", "packages size"},
    {".a # | keys\n > 3", "a"},
    {".a == \"say \\\"hi\\\" | keys\"", "a"},
    {"[.a, .b] | any", "a b"},
    {".a | test(\"x.y\")", "a"},
    {"not", ""},
    {"{a, b} | length", "a b"},
    {"{facter}", "facter"},
    {"{os: .facter.os, n: (.packages | length)}", "facter packages"},
    {"{\"x y\": .a | length, z: .b | keys, c, $__loc__}", ANY},
    {"{\"x y\": .a | length, z: .b | keys, c}", "a b c"},
    {".a[0] as $x | {$x, (._id): 1}", "a"},
    {"{a: {b: .c}, d: [.e]}", "c e"},
    {".a <= 3 and .b >= 2 or .c != 1 and .d // 4 == 2", "a b c d"},
    {".ps | length > 3 and (.x | not)", "ps x"},

    /* The record as a whole. */
    {".", ANY},
    {". | keys | length > 3", ANY},
    {".[]", ANY},
    {".[$x]", ANY},
    {"..", ANY},
    {".. | strings", ANY},
    {"keys", ANY},
    {"keys | length > 3", ANY},
    {"has(\"facter\")", ANY},
    {"length > 3", ANY},
    {"to_entries | length > 3", ANY},
    {"tojson | test(\"x\")", ANY},
    {"getpath([\"facter\"])", ANY},
    {"any(. == 3)", ANY},
    {"any", ANY},
    {"select(.a) | keys", ANY},
    {"select(.a), .b | keys", ANY},
    {"(select(.a)) | keys", ANY},
    {"[select(.a)] | .[0] | keys", ANY},
    {"select(.a) as $r | $r | keys", ANY},
    {". as $r | .a", ANY},
    {".a |= 3 | keys", ANY},
    {".a = 3 | keys", ANY},
    {"(.a += 3) | keys", ANY},
    {".a //= 3 | keys", ANY},
    {"{a: .} | length", ANY},
    {"{a: select(.b)} | .a.c", ANY},
    {"{a: select(.b), c: 1} | .a.c", ANY},
    {"{(keys[0]): 1}", ANY},
    {"{\"a\"}", ANY},
    {"{last_error}", ANY},
    {"{@json \"x\": 1}", ANY},
    {"{a: .b | length, c: keys}", ANY},
    {".a | \"\\(.b)\"", ANY},
    {"\"\\(.)\" | test(\"x\")", ANY},
    {"@json | test(\"x\")", ANY},
    {"def f: .b; f", ANY},
    {"if .a then keys else 3 end", ANY},
    {"reduce .a[] as $x (.; 3) | keys", ANY},
    {"input | .a", ANY},
    {"$__prog_args", ANY},
    {".last_error", ANY},
    {".vogeler.facter.order > 3", ANY},
    {".a)", ANY},
    {"any(select(.a); keys)", ANY},
};

static void
each_program(void **state)
{
	for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++) {
		const struct question *q = &questions[i];
		char text[256] = "", **names;
		size_t n, at = 0;
		bool told = jq_plugins(q->program, JQ_TRUTH, &names, &n);

		for (size_t k = 0; told && k < n; k++)
			at += (size_t)snprintf(
			    text + at, sizeof(text) - at, "%s%s", k > 0 ? " " : "", names[k]);
		shellwords_free(names);
		if (told != (q->reads != ANY) || (told && strcmp(text, q->reads) != 0))
			fail_msg("%s: %s, not %s", q->program, told ? text : "any",
			    q->reads == ANY ? "any" : q->reads);
	}
}

/* As truth it is told from a part of the record; as a value it is the record. */
static void
values_have_all_that_comes_out(void **state)
{
	static const char *const same[] = {"select(.a)", ".b, select(.a)", "(select(.a))",
	    "select(.a) | select(.b)", "[select(.a)]"};
	char **names;
	size_t n;

	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		assert_true(jq_plugins(same[i], JQ_TRUTH, &names, &n));
		shellwords_free(names);
		assert_false(jq_plugins(same[i], JQ_VALUES, &names, &n));
	}
	assert_true(jq_plugins("select(.a) | .b", JQ_VALUES, &names, &n));
	assert_int_equal(n, 2);
	shellwords_free(names);
	assert_true(jq_plugins("select(.a) | {b}", JQ_VALUES, &names, &n));
	assert_int_equal(n, 2);
	shellwords_free(names);
}

static void
deep(void **state)
{
	char program[513], **names;
	size_t n;

	memset(program, '(', 512);
	program[512] = '\0';
	assert_false(jq_plugins(program, JQ_TRUTH, &names, &n));
	assert_null(names);
}

/* "?": tolerant; "=": assigned; "!": a condition. */
static const struct question paths[] = {
    {".facter.os.name", ".facter.os.name"},
    {".facter .os . name", ".facter.os.name"},
    {".facter[\"os\"].name[0]", ".facter[\"os\"].name[0]"},
    {".[\"os-release\"][ -1 ]", "[\"os-release\"][-1]"},
    {".\"os-release\".\"x y\"", "[\"os-release\"][\"x y\"]"},
    {".facter | .os | .name", ".facter.os.name"},
    {".facter | .os.name | length", ".facter.os.name"},
    {".facter.os, .b | .c", ".facter.os .b"},
    {".a + .b | .c", ".a .b"},
    {"{os: .facter.os.name, packages, n: (.x.y | length)}", ".facter.os.name .packages .x.y"},
    {"select(.facter.os.name == \"Debian\") | .a.b", ".facter.os.name! .a.b"},
    {"any(.packages[]; .name == \"nginx\" and .size)", ".packages!"},
    {".packages | map(select(.size > 3))", ".packages"},
    {".a.b and .c.d or .e.f", ".a.b .c.d .e.f"},
    {".a[.b.c]", ".a? .b.c"},
    {".a as $x | .b.c == $x.d", ".a .b.c"},
    {"(.a).b", ".a?"},

    /* What may be missing. */
    {".a.b // .c.d", ".a.b? .c.d"},
    {"(.a.b) // 1", ".a.b?"},
    {".a.b?", ".a.b?"},
    {".a?.b", ".a?"},
    {".a? .b", ".a?"},
    {".a.b[]?", ".a.b?"},
    {".a.b[].c", ".a.b"},
    {".a.b[1:2]", ".a.b?"},
    {".a.\"b\\n\"", ".a?"},
    {".a..", ".a?"},
    {"select(.a | has(\"b\"))", ".a!"},
    {"has(\"a\") and .b", ""},

    /* What is made. */
    {".a.b = 1", ".a.b="},
    {".a.b |= 1", ".a.b="},
    {".a.b += 1", ".a.b="},
    {".a.b == 1", ".a.b"},

    /* As far as it is understood. */
    {".a.b, keys, .c.d", ".a.b"},
    {"def f: .x; .a.b", ""},
    {".last_error.x", ""},
};

static void
paths_that_are_surely_taken_from_the_record(void **state)
{
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct jq_record_path *list;
		size_t n = jq_record_paths(paths[i].program, &list), at = 0;
		char text[256] = "";

		for (size_t k = 0; k < n; k++)
			at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s%s%s%s",
			    k > 0 ? " " : "", list[k].path.text, list[k].condition ? "!" : "",
			    list[k].path.tolerant ? "?" : "", list[k].path.assigned ? "=" : "");
		jq_paths_free(list, n);
		if (strcmp(text, paths[i].reads) != 0)
			fail_msg("%s: %s, not %s", paths[i].program, text, paths[i].reads);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(paths_that_are_surely_taken_from_the_record),
	    cmocka_unit_test(each_program),
	    cmocka_unit_test(values_have_all_that_comes_out),
	    cmocka_unit_test(deep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
