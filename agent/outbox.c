/* SPDX-License-Identifier: Apache-2.0 */
/* See outbox.h. A lane is OPEN, sending whatever waits as fast as the broker takes it, or HOLDING
 * after a refusal, until the retry timer. All of a lane goes to one queue, so one refusal speaks
 * for all. An entry waits while publish_id is 0. Of one plugin's unasked results one waits and one
 * is with the broker, at most: so their number is bounded by that of the plugins. What no frame of
 * this broker holds is sent without what it can do without (lighten()). */
#include "agent/outbox.h"

#include "agent/report.h"

#include "shared/amqp/topology.h"
#include "shared/base/backoff.h"
#include "shared/base/ident.h"
#include "shared/base/log.h"
#include "shared/base/trouble.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include <assert.h>
#include <bsd/string.h>
#include <bsd/sys/queue.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct outbox_entry {
	TAILQ_ENTRY(outbox_entry) link;
	uint64_t id;
	uint64_t publish_id;
	size_t size;
	char *plugin; /* of an unasked result; NULL: an answer */
	bool fresh;
	bool unfit;               /* for this connection, whatever is taken away from it */
	struct outbox_lane *lane; /* that it was last published on */
	bool too_large;           /* the message is the failure that says so */
	struct mono since;
	struct message message;
};

enum outbox_lane_state { LANE_OPEN, LANE_HOLDING };

struct outbox_lane {
	struct outbox *box;
	const char *key, *name;
	enum outbox_lane_state state;
	struct loop_timer *timer;
	struct backoff backoff;
	char why[160];             /* of HOLDING */
	struct mono refused_since; /* until something is taken again; ms 0: it is */
};

/* Entries are sent in this order. */
enum entry_kind { ENTRY_FRESH, ENTRY_ANSWER, ENTRY_UNASKED };

struct outbox {
	struct loop *loop;
	struct broker *broker;
	const char *exchange;
	const char *host; /* NULL = not told */
	outbox_confirmed_fn *fn;
	void *arg;
	TAILQ_HEAD(, outbox_entry) entries;
	size_t count, bytes;               /* of answers */
	size_t newest_count, newest_bytes; /* of unasked results */
	uint64_t replaced, replaced_told;
	struct outbox_lane common, fresh;
	bool no_fresh_lane; /* this connection's broker has no queue for it */
	uint64_t added, confirmed, refused, lost;
};

static struct outbox_entry *
find_newest(struct outbox *o, const char *plugin, bool waits)
{
	struct outbox_entry *e;

	TAILQ_FOREACH (e, &o->entries, link) {
		if (e->plugin != NULL && (e->publish_id == 0) == waits &&
		    strcmp(e->plugin, plugin) == 0)
			return e;
	}
	return NULL;
}

static enum entry_kind
kind_of(const struct outbox *o, const struct outbox_entry *e)
{
	if (e->plugin != NULL)
		return ENTRY_UNASKED;
	if (e->fresh && !o->no_fresh_lane &&
	    mono_diff(loop_now(o->loop), e->since) < OUTBOX_FRESH_MS)
		return ENTRY_FRESH;
	return ENTRY_ANSWER;
}

static enum broker_fit
fit(const struct outbox *o, const struct outbox_entry *e)
{
	return broker_fit(o->broker, o->exchange, e->lane->key, &e->message);
}

static const char *
id_text(const struct outbox_entry *e)
{
	return e->message.message_id != NULL ? e->message.message_id : "(no id)";
}

/* Takes away what an answer can do without, in the order in which it is missed least: what the
 * plugin printed; and its name, which of a refused command has up to 4 KiB, and for which the
 * collector else goes by the body. Whatever else is in the headers fits the smallest frame there
 * is. */
