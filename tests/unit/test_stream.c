/* SPDX-License-Identifier: Apache-2.0 */
/* Real sockets on 127.0.0.1; getaddrinfo() is wrapped (see CMakeLists.txt) so that names of the
 * tests' own exist: two.test has two addresses of which the first refuses, silent.test's name
 * server does not answer until it is let go. */
#include "shared/base/trouble.h"
#include "shared/event/stream.h"

#include "shared/event/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

struct fixture {
	struct loop *loop;
	struct loop_timer *timer;
	struct stream *stream;
	int listener;
	uint16_t port;
	int peer;
	char events[64];    /* U D L X, runs of D as one */
	char stop_at;       /* the event that stops the loop */
	size_t stop_length; /* or so much input taken */
	char close_at;
	char pause_at;
	size_t take; /* bytes drained at each DATA; 0: all */
	bool take_none;
	size_t taken;
	size_t largest_piece;
	int data_events;
	unsigned char next; /* of the pattern expected */
};

static sem_t resolver_entered, resolver_go, resolver_left;

int __real_getaddrinfo(
    const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **list);
int __wrap_getaddrinfo(
    const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **list);

static int
two_addresses(const char *port, const struct addrinfo *hints, struct addrinfo **list)
{
	int rc = __real_getaddrinfo("127.0.0.2", port, hints, list);

	if (rc == 0)
		rc = __real_getaddrinfo("127.0.0.1", port, hints, &(*list)->ai_next);
	return rc;
}

int
__wrap_getaddrinfo(
    const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **list)
{
	if ((hints->ai_flags & AI_NUMERICHOST) != 0)
		return __real_getaddrinfo(host, port, hints, list);
	if (strcmp(host, "no-such-host.invalid") == 0)
		return EAI_NONAME;
	if (strcmp(host, "no-name-server.invalid") == 0)
		return EAI_AGAIN;
	if (strcmp(host, "two.test") == 0)
		return two_addresses(port, hints, list);
	if (strcmp(host, "silent.test") == 0) {
		sem_post(&resolver_entered);
		sem_wait(&resolver_go);
		sem_post(&resolver_left);
		return two_addresses(port, hints, list);
	}
	return __real_getaddrinfo(host, port, hints, list);
}

static int
listen_on_loopback(uint16_t *port, int backlog)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(0, bind(fd, (struct sockaddr *)&sin, sizeof(sin)));
	assert_int_equal(0, listen(fd, backlog));
	assert_int_equal(0, getsockname(fd, (struct sockaddr *)&sin, &len));
	*port = ntohs(sin.sin_port);
	return fd;
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->loop = loop_create();
	f->listener = listen_on_loopback(&f->port, 5);
	f->peer = -1;
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	stream_close(f->stream);
	loop_timer_destroy(f->timer);
	loop_destroy(f->loop);
	close(f->listener);
	if (f->peer >= 0)
		close(f->peer);
	free(f);
	return 0;
}

static void
take_data(struct fixture *f)
{
	size_t len, i;
	const unsigned char *p = stream_peek(f->stream, &len);

	assert_true(len > 0);
	f->data_events++;
	if (len > f->largest_piece)
		f->largest_piece = len;
	if (f->take_none)
		return;
	if (f->take != 0 && f->take < len)
		len = f->take;
	for (i = 0; i < len; i++) {
		if (p[i] != f->next)
			fail_msg("byte %zu is %u, not %u", f->taken + i, p[i], f->next);
		f->next++;
	}
	stream_drain(f->stream, len);
	f->taken += len;
	if (f->stop_length != 0 && f->taken >= f->stop_length)
		loop_stop(f->loop);
}

static void
on_stream(struct stream *s, enum stream_event sev, void *arg)
{
	struct fixture *f = arg;
	size_t len = strlen(f->events);
	char c = "UDLX"[sev];

	assert_ptr_equal(f->stream, s);
	if (!(c == 'D' && len > 0 && f->events[len - 1] == 'D'))
		f->events[len] = c;
	assert_true(len + 2 < sizeof(f->events));
	if (sev == STREAM_DATA)
		take_data(f);
	if (c == f->pause_at)
		stream_pause(s);
	if (c == f->close_at) {
		stream_close(s);
		f->stream = NULL;
		loop_stop(f->loop);
	}
	if (c == f->stop_at)
		loop_stop(f->loop);
}

