/* SPDX-License-Identifier: Apache-2.0 */
/* Against a scripted peer: a thread with plain sockets, which does what the path asks for. */
#include "shared/store/couch/http.h"

#include "shared/base/uri.h"
#include "shared/event/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <bsd/string.h>
#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PEER_CONNECTIONS = 32, PEER_BUFFER = 6 * 1024 * 1024 };

/* ---- the peer ---- */

static _Thread_local bool is_peer;

struct peer_conn {
	int fd;
	char *data;
	size_t len;
	unsigned int requests; /* on this connection */
	bool held;             /* at the barrier */
};

struct peer {
	pthread_t thread;
	int listener;
	int stop[2];
	uint16_t port;
	struct peer_conn conns[PEER_CONNECTIONS];
	unsigned int barrier;
	atomic_uint connections, requests, open, most_open;
};

static void
conn_close(struct peer *p, struct peer_conn *c, bool reset)
{
	const struct linger now = {.l_onoff = 1, .l_linger = 0};

	if (reset)
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(c->fd);
	free(c->data);
	memset(c, 0, sizeof(*c));
	c->fd = -1;
	atomic_fetch_sub(&p->open, 1);
}

static void
conn_send(struct peer_conn *c, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(c->fd, data, len, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		data += n;
		len -= (size_t)n;
	}
}

static void
conn_answer(
    struct peer_conn *c, const char *status, const char *headers, const char *body, size_t body_len)
{
	char head[512];
	int n = snprintf(head, sizeof(head), "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n\r\n", status,
	    headers, body_len);

	conn_send(c, head, (size_t)n);
	conn_send(c, body, body_len);
}

static void
conn_answer_json(struct peer_conn *c, const char *status, const char *body)
{
	conn_answer(c, status, "Content-Type: application/json\r\n", body, strlen(body));
}

static void
barrier_open(struct peer *p)
{
	int i;

	for (i = 0; i < PEER_CONNECTIONS; i++) {
		if (p->conns[i].fd >= 0 && p->conns[i].held) {
			p->conns[i].held = false;
			conn_answer(&p->conns[i], "200 OK", "", "together", 8);
		}
	}
}

static void
conn_send_chunks(struct peer_conn *c)
{
	static char block[65536];
	int i;

	memset(block, 'x', sizeof(block));
	conn_send(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 47);
	for (i = 0; i < 16; i++) {
		conn_send(c, "10000\r\n", 7);
		conn_send(c, block, sizeof(block));
		conn_send(c, "\r\n", 2);
	}
}

static bool
path_is(const struct peer_conn *c, const char *path)
{
	const char *at = memchr(c->data, ' ', c->len);

	return at != NULL && strncmp(at + 1, path, strlen(path)) == 0 &&
	       (at[1 + strlen(path)] == ' ');
}

/* The whole request is in c->data. */
static void
conn_serve(struct peer *p, struct peer_conn *c)
{
	static char big[200000];

	if (path_is(c, "/ok"))
		conn_answer(c, "200 OK", "Content-Type: application/json\r\n", "{\"ok\":true}", 11);
	else if (path_is(c, "/created"))
		conn_answer(c, "201 Created", "", "{}", 2);
	else if (path_is(c, "/missing"))
		conn_answer(c, "404 Object Not Found", "", "{\"error\":\"not_found\"}", 21);
	else if (path_is(c, "/unauthorized"))
		conn_answer_json(c, "401 Unauthorized", "{\"error\":\"unauthorized\"}");
	else if (path_is(c, "/forbidden"))
		conn_answer_json(c, "403 Forbidden", "{\"error\":\"forbidden\"}");
	else if (path_is(c, "/locked"))
		conn_answer_json(c, "403 Forbidden",
		    "{\"error\":\"forbidden\",\"reason\":\"Account is temporarily locked due to "
		    "multiple authentication failures\"}");
	else if (path_is(c, "/later"))
		conn_answer(c, "503 Busy", "Retry-After: 7\r\n", "", 0);
	else if (path_is(c, "/elsewhere"))
		conn_answer(c, "302 Found", "Location: /ok\r\n", "", 0);
	else if (path_is(c, "/head"))
		conn_send(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 38);
	else if (path_is(c, "/echo"))
		conn_answer(c, "200 OK", "", c->data, c->len);
	else if (path_is(c, "/big"))
		conn_answer(c, "200 OK", "", big, sizeof(big));
	else if (path_is(c, "/chunks"))
		conn_send_chunks(c);
	else if (path_is(c, "/barrier"))
		c->held = true;
	else if (path_is(c, "/second-dies") || path_is(c, "/second-dies-early")) {
		if (c->requests > 1)
			conn_close(p, c, false);
		else
			conn_answer(c, "200 OK", "", "alive", 5);
	} else if (path_is(c, "/cut-body")) {
		conn_send(c, "HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n0123", 49);
		conn_close(p, c, false);
	} else if (path_is(c, "/cut-head")) {
		conn_send(c, "HTTP/1.1 20", 11);
		conn_close(p, c, false);
	} else if (path_is(c, "/rubbish")) {
		conn_send(c, "220 mail ready\r\n\r\n", 18);
		conn_close(p, c, false);
	} else if (path_is(c, "/hang-up")) {
		conn_close(p, c, false);
	} /* else /silent */
	if (c->held && --p->barrier == 0)
		barrier_open(p);
}

