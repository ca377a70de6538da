/* SPDX-License-Identifier: Apache-2.0 */
/* See couch_names.h. Of each page of ids:
 *
 *   _all_docs --> all known? --no--> the view --> all known? --no--> _find
 *                    | yes                           | yes            |
 *                    +---> handed over <-------------+----------------+
 *
 * A few are looked at one by one, many from the first to the last at once. */
#include "shared/store/couch/couch_names.h"

#include "shared/base/buf.h"
#include "shared/base/log.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/store/couch/couch_doc.h"
#include "shared/store/couch/couch_view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

enum {
	PAGE_NAMES = 1000,
	LOOK_DOCS = 20, /* so many are looked at one by one, without what lies between them */
	KNOWN_MAX = 200000,
	KNOWN_MS = 60 * 60 * 1000, /* then all of it is found out anew */
};

struct known_doc {
	UT_hash_handle hh; /* by id */
	char *id;
	char *rev; /* of this revision it is no record; NULL: it is one */
};

struct couch_names {
	struct known_doc *by_id;
	struct mono since;
	bool no_view;     /* it could not be read */
	size_t n_listing; /* nothing is forgotten that one of these counts on */
};

struct names_op {
	struct couch_op op; /* first */
	char *start;        /* where the page begins, NULL = at the start */
	json_t *docs;       /* of the page, {"id", "rev"} */
	char *looked_at;    /* by itself; NULL: all that is not known */
};

static void
names_finish(struct couch_op *op)
{
	struct names_op *o = (struct names_op *)op;

	json_decref(o->docs);
	free(o->start);
	free(o->looked_at);
}

static void names_page(struct names_op *o);
static void look_at_rest(struct names_op *o);

/* ---- what is known ---- */

struct couch_names *
couch_names_create(void)
{
	return xcalloc(1, sizeof(struct couch_names));
}

static void
forget_all(struct couch_names *n)
{
	struct known_doc *k, *next;

	HASH_ITER (hh, n->by_id, k, next) {
		HASH_DEL(n->by_id, k);
		free(k->id);
		free(k->rev);
		free(k);
	}
	n->no_view = false;
}

void
couch_names_destroy(struct couch_names *n)
{
	forget_all(n);
	free(n);
}

/* rev: NULL if it is a record. */
static void
learn(struct couch_names *n, const char *id, const char *rev)
{
	struct known_doc *k;

	HASH_FIND_STR(n->by_id, id, k);
	if (k == NULL) {
		k = xcalloc(1, sizeof(*k));
		k->id = xstrdup(id);
		HASH_ADD_KEYPTR(hh, n->by_id, k->id, strlen(k->id), k);
	}
	free(k->rev);
	k->rev = xstrdup_null(rev);
}

/* A document of the page: {"id", "rev"}. */
static const char *
member(const json_t *doc, const char *key)
{
	return json_string_value(json_object_get(doc, key));
}

static struct known_doc *
find_known(struct couch_names *n, const json_t *doc)
{
	struct known_doc *k;

	HASH_FIND_STR(n->by_id, member(doc, "id"), k);
	if (k != NULL && k->rev != NULL && strcmp(k->rev, member(doc, "rev")) != 0)
		return NULL; /* it has been written since */
	return k;
}

/* Lists those of the page that are not known. */
static json_t *
unknown_of(struct names_op *o)
{
	json_t *list = json_array(), *doc;
	size_t i;

	json_array_foreach (o->docs, i, doc)
		if (find_known(o->op.c->names, doc) == NULL)
			json_array_append(list, doc);
	return list;
}

/* ---- handing over ---- */

static void
end(struct names_op *o, enum store_found found, const struct trouble *why)
{
	o->op.c->names->n_listing--;
	couch_op_listed(&o->op, found, why);
}

static void
hand_over(struct names_op *o)
{
	json_t *doc;
	size_t i;

	json_array_foreach (o->docs, i, doc) {
		const struct known_doc *k = find_known(o->op.c->names, doc);
		json_t *rec;

		if (k == NULL || k->rev != NULL)
			continue;
		rec = json_pack("{s:s}", "_id", member(doc, "id"));
		o->op.fn.listed(STORE_FOUND, rec, NULL, o->op.arg);
		json_decref(rec);
	}
	if (o->start != NULL)
		names_page(o);
	else
		end(o, STORE_MISSING, NULL);
}

/* ---- what they are ---- */

static enum couch_answer
read_answer(const struct names_op *o, const struct http_response *r, struct trouble *why)
{
	return couch_answer_read(r, 200, o->op.c->base.id, why);
}

/* Learns that what is not known after it was asked for is no record: o->looked_at alone, or all. */
static void
learn_rest(struct names_op *o)
{
	json_t *rest = unknown_of(o), *doc;
	size_t i;

	json_array_foreach (rest, i, doc)
		if (o->looked_at == NULL || strcmp(o->looked_at, member(doc, "id")) == 0)
			learn(o->op.c->names, member(doc, "id"), member(doc, "rev"));
	json_decref(rest);
}

