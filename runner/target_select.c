/* SPDX-License-Identifier: Apache-2.0 */
/* See target_select.h. */
#include "runner/target_select.h"

#include "runner/interrupt.h"
#include "runner/print/output.h"
#include "shared/base/printable.h"
#include "shared/base/trouble.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/query/group_query.h"
#include "shared/query/record_query.h"
#include "shared/query/where.h"
#include "shared/store/store.h"
#include "shared/target/ranges.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct host_finding {
	struct runner_context *c;
	struct target_select *w;
	struct group_query *groups; /* NULL = none of them has a where */
	struct record_query *query; /* NULL = no --where */
	struct where where;         /* its answers */
	struct hosts known;         /* that there are, without --where */
	bool store_needed, running;
	int status;
};

static void
end(struct host_finding *f, int status)
{
	f->status = status;
	if (f->running) /* else the next loop_run() would end at once */
		loop_stop(f->c->loop);
}

static void
finding_on_interrupt(void *arg)
{
	struct host_finding *f = arg;

	runner_say("interrupted; nothing was sent");
	end(f, RUNNER_INTERRUPTED);
}

static void
on_nobody(const char *word, void *arg)
{
	char hint[RANGES_HINT_SIZE];

	runner_say("%s: no host %s%s; see \"vogeler-admin hosts\" for the names", word,
	    word[0] == '@' ? "is in this group" : "has such a name",
	    word[0] == '@' ? "" : ranges_hint(word, hint));
}

void
target_select_limit(struct hosts *hosts, const struct runner_arguments *a)
{
	size_t n = a->limit;

	if (a->limit_percent) /* of a few hosts at least one */
		n = (hosts->n * (size_t)a->limit + 99) / 100;
	if (a->limit > 0)
		hosts_cut(hosts, n);
}

/* known: all hosts, or those that --where is true of. */
static void
resolve(struct host_finding *f, const struct hosts *known)
{
	struct target_select *w = f->w;
	const struct targets *t = &w->targets;

	targets_resolve(t, known, &w->hosts, f->query == NULL ? on_nobody : NULL, NULL);
	if (f->query != NULL)
		hosts_intersect(&w->hosts, known);
	target_select_limit(&w->hosts, f->c->arg);
	if (w->hosts.n > 0 || (w->all && !f->store_needed)) {
		end(f, RUNNER_OK);
		return;
	}
	if (f->query != NULL)
		runner_say("no host is so: nothing was sent");
	else if (t->all)
		runner_say("no host is known yet: nothing was sent; start vogeler-agent on one");
	end(f, RUNNER_NO_SUCH_HOST);
}

/* Ends what cannot be done without a store; a command that can goes out untracked. */
static void
no_store(struct host_finding *f, const char *why)
{
	const struct hosts none = {0};

	if (f->store_needed) {
		runner_say("the store has to say which hosts there are: %s; nothing was sent", why);
		end(f, RUNNER_TROUBLE);
		return;
	}
	f->w->untracked = xstrdup(why);
	resolve(f, &none);
}

static void
finding_on_listed(enum store_found found, json_t *rec, const struct trouble *why, void *arg)
{
	struct host_finding *f = arg;
	const char *host = json_string_value(json_object_get(rec, "_id"));
	char *text;

	switch (found) {
	case STORE_FOUND:
		if (host != NULL)
			hosts_add(&f->known, host);
		break;
	case STORE_FAILED:
		text = trouble_text(why);
		no_store(f, text);
		free(text);
		break;
	case STORE_MISSING:
		hosts_sort(&f->known);
		resolve(f, &f->known);
		break;
	}
}

static void
ask(struct host_finding *f)
{
	const struct store_filter names = {0};
	const struct hosts none = {0};

	if (!targets_need_known(&f->w->targets))
		resolve(f, &none);
	else if (f->c->store == NULL)
		no_store(f, f->c->untracked);
	else
		store_list(f->c->store, &names, finding_on_listed, f);
}

/* --- groups --- */

static void begin(struct host_finding *f);

static void
finding_on_group_note(const char *line, void *arg)
{
	runner_say("%s", line);
}

static void
finding_on_groups(enum record_query_end how, const char *why, void *arg)
{
	struct host_finding *f = arg;

	switch (how) {
	case RECORD_QUERY_NO_STORE:
		no_store(f, why);
		break;
	case RECORD_QUERY_BAD:
		runner_say("%s", why);
		end(f, RUNNER_TROUBLE);
		break;
	case RECORD_QUERY_DONE:
		begin(f);
		break;
	}
}

static void
count_where(struct target_group *g, void *arg)
{
	++*(size_t *)arg;
}

/* Asks, before all else, which hosts are in the groups that have a where. */
static void
ask_groups(struct host_finding *f)
{
	const struct runner_context *c = f->c;
	const struct group_query_request req = {
	    .loop = c->loop,
	    .store = c->store,
	    .targets = &f->w->targets,
	    .timeout_ms = c->arg->where_ms,
	    .option = "--where-timeout",
	    .quiet = c->arg->quiet,
	    .on_note = finding_on_group_note,
	    .on_end = finding_on_groups,
	    .arg = f,
	};
	size_t n = 0;
	char *why;

	targets_each_where(&f->w->targets, count_where, &n);
	if (n > 0 && c->store == NULL) {
		no_store(f, c->untracked);
		return;
	}
	f->groups = group_query_create(&req, &why);
	if (f->groups != NULL)
		return;
	if (why == NULL) {
		begin(f);
		return;
	}
	runner_say("%s", why);
	free(why);
	end(f, RUNNER_TROUBLE);
}

