/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/store/couch/couch_doc.h"

#include "shared/base/buf.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/store/couch/pack.h"
#include "shared/store/store.h"
#include "shared/wire/jsonx.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The number is in the record under "vogeler": no plugin's name begins like that. */
#define NUMBER_KEY "_mark"

enum {
	MARK_PAYS_BYTES = 8 * 1024, /* of values: a smaller record is as soon written itself */
};

struct couch_doc *
couch_doc_create(const char *host)
{
	struct couch_doc *d = xcalloc(1, sizeof(*d));

	d->head.host = xstrdup(host);
	return d;
}

static void
drop_value(struct couch_doc *d, size_t i)
{
	if (!d->parts[i].borrowed)
		free(d->facts[i].value);
	d->facts[i].value = NULL;
	d->parts[i].borrowed = false;
}

void
couch_doc_destroy(struct couch_doc *d)
{
	if (d == NULL)
		return;
	for (size_t i = 0; i < d->n; i++) {
		free(d->plugins[i]);
		drop_value(d, i);
		fact_finish(&d->facts[i]);
		free(d->parts[i].packed);
	}
	free(d->plugins);
	free(d->facts);
	free(d->parts);
	free(d->rev);
	json_decref(d->lost);
	couch_mark_finish(&d->mark);
	free(d->confirmed);
	free(d->pending);
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

size_t
couch_doc_place(struct couch_doc *d, const char *plugin)
{
	bool there;
	size_t i = find(d, plugin, &there);

	if (there)
		return i;
	if (d->n == d->cap) {
		d->cap = d->cap == 0 ? 8 : d->cap * 2;
		d->plugins = xreallocarray(d->plugins, d->cap, sizeof(*d->plugins));
		d->facts = xreallocarray(d->facts, d->cap, sizeof(*d->facts));
		d->parts = xreallocarray(d->parts, d->cap, sizeof(*d->parts));
	}
	memmove(&d->plugins[i + 1], &d->plugins[i], (d->n - i) * sizeof(*d->plugins));
	memmove(&d->facts[i + 1], &d->facts[i], (d->n - i) * sizeof(*d->facts));
	memmove(&d->parts[i + 1], &d->parts[i], (d->n - i) * sizeof(*d->parts));
	d->plugins[i] = xstrdup(plugin);
	d->facts[i] = (struct fact){0};
	d->parts[i] = (struct couch_part){0};
	d->n++;
	return i;
}

static struct fact *
fact_of(struct couch_doc *d, const char *plugin)
{
	size_t i = couch_doc_place(d, plugin); /* may move facts */

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

	if (j == NULL && note.refusal == JSONX_MEMORY)
		xalloc_fail(s.len); /* or it would look damaged */
	return j != NULL ? j : parse_foreign(s);
}

/* The canonical text of a value; or, where that would change it (integers beyond 64 bits, repeated
 * keys) or is refused (nesting), its own text. */
static bool
set_value(struct fact *f, struct jspan s)
{
	static const struct jsonx_limits depth_only = {.depth = JSONX_DEPTH_MAX};
	struct jsonx_note note = {0};
	struct buf text;
	char err[128];
	bool canonical;
	json_t *j;

	free(f->value); /* of an earlier member of the same name: the last one counts */
	f->value = NULL;
	f->value_len = 0;
	/* Canonical text may be longer: a real printed shorter by someone else's rules. */
	buf_init(&text, s.len * 4 + 64);
	canonical = jsonx_rewrite(&text, s.text, s.len, &depth_only, &note, err, sizeof(err)) &&
		    !jsonx_is_odd(&note);
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

		if (strcmp(plugin, NUMBER_KEY) == 0 && json_integer_value(meta) > 0)
			d->number = json_integer_value(meta);
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

	if (text != NULL && !wallclock_parse(text, &ms))
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
	if (strcmp(key, "_conflicts") == 0) {
		json_decref(d->lost);
		d->lost = parse_any(s);
		return true;
	}
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

static const char *
hash_of(const json_t *meta)
{
	return json_string_value(json_object_get(meta, "hash"));
}

static bool
has_hash(const char *value, size_t len, const char *hash)
{
	char text[IDENT_HASH_SIZE];

	ident_hash(text, value, len);
	return strcmp(text, hash) == 0;
}

/* Finds values that were edited: what meta says holds only for the value it was written with. */
static void
find_edited(struct couch_doc *d)
{
	for (size_t i = 0; i < d->n; i++) {
		const struct fact *f = &d->facts[i];
		const char *hash = hash_of(f->meta);

		d->parts[i].edited =
		    hash != NULL && (f->value == NULL || !has_hash(f->value, f->value_len, hash));
	}
}

struct couch_doc *
couch_doc_parse(const char *host, struct jspan doc, struct trouble *why)
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
			trouble_set(why, TROUBLE_OTHER,
			    "remove that member there; answers bring it back",
			    "the record in the store has a member %.*s that cannot be read",
			    key.len > 80 ? 80 : (int)key.len, key.text);
			couch_doc_destroy(d);
			return NULL;
		}
	}
	if (it.bad || d->rev == NULL) {
		trouble_set(why, TROUBLE_OTHER, NULL, "the store's answer is not a document");
		couch_doc_destroy(d);
		return NULL;
	}
	find_edited(d);
	return d;
}

