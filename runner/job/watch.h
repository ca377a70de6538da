/* Follows one job until every target's end is known, or until a deadline.
 *
 * The store is the truth: it is asked again and again, at first every second, and never more than a
 * small share of the time. The collector's notices make it quick: they come to a queue of our own,
 * named in the command's reply_to, and move what is shown. One that is lost, forged or missing
 * changes nothing in the end, for only the store's word ends the watch. */
#ifndef VOGELER_WATCH_H
#define VOGELER_WATCH_H

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
struct watch;

enum watch_end {
	WATCH_COMPLETE, /* of each target it is known how it ended */
	WATCH_DEADLINE, /* it is not, and the time is over */
	WATCH_FAILED, /* the time is over and the store was out of reach: how it stands is not known
		       */
};

struct watch_request { /* all borrowed until watch_destroy */
	struct loop *loop;
	const struct options *options;
	const struct uri *brokers;
	size_t n_brokers; /* 0: no notices, the store alone */
	struct store *store;
	const struct job *job;
};

/* Called on the loop, never from inside a watch_ function. Any may be NULL. */
struct watch_handlers {
	/* Once: the queue for notices is there, or it is known that there will be none. A command
	 * that is published after it has its answers noticed. */
	void (*on_ready)(void *arg);
	/* How a host stands has changed; o is borrowed during the call. */
	void (*on_outcome)(const struct outcome *o, bool target, void *arg);
	/* The store does not answer, with these words; NULL: it does again. */
	void (*on_trouble)(const char *text, void *arg);
	/* Once: the clocks do not agree, as the store's word shows; text says which. */
	void (*on_clock)(const char *text, void *arg);
	/* Once, and nothing after it. text: a sentence, of WATCH_FAILED alone. */
	void (*on_end)(enum watch_end end, const char *text, void *arg);
};

struct watch *watch_create(
    const struct watch_request *req, const struct watch_handlers *handlers, void *arg);
/* After store_close(): what was asked of the store is forgotten. NULL is fine. */
void watch_destroy(struct watch *w);

/* "vogeler.reply.<job>", or NULL when notices are not possible. May be asked from the start; what
 * it says at on_ready stays. */
const char *watch_reply_to(const struct watch *w);
/* From now on the store is asked too: the job is in it. */
void watch_start(struct watch *w);
/* Without one (the default) it goes on until it is complete. In the past: the end is near, after
 * the store was asked once more. */
void watch_set_deadline(struct watch *w, struct mono deadline);
/* What the caller itself knows and has stored or is storing: UNROUTABLE, CANCELLED. Copies o. No
 * on_outcome for it from inside; it comes on the loop. */
void watch_add(struct watch *w, const struct outcome *o);
/* How it stands; valid until the next pass of the loop. */
const struct fold *watch_fold(const struct watch *w);

#endif
