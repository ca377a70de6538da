/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/breaker.h"

#include <cmocka.h>

#define PATIENCE 10000

static struct breaker b;
static struct mono now;

static bool
at(int64_t later_ms, enum breaker_event ev, uint32_t n)
{
	const char *why =
	    ev == BREAKER_PUT_REFUSED || ev == BREAKER_PROBE_FAILED ? "no room" : NULL;

	now = mono_add(now, later_ms);
	return breaker_step(&b, ev, why, n, now, 0);
}

static bool
is_troubled(int64_t ms)
{
	struct mono since;
	const char *why;
	bool troubled = breaker_troubled(&b, &since, &why);

	if (troubled)
		assert_int_equal(mono_diff(now, since), ms);
	return troubled;
}

static int
begin(void **state)
{
	now = mono_add((struct mono){0}, 1000000);
	breaker_init(&b, PATIENCE, now);
	return 0;
}

static int
begin_there(void **state)
{
	begin(state);
	assert_true(at(0, BREAKER_PROBE_PASSED, 0));
	assert_int_equal(b.state, BREAKER_THERE);
	return 0;
}

/* After an outage, in TRYING. */
static int
begin_trying(void **state)
{
	begin_there(state);
	at(0, BREAKER_PUT_REFUSED, 500);
	assert_true(at(PATIENCE, BREAKER_TIME, 0));
	assert_int_equal(b.state, BREAKER_AWAY);
	assert_true(at(1000, BREAKER_PROBE_PASSED, 0));
	assert_int_equal(b.state, BREAKER_TRYING);
	return 0;
}

static void
at_the_start_a_probe_is_due_and_nothing_is_put(void **state)
{
	assert_int_equal(breaker_next_ms(&b, now), 0);
	assert_int_equal(breaker_wait_ms(&b, now), -1);
	assert_true(is_troubled(0));
	assert_false(at(0, BREAKER_PROBE_FAILED, 0));
	assert_in_range(breaker_next_ms(&b, now), 500, 1000);
	assert_string_equal(b.why, "no room");
	for (int i = 0; i < 10; i++)
		at(5000, BREAKER_PROBE_FAILED, 0);
	assert_in_range(breaker_next_ms(&b, now), 2500, 5000);
	assert_true(at(0, BREAKER_PROBE_PASSED, 0));
	assert_int_equal(breaker_wait_ms(&b, now), 0);
	assert_int_equal(breaker_next_ms(&b, now), -1);
	assert_false(is_troubled(0));
	assert_int_equal(b.width, BREAKER_WIDTH_MAX); /* no put was refused */
}

static void
the_width_halves_and_doubles(void **state)
{
	at(0, BREAKER_PUT_REFUSED, 500);
	assert_int_equal(b.width, 250);
	assert_in_range(breaker_wait_ms(&b, now), 50, 100);
	at(100, BREAKER_PUT_REFUSED, 250);
	assert_int_equal(b.width, 125);
	assert_true(is_troubled(100));
	at(100, BREAKER_PUT_TAKEN, 125);
	assert_int_equal(b.width, 250);
	assert_int_equal(breaker_wait_ms(&b, now), 0);
	assert_false(is_troubled(0));
	at(100, BREAKER_PUT_REFUSED, 1); /* what is put was no more, so nothing is learnt */
	assert_int_equal(b.width, 125);
	at(100, BREAKER_PUT_REFUSED, 2);
	assert_int_equal(b.width, 1);
	at(100, BREAKER_PUT_REFUSED, 1);
	assert_int_equal(b.width, 1);
	for (int i = 0; i < 40; i++)
		at(1, BREAKER_PUT_TAKEN, 1);
	assert_int_equal(b.width, BREAKER_WIDTH_MAX);
	assert_int_equal(b.state, BREAKER_THERE);
}

static void
what_was_under_way_at_a_refusal_says_nothing_new(void **state)
{
	struct mono before = now;

	assert_false(breaker_knows(&b, before));
	at(10, BREAKER_PUT_REFUSED, 1);
	assert_true(breaker_knows(&b, before));
	assert_false(breaker_knows(&b, mono_add(now, breaker_wait_ms(&b, now))));
	at(10, BREAKER_PUT_TAKEN, 1); /* another refusal is news again */
	assert_false(breaker_knows(&b, before));
}

static void
patience_has_an_end(void **state)
{
	at(0, BREAKER_PUT_REFUSED, 500);
	assert_int_equal(breaker_next_ms(&b, now), PATIENCE);
	assert_false(at(PATIENCE - 1, BREAKER_PUT_REFUSED, 250));
	assert_false(breaker_is_over(&b, now));
	assert_int_equal(breaker_next_ms(&b, now), 1);
	assert_true(at(1, BREAKER_TIME, 0));
	assert_int_equal(b.state, BREAKER_AWAY);
	assert_string_equal(b.why, "no room");
	assert_int_equal(breaker_wait_ms(&b, now), -1);
	assert_false(at(0, BREAKER_PUT_TAKEN, 1)); /* it was on its way */
	assert_true(is_troubled(PATIENCE));
}

