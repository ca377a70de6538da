/* See metrics.h. */
#include "daemon/metrics.h"

#include "daemon/batch.h"
#include "daemon/inbox.h"
#include "daemon/lookout.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- metrics ---- */

static uint64_t
dead_total(const struct hand_status *s)
{
	uint64_t sum = 0;

	for (int i = 0; i < HAND_N_DEAD; i++)
		sum += s->dead[i];
	return sum;
}

static void
write_responses(struct metrics *m, const struct hand_status *s)
{
	metrics_single(m, "vogeler_received_total", METRICS_COUNTER,
	    "Responses that were taken in hand.", s->received);
	metrics_family(
	    m, "vogeler_responses_total", METRICS_COUNTER, "Responses by what became of them.");
	metrics_sample(m, "result", "stored", s->stored);
	metrics_sample(m, "result", "dead", dead_total(s));
	metrics_sample(m, "result", "given_back", s->given_back);
	metrics_single(m, "vogeler_acked_total", METRICS_COUNTER,
	    "Responses that were acknowledged.", s->acked);
	metrics_family(m, "vogeler_dead_total", METRICS_COUNTER,
	    "Responses that were refused, by kind of reason.");
	for (int i = 0; i < HAND_N_DEAD; i++)
		metrics_sample(m, "reason", hand_dead_name(i), s->dead[i]);
	metrics_single(m, "vogeler_dead_confirmed_total", METRICS_COUNTER,
	    "Dead letters that the broker has safe.", s->buried);
	metrics_single(m, "vogeler_dead_waiting", METRICS_GAUGE,
	    "Dead letters that the broker has not confirmed yet.", s->dead_waiting);
	metrics_single(m, "vogeler_dead_waiting_limit", METRICS_GAUGE,
	    "The most there may be of these; reading pauses then.", s->dead_waiting_max);
	metrics_family(m, "vogeler_values_refused_total", METRICS_COUNTER,
	    "Values that were kept as text, by what refused them: syntax, or a limit.");
	for (int i = JSONX_SYNTAX; i < JSONX_N_REFUSALS; i++)
		metrics_sample(
		    m, "reason", jsonx_refusal_name((enum jsonx_refusal)i), s->refused_values[i]);
	metrics_family(m, "vogeler_notices_total", METRICS_COUNTER,
	    "Notices to those who watch a job, by what became of them.");
	metrics_sample(m, "result", "sent", s->notices.sent);
	metrics_sample(m, "result", "dropped", s->notices.dropped);
}

static void
write_inbox(struct metrics *m, const struct inbox_status *s)
{
	metrics_family(
	    m, "vogeler_inbox_state", METRICS_GAUGE, "1 for the state that the intake is in.");
	for (int i = INBOX_PROBING; i <= INBOX_DRAINED; i++)
		metrics_sample(m, "state", inbox_state_name(i), s->state == (enum inbox_state)i);
	metrics_single(
	    m, "vogeler_inbox_deliveries", METRICS_GAUGE, "Responses in hand.", s->hand.count);
	metrics_single(m, "vogeler_inbox_deliveries_limit", METRICS_GAUGE,
	    "The most there may be of these: prefetch, for each queue.", s->in_hand_max);
	metrics_single(m, "vogeler_inbox_unacked", METRICS_GAUGE,
	    "Deliveries that were not acknowledged yet.", s->hand.outstanding);
	metrics_single(m, "vogeler_inbox_held_bytes", METRICS_GAUGE, "Bytes of responses in hand.",
	    s->hand.bytes);
	metrics_single(m, "vogeler_inbox_held_bytes_limit", METRICS_GAUGE,
	    "Above so many reading pauses: intake_max_bytes.", s->hand.bytes_max);
	metrics_single(m, "vogeler_inbox_paused", METRICS_GAUGE,
	    "Whether reading pauses because a limit is reached.", s->hand.paused);
}

