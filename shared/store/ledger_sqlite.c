/* The ledger in the sqlite backend: tables of its own in the file of the records, so that the
 * outcomes of a put are in the transaction of its records. Jobs are kept as JSON; an outcome is a
 * row, for one that is given again is then the same row. */
#include "shared/store/sqlite.h"

#include "shared/buf.h"
#include "shared/jsonx.h"
#include "shared/store/ledger_why.h"
#include "shared/worker.h"
#include "shared/xalloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of a page: what one task reads, and one pass of the loop delivers. */
#define PAGE_JOBS     50
#define PAGE_BYTES    ((size_t)2 * 1024 * 1024)
#define PAGE_OUTCOMES 500
/* Of one call of prune. */
#define PRUNE_JOBS     100
#define PRUNE_OUTCOMES 2000

struct row { /* an outcome; its strings are these */
	struct outcome o;
	char *host, *response_id, *why;
};

/* Run on the thread, done on the loop. */
struct ledger_task {
	struct sqlite_store *s;
	union {
		store_done_fn *done;
		store_job_fn *job;
		store_outcome_fn *outcome;
	} fn;
	void *arg;
	bool ok;
	enum store_found found;
	char why[SQLDB_WHY_SIZE]; /* of a failure; or what was done */

	char *id; /* of the job; list: of the last one delivered */
	int64_t sent_at, not_after;
	int64_t before_ms;
	char *text;
	size_t text_len, left; /* left: of a list */
	struct job jobs[PAGE_JOBS];
	size_t n_jobs;
	struct row *rows;
	size_t n_rows;
	struct row last; /* of the page before */
};

static struct ledger_task *
task_create(struct store *base, void *arg)
{
	struct ledger_task *t = xcalloc(1, sizeof(*t));

	t->s = (struct sqlite_store *)base;
	t->arg = arg;
	return t;
}

static void
row_finish(struct row *r)
{
	free(r->host);
	free(r->response_id);
	free(r->why);
	*r = (struct row){0};
}

static void
drop_page(struct ledger_task *t)
{
	size_t i;

	for (i = 0; i < t->n_jobs; i++)
		job_finish(&t->jobs[i]);
	for (i = 0; i < t->n_rows; i++)
		row_finish(&t->rows[i]);
	t->n_jobs = t->n_rows = 0;
}

static void
task_free(struct ledger_task *t)
{
	drop_page(t);
	row_finish(&t->last);
	free(t->rows);
	free(t->id);
	free(t->text);
	free(t);
}

static void
task_failed(struct ledger_task *t)
{
	t->ok = false;
	t->found = STORE_FAILED;
	memcpy(t->why, t->s->db.why, sizeof(t->why));
}

static void
op_done(void *arg)
{
	struct ledger_task *t = arg;

	if (!t->s->closed)
		t->fn.done(t->ok, t->why, t->arg);
	task_free(t);
}

/* ---- writing ---- */

static bool
begin(struct sqldb *db)
{
	return sqldb_file_is_there(db) && sqldb_run(db, STMT_BEGIN_WRITE);
}

/* Ends what a write did; says what of it. */
static void
end(struct ledger_task *t, bool ok, const char *what)
{
	struct sqldb *db = &t->s->db;

	t->ok = ok && sqldb_run(db, STMT_COMMIT);
	if (t->ok) {
		snprintf(t->why, sizeof(t->why), "%s", what);
		return;
	}
	sqldb_roll_back(db);
	task_failed(t);
}

static void
job_add_run(void *arg)
{
	struct ledger_task *t = arg;
	struct sqldb *db = &t->s->db;
	bool ok = begin(db);

	if (ok) {
		sqldb_bind_str(db, STMT_JOB_PUT, 1, t->id);
		sqldb_bind_int(db, STMT_JOB_PUT, 2, t->sent_at);
		sqldb_bind_int(db, STMT_JOB_PUT, 3, t->not_after);
		sqldb_bind_text(db, STMT_JOB_PUT, 4, t->text, t->text_len);
		ok = sqldb_run(db, STMT_JOB_PUT);
	}
	end(t, ok, ok && sqldb_changes(db) == 0 ? "was there" : "created");
}

void
sqlite_job_add(struct store *base, const struct job *j, store_done_fn *fn, void *arg)
{
	struct ledger_task *t = task_create(base, arg);
	json_t *json = job_to_json(j);

	t->fn.done = fn;
	t->id = xstrdup(j->id);
	t->sent_at = j->sent_at;
	t->not_after = j->not_after;
	t->text = json_dumps(json, JSON_COMPACT);
	t->text_len = t->text != NULL ? strlen(t->text) : 0;
	json_decref(json);
	worker_submit(t->s->worker, job_add_run, op_done, t);
}

