/* SPDX-License-Identifier: Apache-2.0 */
/* What the collector will not take goes to the queue vogeler.dead as it came, with the reason in
 * headers, and only when the broker has it safe there its owner is told.
 *
 * Kept: body and properties, but for user_id, which the broker would check and so becomes the
 * collector's own, and expiration: dead letters stay. Added: x-reason, x-sender (the user_id it
 * came with), x-exchange, x-routing-key, x-oversize (the size it had, when the body was cut);
 * headers of these names that it came with are removed, and others when there are too many or they
 * are larger than the broker's frames. A body is cut if it is larger than what may ever wait to be
 * sent; what only has to wait for room waits, and is whole.
 *
 * A publish that is lost, refused or returned is tried again until it is confirmed.
 *
 * The queue may be full, forbidden, or its broker blocked, for hours; whoever sends poison must not
 * stop the others meanwhile. So few letters wait with their bodies (DEADLETTER_PENDING_MAX, and so
 * many bytes). Of those that come then the body is dropped, and the owner keeps nothing but the
 * tag: such a one is parked. When the queue takes letters again the parked ones are returned, a few
 * at a time, for the broker to deliver them anew; and so is all that waits for DEADLETTER_HOLD_MS,
 * before the broker closes a channel that does not ack (consumer_timeout, 30 minutes). */
#ifndef VOGELER_DEADLETTER_H
#define VOGELER_DEADLETTER_H

#include "shared/amqp/broker.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DEADLETTER_PENDING_MAX 100
#define DEADLETTER_HOLD_MS     (10 * 60 * 1000)
#define DEADLETTER_STUCK_MS    2000 /* without a confirm: the queue takes nothing */

struct deadletter;
struct loop;

/* None of these comes from inside deadletter_bury. */
struct deadletter_handlers {
	/* The broker has it. */
	void (*on_buried)(void *owner, void *arg);
	/* Called when it was forgotten: its delivery comes again. */
	void (*on_dropped)(void *owner, void *arg);
	/* Called when it is forgotten, and its delivery is to be given back to its queue. */
	void (*on_returned)(void *owner, void *arg);
	/* The queue takes nothing, and what waits for it holds that much of the prefetch. Every
	 * second while that is so. */
	void (*on_stuck)(void *arg);
};

/* Borrows publisher and handlers until deadletter_destroy. */
struct deadletter *deadletter_create(struct loop *loop, struct broker *publisher,
    uint64_t bytes_max, const struct deadletter_handlers *handlers, void *arg);
void deadletter_destroy(struct deadletter *dl); /* NULL is fine */
void deadletter_set_bytes_max(struct deadletter *dl, uint64_t bytes_max);

/* Takes ownership of d; reason is copied. false: d is gone and its owner is parked. */
bool deadletter_bury(struct deadletter *dl, struct delivery *d, const char *reason, void *owner);
/* All that are parked, at once: for the drain. */
void deadletter_return_parked(struct deadletter *dl);
/* Forgets all without callbacks: their deliveries went back to the queue. */
void deadletter_clear(struct deadletter *dl);

/* The connection that the deliveries came on is gone, and they will come again: those that are not
 * sent yet are forgotten, and those that are will not be sent again; each owner is told. (One that
 * was sent and not confirmed may get into the queue twice.) */
void deadletter_on_consumer_down(struct deadletter *dl);

/* To be called from the publisher's handlers. */
void deadletter_on_ready(struct deadletter *dl); /* on_ready and on_writable */
void deadletter_on_confirm(
    struct deadletter *dl, uint64_t id, enum broker_outcome outcome, const char *why);

size_t deadletter_pending(const struct deadletter *dl); /* those that are parked not included */
size_t deadletter_parked(const struct deadletter *dl);
/* Says how long the queue has taken nothing of what waits, and why, as far as it was said; 0 = it
 * does.
 */
int64_t deadletter_stuck_ms(const struct deadletter *dl, const char **why);
uint64_t deadletter_buried(const struct deadletter *dl); /* since the start */

#endif
