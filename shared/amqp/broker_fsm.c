/* The state machine of broker.h.
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
 * STOP before READY closes the stream and goes to IDLE. In BACKOFF the old stream may linger, so
 * that the close-ok that the peer waits for gets out; what it still says is not read. */
#include "shared/amqp/broker_internal.h"

#include "shared/base/errtext.h"
#include "shared/base/ident.h"
#include "shared/base/log.h"
#include "shared/base/xalloc.h"
#include "shared/event/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void broker_enter(struct broker *b, enum broker_state next, const char *reason);

enum log_level
broker_step_level(const struct broker *b)
{
	return b->opt.bind_only ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO;
}

const char *
broker_state_name(enum broker_state state)
{
	switch (state) {
	case BROKER_IDLE:
		return "IDLE";
	case BROKER_CONNECTING:
		return "CONNECTING";
	case BROKER_HANDSHAKE:
		return "HANDSHAKE";
	case BROKER_OPENING:
		return "OPENING";
	case BROKER_TOPOLOGY:
		return "TOPOLOGY";
	case BROKER_READY:
		return "READY";
	case BROKER_CLOSING:
		return "CLOSING";
	case BROKER_BACKOFF:
		return "BACKOFF";
	case BROKER_RELOGIN:
		return "RELOGIN";
	}
	return "?";
}

const char *
broker_event_name(enum broker_event ev)
{
	switch (ev) {
	case BROKER_EV_START:
		return "START";
	case BROKER_EV_STOP:
		return "STOP";
	case BROKER_EV_STREAM_UP:
		return "STREAM_UP";
	case BROKER_EV_STREAM_DOWN:
		return "STREAM_DOWN";
	case BROKER_EV_OPEN_OK:
		return "OPEN_OK";
	case BROKER_EV_CHANNEL_OK:
		return "CHANNEL_OK";
	case BROKER_EV_TOPOLOGY_OK:
		return "TOPOLOGY_OK";
	case BROKER_EV_CLOSE_OK:
		return "CLOSE_OK";
	case BROKER_EV_RELOGIN:
		return "RELOGIN";
	case BROKER_EV_FAILED:
		return "FAILED";
	case BROKER_EV_DEADLINE:
		return "DEADLINE";
	case BROKER_EV_RETRY:
		return "RETRY";
	}
	return "?";
}

static void
drop_stream(struct broker *b)
{
	stream_close(b->stream);
	b->stream = NULL;
}

/* The connection has ended in a state that wanted it. */
static void
end_of_stream(struct broker *b)
{
	const char *cure = "";
	char where[320];

	if (stream_tls_failed(b->stream)) {
		broker_fail(b, BROKER_ERR_TLS, "%s: %s", broker_where(b, where, sizeof(where)),
		    stream_error(b->stream));
		return;
	}
	if (errtext_is_of_names(stream_error(b->stream)))
		cure = ERRTEXT_CURE "check the name in the broker URI, and this machine's DNS";
	else if (b->state == BROKER_CONNECTING)
		cure =
		    ERRTEXT_CURE "start RabbitMQ there, or correct host and port of the broker URI";
	else if (b->state == BROKER_HANDSHAKE && broker_target(b)->uri.scheme == URI_AMQPS)
		cure = b->tls.cert_file == NULL
			   ? " during the login" ERRTEXT_CURE
			     "see RabbitMQ's log; does it want a certificate of ours (cert_file, "
			     "key_file)?"
			   : " during the login" ERRTEXT_CURE
			     "see RabbitMQ's log; does it take our certificate (cert_file)?";
	else if (b->state == BROKER_HANDSHAKE)
		cure =
		    " during the login" ERRTEXT_CURE "see RabbitMQ's log; is this its AMQP port?";
	broker_fail(b, BROKER_ERR_NETWORK, "%s: %s%s", broker_where(b, where, sizeof(where)),
	    stream_error(b->stream), cure);
}

static void
consumer_unanswered(struct broker *b)
{
	const struct consumer *c = broker_consumer_starting(b);
	const char *queue = c == NULL ? "?" : c->queue;
	char where[320], vhost[256];
	char *cure = queue_silent_cure(broker_vhost(b, vhost, sizeof(vhost)), queue);

	broker_fail(b, BROKER_ERR_TIMEOUT,
	    "%s: no answer within %u ms while starting a consumer of queue \"%s\"" ERRTEXT_CURE
	    "%s",
	    broker_where(b, where, sizeof(where)), b->opt.connect_timeout_ms, queue, cure);
	free(cure);
}

static void
missed_deadline(struct broker *b)
{
	const char *doing =
	    "setting up the connection" ERRTEXT_CURE "is this RabbitMQ's AMQP port? See its log";
	char where[320];

	if (b->state == BROKER_READY) {
		consumer_unanswered(b);
		return;
	}
	if (b->state == BROKER_CONNECTING)
		doing = "connecting" ERRTEXT_CURE "is the machine on, and no firewall in between?";
	broker_fail(b, BROKER_ERR_TIMEOUT, "%s: no answer within %u ms while %s",
	    broker_where(b, where, sizeof(where)), b->opt.connect_timeout_ms, doing);
}

