/* SPDX-License-Identifier: Apache-2.0 */
/* Who is taken, who waits in line, and when the line moves on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/host_quota.h"

#include <cmocka.h>
#include <string.h>

#define MAX 100

static struct host_quota *s;
static struct mono now;

/* NULL: it waits. */
static struct share *
comes_as(const char *host, bool fresh, bool *redelivered, size_t bytes, const char *owner)
{
	struct host_quota_delivery d = {host, fresh, *redelivered, bytes};
	struct share *share = host_quota_take(s, &d, (void *)owner, now);

	*redelivered = d.redelivered;
	return share;
}

static struct share *
comes(const char *host, size_t bytes, const char *owner)
{
	bool redelivered = false;

	return comes_as(host, false, &redelivered, bytes, owner);
}

static struct share *
comes_again(const char *host, size_t bytes, const char *owner)
{
	bool redelivered = true;

	return comes_as(host, false, &redelivered, bytes, owner);
}

static void
assert_next(const char *owner)
{
	const char *next = host_quota_next(s, now);

	if (owner == NULL)
		assert_null(next);
	else
		assert_string_equal(next, owner);
}

static int
begin(void **state)
{
	s = host_quota_create();
	host_quota_set_max(s, MAX);
	now = (struct mono){0};
	return 0;
}

static int
end(void **state)
{
	host_quota_destroy(s);
	return 0;
}

static void
a_host_waits_for_itself_alone(void **state)
{
	struct share *first = comes("a", 60, "a1"), *other;

	assert_non_null(first);
	assert_null(comes("a", 60, "a2"));
	assert_null(comes("a", 1, "a3")); /* there is room, but a2 is before it */
	other = comes("b", 60, "b1");
	assert_non_null(other);
	assert_next(NULL);
	assert_int_equal(host_quota_waiting(s), 2);
	host_quota_leave(s, other, 60);
	assert_next(NULL);
	host_quota_leave(s, first, 60);
	assert_next("a2");
	assert_next("a3"); /* both fit */
	assert_next(NULL);
	assert_int_equal(host_quota_waiting(s), 0);
}

static void
one_is_taken_however_large(void **state)
{
	struct share *large = comes("a", 1000, "a1");

	assert_non_null(large);
	assert_null(comes("a", 1, "a2"));
	host_quota_leave(s, large, 1000);
	large = comes("b", 1000, "b1");
	assert_non_null(large);
	host_quota_leave(s, large, 1000);
}

static void
it_counts_what_was_made_of_it(void **state)
{
	struct share *one = comes("a", 40, "a1");

	host_quota_change(one, 40, 90);
	assert_null(comes("a", 40, "a2"));
	host_quota_change(one, 90, 60);
	assert_next("a2");
	host_quota_leave(s, one, 60);
}

/* The room of what was given back is its own, and nothing overtakes it. */
static void
what_was_given_back_has_a_place(void **state)
{
	struct share *one = comes("a", 60, "a1"), *two, *three;

	assert_null(comes("a", 60, "a2"));
	assert_null(comes("a", 60, "a3"));
	host_quota_leave(s, one, 60);
	assert_next("a2");
	assert_next(NULL);
	assert_null(comes("a", 10, "a4"));
	two = comes_again("a", 60, "a2");
	assert_non_null(two);
	assert_next(NULL);
	host_quota_leave(s, two, 60);
	assert_next("a3");
	assert_next("a4");
	three = comes_again("a", 60, "a3");
	assert_non_null(three);
	host_quota_leave(s, three, 60);
}

/* Whether it may have ended the last process. */
static void
only_the_first_time_tells_whether_it_came_back(void **state)
{
	struct share *one, *two;
	bool redelivered = true;

	one = comes_as("a", false, &redelivered, 60, "a1");
	assert_true(redelivered);
	assert_null(comes_as("a", false, &redelivered, 60, "a2"));
	assert_null(comes("a", 60, "a3"));
	host_quota_leave(s, one, 60);
	assert_next("a2");
	two = comes_as("a", false, &redelivered, 60, "a2");
	assert_true(redelivered);
	host_quota_leave(s, two, 60);
	assert_next("a3");
	one = comes_as("a", false, &redelivered, 60, "a3");
	assert_false(redelivered);
	host_quota_leave(s, one, 60);
}

