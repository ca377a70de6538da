/* SPDX-License-Identifier: Apache-2.0 */
/* Removing old jobs and their outcomes from CouchDB. First the jobs that are old, found by _find;
 * what pages of outcomes they had then belong to no job, and go as all such pages do: from one job
 * that has pages to the next,
 *
 *   next job with pages --> is the job there? --yes--> next
 *     ^                          | no
 *     +---- all asked for <-- its pages that are old --> _bulk_docs
 *
 * and behind the last one the documents of strays (couch_stray.h) that have something old:
 *
 *   next with old ones --> which of their jobs are there? --> the others go: _bulk_docs
 *
 * Where a call has stopped the next one goes on. */
#include "shared/store/couch/couch_ledger.h"

#include "shared/base/buf.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/store/couch/couch_known.h"
#include "shared/store/couch/couch_stray.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	PRUNE_JOBS = 100, /* of one request */
	PRUNE_PAGES = 100,
	PRUNE_STRAYS = 20, /* documents, each of some 25 KB */
	PRUNE_MAX = 500,   /* of one call, about */
};

struct prune_op {
	struct couch_op op; /* first */
	int64_t before_ms;
	char *job;    /* whose turn it is */
	json_t *docs; /* of strays, while their jobs are asked for */
	size_t removed;
};

static void
prune_finish(struct couch_op *op)
{
	struct prune_op *p = (struct prune_op *)op;

	free(p->job);
	json_decref(p->docs);
}

static void next_job(struct prune_op *p);
static void find_strays(struct prune_op *p);

static enum couch_answer
read_answer(const struct prune_op *p, const struct http_response *r, long want, struct trouble *why)
{
	couch_note_answer(p->op.c, r);
	return couch_answer_read(r, want, p->op.c->jobs_id, why);
}

/* why: NULL = it is done. */
static void
end(struct prune_op *p, const struct trouble *why)
{
	store_pruned_fn *fn = p->op.fn.pruned;
	size_t removed = p->removed;
	void *arg = p->op.arg;

	couch_op_destroy(&p->op);
	fn(why, removed, false, arg);
}

/* The answer as JSON; NULL: the call has failed and p is gone. */
static json_t *
read_body(struct prune_op *p, const struct http_response *r, long want)
{
	struct trouble why;
	enum couch_answer a = read_answer(p, r, want, &why);
	json_t *body = a == COUCH_DONE ? json_loadb(r->body, r->body_len, 0, NULL) : NULL;

	if (a == COUCH_DONE && body == NULL)
		couch_answer_garbled(r, p->op.c->jobs_id, &why);
	if (body == NULL)
		end(p, &why);
	return body;
}

/* Sets where the next request, or the next call, goes on; NULL: at the start. */
static void
set_place(struct couch *c, const char *id)
{
	char *place = xstrdup_null(id);

	free(c->prune_from);
	c->prune_from = place;
}

static void
advance(struct prune_op *p)
{
	char *id;

	xasprintf(&id, "out/%s0", p->job);
	set_place(p->op.c, id);
	free(id);
}

/* ---- removing ---- */

static void
removed_on_answer(const struct http_response *r, void *arg)
{
	struct prune_op *p = arg;
	struct couch_item *items = NULL;
	struct trouble why;
	size_t n = 0, gone = 0;
	enum couch_answer a = read_answer(p, r, 201, &why);

	if (a == COUCH_DONE && !couch_items_parse(r->body, r->body_len, &items, &n)) {
		couch_answer_garbled(r, p->op.c->jobs_id, &why);
		a = COUCH_UNKNOWN;
	}
	for (size_t i = 0; i < n; i++) {
		gone += items[i].status == STORE_OK;
		if (items[i].status != STORE_OK && items[i].status != STORE_CONFLICT) {
			why = *items[i].why;
			trouble_prefix(&why, "%s: ", p->op.c->jobs_id);
			a = COUCH_UNKNOWN;
		}
	}
	couch_items_free(items, n);
	p->removed += gone;
	if (a != COUCH_DONE) {
		end(p, &why);
		return;
	}
	if (gone == 0 && p->job != NULL) /* somebody else is at it */
		advance(p);
	next_job(p);
}

/* Removes those of {"docs": [{"_id", "_rev"}, ...]}, which it takes. false: there are none. */
static bool
remove_docs(struct prune_op *p, json_t *answer)
{
	json_t *docs = json_incref(json_object_get(answer, "docs")), *doc;
	size_t i, n = json_array_size(docs);

	json_array_foreach (docs, i, doc)
		json_object_set_new(doc, "_deleted", json_true());
	json_decref(answer);
	if (n > 0)
		couch_op_post(&p->op, p->op.c->jobs_url, "_bulk_docs",
		    json_pack("{s:O}", "docs", docs), removed_on_answer);
	json_decref(docs);
	return n > 0;
}

