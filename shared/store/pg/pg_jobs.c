/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs: writing, reading, pruning. See pg.h. */
#include "shared/base/log.h"
#include "shared/base/xalloc.h"
#include "shared/store/pg/pg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_JOBS      50
#define PAGE_BYTES     (INT64_C(2) * 1024 * 1024)
#define PRUNE_JOBS     100
#define PRUNE_OUTCOMES 500
#define PRUNE_STEPS    200 /* jobs with outcomes that one call looks at */

/* ---- adding ---- */

struct job_adding {
	struct pg_task task; /* first */
	struct pg_store *s;
	char *id, *text;
	int64_t sent_at, not_after;
	bool was_there;
	store_done_fn *fn;
	void *arg;
};

static void
add_send(struct pg_task *t, struct pg_session *c)
{
	const struct job_adding *a = (const struct job_adding *)t;
	struct pg_args args = {0}, id = {0};

	pg_arg_text(&args, a->id);
	pg_arg_int(&args, a->sent_at);
	pg_arg_int(&args, a->not_after);
	pg_arg_text(&args, a->text);
	pg_send(c, PG_STMT_JOB_PUT, &args);
	pg_arg_text(&id, a->id);
	pg_send(c, PG_STMT_STRAYS_OF_JOB, &id);
}

static void
add_on_result(struct pg_task *t, unsigned int n, const PGresult *res)
{
	if (n == 0)
		((struct job_adding *)t)->was_there = pg_affected(res) == 0;
}

static void
add_on_end(struct pg_task *t, enum pg_fault fault, const struct trouble *why)
{
	struct job_adding *a = (struct job_adding *)t;

	(void)fault;
	if (!a->s->closed)
		a->fn(why, why != NULL ? NULL : a->was_there ? "was there" : "created", a->arg);
	free(a->id);
	free(a->text);
	free(a);
}

void
pg_job_add(struct store *base, const struct job *j, store_done_fn *fn, void *arg)
{
	struct job_adding *a = xcalloc(1, sizeof(*a));
	json_t *json = job_to_json(j);

	a->task =
	    (struct pg_task){.send = add_send, .on_result = add_on_result, .on_end = add_on_end};
	a->s = (struct pg_store *)base;
	a->id = xstrdup(j->id);
	a->sent_at = j->sent_at;
	a->not_after = j->not_after;
	a->text = json_dumps(json, JSON_COMPACT);
	if (a->text == NULL)
		xalloc_fail(0);
	json_decref(json);
	a->fn = fn;
	a->arg = arg;
	pg_pool_submit(a->s->pool, &a->task);
}

/* ---- reading ---- */

struct jobs_reading {
	struct pg_task task; /* first */
	struct pg_store *s;
	char *id; /* of the one; of the last one that was read */
	int64_t sent_at;
	size_t left;
	bool ended;
	struct job *page;
	size_t n;
	enum store_found found; /* of one */
	struct trouble *damaged;
	store_job_fn *fn;
	void *arg;
};

static struct jobs_reading *
jobs_create(struct store *base, const char *id, store_job_fn *fn, void *arg)
{
	struct jobs_reading *j = xcalloc(1, sizeof(*j));

	j->s = (struct pg_store *)base;
	j->id = xstrdup(id);
	j->page = xcalloc(PAGE_JOBS, sizeof(*j->page));
	j->fn = fn;
	j->arg = arg;
	return j;
}

static void
drop_page(struct jobs_reading *j)
{
	while (j->n > 0)
		job_finish(&j->page[--j->n]);
}

static void
jobs_free(struct jobs_reading *j)
{
	drop_page(j);
	free(j->page);
	free(j->damaged);
	free(j->id);
	free(j);
}

/* Takes the job that the text says. */
static bool
take_job(struct jobs_reading *j, const char *id, const char *text, char *err, size_t err_size)
{
	json_t *json = json_loads(text, 0, NULL);
	bool ok;

	snprintf(err, err_size, "not JSON");
	ok = json != NULL && job_from_json(json, &j->page[j->n], err, err_size);
	json_decref(json);
	if (ok)
		j->n++;
	else
		log_debug("store", "store[%s]: %s, job=%s", j->s->base.id, err, id);
	return ok;
}

static void
get_send(struct pg_task *t, struct pg_session *c)
{
	struct pg_args args = {0};

	pg_arg_text(&args, ((struct jobs_reading *)t)->id);
	pg_send(c, PG_STMT_JOB_GET, &args);
}

static void
get_on_result(struct pg_task *t, unsigned int n, const PGresult *res)
{
	struct jobs_reading *j = (struct jobs_reading *)t;
	char err[256];

	(void)n;
	if (PQntuples(res) == 0)
		return;
	j->found = STORE_FOUND;
	if (take_job(j, j->id, pg_text(res, 0, 0, NULL), err, sizeof(err)))
		return;
	j->found = STORE_FAILED;
	j->damaged = xcalloc(1, sizeof(*j->damaged));
	trouble_set(j->damaged, TROUBLE_OTHER, JOB_CURE,
	    "%s: job %s cannot be read: %s" JOB_UNREADABLE, store_id(&j->s->base), j->id, err);
}

static void
get_on_end(struct pg_task *t, enum pg_fault fault, const struct trouble *why)
{
	struct jobs_reading *j = (struct jobs_reading *)t;

	if (fault != PG_FAULT_NONE)
		j->found = STORE_FAILED;
	else
		why = j->damaged;
	if (!j->s->closed)
		j->fn(j->found, j->found == STORE_FOUND ? &j->page[0] : NULL, why, j->arg);
	jobs_free(j);
}

