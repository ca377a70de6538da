/* SPDX-License-Identifier: Apache-2.0 */
/* See pg_pool.h. */
#include "shared/store/pg/pg_pool.h"

#include "shared/base/log.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"

#include <stdlib.h>

STAILQ_HEAD(task_list, pg_task);

struct pg_pool {
	struct loop *loop;
	struct loop_timer *pump;
	struct pg_session **sessions;
	unsigned int n, started;
	struct task_list waiting;
	enum pg_fault told; /* of what is wrong with the sessions; NONE = all are well */
	bool closed;
};

static bool
all_are_up(const struct pg_pool *p)
{
	for (unsigned int i = 0; i < p->started; i++)
		if (!pg_session_is_up(p->sessions[i]))
			return false;
	return true;
}

/* Gives what waits to who is ready, and starts one more session for the rest, unless one is on its
 * way. */
static void
pump(void *arg)
{
	struct pg_pool *p = arg;

	for (unsigned int i = 0; i < p->started && !STAILQ_EMPTY(&p->waiting); i++) {
		struct pg_task *t = STAILQ_FIRST(&p->waiting);

		if (!pg_session_is_ready(p->sessions[i]))
			continue;
		STAILQ_REMOVE_HEAD(&p->waiting, entry);
		pg_session_run(p->sessions[i], t);
	}
	if (!STAILQ_EMPTY(&p->waiting) && p->started < p->n && all_are_up(p))
		pg_session_start(p->sessions[p->started++]);
}

static void
on_ready(struct pg_session *s, void *arg)
{
	struct pg_pool *p = arg;

	loop_timer_arm(p->pump, 0);
	if (p->told == PG_FAULT_NONE || !all_are_up(p))
		return;
	p->told = PG_FAULT_NONE;
	log_info("pg", "pg[%s]: is there again, connections=%u", pg_session_where(s), p->started);
}

static bool
any_is_up(const struct pg_pool *p)
{
	for (unsigned int i = 0; i < p->started; i++)
		if (pg_session_is_up(p->sessions[i]))
			return true;
	return false;
}

/* on_end may submit another, or destroy the pool. */
static void
end_all(struct pg_pool *p, enum pg_fault fault, const struct trouble *why)
{
	struct task_list old = STAILQ_HEAD_INITIALIZER(old);

	STAILQ_CONCAT(&old, &p->waiting);
	while (!STAILQ_EMPTY(&old)) {
		struct pg_task *t = STAILQ_FIRST(&old);

		STAILQ_REMOVE_HEAD(&old, entry);
		t->failed = PG_TASK_WHOLE;
		t->state[0] = '\0';
		t->on_end(t, fault, why);
	}
}

static void
on_down(struct pg_session *s, enum pg_fault fault, const struct trouble *why, void *arg)
{
	struct pg_pool *p = arg;

	/* With none left the tasks are told, and whoever gave them says so. */
	if (!any_is_up(p)) {
		end_all(p, fault, why);
	} else if (p->told != fault) { /* of many sessions, and of each try, once */
		p->told = fault;
		log_warn("pg", "pg[%s]: a connection is down, others are there: " TROUBLE_FMT,
		    pg_session_where(s), TROUBLE_ARGS(why));
	}
}

struct pg_pool *
pg_pool_create(struct loop *loop, const struct pg_session_options *opt, unsigned int max)
{
	static const struct pg_session_handlers handlers = {
	    .on_ready = on_ready, .on_down = on_down};
	struct pg_pool *p = xcalloc(1, sizeof(*p));

	p->loop = loop;
	p->n = max;
	p->sessions = xcalloc(max, sizeof(*p->sessions));
	for (unsigned int i = 0; i < max; i++)
		p->sessions[i] = pg_session_create(loop, opt, &handlers, p);
	p->pump = loop_timer_create(loop, "pg-pump", pump, p);
	STAILQ_INIT(&p->waiting);
	return p;
}

void
pg_pool_destroy(struct pg_pool *p)
{
	struct trouble why = {0};

	if (p == NULL || p->closed)
		return;
	p->closed = true;
	trouble_set(&why, TROUBLE_OTHER, NULL, "the store is closed");
	for (unsigned int i = 0; i < p->n; i++) {
		struct pg_task *t = pg_session_task(p->sessions[i]);

		pg_session_destroy(p->sessions[i]);
		if (t != NULL)
			STAILQ_INSERT_TAIL(&p->waiting, t, entry);
	}
	end_all(p, PG_FAULT_RETRY, &why);
	loop_timer_destroy(p->pump);
	free(p->sessions);
	loop_defer_free(p->loop, p, free);
}

void
pg_pool_set_login(struct pg_pool *p, const struct uri *uri)
{
	for (unsigned int i = 0; i < p->n; i++)
		pg_session_set_login(p->sessions[i], uri);
}

void
pg_pool_submit(struct pg_pool *p, struct pg_task *t)
{
	STAILQ_INSERT_TAIL(&p->waiting, t, entry);
	loop_timer_arm(p->pump, 0);
}
