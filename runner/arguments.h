/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of vogeler-runner: the options of all its verbs, in one table. */
#ifndef VOGELER_ARGUMENTS_H
#define VOGELER_ARGUMENTS_H

#include "runner/verb.h"

/* Reads argv into cli and a. Exits for --help and the like, and for a value that cannot be. Whether
 * the options fit the verb is what arguments_check() looks at, which may exit, too. */
void arguments_init(struct runner_arguments *a, struct cli *cli, int argc, char **argv);
void arguments_check(
    const struct runner_arguments *a, const struct cli *cli, const struct runner_verb *verb);
void arguments_finish(struct runner_arguments *a, struct cli *cli);

#endif
