/* SPDX-License-Identifier: Apache-2.0 */
/* See collector.h. The machine:
 *
 *              STORE_THERE
 *   PROBING -----------------> TAKING ----+
 *     ^  |                     ^  |  ^    | OTHER_LEADS     NO_OTHER_LEADS: to where
 *     |  | STORE_TRYING        |  |  |    v                 the breaker is
 *     |  +--------> TRYING ----+  |  +- STANDBY
 *     |                | STORE_THERE        |
 *     +----------------+----------+---------+    DRAIN: DRAINING, from all of them
 *                 STORE_AWAY                     DRAINING -- EMPTY, DRAIN_TIMER, STORE_AWAY -->
 * DRAINED
 *
 * How the store is, the breaker knows (breaker.h): STORE_* say that it has changed its mind. */
#include "daemon/collector.h"

#include "daemon/batch.h"
#include "daemon/damage.h"
#include "daemon/deadletter.h"
#include "daemon/inflight.h"
#include "shared/amqp/topology.h"
#include "shared/base/ident.h"
#include "shared/base/log.h"
#include "shared/base/ratelimit.h"
#include "shared/base/trouble.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"

#include <assert.h>
#include <bsd/string.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A probe asks whether the store still takes writes, when nothing was written for so long. */
#define IDLE_MS        5000
#define IDLE_JITTER_MS 500

struct collector {
	struct loop *loop;
	struct broker *consumer;
	struct store *store;
	struct leader *leader;
	bool setup_store;
	void (*on_state)(enum collector_state state, const char *reason, void *arg);
	void (*on_greeted)(const char *host, void *arg);
	uint16_t prefetch;
	uint32_t drain_timeout_ms;
	collector_drained_fn *on_drained;
	void *arg;
	enum collector_state state;
	struct inflight *inflight;
	struct batch *batch;  /* inflight's */
	struct mono asked_at; /* a probe is under way since; 0 = none is */
	char *told;           /* PROBE_FAILED: what the store says, during the event */
	struct ratelimit said_probe, said_down;
	bool said_without;        /* the fresh queue; until the next reload */
	uint64_t received_before; /* TRYING: at the last look */
	uint32_t window;          /* prefetch in TRYING */
	struct loop_timer *probe;
	struct loop_timer *drain;
	/* for collector_status() */
	struct mono state_since;
};

enum collector_event {
	COLLECTOR_EV_DRAIN,          /* the owner wants to stop */
	COLLECTOR_EV_DRAIN_TIMER,    /* time is over, or it is to be told */
	COLLECTOR_EV_EMPTY,          /* nothing is in hand any more */
	COLLECTOR_EV_HELD_UP,        /* what cannot go on holds places in the prefetch */
	COLLECTOR_EV_CONSUMER_READY, /* the broker is there */
	COLLECTOR_EV_STORE_AWAY,     /* the breaker, at each of its changes */
	COLLECTOR_EV_STORE_TRYING,
	COLLECTOR_EV_STORE_THERE,
	COLLECTOR_EV_OTHER_LEADS, /* another collector goes on */
	COLLECTOR_EV_NO_OTHER_LEADS,
	COLLECTOR_EV_LOOK, /* the timer of the state: probe the store, or look at it */
	COLLECTOR_EV_PROBE_PASSED,
	COLLECTOR_EV_PROBE_FAILED,
};

static void collector_step(struct collector *in, enum collector_event ev);
static void collector_enter(struct collector *in, enum collector_state next, const char *reason);
static void on_done(bool stored, void *arg);
static void on_breaker(void *arg);
static void on_held_up(void *arg);
static void on_greeted(const char *host, void *arg);
static void on_probe(void *arg);
static void on_drain(void *arg);
static void on_probed(const struct trouble *why, const char *done, void *arg);
static void on_set_up(const struct trouble *why, const char *done, void *arg);

static const struct inflight_handlers inflight_handlers = {
    .on_done = on_done,
    .on_breaker = on_breaker,
    .on_held_up = on_held_up,
    .on_greeted = on_greeted,
};

