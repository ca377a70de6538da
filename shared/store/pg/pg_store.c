/* SPDX-License-Identifier: Apache-2.0 */
/* pg://: records in PostgreSQL. Opening, closing, setup and probe; the map is in pg.h. */
#include "shared/base/log.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/store/pg/pg.h"
#include "shared/store/pg/pg_schema.h"
#include "shared/store/sql/value_codec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Many small transactions at once, each with a commit of its own: while one waits for the disk the
 * others are read and written. */
#define BATCH_COUNT 200
#define BATCH_BYTES ((size_t)1024 * 1024)

/* ---- setup and probe ---- */

enum look_state { LOOK_VERSION, LOOK_SETUP, LOOK_PROBE, LOOK_NOTHING };

struct pg_look {
	struct pg_task task; /* first */
	struct pg_store *s;
	enum look_state state;
	bool sets_up;
	int64_t version; /* of the tables; 0: they are not there */
	const char *done;
	store_done_fn *fn;
	void *arg;
};

static void
look_send(struct pg_task *t, struct pg_session *c)
{
	const struct pg_look *l = (const struct pg_look *)t;
	struct pg_args none = {0};

	switch (l->state) {
	case LOOK_VERSION:
		pg_send(c, PG_STMT_SCHEMA_VERSION, &none);
		return;
	case LOOK_SETUP:
		pg_send(c, PG_STMT_SCHEMA_SETUP, &none);
		return;
	case LOOK_PROBE:
		pg_send(c, PG_STMT_PROBE, &none);
		pg_send(c, PG_STMT_UNPROBE, &none);
		return;
	case LOOK_NOTHING:
		return;
	}
}

static void
look_on_result(struct pg_task *t, unsigned int n, const PGresult *res)
{
	struct pg_look *l = (struct pg_look *)t;

	(void)n;
	if (l->state == LOOK_VERSION)
		l->version = pg_int(res, 0, 0, 0);
}

static void
look_answer(struct pg_look *l, const struct trouble *why)
{
	if (!l->s->closed)
		l->fn(why, why == NULL ? l->done : NULL, l->arg);
	free(l);
}

static void
look_enter(struct pg_look *l, enum look_state next)
{
	l->state = next;
	pg_pool_submit(l->s->pool, &l->task);
}

/* What a newer Vogeler has made may have other rules than ours. */
static bool
is_too_new(const struct pg_look *l, struct trouble *why)
{
	if (l->version <= PG_SCHEMA_VERSION)
		return false;
	trouble_set(why, TROUBLE_OTHER, "update this Vogeler too",
	    "the tables were made by a newer Vogeler (migration %d, this one knows %d)",
	    (int)l->version, PG_SCHEMA_VERSION);
	return true;
}

static void
look_version_known(struct pg_look *l)
{
	struct trouble why = {0};

	if (is_too_new(l, &why)) {
		look_answer(l, &why);
	} else if (l->sets_up) { /* whatever is there: of roles and rights something may be missing
				  */
		if (l->version != PG_SCHEMA_VERSION)
			l->done = l->version == 0 ? "created" : "updated";
		look_enter(l, LOOK_SETUP);
	} else if (l->version == PG_SCHEMA_VERSION) {
		look_enter(l, LOOK_PROBE);
	} else {
		trouble_set(&why, TROUBLE_OTHER, "run \"vogeler-admin setup\"",
		    "the tables of Vogeler are %s", l->version == 0 ? "not there" : "of before");
		look_answer(l, &why);
	}
}

static void
look_on_end(struct pg_task *t, enum pg_fault fault, const struct trouble *why)
{
	struct pg_look *l = (struct pg_look *)t;

	if (l->s->closed ||
	    (fault != PG_FAULT_NONE && !(l->state == LOOK_VERSION && fault == PG_FAULT_MISSING))) {
		look_answer(l, why);
		return;
	}
	switch (l->state) {
	case LOOK_VERSION:
		look_version_known(l);
		return;
	case LOOK_SETUP:
		look_enter(l, LOOK_PROBE);
		return;
	case LOOK_PROBE:
	case LOOK_NOTHING:
		look_answer(l, why);
		return;
	}
}

