/* SPDX-License-Identifier: Apache-2.0 */
/* sqlite:///path/file.db: records in one file, by one connection that lives on a helper thread.
 *
 * A put is one transaction, so the whole batch shares one commit (WAL, synchronous=FULL unless
 * the options relax it: on disk when it returns), and a savepoint for each host, so that one that
 * cannot be taken leaves the others: a damaged page is the trouble of the hosts that are on it.
 * Only a file that is full, locked or cannot be written is that of all. */
#include "shared/base/trouble.h"
#include "shared/store/sqlite/sqlite.h"

#include "shared/base/errtext.h"
#include "shared/base/log.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/event/worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIN_INTERVAL_MS 50
#define BATCH_COUNT     5000
#define BATCH_BYTES     (4 * 1024 * 1024)
#define UNDONE_STEP     64 /* hosts of a transaction, in a put that had to be undone */
#define LIST_HOSTS      50 /* of a page: what one task reads, and one pass delivers */
#define LIST_BYTES      (2 * 1024 * 1024) /* or so many bytes of records */

/* ---- tasks: run on the thread, done on the loop ---- */

/* Each verb's own begins with it. */
struct task {
	struct sqlite_store *s;
	void *arg;
	struct trouble why; /* of what failed as a whole */
};

static void *
task_create(struct store *base, size_t size, void *arg)
{
	struct task *t = xcalloc(1, size);

	t->s = (struct sqlite_store *)base;
	t->arg = arg;
	return t;
}

static void
task_failed(struct task *t)
{
	t->why = t->s->db.why;
}

/* ---- put ---- */

struct put_task {
	struct task task; /* first */
	store_written_fn *fn;
	struct store_write **writes;
	enum store_status *statuses;
	struct trouble **whys; /* of each; NULL: nothing, or of STORE_RETRY the task's */
	size_t n;
	int64_t wal_bytes;
	uint64_t strays_dropped;
};

enum put_end {
	PUT_COMMITTED,
	PUT_UNDONE, /* for one of them, which is answered: the others again */
	PUT_FAILED, /* the file takes nothing, db->why */
};

static bool
is_answered(const struct put_task *t, size_t i)
{
	return t->statuses[i] == STORE_DAMAGED;
}

static bool
begin_sizes(struct sqlite_store *s)
{
	int64_t version;

	if (sqldb_step(&s->db, STMT_DATA_VERSION) != SQLITE_ROW)
		return false;
	version = sqldb_column_int(&s->db, STMT_DATA_VERSION, 0);
	sqldb_done(&s->db, STMT_DATA_VERSION);
	sqlite_sizes_begin(&s->sizes, version);
	return true;
}

/* Puts those of [from, to) that are not answered yet, in one transaction. */
static enum put_end
put_range(struct put_task *t, size_t from, size_t to)
{
	struct sqldb *db = &t->task.s->db;
	size_t i;

	if (!sqldb_file_is_there(db) || !sqldb_run(db, STMT_BEGIN_WRITE) || !begin_sizes(t->task.s))
		return PUT_FAILED;
	for (i = from; i < to; i++) {
		if (is_answered(t, i))
			continue;
		free(t->whys[i]);
		t->whys[i] = NULL;
		t->statuses[i] = sqlite_put_one(t->task.s, t->writes[i], &t->whys[i]);
		if (is_answered(t, i))
			return PUT_UNDONE;
		if (t->statuses[i] == STORE_RETRY)
			return PUT_FAILED;
	}
	return sqldb_run(db, STMT_COMMIT) ? PUT_COMMITTED : PUT_FAILED;
}

static void
fail_from(struct put_task *t, size_t from)
{
	size_t i;

	task_failed(&t->task);
	for (i = from; i < t->n; i++) {
		if (is_answered(t, i))
			continue;
		t->statuses[i] = STORE_RETRY;
		free(t->whys[i]);
		t->whys[i] = NULL;
	}
}