static void
step_idle(struct broker *b, enum broker_event ev)
{
	switch (ev) {
	case BROKER_EV_START:
		broker_enter(b, BROKER_CONNECTING, "start");
		return;
	case BROKER_EV_STOP:
		b->report_stopped = true;
		broker_timer_arm(b, BROKER_TIMER_WORK, 0);
		return;
	case BROKER_EV_STREAM_UP:
	case BROKER_EV_STREAM_DOWN:
	case BROKER_EV_OPEN_OK:
	case BROKER_EV_CHANNEL_OK:
	case BROKER_EV_TOPOLOGY_OK:
	case BROKER_EV_CLOSE_OK:
	case BROKER_EV_RELOGIN:
	case BROKER_EV_FAILED:
	case BROKER_EV_DEADLINE:
	case BROKER_EV_RETRY:
		return;
	}
}

/* CONNECTING to READY: they differ in what takes them one further, and in how they stop. */
static void
step_live(struct broker *b, enum broker_event ev, enum broker_event forward, enum broker_state next)
{
	if (ev == forward) {
		broker_enter(b, next, broker_event_name(ev));
		return;
	}
	switch (ev) {
	case BROKER_EV_STOP:
		broker_enter(b, b->state == BROKER_READY ? BROKER_CLOSING : BROKER_IDLE, "stop");
		return;
	case BROKER_EV_STREAM_DOWN:
		end_of_stream(b);
		return;
	case BROKER_EV_DEADLINE:
		/* In READY of the consumer; while we do not read there is no answer to be seen. */
		if (b->state == BROKER_READY && (b->paused || b->blocked))
			broker_deadline(b);
		else
			missed_deadline(b);
		return;
	case BROKER_EV_RELOGIN:
		broker_enter(b, BROKER_RELOGIN, "no such vhost");
		return;
	case BROKER_EV_FAILED:
		broker_enter(b, BROKER_BACKOFF, b->text);
		return;
	case BROKER_EV_STREAM_UP:
	case BROKER_EV_OPEN_OK:
	case BROKER_EV_CHANNEL_OK:
	case BROKER_EV_TOPOLOGY_OK:
	case BROKER_EV_CLOSE_OK:
		broker_unexpected(b, broker_event_name(ev));
		return;
	case BROKER_EV_START:
	case BROKER_EV_RETRY:
		return;
	}
}

static void
step_closing(struct broker *b, enum broker_event ev)
{
	switch (ev) {
	case BROKER_EV_CLOSE_OK:
	case BROKER_EV_STREAM_DOWN:
	case BROKER_EV_FAILED:
	case BROKER_EV_DEADLINE:
		broker_enter(b, BROKER_IDLE, broker_event_name(ev));
		return;
	case BROKER_EV_START:
	case BROKER_EV_STOP:
	case BROKER_EV_STREAM_UP:
	case BROKER_EV_OPEN_OK:
	case BROKER_EV_CHANNEL_OK:
	case BROKER_EV_TOPOLOGY_OK:
	case BROKER_EV_RELOGIN:
	case BROKER_EV_RETRY:
		return;
	}
}

static void
step_backoff(struct broker *b, enum broker_event ev)
{
	switch (ev) {
	case BROKER_EV_RETRY:
		broker_enter(b, BROKER_CONNECTING, "retry");
		return;
	case BROKER_EV_STOP:
		broker_enter(b, BROKER_IDLE, "stop");
		return;
	case BROKER_EV_STREAM_DOWN:
		drop_stream(b);
		return;
	case BROKER_EV_START:
	case BROKER_EV_STREAM_UP:
	case BROKER_EV_OPEN_OK:
	case BROKER_EV_CHANNEL_OK:
	case BROKER_EV_TOPOLOGY_OK:
	case BROKER_EV_CLOSE_OK:
	case BROKER_EV_RELOGIN:
	case BROKER_EV_FAILED:
	case BROKER_EV_DEADLINE:
		return;
	}
}

static void
step_relogin(struct broker *b, enum broker_event ev)
{
	switch (ev) {
	case BROKER_EV_STREAM_DOWN:
	case BROKER_EV_DEADLINE:
		broker_enter(b, BROKER_CONNECTING, "the other reading of the vhost");
		return;
	case BROKER_EV_STOP:
		broker_enter(b, BROKER_IDLE, "stop");
		return;
	case BROKER_EV_START:
	case BROKER_EV_STREAM_UP:
	case BROKER_EV_OPEN_OK:
	case BROKER_EV_CHANNEL_OK:
	case BROKER_EV_TOPOLOGY_OK:
	case BROKER_EV_CLOSE_OK:
	case BROKER_EV_RELOGIN:
	case BROKER_EV_FAILED:
	case BROKER_EV_RETRY:
		return;
	}
}

