/* SPDX-License-Identifier: Apache-2.0 */
/* See couch_view.h. */
#include "shared/store/couch/couch_view.h"

#include "shared/base/log.h"
#include "shared/base/xalloc.h"
#include "shared/store/couch/couch_doc.h"
#include "shared/store/couch/couch_page.h"
#include "shared/store/head.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	PAGE_HEADS = 500, /* and the marks beside them are rows too */
};

/* A record without its values; behind it, as a blank comes before all that a name may go on with,
 * its mark, which has none. Of a record of 2010, which says nothing about its plugins, their names
 * are what there is. */
static const char heads_js[] =
    "function (doc) {\n"
    "  var own = ['_id', 'doc_type', 'created_at', 'updated_at', 'last_error'];\n"
    "  var said = ['collected_at', 'hash', 'machine_id', 'older', 'order', "
    "'other_machine', 'received_at', 'version'];\n"
    "  var of = ['at', 'count', 'message', 'since', 'state'];\n"
    "  function picked(from, keys) {\n"
    "    var to = {};\n"
    "    keys.forEach(function (k) { if (from[k] !== undefined) to[k] = from[k]; });\n"
    "    return to;\n"
    "  }\n"
    "  if (doc._id.indexOf('mark/') === 0)\n"
    "    emit(doc._id.substring(5) + ' ', doc);\n"
    "  if (doc.doc_type !== 'SystemRecord' || doc._id.indexOf('/') >= 0)\n"
    "    return;\n"
    "  var head = picked(doc, own), metas = doc.vogeler || {}, key;\n"
    "  head.vogeler = {};\n"
    "  for (key in metas) {\n"
    "    var meta = metas[key];\n"
    "    if (key === '_mark' || meta === null || typeof meta !== 'object') {\n"
    "      head.vogeler[key] = meta;\n"
    "      continue;\n"
    "    }\n"
    "    head.vogeler[key] = picked(meta, said);\n"
    "    if (meta.failure)\n"
    "      head.vogeler[key].failure = picked(meta.failure, of);\n"
    "  }\n"
    "  if (Object.keys(metas).length === 0)\n"
    "    for (key in doc)\n"
    "      if (head[key] === undefined)\n"
    "        head[key] = null;\n"
    "  emit(doc._id, head);\n"
    "}\n";

static const char names_js[] =
    "function (doc) {\n"
    "  if (doc.doc_type === 'SystemRecord' && doc._id.indexOf('/') < 0)\n"
    "    emit(doc._id, null);\n"
    "}\n";

/* Sorts by bytes, as _all_docs and every other list does, and not as a language would. */
json_t *
couch_view_design(void)
{
	return json_pack("{s:s,s:s,s:{s:{s:s,s:{s:s}},s:{s:s,s:{s:s}}}}", "_id", COUCH_VIEW_DESIGN,
	    "language", "javascript", "views", "heads", "map", heads_js, "options", "collation",
	    "raw", "names", "map", names_js, "options", "collation", "raw");
}

struct view_op {
	struct couch_op op; /* first */
	struct couch_page page;
	json_t *waiting;                /* the record that waits for its mark */
	couch_view_without_fn *without; /* until the first page has come */
};

static void
view_finish(struct couch_op *op)
{
	struct view_op *v = (struct view_op *)op;

	couch_page_finish(&v->page);
	json_decref(v->waiting);
}

/* Hands over the record that waited for its mark, which may be none. */
static void
hand_over(struct view_op *v, const struct couch_mark *mark)
{
	json_t *rec = v->waiting, *head;

	v->waiting = NULL;
	if (rec == NULL)
		return;
	couch_doc_show(rec, mark);
	head = head_of_record(rec);
	v->op.fn.listed(STORE_FOUND, head, NULL, v->op.arg);
	json_decref(head);
	json_decref(rec);
}

static bool
is_mark_of(const char *key, const json_t *rec)
{
	const char *host = json_string_value(json_object_get(rec, "_id"));
	size_t len = host == NULL ? 0 : strlen(host);

	return host != NULL && strncmp(key, host, len) == 0 && strcmp(key + len, " ") == 0;
}

static void
take_head(struct couch_op *op, const struct couch_row *row)
{
	struct view_op *v = (struct view_op *)op;
	struct couch_mark mark = {0};

	if (strchr(row->id, ' ') == NULL) {
		hand_over(v, NULL);
		v->waiting = couch_page_json(v->op.c->base.id, row->id, row->value);
		return;
	}
	if (is_mark_of(row->id, v->waiting)) {
		if (!couch_mark_parse(row->value, &mark))
			mark = (struct couch_mark){0};
		hand_over(v, &mark);
		couch_mark_finish(&mark);
	}
}

static void view_page(struct view_op *v);

/* Who waits for the list says so in his own words. */
static void
note_without(const struct view_op *v, const struct trouble *why)
{
	v->op.c->base.lists_slowly = true;
	log_info("store",
	    "store[%s]: listed without the view in " COUCH_VIEW_DESIGN ": " TROUBLE_FMT,
	    v->op.c->base.id, TROUBLE_ARGS(why));
}

/* The first page decides: a view may be missing, or be built for the first time and take longer
 * than a request may. */
static void
view_on_answer(const struct http_response *r, void *arg)
{
	struct view_op *v = arg;
	struct trouble why;
	enum couch_answer a = couch_answer_read(r, 200, v->op.c->base.id, &why);
	bool lacks = r->status == 404 && a != COUCH_NO_DB;

	if (v->without != NULL &&
	    (lacks || r->status >= 500 || (r->status == 0 && !r->never_sent))) {
		if (lacks)
			trouble_set(&why, TROUBLE_OTHER, NULL, "there is none");
		note_without(v, &why);
		v->without(v->op.c, v->op.fn.listed, v->op.arg);
		couch_op_destroy(&v->op);
		return;
	}
	v->without = NULL;
	if (a == COUCH_DONE && !couch_page_read(&v->op, &v->page, r, take_head)) {
		couch_answer_garbled(r, v->op.c->base.id, &why);
		a = COUCH_UNKNOWN;
	}
	if (a != COUCH_DONE) {
		couch_op_listed(&v->op, STORE_FAILED, &why);
	} else if (v->page.start != NULL) {
		view_page(v);
	} else {
		hand_over(v, NULL);
		couch_op_listed(&v->op, STORE_MISSING, NULL);
	}
}

static void
view_page(struct view_op *v)
{
	struct couch_range range = {
	    .start = v->page.start, .view = COUCH_VIEW_DESIGN "/_view/heads"};
	char *url;

	v->page.limit = PAGE_HEADS;
	range.limit = v->page.limit + 1;
	url = couch_url_range(v->op.c->url, &range);
	couch_op_request(&v->op, "GET", url, NULL, view_on_answer);
	free(url);
}

void
couch_view_list(struct couch *c, couch_view_without_fn *without, store_listed_fn *fn, void *arg)
{
	struct view_op *v = (struct view_op *)couch_op_create(c, sizeof(*v), view_finish, arg);

	v->op.fn.listed = fn;
	v->without = without;
	view_page(v);
}
