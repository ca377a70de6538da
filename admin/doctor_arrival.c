/* SPDX-License-Identifier: Apache-2.0 */
/* This checks whether messages arrive: those of answers in their queues, those of commands at the
 * host that is looked at, by its name and to all. Bindings cannot be asked for, so probes are sent
 * (see shared/amqp/probe.h), which everybody drops: what reaches no queue at all comes back; that
 * it reached this host's queue, where others have the same key, its agent echoes, or, while nobody
 * reads the queue, its length tells. */
#include "admin/doctor.h"

#include "shared/amqp/broker.h"
#include "shared/amqp/probe.h"
#include "shared/amqp/topology.h"
#include "shared/base/ident.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/config/options_broker.h"
#include "shared/event/loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ECHO_MS      5000 /* an agent that is connected answers at once */
#define GONE_POLL_MS 200
#define GONE_LOOKS   20

static const char check[] = "arrival";

enum arrival_step {
	STEP_MASTER,
	STEP_FRESH,
	STEP_NAME,
	STEP_LENGTH, /* of the host's queue, before */
	STEP_ALL,
	STEP_SHOWN, /* the echo, or the length after */
	STEP_GONE,  /* what was sent to the host's queue is not there any more */
	STEP_DONE,
};

struct arrival {
	struct doctor *d;
	struct doctor_arrival what;
	enum arrival_step step;
	char id[IDENT_SIZE];
	char *reply_to;
	struct topology *topology;
	struct broker *broker;
	struct loop_timer *timer;
	bool echoes; /* we can hear them */
	bool by_name_echoed, all_echoed;
	uint64_t message_max; /* as the agent has learned; 0 = it has not */
	uint32_t before;
	unsigned int looks;
	doctor_arrival_fn *fn;
	void *arg;
};

static void enter(struct arrival *a, enum arrival_step next);

static void
arrival_free(void *arg)
{
	struct arrival *a = arg;

	topology_destroy(a->topology);
	free(a->reply_to);
	free(a);
}

static void
finish(struct arrival *a)
{
	broker_destroy(a->broker);
	loop_timer_destroy(a->timer);
	loop_defer_free(a->d->v->loop, a, arrival_free);
	a->fn(a->message_max, a->arg);
}

static bool
is_read(const struct arrival *a)
{
	return a->what.own->consumers > 0;
}

static void
send(struct arrival *a, const char *exchange, const char *key, const char *expires_ms)
{
	struct message m;
	uint64_t id;

	probe_make(&m, "vogeler-admin", a->id, a->what.host, a->reply_to, expires_ms);
	id = broker_publish(a->broker, exchange, key, true, &m);
	message_finish(&m);
	if (id != 0)
		return;
	doctor_say(a->d, check, CHECK_SKIP, NULL, "the broker takes no messages now");
	enter(a, STEP_DONE);
}

/* A probe goes by itself, at once, where nobody reads. Who reads the queue takes it, and a
 * collector that comes later; where the broker keeps what it drops, it would be kept. */
static const char *
expires(const struct arrival *a, const struct broker_look *look)
{
	bool goes = look->consumers == 0 && look->messages == 0;

	return goes && !a->d->options->master_queue.dead_letter ? "0" : NULL;
}

/* Behind commands that wait it would stay until the host is back. */
static bool
may_send_to_host(struct arrival *a)
{
	if (a->what.own->consumers > 0 || a->what.own->messages == 0)
		return true;
	doctor_say(a->d, check, CHECK_SKIP, NULL,
	    "whether commands arrive at %s is not tried: some wait there, and nobody reads them",
	    a->what.host);
	return false;
}

bool
doctor_may_send_to_all(const struct doctor *d)
{
	const struct queue_options *q = &d->options->host_queue;

	return q->max_length == 0 && q->max_length_bytes == 0;
}

