/* SPDX-License-Identifier: Apache-2.0 */
/* couch_pace: halving, growing back, waiting as told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/store/couch/couch_pace.h"

static struct couch_pace p;
static struct mono now;

static void
say(long status, uint32_t retry_after_s)
{
	struct http_response r = {.status = status, .retry_after_s = retry_after_s};

	couch_pace_note(&p, &r, now);
}

static int
set_up(void **state)
{
	now = (struct mono){5};
	couch_pace_init(&p, 8);
	return 0;
}

static void
halves_down_to_one(void **state)
{
	static const uint32_t want[] = {4, 2, 1, 1};

	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		say(i % 2 == 0 ? 429 : 503, 0);
		assert_int_equal(p.allowed, want[i]);
		now = mono_add(now, COUCH_PACE_HALVE_MS);
	}
}

/* Eight were under way, and eight are refused: that is one word, not eight. */
static void
answers_of_one_moment_count_once(void **state)
{
	for (int i = 0; i < 8; i++)
		say(503, 0);
	assert_int_equal(p.allowed, 4);
	assert_int_equal(p.slowdowns, 8);
	now = mono_add(now, COUCH_PACE_HALVE_MS - 1);
	say(503, 0);
	assert_int_equal(p.allowed, 4);
}

static void
grows_back_one_a_second(void **state)
{
	int64_t steps = 0;

	say(503, 0);
	say(201, 0);
	assert_int_equal(p.allowed, 4);
	while (p.allowed < p.max && steps < 100) {
		now = mono_add(now, COUCH_PACE_GROW_MS / 10);
		say(steps % 2 == 0 ? 200 : 201, 0);
		steps++;
	}
	assert_int_equal(steps, 40);
	now = mono_add(now, COUCH_PACE_GROW_MS);
	say(201, 0);
	assert_int_equal(p.allowed, 8);
}

/* Else it would never come down again: each refusal follows at once on the growth that led to it.
 */
static void
growth_that_was_too_much_is_taken_back_at_once(void **state)
{
	say(429, 0);
	for (uint32_t i = 0; i < 3; i++) {
		now = mono_add(now, COUCH_PACE_GROW_MS);
		say(201, 0);
		assert_int_equal(p.allowed, i == 0 ? 5 : i == 1 ? 3 : 2);
		now = mono_add(now, 1);
		say(429, 0);
		assert_int_equal(p.allowed, i == 0 ? 2 : 1);
	}
}

static void
other_answers_say_nothing(void **state)
{
	static const long others[] = {0, 301, 400, 401, 404, 409, 413, 500, 502, 504};

	say(429, 0);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		now = mono_add(now, COUCH_PACE_GROW_MS);
		say(others[i], 9);
		assert_int_equal(p.allowed, 4);
		assert_int_equal(couch_pace_wait_ms(&p, now), 0);
	}
}

static void
waits_as_told(void **state)
{
	assert_int_equal(couch_pace_wait_ms(&p, now), 0);
	say(429, 7);
	assert_int_equal(couch_pace_wait_ms(&p, now), 7000);
	say(429, 2); /* the longer one holds */
	assert_int_equal(couch_pace_wait_ms(&p, now), 7000);
	now = mono_add(now, 6999);
	assert_int_equal(couch_pace_wait_ms(&p, now), 1);
	now = mono_add(now, 1);
	assert_int_equal(couch_pace_wait_ms(&p, now), 0);
	now = mono_add(now, 1);
	assert_int_equal(couch_pace_wait_ms(&p, now), 0);
}

static void
not_longer_than_a_minute(void **state)
{
	say(503, UINT32_MAX);
	assert_int_equal(couch_pace_wait_ms(&p, now), COUCH_PACE_WAIT_MAX_S * 1000);
}

static void
one_stays_one(void **state)
{
	couch_pace_init(&p, 0);
	assert_int_equal(p.allowed, 1);
	say(503, 0);
	assert_int_equal(p.allowed, 1);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(halves_down_to_one),
	    TEST(answers_of_one_moment_count_once),
	    TEST(grows_back_one_a_second),
	    TEST(growth_that_was_too_much_is_taken_back_at_once),
	    TEST(other_answers_say_nothing),
	    TEST(waits_as_told),
	    TEST(not_longer_than_a_minute),
	    TEST(one_stays_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
