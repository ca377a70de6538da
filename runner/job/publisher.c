/* SPDX-License-Identifier: Apache-2.0 */
/* See publisher.h. How the connection stands:
 *
 *                READY                 BLOCKED
 *   CONNECTING --------> READY <---------------------> BLOCKED
 *       |                ^  |         UNBLOCKED           |
 *       |          READY |  | DOWN                        | DOWN
 *       |                |  v                             v
 *       | each had       LOST <---------------------------+
 *       v its turn        |  it is final, or READY was lost each time
 *     OVER <--------------+---- PATIENCE, from all of them */
#include "runner/job/publisher.h"

#include "shared/amqp/broker.h"
#include "shared/amqp/topology.h"
#include "shared/base/log.h"
#include "shared/base/units.h"
#include "shared/base/xalloc.h"
#include "shared/config/options_broker.h"
#include "shared/event/loop.h"
#include "shared/wire/wire.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define SUBSYSTEM   "runner"
#define PATIENCE_MS (60 * INT64_C(1000)) /* without an answer; a broker may have to restart */

enum link_state {
	LINK_CONNECTING, /* it was never there */
	LINK_READY,
	LINK_BLOCKED, /* it is there, and takes no messages: an alarm */
	LINK_LOST,    /* it was there, and is to come back */
	LINK_OVER,    /* given up; the owner knows */
};

enum link_event {
	LINK_EV_READY,
	LINK_EV_BLOCKED,
	LINK_EV_UNBLOCKED,
	LINK_EV_DOWN,     /* s->failure says why */
	LINK_EV_PATIENCE, /* no answer for so long */
};

struct publish_item {
	const char *host; /* NULL = all */
	enum publisher_state state;
	uint64_t flight; /* the publish without an answer; 0 = none is */
};

struct flight { /* a publish without an answer */
	uint64_t id;
	size_t item;
	UT_hash_handle hh;
};

struct publisher {
	struct loop *loop;
	struct publisher_request req;
	struct publisher_handlers handlers;
	void *arg;
	struct topology *topology;
	struct broker *broker;
	struct message message;
	struct publish_item *items;
	size_t n_items, room;
	size_t next;   /* all before it are in flight or answered */
	size_t n_open; /* not answered */
	struct flight *flights;
	struct loop_timer *patience;
	struct loop_timer *pump; /* so that nothing is published, or told, inside publisher_add */
	size_t failures;         /* to connect, before the first READY */
	size_t drops;            /* of READY connections since the last answer */
	enum link_state link;
	bool halted; /* by the owner: what is not published yet will not be */
	const struct broker_failure *failure; /* DOWN: during the event */
	char trouble[1024];                   /* the last failure's sentence */
	char alarm[256];                      /* why it is blocked, in the broker's words */
};

static void link_step(struct publisher *s, enum link_event ev);

static const char *
link_name(enum link_state link)
{
	switch (link) {
	case LINK_CONNECTING:
		return "CONNECTING";
	case LINK_READY:
		return "READY";
	case LINK_BLOCKED:
		return "BLOCKED";
	case LINK_LOST:
		return "LOST";
	case LINK_OVER:
		return "OVER";
	}
	return "?";
}

static bool
is_connected(const struct publisher *s)
{
	return s->link == LINK_READY || s->link == LINK_BLOCKED;
}

/* --- publishing --- */

static int64_t
patience_ms(const struct publisher *s)
{
	return s->req.confirm_ms > 0 ? s->req.confirm_ms : PATIENCE_MS;
}

/* Waits for an answer that long from now on. */
static void
be_patient(struct publisher *s)
{
	if (s->n_open > 0 && s->link != LINK_OVER &&
	    (s->link != LINK_BLOCKED || s->req.confirm_ms > 0))
		loop_timer_arm(s->patience, patience_ms(s));
	else
		loop_timer_disarm(s->patience);
}

static void
publisher_on_patience(void *arg)
{
	link_step(arg, LINK_EV_PATIENCE);
}

