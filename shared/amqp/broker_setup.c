/* SPDX-License-Identifier: Apache-2.0 */
/* TOPOLOGY: which walk an answer or a refusal is for, that of broker_declare.c, or with look_only
 * or bind_only that of broker_inspect.c or broker_bind.c. Each ends by switching confirms on. */
#include "shared/amqp/broker_internal.h"

#include <stdio.h>

const char *
broker_setup_what(const struct broker *b, char *out, size_t size)
{
	const struct topology_item *item = broker_topology_item(b);

	if (item == NULL)
		snprintf(out, size, "the channel");
	else if (b->phase == TOPOLOGY_BIND && !broker_bind_looks(b))
		broker_binding_what(item, b->binding, out, size);
	else
		broker_item_what(item, out, size);
	return out;
}

void
broker_setup_begin(struct broker *b)
{
	broker_topology_reset(b);
	if (b->opt.bind_only)
		broker_bind_begin(b);
	else
		broker_topology_begin_item(b);
}

bool
broker_setup_refused(struct broker *b, uint16_t code, const char *why)
{
	if (b->state != BROKER_TOPOLOGY)
		return false;
	if (b->opt.look_only)
		return broker_look_refused(b, code, why);
	if (b->opt.bind_only)
		return broker_bind_refused(b, code, why);
	return broker_declare_refused(b, code, why);
}

static bool
is_declared(const struct broker *b, amqp_method_number_t method)
{
	return method == (broker_topology_item(b)->kind == TOPOLOGY_EXCHANGE
				 ? AMQP_EXCHANGE_DECLARE_OK_METHOD
				 : AMQP_QUEUE_DECLARE_OK_METHOD);
}

/* The method is the answer that this phase waits for. */
static bool
is_answer(const struct broker *b, amqp_method_number_t method)
{
	switch (b->phase) {
	case TOPOLOGY_PASSIVE:
	case TOPOLOGY_COMPARE:
	case TOPOLOGY_DECLARE:
		return is_declared(b, method);
	case TOPOLOGY_REOPEN:
		return method == AMQP_CHANNEL_OPEN_OK_METHOD;
	case TOPOLOGY_BIND:
		return method == (broker_bind_looks(b) ? AMQP_QUEUE_DECLARE_OK_METHOD
						       : AMQP_QUEUE_BIND_OK_METHOD);
	case TOPOLOGY_CONFIRM:
		return method == AMQP_CONFIRM_SELECT_OK_METHOD;
	}
	return false;
}

void
broker_setup_method(struct broker *b, const struct frame *f)
{
	if (!is_answer(b, f->method))
		broker_unexpected(b, amqp_method_name(f->method));
	else if (b->phase == TOPOLOGY_CONFIRM)
		broker_raise(b, BROKER_EV_TOPOLOGY_OK);
	else if (b->opt.look_only)
		broker_look_answer(b, f);
	else if (b->opt.bind_only)
		broker_bind_answer(b, f);
	else
		broker_declare_answer(b, f);
}
