/* SPDX-License-Identifier: Apache-2.0 */
/* See histogram.h. */
#include "bench/histogram.h"

#include "shared/base/xalloc.h"

#include <stdlib.h>

#define SUB (1U << HISTOGRAM_SUB_BITS)

static size_t
bucket_of(uint64_t us)
{
	unsigned int shift = 0;

	if (us < SUB)
		return (size_t)us;
	while ((us >> shift) >= 2 * SUB)
		shift++;
	return ((size_t)(shift + 1) << HISTOGRAM_SUB_BITS) + (size_t)((us >> shift) - SUB);
}

static uint64_t
bucket_from(size_t i)
{
	size_t row = i >> HISTOGRAM_SUB_BITS, column = i & (SUB - 1);

	return row == 0 ? column : (uint64_t)(column + SUB) << (row - 1);
}

void
histogram_record(struct histogram *h, uint64_t us)
{
	if (h->n == 0 || us < h->min)
		h->min = us;
	if (us > h->max)
		h->max = us;
	h->n++;
	if (us > HISTOGRAM_VALUE_MAX) {
		h->over++;
		us = HISTOGRAM_VALUE_MAX;
	}
	h->counts[bucket_of(us)]++;
}

uint64_t
histogram_quantile(const struct histogram *h, unsigned int permille)
{
	uint64_t want = (h->n * permille + 999) / 1000, seen = 0, value;
	size_t i;

	if (want == 0)
		want = 1;
	for (i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += h->counts[i];
		if (seen >= want)
			break;
	}
	if (i + 1 >= HISTOGRAM_BUCKETS || h->n == 0)
		return h->max;
	/* The top of the bucket: never less than what was measured. */
	value = bucket_from(i + 1) - 1;
	return value > h->max ? h->max : value;
}

json_t *
histogram_json(const struct histogram *h)
{
	json_t *buckets = json_array();
	json_t *all;

	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
		if (h->counts[i] > 0)
			json_array_append_new(
			    buckets, json_pack("[I,I]", (json_int_t)bucket_from(i),
					 (json_int_t)h->counts[i]));
	}
	all = json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:o}", "n", (json_int_t)h->n, "min_us",
	    (json_int_t)h->min, "p50_us", (json_int_t)histogram_quantile(h, 500), "p90_us",
	    (json_int_t)histogram_quantile(h, 900), "p99_us",
	    (json_int_t)histogram_quantile(h, 990), "p999_us",
	    (json_int_t)histogram_quantile(h, 999), "max_us", (json_int_t)h->max, "buckets",
	    buckets);
	if (all == NULL)
		xalloc_fail(0);
	return all;
}
