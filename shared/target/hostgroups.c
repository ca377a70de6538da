/* SPDX-License-Identifier: Apache-2.0 */
/* See hostgroups.h. */
#include "shared/target/hostgroups.h"

#include "shared/base/buf.h"
#include "shared/base/near.h"
#include "shared/base/xalloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SECTION   "group"
#define BLANKS    " \t"
#define NAMES_MAX 200 /* bytes of those that there are */

const char *
hostgroups_section(const char *section)
{
	size_t len = strlen(SECTION);

	if (strncasecmp(section, SECTION, len) != 0)
		return NULL;
	section += len;
	if (*section != '\0' && strchr(BLANKS, *section) == NULL)
		return NULL;
	return section + strspn(section, BLANKS);
}

static const char *
name_error(const char *name)
{
	if (name[0] == '\0')
		return "a group has a name: [group web]";
	if (strlen(name) > GROUP_NAME_MAX)
		return "the name of a group has at most 63 bytes";
	for (const char *p = name; *p != '\0'; p++) {
		if (!(*p >= 'a' && *p <= 'z') && !(*p >= 'A' && *p <= 'Z') &&
		    !(*p >= '0' && *p <= '9') && strchr("-_.", *p) == NULL)
			return "the name of a group has only letters, digits, - _ and .";
	}
	if (strcasecmp(name, "all") == 0)
		return "\"all\" is every host already: name the group otherwise";
	return NULL;
}

static struct hostgroup *
find(const struct hostgroups *g, const char *name)
{
	for (size_t i = 0; i < g->n; i++) {
		if (strcasecmp(g->list[i].name, name) == 0)
			return &g->list[i];
	}
	return NULL;
}

const struct hostgroup *
hostgroups_find(const struct hostgroups *g, const char *name)
{
	return find(g, name);
}

static struct hostgroup *
find_or_add(struct hostgroups *g, const char *name)
{
	struct hostgroup *group = find(g, name);

	if (group != NULL)
		return group;
	g->list = xreallocarray(g->list, g->n + 1, sizeof(*g->list));
	group = &g->list[g->n++];
	*group = (struct hostgroup){.name = xstrdup(name)};
	return group;
}

static void
replace(char **field, const char *text)
{
	free(*field);
	*field = xstrdup_null(text);
}

bool
hostgroups_set(struct hostgroups *g, const char *section, const char *key, const char *value,
    const char *file, unsigned int line, char *err, size_t err_size)
{
	const char *name = hostgroups_section(section), *why = name_error(name);
	bool is_hosts = strcasecmp(key, "hosts") == 0;
	struct hostgroup *group;

	if (why == NULL && !is_hosts && strcasecmp(key, "where") != 0)
		why = "a group has the keys hosts and where";
	if (why == NULL && value[0] == '\0')
		why = "has no value: give it one, or leave the line out";
	if (why != NULL) {
		snprintf(err, err_size, "%s", why);
		return false;
	}
	group = find_or_add(g, name);
	replace(is_hosts ? &group->hosts : &group->where, value);
	replace(&group->file, file);
	if (is_hosts || group->line == 0)
		group->line = line;
	return true;
}

void
hostgroups_copy(struct hostgroups *dst, const struct hostgroups *src)
{
	*dst = (struct hostgroups){.list = xcalloc(src->n + 1, sizeof(*dst->list)), .n = src->n};
	for (size_t i = 0; i < src->n; i++) {
		const struct hostgroup *from = &src->list[i];

		dst->list[i] = (struct hostgroup){
		    .name = xstrdup(from->name),
		    .hosts = xstrdup_null(from->hosts),
		    .where = xstrdup_null(from->where),
		    .file = xstrdup_null(from->file),
		    .line = from->line,
		};
	}
}

void
hostgroups_finish(struct hostgroups *g)
{
	for (size_t i = 0; i < g->n; i++) {
		free(g->list[i].name);
		free(g->list[i].hosts);
		free(g->list[i].where);
		free(g->list[i].file);
	}
	free(g->list);
	*g = (struct hostgroups){0};
}

static void
list_names(const struct hostgroups *g, char *out, size_t size)
{
	struct buf names;
	size_t i = 0;

	buf_init(&names, NAMES_MAX);
	while (i < g->n && buf_printf(&names, "%s%s", i > 0 ? ", " : "", g->list[i].name))
		i++;
	snprintf(out, size, "; there %s %.*s%s", g->n == 1 ? "is the group" : "are the groups",
	    (int)names.len, names.data, i < g->n ? " and more" : "");
	buf_finish(&names);
}

void
hostgroups_suggest(const struct hostgroups *g, const char *name, char *out, size_t size)
{
	const char **names = xcalloc(g->n + 1, sizeof(*names)), *near;

	for (size_t i = 0; i < g->n; i++)
		names[i] = g->list[i].name;
	near = near_name(name, names, g->n);
	if (near != NULL)
		snprintf(out, size, "; did you mean %s?", near);
	else if (g->n == 0)
		snprintf(out, size, "; the configuration has no groups");
	else
		list_names(g, out, size);
	free(names);
}