const char *
collector_state_name(enum collector_state s)
{
	switch (s) {
	case COLLECTOR_PROBING:
		return "PROBING";
	case COLLECTOR_TRYING:
		return "TRYING";
	case COLLECTOR_TAKING:
		return "TAKING";
	case COLLECTOR_STANDBY:
		return "STANDBY";
	case COLLECTOR_DRAINING:
		return "DRAINING";
	case COLLECTOR_DRAINED:
		return "DRAINED";
	}
	return "?";
}

static const char *
event_name(enum collector_event ev)
{
	switch (ev) {
	case COLLECTOR_EV_DRAIN:
		return "DRAIN";
	case COLLECTOR_EV_DRAIN_TIMER:
		return "DRAIN_TIMER";
	case COLLECTOR_EV_EMPTY:
		return "EMPTY";
	case COLLECTOR_EV_HELD_UP:
		return "HELD_UP";
	case COLLECTOR_EV_CONSUMER_READY:
		return "CONSUMER_READY";
	case COLLECTOR_EV_STORE_AWAY:
		return "STORE_AWAY";
	case COLLECTOR_EV_STORE_TRYING:
		return "STORE_TRYING";
	case COLLECTOR_EV_STORE_THERE:
		return "STORE_THERE";
	case COLLECTOR_EV_OTHER_LEADS:
		return "OTHER_LEADS";
	case COLLECTOR_EV_NO_OTHER_LEADS:
		return "NO_OTHER_LEADS";
	case COLLECTOR_EV_LOOK:
		return "LOOK";
	case COLLECTOR_EV_PROBE_PASSED:
		return "PROBE_PASSED";
	case COLLECTOR_EV_PROBE_FAILED:
		return "PROBE_FAILED";
	}
	return "?";
}

static void
take_options(struct collector *in, const struct options *opt)
{
	in->prefetch = (uint16_t)opt->prefetch;
	in->drain_timeout_ms = opt->drain_timeout_ms;
}

struct collector *
collector_create(const struct collector_parts *parts, const struct options *opt,
    collector_drained_fn *on_drained, void *arg)
{
	struct collector *in = xcalloc(1, sizeof(*in));
	struct inflight_parts inflight = {
	    parts->loop, parts->consumer, parts->publisher, parts->store};

	in->loop = parts->loop;
	in->consumer = parts->consumer;
	in->store = parts->store;
	in->leader = parts->leader;
	in->setup_store = parts->setup_store;
	in->on_state = parts->on_state;
	in->on_greeted = parts->on_greeted;
	in->on_drained = on_drained;
	in->arg = arg;
	take_options(in, opt);
	in->state_since = loop_now(in->loop);
	in->inflight = inflight_create(&inflight, opt, &inflight_handlers, in);
	in->batch = inflight_batch(in->inflight);
	in->probe = loop_timer_create(in->loop, "inbox probe", on_probe, in);
	in->drain = loop_timer_create(in->loop, "inbox drain", on_drain, in);
	return in;
}

static const struct breaker *
breaker(const struct collector *in)
{
	return batch_breaker(in->batch);
}

static void
tell_state(const struct collector *in, const char *reason)
{
	if (in->on_state != NULL)
		in->on_state(in->state, reason, in->arg);
}

static bool
is_consuming(enum collector_state s)
{
	return s == COLLECTOR_TRYING || s == COLLECTOR_TAKING;
}

/* ---- what is in hand ---- */

static void
tell_leader(struct collector *in)
{
	const uint64_t *answers = batch_stats(in->batch)->answers;

	leader_note(in->leader, answers[STORE_OK], answers[STORE_CONFLICT]);
}

static void
on_done(bool stored, void *arg)
{
	struct collector *in = arg;

	if (inflight_count(in->inflight) == 0)
		collector_step(in, COLLECTOR_EV_EMPTY);
	if (stored && in->state == COLLECTOR_TAKING)
		tell_leader(in);
}

