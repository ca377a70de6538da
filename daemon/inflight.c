/* SPDX-License-Identifier: Apache-2.0 */
/* See inflight.h. */
#include "daemon/inflight.h"

#include "daemon/acks.h"
#include "daemon/attest.h"
#include "daemon/batch.h"
#include "daemon/deadletter.h"
#include "daemon/forged.h"
#include "daemon/host_quota.h"
#include "daemon/read/convert.h"
#include "daemon/read/decode.h"
#include "daemon/slowstart.h"
#include "shared/amqp/topology.h"
#include "shared/base/ident.h"
#include "shared/base/log.h"
#include "shared/base/name.h"
#include "shared/base/ratelimit.h"
#include "shared/base/trouble.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/store/store.h"
#include "shared/wire/wire.h"

#include <assert.h>
#include <bsd/sys/queue.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Behind what is stale, whose acks may be seconds away: a prefetch of 1000 lets 20,000 a second by.
 */
#define FRESH_HOLE_MS 50
/* This part of intake_max_bytes is for dead letters that wait: the rest is for good answers. */
#define DEAD_BYTES_SHARE 4
/* This part is for answers that wait since something of their host is damaged, without their
 * bodies. */
#define DAMAGED_BYTES_SHARE 8
/* This part is for what is in hand of one host. */
#define HOST_BYTES_SHARE 4
#define SHARES_LOOK_MS   1000
/* Each of a lot of so many is named before it is read: if that is the last line of the log, it is
 * known where to look. */
#define SLOW_NAMED_MAX 8

/* A delivery in hand: from its arrival until it is acked or given back. */
struct parcel {
	TAILQ_ENTRY(parcel) link;
	struct delivery
	    *delivery; /* NULL while it is being read, and once the dead letters have it */
	struct broker_tag tag;
	struct job_notice_slip *slip; /* whom to tell when it is stored */
	size_t bytes;
	struct share
	    *share; /* of the host that it counts for; NULL: of none, or it waits for room */
	bool fresh;
	bool greets; /* and says nothing else */
	bool tried;  /* slowstart_done() is due */
	bool held_up;
	bool damaged;      /* something that is stored of its host is: it waits in the batch */
	uint64_t consumed; /* the hand's, when it came */
	char *host;        /* in whose name it was taken; NULL: it was not */
	/* A parcel goes to the dead letters when its job and its host's record know: */
	char *reason; /* why; NULL: it does not, so far */
	enum inflight_dead dead;
};
TAILQ_HEAD(parcels, parcel);

struct inflight {
	struct loop *loop;
	struct broker *consumer;
	struct store *store;
	const struct inflight_handlers *handlers;
	void *arg;
	struct decode_options intake_opt;
	struct batch_options batch_opt;
	uint64_t bytes_max;
	struct acks *acks;
	struct attest *attest;
	struct forged *forged;
	struct slowstart *slow;
	struct loop_timer *slow_timer;
	struct host_quota *shares;
	struct loop_timer *shares_timer;
	struct ratelimit said_share;
	struct decode *intake, *fresh_intake; /* in each nothing overtakes another */
	struct batch *batch;
	struct deadletter *dead;
	struct job_notice *notice;
	struct parcels parcels;
	size_t n_parcels;
	uint64_t consumed;  /* inflight_on_consume() so far */
	size_t n_damaged;   /* parcels */
	size_t held_up_now; /* parcels that are held up, of those that came since the latest */
	uint64_t held;
	bool paused;
	struct mono busy_since; /* while anything in hand waits for the store */
	uint64_t received, stored, given_back;
	uint64_t dead_letters[INFLIGHT_N_DEAD];
	uint64_t untold; /* of these: answers to jobs that do not know of it */
	struct ratelimit said_untold;
	uint64_t refused_values[JSONX_N_REFUSALS];
};

