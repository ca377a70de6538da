/* SPDX-License-Identifier: Apache-2.0 */
/* TOPOLOGY: each item is declared passively, which needs no right to configure; only what is not
 * there (404, which costs the channel) is declared for real. A queue is bound in either case: a
 * binding that is there already costs nothing, and whether it is there cannot be asked. A refusal
 * (403) means that others bind this queue: it costs the channel too, and no more. */
#include "shared/amqp/broker_internal.h"

#include "shared/base/log.h"

#include <assert.h>
#include <stdlib.h>

/* The others of this queue would be refused as well. */
static bool
bind_is_refused(struct broker *b, uint16_t code, const char *why)
{
	const struct topology_item *item = broker_topology_item(b);
	char what[512];

	if (b->phase != TOPOLOGY_BIND || code != AMQP_ACCESS_REFUSED)
		return false;
	broker_topology_note_unbound(b, why);
	log_msg(b->created ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "broker",
	    "broker[%s]: may not make %s, the broker says \"%s\": %s", b->id,
	    broker_binding_what(item, b->binding, what, sizeof(what)), why,
	    item->role == QUEUE_HOST ? "the collector does, or vogeler-admin setup"
				     : "vogeler-admin setup does");
	return true;
}

static bool
may_skip(const struct broker *b, uint16_t code)
{
	const struct topology_item *item = broker_topology_item(b);

	return item != NULL && item->optional && code == AMQP_ACCESS_REFUSED;
}

static void
log_item(const struct broker *b, const struct topology_item *item)
{
	const struct queue_arguments *wanted = broker_item_arguments(b, item);
	char what[512], *arguments;

	broker_item_what(item, what, sizeof(what));
	if (wanted->n == 0) {
		if (b->created)
			log_info("broker", "broker[%s]: made %s", b->id, what);
		return;
	}
	arguments = queue_arguments_text(wanted);
	if (b->created)
		log_info("broker", "broker[%s]: made %s with %s", b->id, what, arguments);
	else
		log_info("broker",
		    "broker[%s]: %s was there and is used as it is; whether it has %s, "
		    "vogeler-admin setup tells",
		    b->id, what, arguments);
	free(arguments);
}

static void
item_done(struct broker *b)
{
	const struct topology_item *item = broker_topology_item(b);

	log_item(b, item);
	if (b->handlers.on_topology != NULL)
		b->handlers.on_topology(b, item, b->created, b->arg);
	/* The owner may have stopped or destroyed us. */
	if (b->state != BROKER_TOPOLOGY)
		return;
	broker_topology_next(b);
}

static void
next_binding(struct broker *b)
{
	const struct topology_item *item = broker_topology_item(b);
	bool leave = item->foreign && b->bind_refused && !b->created;

	if (b->binding >= item->n_bindings || leave || b->notes[b->item].unbound != NULL) {
		/* What fails from here is about the queue, and no binding of it. */
		b->phase = TOPOLOGY_DECLARE;
		item_done(b);
		return;
	}
	broker_topology_enter(b, TOPOLOGY_BIND);
	broker_send_bind(b, item, b->binding);
}

static void
note_found(struct broker *b, const struct frame *f)
{
	const amqp_queue_declare_ok_t *ok = f->decoded;

	if (f->method == AMQP_QUEUE_DECLARE_OK_METHOD)
		b->notes[b->item].messages = ok->message_count;
}

bool
broker_declare_refused(struct broker *b, uint16_t code, const char *why)
{
	if (bind_is_refused(b, code, why)) {
		/* It is there, and others bind it. */
	} else if (may_skip(b, code)) {
		broker_topology_do_without(b, b->item, why);
		broker_consumer_unwant(b, b->opt.topology->items[b->item].name);
	} else if (b->phase != TOPOLOGY_PASSIVE || code != AMQP_NOT_FOUND) {
		return false;
	}
	broker_topology_reopen(b);
	return true;
}

void
broker_declare_answer(struct broker *b, const struct frame *f)
{
	switch (b->phase) {
	case TOPOLOGY_PASSIVE:
		note_found(b, f);
		next_binding(b);
		return;
	case TOPOLOGY_REOPEN:
		if (b->notes[b->item].without != NULL)
			broker_topology_next(b);
		else if (b->notes[b->item].unbound != NULL)
			next_binding(b);
		else
			broker_topology_declare(b, TOPOLOGY_DECLARE);
		return;
	case TOPOLOGY_DECLARE:
		b->created = true;
		next_binding(b);
		return;
	case TOPOLOGY_BIND:
		b->binding++;
		next_binding(b);
		return;
	case TOPOLOGY_COMPARE:
	case TOPOLOGY_CONFIRM:
		break;
	}
	assert(!"a phase of look_only, or of every walk");
}
