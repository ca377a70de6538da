/* SPDX-License-Identifier: Apache-2.0 */
/* See pg_pipeline.h. */
#include "shared/store/pg/pg_pipeline.h"

#include "shared/base/xalloc.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct prepared {
	char *name;
	bool sent; /* on its way, or there */
	UT_hash_handle hh;
};

struct sent {
	struct prepared *preparing; /* NULL = it is the statement itself */
};

void
pg_pipeline_finish(struct pg_pipeline *p)
{
	struct prepared *k, *next;

	HASH_ITER (hh, p->known, k, next) {
		HASH_DEL(p->known, k);
		free(k->name);
		free(k);
	}
	free(p->sent);
	*p = (struct pg_pipeline){0};
}

void
pg_pipeline_begin(struct pg_pipeline *p)
{
	p->n_sent = p->n_got = 0;
	p->n_result = 0;
	p->refusal.fault = PG_FAULT_NONE;
	p->failed = PG_TASK_WHOLE;
}

static void
note_sent(struct pg_pipeline *p, struct prepared *preparing)
{
	if (p->n_sent == p->size) {
		p->size = p->size == 0 ? 64 : 2 * p->size;
		p->sent = xreallocarray(p->sent, p->size, sizeof(*p->sent));
	}
	p->sent[p->n_sent++].preparing = preparing;
}

static bool
prepare(struct pg_pipeline *p, PGconn *pq, const struct pg_query *q)
{
	struct prepared *k;

	HASH_FIND_STR(p->known, q->name, k);
	if (k == NULL) {
		k = xcalloc(1, sizeof(*k));
		k->name = xstrdup(q->name);
		HASH_ADD_KEYPTR(hh, p->known, k->name, strlen(k->name), k);
	}
	if (k->sent)
		return true;
	if (PQsendPrepare(pq, q->name, q->sql, 0, NULL) == 0)
		return false;
	k->sent = true;
	note_sent(p, k);
	return true;
}

bool
pg_pipeline_query(struct pg_pipeline *p, PGconn *pq, const struct pg_query *q)
{
	int format = q->text_results ? 0 : 1, ok;

	if (q->name == NULL)
		ok = PQsendQueryParams(
		    pq, q->sql, q->n, NULL, q->values, q->lengths, q->formats, format);
	else
		ok = prepare(p, pq, q) && PQsendQueryPrepared(pq, q->name, q->n, q->values,
					      q->lengths, q->formats, format);
	if (ok)
		note_sent(p, NULL);
	return ok != 0;
}

static void
note_refusal(struct pg_pipeline *p, const char *where, const PGresult *res)
{
	if (p->refusal.fault != PG_FAULT_NONE)
		return;
	pg_refusal_of_result(&p->refusal, where, res);
	/* Past all statements it is the commit that is refused. */
	p->failed = p->n_got < p->n_sent ? p->n_result : PG_TASK_WHOLE;
}

enum pg_got
pg_pipeline_take(struct pg_pipeline *p, const char *where, const PGresult *res, unsigned int *n)
{
	ExecStatusType status = PQresultStatus(res);
	bool done = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
	struct prepared *preparing;

	if (status == PGRES_PIPELINE_SYNC) {
		if (p->n_got < p->n_sent && p->refusal.fault == PG_FAULT_NONE)
			pg_refusal_of_message(
			    &p->refusal, where, PG_PHASE_USE, "it answered less than it was asked");
		return PG_GOT_SYNC;
	}
	if (!done && status != PGRES_PIPELINE_ABORTED)
		note_refusal(p, where, res);
	if (p->n_got == p->n_sent)
		return PG_GOT_NOTHING;
	preparing = p->sent[p->n_got++].preparing;
	if (preparing != NULL) {
		preparing->sent = done;
		return PG_GOT_NOTHING;
	}
	*n = p->n_result++;
	return done ? PG_GOT_RESULT : PG_GOT_NOTHING;
}
