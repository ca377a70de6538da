/* SPDX-License-Identifier: Apache-2.0 */
/* The head of a record: all of it but the values, and of what is said about each plugin only what a
 * list of hosts shows. A record may be megabytes and its head is some hundred bytes, so a list of
 * heads is fast where a list of records is not. Pure.
 *
 * A head looks as its record does: _id, created_at, updated_at, last_error, and under "vogeler" an
 * object for each plugin, which has of the metadata those members of order, older, machine_id,
 * version, other_machine, collected_at, received_at and failure that are there; of failure since,
 * at, state, message and count. A plugin of a record of 2010, of which nothing is said, has an
 * empty object.
 */
#ifndef VOGELER_HEAD_H
#define VOGELER_HEAD_H

#include "shared/store/record.h"
#include <jansson.h>
#include <stdbool.h>

/* Makes a head without any plugin. It is the caller's. */
json_t *head_create(const struct record_head *h);
/* updated_at was not known when it was made. */
void head_set_updated_at(json_t *head, int64_t updated_at);
/* Adds a plugin. meta, which it takes over: those members of the metadata that a head has, or
 * more. */
void head_add(json_t *head, const char *plugin, json_t *meta);
/* The head of a record that was read whole. The caller's. */
json_t *head_of_record(const json_t *rec);

#endif