static bool
put_outcome(struct sqldb *db, const char *job, const struct outcome *o)
{
	char why[LEDGER_WHY_SIZE];

	sqldb_bind_str(db, STMT_OUTCOME_PUT, 1, job);
	sqldb_bind_str(db, STMT_OUTCOME_PUT, 2, o->host);
	sqldb_bind_int(db, STMT_OUTCOME_PUT, 3, o->state);
	sqldb_bind_int(db, STMT_OUTCOME_PUT, 4, o->order);
	sqldb_bind_str(db, STMT_OUTCOME_PUT, 5, o->response_id == NULL ? "" : o->response_id);
	sqldb_bind_int(db, STMT_OUTCOME_PUT, 6, o->at);
	sqldb_bind_str(db, STMT_OUTCOME_PUT, 7, ledger_why(o->why, why));
	sqldb_bind_int(db, STMT_OUTCOME_PUT, 8, o->duration_ms);
	sqldb_bind_int(db, STMT_OUTCOME_PUT, 9, o->exit_status);
	return sqldb_run(db, STMT_OUTCOME_PUT);
}

bool
sqlite_put_outcomes(struct sqldb *db, const struct store_write *w)
{
	struct outcome o;
	size_t i;

	for (i = 0; i < w->n; i++) {
		const struct result *r = w->results[i];

		if (outcome_of_result(w->host, r, &o) && !put_outcome(db, r->meta.job, &o))
			return false;
	}
	return true;
}

static void
outcomes_add_run(void *arg)
{
	struct ledger_task *t = arg;
	bool ok = begin(&t->s->db);
	size_t i;

	for (i = 0; i < t->n_rows && ok; i++)
		ok = put_outcome(&t->s->db, t->id, &t->rows[i].o);
	end(t, ok, "written");
}

static void
row_set(struct row *r, const struct outcome *o)
{
	char why[LEDGER_WHY_SIZE];

	r->host = xstrdup(o->host);
	r->response_id = xstrdup_null(o->response_id);
	r->why = xstrdup_null(ledger_why(o->why, why));
	r->o = *o;
	r->o.host = r->host;
	r->o.response_id = r->response_id;
	r->o.why = r->why;
}

void
sqlite_outcomes_add(struct store *base, const char *job, const struct outcome *o, size_t n,
    store_done_fn *fn, void *arg)
{
	struct ledger_task *t = task_create(base, arg);

	t->fn.done = fn;
	t->id = xstrdup(job);
	t->rows = xcalloc(n + 1, sizeof(*t->rows));
	for (; t->n_rows < n; t->n_rows++)
		row_set(&t->rows[t->n_rows], &o[t->n_rows]);
	worker_submit(t->s->worker, outcomes_add_run, op_done, t);
}

/* ---- reading jobs ---- */

/* Takes the job that a row has in that column. */
static bool
read_job(struct ledger_task *t, enum stmt which, int column, size_t *bytes)
{
	struct sqldb *db = &t->s->db;
	json_t *json = NULL;
	char err[256], why[384];
	size_t len;
	const char *text = sqldb_column_text(db, which, column, &len);
	bool ok;

	*bytes += len;
	json = text == NULL ? NULL : json_loadb(text, len, 0, NULL);
	snprintf(err, sizeof(err), "not JSON");
	ok = json != NULL && job_from_json(json, &t->jobs[t->n_jobs], err, sizeof(err));
	json_decref(json);
	if (ok) {
		t->n_jobs++;
	} else {
		snprintf(why, sizeof(why), "a job cannot be read: %s", err);
		sqldb_fail(db, why);
	}
	return ok;
}

static void
job_get_run(void *arg)
{
	struct ledger_task *t = arg;
	struct sqldb *db = &t->s->db;
	size_t bytes = 0;
	int rc;

	sqldb_bind_str(db, STMT_JOB_GET, 1, t->id);
	rc = sqldb_step(db, STMT_JOB_GET);
	t->found = rc == SQLITE_ROW ? STORE_FOUND : STORE_MISSING;
	if (rc == SQLITE_ROW) {
		if (!read_job(t, STMT_JOB_GET, 0, &bytes))
			task_failed(t);
		sqldb_done(db, STMT_JOB_GET);
	} else if (rc != SQLITE_DONE) {
		task_failed(t);
	}
}

static void
job_get_done(void *arg)
{
	struct ledger_task *t = arg;

	if (!t->s->closed)
		t->fn.job(t->found, t->n_jobs == 1 ? &t->jobs[0] : NULL,
		    t->found == STORE_FAILED ? t->why : NULL, t->arg);
	task_free(t);
}

void
sqlite_job_get(struct store *base, const char *id, store_job_fn *fn, void *arg)
{
	struct ledger_task *t = task_create(base, arg);

	t->fn.job = fn;
	t->id = xstrdup(id);
	worker_submit(t->s->worker, job_get_run, job_get_done, t);
}

