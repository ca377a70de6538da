/* SPDX-License-Identifier: Apache-2.0 */
/* The topology as TOPOLOGY walks it, item by item: the methods that are sent for one, the step
 * whose answer is awaited, and what is known of each. Whose walk it is says broker_setup.c. */
#include "shared/amqp/broker_internal.h"

#include "shared/base/log.h"
#include "shared/base/xalloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct topology_item *
broker_topology_item(const struct broker *b)
{
	const struct topology *t = b->opt.topology;

	return t == NULL || b->item >= t->n ? NULL : &t->items[b->item];
}

const char *
broker_item_what(const struct topology_item *item, char *out, size_t size)
{
	snprintf(out, size, "%s \"%s\"", item->kind == TOPOLOGY_EXCHANGE ? "exchange" : "queue",
	    item->name);
	return out;
}

const char *
broker_binding_what(const struct topology_item *item, size_t binding, char *out, size_t size)
{
	snprintf(out, size, "the binding of queue \"%s\" to exchange \"%s\" with key \"%s\"",
	    item->name, item->bindings[binding].exchange, item->bindings[binding].key);
	return out;
}

void
broker_topology_enter(struct broker *b, enum topology_phase phase)
{
	b->phase = phase;
	broker_deadline(b);
}

static amqp_field_value_t
field_value(const struct queue_argument *a)
{
	amqp_field_value_t v = {0};

	switch (a->kind) {
	case QUEUE_ARG_TEXT:
		v.kind = AMQP_FIELD_KIND_UTF8;
		v.value.bytes = amqp_cstring_bytes(a->text);
		break;
	case QUEUE_ARG_NUMBER:
		v.kind = AMQP_FIELD_KIND_I64;
		v.value.i64 = (int64_t)a->number;
		break;
	case QUEUE_ARG_FLAG:
		v.kind = AMQP_FIELD_KIND_BOOLEAN;
		v.value.boolean = a->number != 0;
		break;
	}
	return v;
}

const struct queue_arguments *
broker_item_arguments(const struct broker *b, const struct topology_item *item)
{
	return b->release >= BROKER_UNSYNCED_RELEASE ? &item->arguments_since_4 : &item->arguments;
}

static void
send_queue_declare(struct broker *b, const struct topology_item *item, bool passive)
{
	const struct queue_arguments *arguments =
	    b->phase == TOPOLOGY_COMPARE ? &b->compared : broker_item_arguments(b, item);
	amqp_table_entry_t entries[QUEUE_ARGUMENTS_MAX];
	amqp_queue_declare_t queue = {
	    .queue = amqp_cstring_bytes(item->name),
	    .passive = passive,
	    .durable = !item->transient,
	    .exclusive = item->transient,
	    .auto_delete = item->transient,
	};

	/* Asked passively, the broker looks at the name alone. */
	if (!passive) {
		for (size_t i = 0; i < arguments->n; i++) {
			entries[i].key = amqp_cstring_bytes(arguments->list[i].name);
			entries[i].value = field_value(&arguments->list[i]);
		}
		queue.arguments.num_entries = (int)arguments->n;
		queue.arguments.entries = entries;
	}
	broker_send(b, BROKER_CHANNEL, AMQP_QUEUE_DECLARE_METHOD, &queue);
}

void
broker_send_declare(struct broker *b, const struct topology_item *item, bool passive)
{
	amqp_exchange_declare_t exchange = {
	    .exchange = amqp_cstring_bytes(item->name),
	    .type = amqp_cstring_bytes(item->type == NULL ? "" : item->type),
	    .passive = passive,
	    .durable = 1,
	};

	if (item->kind == TOPOLOGY_EXCHANGE)
		broker_send(b, BROKER_CHANNEL, AMQP_EXCHANGE_DECLARE_METHOD, &exchange);
	else
		send_queue_declare(b, item, passive);
}

void
broker_send_bind(struct broker *b, const struct topology_item *item, size_t binding)
{
	amqp_queue_bind_t bind = {
	    .queue = amqp_cstring_bytes(item->name),
	    .exchange = amqp_cstring_bytes(item->bindings[binding].exchange),
	    .routing_key = amqp_cstring_bytes(item->bindings[binding].key),
	};

	broker_send(b, BROKER_CHANNEL, AMQP_QUEUE_BIND_METHOD, &bind);
}

