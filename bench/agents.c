/* SPDX-License-Identifier: Apache-2.0 */
/* See agents.h. */
#include "bench/agents.h"

#include "agent/agent.h"
#include "agent/arrival.h"
#include "agent/cmdq.h"
#include "agent/outbox.h"
#include "agent/registry.h"
#include "agent/schedule.h"
#include "agent/sequence.h"
#include "bench/bench.h"
#include "bench/hosts_sim.h"
#include "shared/amqp/probe.h"
#include "shared/base/buf.h"
#include "shared/base/ident.h"
#include "shared/base/log.h"
#include "shared/base/mono.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"

#include <bsd/sys/queue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GREETING_ID 0 /* of the outbox; those of commands start at 1 */

/* A plugin that is thought to run. */
struct agent_run {
	TAILQ_ENTRY(agent_run) link;
	uint64_t id;
	char plugin[CHILDMSG_PLUGIN];
	struct mono due;
	bool stopped;
};
TAILQ_HEAD(run_list, agent_run);

struct agent_host {
	struct agents *agents;
	uint32_t index;
	char name[PLAN_NAME_SIZE];
	char machine_id[IDENT_HASH_SIZE], boot_id[IDENT_SIZE];
	struct broker *broker; /* NULL: it has not begun, or is offline */
	struct sequence *order;
	struct outbox *outbox;
	struct cmdq *cmdq;
	struct run_list runs;
	struct loop_timer *timer; /* of the first that ends */
	uint64_t collected;       /* the id of the last of those that nobody asked for */
};

struct agents {
	struct bench *b;
	const struct agents_handlers *handlers;
	void *arg;
	struct hosts_sim *swarm;
	struct registry registry; /* of all of them */
	struct agent_host *hosts;
	uint32_t n;
};

static struct report_origin
origin_of(const struct agent_host *h)
{
	return (struct report_origin){h->name, h->machine_id, h->boot_id};
}

/* ---- plugins, as cmdq has them run ---- */

static void
arm_for_runs(struct agent_host *h)
{
	const struct agent_run *r, *first = TAILQ_FIRST(&h->runs);
	struct mono now = loop_now(h->agents->b->loop);

	TAILQ_FOREACH (r, &h->runs, link) {
		if (mono_reached(first->due, r->due))
			first = r;
	}
	if (first == NULL)
		loop_timer_disarm(h->timer);
	else
		loop_timer_arm(
		    h->timer, mono_reached(now, first->due) ? 0 : mono_diff(first->due, now));
}

static void
begin_run(struct agent_host *h, const struct child_request *req)
{
	const struct bench *b = h->agents->b;
	bool slow = plan_conduct(&b->plan, h->index) == CONDUCT_SLOW;
	struct agent_run *r = xcalloc(1, sizeof(*r));

	r->id = req->id;
	memcpy(r->plugin, req->plugin, sizeof(r->plugin));
	r->due = mono_add(loop_now(b->loop),
	    fleet_delay_ms(&b->fleet, h->index, r->plugin) + (slow ? b->slow_ms : 0));
	TAILQ_INSERT_TAIL(&h->runs, r, link);
}

/* What it would have printed is not looked at. */
static void
stop_run(struct agent_host *h, uint64_t id)
{
	struct agent_run *r;

	TAILQ_FOREACH (r, &h->runs, link) {
		if (r->id != id)
			continue;
		r->stopped = true;
		r->due = loop_now(h->agents->b->loop);
	}
}

static void
host_on_request(const struct child_request *req, void *arg)
{
	struct agent_host *h = arg;

	switch ((enum child_op)req->op) {
	case CHILD_OP_RUN:
		begin_run(h, req);
		break;
	case CHILD_OP_KILL:
		stop_run(h, req->id);
		break;
	}
	arm_for_runs(h);
}

static void
tell_output(struct agent_host *h, uint64_t id, const struct buf *out)
{
	struct child_event ev = {.kind = CHILD_OUTPUT, .id = id};

	for (size_t at = 0; at < out->len; at += ev.length) {
		ev.length =
		    (uint32_t)(out->len - at < CHILDMSG_DATA ? out->len - at : CHILDMSG_DATA);
		memcpy(ev.data, out->data + at, ev.length);
		cmdq_on_child(h->cmdq, &ev);
	}
}

