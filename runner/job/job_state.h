/* SPDX-License-Identifier: Apache-2.0 */
/* This reads how a job that was sent stands, for the verbs that do something about it. */
#ifndef VOGELER_JOB_STATE_H
#define VOGELER_JOB_STATE_H

#include "runner/verb.h"
#include "shared/store/fold.h"
#include "shared/store/job.h"
#include "shared/target/target.h"

struct interrupt;

/* Runs the loop until the store has told all outcomes. RUNNER_OK: *fold is the caller's.
 * Otherwise what is wrong was said. */
int job_state_load(struct runner_context *c, const struct job *job, struct interrupt *interrupt,
    struct fold **fold);
/* The targets whose state is one of the bits 1 << OUTCOME_…, sorted, appended to out. */
void job_state_hosts(const struct fold *fold, unsigned int states, struct hosts *out);

#endif
