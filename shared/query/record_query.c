/* SPDX-License-Identifier: Apache-2.0 */
/* See record_query.h. */
#include "shared/query/record_query.h"
#include "shared/base/trouble.h"

#include "shared/base/errtext.h"
#include "shared/base/shellwords.h"
#include "shared/base/xalloc.h"
#include "shared/print/ticker.h"
#include "shared/query/jq_filter.h"
#include "shared/query/jq_plugins.h"
#include "shared/query/plugin_names.h"
#include "shared/store/store.h"
#include "shared/target/missing_part.h"
#include "shared/target/value_path.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A sight is what the records have of a path. */
struct sight {
	const struct jq_record_path *path;
	size_t plugin, part; /* so many have its plugin; all of it */
	struct missing_part *missing;
};

struct record_query {
	struct record_query_request req;
	struct jq_record_path *paths;
	size_t n_paths;
	struct jq_filter *filter;
	struct ticker *ticker;
	char **plugins; /* that the program reads; NULL = it may be any */
	size_t n_plugins;
	struct sight *sights; /* of the paths that it takes from a record */
	size_t n_sights;
	struct plugin_names *names; /* if a plugin was not seen: those that there are */
	size_t n;                   /* records that were read */
	bool ended;
};

static void
end(struct record_query *q, enum record_query_end how, const char *why)
{
	if (q->ended)
		return;
	q->ended = true;
	ticker_destroy(q->ticker);
	q->ticker = NULL;
	q->req.on_end(how, why, q->req.arg);
}

static char *
query_on_tick(void *arg)
{
	const struct record_query *q = arg;
	char *text;

	xasprintf(
	    &text, "%zu records read, jq is through with %zu", q->n, jq_filter_answered(q->filter));
	return text;
}

/* --- the store --- */

static void
look(struct sight *s, const json_t *rec)
{
	const json_t *last;
	size_t len;

	if (json_object_get(rec, s->path->plugin) == NULL)
		return;
	s->plugin++;
	if (value_path_get(rec, s->path->path.text, &last, &len) != NULL)
		s->part++;
	else
		missing_part_add(s->missing, last, len);
}

static void
take_record(struct record_query *q, const json_t *rec)
{
	const char *host = json_string_value(json_object_get(rec, "_id"));
	char *why;

	if (host == NULL || (q->req.wants != NULL && !q->req.wants(host, q->req.arg)))
		return;
	q->n++;
	for (size_t i = 0; i < q->n_sights; i++)
		look(&q->sights[i], rec);
	if (jq_filter_add(q->filter, host, rec))
		return;
	xasprintf(&why, "cannot put the records aside: %s", errtext_errno(errno));
	end(q, RECORD_QUERY_BAD, why);
	free(why);
}

static void
end_without_store(struct record_query *q, const struct trouble *why)
{
	char *text = trouble_text(why);

	end(q, RECORD_QUERY_NO_STORE, text);
	free(text);
}

static void
query_on_listed(enum store_found found, json_t *rec, const struct trouble *why, void *arg)
{
	struct record_query *q = arg;

	if (q->ended)
		return;
	switch (found) {
	case STORE_FOUND:
		take_record(q, rec);
		break;
	case STORE_FAILED:
		end_without_store(q, why);
		break;
	case STORE_MISSING:
		jq_filter_close(q->filter);
		break;
	}
}

static void
read_records(struct record_query *q)
{
	const struct store_filter filter = {(const char *const *)q->plugins, q->n_plugins};

	store_list(q->req.store, q->plugins == NULL ? NULL : &filter, query_on_listed, q);
}

/* --- jq --- */

static void
query_on_compiled(void *arg)
{
	struct record_query *q = arg;

	if (q->ended || (q->req.on_begin != NULL && !q->req.on_begin(q->req.arg)))
		return;
	if (!q->req.quiet)
		q->ticker = ticker_create(q->req.loop, STDERR_FILENO, query_on_tick, q);
	read_records(q);
}

static void
query_on_answer(const char *host, enum jq_word word, const char *text, size_t len, void *arg)
{
	struct record_query *q = arg;

	if (!q->ended)
		q->req.on_answer(host, word, text, len, q->req.arg);
}

/* A name that is mistyped is true of nobody, which looks like an answer. */
static bool
is_unknown(const struct record_query *q, const struct sight *s)
{
	return q->n > 0 && s->plugin == 0 && strcmp(s->path->plugin, "_id") != 0;
}

static bool
is_part_unknown(const struct sight *s)
{
	return s->plugin > 0 && s->part == 0 && !s->path->path.tolerant;
}

static void
query_on_names(const struct plugin_names *names, const struct trouble *why, void *arg)
{
	if (names == NULL)
		end_without_store(arg, why);
	else
		end(arg, RECORD_QUERY_DONE, NULL);
}

