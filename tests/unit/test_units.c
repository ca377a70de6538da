/* SPDX-License-Identifier: Apache-2.0 */
/* units: durations and sizes, both ways. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "shared/base/units.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static void
durations(void **state)
{
	const struct {
		const char *text;
		uint64_t ms;
		const char *back;
	} rows[] = {{"500ms", 500, "500ms"}, {"10s", 10000, "10s"}, {"5min", 300000, "5min"},
	    {"1h", 3600000, "1h"}, {"7d", 604800000, "7d"}, {"60s", 60000, "1min"},
	    {"90 s", 90000, "90s"}, {"00", 0, "0s"}, {"0", 0, "0s"}, {"0ms", 0, "0s"}};
	const char *const bad[] = {"", "s", "-1s", "+1s", "1.5s", " 1s", "1s ", "1m", "1S", "1sec",
	    "0x10s", "99999999999999999999s", "18446744073709551615s", "1s1", "30"};
	char out[UNITS_TEXT_SIZE], ask[UNITS_ASK_SIZE];
	uint64_t v = 7;

	for (size_t i = 0; i < N(bad); i++) {
		if (units_parse_ms(bad[i], &v))
			fail_msg("\"%s\" passed", bad[i]);
	}
	assert_true(v == 7);
	assert_string_equal(units_ask("5", ask), "5 what? Write 5s, 5min, 5h or 5d");
	assert_null(units_ask("0", ask));
	assert_null(units_ask("5s", ask));
	assert_null(units_ask("", ask));
	for (size_t i = 0; i < N(rows); i++) {
		assert_true(units_parse_ms(rows[i].text, &v));
		assert_true(v == rows[i].ms);
		assert_string_equal(units_format_ms(v, out), rows[i].back);
		assert_true(units_parse_ms(out, &v) && v == rows[i].ms);
	}
}

static void
sizes(void **state)
{
	const struct {
		const char *text;
		uint64_t bytes;
		const char *back;
	} rows[] = {{"256KiB", 262144, "256KiB"}, {"4MiB", 4194304, "4MiB"},
	    {"1GiB", 1073741824, "1GiB"}, {"1024", 1024, "1KiB"}, {"1500B", 1500, "1500B"},
	    {"2K", 2048, "2KiB"}, {"16 M", 16777216, "16MiB"}, {"0", 0, "0B"},
	    {"18446744073709551615", UINT64_MAX, "18446744073709551615B"}};
	const char *const bad[] = {"", "KiB", "-1", "1kB", "1MB", "1.5MiB", "18446744073709551616",
	    "18014398509481984KiB", "1 MiB x"};
	char out[UNITS_TEXT_SIZE];
	uint64_t v = 7;

	for (size_t i = 0; i < N(bad); i++) {
		if (units_parse_bytes(bad[i], &v))
			fail_msg("\"%s\" passed", bad[i]);
	}
	for (size_t i = 0; i < N(rows); i++) {
		assert_true(units_parse_bytes(rows[i].text, &v));
		assert_true(v == rows[i].bytes);
		assert_string_equal(units_format_bytes(v, out), rows[i].back);
	}
}

static void
counts(void **state)
{
	uint64_t v = 7;

	assert_true(units_parse_count("65535", 65535, &v));
	assert_true(v == 65535);
	assert_false(units_parse_count("65536", 65535, &v));
	assert_false(units_parse_count("1s", 65535, &v));
	assert_false(units_parse_count("", 65535, &v));
	assert_true(v == 65535);
}

static void
assert_span(int64_t ms, const char *expected)
{
	char text[UNITS_SPAN_SIZE];

	assert_string_equal(units_span(ms, text), expected);
}

static void
spans(void **state)
{
	assert_span(-5, "0 s");
	assert_span(999, "0 s");
	assert_span(59999, "59 s");
	assert_span(60000, "1 min");
	assert_span(245000, "4 min 5 s");
	assert_span(3600000, "1 h");
	assert_span(3659000, "1 h");
	assert_span(604799000, "6 d 23 h");
	assert_span(604800000, "7 d");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(durations),
	    cmocka_unit_test(sizes),
	    cmocka_unit_test(counts),
	    cmocka_unit_test(spans),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
