/* SPDX-License-Identifier: Apache-2.0 */
/* May we read that queue? A broker tells it to nobody but a consumer, and who consumes takes
 * messages, if only to give them back with a mark on them. So this asks for a consumer that cannot
 * be had: RabbitMQ checks the right first and then the arguments, where a priority is a number. */
#include "shared/amqp/broker_internal.h"

void
broker_probe_read(struct broker *b, const char *queue)
{
	amqp_table_entry_t priority = {.key = amqp_cstring_bytes("x-priority")};
	amqp_table_t arguments = {.num_entries = 1, .entries = &priority};
	struct consumer *c;

	if (b->state != BROKER_READY)
		return;
	c = broker_consumer_of(b, queue);
	if (c->state != CONSUMER_NONE || broker_consumer_starting(b) != NULL)
		return;
	c->exclusive = false;
	priority.value.kind = AMQP_FIELD_KIND_UTF8;
	priority.value.value.bytes = amqp_cstring_bytes("none");
	broker_consumer_start(b, c, arguments);
}
