/* SPDX-License-Identifier: Apache-2.0 */
/* A record; lists of records, of parts of them and of heads, page by page; and forgetting one. */
#include "shared/base/log.h"
#include "shared/base/xalloc.h"
#include "shared/store/pg/pg.h"
#include "shared/store/pg/pg_record.h"
#include "shared/wire/jsonx.h"

#include <stdlib.h>
#include <string.h>

#define PAGE_RECORDS 100
#define PAGE_HEADS   500
#define PAGE_NAMES   2000
#define PAGE_BYTES   (INT64_C(2) * 1024 * 1024) /* of records; one larger is a page */

struct page_kind {
	enum pg_stmt stmt;
	int64_t hosts;
	bool has_bytes;
	json_t *(*make)(struct value_coder *c, const PGresult *res, int first, int end);
};

static const struct page_kind list_records = {
    PG_STMT_RECORDS_AFTER, PAGE_RECORDS, true, pg_record_make};
static const struct page_kind list_values = {
    PG_STMT_VALUES_AFTER, PAGE_RECORDS, true, pg_record_make_values};
static const struct page_kind list_names = {
    PG_STMT_NAMES_AFTER, PAGE_NAMES, false, pg_record_make_name};
static const struct page_kind list_heads = {
    PG_STMT_HEADS_AFTER, PAGE_HEADS, false, pg_record_make_head};

/* ---- a record ---- */

struct record_reading {
	struct pg_task task; /* first */
	struct pg_store *s;
	char *host;
	store_got_fn *fn;
	void *arg;
	enum store_found found;
	json_t *rec;
};

static void
get_send(struct pg_task *t, struct pg_session *c)
{
	struct pg_args args = {0};

	pg_arg_text(&args, ((struct record_reading *)t)->host);
	pg_send(c, PG_STMT_RECORD_GET, &args);
}

static void
get_on_result(struct pg_task *t, unsigned int n, const PGresult *res)
{
	struct record_reading *g = (struct record_reading *)t;

	(void)n;
	if (PQntuples(res) == 0)
		return;
	g->rec = pg_record_make(g->s->coder, res, 0, PQntuples(res));
	g->found = g->rec != NULL ? STORE_FOUND : STORE_FAILED;
}

static void
get_on_end(struct pg_task *t, enum pg_fault fault, const struct trouble *why)
{
	struct record_reading *g = (struct record_reading *)t;
	struct trouble damaged = {0};

	if (fault != PG_FAULT_NONE) {
		g->found = STORE_FAILED;
	} else if (g->found == STORE_FAILED) {
		trouble_set(&damaged, TROUBLE_OTHER, NULL,
		    "what is stored of %s is damaged: not JSON", g->host);
		why = &damaged;
	}
	if (!g->s->closed)
		g->fn(g->found, g->found == STORE_FOUND ? g->rec : NULL,
		    g->found == STORE_FAILED ? why : NULL, g->arg);
	json_decref(g->rec);
	free(g->host);
	free(g);
}

void
pg_get(struct store *base, const char *host, store_got_fn *fn, void *arg)
{
	struct record_reading *g = xcalloc(1, sizeof(*g));

	g->task =
	    (struct pg_task){.send = get_send, .on_result = get_on_result, .on_end = get_on_end};
	g->s = (struct pg_store *)base;
	g->host = xstrdup(host);
	g->fn = fn;
	g->arg = arg;
	g->found = STORE_MISSING;
	pg_pool_submit(g->s->pool, &g->task);
}

/* ---- lists ---- */

struct records_listing {
	struct pg_task task; /* first */
	struct pg_store *s;
	const struct page_kind *kind;
	struct buf plugins; /* an array of those that are wanted; empty: not asked for */
	char *after;        /* the last host that was read */
	store_listed_fn *fn;
	void *arg;
	json_t *page; /* array of records */
	bool ended;
};

static void
list_send(struct pg_task *t, struct pg_session *c)
{
	const struct records_listing *l = (const struct records_listing *)t;
	struct pg_args args = {0};

	pg_arg_text(&args, l->after);
	pg_arg_int(&args, l->kind->hosts);
	if (l->kind->has_bytes)
		pg_arg_int(&args, PAGE_BYTES);
	if (l->plugins.len > 0)
		pg_arg_text(&args, l->plugins.data);
	pg_send(c, l->kind->stmt, &args);
}

/* One that is damaged is left out, and the others are told. */
static void
list_on_result(struct pg_task *t, unsigned int n, const PGresult *res)
{
	struct records_listing *l = (struct records_listing *)t;
	int end;

	(void)n;
	l->ended = PQntuples(res) == 0;
	for (int row = 0; row < PQntuples(res); row = end) {
		json_t *rec;

		end = pg_record_end(res, row);
		free(l->after);
		l->after = xstrdup(pg_text(res, row, PG_RECORD_HOST, NULL));
		rec = l->kind->make(l->s->coder, res, row, end);
		if (rec == NULL)
			log_warn("store",
			    "store[%s]: left out of the list: what is stored is damaged, host=%s",
			    l->s->base.id, l->after);
		else if (json_array_append_new(l->page, rec) != 0)
			xalloc_fail(0);
	}
}