static bool
may_send_to_all(const struct arrival *a)
{
	if (doctor_may_send_to_all(a->d))
		return true;
	doctor_say(a->d, check, CHECK_SKIP, NULL,
	    "whether a command to all arrives is not tried: [host_queue] limits how much may wait");
	return false;
}

static void
enter(struct arrival *a, enum arrival_step next)
{
	const struct options *o = a->d->options;

	a->step = next;
	loop_timer_arm(a->timer, o->connect_timeout_ms);
	switch (next) {
	case STEP_MASTER:
		if (a->what.master != NULL)
			send(
			    a, o->master_exchange, TOPOLOGY_MASTER_KEY, expires(a, a->what.master));
		else
			enter(a, STEP_FRESH);
		return;
	case STEP_FRESH:
		if (a->what.fresh != NULL)
			send(a, o->master_exchange, TOPOLOGY_FRESH_KEY, expires(a, a->what.fresh));
		else
			enter(a, STEP_NAME);
		return;
	case STEP_NAME:
		if (a->what.host != NULL && a->what.sends && may_send_to_host(a))
			send(a, o->broadcast_exchange, a->what.host, expires(a, a->what.own));
		else
			enter(a, STEP_DONE);
		return;
	case STEP_LENGTH:
		if (!may_send_to_all(a))
			enter(a, STEP_DONE);
		else if (is_read(a))
			enter(a, STEP_ALL);
		else if (!broker_ask_depth(a->broker, a->what.host))
			enter(a, STEP_DONE);
		return;
	case STEP_ALL:
		send(a, o->broadcast_exchange, DOCTOR_ALL_KEY, DOCTOR_ALL_EXPIRES_MS);
		return;
	case STEP_SHOWN:
		loop_timer_arm(a->timer, ECHO_MS);
		if (!is_read(a) && !broker_ask_depth(a->broker, a->what.host))
			enter(a, STEP_DONE);
		return;
	case STEP_GONE:
		loop_timer_arm(a->timer, GONE_POLL_MS);
		return;
	case STEP_DONE:
		finish(a);
		return;
	}
}

/* ---- what is told ---- */

static void
say_unbound(struct arrival *a, const char *exchange, const char *key, const char *queue)
{
	doctor_say(a->d, check, CHECK_FAIL,
	    "vogeler-admin setup binds it; a collector or agent that runs and may bind does too, "
	    "within half a minute",
	    "what is sent to exchange %s with key \"%s\" reaches no queue: %s is not bound",
	    exchange, key, queue);
}

static void
say_all(struct arrival *a, bool arrives)
{
	const char *host = a->what.host;
	char cure[400];

	snprintf(cure, sizeof(cure),
	    "vogeler-admin setup %s binds it; a collector that runs and may bind does too", host);
	if (arrives)
		doctor_say(a->d, check, CHECK_OK, NULL, "a command to all arrives at %s", host);
	else
		doctor_say(a->d, check, CHECK_FAIL, cure,
		    "a command to all does not arrive at %s: its queue is not bound to exchange %s "
		    "with key \"" TOPOLOGY_BROADCAST_PATTERN "\"",
		    host, a->d->options->broadcast_exchange);
}

/* Says what it means that nothing was heard: an agent that echoed the other probe was not reached
 * by this one. */
static void
say_silence(struct arrival *a)
{
	if (a->by_name_echoed)
		say_all(a, false);
	else if (!a->echoes)
		doctor_say(a->d, check, CHECK_SKIP, NULL,
		    "whether a command to all arrives at %s is not known: this user cannot hear the "
		    "agent's echo (it needs configure, write and read on vogeler.reply.*, and read on "
		    "%s)",
		    a->what.host, a->d->options->master_exchange);
	else
		doctor_say(a->d, check, CHECK_WARN, "see its log; upgrade it; try again",
		    "whether a command to all arrives at %s is not known: its agent does not echo "
		    "within %d s; it is busy, or older than 0.1.1",
		    a->what.host, ECHO_MS / 1000);
}

