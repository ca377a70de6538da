/* SPDX-License-Identifier: Apache-2.0 */
/* The collector looks at the broker beyond what is delivered to it: every 2 s it asks how much
 * waits in its queues, and tries whether publishes are taken, since RabbitMQ tells of its alarms
 * only to those who publish. Both on the connection for publishing, which is never paused. A queue
 * of ours that this user may not bind is sent a probe now and then, as only that tells whether it
 * is bound: where it may, the broker module makes the binding again and again. */
#ifndef VOGELER_DAEMON_QUEUE_DEPTH_H
#define VOGELER_DAEMON_QUEUE_DEPTH_H

#include "shared/amqp/broker.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct queue_depth;

#define QUEUE_DEPTH_PERIOD_MS  2000
#define QUEUE_DEPTH_QUEUES_MAX 4
#define QUEUE_DEPTH_PROBE_MS   10000
/* A queue grows when so many lows in a row were each above the one before: those of single
 * readings, which tell of steady growth at once, or those of spans of readings, since load that
 * comes in bursts lets the queue fall in between. */
#define QUEUE_DEPTH_RISES 3
/* clang-format off */
#define QUEUE_DEPTH_SPANS {1, 4, 16} /* readings */
/* clang-format on */

struct queue_depth_watch {
	const char *name;           /* borrowed until queue_depth_destroy */
	bool consumed;              /* by us: that it grows means that we are too slow */
	const char *exchange, *key; /* that it is to be bound to; exchange NULL = none */
};

struct queue_depth_queue {
	const char *name;
	bool known;         /* asked lately, and answered */
	uint32_t messages;  /* that are ready: neither delivered nor dead-lettered */
	uint64_t bytes;     /* of these, by the mean of what was delivered */
	int64_t growing_ms; /* it grows though it is consumed, since then; 0 = it does not */
	const char *exchange, *key;
	bool unbound;       /* what is sent there reaches no queue */
	int64_t unbound_ms; /* since then */
};

/* Brokers are borrowed until queue_depth_destroy; n up to QUEUE_DEPTH_QUEUES_MAX. The publisher's
 * on_depth goes to queue_depth_on_depth(). */
struct queue_depth *queue_depth_create(struct loop *loop, struct broker *publisher,
    const struct broker *consumer, const struct queue_depth_watch *queues, size_t n);
void queue_depth_destroy(struct queue_depth *l); /* NULL is fine */
/* The publisher's on_confirm; false: it is none of ours. */
bool queue_depth_on_confirm(struct queue_depth *l, uint64_t id, enum broker_outcome outcome);
void queue_depth_on_depth(struct queue_depth *l, const char *queue, uint32_t messages);

size_t queue_depth_count(const struct queue_depth *l);
void queue_depth_queue(const struct queue_depth *l, size_t i, struct queue_depth_queue *out);

#endif
