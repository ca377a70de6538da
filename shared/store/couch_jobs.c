/* Jobs in CouchDB: documents job/ID in a database of their own, beside the pages of outcomes that
 * couch_ledger.c writes; and reading those. */
#include "shared/store/couch_ledger.h"

#include "shared/log.h"
#include "shared/loop.h"
#include "shared/xalloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	PAGE_JOBS = 10, /* of a request: each may name 100,000 hosts */
	PAGE_PAGES = 40,
	WHY_SIZE = 512,
};

/* '0' is what follows '/': no id of a job, or of a page of that job, is outside. */
#define JOBS_START "job/"
#define JOBS_END   "job0"

static struct couch_op *
op_create(struct store *s, void *arg)
{
	return couch_op_create((struct couch *)s, arg);
}

static enum couch_answer
read_answer(const struct couch_op *op, const struct http_response *r, long want, char *why)
{
	couch_note_answer(op->c, r);
	return couch_answer_read(r, want, op->c->jobs_id, why, WHY_SIZE);
}

/* An id that cannot be has no document, and is not put into a URL. */
static void
op_soon(struct couch_op *op, loop_fn *fn)
{
	op->wait = loop_timer_create(op->c->loop, "couch-jobs", fn, op);
	loop_timer_arm(op->wait, 0);
}

/* ---- adding ---- */

/* It is never changed: given again, after a lost answer, it is the same. */
static void
add_on_answer(const struct http_response *r, void *arg)
{
	struct couch_op *op = arg;
	char why[WHY_SIZE];
	enum couch_answer a = read_answer(op, r, 201, why);

	if (a == COUCH_CONFLICT)
		couch_op_done(op, true, "was there");
	else
		couch_op_done(op, a == COUCH_DONE, a == COUCH_DONE ? "created" : why);
}

static char *
job_url(const struct couch *c, const char *id)
{
	char *doc_id, *url;

	xasprintf(&doc_id, JOBS_START "%s", id);
	url = couch_url_doc(c->jobs_url, doc_id);
	free(doc_id);
	return url;
}

void
couch_job_add(struct store *s, const struct job *j, store_done_fn *fn, void *arg)
{
	struct couch_op *op = op_create(s, arg);
	json_t *json = job_to_json(j);
	char *url = job_url(op->c, j->id);

	op->done = fn;
	couch_op_request(op, "PUT", url, json_dumps(json, JSON_COMPACT), add_on_answer);
	json_decref(json);
	free(url);
}

static void
outcomes_on_impossible(void *arg)
{
	couch_op_done(arg, false, "that is no job's id");
}

void
couch_outcomes_add(struct store *s, const char *job, const struct outcome *o, size_t n,
    store_done_fn *fn, void *arg)
{
	struct couch *c = (struct couch *)s;

	if (ledger_id_ok(job)) {
		couch_ledger_add(c->ledger, job, o, n, fn, arg);
	} else {
		struct couch_op *op = op_create(s, arg);

		op->done = fn;
		op_soon(op, outcomes_on_impossible);
	}
}

/* ---- one job ---- */

static void
job_end(struct couch_op *op, enum store_found found, const struct job *j, const char *why)
{
	store_job_fn *fn = op->job;
	void *arg = op->arg;

	couch_op_destroy(op);
	fn(found, j, why, arg);
}

/* false: why says what is wrong with it. */
static bool
read_job(struct jspan doc, struct job *j, char *why, size_t why_size)
{
	json_t *json = couch_doc_json(doc, why, why_size);
	bool ok = json != NULL && job_from_json(json, j, why, why_size);

	json_decref(json);
	return ok;
}

static void
get_on_answer(const struct http_response *r, void *arg)
{
	struct couch_op *op = arg;
	char why[WHY_SIZE];
	enum couch_answer a = read_answer(op, r, 200, why);
	struct jspan doc;
	struct job j;

	if (a != COUCH_DONE) {
		job_end(op, a == COUCH_MISSING ? STORE_MISSING : STORE_FAILED, NULL, why);
		return;
	}
	if (!jspan_value(r->body, r->body_len, &doc) || !read_job(doc, &j, why, sizeof(why))) {
		couch_answer_garbled(r, op->c->jobs_id, why, sizeof(why));
		job_end(op, STORE_FAILED, NULL, why);
		return;
	}
	job_end(op, STORE_FOUND, &j, NULL);
	job_finish(&j);
}

static void
get_on_impossible(void *arg)
{
	job_end(arg, STORE_MISSING, NULL, NULL);
}

void
couch_job_get(struct store *s, const char *id, store_job_fn *fn, void *arg)
{
	struct couch_op *op = op_create(s, arg);
	char *url;

	op->job = fn;
	if (!ledger_id_ok(id)) {
		op_soon(op, get_on_impossible);
		return;
	}
	url = job_url(op->c, id);
	couch_op_request(op, "GET", url, NULL, get_on_answer);
	free(url);
}

/* ---- pages ---- */

typedef void row_fn(struct couch_op *op, const struct couch_row *row);

/* Hands over the rows of a page that was asked for with one more, which is where the next begins:
 * op->startkey, NULL at the end. false: garbled. */
