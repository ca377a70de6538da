/* SPDX-License-Identifier: Apache-2.0 */
/* rollcall: when a host comes and goes, and what is stored of it. */
#include "daemon/contact_tracker.h"

#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/store/contacts.h"
#include "tests/fake/fake_loop.h"
#include "tests/fake/fake_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETURN_MS 60000

struct fixture {
	struct loop *loop;
	struct fake_store *store;
	struct contact_tracker *contact_tracker;
};

static int
setup(void **state)
{
	struct fixture *w = xcalloc(1, sizeof(*w));

	w->loop = loop_create();
	w->store = fake_store_create(w->loop, 1, 0);
	w->contact_tracker = contact_tracker_create(w->loop, fake_store_base(w->store), RETURN_MS);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *w = *state;

	contact_tracker_destroy(w->contact_tracker);
	fake_store_destroy(w->store);
	loop_destroy(w->loop);
	free(w);
	return 0;
}

/* A round: of each host that is named whether its queue is read: "web01 +web02". */
static void
call(struct fixture *w, const char *hosts, bool whole, bool looked)
{
	char *names = xstrdup(hosts), *rest = names, *name;

	while ((name = strsep(&rest, " ")) != NULL)
		if (name[0] != '\0')
			contact_tracker_saw(
			    w->contact_tracker, name + (name[0] == '+'), name[0] == '+');
	free(names);
	contact_tracker_round_over(w->contact_tracker, whole, looked);
	for (int i = 0; i < 4; i++)
		fake_advance(w->loop, 0);
}

/* What a reader would find in the store. */
static const char *
stored(struct fixture *w, const char *host)
{
	struct contacts *c = contacts_create();
	enum contact_state state;

	contacts_load(c, fake_store_notes(w->store));
	state = contacts_get(c, host).state;
	contacts_destroy(c);
	return contact_state_name(state);
}

static void
they_come_and_go(void **state)
{
	struct fixture *w = *state;
	struct contact_tracker_status s;

	call(w, "+web01 web02", true, true);
	assert_string_equal(stored(w, "web01"), "online");
	assert_string_equal(stored(w, "web02"), "unknown");
	assert_string_equal(stored(w, "web03"), "unknown");
	assert_true(contact_tracker_is_online(w->contact_tracker, "web01"));
	assert_false(contact_tracker_is_online(w->contact_tracker, "web02"));
	call(w, "web01 +web02", true, true);
	assert_string_equal(stored(w, "web01"), "online");
	assert_string_equal(stored(w, "web02"), "online");
	call(w, "web01 +web02", true, true);
	assert_string_equal(stored(w, "web01"), "offline");
	contact_tracker_status(w->contact_tracker, &s);
	assert_int_equal(s.online, 1);
	assert_int_equal(s.offline, 1);
	assert_int_equal(s.never, 0);
	assert_true(s.looked_wall_ms > 0);
	call(w, "+web01 +web02", true, true);
	assert_string_equal(stored(w, "web01"), "online");
}

/* Its agent may be on its way, or not have begun to read: what is new is not called "never". */
static void
who_was_never_seen_is_told_when_that_is_known(void **state)
{
	struct fixture *w = *state;
	struct contact_tracker_status s;

	for (int i = 0; i < 3; i++)
		call(w, "web01", true, true);
	assert_string_equal(stored(w, "web01"), "unknown");
	fake_advance(w->loop, RETURN_MS);
	call(w, "web01 web02", true, true);
	assert_string_equal(stored(w, "web01"), "never");
	assert_string_equal(stored(w, "web02"), "unknown"); /* one look may come too early */
	call(w, "web01 +web02 web03", true, true);
	call(w, "web01 +web02 web03", true, true);
	assert_string_equal(stored(w, "web02"), "online");
	assert_string_equal(stored(w, "web03"), "never");
	contact_tracker_status(w->contact_tracker, &s);
	assert_int_equal(s.online, 1);
	assert_int_equal(s.never, 2);
}

static void
what_stays_is_not_stored_again(void **state)
{
	struct fixture *w = *state;
	size_t puts;

	call(w, "+web01 web02", true, true);
	puts = fake_store_note_puts(w->store);
	for (int i = 0; i < 5; i++)
		call(w, "+web01 web02", true, true);
	assert_int_equal(fake_store_note_puts(w->store), puts);
}

