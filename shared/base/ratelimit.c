/* SPDX-License-Identifier: Apache-2.0 */
/* See ratelimit.h. */
#include "shared/base/ratelimit.h"

#include <stdio.h>
#include <string.h>

/* The kind that is this text, or else the one that was logged longest ago. */
static struct ratelimit_kind *
find(struct ratelimit *r, const char *text)
{
	struct ratelimit_kind *oldest = &r->kinds[0];

	for (int i = 0; i < RATELIMIT_KINDS; i++) {
		struct ratelimit_kind *k = &r->kinds[i];

		if (strncmp(k->text, text, sizeof(k->text) - 1) == 0)
			return k;
		if (k->text[0] == '\0' || mono_diff(k->logged, oldest->logged) < 0)
			oldest = k;
		if (oldest->text[0] == '\0')
			break;
	}
	return oldest;
}

bool
ratelimit_due(struct ratelimit *r, const char *text, struct mono now, uint32_t *unlogged)
{
	struct ratelimit_kind *k;
	bool same;

	if (text[0] == '\0')
		text = "?"; /* "" marks what is unused */
	k = find(r, text);
	same = strncmp(k->text, text, sizeof(k->text) - 1) == 0;
	if (same && mono_diff(now, k->logged) < RATELIMIT_PERIOD_MS) {
		k->unlogged++;
		return false;
	}
	*unlogged = same ? k->unlogged : 0;
	snprintf(k->text, sizeof(k->text), "%s", text);
	k->logged = now;
	k->unlogged = 0;
	r->told = true;
	return true;
}

uint32_t
ratelimit_sum_up(struct ratelimit *r)
{
	uint32_t sum = 0;

	for (int i = 0; i < RATELIMIT_KINDS; i++) {
		sum += r->kinds[i].unlogged;
		r->kinds[i].unlogged = 0;
	}
	return sum;
}

bool
ratelimit_over(struct ratelimit *r, struct mono now, uint32_t *unlogged)
{
	bool lately =
	    r->over_logged.ms != 0 && mono_diff(now, r->over_logged) < RATELIMIT_PERIOD_MS;

	*unlogged = r->told || !lately ? ratelimit_sum_up(r) : 0;
	if (!r->told && *unlogged == 0)
		return false;
	r->told = false;
	r->over_logged = now;
	return true;
}