static void
on_greeted(const char *host, void *arg)
{
	struct collector *in = arg;

	if (in->on_greeted != NULL)
		in->on_greeted(host, in->arg);
}

void
collector_on_delivery(struct collector *in, struct delivery *d)
{
	if (is_consuming(in->state))
		inflight_take(in->inflight, d);
	else /* it was on its way when we cancelled */
		inflight_refuse(in->inflight, d);
}

/* ---- what cannot go on ---- */

/* RabbitMQ 3.10 ends the connection (INTERNAL_ERROR) when a consumer is cancelled of which it has
 * not said yet that it is there. */
static bool
consumers_are_there(const struct collector *in)
{
	return broker_consuming(in->consumer, TOPOLOGY_MASTER_QUEUE) &&
	       (broker_without(in->consumer, TOPOLOGY_FRESH_QUEUE) != NULL ||
		   broker_consuming(in->consumer, TOPOLOGY_FRESH_QUEUE));
}

/* Dead letters that cannot be sent and what waits for room in the share of its host hold places in
 * the prefetch, half of it at most: then the consumers are made anew, which gives the good answers
 * behind them all of it again. Not without end, for each holds memory. */
static bool
is_held_up(const struct collector *in)
{
	size_t half = in->prefetch > 1 ? in->prefetch / 2 : 1;

	return inflight_held_up_now(in->inflight) >= half &&
	       inflight_held_up(in->inflight) < INFLIGHT_HELD_UP_MAX && consumers_are_there(in);
}

static void
on_held_up(void *arg)
{
	collector_step(arg, COLLECTOR_EV_HELD_UP);
}

/* ---- the two brokers ---- */

static void
tell_without(struct collector *in, const char *why)
{
	if (in->said_without)
		return;
	in->said_without = true;
	log_warn("inbox",
	    "%s: goes on without queue " TOPOLOGY_FRESH_QUEUE ", the broker says \"%s\": answers "
	    "that somebody waits for come behind all others, and any in that queue are left to "
	    "other collectors" TROUBLE_CURE
	    "let an administrator run vogeler-admin setup, or give the user the right to it, then "
	    "reload",
	    broker_id(in->consumer), why);
}

static void
consume(struct collector *in)
{
	uint16_t prefetch = in->state == COLLECTOR_TRYING && in->window < in->prefetch
				? (uint16_t)in->window
				: in->prefetch;
	const char *why;

	if (!is_consuming(in->state) || !broker_is_ready(in->consumer))
		return;
	inflight_on_consume(in->inflight);
	why = broker_without(in->consumer, TOPOLOGY_FRESH_QUEUE);
	if (why != NULL)
		tell_without(in, why);
	else
		broker_consume(in->consumer, TOPOLOGY_FRESH_QUEUE, prefetch, false);
	broker_consume(in->consumer, TOPOLOGY_MASTER_QUEUE, prefetch, false);
}

/* A prefetch holds for consumers that come after it; what the old ones handed out stays ours. */
static void
consume_anew(struct collector *in)
{
	broker_cancel(in->consumer);
	consume(in);
}

static void
consume_past_held_up(struct collector *in)
{
	log_info("inbox", "%s: consumes anew, for what cannot go on holds the prefetch, held=%zu",
	    broker_id(in->consumer), inflight_held_up(in->inflight));
	consume_anew(in);
}

void
collector_on_consumer_ready(struct collector *in)
{
	collector_step(in, COLLECTOR_EV_CONSUMER_READY);
}

void
collector_on_consumer_down(struct collector *in)
{
	inflight_on_consumer_down(in->inflight);
	leader_resign(in->leader);
}

struct deadletter *
collector_deadletter(struct collector *in)
{
	return inflight_deadletter(in->inflight);
}

void
collector_on_leader(struct collector *in, enum leader_state leader)
{
	collector_step(
	    in, leader == LEADER_OTHER ? COLLECTOR_EV_OTHER_LEADS : COLLECTOR_EV_NO_OTHER_LEADS);
}

