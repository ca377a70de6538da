/* SPDX-License-Identifier: Apache-2.0 */
/* See pg_pool.h. A connection is a socket in a folder so far: names are not resolved. */
#include "shared/store/pg/pg_pool.h"

#include "shared/base/log.h"
#include "shared/base/uri.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pg_conn {
	struct pg_pool *pool;
	PGconn *pq;
	struct loop_watch *watch;
	enum { CLOSED, CONNECTING, READY, BUSY } state;
	bool prepared[PG_N_STMTS];
	struct pg_task *task;
	unsigned int n_result;
	bool skip[4096]; /* whether the k-th statement is a PREPARE */
	unsigned int n_sent, n_got;
	enum pg_fault fault;
	struct trouble why;
};

struct pg_pool {
	struct loop *loop;
	struct loop_timer *pump;
	struct uri uri;
	unsigned int max;
	struct pg_conn conns[16];
	STAILQ_HEAD(, pg_task) waiting;
};

static void on_fd(int fd, unsigned int events, void *arg);

static void
watch(struct pg_conn *c, unsigned int events)
{
	loop_watch_destroy(c->watch);
	c->watch = loop_watch_create(c->pool->loop, PQsocket(c->pq), events, on_fd, c);
}

static void
close_conn(struct pg_conn *c)
{
	loop_watch_destroy(c->watch);
	c->watch = NULL;
	PQfinish(c->pq);
	c->pq = NULL;
	c->state = CLOSED;
	memset(c->prepared, 0, sizeof(c->prepared));
}

static enum pg_fault
fault_of(const char *state)
{
	if (state == NULL)
		return PG_FAULT_RETRY;
	if (strncmp(state, "22", 2) == 0 || strncmp(state, "23", 2) == 0 ||
	    strncmp(state, "54", 2) == 0)
		return PG_FAULT_REJECT;
	if (strcmp(state, "42P01") == 0 || strcmp(state, "3D000") == 0 ||
	    strcmp(state, "3F000") == 0)
		return PG_FAULT_MISSING;
	return PG_FAULT_RETRY;
}

static void
end_task(struct pg_conn *c, enum pg_fault fault, const char *what)
{
	struct pg_task *t = c->task;
	struct trouble why = {0};

	c->task = NULL;
	if (fault != PG_FAULT_NONE) {
		trouble_set(&why, TROUBLE_OTHER, NULL, "%.*s", (int)strcspn(what, "\n"), what);
		log_debug("store", "pg: %s", what);
	}
	loop_timer_arm(c->pool->pump, 0);
	if (t != NULL)
		t->on_end(t, fault, fault == PG_FAULT_NONE ? NULL : &why);
}

static void
start(struct pg_conn *c, struct pg_task *t)
{
	c->task = t;
	c->state = BUSY;
	c->n_result = c->n_sent = c->n_got = 0;
	c->fault = PG_FAULT_NONE;
	t->send(t, c);
	PQpipelineSync(c->pq);
	watch(c, PQflush(c->pq) == 1 ? LOOP_READ | LOOP_WRITE : LOOP_READ);
}

static void
pump(void *arg)
{
	struct pg_pool *p = arg;

	for (unsigned int i = 0; i < p->max && !STAILQ_EMPTY(&p->waiting); i++) {
		struct pg_conn *c = &p->conns[i];

		if (c->state == READY) {
			struct pg_task *t = STAILQ_FIRST(&p->waiting);

			STAILQ_REMOVE_HEAD(&p->waiting, entry);
			start(c, t);
		}
	}
	for (unsigned int i = 0; i < p->max && !STAILQ_EMPTY(&p->waiting); i++) {
		struct pg_conn *c = &p->conns[i];
		const char *keys[] = {"host", "dbname", "user", NULL};
		const char *values[] = {p->uri.host, p->uri.path, p->uri.user, NULL};

		if (c->state == CONNECTING)
			return;
		if (c->state != CLOSED)
			continue;
		c->pool = p;
		c->pq = PQconnectStartParams(keys, values, 0);
		c->state = CONNECTING;
		watch(c, LOOP_WRITE);
		return;
	}
}

void
pg_conn_send(struct pg_conn *c, enum pg_stmt stmt, const struct pg_args *args)
{
	char name[16];

	snprintf(name, sizeof(name), "s%d", stmt);
	if (!c->prepared[stmt]) {
		PQsendPrepare(c->pq, name, pg_sql[stmt], 0, NULL);
		c->prepared[stmt] = true;
		c->skip[c->n_sent++] = true;
	}
	c->skip[c->n_sent++] = false;
	if (PQsendQueryPrepared(
		c->pq, name, args->n, args->values, args->lengths, args->formats, 1) == 0)
		log_warn("store", "pg: send: %s", PQerrorMessage(c->pq));
}

