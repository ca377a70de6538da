/* SPDX-License-Identifier: Apache-2.0 */
/* Notes, which have a table of their own. See pg.h. */
#include "shared/base/xalloc.h"
#include "shared/store/pg/pg.h"
#include "shared/wire/jsonx.h"

#include <stdlib.h>
#include <string.h>

struct notes_moving {
	struct pg_task task; /* first */
	struct pg_store *s;
	union {
		store_done_fn *done;
		store_got_fn *got;
	} fn;
	void *arg;
	json_t *put; /* {ID: value as text} */
	char *prefix;
	json_t *found;
	bool is_damaged;
};

static struct notes_moving *
notes_create(struct store *base, void *arg)
{
	struct notes_moving *n = xcalloc(1, sizeof(*n));

	n->s = (struct pg_store *)base;
	n->arg = arg;
	return n;
}

static void
notes_free(struct notes_moving *n)
{
	json_decref(n->put);
	json_decref(n->found);
	free(n->prefix);
	free(n);
}

/* Ids come sorted: two that write the same ones wait for each other, and not in a circle. */
static void
put_send(struct pg_task *t, struct pg_session *c)
{
	struct notes_moving *n = (struct notes_moving *)t;
	const char *id;
	json_t *text;

	json_object_foreach (n->put, id, text) {
		struct pg_args args = {0};

		pg_arg_text(&args, id);
		pg_arg_text(&args, json_string_value(text));
		pg_send(c, PG_STMT_NOTE_PUT, &args);
	}
}

static void
put_on_end(struct pg_task *t, enum pg_fault fault, const struct trouble *why)
{
	struct notes_moving *n = (struct notes_moving *)t;

	(void)fault;
	if (!n->s->closed)
		n->fn.done(why, why == NULL ? "stored" : NULL, n->arg);
	notes_free(n);
}

static int
id_cmp(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* In the order of their ids. */
static json_t *
texts_of(const json_t *notes)
{
	const char **ids = xcalloc(json_object_size(notes) + 1, sizeof(*ids)), *id;
	json_t *texts = json_object(), *value;
	size_t n = 0;

	json_object_foreach ((json_t *)notes, id, value)
		ids[n++] = id;
	qsort(ids, n, sizeof(*ids), id_cmp);
	for (size_t i = 0; i < n; i++) {
		char *text = json_dumps(json_object_get(notes, ids[i]),
		    JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);

		if (text == NULL || json_object_set_new(texts, ids[i], json_string(text)) != 0)
			xalloc_fail(0);
		free(text);
	}
	free(ids);
	return texts;
}

void
pg_notes_put(struct store *base, const json_t *notes, store_done_fn *fn, void *arg)
{
	struct notes_moving *n = notes_create(base, arg);

	n->task = (struct pg_task){.send = put_send, .on_end = put_on_end};
	n->fn.done = fn;
	n->put = texts_of(notes);
	pg_pool_submit(n->s->pool, &n->task);
}

static void
get_send(struct pg_task *t, struct pg_session *c)
{
	struct pg_args args = {0};

	pg_arg_text(&args, ((struct notes_moving *)t)->prefix);
	pg_send(c, PG_STMT_NOTES, &args);
}

static void
get_on_result(struct pg_task *t, unsigned int k, const PGresult *res)
{
	struct notes_moving *n = (struct notes_moving *)t;
	char err[128];

	(void)k;
	for (int row = 0; row < PQntuples(res); row++) {
		size_t len;
		const char *text = pg_text(res, row, 1, &len);
		json_t *value = jsonx_parse_stored(text, len, err, sizeof(err));

		if (value == NULL)
			n->is_damaged = true;
		else
			json_object_set_new(n->found, pg_text(res, row, 0, NULL), value);
	}
}

static void
get_on_end(struct pg_task *t, enum pg_fault fault, const struct trouble *why)
{
	struct notes_moving *n = (struct notes_moving *)t;
	struct trouble damaged = {0};

	if (fault == PG_FAULT_NONE && n->is_damaged) {
		trouble_set(&damaged, TROUBLE_OTHER, NULL, "a note is damaged: not JSON");
		why = &damaged;
	}
	if (!n->s->closed)
		n->fn.got(why == NULL ? STORE_FOUND : STORE_FAILED, why == NULL ? n->found : NULL,
		    why, n->arg);
	notes_free(n);
}

void
pg_notes(struct store *base, const char *prefix, store_got_fn *fn, void *arg)
{
	struct notes_moving *n = notes_create(base, arg);

	n->task =
	    (struct pg_task){.send = get_send, .on_result = get_on_result, .on_end = get_on_end};
	n->fn.got = fn;
	n->prefix = xstrdup(prefix);
	n->found = json_object();
	pg_pool_submit(n->s->pool, &n->task);
}
