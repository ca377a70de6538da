/* See acks.h. */
#include "daemon/acks.h"

#include "shared/loop.h"
#include "shared/xalloc.h"

#include <bsd/sys/queue.h>
#include <stdlib.h>
#include <uthash.h>

struct entry {
	TAILQ_ENTRY(entry) link; /* by tag: the broker counts up */
	UT_hash_handle hh;
	struct broker_tag tag;
	struct mono done_at;
	bool done;
};

struct acks {
	struct loop *loop;
	const struct acks_handlers *handlers;
	void *arg;
	TAILQ_HEAD(entries, entry) entries;
	struct entry *by_tag; /* uthash, by tag.tag; all of one epoch */
	uint32_t epoch;
	struct loop_timer *send;
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
remove_entry(struct acks *a, struct entry *e)
{
	TAILQ_REMOVE(&a->entries, e, link);
	HASH_DEL(a->by_tag, e);
	free(e);
}

void
acks_drop(struct acks *a)
{
	while (!TAILQ_EMPTY(&a->entries))
		remove_entry(a, TAILQ_FIRST(&a->entries));
	loop_timer_disarm(a->send);
}

void
acks_add(struct acks *a, struct broker_tag tag)
{
	struct entry *e;

	if (tag.epoch != a->epoch)
		acks_drop(a);
	a->epoch = tag.epoch;
	e = xcalloc(1, sizeof(*e));
	e->tag = tag;
	TAILQ_INSERT_TAIL(&a->entries, e, link);
	HASH_ADD(hh, a->by_tag, tag.tag, sizeof(e->tag.tag), e);
}

void
acks_done(struct acks *a, struct broker_tag tag)
{
	struct entry *e = NULL;

	if (tag.epoch == a->epoch)
		HASH_FIND(hh, a->by_tag, &tag.tag, sizeof(tag.tag), e);
	if (e == NULL || e->done)
		return;
	e->done = true;
	e->done_at = loop_now(a->loop);
	if (e == TAILQ_FIRST(&a->entries))
		loop_timer_arm(a->send, 0);
	else if (!loop_timer_armed(a->send))
		loop_timer_arm(a->send, ACKS_HOLE_MS);
}

/* Everything before the first hole, as one. */
static void
ack_front(struct acks *a)
{
	struct entry *e = TAILQ_FIRST(&a->entries);
	struct broker_tag last;
	size_t n = 0;

	while (e != NULL && e->done) {
		last = e->tag;
		remove_entry(a, e);
		n++;
		e = TAILQ_FIRST(&a->entries);
	}
	a->sent += n;
	if (n > 0)
		a->handlers->ack(last, n > 1, a->arg);
}

/* Those behind a hole that have waited for min_ms. Returns in how many ms the next one is due, -1
 * for none. */
static int64_t
ack_behind(struct acks *a, int64_t min_ms)
{
	struct entry *e, *next;
	int64_t due = -1;

	for (e = TAILQ_FIRST(&a->entries); e != NULL; e = next) {
		int64_t left;

		next = TAILQ_NEXT(e, link);
		if (!e->done)
			continue;
		left = min_ms - mono_diff(loop_now(a->loop), e->done_at);
		if (left <= 0) {
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
	due = ack_behind(a, ACKS_HOLE_MS);
	if (due >= 0)
		loop_timer_arm(a->send, due);
}

void
acks_flush(struct acks *a)
{
	loop_timer_disarm(a->send);
	ack_front(a);
	ack_behind(a, 0);
}

void
acks_give_back(struct acks *a)
{
	struct broker_tag last;

	acks_flush(a);
	if (TAILQ_EMPTY(&a->entries))
		return;
	last = TAILQ_LAST(&a->entries, entries)->tag;
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