static void
write_store(struct metrics *m, const struct batch_stats *b)
{
	metrics_family(m, "vogeler_store_writes_total", METRICS_COUNTER,
	    "Writes of a record, by the answer of the store.");
	for (int i = 0; i < STORE_N_STATUS; i++)
		metrics_sample(m, "status", store_status_name(i), b->answers[i]);
	metrics_single(m, "vogeler_store_batches_total", METRICS_COUNTER,
	    "Batches that were given to the store.", b->puts);
	metrics_family(m, "vogeler_store_batch_seconds_total", METRICS_COUNTER,
	    "How long the store took for batches, together.");
	metrics_scaled(m, NULL, NULL, b->put_ms, 3);
	metrics_family(m, "vogeler_store_batch_seconds_max", METRICS_GAUGE,
	    "How long it took for the slowest.");
	metrics_scaled(m, NULL, NULL, b->put_ms_max, 3);
	metrics_single(m, "vogeler_store_splits_total", METRICS_COUNTER,
	    "Batches that were halved to find what the store refuses.", b->splits);
	metrics_single(m, "vogeler_store_retries_total", METRICS_COUNTER,
	    "Writes that the store put off.", b->retries);
	metrics_family(m, "vogeler_store_last_success_timestamp_seconds", METRICS_GAUGE,
	    "When the store last took a write; 0 if never since the start.");
	metrics_scaled(m, NULL, NULL, (uint64_t)b->last_ok_wall_ms, 3);
}

static void
write_pace(struct metrics *m, const struct store_pace *p)
{
	metrics_single(m, "vogeler_store_slowdowns_total", METRICS_COUNTER,
	    "Answers of the store that ask for less: 429 and 503.", p->slowdowns);
	metrics_single(m, "vogeler_store_requests_allowed", METRICS_GAUGE,
	    "Requests that the store gets at once, at most; fewer after it asked for less.",
	    p->allowed);
	metrics_single(m, "vogeler_store_requests_limit", METRICS_GAUGE,
	    "The same while all is well.", p->max);
}

static void
write_queues(struct metrics *m, const struct lookout *l)
{
	struct lookout_queue q;

	metrics_family(m, "vogeler_queue_messages", METRICS_GAUGE,
	    "Messages that wait in the broker's queue; left out while that is not known.");
	for (size_t i = 0; i < lookout_count(l); i++) {
		lookout_queue(l, i, &q);
		if (q.known)
			metrics_sample(m, "queue", q.name, q.messages);
	}
}

void
collector_metrics(struct metrics *m, void *arg)
{
	const struct collector_parts *p = arg;
	struct inbox_status s;

	inbox_status(p->inbox, &s);
	write_responses(m, &s.hand);
	write_inbox(m, &s);
	write_store(m, s.batch);
	write_pace(m, s.pace);
	write_queues(m, p->lookout);
}

/* ---- health ---- */

/* Less than what a write may take: this one is small, and the store idle. */
#define PROBE_LATE_MS 3000

/* Not its word for it, but whether it takes what waits for it; a probe, while nothing does. */
static void
check_store(struct health *h, const struct inbox_status *s)
{
	if (s->trouble != NULL)
		health_narrow(h, "store", "takes nothing", s->trouble_ms, s->trouble);
	else if (s->unanswered_ms >= PROBE_LATE_MS)
		health_narrow(h, "store", "does not answer", s->unanswered_ms, NULL);
	else if (s->hand.stalled_ms >= MONITOR_STALL_MS)
		health_narrow(
		    h, "store", "has written nothing of what waits", s->hand.stalled_ms, NULL);
}

static void
check_intake(struct health *h, const struct inbox_status *s)
{
	if (s->state == INBOX_DRAINING || s->state == INBOX_DRAINED)
		health_narrow(h, "collector", "is stopping", s->state_ms, NULL);
}

/* More comes than is written. */
static void
check_backlog(struct health *h, const struct lookout *l)
{
	struct lookout_queue q;
	char text[128];

	for (size_t i = 0; i < lookout_count(l); i++) {
		lookout_queue(l, i, &q);
		if (q.growing_ms == 0)
			continue;
		snprintf(text, sizeof(text), "%s grows, %" PRIu32 " responses wait,", q.name,
		    q.messages);
		health_narrow(h, "backlog", text, q.growing_ms, NULL);
	}
}

void
collector_health(struct health *h, void *arg)
{
	const struct collector_parts *p = arg;
	struct inbox_status s;

	inbox_status(p->inbox, &s);
	check_store(h, &s);
	check_intake(h, &s);
	check_backlog(h, p->lookout);
}
