/* See hand.h. */
#include "daemon/hand.h"

#include "daemon/acks.h"
#include "daemon/batch.h"
#include "daemon/deadletter.h"
#include "daemon/intake.h"
#include "shared/log.h"
#include "shared/loop.h"
#include "shared/topology.h"
#include "shared/xalloc.h"

#include <bsd/sys/queue.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

struct hand {
	struct loop *loop;
	struct broker *consumer;
	const struct hand_handlers *handlers;
	void *arg;
	struct intake_options intake_opt;
	struct batch_options batch_opt;
	uint32_t patience_ms; /* 0 = that of batch_opt */
	uint64_t bytes_max;
	struct acks *acks;
	struct intake *intake, *fresh_intake; /* in each nothing overtakes another */
	struct batch *batch;
	struct deadletter *dead;
	struct notice *notice;
	struct parcels parcels;
	size_t n_parcels;
	uint64_t held;
	bool paused;
	struct mono busy_since; /* while anything in hand waits for the store */
	uint64_t received, stored, given_back;
	uint64_t dead_letters[HAND_N_DEAD];
	uint64_t refused_values[JSONX_N_REFUSALS];
};

static void on_read(void *owner, struct delivery *d, struct intake_reading *r, void *arg);
static void on_done(void *owner, enum batch_verdict verdict, const char *why, void *arg);
static void on_store_down(const char *why, void *arg);
static void on_buried(void *owner, void *arg);
static void on_dropped(void *owner, void *arg);
static void send_ack(struct broker_tag tag, bool multiple, void *arg);
static void send_nack(struct broker_tag tag, bool multiple, bool requeue, void *arg);

static const struct batch_handlers batch_handlers = {
    .on_done = on_done,
    .on_store_down = on_store_down,
};
static const struct acks_handlers acks_handlers = {
    .ack = send_ack,
    .nack = send_nack,
};

const char *
hand_dead_name(enum hand_dead dead)
{
	switch (dead) {
	case HAND_DEAD_OVERSIZE:
		return "oversize";
	case HAND_DEAD_MALFORMED:
		return "malformed";
	case HAND_DEAD_FORGED:
		return "forged";
	case HAND_DEAD_REJECTED:
		return "rejected";
	}
	return "?";
}

static void
take_options(struct hand *h, const struct options *opt)
{
	struct convert_limits *limits = &h->intake_opt.limits;

	h->batch_opt.max_count = opt->batch_max_count;
	h->batch_opt.max_bytes = opt->batch_max_bytes;
	h->batch_opt.max_age_ms = opt->batch_max_age_ms;
	h->batch_opt.patience_ms = opt->store_patience_ms;
	h->intake_opt.attest = opt->attest == OPTIONS_ATTEST_YES;
	limits->yaml.depth = opt->yaml_depth;
	limits->yaml.nodes = opt->yaml_nodes;
	limits->yaml.bytes = opt->yaml_bytes;
	limits->json_depth = opt->json_depth;
	limits->json_keys = opt->object_keys;
	limits->yaml.keys = opt->object_keys;
	h->bytes_max = opt->intake_max_bytes;
}

struct hand *
hand_create(const struct hand_parts *parts, const struct options *opt,
    const struct hand_handlers *handlers, void *arg)
{
	struct hand *h = xcalloc(1, sizeof(*h));

	h->loop = parts->loop;
	h->consumer = parts->consumer;
	h->handlers = handlers;
	h->arg = arg;
	take_options(h, opt);
	TAILQ_INIT(&h->parcels);
	h->acks = acks_create(h->loop, &acks_handlers, h);
	h->intake = intake_create(h->loop, on_read, h);
	h->fresh_intake = intake_create(h->loop, on_read, h);
	h->batch = batch_create(h->loop, parts->store, &h->batch_opt, &batch_handlers, h);
	h->dead = deadletter_create(h->loop, parts->publisher, on_buried, on_dropped, h);
	h->notice = notice_create(h->loop, parts->publisher);
	return h;
}

