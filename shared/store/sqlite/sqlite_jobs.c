/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger in the sqlite backend: tables of its own in the file of the records, so that the
 * outcomes of a put are in the transaction of its records. Jobs are kept as JSON; an outcome is a
 * row, for one that is given again is then the same row. A job that is removed leaves its name: a
 * record may mention it. */
#include "shared/store/sqlite/sqlite.h"

#include "shared/base/buf.h"
#include "shared/base/ident.h"
#include "shared/base/log.h"
#include "shared/base/xalloc.h"
#include "shared/event/worker.h"
#include "shared/wire/jsonx.h"

#include <bsd/string.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A page is what one task reads, and one pass of the loop delivers. */
#define PAGE_JOBS     50
#define PAGE_BYTES    ((size_t)2 * 1024 * 1024)
#define PAGE_OUTCOMES 500
/* One call of prune removes so many. */
#define PRUNE_JOBS     100
#define PRUNE_OUTCOMES 500
#define PRUNE_STEPS    200 /* jobs that are looked at */

struct row { /* an outcome; its strings are these */
	struct outcome o;
	char *host, *response_id, *why;
};

/* The key of an outcome within its job. */
struct place {
	int64_t host, order, state;
	bool is_bytes; /* response_id: else it is a text */
	size_t len;
	char *response_id; /* owned; NULL is an empty text */
};

struct job_key {
	char *id;
	int64_t sent_at;
};

/* Run on the thread, done on the loop. */
struct ledger_task {
	struct sqlite_store *s;
	union {
		store_done_fn *done;
		store_pruned_fn *pruned;
		store_job_fn *job;
		store_outcome_fn *outcome;
	} fn;
	void *arg;
	bool ok;
	enum store_found found;
	struct trouble why;
	const char *done; /* what was, when nothing failed */

