/* SPDX-License-Identifier: Apache-2.0 */
/* See outcome_writer.h. */
#include "runner/job/outcome_writer.h"

#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/store/store.h"
#include <stdlib.h>

#define PORTION  1000 /* of some 600 bytes at most each: well below what a store takes at once */
#define TRIES    5
#define PAUSE_MS 500

struct outcome_writer {
	struct store *store;
	char *job;
	outcome_writer_fn *fn;
	void *arg;
	struct outcome *outcomes; /* host and why are owned */
	size_t n, room;
	size_t written; /* the first so many */
	size_t asked;   /* of what follows, so many are on their way; 0 = none */
	size_t lost;    /* given up */
	int tries;
	bool flushing;
	struct loop_timer *again;
};

static void write_portion(void *arg);

struct outcome_writer *
outcome_writer_create(
    struct loop *loop, struct store *store, const char *job, outcome_writer_fn *fn, void *arg)
{
	struct outcome_writer *b = xcalloc(1, sizeof(*b));

	b->store = store;
	b->job = xstrdup(job);
	b->fn = fn;
	b->arg = arg;
	b->again = loop_timer_create(loop, "books", write_portion, b);
	return b;
}

static void
forget_all(struct outcome_writer *b)
{
	for (size_t i = 0; i < b->n; i++) {
		free((char *)b->outcomes[i].host);
		free((char *)b->outcomes[i].why);
	}
	b->n = 0;
	b->written = 0;
	b->flushing = false;
}

void
outcome_writer_destroy(struct outcome_writer *b)
{
	if (b == NULL)
		return;
	forget_all(b);
	free(b->outcomes);
	free(b->job);
	loop_timer_destroy(b->again);
	free(b);
}

static void
on_written(const struct trouble *why, const char *done, void *arg)
{
	struct outcome_writer *b = arg;

	if (why == NULL) {
		b->written += b->asked;
		b->tries = 0;
	}
	b->asked = 0;
	if (b->written < b->n && (why == NULL || ++b->tries < TRIES)) {
		loop_timer_arm(b->again, why == NULL ? 0 : PAUSE_MS);
		return;
	}
	b->lost += b->n - b->written;
	forget_all(b);
	b->fn(why, b->arg);
}

static void
write_portion(void *arg)
{
	struct outcome_writer *b = arg;
	size_t n = b->n - b->written;

	b->asked = n < PORTION ? n : PORTION;
	store_outcomes_add(b->store, b->job, b->outcomes + b->written, b->asked, on_written, b);
}

void
outcome_writer_add(struct outcome_writer *b, const struct outcome *o)
{
	struct outcome *mine;

	if (b->store == NULL)
		return;
	if (b->n == b->room) {
		b->room = b->room == 0 ? 16 : 2 * b->room;
		b->outcomes = xreallocarray(b->outcomes, b->room, sizeof(*b->outcomes));
	}
	mine = &b->outcomes[b->n++];
	*mine = *o;
	mine->host = xstrdup(o->host);
	mine->why = xstrdup_null(o->why);
	mine->response_id = NULL;
}

void
outcome_writer_flush(struct outcome_writer *b)
{
	if (b->n == 0 || b->flushing)
		return;
	b->flushing = true;
	loop_timer_arm(b->again, 0);
}

bool
outcome_writer_settled(const struct outcome_writer *b)
{
	return b->n == 0;
}

size_t
outcome_writer_missing(const struct outcome_writer *b)
{
	return b->lost + b->n - b->written;
}
