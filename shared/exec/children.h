/* SPDX-License-Identifier: Apache-2.0 */
/* Runs plugins, each as a process of its own, to completion. Spoken to by the fixed-size messages
 * of childmsg.h only, so that it can become a separate process.
 *
 * A run is over when three facts are in: end of file on stdout, end of file on stderr, and the exit
 * status. What outlives that, a daemon that still holds a pipe for instance, is given
 * CHILD_DRAIN_MS and then killed: nothing that a plugin starts survives it, nor the agent
 * (subreaper.h). */
#ifndef VOGELER_CHILDREN_H
#define VOGELER_CHILDREN_H

#include "shared/exec/childmsg.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct children;
struct loop;
struct plugin_set;

#define CHILD_TERM_GRACE_MS 2000 /* from SIGTERM to SIGKILL */
#define CHILD_DRAIN_MS      1000 /* from exit to the end of both pipes */
#define CHILD_KILL_WAIT_MS  5000 /* from SIGKILL to giving up (uninterruptible sleep) */
#define CHILD_DESTROY_MS    1000 /* at the end of the agent */
#define CHILD_NOTE_MS       250  /* from the start of a run until what runs is noted */
#define CHILD_NOTE_AGAIN_MS 5000 /* and each time from then on */
#define CHILD_STDERR_TAIL   4096
#define CHILD_RUNS_MAX      64

const char *child_outcome_name(enum child_outcome outcome);

/* Called on the loop, never inside children_request(). ev is valid during the call. May call
 * children_request() and children_set_plugins(), not children_destroy(). */
typedef void child_event_fn(const struct child_event *ev, void *arg);

struct children *children_create(struct loop *loop, child_event_fn *on_event, void *arg);
/* Whoever can find what plugins left running when all of us were killed. */
struct run_tracker {
	const char *mark; /* NAME=value, for the environment of plugins */
	/* While they run, now and then: these processes, and what is below them. */
	void (*note)(const pid_t *subreapers, size_t n, void *arg);
	void *arg;
};

/* Comes before the plugins are set. Copies t; borrows what it names until children_destroy(). */
void children_track(struct children *c, const struct run_tracker *t);
/* Kills what runs, at once and without events. The loop must not turn afterwards: it would still
 * reap children here. false: something of it is not gone yet. NULL is fine. */
bool children_destroy(struct children *c);

struct child_defaults {
	uint32_t timeout_ms; /* for plugins that have none of their own */
	uint64_t max_output; /* bytes of stdout, and of stderr */
};
/* Sets what can be run from now on. Copies what it needs, and resolves users, so it may block; what
 * runs already goes on as it was started. */
void children_set_plugins(
    struct children *c, const struct plugin_set *set, const struct child_defaults *defaults);
void children_request(struct children *c, const struct child_request *req);
size_t children_running(const struct children *c); /* for tests */

#endif
