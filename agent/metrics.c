/* See metrics.h. */
#include "agent/metrics.h"

#include "agent/child.h"
#include "agent/cmdq.h"
#include "agent/order.h"
#include "agent/outbox.h"
#include "agent/schedule.h"

#include <stdio.h>

static void
write_commands(struct metrics *m, const struct agent_parts *p)
{
	const struct cmdq *q = p->cmdq;
	const struct cmdq_stats *s = cmdq_stats(q);

	metrics_family(
	    m, "vogeler_commands_total", METRICS_COUNTER, "Commands by what became of them.");
	for (int i = 0; i < CMDQ_N_RESULTS; i++)
		metrics_sample(m, "state", cmdq_result_name(i), s->results[i]);
	metrics_single(m, "vogeler_commands_waiting", METRICS_GAUGE,
	    "Commands whose turn has not come.", cmdq_waiting(q));
	metrics_single(m, "vogeler_plugins_running", METRICS_GAUGE,
	    "Plugins that run; the limit is concurrency.",
	    cmdq_running(q) + schedule_running(p->schedule));
	metrics_family(
	    m, "vogeler_plugin_runs_total", METRICS_COUNTER, "Runs of plugins, by how they ended.");
	for (int i = 0; i < CHILD_N_OUTCOMES; i++)
		metrics_sample(m, "outcome", child_outcome_name(i), p->outcomes[i]);
}

static void
write_outbox(struct metrics *m, const struct outbox_status *s)
{
	metrics_single(m, "vogeler_outbox_responses", METRICS_GAUGE,
	    "Responses that the broker has not confirmed yet.", s->count);
	metrics_single(m, "vogeler_outbox_bytes", METRICS_GAUGE, "The bytes of these.", s->bytes);
	metrics_family(m, "vogeler_outbox_oldest_seconds", METRICS_GAUGE,
	    "How long the oldest of these has been there; 0 if there is none.");
	metrics_scaled(m, NULL, NULL, (uint64_t)s->oldest_ms, 3);
	metrics_single(m, "vogeler_outbox_added_total", METRICS_COUNTER,
	    "Responses that were to be sent.", s->added);
	metrics_single(m, "vogeler_outbox_confirmed_total", METRICS_COUNTER,
	    "Responses that the broker has safe.", s->confirmed);
	metrics_single(m, "vogeler_outbox_refused_total", METRICS_COUNTER,
	    "Times that the broker refused a response; it is sent again.", s->refused);
	metrics_single(m, "vogeler_outbox_lost_total", METRICS_COUNTER,
	    "Times that a connection ended before the answer; it is sent again.", s->lost);
	metrics_single(m, "vogeler_outbox_replaced_total", METRICS_COUNTER,
	    "Unsent results of the schedule that a newer one replaced.", s->replaced);
}

void
agent_metrics(struct metrics *m, void *arg)
{
	const struct agent_parts *p = arg;
	struct outbox_status s;

	outbox_status(p->outbox, &s);
	write_commands(m, p);
	write_outbox(m, &s);
	metrics_single(m, "vogeler_order_failing", METRICS_GAUGE,
	    "Whether the order mark cannot be written.", order_is_failing(p->order));
}

void
agent_health(struct health *h, void *arg)
{
	const struct agent_parts *p = arg;
	struct outbox_status s;
	char text[160];

	outbox_status(p->outbox, &s);
	if (s.oldest_ms >= MONITOR_STALL_MS || s.why[0] != '\0') {
		snprintf(text, sizeof(text), "%zu responses wait", s.count);
		health_narrow(h, "outbox", text, s.oldest_ms, s.why);
	}
	if (order_is_failing(p->order))
		health_narrow(h, "order", "the mark cannot be written", -1, NULL);
}
