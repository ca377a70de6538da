/* SPDX-License-Identifier: Apache-2.0 */
/* Nothing is acknowledged before the broker has the answer; nothing that is here is run twice. */
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
acked_only_when_the_answer_is_confirmed(void **state)
{
	struct fixture *f = *state;

	deliver(f, "facter", "j1");
	assert_int_equal(f->n_requests, 1);
	assert_int_equal(f->requests[0].op, CHILD_OP_RUN);
	assert_string_equal(f->requests[0].plugin, "facter");
	assert_int_equal(cmdq_running(f->cmdq), 1);
	finish(f, 0);
	assert_int_equal(fake_broker_published(f->broker), 1);
	assert_log(f, "");
	assert_int_equal(f->answered, 0);
	confirm(f, 0);
	assert_log(f, "ack 1; ");
	assert_int_equal(f->answered, 1);
	assert_int_equal(cmdq_running(f->cmdq), 0);
	assert_string_equal(
	    answer(f, 0)->body, "{\"syskey\":\"web01\",\"facter\":\"out\",\"format\":\"yaml\"}");
	assert_string_equal(answer(f, 0)->correlation_id, "j1");
}

static void
alias_answers_under_the_name(void **state)
{
	struct fixture *f = *state;

	deliver(f, "get_facts", "j1");
	assert_string_equal(f->requests[0].plugin, "facter");
	finish(f, 0);
	assert_non_null(strstr(answer(f, 0)->body, "\"facter\":"));
	assert_string_equal(message_str(answer(f, 0), "plugin"), "facter");
}

/* It may not wait for its turn: thousands of such would have to be kept. */
static void
a_name_of_no_plugin_is_refused_at_once(void **state)
{
	struct fixture *f = *state;
	char name[4001];

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	set_splay(f, 60000);
	catch_up(f, 3);
	deliver(f, name, "j1");
	deliver(f, "unknown", "j2");
	assert_int_equal(fake_broker_published(f->broker), 1);
	assert_string_equal(message_str(answer(f, 0), "state"), "refused");
	assert_string_equal(answer(f, 0)->correlation_id, "j1");
	assert_int_equal(cmdq_waiting(f->cmdq), 1);
	assert_int_equal(cmdq_stats(f->cmdq)->results[CMDQ_REFUSED], 1);
}

/* The order of lines is that of the newest of each, also after that one was cancelled. */
static void
the_turn_is_that_of_the_newest_that_waits(void **state)
{
	struct fixture *f = *state;

	f->config.concurrency = 1;
	set_splay(f, 0);
	deliver(f, "ohai", "j1");
	deliver(f, "facter", "j2");
	deliver(f, "disks", "j3");
	deliver(f, "facter", "j4");
	cancel(f, "j4");
	finish(f, 0);
	assert_string_equal(f->requests[1].plugin, "facter");
	finish(f, 1);
	assert_string_equal(f->requests[2].plugin, "disks");
}

static void
unknown_is_refused(void **state)
{
	struct fixture *f = *state;

	deliver(f, "rm -rf /", "j1");
	assert_int_equal(f->n_requests, 0);
	assert_int_equal(fake_broker_published(f->broker), 1);
	assert_string_equal(message_str(answer(f, 0), "state"), "refused");
	assert_non_null(strstr(
	    answer(f, 0)->body, "Plugin rm -rf / is not authorized for this host. Ignoring"));
	assert_non_null(strstr(answer(f, 0)->body, "disks, facter, ohai, ps"));
	assert_log(f, "");
	confirm(f, 0);
	assert_log(f, "ack 1; ");
}

/* The answer to a refusal does not wait behind what runs. */
static void
unknown_is_refused_while_others_run(void **state)
{
	struct fixture *f = *state;

	deliver(f, "facter", "j1");
	deliver(f, "ps", "j2");
	deliver(f, "nonsense", "j3");
	assert_int_equal(fake_broker_published(f->broker), 1);
}

static void
expired_is_answered_and_not_run(void **state)
{
	struct fixture *f = *state;

	deliver_until(f, "facter", "j1", wallclock_ms() - 1000);
	assert_int_equal(f->n_requests, 0);
	assert_answer(f, 0, "j1", "expired", "expired 1 s ago, not run");
	assert_log(f, "");
	confirm(f, 0);
	assert_log(f, "ack 1; ");
	deliver_until(f, "nonsense", "j2", wallclock_ms() - 1000); /* what is no plugin, too */
	assert_answer(f, 1, "j2", "expired", "expired 1 s ago, not run");
	deliver_until(f, "facter", NULL, wallclock_ms() - 1000); /* nobody to be told */
	assert_int_equal(fake_broker_published(f->broker), 2);
	assert_int_equal(f->n_requests, 0);
	deliver_until(f, "facter", "j3", 0); /* never expires */
	assert_int_equal(f->n_requests, 1);
	assert_int_equal(cmdq_stats(f->cmdq)->results[CMDQ_EXPIRED], 3);
}

