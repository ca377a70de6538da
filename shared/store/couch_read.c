/* Reading records from CouchDB: one of them, or all in pages. */
#include "shared/store/couch.h"

#include "shared/log.h"
#include "shared/loop.h"
#include "shared/xalloc.h"

#include <stdlib.h>
#include <string.h>

enum {
	PAGE_BYTES = 4 * 1024 * 1024,
	PAGE_RECORDS_MAX = 100,
	PAGE_NAMES = 2000,
	WHY_SIZE = 512,
};

struct couch_op *
couch_op_create(struct couch *c, void *arg)
{
	struct couch_op *op = xcalloc(1, sizeof(*op));

	op->c = c;
	op->arg = arg;
	LIST_INSERT_HEAD(&c->ops, op, link);
	return op;
}

void
couch_op_destroy(struct couch_op *op)
{
	LIST_REMOVE(op, link);
	loop_timer_destroy(op->wait);
	json_decref(op->doc);
	json_decref(op->fields);
	free(op->startkey);
	free(op->endkey);
	free(op->url);
	free(op);
}

void
couch_op_request(struct couch_op *op, const char *method, const char *url, char *body, http_fn *fn)
{
	http_request(op->c->http, method, url, body, body != NULL ? strlen(body) : 0, fn, op);
}

/* --- get --- */

static void
got(struct couch_op *op, enum store_found found, json_t *rec, const char *why)
{
	store_got_fn *fn = op->got;
	void *arg = op->arg;

	couch_op_destroy(op);
	fn(found, rec, why, arg);
}

static json_t *
read_doc(const struct http_response *r)
{
	struct jspan doc;
	char err[128];
	json_t *rec = NULL;

	if (jspan_value(r->body, r->body_len, &doc))
		rec = couch_doc_json(doc, err, sizeof(err));
	if (rec != NULL)
		json_object_del(rec, "_rev"); /* the store's business, and no part of a record */
	return rec;
}

static void
get_on_answer(const struct http_response *r, void *arg)
{
	struct couch_op *op = arg;
	char why[WHY_SIZE];
	enum couch_answer a = couch_answer_read(r, 200, op->c->base.id, why, sizeof(why));
	json_t *rec;

	if (a == COUCH_MISSING) {
		got(op, STORE_MISSING, NULL, NULL);
		return;
	}
	if (a != COUCH_DONE) {
		got(op, STORE_FAILED, NULL, why);
		return;
	}
	rec = read_doc(r);
	if (rec == NULL) {
		couch_answer_garbled(r, op->c->base.id, why, sizeof(why));
		got(op, STORE_FAILED, NULL, why);
		return;
	}
	got(op, STORE_FOUND, rec, NULL);
	json_decref(rec);
}

void
couch_get(struct store *s, const char *host, store_got_fn *fn, void *arg)
{
	struct couch_op *op = couch_op_create((struct couch *)s, arg);
	char *url = couch_url_doc(op->c->url, host);

	op->got = fn;
	couch_op_request(op, "GET", url, NULL, get_on_answer);
	free(url);
}

/* --- list --- */

/* Three ways of asking: whole records and names are rows of _all_docs, parts come by _find, which
 * leaves the rest of the records where it is. All in order of name, in pages. */
static void list_page(struct couch_op *op);

static void
listed(struct couch_op *op, enum store_found found, const char *why)
{
	store_listed_fn *fn = op->listed;
	void *arg = op->arg;

	couch_op_destroy(op);
	fn(found, NULL, why, arg);
}

static void
list_row(struct couch_op *op, const struct couch_row *row)
{
	char err[128];
	json_t *rec;

	if (strncmp(row->id, "_design/", 8) == 0 || row->doc.text == NULL)
		return;
	couch_note_size(op->c, row->doc.len, 1);
	rec = couch_doc_json(row->doc, err, sizeof(err));
	if (rec == NULL) {
		log_warn("store", "store[%s]: left out of the list: %s, host=%s", op->c->base.id,
		    err, row->id);
		return;
	}
	json_object_del(rec, "_rev");
	op->listed(STORE_FOUND, rec, NULL, op->arg);
	json_decref(rec);
}

static void
list_name(struct couch_op *op, const struct couch_row *row)
{
	json_t *rec;

	if (strncmp(row->id, "_design/", 8) == 0)
		return;
	rec = json_pack("{s:s}", "_id", row->id);
	op->listed(STORE_FOUND, rec, NULL, op->arg);
	json_decref(rec);
}

