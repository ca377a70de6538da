/* SPDX-License-Identifier: Apache-2.0 */
/* admin/record_view.c: records of today and of 2010, and half-written ones. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "admin/record_view.h"

static void
assert_plugins(const char *record, const char *want)
{
	json_t *rec = json_loads(record, 0, NULL), *list, *expected = json_loads(want, 0, NULL);

	assert_non_null(rec);
	assert_non_null(expected);
	list = record_view_plugins(rec);
	assert_true(json_equal(list, expected));
	json_decref(list);
	json_decref(expected);
	json_decref(rec);
}

static void
plugins_are_values_and_failures_sorted(void **state)
{
	assert_plugins(
	    "{\"_id\":\"a\",\"_rev\":\"1\",\"system_name\":\"a\",\"doc_type\":\"SystemRecord\","
	    "\"created_at\":\"x\",\"updated_at\":\"y\",\"last_error\":{},\"ps\":[],"
	    "\"facter\":{},\"vogeler\":{\"ps\":{},\"facter\":{},\"broken\":{}}}",
	    "[\"broken\",\"facter\",\"ps\"]");
}

static void
what_somebody_added_is_no_plugin(void **state)
{
	json_t *rec =
	    json_loads("{\"_id\":\"a\",\"_attachments\":{},\"owner\":\"ops\",\"rack\":7,\"ps\":[],"
		       "\"vogeler\":{\"ps\":{}}}",
		0, NULL);
	json_t *others = record_view_others(rec),
	       *want = json_loads("[\"owner\",\"rack\"]", 0, NULL);

	assert_plugins("{\"owner\":\"ops\",\"ps\":[],\"vogeler\":{\"ps\":{}}}", "[\"ps\"]");
	assert_true(json_equal(others, want));
	json_decref(others);
	json_decref(want);
	json_decref(rec);
}

static void
a_record_of_2010_has_no_metadata(void **state)
{
	assert_plugins("{\"_id\":\"a\",\"system_name\":\"a\",\"rpm\":[]}", "[\"rpm\"]");
}

static void
an_empty_record_has_no_plugins(void **state)
{
	assert_plugins("{}", "[]");
}

static void
text_and_meta(void **state)
{
	json_t *rec =
	    json_loads("{\"a\":\"x\",\"n\":1,\"vogeler\":{\"ps\":{\"order\":1}}}", 0, NULL);

	assert_string_equal(record_view_text(rec, "a", "-"), "x");
	assert_string_equal(record_view_text(rec, "n", "-"), "-");
	assert_string_equal(record_view_text(NULL, "n", "-"), "-");
	assert_non_null(record_view_meta(rec, "ps"));
	assert_null(record_view_meta(rec, "other"));
	json_decref(rec);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(plugins_are_values_and_failures_sorted),
	    cmocka_unit_test(what_somebody_added_is_no_plugin),
	    cmocka_unit_test(a_record_of_2010_has_no_metadata),
	    cmocka_unit_test(an_empty_record_has_no_plugins),
	    cmocka_unit_test(text_and_meta),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
