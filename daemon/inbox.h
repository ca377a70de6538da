/* Responses from the broker to the store: each delivery is decoded, checked, converted, given to
 * the batch, and acked when everything it says is on disk. What is poison goes to the dead letter
 * queue at first sight and holds up nothing behind it.
 *
 *             probe ok                 refused, or an idle probe failed
 *   PROBING -----------> TAKING -----------------------------------------> PROBING
 *   PROBING -- probe ok, after a refusal --> TRYING -- a write is taken, or none comes --> TAKING
 *                                            TRYING -- refused for 10 minutes --> PROBING
 *   TAKING, TRYING, PROBING -- another collector goes on --> STANDBY
 *   STANDBY -- it no longer does, or a probe failed --> PROBING
 *   any of these -- drain --> DRAINING -- nothing in hand, or time is over --> DRAINED
 *
 * Two queues, fresh before stale: what somebody waits for has a queue of its own, a prefetch of its
 * own, and goes ahead of the others into the store. Without that queue it comes with them.
 *
 * While the store is away the deliveries are given back once and the consumers are cancelled (the
 * broker closes one that holds on for 30 minutes). That a probe passes is no proof: a disk may have
 * room for it and for nothing else. So TRYING takes one delivery of each queue, keeps it and gives
 * it to the store again and again; TAKING is entered when the store has taken a write, or nothing
 * came to be written. Where nothing is written for a while, TAKING probes too: a store that is gone
 * is then known before anything waits for it.
 *
 * Where several collectors run into conflicts with each other, one goes on and the others are in
 * STANDBY, with nothing in hand (leader.h); they probe their store as an idle one does. Who loses
 * its store or its consumers resigns.
 *
 * Memory: at most prefetch deliveries of each queue, and when they hold over intake_max_bytes, or
 * too many dead letters wait, reading pauses. */
#ifndef VOGELER_INBOX_H
#define VOGELER_INBOX_H

#include "daemon/leader.h"
#include "daemon/notice.h"
#include "shared/broker.h"
#include "shared/options.h"
#include "shared/store/store.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct batch_stats;
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

/* For metrics and health. Counters are since the start. */
enum inbox_dead {
	INBOX_DEAD_OVERSIZE,
	INBOX_DEAD_MALFORMED,
	INBOX_DEAD_FORGED,
	INBOX_DEAD_REJECTED
};
#define INBOX_N_DEAD (INBOX_DEAD_REJECTED + 1)
const char *inbox_dead_name(enum inbox_dead dead);

struct inbox_status {
	enum inbox_state state;
	int64_t state_ms;            /* in this state */
	size_t in_hand, in_hand_max; /* deliveries */
	size_t dead_waiting;         /* of these, for the broker to take them as dead letters */
	size_t dead_waiting_max;
	uint64_t held_bytes, held_bytes_max;
	uint64_t outstanding;  /* deliveries that are not acked */
	bool paused;           /* reading, for want of room */
	int64_t stalled_ms;    /* something waits for the store, and nothing was written since */
	const char *trouble;   /* the store takes nothing, with these words ("" = not asked yet);
				  NULL = it does */
	int64_t trouble_ms;    /* since then, whatever probes said meanwhile */
	int64_t unanswered_ms; /* a probe was sent so long ago; 0 = none waits for an answer */
	uint64_t received, stored, given_back, acked;
	uint64_t dead[INBOX_N_DEAD]; /* when it was decided */
	uint64_t buried;             /* when the broker had them */
	uint64_t
	    refused_values[JSONX_N_REFUSALS]; /* of what was taken; [JSONX_READ] are the others */
	struct notice_stats notices;
	const struct batch_stats *batch;
	const struct store_pace *pace;
};
void inbox_status(const struct inbox *in, struct inbox_status *out);

enum inbox_state inbox_get_state(const struct inbox *in);
size_t inbox_in_hand(const struct inbox *in); /* deliveries */
uint64_t inbox_held_bytes(const struct inbox *in);

#endif