static bool
publish(struct publisher *s, size_t i)
{
	struct publish_item *item = &s->items[i];
	const char *key = item->host == NULL ? TOPOLOGY_BROADCAST_KEY : item->host;
	struct flight *f;
	uint64_t id;

	id = broker_publish(s->broker, s->req.options->broadcast_exchange, key, true, &s->message);
	if (id == 0)
		return false; /* on_writable comes when it may go on */
	item->state = PUBLISHER_UNKNOWN;
	item->flight = id;
	f = xcalloc(1, sizeof(*f));
	f->id = id;
	f->item = i;
	HASH_ADD(hh, s->flights, id, sizeof(f->id), f);
	return true;
}

static bool
is_due(const struct publisher *s, const struct publish_item *item)
{
	if (item->flight != 0)
		return false;
	return item->state == PUBLISHER_UNKNOWN || (item->state == PUBLISHER_WAITING && !s->halted);
}

static void
pump(struct publisher *s)
{
	if (!is_connected(s))
		return;
	while (s->next < s->n_items) {
		if (is_due(s, &s->items[s->next]) && !publish(s, s->next))
			return;
		s->next++;
	}
}

static void
publisher_on_pump(void *arg)
{
	struct publisher *s = arg;

	pump(s);
	if (s->link != LINK_OVER && s->n_open == 0)
		s->handlers.on_idle(s->arg);
}

/* --- the broker --- */

static void
publisher_on_ready(struct broker *b, void *arg)
{
	link_step(arg, LINK_EV_READY);
}

static void
publisher_on_blocked(struct broker *b, bool blocked, const char *reason, void *arg)
{
	struct publisher *s = arg;

	if (blocked)
		snprintf(
		    s->alarm, sizeof(s->alarm), "%s", reason == NULL ? "no reason given" : reason);
	link_step(s, blocked ? LINK_EV_BLOCKED : LINK_EV_UNBLOCKED);
}

static void
publisher_on_writable(struct broker *b, void *arg)
{
	pump(arg);
}

static void
settle(struct publisher *s, size_t i, enum publisher_state state, const char *why)
{
	s->items[i].state = state;
	assert(s->n_open > 0);
	s->n_open--;
	s->drops = 0;
	be_patient(s);
	s->handlers.on_answer(i, state, why, s->arg);
	if (s->n_open == 0)
		loop_timer_arm(s->pump, 0);
}

static void
publisher_on_confirm(
    struct broker *b, uint64_t id, enum broker_outcome outcome, const char *why, void *arg)
{
	struct publisher *s = arg;
	struct flight *f;
	size_t i;

	HASH_FIND(hh, s->flights, &id, sizeof(id), f);
	if (f == NULL)
		return;
	i = f->item;
	HASH_DEL(s->flights, f);
	free(f);
	s->items[i].flight = 0;
	if (s->link == LINK_OVER)
		return;
	switch (outcome) {
	case BROKER_CONFIRMED:
		settle(s, i, PUBLISHER_CONFIRMED, NULL);
		break;
	case BROKER_RETURNED:
		settle(s, i, PUBLISHER_UNROUTABLE, why);
		break;
	case BROKER_NACKED:
		settle(s, i, PUBLISHER_REFUSED, "the host's queue may be full");
		break;
	case BROKER_LOST: /* on_down follows, and decides */
		if (i < s->next)
			s->next = i;
		break;
	}
}

/* Says whether it is an error that no restart of a broker, or of a network, brings. */
static bool
is_final(enum broker_error error)
{
	switch (error) {
	case BROKER_ERR_NETWORK:
	case BROKER_ERR_TIMEOUT:
	case BROKER_ERR_SHUTDOWN:
	case BROKER_ERR_VHOST:
	case BROKER_ERR_IN_USE:
		return false;
	case BROKER_ERR_PROTOCOL:
	case BROKER_ERR_TLS:
	case BROKER_ERR_AUTH:
	case BROKER_ERR_PERMISSION:
	case BROKER_ERR_NOT_FOUND:
	case BROKER_ERR_MISMATCH:
	case BROKER_ERR_TOO_LARGE:
		return true;
	}
	return true;
}

