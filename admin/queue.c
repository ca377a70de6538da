/* "queue HOST": what waits for it. AMQP tells how many messages are in a queue, and not which
 * without taking them out (they would come back as redelivered, and count towards the limit of a
 * quorum queue); which jobs they are of, the ledger knows. Both are told, and where they differ,
 * why that may be. */
#include "admin/host_queue.h"
#include "admin/host_state.h"
#include "admin/verb.h"

#include "shared/jsonx.h"
#include "shared/name.h"
#include "shared/phrase.h"
#include "shared/print/table.h"
#include "shared/store/ledger.h"
#include "shared/store/store.h"
#include "shared/wall.h"
#include "shared/xalloc.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JOBS_MAX 1000 /* the newest are looked at */

struct waiting_job {
	char *id, *plugin, *user, *sender; /* sender: job_sender() */
	int64_t sent_at, not_after;
	bool confirms;
	bool open; /* the host has not answered it */
};

struct queue_verb {
	struct verb_context *v;
	struct host_queue *queue;
	struct host_queue_look look;
	char *why; /* of a look that failed */
	struct waiting_job *jobs;
	size_t n, next; /* next: whose outcomes are read */
	size_t n_open;
	struct fold *fold;
	bool known; /* the host has a record */
};

static const char *
host_of(const struct queue_verb *q)
{
	return q->v->args[0];
}

static void
queue_end(struct queue_verb *q, int status)
{
	for (size_t i = 0; i < q->n; i++) {
		free(q->jobs[i].id);
		free(q->jobs[i].plugin);
		free(q->jobs[i].user);
		free(q->jobs[i].sender);
	}
	free(q->jobs);
	free(q->why);
	fold_destroy(q->fold);
	host_queue_close(q->queue);
	verb_done(q->v, status);
	free(q);
}

static void
queue_failed(struct queue_verb *q, const char *why)
{
	verb_fail(
	    q->v, "cannot read the jobs of %s from %s: %s", host_of(q), store_id(q->v->store), why);
	queue_end(q, VERB_TROUBLE);
}

/* ---- telling ---- */

static const char *
at(int64_t ms, char out[HOST_STATE_AT_SIZE])
{
	char text[WALL_TEXT_SIZE];

	if (ms == 0)
		return "never";
	return host_state_at(wall_format(ms, text), out);
}

static json_t *
time_or_null(int64_t ms)
{
	char text[WALL_TEXT_SIZE];

	return ms == 0 ? json_null() : json_string(wall_format(ms, text));
}

