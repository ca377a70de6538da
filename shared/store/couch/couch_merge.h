/* SPDX-License-Identifier: Apache-2.0 */
/* Revisions of a record that lost. Where somebody replicates into the database, a record may have
 * several last revisions, of which CouchDB shows one, and what the others say is hidden. They are
 * read when it is said that there are some, and what is newer in them goes into the one that is
 * shown; when that is stored, they are removed. Their marks with them. Pure. */
#ifndef VOGELER_COUCH_MERGE_H
#define VOGELER_COUCH_MERGE_H

#include "shared/store/couch/couch_doc.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct buf;

struct couch_lost_mark { /* all owned */
	char *host;
	struct couch_mark mark;
};

struct couch_merge { /* what was read of some records; all owned */
	struct couch_doc **docs;
	size_t n_docs;
	struct couch_lost_mark *marks;
	size_t n_marks;
};

/* Adds what is to be read, if d has lost something, to a list of _bulk_get. */
void couch_merge_ask(const struct couch_doc *d, json_t *docs);
/* Reads what the answer to it holds: megabytes of anything, so a large one is for a helper thread.
 * false: it is none, or not all of it. */
bool couch_merge_read(struct couch_merge *m, const char *body, size_t len);
void couch_merge_finish(struct couch_merge *m);
/* Returns how many bytes the values of d have at most when what is d's in m is taken over. */
size_t couch_merge_bytes(const struct couch_merge *m, const struct couch_doc *d);
/* Takes over into d what is newer in that of m which is d's. Afterwards d->lost, and that of its
 * mark, are the revisions that were read: what could not be read is not to be removed. true: d has
 * changed, and is to be written. */
bool couch_merge_apply(struct couch_merge *m, struct couch_doc *d);
/* The revisions of d that are to be removed, as the list of a _bulk_docs. NULL: there are none. */
json_t *couch_merge_removal(const struct couch_doc *d);

#endif
