/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/prune.h"
#include "shared/base/wallclock.h"
#include "tests/fake/fake_loop.h"
#include "tests/fake/fake_store.h"

#include <cmocka.h>

#define DAY_S (24 * 3600)

static struct loop *loop;
static struct fake_store *store;
static struct prune *p;

static int
set_up(void **state)
{
	loop = loop_create();
	store = fake_store_create(loop, 1, 0);
	return 0;
}

static int
tear_down(void **state)
{
	fake_store_destroy(store);
	prune_destroy(p);
	loop_destroy(loop);
	return 0;
}

static void
at_start_and_every_hour(void **state)
{
	int64_t before;

	p = prune_create(loop, fake_store_base(store), DAY_S);
	assert_int_equal(fake_store_prunes(store), 0);
	fake_advance(loop, 0);
	assert_int_equal(fake_store_prunes(store), 1);
	before = wallclock_ms() - fake_store_pruned_before(store);
	assert_in_range(before, INT64_C(1000) * DAY_S, INT64_C(1000) * DAY_S + 3600000);
	fake_advance(loop, PRUNE_INTERVAL_MS - 1);
	assert_int_equal(fake_store_prunes(store), 1);
	fake_advance(loop, 1);
	assert_int_equal(fake_store_prunes(store), 2);
}

static void
until_nothing_is_left_with_pauses(void **state)
{
	fake_store_to_prune(store, 2 * FAKE_STORE_PRUNES + 1);
	p = prune_create(loop, fake_store_base(store), DAY_S);
	fake_advance(loop, 0);
	assert_int_equal(fake_store_prunes(store), 1);
	fake_advance(loop, PRUNE_PAUSE_MS - 1);
	assert_int_equal(fake_store_prunes(store), 1);
	for (int i = 0; i < 10; i++)
		fake_advance(loop, PRUNE_PAUSE_MS);
	assert_int_equal(fake_store_prunes(store), 4); /* the last says that there is no more */
}

static void
zero_keeps_all(void **state)
{
	p = prune_create(loop, fake_store_base(store), 0);
	fake_advance(loop, 3 * PRUNE_INTERVAL_MS);
	assert_int_equal(fake_store_prunes(store), 0);
	prune_set_ttl(p, DAY_S);
	fake_advance(loop, 0);
	assert_int_equal(fake_store_prunes(store), 1);
	prune_set_ttl(p, DAY_S);
	fake_advance(loop, 0);
	assert_int_equal(fake_store_prunes(store), 1);
	prune_set_ttl(p, 0);
	fake_advance(loop, 3 * PRUNE_INTERVAL_MS);
	assert_int_equal(fake_store_prunes(store), 1);
}

static void
a_store_that_is_away_is_asked_again(void **state)
{
	fake_store_probe_says(store, false);
	fake_store_to_prune(store, 1);
	p = prune_create(loop, fake_store_base(store), DAY_S);
	fake_advance(loop, PRUNE_INTERVAL_MS - 1);
	assert_int_equal(fake_store_prunes(store), 1);
	fake_store_probe_says(store, true);
	fake_advance(loop, 1);
	fake_advance(loop, PRUNE_PAUSE_MS);
	assert_int_equal(fake_store_prunes(store), 3);
}

/* Its own clock, or the sender's, is wrong by a year: nothing is lost for that. */
static void
a_wrong_clock_removes_nothing(void **state)
{
	static const int64_t days[] = {-400, -2, 2, 400};

	for (size_t i = 0; i < 4; i++) {
		fake_store_newest_job(store, wallclock_ms() + days[i] * DAY_S * 1000);
		fake_store_to_prune(store, 1);
		p = prune_create(loop, fake_store_base(store), DAY_S);
		fake_advance(loop, 3 * PRUNE_INTERVAL_MS);
		assert_int_equal(fake_store_prunes(store), 0);
		prune_destroy(p);
	}
	fake_store_newest_job(store, wallclock_ms() - DAY_S * 1000 / 2);
	p = prune_create(loop, fake_store_base(store), DAY_S);
	fake_advance(loop, 0);
	assert_int_equal(fake_store_prunes(store), 1);
	/* Never more than the newest job allows. */
	assert_in_range(wallclock_ms() - fake_store_pruned_before(store), INT64_C(1500) * DAY_S,
	    INT64_C(1500) * DAY_S + 60000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(at_start_and_every_hour),
	    TEST(until_nothing_is_left_with_pauses),
	    TEST(a_wrong_clock_removes_nothing),
	    TEST(zero_keeps_all),
	    TEST(a_store_that_is_away_is_asked_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
