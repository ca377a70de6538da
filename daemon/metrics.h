/* What the collector says of itself, on the pages of shared/monitor/monitor.h; docs/metrics.md has
 * the table. */
#ifndef VOGELER_DAEMON_METRICS_H
#define VOGELER_DAEMON_METRICS_H

#include "shared/monitor/metrics.h"
#include "shared/monitor/monitor.h"

struct bindings;
struct inbox;
struct lookout;
struct rollcall;

struct collector_parts { /* all borrowed */
	const struct inbox *inbox;
	const struct lookout *lookout;
	const struct bindings *bindings;
	const struct rollcall *rollcall;
};

/* arg: struct collector_parts. */
void collector_metrics(struct metrics *m, void *arg);
void collector_health(struct health *h, void *arg);

#endif
