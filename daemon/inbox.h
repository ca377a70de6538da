/* Responses from the broker to the store: when they are taken in hand (hand.h), and when they are
 * given back.
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
#ifndef VOGELER_INBOX_H
#define VOGELER_INBOX_H

#include "daemon/hand.h"
#include "daemon/leader.h"
#include "shared/amqp/broker.h"
#include "shared/config/options.h"
#include "shared/store/store.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct batch_stats;
struct damage;
struct inbox;
struct loop;

enum inbox_state {
	INBOX_PROBING,
	INBOX_TRYING,
	INBOX_TAKING,
	INBOX_STANDBY,
	INBOX_DRAINING,
	INBOX_DRAINED
};
const char *inbox_state_name(enum inbox_state s);

struct inbox_parts { /* all borrowed until inbox_destroy */
	struct loop *loop;
	struct broker *consumer;
	struct broker *publisher;
	struct store *store;
	struct leader *leader;
	bool setup_store; /* make the database when it is not there (the embedded store) */
	/* The state has changed, or still holds, and why. May be NULL. Called from inside inbox
	 * functions: for telling, not for acting. */
	void (*on_state)(enum inbox_state state, const char *reason, void *arg);
	/* It is stored that this host said hello. May be NULL. */
	void (*on_greeted)(const char *host, void *arg);
};

/* In DRAINED: nothing is in hand, acks are sent. */
typedef void inbox_drained_fn(void *arg);

struct inbox *inbox_create(const struct inbox_parts *parts, const struct options *opt,
    inbox_drained_fn *on_drained, void *arg);
/* After store_close(). NULL is fine. */
void inbox_destroy(struct inbox *in);
/* Probes the store, then consumes. */
void inbox_start(struct inbox *in);
/* While the store is away it is asked again at once: what was reloaded may be its password. So is
 * the broker for the fresh queue, if that was done without. Takes over attest, the limits of values
 * and those of batches, bytes and prefetch (this at the next consume). */
void inbox_reload(struct inbox *in, const struct options *opt);
/* Takes nothing more; on_drained when what is in hand is stored and acked, or given back after
 * drain_timeout. */
void inbox_drain(struct inbox *in);

/* From the handlers of the two brokers. */
void inbox_on_consumer_ready(struct inbox *in);
void inbox_on_consumer_down(struct inbox *in);
void inbox_on_delivery(struct inbox *in, struct delivery *d); /* takes ownership of d */
void inbox_on_publisher_ready(struct inbox *in);              /* on_ready and on_writable */
void inbox_on_confirm(struct inbox *in, uint64_t id, enum broker_outcome outcome, const char *why);
/* From the leader's on_changed. */
void inbox_on_leader(struct inbox *in, enum leader_state leader);

/* For metrics and health. */
struct inbox_status {
	enum inbox_state state;
	int64_t state_ms;   /* in this state */
	size_t in_hand_max; /* deliveries */
	struct hand_status hand;
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
void inbox_status(const struct inbox *in, struct inbox_status *out);

enum inbox_state inbox_get_state(const struct inbox *in);

#endif