static void
found_on_answer(const struct http_response *r, void *arg)
{
	struct names_op *o = arg;
	struct trouble why;
	struct jspan_iter it;
	struct jspan doc;
	enum couch_answer a = read_answer(o, r, &why);
	bool ok = a == COUCH_DONE && couch_docs_open(&it, r->body, r->body_len);

	while (ok && jspan_next_element(&it, &doc)) {
		json_t *found = couch_doc_json(doc, &why);

		if (member(found, "_id") != NULL)
			learn(o->op.c->names, member(found, "_id"), NULL);
		json_decref(found);
	}
	if (!ok || it.bad) {
		if (a == COUCH_DONE)
			couch_answer_garbled(r, o->op.c->base.id, &why);
		end(o, STORE_FAILED, &why);
		return;
	}
	learn_rest(o);
	look_at_rest(o);
}

/* All from the first to the last of them; it is CouchDB that reads them, and not whole: a tree of a
 * record of megabytes would hold up the loop. */
static void
find_all(struct names_op *o, const json_t *list)
{
	bool few = json_array_size(list) <= LOOK_DOCS;
	const char *first = member(json_array_get(list, 0), "id");
	const char *last =
	    few ? first : member(json_array_get(list, json_array_size(list) - 1), "id");
	json_t *body =
	    json_pack("{s:{s:{s:s,s:s},s:s},s:[s],s:i}", "selector", "_id", "$gte", first, "$lte",
		last, "doc_type", COUCH_RECORD_TYPE, "fields", "_id", "limit", 2 * PAGE_NAMES);

	free(o->looked_at);
	o->looked_at = few ? xstrdup(first) : NULL;
	couch_op_post(&o->op, o->op.c->url, "_find", body, found_on_answer);
}

static void
look_at_rest(struct names_op *o)
{
	json_t *list = unknown_of(o);

	if (json_array_size(list) == 0)
		hand_over(o);
	else
		find_all(o, list);
	json_decref(list);
}

/* Goes on without the view, or before it is built: it only takes longer. */
static void
view_on_answer(const struct http_response *r, void *arg)
{
	struct names_op *o = arg;
	struct trouble why;
	struct couch_rows rows;
	struct couch_row row;

	if (read_answer(o, r, &why) == COUCH_DONE && couch_rows_open(&rows, r->body, r->body_len)) {
		for (; couch_rows_next(&rows, &row); couch_row_finish(&row))
			learn(o->op.c->names, row.id, NULL);
	} else {
		o->op.c->names->no_view = true;
		log_debug("store", "store[%s]: names are read without the view: " TROUBLE_FMT,
		    o->op.c->base.id, TROUBLE_ARGS(&why));
	}
	look_at_rest(o);
}

static void
ask_view(struct names_op *o, const json_t *list)
{
	struct couch_range range = {.start = member(json_array_get(list, 0), "id"),
	    .end = member(json_array_get(list, json_array_size(list) - 1), "id"),
	    .view = COUCH_VIEW_NAMES,
	    .limit = 2 * PAGE_NAMES,
	    .stale = true};
	char *url = couch_url_range(o->op.c->url, &range);

	couch_op_request(&o->op, "GET", url, NULL, view_on_answer);
	free(url);
}

/* ---- pages ---- */

/* The row behind the page is where the next begins; marks, which all lie together, are no hosts. */
static bool
read_page(struct names_op *o, const struct http_response *r)
{
	struct couch_rows rows;
	struct couch_row row;
	size_t n = 0;

	free(o->start);
	o->start = NULL;
	json_decref(o->docs);
	o->docs = json_array();
	if (!couch_rows_open(&rows, r->body, r->body_len))
		return false;
	for (; couch_rows_next(&rows, &row); couch_row_finish(&row), n++) {
		if (n < PAGE_NAMES && strchr(row.id, '/') == NULL && row.rev != NULL)
			json_array_append_new(
			    o->docs, json_pack("{s:s,s:s}", "id", row.id, "rev", row.rev));
		else if (n >= PAGE_NAMES && o->start == NULL)
			o->start =
			    xstrdup(couch_marked_host(row.id) != NULL ? COUCH_MARKS_END : row.id);
	}
	return !rows.it.bad;
}

static void
page_on_answer(const struct http_response *r, void *arg)
{
	struct names_op *o = arg;
	struct trouble why;
	enum couch_answer a = read_answer(o, r, &why);
	json_t *list;

	if (a == COUCH_DONE && !read_page(o, r)) {
		couch_answer_garbled(r, o->op.c->base.id, &why);
		a = COUCH_UNKNOWN;
	}
	if (a != COUCH_DONE) {
		end(o, STORE_FAILED, &why);
		return;
	}
	list = unknown_of(o);
	if (json_array_size(list) > 0 && !o->op.c->names->no_view)
		ask_view(o, list);
	else
		look_at_rest(o);
	json_decref(list);
}

static void
names_page(struct names_op *o)
{
	struct couch_range range = {.start = o->start, .limit = PAGE_NAMES + 1};
	char *url = couch_url_range(o->op.c->url, &range);

	couch_op_request(&o->op, "GET", url, NULL, page_on_answer);
	free(url);
}

void
couch_names_list(struct couch *c, store_listed_fn *fn, void *arg)
{
	struct names_op *o = (struct names_op *)couch_op_create(c, sizeof(*o), names_finish, arg);
	struct couch_names *n = c->names;
	struct mono now = loop_now(c->loop);

	o->op.fn.listed = fn;
	if (n->n_listing++ == 0 && (HASH_COUNT(n->by_id) == 0 || HASH_COUNT(n->by_id) > KNOWN_MAX ||
				       mono_diff(now, n->since) >= KNOWN_MS)) {
		forget_all(n);
		n->since = now;
	}
	names_page(o);
}
