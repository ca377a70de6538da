/* SPDX-License-Identifier: Apache-2.0 */
/* Results on their way into the store: collected host by host (backlog.h), written in batches by
 * count, bytes or age, tried again, split, rejected.
 *
 * How the store is, is known by the breaker (breaker.h), which this feeds with what became of puts:
 * it says how much is put at once, and when.
 *
 * By answer: DAMAGED: that host waits by itself, and whatever it is said of, nothing is learnt
 * about the store. What waits so is bounded in bytes: over them it is rejected, if others were
 * taken. CONFLICT: that host again, soon and with jitter, and after BATCH_CONFLICTS_MAX of them in
 * a row later. RETRY and REFUSED: when nothing of a put was taken it may be the store that takes
 * nothing, and all of it waits. But a host that is refused while others are taken is a case of its
 * own and says nothing about the store: with REFUSED it is rejected then, with RETRY tried again by
 * itself. So is one that was in such a put, once others are taken. REJECT: its owner is told; of
 * several deliveries in one write each is tried alone first. REJECT_BATCH: halved until the culprit
 * stands alone (at most log2 n + 1 more puts); alone it is REFUSED. Nothing is held for longer than
 * BATCH_HOLD_MS: what is still in conflict then, or refused by itself, is rejected.
 *
 * Memory is bounded by who adds: the hand, by count (prefetch) and bytes (intake_max_bytes). */
#ifndef VOGELER_BATCH_H
#define VOGELER_BATCH_H

#include "daemon/breaker.h"
#include "shared/base/mono.h"
#include "shared/store/store.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BATCH_CONFLICTS_MAX 8
/* A delivery is held at most so long; the broker's consumer_timeout is 30 minutes. */
#define BATCH_HOLD_MS BREAKER_HOLD_MS

struct batch;
struct damage;
struct loop;

enum batch_verdict { BATCH_STORED, BATCH_REJECTED };

struct batch_options {
	size_t max_count;   /* hosts in a put; 0: what suits the store (store_limits) */
	uint64_t max_bytes; /* in a put, the same; one larger delivery still goes, alone */
	uint32_t max_age_ms;
	uint32_t patience_ms;    /* of the breaker */
	uint64_t held_max_bytes; /* of what waits since something of its host is damaged */
};

struct batch_handlers {
	/* Once for everything that was added, unless it was cleared. why: for BATCH_REJECTED. */
	void (*on_done)(void *owner, enum batch_verdict verdict, const char *why, void *arg);
	/* Something that is stored of its host is damaged: it waits, and may do so for
	 * BATCH_HOLD_MS. Perhaps again and again. */
	void (*on_held)(void *owner, void *arg);
	/* The breaker's state, or its window, is another. What was added is still held: in AWAY,
	 * batch_clear() it. */
	void (*on_breaker)(void *arg);
};

struct batch_stats {
	uint64_t puts, stored, conflicts, retries, splits,
	    rejected;                     /* but puts: deliveries or writes */
	uint64_t answers[STORE_N_STATUS]; /* writes, by what the store said */
	uint64_t older;                   /* results that it dropped: the record has newer ones */
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
/* Lets nothing wait for age from now on: for the drain. */
void batch_hurry(struct batch *b);
/* Forgets everything without callbacks; of what is in flight the answers are not told. */
void batch_clear(struct batch *b);

const struct breaker *batch_breaker(const struct batch *b);
/* Tells what is known of the store otherwise: a probe, or that nothing comes. on_breaker may
 * follow, from inside. why: of a probe that failed, else NULL. */
void batch_tell(struct batch *b, enum breaker_event ev, const char *why);
const struct batch_stats *batch_stats(const struct batch *b);
const struct damage *batch_damage(const struct batch *b);

#endif
