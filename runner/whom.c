/* See whom.h. */
#include "runner/whom.h"

#include "runner/interrupt.h"
#include "runner/output.h"
#include "runner/where.h"
#include "runner/where_plugins.h"
#include "shared/loop.h"
#include "shared/phrase.h"
#include "shared/store/store.h"
#include "shared/words.h"
#include "shared/xalloc.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct finding {
	struct runner_context *c;
	struct whom *w;
	struct where *where; /* NULL = no --where */
	struct hosts known;  /* that there are; with --where, of those that are meant */
	char **plugins;      /* that --where reads */
	struct store_filter filter;
	bool store_needed, running;
	int status;
};

static void
end(struct finding *f, int status)
{
	f->status = status;
	if (f->running) /* else the next loop_run() would end at once */
		loop_stop(f->c->loop);
}

static void
finding_on_interrupt(void *arg)
{
	struct finding *f = arg;

	runner_say("interrupted; nothing was sent");
	end(f, RUNNER_INTERRUPTED);
}

static void
on_nobody(const char *glob, void *arg)
{
	runner_say("%s: no host has such a name; see \"vogeler-admin hosts\" for the names", glob);
}

void
whom_limit(struct hosts *hosts, const struct runner_arguments *a)
{
	size_t n = a->limit;

	if (a->limit_percent) /* of a few hosts at least one */
		n = (hosts->n * (size_t)a->limit + 99) / 100;
	if (a->limit > 0)
		hosts_cut(hosts, n);
}

/* known: all hosts, or those that --where is true of. */
static void
resolve(struct finding *f, const struct hosts *known)
{
	struct whom *w = f->w;
	const struct targets *t = &w->targets;

	targets_resolve(t, known, &w->hosts, f->where == NULL ? on_nobody : NULL, NULL);
	if (f->where != NULL)
		hosts_intersect(&w->hosts, known);
	whom_limit(&w->hosts, f->c->arg);
	if (w->hosts.n > 0 || (w->all && !f->store_needed)) {
		end(f, RUNNER_OK);
		return;
	}
	if (f->where != NULL)
		runner_say("no host is so: nothing was sent");
	else if (t->all)
		runner_say("no host is known yet: nothing was sent; start vogeler-agent on one");
	end(f, RUNNER_NO_SUCH_HOST);
}

static void
finding_on_where(const struct hosts *in, const char *text, void *arg)
{
	struct finding *f = arg;

	if (text != NULL)
		runner_say("--where: %s", text);
	if (in == NULL)
		end(f, RUNNER_TROUBLE);
	else
		resolve(f, in);
}

/* What cannot be done without a store ends here; a command that can goes out untracked. */
static void
no_store(struct finding *f, const char *why)
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
finding_on_record(struct finding *f, json_t *rec)
{
	const char *host = json_string_value(json_object_get(rec, "_id"));

	if (host == NULL)
		return;
	hosts_add(&f->known, host);
	if (f->where != NULL && !where_add(f->where, host, rec)) {
		runner_say("--where: cannot put the records aside: %s", phrase_errno(errno));
		end(f, RUNNER_TROUBLE);
	}
}

static void
finding_on_listed(enum store_found found, json_t *rec, const char *why, void *arg)
{
	struct finding *f = arg;

	switch (found) {
	case STORE_FOUND:
		finding_on_record(f, rec);
		break;
	case STORE_FAILED:
		no_store(f, why);
		break;
	case STORE_MISSING:
		hosts_sort(&f->known);
		if (f->where != NULL)
			where_run(f->where, f->c->arg->where_ms, finding_on_where, f);
		else
			resolve(f, &f->known);
		break;
	}
}

static void
ask(struct finding *f)
{
	const struct runner_context *c = f->c;
	const struct store_filter *filter = &f->filter; /* the names alone */
	const struct hosts none = {0};

	if (!targets_need_known(&f->w->targets) && f->where == NULL) {
		resolve(f, &none);
		return;
	}
	if (c->store == NULL) {
		no_store(f, c->untracked);
		return;
	}
	if (f->where != NULL) {
		if (where_plugins(c->arg->where, &f->plugins, &f->filter.n))
			f->filter.plugins = (const char *const *)f->plugins;
		else
			filter = NULL;
	}
	store_list(c->store, filter, finding_on_listed, f);
}

static void
finding_on_compiled(const struct hosts *in, const char *text, void *arg)
{
	struct finding *f = arg;

	if (in != NULL) {
		ask(f);
		return;
	}
	runner_say("--where: %s", text);
	end(f, RUNNER_TROUBLE);
}

/* A question with a mistake in it is not worth the reading of all records. */
static bool
compile(struct finding *f)
{
	char *why;

	f->where = where_create(f->c->loop, f->c->arg->where, &why);
	if (f->where != NULL) {
		where_run(f->where, f->c->arg->where_ms, finding_on_compiled, f);
		return true;
	}
	runner_say("--where: %s", why);
	free(why);
	return false;
}

int
whom_find(struct whom *w, struct runner_context *c, struct interrupt *interrupt)
{
	const struct runner_arguments *a = c->arg;
	struct finding f = {.c = c, .w = w, .status = -1};

	f.store_needed =
	    w->targets.globs.n > 0 || a->where != NULL || !w->all || a->dry_run || a->wait;
	interrupt->arg = &f;
	interrupt->fn = finding_on_interrupt;
	if (a->where == NULL)
		ask(&f);
	else if (!compile(&f))
		f.status = RUNNER_TROUBLE;
	f.running = true;
	if (f.status < 0)
		loop_run(c->loop);
	interrupt->fn = NULL;
	where_destroy(f.where);
	hosts_finish(&f.known);
	words_free(f.plugins);
	return f.status;
}

void
whom_init(struct whom *w, struct runner_context *c)
{
	const struct runner_arguments *a = c->arg;
	char err[512];

	*w = (struct whom){0};
	if (!targets_parse(&w->targets, a->nodes, &(struct hostgroups){ 0 }, err, sizeof(err)))
		cli_usage_error(c->cli, "%s", err);
	if (a->nodes == NULL)
		w->targets.all = true; /* that --where asks */
	w->all = w->targets.all && a->where == NULL && a->limit == 0 && a->batch == 0;
	w->many = w->targets.many || a->where != NULL;
	xasprintf(&w->text, "%s%s%s%s", a->nodes == NULL ? "all" : w->targets.text,
	    w->targets.all && !w->all && a->where == NULL ? " known" : "",
	    a->where == NULL ? "" : " where ", a->where == NULL ? "" : a->where);
}

void
whom_finish(struct whom *w)
{
	targets_finish(&w->targets);
	hosts_finish(&w->hosts);
	free(w->text);
	free(w->untracked);
	*w = (struct whom){0};
}

void
whom_print(const struct hosts *hosts, const struct runner_arguments *a)
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
		puts(hosts->names[i]);
	fflush(stdout);
	if (!a->quiet)
		runner_say("%zu host%s; nothing was sent", hosts->n, hosts->n == 1 ? "" : "s");
}
