/* SPDX-License-Identifier: Apache-2.0 */
/* null:// keeps nothing, but answers as the others do. */
#include "shared/base/ident.h"
#include "tests/unit/store_drive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static int
begin(void **state)
{
	static struct fixture s;

	drive_open(&s, "null://", DRIVE_RECORD_MAX);
	*state = &s;
	return 0;
}

static int
end(void **state)
{
	drive_close(*state);
	return 0;
}

static void
takes_all_and_keeps_nothing(void **state)
{
	struct fixture *s = *state;
	json_t *all;

	drive_setup(s, "not used by null://");
	assert_int_equal(
	    drive_put(s, "h", drive_good("ps", "1", 1, 0), drive_failed("df", "boom", 2, 0), NULL),
	    STORE_OK);
	drive_expect(s, "h", NULL);
	all = drive_list(s);
	assert_int_equal(json_array_size(all), 0);
	json_decref(all);
	all = drive_heads(s);
	assert_int_equal(json_array_size(all), 0);
	json_decref(all);
}

static void
a_batch_is_answered_write_by_write(void **state)
{
	struct fixture *s = *state;
	struct result *results[] = {drive_good("ps", "1", 1, 0)};
	struct store_write writes[3];
	enum store_status statuses[3];
	int i;

	for (i = 0; i < 3; i++) {
		drive_write_init(&writes[i], "h", results, 1);
		statuses[i] = STORE_REJECT;
	}
	drive_put_batch(s, writes, 3, statuses, NULL);
	for (i = 0; i < 3; i++)
		assert_int_equal(statuses[i], STORE_OK);
	drive_results_free(results, 1);
}

static void
not_called(enum store_found found, json_t *rec, const struct trouble *why, void *arg)
{
	fail_msg("answered after close");
}

/* end() closes with a question open. */
static void
closing_forgets_what_is_open(void **state)
{
	struct fixture *s = *state;

	store_get(s->store, "h", not_called, NULL);
}

#define NULL_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    NULL_TEST(takes_all_and_keeps_nothing),
	    NULL_TEST(a_batch_is_answered_write_by_write),
	    NULL_TEST(closing_forgets_what_is_open),
	};

	ident_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