static void
open_to(struct fixture *f, const char *host, uint16_t port, uint32_t connect_timeout_ms)
{
	const struct stream_options opt = {
	    .host = host,
	    .port = port,
	    .output_max = 1000000,
	    .output_high = 100000,
	    .connect_timeout_ms = connect_timeout_ms,
	};

	f->stream = stream_open(f->loop, &opt, on_stream, f);
	assert_string_equal("", f->events);
}

static void
run_until(struct fixture *f, char event)
{
	f->stop_at = event;
	loop_run(f->loop);
	f->stop_at = 0;
}

static void
run_until_taken(struct fixture *f, size_t bytes)
{
	f->stop_length = bytes;
	loop_run(f->loop);
	f->stop_length = 0;
}

static void
on_timer_stop(void *arg)
{
	struct fixture *f = arg;

	loop_stop(f->loop);
}

/* Lets some passes go by: for "nothing more happens". */
static void
run_for_ms(struct fixture *f, int64_t ms)
{
	if (f->timer == NULL)
		f->timer = loop_timer_create(f->loop, "test", on_timer_stop, f);
	loop_timer_arm(f->timer, ms);
	loop_run(f->loop);
}

static void
connect_peer(struct fixture *f)
{
	open_to(f, "127.0.0.1", f->port, 10000);
	run_until(f, 'U');
	f->peer = accept(f->listener, NULL, NULL);
	assert_true(f->peer >= 0);
}

/* 0, 1, 2, ... 255, 0, ... starting where the last one ended. */
static unsigned char *
pattern(size_t len, unsigned char start)
{
	unsigned char *p = malloc(len);
	size_t i;

	assert_non_null(p);
	for (i = 0; i < len; i++)
		p[i] = (unsigned char)(start + i);
	return p;
}

static void
peer_send(struct fixture *f, size_t len)
{
	unsigned char *p = pattern(len, 0);

	assert_int_equal(len, send(f->peer, p, len, 0));
	free(p);
}

/* Sends until the kernel takes no more. */
static size_t
peer_flood(struct fixture *f, size_t max)
{
	static unsigned char block[65536]; /* a multiple of the pattern's period */
	size_t total = 0, i;
	ssize_t n;

	for (i = 0; i < sizeof(block); i++)
		block[i] = (unsigned char)i;
	while (total < max) {
		size_t at = total % 256;

		n = send(f->peer, block + at, sizeof(block) - at, MSG_DONTWAIT);
		if (n < 0) {
			assert_int_equal(EAGAIN, errno);
			break;
		}
		total += (size_t)n;
	}
	return total;
}

static size_t
peer_read_all(struct fixture *f, size_t len)
{
	static char block[65536];
	size_t total = 0;
	ssize_t n = 1;

	while (total < len && n > 0) {
		n = recv(f->peer, block, sizeof(block), MSG_DONTWAIT);
		if (n > 0)
			total += (size_t)n;
	}
	return total;
}

static void
connects_and_carries_bytes_both_ways(void **state)
{
	struct fixture *f = *state;
	char expected[32], got[8] = "";

	connect_peer(f);
	assert_string_equal("U", f->events);
	snprintf(expected, sizeof(expected), "127.0.0.1:%u", (unsigned int)f->port);
	assert_string_equal(expected, stream_peer(f->stream));
	assert_true(stream_write(f->stream, "hello", 5));
	peer_send(f, 300);
	run_until_taken(f, 300);
	assert_string_equal("UD", f->events);
	assert_int_equal(5, recv(f->peer, got, sizeof(got), MSG_WAITALL | MSG_DONTWAIT));
	assert_string_equal("hello", got);
}

static void
the_socket_is_private_and_without_delay(void **state)
{
	struct fixture *f = *state;
	int fd, found = 0;

	connect_peer(f);
	for (fd = 3; fd < 256; fd++) {
		struct sockaddr_in sin = {0};
		socklen_t len = sizeof(sin);

		if (fd == f->peer || getpeername(fd, (struct sockaddr *)&sin, &len) != 0 ||
		    ntohs(sin.sin_port) != f->port)
			continue;
		found++;
		assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
		assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
	}
	assert_int_equal(1, found);
}

static void
a_refused_connection_is_down(void **state)
{
	struct fixture *f = *state;
	uint16_t port;
	int fd = listen_on_loopback(&port, 1);

	close(fd);
	open_to(f, "127.0.0.1", port, 10000);
	assert_false(stream_write(f->stream, "x", 1));
	run_until(f, 'X');
	assert_string_equal("X", f->events);
	assert_string_equal("connection refused", stream_error(f->stream)->what);
	assert_false(stream_write(f->stream, "x", 1));
}