/* ---- the store ---- */

static void
ask_store(struct collector *in)
{
	if (in->asked_at.ms != 0)
		return;
	in->asked_at = loop_now(in->loop);
	if (in->setup_store)
		store_setup(in->store, on_set_up, in);
	else
		store_probe(in->store, on_probed, in);
}

static void
log_probe_failed(struct collector *in, const char *what)
{
	int64_t wait_ms = breaker_next_ms(breaker(in), loop_now(in->loop));
	uint32_t unlogged;

	if (ratelimit_due(&in->said_probe, what, loop_now(in->loop), &unlogged))
		log_error("inbox",
		    "store[%s]: %s, retry_in=%" PRId64 "ms, unlogged_before=%" PRIu32,
		    store_id(in->store), what, wait_ms, unlogged);
}

static void
arm_probe(struct collector *in)
{
	assert(in->state == COLLECTOR_PROBING || in->state == COLLECTOR_STANDBY);
	if (in->state == COLLECTOR_PROBING)
		loop_timer_arm(in->probe, breaker_next_ms(breaker(in), loop_now(in->loop)));
	else
		loop_timer_arm(in->probe, IDLE_MS);
}

/* Tells the batch, of an idle store too: it is then known to be gone before anything waits
 * for it. */
static void
probe_failed(struct collector *in)
{
	const char *what = in->told;

	batch_tell(in->batch, BREAKER_PROBE_FAILED, what);
	leader_resign(in->leader); /* if it was to go on: another may have a store */
	tell_state(in, what);
	log_probe_failed(in, what);
	if (in->state == COLLECTOR_PROBING || in->state == COLLECTOR_STANDBY)
		arm_probe(in);
}

/* Adds jitter, since others probe with the same document. */
static void
arm_idle_probe(struct collector *in)
{
	loop_timer_arm(in->probe, IDLE_MS - ident_random32() % IDLE_JITTER_MS);
}

static void
on_probed(const struct trouble *why, const char *done, void *arg)
{
	struct collector *in = arg;

	in->asked_at = (struct mono){0};
	if (why == NULL)
		batch_tell(in->batch, BREAKER_PROBE_PASSED, NULL);
	else
		in->told = trouble_text(why);
	collector_step(in, why == NULL ? COLLECTOR_EV_PROBE_PASSED : COLLECTOR_EV_PROBE_FAILED);
	free(in->told);
	in->told = NULL;
}

static void
on_set_up(const struct trouble *why, const char *done, void *arg)
{
	struct collector *in = arg;

	if (why != NULL) {
		on_probed(why, NULL, arg);
		return;
	}
	log_debug("inbox", "store[%s]: %s", store_id(in->store), done);
	in->setup_store = false;
	store_probe(in->store, on_probed, in);
}

/* TRYING, and nothing comes that could be written; or it does, and is refused. */
static void
look_for_work(struct collector *in)
{
	bool quiet = inflight_count(in->inflight) == 0 &&
		     inflight_received(in->inflight) == in->received_before &&
		     broker_consuming(in->consumer, TOPOLOGY_MASTER_QUEUE);

	in->received_before = inflight_received(in->inflight);
	loop_timer_arm(in->probe, IDLE_MS);
	if (quiet)
		batch_tell(in->batch, BREAKER_QUIET, NULL);
}

/* TAKING: whoever writes nothing does not see that the store is gone. */
static void
look_whether_idle(struct collector *in)
{
	int64_t left_ms = IDLE_MS - mono_diff(loop_now(in->loop), batch_stats(in->batch)->last_ok);

	if (left_ms <= 0 && inflight_waiting(in->inflight) == 0)
		ask_store(in);
	else
		loop_timer_arm(in->probe, left_ms > 0 ? left_ms : IDLE_MS);
}

static void
on_probe(void *arg)
{
	collector_step(arg, COLLECTOR_EV_LOOK);
}

