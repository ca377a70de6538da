/* See inbox.h. */
#include "daemon/inbox.h"

#include "daemon/acks.h"
#include "daemon/batch.h"
#include "daemon/deadletter.h"
#include "daemon/intake.h"
#include "daemon/notice.h"
#include "shared/backoff.h"
#include "shared/ident.h"
#include "shared/log.h"
#include "shared/loop.h"
#include "shared/phrase.h"
#include "shared/repeat.h"
#include "shared/topology.h"
#include "shared/xalloc.h"

#include <bsd/string.h>
#include <bsd/sys/queue.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROBE_FIRST_MS 1000
#define PROBE_MAX_MS   5000
#define REASON_SIZE    512
/* Nothing was written for so long: does the store still take writes? */
#define IDLE_MS        5000
#define IDLE_JITTER_MS 500
/* TRYING: one delivery is held at most so long; the broker's consumer_timeout is 30 minutes. */
#define HOLD_MS (10 * 60 * 1000)
/* Behind what is stale, whose acks may be seconds away: a prefetch of 1000 lets 20,000 a second by.
 */
#define FRESH_HOLE_MS 50

/* A delivery in hand: from its arrival until it is acked or given back. */
struct parcel {
	TAILQ_ENTRY(parcel) link;
	struct delivery
	    *delivery; /* NULL while it is being read, and once the dead letters have it */
	struct broker_tag tag;
	struct notice_slip *slip; /* whom to tell when it is stored */
	size_t bytes;
	bool fresh;
};
TAILQ_HEAD(parcels, parcel);

struct inbox {
	struct loop *loop;
	struct broker *consumer;
	struct store *store;
	struct leader *leader;
	bool setup_store;
	void (*on_state)(enum inbox_state state, const char *reason, void *arg);
	struct intake_options intake_opt;
	struct batch_options batch_opt;
	uint16_t prefetch;
	uint64_t intake_max_bytes;
	uint32_t drain_timeout_ms;
	inbox_drained_fn *on_drained;
	void *arg;
	enum inbox_state state;
	struct acks *acks;
	struct intake *intake, *fresh_intake; /* in each nothing overtakes another */
	struct batch *batch;
	struct deadletter *dead;
	struct notice *notice;
	struct parcels parcels;
	size_t n_parcels;
	uint64_t held;
	bool paused;
	bool probing; /* a probe is under way, */
	struct mono asked_at;
	struct repeat said_probe, said_down;
	struct mono up_logged_at; /* that it is up again, with what was unlogged */
	bool said_without;        /* the fresh queue; until the next reload */
	struct backoff backoff;   /* of probes, until the store takes a write */
	bool refused;             /* a write was, and none was taken since */
	uint64_t received_before; /* TRYING: at the last look */
	struct loop_timer *probe;
	struct loop_timer *drain;
	/* for inbox_status() */
	struct mono state_since;
	struct mono down_since; /* PROBING and TRYING: the store takes nothing */
	struct mono busy_since; /* while anything in hand waits for the store */
	char why[REASON_SIZE];
	uint64_t received, stored, given_back;
	uint64_t dead_letters[INBOX_N_DEAD];
	uint64_t refused_values[JSONX_N_REFUSALS];
};

static void on_read(void *owner, struct delivery *d, struct intake_reading *r, void *arg);
static void on_done(void *owner, enum batch_verdict verdict, const char *why, void *arg);
static void on_store_down(const char *why, void *arg);
static void on_buried(void *owner, void *arg);
static void on_dropped(void *owner, void *arg);
static void on_probe(void *arg);
static void on_drain(void *arg);
static void on_probed(bool ok, const char *what, void *arg);
static void on_set_up(bool ok, const char *what, void *arg);
static void send_ack(struct broker_tag tag, bool multiple, void *arg);
static void send_nack(struct broker_tag tag, bool multiple, bool requeue, void *arg);
static void enter(struct inbox *in, enum inbox_state next, const char *reason);

static const struct batch_handlers batch_handlers = {
    .on_done = on_done,
    .on_store_down = on_store_down,
};
static const struct acks_handlers acks_handlers = {
    .ack = send_ack,
    .nack = send_nack,
};

const char *
inbox_state_name(enum inbox_state s)
{
	switch (s) {
	case INBOX_PROBING:
		return "PROBING";
	case INBOX_TRYING:
		return "TRYING";
	case INBOX_TAKING:
		return "TAKING";
	case INBOX_STANDBY:
		return "STANDBY";
	case INBOX_DRAINING:
		return "DRAINING";
	case INBOX_DRAINED:
		return "DRAINED";
	}
	return "?";
}

