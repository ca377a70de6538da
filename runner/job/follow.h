/* A job as people follow it: the watch, its progress on stderr, its events (--jsonl) and in the end
 * the summary on stdout, with the exit status. Used by all that waits: sending with --wait, watch.
 */
#ifndef VOGELER_FOLLOW_H
#define VOGELER_FOLLOW_H

#include "runner/job/watch.h"
#include "runner/print/summary.h"
#include <stdbool.h>

struct follow;

struct follow_request {
	struct watch_request watch;
	const struct output_options *output; /* borrowed until follow_destroy */
	void (*on_ready)(void *arg);         /* as of struct watch_handlers; may be NULL */
	/* The summary is printed, or a sentence on stderr says why not. */
	void (*on_end)(int exit_status, void *arg);
	void *arg;
};

struct follow *follow_create(const struct follow_request *req);
/* After store_close(), as watch_destroy(). NULL is fine. */
void follow_destroy(struct follow *f);

/* For watch_reply_to, watch_start, watch_set_deadline, watch_add. */
struct watch *follow_watch(struct follow *f);
/* The summary is printed. */
bool follow_summed_up(const struct follow *f);
/* Ctrl-C: the progress line goes, and a line on stderr says that the job goes on, and how to come
 * back to it; on_end is not called any more. Returns the exit status, 130. */
int follow_interrupted(struct follow *f);
/* Clears the progress line, so that something else may be written on stderr; it comes back. */
void follow_make_room(struct follow *f);

#endif