static void
log_down(struct collector *in)
{
	const struct breaker *b = breaker(in);
	uint32_t unlogged;

	if (b->unproven && ratelimit_due(&in->said_down, b->why, loop_now(in->loop), &unlogged))
		log_warn("inbox",
		    "store[%s]: takes nothing, %s; deliveries are given back, "
		    "unlogged_before=%" PRIu32,
		    store_id(in->store), b->why, unlogged);
}

static void
log_waiting(void)
{
	log_info("inbox", "Waiting for more messages");
}

/* Says what has told the breaker that the store is away no more, or on its way back. */
static const char *
why_back(const struct collector *in)
{
	if (in->state == COLLECTOR_PROBING)
		return "the store answers";
	if (mono_diff(batch_stats(in->batch)->last_ok, in->state_since) >= 0)
		return "the store has taken a write";
	return "nothing waits for the store";
}

static void
on_breaker(void *arg)
{
	struct collector *in = arg;
	enum collector_event ev = COLLECTOR_EV_STORE_AWAY;

	switch (breaker(in)->state) {
	case BREAKER_AWAY:
		break;
	case BREAKER_TRYING:
		ev = COLLECTOR_EV_STORE_TRYING;
		break;
	case BREAKER_THERE:
		ev = COLLECTOR_EV_STORE_THERE;
		break;
	}
	collector_step(in, ev);
}

/* ---- states ---- */

static void
start_draining(struct collector *in)
{
	broker_cancel(in->consumer);
	inflight_return_held(in->inflight);
	batch_hurry(in->batch);
	/* Through the timer even when nothing is in hand: on_drained never comes from inside. */
	loop_timer_arm(in->drain, inflight_count(in->inflight) == 0 ? 0 : in->drain_timeout_ms);
}

/* One delivery, then some more, which are kept and tried again: to give each back after
 * store_patience would use up the delivery counts of harmless ones. */
static void
start_trying(struct collector *in)
{
	in->received_before = inflight_received(in->inflight);
	consume(in);
	loop_timer_arm(in->probe, IDLE_MS);
}

static void
log_up(struct collector *in)
{
	struct mono now = loop_now(in->loop);
	uint32_t probes, refusals;
	bool due = ratelimit_over(&in->said_probe, now, &probes);

	due = ratelimit_over(&in->said_down, now, &refusals) || due;
	if (due)
		log_warn("inbox", "store[%s]: up again after %" PRId64 " s, unlogged=%" PRIu32,
		    store_id(in->store), mono_diff(now, breaker(in)->since) / 1000,
		    probes + refusals);
}

static void
start_taking(struct collector *in, bool from_trying)
{
	log_up(in);
	if (from_trying)
		consume_anew(in); /* its prefetch was small */
	else
		consume(in);
	loop_timer_arm(in->probe, IDLE_MS);
	log_waiting();
}

static void
take_nothing(struct collector *in)
{
	broker_cancel(in->consumer); /* first: else what is given back comes right back */
	inflight_give_back(in->inflight);
}

/* The only writer of ->state. */
static void
collector_enter(struct collector *in, enum collector_state next, const char *reason)
{
	enum collector_state old = in->state;

	log_info("inbox", "inbox: %s -> %s, reason=%s", collector_state_name(old),
	    collector_state_name(next), reason);
	in->state = next;
	in->state_since = loop_now(in->loop);
	tell_state(in, reason);
	loop_timer_disarm(in->probe);
	switch (next) {
	case COLLECTOR_PROBING:
		if (old != COLLECTOR_STANDBY)
			leader_resign(in->leader);
		take_nothing(in);
		arm_probe(in);
		break;
	case COLLECTOR_STANDBY:
		if (!breaker(in)->unproven)
			log_up(in);
		take_nothing(in);
		arm_probe(in);
		break;
	case COLLECTOR_TRYING:
		start_trying(in);
		break;
	case COLLECTOR_TAKING:
		start_taking(in, old == COLLECTOR_TRYING);
		break;
	case COLLECTOR_DRAINING:
		leader_resign(in->leader);
		start_draining(in);
		break;
	case COLLECTOR_DRAINED:
		inflight_give_back(in->inflight);
		loop_timer_arm(in->drain, 0);
		break;
	}
}