const char *
inbox_dead_name(enum inbox_dead dead)
{
	switch (dead) {
	case INBOX_DEAD_OVERSIZE:
		return "oversize";
	case INBOX_DEAD_MALFORMED:
		return "malformed";
	case INBOX_DEAD_FORGED:
		return "forged";
	case INBOX_DEAD_REJECTED:
		return "rejected";
	}
	return "?";
}

static void
take_options(struct inbox *in, const struct options *opt)
{
	struct convert_limits *limits = &in->intake_opt.limits;

	in->batch_opt.max_count = opt->batch_max_count;
	in->batch_opt.max_bytes = opt->batch_max_bytes;
	in->batch_opt.max_age_ms = opt->batch_max_age_ms;
	in->batch_opt.patience_ms = opt->store_patience_ms;
	in->intake_opt.attest = opt->attest;
	limits->yaml.depth = opt->yaml_depth;
	limits->yaml.nodes = opt->yaml_nodes;
	limits->yaml.bytes = opt->yaml_bytes;
	limits->json_depth = opt->json_depth;
	limits->json_keys = opt->object_keys;
	limits->yaml.keys = opt->object_keys;
	in->prefetch = (uint16_t)opt->prefetch;
	in->intake_max_bytes = opt->intake_max_bytes;
	in->drain_timeout_ms = opt->drain_timeout_ms;
}

struct inbox *
inbox_create(const struct inbox_parts *parts, const struct options *opt,
    inbox_drained_fn *on_drained, void *arg)
{
	struct inbox *in = xcalloc(1, sizeof(*in));

	in->loop = parts->loop;
	in->consumer = parts->consumer;
	in->store = parts->store;
	in->leader = parts->leader;
	in->setup_store = parts->setup_store;
	in->on_state = parts->on_state;
	in->on_drained = on_drained;
	in->arg = arg;
	take_options(in, opt);
	TAILQ_INIT(&in->parcels);
	in->state_since = in->down_since = loop_now(in->loop);
	in->acks = acks_create(in->loop, &acks_handlers, in);
	in->intake = intake_create(in->loop, on_read, in);
	in->fresh_intake = intake_create(in->loop, on_read, in);
	in->batch = batch_create(in->loop, in->store, &in->batch_opt, &batch_handlers, in);
	in->dead = deadletter_create(in->loop, parts->publisher, on_buried, on_dropped, in);
	in->notice = notice_create(in->loop, parts->publisher);
	backoff_init(&in->backoff, PROBE_FIRST_MS, PROBE_MAX_MS);
	in->probe = loop_timer_create(in->loop, "inbox probe", on_probe, in);
	in->drain = loop_timer_create(in->loop, "inbox drain", on_drain, in);
	return in;
}

static void
tell_state(const struct inbox *in, const char *reason)
{
	if (in->on_state != NULL)
		in->on_state(in->state, reason, in->arg);
}

static bool
is_consuming(enum inbox_state s)
{
	return s == INBOX_TRYING || s == INBOX_TAKING;
}

/* ---- parcels ---- */

static void
send_ack(struct broker_tag tag, bool multiple, void *arg)
{
	struct inbox *in = arg;

	broker_ack(in->consumer, tag, multiple);
}

static void
send_nack(struct broker_tag tag, bool multiple, bool requeue, void *arg)
{
	struct inbox *in = arg;

	broker_nack(in->consumer, tag, multiple, requeue);
}

static struct parcel *
parcel_new(struct inbox *in, struct delivery *d)
{
	struct parcel *p = xcalloc(1, sizeof(*p));

	p->delivery = d;
	p->tag = d->tag;
	p->bytes = delivery_size(d);
	p->fresh = strcmp(d->routing_key, TOPOLOGY_FRESH_KEY) == 0;
	in->received++;
	TAILQ_INSERT_TAIL(&in->parcels, p, link);
	in->n_parcels++;
	in->held += p->bytes;
	acks_add(in->acks, p->tag);
	return p;
}

static void
parcel_free(struct inbox *in, struct parcel *p)
{
	TAILQ_REMOVE(&in->parcels, p, link);
	in->n_parcels--;
	in->held -= p->bytes;
	delivery_destroy(p->delivery);
	notice_slip_free(p->slip);
	free(p);
}

