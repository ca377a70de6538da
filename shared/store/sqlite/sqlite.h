/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the sqlite backend, shared by its files: sqlite_store.c (the thread, and what the
 * loop asks of it), sqlite_read.c and sqlite_put.c (records), sqlite_jobs.c (jobs and outcomes),
 * sqlite_notes.c, sqlite_check.c.
 * All that touches db runs on the worker's thread. */
#ifndef VOGELER_SQLITE_H
#define VOGELER_SQLITE_H

#include "shared/store/sqlite/sqldb.h"
#include "shared/store/sqlite/sqlite_migrate.h"
#include "shared/store/sqlite/sqlite_rows.h"
#include "shared/store/sqlite/sqlite_sizes.h"
#include "shared/store/store_backend.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct worker;

/* How far old values have gone (sqlite_history.c). */
enum sqlite_walk_state {
	SQLITE_WALK_NONE,
	SQLITE_WALK_NEW,
	SQLITE_WALK_VALUES,
	SQLITE_WALK_INDEX,
	SQLITE_WALK_NAMES
};

struct sqlite_walk {
	enum sqlite_walk_state state;
	struct options_keep keep; /* of this walk, or of the latest */
	int64_t last;             /* the newest value when it began */
	bool of_age;              /* it looks at ages, */
	int64_t before, cut;      /* up to that time, and that value */
	int64_t seq;              /* the last value that was looked at */
	int64_t plugin, host;     /* the last pair */
	size_t table;             /* of names, the next */
	int64_t names;            /* that there had been when they were gone through */
};

/* Keys that are being brought into the index of old values (sqlite_index.c). */
struct sqlite_index {
	struct sqlite_index_key *keys; /* NULL = none are */
	size_t n, done;
	int64_t last;       /* they are those up to that value */
	int64_t not_before; /* that value is there it is not tried again, after a failure */
};

struct sqlite_store {
	struct store base; /* first */
	struct loop *loop;
	struct worker *worker;
	struct sqlite_migration migration;
	bool closed; /* nobody wants answers any more */
	uint64_t record_max_bytes;
	uint64_t strays_dropped; /* the thread's */
	int64_t prune_from; /* the job behind which pruning goes on; 0 = the start. The thread's */
	struct sqlite_walk walk;   /* the thread's */
	struct sqlite_index index; /* the thread's */
	struct sqlite_sizes sizes; /* the thread's */
	struct sqldb db;           /* from store_open to store_close the thread's alone */
};

/* Inside a transaction. false, STORE_FAILED: db->why. */

/* A row of host, as a record's head. */
struct sqlite_head {
	int64_t id;         /* 0 = nobody has mentioned it */
	bool found;         /* there is a record */
	size_t error_bytes; /* of the text of its last_error */
};

/* head starts with its host alone; its updated_at is that of the row, which answers that changed
 * nothing else have not touched. */
bool sqlite_read_head(struct sqldb *db, struct record_head *head, struct sqlite_head *row);
/* *rec: the caller's, if FOUND. *bytes grows by what was read. */
enum store_found sqlite_read(struct sqldb *db, const char *host, json_t **rec, size_t *bytes);
/* Reads its head (head.h) in the same way. */
enum store_found sqlite_read_heading(
    struct sqldb *db, const char *host, json_t **head, size_t *bytes);
/* Reads, in the same way, the _id and, of the plugins, those values that the host has. */
enum store_found sqlite_read_values(struct sqldb *db, const char *host, char *const plugins[],
    size_t n_plugins, json_t **rec, size_t *bytes);

/* Inside the transaction of a put: all that the write brings, or nothing of it. *why is NULL or the
 * caller's, malloced. STORE_RETRY, db->why, and STORE_DAMAGED: the transaction is to be rolled
 * back; with the latter the others can be put again. */
enum store_status sqlite_put_one(
    struct sqlite_store *s, const struct store_write *w, struct trouble **why);
/* Inside the transaction of a put: the outcomes of what the write brings, of that host. *dropped
 * grows by those
 * of jobs that are not there which went for it. false: db->why. */
bool sqlite_put_outcomes(
    struct sqldb *db, int64_t host, const struct store_write *w, uint64_t *dropped);

/* Brings a slice of the newest values into their index, in a transaction of its own. all: however
 * few there are, else only when there are many. *more: another slice is to follow. false: db->why.
 */
bool sqlite_index_step(struct sqlite_store *s, bool all, bool *more);
void sqlite_index_finish(struct sqlite_store *s);

void sqlite_check(struct store *s, store_done_fn *fn, void *arg);
void sqlite_notes_put(struct store *s, const json_t *notes, store_done_fn *fn, void *arg);
void sqlite_notes(struct store *s, const char *prefix, store_got_fn *fn, void *arg);
void sqlite_job_add(struct store *s, const struct job *j, store_done_fn *fn, void *arg);
void sqlite_job_get(struct store *s, const char *id, store_job_fn *fn, void *arg);
void sqlite_job_list(struct store *s, size_t max, store_job_fn *fn, void *arg);
void sqlite_outcomes_add(struct store *s, const char *job, const struct outcome *o, size_t n,
    store_done_fn *fn, void *arg);
void sqlite_outcomes(struct store *s, const char *job, store_outcome_fn *fn, void *arg);
void sqlite_history_prune(
    struct store *s, const struct options_keep *keep, store_pruned_fn *fn, void *arg);
void sqlite_jobs_prune(struct store *s, int64_t before_ms, store_pruned_fn *fn, void *arg);

#endif
