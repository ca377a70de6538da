/* SPDX-License-Identifier: Apache-2.0 */
/* See batch.h. */
#include "daemon/batch.h"

#include "daemon/backlog.h"
#include "daemon/damage.h"
#include "shared/base/backoff.h"
#include "shared/base/ident.h"
#include "shared/base/log.h"
#include "shared/base/ratelimit.h"
#include "shared/base/trouble.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"

#include <assert.h>
#include <bsd/string.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONFLICT_FIRST_MS 10   /* doubling, with jitter */
#define CONFLICT_LATER_MS 5000 /* after BATCH_CONFLICTS_MAX in a row */
#define RETRY_FIRST_MS    100  /* of a host that is refused by itself */
#define RETRY_MAX_MS      5000
#define DAMAGE_LOOK_MS    5000 /* whether hosts that were refused are refused still */
#define WHY_SIZE          256

/* A list of writes; several roles. */
struct writes {
	struct backlog_write **list;
	size_t n;
};

/* One store_put, sent or (in the batch's `halves`) to be sent. */
struct put {
	TAILQ_ENTRY(put) link;
	struct batch *batch;
	struct writes writes;     /* once it is sent: NULL for those that are answered */
	struct store_write **raw; /* what store_put gets; lives as long as the put */
	struct mono sent_at;
	size_t unanswered;
	size_t size;           /* hosts, as it was sent */
	size_t taken;          /* answered with OK */
	struct writes refused; /* answered with REJECT_BATCH */
	struct writes denied;  /* answered with REFUSED */
	struct writes retry;   /* answered with RETRY */
	size_t damaged;        /* answered with DAMAGED */
	struct writes rest;    /* of a split: suspects that are not in this put */
	bool forgotten;        /* cleared while in flight: answers are not told */
	char why[WHY_SIZE];
};
TAILQ_HEAD(puts, put);

struct batch {
	struct loop *loop;
	struct store *store;
	struct batch_options opt;
	const struct batch_handlers *handlers;
	void *arg;
	struct breaker breaker;
	struct backlog *backlog;
	struct puts in_flight;
	struct puts halves; /* of splits, waiting for their turn */
	size_t n_in_flight;
	struct mono last_put;
	struct mono step_at; /* while step is armed */
	bool hurry;
	struct loop_timer *step;
	struct loop_timer *time; /* BREAKER_TIME */
	struct batch_stats stats;
	struct ratelimit said_conflict;
	struct damage *damage;
	struct ratelimit said_damage;
	struct loop_timer *damage_look; /* armed while there is some */
	size_t held_bytes;              /* of what waits since something of its host is damaged */
};

static void on_step(void *arg);
static void on_time(void *arg);
static void on_damage_look(void *arg);
static void on_written(
    struct store_write *sw, enum store_status status, const struct trouble *why, void *arg);

struct batch *
batch_create(struct loop *loop, struct store *store, const struct batch_options *opt,
    const struct batch_handlers *handlers, void *arg)
{
	struct batch *b = xcalloc(1, sizeof(*b));

	b->loop = loop;
	b->store = store;
	b->opt = *opt;
	b->handlers = handlers;
	b->arg = arg;
	b->backlog = backlog_create();
	b->damage = damage_create();
	b->stats.last_ok = loop_now(loop);
	TAILQ_INIT(&b->in_flight);
	TAILQ_INIT(&b->halves);
	b->last_put = mono_add(loop_now(loop), -(int64_t)store_limits(store)->min_interval_ms);
	breaker_init(&b->breaker, opt->patience_ms, loop_now(loop));
	b->step = loop_timer_create(loop, "batch step", on_step, b);
	b->time = loop_timer_create(loop, "batch breaker", on_time, b);
	b->damage_look = loop_timer_create(loop, "batch damage", on_damage_look, b);
	return b;
}

/* Looks again in ms at the latest. */
static void
step_within(struct batch *b, int64_t ms)
{
	struct mono at = mono_add(loop_now(b->loop), ms);

	if (loop_timer_armed(b->step) && mono_reached(at, b->step_at))
		return;
	b->step_at = at;
	loop_timer_arm(b->step, ms);
}

