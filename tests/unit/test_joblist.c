/* SPDX-License-Identifier: Apache-2.0 */
/* The list of jobs: table, ids, JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "runner/print/joblist.h"
#include "shared/base/xalloc.h"

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static void
add(struct joblist *l, const char *id, const char *target, size_t ok, size_t queued)
{
	struct job job = {
	    .id = xstrdup(id),
	    .plugin = xstrdup("ps"),
	    .target = xstrdup_null(target),
	    .sent_at = 1700000000000,
	};
	struct fold_counts *c;

	joblist_add(l, &job);
	c = &l->jobs[l->n - 1].counts;
	c->targets = ok + queued;
	c->by[OUTCOME_OK] = ok;
	c->by[OUTCOME_QUEUED] = c->open = queued;
	job_finish(&job);
}

static int
setup(void **state)
{
	struct joblist *l = calloc(1, sizeof(*l));

	l->now_ms = 1700000000000 + 3 * 60000 + 7000;
	add(l, "job-2", "web*\033[2J", 1000, 13);
	l->jobs[0].job.login = xstrdup("ann");
	l->jobs[0].job.login_host = xstrdup("admin01");
	add(l, "job-1", NULL, 0, 0);
	*state = l;
	return 0;
}

static int
teardown(void **state)
{
	joblist_finish(*state);
	free(*state);
	return 0;
}

static char *
print(const struct joblist *l, const struct output_options *opt)
{
	char *text = NULL;
	size_t size;
	FILE *out = xmemstream(&text, &size);

	joblist_print(out, opt, l);
	fclose(out);
	return text;
}

static void
a_table(void **state)
{
	struct output_options opt = {0};
	char *text = print(*state, &opt);

	assert_string_equal(text,
	    "JOB   SENT                       AGE BY          PLUGIN TARGET      HOSTS STATES\n"
	    "job-2 2023-11-14T22:13:20Z 3 min ago ann@admin01 ps     web*\\x1b[2J  1013 "
	    "1000 ok + 13 queued\n"
	    "job-1 2023-11-14T22:13:20Z 3 min ago -           ps     -               0 -\n");
	free(text);
}

static void
ids_alone(void **state)
{
	struct output_options opt = {.quiet = true};
	char *text = print(*state, &opt);

	assert_string_equal(text, "job-2\njob-1\n");
	free(text);
}

static void
json_whole_and_in_lines(void **state)
{
	struct output_options opt = {.format = OUTPUT_JSON};
	char *text = print(*state, &opt);
	json_t *json = json_loads(text, 0, NULL), *job;

	free(text);
	assert_string_equal(json_string_value(json_object_get(json, "kind")), "jobs");
	assert_int_equal(json_array_size(json_object_get(json, "jobs")), 2);
	job = json_array_get(json_object_get(json, "jobs"), 0);
	assert_string_equal(json_string_value(json_object_get(job, "kind")), "summary");
	assert_string_equal(json_string_value(json_object_get(job, "job")), "job-2");
	assert_int_equal(json_integer_value(json_object_get(job, "exit_status")), 3);
	assert_null(json_object_get(job, "hosts"));
	json_decref(json);
	opt.format = OUTPUT_JSONL;
	text = print(*state, &opt);
	assert_non_null(strstr(text, "}\n{\"kind\":\"summary\",\"job\":\"job-1\""));
	free(text);
}

static void
nothing_to_list(void **state)
{
	struct output_options opt = {.format = OUTPUT_JSONL};
	struct joblist none = {0};
	char *text = print(&none, &opt);

	assert_string_equal(text, "");
	free(text);
	opt.format = OUTPUT_TEXT;
	text = print(&none, &opt);
	assert_null(strstr(text, "job-"));
	free(text);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(a_table),
	    TEST(ids_alone),
	    TEST(json_whole_and_in_lines),
	    TEST(nothing_to_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