/* One transaction is the rule. Where it had to be undone for one host the others are put again in
 * smaller ones, so that many such hosts do not make many times the work. */
static void
put_run(void *arg)
{
	struct put_task *t = arg;
	size_t from = 0, step = t->n;
	bool more;

	while (from < t->n) {
		size_t to = t->n - from < step ? t->n : from + step;
		uint64_t strays_dropped = t->task.s->strays_dropped;
		enum put_end end = put_range(t, from, to);

		if (end != PUT_COMMITTED) {
			sqldb_roll_back(&t->task.s->db);
			t->task.s->strays_dropped = strays_dropped;
		}
		if (end == PUT_FAILED) {
			fail_from(t, from);
			break;
		}
		if (end == PUT_UNDONE) {
			step = step > UNDONE_STEP ? UNDONE_STEP : (step + 1) / 2;
		} else {
			from = to;
			step *= 2;
		}
	}
	if (from == t->n)
		sqlite_index_step(t->task.s, false, &more); /* else the next walk tells why */
	t->wal_bytes = sqldb_wal_bytes(&t->task.s->db);
	t->strays_dropped = t->task.s->strays_dropped;
}

static void
put_free(struct put_task *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->whys[i]);
	free(t->writes);
	free(t->statuses);
	free(t->whys);
	free(t);
}

/* The store may be closed by any callback: its memory lasts until the end of the pass. */
static void
put_done(void *arg)
{
	struct put_task *t = arg;
	size_t i;

	t->task.s->base.wal_bytes = t->wal_bytes;
	t->task.s->base.strays_dropped = t->strays_dropped;
	for (i = 0; i < t->n && !t->task.s->closed; i++)
		t->fn(t->writes[i], t->statuses[i],
		    t->statuses[i] == STORE_RETRY ? &t->task.why : t->whys[i], t->task.arg);
	put_free(t);
}

static void
sqlite_put(
    struct store *base, struct store_write **writes, size_t n, store_written_fn *fn, void *arg)
{
	struct put_task *t = task_create(base, sizeof(*t), arg);
	size_t i;

	t->fn = fn;
	t->n = n;
	t->writes = xcalloc(n, sizeof(struct store_write *));
	t->statuses = xcalloc(n, sizeof(*t->statuses));
	t->whys = xcalloc(n, sizeof(*t->whys));
	for (i = 0; i < n; i++)
		t->writes[i] = writes[i];
	worker_submit(t->task.s->worker, put_run, put_done, t);
}

/* ---- get ---- */

struct get_task {
	struct task task; /* first */
	store_got_fn *fn;
	char *host;
	enum store_found found;
	json_t *rec;
};

static void
get_run(void *arg)
{
	struct get_task *t = arg;
	struct sqldb *db = &t->task.s->db;
	size_t bytes = 0;

	t->found = STORE_FAILED;
	if (sqldb_run(db, STMT_BEGIN_READ)) {
		t->found = sqlite_read(db, t->host, &t->rec, &bytes);
		sqldb_roll_back(db);
	}
	if (t->found == STORE_FAILED)
		task_failed(&t->task);
}

static void
get_done(void *arg)
{
	struct get_task *t = arg;

	if (!t->task.s->closed)
		t->fn(t->found, t->found == STORE_FOUND ? t->rec : NULL,
		    t->found == STORE_FAILED ? &t->task.why : NULL, t->task.arg);
	if (t->found == STORE_FOUND)
		json_decref(t->rec);
	free(t->host);
	free(t);
}

static void
sqlite_get(struct store *base, const char *host, store_got_fn *fn, void *arg)
{
	struct get_task *t = task_create(base, sizeof(*t), arg);

	t->fn = fn;
	t->host = xstrdup(host);
	worker_submit(t->task.s->worker, get_run, get_done, t);
}

/* ---- list ---- */

enum list_kind { LIST_RECORDS, LIST_VALUES, LIST_HEADS };

