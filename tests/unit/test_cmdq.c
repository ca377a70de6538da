/* Nothing is acknowledged before the broker has the answer; nothing that is here is run twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/cmdq.h"
#include "agent/order.h"
#include "agent/outbox.h"
#include "agent/registry.h"
#include "shared/ident.h"
#include "shared/wall.h"
#include "shared/xalloc.h"
#include "tests/fake/fake_broker_api.h"
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
	struct order *order;
	struct cmdq *cmdq;
	struct registry registry;
	struct plugin plugins[4];
	struct child_request requests[2 * CMDQ_JOBS_MAX];
	size_t n_requests;
	int answered;
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
	struct cmdq_config config = {
	    .origin = {.host = "web01"},
	    .concurrency = 2,
	    .max_output = 1000000,
	    .request = request,
	    .on_answered = on_answered,
	    .arg = f,
	};
	char err[256];

	assert_non_null(f);
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
	f->order = order_open(f->path, wall_ms(), err, sizeof(err));
	assert_non_null(f->order);
	config.registry = &f->registry;
	config.order = f->order;
	config.broker = f->broker;
	config.outbox = f->outbox;
	f->cmdq = cmdq_create(&config);
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
	order_close(f->order);
	broker_destroy(f->broker);
	loop_destroy(f->loop);
	unlink(f->path);
	assert_int_equal(rmdir(f->dir), 0);
	free(f);
	return 0;
}

/* job NULL: a command of 2010. */
static struct broker_tag
deliver_until(struct fixture *f, const char *plugin, const char *job, int64_t not_after)
{
	struct command c = {.plugin = (char *)plugin,
	    .job = (char *)job,
	    .not_after = not_after,
	    .sent_at = wall_ms()};
	struct message m;

	wire_command_encode(&c, &m);
	return fake_broker_deliver(f->broker, "vogeler.broadcast.in", "web01", &m);
}

static struct broker_tag
deliver(struct fixture *f, const char *plugin, const char *job)
{
	return deliver_until(f, plugin, job, wall_ms() + 1000000);
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
test_expired_is_acked_and_not_run(void **state)
{
	struct fixture *f = *state;

	deliver_until(f, "facter", "j1", wall_ms() - 1000);
	assert_int_equal(f->n_requests, 0);
	assert_int_equal(fake_broker_published(f->broker), 0);
	assert_log(f, "ack 1; ");
	deliver_until(f, "facter", "j2", 0); /* never expires */
	assert_int_equal(f->n_requests, 1);
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
	for (int i = 0; i < OUTBOX_COUNT_MAX + 10; i++) {
		snprintf(job, sizeof(job), "j%d", i);
		deliver(f, "facter", job);
	}
	for (size_t i = 0; i < f->n_requests; i++)
		finish(f, i);
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

#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(acked_only_when_the_answer_is_confirmed),
	    T(alias_answers_under_the_name),
	    T(unknown_is_refused),
	    T(unknown_is_refused_while_others_run),
	    T(expired_is_acked_and_not_run),
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
	};

	return cmocka_run_group_tests_name("cmdq", tests, NULL, NULL);
}
