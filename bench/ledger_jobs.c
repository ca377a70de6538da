/* SPDX-License-Identifier: Apache-2.0 */
/* See ledger_jobs.h. */
#include "bench/ledger_jobs.h"

#include "bench/bench.h"

#include "shared/base/trouble.h"
#include "shared/base/xalloc.h"
#include "shared/store/job.h"
#include "shared/store/store.h"

#include <stdlib.h>
#include <string.h>

struct ledger_jobs {
	struct bench *b;
	struct job job; /* the hosts are those of each */
	uint32_t next;
	void (*fn)(void *arg);
	void *arg;
};

static void
jobs_finish(struct ledger_jobs *l)
{
	job_finish(&l->job);
	free(l);
}

static void jobs_next(struct ledger_jobs *l);

static void
on_added(const struct trouble *why, const char *done, void *arg)
{
	struct ledger_jobs *l = arg;

	if (why == NULL) {
		jobs_next(l);
		return;
	}
	bench_fail(l->b, "the ledger takes no job: " TROUBLE_FMT, TROUBLE_ARGS(why));
	jobs_finish(l);
}

static void
jobs_next(struct ledger_jobs *l)
{
	const struct plan *p = &l->b->plan;
	char id[IDENT_SIZE];

	if (l->next == p->jobs) {
		l->fn(l->arg);
		jobs_finish(l);
		return;
	}
	plan_job(p, l->next, id);
	free(l->job.id);
	l->job.id = xstrdup(id);
	l->job.sent_at = plan_order(p, l->next++);
	store_job_add(l->b->store, &l->job, on_added, l);
}

void
ledger_jobs_add(struct bench *b, void (*fn)(void *arg), void *arg)
{
	struct ledger_jobs *l = xcalloc(1, sizeof(*l));
	const struct plan *p = &b->plan;

	l->b = b;
	l->fn = fn;
	l->arg = arg;
	job_init(&l->job);
	l->job.plugin = xstrdup(plan_profile_name(p));
	l->job.user = xstrdup("vogeler-bench");
	l->job.target = xstrdup("all");
	l->job.hosts = xcalloc(p->hosts, sizeof(*l->job.hosts));
	l->job.n_hosts = p->hosts;
	for (uint32_t i = 0; i < p->hosts; i++) {
		l->job.hosts[i] = xcalloc(1, PLAN_NAME_SIZE);
		plan_host(p, i, l->job.hosts[i]);
	}
	jobs_next(l);
}
