/* SPDX-License-Identifier: Apache-2.0 */
/* This finds what a definition says that cannot be meant. The plugin is registered all the same:
 * the user may be there by the time it runs, or the program, and '|' may be an argument. */
#ifndef VOGELER_PLUGIN_LINT_H
#define VOGELER_PLUGIN_LINT_H

#include "shared/config/plugin.h"

/* Tells on_warning, with file and line, what of these it finds: a command that was written for a
 * shell, which none runs; a program or a user that this host does not have. Asks the user database,
 * which may be a server. */
void plugin_lint(const struct plugin *p, ini_file_error_fn *on_warning, void *arg);
void plugin_lint_set(const struct plugin_set *set, ini_file_error_fn *on_warning, void *arg);

#endif
