/* SPDX-License-Identifier: Apache-2.0 */
/* A baseline, not a way to do it: what the Python program of 2010 did for each response, in C and
 * with nothing of a broker in its way. On one connection, one after the other: GET the record, put
 * the value in, PUT it; GET it again, set updated_at, PUT it (vogeler/db/couch.py: update, touch).
 */
#include "bench/bench.h"
#include "bench/records.h"

#include "daemon/read/convert.h"
#include "shared/base/trouble.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/store/couch/couch_wire.h"
#include "shared/store/couch/http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum baseline_step { STEP_CREATE, STEP_GET, STEP_UPDATE, STEP_GET_AGAIN, STEP_TOUCH };

struct baseline {
	struct bench *b;
	struct http *http;
	char *base;
	enum baseline_step step;
	uint32_t created;
	uint64_t done, n;
	double began;
};

static void on_answer(const struct http_response *r, void *arg);

static double
now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Takes doc. */
static void
ask(struct baseline *l, const char *method, uint32_t host, json_t *doc)
{
	char name[PLAN_NAME_SIZE];
	char *text = doc != NULL ? json_dumps(doc, JSON_COMPACT) : NULL;
	char *url;

	plan_host(&l->b->plan, host, name);
	url = couch_url_doc(l->base, name);
	http_request(l->http, method, url, text, text != NULL ? strlen(text) : 0, on_answer, l);
	json_decref(doc);
	free(url);
}

static void
set_time(json_t *doc, const char *key)
{
	char text[WALLCLOCK_TEXT_SIZE];

	json_object_set_new(doc, key, json_string(wallclock_format(wallclock_ms(), text)));
}

static void
set_value(struct baseline *l, json_t *doc, uint32_t host, uint32_t job)
{
	struct result **results;
	size_t n = records_results(&l->b->plan, host, job, &results);

	for (size_t i = 0; i < n; i++)
		json_object_set_new(doc, results[i]->plugin,
		    json_loadb(results[i]->value, results[i]->value_len, JSON_DECODE_ANY, NULL));
	convert_free(results, n);
}

static void
create_next(struct baseline *l)
{
	char name[PLAN_NAME_SIZE];
	json_t *doc = json_object();

	plan_host(&l->b->plan, l->created, name);
	json_object_set_new(doc, "system_name", json_string(name));
	json_object_set_new(doc, "doc_type", json_string("SystemRecord"));
	set_time(doc, "created_at");
	ask(l, "PUT", l->created, doc);
}

static void
next_response(struct baseline *l)
{
	uint32_t host, job;

	if (l->done == l->n) {
		bench_done(l->b, BENCH_OK);
		return;
	}
	plan_at(&l->b->plan, l->done, &host, &job);
	l->step = STEP_GET;
	ask(l, "GET", host, NULL);
}

static void
on_answer(const struct http_response *r, void *arg)
{
	struct baseline *l = arg;
	uint32_t host, job;
	json_t *doc;

	if (r->status != 200 && r->status != 201) {
		bench_fail(
		    l->b, "status %ld, %s", r->status, r->error != NULL ? r->error : r->body);
		return;
	}
	plan_at(&l->b->plan, l->done, &host, &job);
	switch (l->step) {
	case STEP_CREATE:
		if (++l->created < l->b->plan.hosts) {
			create_next(l);
			return;
		}
		l->began = now_s();
		next_response(l);
		return;
	case STEP_GET:
		doc = json_loadb(r->body, r->body_len, 0, NULL);
		set_value(l, doc, host, job);
		l->step = STEP_UPDATE;
		ask(l, "PUT", host, doc);
		return;
	case STEP_UPDATE:
		l->step = STEP_GET_AGAIN;
		ask(l, "GET", host, NULL);
		return;
	case STEP_GET_AGAIN:
		doc = json_loadb(r->body, r->body_len, 0, NULL);
		set_time(doc, "updated_at");
		l->step = STEP_TOUCH;
		ask(l, "PUT", host, doc);
		return;
	case STEP_TOUCH:
		l->done++;
		next_response(l);
		return;
	}
}

static void
on_set_up(const struct trouble *why, const char *done, void *arg)
{
	struct baseline *l = arg;

	if (why == NULL)
		create_next(l);
	else
		bench_fail(l->b, TROUBLE_FMT, TROUBLE_ARGS(why));
}

void
verb_baseline(struct bench *b)
{
	struct baseline l = {.b = b, .n = (uint64_t)b->plan.hosts * b->plan.jobs};
	double s;

	if (b->store_uri.scheme != URI_COUCH && b->store_uri.scheme != URI_COUCHS) {
		bench_fail(b, "baseline: for couch:// alone");
		return;
	}
	l.http = bench_http(b, 1);
	l.base = couch_url(&b->store_uri);
	store_setup(b->store, on_set_up, &l);
	loop_run(b->loop);
	s = now_s() - l.began;
	json_object_set_new(b->report, "what",
	    json_string("baseline: GET, PUT, GET, PUT for each response, one connection"));
	json_object_set_new(b->report, "responses", json_integer((json_int_t)l.done));
	json_object_set_new(b->report, "seconds", json_real(s));
	json_object_set_new(b->report, "per_second", json_real((double)l.done / s));
	http_destroy(l.http);
	free(l.base);
}
