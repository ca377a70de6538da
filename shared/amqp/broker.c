/* SPDX-License-Identifier: Apache-2.0 */
/* The broker's life as its owner sees it: see broker.h; the state machine is in broker_fsm.c. */
#include "shared/amqp/broker_internal.h"

#include "shared/base/xalloc.h"
#include "shared/event/stream.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void
broker_options_default(struct broker_options *opt)
{
	*opt = (struct broker_options){
	    .role = "client",
	    .program = "vogeler",
	    .heartbeat_s = 10,
	    .connect_timeout_ms = 10000,
	    .reconnect_first_ms = 500,
	    .reconnect_max_ms = 30000,
	    .max_body_bytes = 16 * 1024 * 1024,
	    .output_max = 16 * 1024 * 1024,
	    .max_unconfirmed = 1000,
	};
}

static void
on_deadline(void *arg)
{
	broker_on(arg, BROKER_EV_DEADLINE);
}

static void
on_retry(void *arg)
{
	broker_on(arg, BROKER_EV_RETRY);
}

static void
on_rebind(void *arg)
{
	broker_rebind_start(arg);
}

static void
on_heartbeat(void *arg)
{
	broker_heartbeat(arg);
	broker_settle(arg);
}

static void
report_stopped(struct broker *b)
{
	b->report_stopped = false;
	broker_publish_lost(b);
	if (b->state != BROKER_DESTROYED && b->handlers.on_stopped != NULL)
		b->handlers.on_stopped(b, b->arg);
}

static void
on_work(void *arg)
{
	struct broker *b = arg;
	char where[320];

	if (b->output_failed) {
		b->output_failed = false;
		broker_fail(b, BROKER_ERR_TIMEOUT, NULL, "%s: it does not take what we send",
		    broker_where(b, where, sizeof(where)));
		broker_settle(b);
	}
	if (b->report_stopped)
		report_stopped(b);
	broker_read(b);
}

static void
copy_targets(struct broker *b, const struct broker_options *opt)
{
	assert(opt->n_uris > 0);
	b->n_targets = opt->n_uris;
	b->targets = xcalloc(opt->n_uris, sizeof(*b->targets));
	for (size_t i = 0; i < opt->n_uris; i++) {
		assert(opt->uris[i].scheme == URI_AMQP || opt->uris[i].scheme == URI_AMQPS);
		uri_copy(&b->targets[i].uri, &opt->uris[i]);
	}
}

struct broker *
broker_create(struct loop *loop, const struct broker_options *opt,
    const struct broker_handlers *handlers, void *arg)
{
	static const struct {
		const char *name;
		loop_fn *fn;
	} timers[BROKER_N_TIMERS] = {
	    [BROKER_TIMER_DEADLINE] = {"deadline", on_deadline},
	    [BROKER_TIMER_RETRY] = {"retry", on_retry},
	    [BROKER_TIMER_HEARTBEAT] = {"heartbeat", on_heartbeat},
	    [BROKER_TIMER_REBIND] = {"rebind", on_rebind},
	    [BROKER_TIMER_WORK] = {"work", on_work},
	};
	struct broker *b = xcalloc(1, sizeof(*b));

	assert(handlers->on_ready != NULL);
	assert(!opt->look_only || !opt->bind_only);
	assert((!opt->look_by_name || opt->look_only) && (!opt->bind_looks || opt->bind_only));
	b->loop = loop;
	b->opt = *opt;
	b->opt.uris = NULL; /* borrowed during this call only */
	b->opt.tls = &b->tls;
	tls_options_copy(&b->tls, opt->tls);
	b->role = xstrdup(opt->role);
	b->program = xstrdup(opt->program);
	b->handlers = *handlers;
	b->arg = arg;
	copy_targets(b, opt);
	if (opt->topology != NULL)
		b->notes = xcalloc(opt->topology->n, sizeof(*b->notes));
	broker_make_id(b);
	for (int i = 0; i < BROKER_N_TIMERS; i++)
		b->timers[i] = loop_timer_create(loop, timers[i].name, timers[i].fn, b);
	backoff_init(&b->backoff, opt->reconnect_first_ms, opt->reconnect_max_ms);
	buf_init(&b->out, opt->output_max);
	b->epoch = 1;
	b->down_since = loop_now(loop);
	return b;
}

