/* SPDX-License-Identifier: Apache-2.0 */
/* When --batch goes on, waits, stops, ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "runner/job/waves.h"

#include <cmocka.h>

static const struct waves_rule plain = {.size = 4};
static const struct waves_rule timed = {.size = 4, .time_ms = 1000};
static const struct waves_rule none_may = {.size = 4, .has_max = true};
static const struct waves_rule two_may = {.size = 4, .has_max = true, .max = 2};
static const struct waves_rule quarter_may = {
    .size = 4, .has_max = true, .max = 25, .max_percent = true};
static const struct waves_rule any_may = {
    .size = 4, .has_max = true, .max = 100, .max_percent = true};

/* The second wave of three. */
static struct waves_count
second(size_t open, size_t failed, size_t failed_before)
{
	return (struct waves_count){
	    .targets = 12,
	    .sent = 8,
	    .open = open,
	    .failed = failed + failed_before,
	    .wave = 4,
	    .wave_open = open,
	    .wave_failed = failed,
	};
}

static void
assert_step(enum waves_step expected, const struct waves_rule *r, struct waves_count n)
{
	assert_int_equal(waves_step(r, &n), expected);
}

static void
a_wave_with_an_open_host_is_waited_for(void **state)
{
	assert_step(WAVES_WAIT, &plain, second(1, 0, 0));
	assert_step(WAVES_WAIT, &plain, second(1, 3, 4));
	assert_step(WAVES_WAIT, &none_may, second(1, 3, 0));
}

static void
one_good_host_is_enough_to_go_on(void **state)
{
	assert_step(WAVES_NEXT, &plain, second(0, 0, 0));
	assert_step(WAVES_NEXT, &plain, second(0, 3, 3));
}

static void
a_wave_that_failed_whole_is_the_last(void **state)
{
	assert_step(WAVES_STOP, &plain, second(0, 4, 0));
}

static void
more_failures_than_may_be_stop_it(void **state)
{
	assert_step(WAVES_NEXT, &none_may, second(0, 0, 0));
	assert_step(WAVES_STOP, &none_may, second(0, 1, 0));
	assert_step(WAVES_NEXT, &two_may, second(0, 1, 1));
	assert_step(WAVES_STOP, &two_may, second(0, 1, 2));
	assert_step(WAVES_NEXT, &quarter_may, second(0, 3, 0));
	assert_step(WAVES_STOP, &quarter_may, second(0, 3, 1));
	assert_step(WAVES_NEXT, &any_may, second(0, 4, 4));
}

static void
at_a_share_of_huge_jobs_nothing_overflows(void **state)
{
	struct waves_count n = second(0, 0, 0);

	n.targets = SIZE_MAX / 200;
	n.failed = n.targets / 4;
	assert_step(WAVES_NEXT, &quarter_may, n);
	n.failed += 2;
	assert_step(WAVES_STOP, &quarter_may, n);
}

static struct waves_count
aged(struct waves_count n, int64_t age_ms)
{
	n.age_ms = age_ms;
	return n;
}

static void
open_hosts_have_failed_when_the_time_is_over(void **state)
{
	assert_step(WAVES_WAIT, &timed, aged(second(4, 0, 0), 999));
	assert_step(WAVES_STOP, &timed, aged(second(4, 0, 0), 1000));
	assert_step(WAVES_STOP, &timed, aged(second(2, 2, 0), 1000));
	assert_step(WAVES_NEXT, &timed, aged(second(3, 0, 0), 1000));
}

static void
the_last_wave_has_its_time_too(void **state)
{
	struct waves_count n = aged(second(1, 0, 0), 999);

	n.targets = n.sent;
	assert_step(WAVES_WAIT, &timed, n);
	assert_step(WAVES_ENDED, &timed, aged(n, 1000));
	assert_step(WAVES_WAIT, &plain, aged(n, 1000000));
	n.wave_open = 0; /* the open one is of an earlier wave, whose time was over */
	assert_step(WAVES_ENDED, &timed, n);
	n.open = 0;
	assert_step(WAVES_WAIT, &timed, n); /* all is known: the wait ends by itself */
}

static void
why_it_stops(void **state)
{
	char text[WAVES_WHY_SIZE];
	struct waves_count n = second(1, 2, 1);

	assert_string_equal(waves_why(&plain, &n, text),
	    "of the last 4 hosts none is ok, 1 did not answer in time");
	assert_string_equal(
	    waves_why(&two_may, &n, text), "4 of 12 hosts are not ok, more than --max-failures 2");
	assert_string_equal(waves_why(&quarter_may, &n, text),
	    "4 of 12 hosts are not ok, more than --max-failures 25%");
	n.wave = 1;
	assert_string_equal(waves_why(&plain, &n, text), "the last host did not answer in time");
	n.wave_open = 0;
	assert_string_equal(waves_why(&plain, &n, text), "the last host is not ok");
	n.wave = 4;
	assert_string_equal(waves_why(&plain, &n, text), "of the last 4 hosts none is ok");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_wave_with_an_open_host_is_waited_for),
	    cmocka_unit_test(one_good_host_is_enough_to_go_on),
	    cmocka_unit_test(a_wave_that_failed_whole_is_the_last),
	    cmocka_unit_test(more_failures_than_may_be_stop_it),
	    cmocka_unit_test(at_a_share_of_huge_jobs_nothing_overflows),
	    cmocka_unit_test(open_hosts_have_failed_when_the_time_is_over),
	    cmocka_unit_test(the_last_wave_has_its_time_too),
	    cmocka_unit_test(why_it_stops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
