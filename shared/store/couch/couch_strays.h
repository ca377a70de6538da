/* SPDX-License-Identifier: Apache-2.0 */
/* Writing outcomes of jobs that are not there (couch_stray.h): read, put together, written over,
 *
 *   waiting --> read --> what would go: is its job there by now? --> _bulk_docs --> answered
 *                ^                                                       |
 *                +------------------------- conflicts -------------------+
 *
 * for some hosts at a time, so that a pass of the loop stays short. It is beside the pages of
 * couch_ledger.c, which it does not hold up. */
#ifndef VOGELER_COUCH_STRAYS_H
#define VOGELER_COUCH_STRAYS_H

#include "shared/store/couch/couch.h"
#include <jansson.h>
#include <stdbool.h>

struct couch_strays;

struct couch_strays *couch_strays_create(struct couch *c);
void couch_strays_destroy(struct couch_strays *s); /* answers nothing; http is gone by now */
/* why: NULL when it is stored; borrowed during the call. */
typedef void couch_strays_fn(const struct trouble *why, void *arg);
/* outcome: of outcome_to_json, copied. fn is called once, never from inside. */
void couch_strays_add(
    struct couch_strays *s, const char *job, const json_t *outcome, couch_strays_fn *fn, void *arg);

#endif
