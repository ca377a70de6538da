/* SPDX-License-Identifier: Apache-2.0 */
/* A put, from the first question to the answers:
 *
 *            READING -- both answers --> WRITING -- committed --> DONE
 *               ^                          |                       ^
 *               +--- some guard failed ----+     a fault in either +
 *                                          | one is refused: WRITING, without it
 *
 * Each is one transaction on whatever connection is free. See pg_put.h. */
#include "shared/store/pg/pg_put.h"

#include "shared/base/ident.h"
#include "shared/base/xalloc.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* So often a host is read again because somebody else wrote it meanwhile. From the second time on a
 * pause goes before it, of another length for each of those who are in each other's way. */
#define ROUNDS_MAX   20
#define PAUSE_MAX_MS 50
/* After so many rows that were refused it is left to whoever gave the batch to find the others. */
#define REFUSALS_MAX 8

enum put_state { PUT_READING, PUT_WRITING, PUT_DONE };

struct pg_put {
	struct pg_task task; /* first */
	struct pg_store *s;
	enum put_state state;
	unsigned int rounds, refusals, n_before;
	struct pg_host *hosts; /* by name */
	size_t n;
	store_written_fn *fn;
	void *arg;
	struct pg_sent *sent;
	size_t n_sent;
	uint64_t strays_dropped; /* by what is being written */
};

static void
put_free(struct pg_put *p)
{
	for (size_t i = 0; i < p->n; i++)
		pg_host_finish(&p->hosts[i]);
	free(p->hosts);
	free(p->sent);
	free(p);
}

static bool
any_in(const struct pg_put *p, enum pg_host_state state)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->hosts[i].state == state)
			return true;
	return false;
}

/* ---- the end ---- */

/* The store may be closed by any of the callbacks; its memory lasts until the end of the pass. */
static void
put_answer(struct pg_put *p)
{
	for (size_t i = 0; i < p->n && !p->s->closed; i++) {
		struct pg_host *h = &p->hosts[i];

		assert(h->state == PG_HOST_WRITTEN || h->state == PG_HOST_ANSWERED);
		p->fn(h->w, h->state == PG_HOST_WRITTEN ? STORE_OK : h->status, h->why, p->arg);
	}
	put_free(p);
}

static void
answer_rest(struct pg_put *p, enum store_status status, const struct trouble *why)
{
	for (size_t i = 0; i < p->n; i++) {
		struct pg_host *h = &p->hosts[i];

		if (h->state == PG_HOST_WRITTEN || h->state == PG_HOST_ANSWERED)
			continue;
		h->state = PG_HOST_ANSWERED;
		h->status = status;
		h->why = trouble_dup(why);
	}
}

/* ---- the way ---- */

static void
put_enter(struct pg_put *p, enum put_state next)
{
	struct trouble busy = {0};

	p->state = next;
	switch (next) {
	case PUT_READING:
		if (p->rounds++ < ROUNDS_MAX) {
			pg_pool_submit(p->s->pool, &p->task);
			return;
		}
		trouble_set(&busy, TROUBLE_OTHER, NULL, "others write the same host all the time");
		answer_rest(p, STORE_CONFLICT, &busy);
		put_enter(p, PUT_DONE);
		return;
	case PUT_WRITING:
		pg_pool_submit(p->s->pool, &p->task);
		return;
	case PUT_DONE:
		put_answer(p);
		return;
	}
}

/* The server waits, on the connection that it would be read by. Returns the statements that go
 * before those that read. */
static unsigned int
send_before(struct pg_put *p, struct pg_session *c)
{
	struct pg_args none = {0}, pause = {0};
	unsigned int n = 0;

	if (p->s->held_up) {
		pg_send(c, PG_STMT_UNBLOCK, &none);
		p->s->held_up = false;
		n++;
	}
	if (p->rounds > 2) {
		pg_arg_int(&pause, ident_random32() % PAUSE_MAX_MS);
		pg_send(c, PG_STMT_PAUSE, &pause);
		n++;
	}
	return n;
}

static void
put_send(struct pg_task *t, struct pg_session *c)
{
	struct pg_put *p = (struct pg_put *)t;

	if (p->state == PUT_READING) {
		p->n_before = send_before(p, c);
		pg_put_send_reads(c, p->hosts, p->n);
		return;
	}
	free(p->sent);
	p->strays_dropped = 0;
	p->n_sent = pg_put_send_writes(p->s, c, p->hosts, p->n, &p->sent);
}