static void
list_free(struct records_listing *l)
{
	json_decref(l->page);
	buf_finish(&l->plugins);
	free(l->after);
	free(l);
}

static void
list_on_end(struct pg_task *t, enum pg_fault fault, const struct trouble *why)
{
	struct records_listing *l = (struct records_listing *)t;
	json_t *rec;
	size_t i;

	if (fault != PG_FAULT_NONE)
		json_array_clear(l->page); /* of a page that came in part */
	json_array_foreach (l->page, i, rec) {
		if (l->s->closed)
			break;
		l->fn(STORE_FOUND, rec, NULL, l->arg);
	}
	json_array_clear(l->page);
	if (l->s->closed) {
		list_free(l);
		return;
	}
	if (fault == PG_FAULT_NONE && !l->ended) {
		pg_pool_submit(l->s->pool, &l->task);
		return;
	}
	l->fn(fault == PG_FAULT_NONE ? STORE_MISSING : STORE_FAILED, NULL, why, l->arg);
	list_free(l);
}

static struct records_listing *
list_start(struct store *base, const struct page_kind *kind, store_listed_fn *fn, void *arg)
{
	struct records_listing *l = xcalloc(1, sizeof(*l));

	l->task =
	    (struct pg_task){.send = list_send, .on_result = list_on_result, .on_end = list_on_end};
	l->s = (struct pg_store *)base;
	l->kind = kind;
	l->after = xstrdup("");
	pg_array_init(&l->plugins);
	l->fn = fn;
	l->arg = arg;
	l->page = json_array();
	if (l->page == NULL)
		xalloc_fail(0);
	pg_pool_submit(l->s->pool, &l->task);
	return l;
}

void
pg_list(struct store *base, const struct store_filter *filter, store_listed_fn *fn, void *arg)
{
	struct records_listing *l;

	if (filter == NULL) {
		list_start(base, &list_records, fn, arg);
	} else if (filter->n == 0) {
		list_start(base, &list_names, fn, arg);
	} else {
		l = list_start(base, &list_values, fn, arg);
		for (size_t i = 0; i < filter->n; i++)
			pg_array_add(&l->plugins, filter->plugins[i]);
		pg_array_end(&l->plugins);
	}
}

void
pg_heads(struct store *base, store_listed_fn *fn, void *arg)
{
	list_start(base, &list_heads, fn, arg);
}

/* ---- forgetting ---- */

struct record_forgetting {
	struct pg_task task; /* first */
	struct pg_store *s;
	char *host;
	int64_t id; /* of what was its row; 0: it has none, or that is still there */
	bool versions_went;
	store_done_fn *fn;
	void *arg;
};

/* Its row goes first, with its rows of fresh: what is written of it at that moment is waited for,
 * or waits and finds it gone. Then nothing is appended any more. */
static void
forget_send(struct pg_task *t, struct pg_session *c)
{
	const struct record_forgetting *f = (const struct record_forgetting *)t;
	struct pg_args args = {0};

	if (f->id == 0)
		pg_arg_text(&args, f->host);
	else
		pg_arg_int(&args, f->id);
	pg_send(c, f->id == 0 ? PG_STMT_FORGET_HOST : PG_STMT_FORGET_VERSIONS, &args);
}

static void
forget_on_result(struct pg_task *t, unsigned int n, const PGresult *res)
{
	struct record_forgetting *f = (struct record_forgetting *)t;

	(void)n;
	if (f->id != 0)
		f->versions_went = true;
	else if (PQntuples(res) > 0)
		f->id = pg_int(res, 0, 0, 0);
}

static void
forget_on_end(struct pg_task *t, enum pg_fault fault, const struct trouble *why)
{
	struct record_forgetting *f = (struct record_forgetting *)t;

	if (!f->s->closed && fault == PG_FAULT_NONE && f->id != 0 && !f->versions_went) {
		pg_pool_submit(f->s->pool, &f->task);
		return;
	}
	if (!f->s->closed)
		f->fn(why, why != NULL ? NULL : f->id != 0 ? "forgotten" : "not there", f->arg);
	free(f->host);
	free(f);
}

void
pg_forget(struct store *base, const char *host, store_done_fn *fn, void *arg)
{
	struct record_forgetting *f = xcalloc(1, sizeof(*f));

	f->task = (struct pg_task){
	    .send = forget_send, .on_result = forget_on_result, .on_end = forget_on_end};
	f->s = (struct pg_store *)base;
	f->host = xstrdup(host);
	f->fn = fn;
	f->arg = arg;
	pg_pool_submit(f->s->pool, &f->task);
}
