/* See couch_ledger.h. */
#include "shared/store/couch_ledger.h"

#include "shared/buf.h"
#include "shared/ident.h"
#include "shared/jsonx.h"
#include "shared/log.h"
#include "shared/loop.h"
#include "shared/wall.h"
#include "shared/xalloc.h"

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
	WRITER_SIZE = 17,
	WHY_SIZE = 512,
};

/* Who waits for outcomes to be stored: a write whose record is, or a call of the runner. */
struct out {
	STAILQ_ENTRY(out) link;
	struct store_write *w; /* NULL: the rest is of a call */
	store_written_fn *written;
	store_done_fn *done;
	void *arg;
	char *job;
	json_t *outcomes; /* of outcome_to_json */
	size_t next;      /* the first of them that no request had yet */
	bool failed;
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

struct request {
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
	struct out_list waiting;
	struct request *active; /* NULL: none is under way */
};

/* ---- pages ---- */

static struct page *
page_create(struct request *q, const char *job)
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
page_of(struct request *q, const char *job)
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
	char at[WALL_TEXT_SIZE];

	return p->newest > 0 ? buf_printf(&p->text, "],\"at\":\"%s\"}", wall_format(p->newest, at))
			     : buf_append_str(&p->text, "]}");
}

static void
add_outcome(struct request *q, struct out *out, const char *job, const json_t *outcome, int64_t at)
{
	struct page *p = page_of(q, job);
	size_t before = p->text.len;

	if (at > p->newest)
		p->newest = at;
	if (!page_add(p, out, outcome)) /* out of memory */
		out->failed = true;
	q->bytes += p->text.len - before;
}

/* ---- answering ---- */

static void
out_answer(struct couch_ledger *l, struct out *out, const char *why)
{
	if (out->w == NULL)
		out->done(!out->failed, out->failed ? why : "written", out->arg);
	else
		out->written(out->w, out->failed ? STORE_RETRY : STORE_OK, out->failed ? why : NULL,
		    out->arg);
	json_decref(out->outcomes);
	free(out->job);
	free(out);
}

static void
request_free(struct request *q)
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
request_end(struct request *q, const char *why)
{
	struct couch_ledger *l = q->l;
	struct out *out;
	struct page *p;

	l->active = NULL;
	loop_timer_arm(l->pump, 0);
	STAILQ_FOREACH (p, &q->pages, link) {
		for (size_t i = 0; i < p->n_outs && !p->stored; i++)
			p->outs[i]->failed = true;
	}
	while ((out = STAILQ_FIRST(&q->outs)) != NULL) {
		STAILQ_REMOVE_HEAD(&q->outs, link);
		if (!out->failed && out->next < json_array_size(out->outcomes))
			STAILQ_INSERT_HEAD(&l->waiting, out, link); /* the rest of it */
		else
			out_answer(l, out, why);
	}
	request_free(q);
}

static struct page *
page_by_id(struct request *q, const char *id)
{
	struct page *p;

	STAILQ_FOREACH (p, &q->pages, link) {
		if (strcmp(p->id, id) == 0)
			break;
	}
	return p;
}

/* A conflict with an id that nobody else makes is our own page, of an answer that was lost. */
static void
read_items(struct request *q, const struct couch_item *items, size_t n, char *why)
{
	snprintf(why, WHY_SIZE, "the store's answer leaves out a page of %s", q->l->c->jobs_id);
	for (size_t i = 0; i < n; i++) {
		struct page *p = page_by_id(q, items[i].id);

		if (p == NULL)
			continue;
		p->stored = items[i].status == STORE_OK || items[i].status == STORE_CONFLICT;
		if (!p->stored)
			snprintf(why, WHY_SIZE, "%s: %s", q->l->c->jobs_id, items[i].why);
	}
}

static void
request_on_answer(const struct http_response *r, void *arg)
{
	struct request *q = arg;
	struct couch *c = q->l->c;
	struct couch_item *items = NULL;
	char why[WHY_SIZE];
	size_t n = 0;
	enum couch_answer a = couch_answer_read(r, 201, c->jobs_id, why, sizeof(why));

	couch_note_answer(c, r);
	if (a == COUCH_DONE && !couch_items_parse(r->body, r->body_len, &items, &n))
		couch_answer_garbled(r, c->jobs_id, why, sizeof(why));
	else if (a == COUCH_DONE)
		read_items(q, items, n, why);
	couch_items_free(items, n);
	request_end(q, why);
}

/* ---- sending ---- */

static void
add_write(struct request *q, struct out *out)
{
	struct outcome o;

	for (size_t i = 0; i < out->w->n; i++) {
		const struct result *r = out->w->results[i];
		json_t *json;

		if (!outcome_of_result(out->w->host, r, &o))
			continue;
		json = outcome_to_json(&o);
		add_outcome(q, out, r->meta.job, json, o.at);
		json_decref(json);
	}
}

static void
add_call(struct request *q, struct out *out)
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
write_body(struct request *q, struct buf *body)
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
request_send(struct request *q)
{
	struct couch *c = q->l->c;
	struct buf body;
	char *url, *text;
	size_t len;

	buf_init(&body, SIZE_MAX / 2); /* of pages, each of which has a cap */
	if (!write_body(q, &body)) {
		buf_finish(&body);
		request_end(q, "out of memory");
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
	struct request *q = xcalloc(1, sizeof(*q));
	struct out *out;

	q->l = l;
	STAILQ_INIT(&q->outs);
	STAILQ_INIT(&q->pages);
	l->active = q;
	while ((out = STAILQ_FIRST(&l->waiting)) != NULL && q->bytes < REQUEST_BYTES) {
		STAILQ_REMOVE_HEAD(&l->waiting, link);
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

/* While CouchDB wants to be left alone nothing is sent: it is for the caller to come again. */
static void
put_off(struct couch_ledger *l)
{
	struct out_list now = STAILQ_HEAD_INITIALIZER(now);
	char why[WHY_SIZE];
	struct out *out;

	snprintf(why, sizeof(why), "%s has asked for time (Retry-After)", l->c->base.id);
	STAILQ_CONCAT(&now, &l->waiting);
	while ((out = STAILQ_FIRST(&now)) != NULL) {
		STAILQ_REMOVE_HEAD(&now, link);
		out->failed = true;
		out_answer(l, out, why);
	}
}

static void
on_pump(void *arg)
{
	struct couch_ledger *l = arg;

	if (couch_pace_wait_ms(&l->c->pace, loop_now(l->c->loop)) > 0)
		put_off(l);
	while (!STAILQ_EMPTY(&l->waiting) && l->active == NULL)
		send_next(l);
}

/* ---- the interface ---- */

static struct out *
out_create(struct couch_ledger *l, void *arg)
{
	struct out *out = xcalloc(1, sizeof(*out));

	out->arg = arg;
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
	STAILQ_INIT(&l->waiting);
	return l;
}

static void
forget(struct out_list *outs)
{
	struct out *out;

	while ((out = STAILQ_FIRST(outs)) != NULL) {
		STAILQ_REMOVE_HEAD(outs, link);
		json_decref(out->outcomes);
		free(out->job);
		free(out);
	}
}

void
couch_ledger_destroy(struct couch_ledger *l)
{
	if (l->active != NULL) {
		forget(&l->active->outs);
		request_free(l->active);
	}
	forget(&l->waiting);
	loop_timer_destroy(l->pump);
	free(l);
}
