/* SPDX-License-Identifier: Apache-2.0 */
/* A cancel ends its command, whichever of the two comes first. */
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
cancelled_before_it_began(void **state)
{
	struct fixture *f = *state;

	deliver(f, "facter", "j1");
	deliver(f, "facter", "j2");
	cancel(f, "j2");
	assert_answer(f, 0, "j2", "cancelled", "\"message\":\"cancelled before it began\"");
	assert_string_equal(message_str(answer(f, 0), "plugin"), "facter");
	assert_log(f, "");
	confirm(f, 0);
	assert_log(f, "ack 2; ack 3; ");
	finish(f, 0);
	assert_int_equal(f->n_requests, 1);
	assert_int_equal(cmdq_stats(f->cmdq)->results[CMDQ_CANCELLED], 1);
}

static void
cancelled_while_it_ran(void **state)
{
	struct fixture *f = *state;

	deliver(f, "facter", "j1");
	cancel(f, "j1");
	assert_int_equal(f->n_requests, 2);
	assert_int_equal(f->requests[1].op, CHILD_OP_KILL);
	assert_int_equal(f->requests[1].id, f->requests[0].id);
	assert_int_equal(fake_broker_published(f->broker), 0);
	finish_as(f, 0, CHILD_STOPPED, "half of");
	assert_answer(f, 0, "j1", "cancelled", "\"message\":\"cancelled while it ran\"");
	assert_log(f, "");
	confirm(f, 0);
	assert_log(f, "ack 1; ack 2; ");
	assert_int_equal(cmdq_running(f->cmdq), 0);
}

static void
what_ended_before_it_was_ended_has_its_answer(void **state)
{
	struct fixture *f = *state;

	deliver(f, "facter", "j1");
	cancel(f, "j1");
	finish(f, 0);
	assert_answer(f, 0, "j1", "ok", "out");
	confirm(f, 0);
	assert_log(f, "ack 1; ack 2; ");
}

static void
too_late_to_cancel(void **state)
{
	struct fixture *f = *state;

	deliver(f, "facter", "j1");
	finish(f, 0);
	cancel(f, "j1");
	assert_log(f, "ack 2; ");
	confirm(f, 0);
	cancel(f, "j1");
	assert_log(f, "ack 2; ack 1; ack 3; ");
	assert_int_equal(fake_broker_published(f->broker), 1);
	assert_answer(f, 0, "j1", "ok", "out");
}

/* Given back by an ended connection, it may come behind its cancel. */
static void
cancelled_before_it_came(void **state)
{
	struct fixture *f = *state;

	cancel(f, "j1");
	assert_log(f, "ack 1; ");
	deliver(f, "facter", "j1");
	assert_int_equal(f->n_requests, 0);
	assert_answer(f, 0, "j1", "cancelled", "cancelled before it began");
	deliver(f, "facter", "j2");
	assert_int_equal(f->n_requests, 1);
}

static void
late_cancel_cancels(void **state)
{
	struct fixture *f = *state;

	deliver(f, "facter", "j1");
	deliver_command(
	    f, (struct command){
		   .job = (char *)"c", .cancels = (char *)"j1", .not_after = wallclock_ms() - 1});
	assert_log(f, "");
	assert_int_equal(f->n_requests, 2);
	assert_int_equal(f->requests[1].op, CHILD_OP_KILL);
}

/* The one that was cancelled supersedes nobody. */
static void
cancels_are_seen_before_repeats_collapse(void **state)
{
	struct fixture *f = *state;

	catch_up(f, 3);
	deliver_old(f, "facter", "j1");
	deliver_old(f, "facter", "j2");
	cancel(f, "j2");
	assert_int_equal(f->n_requests, 1);
	finish(f, 0);
	assert_int_equal(fake_broker_published(f->broker), 2);
	assert_answer(f, 0, "j2", "cancelled", "before");
	assert_string_equal(key(f, 0), "fresh"); /* who cancels waits for that */
	assert_answer(f, 1, "j1", "ok", "out");
}

/* Neither is lost without the other: after a crash both come again. */
static void
cancel_is_acked_with_the_answer(void **state)
{
	struct fixture *f = *state;

	deliver(f, "facter", "j1");
	cancel(f, "j1");
	finish_as(f, 0, CHILD_STOPPED, "");
	reconnect(f, 2);
	deliver(f, "facter", "j1");
	cancel(f, "j1");
	assert_int_equal(f->n_requests, 2);
	assert_log(f, "");
	confirm(f, 1);
	assert_log(f, "ack 1; ack 2; ");
	assert_string_equal(answer(f, 0)->message_id, answer(f, 1)->message_id);
}

static void
cancelled_is_answered_when_the_agent_leaves(void **state)
{
	struct fixture *f = *state;

	deliver(f, "facter", "j1");
	cancel(f, "j1");
	cmdq_drain(f->cmdq);
	finish_as(f, 0, CHILD_STOPPED, "");
	assert_answer(f, 0, "j1", "cancelled", "while it ran");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(cancelled_before_it_began),
	    TEST(cancelled_while_it_ran),
	    TEST(what_ended_before_it_was_ended_has_its_answer),
	    TEST(too_late_to_cancel),
	    TEST(cancelled_before_it_came),
	    TEST(late_cancel_cancels),
	    TEST(cancels_are_seen_before_repeats_collapse),
	    TEST(cancel_is_acked_with_the_answer),
	    TEST(cancelled_is_answered_when_the_agent_leaves),
	};

	return cmocka_run_group_tests_name("cmdq_cancel", tests, NULL, NULL);
}
