/* SPDX-License-Identifier: Apache-2.0 */
/* The ceiling of couch://: writes the records that a collector would write for the answers of the
 * plan, one for each answer, by _bulk_docs and with the revision known. What is written first, so
 * that there is a revision, is not timed; with --resume it is there from the run before. With
 * --sweep the best size and number of requests in flight is looked for. */
#include "bench/bench.h"
#include "bench/put.h"
#include "bench/records.h"

#include "shared/base/buf.h"
#include "shared/base/trouble.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/store/couch/couch_wire.h"
#include "shared/store/couch/http.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BODY_MAX     (64 * 1024 * 1024)
#define BATCH_BYTES  (256 * 1024)
#define REQUESTS     8
#define REQUESTS_MAX 32

/* Documents that are written with the same settings: the warming ones or the timed ones, once, or
 * the timed ones again and again for some time. */
struct slice {
	uint64_t batch_bytes;
	uint32_t requests;
	size_t first, end;  /* of the documents */
	double max_seconds; /* of a sweep: it ends in the middle of a round */
	size_t docs;
	double seconds;
	bool timed;
};

struct write_run {
	struct bench *b;
	struct http *http;
	char *url;
	struct record_text *docs;
	bool *sent; /* by document, in this round */
	size_t n, next;
	char **revs; /* by host; NULL: none yet */
	bool *busy;  /* by host: a request with it is under way */
	struct slice *slices;
	size_t n_slices, slice;
	uint32_t in_flight;
	uint64_t bytes;
	double began;
};

static double
now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fill_up(struct write_run *w);

static void
take_revs(struct write_run *w, const struct couch_item *items, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t host;

		if (!plan_host_index(&w->b->plan, items[i].id, &host))
			continue;
		if (items[i].status != STORE_OK) {
			bench_fail(w->b, "%s: %s", items[i].id, items[i].why->what);
			return;
		}
		free(w->revs[host]);
		w->revs[host] = xstrdup(items[i].rev);
		w->busy[host] = false;
	}
}

static void
on_written(const struct http_response *r, void *arg)
{
	struct write_run *w = arg;
	struct couch_item *items = NULL;
	size_t n = 0;

	w->in_flight--;
	if (r->status != 201 || !couch_items_parse(r->body, r->body_len, &items, &n)) {
		bench_fail(w->b, "_bulk_docs: status %ld, %s", r->status,
		    r->error != NULL ? r->error : r->body);
		return;
	}
	take_revs(w, items, n);
	couch_items_free(items, n);
	fill_up(w);
}

static void
add_doc(struct write_run *w, struct buf *body, const struct record_text *t)
{
	bool ok = buf_append_str(body, body->len > 0 ? "," : "{\"docs\":[") &&
		  buf_append(body, t->text, t->rev_at);

	if (w->revs[t->host] != NULL)
		ok = ok && buf_printf(body, "\"_rev\":\"%s\",", w->revs[t->host]);
	if (!ok || !buf_append(body, t->text + t->rev_at, t->len - t->rev_at))
		xalloc_fail(0);
	w->busy[t->host] = true;
	w->slices[w->slice].docs++;
	w->b->done++;
	w->bytes += t->len;
}

/* false: nothing can be sent now. */
static bool
send_one(struct write_run *w)
{
	const struct slice *s = &w->slices[w->slice];
	struct buf body;
	char *url, *text;
	size_t len;

	buf_init(&body, BODY_MAX);
	/* Passes over those whose host has a request under way; their order stays. */
	for (size_t i = w->next; i < s->end && body.len < s->batch_bytes; i++) {
		if (w->sent[i] || w->busy[w->docs[i].host])
			continue;
		add_doc(w, &body, &w->docs[i]);
		w->sent[i] = true;
	}
	while (w->next < s->end && w->sent[w->next])
		w->next++;
	if (body.len == 0) {
		buf_finish(&body);
		return false;
	}
	if (!buf_append_str(&body, "]}"))
		xalloc_fail(0);
	text = buf_take(&body, &len);
	xasprintf(&url, "%s/_bulk_docs", w->url);
	w->in_flight++;
	http_request(w->http, "POST", url, text, len, on_written, w);
	free(url);
	return true;
}