static void
arm_time(struct batch *b)
{
	int64_t ms = b->breaker.state == BREAKER_AWAY
			 ? -1 /* whoever probes looks at the time himself */
			 : breaker_next_ms(&b->breaker, loop_now(b->loop));

	if (ms >= 0)
		loop_timer_arm(b->time, ms);
	else
		loop_timer_disarm(b->time);
}

void
batch_set_options(struct batch *b, const struct batch_options *opt)
{
	b->opt = *opt;
	breaker_set_patience(&b->breaker, opt->patience_ms);
	arm_time(b);
	step_within(b, 0);
}

/* ---- puts ---- */

static void
push(struct writes *w, struct backlog_write *one)
{
	w->list = xreallocarray(w->list, w->n + 1, sizeof(struct backlog_write *));
	w->list[w->n++] = one;
}

static struct put *
put_new(struct batch *b, struct backlog_write *const *list, size_t n)
{
	struct put *p = xcalloc(1, sizeof(*p));
	size_t i;

	p->batch = b;
	for (i = 0; i < n; i++)
		push(&p->writes, list[i]);
	return p;
}

static void
put_free(struct put *p)
{
	free(p->writes.list);
	free(p->raw);
	free(p->refused.list);
	free(p->denied.list);
	free(p->retry.list);
	free(p->rest.list);
	free(p);
}

static void
put_send(struct batch *b, struct put *p)
{
	size_t i;

	p->raw = xcalloc(p->writes.n, sizeof(struct store_write *));
	for (i = 0; i < p->writes.n; i++) {
		p->writes.list[i]->put = p;
		p->writes.list[i]->slot = i;
		p->raw[i] = &p->writes.list[i]->write;
	}
	p->unanswered = p->size = p->writes.n;
	TAILQ_INSERT_TAIL(&b->in_flight, p, link);
	b->n_in_flight++;
	p->sent_at = b->last_put = loop_now(b->loop);
	b->stats.puts++;
	log_debug("batch", "store[%s]: put, hosts=%zu", store_id(b->store), p->writes.n);
	store_put(b->store, p->raw, p->writes.n, on_written, b);
}

/* ---- filling ---- */

static size_t
max_count(const struct batch *b)
{
	size_t n = b->opt.max_count > 0 ? b->opt.max_count : store_limits(b->store)->batch_count;

	return n < b->breaker.width ? n : b->breaker.width;
}

static size_t
max_bytes(const struct batch *b)
{
	return b->opt.max_bytes > 0 ? (size_t)b->opt.max_bytes
				    : store_limits(b->store)->batch_bytes;
}

static bool
is_full(const struct batch *b)
{
	return backlog_ready(b->backlog) >= max_count(b) ||
	       backlog_ready_bytes(b->backlog) >= max_bytes(b);
}

static bool
is_due(struct batch *b, int64_t *left_ms)
{
	struct mono since;

	*left_ms = -1;
	if (backlog_ready(b->backlog) == 0)
		return false;
	if (b->hurry || is_full(b))
		return true;
	if (!backlog_oldest(b->backlog, &since))
		return false;
	*left_ms = b->opt.max_age_ms - mono_diff(loop_now(b->loop), since);
	return *left_ms <= 0;
}

static struct backlog_write *
take(struct batch *b)
{
	struct backlog_write *w = backlog_take(b->backlog, max_bytes(b));
	struct backlog_retries *r;

	if (w == NULL)
		return NULL;
	r = backlog_retries(w);
	assert(b->held_bytes >= r->held_bytes);
	b->held_bytes -= r->held_bytes;
	r->held_bytes = 0;
	return w;
}

static struct put *
fill(struct batch *b)
{
	struct writes w = {0};
	struct put *p;
	size_t bytes = 0;

	while (w.n < max_count(b) && bytes < max_bytes(b)) {
		struct backlog_write *one = take(b);

		if (one == NULL)
			break;
		if (w.n > 0 && backlog_retries(one)->alone) {
			backlog_return(b->backlog, one, loop_now(b->loop));
			break;
		}
		bytes += one->write.bytes;
		push(&w, one);
		if (backlog_retries(one)->alone)
			break;
	}
	p = put_new(b, w.list, w.n);
	free(w.list);
	return p;
}