struct list_task {
	struct task task; /* first */
	store_listed_fn *fn;
	enum list_kind kind;
	char **plugins; /* those that are wanted */
	size_t n_plugins;
	char *after; /* the last host that was read */
	/* The page. */
	enum store_found found;
	json_t *recs[LIST_HOSTS];
	size_t n_recs;
	char *damaged[LIST_HOSTS]; /* what is to be said of records that are left out */
	size_t n_damaged;
};

static void
drop_page(struct list_task *t)
{
	size_t i;

	for (i = 0; i < t->n_recs; i++)
		json_decref(t->recs[i]);
	t->n_recs = 0;
	for (i = 0; i < t->n_damaged; i++)
		free(t->damaged[i]);
	t->n_damaged = 0;
}

static void
list_free(struct list_task *t)
{
	drop_page(t);
	for (size_t i = 0; i < t->n_plugins; i++)
		free(t->plugins[i]);
	free(t->plugins);
	free(t->after);
	free(t);
}

/* The names cannot be read in their order from here on: the next one is looked for in the table.
 * -1: db->why. */
static int
find_host_behind(struct list_task *t, char *hosts[LIST_HOSTS])
{
	struct sqldb *db = &t->task.s->db;
	const char *host;
	size_t len;
	int n;

	sqldb_bind_str(db, STMT_HOST_AFTER_BY_TABLE, 1, t->after);
	if (sqldb_step(db, STMT_HOST_AFTER_BY_TABLE) != SQLITE_ROW)
		return -1;
	host = sqldb_column_text(db, STMT_HOST_AFTER_BY_TABLE, 0, &len);
	n = host != NULL;
	if (host != NULL)
		hosts[0] = xstrdup(host);
	sqldb_done(db, STMT_HOST_AFTER_BY_TABLE);
	return n;
}

/* The page's hosts; -1: db->why. */
static int
read_hosts(struct list_task *t, char *hosts[LIST_HOSTS])
{
	struct sqldb *db = &t->task.s->db;
	size_t len;
	int rc, n = 0;

	db->fault = SQLDB_FAULT_NONE;

	sqldb_bind_str(db, STMT_HOSTS_AFTER, 1, t->after);
	sqldb_bind_int(db, STMT_HOSTS_AFTER, 2, LIST_HOSTS);
	rc = sqldb_step(db, STMT_HOSTS_AFTER);
	for (; rc == SQLITE_ROW && n < LIST_HOSTS; rc = sqldb_step(db, STMT_HOSTS_AFTER)) {
		const char *host = sqldb_column_text(db, STMT_HOSTS_AFTER, 0, &len);

		hosts[n++] = xstrdup(host == NULL ? "" : host);
	}
	if (rc == SQLITE_DONE || (n > 0 && db->fault == SQLDB_FAULT_ROW))
		return n;
	return db->fault == SQLDB_FAULT_ROW ? find_host_behind(t, hosts) : -1;
}

static enum store_found
read_one(struct list_task *t, const char *host, json_t **rec, size_t *bytes)
{
	struct sqldb *db = &t->task.s->db;

	switch (t->kind) {
	case LIST_RECORDS:
		return sqlite_read(db, host, rec, bytes);
	case LIST_VALUES:
		return sqlite_read_values(db, host, t->plugins, t->n_plugins, rec, bytes);
	case LIST_HEADS:
		return sqlite_read_heading(db, host, rec, bytes);
	}
	return STORE_FAILED;
}

static enum store_found
read_page(struct list_task *t, char *const hosts[], int n)
{
	enum store_found found = STORE_FOUND;
	size_t bytes = 0;
	int i;

	for (i = 0; i < n && bytes < LIST_BYTES; i++) {
		json_t **rec = &t->recs[t->n_recs];

		t->task.s->db.fault = SQLDB_FAULT_NONE;
		found = read_one(t, hosts[i], rec, &bytes);
		if (found == STORE_FOUND)
			t->n_recs++;
		else if (found == STORE_MISSING)
			; /* a name without a record */
		else if (t->task.s->db.fault != SQLDB_FAULT_FILE)
			xasprintf(&t->damaged[t->n_damaged++], TROUBLE_FMT ", host=%s",
			    TROUBLE_ARGS(&t->task.s->db.why), hosts[i]);
		else
			return STORE_FAILED;
		free(t->after);
		t->after = xstrdup(hosts[i]);
	}
	return n == 0 ? STORE_MISSING : STORE_FOUND;
}

