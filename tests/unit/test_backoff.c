/* SPDX-License-Identifier: Apache-2.0 */
/* backoff: range, doubling, cap, no overflow. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "shared/base/backoff.h"

static void
doubles_up_to_the_cap(void **state)
{
	const uint32_t lowest[] = {50, 100, 200, 400, 500, 500};
	struct backoff b;

	backoff_init(&b, 100, 1000);
	for (size_t i = 0; i < sizeof(lowest) / sizeof(lowest[0]); i++)
		assert_int_equal(backoff_next(&b, 0), lowest[i]);
	assert_int_equal(b.attempts, 6);
	backoff_reset(&b);
	assert_int_equal(backoff_next(&b, 0), 50);
}

static void
stays_in_the_upper_half(void **state)
{
	uint32_t rnd = 1, low = UINT32_MAX, high = 0, d;

	for (int i = 0; i < 10000; i++) {
		struct backoff b = {.first_ms = 25, .max_ms = 10000, .attempts = 2};

		rnd = rnd * 1664525 + 1013904223;
		d = backoff_next(&b, rnd >> 8);
		assert_in_range(d, 50, 100);
		low = d < low ? d : low;
		high = d > high ? d : high;
	}
	assert_int_equal(low, 50); /* both ends are reached */
	assert_int_equal(high, 100);
}

static void
never_overflows(void **state)
{
	struct backoff b;

	backoff_init(&b, 3000000000U, UINT32_MAX);
	for (int i = 0; i < 200; i++)
		assert_true(backoff_next(&b, UINT32_MAX) >= 1500000000U);
	b.attempts = UINT32_MAX;
	assert_true(backoff_next(&b, 0) == UINT32_MAX / 2);
	assert_true(b.attempts == UINT32_MAX);
}

static void
odd_limits(void **state)
{
	struct backoff b;

	backoff_init(&b, 0, 0);
	assert_int_equal(backoff_next(&b, 12345), 0);
	backoff_init(&b, 0, 1000);
	b.attempts = UINT32_MAX;
	assert_int_equal(backoff_next(&b, 12345), 0);
	backoff_init(&b, 500, 100); /* the cap wins */
	assert_in_range(backoff_next(&b, 99), 50, 100);
	backoff_init(&b, 1, 1);
	assert_in_range(backoff_next(&b, 7), 0, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(doubles_up_to_the_cap),
	    cmocka_unit_test(stays_in_the_upper_half),
	    cmocka_unit_test(never_overflows),
	    cmocka_unit_test(odd_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
