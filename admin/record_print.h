/* SPDX-License-Identifier: Apache-2.0 */
/* A record on stdout. */
#ifndef VOGELER_RECORD_PRINT_H
#define VOGELER_RECORD_PRINT_H

#include <jansson.h>
#include <stdbool.h>

/* Prints for people: the head, with a word on the host's contact, then each plugin and its
 * value. */
void record_print(const json_t *rec, const char *contact);
/* One value, as indented JSON. */
void record_print_value(const json_t *value);
/* A record or a value as it is stored, in a line; false: too large. */
bool record_print_json(const json_t *value);

#endif
