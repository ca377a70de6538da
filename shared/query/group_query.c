/* SPDX-License-Identifier: Apache-2.0 */
/* See group_query.h. */
#include "shared/query/group_query.h"

#include "shared/base/xalloc.h"
#include "shared/query/where.h"

#include <stdlib.h>
#include <string.h>

struct group_query {
	struct group_query_request req;
	struct target_group **groups; /* those with a where; of the targets */
	size_t n, at;                 /* at: whose turn it is */
	struct record_query *query;
	struct where where;
};

static void
add_group(struct target_group *g, void *arg)
{
	struct group_query *q = arg;

	q->groups = xreallocarray(q->groups, q->n + 1, sizeof(struct target_group *));
	q->groups[q->n++] = g;
}

/* One that asks the same, and has its answer; NULL = none. */
static const struct target_group *
earlier(const struct group_query *q)
{
	for (size_t i = 0; i < q->at; i++) {
		if (strcmp(q->groups[i]->where, q->groups[q->at]->where) == 0)
			return q->groups[i];
	}
	return NULL;
}

static void
note(const char *text, void *arg)
{
	struct group_query *q = arg;
	char *line;

	xasprintf(&line, "@%s, where: %s", q->groups[q->at]->name, text);
	q->req.on_note(line, q->req.arg);
	free(line);
}

static void
note_trouble(struct group_query *q)
{
	char *trouble = where_trouble(&q->where);

	if (trouble != NULL)
		note(trouble, q);
	free(trouble);
}

static bool ask_next(struct group_query *q, char **why);

static void
group_on_answer(const char *host, enum jq_word word, const char *text, size_t len, void *arg)
{
	struct group_query *q = arg;

	where_take(&q->where, host, word, text);
}

static void
fail(struct group_query *q, enum record_query_end end, const char *why)
{
	char *named;

	if (end == RECORD_QUERY_BAD)
		xasprintf(&named, "@%s, where: %s", q->groups[q->at]->name, why);
	else
		named = xstrdup(why);
	q->req.on_end(end, named, q->req.arg);
	free(named);
}

/* The answers become those of the group. */
static void
take_answers(struct group_query *q)
{
	note_trouble(q);
	record_query_notes(q->query, note, q);
	hosts_sort(&q->where.in);
	q->groups[q->at]->fit = q->where.in;
	q->where.in = (struct hosts){0};
	where_finish(&q->where);
	record_query_destroy(q->query);
	q->query = NULL;
	q->at++;
}

static void
group_on_end(enum record_query_end end, const char *why, void *arg)
{
	struct group_query *q = arg;
	char *wrong = NULL;

	if (end != RECORD_QUERY_DONE) {
		fail(q, end, why);
		return;
	}
	take_answers(q);
	if (ask_next(q, &wrong))
		return;
	if (wrong != NULL)
		fail(q, RECORD_QUERY_BAD, wrong);
	else
		q->req.on_end(RECORD_QUERY_DONE, NULL, q->req.arg);
	free(wrong);
}

/* false: all are known, or *why. */
static bool
ask_next(struct group_query *q, char **why)
{
	struct record_query_request req = {
	    .loop = q->req.loop,
	    .store = q->req.store,
	    .mode = JQ_TRUTH,
	    .timeout_ms = q->req.timeout_ms,
	    .option = q->req.option,
	    .quiet = q->req.quiet,
	    .on_answer = group_on_answer,
	    .on_end = group_on_end,
	    .arg = q,
	};
	const struct target_group *same;

	for (; q->at < q->n; q->at++) {
		same = earlier(q);
		if (same == NULL)
			break;
		hosts_copy(&q->groups[q->at]->fit, &same->fit);
	}
	if (q->at == q->n)
		return false;
	req.program = q->groups[q->at]->where;
	q->query = record_query_create(&req, why);
	return q->query != NULL;
}

struct group_query *
group_query_create(const struct group_query_request *req, char **why)
{
	struct group_query *q = xcalloc(1, sizeof(*q));
	char *wrong = NULL;

	*why = NULL;
	q->req = *req;
	targets_each_where(req->targets, add_group, q);
	if (q->n > 0 && ask_next(q, &wrong))
		return q;
	if (wrong != NULL)
		xasprintf(why, "@%s, where: %s", q->groups[q->at]->name, wrong);
	free(wrong);
	group_query_destroy(q);
	return NULL;
}

void
group_query_destroy(struct group_query *q)
{
	if (q == NULL)
		return;
	record_query_destroy(q->query);
	where_finish(&q->where);
	free(q->groups);
	free(q);
}