/* Bytes of the request at the start of c->data; 0: not complete yet. */
static size_t
request_length(const struct peer_conn *c)
{
	const char *end = c->len == 0 ? NULL : memmem(c->data, c->len, "\r\n\r\n", 4);
	const char *length;
	size_t head;

	if (end == NULL)
		return 0;
	head = (size_t)(end - c->data) + 4;
	length = memmem(c->data, head, "Content-Length: ", 16);
	if (length != NULL)
		head += strtoul(length + 16, NULL, 10);
	return c->len >= head ? head : 0;
}

static void
conn_read(struct peer *p, struct peer_conn *c)
{
	ssize_t n = recv(c->fd, c->data + c->len, PEER_BUFFER - 1 - c->len, 0);

	if (n <= 0) {
		conn_close(p, c, false);
		return;
	}
	c->len += (size_t)n;
	c->data[c->len] = '\0';
	/* In the middle of the body of a second request. */
	if (c->requests == 1 && path_is(c, "/second-dies-early") && c->len > 10000) {
		atomic_fetch_add(&p->requests, 1);
		conn_close(p, c, true);
		return;
	}
	if (request_length(c) == 0)
		return;
	c->requests++;
	atomic_fetch_add(&p->requests, 1);
	conn_serve(p, c);
	c->len = 0;
}

static void
peer_accept(struct peer *p)
{
	unsigned int open;
	int i;

	for (i = 0; i < PEER_CONNECTIONS && p->conns[i].fd >= 0; i++)
		;
	if (i == PEER_CONNECTIONS)
		abort();
	p->conns[i].fd = accept(p->listener, NULL, NULL);
	p->conns[i].data = malloc(PEER_BUFFER);
	atomic_fetch_add(&p->connections, 1);
	open = atomic_fetch_add(&p->open, 1) + 1;
	if (open > atomic_load(&p->most_open))
		atomic_store(&p->most_open, open);
}

static void *
peer_main(void *arg)
{
	struct peer *p = arg;
	struct pollfd fds[PEER_CONNECTIONS + 2];
	int i;

	is_peer = true;
	for (;;) {
		fds[PEER_CONNECTIONS] = (struct pollfd){.fd = p->listener, .events = POLLIN};
		fds[PEER_CONNECTIONS + 1] = (struct pollfd){.fd = p->stop[0], .events = POLLIN};
		for (i = 0; i < PEER_CONNECTIONS; i++)
			fds[i] = (struct pollfd){.fd = p->conns[i].fd, .events = POLLIN};
		if (poll(fds, PEER_CONNECTIONS + 2, -1) < 0)
			abort();
		if (fds[PEER_CONNECTIONS + 1].revents != 0)
			break;
		for (i = 0; i < PEER_CONNECTIONS; i++) {
			if (fds[i].revents != 0 && p->conns[i].fd == fds[i].fd)
				conn_read(p, &p->conns[i]);
		}
		if (fds[PEER_CONNECTIONS].revents != 0)
			peer_accept(p);
	}
	for (i = 0; i < PEER_CONNECTIONS; i++) {
		if (p->conns[i].fd >= 0)
			conn_close(p, &p->conns[i], false);
	}
	return NULL;
}

