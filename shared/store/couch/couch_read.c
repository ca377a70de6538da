/* SPDX-License-Identifier: Apache-2.0 */
/* Reading records from CouchDB: one of them, or all in pages. */
#include "shared/store/couch/couch_names.h"
#include "shared/store/couch/couch_page.h"
#include "shared/store/couch/couch_view.h"

#include "shared/base/buf.h"
#include "shared/base/log.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/store/head.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	PAGE_BYTES = 4 * 1024 * 1024,
	PAGE_RECORDS_MAX = 100,
};

/* --- get --- */

static void
got(struct couch_op *op, enum store_found found, json_t *rec, const struct trouble *why)
{
	store_got_fn *fn = op->fn.got;
	void *arg = op->arg;

	couch_op_destroy(op);
	fn(found, rec, why, arg);
}

/* A record and its mark, as far as they are there, each once. */
struct pair {
	json_t *rec;
	struct couch_mark mark;
	bool failed; /* the store did not read one of them */
};

/* false: garbled. */
static bool
read_pair(const struct http_response *r, struct pair *pair)
{
	struct couch_rows rows;
	struct couch_row row;
	struct trouble why;
	bool ok = true;

	*pair = (struct pair){0};
	if (!couch_rows_open(&rows, r->body, r->body_len))
		return false;
	for (; couch_rows_next(&rows, &row); couch_row_finish(&row)) {
		pair->failed = pair->failed || row.error;
		if (row.doc.text == NULL)
			continue;
		if (couch_marked_host(row.id) != NULL) {
			couch_mark_finish(&pair->mark);
			ok = couch_mark_parse(row.doc, &pair->mark) && ok;
		} else {
			json_decref(pair->rec);
			pair->rec = couch_doc_json(row.doc, &why);
			ok = pair->rec != NULL && ok;
		}
	}
	return ok && !rows.it.bad;
}

static void
get_on_answer(const struct http_response *r, void *arg)
{
	struct couch_op *op = arg;
	struct trouble why;
	enum couch_answer a = couch_answer_read(r, 200, op->c->base.id, &why);
	struct pair pair = {0};

	if (a == COUCH_DONE && !read_pair(r, &pair)) {
		couch_answer_garbled(r, op->c->base.id, &why);
		a = COUCH_UNKNOWN;
	} else if (a == COUCH_DONE && pair.failed) {
		trouble_set(
		    &why, TROUBLE_OTHER, NULL, "%s failed to read the record", op->c->base.id);
		a = COUCH_UNKNOWN;
	}
	if (a != COUCH_DONE) {
		got(op, STORE_FAILED, NULL, &why);
	} else if (pair.rec == NULL || !couch_doc_is_record(pair.rec)) {
		got(op, STORE_MISSING, NULL, NULL);
	} else {
		couch_doc_show(pair.rec, &pair.mark);
		couch_doc_show_edited(pair.rec);
		got(op, STORE_FOUND, pair.rec, NULL);
	}
	json_decref(pair.rec);
	couch_mark_finish(&pair.mark);
}

/* Asks for documents. */
static void
ask(struct couch_op *op, const char *const *ids, size_t n, http_fn *fn)
{
	struct buf body;
	char *url;

	buf_init(&body, SIZE_MAX / 2); /* of names that are in memory */
	if (!couch_keys_body(&body, ids, n))
		fatal("store", "out of memory");
	xasprintf(&url, "%s/_all_docs?include_docs=true", op->c->url);
	couch_op_request(op, "POST", url, buf_take(&body, NULL), fn);
	free(url);
}

void
couch_get(struct store *s, const char *host, store_got_fn *fn, void *arg)
{
	struct couch_op *op = couch_op_create((struct couch *)s, sizeof(*op), NULL, arg);
	char *mark;

	xasprintf(&mark, COUCH_MARKS_START "%s", host);
	op->fn.got = fn;
	ask(op, (const char *const[]){host, mark}, 2, get_on_answer);
	free(mark);
}

/* --- list --- */

/* Two ways of asking: whole records are rows of _all_docs; parts come by _find, which leaves the
 * rest of the records where it is (names alone: couch_names.c). All in order of name, in pages.
 * What is no record is passed over: marks, which all lie together in this order, and what other
 * people keep in the same database. A page of whole records is kept until their marks have been
 * asked for. */
struct list_op {
	struct couch_op op; /* first */
	struct couch_page page;
	json_t *fields; /* NULL = whole records, */
	bool heads;     /* of which heads are made */
	char *body;     /* the page of records whose marks are being asked for */
	size_t body_len;
};

static void list_page(struct list_op *l);

