/* SPDX-License-Identifier: Apache-2.0 */
/* What a query yields, as a table and as CSV. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "admin/result_rows.h"
#include "shared/base/ident.h"
#include "shared/base/xalloc.h"

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static void
add(struct result_rows *r, const char *host, const char *json)
{
	json_t *value = json_loads(json, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

	assert_non_null(value);
	assert_true(result_rows_add(r, host, value));
	json_decref(value);
}

static void
assert_text(const struct result_rows *r, bool csv, const char *expected)
{
	char *text;
	size_t size;
	FILE *out = xmemstream(&text, &size);

	if (csv)
		assert_true(result_rows_print_csv(out, r));
	else
		result_rows_print(out, r);
	fclose(out);
	assert_string_equal(text, expected);
	free(text);
}

static void
scalars_are_one_column(void **state)
{
	struct result_rows *r = result_rows_create();

	assert_text(r, false, "");
	add(r, "web01", "\"\\u001b[1m\"");
	add(r, "web01", "7");
	add(r, "web02", "null");
	assert_int_equal(result_rows_count(r), 3);
	assert_text(r, false, "HOST  VALUE\nweb01 \\x1b[1m\nweb01 7\nweb02 -\n");
	assert_text(r, true, "host,value\nweb01,\033[1m\nweb01,7\nweb02,\n");
	result_rows_destroy(r);
}

static void
members_are_columns(void **state)
{
	struct result_rows *r = result_rows_create();

	add(r, "a", "{\"x\": 1.5, \"y z\": \"p\"}");
	add(r, "b", "{\"w\": true, \"x\": null}");
	assert_text(r, false, "HOST x   y z w\na    1.5 p   -\nb    -   -   true\n");
	assert_text(r, true, "host,x,y z,w\na,1.5,p,\nb,,,true\n");
	add(r, "c", "2");
	assert_text(r, false,
	    "HOST VALUE x   y z w\na    -     1.5 p   -\nb    -     -   -   true\nc    2     -   -   -\n");
	result_rows_destroy(r);
}

static void
lists_are_no_table(void **state)
{
	struct result_rows *r = result_rows_create();

	add(r, "web02", "{\"x\": [1]}");
	add(r, "web01", "{\"x\": [1]}");
	assert_text(r, false, "2 hosts: web[01-02]\n{\n  \"x\": [\n    1\n  ]\n}\n");
	assert_text(r, true, "host,x\nweb02,[1]\nweb01,[1]\n");
	result_rows_destroy(r);
}

static void
csv_quotes_what_is_special(void **state)
{
	struct result_rows *r = result_rows_create();

	add(r, "a",
	    "{\"k,\": \"say \\\"x\\\"\", \"l\": \"1\\n2\", \"m\": {\"b\": 1}, \"n\": \"a\\u0000b\"}");
	assert_text(r, true,
	    "host,\"k,\",l,m,n\na,\"say \"\"x\"\"\",\"1\n2\",\"{\"\"b\"\":1}\",\"\"\"a\\u0000b\"\"\"\n");
	result_rows_destroy(r);
}

static void
columns_are_bounded(void **state)
{
	struct result_rows *r = result_rows_create();
	FILE *out = fopen("/dev/null", "w");
	char json[64];

	for (int i = 0; i < RESULT_ROWS_COLUMNS; i++) {
		snprintf(json, sizeof(json), "{\"c%d\": 1}", i);
		add(r, "a", json);
	}
	assert_non_null(out);
	assert_true(result_rows_print_csv(out, r));
	add(r, "a", "{\"another\": 1}");
	assert_false(result_rows_print_csv(out, r));
	result_rows_print(out, r);
	fclose(out);
	result_rows_destroy(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(scalars_are_one_column),
	    cmocka_unit_test(members_are_columns),
	    cmocka_unit_test(lists_are_no_table),
	    cmocka_unit_test(csv_quotes_what_is_special),
	    cmocka_unit_test(columns_are_bounded),
	};

	ident_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
