/* SPDX-License-Identifier: Apache-2.0 */
/* The state machine of broker.h, and its owner: what the parts of the broker raise is settled here,
 * after each frame, timer and call of the API, so that nothing is destroyed under them.
 *
 *        START           STREAM_UP         OPEN_OK         CHANNEL_OK       TOPOLOGY_OK
 *   IDLE -----> CONNECTING ----> HANDSHAKE -----> OPENING --------> TOPOLOGY --------> READY
 *    ^           ^      |            |               |                 |                |  |
 *    |     RETRY |      +------------+---------------+-----------------+----------------+  | STOP
 *    |           |      v   STREAM_DOWN, FAILED, DEADLINE                                  v
 *    +--- STOP -- BACKOFF                                                              CLOSING
 *    ^                                                     CLOSE_OK, DEADLINE, any end     |
 *    +-------------------------------------------------------------------------------------+
 *
 * HANDSHAKE -- RELOGIN event --> RELOGIN -- DEADLINE, STREAM_DOWN --> CONNECTING: the broker has no
 * such vhost, and its name can be read in a second way.
 *
 * broker_destroy() leads to DESTROYED from anywhere, and nothing leads out of it.
 *
 * STOP before READY closes the stream and goes to IDLE. In BACKOFF the old stream may linger, so
 * that the close-ok that the peer waits for gets out; what it still says is not read. */
#include "shared/amqp/broker_internal.h"
#include "shared/base/trouble.h"

#include "shared/base/ident.h"
#include "shared/base/log.h"
#include "shared/event/stream.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static void broker_enter(struct broker *b, enum broker_state next, const char *reason);

static void
drop_stream(struct broker *b)
{
	stream_close(b->stream);
	b->stream = NULL;
}

/* The connection has ended in a state that wanted it. */
static void
end_of_stream(struct broker *b, enum broker_event ev)
{
	const struct trouble *t = stream_error(b->stream);
	const char *cure = t->cure[0] != '\0' ? t->cure : NULL, *when = "";
	enum broker_error error = BROKER_ERR_NETWORK;
	char where[320];

	if (stream_tls_failed(b->stream)) {
		error = BROKER_ERR_TLS;
	} else if (t->kind == TROUBLE_NAMES) {
		cure = "check the name in the broker URI, and this machine's DNS";
	} else if (b->state == BROKER_CONNECTING) {
		cure = "start RabbitMQ there, or correct host and port of the broker URI";
	} else if (b->state == BROKER_HANDSHAKE) {
		when = " during the login";
		if (broker_target(b)->uri.scheme != URI_AMQPS)
			cure = "see RabbitMQ's log; is this its AMQP port?";
		else
			cure = b->tls.cert_file == NULL
				   ? "see RabbitMQ's log; does it want a certificate of ours "
				     "(cert_file, key_file)?"
				   : "see RabbitMQ's log; does it take our certificate "
				     "(cert_file)?";
	}
	broker_fail(
	    b, error, cure, "%s: %s%s", broker_where(b, where, sizeof(where)), t->what, when);
}

static void
consumer_unanswered(struct broker *b)
{
	const struct consumer *c = broker_consumer_starting(b);
	const char *queue = c == NULL ? "?" : c->queue;
	char where[320], vhost[256];
	char *cure = queue_silent_cure(broker_vhost(b, vhost, sizeof(vhost)), queue);

	broker_fail(b, BROKER_ERR_TIMEOUT, cure,
	    "%s: no answer within %u ms while starting a consumer of queue \"%s\"",
	    broker_where(b, where, sizeof(where)), b->opt.connect_timeout_ms, queue);
	free(cure);
}

static void
missed_deadline(struct broker *b, enum broker_event ev)
{
	bool connecting = b->state == BROKER_CONNECTING;
	char where[320];

	broker_fail(b, BROKER_ERR_TIMEOUT,
	    connecting ? "is the machine on, and no firewall in between?"
		       : "is this RabbitMQ's AMQP port? See its log",
	    "%s: no answer within %u ms while %s", broker_where(b, where, sizeof(where)),
	    b->opt.connect_timeout_ms, connecting ? "connecting" : "setting up the connection");
}

