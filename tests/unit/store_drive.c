/* SPDX-License-Identifier: Apache-2.0 */
/* See store_drive.h. */
#include "tests/unit/store_drive.h"

#include "shared/base/buf.h"
#include "shared/base/ident.h"
#include "shared/base/trouble.h"
#include "shared/base/uri.h"
#include "shared/base/xalloc.h"
#include "shared/wire/jsonx.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PATIENCE_MS 60000

/* ---- driving a store ---- */

static void
on_patience(void *arg)
{
	fail_msg("no answer from the store for %d s", PATIENCE_MS / 1000);
}

void
drive_wait(struct fixture *s, const bool *done)
{
	struct loop_timer *patience = loop_timer_create(s->loop, "patience", on_patience, NULL);

	loop_timer_arm(patience, PATIENCE_MS);
	while (!*done)
		loop_run(s->loop);
	loop_timer_destroy(patience);
}

static struct store *
open_store(struct loop *loop, const char *text, uint64_t record_max, struct trouble *why)
{
	struct options opt = {
	    .record_max_bytes = record_max,
	    .pg_connections = 4,
	    .batch_max_bytes = 256 * 1024,
	    .couch_requests = 4,
	    .couch_cache_bytes = 64 * 1024 * 1024,
	    .couch_timeout_ms = 30000,
	};
	struct store *store;
	struct uri uri;

	if (!uri_parse(text, &uri, why))
		fail_msg("%s", why->what);
	store = store_open(loop, &uri, &opt, STORE_MAKE, why);
	uri_finish(&uri);
	return store;
}

void
drive_open(struct fixture *s, const char *uri, uint64_t record_max_bytes)
{
	struct trouble why;

	s->loop = loop_create();
	s->store = open_store(s->loop, uri, record_max_bytes, &why);
	if (s->store == NULL)
		fail_msg(TROUBLE_FMT, TROUBLE_ARGS(&why));
}

