/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/event/worker.h"

#include "shared/event/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

struct fixture;

struct task {
	struct fixture *f;
	char name;
	bool block; /* until f->go is posted */
	void (*then)(struct fixture *f);
	pthread_t ran_on, dropped_on;
	bool ran, dropped;
	sigset_t mask;
	size_t stack_bytes;
};

struct fixture {
	struct loop *loop;
	struct worker *worker;
	sem_t started, go, over;
	struct task tasks[8];
	size_t count;
	char done[32];
	size_t stop_after; /* dones until the loop is stopped */
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	sem_init(&f->started, 0, 0);
	sem_init(&f->go, 0, 0);
	sem_init(&f->over, 0, 0);
	f->loop = loop_create();
	f->worker = worker_create(f->loop, "a name longer than the kernel takes");
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	worker_destroy(f->worker);
	loop_destroy(f->loop);
	free(f);
	return 0;
}

static void
task_run(void *job)
{
	struct task *t = job;
	pthread_attr_t attr;

	t->ran_on = pthread_self();
	pthread_sigmask(SIG_SETMASK, NULL, &t->mask);
	if (pthread_getattr_np(pthread_self(), &attr) == 0) {
		pthread_attr_getstacksize(&attr, &t->stack_bytes);
		pthread_attr_destroy(&attr);
	}
	sem_post(&t->f->started);
	if (t->block)
		sem_wait(&t->f->go);
	t->ran = true;
}

static void
task_done(void *job)
{
	struct task *t = job;
	struct fixture *f = t->f;
	size_t len = strlen(f->done);

	assert_true(t->ran);
	assert_false(t->dropped);
	f->done[len] = t->name;
	if (len + 1 == f->stop_after)
		loop_stop(f->loop);
	if (t->then != NULL)
		t->then(f);
}

static void
task_drop(void *job)
{
	struct task *t = job;

	t->dropped = true;
	t->dropped_on = pthread_self();
	sem_post(&t->f->over);
}

static struct task *
submit(struct fixture *f)
{
	struct task *t = &f->tasks[f->count];

	t->f = f;
	t->name = (char)('a' + f->count++);
	worker_submit(f->worker, task_run, task_done, t);
	return t;
}

static void
jobs_run_in_order_on_a_thread_and_are_done_on_the_loop(void **state)
{
	struct fixture *f = *state;
	struct task *t = submit(f);

	submit(f);
	submit(f);
	f->stop_after = 3;
	assert_string_equal("", f->done);
	loop_run(f->loop);
	assert_string_equal("abc", f->done);
	assert_false(pthread_equal(pthread_self(), t->ran_on));
}

static void
the_thread_takes_no_signals_and_has_a_large_stack(void **state)
{
	struct fixture *f = *state;
	struct task *t = submit(f);
	sigset_t mine;

	f->stop_after = 1;
	loop_run(f->loop);
	assert_int_equal(1, sigismember(&t->mask, SIGTERM));
	assert_int_equal(1, sigismember(&t->mask, SIGCHLD));
	assert_true(t->stack_bytes >= 8 * 1024 * 1024);
	pthread_sigmask(SIG_SETMASK, NULL, &mine);
	assert_int_equal(0, sigismember(&mine, SIGTERM));
}

static void
submit_another(struct fixture *f)
{
	submit(f);
}

static void
a_done_may_submit(void **state)
{
	struct fixture *f = *state;

	submit(f)->then = submit_another;
	f->stop_after = 2;
	loop_run(f->loop);
	assert_string_equal("ab", f->done);
}

static void
destroy_waits_for_all_and_calls_done(void **state)
{
	struct fixture *f = *state;

	f->tasks[0].block = true;
	submit(f);
	submit(f)->then = submit_another;
	sem_wait(&f->started);
	sem_post(&f->go);
	worker_destroy(f->worker);
	f->worker = NULL;
	assert_string_equal("abc", f->done);
}

static void
destroy_worker(struct fixture *f)
{
	worker_destroy(f->worker);
	f->worker = NULL;
	loop_stop(f->loop);
}

static void
destroy_inside_a_done_calls_the_others_first(void **state)
{
	struct fixture *f = *state;

	f->tasks[0].then = destroy_worker;
	submit(f);
	submit(f);
	submit(f);
	loop_run(f->loop);
	assert_string_equal("abc", f->done);
}

static void
abandon_does_not_wait_for_the_job_that_runs(void **state)
{
	struct fixture *f = *state;
	struct task *running, *waiting;

	f->tasks[0].block = true;
	running = submit(f);
	waiting = submit(f);
	sem_wait(&f->started);
	worker_abandon(f->worker, task_drop);
	f->worker = NULL;
	assert_true(waiting->dropped);
	assert_false(waiting->ran);
	assert_true(pthread_equal(pthread_self(), waiting->dropped_on));
	assert_false(running->dropped);
	sem_wait(&f->over);
	sem_post(&f->go);
	sem_wait(&f->over);
	assert_true(running->dropped);
	assert_false(pthread_equal(pthread_self(), running->dropped_on));
	assert_string_equal("", f->done);
}

static void
abandon_drops_what_has_run_but_is_not_done(void **state)
{
	struct fixture *f = *state;
	struct task *t = submit(f);
	struct task *second;

	/* The thread begins the second only after it has put the first among the finished. */
	f->tasks[1].block = true;
	second = submit(f);
	sem_wait(&f->started);
	sem_wait(&f->started);
	worker_abandon(f->worker, task_drop);
	f->worker = NULL;
	assert_true(t->ran);
	assert_true(t->dropped);
	sem_wait(&f->over);
	sem_post(&f->go);
	sem_wait(&f->over);
	assert_true(second->dropped);
	assert_string_equal("", f->done);
}

static void
abandon_worker(struct fixture *f)
{
	worker_abandon(f->worker, task_drop);
	f->worker = NULL;
	loop_stop(f->loop);
}

static void
abandon_inside_a_done_drops_the_others(void **state)
{
	struct fixture *f = *state;
	int i;

	f->tasks[0].then = abandon_worker;
	submit(f);
	submit(f);
	submit(f);
	loop_run(f->loop);
	for (i = 0; i < 2; i++)
		sem_wait(&f->over);
	assert_string_equal("a", f->done);
	assert_true(f->tasks[1].dropped);
	assert_true(f->tasks[2].dropped);
}

static void
an_idle_worker_can_be_abandoned(void **state)
{
	struct fixture *f = *state;

	worker_abandon(f->worker, task_drop);
	f->worker = NULL;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* What is short now need not be later: whoever asked decides. */
static void
without_a_descriptor_there_is_none(void **state)
{
	struct fixture *f = *state;
	struct rlimit before, none;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 0;
	setrlimit(RLIMIT_NOFILE, &none);
	errno = 0;
	assert_null(worker_create(f->loop, "w"));
	assert_int_equal(errno, EMFILE);
	setrlimit(RLIMIT_NOFILE, &before);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(jobs_run_in_order_on_a_thread_and_are_done_on_the_loop),
	    TEST(the_thread_takes_no_signals_and_has_a_large_stack),
	    TEST(a_done_may_submit),
	    TEST(destroy_waits_for_all_and_calls_done),
	    TEST(destroy_inside_a_done_calls_the_others_first),
	    TEST(abandon_does_not_wait_for_the_job_that_runs),
	    TEST(abandon_drops_what_has_run_but_is_not_done),
	    TEST(abandon_inside_a_done_drops_the_others),
	    TEST(an_idle_worker_can_be_abandoned),
	    TEST(without_a_descriptor_there_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
