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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct fixture {
	char dir[64], path[96];
	struct loop *loop;
	struct broker *broker;
	struct outbox *outbox;
	struct encode_worker maker;
	struct sequence *order;
	struct cmdq *cmdq;
	struct cmdq_config config;
	struct registry registry;
	struct plugin plugins[4];
	struct child_request requests[2 * CMDQ_JOBS_MAX];
	size_t n_requests;
	int answered;
	bool redelivered; /* what comes */
};

static void
request(const struct child_request *req, void *arg)
{
	struct fixture *f = arg;

	f->requests[f->n_requests++] = *req;
}

static void
on_answered(void *arg)
{
	struct fixture *f = arg;

	f->answered++;
}

static void
on_ready(struct broker *b, void *arg)
{
	struct fixture *f = arg;

	outbox_on_ready(f->outbox);
}

static void
on_confirm(struct broker *b, uint64_t id, enum broker_outcome outcome, const char *why, void *arg)
{
	struct fixture *f = arg;

	assert_true(outbox_on_confirm(f->outbox, id, outcome, why));
}

static void
on_delivery(struct broker *b, struct delivery *d, void *arg)
{
	struct fixture *f = arg;

	d->redelivered = f->redelivered;
	cmdq_take(f->cmdq, d);
}

static void
on_confirmed(uint64_t id, void *arg)
{
	struct fixture *f = arg;

	cmdq_on_confirmed(f->cmdq, id);
}

static const struct broker_handlers handlers = {
    .on_ready = on_ready,
    .on_confirm = on_confirm,
    .on_delivery = on_delivery,
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct broker_options opt;
	char err[256];

	assert_non_null(f);
	f->config = (struct cmdq_config){
	    .origin = {.host = "web01"},
	    .concurrency = 2,
	    .max_output = 1000000,
	    .request = request,
	    .on_answered = on_answered,
	    .arg = f,
	};
	ident_init();
	strcpy(f->dir, "/tmp/vogeler-cmdq-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/order", f->dir);
	/* Sorted by name, as plugin_find() may want it. */
	f->plugins[0] = (struct plugin){.name = (char *)"disks", .format = WIRE_JSON};
	f->plugins[1] = (struct plugin){
	    .name = (char *)"facter", .alias = (char *)"get_facts", .format = WIRE_YAML};
	f->plugins[2] = (struct plugin){.name = (char *)"ohai", .format = WIRE_JSON};
	f->plugins[3] = (struct plugin){.name = (char *)"ps", .format = WIRE_OUTPUT};
	f->registry.set = (struct plugin_set){f->plugins, 4};
	f->loop = loop_create();
	broker_options_default(&opt);
	opt.role = "agent";
	opt.program = "test";
	f->broker = broker_create(f->loop, &opt, &handlers, f);
	f->outbox = outbox_create(f->loop, f->broker, "vogeler.master.in", on_confirmed, f);
	f->order = sequence_open(f->path, wallclock_ms(), err, sizeof(err));
	assert_non_null(f->order);
	f->config.loop = f->loop;
	f->config.registry = &f->registry;
	f->config.order = f->order;
	f->config.broker = f->broker;
	f->config.outbox = f->outbox;
	f->config.maker = &f->maker;
	f->cmdq = cmdq_create(&f->config);
	broker_start(f->broker);
	fake_broker_up(f->broker);
	fake_broker_log_clear(f->broker);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	cmdq_destroy(f->cmdq);
	outbox_destroy(f->outbox);
	sequence_close(f->order);
	broker_destroy(f->broker);
	loop_destroy(f->loop);
	unlink(f->path);
	assert_int_equal(rmdir(f->dir), 0);
	free(f);
	return 0;
}

static struct broker_tag
deliver_command(struct fixture *f, struct command c)
{
	struct message m;

	wire_command_encode(&c, &m);
	return fake_broker_deliver(f->broker, "vogeler.broadcast.in", "web01", &m);
}

