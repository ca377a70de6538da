/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/store/couch/couch_stray.h"

#include "shared/base/buf.h"
#include "shared/base/xalloc.h"
#include "shared/store/couch/couch_doc.h"
#include "shared/wire/jsonx.h"

#include <stdlib.h>
#include <string.h>

void
couch_stray_init(struct couch_stray *s, const char *host)
{
	*s = (struct couch_stray){.entries = json_array()};
	xasprintf(&s->id, COUCH_STRAYS_START "%s", host);
}

void
couch_stray_finish(struct couch_stray *s)
{
	free(s->id);
	free(s->rev);
	json_decref(s->entries);
	*s = (struct couch_stray){0};
}

const char *
couch_stray_host(const struct couch_stray *s)
{
	return s->id + strlen(COUCH_STRAYS_START);
}

bool
couch_stray_take(struct couch_stray *s, const json_t *doc)
{
	const char *rev = json_string_value(json_object_get(doc, "_rev"));
	const char *id = json_string_value(json_object_get(doc, "_id"));
	json_t *entries = json_object_get(doc, "outcomes");

	if (rev == NULL || !json_is_array(entries) || id == NULL ||
	    strncmp(id, COUCH_STRAYS_START, strlen(COUCH_STRAYS_START)) != 0)
		return false;
	json_incref(entries);
	couch_stray_finish(s);
	*s = (struct couch_stray){.id = xstrdup(id), .rev = xstrdup(rev), .entries = entries};
	return true;
}

bool
couch_stray_parse(struct couch_stray *s, struct jspan doc)
{
	struct trouble why;
	json_t *j = couch_doc_json(doc, &why);
	bool ok = couch_stray_take(s, j);

	json_decref(j);
	return ok;
}

static const char *
text_of(const json_t *entry, const char *key)
{
	const char *text = json_string_value(json_object_get(entry, key));

	return text != NULL ? text : "";
}

static bool
is_late(const json_t *entry)
{
	return json_is_true(json_object_get(entry, "late"));
}

/* Compares as the rows of other stores do: one that is given again after a crash is the same. */
static bool
is_same(const json_t *a, const json_t *b)
{
	return strcmp(text_of(a, "job"), text_of(b, "job")) == 0 &&
	       strcmp(text_of(a, "state"), text_of(b, "state")) == 0 &&
	       strcmp(text_of(a, "response_id"), text_of(b, "response_id")) == 0 &&
	       json_integer_value(json_object_get(a, "order")) ==
		   json_integer_value(json_object_get(b, "order"));
}

void
couch_stray_add(struct couch_stray *s, const char *job, const json_t *outcome)
{
	json_t *entry = json_copy((json_t *)outcome), *other;
	size_t i = json_array_size(s->entries), k;

	json_object_del(entry, "host");
	jsonx_set_str(entry, "job", job);
	json_array_foreach (s->entries, k, other) {
		if (is_same(entry, other)) {
			json_decref(entry);
			return;
		}
	}
	/* Times are texts that sort as they do. */
	while (i > 0 &&
	       strcmp(text_of(json_array_get(s->entries, i - 1), "at"), text_of(entry, "at")) > 0)
		i--;
	json_array_insert_new(s->entries, i, entry);
}

static size_t
count_over(const struct couch_stray *s)
{
	size_t i, n = 0;
	json_t *entry;

	json_array_foreach (s->entries, i, entry)
		n += !is_late(entry);
	return n > OUTCOME_STRAYS_MAX ? n - OUTCOME_STRAYS_MAX : 0;
}

static void
note_job(json_t *jobs, const json_t *entry)
{
	json_object_set_new(jobs, text_of(entry, "job"), json_null());
}

void
couch_stray_over(const struct couch_stray *s, json_t *jobs)
{
	size_t i, over = count_over(s);
	json_t *entry;

	json_array_foreach (s->entries, i, entry) {
		if (over == 0)
			return;
		if (is_late(entry))
			continue;
		note_job(jobs, entry);
		over--;
	}
}

void
couch_stray_before(const struct couch_stray *s, const char *at, json_t *jobs)
{
	json_t *entry;
	size_t i;

	json_array_foreach (s->entries, i, entry)
		if (strcmp(text_of(entry, "at"), at) < 0)
			note_job(jobs, entry);
}

static bool
is_there(const json_t *there, const json_t *entry)
{
	return json_object_get(there, text_of(entry, "job")) != NULL;
}

size_t
couch_stray_trim(struct couch_stray *s, const json_t *there)
{
	size_t over = count_over(s), gone = 0, i = 0;

	while (over > 0) {
		json_t *entry = json_array_get(s->entries, i);

		if (is_late(entry)) {
			i++;
			continue;
		}
		over--;
		if (is_there(there, entry)) {
			json_object_set_new(entry, "late", json_true());
			i++;
		} else {
			json_array_remove(s->entries, i);
			gone++;
		}
	}
	return gone;
}

size_t
couch_stray_forget(struct couch_stray *s, const char *at, const json_t *there)
{
	size_t gone = 0, i = 0;

	while (i < json_array_size(s->entries)) {
		json_t *entry = json_array_get(s->entries, i);

		if (strcmp(text_of(entry, "at"), at) >= 0)
			break;
		if (is_there(there, entry)) {
			i++;
			continue;
		}
		json_array_remove(s->entries, i);
		gone++;
	}
	return gone;
}

bool
couch_stray_write(struct buf *out, const struct couch_stray *s)
{
	json_t *doc = json_object();
	bool ok;

	jsonx_set_str(doc, "_id", s->id);
	if (s->rev != NULL)
		jsonx_set_str(doc, "_rev", s->rev);
	if (json_array_size(s->entries) == 0) {
		json_object_set_new(doc, "_deleted", json_true());
	} else {
		const json_t *first = json_array_get(s->entries, 0);

		jsonx_set_str(doc, "doc_type", "Strays");
		if (json_object_get(first, "at") != NULL)
			json_object_set(doc, "oldest", json_object_get(first, "at"));
		json_object_set(doc, "outcomes", s->entries);
	}
	ok = jsonx_write(out, doc);
	json_decref(doc);
	return ok;
}

void
couch_stray_each(const struct couch_stray *s, const char *job, couch_stray_fn *fn, void *arg)
{
	json_t *entry;
	size_t i;

	json_array_foreach (s->entries, i, entry) {
		struct outcome o;

		if (strcmp(text_of(entry, "job"), job) != 0)
			continue;
		jsonx_set_str(entry, "host", couch_stray_host(s));
		if (outcome_from_json(entry, &o))
			fn(&o, arg);
	}
}
