/* SPDX-License-Identifier: Apache-2.0 */
/* This knows which jobs are in the ledger: it asks for them, and keeps those that were seen there,
 * so that an answer to one of these is written without asking. A job is never changed, so what is
 * known stays true until jobs are removed. The least recently used are let go when there are
 * COUCH_KNOWN_MAX. Pure.
 */
#ifndef VOGELER_COUCH_KNOWN_H
#define VOGELER_COUCH_KNOWN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define COUCH_KNOWN_MAX 4096

/* Their documents. '0' is what follows '/': no id of a job is outside. */
#define COUCH_JOBS_START "job/"
#define COUCH_JOBS_END   "job0"

struct buf;
struct couch_known;

struct couch_known *couch_known_create(void);
void couch_known_destroy(struct couch_known *k); /* NULL is fine */
/* job is copied. */
void couch_known_add(struct couch_known *k, const char *job);
/* false: it must be asked for. */
bool couch_known_has(struct couch_known *k, const char *job);
void couch_known_clear(struct couch_known *k);
size_t couch_known_count(const struct couch_known *k); /* for tests */

/* Appends the body of a POST to _all_docs that asks for the jobs of a set, {JOB: null}. false: over
 * out's cap. */
bool couch_known_ask(struct buf *out, const json_t *jobs) __attribute__((warn_unused_result));
/* Adds those that are there, by the answer to it, to the set there and to k. false: that is no such
 * answer, or the store has failed to look. */
bool couch_known_take(struct couch_known *k, const char *body, size_t len, json_t *there)
    __attribute__((warn_unused_result));

#endif
