/* See follow.h. */
#include "runner/follow.h"

#include "runner/events.h"
#include "runner/progress.h"
#include "shared/loop.h"
#include "shared/store/ledger.h"
#include "shared/wall.h"
#include "shared/xalloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct follow {
	struct follow_request req;
	struct watch *watch;
	struct progress *progress;
	bool told_job, ended;
};

static bool
is_jsonl(const struct follow *f)
{
	return f->req.output->format == OUTPUT_JSONL;
}

static void
say(struct follow *f, const char *text)
{
	follow_make_room(f);
	fprintf(stderr, "vogeler-runner: ");
	output_clean(stderr, text);
	fputc('\n', stderr);
}

static void
tell_job(struct follow *f)
{
	if (is_jsonl(f) && !f->told_job)
		output_event(stdout, event_job(f->req.watch.job));
	f->told_job = true;
}

static void
end(struct follow *f, int exit_status)
{
	if (f->ended)
		return;
	f->ended = true;
	f->req.on_end(exit_status, f->req.arg);
}

static void
follow_on_ready(void *arg)
{
	struct follow *f = arg;

	if (f->req.on_ready != NULL)
		f->req.on_ready(f->req.arg);
}

static void
follow_on_outcome(const struct outcome *o, bool target, void *arg)
{
	struct follow *f = arg;

	progress_touch(f->progress);
	if (!is_jsonl(f) || f->ended)
		return;
	tell_job(f);
	output_event(stdout, event_outcome(f->req.watch.job, o, target));
	if (ferror(stdout)) /* nobody reads it any more */
		end(f, 1);
}

static void
follow_on_trouble(const char *text, void *arg)
{
	struct follow *f = arg;
	char *line;

	if (text == NULL) {
		say(f, "the store answers again");
		return;
	}
	xasprintf(&line, "the store does not answer, trying again: %s", text);
	say(f, line);
	free(line);
}

/* Those that nobody wrote an outcome of. */
static void
tell_open(const struct outcome *o, bool target, void *arg)
{
	struct follow *f = arg;

	if (o->state == OUTCOME_QUEUED || o->state == OUTCOME_EXPIRED)
		output_event(stdout, event_outcome(f->req.watch.job, o, target));
}

static int
print_end(struct follow *f)
{
	const struct fold *fold = watch_fold(f->watch);
	int64_t now_ms = wall_ms();
	struct fold_counts counts;

	tell_job(f);
	if (is_jsonl(f))
		fold_each(fold, now_ms, tell_open, f);
	summary_print(stdout, f->req.output, f->req.watch.job, fold, now_ms);
	fold_count(fold, now_ms, &counts);
	return summary_exit_status(&counts);
}

static void
follow_on_end(enum watch_end how, const char *text, void *arg)
{
	struct follow *f = arg;
	int status = 1;

	progress_destroy(f->progress);
	f->progress = NULL;
	if (f->ended)
		return;
	if (how == WATCH_FAILED)
		say(f, text);
	else
		status = print_end(f);
	end(f, status);
}

static const struct watch_handlers handlers = {
    .on_ready = follow_on_ready,
    .on_outcome = follow_on_outcome,
    .on_trouble = follow_on_trouble,
    .on_end = follow_on_end,
};

static void
count(struct fold_counts *out, void *arg)
{
	struct follow *f = arg;

	fold_count(watch_fold(f->watch), wall_ms(), out);
}

struct follow *
follow_create(const struct follow_request *req)
{
	struct follow *f = xcalloc(1, sizeof(*f));

	f->req = *req;
	f->watch = watch_create(&req->watch, &handlers, f);
	/* Events on the same screen say it all. */
	if (!req->output->quiet && !(is_jsonl(f) && isatty(STDOUT_FILENO)))
		f->progress = progress_create(
		    req->watch.loop, STDERR_FILENO, req->output->stderr_color, count, f);
	return f;
}

void
follow_destroy(struct follow *f)
{
	if (f == NULL)
		return;
	progress_destroy(f->progress);
	watch_destroy(f->watch);
	free(f);
}

struct watch *
follow_watch(struct follow *f)
{
	return f->watch;
}

int
follow_interrupted(struct follow *f)
{
	const char *job = f->req.watch.job->id;
	char *line;

	xasprintf(&line,
	    "interrupted; job %s goes on: \"vogeler-runner watch %s\" follows it again", job, job);
	f->ended = true;
	progress_destroy(f->progress);
	f->progress = NULL;
	say(f, line);
	free(line);
	return 130;
}

void
follow_make_room(struct follow *f)
{
	progress_clear(f->progress);
}
