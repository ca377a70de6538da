/* SPDX-License-Identifier: Apache-2.0 */
/* See loop.h. A pass is one event_base_loop(EVLOOP_ONCE): wait, then run all that is due. Between
 * two passes the deferred frees run and the pass's CPU time is taken. */
#include "shared/event/loop.h"

#include "shared/base/log.h"
#include "shared/base/xalloc.h"

#include <assert.h>
#include <bsd/sys/queue.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	COARSE_MS = 10, /* CLOCK_MONOTONIC_COARSE is at most so far behind */
	COARSE_FROM_MS = 1000,
	LOG_RETRY_MS = 100, /* between two looks whether somebody reads the log again */
};

struct loop_timer {
	struct event event;
	struct loop *loop;
	const char *name;
	loop_fn *fn;
	void *arg;
	struct mono deadline;
	bool patient;     /* in patient: armed by loop_timer_arm_within() */
	struct mono from; /* of those: when it may fire */
	LIST_ENTRY(loop_timer) entry;
};

struct loop_watch {
	struct event event;
	struct loop *loop;
	loop_fd_fn *fn;
	void *arg;
	bool added;
};

struct loop_sig {
	SLIST_ENTRY(loop_sig) entry;
	struct event event;
	loop_signal_fn *fn;
	void *arg;
};

struct deferred {
	STAILQ_ENTRY(deferred) entry;
	void *obj;
	loop_fn *fn;
};

struct loop {
	struct event_base *base;
	SLIST_HEAD(, loop_sig) signals;
	STAILQ_HEAD(, deferred) deferred;
	LIST_HEAD(, loop_timer) patient;
	struct mono now;
	bool in_pass;  /* between waking up and the end of the deferred frees: now may be cached */
	bool have_now; /* now was read in this pass */
	bool stopping;
	struct event log_event; /* while lines of the log wait for their reader */
	unsigned int live;      /* timers and watches that exist */
	uint64_t max_pass_us;
};

static void
on_libevent_log(int severity, const char *text)
{
	enum log_level level = severity == EVENT_LOG_ERR    ? LOG_LEVEL_ERROR
			       : severity == EVENT_LOG_WARN ? LOG_LEVEL_WARN
							    : LOG_LEVEL_DEBUG;

	if (log_enabled(level))
		log_msg(level, "loop", "libevent: %s", text);
}

static void
on_libevent_fatal(int err)
{
	fatal("loop", "libevent: unrecoverable error %d", err);
}

static void
ignore_sigpipe(void)
{
	struct sigaction sa = {.sa_handler = SIG_IGN};

	sigemptyset(&sa.sa_mask);
	if (sigaction(SIGPIPE, &sa, NULL) != 0)
		fatal("loop", "cannot ignore SIGPIPE: %s", strerror(errno));
}

static struct event_base *
make_base(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base = NULL;

	if (config == NULL)
		return NULL;
	/* One thread, so no locks; and no EVENT_* variable of the environment changes how we run.
	 */
	if (event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) == 0 &&
	    event_config_set_flag(config, EVENT_BASE_FLAG_IGNORE_ENV) == 0)
		base = event_base_new_with_config(config);
	event_config_free(config);
	return base;
}

/* The pass that it makes is what the lines wait for. */
static void
on_log_timer(evutil_socket_t fd, short what, void *arg)
{
}

struct loop *
loop_create(void)
{
	struct loop *loop = xcalloc(1, sizeof(*loop));

	event_set_log_callback(on_libevent_log);
	event_set_fatal_callback(on_libevent_fatal);
	ignore_sigpipe();
	loop->base = make_base();
	if (loop->base == NULL)
		fatal("loop", "cannot make the event loop: %s", strerror(errno));
	if (event_assign(&loop->log_event, loop->base, -1, EV_TIMEOUT, on_log_timer, NULL) != 0)
		fatal("loop", "cannot make the log's timer");
	SLIST_INIT(&loop->signals);
	STAILQ_INIT(&loop->deferred);
	LIST_INIT(&loop->patient);
	return loop;
}

static void
run_deferred(struct loop *loop)
{
	/* A fn may defer more: that runs here too. */
	while (!STAILQ_EMPTY(&loop->deferred)) {
		struct deferred *d = STAILQ_FIRST(&loop->deferred);

		STAILQ_REMOVE_HEAD(&loop->deferred, entry);
		d->fn(d->obj);
		free(d);
	}
}

