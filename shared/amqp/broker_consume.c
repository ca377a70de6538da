/* SPDX-License-Identifier: Apache-2.0 */
/* Consumers are started one after the other, cancelled here, and deliveries acked. */
#include "shared/amqp/broker_internal.h"

#include "shared/base/log.h"
#include "shared/base/xalloc.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* Tells whether the failure is the consumer's: somebody else holds its queue, or the broker has
 * ended our consumer, or did not let it begin. */
static bool
is_about(const struct broker *b, const struct consumer *c, enum broker_error error)
{
	const struct consumer *starting = broker_consumer_starting(b);

	if (!c->wanted || (starting != NULL && c != starting))
		return false;
	return error == BROKER_ERR_IN_USE ||
	       (error == BROKER_ERR_NOT_FOUND && c->state != CONSUMER_ON);
}

void
broker_consumers_failed(struct broker *b)
{
	for (size_t i = 0; i < BROKER_CONSUMERS_MAX; i++)
		b->consumers[i].lost = is_about(b, &b->consumers[i], b->error);
}

/* A connection whose consumers are refused one after the other was never up. */
void
broker_log_up(struct broker *b)
{
	const struct consumer *worst = broker_consumer_worst(b);
	struct mono now = loop_now(b->loop);
	uint32_t unlogged;

	if ((worst != NULL && worst->state != CONSUMER_ON) ||
	    !ratelimit_over(&b->said, now, &unlogged))
		return;
	log_msg(b->opt.quiet ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "broker",
	    "broker[%s]: up again after %lld s, unlogged=%u", b->id,
	    (long long)mono_diff(now, b->down_since) / 1000, unlogged);
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

	assert(c->state != CONSUMER_ON && broker_consumer_starting(b) == NULL);
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
		/* The prefetch is not global: it holds for each of the consumers that come after
		 * it. */
		broker_send(b, BROKER_CHANNEL, AMQP_BASIC_QOS_METHOD, &qos);
		broker_consumer_start(b, c, amqp_empty_table);
	}
}

void
broker_consume(struct broker *b, const char *queue, uint16_t prefetch, bool exclusive)
{
	struct consumer *c;

	assert(prefetch > 0);
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

/* Returns NULL for a consumer that was replaced since, whose answer is of no interest. */
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
