/* SPDX-License-Identifier: Apache-2.0 */
/* This finds which file a plugin's command runs, as the agent looks for it. */
#ifndef VOGELER_PLUGIN_PROGRAM_H
#define VOGELER_PLUGIN_PROGRAM_H

struct plugin;

/* Returns what a plugin has for PATH: its own, or the default. */
const char *plugin_program_path(const struct plugin *p);
/* The first word of the command when it has a slash, whether there is such a file or not; else the
 * first of that name in PATH that may be run, NULL if there is none. Malloced. */
char *plugin_program_find(const struct plugin *p);

#endif
