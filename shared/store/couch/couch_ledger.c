/* SPDX-License-Identifier: Apache-2.0 */
/* See couch_ledger.h. */
#include "shared/store/couch/couch_ledger.h"

#include "shared/base/buf.h"
#include "shared/base/ident.h"
#include "shared/base/log.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/store/couch/couch_known.h"
#include "shared/store/couch/couch_strays.h"
#include "shared/wire/jsonx.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

enum {
	PAGE_OUTCOMES = 1000,
	PAGE_BYTES = 128 * 1024,     /* a page is not begun to be larger than this */
	REQUEST_BYTES = 1024 * 1024, /* nor a request */
	OUTCOME_BYTES = 16 * 1024,   /* more than any outcome has */
	LOOK_JOBS = 500,             /* are asked for at once, about */
	WRITER_SIZE = 17,
};

/* Who waits for outcomes to be stored: a write whose record is, or a call of the runner. */
struct out {
	STAILQ_ENTRY(out) link;
	LIST_ENTRY(out) all;
	struct couch_ledger *l;
	struct store_write *w; /* NULL: the rest is of a call */
	store_written_fn *written;
	store_done_fn *done;
	void *arg;
	char *job;
	json_t *outcomes;    /* of outcome_to_json */
	size_t next;         /* the first of them that no request had yet */
	bool *stray;         /* of a write, by its results: the job is not there. NULL: of none */
	bool unpaged;        /* a page with a part of it was not stored */
	size_t pending;      /* it is answered when these are stored: its pages, and each stray */
	struct trouble *why; /* of the first that failed; NULL = none has */
};
STAILQ_HEAD(out_list, out);

struct page {
	STAILQ_ENTRY(page) link;
	UT_hash_handle hh; /* by job, while it may grow */
	char *job, *id;
	struct buf text;
	size_t n;
	int64_t newest; /* wall ms, of its outcomes */
	struct out **outs;
	size_t n_outs;
	bool stored;
};

struct page_request {
	struct couch_ledger *l;
	struct out_list outs;
	STAILQ_HEAD(, page) pages;
	struct page *open; /* uthash: by job */
	size_t bytes;
};

struct couch_ledger {
	struct couch *c;
	char writer[WRITER_SIZE]; /* of this store_open alone */
	uint64_t next_page;
	struct loop_timer *pump;
	LIST_HEAD(, out) all;
	struct out_list waiting;     /* of some job it may not be known whether it is there */
	struct out_list looking;     /* that is being asked */
	struct out_list ready;       /* for pages */
	struct page_request *active; /* NULL: none is under way */
};

/* ---- pages ---- */

static struct page *
page_create(struct page_request *q, const char *job)
{
	struct couch_ledger *l = q->l;
	struct page *p = xcalloc(1, sizeof(*p));

	p->job = xstrdup(job);
	xasprintf(&p->id, "out/%s/%s/%" PRIu64, job, l->writer, l->next_page++);
	buf_init(&p->text, PAGE_BYTES + 2 * OUTCOME_BYTES);
	STAILQ_INSERT_TAIL(&q->pages, p, link);
	HASH_ADD_KEYPTR(hh, q->open, p->job, strlen(p->job), p);
	return p;
}

static void
page_free(struct page *p)
{
	buf_finish(&p->text);
	free(p->outs);
	free(p->job);
	free(p->id);
	free(p);
}

static struct page *
page_of(struct page_request *q, const char *job)
{
	struct page *p;

	HASH_FIND_STR(q->open, job, p);
	if (p != NULL && (p->n >= PAGE_OUTCOMES || p->text.len >= PAGE_BYTES)) {
		HASH_DEL(q->open, p);
		p = NULL;
	}
	return p != NULL ? p : page_create(q, job);
}