static void
print_json(const struct queue_verb *q)
{
	json_t *o = json_object(), *jobs = json_array(), *queue = json_object();
	bool there = q->look.sight == HOST_QUEUE_THERE;

	jsonx_set_str(o, "host", host_of(q));
	json_object_set_new(queue, "there",
	    q->look.sight == HOST_QUEUE_UNKNOWN ? json_null() : json_boolean(there));
	json_object_set_new(
	    queue, "messages", there ? json_integer(q->look.messages) : json_null());
	json_object_set_new(
	    queue, "consumers", there ? json_integer(q->look.consumers) : json_null());
	if (q->why != NULL)
		jsonx_set_str(queue, "why", q->why);
	json_object_set_new(o, "queue", queue);
	for (size_t i = 0; i < q->n; i++) {
		const struct waiting_job *j = &q->jobs[i];
		json_t *job;

		if (!j->open)
			continue;
		job = json_object();
		jsonx_set_str(job, "job", j->id);
		jsonx_set_str(job, "plugin", j->plugin);
		jsonx_set_str(job, "user", j->user);
		json_object_set_new(job, "sent_at", time_or_null(j->sent_at));
		json_object_set_new(job, "not_after", time_or_null(j->not_after));
		json_array_append_new(jobs, job);
	}
	json_object_set_new(o, "jobs", jobs);
	json_dumpf(o, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(o);
}

static void
print_jobs(const struct queue_verb *q)
{
	static const char *const columns[] = {"JOB", "PLUGIN", "SENT", "AGE", "EXPIRES", "BY"};
	struct table *table = table_create();

	for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
		table_column(table, columns[i], TABLE_WHOLE);
	for (size_t i = 0; i < q->n; i++) {
		const struct waiting_job *j = &q->jobs[i];
		char text[HOST_STATE_AT_SIZE], wall[WALL_TEXT_SIZE], age[HOST_STATE_AGE_SIZE];

		if (!j->open)
			continue;
		table_row(table);
		table_cell(table, 0, j->id);
		table_cell(table, 1, j->plugin != NULL ? j->plugin : "-");
		table_cell(table, 2, at(j->sent_at, text));
		table_cell(table, 3, host_state_age(wall_format(j->sent_at, wall), wall_ms(), age));
		table_cell(table, 4, at(j->not_after, text));
		table_cell(table, 5, j->sender);
	}
	table_print(stdout, table);
	table_destroy(table);
}

/* What is in the queue and not in the ledger, or the reverse. */
static void
tell_difference(const struct queue_verb *q)
{
	size_t in_queue = q->look.messages;

	if (q->look.sight != HOST_QUEUE_THERE || in_queue == q->n_open)
		return;
	if (in_queue > q->n_open)
		printf("%zu more in the queue than the ledger knows of: sent by a runner without "
		       "this store, cancels, what has expired or is answered twice\n",
		    in_queue - q->n_open);
	else if (q->look.consumers > 0)
		printf(
		    "%zu of them with the agent, which is at work on it or has not been heard yet\n",
		    q->n_open - in_queue);
	else
		printf("%zu of them not in the queue: it was deleted or made anew, or dropped what "
		       "was over its limit, or answers are on the way\n",
		    q->n_open - in_queue);
}

static void
print_text(const struct queue_verb *q)
{
	switch (q->look.sight) {
	case HOST_QUEUE_THERE:
		printf("queue %s: %" PRIu32 " %s, %s\n", host_of(q), q->look.messages,
		    q->look.messages == 1 ? "message waits" : "messages wait",
		    q->look.consumers > 0 ? "an agent reads it" : "nobody reads it");
		break;
	case HOST_QUEUE_MISSING:
		printf("queue %s: not there\n", host_of(q));
		break;
	case HOST_QUEUE_UNKNOWN:
		printf("queue %s: not known\n", host_of(q));
		break;
	}
	printf("ledger: %zu job%s that %s has not answered%s\n", q->n_open,
	    q->n_open == 1 ? "" : "s", host_of(q), q->n_open > 0 ? ":" : "");
	if (q->n_open > 0)
		print_jobs(q);
	tell_difference(q);
}

static void
queue_tell(struct queue_verb *q)
{
	bool nobody = q->look.sight == HOST_QUEUE_MISSING && q->n == 0 && !q->known;

	if (nobody) {
		cli_complain("vogeler-admin",
		    "%s: no such host: it has no queue, no record and no job; \"vogeler-admin "
		    "hosts\" lists those that have answered",
		    host_of(q));
		queue_end(q, VERB_NO_SUCH_HOST);
		return;
	}
	if (q->v->json)
		print_json(q);
	else
		print_text(q);
	fflush(stdout);
	if (q->why != NULL)
		cli_complain("vogeler-admin", "the broker cannot be asked: %s", q->why);
	queue_end(q, q->why != NULL ? VERB_TROUBLE : VERB_OK);
}

/* ---- the ledger ---- */

static void read_next(struct queue_verb *q);

static void
take_state(const struct outcome *o, bool target, void *arg)
{
	struct queue_verb *q = arg;

	if (!target || o->state != OUTCOME_QUEUED)
		return;
	q->jobs[q->next].open = true;
	q->n_open++;
}

static void
queue_on_outcome(enum store_found found, const struct outcome *o, const char *why, void *arg)
{
	struct queue_verb *q = arg;

	switch (found) {
	case STORE_FOUND:
		if (strcmp(o->host, host_of(q)) == 0 || strcmp(o->host, OUTCOME_EVERY_HOST) == 0)
			fold_add(q->fold, o);
		return;
	case STORE_FAILED:
		queue_failed(q, why);
		return;
	case STORE_MISSING:
		fold_each(q->fold, wall_ms(), take_state, q);
		q->next++;
		read_next(q);
		return;
	}
}

static void
queue_on_record(enum store_found found, json_t *rec, const char *why, void *arg)
{
	struct queue_verb *q = arg;

	q->known = found != STORE_MISSING;
	queue_tell(q);
}

/* The job is folded as if it were of this host alone: that of 10,000 hosts costs no more. */
static void
read_next(struct queue_verb *q)
{
	const struct waiting_job *j = &q->jobs[q->next];
	char *host = (char *)host_of(q);
	struct job job = {.hosts = &host, .n_hosts = 1};

	fold_destroy(q->fold);
	q->fold = NULL;
	if (q->next == q->n) {
		store_get(q->v->store, host, queue_on_record, q);
		return;
	}
	job.id = j->id;
	job.plugin = j->plugin;
	job.sent_at = j->sent_at;
	job.not_after = j->not_after;
	job.confirms = j->confirms;
	q->fold = fold_create(&job);
	store_outcomes(q->v->store, j->id, queue_on_outcome, q);
}

static bool
is_target(const struct job *job, const char *host)
{
	for (size_t i = 0; i < job->n_hosts; i++)
		if (strcmp(job->hosts[i], host) == 0)
			return true;
	return false;
}

static void
queue_on_job(enum store_found found, const struct job *job, const char *why, void *arg)
{
	struct queue_verb *q = arg;
	struct waiting_job *j;

	if (found == STORE_FAILED) {
		queue_failed(q, why);
		return;
	}
	if (found == STORE_MISSING) {
		read_next(q);
		return;
	}
	if ((job->not_after != 0 && job->not_after < wall_ms()) || !is_target(job, host_of(q)))
		return;
	q->jobs = xreallocarray(q->jobs, q->n + 1, sizeof(*q->jobs));
	j = &q->jobs[q->n++];
	*j = (struct waiting_job){.id = xstrdup(job->id),
	    .plugin = xstrdup_null(job->plugin),
	    .user = xstrdup_null(job->user),
	    .sender = job_sender(job),
	    .sent_at = job->sent_at,
	    .not_after = job->not_after,
	    .confirms = job->confirms};
}

static void
queue_on_look(const struct host_queue_look *look, void *arg)
{
	struct queue_verb *q = arg;

	q->look = *look;
	q->why = look->sight == HOST_QUEUE_UNKNOWN ? xstrdup(look->why) : NULL;
	store_job_list(q->v->store, JOBS_MAX, queue_on_job, q);
}

void
verb_queue(struct verb_context *v)
{
	const char *why = name_host_error(v->args[0]);
	struct queue_verb *q;

	if (why != NULL)
		cli_usage_error(v->cli, "queue: \"%s\" is no host: %s", v->args[0], why);
	q = xcalloc(1, sizeof(*q));
	q->v = v;
	q->queue = host_queue_open(v, v->args[0], queue_on_look, q);
}
