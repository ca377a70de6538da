/* SPDX-License-Identifier: Apache-2.0 */
/* See couch_strays.h. */
#include "shared/store/couch/couch_strays.h"

#include "shared/base/buf.h"
#include "shared/base/log.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/store/couch/couch_known.h"
#include "shared/store/couch/couch_stray.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

enum {
	HOSTS_AT_ONCE = 32, /* a document has some 25 KB */
	TRIES_MAX = 8,      /* against another collector */
};

struct waiter {
	couch_strays_fn *fn;
	void *arg;
};

/* A host of which outcomes wait, or are being written. */
struct stray_host {
	STAILQ_ENTRY(stray_host) link;
	UT_hash_handle hh; /* by host, while it waits */
	char *host;
	json_t *fresh; /* [{"job", "outcome"}] */
	struct waiter *waiters;
	size_t n_waiters;
	struct couch_stray doc;
	size_t gone; /* that the document has no more when it is written */
	unsigned int tries;
	bool read; /* in the answer to the request under way */
};
STAILQ_HEAD(stray_hosts, stray_host);

struct couch_strays {
	struct couch *c;
	struct loop_timer *pump;
	struct stray_hosts waiting, active;
	struct stray_host *by_host; /* uthash: those that wait */
};

static void read_active(struct couch_strays *s);

/* ---- hosts ---- */

static struct stray_host *
host_waiting(struct couch_strays *s, const char *host)
{
	struct stray_host *h;

	HASH_FIND_STR(s->by_host, host, h);
	if (h != NULL)
		return h;
	h = xcalloc(1, sizeof(*h));
	h->host = xstrdup(host);
	h->fresh = json_array();
	couch_stray_init(&h->doc, host);
	HASH_ADD_KEYPTR(hh, s->by_host, h->host, strlen(h->host), h);
	STAILQ_INSERT_TAIL(&s->waiting, h, link);
	return h;
}

static void
host_free(struct stray_host *h)
{
	couch_stray_finish(&h->doc);
	json_decref(h->fresh);
	free(h->waiters);
	free(h->host);
	free(h);
}

/* Answers one that is in no list any more. */
static void
host_answer(struct stray_host *h, const struct trouble *why)
{
	for (size_t i = 0; i < h->n_waiters; i++)
		h->waiters[i].fn(why, h->waiters[i].arg);
	host_free(h);
}

static struct stray_host *
active_by_id(struct couch_strays *s, const char *id)
{
	struct stray_host *h;

	STAILQ_FOREACH (h, &s->active, link) {
		if (strcmp(h->doc.id, id) == 0)
			break;
	}
	return h;
}

static void
settle(struct couch_strays *s, struct stray_host *h, const struct trouble *why)
{
	STAILQ_REMOVE(&s->active, h, stray_host, link);
	host_answer(h, why);
}

static void
settle_all(struct couch_strays *s, const struct trouble *why)
{
	while (!STAILQ_EMPTY(&s->active))
		settle(s, STAILQ_FIRST(&s->active), why);
}

/* Goes on with those in conflict, or with those that wait. */
static void
go_on(struct couch_strays *s)
{
	if (STAILQ_EMPTY(&s->active))
		loop_timer_arm(s->pump, 0);
	else
		read_active(s);
}

/* ---- requests ---- */

static enum couch_answer
read_answer(struct couch_strays *s, const struct http_response *r, long want, struct trouble *why)
{
	couch_note_answer(s->c, r);
	return couch_answer_read(r, want, s->c->jobs_id, why);
}

/* body: taken over. */
static void
post(struct couch_strays *s, const char *what, struct buf *body, http_fn *fn)
{
	char *url, *text;
	size_t len;

	xasprintf(&url, "%s/%s", s->c->jobs_url, what);
	text = buf_take(body, &len);
	http_request(s->c->http, "POST", url, text, len, fn, s);
	free(url);
}

static void
out_of_memory(struct couch_strays *s, struct buf *body)
{
	buf_finish(body);
	settle_all(s, &trouble_no_memory);
	go_on(s);
}

/* ---- writing ---- */

static void
read_item(struct couch_strays *s, const struct couch_item *item)
{
	struct couch *c = s->c;
	struct stray_host *h = active_by_id(s, item->id);
	struct trouble why;

	if (h == NULL)
		return;
	if (item->status == STORE_CONFLICT && ++h->tries < TRIES_MAX)
		return; /* it stays, and is read again */
	if (item->status == STORE_OK) {
		c->base.strays_dropped += h->gone;
		settle(s, h, NULL);
		return;
	}
	why = *item->why;
	trouble_prefix(&why, "%s: ", c->jobs_id);
	settle(s, h, &why);
}

