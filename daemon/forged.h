/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps the book of answers that nobody vouches for (shared/store/forgeries.h) in the store: the
 * first at once, then what has come since every ten seconds, since any sender decides how many
 * there are. What was refused in the last seconds before the end may be missing in it. */
#ifndef VOGELER_DAEMON_FORGED_H
#define VOGELER_DAEMON_FORGED_H

#include <stdbool.h>

struct forged;
struct loop;
struct store;

#define FORGED_NOTE_MS 10000 /* between two notes */

struct forged *forged_create(struct loop *loop, struct store *store);
/* After store_close(). NULL is fine. */
void forged_destroy(struct forged *f);
/* sender: the user, NULL = it is not named. untold: its job does not know of it. */
void forged_saw(struct forged *f, const char *sender, const char *why, bool untold);

#endif
