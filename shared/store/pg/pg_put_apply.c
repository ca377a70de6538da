/* SPDX-License-Identifier: Apache-2.0 */
/* What the results of a write change of what is stored. See pg_put.h. */
#include "shared/store/pg/pg_put.h"

#include "shared/base/xalloc.h"
#include "shared/store/pg/pg_value.h"
#include "shared/wire/jsonx.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define JSON_MAX ((size_t)512 * 1024 * 1024)

/* ---- a host ---- */

static struct pg_touched *
touched_of(struct pg_host *h, const char *plugin)
{
	for (size_t i = 0; i < h->n_touched; i++)
		if (strcmp(h->touched[i].plugin, plugin) == 0)
			return &h->touched[i];
	return NULL;
}

static void
touch(struct pg_host *h, const struct result *r)
{
	struct pg_touched *t = touched_of(h, r->plugin);

	if (t == NULL) {
		t = &h->touched[h->n_touched++];
		t->plugin = r->plugin;
		t->fact.borrows = true;
		t->unparsed_bytes = -1;
	}
	if (r->value != NULL)
		t->newest = r;
}

static int
touched_cmp(const void *a, const void *b)
{
	const struct pg_touched *x = a, *y = b;

	return strcmp(x->plugin, y->plugin);
}

void
pg_host_init(struct pg_host *h, struct store_write *w)
{
	*h = (struct pg_host){.w = w, .state = PG_HOST_READ};
	h->head.host = xstrdup(w->host);
	h->touched = xcalloc(w->n + 1, sizeof(*h->touched));
	h->steps = xcalloc(w->n + 1, sizeof(*h->steps));
	for (size_t i = 0; i < w->n; i++)
		if (w->results[i]->plugin != NULL)
			touch(h, w->results[i]);
	/* All who write lock rows in one order, so nobody waits in a circle. */
	qsort(h->touched, h->n_touched, sizeof(*h->touched), touched_cmp);
}

static void
step_finish(struct pg_step *s)
{
	fact_columns_finish(&s->columns);
	json_decref(s->meta);
	json_decref(s->unparsed_json);
	free(s->rest);
	free(s->v_own);
}

void
pg_host_finish(struct pg_host *h)
{
	for (size_t i = 0; i < h->n_touched; i++) {
		fact_finish(&h->touched[i].fact);
		free(h->touched[i].base.v);
		free(h->touched[i].base.text);
	}
	for (size_t i = 0; i < h->n_steps; i++)
		step_finish(&h->steps[i]);
	free(h->touched);
	free(h->steps);
	free(h->why);
	record_head_finish(&h->head);
}

void
pg_host_reset(struct pg_host *h)
{
	struct store_write *w = h->w;

	pg_host_finish(h);
	pg_host_init(h, w);
}

/* ---- a fact ---- */

static char *
json_text(const json_t *value, size_t *len)
{
	struct buf text;

	buf_init(&text, JSON_MAX);
	if (!jsonx_write(&text, value))
		xalloc_fail(text.len);
	return buf_take(&text, len);
}

/* Takes the raw text out of the metadata, for it has a column of its own. */
static void
take_unparsed(struct pg_step *s, const struct fact *f)
{
	json_t *member = json_object_get(s->meta, "unparsed");

	if (f->unparsed != NULL) {
		s->unparsed = f->unparsed;
	} else if (json_is_true(member)) {
		s->keeps_unparsed = true;
	} else if (member != NULL) {
		s->unparsed_json = json_incref(member);
		s->unparsed = json_string_value(member);
	}
	json_object_del(s->meta, "unparsed");
}

static int64_t
meta_bytes(const struct pg_step *s, const struct pg_touched *t)
{
	size_t len, bytes = 2 * strlen(t->plugin) + 8;

	free(json_text(s->meta, &len));
	bytes += len;
	if (s->unparsed != NULL)
		bytes += jsonx_string_length(s->unparsed, strlen(s->unparsed));
	return (int64_t)bytes + (s->keeps_unparsed ? t->unparsed_bytes : 0);
}

/* A key value that cannot be read is none. */
static const char *
base_text(struct pg_base *b, struct value_coder *coder)
{
	if (b->seq != 0 && b->text == NULL &&
	    !pg_value_decode(coder, b->codec, b->v, b->v_len, b->bytes, NULL, 0, &b->text))
		b->seq = 0;
	return b->seq == 0 ? NULL : b->text;
}

static void
encode(
    struct value_coder *coder, const struct pg_touched *t, const char *key, struct value_coded *out)
{
	if (!value_encode(
		coder, t->fact.value, t->fact.value_len, key, key == NULL ? 0 : t->base.bytes, out))
		xalloc_fail(t->fact.value_len);
}