static void
the_next_address_is_tried_when_the_first_refuses(void **state)
{
	struct fixture *f = *state;

	open_to(f, "two.test", f->port, 10000);
	run_until(f, 'U');
	assert_string_equal("U", f->events);
	assert_memory_equal("127.0.0.1:", stream_peer(f->stream), 10);
}

static void
all_addresses_refusing_is_down(void **state)
{
	struct fixture *f = *state;
	uint16_t port;
	int fd = listen_on_loopback(&port, 1);

	close(fd);
	open_to(f, "two.test", port, 10000);
	run_until(f, 'X');
	assert_string_equal("X", f->events);
	assert_string_equal("connection refused", stream_error(f->stream)->what);
	assert_memory_equal("127.0.0.1:", stream_peer(f->stream), 10);
}

static void
a_connect_without_answer_times_out(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fill[8], i;
	uint16_t port;
	int fd = listen_on_loopback(&port, 0);

	/* A full backlog: the kernel answers nothing to who comes now. */
	sin.sin_port = htons(port);
	for (i = 0; i < 8; i++) {
		fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		(void)connect(fill[i], (struct sockaddr *)&sin, sizeof(sin));
	}
	open_to(f, "127.0.0.1", port, 50);
	run_until(f, 'X');
	assert_string_equal("X", f->events);
	assert_string_equal("connect timed out", stream_error(f->stream)->what);
	for (i = 0; i < 8; i++)
		close(fill[i]);
	close(fd);
}

static void
localhost_resolves(void **state)
{
	struct fixture *f = *state;

	open_to(f, "localhost", f->port, 10000);
	run_until(f, 'U');
	assert_string_equal("U", f->events);
}

/* A reconnect while something else has taken all descriptors is a failed one, no more. */
static void
a_name_without_descriptors_is_down(void **state)
{
	struct fixture *f = *state;
	struct rlimit before, none;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 0;
	setrlimit(RLIMIT_NOFILE, &none);
	open_to(f, "localhost", f->port, 10000);
	assert_string_equal("", f->events); /* never from inside */
	run_until(f, 'X');
	setrlimit(RLIMIT_NOFILE, &before);
	assert_string_equal("X", f->events);
	assert_string_equal("too many open files", stream_error(f->stream)->what);
	stream_close(f->stream);
	f->events[0] = '\0';
	open_to(f, "localhost", f->port, 10000);
	run_until(f, 'U');
	assert_string_equal("U", f->events);
}

static void
a_name_that_does_not_exist_is_down(void **state)
{
	struct fixture *f = *state;

	open_to(f, "no-such-host.invalid", f->port, 10000);
	run_until(f, 'X');
	assert_string_equal("X", f->events);
	assert_string_equal("no such host", stream_error(f->stream)->what);
	stream_close(f->stream);
	f->events[0] = '\0';
	open_to(f, "no-name-server.invalid", f->port, 10000);
	run_until(f, 'X');
	assert_string_equal("the name server does not answer", stream_error(f->stream)->what);
}

static void
closing_does_not_wait_for_a_silent_name_server(void **state)
{
	struct fixture *f = *state;

	open_to(f, "silent.test", f->port, 10000);
	sem_wait(&resolver_entered);
	stream_close(f->stream);
	f->stream = NULL;
	run_for_ms(f, 1);
	sem_post(&resolver_go);
	sem_wait(&resolver_left);
	run_for_ms(f, 5);
	assert_string_equal("", f->events);
}

static void
closing_right_after_opening_gives_no_event(void **state)
{
	struct fixture *f = *state;

	open_to(f, "127.0.0.1", f->port, 10000);
	stream_close(f->stream);
	f->stream = NULL;
	run_for_ms(f, 5);
	assert_string_equal("", f->events);
}

static void
what_came_before_the_end_of_file_is_handed_over_first(void **state)
{
	struct fixture *f = *state;

	connect_peer(f);
	peer_send(f, 200000);
	close(f->peer);
	f->peer = -1;
	f->take = 30000;
	run_until(f, 'X');
	assert_string_equal("UDX", f->events);
	assert_int_equal(200000, f->taken);
	assert_string_equal("closed by the peer", stream_error(f->stream)->what);
}

static void
input_nobody_takes_does_not_hold_up_the_end(void **state)
{
	struct fixture *f = *state;
	size_t len;

	connect_peer(f);
	f->take_none = true;
	peer_send(f, 10);
	close(f->peer);
	f->peer = -1;
	run_until(f, 'X');
	assert_string_equal("UDX", f->events);
	stream_peek(f->stream, &len);
	assert_int_equal(10, len);
}

