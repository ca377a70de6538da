/* SPDX-License-Identifier: Apache-2.0 */
/* The ceiling of a store behind SQL, or what it takes alone: gives the answers of the plan to
 * store_put(), ready made in memory, as the collector would but with nothing before it. The
 * statements are the collector's own, and so is the work for differences and the ledger. Answers
 * are made, written and freed in chunks, and the clock stands still while they are made. */
#include "bench/put.h"

#include "bench/bench.h"
#include "bench/ledger_jobs.h"
#include "bench/records.h"

#include "daemon/read/convert.h"
#include "shared/base/trouble.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/store/store.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CHUNK_BYTES ((uint64_t)256 * 1024 * 1024) /* of values */

struct put_batch;

struct put_answer {
	char name[PLAN_NAME_SIZE];
	uint32_t host;
	bool is_sent;
	struct result **results;
	size_t n;
	struct store_write write;
	struct put_batch *batch;
};

/* A batch holds what one store_put() was given; waiting 0: free for the next. */
struct put_batch {
	struct store_write **writes;
	size_t n, waiting;
};

struct put_run {
	struct bench *b;
	uint64_t batch_bytes;
	size_t batch_count;
	struct put_batch *batches;
	uint32_t requests;          /* so many of them */
	struct put_answer *answers; /* of the chunk, in the order in which they came */
	size_t n, next;
	bool *busy;       /* by host: a write of it is under way */
	uint64_t k, warm; /* the next answer of the plan; so many are not timed */
	uint32_t in_flight;
	double began, cpu_began;
	double seconds, cpu_seconds; /* timed */
	uint64_t timed, bytes, n_batches;
	uint64_t written_before; /* bytes by this process */
};

static double
clock_s(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Returns what this process has passed to write() and its kin so far; 0: the kernel does not say.
 */
static uint64_t
bytes_written(void)
{
	FILE *f = fopen("/proc/self/io", "re");
	char line[128];
	uint64_t n = 0;

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "wchar: %" SCNu64, &n) == 1)
			break;
	if (f != NULL)
		fclose(f);
	return n;
}

static bool
is_timed(const struct put_run *r)
{
	return r->k > r->warm;
}

/* ---- chunks ---- */

static void
answer_make(struct put_run *r, struct put_answer *a, uint64_t k)
{
	const struct plan *p = &r->b->plan;
	uint32_t job = (uint32_t)(k / p->hosts);

	*a = (struct put_answer){.host = plan_shuffled_host(p, k)};
	plan_host(p, a->host, a->name);
	a->n = records_results(p, a->host, job, &a->results);
	a->write = (struct store_write){.results = a->results, .n = a->n};
	for (size_t i = 0; i < a->n; i++) {
		struct result *res = a->results[i];

		a->write.bytes += res->value_len;
		if (r->b->unasked) {
			free(res->meta.job);
			res->meta.job = NULL;
		}
	}
}

static void
chunk_free(struct put_run *r)
{
	for (size_t i = 0; i < r->n; i++)
		convert_free(r->answers[i].results, r->answers[i].n);
	r->n = r->next = 0;
}

/* What is timed and what is not are never in one chunk. false: there are no more answers. */
static bool
chunk_make(struct put_run *r)
{
	uint64_t all = (uint64_t)r->b->plan.hosts * r->b->plan.jobs, bytes = 0;
	uint64_t end = r->k < r->warm ? r->warm : all;
	size_t room = 0;

	chunk_free(r);
	for (; r->k < end && bytes < CHUNK_BYTES; r->k++) {
		if (r->n == room) {
			room = room * 2 + 1024;
			r->answers = xreallocarray(r->answers, room, sizeof(*r->answers));
		}
		answer_make(r, &r->answers[r->n], r->k);
		bytes += r->answers[r->n++].write.bytes;
	}
	for (size_t i = 0; i < r->n; i++) {
		r->answers[i].write.host = r->answers[i].name;
		r->answers[i].write.owner = &r->answers[i];
	}
	return r->n > 0;
}

/* ---- writing ---- */

static void put_go_on(struct put_run *r);

static void
put_on_written(
    struct store_write *w, enum store_status status, const struct trouble *why, void *arg)
{
	struct put_run *r = arg;
	struct put_answer *a = w->owner;
	struct put_batch *batch = a->batch;

	if (status != STORE_OK)
		bench_fail(
		    r->b, "%s: %s", w->host, why != NULL ? why->what : store_status_name(status));
	r->busy[a->host] = false;
	r->b->done++;
	if (--batch->waiting > 0)
		return;
	r->in_flight--;
	if (!r->b->over)
		put_go_on(r);
}

static struct put_batch *
free_batch(const struct put_run *r)
{
	for (uint32_t i = 0; i < r->requests; i++)
		if (r->batches[i].waiting == 0)
			return &r->batches[i];
	return NULL;
}

