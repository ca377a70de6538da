/* Removing old jobs and their outcomes from CouchDB. First the jobs that are old, found by _find;
 * what pages of outcomes they had then belong to no job, and go as all such pages do: from one job
 * that has pages to the next,
 *
 *   next job with pages --> is the job there? --yes--> next
 *     ^                          | no
 *     +---- all asked for <-- its pages that are old --> _bulk_docs
 *
 * Where a call has stopped the next one goes on. */
#include "shared/store/couch_ledger.h"

#include "shared/loop.h"
#include "shared/wall.h"
#include "shared/xalloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	PRUNE_JOBS = 100, /* of one request */
	PRUNE_PAGES = 100,
	PRUNE_MAX = 500, /* of one call, about */
	WHY_SIZE = 512,
};

static void next_job(struct couch_op *op);

static enum couch_answer
read_answer(const struct couch_op *op, const struct http_response *r, long want, char *why)
{
	couch_note_answer(op->c, r);
	return couch_answer_read(r, want, op->c->jobs_id, why, WHY_SIZE);
}

/* The answer as JSON; NULL: the call has failed and op is gone. */
static json_t *
read_body(struct couch_op *op, const struct http_response *r, long want)
{
	char why[WHY_SIZE];
	enum couch_answer a = read_answer(op, r, want, why);
	json_t *body = a == COUCH_DONE ? json_loadb(r->body, r->body_len, 0, NULL) : NULL;

	if (a == COUCH_DONE && body == NULL)
		couch_answer_garbled(r, op->c->jobs_id, why, sizeof(why));
	if (body == NULL)
		couch_op_done(op, false, why);
	return body;
}

/* body: stolen. */
static void
post(struct couch_op *op, const char *what, json_t *body, http_fn *fn)
{
	char *text = json_dumps(body, JSON_COMPACT), *url;

	xasprintf(&url, "%s/%s", op->c->jobs_url, what);
	json_decref(body);
	couch_op_request(op, "POST", url, text, fn);
	free(url);
}

static void
advance(struct couch_op *op)
{
	struct couch *c = op->c;

	free(c->prune_from);
	xasprintf(&c->prune_from, "out/%s0", op->startkey);
}

static void
done(struct couch_op *op)
{
	char what[32];

	snprintf(what, sizeof(what), "%zu", op->removed);
	couch_op_done(op, true, what);
}

/* ---- removing ---- */

static void
removed_on_answer(const struct http_response *r, void *arg)
{
	struct couch_op *op = arg;
	struct couch_item *items = NULL;
	char why[WHY_SIZE];
	size_t n = 0, gone = 0;
	enum couch_answer a = read_answer(op, r, 201, why);

	if (a == COUCH_DONE && !couch_items_parse(r->body, r->body_len, &items, &n)) {
		couch_answer_garbled(r, op->c->jobs_id, why, sizeof(why));
		a = COUCH_UNKNOWN;
	}
	for (size_t i = 0; i < n; i++) {
		gone += items[i].status == STORE_OK;
		if (items[i].status != STORE_OK && items[i].status != STORE_CONFLICT) {
			snprintf(why, sizeof(why), "%s: %s", op->c->jobs_id, items[i].why);
			a = COUCH_UNKNOWN;
		}
	}
	couch_items_free(items, n);
	op->removed += gone;
	if (a != COUCH_DONE) {
		couch_op_done(op, false, why);
		return;
	}
	if (gone == 0 && op->startkey != NULL) /* somebody else is at it */
		advance(op);
	next_job(op);
}

/* Of {"docs": [{"_id", "_rev"}, ...]}, which it takes. false: there are none. */
static bool
remove_docs(struct couch_op *op, json_t *answer)
{
	json_t *docs = json_incref(json_object_get(answer, "docs")), *doc;
	size_t i, n = json_array_size(docs);

	json_array_foreach (docs, i, doc)
		json_object_set_new(doc, "_deleted", json_true());
	json_decref(answer);
	if (n > 0)
		post(op, "_bulk_docs", json_pack("{s:O}", "docs", docs), removed_on_answer);
	json_decref(docs);
	return n > 0;
}

/* ---- what is old ---- */

/* Absent, or before the time: they are texts that sort as times do. */
static json_t *
is_old(const struct couch_op *op, const char *key)
{
	char text[WALL_TEXT_SIZE];

	return json_pack("{s:[{s:{s:b}},{s:{s:s}}]}", "$or", key, "$exists", 0, key, "$lt",
	    wall_format(op->before_ms, text));
}