static void
a_half_closed_peer_is_down(void **state)
{
	struct fixture *f = *state;

	connect_peer(f);
	assert_int_equal(0, shutdown(f->peer, SHUT_WR));
	run_until(f, 'X');
	assert_string_equal("UX", f->events);
	assert_string_equal("closed by the peer", stream_error(f->stream)->what);
}

static void
peer_reset(struct fixture *f)
{
	const struct linger now = {.l_onoff = 1, .l_linger = 0};

	setsockopt(f->peer, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(f->peer);
	f->peer = -1;
}

static void
a_reset_is_down(void **state)
{
	struct fixture *f = *state;

	connect_peer(f);
	peer_reset(f);
	run_until(f, 'X');
	assert_string_equal("UX", f->events);
	assert_string_equal("connection reset by the peer", stream_error(f->stream)->what);
}

static void
a_reset_is_noticed_by_a_write_while_paused(void **state)
{
	struct fixture *f = *state;

	connect_peer(f);
	stream_pause(f->stream);
	peer_reset(f);
	assert_true(stream_write(f->stream, "x", 1));
	run_until(f, 'X');
	assert_string_equal("UX", f->events);
}

/* The peer says why and hangs up with our bytes unread, which makes the kernel send a reset. */
static void
last_words_are_read_although_our_write_fails(void **state)
{
	struct fixture *f = *state;

	connect_peer(f);
	assert_true(stream_write(f->stream, "x", 1));
	run_for_ms(f, 1);
	peer_send(f, 100);
	close(f->peer);
	f->peer = -1;
	assert_true(stream_write(f->stream, "y", 1));
	run_until(f, 'X');
	assert_string_equal("UDX", f->events);
	assert_int_equal(100, f->taken);
}

static void
output_beyond_the_limit_is_refused_whole(void **state)
{
	struct fixture *f = *state;
	unsigned char *p = pattern(1000001, 0);
	size_t got = 0;

	connect_peer(f);
	assert_false(stream_write(f->stream, p, 1000001));
	assert_true(stream_write(f->stream, p, 999999));
	assert_false(stream_write(f->stream, p, 2));
	assert_true(stream_write(f->stream, p, 1));
	while (got < 1000000) {
		run_for_ms(f, 1);
		got += peer_read_all(f, 1000000 - got);
	}
	run_for_ms(f, 5);
	assert_int_equal(0, peer_read_all(f, 1));
	free(p);
}

static void
congestion_is_seen_and_its_end_told_once(void **state)
{
	struct fixture *f = *state;
	unsigned char *p = pattern(100001, 0);
	int i;

	connect_peer(f);
	assert_true(stream_write(f->stream, p, 100000));
	assert_false(stream_congested(f->stream));
	run_for_ms(f, 2);
	assert_string_equal("U", f->events);
	for (i = 0; i < 9; i++)
		assert_true(stream_write(f->stream, p, 100001));
	assert_true(stream_congested(f->stream));
	f->stop_at = 'L';
	while (strchr(f->events, 'L') == NULL) {
		run_for_ms(f, 1);
		peer_read_all(f, SIZE_MAX);
	}
	f->stop_at = 0;
	assert_false(stream_congested(f->stream));
	assert_true(stream_write(f->stream, p, 1));
	run_for_ms(f, 5);
	assert_string_equal("UL", f->events);
	free(p);
}

static void
a_paused_stream_reads_nothing_and_tcp_holds_the_sender(void **state)
{
	struct fixture *f = *state;
	const size_t far = 256u << 20;
	size_t sent;

	connect_peer(f);
	stream_pause(f->stream);
	sent = peer_flood(f, far);
	run_for_ms(f, 5);
	sent += peer_flood(f, far);
	assert_true(sent < far);
	assert_string_equal("U", f->events);
	stream_resume(f->stream);
	run_until_taken(f, sent);
	assert_int_equal(sent, f->taken);
	assert_true(f->largest_piece > 4096);
	assert_true(f->largest_piece <= 65536);
}

static void
pausing_inside_data_stops_it(void **state)
{
	struct fixture *f = *state;

	connect_peer(f);
	f->pause_at = 'D';
	f->take = 10;
	peer_send(f, 1000);
	run_for_ms(f, 5);
	assert_int_equal(1, f->data_events);
	assert_int_equal(10, f->taken);
	f->pause_at = 0;
	stream_resume(f->stream);
	run_until_taken(f, 1000);
	assert_int_equal(1000, f->taken);
}

/* Who takes nothing holds the sender too, with a bounded amount on our side. */
static void
input_that_is_not_drained_is_bounded_and_does_not_spin(void **state)
{
	struct fixture *f = *state;
	const size_t far = 256u << 20;
	size_t sent = 0, more = 1;

	connect_peer(f);
	f->take_none = true;
	while (more > 0 && sent < far) {
		more = peer_flood(f, far);
		sent += more;
		run_for_ms(f, 5);
	}
	assert_true(sent < far);
	f->data_events = 0;
	run_for_ms(f, 20);
	assert_int_equal(0, f->data_events);
	assert_int_equal(65536, f->largest_piece);
	f->take_none = false;
	stream_pause(f->stream); /* an outside nudge, as a reader that waited would give */
	stream_resume(f->stream);
	run_until_taken(f, sent);
	assert_int_equal(sent, f->taken);
}

static void
data_comes_again_until_all_is_drained(void **state)
{
	struct fixture *f = *state;

	connect_peer(f);
	f->take = 100;
	peer_send(f, 1000);
	run_until_taken(f, 1000);
	run_for_ms(f, 2);
	assert_int_equal(10, f->data_events);
}

static void
one_byte_at_a_time(void **state)
{
	struct fixture *f = *state;
	unsigned char c;
	int i;

	connect_peer(f);
	for (i = 0; i < 500; i++) {
		c = (unsigned char)i;
		assert_int_equal(1, send(f->peer, &c, 1, 0));
		run_until_taken(f, (size_t)i + 1);
	}
	assert_int_equal(500, f->data_events);
}

static void
closing_is_possible_in_every_callback(void **state)
{
	struct fixture *f = *state;

	f->close_at = 'U';
	open_to(f, "127.0.0.1", f->port, 10000);
	loop_run(f->loop);
	assert_string_equal("U", f->events);
	assert_null(f->stream);
	memset(f->events, 0, sizeof(f->events));
	close(accept(f->listener, NULL, NULL));
	f->close_at = 0;

	connect_peer(f);
	f->close_at = 'D';
	peer_send(f, 100);
	loop_run(f->loop);
	run_for_ms(f, 2);
	assert_string_equal("UD", f->events);
	assert_int_equal(0, recv(f->peer, &f->next, 1, 0)); /* our socket is closed */
	close(f->peer);
	f->close_at = 0;
	f->next = 0;
	memset(f->events, 0, sizeof(f->events));

	connect_peer(f);
	f->close_at = 'X';
	shutdown(f->peer, SHUT_WR);
	loop_run(f->loop);
	assert_string_equal("UX", f->events);
	assert_null(f->stream);
}

static void
events_have_names(void **state)
{
	assert_string_equal("UP", stream_event_name(STREAM_UP));
	assert_string_equal("DOWN", stream_event_name(STREAM_DOWN));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(connects_and_carries_bytes_both_ways),
	    TEST(the_socket_is_private_and_without_delay),
	    TEST(a_refused_connection_is_down),
	    TEST(the_next_address_is_tried_when_the_first_refuses),
	    TEST(all_addresses_refusing_is_down),
	    TEST(a_connect_without_answer_times_out),
	    TEST(localhost_resolves),
	    TEST(a_name_without_descriptors_is_down),
	    TEST(a_name_that_does_not_exist_is_down),
	    TEST(closing_does_not_wait_for_a_silent_name_server),
	    TEST(closing_right_after_opening_gives_no_event),
	    TEST(what_came_before_the_end_of_file_is_handed_over_first),
	    TEST(input_nobody_takes_does_not_hold_up_the_end),
	    TEST(a_half_closed_peer_is_down),
	    TEST(a_reset_is_down),
	    TEST(a_reset_is_noticed_by_a_write_while_paused),
	    TEST(last_words_are_read_although_our_write_fails),
	    TEST(output_beyond_the_limit_is_refused_whole),
	    TEST(congestion_is_seen_and_its_end_told_once),
	    TEST(a_paused_stream_reads_nothing_and_tcp_holds_the_sender),
	    TEST(pausing_inside_data_stops_it),
	    TEST(input_that_is_not_drained_is_bounded_and_does_not_spin),
	    TEST(data_comes_again_until_all_is_drained),
	    TEST(one_byte_at_a_time),
	    TEST(closing_is_possible_in_every_callback),
	    cmocka_unit_test(events_have_names),
	};

	sem_init(&resolver_entered, 0, 0);
	sem_init(&resolver_go, 0, 0);
	sem_init(&resolver_left, 0, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
