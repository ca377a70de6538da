/* SPDX-License-Identifier: Apache-2.0 */
/* See fake_loop.h. */
#include "tests/fake/fake_loop.h"

#include <assert.h>
#include <bsd/sys/queue.h>
#include <stdlib.h>
#include <string.h>

struct loop_timer {
	TAILQ_ENTRY(loop_timer) entry;
	struct loop *loop;
	const char *name;
	loop_fn *fn;
	void *arg;
	bool armed;
	int64_t at;
	int64_t from;   /* with whatever fires from then on; of a punctual one: at */
	uint64_t order; /* of arming: equal times fire in this order */
};

struct loop_watch {
	unsigned int events;
};

struct deferred {
	TAILQ_ENTRY(deferred) entry;
	void *obj;
	loop_fn *fn;
};

struct loop {
	TAILQ_HEAD(, loop_timer) timers;
	TAILQ_HEAD(, deferred) deferred;
	struct mono now;
	uint64_t armings;
	bool stopped;
};

struct loop *
loop_create(void)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	assert(loop != NULL);
	TAILQ_INIT(&loop->timers);
	TAILQ_INIT(&loop->deferred);
	loop->now.ms = 1000000; /* any moment but zero */
	return loop;
}

static void
run_deferred(struct loop *loop)
{
	while (!TAILQ_EMPTY(&loop->deferred)) {
		struct deferred *d = TAILQ_FIRST(&loop->deferred);

		TAILQ_REMOVE(&loop->deferred, d, entry);
		d->fn(d->obj);
		free(d);
	}
}

void
loop_destroy(struct loop *loop)
{
	run_deferred(loop);
	assert(TAILQ_EMPTY(&loop->timers)); /* whoever made a timer destroys it */
	free(loop);
}

void
loop_run(struct loop *loop)
{
	for (loop->stopped = false; !loop->stopped;) {
		assert(fake_next_timer(loop) >= 0); /* nothing would ever happen */
		fake_advance(loop, fake_next_timer(loop));
	}
}

void
loop_stop(struct loop *loop)
{
	loop->stopped = true;
}

struct mono
loop_now(struct loop *loop)
{
	return loop->now;
}

struct loop_timer *
loop_timer_create(struct loop *loop, const char *name, loop_fn *fn, void *arg)
{
	struct loop_timer *t = calloc(1, sizeof(*t));

	assert(t != NULL);
	t->loop = loop;
	t->name = name;
	t->fn = fn;
	t->arg = arg;
	TAILQ_INSERT_TAIL(&loop->timers, t, entry);
	return t;
}

void
loop_timer_arm(struct loop_timer *t, int64_t ms)
{
	t->armed = true;
	t->at = t->from = t->loop->now.ms + ms;
	t->order = ++t->loop->armings;
}

void
loop_timer_arm_within(struct loop_timer *t, int64_t min_ms, int64_t max_ms)
{
	loop_timer_arm(t, max_ms);
	t->from = t->loop->now.ms + min_ms;
}

void
loop_timer_disarm(struct loop_timer *t)
{
	t->armed = false;
}

bool
loop_timer_armed(const struct loop_timer *t)
{
	return t->armed;
}

void
loop_timer_destroy(struct loop_timer *t)
{
	if (t == NULL)
		return;
	TAILQ_REMOVE(&t->loop->timers, t, entry);
	free(t);
}

static struct loop_timer *
next_timer(struct loop *loop)
{
	struct loop_timer *t, *first = NULL;

	TAILQ_FOREACH (t, &loop->timers, entry) {
		if (!t->armed)
			continue;
		if (first == NULL || t->at < first->at ||
		    (t->at == first->at && t->order < first->order))
			first = t;
	}
	return first;
}

static struct loop_timer *
next_patient(struct loop *loop)
{
	struct loop_timer *t;

	TAILQ_FOREACH (t, &loop->timers, entry) {
		if (t->armed && t->from < t->at && t->from <= loop->now.ms)
			return t;
	}
	return NULL;
}

static void
run_patient(struct loop *loop)
{
	struct loop_timer *t;

	while ((t = next_patient(loop)) != NULL) {
		t->armed = false;
		t->fn(t->arg);
	}
}

void
fake_advance(struct loop *loop, int64_t ms)
{
	int64_t end = loop->now.ms + ms;
	struct loop_timer *t;

	for (t = next_timer(loop); t != NULL && t->at <= end; t = next_timer(loop)) {
		if (t->at > loop->now.ms)
			loop->now.ms = t->at;
		t->armed = false;
		t->fn(t->arg);
		run_patient(loop);
		run_deferred(loop);
	}
	loop->now.ms = end;
	run_deferred(loop);
}

int64_t
fake_next_timer(struct loop *loop)
{
	struct loop_timer *t = next_timer(loop);

	return t == NULL ? -1 : t->at - loop->now.ms;
}

int64_t
fake_timer_in(struct loop *loop, const char *name)
{
	struct loop_timer *t;

	TAILQ_FOREACH (t, &loop->timers, entry) {
		if (t->armed && strcmp(t->name, name) == 0)
			return t->at - loop->now.ms;
	}
	return -1;
}

struct loop_watch *
loop_watch_create(struct loop *loop, int fd, unsigned int events, loop_fd_fn *fn, void *arg)
{
	struct loop_watch *w = calloc(1, sizeof(*w));

	assert(w != NULL);
	w->events = events;
	return w;
}

void
loop_watch_set(struct loop_watch *w, unsigned int events)
{
	w->events = events;
}

void
loop_watch_destroy(struct loop_watch *w)
{
	free(w);
}

void
loop_signal(struct loop *loop, int signo, loop_signal_fn *fn, void *arg)
{
}

void
loop_defer_free(struct loop *loop, void *obj, loop_fn *fn)
{
	struct deferred *d = calloc(1, sizeof(*d));

	assert(d != NULL);
	d->obj = obj;
	d->fn = fn;
	TAILQ_INSERT_TAIL(&loop->deferred, d, entry);
}

uint64_t
loop_max_pass_us(const struct loop *loop)
{
	return 0;
}

struct event_base *
loop_base(struct loop *loop)
{
	return NULL;
}