/* It came while we were there, so it was sent just now: a clock is wrong. */
static void
expired_by_a_wrong_clock_names_both(void **state)
{
	struct fixture *f = *state;
	int64_t then = wallclock_ms() - INT64_C(400) * 86400000;
	char sent[WALLCLOCK_TEXT_SIZE];

	wallclock_format(then / 1000 * 1000, sent);
	deliver_command(f, (struct command){.plugin = (char *)"facter",
			       .job = (char *)"j1",
			       .sent_at = then,
			       .not_after = then + 3600000});
	assert_answer(f, 0, "j1", "expired", "expired 399 d 23 h ago, not run: the clock of this");
	assert_answer(f, 0, "j1", "expired", sent);
	assert_answer(f, 0, "j1", "expired", "400 d earlier");
}

static void
rubbish_is_dropped(void **state)
{
	struct fixture *f = *state;
	const char *bodies[] = {"", "not json", "{\"a\":1}", "\"\"", "[\"facter\"]"};
	struct message m;

	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		message_init(&m);
		message_set_body(&m, xstrdup(bodies[i]), strlen(bodies[i]));
		fake_broker_deliver(f->broker, "e", "k", &m);
	}
	message_init(&m);
	message_set_body(&m, xstrdup("\"facter\""), 8);
	fake_broker_deliver_oversize(f->broker, "e", "k", &m, 1000000);
	assert_log(f, "ack 1; ack 2; ack 3; ack 4; ack 5; ack 6; ");
	assert_int_equal(f->n_requests, 0);
	assert_int_equal(fake_broker_published(f->broker), 0);
	deliver(f, "facter", "j1"); /* what is behind is not held up */
	assert_int_equal(f->n_requests, 1);
}

static void
a_few_at_a_time_in_order(void **state)
{
	struct fixture *f = *state;

	deliver(f, "facter", "j1");
	deliver(f, "ohai", "j2");
	deliver(f, "ps", "j3");
	deliver(f, "disks", "j4");
	assert_int_equal(f->n_requests, 2);
	assert_int_equal(cmdq_waiting(f->cmdq), 2);
	finish(f, 1);
	assert_int_equal(f->n_requests, 3);
	assert_string_equal(f->requests[2].plugin, "ps");
	finish(f, 0);
	assert_int_equal(f->n_requests, 4);
	assert_int_equal(cmdq_waiting(f->cmdq), 0);
}

/* One plugin never runs twice at once, and does not hold up the others. */
static void
the_same_plugin_waits_for_itself(void **state)
{
	struct fixture *f = *state;

	deliver(f, "facter", "j1");
	deliver(f, "get_facts", "j2");
	deliver(f, "ps", "j3");
	assert_int_equal(f->n_requests, 2);
	assert_string_equal(f->requests[1].plugin, "ps");
	finish(f, 0);
	assert_int_equal(f->n_requests, 3);
	assert_string_equal(f->requests[2].plugin, "facter");
}

static void
orders_rise(void **state)
{
	struct fixture *f = *state;
	int64_t first = 0, second = 0;

	deliver(f, "facter", "j1");
	deliver(f, "ps", "j2");
	finish(f, 1);
	finish(f, 0);
	assert_true(message_int(answer(f, 0), "order", &first));
	assert_true(message_int(answer(f, 1), "order", &second));
	assert_true(first < second);
}

static void
redelivered_while_running_is_not_run_again(void **state)
{
	struct fixture *f = *state;

	deliver(f, "facter", "j1");
	fake_broker_down(f->broker);
	fake_broker_up(f->broker);
	deliver(f, "facter", "j1");
	assert_int_equal(f->n_requests, 1);
	finish(f, 0);
	fake_broker_log_clear(f->broker);
	confirm(f, 0);
	assert_log(f, "ack 1; "); /* of the new connection, only */
	assert_int_equal(f->n_requests, 1);
}

static void
redelivered_while_its_answer_waits_is_not_run_again(void **state)
{
	struct fixture *f = *state;

	deliver(f, "facter", "j1");
	finish(f, 0);
	fake_broker_down(f->broker); /* the answer is lost */
	fake_broker_up(f->broker);   /* and sent again */
	deliver(f, "facter", "j1");
	assert_int_equal(f->n_requests, 1);
	assert_int_equal(fake_broker_published(f->broker), 2);
	fake_broker_log_clear(f->broker);
	confirm(f, 1);
	assert_log(f, "ack 1; ");
	assert_string_equal(answer(f, 0)->message_id, answer(f, 1)->message_id);
}