static void
list_finish(struct couch_op *op)
{
	struct list_op *l = (struct list_op *)op;

	couch_page_finish(&l->page);
	json_decref(l->fields);
	free(l->body);
}

static bool
is_host(const char *id)
{
	return strchr(id, '/') == NULL;
}

/* Sets where the next page begins. */
static void
go_on_at(struct list_op *l, const char *id)
{
	if (l->page.start == NULL)
		l->page.start = xstrdup(couch_marked_host(id) != NULL ? COUCH_MARKS_END : id);
}

/* marks: by host, each the document. */
static void
list_row(struct list_op *l, const struct couch_row *row, const json_t *marks)
{
	struct trouble why;
	struct couch_mark mark = {0};
	const char *text = json_string_value(json_object_get(marks, row->id));
	struct jspan doc;
	json_t *rec, *head;

	if (!is_host(row->id) || row->doc.text == NULL)
		return;
	couch_note_size(l->op.c, row->doc.len, 1);
	rec = couch_doc_json(row->doc, &why);
	if (rec == NULL) {
		log_warn("store", "store[%s]: left out of the list: " TROUBLE_FMT ", host=%s",
		    l->op.c->base.id, TROUBLE_ARGS(&why), row->id);
		return;
	}
	if (!couch_doc_is_record(rec)) {
		json_decref(rec);
		return;
	}
	if (text != NULL && jspan_value(text, strlen(text), &doc) && !couch_mark_parse(doc, &mark))
		mark = (struct couch_mark){0};
	couch_doc_show(rec, &mark);
	head = l->heads ? head_of_record(rec) : NULL;
	l->op.fn.listed(STORE_FOUND, l->heads ? head : rec, NULL, l->op.arg);
	couch_mark_finish(&mark);
	json_decref(head);
	json_decref(rec);
}

static void
list_next(struct list_op *l)
{
	if (l->page.start != NULL)
		list_page(l);
	else
		couch_op_listed(&l->op, STORE_MISSING, NULL);
}

/* Lists those of the page that is kept. false: garbled. */
static bool
list_records(struct list_op *l, const json_t *marks)
{
	struct couch_rows rows;
	struct couch_row row;
	size_t n = 0;

	if (!couch_rows_open(&rows, l->body, l->body_len))
		return false;
	for (; couch_rows_next(&rows, &row); couch_row_finish(&row))
		if (n++ < l->page.limit)
			list_row(l, &row, marks);
	return true;
}

/* {host: document as text}; NULL: garbled, or one was not read. */
static json_t *
read_marks(const struct http_response *r)
{
	json_t *marks = json_object();
	struct couch_rows rows;
	struct couch_row row;
	bool ok = couch_rows_open(&rows, r->body, r->body_len);

	for (; ok && couch_rows_next(&rows, &row); couch_row_finish(&row)) {
		const char *host = couch_marked_host(row.id);

		ok = !row.error;
		if (host != NULL && row.doc.text != NULL)
			json_object_set_new(marks, host, json_stringn(row.doc.text, row.doc.len));
	}
	if (ok && !rows.it.bad)
		return marks;
	json_decref(marks);
	return NULL;
}

static void
list_on_marks(const struct http_response *r, void *arg)
{
	struct list_op *l = arg;
	struct trouble why;
	enum couch_answer a = couch_answer_read(r, 200, l->op.c->base.id, &why);
	json_t *marks = a == COUCH_DONE ? read_marks(r) : NULL;

	if (a == COUCH_DONE && (marks == NULL || !list_records(l, marks))) {
		couch_answer_garbled(r, l->op.c->base.id, &why);
		a = COUCH_UNKNOWN;
	}
	json_decref(marks);
	if (a == COUCH_DONE)
		list_next(l);
	else
		couch_op_listed(&l->op, STORE_FAILED, &why);
}

/* Keeps the page and asks for the marks. false: garbled. */
static bool
list_keep(struct list_op *l, const struct http_response *r)
{
	char **ids = xcalloc(l->page.limit + 1, sizeof(*ids));
	struct couch_rows rows;
	struct couch_row row;
	size_t n = 0, seen = 0;
	bool ok = couch_rows_open(&rows, r->body, r->body_len);

	for (; ok && couch_rows_next(&rows, &row); couch_row_finish(&row)) {
		if (seen++ >= l->page.limit)
			go_on_at(l, row.id);
		else if (is_host(row.id))
			xasprintf(&ids[n++], COUCH_MARKS_START "%s", row.id);
	}
	ok = ok && !rows.it.bad;
	free(l->body);
	l->body = xstrndup(r->body, r->body_len);
	l->body_len = r->body_len;
	if (ok && n > 0)
		ask(&l->op, (const char *const *)ids, n, list_on_marks);
	else if (ok)
		list_next(l);
	while (n > 0)
		free(ids[--n]);
	free(ids);
	return ok;
}

