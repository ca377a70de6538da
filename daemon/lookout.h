/* What the collector sees of the broker beyond what is delivered to it: every 2 s it asks how much
 * waits in its queues, and tries whether publishes are taken, since RabbitMQ tells of its alarms
 * only to those who publish. Both on the connection for publishing, which is never paused. A queue
 * of ours that this user may not bind is sent a probe now and then, as only that tells whether it
 * is bound: where it may, the broker module makes the binding again and again. */
#ifndef VOGELER_DAEMON_LOOKOUT_H
#define VOGELER_DAEMON_LOOKOUT_H

#include "shared/amqp/broker.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct lookout;

#define LOOKOUT_PERIOD_MS  2000
#define LOOKOUT_QUEUES_MAX 4
#define LOOKOUT_PROBE_MS   10000
/* A queue grows when so many lows in a row were each above the one before: those of single
 * readings, which tell of steady growth at once, or those of spans of readings, since load that
 * comes in bursts lets the queue fall in between. */
#define LOOKOUT_RISES 3
/* clang-format off */
#define LOOKOUT_SPANS {1, 4, 16} /* readings */
/* clang-format on */

struct lookout_watch {
	const char *name;           /* borrowed until lookout_destroy */
	bool consumed;              /* by us: that it grows means that we are too slow */
	const char *exchange, *key; /* that it is to be bound to; exchange NULL = none */
};

struct lookout_queue {
	const char *name;
	bool known;         /* asked lately, and answered */
	uint32_t messages;  /* that are ready: neither delivered nor dead-lettered */
	uint64_t bytes;     /* of these, by the mean of what was delivered */
	int64_t growing_ms; /* it grows though it is consumed, since then; 0 = it does not */
	const char *exchange, *key;
	bool unbound;       /* what is sent there reaches no queue */
	int64_t unbound_ms; /* since then */
};

/* Brokers are borrowed until lookout_destroy; n up to LOOKOUT_QUEUES_MAX. The publisher's
 * on_depth goes to lookout_on_depth(). */
struct lookout *lookout_create(struct loop *loop, struct broker *publisher,
    const struct broker *consumer, const struct lookout_watch *queues, size_t n);
void lookout_destroy(struct lookout *l); /* NULL is fine */
/* The publisher's on_confirm; false: it is none of ours. */
bool lookout_on_confirm(struct lookout *l, uint64_t id, enum broker_outcome outcome);
void lookout_on_depth(struct lookout *l, const char *queue, uint32_t messages);

size_t lookout_count(const struct lookout *l);
void lookout_queue(const struct lookout *l, size_t i, struct lookout_queue *out);

#endif