/* Frees r; the next ones may begin. */
static void
end_run(struct agent_host *h, struct agent_run *r)
{
	const struct bench *b = h->agents->b;
	struct child_event done;
	struct buf out;

	buf_init(&out, b->cli->options.plugin_max_output);
	fleet_run(&b->fleet, h->index, r->plugin, wallclock_ms(), &done, &out);
	done.id = r->id;
	if (r->stopped)
		done.outcome = CHILD_STOPPED;
	else
		tell_output(h, r->id, &out);
	TAILQ_REMOVE(&h->runs, r, link);
	free(r);
	buf_finish(&out);
	cmdq_on_child(h->cmdq, &done);
}

static struct agent_run *
find_due(const struct agent_host *h)
{
	struct mono now = loop_now(h->agents->b->loop);
	struct agent_run *r;

	TAILQ_FOREACH (r, &h->runs, link) {
		if (mono_reached(now, r->due))
			break;
	}
	return r;
}

static void
host_on_timer(void *arg)
{
	struct agent_host *h = arg;
	struct agent_run *r;

	while ((r = find_due(h)) != NULL)
		end_run(h, r);
	arm_for_runs(h);
}

static void
host_on_confirmed(uint64_t id, void *arg)
{
	struct agent_host *h = arg;
	struct hosts_sim_counts *n = hosts_sim_counts(h->agents->swarm);

	if ((id & SCHEDULE_ID) != 0) {
		n->collected++;
	} else if (id != GREETING_ID) {
		n->answers++;
		cmdq_on_confirmed(h->cmdq, id);
	}
}

/* ---- connections ---- */

static void
agents_on_connected(uint32_t host, void *arg)
{
	struct agents *a = arg;
	struct agent_host *h = &a->hosts[host];

	outbox_on_ready(h->outbox);
	cmdq_catch_up(h->cmdq, broker_messages_found(h->broker, h->name), AGENT_PREFETCH);
}

static void
agents_on_consuming(uint32_t host, void *arg)
{
	struct agents *a = arg;

	cmdq_on_consuming(a->hosts[host].cmdq);
	a->handlers->on_host(host, a->arg);
}

/* Lost, it is asked for again. */
static void
echo_probe(struct agent_host *h, const struct delivery *d)
{
	const struct options *options = &h->agents->b->cli->options;
	struct message m;

	probe_echo(&d->message, d->routing_key, broker_message_max(h->broker), &m);
	if (broker_publish(h->broker, options->master_exchange, d->message.reply_to, false, &m) ==
	    0)
		log_debug("bench", "%s: a probe is not answered", h->name);
	message_finish(&m);
}

static void
agents_on_delivery(uint32_t host, struct delivery *d, void *arg)
{
	struct agents *a = arg;
	struct agent_host *h = &a->hosts[host];

	switch (arrival_of(d, a->b->cli->options.broadcast_exchange, h->name)) {
	case ARRIVAL_COMMAND:
		hosts_sim_counts(a->swarm)->commands++;
		cmdq_take(h->cmdq, d);
		return;
	case ARRIVAL_MISROUTED:
		cmdq_pass_over(h->cmdq, d, true);
		return;
	case ARRIVAL_PROBE:
		if (probe_asks(&d->message, h->name))
			echo_probe(h, d);
		cmdq_pass_over(h->cmdq, d, false);
		return;
	}
}

static void
agents_on_confirm(
    uint32_t host, uint64_t id, enum broker_outcome outcome, const char *why, void *arg)
{
	struct agents *a = arg;

	(void)outbox_on_confirm(a->hosts[host].outbox, id, outcome, why);
}

static void
agents_on_writable(uint32_t host, void *arg)
{
	struct agents *a = arg;

	outbox_on_writable(a->hosts[host].outbox);
}

/* ---- the hosts ---- */

static void
agents_on_ready(void *arg)
{
	struct agents *a = arg;

	a->handlers->on_ready(a->arg);
}

static void
agents_name(uint32_t host, char out[PLAN_NAME_SIZE], void *arg)
{
	const struct agents *a = arg;

	fleet_host(&a->b->fleet, host, out);
}

static enum conduct
agents_conduct(uint32_t host, void *arg)
{
	const struct agents *a = arg;

	return plan_conduct(&a->b->plan, host);
}

static void
greet(struct agent_host *h)
{
	struct report_origin origin = origin_of(h);
	struct response r;
	struct message m;

	report_greeting(&r, &origin, wallclock_ms());
	if (wire_response_encode(&r, &m))
		outbox_add(h->outbox, GREETING_ID, &m);
	message_finish(&m);
	response_finish(&r);
}