static void on_slow(void *arg);
static void on_shares(void *arg);
static void on_read(void *owner, struct delivery *d, struct decode_reading *r, void *arg);
static void on_done(void *owner, enum batch_verdict verdict, const char *why, void *arg);
static void on_attest_settled(void *arg);
static void on_held(void *owner, void *arg);
static void on_breaker(void *arg);
static void on_buried(void *owner, void *arg);
static void on_dropped(void *owner, void *arg);
static void on_returned(void *owner, void *arg);
static void on_dead_stuck(void *arg);
static void send_ack(struct broker_tag tag, bool multiple, void *arg);
static void send_nack(struct broker_tag tag, bool multiple, bool requeue, void *arg);

static const struct batch_handlers batch_handlers = {
    .on_done = on_done,
    .on_held = on_held,
    .on_breaker = on_breaker,
};
static const struct deadletter_handlers dead_handlers = {
    .on_buried = on_buried,
    .on_dropped = on_dropped,
    .on_returned = on_returned,
    .on_stuck = on_dead_stuck,
};
static const struct acks_handlers acks_handlers = {
    .ack = send_ack,
    .nack = send_nack,
};

const char *
inflight_dead_name(enum inflight_dead dead)
{
	switch (dead) {
	case INFLIGHT_DEAD_OVERSIZE:
		return "oversize";
	case INFLIGHT_DEAD_MALFORMED:
		return "malformed";
	case INFLIGHT_DEAD_FORGED:
		return "forged";
	case INFLIGHT_DEAD_REJECTED:
		return "rejected";
	}
	return "?";
}

static void
take_options(struct inflight *h, const struct options *opt)
{
	h->batch_opt.max_count = opt->batch_max_count;
	h->batch_opt.max_bytes = opt->batch_max_bytes;
	h->batch_opt.max_age_ms = opt->batch_max_age_ms;
	h->batch_opt.patience_ms = opt->store_patience_ms;
	attest_set_options(h->attest, opt);
	convert_limits_of(&h->intake_opt.limits, opt);
	h->bytes_max = opt->intake_max_bytes;
	h->batch_opt.held_max_bytes = h->bytes_max / DAMAGED_BYTES_SHARE;
	host_quota_set_max(h->shares, h->bytes_max / HOST_BYTES_SHARE);
}

struct inflight *
inflight_create(const struct inflight_parts *parts, const struct options *opt,
    const struct inflight_handlers *handlers, void *arg)
{
	struct inflight *h = xcalloc(1, sizeof(*h));

	h->loop = parts->loop;
	h->consumer = parts->consumer;
	h->store = parts->store;
	h->handlers = handlers;
	h->arg = arg;
	h->shares = host_quota_create();
	h->shares_timer = loop_timer_create(h->loop, "hand shares", on_shares, h);
	h->attest = attest_create(h->loop, parts->store, on_attest_settled, h);
	h->intake_opt.attest = h->attest;
	h->forged = forged_create(h->loop, parts->store);
	take_options(h, opt);
	TAILQ_INIT(&h->parcels);
	h->acks = acks_create(h->loop, &acks_handlers, h);
	h->slow = slowstart_create();
	h->slow_timer = loop_timer_create(h->loop, "hand slow start", on_slow, h);
	h->intake = decode_create(h->loop, on_read, h);
	h->fresh_intake = decode_create(h->loop, on_read, h);
	h->batch = batch_create(h->loop, parts->store, &h->batch_opt, &batch_handlers, h);
	h->dead = deadletter_create(
	    h->loop, parts->publisher, h->bytes_max / DEAD_BYTES_SHARE, &dead_handlers, h);
	h->notice = job_notice_create(h->loop, parts->publisher);
	return h;
}

static void
send_ack(struct broker_tag tag, bool multiple, void *arg)
{
	struct inflight *h = arg;

	broker_ack(h->consumer, tag, multiple);
}

static void
send_nack(struct broker_tag tag, bool multiple, bool requeue, void *arg)
{
	struct inflight *h = arg;

	broker_nack(h->consumer, tag, multiple, requeue);
}

/* There may be room for what waits, in this pass; else it is looked at now and then. */
static void
arm_shares(struct inflight *h)
{
	if (host_quota_waiting(h->shares) > 0)
		loop_timer_arm(h->shares_timer, 0);
}

static void
set_bytes(struct inflight *h, struct parcel *p, size_t bytes)
{
	if (p->share != NULL)
		host_quota_change(p->share, p->bytes, bytes);
	if (bytes < p->bytes)
		arm_shares(h);
	h->held = h->held - p->bytes + bytes;
	p->bytes = bytes;
}

