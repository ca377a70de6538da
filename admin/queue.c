/* SPDX-License-Identifier: Apache-2.0 */
/* "queue HOSTS": what waits for them. AMQP tells how many messages are in a queue, and not which
 * without taking them out (they would come back as redelivered, and count towards the limit of a
 * quorum queue); which jobs they are of, the ledger knows. Both are told, and where they differ,
 * why that may be: of one host job by job, of several in a table. */
#include "admin/host_queues.h"
#include "admin/host_state.h"
#include "admin/meant.h"
#include "admin/missing.h"
#include "admin/open_jobs.h"
#include "admin/verb.h"

#include "shared/base/name.h"
#include "shared/base/trouble.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/config/complain.h"
#include "shared/print/table.h"
#include "shared/store/store.h"
#include "shared/wire/jsonx.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JOBS_MAX 1000 /* the newest are looked at */

struct waiting { /* for one host */
	const char *host;
	struct host_queue_look look;
	const struct open_job **jobs; /* the newest first */
	size_t n;
};

struct queue_verb {
	struct verb_context *v;
	struct meant meant;
	struct known_reading reading;
	bool one;           /* host was named, and nothing that may mean more */
	struct hosts hosts; /* sorted: those that were meant */
	struct host_queues *queues;
	struct open_jobs *jobs;
	struct waiting *list; /* of each host */
	char *why;            /* of a look that failed */
	struct hosts missing; /* names and globs that are nobody */
};

static void
queue_finish(void *arg)
{
	struct queue_verb *q = arg;

	for (size_t i = 0; q->list != NULL && i < q->hosts.n; i++)
		free(q->list[i].jobs);
	free(q->list);
	free(q->why);
	open_jobs_destroy(q->jobs);
	hosts_finish(&q->hosts);
	hosts_finish(&q->missing);
	meant_finish(&q->meant);
	free(q);
}

/* ---- telling ---- */

static const char *
at(int64_t ms, char out[HOST_STATE_AT_SIZE])
{
	char text[WALLCLOCK_TEXT_SIZE];

	if (ms == 0)
		return "never";
	return host_state_at(wallclock_format(ms, text), out);
}

static const char *
age(int64_t ms, char out[HOST_STATE_AGE_SIZE])
{
	char text[WALLCLOCK_TEXT_SIZE];

	return host_state_age(wallclock_format(ms, text), wallclock_ms(), out);
}

static json_t *
time_or_null(int64_t ms)
{
	char text[WALLCLOCK_TEXT_SIZE];

	return ms == 0 ? json_null() : json_string(wallclock_format(ms, text));
}

static json_t *
job_json(const struct open_job *j)
{
	json_t *o = json_object();

	jsonx_set_str(o, "job", j->id);
	jsonx_set_str(o, "plugin", j->plugin);
	jsonx_set_str(o, "user", j->user);
	json_object_set_new(o, "sent_at", time_or_null(j->sent_at));
	json_object_set_new(o, "not_after", time_or_null(j->not_after));
	return o;
}

static json_t *
waiting_json(const struct waiting *w, const char *why)
{
	json_t *o = json_object(), *jobs = json_array(), *queue = json_object();
	bool there = w->look.sight == HOST_QUEUE_THERE;
	bool unknown = w->look.sight == HOST_QUEUE_UNKNOWN;

	jsonx_set_str(o, "host", w->host);
	json_object_set_new(queue, "there", unknown ? json_null() : json_boolean(there));
	json_object_set_new(
	    queue, "messages", there ? json_integer(w->look.messages) : json_null());
	json_object_set_new(
	    queue, "consumers", there ? json_integer(w->look.consumers) : json_null());
	if (unknown && why != NULL)
		jsonx_set_str(queue, "why", why);
	json_object_set_new(o, "queue", queue);
	for (size_t i = 0; i < w->n; i++)
		json_array_append_new(jobs, job_json(w->jobs[i]));
	json_object_set_new(o, "jobs", jobs);
	return o;
}