static void
look_start(struct store *base, enum look_state state, bool sets_up, const char *done,
    store_done_fn *fn, void *arg)
{
	struct pg_look *l = xcalloc(1, sizeof(*l));

	l->task =
	    (struct pg_task){.send = look_send, .on_result = look_on_result, .on_end = look_on_end};
	l->s = (struct pg_store *)base;
	l->sets_up = sets_up;
	l->done = done;
	l->fn = fn;
	l->arg = arg;
	look_enter(l, state);
}

static void
pg_setup(struct store *base, store_done_fn *fn, void *arg)
{
	look_start(base, LOOK_VERSION, true, "was there", fn, arg);
}

static void
pg_probe(struct store *base, store_done_fn *fn, void *arg)
{
	look_start(base, LOOK_VERSION, false, "was there", fn, arg);
}

static void
pg_load_design(struct store *base, json_t *doc, store_done_fn *fn, void *arg)
{
	(void)doc;
	look_start(base, LOOK_NOTHING, false, "not used by pg://", fn, arg);
}

/* ---- opening and closing ---- */

static void
pg_set_login(struct store *base, const struct uri *uri)
{
	struct pg_store *s = (struct pg_store *)base;
	char id[512];

	pg_pool_set_login(s->pool, uri);
	free(s->base.id);
	s->base.id = xstrdup(uri_redacted(uri, id, sizeof(id)));
}

static void
pg_free(void *arg)
{
	struct pg_store *s = arg;

	value_coder_destroy(s->coder);
	free(s->sql_values);
	free(s->prune_from);
	free(s->base.id);
	free(s);
}

static void
pg_close(struct store *base)
{
	struct pg_store *s = (struct pg_store *)base;

	s->closed = true;
	pg_pool_destroy(s->pool);
	loop_defer_free(s->loop, s, pg_free);
}

static struct store *
pg_open(struct loop *loop, const struct uri *uri, const struct options *opt,
    enum store_access access, struct trouble *why)
{
	struct pg_store *s = xcalloc(1, sizeof(*s));
	struct pg_session_options session;
	char id[512];

	(void)access;
	(void)why;
	s->base.ops = &store_pg_ops;
	s->base.pace = (struct store_pace){opt->pg_connections, opt->pg_connections, 0};
	s->base.limits = (struct store_limits){
	    .batches_in_flight = opt->pg_connections,
	    .batch_count = BATCH_COUNT,
	    .batch_bytes = BATCH_BYTES,
	};
	s->base.id = xstrdup(uri_redacted(uri, id, sizeof(id)));
	s->loop = loop;
	s->record_max_bytes = opt->record_max_bytes;
	s->coder = value_coder_create();
	s->sql_values = xstrdup_null(opt->pg_sql_values);
	pg_session_options_default(&session);
	session.uri = uri;
	session.program = program_invocation_short_name;
	s->pool = pg_pool_create(loop, &session, opt->pg_connections);
	return &s->base;
}

const struct store_ops store_pg_ops = {
    .scheme_text = "pg",
    .open = pg_open,
    .close = pg_close,
    .set_login = pg_set_login,
    .put = pg_put,
    .get = pg_get,
    .list = pg_list,
    .heads = pg_heads,
    .forget = pg_forget,
    .notes_put = pg_notes_put,
    .notes = pg_notes,
    .job_add = pg_job_add,
    .job_get = pg_job_get,
    .job_list = pg_job_list,
    .outcomes_add = pg_outcomes_add,
    .outcomes = pg_outcomes,
    .jobs_prune = pg_jobs_prune,
    .history_prune = pg_history_prune,
    .setup = pg_setup,
    .probe = pg_probe,
    .load_design = pg_load_design,
};
