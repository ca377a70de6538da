/* SPDX-License-Identifier: Apache-2.0 */
/* Publishing and its answers. The channel numbers what is published on it from 1 (RabbitMQ,
 * "Publisher Confirms"); each answer is matched to the owner's id. */
#include "shared/amqp/broker_internal.h"

#include "shared/base/log.h"
#include "shared/base/xalloc.h"
#include "shared/event/stream.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

const char *
broker_outcome_name(enum broker_outcome outcome)
{
	switch (outcome) {
	case BROKER_CONFIRMED:
		return "confirmed";
	case BROKER_NACKED:
		return "nacked";
	case BROKER_RETURNED:
		return "returned";
	case BROKER_LOST:
		return "lost";
	}
	return "?";
}

bool
broker_can_publish(const struct broker *b)
{
	return b->state == BROKER_READY && !b->blocked && !b->output_failed &&
	       !stream_congested(b->stream) && HASH_COUNT(b->pending) < b->opt.max_unconfirmed;
}

uint32_t
broker_unconfirmed(const struct broker *b)
{
	return HASH_COUNT(b->pending) - b->trying;
}

void
broker_check_writable(struct broker *b)
{
	if (!b->starved || !broker_can_publish(b))
		return;
	b->starved = false;
	if (b->handlers.on_writable != NULL)
		b->handlers.on_writable(b, b->arg);
}

void
broker_publish_reset(struct broker *b)
{
	b->next_seq = 1;
}

static void
pending_free(struct pending *p)
{
	free(p->exchange);
	free(p->routing_key);
	free(p->message_id);
	free(p->returned);
	free(p);
}

void
broker_publish_free(struct broker *b)
{
	struct pending *p, *next;

	HASH_ITER (hh, b->pending, p, next) {
		HASH_DEL(b->pending, p);
		pending_free(p);
	}
	b->trying = false;
}

static struct pending *
add_pending(struct broker *b, const char *exchange, const char *routing_key, bool mandatory,
    const struct message *m)
{
	struct pending *p = xcalloc(1, sizeof(*p));

	if (b->pending == NULL)
		b->unconfirmed_since = loop_now(b->loop);
	p->seq = b->next_seq++;
	if (mandatory) {
		p->exchange = xstrdup(exchange);
		p->routing_key = xstrdup(routing_key);
		p->message_id = xstrdup_null(m->message_id);
	}
	HASH_ADD(hh, b->pending, seq, sizeof(p->seq), p);
	return p;
}

/* The strings stay m's. */
static struct message
with_user(const struct broker *b, const struct message *m)
{
	struct message own = *m;

	if (own.user_id == NULL)
		own.user_id = (char *)broker_login_user(b);
	return own;
}

static bool
put_publish(struct broker *b, const char *exchange, const char *routing_key, bool mandatory)
{
	amqp_basic_publish_t publish = {
	    .exchange = amqp_cstring_bytes(exchange),
	    .routing_key = amqp_cstring_bytes(routing_key),
	    .mandatory = mandatory,
	};

	return frame_put_method(
	    b->codec, &b->out, BROKER_CHANNEL, AMQP_BASIC_PUBLISH_METHOD, &publish);
}

/* Method, header and body go out whole or not at all. */
static bool
write_message(struct broker *b, const char *exchange, const char *routing_key, bool mandatory,
    const struct message *m)
{
	struct message own = with_user(b, m);

	assert(b->out.len == 0);
	if (put_publish(b, exchange, routing_key, mandatory) &&
	    frame_put_message(b->codec, &b->out, BROKER_CHANNEL, &own))
		return broker_flush(b);
	buf_reset(&b->out);
	return false;
}

/* The limit is not known before a first message over it has cost a connection. */
static bool
is_over_max(const struct broker *b, const struct message *m)
{
	return b->message_max != 0 && m->body_len > b->message_max;
}

enum broker_fit
broker_fit(struct broker *b, const char *exchange, const char *routing_key, const struct message *m)
{
	struct message own = with_user(b, m);
	size_t method, content;

	if (b->state != BROKER_READY)
		return BROKER_FITS;
	method = put_publish(b, exchange, routing_key, false) ? b->out.len : 0;
	buf_reset(&b->out);
	content = frame_message_size(b->codec, &own);
	if (method == 0 || content == 0)
		return BROKER_FIT_NO_HEADERS;
	if (is_over_max(b, m) || method + content > b->opt.output_max)
		return BROKER_FIT_NO_BODY;
	return BROKER_FITS;
}