/* The next put that is due, or NULL and in how many ms to look again (-1: when something happens).
 */
static struct put *
next_put(struct batch *b, int64_t *left_ms)
{
	struct put *p = TAILQ_FIRST(&b->halves);

	if (p != NULL) {
		TAILQ_REMOVE(&b->halves, p, link);
		return p;
	}
	return is_due(b, left_ms) ? fill(b) : NULL;
}

static void
arm_step(struct batch *b, int64_t left_ms)
{
	struct mono at;

	if (backlog_next_wake(b->backlog, &at)) {
		int64_t wake = mono_diff(at, loop_now(b->loop));

		if (left_ms < 0 || wake < left_ms)
			left_ms = wake;
	}
	if (left_ms >= 0)
		step_within(b, left_ms > 0 ? left_ms : 0);
}

static void
on_step(void *arg)
{
	struct batch *b = arg;
	const struct store_limits *limits = store_limits(b->store);
	size_t max_in_flight = b->breaker.refusals > 0 ? 1 : limits->batches_in_flight;
	int64_t left_ms = breaker_wait_ms(&b->breaker, loop_now(b->loop));

	if (left_ms < 0)
		return;
	if (left_ms > 0) {
		step_within(b, left_ms);
		return;
	}
	left_ms = -1;
	backlog_wake(b->backlog, loop_now(b->loop));
	while (b->n_in_flight < max_in_flight) {
		struct put *p;

		left_ms = limits->min_interval_ms - mono_diff(loop_now(b->loop), b->last_put);
		if (left_ms > 0)
			break;
		p = next_put(b, &left_ms);
		if (p == NULL)
			break;
		put_send(b, p);
	}
	/* Only the delayed need a look: at the limit it is an answer that steps again. */
	arm_step(b, b->n_in_flight < max_in_flight ? left_ms : -1);
}

size_t
batch_add(
    struct batch *b, const char *host, struct result **results, size_t n, void *owner, bool fresh)
{
	struct mono now = loop_now(b->loop);
	size_t bytes = backlog_add(b->backlog, host, results, n, owner, fresh, now);

	step_within(b, b->hurry || is_full(b) ? 0 : b->opt.max_age_ms);
	return bytes;
}

void
batch_hurry(struct batch *b)
{
	b->hurry = true;
	step_within(b, 0);
}

/* ---- answers ---- */

static void
finish_write(struct batch *b, struct backlog_write *w, enum batch_verdict verdict, const char *why)
{
	struct backlog_item *item;

	TAILQ_FOREACH (item, &w->items, link) {
		if (verdict == BATCH_STORED)
			b->stats.stored++;
		else
			b->stats.rejected++;
		b->handlers->on_done(item->owner, verdict, why, b->arg);
	}
	backlog_finish(b->backlog, w);
}

static void
return_all(struct batch *b, struct writes *w, int64_t delay_ms)
{
	size_t i;

	for (i = 0; i < w->n; i++)
		backlog_return(b->backlog, w->list[i], mono_add(loop_now(b->loop), delay_ms));
	w->n = 0;
}

/* A write of one delivery is rejected; of several, each is tried alone. why: may be w's, which is
 * freed. */
static void
on_reject(struct batch *b, struct backlog_write *w, const char *why)
{
	char *reason = xstrdup(why);

	if (w->n_items == 1)
		finish_write(b, w, BATCH_REJECTED, reason);
	else
		backlog_return_singly(b->backlog, w, loop_now(b->loop));
	free(reason);
}

/* Suspects the host of a write that was refused: it is not known whether others are. */
static void
suspect(struct batch *b, const struct backlog_write *w)
{
	struct backlog_retries *r = backlog_retries(w);

	if (!r->suspected)
		r->taken_before = b->stats.answers[STORE_OK];
	r->suspected = true;
}

/* Puts the first half of suspects next and keeps the others for after it. One suspect is put alone:
 * only its own refusal convicts it. */
static void
split(struct batch *b, const struct writes *suspects)
{
	size_t half = suspects->n == 1 ? 1 : suspects->n / 2;
	struct put *p = put_new(b, suspects->list, half);
	size_t i;

	for (i = 0; i < suspects->n; i++)
		suspect(b, suspects->list[i]);
	for (i = half; i < suspects->n; i++)
		push(&p->rest, suspects->list[i]);
	b->stats.splits++;
	TAILQ_INSERT_TAIL(&b->halves, p, link);
}