static void
lighten(const struct outbox *o, struct outbox_entry *e)
{
	static const char *const spare[] = {"stdout_tail", "stderr_tail", "plugin"};
	char without[64] = "";

	for (size_t i = 0; i < sizeof(spare) / sizeof(spare[0]); i++) {
		if (fit(o, e) != BROKER_FIT_NO_HEADERS)
			break;
		if (!message_drop(&e->message, spare[i]))
			continue;
		strlcat(without, without[0] == '\0' ? "" : ", ", sizeof(without));
		strlcat(without, spare[i], sizeof(without));
	}
	if (without[0] != '\0')
		log_warn("outbox",
		    "%s: sent without %s, which the broker's frames (frame_max) are too small for",
		    id_text(e), without);
}

/* The broker takes no such body: a failure that says so goes in its place, as the same answer. */
static void
report_too_large(const struct outbox *o, struct outbox_entry *e)
{
	size_t bytes = e->message.body_len;

	if (o->host == NULL || e->too_large)
		return;
	report_too_large_for_broker(&e->message, o->host, wallclock_ms());
	e->too_large = true;
	log_error("outbox",
	    "%s: larger than the broker takes, bytes=%zu; a failure that says so is sent in its "
	    "place" TROUBLE_CURE "raise max_message_size in its rabbitmq.conf, or lower max_output",
	    id_text(e), bytes);
}

/* Takes away from one that was refused what this broker can never be given. Should it not fit all
 * the same, it is no reason to keep those behind it. false: nothing is in the way but what is being
 * sent. */
static bool
make_fit(const struct outbox *o, struct outbox_entry *e)
{
	if (fit(o, e) == BROKER_FITS)
		return false;
	lighten(o, e);
	if (fit(o, e) == BROKER_FIT_NO_BODY)
		report_too_large(o, e);
	e->unfit = fit(o, e) != BROKER_FITS;
	if (e->unfit)
		log_error("outbox", "%s: too large for this connection; keeping it, bytes=%zu",
		    id_text(e), e->size);
	return true;
}

/* false: not now. */
static bool
publish(struct outbox *o, struct outbox_lane *lane, struct outbox_entry *e)
{
	e->lane = lane;
	e->publish_id = broker_publish(o->broker, o->exchange, lane->key, true, &e->message);
	if (e->publish_id == 0 && make_fit(o, e) && !e->unfit)
		e->publish_id =
		    broker_publish(o->broker, o->exchange, lane->key, true, &e->message);
	return e->publish_id != 0 || e->unfit;
}

/* false: no more for now; on_ready or on_writable follows. */
static bool
pump_kind(struct outbox *o, enum entry_kind kind)
{
	struct outbox_lane *lane = kind == ENTRY_FRESH ? &o->fresh : &o->common;
	struct outbox_entry *e;

	if (lane->state != LANE_OPEN)
		return true;
	TAILQ_FOREACH (e, &o->entries, link) {
		if (e->publish_id != 0 || e->unfit || kind_of(o, e) != kind)
			continue;
		if (e->plugin != NULL && find_newest(o, e->plugin, false) != NULL)
			continue;
		if (!broker_can_publish(o->broker) || !publish(o, lane, e))
			return false;
	}
	return true;
}

static void
pump(struct outbox *o)
{
	if (pump_kind(o, ENTRY_FRESH) && pump_kind(o, ENTRY_ANSWER))
		pump_kind(o, ENTRY_UNASKED);
}

static void
on_timer(void *arg)
{
	struct outbox_lane *lane = arg;

	lane->state = LANE_OPEN;
	pump(lane->box);
}

/* One line each: when it begins, with what to do, and each time that it is no better. */
static void
tell_refusal(const struct outbox_lane *lane, enum broker_outcome outcome, bool begins, uint32_t ms)
{
	const struct outbox *o = lane->box;

	if (!begins)
		log_warn("outbox",
		    "the broker still does not take responses: %s, lane=%s; keeping %zu, "
		    "retry_in=%ums",
		    lane->why, lane->name, outbox_count(o), ms);
	else if (outcome == BROKER_RETURNED)
		log_error("outbox",
		    "no queue is bound to exchange %s with key \"%s\", the broker does not take "
		    "responses: %s, lane=%s; keeping %zu, trying again, retry_in=%ums" TROUBLE_CURE
		    "start vogelerd or run vogeler-admin setup",
		    o->exchange, lane->key, lane->why, lane->name, outbox_count(o), ms);
	else
		log_error("outbox",
		    "the broker does not take responses: %s, lane=%s; keeping %zu, trying again, "
		    "retry_in=%ums",
		    lane->why, lane->name, outbox_count(o), ms);
}