static void
list_run(void *arg)
{
	struct list_task *t = arg;
	char *hosts[LIST_HOSTS];
	int i, n = -1;

	t->found = STORE_FAILED;
	if (sqldb_run(&t->task.s->db, STMT_BEGIN_READ)) {
		n = read_hosts(t, hosts);
		if (n >= 0)
			t->found = read_page(t, hosts, n);
		sqldb_roll_back(&t->task.s->db);
	}
	if (t->found == STORE_FAILED)
		task_failed(&t->task);
	for (i = 0; i < n; i++)
		free(hosts[i]);
}

static void
list_done(void *arg)
{
	struct list_task *t = arg;
	size_t i;

	for (i = 0; i < t->n_damaged; i++)
		log_warn("store", "store[%s]: left out of the list: %s", t->task.s->base.id,
		    t->damaged[i]);
	for (i = 0; i < t->n_recs && !t->task.s->closed; i++)
		t->fn(STORE_FOUND, t->recs[i], NULL, t->task.arg);
	drop_page(t);
	if (t->found == STORE_FOUND && !t->task.s->closed) {
		worker_submit(t->task.s->worker, list_run, list_done, t);
		return;
	}
	if (!t->task.s->closed)
		t->fn(t->found, NULL, t->found == STORE_FAILED ? &t->task.why : NULL, t->task.arg);
	list_free(t);
}

static void
want(struct list_task *t, const struct store_filter *filter)
{
	t->kind = LIST_VALUES;
	t->plugins = xcalloc(filter->n + 1, sizeof(char *));
	while (t->n_plugins < filter->n) {
		t->plugins[t->n_plugins] = xstrdup(filter->plugins[t->n_plugins]);
		t->n_plugins++;
	}
}

static void
sqlite_list(struct store *base, const struct store_filter *filter, store_listed_fn *fn, void *arg)
{
	struct list_task *t = task_create(base, sizeof(*t), arg);

	t->fn = fn;
	t->after = xstrdup("");
	if (filter != NULL)
		want(t, filter);
	worker_submit(t->task.s->worker, list_run, list_done, t);
}

static void
sqlite_heads(struct store *base, store_listed_fn *fn, void *arg)
{
	struct list_task *t = task_create(base, sizeof(*t), arg);

	t->fn = fn;
	t->after = xstrdup("");
	t->kind = LIST_HEADS;
	worker_submit(t->task.s->worker, list_run, list_done, t);
}

/* ---- forget ---- */

struct forget_task {
	struct task task; /* first */
	store_done_fn *fn;
	char *host;
	bool ok, forgotten; /* there was a record */
};

/* false: db->why. *forgotten: there was a record. */
static bool
forget_host(struct sqldb *db, const char *host, bool *forgotten)
{
	static const enum stmt parts[] = {STMT_FORGET_VERSIONS, STMT_FORGET_VERSION_OF,
	    STMT_FORGET_NEW, STMT_FORGET_LATEST, STMT_FORGET_UNPARSED, STMT_FORGET_FACTS,
	    STMT_FORGET_HEAD};
	int64_t id;
	int rc = sqlite_find_host(db, host, &id);

	*forgotten = rc == SQLITE_ROW;
	if (rc != SQLITE_ROW)
		return rc == SQLITE_DONE;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		sqldb_bind_int(db, parts[i], 1, id);
		if (!sqldb_run(db, parts[i]))
			return false;
	}
	return true;
}