static bool
read_rows(struct couch_op *op, const struct http_response *r, row_fn *fn)
{
	struct couch_rows rows;
	struct couch_row row;
	size_t n = 0;

	free(op->startkey);
	op->startkey = NULL;
	if (!couch_rows_open(&rows, r->body, r->body_len))
		return false;
	for (; couch_rows_next(&rows, &row); n++) {
		if (n < op->limit)
			fn(op, &row);
		else if (op->startkey == NULL)
			op->startkey = xstrdup(row.id);
		couch_row_finish(&row);
	}
	return !rows.it.bad;
}

static void
ask_page(struct couch_op *op, bool descending, http_fn *fn)
{
	struct couch_range range = {.start = op->startkey,
	    .end = op->endkey,
	    .limit = op->limit + 1,
	    .docs = true,
	    .descending = descending};
	char *url = couch_url_range(op->c->jobs_url, &range);

	couch_op_request(op, "GET", url, NULL, fn);
	free(url);
}

/* What an answer to a page says is to be done. */
enum page_next { PAGE_AGAIN, PAGE_FAILED, PAGE_READ };

static enum page_next
read_page(struct couch_op *op, const struct http_response *r, row_fn *fn, char *why)
{
	enum couch_answer a = read_answer(op, r, 200, why);

	if (r->too_large && op->limit > 1) {
		op->limit = op->limit / 4 + 1 < op->limit ? op->limit / 4 + 1 : 1;
		return PAGE_AGAIN;
	}
	if (a == COUCH_DONE && read_rows(op, r, fn))
		return PAGE_READ;
	if (a == COUCH_DONE)
		couch_answer_garbled(r, op->c->jobs_id, why, WHY_SIZE);
	return PAGE_FAILED;
}

/* ---- many jobs ---- */

static void
list_row(struct couch_op *op, const struct couch_row *row)
{
	char why[WHY_SIZE];
	struct job j;

	if (row->doc.text == NULL || op->left == 0)
		return;
	if (!read_job(row->doc, &j, why, sizeof(why))) {
		log_warn("store", "store[%s]: left out of the list: %s, id=%s", op->c->jobs_id, why,
		    row->id);
		return;
	}
	op->left--;
	op->job(STORE_FOUND, &j, NULL, op->arg);
	job_finish(&j);
}

static void
list_on_answer(const struct http_response *r, void *arg)
{
	struct couch_op *op = arg;
	char why[WHY_SIZE];
	enum page_next next = read_page(op, r, list_row, why);

	if (next == PAGE_AGAIN || (next == PAGE_READ && op->startkey != NULL && op->left > 0))
		ask_page(op, true, list_on_answer);
	else if (next == PAGE_READ)
		job_end(op, STORE_MISSING, NULL, NULL);
	else
		job_end(op, STORE_FAILED, NULL, why);
}

/* Ids are in order of time, so the newest are at the end. */
void
couch_job_list(struct store *s, size_t max, store_job_fn *fn, void *arg)
{
	struct couch_op *op = op_create(s, arg);

	op->job = fn;
	op->left = max;
	op->limit = max < PAGE_JOBS ? max + 1 : PAGE_JOBS;
	op->startkey = xstrdup(JOBS_END);
	op->endkey = xstrdup(JOBS_START);
	ask_page(op, true, list_on_answer);
}

/* ---- outcomes ---- */

static void
outcomes_end(struct couch_op *op, enum store_found found, const char *why)
{
	store_outcome_fn *fn = op->outcome;
	void *arg = op->arg;

	couch_op_destroy(op);
	fn(found, NULL, why, arg);
}

static void
outcomes_row(struct couch_op *op, const struct couch_row *row)
{
	json_t *page, *json;
	char why[WHY_SIZE];
	size_t i;

	if (row->doc.text == NULL)
		return;
	page = couch_doc_json(row->doc, why, sizeof(why));
	json_array_foreach (json_object_get(page, "outcomes"), i, json) {
		struct outcome o;

		if (outcome_from_json(json, &o))
			op->outcome(STORE_FOUND, &o, NULL, op->arg);
	}
	json_decref(page);
}

static void
outcomes_on_answer(const struct http_response *r, void *arg)
{
	struct couch_op *op = arg;
	char why[WHY_SIZE];
	enum page_next next = read_page(op, r, outcomes_row, why);

	if (next == PAGE_AGAIN || (next == PAGE_READ && op->startkey != NULL))
		ask_page(op, false, outcomes_on_answer);
	else if (next == PAGE_READ)
		outcomes_end(op, STORE_MISSING, NULL);
	else
		outcomes_end(op, STORE_FAILED, why);
}

static void
outcomes_of_nobody(void *arg)
{
	outcomes_end(arg, STORE_MISSING, NULL);
}

void
couch_outcomes(struct store *s, const char *job, store_outcome_fn *fn, void *arg)
{
	struct couch_op *op = op_create(s, arg);

	op->outcome = fn;
	if (!ledger_id_ok(job)) {
		op_soon(op, outcomes_of_nobody);
		return;
	}
	op->limit = PAGE_PAGES;
	xasprintf(&op->startkey, "out/%s/", job);
	xasprintf(&op->endkey, "out/%s0", job);
	ask_page(op, false, outcomes_on_answer);
}