/* Only the ack was lost. */
static void
redelivered_after_its_answer_is_only_acked(void **state)
{
	struct fixture *f = *state;

	deliver(f, "facter", "j1");
	finish(f, 0);
	confirm(f, 0);
	fake_broker_down(f->broker);
	fake_broker_up(f->broker);
	fake_broker_log_clear(f->broker);
	deliver(f, "facter", "j1");
	assert_log(f, "ack 1; ");
	assert_int_equal(f->n_requests, 1);
	deliver(f, "facter", "j2"); /* another job is another matter */
	deliver(f, "ps", "j1");
	assert_int_equal(f->n_requests, 3);
}

static void
sent_twice_is_run_once_and_both_acked(void **state)
{
	struct fixture *f = *state;

	deliver(f, "facter", "j1");
	deliver(f, "facter", "j1");
	finish(f, 0);
	confirm(f, 0);
	assert_log(f, "ack 1; ack 2; ");
	assert_int_equal(f->n_requests, 1);
}

/* A message of 2010 has no id: two are two. */
static void
commands_of_2010_are_each_run(void **state)
{
	struct fixture *f = *state;

	deliver(f, "facter", NULL);
	deliver(f, "facter", NULL);
	assert_int_equal(f->n_requests, 1);
	finish(f, 0);
	assert_int_equal(f->n_requests, 2);
	finish(f, 1);
	assert_string_not_equal(answer(f, 0)->message_id, answer(f, 1)->message_id);
	confirm(f, 0);
	confirm(f, 1);
	assert_log(f, "ack 1; ack 2; ");
}

static void
unconfirmed_answers_stop_new_runs(void **state)
{
	struct fixture *f = *state;
	char job[32];

	fake_broker_block(f->broker, true);
	for (size_t i = 0; i < OUTBOX_COUNT_MAX + 10; i++) {
		snprintf(job, sizeof(job), "j%u", (unsigned int)i);
		deliver(f, "facter", job);
		if (i < f->n_requests)
			finish(f, i);
	}
	assert_int_equal(f->n_requests, OUTBOX_COUNT_MAX);
	assert_int_equal(outbox_count(f->outbox), OUTBOX_COUNT_MAX);
	assert_int_equal(cmdq_waiting(f->cmdq), 10);
	assert_log(f, "");
	fake_broker_block(f->broker, false);
	outbox_on_writable(f->outbox);
	confirm(f, 0);
	assert_int_equal(f->n_requests, OUTBOX_COUNT_MAX + 1);
}

static void
too_many_stay_with_the_broker(void **state)
{
	struct fixture *f = *state;
	char job[32];

	for (int i = 0; i < CMDQ_JOBS_MAX + 5; i++) {
		snprintf(job, sizeof(job), "j%d", i);
		deliver(f, "facter", job);
	}
	assert_int_equal(cmdq_waiting(f->cmdq) + cmdq_running(f->cmdq), CMDQ_JOBS_MAX);
	assert_log(f, "");
}

/* A failure is an answer; being stopped by us is none. */
static void
failed_is_answered_stopped_is_not(void **state)
{
	struct fixture *f = *state;

	deliver(f, "facter", "j1");
	deliver(f, "ps", "j2");
	finish_as(f, 0, CHILD_TIMEOUT, "");
	assert_string_equal(message_str(answer(f, 0), "state"), "timeout");
	cmdq_drain(f->cmdq);
	cmdq_stop_running(f->cmdq);
	assert_int_equal(f->n_requests, 3);
	assert_int_equal(f->requests[2].op, CHILD_OP_KILL);
	assert_int_equal(f->requests[2].id, f->requests[1].id);
	finish_as(f, 1, CHILD_STOPPED, "");
	assert_int_equal(fake_broker_published(f->broker), 1);
	assert_log(f, "");
	assert_int_equal(cmdq_running(f->cmdq), 0);
}

static void
draining_takes_and_starts_nothing(void **state)
{
	struct fixture *f = *state;

	deliver(f, "facter", "j1");
	deliver(f, "get_facts", "j2");
	cmdq_drain(f->cmdq);
	deliver(f, "ps", "j3");
	finish(f, 0);
	confirm(f, 0);
	assert_int_equal(f->n_requests, 1);
	assert_log(f, "ack 1; ");
}

/* The plugin went away by a reload while its command waited. */
static void
gone_by_reload_is_refused(void **state)
{
	struct fixture *f = *state;

	deliver(f, "facter", "j1");
	deliver(f, "facter", "j2");
	f->registry.set.n = 1;
	finish(f, 0);
	assert_int_equal(f->n_requests, 1);
	assert_int_equal(fake_broker_published(f->broker), 2);
	assert_string_equal(message_str(answer(f, 1), "state"), "refused");
}

