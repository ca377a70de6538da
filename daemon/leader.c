/* SPDX-License-Identifier: Apache-2.0 */
/* See leader.h. */
#include "daemon/leader.h"

#include "shared/amqp/topology.h"
#include "shared/base/log.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"

#include <inttypes.h>
#include <stdlib.h>

struct leader {
	struct broker *publisher;
	struct broker *broker; /* has the queue, or tries; idle otherwise */
	struct topology *topology;
	leader_changed_fn *on_changed;
	void *arg;
	enum leader_state state;
	bool asking;   /* broker was started, and not stopped since */
	bool stopping; /* it was stopped, and has not said goodbye yet */
	bool refused;  /* we may not have such a queue */
	uint64_t sent; /* the message that asks for it, unless answered: its id; 0 = none */
	struct loop_timer *look;
	uint64_t writes, conflicts; /* at the last look */
};

static void on_ready(struct broker *b, void *arg);
static void on_down(struct broker *b, const struct broker_failure *f, void *arg);
static void on_stopped(struct broker *b, void *arg);
static void on_look(void *arg);

static const struct broker_handlers handlers = {
    .on_ready = on_ready,
    .on_down = on_down,
    .on_stopped = on_stopped,
};

struct leader *
leader_create(const struct leader_parts *parts)
{
	struct leader *l = xcalloc(1, sizeof(*l));
	struct broker_options opt = *parts->opt;

	l->topology = topology_for_connection(TOPOLOGY_LEADER_QUEUE);
	opt.role = "leader";
	opt.topology = l->topology;
	opt.quiet = true;
	l->broker = broker_create(parts->loop, &opt, &handlers, l);
	l->publisher = parts->publisher;
	l->on_changed = parts->on_changed;
	l->arg = parts->arg;
	l->look = loop_timer_create(parts->loop, "leader look", on_look, l);
	return l;
}

void
leader_destroy(struct leader *l)
{
	if (l == NULL)
		return;
	broker_destroy(l->broker);
	topology_destroy(l->topology);
	loop_timer_destroy(l->look);
	free(l);
}

static void
ask(struct leader *l)
{
	if (l->asking || l->stopping || l->refused)
		return;
	l->asking = true;
	broker_start(l->broker);
}

static void
stop_asking(struct leader *l)
{
	if (!l->asking)
		return;
	l->asking = false;
	l->stopping = true;
	broker_stop(l->broker);
}

static void
enter(struct leader *l, enum leader_state next)
{
	enum leader_state old = l->state;

	l->state = next;
	if (next == LEADER_OTHER)
		loop_timer_arm(l->look, LEADER_LOOK_MS);
	else
		loop_timer_disarm(l->look);
	if (next != old)
		l->on_changed(next, l->arg);
}

static void
on_ready(struct broker *b, void *arg)
{
	log_info("leader", "%s: this collector goes on, others stand by", broker_id(b));
	enter(arg, LEADER_US);
}

static void
on_down(struct broker *b, const struct broker_failure *f, void *arg)
{
	struct leader *l = arg;

	switch (f->error) {
	case BROKER_ERR_IN_USE:
		stop_asking(l);
		enter(l, LEADER_OTHER);
		return;
	case BROKER_ERR_PERMISSION:
	case BROKER_ERR_MISMATCH:
		l->refused = true;
		stop_asking(l);
		log_warn("leader", "%s; until then collectors get in each other's way", f->text);
		break;
	case BROKER_ERR_NETWORK:
	case BROKER_ERR_TIMEOUT:
	case BROKER_ERR_PROTOCOL:
	case BROKER_ERR_TLS:
	case BROKER_ERR_AUTH:
	case BROKER_ERR_VHOST:
	case BROKER_ERR_NOT_FOUND:
	case BROKER_ERR_SHUTDOWN:
	case BROKER_ERR_TOO_LARGE:
		break; /* it tries again */
	}
	enter(l, LEADER_NONE);
}

static void
on_stopped(struct broker *b, void *arg)
{
	((struct leader *)arg)->stopping = false;
}

/* Asks whether the queue is there, by a message to it that nobody reads, and that is gone at once
 * (RabbitMQ: expiration 0). */
static uint64_t
publish(struct leader *l)
{
	struct message m;
	uint64_t id;

	message_init(&m);
	m.app_id = xstrdup("vogelerd");
	m.expiration = xstrdup("0");
	message_set_body(&m, xstrdup(""), 0);
	id = broker_publish(l->publisher, "", TOPOLOGY_LEADER_QUEUE, true, &m);
	message_finish(&m);
	return id;
}

static void
on_look(void *arg)
{
	struct leader *l = arg;

	loop_timer_arm(l->look, LEADER_LOOK_MS);
	if (l->sent == 0)
		l->sent = publish(l);
	/* A broker that blocks publishers needs its queues read more than ever. */
	if (l->sent == 0 && broker_is_ready(l->publisher))
		ask(l);
}

void
leader_on_confirm(struct leader *l, uint64_t id, enum broker_outcome outcome)
{
	if (l->sent == 0 || id != l->sent)
		return;
	l->sent = 0;
	if (outcome == BROKER_RETURNED && l->state == LEADER_OTHER)
		ask(l);
}

enum leader_state
leader_get_state(const struct leader *l)
{
	return l->state;
}

void
leader_note(struct leader *l, uint64_t stored, uint64_t conflicts)
{
	uint64_t writes = stored + conflicts;
	uint64_t n = writes - l->writes, n_conflicts = conflicts - l->conflicts;

	if (n < LEADER_WRITES)
		return;
	l->writes = writes;
	l->conflicts = conflicts;
	if (n_conflicts < n / LEADER_SHARE || l->asking || l->refused || l->state != LEADER_NONE)
		return;
	log_info("leader",
	    "%" PRIu64 " of %" PRIu64
	    " writes were conflicts: asking who of the collectors goes on",
	    n_conflicts, n);
	ask(l);
}

void
leader_resign(struct leader *l)
{
	if (l->state == LEADER_OTHER)
		return;
	stop_asking(l);
	l->state = LEADER_NONE;
}

void
leader_set_logins(struct leader *l, const struct uri *uris, size_t n)
{
	broker_set_logins(l->broker, uris, n);
}

void
leader_reload(struct leader *l)
{
	l->refused = false;
}