static void
print_json(const struct queue_verb *q)
{
	json_t *all = json_array();

	for (size_t i = 0; i < q->hosts.n; i++)
		json_array_append_new(all, waiting_json(&q->list[i], q->why));
	json_dumpf(q->one ? json_array_get(all, 0) : all, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(all);
}

static void
print_jobs(const struct waiting *w)
{
	static const char *const columns[] = {"JOB", "PLUGIN", "SENT", "AGE", "EXPIRES", "BY"};
	struct table *table = table_create();

	for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
		table_column(table, columns[i], TABLE_WHOLE);
	for (size_t i = 0; i < w->n; i++) {
		const struct open_job *j = w->jobs[i];
		char text[HOST_STATE_AT_SIZE], ago[HOST_STATE_AGE_SIZE];

		table_row(table);
		table_cell(table, 0, j->id);
		table_cell(table, 1, j->plugin != NULL ? j->plugin : "-");
		table_cell(table, 2, at(j->sent_at, text));
		table_cell(table, 3, age(j->sent_at, ago));
		table_cell(table, 4, at(j->not_after, text));
		table_cell(table, 5, j->sender != NULL ? j->sender : "-");
	}
	table_print(stdout, table);
	table_destroy(table);
}

/* Tells what is in the queue and not in the ledger, or the reverse. */
static void
tell_difference(const struct waiting *w)
{
	size_t in_queue = w->look.messages;

	if (w->look.sight != HOST_QUEUE_THERE || in_queue == w->n)
		return;
	if (in_queue > w->n)
		printf("%zu more in the queue than the ledger knows of: sent by a runner without "
		       "this store, cancels, what has expired or is answered twice\n",
		    in_queue - w->n);
	else if (w->look.consumers > 0)
		printf(
		    "%zu of them with the agent, which is at work on it or has not been heard yet\n",
		    w->n - in_queue);
	else
		printf("%zu of them not in the queue: it was deleted or made anew, or dropped what "
		       "was over its limit, or answers are on the way\n",
		    w->n - in_queue);
}

static void
print_one(const struct waiting *w)
{
	switch (w->look.sight) {
	case HOST_QUEUE_THERE:
		printf("queue %s: %" PRIu32 " %s, %s\n", w->host, w->look.messages,
		    w->look.messages == 1 ? "message waits" : "messages wait",
		    w->look.consumers > 0 ? "an agent reads it" : "nobody reads it");
		break;
	case HOST_QUEUE_MISSING:
		printf("queue %s: not there\n", w->host);
		break;
	case HOST_QUEUE_UNKNOWN:
		printf("queue %s: not known\n", w->host);
		break;
	}
	printf("ledger: %zu job%s that %s has not answered%s\n", w->n, w->n == 1 ? "" : "s",
	    w->host, w->n > 0 ? ":" : "");
	if (w->n > 0)
		print_jobs(w);
	tell_difference(w);
}

static void
add_row(struct table *table, const struct waiting *w)
{
	const struct open_job *oldest = w->n > 0 ? w->jobs[w->n - 1] : NULL;
	char number[24], text[HOST_STATE_AT_SIZE], ago[HOST_STATE_AGE_SIZE];

	table_row(table);
	table_cell(table, 0, w->host);
	switch (w->look.sight) {
	case HOST_QUEUE_THERE:
		snprintf(number, sizeof(number), "%" PRIu32, w->look.messages);
		table_cell(table, 1, number);
		table_cell(table, 2, w->look.consumers > 0 ? "its agent" : "nobody");
		break;
	case HOST_QUEUE_MISSING:
		table_cell(table, 1, "no queue");
		break;
	case HOST_QUEUE_UNKNOWN:
		table_cell(table, 1, "unknown");
		break;
	}
	snprintf(number, sizeof(number), "%zu", w->n);
	table_cell(table, 3, number);
	if (oldest == NULL)
		return;
	table_cell(table, 4, at(oldest->sent_at, text));
	table_cell(table, 5, age(oldest->sent_at, ago));
}

static void
print_table(const struct queue_verb *q)
{
	struct table *table = table_create();

	table_column(table, "HOST", TABLE_WHOLE);
	table_column(table, "MESSAGES", TABLE_RIGHT);
	table_column(table, "READ BY", TABLE_WHOLE);
	table_column(table, "UNANSWERED", TABLE_RIGHT);
	table_column(table, "OLDEST SENT", TABLE_WHOLE);
	table_column(table, "AGE", TABLE_RIGHT);
	for (size_t i = 0; i < q->hosts.n; i++)
		add_row(table, &q->list[i]);
	if (q->hosts.n > 0)
		table_print(stdout, table);
	table_destroy(table);
}

static void
queue_tell(struct queue_verb *q)
{
	if (q->v->json && (!q->one || q->hosts.n > 0))
		print_json(q);
	else if (q->one && q->hosts.n > 0)
		print_one(&q->list[0]);
	else
		print_table(q);
	fflush(stdout);
	if (q->why != NULL && q->hosts.n > 0)
		complain_line("vogeler-admin", "the broker cannot be asked: %s", q->why);
	for (size_t i = 0; i < q->missing.n; i++)
		missing_say(q->v->store, &q->meant.known, q->missing.names[i]);
	if (q->hosts.n == 0 && q->missing.n == 0)
		missing_say_nobody();
	verb_done(q->v, q->why != NULL                        ? VERB_TROUBLE
			: q->missing.n > 0 || q->hosts.n == 0 ? VERB_NO_SUCH_HOST
							      : VERB_OK);
}

/* ---- what there is ---- */

static void
queue_on_nobody(const char *word, void *arg)
{
	struct queue_verb *q = arg;

	hosts_add(&q->missing, word);
}

/* A host that never answered has a queue alone, or only jobs that wait for it to come. */
static void
drop_missing(struct queue_verb *q)
{
	size_t kept = 0;

	for (size_t i = 0; i < q->hosts.n; i++) {
		const struct waiting *w = &q->list[i];

		if (w->look.sight != HOST_QUEUE_MISSING || w->n > 0 ||
		    hosts_has(&q->meant.known, w->host)) {
			q->list[kept] = *w;
			q->hosts.names[kept++] = q->hosts.names[i];
			continue;
		}
		queue_on_nobody(w->host, q);
		free(w->jobs);
		free(q->hosts.names[i]);
	}
	q->hosts.n = kept;
}

static size_t
place_of(const struct queue_verb *q, const char *host)
{
	size_t low = 0, high = q->hosts.n;

	while (high - low > 1) {
		size_t middle = (low + high) / 2;

		if (strcmp(q->hosts.names[middle], host) <= 0)
			low = middle;
		else
			high = middle;
	}
	return low;
}

static void
take_job(struct queue_verb *q, const struct open_job *job)
{
	for (size_t i = 0; i < job->hosts.n; i++) {
		struct waiting *w = &q->list[place_of(q, job->hosts.names[i])];

		w->jobs = xreallocarray(w->jobs, w->n + 1, sizeof(const struct open_job *));
		w->jobs[w->n++] = job;
	}
}

static void
queue_on_open(const struct open_job *jobs, size_t n, const struct trouble *why, void *arg)
{
	struct queue_verb *q = arg;

	if (why != NULL) {
		verb_fail_trouble(q->v, why, "cannot read the jobs from %s", store_id(q->v->store));
		return;
	}
	for (size_t i = 0; i < n; i++)
		take_job(q, &jobs[i]);
	drop_missing(q);
	queue_tell(q);
}

static void
queue_on_look(const struct host_queue_look *looks, const char *why, void *arg)
{
	struct queue_verb *q = arg;
	const struct open_jobs_request req = {
	    .store = q->v->store,
	    .hosts = &q->hosts,
	    .jobs_max = JOBS_MAX,
	    .fn = queue_on_open,
	    .arg = q,
	};

	q->why = xstrdup_null(why);
	q->list = xcalloc(q->hosts.n + 1, sizeof(*q->list));
	for (size_t i = 0; i < q->hosts.n; i++)
		q->list[i] = (struct waiting){.host = q->hosts.names[i], .look = looks[i]};
	host_queues_close(q->queues);
	q->queues = NULL;
	q->jobs = open_jobs_read(&req);
}

/* A record may have a name that no host can have; a queue of that name is not a host's. */
static void
keep_hosts(struct hosts *hosts)
{
	size_t kept = 0;

	for (size_t i = 0; i < hosts->n; i++) {
		if (name_host_error(hosts->names[i]) == NULL)
			hosts->names[kept++] = hosts->names[i];
		else
			free(hosts->names[i]);
	}
	hosts->n = kept;
}

static void
queue_on_known(const struct trouble *why, void *arg)
{
	struct queue_verb *q = arg;

	if (why != NULL) {
		verb_fail_trouble(q->v, why, "cannot list the hosts in %s", store_id(q->v->store));
		return;
	}
	targets_resolve(&q->meant.targets, &q->meant.known, &q->hosts, queue_on_nobody, q);
	keep_hosts(&q->hosts);
	if (q->hosts.n > 0)
		q->queues = host_queues_open(q->v, &q->hosts, queue_on_look, q);
	else
		queue_tell(q);
}

static void
queue_on_meant(void *arg)
{
	struct queue_verb *q = arg;

	known_read(&q->reading, q->v->store, &q->meant.known, queue_on_known, q);
}

void
verb_queue(struct verb_context *v)
{
	const char *why = name_host_error(v->args[0]);
	struct queue_verb *q;

	if (why != NULL && !meant_is_more(v->args[0]))
		cli_usage_error(v->cli, "queue: \"%s\" is no host: %s", v->args[0], why);
	q = xcalloc(1, sizeof(*q));
	q->v = v;
	q->one = v->args[1] == NULL && !meant_is_more(v->args[0]);
	v->finish = queue_finish;
	v->finish_arg = q;
	meant_init(&q->meant, v, "queue", v->args);
	meant_ask(&q->meant, queue_on_meant, q);
}
