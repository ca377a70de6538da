/* SPDX-License-Identifier: Apache-2.0 */
/* This finds whether the clocks that a job has met agree. Its not_after is of the one that sent it,
 * an answer's time of the collector's: what is said of "expired" is as good as the two. Pure. */
#ifndef VOGELER_CLOCKS_H
#define VOGELER_CLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct job;
struct outcome;

#define CLOCKS_MAX_MS    (INT64_C(60) * 1000) /* less may be the way of an answer */
#define CLOCKS_TEXT_SIZE 256

/* now_ms: here. true: they differ by more than CLOCKS_MAX_MS, as o shows, and text says so. */
bool clocks_differ(
    const struct job *job, const struct outcome *o, int64_t now_ms, char text[CLOCKS_TEXT_SIZE]);

#endif
