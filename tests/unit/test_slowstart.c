/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/slowstart.h"

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct slowstart *s;
static struct mono now;
static uint32_t dice;    /* 0: the first of the suspects each time */
static char gone[65536]; /* owners that have gone, each with a space behind it */

static void
note(const char *owner)
{
	strncat(gone, owner, sizeof(gone) - strlen(gone) - 1);
	strncat(gone, " ", sizeof(gone) - strlen(gone) - 1);
}

static void
comes(const char *host, bool redelivered, const char *owner)
{
	if (!slowstart_add(s, host, redelivered, (void *)owner, now))
		note(owner);
}

/* What goes, and lots of suspects as "[n]" before it. */
static const char *
goes(int64_t later_ms)
{
	const char *owner;
	size_t lot;

	gone[0] = '\0';
	now = mono_add(now, later_ms);
	while ((owner = slowstart_next(s, now, dice, &lot)) != NULL) {
		char text[16];

		snprintf(text, sizeof(text), "[%zu]", lot);
		if (lot > 0)
			note(text);
		note(owner);
	}
	return gone;
}

static void
done(unsigned int n)
{
	while (n-- > 0)
		slowstart_done(s, now);
}

static int
begin(void **state)
{
	now = mono_add((struct mono){0}, 1000000);
	s = slowstart_create();
	gone[0] = '\0';
	dice = 0;
	return 0;
}

static int
end(void **state)
{
	slowstart_destroy(s);
	return 0;
}

static void
what_never_came_back_goes_at_once(void **state)
{
	for (int i = 0; i < SLOWSTART_CLEAN; i++) {
		comes("a", false, "x");
		assert_int_equal(slowstart_wait_ms(s, now), -1);
	}
	assert_int_equal(slowstart_waiting(s), 0);
	done(SLOWSTART_CLEAN - 1);
	assert_false(slowstart_is_over(s));
	done(1);
	assert_true(slowstart_is_over(s));
	comes("a", true, "late");
	assert_non_null(strstr(gone, "late"));
}

static void
what_came_back_goes_alone_then_two_then_four(void **state)
{
	static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h"};

	for (size_t i = 0; i < 8; i++)
		comes(names[i], true, names[i]);
	assert_string_equal(goes(0), "");
	assert_int_equal(slowstart_wait_ms(s, now), SLOWSTART_SETTLE_MS);
	assert_string_equal(goes(SLOWSTART_SETTLE_MS), "[1] a ");
	assert_string_equal(goes(1000), "");
	done(1);
	assert_string_equal(goes(0), ""); /* its ack must leave */
	assert_int_equal(slowstart_wait_ms(s, now), SLOWSTART_PAUSE_MS);
	assert_string_equal(goes(SLOWSTART_PAUSE_MS), "[2] h g ");
	done(1);
	assert_string_equal(goes(SLOWSTART_PAUSE_MS), "");
	done(1);
	assert_string_equal(goes(SLOWSTART_PAUSE_MS), "[4] f e d c ");
	done(4);
	assert_string_equal(goes(SLOWSTART_PAUSE_MS), "[1] b ");
	done(1);
	assert_int_equal(slowstart_wait_ms(s, now), -1);
	assert_false(slowstart_is_over(s)); /* 8 are few */
}

static void
any_of_them_may_be_the_first(void **state)
{
	dice = 5;
	comes("a", true, "a");
	comes("b", true, "b");
	assert_string_equal(goes(SLOWSTART_SETTLE_MS), "[1] b ");
}

/* A life that ends with the first suspect has stored something. */
static void
what_comes_for_the_first_time_goes_ahead_and_in_turns(void **state)
{
	comes("a", true, "a");
	comes("b", true, "b");
	comes("new", false, "n1");
	comes("new", false, "n2");
	assert_int_equal(slowstart_wait_ms(s, now), 0);
	assert_string_equal(goes(0), "n1 n2 ");
	done(2);
	assert_string_equal(goes(SLOWSTART_SETTLE_MS), "[1] a ");
	comes("new", false, "n3");
	comes("b", false, "b2");
	assert_string_equal(goes(SLOWSTART_PAUSE_MS), "");
	done(1);
	assert_string_equal(goes(SLOWSTART_PAUSE_MS), "n3 ");
	comes("new", false, "n4");
	done(1);
	assert_string_equal(goes(SLOWSTART_PAUSE_MS), "[2] b ");
	done(1);
	assert_string_equal(goes(SLOWSTART_PAUSE_MS), "n4 b2 ");
}

