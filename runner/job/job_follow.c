/* SPDX-License-Identifier: Apache-2.0 */
/* See job_follow.h. */
#include "runner/job/job_follow.h"

#include "runner/print/events.h"
#include "runner/print/progress.h"
#include "runner/print/values.h"
#include "runner/verb.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/store/fold.h"
#include "shared/store/job.h"
#include "shared/store/outcome.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct job_follow {
	struct job_follow_request req;
	struct job_watch *watch;
	struct progress *progress;
	struct values *values; /* NULL without --show */
	bool told_job, summed_up, ended;
};

static bool
is_jsonl(const struct job_follow *f)
{
	return f->req.output->format == OUTPUT_JSONL;
}

static void
say(struct job_follow *f, const char *text)
{
	job_follow_make_room(f);
	fprintf(stderr, "vogeler-runner: ");
	output_clean(stderr, text);
	fputc('\n', stderr);
}

static void
tell_job(struct job_follow *f)
{
	if (is_jsonl(f) && !f->told_job)
		output_event(stdout, event_job(f->req.watch.job));
	f->told_job = true;
}

static void
end(struct job_follow *f, int exit_status)
{
	if (f->ended)
		return;
	f->ended = true;
	f->req.on_end(exit_status, f->req.arg);
}

static void
job_follow_on_ready(void *arg)
{
	struct job_follow *f = arg;

	if (f->req.on_ready != NULL)
		f->req.on_ready(f->req.arg);
}

static void
job_follow_on_outcome(const struct outcome *o, bool target, void *arg)
{
	struct job_follow *f = arg;

	progress_touch(f->progress);
	if (f->values != NULL && !f->ended) {
		tell_job(f);
		values_take(f->values, o);
	}
	if (!is_jsonl(f) || f->ended || o->state == OUTCOME_QUEUED)
		return; /* that it is queued is told in the end, if it still is */
	tell_job(f);
	output_event(stdout, event_outcome(f->req.watch.job, o, target));
	if (ferror(stdout)) /* nobody reads it any more */
		end(f, 1);
}

static void
job_follow_on_trouble(const char *text, void *arg)
{
	struct job_follow *f = arg;
	char *line;

	if (text == NULL) {
		say(f, "the store answers again");
		return;
	}
	xasprintf(&line, "the store does not answer, trying again: %s", text);
	say(f, line);
	free(line);
}

static void
job_follow_on_clock(const char *text, void *arg)
{
	say(arg, text);
}

/* Tells of those that nobody wrote an outcome of. */
static void
tell_open(const struct outcome *o, bool target, void *arg)
{
	struct job_follow *f = arg;

	if (o->state == OUTCOME_QUEUED || outcome_is_open(o) ||
	    (o->state == OUTCOME_EXPIRED && o->response_id == NULL))
		output_event(stdout, event_outcome(f->req.watch.job, o, target));
}

static bool
job_follow_told(const struct outcome *o, void *arg)
{
	return values_told(arg, o);
}

static void
print_summary(const struct job_follow *f, const struct fold *fold, int64_t now_ms)
{
	struct summary_shown shown;

	if (f->values != NULL)
		shown = (struct summary_shown){values_json(f->values), job_follow_told, f->values};
	summary_print(stdout, f->req.output, f->req.watch.job, fold, now_ms,
	    f->values == NULL ? NULL : &shown);
}

static int
print_end(struct job_follow *f)
{
	const struct fold *fold = job_watch_fold(f->watch);
	int64_t now_ms = wallclock_ms();
	struct fold_counts counts;
	int status;

	tell_job(f);
	if (is_jsonl(f))
		fold_each(fold, now_ms, tell_open, f);
	print_summary(f, fold, now_ms);
	f->summed_up = true;
	fold_count(fold, now_ms, &counts);
	if (f->values != NULL && values_have_trouble(f->values))
		return RUNNER_TROUBLE;
	status = summary_exit_status(&counts);
	return status == RUNNER_OK && f->values != NULL && values_lack_part(f->values)
		   ? RUNNER_NO_SUCH_HOST
		   : status;
}

static void
values_on_print(void *arg)
{
	job_follow_make_room(arg);
}

static void
values_on_say(const char *text, void *arg)
{
	say(arg, text);
}

static void
values_on_gone(void *arg)
{
	end(arg, RUNNER_TROUBLE);
}

static void
values_on_end(void *arg)
{
	struct job_follow *f = arg;

	if (!f->ended)
		end(f, print_end(f));
}

static void
job_follow_on_end(enum job_watch_end how, const char *text, void *arg)
{
	struct job_follow *f = arg;

	progress_destroy(f->progress);
	f->progress = NULL;
	if (f->ended)
		return;
	if (how == JOB_WATCH_FAILED) {
		if (f->values != NULL)
			values_cut(f->values);
		say(f, text);
		end(f, RUNNER_TROUBLE);
	} else if (f->values != NULL) {
		tell_job(f);
		values_end(f->values, job_watch_fold(f->watch), wallclock_ms());
	} else {
		end(f, print_end(f));
	}
}

static const struct job_watch_handlers handlers = {
    .on_ready = job_follow_on_ready,
    .on_outcome = job_follow_on_outcome,
    .on_trouble = job_follow_on_trouble,
    .on_clock = job_follow_on_clock,
    .on_end = job_follow_on_end,
};

static void
count(struct fold_counts *out, void *arg)
{
	struct job_follow *f = arg;

	fold_count(job_watch_fold(f->watch), wallclock_ms(), out);
}

static struct values *
create_values(struct job_follow *f)
{
	const struct values_request req = {
	    .loop = f->req.watch.loop,
	    .store = f->req.watch.store,
	    .job = f->req.watch.job,
	    .output = f->req.output,
	    .on_print = values_on_print,
	    .on_say = values_on_say,
	    .on_gone = values_on_gone,
	    .on_end = values_on_end,
	    .arg = f,
	};

	return values_create(&req);
}

struct job_follow *
job_follow_create(const struct job_follow_request *req)
{
	struct job_follow *f = xcalloc(1, sizeof(*f));

	f->req = *req;
	if (req->output->show_path != NULL)
		f->values = create_values(f);
	f->watch = job_watch_create(&req->watch, &handlers, f);
	/* Events on the same screen say it all. */
	if (!req->output->quiet && !(is_jsonl(f) && isatty(STDOUT_FILENO)))
		f->progress = progress_create(
		    req->watch.loop, STDERR_FILENO, req->output->stderr_color, count, f);
	return f;
}

void
job_follow_destroy(struct job_follow *f)
{
	if (f == NULL)
		return;
	progress_destroy(f->progress);
	job_watch_destroy(f->watch);
	values_destroy(f->values);
	free(f);
}

struct job_watch *
job_follow_watch(struct job_follow *f)
{
	return f->watch;
}

bool
job_follow_summed_up(const struct job_follow *f)
{
	return f->summed_up;
}

int
job_follow_interrupted(struct job_follow *f)
{
	const char *job = f->req.watch.job->id;
	char *line;

	xasprintf(&line,
	    "interrupted; job %s goes on: \"vogeler-runner watch %s\" follows it again", job, job);
	f->ended = true;
	progress_destroy(f->progress);
	f->progress = NULL;
	if (f->values != NULL)
		values_cut(f->values);
	say(f, line);
	free(line);
	return 130;
}

void
job_follow_make_room(struct job_follow *f)
{
	progress_clear(f->progress);
}
