/* Bytes in -> frames -> whose frame it is; and heartbeats. */
#include "shared/amqp/broker_internal.h"

#include "shared/base/errtext.h"
#include "shared/base/log.h"
#include "shared/event/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
broker_unexpected(struct broker *b, const char *what)
{
	char where[320];

	broker_fail(b, BROKER_ERR_PROTOCOL, "%s: %s, which was not to come in state %s",
	    broker_where(b, where, sizeof(where)), what, broker_state_name(b->state));
}

static void
on_protocol(struct broker *b, const struct frame *f)
{
	char where[320];

	broker_fail(b, BROKER_ERR_PROTOCOL,
	    "%s: it does not speak AMQP 0-9-1 (it offers %u-%u-%u-%u)" ERRTEXT_CURE
	    "is this RabbitMQ's AMQP port?",
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
	if (!b->dead)
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
		broker_step(b, BROKER_EV_CLOSE_OK);
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
			broker_topology_method(b, f);
		else
			broker_step(b, BROKER_EV_CHANNEL_OK);
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
		broker_topology_method(b, f);
	else if (!broker_keep_answer(b, f) && !broker_ask_answer(b, f) && !b->dead &&
		 b->state != BROKER_CLOSING)
		broker_unexpected(b, amqp_method_name(f->method));
}

static bool
before_channel(enum broker_state state)
{
	return state == BROKER_CONNECTING || state == BROKER_HANDSHAKE;
}

static void
on_frame(struct broker *b, const struct frame *f)
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

/* false: stop reading this piece. */
static bool
read_frame(struct broker *b, const char *data, size_t len, size_t *used)
{
	struct frame f;
	char where[320];

	switch (frame_decode(b->codec, data, len, used, &f)) {
	case FRAME_MORE:
		return false;
	case FRAME_BAD:
		broker_fail(b, BROKER_ERR_PROTOCOL, "%s: it sent %s%s",
		    broker_where(b, where, sizeof(where)), frame_error(b->codec),
		    b->state == BROKER_HANDSHAKE ? ERRTEXT_CURE "is this RabbitMQ's AMQP port?"
						 : "");
		return false;
	case FRAME_GOT:
		on_frame(b, &f);
		frame_release(b->codec);
		return true;
	}
	return false;
}

static bool
may_read(const struct broker *b)
{
	if (b->dead || b->stream == NULL || b->output_failed)
		return false;
	return !(b->paused && b->state == BROKER_READY);
}

/* One contiguous piece; returns the frames handled. A handler may pause, stop or destroy us, or the
 * state may change, after any frame. */
static unsigned int
read_piece(struct broker *b, const char *data, size_t len, unsigned int most)
{
	struct stream *s = b->stream;
	size_t at = 0, used;
	unsigned int frames = 0;

	while (at < len && frames < most && may_read(b)) {
		bool more;

		if (b->state == BROKER_BACKOFF || b->state == BROKER_RELOGIN) {
			at = len; /* a lingering stream */
			break;
		}
		used = 0;
		more = read_frame(b, data + at, len - at, &used);
		at += used;
		if (!more)
			break;
		frames++;
	}
	if (!b->dead && b->stream == s)
		stream_drain(s, at);
	return frames;
}

/* Bounded, so that a busy peer does not starve everything else in the loop. */
void
broker_read(struct broker *b)
{
	unsigned int frames = 0;
	size_t bytes = 0, len;

	while (may_read(b)) {
		const void *data;

		if (frames >= BROKER_PASS_FRAMES || bytes >= BROKER_PASS_BYTES) {
			broker_timer_arm(b, BROKER_TIMER_WORK, 0);
			return;
		}
		data = stream_peek(b->stream, &len);
		if (len == 0)
			return;
		frames += read_piece(b, data, len, BROKER_PASS_FRAMES - frames);
		bytes += len;
	}
}

/* One timer for both directions, armed for the earlier of what may be due. */
void
broker_heartbeat_arm(struct broker *b)
{
	struct mono now = loop_now(b->loop);
	int64_t write_in, read_in;

	if (b->heartbeat_ms == 0)
		return;
	write_in = b->heartbeat_ms / 2 - mono_diff(now, b->last_written);
	read_in = (int64_t)b->heartbeat_ms * BROKER_DEAD_HEARTBEATS - mono_diff(now, b->last_read);
	if (b->paused || read_in > write_in)
		read_in = write_in;
	broker_timer_arm(b, BROKER_TIMER_HEARTBEAT, read_in < 0 ? 0 : read_in);
}

static void
send_heartbeat(struct broker *b)
{
	if (frame_put_heartbeat(&b->out) && broker_flush(b))
		return;
	b->output_failed = true;
	broker_timer_arm(b, BROKER_TIMER_WORK, 0);
}

/* Our timer, or a heartbeat of the peer's: ours goes out with the same wake-up when it is nearly
 * due, so that an idle connection wakes twice per interval and not four times. While the broker
 * blocks us it does not judge our silence, but its own heartbeats go on, and are judged. */
void
broker_heartbeat(struct broker *b)
{
	struct mono now = loop_now(b->loop);
	char where[320];

	if (b->state != BROKER_READY || b->heartbeat_ms == 0)
		return;
	if (!b->paused &&
	    mono_diff(now, b->last_read) >= (int64_t)b->heartbeat_ms * BROKER_DEAD_HEARTBEATS) {
		broker_fail(b, BROKER_ERR_TIMEOUT, "%s: heartbeat timeout, silent for %lld ms",
		    broker_where(b, where, sizeof(where)), (long long)mono_diff(now, b->last_read));
		return;
	}
	if (broker_confirm_overdue(b)) {
		broker_fail(b, BROKER_ERR_TIMEOUT,
		    "%s: it confirms nothing of what was published, for %d s" ERRTEXT_CURE
		    "see the log of the broker; a quorum queue needs most of its nodes",
		    broker_where(b, where, sizeof(where)), BROKER_CONFIRM_MS / 1000);
		return;
	}
	if (mono_diff(now, b->last_written) >= b->heartbeat_ms * 3 / 8)
		send_heartbeat(b);
	broker_heartbeat_arm(b);
}