/* Neither the job's id nor ours has what would be escaped. */
static bool
page_add(struct page *p, struct out *out, const json_t *outcome)
{
	bool ok;

	if (p->n == 0)
		ok = buf_printf(&p->text,
		    "{\"_id\":\"%s\",\"doc_type\":\"Outcomes\",\"job\":\"%s\",\"outcomes\":[",
		    p->id, p->job);
	else
		ok = buf_append_char(&p->text, ',');
	ok = ok && jsonx_write(&p->text, outcome);
	if (p->n_outs == 0 || p->outs[p->n_outs - 1] != out) {
		p->outs = xreallocarray(p->outs, p->n_outs + 1, sizeof(struct out *));
		p->outs[p->n_outs++] = out;
	}
	p->n++;
	return ok;
}

static bool
page_close(struct page *p)
{
	char at[WALLCLOCK_TEXT_SIZE];

	return p->newest > 0
		   ? buf_printf(&p->text, "],\"at\":\"%s\"}", wallclock_format(p->newest, at))
		   : buf_append_str(&p->text, "]}");
}

static void
add_outcome(
    struct page_request *q, struct out *out, const char *job, const json_t *outcome, int64_t at)
{
	struct page *p = page_of(q, job);
	size_t before = p->text.len;

	if (at > p->newest)
		p->newest = at;
	if (!page_add(p, out, outcome)) /* out of memory */
		out->unpaged = true;
	q->bytes += p->text.len - before;
}

/* ---- answering ---- */

static void
out_free(struct out *out)
{
	LIST_REMOVE(out, all);
	json_decref(out->outcomes);
	free(out->stray);
	free(out->job);
	free(out->why);
	free(out);
}

/* One of what it waits for is stored, or why not. With the last it is answered, and gone. */
static void
out_settle(struct out *out, const struct trouble *why)
{
	if (out->why == NULL)
		out->why = trouble_dup(why);
	if (--out->pending > 0)
		return;
	if (out->w == NULL)
		out->done(out->why, out->why != NULL ? NULL : "written", out->arg);
	else
		out->written(out->w, out->why != NULL ? STORE_RETRY : STORE_OK, out->why, out->arg);
	out_free(out);
}

static void
request_free(struct page_request *q)
{
	struct page *p;

	HASH_CLEAR(hh, q->open);
	while ((p = STAILQ_FIRST(&q->pages)) != NULL) {
		STAILQ_REMOVE_HEAD(&q->pages, link);
		page_free(p);
	}
	free(q);
}

/* A page that is not stored fails all that have a part in it: they are given again, with the same
 * outcomes, and it is no matter if some of those are there by then. */
static void
request_end(struct page_request *q, const struct trouble *why)
{
	struct couch_ledger *l = q->l;
	struct out *out;
	struct page *p;

	l->active = NULL;
	loop_timer_arm(l->pump, 0);
	STAILQ_FOREACH (p, &q->pages, link) {
		for (size_t i = 0; i < p->n_outs && !p->stored; i++)
			p->outs[i]->unpaged = true;
	}
	while ((out = STAILQ_FIRST(&q->outs)) != NULL) {
		STAILQ_REMOVE_HEAD(&q->outs, link);
		if (!out->unpaged && out->next < json_array_size(out->outcomes))
			STAILQ_INSERT_HEAD(&l->ready, out, link); /* the rest of it */
		else
			out_settle(out, out->unpaged ? why : NULL);
	}
	request_free(q);
}

static struct page *
page_by_id(struct page_request *q, const char *id)
{
	struct page *p;

	STAILQ_FOREACH (p, &q->pages, link) {
		if (strcmp(p->id, id) == 0)
			break;
	}
	return p;
}

/* A conflict with an id that nobody else makes is our own page, of an answer that was lost: that
 * one may have said 202, so the outcomes are written again under another id. */
static void
read_items(struct page_request *q, const struct couch_item *items, size_t n, struct trouble *why)
{
	trouble_set(why, TROUBLE_OTHER, NULL, "the store's answer leaves out a page of %s",
	    q->l->c->jobs_id);
	for (size_t i = 0; i < n; i++) {
		struct page *p = page_by_id(q, items[i].id);

		if (p == NULL)
			continue;
		p->stored = items[i].status == STORE_OK;
		if (!p->stored) {
			*why = *items[i].why;
			trouble_prefix(why, "%s: ", q->l->c->jobs_id);
		}
	}
}

