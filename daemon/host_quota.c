/* SPDX-License-Identifier: Apache-2.0 */
/* See host_quota.h. */
#include "daemon/host_quota.h"

#include "shared/base/xalloc.h"

#include <assert.h>
#include <bsd/sys/queue.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

/* A waiter is in a line; then, given back, among those that are to come. */
struct quota_waiter {
	TAILQ_ENTRY(quota_waiter) link;
	void *owner;
	size_t bytes;
	bool redelivered;
	struct mono since; /* it waits in the line, or was given back */
};
TAILQ_HEAD(waiters, quota_waiter);

/* A line is of the deliveries of a host that come from one queue. */
struct quota_line {
	/* What was redelivered is older than what was not, and before it. */
	struct waiters old, young;
	struct waiters coming;
};

enum { FRESH, STALE, N_LINES };

struct share {
	UT_hash_handle hh;
	TAILQ_ENTRY(share) link; /* of the shares' full, while n_waiters > 0 */
	size_t n_taken, n_waiters;
	uint64_t bytes; /* of what was taken, and of what is to come */
	struct quota_line lines[N_LINES];
	char *host;
};
TAILQ_HEAD(share_list, share);

struct host_quota {
	struct share *by_host;  /* uthash */
	struct share_list full; /* those with waiters, coming ones included */
	uint64_t bytes_max;
	size_t n_waiting; /* in lines */
};

struct host_quota *
host_quota_create(void)
{
	struct host_quota *s = xcalloc(1, sizeof(*s));

	TAILQ_INIT(&s->full);
	return s;
}

void
host_quota_set_max(struct host_quota *s, uint64_t bytes_max)
{
	s->bytes_max = bytes_max;
}

static struct share *
share_of(struct host_quota *s, const char *host)
{
	struct share *share;

	HASH_FIND_STR(s->by_host, host, share);
	if (share != NULL)
		return share;
	share = xcalloc(1, sizeof(*share));
	for (int i = 0; i < N_LINES; i++) {
		TAILQ_INIT(&share->lines[i].old);
		TAILQ_INIT(&share->lines[i].young);
		TAILQ_INIT(&share->lines[i].coming);
	}
	share->host = xstrdup(host);
	HASH_ADD_KEYPTR(hh, s->by_host, share->host, strlen(share->host), share);
	return share;
}

static void
free_if_unused(struct host_quota *s, struct share *share)
{
	if (share->n_taken + share->n_waiters > 0)
		return;
	assert(share->bytes == 0);
	HASH_DEL(s->by_host, share);
	free(share->host);
	free(share);
}

static void
add_waiter(struct host_quota *s, struct share *share, struct waiters *to, struct quota_waiter *w)
{
	if (share->n_waiters++ == 0)
		TAILQ_INSERT_TAIL(&s->full, share, link);
	TAILQ_INSERT_TAIL(to, w, link);
}

static void
remove_waiter(
    struct host_quota *s, struct share *share, struct waiters *from, struct quota_waiter *w)
{
	TAILQ_REMOVE(from, w, link);
	assert(share->n_waiters > 0);
	if (--share->n_waiters == 0)
		TAILQ_REMOVE(&s->full, share, link);
}

/* ---- the lines ---- */

/* NULL: nobody waits in it. */
static struct quota_waiter *
first_in_line(struct quota_line *line, struct waiters **list)
{
	*list = TAILQ_EMPTY(&line->old) ? &line->young : &line->old;
	return TAILQ_FIRST(*list);
}

static void *
leave_line(struct host_quota *s, struct share *share, struct waiters *list, struct quota_waiter *w)
{
	void *owner = w->owner;

	remove_waiter(s, share, list, w);
	assert(s->n_waiting > 0);
	s->n_waiting--;
	free(w);
	return owner;
}

static void
wait_in_line(struct host_quota *s, struct share *share, struct quota_line *line,
    const struct host_quota_delivery *d, void *owner, struct mono now)
{
	struct quota_waiter *w = xcalloc(1, sizeof(*w));

	w->owner = owner;
	w->bytes = d->bytes;
	w->redelivered = d->redelivered;
	w->since = now;
	add_waiter(s, share, d->redelivered ? &line->old : &line->young, w);
	s->n_waiting++;
}

/* ---- what is to come ---- */

static void *
give_back(struct host_quota *s, struct share *share, struct quota_line *line, struct waiters *list,
    struct quota_waiter *w, struct mono now)
{
	void *owner = w->owner;

	TAILQ_REMOVE(list, w, link);
	assert(s->n_waiting > 0);
	s->n_waiting--;
	w->owner = NULL;
	w->since = now;
	TAILQ_INSERT_TAIL(&line->coming, w, link);
	share->bytes += w->bytes;
	return owner;
}

static void
stop_expecting(
    struct host_quota *s, struct share *share, struct quota_line *line, struct quota_waiter *w)
{
	remove_waiter(s, share, &line->coming, w);
	assert(share->bytes >= w->bytes);
	share->bytes -= w->bytes;
	free(w);
}

