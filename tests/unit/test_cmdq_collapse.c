/* SPDX-License-Identifier: Apache-2.0 */
/* Of the commands that wait for one plugin the newest runs, and each of the others is answered. */
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
the_newest_of_those_that_wait_runs(void **state)
{
	struct fixture *f = *state;

	deliver(f, "facter", "j1");
	deliver(f, "facter", "j2");
	deliver(f, "get_facts", "j3");
	deliver(f, "facter", "j4");
	finish(f, 0);
	assert_int_equal(f->n_requests, 2);
	assert_int_equal(fake_broker_published(f->broker), 3);
	assert_answer(f, 0, "j1", "ok", "\"facter\":\"out\"");
	assert_answer(f, 1, "j2", "superseded", "\"message\":\"superseded by j4\"");
	assert_answer(f, 2, "j3", "superseded", "\"message\":\"superseded by j4\"");
	assert_string_equal(message_str(answer(f, 2), "plugin"), "facter");
	assert_log(f, "");
	confirm(f, 2);
	assert_log(f, "ack 3; ");
	finish(f, 1);
	assert_answer(f, 3, "j4", "ok", "out");
	assert_int_equal(cmdq_waiting(f->cmdq), 0);
	assert_int_equal(cmdq_stats(f->cmdq)->results[CMDQ_SUPERSEDED], 2);
}

/* Nobody knows them by an id: one run answers for all, and with it they are acked. */
static void
commands_of_2010_collapse_without_an_answer(void **state)
{
	struct fixture *f = *state;

	deliver(f, "facter", NULL);
	deliver(f, "facter", NULL);
	deliver(f, "facter", NULL);
	deliver(f, "facter", "j4");
	finish(f, 0);
	assert_int_equal(fake_broker_published(f->broker), 1);
	assert_int_equal(f->n_requests, 2);
	finish(f, 1);
	assert_int_equal(fake_broker_published(f->broker), 2);
	assert_log(f, "");
	confirm(f, 1);
	assert_log(f, "ack 4; ack 2; ack 3; ");
	assert_int_equal(cmdq_waiting(f->cmdq), 0);
}

static void
collapsed_commands_of_2010_are_known_again(void **state)
{
	struct fixture *f = *state;

	catch_up(f, 3);
	deliver(f, "facter", NULL);
	deliver(f, "facter", NULL);
	deliver(f, "facter", NULL);
	assert_int_equal(f->n_requests, 1);
	fake_broker_down(f->broker);
	fake_broker_up(f->broker);
	catch_up(f, 4);
	f->redelivered = true;
	for (int i = 0; i < 3; i++)
		deliver(f, "facter", NULL);
	deliver(f, "ps", NULL);
	assert_int_equal(f->n_requests, 2);
	assert_string_equal(f->requests[1].plugin, "ps");
	assert_int_equal(cmdq_waiting(f->cmdq), 0);
}

/* The queue was deleted, or purged, while the connection was down: what waited here never comes
 * again, and does not take the place of what is new. */
static void
what_was_purged_leaves_the_new_one_its_ack(void **state)
{
	struct fixture *f = *state;

	deliver(f, "facter", NULL);
	deliver(f, "facter", NULL);
	reconnect(f, 0);
	deliver(f, "facter", NULL);
	finish(f, 0);
	assert_int_equal(f->n_requests, 2);
	finish(f, 1);
	confirm(f, 0);
	confirm(f, 1);
	assert_log(f, "ack 1 stale; ack 1; ");
	assert_int_equal(cmdq_running(f->cmdq) + cmdq_waiting(f->cmdq), 0);
}

/* The newest begins when the older one has come again and itself has not. */
static void
the_newest_is_known_again_after_the_older(void **state)
{
	struct fixture *f = *state;

	deliver(f, "facter", NULL);
	deliver(f, "facter", NULL);
	deliver(f, "facter", NULL);
	reconnect(f, 0);
	f->redelivered = true;
	deliver(f, "facter", NULL);
	deliver(f, "facter", NULL);
	finish(f, 0);
	assert_int_equal(f->n_requests, 2);
	deliver(f, "facter", NULL);
	assert_int_equal(cmdq_waiting(f->cmdq), 0);
	finish(f, 1);
	confirm(f, 0);
	confirm(f, 1);
	assert_log(f, "ack 1; ack 2; ack 3; ");
	assert_int_equal(f->n_requests, 2);
}