/* --- --where --- */

static bool
finding_on_begin(void *arg)
{
	struct host_finding *f = arg;

	if (f->c->store == NULL)
		no_store(f, f->c->untracked);
	return f->c->store != NULL;
}

static void
finding_on_answer(const char *host, enum jq_word word, const char *text, size_t len, void *arg)
{
	struct host_finding *f = arg;

	where_take(&f->where, host, word, text);
}

static void
finding_on_note(const char *text, void *arg)
{
	runner_say("--where: %s", text);
}

static void
finding_on_end(enum record_query_end how, const char *why, void *arg)
{
	struct host_finding *f = arg;
	char *trouble = where_trouble(&f->where);

	switch (how) {
	case RECORD_QUERY_NO_STORE:
		no_store(f, why);
		break;
	case RECORD_QUERY_BAD:
		runner_say("--where: %s%s%s", why, trouble == NULL ? "" : "; ",
		    trouble == NULL ? "" : trouble);
		end(f, RUNNER_TROUBLE);
		break;
	case RECORD_QUERY_DONE:
		if (trouble != NULL)
			runner_say("--where: %s", trouble);
		record_query_notes(f->query, finding_on_note, NULL);
		hosts_sort(&f->where.in);
		resolve(f, &f->where.in);
		break;
	}
	free(trouble);
}

/* A question with a mistake in it is not worth the reading of all records. */
static bool
start_query(struct host_finding *f)
{
	const struct runner_context *c = f->c;
	const struct record_query_request req = {
	    .loop = c->loop,
	    .store = c->store,
	    .program = c->arg->where,
	    .mode = JQ_TRUTH,
	    .timeout_ms = c->arg->where_ms,
	    .option = "--where-timeout",
	    .quiet = c->arg->quiet,
	    .on_begin = finding_on_begin,
	    .on_answer = finding_on_answer,
	    .on_end = finding_on_end,
	    .arg = f,
	};
	char *why;

	f->query = record_query_create(&req, &why);
	if (f->query != NULL)
		return true;
	runner_say("--where: %s", why);
	free(why);
	return false;
}

static void
begin(struct host_finding *f)
{
	if (f->c->arg->where == NULL)
		ask(f);
	else if (!start_query(f))
		end(f, RUNNER_TROUBLE);
}

int
target_select_find(struct target_select *w, struct runner_context *c, struct interrupt *interrupt)
{
	const struct runner_arguments *a = c->arg;
	struct host_finding f = {.c = c, .w = w, .status = -1};

	f.store_needed =
	    w->targets.globs.n > 0 || a->where != NULL || !w->all || a->dry_run || a->wait;
	interrupt->arg = &f;
	interrupt->fn = finding_on_interrupt;
	ask_groups(&f);
	f.running = true;
	if (f.status < 0)
		loop_run(c->loop);
	interrupt->fn = NULL;
	if (f.status != RUNNER_OK) { /* it may be in the middle of a list for f */
		store_close(c->store);
		c->store = NULL;
	}
	group_query_destroy(f.groups);
	record_query_destroy(f.query);
	where_finish(&f.where);
	hosts_finish(&f.known);
	return f.status;
}

void
target_select_init(struct target_select *w, struct runner_context *c)
{
	const struct runner_arguments *a = c->arg;
	char err[512];

	*w = (struct target_select){0};
	if (!targets_parse(&w->targets, "-n ", a->nodes, &c->cli->options.groups, err, sizeof(err)))
		cli_usage_error(c->cli, "%s", err);
	if (a->nodes == NULL)
		w->targets.all = true; /* that --where asks */
	w->all = w->targets.all && a->where == NULL && a->limit == 0 && a->waves.size == 0;
	w->many = w->targets.many || a->where != NULL;
	xasprintf(&w->text, "%s%s%s%s", a->nodes == NULL ? "all" : w->targets.text,
	    w->targets.all && !w->all && a->where == NULL ? " known" : "",
	    a->where == NULL ? "" : " where ", a->where == NULL ? "" : a->where);
}

void
target_select_finish(struct target_select *w)
{
	targets_finish(&w->targets);
	hosts_finish(&w->hosts);
	free(w->text);
	free(w->untracked);
	*w = (struct target_select){0};
}

void
target_select_print(const struct hosts *hosts, const struct runner_arguments *a)
{
	json_t *obj, *names;

	if (a->json || a->jsonl) {
		obj = json_object();
		names = json_array();
		for (size_t i = 0; i < hosts->n; i++)
			json_array_append_new(names, json_string(hosts->names[i]));
		json_object_set_new(obj, "kind", json_string("targets"));
		json_object_set_new(obj, "targets", json_integer((json_int_t)hosts->n));
		json_object_set_new(obj, "hosts", names);
		output_event(stdout, obj);
		return;
	}
	for (size_t i = 0; i < hosts->n; i++)
		printable_line(stdout, "%s", hosts->names[i]);
	fflush(stdout);
	if (!a->quiet)
		runner_say("%zu host%s; nothing was sent", hosts->n, hosts->n == 1 ? "" : "s");
}
