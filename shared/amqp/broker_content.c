/* SPDX-License-Identifier: Apache-2.0 */
/* A delivery or a return is collected here from its method, its header and the frames of its body.
 */
#include "shared/amqp/broker_internal.h"

#include "shared/base/xalloc.h"

#include <assert.h>
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
	assert(c->kind == CONTENT_NONE); /* broker_dispatch() refuses a method in between */
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
	assert(c->left >= f->body.len);
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