/* A transition is what an event does in a state. What is nothing to a state is not in the table. */
struct transition {
	enum { NOTHING, GO, DO } kind;
	enum broker_state next;                              /* GO */
	const char *reason;                                  /* GO; NULL = the event's name */
	void (*act)(struct broker *b, enum broker_event ev); /* DO: which may raise another event */
};

static void
tell_stopped(struct broker *b, enum broker_event ev)
{
	b->report_stopped = true;
	broker_timer_arm(b, BROKER_TIMER_WORK, 0);
}

static void
back_off(struct broker *b, enum broker_event ev)
{
	broker_consumers_failed(b);
	broker_enter(b, BROKER_BACKOFF, b->text);
}

static void
fail_closing(struct broker *b, enum broker_event ev)
{
	broker_consumers_failed(b);
	broker_enter(b, BROKER_IDLE, broker_event_name(ev));
}

static void
refuse(struct broker *b, enum broker_event ev)
{
	broker_unexpected(b, broker_event_name(ev));
}

static void
drop_old_stream(struct broker *b, enum broker_event ev)
{
	drop_stream(b);
}

/* In READY only the consumer that starts has a deadline; while we do not read there is no answer to
 * be seen. */
static void
miss_consumer(struct broker *b, enum broker_event ev)
{
	if (b->paused || b->blocked)
		broker_deadline(b);
	else
		consumer_unanswered(b);
}

/* clang-format off */
#define GO(state, why) {.kind = GO, .next = (state), .reason = (why)}
#define DO(fn)         {.kind = DO, .act = (fn)}
#define ANOTHER_VHOST  GO(BROKER_RELOGIN, "no such vhost")
#define THAT_VHOST     GO(BROKER_CONNECTING, "the other reading of the vhost")

