/* SPDX-License-Identifier: Apache-2.0 */
/* How jobs ended, a row for each outcome. See pg.h. */
#include "shared/base/utf8.h"
#include "shared/base/xalloc.h"
#include "shared/store/pg/pg.h"
#include "shared/wire/jsonx.h"

#include <stdlib.h>
#include <string.h>

#define PAGE_OUTCOMES 1000
#define ADD_MAX       500 /* in one transaction: what waits for a connection waits for it */

/* ---- writing ---- */

/* PostgreSQL takes only UTF-8, and what comes in headers need not be. */
static char *
mended(const char *text)
{
	json_t *lossy = jsonx_string_lossy(text, strlen(text), NULL);
	char *out = xstrdup(json_string_value(lossy));

	json_decref(lossy);
	return out;
}

static const char *
as_utf8(const char *text, char **own)
{
	*own = text == NULL || utf8_is_valid(text, strlen(text)) ? NULL : mended(text);
	return *own == NULL ? text : *own;
}

void
pg_outcome_args(
    struct pg_args *a, struct pg_outcome_texts *texts, const char *job, const struct outcome *o)
{
	const char *id = o->response_id == NULL ? "" : o->response_id;

	pg_arg_text(a, job);
	pg_arg_text(a, as_utf8(o->host, &texts->host));
	pg_arg_int(a, o->order);
	pg_arg_int(a, o->state);
	pg_arg_text(a, as_utf8(id, &texts->response_id));
	pg_arg_int(a, o->at);
	pg_arg_text(a, as_utf8(outcome_why(o->why, texts->why), &texts->why_own));
	pg_arg_int(a, o->duration_ms);
	pg_arg_int(a, o->exit_status);
}

void
pg_outcome_texts_finish(struct pg_outcome_texts *texts)
{
	free(texts->host);
	free(texts->response_id);
	free(texts->why_own);
}

struct outcome_row { /* its strings are these */
	struct outcome o;
	char *host, *response_id, *why;
};

struct outcomes_adding {
	struct pg_task task; /* first */
	struct pg_store *s;
	char *job;
	struct outcome_row *rows;
	size_t n, from, sent;
	uint64_t strays_dropped;
	store_done_fn *fn;
	void *arg;
};

static void
add_free(struct outcomes_adding *a)
{
	for (size_t i = 0; i < a->n; i++) {
		free(a->rows[i].host);
		free(a->rows[i].response_id);
		free(a->rows[i].why);
	}
	free(a->rows);
	free(a->job);
	free(a);
}

static void
add_one(struct pg_session *c, const char *job, const struct outcome *o)
{
	struct pg_outcome_texts texts;
	struct pg_args args = {0}, trim = {0};

	pg_outcome_args(&args, &texts, job, o);
	pg_send(c, PG_STMT_OUTCOME_PUT, &args);
	pg_arg_text(&trim, o->host);
	pg_arg_int(&trim, OUTCOME_STRAYS_MAX);
	pg_send(c, PG_STMT_STRAYS_TRIM, &trim);
	pg_outcome_texts_finish(&texts);
}

static void
add_send(struct pg_task *t, struct pg_session *c)
{
	struct outcomes_adding *a = (struct outcomes_adding *)t;

	a->sent = 0;
	a->strays_dropped = 0;
	for (; a->from + a->sent < a->n && a->sent < ADD_MAX; a->sent++)
		add_one(c, a->job, &a->rows[a->from + a->sent].o);
}

static void
add_on_result(struct pg_task *t, unsigned int n, const PGresult *res)
{
	if (n % 2 == 1)
		((struct outcomes_adding *)t)->strays_dropped += (uint64_t)pg_affected(res);
}

static void
add_on_end(struct pg_task *t, enum pg_fault fault, const struct trouble *why)
{
	struct outcomes_adding *a = (struct outcomes_adding *)t;

	if (!a->s->closed && fault == PG_FAULT_NONE) {
		a->s->base.strays_dropped += a->strays_dropped;
		a->from += a->sent;
		if (a->from < a->n) {
			pg_pool_submit(a->s->pool, &a->task);
			return;
		}
	}
	if (!a->s->closed)
		a->fn(why, why == NULL ? "written" : NULL, a->arg);
	add_free(a);
}

static void
row_set(struct outcome_row *r, const struct outcome *o)
{
	r->host = xstrdup(o->host);
	r->response_id = xstrdup_null(o->response_id);
	r->why = xstrdup_null(o->why);
	r->o = *o;
	r->o.host = r->host;
	r->o.response_id = r->response_id;
	r->o.why = r->why;
}

void
pg_outcomes_add(struct store *base, const char *job, const struct outcome *o, size_t n,
    store_done_fn *fn, void *arg)
{
	struct outcomes_adding *a = xcalloc(1, sizeof(*a));

	a->task =
	    (struct pg_task){.send = add_send, .on_result = add_on_result, .on_end = add_on_end};
	a->s = (struct pg_store *)base;
	a->job = xstrdup(job);
	a->rows = xcalloc(n + 1, sizeof(*a->rows));
	for (; a->n < n; a->n++)
		row_set(&a->rows[a->n], &o[a->n]);
	a->fn = fn;
	a->arg = arg;
	pg_pool_submit(a->s->pool, &a->task);
}

