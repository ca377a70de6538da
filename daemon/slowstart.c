/* SPDX-License-Identifier: Apache-2.0 */
/* See slowstart.h. */
#include "daemon/slowstart.h"

#include "shared/base/xalloc.h"

#include <assert.h>
#include <bsd/sys/queue.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct slowstart_waiter {
	TAILQ_ENTRY(slowstart_waiter) link;
	void *owner;
	bool redelivered;
};
TAILQ_HEAD(waiters, slowstart_waiter);

/* A lane holds what waits of one host, in the order of arrival. It is among the suspects as long as
 * anything in it came back, else among the new ones. */
struct slowstart_lane {
	UT_hash_handle hh;
	TAILQ_ENTRY(slowstart_lane) link; /* of the new ones */
	size_t index;                     /* in suspects */
	struct waiters waiters;
	size_t n, n_redelivered;
	char *host;
};
TAILQ_HEAD(lanes, slowstart_lane);

struct slowstart {
	struct slowstart_lane *by_host; /* uthash */
	struct lanes new_ones;
	struct slowstart_lane **suspects;
	size_t n_suspects;
	size_t n_waiting, n_new; /* waiters: all, those in new_ones */
	size_t in_flight;        /* they have gone and are not done */
	size_t left;             /* of the lot: they may go now */
	bool of_suspects;        /* the latest lot is */
	bool trying;             /* and it is not done */
	size_t width;            /* of the next one */
	uint64_t clean;
	struct mono began;     /* the latest that has gone, or the lot */
	struct mono next_lot;  /* not before */
	struct mono next_look; /* a lot of suspects not before */
};

struct slowstart *
slowstart_create(void)
{
	struct slowstart *s = xcalloc(1, sizeof(*s));

	TAILQ_INIT(&s->new_ones);
	s->width = 1;
	s->of_suspects = true; /* the first turn is the new ones' */
	return s;
}

bool
slowstart_is_over(const struct slowstart *s)
{
	return s->clean >= SLOWSTART_CLEAN && s->n_waiting == 0;
}

size_t
slowstart_waiting(const struct slowstart *s)
{
	return s->n_waiting;
}

/* ---- lanes ---- */

static void
move_to_suspects(struct slowstart *s, struct slowstart_lane *lane)
{
	TAILQ_REMOVE(&s->new_ones, lane, link);
	assert(s->n_new >= lane->n);
	s->n_new -= lane->n;
	lane->index = s->n_suspects;
	s->suspects =
	    xreallocarray(s->suspects, s->n_suspects + 1, sizeof(struct slowstart_lane *));
	s->suspects[s->n_suspects++] = lane;
}

static void
move_to_new_ones(struct slowstart *s, struct slowstart_lane *lane)
{
	assert(s->n_suspects > 0);
	struct slowstart_lane *last = s->suspects[--s->n_suspects];

	s->suspects[lane->index] = last;
	last->index = lane->index;
	TAILQ_INSERT_TAIL(&s->new_ones, lane, link);
	s->n_new += lane->n;
}

static struct slowstart_lane *
lane_of(struct slowstart *s, const char *host)
{
	struct slowstart_lane *lane;

	HASH_FIND_STR(s->by_host, host, lane);
	if (lane != NULL)
		return lane;
	lane = xcalloc(1, sizeof(*lane));
	TAILQ_INIT(&lane->waiters);
	lane->host = xstrdup(host);
	HASH_ADD_KEYPTR(hh, s->by_host, lane->host, strlen(lane->host), lane);
	TAILQ_INSERT_TAIL(&s->new_ones, lane, link);
	return lane;
}

static void
enqueue(struct slowstart *s, const char *host, bool redelivered, void *owner)
{
	struct slowstart_lane *lane = lane_of(s, host);
	struct slowstart_waiter *w = xcalloc(1, sizeof(*w));

	w->owner = owner;
	w->redelivered = redelivered;
	TAILQ_INSERT_TAIL(&lane->waiters, w, link);
	if (redelivered && lane->n_redelivered++ == 0)
		move_to_suspects(s, lane);
	lane->n++;
	s->n_waiting++;
	if (lane->n_redelivered == 0)
		s->n_new++;
}

