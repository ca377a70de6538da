/* SPDX-License-Identifier: Apache-2.0 */
/* Enters the jobs of a plan into the ledger, as a runner does before it sends them: so outcomes
 * belong to something, and are not kept as those of invented jobs are. */
#ifndef VOGELER_BENCH_LEDGER_JOBS_H
#define VOGELER_BENCH_LEDGER_JOBS_H

struct bench;

/* fn is called once, or bench_fail(). The store of b must be set up. */
void ledger_jobs_add(struct bench *b, void (*fn)(void *arg), void *arg);

#endif
