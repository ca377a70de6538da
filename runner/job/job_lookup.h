/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs about a job that was sent begin with this. */
#ifndef VOGELER_JOB_LOOKUP_H
#define VOGELER_JOB_LOOKUP_H

#include "runner/verb.h"

struct interrupt;
struct job;

#define JOB_LOOKUP_LAST "@last" /* the job that was sent last */

/* Runs the loop until the store has said what job that is: by its id, the beginning of one that no
 * other has, or JOB_LOOKUP_LAST. RUNNER_OK: out is the job,
 * job_finish()ed by the caller. Otherwise what is wrong was said, out is not set, and the store is
 * closed. */
int job_lookup(
    struct runner_context *c, struct interrupt *interrupt, const char *id, struct job *out);

#endif
