/* SPDX-License-Identifier: Apache-2.0 */
/* See metrics.h. */
#include "daemon/metrics.h"

#include "daemon/batch.h"
#include "daemon/bindings.h"
#include "daemon/collector.h"
#include "daemon/contact_tracker.h"
#include "daemon/damage.h"
#include "daemon/queue_depth.h"
#include "shared/amqp/queue_args.h"
#include "shared/amqp/topology.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- metrics ---- */

static uint64_t
dead_total(const struct inflight_status *s)
{
	uint64_t sum = 0;

	for (int i = 0; i < INFLIGHT_N_DEAD; i++)
		sum += s->dead[i];
	return sum;
}

static void
write_responses(struct metrics *m, const struct inflight_status *s)
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
	for (int i = 0; i < INFLIGHT_N_DEAD; i++)
		metrics_sample(m, "reason", inflight_dead_name(i), s->dead[i]);
	metrics_single(m, "vogeler_dead_confirmed_total", METRICS_COUNTER,
	    "Dead letters that the broker has safe.", s->buried);
	metrics_single(m, "vogeler_dead_untold_total", METRICS_COUNTER,
	    "Refused responses that would have answered a command, whose job was not told, since "
	    "it is not known which host sent them.",
	    s->untold);
	metrics_single(m, "vogeler_dead_waiting", METRICS_GAUGE,
	    "Dead letters that the broker has not confirmed yet.", s->dead_waiting);
	metrics_single(m, "vogeler_dead_waiting_limit", METRICS_GAUGE,
	    "The most there may be of these; of more only the tags are held.", s->dead_waiting_max);
	metrics_single(m, "vogeler_dead_held", METRICS_GAUGE,
	    "Refused responses of which only the tags are held, until the queue of dead letters "
	    "takes them.",
	    s->dead_held);
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
write_collector(struct metrics *m, const struct collector_status *s)
{
	metrics_family(
	    m, "vogeler_inbox_state", METRICS_GAUGE, "1 for the state that the intake is in.");
	for (int i = COLLECTOR_PROBING; i <= COLLECTOR_DRAINED; i++)
		metrics_sample(
		    m, "state", collector_state_name(i), s->state == (enum collector_state)i);
	metrics_single(
	    m, "vogeler_inbox_deliveries", METRICS_GAUGE, "Responses in hand.", s->inflight.count);
	metrics_single(m, "vogeler_inbox_deliveries_limit", METRICS_GAUGE,
	    "The most there may be of these: prefetch, for each queue.", s->in_hand_max);
	metrics_single(m, "vogeler_inbox_slow_start", METRICS_GAUGE,
	    "Responses in hand that came back and wait for their turn, few at a time, since they "
	    "may be what ended the last process.",
	    s->inflight.slow_waiting);
	metrics_single(m, "vogeler_inbox_over_share", METRICS_GAUGE,
	    "Responses in hand of which only the tags are held, until there is room for them in "
	    "the share of their host: a quarter of intake_max_bytes.",
	    s->inflight.share_waiting);
	metrics_single(m, "vogeler_inbox_unacked", METRICS_GAUGE,
	    "Deliveries that were not acknowledged yet.", s->inflight.outstanding);
	metrics_single(m, "vogeler_inbox_held_bytes", METRICS_GAUGE, "Bytes of responses in hand.",
	    s->inflight.bytes);
	metrics_single(m, "vogeler_inbox_held_bytes_limit", METRICS_GAUGE,
	    "Above so many reading pauses: intake_max_bytes.", s->inflight.bytes_max);
	metrics_single(m, "vogeler_inbox_paused", METRICS_GAUGE,
	    "Whether reading pauses because a limit is reached.", s->inflight.paused);
}

