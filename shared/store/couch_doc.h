/* A record as CouchDB holds it, taken apart so that a response changes one part of it without the
 * others being parsed: each value stays the text it is. What Vogeler did not write (records of
 * 2010, other people's keys, attachment stubs) is kept: it becomes a fact without meta. Pure.
 *
 * A result that only confirms a value need not write the whole record again: what it says goes into
 * a small document beside it, the mark, mark/HOST, with the metadata of the plugins that have been
 * confirmed since the record was written. A record that has marks beside it, or may, bears a number
 * ("_mark" under "vogeler"), and the mark bears the number of the record it is of (couch_put.c has
 * the rules by which they are written). Reading puts both together; a mark of another number says
 * nothing any more. */
#ifndef VOGELER_COUCH_DOC_H
#define VOGELER_COUCH_DOC_H

#include "shared/store/jspan.h"
#include "shared/store/record.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct pack;
struct store_write;

/* No host's name has a slash. '0' is what follows '/': all of them, and nothing else, are from the
 * one to the other. */
#define COUCH_MARKS_START "mark/"
#define COUCH_MARKS_END   "mark0"

/* What a write makes of a record. */
enum couch_change {
	COUCH_SAME,    /* nothing: it is in the store as it is */
	COUCH_FRESH,   /* values were confirmed, or a host greeted: times, orders and the like */
	COUCH_CHANGED, /* a value, a failure, its end, an error, or a record that was not there */
};

struct couch_mark {         /* all owned */
	char *rev;          /* NULL: there is none in the store */
	int64_t of;         /* the number of the record */
	bool sealed;        /* the record is about to be written: nobody may write another */
	json_t *metas;      /* of a mark just read, by plugin; else NULL */
	int64_t updated_at; /* wall ms; the same */
};
/* The host of a mark's id, a part of it; NULL: that is none. */
const char *couch_marked_host(const char *id);
void couch_mark_finish(struct couch_mark *m);
/* From {"_id": "mark/HOST", "_rev": ..., ...}. false: it is not one. */
bool couch_mark_parse(struct jspan doc, struct couch_mark *m) __attribute__((warn_unused_result));

struct couch_part {   /* of a plugin, beside its fact; all owned */
	bool fresh;   /* meta is newer than the record: it goes into the mark */
	void *packed; /* the value compressed; then fact.value may be NULL, with its value_len */
	size_t packed_len;
};

struct couch_doc { /* all owned */
	struct record_head head;
	char *rev;      /* NULL: not in the store (never was, or deleted) */
	char **plugins; /* sorted, no two alike; facts[i] and parts[i] are of plugins[i] */
	struct fact *facts;
	struct couch_part *parts;
	size_t n, cap;
	int64_t number; /* of the record in the store; 0: no mark may be beside it */
	struct couch_mark mark;
	char *confirmed;          /* what the mark in the store says, if it is of that number */
	char *pending;            /* and what the one says that is being written */
	enum couch_change change; /* since it was as the store has it */
	bool unmarked; /* the store takes no marks: the record is written without number */
};

/* An empty record that is not in the store yet. */
struct couch_doc *couch_doc_create(const char *host);
void couch_doc_destroy(struct couch_doc *d); /* NULL is fine */
/* From {"_id": host, "_rev": ..., ...}. NULL: err says why; then it cannot be written back without
 * losing something. */
struct couch_doc *couch_doc_parse(const char *host, struct jspan doc, char *err, size_t err_size);
/* What was read beside it: takes over what is in m. false: out of memory. */
bool couch_doc_take_mark(struct couch_doc *d, struct couch_mark *m)
    __attribute__((warn_unused_result));
/* Every result of w, in order. */
enum couch_change couch_doc_apply(struct couch_doc *d, const struct store_write *w);
/* Would w, as far as can be seen without applying it, only confirm what is there? */
bool couch_doc_confirms(const struct couch_doc *d, const struct store_write *w);
/* May a mark be written beside the record as the store has it? Then the record itself may be
 * written only after a seal. */
bool couch_doc_is_open(const struct couch_doc *d);

/* The three documents that can be written. Each appends its JSON text; false: over out's cap.
 * The record: all values are to be unpacked. */
bool couch_doc_write(struct buf *out, const struct couch_doc *d)
    __attribute__((warn_unused_result));
/* The mark of all that is confirmed by now. */
bool couch_doc_write_mark(struct buf *out, struct couch_doc *d) __attribute__((warn_unused_result));
/* The mark as the store has it, sealed. */
bool couch_doc_write_seal(struct buf *out, const struct couch_doc *d)
    __attribute__((warn_unused_result));
/* The store has it, under that revision. */
void couch_doc_set_rev(struct couch_doc *d, const char *rev);
void couch_doc_set_marked(struct couch_doc *d, const char *rev);
void couch_doc_set_sealed(struct couch_doc *d, const char *rev);

/* Compresses the values for which that pays, or was done before; and the reverse, false: out of
 * memory. */
void couch_doc_pack(struct couch_doc *d, struct pack *p);
bool couch_doc_unpack(struct couch_doc *d, struct pack *p) __attribute__((warn_unused_result));
/* About what it takes in memory. */
size_t couch_doc_bytes(const struct couch_doc *d);
/* About the length of the record's text when w will have been applied. */
size_t couch_doc_text_bytes(const struct couch_doc *d, const struct store_write *w);

/* A document as jansson's value, for get and list: nesting and integers that jsonx_parse refuses
 * are taken too, the latter as reals. NULL: err says why. */
json_t *couch_doc_json(struct jspan doc, char *err, size_t err_size);
/* Makes of a record and its mark, as they were read, what is to be shown: takes what is only for
 * CouchDB out of rec, and puts in what m says. m may be NULL. */
void couch_doc_show(json_t *rec, const struct couch_mark *m);

#endif
