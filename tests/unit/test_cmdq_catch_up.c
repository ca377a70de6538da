/* SPDX-License-Identifier: Apache-2.0 */
/* What waits in the queue is read before the first of it runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/cmdq.h"
#include "agent/outbox.h"
#include "agent/registry.h"
#include "agent/sequence.h"
#include "shared/base/ident.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "tests/fake/fake_broker_api.h"
#include "tests/fake/fake_encode_worker.h"
#include "tests/fake/fake_loop.h"
#include "tests/unit/cmdq_drive.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void
what_waited_is_read_before_the_first_run(void **state)
{
	struct fixture *f = *state;

	catch_up(f, 4);
	deliver_old(f, "facter", "j1");
	deliver_old(f, "get_facts", "j2");
	deliver_until(f, "disks", "j3", wallclock_ms() - 1);
	assert_int_equal(f->n_requests, 0);
	assert_answer(f, 0, "j3", "expired", "not run");
	deliver_old(f, "ps", "j4");
	assert_int_equal(f->n_requests, 2);
	assert_string_equal(f->requests[0].plugin, "facter");
	assert_string_equal(f->requests[1].plugin, "ps");
	assert_int_equal(fake_broker_published(f->broker), 2);
	assert_answer(f, 1, "j1", "superseded", "superseded by j2");
	assert_int_equal(fake_next_timer(f->loop), -1);
}

static void
the_broker_may_have_dropped_some(void **state)
{
	struct fixture *f = *state;

	cmdq_catch_up(f->cmdq, 3, 1000);
	assert_int_equal(fake_next_timer(f->loop), -1); /* how long it takes to begin is no sign */
	cmdq_on_consuming(f->cmdq);
	fake_advance(f->loop, CMDQ_SILENCE_MS - 1);
	deliver_old(f, "facter", "j1");
	fake_advance(f->loop, CMDQ_SILENCE_MS - 1);
	assert_int_equal(f->n_requests, 0);
	fake_advance(f->loop, 1);
	assert_int_equal(f->n_requests, 1);
	assert_int_equal(fake_next_timer(f->loop), -1);
	deliver_old(f, "ps", "j2"); /* a live one now, however old */
	assert_int_equal(f->n_requests, 2);
	finish(f, 1);
	assert_string_equal(key(f, 0), "fresh");
}

/* What was not read yet may be a cancel. */
static void
catching_up_goes_on_after_a_lost_connection(void **state)
{
	struct fixture *f = *state;

	catch_up(f, 2);
	deliver_old(f, "facter", "j1");
	fake_broker_down(f->broker);
	fake_advance(f->loop, 10 * CMDQ_SILENCE_MS);
	assert_int_equal(f->n_requests, 0);
	assert_int_equal(fake_next_timer(f->loop), -1);
	fake_broker_up(f->broker);
	catch_up(f, 2);
	deliver_old(f, "facter", "j1");
	cancel(f, "j1");
	assert_int_equal(f->n_requests, 0);
	assert_answer(f, 0, "j1", "cancelled", "cancelled before it began");
}

static void
nothing_waits_nothing_is_held(void **state)
{
	struct fixture *f = *state;

	catch_up(f, 2);
	deliver(f, "facter", "j1");
	assert_int_equal(f->n_requests, 0);
	reconnect(f, 0); /* somebody has purged the queue */
	assert_int_equal(f->n_requests, 1);
	assert_int_equal(fake_next_timer(f->loop), -1);
}

static void
more_than_the_prefetch(void **state)
{
	struct fixture *f = *state;

	set_splay(f, 10000);
	cmdq_catch_up(f->cmdq, 3, 2);
	deliver_old(f, "facter", "j1");
	deliver_old(f, "ps", "j2");
	deliver_old(f, "disks", "j3"); /* waited as well */
	deliver(f, "ohai", "j4");
	assert_int_equal(f->n_requests, 1);
	assert_string_equal(f->requests[0].plugin, "ohai");
	fake_advance(f->loop, 10000);
	finish(f, 0);
	finish(f, 1);
	finish(f, 2);
	finish(f, 3);
	assert_int_equal(cmdq_running(f->cmdq) + cmdq_waiting(f->cmdq), 0);
	assert_string_equal(key(f, 0), "fresh");
	assert_string_equal(key(f, 1), "");
	assert_string_equal(key(f, 3), "");
}

