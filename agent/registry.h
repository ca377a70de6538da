/* SPDX-License-Identifier: Apache-2.0 */
/* The registry says which plugins this host has: what may run here is what is declared here,
 * nothing else. The plugin directory is compiled into one file in the state folder (README 2010),
 * and what that says is in force, so that editing a plugin never disturbs a running agent. */
#ifndef VOGELER_REGISTRY_H
#define VOGELER_REGISTRY_H

#include "shared/base/trouble.h"
#include "shared/config/plugin.h"
#include <stdbool.h>
#include <stddef.h>

#define REGISTRY_COMPILED "vogeler-plugins.cfg"

struct registry {
	struct plugin_set set; /* in force */
	size_t broken;         /* definitions that are not in the set, since they were refused */
	/* These are what the last load or reload could not do; 0 = all was well. */
	size_t n_complaints;
	struct trouble complaint; /* the first of them, without passwords */
};

void registry_init(struct registry *r);
void registry_finish(struct registry *r);
/* When the directory cannot be read, or the compiled file not be written or read back, the error is
 * logged, false returned, and the set in force stays. A definition that is broken is logged at
 * ERROR with file and line, and left out. */
bool registry_load(struct registry *r, const char *plugin_dir, const char *state_dir);
/* Loads whole or not at all: with a broken definition it changes nothing and returns false. */
bool registry_reload(struct registry *r, const char *plugin_dir, const char *state_dir);
/* Reads without a compiled file, for list and exec, which change nothing on the disk. What is wrong
 * or odd goes to stderr, "file:line: text". name: what is about that plugin alone; if there is none
 * of that name or alias, all definitions that are broken. NULL: all. */
bool registry_read(struct registry *r, const char *plugin_dir, const char *name);
/* Checks for --check-config: true if registry_reload() would take the directory. Tells on stdout
 * what is wrong or odd. may_miss: that it is not there is but noted. */
bool registry_check(const char *plugin_dir, bool may_miss);
/* Finds by name or alias; NULL if there is none. */
const struct plugin *registry_find(const struct registry *r, const char *name_or_alias);
/* "facter, ohai, ps": for a person; malloced. */
char *registry_names(const struct registry *r);

#endif
