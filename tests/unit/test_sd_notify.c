/* SPDX-License-Identifier: Apache-2.0 */
/* notify: what reaches the service manager's socket, and when. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "shared/event/loop.h"
#include "shared/event/sd_notify.h"
#include "tests/fake/fake_loop.h"
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct fixture {
	struct loop *loop;
	struct sd_notify *notify;
	char folder[32];
	char path[64];
	int manager; /* its end of the socket */
	char got[1024];
};

static int
listen_at(const char *path, size_t len)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	memcpy(address.sun_path, path, len);
	assert_int_equal(bind(fd, (struct sockaddr *)&address,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
	    0);
	return fd;
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	snprintf(f->folder, sizeof(f->folder), "/tmp/notify.XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(f->path, sizeof(f->path), "%s/socket", f->folder);
	f->manager = listen_at(f->path, strlen(f->path));
	f->loop = loop_create();
	setenv("NOTIFY_SOCKET", f->path, 1);
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	sd_notify_destroy(f->notify);
	loop_destroy(f->loop);
	close(f->manager);
	unlink(f->path);
	rmdir(f->folder);
	free(f);
	return 0;
}

/* The next datagram; "" when there is none. */
static const char *
next(struct fixture *f)
{
	ssize_t n = recv(f->manager, f->got, sizeof(f->got) - 1, MSG_DONTWAIT);

	f->got[n > 0 ? n : 0] = '\0';
	return f->got;
}

static void
start(struct fixture *f)
{
	f->notify = sd_notify_create(f->loop);
	fake_advance(f->loop, 0);
	assert_string_equal(next(f), "READY=1\nSTATUS=");
}

static void
ready_comes_from_the_loop_with_the_status(void **state)
{
	struct fixture *f = *state;

	f->notify = sd_notify_create(f->loop);
	sd_notify_status(f->notify, "broker %s", "CONNECTING");
	assert_string_equal(next(f), "");
	fake_advance(f->loop, 0);
	assert_string_equal(next(f), "READY=1\nSTATUS=broker CONNECTING");
	assert_int_equal(fake_next_timer(f->loop), -1);
}

/* Whoever is not asked for more time ends what takes longer than a start may. */
static void
what_is_prepared_asks_for_time_until_it_is(void **state)
{
	struct fixture *f = *state;

	f->notify = sd_notify_create(f->loop);
	sd_notify_preparing(f->notify);
	sd_notify_status(f->notify, "1 %%");
	fake_advance(f->loop, 0);
	assert_string_equal(next(f), "EXTEND_TIMEOUT_USEC=30000000\nSTATUS=1 %");
	sd_notify_status(f->notify, "2 %%");
	assert_string_equal(next(f), "EXTEND_TIMEOUT_USEC=30000000\nSTATUS=2 %");
	for (int i = 0; i < 10; i++) {
		fake_advance(f->loop, 10000);
		assert_string_equal(next(f), "EXTEND_TIMEOUT_USEC=30000000\nSTATUS=2 %");
		while (next(f)[0] != '\0')
			continue;
	}
	sd_notify_prepared(f->notify);
	assert_string_equal(next(f), "READY=1\nSTATUS=2 %");
	fake_advance(f->loop, 60000);
	assert_string_equal(next(f), "");
	sd_notify_prepared(f->notify);
	assert_string_equal(next(f), "");
}

static void
the_watchdog_is_served_meanwhile(void **state)
{
	struct fixture *f = *state;

	setenv("WATCHDOG_USEC", "4000000", 1);
	f->notify = sd_notify_create(f->loop);
	sd_notify_preparing(f->notify);
	fake_advance(f->loop, 0);
	for (int i = 0; i < 5; i++) {
		assert_string_equal(next(f), "EXTEND_TIMEOUT_USEC=30000000\nWATCHDOG=1\nSTATUS=");
		assert_in_range(fake_next_timer(f->loop), 1, 2000);
		fake_advance(f->loop, 2000);
	}
}

static void
status_is_one_line_and_sent_when_it_changes(void **state)
{
	struct fixture *f = *state;

	start(f);
	sd_notify_status(f->notify, "store away");
	assert_string_equal(next(f), "READY=1\nSTATUS=store away");
	sd_notify_status(f->notify, "store away");
	assert_string_equal(next(f), "");
	sd_notify_status(f->notify, "x\nSTOPPING=1");
	assert_string_equal(next(f), "READY=1\nSTATUS=x");
}

static void
reload_has_a_beginning_and_an_end(void **state)
{
	struct fixture *f = *state;
	unsigned long long usec = 0;

	start(f);
	sd_notify_reloading(f->notify);
	assert_int_equal(sscanf(next(f), "RELOADING=1\nMONOTONIC_USEC=%llu", &usec), 1);
	assert_true(usec > 0);
	sd_notify_reloaded(f->notify);
	assert_string_equal(next(f), "READY=1");
	sd_notify_reloaded(f->notify);
	assert_string_equal(next(f), "");
}

static void
stopping_asks_for_the_time_it_needs(void **state)
{
	struct fixture *f = *state;

	start(f);
	sd_notify_stopping(f->notify, 10000);
	assert_string_equal(next(f), "STOPPING=1\nEXTEND_TIMEOUT_USEC=15000000\nSTATUS=");
	/* Nothing takes that back. */
	sd_notify_reloading(f->notify);
	assert_string_equal(next(f), "");
	sd_notify_status(f->notify, "draining");
	assert_string_equal(next(f), "STOPPING=1\nSTATUS=draining");
}

static void
watchdog_is_pinged_twice_as_often_as_asked(void **state)
{
	struct fixture *f = *state;
	char pid[32];

	snprintf(pid, sizeof(pid), "%ld", (long)getpid());
	setenv("WATCHDOG_USEC", "30000000", 1);
	setenv("WATCHDOG_PID", pid, 1);
	start(f);
	assert_int_equal(fake_next_timer(f->loop), 15000);
	fake_advance(f->loop, 14999);
	assert_string_equal(next(f), "");
	for (int i = 0; i < 3; i++) {
		fake_advance(f->loop, i == 0 ? 1 : 15000);
		assert_string_equal(next(f), "WATCHDOG=1");
	}
	assert_string_equal(next(f), "");
}

static void
beat(void *arg)
{
	struct loop_timer **heartbeat = arg;

	loop_timer_arm(*heartbeat, 5000);
}

/* A heartbeat wakes the loop every 5 s; the ping is due within 15 s, and goes out with one. */
static void
watchdog_wakes_nobody_who_is_awake_anyhow(void **state)
{
	struct fixture *f = *state;
	struct loop_timer *heartbeat;

	setenv("WATCHDOG_USEC", "30000000", 1);
	start(f);
	heartbeat = loop_timer_create(f->loop, "heartbeat", beat, &heartbeat);
	loop_timer_arm(heartbeat, 5000);
	for (int i = 0; i < 3; i++) {
		fake_advance(f->loop, 5000);
		assert_string_equal(next(f), "");
		fake_advance(f->loop, 4999);
		assert_string_equal(next(f), "");
		fake_advance(f->loop, 1);
		assert_string_equal(next(f), "WATCHDOG=1");
	}
	loop_timer_destroy(heartbeat);
}

static void
watchdog_of_another_process_is_not_ours(void **state)
{
	struct fixture *f = *state;

	setenv("WATCHDOG_USEC", "30000000", 1);
	setenv("WATCHDOG_PID", "1", 1);
	start(f);
	assert_int_equal(fake_next_timer(f->loop), -1);
}

static void
nonsense_is_no_watchdog(void **state)
{
	static const char *const values[] = {"0", "", "-5", "30s", "99999999999999999999"};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		setenv("WATCHDOG_USEC", values[i], 1);
		start(f);
		assert_int_equal(fake_next_timer(f->loop), -1);
		sd_notify_destroy(f->notify);
	}
	f->notify = NULL;
}