/* Takes the first out of its lane. */
static void *
dequeue(struct slowstart *s, struct slowstart_lane *lane)
{
	struct slowstart_waiter *w = TAILQ_FIRST(&lane->waiters);
	void *owner = w->owner;

	TAILQ_REMOVE(&lane->waiters, w, link);
	if (lane->n_redelivered == 0)
		s->n_new--;
	lane->n--;
	assert(s->n_waiting > 0);
	s->n_waiting--;
	if (w->redelivered && --lane->n_redelivered == 0)
		move_to_new_ones(s, lane);
	free(w);
	if (lane->n == 0) {
		TAILQ_REMOVE(&s->new_ones, lane, link);
		HASH_DEL(s->by_host, lane);
		free(lane->host);
		free(lane);
	}
	return owner;
}

/* ---- lots ---- */

bool
slowstart_add(struct slowstart *s, const char *host, bool redelivered, void *owner, struct mono now)
{
	if (slowstart_is_over(s))
		return false;
	if (!redelivered && s->n_waiting == 0 && !s->trying) {
		s->in_flight++;
		s->began = now;
		return false;
	}
	if (redelivered && s->n_suspects == 0)
		s->next_look = mono_add(now, SLOWSTART_SETTLE_MS);
	enqueue(s, host, redelivered, owner);
	return true;
}

static bool
may_begin(const struct slowstart *s, struct mono now)
{
	if (s->in_flight > 0)
		return mono_reached(now, mono_add(s->began, SLOWSTART_LOT_MS));
	return mono_reached(now, s->next_lot);
}

static void
begin_new_ones(struct slowstart *s, struct mono now)
{
	s->of_suspects = false;
	s->left = s->n_new;
	s->began = now;
}

static void
begin_suspects(struct slowstart *s, struct mono now)
{
	size_t n = s->n_waiting - s->n_new;

	s->of_suspects = s->trying = true;
	s->left = s->width < n ? s->width : n;
	s->began = now;
}

/* Begins a lot if one may go now, and says whether there is one. */
static bool
begin_lot(struct slowstart *s, struct mono now)
{
	bool suspects = s->n_suspects > 0 && mono_reached(now, s->next_look);

	if (!may_begin(s, now))
		return false;
	if (s->n_new > 0 && (s->of_suspects || !suspects))
		begin_new_ones(s, now);
	else if (suspects)
		begin_suspects(s, now);
	return s->left > 0;
}

void *
slowstart_next(struct slowstart *s, struct mono now, uint32_t random, size_t *lot)
{
	*lot = 0;
	if (s->left == 0) {
		if (!begin_lot(s, now))
			return NULL;
		*lot = s->of_suspects ? s->left : 0;
	}
	/* A lane whose suspects have all gone is one of the new ones, and its turn is later. */
	if (s->of_suspects && s->n_suspects == 0)
		s->left = 0;
	if (s->left == 0)
		return NULL;
	assert(s->left > 0);
	s->left--;
	s->in_flight++;
	return dequeue(
	    s, s->of_suspects ? s->suspects[random % s->n_suspects] : TAILQ_FIRST(&s->new_ones));
}

void
slowstart_done(struct slowstart *s, struct mono now)
{
	if (s->in_flight == 0) /* of before slowstart_clear(), or it is over */
		return;
	s->clean++;
	assert(s->in_flight > 0);
	if (--s->in_flight > 0 || s->left > 0)
		return;
	if (s->trying)
		s->width *= 2;
	s->trying = false;
	s->next_lot = mono_add(now, SLOWSTART_PAUSE_MS);
}

int64_t
slowstart_wait_ms(const struct slowstart *s, struct mono now)
{
	struct mono at = s->next_lot;

	if (s->n_waiting == 0)
		return -1;
	if (s->left > 0)
		return 0;
	if (s->in_flight > 0)
		at = mono_add(s->began, SLOWSTART_LOT_MS);
	if (s->n_new == 0 && mono_diff(s->next_look, at) > 0)
		at = s->next_look;
	return mono_reached(now, at) ? 0 : mono_diff(at, now);
}

/* ---- the end ---- */

void *
slowstart_drop(struct slowstart *s)
{
	if (s->n_suspects > 0)
		return dequeue(s, s->suspects[0]);
	return TAILQ_EMPTY(&s->new_ones) ? NULL : dequeue(s, TAILQ_FIRST(&s->new_ones));
}

void
slowstart_clear(struct slowstart *s)
{
	while (slowstart_drop(s) != NULL)
		continue;
	s->left = s->in_flight = 0;
	s->trying = false;
}

void
slowstart_destroy(struct slowstart *s)
{
	if (s == NULL)
		return;
	slowstart_clear(s);
	free(s->suspects);
	free(s);
}
