/* See couch_tune.h. */
#include "shared/store/couch_tune.h"

void
couch_tune_init(struct couch_tune *t, size_t fixed)
{
	*t = (struct couch_tune){.fixed = fixed, .next = 1, .hold = COUCH_TUNE_HOLD_MIN};
}

static void
settle(struct couch_tune *t, struct mono now)
{
	t->measuring = true;
	t->began = mono_add(now, COUCH_TUNE_SETTLE_MS);
	t->bytes = 0;
}

static bool
there_is(const struct couch_tune *t, int step)
{
	return step < 0 ? t->level > 0 : t->level + 1 < COUCH_TUNE_LEVELS;
}

static void
try_neighbour(struct couch_tune *t, struct mono now)
{
	if (!there_is(t, t->next))
		t->next = -t->next;
	t->trying = t->next;
	t->held = 0;
	settle(t, now);
}

static void
judge_try(struct couch_tune *t, double rate, struct mono now)
{
	if (rate * 100 > t->rate * (100 + COUCH_TUNE_GAIN)) {
		t->level += (unsigned int)t->trying;
		t->rate = rate;
		t->hold = COUCH_TUNE_HOLD_MIN;
	} else {
		t->next = -t->trying;
		if (t->hold < COUCH_TUNE_HOLD_MAX)
			t->hold *= 2;
		settle(t, now);
	}
	t->trying = 0;
}

static void
hold_on(struct couch_tune *t, double rate, struct mono now)
{
	t->rate = t->held == 0 ? rate : (t->rate + rate) / 2;
	if (++t->held >= t->hold)
		try_neighbour(t, now);
}

void
couch_tune_wrote(struct couch_tune *t, size_t bytes, struct mono now)
{
	int64_t ms;

	if (!t->measuring) {
		t->measuring = true;
		t->began = now;
		t->bytes = 0;
		return;
	}
	ms = mono_diff(now, t->began);
	if (ms < 0)
		return;
	t->bytes += bytes;
	if (ms < COUCH_TUNE_WINDOW_MS)
		return;
	double rate = (double)t->bytes / (double)ms;

	t->began = now;
	t->bytes = 0;
	if (t->trying != 0)
		judge_try(t, rate, now);
	else
		hold_on(t, rate, now);
}

void
couch_tune_idle(struct couch_tune *t)
{
	t->measuring = false;
}

size_t
couch_tune_bytes(const struct couch_tune *t, bool idle)
{
	if (t->fixed > 0)
		return t->fixed;
	return idle ? COUCH_TUNE_MIN : COUCH_TUNE_MIN << (unsigned int)((int)t->level + t->trying);
}