static void
output_too_large_to_send_is_a_failure(void **state)
{
	struct fixture *f = *state;
	struct child_event ev = {.kind = CHILD_OUTPUT, .length = CHILDMSG_DATA};

	f->plugins[1].max_output = 16U << 20;
	deliver(f, "facter", "j1");
	ev.id = f->requests[0].id;
	for (int i = 0; i < 400; i++) /* 3.1 MiB of NUL are 18.75 MiB of \u0000 */
		cmdq_on_child(f->cmdq, &ev);
	ev = (struct child_event){
	    .kind = CHILD_DONE, .id = ev.id, .outcome = CHILD_EXITED, .success = 1};
	cmdq_on_child(f->cmdq, &ev);
	assert_string_equal(message_str(answer(f, 0), "state"), "failed");
	assert_non_null(strstr(answer(f, 0)->body, "too large"));
}

/* What is being made runs still, for who would start it again, cancel it or wait for the end. */
static void
runs_until_its_answer_is_made(void **state)
{
	struct fixture *f = *state;

	f->maker.makes = true;
	deliver(f, "facter", "j1");
	deliver(f, "facter", "j2");
	finish(f, 0);
	assert_int_equal(fake_broker_published(f->broker), 0);
	assert_int_equal(cmdq_running(f->cmdq), 1);
	assert_true(cmdq_runs(f->cmdq, "facter"));
	assert_int_equal(f->n_requests, 1);
	cancel(f, "j1");
	cmdq_stop_running(f->cmdq); /* there is nothing to be ended any more */
	made(f);
	assert_answer(f, 0, "j1", "ok", "\"facter\":\"out\"");
	assert_int_equal(cmdq_stats(f->cmdq)->results[CMDQ_OK], 1);
	assert_string_equal(f->requests[f->n_requests - 1].plugin, "facter"); /* j2 runs */
	assert_int_equal(f->requests[f->n_requests - 1].op, CHILD_OP_RUN);
	confirm(f, 0);
	assert_log(f, "ack 1; ack 3; ");
}

static void
made_and_too_large_to_send_is_a_failure(void **state)
{
	struct fixture *f = *state;
	struct child_event ev = {.kind = CHILD_OUTPUT, .length = CHILDMSG_DATA};

	f->maker.makes = true;
	f->plugins[1].max_output = 7U << 20;
	deliver(f, "facter", "j1");
	ev.id = f->requests[0].id;
	for (int i = 0; i < 400; i++) /* 3.1 MiB of NUL are 18.75 MiB of \u0000 */
		cmdq_on_child(f->cmdq, &ev);
	ev = (struct child_event){
	    .kind = CHILD_DONE, .id = ev.id, .outcome = CHILD_EXITED, .success = 1};
	cmdq_on_child(f->cmdq, &ev);
	made(f);
	assert_answer(f, 0, "j1", "failed", "too large");
}

/* A failure is small. */
static void
failures_are_made_at_once(void **state)
{
	struct fixture *f = *state;

	f->maker.makes = true;
	deliver(f, "facter", "j1");
	finish_as(f, 0, CHILD_TIMEOUT, "out");
	assert_answer(f, 0, "j1", "timeout", "its timeout");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(acked_only_when_the_answer_is_confirmed),
	    TEST(alias_answers_under_the_name),
	    TEST(unknown_is_refused),
	    TEST(a_name_of_no_plugin_is_refused_at_once),
	    TEST(the_turn_is_that_of_the_newest_that_waits),
	    TEST(unknown_is_refused_while_others_run),
	    TEST(expired_is_answered_and_not_run),
	    TEST(expired_by_a_wrong_clock_names_both),
	    TEST(rubbish_is_dropped),
	    TEST(a_few_at_a_time_in_order),
	    TEST(the_same_plugin_waits_for_itself),
	    TEST(orders_rise),
	    TEST(redelivered_while_running_is_not_run_again),
	    TEST(redelivered_while_its_answer_waits_is_not_run_again),
	    TEST(redelivered_after_its_answer_is_only_acked),
	    TEST(sent_twice_is_run_once_and_both_acked),
	    TEST(commands_of_2010_are_each_run),
	    TEST(unconfirmed_answers_stop_new_runs),
	    TEST(too_many_stay_with_the_broker),
	    TEST(failed_is_answered_stopped_is_not),
	    TEST(draining_takes_and_starts_nothing),
	    TEST(gone_by_reload_is_refused),
	    TEST(output_too_large_to_send_is_a_failure),
	    TEST(runs_until_its_answer_is_made),
	    TEST(made_and_too_large_to_send_is_a_failure),
	    TEST(failures_are_made_at_once),
	};

	return cmocka_run_group_tests_name("cmdq_run", tests, NULL, NULL);
}
