/* SPDX-License-Identifier: Apache-2.0 */
/* See cmdq_drive.h. */
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
#include "shared/base/trouble.h"
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

int
cmdq_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct broker_options opt;
	struct trouble trouble;

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
	f->registry.set = (struct plugin_set){.plugins = f->plugins, .n = 4};
	f->loop = loop_create();
	broker_options_default(&opt);
	opt.role = "agent";
	opt.program = "test";
	f->broker = broker_create(f->loop, &opt, &handlers, f);
	f->outbox = outbox_create(f->loop, f->broker, "vogeler.master.in", on_confirmed, f);
	f->order = sequence_open(f->path, wallclock_ms(), &trouble);
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

int
cmdq_teardown(void **state)
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

struct broker_tag
deliver_command(struct fixture *f, struct command c)
{
	struct message m;

	wire_command_encode(&c, &m);
	return fake_broker_deliver(f->broker, "vogeler.broadcast.in", "web01", &m);
}

struct broker_tag
deliver_until(struct fixture *f, const char *plugin, const char *job, int64_t not_after)
{
	return deliver_command(f, (struct command){.plugin = (char *)plugin,
				      .job = (char *)job,
				      .not_after = not_after,
				      .sent_at = wallclock_ms()});
}

void
deliver_old(struct fixture *f, const char *plugin, const char *job)
{
	deliver_command(f, (struct command){.plugin = (char *)plugin,
			       .job = (char *)job,
			       .sent_at = wallclock_ms() - 86400000});
}

void
cancel(struct fixture *f, const char *job)
{
	deliver_command(
	    f, (struct command){
		   .job = (char *)"c", .cancels = (char *)job, .sent_at = wallclock_ms()});
}

void
set_splay(struct fixture *f, uint32_t ms)
{
	cmdq_destroy(f->cmdq);
	f->config.catch_up_splay_ms = ms;
	f->cmdq = cmdq_create(&f->config);
}

void
catch_up(struct fixture *f, uint32_t messages)
{
	cmdq_catch_up(f->cmdq, messages, 1000);
	cmdq_on_consuming(f->cmdq);
}

void
reconnect(struct fixture *f, uint32_t messages)
{
	fake_broker_down(f->broker);
	fake_broker_up(f->broker);
	fake_broker_log_clear(f->broker);
	catch_up(f, messages);
}

struct broker_tag
deliver(struct fixture *f, const char *plugin, const char *job)
{
	return deliver_until(f, plugin, job, wallclock_ms() + 1000000);
}

void
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

void
finish(struct fixture *f, size_t i)
{
	finish_as(f, i, CHILD_EXITED, "out");
}

void
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

void
confirm(struct fixture *f, size_t i)
{
	fake_broker_confirm(
	    f->broker, fake_broker_publish_at(f->broker, i)->id, BROKER_CONFIRMED, NULL);
}

const struct message *
answer(struct fixture *f, size_t i)
{
	return &fake_broker_publish_at(f->broker, i)->message;
}

void
assert_log(struct fixture *f, const char *text)
{
	assert_string_equal(fake_broker_log(f->broker), text);
}

void
assert_answer(struct fixture *f, size_t i, const char *job, const char *state, const char *text)
{
	assert_string_equal(answer(f, i)->correlation_id, job);
	assert_string_equal(message_str(answer(f, i), "state"), state);
	assert_non_null(strstr(answer(f, i)->body, text));
}

const char *
key(struct fixture *f, size_t i)
{
	return fake_broker_publish_at(f->broker, i)->routing_key;
}
