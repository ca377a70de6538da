/* SPDX-License-Identifier: Apache-2.0 */
/* Each frame is given here to the part that it is for. */
#include "shared/amqp/broker_internal.h"

#include "shared/base/log.h"

#include <stdio.h>
#include <stdlib.h>

static void
on_protocol(struct broker *b, const struct frame *f)
{
	char where[320];

	broker_fail(b, BROKER_ERR_PROTOCOL, "is this RabbitMQ's AMQP port?",
	    "%s: it does not speak AMQP 0-9-1 (it offers %u-%u-%u-%u)",
	    broker_where(b, where, sizeof(where)), f->version[0], f->version[1], f->version[2],
	    f->version[3]);
}

static void
on_blocked(struct broker *b, bool blocked, amqp_bytes_t why)
{
	char *reason = blocked ? frame_strdup(why) : NULL;
	enum log_level level = b->opt.quiet ? LOG_LEVEL_INFO : LOG_LEVEL_WARN;

	if (blocked)
		log_msg(level, "broker", "broker[%s]: blocked by the broker, reason=%s", b->id,
		    reason == NULL ? "?" : reason);
	else
		log_msg(level, "broker", "broker[%s]: not blocked any more", b->id);
	if (!b->blocked)
		b->blocked_since = loop_now(b->loop);
	snprintf(b->blocked_reason, sizeof(b->blocked_reason), "%s", reason == NULL ? "" : reason);
	b->blocked = blocked;
	b->unconfirmed_since = loop_now(b->loop);
	b->starved = b->starved || blocked;
	b->last_read = loop_now(b->loop);
	if (b->state == BROKER_READY && b->handlers.on_blocked != NULL)
		b->handlers.on_blocked(b, blocked, reason, b->arg);
	free(reason);
	broker_check_writable(b);
}

static void
on_connection_method(struct broker *b, const struct frame *f)
{
	const amqp_connection_blocked_t *blocked;

	switch (f->method) {
	case AMQP_CONNECTION_CLOSE_METHOD:
		broker_connection_closed(b, f->decoded);
		return;
	case AMQP_CONNECTION_CLOSE_OK_METHOD:
		broker_raise(b, BROKER_EV_CLOSE_OK);
		return;
	case AMQP_CONNECTION_BLOCKED_METHOD:
		blocked = f->decoded;
		on_blocked(b, true, blocked->reason);
		return;
	case AMQP_CONNECTION_UNBLOCKED_METHOD:
		on_blocked(b, false, amqp_empty_bytes);
		return;
	}
	if (b->state == BROKER_HANDSHAKE)
		broker_login_method(b, f);
	else if (b->state != BROKER_CLOSING)
		broker_unexpected(b, amqp_method_name(f->method));
}

static void
on_channel_method(struct broker *b, const struct frame *f)
{
	switch (f->method) {
	case AMQP_CHANNEL_CLOSE_METHOD:
		broker_channel_closed(b, f->decoded);
		return;
	case AMQP_CHANNEL_OPEN_OK_METHOD:
		if (b->state == BROKER_TOPOLOGY)
			broker_setup_method(b, f);
		else
			broker_raise(b, BROKER_EV_CHANNEL_OK);
		return;
	case AMQP_BASIC_ACK_METHOD:
	case AMQP_BASIC_NACK_METHOD:
		broker_publish_method(b, f);
		return;
	case AMQP_BASIC_DELIVER_METHOD:
	case AMQP_BASIC_RETURN_METHOD:
		broker_content_begin(b, f);
		return;
	case AMQP_BASIC_QOS_OK_METHOD:
	case AMQP_BASIC_CONSUME_OK_METHOD:
	case AMQP_BASIC_CANCEL_METHOD:
	case AMQP_BASIC_CANCEL_OK_METHOD:
		broker_consume_method(b, f);
		return;
	}
	if (b->state == BROKER_TOPOLOGY)
		broker_setup_method(b, f);
	else if (!broker_rebind_answer(b, f) && !broker_ask_answer(b, f) &&
		 b->state != BROKER_CLOSING)
		broker_unexpected(b, amqp_method_name(f->method));
}

static bool
before_channel(enum broker_state state)
{
	return state == BROKER_CONNECTING || state == BROKER_HANDSHAKE;
}

void
broker_dispatch(struct broker *b, const struct frame *f)
{
	log_trace("broker", "broker[%s]: < %s", b->id,
	    f->kind == FRAME_METHOD ? amqp_method_name(f->method) : frame_kind_name(f->kind));
	if (f->kind == FRAME_PROTOCOL)
		on_protocol(b, f);
	else if (f->kind == FRAME_HEARTBEAT)
		broker_heartbeat(b);
	else if (f->channel != 0 && before_channel(b->state))
		broker_unexpected(b, "a frame on a channel");
	else if (f->kind != FRAME_METHOD)
		broker_content_frame(b, f);
	else if ((f->method >> 16 == AMQP_CONNECTION_CLASS) != (f->channel == 0))
		broker_unexpected(b, "a method on the wrong channel");
	else if (f->channel != 0 && b->content.kind != CONTENT_NONE)
		broker_unexpected(b, "a method in the middle of a message");
	else if (f->channel == 0)
		on_connection_method(b, f);
	else
		on_channel_method(b, f);
}
