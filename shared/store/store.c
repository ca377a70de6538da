/* SPDX-License-Identifier: Apache-2.0 */
/* The table of backends, and the thin wrappers through which everyone else calls them. */
#include "shared/store/store_backend.h"

#include "shared/base/log.h"
#include "shared/base/trouble.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static const struct store_ops *const backends[] = {
    [URI_COUCH] = &store_couch_ops,
    [URI_COUCHS] = &store_couch_ops,
    [URI_NULL] = &store_null_ops,
    [URI_PG] = &store_pg_ops,
    [URI_SQLITE] = &store_sqlite_ops,
};

const char *
store_status_name(enum store_status s)
{
	switch (s) {
	case STORE_OK:
		return "OK";
	case STORE_CONFLICT:
		return "CONFLICT";
	case STORE_RETRY:
		return "RETRY";
	case STORE_DAMAGED:
		return "DAMAGED";
	case STORE_REJECT:
		return "REJECT";
	case STORE_REFUSED:
		return "REFUSED";
	case STORE_REJECT_BATCH:
		return "REJECT_BATCH";
	}
	return "?";
}

struct store *
store_open(struct loop *loop, const struct uri *uri, const struct options *opt,
    enum store_access access, struct trouble *why)
{
	const struct store_ops *ops = NULL;

	if (uri->scheme < sizeof(backends) / sizeof(backends[0]))
		ops = backends[uri->scheme];
	if (ops == NULL) {
		trouble_set(why, TROUBLE_OTHER, NULL,
		    "%s:// is not a store; use couch://host:5984/db, pg://host/db or sqlite:///path/file.db",
		    uri_scheme_name(uri->scheme));
		return NULL;
	}
	return ops->open(loop, uri, opt, access, why);
}

bool
store_is_read_only(const struct store *s)
{
	return s->read_only;
}

int
store_upgrade_percent(const struct store *s)
{
	return s->ops->upgrade_percent == NULL ? -1 : s->ops->upgrade_percent(s);
}

bool
store_lists_slowly(const struct store *s)
{
	return s->lists_slowly;
}

void
store_close(struct store *s)
{
	if (s != NULL)
		s->ops->close(s);
}

const char *
store_id(const struct store *s)
{
	return s->id;
}

const struct store_pace *
store_pace(const struct store *s)
{
	return &s->pace;
}

int64_t
store_wal_bytes(const struct store *s)
{
	return s->wal_bytes;
}

uint64_t
store_strays_dropped(const struct store *s)
{
	return s->strays_dropped;
}

const struct store_limits *
store_limits(const struct store *s)
{
	return &s->limits;
}

void
store_set_login(struct store *s, const struct uri *uri)
{
	if (s->ops->set_login != NULL)
		s->ops->set_login(s, uri);
}

void
store_set_batch_bytes(struct store *s, uint64_t bytes)
{
	if (s->ops->set_batch_bytes != NULL)
		s->ops->set_batch_bytes(s, bytes);
}

void
store_put(struct store *s, struct store_write **writes, size_t n, store_written_fn *fn, void *arg)
{
	log_trace("store", "store[%s]: put, hosts=%zu", s->id, n);
	s->ops->put(s, writes, n, fn, arg);
}

void
store_get(struct store *s, const char *host, store_got_fn *fn, void *arg)
{
	log_trace("store", "store[%s]: get, host=%s", s->id, host);
	s->ops->get(s, host, fn, arg);
}

void
store_list(struct store *s, const struct store_filter *filter, store_listed_fn *fn, void *arg)
{
	s->ops->list(s, filter, fn, arg);
}

void
store_heads(struct store *s, store_listed_fn *fn, void *arg)
{
	s->ops->heads(s, fn, arg);
}

void
store_forget(struct store *s, const char *host, store_done_fn *fn, void *arg)
{
	log_trace("store", "store[%s]: forget, host=%s", s->id, host);
	s->ops->forget(s, host, fn, arg);
}

void
store_notes_put(struct store *s, const json_t *notes, store_done_fn *fn, void *arg)
{
	log_trace("store", "store[%s]: notes, n=%zu", s->id, json_object_size(notes));
	s->ops->notes_put(s, notes, fn, arg);
}

void
store_notes(struct store *s, const char *prefix, store_got_fn *fn, void *arg)
{
	s->ops->notes(s, prefix, fn, arg);
}

void
store_job_add(struct store *s, const struct job *j, store_done_fn *fn, void *arg)
{
	log_trace("store", "store[%s]: new job, job=%s, hosts=%zu", s->id, j->id, j->n_hosts);
	s->ops->job_add(s, j, fn, arg);
}

void
store_job_get(struct store *s, const char *id, store_job_fn *fn, void *arg)
{
	s->ops->job_get(s, id, fn, arg);
}

void
store_job_list(struct store *s, size_t max, store_job_fn *fn, void *arg)
{
	s->ops->job_list(s, max, fn, arg);
}

void
store_outcomes_add(struct store *s, const char *job, const struct outcome *o, size_t n,
    store_done_fn *fn, void *arg)
{
	log_trace("store", "store[%s]: outcomes, job=%s, n=%zu", s->id, job, n);
	s->ops->outcomes_add(s, job, o, n, fn, arg);
}

void
store_outcomes(struct store *s, const char *job, store_outcome_fn *fn, void *arg)
{
	s->ops->outcomes(s, job, fn, arg);
}

void
store_note_odd_outcomes(struct store *s, const char *job, size_t n)
{
	if (n == 0 || strcmp(s->odd_job, job) == 0)
		return;
	snprintf(s->odd_job, sizeof(s->odd_job), "%s", job);
	log_warn("store",
	    "store[%s]: left out: %zu of a job's outcomes cannot be read (edited by hand, or "
	    "damaged), so what is said of its hosts may be wrong, job=%s",
	    s->id, n, job);
}

bool
store_job_is_damaged(const struct store *s)
{
	return s->job_damaged;
}

void
store_jobs_prune(struct store *s, int64_t before_ms, store_pruned_fn *fn, void *arg)
{
	s->ops->jobs_prune(s, before_ms, fn, arg);
}

bool
store_has_history(const struct store *s)
{
	return s->ops->history_prune != NULL;
}

void
store_history_prune(
    struct store *s, const struct options_keep *keep, store_pruned_fn *fn, void *arg)
{
	assert(store_has_history(s));
	s->ops->history_prune(s, keep, fn, arg);
}

void
store_setup(struct store *s, store_done_fn *fn, void *arg)
{
	s->ops->setup(s, fn, arg);
}

void
store_probe(struct store *s, store_done_fn *fn, void *arg)
{
	s->ops->probe(s, fn, arg);
}

void
store_check(struct store *s, store_done_fn *fn, void *arg)
{
	s->ops->check(s, fn, arg);
}

bool
store_can_check(const struct store *s)
{
	return s->ops->check != NULL;
}

void
store_load_design(struct store *s, json_t *doc, store_done_fn *fn, void *arg)
{
	s->ops->load_design(s, doc, fn, arg);
}