/* ---- what a result makes of it ---- */

static bool
has_failure(const struct fact *f)
{
	return json_object_get(f->meta, "failure") != NULL;
}

/* The value that it had is gone, and the result's in its place. */
static void
note_borrowed(struct couch_part *part)
{
	free(part->packed);
	*part = (struct couch_part){.fresh = part->fresh, .borrowed = true};
}

static bool
same_hash(const json_t *meta, const char *hash)
{
	const char *text = hash_of(meta);

	return text != NULL && hash != NULL && strcmp(text, hash) == 0;
}

/* The host's value is what it was, so it is not said to have changed; the record has it again. */
static bool
puts_right(struct couch_doc *d, size_t i, const struct result *r)
{
	struct fact *f = &d->facts[i];

	if (!d->parts[i].edited || r->value == NULL || !same_hash(f->meta, r->hash))
		return false;
	drop_value(d, i);
	f->value = r->value;
	f->value_len = r->value_len;
	note_borrowed(&d->parts[i]);
	return true;
}

/* Borrows the text of a value that is there compressed: should the record be written, it is at
 * hand. */
static void
borrow_packed(struct couch_doc *d, size_t i, const struct result *r)
{
	struct fact *f = &d->facts[i];

	if (f->value != NULL || d->parts[i].packed == NULL || r->value == NULL ||
	    !same_hash(f->meta, r->hash))
		return;
	f->value = r->value;
	d->parts[i].borrowed = true;
}

static enum couch_change
apply_to_plugin(struct couch_doc *d, struct result *r, bool *head_changed)
{
	size_t i = couch_doc_place(d, r->plugin);
	struct fact *f = &d->facts[i];
	bool failed = has_failure(f), was_borrowed = d->parts[i].borrowed;
	char *was = f->value;
	enum record_change change;

	f->borrows = r->unparsed == NULL; /* that stays in meta, which is kept */
	change = record_apply(&d->head, f, r, head_changed);
	f->borrows = false;
	switch (change) {
	case RECORD_UNCHANGED:
		return puts_right(d, i, r) ? COUCH_CHANGED : COUCH_SAME;
	case RECORD_VALUE:
		if (!was_borrowed)
			free(was);
		note_borrowed(&d->parts[i]);
		return COUCH_CHANGED;
	case RECORD_META:
		break;
	}
	d->parts[i].fresh = true;
	if (puts_right(d, i, r))
		return COUCH_CHANGED;
	borrow_packed(d, i, r);
	return failed || has_failure(f) ? COUCH_CHANGED : COUCH_FRESH;
}

