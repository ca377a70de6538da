/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs in CouchDB: documents job/ID in a database of their own, beside the pages of outcomes that
 * couch_ledger.c writes.
 *
 * A document may have 8 MB, and many hosts have more; and who looks for old jobs reads all of them.
 * So the hosts of a job with many are in documents of their own, written before the job:
 * out/ID/~hosts/N, which lie behind the pages of outcomes and are pruned as they are. */
#include "shared/store/couch/couch_ledger.h"

#include "shared/base/log.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/store/couch/couch_doc.h"
#include "shared/store/couch/couch_known.h"
#include "shared/store/couch/couch_page.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	PAGE_JOBS = 10,     /* of a request: each may name 100,000 hosts */
	JOB_HOSTS = 1000,   /* with more of them they are in parts */
	PART_HOSTS = 10000, /* 2.6 MB with the longest names */
};

static enum couch_answer
read_answer(
    const struct couch_op *op, const struct http_response *r, long want, struct trouble *why)
{
	couch_note_answer(op->c, r);
	return couch_answer_read(r, want, op->c->jobs_id, why);
}

/* ---- adding ---- */

struct job_add_op {
	struct couch_op op; /* first */
	char *id, *url;
	json_t *doc;  /* the job */
	size_t parts; /* documents that name its hosts */
};

static void
add_finish(struct couch_op *op)
{
	struct job_add_op *o = (struct job_add_op *)op;

	free(o->id);
	free(o->url);
	json_decref(o->doc);
}

/* Takes a conflict for success: a job is never changed, and given again after a lost answer it is
 * the same. */
static void
add_on_answer(const struct http_response *r, void *arg)
{
	struct job_add_op *o = arg;
	struct trouble why;
	enum couch_answer a = read_answer(&o->op, r, 201, &why);

	if (a == COUCH_DONE || a == COUCH_CONFLICT)
		couch_known_add(o->op.c->known, o->id);
	if (a == COUCH_CONFLICT)
		couch_op_done(&o->op, NULL, "was there");
	else
		couch_op_done(&o->op, a == COUCH_DONE ? NULL : &why, "created");
}

static char *
job_url(const struct couch *c, const char *id)
{
	char *doc_id, *url;

	xasprintf(&doc_id, COUCH_JOBS_START "%s", id);
	url = couch_url_doc(c->jobs_url, doc_id);
	free(doc_id);
	return url;
}

static void
add_head(struct job_add_op *o)
{
	couch_op_request(&o->op, "PUT", o->url, json_dumps(o->doc, JSON_COMPACT), add_on_answer);
}

static void
add_on_parts(const struct http_response *r, void *arg)
{
	struct job_add_op *o = arg;
	struct couch_item *items;
	struct trouble why;
	size_t n;
	enum couch_answer a = read_answer(&o->op, r, 201, &why);

	couch_items_read(r, o->op.c->jobs_id, &a, &items, &n, &why);
	if (a == COUCH_DONE && n != o->parts) {
		trouble_set(&why, TROUBLE_OTHER, NULL, "the answer of %s leaves out hosts",
		    o->op.c->jobs_id);
		a = COUCH_UNKNOWN;
	}
	for (size_t i = 0; i < n; i++) {
		/* One that is there is ours, of an answer that was lost. */
		if (items[i].status == STORE_OK || items[i].status == STORE_CONFLICT)
			continue;
		why = *items[i].why;
		trouble_prefix(&why, "%s: ", o->op.c->jobs_id);
		a = COUCH_UNKNOWN;
	}
	couch_items_free(items, n);
	if (a == COUCH_DONE)
		add_head(o);
	else
		couch_op_done(&o->op, &why, NULL);
}

/* Takes the hosts out of o->doc: {"docs": [...]}. */
static json_t *
cut_hosts(struct job_add_op *o, const struct job *j)
{
	json_t *docs = json_array(), *at = json_object_get(o->doc, "sent_at");

	for (size_t i = 0; i < j->n_hosts; i += PART_HOSTS) {
		json_t *hosts = json_array();
		char *id;

		for (size_t k = i; k < j->n_hosts && k < i + PART_HOSTS; k++)
			json_array_append_new(hosts, json_string(j->hosts[k]));
		xasprintf(&id, "out/%s/~hosts/%05zu", j->id, o->parts++);
		json_array_append_new(
		    docs, json_pack("{s:s,s:s,s:s,s:O?,s:o}", "_id", id, "doc_type", "JobHosts",
			      "job", j->id, "at", at, "hosts", hosts));
		free(id);
	}
	json_object_set_new(o->doc, "hosts", json_array());
	json_object_set_new(o->doc, "parts", json_integer((json_int_t)o->parts));
	return json_pack("{s:o}", "docs", docs);
}