static void
query_on_end(const char *why, void *arg)
{
	struct record_query *q = arg;
	bool unknown = false;

	for (size_t i = 0; i < q->n_sights; i++)
		unknown |= is_unknown(q, &q->sights[i]);
	if (why != NULL)
		end(q, RECORD_QUERY_BAD, why);
	else if (unknown && !q->ended)
		q->names = plugin_names_ask(q->req.store, query_on_names, q);
	else
		end(q, RECORD_QUERY_DONE, NULL);
}

static const struct jq_filter_handlers handlers = {
    .on_compiled = query_on_compiled,
    .on_answer = query_on_answer,
    .on_end = query_on_end,
};

/* --- what record_query.h offers --- */

/* Plans looks without those that the program makes, which are no part of the question. */
static void
plan_looks(struct record_query *q)
{
	q->n_paths = jq_record_paths(q->req.program, &q->paths);
	q->sights = xcalloc(q->n_paths + 1, sizeof(*q->sights));
	for (size_t i = 0; i < q->n_paths; i++) {
		const struct jq_record_path *path = &q->paths[i];
		size_t k = 0;

		while (
		    k < q->n_sights && strcmp(q->sights[k].path->path.text, path->path.text) != 0)
			k++;
		if (k < q->n_sights || path->path.assigned)
			continue;
		q->sights[q->n_sights++] =
		    (struct sight){.path = path, .missing = missing_part_create(path->path.text)};
	}
}

/* ".os = 1" in the place of ".os == 1" is true of every record, and a command would go to all; in a
 * query it may be meant. Malloced; NULL = there is none. */
static char *
find_set(const struct record_query *q)
{
	char *why = NULL;

	for (size_t i = 0; i < q->n_paths && why == NULL; i++) {
		const struct jq_record_path *p = &q->paths[i];

		if (p->path.set && (q->req.mode == JQ_TRUTH || p->condition))
			xasprintf(&why,
			    "\"%s =\" sets it, which is true of every record" TROUBLE_CURE
			    "\"==\" compares",
			    p->path.text);
	}
	return why;
}

struct record_query *
record_query_create(const struct record_query_request *req, char **why)
{
	struct record_query *q = xcalloc(1, sizeof(*q));

	q->req = *req;
	q->filter = jq_filter_create(
	    req->loop, req->program, req->mode, req->timeout_ms, req->option, &handlers, q, why);
	if (q->filter == NULL) {
		free(q);
		return NULL;
	}
	if (!jq_plugins(req->program, req->mode, &q->plugins, &q->n_plugins))
		q->n_plugins = 0;
	plan_looks(q);
	*why = find_set(q);
	if (*why == NULL)
		return q;
	record_query_destroy(q);
	return NULL;
}

void
record_query_destroy(struct record_query *q)
{
	if (q == NULL)
		return;
	ticker_destroy(q->ticker);
	jq_filter_destroy(q->filter);
	plugin_names_destroy(q->names);
	shellwords_free(q->plugins);
	for (size_t i = 0; i < q->n_sights; i++)
		missing_part_destroy(q->sights[i].missing);
	free(q->sights);
	jq_paths_free(q->paths, q->n_paths);
	free(q);
}

bool
record_query_is_mistyped(const struct record_query *q)
{
	for (size_t i = 0; i < q->n_sights; i++) {
		if (is_unknown(q, &q->sights[i]) || is_part_unknown(&q->sights[i]))
			return true;
	}
	return false;
}

/* Malloced; NULL = nothing is to be said of it. Where it is asked which hosts have it, some have
 * not. */
static char *
describe_sight(const struct record_query *q, const struct sight *s)
{
	bool is_asked = q->req.mode == JQ_VALUES && !s->path->condition;
	char hint[PLUGIN_NAMES_HINT_SIZE], *text = NULL, *there;

	if (is_unknown(q, s) && q->names != NULL) {
		xasprintf(&text, "no record has \"%s\"%s", s->path->plugin,
		    plugin_names_hint(q->names, s->path->plugin, hint));
	} else if (is_part_unknown(s)) {
		there = missing_part_text(s->missing);
		xasprintf(&text, "no record has %s; %s", s->path->path.text, there);
		free(there);
	} else if (is_asked && s->part > 0 && s->part < q->n && !s->path->path.tolerant) {
		xasprintf(&text, "%zu of %zu hosts %s no %s", q->n - s->part, q->n,
		    q->n - s->part == 1 ? "has" : "have", s->path->path.text);
	}
	return text;
}

void
record_query_notes(struct record_query *q, record_query_note_fn *fn, void *arg)
{
	const char *rounded = jq_filter_rounded(q->filter);

	for (size_t i = 0; i < q->n_sights; i++) {
		char *text = describe_sight(q, &q->sights[i]);

		if (text != NULL)
			fn(text, arg);
		free(text);
	}
	if (rounded != NULL)
		fn(rounded, arg);
}