static void
peer_start(struct peer *p)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sin);
	int i;

	for (i = 0; i < PEER_CONNECTIONS; i++)
		p->conns[i].fd = -1;
	p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(p->listener >= 0);
	assert_int_equal(0, bind(p->listener, (struct sockaddr *)&sin, sizeof(sin)));
	assert_int_equal(0, listen(p->listener, 64));
	assert_int_equal(0, getsockname(p->listener, (struct sockaddr *)&sin, &len));
	p->port = ntohs(sin.sin_port);
	assert_int_equal(0, pipe(p->stop));
	assert_int_equal(0, pthread_create(&p->thread, NULL, peer_main, p));
}

static void
peer_stop(struct peer *p)
{
	if (p->listener < 0)
		return;
	assert_int_equal(1, write(p->stop[1], "x", 1));
	pthread_join(p->thread, NULL);
	close(p->listener);
	p->listener = -1;
	close(p->stop[0]);
	close(p->stop[1]);
}

/* ---- a send() that fails when told ---- */

static size_t fail_after; /* bytes that curl may still send, then EPIPE once; 0: no failure */

/* In place of libc's, for libcurl too: the executable's symbols come first. */
ssize_t
send(int fd, const void *data, size_t len, int flags)
{
	ssize_t n;

	if (is_peer || fail_after == 0)
		return sendto(fd, data, len, flags, NULL, 0);
	if (len >= fail_after) {
		fail_after = 0;
		errno = EPIPE;
		return -1;
	}
	n = sendto(fd, data, len, flags, NULL, 0);
	if (n > 0)
		fail_after -= (size_t)n;
	return n;
}

/* ---- the tests ---- */

struct answer {
	struct fixture *f;
	int calls;
	long status;
	char error[64];
	bool never_sent, too_large;
	long refused;
	char type[64];
	char *body;
	size_t body_len;
	uint32_t retry_after_s;
	void (*then)(struct fixture *f);
};

struct fixture {
	struct loop *loop;
	struct http *http;
	struct peer peer;
	struct answer answers[64];
	size_t asked, answered;
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->loop = loop_create();
	peer_start(&f->peer);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	size_t i;

	http_destroy(f->http);
	loop_destroy(f->loop);
	peer_stop(&f->peer);
	for (i = 0; i < f->asked; i++)
		free(f->answers[i].body);
	free(f);
	return 0;
}

enum { LOGIN_WAIT_MS = 300 };

static void
make_http(struct fixture *f, uint32_t connections, uint32_t timeout_ms)
{
	const struct http_options opt = {
	    .user = "ad:min",
	    .password = "s3 cret",
	    .max_connections = connections,
	    .timeout_ms = timeout_ms,
	    .max_response_bytes = 100000,
	    .login_wait_ms = LOGIN_WAIT_MS,
	};

	f->http = http_create(f->loop, &opt);
}

static void
on_answer(const struct http_response *r, void *arg)
{
	struct answer *a = arg;
	struct fixture *f = a->f;

	a->calls++;
	a->status = r->status;
	a->never_sent = r->never_sent;
	a->too_large = r->too_large;
	a->refused = r->refused;
	a->retry_after_s = r->retry_after_s;
	if (r->status == 0)
		strlcpy(a->error, r->error, sizeof(a->error));
	else
		assert_null(r->error);
	if (r->content_type != NULL)
		strlcpy(a->type, r->content_type, sizeof(a->type));
	assert_int_equal('\0', r->body[r->body_len]);
	a->body = calloc(1, r->body_len + 1);
	memcpy(a->body, r->body, r->body_len);
	a->body_len = r->body_len;
	f->answered++;
	if (a->then != NULL)
		a->then(f);
	if (f->answered == f->asked)
		loop_stop(f->loop);
}

static struct answer *
ask_url(struct fixture *f, const char *method, const char *url, char *body, size_t len)
{
	struct answer *a = &f->answers[f->asked++];
	size_t before = http_in_flight(f->http);

	a->f = f;
	http_request(f->http, method, url, body, len, on_answer, a);
	assert_int_equal(before + 1, http_in_flight(f->http));
	assert_int_equal(0, a->calls);
	return a;
}

static struct answer *
ask(struct fixture *f, const char *method, const char *path, const char *body)
{
	char url[128];

	snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", (unsigned int)f->peer.port, path);
	return ask_url(
	    f, method, url, body == NULL ? NULL : strdup(body), body == NULL ? 0 : strlen(body));
}

