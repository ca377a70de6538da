/* SPDX-License-Identifier: Apache-2.0 */
/* [group NAME] of the configuration: hosts under one name, which -n @NAME means. Here are the
 * definitions alone; what they mean is target.h's. */
#ifndef VOGELER_HOSTGROUPS_H
#define VOGELER_HOSTGROUPS_H

#include <stdbool.h>
#include <stddef.h>

#define GROUP_NAME_MAX 63

struct hostgroup {
	char *
	    name; /* letters, digits, - _ and .; compared without regard to case, as sections are */
	char *hosts;       /* what -n takes; NULL = all */
	char *where;       /* jq: only those whose record is so; NULL = whatever it is */
	char *file;        /* where it stands; NULL = on the command line */
	unsigned int line; /* of hosts, else of where */
};

struct hostgroups { /* in the order of the file */
	struct hostgroup *list;
	size_t n;
};

/* The name in "group NAME", "" if there is none; NULL: it is no section of a group. */
const char *hostgroups_section(const char *section);
/* One key of a section of a group. false: err says what is wrong. file may be NULL. */
bool hostgroups_set(struct hostgroups *g, const char *section, const char *key, const char *value,
    const char *file, unsigned int line, char *err, size_t err_size);
void hostgroups_copy(struct hostgroups *dst, const struct hostgroups *src);
void hostgroups_finish(struct hostgroups *g);

/* NULL: there is none. */
const struct hostgroup *hostgroups_find(const struct hostgroups *g, const char *name);
/* "; did you mean web?", "; there are the groups db, web", "; no group is configured". */
void hostgroups_suggest(const struct hostgroups *g, const char *name, char *out, size_t size);

#endif
