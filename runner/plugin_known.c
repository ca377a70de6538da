/* SPDX-License-Identifier: Apache-2.0 */
/* See plugin_known.h. The record of one target is looked at first, for it nearly always has it:
 *
 *   record of a target -> heads of all records -> jobs of that name -> outcomes of each */
#include "runner/plugin_known.h"

#include "runner/interrupt.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/query/plugin_names.h"
#include "shared/store/job.h"
#include "shared/store/outcome.h"
#include "shared/store/store.h"

#include <stdlib.h>
#include <string.h>

#define TARGETS_MAX     8     /* whose records are asked for */
#define JOBS_LISTED_MAX 10000 /* the newest, of which */
#define JOBS_MAX        20    /* so many of that name are looked at */

struct knowing {
	struct runner_context *c;
	const struct hosts *targets;
	size_t target; /* the one whose record is asked for */
	struct plugin_names *names;
	char *jobs[JOBS_MAX];
	size_t n_jobs, next; /* the one whose outcomes come */
	bool well;           /* one of these is OK */
	bool unknown;
	int status;
};

static void
end(struct knowing *k, int status)
{
	k->status = status;
	loop_stop(k->c->loop);
}

static void
end_unknown(struct knowing *k)
{
	char hint[PLUGIN_NAMES_HINT_SIZE];

	runner_say("no record ever had %s, nor did a job of that name end well%s",
	    k->c->arg->plugin, plugin_names_hint(k->names, k->c->arg->plugin, hint));
	k->unknown = true;
	end(k, RUNNER_OK);
}

static void look_at_next_job(struct knowing *k);

static void
knowing_on_outcome(
    enum store_found found, const struct outcome *o, const struct trouble *why, void *arg)
{
	struct knowing *k = arg;

	switch (found) {
	case STORE_FOUND:
		k->well = k->well || o->state == OUTCOME_OK;
		return;
	case STORE_MISSING:
		look_at_next_job(k);
		return;
	case STORE_FAILED:
		end(k, RUNNER_OK);
		return;
	}
}

static void
look_at_next_job(struct knowing *k)
{
	if (k->well)
		end(k, RUNNER_OK);
	else if (k->next < k->n_jobs)
		store_outcomes(k->c->store, k->jobs[k->next++], knowing_on_outcome, k);
	else
		end_unknown(k);
}

static void
knowing_on_job(enum store_found found, const struct job *job, const struct trouble *why, void *arg)
{
	struct knowing *k = arg;

	switch (found) {
	case STORE_FOUND:
		if (k->n_jobs < JOBS_MAX && strcmp(job->plugin, k->c->arg->plugin) == 0)
			k->jobs[k->n_jobs++] = xstrdup(job->id);
		return;
	case STORE_MISSING:
		look_at_next_job(k);
		return;
	case STORE_FAILED:
		end(k, RUNNER_OK);
		return;
	}
}

static void
knowing_on_names(const struct plugin_names *names, const struct trouble *why, void *arg)
{
	struct knowing *k = arg;

	if (names == NULL || plugin_names_count(names) == 0 ||
	    plugin_names_has(names, k->c->arg->plugin))
		end(k, RUNNER_OK);
	else
		store_job_list(k->c->store, JOBS_LISTED_MAX, knowing_on_job, k);
}

static void look_at_target(struct knowing *k);

/* A host without a record may be new or mistyped, which others tell; the next one may have one. */
static void
knowing_on_record(enum store_found found, json_t *rec, const struct trouble *why, void *arg)
{
	struct knowing *k = arg;
	const json_t *meta = json_object_get(rec, "vogeler"); /* NULL of NULL */

	if (found == STORE_MISSING && ++k->target < k->targets->n && k->target < TARGETS_MAX)
		look_at_target(k);
	else if (found != STORE_FOUND || json_object_get(meta, k->c->arg->plugin) != NULL)
		end(k, RUNNER_OK);
	else
		k->names = plugin_names_ask(k->c->store, knowing_on_names, k);
}

static void
look_at_target(struct knowing *k)
{
	store_get(k->c->store, k->targets->names[k->target], knowing_on_record, k);
}

static void
knowing_on_interrupt(void *arg)
{
	runner_say("interrupted; nothing was sent");
	end(arg, RUNNER_INTERRUPTED);
}

int
plugin_known_tell(struct runner_context *c, struct interrupt *interrupt,
    const struct hosts *targets, bool *unknown)
{
	struct knowing k = {.c = c, .targets = targets};

	*unknown = false;
	if (c->arg->plugin == NULL || c->store == NULL || targets->n == 0)
		return RUNNER_OK;
	interrupt->arg = &k;
	interrupt->fn = knowing_on_interrupt;
	look_at_target(&k);
	loop_run(c->loop);
	interrupt->fn = NULL;
	if (k.status != RUNNER_OK) { /* it may have more to tell */
		store_close(c->store);
		c->store = NULL;
	}
	plugin_names_destroy(k.names);
	for (size_t i = 0; i < k.n_jobs; i++)
		free(k.jobs[i]);
	*unknown = k.unknown;
	return k.status;
}