static void
jobs_run(void *arg)
{
	struct ledger_task *t = arg;
	struct sqldb *db = &t->s->db;
	size_t bytes = 0, max = t->left < PAGE_JOBS ? t->left : PAGE_JOBS;
	bool ok = true;
	int rc;

	sqldb_bind_int(db, STMT_JOBS_BEFORE, 1, t->sent_at);
	sqldb_bind_str(db, STMT_JOBS_BEFORE, 2, t->id);
	sqldb_bind_int(db, STMT_JOBS_BEFORE, 3, (int64_t)max);
	for (rc = sqldb_step(db, STMT_JOBS_BEFORE); rc == SQLITE_ROW && ok;
	     rc = sqldb_step(db, STMT_JOBS_BEFORE)) {
		ok = read_job(t, STMT_JOBS_BEFORE, 2, &bytes);
		if (!ok || bytes >= PAGE_BYTES)
			break;
	}
	sqldb_done(db, STMT_JOBS_BEFORE);
	t->found = t->n_jobs == 0 ? STORE_MISSING : STORE_FOUND;
	if (!ok || (rc != SQLITE_DONE && rc != SQLITE_ROW))
		task_failed(t);
}

static void
jobs_done(void *arg)
{
	struct ledger_task *t = arg;
	size_t i;

	for (i = 0; i < t->n_jobs && !t->s->closed; i++)
		t->fn.job(STORE_FOUND, &t->jobs[i], NULL, t->arg);
	if (t->found == STORE_FOUND && !t->s->closed) {
		const struct job *last = &t->jobs[t->n_jobs - 1];

		free(t->id);
		t->id = xstrdup(last->id);
		t->sent_at = last->sent_at;
		t->left -= t->n_jobs;
		drop_page(t);
		worker_submit(t->s->worker, jobs_run, jobs_done, t);
		return;
	}
	if (!t->s->closed)
		t->fn.job(t->found, NULL, t->found == STORE_FAILED ? t->why : NULL, t->arg);
	task_free(t);
}

void
sqlite_job_list(struct store *base, size_t max, store_job_fn *fn, void *arg)
{
	struct ledger_task *t = task_create(base, arg);

	t->fn.job = fn;
	t->id = xstrdup("");
	t->sent_at = INT64_MAX;
	t->left = max;
	worker_submit(t->s->worker, jobs_run, jobs_done, t);
}

/* ---- reading outcomes ---- */

static void
read_outcome(struct sqldb *db, struct row *r)
{
	struct outcome o;
	size_t len;

	outcome_init(&o);
	o.host = sqldb_column_text(db, STMT_OUTCOMES_AFTER, 0, &len);
	o.state = (enum outcome_state)sqldb_column_int(db, STMT_OUTCOMES_AFTER, 1);
	o.order = sqldb_column_int(db, STMT_OUTCOMES_AFTER, 2);
	o.response_id = sqldb_column_text(db, STMT_OUTCOMES_AFTER, 3, &len);
	o.at = sqldb_column_int(db, STMT_OUTCOMES_AFTER, 4);
	o.why = sqldb_column_text(db, STMT_OUTCOMES_AFTER, 5, &len);
	o.duration_ms = sqldb_column_int(db, STMT_OUTCOMES_AFTER, 6);
	o.exit_status = (int)sqldb_column_int(db, STMT_OUTCOMES_AFTER, 7);
	if (o.host == NULL)
		o.host = "";
	row_set(r, &o);
	if (r->o.response_id != NULL && r->o.response_id[0] == '\0')
		r->o.response_id = NULL;
}

static void
outcomes_run(void *arg)
{
	struct ledger_task *t = arg;
	struct sqldb *db = &t->s->db;
	int rc;

	sqldb_bind_str(db, STMT_OUTCOMES_AFTER, 1, t->id);
	sqldb_bind_str(db, STMT_OUTCOMES_AFTER, 2, t->last.host == NULL ? "" : t->last.host);
	sqldb_bind_int(db, STMT_OUTCOMES_AFTER, 3, t->last.o.state);
	sqldb_bind_int(db, STMT_OUTCOMES_AFTER, 4, t->last.o.order);
	sqldb_bind_str(
	    db, STMT_OUTCOMES_AFTER, 5, t->last.response_id == NULL ? "" : t->last.response_id);
	sqldb_bind_int(db, STMT_OUTCOMES_AFTER, 6, PAGE_OUTCOMES);
	for (rc = sqldb_step(db, STMT_OUTCOMES_AFTER); rc == SQLITE_ROW;
	     rc = sqldb_step(db, STMT_OUTCOMES_AFTER))
		read_outcome(db, &t->rows[t->n_rows++]);
	t->found = t->n_rows == 0 ? STORE_MISSING : STORE_FOUND;
	if (rc != SQLITE_DONE)
		task_failed(t);
}

