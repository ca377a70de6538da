/* SPDX-License-Identifier: Apache-2.0 */
/* See worker.h. What the thread touches is in struct shared, under its lock, and lives as long as
 * either side does; struct worker belongs to the loop's thread alone. */
#include "shared/event/worker.h"

#include "shared/base/log.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"

#include <assert.h>
#include <bsd/string.h>
#include <bsd/sys/queue.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { WORKER_STACK_BYTES = 8 * 1024 * 1024 };

struct worker_task {
	STAILQ_ENTRY(worker_task) entry;
	worker_run_fn *run;
	worker_done_fn *done;
	void *data;
};
STAILQ_HEAD(job_list, worker_task);

struct shared {
	pthread_mutex_t lock;
	pthread_cond_t work;     /* to the thread: queue is not empty, or quit */
	pthread_cond_t progress; /* to worker_destroy(): a job has been finished */
	struct job_list queue;
	struct job_list finished;
	bool running;
	bool quit;
	worker_done_fn *drop; /* set by worker_abandon(): what to do with the running job */
	int wake_fd;          /* eventfd; -1 once abandoned */
	unsigned int refs;    /* the thread's and the loop's */
};

struct worker {
	struct loop *loop;
	struct loop_watch *watch;
	struct shared *shared;
	pthread_t thread;
	struct job_list delivering; /* finished, done not called yet; the loop's thread only */
};

