/* SPDX-License-Identifier: Apache-2.0 */
/* See metrics.h. */
#include "agent/metrics.h"

#include "agent/cmdq.h"
#include "agent/outbox.h"
#include "agent/schedule.h"
#include "agent/sequence.h"
#include "shared/exec/children.h"

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
	metrics_single(m, "vogeler_plugins_running", METRICS_GAUGE, "Plugins that run.",
	    cmdq_running(q) + schedule_running(p->schedule));
	metrics_single(m, "vogeler_plugins_running_limit", METRICS_GAUGE,
	    "The most there may be of these: concurrency.", p->concurrency);
	metrics_family(
	    m, "vogeler_plugin_runs_total", METRICS_COUNTER, "Runs of plugins, by how they ended.");
	for (int i = 0; i < CHILD_N_OUTCOMES; i++)
		metrics_sample(m, "outcome", child_outcome_name(i), p->outcomes[i]);
}

static void
write_outbox(struct metrics *m, const struct outbox_status *s)
{
	metrics_family(m, "vogeler_outbox_responses", METRICS_GAUGE,
	    "Responses that the broker has not confirmed yet: answers, and results of the schedule.");
	metrics_sample(m, "kind", "answer", s->answers);
	metrics_sample(m, "kind", "scheduled", s->newest);
	metrics_family(m, "vogeler_outbox_responses_limit", METRICS_GAUGE,
	    "The most there may be: no command runs then. Of the schedule it is one a plugin.");
	metrics_sample(m, "kind", "answer", OUTBOX_COUNT_MAX);
	metrics_family(m, "vogeler_outbox_bytes", METRICS_GAUGE, "The bytes of these.");
	metrics_sample(m, "kind", "answer", s->answer_bytes);
	metrics_sample(m, "kind", "scheduled", s->newest_bytes);
	metrics_family(m, "vogeler_outbox_bytes_limit", METRICS_GAUGE,
	    "The most there may be: no command runs then; of the schedule the oldest go.");
	metrics_sample(m, "kind", "answer", OUTBOX_BYTES_MAX);
	metrics_sample(m, "kind", "scheduled", OUTBOX_NEWEST_MAX);
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
	    "Whether the order mark cannot be written.", sequence_is_failing(p->order));
}

void
agent_health(struct health *h, void *arg)
{
	const struct agent_parts *p = arg;
	struct outbox_status s;
	char text[160];

	outbox_status(p->outbox, &s);
	if (s.oldest_ms >= MONITOR_STALL_MS || s.why[0] != '\0') {
		snprintf(text, sizeof(text), "%zu responses wait", s.answers + s.newest);
		health_narrow(h, "outbox", text, s.oldest_ms, s.why);
	}
	if (sequence_is_failing(p->order))
		health_narrow(h, "order", "the mark cannot be written", -1, NULL);
}
