/* SPDX-License-Identifier: Apache-2.0 */
/* This holds what waits to be written, host by host, and keeps one rule: at most one write of a
 * host is under way. What arrives meanwhile waits and becomes the host's next write, together.
 * Lists and a hash table; no I/O, no clock of its own.
 *
 * Fresh before stale: hosts with a fresh item are taken first, but for each BACKLOG_FRESH_RUN in a
 * row one of the others, so that neither waits for the end of the other. Of a host's items the
 * fresh ones are taken first too; in the write they come last, since the others are older.
 *
 * Bounded by its caller: it holds what was added and was not taken away. */
#ifndef VOGELER_BACKLOG_H
#define VOGELER_BACKLOG_H

#include "shared/base/mono.h"
#include "shared/store/store.h"
#include <bsd/sys/queue.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BACKLOG_FRESH_RUN 7

struct backlog;
struct backlog_host;

/* An item is what one delivery says about one host. */
struct backlog_item {
	TAILQ_ENTRY(backlog_item) link;
	struct result **results; /* owned */
	size_t n;
	size_t bytes;
	void *owner; /* the caller's */
	bool fresh;  /* somebody waits for it */
	struct mono since;
};
TAILQ_HEAD(backlog_items, backlog_item);

/* Taken from the backlog; it stays alive until it is given to backlog_return or backlog_finish. */
struct backlog_write {
	struct store_write write; /* its owner is this struct */
	struct backlog_host *host;
	struct backlog_items items;
	size_t n_items;
	void *put; /* the taker's, as are those that follow */
	size_t slot;
	char *why; /* it was not taken; freed with it */
};

struct backlog *backlog_create(void);
void backlog_destroy(struct backlog *bl); /* and all in it; no write may be out */

/* Takes ownership of results (convert_free()d in the end); returns the bytes that they hold. */
size_t backlog_add(struct backlog *bl, const char *host, struct result **results, size_t n,
    void *owner, bool fresh, struct mono now);
/* The next host, of those alike the one that has been ready longest: all that waits for it up to
 * max_bytes, one item at least. NULL when none is ready. */
struct backlog_write *backlog_take(struct backlog *bl, size_t max_bytes);
/* Takes back a write that was not made: its items wait again, before any that came since, until
 * `until`. */
void backlog_return(struct backlog *bl, struct backlog_write *w, struct mono until);
/* Does the same, and makes the next writes of the host of one item each, to find the one that is
 * refused.
 */
void backlog_return_singly(struct backlog *bl, struct backlog_write *w, struct mono now);
/* Ends a write: frees w and the items left in it. Counts of retries outlast it, while the host has
 * items.
 */
void backlog_finish(struct backlog *bl, struct backlog_write *w);
/* Makes those ready whose time has come. */
void backlog_wake(struct backlog *bl, struct mono now);
/* Frees everything that waits. Writes that are out stay. */
void backlog_clear(struct backlog *bl);

/* The caller counts here how often in a row writes of this host were returned with that trouble,
 * and since when. */
struct backlog_conflicts {
	unsigned int n; /* since the last long pause */
	bool any;
	struct mono since;
};
struct backlog_conflicts *backlog_conflicts(struct backlog_write *w);
struct backlog_retries {
	unsigned int n;
	struct mono since;
	bool suspected; /* refused in a put of which nothing was taken: the host, or the store? */
	uint64_t taken_before; /* writes that the store had taken when it was first suspected */
	bool alone;            /* it was refused alone: to be put alone again, beside the others */
	size_t held_bytes;     /* while it waits, for what is damaged of it */
	bool given_up;         /* it was held for too long, or there is no room to */
};
struct backlog_retries *backlog_retries(const struct backlog_write *w);

size_t backlog_hosts(const struct backlog *bl);       /* all that have items or a write out */
size_t backlog_ready(const struct backlog *bl);       /* hosts */
size_t backlog_ready_bytes(const struct backlog *bl); /* of their items */
/* These find the oldest item of ready hosts, and the next time a host becomes ready. false: there
 * is none. */
bool backlog_oldest(const struct backlog *bl, struct mono *since);
bool backlog_next_wake(const struct backlog *bl, struct mono *at);

#endif
