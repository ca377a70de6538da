/* SPDX-License-Identifier: Apache-2.0 */
/* Options come to hold by these: defaults, the file, single values, a reload; and they are printed.
 */
#ifndef VOGELER_OPTIONS_LOAD_H
#define VOGELER_OPTIONS_LOAD_H

#include "shared/config/ini_file.h"
#include "shared/config/options.h"
#include <stdbool.h>
#include <stdio.h>

void options_init(struct options *o); /* the defaults */
void options_finish(struct options *o);

/* Told once for each thing that is wrong or odd: ERROR for a bad value, WARN for an unknown key,
 * INFO for a key of 2010 that has no effect. */
typedef void options_note_fn(enum log_level level, const char *file, unsigned int line,
    const struct trouble *what, void *arg);
/* Returns false when a value is bad: then nothing was applied. */
bool options_load(struct options *o, const struct ini_file *c, options_note_fn *note, void *arg);
/* Checks the value that file, environment or a credential has for the broker or the store, then
 * sets it with its source. false: why says it. */
bool options_set_qhost(
    struct options *o, const char *value, const char *source, struct trouble *why);
bool options_set_dbhost(
    struct options *o, const char *value, const char *source, struct trouble *why);
/* "section.key=value" from the command line. false: why says it. */
bool options_set(struct options *o, const char *assignment, struct trouble *why);
/* Moves, at a reload, from fresh to now what the program takes while it runs, user and password of
 * its URIs too; fresh is then the caller's to finish. Which option that is, its row says. Returns
 * what else has changed, "[amqp] heartbeat, listen, [couch] timeout", which needs a restart;
 * malloced, NULL = nothing. */
char *options_take(struct options *now, struct options *fresh, enum options_program program);
/* Prints a file that options_load would read, secrets masked. */
void options_dump(const struct options *o, FILE *out);

/* Prints the rows, "section.key type default" a line each, for the tests of the documentation. */
void options_list(FILE *out);

#endif