/* ---- what comes ---- */

static void
arrival_on_confirm(
    struct broker *b, uint64_t id, enum broker_outcome outcome, const char *why, void *arg)
{
	struct arrival *a = arg;
	const struct options *o = a->d->options;
	bool returned = outcome == BROKER_RETURNED;

	if (outcome == BROKER_LOST)
		return; /* on_down says why */
	switch (a->step) {
	case STEP_MASTER:
		if (returned)
			say_unbound(
			    a, o->master_exchange, TOPOLOGY_MASTER_KEY, TOPOLOGY_MASTER_QUEUE);
		else
			doctor_say(a->d, check, CHECK_OK, NULL,
			    "answers arrive in " TOPOLOGY_MASTER_QUEUE);
		enter(a, STEP_FRESH);
		return;
	case STEP_FRESH:
		if (returned)
			say_unbound(
			    a, o->master_exchange, TOPOLOGY_FRESH_KEY, TOPOLOGY_FRESH_QUEUE);
		else
			doctor_say(
			    a->d, check, CHECK_OK, NULL, "answers arrive in " TOPOLOGY_FRESH_QUEUE);
		enter(a, STEP_NAME);
		return;
	case STEP_NAME:
		if (returned)
			say_unbound(a, o->broadcast_exchange, a->what.host, a->what.host);
		else
			doctor_say(a->d, check, CHECK_OK, NULL,
			    "a command to %s arrives in its queue", a->what.host);
		enter(a, STEP_LENGTH);
		return;
	case STEP_ALL:
		/* The echo may be here before the broker's confirm. */
		if (returned || a->all_echoed) {
			say_all(a, !returned);
			enter(a, STEP_DONE);
		} else {
			enter(a, STEP_SHOWN);
		}
		return;
	case STEP_LENGTH:
	case STEP_SHOWN:
	case STEP_GONE:
	case STEP_DONE:
		return;
	}
}

static void
arrival_on_depth(struct broker *b, const char *queue, uint32_t messages, void *arg)
{
	struct arrival *a = arg;

	if (a->step == STEP_LENGTH) {
		a->before = messages;
		enter(a, STEP_ALL);
	} else if (a->step == STEP_SHOWN) {
		say_all(a, messages > a->before);
		enter(a, messages > a->before ? STEP_GONE : STEP_DONE);
	} else if (a->step == STEP_GONE) {
		enter(a, messages > a->before && ++a->looks < GONE_LOOKS ? STEP_GONE : STEP_DONE);
	}
}

static void
arrival_on_delivery(struct broker *b, struct delivery *d, void *arg)
{
	struct arrival *a = arg;
	const char *key = probe_echoed(&d->message, a->id);

	broker_ack(b, d->tag, false);
	if (key != NULL && a->message_max == 0)
		a->message_max = probe_message_max(&d->message);
	if (key != NULL && strcmp(key, DOCTOR_ALL_KEY) == 0)
		a->all_echoed = true;
	else if (key != NULL)
		a->by_name_echoed = true;
	delivery_destroy(d);
	if (a->step == STEP_SHOWN && a->all_echoed) {
		say_all(a, true);
		enter(a, STEP_DONE);
	}
}

/* The queue that the probe of this step is for. */
static const char *
queue_of(const struct arrival *a)
{
	if (a->step == STEP_MASTER)
		return TOPOLOGY_MASTER_QUEUE;
	return a->step == STEP_FRESH || a->what.host == NULL ? TOPOLOGY_FRESH_QUEUE : a->what.host;
}

static void
say_no_word(struct arrival *a)
{
	char *cure = queue_silent_cure(a->what.uri->path, queue_of(a));

	doctor_say(a->d, check, CHECK_FAIL, cure,
	    "the broker does not say what became of a probe to queue %s", queue_of(a));
	free(cure);
}

