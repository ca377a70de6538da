/* SPDX-License-Identifier: Apache-2.0 */
/* See job_lookup.h. */
#include "runner/job/job_lookup.h"

#include "runner/interrupt.h"
#include "shared/base/near.h"
#include "shared/base/trouble.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX_MIN 4      /* of an id: fewer characters say nothing */
#define JOBS_MAX   100000 /* that are looked through */
#define NAMED_MAX  5

struct job_lookup {
	struct loop *loop;
	struct store *store;
	const char *id; /* as it was typed */
	struct job *out;
	size_t found;
	char *names; /* of the first that fit */
	char *near;  /* a slip or two away: the newest */
	int status;
};

static int
copy(const struct job *job, struct job *out)
{
	json_t *json = job_to_json(job);
	char err[256];
	bool ok = job_from_json(json, out, err, sizeof(err));

	json_decref(json);
	if (!ok)
		runner_say("job %s: what the store has of it is damaged: %s", job->id, err);
	return ok ? RUNNER_OK : RUNNER_TROUBLE;
}

static void
end(struct job_lookup *l, int status)
{
	l->status = status;
	loop_stop(l->loop);
}

static void
take_fitting(struct job_lookup *l, const struct job *job)
{
	char *names;

	if (l->found++ == 0) {
		l->status = copy(job, l->out);
		l->names = xstrdup(job->id);
	} else if (l->found <= NAMED_MAX) {
		xasprintf(&names, "%s, %s", l->names, job->id);
		free(l->names);
		l->names = names;
	}
}

static void
say_which(const struct job_lookup *l)
{
	runner_say("%s: %zu jobs begin like that: %s%s", l->id, l->found, l->names,
	    l->found > NAMED_MAX ? " and more" : "");
}

static void
on_listed(enum store_found found, const struct job *job, const struct trouble *why, void *arg)
{
	struct job_lookup *l = arg;
	bool last = strcmp(l->id, JOB_LOOKUP_LAST) == 0;

	switch (found) {
	case STORE_FOUND:
		if (last || strncmp(job->id, l->id, strlen(l->id)) == 0)
			take_fitting(l, job);
		else if (l->near == NULL && near_name(l->id, (const char *[]){job->id}, 1) != NULL)
			l->near = xstrdup(job->id);
		return;
	case STORE_MISSING:
		break;
	case STORE_FAILED:
		runner_say(TROUBLE_FMT, TROUBLE_ARGS(why));
		l->found = 0;
		end(l, RUNNER_TROUBLE);
		return;
	}
	if (l->found == 1) {
		end(l, l->status);
		return;
	}
	if (l->found > 1) {
		say_which(l);
		if (l->status == RUNNER_OK)
			job_finish(l->out);
	} else if (l->near != NULL) {
		runner_say("%s: no such job; did you mean %s?", l->id, l->near);
	} else {
		runner_say(
		    "%s: no such job: it was sent without this store, or is so long ago "
		    "that it was removed; \"vogeler-runner jobs\" lists those that are there",
		    l->id);
	}
	end(l, RUNNER_TROUBLE);
}

static void
on_job(enum store_found found, const struct job *job, const struct trouble *why, void *arg)
{
	struct job_lookup *l = arg;

	switch (found) {
	case STORE_FOUND:
		l->found = 1;
		end(l, copy(job, l->out));
		return;
	case STORE_MISSING:
		if (l->id[0] == '@') { /* no id has it */
			runner_say("%s: no such job; did you mean %s, the job that was sent last?",
			    l->id, JOB_LOOKUP_LAST);
			end(l, RUNNER_TROUBLE);
			return;
		}
		if (strlen(l->id) >= PREFIX_MIN) { /* it may be the beginning of one */
			store_job_list(l->store, JOBS_MAX, on_listed, l);
			return;
		}
		runner_say("%s: no such job, and too short to be the beginning of one: that takes "
			   "%d characters at least; \"vogeler-runner jobs\" lists them",
		    l->id, PREFIX_MIN);
		end(l, RUNNER_TROUBLE);
		return;
	case STORE_FAILED:
		on_listed(STORE_FAILED, NULL, why, l);
		return;
	}
}

static void
job_lookup_on_interrupt(void *arg)
{
	struct job_lookup *l = arg;

	runner_say("interrupted");
	end(l, RUNNER_INTERRUPTED);
}

int
job_lookup(struct runner_context *c, struct interrupt *interrupt, const char *id, struct job *out)
{
	struct job_lookup l = {
	    .loop = c->loop, .store = c->store, .id = id, .out = out, .status = RUNNER_TROUBLE};

	interrupt->arg = &l;
	interrupt->fn = job_lookup_on_interrupt;
	if (strcmp(id, JOB_LOOKUP_LAST) == 0)
		store_job_list(c->store, 1, on_listed, &l);
	else
		store_job_get(c->store, id, on_job, &l);
	loop_run(c->loop);
	interrupt->fn = NULL;
	free(l.names);
	free(l.near);
	if (l.status != RUNNER_OK) {
		store_close(c->store); /* it may have more to tell */
		c->store = NULL;
	}
	return l.status;
}