/* Settles those that were put alone, or with others that were refused too, when this one, or its
 * half, was not. */
static void
settle_refused(struct batch *b, struct put *p)
{
	if (p->refused.n == 0 && p->rest.n > 0 && p->taken > 0) {
		split(b, &p->rest); /* this half was good, so it is in the other */
		return;
	}
	return_all(b, &p->rest, 0);
	if (p->refused.n > 0)
		split(b, &p->refused);
}

static void
retry_later(struct batch *b, struct backlog_write *w)
{
	struct backlog_retries *r = backlog_retries(w);
	struct mono now = loop_now(b->loop);
	struct backoff backoff;

	if (r->n == 0)
		r->since = now;
	backoff_init(&backoff, RETRY_FIRST_MS, RETRY_MAX_MS);
	backoff.attempts = r->n++;
	backlog_return(b->backlog, w, mono_add(now, backoff_next(&backoff, ident_random32())));
}

/* Says whether writes of this host have been refused for too long. */
static bool
is_held_too_long(struct batch *b, const struct backlog_write *w)
{
	const struct backlog_retries *r = backlog_retries(w);

	return r->n > 0 && mono_diff(loop_now(b->loop), r->since) >= BATCH_HOLD_MS;
}

static void
on_held_too_long(struct batch *b, struct backlog_write *w, const char *how, const char *why)
{
	char text[WHY_SIZE + 96];

	snprintf(
	    text, sizeof(text), "%s for %d minutes, while %s", how, BATCH_HOLD_MS / 60000, why);
	if (w->n_items == 1)
		log_warn("batch", "store[%s]: %s: %s", store_id(b->store), w->write.host, text);
	on_reject(b, w, text);
}

static void
on_conflict(struct batch *b, struct backlog_write *w)
{
	struct backlog_conflicts *c = backlog_conflicts(w);
	uint32_t delay_ms = CONFLICT_LATER_MS, unlogged;
	struct mono now = loop_now(b->loop);

	b->stats.conflicts++;
	if (!c->any)
		c->since = now;
	c->any = true;
	if (mono_diff(now, c->since) >= BATCH_HOLD_MS) {
		on_held_too_long(
		    b, w, "in conflict", "others were taken: something else writes it");
		return;
	}
	if (++c->n >= BATCH_CONFLICTS_MAX) {
		/* Whoever writes into one host's record does so into many. */
		if (ratelimit_due(&b->said_conflict, "conflict", now, &unlogged))
			log_warn("batch",
			    "%s: conflict %u times in a row, again in %u ms; does something "
			    "else write into this database? unlogged_before=%u",
			    w->write.host, c->n, delay_ms, unlogged);
		c->n = 0;
	} else {
		delay_ms = CONFLICT_FIRST_MS << c->n;
		delay_ms = delay_ms / 2 + ident_random32() % (delay_ms / 2);
	}
	backlog_return(b->backlog, w, mono_add(now, delay_ms));
}

/* Others were taken since it was first refused. */
static bool
others_are_taken(const struct batch *b, const struct backlog_retries *r)
{
	return b->stats.answers[STORE_OK] > r->taken_before;
}

/* Leaves it in the queue, a better place than the dead letters, where nothing is taken at all: that
 * is the breaker's case, in the end. */
static void
on_damaged(struct batch *b, struct put *p, struct backlog_write *w)
{
	struct backlog_retries *r = backlog_retries(w);
	bool full = b->held_bytes + w->write.bytes > b->opt.held_max_bytes;
	bool late = is_held_too_long(b, w);
	struct backlog_item *item;

	damage_add(b->damage, w->write.host, w->why, loop_now(b->loop));
	if (!loop_timer_armed(b->damage_look))
		loop_timer_arm(b->damage_look, DAMAGE_LOOK_MS);
	if (r->n == 0)
		r->taken_before = b->stats.answers[STORE_OK];
	if (late && !others_are_taken(b, r)) {
		push(&p->retry, w);
		return;
	}
	p->damaged++;
	r->given_up = r->given_up || ((late || full) && others_are_taken(b, r));
	if (r->given_up) {
		on_reject(b, w, w->why);
		return;
	}
	TAILQ_FOREACH (item, &w->items, link)
		b->handlers->on_held(item->owner, b->arg);
	r->held_bytes = w->write.bytes;
	b->held_bytes += r->held_bytes;
	retry_later(b, w);
}

