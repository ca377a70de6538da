/* SPDX-License-Identifier: Apache-2.0 */
/* A line on a terminal that says how far something is: it appears when that takes long, is drawn
 * again twice a second, and is cleaned away in the end. */
#ifndef VOGELER_TICKER_H
#define VOGELER_TICKER_H

struct loop;
struct ticker;

/* Asked when the line is drawn; malloced. */
typedef char *ticker_text_fn(void *arg);

/* NULL when fd is no terminal that can be drawn on; what is below takes that. */
struct ticker *ticker_create(struct loop *loop, int fd, ticker_text_fn *fn, void *arg);
void ticker_destroy(struct ticker *t);

#endif
