/* SPDX-License-Identifier: Apache-2.0 */
/* The collector says this of itself, on the pages of shared/monitor/monitor.h; docs/metrics.md has
 * the table. */
#ifndef VOGELER_DAEMON_METRICS_H
#define VOGELER_DAEMON_METRICS_H

#include "shared/monitor/metrics.h"
#include "shared/monitor/monitor.h"

struct bindings;
struct collector;
struct queue_depth;
struct contact_tracker;

struct metrics_parts { /* all borrowed */
	const struct collector *collector;
	const struct queue_depth *queue_depth;
	const struct bindings *bindings;
	const struct contact_tracker *contact_tracker;
};

/* arg: struct metrics_parts. */
void collector_metrics(struct metrics *m, void *arg);
void collector_health(struct health *h, void *arg);

#endif