/* Expects them in the order in which they were given back. */
static bool
has_come(struct host_quota *s, struct share *share, struct quota_line *line,
    struct host_quota_delivery *d)
{
	struct quota_waiter *w = TAILQ_FIRST(&line->coming);

	if (!d->redelivered || w == NULL)
		return false;
	d->redelivered = w->redelivered;
	stop_expecting(s, share, line, w);
	return true;
}

static void
expect_no_longer_than(
    struct host_quota *s, struct share *share, struct quota_line *line, struct mono now)
{
	struct quota_waiter *w = TAILQ_FIRST(&line->coming);

	while (w != NULL && mono_diff(now, w->since) >= HOST_QUOTA_COMING_MS) {
		stop_expecting(s, share, line, w);
		w = TAILQ_FIRST(&line->coming);
	}
}

void
host_quota_expect_none(struct host_quota *s)
{
	struct share *share, *tmp;

	HASH_ITER (hh, s->by_host, share, tmp) {
		for (int i = 0; i < N_LINES; i++) {
			while (!TAILQ_EMPTY(&share->lines[i].coming))
				stop_expecting(s, share, &share->lines[i],
				    TAILQ_FIRST(&share->lines[i].coming));
		}
		free_if_unused(s, share);
	}
}

/* ---- taking and giving back ---- */

static bool
has_room(const struct host_quota *s, const struct share *share, size_t bytes)
{
	return share->bytes == 0 || share->bytes + bytes <= s->bytes_max;
}

struct share *
host_quota_take(struct host_quota *s, struct host_quota_delivery *d, void *owner, struct mono now)
{
	struct share *share = share_of(s, d->host);
	struct quota_line *line = &share->lines[d->fresh ? FRESH : STALE];
	struct waiters *list;

	if (!has_come(s, share, line, d) &&
	    (first_in_line(line, &list) != NULL || !TAILQ_EMPTY(&line->coming) ||
		!has_room(s, share, d->bytes))) {
		wait_in_line(s, share, line, d, owner, now);
		return NULL;
	}
	share->n_taken++;
	share->bytes += d->bytes;
	return share;
}

void
host_quota_change(struct share *share, size_t before, size_t after)
{
	assert(share->bytes >= before);
	share->bytes = share->bytes - before + after;
}

void
host_quota_leave(struct host_quota *s, struct share *share, size_t bytes)
{
	host_quota_change(share, bytes, 0);
	assert(share->n_taken > 0);
	share->n_taken--;
	free_if_unused(s, share);
}

/* The line is given back whole, for it to form in the same order. */
static void
make_all_as_old(struct quota_line *line, struct mono since)
{
	struct quota_waiter *w;

	TAILQ_FOREACH (w, &line->old, link)
		w->since = since;
	TAILQ_FOREACH (w, &line->young, link)
		w->since = since;
}

static void *
next_of_line(struct host_quota *s, struct share *share, struct quota_line *line, struct mono now)
{
	struct waiters *list;
	struct quota_waiter *w = first_in_line(line, &list);

	if (w == NULL)
		return NULL;
	if (mono_diff(now, w->since) >= HOST_QUOTA_HOLD_MS) {
		make_all_as_old(line, w->since);
		return leave_line(s, share, list, w);
	}
	if (!has_room(s, share, w->bytes))
		return NULL;
	return give_back(s, share, line, list, w, now);
}

void *
host_quota_next(struct host_quota *s, struct mono now)
{
	struct share *share, *next;
	void *owner;

	for (share = TAILQ_FIRST(&s->full); share != NULL; share = next) {
		next = TAILQ_NEXT(share, link);
		for (int i = 0; i < N_LINES; i++)
			expect_no_longer_than(s, share, &share->lines[i], now);
		for (int i = 0; i < N_LINES; i++) {
			owner = next_of_line(s, share, &share->lines[i], now);
			if (owner != NULL)
				return owner;
		}
		free_if_unused(s, share);
	}
	return NULL;
}

void *
host_quota_drop(struct host_quota *s)
{
	struct share *share;

	TAILQ_FOREACH (share, &s->full, link) {
		for (int i = 0; i < N_LINES; i++) {
			struct waiters *list;
			struct quota_waiter *w = first_in_line(&share->lines[i], &list);
			void *owner;

			if (w == NULL)
				continue;
			owner = leave_line(s, share, list, w);
			free_if_unused(s, share);
			return owner;
		}
	}
	return NULL;
}

void
host_quota_destroy(struct host_quota *s)
{
	if (s == NULL)
		return;
	while (host_quota_drop(s) != NULL)
		continue;
	host_quota_expect_none(s);
	assert(s->by_host == NULL);
	free(s);
}

size_t
host_quota_waiting(const struct host_quota *s)
{
	return s->n_waiting;
}

bool
host_quota_busy(const struct host_quota *s)
{
	return !TAILQ_EMPTY(&s->full);
}
