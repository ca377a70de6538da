/* See collector.h. */
#include "daemon/collector.h"

#include "daemon/batch.h"
#include "daemon/damage.h"
#include "daemon/deadletter.h"
#include "daemon/inflight.h"
#include "shared/amqp/topology.h"
#include "shared/base/errtext.h"
#include "shared/base/ident.h"
#include "shared/base/log.h"
#include "shared/base/ratelimit.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"

#include <bsd/string.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Nothing was written for so long: does the store still take writes? */
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
	struct inflight *hand;
	bool probing; /* a probe is under way, */
	struct mono asked_at;
	struct ratelimit said_probe, said_down;
	bool said_without;        /* the fresh queue; until the next reload */
	uint64_t received_before; /* TRYING: at the last look */
	uint32_t window;          /* prefetch in TRYING */
	struct loop_timer *probe;
	struct loop_timer *drain;
	/* for collector_status() */
	struct mono state_since;
};

static void consume_anew(struct collector *in);
static void on_done(bool stored, void *arg);
static void on_breaker(void *arg);
static void on_held_up(void *arg);
static void on_greeted(const char *host, void *arg);
static void on_probe(void *arg);
static void on_drain(void *arg);
static void on_probed(bool ok, const char *what, void *arg);
static void on_set_up(bool ok, const char *what, void *arg);
static void enter(struct collector *in, enum collector_state next, const char *reason);
static void follow(struct collector *in, const char *reason);
static void arm_probe(struct collector *in);

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
	struct inflight_parts hand = {parts->loop, parts->consumer, parts->publisher, parts->store};

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
	in->hand = inflight_create(&hand, opt, &inflight_handlers, in);
	in->probe = loop_timer_create(in->loop, "inbox probe", on_probe, in);
	in->drain = loop_timer_create(in->loop, "inbox drain", on_drain, in);
	return in;
}

static const struct breaker *
breaker(const struct collector *in)
{
	return batch_breaker(inflight_batch(in->hand));
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
	const uint64_t *answers = batch_stats(inflight_batch(in->hand))->answers;

	leader_note(in->leader, answers[STORE_OK], answers[STORE_CONFLICT]);
}

