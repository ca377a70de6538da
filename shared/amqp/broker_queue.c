/* SPDX-License-Identifier: Apache-2.0 */
/* In READY the owner asks how much waits in a queue, or deletes it. One answer is awaited at a
 * time.
 */
#include "shared/amqp/broker_internal.h"

#include "shared/amqp/message.h"
#include "shared/base/xalloc.h"

#include <stdlib.h>

bool
broker_ask_depth(struct broker *b, const char *queue)
{
	amqp_queue_declare_t m = {
	    .queue = amqp_cstring_bytes(queue),
	    .passive = 1,
	    .durable = 1,
	};

	if (b->state != BROKER_READY || b->blocked || b->asked != NULL)
		return false;
	b->asked = xstrdup(queue);
	broker_send(b, BROKER_CHANNEL, AMQP_QUEUE_DECLARE_METHOD, &m);
	return true;
}

bool
broker_delete_queue(struct broker *b, const char *queue)
{
	amqp_queue_delete_t m = {.queue = amqp_cstring_bytes(queue)};

	if (b->state != BROKER_READY || b->blocked || b->asked != NULL)
		return false;
	b->asked = xstrdup(queue);
	broker_send(b, BROKER_CHANNEL, AMQP_QUEUE_DELETE_METHOD, &m);
	return true;
}

static void
tell_depth(struct broker *b, const char *queue, const amqp_queue_declare_ok_t *ok)
{
	if (b->handlers.on_depth != NULL)
		b->handlers.on_depth(b, queue, ok->message_count, b->arg);
}

static void
tell_deleted(struct broker *b, const char *queue, const amqp_queue_delete_ok_t *ok)
{
	if (b->handlers.on_deleted != NULL)
		b->handlers.on_deleted(b, queue, ok->message_count, b->arg);
}

bool
broker_ask_answer(struct broker *b, const struct frame *f)
{
	char *queue = b->asked;

	if (b->state != BROKER_READY || queue == NULL ||
	    (f->method != AMQP_QUEUE_DECLARE_OK_METHOD && f->method != AMQP_QUEUE_DELETE_OK_METHOD))
		return false;
	b->asked = NULL;
	if (f->method == AMQP_QUEUE_DECLARE_OK_METHOD)
		tell_depth(b, queue, f->decoded);
	else
		tell_deleted(b, queue, f->decoded);
	free(queue);
	return true;
}

void
broker_ask_forget(struct broker *b)
{
	free(b->asked);
	b->asked = NULL;
}
