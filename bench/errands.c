/* SPDX-License-Identifier: Apache-2.0 */
/* See errands.h. */
#include "bench/errands.h"

#include "bench/bench.h"
#include "shared/amqp/broker.h"
#include "shared/amqp/probe.h"
#include "shared/amqp/topology.h"
#include "shared/base/mono.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/wire/wire.h"

#include <bsd/sys/queue.h>
#include <stdlib.h>

enum errand_kind { ERRAND_ANSWER, ERRAND_AGAIN, ERRAND_POISON };

/* Something that a host is to send, or has sent and is not confirmed. */
struct errand {
	TAILQ_ENTRY(errand) link;
	enum errand_kind kind;
	struct broker_tag tag; /* of the command, of an ANSWER */
	struct command command;
	struct mono due;
	uint64_t id; /* once published */
};
TAILQ_HEAD(errand_list, errand);

struct errand_host {
	struct errands *errands;
	struct broker *broker;
	struct loop_timer *timer; /* of slow ones */
	struct errand_list waiting, sent;
	uint32_t index;
	enum conduct conduct;
};

struct errands {
	struct bench *b;
	const struct errands_script *script;
	void *arg;
	struct hosts_sim *swarm;
	struct errand_host *hosts;
	uint32_t n, pending;
};

static void
errand_free(struct errand_host *h, struct errand_list *list, struct errand *e)
{
	h->errands->pending--;
	TAILQ_REMOVE(list, e, link);
	command_finish(&e->command);
	free(e);
}

/* Copies what is asked of a command; the rest of it is the broker's business. */
static struct command
copy_of(const struct command *c)
{
	return (struct command){
	    .plugin = xstrdup(c->plugin),
	    .job = xstrdup_null(c->job),
	    .reply_to = xstrdup_null(c->reply_to),
	};
}

static void
add_errand(struct errand_host *h, enum errand_kind kind, struct broker_tag tag,
    const struct command *c, uint32_t delay_ms)
{
	struct errand *e = xcalloc(1, sizeof(*e)), *after;

	e->kind = kind;
	e->tag = tag;
	e->command = copy_of(c);
	e->due = mono_add(loop_now(h->errands->b->loop), delay_ms);
	/* They stand by the time at which they are due, and those of one time as they came. */
	TAILQ_FOREACH_REVERSE(after, &h->waiting, errand_list, link)
	{
		if (mono_reached(e->due, after->due))
			break;
	}
	if (after != NULL)
		TAILQ_INSERT_AFTER(&h->waiting, after, e, link);
	else
		TAILQ_INSERT_HEAD(&h->waiting, e, link);
	h->errands->pending++;
}

static void
make_message(const struct errand_host *h, const struct errand *e, struct message *m)
{
	static const char rubbish[] = "{\"syskey\": not JSON";

	if (e->kind == ERRAND_POISON) {
		message_init(m);
		message_set_body(m, xstrdup(rubbish), sizeof(rubbish) - 1);
		return;
	}
	h->errands->script->answer(h->index, &e->command, m, h->errands->arg);
}

static void
send_due(struct errand_host *h)
{
	struct errands *s = h->errands;
	struct mono now = loop_now(s->b->loop);
	struct errand *e;

	while ((e = TAILQ_FIRST(&h->waiting)) != NULL && broker_can_publish(h->broker)) {
		struct message m;

		if (!mono_reached(now, e->due)) {
			loop_timer_arm(h->timer, mono_diff(e->due, now));
			return;
		}
		make_message(h, e, &m);
		e->id = broker_publish(
		    h->broker, s->b->cli->options.master_exchange, TOPOLOGY_MASTER_KEY, true, &m);
		message_finish(&m);
		if (e->id == 0)
			return; /* on_writable */
		TAILQ_REMOVE(&h->waiting, e, link);
		TAILQ_INSERT_TAIL(&h->sent, e, link);
	}
}

static void
host_on_timer(void *arg)
{
	send_due(arg);
}

static void
errands_on_writable(uint32_t host, void *arg)
{
	struct errands *s = arg;

	send_due(&s->hosts[host]);
}

static void
take(struct errand_host *h, struct broker_tag tag, const struct command *c)
{
	struct errands *s = h->errands;
	uint32_t delay_ms = s->script->delay_ms(h->index, c, s->arg);

	add_errand(h, ERRAND_ANSWER, tag, c, delay_ms);
	if (h->conduct == CONDUCT_TWICE)
		add_errand(h, ERRAND_AGAIN, tag, c, delay_ms);
	if (h->conduct == CONDUCT_POISON)
		add_errand(h, ERRAND_POISON, tag, c, delay_ms);
}

static void
take_command(struct errand_host *h, struct broker_tag tag, const struct command *c)
{
	struct errands *s = h->errands;

	if (s->script->takes(h->index, c, s->arg)) {
		take(h, tag, c);
		return;
	}
	hosts_sim_counts(s->swarm)->unexplained++;
	broker_ack(h->broker, tag, false);
}

