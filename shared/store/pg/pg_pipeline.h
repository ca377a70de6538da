/* SPDX-License-Identifier: Apache-2.0 */
/* The statements of one task on a connection in pipeline mode: which are prepared there, and whose
 * result comes next. */
#ifndef VOGELER_PG_PIPELINE_H
#define VOGELER_PG_PIPELINE_H

#include "shared/store/pg/pg_task.h"
#include <stddef.h>

struct prepared;
struct sent;

struct pg_pipeline {            /* zeroed it is empty; only pg_pipeline.c writes it */
	struct prepared *known; /* by name: what this connection has, or is asked for */
	struct sent *sent;      /* in order, preparing too */
	size_t n_sent, size, n_got;
	unsigned int n_result;     /* of these, those that are not preparing */
	struct pg_refusal refusal; /* of the first that failed */
	unsigned int failed;
};

/* The connection is new: nothing is prepared there. */
void pg_pipeline_finish(struct pg_pipeline *p);
void pg_pipeline_begin(struct pg_pipeline *p); /* a task */
/* false: libpq does not take it; the connection is of no use. */
bool pg_pipeline_query(struct pg_pipeline *p, PGconn *pq, const struct pg_query *q)
    __attribute__((warn_unused_result));

enum pg_got {
	PG_GOT_RESULT, /* of the task's statement *n */
	PG_GOT_NOTHING,
	PG_GOT_SYNC, /* the task has ended; refusal says how */
};
/* Takes what PQgetResult() gave; where: for the words of a refusal. */
enum pg_got pg_pipeline_take(
    struct pg_pipeline *p, const char *where, const PGresult *res, unsigned int *n);

#endif
