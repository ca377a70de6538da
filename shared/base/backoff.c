/* SPDX-License-Identifier: Apache-2.0 */
/* See backoff.h. */
#include "shared/base/backoff.h"

void
backoff_init(struct backoff *b, uint32_t first_ms, uint32_t max_ms)
{
	*b = (struct backoff){.first_ms = first_ms, .max_ms = max_ms};
}

/* min(first * 2^attempts, max) */
static uint32_t
ceiling(const struct backoff *b)
{
	uint64_t d = b->first_ms;

	for (uint32_t i = 0; i < b->attempts && d > 0 && d < b->max_ms; i++)
		d *= 2; /* below 2^33: d was less than a 32-bit max */
	return d < b->max_ms ? (uint32_t)d : b->max_ms;
}

uint32_t
backoff_next(struct backoff *b, uint32_t rnd)
{
	uint32_t d = ceiling(b);
	uint64_t choices = (uint64_t)(d - d / 2) + 1;

	if (b->attempts < UINT32_MAX)
		b->attempts++;
	return d / 2 + (uint32_t)(rnd % choices);
}

void
backoff_reset(struct backoff *b)
{
	b->attempts = 0;
}
