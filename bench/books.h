/* Closing the books: every (host, job) that a plan expects is looked up in the ledger, and the
 * newest answer of each plugin of each host in its record. */
#ifndef VOGELER_BENCH_BOOKS_H
#define VOGELER_BENCH_BOOKS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct bench;
struct books;

struct books_counts {
	uint64_t expected; /* pairs of host and job */
	uint64_t ok;
	uint64_t lost;     /* nothing in the ledger */
	uint64_t doubled;  /* two different answers, or one of a host that was not to answer */
	uint64_t wrong;    /* an outcome other than ok */
	uint64_t repeated; /* the same answer more than once: harmless, it was delivered again */
	uint64_t values;   /* values expected in records */
	uint64_t missing;
	uint64_t stale; /* not the newest one that was sent */
};
bool books_close(const struct books_counts *c); /* whether they do */

typedef void books_fn(const struct books_counts *c, void *arg);

/* fn is called once, or bench_fail() when the store does not answer. `extra` jobs more than there
 * were are looked for. */
struct books *books_create(struct bench *b, uint32_t extra, books_fn *fn, void *arg);
void books_destroy(struct books *k); /* after store_close; NULL is fine */
void books_start(struct books *k);
json_t *books_json(const struct books_counts *c);

#endif