static const struct transition transitions[BROKER_N_STATES][BROKER_N_EVENTS] = {
	[BROKER_IDLE] = {
		[BROKER_EV_START]       = GO(BROKER_CONNECTING, "start"),
		[BROKER_EV_STOP]        = DO(tell_stopped),
	},
	[BROKER_CONNECTING] = {
		[BROKER_EV_STOP]        = GO(BROKER_IDLE, "stop"),
		[BROKER_EV_STREAM_UP]   = GO(BROKER_HANDSHAKE, NULL),
		[BROKER_EV_STREAM_DOWN] = DO(end_of_stream),
		[BROKER_EV_OPEN_OK]     = DO(refuse),
		[BROKER_EV_CHANNEL_OK]  = DO(refuse),
		[BROKER_EV_TOPOLOGY_OK] = DO(refuse),
		[BROKER_EV_CLOSE_OK]    = DO(refuse),
		[BROKER_EV_RELOGIN]     = ANOTHER_VHOST,
		[BROKER_EV_FAILED]      = DO(back_off),
		[BROKER_EV_DEADLINE]    = DO(missed_deadline),
	},
	[BROKER_HANDSHAKE] = {
		[BROKER_EV_STOP]        = GO(BROKER_IDLE, "stop"),
		[BROKER_EV_STREAM_UP]   = DO(refuse),
		[BROKER_EV_STREAM_DOWN] = DO(end_of_stream),
		[BROKER_EV_OPEN_OK]     = GO(BROKER_OPENING, NULL),
		[BROKER_EV_CHANNEL_OK]  = DO(refuse),
		[BROKER_EV_TOPOLOGY_OK] = DO(refuse),
		[BROKER_EV_CLOSE_OK]    = DO(refuse),
		[BROKER_EV_RELOGIN]     = ANOTHER_VHOST,
		[BROKER_EV_FAILED]      = DO(back_off),
		[BROKER_EV_DEADLINE]    = DO(missed_deadline),
	},
	[BROKER_OPENING] = {
		[BROKER_EV_STOP]        = GO(BROKER_IDLE, "stop"),
		[BROKER_EV_STREAM_UP]   = DO(refuse),
		[BROKER_EV_STREAM_DOWN] = DO(end_of_stream),
		[BROKER_EV_OPEN_OK]     = DO(refuse),
		[BROKER_EV_CHANNEL_OK]  = GO(BROKER_TOPOLOGY, NULL),
		[BROKER_EV_TOPOLOGY_OK] = DO(refuse),
		[BROKER_EV_CLOSE_OK]    = DO(refuse),
		[BROKER_EV_RELOGIN]     = ANOTHER_VHOST,
		[BROKER_EV_FAILED]      = DO(back_off),
		[BROKER_EV_DEADLINE]    = DO(missed_deadline),
	},
	[BROKER_TOPOLOGY] = {
		[BROKER_EV_STOP]        = GO(BROKER_IDLE, "stop"),
		[BROKER_EV_STREAM_UP]   = DO(refuse),
		[BROKER_EV_STREAM_DOWN] = DO(end_of_stream),
		[BROKER_EV_OPEN_OK]     = DO(refuse),
		[BROKER_EV_CHANNEL_OK]  = DO(refuse),
		[BROKER_EV_TOPOLOGY_OK] = GO(BROKER_READY, NULL),
		[BROKER_EV_CLOSE_OK]    = DO(refuse),
		[BROKER_EV_RELOGIN]     = ANOTHER_VHOST,
		[BROKER_EV_FAILED]      = DO(back_off),
		[BROKER_EV_DEADLINE]    = DO(missed_deadline),
	},
	[BROKER_READY] = {
		[BROKER_EV_STOP]        = GO(BROKER_CLOSING, "stop"),
		[BROKER_EV_STREAM_UP]   = DO(refuse),
		[BROKER_EV_STREAM_DOWN] = DO(end_of_stream),
		[BROKER_EV_OPEN_OK]     = DO(refuse),
		[BROKER_EV_CHANNEL_OK]  = DO(refuse),
		[BROKER_EV_TOPOLOGY_OK] = DO(refuse),
		[BROKER_EV_CLOSE_OK]    = DO(refuse),
		[BROKER_EV_RELOGIN]     = ANOTHER_VHOST,
		[BROKER_EV_FAILED]      = DO(back_off),
		[BROKER_EV_DEADLINE]    = DO(miss_consumer),
	},
	[BROKER_CLOSING] = {
		[BROKER_EV_STREAM_DOWN] = GO(BROKER_IDLE, NULL),
		[BROKER_EV_CLOSE_OK]    = GO(BROKER_IDLE, NULL),
		[BROKER_EV_FAILED]      = DO(fail_closing),
		[BROKER_EV_DEADLINE]    = GO(BROKER_IDLE, NULL),
	},
	[BROKER_BACKOFF] = {
		[BROKER_EV_STOP]        = GO(BROKER_IDLE, "stop"),
		[BROKER_EV_STREAM_DOWN] = DO(drop_old_stream),
		[BROKER_EV_RETRY]       = GO(BROKER_CONNECTING, "retry"),
	},
	[BROKER_RELOGIN] = {
		[BROKER_EV_STOP]        = GO(BROKER_IDLE, "stop"),
		[BROKER_EV_STREAM_DOWN] = THAT_VHOST,
		[BROKER_EV_DEADLINE]    = THAT_VHOST,
	},
	[BROKER_DESTROYED] = {{.kind = NOTHING}},
};
#undef GO
#undef DO
/* clang-format on */

static void
broker_step(struct broker *b, enum broker_event ev)
{
	const struct transition *t = &transitions[b->state][ev];

	log_trace("broker", "broker[%s]: %s in %s", b->id, broker_event_name(ev),
	    broker_state_name(b->state));
	if (t->kind == GO)
		broker_enter(b, t->next, t->reason != NULL ? t->reason : broker_event_name(ev));
	else if (t->kind == DO)
		t->act(b, ev);
}

void
broker_settle(struct broker *b)
{
	while (b->n_raised > 0) {
		enum broker_event ev = b->raised[0];

		assert(b->n_raised > 0);
		b->n_raised--;
		memmove(b->raised, b->raised + 1, b->n_raised * sizeof(b->raised[0]));
		broker_step(b, ev);
	}
}

void
broker_end(struct broker *b)
{
	assert(b->state != BROKER_DESTROYED);
	b->n_raised = 0;
	b->report_stopped = false;
	broker_enter(b, BROKER_DESTROYED, "destroy");
}

