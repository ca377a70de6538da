/* SPDX-License-Identifier: Apache-2.0 */
/* The queues of hosts at the broker, for the verbs that look at them or delete them. Nothing is
 * made, and nothing is taken out of them. */
#ifndef VOGELER_HOST_QUEUES_H
#define VOGELER_HOST_QUEUES_H

#include "admin/verb.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct host_queues;
struct hosts;

enum host_queue_sight {
	HOST_QUEUE_UNKNOWN, /* the broker could not be asked */
	HOST_QUEUE_THERE,
	HOST_QUEUE_MISSING,
};

struct host_queue_look {
	enum host_queue_sight sight;
	uint32_t
	    messages; /* that wait; what its agent holds without having answered is not in it */
	uint32_t consumers; /* who reads it: its agent, or nobody */
};

/* looks: one for each host, in order. why: what is UNKNOWN is so for this reason; NULL = nothing
 * is. Both are valid during the call. From it on the queues may be deleted. */
typedef void host_queues_fn(const struct host_queue_look *looks, const char *why, void *arg);
/* Asks the verb's brokers, each in turn. fn is called once, on the loop. Borrows hosts until
 * host_queues_close(). */
struct host_queues *host_queues_open(
    struct verb_context *v, const struct hosts *hosts, host_queues_fn *fn, void *arg);

enum host_queue_end {
	HOST_QUEUE_DELETED,
	HOST_QUEUE_REFUSED, /* to this user, or of one before it: saying it again will not help */
	HOST_QUEUE_UNTRIED, /* or nobody knows: it may succeed when it is said again */
};

/* messages: that were in one that was DELETED. why: else, a sentence with the way out. */
typedef void host_queues_deleted_fn(
    size_t host, enum host_queue_end end, uint32_t messages, const char *why, void *arg);
/* Once: deletes those that are THERE and that nobody read when they were looked at, and tells of
 * each; then calls done. What is not DELETED ends it: what follows is told as the same. */
void host_queues_delete(struct host_queues *q, host_queues_deleted_fn *fn, void (*done)(void *arg));
/* Closes it, in a callback too. NULL is fine. */
void host_queues_close(struct host_queues *q);

#endif
