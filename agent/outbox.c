/* See outbox.h. The box is OPEN, sending whatever waits as fast as the broker takes it, or HOLDING
 * after a refusal, until the retry timer. Everything goes to one queue, so one refusal speaks for
 * all. An entry waits while publish_id is 0. Of one plugin's unasked results one waits and one is
 * with the broker, at most: so their number is bounded by that of the plugins. */
#include "agent/outbox.h"

#include "shared/backoff.h"
#include "shared/ident.h"
#include "shared/log.h"
#include "shared/loop.h"
#include "shared/topology.h"
#include "shared/xalloc.h"
#include <bsd/sys/queue.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct entry {
	TAILQ_ENTRY(entry) link;
	uint64_t id;
	uint64_t publish_id;
	size_t size;
	char *plugin; /* of an unasked result; NULL: an answer */
	struct mono since;
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
	size_t count, bytes;               /* of answers */
	size_t newest_count, newest_bytes; /* of unasked results */
	uint64_t replaced, replaced_told;
	enum outbox_state state;
	struct loop_timer *timer;
	struct backoff backoff;
	char why[160]; /* of HOLDING */
	uint64_t added, confirmed, refused, lost;
};

static struct entry *
find_newest(struct outbox *o, const char *plugin, bool waits)
{
	struct entry *e;

	TAILQ_FOREACH (e, &o->entries, link) {
		if (e->plugin != NULL && (e->publish_id == 0) == waits &&
		    strcmp(e->plugin, plugin) == 0)
			return e;
	}
	return NULL;
}

/* false: no more for now; on_ready or on_writable follows. */
static bool
pump_kind(struct outbox *o, bool asked)
{
	struct entry *e;

	TAILQ_FOREACH (e, &o->entries, link) {
		if (e->publish_id != 0 || (e->plugin == NULL) != asked)
			continue;
		if (!asked && find_newest(o, e->plugin, false) != NULL)
			continue;
		if (!broker_can_publish(o->broker))
			return false;
		e->publish_id =
		    broker_publish(o->broker, o->exchange, TOPOLOGY_MASTER_KEY, true, &e->message);
		if (e->publish_id == 0)
			return false; /* it does not fit beside what is being sent */
	}
	return true;
}

static void
pump(struct outbox *o)
{
	if (o->state == OUTBOX_OPEN && pump_kind(o, true))
		pump_kind(o, false);
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
	snprintf(o->why, sizeof(o->why), "%s%s%s", broker_outcome_name(outcome),
	    why != NULL ? ", " : "", why != NULL ? why : "");
	ms = backoff_next(&o->backoff, ident_random32());
	loop_timer_arm(o->timer, ms);
	log_error("outbox",
	    "the broker does not take responses: %s%s%s; keeping %zu, trying again, retry_in=%ums",
	    broker_outcome_name(outcome), why != NULL ? ", " : "", why != NULL ? why : "",
	    outbox_count(o), ms);
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
	if (e->plugin == NULL) {
		o->count--;
		o->bytes -= e->size;
	} else {
		o->newest_count--;
		o->newest_bytes -= e->size;
	}
	free(e->plugin);
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

/* Takes over what m holds. */
static struct entry *
entry_new(struct outbox *o, uint64_t id, struct message *m)
{
	struct entry *e = xcalloc(1, sizeof(*e));

	e->id = id;
	e->size = message_size(m);
	e->since = loop_now(o->loop);
	o->added++;
	e->message = *m;
	message_init(m);
	return e;
}

void
outbox_add(struct outbox *o, uint64_t id, struct message *m)
{
	struct entry *e = entry_new(o, id, m);

	TAILQ_INSERT_TAIL(&o->entries, e, link);
	o->count++;
	o->bytes += e->size;
	pump(o);
}

/* Told at the first, and how many it came to when the broker takes them again. */
static void
replace(struct outbox *o, struct entry *old)
{
	if (o->replaced++ == o->replaced_told)
		log_info("outbox",
		    "%s: its unsent result is replaced by a newer one, and so are those to come",
		    old->plugin);
	remove_entry(o, old);
}

static void
tell_replaced(struct outbox *o)
{
	if (o->replaced == o->replaced_told)
		return;
	log_warn("outbox",
	    "%" PRIu64 " results of the schedule were replaced by newer ones before they were sent",
	    o->replaced - o->replaced_told);
	o->replaced_told = o->replaced;
}

/* One that is with the broker is no longer waited for then: most likely it has it. */
static void
drop_oldest(struct outbox *o, size_t room)
{
	struct entry *e, *next;

	TAILQ_FOREACH_SAFE (e, &o->entries, link, next) {
		if (o->newest_bytes + room <= OUTBOX_NEWEST_MAX)
			return;
		if (e->plugin != NULL)
			replace(o, e);
	}
}

void
outbox_add_newest(struct outbox *o, uint64_t id, const char *plugin, struct message *m)
{
	struct entry *e = entry_new(o, id, m), *old = find_newest(o, plugin, true);

	if (old != NULL)
		replace(o, old);
	drop_oldest(o, e->size);
	e->plugin = xstrdup(plugin);
	TAILQ_INSERT_TAIL(&o->entries, e, link);
	o->newest_count++;
	o->newest_bytes += e->size;
	pump(o);
}

uint64_t
outbox_replaced(const struct outbox *o)
{
	return o->replaced;
}

bool
outbox_has_room(const struct outbox *o, size_t n)
{
	return o->count + n <= OUTBOX_COUNT_MAX && o->bytes < OUTBOX_BYTES_MAX;
}

size_t
outbox_count(const struct outbox *o)
{
	return o->count + o->newest_count;
}

void
outbox_status(const struct outbox *o, struct outbox_status *out)
{
	const struct entry *e = TAILQ_FIRST(&o->entries);

	*out = (struct outbox_status){
	    .count = outbox_count(o),
	    .bytes = o->bytes + o->newest_bytes,
	    .oldest_ms = e != NULL ? mono_diff(loop_now(o->loop), e->since) : 0,
	    .why = o->state == OUTBOX_HOLDING ? o->why : "",
	    .added = o->added,
	    .confirmed = o->confirmed,
	    .refused = o->refused,
	    .lost = o->lost,
	    .replaced = o->replaced,
	};
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

/* Back from the broker, unless something newer waits already. */
static void
wait_again(struct outbox *o, struct entry *e)
{
	if (e->plugin != NULL && find_newest(o, e->plugin, true) != NULL)
		replace(o, e);
	else
		e->publish_id = 0;
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
		o->confirmed++;
		id = e->id;
		remove_entry(o, e);
		backoff_reset(&o->backoff);
		tell_replaced(o);
		pump(o);
		if (o->fn != NULL)
			o->fn(id, o->arg);
		break;
	case BROKER_NACKED:
	case BROKER_RETURNED:
		o->refused++;
		wait_again(o, e);
		hold(o, outcome, why);
		break;
	case BROKER_LOST:
		o->lost++;
		wait_again(o, e); /* nobody knows; the collector takes it twice if need be */
		break;
	}
	return true;
}
