/* SPDX-License-Identifier: Apache-2.0 */
/* See couch_pace.h. */
#include "shared/store/couch/couch_pace.h"

void
couch_pace_init(struct couch_pace *p, uint32_t max)
{
	*p = (struct couch_pace){.max = max > 0 ? max : 1};
	p->allowed = p->max;
}

static void
change(struct couch_pace *p, uint32_t allowed, struct mono now)
{
	p->allowed = allowed;
	p->changed = now;
}

/* Halves the pace: it asks for less. */
static void
slow_down(struct couch_pace *p, uint32_t retry_after_s, struct mono now)
{
	uint32_t wait_s =
	    retry_after_s < COUCH_PACE_WAIT_MAX_S ? retry_after_s : COUCH_PACE_WAIT_MAX_S;
	struct mono until = mono_add(now, (int64_t)wait_s * 1000);

	p->slowdowns++;
	if (mono_diff(until, p->until) > 0)
		p->until = until;
	/* Growing is no reason to halve later: it may be what was too much. */
	if (p->allowed == p->max || mono_diff(now, p->halved) >= COUCH_PACE_HALVE_MS) {
		change(p, p->allowed > 1 ? p->allowed / 2 : 1, now);
		p->halved = now;
	}
}

void
couch_pace_note(struct couch_pace *p, const struct http_response *r, struct mono now)
{
	if (r->status == 429 || r->status == 503)
		slow_down(p, r->retry_after_s, now);
	else if (r->status / 100 == 2 && p->allowed < p->max &&
		 mono_diff(now, p->changed) >= COUCH_PACE_GROW_MS)
		change(p, p->allowed + 1, now);
}

int64_t
couch_pace_wait_ms(const struct couch_pace *p, struct mono now)
{
	int64_t left = mono_diff(p->until, now);

	return left > 0 ? left : 0;
}
