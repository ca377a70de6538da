/* See lookup.h. */
#include "runner/lookup.h"

#include "runner/interrupt.h"
#include "shared/loop.h"
#include "shared/store/store.h"

#include <stdio.h>

struct lookup {
	struct loop *loop;
	const char *id;
	struct job *out;
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
on_job(enum store_found found, const struct job *job, const char *why, void *arg)
{
	struct lookup *l = arg;

	switch (found) {
	case STORE_FOUND:
		l->status = copy(job, l->out);
		break;
	case STORE_MISSING:
		runner_say(
		    "%s: no such job: it was sent without this store, or is so long ago "
		    "that it was removed; \"vogeler-runner jobs\" lists those that are there",
		    l->id);
		break;
	case STORE_FAILED:
		runner_say("%s", why != NULL ? why : "the store does not answer");
		break;
	}
	loop_stop(l->loop);
}

static void
lookup_on_interrupt(void *arg)
{
	struct lookup *l = arg;

	runner_say("interrupted");
	l->status = RUNNER_INTERRUPTED;
	loop_stop(l->loop);
}

int
lookup_job(struct runner_context *c, struct interrupt *interrupt, const char *id, struct job *out)
{
	struct lookup l = {.loop = c->loop, .id = id, .out = out, .status = RUNNER_TROUBLE};

	interrupt->arg = &l;
	interrupt->fn = lookup_on_interrupt;
	store_job_get(c->store, id, on_job, &l);
	loop_run(c->loop);
	interrupt->fn = NULL;
	if (l.status != RUNNER_OK) {
		store_close(c->store); /* it may have more to tell */
		c->store = NULL;
	}
	return l.status;
}