static struct answer *
get(struct fixture *f, const char *path)
{
	struct answer *a = ask(f, "GET", path, NULL);

	loop_run(f->loop);
	assert_int_equal(1, a->calls);
	assert_int_equal(0, http_in_flight(f->http));
	return a;
}

static void
an_answer_has_status_type_and_body(void **state)
{
	struct fixture *f = *state;
	struct answer *a;

	make_http(f, 4, 10000);
	a = get(f, "/ok");
	assert_int_equal(200, a->status);
	assert_string_equal("{\"ok\":true}", a->body);
	assert_string_equal("application/json", a->type);
	assert_int_equal(201, get(f, "/created")->status);
	a = get(f, "/missing");
	assert_int_equal(404, a->status);
	assert_string_equal("{\"error\":\"not_found\"}", a->body);
	assert_string_equal("", a->type);
	assert_int_equal(0, a->retry_after_s);
}

/* A port that nobody listens on, bound so that nobody else begins to. */
static int
take_dead_port(uint16_t *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	*port = ntohs(a.sin_port);
	return fd;
}

/* The first and the second cannot be reached: what was to go there goes to the third, and what
 * comes later goes there at once. */
static void
the_next_host_is_asked(void **state)
{
	struct fixture *f = *state;
	char host[] = "127.0.0.1", url[64];
	uint16_t dead;
	int fd = take_dead_port(&dead);
	const struct uri_place others[] = {{host, dead}, {host, f->peer.port}};
	const struct http_options opt = {
	    .others = others,
	    .n_others = 2,
	    .max_connections = 4,
	    .timeout_ms = 10000,
	    .max_response_bytes = 100000,
	};
	struct answer *a, *more[8];

	f->http = http_create(f->loop, &opt);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/ok", (unsigned int)dead);
	a = ask_url(f, "GET", url, NULL, 0);
	loop_run(f->loop);
	assert_int_equal(200, a->status);
	for (size_t i = 0; i < 8; i++)
		more[i] = ask_url(f, "GET", url, NULL, 0);
	loop_run(f->loop);
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(200, more[i]->status);
	close(fd);
}

/* All of them tried once, and the failure is that of the last. */
static void
no_host_can_be_reached(void **state)
{
	struct fixture *f = *state;
	char host[] = "127.0.0.1", url[64];
	uint16_t dead;
	int fd = take_dead_port(&dead);
	const struct uri_place others[] = {{host, dead}};
	const struct http_options opt = {
	    .others = others,
	    .n_others = 1,
	    .max_connections = 4,
	    .timeout_ms = 10000,
	    .max_response_bytes = 100000,
	};
	struct answer *a;

	f->http = http_create(f->loop, &opt);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/ok", (unsigned int)dead);
	a = ask_url(f, "GET", url, NULL, 0);
	loop_run(f->loop);
	assert_int_equal(1, a->calls);
	assert_int_equal(0, a->status);
	assert_true(a->never_sent);
	close(fd);
}

static void
a_request_carries_method_body_and_login(void **state)
{
	struct fixture *f = *state;
	struct answer *a;

	make_http(f, 4, 10000);
	a = ask(f, "PUT", "/echo", "{\"a\":1}");
	loop_run(f->loop);
	assert_int_equal(200, a->status);
	assert_memory_equal("PUT /echo HTTP/1.1\r\n", a->body, 20);
	assert_non_null(strstr(a->body, "\r\nContent-Type: application/json\r\n"));
	assert_non_null(strstr(a->body, "\r\nAccept: application/json\r\n"));
	assert_non_null(strstr(a->body, "\r\nAuthorization: Basic YWQ6bWluOnMzIGNyZXQ=\r\n"));
	assert_null(strstr(a->body, "Expect"));
	assert_non_null(strstr(a->body, "\r\n\r\n{\"a\":1}"));
	a = ask(f, "DELETE", "/echo", NULL);
	loop_run(f->loop);
	assert_memory_equal("DELETE /echo HTTP/1.1\r\n", a->body, 23);
	assert_null(strstr(a->body, "Content-Length"));
	a = ask(f, "POST", "/echo", NULL);
	loop_run(f->loop);
	assert_memory_equal("POST /echo HTTP/1.1\r\n", a->body, 21);
	assert_non_null(strstr(a->body, "Content-Length: 0\r\n"));
	a = ask(f, "HEAD", "/head", NULL);
	loop_run(f->loop);
	assert_int_equal(200, a->status);
	assert_int_equal(0, a->body_len);
}

