/* SPDX-License-Identifier: Apache-2.0 */
/* Takes old values out of the history ([history] keep): some time after the start, and then every
 * hour, a little at a time, so that answers are not held up; when the store is away, or refuses, it
 * comes again. Several collectors may do so side by side. */
#ifndef VOGELER_RETENTION_H
#define VOGELER_RETENTION_H

#include "shared/config/options.h"

#define RETENTION_FIRST_MS    (INT64_C(60) * 1000) /* after the start: the backlog comes first */
#define RETENTION_INTERVAL_MS (INT64_C(60) * 60 * 1000)
#define RETENTION_PAUSE_MS    200 /* between two calls, while there is more */

struct loop;
struct retention;
struct store;

/* Borrows store until retention_destroy. Does nothing with a store that has no history. */
struct retention *retention_create(
    struct loop *loop, struct store *store, const struct options_keep *keep);
void retention_set_keep(struct retention *r, const struct options_keep *keep); /* as from now */
/* An answer of the store may be under way: close that first. */
void retention_destroy(struct retention *r); /* NULL is fine */

#endif