static void
arrival_on_timer(void *arg)
{
	struct arrival *a = arg;

	if (a->step == STEP_GONE) {
		if (!broker_ask_depth(a->broker, a->what.host))
			enter(a, STEP_DONE);
		return;
	}
	if (a->step == STEP_SHOWN && is_read(a))
		say_silence(a);
	else
		say_no_word(a);
	enter(a, STEP_DONE);
}

static void
arrival_on_consuming(struct broker *b, const char *queue, bool consuming, void *arg)
{
	struct arrival *a = arg;

	if (!consuming || a->step != STEP_MASTER)
		return;
	a->echoes = true;
	enter(a, STEP_MASTER);
}

static void
arrival_on_ready(struct broker *b, void *arg)
{
	struct arrival *a = arg;

	if (a->reply_to != NULL && broker_unbound(b, a->reply_to) == NULL)
		broker_consume(b, a->reply_to, 10, true);
	else
		enter(a, STEP_MASTER);
}

static void connect_broker(struct arrival *a);

/* Who sends commands may do so, and others need not: an agent, or a collector with the rights that
 * docs/running.md gives it. */
static void
arrival_on_down(struct broker *b, const struct broker_failure *f, void *arg)
{
	struct arrival *a = arg;
	bool forbidden = f->error == BROKER_ERR_PERMISSION;

	if (forbidden && a->reply_to != NULL && a->step == STEP_MASTER) {
		free(a->reply_to); /* no queue of its own for this user, or it may not be read */
		a->reply_to = NULL;
		connect_broker(a);
		return;
	}
	if (forbidden && (a->step == STEP_NAME || a->step == STEP_ALL))
		doctor_say(a->d, check, CHECK_SKIP, NULL,
		    "whether commands arrive at %s is not tried: this user may not send any; run "
		    "doctor as one who may",
		    a->what.host);
	else
		doctor_say_trouble(a->d, check, CHECK_FAIL, f->trouble);
	a->step = STEP_DONE;
	finish(a);
}

static const struct broker_handlers handlers = {
    .on_ready = arrival_on_ready,
    .on_down = arrival_on_down,
    .on_delivery = arrival_on_delivery,
    .on_confirm = arrival_on_confirm,
    .on_consuming = arrival_on_consuming,
    .on_depth = arrival_on_depth,
};

static void
connect_broker(struct arrival *a)
{
	const struct options *o = a->d->options;
	struct broker_options opt;

	broker_destroy(a->broker);
	topology_destroy(a->topology);
	a->topology = NULL;
	if (a->reply_to != NULL) {
		a->topology = topology_for_connection(a->reply_to);
		topology_bind(a->topology, a->reply_to, o->master_exchange, a->reply_to);
	}
	options_broker(o, "vogeler-admin", "doctor", a->what.uri, 1, &opt);
	opt.topology = a->topology;
	opt.quiet = true;
	a->broker = broker_create(a->d->v->loop, &opt, &handlers, a);
	broker_start(a->broker);
}

void
doctor_arrival(
    struct doctor *d, const struct doctor_arrival *what, doctor_arrival_fn *fn, void *arg)
{
	const char *const none[] = {check, NULL};
	struct arrival *a;

	if (!what->may_send) {
		doctor_skip(d, none,
		    d->role == DOCTOR_OPERATOR
			? "of answers not tried for an operator, who sends none"
			: "nothing can be sent");
		fn(0, arg);
		return;
	}
	a = xcalloc(1, sizeof(*a));
	a->d = d;
	a->what = *what;
	a->fn = fn;
	a->arg = arg;
	ident_job(a->id, wallclock_ms());
	a->timer = loop_timer_create(d->v->loop, "arrival", arrival_on_timer, a);
	if (what->host != NULL && what->sends && is_read(a))
		xasprintf(&a->reply_to, "%s%s", TOPOLOGY_REPLY_PREFIX, a->id);
	connect_broker(a);
}
