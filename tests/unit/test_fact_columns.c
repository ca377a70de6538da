/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/base/ident.h"
#include "shared/store/sql/fact_columns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define T0   INT64_C(1285467389609)
#define AT   "\"2010-09-26T02:16:29.609Z\""
#define HASH "\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\""

static void
assert_comes_back(const char *text, int64_t heard_at)
{
	json_t *meta = json_loads(text, JSON_ALLOW_NUL, NULL), *again;
	struct fact_columns c;

	assert_non_null(meta);
	fact_columns_take(&c, meta, heard_at);
	again = fact_columns_meta(&c);
	if (!json_equal(meta, again))
		fail_msg("%s came back as %s", text, json_dumps(again, 0));
	fact_columns_finish(&c);
	json_decref(again);
	json_decref(meta);
}

static void
what_nearly_every_answer_has_is_in_columns(void **state)
{
	static const char text[] =
	    "{\"received_at\":" AT ",\"collected_at\":" AT ",\"changed_at\":" AT
	    ",\"order\":7,\"machine_id\":\"m\",\"boot_id\":\"b\",\"version\":\"0.1\","
	    "\"response_id\":\"r\",\"job\":\"j\",\"format\":\"yaml\",\"exit_status\":0,"
	    "\"duration_ms\":12,\"hash\":" HASH "}";
	json_t *meta = json_loads(text, 0, NULL);
	struct fact_columns c;

	fact_columns_take(&c, meta, T0);
	assert_null(c.rest);
	assert_int_equal(c.order, 7);
	assert_int_equal(c.received_at, T0);
	assert_int_equal(c.changed_at, T0);
	assert_int_equal(c.exit_status, 0);
	assert_true(c.has_hash);
	assert_int_equal(c.hash[1], 0x23);
	assert_string_equal(c.job, "j");
	fact_columns_finish(&c);
	json_decref(meta);
	assert_comes_back(text, T0);
}

/* What a column could not give back as it was stays JSON. */
static void
what_is_odd_comes_back_as_it_was(void **state)
{
	static const char *const texts[] = {
	    "{}",
	    "{\"received_at\":" AT "}",
	    "{\"received_at\":\"yesterday\",\"collected_at\":\"2010-09-26T02:16:29Z\"}",
	    "{\"changed_at\":5,\"order\":-1,\"exit_status\":\"0\",\"duration_ms\":-1}",
	    "{\"order\":0,\"hash\":\"ABC\",\"format\":\"xml\",\"machine_id\":\"\",\"job\":null}",
	    "{\"job\":\"a\\u0000b\",\"response_id\":{},\"version\":[1.5]}",
	    "{\"truncated\":true,\"notes\":[\"cut\"],\"state\":\"failed\",\"failure\":{\"at\":" AT
	    ",\"count\":2},\"other_machine\":{\"machine_id\":\"x\"}}",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_comes_back(texts[i], T0);
		assert_comes_back(texts[i], T0 + 1);
	}
}

static void
the_latest_answer_may_be_a_failure(void **state)
{
	json_t *meta = json_loads(
	    "{\"received_at\":" AT ",\"failure\":{\"at\":\"2010-09-26T02:16:30.000Z\"}}", 0, NULL);

	assert_int_equal(fact_columns_heard_at(meta), T0 + 391);
	json_decref(meta);
	meta = json_object();
	assert_int_equal(fact_columns_heard_at(meta), 0);
	json_decref(meta);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_nearly_every_answer_has_is_in_columns),
	    cmocka_unit_test(what_is_odd_comes_back_as_it_was),
	    cmocka_unit_test(the_latest_answer_may_be_a_failure),
	};

	ident_init();
	return cmocka_run_group_tests_name("fact columns", tests, NULL, NULL);
}