/* ---- what is old ---- */

/* Absent, or before the time: they are texts that sort as times do. */
static json_t *
is_old(const struct prune_op *p, const char *key)
{
	char text[WALLCLOCK_TEXT_SIZE];

	return json_pack("{s:[{s:{s:b}},{s:{s:s}}]}", "$or", key, "$exists", 0, key, "$lt",
	    wallclock_format(p->before_ms, text));
}

/* fields: stolen; NULL = whole documents. */
static void
find(struct prune_op *p, const struct couch_range *range, json_t *conditions, json_t *fields,
    http_fn *fn)
{
	json_array_append_new(
	    conditions, json_pack("{s:{s:s,s:s}}", "_id", "$gte", range->start, "$lt", range->end));
	couch_op_post(&p->op, p->op.c->jobs_url, "_find",
	    json_pack("{s:{s:o},s:o*,s:I}", "selector", "$and", conditions, "fields", fields,
		"limit", (json_int_t)range->limit),
	    fn);
}

static json_t *
id_and_rev(void)
{
	return json_pack("[s,s]", "_id", "_rev");
}

/* ---- pages of no job ---- */

static void
pages_on_answer(const struct http_response *r, void *arg)
{
	struct prune_op *p = arg;
	json_t *body = read_body(p, r, 200);

	if (body == NULL)
		return;
	if (json_array_size(json_object_get(body, "docs")) < PRUNE_PAGES)
		advance(p);
	if (!remove_docs(p, body))
		next_job(p);
}

static void
find_pages(struct prune_op *p)
{
	char *start, *end;

	xasprintf(&start, "out/%s/", p->job);
	xasprintf(&end, "out/%s0", p->job);
	find(p, &(struct couch_range){.start = start, .end = end, .limit = PRUNE_PAGES},
	    json_pack("[o]", is_old(p, "at")), id_and_rev(), pages_on_answer);
	free(start);
	free(end);
}

/* A row {"id", "key", "value": {"rev"}}; of a document that was removed value.deleted; of one that
 * never was error. */
static void
there_on_answer(const struct http_response *r, void *arg)
{
	struct prune_op *p = arg;
	json_t *body = read_body(p, r, 200);
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
		find_pages(p);
		return;
	}
	advance(p);
	next_job(p);
}

static void
is_it_there(struct prune_op *p)
{
	char *id;

	xasprintf(&id, COUCH_JOBS_START "%s", p->job);
	couch_op_post(&p->op, p->op.c->jobs_url, "_all_docs", json_pack("{s:[s]}", "keys", id),
	    there_on_answer);
	free(id);
}

/* The first page from where the last call has stopped. */
static void
next_on_answer(const struct http_response *r, void *arg)
{
	struct prune_op *p = arg;
	json_t *body = read_body(p, r, 200);
	const char *id, *job, *slash;

	if (body == NULL)
		return;
	id = json_string_value(
	    json_object_get(json_array_get(json_object_get(body, "rows"), 0), "id"));
	if (id == NULL || strncmp(id, "out/", 4) != 0) {
		set_place(p->op.c, COUCH_STRAYS_START);
		json_decref(body);
		find_strays(p);
		return;
	}
	job = id + strlen("out/");
	slash = strchr(job, '/');
	free(p->job);
	p->job = xstrndup(job, slash != NULL ? (size_t)(slash - job) : strlen(job));
	json_decref(body);
	is_it_there(p);
}

static bool
is_at_strays(const struct couch *c)
{
	return c->prune_from != NULL && strcmp(c->prune_from, COUCH_STRAYS_START) >= 0;
}

static void
next_job(struct prune_op *p)
{
	struct couch *c = p->op.c;
	struct couch_range range = {.start = c->prune_from, .end = "out0", .limit = 1};
	char *url;

	if (p->removed >= PRUNE_MAX) {
		end(p, NULL);
		return;
	}
	if (is_at_strays(c)) {
		find_strays(p);
		return;
	}
	if (range.start == NULL)
		range.start = "out/";
	url = couch_url_range(c->jobs_url, &range);
	couch_op_request(&p->op, "GET", url, NULL, next_on_answer);
	free(url);
}

/* ---- strays ---- */

/* Makes the request that takes out of p->docs what is old of jobs that are not there; NULL: nothing
 * is. */
static char *
forget_strays(const struct prune_op *p, const json_t *there)
{
	char at[WALLCLOCK_TEXT_SIZE];
	const json_t *doc;
	struct buf body;
	bool ok = true;
	size_t i;

	wallclock_format(p->before_ms, at);
	buf_init(&body, SIZE_MAX / 2); /* of documents that are in memory */
	json_array_foreach (p->docs, i, doc) {
		struct couch_stray s = {0};

		if (couch_stray_take(&s, doc) && couch_stray_forget(&s, at, there) > 0)
			ok = ok && buf_append_str(&body, body.len > 0 ? "," : "{\"docs\":[") &&
			     couch_stray_write(&body, &s);
		couch_stray_finish(&s);
	}
	if (ok && body.len > 0 && buf_append_str(&body, "]}"))
		return buf_take(&body, NULL);
	buf_finish(&body);
	return NULL;
}