/* Its agent was restarted, say. */
static void
who_is_missed_once_does_not_go(void **state)
{
	struct fixture *w = *state;

	for (int i = 0; i < 3; i++) {
		call(w, "+web01", true, true);
		call(w, "web01", true, true);
		assert_string_equal(stored(w, "web01"), "online");
	}
}

/* Many rounds in little time, as reloads make them; web01 takes its time, web02 does not come. */
static void
come_back_late(struct fixture *w)
{
	for (int i = 0; i < 5; i++)
		call(w, "web01 web02", true, true);
	fake_advance(w->loop, RETURN_MS - 1);
	call(w, "web01 web02", true, true);
	assert_string_equal(stored(w, "web01"), "online");
	assert_string_equal(stored(w, "web02"), "online");
	call(w, "+web01 web02", true, true);
	fake_advance(w->loop, 1);
	call(w, "+web01 web02", true, true);
	assert_string_equal(stored(w, "web01"), "online");
	assert_string_equal(stored(w, "web02"), "offline");
	/* Those that were back have left when two rounds say so. */
	call(w, "+web01 +web02", true, true);
}

/* After a broker was away, or this collector, all agents are on their way back. */
static void
nobody_goes_when_the_broker_was_away(void **state)
{
	struct fixture *w = *state;

	call(w, "+web01 +web02", true, true);
	contact_tracker_broker_down(w->contact_tracker);
	come_back_late(w);
	call(w, "+web01", true, false); /* it failed before web02 had its turn */
	come_back_late(w);
	call(w, "web01 +web02", true, true); /* it was closing connections */
	call(w, "web01 web02", true, false);
	come_back_late(w);
	/* One of several brokers has gone, and the round went on with another. */
	contact_tracker_saw(w->contact_tracker, "web01", 1);
	contact_tracker_broker_down(w->contact_tracker);
	call(w, "web02", true, true);
	come_back_late(w);
	contact_tracker_destroy(w->contact_tracker);
	w->contact_tracker = contact_tracker_create(w->loop, fake_store_base(w->store), RETURN_MS);
	come_back_late(w);
}

/* That others are on their way back does not keep it: it was back. */
static void
who_was_back_goes_as_ever(void **state)
{
	struct fixture *w = *state;

	call(w, "+web01 +web02", true, true);
	contact_tracker_broker_down(w->contact_tracker);
	call(w, "+web01 web02", true, true);
	call(w, "web01 web02", true, true);
	call(w, "web01 web02", true, true);
	assert_string_equal(stored(w, "web01"), "offline");
	assert_string_equal(stored(w, "web02"), "online");
}

/* The look at which it was there the last time, however many were in between. */
static void
since_does_not_move_while_it_is_waited_for(void **state)
{
	struct fixture *w = *state;
	struct contacts *c = contacts_create();
	int64_t looked_at;

	call(w, "+web01 web02", true, true);
	contacts_load(c, fake_store_notes(w->store));
	looked_at = contacts_looked_at(c);
	contact_tracker_broker_down(w->contact_tracker);
	call(w, "web01 +web02", true, true);
	while (wallclock_ms() == looked_at)
		continue;
	call(w, "web01 +web02", true, true);
	fake_advance(w->loop, RETURN_MS);
	call(w, "web01 +web02", true, true);
	contacts_load(c, fake_store_notes(w->store));
	assert_string_equal(stored(w, "web01"), "offline");
	assert_int_equal(contacts_get(c, "web01").since_ms, looked_at);
	assert_true(contacts_looked_at(c) > looked_at);
	contacts_destroy(c);
}

/* It was in contact until the look before the two that missed it, and not until now. */
static void
offline_since_it_was_last_seen(void **state)
{
	struct fixture *w = *state;
	struct contacts *c = contacts_create();
	int64_t looked_at, since;

	call(w, "+web01", true, true);
	contacts_load(c, fake_store_notes(w->store));
	looked_at = contacts_looked_at(c);
	call(w, "web01", true, true);
	call(w, "web01", true, true);
	contacts_load(c, fake_store_notes(w->store));
	since = contacts_get(c, "web01").since_ms;
	assert_true(since != 0);
	assert_int_equal(since, looked_at);
	contacts_destroy(c);
}

