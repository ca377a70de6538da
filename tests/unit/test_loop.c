/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/base/log.h"
#include "shared/event/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct fixture {
	struct loop *loop;
	struct loop_timer *a, *b;
	struct loop_watch *watch;
	struct mono armed_at;
	int pair[2];
	int fired;
	char order[32];
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->loop = loop_create();
	assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, f->pair));
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	loop_watch_destroy(f->watch);
	loop_timer_destroy(f->a);
	loop_timer_destroy(f->b);
	loop_destroy(f->loop);
	close(f->pair[0]);
	close(f->pair[1]);
	free(f);
	return 0;
}

static void
note(struct fixture *f, const char *what)
{
	size_t len = strlen(f->order);

	snprintf(f->order + len, sizeof(f->order) - len, "%s", what);
}

static void
on_stop(void *arg)
{
	struct fixture *f = arg;

	note(f, "S");
	loop_stop(f->loop);
}

static void
on_a(void *arg)
{
	note(arg, "a");
}

static void
timers_fire_once_in_the_order_of_their_time(void **state)
{
	struct fixture *f = *state;

	f->a = loop_timer_create(f->loop, "a", on_a, f);
	f->b = loop_timer_create(f->loop, "stop", on_stop, f);
	assert_false(loop_timer_armed(f->a));
	loop_timer_arm(f->b, 30);
	loop_timer_arm(f->a, 5);
	assert_true(loop_timer_armed(f->a));
	loop_run(f->loop);
	assert_string_equal("aS", f->order);
	assert_false(loop_timer_armed(f->a));
	assert_false(loop_timer_armed(f->b));
}

static void
a_disarmed_timer_does_not_fire_and_arming_again_moves_it(void **state)
{
	struct fixture *f = *state;
	struct loop_timer *gone = loop_timer_create(f->loop, "gone", on_a, f);

	f->a = loop_timer_create(f->loop, "a", on_a, f);
	f->b = loop_timer_create(f->loop, "stop", on_stop, f);
	loop_timer_arm(gone, 1);
	loop_timer_disarm(gone);
	loop_timer_arm(f->a, 1);
	loop_timer_arm(f->a, 100000);
	loop_timer_arm(f->b, 20);
	loop_run(f->loop);
	assert_string_equal("S", f->order);
	assert_true(loop_timer_armed(f->a));
	loop_timer_destroy(gone);
}

static void
burn_3ms(void)
{
	struct timespec ts;
	long start;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	start = ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
	do
		clock_gettime(CLOCK_MONOTONIC, &ts);
	while (ts.tv_sec * 1000 + ts.tv_nsec / 1000000 < start + 3);
}

static void
on_deadline(void *arg)
{
	struct fixture *f = arg;

	assert_true(mono_diff(mono_now(), f->armed_at) >= 7);
	burn_3ms(); /* libevent's idea of now stays behind by so much */
	f->fired++;
	if (f->fired == 20) {
		loop_stop(f->loop);
		return;
	}
	f->armed_at = loop_now(f->loop);
	loop_timer_arm(f->a, 7);
}

static void
a_timer_never_fires_before_loop_now_has_reached_it(void **state)
{
	struct fixture *f = *state;

	f->a = loop_timer_create(f->loop, "a", on_deadline, f);
	f->armed_at = loop_now(f->loop);
	loop_timer_arm(f->a, 7);
	loop_run(f->loop);
	assert_int_equal(20, f->fired);
}

static void
on_zero(void *arg)
{
	struct fixture *f = arg;

	f->fired++;
	if (f->fired < 5)
		loop_timer_arm(f->a, 0);
	else
		loop_stop(f->loop);
}

static void
a_timer_may_arm_itself_for_the_next_pass(void **state)
{
	struct fixture *f = *state;

	f->a = loop_timer_create(f->loop, "zero", on_zero, f);
	loop_timer_arm(f->a, 0);
	loop_run(f->loop);
	assert_int_equal(5, f->fired);
}

static void
on_kill_both(void *arg)
{
	struct fixture *f = arg;

	note(f, "k");
	loop_timer_destroy(f->a);
	loop_timer_destroy(f->b);
	f->a = f->b = NULL;
	loop_stop(f->loop);
}

static void
a_timer_may_be_destroyed_by_itself_and_by_one_due_at_the_same_time(void **state)
{
	struct fixture *f = *state;

	f->a = loop_timer_create(f->loop, "a", on_kill_both, f);
	f->b = loop_timer_create(f->loop, "b", on_kill_both, f);
	loop_timer_arm(f->a, 0);
	loop_timer_arm(f->b, 0);
	loop_run(f->loop);
	assert_string_equal("k", f->order);
}

static void
on_two_readings(void *arg)
{
	struct fixture *f = arg;
	struct mono first = loop_now(f->loop);

	burn_3ms();
	assert_int_equal(0, mono_diff(loop_now(f->loop), first));
	f->armed_at = first;
	loop_stop(f->loop);
}

