/* SPDX-License-Identifier: Apache-2.0 */
/* null://: takes everything and keeps nothing. For benchmarks: all of a response's way but the
 * write. Answers come in the next pass of the loop, as the interface promises. */
#include "shared/store/store_backend.h"

#include "shared/base/xalloc.h"
#include "shared/event/loop.h"

#include <bsd/sys/queue.h>
#include <stdlib.h>

enum call_kind {
	CALL_PUT,
	CALL_GET,
	CALL_LIST,
	CALL_NOTES,
	CALL_JOB,
	CALL_OUTCOMES,
	CALL_PRUNE,
	CALL_DONE
};

struct call {
	STAILQ_ENTRY(call) entry;
	enum call_kind kind;
	union {
		store_written_fn *written;
		store_got_fn *got;
		store_listed_fn *listed;
		store_job_fn *job;
		store_outcome_fn *outcome;
		store_pruned_fn *pruned;
		store_done_fn *done;
	} fn;
	void *arg;
	const char *done;            /* of CALL_DONE */
	struct store_write **writes; /* of a put; our copy of the caller's array */
	size_t n;
};
STAILQ_HEAD(call_list, call);

struct null_store {
	struct store base;
	struct loop *loop;
	struct loop_timer *timer;
	struct call_list calls;
	bool closed;
};

static void
call_free(struct call *c)
{
	free(c->writes);
	free(c);
}

static void
answer_notes(const struct call *c)
{
	json_t *none = json_object();

	c->fn.got(STORE_FOUND, none, NULL, c->arg);
	json_decref(none);
}

static void
call_answer(struct null_store *s, const struct call *c)
{
	size_t i;

	switch (c->kind) {
	case CALL_PUT:
		for (i = 0; i < c->n && !s->closed; i++)
			c->fn.written(c->writes[i], STORE_OK, NULL, c->arg);
		break;
	case CALL_GET:
		c->fn.got(STORE_MISSING, NULL, NULL, c->arg);
		break;
	case CALL_LIST:
		c->fn.listed(STORE_MISSING, NULL, NULL, c->arg);
		break;
	case CALL_NOTES:
		answer_notes(c);
		break;
	case CALL_JOB:
		c->fn.job(STORE_MISSING, NULL, NULL, c->arg);
		break;
	case CALL_OUTCOMES:
		c->fn.outcome(STORE_MISSING, NULL, NULL, c->arg);
		break;
	case CALL_PRUNE:
		c->fn.pruned(NULL, 0, false, c->arg);
		break;
	case CALL_DONE:
		c->fn.done(NULL, c->done, c->arg);
		break;
	}
}

/* Answers what was there at the start of the pass; a callback may call again, or close. */
static void
null_on_timer(void *arg)
{
	struct null_store *s = arg;
	struct call_list now = STAILQ_HEAD_INITIALIZER(now);
	struct call *c;

	STAILQ_CONCAT(&now, &s->calls);
	while (!STAILQ_EMPTY(&now)) {
		c = STAILQ_FIRST(&now);
		STAILQ_REMOVE_HEAD(&now, entry);
		if (!s->closed)
			call_answer(s, c);
		call_free(c);
	}
}

static struct call *
call_add(struct store *base, enum call_kind kind, void *arg)
{
	struct null_store *s = (struct null_store *)base;
	struct call *c = xcalloc(1, sizeof(*c));

	c->kind = kind;
	c->arg = arg;
	STAILQ_INSERT_TAIL(&s->calls, c, entry);
	loop_timer_arm(s->timer, 0);
	return c;
}

static struct store *
null_open(struct loop *loop, const struct uri *uri, const struct options *opt,
    enum store_access access, struct trouble *why)
{
	struct null_store *s = xcalloc(1, sizeof(*s));

	s->base.ops = &store_null_ops;
	s->base.pace = (struct store_pace){4, 4, 0};
	s->base.limits = (struct store_limits){
	    .batches_in_flight = 4,
	    .batch_count = STORE_BATCH_COUNT,
	    .batch_bytes = STORE_BATCH_BYTES,
	};
	s->base.id = xstrdup("null://");
	s->loop = loop;
	s->timer = loop_timer_create(loop, "null store", null_on_timer, s);
	STAILQ_INIT(&s->calls);
	return &s->base;
}

