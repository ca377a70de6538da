/* SPDX-License-Identifier: Apache-2.0 */
/* httpd over real sockets on 127.0.0.1: pages, what is refused, and the limits. */
#include "shared/monitor/httpd.h"

#include "shared/base/log.h"
#include "shared/event/listen_addr.h"
#include "shared/event/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 20000

/* A client that writes a request and reads to the end of the stream. */
struct client {
	int fd;
	struct loop_watch *watch;
	const char *request;
	size_t left;
	char answer[4096];
	size_t length;
	bool ended;
};

static struct loop *loop;
static struct httpd *httpd;
static struct loop_timer *patience;
static struct listen_addr address;
static int made;
static char page[] = "page\n";

static int
make_ok(struct buf *out, void *arg)
{
	made++;
	return buf_append_str(out, arg) ? 200 : 500;
}

static int
make_sick(struct buf *out, void *arg)
{
	return buf_append_str(out, "broker: down\n") ? 503 : 500;
}

static int
make_broken(struct buf *out, void *arg)
{
	(void)!buf_append_str(out, "half a page");
	return 500;
}

static const struct httpd_page pages[] = {
    {"/metrics", "text/plain; version=0.0.4; charset=utf-8", make_ok},
    {"/healthz", "text/plain; charset=utf-8", make_sick},
    {"/broken", "text/plain; charset=utf-8", make_broken},
};

static void
on_patience(void *arg)
{
	fail_msg("waited in vain");
}

static void
use_free_port(void)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	address.len = sizeof(sin);
	assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address.addr, &address.len), 0);
	close(fd);
}

static int
setup(void **state)
{
	log_set_level(LOG_LEVEL_CRITICAL);
	loop = loop_create();
	patience = loop_timer_create(loop, "patience", on_patience, NULL);
	loop_timer_arm(patience, PATIENCE_MS);
	use_free_port();
	made = 0;
	httpd = httpd_start(loop, &address, pages, 3, page);
	assert_non_null(httpd);
	return 0;
}

static int
teardown(void **state)
{
	httpd_stop(httpd);
	loop_timer_destroy(patience);
	loop_destroy(loop);
	return 0;
}

static void
on_socket(int fd, unsigned int events, void *arg)
{
	struct client *c = arg;
	ssize_t n;

	if ((events & LOOP_WRITE) && c->left > 0) {
		n = send(fd, c->request, c->left, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n > 0) {
			c->request += n;
			c->left -= (size_t)n;
		} else if (errno != EAGAIN) {
			c->left = 0;
		}
		if (c->left == 0)
			loop_watch_set(c->watch, LOOP_READ);
	}
	if (events & LOOP_READ) {
		n = recv(fd, c->answer + c->length, sizeof(c->answer) - 1 - c->length, 0);
		if (n > 0) {
			c->length += (size_t)n;
			return;
		}
		c->ended = true;
		loop_watch_set(c->watch, 0);
		loop_stop(loop);
	}
}

static void
open_client(struct client *c, const char *request, size_t len)
{
	memset(c, 0, sizeof(*c));
	c->fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_true(c->fd >= 0);
	assert_int_equal(connect(c->fd, (struct sockaddr *)&address.addr, address.len), 0);
	c->request = request;
	c->left = len;
	c->watch = loop_watch_create(loop, c->fd, LOOP_READ | LOOP_WRITE, on_socket, c);
}

static void
close_client(struct client *c)
{
	loop_watch_destroy(c->watch);
	close(c->fd);
}

static const char *
ask_bytes(const char *request, size_t len)
{
	static struct client c;

	open_client(&c, request, len);
	while (!c.ended)
		loop_run(loop);
	close_client(&c);
	return c.answer;
}

static const char *
ask(const char *request)
{
	return ask_bytes(request, strlen(request));
}

static void
assert_begins(const char *text, const char *with)
{
	if (strncmp(text, with, strlen(with)) != 0)
		fail_msg("\"%s\" should begin with \"%s\"", text, with);
}

