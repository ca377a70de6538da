/* The room that one host may have in the memory of the collector, so that however much comes of it,
 * others are read on: a part of intake_max_bytes. Pure: no loop, no I/O; time is given.
 *
 * What comes of a host whose share is used up is kept by its tag alone (acks.h), in a line, without
 * its body. When there is room in the share again the first of the line is given back to its queue,
 * for the broker to deliver it anew, and the room for it is set aside: so nothing is given back
 * only to be refused again. What is new of that host meanwhile goes to the end of the line, so that
 * none overtakes another. One delivery is taken however large it is.
 *
 * A host has two lines, as there are two queues: what somebody waits for, and the rest; the room is
 * the same, and the first line goes first.
 *
 * What was given back may come to another collector: after SHARES_COMING_MS it is not waited for.
 * Nothing waits longer than SHARES_HOLD_MS, as the broker closes a channel that does not ack
 * (consumer_timeout, 30 minutes): then the whole line is given back, and forms anew. */
#ifndef VOGELER_SHARES_H
#define VOGELER_SHARES_H

#include "shared/base/mono.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHARES_COMING_MS 5000
#define SHARES_HOLD_MS   (10 * 60 * 1000)

struct share; /* of one host; as long as anything of it is here */
struct shares;

struct shares *shares_create(void);
/* Of what was taken all must have left. NULL is fine. */
void shares_destroy(struct shares *s);
void shares_set_max(struct shares *s, uint64_t bytes_max); /* of one host */

/* What is known of a delivery. */
struct shares_delivery {
	const char *host;
	bool fresh;
	bool redelivered;
	size_t bytes;
};
/* The share that it is taken into: shares_leave() is due. NULL: it waits in the line, and
 * shares_next() or shares_drop() gives its owner back. If it is taken and was redelivered only
 * since it was given back from here, d->redelivered becomes false. Borrows owner. */
struct share *shares_take(
    struct shares *s, struct shares_delivery *d, void *owner, struct mono now);
/* What was taken as `before` bytes holds `after` of them now. */
void shares_change(struct share *share, size_t before, size_t after);
void shares_leave(struct shares *s, struct share *share, size_t bytes);

/* The owner of the next one that is to be given back to its queue, NULL = none now. */
void *shares_next(struct shares *s, struct mono now);
/* Any one that waits, in the order of its line, for its owner to drop; NULL = none. */
void *shares_drop(struct shares *s);
/* Those that were given back will not come, for nothing is consumed. */
void shares_expect_none(struct shares *s);

size_t shares_waiting(const struct shares *s);
/* Something waits, or was given back and has not come: shares_next() may have one later. */
bool shares_busy(const struct shares *s);

#endif