static void
outcomes_done(void *arg)
{
	struct ledger_task *t = arg;
	size_t i;

	for (i = 0; i < t->n_rows && !t->s->closed; i++)
		t->fn.outcome(STORE_FOUND, &t->rows[i].o, NULL, t->arg);
	if (t->found == STORE_FOUND && !t->s->closed) {
		row_finish(&t->last);
		t->last = t->rows[--t->n_rows];
		drop_page(t);
		worker_submit(t->s->worker, outcomes_run, outcomes_done, t);
		return;
	}
	if (!t->s->closed)
		t->fn.outcome(t->found, NULL, t->found == STORE_FAILED ? t->why : NULL, t->arg);
	task_free(t);
}

void
sqlite_outcomes(struct store *base, const char *job, store_outcome_fn *fn, void *arg)
{
	struct ledger_task *t = task_create(base, arg);

	t->fn.outcome = fn;
	t->id = xstrdup(job);
	t->rows = xcalloc(PAGE_OUTCOMES, sizeof(*t->rows));
	worker_submit(t->s->worker, outcomes_run, outcomes_done, t);
}

/* ---- pruning ---- */

static bool
prune_jobs(struct ledger_task *t, int64_t *removed)
{
	struct sqldb *db = &t->s->db;

	sqldb_bind_int(db, STMT_JOBS_PRUNE, 1, t->before_ms);
	sqldb_bind_int(db, STMT_JOBS_PRUNE, 2, PRUNE_JOBS);
	if (!sqldb_run(db, STMT_JOBS_PRUNE))
		return false;
	*removed += sqldb_changes(db);
	return true;
}

/* Steps to the next job that has outcomes, in t->id. *there: the job itself is in the ledger. */
static int
next_job(struct ledger_task *t, bool *there)
{
	struct sqldb *db = &t->s->db;
	size_t len;
	int rc;

	sqldb_bind_str(db, STMT_OUTCOMES_JOB_AFTER, 1, t->id);
	rc = sqldb_step(db, STMT_OUTCOMES_JOB_AFTER);
	if (rc == SQLITE_ROW) {
		char *id = xstrdup(sqldb_column_text(db, STMT_OUTCOMES_JOB_AFTER, 0, &len));

		*there = sqldb_column_int(db, STMT_OUTCOMES_JOB_AFTER, 1) != 0;
		free(t->id);
		t->id = id;
		sqldb_done(db, STMT_OUTCOMES_JOB_AFTER);
	}
	return rc;
}

/* Those of a job that is not there any more, or never was, unless one of them is of late. */
static bool
prune_outcomes_of(struct ledger_task *t, int64_t *removed)
{
	struct sqldb *db = &t->s->db;
	int rc;

	sqldb_bind_str(db, STMT_OUTCOMES_NEWER, 1, t->id);
	sqldb_bind_int(db, STMT_OUTCOMES_NEWER, 2, t->before_ms);
	rc = sqldb_step(db, STMT_OUTCOMES_NEWER);
	if (rc == SQLITE_ROW) {
		sqldb_done(db, STMT_OUTCOMES_NEWER);
		return true;
	}
	if (rc != SQLITE_DONE)
		return false;
	sqldb_bind_str(db, STMT_OUTCOMES_PRUNE, 1, t->id);
	sqldb_bind_int(db, STMT_OUTCOMES_PRUNE, 2, PRUNE_OUTCOMES);
	if (!sqldb_run(db, STMT_OUTCOMES_PRUNE))
		return false;
	*removed += sqldb_changes(db);
	return true;
}

static void
prune_run(void *arg)
{
	struct ledger_task *t = arg;
	int64_t removed = 0;
	char what[32];
	bool there = false, ok = begin(&t->s->db) && prune_jobs(t, &removed);
	int rc = SQLITE_ROW;

	while (ok && removed < PRUNE_OUTCOMES && rc == SQLITE_ROW) {
		rc = next_job(t, &there);
		if (rc == SQLITE_ROW && !there)
			ok = prune_outcomes_of(t, &removed);
	}
	snprintf(what, sizeof(what), "%lld", (long long)removed);
	end(t, ok && (rc == SQLITE_ROW || rc == SQLITE_DONE), what);
}

void
sqlite_jobs_prune(struct store *base, int64_t before_ms, store_done_fn *fn, void *arg)
{
	struct ledger_task *t = task_create(base, arg);

	t->fn.done = fn;
	t->id = xstrdup("");
	t->before_ms = before_ms;
	worker_submit(t->s->worker, prune_run, op_done, t);
}
