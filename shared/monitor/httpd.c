/* SPDX-License-Identifier: Apache-2.0 */
/* See httpd.h.
 *
 * evhttp ends a connection that is idle, but counts none and lets one byte every few seconds go on
 * for ever. So the bufferevents of its connections are made here, and a reference to each is kept:
 * shutdown(2) of its socket makes evhttp end it, and one without callbacks is one that evhttp has
 * let go of. Its events are gone only with the last reference, so the socket must live as long
 * (CLOSE_ON_FREE): else they would fire for whatever gets its number next. */
#include "shared/monitor/httpd.h"

#include "shared/base/errtext.h"
#include "shared/base/log.h"
#include "shared/base/ratelimit.h"
#include "shared/base/xalloc.h"
#include "shared/event/listen_addr.h"
#include "shared/event/loop.h"

#include <bsd/sys/queue.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define IDLE_S   5
#define BACKLOG  16
#define PAUSE_MS 1000 /* after an accept() that failed */
/* All that evhttp knows: what is not GET is told so, and not that it does not exist. */
#define ALL_METHODS                                                                                \
	(EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD | EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE | \
	    EVHTTP_REQ_OPTIONS | EVHTTP_REQ_TRACE | EVHTTP_REQ_CONNECT | EVHTTP_REQ_PATCH)

struct guest {
	struct bufferevent *bev; /* NULL: the place is free */
	struct mono since;
};

struct httpd {
	LIST_ENTRY(httpd) entry;
	struct loop *loop;
	struct evconnlistener *listener; /* evhttp's */
	struct loop_timer *resume;       /* armed while the listener is paused */
	struct ratelimit failures;       /* of accept() */
	struct evhttp *http;
	const struct httpd_page *pages;
	size_t n_pages;
	void *arg;
	struct guest guests[HTTPD_CONNECTIONS_MAX];
	struct loop_timer *end;
};

/* evhttp takes the listener's argument for itself, so whose it is must be looked up. */
static LIST_HEAD(, httpd) all = LIST_HEAD_INITIALIZER(all);

/* ---- accept() fails ---- */

static struct httpd *
owner_of(const struct evconnlistener *listener)
{
	struct httpd *h;

	LIST_FOREACH (h, &all, entry) {
		if (h->listener == listener)
			return h;
	}
	return NULL;
}

/* Who cannot be accepted stays in the kernel's queue, so the socket stays readable: without the
 * pause the loop would do nothing else. */
static void
on_accept_error(struct evconnlistener *listener, void *evhttp)
{
	const char *why = errtext_errno(errno);
	struct httpd *h = owner_of(listener);
	uint32_t unlogged;

	if (h == NULL)
		return;
	evconnlistener_disable(listener);
	loop_timer_arm(h->resume, PAUSE_MS);
	if (ratelimit_due(&h->failures, why, loop_now(h->loop), &unlogged))
		log_warn("httpd",
		    "cannot accept a connection: %s; trying again every second, unlogged=%u", why,
		    (unsigned int)unlogged);
}

static void
on_resume(void *arg)
{
	struct httpd *h = arg;

	evconnlistener_enable(h->listener);
}

static void
note_accepted(struct httpd *h)
{
	uint32_t unlogged;

	if (ratelimit_over(&h->failures, loop_now(h->loop), &unlogged))
		log_warn(
		    "httpd", "connections are accepted again, unlogged=%u", (unsigned int)unlogged);
}

/* ---- who is connected ---- */

static bool
is_gone(const struct guest *g)
{
	bufferevent_data_cb on_read, on_write;
	bufferevent_event_cb on_event;

	bufferevent_getcb(g->bev, &on_read, &on_write, &on_event, NULL);
	return on_read == NULL && on_write == NULL && on_event == NULL;
}

static void
forget_gone(struct httpd *h)
{
	for (size_t i = 0; i < HTTPD_CONNECTIONS_MAX; i++) {
		struct guest *g = &h->guests[i];

		if (g->bev != NULL && is_gone(g)) {
			bufferevent_decref(g->bev);
			g->bev = NULL;
		}
	}
}

static struct guest *
oldest(struct httpd *h)
{
	struct guest *found = NULL;

	for (size_t i = 0; i < HTTPD_CONNECTIONS_MAX; i++) {
		struct guest *g = &h->guests[i];

		if (g->bev != NULL && (found == NULL || mono_diff(g->since, found->since) < 0))
			found = g;
	}
	return found;
}

static struct guest *
free_place(struct httpd *h)
{
	for (size_t i = 0; i < HTTPD_CONNECTIONS_MAX; i++) {
		if (h->guests[i].bev == NULL)
			return &h->guests[i];
	}
	return NULL;
}

/* evhttp sees the end of the stream in the next pass, and frees it. */
static void
turn_out(struct guest *g)
{
	shutdown(bufferevent_getfd(g->bev), SHUT_RDWR);
	bufferevent_decref(g->bev);
	g->bev = NULL;
}

static void
arm_end(struct httpd *h)
{
	struct guest *g = oldest(h);

	if (g == NULL)
		loop_timer_disarm(h->end);
	else
		loop_timer_arm(h->end, HTTPD_LIFE_MS - mono_diff(loop_now(h->loop), g->since));
}