static void
leave_share(struct inflight *h, struct parcel *p)
{
	if (p->share == NULL)
		return;
	host_quota_leave(h->shares, p->share, p->bytes);
	p->share = NULL;
	arm_shares(h);
}

/* Holds up one that cannot go on for now, and has its place in the prefetch. */
static void
hold_up(struct inflight *h, struct parcel *p)
{
	if (!p->held_up)
		h->held_up_now += p->consumed == h->consumed;
	p->held_up = true;
}

static void
set_damaged(struct inflight *h, struct parcel *p, bool damaged)
{
	h->n_damaged = h->n_damaged - p->damaged + damaged;
	p->damaged = damaged;
}

static struct parcel *
parcel_new(struct inflight *h, struct delivery *d)
{
	struct parcel *p = xcalloc(1, sizeof(*p));

	p->delivery = d;
	p->tag = d->tag;
	p->fresh = strcmp(d->routing_key, TOPOLOGY_FRESH_KEY) == 0;
	p->consumed = h->consumed;
	h->received++;
	TAILQ_INSERT_TAIL(&h->parcels, p, link);
	h->n_parcels++;
	set_bytes(h, p, delivery_size(d));
	acks_add(h->acks, p->tag);
	return p;
}

static void
parcel_free(struct inflight *h, struct parcel *p)
{
	leave_share(h, p);
	set_bytes(h, p, 0);
	set_damaged(h, p, false);
	h->held_up_now -= p->held_up && p->consumed == h->consumed;
	TAILQ_REMOVE(&h->parcels, p, link);
	assert(h->n_parcels > 0);
	h->n_parcels--;
	delivery_destroy(p->delivery);
	job_notice_slip_free(p->slip);
	free(p->host);
	free(p->reason);
	free(p);
}

/* The intake valve. Closed above the limit, open again below three quarters of it. */
static void
set_valve(struct inflight *h)
{
	bool full = h->held > h->bytes_max;
	bool low = h->held < h->bytes_max / 4 * 3;

	if (!h->paused && full) {
		log_info("inbox", "%s: reading pauses, held_bytes=%" PRIu64, broker_id(h->consumer),
		    h->held);
		h->paused = true;
		broker_pause(h->consumer);
	} else if (h->paused && low) {
		log_info("inbox", "%s: reading goes on", broker_id(h->consumer));
		h->paused = false;
		broker_resume(h->consumer);
	}
}

static void
arm_slow(struct inflight *h)
{
	int64_t ms = slowstart_wait_ms(h->slow, loop_now(h->loop));

	if (ms >= 0)
		loop_timer_arm(h->slow_timer, ms);
	else
		loop_timer_disarm(h->slow_timer);
}

/* Notes that reading it has killed nobody. */
static void
note_survived(struct inflight *h, struct parcel *p)
{
	if (!p->tried)
		return;
	p->tried = false;
	slowstart_done(h->slow, loop_now(h->loop));
	arm_slow(h);
}

/* Returns how long the ack of what is done may wait for the acks before it: not at all while there
 * is a next lot, which may be the end of this process: what dies unacked comes back. */
static uint32_t
hole_ms(const struct inflight *h, const struct parcel *p)
{
	if (slowstart_waiting(h->slow) > 0)
		return 0;
	return p->fresh ? FRESH_HOLE_MS : ACKS_HOLE_MS;
}

static void
parcel_done(struct inflight *h, struct parcel *p, bool stored)
{
	note_survived(h, p);
	acks_done(h->acks, p->tag, hole_ms(h, p));
	parcel_free(h, p);
	set_valve(h);
	h->handlers->on_done(stored, h->arg);
}

static void
bury(struct inflight *h, struct parcel *p, enum inflight_dead dead, const char *reason)
{
	struct delivery *d = p->delivery;

	note_survived(h, p); /* the dead letter queue may take its time */
	leave_share(h, p);   /* dead letters have a limit of their own */
	set_damaged(h, p, false);
	hold_up(h, p);
	h->dead_letters[dead]++;
	p->delivery = NULL;
	if (!deadletter_bury(h->dead, d, reason, p)) {
		set_bytes(h, p, 0);
		acks_keep(h->acks, p->tag);
	}
	set_valve(h);
}

