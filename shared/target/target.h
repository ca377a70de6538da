/* SPDX-License-Identifier: Apache-2.0 */
/* Targets are what -n says, and the hosts that it means. Which hosts there are is the caller's
 * knowledge; names are taken as they are, for a host may have a queue and no record yet. No store,
 * no broker. */
#ifndef VOGELER_TARGET_H
#define VOGELER_TARGET_H

#include "shared/target/hostgroups.h"
#include "shared/target/hostlist.h"
#include <stdbool.h>
#include <stddef.h>

#define TARGET_FILE_MAX ((size_t)64 * 1024 * 1024) /* bytes of @FILE or of stdin */

struct target_group;

struct targets {
	bool all;           /* -n all; then there is nothing else */
	struct hosts names; /* sorted */
	struct hosts globs; /* fnmatch(3): * ? [a-z]; with brackets of numbers in them or not */
	struct target_group *groups; /* each once */
	size_t n_groups;
	bool many;  /* more may be meant than what was typed: a glob, numbers, a group, a file */
	char *text; /* for people: "web*,@db" */
};

struct target_group {
	char *name;
	struct targets in; /* its hosts */
	char *where;       /* NULL = whatever their records are */
	struct hosts fit;  /* sorted: those whose record is as where says, for the caller to fill */
};

/* option: what the values were given with, for err: "-n ", or "". nodes: the values,
 * NULL-terminated; NULL = none. A value is "all", "-" for stdin, a path with a slash in it for a
 * file of hosts; else words with commas between them: names and globs, either with brackets of
 * numbers (ranges.h), "@GROUP", "@FILE". What follows "@" is a file if it has a slash in it, and a
 * group if it begins with "group:"; else whichever is there. Where both are it is refused, and in
 * the hosts of a group the group. A file has lines of names and globs; # begins a comment. A path
 * in a group is one from the folder of its configuration file. Initialises t, which
 * targets_finish() frees also after false: then err says what is wrong, and where. Borrows groups
 * during the call. */
bool targets_parse(struct targets *t, const char *option, char *const *nodes,
    const struct hostgroups *groups, char *err, size_t err_size);
void targets_finish(struct targets *t);

/* Looks at the groups of a configuration without reading any file of hosts, and tells of each what
 * is wrong; of what may be right elsewhere (a file that is not here) with error = false. */
typedef void targets_wrong_fn(const struct hostgroup *g, bool error, const char *text, void *arg);
void targets_check_groups(const struct hostgroups *groups, targets_wrong_fn *wrong, void *arg);

/* Calls fn for each group with a where, groups in groups too. */
typedef void targets_where_fn(struct target_group *g, void *arg);
void targets_each_where(struct targets *t, targets_where_fn *fn, void *arg);

/* Says whether the hosts that there are have to be known to tell which are meant; that fit is
 * filled is taken for granted, here and below. */
bool targets_need_known(const struct targets *t);
/* Says whether t means that host, if there is one. */
bool targets_include(const struct targets *t, const char *host);
/* Appends to out what t means, sorted; known: the hosts that there are. A glob that no host fits,
 * and a group without any ("@web"), is told. */
typedef void targets_nobody_fn(const char *word, void *arg);
void targets_resolve(const struct targets *t, const struct hosts *known, struct hosts *out,
    targets_nobody_fn *nobody, void *arg);

#endif