/* The intake valve. Closed above the limit, open again below three quarters of it. */
static void
set_valve(struct inbox *in)
{
	bool full = in->held > in->intake_max_bytes || deadletter_is_full(in->dead);
	bool low = in->held < in->intake_max_bytes / 4 * 3 &&
		   deadletter_pending(in->dead) < DEADLETTER_PENDING_MAX / 4 * 3;

	if (!in->paused && full) {
		log_info("inbox", "%s: reading pauses, held_bytes=%" PRIu64 ", dead_letters=%zu",
		    broker_id(in->consumer), in->held, deadletter_pending(in->dead));
		in->paused = true;
		broker_pause(in->consumer);
	} else if (in->paused && low) {
		log_info("inbox", "%s: reading goes on", broker_id(in->consumer));
		in->paused = false;
		broker_resume(in->consumer);
	}
}

static void
parcel_done(struct inbox *in, struct parcel *p)
{
	acks_done(in->acks, p->tag, p->fresh ? FRESH_HOLE_MS : ACKS_HOLE_MS);
	parcel_free(in, p);
	set_valve(in);
	if (in->n_parcels > 0)
		return;
	if (in->state == INBOX_DRAINING)
		enter(in, INBOX_DRAINED, "nothing in hand");
	else if (is_consuming(in->state))
		log_info("inbox", "Waiting for more messages");
}

static void
bury(struct inbox *in, struct parcel *p, enum inbox_dead dead, const char *reason)
{
	struct delivery *d = p->delivery;

	in->dead_letters[dead]++;
	p->delivery = NULL;
	deadletter_bury(in->dead, d, reason, p);
	set_valve(in);
}

/* Everything in hand returns to its queue, at once. */
static void
give_back(struct inbox *in)
{
	size_t n = in->n_parcels;

	intake_clear(in->intake);
	intake_clear(in->fresh_intake);
	batch_clear(in->batch);
	deadletter_clear(in->dead);
	while (!TAILQ_EMPTY(&in->parcels))
		parcel_free(in, TAILQ_FIRST(&in->parcels));
	acks_give_back(in->acks);
	in->given_back += n;
	if (n > 0)
		log_info("inbox", "%s: %zu deliveries given back", broker_id(in->consumer), n);
	set_valve(in);
}

static void
on_buried(void *owner, void *arg)
{
	parcel_done(arg, owner);
}

/* Its tag is void by now. */
static void
on_dropped(void *owner, void *arg)
{
	parcel_done(arg, owner);
}

static void
tell_leader(struct inbox *in)
{
	const uint64_t *answers = batch_stats(in->batch)->answers;

	leader_note(in->leader, answers[STORE_OK], answers[STORE_CONFLICT]);
}

static void
on_done(void *owner, enum batch_verdict verdict, const char *why, void *arg)
{
	struct inbox *in = arg;
	struct parcel *p = owner;

	if (verdict == BATCH_REJECTED) {
		bury(in, p, INBOX_DEAD_REJECTED, why);
	} else {
		in->stored++;
		notice_post(in->notice, p->slip);
		p->slip = NULL;
		parcel_done(in, p);
		if (in->state == INBOX_TRYING)
			enter(in, INBOX_TAKING, "the store has taken a write");
		if (in->state == INBOX_TAKING)
			tell_leader(in);
	}
}

/* ---- taking in ---- */

static void
log_results(const char *host, struct result *const *results, size_t n)
{
	size_t i;

	if (!log_enabled(LOG_LEVEL_INFO))
		return;
	log_info("inbox", "Incoming message from: %s", host);
	for (i = 0; i < n; i++) {
		if (results[i]->unparsed != NULL)
			log_info("inbox", "Got response for: %s, unparsed: %s", results[i]->plugin,
			    results[i]->error);
		else if (results[i]->error != NULL)
			log_info("inbox", "Got error for: %s, %s",
			    results[i]->plugin != NULL ? results[i]->plugin : "the host",
			    results[i]->error);
		else if (results[i]->plugin != NULL)
			log_info("inbox", "Got response for: %s", results[i]->plugin);
	}
}

/* Deliveries that the store has yet to take. */
static size_t
waiting_for_store(const struct inbox *in)
{
	return in->n_parcels - intake_pending(in->intake) - intake_pending(in->fresh_intake) -
	       deadletter_pending(in->dead);
}

