/* SPDX-License-Identifier: Apache-2.0 */
/* See queue_depth.h. */
#include "daemon/queue_depth.h"

#include "shared/amqp/broker.h"
#include "shared/amqp/probe.h"
#include "shared/amqp/queue_args.h"
#include "shared/base/log.h"
#include "shared/base/trouble.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define STALE_MS (3 * QUEUE_DEPTH_PERIOD_MS)

static const unsigned int spans[] = QUEUE_DEPTH_SPANS;
#define N_SPANS (sizeof(spans) / sizeof(spans[0]))

/* The lows of spans of one length. */
struct trend {
	unsigned int n; /* readings of the span at hand */
	uint32_t low;
	struct mono began;
	bool has_last; /* the span before it: */
	uint32_t last_low;
	struct mono last_began;
	unsigned int rises; /* in a row */
	struct mono rising_since;
};

struct depth_reading {
	struct queue_depth_watch watch;
	struct mono at; /* of the last; ms 0 = there is none */
	uint32_t messages;
	struct trend trends[N_SPANS];
	uint64_t probe; /* under way; 0 = none */
	struct mono probed_at;
	bool unbound;
	struct mono unbound_since;
};

struct queue_depth {
	struct loop *loop;
	struct broker *publisher;
	const struct broker *consumer;
	struct loop_timer *timer;
	struct depth_reading readings[QUEUE_DEPTH_QUEUES_MAX];
	size_t n;
	size_t next; /* to be asked for in this round; n = it is over */
};

/* A question that is not answered in this round is taken up in the next. */
static void
ask(struct queue_depth *l)
{
	/* Asking for a queue that is not there costs the channel. */
	while (
	    l->next < l->n && broker_without(l->publisher, l->readings[l->next].watch.name) != NULL)
		l->next++;
	if (l->next < l->n)
		(void)broker_ask_depth(l->publisher, l->readings[l->next].watch.name);
}

/* Only where we read: in a queue that nobody reads it would lie about. */
static void
probe(struct queue_depth *l, struct depth_reading *r)
{
	struct mono now = loop_now(l->loop);
	struct message m;

	if (r->watch.exchange == NULL || r->probe != 0 ||
	    broker_unbound(l->publisher, r->watch.name) == NULL ||
	    !broker_consuming(l->consumer, r->watch.name))
		return;
	if (r->probed_at.ms != 0 && mono_diff(now, r->probed_at) < QUEUE_DEPTH_PROBE_MS)
		return;
	probe_make(&m, "vogelerd", NULL, NULL, NULL, NULL);
	r->probe = broker_publish(l->publisher, r->watch.exchange, r->watch.key, true, &m);
	r->probed_at = now;
	message_finish(&m);
}

static void
set_unbound(struct queue_depth *l, struct depth_reading *r, bool unbound)
{
	if (unbound == r->unbound)
		return;
	r->unbound = unbound;
	r->unbound_since = loop_now(l->loop);
	if (unbound)
		log_error("lookout",
		    "no queue is bound to exchange %s with key \"%s\": responses do not arrive, "
		    "agents keep them" TROUBLE_CURE
		    "run vogeler-admin setup, or give this user write on queue %s",
		    r->watch.exchange, r->watch.key, r->watch.name);
	else
		log_warn("lookout", "queue %s is bound to exchange %s again", r->watch.name,
		    r->watch.exchange);
}

bool
queue_depth_on_confirm(struct queue_depth *l, uint64_t id, enum broker_outcome outcome)
{
	for (size_t i = 0; i < l->n; i++) {
		struct depth_reading *r = &l->readings[i];

		if (r->probe == 0 || r->probe != id)
			continue;
		r->probe = 0;
		if (outcome == BROKER_RETURNED || outcome == BROKER_CONFIRMED)
			set_unbound(l, r, outcome == BROKER_RETURNED);
		if (outcome == BROKER_RETURNED)
			broker_rebind(l->publisher);
		return true;
	}
	return false;
}

/* Notes whether the queue is bound; what may be bound is bound by the connection. */
static void
look_at_binding(struct queue_depth *l, struct depth_reading *r)
{
	if (broker_is_ready(l->publisher) && broker_unbound(l->publisher, r->watch.name) == NULL)
		set_unbound(l, r, false);
	probe(l, r);
}

