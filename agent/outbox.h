/* SPDX-License-Identifier: Apache-2.0 */
/* Responses on their way to the collector, each kept until the broker has confirmed it. What the
 * broker does not take (nacked: a queue is full; returned: no queue is bound) is sent again after a
 * while, what was lost with the connection when it is back. Order is kept but for those. Where the
 * broker's frames are too small for it, what a plugin printed (stdout_tail, stderr_tail) is left
 * out, and so is the name of a refused command.
 *
 * There are two lanes to the collector, so that a backlog does not hold up what somebody waits for:
 * fresh answers go first and have a key of their own. When no queue is bound to it (a collector of
 * 2010), and when they have become old here, they go with all others.
 *
 * Besides the answers to commands, which are never dropped, it keeps results that nobody asked for
 * (agent/schedule.h): of each plugin the newest, in bytes of their own, and behind the answers. */
#ifndef VOGELER_OUTBOX_H
#define VOGELER_OUTBOX_H

#include "shared/amqp/broker.h"
#include "shared/amqp/message.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct outbox;

#define OUTBOX_COUNT_MAX    64
#define OUTBOX_BYTES_MAX    (32U * 1024 * 1024)
#define OUTBOX_NEWEST_MAX   (16U * 1024 * 1024) /* bytes of results that nobody asked for */
#define OUTBOX_FRESH_MS     60000 /* here for longer, an answer is not fresh any more */
#define OUTBOX_RETRY_MS     1000
#define OUTBOX_RETRY_MAX_MS 30000

/* Called on the loop, never inside an outbox_ function other than outbox_on_confirm(): the entry of
 * this id is safe with the broker, and gone from here. */
typedef void outbox_confirmed_fn(uint64_t id, void *arg);

/* When no queue is bound for what is sent, the broker is asked to look after its bindings
 * (broker_rebind()): this user may be one that can make them.
 * Borrows broker and exchange until outbox_destroy(). fn may be NULL. */
struct outbox *outbox_create(struct loop *loop, struct broker *broker, const char *exchange,
    outbox_confirmed_fn *fn, void *arg);
/* Sets whose answers these are, for a failure in the place of one that the broker finds too large.
 * Borrowed. Without it such a one is kept until the next connection. */
void outbox_set_host(struct outbox *o, const char *host);
void outbox_destroy(struct outbox *o); /* NULL is fine */

/* Takes what m holds and leaves m empty. id is the caller's, unique among what is here. Always
 * succeeds: the limit is the caller's to ask for, before it begins to make a response. */
void outbox_add(struct outbox *o, uint64_t id, struct message *m);
void outbox_add_fresh(struct outbox *o, uint64_t id, struct message *m);
/* Adds a result that nobody asked for: it takes the place of an older one of this plugin that
 * waits, and when all of these pass OUTBOX_NEWEST_MAX the oldest go. */
void outbox_add_newest(struct outbox *o, uint64_t id, const char *plugin, struct message *m);
/* Room for that many more answers? */
bool outbox_has_room(const struct outbox *o, size_t n);
size_t outbox_count(const struct outbox *o); /* of both kinds */

struct outbox_status { /* for metrics and health */
	size_t answers, answer_bytes, newest, newest_bytes;
	int64_t oldest_ms; /* how long the oldest has been here; 0 = none is */
	const char *why;   /* HOLDING: how the broker refused; "" = it does not */
	uint64_t added, confirmed, refused, lost;
	uint64_t replaced; /* results that were dropped for newer ones */
};
void outbox_status(const struct outbox *o, struct outbox_status *out);

/* The broker's handlers of the same names call these. on_confirm: false when the publish was not
 * ours. */
void outbox_on_ready(struct outbox *o);
void outbox_on_writable(struct outbox *o);
bool outbox_on_confirm(
    struct outbox *o, uint64_t publish_id, enum broker_outcome outcome, const char *why);

#endif