static enum couch_change
apply_result(struct couch_doc *d, struct result *r)
{
	json_t *error = json_incref(d->head.last_error);
	enum couch_change change = COUCH_SAME;
	bool head_changed = false, changed;

	if (r->plugin != NULL)
		change = apply_to_plugin(d, r, &head_changed);
	else
		record_apply(&d->head, NULL, r, &head_changed);
	changed = d->head.last_error != error;
	json_decref(error);
	if (changed)
		return COUCH_CHANGED;
	return change == COUCH_SAME && head_changed ? COUCH_FRESH : change;
}

enum couch_change
couch_doc_apply(struct couch_doc *d, const struct store_write *w)
{
	if (d->rev == NULL) /* a greeting alone makes a host known */
		d->change = COUCH_CHANGED;
	for (size_t i = 0; i < w->n; i++) {
		enum couch_change change = apply_result(d, w->results[i]);

		if (change > d->change)
			d->change = change;
	}
	if (d->change == COUCH_SAME && !couch_doc_is_proven(d))
		d->change = COUCH_FRESH;
	return d->change;
}

static bool
confirms(const struct couch_doc *d, const struct result *r)
{
	bool there;
	size_t i;

	if (r->plugin == NULL)
		return r->error == NULL;
	if (r->meta.state != WIRE_OK || r->value == NULL)
		return false;
	i = find(d, r->plugin, &there);
	return there && !d->parts[i].edited && !has_failure(&d->facts[i]) &&
	       same_hash(d->facts[i].meta, r->hash);
}

bool
couch_doc_confirms(const struct couch_doc *d, const struct store_write *w)
{
	for (size_t i = 0; i < w->n; i++)
		if (!confirms(d, w->results[i]))
			return false;
	return couch_doc_takes_mark(d);
}

/* ---- marks ---- */

const char *
couch_marked_host(const char *id)
{
	size_t len = strlen(COUCH_MARKS_START);

	return strncmp(id, COUCH_MARKS_START, len) == 0 ? id + len : NULL;
}

void
couch_mark_finish(struct couch_mark *m)
{
	free(m->rev);
	json_decref(m->metas);
	json_decref(m->lost);
	*m = (struct couch_mark){0};
}

bool
couch_mark_parse(struct jspan doc, struct couch_mark *m)
{
	struct trouble why;
	json_t *j = couch_doc_json(doc, &why);
	const char *rev = json_string_value(json_object_get(j, "_rev"));
	const char *at = json_string_value(json_object_get(j, "updated_at"));
	json_t *metas = json_object_get(j, "vogeler");

	*m = (struct couch_mark){0};
	if (rev != NULL) {
		m->rev = xstrdup(rev);
		m->of = json_integer_value(json_object_get(j, "of"));
		m->sealed = json_is_true(json_object_get(j, "sealed"));
		m->metas = json_is_object(metas) ? json_incref(metas) : NULL;
		m->lost = json_incref(json_object_get(j, "_conflicts"));
		if (at == NULL || !wallclock_parse(at, &m->updated_at))
			m->updated_at = 0;
	}
	json_decref(j);
	return rev != NULL;
}

/* A restored or edited record may have another value under the same number. */
static bool
is_of_value(const json_t *mark, const json_t *meta)
{
	if (!json_is_object(mark) || !json_is_object(meta))
		return false;
	return same_hash(mark, hash_of(meta)) || (hash_of(mark) == NULL && hash_of(meta) == NULL);
}

/* Writes what the mark says: all that was confirmed since the record was written. */
static bool
write_confirmed(struct buf *out, const struct couch_doc *d)
{
	char at[WALLCLOCK_TEXT_SIZE];
	bool first = true;

	if (!buf_printf(out, "\"updated_at\":\"%s\",\"vogeler\":{",
		wallclock_format(d->head.updated_at, at)))
		return false;
	for (size_t i = 0; i < d->n; i++) {
		if (!d->parts[i].fresh)
			continue;
		if ((!first && !buf_append_char(out, ',')) ||
		    !jsonx_write_text(out, d->plugins[i]) || !buf_append_char(out, ':') ||
		    !jsonx_write(out, d->facts[i].meta))
			return false;
		first = false;
	}
	return buf_append_char(out, '}');
}

