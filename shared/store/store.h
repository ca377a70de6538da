/* SPDX-License-Identifier: Apache-2.0 */
/* A store keeps records: one interface over four backends (sqlite_store.c, couch_store.c,
 * pg_store.c, store_null.c), each with the functions of store_backend.h and a row of the table in
 * store.c.
 *
 * Everything is asynchronous: a call returns at once, its answer comes as a callback on the loop,
 * never from inside the call. A write is answered STORE_OK only when it is on disk. */
#ifndef VOGELER_STORE_H
#define VOGELER_STORE_H

#include "shared/base/uri.h"
#include "shared/config/options.h"
#include "shared/store/job.h"
#include "shared/store/outcome.h"
#include "shared/store/record.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct loop;
struct store;
struct trouble;

/* All that is to be written about one host at once. The caller keeps it alive and unchanged until
 * it is answered. */
struct store_write {
	const char *host;
	struct result **results; /* in order of arrival */
	size_t n;
	size_t bytes; /* of the values: for batching by size */
	void *owner;  /* the caller's */
};

enum store_status {
	STORE_OK, /* on disk: the record, and in the ledger the outcome of each result that belongs
		     to a job */
	STORE_CONFLICT, /* somebody else wrote the record meanwhile: give it again, it will be
			   re-read and merged */
	STORE_RETRY,   /* not written, for a reason that passes (out of reach, full disk, 429, 503):
			  later */
	STORE_DAMAGED, /* not written, since something that is stored of this host can be neither
			  read nor written: a damaged page, which may be put back. Later; it says
			  nothing about other hosts, however many it is said of */
	STORE_REJECT, /* this one will never be taken, whatever the store says of others: too large,
			 or what is stored cannot be read. Dead-letter it. */
	STORE_REFUSED, /* the server refuses it: by validation, or as it refuses all of them. Others
			  tell: dead-letter it when one was taken */
	STORE_REJECT_BATCH, /* the batch was refused as a whole and this may be the culprit or not:
			       bisect */
};
#define STORE_N_STATUS (STORE_REJECT_BATCH + 1)
const char *store_status_name(enum store_status s);

/* In all callbacks why is what went wrong, borrowed during the call, and NULL when nothing did. */

/* why: for the log and x-reason; NULL of STORE_OK, else perhaps. */
typedef void store_written_fn(
    struct store_write *w, enum store_status status, const struct trouble *why, void *arg);

enum store_found { STORE_FOUND, STORE_MISSING, STORE_FAILED };

/* rec: borrowed, during the call, NULL unless STORE_FOUND. why: of STORE_FAILED. */
typedef void store_got_fn(
    enum store_found found, json_t *rec, const struct trouble *why, void *arg);
/* Once for each record (rec borrowed, STORE_FOUND), in order of host; then once with STORE_MISSING
 * at the end, or STORE_FAILED. A record that is damaged is left out, with a warning in the log. */
typedef void store_listed_fn(
    enum store_found found, json_t *rec, const struct trouble *why, void *arg);
/* A filter says what of each record is wanted; NULL = all of it. Borrowed during the call. rec then
 * has its _id, and of the plugins those named that it has. */
struct store_filter {
	const char *const *plugins;
	size_t n; /* 0: the names of the hosts */
};
/* done: what was done, for a person: "created" / "was there" / "loaded" / "unchanged" / "not used
 * by sqlite://"; NULL when why says why it was not. */
typedef void store_done_fn(const struct trouble *why, const char *done, void *arg);
/* n: documents or rows that went. more: it has not looked at all of them. */
typedef void store_pruned_fn(const struct trouble *why, uint64_t n, bool more, void *arg);

struct store_limits {                   /* may change while it is open: read anew each time */
	unsigned int batches_in_flight; /* of store_put calls not fully answered: 1 for sqlite */
	unsigned int
	    min_interval_ms; /* between two store_put calls: 50 for sqlite (at most 20 commits/s) */
	/* These are best for one store_put, unless the options say otherwise. CouchDB likes many
	 * small requests at once; a file that may commit 20 times a second, few large ones. */
	size_t batch_count; /* writes */
	size_t batch_bytes;
};
#define STORE_BATCH_COUNT 500
#define STORE_BATCH_BYTES ((size_t)256 * 1024)

struct store_pace {                /* for metrics */
	unsigned int allowed, max; /* requests at once, now and when all is well */
	uint64_t slowdowns;        /* answers that asked for less: 429, 503 */
};

enum store_access {
	STORE_MAKE, /* of the collector and of setup: what is not there is made */
	/* All others use this: the store must be there, since a name that is mistyped would else
	 * become an empty store. Where this user may only read it, so be it: writes fail, and say
	 * so. */
	STORE_USE,
};
/* NULL: why says it (a bad URI, a file or folder that is not there, TLS not available). Reaching
 * the server is not part of it. */
struct store *store_open(struct loop *loop, const struct uri *uri, const struct options *opt,
    enum store_access access, struct trouble *why);
/* Says whether this user may read it only, as far as opening tells. */
bool store_is_read_only(const struct store *s);
/* Of a store that an older Vogeler made and that is brought up to date, which takes a while and
 * which everything else waits for: how far that is; -1 = nothing of the kind is under way. */
int store_upgrade_percent(const struct store *s);
/* Says whether store_heads() had to read whole records, since what makes lists fast is not there;
 * vogeler-admin setup makes it. Known when it has ended. */
bool store_lists_slowly(const struct store *s);
void store_close(struct store *s); /* nothing may be in flight but what may be forgotten; sqlite
				      finishes the commit in hand */
