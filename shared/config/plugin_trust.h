/* SPDX-License-Identifier: Apache-2.0 */
/* This checks whether the programs of plugins are as well guarded as what declares them: who can
 * write such a file, or a folder on the way to it, runs as whom the plugin runs. */
#ifndef VOGELER_PLUGIN_TRUST_H
#define VOGELER_PLUGIN_TRUST_H

#include <stdbool.h>
#include <sys/types.h>

struct plugin;

/* agent: the user that agents run as here, who may write it, as root may. Looks at the program, but
 * with sha256, which the agent compares; at the scripts and executable files that its arguments
 * name by absolute paths, also inside the text of "sh -c"; and at the interpreters of scripts.
 * Plugins with a user of their own that is not root are left out. Returns "PATH: what is wrong"
 * (malloced), or NULL. *group: it is but a group that may write it. */
char *plugin_trust_error(const struct plugin *p, uid_t agent, bool *group);

#endif