/* Asked for with one more, too. */
static bool
list_parts(struct list_op *l, const struct http_response *r)
{
	struct jspan_iter it;
	struct jspan doc;
	struct trouble why;
	size_t n = 0;

	if (!couch_docs_open(&it, r->body, r->body_len))
		return false;
	for (; jspan_next_element(&it, &doc); n++) {
		json_t *rec = couch_doc_json(doc, &why);
		const char *id = json_string_value(json_object_get(rec, "_id"));

		if (id != NULL && n >= l->page.limit)
			go_on_at(l, id);
		else if (id != NULL && is_host(id))
			l->op.fn.listed(STORE_FOUND, rec, NULL, l->op.arg);
		json_decref(rec);
		if (id == NULL)
			return false;
	}
	return !it.bad;
}

static bool
read_page(struct list_op *l, const struct http_response *r)
{
	free(l->page.start);
	l->page.start = NULL;
	if (l->fields == NULL)
		return list_keep(l, r);
	if (!list_parts(l, r))
		return false;
	list_next(l);
	return true;
}

static void
list_on_answer(const struct http_response *r, void *arg)
{
	struct list_op *l = arg;
	struct trouble why;
	enum couch_answer a = couch_answer_read(r, 200, l->op.c->base.id, &why);

	if (r->too_large && l->page.limit > 1) {
		couch_note_too_large(l->op.c, l->page.limit);
		list_page(l);
		return;
	}
	if (a == COUCH_DONE && read_page(l, r))
		return;
	if (a == COUCH_DONE)
		couch_answer_garbled(r, l->op.c->base.id, &why);
	couch_op_listed(&l->op, STORE_FAILED, &why);
}

static void
find_page(struct list_op *l)
{
	json_t *from = l->page.start == NULL ? json_pack("{s:n}", "$gt")
					     : json_pack("{s:s}", "$gte", l->page.start);
	json_t *body = json_pack("{s:{s:o,s:s},s:O,s:I,s:[{s:s}]}", "selector", "_id", from,
	    "doc_type", COUCH_RECORD_TYPE, "fields", l->fields, "limit",
	    (json_int_t)l->page.limit + 1, "sort", "_id", "asc");

	couch_op_post(&l->op, l->op.c->url, "_find", body, list_on_answer);
}

static void
list_page(struct list_op *l)
{
	struct couch_range range = {.start = l->page.start, .docs = true};
	char *url;

	l->page.limit = PAGE_BYTES / (l->op.c->mean_bytes + 1) + 1;
	if (l->page.limit > PAGE_RECORDS_MAX)
		l->page.limit = PAGE_RECORDS_MAX;
	if (l->fields != NULL) {
		find_page(l);
		return;
	}
	range.limit = l->page.limit + 1;
	url = couch_url_range(l->op.c->url, &range);
	couch_op_request(&l->op, "GET", url, NULL, list_on_answer);
	free(url);
}

/* A name's points are not steps down into a value. */
static void
add_field(json_t *fields, const char *plugin)
{
	char *text = xcalloc(2 * strlen(plugin) + 1, 1), *p = text;

	for (; *plugin != '\0'; plugin++) {
		if (*plugin == '.')
			*p++ = '\\';
		*p++ = *plugin;
	}
	json_array_append_new(fields, json_string(text));
	free(text);
}

static struct list_op *
list_create(struct couch *c, store_listed_fn *fn, void *arg)
{
	struct list_op *l = (struct list_op *)couch_op_create(c, sizeof(*l), list_finish, arg);

	l->op.fn.listed = fn;
	return l;
}

void
couch_list(struct store *s, const struct store_filter *filter, store_listed_fn *fn, void *arg)
{
	struct couch *c = (struct couch *)s;
	struct list_op *l;

	if (filter != NULL && filter->n == 0) {
		couch_names_list(c, fn, arg);
		return;
	}
	l = list_create(c, fn, arg);
	if (filter != NULL) {
		l->fields = json_array();
		json_array_append_new(l->fields, json_string("_id"));
		for (size_t i = 0; i < filter->n; i++)
			add_field(l->fields, filter->plugins[i]);
	}
	list_page(l);
}

/* Makes heads of whole records, where there is no view. */
static void
list_heads(struct couch *c, store_listed_fn *fn, void *arg)
{
	struct list_op *l = list_create(c, fn, arg);

	l->heads = true;
	list_page(l);
}

void
couch_heads(struct store *s, store_listed_fn *fn, void *arg)
{
	couch_view_list((struct couch *)s, list_heads, fn, arg);
}