/* To another collector. */
static void
what_does_not_come_is_not_waited_for(void **state)
{
	struct share *one = comes("a", 60, "a1");

	assert_null(comes("a", 60, "a2"));
	assert_null(comes("a", 60, "a3"));
	host_quota_leave(s, one, 60);
	assert_next("a2");
	now = mono_add(now, HOST_QUOTA_COMING_MS - 1);
	assert_next(NULL);
	now = mono_add(now, 1);
	assert_next("a3");
	assert_true(host_quota_busy(s));
	now = mono_add(now, HOST_QUOTA_COMING_MS);
	assert_next(NULL);
	assert_false(host_quota_busy(s));
	one = comes("a", 60, "a4");
	assert_non_null(one);
	host_quota_leave(s, one, 60);
}

static void
nothing_waits_for_long_and_the_order_stays(void **state)
{
	struct share *one = comes("a", 60, "a1");

	assert_null(comes("a", 60, "a2"));
	now = mono_add(now, 1000);
	assert_null(comes("a", 60, "a3"));
	now = mono_add(now, HOST_QUOTA_HOLD_MS - 1000);
	assert_next("a2");
	assert_next("a3");
	assert_next(NULL);
	assert_null(comes("a", 60, "a4"));
	assert_null(comes_again("a", 60, "a2"));
	assert_null(comes_again("a", 60, "a3"));
	assert_next(NULL);
	host_quota_leave(s, one, 60);
	assert_next("a2");
	now = mono_add(now, HOST_QUOTA_COMING_MS);
	assert_next("a3");
	now = mono_add(now, HOST_QUOTA_COMING_MS);
	assert_next("a4");
}

static void
what_somebody_waits_for_goes_first(void **state)
{
	struct share *one = comes("a", 60, "a1"), *fresh;
	bool redelivered = false;

	assert_null(comes("a", 60, "a2"));
	fresh = comes_as("a", true, &redelivered, 10, "f1");
	assert_non_null(fresh);
	assert_null(comes_as("a", true, &redelivered, 60, "f2"));
	host_quota_leave(s, fresh, 10);
	host_quota_leave(s, one, 60);
	assert_next("f2");
	assert_next(NULL);
}

static void
a_lost_connection_ends_all_lines(void **state)
{
	struct share *one = comes("a", 60, "a1");

	assert_null(comes("a", 60, "a2"));
	assert_null(comes("a", 60, "a3"));
	host_quota_leave(s, one, 60);
	assert_next("a2");
	assert_string_equal(host_quota_drop(s), "a3");
	assert_null(host_quota_drop(s));
	host_quota_expect_none(s);
	assert_false(host_quota_busy(s));
	one = comes("a", 60, "a2");
	assert_non_null(one);
	host_quota_leave(s, one, 60);
}

static void
more_room_is_used_at_once(void **state)
{
	struct share *one = comes("a", 60, "a1");

	assert_null(comes("a", 60, "a2"));
	host_quota_set_max(s, 2 * MAX);
	assert_next("a2");
	host_quota_leave(s, one, 60);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_host_waits_for_itself_alone),
	    TEST(one_is_taken_however_large),
	    TEST(it_counts_what_was_made_of_it),
	    TEST(what_was_given_back_has_a_place),
	    TEST(only_the_first_time_tells_whether_it_came_back),
	    TEST(what_does_not_come_is_not_waited_for),
	    TEST(nothing_waits_for_long_and_the_order_stays),
	    TEST(what_somebody_waits_for_goes_first),
	    TEST(a_lost_connection_ends_all_lines),
	    TEST(more_room_is_used_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