void
inflight_give_back(struct inflight *h)
{
	size_t n = h->n_parcels;

	while (host_quota_drop(h->shares) != NULL)
		continue;
	host_quota_expect_none(h->shares);
	slowstart_clear(h->slow);
	arm_slow(h);
	decode_clear(h->intake);
	decode_clear(h->fresh_intake);
	batch_clear(h->batch);
	deadletter_clear(h->dead);
	while (!TAILQ_EMPTY(&h->parcels))
		parcel_free(h, TAILQ_FIRST(&h->parcels));
	acks_give_back(h->acks);
	h->given_back += n;
	if (n > 0)
		log_info("inbox", "%s: %zu deliveries given back", broker_id(h->consumer), n);
	set_valve(h);
}

static void
on_attest_settled(void *arg)
{
	struct inflight *h = arg;

	decode_go_on(h->intake);
	decode_go_on(h->fresh_intake);
}

static void
on_buried(void *owner, void *arg)
{
	parcel_done(arg, owner, false);
}

/* Its tag is void by now. */
static void
on_dropped(void *owner, void *arg)
{
	parcel_done(arg, owner, false);
}

static void
return_parcel(struct inflight *h, struct parcel *p)
{
	acks_keep(h->acks, p->tag); /* unless it is already */
	acks_return(h->acks, p->tag);
	h->given_back++;
	parcel_free(h, p);
	set_valve(h);
	h->handlers->on_done(false, h->arg);
}

static void
on_returned(void *owner, void *arg)
{
	return_parcel(arg, owner);
}

static void
on_dead_stuck(void *arg)
{
	struct inflight *h = arg;

	h->handlers->on_held_up(h->arg);
}

/* ---- what is not taken is told ---- */

static void
on_outcome_added(const struct trouble *why, const char *done, void *arg)
{
	if (why != NULL)
		log_warn("inbox",
		    "a job does not know that an answer was dead-lettered: " TROUBLE_FMT,
		    TROUBLE_ARGS(why));
}

/* The record has no room for the failure either, or is what is wrong: the job at least knows. */
static void
note_in_ledger(struct inflight *h, const struct parcel *p)
{
	struct result *r = convert_failure(&p->delivery->message, p->reason, wallclock_ms());
	struct outcome o;

	if (outcome_of_result(p->host, r, &o))
		store_outcomes_add(h->store, r->meta.job, &o, 1, on_outcome_added, h);
	result_finish(r);
	free(r);
}

/* Its job goes on to wait for it. Any sender decides how many there are: a line a minute. */
static void
note_untold(struct inflight *h, const struct message *m, const char *reason)
{
	uint32_t unlogged;

	h->untold++;
	if (ratelimit_due(&h->said_untold, "untold", loop_now(h->loop), &unlogged))
		log_warn("inbox",
		    "an answer goes to " TOPOLOGY_DEAD_QUEUE
		    ", and its job is not told, since nobody vouches for the host that sent it: "
		    "%s, job=%s, sender=%s, not_logged=%" PRIu32
		    "; a host with a user of its own would be told (docs/running.md)",
		    reason, m->correlation_id, m->user_id == NULL ? "?" : m->user_id, unlogged);
}

static bool
is_untold(const struct parcel *p, const struct message *m)
{
	return p->host == NULL && m->correlation_id != NULL && job_id_ok(m->correlation_id);
}

/* Lets its job and its host's record say so before it is dead-lettered and acked, where it is known
 * whose these are: a failure goes to the store in its place. */
