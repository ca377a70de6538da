/* SPDX-License-Identifier: Apache-2.0 */
/* See fake_broker_api.h. */
#include "tests/fake/fake_broker_api.h"

#include "shared/base/xalloc.h"
#include "shared/event/loop.h"

#include <assert.h>
#include <bsd/sys/queue.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOG_SIZE 65536

struct broker {
	const char *unbound;
	LIST_ENTRY(broker) link;
	struct broker_options opt;
	char *role;
	char *id;
	const struct broker_handlers *handlers;
	void *arg;
	struct loop_timer *soon;
	const struct broker_status *status; /* NULL: from what is here */
	bool ready, blocked, paused, auto_confirm, redelivers;
	size_t headers_max, body_max, room; /* 0 = none; room: what goes out now */
	struct {
		const char *queue; /* of the code under test: a constant, or its own */
		bool on, told;
	} consumers[BROKER_CONSUMERS_MAX];
	size_t n_consumers;
	const char *without, *why;         /* broker_without() */
	char *asked;                       /* the queue */
	bool tell_consuming, tell_stopped; /* what the next pass tells */
	uint32_t epoch;
	uint64_t last_tag;
	struct fake_publish *published;
	size_t n_published;
	uint32_t unconfirmed;
	char *log;
};

static LIST_HEAD(, broker) brokers = LIST_HEAD_INITIALIZER(brokers);

