/* SPDX-License-Identifier: Apache-2.0 */
/* A worker is a helper thread for what would hold up the loop, since it blocks (SQLite,
 * getaddrinfo) or takes long (large values that are read or made). Its jobs run one at a time in
 * order; their results come back as callbacks on the loop. No program has threads of another kind.
 */
#ifndef VOGELER_WORKER_H
#define VOGELER_WORKER_H

#include <stdbool.h>

struct loop;
struct worker;

/* run is called on the thread and must not touch the loop; done is called on the loop, after run
 * has returned. */
typedef void worker_run_fn(void *job);
typedef void worker_done_fn(void *job);

/* The thread has a stack of 8 MiB. NULL: errno says why; descriptors or threads may be short for a
 * while. */
struct worker *worker_create(struct loop *loop, const char *name);
void worker_submit(struct worker *w, worker_run_fn *run, worker_done_fn *done, void *job);
/* Waits for the job that runs and for those queued, calling each done on the way out. For SQLite.
 */
void worker_destroy(struct worker *w);
/* Does not wait: the running job's thread ends by itself later; each job not done yet is given to
 * drop (on the calling thread if it has not begun, on the worker's if it runs), no done is called
 * any more. For the resolver, whose call may take minutes. */
void worker_abandon(struct worker *w, worker_done_fn *drop);

#endif
