/* SPDX-License-Identifier: Apache-2.0 */
/* A host that was named and has no record: what is said of it, with the one that may have been
 * meant. */
#ifndef VOGELER_ADMIN_MISSING_H
#define VOGELER_ADMIN_MISSING_H

#include "admin/verb.h"

#include "shared/target/target.h"

/* The caller's, until fn is called. */
struct known_reading {
	struct hosts *known;
	void (*fn)(const struct trouble *why, void *arg);
	void *arg;
};
/* Adds the names of all hosts that have a record to known, which is sorted then. why: they cannot
 * be read; NULL = they are there. */
void known_read(struct known_reading *r, struct store *store, struct hosts *known,
    void (*fn)(const struct trouble *why, void *arg), void *arg);

/* word: a name, a glob or "@GROUP". known: sorted; may be empty, when nobody knows. */
void missing_say(const struct store *store, const struct hosts *known, const char *word);
/* All were meant, and there is none. */
void missing_say_nobody(void);
/* The end of a verb whose host, its first argument, has no record (STORE_MISSING), or one that
 * cannot be read. */
void missing_end(struct verb_context *v, enum store_found found, const struct trouble *why);

#endif
