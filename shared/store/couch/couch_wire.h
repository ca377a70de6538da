/* SPDX-License-Identifier: Apache-2.0 */
/* This makes what goes to CouchDB and reads what its answers mean, without any I/O: URLs, bodies,
 * and the reading of an answer into what the caller is to do. Answers of _bulk_docs and _all_docs
 * are read by id, never by position. */
#ifndef VOGELER_COUCH_WIRE_H
#define VOGELER_COUCH_WIRE_H

#include "shared/base/trouble.h"
#include "shared/base/uri.h"
#include "shared/store/couch/http.h"
#include "shared/store/store.h"
#include "shared/wire/jspan.h"
#include <stdbool.h>
#include <stddef.h>

struct buf;

/* "http://host:5984/db", without user and password; malloced. */
char *couch_url(const struct uri *uri);
/* base + "/" + id, percent-encoded; "_design/" and "_local/" of an id stay as they are; malloced.
 */
char *couch_url_doc(const char *base, const char *id);
/* A range of _all_docs, by id; NULL = no bound. */
struct couch_range {
	const char *start, *end;
	const char *view; /* a path to it, whose keys are strings; NULL: _all_docs */
	size_t limit;
	bool docs;       /* with the documents */
	bool descending; /* then start is above end */
	bool stale;      /* of a view: as it is, without CouchDB bringing it up to date first */
};
char *couch_url_range(const char *base, const struct couch_range *range); /* malloced */
/* {"keys": [...]}. false: over the cap. */
bool couch_keys_body(struct buf *out, const char *const *ids, size_t n)
    __attribute__((warn_unused_result));

/* An answer as a whole means one of these. */
enum couch_answer {
	COUCH_DONE,     /* the status that was wanted; the body is still to be read */
	COUCH_MISSING,  /* 404, and it is the document that is not there */
	COUCH_NO_DB,    /* 404, and it is the database */
	COUCH_CONFLICT, /* 409 */
	COUCH_EXISTS,   /* 412 */
	COUCH_DENIED,   /* 401, 403 */
	COUCH_BAD,      /* 400, 413: there is something in the request that it will never take */
	COUCH_UNKNOWN,  /* no answer, 5xx, 202, a proxy's page...: may or may not have been done */
};
const char *couch_answer_name(enum couch_answer a); /* for tests */
/* want: 200 or 201. Unless COUCH_DONE, why gets one phrase that names the store by id (a redacted
 * URI), says what happened, and what can be done about it. */
enum couch_answer couch_answer_read(
    const struct http_response *r, long want, const char *id, struct trouble *why);
/* Says what it means for a request that writes n records, or reads them to write them. Not for
 * COUCH_DONE. */
enum store_status couch_answer_status(enum couch_answer a, size_t n);
/* Describes a body that is not what its status promised; why as above. */
void couch_answer_garbled(const struct http_response *r, const char *id, struct trouble *why);

/* One item of the answer to _bulk_docs. Strings owned. */
struct couch_item {
	char *id;
	char *rev;                /* of STORE_OK */
	struct trouble *why;      /* NULL of STORE_OK */
	enum store_status status; /* never STORE_REJECT_BATCH */
	bool accepted; /* by fewer nodes than a quorum: STORE_RETRY, for it may be lost */
};
/* false: not such an answer at all. An item without an id is left out. */
bool couch_items_parse(const char *body, size_t len, struct couch_item **items, size_t *n);
/* The items of an answer that was read as *a: all of a 201. A 202 is of a batch that had no quorum
 * somewhere; when it tells which items are meant, the others are as good as with 201, and *a
 * becomes COUCH_DONE; else nothing of it counts. Garbled: *a becomes COUCH_UNKNOWN, and why says
 * so. */
void couch_items_read(const struct http_response *r, const char *id, enum couch_answer *a,
    struct couch_item **items, size_t *n, struct trouble *why);
void couch_items_free(struct couch_item *items, size_t n);

/* One row of an answer of _all_docs. */
struct couch_row {
	char *id;         /* owned: couch_row_finish */
	char *rev;        /* owned; NULL when deleted, not found or error */
	struct jspan doc; /* borrowed from the body; not there when rev is not, or not asked for */
	struct jspan value; /* borrowed; of a view's row, what was emitted */
	bool error;         /* the store failed to read it: neither there nor not there */
};
struct couch_rows {
	struct jspan_iter it;
};
/* false: not such an answer. The body is borrowed while the rows are walked. */
bool couch_rows_open(struct couch_rows *rows, const char *body, size_t len);
/* false at the end, or with rows->it.bad. */
bool couch_rows_next(struct couch_rows *rows, struct couch_row *row);
void couch_row_finish(struct couch_row *row);

/* The documents of an answer of _find, to be walked with jspan_next_element. false: not one. */
bool couch_docs_open(struct jspan_iter *it, const char *body, size_t len);

/* The documents of an answer of _bulk_get; what could not be read is passed over. */
struct couch_results {
	struct jspan_iter it, docs;
	struct jspan id; /* of the documents that docs walks */
	bool bad;
};
/* false: not one. */
bool couch_results_open(struct couch_results *r, const char *body, size_t len);
/* false at the end, or with r->bad. *id: the caller's. */
bool couch_results_next(struct couch_results *r, char **id, struct jspan *doc);

/* {"ok": true, "rev": REV} of a PUT, or a document's "_rev"; malloced, NULL when there is none. */
char *couch_rev(const char *body, size_t len);

#endif
