/* SPDX-License-Identifier: Apache-2.0 */
/* Notes are documents note/ID of the records' database, which have a "value". What is there is
 * replaced, whoever wrote it: who writes a note knows all that it says. */
#include "shared/store/couch/couch.h"

#include "shared/base/buf.h"
#include "shared/base/log.h"
#include "shared/base/xalloc.h"
#include "shared/store/couch/couch_doc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	TRIES_MAX = 5, /* against another collector that writes the same */
	NOTES_MAX = 1000,
	KEYS_MAX = 1024 * 1024, /* bytes */
};

#define NOTES_START "note/"

struct notes_op {
	struct couch_op op; /* first */
	json_t *notes;      /* {ID: value} of what is yet to be written */
	unsigned int tries;
};

static void
notes_finish(struct couch_op *op)
{
	json_decref(((struct notes_op *)op)->notes);
}

static void put_look(struct notes_op *p);

static enum couch_answer
read_answer(
    const struct couch_op *op, const struct http_response *r, long want, struct trouble *why)
{
	couch_note_answer(op->c, r);
	return couch_answer_read(r, want, op->c->base.id, why);
}

static void
put_on_written(const struct http_response *r, void *arg)
{
	struct notes_op *p = arg;
	struct trouble why;
	struct couch_item *items;
	size_t n;
	enum couch_answer a = read_answer(&p->op, r, 201, &why);

	couch_items_read(r, p->op.c->base.id, &a, &items, &n, &why);
	for (size_t i = 0; i < n; i++) {
		if (items[i].status == STORE_OK && strncmp(items[i].id, NOTES_START, 5) == 0) {
			json_object_del(p->notes, items[i].id + strlen(NOTES_START));
		} else if (items[i].why != NULL) {
			why = *items[i].why;
			trouble_prefix(&why, "%s: ", p->op.c->base.id);
		}
	}
	couch_items_free(items, n);
	if (json_object_size(p->notes) == 0)
		couch_op_done(&p->op, NULL, "stored");
	else if (a == COUCH_DONE && ++p->tries < TRIES_MAX)
		put_look(p);
	else
		couch_op_done(&p->op, &why, NULL);
}

static void
put_write(struct notes_op *p, const json_t *revs)
{
	json_t *docs = json_array(), *body = json_pack("{s:o}", "docs", docs), *value;
	const char *note;

	json_object_foreach (p->notes, note, value) {
		json_t *doc = json_object();
		char *id;

		xasprintf(&id, NOTES_START "%s", note);
		json_object_set_new(doc, "_id", json_string(id));
		json_object_set_new(doc, "doc_type", json_string("CollectorNote"));
		json_object_set(doc, "_rev", json_object_get(revs, id));
		json_object_set(doc, "value", value);
		json_array_append_new(docs, doc);
		free(id);
	}
	couch_op_post(&p->op, p->op.c->url, "_bulk_docs", body, put_on_written);
}

static void
put_on_looked(const struct http_response *r, void *arg)
{
	struct notes_op *p = arg;
	struct trouble why;
	json_t *revs = json_object();
	struct couch_rows rows;
	struct couch_row row;
	enum couch_answer a = read_answer(&p->op, r, 200, &why);
	bool ok = a == COUCH_DONE && couch_rows_open(&rows, r->body, r->body_len);

	for (; ok && couch_rows_next(&rows, &row); couch_row_finish(&row)) {
		if (row.rev != NULL)
			json_object_set_new(revs, row.id, json_string(row.rev));
	}
	if (a == COUCH_DONE && (!ok || rows.it.bad)) {
		couch_answer_garbled(r, p->op.c->base.id, &why);
		ok = false;
	}
	if (ok)
		put_write(p, revs);
	else
		couch_op_done(&p->op, &why, NULL);
	json_decref(revs);
}

static void
put_look(struct notes_op *p)
{
	size_t n = 0;
	char **ids = xcalloc(json_object_size(p->notes) + 1, sizeof(*ids)), *url;
	struct buf body;
	const char *note;
	json_t *value;

	json_object_foreach (p->notes, note, value)
		xasprintf(&ids[n++], NOTES_START "%s", note);
	buf_init(&body, KEYS_MAX);
	if (!couch_keys_body(&body, (const char *const *)ids, n))
		fatal("store", "out of memory");
	xasprintf(&url, "%s/_all_docs", p->op.c->url);
	couch_op_request(&p->op, "POST", url, buf_take(&body, NULL), put_on_looked);
	free(url);
	while (n > 0)
		free(ids[--n]);
	free(ids);
}

void
couch_notes_put(struct store *s, const json_t *notes, store_done_fn *fn, void *arg)
{
	struct notes_op *p =
	    (struct notes_op *)couch_op_create((struct couch *)s, sizeof(*p), notes_finish, arg);

	p->op.fn.done = fn;
	p->notes = json_copy((json_t *)notes);
	put_look(p);
}

static void
got(struct couch_op *op, json_t *notes, const struct trouble *why)
{
	store_got_fn *fn = op->fn.got;
	void *arg = op->arg;

	couch_op_destroy(op);
	fn(notes != NULL ? STORE_FOUND : STORE_FAILED, notes, notes != NULL ? NULL : why, arg);
	json_decref(notes);
}

/* NULL: garbled. */
static json_t *
read_notes(const struct http_response *r)
{
	json_t *notes = json_object();
	struct couch_rows rows;
	struct couch_row row;
	bool ok = couch_rows_open(&rows, r->body, r->body_len);

	for (; ok && couch_rows_next(&rows, &row); couch_row_finish(&row)) {
		struct trouble why;
		json_t *doc = row.doc.text == NULL ? NULL : couch_doc_json(row.doc, &why);
		json_t *value = json_object_get(doc, "value");

		if (value != NULL && strncmp(row.id, NOTES_START, strlen(NOTES_START)) == 0)
			json_object_set(notes, row.id + strlen(NOTES_START), value);
		ok = !row.error;
		json_decref(doc);
	}
	if (ok && !rows.it.bad)
		return notes;
	json_decref(notes);
	return NULL;
}

static void
notes_on_answer(const struct http_response *r, void *arg)
{
	struct couch_op *op = arg;
	struct trouble why;
	enum couch_answer a = read_answer(op, r, 200, &why);
	json_t *notes = a == COUCH_DONE ? read_notes(r) : NULL;

	if (a == COUCH_DONE && notes == NULL)
		couch_answer_garbled(r, op->c->base.id, &why);
	got(op, notes, &why);
}

void
couch_notes(struct store *s, const char *prefix, store_got_fn *fn, void *arg)
{
	struct couch_op *op = couch_op_create((struct couch *)s, sizeof(*op), NULL, arg);
	char *start, *end, *url;
	struct couch_range range = {.limit = NOTES_MAX, .docs = true};

	op->fn.got = fn;
	xasprintf(&start, NOTES_START "%s", prefix);
	xasprintf(&end, NOTES_START "%s~", prefix);
	range.start = start;
	range.end = end;
	url = couch_url_range(op->c->url, &range);
	couch_op_request(op, "GET", url, NULL, notes_on_answer);
	free(url);
	free(end);
	free(start);
}