static void
some_alone_are_not_all(void **state)
{
	struct fixture *w = *state;

	call(w, "+web01 +web02", true, true);
	call(w, "+web03", false, true);
	assert_string_equal(stored(w, "web02"), "online");
	assert_string_equal(stored(w, "web03"), "online");
	call(w, "+web01 +web03", true, true); /* web02 was forgotten */
	assert_string_equal(stored(w, "web02"), "unknown");
}

static void
a_store_that_fails(void **state)
{
	struct fixture *w = *state;

	fake_store_notes_are(w->store, false);
	call(w, "+web01 +web02", true, true); /* it cannot even be read */
	fake_store_notes_are(w->store, true);
	call(w, "+web01 +web02", true, true);
	assert_string_equal(stored(w, "web01"), "online");
	fake_store_notes_are(w->store, false);
	call(w, "web01 +web02", true, true);
	call(w, "web01 +web02", true, true);
	assert_string_equal(stored(w, "web01"), "online");
	fake_store_notes_are(w->store, true);
	call(w, "web01 +web02", true, true);
	assert_string_equal(stored(w, "web01"), "offline");
}

static void
on_end(void *arg)
{
	++*(int *)arg;
}

static void
it_says_that_it_ends(void **state)
{
	struct fixture *w = *state;
	int ended = 0;
	struct contacts *c = contacts_create();

	call(w, "+web01", true, true);
	contacts_load(c, fake_store_notes(w->store));
	assert_string_equal(
	    contact_state_name(contacts_now(c, "web01", 0, contacts_looked_at(c)).state), "online");
	contact_tracker_saw(w->contact_tracker, "web02", 1);
	contact_tracker_round_over(
	    w->contact_tracker, false, true); /* which is being stored still */
	contact_tracker_end(w->contact_tracker, on_end, &ended);
	assert_int_equal(ended, 0);
	for (int i = 0; i < 4; i++)
		fake_advance(w->loop, 0);
	assert_int_equal(ended, 1);
	contacts_load(c, fake_store_notes(w->store));
	assert_string_equal(
	    contact_state_name(contacts_now(c, "web01", 0, contacts_looked_at(c)).state),
	    "unknown");
	contacts_destroy(c);
	fake_advance(w->loop, CONTACT_TRACKER_END_MS);
	assert_int_equal(ended, 1);
}

/* A store that is away holds nobody up for long, and before the first look there is nothing to say.
 */
static void
it_ends_all_the_same(void **state)
{
	struct fixture *w = *state;
	int ended = 0;

	contact_tracker_end(w->contact_tracker, on_end, &ended);
	assert_int_equal(ended, 0);
	fake_advance(w->loop, 0);
	assert_int_equal(ended, 1);
	call(w, "+web01", true, true);
	fake_store_notes_are(w->store, false);
	contact_tracker_end(w->contact_tracker, on_end, &ended);
	fake_advance(w->loop, CONTACT_TRACKER_END_MS);
	assert_int_equal(ended, 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(they_come_and_go, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		who_was_never_seen_is_told_when_that_is_known, setup, teardown),
	    cmocka_unit_test_setup_teardown(what_stays_is_not_stored_again, setup, teardown),
	    cmocka_unit_test_setup_teardown(who_is_missed_once_does_not_go, setup, teardown),
	    cmocka_unit_test_setup_teardown(nobody_goes_when_the_broker_was_away, setup, teardown),
	    cmocka_unit_test_setup_teardown(who_was_back_goes_as_ever, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		since_does_not_move_while_it_is_waited_for, setup, teardown),
	    cmocka_unit_test_setup_teardown(offline_since_it_was_last_seen, setup, teardown),
	    cmocka_unit_test_setup_teardown(some_alone_are_not_all, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_store_that_fails, setup, teardown),
	    cmocka_unit_test_setup_teardown(it_says_that_it_ends, setup, teardown),
	    cmocka_unit_test_setup_teardown(it_ends_all_the_same, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
