/* SPDX-License-Identifier: Apache-2.0 */
/* See stream.h.
 *
 *   RESOLVING --> CONNECTING --> OPEN --> ENDING --> DOWN
 *       |          |  ^  |  |      ^                  ^
 *       |          +--+  |  +-> SECURING --> refused -+
 *       |                +--- no address is left -----+
 *       +------------------- not resolved ------------+
 *
 * SECURING: the TLS handshake. When the connection breaks or time runs out there, the next address
 * is tried; when TLS itself is refused, another address would hardly say better.
 *
 * ENDING: the peer is gone, and what it sent before is still being handed over. stream_close() ends
 * any of them. */
#include "shared/event/stream.h"

#include "shared/base/errtext.h"
#include "shared/base/trouble.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/event/resolver.h"
#include "shared/event/tls.h"

#include <bsd/string.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	PIECE_MAX = 64 * 1024,  /* of stream_peek(), and taken off the socket in one pass */
	INPUT_MAX = 256 * 1024, /* held undrained; reading stops there */
	LIBEVENT_READ = 4096,   /* what libevent 2.1 takes off a socket at once */
	WRITE_MAX = 256 * 1024, /* put into the socket in one pass */
};

enum stream_state {
	STREAM_RESOLVING,
	STREAM_CONNECTING,
	STREAM_SECURING,
	STREAM_OPEN,
	STREAM_ENDING,
	STREAM_IS_DOWN,
	STREAM_CLOSED,
};

/* Only a stream with TLS needs these. */
struct stream_tls {
	struct tls_options options;
	char *host;
	struct tls_verdict verdict;
	bool failed;
};

struct stream {
	struct loop *loop;
	enum stream_state state;
	stream_fn *fn;
	void *arg;
	size_t output_max, output_high;
	uint32_t connect_timeout_ms;
	struct resolver *resolver;   /* RESOLVING */
	struct addrinfo *list;       /* from CONNECTING on */
	const struct addrinfo *next; /* in list: the one to try after this */
	struct stream_tls *tls;      /* NULL: none */
	int fd;                      /* CONNECTING; then bev's */
	struct loop_watch *watch;    /* CONNECTING */
	struct loop_timer *timer;    /* CONNECTING, SECURING: the attempt's end; then: input */
	struct bufferevent *bev;     /* from OPEN on; SECURING */
	bool paused;
	bool reading; /* EV_READ is enabled */
	bool was_congested;
	struct trouble error; /* why it is down, or went on to the next address */
	char peer[INET6_ADDRSTRLEN + 16];
};

const char *
stream_event_name(enum stream_event sev)
{
	switch (sev) {
	case STREAM_UP:
		return "UP";
	case STREAM_DATA:
		return "DATA";
	case STREAM_LOW:
		return "LOW";
	case STREAM_DOWN:
		return "DOWN";
	}
	return "?";
}

/* The callee may close s; s itself stays until the end of the pass. */
static void
emit(struct stream *s, enum stream_event sev)
{
	s->fn(s, sev, s->arg);
}

static struct evbuffer *
input_of(const struct stream *s)
{
	return bufferevent_get_input(s->bev);
}

static struct evbuffer *
output_of(const struct stream *s)
{
	return bufferevent_get_output(s->bev);
}

/* Bounds the input by hand: libevent's own read high-water mark would call us again and again for
 * as long as nobody drains. */
static void
update_reading(struct stream *s)
{
	bool wanted =
	    s->state == STREAM_OPEN && !s->paused && evbuffer_get_length(input_of(s)) < INPUT_MAX;

	if (wanted == s->reading)
		return;
	s->reading = wanted;
	if (wanted)
		bufferevent_enable(s->bev, EV_READ);
	else
		bufferevent_disable(s->bev, EV_READ);
}

