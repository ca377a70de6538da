/* SPDX-License-Identifier: Apache-2.0 */
/* pg://: records in PostgreSQL. What the files of this wing share:
 *
 *   pg_store.c     opening, closing, setup, probe
 *   pg_put.c       a put: what is stored is read, the rule of record.h applied, the rest written
 *   pg_read.c      a record, and lists of them, page by page
 *   pg_jobs.c      jobs, and pruning them; pg_outcomes.c, how they ended
 *   pg_history.c   what is kept of the past
 *   pg_notes.c     notes
 *   pg_pool.c      connections, each a pg_session.c; pg_sql.c, the statements; pg_schema.c, the
 * tables */
#ifndef VOGELER_PG_H
#define VOGELER_PG_H

#include "shared/store/pg/pg_args.h"
#include "shared/store/pg/pg_pool.h"
#include "shared/store/pg/pg_sql.h"
#include "shared/store/store_backend.h"

struct loop;
struct pg_pool;

struct pg_store {
	struct store base;
	struct loop *loop;
	struct pg_pool *pool;
	struct value_coder *coder;
	char *sql_values; /* names of plugins, with commas; NULL: none */
	bool closed;      /* tasks end without telling anybody */
	bool held_up;     /* a put could not write: whoever holds rows and says nothing is to go */
	uint64_t record_max_bytes;
	int64_t kept_host, kept_plugin; /* behind these the next look at the history begins */
	char *prune_from; /* the job behind which the next call of prune looks for outcomes; NULL:
			     all */
};

/* pg_put.c */
void pg_put(
    struct store *base, struct store_write **writes, size_t n, store_written_fn *fn, void *arg);

/* pg_read.c */
void pg_get(struct store *base, const char *host, store_got_fn *fn, void *arg);
void pg_list(struct store *base, const struct store_filter *filter, store_listed_fn *fn, void *arg);
void pg_heads(struct store *base, store_listed_fn *fn, void *arg);
void pg_forget(struct store *base, const char *host, store_done_fn *fn, void *arg);

/* pg_history.c */
void pg_history_prune(
    struct store *base, const struct options_keep *keep, store_pruned_fn *fn, void *arg);

/* pg_notes.c */
void pg_notes_put(struct store *base, const json_t *notes, store_done_fn *fn, void *arg);
void pg_notes(struct store *base, const char *prefix, store_got_fn *fn, void *arg);

/* pg_jobs.c */
void pg_job_add(struct store *base, const struct job *j, store_done_fn *fn, void *arg);
void pg_job_get(struct store *base, const char *id, store_job_fn *fn, void *arg);
void pg_job_list(struct store *base, size_t max, store_job_fn *fn, void *arg);
void pg_jobs_prune(struct store *base, int64_t before_ms, store_pruned_fn *fn, void *arg);

/* pg_outcomes.c */
void pg_outcomes_add(struct store *base, const char *job, const struct outcome *o, size_t n,
    store_done_fn *fn, void *arg);
void pg_outcomes(struct store *base, const char *job, store_outcome_fn *fn, void *arg);
struct pg_outcome_texts {
	char why[OUTCOME_WHY_SIZE];
	char *host, *response_id, *why_own;
};
/* The parameters of PG_STMT_OUTCOME_PUT, which point into o and texts. */
void pg_outcome_args(
    struct pg_args *a, struct pg_outcome_texts *texts, const char *job, const struct outcome *o);
void pg_outcome_texts_finish(struct pg_outcome_texts *texts);

#endif
