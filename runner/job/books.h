/* What the runner itself learns of hosts (no queue, cancelled), on its way to the ledger: gathered,
 * written in portions of a bounded size, tried again when the store is out of reach. */
#ifndef VOGELER_BOOKS_H
#define VOGELER_BOOKS_H

#include <stdbool.h>
#include <stddef.h>

struct books;
struct loop;
struct outcome;
struct store;

/* On the loop, when all that was flushed is in the ledger; or with trouble, one sentence, when it
 * was given up. */
typedef void books_fn(const char *trouble, void *arg);
/* store NULL: nothing is kept, and it is always settled. */
struct books *books_create(
    struct loop *loop, struct store *store, const char *job, books_fn *fn, void *arg);
void books_destroy(struct books *b);                      /* after store_close(); NULL is fine */
void books_add(struct books *b, const struct outcome *o); /* copies */
void books_flush(struct books *b);
bool books_settled(const struct books *b); /* nothing waits */
/* How many of what was added are not in the ledger: they wait, or were given up. */
size_t books_missing(const struct books *b);

#endif