/* Lets go of everything that could still call us. */
static void
silence(struct stream *s)
{
	resolver_cancel(s->resolver);
	s->resolver = NULL;
	loop_watch_destroy(s->watch);
	s->watch = NULL;
	if (s->timer != NULL)
		loop_timer_disarm(s->timer);
	if (s->bev != NULL)
		bufferevent_disable(s->bev, EV_READ | EV_WRITE);
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

static void
bufferevent_drop(void *obj)
{
	SSL *ssl = bufferevent_openssl_get_ssl(obj);

	/* Best effort: says goodbye, but waits for nothing. */
	if (ssl != NULL && SSL_is_init_finished(ssl) == 1)
		(void)SSL_shutdown(ssl);
	ERR_clear_error();
	bufferevent_free(obj); /* closes the socket */
}

/* The bufferevent may still be at work, but calls us no more. */
static void
abandon_bufferevent(struct stream *s)
{
	bufferevent_setcb(s->bev, NULL, NULL, NULL, NULL);
	bufferevent_disable(s->bev, EV_READ | EV_WRITE);
	loop_defer_free(s->loop, s->bev, bufferevent_drop); /* we may be inside its callback */
	s->bev = NULL;
}

static void
set_error(struct stream *s, const char *error)
{
	trouble_set(&s->error, TROUBLE_OTHER, NULL, "%s", error);
}

/* s->error says why. */
static void
go_down(struct stream *s)
{
	silence(s);
	s->state = STREAM_IS_DOWN;
	emit(s, STREAM_DOWN);
}

/* Hands over what there is. A callee that drained only a part hears again in the next pass, see
 * stream_drain(); one that drained nothing when more bytes have come. */
static void
hand_over(struct stream *s)
{
	size_t before = evbuffer_get_length(input_of(s));

	if (s->paused)
		return;
	if (before > 0)
		emit(s, STREAM_DATA);
	if (s->state == STREAM_OPEN)
		update_reading(s);
	if (s->state != STREAM_ENDING || s->paused)
		return;
	/* After the end nothing more will come: who takes nothing now never will. */
	if (evbuffer_get_length(input_of(s)) == 0 || evbuffer_get_length(input_of(s)) == before)
		go_down(s);
}

/* Waits until its owner has taken what came before the end; then it is over. */
static void
enter_ending(struct stream *s)
{
	if (s->paused) { /* seen by a write: whoever takes no input learns it at once */
		go_down(s);
		return;
	}
	bufferevent_disable(s->bev, EV_READ | EV_WRITE);
	s->state = STREAM_ENDING;
	hand_over(s);
}

/* Reads what libevent's own small read has left, up to limit bytes. Returns 0, or the errno of a
 * broken connection. With TLS there is nothing for us on the socket: not to be called then. */
static int
read_rest(struct stream *s, size_t limit)
{
	struct evbuffer *input = input_of(s);
	size_t held = evbuffer_get_length(input);
	struct evbuffer_iovec space;
	ssize_t n = 0;
	int err = 0;

	if (held >= INPUT_MAX)
		return 0;
	if (limit > INPUT_MAX - held)
		limit = INPUT_MAX - held;
	evbuffer_unfreeze(input, 0); /* a bufferevent keeps others from appending to its input */
	if (evbuffer_reserve_space(input, (ev_ssize_t)limit, &space, 1) == 1) {
		if (space.iov_len > limit)
			space.iov_len = limit;
		n = recv(bufferevent_getfd(s->bev), space.iov_base, space.iov_len, MSG_DONTWAIT);
		err = n < 0 ? errno : 0;
		space.iov_len = n > 0 ? (size_t)n : 0;
		evbuffer_commit_space(input, &space, 1);
	}
	evbuffer_freeze(input, 0);
	/* An end of file stays there for the bufferevent to find; an error is told only once. */
	return err == EAGAIN || err == EINTR ? 0 : err;
}

static void
stream_on_readable(struct bufferevent *bev, void *arg)
{
	struct stream *s = arg;
	int err = 0;

	if (s->tls == NULL && evbuffer_get_length(input_of(s)) >= LIBEVENT_READ)
		err = read_rest(s, PIECE_MAX - LIBEVENT_READ);
	if (err != 0) {
		set_error(s, errtext_errno(err));
		enter_ending(s);
	} else {
		hand_over(s);
	}
}

/* Called when output is at or below its low-water mark. */
static void
stream_on_written(struct bufferevent *bev, void *arg)
{
	struct stream *s = arg;

	if (!s->was_congested)
		return;
	s->was_congested = false;
	emit(s, STREAM_LOW);
}

static void try_next_address(struct stream *s);

/* Is it that TLS does not go on? Then s->error says why. */
static bool
take_tls_error(struct stream *s, unsigned long code)
{
	struct stream_tls *tls = s->tls;

	if (tls == NULL || !tls_explain(code, &tls->verdict, &s->error))
		return false;
	tls->failed = true;
	return true;
}

/* Our write failed: why the peer hung up may still be waiting to be read. With TLS 1.3 that is how
 * a peer refuses our certificate, since for us the handshake was over by then. Returns OpenSSL's
 * code for how it ended, 0 = nothing was said. */
static unsigned long
read_rest_tls(struct stream *s)
{
	SSL *ssl = bufferevent_openssl_get_ssl(s->bev);
	struct evbuffer *input = input_of(s);
	char piece[LIBEVENT_READ];
	unsigned long code;
	int n;

	ERR_clear_error();
	evbuffer_unfreeze(input, 0);
	do {
		n = SSL_read(ssl, piece, sizeof(piece));
		if (n > 0)
			(void)evbuffer_add(input, piece, (size_t)n);
	} while (n > 0 && evbuffer_get_length(input) < INPUT_MAX);
	evbuffer_freeze(input, 0);
	code = ERR_peek_error();
	ERR_clear_error();
	return code;
}

static void
take_connection_error(struct stream *s, short what, int err)
{
	unsigned long code = s->tls == NULL ? 0 : bufferevent_get_openssl_error(s->bev);

	if (take_tls_error(s, code))
		return;
	if (s->state == STREAM_OPEN && s->tls != NULL && !s->paused &&
	    (what & BEV_EVENT_WRITING) != 0 && take_tls_error(s, read_rest_tls(s)))
		return;
	/* OpenSSL takes an end of file without a goodbye for an error; AMQP has its own goodbye. */
	if ((what & BEV_EVENT_EOF) != 0 || code != 0 || err == 0)
		set_error(s, "closed by the peer");
	else
		set_error(s, errtext_errno(err));
}

static void
enter_open(struct stream *s)
{
	loop_timer_disarm(s->timer);
	s->error = (struct trouble){0};
	s->state = STREAM_OPEN;
	update_reading(s); /* writing is enabled from birth */
	emit(s, STREAM_UP);
}

static void
handshake_failed(struct stream *s)
{
	abandon_bufferevent(s);
	silence(s);
	if (s->tls->failed) {
		go_down(s);
		return;
	}
	strlcat(s->error.what, " during the TLS handshake", sizeof(s->error.what));
	try_next_address(s);
}

static void
stream_on_bufferevent(struct bufferevent *bev, short what, void *arg)
{
	int err = errno;
	struct stream *s = arg;

	if ((what & BEV_EVENT_CONNECTED) != 0) {
		enter_open(s);
		return;
	}
	take_connection_error(s, what, err);
	if (s->state == STREAM_SECURING) {
		handshake_failed(s);
		return;
	}
	/* Our write failed: why the peer hung up may still be waiting to be read. */
	if ((what & BEV_EVENT_EOF) == 0 && (what & BEV_EVENT_WRITING) != 0 && !s->paused &&
	    s->tls == NULL)
		read_rest(s, INPUT_MAX);
	enter_ending(s);
}

static struct bufferevent *
make_tls_bufferevent(struct stream *s, int fd)
{
	struct stream_tls *tls = s->tls;
	char err[TLS_TEXT_MAX - 32];
	SSL *ssl = tls_client_create(&tls->options, tls->host, &tls->verdict, err, sizeof(err));
	struct bufferevent *bev;

	if (ssl == NULL) {
		trouble_set(&s->error, TROUBLE_OTHER, NULL, "TLS failed: %s", err);
		tls->failed = true;
		return NULL;
	}
	bev = bufferevent_openssl_socket_new(
	    loop_base(s->loop), fd, ssl, BUFFEREVENT_SSL_CONNECTING, BEV_OPT_CLOSE_ON_FREE);
	if (bev == NULL)
		SSL_free(ssl);
	else
		bufferevent_disable(bev, EV_READ); /* until update_reading() wants it */
	return bev;
}

/* The one place where a bufferevent is made. */
static struct bufferevent *
make_bufferevent(struct stream *s, int fd)
{
	struct bufferevent *bev;

	if (s->tls != NULL)
		bev = make_tls_bufferevent(s, fd);
	else
		bev = bufferevent_socket_new(loop_base(s->loop), fd, BEV_OPT_CLOSE_ON_FREE);
	if (bev == NULL)
		return NULL;
	bufferevent_setcb(bev, stream_on_readable, stream_on_written, stream_on_bufferevent, s);
	bufferevent_setwatermark(bev, EV_WRITE, s->output_high / 2, 0);
	bufferevent_set_max_single_write(bev, WRITE_MAX);
	return bev;
}

static void
enter_connected(struct stream *s)
{
	s->bev = make_bufferevent(s, s->fd);
	if (s->bev == NULL) {
		if (s->tls == NULL || !s->tls->failed)
			set_error(s, "out of memory");
		go_down(s);
		return;
	}
	s->fd = -1;
	if (s->tls == NULL)
		enter_open(s);
	else
		s->state = STREAM_SECURING; /* the timer goes on */
}

static void
set_peer(struct stream *s, const struct addrinfo *ai)
{
	char host[INET6_ADDRSTRLEN + 8], port[8];

	if (getnameinfo(ai->ai_addr, ai->ai_addrlen, host, sizeof(host), port, sizeof(port),
		NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		return;
	snprintf(
	    s->peer, sizeof(s->peer), ai->ai_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

/* Best effort: the connection works without. No TCP_USER_TIMEOUT: it would also end a connection
 * whose peer keeps its window shut, as a broker under memory alarm does for as long as that lasts.
 * Who is gone is found by the silence of its heartbeats. */
static void
set_socket_options(int fd)
{
	static const struct {
		int level, name, value;
	} options[] = {
	    {IPPROTO_TCP, TCP_NODELAY, 1},
	    {SOL_SOCKET, SO_KEEPALIVE, 1},
	    {IPPROTO_TCP, TCP_KEEPIDLE, 60},  /* seconds */
	    {IPPROTO_TCP, TCP_KEEPINTVL, 10}, /* seconds */
	    {IPPROTO_TCP, TCP_KEEPCNT, 6},
	};
	size_t i;

	for (i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		(void)setsockopt(fd, options[i].level, options[i].name, &options[i].value,
		    sizeof(options[i].value));
}

/* A connection from an ephemeral port to itself: Linux allows it when nobody listens there. */
static bool
is_self_connected(int fd)
{
	struct sockaddr_storage here = {0}, there = {0};
	socklen_t here_len = sizeof(here), there_len = sizeof(there);

	return getsockname(fd, (struct sockaddr *)&here, &here_len) == 0 &&
	       getpeername(fd, (struct sockaddr *)&there, &there_len) == 0 &&
	       here_len == there_len && memcmp(&here, &there, here_len) == 0;
}

static int
connect_result(int fd)
{
	int err = 0;
	socklen_t len = sizeof(err);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) != 0)
		return errno;
	if (err == 0 && is_self_connected(fd))
		return ECONNREFUSED;
	return err;
}

static void
stream_on_connect(int fd, unsigned int events, void *arg)
{
	struct stream *s = arg;
	int err = connect_result(fd);

	if (err != 0) {
		set_error(s, errtext_errno(err));
		silence(s);
		try_next_address(s);
		return;
	}
	loop_watch_destroy(s->watch);
	s->watch = NULL;
	enter_connected(s);
}

static void
stream_on_timer(void *arg)
{
	struct stream *s = arg;

	if (s->state == STREAM_CONNECTING) {
		set_error(s, "connect timed out");
		silence(s);
		try_next_address(s);
	} else if (s->state == STREAM_SECURING) {
		set_error(s, "no answer in time");
		handshake_failed(s);
	} else {
		hand_over(s);
	}
}

static bool
start_connect(struct stream *s, const struct addrinfo *ai)
{
	set_peer(s, ai);
	s->fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, ai->ai_protocol);
	if (s->fd < 0) {
		set_error(s, errtext_errno(errno));
		return false;
	}
	set_socket_options(s->fd);
	if (connect(s->fd, ai->ai_addr, ai->ai_addrlen) != 0 && errno != EINPROGRESS &&
	    errno != EINTR) {
		set_error(s, errtext_errno(errno));
		silence(s);
		return false;
	}
	s->watch = loop_watch_create(s->loop, s->fd, LOOP_WRITE, stream_on_connect, s);
	loop_timer_arm(s->timer, s->connect_timeout_ms);
	return true;
}

static void
try_next_address(struct stream *s)
{
	const struct addrinfo *ai;

	while (s->next != NULL) {
		ai = s->next;
		s->next = ai->ai_next;
		s->state = STREAM_CONNECTING;
		if (start_connect(s, ai))
			return;
	}
	go_down(s);
}

static void
stream_on_resolved(struct addrinfo *list, const struct trouble *t, void *arg)
{
	struct stream *s = arg;

	s->resolver = NULL;
	if (list == NULL) {
		s->error = *t;
		go_down(s);
		return;
	}
	s->list = list;
	s->next = list;
	s->state = STREAM_CONNECTING;
	try_next_address(s);
}

struct stream *
stream_open(struct loop *loop, const struct stream_options *opt, stream_fn *fn, void *arg)
{
	struct stream *s = xcalloc(1, sizeof(*s));

	s->loop = loop;
	s->fn = fn;
	s->arg = arg;
	s->output_max = opt->output_max;
	s->output_high = opt->output_high;
	s->connect_timeout_ms = opt->connect_timeout_ms;
	s->fd = -1;
	if (opt->tls != NULL) {
		s->tls = xcalloc(1, sizeof(*s->tls));
		s->tls->host = xstrdup(opt->host);
		tls_options_copy(&s->tls->options, opt->tls);
	}
	s->state = STREAM_RESOLVING;
	snprintf(s->peer, sizeof(s->peer), "%s:%u", opt->host, (unsigned int)opt->port);
	s->timer = loop_timer_create(loop, "stream", stream_on_timer, s);
	s->resolver = resolver_start(loop, opt->host, opt->port, stream_on_resolved, s);
	return s;
}

static void
stream_free(void *obj)
{
	struct stream *s = obj;

	if (s->bev != NULL)
		bufferevent_drop(s->bev);
	if (s->list != NULL)
		freeaddrinfo(s->list);
	if (s->tls != NULL) {
		tls_options_finish(&s->tls->options);
		free(s->tls->host);
		free(s->tls);
	}
	free(s);
}

void
stream_close(struct stream *s)
{
	if (s == NULL || s->state == STREAM_CLOSED)
		return;
	silence(s);
	s->state = STREAM_CLOSED;
	loop_timer_destroy(s->timer);
	s->timer = NULL;
	if (s->bev != NULL)
		bufferevent_setcb(s->bev, NULL, NULL, NULL, NULL);
	/* Whoever closes inside a callback may still be reading what stream_peek() gave. */
	loop_defer_free(s->loop, s, stream_free);
}

const void *
stream_peek(struct stream *s, size_t *len)
{
	const void *piece = NULL;

	*len = s->bev == NULL ? 0 : evbuffer_get_length(input_of(s));
	if (*len > PIECE_MAX)
		*len = PIECE_MAX;
	if (*len > 0)
		piece = evbuffer_pullup(input_of(s), (ev_ssize_t)*len);
	if (piece == NULL) { /* empty, or no memory to join the pieces just now */
		*len = 0;
		return "";
	}
	return piece;
}

/* Hands over in the next pass what is left, and the end when it waits for that. */
static void
arm_hand_over(struct stream *s)
{
	if (s->state == STREAM_ENDING ||
	    (s->state == STREAM_OPEN && evbuffer_get_length(input_of(s)) > 0))
		loop_timer_arm(s->timer, 0);
	if (s->state == STREAM_OPEN)
		update_reading(s);
}

void
stream_drain(struct stream *s, size_t len)
{
	if (s->bev == NULL)
		return;
	evbuffer_drain(input_of(s), len);
	arm_hand_over(s);
}

bool
stream_write(struct stream *s, const void *data, size_t len)
{
	size_t held;

	if (s->state != STREAM_OPEN)
		return false;
	held = evbuffer_get_length(output_of(s));
	if (held > s->output_max || len > s->output_max - held)
		return false;
	if (bufferevent_write(s->bev, data, len) != 0)
		return false;
	if (held + len > s->output_high)
		s->was_congested = true;
	return true;
}

bool
stream_congested(const struct stream *s)
{
	return s->state == STREAM_OPEN && evbuffer_get_length(output_of(s)) > s->output_high;
}

size_t
stream_unsent(const struct stream *s)
{
	int queued = 0;

	if (s->state != STREAM_OPEN)
		return 0;
	(void)ioctl(bufferevent_getfd(s->bev), SIOCOUTQ, &queued); /* tcp(7): 0 if it fails */
	return evbuffer_get_length(output_of(s)) + (size_t)queued;
}

void
stream_pause(struct stream *s)
{
	s->paused = true;
	if (s->state == STREAM_OPEN)
		update_reading(s);
}

void
stream_resume(struct stream *s)
{
	s->paused = false;
	if (s->bev != NULL)
		arm_hand_over(s);
}

const struct trouble *
stream_error(const struct stream *s)
{
	return &s->error;
}

bool
stream_tls_failed(const struct stream *s)
{
	return s->tls != NULL && s->tls->failed;
}

int64_t
stream_certificate_end(const struct stream *s)
{
	return s->tls == NULL || s->bev == NULL
		   ? 0
		   : tls_certificate_end(bufferevent_openssl_get_ssl(s->bev));
}

const char *
stream_peer(const struct stream *s)
{
	return s->peer;
}
