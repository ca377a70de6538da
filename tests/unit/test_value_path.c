/* SPDX-License-Identifier: Apache-2.0 */
/* The way to a part of a value. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/target/value_path.h"

#include <cmocka.h>

#define VALUE                                                                                         \
	"{\"os\":{\"name\":\"Debian\",\"a.b\":1,\"li-b:x\":2},\"disks\":[{\"size\":7},{\"size\":8}]," \
	"\"\":3,\"null\":null}"

static void
assert_part(const char *path, const char *expected)
{
	json_t *value = json_loads(VALUE, 0, NULL);
	json_t *want = expected == NULL ? NULL : json_loads(expected, JSON_DECODE_ANY, NULL);
	const json_t *last, *got;
	size_t len;

	assert_null(value_path_error(path));
	got = value_path_get(value, path, &last, &len);
	if (want == NULL)
		assert_null(got);
	else
		assert_true(json_equal(got, want));
	json_decref(want);
	json_decref(value);
}

static void
parts_are_found(void **state)
{
	assert_part("os.name", "\"Debian\"");
	assert_part(".os.name", "\"Debian\"");
	assert_part(".os[\"name\"]", "\"Debian\"");
	assert_part("os.\"a.b\"", "1");
	assert_part("os[\"a.b\"]", "1");
	assert_part(".[\"os\"].li-b:x", "2");
	assert_part("os.\"\\u006eame\"", "\"Debian\"");
	assert_part("disks[1].size", "8");
	assert_part("disks[-2].size", "7");
	assert_part("disks.1.size", "8");
	assert_part(".disks.[0]", "{\"size\":7}");
	assert_part("[\"\"]", "3");
	assert_part("null", "null");
	assert_part("", VALUE);
	assert_part(".", VALUE);
}

static void
what_is_not_there_is_not_found(void **state)
{
	json_t *value = json_loads(VALUE, 0, NULL);
	const json_t *last;
	size_t len;

	assert_part("os.nam", NULL);
	assert_part("os[0]", NULL);
	assert_part("disks[2]", NULL);
	assert_part("disks[-3]", NULL);
	assert_part("disks.x", NULL);
	assert_part("disks.1x", NULL);
	assert_part("os.name.x", NULL);
	assert_null(value_path_get(value, ".os.nam.x", &last, &len));
	assert_ptr_equal(last, json_object_get(value, "os"));
	assert_int_equal(len, 3);
	json_decref(value);
}

static void
what_is_no_path_is_refused(void **state)
{
	static const char *const bad[] = {"a.", "a..b", "..", "a[", "a[1", "a[]", "a[x]", "a[\"x]",
	    "a[\"x\"", "a[1]b", ".\"x", "a[1234567890]", "a[-]", "[", "a[\"\\x\"]"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (value_path_error(bad[i]) == NULL)
			fail_msg("%s", bad[i]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(parts_are_found),
	    cmocka_unit_test(what_is_not_there_is_not_found),
	    cmocka_unit_test(what_is_no_path_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