static void
a_large_body_arrives_whole(void **state)
{
	struct fixture *f = *state;
	char url[64], *body = malloc(3000000);
	struct answer *a;

	assert_non_null(body);
	memset(body, 'b', 3000000);
	make_http(f, 1, 10000);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/ok", (unsigned int)f->peer.port);
	a = ask_url(f, "POST", url, body, 3000000);
	loop_run(f->loop);
	assert_int_equal(200, a->status);
}

static void
a_connection_is_kept_and_used_again(void **state)
{
	struct fixture *f = *state;
	int i;

	make_http(f, 4, 10000);
	for (i = 0; i < 5; i++)
		assert_int_equal(200, get(f, "/ok")->status);
	assert_int_equal(1, atomic_load(&f->peer.connections));
	assert_int_equal(5, atomic_load(&f->peer.requests));
}

static void
requests_are_in_flight_together(void **state)
{
	struct fixture *f = *state;
	int i;

	make_http(f, 4, 10000);
	get(f, "/ok");       /* the login is good */
	f->peer.barrier = 4; /* nobody is answered before all four have asked */
	for (i = 0; i < 4; i++)
		ask(f, "GET", "/barrier", NULL);
	loop_run(f->loop);
	for (i = 0; i < 4; i++)
		assert_string_equal("together", f->answers[i + 1].body);
}

static void
more_requests_than_connections_wait_their_turn(void **state)
{
	struct fixture *f = *state;
	int i;

	make_http(f, 2, 10000);
	for (i = 0; i < 50; i++)
		ask(f, "GET", "/ok", NULL);
	assert_int_equal(50, http_in_flight(f->http));
	loop_run(f->loop);
	for (i = 0; i < 50; i++)
		assert_int_equal(200, f->answers[i].status);
	assert_in_range(atomic_load(&f->peer.most_open), 1, 2);
	assert_int_equal(2, atomic_load(&f->peer.connections));
}

/* Time spent waiting for a connection is not the server's fault. */
static void
waiting_for_a_turn_does_not_count_as_silence(void **state)
{
	struct fixture *f = *state;
	int i;

	make_http(f, 1, 100);
	for (i = 0; i < 3; i++)
		ask(f, "GET", "/silent", NULL);
	ask(f, "GET", "/ok", NULL);
	loop_run(f->loop);
	for (i = 0; i < 3; i++)
		assert_string_equal("no answer in time", f->answers[i].error);
	assert_int_equal(200, f->answers[3].status);
	assert_int_equal(4, atomic_load(&f->peer.requests));
}

static void
silence_ends_at_the_time_limit(void **state)
{
	struct fixture *f = *state;
	struct answer *a;

	make_http(f, 1, 100);
	a = get(f, "/silent");
	assert_int_equal(0, a->status);
	assert_string_equal("no answer in time", a->error);
	assert_false(a->never_sent);
}

static void
a_refused_connection_was_never_sent(void **state)
{
	struct fixture *f = *state;
	struct answer *a;

	make_http(f, 1, 10000);
	peer_stop(&f->peer);
	a = get(f, "/ok");
	assert_int_equal(0, a->status);
	assert_string_equal("connection refused", a->error);
	assert_true(a->never_sent);
}

/* A label over 63 bytes fails in the resolver without asking anyone. */
static void
a_name_that_cannot_be_resolved_was_never_sent(void **state)
{
	struct fixture *f = *state;
	char url[128] = "http://";
	struct answer *a;

	memset(url + 7, 'a', 70);
	strlcat(url, ".invalid/ok", sizeof(url));
	make_http(f, 1, 10000);
	a = ask_url(f, "GET", url, NULL, 0);
	loop_run(f->loop);
	assert_int_equal(0, a->status);
	assert_string_equal("no such host", a->error);
	assert_true(a->never_sent);
}

static void
a_url_that_is_none_is_an_answer_too(void **state)
{
	struct fixture *f = *state;
	struct answer *a, *b;

	make_http(f, 2, 10000);
	a = ask_url(f, "GET", "http://[", NULL, 0);
	b = ask_url(f, "GET", "file:///etc/passwd", NULL, 0);
	loop_run(f->loop);
	assert_int_equal(0, a->status);
	assert_int_equal(0, b->status);
	assert_string_not_equal("", a->error);
	assert_string_not_equal("", b->error);
}