void
broker_topology_confirm(struct broker *b)
{
	amqp_confirm_select_t select = {0};

	broker_topology_enter(b, TOPOLOGY_CONFIRM);
	broker_publish_reset(b);
	broker_send(b, BROKER_CHANNEL, AMQP_CONFIRM_SELECT_METHOD, &select);
}

void
broker_topology_begin_item(struct broker *b)
{
	const struct topology_item *item = broker_topology_item(b);

	b->created = false;
	b->binding = 0;
	if (item != NULL) {
		bool passive = !item->transient;

		broker_topology_enter(b, passive ? TOPOLOGY_PASSIVE : TOPOLOGY_DECLARE);
		broker_send_declare(b, item, passive);
		return;
	}
	broker_topology_confirm(b);
}

void
broker_topology_next(struct broker *b)
{
	b->item++;
	broker_topology_begin_item(b);
}

void
broker_topology_declare(struct broker *b, enum topology_phase phase)
{
	broker_topology_enter(b, phase);
	broker_send_declare(b, broker_topology_item(b), false);
}

void
broker_topology_reopen(struct broker *b)
{
	amqp_channel_open_t open = {0};

	broker_topology_enter(b, TOPOLOGY_REOPEN);
	broker_send(b, BROKER_CHANNEL, AMQP_CHANNEL_OPEN_METHOD, &open);
}

/* ---- what is known of the items ---- */

static size_t
n_items(const struct broker *b)
{
	return b->opt.topology == NULL ? 0 : b->opt.topology->n;
}

static void
forget_refusal(struct item_note *note)
{
	free(note->unbound);
	note->unbound = NULL;
}

static void
do_with(struct item_note *note)
{
	free(note->without);
	note->without = NULL;
	note->unreadable = false;
}

void
broker_topology_do_without(struct broker *b, size_t item, const char *why)
{
	do_with(&b->notes[item]);
	b->notes[item].without = xstrdup(why);
	log_info("broker", "broker[%s]: going on without queue %s, the broker says \"%s\"", b->id,
	    b->opt.topology->items[item].name, why);
}

void
broker_topology_try_again(struct broker *b)
{
	for (size_t i = 0; i < n_items(b); i++)
		do_with(&b->notes[i]);
}

void
broker_topology_forget(struct broker *b)
{
	broker_topology_try_again(b);
	for (size_t i = 0; i < n_items(b); i++)
		forget_refusal(&b->notes[i]);
}

/* n_items() when it is none of the topology. */
static size_t
index_of(const struct broker *b, const char *queue)
{
	const struct topology *t = b->opt.topology;
	size_t i = 0;

	while (i < n_items(b) &&
	       (t->items[i].kind != TOPOLOGY_QUEUE || strcmp(t->items[i].name, queue) != 0))
		i++;
	return i;
}

uint32_t
broker_messages_found(const struct broker *b, const char *queue)
{
	size_t i = index_of(b, queue);

	return i < n_items(b) ? b->notes[i].messages : 0;
}

const char *
broker_without(const struct broker *b, const char *queue)
{
	size_t i = index_of(b, queue);

	return i < n_items(b) ? b->notes[i].without : NULL;
}

const char *
broker_unbound(const struct broker *b, const char *queue)
{
	size_t i = index_of(b, queue);

	return i < n_items(b) ? b->notes[i].unbound : NULL;
}

void
broker_topology_unreadable(struct broker *b, const char *why)
{
	const struct consumer *c = broker_consumer_starting(b);
	size_t i = c == NULL ? n_items(b) : index_of(b, c->queue);

	if (i == n_items(b) || !b->opt.topology->items[i].optional)
		return;
	broker_topology_do_without(b, i, why);
	b->notes[i].unreadable = true;
}

void
broker_topology_note_unbound(struct broker *b, const char *why)
{
	struct item_note *note = &b->notes[b->item];

	b->bind_refused = true;
	forget_refusal(note);
	note->unbound = xstrdup(why);
}

void
broker_topology_reset(struct broker *b)
{
	for (size_t i = 0; i < n_items(b); i++) {
		b->notes[i].messages = 0;
		forget_refusal(&b->notes[i]);
		if (!b->notes[i].unreadable)
			do_with(&b->notes[i]);
	}
	b->item = 0;
	b->bind_refused = false;
}