static void
all_of_it_is_read_before_the_first_run(void **state)
{
	struct fixture *f = *state;

	cmdq_catch_up(f->cmdq, 7, 4);
	cmdq_on_consuming(f->cmdq);
	deliver_old(f, "facter", "j1");
	deliver_old(f, "ps", "j2");
	deliver_old(f, "facter", "j3");
	assert_int_equal(fake_broker_published(f->broker), 0);
	deliver_old(f, "facter", "j4");
	/* Three are to come, and half of the four may be answered. */
	assert_int_equal(fake_broker_published(f->broker), 2);
	assert_answer(f, 0, "j1", "superseded", "superseded by j4");
	assert_answer(f, 1, "j3", "superseded", "superseded by j4");
	confirm(f, 0);
	deliver_old(f, "facter", "j5");
	assert_int_equal(fake_broker_published(f->broker), 3);
	assert_answer(f, 2, "j4", "superseded", "superseded by j5");
	confirm(f, 1);
	confirm(f, 2);
	assert_log(f, "ack 1; ack 3; ack 4; ");
	deliver_old(f, "ps", "j6");
	assert_int_equal(f->n_requests, 0);
	deliver_old(f, "facter", "j7");
	assert_int_equal(f->n_requests, 2);
	assert_string_equal(f->requests[0].plugin, "ps");
	assert_string_equal(f->requests[1].plugin, "facter");
	assert_answer(f, 3, "j2", "superseded", "superseded by j6");
	assert_answer(f, 4, "j5", "superseded", "superseded by j7");
	finish(f, 0);
	finish(f, 1);
	assert_answer(f, 5, "j6", "ok", "out");
	assert_answer(f, 6, "j7", "ok", "out");
}

/* It cancels the newest; of those that were left one runs. */
static void
cancel_behind_the_prefetch(void **state)
{
	struct fixture *f = *state;

	cmdq_catch_up(f->cmdq, 5, 4);
	cmdq_on_consuming(f->cmdq);
	deliver_old(f, "facter", "j1");
	deliver_old(f, "facter", "j2");
	deliver_old(f, "facter", "j3");
	deliver_old(f, "facter", "j4");
	assert_answer(f, 0, "j1", "superseded", "superseded by j4");
	confirm(f, 0);
	assert_int_equal(f->n_requests, 0);
	cancel(f, "j4");
	assert_int_equal(f->n_requests, 1);
	finish(f, 0);
	assert_int_equal(fake_broker_published(f->broker), 4);
	assert_answer(f, 1, "j4", "cancelled", "cancelled before it began");
	assert_answer(f, 2, "j2", "superseded", "superseded by j3");
	assert_answer(f, 3, "j3", "ok", "out");
}

/* The broker owes nothing as long as it has no room: that is no silence. */
static void
silence_begins_when_there_is_room(void **state)
{
	struct fixture *f = *state;

	cmdq_catch_up(f->cmdq, 3, 2);
	cmdq_on_consuming(f->cmdq);
	deliver_old(f, "facter", "j1");
	deliver_old(f, "facter", "j2");
	for (int i = 0; i < 10; i++)
		fake_advance(f->loop, CMDQ_SILENCE_MS);
	assert_int_equal(f->n_requests, 0);
	fake_advance(f->loop, CMDQ_SILENCE_MS - 1);
	confirm(f, 0);
	fake_advance(f->loop, CMDQ_SILENCE_MS - 1);
	assert_int_equal(f->n_requests, 0);
	fake_advance(f->loop, 1);
	assert_int_equal(f->n_requests, 1);
	assert_int_equal(fake_next_timer(f->loop), -1);
}

static void
commands_of_2010_make_room_at_once(void **state)
{
	struct fixture *f = *state;

	cmdq_catch_up(f->cmdq, 6, 4);
	cmdq_on_consuming(f->cmdq);
	for (int i = 0; i < 4; i++)
		deliver_old(f, "facter", NULL);
	assert_log(f, "ack 1; ack 2; ");
	deliver_old(f, "facter", NULL);
	assert_int_equal(f->n_requests, 0);
	deliver_old(f, "facter", NULL);
	assert_int_equal(f->n_requests, 1);
	finish(f, 0);
	confirm(f, 0);
	assert_int_equal(cmdq_running(f->cmdq) + cmdq_waiting(f->cmdq), 0);
}