/* job NULL: a command of 2010. */
static struct broker_tag
deliver_until(struct fixture *f, const char *plugin, const char *job, int64_t not_after)
{
	return deliver_command(f, (struct command){.plugin = (char *)plugin,
				      .job = (char *)job,
				      .not_after = not_after,
				      .sent_at = wallclock_ms()});
}

/* Sent a day ago. */
static void
deliver_old(struct fixture *f, const char *plugin, const char *job)
{
	deliver_command(f, (struct command){.plugin = (char *)plugin,
			       .job = (char *)job,
			       .sent_at = wallclock_ms() - 86400000});
}

static void
cancel(struct fixture *f, const char *job)
{
	deliver_command(
	    f, (struct command){
		   .job = (char *)"c", .cancels = (char *)job, .sent_at = wallclock_ms()});
}

static void
set_splay(struct fixture *f, uint32_t ms)
{
	cmdq_destroy(f->cmdq);
	f->config.catch_up_splay_ms = ms;
	f->cmdq = cmdq_create(&f->config);
}

/* Consuming begins: so many messages wait. */
static void
catch_up(struct fixture *f, uint32_t messages)
{
	cmdq_catch_up(f->cmdq, messages, 1000);
	cmdq_on_consuming(f->cmdq);
}

static void
reconnect(struct fixture *f, uint32_t messages)
{
	fake_broker_down(f->broker);
	fake_broker_up(f->broker);
	fake_broker_log_clear(f->broker);
	catch_up(f, messages);
}

static struct broker_tag
deliver(struct fixture *f, const char *plugin, const char *job)
{
	return deliver_until(f, plugin, job, wallclock_ms() + 1000000);
}

static void
finish_as(struct fixture *f, size_t i, enum child_outcome outcome, const char *text)
{
	struct child_event ev = {.kind = CHILD_STARTED, .id = f->requests[i].id};

	cmdq_on_child(f->cmdq, &ev);
	ev.kind = CHILD_OUTPUT;
	ev.length = (uint32_t)strlen(text);
	memcpy(ev.data, text, ev.length);
	if (ev.length > 0)
		cmdq_on_child(f->cmdq, &ev);
	ev = (struct child_event){.kind = CHILD_DONE, .id = f->requests[i].id};
	ev.outcome = outcome;
	ev.success = outcome == CHILD_EXITED;
	cmdq_on_child(f->cmdq, &ev);
}

static void
finish(struct fixture *f, size_t i)
{
	finish_as(f, i, CHILD_EXITED, "out");
}

static void
made(struct fixture *f)
{
	struct encode_worker *mk = &f->maker;

	report_value(&mk->made.r, &mk->out);
	buf_finish(&mk->out);
	mk->made.sendable = report_try_encode(&mk->made.r, &mk->made.m);
	cmdq_on_made(f->cmdq, &mk->made);
	response_finish(&mk->made.r);
	message_finish(&mk->made.m);
	*mk = (struct encode_worker){0};
}

static void
confirm(struct fixture *f, size_t i)
{
	fake_broker_confirm(
	    f->broker, fake_broker_publish_at(f->broker, i)->id, BROKER_CONFIRMED, NULL);
}

static const struct message *
answer(struct fixture *f, size_t i)
{
	return &fake_broker_publish_at(f->broker, i)->message;
}

static void
assert_log(struct fixture *f, const char *text)
{
	assert_string_equal(fake_broker_log(f->broker), text);
}

static void
test_acked_only_when_the_answer_is_confirmed(void **state)
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
test_alias_answers_under_the_name(void **state)
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
test_a_name_of_no_plugin_is_refused_at_once(void **state)
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
test_the_turn_is_that_of_the_newest_that_waits(void **state)
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
test_unknown_is_refused(void **state)
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
test_unknown_is_refused_while_others_run(void **state)
{
	struct fixture *f = *state;

	deliver(f, "facter", "j1");
	deliver(f, "ps", "j2");
	deliver(f, "nonsense", "j3");
	assert_int_equal(fake_broker_published(f->broker), 1);
}

