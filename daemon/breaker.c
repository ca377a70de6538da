/* SPDX-License-Identifier: Apache-2.0 */
/* See breaker.h. */
#include "daemon/breaker.h"

#include <assert.h>
#include <bsd/string.h>

#define PUT_FIRST_MS   100
#define PUT_MAX_MS     5000
#define PROBE_FIRST_MS 1000
#define PROBE_MAX_MS   5000

const char *
breaker_state_name(enum breaker_state s)
{
	switch (s) {
	case BREAKER_AWAY:
		return "AWAY";
	case BREAKER_TRYING:
		return "TRYING";
	case BREAKER_THERE:
		return "THERE";
	}
	return "?";
}

const char *
breaker_event_name(enum breaker_event ev)
{
	switch (ev) {
	case BREAKER_PROBE_PASSED:
		return "PROBE_PASSED";
	case BREAKER_PROBE_FAILED:
		return "PROBE_FAILED";
	case BREAKER_PUT_TAKEN:
		return "PUT_TAKEN";
	case BREAKER_PUT_REFUSED:
		return "PUT_REFUSED";
	case BREAKER_QUIET:
		return "QUIET";
	case BREAKER_TIME:
		return "TIME";
	case BREAKER_ALONE:
		return "ALONE";
	}
	return "?";
}

void
breaker_init(struct breaker *b, uint32_t patience_ms, struct mono now)
{
	*b = (struct breaker){.state = BREAKER_AWAY,
	    .width = BREAKER_WIDTH_MAX,
	    .window = 1,
	    .since = now,
	    .until = now,
	    .patience_ms = patience_ms};
	backoff_init(&b->puts, PUT_FIRST_MS, PUT_MAX_MS);
	backoff_init(&b->probes, PROBE_FIRST_MS, PROBE_MAX_MS);
}

void
breaker_set_patience(struct breaker *b, uint32_t patience_ms)
{
	b->patience_ms = patience_ms;
}

/* The only writer of ->state. */
static void
enter(struct breaker *b, enum breaker_state next, struct mono now, uint32_t random)
{
	b->state = next;
	b->refusals = 0;
	b->until = now;
	backoff_reset(&b->puts);
	switch (next) {
	case BREAKER_AWAY:
		b->steady = now;
		b->until = mono_add(now, backoff_next(&b->probes, random));
		break;
	case BREAKER_TRYING:
		b->width = b->window = 1;
		b->widened = now;
		break;
	case BREAKER_THERE:
		backoff_reset(&b->probes);
		b->unproven = false;
		b->why[0] = '\0';
		break;
	}
}

static bool
enter_away(struct breaker *b, const char *why, struct mono now, uint32_t random)
{
	if (why != NULL)
		strlcpy(b->why, why, sizeof(b->why));
	enter(b, BREAKER_AWAY, now, random);
	return true;
}

static uint32_t
patience_ms(const struct breaker *b)
{
	return b->state == BREAKER_TRYING || b->held ? BREAKER_HOLD_MS : b->patience_ms;
}

bool
breaker_is_over(const struct breaker *b, struct mono now)
{
	return b->state != BREAKER_AWAY && b->refusals > 0 &&
	       mono_diff(now, b->refused) >= patience_ms(b);
}

static bool
on_refused(struct breaker *b, const char *why, uint32_t n, struct mono now, uint32_t random)
{
	assert(why != NULL);
	strlcpy(b->why, why, sizeof(b->why));
	if (b->refusals++ == 0) {
		b->refused = now;
		if (!b->unproven)
			b->since = now;
	}
	b->unproven = true;
	b->steady = now;
	if (n > 1 && n < b->width) /* of one alone nothing is learnt about width */
		b->width = n;
	if (b->width > 1)
		b->width /= 2;
	b->until = mono_add(now, backoff_next(&b->puts, random));
	if (breaker_is_over(b, now)) {
		b->held = true;
		return enter_away(b, NULL, now, random);
	}
	return false;
}

