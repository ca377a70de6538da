/* SPDX-License-Identifier: Apache-2.0 */
/* All parts of the broker stand on this: names, events that are raised, timers, output. */
#include "shared/amqp/broker_internal.h"

#include "shared/base/log.h"
#include "shared/event/stream.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

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
	case BROKER_DESTROYED:
		return "DESTROYED";
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

void
broker_raise(struct broker *b, enum broker_event ev)
{
	assert(b->n_raised < BROKER_RAISED_MAX);
	b->raised[b->n_raised++] = ev;
}

void
broker_timer_arm(struct broker *b, enum broker_timer timer, int64_t ms)
{
	if (b->state != BROKER_DESTROYED)
		loop_timer_arm(b->timers[timer], ms);
}

void
broker_timer_disarm(struct broker *b, enum broker_timer timer)
{
	if (b->state != BROKER_DESTROYED)
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
	if (b->stream == NULL)
		return;
	assert(b->out.len == 0);
	log_trace("broker", "broker[%s]: > %s", b->id, amqp_method_name(method));
	if (frame_put_method(b->codec, &b->out, channel, method, decoded) && broker_flush(b))
		return;
	buf_reset(&b->out);
	b->output_failed = true;
	broker_timer_arm(b, BROKER_TIMER_WORK, 0);
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

void
broker_take_logins(struct broker *b)
{
	if (b->logins == NULL)
		return;
	for (size_t i = 0; i < b->n_targets; i++) {
		uri_finish(&b->targets[i].uri);
		uri_copy(&b->targets[i].uri, &b->logins[i]);
	}
	uri_list_free(b->logins, b->n_targets);
	b->logins = NULL;
}

void
broker_apply_pause(struct broker *b)
{
	if (b->stream == NULL)
		return;
	if (b->paused && b->state == BROKER_READY)
		stream_pause(b->stream);
	else
		stream_resume(b->stream);
}