const char *store_id(const struct store *s); /* redacted URI, for the log */
const struct store_limits *store_limits(const struct store *s);
const struct store_pace *store_pace(const struct store *s);
int64_t store_wal_bytes(const struct store *s); /* for metrics; 0: this store has none */
/* Counts, for metrics, outcomes that went for newer ones (OUTCOME_STRAYS_MAX), since it was
 * opened. */
uint64_t store_strays_dropped(const struct store *s);
/* User and password of uri, which is store_open()'s otherwise, hold for the requests from now on.
 * Without a meaning for sqlite and null. Changes store_id(). */
void store_set_login(struct store *s, const struct uri *uri);
/* [server] batch_max_bytes, 0 = auto: for the requests from now on. Without a meaning for those
 * that take a batch whole. */
void store_set_batch_bytes(struct store *s, uint64_t bytes);

/* The caller gives at most one write in flight for each host. fn is called once for each write, in
 * any order. */
void store_put(
    struct store *s, struct store_write **writes, size_t n, store_written_fn *fn, void *arg);
void store_get(struct store *s, const char *host, store_got_fn *fn, void *arg);
void store_list(struct store *s, const struct store_filter *filter, store_listed_fn *fn, void *arg);
/* The heads of all records (head.h), as store_list() gives records: what a list of hosts shows,
 * without a value being read. */
void store_heads(struct store *s, store_listed_fn *fn, void *arg);
/* Record, and all that is remembered for the order of its results; the ledger stays. done:
 * "forgotten" or "not there". An answer that comes later makes a new record. */
void store_forget(struct store *s, const char *host, store_done_fn *fn, void *arg);

/* Notes are small JSON values of the collector's own beside the records, with ids of letters,
 * digits,
 * "." and "-": what is not said by a host but found out about hosts. */

/* notes: {ID: value}, borrowed during the call, each in the place of what its id had. Not ok: of
 * several some may be written. */
void store_notes_put(struct store *s, const json_t *notes, store_done_fn *fn, void *arg);
/* Gives those whose id begins with it, as {ID: value}, which may be empty; or STORE_FAILED. */
void store_notes(struct store *s, const char *prefix, store_got_fn *fn, void *arg);

/* The ledger (job.h, outcome.h, fold.h), in a database or tables of its own. A record may name jobs
 * that are not in it: of a runner without a store, or pruned ones. */
void store_job_add(struct store *s, const struct job *j, store_done_fn *fn, void *arg);
/* j: borrowed during the call, NULL unless STORE_FOUND. why: of STORE_FAILED. */
typedef void store_job_fn(
    enum store_found found, const struct job *j, const struct trouble *why, void *arg);
void store_job_get(struct store *s, const char *id, store_job_fn *fn, void *arg);
/* Lists at most max, the newest first; then once STORE_MISSING at the end, or STORE_FAILED. */
void store_job_list(struct store *s, size_t max, store_job_fn *fn, void *arg);
/* The runner's own: UNROUTABLE, CANCELLED. Those of answers come with store_put. Copies o. */
void store_outcomes_add(struct store *s, const char *job, const struct outcome *o, size_t n,
    store_done_fn *fn, void *arg);
/* Each outcome of the job, in any order, perhaps twice (o borrowed); then once STORE_MISSING at the
 * end, or STORE_FAILED. One that is damaged is left out, which the log says. */
typedef void store_outcome_fn(
    enum store_found found, const struct outcome *o, const struct trouble *why, void *arg);
void store_outcomes(struct store *s, const char *job, store_outcome_fn *fn, void *arg);
/* Was the latest STORE_FAILED of store_outcomes() for what is stored of that job, which is damaged?
 * Then those of others may be read. */
bool store_job_is_damaged(const struct store *s);
/* Removes jobs sent before that time, and expired before it or never to expire, with their
 * outcomes; and outcomes of jobs that are not there and are older. A bounded number in one call:
 * again while any went or there is more. */
void store_jobs_prune(struct store *s, int64_t before_ms, store_pruned_fn *fn, void *arg);

/* Removes from the history what keep does not cover: what was replaced longer before the newest
 * value of all than keep->age_s, so that a clock that is wrong here costs nothing, and of each
 * plugin of a host what is behind the newest keep->count that were replaced. The value in hand
 * stays, and what others that stay are differences from. A bounded number in one call: again while
 * any went or there is more. A store without a history says 0. */
void store_history_prune(
    struct store *s, const struct options_keep *keep, store_pruned_fn *fn, void *arg);
bool store_has_history(const struct store *s);

/* Creates the database (never done silently by a write: an operator may be restoring it). */
void store_setup(struct store *s, store_done_fn *fn, void *arg);
/* Is it there and would it take a write? For start-up and for after STORE_RETRY. */
void store_probe(struct store *s, store_done_fn *fn, void *arg);
/* Can all that is stored be read? Of a file reads all of it, for STORE_CHECK_MS at most; of a
 * server looks whether what lists are made of is as setup makes it. Not ok: what is damaged, the
 * hosts that it concerns, and the cure. Only where store_can_check(). */
#define STORE_CHECK_MS 10000
void store_check(struct store *s, store_done_fn *fn, void *arg);
bool store_can_check(const struct store *s);
/* Loads one design document {"_id":"_design/NAME", ...} if it differs from what is there. Takes a
 * reference of doc. */
void store_load_design(struct store *s, json_t *doc, store_done_fn *fn, void *arg);

#endif
