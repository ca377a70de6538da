/* SPDX-License-Identifier: Apache-2.0 */
/* metrics: families, labels, numbers, a page that is full. */
#include "shared/monitor/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct buf page;
static struct metrics m;

static int
setup(void **state)
{
	buf_init(&page, 1000);
	metrics_init(&m, &page);
	return 0;
}

static int
teardown(void **state)
{
	buf_finish(&page);
	return 0;
}

static void
families_and_samples(void **state)
{
	metrics_family(&m, "vogeler_dead_total", METRICS_COUNTER, "Dead letters.");
	metrics_sample(&m, "reason", "oversize", 3);
	metrics_sample(&m, "reason", "malformed", UINT64_MAX);
	metrics_single(&m, "vogeler_held_bytes", METRICS_GAUGE, "Held.", 0);
	assert_false(m.failed);
	assert_string_equal(page.data,
	    "# HELP vogeler_dead_total Dead letters.\n"
	    "# TYPE vogeler_dead_total counter\n"
	    "vogeler_dead_total{reason=\"oversize\"} 3\n"
	    "vogeler_dead_total{reason=\"malformed\"} 18446744073709551615\n"
	    "# HELP vogeler_held_bytes Held.\n"
	    "# TYPE vogeler_held_bytes gauge\n"
	    "vogeler_held_bytes 0\n");
}

static void
scaled_numbers(void **state)
{
	metrics_family(&m, "s", METRICS_GAUGE, "S.");
	buf_reset(&page);
	metrics_scaled(&m, NULL, NULL, 1500, 3);
	metrics_scaled(&m, NULL, NULL, 7, 6);
	metrics_scaled(&m, NULL, NULL, 12000000, 6);
	assert_string_equal(page.data, "s 1.500\ns 0.000007\ns 12.000000\n");
}

static void
label_values_are_escaped(void **state)
{
	metrics_family(&m, "s", METRICS_GAUGE, "S.");
	buf_reset(&page);
	metrics_sample(&m, "l", "a\"b\\c\nd", 1);
	assert_string_equal(page.data, "s{l=\"a\\\"b\\\\c\\nd\"} 1\n");
}

static void
a_full_page_is_noticed(void **state)
{
	buf_finish(&page);
	buf_init(&page, 40);
	metrics_family(&m, "s", METRICS_GAUGE, "S.");
	assert_false(m.failed);
	metrics_sample(&m, "label", "a rather long value", 1);
	metrics_sample(&m, NULL, NULL, 1);
	assert_true(m.failed);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(families_and_samples, setup, teardown),
	    cmocka_unit_test_setup_teardown(scaled_numbers, setup, teardown),
	    cmocka_unit_test_setup_teardown(label_values_are_escaped, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_full_page_is_noticed, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