static void
find(struct couch_op *op, const char *start, const char *end, json_t *conditions, size_t limit,
    http_fn *fn)
{
	json_array_append_new(
	    conditions, json_pack("{s:{s:s,s:s}}", "_id", "$gte", start, "$lt", end));
	post(op, "_find",
	    json_pack("{s:{s:o},s:[s,s],s:I}", "selector", "$and", conditions, "fields", "_id",
		"_rev", "limit", (json_int_t)limit),
	    fn);
}

/* ---- pages of no job ---- */

static void
pages_on_answer(const struct http_response *r, void *arg)
{
	struct couch_op *op = arg;
	json_t *body = read_body(op, r, 200);

	if (body == NULL)
		return;
	if (json_array_size(json_object_get(body, "docs")) < PRUNE_PAGES)
		advance(op);
	if (!remove_docs(op, body))
		next_job(op);
}

static void
find_pages(struct couch_op *op)
{
	char *start, *end;

	xasprintf(&start, "out/%s/", op->startkey);
	xasprintf(&end, "out/%s0", op->startkey);
	find(op, start, end, json_pack("[o]", is_old(op, "at")), PRUNE_PAGES, pages_on_answer);
	free(start);
	free(end);
}

/* A row {"id", "key", "value": {"rev"}}; of a document that was removed value.deleted; of one that
 * never was error. */
static void
there_on_answer(const struct http_response *r, void *arg)
{
	struct couch_op *op = arg;
	json_t *body = read_body(op, r, 200);
	const json_t *row, *value;
	bool there;

	if (body == NULL)
		return;
	row = json_array_get(json_object_get(body, "rows"), 0);
	value = json_object_get(row, "value");
	there = json_object_get(value, "rev") != NULL &&
		!json_is_true(json_object_get(value, "deleted"));
	json_decref(body);
	if (!there) {
		find_pages(op);
		return;
	}
	advance(op);
	next_job(op);
}

static void
is_it_there(struct couch_op *op)
{
	char *id;

	xasprintf(&id, "job/%s", op->startkey);
	post(op, "_all_docs", json_pack("{s:[s]}", "keys", id), there_on_answer);
	free(id);
}

/* The first page from where the last call has stopped. */
static void
next_on_answer(const struct http_response *r, void *arg)
{
	struct couch_op *op = arg;
	json_t *body = read_body(op, r, 200);
	const char *id, *job, *slash;

	if (body == NULL)
		return;
	id = json_string_value(
	    json_object_get(json_array_get(json_object_get(body, "rows"), 0), "id"));
	if (id == NULL || strncmp(id, "out/", 4) != 0) { /* the end: next time from the start */
		free(op->c->prune_from);
		op->c->prune_from = NULL;
		json_decref(body);
		done(op);
		return;
	}
	job = id + strlen("out/");
	slash = strchr(job, '/');
	free(op->startkey);
	op->startkey = xstrndup(job, slash != NULL ? (size_t)(slash - job) : strlen(job));
	json_decref(body);
	is_it_there(op);
}

static void
next_job(struct couch_op *op)
{
	struct couch *c = op->c;
	struct couch_range range = {.start = c->prune_from, .end = "out0", .limit = 1};
	char *url;

	if (op->removed >= PRUNE_MAX) {
		done(op);
		return;
	}
	if (range.start == NULL)
		range.start = "out/";
	url = couch_url_range(c->jobs_url, &range);
	couch_op_request(op, "GET", url, NULL, next_on_answer);
	free(url);
}

/* ---- jobs ---- */

static void
jobs_on_answer(const struct http_response *r, void *arg)
{
	struct couch_op *op = arg;
	json_t *body = read_body(op, r, 200);

	if (body != NULL && !remove_docs(op, body))
		next_job(op);
}

void
couch_jobs_prune(struct store *s, int64_t before_ms, store_done_fn *fn, void *arg)
{
	struct couch_op *op = couch_op_create((struct couch *)s, arg);

	op->done = fn;
	op->before_ms = before_ms;
	find(op, "job/", "job0", json_pack("[o,o]", is_old(op, "sent_at"), is_old(op, "not_after")),
	    PRUNE_JOBS, jobs_on_answer);
}
