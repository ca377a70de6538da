/* SPDX-License-Identifier: Apache-2.0 */
/* Follows one job until every target's end is known, or until a deadline.
 *
 * The store is the truth: it is asked again and again, at first every second, and never more than a
 * small share of the time. The collector's notices make it quick: they come to a queue of our own,
 * named in the command's reply_to, and move what is shown. One that is lost, forged or missing
 * changes nothing in the end, for only the store's word ends the watch. */
#ifndef VOGELER_JOB_WATCH_H
#define VOGELER_JOB_WATCH_H

#include "shared/base/mono.h"
#include "shared/base/uri.h"
#include "shared/config/options.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fold;
struct job;
struct loop;
struct outcome;
struct store;
struct job_watch;

enum job_watch_end {
	JOB_WATCH_COMPLETE, /* of each target it is known how it ended */
	JOB_WATCH_DEADLINE, /* it is not, and the time is over */
	JOB_WATCH_FAILED,   /* the time is over and the store was out of reach: how it stands is not
			     * known
			     */
};

struct job_watch_request { /* all borrowed until job_watch_destroy */
	struct loop *loop;
	const struct options *options;
	const struct uri *brokers;
	size_t n_brokers; /* 0: no notices, the store alone */
	struct store *store;
	const struct job *job;
};

/* Called on the loop, never from inside a watch_ function. Any may be NULL. */
struct job_watch_handlers {
	/* Once: the queue for notices is there, or it is known that there will be none. A command
	 * that is published after it has its answers noticed. */
	void (*on_ready)(void *arg);
	/* Called when how a host stands has changed; o is borrowed during the call. */
	void (*on_outcome)(const struct outcome *o, bool target, void *arg);
	/* The store does not answer, with these words; NULL: it does again. */
	void (*on_trouble)(const char *text, void *arg);
	/* Once: the clocks do not agree, as the store's word shows; text says which. */
	void (*on_clock)(const char *text, void *arg);
	/* Once, and nothing after it. text: a sentence, of JOB_WATCH_FAILED alone. */
	void (*on_end)(enum job_watch_end end, const char *text, void *arg);
};

struct job_watch *job_watch_create(
    const struct job_watch_request *req, const struct job_watch_handlers *handlers, void *arg);
/* After store_close(): what was asked of the store is forgotten. NULL is fine. */
void job_watch_destroy(struct job_watch *w);

/* "vogeler.reply.<job>", or NULL when notices are not possible. May be asked from the start; what
 * it says at on_ready stays. */
const char *job_watch_reply_to(const struct job_watch *w);
/* Asks the store too from now on: the job is in it. */
void job_watch_start(struct job_watch *w);
/* Sets a deadline; without one (the default) it goes on until it is complete. One in the past ends
 * it after the store was asked once more. */
void job_watch_set_deadline(struct job_watch *w, struct mono deadline);
/* Adds what the caller itself knows and has stored or is storing: UNROUTABLE, CANCELLED. Copies o.
 * No on_outcome for it from inside; it comes on the loop. */
void job_watch_add(struct job_watch *w, const struct outcome *o);
/* Returns how it stands; valid until the next pass of the loop. */
const struct fold *job_watch_fold(const struct job_watch *w);

#endif