static void
now_stands_still_within_a_pass_and_moves_outside(void **state)
{
	struct fixture *f = *state;

	f->a = loop_timer_create(f->loop, "a", on_two_readings, f);
	loop_timer_arm(f->a, 0);
	loop_run(f->loop);
	assert_true(mono_diff(loop_now(f->loop), f->armed_at) > 0);
	assert_true(loop_max_pass_us(f->loop) > 0);
	assert_true(loop_max_pass_us(f->loop) < 60000000);
}

static void
free_noting(void *obj)
{
	note(obj, "f");
}

static void
free_deferring_another(void *obj)
{
	struct fixture *f = obj;

	note(f, "F");
	loop_defer_free(f->loop, f, free_noting);
}

static void
on_defer(void *arg)
{
	struct fixture *f = arg;

	loop_defer_free(f->loop, f, free_deferring_another);
	note(f, "d");
	loop_timer_arm(f->b, 0);
}

static void
deferred_frees_run_after_the_pass_and_before_the_next(void **state)
{
	struct fixture *f = *state;

	f->a = loop_timer_create(f->loop, "a", on_defer, f);
	f->b = loop_timer_create(f->loop, "stop", on_stop, f);
	loop_timer_arm(f->a, 0);
	loop_run(f->loop);
	assert_string_equal("dFfS", f->order);
}

static void
deferred_frees_run_in_destroy_at_the_latest(void **state)
{
	struct fixture *f = *state;
	struct loop *other = loop_create();

	loop_defer_free(other, f, free_noting);
	assert_string_equal("", f->order);
	loop_destroy(other);
	assert_string_equal("f", f->order);
}

static void
on_readable(int fd, unsigned int events, void *arg)
{
	struct fixture *f = arg;
	char c;

	assert_int_equal(LOOP_READ, events);
	assert_int_equal(f->pair[0], fd);
	assert_int_equal(1, read(fd, &c, 1));
	f->fired++;
	if (c == '!')
		loop_stop(f->loop);
}

static void
a_watch_is_level_triggered(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(4, write(f->pair[1], "abc!", 4));
	f->watch = loop_watch_create(f->loop, f->pair[0], LOOP_READ, on_readable, f);
	loop_run(f->loop);
	assert_int_equal(4, f->fired);
}

static void
on_resume(void *arg)
{
	struct fixture *f = arg;

	assert_int_equal(0, f->fired);
	loop_watch_set(f->watch, LOOP_READ);
}

static void
a_paused_watch_is_silent_until_it_is_set_again(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(1, write(f->pair[1], "!", 1));
	f->watch = loop_watch_create(f->loop, f->pair[0], LOOP_READ, on_readable, f);
	loop_watch_set(f->watch, 0);
	f->a = loop_timer_create(f->loop, "resume", on_resume, f);
	loop_timer_arm(f->a, 10);
	loop_run(f->loop);
	assert_int_equal(1, f->fired);
}

static void
on_writable_destroys(int fd, unsigned int events, void *arg)
{
	struct fixture *f = arg;

	assert_int_equal(LOOP_WRITE, events);
	loop_watch_destroy(f->watch);
	f->watch = NULL;
	f->fired++;
	loop_timer_arm(f->a, 5);
}

static void
a_watch_may_be_destroyed_in_its_own_callback(void **state)
{
	struct fixture *f = *state;

	f->watch = loop_watch_create(f->loop, f->pair[0], LOOP_WRITE, on_writable_destroys, f);
	f->a = loop_timer_create(f->loop, "stop", on_stop, f);
	loop_run(f->loop);
	assert_int_equal(1, f->fired);
}

static void
a_descriptor_that_cannot_be_watched_does_not_end_the_program(void **state)
{
	struct fixture *f = *state;
	int fd = dup(f->pair[0]);

	close(fd);
	f->watch = loop_watch_create(f->loop, fd, LOOP_READ, on_readable, f);
	loop_watch_set(f->watch, LOOP_READ | LOOP_WRITE);
	f->a = loop_timer_create(f->loop, "stop", on_stop, f);
	loop_timer_arm(f->a, 0);
	loop_run(f->loop);
	assert_int_equal(0, f->fired);
}

static void
on_usr1(int signo, void *arg)
{
	struct fixture *f = arg;

	assert_int_equal(SIGUSR1, signo);
	on_stop(f);
}

static void
signals_arrive_in_the_loop(void **state)
{
	struct fixture *f = *state;

	loop_signal(f->loop, SIGUSR1, on_usr1, f);
	assert_int_equal(0, raise(SIGUSR1));
	assert_string_equal("", f->order);
	loop_run(f->loop);
	assert_string_equal("S", f->order);
}