void
broker_step(struct broker *b, enum broker_event ev)
{
	if (b->dead)
		return;
	log_trace("broker", "broker[%s]: %s in %s", b->id, broker_event_name(ev),
	    broker_state_name(b->state));
	switch (b->state) {
	case BROKER_IDLE:
		step_idle(b, ev);
		return;
	case BROKER_CONNECTING:
		step_live(b, ev, BROKER_EV_STREAM_UP, BROKER_HANDSHAKE);
		return;
	case BROKER_HANDSHAKE:
		step_live(b, ev, BROKER_EV_OPEN_OK, BROKER_OPENING);
		return;
	case BROKER_OPENING:
		step_live(b, ev, BROKER_EV_CHANNEL_OK, BROKER_TOPOLOGY);
		return;
	case BROKER_TOPOLOGY:
		step_live(b, ev, BROKER_EV_TOPOLOGY_OK, BROKER_READY);
		return;
	case BROKER_READY:
		step_live(b, ev, BROKER_EV_TOPOLOGY_OK, BROKER_READY);
		return;
	case BROKER_CLOSING:
		step_closing(b, ev);
		return;
	case BROKER_BACKOFF:
		step_backoff(b, ev);
		return;
	case BROKER_RELOGIN:
		step_relogin(b, ev);
		return;
	}
}

void
broker_timer_arm(struct broker *b, enum broker_timer timer, int64_t ms)
{
	if (!b->dead)
		loop_timer_arm(b->timers[timer], ms);
}

void
broker_timer_disarm(struct broker *b, enum broker_timer timer)
{
	if (!b->dead)
		loop_timer_disarm(b->timers[timer]);
}

void
broker_deadline(struct broker *b)
{
	broker_timer_arm(b, BROKER_TIMER_DEADLINE, b->opt.connect_timeout_ms);
}

const struct target *
broker_target(const struct broker *b)
{
	return &b->targets[b->target];
}

bool
broker_flush(struct broker *b)
{
	bool ok = b->stream != NULL && stream_write(b->stream, b->out.data, b->out.len);

	if (ok)
		b->last_written = loop_now(b->loop);
	/* A large message once must not hold its size for ever. */
	if (b->out.cap > BROKER_OVERSIZE_KEEP)
		buf_finish(&b->out);
	else
		buf_reset(&b->out);
	return ok;
}

void
broker_send(struct broker *b, uint16_t channel, amqp_method_number_t method, void *decoded)
{
	if (b->dead || b->stream == NULL)
		return;
	log_trace("broker", "broker[%s]: > %s", b->id, amqp_method_name(method));
	if (frame_put_method(b->codec, &b->out, channel, method, decoded) && broker_flush(b))
		return;
	buf_reset(&b->out);
	b->output_failed = true;
	broker_timer_arm(b, BROKER_TIMER_WORK, 0);
}

static void
broker_on_stream(struct stream *s, enum stream_event sev, void *arg)
{
	struct broker *b = arg;

	log_trace("broker", "broker[%s]: %s", b->id, stream_event_name(sev));
	switch (sev) {
	case STREAM_UP:
		broker_step(b, BROKER_EV_STREAM_UP);
		return;
	case STREAM_DATA:
		b->last_read = loop_now(b->loop);
		broker_read(b);
		return;
	case STREAM_LOW:
		broker_check_writable(b);
		return;
	case STREAM_DOWN:
		/* What it said before it went: perhaps why. */
		broker_read(b);
		if (!b->dead && b->stream == s)
			broker_step(b, BROKER_EV_STREAM_DOWN);
		return;
	}
}

/* What no state keeps from the one before it. */
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
		broker_timer_disarm(b, BROKER_TIMER_KEEP);
		b->epoch++;
		broker_consumers_reset(b);
		broker_ask_forget(b);
	}
}

void
broker_make_id(struct broker *b)
{
	struct uri nobody = broker_target(b)->uri;
	char text[300];

	nobody.user = NULL;
	nobody.password = NULL;
	snprintf(b->id, sizeof(b->id), "%s#%u %s", uri_redacted(&nobody, text, sizeof(text)),
	    b->connections, b->role);
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
	b->times_ready++;
	b->starved = false;
	b->ready_since = b->last_read = loop_now(b->loop);
	broker_apply_pause(b);
	broker_heartbeat_arm(b);
	b->keep = (struct keep){0};
	broker_keep_arm(b);
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

/* These do not get better by trying often; someone must act first. */
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
	if (!b->dead && b->handlers.on_down != NULL)
		b->handlers.on_down(b, &f, b->arg);
}

static void
broker_enter(struct broker *b, enum broker_state next, const char *reason)
{
	enum broker_state old = b->state;

	leave(b);
	b->state = next;
	if (old == BROKER_READY)
		broker_apply_pause(b);
	if (next == BROKER_CONNECTING) {
		b->connections++;
		broker_take_logins(b);
		broker_make_id(b);
	}
	if (next == BROKER_BACKOFF) {
		b->retry_in_ms = retry_delay(b);
		log_msg(broker_step_level(b), "broker",
		    "broker[%s]: %s -> %s, reason=%s, retry_in=%u.%us", b->id,
		    broker_state_name(old), broker_state_name(next), reason, b->retry_in_ms / 1000,
		    b->retry_in_ms % 1000 / 100);
	} else {
		log_msg(broker_step_level(b), "broker", "broker[%s]: %s -> %s, reason=%s", b->id,
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
		broker_topology_begin(b);
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
	}
}