/* The manager's queue is full, or it is being restarted. */
static void
what_was_not_taken_is_told_again(void **state)
{
	struct fixture *f = *state;

	start(f);
	close(f->manager);
	unlink(f->path);
	sd_notify_status(f->notify, "one");
	sd_notify_status(f->notify, "two");
	fake_advance(f->loop, 1000);
	f->manager = listen_at(f->path, strlen(f->path));
	assert_int_equal(fake_next_timer(f->loop), 1000);
	fake_advance(f->loop, 1000);
	assert_string_equal(next(f), "READY=1\nSTATUS=two");
	assert_int_equal(fake_next_timer(f->loop), -1);
}

static void
the_time_to_stop_is_asked_for_until_it_is_taken(void **state)
{
	struct fixture *f = *state;

	start(f);
	close(f->manager);
	unlink(f->path);
	sd_notify_stopping(f->notify, 10000);
	sd_notify_status(f->notify, "draining");
	f->manager = listen_at(f->path, strlen(f->path));
	fake_advance(f->loop, 1000);
	assert_string_equal(next(f), "STOPPING=1\nEXTEND_TIMEOUT_USEC=15000000\nSTATUS=draining");
	sd_notify_status(f->notify, "drained");
	assert_string_equal(next(f), "STOPPING=1\nSTATUS=drained");
}