static void
hold(struct outbox_lane *lane, enum broker_outcome outcome, const char *why)
{
	struct outbox *o = lane->box;
	bool begins = lane->refused_since.ms == 0;
	uint32_t ms;

	if (lane->state == LANE_HOLDING)
		return;
	lane->state = LANE_HOLDING;
	if (begins)
		lane->refused_since = loop_now(o->loop);
	snprintf(lane->why, sizeof(lane->why), "%s%s%s", broker_outcome_name(outcome),
	    why != NULL ? ", " : "", why != NULL ? why : "");
	ms = backoff_next(&lane->backoff, ident_random32());
	loop_timer_arm(lane->timer, ms);
	tell_refusal(lane, outcome, begins, ms);
	if (outcome == BROKER_RETURNED)
		broker_rebind(o->broker);
}

static void
taken_again(struct outbox_lane *lane)
{
	if (lane->refused_since.ms == 0)
		return;
	log_warn("outbox", "the broker takes responses again, after %lld s, lane=%s",
	    (long long)mono_diff(loop_now(lane->box->loop), lane->refused_since) / 1000,
	    lane->name);
	lane->refused_since.ms = 0;
}

static void
lane_init(struct outbox_lane *lane, struct outbox *o, const char *key, const char *name)
{
	lane->box = o;
	lane->key = key;
	lane->name = name;
	lane->timer = loop_timer_create(o->loop, name, on_timer, lane);
	backoff_init(&lane->backoff, OUTBOX_RETRY_MS, OUTBOX_RETRY_MAX_MS);
}

static void
lane_open(struct outbox_lane *lane)
{
	loop_timer_disarm(lane->timer);
	lane->state = LANE_OPEN;
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
	lane_init(&o->common, o, TOPOLOGY_MASTER_KEY, "outbox");
	lane_init(&o->fresh, o, TOPOLOGY_FRESH_KEY, "fresh");
	return o;
}

void
outbox_set_host(struct outbox *o, const char *host)
{
	o->host = host;
}

static void
remove_entry(struct outbox *o, struct outbox_entry *e)
{
	TAILQ_REMOVE(&o->entries, e, link);
	if (e->plugin == NULL) {
		assert(o->count > 0);
		o->count--;
		assert(o->bytes >= e->size);
		o->bytes -= e->size;
	} else {
		assert(o->newest_count > 0);
		o->newest_count--;
		assert(o->newest_bytes >= e->size);
		o->newest_bytes -= e->size;
	}
	free(e->plugin);
	message_finish(&e->message);
	free(e);
}

void
outbox_destroy(struct outbox *o)
{
	struct outbox_entry *e, *next;

	if (o == NULL)
		return;
	TAILQ_FOREACH_SAFE (e, &o->entries, link, next)
		remove_entry(o, e);
	loop_timer_destroy(o->common.timer);
	loop_timer_destroy(o->fresh.timer);
	free(o);
}

/* Takes over what m holds. */
static struct outbox_entry *
entry_new(struct outbox *o, uint64_t id, struct message *m)
{
	struct outbox_entry *e = xcalloc(1, sizeof(*e));

	e->id = id;
	e->size = message_size(m);
	e->since = loop_now(o->loop);
	o->added++;
	e->message = *m;
	message_init(m);
	return e;
}

static void
add_answer(struct outbox *o, uint64_t id, struct message *m, bool fresh)
{
	struct outbox_entry *e = entry_new(o, id, m);

	e->fresh = fresh;
	TAILQ_INSERT_TAIL(&o->entries, e, link);
	o->count++;
	o->bytes += e->size;
	pump(o);
}

