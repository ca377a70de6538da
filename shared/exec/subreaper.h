/* SPDX-License-Identifier: Apache-2.0 */
/* The process between the agent and a plugin, one for each run. It is the child subreaper
 * (PR_SET_CHILD_SUBREAPER) of all that the plugin starts: an orphan of the plugin becomes its child
 * and nobody else's, so it is reaped at once, it is known whose it was, and nothing that another
 * has started is ever taken for it.
 *
 * When the agent says so, closes its end of the control socket or dies, however it does, the keeper
 * kills all of its children until none is left, and ends. It is a fork of the agent that executes
 * nothing and makes async-signal-safe calls only. */
#ifndef VOGELER_SUBREAPER_H
#define VOGELER_SUBREAPER_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/types.h>

#define SUBREAPER_END_MS 4000 /* from the end of control to giving up (uninterruptible sleep) */

enum subreaper_order {
	SUBREAPER_TERM = 'T', /* SIGTERM to the plugin's process group */
	SUBREAPER_KILL = 'K', /* SIGKILL to it, and to all that it left behind */
};

enum subreaper_news {
	SUBREAPER_STARTED, /* pid is its number, session and process group */
	SUBREAPER_EXITED,  /* it did; its number stays its own until the keeper ends */
};

struct subreaper_report { /* one message of the control socket */
	enum subreaper_news news;
	pid_t pid;
	siginfo_t end; /* of EXITED, as the next one */
	struct rusage used;
};

struct subreaper {
	int control; /* SOCK_SEQPACKET */
	int kept[3]; /* descriptors that the plugin needs; every other one is closed */
	void (*start)(void *arg) __attribute__((noreturn)); /* becomes the plugin */
	void (*failed)(int error, void *arg);               /* there is no process for it */
	void *arg;
};

/* Runs in the child, with every signal blocked. */
void subreaper_run(const struct subreaper *k) __attribute__((noreturn));
/* Is called in the agent. A keeper that is gone needs no orders. */
void subreaper_tell(int control, enum subreaper_order order);
/* false: there is nothing now; *gone: nor will there ever be. */
bool subreaper_hear(int control, struct subreaper_report *report, bool *gone);

#endif
