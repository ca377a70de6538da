/* SPDX-License-Identifier: Apache-2.0 */
/* Consumers, their deliveries, and acks; content of deliveries and returns is collected here. */
#include "shared/amqp/broker_internal.h"

#include "shared/base/log.h"
#include "shared/base/xalloc.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* ---- consumers ---- */

static const struct consumer *
find_consumer(const struct broker *b, const char *queue)
{
	for (size_t i = 0; i < BROKER_CONSUMERS_MAX; i++) {
		const struct consumer *c = &b->consumers[i];

		if (c->queue != NULL && strcmp(c->queue, queue) == 0)
			return c;
	}
	return NULL;
}

bool
broker_consuming(const struct broker *b, const char *queue)
{
	const struct consumer *c = find_consumer(b, queue);

	return c != NULL && c->state == CONSUMER_ON;
}

static bool
is_starting(const struct consumer *c)
{
	return c->state == CONSUMER_STARTING || c->state == CONSUMER_UNWANTED;
}

const struct consumer *
broker_consumer_starting(const struct broker *b)
{
	for (size_t i = 0; i < BROKER_CONSUMERS_MAX; i++) {
		if (is_starting(&b->consumers[i]))
			return &b->consumers[i];
	}
	return NULL;
}

struct consumer *
broker_consumer_of(struct broker *b, const char *queue)
{
	struct consumer *c = (struct consumer *)find_consumer(b, queue);

	if (c != NULL)
		return c;
	for (size_t i = 0; i < BROKER_CONSUMERS_MAX; i++) {
		if (c == NULL && b->consumers[i].state == CONSUMER_NONE)
			c = &b->consumers[i];
	}
	assert(c != NULL);
	free(c->queue);
	c->queue = xstrdup(queue);
	b->in_use_since.ms = 0;
	return c;
}

void
broker_consumers_reset(struct broker *b)
{
	for (size_t i = 0; i < BROKER_CONSUMERS_MAX; i++) {
		struct consumer *c = &b->consumers[i];

		if (c->state == CONSUMER_ON)
			c->none_since = loop_now(b->loop);
		c->state = CONSUMER_NONE;
	}
}

void
broker_consumer_unwant(struct broker *b, const char *queue)
{
	struct consumer *c = (struct consumer *)find_consumer(b, queue);

	if (c != NULL)
		c->wanted = c->lost = false;
}

static bool
is_worse(const struct consumer *a, const struct consumer *b)
{
	if (b == NULL || a->lost != b->lost)
		return b == NULL || a->lost;
	return a->state != CONSUMER_ON && b->state == CONSUMER_ON;
}

const struct consumer *
broker_consumer_worst(const struct broker *b)
{
	const struct consumer *worst = NULL;

	for (size_t i = 0; i < BROKER_CONSUMERS_MAX; i++) {
		const struct consumer *c = &b->consumers[i];

		if (c->wanted && is_worse(c, worst))
			worst = c;
	}
	return worst;
}

void
broker_consumers_free(struct broker *b)
{
	for (size_t i = 0; i < BROKER_CONSUMERS_MAX; i++)
		free(b->consumers[i].queue);
}

void
broker_consumer_start(struct broker *b, struct consumer *c, amqp_table_t arguments)
{
	amqp_basic_consume_t consume = {.exclusive = c->exclusive, .arguments = arguments};

	c->state = CONSUMER_STARTING;
	snprintf(c->tag, sizeof(c->tag), "vogeler-%u", ++b->consumer_serial);
	consume.queue = amqp_cstring_bytes(c->queue);
	consume.consumer_tag = amqp_cstring_bytes(c->tag);
	broker_send(b, BROKER_CHANNEL, AMQP_BASIC_CONSUME_METHOD, &consume);
	/* A peer that answers heartbeats and nothing else would leave us without work for ever. */
	broker_deadline(b);
}

static void
start_next(struct broker *b)
{
	for (size_t i = 0; i < BROKER_CONSUMERS_MAX; i++) {
		struct consumer *c = &b->consumers[i];
		amqp_basic_qos_t qos = {.prefetch_count = c->prefetch};

		if (c->state != CONSUMER_WAITING || broker_consumer_starting(b) != NULL)
			continue;
		/* Not global: it holds for each of the consumers that come after it. */
		broker_send(b, BROKER_CHANNEL, AMQP_BASIC_QOS_METHOD, &qos);
		broker_consumer_start(b, c, amqp_empty_table);
	}
}

void
broker_consume(struct broker *b, const char *queue, uint16_t prefetch, bool exclusive)
{
	struct consumer *c;

	if (b->state != BROKER_READY)
		return;
	c = broker_consumer_of(b, queue);
	if (c->state == CONSUMER_WAITING || c->state == CONSUMER_STARTING ||
	    c->state == CONSUMER_ON)
		return;
	if (!c->wanted)
		c->none_since = loop_now(b->loop);
	c->wanted = true;
	c->prefetch = prefetch;
	c->exclusive = exclusive;
	if (c->state == CONSUMER_UNWANTED)
		return; /* its end comes first */
	c->state = CONSUMER_WAITING;
	start_next(b);
}

