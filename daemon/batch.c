/* See batch.h. */
#include "daemon/batch.h"

#include "daemon/backlog.h"
#include "shared/backoff.h"
#include "shared/ident.h"
#include "shared/log.h"
#include "shared/loop.h"
#include "shared/repeat.h"
#include "shared/wall.h"
#include "shared/xalloc.h"

#include <bsd/string.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONFLICT_FIRST_MS 10   /* doubling, with jitter */
#define CONFLICT_LATER_MS 5000 /* after BATCH_CONFLICTS_MAX in a row */
#define RETRY_FIRST_MS    100  /* backoff of the store as a whole */
#define RETRY_MAX_MS      5000
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
	size_t there;          /* answered with anything but RETRY: the store is there */
	struct writes refused; /* answered with REJECT_BATCH */
	struct writes retry;   /* answered with RETRY */
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
	enum batch_state state;
	struct backlog *backlog;
	struct puts in_flight;
	struct puts halves; /* of splits, waiting for their turn */
	size_t n_in_flight;
	struct mono last_put;
	struct mono step_at; /* while step is armed */
	bool hurry;
	bool troubled; /* nothing was taken since down_since: one put at a time */
	struct mono down_since;
	char trouble[WHY_SIZE];
	struct backoff backoff;
	struct loop_timer *step;
	struct loop_timer *retry;
	struct batch_stats stats;
	char why[WHY_SIZE]; /* of the last WAITING */
	struct repeat said_conflict;
};

static void on_step(void *arg);
static void on_retry(void *arg);
static void on_written(
    struct store_write *sw, enum store_status status, const char *why, void *arg);

const char *
batch_state_name(enum batch_state s)
{
	switch (s) {
	case BATCH_FILLING:
		return "FILLING";
	case BATCH_FLUSHING:
		return "FLUSHING";
	case BATCH_WAITING:
		return "WAITING";
	case BATCH_DOWN:
		return "DOWN";
	}
	return "?";
}

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
	b->stats.last_ok = loop_now(loop);
	TAILQ_INIT(&b->in_flight);
	TAILQ_INIT(&b->halves);
	b->last_put = mono_add(loop_now(loop), -(int64_t)store_limits(store)->min_interval_ms);
	backoff_init(&b->backoff, RETRY_FIRST_MS, RETRY_MAX_MS);
	b->step = loop_timer_create(loop, "batch step", on_step, b);
	b->retry = loop_timer_create(loop, "batch retry", on_retry, b);
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

void
batch_set_options(struct batch *b, const struct batch_options *opt)
{
	b->opt = *opt;
	step_within(b, 0);
}

/* The only writer of ->state. */
static void
enter(struct batch *b, enum batch_state next, const char *why)
{
	if (next == b->state)
		return;
	if (next >= BATCH_WAITING || b->state >= BATCH_WAITING)
		log_info("batch", "store[%s]: %s -> %s, reason=%s", store_id(b->store),
		    batch_state_name(b->state), batch_state_name(next), why);
	if (b->state == BATCH_WAITING)
		loop_timer_disarm(b->retry);
	b->state = next;
	if (next == BATCH_WAITING)
		loop_timer_arm(b->retry, backoff_next(&b->backoff, ident_random32()));
	if (next < BATCH_WAITING)
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
	p->unanswered = p->writes.n;
	TAILQ_INSERT_TAIL(&b->in_flight, p, link);
	b->n_in_flight++;
	p->sent_at = b->last_put = loop_now(b->loop);
	b->stats.puts++;
	enter(b, BATCH_FLUSHING, "put");
	log_debug("batch", "store[%s]: put, hosts=%zu", store_id(b->store), p->writes.n);
	store_put(b->store, p->raw, p->writes.n, on_written, b);
}

/* ---- filling ---- */