/* Settles what an answer leaves out: it is in no conflict. */
static void
settle_unanswered(struct couch_strays *s, const struct couch_item *items, size_t n)
{
	struct stray_host *h, *next;
	struct trouble why;

	trouble_set(
	    &why, TROUBLE_OTHER, NULL, "the answer of %s leaves out a document", s->c->jobs_id);
	for (h = STAILQ_FIRST(&s->active); h != NULL; h = next) {
		bool answered = false;

		next = STAILQ_NEXT(h, link);
		for (size_t i = 0; i < n; i++)
			answered = answered || strcmp(items[i].id, h->doc.id) == 0;
		if (!answered)
			settle(s, h, &why);
	}
}

static void
on_written(const struct http_response *r, void *arg)
{
	struct couch_strays *s = arg;
	struct couch_item *items = NULL;
	struct trouble why;
	size_t n = 0;
	enum couch_answer a = read_answer(s, r, 201, &why);

	couch_items_read(r, s->c->jobs_id, &a, &items, &n, &why);
	if (a == COUCH_DONE) {
		settle_unanswered(s, items, n);
		for (size_t i = 0; i < n; i++)
			read_item(s, &items[i]);
	} else {
		settle_all(s, &why);
	}
	couch_items_free(items, n);
	go_on(s);
}

/* there: jobs, {JOB: null}. */
static void
write_active(struct couch_strays *s, const json_t *there)
{
	struct stray_host *h;
	struct buf body;
	bool ok, first = true;

	buf_init(&body, SIZE_MAX / 2); /* of documents that are bounded */
	ok = buf_append_str(&body, "{\"docs\":[");
	STAILQ_FOREACH (h, &s->active, link) {
		h->gone = couch_stray_trim(&h->doc, there);
		ok = ok && (first || buf_append_char(&body, ',')) &&
		     couch_stray_write(&body, &h->doc);
		first = false;
	}
	if (!ok || !buf_append_str(&body, "]}")) {
		out_of_memory(s, &body);
		return;
	}
	log_debug("store", "store[%s]: writing outcomes of unknown jobs, bytes=%zu", s->c->base.id,
	    body.len);
	post(s, "_bulk_docs", &body, on_written);
}

/* ---- what would go ---- */

static void
on_looked(const struct http_response *r, void *arg)
{
	struct couch_strays *s = arg;
	json_t *there = json_object();
	struct trouble why;

	enum couch_answer a = read_answer(s, r, 200, &why);

	if (a == COUCH_DONE && !couch_known_take(s->c->known, r->body, r->body_len, there)) {
		couch_answer_garbled(r, s->c->jobs_id, &why);
		a = COUCH_UNKNOWN;
	}
	if (a == COUCH_DONE) {
		write_active(s, there);
	} else {
		settle_all(s, &why);
		go_on(s);
	}
	json_decref(there);
}

static void
look_at_jobs(struct couch_strays *s)
{
	json_t *jobs = json_object();
	struct stray_host *h;
	struct buf body;

	STAILQ_FOREACH (h, &s->active, link)
		couch_stray_over(&h->doc, jobs);
	if (json_object_size(jobs) == 0) {
		write_active(s, jobs);
	} else {
		buf_init(&body, SIZE_MAX / 2);
		if (couch_known_ask(&body, jobs))
			post(s, "_all_docs", &body, on_looked);
		else
			out_of_memory(s, &body);
	}
	json_decref(jobs);
}

/* ---- reading ---- */

static void
take_row(struct couch_strays *s, const struct couch_row *row)
{
	struct stray_host *h = active_by_id(s, row->id);
	struct trouble why;

	if (h == NULL)
		return;
	h->read = !row->error && (row->doc.text == NULL || couch_stray_parse(&h->doc, row->doc));
	if (h->read)
		return;
	trouble_set(&why, TROUBLE_OTHER, NULL, "%s has no document %s that can be read",
	    s->c->jobs_id, h->doc.id);
	settle(s, h, &why);
}

static void
add_fresh(struct stray_host *h)
{
	const json_t *one;
	size_t i;

	json_array_foreach (h->fresh, i, one)
		couch_stray_add(&h->doc, json_string_value(json_object_get(one, "job")),
		    json_object_get(one, "outcome"));
}