static char *
confirmed_text(const struct couch_doc *d)
{
	struct buf out;

	buf_init(&out, SIZE_MAX / 2); /* of metadata that is in memory */
	if (write_confirmed(&out, d))
		return buf_take(&out, NULL);
	buf_finish(&out);
	return NULL;
}

/* Times are texts that sort as they do. */
static bool
is_later(const json_t *mark, const json_t *meta)
{
	const char *a = json_string_value(json_object_get(mark, "received_at"));
	const char *b = json_string_value(json_object_get(meta, "received_at"));

	return a == NULL || b == NULL || strcmp(a, b) > 0;
}

bool
couch_doc_confirm(struct couch_doc *d, const struct couch_mark *m)
{
	const char *plugin;
	json_t *meta;
	bool changed = false;

	if (d->number == 0 || m->of != d->number || m->metas == NULL)
		return false;
	json_object_foreach (m->metas, plugin, meta) {
		bool there;
		size_t i = find(d, plugin, &there);

		if (!there || !is_of_value(meta, d->facts[i].meta) ||
		    !is_later(meta, d->facts[i].meta))
			continue;
		json_decref(d->facts[i].meta);
		d->facts[i].meta = json_incref(meta);
		d->parts[i].fresh = true;
		changed = true;
	}
	if (m->updated_at > d->head.updated_at)
		d->head.updated_at = m->updated_at;
	return changed;
}

bool
couch_doc_take_mark(struct couch_doc *d, struct couch_mark *m)
{
	couch_mark_finish(&d->mark);
	d->mark = *m;
	*m = (struct couch_mark){0};
	if (d->number == 0 || d->mark.of != d->number || d->mark.metas == NULL)
		return true;
	couch_doc_confirm(d, &d->mark);
	json_decref(d->mark.metas);
	d->mark.metas = NULL;
	free(d->confirmed);
	d->confirmed = confirmed_text(d);
	return d->confirmed != NULL;
}

static bool
is_of_record(const struct couch_doc *d)
{
	return d->number > 0 && d->mark.of == d->number;
}

bool
couch_doc_is_proven(const struct couch_doc *d)
{
	return d->proven && (!is_of_record(d) || d->mark.proven);
}

bool
couch_doc_is_open(const struct couch_doc *d)
{
	/* A mark of a later number: the record was overtaken, or put back from a backup. */
	if (d->number == 0 || d->mark.of > d->number)
		return false;
	/* A seal that may be lost with a node keeps nobody from writing a mark. */
	return !(is_of_record(d) && d->mark.sealed && d->mark.proven);
}

bool
couch_doc_takes_mark(const struct couch_doc *d)
{
	return d->proven && couch_doc_is_open(d) && !(is_of_record(d) && d->mark.sealed);
}

static bool
write_mark_head(struct buf *out, const struct couch_doc *d)
{
	if (!buf_printf(out, "{\"_id\":\"" COUCH_MARKS_START "%s\"", d->head.host))
		return false;
	if (d->mark.rev != NULL &&
	    (!buf_append_str(out, ",\"_rev\":") || !jsonx_write_text(out, d->mark.rev)))
		return false;
	return buf_printf(out, ",\"doc_type\":\"RecordMark\",\"of\":%" PRIi64, d->number);
}

bool
couch_doc_write_mark(struct buf *out, struct couch_doc *d)
{
	free(d->pending);
	d->pending = confirmed_text(d);
	return d->pending != NULL && write_mark_head(out, d) && buf_append_char(out, ',') &&
	       buf_append_str(out, d->pending) && buf_append_char(out, '}');
}

bool
couch_doc_write_seal(struct buf *out, const struct couch_doc *d)
{
	return write_mark_head(out, d) && buf_append_str(out, ",\"sealed\":true") &&
	       (d->confirmed == NULL ||
		   (buf_append_char(out, ',') && buf_append_str(out, d->confirmed))) &&
	       buf_append_char(out, '}');
}