static void
forget_run(void *arg)
{
	struct forget_task *t = arg;
	struct sqldb *db = &t->task.s->db;

	t->ok = sqldb_file_is_there(db) && sqldb_run(db, STMT_BEGIN_WRITE) &&
		forget_host(db, t->host, &t->forgotten) && sqldb_run(db, STMT_COMMIT);
	if (!t->ok) {
		sqldb_roll_back(db);
		task_failed(&t->task);
	}
}

static void
forget_done(void *arg)
{
	struct forget_task *t = arg;
	const char *what = t->forgotten ? "forgotten" : "not there";

	if (!t->task.s->closed)
		t->fn(t->ok ? NULL : &t->task.why, t->ok ? what : NULL, t->task.arg);
	free(t->host);
	free(t);
}

static void
sqlite_forget(struct store *base, const char *host, store_done_fn *fn, void *arg)
{
	struct forget_task *t = task_create(base, sizeof(*t), arg);

	t->fn = fn;
	t->host = xstrdup(host);
	worker_submit(t->task.s->worker, forget_run, forget_done, t);
}

/* ---- setup, probe, load_design ---- */

struct op_task {
	struct task task; /* first */
	store_done_fn *fn;
	bool ok;
	const char *what;  /* was done */
	int64_t wal_bytes; /* 0: it was not looked at */
};

/* A row comes and goes in one transaction: nobody sees it, but its page is written and synced, so
 * that a full disk says so. */
static void
probe_run(void *arg)
{
	struct op_task *t = arg;
	struct sqldb *db = &t->task.s->db;

	t->ok = sqldb_file_is_there(db) && sqlite_migrate(db, &t->task.s->migration) &&
		sqldb_run(db, STMT_BEGIN_WRITE) && sqldb_run(db, STMT_PROBE) &&
		sqldb_run(db, STMT_UNPROBE) && sqldb_run(db, STMT_COMMIT);
	t->what = "was there";
	t->wal_bytes = sqldb_wal_bytes(db);
	if (!t->ok) {
		sqldb_roll_back(db);
		task_failed(&t->task);
	}
}

/* Opening has made it, if need be. */
static void
setup_run(void *arg)
{
	struct op_task *t = arg;

	probe_run(t);
	if (t->ok && t->task.s->db.created)
		t->what = "created";
	if (t->ok)
		t->task.s->db.created = false;
}

static void
design_run(void *arg)
{
	struct op_task *t = arg;

	t->ok = true;
	t->what = "not used by sqlite://";
}

static void
op_done(void *arg)
{
	struct op_task *t = arg;

	if (t->wal_bytes > 0)
		t->task.s->base.wal_bytes = t->wal_bytes;
	if (!t->task.s->closed)
		t->fn(t->ok ? NULL : &t->task.why, t->ok ? t->what : NULL, t->task.arg);
	free(t);
}

static void
submit_op(struct store *base, worker_run_fn *run_fn, store_done_fn *fn, void *arg)
{
	struct op_task *t = task_create(base, sizeof(*t), arg);

	t->fn = fn;
	worker_submit(t->task.s->worker, run_fn, op_done, t);
}

static void
sqlite_setup(struct store *base, store_done_fn *fn, void *arg)
{
	submit_op(base, setup_run, fn, arg);
}

static void
sqlite_probe(struct store *base, store_done_fn *fn, void *arg)
{
	submit_op(base, probe_run, fn, arg);
}

static void
sqlite_load_design(struct store *base, json_t *doc, store_done_fn *fn, void *arg)
{
	submit_op(base, design_run, fn, arg);
}

/* ---- a file of an older Vogeler ---- */

/* What is asked meanwhile waits behind it. If it fails, every probe tries again. */
static void
migrate_run(void *arg)
{
	struct op_task *t = arg;

	t->ok = sqlite_migrate(&t->task.s->db, &t->task.s->migration);
	if (!t->ok)
		task_failed(&t->task);
}