static void
retrying_does_not_starve_the_watchdog(void **state)
{
	struct fixture *f = *state;
	int pings = 0;

	setenv("WATCHDOG_USEC", "30000000", 1);
	start(f);
	close(f->manager);
	unlink(f->path);
	sd_notify_status(f->notify, "one");
	f->manager = listen_at(f->path, strlen(f->path));
	fake_advance(f->loop, 31000);
	assert_string_equal(next(f), "READY=1\nSTATUS=one");
	while (strcmp(next(f), "WATCHDOG=1") == 0)
		pings++;
	assert_int_equal(pings, 2);
}

static void
abstract_names_are_understood(void **state)
{
	struct fixture *f = *state;
	char name[80];
	int path_socket = f->manager;

	snprintf(name, sizeof(name), "@%s", f->path);
	setenv("NOTIFY_SOCKET", name, 1);
	name[0] = '\0';
	f->manager = listen_at(name, strlen(f->path) + 1);
	start(f);
	close(f->manager);
	f->manager = path_socket;
}

static void
without_a_manager_nothing_happens(void **state)
{
	static const char *const values[] = {NULL, "", "@", "relative", "vsock:2:1234"};
	struct fixture *f = *state;

	setenv("WATCHDOG_USEC", "30000000", 1);
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		unsetenv("NOTIFY_SOCKET");
		if (values[i] != NULL)
			setenv("NOTIFY_SOCKET", values[i], 1);
		f->notify = sd_notify_create(f->loop);
		sd_notify_status(f->notify, "x");
		sd_notify_reloading(f->notify);
		sd_notify_reloaded(f->notify);
		sd_notify_stopping(f->notify, 1);
		assert_int_equal(fake_next_timer(f->loop), -1);
		sd_notify_destroy(f->notify);
	}
	f->notify = NULL;
	assert_string_equal(next(f), "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(ready_comes_from_the_loop_with_the_status),
	    TEST(what_is_prepared_asks_for_time_until_it_is),
	    TEST(the_watchdog_is_served_meanwhile),
	    TEST(status_is_one_line_and_sent_when_it_changes),
	    TEST(reload_has_a_beginning_and_an_end),
	    TEST(stopping_asks_for_the_time_it_needs),
	    TEST(watchdog_is_pinged_twice_as_often_as_asked),
	    TEST(watchdog_wakes_nobody_who_is_awake_anyhow),
	    TEST(watchdog_of_another_process_is_not_ours),
	    TEST(nonsense_is_no_watchdog),
	    TEST(what_was_not_taken_is_told_again),
	    TEST(the_time_to_stop_is_asked_for_until_it_is_taken),
	    TEST(retrying_does_not_starve_the_watchdog),
	    TEST(abstract_names_are_understood),
	    TEST(without_a_manager_nothing_happens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
