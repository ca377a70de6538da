/* SPDX-License-Identifier: Apache-2.0 */
/* In READY: the bindings of the topology are made again from time to time, since one that is gone
 * tells nobody: an exchange that is deleted and made anew has none, and an administrator may remove
 * one. One method is under way at a time. What is missing altogether ends the channel (404), and
 * all of setting up is done once more. */
#include "shared/amqp/broker_internal.h"

#include "shared/base/ident.h"

/* The next round comes within this part of its time, so that not all come at once. */
#define PART 4

static const struct topology_item *
item_at_hand(const struct broker *b)
{
	const struct topology *t = b->opt.topology;

	return t == NULL || b->rebind.item >= t->n ? NULL : &t->items[b->rebind.item];
}

void
broker_rebind_arm(struct broker *b)
{
	uint32_t part = b->opt.rebind_ms / PART;

	if (b->opt.rebind_ms > 0 && !b->opt.look_only && b->opt.topology != NULL)
		broker_timer_arm(b, BROKER_TIMER_REBIND,
		    (int64_t)b->opt.rebind_ms - part + ident_random32() % (2 * part + 1));
}

/* A refusal would cost the connection: what was refused when it was set up is left alone, and so is
 * what that kept from being tried. */
static bool
may_bind(const struct broker *b, const struct topology_item *item)
{
	const struct item_note *note = &b->notes[b->rebind.item];

	return note->unbound == NULL && note->without == NULL &&
	       !(item->foreign && b->bind_refused);
}

/* Returns false when there is no more of this item. */
static bool
ask_of_item(struct broker *b, const struct topology_item *item)
{
	if (item->kind == TOPOLOGY_EXCHANGE) {
		if (!b->opt.rebind_exchanges || b->rebind.binding > 0)
			return false;
		broker_send_declare(b, item, true);
		return true;
	}
	if (b->rebind.binding >= item->n_bindings || !may_bind(b, item))
		return false;
	broker_send_bind(b, item, b->rebind.binding);
	return true;
}

static void
ask_next(struct broker *b)
{
	const struct topology_item *item;

	while ((item = item_at_hand(b)) != NULL) {
		b->rebind.asked = ask_of_item(b, item);
		if (b->rebind.asked)
			return;
		b->rebind.item++;
		b->rebind.binding = 0;
	}
	broker_rebind_arm(b);
}

/* A blocked connection is not read by the broker: there is nothing to be heard. */
void
broker_rebind_start(struct broker *b)
{
	if (b->state != BROKER_READY || b->rebind.asked)
		return;
	if (b->blocked) {
		broker_rebind_arm(b);
		return;
	}
	b->rebind = (struct rebind){0};
	ask_next(b);
}

void
broker_rebind(struct broker *b)
{
	if (b->opt.rebind_ms == 0 || b->state != BROKER_READY || b->blocked)
		return;
	broker_timer_arm(b, BROKER_TIMER_REBIND, 0);
}

bool
broker_rebind_answer(struct broker *b, const struct frame *f)
{
	const struct topology_item *item = item_at_hand(b);

	if (b->state != BROKER_READY || !b->rebind.asked || item == NULL)
		return false;
	if (f->method != (item->kind == TOPOLOGY_EXCHANGE ? AMQP_EXCHANGE_DECLARE_OK_METHOD
							  : AMQP_QUEUE_BIND_OK_METHOD))
		return false;
	b->rebind.asked = false;
	b->rebind.binding++;
	ask_next(b);
	return true;
}

const char *
broker_rebind_what(const struct broker *b, char *out, size_t size)
{
	const struct topology_item *item = item_at_hand(b);

	if (b->state != BROKER_READY || !b->rebind.asked || item == NULL)
		return NULL;
	if (item->kind == TOPOLOGY_EXCHANGE)
		return broker_item_what(item, out, size);
	return broker_binding_what(item, b->rebind.binding, out, size);
}
