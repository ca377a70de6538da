/* See host_queue.h. */
#include "admin/host_queue.h"

#include "shared/broker.h"
#include "shared/loop.h"
#include "shared/phrase.h"
#include "shared/topology.h"
#include "shared/uri.h"
#include "shared/xalloc.h"

#include <stdio.h>
#include <stdlib.h>

struct host_queue {
	struct verb_context *v;
	char *host;
	struct uri *uris;
	size_t n_uris, failures;
	struct topology *topology;
	struct broker *broker;
	struct host_queue_look look;
	host_queue_fn *fn; /* NULL: it was called */
	host_queue_deleted_fn *on_deleted;
	void *arg;
};

static void
tell(struct host_queue *q, const struct host_queue_look *look)
{
	host_queue_fn *fn = q->fn;

	q->fn = NULL;
	if (fn != NULL)
		fn(look, q->arg);
}

static void
tell_deleted(struct host_queue *q, bool ok, uint32_t messages, const char *why)
{
	host_queue_deleted_fn *fn = q->on_deleted;

	q->on_deleted = NULL;
	if (fn != NULL)
		fn(ok, messages, why, q->arg);
}

static void
queue_on_consumers(struct broker *b, const struct topology_item *item, uint32_t messages,
    uint32_t consumers, void *arg)
{
	struct host_queue *q = arg;

	q->look = (struct host_queue_look){HOST_QUEUE_THERE, messages, consumers, NULL};
}

static void
queue_on_bound(struct broker *b, const struct topology_item *item, enum broker_bound bound,
    const char *why, void *arg)
{
	struct host_queue *q = arg;

	switch (bound) {
	case BROKER_BOUND:
		return;
	case BROKER_BOUND_NO_QUEUE:
		q->look = (struct host_queue_look){.sight = HOST_QUEUE_MISSING};
		return;
	case BROKER_BOUND_FORBIDDEN:
		q->look = (struct host_queue_look){.sight = HOST_QUEUE_UNKNOWN, .why = why};
		tell(q, &q->look);
		return;
	}
}

static void
queue_on_ready(struct broker *b, void *arg)
{
	struct host_queue *q = arg;

	tell(q, &q->look);
}

/* The words for who may: rabbitmqctl, at the vhost that we use. */
static void
tell_refusal(struct host_queue *q, const struct broker_failure *f)
{
	char *why;

	if (f->error != BROKER_ERR_PERMISSION) {
		tell_deleted(q, false, 0, f->text);
		return;
	}
	xasprintf(&why,
	    "this user may not delete queues" PHRASE_CURE
	    "on the broker's machine: rabbitmqctl delete_queue -p '%s' %s",
	    q->uris[0].path, q->host);
	tell_deleted(q, false, 0, why);
	free(why);
}

static void
queue_on_down(struct broker *b, const struct broker_failure *f, void *arg)
{
	struct host_queue *q = arg;
	const struct host_queue_look unknown = {.sight = HOST_QUEUE_UNKNOWN, .why = f->text};

	if (q->on_deleted != NULL)
		tell_refusal(q, f);
	else if (++q->failures >= q->n_uris)
		tell(q, &unknown);
}

static void
queue_on_deleted(struct broker *b, const char *queue, uint32_t messages, void *arg)
{
	tell_deleted(arg, true, messages, NULL);
}

static const struct broker_handlers handlers = {
    .on_ready = queue_on_ready,
    .on_down = queue_on_down,
    .on_consumers = queue_on_consumers,
    .on_bound = queue_on_bound,
    .on_deleted = queue_on_deleted,
};

struct host_queue *
host_queue_open(struct verb_context *v, const char *host, host_queue_fn *fn, void *arg)
{
	struct host_queue *q = xcalloc(1, sizeof(*q));
	const struct options *o = &v->cli->options;
	struct broker_options opt;

	q->v = v;
	q->host = xstrdup(host);
	q->fn = fn;
	q->arg = arg;
	cli_brokers(v->cli, &q->uris, &q->n_uris);
	q->topology = xcalloc(1, sizeof(*q->topology));
	topology_add_host(q->topology, NULL, host);
	broker_options_default(&opt);
	opt.program = "vogeler-admin";
	opt.role = "queue";
	opt.quiet = true;
	opt.bind_only = opt.bind_looks = true;
	opt.uris = q->uris;
	opt.n_uris = q->n_uris;
	opt.tls = &o->amqp_tls;
	opt.connect_timeout_ms = o->connect_timeout_ms;
	opt.topology = q->topology;
	q->broker = broker_create(v->loop, &opt, &handlers, q);
	broker_start(q->broker);
	return q;
}

void
host_queue_delete(struct host_queue *q, host_queue_deleted_fn *fn)
{
	q->on_deleted = fn;
	if (!broker_delete_queue(q->broker, q->host))
		tell_deleted(q, false, 0,
		    "the connection to the broker has gone" PHRASE_CURE "say it once more");
}

static void
queue_free(void *arg)
{
	struct host_queue *q = arg;

	topology_destroy(q->topology);
	uri_list_free(q->uris, q->n_uris);
	free(q->host);
	free(q);
}

void
host_queue_close(struct host_queue *q)
{
	if (q == NULL)
		return;
	broker_destroy(q->broker);
	loop_defer_free(q->v->loop, q, queue_free);
}