static void
writing_to_a_closed_peer_is_an_error_not_a_signal(void **state)
{
	struct fixture *f = *state;

	shutdown(f->pair[0], SHUT_RD);
	assert_int_equal(-1, write(f->pair[1], "x", 1));
	assert_int_equal(EPIPE, errno);
}

static void
a_stop_before_the_run_holds_and_a_second_run_is_possible(void **state)
{
	struct fixture *f = *state;

	loop_stop(f->loop);
	loop_run(f->loop);
	f->a = loop_timer_create(f->loop, "stop", on_stop, f);
	loop_timer_arm(f->a, 0);
	loop_run(f->loop);
	assert_string_equal("S", f->order);
}

static long
times_slept(void)
{
	struct rusage usage;

	assert_int_equal(0, getrusage(RUSAGE_SELF, &usage));
	return usage.ru_nvcsw;
}

static void
an_idle_loop_sleeps_through(void **state)
{
	struct fixture *f = *state;
	long before;

	f->watch = loop_watch_create(f->loop, f->pair[0], LOOP_READ, on_readable, f);
	f->b = loop_timer_create(f->loop, "far", on_a, f);
	loop_timer_arm(f->b, 1000000);
	f->a = loop_timer_create(f->loop, "stop", on_stop, f);
	loop_timer_arm(f->a, 300);
	before = times_slept();
	loop_run(f->loop);
	/* One sleep, and some for the clock's coarseness; a tick of 20 ms would make 15. */
	assert_in_range(times_slept() - before, 0, 8);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static void
arm_patient(void *arg)
{
	struct fixture *f = arg;

	if (++f->fired == 3)
		loop_stop(f->loop);
	else
		loop_timer_arm_within(f->a, 1, 60000);
}

static void
tick(void *arg)
{
	struct fixture *f = arg;

	loop_timer_arm(f->b, 5);
}

/* Ticks every 5 ms wake the loop: what may fire from 1 ms on does so with each of them, and not a
 * minute later. */
static void
what_need_not_be_punctual_fires_with_others(void **state)
{
	struct fixture *f = *state;

	f->a = loop_timer_create(f->loop, "patient", arm_patient, f);
	f->b = loop_timer_create(f->loop, "tick", tick, f);
	loop_timer_arm_within(f->a, 1, 60000);
	loop_timer_arm(f->b, 5);
	f->armed_at = mono_now();
	loop_run(f->loop);
	assert_int_equal(f->fired, 3);
	assert_true(mono_diff(mono_now(), f->armed_at) < 60000);
}

static void
stop_at_last(void *arg)
{
	struct fixture *f = arg;

	note(f, "p");
	loop_stop(f->loop);
}

/* With nobody else awake it fires at the latest; disarmed, not at all. */
static void
what_need_not_be_punctual_fires_at_last(void **state)
{
	struct fixture *f = *state;

	f->a = loop_timer_create(f->loop, "patient", stop_at_last, f);
	f->b = loop_timer_create(f->loop, "other", tick, f);
	f->armed_at = mono_now();
	loop_timer_arm_within(f->b, 1, 10);
	loop_timer_disarm(f->b);
	loop_timer_arm_within(f->a, 1, 30);
	loop_run(f->loop);
	assert_true(mono_diff(mono_now(), f->armed_at) >= 30);
	assert_string_equal(f->order, "p");
	/* Armed again as a punctual one it is one. */
	loop_timer_arm_within(f->a, 1, 60000);
	loop_timer_arm(f->a, 0);
	loop_run(f->loop);
	assert_string_equal(f->order, "pp");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(timers_fire_once_in_the_order_of_their_time),
	    TEST(a_disarmed_timer_does_not_fire_and_arming_again_moves_it),
	    TEST(a_timer_never_fires_before_loop_now_has_reached_it),
	    TEST(a_timer_may_arm_itself_for_the_next_pass),
	    TEST(a_timer_may_be_destroyed_by_itself_and_by_one_due_at_the_same_time),
	    TEST(now_stands_still_within_a_pass_and_moves_outside),
	    TEST(deferred_frees_run_after_the_pass_and_before_the_next),
	    TEST(deferred_frees_run_in_destroy_at_the_latest),
	    TEST(a_watch_is_level_triggered),
	    TEST(a_paused_watch_is_silent_until_it_is_set_again),
	    TEST(a_watch_may_be_destroyed_in_its_own_callback),
	    TEST(a_descriptor_that_cannot_be_watched_does_not_end_the_program),
	    TEST(signals_arrive_in_the_loop),
	    TEST(writing_to_a_closed_peer_is_an_error_not_a_signal),
	    TEST(a_stop_before_the_run_holds_and_a_second_run_is_possible),
	    TEST(an_idle_loop_sleeps_through),
	    TEST(what_need_not_be_punctual_fires_with_others),
	    TEST(what_need_not_be_punctual_fires_at_last),
	};

	log_init("test_loop"); /* what it opens is open before descriptors are counted */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