void
couch_job_add(struct store *s, const struct job *j, store_done_fn *fn, void *arg)
{
	struct job_add_op *o =
	    (struct job_add_op *)couch_op_create((struct couch *)s, sizeof(*o), add_finish, arg);
	json_t *body;

	o->op.fn.done = fn;
	o->doc = job_to_json(j);
	o->url = job_url(o->op.c, j->id);
	o->id = xstrdup(j->id);
	if (j->n_hosts <= JOB_HOSTS) {
		add_head(o);
		return;
	}
	body = cut_hosts(o, j);
	couch_op_post(&o->op, o->op.c->jobs_url, "_bulk_docs", body, add_on_parts);
}

/* ---- one job ---- */

static void
job_end(struct couch_op *op, enum store_found found, const struct job *j, const struct trouble *why)
{
	store_job_fn *fn = op->fn.job;
	void *arg = op->arg;

	couch_op_destroy(op);
	fn(found, j, why, arg);
}

static size_t
parts_of(const json_t *head)
{
	json_int_t n = json_integer_value(json_object_get(head, "parts"));

	return n > 0 ? (size_t)n : 0;
}

/* Asks for the hosts of a job that is in parts. */
static void
ask_parts(struct couch_op *op, const json_t *head, const char *id, http_fn *fn)
{
	struct couch_range range = {.limit = parts_of(head), .docs = true};
	char *start, *end, *url;

	xasprintf(&start, "out/%s/~hosts/", id);
	xasprintf(&end, "out/%s/~hosts0", id);
	range.start = start;
	range.end = end;
	url = couch_url_range(op->c->jobs_url, &range);
	couch_op_request(op, "GET", url, NULL, fn);
	free(start);
	free(end);
	free(url);
}

enum parts { PARTS_TAKEN, PARTS_LACKING, PARTS_UNREAD };

/* Puts them into the job, or why says why not. */
static enum parts
take_parts(
    const struct couch_op *op, json_t *head, const struct http_response *r, struct trouble *why)
{
	json_t *hosts = json_object_get(head, "hosts");
	struct couch_rows rows;
	struct couch_row row;
	size_t n = 0;

	if (read_answer(op, r, 200, why) != COUCH_DONE)
		return PARTS_UNREAD;
	if (!couch_rows_open(&rows, r->body, r->body_len)) {
		couch_answer_garbled(r, op->c->jobs_id, why);
		return PARTS_UNREAD;
	}
	for (; couch_rows_next(&rows, &row); couch_row_finish(&row)) {
		json_t *part = row.doc.text != NULL ? couch_doc_json(row.doc, why) : NULL;

		n += json_array_extend(hosts, json_object_get(part, "hosts")) == 0;
		json_decref(part);
	}
	if (n == parts_of(head))
		return PARTS_TAKEN;
	trouble_set(why, TROUBLE_OTHER, NULL,
	    "%zu of the %zu documents that name its hosts are there", n, parts_of(head));
	return PARTS_LACKING;
}

struct job_get_op {
	struct couch_op op; /* first */
	char *id;
	json_t *doc; /* the job, in the end with all its hosts */
};

static void
get_finish(struct couch_op *op)
{
	struct job_get_op *o = (struct job_get_op *)op;

	free(o->id);
	json_decref(o->doc);
}

static void
get_damaged(struct job_get_op *o, const char *what)
{
	struct trouble why;

	trouble_set(&why, TROUBLE_OTHER, JOB_CURE, "%s: job %s cannot be read: %s" JOB_UNREADABLE,
	    o->op.c->jobs_id, o->id, what);
	job_end(&o->op, STORE_FAILED, NULL, &why);
}

static void
get_end(struct job_get_op *o)
{
	char what[512];
	struct job j;

	if (!job_from_json(o->doc, &j, what, sizeof(what))) {
		get_damaged(o, what);
		return;
	}
	job_end(&o->op, STORE_FOUND, &j, NULL);
	job_finish(&j);
}

static void
get_on_parts(const struct http_response *r, void *arg)
{
	struct job_get_op *o = arg;
	struct trouble why;

	switch (take_parts(&o->op, o->doc, r, &why)) {
	case PARTS_TAKEN:
		get_end(o);
		break;
	case PARTS_LACKING:
		get_damaged(o, why.what);
		break;
	case PARTS_UNREAD:
		job_end(&o->op, STORE_FAILED, NULL, &why);
		break;
	}
}

static void
get_on_answer(const struct http_response *r, void *arg)
{
	struct job_get_op *o = arg;
	struct trouble why;
	enum couch_answer a = read_answer(&o->op, r, 200, &why);
	struct jspan doc;

	if (a != COUCH_DONE) {
		job_end(&o->op, a == COUCH_MISSING ? STORE_MISSING : STORE_FAILED, NULL, &why);
		return;
	}
	if (jspan_value(r->body, r->body_len, &doc))
		o->doc = couch_doc_json(doc, &why);
	if (o->doc == NULL) {
		couch_answer_garbled(r, o->op.c->jobs_id, &why);
		job_end(&o->op, STORE_FAILED, NULL, &why);
	} else if (parts_of(o->doc) > 0) {
		ask_parts(&o->op, o->doc, o->id, get_on_parts);
	} else {
		get_end(o);
	}
}

