/* SPDX-License-Identifier: Apache-2.0 */
/* Responses from the broker to the store: when they are taken in hand (inflight.h), and when they
 * are given back.
 *
 * How the store is, is known by the breaker of the batch (breaker.h); this follows it:
 *
 *   AWAY: PROBING     TRYING: TRYING     THERE: TAKING
 *   TAKING, TRYING, PROBING -- another collector goes on, the store is not AWAY --> STANDBY
 *   STANDBY -- it no longer does, or a probe failed --> as the breaker is
 *   any of these -- drain --> DRAINING -- nothing in hand, or time is over --> DRAINED
 *
 * Two queues, each with a prefetch of its own: what somebody waits for does not wait behind the
 * others. Without that queue it comes with them.
 *
 * While the store is away the deliveries are given back once and the consumers are cancelled (the
 * broker closes one that holds on for 30 minutes). TRYING takes one delivery of each queue, keeps
 * it and gives it to the store again and again; when that goes on it takes a few more (the
 * breaker's window), for it may be that one record alone is refused. Where nothing is written for a
 * while, TAKING probes too: a store that is gone is then known before anything waits for it.
 *
 * Where several collectors run into conflicts with each other, one goes on and the others are in
 * STANDBY, with nothing in hand (leader.h); they probe their store as an idle one does. Who loses
 * its store or its consumers resigns. */
#ifndef VOGELER_COLLECTOR_H
#define VOGELER_COLLECTOR_H

#include "daemon/inflight.h"
#include "daemon/leader.h"
#include "shared/amqp/broker.h"
#include "shared/config/options.h"
#include "shared/store/store.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct batch_stats;
struct damage;
struct collector;
struct deadletter;
struct loop;

enum collector_state {
	COLLECTOR_PROBING,
	COLLECTOR_TRYING,
	COLLECTOR_TAKING,
	COLLECTOR_STANDBY,
	COLLECTOR_DRAINING,
	COLLECTOR_DRAINED
};
const char *collector_state_name(enum collector_state s);

struct collector_parts { /* all borrowed until collector_destroy */
	struct loop *loop;
	struct broker *consumer;
	struct broker *publisher;
	struct store *store;
	struct leader *leader;
	bool setup_store; /* make the database when it is not there (the embedded store) */
	/* The state has changed, or still holds, and why. May be NULL. Called from inside
	 * collector_ functions: for telling, not for acting. */
	void (*on_state)(enum collector_state state, const char *reason, void *arg);
	/* Called when it is stored that this host said hello. May be NULL. */
	void (*on_greeted)(const char *host, void *arg);
};

/* Called in DRAINED: nothing is in hand, acks are sent. */
typedef void collector_drained_fn(void *arg);

struct collector *collector_create(const struct collector_parts *parts, const struct options *opt,
    collector_drained_fn *on_drained, void *arg);
/* After store_close(). NULL is fine. */
void collector_destroy(struct collector *in);
/* Probes the store, then consumes. */
void collector_start(struct collector *in);
/* While the store is away it is asked again at once: what was reloaded may be its password. So is
 * the broker for the fresh queue, if that was done without. Takes over attest, the limits of values
 * and those of batches, bytes and prefetch (this at the next consume). */
void collector_reload(struct collector *in, const struct options *opt);
/* Takes nothing more; on_drained when what is in hand is stored and acked, or given back after
 * drain_timeout. */
void collector_drain(struct collector *in);

/* From the handlers of the consumer. */
void collector_on_consumer_ready(struct collector *in);
void collector_on_consumer_down(struct collector *in);
void collector_on_delivery(struct collector *in, struct delivery *d); /* takes ownership of d */
/* For whoever has the publisher's events: deadletter_on_ready(), deadletter_on_confirm(). */
struct deadletter *collector_deadletter(struct collector *in);
/* From the leader's on_changed. */
void collector_on_leader(struct collector *in, enum leader_state leader);

/* For metrics and health. */
struct collector_status {
	enum collector_state state;
	int64_t state_ms;   /* in this state */
	size_t in_hand_max; /* deliveries */
	struct inflight_status inflight;
	const char *trouble; /* the store takes nothing, with these words ("" = not asked yet);
				NULL = it does */
	int64_t trouble_ms;  /* since then, whatever probes said meanwhile */
	const struct damage *damage;
	int64_t damage_ms;     /* something of some hosts is damaged since then */
	int64_t unanswered_ms; /* a probe was sent so long ago; 0 = none waits for an answer */
	const struct batch_stats *batch;
	const struct store_pace *pace;
	int64_t wal_bytes;       /* of the store's write-ahead log; 0 = it has none */
	uint64_t strays_dropped; /* outcomes of unknown jobs */
};
void collector_status(const struct collector *in, struct collector_status *out);

/* For tests. */
enum collector_state collector_get_state(const struct collector *in);

#endif