static void
assert_answer(struct fixture *f, size_t i, const char *job, const char *state, const char *text)
{
	assert_string_equal(answer(f, i)->correlation_id, job);
	assert_string_equal(message_str(answer(f, i), "state"), state);
	assert_non_null(strstr(answer(f, i)->body, text));
}

static void
test_expired_is_answered_and_not_run(void **state)
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
test_expired_by_a_wrong_clock_names_both(void **state)
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
test_rubbish_is_dropped(void **state)
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
test_a_few_at_a_time_in_order(void **state)
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
test_the_same_plugin_waits_for_itself(void **state)
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
test_orders_rise(void **state)
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
test_redelivered_while_running_is_not_run_again(void **state)
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
test_redelivered_while_its_answer_waits_is_not_run_again(void **state)
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
test_redelivered_after_its_answer_is_only_acked(void **state)
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
test_sent_twice_is_run_once_and_both_acked(void **state)
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
test_commands_of_2010_are_each_run(void **state)
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
test_unconfirmed_answers_stop_new_runs(void **state)
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
test_too_many_stay_with_the_broker(void **state)
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
test_failed_is_answered_stopped_is_not(void **state)
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
test_draining_takes_and_starts_nothing(void **state)
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
test_gone_by_reload_is_refused(void **state)
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
test_output_too_large_to_send_is_a_failure(void **state)
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

static const char *
key(struct fixture *f, size_t i)
{
	return fake_broker_publish_at(f->broker, i)->routing_key;
}

/* What is being made runs still, for who would start it again, cancel it or wait for the end. */
static void
test_runs_until_its_answer_is_made(void **state)
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
test_made_and_too_large_to_send_is_a_failure(void **state)
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
test_failures_are_made_at_once(void **state)
{
	struct fixture *f = *state;

	f->maker.makes = true;
	deliver(f, "facter", "j1");
	finish_as(f, 0, CHILD_TIMEOUT, "out");
	assert_answer(f, 0, "j1", "timeout", "its timeout");
}

/* Collapsing. */

static void
test_the_newest_of_those_that_wait_runs(void **state)
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
test_commands_of_2010_collapse_without_an_answer(void **state)
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
test_collapsed_commands_of_2010_are_known_again(void **state)
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
test_what_was_purged_leaves_the_new_one_its_ack(void **state)
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
test_the_newest_is_known_again_after_the_older(void **state)
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
test_collapsed_commands_of_2010_are_known_the_third_time(void **state)
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
test_superseded_by_one_without_an_id(void **state)
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
test_answers_without_a_run_leave_room(void **state)
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
test_a_thousand_lost_acks(void **state)
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
test_redelivered_while_settled_is_answered_once(void **state)
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
test_expired_while_it_waited(void **state)
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

/* Catching up. */

static void
test_what_waited_is_read_before_the_first_run(void **state)
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
test_the_broker_may_have_dropped_some(void **state)
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
test_catching_up_goes_on_after_a_lost_connection(void **state)
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
test_nothing_waits_nothing_is_held(void **state)
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
test_more_than_the_prefetch(void **state)
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
test_all_of_it_is_read_before_the_first_run(void **state)
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
test_cancel_behind_the_prefetch(void **state)
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
test_silence_begins_when_there_is_room(void **state)
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
test_commands_of_2010_make_room_at_once(void **state)
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
test_what_has_not_come_again_makes_no_room(void **state)
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
test_what_waited_runs_within_the_splay(void **state)
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
test_a_live_one_does_not_wait_for_the_splay(void **state)
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
test_the_splay_is_spread(void **state)
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
test_draining_ticks_no_more(void **state)
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
test_answers_go_where_they_are_waited_for(void **state)
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

/* Cancels. */

