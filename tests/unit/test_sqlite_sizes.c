/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/store/sqlite/sqlite_sizes.h"

#include <cmocka.h>
#include <stdlib.h>

static const uint64_t MIB = 1024 * 1024;

static void
only_what_was_looked_at_fits(void **state)
{
	struct sqlite_sizes s = {0};

	(void)state;
	assert_false(sqlite_sizes_fit(&s, 1, 1, MIB));
	sqlite_sizes_set(&s, 1, 1000);
	assert_true(sqlite_sizes_fit(&s, 1, 1, MIB));
	assert_false(sqlite_sizes_fit(&s, 2, 1, MIB));
	sqlite_sizes_begin(&s, 7); /* others have written */
	assert_false(sqlite_sizes_fit(&s, 1, 1, MIB));
	sqlite_sizes_set(&s, 1, 1000);
	sqlite_sizes_begin(&s, 7);
	assert_true(sqlite_sizes_fit(&s, 1, 1, MIB));
	sqlite_sizes_finish(&s);
}

static void
limits_and_large_numbers_are_taken(void **state)
{
	struct sqlite_sizes s = {0};

	(void)state;
	sqlite_sizes_set(&s, 1, MIB);
	assert_false(sqlite_sizes_fit(&s, 1, 1, MIB));
	assert_true(sqlite_sizes_fit(&s, 1, 1, 2 * MIB)); /* the limit was raised */
	assert_false(sqlite_sizes_fit(&s, 1, INT64_MAX, MIB));
	sqlite_sizes_set(&s, INT64_MAX, 1);
	assert_false(sqlite_sizes_fit(&s, INT64_MAX, 1, MIB));
	sqlite_sizes_set(&s, 1, UINT64_MAX / 2);
	assert_false(sqlite_sizes_fit(&s, 1, 1, UINT64_MAX));
	sqlite_sizes_finish(&s);
}

/* Against a model: what is said to fit does, also of hosts that share a place; and what is far from
 * the limit is not looked at each time. */
static void
what_fits_is_not_larger(void **state)
{
	enum { HOSTS = 64 };
	struct sqlite_sizes s = {0};
	uint64_t bytes[HOSTS] = {0};
	unsigned int seed = 3, looks = 0, puts = 0;

	(void)state;
	for (int i = 0; i < 100000; i++) {
		unsigned int h = (unsigned int)rand_r(&seed) % HOSTS;
		/* Every second one has the place of another. */
		int64_t host = h % 2 == 0 ? h + 1 : (int64_t)h + 256 * 1024;
		uint64_t grown = (uint64_t)rand_r(&seed) % 900 + 1;

		puts++;
		if (sqlite_sizes_fit(&s, host, grown, MIB)) {
			assert_true(bytes[h] + grown <= MIB);
		} else {
			looks++;
			sqlite_sizes_set(&s, host, bytes[h] + grown);
		}
		if (bytes[h] + grown <= MIB)
			bytes[h] += grown;
		if (rand_r(&seed) % 2000 == 0)
			bytes[h] /= 2;
	}
	assert_in_range(looks, 1, puts / 2);
	sqlite_sizes_finish(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(only_what_was_looked_at_fits),
	    cmocka_unit_test(limits_and_large_numbers_are_taken),
	    cmocka_unit_test(what_fits_is_not_larger),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
