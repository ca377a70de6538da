/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a range of documents in pages. Each is asked for with one row more than it is to have,
 * which is where the next begins. */
#ifndef VOGELER_COUCH_PAGE_H
#define VOGELER_COUCH_PAGE_H

#include "shared/store/couch/couch.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

typedef void couch_page_fn(struct couch_op *op, const struct couch_row *row);
/* Calls fn for the op->limit rows of the page; then op->startkey is where the next begins, NULL at
 * the end. false: garbled. */
bool couch_page_read(struct couch_op *op, const struct http_response *r, couch_page_fn *fn);

/* Asks the ledger's database for a page from op->startkey to op->endkey, with the documents. */
void couch_page_ask(struct couch_op *op, bool descending, http_fn *fn);
/* An answer says what is to be done. */
enum couch_page_next {
	COUCH_PAGE_AGAIN,  /* it was too large: op->limit is less now, ask again */
	COUCH_PAGE_FAILED, /* why says why */
	COUCH_PAGE_READ,
};
enum couch_page_next couch_page_answer(
    struct couch_op *op, const struct http_response *r, couch_page_fn *fn, struct trouble *why);

/* A document, or what stands for it, of a list. NULL: it is left out, and the log says why.
 * database: a redacted URI. */
json_t *couch_page_json(const char *database, const char *id, struct jspan doc);

#endif