static size_t
max_count(const struct batch *b)
{
	return b->opt.max_count > 0 ? b->opt.max_count : store_limits(b->store)->batch_count;
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

static struct put *
fill(struct batch *b)
{
	struct writes w = {0};
	struct put *p;
	size_t bytes = 0;

	while (w.n < max_count(b) && bytes < max_bytes(b)) {
		struct backlog_write *one = backlog_take(b->backlog, max_bytes(b));

		if (one == NULL)
			break;
		bytes += one->write.bytes;
		push(&w, one);
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
	size_t max_in_flight = b->troubled ? 1 : limits->batches_in_flight;
	int64_t left_ms = -1;

	if (b->state >= BATCH_WAITING)
		return;
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
	/* At the limit an answer steps again; until then only the delayed need a look. */
	arm_step(b, b->n_in_flight < max_in_flight ? left_ms : -1);
}

size_t
batch_add(
    struct batch *b, const char *host, struct result **results, size_t n, void *owner, bool fresh)
{
	struct mono now = loop_now(b->loop);
	size_t bytes = backlog_add(b->backlog, host, results, n, owner, fresh, now);

	if (b->state < BATCH_WAITING)
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

static void
on_conflict(struct batch *b, struct backlog_write *w)
{
	unsigned int *n = backlog_conflicts(w);
	uint32_t delay_ms = CONFLICT_LATER_MS, unlogged;

	b->stats.conflicts++;
	if (++*n >= BATCH_CONFLICTS_MAX) {
		/* Whoever writes into one host's record does so into many. */
		if (repeat_due(&b->said_conflict, "conflict", loop_now(b->loop), &unlogged))
			log_warn("batch",
			    "%s: conflict %u times in a row, again in %u ms; does something "
			    "else write into this database? unlogged_before=%u",
			    w->write.host, *n, delay_ms, unlogged);
		*n = 0;
	} else {
		delay_ms = CONFLICT_FIRST_MS << *n;
		delay_ms = delay_ms / 2 + ident_random32() % (delay_ms / 2);
	}
	backlog_return(b->backlog, w, mono_add(loop_now(b->loop), delay_ms));
}

/* A write of one delivery is rejected; of several, each is tried alone. */
static void
on_reject(struct batch *b, struct backlog_write *w, const char *why)
{
	if (w->n_items == 1)
		finish_write(b, w, BATCH_REJECTED, why);
	else
		backlog_return_singly(b->backlog, w, loop_now(b->loop));
}

/* Puts the first half of suspects next and keeps the others for after it. One suspect is put alone:
 * only its own refusal convicts it. */
static void
split(struct batch *b, const struct writes *suspects)
{
	size_t half = suspects->n == 1 ? 1 : suspects->n / 2;
	struct put *p = put_new(b, suspects->list, half);
	size_t i;

	for (i = half; i < suspects->n; i++)
		push(&p->rest, suspects->list[i]);
	b->stats.splits++;
	TAILQ_INSERT_TAIL(&b->halves, p, link);
}

static void
settle_refused(struct batch *b, struct put *p)
{
	if (p->refused.n == 0 && p->rest.n == 0)
		return;
	if (p->refused.n == 0) { /* this half was good, so it is in the other */
		split(b, &p->rest);
		return;
	}
	return_all(b, &p->rest, 0);
	if (p->writes.n == 1)
		on_reject(b, p->refused.list[0], p->why);
	else
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

/* It was refused while others were taken, and is for that long. */
static bool
is_held_too_long(struct batch *b, const struct backlog_write *w)
{
	const struct backlog_retries *r = backlog_retries(w);

	return r->n > 0 && mono_diff(loop_now(b->loop), r->since) >= BATCH_HOLD_MS;
}

static void
on_held_too_long(struct batch *b, struct backlog_write *w, const char *why)
{
	char text[WHY_SIZE + 64];

	snprintf(text, sizeof(text), "refused for %d minutes, while others were taken: %s",
	    BATCH_HOLD_MS / 60000, why);
	if (w->n_items == 1)
		log_warn("batch", "store[%s]: %s: %s", store_id(b->store), w->write.host, text);
	on_reject(b, w, text);
}

/* The store is there: those that it did not take wait by themselves. */
static void
retry_singly(struct batch *b, struct put *p)
{
	size_t i;

	for (i = 0; i < p->retry.n; i++) {
		struct backlog_write *w = p->retry.list[i];

		if (is_held_too_long(b, w))
			on_held_too_long(b, w, p->why);
		else
			retry_later(b, w);
	}
}

/* Nothing of the put was taken. That says so of the store, unless these are the ones that it
 * refuses anyway, and others were taken not long ago. */
static bool
is_away(struct batch *b, const struct put *p)
{
	size_t i;

	if (p->retry.n == 0 || p->there > 0)
		return false;
	if (mono_diff(loop_now(b->loop), b->stats.last_ok) >= BATCH_HOLD_MS)
		return true;
	for (i = 0; i < p->retry.n; i++) {
		if (backlog_retries(p->retry.list[i])->n == 0)
			return true;
	}
	return false;
}

static void
go_down(struct batch *b, const char *why)
{
	enter(b, BATCH_DOWN, why);
	b->handlers->on_store_down(why, b->arg); /* clears, as a rule */
}

static bool
patience_is_over(struct batch *b)
{
	return mono_diff(loop_now(b->loop), b->down_since) >= b->opt.patience_ms;
}

static void
wait_for_store(struct batch *b, const char *why)
{
	if (b->state == BATCH_DOWN)
		return;
	if (!b->troubled)
		b->down_since = loop_now(b->loop);
	b->troubled = true;
	strlcpy(b->trouble, why, sizeof(b->trouble));
	snprintf(b->why, sizeof(b->why), "%s", why);
	if (patience_is_over(b))
		go_down(b, why);
	else
		enter(b, BATCH_WAITING, why);
}

static void
forget_put(struct batch *b, struct put *p)
{
	size_t i;

	for (i = 0; i < p->retry.n; i++)
		backlog_finish(b->backlog, p->retry.list[i]);
	for (i = 0; i < p->refused.n; i++)
		backlog_finish(b->backlog, p->refused.list[i]);
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
	bool away = is_away(b, p);
	char why[WHY_SIZE];

	TAILQ_REMOVE(&b->in_flight, p, link);
	b->n_in_flight--;
	count_time(b, p);
	memcpy(why, p->why, sizeof(why));
	if (p->forgotten) {
		forget_put(b, p);
	} else if (away) {
		return_all(b, &p->retry, 0);
		return_all(b, &p->rest, 0);
	} else {
		retry_singly(b, p);
		settle_refused(b, p);
	}
	away = away && !p->forgotten;
	put_free(p);
	if (away)
		wait_for_store(b, why);
	else if (b->n_in_flight == 0 && b->state == BATCH_FLUSHING)
		enter(b, BATCH_FILLING, "all answered");
	else if (b->state < BATCH_WAITING)
		step_within(b, 0);
}

static void
answer(struct batch *b, struct put *p, struct backlog_write *w, enum store_status status,
    const char *why)
{
	switch (status) {
	case STORE_OK:
		backlog_retries(w)->n = 0;
		finish_write(b, w, BATCH_STORED, NULL);
		return;
	case STORE_CONFLICT:
		on_conflict(b, w);
		return;
	case STORE_REFUSED:
	case STORE_REJECT:
		on_reject(b, w, why);
		return;
	case STORE_RETRY:
		b->stats.retries++;
		push(&p->retry, w);
		return;
	case STORE_REJECT_BATCH:
		push(&p->refused, w);
		return;
	}
}

static void
on_written(struct store_write *sw, enum store_status status, const char *why, void *arg)
{
	struct backlog_write *w = sw->owner;
	struct put *p = w->put;
	struct batch *b = arg;

	if (why == NULL)
		why = store_status_name(status);
	if (status != STORE_OK) {
		size_t n = strnlen(why, sizeof(p->why) - 1);

		memcpy(p->why, why, n);
		p->why[n] = '\0';
		log_debug("batch", "%s: %s, %s", sw->host, store_status_name(status), why);
	}
	b->stats.answers[status]++;
	if (status == STORE_OK) {
		b->stats.last_ok = loop_now(b->loop);
		b->stats.last_ok_wall_ms = wall_ms();
	}
	p->writes.list[w->slot] = NULL;
	if (p->forgotten)
		backlog_finish(b->backlog, w);
	else
		answer(b, p, w, status, why);
	if (status != STORE_RETRY) {
		p->there++;
		b->troubled = false;
		backoff_reset(&b->backoff);
	}
	if (--p->unanswered == 0)
		complete(b, p);
}

static void
on_retry(void *arg)
{
	struct batch *b = arg;

	if (patience_is_over(b))
		go_down(b, b->why);
	else
		enter(b, b->n_in_flight > 0 ? BATCH_FLUSHING : BATCH_FILLING, "trying again");
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
		p->refused.n = p->retry.n = p->rest.n = 0;
		p->forgotten = true;
	}
	backlog_clear(b->backlog);
}

void
batch_resume(struct batch *b)
{
	b->troubled = false;
	backoff_reset(&b->backoff);
	if (b->state == BATCH_DOWN)
		enter(b, b->n_in_flight > 0 ? BATCH_FLUSHING : BATCH_FILLING, "the store answers");
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
	loop_timer_destroy(b->step);
	loop_timer_destroy(b->retry);
	free(b);
}

bool
batch_troubled(const struct batch *b, struct mono *since, const char **why)
{
	*since = b->down_since;
	*why = b->trouble;
	return b->troubled;
}

enum batch_state
batch_get_state(const struct batch *b)
{
	return b->state;
}

const struct batch_stats *
batch_stats(const struct batch *b)
{
	return &b->stats;
}