/* All values of a put are differences from the same one, or new ones to take differences from. */
static void
set_value(struct pg_step *s, struct pg_touched *t, struct value_coder *coder)
{
	struct pg_base *base = &t->base;
	struct value_coded coded;

	encode(coder, t, base_text(base, coder), &coded);
	if (coded.codec == VALUE_CODEC_DELTA &&
	    value_wants_key((uint64_t)base->since, coded.len, base->v_len))
		encode(coder, t, NULL, &coded);
	if (coded.codec == VALUE_CODEC_DELTA) {
		base->since += (int64_t)coded.len;
		s->base = base->seq;
		s->since_base = base->since;
	}
	s->codec = coded.codec;
	s->v_own = xcalloc(1, coded.len + 1);
	memcpy(s->v_own, coded.data, coded.len);
	s->v = s->v_own;
	s->v_len = coded.len;
	value_coder_trim(coder);
	s->at = s->columns.changed_at > t->at ? s->columns.changed_at : t->at;
	t->at = s->at;
	t->value_bytes = (int64_t)t->fact.value_len;
}

/* Writes down how the fact stands. */
static void
add_step(struct pg_host *h, struct pg_touched *t, struct value_coder *coder)
{
	struct pg_step *s = &h->steps[h->n_steps++];

	assert(h->n_steps <= h->w->n);
	*s = (struct pg_step){.t = t, .is_first = !t->has_step};
	s->meta = json_copy(t->fact.meta);
	take_unparsed(s, &t->fact);
	fact_columns_take(&s->columns, s->meta, t->received_at);
	if (s->columns.rest != NULL)
		s->rest = json_text(s->columns.rest, NULL);
	if (t->pending == RECORD_VALUE)
		set_value(s, t, coder);
	t->meta_bytes = meta_bytes(s, t);
	s->value_bytes = t->value_bytes;
	s->meta_bytes = t->meta_bytes;
	t->has_step = true;
	t->pending = RECORD_UNCHANGED;
}

/* ---- the rule ---- */

/* The host's own row has what no row of a plugin has: when it was made, the last error, greetings.
 */
static void
apply_result(struct pg_host *h, struct pg_touched *t, struct result *r)
{
	const json_t *error = h->head.last_error;
	bool is_new = h->head.created_at == 0, changed = false;
	enum record_change change;

	change = record_apply(&h->head, t == NULL ? NULL : &t->fact, r, &changed);
	if (changed && (change == RECORD_UNCHANGED || is_new || h->head.last_error != error))
		h->head_changed = true;
	if (change == RECORD_UNCHANGED)
		return;
	if (!r->forget_order && r->received_at > t->received_at)
		t->received_at = r->received_at;
	if (change > t->pending)
		t->pending = change;
}

static bool
comes_again(const struct store_write *w, size_t i)
{
	for (size_t k = i + 1; k < w->n; k++)
		if (w->results[k]->plugin != NULL &&
		    strcmp(w->results[k]->plugin, w->results[i]->plugin) == 0)
			return true;
	return false;
}

static bool
is_too_large(const struct pg_host *h, uint64_t record_max_bytes)
{
	int64_t grown = -h->error_bytes;
	size_t len = 0;

	if (h->head.last_error != NULL)
		free(json_text(h->head.last_error, &len));
	grown += (int64_t)len;
	for (size_t i = 0; i < h->n_touched; i++) {
		const struct pg_touched *t = &h->touched[i];

		if (t->has_step)
			grown += t->value_bytes + t->meta_bytes + t->grown;
	}
	/* What shrinks a record, or leaves its size, is always taken, so that lowering the limit
	 * does not lock a host out. */
	return grown > 0 && h->stored_bytes + h->error_bytes + grown > (int64_t)record_max_bytes;
}

/* Each value has its entry in the history, so what follows it begins another step. */
void
pg_put_apply(struct pg_host *h, struct value_coder *coder, uint64_t record_max_bytes)
{
	const struct store_write *w = h->w;

	assert(h->state == PG_HOST_READ);
	for (size_t i = 0; i < w->n; i++) {
		struct result *r = w->results[i];
		struct pg_touched *t = r->plugin == NULL ? NULL : touched_of(h, r->plugin);

		apply_result(h, t, r);
		if (t != NULL && t->pending == RECORD_VALUE && comes_again(w, i))
			add_step(h, t, coder);
	}
	for (size_t i = 0; i < h->n_touched; i++)
		if (h->touched[i].pending != RECORD_UNCHANGED)
			add_step(h, &h->touched[i], coder);
	h->state = PG_HOST_APPLIED;
	if (is_too_large(h, record_max_bytes)) {
		h->state = PG_HOST_ANSWERED;
		h->status = STORE_REJECT;
		h->why = xcalloc(1, sizeof(*h->why));
		trouble_set(h->why, TROUBLE_OTHER, NULL, "record too large");
	}
}