static void
send_cancel(struct broker *b, struct consumer *c)
{
	amqp_basic_cancel_t m = {.consumer_tag = amqp_cstring_bytes(c->tag)};

	c->state = CONSUMER_CANCELLING;
	broker_send(b, BROKER_CHANNEL, AMQP_BASIC_CANCEL_METHOD, &m);
}

static void
cancel(struct broker *b, struct consumer *c)
{
	switch (c->state) {
	case CONSUMER_WAITING:
		c->state = CONSUMER_NONE;
		return;
	case CONSUMER_STARTING:
		c->state = CONSUMER_UNWANTED;
		return;
	case CONSUMER_ON:
		send_cancel(b, c);
		return;
	case CONSUMER_NONE:
	case CONSUMER_UNWANTED:
	case CONSUMER_CANCELLING:
		return;
	}
}

void
broker_cancel(struct broker *b)
{
	for (size_t i = 0; i < BROKER_CONSUMERS_MAX; i++)
		b->consumers[i].wanted = b->consumers[i].lost = false;
	if (b->state != BROKER_READY)
		return;
	for (size_t i = 0; i < BROKER_CONSUMERS_MAX; i++)
		cancel(b, &b->consumers[i]);
}

/* ---- acks ---- */

static bool
tag_is_alive(const struct broker *b, struct broker_tag tag)
{
	return b->state == BROKER_READY && tag.epoch == b->epoch;
}

void
broker_ack(struct broker *b, struct broker_tag tag, bool multiple)
{
	amqp_basic_ack_t m = {.delivery_tag = tag.tag, .multiple = multiple};

	if (tag_is_alive(b, tag))
		broker_send(b, BROKER_CHANNEL, AMQP_BASIC_ACK_METHOD, &m);
}

void
broker_nack(struct broker *b, struct broker_tag tag, bool multiple, bool requeue)
{
	amqp_basic_nack_t m = {.delivery_tag = tag.tag, .multiple = multiple, .requeue = requeue};

	if (tag_is_alive(b, tag))
		broker_send(b, BROKER_CHANNEL, AMQP_BASIC_NACK_METHOD, &m);
}

/* ---- what the broker says of consumers ---- */

static void
report_consuming(struct broker *b, const struct consumer *c, bool consuming)
{
	log_info("broker", "broker[%s]: %s queue=%s", b->id,
	    consuming ? "consuming" : "not consuming any more", c->queue);
	if (b->handlers.on_consuming != NULL)
		b->handlers.on_consuming(b, c->queue, consuming, b->arg);
}

/* NULL: of a consumer that was replaced since, whose answer is of no interest. */
static struct consumer *
find_tag(struct broker *b, amqp_bytes_t tag)
{
	for (size_t i = 0; i < BROKER_CONSUMERS_MAX; i++) {
		struct consumer *c = &b->consumers[i];

		if (c->state > CONSUMER_WAITING && frame_str_equal(tag, c->tag))
			return c;
	}
	return NULL;
}

static void
on_consume_ok(struct broker *b, amqp_bytes_t tag)
{
	struct consumer *c = find_tag(b, tag);

	if (c == NULL || !is_starting(c))
		return;
	broker_timer_disarm(b, BROKER_TIMER_DEADLINE);
	b->in_use_since.ms = 0;
	if (c->state == CONSUMER_UNWANTED) {
		send_cancel(b, c);
		if (c->wanted) /* again */
			c->state = CONSUMER_WAITING;
		start_next(b);
		return;
	}
	c->state = CONSUMER_ON;
	c->lost = false;
	start_next(b);
	broker_log_up(b);
	report_consuming(b, c, true);
}

static void
on_cancel_ok(struct broker *b, amqp_bytes_t tag)
{
	struct consumer *c = find_tag(b, tag);

	if (c == NULL || c->state != CONSUMER_CANCELLING)
		return;
	c->state = CONSUMER_NONE;
	report_consuming(b, c, false);
}

static void
on_cancelled_by_broker(struct broker *b, amqp_bytes_t tag)
{
	struct consumer *c = find_tag(b, tag);
	char where[320];

	if (c == NULL)
		return;
	if (is_starting(c))
		broker_timer_disarm(b, BROKER_TIMER_DEADLINE);
	c->state = CONSUMER_NONE;
	c->none_since = loop_now(b->loop);
	report_consuming(b, c, false);
	/* The queue is gone, or moved: a new connection makes it again and finds where it is. */
	if (b->state == BROKER_READY)
		broker_fail(b, BROKER_ERR_NOT_FOUND, NULL,
		    "%s: the broker ended our consumer of queue \"%s\": the queue was deleted, or "
		    "the node that held it went away",
		    broker_where(b, where, sizeof(where)), c->queue);
}

