/* SPDX-License-Identifier: Apache-2.0 */
/* A job as people follow it: the watch, its progress on stderr, its events (--jsonl) and in the end
 * the summary on stdout, with the exit status. Used by all that waits: sending with --wait, watch.
 */
#ifndef VOGELER_JOB_FOLLOW_H
#define VOGELER_JOB_FOLLOW_H

#include "runner/job/job_watch.h"
#include "runner/print/summary.h"
#include <stdbool.h>

struct job_follow;

struct job_follow_request {
	struct job_watch_request watch;
	const struct output_options *output; /* borrowed until job_follow_destroy */
	void (*on_ready)(void *arg);         /* as of struct job_watch_handlers; may be NULL */
	/* The summary is printed, or a sentence on stderr says why not. */
	void (*on_end)(int exit_status, void *arg);
	void *arg;
};

struct job_follow *job_follow_create(const struct job_follow_request *req);
/* After store_close(), as job_watch_destroy(). NULL is fine. */
void job_follow_destroy(struct job_follow *f);

/* Lends the watch for job_watch_reply_to, job_watch_start, job_watch_set_deadline,
 * job_watch_add. */
struct job_watch *job_follow_watch(struct job_follow *f);
/* Says whether the summary is printed. */
bool job_follow_summed_up(const struct job_follow *f);
/* Ctrl-C: the progress line goes, and a line on stderr says that the job goes on, and how to come
 * back to it; on_end is not called any more. Returns the exit status, 130. */
int job_follow_interrupted(struct job_follow *f);
/* Clears the progress line, so that something else may be written on stderr; it comes back. */
void job_follow_make_room(struct job_follow *f);

#endif
