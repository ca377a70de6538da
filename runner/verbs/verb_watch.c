/* SPDX-License-Identifier: Apache-2.0 */
/* "watch JOB" and "result JOB": a job that was sent, followed until its end or as it stands now. */
#include "runner/interrupt.h"
#include "runner/job/job_follow.h"
#include "runner/job/job_lookup.h"
#include "runner/job/sender.h"
#include "runner/verb.h"
#include "shared/base/wallclock.h"
#include "shared/event/loop.h"
#include "shared/store/job.h"
#include "shared/store/store.h"

struct watching {
	struct loop *loop;
	struct job_follow *follow;
	int status;
	bool ended;
};

static void
watching_on_end(int exit_status, void *arg)
{
	struct watching *w = arg;

	w->status = exit_status;
	w->ended = true;
	loop_stop(w->loop);
}

static void
watching_on_interrupt(void *arg)
{
	struct watching *w = arg;

	if (w->ended)
		return;
	watching_on_end(job_follow_interrupted(w->follow), w);
}

/* wait_ms 0: until nothing is open; below: how it stands now. */
static int
follow_job(struct runner_context *c, struct interrupt *interrupt, const struct job *job,
    int64_t wait_ms, const struct uri *brokers, size_t n_brokers)
{
	struct output_options output;
	struct watching w = {.loop = c->loop, .status = RUNNER_TROUBLE};
	struct job_follow_request req = {
	    .watch = {.loop = c->loop,
		.options = &c->cli->options,
		.brokers = brokers,
		.n_brokers = n_brokers,
		.store = c->store,
		.job = job},
	    .output = &output,
	    .on_end = watching_on_end,
	    .arg = &w,
	};

	output_options_from(&output, c->arg);
	w.follow = job_follow_create(&req);
	interrupt->arg = &w;
	interrupt->fn = watching_on_interrupt;
	job_watch_start(job_follow_watch(w.follow));
	if (wait_ms != 0)
		job_watch_set_deadline(
		    job_follow_watch(w.follow), mono_add(loop_now(c->loop), wait_ms));
	loop_run(c->loop);
	interrupt->fn = NULL;
	store_close(c->store);
	c->store = NULL;
	job_follow_destroy(w.follow);
	return w.status;
}

/* Tells on stderr no more than trouble, unless more was asked for. */
static void
tell_job(const struct runner_arguments *a, const struct job *job)
{
	if (!a->quiet && !a->json && !a->jsonl && a->verbose)
		sender_tell_job(job, wallclock_ms());
}

int
verb_watch(struct runner_context *c)
{
	struct uri *brokers = NULL;
	size_t n_brokers = 0;
	struct interrupt interrupt;
	struct job job;
	int status;

	interrupt_init(&interrupt, c->loop);
	status = job_lookup(c, &interrupt, c->arg->words[0], &job);
	if (status != RUNNER_OK)
		return status;
	tell_job(c->arg, &job);
	/* A watch without a broker only takes a moment longer. */
	if (c->cli->options.qhost != NULL)
		cli_brokers(c->cli, &brokers, &n_brokers);
	status = follow_job(c, &interrupt, &job, c->arg->wait_ms, brokers, n_brokers);
	uri_list_free(brokers, n_brokers);
	job_finish(&job);
	return status;
}

int
verb_result(struct runner_context *c)
{
	struct interrupt interrupt;
	struct job job;
	int status;

	interrupt_init(&interrupt, c->loop);
	status = job_lookup(c, &interrupt, c->arg->words[0], &job);
	if (status != RUNNER_OK)
		return status;
	tell_job(c->arg, &job);
	status = follow_job(c, &interrupt, &job, -1, NULL, 0);
	job_finish(&job);
	return status;
}