static bool
on_taken(struct breaker *b, struct mono now, uint32_t random)
{
	bool was_trying = b->state == BREAKER_TRYING;

	if (b->held && mono_diff(now, b->steady) >= BREAKER_STEADY_MS)
		b->held = false;
	if (b->width < BREAKER_WIDTH_MAX)
		b->width *= 2;
	enter(b, BREAKER_THERE, now, random);
	return was_trying;
}

/* TRYING: what is behind what is refused is to be seen too. */
static bool
open_window(struct breaker *b, struct mono now)
{
	if (b->state != BREAKER_TRYING || b->refusals == 0 || b->window >= BREAKER_WINDOW_MAX ||
	    mono_diff(now, b->widened) < BREAKER_WIDER_MS)
		return false;
	b->window *= 2;
	b->widened = now;
	return true;
}

static bool
step_away(
    struct breaker *b, enum breaker_event ev, const char *why, struct mono now, uint32_t random)
{
	switch (ev) {
	case BREAKER_PROBE_PASSED:
		enter(b, b->unproven ? BREAKER_TRYING : BREAKER_THERE, now, random);
		return true;
	case BREAKER_PROBE_FAILED:
		if (why != NULL)
			strlcpy(b->why, why, sizeof(b->why));
		b->until = mono_add(now, backoff_next(&b->probes, random));
		return false;
	case BREAKER_PUT_TAKEN: /* of puts from before: a probe tells */
	case BREAKER_PUT_REFUSED:
	case BREAKER_QUIET:
	case BREAKER_TIME:
	case BREAKER_ALONE:
		break;
	}
	return false;
}

bool
breaker_step(struct breaker *b, enum breaker_event ev, const char *why, uint32_t n, struct mono now,
    uint32_t random)
{
	if (b->state == BREAKER_AWAY)
		return step_away(b, ev, why, now, random);
	switch (ev) {
	case BREAKER_PUT_TAKEN:
		return on_taken(b, now, random);
	case BREAKER_PUT_REFUSED:
		return on_refused(b, why, n, now, random);
	case BREAKER_PROBE_FAILED: /* in TRYING the puts tell */
		if (b->state != BREAKER_THERE)
			return false;
		if (!b->unproven)
			b->since = now;
		return enter_away(b, why, now, random);
	case BREAKER_QUIET:
		if (b->state != BREAKER_TRYING)
			return false;
		enter(b, BREAKER_THERE, now, random);
		return true;
	case BREAKER_ALONE:
		b->refusals = 0;
		b->until = now;
		backoff_reset(&b->puts);
		return false;
	case BREAKER_TIME:
		if (breaker_is_over(b, now)) {
			b->held = true;
			return enter_away(b, NULL, now, random);
		}
		return open_window(b, now);
	case BREAKER_PROBE_PASSED:
		break;
	}
	return false;
}

bool
breaker_knows(const struct breaker *b, struct mono sent_at)
{
	return b->refusals > 0 && mono_diff(b->steady, sent_at) >= 0;
}

int64_t
breaker_next_ms(const struct breaker *b, struct mono now)
{
	int64_t left, wider;

	if (b->state == BREAKER_AWAY)
		return mono_diff(b->until, now) > 0 ? mono_diff(b->until, now) : 0;
	if (b->refusals == 0)
		return -1;
	left = mono_diff(mono_add(b->refused, patience_ms(b)), now);
	if (b->state == BREAKER_TRYING && b->window < BREAKER_WINDOW_MAX) {
		wider = mono_diff(mono_add(b->widened, BREAKER_WIDER_MS), now);
		if (wider < left)
			left = wider;
	}
	return left > 0 ? left : 0;
}

int64_t
breaker_wait_ms(const struct breaker *b, struct mono now)
{
	int64_t left = mono_diff(b->until, now);

	if (b->state == BREAKER_AWAY)
		return -1;
	return b->refusals > 0 && left > 0 ? left : 0;
}

bool
breaker_troubled(const struct breaker *b, struct mono *since, const char **why)
{
	*since = b->since;
	*why = b->why;
	return b->state != BREAKER_THERE || b->refusals > 0;
}
