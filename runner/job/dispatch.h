/* SPDX-License-Identifier: Apache-2.0 */
/* This takes a job from its hosts to its end: it is written to the ledger, published, what
 * the broker says of it is written too, and with --wait it is followed. For all verbs that
 * send a job. */
#ifndef VOGELER_DISPATCH_H
#define VOGELER_DISPATCH_H

#include "runner/verb.h"

struct interrupt;
struct job;

struct dispatch_request {
	struct runner_context *c;
	struct interrupt *interrupt;
	const struct job *job;
	bool broadcast;        /* one publish reaches all */
	const char *untracked; /* why the store is not used; NULL = it is */
};

/* A job for that plugin from now on, with the options of the command line; its hosts are moved from
 * *hosts. */
struct hosts;
void dispatch_job(struct job *job, const struct runner_context *c, const char *plugin,
    const char *target, struct hosts *hosts);
/* Says whether one publish reached all hosts: those that the store does not know too. */
bool dispatch_was_broadcast(const struct job *job);
/* Runs the loop to the end; closes the store. Returns an enum runner_status, what is to be said was
 * said. */
int dispatch_run(const struct dispatch_request *req);

#endif
