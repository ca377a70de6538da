/* The command line of vogeler-runner: the options of all its verbs, in one table. */
#ifndef VOGELER_ARGUMENTS_H
#define VOGELER_ARGUMENTS_H

#include "runner/verb.h"

/* Reads argv into cli and a. Exits for --help and the like, and for a value that cannot be. Whether
 * the options fit the verb is not looked at. */
void arguments_init(struct runner_arguments *a, struct cli *cli, int argc, char **argv);
void arguments_finish(struct runner_arguments *a, struct cli *cli);

#endif
