/* SPDX-License-Identifier: Apache-2.0 */
/* See hosts_sim.h. */
#include "bench/hosts_sim.h"

#include "agent/agent.h"
#include "bench/bench.h"
#include "shared/amqp/topology.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/wire/wire.h"

#include <stdlib.h>

#define CONNECTING_MAX 50 /* at a time: the broker makes about so many in a tenth of a second */

struct host {
	struct hosts_sim *swarm;
	struct broker *broker;
	struct topology *topology;
	uint32_t index;
	enum conduct conduct;
	bool counted; /* as ready or offline */
};

struct hosts_sim {
	struct bench *b;
	const struct hosts_sim_script *script;
	void *arg;
	struct host *hosts;
	uint32_t n, next, connecting;
	struct loop_timer *ramp;
	struct hosts_sim_counts counts;
};

static void
count_host(struct host *h)
{
	struct hosts_sim *s = h->swarm;

	if (h->counted)
		return;
	h->counted = true;
	s->connecting--;
	if (h->conduct == CONDUCT_OFFLINE)
		s->counts.offline++;
	else
		s->counts.ready++;
	if (s->counts.ready + s->counts.offline == s->n)
		s->script->on_ready(s->arg);
	else
		loop_timer_arm(s->ramp, 0);
}

/* A quorum queue knows no exclusive consumer: it is made with a single active one instead. */
static void
consume(struct host *h)
{
	char name[PLAN_NAME_SIZE];

	h->swarm->script->name(h->index, name, h->swarm->arg);
	broker_consume(h->broker, name, AGENT_PREFETCH,
	    h->swarm->b->cli->options.host_queue.type == QUEUE_CLASSIC);
}

static void
host_on_ready(struct broker *broker, void *arg)
{
	struct host *h = arg;
	const struct hosts_sim *s = h->swarm;

	if (h->conduct == CONDUCT_OFFLINE) { /* its queue is there: that was all */
		broker_stop(broker);
		return;
	}
	if (s->script->on_connected != NULL)
		s->script->on_connected(h->index, s->arg);
	consume(h);
}

static void
host_on_stopped(struct broker *broker, void *arg)
{
	count_host(arg);
}

static void
host_on_consuming(struct broker *broker, const char *queue, bool consuming, void *arg)
{
	struct host *h = arg;
	const struct hosts_sim *s = h->swarm;

	if (!consuming)
		return;
	count_host(h);
	if (s->script->on_consuming != NULL)
		s->script->on_consuming(h->index, s->arg);
}

static void
host_on_delivery(struct broker *broker, struct delivery *d, void *arg)
{
	const struct host *h = arg;

	h->swarm->script->on_delivery(h->index, d, h->swarm->arg);
}

static void
host_on_confirm(
    struct broker *broker, uint64_t id, enum broker_outcome outcome, const char *why, void *arg)
{
	const struct host *h = arg;

	h->swarm->script->on_confirm(h->index, id, outcome, why, h->swarm->arg);
}

static void
host_on_writable(struct broker *broker, void *arg)
{
	const struct host *h = arg;

	if (h->conduct != CONDUCT_OFFLINE)
		h->swarm->script->on_writable(h->index, h->swarm->arg);
}

static void
host_on_down(struct broker *broker, const struct broker_failure *f, void *arg)
{
	const struct host *h = arg;

	h->swarm->counts.failures++;
	if (h->conduct != CONDUCT_OFFLINE && h->swarm->script->on_down != NULL)
		h->swarm->script->on_down(h->index, h->swarm->arg);
}

static const struct broker_handlers handlers = {
    .on_ready = host_on_ready,
    .on_down = host_on_down,
    .on_delivery = host_on_delivery,
    .on_confirm = host_on_confirm,
    .on_writable = host_on_writable,
    .on_consuming = host_on_consuming,
    .on_stopped = host_on_stopped,
};

static void
connect_host(struct host *h)
{
	struct hosts_sim *s = h->swarm;
	const struct options *options = &s->b->cli->options;
	struct broker_options o;
	char name[PLAN_NAME_SIZE];

	s->script->name(h->index, name, s->arg);
	h->topology =
	    topology_for_agent(options->broadcast_exchange, options->master_exchange, name);
	topology_configure(h->topology, &options->host_queue, &options->master_queue);
	bench_broker_options(s->b, "agent", h->topology, &o);
	o.max_body_bytes = WIRE_COMMAND_MAX;
	h->broker = broker_create(s->b->loop, &o, &handlers, h);
}

static void
start_host(struct hosts_sim *s, uint32_t index)
{
	struct host *h = &s->hosts[index];

	h->swarm = s;
	h->index = index;
	h->conduct = s->script->conduct(index, s->arg);
	connect_host(h);
	if (h->conduct != CONDUCT_OFFLINE)
		s->script->on_begin(index, h->broker, s->arg);
	broker_start(h->broker);
	s->connecting++;
}

static void
hosts_sim_on_ramp(void *arg)
{
	struct hosts_sim *s = arg;

	while (s->next < s->n && s->connecting < CONNECTING_MAX)
		start_host(s, s->next++);
}

struct hosts_sim *
hosts_sim_create(struct bench *b, const struct hosts_sim_script *script, void *arg)
{
	struct hosts_sim *s = xcalloc(1, sizeof(*s));

	s->b = b;
	s->script = script;
	s->arg = arg;
	s->n = b->plan.hosts;
	s->hosts = xcalloc(s->n, sizeof(*s->hosts));
	s->ramp = loop_timer_create(b->loop, "bench ramp", hosts_sim_on_ramp, s);
	return s;
}

void
hosts_sim_start(struct hosts_sim *s)
{
	loop_timer_arm(s->ramp, 0);
}

void
hosts_sim_silence(struct hosts_sim *s, uint32_t host)
{
	if (s->hosts[host].broker != NULL)
		broker_stop(s->hosts[host].broker);
}

void
hosts_sim_destroy(struct hosts_sim *s)
{
	if (s == NULL)
		return;
	for (uint32_t i = 0; i < s->next; i++) {
		broker_destroy(s->hosts[i].broker);
		topology_destroy(s->hosts[i].topology);
	}
	loop_timer_destroy(s->ramp);
	free(s->hosts);
	free(s);
}

struct hosts_sim_counts *
hosts_sim_counts(struct hosts_sim *s)
{
	return &s->counts;
}