static void
tell_damage(struct batch *b)
{
	char text[DAMAGE_TEXT_SIZE];
	uint32_t unlogged;

	if (damage_text(b->damage, text) == NULL ||
	    !ratelimit_due(&b->said_damage, "damage", loop_now(b->loop), &unlogged))
		return;
	log_warn("batch",
	    "store[%s]: %s, other hosts go on; their answers are tried again for %d minutes, then "
	    "dead-lettered: %s, unlogged_before=%" PRIu32,
	    store_id(b->store), text, BATCH_HOLD_MS / 60000, damage_why(b->damage), unlogged);
}

static void
tell_no_damage(struct batch *b, const char *how)
{
	uint32_t unlogged;

	if (ratelimit_over(&b->said_damage, loop_now(b->loop), &unlogged))
		log_warn(
		    "batch", "store[%s]: %s, unlogged=%" PRIu32, store_id(b->store), how, unlogged);
}

static void
note_healed(struct batch *b, const char *host)
{
	if (damage_remove(b->damage, host))
		tell_no_damage(b, "takes again what it took nothing of");
}

/* Forgets hosts of which nothing was refused for RETRY_MAX_MS, in which what waits is tried, and
 * BATCH_HOLD_MS, after which it is given up: nothing is known of them any more. */
static void
on_damage_look(void *arg)
{
	struct batch *b = arg;
	struct mono before = mono_add(loop_now(b->loop), -(int64_t)(BATCH_HOLD_MS + RETRY_MAX_MS));
	char how[96];

	snprintf(how, sizeof(how), "refused nothing more of the damaged hosts for %d minutes",
	    BATCH_HOLD_MS / 60000);
	if (damage_expire(b->damage, before))
		tell_no_damage(b, how);
	if (damage_hosts(b->damage) > 0)
		loop_timer_arm(b->damage_look, DAMAGE_LOOK_MS);
}

/* The store is there: those that it did not take wait by themselves. */
static void
retry_singly(struct batch *b, struct put *p)
{
	char why[WHY_SIZE + 32];
	size_t i;

	for (i = 0; i < p->retry.n; i++) {
		struct backlog_write *w = p->retry.list[i];

		snprintf(why, sizeof(why), "others were taken: %s", w->why);
		if (is_held_too_long(b, w))
			on_held_too_long(b, w, "refused", why);
		else
			retry_later(b, w);
	}
	for (i = 0; i < p->denied.n; i++)
		on_reject(b, p->denied.list[i], p->denied.list[i]->why);
	p->retry.n = p->denied.n = 0;
}

/* ---- is it the store? ---- */

/* Has the store taken others since this one was first refused? */
static bool
is_by_itself(const struct batch *b, const struct backlog_write *w)
{
	const struct backlog_retries *r = backlog_retries(w);

	return r->n > 0 || (r->suspected && b->stats.answers[STORE_OK] > r->taken_before);
}

/* Says whether it is the store's trouble that nothing of the put was taken: it is, unless these are
 * the ones that it refuses anyway, and others were taken not long ago. */
static bool
is_the_stores(const struct batch *b, const struct put *p)
{
	size_t i;

	if (p->taken > 0 || p->retry.n + p->denied.n == 0)
		return false;
	if (mono_diff(loop_now(b->loop), b->stats.last_ok) >= BATCH_HOLD_MS)
		return true;
	for (i = 0; i < p->retry.n; i++) {
		if (!is_by_itself(b, p->retry.list[i]))
			return true;
	}
	for (i = 0; i < p->denied.n; i++) {
		if (!is_by_itself(b, p->denied.list[i]))
			return true;
	}
	return false;
}

static void
suspect_all(struct batch *b, struct writes *w)
{
	size_t i;

	for (i = 0; i < w->n; i++)
		suspect(b, w->list[i]);
	return_all(b, w, 0);
}