/* Forgets the jobs that are known when the database is made anew: none is in it. */
static void
note_answer(struct couch *c, const struct http_response *r, enum couch_answer a)
{
	couch_note_answer(c, r);
	if (a == COUCH_NO_DB)
		couch_known_clear(c->known);
}

static void
request_on_answer(const struct http_response *r, void *arg)
{
	struct page_request *q = arg;
	struct couch *c = q->l->c;
	struct couch_item *items = NULL;
	struct trouble why;
	size_t n = 0;
	enum couch_answer a = couch_answer_read(r, 201, c->jobs_id, &why);

	note_answer(c, r, a);
	couch_items_read(r, c->jobs_id, &a, &items, &n, &why);
	if (a == COUCH_DONE)
		read_items(q, items, n, &why);
	couch_items_free(items, n);
	request_end(q, &why);
}

/* ---- sending ---- */

static bool
is_stray(const struct out *out, size_t i)
{
	return out->stray != NULL && out->stray[i];
}

static void
add_write(struct page_request *q, struct out *out)
{
	struct outcome o;

	for (size_t i = 0; i < out->w->n; i++) {
		const struct result *r = out->w->results[i];
		json_t *json;

		if (!outcome_of_result(out->w->host, r, &o) || is_stray(out, i))
			continue;
		json = outcome_to_json(&o);
		add_outcome(q, out, r->meta.job, json, o.at);
		json_decref(json);
	}
}

static void
add_call(struct page_request *q, struct out *out)
{
	size_t n = json_array_size(out->outcomes);

	for (; out->next < n && q->bytes < REQUEST_BYTES; out->next++) {
		const json_t *json = json_array_get(out->outcomes, out->next);
		struct outcome o;

		if (outcome_from_json(json, &o))
			add_outcome(q, out, out->job, json, o.at);
	}
}

static bool
write_body(struct page_request *q, struct buf *body)
{
	bool ok = buf_append_str(body, "{\"docs\":["), first = true;
	struct page *p;

	STAILQ_FOREACH (p, &q->pages, link) {
		ok = ok && (first || buf_append_char(body, ',')) && page_close(p) &&
		     buf_append(body, p->text.data, p->text.len);
		first = false;
	}
	return ok && buf_append_str(body, "]}");
}

static void
request_send(struct page_request *q)
{
	struct couch *c = q->l->c;
	struct buf body;
	char *url, *text;
	size_t len;

	buf_init(&body, SIZE_MAX / 2); /* of pages, each of which has a cap */
	if (!write_body(q, &body)) {
		buf_finish(&body);
		request_end(q, &trouble_no_memory);
		return;
	}
	xasprintf(&url, "%s/_bulk_docs", c->jobs_url);
	log_debug("store", "store[%s]: writing outcomes, bytes=%zu", c->base.id, body.len);
	text = buf_take(&body, &len);
	http_request(c->http, "POST", url, text, len, request_on_answer, q);
	free(url);
}

static void
send_next(struct couch_ledger *l)
{
	struct page_request *q = xcalloc(1, sizeof(*q));
	struct out *out;

	q->l = l;
	STAILQ_INIT(&q->outs);
	STAILQ_INIT(&q->pages);
	l->active = q;
	while ((out = STAILQ_FIRST(&l->ready)) != NULL && q->bytes < REQUEST_BYTES) {
		STAILQ_REMOVE_HEAD(&l->ready, link);
		STAILQ_INSERT_TAIL(&q->outs, out, link);
		if (out->w != NULL)
			add_write(q, out);
		else
			add_call(q, out);
	}
	if (STAILQ_EMPTY(&q->pages)) /* a call with nothing in it */
		request_end(q, NULL);
	else
		request_send(q);
}

/* ---- is the job there? ---- */

static void
on_stray(const struct trouble *why, void *arg)
{
	out_settle(arg, why);
}