/* ---- events ---- */

static void
stand_by(struct collector *in)
{
	collector_enter(in, COLLECTOR_STANDBY, "another collector goes on");
}

/* Tries few at once, and more while the store takes them. */
static void
try_store(struct collector *in, const char *reason)
{
	in->window = breaker(in)->window;
	collector_enter(in, COLLECTOR_TRYING, reason);
}

static void
step_probing(struct collector *in, enum collector_event ev)
{
	bool other = leader_get_state(in->leader) == LEADER_OTHER;

	switch (ev) {
	case COLLECTOR_EV_DRAIN:
		collector_enter(in, COLLECTOR_DRAINING, "asked to stop");
		return;
	case COLLECTOR_EV_STORE_AWAY:
		log_down(in);
		return;
	case COLLECTOR_EV_STORE_TRYING:
		if (other)
			stand_by(in);
		else
			try_store(in, why_back(in));
		return;
	case COLLECTOR_EV_STORE_THERE:
		if (other)
			stand_by(in);
		else
			collector_enter(in, COLLECTOR_TAKING, why_back(in));
		return;
	case COLLECTOR_EV_LOOK:
		ask_store(in);
		return;
	case COLLECTOR_EV_PROBE_FAILED:
		probe_failed(in);
		return;
	case COLLECTOR_EV_PROBE_PASSED:
	case COLLECTOR_EV_CONSUMER_READY:
	case COLLECTOR_EV_OTHER_LEADS:
	case COLLECTOR_EV_NO_OTHER_LEADS:
	case COLLECTOR_EV_EMPTY:
	case COLLECTOR_EV_HELD_UP:
	case COLLECTOR_EV_DRAIN_TIMER:
		return;
	}
}

static void
step_trying(struct collector *in, enum collector_event ev)
{
	switch (ev) {
	case COLLECTOR_EV_DRAIN:
		collector_enter(in, COLLECTOR_DRAINING, "asked to stop");
		return;
	case COLLECTOR_EV_STORE_AWAY:
		log_down(in);
		collector_enter(in, COLLECTOR_PROBING, breaker(in)->why);
		return;
	case COLLECTOR_EV_STORE_TRYING:
		if (leader_get_state(in->leader) == LEADER_OTHER) {
			stand_by(in);
		} else {
			in->window = breaker(in)->window;
			consume_anew(in);
		}
		return;
	case COLLECTOR_EV_STORE_THERE:
		if (leader_get_state(in->leader) == LEADER_OTHER)
			stand_by(in);
		else
			collector_enter(in, COLLECTOR_TAKING, why_back(in));
		return;
	case COLLECTOR_EV_OTHER_LEADS:
		stand_by(in);
		return;
	case COLLECTOR_EV_CONSUMER_READY:
		consume(in);
		return;
	case COLLECTOR_EV_EMPTY:
		log_waiting();
		return;
	case COLLECTOR_EV_LOOK:
		look_for_work(in);
		return;
	case COLLECTOR_EV_PROBE_PASSED:
	case COLLECTOR_EV_PROBE_FAILED: /* of before: what is tried says more */
	case COLLECTOR_EV_NO_OTHER_LEADS:
	case COLLECTOR_EV_HELD_UP:
	case COLLECTOR_EV_DRAIN_TIMER:
		return;
	}
}

