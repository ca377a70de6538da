/* Which plugins this host has: what may run here is what is declared here, nothing else. The plugin
 * directory is compiled into one file in the state folder (README 2010), and what that says is in
 * force, so that editing a plugin never disturbs a running agent. */
#ifndef VOGELER_REGISTRY_H
#define VOGELER_REGISTRY_H

#include "shared/plugin.h"
#include <stdbool.h>
#include <stddef.h>

#define REGISTRY_COMPILED "vogeler-plugins.cfg"

struct registry {
	struct plugin_set set; /* in force */
	size_t broken;         /* definitions that were refused by the last load */
};

void registry_init(struct registry *r);
void registry_finish(struct registry *r);
/* When the directory cannot be read, or the compiled file not be written or read back, the error is
 * logged, false returned, and the set in force stays. A definition that is broken is logged at
 * ERROR with file and line, and left out. */
bool registry_load(struct registry *r, const char *plugin_dir, const char *state_dir);
/* The same, whole or not at all: with a broken definition false, too. */
bool registry_reload(struct registry *r, const char *plugin_dir, const char *state_dir);
/* The same without a compiled file, for list and exec, which change nothing on the disk. Broken
 * definitions go to stderr, "file:line: text". */
bool registry_read(struct registry *r, const char *plugin_dir);
/* By name or alias; NULL if there is none. */
const struct plugin *registry_find(const struct registry *r, const char *name_or_alias);
/* "facter, ohai, ps": for a person; malloced. */
char *registry_names(const struct registry *r);

#endif