static void
take_results(struct inbox *in, struct parcel *p, const struct intake_reading *r)
{
	const char *host = r->response.host;
	size_t i;

	if (waiting_for_store(in) == 1)
		in->busy_since = loop_now(in->loop);
	log_results(host, r->results, r->n);
	p->slip = notice_slip(r->response.meta.reply_to, host, r->results, r->n);
	for (i = 0; i < r->n; i++) {
		const struct result *one = r->results[i];
		size_t bytes = sizeof(*one) + one->value_len +
			       (one->unparsed != NULL ? strlen(one->unparsed) : 0);

		in->refused_values[one->refusal]++;
		p->bytes += bytes;
		in->held += bytes;
	}
	set_valve(in);
	batch_add(in->batch, host, r->results, r->n, p, p->fresh);
}

static void
on_read(void *owner, struct delivery *d, struct intake_reading *r, void *arg)
{
	struct inbox *in = arg;
	struct parcel *p = owner;

	p->delivery = d;
	switch (r->verdict) {
	case INTAKE_GOOD:
		take_results(in, p, r);
		r->results = NULL; /* the batch has them */
		return;
	case INTAKE_MALFORMED:
		bury(in, p, INBOX_DEAD_MALFORMED, r->why);
		return;
	case INTAKE_FORGED:
		bury(in, p, INBOX_DEAD_FORGED, r->why);
		return;
	}
}

void
inbox_on_delivery(struct inbox *in, struct delivery *d)
{
	char why[REASON_SIZE] = "";
	struct parcel *p;

	if (!is_consuming(in->state)) { /* it was on its way when we cancelled */
		in->given_back++;
		broker_nack(in->consumer, d->tag, false, true);
		delivery_destroy(d);
		return;
	}
	p = parcel_new(in, d);
	set_valve(in);
	if (d->oversize) {
		snprintf(
		    why, sizeof(why), "%" PRIu64 " bytes are over message_max_bytes", d->body_size);
		bury(in, p, INBOX_DEAD_OVERSIZE, why);
		return;
	}
	p->delivery = NULL;
	intake_take(p->fresh ? in->fresh_intake : in->intake, d, &in->intake_opt, p);
}

/* ---- the two brokers ---- */

static void
tell_without(struct inbox *in, const char *why)
{
	if (in->said_without)
		return;
	in->said_without = true;
	log_warn("inbox",
	    "%s: goes on without queue " TOPOLOGY_FRESH_QUEUE ", the broker says \"%s\": answers "
	    "that somebody waits for come behind all others, and any in that queue are left to "
	    "other collectors" PHRASE_CURE
	    "let an administrator run vogeler-admin setup, or give the user the right to it, then "
	    "reload",
	    broker_id(in->consumer), why);
}

static void
consume(struct inbox *in)
{
	uint16_t prefetch = in->state == INBOX_TRYING ? 1 : in->prefetch;
	const char *why;

	if (!is_consuming(in->state) || !broker_is_ready(in->consumer))
		return;
	why = broker_without(in->consumer, TOPOLOGY_FRESH_QUEUE);
	if (why != NULL)
		tell_without(in, why);
	else
		broker_consume(in->consumer, TOPOLOGY_FRESH_QUEUE, prefetch, false);
	broker_consume(in->consumer, TOPOLOGY_MASTER_QUEUE, prefetch, false);
}

void
inbox_on_consumer_ready(struct inbox *in)
{
	consume(in);
}

/* What is in hand goes on into the store; its acks are void, and it will come again. */
void
inbox_on_consumer_down(struct inbox *in)
{
	acks_drop(in->acks);
	deadletter_on_consumer_down(in->dead);
	leader_resign(in->leader);
}

void
inbox_on_publisher_ready(struct inbox *in)
{
	deadletter_on_ready(in->dead);
}

void
inbox_on_confirm(struct inbox *in, uint64_t id, enum broker_outcome outcome, const char *why)
{
	deadletter_on_confirm(in->dead, id, outcome, why);
	leader_on_confirm(in->leader, id, outcome);
}

void
inbox_on_leader(struct inbox *in, enum leader_state leader)
{
	if (leader == LEADER_OTHER && is_consuming(in->state)) {
		enter(in, INBOX_STANDBY, "another collector goes on");
	} else if (leader != LEADER_OTHER && in->state == INBOX_STANDBY) {
		enter(in, INBOX_PROBING, "no other collector goes on");
		loop_timer_arm(in->probe, 0);
	}
}

