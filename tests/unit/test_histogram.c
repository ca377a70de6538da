/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "bench/histogram.h"

#include <stdlib.h>

static struct histogram *
new_histogram(void)
{
	return calloc(1, sizeof(struct histogram));
}

static void
empty(void **state)
{
	struct histogram *h = new_histogram();

	assert_int_equal(histogram_quantile(h, 500), 0);
	free(h);
}

static void
small_values_are_exact(void **state)
{
	struct histogram *h = new_histogram();

	for (uint64_t v = 1; v <= 100; v++)
		histogram_record(h, v);
	assert_int_equal(histogram_quantile(h, 500), 50);
	assert_int_equal(histogram_quantile(h, 990), 99);
	assert_int_equal(histogram_quantile(h, 1000), 100);
	assert_int_equal(h->min, 1);
	assert_int_equal(h->max, 100);
	free(h);
}

/* A quantile is never below what was measured, and at most 1/64 above. */
static void
error_is_bounded(void **state)
{
	for (uint64_t v = 1; v < HISTOGRAM_VALUE_MAX / 2; v = v * 17 / 11 + 1) {
		struct histogram *h = new_histogram();
		uint64_t got;

		histogram_record(h, v);
		histogram_record(h, HISTOGRAM_VALUE_MAX);
		got = histogram_quantile(h, 500);
		assert_true(got >= v);
		assert_true(got - v <= v / 64);
		free(h);
	}
}

static void
quantiles_rise_to_the_maximum(void **state)
{
	struct histogram *h = new_histogram();
	uint64_t last = 0;

	for (uint64_t i = 0; i < 5000; i++)
		histogram_record(h, i * i);
	for (unsigned int q = 1; q <= 1000; q++) {
		uint64_t v = histogram_quantile(h, q);

		assert_true(v >= last);
		last = v;
	}
	assert_int_equal(last, 4999 * 4999);
	free(h);
}

static void
values_beyond_the_end(void **state)
{
	struct histogram *h = new_histogram();

	histogram_record(h, UINT64_MAX);
	assert_int_equal(h->over, 1);
	assert_true(histogram_quantile(h, 500) == UINT64_MAX);
	free(h);
}

static void
json(void **state)
{
	struct histogram *h = new_histogram();
	json_t *all, *buckets;
	json_int_t sum = 0;
	size_t i;
	json_t *pair;

	for (uint64_t v = 0; v < 1000; v++)
		histogram_record(h, v * 1000);
	all = histogram_json(h);
	buckets = json_object_get(all, "buckets");
	json_array_foreach (buckets, i, pair)
		sum += json_integer_value(json_array_get(pair, 1));
	assert_int_equal(sum, 1000);
	assert_int_equal(json_integer_value(json_object_get(all, "max_us")), 999000);
	json_decref(all);
	free(h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(empty),
	    cmocka_unit_test(small_values_are_exact),
	    cmocka_unit_test(error_is_bounded),
	    cmocka_unit_test(quantiles_rise_to_the_maximum),
	    cmocka_unit_test(values_beyond_the_end),
	    cmocka_unit_test(json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
