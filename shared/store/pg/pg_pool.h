/* SPDX-License-Identifier: Apache-2.0 */
/* A few connections to one database, and what waits for one of them. A task is one transaction: its
 * statements go to the server in one piece with one Sync behind them, so it is committed whole or
 * not at all, and the server does not wait for us within it.
 *
 * Connections are made when they are needed, and kept. A task whose connection is lost fails;
 * whoever gave it knows whether it may be done again. */
#ifndef VOGELER_PG_POOL_H
#define VOGELER_PG_POOL_H

#include "shared/base/trouble.h"
#include "shared/store/pg/pg_args.h"
#include "shared/store/pg/pg_sql.h"
#include <bsd/sys/queue.h>

struct loop;
struct pg_conn;
struct pg_pool;
struct uri;

enum pg_fault {
	PG_FAULT_NONE,
	PG_FAULT_RETRY,   /* it may go well later: out of reach, no room, a deadlock */
	PG_FAULT_REJECT,  /* what it was given will never be taken */
	PG_FAULT_MISSING, /* the database or its tables are not there */
};

struct pg_task {
	/* Gives its statements, by pg_conn_send(), when a connection is free. */
	void (*send)(struct pg_task *t, struct pg_conn *c);
	/* Of each statement in their order, what came back. NULL: nothing is looked at. */
	void (*on_result)(struct pg_task *t, unsigned int n, const PGresult *res);
	/* Once; it is the giver's again, and may be freed. why: NULL when it is committed. */
	void (*on_end)(struct pg_task *t, enum pg_fault fault, const struct trouble *why);
	STAILQ_ENTRY(pg_task) entry; /* the pool's */
};

/* Made closed: the first task opens the first connection. max: at once. */
struct pg_pool *pg_pool_create(struct loop *loop, const struct uri *uri, unsigned int max);
/* Ends what waits and what is under way, as a fault. NULL is fine. */
void pg_pool_destroy(struct pg_pool *p);
/* Another login for the connections that are made from now on. */
void pg_pool_set_login(struct pg_pool *p, const struct uri *uri);
/* on_end never comes from inside. */
void pg_pool_submit(struct pg_pool *p, struct pg_task *t);
/* Within send alone. What args points to is copied. */
void pg_conn_send(struct pg_conn *c, enum pg_stmt stmt, const struct pg_args *args);

#endif