/* Passes over those whose host has a write under way; their order stays. false: nothing can be
 * given now. */
static bool
put_one(struct put_run *r)
{
	struct put_batch *batch = free_batch(r);
	size_t end = r->next + r->b->plan.hosts < r->n ? r->next + r->b->plan.hosts : r->n;
	uint64_t bytes = 0;

	if (batch == NULL)
		return false;
	batch->n = 0;
	for (size_t i = r->next; i < end; i++) {
		struct put_answer *a = &r->answers[i];

		if (batch->n == r->batch_count || bytes >= r->batch_bytes)
			break;
		if (a->is_sent || r->busy[a->host])
			continue;
		a->is_sent = r->busy[a->host] = true;
		a->batch = batch;
		batch->writes[batch->n++] = &a->write;
		bytes += a->write.bytes;
	}
	while (r->next < r->n && r->answers[r->next].is_sent)
		r->next++;
	if (batch->n == 0)
		return false;
	batch->waiting = batch->n;
	r->in_flight++;
	if (is_timed(r)) {
		r->timed += batch->n;
		r->bytes += bytes;
		r->n_batches++;
	}
	store_put(r->b->store, batch->writes, batch->n, put_on_written, r);
	return true;
}

static void
put_next_chunk(struct put_run *r)
{
	if (!chunk_make(r)) {
		bench_done(r->b, BENCH_OK);
		return;
	}
	r->began = clock_s(CLOCK_MONOTONIC);
	r->cpu_began = clock_s(CLOCK_PROCESS_CPUTIME_ID);
	if (is_timed(r) && r->written_before == 0)
		r->written_before = bytes_written();
	put_go_on(r);
}

static void
put_go_on(struct put_run *r)
{
	while (put_one(r))
		continue;
	if (r->in_flight > 0)
		return;
	assert(r->next == r->n);
	if (is_timed(r)) {
		r->seconds += clock_s(CLOCK_MONOTONIC) - r->began;
		r->cpu_seconds += clock_s(CLOCK_PROCESS_CPUTIME_ID) - r->cpu_began;
	}
	put_next_chunk(r);
}

static void
put_on_jobs(void *arg)
{
	put_next_chunk(arg);
}

static void
put_on_setup(const struct trouble *why, const char *done, void *arg)
{
	struct put_run *r = arg;

	if (why != NULL)
		bench_fail(r->b, TROUBLE_FMT, TROUBLE_ARGS(why));
	else if (r->b->unasked)
		put_next_chunk(r);
	else
		ledger_jobs_add(r->b, put_on_jobs, r);
}

static void
put_report(struct put_run *r)
{
	double n = r->timed > 0 ? (double)r->timed : 1;

	json_object_set_new(r->b->report, "responses", json_integer((json_int_t)r->timed));
	json_object_set_new(r->b->report, "seconds", json_real(r->seconds));
	json_object_set_new(r->b->report, "per_second",
	    json_real(r->seconds > 0 ? (double)r->timed / r->seconds : 0));
	json_object_set_new(r->b->report, "cpu_us", json_real(r->cpu_seconds / n * 1e6));
	json_object_set_new(r->b->report, "batches", json_integer((json_int_t)r->n_batches));
	json_object_set_new(
	    r->b->report, "mean_bytes", json_integer((json_int_t)((double)r->bytes / n)));
	/* The figure includes what the store writes when it is closed. A server's are not ours. */
	if (r->b->store_uri.scheme == URI_SQLITE)
		json_object_set_new(r->b->report, "bytes_written",
		    json_integer((json_int_t)(bytes_written() - r->written_before)));
}

void
put_run(struct bench *b)
{
	const struct store_limits *limits = store_limits(b->store);
	struct put_run r = {.b = b,
	    .batch_bytes = b->batch_bytes > 0 ? b->batch_bytes : limits->batch_bytes,
	    .batch_count = b->commit > 0 ? b->commit : limits->batch_count,
	    .requests = b->requests > 0 ? b->requests : limits->batches_in_flight,
	    .warm = (uint64_t)b->plan.hosts * plan_plugins(&b->plan)};

	r.k = b->resume ? r.warm : 0;
	r.busy = xcalloc(b->plan.hosts, sizeof(*r.busy));
	r.batches = xcalloc(r.requests, sizeof(*r.batches));
	for (uint32_t i = 0; i < r.requests; i++)
		r.batches[i].writes = xcalloc(r.batch_count, sizeof(struct store_write *));
	b->total = (uint64_t)b->plan.hosts * b->plan.jobs - r.k;
	store_setup(b->store, put_on_setup, &r);
	loop_run(b->loop);
	store_close(b->store);
	b->store = NULL;
	put_report(&r);
	chunk_free(&r);
	for (uint32_t i = 0; i < r.requests; i++)
		free(r.batches[i].writes);
	free(r.batches);
	free(r.answers);
	free(r.busy);
}
