/* SPDX-License-Identifier: Apache-2.0 */
/* The subcommands that need no broker: list, and exec for who writes plugins. Both return the exit
 * status. */
#ifndef VOGELER_VERBS_H
#define VOGELER_VERBS_H

#include "shared/config/cli.h"

#define VERBS_EXIT_FAILED 2 /* exec: the plugin failed, cannot be read, or is not registered */

int verbs_list(const char *plugin_dir);
/* Runs the plugin of that name or alias here and prints what would be sent, and the value that the
 * collector would make of it: the headers on stderr, body and value on stdout. */
int verbs_exec(struct cli *cli, const char *plugin_dir, const char *name);

#endif
