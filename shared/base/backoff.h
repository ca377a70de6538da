/* SPDX-License-Identifier: Apache-2.0 */
/* This says how long to wait before trying again: the first retry soon, then doubling up to a cap,
 * with jitter so that a thousand agents do not come back in the same second. Pure arithmetic; owns
 * no timer. */
#ifndef VOGELER_BACKOFF_H
#define VOGELER_BACKOFF_H

#include <stdint.h>

struct backoff {
	uint32_t first_ms;
	uint32_t max_ms;
	uint32_t attempts; /* since the last reset */
};

void backoff_init(struct backoff *b, uint32_t first_ms, uint32_t max_ms);
/* Delay for the coming attempt: uniform in [d/2, d], d = min(first * 2^attempts, max). rnd is any
 * random 32-bit number, given by the caller so that tests are repeatable. Never overflows. */
uint32_t backoff_next(struct backoff *b, uint32_t rnd);
void backoff_reset(struct backoff *b);

#endif
