/* SPDX-License-Identifier: Apache-2.0 */
/* A fake loop and clock: implements shared/event/loop.h for tests of retry and time, after
 * unbound's fake_event. Real code, hours in milliseconds. Link tests/fake/fake_loop.c before
 * vogeler_shared, whose loop.o is then not used. Watches and signals are accepted and never fire.
 * loop_run() goes from timer to timer, until loop_stop(). */
#ifndef VOGELER_FAKE_LOOP_H
#define VOGELER_FAKE_LOOP_H

#include "shared/event/loop.h"

/* Moves the clock by ms, firing due timers in order of their time, each at its own time; then frees
 * what was deferred. ms 0 runs what is due now (zero timers, and those that they arm with 0). */
void fake_advance(struct loop *loop, int64_t ms);
/* Milliseconds until the next timer, -1 when none is armed. */
int64_t fake_next_timer(struct loop *loop);
/* The armed timer of that name fires in how many ms? -1 when it is not armed. */
int64_t fake_timer_in(struct loop *loop, const char *name);

#endif