static void
nothing_overtakes_what_is_of_the_same_host(void **state)
{
	comes("z", false, "z"); /* in flight */
	gone[0] = '\0';
	comes("y", true, "y");
	comes("a", false, "a1");
	comes("a", true, "a2");
	comes("a", false, "a3");
	assert_string_equal(gone, "");
	assert_string_equal(goes(SLOWSTART_SETTLE_MS), "");
	done(1);
	dice = 1;
	assert_string_equal(goes(SLOWSTART_PAUSE_MS), "[1] a1 ");
	done(1);
	dice = 3;
	assert_string_equal(goes(SLOWSTART_PAUSE_MS), "[2] a2 y ");
	done(2);
	assert_string_equal(goes(SLOWSTART_PAUSE_MS), "a3 ");
}

/* It may be held for minutes: by conflicts, or since nobody knows its sender. */
static void
one_that_is_not_done_stops_the_others_for_a_while(void **state)
{
	comes("a", true, "a");
	comes("b", true, "b");
	comes("c", true, "c");
	assert_string_equal(goes(SLOWSTART_SETTLE_MS), "[1] a ");
	assert_int_equal(slowstart_wait_ms(s, now), SLOWSTART_LOT_MS);
	assert_string_equal(goes(SLOWSTART_LOT_MS), "[1] c ");
	done(2);
	assert_string_equal(goes(SLOWSTART_PAUSE_MS), "[1] b ");
}

static void
what_waits_can_be_dropped(void **state)
{
	unsigned int n = 0;

	comes("a", true, "a1");
	comes("a", false, "a2");
	comes("b", false, "b");
	comes("c", true, "c");
	assert_int_equal(slowstart_waiting(s), 4);
	while (slowstart_drop(s) != NULL)
		n++;
	assert_int_equal(n, 4);
	assert_int_equal(slowstart_wait_ms(s, now), -1);
	comes("a", true, "a1");
	slowstart_clear(s);
	assert_int_equal(slowstart_waiting(s), 0);
	comes("a", false, "at once");
	assert_string_equal(gone, "at once ");
}

#define N 200

static char names[N][8];
static bool stored[N];

/* One life of a process that `killer` kills: how many others have been stored in it. */
static unsigned int
live(size_t killer, uint32_t *seed)
{
	size_t lot, flying[N], n_flying = 0;
	unsigned int n = 0;

	begin(NULL);
	for (size_t i = 0; i < N; i++) {
		if (!stored[i])
			comes(names[i], true, names[i]);
	}
	for (;;) {
		const char *owner = slowstart_next(s, now, *seed >> 8, &lot);

		*seed = *seed * 1103515245 + 12345;
		if (owner == names[killer])
			break;
		if (owner != NULL) {
			flying[n_flying++] = strtoul(owner, NULL, 10);
			continue;
		}
		now = mono_add(now, slowstart_wait_ms(s, now));
		for (; n_flying > 0; n_flying--, n++) {
			stored[flying[n_flying - 1]] = true;
			done(1);
		}
	}
	end(NULL);
	return n;
}

/* All came back. */
static unsigned int
lives_until_only_the_killer_is_there(size_t killer, uint32_t seed)
{
	unsigned int left = N - 1, n;

	memset(stored, 0, sizeof(stored));
	for (size_t i = 0; i < N; i++)
		snprintf(names[i], sizeof(names[i]), "%zu", i);
	for (n = 0; left > 0; n++)
		left -= live(killer, &seed);
	return n;
}

/* Wherever it is in its queue; each life meets it again. */
static void
a_crash_loop_gets_on(void **state)
{
	static const size_t killers[] = {0, N / 2, N - 1};

	for (size_t i = 0; i < 3; i++) {
		for (uint32_t seed = 1; seed <= 20; seed++)
			assert_in_range(
			    lives_until_only_the_killer_is_there(killers[i], seed), 1, N / 4);
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(what_never_came_back_goes_at_once),
	    T(what_came_back_goes_alone_then_two_then_four),
	    T(any_of_them_may_be_the_first),
	    T(what_comes_for_the_first_time_goes_ahead_and_in_turns),
	    T(nothing_overtakes_what_is_of_the_same_host),
	    T(one_that_is_not_done_stops_the_others_for_a_while),
	    T(what_waits_can_be_dropped),
	    cmocka_unit_test(a_crash_loop_gets_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
