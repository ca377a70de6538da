/* SPDX-License-Identifier: Apache-2.0 */
/* The order mark of responses: max(last + 1, wall clock in ms), never given twice, not
 * even after a crash or when the clock was set back.
 *
 * On disk is not the last mark but a ceiling above it: marks up to the ceiling may have been given,
 * so a life after a crash starts above it. The file is replaced (write, fsync, rename, fsync of the
 * folder) whenever a mark would pass the ceiling, which with a ceiling a minute ahead is once a
 * minute at most. A mark that is ahead of the clock has a ceiling that is only so many marks ahead:
 * an agent that crashes again and again does not run away from the clock. One that ends leaves the
 * last mark behind. */
#ifndef VOGELER_SEQUENCE_H
#define VOGELER_SEQUENCE_H

#include <stdbool.h>
#include <stdint.h>

#define SEQUENCE_AHEAD_MS    60000
#define SEQUENCE_AHEAD_MARKS 1000

struct sequence;
struct trouble;

/* A missing file is a first start; one that is torn or not ours is told at WARN, and the wall clock
 * alone counts. NULL: t names the path and says why (it cannot be read, or the folder cannot be
 * written: that is tried now, so that it shows at start). Only where there is no room it goes on,
 * as sequence_next() does. wallclock_ms: now. */
struct sequence *sequence_open(const char *path, int64_t wallclock_ms, struct trouble *t);
/* Marks of a host that is simulated: they are kept nowhere. */
struct sequence *sequence_in_memory(void);
/* Leaves the last mark on the disk, if that takes it. NULL is fine. */
void sequence_close(struct sequence *o);
/* The next mark. When the disk refuses the ceiling this is told at ERROR, once until it works
 * again, and marks go on: after a crash the clock has most likely passed them. */
int64_t sequence_next(struct sequence *o, int64_t wallclock_ms);
bool sequence_is_failing(const struct sequence *o); /* the disk refused the last ceiling */

/* The first line of a small file, without its end, for /etc/machine-id and
 * /proc/sys/kernel/random/boot_id; malloced. NULL if there is none. */
char *sequence_read_id(const char *path);

#endif