static void
strays_on_jobs(const struct http_response *r, void *arg)
{
	struct prune_op *p = arg;
	json_t *there = json_object();
	struct trouble why;
	char *url, *body;
	enum couch_answer a = read_answer(p, r, 200, &why);

	if (a == COUCH_DONE && !couch_known_take(p->op.c->known, r->body, r->body_len, there)) {
		couch_answer_garbled(r, p->op.c->jobs_id, &why);
		a = COUCH_UNKNOWN;
	}
	body = a == COUCH_DONE ? forget_strays(p, there) : NULL;
	json_decref(there);
	if (a != COUCH_DONE) {
		end(p, &why);
	} else if (body == NULL) {
		find_strays(p);
	} else {
		xasprintf(&url, "%s/_bulk_docs", p->op.c->jobs_url);
		couch_op_request(&p->op, "POST", url, body, removed_on_answer);
		free(url);
	}
}

static void
ask_for_jobs(struct prune_op *p)
{
	json_t *jobs = json_object();
	char at[WALLCLOCK_TEXT_SIZE], *url;
	const json_t *doc;
	struct buf body;
	size_t i;

	wallclock_format(p->before_ms, at);
	json_array_foreach (p->docs, i, doc) {
		struct couch_stray s = {0};

		if (couch_stray_take(&s, doc))
			couch_stray_before(&s, at, jobs);
		couch_stray_finish(&s);
	}
	buf_init(&body, SIZE_MAX / 2);
	if (couch_known_ask(&body, jobs)) {
		xasprintf(&url, "%s/_all_docs", p->op.c->jobs_url);
		couch_op_request(&p->op, "POST", url, buf_take(&body, NULL), strays_on_jobs);
		free(url);
	} else {
		buf_finish(&body);
		end(p, &trouble_no_memory);
	}
	json_decref(jobs);
}

/* Sets the place behind an id: none is between it and the same with a blank behind it. */
static void
set_place_behind(struct couch *c, const json_t *doc)
{
	const char *id = json_string_value(json_object_get(doc, "_id"));
	char *behind;

	xasprintf(&behind, "%s ", id != NULL ? id : COUCH_STRAYS_END);
	set_place(c, behind);
	free(behind);
}

static void
strays_on_answer(const struct http_response *r, void *arg)
{
	struct prune_op *p = arg;
	json_t *body = read_body(p, r, 200), *docs;
	size_t n;

	if (body == NULL)
		return;
	docs = json_object_get(body, "docs");
	n = json_array_size(docs);
	json_decref(p->docs);
	p->docs = json_incref(docs);
	if (n < PRUNE_STRAYS)
		set_place(p->op.c, COUCH_STRAYS_END);
	else
		set_place_behind(p->op.c, json_array_get(docs, n - 1));
	json_decref(body);
	if (n > 0)
		ask_for_jobs(p);
	else
		find_strays(p);
}

/* Behind the last one the round is over: next time from the start. */
static void
find_strays(struct prune_op *p)
{
	if (strcmp(p->op.c->prune_from, COUCH_STRAYS_END) >= 0) {
		set_place(p->op.c, NULL);
		end(p, NULL);
		return;
	}
	free(p->job); /* no job has its turn any more */
	p->job = NULL;
	find(p,
	    &(struct couch_range){
		.start = p->op.c->prune_from, .end = COUCH_STRAYS_END, .limit = PRUNE_STRAYS},
	    json_pack("[o]", is_old(p, "oldest")), NULL, strays_on_answer);
}

/* ---- jobs ---- */

static void
jobs_on_answer(const struct http_response *r, void *arg)
{
	struct prune_op *p = arg;
	json_t *body = read_body(p, r, 200);

	if (body == NULL)
		return;
	if (json_array_size(json_object_get(body, "docs")) > 0)
		couch_known_clear(p->op.c->known);
	if (!remove_docs(p, body))
		next_job(p);
}

void
couch_jobs_prune(struct store *s, int64_t before_ms, store_pruned_fn *fn, void *arg)
{
	struct prune_op *p =
	    (struct prune_op *)couch_op_create((struct couch *)s, sizeof(*p), prune_finish, arg);

	p->op.fn.pruned = fn;
	p->before_ms = before_ms;
	find(p,
	    &(struct couch_range){
		.start = COUCH_JOBS_START, .end = COUCH_JOBS_END, .limit = PRUNE_JOBS},
	    json_pack("[o,o]", is_old(p, "sent_at"), is_old(p, "not_after")), id_and_rev(),
	    jobs_on_answer);
}
