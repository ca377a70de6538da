/* SPDX-License-Identifier: Apache-2.0 */
/* wall: text and back. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "shared/base/mono.h"
#include "shared/base/wallclock.h"

static void
formats(void **state)
{
	char t[WALLCLOCK_TEXT_SIZE];

	assert_string_equal(wallclock_format(1285467389609, t), "2010-09-26T02:16:29.609Z");
	assert_ptr_equal(wallclock_format(0, t), t);
	assert_string_equal(t, "1970-01-01T00:00:00.000Z");
	assert_string_equal(wallclock_format(-1, t), "1969-12-31T23:59:59.999Z");
	assert_string_equal(wallclock_format(-1000, t), "1969-12-31T23:59:59.000Z");
	assert_string_equal(wallclock_format(951782400007, t), "2000-02-29T00:00:00.007Z");
	assert_string_equal(wallclock_format(INT64_MAX, t), "9999-12-31T23:59:59.999Z");
	assert_string_equal(wallclock_format(INT64_MIN, t), "0000-01-01T00:00:00.000Z");
}

static void
for_people(void **state)
{
	const int64_t now = 1285467389609;
	char t[WALLCLOCK_TEXT_SIZE], age[WALLCLOCK_AGE_SIZE];

	assert_string_equal(wallclock_format_s(now, t), "2010-09-26T02:16:29Z");
	assert_string_equal(wallclock_format_s(INT64_MIN, t), "0000-01-01T00:00:00Z");
	assert_string_equal(wallclock_age(now - 999, now, age), "0 s ago");
	assert_string_equal(wallclock_age(now - 61000, now, age), "1 min ago");
	assert_string_equal(wallclock_age(now - 3 * 86400000 - 7200000, now, age), "3 d ago");
	assert_string_equal(wallclock_age(now + 5000, now, age), "0 s ago");
}

static void
comes_back(void **state)
{
	const int64_t times[] = {0, -1, 1, 999, 1000, 1285467389609, 951782400007, 253402300799999,
	    -62167219200000, 4102444800000};
	char t[WALLCLOCK_TEXT_SIZE];
	int64_t ms;

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		assert_true(wallclock_parse(wallclock_format(times[i], t), &ms));
		assert_true(ms == times[i]);
	}
	assert_true(wallclock_parse("2010-09-26T02:16:29Z", &ms));
	assert_true(ms == 1285467389000);
}

static void
refuses_anything_else(void **state)
{
	const char *const bad[] = {"", "2010", "2010-09-26", "2010-09-26T02:16:29.609",
	    "2010-09-26 02:16:29.609Z", "2010-09-26T02:16:29.609+00:00", "2010-09-26T02:16:29.60Z",
	    "2010-09-26T02:16:29.6091Z", "2010-9-26T02:16:29.609Z", "2010-02-30T02:16:29.609Z",
	    "2011-02-29T00:00:00.000Z", "2010-13-01T00:00:00.000Z", "2010-00-01T00:00:00.000Z",
	    "2010-01-01T24:00:00.000Z", "2010-01-01T00:60:00.000Z", "2010-01-01T00:00:61.000Z",
	    "2010-09-26T02:16:29.609Zx", "+010-09-26T02:16:29.609Z", "2010-09-26T02:16:29.Z",
	    " 2010-09-26T02:16:29.609Z", "2010-09-26T02:16:29.609z"};
	int64_t ms = 77;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(wallclock_parse(bad[i], &ms));
	assert_true(ms == 77);
}

static void
clocks_run(void **state)
{
	struct mono a = mono_now(), b = mono_now();

	assert_true(mono_diff(b, a) >= 0);
	assert_true(mono_reached(mono_add(a, 5), a));
	assert_false(mono_reached(a, mono_add(a, 5)));
	assert_true(wallclock_ms() > 1285467389609);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(formats),
	    cmocka_unit_test(for_people),
	    cmocka_unit_test(comes_back),
	    cmocka_unit_test(refuses_anything_else),
	    cmocka_unit_test(clocks_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
