/* The queue of one host at the broker, for the verbs that look at it or delete it. Nothing is made,
 * and nothing is taken out of it. */
#ifndef VOGELER_HOST_QUEUE_H
#define VOGELER_HOST_QUEUE_H

#include "admin/verb.h"

#include <stdbool.h>
#include <stdint.h>

struct host_queue;

enum host_queue_sight {
	HOST_QUEUE_THERE,
	HOST_QUEUE_MISSING,
	HOST_QUEUE_UNKNOWN, /* the broker could not be asked */
};

struct host_queue_look {
	enum host_queue_sight sight;
	uint32_t
	    messages; /* that wait; what its agent holds without having answered is not in it */
	uint32_t consumers; /* who reads it: its agent, or nobody */
	const char *why;    /* of UNKNOWN */
};

/* look: valid during the call. After it the queue may be deleted. */
typedef void host_queue_fn(const struct host_queue_look *look, void *arg);
/* Of the verb's brokers, each in turn. fn is called once, on the loop. */
struct host_queue *host_queue_open(
    struct verb_context *v, const char *host, host_queue_fn *fn, void *arg);
/* ok: it went, with so many messages; else why, a sentence with the way out. */
typedef void host_queue_deleted_fn(bool ok, uint32_t messages, const char *why, void *arg);
/* Once, of one that is THERE. */
void host_queue_delete(struct host_queue *q, host_queue_deleted_fn *fn);
/* In a callback, too. NULL is fine. */
void host_queue_close(struct host_queue *q);

#endif
