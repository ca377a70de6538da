/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a range of documents in pages. Each is asked for with one row more than it is to have,
 * which is where the next begins. */
#ifndef VOGELER_COUCH_PAGE_H
#define VOGELER_COUCH_PAGE_H

#include "shared/store/couch/couch.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct couch_page {
	char
	    *start; /* where it begins; NULL: at the start, or, once it is read, there is no next */
	char *end;  /* where the last one ends; NULL: at the end */
	size_t limit; /* rows */
};
void couch_page_finish(struct couch_page *p);

typedef void couch_page_fn(struct couch_op *op, const struct couch_row *row);
/* Calls fn for the rows of the page; then p->start is where the next begins. false: garbled. */
bool couch_page_read(
    struct couch_op *op, struct couch_page *p, const struct http_response *r, couch_page_fn *fn);

/* Asks the ledger's database for the page, with the documents. */
void couch_page_ask(struct couch_op *op, const struct couch_page *p, bool descending, http_fn *fn);
/* An answer says what is to be done. */
enum couch_page_next {
	COUCH_PAGE_AGAIN,  /* it was too large: p->limit is less now, ask again */
	COUCH_PAGE_FAILED, /* why says why */
	COUCH_PAGE_READ,
};
enum couch_page_next couch_page_answer(struct couch_op *op, struct couch_page *p,
    const struct http_response *r, couch_page_fn *fn, struct trouble *why);

/* A document, or what stands for it, of a list. NULL: it is left out, and the log says why.
 * database: a redacted URI. */
json_t *couch_page_json(const char *database, const char *id, struct jspan doc);

#endif
