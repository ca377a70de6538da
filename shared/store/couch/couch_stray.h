/* SPDX-License-Identifier: Apache-2.0 */
/* The document stray/HOST of the ledger's database: outcomes of one host, of jobs that were not
 * there when it answered. Whoever invents jobs would else make a document with each, and CouchDB
 * keeps a trace of a removed document for ever: one document that is written over stays small.
 *
 * A job may come after its answer. Then the outcome is as good as any other: it is marked as late
 * when its turn to go has come, and stays until prune removes what is old of jobs that are gone.
 * Pure. */
#ifndef VOGELER_COUCH_STRAY_H
#define VOGELER_COUCH_STRAY_H

#include "shared/store/couch/couch_wire.h"
#include "shared/store/outcome.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct buf;

/* '0' is what follows '/'. */
#define COUCH_STRAYS_START "stray/"
#define COUCH_STRAYS_END   "stray0"

struct couch_stray {     /* all owned */
	char *id;        /* "stray/HOST" */
	char *rev;       /* NULL: there is none in the store */
	json_t *entries; /* of outcome_to_json, without the host and with "job"; the oldest first */
};
/* Empty, and not in the store. */
void couch_stray_init(struct couch_stray *s, const char *host);
void couch_stray_finish(struct couch_stray *s);
const char *couch_stray_host(const struct couch_stray *s);
/* Reads the document, in place of what is there. false: it is not one, and s is as it was. */
bool couch_stray_parse(struct couch_stray *s, struct jspan doc) __attribute__((warn_unused_result));
bool couch_stray_take(struct couch_stray *s, const json_t *doc) __attribute__((warn_unused_result));

/* outcome: of outcome_to_json. One that is there already takes no second place. */
void couch_stray_add(struct couch_stray *s, const char *job, const json_t *outcome);
/* Adds to the set jobs, {JOB: null}, those of which something would have to go. */
void couch_stray_over(const struct couch_stray *s, json_t *jobs);
/* Adds to jobs those that were known before the time at, a text. */
void couch_stray_before(const struct couch_stray *s, const char *at, json_t *jobs);
/* Removes the oldest of what is over OUTCOME_STRAYS_MAX, but those of jobs that are members of
 * there, which are late. Returns how many have gone. */
size_t couch_stray_trim(struct couch_stray *s, const json_t *there);
/* Removes what was known before the time at, but for the same jobs. */
size_t couch_stray_forget(struct couch_stray *s, const char *at, const json_t *there);
/* Appends its JSON text; one that is empty is a deletion. false: over out's cap. */
bool couch_stray_write(struct buf *out, const struct couch_stray *s)
    __attribute__((warn_unused_result));

/* Calls fn for each outcome of that job; o is borrowed. */
typedef void couch_stray_fn(const struct outcome *o, void *arg);
void couch_stray_each(const struct couch_stray *s, const char *job, couch_stray_fn *fn, void *arg);

#endif
