/* SPDX-License-Identifier: Apache-2.0 */
/* Takes old values out of the history, pair by pair of host and plugin, from where the last call
 * has stopped. Of several collectors one at a time does so: the others find nothing. See pg.h. */
#include "shared/base/xalloc.h"
#include "shared/store/pg/pg.h"

#include <stdlib.h>

#define PRUNE_PAIRS 500
#define PRUNE_ROWS  2000 /* in one transaction: answers wait for the disk */

struct history_pruning {
	struct pg_task task; /* first */
	struct pg_store *s;
	struct options_keep keep;
	uint64_t removed;
	bool more;
	int64_t host, plugin; /* the last pair that was looked at */
	store_pruned_fn *fn;
	void *arg;
};

static void
prune_send(struct pg_task *t, struct pg_session *c)
{
	const struct history_pruning *p = (const struct history_pruning *)t;
	struct pg_args args = {0};

	pg_arg_int(&args, p->s->kept_host);
	pg_arg_int(&args, p->s->kept_plugin);
	pg_arg_int(&args, PRUNE_PAIRS);
	pg_arg_int(&args, PRUNE_ROWS);
	if (p->keep.age_s != OPTIONS_KEEP_ALL)
		pg_arg_int(&args, (int64_t)p->keep.age_s * 1000);
	else
		pg_arg_null(&args);
	if (p->keep.count != OPTIONS_KEEP_ALL)
		pg_arg_int(&args, p->keep.count);
	else
		pg_arg_null(&args);
	pg_send(c, PG_STMT_HISTORY_PRUNE, &args);
}

static void
prune_on_result(struct pg_task *t, unsigned int n, const PGresult *res)
{
	enum { GONE, HOST, PLUGIN };
	struct history_pruning *p = (struct history_pruning *)t;

	(void)n;
	p->more = PQntuples(res) > 0;
	if (!p->more)
		return;
	p->removed = (uint64_t)pg_int(res, 0, GONE, 0);
	p->host = pg_int(res, 0, HOST, 0);
	p->plugin = pg_int(res, 0, PLUGIN, 0);
}

/* Where as many went as may, more may be left; else the next call goes on, or begins anew. */
static void
remember_place(const struct history_pruning *p)
{
	if (p->removed >= PRUNE_ROWS)
		return;
	p->s->kept_host = p->more ? p->host : 0;
	p->s->kept_plugin = p->more ? p->plugin : 0;
}

static void
prune_on_end(struct pg_task *t, enum pg_fault fault, const struct trouble *why)
{
	struct history_pruning *p = (struct history_pruning *)t;

	if (!p->s->closed && fault == PG_FAULT_NONE)
		remember_place(p);
	if (!p->s->closed)
		p->fn(why, p->removed, fault == PG_FAULT_NONE && p->more, p->arg);
	free(p);
}

void
pg_history_prune(
    struct store *base, const struct options_keep *keep, store_pruned_fn *fn, void *arg)
{
	struct history_pruning *p = xcalloc(1, sizeof(*p));

	p->task = (struct pg_task){
	    .send = prune_send, .on_result = prune_on_result, .on_end = prune_on_end};
	p->s = (struct pg_store *)base;
	p->keep = *keep;
	p->fn = fn;
	p->arg = arg;
	pg_pool_submit(p->s->pool, &p->task);
}