/* ---- the store ---- */

static void
ask_store(struct inbox *in)
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

/* A probe that passes is no write: what a full disk refuses is larger. */
static void
on_probe_passed(struct inbox *in, const char *what)
{
	if (in->state == INBOX_PROBING && leader_get_state(in->leader) == LEADER_OTHER)
		enter(in, INBOX_STANDBY, "another collector goes on");
	else if (in->state == INBOX_PROBING)
		enter(in, in->refused ? INBOX_TRYING : INBOX_TAKING, what);
	else if (in->state == INBOX_TAKING ||
		 in->state == INBOX_STANDBY) /* with jitter: others probe with the same document */
		loop_timer_arm(in->probe, IDLE_MS - ident_random32() % IDLE_JITTER_MS);
}

static void
on_probe_failed(struct inbox *in, const char *what)
{
	uint32_t wait_ms, unlogged;

	if (in->state == INBOX_TAKING) {
		if (waiting_for_store(in) > 0) /* that will tell */
			loop_timer_arm(in->probe, IDLE_MS);
		else
			enter(in, INBOX_PROBING, what);
	} else if (in->state == INBOX_STANDBY) {
		enter(in, INBOX_PROBING, what);
	}
	if (in->state != INBOX_PROBING)
		return;
	leader_resign(in->leader); /* if it was to go on: another may have a store */
	tell_state(in, what);
	strlcpy(in->why, what, sizeof(in->why));
	wait_ms = backoff_next(&in->backoff, ident_random32());
	if (repeat_due(&in->said_probe, what, loop_now(in->loop), &unlogged))
		log_error("inbox",
		    "store[%s]: %s, retry_in=%" PRIu32 "ms, unlogged_before=%" PRIu32,
		    store_id(in->store), what, wait_ms, unlogged);
	loop_timer_arm(in->probe, wait_ms);
}

static void
on_probed(bool ok, const char *what, void *arg)
{
	struct inbox *in = arg;

	in->probing = false;
	if (ok)
		on_probe_passed(in, what);
	else
		on_probe_failed(in, what);
}

static void
on_set_up(bool ok, const char *what, void *arg)
{
	struct inbox *in = arg;

	log_debug("inbox", "store[%s]: %s", store_id(in->store), what);
	if (!ok) {
		on_probed(ok, what, arg);
		return;
	}
	in->setup_store = false;
	store_probe(in->store, on_probed, in);
}

/* TRYING, and nothing comes that could be written. */
static void
look_for_work(struct inbox *in)
{
	bool quiet = in->n_parcels == 0 && in->received == in->received_before &&
		     broker_consuming(in->consumer, TOPOLOGY_MASTER_QUEUE);

	in->received_before = in->received;
	if (quiet)
		enter(in, INBOX_TAKING, "nothing waits for the store");
	else
		loop_timer_arm(in->probe, IDLE_MS);
}

/* TAKING: whoever writes nothing does not see that the store is gone. */
static void
look_whether_idle(struct inbox *in)
{
	int64_t left_ms = IDLE_MS - mono_diff(loop_now(in->loop), batch_stats(in->batch)->last_ok);

	if (left_ms <= 0 && waiting_for_store(in) == 0)
		ask_store(in);
	else
		loop_timer_arm(in->probe, left_ms > 0 ? left_ms : IDLE_MS);
}

static void
on_probe(void *arg)
{
	struct inbox *in = arg;

	if (in->state == INBOX_PROBING || in->state == INBOX_STANDBY)
		ask_store(in);
	else if (in->state == INBOX_TRYING)
		look_for_work(in);
	else if (in->state == INBOX_TAKING)
		look_whether_idle(in);
}

static void
on_store_down(const char *why, void *arg)
{
	struct inbox *in = arg;
	const char *trouble;
	struct mono since;
	uint32_t unlogged;

	if (in->state == INBOX_DRAINING) {
		enter(in, INBOX_DRAINED, why);
		return;
	}
	if (in->state == INBOX_STANDBY)
		return; /* found out with what was given back; a probe comes before anything else */
	if (repeat_due(&in->said_down, why, loop_now(in->loop), &unlogged))
		log_warn("inbox",
		    "store[%s]: takes nothing, %s; deliveries are given back, "
		    "unlogged_before=%" PRIu32,
		    store_id(in->store), why, unlogged);
	/* Since the first refusal of all, whatever was asked and tried meanwhile. */
	if (!in->refused && batch_troubled(in->batch, &since, &trouble))
		in->down_since = since;
	in->refused = true;
	enter(in, INBOX_PROBING, why);
	loop_timer_arm(in->probe, backoff_next(&in->backoff, ident_random32()));
}

