/* SPDX-License-Identifier: Apache-2.0 */
/* See head.h. */
#include "shared/store/head.h"

#include "shared/base/name.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/wire/jsonx.h"

#include <stdlib.h>
#include <string.h>

static const char *const meta_keys[] = {"collected_at", "failure", "machine_id", "older", "order",
    "other_machine", "received_at", "version"};
static const char *const failure_keys[] = {"at", "count", "message", "since", "state"};

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

/* Takes over value; NULL is left out. */
static void
set(json_t *obj, const char *key, json_t *value)
{
	if (value != NULL && json_object_set_new(obj, key, value) != 0)
		xalloc_fail(0);
}

static json_t *
new_object(void)
{
	json_t *obj = json_object();

	if (obj == NULL)
		xalloc_fail(0);
	return obj;
}

static json_t *
picked(const json_t *from, const char *const *keys, size_t n)
{
	json_t *obj = new_object();

	for (size_t i = 0; i < n; i++)
		set(obj, keys[i], json_incref(json_object_get(from, keys[i])));
	return obj;
}

/* The tails of what a plugin said are of no use in a list. */
static void
trim_failure(json_t *meta)
{
	const json_t *failure = json_object_get(meta, "failure");

	if (failure != NULL)
		set(meta, "failure", picked(failure, failure_keys, COUNT(failure_keys)));
}

json_t *
head_create(const struct record_head *h)
{
	json_t *head = new_object();
	char text[WALLCLOCK_TEXT_SIZE];

	jsonx_set_str(head, "_id", h->host);
	jsonx_set_str(head, "created_at", wallclock_format(h->created_at, text));
	jsonx_set_str(head, "updated_at", wallclock_format(h->updated_at, text));
	set(head, "last_error", json_incref(h->last_error));
	set(head, "vogeler", new_object());
	return head;
}

void
head_set_updated_at(json_t *head, int64_t updated_at)
{
	char text[WALLCLOCK_TEXT_SIZE];

	jsonx_set_str(head, "updated_at", wallclock_format(updated_at, text));
}

static bool
is_slim(const json_t *meta)
{
	size_t n = 0;

	for (size_t i = 0; i < COUNT(meta_keys); i++)
		n += json_object_get(meta, meta_keys[i]) != NULL;
	return n == json_object_size(meta) && json_object_get(meta, "failure") == NULL;
}

void
head_add(json_t *head, const char *plugin, json_t *meta)
{
	json_t *slim =
	    is_slim(meta) ? json_incref(meta) : picked(meta, meta_keys, COUNT(meta_keys));

	trim_failure(slim);
	set(json_object_get(head, "vogeler"), plugin, slim);
	json_decref(meta);
}

json_t *
head_of_record(const json_t *rec)
{
	static const char *const keys[] = {"_id", "created_at", "last_error", "updated_at"};
	json_t *head = picked(rec, keys, COUNT(keys)), *metas = new_object(), *each;
	const char *key;

	json_object_foreach (json_object_get(rec, "vogeler"), key, each) {
		json_t *slim = picked(each, meta_keys, COUNT(meta_keys));

		trim_failure(slim);
		set(metas, key, slim);
	}
	if (json_object_size(metas) == 0) {
		json_object_foreach ((json_t *)rec, key, each)
			if (!name_is_reserved(key))
				set(metas, key, new_object());
	}
	set(head, "vogeler", metas);
	return head;
}
