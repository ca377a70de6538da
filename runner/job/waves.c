/* SPDX-License-Identifier: Apache-2.0 */
/* See waves.h. */
#include "runner/job/waves.h"

#include <stdio.h>

static bool
is_over(const struct waves_rule *r, const struct waves_count *n)
{
	return n->wave_open == 0 || (r->time_ms > 0 && n->age_ms >= r->time_ms);
}

/* Once the last wave is over: those that are open have had their time. */
static size_t
failures(const struct waves_count *n)
{
	return n->failed + n->open;
}

static bool
too_many(const struct waves_rule *r, const struct waves_count *n)
{
	if (!r->has_max)
		return n->wave_failed + n->wave_open == n->wave;
	if (r->max_percent)
		return (uint64_t)failures(n) * 100 > (uint64_t)r->max * n->targets;
	return failures(n) > r->max;
}

enum waves_step
waves_step(const struct waves_rule *r, const struct waves_count *n)
{
	if (!is_over(r, n))
		return WAVES_WAIT;
	if (n->sent < n->targets)
		return too_many(r, n) ? WAVES_STOP : WAVES_NEXT;
	/* The last wave: who has no answer after its time is not waited for either. */
	return n->open == 0 ? WAVES_WAIT : WAVES_ENDED;
}

const char *
waves_why(const struct waves_rule *r, const struct waves_count *n, char out[WAVES_WHY_SIZE])
{
	if (!r->has_max && n->wave == 1)
		snprintf(out, WAVES_WHY_SIZE, "the last host %s",
		    n->wave_open > 0 ? "did not answer in time" : "is not ok");
	else if (!r->has_max && n->wave_open > 0)
		snprintf(out, WAVES_WHY_SIZE,
		    "of the last %zu hosts none is ok, %zu did not answer in time", n->wave,
		    n->wave_open);
	else if (!r->has_max)
		snprintf(out, WAVES_WHY_SIZE, "of the last %zu hosts none is ok", n->wave);
	else
		snprintf(out, WAVES_WHY_SIZE,
		    "%zu of %zu hosts are not ok, more than --max-failures %u%s", failures(n),
		    n->targets, (unsigned int)r->max, r->max_percent ? "%" : "");
	return out;
}