static void
step_taking(struct collector *in, enum collector_event ev)
{
	switch (ev) {
	case COLLECTOR_EV_DRAIN:
		collector_enter(in, COLLECTOR_DRAINING, "asked to stop");
		return;
	case COLLECTOR_EV_STORE_AWAY:
		log_down(in);
		collector_enter(in, COLLECTOR_PROBING, breaker(in)->why);
		return;
	case COLLECTOR_EV_STORE_TRYING:
		if (leader_get_state(in->leader) == LEADER_OTHER)
			stand_by(in);
		else
			try_store(in, why_back(in));
		return;
	case COLLECTOR_EV_STORE_THERE:
		if (leader_get_state(in->leader) == LEADER_OTHER)
			stand_by(in);
		return;
	case COLLECTOR_EV_OTHER_LEADS:
		stand_by(in);
		return;
	case COLLECTOR_EV_CONSUMER_READY:
		consume(in);
		return;
	case COLLECTOR_EV_EMPTY:
		log_waiting();
		return;
	case COLLECTOR_EV_HELD_UP:
		if (is_held_up(in))
			consume_past_held_up(in);
		return;
	case COLLECTOR_EV_LOOK:
		look_whether_idle(in);
		return;
	case COLLECTOR_EV_PROBE_PASSED:
		arm_idle_probe(in);
		return;
	case COLLECTOR_EV_PROBE_FAILED:
		if (inflight_waiting(in->inflight) > 0) /* that will tell */
			loop_timer_arm(in->probe, IDLE_MS);
		else
			probe_failed(in);
		return;
	case COLLECTOR_EV_NO_OTHER_LEADS:
	case COLLECTOR_EV_DRAIN_TIMER:
		return;
	}
}

static void
step_standby(struct collector *in, enum collector_event ev)
{
	static const char no_other[] = "no other collector goes on";

	switch (ev) {
	case COLLECTOR_EV_DRAIN:
		collector_enter(in, COLLECTOR_DRAINING, "asked to stop");
		return;
	case COLLECTOR_EV_STORE_AWAY:
		collector_enter(in, COLLECTOR_PROBING, breaker(in)->why);
		return;
	case COLLECTOR_EV_STORE_TRYING:
	case COLLECTOR_EV_STORE_THERE:
		if (leader_get_state(in->leader) == LEADER_OTHER)
			return;
		if (ev == COLLECTOR_EV_STORE_TRYING)
			try_store(in, why_back(in));
		else
			collector_enter(in, COLLECTOR_TAKING, why_back(in));
		return;
	case COLLECTOR_EV_NO_OTHER_LEADS:
		switch (breaker(in)->state) {
		case BREAKER_AWAY:
			collector_enter(in, COLLECTOR_PROBING, breaker(in)->why);
			return;
		case BREAKER_TRYING:
			try_store(in, no_other);
			return;
		case BREAKER_THERE:
			collector_enter(in, COLLECTOR_TAKING, no_other);
			return;
		}
		return;
	case COLLECTOR_EV_LOOK:
		ask_store(in);
		return;
	case COLLECTOR_EV_PROBE_PASSED:
		arm_idle_probe(in);
		return;
	case COLLECTOR_EV_PROBE_FAILED:
		probe_failed(in);
		return;
	case COLLECTOR_EV_OTHER_LEADS:
	case COLLECTOR_EV_CONSUMER_READY:
	case COLLECTOR_EV_EMPTY:
	case COLLECTOR_EV_HELD_UP:
	case COLLECTOR_EV_DRAIN_TIMER:
		return;
	}
}

static void
step_draining(struct collector *in, enum collector_event ev)
{
	switch (ev) {
	case COLLECTOR_EV_EMPTY:
		collector_enter(in, COLLECTOR_DRAINED, "nothing in hand");
		return;
	case COLLECTOR_EV_STORE_AWAY:
		collector_enter(in, COLLECTOR_DRAINED, breaker(in)->why);
		return;
	case COLLECTOR_EV_DRAIN_TIMER:
		collector_enter(in, COLLECTOR_DRAINED,
		    inflight_count(in->inflight) == 0 ? "nothing in hand" : "time is over");
		return;
	case COLLECTOR_EV_DRAIN:
	case COLLECTOR_EV_HELD_UP:
	case COLLECTOR_EV_CONSUMER_READY:
	case COLLECTOR_EV_STORE_TRYING:
	case COLLECTOR_EV_STORE_THERE:
	case COLLECTOR_EV_OTHER_LEADS:
	case COLLECTOR_EV_NO_OTHER_LEADS:
	case COLLECTOR_EV_LOOK:
	case COLLECTOR_EV_PROBE_PASSED:
	case COLLECTOR_EV_PROBE_FAILED:
		return;
	}
}