static void
set_mark(struct couch_doc *d, const char *rev, bool sealed)
{
	free(d->mark.rev);
	d->mark.rev = xstrdup(rev);
	d->mark.of = d->number;
	d->mark.sealed = sealed;
	d->mark.proven = true;
}

void
couch_doc_set_marked(struct couch_doc *d, const char *rev)
{
	set_mark(d, rev, false);
	free(d->confirmed);
	d->confirmed = d->pending;
	d->pending = NULL;
	d->change = COUCH_SAME;
}

void
couch_doc_set_sealed(struct couch_doc *d, const char *rev)
{
	set_mark(d, rev, true);
}

/* ---- the record ---- */

static size_t
value_bytes(const struct couch_doc *d)
{
	size_t bytes = 0;

	for (size_t i = 0; i < d->n; i++)
		bytes += d->facts[i].value_len;
	return bytes;
}

/* The number with which it is written: one that no earlier one has had, or 0. Where every write
 * brings another value marks would be of no use, and sealing them has its price: the number is
 * kept as long as marks are written, and comes back with the next value that is only confirmed. */
static int64_t
next_number(const struct couch_doc *d)
{
	bool useful = d->rev == NULL || d->change == COUCH_FRESH || d->confirmed != NULL;

	if (d->unmarked || !useful || value_bytes(d) < MARK_PAYS_BYTES)
		return 0;
	return (d->number > d->mark.of ? d->number : d->mark.of) + 1;
}

/* The number goes in as the metadata of a plugin that has no value. */
bool
couch_doc_write(struct buf *out, const struct couch_doc *d)
{
	int64_t number = next_number(d);
	const char **plugins = xcalloc(d->n + 1, sizeof(*plugins));
	struct fact *facts = xcalloc(d->n + 1, sizeof(*facts));
	bool ok;

	for (size_t i = 0; i < d->n; i++) {
		plugins[i] = d->plugins[i];
		facts[i] = d->facts[i];
	}
	plugins[d->n] = NUMBER_KEY;
	facts[d->n].meta = number > 0 ? json_integer(number) : NULL;
	ok = record_write(out, &d->head, d->rev, plugins, facts, d->n + 1);
	json_decref(facts[d->n].meta);
	free(plugins);
	free(facts);
	return ok;
}

void
couch_doc_set_rev(struct couch_doc *d, const char *rev)
{
	d->number = next_number(d);
	free(d->rev);
	d->rev = xstrdup(rev);
	d->proven = true;
	free(d->confirmed);
	d->confirmed = NULL;
	d->change = COUCH_SAME;
	for (size_t i = 0; i < d->n; i++)
		d->parts[i].fresh = false;
}

/* ---- in memory ---- */

void
couch_doc_own(struct couch_doc *d)
{
	for (size_t i = 0; i < d->n; i++) {
		struct fact *f = &d->facts[i];

		if (d->parts[i].borrowed)
			f->value = xstrndup(f->value, f->value_len);
		d->parts[i].borrowed = false;
	}
}

void
couch_doc_pack(struct couch_doc *d, struct pack *p)
{
	for (size_t i = 0; i < d->n; i++) {
		struct fact *f = &d->facts[i];
		struct couch_part *part = &d->parts[i];

		if (f->value == NULL)
			continue;
		if (part->packed == NULL)
			part->packed = pack_text(p, f->value, f->value_len, &part->packed_len);
		if (part->packed != NULL)
			drop_value(d, i);
	}
	couch_doc_own(d);
}

bool
couch_doc_unpack(struct couch_doc *d, struct pack *p)
{
	for (size_t i = 0; i < d->n; i++) {
		struct fact *f = &d->facts[i];
		const struct couch_part *part = &d->parts[i];

		if (f->value != NULL || part->packed == NULL)
			continue;
		f->value = pack_open(p, part->packed, part->packed_len, f->value_len);
		if (f->value == NULL)
			return false;
	}
	return true;
}

