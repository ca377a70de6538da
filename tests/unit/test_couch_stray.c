/* SPDX-License-Identifier: Apache-2.0 */
/* couch_stray: which outcomes of unknown jobs stay, and which go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/buf.h"
#include "shared/store/couch/couch_stray.h"

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define T0 INT64_C(1285481789609)

static void
add(struct couch_stray *s, const char *job, int64_t at)
{
	struct outcome o;
	json_t *json;

	outcome_init(&o);
	o.host = couch_stray_host(s);
	o.state = OUTCOME_OK;
	o.at = T0 + at;
	o.order = at;
	json = outcome_to_json(&o);
	couch_stray_add(s, job, json);
	json_decref(json);
}

static const char *
job_at(const struct couch_stray *s, size_t i)
{
	return json_string_value(json_object_get(json_array_get(s->entries, i), "job"));
}

static void
fill(struct couch_stray *s, size_t n)
{
	char job[32];

	couch_stray_init(s, "web01");
	for (size_t i = 0; i < n; i++) {
		snprintf(job, sizeof(job), "job-%03zu", i);
		add(s, job, 1000 + (int64_t)i);
	}
}

static void
the_oldest_go(void **state)
{
	struct couch_stray s;
	json_t *none = json_object(), *jobs = json_object();

	fill(&s, OUTCOME_STRAYS_MAX);
	assert_int_equal(couch_stray_trim(&s, none), 0);
	add(&s, "later", 5000);
	add(&s, "earlier", 1); /* than all others, though it came last */
	couch_stray_over(&s, jobs);
	assert_int_equal(json_object_size(jobs), 2);
	assert_non_null(json_object_get(jobs, "earlier"));
	assert_non_null(json_object_get(jobs, "job-000"));
	assert_int_equal(couch_stray_trim(&s, none), 2);
	assert_int_equal(json_array_size(s.entries), OUTCOME_STRAYS_MAX);
	assert_string_equal(job_at(&s, 0), "job-001");
	assert_string_equal(job_at(&s, OUTCOME_STRAYS_MAX - 1), "later");
	json_decref(none);
	json_decref(jobs);
	couch_stray_finish(&s);
}

static void
the_same_takes_no_second_place(void **state)
{
	struct couch_stray s;

	fill(&s, 2);
	add(&s, "job-001", 1001);
	assert_int_equal(json_array_size(s.entries), 2);
	add(&s, "job-001", 1002); /* another order: another answer */
	assert_int_equal(json_array_size(s.entries), 3);
	couch_stray_finish(&s);
}

/* A job that came after its answer keeps it, and it takes no place of the others. */
static void
what_is_late_stays(void **state)
{
	struct couch_stray s;
	json_t *there = json_object(), *none = json_object(), *jobs = json_object();

	json_object_set_new(there, "job-000", json_null());
	fill(&s, OUTCOME_STRAYS_MAX + 2);
	assert_int_equal(couch_stray_trim(&s, there), 1);
	assert_string_equal(job_at(&s, 0), "job-000");
	assert_string_equal(job_at(&s, 1), "job-002");
	assert_int_equal(json_array_size(s.entries), OUTCOME_STRAYS_MAX + 1);
	couch_stray_over(&s, jobs); /* it is not asked for again */
	assert_int_equal(json_object_size(jobs), 0);
	add(&s, "next", 9000);
	assert_int_equal(couch_stray_trim(&s, none), 1);
	assert_string_equal(job_at(&s, 0), "job-000");
	json_decref(there);
	json_decref(none);
	json_decref(jobs);
	couch_stray_finish(&s);
}

static void
what_is_old_goes_with_its_job(void **state)
{
	struct couch_stray s;
	json_t *there = json_object(), *jobs = json_object();
	struct buf text;

	fill(&s, 4);
	couch_stray_before(&s, "2010-09-26T06:16:30.612Z", jobs);
	assert_int_equal(json_object_size(jobs), 3);
	json_object_set_new(there, "job-001", json_null());
	assert_int_equal(couch_stray_forget(&s, "2010-09-26T06:16:30.612Z", there), 2);
	assert_string_equal(job_at(&s, 0), "job-001");
	assert_string_equal(job_at(&s, 1), "job-003");
	json_object_clear(there);
	assert_int_equal(couch_stray_forget(&s, "2011-01-01T00:00:00.000Z", there), 2);
	buf_init(&text, 1000);
	assert_true(couch_stray_write(&text, &s)); /* nothing is left of it */
	assert_non_null(strstr(text.data, "\"_deleted\":true"));
	buf_finish(&text);
	json_decref(there);
	json_decref(jobs);
	couch_stray_finish(&s);
}

static void
on_outcome(const struct outcome *o, void *arg)
{
	size_t *n = arg;

	++*n;
	assert_string_equal(o->host, "web01");
	assert_int_equal(o->order, 1001);
	assert_int_equal(o->at, T0 + 1001);
}

static void
what_is_written_is_read(void **state)
{
	static const char other[] = "{\"_id\":\"web01\",\"_rev\":\"1-a\"}";
	struct couch_stray s, read = {0};
	struct jspan doc;
	struct buf text;
	size_t n = 0;

	fill(&s, 3);
	buf_init(&text, 10000);
	s.rev = strdup("3-x");
	assert_true(couch_stray_write(&text, &s));
	assert_true(jspan_value(text.data, text.len, &doc));
	assert_true(couch_stray_parse(&read, doc));
	assert_string_equal(read.rev, "3-x");
	couch_stray_each(&read, "job-001", on_outcome, &n);
	assert_int_equal(n, 1);
	/* Not ours, and no reason to stop. */
	assert_true(jspan_value(other, strlen(other), &doc));
	assert_false(couch_stray_parse(&read, doc));
	assert_string_equal(read.id, "stray/web01");
	buf_finish(&text);
	couch_stray_finish(&s);
	couch_stray_finish(&read);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_oldest_go),
	    cmocka_unit_test(the_same_takes_no_second_place),
	    cmocka_unit_test(what_is_late_stays),
	    cmocka_unit_test(what_is_old_goes_with_its_job),
	    cmocka_unit_test(what_is_written_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
