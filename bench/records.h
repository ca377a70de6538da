/* SPDX-License-Identifier: Apache-2.0 */
/* The records that a collector would write for the answers of a plan, one for each answer, made
 * with the collector's own conversion and the store's own record: what the ceilings write. */
#ifndef VOGELER_BENCH_RECORDS_H
#define VOGELER_BENCH_RECORDS_H

#include "shared/store/record.h"
#include <stddef.h>
#include <stdint.h>

struct plan;
struct records;

/* A document without a revision; one can be put in at rev_at. */
struct record_text {
	uint32_t host;
	char *text; /* malloced */
	size_t len;
	size_t rev_at;
};

struct records *records_create(const struct plan *p);
void records_destroy(struct records *r); /* NULL is fine */
/* Returns the record of host after its answer to job, which must not be before those that were
 * asked for already. */
struct record_text records_next(struct records *r, uint32_t host, uint32_t job);
/* Makes what that answer becomes; the caller's: convert_free(). */
size_t records_results(const struct plan *p, uint32_t host, uint32_t job, struct result ***results);

#endif