uint64_t
broker_publish(struct broker *b, const char *exchange, const char *routing_key, bool mandatory,
    const struct message *m)
{
	uint64_t id;

	if (!broker_can_publish(b)) {
		b->starved = true;
		return 0;
	}
	if (is_over_max(b, m) || !write_message(b, exchange, routing_key, mandatory, m)) {
		b->starved = true;
		return 0;
	}
	id = ++b->next_id;
	add_pending(b, exchange, routing_key, mandatory, m)->id = id;
	log_debug("broker", "broker[%s]: published %llu, exchange=%s, key=%s, bytes=%zu", b->id,
	    (unsigned long long)id, exchange, routing_key, m->body_len);
	if (!broker_can_publish(b))
		b->starved = true;
	return id;
}

static void
answer(struct broker *b, struct pending *p, enum broker_outcome outcome, const char *why)
{
	HASH_DEL(b->pending, p);
	b->unconfirmed_since = loop_now(b->loop);
	if (p->id == 0) {
		assert(b->trying); /* at most one trial is on its way */
		b->trying = false;
		pending_free(p);
		return;
	}
	if (p->returned != NULL && outcome == BROKER_CONFIRMED) {
		outcome = BROKER_RETURNED;
		why = p->returned;
	}
	b->outcomes[outcome]++;
	log_debug("broker", "broker[%s]: publish %llu is %s", b->id, (unsigned long long)p->id,
	    broker_outcome_name(outcome));
	if (b->handlers.on_confirm != NULL)
		b->handlers.on_confirm(b, p->id, outcome, why, b->arg);
	pending_free(p);
}

static void
answer_up_to(struct broker *b, uint64_t seq, enum broker_outcome outcome, const char *why)
{
	while (b->state != BROKER_DESTROYED && b->pending != NULL && b->pending->seq <= seq)
		answer(b, b->pending, outcome, why);
}

static void
on_answer(
    struct broker *b, uint64_t tag, bool multiple, enum broker_outcome outcome, const char *why)
{
	struct pending *p;

	if (tag >= b->next_seq || (tag == 0 && !multiple)) {
		broker_unexpected(b, "a confirm of what was never published");
		return;
	}
	if (multiple) {
		/* 0 means all so far (AMQP 0-9-1, basic.ack). */
		answer_up_to(b, tag == 0 ? b->next_seq - 1 : tag, outcome, why);
	} else {
		HASH_FIND(hh, b->pending, &tag, sizeof(tag), p);
		if (p != NULL)
			answer(b, p, outcome, why);
	}
	broker_check_writable(b);
}

void
broker_publish_method(struct broker *b, const struct frame *f)
{
	if (b->state != BROKER_READY && b->state != BROKER_CLOSING) {
		broker_unexpected(b, amqp_method_name(f->method));
	} else if (f->method == AMQP_BASIC_ACK_METHOD) {
		const amqp_basic_ack_t *ack = f->decoded;

		on_answer(b, ack->delivery_tag, ack->multiple, BROKER_CONFIRMED, NULL);
	} else {
		const amqp_basic_nack_t *nack = f->decoded;

		on_answer(b, nack->delivery_tag, nack->multiple, BROKER_NACKED,
		    "the broker refused it (basic.nack): the queue is full or failed");
	}
}

static bool
same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* basic.return comes before the ack of what it returns and does not say its number: it is the
 * oldest like it. */
void
broker_publish_returned(struct broker *b, const struct content *c)
{
	struct pending *p, *next;

	HASH_ITER (hh, b->pending, p, next) {
		if (p->exchange == NULL || p->returned != NULL)
			continue;
		if (same(p->exchange, c->d->exchange) && same(p->routing_key, c->d->routing_key) &&
		    same(p->message_id, c->d->message.message_id)) {
			p->returned = xstrdup(c->reason == NULL ? "NO_ROUTE" : c->reason);
			return;
		}
	}
	log_debug("broker", "broker[%s]: returned what nobody waits for", b->id);
}

void
broker_publish_lost(struct broker *b)
{
	answer_up_to(b, UINT64_MAX, BROKER_LOST, NULL);
}

/* The default exchange delivers to the queue that the key names, and none has an empty name. It is
 * also where dead letters go, so a user who may not do this lacks a right that will be needed. */
void
broker_try_publish(struct broker *b)
{
	struct message m;

	if (b->trying || b->may_not_try || !broker_can_publish(b))
		return;
	message_init(&m);
	if (write_message(b, "", "", false, &m)) {
		add_pending(b, "", "", false, &m);
		b->trying = true;
	}
	message_finish(&m);
}

/* A confirm is awaited only of what has left: over a slow line a large message takes its time. The
 * broker confirms nothing while it blocks us, and while we do not read there is nothing to be seen.
 */
bool
broker_confirm_overdue(struct broker *b)
{
	struct mono now = loop_now(b->loop);

	if (b->pending == NULL || b->blocked || b->paused || stream_unsent(b->stream) > 0)
		b->unconfirmed_since = now;
	return mono_diff(now, b->unconfirmed_since) >= BROKER_CONFIRM_MS;
}