void
drive_open_fails(const char *uri, const char *part)
{
	struct loop *loop = loop_create();
	char text[TROUBLE_WHAT_SIZE + TROUBLE_CURE_SIZE];
	struct trouble why = {0};

	assert_null(open_store(loop, uri, DRIVE_RECORD_MAX, &why));
	trouble_format(&why, text, sizeof(text));
	if (strstr(text, part) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", text, part);
	loop_destroy(loop);
}

void
drive_close(struct fixture *s)
{
	store_close(s->store);
	loop_destroy(s->loop);
}

/* What one call is waiting for. */
struct waiting {
	struct fixture *s;
	bool in_call; /* an answer may not come from inside the call */
	bool done;
	bool ok;
	char what[256];
	enum store_found found;
	json_t *recs;
};

static void
answered(struct waiting *w)
{
	assert_false(w->in_call);
	assert_false(w->done);
	w->done = true;
	loop_stop(w->s->loop);
}

static void
on_done(const struct trouble *why, const char *done, void *arg)
{
	struct waiting *w = arg;

	if (why != NULL)
		fail_msg(TROUBLE_FMT, TROUBLE_ARGS(why));
	snprintf(w->what, sizeof(w->what), "%s", done);
	answered(w);
}

void
drive_setup(struct fixture *s, const char *what)
{
	struct waiting w = {.s = s, .in_call = true};

	store_setup(s->store, on_done, &w);
	w.in_call = false;
	drive_wait(s, &w.done);
	if (what != NULL)
		assert_string_equal(w.what, what);
}

void
drive_forget(struct fixture *s, const char *host, const char *what)
{
	struct waiting w = {.s = s, .in_call = true};

	store_forget(s->store, host, on_done, &w);
	w.in_call = false;
	drive_wait(s, &w.done);
	assert_string_equal(w.what, what);
}

void
drive_load_design(struct fixture *s, json_t *doc, const char *what)
{
	struct waiting w = {.s = s, .in_call = true};

	store_load_design(s->store, doc, on_done, &w);
	w.in_call = false;
	drive_wait(s, &w.done);
	if (what != NULL)
		assert_string_equal(w.what, what);
}

static void
on_probed(const struct trouble *why, const char *done, void *arg)
{
	struct waiting *w = arg;

	w->ok = why == NULL;
	if (why == NULL)
		snprintf(w->what, sizeof(w->what), "%s", done);
	else
		trouble_format(why, w->what, sizeof(w->what));
	answered(w);
}

bool
drive_probe(struct fixture *s, char *what, size_t size)
{
	struct waiting w = {.s = s, .in_call = true};

	store_probe(s->store, on_probed, &w);
	w.in_call = false;
	drive_wait(s, &w.done);
	if (what != NULL)
		snprintf(what, size, "%s", w.what);
	return w.ok;
}

static void
on_got(enum store_found found, json_t *rec, const struct trouble *why, void *arg)
{
	struct waiting *w = arg;

	if (found == STORE_FAILED)
		fail_msg(TROUBLE_FMT, TROUBLE_ARGS(why));
	assert_int_equal(found == STORE_FOUND, rec != NULL);
	w->recs = json_incref(rec);
	answered(w);
}

json_t *
drive_get(struct fixture *s, const char *host)
{
	struct waiting w = {.s = s, .in_call = true};

	store_get(s->store, host, on_got, &w);
	w.in_call = false;
	drive_wait(s, &w.done);
	return w.recs;
}

static void
on_listed(enum store_found found, json_t *rec, const struct trouble *why, void *arg)
{
	struct waiting *w = arg;

	if (found == STORE_FAILED)
		fail_msg(TROUBLE_FMT, TROUBLE_ARGS(why));
	if (found == STORE_MISSING)
		answered(w);
	else
		json_array_append(w->recs, rec);
}

json_t *
drive_list(struct fixture *s)
{
	return drive_list_filtered(s, NULL);
}

static void
on_notes(enum store_found found, json_t *notes, const struct trouble *why, void *arg)
{
	struct waiting *w = arg;

	if (found != STORE_FOUND)
		fail_msg(TROUBLE_FMT, TROUBLE_ARGS(why));
	w->recs = json_incref(notes);
	answered(w);
}

void
drive_notes_put(struct fixture *s, const json_t *notes)
{
	struct waiting w = {.s = s, .in_call = true};

	store_notes_put(s->store, notes, on_done, &w);
	w.in_call = false;
	drive_wait(s, &w.done);
}

json_t *
drive_notes(struct fixture *s, const char *prefix)
{
	struct waiting w = {.s = s, .in_call = true};

	store_notes(s->store, prefix, on_notes, &w);
	w.in_call = false;
	drive_wait(s, &w.done);
	return w.recs;
}

json_t *
drive_list_filtered(struct fixture *s, const struct store_filter *filter)
{
	struct waiting w = {.s = s, .in_call = true, .recs = json_array()};

	store_list(s->store, filter, on_listed, &w);
	w.in_call = false;
	drive_wait(s, &w.done);
	return w.recs;
}

json_t *
drive_heads(struct fixture *s)
{
	struct waiting w = {.s = s, .in_call = true, .recs = json_array()};

	store_heads(s->store, on_listed, &w);
	w.in_call = false;
	drive_wait(s, &w.done);
	return w.recs;
}

struct putting {
	struct fixture *s;
	bool in_call;
	bool done;
	struct store_write *writes;
	size_t n, left;
	enum store_status *statuses;
	bool *seen;
	char (*why)[DRIVE_WHY_SIZE];
};

static void
on_written(struct store_write *w, enum store_status status, const struct trouble *why, void *arg)
{
	struct putting *p = arg;
	size_t i = (size_t)(w - p->writes);

	assert_false(p->in_call);
	assert_true(i < p->n);
	assert_false(p->seen[i]);
	p->seen[i] = true;
	p->statuses[i] = status;
	if (p->why != NULL && why != NULL)
		trouble_format(why, p->why[i], sizeof(p->why[i]));
	else if (p->why != NULL)
		p->why[i][0] = '\0';
	if (--p->left == 0) {
		p->done = true;
		loop_stop(p->s->loop);
	}
}

void
drive_put_batch(struct fixture *s, struct store_write *writes, size_t n,
    enum store_status *statuses, char (*why)[DRIVE_WHY_SIZE])
{
	struct putting p = {.s = s,
	    .in_call = true,
	    .writes = writes,
	    .n = n,
	    .left = n,
	    .statuses = statuses,
	    .why = why};
	struct store_write **pointers = xcalloc(n, sizeof(struct store_write *));
	size_t i;

	p.seen = xcalloc(n, sizeof(*p.seen));
	for (i = 0; i < n; i++)
		pointers[i] = &writes[i];
	store_put(s->store, pointers, n, on_written, &p);
	free(pointers); /* the writes are to live on, not the array */
	p.in_call = false;
	drive_wait(s, &p.done);
	free(p.seen);
}

void
drive_write_init(struct store_write *w, const char *host, struct result **results, size_t n)
{
	size_t i;

	*w = (struct store_write){.host = host, .results = results, .n = n};
	for (i = 0; i < n; i++)
		w->bytes += results[i]->value_len;
}

void
drive_results_free(struct result **results, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		result_finish(results[i]);
		free(results[i]);
	}
}