static void
begin_round(struct write_run *w)
{
	w->next = w->slices[w->slice].first;
	memset(w->sent, 0, w->n * sizeof(*w->sent));
}

static bool
is_over(const struct write_run *w, const struct slice *s)
{
	return s->max_seconds > 0 && now_s() - w->began >= s->max_seconds;
}

/* More of a slice that has not lasted long enough. */
static bool
go_round(struct write_run *w)
{
	const struct slice *s = &w->slices[w->slice];

	if (w->next < s->end || s->max_seconds <= 0 || is_over(w, s))
		return false;
	begin_round(w);
	return true;
}

static void
fill_up(struct write_run *w)
{
	struct slice *s = &w->slices[w->slice];

	do {
		while (w->in_flight < s->requests && !is_over(w, s) && send_one(w))
			continue;
	} while (w->in_flight < s->requests && go_round(w));
	if (w->in_flight > 0 || w->b->over)
		return;
	s->seconds = now_s() - w->began;
	if (++w->slice == w->n_slices) {
		w->slice--;
		bench_done(w->b, BENCH_OK);
		return;
	}
	w->began = now_s();
	begin_round(w);
	fill_up(w);
}

static void
add_slice(struct write_run *w, const struct slice *s)
{
	w->slices = xreallocarray(w->slices, w->n_slices + 1, sizeof(*w->slices));
	w->slices[w->n_slices++] = *s;
}

static void
make_slices(struct write_run *w, size_t warm)
{
	static const uint64_t bytes[] = {64 * 1024, 256 * 1024, 1024 * 1024};
	static const uint32_t requests[] = {2, 4, 8, 16};
	struct slice s = {.batch_bytes = w->b->batch_bytes > 0 ? w->b->batch_bytes : BATCH_BYTES,
	    .requests = w->b->requests > 0 ? w->b->requests : REQUESTS,
	    .end = warm};

	if (!w->b->resume)
		add_slice(w, &s);
	s = (struct slice){.batch_bytes = s.batch_bytes,
	    .requests = s.requests,
	    .first = warm,
	    .end = w->n,
	    .timed = true};
	if (!w->b->sweep) {
		add_slice(w, &s);
		return;
	}
	s.max_seconds = w->b->duration_ms / 1000.0;
	for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
		for (size_t k = 0; k < sizeof(requests) / sizeof(requests[0]); k++) {
			s.batch_bytes = bytes[i];
			s.requests = requests[k];
			add_slice(w, &s);
		}
	}
}

/* Makes them in the order of a backlog in which no two of one host stand together. */
static void
make_docs(struct write_run *w)
{
	struct plan p = w->b->plan;
	struct records *records;

	p.together = false;
	records = records_create(&p);
	w->n = (size_t)p.hosts * p.jobs;
	w->docs = xcalloc(w->n, sizeof(*w->docs));
	w->sent = xcalloc(w->n, sizeof(*w->sent));
	for (size_t k = 0; k < w->n; k++) {
		uint32_t host, job;

		plan_at(&p, k, &host, &job);
		w->docs[k] = records_next(records, host, job);
	}
	records_destroy(records);
}

static void
report(struct write_run *w)
{
	json_t *all = json_array();
	const struct slice *best = NULL;
	double rate = 0;
	size_t docs = 0;

	for (size_t i = 0; i < w->n_slices; i++) {
		const struct slice *s = &w->slices[i];
		double here = s->seconds > 0 ? (double)s->docs / s->seconds : 0;

		docs += s->docs;
		if (!s->timed)
			continue;
		json_array_append_new(all,
		    json_pack("{s:I,s:I,s:I,s:f,s:f}", "batch_bytes", (json_int_t)s->batch_bytes,
			"requests", (json_int_t)s->requests, "responses", (json_int_t)s->docs,
			"seconds", s->seconds, "per_second", here));
		if (here > rate) {
			rate = here;
			best = s;
		}
	}
	json_object_set_new(w->b->report, "slices", all);
	json_object_set_new(
	    w->b->report, "mean_bytes", json_integer(docs > 0 ? (json_int_t)(w->bytes / docs) : 0));
	if (best == NULL)
		return;
	json_object_set_new(w->b->report, "per_second", json_real(rate));
	json_object_set_new(
	    w->b->report, "batch_bytes", json_integer((json_int_t)best->batch_bytes));
	json_object_set_new(w->b->report, "requests", json_integer((json_int_t)best->requests));
}

