/* SPDX-License-Identifier: Apache-2.0 */
/* This brings what the runner itself learns of hosts (no queue, cancelled) to the ledger: gathered,
 * written in portions of a bounded size, tried again when the store is out of reach. */
#ifndef VOGELER_OUTCOME_WRITER_H
#define VOGELER_OUTCOME_WRITER_H

#include <stdbool.h>
#include <stddef.h>

struct outcome_writer;
struct loop;
struct outcome;
struct store;
struct trouble;

/* Called on the loop when all that was flushed is in the ledger, why being NULL; or when it was
 * given up. */
typedef void outcome_writer_fn(const struct trouble *why, void *arg);
/* store NULL: nothing is kept, and it is always settled. */
struct outcome_writer *outcome_writer_create(
    struct loop *loop, struct store *store, const char *job, outcome_writer_fn *fn, void *arg);
void outcome_writer_destroy(struct outcome_writer *b); /* after store_close(); NULL is fine */
void outcome_writer_add(struct outcome_writer *b, const struct outcome *o); /* copies */
void outcome_writer_flush(struct outcome_writer *b);
bool outcome_writer_settled(const struct outcome_writer *b); /* nothing waits */
/* Counts what was added and is not in the ledger: it waits, or was given up. */
size_t outcome_writer_missing(const struct outcome_writer *b);

#endif