static void
on_done(bool stored, void *arg)
{
	struct collector *in = arg;

	if (inflight_count(in->hand) == 0 && in->state == COLLECTOR_DRAINING)
		enter(in, COLLECTOR_DRAINED, "nothing in hand");
	else if (inflight_count(in->hand) == 0 && is_consuming(in->state))
		log_info("inbox", "Waiting for more messages");
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
		inflight_take(in->hand, d);
	else /* it was on its way when we cancelled */
		inflight_refuse(in->hand, d);
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
static void
on_held_up(void *arg)
{
	struct collector *in = arg;
	size_t held = inflight_held_up(in->hand);
	size_t half = in->prefetch > 1 ? in->prefetch / 2 : 1;

	if (inflight_held_up_now(in->hand) < half || held >= INFLIGHT_HELD_UP_MAX ||
	    in->state != COLLECTOR_TAKING || !consumers_are_there(in))
		return;
	log_info("inbox", "%s: consumes anew, for what cannot go on holds the prefetch, held=%zu",
	    broker_id(in->consumer), held);
	consume_anew(in);
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
	    "other collectors" ERRTEXT_CURE
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
	inflight_on_consume(in->hand);
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

void
collector_on_consumer_ready(struct collector *in)
{
	consume(in);
}

void
collector_on_consumer_down(struct collector *in)
{
	inflight_on_consumer_down(in->hand);
	leader_resign(in->leader);
}

void
collector_on_publisher_ready(struct collector *in)
{
	inflight_on_publisher_ready(in->hand);
}

void
collector_on_confirm(
    struct collector *in, uint64_t id, enum broker_outcome outcome, const char *why)
{
	inflight_on_confirm(in->hand, id, outcome, why);
	leader_on_confirm(in->leader, id, outcome);
}

void
collector_on_leader(struct collector *in, enum leader_state leader)
{
	if (leader == LEADER_OTHER && is_consuming(in->state)) {
		enter(in, COLLECTOR_STANDBY, "another collector goes on");
	} else if (leader != LEADER_OTHER && in->state == COLLECTOR_STANDBY) {
		follow(in, "no other collector goes on");
	}
}

/* ---- the store ---- */

static void
ask_store(struct collector *in)
{
	if (in->probing)
		return;
	in->probing = true;
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

/* Also the idle store's: it is then known to be gone before anything waits for it. */
static void
on_probe_failed(struct collector *in, const char *what)
{
	if (in->state == COLLECTOR_TAKING && inflight_waiting(in->hand) > 0) { /* that will tell */
		loop_timer_arm(in->probe, IDLE_MS);
		return;
	}
	if (in->state >= COLLECTOR_DRAINING || in->state == COLLECTOR_TRYING)
		return;
	batch_tell(inflight_batch(in->hand), BREAKER_PROBE_FAILED, what);
	leader_resign(in->leader); /* if it was to go on: another may have a store */
	tell_state(in, what);
	log_probe_failed(in, what);
	arm_probe(in);
}

static void
on_probe_passed(struct collector *in)
{
	batch_tell(inflight_batch(in->hand), BREAKER_PROBE_PASSED, NULL);
	if (in->state == COLLECTOR_TAKING || in->state == COLLECTOR_STANDBY)
		/* with jitter: others probe with the same document */
		loop_timer_arm(in->probe, IDLE_MS - ident_random32() % IDLE_JITTER_MS);
}

static void
on_probed(bool ok, const char *what, void *arg)
{
	struct collector *in = arg;

	in->probing = false;
	if (ok)
		on_probe_passed(in);
	else
		on_probe_failed(in, what);
}

static void
on_set_up(bool ok, const char *what, void *arg)
{
	struct collector *in = arg;

	log_debug("inbox", "store[%s]: %s", store_id(in->store), what);
	if (!ok) {
		on_probed(ok, what, arg);
		return;
	}
	in->setup_store = false;
	store_probe(in->store, on_probed, in);
}

/* TRYING, and nothing comes that could be written; or it does, and is refused. */
static void
look_for_work(struct collector *in)
{
	bool quiet = inflight_count(in->hand) == 0 &&
		     inflight_received(in->hand) == in->received_before &&
		     broker_consuming(in->consumer, TOPOLOGY_MASTER_QUEUE);

	in->received_before = inflight_received(in->hand);
	loop_timer_arm(in->probe, IDLE_MS);
	if (quiet)
		batch_tell(inflight_batch(in->hand), BREAKER_QUIET, NULL);
}

/* TAKING: whoever writes nothing does not see that the store is gone. */
static void
look_whether_idle(struct collector *in)
{
	int64_t left_ms =
	    IDLE_MS - mono_diff(loop_now(in->loop), batch_stats(inflight_batch(in->hand))->last_ok);

	if (left_ms <= 0 && inflight_waiting(in->hand) == 0)
		ask_store(in);
	else
		loop_timer_arm(in->probe, left_ms > 0 ? left_ms : IDLE_MS);
}

static void
on_probe(void *arg)
{
	struct collector *in = arg;

	if (in->state == COLLECTOR_PROBING || in->state == COLLECTOR_STANDBY)
		ask_store(in);
	else if (in->state == COLLECTOR_TRYING)
		look_for_work(in);
	else if (in->state == COLLECTOR_TAKING)
		look_whether_idle(in);
}

static void
log_down(struct collector *in, const char *why)
{
	uint32_t unlogged;

	if (ratelimit_due(&in->said_down, why, loop_now(in->loop), &unlogged))
		log_warn("inbox",
		    "store[%s]: takes nothing, %s; deliveries are given back, "
		    "unlogged_before=%" PRIu32,
		    store_id(in->store), why, unlogged);
}

/* Goes where the breaker is: whatever is known of the store is known there. */
static void
follow(struct collector *in, const char *reason)
{
	const struct breaker *b = breaker(in);

	switch (b->state) {
	case BREAKER_AWAY:
		if (in->state != COLLECTOR_PROBING)
			enter(in, COLLECTOR_PROBING, b->why);
		break;
	case BREAKER_TRYING:
		in->window = b->window;
		if (in->state == COLLECTOR_TRYING)
			consume_anew(in);
		else
			enter(in, COLLECTOR_TRYING, reason);
		break;
	case BREAKER_THERE:
		if (in->state != COLLECTOR_TAKING)
			enter(in, COLLECTOR_TAKING, reason);
		break;
	}
}

static void
on_breaker(void *arg)
{
	struct collector *in = arg;
	bool away = breaker(in)->state == BREAKER_AWAY;

	if (in->state == COLLECTOR_DRAINING && away)
		enter(in, COLLECTOR_DRAINED, breaker(in)->why);
	if (in->state >= COLLECTOR_DRAINING)
		return;
	if (away && breaker(in)->unproven && in->state != COLLECTOR_STANDBY)
		log_down(in, breaker(in)->why);
	if (!away && leader_get_state(in->leader) == LEADER_OTHER) {
		if (in->state != COLLECTOR_STANDBY)
			enter(in, COLLECTOR_STANDBY, "another collector goes on");
		return;
	}
	if (in->state == COLLECTOR_PROBING)
		follow(in, "the store answers");
	else if (mono_diff(batch_stats(inflight_batch(in->hand))->last_ok, in->state_since) >= 0)
		follow(in, "the store has taken a write");
	else
		follow(in, "nothing waits for the store");
}

/* ---- states ---- */

static void
start_draining(struct collector *in)
{
	broker_cancel(in->consumer);
	inflight_return_held(in->hand);
	batch_hurry(inflight_batch(in->hand));
	/* Through the timer even when nothing is in hand: on_drained never comes from inside. */
	loop_timer_arm(in->drain, inflight_count(in->hand) == 0 ? 0 : in->drain_timeout_ms);
}

/* One delivery, then some more, which are kept and tried again: to give each back after
 * store_patience would use up the delivery counts of harmless ones. */
static void
start_trying(struct collector *in)
{
	in->received_before = inflight_received(in->hand);
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
	log_info("inbox", "Waiting for more messages");
}

static void
arm_probe(struct collector *in)
{
	if (in->state == COLLECTOR_PROBING)
		loop_timer_arm(in->probe, breaker_next_ms(breaker(in), loop_now(in->loop)));
	else if (in->state == COLLECTOR_STANDBY)
		loop_timer_arm(in->probe, IDLE_MS);
}

static void
take_nothing(struct collector *in)
{
	broker_cancel(in->consumer); /* first: else what is given back comes right back */
	inflight_give_back(in->hand);
}

/* The only writer of ->state. */
static void
enter(struct collector *in, enum collector_state next, const char *reason)
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
		inflight_give_back(in->hand);
		loop_timer_arm(in->drain, 0);
		break;
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
	if (in->state < COLLECTOR_DRAINING)
		enter(in, COLLECTOR_DRAINING, "asked to stop");
}

static void
on_drain(void *arg)
{
	struct collector *in = arg;

	if (in->state == COLLECTOR_DRAINED)
		in->on_drained(in->arg);
	else
		enter(in, COLLECTOR_DRAINED,
		    inflight_count(in->hand) == 0 ? "nothing in hand" : "time is over");
}

/* What it says then is worth a line, even if it said so before. */
static void
probe_at_once(struct collector *in)
{
	in->said_probe = (struct ratelimit){0};
	if (!in->probing)
		loop_timer_arm(in->probe, 0);
}

void
collector_reload(struct collector *in, const struct options *opt)
{
	uint16_t prefetch = in->prefetch;
	bool was_without = in->said_without;

	take_options(in, opt);
	inflight_set_options(in->hand, opt);
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
	inflight_destroy(in->hand);
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
	out->damage = batch_damage(inflight_batch(in->hand));
	out->damage_ms = mono_diff(now, damage_since(out->damage));
	if (in->probing &&
	    mono_diff(in->asked_at, batch_stats(inflight_batch(in->hand))->last_ok) > 0)
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
	    .batch = batch_stats(inflight_batch(in->hand)),
	    .pace = store_pace(in->store),
	    .wal_bytes = store_wal_bytes(in->store),
	    .strays_dropped = store_strays_dropped(in->store),
	};
	inflight_status(in->hand, &out->hand);
	trouble_status(in, out);
}
