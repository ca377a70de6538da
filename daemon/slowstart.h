/* SPDX-License-Identifier: Apache-2.0 */
/* Something that was in hand when a collector died may have killed it. So after a start those that
 * come back (redelivered) are not all read at once: this says when each is let go. Pure: no loop,
 * no I/O; time and random numbers are given.
 *
 * One that came back waits, with all that is of its host and comes after it, until nothing else is
 * in hand; then one is let go, then two, then four. So a killer takes few others along. Which one
 * is chosen at random: the killer may be the first in its queue, and if the order were the queue's
 * no life of the collector would get any further than the last one. What comes for the first time
 * goes ahead, and then in turns with the others: when the next life begins it is stored.
 *
 *   nothing came back: each goes at once
 *   something did:     new ones | 1 | new ones | 2 | new ones | 4 | ... until none waits
 *
 * After SLOWSTART_CLEAN that are done, and with none that waits, all is over until the next start:
 * what comes back later comes back from a lost connection, or from another collector. */
#ifndef VOGELER_SLOWSTART_H
#define VOGELER_SLOWSTART_H

#include "shared/base/mono.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SLOWSTART_CLEAN     100
#define SLOWSTART_SETTLE_MS 100   /* the others of the queue arrive */
#define SLOWSTART_PAUSE_MS  10    /* the acks of the last lot leave */
#define SLOWSTART_LOT_MS    10000 /* a lot that takes longer kills nobody: the next one goes too */

struct slowstart;

struct slowstart *slowstart_create(void);
void slowstart_destroy(struct slowstart *s); /* NULL is fine */

/* false: it goes at once. true: it waits, and slowstart_next() gives it back. Either way
 * slowstart_done() is due once it has gone, until slowstart_clear(). Borrows owner. */
bool slowstart_add(
    struct slowstart *s, const char *host, bool redelivered, void *owner, struct mono now);
/* The next one that goes now, NULL = none. lot: that is the first of a lot of so many that came
 * back, else 0. */
void *slowstart_next(struct slowstart *s, struct mono now, uint32_t random, size_t *lot);
/* One that has gone is done: stored, or known as poison. */
void slowstart_done(struct slowstart *s, struct mono now);
/* Returns in how many ms to ask slowstart_next(); -1 = when something happens. */
int64_t slowstart_wait_ms(const struct slowstart *s, struct mono now);

/* Any one that waits, for its owner to drop; NULL = none. */
void *slowstart_drop(struct slowstart *s);
/* Forgets those that wait and those that have gone. What was learnt stays. */
void slowstart_clear(struct slowstart *s);

size_t slowstart_waiting(const struct slowstart *s);
bool slowstart_is_over(const struct slowstart *s);

#endif
