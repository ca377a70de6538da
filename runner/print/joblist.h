/* SPDX-License-Identifier: Apache-2.0 */
/* A list of jobs, each with how it stands: a table for people, JSON for programs. */
#ifndef VOGELER_JOBLIST_H
#define VOGELER_JOBLIST_H

#include "runner/print/output.h"
#include "shared/store/fold.h"
#include "shared/store/job.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct joblist_job {
	struct job job;
	struct fold_counts counts;
	bool unread; /* its outcomes cannot be read: how it stands is not known */
};

struct joblist {
	int64_t now_ms;
	struct joblist_job *jobs;
	size_t n;
};

void joblist_add(struct joblist *l, const struct job *job); /* copies; counts are zero */
/* Says whether each host that it was for has no queue: then it was sent to nobody. */
bool joblist_is_to_nobody(const struct joblist_job *j);
void joblist_drop(struct joblist *l, size_t i); /* the i-th */
void joblist_cut(struct joblist *l, size_t n);  /* keeps the first n */
void joblist_finish(struct joblist *l);

/* A table: cut to its width on a terminal, whole in a pipe. {"kind": "jobs", "jobs": [...]} with
 * --json, a line for each with --jsonl: objects of kind "summary" without hosts. With -q the ids
 * alone. */
void joblist_print(FILE *out, const struct output_options *opt, const struct joblist *l);

#endif
