/* SPDX-License-Identifier: Apache-2.0 */
/* Takes old jobs, and their outcomes, out of the ledger ([persistence] job_ttl): at start, and then
 * every hour. Removes little at a time, so that answers are not held up; when the store is away, or
 * refuses, it comes again. Several collectors may do so side by side.
 *
 * A clock that is wrong must not cost the ledger: the time of the newest job is another's, so
 * nothing is removed while the two differ by more than a day, which is told, and never more than
 * that job's time allows. On a site where no job was sent for so long nothing grows either. */
#ifndef VOGELER_PRUNE_H
#define VOGELER_PRUNE_H

#include <stdint.h>

#define PRUNE_INTERVAL_MS (INT64_C(60) * 60 * 1000)
#define PRUNE_CLOCKS_MS   (INT64_C(24) * 60 * 60 * 1000)
#define PRUNE_PAUSE_MS    100 /* between two calls, while there is more */

struct loop;
struct prune;
struct store;

/* Borrows store until prune_destroy. ttl_s: 0 = keep all. */
struct prune *prune_create(struct loop *loop, struct store *store, uint32_t ttl_s);
void prune_set_ttl(struct prune *p, uint32_t ttl_s); /* as from now */
/* An answer of the store may be under way: close that first. */
void prune_destroy(struct prune *p); /* NULL is fine */

#endif
