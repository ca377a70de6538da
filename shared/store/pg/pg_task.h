/* SPDX-License-Identifier: Apache-2.0 */
/* A task is one transaction: its statements go to the server in one piece with one Sync behind
 * them, so it is committed whole or not at all, and the server does not wait for us within it. */
#ifndef VOGELER_PG_TASK_H
#define VOGELER_PG_TASK_H

#include "shared/base/trouble.h"
#include "shared/store/pg/pg_fault.h"
#include <bsd/sys/queue.h>
#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

struct pg_session;

struct pg_query {
	const char *name; /* it is prepared by that; NULL = it is not, as where it is asked once */
	const char *sql;
	int n; /* parameters; the arrays may be NULL when there are none */
	const char *const *values;
	const int *lengths, *formats;
	bool text_results; /* binary otherwise */
};

struct pg_task {
	/* Gives its statements, by pg_session_query(). */
	void (*send)(struct pg_task *t, struct pg_session *s);
	/* Of each statement, in their order, what came back; res is borrowed. Nothing of it is to
	 * be believed before on_end. NULL: nobody looks. */
	void (*on_result)(struct pg_task *t, unsigned int n, const PGresult *res);
	/* Once; t is the giver's again, and may be freed. why: borrowed, NULL when it is committed.
	 * Lost with the connection it may be committed or not. */
	void (*on_end)(struct pg_task *t, enum pg_fault fault, const struct trouble *why);
	unsigned int failed; /* in on_end with a fault: the n of the statement that was refused;
				PG_TASK_WHOLE = it was the commit, or the connection */
	char state[PG_STATE_SIZE];   /* in on_end with a fault: the server's SQLSTATE; "" = it said
					none */
	STAILQ_ENTRY(pg_task) entry; /* of pg_pool.h */
};
#define PG_TASK_WHOLE UINT32_MAX

#endif
