/* SPDX-License-Identifier: Apache-2.0 */
/* The values of a job: those that it brought, each once, and why there is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "runner/print/values.h"
#include "shared/base/trouble.h"
#include "shared/event/loop.h"
#include "shared/store/fold.h"
#include "shared/store/job.h"
#include "shared/store/outcome.h"
#include "shared/store/store_backend.h"

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW       1000
#define ASKED_MAX 64

struct fixture {
	struct loop *loop;
	struct values *values;
	struct job job;
	struct output_options output;
	bool ended;
};

/* A store that answers when it is told to. */
static struct asked {
	char host[32];
	store_got_fn *fn;
	void *arg;
} asked[ASKED_MAX];
static size_t n_asked;

static void
fake_get(struct store *s, const char *host, store_got_fn *fn, void *arg)
{
	struct asked *a = &asked[n_asked++];

	assert_true(n_asked <= ASKED_MAX);
	snprintf(a->host, sizeof(a->host), "%s", host);
	a->fn = fn;
	a->arg = arg;
}

static const struct store_ops ops = {.scheme_text = "fake", .get = fake_get};
static struct store store = {.ops = &ops};

static const struct trouble out_of_reach = {TROUBLE_OTHER, "out of reach", ""};

/* The first one is answered. record: JSON; NULL = there is none. */
static void
answer(const char *host, enum store_found found, const char *record)
{
	struct asked first = asked[0];
	json_t *rec = record == NULL ? NULL : json_loads(record, 0, NULL);

	assert_true(n_asked > 0);
	assert_string_equal(first.host, host);
	n_asked--;
	memmove(asked, asked + 1, n_asked * sizeof(*asked));
	first.fn(found, rec, found == STORE_FAILED ? &out_of_reach : NULL, first.arg);
	json_decref(rec);
}

static void
on_print(void *arg)
{
}

static void
on_say(const char *text, void *arg)
{
}

static void
on_end(void *arg)
{
	struct fixture *w = arg;

	w->ended = true;
	loop_stop(w->loop);
}

static void
set_up(struct fixture *w, const char *path)
{
	static char id[] = "job-1", plugin[] = "os";
	struct values_request req = {.store = &store,
	    .job = &w->job,
	    .output = &w->output,
	    .on_print = on_print,
	    .on_say = on_say,
	    .on_gone = on_end,
	    .on_end = on_end,
	    .arg = w};

	*w = (struct fixture){.loop = loop_create()};
	job_init(&w->job);
	w->job.id = id;
	w->job.plugin = plugin;
	w->output = (struct output_options){.format = OUTPUT_JSON, .show_path = path};
	req.loop = w->loop;
	n_asked = 0;
	w->values = values_create(&req);
}

static void
take(struct fixture *w, struct fold *fold, const char *host, const char *why)
{
	struct outcome o;

	outcome_init(&o);
	o.host = host;
	o.state = OUTCOME_OK;
	o.response_id = "r";
	o.why = why;
	fold_add(fold, &o);
	values_take(w->values, &o);
}

static void
assert_said(struct fixture *w, const char *json)
{
	char *text;

	loop_run(w->loop);
	assert_true(w->ended);
	text = json_dumps(values_json(w->values), JSON_COMPACT);
	assert_string_equal(text, json);
	free(text);
	values_destroy(w->values);
	loop_destroy(w->loop);
}

#define RECORD(job) "{\"os\": {\"id\": 12}, \"vogeler\": {\"os\": {\"job\": \"" job "\"}}}"

static void
a_value_of_the_job_is_said_once(void **state)
{
	struct fixture w;
	struct fold *fold;

	set_up(&w, ".id");
	fold = fold_create(&w.job);
	take(&w, fold, "web01", NULL);
	answer("web01", STORE_FOUND, RECORD("job-1"));
	take(&w, fold, "web01", NULL);
	values_end(w.values, fold, NOW);
	assert_int_equal(n_asked, 0);
	assert_said(&w, "[{\"host\":\"web01\",\"value\":12,\"plugin\":\"os\"}]");
	fold_destroy(fold);
}