	uint64_t strays_dropped; /* outcomes_add: by the store, so far */
	char *id;                /* of the job; list: of the last one that was read or left out */
	int64_t sent_at, not_after;
	int64_t before_ms;
	char *text;
	size_t text_len, left; /* left: of a list */
	struct job jobs[PAGE_JOBS];
	size_t n_jobs;
	char *damaged[PAGE_JOBS]; /* what is to be said of jobs that are left out */
	size_t n_damaged;
	struct row *rows;
	size_t n_rows;
	int64_t job;       /* its number */
	struct place last; /* of the page before */
	bool job_damaged;
	size_t n_odd;    /* outcomes that are left out */
	uint64_t pruned; /* documents; more of them may be there */
	bool more;
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
place_set(struct place *p, const struct place *to, const void *response_id)
{
	free(p->response_id);
	*p = *to;
	p->response_id = xcalloc(1, to->len + 1);
	if (to->len > 0)
		memcpy(p->response_id, response_id, to->len); /* bytes, some of which may be 0 */
}

static void
drop_page(struct ledger_task *t)
{
	size_t i;

	for (i = 0; i < t->n_jobs; i++)
		job_finish(&t->jobs[i]);
	for (i = 0; i < t->n_rows; i++)
		row_finish(&t->rows[i]);
	for (i = 0; i < t->n_damaged; i++)
		free(t->damaged[i]);
	t->n_jobs = t->n_rows = t->n_damaged = 0;
}

static void
task_free(struct ledger_task *t)
{
	drop_page(t);
	free(t->last.response_id);
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
	t->why = t->s->db.why;
}

static void
op_done(void *arg)
{
	struct ledger_task *t = arg;

	if (!t->s->closed)
		t->fn.done(t->ok ? NULL : &t->why, t->ok ? t->done : NULL, t->arg);
	task_free(t);
}

/* ---- writing ---- */

static bool
begin(struct sqldb *db)
{
	return sqldb_file_is_there(db) && sqldb_run(db, STMT_BEGIN_WRITE);
}

/* Ends what a write did; done says what. */
static void
end(struct ledger_task *t, bool ok, const char *done)
{
	struct sqldb *db = &t->s->db;

	t->ok = ok && sqldb_run(db, STMT_COMMIT);
	t->done = done;
	if (t->ok)
		return;
	sqldb_roll_back(db);
	task_failed(t);
}

static void
job_add_run(void *arg)
{
	struct ledger_task *t = arg;
	struct sqldb *db = &t->s->db;
	bool ok = begin(db);

	bool was_there = false;

	if (ok) {
		sqldb_bind_str(db, STMT_JOB_PUT, 1, t->id);
		sqldb_bind_int(db, STMT_JOB_PUT, 2, t->sent_at);
		sqldb_bind_int(db, STMT_JOB_PUT, 3, t->not_after);
		sqldb_bind_text(db, STMT_JOB_PUT, 4, t->text, t->text_len);
		ok = sqldb_run(db, STMT_JOB_PUT);
		was_there = ok && sqldb_changes(db) == 0;
		sqldb_bind_str(db, STMT_STRAYS_OF_JOB, 1, t->id);
		ok = ok && sqldb_run(db, STMT_STRAYS_OF_JOB);
	}
	end(t, ok, was_there ? "was there" : "created");
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

/* Whoever invents jobs that he answers must not fill the disk. */
static bool
trim_strays(struct sqldb *db, int64_t host, uint64_t *dropped)
{
	sqldb_bind_int(db, STMT_STRAYS_TRIM, 1, host);
	sqldb_bind_int(db, STMT_STRAYS_TRIM, 2, OUTCOME_STRAYS_MAX);
	if (!sqldb_run(db, STMT_STRAYS_TRIM))
		return false;
	*dropped += (uint64_t)sqldb_changes(db);
	return true;
}

static bool
put_outcome(struct sqldb *db, int64_t job, int64_t host, const struct outcome *o, uint64_t *dropped)
{
	unsigned char bytes[IDENT_BYTES];
	char why[OUTCOME_WHY_SIZE];

	sqldb_bind_int(db, STMT_OUTCOME_PUT, 1, job);
	sqldb_bind_int(db, STMT_OUTCOME_PUT, 2, host);
	sqldb_bind_int(db, STMT_OUTCOME_PUT, 3, o->order);
	sqldb_bind_int(db, STMT_OUTCOME_PUT, 4, o->state);
	if (ident_to_bytes(o->response_id, bytes))
		sqldb_bind_blob(db, STMT_OUTCOME_PUT, 5, bytes, sizeof(bytes));
	else
		sqldb_bind_str(
		    db, STMT_OUTCOME_PUT, 5, o->response_id == NULL ? "" : o->response_id);
	sqldb_bind_int(db, STMT_OUTCOME_PUT, 6, o->at);
	sqldb_bind_str(db, STMT_OUTCOME_PUT, 7, outcome_why(o->why, why));
	sqldb_bind_int(db, STMT_OUTCOME_PUT, 8, o->duration_ms);
	sqldb_bind_int(db, STMT_OUTCOME_PUT, 9, o->exit_status);
	if (!sqldb_run(db, STMT_OUTCOME_PUT))
		return false;
	return sqldb_changes(db) == 0 || trim_strays(db, host, dropped);
}

bool
sqlite_put_outcomes(struct sqldb *db, int64_t host, const struct store_write *w, uint64_t *dropped)
{
	struct outcome o;
	int64_t job;
	size_t i;

	for (i = 0; i < w->n; i++) {
		const struct result *r = w->results[i];

		if (!outcome_of_result(w->host, r, &o))
			continue;
		if (!sqlite_job_id(db, r->meta.job, &job) ||
		    !put_outcome(db, job, host, &o, dropped))
			return false;
	}
	return true;
}

static bool
put_row(struct ledger_task *t, const struct row *r)
{
	int64_t host;

	return sqlite_host_id(&t->s->db, r->host, &host) &&
	       put_outcome(&t->s->db, t->job, host, &r->o, &t->s->strays_dropped);
}

static void
outcomes_add_run(void *arg)
{
	struct ledger_task *t = arg;
	bool ok = begin(&t->s->db) && sqlite_job_id(&t->s->db, t->id, &t->job);
	uint64_t before = t->s->strays_dropped;
	size_t i;

	for (i = 0; i < t->n_rows && ok; i++)
		ok = put_row(t, &t->rows[i]);
	end(t, ok, "written");
	if (!t->ok)
		t->s->strays_dropped = before;
	t->strays_dropped = t->s->strays_dropped;
}

static void
outcomes_added(void *arg)
{
	struct ledger_task *t = arg;

	t->s->base.strays_dropped = t->strays_dropped;
	op_done(t);
}

static void
row_set(struct row *r, const struct outcome *o)
{
	char why[OUTCOME_WHY_SIZE];

	r->host = xstrdup(o->host);
	r->response_id = xstrdup_null(o->response_id);
	r->why = xstrdup_null(outcome_why(o->why, why));
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
	worker_submit(t->s->worker, outcomes_add_run, outcomes_added, t);
}

/* ---- reading jobs ---- */

/* Takes the job that the row has. */
static bool
parse_job(struct ledger_task *t, const char *id, size_t *bytes)
{
	struct sqldb *db = &t->s->db;
	json_t *json = NULL;
	char err[256], why[512];
	size_t len;
	const char *text = sqldb_column_text(db, STMT_JOB_GET, 0, &len);
	bool ok;

	*bytes += len;
	json = text == NULL ? NULL : json_loadb(text, len, 0, NULL);
	snprintf(err, sizeof(err), "not JSON");
	ok = json != NULL && job_from_json(json, &t->jobs[t->n_jobs], err, sizeof(err));
	json_decref(json);
	if (ok) {
		t->n_jobs++;
	} else {
		snprintf(why, sizeof(why), "job %s cannot be read: %s", id, err);
		sqldb_damaged(db, why);
	}
	return ok;
}

/* FAILED: db->why, and db->fault says whether it is this job's alone. */
static enum store_found
read_job(struct ledger_task *t, const char *id, size_t *bytes)
{
	struct sqldb *db = &t->s->db;
	enum store_found found = STORE_MISSING;
	int rc;

	db->fault = SQLDB_FAULT_NONE;
	sqldb_bind_str(db, STMT_JOB_GET, 1, id);
	rc = sqldb_step(db, STMT_JOB_GET);
	if (rc == SQLITE_ROW) {
		found = parse_job(t, id, bytes) ? STORE_FOUND : STORE_FAILED;
		sqldb_done(db, STMT_JOB_GET);
	} else if (rc != SQLITE_DONE) {
		found = STORE_FAILED;
	}
	return found;
}

static void
job_get_run(void *arg)
{
	struct ledger_task *t = arg;
	size_t bytes = 0;

	t->found = read_job(t, t->id, &bytes);
	if (t->found != STORE_FAILED)
		return;
	task_failed(t);
	if (t->s->db.fault == SQLDB_FAULT_DAMAGED)
		trouble_set(
		    &t->why, TROUBLE_OTHER, JOB_CURE, "%s" JOB_UNREADABLE, t->s->db.why.what);
}

static void
job_get_done(void *arg)
{
	struct ledger_task *t = arg;

	if (!t->s->closed)
		t->fn.job(t->found, t->n_jobs == 1 ? &t->jobs[0] : NULL,
		    t->found == STORE_FAILED ? &t->why : NULL, t->arg);
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

/* Reads as many of the jobs before the last one as a page has; -1: db->why. */
static int
read_job_ids_by(struct ledger_task *t, enum stmt which, struct job_key keys[PAGE_JOBS])
{
	struct sqldb *db = &t->s->db;
	size_t len, max = t->left < PAGE_JOBS ? t->left : PAGE_JOBS;
	int rc, n = 0;

	sqldb_bind_int(db, which, 1, t->sent_at);
	sqldb_bind_str(db, which, 2, t->id);
	sqldb_bind_int(db, which, 3, (int64_t)max);
	rc = sqldb_step(db, which);
	for (; rc == SQLITE_ROW && n < PAGE_JOBS; rc = sqldb_step(db, which)) {
		const char *id = sqldb_column_text(db, which, 0, &len);

		keys[n].id = xstrdup(id == NULL ? "" : id);
		keys[n++].sent_at = sqldb_column_int(db, which, 1);
	}
	if (rc == SQLITE_DONE)
		return n;
	while (n > 0)
		free(keys[--n].id);
	return -1;
}

/* An index that is damaged takes none of the jobs with it. */
static int
read_job_ids(struct ledger_task *t, struct job_key keys[PAGE_JOBS])
{
	struct sqldb *db = &t->s->db;
	int n;

	db->fault = SQLDB_FAULT_NONE;
	n = read_job_ids_by(t, STMT_JOBS_BEFORE, keys);
	if (n < 0 && db->fault == SQLDB_FAULT_ROW)
		n = read_job_ids_by(t, STMT_JOBS_BEFORE_BY_TABLE, keys);
	return n;
}

static bool
read_job_page(struct ledger_task *t, struct job_key *keys, int n)
{
	struct sqldb *db = &t->s->db;
	size_t bytes = 0;
	int i;

	for (i = 0; i < n && bytes < PAGE_BYTES; i++) {
		char *last = t->id;

		if (read_job(t, keys[i].id, &bytes) == STORE_FAILED) {
			if (db->fault == SQLDB_FAULT_FILE)
				return false;
			xasprintf(&t->damaged[t->n_damaged++], TROUBLE_FMT ", job=%s",
			    TROUBLE_ARGS(&db->why), keys[i].id);
		}
		t->id = keys[i].id;
		t->sent_at = keys[i].sent_at;
		keys[i].id = last;
	}
	return true;
}

static void
jobs_run(void *arg)
{
	struct ledger_task *t = arg;
	struct job_key keys[PAGE_JOBS];
	int i, n = read_job_ids(t, keys);

	t->found = n == 0 ? STORE_MISSING : STORE_FOUND;
	if (n < 0 || !read_job_page(t, keys, n))
		task_failed(t);
	for (i = 0; i < n; i++)
		free(keys[i].id);
}

static void
jobs_done(void *arg)
{
	struct ledger_task *t = arg;
	size_t i;

	for (i = 0; i < t->n_damaged; i++)
		log_warn(
		    "store", "store[%s]: left out of the list: %s", t->s->base.id, t->damaged[i]);
	for (i = 0; i < t->n_jobs && !t->s->closed; i++)
		t->fn.job(STORE_FOUND, &t->jobs[i], NULL, t->arg);
	t->left -= t->n_jobs;
	drop_page(t);
	if (t->found == STORE_FOUND && t->left > 0 && !t->s->closed) {
		worker_submit(t->s->worker, jobs_run, jobs_done, t);
		return;
	}
	if (!t->s->closed)
		t->fn.job(t->found == STORE_FAILED ? STORE_FAILED : STORE_MISSING, NULL,
		    t->found == STORE_FAILED ? &t->why : NULL, t->arg);
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

/* Takes the next row, and where it was. */
static void
read_outcome(struct sqldb *db, struct row *r, struct place *place)
{
	const enum stmt which = STMT_OUTCOMES_AFTER;
	char response_id[IDENT_SIZE];
	struct place here = {0};
	struct outcome o;
	const void *key;
	size_t len;

	outcome_init(&o);
	here.host = sqldb_column_int(db, which, 0);
	here.order = o.order = sqldb_column_int(db, which, 1);
	here.state = sqldb_column_int(db, which, 2);
	here.is_bytes = sqlite3_column_type(db->stmts[which], 3) == SQLITE_BLOB;
	key = here.is_bytes ? sqldb_column_blob(db, which, 3, &here.len)
			    : sqldb_column_text(db, which, 3, &here.len);
	place_set(place, &here, key);
	o.host = "";
	o.state = (enum outcome_state)here.state;
	o.response_id = here.len > 0 ? place->response_id : NULL;
	if (here.is_bytes && here.len == IDENT_BYTES) {
		ident_from_bytes(response_id, (const unsigned char *)place->response_id);
		o.response_id = response_id;
	}
	o.at = sqldb_column_int(db, which, 4);
	o.why = sqldb_column_text(db, which, 5, &len);
	o.duration_ms = sqldb_column_int(db, which, 6);
	o.exit_status = (int)sqldb_column_int(db, which, 7);
	row_set(r, &o);
}

static void
bind_place(struct sqldb *db, const struct place *p)
{
	sqldb_bind_int(db, STMT_OUTCOMES_AFTER, 2, p->host);
	sqldb_bind_int(db, STMT_OUTCOMES_AFTER, 3, p->order);
	sqldb_bind_int(db, STMT_OUTCOMES_AFTER, 4, p->state);
	if (p->is_bytes)
		sqldb_bind_blob(db, STMT_OUTCOMES_AFTER, 5, p->response_id, p->len);
	else
		sqldb_bind_text(db, STMT_OUTCOMES_AFTER, 5,
		    p->response_id == NULL ? "" : p->response_id, p->len);
}

/* The rows of a page, and the numbers of their hosts. */
static int
read_rows(struct ledger_task *t, int64_t hosts[PAGE_OUTCOMES])
{
	struct sqldb *db = &t->s->db;
	struct place last = {0}; /* t->last is bound */
	int rc;

	sqldb_bind_int(db, STMT_OUTCOMES_AFTER, 1, t->job);
	bind_place(db, &t->last);
	sqldb_bind_int(db, STMT_OUTCOMES_AFTER, 6, PAGE_OUTCOMES);
	sqldb_bind_int(db, STMT_OUTCOMES_AFTER, 7, OUTCOME_N_STATES);
	rc = sqldb_step(db, STMT_OUTCOMES_AFTER);
	for (; rc == SQLITE_ROW; rc = sqldb_step(db, STMT_OUTCOMES_AFTER)) {
		read_outcome(db, &t->rows[t->n_rows], &last);
		hosts[t->n_rows++] = last.host;
	}
	if (t->n_rows > 0) {
		free(t->last.response_id);
		t->last = last;
	}
	return rc;
}

/* A host that has no name any more, or whose name cannot be read, leaves its outcome out: the
 * others are as they are. */
static bool
name_rows(struct ledger_task *t, const int64_t hosts[])
{
	struct sqldb *db = &t->s->db;
	size_t i, kept = 0;

	for (i = 0; i < t->n_rows; i++) {
		struct row r = t->rows[i];
		char *name;

		db->fault = SQLDB_FAULT_NONE;
		if (!sqlite_host_name(db, hosts[i], &name) && db->fault != SQLDB_FAULT_ROW)
			return false;
		free(r.host);
		r.host = name;
		r.o.host = name;
		t->rows[i] = (struct row){0};
		if (name != NULL)
			t->rows[kept++] = r;
		else
			row_finish(&r);
	}
	t->n_odd += t->n_rows - kept;
	t->n_rows = kept;
	return true;
}

static int
count_odd_outcomes(struct ledger_task *t)
{
	struct sqldb *db = &t->s->db;
	int rc;

	sqldb_bind_int(db, STMT_OUTCOMES_ODD, 1, t->job);
	sqldb_bind_int(db, STMT_OUTCOMES_ODD, 2, OUTCOME_N_STATES);
	rc = sqldb_step(db, STMT_OUTCOMES_ODD);
	if (rc != SQLITE_ROW)
		return rc;
	t->n_odd += (size_t)sqldb_column_int(db, STMT_OUTCOMES_ODD, 0);
	sqldb_done(db, STMT_OUTCOMES_ODD);
	return SQLITE_DONE;
}

static void
outcomes_run(void *arg)
{
	struct ledger_task *t = arg;
	struct sqldb *db = &t->s->db;
	int64_t hosts[PAGE_OUTCOMES];
	int rc = SQLITE_ROW;

	if (t->job == 0)
		rc = sqlite_find_job(db, t->id, &t->job);
	if (rc == SQLITE_ROW)
		rc = read_rows(t, hosts);
	t->found = t->n_rows == 0 ? STORE_MISSING : STORE_FOUND;
	if (rc == SQLITE_DONE && t->found == STORE_MISSING && t->job != 0)
		rc = count_odd_outcomes(t);
	if (rc == SQLITE_DONE && !name_rows(t, hosts))
		rc = SQLITE_ERROR;
	if (rc != SQLITE_DONE) {
		t->job_damaged = db->fault == SQLDB_FAULT_ROW;
		task_failed(t);
	}
}

static void
outcomes_done(void *arg)
{
	struct ledger_task *t = arg;
	size_t i;

	t->s->base.job_damaged = t->job_damaged;
	for (i = 0; i < t->n_rows && !t->s->closed; i++)
		t->fn.outcome(STORE_FOUND, &t->rows[i].o, NULL, t->arg);
	if (t->found == STORE_FOUND && !t->s->closed) {
		drop_page(t);
		worker_submit(t->s->worker, outcomes_run, outcomes_done, t);
		return;
	}
	store_note_odd_outcomes(&t->s->base, t->id, t->n_odd);
	if (!t->s->closed)
		t->fn.outcome(t->found, NULL, t->found == STORE_FAILED ? &t->why : NULL, t->arg);
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

/* Steps to the next job that has outcomes. *there: the job itself is in the ledger. */
static int
next_job(struct ledger_task *t, bool *there)
{
	struct sqldb *db = &t->s->db;
	int rc;

	sqldb_bind_int(db, STMT_OUTCOMES_JOB_AFTER, 1, t->job);
	rc = sqldb_step(db, STMT_OUTCOMES_JOB_AFTER);
	if (rc == SQLITE_ROW) {
		t->job = sqldb_column_int(db, STMT_OUTCOMES_JOB_AFTER, 0);
		*there = sqldb_column_int(db, STMT_OUTCOMES_JOB_AFTER, 1) != 0;
		sqldb_done(db, STMT_OUTCOMES_JOB_AFTER);
	}
	return rc;
}

/* Removes those of a job that is not there any more, or never was, unless one of them is of
 * late. */
static bool
prune_outcomes_of(struct ledger_task *t, int64_t *removed)
{
	struct sqldb *db = &t->s->db;
	int rc;

	sqldb_bind_int(db, STMT_OUTCOMES_NEWER, 1, t->job);
	sqldb_bind_int(db, STMT_OUTCOMES_NEWER, 2, t->before_ms);
	rc = sqldb_step(db, STMT_OUTCOMES_NEWER);
	if (rc == SQLITE_ROW) {
		sqldb_done(db, STMT_OUTCOMES_NEWER);
		return true;
	}
	if (rc != SQLITE_DONE)
		return false;
	sqldb_bind_int(db, STMT_OUTCOMES_PRUNE, 1, t->job);
	sqldb_bind_int(db, STMT_OUTCOMES_PRUNE, 2, PRUNE_OUTCOMES);
	if (!sqldb_run(db, STMT_OUTCOMES_PRUNE))
		return false;
	*removed += sqldb_changes(db);
	return true;
}

/* Goes from one job that has outcomes to the next, from where the last call has stopped: a bounded
 * number of them, by reads alone, until some are to be removed. *end: all have been looked at. */
static bool
prune_orphans(struct ledger_task *t, int64_t *removed, bool *end_reached)
{
	struct sqldb *db = &t->s->db;
	bool there = false, ok = true;
	int rc = SQLITE_ROW;

	for (int i = 0; i < PRUNE_STEPS && *removed == 0 && ok; i++) {
		rc = next_job(t, &there);
		if (rc != SQLITE_ROW)
			break;
		if (there)
			continue;
		ok = begin(db) && prune_outcomes_of(t, removed) && sqldb_run(db, STMT_COMMIT);
		if (!ok)
			sqldb_roll_back(db);
	}
	*end_reached = rc == SQLITE_DONE;
	return ok && (rc == SQLITE_ROW || rc == SQLITE_DONE);
}

/* The next call begins where this one has stopped; at a job of which outcomes are left, with it. */
static void
remember_place(struct ledger_task *t, bool end_reached, int64_t removed)
{
	if (end_reached)
		t->s->prune_from = 0;
	else
		t->s->prune_from = removed >= PRUNE_OUTCOMES ? t->job - 1 : t->job;
}

/* Each transaction is short: answers wait for this thread. */
static void
prune_run(void *arg)
{
	struct ledger_task *t = arg;
	struct sqldb *db = &t->s->db;
	int64_t jobs = 0, outcomes = 0;
	bool end_reached = false;

	t->ok = begin(db) && prune_jobs(t, &jobs) && sqldb_run(db, STMT_COMMIT);
	if (!t->ok)
		sqldb_roll_back(db);
	t->job = t->s->prune_from;
	t->ok = t->ok && prune_orphans(t, &outcomes, &end_reached);
	if (!t->ok) {
		task_failed(t);
		return;
	}
	remember_place(t, end_reached, outcomes);
	t->pruned = (uint64_t)(jobs + outcomes);
	t->more = !end_reached;
}

static void
prune_done(void *arg)
{
	struct ledger_task *t = arg;

	if (!t->s->closed)
		t->fn.pruned(t->ok ? NULL : &t->why, t->pruned, t->more, t->arg);
	task_free(t);
}

void
sqlite_jobs_prune(struct store *base, int64_t before_ms, store_pruned_fn *fn, void *arg)
{
	struct ledger_task *t = task_create(base, arg);

	t->fn.pruned = fn;
	t->before_ms = before_ms;
	worker_submit(t->s->worker, prune_run, prune_done, t);
}
