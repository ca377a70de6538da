/* SPDX-License-Identifier: Apache-2.0 */
/* This finds jobs (see cmdq.h): by the number of their run, by the job's id, and by plugin.
 * Thousands may wait, so nothing that happens to one of them looks at all of them. */
#include "agent/cmdq_internal.h"

#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include <stdlib.h>
#include <string.h>

static struct cmdq_line *
line_of(struct cmdq *q, const char *plugin)
{
	struct cmdq_line *line = cmdq_find_line(q, plugin);

	if (line != NULL)
		return line;
	line = xcalloc(1, sizeof(*line));
	line->plugin = xstrdup(plugin);
	TAILQ_INIT(&line->jobs);
	TAILQ_INIT(&line->waiting);
	HASH_ADD_KEYPTR(hh, q->by_plugin, line->plugin, strlen(line->plugin), line);
	return line;
}

static struct namesakes *
namesakes_of(struct cmdq *q, const char *job)
{
	struct namesakes *n = cmdq_find_job_id(q, job);

	if (n != NULL)
		return n;
	n = xcalloc(1, sizeof(*n));
	n->job = xstrdup(job);
	TAILQ_INIT(&n->jobs);
	HASH_ADD_KEYPTR(hh, q->by_job, n->job, strlen(n->job), n);
	return n;
}

struct cmdq_line *
cmdq_find_line(const struct cmdq *q, const char *plugin)
{
	struct cmdq_line *line;

	HASH_FIND_STR(q->by_plugin, plugin, line);
	return line;
}

struct namesakes *
cmdq_find_job_id(const struct cmdq *q, const char *job)
{
	struct namesakes *n;

	HASH_FIND_STR(q->by_job, job, n);
	return n;
}

struct cmdq_job *
cmdq_find_run(const struct cmdq *q, uint64_t id)
{
	struct cmdq_job *j;

	HASH_FIND(hh, q->by_id, &id, sizeof(id), j);
	return j;
}

struct cmdq_job *
cmdq_newest(const struct cmdq_line *line)
{
	return TAILQ_LAST(&line->waiting, job_list);
}

static void
unlist(struct cmdq *q, struct cmdq_line *line)
{
	if (line->place == LINE_READY)
		TAILQ_REMOVE(&q->ready, line, link);
	else if (line->place == LINE_LATER)
		TAILQ_REMOVE(&q->later, line, link);
	line->place = LINE_IDLE;
}

/* Keeps the order in which the newest of each came; most often that is the last of all. */
static void
insert_ready(struct cmdq *q, struct cmdq_line *line)
{
	uint64_t id = cmdq_newest(line)->id;
	struct cmdq_line *before;

	TAILQ_FOREACH_REVERSE(before, &q->ready, line_list, link)
	{
		if (cmdq_newest(before)->id < id)
			break;
	}
	if (before == NULL)
		TAILQ_INSERT_HEAD(&q->ready, line, link);
	else
		TAILQ_INSERT_AFTER(&q->ready, before, line, link);
	line->place = LINE_READY;
}

void
cmdq_relist(struct cmdq *q, struct cmdq_line *line)
{
	struct cmdq_job *newest = cmdq_newest(line);

	unlist(q, line);
	if (newest == NULL)
		return;
	if (mono_reached(loop_now(q->config.loop), newest->due)) {
		insert_ready(q, line);
		return;
	}
	if (TAILQ_EMPTY(&q->later) || mono_diff(newest->due, q->next_due) < 0)
		q->next_due = newest->due;
	TAILQ_INSERT_TAIL(&q->later, line, link);
	line->place = LINE_LATER;
}

void
cmdq_list_due(struct cmdq *q)
{
	struct line_list later = TAILQ_HEAD_INITIALIZER(later);
	struct cmdq_line *line, *next;

	if (TAILQ_EMPTY(&q->later) || !mono_reached(loop_now(q->config.loop), q->next_due))
		return;
	TAILQ_CONCAT(&later, &q->later, link);
	TAILQ_FOREACH_SAFE (line, &later, link, next) {
		TAILQ_REMOVE(&later, line, link);
		line->place = LINE_IDLE;
		cmdq_relist(q, line);
	}
}

static void
enter_line(struct cmdq *q, struct cmdq_job *j)
{
	j->line = line_of(q, j->plugin);
	TAILQ_INSERT_TAIL(&j->line->jobs, j, of_line);
	j->line->running += j->state == JOB_RUNNING;
	if (j->state == JOB_WAITING) {
		TAILQ_INSERT_TAIL(&j->line->waiting, j, in_state);
		cmdq_relist(q, j->line);
	}
}

static void
leave_line(struct cmdq *q, struct cmdq_job *j)
{
	struct cmdq_line *line = j->line;

	TAILQ_REMOVE(&line->jobs, j, of_line);
	line->running -= j->state == JOB_RUNNING;
	if (j->state == JOB_WAITING) {
		TAILQ_REMOVE(&line->waiting, j, in_state);
		cmdq_relist(q, line);
	}
	if (!TAILQ_EMPTY(&line->jobs))
		return;
	HASH_DEL(q->by_plugin, line);
	free(line->plugin);
	free(line);
}

void
cmdq_index_add(struct cmdq *q, struct cmdq_job *j)
{
	TAILQ_INSERT_TAIL(&q->jobs, j, link);
	HASH_ADD(hh, q->by_id, id, sizeof(j->id), j);
	if (j->command.job != NULL) {
		j->namesakes = namesakes_of(q, j->command.job);
		TAILQ_INSERT_TAIL(&j->namesakes->jobs, j, of_job);
	}
	enter_line(q, j);
	q->waiting++;
}

void
cmdq_index_remove(struct cmdq *q, struct cmdq_job *j)
{
	struct namesakes *n = j->namesakes;

	TAILQ_REMOVE(&q->jobs, j, link);
	HASH_DEL(q->by_id, j);
	if (j->state == JOB_SETTLED)
		TAILQ_REMOVE(&q->settled, j, in_state);
	q->waiting -= j->state == JOB_WAITING || j->state == JOB_SETTLED;
	q->running -= j->state == JOB_RUNNING;
	leave_line(q, j);
	if (n == NULL)
		return;
	TAILQ_REMOVE(&n->jobs, j, of_job);
	if (!TAILQ_EMPTY(&n->jobs))
		return;
	HASH_DEL(q->by_job, n);
	free(n->job);
	free(n);
}

void
cmdq_set_state(struct cmdq *q, struct cmdq_job *j, enum job_state state)
{
	if (j->state == JOB_WAITING) {
		TAILQ_REMOVE(&j->line->waiting, j, in_state);
		cmdq_relist(q, j->line);
	} else if (j->state == JOB_SETTLED) {
		TAILQ_REMOVE(&q->settled, j, in_state);
	}
	q->waiting -= j->state == JOB_WAITING || j->state == JOB_SETTLED;
	q->running -= j->state == JOB_RUNNING;
	j->line->running -= j->state == JOB_RUNNING;
	j->state = state;
	j->line->running += state == JOB_RUNNING;
	q->running += state == JOB_RUNNING;
	q->waiting += state == JOB_WAITING || state == JOB_SETTLED;
	if (state == JOB_SETTLED)
		TAILQ_INSERT_TAIL(&q->settled, j, in_state);
}

void
cmdq_rename(struct cmdq *q, struct cmdq_job *j, const char *plugin)
{
	char *name;

	if (strcmp(j->plugin, plugin) == 0)
		return;
	name = xstrdup(plugin);
	leave_line(q, j);
	free(j->plugin);
	j->plugin = name;
	enter_line(q, j);
}
