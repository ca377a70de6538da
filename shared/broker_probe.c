/* May we read that queue? A broker tells it to nobody but a consumer, and who consumes takes
 * messages, if only to give them back with a mark on them. So this asks for a consumer that cannot
 * be had: RabbitMQ checks the right first and then the arguments, where a priority is a number. */
#include "shared/broker_internal.h"

#include "shared/xalloc.h"

#include <stdio.h>
#include <stdlib.h>

void
broker_probe_read(struct broker *b, const char *queue)
{
	struct consumer *c = &b->consumer;
	amqp_table_entry_t priority = {.key = amqp_cstring_bytes("x-priority")};
	amqp_basic_consume_t consume = {.queue = amqp_cstring_bytes(queue)};

	if (b->state != BROKER_READY || c->state != CONSUMER_NONE)
		return;
	c->state = CONSUMER_STARTING;
	free(c->queue);
	c->queue = xstrdup(queue);
	c->in_use_since.ms = 0;
	snprintf(c->tag, sizeof(c->tag), "vogeler-%u", ++c->serial);
	consume.consumer_tag = amqp_cstring_bytes(c->tag);
	priority.value.kind = AMQP_FIELD_KIND_UTF8;
	priority.value.value.bytes = amqp_cstring_bytes("none");
	consume.arguments.num_entries = 1;
	consume.arguments.entries = &priority;
	broker_send(b, BROKER_CHANNEL, AMQP_BASIC_CONSUME_METHOD, &consume);
	broker_deadline(b);
}
