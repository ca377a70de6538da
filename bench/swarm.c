/* See swarm.h. */
#include "bench/swarm.h"

#include "bench/bench.h"
#include "shared/broker.h"
#include "shared/loop.h"
#include "shared/mono.h"
#include "shared/probe.h"
#include "shared/topology.h"
#include "shared/wire.h"
#include "shared/xalloc.h"

#include <bsd/sys/queue.h>
#include <stdlib.h>
#include <string.h>

#define CONNECTING_MAX 50 /* at a time: the broker makes about so many in a tenth of a second */
#define PREFETCH       100

enum errand_kind { ERRAND_ANSWER, ERRAND_AGAIN, ERRAND_POISON, ERRAND_COLLECTED };

/* Something that a host is to send, or has sent and is not confirmed. */
struct errand {
	TAILQ_ENTRY(errand) link;
	enum errand_kind kind;
	struct broker_tag tag; /* of the command, of an ANSWER */
	struct command command;
	struct mono due;
	uint64_t id; /* once published */
};
TAILQ_HEAD(errands, errand);

struct host {
	struct swarm *swarm;
	struct broker *broker;
	struct topology *topology;
	struct loop_timer *timer; /* of slow ones */
	struct errands waiting, sent;
	uint32_t index;
	enum conduct conduct;
	bool counted; /* as ready or offline */
};

struct swarm {
	struct bench *b;
	const struct swarm_script *script;
	void *arg;
	struct host *hosts;
	uint32_t n, next, connecting, pending;
	struct loop_timer *ramp;
	struct swarm_counts counts;
};

/* ---- answering ---- */

static void
errand_free(struct host *h, struct errands *list, struct errand *e)
{
	h->swarm->pending--;
	TAILQ_REMOVE(list, e, link);
	command_finish(&e->command);
	free(e);
}

/* What is asked of a command: the rest of it is the broker's business. */
static struct command
copy_of(const struct command *c)
{
	return (struct command){
	    .plugin = xstrdup(c->plugin),
	    .job = xstrdup_null(c->job),
	    .reply_to = xstrdup_null(c->reply_to),
	};
}

static void
add_errand(struct host *h, enum errand_kind kind, struct broker_tag tag, const struct command *c,
    uint32_t delay_ms)
{
	struct errand *e = xcalloc(1, sizeof(*e)), *after;

	e->kind = kind;
	e->tag = tag;
	e->command = copy_of(c);
	e->due = mono_add(loop_now(h->swarm->b->loop), delay_ms);
	/* By the time at which they are due; of those alike as they came. */
	TAILQ_FOREACH_REVERSE(after, &h->waiting, errands, link)
	{
		if (mono_reached(e->due, after->due))
			break;
	}
	if (after != NULL)
		TAILQ_INSERT_AFTER(&h->waiting, after, e, link);
	else
		TAILQ_INSERT_HEAD(&h->waiting, e, link);
	h->swarm->pending++;
}

static void
make_message(const struct host *h, const struct errand *e, struct message *m)
{
	static const char rubbish[] = "{\"syskey\": not JSON";

	if (e->kind == ERRAND_POISON) {
		message_init(m);
		message_set_body(m, xstrdup(rubbish), sizeof(rubbish) - 1);
		return;
	}
	h->swarm->script->answer(h->index, &e->command, m, h->swarm->arg);
}

static void
send_due(struct host *h)
{
	struct swarm *s = h->swarm;
	struct mono now = loop_now(s->b->loop);
	struct errand *e;

	while ((e = TAILQ_FIRST(&h->waiting)) != NULL && broker_can_publish(h->broker)) {
		struct message m;

		if (!mono_reached(now, e->due)) {
			loop_timer_arm(h->timer, mono_diff(e->due, now));
			return;
		}
		make_message(h, e, &m);
		e->id = broker_publish(
		    h->broker, s->b->cli->options.master_exchange, TOPOLOGY_MASTER_KEY, true, &m);
		message_finish(&m);
		if (e->id == 0)
			return; /* on_writable */
		TAILQ_REMOVE(&h->waiting, e, link);
		TAILQ_INSERT_TAIL(&h->sent, e, link);
	}
}

static void
host_on_timer(void *arg)
{
	send_due(arg);
}

static void
host_on_writable(struct broker *broker, void *arg)
{
	send_due(arg);
}

static void
take(struct host *h, struct broker_tag tag, const struct command *c)
{
	struct swarm *s = h->swarm;
	uint32_t delay_ms = s->script->delay_ms(h->index, c, s->arg);

	add_errand(h, ERRAND_ANSWER, tag, c, delay_ms);
	if (h->conduct == CONDUCT_TWICE)
		add_errand(h, ERRAND_AGAIN, tag, c, delay_ms);
	if (h->conduct == CONDUCT_POISON)
		add_errand(h, ERRAND_POISON, tag, c, delay_ms);
}

static void
host_on_delivery(struct broker *broker, struct delivery *d, void *arg)
{
	struct host *h = arg;
	struct swarm *s = h->swarm;
	struct command c;
	char err[256];

	if (probe_is(&d->message)) { /* it asks only whether it arrives */
		broker_ack(broker, d->tag, false);
		delivery_destroy(d);
		return;
	}
	s->counts.commands++;
	if (!wire_command_decode(&d->message, &c, err, sizeof(err))) {
		broker_ack(broker, d->tag, false);
		delivery_destroy(d);
		return;
	}
	if (s->script->takes(h->index, &c, s->arg)) {
		take(h, d->tag, &c);
	} else {
		s->counts.unexplained++;
		broker_ack(broker, d->tag, false);
	}
	command_finish(&c);
	delivery_destroy(d);
	send_due(h);
}