static void
add_stray(struct out *out, const char *job, const json_t *outcome)
{
	out->pending++;
	couch_strays_add(out->l->c->strays, job, outcome, on_stray, out);
}

/* Is any of it for pages? */
static bool
sort_write(struct out *out)
{
	struct outcome o;
	bool any = false;

	for (size_t i = 0; i < out->w->n; i++) {
		const struct result *r = out->w->results[i];
		json_t *json;

		if (!outcome_of_result(out->w->host, r, &o))
			continue;
		if (couch_known_has(out->l->c->known, r->meta.job)) {
			any = true;
			continue;
		}
		if (out->stray == NULL)
			out->stray = xcalloc(out->w->n, sizeof(*out->stray));
		out->stray[i] = true;
		json = outcome_to_json(&o);
		add_stray(out, r->meta.job, json);
		json_decref(json);
	}
	return any;
}

static bool
sort_call(struct out *out)
{
	const json_t *outcome;
	size_t i;

	if (couch_known_has(out->l->c->known, out->job))
		return true;
	json_array_foreach (out->outcomes, i, outcome)
		add_stray(out, out->job, outcome);
	return false;
}

/* Outcomes of jobs that are not there are handed over; the others are ready for pages. */
static void
sort_out(struct out *out)
{
	if (out->w != NULL ? sort_write(out) : sort_call(out))
		STAILQ_INSERT_TAIL(&out->l->ready, out, link);
	else
		out_settle(out, NULL);
}

static void
looking_end(struct couch_ledger *l, const struct trouble *why)
{
	struct out *out;

	while ((out = STAILQ_FIRST(&l->looking)) != NULL) {
		STAILQ_REMOVE_HEAD(&l->looking, link);
		if (why == NULL)
			sort_out(out);
		else
			out_settle(out, why);
	}
	loop_timer_arm(l->pump, 0);
}

static void
on_looked(const struct http_response *r, void *arg)
{
	struct couch_ledger *l = arg;
	struct couch *c = l->c;
	json_t *there = json_object();
	struct trouble why;
	enum couch_answer a = couch_answer_read(r, 200, c->jobs_id, &why);

	note_answer(c, r, a);
	if (a == COUCH_DONE && !couch_known_take(c->known, r->body, r->body_len, there)) {
		couch_answer_garbled(r, c->jobs_id, &why);
		a = COUCH_UNKNOWN;
	}
	json_decref(there);
	looking_end(l, a == COUCH_DONE ? NULL : &why);
}

static bool
note_unknown(struct couch_ledger *l, const char *job, json_t *jobs)
{
	if (couch_known_has(l->c->known, job))
		return false;
	if (jobs != NULL)
		json_object_set_new(jobs, job, json_null());
	return true;
}

/* Is there a job of which it is not known whether it is there? All of them are added to the set,
 * unless that is NULL. */
static bool
asks_for(struct couch_ledger *l, const struct out *out, json_t *jobs)
{
	struct outcome o;
	bool any = false;

	if (out->w == NULL)
		return note_unknown(l, out->job, jobs);
	for (size_t i = 0; i < out->w->n; i++) {
		const struct result *r = out->w->results[i];

		if (outcome_of_result(out->w->host, r, &o) && note_unknown(l, r->meta.job, jobs))
			any = true;
	}
	return any;
}

static void
look(struct couch_ledger *l, const json_t *jobs)
{
	struct buf body;
	char *url, *text;
	size_t len;

	buf_init(&body, SIZE_MAX / 2); /* of ids that are in memory */
	if (!couch_known_ask(&body, jobs)) {
		buf_finish(&body);
		looking_end(l, &trouble_no_memory);
		return;
	}
	xasprintf(&url, "%s/_all_docs", l->c->jobs_url);
	text = buf_take(&body, &len);
	http_request(l->c->http, "POST", url, text, len, on_looked, l);
	free(url);
}

