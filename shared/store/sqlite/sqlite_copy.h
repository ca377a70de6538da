/* SPDX-License-Identifier: Apache-2.0 */
/* A whole copy of the file behind sqlite://, while others write to it, slice by slice so that a
 * loop can turn in between: SQLite's online backup (https://www.sqlite.org/backup.html) of one
 * moment, held by a read transaction, since a writer would make it begin anew again and again. A
 * copy of the file alone lacks what is still in the log beside it. */
#ifndef VOGELER_SQLITE_COPY_H
#define VOGELER_SQLITE_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sqlite_copy;
struct trouble;

enum sqlite_copy_result { SQLITE_COPY_MORE, SQLITE_COPY_DONE, SQLITE_COPY_FAILED };

/* from: a store of Vogeler's, whole (PRAGMA quick_check); the file that nobody else writes into is
 * looked through first. to: made with mode 0640, or a store of Vogeler's whose content is replaced
 * in one transaction. NULL: why says what was tried, where it failed and the cure. */
struct sqlite_copy *sqlite_copy_create(
    const char *from, const char *to, bool replace, struct trouble *why);
/* The next slice. FAILED: why says it; to is as it was, or not there. */
enum sqlite_copy_result sqlite_copy_step(struct sqlite_copy *c, struct trouble *why);
/* Bytes copied, and of all. */
void sqlite_copy_progress(const struct sqlite_copy *c, int64_t *done, int64_t *all);
/* Frees it, and undoes it before DONE. NULL is fine. */
void sqlite_copy_destroy(struct sqlite_copy *c);

#endif
