/* SPDX-License-Identifier: Apache-2.0 */
/* "rerun JOB": the same plugin again, as a new job, for those of its hosts that are not ok. */
#include "runner/interrupt.h"
#include "runner/job/dispatch.h"
#include "runner/job/job_lookup.h"
#include "runner/job/job_state.h"
#include "runner/target_select.h"
#include "shared/base/xalloc.h"
#include <stdlib.h>

#define BIT(state)  (1U << (state))
#define BITS_FAILED (BIT(OUTCOME_FAILED) | BIT(OUTCOME_TIMEOUT) | BIT(OUTCOME_REFUSED))
#define BITS_MISSING                                                                               \
	(BIT(OUTCOME_SUPERSEDED) | BIT(OUTCOME_UNROUTABLE) | BIT(OUTCOME_CANCELLED) |              \
	    BIT(OUTCOME_EXPIRED) | BIT(OUTCOME_QUEUED) | BIT(OUTCOME_UNSENT))

static unsigned int
chosen_states(const struct runner_arguments *a)
{
	unsigned int states = (a->ok ? BIT(OUTCOME_OK) : 0) | (a->failed ? BITS_FAILED : 0) |
			      (a->missing ? BITS_MISSING : 0);

	return states == 0 ? BITS_FAILED | BITS_MISSING : states;
}

static int
send_again(struct runner_context *c, struct interrupt *interrupt, const struct job *old,
    struct hosts *hosts)
{
	struct dispatch_request req = {.c = c, .interrupt = interrupt};
	struct job job;
	int status;

	dispatch_job(&job, c, old->plugin, old->target == NULL ? "" : old->target, hosts);
	job.rerun_of = xstrdup(old->id);
	req.job = &job;
	status = dispatch_run(&req);
	job_finish(&job);
	return status;
}

static int
rerun(struct runner_context *c, struct interrupt *interrupt, const struct job *old)
{
	struct hosts hosts = {0};
	struct fold *fold;
	int status = job_state_load(c, old, interrupt, &fold);

	if (status != RUNNER_OK)
		return status;
	job_state_hosts(fold, chosen_states(c->arg), &hosts);
	fold_destroy(fold);
	target_select_limit(&hosts, c->arg);
	if (c->arg->dry_run)
		target_select_print(&hosts, c->arg);
	else if (hosts.n > 0)
		status = send_again(c, interrupt, old, &hosts);
	else
		runner_say("no host of job %s is left to run it again: nothing was sent", old->id);
	hosts_finish(&hosts);
	return status;
}

int
verb_rerun(struct runner_context *c)
{
	struct interrupt interrupt;
	struct job old;
	int status;

	interrupt_init(&interrupt, c->loop);
	status = job_lookup(c, &interrupt, c->arg->words[0], &old);
	if (status != RUNNER_OK)
		return status;
	status = rerun(c, &interrupt, &old);
	job_finish(&old);
	return status;
}