/* Lets what needs no asking pass what does. */
static void
sort_waiting(struct couch_ledger *l)
{
	struct out_list all = STAILQ_HEAD_INITIALIZER(all);
	bool may_ask = STAILQ_EMPTY(&l->looking);
	json_t *jobs = json_object();
	struct out *out;

	STAILQ_CONCAT(&all, &l->waiting);
	while ((out = STAILQ_FIRST(&all)) != NULL) {
		bool room = may_ask && json_object_size(jobs) < LOOK_JOBS;

		STAILQ_REMOVE_HEAD(&all, link);
		if (!asks_for(l, out, room ? jobs : NULL))
			sort_out(out);
		else if (room)
			STAILQ_INSERT_TAIL(&l->looking, out, link);
		else
			STAILQ_INSERT_TAIL(&l->waiting, out, link);
	}
	if (json_object_size(jobs) > 0)
		look(l, jobs);
	json_decref(jobs);
}

/* While CouchDB wants to be left alone nothing is sent: it is for the caller to come again. */
static void
put_off(struct couch_ledger *l)
{
	struct out_list now = STAILQ_HEAD_INITIALIZER(now);
	struct trouble why;
	struct out *out;

	trouble_set(
	    &why, TROUBLE_OTHER, NULL, "%s has asked for time (Retry-After)", l->c->base.id);
	STAILQ_CONCAT(&now, &l->waiting);
	STAILQ_CONCAT(&now, &l->ready);
	while ((out = STAILQ_FIRST(&now)) != NULL) {
		STAILQ_REMOVE_HEAD(&now, link);
		out_settle(out, &why);
	}
}

static void
on_pump(void *arg)
{
	struct couch_ledger *l = arg;

	if (couch_pace_wait_ms(&l->c->pace, loop_now(l->c->loop)) > 0)
		put_off(l);
	sort_waiting(l);
	while (!STAILQ_EMPTY(&l->ready) && l->active == NULL)
		send_next(l);
}

/* ---- the interface ---- */

static struct out *
out_create(struct couch_ledger *l, void *arg)
{
	struct out *out = xcalloc(1, sizeof(*out));

	out->l = l;
	out->arg = arg;
	out->pending = 1; /* of its pages */
	LIST_INSERT_HEAD(&l->all, out, all);
	STAILQ_INSERT_TAIL(&l->waiting, out, link);
	loop_timer_arm(l->pump, 0); /* with all else that is answered in this pass */
	return out;
}

bool
couch_ledger_take(struct couch_ledger *l, struct store_write *w, store_written_fn *fn, void *arg)
{
	struct outcome o;
	struct out *out;
	bool any = false;

	for (size_t i = 0; i < w->n && !any; i++)
		any = outcome_of_result(w->host, w->results[i], &o);
	if (!any)
		return false;
	out = out_create(l, arg);
	out->w = w;
	out->written = fn;
	return true;
}

void
couch_ledger_add(struct couch_ledger *l, const char *job, const struct outcome *o, size_t n,
    store_done_fn *fn, void *arg)
{
	struct out *out = out_create(l, arg);

	out->done = fn;
	out->job = xstrdup(job);
	out->outcomes = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(out->outcomes, outcome_to_json(&o[i]));
}

struct couch_ledger *
couch_ledger_create(struct couch *c)
{
	struct couch_ledger *l = xcalloc(1, sizeof(*l));

	l->c = c;
	snprintf(l->writer, sizeof(l->writer), "%08" PRIx32 "%08" PRIx32, ident_random32(),
	    ident_random32());
	l->pump = loop_timer_create(c->loop, "couch-ledger", on_pump, l);
	LIST_INIT(&l->all);
	STAILQ_INIT(&l->waiting);
	STAILQ_INIT(&l->looking);
	STAILQ_INIT(&l->ready);
	return l;
}

void
couch_ledger_destroy(struct couch_ledger *l)
{
	if (l->active != NULL)
		request_free(l->active);
	while (!LIST_EMPTY(&l->all))
		out_free(LIST_FIRST(&l->all));
	loop_timer_destroy(l->pump);
	free(l);
}
