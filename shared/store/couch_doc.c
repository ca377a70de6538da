#include "shared/store/couch_doc.h"

#include "shared/buf.h"
#include "shared/jsonx.h"
#include "shared/store/store.h"
#include "shared/wall.h"
#include "shared/xalloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct couch_doc *
couch_doc_create(const char *host)
{
	struct couch_doc *d = xcalloc(1, sizeof(*d));

	d->head.host = xstrdup(host);
	return d;
}

void
couch_doc_destroy(struct couch_doc *d)
{
	if (d == NULL)
		return;
	for (size_t i = 0; i < d->n; i++) {
		free(d->plugins[i]);
		fact_finish(&d->facts[i]);
	}
	free(d->plugins);
	free(d->facts);
	free(d->rev);
	record_head_finish(&d->head);
	free(d);
}

/* The place of a name, or where it would go. */
static size_t
find(const struct couch_doc *d, const char *plugin, bool *there)
{
	size_t lo = 0, hi = d->n;

	*there = false;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int cmp = strcmp(d->plugins[mid], plugin);

		if (cmp == 0) {
			*there = true;
			return mid;
		}
		if (cmp < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct fact *
fact_of(struct couch_doc *d, const char *plugin)
{
	bool there;
	size_t i = find(d, plugin, &there);

	if (there)
		return &d->facts[i];
	if (d->n == d->cap) {
		d->cap = d->cap == 0 ? 8 : d->cap * 2;
		d->plugins = xreallocarray(d->plugins, d->cap, sizeof(*d->plugins));
		d->facts = xreallocarray(d->facts, d->cap, sizeof(*d->facts));
	}
	memmove(&d->plugins[i + 1], &d->plugins[i], (d->n - i) * sizeof(*d->plugins));
	memmove(&d->facts[i + 1], &d->facts[i], (d->n - i) * sizeof(*d->facts));
	d->plugins[i] = xstrdup(plugin);
	d->facts[i] = (struct fact){0};
	d->n++;
	return &d->facts[i];
}

/* jansson's own limits (nesting of 2048) instead of ours, and integers beyond 64 bits as reals: for
 * what was written by somebody else. */
static json_t *
parse_foreign(struct jspan s)
{
	json_t *j = json_loadb(s.text, s.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

	if (j == NULL)
		j = json_loadb(s.text, s.len,
		    JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
	return j;
}

static json_t *
parse_any(struct jspan s)
{
	struct jsonx_note note = {0};
	char err[128];
	json_t *j = jsonx_parse(s.text, s.len, &note, err, sizeof(err));

	return j != NULL ? j : parse_foreign(s);
}

/* The canonical text of a value; or, where that would change it (integers beyond 64 bits) or is
 * refused (nesting, repeated keys), its own text. */
static bool
set_value(struct fact *f, struct jspan s)
{
	struct jsonx_note note = {0};
	struct buf text;
	char err[128];
	json_t *j = jsonx_parse(s.text, s.len, &note, err, sizeof(err));
	bool canonical;

	free(f->value); /* of an earlier member of the same name: the last one counts */
	f->value = NULL;
	f->value_len = 0;
	/* Canonical text may be longer: a real printed shorter by someone else's rules. */
	buf_init(&text, s.len * 4 + 64);
	canonical = j != NULL && note.big_integers == 0 && jsonx_write(&text, j);
	json_decref(j);
	if (!canonical) {
		j = parse_foreign(s);
		if (j == NULL) {
			buf_finish(&text);
			return false;
		}
		json_decref(j);
		buf_reset(&text);
		if (!buf_append(&text, s.text, s.len)) {
			buf_finish(&text);
			return false;
		}
	}
	f->value = buf_take(&text, &f->value_len);
	return true;
}

static bool
set_metas(struct couch_doc *d, struct jspan s)
{
	json_t *metas = parse_any(s), *meta;
	const char *plugin;

	if (!json_is_object(metas)) {
		json_decref(metas);
		return false;
	}
	json_object_foreach (metas, plugin, meta) {
		struct fact *f;

		if (!json_is_object(meta))
			continue; /* nothing of ours, and record_write could not place it */
		f = fact_of(d, plugin);
		json_decref(f->meta);
		f->meta = json_incref(meta);
	}
	json_decref(metas);
	return true;
}

/* 2010 wrote times without a fraction; what is no time at all counts as not known. */
static int64_t
time_of(struct jspan s)
{
	char *text = jspan_string(s);
	int64_t ms = 0;

	if (text != NULL && !wall_parse(text, &ms))
		ms = 0;
	free(text);
	return ms;
}

static bool
set_last_error(struct couch_doc *d, struct jspan s)
{
	json_decref(d->head.last_error);
	d->head.last_error = NULL;
	if (jspan_is(s, "null"))
		return true;
	d->head.last_error = parse_any(s);
	return d->head.last_error != NULL;
}

static bool
set_rev(struct couch_doc *d, struct jspan s)
{
	free(d->rev);
	d->rev = jspan_string(s);
	return d->rev != NULL;
}

static bool
set_member(struct couch_doc *d, const char *key, struct jspan s)
{
	if (strcmp(key, "_id") == 0 || strcmp(key, "system_name") == 0 ||
	    strcmp(key, "doc_type") == 0)
		return true; /* what record_write puts there */
	if (strcmp(key, "_rev") == 0)
		return set_rev(d, s);
	if (strcmp(key, "created_at") == 0)
		d->head.created_at = time_of(s);
	else if (strcmp(key, "updated_at") == 0)
		d->head.updated_at = time_of(s);
	else if (strcmp(key, "last_error") == 0)
		return set_last_error(d, s);
	else if (strcmp(key, "vogeler") == 0)
		return set_metas(d, s);
	else
		return set_value(fact_of(d, key), s);
	return true;
}

struct couch_doc *
couch_doc_parse(const char *host, struct jspan doc, char *err, size_t err_size)
{
	struct couch_doc *d = couch_doc_create(host);
	struct jspan_iter it;
	struct jspan key, value;

	if (!jspan_open(&it, doc) || jspan_kind(doc) != '{')
		it.bad = true;
	while (jspan_next_member(&it, &key, &value)) {
		char *name = jspan_string(key);
		bool ok = name != NULL && set_member(d, name, value);

		free(name);
		if (!ok) {
			snprintf(err, err_size,
			    "the record in the store has a member %.*s that cannot be read",
			    key.len > 80 ? 80 : (int)key.len, key.text);
			couch_doc_destroy(d);
			return NULL;
		}
	}
	if (it.bad || d->rev == NULL) {
		snprintf(err, err_size, "the store's answer is not a document");
		couch_doc_destroy(d);
		return NULL;
	}
	return d;
}

bool
couch_doc_apply(struct couch_doc *d, const struct store_write *w)
{
	bool changed = d->rev == NULL; /* a greeting alone makes a host known */

	for (size_t i = 0; i < w->n; i++) {
		const struct result *r = w->results[i];
		struct fact *f = r->plugin != NULL ? fact_of(d, r->plugin) : NULL;

		if (record_apply(&d->head, f, r, &changed) != RECORD_UNCHANGED)
			changed = true;
	}
	return changed;
}

bool
couch_doc_write(struct buf *out, const struct couch_doc *d)
{
	return record_write(out, &d->head, d->rev, (const char *const *)d->plugins, d->facts, d->n);
}

void
couch_doc_set_rev(struct couch_doc *d, const char *rev)
{
	free(d->rev);
	d->rev = xstrdup(rev);
}

/* jansson takes about this much for a member of an object with a short string. */
enum { META_MEMBER_BYTES = 160 };

size_t
couch_doc_bytes(const struct couch_doc *d)
{
	size_t bytes = sizeof(*d) + 256 + d->cap * (sizeof(*d->plugins) + sizeof(*d->facts));

	for (size_t i = 0; i < d->n; i++)
		bytes += 64 + d->facts[i].value_len +
			 json_object_size(d->facts[i].meta) * META_MEMBER_BYTES;
	bytes += json_object_size(d->head.last_error) * META_MEMBER_BYTES;
	return bytes;
}

json_t *
couch_doc_json(struct jspan doc, char *err, size_t err_size)
{
	struct jspan_iter it;
	struct jspan key, value;
	json_t *rec = json_object();

	snprintf(err, err_size, "the store's answer is not a document");
	if (rec == NULL || !jspan_open(&it, doc) || jspan_kind(doc) != '{') {
		json_decref(rec);
		return NULL;
	}
	while (jspan_next_member(&it, &key, &value)) {
		char *name = jspan_string(key);
		json_t *j = name != NULL ? parse_any(value) : NULL;
		bool ok = j != NULL && json_object_set_new(rec, name, j) == 0;

		free(name);
		if (!ok) {
			it.bad = true;
			break;
		}
	}
	if (it.bad) {
		json_decref(rec);
		return NULL;
	}
	return rec;
}