static void
publisher_on_down(struct broker *b, const struct broker_failure *f, void *arg)
{
	struct publisher *s = arg;

	snprintf(s->trouble, sizeof(s->trouble), "%s", f->text);
	s->failure = f;
	link_step(s, LINK_EV_DOWN);
	s->failure = NULL;
}

/* --- the link --- */

static void
tell_failed(struct publisher *s, const char *text)
{
	char full[sizeof(s->trouble) + sizeof(s->alarm) + 256];
	bool published = false;

	for (size_t i = 0; i < s->n_items; i++)
		published |= s->items[i].state == PUBLISHER_UNKNOWN;
	snprintf(full, sizeof(full), "%s%s", text,
	    published ? "; the command may have been sent: sending it again is harmless" : "");
	s->handlers.on_failed(full, s->arg);
}

/* The only writer of ->link. */
static void
link_enter(struct publisher *s, enum link_state next, const char *reason)
{
	enum link_state old = s->link;

	log_info(
	    SUBSYSTEM, "publisher: %s -> %s, reason=%s", link_name(old), link_name(next), reason);
	s->link = next;
	switch (next) {
	case LINK_CONNECTING:
		return; /* how it begins */
	case LINK_READY:
		if (old == LINK_CONNECTING)
			s->handlers.on_ready(s->arg);
		if (old == LINK_BLOCKED && s->req.confirm_ms == 0)
			be_patient(s);
		pump(s);
		return;
	case LINK_BLOCKED:
		if (s->req.confirm_ms == 0)
			be_patient(s);
		log_warn(SUBSYSTEM, "%s: the broker takes no messages for now (%s); waiting",
		    broker_id(s->broker), s->alarm);
		return;
	case LINK_LOST:
		if (s->n_open > 0 && !loop_timer_armed(s->patience))
			be_patient(s); /* it was blocked */
		if (s->n_open > 0)
			log_warn(SUBSYSTEM, "%s; trying again", s->trouble);
		return;
	case LINK_OVER:
		loop_timer_disarm(s->patience);
		tell_failed(s, reason);
		return;
	}
}

/* Gives up what has had no answer for as long as that. */
static void
lose_patience(struct publisher *s)
{
	char text[sizeof(s->trouble) + sizeof(s->alarm) + 128], span[UNITS_TEXT_SIZE];

	units_format_ms((uint64_t)patience_ms(s), span);
	if (s->link == LINK_BLOCKED)
		snprintf(text, sizeof(text),
		    "%s: not confirmed within %s, for the broker takes no messages (%s)",
		    broker_id(s->broker), span, s->alarm);
	else if (s->link == LINK_READY)
		snprintf(
		    text, sizeof(text), "%s: not confirmed within %s", broker_id(s->broker), span);
	else
		snprintf(text, sizeof(text), "not confirmed within %s: %s", span, s->trouble);
	link_enter(s, LINK_OVER, text);
}

static void
step_connecting(struct publisher *s, enum link_event ev)
{
	switch (ev) {
	case LINK_EV_READY:
		link_enter(s, LINK_READY, "connected");
		return;
	case LINK_EV_DOWN:
		if (++s->failures >= s->req.n_brokers) /* each has had its turn */
			link_enter(s, LINK_OVER, s->trouble);
		return;
	case LINK_EV_PATIENCE:
		lose_patience(s);
		return;
	case LINK_EV_BLOCKED:
	case LINK_EV_UNBLOCKED:
		return;
	}
}

/* READY or BLOCKED. */
static void
step_connected(struct publisher *s, enum link_event ev)
{
	switch (ev) {
	case LINK_EV_BLOCKED:
		if (s->link == LINK_READY)
			link_enter(s, LINK_BLOCKED, s->alarm);
		return;
	case LINK_EV_UNBLOCKED:
		if (s->link == LINK_BLOCKED)
			link_enter(s, LINK_READY, "not blocked any more");
		return;
	case LINK_EV_DOWN:
		if (s->n_open > 0 && (is_final(s->failure->error) || ++s->drops > s->req.n_brokers))
			link_enter(s, LINK_OVER, s->trouble);
		else
			link_enter(s, LINK_LOST, s->trouble);
		return;
	case LINK_EV_PATIENCE:
		lose_patience(s);
		return;
	case LINK_EV_READY:
		return;
	}
}

