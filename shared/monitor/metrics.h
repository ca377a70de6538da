/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics as Prometheus reads them (text format 0.0.4). There is no registry: modules keep plain
 * counters, and whoever is asked for a page writes each family from them at that moment, so an
 * idle program does nothing for its metrics. */
#ifndef VOGELER_METRICS_H
#define VOGELER_METRICS_H

#include "shared/base/buf.h"
#include <stdbool.h>
#include <stdint.h>

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

enum metrics_type { METRICS_COUNTER, METRICS_GAUGE };
const char *metrics_type_name(enum metrics_type type);

struct metrics {
	struct buf *out;  /* borrowed */
	const char *name; /* of the family at hand */
	bool failed;      /* out is full: the page is of no use */
};

void metrics_init(struct metrics *m, struct buf *out);
/* A family: its samples follow. name and help are borrowed until the next family; help without
 * backslash and newline. */
void metrics_family(struct metrics *m, const char *name, enum metrics_type type, const char *help);
/* A sample of the family. label NULL: it has none. */
void metrics_sample(struct metrics *m, const char *label, const char *label_value, uint64_t value);
/* Adds one in a unit that is a power of ten smaller than the metric's: value / 10^decimals. */
void metrics_scaled(struct metrics *m, const char *label, const char *label_value, uint64_t value,
    unsigned int decimals);
/* A family of one sample without label. */
void metrics_single(
    struct metrics *m, const char *name, enum metrics_type type, const char *help, uint64_t value);

#endif