void
broker_on(struct broker *b, enum broker_event ev)
{
	broker_raise(b, ev);
	broker_settle(b);
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
		broker_fail(b, BROKER_ERR_PROTOCOL,
		    b->state == BROKER_HANDSHAKE ? "is this RabbitMQ's AMQP port?" : NULL,
		    "%s: it sent %s", broker_where(b, where, sizeof(where)), frame_error(b->codec));
		return false;
	case FRAME_GOT:
		broker_dispatch(b, &f);
		frame_release(b->codec);
		return true;
	}
	return false;
}

static bool
may_read(const struct broker *b)
{
	if (b->stream == NULL || b->output_failed)
		return false;
	return !(b->paused && b->state == BROKER_READY);
}

/* Reads one contiguous piece, and returns the frames handled. A handler may pause, stop or destroy
 * us, or the state may change, with any frame: what it raised is settled when it is done with. */
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
		broker_settle(b);
		at += used;
		if (!more)
			break;
		frames++;
	}
	if (b->stream == s)
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

static void
broker_on_stream(struct stream *s, enum stream_event sev, void *arg)
{
	struct broker *b = arg;

	log_trace("broker", "broker[%s]: %s", b->id, stream_event_name(sev));
	switch (sev) {
	case STREAM_UP:
		broker_on(b, BROKER_EV_STREAM_UP);
		return;
	case STREAM_DATA:
		b->last_read = loop_now(b->loop);
		broker_read(b);
		return;
	case STREAM_LOW:
		broker_check_writable(b);
		return;
	case STREAM_DOWN:
		/* The peer may have said why before it went. */
		broker_read(b);
		if (b->stream == s)
			broker_on(b, BROKER_EV_STREAM_DOWN);
		return;
	}
}

/* No state keeps these from the one before it. */
static void
leave(struct broker *b)
{
	struct mono now = loop_now(b->loop);

	broker_timer_disarm(b, BROKER_TIMER_DEADLINE);
	broker_timer_disarm(b, BROKER_TIMER_RETRY);
	if (b->state == BROKER_IDLE)
		b->down_since = now;
	if (b->state == BROKER_READY) {
		bool steady = mono_diff(now, b->ready_since) >= BROKER_STEADY_MS;

		if (steady)
			backoff_reset(&b->backoff);
		/* Up and down every few seconds is down, since it was up for good. */
		if (steady || b->failures == 0)
			b->down_since = now;
		broker_timer_disarm(b, BROKER_TIMER_HEARTBEAT);
		broker_timer_disarm(b, BROKER_TIMER_REBIND);
		b->epoch++;
		broker_consumers_reset(b);
		broker_ask_forget(b);
	}
}

static void
enter_connecting(struct broker *b)
{
	const struct uri *u = &broker_target(b)->uri;
	struct stream_options opt = {
	    .host = u->host,
	    .port = u->port,
	    .output_max = b->opt.output_max,
	    .output_high = b->opt.output_max / 2,
	    .connect_timeout_ms = b->opt.connect_timeout_ms,
	    .tls = u->scheme == URI_AMQPS ? &b->tls : NULL,
	};

	drop_stream(b);
	frame_codec_destroy(b->codec);
	b->codec = frame_codec_create();
	b->blocked = false;
	b->output_failed = false;
	b->linger = false;
	broker_content_free(b);
	b->stream = stream_open(b->loop, &opt, broker_on_stream, b);
	broker_timer_arm(b, BROKER_TIMER_DEADLINE,
	    (int64_t)b->opt.connect_timeout_ms * BROKER_CONNECT_ADDRESSES);
}

static void
enter_opening(struct broker *b)
{
	amqp_channel_open_t m = {0};

	broker_deadline(b);
	broker_send(b, BROKER_CHANNEL, AMQP_CHANNEL_OPEN_METHOD, &m);
}

static void
enter_ready(struct broker *b)
{
	assert(b->stream != NULL && b->pending == NULL);
	b->times_ready++;
	b->starved = false;
	b->ready_since = b->last_read = loop_now(b->loop);
	broker_apply_pause(b);
	broker_heartbeat_arm(b);
	b->rebind = (struct rebind){0};
	broker_rebind_arm(b);
	broker_log_up(b);
	b->handlers.on_ready(b, b->arg);
}

