/* SPDX-License-Identifier: Apache-2.0 */
/* TOPOLOGY with look_only tells what there is, and makes nothing. RabbitMQ answers a passive
 * declaration by name alone; only a second, active one of what is there hears whether it is the
 * same, which takes the right to configure. (Deleted between the two, it would be made, unbound: a
 * moment.) */
#include "shared/amqp/broker_internal.h"

#include "shared/base/xalloc.h"

#include <stdlib.h>
#include <string.h>

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
begin(struct broker *b)
{
	const struct topology_item *item = broker_topology_item(b);

	broker_look_free(b); /* of a connection that ended meanwhile */
	b->look.wanted = broker_item_arguments(b, item);
	b->look.type = QUEUE_AUTO;
	b->compared = *b->look.wanted;
}

static bool
is_about_type(const char *why)
{
	return strstr(why, "inequivalent arg 'x-queue-type'") != NULL;
}

/* Before RabbitMQ 4 a classic queue has "none". */
static enum queue_type
type_told(const char *why)
{
	const char *current = strstr(why, "current is ");

	if (current != NULL && strstr(current, "'quorum'") != NULL)
		return QUEUE_QUORUM;
	if (current != NULL &&
	    (strstr(current, "'classic'") != NULL || strstr(current, "current is none") != NULL))
		return QUEUE_CLASSIC;
	return QUEUE_AUTO;
}

/* Goes on with what a queue of that type would have, where the type goes by the release. */
static bool
compare_as(struct broker *b, enum queue_type type)
{
	const struct topology_item *item = broker_topology_item(b);
	const struct queue_arguments *other =
	    b->look.wanted == &item->arguments ? &item->arguments_since_4 : &item->arguments;

	if (b->look.wanted != broker_item_arguments(b, item) ||
	    queue_arguments_type(b->look.wanted) == type || queue_arguments_type(other) != type)
		return false;
	b->look.wanted = other;
	b->compared = *other;
	for (size_t i = 0; i < b->look.lacks.n; i++)
		queue_arguments_remove(&b->compared, b->look.lacks.list[i].name);
	return true;
}

/* The broker names one difference at a time, and the type not first: what the queue lacks is not
 * asked for any more, to hear of the next. false: it has what it should not have, or is of a type
 * that it should not be of. */
static bool
narrow(struct broker *b, const char *why)
{
	const struct queue_argument *a = queue_argument_named(&b->compared, why);

	if (is_about_type(why))
		return compare_as(b, type_told(why));
	if (a == NULL || strstr(why, "current is none") == NULL)
		return false;
	if (b->look.why == NULL)
		b->look.why = xstrdup(why);
	queue_arguments_add(&b->look.lacks, a);
	queue_arguments_remove(&b->compared, a->name);
	return true;
}

/* What it lacks is said in the order in which it is wanted, and not in the broker's. */
static void
found_same(struct broker *b)
{
	const struct queue_arguments *wanted = b->look.wanted;
	struct queue_arguments lacks = {0};

	for (size_t i = 0; i < wanted->n; i++) {
		if (queue_arguments_have(&b->look.lacks, wanted->list[i].name))
			queue_arguments_add(&lacks, &wanted->list[i]);
	}
	b->look.lacks = lacks;
	b->look.sight = b->look.lacks.n == 0 ? BROKER_SIGHT_SAME : BROKER_SIGHT_OTHER;
	b->look.type = queue_arguments_type(&b->compared);
}

static void
found_other(struct broker *b, const char *why)
{
	const struct topology_item *item = broker_topology_item(b);

	b->look.sight = BROKER_SIGHT_OTHER;
	b->look.lacks.n = 0;
	if (is_about_type(why))
		b->look.type = type_told(why);
	else if (b->look.wanted != broker_item_arguments(b, item))
		b->look.type = queue_arguments_type(b->look.wanted); /* it was told */
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
	if (b->state == BROKER_TOPOLOGY)
		broker_topology_next(b);
}

void
broker_look_answer(struct broker *b, const struct frame *f)
{
	const amqp_queue_declare_ok_t *queue = f->decoded;

	if (b->phase == TOPOLOGY_PASSIVE) {
		begin(b);
		if (f->method == AMQP_QUEUE_DECLARE_OK_METHOD) {
			b->look.messages = queue->message_count;
			b->look.consumers = queue->consumer_count;
		}
		if (!b->opt.look_by_name) {
			broker_topology_declare(b, TOPOLOGY_COMPARE);
			return;
		}
		b->look.sight = BROKER_SIGHT_THERE;
		tell(b);
		return;
	}
	if (b->phase == TOPOLOGY_REOPEN && b->look.sight == BROKER_SIGHT_SAME) {
		/* No refusal was the last word. */
		broker_topology_declare(b, TOPOLOGY_COMPARE);
		return;
	}
	if (b->phase == TOPOLOGY_COMPARE)
		found_same(b);
	tell(b);
}

bool
broker_look_refused(struct broker *b, uint16_t code, const char *why)
{
	if (b->phase != TOPOLOGY_PASSIVE && b->phase != TOPOLOGY_COMPARE)
		return false;
	if (b->phase == TOPOLOGY_PASSIVE)
		begin(b);
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
		if (b->phase == TOPOLOGY_COMPARE && narrow(b, why)) {
			broker_topology_reopen(b);
			return true;
		}
		found_other(b, why);
		break;
	default:
		return false;
	}
	free((char *)b->look.why);
	b->look.why = xstrdup(why);
	broker_topology_reopen(b);
	return true;
}
