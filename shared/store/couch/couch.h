/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the CouchDB backend, shared by its files: couch_store.c (opening), couch_op.c (what
 * all requests share), couch_put.c and couch_lost.c (writing), couch_read.c (get, list),
 * couch_names.c and couch_view.c (lists of hosts), couch_admin.c (setup, probe, design documents),
 * couch_forget.c, couch_ledger.c and couch_strays.c (writing outcomes), couch_jobs.c (jobs),
 * couch_outcomes.c (reading outcomes), couch_prune.c, couch_notes.c. */
#ifndef VOGELER_COUCH_H
#define VOGELER_COUCH_H

#include "shared/base/ratelimit.h"
#include "shared/base/trouble.h"
#include "shared/event/loop.h"
#include "shared/store/couch/couch_cache.h"
#include "shared/store/couch/couch_pace.h"
#include "shared/store/couch/couch_wire.h"
#include "shared/store/couch/http.h"
#include "shared/store/couch/pack.h"
#include "shared/store/store_backend.h"
#include <bsd/sys/queue.h>

/* An answer of the store as a whole may have this many bytes. */
#define COUCH_ANSWER_MAX ((size_t)64 * 1024 * 1024)

struct couch_known;
struct couch_ledger;
struct couch_names;
struct couch_strays;
struct loop_timer;
struct lot;
struct worker;

/* Anything asked but a write: lives until its answer has been given. Each verb has a struct of its
 * own, which begins with this. */
struct couch_op {
	LIST_ENTRY(couch_op) link;
	struct couch *c;
	void *arg;
	union {
		store_got_fn *got;
		store_listed_fn *listed;
		store_done_fn *done;
		store_pruned_fn *pruned;
		store_job_fn *job;
		store_outcome_fn *outcome;
	} fn;                                /* the verb's */
	void (*finish)(struct couch_op *op); /* frees what its own struct has; NULL: nothing */
	struct loop_timer *wait;             /* before it begins; NULL: it has */
};

struct couch {
	struct store base; /* first */
	struct loop *loop;
	struct http *http;
	struct couch_cache *cache;
	struct pack *pack;
	struct couch_pace pace;
	char *url;        /* of the database */
	char *jobs_url;   /* and of the ledger's, which has "_jobs" after its name */
	char *jobs_id;    /* redacted, for sentences */
	char *prune_from; /* where the next prune goes on, NULL = at the start */
	struct couch_ledger *ledger;
	struct couch_known *known; /* jobs */
	struct couch_names *names;
	struct couch_strays *strays;
	size_t record_max; /* bytes */
	size_t lot_bytes;  /* a request's records are about this much together */
	size_t mean_bytes; /* of a record, as lately read: a guess at those not known */
	struct loop_timer *pump;
	TAILQ_HEAD(, lot) waiting;
	TAILQ_HEAD(, lot) active;
	unsigned int n_active;
	struct worker *worker; /* reads large answers */
	struct ratelimit marks_refused;
	bool closing;
	LIST_HEAD(, couch_op) ops;
};

/* size: of the verb's own struct, which is zeroed but for op. */
struct couch_op *couch_op_create(
    struct couch *c, size_t size, void (*finish)(struct couch_op *op), void *arg);
void couch_op_destroy(struct couch_op *op);
/* Calls fn with op in wait_ms, and never from inside. */
void couch_op_later(struct couch_op *op, loop_fn *fn, int64_t wait_ms);
/* Ends the operation, then calls back: nothing of it may be touched afterwards. */
void couch_op_done(struct couch_op *op, const struct trouble *why, const char *done);
/* The end of a list, likewise; why: of STORE_FAILED. */
void couch_op_listed(struct couch_op *op, enum store_found found, const struct trouble *why);
/* body is freed by http; NULL = none. */
void couch_op_request(
    struct couch_op *op, const char *method, const char *url, char *body, http_fn *fn);
/* POST to what, "_find" and the like, of the database at this URL. body: stolen. */
void couch_op_post(
    struct couch_op *op, const char *database, const char *what, json_t *body, http_fn *fn);
/* Sets what the store allows by the pace. */
void couch_note_limits(struct couch *c);
/* Adjusts the pace by every answer to a write, or to what a write needs. */
void couch_note_answer(struct couch *c, const struct http_response *r);
/* Keeps mean_bytes near what records have lately been. */
void couch_note_size(struct couch *c, size_t bytes, size_t records);
/* Learns about records from an answer that was too large: the next requests ask for fewer. */
void couch_note_too_large(struct couch *c, size_t records);

void couch_put(
    struct store *s, struct store_write **writes, size_t n, store_written_fn *fn, void *arg);
/* The pump timer's function: starts lots while there is room. */
void couch_on_pump(void *arg);
/* Frees every lot without an answer; http is gone by now. */
void couch_put_forget(struct couch *c);
void couch_get(struct store *s, const char *host, store_got_fn *fn, void *arg);
void couch_list(struct store *s, const struct store_filter *filter, store_listed_fn *fn, void *arg);
void couch_heads(struct store *s, store_listed_fn *fn, void *arg);
void couch_notes_put(struct store *s, const json_t *notes, store_done_fn *fn, void *arg);
void couch_notes(struct store *s, const char *prefix, store_got_fn *fn, void *arg);
void couch_job_add(struct store *s, const struct job *j, store_done_fn *fn, void *arg);
void couch_job_get(struct store *s, const char *id, store_job_fn *fn, void *arg);
void couch_job_list(struct store *s, size_t max, store_job_fn *fn, void *arg);
void couch_outcomes_add(struct store *s, const char *job, const struct outcome *o, size_t n,
    store_done_fn *fn, void *arg);
void couch_outcomes(struct store *s, const char *job, store_outcome_fn *fn, void *arg);
void couch_jobs_prune(struct store *s, int64_t before_ms, store_pruned_fn *fn, void *arg);
void couch_forget(struct store *s, const char *host, store_done_fn *fn, void *arg);
void couch_setup(struct store *s, store_done_fn *fn, void *arg);
void couch_probe(struct store *s, store_done_fn *fn, void *arg);
void couch_check(struct store *s, store_done_fn *fn, void *arg);
void couch_load_design(struct store *s, json_t *doc, store_done_fn *fn, void *arg);

#endif