enum store_status
drive_put(struct fixture *s, const char *host, struct result *first, ...)
{
	struct result *results[32], *r;
	enum store_status status;
	struct store_write w;
	size_t n = 0;
	va_list ap;

	va_start(ap, first);
	for (r = first; r != NULL; r = va_arg(ap, struct result *))
		results[n++] = r;
	va_end(ap);
	drive_write_init(&w, host, results, n);
	drive_put_batch(s, &w, 1, &status, NULL);
	drive_results_free(results, n);
	return status;
}

/* ---- results ---- */

struct result *
drive_result(const char *plugin, int64_t order, int64_t at)
{
	struct result *r = xcalloc(1, sizeof(*r));

	result_init(r);
	r->plugin = xstrdup_null(plugin);
	r->format = WIRE_JSON;
	r->received_at = DRIVE_T0 + at;
	r->meta.order = order;
	if (order > 0)
		r->meta.machine_id = xstrdup(DRIVE_MACHINE);
	return r;
}

static char *
canonical(const char *text, size_t *len)
{
	char err[256] = "";
	json_t *value = jsonx_parse(text, strlen(text), NULL, err, sizeof(err));
	struct buf out;

	assert_string_equal(err, "");
	buf_init(&out, 64 * 1024 * 1024);
	assert_true(jsonx_write(&out, value));
	json_decref(value);
	return buf_take(&out, len);
}

struct result *
drive_good(const char *plugin, const char *value, int64_t order, int64_t at)
{
	struct result *r = drive_result(plugin, order, at);

	r->value = canonical(value, &r->value_len);
	ident_hash(r->hash, r->value, r->value_len);
	return r;
}

struct result *
drive_failed(const char *plugin, const char *error, int64_t order, int64_t at)
{
	struct result *r = drive_result(plugin, order, at);

	r->error = xstrdup(error);
	r->meta.state = WIRE_FAILED;
	r->meta.exit_status = 1;
	return r;
}

/* ---- comparing ---- */

static char *
pretty(const json_t *value)
{
	struct buf out;

	buf_init(&out, 64 * 1024 * 1024);
	assert_true(jsonx_write_pretty(&out, value));
	return buf_take(&out, NULL);
}

static void
fill_in_hashes(json_t *want)
{
	json_t *metas = json_object_get(want, "vogeler"), *meta;
	char hash[IDENT_HASH_SIZE];
	const char *plugin, *text;
	struct buf value;

	json_object_foreach (metas, plugin, meta) {
		text = json_string_value(json_object_get(meta, "hash"));
		if (text == NULL || strcmp(text, "@") != 0)
			continue;
		buf_init(&value, 64 * 1024 * 1024);
		assert_true(jsonx_write(&value, json_object_get(want, plugin)));
		ident_hash(hash, value.data, value.len);
		json_object_set_new(meta, "hash", json_string(hash));
		buf_finish(&value);
	}
}

void
drive_expect(struct fixture *s, const char *host, const char *want_text)
{
	json_t *rec = drive_get(s, host), *want;
	char err[256] = "";

	if (want_text == NULL) {
		assert_null(rec);
		return;
	}
	assert_non_null(rec);
	want = jsonx_parse(want_text, strlen(want_text), NULL, err, sizeof(err));
	assert_string_equal(err, "");
	fill_in_hashes(want);
	json_object_del(rec, "_rev");
	if (!json_equal(rec, want)) {
		char *is = pretty(rec), *should = pretty(want);

		print_error("is:\n%s\nshould be:\n%s\n", is, should);
		free(is);
		free(should);
		fail();
	}
	json_decref(want);
	json_decref(rec);
}
