/* SPDX-License-Identifier: Apache-2.0 */
/* A record as CouchDB holds it, taken apart so that a response changes one part of it without the
 * others being parsed: each value stays the text it is. What Vogeler did not write (records of
 * 2010, other people's keys, attachment stubs) is kept: it becomes a fact without meta. Pure.
 *
 * A result that only confirms a value need not write the whole record again: what it says goes into
 * a small document beside it, the mark, mark/HOST, with the metadata of the plugins that have been
 * confirmed since the record was written. A record that has marks beside it, or may, bears a number
 * ("_mark" under "vogeler"), and the mark bears the number of the record it is of (couch_put.c has
 * the rules by which they are written). Reading puts both together; a mark of another number says
 * nothing any more.
 *
 * What was read proves nothing: a write that was answered with 202, or not at all, may be on one
 * node of three, from which it is read back and with which it goes. Only a 201 says that a quorum
 * has it, and that is told to who wrote it. So a record or a mark is proven when the store has
 * answered 201 for that revision to this process; until then it is written, changed or not. */
#ifndef VOGELER_COUCH_DOC_H
#define VOGELER_COUCH_DOC_H

#include "shared/base/mono.h"
#include "shared/base/trouble.h"
#include "shared/store/record.h"
#include "shared/wire/jspan.h"
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

/* A write makes this of a record. */
enum couch_change {
	COUCH_SAME,    /* nothing: it is in the store as it is, and that is proven */
	COUCH_FRESH,   /* values were confirmed, or a host greeted: times, orders and the like */
	COUCH_CHANGED, /* a value, a failure, its end, an error, or a record that was not there */
};

struct couch_mark {         /* all owned */
	char *rev;          /* NULL: there is none in the store */
	int64_t of;         /* the number of the record */
	bool sealed;        /* the record is about to be written: nobody may write another */
	bool proven;        /* the store answered 201 for rev, to us */
	json_t *metas;      /* of a mark just read, by plugin; else NULL */
	json_t *lost;       /* of a mark just read: its revisions in conflict, as texts; or NULL */
	int64_t updated_at; /* wall ms; the same */
};
/* The host of a mark's id, a part of it; NULL: that is none. */
const char *couch_marked_host(const char *id);
void couch_mark_finish(struct couch_mark *m);
/* Reads {"_id": "mark/HOST", "_rev": ..., ...}. false: it is not one. */
bool couch_mark_parse(struct jspan doc, struct couch_mark *m) __attribute__((warn_unused_result));

struct couch_part { /* of a plugin, beside its fact; all owned */
	bool fresh; /* meta is newer than the record: it goes into the mark */
	bool
	    edited; /* the value in the record has not the hash that meta says, or is gone: somebody
		       else has been at it, and the next result of that hash puts it right */
	bool borrowed; /* the value is that of a result, which lives until the write is answered */
	void *packed;  /* the value compressed; then fact.value may be NULL, with its value_len */
	size_t packed_len;
};

struct couch_doc { /* all owned */
	struct record_head head;
	char *rev;    /* NULL: not in the store (never was, or deleted) */
	bool proven;  /* the store answered 201 for rev, to us */
	json_t *lost; /* revisions in conflict with rev, as texts; NULL: none (couch_merge.h) */
	struct mono read_at;
	bool again;     /* it is to be read anew with the next write */
	char **plugins; /* sorted, no two alike; facts[i] and parts[i] are of plugins[i] */
	struct fact *facts;
	struct couch_part *parts;
	size_t n, cap;
	int64_t number; /* of the record in the store; 0: no mark may be beside it */
	struct couch_mark mark;
	char *confirmed;          /* what the mark in the store says, if it is of that number */
	char *pending;            /* and what the one says that is being written */
	enum couch_change change; /* since it was as the store has it */
	bool has_verified;
	struct mono verified; /* when the store was last asked whether it has the record as known */
	bool unmarked;        /* the store takes no marks: the record is written without number */
};

/* An empty record that is not in the store yet. */
struct couch_doc *couch_doc_create(const char *host);
void couch_doc_destroy(struct couch_doc *d); /* NULL is fine */
/* Reads {"_id": host, "_rev": ..., ...}. NULL: why says it; then it cannot be written back without
 * losing something. */
struct couch_doc *couch_doc_parse(const char *host, struct jspan doc, struct trouble *why);
/* Takes over what is in m, which was read beside it. false: out of memory. */
bool couch_doc_take_mark(struct couch_doc *d, struct couch_mark *m)
    __attribute__((warn_unused_result));
/* Confirms what m says of the values, if it is of the record's number, and not older than what is
 * known. It need not be the mark that is in the store. true: something is newer. */
bool couch_doc_confirm(struct couch_doc *d, const struct couch_mark *m);
/* The place of a plugin, which is made if it is not there. */
size_t couch_doc_place(struct couch_doc *d, const char *plugin);
/* Is all that was read of it, the mark included, known to be safe in the store? */
bool couch_doc_is_proven(const struct couch_doc *d);
/* Every result of w, in order. Never COUCH_SAME while it is not proven. Values, which may be
 * megabytes, stay the results': until d is packed, or owns them, w has to live. */
enum couch_change couch_doc_apply(struct couch_doc *d, const struct store_write *w);
/* Would w, as far as can be seen without applying it, only confirm what is there? */
bool couch_doc_confirms(const struct couch_doc *d, const struct store_write *w);
/* Might somebody write a mark beside the record as the store has it? Then the record itself may be
 * written only after a seal. */
bool couch_doc_is_open(const struct couch_doc *d);
/* May we? Only beside a record that is proven: with the record the mark would go. */
bool couch_doc_takes_mark(const struct couch_doc *d);

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

/* Copies the values that are results'. */
void couch_doc_own(struct couch_doc *d);
/* Compresses the values for which that pays, or was done before, and owns the others; and the
 * reverse, false: out of memory. */
void couch_doc_pack(struct couch_doc *d, struct pack *p);
bool couch_doc_unpack(struct couch_doc *d, struct pack *p) __attribute__((warn_unused_result));
/* About what it takes in memory. */
size_t couch_doc_bytes(const struct couch_doc *d);
/* About the length of the record's text when w will have been applied. */
size_t couch_doc_text_bytes(const struct couch_doc *d, const struct store_write *w);

/* Every record says what it is, in 2010 too; other documents may lie in the same database. */
#define COUCH_RECORD_TYPE "SystemRecord"

/* Says whether it is one, by what it says of itself. */
bool couch_doc_is_record(const json_t *doc);
/* A document as jansson's value, for get and list: nesting and integers that jsonx_parse refuses
 * are taken too, the latter as reals. NULL: why says it. */
json_t *couch_doc_json(struct jspan doc, struct trouble *why);
/* Makes of a record and its mark, as they were read, what is to be shown: takes what is only for
 * CouchDB out of rec, and puts in what m says. m may be NULL. */
void couch_doc_show(json_t *rec, const struct couch_mark *m);
/* Marks the metadata of values that are not what the host has sent: "edited": true. Hashes every
 * value, so it is for one record, not for a list. */
void couch_doc_show_edited(json_t *rec);

#endif