void
outbox_add(struct outbox *o, uint64_t id, struct message *m)
{
	add_answer(o, id, m, false);
}

void
outbox_add_fresh(struct outbox *o, uint64_t id, struct message *m)
{
	add_answer(o, id, m, true);
}

/* Told at the first, and how many it came to when the broker takes them again. */
static void
replace(struct outbox *o, struct outbox_entry *old)
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
	struct outbox_entry *e, *next;

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
	struct outbox_entry *e = entry_new(o, id, m), *old = find_newest(o, plugin, true);

	if (old != NULL)
		replace(o, old);
	drop_oldest(o, e->size);
	e->plugin = xstrdup(plugin);
	TAILQ_INSERT_TAIL(&o->entries, e, link);
	o->newest_count++;
	o->newest_bytes += e->size;
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
	return o->count + o->newest_count;
}

void
outbox_status(const struct outbox *o, struct outbox_status *out)
{
	const struct outbox_entry *e = TAILQ_FIRST(&o->entries);
	const struct outbox_lane *held = o->common.state == LANE_HOLDING ? &o->common : &o->fresh;

	*out = (struct outbox_status){
	    .answers = o->count,
	    .answer_bytes = o->bytes,
	    .newest = o->newest_count,
	    .newest_bytes = o->newest_bytes,
	    .oldest_ms = e != NULL ? mono_diff(loop_now(o->loop), e->since) : 0,
	    .why = held->state == LANE_HOLDING ? held->why : "",
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
	struct outbox_entry *e;

	/* A new connection may have a new topology: no reason to hold what the old one refused. */
	lane_open(&o->common);
	lane_open(&o->fresh);
	o->no_fresh_lane = false;
	TAILQ_FOREACH (e, &o->entries, link)
		e->unfit = false; /* its frames may be larger */
	pump(o);
}

void
outbox_on_writable(struct outbox *o)
{
	pump(o);
}

static struct outbox_entry *
find_publish(struct outbox *o, uint64_t publish_id)
{
	struct outbox_entry *e;

	TAILQ_FOREACH (e, &o->entries, link) {
		if (e->publish_id == publish_id)
			return e;
	}
	return NULL;
}

/* Back from the broker, unless something newer waits already. */
static void
wait_again(struct outbox *o, struct outbox_entry *e)
{
	if (e->plugin != NULL && find_newest(o, e->plugin, true) != NULL)
		replace(o, e);
	else
		e->publish_id = 0;
}

/* The collector has not made that queue, or is one of 2010: then this is so for a while. */
static void
do_without_fresh_lane(struct outbox *o)
{
	if (o->no_fresh_lane)
		return;
	o->no_fresh_lane = true;
	lane_open(&o->fresh);
	log_info("outbox",
	    "no queue is bound to exchange %s with key %s; fresh answers go with "
	    "all others until the next connection",
	    o->exchange, o->fresh.key);
}

bool
outbox_on_confirm(
    struct outbox *o, uint64_t publish_id, enum broker_outcome outcome, const char *why)
{
	struct outbox_entry *e = find_publish(o, publish_id);
	struct outbox_lane *lane;
	uint64_t id;

	if (e == NULL || publish_id == 0)
		return false;
	switch (outcome) {
	case BROKER_CONFIRMED:
		o->confirmed++;
		id = e->id;
		backoff_reset(&e->lane->backoff);
		taken_again(e->lane);
		remove_entry(o, e);
		tell_replaced(o);
		pump(o);
		if (o->fn != NULL)
			o->fn(id, o->arg);
		break;
	case BROKER_NACKED:
	case BROKER_RETURNED:
		if (outcome == BROKER_RETURNED && e->lane == &o->fresh) {
			do_without_fresh_lane(o);
			e->publish_id = 0;
			pump(o);
			break;
		}
		o->refused++;
		lane = e->lane;
		wait_again(o, e);
		hold(lane, outcome, why);
		break;
	case BROKER_LOST:
		o->lost++;
		wait_again(o, e); /* nobody knows; the collector takes it twice if need be */
		break;
	}
	return true;
}
