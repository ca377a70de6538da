/* SPDX-License-Identifier: Apache-2.0 */
/* See presence.h. */
#include "runner/job/presence.h"

#include "shared/amqp/broker.h"
#include "shared/amqp/topology.h"
#include "shared/base/xalloc.h"
#include "shared/config/options_broker.h"
#include "shared/event/loop.h"

#include <stdio.h>
#include <stdlib.h>

struct presence {
	struct presence_handlers handlers;
	void *arg;
	struct topology *topology; /* the queue of hosts[i] is its item i */
	struct broker *broker;
	size_t n_brokers, failures; /* each has its turn */
	struct loop_timer *deadline;
};

static void
presence_on_look(
    struct broker *b, const struct topology_item *item, const struct broker_look *look, void *arg)
{
	struct presence *p = arg;

	if (look->sight == BROKER_SIGHT_MISSING)
		p->handlers.on_absent((size_t)(item - p->topology->items), p->arg);
}

static void
done(struct presence *p, const char *why)
{
	loop_timer_disarm(p->deadline);
	broker_destroy(p->broker);
	p->broker = NULL;
	p->handlers.on_done(why, p->arg);
}

static void
presence_on_ready(struct broker *b, void *arg)
{
	done(arg, NULL);
}

static void
presence_on_down(struct broker *b, const struct broker_failure *f, void *arg)
{
	struct presence *p = arg;

	if (++p->failures >= p->n_brokers)
		done(p, f->text);
}

static void
presence_on_deadline(void *arg)
{
	done(arg, "the broker is too slow to tell");
}

static const struct broker_handlers broker_handlers = {
    .on_ready = presence_on_ready,
    .on_down = presence_on_down,
    .on_look = presence_on_look,
};

struct presence *
presence_start(struct loop *loop, const struct presence_request *req,
    const struct presence_handlers *handlers, void *arg)
{
	const struct options *o = req->options;
	struct presence *p = xcalloc(1, sizeof(*p));
	struct broker_options opt;

	p->handlers = *handlers;
	p->arg = arg;
	p->n_brokers = req->n_brokers;
	p->topology = xcalloc(1, sizeof(*p->topology));
	for (size_t i = 0; i < req->n; i++)
		topology_add_host(p->topology, o->broadcast_exchange, req->hosts[i]);
	options_broker(o, "vogeler-runner", "presence", req->brokers, req->n_brokers, &opt);
	opt.quiet = true;
	opt.topology = p->topology;
	opt.look_only = true;
	opt.look_by_name = true;
	opt.heartbeat_s = (uint16_t)o->heartbeat_s;
	p->deadline = loop_timer_create(loop, "presence", presence_on_deadline, p);
	loop_timer_arm(p->deadline, PRESENCE_MS);
	p->broker = broker_create(loop, &opt, &broker_handlers, p);
	broker_start(p->broker);
	return p;
}

void
presence_destroy(struct presence *p)
{
	if (p == NULL)
		return;
	broker_destroy(p->broker);
	topology_destroy(p->topology);
	loop_timer_destroy(p->deadline);
	free(p);
}
