/* SPDX-License-Identifier: Apache-2.0 */
/* See acks.h. */
#include "daemon/acks.h"

#include "shared/base/xalloc.h"
#include "shared/event/loop.h"

#include <assert.h>
#include <bsd/sys/queue.h>
#include <stdlib.h>
#include <uthash.h>

struct ack_entry {
	TAILQ_ENTRY(ack_entry) link; /* of entries, by tag: the broker counts up; or of kept */
	UT_hash_handle hh;
	struct broker_tag tag;
	struct mono due; /* when it is acked by itself, once done */
	bool done, kept;
};
TAILQ_HEAD(entries, ack_entry);

struct acks {
	struct loop *loop;
	const struct acks_handlers *handlers;
	void *arg;
	struct entries entries;   /* those that are not kept */
	struct entries kept;      /* by tag: an ack of many goes up to the first of them */
	struct ack_entry *by_tag; /* uthash, by tag.tag; all of one epoch */
	uint32_t epoch;
	struct loop_timer *send;
	struct mono send_at; /* while it is armed */
	uint64_t sent;
};

static void on_send(void *arg);

struct acks *
acks_create(struct loop *loop, const struct acks_handlers *handlers, void *arg)
{
	struct acks *a = xcalloc(1, sizeof(*a));

	a->loop = loop;
	a->handlers = handlers;
	a->arg = arg;
	TAILQ_INIT(&a->entries);
	TAILQ_INIT(&a->kept);
	a->send = loop_timer_create(loop, "acks send", on_send, a);
	return a;
}

void
acks_destroy(struct acks *a)
{
	if (a == NULL)
		return;
	acks_drop(a);
	loop_timer_destroy(a->send);
	free(a);
}

static void
remove_entry(struct acks *a, struct ack_entry *e)
{
	if (e->kept)
		TAILQ_REMOVE(&a->kept, e, link);
	else
		TAILQ_REMOVE(&a->entries, e, link);
	HASH_DEL(a->by_tag, e);
	free(e);
}

void
acks_drop(struct acks *a)
{
	while (!TAILQ_EMPTY(&a->entries))
		remove_entry(a, TAILQ_FIRST(&a->entries));
	while (!TAILQ_EMPTY(&a->kept))
		remove_entry(a, TAILQ_FIRST(&a->kept));
	loop_timer_disarm(a->send);
}

void
acks_add(struct acks *a, struct broker_tag tag)
{
	struct ack_entry *e, *last;

	if (tag.epoch != a->epoch)
		acks_drop(a);
	a->epoch = tag.epoch;
	last = TAILQ_LAST(&a->entries, entries);
	assert(last == NULL || tag.tag > last->tag.tag); /* AMQP 0-9-1: tags of a channel grow */
	e = xcalloc(1, sizeof(*e));
	e->tag = tag;
	TAILQ_INSERT_TAIL(&a->entries, e, link);
	HASH_ADD(hh, a->by_tag, tag.tag, sizeof(e->tag.tag), e);
}

static void
send_within(struct acks *a, int64_t ms)
{
	struct mono at = mono_add(loop_now(a->loop), ms);

	if (loop_timer_armed(a->send) && mono_reached(at, a->send_at))
		return;
	a->send_at = at;
	loop_timer_arm(a->send, ms);
}

static struct ack_entry *
find_entry(struct acks *a, struct broker_tag tag)
{
	struct ack_entry *e = NULL;

	if (tag.epoch == a->epoch)
		HASH_FIND(hh, a->by_tag, &tag.tag, sizeof(tag.tag), e);
	return e;
}

void
acks_keep(struct acks *a, struct broker_tag tag)
{
	struct ack_entry *e = find_entry(a, tag), *after;

	if (e == NULL || e->done || e->kept)
		return;
	TAILQ_REMOVE(&a->entries, e, link);
	e->kept = true;
	TAILQ_FOREACH_REVERSE(after, &a->kept, entries, link)
	{
		if (after->tag.tag < tag.tag)
			break;
	}
	if (after == NULL)
		TAILQ_INSERT_HEAD(&a->kept, e, link);
	else
		TAILQ_INSERT_AFTER(&a->kept, after, e, link);
	send_within(a, 0); /* it may have been the hole that others are behind */
}

void
acks_return(struct acks *a, struct broker_tag tag)
{
	struct ack_entry *e = find_entry(a, tag);

	if (e == NULL || !e->kept)
		return;
	remove_entry(a, e);
	a->handlers->nack(tag, false, true, a->arg);
}

void
acks_done(struct acks *a, struct broker_tag tag, uint32_t hole_ms)
{
	struct ack_entry *e = find_entry(a, tag);

	if (e == NULL || e->done || e->kept)
		return;
	e->done = true;
	e->due = mono_add(loop_now(a->loop), hole_ms);
	send_within(a, e == TAILQ_FIRST(&a->entries) ? 0 : hole_ms);
}

/* Everything before the first hole: as one up to the first that is kept, then each by itself. */
static void
ack_front(struct acks *a)
{
	const struct ack_entry *kept = TAILQ_FIRST(&a->kept);
	struct ack_entry *e = TAILQ_FIRST(&a->entries);
	struct broker_tag last;
	size_t n = 0;

	while (e != NULL && e->done && (kept == NULL || e->tag.tag < kept->tag.tag)) {
		last = e->tag;
		remove_entry(a, e);
		n++;
		e = TAILQ_FIRST(&a->entries);
	}
	a->sent += n;
	if (n > 0)
		a->handlers->ack(last, n > 1, a->arg);
	for (; e != NULL && e->done; e = TAILQ_FIRST(&a->entries)) {
		a->sent++;
		a->handlers->ack(e->tag, false, a->arg);
		remove_entry(a, e);
	}
}

/* Acks what is done behind a hole: what is due by now, or all. Returns in how many ms the next one
 * is due, -1 for none. */
static int64_t
ack_behind(struct acks *a, bool all)
{
	struct ack_entry *e, *next;
	int64_t due = -1;

	for (e = TAILQ_FIRST(&a->entries); e != NULL; e = next) {
		int64_t left;

		next = TAILQ_NEXT(e, link);
		if (!e->done)
			continue;
		left = mono_diff(e->due, loop_now(a->loop));
		if (all || left <= 0) {
			a->sent++;
			a->handlers->ack(e->tag, false, a->arg);
			remove_entry(a, e);
		} else if (due < 0 || left < due) {
			due = left;
		}
	}
	return due;
}

static void
on_send(void *arg)
{
	struct acks *a = arg;
	int64_t due;

	ack_front(a);
	due = ack_behind(a, false);
	if (due >= 0)
		send_within(a, due);
}

void
acks_flush(struct acks *a)
{
	loop_timer_disarm(a->send);
	ack_front(a);
	ack_behind(a, true);
}

void
acks_give_back(struct acks *a)
{
	const struct ack_entry *e, *kept;
	struct broker_tag last;

	acks_flush(a);
	e = TAILQ_LAST(&a->entries, entries);
	kept = TAILQ_LAST(&a->kept, entries);
	if (e == NULL && kept == NULL)
		return;
	last = e == NULL || (kept != NULL && kept->tag.tag > e->tag.tag) ? kept->tag : e->tag;
	acks_drop(a);
	a->handlers->nack(last, true, true, a->arg);
}

uint64_t
acks_sent(const struct acks *a)
{
	return a->sent;
}

size_t
acks_outstanding(const struct acks *a)
{
	return HASH_COUNT(a->by_tag);
}
