/* SPDX-License-Identifier: Apache-2.0 */
/* Outcomes in CouchDB as they are asked for: those of a job are in pages out/JOB/WRITER/N, which
 * couch_ledger.c writes; and what was answered before the job was there is among the strays of
 * each host (couch_stray.h). Strays are looked through by _find, and in a ledger without any that
 * is one request to an empty range. */
#include "shared/store/couch/couch_ledger.h"

#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/store/couch/couch_doc.h"
#include "shared/store/couch/couch_page.h"
#include "shared/store/couch/couch_stray.h"

#include <stdlib.h>
#include <string.h>

enum {
	PAGE_PAGES = 40,
	PAGE_STRAYS = 50,
};

/* An id that cannot be has no document, and is not put into a URL. */
static void
op_soon(struct couch_op *op, loop_fn *fn)
{
	op->wait = loop_timer_create(op->c->loop, "couch-outcomes", fn, op);
	loop_timer_arm(op->wait, 0);
}

/* ---- adding ---- */

static void
outcomes_on_impossible(void *arg)
{
	static const struct trouble no_id = {TROUBLE_OTHER, "that is no job's id", ""};

	couch_op_done(arg, &no_id, NULL);
}

void
couch_outcomes_add(struct store *s, const char *job, const struct outcome *o, size_t n,
    store_done_fn *fn, void *arg)
{
	struct couch *c = (struct couch *)s;

	if (job_id_ok(job)) {
		couch_ledger_add(c->ledger, job, o, n, fn, arg);
	} else {
		struct couch_op *op = couch_op_create(c, arg);

		op->done = fn;
		op_soon(op, outcomes_on_impossible);
	}
}

/* ---- reading ---- */

static void
outcomes_end(struct couch_op *op, enum store_found found, const struct trouble *why)
{
	store_outcome_fn *fn = op->outcome;
	void *arg = op->arg;

	if (found == STORE_MISSING && op->odd > 0)
		store_note_odd_outcomes(&op->c->base, op->url, op->odd);
	couch_op_destroy(op);
	fn(found, NULL, why, arg);
}

static void
give(const struct outcome *o, void *arg)
{
	struct couch_op *op = arg;

	op->outcome(STORE_FOUND, o, NULL, op->arg);
}

static void find_strays(struct couch_op *op, const char *after);

/* Hands over a page of them. *last: the id of the last one, the caller's. false: garbled. */
static bool
give_strays(struct couch_op *op, const struct http_response *r, size_t *n, char **last)
{
	struct jspan_iter it;
	struct jspan doc;

	if (!couch_docs_open(&it, r->body, r->body_len))
		return false;
	for (; jspan_next_element(&it, &doc); ++*n) {
		struct couch_stray s = {0};

		if (!couch_stray_parse(&s, doc))
			continue; /* nobody of us wrote it */
		couch_stray_each(&s, op->url, give, op);
		free(*last);
		*last = xstrdup(s.id);
		couch_stray_finish(&s);
	}
	return !it.bad;
}

static void
strays_on_answer(const struct http_response *r, void *arg)
{
	struct couch_op *op = arg;
	struct trouble why;
	char *last = NULL;
	enum couch_answer a = couch_answer_read(r, 200, op->c->jobs_id, &why);
	size_t n = 0;

	couch_note_answer(op->c, r);
	if (a == COUCH_DONE && !give_strays(op, r, &n, &last)) {
		couch_answer_garbled(r, op->c->jobs_id, &why);
		a = COUCH_UNKNOWN;
	}
	if (a != COUCH_DONE)
		outcomes_end(op, STORE_FAILED, &why);
	else if (n < PAGE_STRAYS || last == NULL)
		outcomes_end(op, STORE_MISSING, NULL);
	else
		find_strays(op, last);
	free(last);
}

/* op->url is the job. */
static void
find_strays(struct couch_op *op, const char *after)
{
	json_t *body = json_pack("{s:{s:{s:s,s:s},s:{s:{s:{s:s}}}},s:[s,s,s],s:i,s:[{s:s}]}",
	    "selector", "_id", "$gt", after, "$lt", COUCH_STRAYS_END, "outcomes", "$elemMatch",
	    "job", "$eq", op->url, "fields", "_id", "_rev", "outcomes", "limit", PAGE_STRAYS,
	    "sort", "_id", "asc");

	couch_op_post(op, op->c->jobs_url, "_find", body, strays_on_answer);
}

static void
outcomes_row(struct couch_op *op, const struct couch_row *row)
{
	json_t *page, *outcomes, *json;
	struct trouble why;
	size_t i;

	if (row->doc.text == NULL)
		return;
	page = couch_doc_json(row->doc, &why);
	outcomes = json_object_get(page, "outcomes");
	op->odd += !json_is_array(outcomes);
	json_array_foreach (outcomes, i, json) {
		struct outcome o;

		if (outcome_from_json(json, &o))
			give(&o, op);
		else
			op->odd++;
	}
	json_decref(page);
}

static void
outcomes_on_answer(const struct http_response *r, void *arg)
{
	struct couch_op *op = arg;
	struct trouble why;
	enum couch_page_next next = couch_page_answer(op, r, outcomes_row, &why);

	if (next == COUCH_PAGE_AGAIN || (next == COUCH_PAGE_READ && op->startkey != NULL))
		couch_page_ask(op, false, outcomes_on_answer);
	else if (next == COUCH_PAGE_READ)
		find_strays(op, COUCH_STRAYS_START);
	else
		outcomes_end(op, STORE_FAILED, &why);
}

static void
outcomes_of_nobody(void *arg)
{
	outcomes_end(arg, STORE_MISSING, NULL);
}

void
couch_outcomes(struct store *s, const char *job, store_outcome_fn *fn, void *arg)
{
	struct couch_op *op = couch_op_create((struct couch *)s, arg);

	op->outcome = fn;
	if (!job_id_ok(job)) {
		op_soon(op, outcomes_of_nobody);
		return;
	}
	op->limit = PAGE_PAGES;
	op->url = xstrdup(job);
	xasprintf(&op->startkey, "out/%s/", job);
	xasprintf(&op->endkey, "out/%s/~", job); /* behind it are the job's hosts */
	couch_page_ask(op, false, outcomes_on_answer);
}