/* A host one of whose rows was written by somebody else: what of it was written stays. */
static void
note_written(struct pg_put *p, const struct pg_sent *sent, const PGresult *res)
{
	int64_t rows = pg_affected(res);

	if (sent->kind == PG_SENT_TRIM)
		p->strays_dropped += (uint64_t)rows;
	else if (sent->kind == PG_SENT_GUARDED && rows == 0)
		sent->host->state = PG_HOST_READ;
}

static void
put_on_result(struct pg_task *t, unsigned int n, const PGresult *res)
{
	struct pg_put *p = (struct pg_put *)t;

	if (p->state == PUT_WRITING) {
		assert(n < p->n_sent);
		note_written(p, &p->sent[n], res);
	} else if (n == p->n_before) {
		pg_put_take_heads(p->hosts, p->n, res);
	} else if (n == p->n_before + 1) {
		pg_put_take_facts(p->hosts, p->n, res);
	}
}

static void
apply_all(struct pg_put *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->hosts[i].state == PG_HOST_READ)
			pg_put_apply(&p->hosts[i], p->s->coder, p->s->record_max_bytes);
}

static void
count_written(struct pg_put *p)
{
	p->s->base.strays_dropped += p->strays_dropped;
	for (size_t i = 0; i < p->n; i++) {
		struct pg_host *h = &p->hosts[i];

		if (h->state == PG_HOST_APPLIED)
			h->state = PG_HOST_WRITTEN;
		else if (h->state == PG_HOST_READ)
			pg_host_reset(h);
	}
}

/* Without it the guards that failed in a transaction that is undone would count. */
static enum store_status
status_of(enum pg_fault fault)
{
	return fault == PG_FAULT_REJECT ? STORE_REJECT_BATCH : STORE_RETRY;
}

/* The host whose row was refused is known by its statement: the others are written without it. */
static bool
refuse_one(struct pg_put *p, const struct trouble *why)
{
	struct pg_host *refused;

	if (p->state != PUT_WRITING || p->task.failed >= p->n_sent || p->refusals++ == REFUSALS_MAX)
		return false;
	refused = p->sent[p->task.failed].host;
	if (refused == NULL)
		return false;
	for (size_t i = 0; i < p->n; i++)
		if (p->hosts[i].state == PG_HOST_READ)
			pg_host_reset(&p->hosts[i]);
	refused->state = PG_HOST_ANSWERED;
	refused->status = STORE_REFUSED;
	refused->why = trouble_dup(why);
	return true;
}

static void
put_on_end(struct pg_task *t, enum pg_fault fault, const struct trouble *why)
{
	struct pg_put *p = (struct pg_put *)t;

	if (p->s->closed) {
		put_free(p);
		return;
	}
	if (fault == PG_FAULT_REJECT && refuse_one(p, why)) {
		put_enter(p, any_in(p, PG_HOST_READ) ? PUT_READING : PUT_WRITING);
		return;
	}
	if (fault == PG_FAULT_RETRY && p->state == PUT_WRITING)
		p->s->held_up = true;
	if (fault != PG_FAULT_NONE) {
		answer_rest(p, status_of(fault), why);
		put_enter(p, PUT_DONE);
		return;
	}
	if (p->state == PUT_READING) {
		apply_all(p);
		put_enter(p, any_in(p, PG_HOST_APPLIED) ? PUT_WRITING : PUT_DONE);
	} else {
		count_written(p);
		put_enter(p, any_in(p, PG_HOST_READ) ? PUT_READING : PUT_DONE);
	}
}

static int
host_cmp(const void *a, const void *b)
{
	const struct pg_host *x = a, *y = b;

	return strcmp(x->w->host, y->w->host);
}

void
pg_put(struct store *base, struct store_write **writes, size_t n, store_written_fn *fn, void *arg)
{
	struct pg_put *p = xcalloc(1, sizeof(*p));

	p->task =
	    (struct pg_task){.send = put_send, .on_result = put_on_result, .on_end = put_on_end};
	p->s = (struct pg_store *)base;
	p->fn = fn;
	p->arg = arg;
	p->n = n;
	p->hosts = xcalloc(n + 1, sizeof(*p->hosts));
	for (size_t i = 0; i < n; i++)
		pg_host_init(&p->hosts[i], writes[i]);
	qsort(p->hosts, n, sizeof(*p->hosts), host_cmp);
	put_enter(p, PUT_READING);
}