static void
null_free(void *arg)
{
	struct null_store *s = arg;

	free(s->base.id);
	free(s);
}

static void
null_close(struct store *base)
{
	struct null_store *s = (struct null_store *)base;
	struct call *c;

	s->closed = true;
	while (!STAILQ_EMPTY(&s->calls)) {
		c = STAILQ_FIRST(&s->calls);
		STAILQ_REMOVE_HEAD(&s->calls, entry);
		call_free(c);
	}
	loop_timer_destroy(s->timer);
	loop_defer_free(s->loop, s, null_free);
}

static void
null_put(struct store *base, struct store_write **writes, size_t n, store_written_fn *fn, void *arg)
{
	struct call *c = call_add(base, CALL_PUT, arg);
	size_t i;

	c->fn.written = fn;
	c->writes = xcalloc(n, sizeof(struct store_write *));
	c->n = n;
	for (i = 0; i < n; i++)
		c->writes[i] = writes[i];
}

static void
null_get(struct store *base, const char *host, store_got_fn *fn, void *arg)
{
	call_add(base, CALL_GET, arg)->fn.got = fn;
}

static void
null_list(struct store *base, const struct store_filter *filter, store_listed_fn *fn, void *arg)
{
	call_add(base, CALL_LIST, arg)->fn.listed = fn;
}

static void
null_heads(struct store *base, store_listed_fn *fn, void *arg)
{
	call_add(base, CALL_LIST, arg)->fn.listed = fn;
}

static void
call_done(struct store *base, const char *done, store_done_fn *fn, void *arg)
{
	struct call *c = call_add(base, CALL_DONE, arg);

	c->fn.done = fn;
	c->done = done;
}

static void
null_setup(struct store *base, store_done_fn *fn, void *arg)
{
	call_done(base, "not used by null://", fn, arg);
}

static void
null_load_design(struct store *base, json_t *doc, store_done_fn *fn, void *arg)
{
	call_done(base, "not used by null://", fn, arg);
}

static void
null_forget(struct store *base, const char *host, store_done_fn *fn, void *arg)
{
	call_done(base, "not there", fn, arg);
}

static void
null_notes_put(struct store *base, const json_t *notes, store_done_fn *fn, void *arg)
{
	call_done(base, "not kept by null://", fn, arg);
}

static void
null_notes(struct store *base, const char *prefix, store_got_fn *fn, void *arg)
{
	call_add(base, CALL_NOTES, arg)->fn.got = fn;
}

/* ---- the ledger ---- */

static void
null_job_add(struct store *base, const struct job *j, store_done_fn *fn, void *arg)
{
	call_done(base, "not kept by null://", fn, arg);
}

static void
null_job_get(struct store *base, const char *id, store_job_fn *fn, void *arg)
{
	call_add(base, CALL_JOB, arg)->fn.job = fn;
}

static void
null_job_list(struct store *base, size_t max, store_job_fn *fn, void *arg)
{
	call_add(base, CALL_JOB, arg)->fn.job = fn;
}

static void
null_outcomes_add(struct store *base, const char *job, const struct outcome *o, size_t n,
    store_done_fn *fn, void *arg)
{
	call_done(base, "not kept by null://", fn, arg);
}

static void
null_outcomes(struct store *base, const char *job, store_outcome_fn *fn, void *arg)
{
	call_add(base, CALL_OUTCOMES, arg)->fn.outcome = fn;
}

static void
null_jobs_prune(struct store *base, int64_t before_ms, store_pruned_fn *fn, void *arg)
{
	call_add(base, CALL_PRUNE, arg)->fn.pruned = fn;
}

const struct store_ops store_null_ops = {
    .scheme_text = "null",
    .open = null_open,
    .close = null_close,
    .put = null_put,
    .get = null_get,
    .list = null_list,
    .heads = null_heads,
    .forget = null_forget,
    .notes_put = null_notes_put,
    .notes = null_notes,
    .job_add = null_job_add,
    .job_get = null_job_get,
    .job_list = null_job_list,
    .outcomes_add = null_outcomes_add,
    .outcomes = null_outcomes,
    .jobs_prune = null_jobs_prune,
    .setup = null_setup,
    .probe = null_setup,
    .load_design = null_load_design,
};