/* The page was asked for with one row more, which is where the next one begins. false: garbled. */
static bool
list_rows(struct couch_op *op, const struct http_response *r)
{
	struct couch_rows rows;
	struct couch_row row;
	size_t n = 0;

	free(op->startkey);
	op->startkey = NULL;
	if (!couch_rows_open(&rows, r->body, r->body_len))
		return false;
	for (; couch_rows_next(&rows, &row); n++) {
		if (n < op->limit && op->fields != NULL)
			list_name(op, &row);
		else if (n < op->limit)
			list_row(op, &row);
		else if (op->startkey == NULL)
			op->startkey = xstrdup(row.id);
		couch_row_finish(&row);
	}
	return !rows.it.bad;
}

/* Asked for with one more, too. */
static bool
list_parts(struct couch_op *op, const struct http_response *r)
{
	struct jspan_iter it;
	struct jspan doc;
	char err[128];
	size_t n = 0;

	free(op->startkey);
	op->startkey = NULL;
	if (!couch_docs_open(&it, r->body, r->body_len))
		return false;
	for (; jspan_next_element(&it, &doc); n++) {
		json_t *rec = couch_doc_json(doc, err, sizeof(err));
		const char *id = json_string_value(json_object_get(rec, "_id"));

		if (id != NULL && n < op->limit)
			op->listed(STORE_FOUND, rec, NULL, op->arg);
		else if (id != NULL && op->startkey == NULL)
			op->startkey = xstrdup(id);
		json_decref(rec);
		if (id == NULL)
			return false;
	}
	return !it.bad;
}

static void
list_on_answer(const struct http_response *r, void *arg)
{
	struct couch_op *op = arg;
	char why[WHY_SIZE];
	enum couch_answer a = couch_answer_read(r, 200, op->c->base.id, why, sizeof(why));

	bool parts = json_array_size(op->fields) > 0;

	if (a == COUCH_DONE && !(parts ? list_parts(op, r) : list_rows(op, r))) {
		couch_answer_garbled(r, op->c->base.id, why, sizeof(why));
		a = COUCH_UNKNOWN;
	}
	if (r->too_large && op->limit > 1) {
		couch_note_too_large(op->c, op->limit);
		list_page(op);
	} else if (a != COUCH_DONE)
		listed(op, STORE_FAILED, why);
	else if (op->startkey != NULL)
		list_page(op);
	else
		listed(op, STORE_MISSING, NULL);
}

static void
find_page(struct couch_op *op)
{
	json_t *from = op->startkey == NULL ? json_pack("{s:n}", "$gt")
					    : json_pack("{s:s}", "$gte", op->startkey);
	json_t *body = json_pack("{s:{s:o},s:O,s:I,s:[{s:s}]}", "selector", "_id", from, "fields",
	    op->fields, "limit", (json_int_t)op->limit + 1, "sort", "_id", "asc");
	char *url;

	xasprintf(&url, "%s/_find", op->c->url);
	couch_op_request(op, "POST", url, json_dumps(body, JSON_COMPACT), list_on_answer);
	json_decref(body);
	free(url);
}

static void
list_page(struct couch_op *op)
{
	struct couch_range range = {.start = op->startkey, .docs = op->fields == NULL};
	char *url;

	op->limit = PAGE_BYTES / (op->c->mean_bytes + 1) + 1;
	if (op->limit > PAGE_RECORDS_MAX)
		op->limit = PAGE_RECORDS_MAX;
	if (json_array_size(op->fields) > 0) {
		find_page(op);
		return;
	}
	if (op->fields != NULL)
		op->limit = PAGE_NAMES;
	range.limit = op->limit + 1;
	url = couch_url_range(op->c->url, &range);
	couch_op_request(op, "GET", url, NULL, list_on_answer);
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

void
couch_list(struct store *s, const struct store_filter *filter, store_listed_fn *fn, void *arg)
{
	struct couch_op *op = couch_op_create((struct couch *)s, arg);

	op->listed = fn;
	if (filter != NULL) {
		op->fields = json_array();
		if (filter->n > 0)
			json_array_append_new(op->fields, json_string("_id"));
		for (size_t i = 0; i < filter->n; i++)
			add_field(op->fields, filter->plugins[i]);
	}
	list_page(op);
}