static void note(struct broker *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void
note(struct broker *b, const char *fmt, ...)
{
	size_t len = strlen(b->log);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(b->log + len, LOG_SIZE - len, fmt, ap);
	va_end(ap);
	len = strlen(b->log);
	snprintf(b->log + len, LOG_SIZE - len, "; ");
}

/* ---- shared/amqp/broker.h: values ---- */

void
delivery_destroy(struct delivery *d)
{
	if (d == NULL)
		return;
	message_finish(&d->message);
	free(d->exchange);
	free(d->routing_key);
	free(d);
}

size_t
delivery_size(const struct delivery *d)
{
	return sizeof(*d) + message_size(&d->message);
}

const char *
broker_outcome_name(enum broker_outcome outcome)
{
	static const char *const names[] = {"CONFIRMED", "NACKED", "RETURNED", "LOST"};

	return names[outcome];
}

const char *
broker_error_name(enum broker_error error)
{
	return error == BROKER_ERR_NETWORK ? "NETWORK" : "OTHER";
}

void
broker_options_default(struct broker_options *opt)
{
	memset(opt, 0, sizeof(*opt));
	opt->heartbeat_s = 10;
	opt->connect_timeout_ms = 10000;
	opt->reconnect_first_ms = 500;
	opt->reconnect_max_ms = 30000;
	opt->max_body_bytes = 16 * 1024 * 1024;
	opt->output_max = 32 * 1024 * 1024;
	opt->max_unconfirmed = 1000;
}

/* ---- shared/amqp/broker.h: the connection ---- */

static void
tell_consumers(struct broker *b)
{
	for (size_t j = 0; j < b->n_consumers; j++) {
		bool on = b->consumers[j].on;

		if (b->consumers[j].told == on)
			continue;
		b->consumers[j].told = on;
		if (b->handlers->on_consuming != NULL)
			b->handlers->on_consuming(b, b->consumers[j].queue, on, b->arg);
	}
}

static void
drop_consumers(struct broker *b)
{
	for (size_t j = 0; j < b->n_consumers; j++)
		b->consumers[j].on = false;
}

static void
on_soon(void *arg)
{
	struct broker *b = arg;
	size_t i;

	if (b->tell_consuming) {
		b->tell_consuming = false;
		tell_consumers(b);
	}
	for (i = 0; b->auto_confirm && i < b->n_published; i++) {
		if (!b->published[i].answered)
			fake_broker_confirm(b, b->published[i].id, BROKER_CONFIRMED, NULL);
	}
	if (b->tell_stopped) {
		b->tell_stopped = false;
		if (b->handlers->on_stopped != NULL)
			b->handlers->on_stopped(b, b->arg);
	}
}

struct broker *
broker_create(struct loop *loop, const struct broker_options *opt,
    const struct broker_handlers *handlers, void *arg)
{
	struct broker *b = xcalloc(1, sizeof(*b));

	b->opt = *opt;
	b->role = xstrdup(opt->role != NULL ? opt->role : "");
	xasprintf(&b->id, "fake:%s", b->role);
	b->handlers = handlers;
	b->arg = arg;
	b->log = xcalloc(1, LOG_SIZE);
	b->soon = loop_timer_create(loop, "fake broker", on_soon, b);
	LIST_INSERT_HEAD(&brokers, b, link);
	return b;
}

void
broker_destroy(struct broker *b)
{
	size_t i;

	if (b == NULL)
		return;
	LIST_REMOVE(b, link);
	for (i = 0; i < b->n_published; i++) {
		free(b->published[i].exchange);
		free(b->published[i].routing_key);
		message_finish(&b->published[i].message);
	}
	free(b->published);
	free(b->asked);
	loop_timer_destroy(b->soon);
	free(b->log);
	free(b->role);
	free(b->id);
	free(b);
}

void
broker_start(struct broker *b)
{
	note(b, "start");
}

void
broker_set_logins(struct broker *b, const struct uri *uris, size_t n)
{
	note(b, "logins %zu", n);
}

void
broker_stop(struct broker *b)
{
	note(b, "stop");
	b->ready = false;
	drop_consumers(b);
	b->tell_stopped = true;
	loop_timer_arm(b->soon, 0);
}

bool
broker_is_ready(const struct broker *b)
{
	return b->ready;
}

const char *
broker_id(const struct broker *b)
{
	return b->id;
}

const char *
broker_state_text(const struct broker *b)
{
	return b->ready ? "READY" : "BACKOFF";
}

void
broker_status(const struct broker *b, struct broker_status *out)
{
	if (b->status != NULL) {
		*out = *b->status;
		return;
	}
	*out = (struct broker_status){
	    .role = b->role,
	    .ready = b->ready,
	    .blocked = b->blocked,
	    .paused = b->paused,
	    .heartbeat_ms = 10000,
	    .failure = b->ready ? "" : "connection reset",
	    .blocked_reason = b->blocked ? "low on memory" : "",
	};
}

uint32_t
broker_messages_found(const struct broker *b, const char *queue)
{
	(void)b;
	(void)queue;
	return 0;
}

const char *
broker_without(const struct broker *b, const char *queue)
{
	return b->without != NULL && strcmp(b->without, queue) == 0 ? b->why : NULL;
}

/* ---- shared/amqp/broker.h: publishing ---- */

bool
broker_can_publish(const struct broker *b)
{
	return b->ready && !b->blocked && b->unconfirmed < b->opt.max_unconfirmed;
}

static size_t
headers_size(const struct message *m)
{
	size_t size = 0;

	for (size_t i = 0; i < m->n_headers; i++)
		size += strlen(m->headers[i].name) + strlen(m->headers[i].value);
	return size;
}

enum broker_fit
broker_fit(struct broker *b, const char *exchange, const char *routing_key, const struct message *m)
{
	if (b->ready && b->headers_max > 0 && headers_size(m) > b->headers_max)
		return BROKER_FIT_NO_HEADERS;
	if (b->ready && b->body_max > 0 && m->body_len > b->body_max)
		return BROKER_FIT_NO_BODY;
	return BROKER_FITS;
}

static void
copy_message(struct message *to, const struct message *from)
{
	char *body = xcalloc(1, from->body_len + 1);
	size_t i;

	message_init(to);
	to->message_id = xstrdup_null(from->message_id);
	to->correlation_id = xstrdup_null(from->correlation_id);
	to->reply_to = xstrdup_null(from->reply_to);
	to->user_id = xstrdup_null(from->user_id);
	to->app_id = xstrdup_null(from->app_id);
	to->content_type = xstrdup_null(from->content_type);
	to->content_encoding = xstrdup_null(from->content_encoding);
	to->expiration = xstrdup_null(from->expiration);
	to->timestamp = from->timestamp;
	to->persistent = from->persistent;
	for (i = 0; i < from->n_headers; i++)
		message_add_str(to, from->headers[i].name, from->headers[i].value);
	if (from->body_len > 0)
		memcpy(body, from->body, from->body_len);
	message_set_body(to, body, from->body_len);
}

uint64_t
broker_publish(struct broker *b, const char *exchange, const char *routing_key, bool mandatory,
    const struct message *m)
{
	struct fake_publish *p;

	if (!broker_can_publish(b) || broker_fit(b, exchange, routing_key, m) != BROKER_FITS ||
	    (b->room > 0 && m->body_len > b->room))
		return 0;
	b->published = xreallocarray(b->published, b->n_published + 1, sizeof(struct fake_publish));
	p = &b->published[b->n_published++];
	p->id = b->n_published;
	p->exchange = xstrdup(exchange);
	p->routing_key = xstrdup(routing_key);
	p->mandatory = mandatory;
	p->answered = false;
	copy_message(&p->message, m);
	b->unconfirmed++;
	if (b->auto_confirm)
		loop_timer_arm(b->soon, 0);
	return p->id;
}

uint32_t
broker_unconfirmed(const struct broker *b)
{
	return b->unconfirmed;
}

bool
broker_ask_depth(struct broker *b, const char *queue)
{
	if (!b->ready || b->blocked || b->asked != NULL)
		return false;
	b->asked = xstrdup(queue);
	note(b, "depth %s", queue);
	return true;
}

void
broker_try_publish(struct broker *b)
{
	if (broker_can_publish(b))
		note(b, "try");
}

/* ---- shared/amqp/broker.h: consuming ---- */

void
broker_consume(struct broker *b, const char *queue, uint16_t prefetch, bool exclusive)
{
	size_t i = 0;

	assert(b->ready && prefetch > 0);
	note(b, "consume %s %u%s", queue, prefetch, exclusive ? " exclusive" : "");
	while (i < b->n_consumers && strcmp(b->consumers[i].queue, queue) != 0)
		i++;
	assert(i < BROKER_CONSUMERS_MAX);
	if (i == b->n_consumers)
		b->consumers[b->n_consumers++].queue = queue;
	b->consumers[i].on = true;
	b->tell_consuming = true;
	loop_timer_arm(b->soon, 0);
}

void
broker_cancel(struct broker *b)
{
	if (!b->ready)
		return;
	note(b, "cancel");
	drop_consumers(b);
	b->tell_consuming = true;
	loop_timer_arm(b->soon, 0);
}

void
broker_rebind(struct broker *b)
{
	note(b, "keep");
}

const char *
broker_unbound(const struct broker *b, const char *queue)
{
	return b->unbound != NULL && strcmp(b->unbound, queue) == 0 ? "ACCESS_REFUSED" : NULL;
}

void
fake_broker_unbound(struct broker *b, const char *queue)
{
	b->unbound = queue;
}

void
fake_broker_consumers(struct broker *b, size_t i, uint32_t consumers)
{
	assert(b->opt.bind_looks && i < b->opt.topology->n);
	b->handlers->on_consumers(b, &b->opt.topology->items[i], 0, consumers, b->arg);
}

void
fake_broker_bound(struct broker *b, size_t i, enum broker_bound bound, const char *why)
{
	assert(b->opt.bind_only && i < b->opt.topology->n);
	b->handlers->on_bound(b, &b->opt.topology->items[i], bound, why, b->arg);
}

const struct topology *
fake_broker_topology(const struct broker *b)
{
	return b->opt.topology;
}

bool
broker_consuming(const struct broker *b, const char *queue)
{
	for (size_t i = 0; i < b->n_consumers; i++) {
		if (strcmp(b->consumers[i].queue, queue) == 0)
			return b->consumers[i].on && b->consumers[i].told;
	}
	return false;
}

void
broker_ack(struct broker *b, struct broker_tag tag, bool multiple)
{
	note(b, "ack %" PRIu64 "%s%s", tag.tag, multiple ? " multiple" : "",
	    tag.epoch == b->epoch ? "" : " stale");
}

void
broker_nack(struct broker *b, struct broker_tag tag, bool multiple, bool requeue)
{
	note(b, "nack %" PRIu64 "%s%s%s", tag.tag, multiple ? " multiple" : "",
	    requeue ? " requeue" : "", tag.epoch == b->epoch ? "" : " stale");
}

void
broker_pause(struct broker *b)
{
	note(b, "pause");
	b->paused = true;
}

void
broker_resume(struct broker *b)
{
	note(b, "resume");
	b->paused = false;
}

/* ---- the test's side ---- */

struct broker *
fake_broker(const char *role)
{
	struct broker *b;

	LIST_FOREACH (b, &brokers, link) {
		if (strcmp(b->role, role) == 0)
			return b;
	}
	return NULL;
}

void
fake_broker_up(struct broker *b)
{
	b->ready = true;
	b->epoch++;
	b->last_tag = 0;
	b->handlers->on_ready(b, b->arg);
}

void
fake_broker_down(struct broker *b)
{
	fake_broker_fail(b, BROKER_ERR_NETWORK, "connection reset");
}

void
fake_broker_fail(struct broker *b, enum broker_error error, const char *why)
{
	struct broker_failure f = {
	    .error = error, .text = why, .retrying = true, .retry_in_ms = 500};
	size_t i;

	b->ready = b->paused = b->blocked = false;
	b->n_consumers = 0;
	b->tell_consuming = false;
	free(b->asked);
	b->asked = NULL;
	for (i = 0; i < b->n_published; i++) {
		if (!b->published[i].answered)
			fake_broker_confirm(b, b->published[i].id, BROKER_LOST, NULL);
	}
	if (b->handlers->on_down != NULL)
		b->handlers->on_down(b, &f, b->arg);
}

void
fake_broker_block(struct broker *b, bool blocked)
{
	b->blocked = blocked;
	if (b->handlers->on_blocked != NULL)
		b->handlers->on_blocked(b, blocked, blocked ? "low on memory" : NULL, b->arg);
	if (!blocked && b->handlers->on_writable != NULL)
		b->handlers->on_writable(b, b->arg);
}

void
fake_broker_limits(struct broker *b, size_t headers_max, size_t body_max)
{
	b->headers_max = headers_max;
	b->body_max = body_max;
}

void
fake_broker_room(struct broker *b, size_t room)
{
	b->room = room;
	if (room == 0 && b->handlers->on_writable != NULL)
		b->handlers->on_writable(b, b->arg);
}

void
fake_broker_depth(struct broker *b, uint32_t messages)
{
	char *queue = b->asked;

	assert(queue != NULL);
	b->asked = NULL;
	b->handlers->on_depth(b, queue, messages, b->arg);
	free(queue);
}

void
fake_broker_without(struct broker *b, const char *queue, const char *why)
{
	b->without = queue;
	b->why = why;
}

void
fake_broker_status(struct broker *b, const struct broker_status *s)
{
	b->status = s;
}

void
fake_broker_redelivers(struct broker *b, bool on)
{
	b->redelivers = on;
}

void
fake_broker_auto_confirm(struct broker *b, bool on)
{
	b->auto_confirm = on;
	loop_timer_arm(b->soon, 0);
}

void
fake_broker_confirm(struct broker *b, uint64_t id, enum broker_outcome outcome, const char *why)
{
	assert(id > 0 && id <= b->n_published && !b->published[id - 1].answered);
	b->published[id - 1].answered = true;
	b->unconfirmed--;
	if (b->handlers->on_confirm != NULL)
		b->handlers->on_confirm(b, id, outcome, why, b->arg);
}

static struct broker_tag
deliver(struct broker *b, const char *exchange, const char *routing_key, struct message *m,
    uint64_t body_size, bool oversize)
{
	struct delivery *d = xcalloc(1, sizeof(*d));
	struct broker_tag tag = {.tag = ++b->last_tag, .epoch = b->epoch};

	d->tag = tag;
	d->redelivered = b->redelivers;
	d->exchange = xstrdup(exchange);
	d->routing_key = xstrdup(routing_key);
	d->body_size = body_size;
	d->oversize = oversize;
	d->message = *m;
	message_init(m);
	b->handlers->on_delivery(b, d, b->arg);
	return tag;
}

struct broker_tag
fake_broker_deliver(
    struct broker *b, const char *exchange, const char *routing_key, struct message *m)
{
	return deliver(b, exchange, routing_key, m, m->body_len, false);
}

struct broker_tag
fake_broker_deliver_oversize(struct broker *b, const char *exchange, const char *routing_key,
    struct message *m, uint64_t body_size)
{
	return deliver(b, exchange, routing_key, m, body_size, true);
}

size_t
fake_broker_published(const struct broker *b)
{
	return b->n_published;
}

const struct fake_publish *
fake_broker_publish_at(const struct broker *b, size_t i)
{
	assert(i < b->n_published);
	return &b->published[i];
}

const char *
fake_broker_log(const struct broker *b)
{
	return b->log;
}

void
fake_broker_log_clear(struct broker *b)
{
	b->log[0] = '\0';
}

bool
fake_broker_is_paused(const struct broker *b)
{
	return b->paused;
}
