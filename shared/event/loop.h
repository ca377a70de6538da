/* SPDX-License-Identifier: Apache-2.0 */
/* The event loop: one thread, one epoll. Everything that happens in a Vogeler program happens in a
 * callback of this loop; none may block. The only broad user of libevent.
 *
 * Lifetimes: an object is never freed inside its own callback; loop_defer_free() frees it after the
 * pass. A timer or watch may be destroyed from any callback, its own included. */
#ifndef VOGELER_LOOP_H
#define VOGELER_LOOP_H

#include "shared/base/mono.h"
#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct loop;
struct loop_timer;
struct loop_watch;

typedef void loop_fn(void *arg);
typedef void loop_fd_fn(int fd, unsigned int events, void *arg);
typedef void loop_signal_fn(int signo, void *arg);

enum { LOOP_READ = 1, LOOP_WRITE = 2 };

struct loop *loop_create(void); /* exits on failure; sets SIGPIPE to be ignored */
void loop_destroy(
    struct loop *loop); /* runs what was deferred; all timers and watches are gone by now */
void loop_run(struct loop *loop); /* until loop_stop() */
void loop_stop(struct loop *loop);
struct mono loop_now(struct loop *loop); /* read once per pass */

/* One-shot timers, made unarmed. Arming an armed timer moves it. ms 0 = in the next pass. */
struct loop_timer *loop_timer_create(struct loop *loop, const char *name, loop_fn *fn, void *arg);
void loop_timer_arm(struct loop_timer *t, int64_t ms);
/* Arms for what need not be punctual: fires with the first pass in which something else happens
 * from min_ms on, and in max_ms at the latest. So it wakes nobody up who wakes up anyhow. */
void loop_timer_arm_within(struct loop_timer *t, int64_t min_ms, int64_t max_ms);
void loop_timer_disarm(struct loop_timer *t);
bool loop_timer_armed(const struct loop_timer *t);
void loop_timer_destroy(struct loop_timer *t); /* NULL is fine */

/* Level-triggered descriptor watch; events may be 0 (paused). Remove it before closing the
 * descriptor. */
struct loop_watch *loop_watch_create(
    struct loop *loop, int fd, unsigned int events, loop_fd_fn *fn, void *arg);
/* Other events from now on; for tests alone so far. */
void loop_watch_set(struct loop_watch *w, unsigned int events);
void loop_watch_destroy(struct loop_watch *w); /* NULL is fine; does not close the descriptor */

/* Kept until the loop is destroyed. */
void loop_signal(struct loop *loop, int signo, loop_signal_fn *fn, void *arg);

/* Frees obj with fn after this pass (in destroy at the latest). */
void loop_defer_free(struct loop *loop, void *obj, loop_fn *fn);

/* Largest thread CPU time a pass has used so far, in microseconds. */
uint64_t loop_max_pass_us(const struct loop *loop);

/* Only stream.c and httpd.c call this, which build bufferevents and evhttp on it. */
struct event_base *loop_base(struct loop *loop);

#endif