void
loop_destroy(struct loop *loop)
{
	if (loop == NULL)
		return;
	run_deferred(loop);
	assert(loop->live == 0); /* whoever made a timer or watch destroys it */
	while (!SLIST_EMPTY(&loop->signals)) {
		struct loop_sig *sig = SLIST_FIRST(&loop->signals);

		SLIST_REMOVE_HEAD(&loop->signals, entry);
		event_del(&sig->event);
		free(sig);
	}
	event_del(&loop->log_event);
	event_base_free(loop->base); /* runs what libevent put off, such as a bufferevent's end */
	free(loop);
}

static uint64_t
thread_cpu_us(void)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts) != 0)
		return 0;
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void
make_punctual(struct loop_timer *t)
{
	if (t->patient)
		LIST_REMOVE(t, entry);
	t->patient = false;
}

/* We are awake: those that may fire do. */
static void
run_patient(struct loop *loop)
{
	struct loop_timer *t = LIST_FIRST(&loop->patient);

	while (t != NULL) {
		if (!mono_reached(loop_now(loop), t->from)) {
			t = LIST_NEXT(t, entry);
			continue;
		}
		make_punctual(t);
		event_del(&t->event);
		t->fn(t->arg); /* may destroy t, or others */
		t = LIST_FIRST(&loop->patient);
	}
}

static void
flush_log(struct loop *loop)
{
	struct timeval tv = {.tv_usec = LOG_RETRY_MS * 1000};

	if (!log_flush())
		event_add(&loop->log_event, &tv);
}

static void
run_pass(struct loop *loop)
{
	loop->in_pass = true;
	/* Waits for ever when there is nothing to wait for, instead of spinning. */
	if (event_base_loop(loop->base, EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY) < 0)
		fatal("loop", "cannot wait for events: %s", strerror(errno));
	run_patient(loop);
	run_deferred(loop);
	flush_log(loop);
	loop->in_pass = false;
	loop->have_now = false;
}

void
loop_run(struct loop *loop)
{
	uint64_t before, after;

	run_deferred(loop);
	before = thread_cpu_us();
	while (!loop->stopping) {
		run_pass(loop);
		after = thread_cpu_us();
		if (after - before > loop->max_pass_us)
			loop->max_pass_us = after - before;
		before = after;
	}
	loop->stopping = false;
}

void
loop_stop(struct loop *loop)
{
	loop->stopping = true;
}

struct mono
loop_now(struct loop *loop)
{
	if (!loop->in_pass)
		return mono_now();
	if (!loop->have_now) {
		loop->now = mono_now();
		loop->have_now = true;
	}
	return loop->now;
}

static void
timer_add(struct loop_timer *t, int64_t ms)
{
	/* libevent's clock is coarse and some ms behind: where they do not matter they are added,
	 * so that an idle process is not woken up too early, and then again. */
	int64_t late = ms >= COARSE_FROM_MS ? COARSE_MS : 0;
	struct timeval tv = {
	    .tv_sec = (time_t)((ms + late) / 1000),
	    .tv_usec = (suseconds_t)((ms + late) % 1000 * 1000),
	};

	if (event_add(&t->event, &tv) != 0)
		fatal("loop", "cannot arm timer %s", t->name);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct loop_timer *t = arg;
	int64_t left = mono_diff(t->deadline, loop_now(t->loop));

	/* Whoever compares loop_now() with a deadline in a timer's callback may rely on it having
	 * been reached. */
	if (left > 0) {
		timer_add(t, left);
		return;
	}
	make_punctual(t);
	t->fn(t->arg); /* may destroy t */
}

struct loop_timer *
loop_timer_create(struct loop *loop, const char *name, loop_fn *fn, void *arg)
{
	struct loop_timer *t = xcalloc(1, sizeof(*t));

	t->loop = loop;
	t->name = name;
	t->fn = fn;
	t->arg = arg;
	if (event_assign(&t->event, loop->base, -1, EV_TIMEOUT, on_timer, t) != 0)
		fatal("loop", "cannot make timer %s", name);
	loop->live++;
	return t;
}

