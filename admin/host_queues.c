/* SPDX-License-Identifier: Apache-2.0 */
/* See host_queues.h. */
#include "admin/host_queues.h"

#include "shared/amqp/broker.h"
#include "shared/amqp/topology.h"
#include "shared/base/trouble.h"
#include "shared/base/xalloc.h"
#include "shared/config/options_broker.h"
#include "shared/event/loop.h"
#include "shared/target/hostlist.h"

#include <stdio.h>
#include <stdlib.h>

struct host_queues {
	struct verb_context *v;
	const struct hosts *hosts;
	struct uri *uris;
	size_t n_uris, failures;
	struct topology *topology; /* the queue of each host, in order */
	struct broker *broker;
	struct host_queue_look *looks;
	char *why;
	host_queues_fn *fn; /* NULL: it was called */
	void *arg;
	size_t next; /* the one that is deleted */
	host_queues_deleted_fn *on_deleted;
	void (*done)(void *arg); /* NULL: nothing is being deleted */
};

/* ---- looking ---- */

static void
set_why(struct host_queues *q, const char *why)
{
	if (q->why == NULL)
		q->why = xstrdup(why);
}

static void
tell(struct host_queues *q)
{
	host_queues_fn *fn = q->fn;

	q->fn = NULL;
	if (fn != NULL)
		fn(q->looks, q->why, q->arg);
}

static struct host_queue_look *
look_of(struct host_queues *q, const struct topology_item *item)
{
	return &q->looks[item - q->topology->items];
}

static void
queues_on_consumers(struct broker *b, const struct topology_item *item, uint32_t messages,
    uint32_t consumers, void *arg)
{
	*look_of(arg, item) = (struct host_queue_look){HOST_QUEUE_THERE, messages, consumers};
}

static void
queues_on_bound(struct broker *b, const struct topology_item *item, enum broker_bound bound,
    const char *why, void *arg)
{
	struct host_queues *q = arg;

	switch (bound) {
	case BROKER_BOUND:
		return;
	case BROKER_BOUND_NO_QUEUE:
		look_of(q, item)->sight = HOST_QUEUE_MISSING;
		return;
	case BROKER_BOUND_FORBIDDEN:
		look_of(q, item)->sight = HOST_QUEUE_UNKNOWN;
		set_why(q, why);
		return;
	}
}

static void
queues_on_ready(struct broker *b, void *arg)
{
	tell(arg);
}

/* ---- deleting ---- */

static bool
may_go(const struct host_queue_look *look)
{
	return look->sight == HOST_QUEUE_THERE && look->consumers == 0;
}

static void
end_deleting(struct host_queues *q)
{
	void (*done)(void *) = q->done;

	q->done = NULL;
	if (done != NULL)
		done(q->arg);
}

static void
give_up(struct host_queues *q, const char *why)
{
	for (; q->next < q->hosts->n; q->next++) {
		if (may_go(&q->looks[q->next]))
			q->on_deleted(q->next, HOST_QUEUE_UNTRIED, 0, why, q->arg);
	}
	end_deleting(q);
}

static void
give_up_unasked(struct host_queues *q)
{
	struct broker_status status;
	char *why;

	broker_status(q->broker, &status);
	if (status.blocked)
		xasprintf(&why,
		    "the broker is blocked (%s)" TROUBLE_CURE
		    "on its machine, rabbitmqctl status names the alarm; when it is over, say it "
		    "once more",
		    status.blocked_reason[0] != '\0' ? status.blocked_reason : "no reason given");
	else
		why = xstrdup(
		    "the connection to the broker has gone" TROUBLE_CURE "say it once more");
	give_up(q, why);
	free(why);
}

static void
delete_next(struct host_queues *q)
{
	while (q->next < q->hosts->n && !may_go(&q->looks[q->next]))
		q->next++;
	if (q->next == q->hosts->n)
		end_deleting(q);
	else if (!broker_delete_queue(q->broker, q->hosts->names[q->next]))
		give_up_unasked(q);
}

static void
queues_on_deleted(struct broker *b, const char *queue, uint32_t messages, void *arg)
{
	struct host_queues *q = arg;

	q->on_deleted(q->next++, HOST_QUEUE_DELETED, messages, NULL, q->arg);
	delete_next(q);
}

/* The words for who may: rabbitmqctl, at the vhost that we use. */
static void
refused(struct host_queues *q, const struct broker_failure *f)
{
	for (bool first = true; q->next < q->hosts->n; q->next++) {
		const char *host = q->hosts->names[q->next];
		char *why;

		if (!may_go(&q->looks[q->next]))
			continue;
		xasprintf(&why,
		    "%s" TROUBLE_CURE
		    "on the broker's machine: rabbitmqctl delete_queue -p '%s' %s",
		    first ? "this user may not delete queues" : "it was not tried", q->uris[0].path,
		    host);
		q->on_deleted(q->next, HOST_QUEUE_REFUSED, 0, why, q->arg);
		free(why);
		first = false;
	}
	end_deleting(q);
}

/* ---- the connection ---- */

static void
queues_on_down(struct broker *b, const struct broker_failure *f, void *arg)
{
	struct host_queues *q = arg;

	if (q->done != NULL && f->error == BROKER_ERR_PERMISSION) {
		refused(q, f);
	} else if (q->done != NULL) {
		give_up(q, f->text);
	} else if (q->fn != NULL && ++q->failures >= q->n_uris) {
		set_why(q, f->text);
		tell(q);
	}
}

static const struct broker_handlers handlers = {
    .on_ready = queues_on_ready,
    .on_down = queues_on_down,
    .on_consumers = queues_on_consumers,
    .on_bound = queues_on_bound,
    .on_deleted = queues_on_deleted,
};

struct host_queues *
host_queues_open(struct verb_context *v, const struct hosts *hosts, host_queues_fn *fn, void *arg)
{
	struct host_queues *q = xcalloc(1, sizeof(*q));
	const struct options *o = &v->cli->options;
	struct broker_options opt;

	q->v = v;
	q->hosts = hosts;
	q->fn = fn;
	q->arg = arg;
	q->looks = xcalloc(hosts->n + 1, sizeof(*q->looks));
	cli_brokers(v->cli, &q->uris, &q->n_uris);
	q->topology = xcalloc(1, sizeof(*q->topology));
	for (size_t i = 0; i < hosts->n; i++)
		topology_add_host(q->topology, NULL, hosts->names[i]);
	options_broker(o, "vogeler-admin", "queue", q->uris, q->n_uris, &opt);
	opt.quiet = true;
	opt.bind_only = opt.bind_looks = true;
	opt.topology = q->topology;
	q->broker = broker_create(v->loop, &opt, &handlers, q);
	broker_start(q->broker);
	return q;
}

void
host_queues_delete(struct host_queues *q, host_queues_deleted_fn *fn, void (*done)(void *arg))
{
	q->on_deleted = fn;
	q->done = done;
	delete_next(q);
}

static void
queues_free(void *arg)
{
	struct host_queues *q = arg;

	topology_destroy(q->topology);
	uri_list_free(q->uris, q->n_uris);
	free(q->looks);
	free(q->why);
	free(q);
}

void
host_queues_close(struct host_queues *q)
{
	if (q == NULL)
		return;
	broker_destroy(q->broker);
	loop_defer_free(q->v->loop, q, queues_free);
}
