/* A record as CouchDB holds it, taken apart so that a response changes one part of it without the
 * others being parsed: each value stays the text it is. What Vogeler did not write (records of
 * 2010, other people's keys, attachment stubs) is kept: it becomes a fact without meta. Pure. */
#ifndef VOGELER_COUCH_DOC_H
#define VOGELER_COUCH_DOC_H

#include "shared/store/jspan.h"
#include "shared/store/record.h"
#include <stdbool.h>
#include <stddef.h>

struct buf;
struct store_write;

struct couch_doc { /* all owned */
	struct record_head head;
	char *rev;      /* NULL: not in the store (never was, or deleted) */
	char **plugins; /* sorted, no two alike; facts[i] is of plugins[i] */
	struct fact *facts;
	size_t n, cap;
};

/* An empty record that is not in the store yet. */
struct couch_doc *couch_doc_create(const char *host);
void couch_doc_destroy(struct couch_doc *d); /* NULL is fine */
/* From {"_id": host, "_rev": ..., ...}. NULL: err says why; then it cannot be written back without
 * losing something. */
struct couch_doc *couch_doc_parse(const char *host, struct jspan doc, char *err, size_t err_size);
/* Every result of w, in order. true: it differs from what is in the store and is to be written. */
bool couch_doc_apply(struct couch_doc *d, const struct store_write *w);
/* Appends the JSON text. false: over out's cap. */
bool couch_doc_write(struct buf *out, const struct couch_doc *d)
    __attribute__((warn_unused_result));
void couch_doc_set_rev(struct couch_doc *d, const char *rev);
/* About what it takes in memory. */
size_t couch_doc_bytes(const struct couch_doc *d);

/* A document as jansson's value, for get and list: nesting and integers that jsonx_parse refuses
 * are taken too, the latter as reals. NULL: err says why. */
json_t *couch_doc_json(struct jspan doc, char *err, size_t err_size);

#endif