static void
enter_closing(struct broker *b)
{
	amqp_connection_close_t m = {
	    .reply_code = AMQP_REPLY_SUCCESS,
	    .reply_text = amqp_cstring_bytes("goodbye"),
	};

	broker_deadline(b);
	broker_send(b, 0, AMQP_CONNECTION_CLOSE_METHOD, &m);
}

static void
enter_idle(struct broker *b)
{
	drop_stream(b);
	b->report_stopped = true;
	broker_timer_arm(b, BROKER_TIMER_WORK, 0);
}

/* Such an error does not get better by trying often; someone must act first. */
static bool
needs_somebody(enum broker_error error)
{
	return error == BROKER_ERR_AUTH || error == BROKER_ERR_VHOST || error == BROKER_ERR_TLS;
}

static uint32_t
retry_delay(struct broker *b)
{
	uint32_t most = (uint32_t)b->opt.heartbeat_s * 1000, ms;

	ms = backoff_next(&b->backoff, ident_random32());
	if (b->logins != NULL) /* not tried yet */
		return ms;
	/* While the others of the list have not had their turn, those come first. */
	if (needs_somebody(b->error) && b->target + 1 == b->n_targets) {
		struct backoff slow = {b->opt.reconnect_max_ms, b->opt.reconnect_max_ms, 0};

		return backoff_next(&slow, ident_random32());
	}
	/* The broker lets our dead connection go after two heartbeats: be there soon. */
	if (b->error == BROKER_ERR_IN_USE && most > 0 && ms > most)
		return most;
	return ms;
}

static void
enter_backoff(struct broker *b)
{
	struct broker_failure f = {.error = b->error,
	    .trouble = &b->trouble,
	    .text = b->text,
	    .by_another = b->error == BROKER_ERR_IN_USE && broker_in_use_by_another(b),
	    .retrying = true};

	if (!b->linger)
		drop_stream(b);
	b->linger = false;
	b->failures++;
	broker_timer_arm(b, BROKER_TIMER_RETRY, b->retry_in_ms);
	b->target = (b->target + 1) % b->n_targets;
	broker_log_failure(b);
	f.retry_in_ms = b->retry_in_ms;
	broker_publish_lost(b);
	if (b->state != BROKER_DESTROYED && b->handlers.on_down != NULL)
		b->handlers.on_down(b, &f, b->arg);
}

static void
broker_enter(struct broker *b, enum broker_state next, const char *reason)
{
	enum broker_state old = b->state;
	enum log_level level = next == BROKER_DESTROYED ? LOG_LEVEL_DEBUG : broker_step_level(b);

	assert(old != BROKER_DESTROYED);
	leave(b);
	b->state = next;
	if (old == BROKER_READY && next != BROKER_DESTROYED)
		broker_apply_pause(b);
	if (next == BROKER_CONNECTING) {
		b->connections++;
		broker_take_logins(b);
		broker_make_id(b);
	}
	if (next == BROKER_BACKOFF) {
		b->retry_in_ms = retry_delay(b);
		log_msg(level, "broker", "broker[%s]: %s -> %s, reason=%s, retry_in=%u.%us", b->id,
		    broker_state_name(old), broker_state_name(next), reason, b->retry_in_ms / 1000,
		    b->retry_in_ms % 1000 / 100);
	} else {
		log_msg(level, "broker", "broker[%s]: %s -> %s, reason=%s", b->id,
		    broker_state_name(old), broker_state_name(next), reason);
	}
	switch (next) {
	case BROKER_IDLE:
		enter_idle(b);
		return;
	case BROKER_CONNECTING:
		enter_connecting(b);
		return;
	case BROKER_HANDSHAKE:
		broker_deadline(b);
		broker_login_begin(b);
		return;
	case BROKER_OPENING:
		enter_opening(b);
		return;
	case BROKER_TOPOLOGY:
		broker_setup_begin(b);
		return;
	case BROKER_READY:
		enter_ready(b);
		return;
	case BROKER_CLOSING:
		enter_closing(b);
		return;
	case BROKER_BACKOFF:
		enter_backoff(b);
		return;
	case BROKER_RELOGIN:
		b->linger = false;
		broker_timer_arm(b, BROKER_TIMER_DEADLINE, BROKER_LINGER_MS);
		return;
	case BROKER_DESTROYED:
		drop_stream(b);
		return;
	}
}
