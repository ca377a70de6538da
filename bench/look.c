/* SPDX-License-Identifier: Apache-2.0 */
/* This measures how long it takes to look into a store with many hosts: it fills it, with what all
 * hosts of the plan answer to all its jobs, then lists the names, the heads and the whole records,
 * each once and in this order, so that nothing of a list has been read by a longer one before. With
 * --resume the records are there from a run before. */
#include "bench/bench.h"
#include "bench/records.h"

#include "daemon/read/convert.h"
#include "shared/base/trouble.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/store/store.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BATCH = 200 }; /* hosts of one store_put */

enum look_phase { LOOK_FILLING, LOOK_NAMES, LOOK_HEADS, LOOK_RECORDS, LOOK_OVER };

static const char *const phase_names[] = {
    [LOOK_FILLING] = "fill",
    [LOOK_NAMES] = "names",
    [LOOK_HEADS] = "heads",
    [LOOK_RECORDS] = "records",
};

struct look_host {
	char name[PLAN_NAME_SIZE];
	struct result ***results; /* by job */
	size_t *n_results;
	struct result **all;
	struct store_write write;
};

struct look {
	struct bench *b;
	enum look_phase phase;
	double began;
	uint32_t next; /* host */
	struct look_host hosts[BATCH];
	uint32_t n, waiting;
	uint64_t bytes, listed;
};

static void look_enter(struct look *l, enum look_phase next);

static double
now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- filling ---- */

static void
host_make(struct look *l, struct look_host *h, uint32_t host)
{
	const struct plan *p = &l->b->plan;
	size_t n = 0;

	plan_host(p, host, h->name);
	h->results = xcalloc(p->jobs, sizeof(*h->results));
	h->n_results = xcalloc(p->jobs, sizeof(*h->n_results));
	h->all = NULL;
	h->write = (struct store_write){.host = h->name};
	for (uint32_t job = 0; job < p->jobs; job++) {
		h->n_results[job] = records_results(p, host, job, &h->results[job]);
		h->all = xreallocarray(h->all, n + h->n_results[job], sizeof(*h->all));
		for (size_t i = 0; i < h->n_results[job]; i++) {
			h->all[n++] = h->results[job][i];
			h->write.bytes += h->results[job][i]->value_len;
		}
	}
	h->write.results = h->all;
	h->write.n = n;
	l->bytes += h->write.bytes;
}

static void
host_free(struct look *l, struct look_host *h)
{
	for (uint32_t job = 0; job < l->b->plan.jobs; job++)
		convert_free(h->results[job], h->n_results[job]);
	free(h->results);
	free(h->n_results);
	free(h->all);
}

static void look_fill(struct look *l);

static void
look_on_written(
    struct store_write *w, enum store_status status, const struct trouble *why, void *arg)
{
	struct look *l = arg;

	if (status != STORE_OK)
		bench_fail(
		    l->b, "%s: %s", w->host, why != NULL ? why->what : store_status_name(status));
	if (--l->waiting > 0)
		return;
	for (uint32_t i = 0; i < l->n; i++)
		host_free(l, &l->hosts[i]);
	if (!l->b->over)
		look_fill(l);
}

static void
look_fill(struct look *l)
{
	struct store_write *writes[BATCH];

	for (l->n = 0; l->n < BATCH && l->next < l->b->plan.hosts; l->n++, l->next++) {
		host_make(l, &l->hosts[l->n], l->next);
		writes[l->n] = &l->hosts[l->n].write;
	}
	l->b->done = l->next;
	l->waiting = l->n;
	if (l->n > 0)
		store_put(l->b->store, writes, l->n, look_on_written, l);
	else
		look_enter(l, LOOK_NAMES);
}

static void
look_on_setup(const struct trouble *why, const char *done, void *arg)
{
	struct look *l = arg;

	if (why != NULL)
		bench_fail(l->b, TROUBLE_FMT, TROUBLE_ARGS(why));
	else
		look_enter(l, l->b->resume ? LOOK_NAMES : LOOK_FILLING);
}

/* ---- listing ---- */

static void
look_on_listed(enum store_found found, json_t *rec, const struct trouble *why, void *arg)
{
	struct look *l = arg;

	switch (found) {
	case STORE_FOUND:
		l->listed++;
		return;
	case STORE_FAILED:
		bench_fail(l->b, "%s: " TROUBLE_FMT, phase_names[l->phase], TROUBLE_ARGS(why));
		return;
	case STORE_MISSING:
		if (l->listed != l->b->plan.hosts)
			bench_fail(l->b, "%s: %llu of %u hosts", phase_names[l->phase],
			    (unsigned long long)l->listed, (unsigned int)l->b->plan.hosts);
		else
			look_enter(l, l->phase + 1);
		return;
	}
}

static void
look_enter(struct look *l, enum look_phase next)
{
	static const struct store_filter names_only = {.plugins = NULL, .n = 0};
	double now = now_s();

	if (l->began > 0)
		json_object_set_new(l->b->report, phase_names[l->phase], json_real(now - l->began));
	l->phase = next;
	l->began = now;
	l->listed = 0;
	switch (next) {
	case LOOK_FILLING:
		look_fill(l);
		break;
	case LOOK_NAMES:
		store_list(l->b->store, &names_only, look_on_listed, l);
		break;
	case LOOK_HEADS:
		store_heads(l->b->store, look_on_listed, l);
		break;
	case LOOK_RECORDS:
		store_list(l->b->store, NULL, look_on_listed, l);
		break;
	case LOOK_OVER:
		bench_done(l->b, BENCH_OK);
		break;
	}
}

void
verb_look(struct bench *b)
{
	struct look l = {.b = b};

	b->total = b->plan.hosts;
	store_setup(b->store, look_on_setup, &l);
	loop_run(b->loop);
	store_close(b->store);
	b->store = NULL;
	json_object_set_new(b->report, "hosts", json_integer((json_int_t)b->plan.hosts));
	if (!b->resume)
		json_object_set_new(b->report, "value_bytes_per_host",
		    json_integer((json_int_t)(l.bytes / b->plan.hosts)));
}