static void
a_cut_answer_is_no_answer(void **state)
{
	struct fixture *f = *state;
	struct answer *a;

	make_http(f, 1, 10000);
	a = get(f, "/cut-body");
	assert_int_equal(0, a->status);
	assert_string_equal("the answer was cut off", a->error);
	assert_false(a->never_sent);
	a = get(f, "/cut-head");
	assert_int_equal(0, a->status);
	assert_false(a->never_sent);
	a = get(f, "/rubbish");
	assert_int_equal(0, a->status);
	assert_string_equal("the answer is not HTTP", a->error);
}

static void
a_fresh_connection_that_hangs_up_is_not_tried_again(void **state)
{
	struct fixture *f = *state;
	struct answer *a;

	make_http(f, 1, 10000);
	a = get(f, "/hang-up");
	assert_int_equal(0, a->status);
	assert_string_equal("closed by the peer without an answer", a->error);
	assert_false(a->never_sent);
	assert_int_equal(1, atomic_load(&f->peer.requests));
}

static void
an_answer_over_the_limit_fails(void **state)
{
	struct fixture *f = *state;

	make_http(f, 1, 10000);
	assert_string_equal("the answer is too large", get(f, "/big")->error);
	assert_true(get(f, "/big")->too_large);
	assert_string_equal("the answer is too large", get(f, "/chunks")->error);
	assert_true(get(f, "/chunks")->too_large);
	assert_int_equal(200, get(f, "/ok")->status);
	assert_false(get(f, "/ok")->too_large);
}

static void
a_kept_connection_that_was_closed_is_tried_again_at_once(void **state)
{
	struct fixture *f = *state;
	struct answer *a;

	make_http(f, 1, 10000);
	assert_string_equal("alive", get(f, "/second-dies")->body);
	assert_string_equal("alive", get(f, "/second-dies")->body);
	a = ask(f, "POST", "/second-dies", "{}");
	loop_run(f->loop);
	assert_int_equal(200, a->status);
	assert_int_equal(3, atomic_load(&f->peer.connections));
	assert_int_equal(5, atomic_load(&f->peer.requests));
}

static void
a_kept_connection_reset_amid_the_body_is_tried_again_once(void **state)
{
	struct fixture *f = *state;
	char url[64], *body = malloc(5000000);
	struct answer *a;

	assert_non_null(body);
	memset(body, 'b', 5000000);
	make_http(f, 1, 10000);
	assert_string_equal("alive", get(f, "/second-dies-early")->body);
	snprintf(
	    url, sizeof(url), "http://127.0.0.1:%u/second-dies-early", (unsigned int)f->peer.port);
	a = ask_url(f, "POST", url, body, 5000000);
	loop_run(f->loop);
	assert_string_equal("", a->error);
	assert_int_equal(200, a->status);
	assert_int_equal(2, atomic_load(&f->peer.connections));
	assert_int_equal(3, atomic_load(&f->peer.requests));
}

static struct answer *
post_large(struct fixture *f)
{
	char url[64], *body = malloc(3000000);
	struct answer *a;

	assert_non_null(body);
	memset(body, 'b', 3000000);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/created", (unsigned int)f->peer.port);
	a = ask_url(f, "POST", url, body, 3000000);
	loop_run(f->loop);
	assert_int_equal(1, a->calls);
	return a;
}

/* Where curl does not begin again by itself: sending fails amid the body, nothing to read yet. */
static void
a_kept_connection_that_fails_while_sending_is_tried_again_once(void **state)
{
	struct fixture *f = *state;
	struct answer *a;

	make_http(f, 1, 10000);
	assert_int_equal(200, get(f, "/ok")->status);
	fail_after = 1000000;
	a = post_large(f);
	assert_int_equal(0, fail_after);
	assert_int_equal(201, a->status);
	assert_int_equal(2, atomic_load(&f->peer.connections));
	assert_int_equal(2, atomic_load(&f->peer.requests));
}

static void
a_fresh_connection_that_fails_while_sending_is_not_tried_again(void **state)
{
	struct fixture *f = *state;
	struct answer *a;

	make_http(f, 1, 10000);
	fail_after = 1000000;
	a = post_large(f);
	assert_int_equal(0, fail_after);
	assert_int_equal(0, a->status);
	assert_string_equal("connection broken", a->error);
	assert_false(a->never_sent);
}

