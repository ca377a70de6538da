/* What the collector will not take goes to the queue vogeler.dead as it came, with the reason in
 * headers, and only when the broker has it safe there its owner is told (promise 4 of DESIGN 6).
 *
 * Kept: body and properties, but for user_id, which the broker would check and so becomes the
 * collector's own, and expiration: dead letters stay. Added: x-reason, x-sender (the user_id it
 * came with), x-exchange, x-routing-key, x-oversize (the size it had, when the body was cut);
 * headers of these names that it came with are removed, and others when there are too many or they
 * are larger than the broker's frames. A body is cut if it is larger than what may ever wait to be
 * sent; what only has to wait for room waits, and is whole.
 *
 * A publish that is lost, refused or returned is tried again until it is confirmed. Bounded by its
 * caller, who stops taking in while deadletter_is_full(). */
#ifndef VOGELER_DEADLETTER_H
#define VOGELER_DEADLETTER_H

#include "shared/broker.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DEADLETTER_PENDING_MAX 100

struct deadletter;
struct loop;

/* The broker has it. Never from inside deadletter_bury. */
typedef void deadletter_buried_fn(void *owner, void *arg);

/* It was forgotten: its delivery comes again. Otherwise as deadletter_buried_fn. */
typedef void deadletter_dropped_fn(void *owner, void *arg);

/* Borrows publisher until deadletter_destroy. */
struct deadletter *deadletter_create(struct loop *loop, struct broker *publisher,
    deadletter_buried_fn *fn, deadletter_dropped_fn *on_dropped, void *arg);
void deadletter_destroy(struct deadletter *dl); /* NULL is fine */

/* Takes ownership of d; reason is copied. */
void deadletter_bury(struct deadletter *dl, struct delivery *d, const char *reason, void *owner);
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

size_t deadletter_pending(const struct deadletter *dl);
bool deadletter_is_full(const struct deadletter *dl);
uint64_t deadletter_buried(const struct deadletter *dl); /* since the start */

#endif
