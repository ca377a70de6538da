/* See outbox.h. The box is OPEN, sending whatever waits as fast as the broker takes it, or HOLDING
 * after a refusal, until the retry timer. Everything goes to one queue, so one refusal speaks for
 * all. An entry waits while publish_id is 0. */
#include "agent/outbox.h"

#include "shared/backoff.h"
#include "shared/ident.h"
#include "shared/log.h"
#include "shared/loop.h"
#include "shared/topology.h"
#include "shared/xalloc.h"
#include <bsd/sys/queue.h>
#include <stdlib.h>

struct entry {
	TAILQ_ENTRY(entry) link;
	uint64_t id;
	uint64_t publish_id;
	size_t size;
	struct message message;
};

enum outbox_state { OUTBOX_OPEN, OUTBOX_HOLDING };

struct outbox {
	struct loop *loop;
	struct broker *broker;
	const char *exchange;
	outbox_confirmed_fn *fn;
	void *arg;
	TAILQ_HEAD(, entry) entries;
	size_t count, bytes;
	enum outbox_state state;
	struct loop_timer *timer;
	struct backoff backoff;
};

static void
pump(struct outbox *o)
{
	struct entry *e;

	if (o->state == OUTBOX_HOLDING)
		return;
	TAILQ_FOREACH (e, &o->entries, link) {
		if (e->publish_id != 0)
			continue;
		if (!broker_can_publish(o->broker))
			return; /* on_ready or on_writable follows */
		e->publish_id =
		    broker_publish(o->broker, o->exchange, TOPOLOGY_MASTER_KEY, true, &e->message);
		if (e->publish_id == 0)
			return; /* it does not fit beside what is being sent */
	}
}

static void
on_timer(void *arg)
{
	struct outbox *o = arg;

	o->state = OUTBOX_OPEN;
	pump(o);
}

static void
hold(struct outbox *o, enum broker_outcome outcome, const char *why)
{
	uint32_t ms;

	if (o->state == OUTBOX_HOLDING)
		return;
	o->state = OUTBOX_HOLDING;
	ms = backoff_next(&o->backoff, ident_random32());
	loop_timer_arm(o->timer, ms);
	log_error("outbox",
	    "the broker does not take responses: %s%s%s; keeping %zu, trying again, retry_in=%ums",
	    broker_outcome_name(outcome), why != NULL ? ", " : "", why != NULL ? why : "", o->count,
	    ms);
	if (outcome == BROKER_RETURNED)
		log_error("outbox",
		    "no queue is bound to exchange %s; start vogelerd or run vogeler-admin setup",
		    o->exchange);
}

struct outbox *
outbox_create(struct loop *loop, struct broker *broker, const char *exchange,
    outbox_confirmed_fn *fn, void *arg)
{
	struct outbox *o = xcalloc(1, sizeof(*o));

	o->loop = loop;
	o->broker = broker;
	o->exchange = exchange;
	o->fn = fn;
	o->arg = arg;
	TAILQ_INIT(&o->entries);
	o->timer = loop_timer_create(loop, "outbox", on_timer, o);
	backoff_init(&o->backoff, OUTBOX_RETRY_MS, OUTBOX_RETRY_MAX_MS);
	return o;
}

static void
remove_entry(struct outbox *o, struct entry *e)
{
	TAILQ_REMOVE(&o->entries, e, link);
	o->count--;
	o->bytes -= e->size;
	message_finish(&e->message);
	free(e);
}

void
outbox_destroy(struct outbox *o)
{
	struct entry *e, *next;

	if (o == NULL)
		return;
	TAILQ_FOREACH_SAFE (e, &o->entries, link, next)
		remove_entry(o, e);
	loop_timer_destroy(o->timer);
	free(o);
}

void
outbox_add(struct outbox *o, uint64_t id, struct message *m)
{
	struct entry *e = xcalloc(1, sizeof(*e));

	e->id = id;
	e->size = message_size(m);
	e->message = *m;
	message_init(m);
	TAILQ_INSERT_TAIL(&o->entries, e, link);
	o->count++;
	o->bytes += e->size;
	pump(o);
}

bool
outbox_has_room(const struct outbox *o, size_t n)
{
	return o->count + n <= OUTBOX_COUNT_MAX && o->bytes < OUTBOX_BYTES_MAX;
}

size_t
outbox_count(const struct outbox *o)
{
	return o->count;
}

void
outbox_on_ready(struct outbox *o)
{
	/* A new connection may have a new topology: no reason to hold what the old one refused. */
	loop_timer_disarm(o->timer);
	o->state = OUTBOX_OPEN;
	pump(o);
}

void
outbox_on_writable(struct outbox *o)
{
	pump(o);
}

static struct entry *
find_publish(struct outbox *o, uint64_t publish_id)
{
	struct entry *e;

	TAILQ_FOREACH (e, &o->entries, link) {
		if (e->publish_id == publish_id)
			return e;
	}
	return NULL;
}

bool
outbox_on_confirm(
    struct outbox *o, uint64_t publish_id, enum broker_outcome outcome, const char *why)
{
	struct entry *e = find_publish(o, publish_id);
	uint64_t id;

	if (e == NULL || publish_id == 0)
		return false;
	switch (outcome) {
	case BROKER_CONFIRMED:
		id = e->id;
		remove_entry(o, e);
		backoff_reset(&o->backoff);
		pump(o);
		if (o->fn != NULL)
			o->fn(id, o->arg);
		break;
	case BROKER_NACKED:
	case BROKER_RETURNED:
		e->publish_id = 0;
		hold(o, outcome, why);
		break;
	case BROKER_LOST:
		e->publish_id = 0; /* nobody knows; the collector takes it twice if need be */
		break;
	}
	return true;
}