enum {
	META_MEMBER_BYTES =
	    160,               /* jansson takes about this much for a member with a short string */
	HEAD_TEXT_BYTES = 300, /* of a record as text: what is neither value nor metadata */
	META_TEXT_BYTES = 450, /* the metadata of a plugin */
};

size_t
couch_doc_bytes(const struct couch_doc *d)
{
	size_t bytes = sizeof(*d) + 256;

	bytes += d->cap * (sizeof(*d->plugins) + sizeof(*d->facts) + sizeof(*d->parts));
	bytes += d->confirmed != NULL ? strlen(d->confirmed) : 0;
	for (size_t i = 0; i < d->n; i++)
		bytes += 64 + (d->facts[i].value != NULL ? d->facts[i].value_len : 0) +
			 d->parts[i].packed_len +
			 json_object_size(d->facts[i].meta) * META_MEMBER_BYTES;
	bytes += json_object_size(d->head.last_error) * META_MEMBER_BYTES;
	return bytes;
}

size_t
couch_doc_text_bytes(const struct couch_doc *d, const struct store_write *w)
{
	size_t bytes = HEAD_TEXT_BYTES + value_bytes(d) + d->n * META_TEXT_BYTES;

	for (size_t i = 0; i < w->n; i++) {
		const struct result *r = w->results[i];
		bool there = false;
		size_t at = r->plugin != NULL ? find(d, r->plugin, &there) : 0;

		bytes += r->value_len + (there ? 0 : META_TEXT_BYTES);
		if (there && r->value != NULL)
			bytes -= d->facts[at].value_len; /* counted above */
	}
	return bytes;
}

/* ---- for readers ---- */

bool
couch_doc_is_record(const json_t *doc)
{
	const char *type = json_string_value(json_object_get(doc, "doc_type"));

	return type != NULL && strcmp(type, COUCH_RECORD_TYPE) == 0;
}

json_t *
couch_doc_json(struct jspan doc, struct trouble *why)
{
	struct jspan_iter it;
	struct jspan key, value;
	json_t *rec = json_object();

	trouble_set(why, TROUBLE_OTHER, NULL, "the store's answer is not a document");
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

static bool
is_edited(const json_t *value, const char *hash)
{
	struct buf text;
	bool same;

	if (value == NULL)
		return true;
	buf_init(&text, SIZE_MAX / 2); /* of a value that is in memory */
	same = jsonx_write(&text, value) && has_hash(text.data, text.len, hash);
	buf_finish(&text);
	return !same;
}

void
couch_doc_show_edited(json_t *rec)
{
	const char *plugin, *hash;
	json_t *meta;

	json_object_foreach (json_object_get(rec, "vogeler"), plugin, meta) {
		hash = hash_of(meta);
		if (hash != NULL && is_edited(json_object_get(rec, plugin), hash))
			json_object_set_new(meta, "edited", json_true());
	}
}

void
couch_doc_show(json_t *rec, const struct couch_mark *m)
{
	json_t *metas = json_object_get(rec, "vogeler"), *meta;
	int64_t number = json_integer_value(json_object_get(metas, NUMBER_KEY)), shown = 0;
	const char *plugin, *at = json_string_value(json_object_get(rec, "updated_at"));
	char text[WALLCLOCK_TEXT_SIZE];

	json_object_del(rec, "_rev"); /* the store's business, and no part of a record */
	if (json_is_object(metas))
		json_object_del(metas, NUMBER_KEY);
	if (number == 0 || m == NULL || m->of != number)
		return;
	json_object_foreach (m->metas, plugin, meta) {
		if (is_of_value(meta, json_object_get(metas, plugin)))
			json_object_set(metas, plugin, meta);
	}
	if (at == NULL || !wallclock_parse(at, &shown))
		shown = 0;
	if (m->updated_at > shown)
		jsonx_set_str(rec, "updated_at", wallclock_format(m->updated_at, text));
}