static void
send_ack(struct broker_tag tag, bool multiple, void *arg)
{
	struct hand *h = arg;

	broker_ack(h->consumer, tag, multiple);
}

static void
send_nack(struct broker_tag tag, bool multiple, bool requeue, void *arg)
{
	struct hand *h = arg;

	broker_nack(h->consumer, tag, multiple, requeue);
}

static struct parcel *
parcel_new(struct hand *h, struct delivery *d)
{
	struct parcel *p = xcalloc(1, sizeof(*p));

	p->delivery = d;
	p->tag = d->tag;
	p->bytes = delivery_size(d);
	p->fresh = strcmp(d->routing_key, TOPOLOGY_FRESH_KEY) == 0;
	h->received++;
	TAILQ_INSERT_TAIL(&h->parcels, p, link);
	h->n_parcels++;
	h->held += p->bytes;
	acks_add(h->acks, p->tag);
	return p;
}

static void
parcel_free(struct hand *h, struct parcel *p)
{
	TAILQ_REMOVE(&h->parcels, p, link);
	h->n_parcels--;
	h->held -= p->bytes;
	delivery_destroy(p->delivery);
	notice_slip_free(p->slip);
	free(p);
}

/* The intake valve. Closed above the limit, open again below three quarters of it. */
static void
set_valve(struct hand *h)
{
	bool full = h->held > h->bytes_max || deadletter_is_full(h->dead);
	bool low = h->held < h->bytes_max / 4 * 3 &&
		   deadletter_pending(h->dead) < DEADLETTER_PENDING_MAX / 4 * 3;

	if (!h->paused && full) {
		log_info("inbox", "%s: reading pauses, held_bytes=%" PRIu64 ", dead_letters=%zu",
		    broker_id(h->consumer), h->held, deadletter_pending(h->dead));
		h->paused = true;
		broker_pause(h->consumer);
	} else if (h->paused && low) {
		log_info("inbox", "%s: reading goes on", broker_id(h->consumer));
		h->paused = false;
		broker_resume(h->consumer);
	}
}

static void
parcel_done(struct hand *h, struct parcel *p, bool stored)
{
	acks_done(h->acks, p->tag, p->fresh ? FRESH_HOLE_MS : ACKS_HOLE_MS);
	parcel_free(h, p);
	set_valve(h);
	h->handlers->on_done(stored, h->arg);
}

static void
bury(struct hand *h, struct parcel *p, enum hand_dead dead, const char *reason)
{
	struct delivery *d = p->delivery;

	h->dead_letters[dead]++;
	p->delivery = NULL;
	deadletter_bury(h->dead, d, reason, p);
	set_valve(h);
}