static void
give_up(struct inflight *h, struct parcel *p, enum inflight_dead dead, const char *reason)
{
	const struct message *m = &p->delivery->message;
	struct result **list;
	bool untold = is_untold(p, m);
	size_t bytes;

	if (untold)
		note_untold(h, m, reason);
	if (untold || dead == INFLIGHT_DEAD_FORGED)
		forged_saw(h->forged, m->user_id, reason, untold);
	if (p->host == NULL) {
		bury(h, p, dead, reason);
		return;
	}
	if (inflight_waiting(h) == 1)
		h->busy_since = loop_now(h->loop);
	list = xcalloc(1, sizeof(struct result *));
	list[0] = convert_failure(m, reason, wallclock_ms());
	p->dead = dead;
	p->reason = xstrdup(reason);
	job_notice_slip_free(p->slip);
	p->slip = job_notice_slip(m->reply_to, p->host, list, 1);
	bytes = batch_add(h->batch, p->host, list, 1, p, p->fresh);
	set_bytes(h, p, p->bytes + bytes);
	set_valve(h);
}

static void
on_done(void *owner, enum batch_verdict verdict, const char *why, void *arg)
{
	struct inflight *h = arg;
	struct parcel *p = owner;

	if (p->reason != NULL) {
		if (verdict == BATCH_REJECTED)
			note_in_ledger(h, p);
		job_notice_post(h->notice, p->slip);
		p->slip = NULL;
		bury(h, p, p->dead, p->reason);
	} else if (verdict == BATCH_REJECTED) {
		give_up(h, p, INFLIGHT_DEAD_REJECTED, why);
	} else {
		h->stored++;
		job_notice_post(h->notice, p->slip);
		p->slip = NULL;
		if (p->greets && h->handlers->on_greeted != NULL)
			h->handlers->on_greeted(p->host, h->arg);
		parcel_done(h, p, true);
	}
}

/* Notes that it killed nobody: what is behind it is not to wait for it. */
static void
on_held(void *owner, void *arg)
{
	struct inflight *h = arg;
	struct parcel *p = owner;

	if (p->damaged)
		return;
	note_survived(h, p);
	set_damaged(h, p, true);
	hold_up(h, p);
	h->handlers->on_held_up(h->arg);
}