/* ---- states ---- */

static void
stop_consuming(struct inbox *in)
{
	broker_cancel(in->consumer);
}

static void
start_draining(struct inbox *in)
{
	stop_consuming(in);
	batch_hurry(in->batch);
	/* Through the timer even when nothing is in hand: on_drained never comes from inside. */
	loop_timer_arm(in->drain, in->n_parcels == 0 ? 0 : in->drain_timeout_ms);
}

static void
set_batch_options(struct inbox *in)
{
	struct batch_options opt = in->batch_opt;

	if (in->state == INBOX_TRYING)
		opt.patience_ms = HOLD_MS;
	batch_set_options(in->batch, &opt);
}

/* One delivery, which is kept and tried again: to give each back after store_patience would use up
 * the delivery counts of harmless ones. */
static void
start_trying(struct inbox *in)
{
	in->received_before = in->received;
	batch_resume(in->batch);
	set_batch_options(in);
	consume(in);
	loop_timer_arm(in->probe, IDLE_MS);
}

/* The end of complaints that were counted and not told; once a minute, as they are. */
static void
log_up(struct inbox *in)
{
	struct mono now = loop_now(in->loop);
	uint32_t unlogged;

	if (in->up_logged_at.ms != 0 && mono_diff(now, in->up_logged_at) < REPEAT_PERIOD_MS)
		return;
	unlogged = repeat_sum_up(&in->said_probe) + repeat_sum_up(&in->said_down);
	if (unlogged == 0)
		return;
	log_warn("inbox", "store[%s]: up again after %" PRId64 " s, unlogged=%" PRIu32,
	    store_id(in->store), mono_diff(now, in->down_since) / 1000, unlogged);
	in->up_logged_at = now;
}

static void
start_taking(struct inbox *in, bool from_trying)
{
	log_up(in);
	in->refused = false;
	backoff_reset(&in->backoff);
	if (from_trying)
		stop_consuming(in); /* its prefetch was 1 */
	else
		batch_resume(in->batch);
	set_batch_options(in);
	consume(in);
	loop_timer_arm(in->probe, IDLE_MS);
	log_info("inbox", "Waiting for more messages");
}

/* Who enters PROBING says when to probe. */
static void
take_nothing(struct inbox *in)
{
	stop_consuming(in); /* first: else what is given back comes right back */
	give_back(in);
}

/* The only writer of ->state. */
static void
enter(struct inbox *in, enum inbox_state next, const char *reason)
{
	enum inbox_state old = in->state;

	log_info("inbox", "inbox: %s -> %s, reason=%s", inbox_state_name(old),
	    inbox_state_name(next), reason);
	in->state = next;
	in->state_since = loop_now(in->loop);
	if (next == INBOX_PROBING) {
		strlcpy(in->why, reason, sizeof(in->why));
		if (!in->refused)
			in->down_since = in->state_since;
	}
	tell_state(in, reason);
	loop_timer_disarm(in->probe);
	switch (next) {
	case INBOX_PROBING:
		if (old != INBOX_STANDBY)
			leader_resign(in->leader);
		take_nothing(in);
		break;
	case INBOX_STANDBY:
		take_nothing(in);
		loop_timer_arm(in->probe, IDLE_MS);
		break;
	case INBOX_TRYING:
		start_trying(in);
		break;
	case INBOX_TAKING:
		start_taking(in, old == INBOX_TRYING);
		break;
	case INBOX_DRAINING:
		leader_resign(in->leader);
		set_batch_options(in);
		start_draining(in);
		break;
	case INBOX_DRAINED:
		give_back(in);
		loop_timer_arm(in->drain, 0);
		break;
	}
}

void
inbox_start(struct inbox *in)
{
	loop_timer_arm(in->probe, 0);
}

void
inbox_drain(struct inbox *in)
{
	if (in->state < INBOX_DRAINING)
		enter(in, INBOX_DRAINING, "asked to stop");
}

static void
on_drain(void *arg)
{
	struct inbox *in = arg;

	if (in->state == INBOX_DRAINED)
		in->on_drained(in->arg);
	else
		enter(in, INBOX_DRAINED, in->n_parcels == 0 ? "nothing in hand" : "time is over");
}

