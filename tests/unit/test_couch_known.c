/* SPDX-License-Identifier: Apache-2.0 */
/* couch_known: jobs that are there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/buf.h"
#include "shared/store/couch/couch_known.h"

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static void
it_is_bounded_and_the_least_used_go(void **state)
{
	struct couch_known *k = couch_known_create();
	char id[32];

	couch_known_add(k, "used");
	for (int i = 0; i < 2 * COUCH_KNOWN_MAX; i++) {
		snprintf(id, sizeof(id), "job-%d", i);
		couch_known_add(k, id);
		assert_true(couch_known_has(k, "used"));
	}
	assert_int_equal(couch_known_count(k), COUCH_KNOWN_MAX);
	assert_false(couch_known_has(k, "job-0"));
	assert_true(couch_known_has(k, id));
	couch_known_clear(k);
	assert_false(couch_known_has(k, id));
	couch_known_destroy(k);
}

static bool
take(struct couch_known *k, const char *rows, json_t *there)
{
	char body[512];

	snprintf(body, sizeof(body), "{\"rows\":[%s]}", rows);
	return couch_known_take(k, body, strlen(body), there);
}

static void
what_is_there_is_read(void **state)
{
	struct couch_known *k = couch_known_create();
	json_t *jobs = json_object(), *there = json_object();
	struct buf body;

	json_object_set_new(jobs, "a", json_null());
	json_object_set_new(jobs, "b", json_null());
	buf_init(&body, 1000);
	assert_true(couch_known_ask(&body, jobs));
	assert_string_equal(body.data, "{\"keys\":[\"job/a\",\"job/b\"]}");
	assert_true(take(k,
	    "{\"key\":\"job/a\",\"id\":\"job/a\",\"value\":{\"rev\":\"1-x\"}},"
	    "{\"key\":\"job/b\",\"error\":\"not_found\"},"
	    "{\"key\":\"job/c\",\"id\":\"job/c\",\"value\":{\"rev\":\"2-x\",\"deleted\":true}}",
	    there));
	assert_int_equal(json_object_size(there), 1);
	assert_true(couch_known_has(k, "a"));
	assert_false(couch_known_has(k, "b"));
	assert_false(couch_known_has(k, "c"));
	/* Neither there nor not there. */
	assert_false(take(k, "{\"key\":\"job/b\",\"error\":\"timeout\"}", there));
	assert_false(couch_known_take(k, "[]", 2, there));
	buf_finish(&body);
	json_decref(jobs);
	json_decref(there);
	couch_known_destroy(k);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(it_is_bounded_and_the_least_used_go),
	    cmocka_unit_test(what_is_there_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