static void
migrate_done(void *arg)
{
	struct op_task *t = arg;

	if (t->ok)
		log_info("store", "store[%s]: brought up to date", t->task.s->base.id);
	else
		log_error("store", "store[%s]: as an older Vogeler has left it: " TROUBLE_FMT,
		    t->task.s->base.id, TROUBLE_ARGS(&t->task.why));
	free(t);
}

static void
migrate(struct sqlite_store *s)
{
	atomic_store(&s->migration.percent, 0);
	log_info(
	    "store", "store[%s]: made by an older Vogeler, bringing it up to date", s->base.id);
	worker_submit(s->worker, migrate_run, migrate_done,
	    task_create(&s->base, sizeof(struct op_task), NULL));
}

static int
sqlite_upgrade_percent(const struct store *base)
{
	return atomic_load(&((const struct sqlite_store *)base)->migration.percent);
}

/* ---- open and close ---- */

static void
sqlite_free(void *arg)
{
	struct sqlite_store *s = arg;

	free(s->base.id);
	free(s);
}

static struct store *
sqlite_open(struct loop *loop, const struct uri *uri, const struct options *opt,
    enum store_access access, struct trouble *why)
{
	struct sqlite_store *s = xcalloc(1, sizeof(*s));

	s->base.ops = &store_sqlite_ops;
	s->base.pace = (struct store_pace){1, 1, 0};
	s->base.limits = (struct store_limits){
	    .batches_in_flight = 1,
	    .min_interval_ms = MIN_INTERVAL_MS,
	    .batch_count = BATCH_COUNT,
	    .batch_bytes = BATCH_BYTES,
	};
	xasprintf(&s->base.id, "sqlite://%s", uri->path);
	s->loop = loop;
	s->record_max_bytes = opt->record_max_bytes;
	if (!sqldb_open(&s->db, uri->path, access == STORE_MAKE, opt->sqlite_relaxed)) {
		*why = s->db.why;
	} else {
		s->worker = worker_create(loop, "sqlite");
		if (s->worker == NULL)
			trouble_set(why, TROUBLE_OTHER, NULL, "%s: cannot make a thread: %s",
			    s->base.id, errtext_errno(errno));
	}
	if (s->worker == NULL) {
		sqldb_close(&s->db);
		sqlite_free(s);
		return NULL;
	}
	s->base.read_only = s->db.read_only;
	atomic_init(&s->migration.percent, -1);
	atomic_init(&s->migration.cancel, false);
	log_info("store", "store[%s]: opened%s, synchronous=%s", s->base.id,
	    s->db.read_only ? " to be read only" : "", sqldb_synchronous(&s->db));
	if (sqldb_is_old(&s->db))
		migrate(s);
	return &s->base;
}

static void
sqlite_close(struct store *base)
{
	struct sqlite_store *s = (struct sqlite_store *)base;

	s->closed = true;
	atomic_store(&s->migration.cancel, true);
	worker_destroy(s->worker); /* with the commit in hand */
	sqldb_close(&s->db);
	sqlite_index_finish(s);
	sqlite_sizes_finish(&s->sizes);
	loop_defer_free(s->loop, s, sqlite_free);
}

const struct store_ops store_sqlite_ops = {
    .scheme_text = "sqlite",
    .open = sqlite_open,
    .close = sqlite_close,
    .upgrade_percent = sqlite_upgrade_percent,
    .put = sqlite_put,
    .get = sqlite_get,
    .list = sqlite_list,
    .heads = sqlite_heads,
    .forget = sqlite_forget,
    .notes_put = sqlite_notes_put,
    .notes = sqlite_notes,
    .job_add = sqlite_job_add,
    .job_get = sqlite_job_get,
    .job_list = sqlite_job_list,
    .outcomes_add = sqlite_outcomes_add,
    .outcomes = sqlite_outcomes,
    .jobs_prune = sqlite_jobs_prune,
    .history_prune = sqlite_history_prune,
    .setup = sqlite_setup,
    .probe = sqlite_probe,
    .check = sqlite_check,
    .load_design = sqlite_load_design,
};
