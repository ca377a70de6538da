/* SPDX-License-Identifier: Apache-2.0 */
/* See job_state.h. */
#include "runner/job/job_state.h"

#include "runner/interrupt.h"
#include "shared/base/trouble.h"
#include "shared/base/wallclock.h"
#include "shared/event/loop.h"
#include "shared/store/store.h"

struct loading {
	struct runner_context *c;
	struct fold *fold;
	int status;
};

static void
end(struct loading *l, int status)
{
	l->status = status;
	loop_stop(l->c->loop);
}

static void
loading_on_interrupt(void *arg)
{
	runner_say("interrupted; nothing was sent");
	end(arg, RUNNER_INTERRUPTED);
}

static void
loading_on_outcome(
    enum store_found found, const struct outcome *o, const struct trouble *why, void *arg)
{
	struct loading *l = arg;

	switch (found) {
	case STORE_FOUND:
		fold_add(l->fold, o);
		break;
	case STORE_MISSING:
		end(l, RUNNER_OK);
		break;
	case STORE_FAILED:
		runner_say("the outcomes cannot be read: " TROUBLE_FMT, TROUBLE_ARGS(why));
		end(l, RUNNER_TROUBLE);
		break;
	}
}

int
job_state_load(struct runner_context *c, const struct job *job, struct interrupt *interrupt,
    struct fold **fold)
{
	struct loading l = {.c = c, .fold = fold_create(job), .status = RUNNER_TROUBLE};

	interrupt->arg = &l;
	interrupt->fn = loading_on_interrupt;
	store_outcomes(c->store, job->id, loading_on_outcome, &l);
	loop_run(c->loop);
	interrupt->fn = NULL;
	if (l.status != RUNNER_OK) {
		store_close(c->store); /* it may have more to tell */
		c->store = NULL;
		fold_destroy(l.fold);
		l.fold = NULL;
	}
	*fold = l.fold;
	return l.status;
}

struct choice {
	unsigned int states;
	struct hosts *out;
};

static void
choose(const struct outcome *o, bool target, void *arg)
{
	struct choice *choice = arg;

	if (target && (choice->states & (1U << o->state)) != 0)
		hosts_add(choice->out, o->host);
}

void
job_state_hosts(const struct fold *fold, unsigned int states, struct hosts *out)
{
	struct choice choice = {.states = states, .out = out};

	fold_each(fold, wallclock_ms(), choose, &choice);
	hosts_sort(out);
}