static void
on_timer(void *arg)
{
	struct queue_depth *l = arg;

	loop_timer_arm(l->timer, QUEUE_DEPTH_PERIOD_MS);
	broker_try_publish(l->publisher);
	for (size_t i = 0; i < l->n; i++)
		look_at_binding(l, &l->readings[i]);
	if (l->next == l->n)
		l->next = 0;
	ask(l);
}

struct queue_depth *
queue_depth_create(struct loop *loop, struct broker *publisher, const struct broker *consumer,
    const struct queue_depth_watch *queues, size_t n)
{
	struct queue_depth *l = xcalloc(1, sizeof(*l));

	assert(n <= QUEUE_DEPTH_QUEUES_MAX);
	l->loop = loop;
	l->publisher = publisher;
	l->consumer = consumer;
	for (size_t i = 0; i < n; i++)
		l->readings[i].watch = queues[i];
	l->n = n;
	l->timer = loop_timer_create(loop, "lookout", on_timer, l);
	loop_timer_arm(l->timer, 0);
	return l;
}

void
queue_depth_destroy(struct queue_depth *l)
{
	if (l == NULL)
		return;
	loop_timer_destroy(l->timer);
	free(l);
}

static bool
is_known(const struct queue_depth *l, const struct depth_reading *r)
{
	return r->at.ms != 0 && mono_diff(loop_now(l->loop), r->at) < STALE_MS;
}

static void
end_span(struct trend *t)
{
	bool rises = t->has_last && t->low > t->last_low;

	if (rises && t->rises == 0)
		t->rising_since = t->last_began;
	t->rises = rises ? t->rises + 1 : 0;
	t->has_last = true;
	t->last_low = t->low;
	t->last_began = t->began;
	t->n = 0;
}

static void
add_to_span(struct trend *t, unsigned int span, uint32_t messages, struct mono now)
{
	if (t->n == 0) {
		t->low = messages;
		t->began = now;
	}
	if (messages < t->low)
		t->low = messages;
	if (++t->n >= span)
		end_span(t);
}

/* Forgets the trends of a queue that is not consumed: what waits there is no backlog of a collector
 * that is too slow. */
static void
read_depth(struct queue_depth *l, struct depth_reading *r, uint32_t messages)
{
	struct mono now = loop_now(l->loop);
	size_t i;

	if (!is_known(l, r) || !r->watch.consumed || !broker_consuming(l->consumer, r->watch.name))
		memset(r->trends, 0, sizeof(r->trends));
	for (i = 0; i < N_SPANS; i++)
		add_to_span(&r->trends[i], spans[i], messages, now);
	r->messages = messages;
	r->at = now;
}

void
queue_depth_on_depth(struct queue_depth *l, const char *queue, uint32_t messages)
{
	/* An answer that comes late is of the round before, or of an earlier connection. */
	if (l->next == l->n || strcmp(l->readings[l->next].watch.name, queue) != 0)
		return;
	read_depth(l, &l->readings[l->next], messages);
	l->next++;
	ask(l);
}

size_t
queue_depth_count(const struct queue_depth *l)
{
	return l->n;
}

/* AMQP tells how many messages wait, and not how large they are. */
static uint64_t
mean_bytes(const struct queue_depth *l)
{
	struct broker_status s;

	broker_status(l->consumer, &s);
	return s.deliveries > 0 ? s.delivered_bytes / s.deliveries : QUEUE_MEAN_BYTES;
}

void
queue_depth_queue(const struct queue_depth *l, size_t i, struct queue_depth_queue *out)
{
	const struct depth_reading *r = &l->readings[i];

	*out = (struct queue_depth_queue){
	    .name = r->watch.name,
	    .known = is_known(l, r),
	    .messages = r->messages,
	    .bytes = r->messages * mean_bytes(l),
	    .exchange = r->watch.exchange,
	    .key = r->watch.key,
	    .unbound = r->unbound,
	    .unbound_ms = mono_diff(loop_now(l->loop), r->unbound_since),
	};
	for (size_t s = 0; out->known && s < N_SPANS; s++) {
		const struct trend *t = &r->trends[s];
		int64_t ms = mono_diff(loop_now(l->loop), t->rising_since);

		if (t->rises >= QUEUE_DEPTH_RISES && ms > out->growing_ms)
			out->growing_ms = ms;
	}
}