static void
errands_on_delivery(uint32_t host, struct delivery *d, void *arg)
{
	struct errands *s = arg;
	struct errand_host *h = &s->hosts[host];
	struct command c;
	char err[256];

	if (probe_is(&d->message)) { /* it asks only whether it arrives */
		broker_ack(h->broker, d->tag, false);
		delivery_destroy(d);
		return;
	}
	hosts_sim_counts(s->swarm)->commands++;
	if (wire_command_decode(&d->message, &c, err, sizeof(err))) {
		take_command(h, d->tag, &c);
		command_finish(&c);
	} else {
		broker_ack(h->broker, d->tag, false);
	}
	delivery_destroy(d);
	send_due(h);
}

static void
count_confirmed(struct errand_host *h, const struct errand *e)
{
	struct hosts_sim_counts *n = hosts_sim_counts(h->errands->swarm);

	switch (e->kind) {
	case ERRAND_ANSWER:
		n->answers++;
		broker_ack(h->broker, e->tag, false);
		break;
	case ERRAND_AGAIN:
		n->again++;
		break;
	case ERRAND_POISON:
		n->poison++;
		break;
	}
}

static void
errands_on_confirm(
    uint32_t host, uint64_t id, enum broker_outcome outcome, const char *why, void *arg)
{
	struct errands *s = arg;
	struct errand_host *h = &s->hosts[host];
	struct errand *e;

	TAILQ_FOREACH (e, &h->sent, link) {
		if (e->id == id)
			break;
	}
	if (e == NULL)
		return;
	if (outcome == BROKER_CONFIRMED)
		count_confirmed(h, e);
	errand_free(h, &h->sent, e); /* otherwise the command comes again */
	send_due(h);
}

/* What was waiting belongs to commands that come again. */
static void
errands_on_down(uint32_t host, void *arg)
{
	struct errands *s = arg;
	struct errand_host *h = &s->hosts[host];

	while (!TAILQ_EMPTY(&h->waiting))
		errand_free(h, &h->waiting, TAILQ_FIRST(&h->waiting));
}

/* ---- the hosts ---- */

static void
errands_on_ready(void *arg)
{
	struct errands *s = arg;

	s->script->on_ready(s->arg);
}

static void
errands_name(uint32_t host, char out[PLAN_NAME_SIZE], void *arg)
{
	const struct errands *s = arg;

	s->script->name(host, out, s->arg);
}

static enum conduct
errands_conduct(uint32_t host, void *arg)
{
	const struct errands *s = arg;

	return s->script->conduct(host, s->arg);
}

static void
errands_on_begin(uint32_t host, struct broker *broker, void *arg)
{
	struct errands *s = arg;
	struct errand_host *h = &s->hosts[host];

	h->errands = s;
	h->broker = broker;
	h->index = host;
	h->conduct = s->script->conduct(host, s->arg);
	TAILQ_INIT(&h->waiting);
	TAILQ_INIT(&h->sent);
	h->timer = loop_timer_create(s->b->loop, "bench slow host", host_on_timer, h);
}

static const struct hosts_sim_script hosts_sim_script = {
    .on_ready = errands_on_ready,
    .name = errands_name,
    .conduct = errands_conduct,
    .on_begin = errands_on_begin,
    .on_delivery = errands_on_delivery,
    .on_confirm = errands_on_confirm,
    .on_writable = errands_on_writable,
    .on_down = errands_on_down,
};

struct errands *
errands_create(struct bench *b, const struct errands_script *script, void *arg)
{
	struct errands *s = xcalloc(1, sizeof(*s));

	s->b = b;
	s->script = script;
	s->arg = arg;
	s->n = b->plan.hosts;
	s->hosts = xcalloc(s->n, sizeof(*s->hosts));
	s->swarm = hosts_sim_create(b, &hosts_sim_script, s);
	hosts_sim_start(s->swarm);
	return s;
}

void
errands_destroy(struct errands *s)
{
	if (s == NULL)
		return;
	for (uint32_t i = 0; i < s->n; i++) {
		struct errand_host *h = &s->hosts[i];

		if (h->broker == NULL)
			continue;
		loop_timer_destroy(h->timer);
		while (!TAILQ_EMPTY(&h->waiting))
			errand_free(h, &h->waiting, TAILQ_FIRST(&h->waiting));
		while (!TAILQ_EMPTY(&h->sent))
			errand_free(h, &h->sent, TAILQ_FIRST(&h->sent));
	}
	hosts_sim_destroy(s->swarm);
	free(s->hosts);
	free(s);
}

uint32_t
errands_pending(const struct errands *s)
{
	return s->pending;
}

struct hosts_sim *
errands_swarm(const struct errands *s)
{
	return s->swarm;
}