/* Rejects one host in TRYING, where a probe has passed and there was no other to be put. */
static bool
reject_alone(struct batch *b)
{
	struct mono now = loop_now(b->loop);
	struct backlog_write *w;
	char why[WHY_SIZE + 64];

	if (b->breaker.state != BREAKER_TRYING || !breaker_is_over(&b->breaker, now) ||
	    b->n_in_flight > 0 || backlog_hosts(b->backlog) != 1)
		return false;
	backlog_wake(b->backlog, mono_add(now, BATCH_HOLD_MS));
	w = take(b);
	if (w == NULL)
		return false;
	snprintf(why, sizeof(why), "nothing else came and a probe was taken: %s", b->breaker.why);
	on_held_too_long(b, w, "refused", why);
	return true;
}

/* The only caller of breaker_step. */
static void
tell(struct batch *b, enum breaker_event ev, const char *why, size_t n)
{
	enum breaker_state before = b->breaker.state;
	bool changed;

	if ((ev == BREAKER_TIME || ev == BREAKER_PUT_REFUSED) && reject_alone(b))
		ev = BREAKER_ALONE;
	changed =
	    breaker_step(&b->breaker, ev, why, (uint32_t)n, loop_now(b->loop), ident_random32());
	if (b->breaker.state != before)
		log_info("batch", "store[%s]: %s -> %s, reason=%s", store_id(b->store),
		    breaker_state_name(before), breaker_state_name(b->breaker.state),
		    why != NULL ? why : breaker_event_name(ev));
	arm_time(b);
	if (breaker_wait_ms(&b->breaker, loop_now(b->loop)) >= 0)
		step_within(b, 0);
	if (changed)
		b->handlers->on_breaker(b->arg);
}

void
batch_tell(struct batch *b, enum breaker_event ev, const char *why)
{
	tell(b, ev, why, 0);
}

static void
on_time(void *arg)
{
	tell(arg, BREAKER_TIME, NULL, 0);
}

static void
forget_put(struct batch *b, struct put *p)
{
	size_t i;

	for (i = 0; i < p->retry.n; i++)
		backlog_finish(b->backlog, p->retry.list[i]);
	for (i = 0; i < p->refused.n; i++)
		backlog_finish(b->backlog, p->refused.list[i]);
	for (i = 0; i < p->denied.n; i++)
		backlog_finish(b->backlog, p->denied.list[i]);
	for (i = 0; i < p->rest.n; i++)
		backlog_finish(b->backlog, p->rest.list[i]);
}

static void
count_time(struct batch *b, const struct put *p)
{
	uint64_t ms = (uint64_t)mono_diff(loop_now(b->loop), p->sent_at);

	b->stats.put_ms += ms;
	if (ms > b->stats.put_ms_max)
		b->stats.put_ms_max = ms;
}

/* Everything of p is answered. */
static void
complete(struct batch *b, struct put *p)
{
	bool forgotten = p->forgotten, refused, taken = p->taken > 0;
	bool known = breaker_knows(&b->breaker, p->sent_at);
	size_t n = p->size;
	/* A put with nothing else in it does not say that the store takes nothing. */
	bool quiet = !p->forgotten && p->damaged == n && b->breaker.refusals == 0;
	char why[WHY_SIZE];

	TAILQ_REMOVE(&b->in_flight, p, link);
	assert(b->n_in_flight > 0);
	b->n_in_flight--;
	count_time(b, p);
	if (n == 1 && p->refused.n == 1) { /* whole and alone */
		push(&p->denied, p->refused.list[0]);
		p->refused.n = 0;
	}
	refused = !forgotten && is_the_stores(b, p);
	memcpy(why, p->why, sizeof(why));
	if (!forgotten && p->damaged > 0)
		tell_damage(b);
	if (forgotten) {
		forget_put(b, p);
	} else if (refused) {
		return_all(b, &p->rest, 0);
		if (n == 1 && p->denied.n == 1)
			backlog_retries(p->denied.list[0])->alone = true;
		suspect_all(b, &p->retry);
		suspect_all(b, &p->denied);
	} else {
		retry_singly(b, p);
		settle_refused(b, p);
	}
	put_free(p);
	if (refused && !known)
		tell(b, BREAKER_PUT_REFUSED, why, n);
	else if (taken && !forgotten)
		tell(b, BREAKER_PUT_TAKEN, NULL, n);
	else if (quiet)
		tell(b, BREAKER_QUIET, NULL, n);
	else
		step_within(b, 0);
}

