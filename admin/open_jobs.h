/* SPDX-License-Identifier: Apache-2.0 */
/* The jobs that some hosts have not answered, as the ledger has it. */
#ifndef VOGELER_OPEN_JOBS_H
#define VOGELER_OPEN_JOBS_H

#include "shared/store/store.h"
#include "shared/target/hostlist.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct open_job {
	char *id, *plugin, *user, *sender; /* sender: job_sender() */
	int64_t sent_at, not_after;
	struct hosts hosts; /* sorted: those of whom it is open */
};

struct open_jobs;

/* The newest job first. why: the ledger cannot be read; NULL = it is all there. They are valid
 * until open_jobs_destroy(), which the call may do. */
typedef void open_jobs_fn(
    const struct open_job *jobs, size_t n, const struct trouble *why, void *arg);

struct open_jobs_request {
	struct store *store;
	const struct hosts *hosts; /* sorted; borrowed until fn is called */
	size_t jobs_max;           /* the newest are looked at */
	/* With this, jobs of which nobody has noted anything count as well as those that the broker
	 * has confirmed: they may be on their way. */
	bool unnoted;
	open_jobs_fn *fn;
	void *arg;
};
struct open_jobs *open_jobs_read(const struct open_jobs_request *req);
/* When fn was called: of how many jobs the outcomes are damaged. They are not among its jobs, and
 * one line on stderr has told of them. */
size_t open_jobs_unread(const struct open_jobs *o);
void open_jobs_destroy(struct open_jobs *o); /* NULL is fine */

#endif