/* What it says then is worth a line, even if it said so before. */
static void
probe_at_once(struct inbox *in)
{
	in->said_probe = (struct repeat){0};
	backoff_reset(&in->backoff);
	if (!in->probing)
		loop_timer_arm(in->probe, 0);
}

void
inbox_reload(struct inbox *in, const struct options *opt)
{
	uint16_t prefetch = in->prefetch;
	bool was_without = in->said_without;

	take_options(in, opt);
	in->said_without = false;
	leader_reload(in->leader);
	set_batch_options(in);
	set_valve(in);
	if (in->state == INBOX_PROBING)
		probe_at_once(in);
	/* It holds for consumers that come after it; what the old one handed out stays ours. */
	if (in->prefetch != prefetch && in->state == INBOX_TAKING &&
	    broker_is_ready(in->consumer)) {
		broker_cancel(in->consumer);
		consume(in);
	} else if (was_without) {
		consume(in);
	}
}

void
inbox_destroy(struct inbox *in)
{
	if (in == NULL)
		return;
	intake_destroy(in->intake);
	intake_destroy(in->fresh_intake);
	batch_destroy(in->batch);
	deadletter_destroy(in->dead);
	acks_destroy(in->acks);
	while (!TAILQ_EMPTY(&in->parcels))
		parcel_free(in, TAILQ_FIRST(&in->parcels));
	notice_destroy(in->notice);
	loop_timer_destroy(in->probe);
	loop_timer_destroy(in->drain);
	free(in);
}

enum inbox_state
inbox_get_state(const struct inbox *in)
{
	return in->state;
}

/* How long what waits for the store has seen none of it written. */
static int64_t
stalled_ms(const struct inbox *in)
{
	struct mono since = batch_stats(in->batch)->last_ok;

	if (waiting_for_store(in) == 0)
		return 0;
	if (mono_diff(in->busy_since, since) > 0)
		since = in->busy_since;
	return mono_diff(loop_now(in->loop), since);
}

/* Since when the store takes nothing, and why: by its refusals, or by the probe. */
static void
trouble_status(const struct inbox *in, struct inbox_status *out)
{
	struct mono now = loop_now(in->loop), since;
	const char *why;
	bool refuses = batch_troubled(in->batch, &since, &why);

	if (in->state == INBOX_PROBING || in->state == INBOX_TRYING) {
		out->trouble = in->state == INBOX_TRYING && refuses ? why : in->why;
		out->trouble_ms = mono_diff(now, in->down_since);
	} else if (refuses) {
		out->trouble = why;
		out->trouble_ms = mono_diff(now, since);
	}
	if (in->probing && mono_diff(in->asked_at, batch_stats(in->batch)->last_ok) > 0)
		out->unanswered_ms = mono_diff(now, in->asked_at);
}

static unsigned int
n_queues(const struct inbox *in)
{
	return broker_without(in->consumer, TOPOLOGY_FRESH_QUEUE) == NULL ? 2 : 1;
}

void
inbox_status(const struct inbox *in, struct inbox_status *out)
{
	*out = (struct inbox_status){
	    .state = in->state,
	    .state_ms = mono_diff(loop_now(in->loop), in->state_since),
	    .in_hand = in->n_parcels,
	    .in_hand_max = (size_t)in->prefetch * n_queues(in),
	    .dead_waiting = deadletter_pending(in->dead),
	    .dead_waiting_max = DEADLETTER_PENDING_MAX,
	    .held_bytes = in->held,
	    .held_bytes_max = in->intake_max_bytes,
	    .outstanding = acks_outstanding(in->acks),
	    .paused = in->paused,
	    .stalled_ms = stalled_ms(in),
	    .received = in->received,
	    .stored = in->stored,
	    .given_back = in->given_back,
	    .acked = acks_sent(in->acks),
	    .buried = deadletter_buried(in->dead),
	    .notices = *notice_stats(in->notice),
	    .batch = batch_stats(in->batch),
	    .pace = store_pace(in->store),
	};
	trouble_status(in, out);
	memcpy(out->dead, in->dead_letters, sizeof(out->dead));
	memcpy(out->refused_values, in->refused_values, sizeof(out->refused_values));
}

size_t
inbox_in_hand(const struct inbox *in)
{
	return in->n_parcels;
}

uint64_t
inbox_held_bytes(const struct inbox *in)
{
	return in->held;
}