static void
collector_step(struct collector *in, enum collector_event ev)
{
	log_trace("inbox", "inbox: %s in %s", event_name(ev), collector_state_name(in->state));
	switch (in->state) {
	case COLLECTOR_PROBING:
		step_probing(in, ev);
		return;
	case COLLECTOR_TRYING:
		step_trying(in, ev);
		return;
	case COLLECTOR_TAKING:
		step_taking(in, ev);
		return;
	case COLLECTOR_STANDBY:
		step_standby(in, ev);
		return;
	case COLLECTOR_DRAINING:
		step_draining(in, ev);
		return;
	case COLLECTOR_DRAINED: /* what comes yet is given back as it comes */
		if (ev == COLLECTOR_EV_DRAIN_TIMER)
			in->on_drained(in->arg);
		return;
	}
}

void
collector_start(struct collector *in)
{
	loop_timer_arm(in->probe, 0);
}

void
collector_drain(struct collector *in)
{
	collector_step(in, COLLECTOR_EV_DRAIN);
}

static void
on_drain(void *arg)
{
	collector_step(arg, COLLECTOR_EV_DRAIN_TIMER);
}

/* Makes what the probe says worth a line, even if it was said before. */
static void
probe_at_once(struct collector *in)
{
	in->said_probe = (struct ratelimit){0};
	if (in->asked_at.ms == 0)
		loop_timer_arm(in->probe, 0);
}

void
collector_reload(struct collector *in, const struct options *opt)
{
	uint16_t prefetch = in->prefetch;
	bool was_without = in->said_without;

	take_options(in, opt);
	inflight_set_options(in->inflight, opt);
	in->said_without = false;
	leader_reload(in->leader);
	if (in->state == COLLECTOR_PROBING)
		probe_at_once(in);
	if (in->prefetch != prefetch && in->state == COLLECTOR_TAKING &&
	    broker_is_ready(in->consumer))
		consume_anew(in);
	else if (was_without)
		consume(in);
}

void
collector_destroy(struct collector *in)
{
	if (in == NULL)
		return;
	inflight_destroy(in->inflight);
	loop_timer_destroy(in->probe);
	loop_timer_destroy(in->drain);
	free(in);
}

enum collector_state
collector_get_state(const struct collector *in)
{
	return in->state;
}

static void
trouble_status(const struct collector *in, struct collector_status *out)
{
	struct mono now = loop_now(in->loop), since;
	const char *why;

	if (breaker_troubled(breaker(in), &since, &why)) {
		out->trouble = why;
		out->trouble_ms = mono_diff(now, since);
	}
	out->damage = batch_damage(in->batch);
	out->damage_ms = mono_diff(now, damage_since(out->damage));
	if (in->asked_at.ms != 0 && mono_diff(in->asked_at, batch_stats(in->batch)->last_ok) > 0)
		out->unanswered_ms = mono_diff(now, in->asked_at);
}

static unsigned int
n_queues(const struct collector *in)
{
	return broker_without(in->consumer, TOPOLOGY_FRESH_QUEUE) == NULL ? 2 : 1;
}

void
collector_status(const struct collector *in, struct collector_status *out)
{
	*out = (struct collector_status){
	    .state = in->state,
	    .state_ms = mono_diff(loop_now(in->loop), in->state_since),
	    .in_hand_max = (size_t)in->prefetch * n_queues(in),
	    .batch = batch_stats(in->batch),
	    .pace = store_pace(in->store),
	    .wal_bytes = store_wal_bytes(in->store),
	    .strays_dropped = store_strays_dropped(in->store),
	};
	inflight_status(in->inflight, &out->inflight);
	trouble_status(in, out);
}
