/* See record_query.h. */
#include "shared/query/record_query.h"

#include "shared/phrase.h"
#include "shared/print/ticker.h"
#include "shared/query/jq_filter.h"
#include "shared/query/jq_plugins.h"
#include "shared/query/plugin_names.h"
#include "shared/store/store.h"
#include "shared/words.h"
#include "shared/xalloc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct record_query {
	struct record_query_request req;
	struct jq_filter *filter;
	struct ticker *ticker;
	char **plugins; /* that the program reads; NULL = it may be any */
	size_t n_plugins;
	bool *seen;                 /* of these: some record has it */
	struct plugin_names *names; /* if one was not seen: those that there are */
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
take_record(struct record_query *q, const json_t *rec)
{
	const char *host = json_string_value(json_object_get(rec, "_id"));
	char *why;

	if (host == NULL || (q->req.wants != NULL && !q->req.wants(host, q->req.arg)))
		return;
	q->n++;
	for (size_t i = 0; i < q->n_plugins; i++)
		q->seen[i] |= json_object_get(rec, q->plugins[i]) != NULL;
	if (jq_filter_add(q->filter, host, rec))
		return;
	xasprintf(&why, "cannot put the records aside: %s", phrase_errno(errno));
	end(q, RECORD_QUERY_BAD, why);
	free(why);
}

static void
query_on_listed(enum store_found found, json_t *rec, const char *why, void *arg)
{
	struct record_query *q = arg;

	if (q->ended)
		return;
	switch (found) {
	case STORE_FOUND:
		take_record(q, rec);
		break;
	case STORE_FAILED:
		end(q, RECORD_QUERY_NO_STORE, why);
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
is_unknown(const struct record_query *q, size_t plugin)
{
	return q->n > 0 && !q->seen[plugin] && strcmp(q->plugins[plugin], "_id") != 0;
}

static void
query_on_names(const struct plugin_names *names, const char *why, void *arg)
{
	end(arg, names == NULL ? RECORD_QUERY_NO_STORE : RECORD_QUERY_DONE, why);
}

static void
query_on_end(const char *why, void *arg)
{
	struct record_query *q = arg;
	bool unknown = false;

	for (size_t i = 0; i < q->n_plugins; i++)
		unknown |= is_unknown(q, i);
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
	if (jq_plugins(req->program, req->mode, &q->plugins, &q->n_plugins))
		q->seen = xcalloc(q->n_plugins + 1, sizeof(*q->seen));
	else
		q->n_plugins = 0;
	return q;
}

void
record_query_destroy(struct record_query *q)
{
	if (q == NULL)
		return;
	ticker_destroy(q->ticker);
	jq_filter_destroy(q->filter);
	plugin_names_destroy(q->names);
	words_free(q->plugins);
	free(q->seen);
	free(q);
}

void
record_query_notes(struct record_query *q, record_query_note_fn *fn, void *arg)
{
	const char *rounded = jq_filter_rounded(q->filter);

	for (size_t i = 0; i < q->n_plugins; i++) {
		char *text, hint[PLUGIN_NAMES_HINT_SIZE];

		if (q->names == NULL || !is_unknown(q, i))
			continue;
		xasprintf(&text, "no record has \"%s\"%s", q->plugins[i],
		    plugin_names_hint(q->names, q->plugins[i], hint));
		fn(text, arg);
		free(text);
	}
	if (rounded != NULL)
		fn(rounded, arg);
}
