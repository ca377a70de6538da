/* SPDX-License-Identifier: Apache-2.0 */
/* Monotonic time: for deadlines and durations, never for what is stored or sent. A type of its own,
 * so that the compiler refuses to mix it with wall-clock time (wallclock.h). */
#ifndef VOGELER_MONO_H
#define VOGELER_MONO_H

#include <stdbool.h>
#include <stdint.h>

struct mono {
	int64_t ms;
};

/* CLOCK_MONOTONIC now. Inside the loop use loop_now(), which is read once per pass. */
struct mono mono_now(void);

static inline struct mono
mono_add(struct mono t, int64_t ms)
{
	return (struct mono){t.ms + ms};
}

/* a - b in milliseconds. */
static inline int64_t
mono_diff(struct mono a, struct mono b)
{
	return a.ms - b.ms;
}

static inline bool
mono_reached(struct mono now, struct mono deadline)
{
	return now.ms >= deadline.ms;
}

#endif