static void
serves_pages(void **state)
{
	const char *answer = ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");

	assert_begins(answer, "HTTP/1.1 200 OK\r\n");
	assert_non_null(
	    strstr(answer, "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
	assert_non_null(strstr(answer, "Connection: close\r\n"));
	assert_non_null(strstr(answer, "\r\n\r\npage\n"));
	answer = ask("GET /healthz?verbose=1 HTTP/1.0\r\n\r\n");
	assert_begins(answer, "HTTP/1.0 503 Service Unavailable\r\n");
	assert_non_null(strstr(answer, "\r\n\r\nbroker: down\n"));
	assert_begins(ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 200 OK\r\n");
	assert_int_equal(made, 2);
}

static void
a_broken_page_is_not_half_served(void **state)
{
	const char *answer = ask("GET /broken HTTP/1.1\r\nHost: x\r\n\r\n");

	assert_begins(answer, "HTTP/1.1 500 ");
	assert_null(strstr(answer, "half a page"));
}

static void
other_paths_do_not_exist(void **state)
{
	static const char *const paths[] = {"/", "/metrics/", "//metrics", "/metric",
	    "/../../../../etc/passwd", "/metrics/../../../etc/passwd", "/%2e%2e/etc/passwd",
	    "/healthz%00", "/METRICS"};
	char request[256];

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", paths[i]);
		assert_begins(ask(request), "HTTP/1.1 404 ");
	}
	assert_int_equal(made, 0);
}

static void
get_only(void **state)
{
	static const char *const methods[] = {"POST", "PUT", "DELETE", "OPTIONS", "PATCH"};
	char request[256];

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		const char *answer;

		snprintf(request, sizeof(request),
		    "%s /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi", methods[i]);
		answer = ask(request);
		assert_begins(answer, "HTTP/1.1 405 ");
		assert_non_null(strstr(answer, "Allow: GET\r\n"));
	}
	assert_begins(ask("HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 405 ");
	assert_int_equal(made, 0);
}

static void
too_much_is_refused(void **state)
{
	size_t size = 1024 * 1024;
	char *request = malloc(size);
	int n;

	memset(request, 'a', size);
	n = snprintf(request, size, "GET /metrics HTTP/1.1\r\nHost: x\r\nX-Large: ");
	request[n] = 'a';
	assert_null(strstr(ask_bytes(request, size), "200 OK"));
	memset(request, 'a', size);
	n = snprintf(
	    request, size, "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n");
	request[n] = 'a';
	assert_null(strstr(ask_bytes(request, size), "200 OK"));
	free(request);
	assert_null(strstr(ask("\x01\x02\x03\r\n\r\n"), "200 OK"));
	assert_int_equal(made, 0);
	assert_begins(ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 200 OK\r\n");
}

/* Those who say nothing do not keep others out: the oldest of them has to go. */
static void
the_oldest_makes_room(void **state)
{
	struct client idle[HTTPD_CONNECTIONS_MAX + 1];
	const size_t n = sizeof(idle) / sizeof(idle[0]);

	for (size_t i = 0; i < n; i++)
		open_client(&idle[i], "GET /metr", 9);
	while (!idle[0].ended)
		loop_run(loop);
	assert_int_equal(idle[0].length, 0);
	for (size_t i = 1; i < n; i++)
		assert_false(idle[i].ended);
	assert_begins(ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 200 OK\r\n");
	for (size_t i = 0; i < n; i++)
		close_client(&idle[i]);
}

/* A place is free again when its connection has ended. */
static void
many_one_after_the_other(void **state)
{
	struct client idle;

	open_client(&idle, "GET /metr", 9);
	for (int i = 0; i < 3 * HTTPD_CONNECTIONS_MAX; i++)
		assert_begins(
		    ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 200 OK\r\n");
	assert_false(idle.ended);
	close_client(&idle);
}

static void
a_taken_port_is_told(void **state)
{
	assert_null(httpd_start(loop, &address, pages, 3, page));
	assert_int_equal(errno, EADDRINUSE);
}

static struct rlimit descriptors;

static void
on_relief(void *arg)
{
	setrlimit(RLIMIT_NOFILE, &descriptors);
}

/* Who cannot be accepted waits, and so do we: without turning all the while, and without an end. */
static void
without_descriptors_it_pauses(void **state)
{
	struct loop_timer *relief = loop_timer_create(loop, "relief", on_relief, NULL);
	static const char request[] = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
	clock_t cpu = clock();
	struct rlimit none;
	struct client c;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &descriptors), 0);
	none = descriptors;
	none.rlim_cur = 0;
	open_client(&c, request, sizeof(request) - 1);
	setrlimit(RLIMIT_NOFILE, &none);
	loop_timer_arm(relief, 500);
	while (!c.ended)
		loop_run(loop);
	assert_begins(c.answer, "HTTP/1.1 200 OK\r\n");
	assert_true(clock() - cpu < CLOCKS_PER_SEC / 5);
	close_client(&c);
	loop_timer_destroy(relief);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(serves_pages, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_broken_page_is_not_half_served, setup, teardown),
	    cmocka_unit_test_setup_teardown(other_paths_do_not_exist, setup, teardown),
	    cmocka_unit_test_setup_teardown(get_only, setup, teardown),
	    cmocka_unit_test_setup_teardown(too_much_is_refused, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_oldest_makes_room, setup, teardown),
	    cmocka_unit_test_setup_teardown(many_one_after_the_other, setup, teardown),
	    cmocka_unit_test_setup_teardown(without_descriptors_it_pauses, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_taken_port_is_told, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