void
broker_consume_method(struct broker *b, const struct frame *f)
{
	const amqp_basic_consume_ok_t *ok = f->decoded;
	const amqp_basic_cancel_ok_t *cancel_ok = f->decoded;
	const amqp_basic_cancel_t *cancelled = f->decoded;

	if (b->state == BROKER_CLOSING)
		return;
	if (b->state != BROKER_READY) {
		broker_unexpected(b, amqp_method_name(f->method));
		return;
	}
	switch (f->method) {
	case AMQP_BASIC_CONSUME_OK_METHOD:
		on_consume_ok(b, ok->consumer_tag);
		return;
	case AMQP_BASIC_CANCEL_OK_METHOD:
		on_cancel_ok(b, cancel_ok->consumer_tag);
		return;
	case AMQP_BASIC_CANCEL_METHOD:
		on_cancelled_by_broker(b, cancelled->consumer_tag);
		return;
	}
}

/* ---- content ---- */

void
broker_content_free(struct broker *b)
{
	delivery_destroy(b->content.d);
	free(b->content.reason);
	b->content = (struct content){.kind = CONTENT_NONE};
}

void
broker_content_begin(struct broker *b, const struct frame *f)
{
	struct content *c = &b->content;
	struct delivery *d;

	if (b->state != BROKER_READY && b->state != BROKER_CLOSING) {
		broker_unexpected(b, amqp_method_name(f->method));
		return;
	}
	d = xcalloc(1, sizeof(*d));
	message_init(&d->message);
	c->d = d;
	if (f->method == AMQP_BASIC_DELIVER_METHOD) {
		const amqp_basic_deliver_t *m = f->decoded;

		c->kind = CONTENT_DELIVERY;
		d->tag = (struct broker_tag){.tag = m->delivery_tag, .epoch = b->epoch};
		d->redelivered = m->redelivered != 0;
		d->exchange = frame_strdup_shown(m->exchange);
		d->routing_key = frame_strdup_shown(m->routing_key);
	} else {
		const amqp_basic_return_t *m = f->decoded;

		c->kind = CONTENT_RETURN;
		c->reason = frame_strdup(m->reply_text);
		d->exchange = frame_strdup_shown(m->exchange);
		d->routing_key = frame_strdup_shown(m->routing_key);
	}
}

static void
content_done(struct broker *b)
{
	struct content *c = &b->content;
	struct delivery *d = c->d;

	if (c->kind == CONTENT_DELIVERY && b->state == BROKER_READY) {
		b->content = (struct content){.kind = CONTENT_NONE};
		d->message.body[d->message.body_len] = '\0';
		b->deliveries++;
		b->delivered_bytes += d->body_size;
		if (b->handlers.on_delivery != NULL)
			b->handlers.on_delivery(b, d, b->arg);
		else
			delivery_destroy(d);
		return;
	}
	if (c->kind == CONTENT_RETURN)
		broker_publish_returned(b, c);
	broker_content_free(b);
}

/* The body goes into one allocation, of the size announced or of what is kept of an oversize one.
 */
static void
on_header(struct broker *b, const struct frame *f)
{
	struct content *c = &b->content;
	struct delivery *d = c->d;
	char where[320];

	c->have_header = true;
	c->left = f->body_size;
	frame_to_message(f->props, &d->message);
	if (c->kind == CONTENT_DELIVERY) {
		char *body;

		d->body_size = f->body_size;
		d->oversize = f->body_size > b->opt.max_body_bytes;
		c->keep = f->body_size;
		if (d->oversize && c->keep > BROKER_OVERSIZE_KEEP)
			c->keep = BROKER_OVERSIZE_KEEP;
		body = malloc((size_t)c->keep + 1);
		if (body == NULL) {
			broker_fail(b, BROKER_ERR_NETWORK, NULL,
			    "%s: no memory for a message of %llu bytes",
			    broker_where(b, where, sizeof(where)),
			    (unsigned long long)f->body_size);
			return;
		}
		body[0] = '\0';
		message_set_body(&d->message, body, 0);
	}
	if (c->left == 0)
		content_done(b);
}

static void
on_body(struct broker *b, const struct frame *f)
{
	struct content *c = &b->content;
	struct message *m = &c->d->message;

	if (f->body.len > c->left) {
		broker_unexpected(b, "more of a message than was announced");
		return;
	}
	if (c->kind == CONTENT_DELIVERY && m->body_len < c->keep) {
		size_t room = (size_t)c->keep - m->body_len;
		size_t n = f->body.len < room ? f->body.len : room;

		memcpy(m->body + m->body_len, f->body.bytes, n);
		m->body_len += n;
	}
	c->left -= f->body.len;
	if (c->left == 0)
		content_done(b);
}

void
broker_content_frame(struct broker *b, const struct frame *f)
{
	const struct content *c = &b->content;

	if (c->kind == CONTENT_NONE)
		broker_unexpected(b, "content without a message");
	else if (f->kind == FRAME_HEADER && !c->have_header)
		on_header(b, f);
	else if (f->kind == FRAME_BODY && c->have_header)
		on_body(b, f);
	else
		broker_unexpected(b, "content out of order");
}
