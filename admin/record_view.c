/* SPDX-License-Identifier: Apache-2.0 */
/* See record_view.h. */
#include "admin/record_view.h"

#include "shared/base/buf.h"
#include "shared/base/name.h"
#include "shared/base/near.h"
#include "shared/base/xalloc.h"
#include "shared/store/record.h"

#include <stdlib.h>
#include <string.h>

#define JOINED_MAX (64 * 1024)
#define SOME_MAX   25

const char *
record_view_text(const json_t *obj, const char *key, const char *otherwise)
{
	const char *text = json_string_value(json_object_get(obj, key));

	return text == NULL ? otherwise : text;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A record that has no metadata at all is one of 2010: its keys are plugins, as they were then. */
static bool
is_of_2010(const json_t *rec)
{
	return json_object_size(json_object_get(rec, "vogeler")) == 0;
}

static json_t *
sorted(const char **names, size_t n)
{
	json_t *list = json_array();

	qsort(names, n, sizeof(*names), by_name);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_string(names[i]));
	free(names);
	return list;
}

/* The keys that are somebody's, and of no plugin if plugins is false. */
static json_t *
list_keys(const json_t *rec, bool plugins)
{
	json_t *meta = json_object_get(rec, "vogeler"), *value;
	const char **names =
	    xcalloc(json_object_size(rec) + json_object_size(meta) + 1, sizeof(*names));
	const char *key;
	size_t n = 0;

	json_object_foreach ((json_t *)rec, key, value) {
		bool is_plugin = is_of_2010(rec) || json_object_get(meta, key) != NULL;

		if (!name_is_reserved(key) && is_plugin == plugins)
			names[n++] = key;
	}
	json_object_foreach (meta, key, value)
		if (plugins && json_object_get(rec, key) == NULL)
			names[n++] = key;
	return sorted(names, n);
}

json_t *
record_view_plugins(const json_t *rec)
{
	return list_keys(rec, true);
}

json_t *
record_view_others(const json_t *rec)
{
	return list_keys(rec, false);
}

/* Borrowed texts; the caller frees the list. */
static const char **
texts_of(const json_t *names)
{
	const char **list = xcalloc(json_array_size(names) + 1, sizeof(*list));
	const json_t *name;
	size_t i;

	json_array_foreach (names, i, name)
		list[i] = json_string_value(name);
	return list;
}

const char *
record_view_near(const json_t *names, const char *typed)
{
	const char **list = texts_of(names), *near = near_name(typed, list, json_array_size(names));

	free(list);
	return near;
}

char *
record_view_joined(const json_t *names)
{
	struct buf b;
	size_t i;
	json_t *name;

	buf_init(&b, JOINED_MAX);
	json_array_foreach (names, i, name)
		if (!buf_printf(&b, "%s%s", i == 0 ? "" : " ", json_string_value(name)))
			break; /* more is not for reading */
	return buf_take(&b, NULL);
}

char *
record_view_some(const json_t *names)
{
	const char **list = texts_of(names);
	char *text = names_some(list, json_array_size(names), SOME_MAX);

	free(list);
	return text;
}

const json_t *
record_view_meta(const json_t *rec, const char *plugin)
{
	return json_object_get(json_object_get(rec, "vogeler"), plugin);
}

int64_t
record_view_order_ahead(const json_t *rec, int64_t now_ms, int64_t *dropped)
{
	json_t *meta;
	const char *plugin;
	int64_t most = 0;

	*dropped = 0;
	json_object_foreach (json_object_get(rec, "vogeler"), plugin, meta) {
		int64_t ahead = record_order_ahead(meta, now_ms);

		most = ahead > most ? ahead : most;
		*dropped +=
		    json_integer_value(json_object_get(json_object_get(meta, "older"), "count"));
	}
	return most;
}
