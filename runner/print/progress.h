/* SPDX-License-Identifier: Apache-2.0 */
/* A line on a terminal that is drawn again and again: a bar, counts, rate, time left. At most five
 * times a second; cleaned away in the end. */
#ifndef VOGELER_PROGRESS_H
#define VOGELER_PROGRESS_H

#include "shared/store/fold.h"
#include <stdbool.h>
#include <stdint.h>

struct loop;
struct progress;

/* Asked when the line is drawn. */
typedef void progress_count_fn(struct fold_counts *out, void *arg);

/* NULL when fd is no terminal that can be drawn on; all below take that. */
struct progress *progress_create(
    struct loop *loop, int fd, bool color, progress_count_fn *fn, void *arg);
void progress_destroy(struct progress *p); /* the line is cleaned away */
/* The counts have changed. */
void progress_touch(struct progress *p);
/* The line is cleaned away, until it is drawn again. */
void progress_clear(struct progress *p);

struct progress_state {
	struct fold_counts counts;
	double rate; /* hosts a second; 0 = not known */
};
/* The line, of less than width columns; malloced. */
char *progress_text(const struct progress_state *s, unsigned int width, bool color);

#endif