void
loop_timer_arm(struct loop_timer *t, int64_t ms)
{
	if (ms < 0)
		ms = 0;
	make_punctual(t);
	t->deadline = mono_add(loop_now(t->loop), ms);
	/* An expired timer whose turn in this pass has not come yet would keep its place there. */
	event_del(&t->event);
	timer_add(t, ms);
}

void
loop_timer_arm_within(struct loop_timer *t, int64_t min_ms, int64_t max_ms)
{
	loop_timer_arm(t, max_ms);
	t->from = mono_add(loop_now(t->loop), min_ms);
	t->patient = true;
	LIST_INSERT_HEAD(&t->loop->patient, t, entry);
}

void
loop_timer_disarm(struct loop_timer *t)
{
	make_punctual(t);
	event_del(&t->event);
}

bool
loop_timer_armed(const struct loop_timer *t)
{
	return event_pending(&t->event, EV_TIMEOUT, NULL) != 0;
}

void
loop_timer_destroy(struct loop_timer *t)
{
	if (t == NULL)
		return;
	make_punctual(t);
	event_del(&t->event);
	assert(t->loop->live > 0);
	t->loop->live--;
	free(t);
}

static short
to_libevent(unsigned int events)
{
	int what = EV_PERSIST;

	if ((events & LOOP_READ) != 0)
		what |= EV_READ;
	if ((events & LOOP_WRITE) != 0)
		what |= EV_WRITE;
	return (short)what;
}

static void
on_watch(evutil_socket_t fd, short what, void *arg)
{
	struct loop_watch *w = arg;
	unsigned int events = 0;

	if ((what & EV_READ) != 0)
		events |= LOOP_READ;
	if ((what & EV_WRITE) != 0)
		events |= LOOP_WRITE;
	w->fn(fd, events, w->arg); /* may destroy w */
}

/* Not being able to watch (EBADF, EPERM) is the owner's mistake and logged; his deadline finds it.
 */
static void
watch_add(struct loop_watch *w, int fd, unsigned int events)
{
	if (event_assign(&w->event, w->loop->base, fd, to_libevent(events), on_watch, w) != 0)
		fatal("loop", "cannot make a watch of descriptor %d", fd);
	w->added = events != 0;
	if (w->added && event_add(&w->event, NULL) != 0) {
		log_error("loop", "cannot watch descriptor %d: %s", fd, strerror(errno));
		w->added = false;
	}
}

struct loop_watch *
loop_watch_create(struct loop *loop, int fd, unsigned int events, loop_fd_fn *fn, void *arg)
{
	struct loop_watch *w = xcalloc(1, sizeof(*w));

	w->loop = loop;
	w->fn = fn;
	w->arg = arg;
	watch_add(w, fd, events);
	loop->live++;
	return w;
}

static void
watch_del(struct loop_watch *w)
{
	if (w->added)
		event_del(&w->event);
	w->added = false;
}

void
loop_watch_set(struct loop_watch *w, unsigned int events)
{
	int fd = (int)event_get_fd(&w->event);

	watch_del(w);
	watch_add(w, fd, events);
}

void
loop_watch_destroy(struct loop_watch *w)
{
	if (w == NULL)
		return;
	watch_del(w);
	assert(w->loop->live > 0);
	w->loop->live--;
	free(w);
}

static void
on_signal(evutil_socket_t signo, short what, void *arg)
{
	struct loop_sig *sig = arg;

	sig->fn((int)signo, sig->arg);
}

void
loop_signal(struct loop *loop, int signo, loop_signal_fn *fn, void *arg)
{
	struct loop_sig *sig = xcalloc(1, sizeof(*sig));

	sig->fn = fn;
	sig->arg = arg;
	if (event_assign(&sig->event, loop->base, signo, EV_SIGNAL | EV_PERSIST, on_signal, sig) !=
		0 ||
	    event_add(&sig->event, NULL) != 0)
		fatal("loop", "cannot catch signal %d", signo);
	SLIST_INSERT_HEAD(&loop->signals, sig, entry);
}

void
loop_defer_free(struct loop *loop, void *obj, loop_fn *fn)
{
	struct deferred *d = xcalloc(1, sizeof(*d));

	d->obj = obj;
	d->fn = fn;
	STAILQ_INSERT_TAIL(&loop->deferred, d, entry);
}

uint64_t
loop_max_pass_us(const struct loop *loop)
{
	return loop->max_pass_us;
}

struct event_base *
loop_base(struct loop *loop)
{
	return loop->base;
}