/* A notice may be forged, or come before a record that somebody else has read. */
static void
what_is_not_there_yet_is_looked_at_again(void **state)
{
	struct fixture w;
	struct fold *fold;

	set_up(&w, "");
	fold = fold_create(&w.job);
	take(&w, fold, "web01", NULL);
	take(&w, fold, "web02", NULL);
	answer("web01", STORE_FOUND, RECORD("job-0"));
	values_end(w.values, fold, NOW);
	answer("web02", STORE_MISSING, NULL); /* asked before the end: no last word */
	answer("web01", STORE_FOUND, RECORD("job-1"));
	answer("web02", STORE_FOUND, RECORD("job-1"));
	assert_false(values_have_trouble(w.values));
	assert_said(&w, "[{\"host\":\"web01\",\"value\":{\"id\":12},\"plugin\":\"os\"},"
			"{\"host\":\"web02\",\"value\":{\"id\":12},\"plugin\":\"os\"}]");
	fold_destroy(fold);
}

static void
why_there_is_none(void **state)
{
	struct fixture w;
	struct fold *fold;

	set_up(&w, "version");
	fold = fold_create(&w.job);
	take(&w, fold, "a", NULL);
	take(&w, fold, "b", NULL);
	take(&w, fold, "c", NULL);
	take(&w, fold, "d", NULL);
	take(&w, fold, "e", "not stored: older");
	for (int i = 0; i < 4; i++)
		answer((const char *[]){"a", "b", "c", "d"}[i], STORE_FAILED, NULL);
	values_end(w.values, fold, NOW);
	answer("a", STORE_FOUND, RECORD("job-2"));
	answer("b", STORE_MISSING, NULL);
	answer("c", STORE_FAILED, NULL);
	answer("d", STORE_FOUND, RECORD("job-1"));
	assert_true(values_have_trouble(w.values));
	assert_said(&w,
	    "[{\"host\":\"e\",\"error\":\"not stored: older\"},"
	    "{\"host\":\"a\",\"error\":\"answered, and a later answer of \\\"os\\\" has taken the "
	    "place of this one (job job-2)\"},"
	    "{\"host\":\"b\",\"error\":\"answered, and has no record any more: it was forgotten\"},"
	    "{\"host\":\"c\",\"error\":\"answered, and its record cannot be read: out of reach\"},"
	    "{\"host\":\"d\",\"error\":\"\\\"os\\\" has no version\",\"plugin\":\"os\"}]");
	fold_destroy(fold);
}

static void
few_records_are_read_at_once(void **state)
{
	struct fixture w;
	struct fold *fold;
	char host[16];

	set_up(&w, "id");
	fold = fold_create(&w.job);
	for (int i = 0; i < 30; i++) {
		snprintf(host, sizeof(host), "web%02d", i);
		take(&w, fold, host, NULL);
	}
	values_end(w.values, fold, NOW);
	while (n_asked > 0) {
		const struct asked first = asked[0];

		assert_true(n_asked <= 8);
		answer(first.host, STORE_FOUND, RECORD("job-1"));
	}
	loop_run(w.loop);
	assert_true(w.ended);
	assert_int_equal(json_array_size(values_json(w.values)), 30);
	values_destroy(w.values);
	loop_destroy(w.loop);
	fold_destroy(fold);
}

static void
cut_in_the_middle(void **state)
{
	struct fixture w;
	struct fold *fold;

	set_up(&w, "id");
	fold = fold_create(&w.job);
	for (int i = 0; i < 30; i++)
		take(&w, fold, (const char *[]){"a", "b", "c"}[i % 3], NULL);
	values_cut(w.values);
	answer(asked[0].host, STORE_FOUND, RECORD("job-1"));
	assert_int_equal(json_array_size(values_json(w.values)), 0);
	values_destroy(w.values);
	loop_destroy(w.loop);
	fold_destroy(fold);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_value_of_the_job_is_said_once),
	    cmocka_unit_test(what_is_not_there_yet_is_looked_at_again),
	    cmocka_unit_test(why_there_is_none),
	    cmocka_unit_test(few_records_are_read_at_once),
	    cmocka_unit_test(cut_in_the_middle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