/* The second connection ends when one of three has come again. */
static void
collapsed_commands_of_2010_are_known_the_third_time(void **state)
{
	struct fixture *f = *state;

	catch_up(f, 3);
	for (int i = 0; i < 3; i++)
		deliver(f, "facter", NULL);
	f->redelivered = true;
	reconnect(f, 3);
	deliver(f, "facter", NULL);
	reconnect(f, 3);
	for (int i = 0; i < 3; i++)
		deliver(f, "facter", NULL);
	assert_int_equal(cmdq_waiting(f->cmdq), 0);
	finish(f, 0);
	confirm(f, 0);
	assert_log(f, "ack 1; ack 2; ack 3; ");
	assert_int_equal(f->n_requests, 1);
}

static void
superseded_by_one_without_an_id(void **state)
{
	struct fixture *f = *state;

	deliver(f, "facter", "j1");
	deliver(f, "facter", "j2");
	deliver(f, "facter", NULL);
	finish(f, 0);
	assert_answer(f, 1, "j2", "superseded", "superseded by a later command");
}

/* A thousand of them do not push aside what runs. */
static void
answers_without_a_run_leave_room(void **state)
{
	struct fixture *f = *state;
	char job[32];

	fake_broker_block(f->broker, true);
	for (int i = 0; i < 1000; i++) {
		snprintf(job, sizeof(job), "j%d", i);
		deliver(f, "facter", job);
	}
	finish(f, 0);
	assert_int_equal(f->n_requests, 2);
	assert_int_equal(outbox_count(f->outbox), OUTBOX_COUNT_MAX / 2 + 1);
	deliver(f, "ps", "now");
	assert_int_equal(f->n_requests, 3);
	fake_broker_auto_confirm(f->broker, true);
	fake_broker_block(f->broker, false);
	outbox_on_writable(f->outbox);
	for (int i = 0; i < 200; i++)
		fake_advance(f->loop, 0);
	assert_int_equal(cmdq_waiting(f->cmdq), 0);
	assert_int_equal(fake_broker_published(f->broker), 999);
}

/* All that the broker delivers at once, answered, and not one ack arrives. */
static void
a_thousand_lost_acks(void **state)
{
	struct fixture *f = *state;
	char job[32];

	fake_broker_auto_confirm(f->broker, true);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 1000; i++) {
			snprintf(job, sizeof(job), "j%d", i);
			deliver(f, "facter", job);
		}
		if (round == 0)
			finish(f, 0);
		if (round == 0)
			finish(f, 1);
		for (int i = 0; i < 200; i++)
			fake_advance(f->loop, 0);
		if (round == 0)
			reconnect(f, 1000);
	}
	assert_int_equal(f->n_requests, 2);
	assert_int_equal(fake_broker_published(f->broker), 1000);
	assert_int_equal(cmdq_waiting(f->cmdq), 0);
}

/* Their answers have no room yet; nevertheless each has one. */
static void
redelivered_while_settled_is_answered_once(void **state)
{
	struct fixture *f = *state;
	char job[32];

	fake_broker_block(f->broker, true);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 100; i++) {
			snprintf(job, sizeof(job), "j%d", i);
			deliver(f, "facter", job);
		}
		if (round == 0)
			finish(f, 0);
		if (round == 0)
			reconnect(f, 100);
	}
	assert_int_equal(cmdq_waiting(f->cmdq), 98 - OUTBOX_COUNT_MAX / 2);
	fake_broker_block(f->broker, false);
	fake_broker_auto_confirm(f->broker, true);
	outbox_on_writable(f->outbox);
	for (int i = 0; i < 200; i++)
		fake_advance(f->loop, 0);
	assert_int_equal(fake_broker_published(f->broker), 99);
	assert_int_equal(f->n_requests, 2);
}

static void
expired_while_it_waited(void **state)
{
	struct fixture *f = *state;
	int64_t soon = wallclock_ms() + 20;

	deliver(f, "facter", "j1");
	deliver_until(f, "facter", "j2", soon + 1000000);
	deliver_until(f, "facter", "j3", soon);
	while (wallclock_ms() <= soon)
		;
	finish(f, 0);
	assert_answer(f, 1, "j3", "expired", "not run");
	assert_int_equal(f->n_requests, 2);
	finish(f, 1);
	assert_answer(f, 2, "j2", "ok", "out");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(the_newest_of_those_that_wait_runs),
	    TEST(commands_of_2010_collapse_without_an_answer),
	    TEST(collapsed_commands_of_2010_are_known_again),
	    TEST(what_was_purged_leaves_the_new_one_its_ack),
	    TEST(the_newest_is_known_again_after_the_older),
	    TEST(collapsed_commands_of_2010_are_known_the_third_time),
	    TEST(superseded_by_one_without_an_id),
	    TEST(answers_without_a_run_leave_room),
	    TEST(a_thousand_lost_acks),
	    TEST(redelivered_while_settled_is_answered_once),
	    TEST(expired_while_it_waited),
	};

	return cmocka_run_group_tests_name("cmdq_collapse", tests, NULL, NULL);
}