static void
shared_unref(struct shared *s)
{
	bool last;

	pthread_mutex_lock(&s->lock);
	assert(s->refs > 0);
	assert(s->refs > 0);
	last = --s->refs == 0;
	pthread_mutex_unlock(&s->lock);
	if (!last)
		return;
	if (s->wake_fd >= 0)
		close(s->wake_fd);
	pthread_cond_destroy(&s->work);
	pthread_cond_destroy(&s->progress);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* Lock held. */
static void
wake_loop(struct shared *s)
{
	static const uint64_t one = 1;

	/* Cannot fail but by overflow, and then the loop is awake anyway. */
	if (s->wake_fd >= 0 && write(s->wake_fd, &one, sizeof(one)) < 0)
		return;
}

/* Lock held; dropped while the job runs. */
static void
run_one(struct shared *s)
{
	struct worker_task *job = STAILQ_FIRST(&s->queue);

	STAILQ_REMOVE_HEAD(&s->queue, entry);
	s->running = true;
	pthread_mutex_unlock(&s->lock);
	job->run(job->data);
	pthread_mutex_lock(&s->lock);
	s->running = false;
	if (s->drop == NULL) {
		/* Whoever is woken takes all there is: one wake-up is enough until then. */
		if (STAILQ_EMPTY(&s->finished))
			wake_loop(s);
		STAILQ_INSERT_TAIL(&s->finished, job, entry);
		pthread_cond_signal(&s->progress);
		return;
	}
	pthread_mutex_unlock(&s->lock);
	s->drop(job->data); /* written once, before: no lock needed */
	free(job);
	pthread_mutex_lock(&s->lock);
}

static void *
thread_main(void *arg)
{
	struct shared *s = arg;

	pthread_mutex_lock(&s->lock);
	for (;;) {
		while (STAILQ_EMPTY(&s->queue) && !s->quit)
			pthread_cond_wait(&s->work, &s->lock);
		if (STAILQ_EMPTY(&s->queue))
			break;
		run_one(s);
	}
	pthread_mutex_unlock(&s->lock);
	shared_unref(s);
	return NULL;
}

/* Moves what is finished to w->delivering; a done that submits again cannot keep us here. */
static void
collect_finished(struct worker *w)
{
	pthread_mutex_lock(&w->shared->lock);
	STAILQ_CONCAT(&w->delivering, &w->shared->finished);
	pthread_mutex_unlock(&w->shared->lock);
}

static void
deliver_one(struct worker *w)
{
	struct worker_task *job = STAILQ_FIRST(&w->delivering);
	worker_done_fn *done = job->done;
	void *data = job->data;

	STAILQ_REMOVE_HEAD(&w->delivering, entry);
	free(job);
	done(data); /* may destroy or abandon w, which empties the list */
}

static void
worker_on_wake(int fd, unsigned int events, void *arg)
{
	struct worker *w = arg;
	uint64_t count;

	if (read(fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		log_error("worker", "cannot read the wake-up: %s", strerror(errno));
	collect_finished(w);
	while (!STAILQ_EMPTY(&w->delivering))
		deliver_one(w);
}

/* Signals go to the loop's thread: a thread inherits the mask of its maker. Returns 0, or an errno.
 */
static int
start_thread(struct worker *w, const char *name)
{
	sigset_t all, before;
	pthread_attr_t attr;
	char thread_name[16]; /* the kernel's limit */
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_attr_init(&attr);
	if (err == 0) {
		err = pthread_attr_setstacksize(&attr, WORKER_STACK_BYTES);
		if (err == 0)
			err = pthread_create(&w->thread, &attr, thread_main, w->shared);
		pthread_attr_destroy(&attr);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err != 0)
		return err;
	strlcpy(thread_name, name, sizeof(thread_name));
	pthread_setname_np(w->thread, thread_name);
	return 0;
}

static struct worker *
not_created(struct worker *w, int err)
{
	w->shared->refs = 1; /* there is no thread */
	shared_unref(w->shared);
	free(w);
	errno = err;
	return NULL;
}

struct worker *
worker_create(struct loop *loop, const char *name)
{
	struct worker *w = xcalloc(1, sizeof(*w));
	struct shared *s = xcalloc(1, sizeof(*s));
	int err;

	w->loop = loop;
	w->shared = s;
	STAILQ_INIT(&w->delivering);
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->work, NULL);
	pthread_cond_init(&s->progress, NULL);
	STAILQ_INIT(&s->queue);
	STAILQ_INIT(&s->finished);
	s->refs = 2;
	s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->wake_fd < 0)
		return not_created(w, errno);
	err = start_thread(w, name);
	if (err != 0)
		return not_created(w, err);
	w->watch = loop_watch_create(loop, s->wake_fd, LOOP_READ, worker_on_wake, w);
	return w;
}

void
worker_submit(struct worker *w, worker_run_fn *run, worker_done_fn *done, void *data)
{
	struct worker_task *job = xcalloc(1, sizeof(*job));

	job->run = run;
	job->done = done;
	job->data = data;
	pthread_mutex_lock(&w->shared->lock);
	STAILQ_INSERT_TAIL(&w->shared->queue, job, entry);
	pthread_cond_signal(&w->shared->work);
	pthread_mutex_unlock(&w->shared->lock);
}

/* Waits until a job is finished. False: there is none any more. */
static bool
wait_finished(struct worker *w)
{
	struct shared *s = w->shared;
	bool any;

	pthread_mutex_lock(&s->lock);
	while (STAILQ_EMPTY(&s->finished) && (s->running || !STAILQ_EMPTY(&s->queue)))
		pthread_cond_wait(&s->progress, &s->lock);
	any = !STAILQ_EMPTY(&s->finished);
	pthread_mutex_unlock(&s->lock);
	return any;
}

static void
detach_from_loop(struct worker *w)
{
	loop_watch_destroy(w->watch);
	w->watch = NULL;
}

void
worker_destroy(struct worker *w)
{
	if (w == NULL)
		return;
	detach_from_loop(w);
	do { /* a done may submit: that is carried out too */
		while (!STAILQ_EMPTY(&w->delivering))
			deliver_one(w);
		if (wait_finished(w))
			collect_finished(w);
	} while (!STAILQ_EMPTY(&w->delivering));
	pthread_mutex_lock(&w->shared->lock);
	w->shared->quit = true;
	pthread_cond_signal(&w->shared->work);
	pthread_mutex_unlock(&w->shared->lock);
	pthread_join(w->thread, NULL);
	shared_unref(w->shared);
	loop_defer_free(w->loop, w, free); /* worker_on_wake() may be below us on the stack */
}

void
worker_abandon(struct worker *w, worker_done_fn *drop)
{
	struct shared *s;
	struct worker_task *job;
	bool idle;

	if (w == NULL)
		return;
	s = w->shared;
	detach_from_loop(w);
	pthread_mutex_lock(&s->lock);
	STAILQ_CONCAT(&w->delivering, &s->finished);
	STAILQ_CONCAT(&w->delivering, &s->queue);
	s->drop = drop;
	s->quit = true;
	idle = !s->running; /* then it ends at once */
	close(s->wake_fd);
	s->wake_fd = -1;
	pthread_cond_signal(&s->work);
	pthread_mutex_unlock(&s->lock);
	if (idle)
		pthread_join(w->thread, NULL);
	else
		pthread_detach(w->thread);
	shared_unref(s);
	while (!STAILQ_EMPTY(&w->delivering)) {
		job = STAILQ_FIRST(&w->delivering);
		STAILQ_REMOVE_HEAD(&w->delivering, entry);
		drop(job->data);
		free(job);
	}
	loop_defer_free(w->loop, w, free);
}
