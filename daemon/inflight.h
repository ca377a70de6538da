/* SPDX-License-Identifier: Apache-2.0 */
/* The deliveries in hand, each from its arrival until it is acked or given back: it is decoded,
 * checked, converted, given to the batch, and acked when everything it says is on disk. What is
 * poison goes to the dead letter queue at first sight and holds up nothing behind it.
 *
 *   delivery -> shares -> slowstart -> intake -> batch -- stored ------------> acked
 *                 |                      |         `--- rejected -> deadletter -> acked
 *                 |                      `------------- poison --->
 *                 `-- more than its host may hold: given back when there is room
 *
 * Fresh before stale: what somebody waits for (TOPOLOGY_FRESH_KEY) has an intake of its own and
 * goes ahead of the others into the store. When deliveries are taken and when they are given back
 * is decided by the collector (collector.h), with which it shares the log's "inbox".
 *
 * Memory: bounded in number by who consumes (prefetch); when deliveries hold over intake_max_bytes
 * reading pauses. One host has a quarter of that at most, and of what else comes of it the tags
 * alone are held (host_quota.h). Dead letters that cannot be sent hold a quarter of that at most,
 * and then nothing but their tags (deadletter.h). */
#ifndef VOGELER_INFLIGHT_H
#define VOGELER_INFLIGHT_H

#include "daemon/job_notice.h"
#include "shared/amqp/broker.h"
#include "shared/config/options.h"
#include "shared/wire/jsonx.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The caller heeds this limit of inflight_held_up(), each some 300 bytes. */
#define INFLIGHT_HELD_UP_MAX 50000

struct batch;
struct deadletter;
struct inflight;
struct loop;
struct store;

struct inflight_parts { /* all borrowed until inflight_destroy */
	struct loop *loop;
	struct broker *consumer; /* whose deliveries they are */
	struct broker *publisher;
	struct store *store;
};

struct inflight_handlers {
	/* One delivery is no longer in hand: it is on disk, or else in the dead letter queue, or
	 * lost with the connection, and comes again. */
	void (*on_done)(bool stored, void *arg);
	/* Called as the batch's on_breaker. What is in hand stays: inflight_give_back() it. */
	void (*on_breaker)(void *arg);
	/* Deliveries that cannot go on hold their places in the prefetch: inflight_held_up_now().
	 * Now and then while that is so. */
	void (*on_held_up)(void *arg);
	/* Called when it is stored that this host said hello. May be NULL. */
	void (*on_greeted)(const char *host, void *arg);
};

/* handlers is borrowed until inflight_destroy. */
struct inflight *inflight_create(const struct inflight_parts *parts, const struct options *opt,
    const struct inflight_handlers *handlers, void *arg);
/* After store_close(). NULL is fine. */
void inflight_destroy(struct inflight *h);
/* Takes over attest, the limits of values and those of batches and bytes. */
void inflight_set_options(struct inflight *h, const struct options *opt);

/* Takes ownership of d. */
void inflight_take(struct inflight *h, struct delivery *d);
/* Returns one that is not to be taken to its queue. */
void inflight_refuse(struct inflight *h, struct delivery *d);
/* Returns those whose tags alone are held, and those that were not begun, to their queue, of which
 * nothing is to come any more. */
void inflight_return_held(struct inflight *h);
/* Everything in hand returns to its queue, at once and without on_done. */
void inflight_give_back(struct inflight *h);

/* From the handlers of the consumer. */
void inflight_on_consumer_down(struct inflight *h);
void inflight_on_consume(struct inflight *h); /* new consumers, with a prefetch of their own */
/* For whoever has the publisher's events: deadletter_on_ready(), deadletter_on_confirm(). */
struct deadletter *inflight_deadletter(struct inflight *h);

enum inflight_dead {
	INFLIGHT_DEAD_OVERSIZE,
	INFLIGHT_DEAD_MALFORMED,
	INFLIGHT_DEAD_FORGED,
	INFLIGHT_DEAD_REJECTED
};
#define INFLIGHT_N_DEAD (INFLIGHT_DEAD_REJECTED + 1)
const char *inflight_dead_name(enum inflight_dead dead);

/* For metrics and health. Counters are since the start. */
struct inflight_status {
	size_t count;         /* deliveries in hand */
	size_t share_waiting; /* of these, for room in the share of their host, */
	size_t slow_waiting;  /* for their turn in the slow start, */
	size_t damaged;       /* for what is stored of their hosts, which is damaged, */
	size_t dead_waiting;  /* and for the broker to take them as dead letters; those */
	size_t dead_held;     /* of which only the tags are held not included */
	size_t dead_waiting_max;
	int64_t
	    dead_stuck_ms; /* the dead letter queue has taken nothing for so long; 0 = it does */
	const char *dead_stuck; /* and why */
	uint64_t bytes, bytes_max;
	uint64_t outstanding; /* deliveries that are not acked */
	bool paused;          /* reading, for want of room */
	int64_t stalled_ms;   /* something waits for the store, and nothing was written since */
	uint64_t received, stored, given_back, acked;
	uint64_t dead[INFLIGHT_N_DEAD]; /* when it was decided */
	uint64_t buried;                /* when the broker had them */
	uint64_t untold;                /* answers among these whose jobs were not told */
	uint64_t
	    refused_values[JSONX_N_REFUSALS]; /* of what was taken; [JSONX_READ] are the others */
	struct job_notice_stats notices;
};
void inflight_status(const struct inflight *h, struct inflight_status *out);

size_t inflight_count(const struct inflight *h); /* deliveries in hand, */
size_t inflight_waiting(
    const struct inflight *h); /* and of these, those that the store is to take, */
size_t inflight_dead_held(const struct inflight *h); /* those that are dead letters, */
size_t inflight_held_up(
    const struct inflight *h); /* and these with those that cannot go on either */
/* Counts those of the last that hold the prefetch of the consumers that there are now. */
size_t inflight_held_up_now(const struct inflight *h);
uint64_t inflight_received(const struct inflight *h); /* since the start */
/* Lends the batch for its breaker and its counters, and to be hurried; what is in it is
 * inflight's. */
struct batch *inflight_batch(const struct inflight *h);

#endif
