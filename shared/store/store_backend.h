/* SPDX-License-Identifier: Apache-2.0 */
/* A store's backend has these functions, and begins its struct with struct store. Nobody else looks
 * into either: store.h has a function for each. */
#ifndef VOGELER_STORE_BACKEND_H
#define VOGELER_STORE_BACKEND_H

#include "shared/store/store.h"

struct store_ops {
	const char *scheme_text; /* "sqlite" */
	struct store *(*open)(struct loop *loop, const struct uri *uri, const struct options *opt,
	    enum store_access access, struct trouble *why);
	void (*close)(struct store *s);
	int (*upgrade_percent)(const struct store *s); /* NULL: there is never anything to do */
	void (*set_login)(struct store *s, const struct uri *uri); /* NULL: there is no login */
	void (*set_batch_bytes)(struct store *s, uint64_t bytes);  /* NULL: nothing to set */
	void (*put)(struct store *s, struct store_write **writes, size_t n, store_written_fn *fn,
	    void *arg);
	void (*get)(struct store *s, const char *host, store_got_fn *fn, void *arg);
	void (*list)(
	    struct store *s, const struct store_filter *filter, store_listed_fn *fn, void *arg);
	void (*heads)(struct store *s, store_listed_fn *fn, void *arg);
	void (*forget)(struct store *s, const char *host, store_done_fn *fn, void *arg);
	void (*notes_put)(struct store *s, const json_t *notes, store_done_fn *fn, void *arg);
	void (*notes)(struct store *s, const char *prefix, store_got_fn *fn, void *arg);
	void (*job_add)(struct store *s, const struct job *j, store_done_fn *fn, void *arg);
	void (*job_get)(struct store *s, const char *id, store_job_fn *fn, void *arg);
	void (*job_list)(struct store *s, size_t max, store_job_fn *fn, void *arg);
	void (*outcomes_add)(struct store *s, const char *job, const struct outcome *o, size_t n,
	    store_done_fn *fn, void *arg);
	void (*outcomes)(struct store *s, const char *job, store_outcome_fn *fn, void *arg);
	void (*jobs_prune)(struct store *s, int64_t before_ms, store_pruned_fn *fn, void *arg);
	/* NULL: there is no history. keep: borrowed during the call. */
	void (*history_prune)(
	    struct store *s, const struct options_keep *keep, store_pruned_fn *fn, void *arg);
	void (*setup)(struct store *s, store_done_fn *fn, void *arg);
	void (*probe)(struct store *s, store_done_fn *fn, void *arg);
	void (*check)(struct store *s, store_done_fn *fn, void *arg); /* NULL: it does so itself */
	void (*load_design)(struct store *s, json_t *doc, store_done_fn *fn, void *arg);
};

/* The head of every backend's own struct. */
struct store {
	const struct store_ops *ops;
	struct store_limits limits;
	struct store_pace pace;
	bool read_only, lists_slowly, job_damaged;
	char odd_job[JOB_ID_MAX + 1]; /* whose outcomes were left out last: a watch asks often */
	int64_t wal_bytes;            /* of a write-ahead log, as of the latest put or probe */
	uint64_t strays_dropped;
	char *id;
};

/* Called by a backend that has read a job's outcomes and could not read n of them. */
void store_note_odd_outcomes(struct store *s, const char *job, size_t n);
extern const struct store_ops store_couch_ops, store_null_ops, store_pg_ops, store_sqlite_ops;

#endif
