/* Responses on their way to the collector, each kept until the broker has confirmed it. What the
 * broker does not take (nacked: a queue is full; returned: no queue is bound) is sent again after a
 * while, what was lost with the connection when it is back. Order is kept but for those. */
#ifndef VOGELER_OUTBOX_H
#define VOGELER_OUTBOX_H

#include "shared/broker.h"
#include "shared/message.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct outbox;

#define OUTBOX_COUNT_MAX    64
#define OUTBOX_BYTES_MAX    (32U * 1024 * 1024)
#define OUTBOX_MESSAGE_MAX  (15U * 1024 * 1024) /* the collector's message_max_bytes is 16 MiB */
#define OUTBOX_RETRY_MS     1000
#define OUTBOX_RETRY_MAX_MS 60000

/* On the loop, never inside an outbox_ function other than outbox_on_confirm(): the entry of this
 * id is safe with the broker, and gone from here. */
typedef void outbox_confirmed_fn(uint64_t id, void *arg);

/* Borrows broker and exchange until outbox_destroy(). fn may be NULL. */
struct outbox *outbox_create(struct loop *loop, struct broker *broker, const char *exchange,
    outbox_confirmed_fn *fn, void *arg);
void outbox_destroy(struct outbox *o); /* NULL is fine */

/* Takes what m holds and leaves m empty. id is the caller's, unique among what is here. Always
 * succeeds: the limit is the caller's to ask for, before it begins to make a response. */
void outbox_add(struct outbox *o, uint64_t id, struct message *m);
/* Room for that many more? */
bool outbox_has_room(const struct outbox *o, size_t n);
size_t outbox_count(const struct outbox *o);

/* From the broker's handlers of the same names. on_confirm: false when the publish was not ours. */
void outbox_on_ready(struct outbox *o);
void outbox_on_writable(struct outbox *o);
bool outbox_on_confirm(
    struct outbox *o, uint64_t publish_id, enum broker_outcome outcome, const char *why);

#endif
