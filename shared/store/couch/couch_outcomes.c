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

struct outcomes_op {
	struct couch_op op; /* first */
	struct couch_page page;
	char *job;
	size_t odd; /* outcomes that are left out */
};

static void
outcomes_finish(struct couch_op *op)
{
	struct outcomes_op *o = (struct outcomes_op *)op;

	couch_page_finish(&o->page);
	free(o->job);
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
		/* An id that cannot be has no document, and is not put into a URL. */
		struct couch_op *op = couch_op_create(c, sizeof(*op), NULL, arg);

		op->fn.done = fn;
		couch_op_later(op, outcomes_on_impossible, 0);
	}
}

/* ---- reading ---- */

static void
outcomes_end(struct outcomes_op *o, enum store_found found, const struct trouble *why)
{
	store_outcome_fn *fn = o->op.fn.outcome;
	void *arg = o->op.arg;

	if (found == STORE_MISSING && o->odd > 0)
		store_note_odd_outcomes(&o->op.c->base, o->job, o->odd);
	couch_op_destroy(&o->op);
	fn(found, NULL, why, arg);
}

static void
give(const struct outcome *one, void *arg)
{
	struct outcomes_op *o = arg;

	o->op.fn.outcome(STORE_FOUND, one, NULL, o->op.arg);
}

static void find_strays(struct outcomes_op *o, const char *after);

/* Hands over a page of them. *last: the id of the last one, the caller's. false: garbled. */
static bool
give_strays(struct outcomes_op *o, const struct http_response *r, size_t *n, char **last)
{
	struct jspan_iter it;
	struct jspan doc;

	if (!couch_docs_open(&it, r->body, r->body_len))
		return false;
	for (; jspan_next_element(&it, &doc); ++*n) {
		struct couch_stray s = {0};

		if (!couch_stray_parse(&s, doc))
			continue; /* nobody of us wrote it */
		couch_stray_each(&s, o->job, give, o);
		free(*last);
		*last = xstrdup(s.id);
		couch_stray_finish(&s);
	}
	return !it.bad;
}

static void
strays_on_answer(const struct http_response *r, void *arg)
{
	struct outcomes_op *o = arg;
	struct trouble why;
	char *last = NULL;
	enum couch_answer a = couch_answer_read(r, 200, o->op.c->jobs_id, &why);
	size_t n = 0;

	couch_note_answer(o->op.c, r);
	if (a == COUCH_DONE && !give_strays(o, r, &n, &last)) {
		couch_answer_garbled(r, o->op.c->jobs_id, &why);
		a = COUCH_UNKNOWN;
	}
	if (a != COUCH_DONE)
		outcomes_end(o, STORE_FAILED, &why);
	else if (n < PAGE_STRAYS || last == NULL)
		outcomes_end(o, STORE_MISSING, NULL);
	else
		find_strays(o, last);
	free(last);
}

static void
find_strays(struct outcomes_op *o, const char *after)
{
	json_t *body = json_pack("{s:{s:{s:s,s:s},s:{s:{s:{s:s}}}},s:[s,s,s],s:i,s:[{s:s}]}",
	    "selector", "_id", "$gt", after, "$lt", COUCH_STRAYS_END, "outcomes", "$elemMatch",
	    "job", "$eq", o->job, "fields", "_id", "_rev", "outcomes", "limit", PAGE_STRAYS, "sort",
	    "_id", "asc");

	couch_op_post(&o->op, o->op.c->jobs_url, "_find", body, strays_on_answer);
}

static void
outcomes_row(struct couch_op *op, const struct couch_row *row)
{
	struct outcomes_op *o = (struct outcomes_op *)op;
	json_t *page, *outcomes, *json;
	struct trouble why;
	size_t i;

	if (row->doc.text == NULL)
		return;
	page = couch_doc_json(row->doc, &why);
	outcomes = json_object_get(page, "outcomes");
	o->odd += !json_is_array(outcomes);
	json_array_foreach (outcomes, i, json) {
		struct outcome one;

		if (outcome_from_json(json, &one))
			give(&one, o);
		else
			o->odd++;
	}
	json_decref(page);
}

static void
outcomes_on_answer(const struct http_response *r, void *arg)
{
	struct outcomes_op *o = arg;
	struct trouble why;
	enum couch_page_next next = couch_page_answer(&o->op, &o->page, r, outcomes_row, &why);

	if (next == COUCH_PAGE_AGAIN || (next == COUCH_PAGE_READ && o->page.start != NULL))
		couch_page_ask(&o->op, &o->page, false, outcomes_on_answer);
	else if (next == COUCH_PAGE_READ)
		find_strays(o, COUCH_STRAYS_START);
	else
		outcomes_end(o, STORE_FAILED, &why);
}

static void
outcomes_of_nobody(void *arg)
{
	outcomes_end(arg, STORE_MISSING, NULL);
}

void
couch_outcomes(struct store *s, const char *job, store_outcome_fn *fn, void *arg)
{
	struct outcomes_op *o = (struct outcomes_op *)couch_op_create(
	    (struct couch *)s, sizeof(*o), outcomes_finish, arg);

	o->op.fn.outcome = fn;
	if (!job_id_ok(job)) {
		couch_op_later(&o->op, outcomes_of_nobody, 0);
		return;
	}
	o->page.limit = PAGE_PAGES;
	o->job = xstrdup(job);
	xasprintf(&o->page.start, "out/%s/", job);
	xasprintf(&o->page.end, "out/%s/~", job); /* behind it are the job's hosts */
	couch_page_ask(&o->op, &o->page, false, outcomes_on_answer);
}
