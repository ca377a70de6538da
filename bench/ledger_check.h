/* SPDX-License-Identifier: Apache-2.0 */
/* Closing the books: every (host, job) that a plan expects is looked up in the ledger, and the
 * newest answer of each plugin of each host in its record. */
#ifndef VOGELER_BENCH_LEDGER_CHECK_H
#define VOGELER_BENCH_LEDGER_CHECK_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct bench;
struct ledger_check;

struct ledger_check_counts {
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
bool ledger_check_close(const struct ledger_check_counts *c); /* whether they do */

typedef void ledger_check_fn(const struct ledger_check_counts *c, void *arg);

/* fn is called once, or bench_fail() when the store does not answer. `extra` jobs more than there
 * were are looked for. */
struct ledger_check *ledger_check_create(
    struct bench *b, uint32_t extra, ledger_check_fn *fn, void *arg);
void ledger_check_destroy(struct ledger_check *k); /* after store_close; NULL is fine */
void ledger_check_start(struct ledger_check *k);
json_t *ledger_check_json(const struct ledger_check_counts *c);

#endif
