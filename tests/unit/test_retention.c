/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/retention.h"
#include "tests/fake/fake_loop.h"
#include "tests/fake/fake_store.h"

#include <cmocka.h>

#define DAY_S (24 * 3600)

static const struct options_keep keep = {400 * DAY_S, 1000};

static struct loop *loop;
static struct fake_store *store;
static struct retention *r;

static int
set_up(void **state)
{
	loop = loop_create();
	store = fake_store_create(loop, 1, 0);
	r = retention_create(loop, fake_store_base(store), &keep);
	return 0;
}

static int
tear_down(void **state)
{
	fake_store_destroy(store);
	retention_destroy(r);
	loop_destroy(loop);
	return 0;
}

static void
after_a_minute_and_every_hour(void **state)
{
	fake_advance(loop, RETENTION_FIRST_MS - 1);
	assert_int_equal(fake_store_prunes(store), 0);
	fake_advance(loop, 1);
	assert_int_equal(fake_store_prunes(store), 1);
	assert_int_equal(fake_store_keep(store).age_s, keep.age_s);
	assert_int_equal(fake_store_keep(store).count, keep.count);
	fake_advance(loop, RETENTION_INTERVAL_MS - 1);
	assert_int_equal(fake_store_prunes(store), 1);
	fake_advance(loop, 1);
	assert_int_equal(fake_store_prunes(store), 2);
}

static void
until_nothing_is_left_with_pauses(void **state)
{
	fake_store_to_prune(store, 2 * FAKE_STORE_PRUNES + 1);
	fake_advance(loop, RETENTION_FIRST_MS);
	fake_advance(loop, RETENTION_PAUSE_MS - 1);
	assert_int_equal(fake_store_prunes(store), 1);
	fake_advance(loop, 10 * RETENTION_PAUSE_MS);
	assert_int_equal(fake_store_prunes(store), 4); /* the last says that there is no more */
}

static void
a_reload_counts_at_once(void **state)
{
	const struct options_keep all = {OPTIONS_KEEP_ALL, OPTIONS_KEEP_ALL}, few = {0, 3};

	retention_set_keep(r, &all);
	fake_advance(loop, RETENTION_INTERVAL_MS);
	assert_int_equal(fake_store_prunes(store), 0);
	retention_set_keep(r, &few);
	fake_advance(loop, 0);
	assert_int_equal(fake_store_prunes(store), 1);
	assert_int_equal(fake_store_keep(store).count, 3);
	retention_set_keep(r, &few);
	fake_advance(loop, 0);
	assert_int_equal(fake_store_prunes(store), 1);
}

static void
a_store_that_refuses_is_asked_again(void **state)
{
	fake_store_probe_says(store, false);
	fake_advance(loop, RETENTION_FIRST_MS);
	fake_advance(loop, 10 * RETENTION_PAUSE_MS);
	assert_int_equal(fake_store_prunes(store), 1);
	fake_store_probe_says(store, true);
	fake_advance(loop, RETENTION_INTERVAL_MS);
	assert_int_equal(fake_store_prunes(store), 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(after_a_minute_and_every_hour, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(until_nothing_is_left_with_pauses, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(a_reload_counts_at_once, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(a_store_that_refuses_is_asked_again, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
