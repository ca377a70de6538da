/* SPDX-License-Identifier: Apache-2.0 */
/* This takes apart what an answer of _all_docs says of the records that were asked for. Pure: a
 * large answer is read on a helper thread, because it may hold megabytes of anything. */
#ifndef VOGELER_COUCH_FETCHED_H
#define VOGELER_COUCH_FETCHED_H

#include "shared/store/couch/couch_doc.h"
#include <stdbool.h>
#include <stddef.h>

enum couch_fetched_kind {
	COUCH_FETCHED_DOC,
	COUCH_FETCHED_MARK,       /* the mark of a record; id is the host's */
	COUCH_FETCHED_UNMARKED,   /* it has none */
	COUCH_FETCHED_MISSING,    /* not there */
	COUCH_FETCHED_ERROR,      /* the store failed to read it: neither there nor not there */
	COUCH_FETCHED_UNREADABLE, /* it could not be written back without losing something */
};

struct couch_fetched_row {
	enum couch_fetched_kind kind;
	char *id;
	struct couch_doc *doc;  /* of DOC, and so is bytes */
	size_t bytes;           /* of its text */
	struct couch_mark mark; /* of MARK */
	struct trouble *why;    /* of UNREADABLE; owned */
};

struct couch_fetched { /* all owned; a doc that is taken out is replaced by NULL */
	struct couch_fetched_row *rows;
	size_t n;
};

/* Initialises f. false: the body is not such an answer, or not all of it: nothing is known of what
 * is not in f. */
bool couch_fetched_parse(struct couch_fetched *f, const char *body, size_t len);
void couch_fetched_finish(struct couch_fetched *f);

#endif
