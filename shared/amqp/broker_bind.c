/* SPDX-License-Identifier: Apache-2.0 */
/* TOPOLOGY with bind_only: nothing is declared, the bindings of all its queues are made, and with
 * bind_looks each is looked at before, many steps under way at a time. The channel answers in
 * order, so what ends it is about the oldest step without an answer: that queue is told of and left
 * out, the channel is opened again, and it goes on behind it. What had been sent after it the
 * broker has not looked at. */
#include "shared/amqp/broker_internal.h"

#include <assert.h>
#include <string.h>

#define WINDOW 64 /* steps without an answer */

const char *
broker_bound_name(enum broker_bound bound)
{
	switch (bound) {
	case BROKER_BOUND:
		return "bound";
	case BROKER_BOUND_NO_QUEUE:
		return "no queue";
	case BROKER_BOUND_FORBIDDEN:
		return "forbidden";
	}
	return "?";
}

static const struct topology_item *
item_at(const struct broker *b, size_t i)
{
	return i < b->opt.topology->n ? &b->opt.topology->items[i] : NULL;
}

static size_t
n_steps(const struct broker *b, const struct topology_item *item)
{
	return (item->kind == TOPOLOGY_QUEUE && b->opt.bind_looks ? 1 : 0) + item->n_bindings;
}

static bool
is_look(const struct broker *b, size_t step)
{
	return b->opt.bind_looks && step == 0;
}

bool
broker_bind_looks(const struct broker *b)
{
	return b->opt.bind_only && is_look(b, b->window.oldest);
}

static void
skip_to_steps(const struct broker *b, size_t *item, size_t *step)
{
	const struct topology_item *at;

	while ((at = item_at(b, *item)) != NULL && *step >= n_steps(b, at)) {
		++*item;
		*step = 0;
	}
}

static void
send_step(struct broker *b, const struct topology_item *item, size_t step)
{
	if (is_look(b, step))
		broker_send_declare(b, item, true);
	else
		broker_send_bind(b, item, b->opt.bind_looks ? step - 1 : step);
}

static void
fill(struct broker *b)
{
	struct bind_window *w = &b->window;

	assert(w->under_way <= WINDOW);
	for (;;) {
		const struct topology_item *item;

		skip_to_steps(b, &w->item, &w->step);
		item = item_at(b, w->item);
		if (item == NULL || w->under_way == WINDOW)
			break;
		send_step(b, item, w->step++);
		w->under_way++;
	}
	broker_deadline(b);
	if (w->under_way == 0)
		broker_topology_confirm(b);
}

/* binding is what failures name. */
static void
set_oldest(struct broker *b, size_t step)
{
	b->window.oldest = step;
	skip_to_steps(b, &b->item, &b->window.oldest);
	b->binding = b->window.oldest;
	if (b->opt.bind_looks && b->binding > 0)
		b->binding--;
}

void
broker_bind_begin(struct broker *b)
{
	b->phase = TOPOLOGY_BIND;
	set_oldest(b, 0);
	b->window.item = b->item;
	b->window.step = b->window.oldest;
	b->window.under_way = 0;
	fill(b);
}

/* The queue at hand is done with. false: so are we. */
static bool
tell(struct broker *b, enum broker_bound bound, const char *why)
{
	const struct topology_item *item = item_at(b, b->item);

	b->item++;
	set_oldest(b, 0);
	if (b->handlers.on_bound != NULL)
		b->handlers.on_bound(b, item, bound, why, b->arg);
	/* The owner may have stopped or destroyed us. */
	return b->state == BROKER_TOPOLOGY;
}

static bool
tell_consumers(struct broker *b, const struct frame *f)
{
	const amqp_queue_declare_ok_t *ok = f->decoded;

	if (b->handlers.on_consumers != NULL)
		b->handlers.on_consumers(
		    b, item_at(b, b->item), ok->message_count, ok->consumer_count, b->arg);
	return b->state == BROKER_TOPOLOGY;
}

void
broker_bind_answer(struct broker *b, const struct frame *f)
{
	size_t next = b->window.oldest + 1;

	if (f->method == AMQP_CHANNEL_OPEN_OK_METHOD) {
		broker_bind_begin(b);
		return;
	}
	assert(b->window.under_way > 0 && item_at(b, b->item) != NULL);
	assert(b->window.under_way > 0);
	b->window.under_way--;
	if (broker_bind_looks(b) && !tell_consumers(b, f))
		return;
	if (next < n_steps(b, item_at(b, b->item)))
		set_oldest(b, next);
	else if (!tell(b, BROKER_BOUND, NULL))
		return;
	fill(b);
}

bool
broker_bind_refused(struct broker *b, uint16_t code, const char *why)
{
	enum broker_bound bound =
	    code == AMQP_NOT_FOUND ? BROKER_BOUND_NO_QUEUE : BROKER_BOUND_FORBIDDEN;

	if (b->phase != TOPOLOGY_BIND || b->window.under_way == 0)
		return false;
	/* Without the exchange no queue can be bound. A queue that is another connection's alone is
	 * none of a host. */
	if (strstr(why, "no exchange") != NULL ||
	    (code != AMQP_NOT_FOUND && code != AMQP_ACCESS_REFUSED && code != AMQP_RESOURCE_LOCKED))
		return false;
	if (tell(b, bound, why))
		broker_topology_reopen(b);
	return true;
}