/* The second connection has brought two of four: acks of the others make no room. */
static void
what_has_not_come_again_makes_no_room(void **state)
{
	static const char *const plugins[] = {"facter", "disks", "ps", "ps"};
	struct fixture *f = *state;

	catch_up(f, 5);
	for (int i = 0; i < 4; i++)
		deliver(f, plugins[i], NULL);
	reconnect(f, 4);
	cmdq_catch_up(f->cmdq, 4, 2);
	f->redelivered = true;
	for (int i = 0; i < 4; i++)
		deliver(f, plugins[i], NULL);
	assert_int_equal(cmdq_stats(f->cmdq)->results[CMDQ_REPEATED], 4);
	assert_int_equal(cmdq_stats(f->cmdq)->results[CMDQ_SUPERSEDED], 0);
	assert_log(f, "");
}

static void
what_waited_runs_within_the_splay(void **state)
{
	struct fixture *f = *state;
	int64_t in;

	set_splay(f, 1000000000);
	catch_up(f, 2);
	deliver_old(f, "facter", "j1");
	deliver_old(f, "facter", "j2");
	assert_int_equal(f->n_requests, 0); /* but once in a billion */
	in = fake_timer_in(f->loop, "cmdq");
	assert_in_range(in, 1, 1000000000);
	deliver(f, "ps", "j3"); /* who is here now does not wait */
	assert_int_equal(f->n_requests, 1);
	assert_int_equal(fake_timer_in(f->loop, "cmdq"), in);
	fake_advance(f->loop, in - 1);
	assert_int_equal(f->n_requests, 1);
	fake_advance(f->loop, 1);
	assert_int_equal(f->n_requests, 2);
	assert_int_equal(fake_next_timer(f->loop), -1);
	assert_answer(f, 0, "j1", "superseded", "superseded by j2");
}

static void
a_live_one_does_not_wait_for_the_splay(void **state)
{
	struct fixture *f = *state;

	set_splay(f, 1000000000);
	catch_up(f, 1);
	deliver_old(f, "facter", "j1");
	deliver(f, "facter", "j2");
	assert_int_equal(f->n_requests, 1);
	assert_answer(f, 0, "j1", "superseded", "superseded by j2");
	assert_int_equal(fake_next_timer(f->loop), -1);
}

/* The spread is that of a uniform choice: each tenth of the splay is chosen by some. */
static void
the_splay_is_spread(void **state)
{
	struct fixture *f = *state;
	int tenths[10] = {0};

	for (int i = 0; i < 500; i++) {
		int64_t in;

		set_splay(f, 9999);
		catch_up(f, 3);
		for (int n = 0; n < 3; n++) /* three for one plugin have one moment */
			deliver_old(f, "facter", NULL);
		in = fake_timer_in(f->loop, "cmdq");
		tenths[in > 0 ? in / 1000 : 0]++;
	}
	for (int i = 0; i < 10; i++)
		assert_in_range(tenths[i], 10, 100); /* 50 +- 7: nearly six sigma */
}

static void
draining_ticks_no_more(void **state)
{
	struct fixture *f = *state;

	set_splay(f, 1000000000);
	catch_up(f, 1);
	deliver_old(f, "facter", "j1");
	cmdq_drain(f->cmdq);
	assert_int_equal(fake_next_timer(f->loop), -1);
	catch_up(f, 1);
	assert_int_equal(fake_next_timer(f->loop), -1);
}

static void
answers_go_where_they_are_waited_for(void **state)
{
	struct fixture *f = *state;

	catch_up(f, 2);
	deliver_old(f, "facter", "j1");
	deliver(f, "ps", "j2");
	deliver_old(f, "disks", "j3");
	finish(f, 0);
	finish(f, 1);
	finish(f, 2);
	assert_string_equal(key(f, 0), "");      /* old, and had waited */
	assert_string_equal(key(f, 1), "fresh"); /* had waited for a moment */
	assert_string_equal(key(f, 2), "fresh"); /* came live */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(what_waited_is_read_before_the_first_run),
	    TEST(the_broker_may_have_dropped_some),
	    TEST(catching_up_goes_on_after_a_lost_connection),
	    TEST(nothing_waits_nothing_is_held),
	    TEST(more_than_the_prefetch),
	    TEST(all_of_it_is_read_before_the_first_run),
	    TEST(cancel_behind_the_prefetch),
	    TEST(silence_begins_when_there_is_room),
	    TEST(commands_of_2010_make_room_at_once),
	    TEST(what_has_not_come_again_makes_no_room),
	    TEST(what_waited_runs_within_the_splay),
	    TEST(a_live_one_does_not_wait_for_the_splay),
	    TEST(the_splay_is_spread),
	    TEST(draining_ticks_no_more),
	    TEST(answers_go_where_they_are_waited_for),
	};

	return cmocka_run_group_tests_name("cmdq_catch_up", tests, NULL, NULL);
}