static void
fail(struct pg_conn *c, const char *what)
{
	char text[512];
	bool connecting = c->state == CONNECTING;
	struct pg_pool *p = c->pool;

	snprintf(text, sizeof(text), "%s", what);
	close_conn(c);
	if (connecting && !STAILQ_EMPTY(&p->waiting)) {
		c->task = STAILQ_FIRST(&p->waiting);
		STAILQ_REMOVE_HEAD(&p->waiting, entry);
	}
	end_task(c, PG_FAULT_RETRY, text);
}

static void
on_fd(int fd, unsigned int events, void *arg)
{
	struct pg_conn *c = arg;
	PGresult *res;

	if (c->state == CONNECTING) {
		PostgresPollingStatusType st = PQconnectPoll(c->pq);

		if (st == PGRES_POLLING_READING)
			watch(c, LOOP_READ);
		else if (st == PGRES_POLLING_WRITING)
			watch(c, LOOP_WRITE);
		else if (st == PGRES_POLLING_FAILED)
			fail(c, PQerrorMessage(c->pq));
		else {
			PQsetnonblocking(c->pq, 1);
			PQenterPipelineMode(c->pq);
			c->state = READY;
			watch(c, LOOP_READ);
			loop_timer_arm(c->pool->pump, 0);
		}
		return;
	}
	if (!PQconsumeInput(c->pq)) {
		fail(c, PQerrorMessage(c->pq));
		return;
	}
	if (events & LOOP_WRITE)
		watch(c, PQflush(c->pq) == 1 ? LOOP_READ | LOOP_WRITE : LOOP_READ);
	while (c->state == BUSY && !PQisBusy(c->pq)) {
		res = PQgetResult(c->pq);
		if (res == NULL)
			continue;
		switch (PQresultStatus(res)) {
		case PGRES_PIPELINE_SYNC:
			PQclear(res);
			c->state = READY;
			end_task(c, c->fault, c->why.what);
			continue;
		case PGRES_TUPLES_OK:
		case PGRES_COMMAND_OK:
			if (!c->skip[c->n_got++]) {
				if (c->task->on_result != NULL)
					c->task->on_result(c->task, c->n_result, res);
				c->n_result++;
			}
			break;
		case PGRES_PIPELINE_ABORTED:
			break;
		default:
			c->fault = fault_of(PQresultErrorField(res, PG_DIAG_SQLSTATE));
			trouble_set(&c->why, TROUBLE_OTHER, NULL, "%s", PQresultErrorMessage(res));
			memset(c->prepared, 0, sizeof(c->prepared));
			close_conn(c);
			PQclear(res);
			end_task(c, c->fault, c->why.what);
			return;
		}
		PQclear(res);
	}
}

struct pg_pool *
pg_pool_create(struct loop *loop, const struct uri *uri, unsigned int max)
{
	struct pg_pool *p = xcalloc(1, sizeof(*p));

	p->loop = loop;
	p->max = max;
	uri_copy(&p->uri, uri);
	p->pump = loop_timer_create(loop, "pg-pump", pump, p);
	STAILQ_INIT(&p->waiting);
	return p;
}

void
pg_pool_destroy(struct pg_pool *p)
{
	for (unsigned int i = 0; i < p->max; i++) {
		struct pg_conn *c = &p->conns[i];

		if (c->state == CLOSED)
			continue;
		close_conn(c);
		end_task(c, PG_FAULT_RETRY, "closed");
	}
	while (!STAILQ_EMPTY(&p->waiting)) {
		struct pg_task *t = STAILQ_FIRST(&p->waiting);
		struct trouble why = {0};

		STAILQ_REMOVE_HEAD(&p->waiting, entry);
		t->on_end(t, PG_FAULT_RETRY, &why);
	}
	loop_timer_destroy(p->pump);
	uri_finish(&p->uri);
	free(p);
}

void
pg_pool_set_login(struct pg_pool *p, const struct uri *uri)
{
	uri_finish(&p->uri);
	uri_copy(&p->uri, uri);
}

void
pg_pool_submit(struct pg_pool *p, struct pg_task *t)
{
	STAILQ_INSERT_TAIL(&p->waiting, t, entry);
	loop_timer_arm(p->pump, 0);
}