static void
get_on_impossible(void *arg)
{
	job_end(arg, STORE_MISSING, NULL, NULL);
}

void
couch_job_get(struct store *s, const char *id, store_job_fn *fn, void *arg)
{
	struct job_get_op *o =
	    (struct job_get_op *)couch_op_create((struct couch *)s, sizeof(*o), get_finish, arg);
	char *url;

	o->op.fn.job = fn;
	if (!job_id_ok(id)) { /* it has no document, and is not put into a URL */
		couch_op_later(&o->op, get_on_impossible, 0);
		return;
	}
	url = job_url(o->op.c, id);
	o->id = xstrdup(id);
	couch_op_request(&o->op, "GET", url, NULL, get_on_answer);
	free(url);
}

/* ---- many jobs ---- */

struct job_list_op {
	struct couch_op op; /* first */
	struct couch_page page;
	json_t *heads; /* of the page: jobs that are yet to be given */
	json_t *doc;   /* the one whose turn it is */
	size_t left;   /* jobs that are wanted yet */
};

static void
list_finish(struct couch_op *op)
{
	struct job_list_op *o = (struct job_list_op *)op;

	couch_page_finish(&o->page);
	json_decref(o->heads);
	json_decref(o->doc);
}

static void list_step(struct job_list_op *o);

/* Keeps it: its hosts may have to be asked for. */
static void
list_row(struct couch_op *op, const struct couch_row *row)
{
	struct job_list_op *o = (struct job_list_op *)op;
	json_t *head =
	    row->doc.text != NULL ? couch_page_json(o->op.c->jobs_id, row->id, row->doc) : NULL;

	if (head != NULL)
		json_array_append_new(o->heads, head);
}

static const char *
head_id(const json_t *head)
{
	const char *id = json_string_value(json_object_get(head, "_id"));

	return id != NULL ? id : "?";
}

static void
list_one(struct job_list_op *o, const json_t *head)
{
	char why[512];
	struct job j;

	if (!job_from_json(head, &j, why, sizeof(why))) {
		log_warn("store", "store[%s]: left out of the list: %s, id=%s", o->op.c->jobs_id,
		    why, head_id(head));
		return;
	}
	o->left--;
	o->op.fn.job(STORE_FOUND, &j, NULL, o->op.arg);
	job_finish(&j);
}

static void
list_on_parts(const struct http_response *r, void *arg)
{
	struct job_list_op *o = arg;
	struct trouble why;

	if (take_parts(&o->op, o->doc, r, &why) == PARTS_TAKEN)
		list_one(o, o->doc);
	else
		log_warn("store", "store[%s]: left out of the list: " TROUBLE_FMT ", id=%s",
		    o->op.c->jobs_id, TROUBLE_ARGS(&why), head_id(o->doc));
	list_step(o);
}

static void
list_on_answer(const struct http_response *r, void *arg)
{
	struct job_list_op *o = arg;
	struct trouble why;

	switch (couch_page_answer(&o->op, &o->page, r, list_row, &why)) {
	case COUCH_PAGE_AGAIN:
		couch_page_ask(&o->op, &o->page, true, list_on_answer);
		return;
	case COUCH_PAGE_FAILED:
		job_end(&o->op, STORE_FAILED, NULL, &why);
		return;
	case COUCH_PAGE_READ:
		list_step(o);
		return;
	}
}

/* The next of the page that is kept, or the next page, or the end. */
static void
list_step(struct job_list_op *o)
{
	while (o->left > 0 && json_array_size(o->heads) > 0) {
		json_decref(o->doc);
		o->doc = json_incref(json_array_get(o->heads, 0));
		json_array_remove(o->heads, 0);
		if (parts_of(o->doc) > 0) {
			ask_parts(&o->op, o->doc, head_id(o->doc) + strlen(COUCH_JOBS_START),
			    list_on_parts);
			return;
		}
		list_one(o, o->doc);
	}
	if (o->left > 0 && o->page.start != NULL)
		couch_page_ask(&o->op, &o->page, true, list_on_answer);
	else
		job_end(&o->op, STORE_MISSING, NULL, NULL);
}

/* Ids are in order of time, so the newest are at the end. */
void
couch_job_list(struct store *s, size_t max, store_job_fn *fn, void *arg)
{
	struct job_list_op *o =
	    (struct job_list_op *)couch_op_create((struct couch *)s, sizeof(*o), list_finish, arg);

	o->op.fn.job = fn;
	o->heads = json_array();
	o->left = max;
	o->page.limit = max < PAGE_JOBS ? max + 1 : PAGE_JOBS;
	o->page.start = xstrdup(COUCH_JOBS_END);
	o->page.end = xstrdup(COUCH_JOBS_START);
	couch_page_ask(&o->op, &o->page, true, list_on_answer);
}
