/* SPDX-License-Identifier: Apache-2.0 */
/* A histogram of times whose buckets grow with the value (as in HDR histograms): each is told with
 * an error of less than 1/64, from a microsecond to half a day, in a few kilobytes. */
#ifndef VOGELER_BENCH_HISTOGRAM_H
#define VOGELER_BENCH_HISTOGRAM_H

#include <jansson.h>
#include <stdint.h>

/* Values below 2^6 have a bucket each; above, each power of two is cut into 64. */
#define HISTOGRAM_SUB_BITS  6
#define HISTOGRAM_VALUE_MAX ((UINT64_C(1) << 36) - 1) /* microseconds: 19 hours */
#define HISTOGRAM_BUCKETS   ((36 - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS)

struct histogram { /* zeroed memory is an empty one */
	uint64_t counts[HISTOGRAM_BUCKETS];
	uint64_t n;
	uint64_t min, max; /* as recorded, exact */
	uint64_t over;     /* of n: above HISTOGRAM_VALUE_MAX, kept in the last bucket */
};

void histogram_record(struct histogram *h, uint64_t us);
/* The value below or at which `permille` of 1000 recorded ones are; that of the last is the
 * maximum. 0 when nothing was recorded. */
uint64_t histogram_quantile(const struct histogram *h, unsigned int permille);
/* {"n":…, "min_us":…, "p50_us":…, "p90_us", "p99_us", "p999_us", "max_us",
 *  "buckets": [[from_us, count], …]}, buckets with something in them alone. */
json_t *histogram_json(const struct histogram *h);

#endif
