/* SPDX-License-Identifier: Apache-2.0 */
/* How large the records of hosts may be by now, in memory: to add up what is stored of a host costs
 * a page for each of its plugins, and nearly all records are far from the limit. */
#ifndef VOGELER_SQLITE_SIZES_H
#define VOGELER_SQLITE_SIZES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero is a good start. */
struct sqlite_sizes {
	struct sqlite_size *of; /* by the host's number, modulo their count; NULL = none */
	size_t n;               /* a power of two */
	int64_t data_version;   /* of the file: with another one, others have written to it */
};
void sqlite_sizes_finish(struct sqlite_sizes *s);

/* Inside a transaction of a put, once, before all others. */
void sqlite_sizes_begin(struct sqlite_sizes *s, int64_t data_version);
/* Says whether the host's record, `grown` larger, is surely not larger than max. A write that is
 * undone has only made it surer. */
bool sqlite_sizes_fit(struct sqlite_sizes *s, int64_t host, uint64_t grown, uint64_t max);
/* The record has so many bytes. */
void sqlite_sizes_set(struct sqlite_sizes *s, int64_t host, uint64_t bytes);

#endif
