/* SPDX-License-Identifier: Apache-2.0 */
/* This finds which hosts are in the groups that have a where: their programs are put to the records
 * of a store, one after the other. */
#ifndef VOGELER_GROUP_QUERY_H
#define VOGELER_GROUP_QUERY_H

#include "shared/query/record_query.h"
#include "shared/target/target.h"

struct group_query;

struct group_query_request { /* borrowed until group_query_destroy, but for itself */
	struct loop *loop;
	struct store *store;
	struct targets *targets; /* fit of its groups is filled */
	int64_t timeout_ms;      /* of jq, for each */
	const char *option;      /* by which there is more of it; NULL = none */
	bool quiet;              /* no line of progress */
	/* Called on the loop, never from inside group_query_create(). on_note: a line about a
	 * group, which begins with its name. on_end: once, and nothing after it; why is NULL when
	 * all are known. After RECORD_QUERY_DONE it may be destroyed from in here. */
	void (*on_note)(const char *line, void *arg);
	void (*on_end)(enum record_query_end end, const char *why, void *arg);
	void *arg;
};

/* NULL, and *why NULL: no group has a where, and on_end is not called. NULL, and *why: one of them
 * cannot be; the caller frees it. */
struct group_query *group_query_create(const struct group_query_request *req, char **why);
/* Frees it after RECORD_QUERY_DONE, or after store_close(). NULL is fine. */
void group_query_destroy(struct group_query *q);

#endif