static void
broker_free(void *arg)
{
	struct broker *b = arg;

	frame_codec_destroy(b->codec);
	broker_publish_free(b);
	broker_content_free(b);
	broker_look_free(b);
	free(b->notes);
	broker_ask_forget(b);
	buf_finish(&b->out);
	for (size_t i = 0; i < b->n_targets; i++)
		uri_finish(&b->targets[i].uri);
	free(b->targets);
	uri_list_free(b->logins, b->n_targets);
	tls_options_finish(&b->tls);
	broker_consumers_free(b);
	free(b->role);
	free(b->program);
	free(b);
}

/* May be called from any of its own callbacks, deep inside the reading of a frame: so only what
 * could call back goes now. */
void
broker_destroy(struct broker *b)
{
	if (b == NULL || b->state == BROKER_DESTROYED)
		return;
	broker_end(b);
	broker_topology_forget(b); /* the topology may be gone from here on */
	for (int i = 0; i < BROKER_N_TIMERS; i++) {
		loop_timer_destroy(b->timers[i]);
		b->timers[i] = NULL;
	}
	loop_defer_free(b->loop, b, broker_free);
}

void
broker_start(struct broker *b)
{
	broker_on(b, BROKER_EV_START);
}

/* The logins do not go into targets: what is up was logged in with those, and says so in each
 * message. */
void
broker_set_logins(struct broker *b, const struct uri *uris, size_t n)
{
	assert(n == b->n_targets);
	uri_list_free(b->logins, b->n_targets);
	b->logins = xcalloc(n, sizeof(*b->logins));
	for (size_t i = 0; i < n; i++)
		uri_copy(&b->logins[i], &uris[i]);
	/* A failure from here on is another one, and worth a line. */
	b->said = (struct ratelimit){0};
	broker_topology_try_again(b);
	backoff_reset(&b->backoff);
	if (b->state == BROKER_BACKOFF)
		broker_timer_arm(b, BROKER_TIMER_RETRY, 0);
}

void
broker_stop(struct broker *b)
{
	broker_on(b, BROKER_EV_STOP);
}

bool
broker_is_ready(const struct broker *b)
{
	return b->state == BROKER_READY;
}

unsigned int
broker_release(const struct broker *b)
{
	return b->release;
}

uint64_t
broker_message_max(const struct broker *b)
{
	return b->message_max;
}

const char *
broker_id(const struct broker *b)
{
	return b->id;
}

const char *
broker_state_text(const struct broker *b)
{
	return b->blocked && b->state == BROKER_READY ? "BLOCKED" : broker_state_name(b->state);
}

void
broker_status(const struct broker *b, struct broker_status *out)
{
	const struct consumer *worst = broker_consumer_worst(b);
	struct mono now = loop_now(b->loop);

	*out = (struct broker_status){
	    .role = b->role,
	    .ready = b->state == BROKER_READY,
	    .blocked = b->blocked,
	    .paused = b->paused,
	    .queue = worst != NULL ? worst->queue : NULL,
	    .consuming = worst != NULL && worst->state == CONSUMER_ON,
	    .consumer_lost = worst != NULL && worst->lost,
	    .heartbeat_ms = b->heartbeat_ms,
	    .certificate_end = b->stream != NULL ? stream_certificate_end(b->stream) : 0,
	    .failure = b->text,
	    .blocked_reason = b->blocked_reason,
	    .times_ready = b->times_ready,
	    .failures = b->failures,
	    .deliveries = b->deliveries,
	    .delivered_bytes = b->delivered_bytes,
	};
	memcpy(out->outcomes, b->outcomes, sizeof(out->outcomes));
	if (!out->ready)
		out->down_ms = mono_diff(now, b->down_since);
	else if (!b->paused)
		out->silent_ms = mono_diff(now, b->last_read);
	if (worst != NULL && !out->consuming)
		out->unconsumed_ms = mono_diff(now, worst->none_since);
	if (b->pending != NULL && !b->blocked && !b->paused)
		out->unconfirmed_ms = mono_diff(now, b->unconfirmed_since);
	if (b->blocked)
		out->blocked_ms = mono_diff(now, b->blocked_since);
}

void
broker_pause(struct broker *b)
{
	if (b->paused)
		return;
	b->paused = true;
	broker_apply_pause(b);
}

void
broker_resume(struct broker *b)
{
	if (!b->paused)
		return;
	b->paused = false;
	/* The peer was silent because we did not read. */
	b->last_read = loop_now(b->loop);
	broker_apply_pause(b);
	/* Some bytes may have arrived before the pause. */
	broker_timer_arm(b, BROKER_TIMER_WORK, 0);
}