/* Gives the host a machine id of 32 digits, as machine-id(5) has it. */
static void
name_host(struct agent_host *h)
{
	fleet_host(&h->agents->b->fleet, h->index, h->name);
	ident_hash(h->machine_id, h->name, strlen(h->name));
	h->machine_id[32] = '\0';
	ident_job(h->boot_id, wallclock_ms());
}

static void
agents_on_begin(uint32_t host, struct broker *broker, void *arg)
{
	struct agents *a = arg;
	const struct options *options = &a->b->cli->options;
	struct agent_host *h = &a->hosts[host];
	struct cmdq_config config = {
	    .loop = a->b->loop,
	    .registry = &a->registry,
	    .broker = broker,
	    .catch_up_splay_ms = options->catch_up_splay_ms,
	    .concurrency = options->concurrency,
	    .max_output = options->plugin_max_output,
	    .request = host_on_request,
	    .arg = h,
	};

	h->agents = a;
	h->index = host;
	name_host(h);
	h->broker = broker;
	TAILQ_INIT(&h->runs);
	h->timer = loop_timer_create(a->b->loop, "bench plugins", host_on_timer, h);
	h->order = sequence_in_memory();
	h->outbox =
	    outbox_create(a->b->loop, broker, options->master_exchange, host_on_confirmed, h);
	outbox_set_host(h->outbox, h->name);
	config.origin = origin_of(h);
	config.order = h->order;
	config.outbox = h->outbox;
	h->cmdq = cmdq_create(&config);
	greet(h);
}

static const struct hosts_sim_script script = {
    .on_ready = agents_on_ready,
    .name = agents_name,
    .conduct = agents_conduct,
    .on_begin = agents_on_begin,
    .on_connected = agents_on_connected,
    .on_consuming = agents_on_consuming,
    .on_delivery = agents_on_delivery,
    .on_confirm = agents_on_confirm,
    .on_writable = agents_on_writable,
};

/* ---- what agents.h offers ---- */

struct agents *
agents_create(struct bench *b, const struct agents_handlers *handlers, void *arg)
{
	struct agents *a = xcalloc(1, sizeof(*a));

	a->b = b;
	a->handlers = handlers;
	a->arg = arg;
	a->n = b->plan.hosts;
	a->hosts = xcalloc(a->n, sizeof(*a->hosts));
	registry_init(&a->registry);
	fleet_define(&a->registry.set);
	a->swarm = hosts_sim_create(b, &script, a);
	hosts_sim_start(a->swarm);
	return a;
}

static void
host_finish(struct agent_host *h)
{
	struct agent_run *r;

	if (h->broker == NULL)
		return;
	while ((r = TAILQ_FIRST(&h->runs)) != NULL) {
		TAILQ_REMOVE(&h->runs, r, link);
		free(r);
	}
	cmdq_destroy(h->cmdq);
	outbox_destroy(h->outbox);
	sequence_close(h->order);
	loop_timer_destroy(h->timer);
}

void
agents_destroy(struct agents *a)
{
	if (a == NULL)
		return;
	for (uint32_t i = 0; i < a->n; i++)
		host_finish(&a->hosts[i]);
	hosts_sim_destroy(a->swarm);
	registry_finish(&a->registry);
	free(a->hosts);
	free(a);
}

void
agents_collect(struct agents *a, uint32_t host, const char *plugin)
{
	struct agent_host *h = &a->hosts[host];
	struct report_origin origin = origin_of(h);
	struct report_request req = {.plugin = plugin};
	int64_t now = wallclock_ms();
	struct child_event done;
	struct response r;
	struct message m;
	struct buf out;

	if (h->broker == NULL || !broker_is_ready(h->broker))
		return;
	req.format = registry_find(&a->registry, plugin)->format;
	buf_init(&out, a->b->cli->options.plugin_max_output);
	fleet_run(&a->b->fleet, host, plugin, now, &done, &out);
	report_run(&r, &origin, &req, &done, &out, sequence_next(h->order, now), now);
	report_encode(&r, &origin, &req, h->order, &m);
	outbox_add_newest(h->outbox, SCHEDULE_ID | ++h->collected, plugin, &m);
	message_finish(&m);
	response_finish(&r);
	buf_finish(&out);
}

void
agents_silence(struct agents *a, uint32_t host)
{
	hosts_sim_silence(a->swarm, host);
}

struct hosts_sim *
agents_swarm(const struct agents *a)
{
	return a->swarm;
}
