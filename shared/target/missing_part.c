/* SPDX-License-Identifier: Apache-2.0 */
/* See missing_part.h. */
#include "shared/target/missing_part.h"

#include "shared/base/buf.h"
#include "shared/base/near.h"
#include "shared/base/xalloc.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define LISTED_MAX 300 /* bytes of names that are shown */
#define STEP_MAX   64
#define KEYS_MAX   1000 /* that are looked through for the nearest */

struct missing_part {
	char *path;
	bool any;
	size_t len;          /* so much of the path there is */
	json_t *keys;        /* a set: of the objects that are there */
	bool object;         /* one of them is one, */
	size_t items;        /* else the longest list has so many, */
	bool list;           /* if one of them is a list */
	char step[STEP_MAX]; /* the name behind it */
};

struct missing_part *
missing_part_create(const char *path)
{
	struct missing_part *m = xcalloc(1, sizeof(*m));

	m->path = xstrdup(path);
	m->keys = json_object();
	return m;
}

void
missing_part_destroy(struct missing_part *m)
{
	if (m == NULL)
		return;
	free(m->path);
	json_decref(m->keys);
	free(m);
}

static void
begin_at(struct missing_part *m, size_t len)
{
	const char *step = m->path + len;
	size_t n;

	step += strspn(step, ".[\"");
	n = strcspn(step, ".[]\"");
	if (n >= STEP_MAX)
		n = STEP_MAX - 1;
	memcpy(m->step, step, n);
	m->step[n] = '\0';
	m->len = len;
	m->any = true;
	m->object = m->list = false;
	m->items = 0;
	json_object_clear(m->keys);
}

void
missing_part_add(struct missing_part *m, const json_t *last, size_t len)
{
	const char *key;
	json_t *value;

	if (!m->any || len > m->len)
		begin_at(m, len);
	if (len < m->len)
		return;
	m->object |= json_is_object(last);
	json_object_foreach ((json_t *)last, key, value) {
		if (json_object_size(m->keys) < KEYS_MAX)
			json_object_set_new_nocheck(m->keys, key, json_true());
	}
	if (!json_is_array(last))
		return;
	m->list = true;
	if (json_array_size(last) > m->items)
		m->items = json_array_size(last);
}

bool
missing_part_any(const struct missing_part *m)
{
	return m->any;
}

struct name {
	const char *text;
	size_t distance;
};

static int
nearest_first(const void *x, const void *y)
{
	const struct name *a = x, *b = y;

	if (a->distance != b->distance)
		return a->distance < b->distance ? -1 : 1;
	return strcmp(a->text, b->text);
}

/* Malloced; sorted. */
static struct name *
sort_names(const struct missing_part *m)
{
	struct name *names = xcalloc(json_object_size(m->keys) + 1, sizeof(*names));
	const char *key;
	json_t *value;
	size_t n = 0;

	json_object_foreach (m->keys, key, value)
		names[n++] = (struct name){key, near_distance(m->step, key)};
	qsort(names, n, sizeof(*names), nearest_first);
	return names;
}

/* "os has: codename, id"; n names. */
static char *
describe_names(const char *place, int len, const struct name *names, size_t n)
{
	struct buf list;
	size_t i = 0;
	char *text;

	buf_init(&list, LISTED_MAX);
	while (i < n && buf_printf(&list, "%s%s", i > 0 ? ", " : "", names[i].text))
		i++;
	xasprintf(&text, "%.*s has%s %.*s%s", len, place, n > 0 ? ":" : "",
	    n > 0 ? (int)list.len : (int)strlen("nothing"), n > 0 ? list.data : "nothing",
	    i < n ? " and more" : "");
	buf_finish(&list);
	return text;
}

static char *
describe_object(const struct missing_part *m)
{
	size_t n = json_object_size(m->keys);
	struct name *names = sort_names(m);
	bool near = n > 0 && near_name(m->step, &names[0].text, 1) != NULL, whole = m->len == 0;
	char *text, *there = describe_names(
			whole ? (near ? "It" : "it") : m->path, whole ? 2 : (int)m->len, names, n);

	xasprintf(&text, "%s%s%s%s", near ? "did you mean " : "", near ? names[0].text : "",
	    near ? "? " : "", there);
	free(there);
	free(names);
	return text;
}

char *
missing_part_text(const struct missing_part *m)
{
	const char *place = m->len > 0 ? "" : "it";
	char *text;

	if (!m->any)
		return NULL;
	if (m->object)
		return describe_object(m);
	if (m->list)
		xasprintf(&text, "%s%.*s is a list of %zu", place, (int)m->len, m->path, m->items);
	else
		xasprintf(&text, "%s%.*s has no parts", place, (int)m->len, m->path);
	return text;
}
