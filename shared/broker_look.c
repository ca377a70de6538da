/* TOPOLOGY with look_only: what there is, and nothing made. RabbitMQ answers a passive declaration
 * by name alone; only a second, active one of what is there hears whether it is the same, which
 * takes the right to configure. (Deleted between the two, it would be made, unbound: a moment.) */
#include "shared/broker_internal.h"

#include "shared/xalloc.h"

#include <stdlib.h>

const char *
broker_sight_name(enum broker_sight sight)
{
	switch (sight) {
	case BROKER_SIGHT_SAME:
		return "same";
	case BROKER_SIGHT_THERE:
		return "there";
	case BROKER_SIGHT_OTHER:
		return "other";
	case BROKER_SIGHT_LOCKED:
		return "locked";
	case BROKER_SIGHT_MISSING:
		return "missing";
	}
	return "?";
}

void
broker_look_free(struct broker *b)
{
	free((char *)b->look.why);
	b->look = (struct broker_look){0};
}

static void
tell(struct broker *b)
{
	const struct broker_look look = b->look;

	b->look = (struct broker_look){0};
	if (b->handlers.on_look != NULL)
		b->handlers.on_look(b, broker_topology_item(b), &look, b->arg);
	free((char *)look.why);
	/* The owner may have stopped or destroyed us. */
	if (!b->dead && b->state == BROKER_TOPOLOGY)
		broker_topology_next(b);
}

void
broker_look_answer(struct broker *b, const struct frame *f)
{
	const amqp_queue_declare_ok_t *queue = f->decoded;

	if (b->phase == TOPOLOGY_PASSIVE) {
		broker_look_free(b); /* of a connection that ended meanwhile */
		if (f->method == AMQP_QUEUE_DECLARE_OK_METHOD) {
			b->look.messages = queue->message_count;
			b->look.consumers = queue->consumer_count;
		}
		broker_topology_declare(b, TOPOLOGY_COMPARE);
		return;
	}
	if (b->phase == TOPOLOGY_COMPARE)
		b->look.sight = BROKER_SIGHT_SAME;
	tell(b);
}

bool
broker_look_refused(struct broker *b, uint16_t code, const char *why)
{
	if (b->phase != TOPOLOGY_PASSIVE && b->phase != TOPOLOGY_COMPARE)
		return false;
	if (b->phase == TOPOLOGY_PASSIVE)
		broker_look_free(b);
	switch (code) {
	case AMQP_NOT_FOUND:
		b->look.sight = BROKER_SIGHT_MISSING;
		break;
	case AMQP_ACCESS_REFUSED:
		b->look.sight = BROKER_SIGHT_THERE;
		break;
	case AMQP_RESOURCE_LOCKED:
		b->look.sight = BROKER_SIGHT_LOCKED;
		break;
	case AMQP_PRECONDITION_FAILED:
		b->look.sight = BROKER_SIGHT_OTHER;
		break;
	default:
		return false;
	}
	b->look.why = xstrdup(why);
	broker_topology_reopen(b);
	return true;
}
