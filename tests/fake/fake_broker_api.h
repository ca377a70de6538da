/* SPDX-License-Identifier: Apache-2.0 */
/* A broker that a test drives: implements all of shared/amqp/broker.h without a socket. The code
 * under test creates it as usual; the test finds it by its role and says what happens: it comes up,
 * goes down, delivers, confirms. What was asked of it is written down. On the fake loop or the real
 * one.
 *
 * Callbacks that answer a request (consume, cancel, stop) come from a zero timer; those of the
 * fake_broker_ functions come from inside them. */
#ifndef VOGELER_FAKE_BROKER_API_H
#define VOGELER_FAKE_BROKER_API_H

#include "shared/amqp/broker.h"
#include "shared/amqp/topology.h"

struct fake_publish { /* what broker_publish got, copied */
	uint64_t id;
	char *exchange;
	char *routing_key;
	bool mandatory;
	bool answered;
	struct message message;
};

/* The living broker of that role ("consumer", "publisher", "leader"), NULL if there is none. */
struct broker *fake_broker(const char *role);

/* To READY (on_ready). Needs broker_start() before. */
void fake_broker_up(struct broker *b);
/* From READY: what is not confirmed is LOST, the consumer and the tags are gone, then on_down. */
void fake_broker_down(struct broker *b);
/* The same with another reason than the network; also before READY. why is in the words. */
void fake_broker_fail(struct broker *b, enum broker_error error, const char *why);
/* Publishing is refused until it is lifted (on_blocked, on_writable). */
void fake_broker_block(struct broker *b, bool blocked);
/* What broker_fit() says no to from now on: names and strings of headers, bodies. 0 = no limit. */
void fake_broker_limits(struct broker *b, size_t headers_max, size_t body_max);
/* Larger bodies are refused for now, though broker_can_publish(): output is part full. 0: it has
 * drained (on_writable). */
void fake_broker_room(struct broker *b, size_t room);
/* Answers what broker_ask_depth() has asked. */
void fake_broker_depth(struct broker *b, uint32_t messages);
/* What broker_without() says of that queue from now on; both borrowed, NULL = nothing. */
void fake_broker_without(struct broker *b, const char *queue, const char *why);
/* That queue may not be bound, says broker_unbound() from now on; borrowed, NULL = none. */
void fake_broker_unbound(struct broker *b, const char *queue);
/* bind_looks: who reads the i-th item of its topology (on_consumers). */
void fake_broker_consumers(struct broker *b, size_t i, uint32_t consumers);
/* bind_only: what became of the i-th item of its topology (on_bound). */
void fake_broker_bound(struct broker *b, size_t i, enum broker_bound bound, const char *why);
const struct topology *fake_broker_topology(const struct broker *b);
/* What broker_status() says from now on; borrowed, NULL = what is so. */
void fake_broker_status(struct broker *b, const struct broker_status *s);
/* Every publish is confirmed by itself, in the loop's next pass. Off at first. */
void fake_broker_auto_confirm(struct broker *b, bool on);
/* What is delivered from now on was delivered before. Off at first. */
void fake_broker_redelivers(struct broker *b, bool on);
/* Answers one publish. */
void fake_broker_confirm(
    struct broker *b, uint64_t id, enum broker_outcome outcome, const char *why);

/* Takes over the content of m (which is left empty). Returns the tag. Delivers whether or not there
 * is a consumer: a delivery may be on its way when it is cancelled. */
struct broker_tag fake_broker_deliver(
    struct broker *b, const char *exchange, const char *routing_key, struct message *m);
/* The same with a body announced as body_size bytes and cut, as oversize ones are. */
struct broker_tag fake_broker_deliver_oversize(struct broker *b, const char *exchange,
    const char *routing_key, struct message *m, uint64_t body_size);

size_t fake_broker_published(const struct broker *b); /* so far */
const struct fake_publish *fake_broker_publish_at(const struct broker *b, size_t i);

/* What was asked since the last clear, each ended by "; ": "start", "consume master.in 1000",
 * "consume web01 10 exclusive", "cancel", "ack 3", "ack 3 multiple", "nack 5 multiple requeue",
 * "pause", "resume", "stop", "depth master.in",
 * "try". Acks of a past epoch have " stale" behind them. Publishing is not in
 * it. */
const char *fake_broker_log(const struct broker *b);
void fake_broker_log_clear(struct broker *b);
bool fake_broker_is_paused(const struct broker *b);

#endif
