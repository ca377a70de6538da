/* SPDX-License-Identifier: Apache-2.0 */
/* "jobs": those that the store knows, the newest first, with how they stand. */
#include "runner/print/joblist.h"
#include "runner/verb.h"
#include "shared/base/trouble.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/store/store.h"

#include <stdio.h>
#include <stdlib.h>

#define LIMIT_DEFAULT 20
#define NOBODY_MAX    50 /* jobs to nobody between these, that are passed over */

struct jobs_listing {
	struct runner_context *c;
	struct joblist list;
	size_t limit;
	size_t counted;    /* jobs of which the outcomes are known */
	struct fold *fold; /* of the next one */
	size_t unread;     /* of which they cannot be read, */
	char *unread_why;  /* of the first of them */
	int status;
};

static void count_next(struct jobs_listing *l);

static void
fail(struct jobs_listing *l, const struct trouble *why)
{
	runner_say(TROUBLE_FMT, TROUBLE_ARGS(why));
	l->status = RUNNER_TROUBLE;
	loop_stop(l->c->loop);
}

/* Notes a job that could not be read: the others are to be seen all the same. */
static void
note_unread(struct jobs_listing *l, struct joblist_job *job, const struct trouble *why)
{
	job->unread = true;
	if (l->unread++ == 0)
		xasprintf(&l->unread_why, "%s: " TROUBLE_FMT, job->job.id, TROUBLE_ARGS(why));
}

static void
say_unread(const struct jobs_listing *l)
{
	if (l->unread > 0)
		runner_say("how %zu job%s stand%s is not known, the outcomes cannot be read: %s",
		    l->unread, l->unread == 1 ? "" : "s", l->unread == 1 ? "s" : "", l->unread_why);
}

static void
listing_on_outcome(
    enum store_found found, const struct outcome *o, const struct trouble *why, void *arg)
{
	struct jobs_listing *l = arg;
	struct joblist_job *job;

	if (found == STORE_FOUND) {
		fold_add(l->fold, o);
		return;
	}
	job = &l->list.jobs[l->counted];
	fold_count(l->fold, l->list.now_ms, &job->counts);
	fold_destroy(l->fold);
	l->fold = NULL;
	if (found == STORE_FAILED && store_job_is_damaged(l->c->store)) {
		note_unread(l, job, why);
		found = STORE_MISSING;
	}
	if (joblist_is_to_nobody(job))
		joblist_drop(&l->list, l->counted);
	else
		l->counted++;
	if (found == STORE_FAILED)
		fail(l, why);
	else
		count_next(l);
}

static void
count_next(struct jobs_listing *l)
{
	const struct job *job;

	if (l->counted == l->limit)
		joblist_cut(&l->list, l->limit);
	if (l->counted == l->list.n) {
		l->status = RUNNER_OK;
		loop_stop(l->c->loop);
		return;
	}
	job = &l->list.jobs[l->counted].job;
	l->fold = fold_create(job);
	store_outcomes(l->c->store, job->id, listing_on_outcome, l);
}

static void
listing_on_job(enum store_found found, const struct job *job, const struct trouble *why, void *arg)
{
	struct jobs_listing *l = arg;

	switch (found) {
	case STORE_FOUND:
		joblist_add(&l->list, job);
		break;
	case STORE_MISSING:
		count_next(l);
		break;
	case STORE_FAILED:
		fail(l, why);
		break;
	}
}

int
verb_jobs(struct runner_context *c)
{
	struct jobs_listing l = {.c = c, .status = RUNNER_TROUBLE};
	const struct runner_arguments *a = c->arg;
	struct output_options output;

	if (a->limit_percent)
		cli_usage_error(c->cli, "--limit: of \"jobs\" it is a number");
	l.list.now_ms = wallclock_ms();
	l.limit = a->limit > 0 ? a->limit : LIMIT_DEFAULT;
	store_job_list(c->store, l.limit + NOBODY_MAX, listing_on_job, &l);
	loop_run(c->loop);
	output_options_from(&output, a);
	if (l.status == RUNNER_OK)
		joblist_print(stdout, &output, &l.list);
	say_unread(&l);
	free(l.unread_why);
	joblist_finish(&l.list);
	return l.status;
}