static void
write_store(struct metrics *m, const struct batch_stats *b, const struct damage *damage)
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
	metrics_single(m, "vogeler_store_damaged_hosts", METRICS_GAUGE,
	    "Hosts of which the store takes nothing, since what is stored of them is damaged.",
	    damage_hosts(damage));
	metrics_single(m, "vogeler_results_older_total", METRICS_COUNTER,
	    "Results that were dropped as older than what the record has.", b->older);
	metrics_family(m, "vogeler_store_last_success_timestamp_seconds", METRICS_GAUGE,
	    "When the store last took a write; 0 if never since the start.");
	metrics_scaled(m, NULL, NULL, (uint64_t)b->last_ok_wall_ms, 3);
}

static void
write_wal(struct metrics *m, int64_t bytes)
{
	metrics_single(m, "vogeler_store_wal_bytes", METRICS_GAUGE,
	    "Size of SQLite's write-ahead log, which grows while something reads the file "
	    "without end; 0 with other stores.",
	    (uint64_t)bytes);
}

static void
write_ledger(struct metrics *m, uint64_t strays_dropped)
{
	metrics_single(m, "vogeler_ledger_strays_dropped_total", METRICS_COUNTER,
	    "Outcomes of jobs that the ledger does not know which went for newer ones: 100 of one "
	    "host are kept.",
	    strays_dropped);
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
write_queues(struct metrics *m, const struct queue_depth *l)
{
	struct queue_depth_queue q;

	metrics_family(m, "vogeler_queue_messages", METRICS_GAUGE,
	    "Messages that wait in the broker's queue; left out while that is not known.");
	for (size_t i = 0; i < queue_depth_count(l); i++) {
		queue_depth_queue(l, i, &q);
		if (q.known)
			metrics_sample(m, "queue", q.name, q.messages);
	}
}

static void
write_bindings(struct metrics *m, const struct bindings *b)
{
	struct bindings_status s;

	bindings_status(b, &s);
	metrics_family(m, "vogeler_bindings_hosts", METRICS_GAUGE,
	    "Hosts of the store by what the last round of bindings found: queues that are bound, "
	    "that are not there, that this user may not bind.");
	metrics_sample(m, "result", "bound", s.bound);
	metrics_sample(m, "result", "no_queue", s.no_queue);
	metrics_sample(m, "result", "forbidden", s.forbidden);
	metrics_single(m, "vogeler_bindings_rounds_total", METRICS_COUNTER,
	    "Rounds of bindings in which each host had its turn.", s.rounds);
	metrics_family(m, "vogeler_bindings_last_round_timestamp_seconds", METRICS_GAUGE,
	    "When the last of these ended; 0 if there was none since the start.");
	metrics_scaled(m, NULL, NULL, (uint64_t)s.whole_wall_ms, 3);
	metrics_family(m, "vogeler_bindings_last_round_seconds", METRICS_GAUGE,
	    "How long it took; the next begins 12 to 15 seconds later.");
	metrics_scaled(m, NULL, NULL, (uint64_t)s.whole_ms, 3);
}

static void
write_contact(struct metrics *m, const struct contact_tracker *r)
{
	struct contact_tracker_status s;

	contact_tracker_status(r, &s);
	metrics_family(m, "vogeler_contact_hosts", METRICS_GAUGE,
	    "Hosts of the store by contact: whose queue is read, is not read any more, was never "
	    "seen to be read.");
	metrics_sample(m, "state", "online", s.online);
	metrics_sample(m, "state", "offline", s.offline);
	metrics_sample(m, "state", "never", s.never);
	metrics_family(m, "vogeler_contact_last_look_timestamp_seconds", METRICS_GAUGE,
	    "When all of them were looked at last; 0 if never since the start.");
	metrics_scaled(m, NULL, NULL, (uint64_t)s.looked_wall_ms, 3);
}

void
collector_metrics(struct metrics *m, void *arg)
{
	const struct metrics_parts *p = arg;
	struct collector_status s;

	collector_status(p->collector, &s);
	write_responses(m, &s.inflight);
	write_collector(m, &s);
	write_store(m, s.batch, s.damage);
	write_wal(m, s.wal_bytes);
	write_ledger(m, s.strays_dropped);
	write_pace(m, s.pace);
	write_queues(m, p->queue_depth);
	write_bindings(m, p->bindings);
	write_contact(m, p->contact_tracker);
}

/* ---- health ---- */

/* Less than what a write may take: this one is small, and the store idle. */
#define PROBE_LATE_MS 3000

/* The store is judged by whether it takes what waits for it; by a probe, while nothing does. */
static void
check_store(struct health *h, const struct collector_status *s)
{
	char text[DAMAGE_TEXT_SIZE];

	if (s->trouble != NULL)
		health_narrow(h, "store", "takes nothing", s->trouble_ms, s->trouble);
	else if (damage_text(s->damage, text) != NULL)
		health_narrow(h, "store", text, s->damage_ms, damage_why(s->damage));
	else if (s->unanswered_ms >= PROBE_LATE_MS)
		health_narrow(h, "store", "does not answer", s->unanswered_ms, NULL);
	else if (s->inflight.stalled_ms >= MONITOR_STALL_MS)
		health_narrow(
		    h, "store", "has written nothing of what waits", s->inflight.stalled_ms, NULL);
}

/* Tells of refused responses that wait: they hold up nothing else. */
static void
check_dead_letters(struct health *h, const struct collector_status *s)
{
	char text[96];

	if (s->inflight.dead_stuck_ms < MONITOR_STALL_MS)
		return;
	snprintf(text, sizeof(text), "%s takes nothing, %zu refused responses wait for it,",
	    TOPOLOGY_DEAD_QUEUE, s->inflight.dead_waiting + s->inflight.dead_held);
	health_narrow(h, "dead letters", text, s->inflight.dead_stuck_ms, s->inflight.dead_stuck);
}

static void
check_intake(struct health *h, const struct collector_status *s)
{
	if (s->state == COLLECTOR_DRAINING || s->state == COLLECTOR_DRAINED)
		health_narrow(h, "collector", "is stopping", s->state_ms, NULL);
}

/* More comes than is written. */
static void
check_backlog(struct health *h, const struct queue_depth *l)
{
	struct queue_depth_queue q;
	char text[128];

	for (size_t i = 0; i < queue_depth_count(l); i++) {
		queue_depth_queue(l, i, &q);
		if (q.growing_ms == 0)
			continue;
		snprintf(text, sizeof(text), "%s grows, %" PRIu32 " responses wait,", q.name,
		    q.messages);
		health_narrow(h, "backlog", text, q.growing_ms, NULL);
	}
}

/* Tells when nothing reaches us, or so much waits that the broker's memory or disk may be next. */
static void
check_queues(struct health *h, const struct queue_depth *l)
{
	struct queue_depth_queue q;
	char text[320];

	for (size_t i = 0; i < queue_depth_count(l); i++) {
		queue_depth_queue(l, i, &q);
		if (q.unbound) {
			snprintf(text, sizeof(text), "no queue is bound to %.128s with key \"%s\"",
			    q.exchange, q.key);
			health_narrow(h, "bindings", text, q.unbound_ms, NULL);
		}
		if (q.exchange != NULL && q.known && q.bytes >= QUEUE_LARGE_BYTES) {
			snprintf(text, sizeof(text),
			    "%s holds %" PRIu32 " responses, about %" PRIu64 " MiB", q.name,
			    q.messages, q.bytes >> 20);
			health_narrow(h, "backlog", text, -1, NULL);
		}
	}
}

void
collector_health(struct health *h, void *arg)
{
	const struct metrics_parts *p = arg;
	struct collector_status s;

	collector_status(p->collector, &s);
	check_store(h, &s);
	check_dead_letters(h, &s);
	check_intake(h, &s);
	check_backlog(h, p->queue_depth);
	check_queues(h, p->queue_depth);
}