/* ---- reading ---- */

struct outcomes_reading {
	struct pg_task task; /* first */
	struct pg_store *s;
	char *job;
	store_outcome_fn *fn;
	void *arg;
	PGresult *page;
	char *host, *response_id; /* of the last one that was read */
	int64_t ord, state;
	size_t n_odd;
	bool counts_odd; /* there is nothing more to read */
};

static void
read_free(struct outcomes_reading *r)
{
	PQclear(r->page);
	free(r->job);
	free(r->host);
	free(r->response_id);
	free(r);
}

static void
read_send(struct pg_task *t, struct pg_session *c)
{
	const struct outcomes_reading *r = (const struct outcomes_reading *)t;
	struct pg_args args = {0};

	pg_arg_text(&args, r->job);
	if (r->counts_odd) {
		pg_arg_int(&args, OUTCOME_N_STATES);
		pg_send(c, PG_STMT_OUTCOMES_ODD, &args);
		return;
	}
	pg_arg_text(&args, r->host);
	pg_arg_int(&args, r->ord);
	pg_arg_int(&args, r->state);
	pg_arg_text(&args, r->response_id);
	pg_arg_int(&args, PAGE_OUTCOMES);
	pg_arg_int(&args, OUTCOME_N_STATES);
	pg_send(c, PG_STMT_OUTCOMES_AFTER, &args);
}

enum { HOST, ORD, STATE, RESPONSE_ID, OUT_AT, WHY, DURATION_MS, EXIT_STATUS };

static void
read_on_result(struct pg_task *t, unsigned int n, const PGresult *res)
{
	struct outcomes_reading *r = (struct outcomes_reading *)t;

	(void)n;
	if (r->counts_odd)
		r->n_odd = (size_t)pg_int(res, 0, 0, 0);
	else
		r->page = PQcopyResult(res, PG_COPYRES_ATTRS | PG_COPYRES_TUPLES);
}

static void
tell(const struct outcomes_reading *r, int row)
{
	struct outcome o;

	outcome_init(&o);
	o.host = pg_text(r->page, row, HOST, NULL);
	o.order = pg_int(r->page, row, ORD, 0);
	o.state = (enum outcome_state)pg_int(r->page, row, STATE, 0);
	o.response_id = pg_text(r->page, row, RESPONSE_ID, NULL);
	if (o.response_id[0] == '\0')
		o.response_id = NULL;
	o.at = pg_int(r->page, row, OUT_AT, 0);
	o.why = pg_text(r->page, row, WHY, NULL);
	o.duration_ms = pg_int(r->page, row, DURATION_MS, -1);
	o.exit_status = (int)pg_int(r->page, row, EXIT_STATUS, -1);
	r->fn(STORE_FOUND, &o, NULL, r->arg);
}

/* Where the next page begins. */
static void
note_last(struct outcomes_reading *r)
{
	int row = PQntuples(r->page) - 1;

	free(r->host);
	free(r->response_id);
	r->host = xstrdup(pg_text(r->page, row, HOST, NULL));
	r->response_id = xstrdup(pg_text(r->page, row, RESPONSE_ID, NULL));
	r->ord = pg_int(r->page, row, ORD, 0);
	r->state = pg_int(r->page, row, STATE, 0);
}

static void
deliver(struct outcomes_reading *r)
{
	int n = PQntuples(r->page);

	for (int row = 0; row < n && !r->s->closed; row++)
		tell(r, row);
	if (n > 0)
		note_last(r);
	r->counts_odd = n == 0;
	PQclear(r->page);
	r->page = NULL;
}

static void
read_on_end(struct pg_task *t, enum pg_fault fault, const struct trouble *why)
{
	struct outcomes_reading *r = (struct outcomes_reading *)t;
	bool at_end = r->counts_odd;

	if (!r->s->closed && fault == PG_FAULT_NONE && !at_end)
		deliver(r);
	if (!r->s->closed && fault == PG_FAULT_NONE && !at_end) {
		pg_pool_submit(r->s->pool, &r->task);
		return;
	}
	if (!r->s->closed) {
		store_note_odd_outcomes(&r->s->base, r->job, r->n_odd);
		r->fn(fault == PG_FAULT_NONE ? STORE_MISSING : STORE_FAILED, NULL, why, r->arg);
	}
	read_free(r);
}

void
pg_outcomes(struct store *base, const char *job, store_outcome_fn *fn, void *arg)
{
	struct outcomes_reading *r = xcalloc(1, sizeof(*r));

	r->task =
	    (struct pg_task){.send = read_send, .on_result = read_on_result, .on_end = read_on_end};
	r->s = (struct pg_store *)base;
	r->job = xstrdup(job);
	r->host = xstrdup("");
	r->response_id = xstrdup("");
	r->fn = fn;
	r->arg = arg;
	pg_pool_submit(r->s->pool, &r->task);
}
