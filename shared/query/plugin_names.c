/* SPDX-License-Identifier: Apache-2.0 */
/* See plugin_names.h. */
#include "shared/query/plugin_names.h"

#include "shared/base/buf.h"
#include "shared/base/near.h"
#include "shared/base/xalloc.h"
#include "shared/store/store.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LISTED_MAX 300 /* bytes of names that are shown */

struct plugin_names {
	json_t *set; /* name -> true */
	plugin_names_fn *fn;
	void *arg;
};

static void
take_head(struct plugin_names *p, const json_t *head)
{
	const char *name;
	json_t *meta;

	json_object_foreach (json_object_get(head, "vogeler"), name, meta)
		json_object_set_new(p->set, name, json_true());
}

static void
names_on_head(enum store_found found, json_t *head, const struct trouble *why, void *arg)
{
	struct plugin_names *p = arg;

	switch (found) {
	case STORE_FOUND:
		take_head(p, head);
		return;
	case STORE_FAILED:
		p->fn(NULL, why, p->arg);
		return;
	case STORE_MISSING:
		p->fn(p, NULL, p->arg);
		return;
	}
}

struct plugin_names *
plugin_names_ask(struct store *store, plugin_names_fn *fn, void *arg)
{
	struct plugin_names *p = xcalloc(1, sizeof(*p));

	*p = (struct plugin_names){.set = json_object(), .fn = fn, .arg = arg};
	store_heads(store, names_on_head, p);
	return p;
}

void
plugin_names_destroy(struct plugin_names *p)
{
	if (p == NULL)
		return;
	json_decref(p->set);
	free(p);
}

size_t
plugin_names_count(const struct plugin_names *p)
{
	return json_object_size(p->set);
}

bool
plugin_names_has(const struct plugin_names *p, const char *name)
{
	return json_object_get(p->set, name) != NULL;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorted; the array is the caller's, the names are not. */
static const char **
sorted(const struct plugin_names *p)
{
	const char **names = xcalloc(plugin_names_count(p) + 1, sizeof(*names)), *name;
	json_t *value;
	size_t n = 0;

	json_object_foreach (p->set, name, value)
		names[n++] = name;
	qsort(names, n, sizeof(*names), by_name);
	return names;
}

const char *
plugin_names_hint(const struct plugin_names *p, const char *typed, char out[PLUGIN_NAMES_HINT_SIZE])
{
	size_t n = plugin_names_count(p), shown = 0;
	const char **names = sorted(p), *near = near_name(typed, names, n);
	struct buf list;

	buf_init(&list, LISTED_MAX);
	while (shown < n && buf_printf(&list, "%s%s", shown > 0 ? ", " : "", names[shown]))
		shown++;
	snprintf(out, PLUGIN_NAMES_HINT_SIZE, "%s%s%s%s%.*s%s",
	    near != NULL ? "; did you mean " : "", near != NULL ? near : "",
	    near != NULL ? "? There " : "; there ",
	    n == 0   ? "is none"
	    : n == 1 ? "is "
		     : "are ",
	    (int)list.len, list.data == NULL ? "" : list.data, shown < n ? " and more" : "");
	buf_finish(&list);
	free(names);
	return out;
}
