/* SPDX-License-Identifier: Apache-2.0 */
/* What there is in the place of a part that is mistyped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/target/missing_part.h"
#include "shared/target/value_path.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
add(struct missing_part *m, const char *path, const char *json)
{
	json_t *value = json_loads(json, JSON_DECODE_ANY, NULL);
	const json_t *last;
	size_t len;

	assert_non_null(value);
	assert_null(value_path_get(value, path, &last, &len));
	missing_part_add(m, last, len);
	json_decref(value);
}

static void
assert_there(const char *path, const char *one, const char *other, const char *expected)
{
	struct missing_part *m = missing_part_create(path);
	char *text = missing_part_text(m);

	assert_null(text);
	add(m, path, one);
	if (other != NULL)
		add(m, path, other);
	assert_true(missing_part_any(m));
	text = missing_part_text(m);
	assert_string_equal(text, expected);
	free(text);
	missing_part_destroy(m);
}

static void
names_are_nearest_first(void **state)
{
	assert_there("os.nmae", "{\"os\": {\"family\": 1, \"name\": 2, \"id\": 3}}", NULL,
	    "did you mean name? os has: name, id, family");
	assert_there(
	    "[\"nmae\"].x", "{\"a\": 1, \"name\": 2}", NULL, "did you mean name? It has: name, a");
}

static void
names_are_those_of_all_values(void **state)
{
	assert_there(
	    ".os.x", "{\"os\": {\"b\": 1}}", "{\"os\": {\"c\": 1, \"b\": 2}}", ".os has: b, c");
}

/* Who gets further down the path knows better what was meant. */
static void
the_deepest_place_counts(void **state)
{
	assert_there("os.name.x", "{\"cpu\": 1}", "{\"os\": {\"nick\": 1}}", "os has: nick");
	assert_there("os.name.x", "{\"os\": {\"nick\": 1}}", "{\"cpu\": 1}", "os has: nick");
}

static void
what_is_no_object_is_said(void **state)
{
	assert_there(
	    "disks.size", "{\"disks\": [1]}", "{\"disks\": [1, 2]}", "disks is a list of 2");
	assert_there("disks.size", "{\"disks\": 1}", NULL, "disks has no parts");
	assert_there("disks.size", "{\"disks\": {}}", NULL, "disks has nothing");
}

static void
many_names_are_cut(void **state)
{
	struct missing_part *m = missing_part_create("x");
	char *text, json[64];

	for (int i = 0; i < 2000; i++) {
		snprintf(json, sizeof(json), "{\"key%04d\": 1}", i);
		add(m, "x", json);
	}
	text = missing_part_text(m);
	assert_true(strlen(text) < 400);
	assert_non_null(strstr(text, " and more"));
	free(text);
	missing_part_destroy(m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(names_are_nearest_first),
	    cmocka_unit_test(names_are_those_of_all_values),
	    cmocka_unit_test(the_deepest_place_counts),
	    cmocka_unit_test(what_is_no_object_is_said),
	    cmocka_unit_test(many_names_are_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
