/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/store/couch/couch_merge.h"

#include "shared/base/xalloc.h"
#include "shared/store/couch/couch_wire.h"

#include <stdlib.h>
#include <string.h>

/* A record that lost more often is merged in several turns. */
#define LOST_MAX 4

static void
ask(json_t *docs, const char *prefix, const struct couch_doc *d, const json_t *lost)
{
	const json_t *rev;
	size_t i;

	json_array_foreach (lost, i, rev) {
		if (i >= LOST_MAX || !json_is_string(rev))
			return;
		json_array_append_new(
		    docs, json_pack("{s:o,s:s}", "id", json_sprintf("%s%s", prefix, d->head.host),
			      "rev", json_string_value(rev)));
	}
}

void
couch_merge_ask(const struct couch_doc *d, json_t *docs)
{
	ask(docs, "", d, d->lost);
	ask(docs, COUCH_MARKS_START, d, d->mark.lost);
}

static void
take_doc(struct couch_merge *m, const char *host, struct jspan text)
{
	struct trouble why;
	struct couch_doc *doc = couch_doc_parse(host, text, &why);

	if (doc == NULL)
		return;
	m->docs = xreallocarray(m->docs, m->n_docs + 1, sizeof(struct couch_doc *));
	m->docs[m->n_docs++] = doc;
}

static void
take_mark(struct couch_merge *m, const char *host, struct jspan text)
{
	struct couch_mark mark;

	if (!couch_mark_parse(text, &mark))
		return;
	m->marks = xreallocarray(m->marks, m->n_marks + 1, sizeof(*m->marks));
	m->marks[m->n_marks++] = (struct couch_lost_mark){xstrdup(host), mark};
}

bool
couch_merge_read(struct couch_merge *m, const char *body, size_t len)
{
	struct couch_results results;
	struct jspan doc;
	char *id;

	*m = (struct couch_merge){0};
	if (!couch_results_open(&results, body, len))
		return false;
	while (couch_results_next(&results, &id, &doc)) {
		const char *marked = couch_marked_host(id);

		if (marked != NULL)
			take_mark(m, marked, doc);
		else
			take_doc(m, id, doc);
		free(id);
	}
	return !results.bad;
}

void
couch_merge_finish(struct couch_merge *m)
{
	for (size_t i = 0; i < m->n_docs; i++)
		couch_doc_destroy(m->docs[i]);
	for (size_t i = 0; i < m->n_marks; i++) {
		couch_mark_finish(&m->marks[i].mark);
		free(m->marks[i].host);
	}
	free(m->docs);
	free(m->marks);
	*m = (struct couch_merge){0};
}

/* ---- putting together ---- */

static bool
merge_plugin(struct couch_doc *d, struct couch_doc *lost, size_t k)
{
	size_t i = couch_doc_place(d, lost->plugins[k]);
	const char *value = d->facts[i].value;

	if (!fact_merge(&d->facts[i], &lost->facts[k]))
		return false;
	if (d->facts[i].value != value)
		d->parts[i].edited = lost->parts[k].edited;
	return true;
}

static bool
merge_head(struct record_head *h, const struct record_head *lost)
{
	bool changed = last_error_merge(&h->last_error, lost->last_error);

	if (lost->created_at > 0 && (h->created_at == 0 || lost->created_at < h->created_at)) {
		h->created_at = lost->created_at;
		changed = true;
	}
	if (lost->updated_at > h->updated_at) {
		h->updated_at = lost->updated_at;
		changed = true;
	}
	return changed;
}

static bool
is_of(const struct couch_doc *d, const char *host)
{
	return strcmp(d->head.host, host) == 0;
}

static json_t *
revs_of_docs(const struct couch_merge *m, const struct couch_doc *d)
{
	json_t *revs = json_array();

	for (size_t i = 0; i < m->n_docs; i++)
		if (is_of(d, m->docs[i]->head.host))
			json_array_append_new(revs, json_string(m->docs[i]->rev));
	return revs;
}

static json_t *
revs_of_marks(const struct couch_merge *m, const struct couch_doc *d)
{
	json_t *revs = json_array();

	for (size_t i = 0; i < m->n_marks; i++)
		if (is_of(d, m->marks[i].host))
			json_array_append_new(revs, json_string(m->marks[i].mark.rev));
	return revs;
}

/* A mark says something of the record that has its number, whichever of them lost. */
static bool
confirm_all(struct couch_merge *m, struct couch_doc *d)
{
	bool changed = false;

	for (size_t i = 0; i < m->n_docs; i++)
		if (is_of(d, m->docs[i]->head.host))
			couch_doc_confirm(m->docs[i], &d->mark);
	for (size_t k = 0; k < m->n_marks; k++) {
		const struct couch_mark *mark = &m->marks[k].mark;

		if (!is_of(d, m->marks[k].host))
			continue;
		for (size_t i = 0; i < m->n_docs; i++)
			if (is_of(d, m->docs[i]->head.host))
				couch_doc_confirm(m->docs[i], mark);
		changed = couch_doc_confirm(d, mark) || changed;
	}
	return changed;
}

/* Each plugin's longest: of which the newest is, is not looked at. */
size_t
couch_merge_bytes(const struct couch_merge *m, const struct couch_doc *d)
{
	struct couch_doc *longest = couch_doc_create(d->head.host);
	size_t bytes = 0;

	for (size_t i = 0; i <= m->n_docs; i++) {
		const struct couch_doc *one = i < m->n_docs ? m->docs[i] : d;

		for (size_t k = 0; is_of(d, one->head.host) && k < one->n; k++) {
			size_t at = couch_doc_place(longest, one->plugins[k]);

			if (one->facts[k].value_len > longest->facts[at].value_len)
				longest->facts[at].value_len = one->facts[k].value_len;
		}
	}
	for (size_t k = 0; k < longest->n; k++)
		bytes += longest->facts[k].value_len;
	couch_doc_destroy(longest);
	return bytes;
}

bool
couch_merge_apply(struct couch_merge *m, struct couch_doc *d)
{
	bool changed = confirm_all(m, d);

	json_decref(d->lost);
	json_decref(d->mark.lost);
	d->lost = revs_of_docs(m, d);
	d->mark.lost = revs_of_marks(m, d);
	for (size_t i = 0; i < m->n_docs; i++) {
		struct couch_doc *lost = m->docs[i];

		if (!is_of(d, lost->head.host))
			continue;
		changed = merge_head(&d->head, &lost->head) || changed;
		for (size_t k = 0; k < lost->n; k++)
			changed = merge_plugin(d, lost, k) || changed;
	}
	if (changed)
		d->change = COUCH_CHANGED;
	return changed;
}

static void
add_removal(json_t *docs, const char *prefix, const struct couch_doc *d, const json_t *lost)
{
	json_t *rev;
	size_t i;

	json_array_foreach (lost, i, rev)
		json_array_append_new(docs,
		    json_pack("{s:o,s:O,s:b}", "_id", json_sprintf("%s%s", prefix, d->head.host),
			"_rev", rev, "_deleted", 1));
}

json_t *
couch_merge_removal(const struct couch_doc *d)
{
	json_t *docs = json_array();

	add_removal(docs, "", d, d->lost);
	add_removal(docs, COUCH_MARKS_START, d, d->mark.lost);
	if (json_array_size(docs) > 0)
		return docs;
	json_decref(docs);
	return NULL;
}