void
swarm_collect(struct swarm *s, uint32_t host, const char *plugin)
{
	struct command c = {.plugin = (char *)plugin};
	struct host *h = &s->hosts[host];

	if (h->broker == NULL || !broker_is_ready(h->broker))
		return;
	add_errand(h, ERRAND_COLLECTED, (struct broker_tag){0}, &c, 0);
	send_due(h);
}

void
swarm_silence(struct swarm *s, uint32_t host)
{
	if (s->hosts[host].broker != NULL)
		broker_stop(s->hosts[host].broker);
}

static void
count_confirmed(struct host *h, const struct errand *e)
{
	struct swarm_counts *n = &h->swarm->counts;

	switch (e->kind) {
	case ERRAND_ANSWER:
		n->answers++;
		broker_ack(h->broker, e->tag, false);
		break;
	case ERRAND_AGAIN:
		n->again++;
		break;
	case ERRAND_POISON:
		n->poison++;
		break;
	case ERRAND_COLLECTED:
		n->collected++;
		break;
	}
}

static void
host_on_confirm(
    struct broker *broker, uint64_t id, enum broker_outcome outcome, const char *why, void *arg)
{
	struct host *h = arg;
	struct errand *e;

	TAILQ_FOREACH (e, &h->sent, link) {
		if (e->id == id)
			break;
	}
	if (e == NULL)
		return;
	if (outcome == BROKER_CONFIRMED)
		count_confirmed(h, e);
	errand_free(h, &h->sent, e); /* otherwise the command comes again */
	send_due(h);
}

/* ---- connecting ---- */

static void
count_host(struct host *h)
{
	struct swarm *s = h->swarm;

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

static void
host_on_ready(struct broker *broker, void *arg)
{
	struct host *h = arg;
	char name[PLAN_NAME_SIZE];

	if (h->conduct == CONDUCT_OFFLINE) { /* its queue is there: that was all */
		broker_stop(broker);
		return;
	}
	h->swarm->script->name(h->index, name, h->swarm->arg);
	broker_consume(broker, name, PREFETCH, true);
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
	const struct swarm_script *script = h->swarm->script;

	if (!consuming)
		return;
	count_host(h);
	if (script->on_host != NULL)
		script->on_host(h->index, h->swarm->arg);
}

/* What was waiting belongs to commands that come again. */
static void
host_on_down(struct broker *broker, const struct broker_failure *f, void *arg)
{
	struct host *h = arg;

	h->swarm->counts.failures++;
	while (!TAILQ_EMPTY(&h->waiting))
		errand_free(h, &h->waiting, TAILQ_FIRST(&h->waiting));
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
start_host(struct swarm *s, uint32_t index)
{
	const struct options *options = &s->b->cli->options;
	struct host *h = &s->hosts[index];
	char name[PLAN_NAME_SIZE];

	h->swarm = s;
	h->index = index;
	h->conduct = s->script->conduct(index, s->arg);
	TAILQ_INIT(&h->waiting);
	TAILQ_INIT(&h->sent);
	s->script->name(index, name, s->arg);
	h->topology =
	    topology_for_agent(options->broadcast_exchange, options->master_exchange, name);
	topology_configure(h->topology, &options->host_queue, &options->master_queue);
	h->timer = loop_timer_create(s->b->loop, "bench slow host", host_on_timer, h);
	h->broker = bench_broker(s->b, "agent", h->topology, &handlers, h);
	broker_start(h->broker);
	s->connecting++;
}

static void
swarm_on_ramp(void *arg)
{
	struct swarm *s = arg;

	while (s->next < s->n && s->connecting < CONNECTING_MAX)
		start_host(s, s->next++);
}

struct swarm *
swarm_create(struct bench *b, const struct swarm_script *script, void *arg)
{
	struct swarm *s = xcalloc(1, sizeof(*s));

	s->b = b;
	s->script = script;
	s->arg = arg;
	s->n = b->plan.hosts;
	s->hosts = xcalloc(s->n, sizeof(*s->hosts));
	s->ramp = loop_timer_create(b->loop, "bench ramp", swarm_on_ramp, s);
	return s;
}

void
swarm_start(struct swarm *s)
{
	loop_timer_arm(s->ramp, 0);
}

void
swarm_destroy(struct swarm *s)
{
	if (s == NULL)
		return;
	for (uint32_t i = 0; i < s->next; i++) {
		struct host *h = &s->hosts[i];

		broker_destroy(h->broker);
		topology_destroy(h->topology);
		loop_timer_destroy(h->timer);
		while (!TAILQ_EMPTY(&h->waiting))
			errand_free(h, &h->waiting, TAILQ_FIRST(&h->waiting));
		while (!TAILQ_EMPTY(&h->sent))
			errand_free(h, &h->sent, TAILQ_FIRST(&h->sent));
	}
	loop_timer_destroy(s->ramp);
	free(s->hosts);
	free(s);
}

uint32_t
swarm_pending(const struct swarm *s)
{
	return s->pending;
}

const struct swarm_counts *
swarm_counts(const struct swarm *s)
{
	return &s->counts;
}
