/* SPDX-License-Identifier: Apache-2.0 */
/* This knows which deliveries are outstanding, and when each may be acknowledged: not before what
 * it brings is stored.
 *
 * Deliveries come in order and are done in any order. Those done up to the lowest one that is not
 * are acked with one `multiple`; one that is done behind such a hole for longer than its hole_ms is
 * acked by itself. Nothing is acked inside acks_done: acks are sent in the loop's next pass, so
 * that what is done together is acked together.
 *
 * One that is kept has nothing to wait for but its queue, for minutes perhaps: what is done behind
 * it is acked at once, each by itself. */
#ifndef VOGELER_ACKS_H
#define VOGELER_ACKS_H

#include "shared/amqp/broker.h"
#include <stddef.h>
#include <stdint.h>

#define ACKS_HOLE_MS 1000

struct acks;
struct loop;

struct acks_handlers {
	void (*ack)(struct broker_tag tag, bool multiple, void *arg);
	void (*nack)(struct broker_tag tag, bool multiple, bool requeue, void *arg);
};

/* handlers is borrowed until acks_destroy. */
struct acks *acks_create(struct loop *loop, const struct acks_handlers *handlers, void *arg);
void acks_destroy(struct acks *a); /* sends nothing; NULL is fine */

/* A tag of another epoch than the last one's drops all that was there: the broker has given those
 * to somebody already. */
void acks_add(struct acks *a, struct broker_tag tag);
/* Stored, or safe in the dead letter queue. A tag that is not outstanding is ignored. hole_ms:
 * ACKS_HOLE_MS, or less for one whose queue gets no further until it is acked. */
void acks_done(struct acks *a, struct broker_tag tag, uint32_t hole_ms);
/* Keeps one that will not be done soon, until acks_return or acks_give_back. */
void acks_keep(struct acks *a, struct broker_tag tag);
/* Returns a kept one to its queue. */
void acks_return(struct acks *a, struct broker_tag tag);
/* Sends what may be sent now, those behind a hole too. */
void acks_flush(struct acks *a);
/* Acks what is done and returns the rest to the queue with one nack. Nothing is outstanding then.
 */
void acks_give_back(struct acks *a);
/* Forgets all: the connection is gone. */
void acks_drop(struct acks *a);

uint64_t acks_sent(const struct acks *a);      /* deliveries acked since the start */
size_t acks_outstanding(const struct acks *a); /* done ones that are not acked yet included */

#endif