static void
on_read(const struct http_response *r, void *arg)
{
	struct couch_strays *s = arg;
	struct stray_host *h, *next;
	struct couch_rows rows = {0};
	struct couch_row row;
	struct trouble why;
	enum couch_answer a = read_answer(s, r, 200, &why);

	if (a == COUCH_DONE && couch_rows_open(&rows, r->body, r->body_len)) {
		for (; couch_rows_next(&rows, &row); couch_row_finish(&row))
			take_row(s, &row);
		couch_answer_garbled(r, s->c->jobs_id, &why);
	} else if (a == COUCH_DONE) {
		couch_answer_garbled(r, s->c->jobs_id, &why);
	}
	for (h = STAILQ_FIRST(&s->active); h != NULL; h = next) {
		next = STAILQ_NEXT(h, link);
		if (h->read)
			add_fresh(h);
		else
			settle(s, h, &why);
	}
	if (STAILQ_EMPTY(&s->active))
		go_on(s);
	else
		look_at_jobs(s);
}

static void
read_active(struct couch_strays *s)
{
	const char *ids[HOSTS_AT_ONCE];
	struct stray_host *h;
	struct buf body;
	size_t n = 0;

	STAILQ_FOREACH (h, &s->active, link) {
		couch_stray_finish(&h->doc);
		couch_stray_init(&h->doc, h->host);
		h->read = false;
		ids[n++] = h->doc.id;
	}
	buf_init(&body, SIZE_MAX / 2);
	if (couch_keys_body(&body, ids, n))
		post(s, "_all_docs?include_docs=true", &body, on_read);
	else
		out_of_memory(s, &body);
}

/* While CouchDB wants to be left alone nothing is sent: it is for the caller to come again. */
static void
put_off(struct couch_strays *s)
{
	struct trouble why;
	struct stray_host *h;

	trouble_set(
	    &why, TROUBLE_OTHER, NULL, "%s has asked for time (Retry-After)", s->c->base.id);
	HASH_CLEAR(hh, s->by_host);
	STAILQ_CONCAT(&s->active, &s->waiting);
	while ((h = STAILQ_FIRST(&s->active)) != NULL)
		settle(s, h, &why);
}

static void
on_pump(void *arg)
{
	struct couch_strays *s = arg;
	struct stray_host *h;

	if (!STAILQ_EMPTY(&s->active))
		return;
	if (couch_pace_wait_ms(&s->c->pace, loop_now(s->c->loop)) > 0)
		put_off(s);
	for (size_t n = 0; n < HOSTS_AT_ONCE && !STAILQ_EMPTY(&s->waiting); n++) {
		h = STAILQ_FIRST(&s->waiting);
		STAILQ_REMOVE_HEAD(&s->waiting, link);
		HASH_DEL(s->by_host, h);
		STAILQ_INSERT_TAIL(&s->active, h, link);
	}
	if (!STAILQ_EMPTY(&s->active))
		read_active(s);
}

/* ---- the interface ---- */

void
couch_strays_add(
    struct couch_strays *s, const char *job, const json_t *outcome, couch_strays_fn *fn, void *arg)
{
	const char *host = json_string_value(json_object_get(outcome, "host"));
	struct stray_host *h = host_waiting(s, host);

	json_array_append_new(
	    h->fresh, json_pack("{s:s,s:o}", "job", job, "outcome", json_copy((json_t *)outcome)));
	h->waiters = xreallocarray(h->waiters, h->n_waiters + 1, sizeof(*h->waiters));
	h->waiters[h->n_waiters++] = (struct waiter){fn, arg};
	loop_timer_arm(s->pump, 0);
}

struct couch_strays *
couch_strays_create(struct couch *c)
{
	struct couch_strays *s = xcalloc(1, sizeof(*s));

	s->c = c;
	s->pump = loop_timer_create(c->loop, "couch-strays", on_pump, s);
	STAILQ_INIT(&s->waiting);
	STAILQ_INIT(&s->active);
	return s;
}

void
couch_strays_destroy(struct couch_strays *s)
{
	struct stray_host *h;

	HASH_CLEAR(hh, s->by_host);
	STAILQ_CONCAT(&s->active, &s->waiting);
	while ((h = STAILQ_FIRST(&s->active)) != NULL) {
		STAILQ_REMOVE_HEAD(&s->active, link);
		host_free(h);
	}
	loop_timer_destroy(s->pump);
	free(s);
}
