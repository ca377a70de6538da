/* SPDX-License-Identifier: Apache-2.0 */
/* TOPOLOGY: each item is declared passively, which needs no right to configure; only what is not
 * there (404, which costs the channel) is declared for real. A queue is bound in either case: a
 * binding that is there already costs nothing, and whether it is there cannot be asked. A refusal
 * (403) means that others bind this queue: it costs the channel too, and no more. Then confirms are
 * switched on. */
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

const char *
broker_topology_what(const struct broker *b, char *out, size_t size)
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

static void
enter_phase(struct broker *b, enum topology_phase phase)
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

	enter_phase(b, TOPOLOGY_CONFIRM);
	broker_publish_reset(b);
	broker_send(b, BROKER_CHANNEL, AMQP_CONFIRM_SELECT_METHOD, &select);
}

static void
begin_item(struct broker *b)
{
	const struct topology_item *item = broker_topology_item(b);

	b->created = false;
	b->binding = 0;
	if (item != NULL) {
		bool passive = !item->transient;

		enter_phase(b, passive ? TOPOLOGY_PASSIVE : TOPOLOGY_DECLARE);
		broker_send_declare(b, item, passive);
		return;
	}
	broker_topology_confirm(b);
}

void
broker_topology_next(struct broker *b)
{
	b->item++;
	begin_item(b);
}

void
broker_topology_declare(struct broker *b, enum topology_phase phase)
{
	enter_phase(b, phase);
	broker_send_declare(b, broker_topology_item(b), false);
}

void
broker_topology_reopen(struct broker *b)
{
	amqp_channel_open_t open = {0};

	enter_phase(b, TOPOLOGY_REOPEN);
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

static void
do_without(struct broker *b, size_t item, const char *why)
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
	do_without(b, i, why);
	b->notes[i].unreadable = true;
}

/* ---- item by item ---- */

void
broker_topology_begin(struct broker *b)
{
	for (size_t i = 0; i < n_items(b); i++) {
		b->notes[i].messages = 0;
		forget_refusal(&b->notes[i]);
		if (!b->notes[i].unreadable)
			do_with(&b->notes[i]);
	}
	b->item = 0;
	b->bind_refused = false;
	if (!b->opt.bind_only) {
		begin_item(b);
		return;
	}
	broker_bind_begin(b);
}

/* The others of this queue would be refused as well. */
static bool
bind_is_refused(struct broker *b, uint16_t code, const char *why)
{
	const struct topology_item *item = broker_topology_item(b);
	struct item_note *note = &b->notes[b->item];
	char what[512];

	if (b->phase != TOPOLOGY_BIND || code != AMQP_ACCESS_REFUSED)
		return false;
	b->bind_refused = true;
	forget_refusal(note);
	note->unbound = xstrdup(why);
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

bool
broker_topology_missing(struct broker *b, uint16_t code, const char *why)
{
	if (b->state != BROKER_TOPOLOGY)
		return false;
	if (b->opt.look_only)
		return broker_look_refused(b, code, why);
	if (b->opt.bind_only)
		return broker_bind_refused(b, code, why);
	if (bind_is_refused(b, code, why)) {
		/* It is there, and others bind it. */
	} else if (may_skip(b, code)) {
		do_without(b, b->item, why);
		broker_consumer_unwant(b, b->opt.topology->items[b->item].name);
	} else if (b->phase != TOPOLOGY_PASSIVE || code != AMQP_NOT_FOUND) {
		return false;
	}
	broker_topology_reopen(b);
	return true;
}

static void
log_item(const struct broker *b, const struct topology_item *item)
{
	const struct queue_arguments *wanted = broker_item_arguments(b, item);
	char what[512], *arguments;

	broker_topology_what(b, what, sizeof(what));
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
		/* Done with, and named as itself from here. */
		b->phase = TOPOLOGY_DECLARE;
		item_done(b);
		return;
	}
	enter_phase(b, TOPOLOGY_BIND);
	broker_send_bind(b, item, b->binding);
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

static void
note_found(struct broker *b, const struct frame *f)
{
	const amqp_queue_declare_ok_t *ok = f->decoded;

	if (f->method == AMQP_QUEUE_DECLARE_OK_METHOD)
		b->notes[b->item].messages = ok->message_count;
}

void
broker_topology_method(struct broker *b, const struct frame *f)
{
	if (!is_answer(b, f->method)) {
		broker_unexpected(b, amqp_method_name(f->method));
		return;
	}
	if (b->opt.look_only && b->phase != TOPOLOGY_CONFIRM) {
		broker_look_answer(b, f);
		return;
	}
	if (b->opt.bind_only && b->phase != TOPOLOGY_CONFIRM) {
		broker_bind_answer(b, f);
		return;
	}
	switch (b->phase) {
	case TOPOLOGY_PASSIVE:
		note_found(b, f);
		next_binding(b);
		return;
	case TOPOLOGY_COMPARE:
		return; /* of look_only */
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
	case TOPOLOGY_CONFIRM:
		broker_raise(b, BROKER_EV_TOPOLOGY_OK);
		return;
	}
}