static void
on_end(void *arg)
{
	struct httpd *h = arg;
	struct guest *g;

	forget_gone(h);
	for (g = oldest(h); g != NULL; g = oldest(h)) {
		if (mono_diff(loop_now(h->loop), g->since) < HTTPD_LIFE_MS)
			break;
		turn_out(g);
	}
	arm_end(h);
}

/* evhttp asks for the bufferevent of a connection that it has accepted. */
static struct bufferevent *
on_connection(struct event_base *base, void *arg)
{
	struct httpd *h = arg;
	struct bufferevent *bev = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
	struct guest *g;

	if (bev == NULL)
		return NULL; /* evhttp tries for itself, and fails for itself */
	note_accepted(h);
	forget_gone(h);
	g = free_place(h);
	if (g == NULL) {
		g = oldest(h);
		turn_out(g);
	}
	bufferevent_setwatermark(bev, EV_READ, 0, 2 * HTTPD_HEADERS_MAX);
	bufferevent_incref(bev);
	*g = (struct guest){bev, loop_now(h->loop)};
	arm_end(h);
	return bev;
}

/* ---- requests ---- */

static void
reply(struct evhttp_request *req, int status, const char *reason, const char *type,
    const struct buf *body)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(req);
	struct evbuffer *out = evhttp_request_get_output_buffer(req);

	evhttp_add_header(headers, "Content-Type", type);
	evhttp_add_header(headers, "Connection", "close");
	evhttp_add_header(headers, "Cache-Control", "no-store");
	evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
	if (body->len > 0)
		evbuffer_add(out, body->data, body->len);
	evhttp_send_reply(req, status, reason, NULL);
}

static void
reply_text(struct evhttp_request *req, int status, const char *reason)
{
	struct buf text;

	buf_init(&text, 256);
	if (!buf_printf(&text, "%s\n", reason))
		buf_reset(&text);
	reply(req, status, reason, "text/plain; charset=utf-8", &text);
	buf_finish(&text);
}

static const char *
reason_of(int status)
{
	return status == 200 ? "OK" : status == 503 ? "Service Unavailable" : "Unknown";
}

static void
serve(struct httpd *h, struct evhttp_request *req, const struct httpd_page *page)
{
	struct buf out;
	int status;

	buf_init(&out, HTTPD_PAGE_MAX);
	status = page->make(&out, h->arg);
	if (status == 500)
		reply_text(req, 500, "Internal Server Error");
	else
		reply(req, status, reason_of(status), page->content_type, &out);
	buf_finish(&out);
}

static void
on_request(struct evhttp_request *req, void *arg)
{
	struct httpd *h = arg;
	const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(req));

	if (evhttp_request_get_command(req) != EVHTTP_REQ_GET) {
		evhttp_add_header(evhttp_request_get_output_headers(req), "Allow", "GET");
		reply_text(req, HTTP_BADMETHOD, "Method Not Allowed");
		return;
	}
	for (size_t i = 0; path != NULL && i < h->n_pages; i++) {
		if (strcmp(path, h->pages[i].path) == 0) {
			serve(h, req, &h->pages[i]);
			return;
		}
	}
	reply_text(req, HTTP_NOTFOUND, "Not Found");
}

/* ---- start and stop ---- */

struct httpd *
httpd_start(struct loop *loop, const struct listen_addr *address, const struct httpd_page *pages,
    size_t n_pages, void *arg)
{
	unsigned int flags = LEV_OPT_REUSEABLE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_CLOSE_ON_FREE;
	struct evconnlistener *listener = evconnlistener_new_bind(loop_base(loop), NULL, NULL,
	    flags, BACKLOG, (const struct sockaddr *)&address->addr, (int)address->len);
	struct httpd *h;

	if (listener == NULL)
		return NULL;
	h = xcalloc(1, sizeof(*h));
	h->loop = loop;
	h->pages = pages;
	h->n_pages = n_pages;
	h->arg = arg;
	h->end = loop_timer_create(loop, "httpd end", on_end, h);
	h->resume = loop_timer_create(loop, "httpd resume", on_resume, h);
	h->listener = listener;
	LIST_INSERT_HEAD(&all, h, entry);
	h->http = evhttp_new(loop_base(loop));
	if (h->http == NULL || evhttp_bind_listener(h->http, listener) == NULL)
		fatal("httpd", "out of memory");
	evconnlistener_set_error_cb(listener, on_accept_error);
	evhttp_set_max_headers_size(h->http, HTTPD_HEADERS_MAX);
	evhttp_set_max_body_size(h->http, HTTPD_BODY_MAX);
	evhttp_set_timeout(h->http, IDLE_S);
	evhttp_set_allowed_methods(h->http, ALL_METHODS);
	evhttp_set_bevcb(h->http, on_connection, h);
	evhttp_set_gencb(h->http, on_request, h);
	return h;
}

void
httpd_stop(struct httpd *h)
{
	if (h == NULL)
		return;
	LIST_REMOVE(h, entry);
	evhttp_free(h->http); /* its connections and listener too */
	for (size_t i = 0; i < HTTPD_CONNECTIONS_MAX; i++) {
		if (h->guests[i].bev != NULL)
			bufferevent_decref(h->guests[i].bev);
	}
	loop_timer_destroy(h->end);
	loop_timer_destroy(h->resume);
	free(h);
}
