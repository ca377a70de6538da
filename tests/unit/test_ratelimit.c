/* SPDX-License-Identifier: Apache-2.0 */
/* repeat: once, then once a minute, whatever comes in between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/base/ratelimit.h"

#include <stdio.h>
#include <string.h>

static void
the_same_is_once_a_minute(void **state)
{
	struct ratelimit r = {0};
	struct mono now = {0};
	uint32_t unlogged = 99;
	int lines = 0;

	for (int s = 0; s < 180; s++, now = mono_add(now, 1000))
		if (ratelimit_due(&r, "away", now, &unlogged)) {
			assert_int_equal(unlogged, lines == 0 ? 0 : 59);
			lines++;
		}
	assert_int_equal(lines, 3);
}

static void
a_new_one_is_told_at_once(void **state)
{
	struct ratelimit r = {0};
	struct mono now = {7};
	uint32_t unlogged = 99;

	assert_true(ratelimit_due(&r, "away", now, &unlogged));
	assert_true(ratelimit_due(&r, "denied", now, &unlogged));
	assert_int_equal(unlogged, 0);
	assert_false(ratelimit_due(&r, "away", now, &unlogged));
	assert_false(ratelimit_due(&r, "denied", now, &unlogged));
}

static void
the_oldest_makes_room(void **state)
{
	struct ratelimit r = {0};
	struct mono now = {0};
	uint32_t unlogged;
	char text[16];

	for (int i = 0; i <= RATELIMIT_KINDS; i++, now = mono_add(now, 1)) {
		snprintf(text, sizeof(text), "kind %d", i);
		assert_true(ratelimit_due(&r, text, now, &unlogged));
	}
	assert_false(ratelimit_due(&r, "kind 1", now, &unlogged));
	assert_true(ratelimit_due(&r, "kind 0", now, &unlogged));
}

static void
long_and_empty_texts(void **state)
{
	struct ratelimit r = {0};
	struct mono now = {0};
	char text[2 * RATELIMIT_TEXT_SIZE];
	uint32_t unlogged;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_true(ratelimit_due(&r, text, now, &unlogged));
	assert_false(ratelimit_due(&r, text, now, &unlogged));
	assert_true(ratelimit_due(&r, "", now, &unlogged));
	assert_false(ratelimit_due(&r, "", now, &unlogged));
}

static void
what_was_left_out_is_summed_up(void **state)
{
	struct ratelimit r = {0};
	struct mono now = {0};
	uint32_t unlogged = 99;

	assert_int_equal(ratelimit_sum_up(&r), 0);
	for (int i = 0; i < 3; i++) {
		ratelimit_due(&r, "away", now, &unlogged);
		ratelimit_due(&r, "denied", now, &unlogged);
	}
	assert_int_equal(ratelimit_sum_up(&r), 4);
	assert_int_equal(ratelimit_sum_up(&r), 0);
	assert_false(ratelimit_due(&r, "away", mono_add(now, RATELIMIT_PERIOD_MS - 1), &unlogged));
	assert_true(ratelimit_due(&r, "away", mono_add(now, RATELIMIT_PERIOD_MS), &unlogged));
	assert_int_equal(unlogged, 1);
}

/* A complaint that was told is not the last word; what comes and goes is no flood. */
static void
its_end_is_told(void **state)
{
	struct ratelimit r = {0};
	struct mono now = {.ms = 1000};
	uint32_t unlogged = 99;

	assert_false(ratelimit_over(&r, now, &unlogged));
	assert_int_equal(unlogged, 0);
	ratelimit_due(&r, "away", now, &unlogged);
	assert_true(ratelimit_over(&r, now, &unlogged));
	assert_int_equal(unlogged, 0);
	for (int i = 1; i < 60; i++) {
		now = mono_add(now, 1000);
		assert_false(ratelimit_due(&r, "away", now, &unlogged));
		assert_false(ratelimit_over(&r, now, &unlogged));
	}
	assert_true(ratelimit_due(&r, "denied", now, &unlogged));
	assert_true(ratelimit_over(&r, now, &unlogged));
	assert_int_equal(unlogged, 59);
	assert_false(ratelimit_due(&r, "denied", now, &unlogged));
	now = mono_add(now, RATELIMIT_PERIOD_MS);
	assert_true(ratelimit_over(&r, now, &unlogged));
	assert_int_equal(unlogged, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_same_is_once_a_minute),
	    cmocka_unit_test(a_new_one_is_told_at_once),
	    cmocka_unit_test(the_oldest_makes_room),
	    cmocka_unit_test(long_and_empty_texts),
	    cmocka_unit_test(what_was_left_out_is_summed_up),
	    cmocka_unit_test(its_end_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
