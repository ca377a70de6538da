/* See view.h. */
#include "admin/view.h"

#include "shared/name.h"
#include "shared/xalloc.h"

#include <stdlib.h>
#include <string.h>

const char *
view_text(const json_t *obj, const char *key, const char *otherwise)
{
	const char *text = json_string_value(json_object_get(obj, key));

	return text == NULL ? otherwise : text;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

json_t *
view_plugins(const json_t *rec)
{
	json_t *meta = json_object_get(rec, "vogeler"), *value, *list = json_array();
	const char **names =
	    xcalloc(json_object_size(rec) + json_object_size(meta) + 1, sizeof(*names));
	const char *key;
	size_t n = 0;

	json_object_foreach ((json_t *)rec, key, value)
		if (!name_is_reserved(key))
			names[n++] = key;
	json_object_foreach (meta, key, value)
		if (json_object_get(rec, key) == NULL)
			names[n++] = key;
	qsort(names, n, sizeof(*names), by_name);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_string(names[i]));
	free(names);
	return list;
}

const json_t *
view_meta(const json_t *rec, const char *plugin)
{
	return json_object_get(json_object_get(rec, "vogeler"), plugin);
}
