/* SPDX-License-Identifier: Apache-2.0 */
/* See open_jobs.h. Which jobs there are -> the outcomes of each that is not over. */
#include "admin/open_jobs.h"
#include "shared/base/trouble.h"

#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/config/cli.h"
#include "shared/config/complain.h"
#include "shared/store/fold.h"
#include "shared/store/job.h"
#include "shared/store/outcome.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct open_jobs {
	struct open_jobs_request req;
	struct open_job *jobs; /* hosts: those that it was sent to, until its outcomes are read */
	bool *confirms;        /* of each: its runner notes what the broker has confirmed */
	size_t n, room, next;  /* next: whose outcomes are read */
	struct fold *fold;
	size_t unread;    /* of which the outcomes are damaged, */
	char *unread_why; /* of the first of them */
};

static void
job_free(struct open_job *j)
{
	free(j->id);
	free(j->plugin);
	free(j->user);
	free(j->sender);
	hosts_finish(&j->hosts);
}

void
open_jobs_destroy(struct open_jobs *o)
{
	if (o == NULL)
		return;
	for (size_t i = 0; i < o->n; i++)
		job_free(&o->jobs[i]);
	free(o->jobs);
	free(o->confirms);
	fold_destroy(o->fold);
	free(o->unread_why);
	free(o);
}

static void
drop_closed(struct open_jobs *o)
{
	size_t kept = 0;

	for (size_t i = 0; i < o->n; i++) {
		if (o->jobs[i].hosts.n > 0)
			o->jobs[kept++] = o->jobs[i];
		else
			job_free(&o->jobs[i]);
	}
	o->n = kept;
}

/* ---- outcomes ---- */

static void read_next(struct open_jobs *o);

size_t
open_jobs_unread(const struct open_jobs *o)
{
	return o->unread;
}

/* Passes over one: those of the others are to be had all the same. */
static void
pass_over(struct open_jobs *o, const struct trouble *why)
{
	struct open_job *job = &o->jobs[o->next];

	if (o->unread++ == 0)
		xasprintf(&o->unread_why, "%s: " TROUBLE_FMT, job->id, TROUBLE_ARGS(why));
	hosts_cut(&job->hosts, 0);
	o->next++;
	read_next(o);
}

static void
say_unread(const struct open_jobs *o)
{
	if (o->unread == 0)
		return;
	fflush(stdout);
	complain_line("vogeler-admin",
	    "how %zu job%s stand%s is not known, the outcomes cannot be read: %s", o->unread,
	    o->unread == 1 ? "" : "s", o->unread == 1 ? "s" : "", o->unread_why);
}

static void
take_state(const struct outcome *out, bool target, void *arg)
{
	struct open_jobs *o = arg;

	if (target && (out->state == OUTCOME_QUEUED || (o->req.unnoted && outcome_is_open(out))))
		hosts_add(&o->jobs[o->next].hosts, out->host);
}

static void
jobs_on_outcome(
    enum store_found found, const struct outcome *out, const struct trouble *why, void *arg)
{
	struct open_jobs *o = arg;

	switch (found) {
	case STORE_FOUND:
		if (hosts_has(&o->jobs[o->next].hosts, out->host) ||
		    strcmp(out->host, OUTCOME_EVERY_HOST) == 0)
			fold_add(o->fold, out);
		return;
	case STORE_FAILED:
		if (store_job_is_damaged(o->req.store))
			pass_over(o, why);
		else
			o->req.fn(NULL, 0, why, o->req.arg);
		return;
	case STORE_MISSING:
		hosts_cut(&o->jobs[o->next].hosts, 0);
		fold_each(o->fold, wallclock_ms(), take_state, o);
		o->next++;
		read_next(o);
		return;
	}
}

/* The job is folded as if it were of these hosts alone: what 10,000 others say is not kept. */
static void
read_next(struct open_jobs *o)
{
	const struct open_job *j = &o->jobs[o->next];
	struct job job;

	fold_destroy(o->fold);
	o->fold = NULL;
	if (o->next == o->n) {
		drop_closed(o);
		say_unread(o);
		o->req.fn(o->jobs, o->n, NULL, o->req.arg);
		return;
	}
	job = (struct job){.id = j->id,
	    .plugin = j->plugin,
	    .sent_at = j->sent_at,
	    .not_after = j->not_after,
	    .confirms = o->confirms[o->next],
	    .hosts = j->hosts.names,
	    .n_hosts = j->hosts.n};
	o->fold = fold_create(&job);
	store_outcomes(o->req.store, j->id, jobs_on_outcome, o);
}

/* ---- jobs ---- */

/* Both are sorted. */
static void
add_common(struct hosts *out, const struct hosts *of, const struct job *job)
{
	size_t i = 0, k = 0;

	while (i < of->n && k < job->n_hosts) {
		int c = strcmp(of->names[i], job->hosts[k]);

		if (c == 0)
			hosts_add(out, of->names[i]);
		i += c <= 0;
		k += c >= 0;
	}
}

static void
jobs_on_job(enum store_found found, const struct job *job, const struct trouble *why, void *arg)
{
	struct open_jobs *o = arg;
	struct hosts hosts = {0};

	if (found == STORE_FAILED) {
		o->req.fn(NULL, 0, why, o->req.arg);
		return;
	}
	if (found == STORE_MISSING) {
		read_next(o);
		return;
	}
	if (job->not_after != 0 && job->not_after < wallclock_ms())
		return;
	add_common(&hosts, o->req.hosts, job);
	if (hosts.n == 0)
		return;
	if (o->n == o->room) {
		o->room = o->room == 0 ? 16 : 2 * o->room;
		o->jobs = xreallocarray(o->jobs, o->room, sizeof(*o->jobs));
		o->confirms = xreallocarray(o->confirms, o->room, sizeof(*o->confirms));
	}
	o->confirms[o->n] = job->confirms;
	o->jobs[o->n++] = (struct open_job){.id = xstrdup(job->id),
	    .plugin = xstrdup_null(job->plugin),
	    .user = xstrdup_null(job->user),
	    .sender = job_sender(job),
	    .sent_at = job->sent_at,
	    .not_after = job->not_after,
	    .hosts = hosts};
}

struct open_jobs *
open_jobs_read(const struct open_jobs_request *req)
{
	struct open_jobs *o = xcalloc(1, sizeof(*o));

	o->req = *req;
	store_job_list(o->req.store, o->req.jobs_max, jobs_on_job, o);
	return o;
}
