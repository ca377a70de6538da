/* SPDX-License-Identifier: Apache-2.0 */
/* This is what --jsonl prints, an object a line, each with its kind and the id of its job; the last
 * is the summary (summary.h). docs/runner-output.md has the members. */
#ifndef VOGELER_EVENTS_H
#define VOGELER_EVENTS_H

#include <jansson.h>
#include <stdbool.h>

struct job;
struct outcome;

/* {"kind": "job", "job", "plugin", "user", "target", "rerun_of", "sent_at", "not_after",
 * "targets"}: what was asked for; targets is their number. */
json_t *event_job(const struct job *job);
/* {"kind": "outcome", "job", "host", "state", "why", "at", ..., "target"}: how it stands with a
 * host from now on. Of several about one host the last counts. */
json_t *event_outcome(const struct job *job, const struct outcome *o, bool target);
/* {"kind": "answer", "job"} and the members of answer, which it takes: "host", "plugin", "value" or
 * "error". With --show, of each host that is ok. */
json_t *event_answer(const struct job *job, json_t *answer);

#endif