static void
a_taken_put_begins_patience_anew(void **state)
{
	at(0, BREAKER_PUT_REFUSED, 500);
	at(PATIENCE - 1, BREAKER_PUT_TAKEN, 250);
	at(1, BREAKER_PUT_REFUSED, 500);
	assert_false(at(PATIENCE - 1, BREAKER_TIME, 0));
	assert_true(at(1, BREAKER_TIME, 0));
}

/* Away only once in an outage: each time costs the deliveries in hand one of their counts. */
static void
a_store_that_takes_now_and_then_is_not_left_again(void **state)
{
	assert_int_equal(b.width, 1);
	for (int i = 0; i < 100; i++) {
		at(10, BREAKER_PUT_TAKEN, 1);
		assert_int_equal(b.state, BREAKER_THERE);
		at(10, BREAKER_PUT_REFUSED, 100);
		assert_false(at(PATIENCE * 2, BREAKER_TIME, 0));
	}
	assert_true(at(BREAKER_HOLD_MS, BREAKER_TIME, 0)); /* but not for ever */
	at(0, BREAKER_PROBE_PASSED, 0);
	at(BREAKER_STEADY_MS, BREAKER_PUT_TAKEN, 1);
	at(0, BREAKER_PUT_REFUSED, 100); /* another outage */
	assert_true(at(PATIENCE, BREAKER_TIME, 0));
}

static void
while_it_tries_the_window_opens(void **state)
{
	assert_int_equal(b.window, 1);
	assert_false(at(BREAKER_WIDER_MS, BREAKER_TIME, 0)); /* nothing was refused */
	at(0, BREAKER_PUT_REFUSED, 1);
	for (uint32_t n = 2; n <= BREAKER_WINDOW_MAX; n *= 2) {
		assert_true(at(breaker_next_ms(&b, now), BREAKER_TIME, 0));
		assert_int_equal(b.window, n);
	}
	assert_false(at(BREAKER_WIDER_MS, BREAKER_TIME, 0));
	assert_true(at(breaker_next_ms(&b, now), BREAKER_TIME, 0));
	assert_int_equal(b.state, BREAKER_AWAY);
	assert_true(is_troubled(mono_diff(now, b.since)));
	assert_true(mono_diff(now, b.since) >= BREAKER_HOLD_MS + PATIENCE); /* of all of it */
}

static void
when_nothing_comes_it_is_there(void **state)
{
	assert_true(at(0, BREAKER_QUIET, 0));
	assert_int_equal(b.state, BREAKER_THERE);
	assert_false(at(0, BREAKER_QUIET, 0));
}

static void
what_is_one_hosts_alone_is_no_refusal(void **state)
{
	at(0, BREAKER_PUT_REFUSED, 1);
	now = mono_add(now, BREAKER_HOLD_MS);
	assert_true(breaker_is_over(&b, now));
	assert_false(at(0, BREAKER_ALONE, 0));
	assert_false(breaker_is_over(&b, now));
	assert_int_equal(b.state, BREAKER_TRYING);
	assert_int_equal(breaker_wait_ms(&b, now), 0);
}

static void
an_idle_store_that_fails_a_probe_is_away(void **state)
{
	assert_true(at(0, BREAKER_PROBE_FAILED, 0));
	assert_int_equal(b.state, BREAKER_AWAY);
	assert_true(at(1000, BREAKER_PROBE_PASSED, 0)); /* no write was refused */
	assert_int_equal(b.state, BREAKER_THERE);
}

static void
each_has_a_name(void **state)
{
	for (int i = BREAKER_AWAY; i <= BREAKER_THERE; i++)
		assert_string_not_equal(breaker_state_name((enum breaker_state)i), "?");
	for (int i = BREAKER_PROBE_PASSED; i <= BREAKER_ALONE; i++)
		assert_string_not_equal(breaker_event_name((enum breaker_event)i), "?");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(at_the_start_a_probe_is_due_and_nothing_is_put, begin),
	    cmocka_unit_test_setup(the_width_halves_and_doubles, begin_there),
	    cmocka_unit_test_setup(what_was_under_way_at_a_refusal_says_nothing_new, begin_there),
	    cmocka_unit_test_setup(patience_has_an_end, begin_there),
	    cmocka_unit_test_setup(a_taken_put_begins_patience_anew, begin_there),
	    cmocka_unit_test_setup(a_store_that_takes_now_and_then_is_not_left_again, begin_trying),
	    cmocka_unit_test_setup(while_it_tries_the_window_opens, begin_trying),
	    cmocka_unit_test_setup(when_nothing_comes_it_is_there, begin_trying),
	    cmocka_unit_test_setup(what_is_one_hosts_alone_is_no_refusal, begin_trying),
	    cmocka_unit_test_setup(an_idle_store_that_fails_a_probe_is_away, begin_there),
	    cmocka_unit_test(each_has_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
