/* Results on their way into the store: collected host by host (backlog.h), written in batches by
 * count, bytes or age, tried again, split, rejected.
 *
 *               put                    all answered
 *   FILLING ----------> FLUSHING ----------------------> FILLING
 *      ^                    | STORE_RETRY for all of a put
 *      |    backoff is over v
 *      +---------------- WAITING --- patience is over ---> DOWN --- batch_resume ---> FILLING
 *
 * By answer: CONFLICT: that host again, soon and with jitter, and after BATCH_CONFLICTS_MAX of them
 * in a row later. RETRY: again after a while; when nothing of a put was taken, the store is away:
 * WAITING. But a host whose write was refused while others of its put were taken is a case of its
 * own: it is tried again by itself, says nothing about the store, and is rejected when that has
 * gone on for BATCH_HOLD_MS. REJECT: its owner is told; of several deliveries in one write each is
 * tried alone first. REJECT_BATCH: halved until the culprit stands alone (at most log2 n + 1 more
 * puts), and only what was refused alone is rejected.
 *
 * Memory is bounded by who adds: the hand, by count (prefetch) and bytes (intake_max_bytes). */
#ifndef VOGELER_BATCH_H
#define VOGELER_BATCH_H

#include "shared/mono.h"
#include "shared/store/store.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BATCH_CONFLICTS_MAX 8
/* A delivery is held at most so long; the broker's consumer_timeout is 30 minutes. */
#define BATCH_HOLD_MS (10 * 60 * 1000)

struct batch;
struct loop;

enum batch_state { BATCH_FILLING, BATCH_FLUSHING, BATCH_WAITING, BATCH_DOWN };
const char *batch_state_name(enum batch_state s);

enum batch_verdict { BATCH_STORED, BATCH_REJECTED };

struct batch_options {
	size_t max_count;   /* hosts in a put; 0: what suits the store (store_limits) */
	uint64_t max_bytes; /* in a put, the same; one larger delivery still goes, alone */
	uint32_t max_age_ms;
	uint32_t patience_ms; /* of WAITING; then DOWN */
};

struct batch_handlers {
	/* Once for everything that was added, unless it was cleared. why: for BATCH_REJECTED. */
	void (*on_done)(void *owner, enum batch_verdict verdict, const char *why, void *arg);
	/* The store has not taken anything for patience_ms. State is DOWN; what was added is still
	 * held: batch_clear() it. */
	void (*on_store_down)(const char *why, void *arg);
};

struct batch_stats {
	uint64_t puts, stored, conflicts, retries, splits,
	    rejected;                     /* but puts: deliveries or writes */
	uint64_t answers[STORE_N_STATUS]; /* writes, by what the store said */
	uint64_t put_ms, put_ms_max;      /* from sending a put to its last answer: all, longest */
	struct mono last_ok;              /* when it last said STORE_OK; at first, the start */
	int64_t last_ok_wall_ms;          /* the same by the clock; 0 = never */
};

/* store and handlers are borrowed until batch_destroy. */
struct batch *batch_create(struct loop *loop, struct store *store, const struct batch_options *opt,
    const struct batch_handlers *handlers, void *arg);
/* After store_close(): what is in flight is forgotten, without callbacks. NULL is fine. */
void batch_destroy(struct batch *b);
void batch_set_options(struct batch *b, const struct batch_options *opt);

/* Takes ownership of results; returns the bytes that they hold. Answered by on_done, never from
 * inside. fresh: goes before what is not (backlog.h). */
size_t batch_add(
    struct batch *b, const char *host, struct result **results, size_t n, void *owner, bool fresh);
/* From now on nothing waits for age: for the drain. */
void batch_hurry(struct batch *b);
/* Forgets everything without callbacks; of what is in flight the answers are not told. */
void batch_clear(struct batch *b);
/* DOWN is over: the store has answered a probe. */
void batch_resume(struct batch *b);

/* Has the store refused everything since the last STORE_OK? Then since when, and its words. */
bool batch_troubled(const struct batch *b, struct mono *since, const char **why);
enum batch_state batch_get_state(const struct batch *b);
const struct batch_stats *batch_stats(const struct batch *b);

#endif