static void
redirects_are_not_followed_and_retry_after_is_told(void **state)
{
	struct fixture *f = *state;
	struct answer *a;

	make_http(f, 1, 10000);
	assert_int_equal(302, get(f, "/elsewhere")->status);
	a = get(f, "/later");
	assert_int_equal(503, a->status);
	assert_int_equal(7, a->retry_after_s);
	assert_int_equal(2, atomic_load(&f->peer.requests));
}

static void
a_proxy_of_the_environment_is_not_used(void **state)
{
	struct fixture *f = *state;

	setenv("http_proxy", "http://127.0.0.1:1", 1);
	make_http(f, 1, 10000);
	assert_int_equal(200, get(f, "/ok")->status);
	unsetenv("http_proxy");
}

static void
ask_another(struct fixture *f)
{
	ask(f, "GET", "/created", NULL);
}

static void
a_callback_may_begin_another_request(void **state)
{
	struct fixture *f = *state;

	make_http(f, 1, 10000);
	ask(f, "GET", "/ok", NULL)->then = ask_another;
	loop_run(f->loop);
	assert_int_equal(200, f->answers[0].status);
	assert_int_equal(201, f->answers[1].status);
	assert_int_equal(1, atomic_load(&f->peer.connections));
}

/* CouchDB locks a user after a few of them: what follows is answered here. */
static void
a_refused_login_is_not_tried_again_and_again(void **state)
{
	static const char *const refusals[] = {"/unauthorized", "/locked"};
	struct fixture *f = *state;

	for (size_t i = 0; i < 2; i++) {
		unsigned int before;
		struct answer *a;

		make_http(f, 1, 10000);
		before = atomic_load(&f->peer.requests);
		a = ask(f, "GET", refusals[i], NULL);
		for (int k = 0; k < 3; k++) /* they wait for the connection */
			ask(f, "GET", "/ok", NULL);
		loop_run(f->loop);
		assert_int_equal(i == 0 ? 401 : 403, a->status);
		for (int k = 1; k < 4; k++) {
			assert_int_equal(0, a[k].status);
			assert_true(a[k].refused == a->status && a[k].never_sent);
			assert_string_equal(a->body, a[k].body);
		}
		assert_true(get(f, "/ok")->refused != 0);
		assert_int_equal(before + 1, atomic_load(&f->peer.requests));
		/* A new one, be it the same, is tried at once. */
		http_set_login(f->http, "ad:min", "s3 cret");
		assert_int_equal(401, get(f, "/unauthorized")->status);
		assert_true(get(f, "/ok")->refused != 0);
		while (get(f, "/ok")->refused != 0) { /* and the old one after a while */
			f->asked--;
			f->answered--;
			free(f->answers[f->asked].body);
			memset(&f->answers[f->asked], 0, sizeof(f->answers[0]));
		}
		assert_int_equal(before + 3, atomic_load(&f->peer.requests));
		http_destroy(f->http);
		f->http = NULL;
	}
}

/* Until it is known to be good one request at a time has it: a wrong one costs one failure. */
static void
a_login_is_tried_by_one_request(void **state)
{
	struct fixture *f = *state;

	make_http(f, 4, 10000);
	for (int i = 0; i < 10; i++)
		ask(f, "GET", "/unauthorized", NULL);
	loop_run(f->loop);
	assert_int_equal(1, atomic_load(&f->peer.requests));
	http_set_login(f->http, "ad:min", "n3w");
	for (int i = 0; i < 10; i++)
		ask(f, "GET", "/unauthorized", NULL);
	loop_run(f->loop);
	assert_int_equal(2, atomic_load(&f->peer.requests));
}

/* Its answer comes when another login is in force already. */
static void
a_refusal_of_the_login_before_does_not_count(void **state)
{
	struct fixture *f = *state;
	struct answer *a;

	make_http(f, 1, 10000);
	a = ask(f, "GET", "/unauthorized", NULL);
	http_set_login(f->http, "ad:min", "n3w");
	ask(f, "GET", "/ok", NULL);
	loop_run(f->loop);
	assert_int_equal(401, a[0].status);
	assert_int_equal(200, a[1].status);
}

/* A refusal that is none of the login: of a document, of who is no member. */
static void
another_refusal_is_no_login(void **state)
{
	struct fixture *f = *state;

	make_http(f, 1, 10000);
	assert_int_equal(403, get(f, "/forbidden")->status);
	assert_int_equal(200, get(f, "/ok")->status);
	http_set_login(f->http, NULL, NULL);
	assert_int_equal(401, get(f, "/unauthorized")->status);
	assert_int_equal(200, get(f, "/ok")->status);
}

