/* SPDX-License-Identifier: Apache-2.0 */
/* A complaint that comes again and again is a line the first time, and then one a minute with the
 * number of those that were left out; and so is its end. A few different ones are told apart, so
 * that two in turn are not a flood either. Pure; zeroed memory is an empty one. */
#ifndef VOGELER_RATELIMIT_H
#define VOGELER_RATELIMIT_H

#include "shared/base/mono.h"
#include <stdbool.h>
#include <stdint.h>

#define RATELIMIT_PERIOD_MS 60000

enum { RATELIMIT_KINDS = 4, RATELIMIT_TEXT_SIZE = 256 };

struct ratelimit {
	struct ratelimit_kind {
		char text[RATELIMIT_TEXT_SIZE]; /* its beginning; "" = unused */
		struct mono logged;
		uint32_t unlogged;
	} kinds[RATELIMIT_KINDS];
	bool told; /* a line about it was the last */
	struct mono over_logged;
};

/* Is it to be logged now? Then *unlogged is how many times it was not since the last line. */
bool ratelimit_due(struct ratelimit *r, const char *text, struct mono now, uint32_t *unlogged);
/* Returns how many were left out, of all kinds. They count as told; the minute goes on. */
uint32_t ratelimit_sum_up(struct ratelimit *r);
/* Ends it, and says whether that is to be logged now: it is if the last line was a complaint, else
 * once a minute with how many were left out (ratelimit_sum_up). *unlogged is 0 if not. */
bool ratelimit_over(struct ratelimit *r, struct mono now, uint32_t *unlogged);

#endif
