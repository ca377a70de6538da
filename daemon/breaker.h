/* SPDX-License-Identifier: Apache-2.0 */
/* A circuit breaker with a width: one answer for all who ask how the store is. Pure: no loop, no
 * I/O; the time is given.
 *
 *             probe passes             a put is taken, or nothing comes
 *   AWAY ----------------------> THERE <-------------------------------+
 *     ^  `-- the same, after puts were refused --> TRYING -------------+
 *     |                                              |
 *     +---- nothing was taken for patience ----------+---- THERE
 *     +---- a probe failed while nothing waited ---------- THERE
 *
 * A put is refused when nothing of it was taken, for a reason that is no single host's. Whoever
 * puts waits then, with backoff, and puts less: the width, in hosts, halves with each put that is
 * refused and doubles with each that is taken. It starts at 1 after AWAY: that a probe passes is no
 * proof, a disk may have room for it and for nothing else. Puts that were under way together and
 * are refused together are one refusal: the others say nothing new (breaker_knows).
 *
 * AWAY means that all that is in hand is given back to the broker, which counts that. So it comes
 * once in an outage: a store that takes now and then is given what is in hand again and again, for
 * BREAKER_HOLD_MS at most, since the broker closes a channel that holds on for 30 minutes. Only
 * while AWAY a probe decides anything but that an idle store is gone.
 *
 * In TRYING few deliveries are asked for: the window. What is refused may be one record alone, at
 * the head of the queue each time, so while it lasts the window opens to see what is behind. */
#ifndef VOGELER_BREAKER_H
#define VOGELER_BREAKER_H

#include "shared/base/backoff.h"
#include "shared/base/mono.h"
#include <stdbool.h>
#include <stdint.h>

#define BREAKER_HOLD_MS    (10 * 60 * 1000)
#define BREAKER_STEADY_MS  60000 /* without a refusal: an outage is over */
#define BREAKER_WIDTH_MAX  65536
#define BREAKER_WIDER_MS   15000 /* in TRYING the window doubles every so often, */
#define BREAKER_WINDOW_MAX 64    /* up to this */
#define BREAKER_WHY_SIZE   256

enum breaker_state { BREAKER_AWAY, BREAKER_TRYING, BREAKER_THERE };
const char *breaker_state_name(enum breaker_state s);

enum breaker_event {
	BREAKER_PROBE_PASSED,
	BREAKER_PROBE_FAILED, /* and nothing waits for the store */
	BREAKER_PUT_TAKEN,    /* something of it */
	BREAKER_PUT_REFUSED,
	BREAKER_QUIET, /* nothing comes that could be put: what there is of it is damaged, or
			  nothing */
	BREAKER_TIME,  /* breaker_next() has come */
	BREAKER_ALONE, /* what was refused is one host's alone after all, and is dealt with */
};
const char *breaker_event_name(enum breaker_event ev);

struct breaker {
	enum breaker_state state;
	uint32_t width;
	uint32_t window;      /* deliveries, in TRYING */
	uint32_t refusals;    /* puts in a row; 0 = all is well, as far as is known */
	struct mono refused;  /* the first of these, in this state: for patience */
	struct mono since;    /* nothing was taken: over AWAY and TRYING too */
	struct mono until;    /* no put (AWAY: no probe) before */
	struct mono widened;  /* the window */
	struct mono steady;   /* the latest refusal, or the latest AWAY */
	bool unproven;        /* puts were refused, and none was taken since */
	bool held;            /* AWAY was, in this outage */
	uint32_t patience_ms; /* option store_patience */
	struct backoff puts, probes;
	char why[BREAKER_WHY_SIZE];
};

void breaker_init(struct breaker *b, uint32_t patience_ms, struct mono now);
/* patience_ms: from now on. */
void breaker_set_patience(struct breaker *b, uint32_t patience_ms);
/* why: of a refusal or a probe that failed, else NULL. n: hosts in the put that is refused. random:
 * for jitter. Returns whether the state or the window is another. */
bool breaker_step(struct breaker *b, enum breaker_event ev, const char *why, uint32_t n,
    struct mono now, uint32_t random);
/* Was a put that was sent then under way already when the latest refusal came? Then its own refusal
 * says the same once more, and is not to be told. */
bool breaker_knows(const struct breaker *b, struct mono sent_at);
/* Returns in how many ms BREAKER_TIME is due; -1 = it is not. */
int64_t breaker_next_ms(const struct breaker *b, struct mono now);
/* Will the next refusal, or BREAKER_TIME, lead to AWAY? */
bool breaker_is_over(const struct breaker *b, struct mono now);
/* May something be put now? Else in how many ms; never (-1) while AWAY. */
int64_t breaker_wait_ms(const struct breaker *b, struct mono now);
/* Is it known to take nothing? Then since when, and its words. */
bool breaker_troubled(const struct breaker *b, struct mono *since, const char **why);

#endif
