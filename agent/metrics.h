/* SPDX-License-Identifier: Apache-2.0 */
/* The agent says this of itself, on the pages of shared/monitor/monitor.h; docs/metrics.md has the
 * table.
 */
#ifndef VOGELER_AGENT_METRICS_H
#define VOGELER_AGENT_METRICS_H

#include "shared/exec/childmsg.h"
#include "shared/monitor/metrics.h"
#include "shared/monitor/monitor.h"

struct cmdq;
struct sequence;
struct outbox;
struct schedule;

struct agent_parts { /* all pointers borrowed */
	const struct cmdq *cmdq;
	const struct schedule *schedule;
	const struct outbox *outbox;
	const struct sequence *order;
	size_t concurrency;                  /* plugins at once */
	uint64_t outcomes[CHILD_N_OUTCOMES]; /* of runs, counted by the owner */
};

/* arg: struct agent_parts. */
void agent_metrics(struct metrics *m, void *arg);
void agent_health(struct health *h, void *arg);

#endif
