/* SPDX-License-Identifier: Apache-2.0 */
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
 * What was given back may come to another collector: after HOST_QUOTA_COMING_MS it is not waited
 * for. Nothing waits longer than HOST_QUOTA_HOLD_MS, as the broker closes a channel that does not
 * ack (consumer_timeout, 30 minutes): then the whole line is given back, and forms anew. */
#ifndef VOGELER_HOST_QUOTA_H
#define VOGELER_HOST_QUOTA_H

#include "shared/base/mono.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOST_QUOTA_COMING_MS 5000
#define HOST_QUOTA_HOLD_MS   (10 * 60 * 1000)

struct share; /* of one host; as long as anything of it is here */
struct host_quota;

struct host_quota *host_quota_create(void);
/* Frees it; all that was taken must have left. NULL is fine. */
void host_quota_destroy(struct host_quota *s);
void host_quota_set_max(struct host_quota *s, uint64_t bytes_max); /* of one host */

/* This much is known of a delivery. */
struct host_quota_delivery {
	const char *host;
	bool fresh;
	bool redelivered;
	size_t bytes;
};
/* The share that it is taken into: host_quota_leave() is due. NULL: it waits in the line, and
 * host_quota_next() or host_quota_drop() gives its owner back. If it is taken and was redelivered
 * only since it was given back from here, d->redelivered becomes false. Borrows owner. */
struct share *host_quota_take(
    struct host_quota *s, struct host_quota_delivery *d, void *owner, struct mono now);
/* Says that what was taken as `before` bytes holds `after` of them now. */
void host_quota_change(struct share *share, size_t before, size_t after);
void host_quota_leave(struct host_quota *s, struct share *share, size_t bytes);

/* The owner of the next one that is to be given back to its queue, NULL = none now. */
void *host_quota_next(struct host_quota *s, struct mono now);
/* Any one that waits, in the order of its line, for its owner to drop; NULL = none. */
void *host_quota_drop(struct host_quota *s);
/* Expects nothing that was given back: it will not come, for nothing is consumed. */
void host_quota_expect_none(struct host_quota *s);

size_t host_quota_waiting(const struct host_quota *s);
/* Something waits, or was given back and has not come: host_quota_next() may have one later. */
bool host_quota_busy(const struct host_quota *s);

#endif