void
hand_give_back(struct hand *h)
{
	size_t n = h->n_parcels;

	intake_clear(h->intake);
	intake_clear(h->fresh_intake);
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
on_done(void *owner, enum batch_verdict verdict, const char *why, void *arg)
{
	struct hand *h = arg;
	struct parcel *p = owner;

	if (verdict == BATCH_REJECTED) {
		bury(h, p, HAND_DEAD_REJECTED, why);
	} else {
		h->stored++;
		notice_post(h->notice, p->slip);
		p->slip = NULL;
		parcel_done(h, p, true);
	}
}

static void
on_store_down(const char *why, void *arg)
{
	struct hand *h = arg;

	h->handlers->on_store_down(why, h->arg);
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
hand_waiting(const struct hand *h)
{
	return h->n_parcels - intake_pending(h->intake) - intake_pending(h->fresh_intake) -
	       deadletter_pending(h->dead);
}

static void
take_results(struct hand *h, struct parcel *p, const struct intake_reading *r)
{
	const char *host = r->response.host;
	size_t i, bytes;

	if (hand_waiting(h) == 1)
		h->busy_since = loop_now(h->loop);
	log_results(host, r->results, r->n);
	p->slip = notice_slip(r->response.meta.reply_to, host, r->results, r->n);
	for (i = 0; i < r->n; i++)
		h->refused_values[r->results[i]->refusal]++;
	bytes = batch_add(h->batch, host, r->results, r->n, p, p->fresh);
	p->bytes += bytes;
	h->held += bytes;
	set_valve(h);
}

static void
on_read(void *owner, struct delivery *d, struct intake_reading *r, void *arg)
{
	struct hand *h = arg;
	struct parcel *p = owner;

	p->delivery = d;
	switch (r->verdict) {
	case INTAKE_GOOD:
		take_results(h, p, r);
		r->results = NULL; /* the batch has them */
		return;
	case INTAKE_MALFORMED:
		bury(h, p, HAND_DEAD_MALFORMED, r->why);
		return;
	case INTAKE_FORGED:
		bury(h, p, HAND_DEAD_FORGED, r->why);
		return;
	}
}

void
hand_take(struct hand *h, struct delivery *d)
{
	char why[128];
	struct parcel *p;

	p = parcel_new(h, d);
	set_valve(h);
	if (d->oversize) {
		snprintf(
		    why, sizeof(why), "%" PRIu64 " bytes are over message_max_bytes", d->body_size);
		bury(h, p, HAND_DEAD_OVERSIZE, why);
		return;
	}
	p->delivery = NULL;
	intake_take(p->fresh ? h->fresh_intake : h->intake, d, &h->intake_opt, p);
}

void
hand_refuse(struct hand *h, struct delivery *d)
{
	h->given_back++;
	broker_nack(h->consumer, d->tag, false, true);
	delivery_destroy(d);
}

/* What is in hand goes on into the store; its acks are void, and it will come again. */
void
hand_on_consumer_down(struct hand *h)
{
	acks_drop(h->acks);
	deadletter_on_consumer_down(h->dead);
}

void
hand_on_publisher_ready(struct hand *h)
{
	deadletter_on_ready(h->dead);
}

void
hand_on_confirm(struct hand *h, uint64_t id, enum broker_outcome outcome, const char *why)
{
	deadletter_on_confirm(h->dead, id, outcome, why);
}

/* ---- options and status ---- */

static void
set_batch_options(struct hand *h)
{
	struct batch_options opt = h->batch_opt;

	if (h->patience_ms != 0)
		opt.patience_ms = h->patience_ms;
	batch_set_options(h->batch, &opt);
}

void
hand_set_options(struct hand *h, const struct options *opt)
{
	take_options(h, opt);
	set_batch_options(h);
	set_valve(h);
}

void
hand_set_patience(struct hand *h, uint32_t patience_ms)
{
	h->patience_ms = patience_ms;
	set_batch_options(h);
}

/* How long what waits for the store has seen none of it written. */
static int64_t
stalled_ms(const struct hand *h)
{
	struct mono since = batch_stats(h->batch)->last_ok;

	if (hand_waiting(h) == 0)
		return 0;
	if (mono_diff(h->busy_since, since) > 0)
		since = h->busy_since;
	return mono_diff(loop_now(h->loop), since);
}

void
hand_status(const struct hand *h, struct hand_status *out)
{
	*out = (struct hand_status){
	    .count = h->n_parcels,
	    .dead_waiting = deadletter_pending(h->dead),
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
	    .notices = *notice_stats(h->notice),
	};
	memcpy(out->dead, h->dead_letters, sizeof(out->dead));
	memcpy(out->refused_values, h->refused_values, sizeof(out->refused_values));
}

size_t
hand_count(const struct hand *h)
{
	return h->n_parcels;
}

uint64_t
hand_received(const struct hand *h)
{
	return h->received;
}

struct batch *
hand_batch(const struct hand *h)
{
	return h->batch;
}

void
hand_destroy(struct hand *h)
{
	if (h == NULL)
		return;
	intake_destroy(h->intake);
	intake_destroy(h->fresh_intake);
	batch_destroy(h->batch);
	deadletter_destroy(h->dead);
	acks_destroy(h->acks);
	while (!TAILQ_EMPTY(&h->parcels))
		parcel_free(h, TAILQ_FIRST(&h->parcels));
	notice_destroy(h->notice);
	free(h);
}
