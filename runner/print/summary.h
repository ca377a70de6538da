/* SPDX-License-Identifier: Apache-2.0 */
/* This prints how a job ended, or stands: the exceptions first, a line a host with why; then who is
 * missing; a last line that adds up. Ok hosts are counted. docs/runner-output.md has the forms.
 * Pure: no clock. */
#ifndef VOGELER_SUMMARY_H
#define VOGELER_SUMMARY_H

#include "runner/print/output.h"
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

struct fold;
struct fold_counts;
struct job;
struct outcome;

/* The exit status, an enum runner_status; the first that fits:
 * 1  a target is unsent: the broker did not confirm its command, or refused it
 * 2  a host failed, timed out or refused
 * 4  a target has no queue: no such host
 * 3  a target has not answered: queued, expired, cancelled (never sent, too) or superseded
 * 0  every target is ok */
int summary_exit_status(const struct fold_counts *c);

/* This is what --show has of the hosts. */
struct summary_shown {
	json_t *answers; /* a member of the object of OUTPUT_JSON */
	/* Was it printed already how that target stands? It is counted, and not said once more. */
	bool (*told)(const struct outcome *o, void *arg);
	void *arg;
};
/* The end of a job on out, in the form asked for; of OUTPUT_JSONL the last object. shown: NULL =
 * nothing was. */
void summary_print(FILE *out, const struct output_options *opt, const struct job *job,
    const struct fold *fold, int64_t now_ms, const struct summary_shown *shown);
/* "1000 targeted = 981 ok + 4 failed + 13 queued (expire in 6 d 23 h)"; malloced. */
char *summary_line(const struct job *job, const struct fold_counts *c, int64_t now_ms);
/* "981 ok + 4 failed"; malloced. */
char *summary_states(const struct fold_counts *c);
/* {"kind": "summary", "job": …, "counts": {…}, "hosts": […]}; hosts as opt's filter says. */
json_t *summary_json(const struct output_options *opt, const struct job *job,
    const struct fold *fold, int64_t now_ms);
/* Makes the object of a job without its hosts. */
json_t *summary_counted_json(const struct job *job, const struct fold_counts *c);

#endif