static void
answer(struct batch *b, struct put *p, struct backlog_write *w, enum store_status status)
{
	switch (status) {
	case STORE_OK:
		p->taken++;
		*backlog_retries(w) = (struct backlog_retries){0};
		finish_write(b, w, BATCH_STORED, NULL);
		return;
	case STORE_CONFLICT:
		on_conflict(b, w);
		return;
	case STORE_DAMAGED:
		b->stats.retries++;
		on_damaged(b, p, w);
		return;
	case STORE_REJECT:
		on_reject(b, w, w->why);
		return;
	case STORE_RETRY:
		b->stats.retries++;
		push(&p->retry, w);
		return;
	case STORE_REFUSED:
		push(&p->denied, w);
		return;
	case STORE_REJECT_BATCH:
		push(&p->refused, w);
		return;
	}
}

static void
note_taken(struct batch *b, const struct store_write *sw)
{
	size_t i;

	b->stats.last_ok = loop_now(b->loop);
	b->stats.last_ok_wall_ms = wallclock_ms();
	note_healed(b, sw->host);
	for (i = 0; i < sw->n; i++)
		b->stats.older += sw->results[i]->older != NULL;
}

static void
on_written(struct store_write *sw, enum store_status status, const struct trouble *why, void *arg)
{
	struct backlog_write *w = sw->owner;
	struct put *p = w->put;
	struct batch *b = arg;

	if (status != STORE_OK) {
		free(w->why);
		w->why = why != NULL ? trouble_text(why) : xstrdup(store_status_name(status));
		strlcpy(p->why, w->why, sizeof(p->why));
		log_debug("batch", "%s: %s, %s", sw->host, store_status_name(status), w->why);
	}
	b->stats.answers[status]++;
	if (status == STORE_OK)
		note_taken(b, sw);
	p->writes.list[w->slot] = NULL;
	if (p->forgotten)
		backlog_finish(b->backlog, w);
	else
		answer(b, p, w, status);
	assert(p->unanswered > 0);
	if (--p->unanswered == 0)
		complete(b, p);
}

/* ---- the end of things ---- */

void
batch_clear(struct batch *b)
{
	struct put *p;

	while (!TAILQ_EMPTY(&b->halves)) {
		size_t i;

		p = TAILQ_FIRST(&b->halves);
		TAILQ_REMOVE(&b->halves, p, link);
		for (i = 0; i < p->writes.n; i++)
			backlog_finish(b->backlog, p->writes.list[i]);
		forget_put(b, p);
		put_free(p);
	}
	TAILQ_FOREACH (p, &b->in_flight, link) {
		forget_put(b, p);
		p->refused.n = p->denied.n = p->retry.n = p->rest.n = 0;
		p->forgotten = true;
	}
	backlog_clear(b->backlog);
	b->held_bytes = 0;
}

void
batch_destroy(struct batch *b)
{
	if (b == NULL)
		return;
	batch_clear(b);
	while (!TAILQ_EMPTY(&b->in_flight)) {
		struct put *p = TAILQ_FIRST(&b->in_flight);
		size_t i;

		TAILQ_REMOVE(&b->in_flight, p, link);
		for (i = 0; i < p->writes.n; i++) {
			if (p->writes.list[i] != NULL)
				backlog_finish(b->backlog, p->writes.list[i]);
		}
		put_free(p);
	}
	backlog_destroy(b->backlog);
	damage_destroy(b->damage);
	loop_timer_destroy(b->step);
	loop_timer_destroy(b->time);
	loop_timer_destroy(b->damage_look);
	free(b);
}

const struct breaker *
batch_breaker(const struct batch *b)
{
	return &b->breaker;
}

const struct batch_stats *
batch_stats(const struct batch *b)
{
	return &b->stats;
}

const struct damage *
batch_damage(const struct batch *b)
{
	return b->damage;
}