void
pg_job_get(struct store *base, const char *id, store_job_fn *fn, void *arg)
{
	struct jobs_reading *j = jobs_create(base, id, fn, arg);

	j->task =
	    (struct pg_task){.send = get_send, .on_result = get_on_result, .on_end = get_on_end};
	j->found = STORE_MISSING;
	pg_pool_submit(j->s->pool, &j->task);
}

static void
list_send(struct pg_task *t, struct pg_session *c)
{
	const struct jobs_reading *j = (const struct jobs_reading *)t;
	struct pg_args args = {0};

	pg_arg_int(&args, j->sent_at);
	pg_arg_text(&args, j->id);
	pg_arg_int(&args, j->left < PAGE_JOBS ? (int64_t)j->left : PAGE_JOBS);
	pg_arg_int(&args, PAGE_BYTES);
	pg_send(c, PG_STMT_JOBS_BEFORE, &args);
}

static void
list_on_result(struct pg_task *t, unsigned int n, const PGresult *res)
{
	enum { ID, SENT_AT, JOB };
	struct jobs_reading *j = (struct jobs_reading *)t;
	char err[256];

	(void)n;
	j->ended = PQntuples(res) == 0;
	for (int row = 0; row < PQntuples(res) && row < PAGE_JOBS; row++) {
		free(j->id);
		j->id = xstrdup(pg_text(res, row, ID, NULL));
		j->sent_at = pg_int(res, row, SENT_AT, 0);
		if (!take_job(j, j->id, pg_text(res, row, JOB, NULL), err, sizeof(err)))
			log_warn("store",
			    "store[%s]: left out of the list: job %s cannot be read: %s",
			    j->s->base.id, j->id, err);
	}
}

static void
list_on_end(struct pg_task *t, enum pg_fault fault, const struct trouble *why)
{
	struct jobs_reading *j = (struct jobs_reading *)t;

	if (fault != PG_FAULT_NONE)
		drop_page(j);
	for (size_t i = 0; i < j->n && !j->s->closed; i++)
		j->fn(STORE_FOUND, &j->page[i], NULL, j->arg);
	j->left -= j->n;
	drop_page(j);
	if (!j->s->closed && fault == PG_FAULT_NONE && !j->ended && j->left > 0) {
		pg_pool_submit(j->s->pool, &j->task);
		return;
	}
	if (!j->s->closed)
		j->fn(fault == PG_FAULT_NONE ? STORE_MISSING : STORE_FAILED, NULL, why, j->arg);
	jobs_free(j);
}

void
pg_job_list(struct store *base, size_t max, store_job_fn *fn, void *arg)
{
	struct jobs_reading *j = jobs_create(base, "", fn, arg);

	j->task =
	    (struct pg_task){.send = list_send, .on_result = list_on_result, .on_end = list_on_end};
	j->sent_at = INT64_MAX;
	j->left = max;
	pg_pool_submit(j->s->pool, &j->task);
}

/* ---- pruning ---- */

struct jobs_pruning {
	struct pg_task task; /* first */
	struct pg_store *s;
	int64_t before_ms;
	uint64_t removed;
	bool found_some, ended;
	char *last; /* job that was looked at */
	store_pruned_fn *fn;
	void *arg;
};

static void
prune_send(struct pg_task *t, struct pg_session *c)
{
	const struct jobs_pruning *p = (const struct jobs_pruning *)t;
	struct pg_args jobs = {0}, outcomes = {0};

	pg_arg_int(&jobs, p->before_ms);
	pg_arg_int(&jobs, PRUNE_JOBS);
	pg_send(c, PG_STMT_JOBS_PRUNE, &jobs);
	pg_arg_text(&outcomes, p->s->prune_from == NULL ? "" : p->s->prune_from);
	pg_arg_int(&outcomes, p->before_ms);
	pg_arg_int(&outcomes, PRUNE_STEPS);
	pg_arg_int(&outcomes, PRUNE_OUTCOMES);
	pg_send(c, PG_STMT_OUTCOMES_PRUNE, &outcomes);
}

static void
prune_on_result(struct pg_task *t, unsigned int n, const PGresult *res)
{
	enum { ORPHAN, GONE, LAST, ENDED };
	struct jobs_pruning *p = (struct jobs_pruning *)t;

	if (n == 0) {
		p->removed = (uint64_t)pg_affected(res);
		return;
	}
	p->removed += (uint64_t)pg_int(res, 0, GONE, 0);
	p->found_some = !pg_is_null(res, 0, ORPHAN);
	p->ended = pg_bool(res, 0, ENDED);
	p->last = xstrdup_null(pg_text(res, 0, LAST, NULL));
}

/* Where some went the next call looks again from the same place: of that job more may be left. */
static void
remember_place(struct jobs_pruning *p)
{
	if (p->found_some)
		return;
	free(p->s->prune_from);
	p->s->prune_from = p->ended ? NULL : p->last;
	if (!p->ended)
		p->last = NULL;
}

static void
prune_on_end(struct pg_task *t, enum pg_fault fault, const struct trouble *why)
{
	struct jobs_pruning *p = (struct jobs_pruning *)t;

	if (!p->s->closed && fault == PG_FAULT_NONE)
		remember_place(p);
	if (!p->s->closed)
		p->fn(why, why == NULL ? p->removed : 0,
		    why == NULL && (p->found_some || !p->ended), p->arg);
	free(p->last);
	free(p);
}

void
pg_jobs_prune(struct store *base, int64_t before_ms, store_pruned_fn *fn, void *arg)
{
	struct jobs_pruning *p = xcalloc(1, sizeof(*p));

	p->task = (struct pg_task){
	    .send = prune_send, .on_result = prune_on_result, .on_end = prune_on_end};
	p->s = (struct pg_store *)base;
	p->before_ms = before_ms;
	p->fn = fn;
	p->arg = arg;
	pg_pool_submit(p->s->pool, &p->task);
}