static void
on_breaker(void *arg)
{
	struct inflight *h = arg;

	h->handlers->on_breaker(h->arg);
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

size_t
inflight_waiting(const struct inflight *h)
{
	return h->n_parcels - host_quota_waiting(h->shares) - slowstart_waiting(h->slow) -
	       decode_pending(h->intake) - decode_pending(h->fresh_intake) - inflight_dead_held(h) -
	       h->n_damaged;
}

void
inflight_on_consume(struct inflight *h)
{
	h->consumed++;
	h->held_up_now = 0;
}

size_t
inflight_held_up_now(const struct inflight *h)
{
	return h->held_up_now;
}

size_t
inflight_held_up(const struct inflight *h)
{
	return inflight_dead_held(h) + host_quota_waiting(h->shares) + h->n_damaged;
}

size_t
inflight_dead_held(const struct inflight *h)
{
	return deadletter_pending(h->dead) + deadletter_parked(h->dead);
}

static void
take_results(struct inflight *h, struct parcel *p, const struct decode_reading *r)
{
	const char *host = r->response.host;
	size_t i, bytes;

	if (inflight_waiting(h) == 1)
		h->busy_since = loop_now(h->loop);
	attest_saw(h->attest, host);
	log_results(host, r->results, r->n);
	p->host = xstrdup(host);
	p->greets = r->n == 1 && r->results[0]->plugin == NULL && r->results[0]->error == NULL;
	p->slip = job_notice_slip(r->response.meta.reply_to, host, r->results, r->n);
	for (i = 0; i < r->n; i++)
		h->refused_values[r->results[i]->refusal]++;
	bytes = batch_add(h->batch, host, r->results, r->n, p, p->fresh);
	set_bytes(h, p, p->bytes + bytes);
	set_valve(h);
}

static void
refuse(
    struct inflight *h, struct parcel *p, enum inflight_dead dead, const struct decode_reading *r)
{
	if (r->host[0] != '\0')
		p->host = xstrdup(r->host);
	give_up(h, p, dead, r->why);
}

static void
on_read(void *owner, struct delivery *d, struct decode_reading *r, void *arg)
{
	struct inflight *h = arg;
	struct parcel *p = owner;

	p->delivery = d;
	set_bytes(h, p, delivery_size(d)); /* it may be packed now */
	switch (r->verdict) {
	case DECODE_GOOD:
		take_results(h, p, r);
		r->results = NULL; /* the batch has them */
		return;
	case DECODE_MALFORMED:
		refuse(h, p, INFLIGHT_DEAD_MALFORMED, r);
		return;
	case DECODE_OVERSIZE:
		refuse(h, p, INFLIGHT_DEAD_OVERSIZE, r);
		return;
	case DECODE_FORGED:
		refuse(h, p, INFLIGHT_DEAD_FORGED, r);
		return;
	}
}

static void
read_parcel(struct inflight *h, struct parcel *p)
{
	struct delivery *d = p->delivery;

	p->delivery = NULL;
	p->tried = true;
	decode_take(p->fresh ? h->fresh_intake : h->intake, d, &h->intake_opt, p);
}

static void
name_suspect(const struct inflight *h, const struct parcel *p, size_t lot)
{
	char host[NAME_HOST_MAX + 1];

	decode_host_of(&p->delivery->message, host);
	log_info("inbox",
	    "%s: slow start: reads what came back, host=%s, bytes=%zu, in_lot=%zu, waiting=%zu",
	    broker_id(h->consumer), host, p->bytes, lot, slowstart_waiting(h->slow));
}

static void
on_slow(void *arg)
{
	struct inflight *h = arg;
	struct parcel *p;
	size_t lot = 0, begun;

	while ((p = slowstart_next(h->slow, loop_now(h->loop), ident_random32(), &begun)) != NULL) {
		lot = begun > 0 ? begun : lot;
		if (lot > 0 && lot <= SLOW_NAMED_MAX)
			name_suspect(h, p, lot);
		read_parcel(h, p);
	}
	arm_slow(h);
}

/* ---- the share of a host ---- */

static void
on_shares(void *arg)
{
	struct inflight *h = arg;
	struct parcel *p;

	/* While reading pauses, what is given back does not come. */
	while (!h->paused && (p = host_quota_next(h->shares, loop_now(h->loop))) != NULL)
		return_parcel(h, p);
	if (host_quota_busy(h->shares))
		loop_timer_arm(h->shares_timer, SHARES_LOOK_MS);
	if (host_quota_waiting(h->shares) > 0)
		h->handlers->on_held_up(h->arg);
}

/* Who is charged: a host with a user of its own, whatever name it writes. */
static const char *
who_pays(const struct inflight *h, const struct message *m, const char *host)
{
	bool bound = m->user_id != NULL && attest_is_bound(h->attest, m->user_id);

	return bound ? m->user_id : host;
}

static void
log_share(struct inflight *h, const char *host)
{
	uint32_t unlogged;

	if (ratelimit_due(&h->said_share, host, loop_now(h->loop), &unlogged))
		log_info("inbox",
		    "%s: %s has its share of intake_max_bytes in hand: what else comes of it "
		    "waits in its queue, unlogged_before=%" PRIu32,
		    broker_id(h->consumer), host, unlogged);
}

/* false: there is no room for it in the share of its host, and nothing is held but its tag. */
static bool
take_share(struct inflight *h, struct parcel *p, struct host_quota_delivery *d)
{
	p->share = host_quota_take(h->shares, d, p, loop_now(h->loop));
	if (p->share != NULL)
		return true;
	log_share(h, d->host);
	delivery_destroy(p->delivery);
	p->delivery = NULL;
	set_bytes(h, p, 0);
	hold_up(h, p);
	acks_keep(h->acks, p->tag);
	arm_shares(h);
	return false;
}

void
inflight_take(struct inflight *h, struct delivery *d)
{
	char host[NAME_HOST_MAX + 1];
	struct host_quota_delivery what = {.redelivered = d->redelivered};
	struct parcel *p;

	p = parcel_new(h, d);
	attest_find_sender(h->attest, &d->message);
	decode_host_of(&d->message, host);
	what.host = who_pays(h, &d->message, host);
	what.fresh = p->fresh;
	what.bytes = p->bytes;
	if (!d->oversize && !take_share(h, p, &what))
		return;
	set_valve(h);
	if (slowstart_add(h->slow, host, what.redelivered, p, loop_now(h->loop)))
		arm_slow(h);
	else
		read_parcel(h, p);
}

void
inflight_return_held(struct inflight *h)
{
	struct parcel *p;

	deadletter_return_parked(h->dead);
	while ((p = host_quota_drop(h->shares)) != NULL)
		return_parcel(h, p);
	while ((p = slowstart_drop(h->slow)) != NULL)
		return_parcel(h, p);
	arm_slow(h);
}

void
inflight_refuse(struct inflight *h, struct delivery *d)
{
	h->given_back++;
	broker_nack(h->consumer, d->tag, false, true);
	delivery_destroy(d);
}

/* Lets what is in hand go on into the store, but for what is not begun; its acks are void, and it
 * will come again. */
void
inflight_on_consumer_down(struct inflight *h)
{
	struct parcel *p;

	acks_drop(h->acks);
	deadletter_on_consumer_down(h->dead);
	while ((p = host_quota_drop(h->shares)) != NULL)
		parcel_done(h, p, false);
	host_quota_expect_none(h->shares);
	while ((p = slowstart_drop(h->slow)) != NULL)
		parcel_done(h, p, false);
	arm_slow(h);
}

struct deadletter *
inflight_deadletter(struct inflight *h)
{
	return h->dead;
}

/* ---- options and status ---- */

void
inflight_set_options(struct inflight *h, const struct options *opt)
{
	take_options(h, opt);
	batch_set_options(h->batch, &h->batch_opt);
	deadletter_set_bytes_max(h->dead, h->bytes_max / DEAD_BYTES_SHARE);
	arm_shares(h);
	set_valve(h);
}

/* Returns how long nothing was written of what waits for the store. */
static int64_t
stalled_ms(const struct inflight *h)
{
	struct mono since = batch_stats(h->batch)->last_ok;

	if (inflight_waiting(h) == 0)
		return 0;
	if (mono_diff(h->busy_since, since) > 0)
		since = h->busy_since;
	return mono_diff(loop_now(h->loop), since);
}

void
inflight_status(const struct inflight *h, struct inflight_status *out)
{
	*out = (struct inflight_status){
	    .count = h->n_parcels,
	    .share_waiting = host_quota_waiting(h->shares),
	    .slow_waiting = slowstart_waiting(h->slow),
	    .damaged = h->n_damaged,
	    .dead_waiting = deadletter_pending(h->dead),
	    .dead_held = deadletter_parked(h->dead),
	    .dead_waiting_max = DEADLETTER_PENDING_MAX,
	    .bytes = h->held,
	    .bytes_max = h->bytes_max,
	    .outstanding = acks_outstanding(h->acks),
	    .paused = h->paused,
	    .stalled_ms = stalled_ms(h),
	    .received = h->received,
	    .stored = h->stored,
	    .given_back = h->given_back,
	    .acked = acks_sent(h->acks),
	    .buried = deadletter_buried(h->dead),
	    .untold = h->untold,
	    .notices = *job_notice_stats(h->notice),
	};
	out->dead_stuck_ms = deadletter_stuck_ms(h->dead, &out->dead_stuck);
	memcpy(out->dead, h->dead_letters, sizeof(out->dead));
	memcpy(out->refused_values, h->refused_values, sizeof(out->refused_values));
}

size_t
inflight_count(const struct inflight *h)
{
	return h->n_parcels;
}

uint64_t
inflight_received(const struct inflight *h)
{
	return h->received;
}

struct batch *
inflight_batch(const struct inflight *h)
{
	return h->batch;
}

void
inflight_destroy(struct inflight *h)
{
	if (h == NULL)
		return;
	loop_timer_destroy(h->slow_timer);
	slowstart_destroy(h->slow);
	decode_destroy(h->intake);
	decode_destroy(h->fresh_intake);
	attest_destroy(h->attest);
	forged_destroy(h->forged);
	batch_destroy(h->batch);
	deadletter_destroy(h->dead);
	acks_destroy(h->acks);
	while (!TAILQ_EMPTY(&h->parcels))
		parcel_free(h, TAILQ_FIRST(&h->parcels));
	host_quota_destroy(h->shares);
	loop_timer_destroy(h->shares_timer);
	job_notice_destroy(h->notice);
	free(h);
}