static void
test_cancelled_before_it_began(void **state)
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
test_cancelled_while_it_ran(void **state)
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
test_what_ended_before_it_was_ended_has_its_answer(void **state)
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
test_too_late_to_cancel(void **state)
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
test_cancelled_before_it_came(void **state)
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
test_late_cancel_cancels(void **state)
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
test_cancels_are_seen_before_repeats_collapse(void **state)
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
test_cancel_is_acked_with_the_answer(void **state)
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
test_cancelled_is_answered_when_the_agent_leaves(void **state)
{
	struct fixture *f = *state;

	deliver(f, "facter", "j1");
	cancel(f, "j1");
	cmdq_drain(f->cmdq);
	finish_as(f, 0, CHILD_STOPPED, "");
	assert_answer(f, 0, "j1", "cancelled", "while it ran");
}

#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(acked_only_when_the_answer_is_confirmed),
	    T(alias_answers_under_the_name),
	    T(unknown_is_refused),
	    T(a_name_of_no_plugin_is_refused_at_once),
	    T(the_turn_is_that_of_the_newest_that_waits),
	    T(unknown_is_refused_while_others_run),
	    T(expired_is_answered_and_not_run),
	    T(expired_by_a_wrong_clock_names_both),
	    T(rubbish_is_dropped),
	    T(a_few_at_a_time_in_order),
	    T(the_same_plugin_waits_for_itself),
	    T(orders_rise),
	    T(redelivered_while_running_is_not_run_again),
	    T(redelivered_while_its_answer_waits_is_not_run_again),
	    T(redelivered_after_its_answer_is_only_acked),
	    T(sent_twice_is_run_once_and_both_acked),
	    T(commands_of_2010_are_each_run),
	    T(unconfirmed_answers_stop_new_runs),
	    T(too_many_stay_with_the_broker),
	    T(failed_is_answered_stopped_is_not),
	    T(draining_takes_and_starts_nothing),
	    T(gone_by_reload_is_refused),
	    T(output_too_large_to_send_is_a_failure),
	    T(runs_until_its_answer_is_made),
	    T(made_and_too_large_to_send_is_a_failure),
	    T(failures_are_made_at_once),
	    T(the_newest_of_those_that_wait_runs),
	    T(commands_of_2010_collapse_without_an_answer),
	    T(collapsed_commands_of_2010_are_known_again),
	    T(what_was_purged_leaves_the_new_one_its_ack),
	    T(the_newest_is_known_again_after_the_older),
	    T(collapsed_commands_of_2010_are_known_the_third_time),
	    T(superseded_by_one_without_an_id),
	    T(answers_without_a_run_leave_room),
	    T(a_thousand_lost_acks),
	    T(redelivered_while_settled_is_answered_once),
	    T(expired_while_it_waited),
	    T(what_waited_is_read_before_the_first_run),
	    T(the_broker_may_have_dropped_some),
	    T(catching_up_goes_on_after_a_lost_connection),
	    T(nothing_waits_nothing_is_held),
	    T(more_than_the_prefetch),
	    T(all_of_it_is_read_before_the_first_run),
	    T(cancel_behind_the_prefetch),
	    T(silence_begins_when_there_is_room),
	    T(commands_of_2010_make_room_at_once),
	    T(what_has_not_come_again_makes_no_room),
	    T(what_waited_runs_within_the_splay),
	    T(a_live_one_does_not_wait_for_the_splay),
	    T(the_splay_is_spread),
	    T(draining_ticks_no_more),
	    T(answers_go_where_they_are_waited_for),
	    T(cancelled_before_it_began),
	    T(cancelled_while_it_ran),
	    T(what_ended_before_it_was_ended_has_its_answer),
	    T(too_late_to_cancel),
	    T(cancelled_before_it_came),
	    T(late_cancel_cancels),
	    T(cancels_are_seen_before_repeats_collapse),
	    T(cancel_is_acked_with_the_answer),
	    T(cancelled_is_answered_when_the_agent_leaves),
	};

	return cmocka_run_group_tests_name("cmdq", tests, NULL, NULL);
}
