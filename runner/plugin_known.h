/* SPDX-License-Identifier: Apache-2.0 */
/* A plugin's name that was typed, and nobody ever had: a typo reaches all hosts, and each refuses
 * it. */
#ifndef VOGELER_PLUGIN_KNOWN_H
#define VOGELER_PLUGIN_KNOWN_H

#include "runner/verb.h"
#include "shared/target/target.h"

#include <stdbool.h>

struct interrupt;

/* Runs the loop until the store has said whether some record has the plugin, or a job of that name,
 * which may be an alias, once ended well. *unknown: neither is so, which was told, with the names
 * that there are; never where no record has any plugin yet. RUNNER_OK, also when the store has no
 * answer: the hosts know best. */
int plugin_known_tell(struct runner_context *c, struct interrupt *interrupt,
    const struct hosts *targets, bool *unknown);

#endif