static void
destroy_http(struct fixture *f)
{
	http_destroy(f->http);
	f->http = NULL;
	loop_stop(f->loop);
}

static void
destroy_with_refused_ones_calls_nobody(void **state)
{
	struct fixture *f = *state;
	struct answer *a;

	make_http(f, 1, 10000);
	get(f, "/unauthorized");
	a = ask(f, "GET", "/ok", NULL);
	http_destroy(f->http);
	assert_int_equal(0, a->calls);
	f->asked--;
	make_http(f, 1, 10000);
	get(f, "/unauthorized");
	a = ask(f, "GET", "/ok", NULL);
	a->then = destroy_http;
	ask(f, "GET", "/ok", NULL);
	loop_run(f->loop);
	assert_int_equal(1, a[0].calls);
	assert_int_equal(0, a[1].calls);
}

static void
destroy_with_requests_in_flight_calls_nobody(void **state)
{
	struct fixture *f = *state;
	int i;

	make_http(f, 4, 10000);
	ask(f, "GET", "/ok", NULL)->then = destroy_http;
	for (i = 0; i < 10; i++)
		ask(f, "POST", "/silent", "{}");
	loop_run(f->loop);
	for (i = 1; i < 11; i++)
		assert_int_equal(0, f->answers[i].calls);
	/* And before the first pass. */
	make_http(f, 4, 10000);
	ask(f, "GET", "/ok", NULL);
	destroy_http(f);
}

/* Descriptors of ours that are connected to the peer. */
static int
connections_to_peer(const struct fixture *f)
{
	struct sockaddr_in sin;
	int fd, count = 0;

	for (fd = 0; fd < 256; fd++) {
		socklen_t len = sizeof(sin);

		if (getpeername(fd, (struct sockaddr *)&sin, &len) == 0 &&
		    sin.sin_family == AF_INET && ntohs(sin.sin_port) == f->peer.port)
			count++;
	}
	return count;
}

static void
destroy_closes_every_connection(void **state)
{
	struct fixture *f = *state;
	int i;

	for (i = 0; i < 3; i++) {
		make_http(f, 4, 10000);
		get(f, "/ok");
		assert_int_equal(1, connections_to_peer(f));
		http_destroy(f->http);
		f->http = NULL;
		assert_int_equal(0, connections_to_peer(f));
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(an_answer_has_status_type_and_body),
	    TEST(the_next_host_is_asked),
	    TEST(no_host_can_be_reached),
	    TEST(a_request_carries_method_body_and_login),
	    TEST(a_large_body_arrives_whole),
	    TEST(a_connection_is_kept_and_used_again),
	    TEST(requests_are_in_flight_together),
	    TEST(more_requests_than_connections_wait_their_turn),
	    TEST(waiting_for_a_turn_does_not_count_as_silence),
	    TEST(silence_ends_at_the_time_limit),
	    TEST(a_refused_connection_was_never_sent),
	    TEST(a_name_that_cannot_be_resolved_was_never_sent),
	    TEST(a_url_that_is_none_is_an_answer_too),
	    TEST(a_cut_answer_is_no_answer),
	    TEST(a_fresh_connection_that_hangs_up_is_not_tried_again),
	    TEST(an_answer_over_the_limit_fails),
	    TEST(a_kept_connection_that_was_closed_is_tried_again_at_once),
	    TEST(a_kept_connection_reset_amid_the_body_is_tried_again_once),
	    TEST(a_kept_connection_that_fails_while_sending_is_tried_again_once),
	    TEST(a_fresh_connection_that_fails_while_sending_is_not_tried_again),
	    TEST(redirects_are_not_followed_and_retry_after_is_told),
	    TEST(a_proxy_of_the_environment_is_not_used),
	    TEST(a_callback_may_begin_another_request),
	    TEST(a_refused_login_is_not_tried_again_and_again),
	    TEST(a_login_is_tried_by_one_request),
	    TEST(a_refusal_of_the_login_before_does_not_count),
	    TEST(another_refusal_is_no_login),
	    TEST(destroy_with_refused_ones_calls_nobody),
	    TEST(destroy_with_requests_in_flight_calls_nobody),
	    TEST(destroy_closes_every_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