static void
write_run_finish(struct write_run *w)
{
	http_destroy(w->http);
	for (size_t i = 0; i < w->n; i++)
		free(w->docs[i].text);
	for (uint32_t i = 0; i < w->b->plan.hosts; i++)
		free(w->revs[i]);
	free(w->docs);
	free(w->sent);
	free(w->revs);
	free(w->busy);
	free(w->slices);
	free(w->url);
}

static void
begin(struct write_run *w)
{
	w->began = now_s();
	begin_round(w);
	fill_up(w);
}

/* {"rows": [{"id": ..., "value": {"rev": ...}}, ...]} */
static void
on_revs(const struct http_response *r, void *arg)
{
	struct write_run *w = arg;
	json_t *answer = r->status == 200 ? json_loadb(r->body, r->body_len, 0, NULL) : NULL;
	json_t *row;
	size_t i, n = 0;

	json_array_foreach (json_object_get(answer, "rows"), i, row) {
		const char *id = json_string_value(json_object_get(row, "id"));
		const char *rev =
		    json_string_value(json_object_get(json_object_get(row, "value"), "rev"));
		uint32_t host;

		if (id == NULL || rev == NULL || !plan_host_index(&w->b->plan, id, &host))
			continue;
		free(w->revs[host]);
		w->revs[host] = xstrdup(rev);
		n++;
	}
	json_decref(answer);
	if (n < w->b->plan.hosts)
		bench_fail(w->b,
		    "write: --resume: of %" PRIu32 " records %zu are there, status %ld",
		    w->b->plan.hosts, n, r->status);
	else
		begin(w);
}

static void
on_set_up(const struct trouble *why, const char *done, void *arg)
{
	struct write_run *w = arg;
	char *url;

	if (why != NULL) {
		bench_fail(w->b, TROUBLE_FMT, TROUBLE_ARGS(why));
		return;
	}
	if (!w->b->resume) {
		begin(w);
		return;
	}
	xasprintf(&url, "%s/_all_docs", w->url);
	http_request(w->http, "GET", url, NULL, 0, on_revs, w);
	free(url);
}

void
verb_write(struct bench *b)
{
	struct write_run w = {.b = b};
	uint32_t warm_jobs = plan_plugins(&b->plan);
	bool is_couch = b->store_uri.scheme == URI_COUCH || b->store_uri.scheme == URI_COUCHS;

	if (b->plan.jobs <= warm_jobs) {
		bench_fail(b, "write: the first %" PRIu32 " jobs are not timed, so ask for more",
		    warm_jobs);
		return;
	}
	if (!is_couch && b->sweep) {
		bench_fail(b, "write: --sweep is for couch:// alone");
		return;
	}
	if (!is_couch) {
		put_run(b);
		return;
	}
	w.http = bench_http(b, REQUESTS_MAX);
	w.url = couch_url(&b->store_uri);
	w.revs = xcalloc(b->plan.hosts, sizeof(*w.revs));
	w.busy = xcalloc(b->plan.hosts, sizeof(*w.busy));
	make_docs(&w);
	b->total = b->sweep ? 0 : w.n - (b->resume ? (size_t)b->plan.hosts * warm_jobs : 0);
	make_slices(&w, (size_t)b->plan.hosts * warm_jobs);
	store_setup(b->store, on_set_up, &w);
	loop_run(b->loop);
	report(&w);
	write_run_finish(&w);
}
