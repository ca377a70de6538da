/* What the verbs about a job that was sent begin with. */
#ifndef VOGELER_LOOKUP_H
#define VOGELER_LOOKUP_H

#include "runner/verb.h"

struct job;

/* Runs the loop until the store has said what job that is. RUNNER_OK: out is the job,
 * job_finish()ed by the caller. Otherwise what is wrong was said, and out is not set. */
int lookup_job(struct runner_context *c, const char *id, struct job *out);
/* A usage error for the options that only go with sending. */
void lookup_reject_sending(const struct runner_context *c, const char *verb);

#endif
