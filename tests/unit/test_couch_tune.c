/* couch_tune: finds the size at which a store writes most, and notices when it is another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/store/couch_tune.h"

static struct couch_tune t;
static struct mono now;
static const double *speed; /* of the store, in bytes a ms, by level */

static int
set_up(void **state)
{
	now = (struct mono){5};
	couch_tune_init(&t, 0);
	return 0;
}

static unsigned int
level(void)
{
	size_t bytes = couch_tune_bytes(&t, false);

	return bytes == COUCH_TUNE_MIN ? 0 : bytes == 2 * COUCH_TUNE_MIN ? 1 : 2;
}

/* A request is written in as long as the store takes for its size. Returns the share of time, in
 * percent, that was spent on the level. */
static int64_t
write_for(int64_t ms, unsigned int wanted)
{
	struct mono end = mono_add(now, ms);
	int64_t there = 0;

	while (!mono_reached(now, end)) {
		size_t bytes = couch_tune_bytes(&t, false);
		int64_t takes = (int64_t)((double)bytes / speed[level()]);

		there += level() == wanted ? takes : 0;
		now = mono_add(now, takes);
		couch_tune_wrote(&t, bytes, now);
	}
	return there * 100 / ms;
}

static void
finds_the_best(void **state)
{
	static const double speeds[][COUCH_TUNE_LEVELS] = {
	    {15000, 13000, 12000}, {14000, 16000, 13000}, {12000, 14000, 16000}};

	for (unsigned int best = 0; best < COUCH_TUNE_LEVELS; best++) {
		set_up(NULL);
		speed = speeds[best];
		write_for(20000, best);
		assert_in_range(write_for(600000, best), 90, 100);
	}
}

static void
finds_another_when_the_store_changes(void **state)
{
	static const double large[] = {12000, 14000, 16000}, small[] = {16000, 14000, 12000};

	speed = large;
	write_for(600000, 2);
	assert_int_equal(level(), 2);
	speed = small;
	/* It had given up looking for a while. */
	write_for(2 * COUCH_TUNE_HOLD_MAX * COUCH_TUNE_WINDOW_MS, 0);
	assert_in_range(write_for(600000, 0), 90, 100);
}

static void
stays_where_nothing_is_gained(void **state)
{
	static const double same[] = {15000, 15100, 15200};

	speed = same;
	assert_in_range(write_for(600000, 0), 90, 100);
}

/* What is written while there is little to do says nothing. */
static void
idle_times_do_not_count(void **state)
{
	static const double large[] = {12000, 14000, 16000};

	speed = large;
	for (int i = 0; i < 1000; i++) {
		write_for(COUCH_TUNE_WINDOW_MS / 2, 0);
		assert_int_equal(level(), 0);
		couch_tune_idle(&t);
		now = mono_add(now, 60000);
	}
	/* Nor does it make forget what was found out. */
	write_for(60000, 2);
	assert_int_equal(level(), 2);
	couch_tune_idle(&t);
	now = mono_add(now, 60000);
	assert_int_equal(level(), 2);
	assert_in_range(write_for(60000, 2), 80, 100);
}

static void
few_requests_are_small(void **state)
{
	static const double large[] = {12000, 14000, 16000};

	speed = large;
	write_for(60000, 2);
	assert_int_equal(couch_tune_bytes(&t, true), COUCH_TUNE_MIN);
}

static void
a_size_that_was_configured_stays(void **state)
{
	static const double large[] = {12000, 14000, 16000};

	speed = large;
	couch_tune_init(&t, 70000);
	for (int i = 0; i < 1000; i++) {
		now = mono_add(now, 10);
		couch_tune_wrote(&t, 70000, now);
		assert_int_equal(couch_tune_bytes(&t, i % 2 == 0), 70000);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(finds_the_best, set_up),
	    cmocka_unit_test_setup(finds_another_when_the_store_changes, set_up),
	    cmocka_unit_test_setup(stays_where_nothing_is_gained, set_up),
	    cmocka_unit_test_setup(idle_times_do_not_count, set_up),
	    cmocka_unit_test_setup(few_requests_are_small, set_up),
	    cmocka_unit_test_setup(a_size_that_was_configured_stays, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