static void
step_lost(struct publisher *s, enum link_event ev)
{
	switch (ev) {
	case LINK_EV_READY:
		link_enter(s, LINK_READY, "connected again");
		return;
	case LINK_EV_DOWN:
		if (s->n_open > 0 && is_final(s->failure->error))
			link_enter(s, LINK_OVER, s->trouble);
		else if (s->n_open > 0 && !loop_timer_armed(s->patience))
			be_patient(s);
		return;
	case LINK_EV_PATIENCE:
		lose_patience(s);
		return;
	case LINK_EV_BLOCKED:
	case LINK_EV_UNBLOCKED:
		return;
	}
}

static void
link_step(struct publisher *s, enum link_event ev)
{
	switch (s->link) {
	case LINK_CONNECTING:
		step_connecting(s, ev);
		return;
	case LINK_READY:
	case LINK_BLOCKED:
		step_connected(s, ev);
		return;
	case LINK_LOST:
		step_lost(s, ev);
		return;
	case LINK_OVER:
		return;
	}
}

static const struct broker_handlers broker_handlers = {
    .on_ready = publisher_on_ready,
    .on_down = publisher_on_down,
    .on_confirm = publisher_on_confirm,
    .on_blocked = publisher_on_blocked,
    .on_writable = publisher_on_writable,
};

static struct broker *
create_broker(struct publisher *s)
{
	const struct options *o = s->req.options;
	struct broker_options opt;

	options_broker(o, "vogeler-runner", "publisher", s->req.brokers, s->req.n_brokers, &opt);
	opt.quiet = true;
	opt.topology = s->topology;
	opt.heartbeat_s = (uint16_t)o->heartbeat_s;
	return broker_create(s->loop, &opt, &broker_handlers, s);
}

/* --- what publisher.h offers --- */

struct publisher *
publisher_create(struct loop *loop, const struct publisher_request *req,
    const struct publisher_handlers *handlers, void *arg)
{
	struct publisher *s = xcalloc(1, sizeof(*s));

	s->loop = loop;
	s->req = *req;
	s->handlers = *handlers;
	s->arg = arg;
	message_init(&s->message);
	s->patience = loop_timer_create(loop, "send patience", publisher_on_patience, s);
	s->pump = loop_timer_create(loop, "send pump", publisher_on_pump, s);
	s->topology =
	    topology_for_runner(req->options->broadcast_exchange, req->options->master_exchange);
	s->broker = create_broker(s);
	broker_start(s->broker);
	return s;
}

void
publisher_destroy(struct publisher *s)
{
	struct flight *f, *after;

	if (s == NULL)
		return;
	broker_destroy(s->broker);
	topology_destroy(s->topology);
	loop_timer_destroy(s->patience);
	loop_timer_destroy(s->pump);
	message_finish(&s->message);
	HASH_ITER (hh, s->flights, f, after) {
		HASH_DEL(s->flights, f);
		free(f);
	}
	free(s->items);
	free(s);
}

void
publisher_set_command(struct publisher *s, const struct command *command)
{
	message_finish(&s->message);
	wire_command_encode(command, &s->message);
}

void
publisher_add(struct publisher *s, const char *host)
{
	if (s->n_items == s->room) {
		s->room = s->room == 0 ? 16 : 2 * s->room;
		s->items = xreallocarray(s->items, s->room, sizeof(*s->items));
	}
	s->items[s->n_items++] = (struct publish_item){.host = host, .state = PUBLISHER_WAITING};
	s->n_open++;
	be_patient(s);
	loop_timer_arm(s->pump, 0);
}

enum publisher_state
publisher_state(const struct publisher *s, size_t i)
{
	return s->items[i].state;
}

void
publisher_halt(struct publisher *s)
{
	if (s->halted)
		return;
	s->halted = true;
	for (size_t i = 0; i < s->n_items; i++) {
		if (s->items[i].state == PUBLISHER_WAITING)
			s->n_open--;
	}
	be_patient(s);
	loop_timer_arm(s->pump, 0);
}
