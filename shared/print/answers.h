/* SPDX-License-Identifier: Apache-2.0 */
/* This shows people what many hosts say: the same of several hosts is said once, with their names
 * in ranges. A table when each value fits into a line, else one value below the other. */
#ifndef VOGELER_ANSWERS_H
#define VOGELER_ANSWERS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct answers;

struct answers *answers_create(void);
void answers_destroy(struct answers *a); /* NULL is fine */
void answers_add(struct answers *a, const char *host, const json_t *value);
/* Adds a host that has none, and why. */
void answers_lack(struct answers *a, const char *host, const char *why);
size_t answers_count(const struct answers *a);     /* of those that have one */
size_t answers_different(const struct answers *a); /* of these, taking the same for one */

size_t answers_waiting(const struct answers *a); /* bytes of values that were not printed yet */
/* Prints those that were added since the last time, so that each host is printed once: a table that
 * grows, of what fits into a line, and below it the others; of these one that was printed already
 * is "web07: as web01". */
void answers_print_new(FILE *out, struct answers *a);
/* Some value was printed in several pieces: who gave it does not stand together. */
bool answers_are_scattered(const struct answers *a);
/* All of them, the largest groups first, equally large ones by name; then nothing more is added.
 * After answers_print_new() no more than what that does. */
void answers_print(FILE *out, struct answers *a);
/* A line for each reason: "3 hosts: web[01-03]: why". */
typedef void answers_lack_fn(const char *line, void *arg);
void answers_tell_lack(struct answers *a, answers_lack_fn *fn, void *arg);
/* {"host", "value"}, or {"host", "error"}; a new reference. value NULL: why counts. */
json_t *answers_object(const char *host, const json_t *value, const char *why);

/* A value alone, for people: a text as it is, all else as indented JSON; with a line's end. */
void answers_print_value(FILE *out, const json_t *value);

#endif
