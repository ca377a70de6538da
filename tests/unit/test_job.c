/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs as JSON and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/base/buf.h"
#include "shared/base/xalloc.h"
#include "shared/store/job.h"
#include "shared/wire/jsonx.h"
#include "tests/unit/assert_json.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define T0 INT64_C(1285467389609) /* 2010-09-26T02:16:29.609Z */

static void
ids(void **state)
{
	char longest[65];

	memset(longest, 'a', sizeof(longest) - 1);
	longest[63] = '\0';
	assert_true(job_id_ok("0192f0c1-7b7a-7000-8000-0123456789ab"));
	assert_true(job_id_ok(longest));
	longest[63] = 'a';
	longest[64] = '\0';
	assert_false(job_id_ok(longest));
	assert_false(job_id_ok(""));
	assert_false(job_id_ok("a/b"));
	assert_false(job_id_ok("a b"));
	assert_false(job_id_ok("\xc3\xa9"));
}

static void
a_job_as_json(void **state)
{
	static const char text[] =
	    "{\"doc_type\":\"Job\",\"id\":\"j-1\",\"plugin\":\"facter\",\"user\":\"ops\","
	    "\"login\":\"ann\",\"login_host\":\"admin01\",\"target\":\"web*\",\"rerun_of\":\"j-0\",\"sent_at\":\"2010-09-26T02:16:29.609Z\","
	    "\"not_after\":\"2010-10-03T02:16:29.609Z\",\"confirms\":true,\"hosts\":[\"web1\",\"web2\"]}";
	json_t *json = parse(text);
	char err[128];
	struct job j;

	assert_true(job_from_json(json, &j, err, sizeof(err)));
	json_decref(json);
	assert_string_equal(j.id, "j-1");
	assert_string_equal(j.plugin, "facter");
	assert_string_equal(j.user, "ops");
	assert_string_equal(j.login, "ann");
	assert_string_equal(j.login_host, "admin01");
	assert_string_equal(j.target, "web*");
	assert_string_equal(j.rerun_of, "j-0");
	assert_int_equal(j.sent_at, T0);
	assert_int_equal(j.not_after, T0 + INT64_C(7) * 24 * 3600 * 1000);
	assert_int_equal(j.n_hosts, 2);
	assert_json(job_to_json(&j), text);
	job_finish(&j);
}

static void
a_job_of_few_words(void **state)
{
	json_t *json = parse("{\"_id\":\"job/a\",\"_rev\":\"1-x\",\"id\":\"a\",\"plugin\":\"p\","
			     "\"hosts\":[\"c\",\"a\",\"b\",\"a\",\"c\"]}");
	char err[128];
	struct job j;

	assert_true(job_from_json(json, &j, err, sizeof(err)));
	json_decref(json);
	assert_null(j.user);
	assert_null(job_sender(&j)); /* as before 0.1.1 */
	assert_null(j.target);
	assert_null(j.rerun_of);
	assert_int_equal(j.sent_at, 0);
	assert_int_equal(j.not_after, 0);
	assert_json(job_to_json(&j),
	    "{\"doc_type\":\"Job\",\"id\":\"a\",\"plugin\":\"p\",\"hosts\":[\"a\",\"b\",\"c\"]}");
	job_finish(&j);
}

static void
what_is_no_job(void **state)
{
	static const char *const texts[] = {"[]", "{}", "{\"id\":\"a\",\"hosts\":[]}",
	    "{\"id\":\"a/b\",\"plugin\":\"p\",\"hosts\":[]}", "{\"id\":\"a\",\"plugin\":\"p\"}",
	    "{\"id\":\"a\",\"plugin\":\"p\",\"hosts\":{}}",
	    "{\"id\":\"a\",\"plugin\":\"p\",\"hosts\":[1]}",
	    "{\"id\":\"a\",\"plugin\":\"p\",\"hosts\":[\"good\",\"a b\"]}",
	    "{\"id\":\"a\",\"plugin\":\"p\",\"hosts\":[],\"sent_at\":\"now\"}",
	    "{\"id\":\"a\",\"plugin\":\"p\",\"hosts\":[],\"not_after\":12}"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		json_t *json = parse(texts[i]);
		char err[128] = "";
		struct job j;

		if (job_from_json(json, &j, err, sizeof(err)))
			fail_msg("%s was taken", texts[i]);
		assert_string_not_equal(err, "");
		assert_null(j.id);
		json_decref(json);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(ids),
	    cmocka_unit_test(a_job_as_json),
	    cmocka_unit_test(a_job_of_few_words),
	    cmocka_unit_test(what_is_no_job),
	};

	return cmocka_run_group_tests_name("job", tests, NULL, NULL);
}
