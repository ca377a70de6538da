/* SPDX-License-Identifier: Apache-2.0 */
/* daemon/metrics: the collector's metrics and health from what its modules say, which are played
 * here. */
#include "daemon/metrics.h"

#include "daemon/batch.h"
#include "daemon/bindings.h"
#include "daemon/collector.h"
#include "daemon/contact_tracker.h"
#include "daemon/damage.h"
#include "daemon/queue_depth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static struct damage *damage;
static struct collector_status collector;
static struct batch_stats batch;
static struct store_pace pace;
static struct queue_depth_queue queues[2];

void
collector_status(const struct collector *in, struct collector_status *out)
{
	*out = collector;
}

const char *
collector_state_name(enum collector_state s)
{
	static const char *const names[] = {
	    "PROBING", "TRYING", "TAKING", "STANDBY", "DRAINING", "DRAINED"};

	return names[s];
}

const char *
inflight_dead_name(enum inflight_dead dead)
{
	static const char *const names[] = {"oversize", "malformed", "forged", "rejected"};

	return names[dead];
}

size_t
queue_depth_count(const struct queue_depth *l)
{
	return 2;
}

void
queue_depth_queue(const struct queue_depth *l, size_t i, struct queue_depth_queue *out)
{
	*out = queues[i];
}

void
contact_tracker_status(const struct contact_tracker *r, struct contact_tracker_status *out)
{
	*out = (struct contact_tracker_status){
	    .online = 9000, .offline = 999, .never = 1, .looked_wall_ms = 1285480949609};
}

void
bindings_status(const struct bindings *b, struct bindings_status *out)
{
	*out = (struct bindings_status){.rounds = 7,
	    .bound = 9998,
	    .no_queue = 1,
	    .forbidden = 1,
	    .whole_wall_ms = 1285480949609,
	    .whole_ms = 17250};
}

static struct metrics_parts parts;
static struct buf page;

static int
setup(void **state)
{
	batch = (struct batch_stats){0};
	damage = damage_create();
	collector = (struct collector_status){
	    .state = COLLECTOR_TAKING, .batch = &batch, .pace = &pace, .damage = damage};
	queues[0] = (struct queue_depth_queue){.name = "master.in", .known = true};
	queues[1] = (struct queue_depth_queue){.name = "vogeler.fresh"};
	parts = (struct metrics_parts){0};
	buf_init(&page, 16384);
	return 0;
}

static int
teardown(void **state)
{
	buf_finish(&page);
	damage_destroy(damage);
	return 0;
}

static void
assert_health(const char *text)
{
	struct health h = {.out = &page};

	buf_reset(&page);
	collector_health(&h, &parts);
	assert_false(h.failed);
	assert_int_equal(h.narrow, text[0] != '\0');
	assert_string_equal(page.len == 0 ? "" : page.data, text);
}

static void
a_store_that_takes_nothing(void **state)
{
	assert_health("");
	collector.inflight.stalled_ms = MONITOR_STALL_MS - 1;
	assert_health("");
	collector.inflight.stalled_ms = MONITOR_STALL_MS;
	assert_health("store: has written nothing of what waits since 5 s\n");
	collector.trouble = "refused";
	collector.trouble_ms = 1000;
	assert_health("store: takes nothing since 1 s: refused\n");
	collector.state = COLLECTOR_PROBING;
	collector.trouble = "";
	assert_health("store: takes nothing since 1 s\n");
}

/* One page is the trouble of many hosts: it is a line, whatever their number. */
static void
hosts_of_which_nothing_is_taken(void **state)
{
	char host[16];

	damage_add(damage, "web01", "malformed; cure", (struct mono){1});
	collector.damage_ms = 2000;
	assert_health("store: takes nothing of 1 host (web01) since 2 s: malformed; cure\n");
	for (int i = 0; i < DAMAGE_HOSTS_MAX + 5; i++) {
		snprintf(host, sizeof(host), "h%05d", i);
		damage_add(damage, host, "bad", (struct mono){2});
		damage_add(damage, host, "bad", (struct mono){2});
		if (i == 2)
			assert_health("store: takes nothing of 4 hosts (web01, h00000, h00001 and "
				      "1 more) since 2 s: bad\n");
	}
	assert_health("store: takes nothing of more than 10000 hosts (web01, h00000, h00001 and "
		      "9997 more) since 2 s: bad\n");
	assert_false(damage_remove(damage, "web01"));
	assert_false(damage_remove(damage, "web02"));
	for (int i = 0; i < DAMAGE_HOSTS_MAX - 1; i++) {
		snprintf(host, sizeof(host), "h%05d", i);
		assert_int_equal(damage_remove(damage, host), i == DAMAGE_HOSTS_MAX - 2);
	}
	assert_health("");
}

static void
a_store_that_does_not_answer(void **state)
{
	collector.unanswered_ms = 2999;
	assert_health("");
	collector.unanswered_ms = 3000;
	assert_health("store: does not answer since 3 s\n");
	collector.trouble = "refused";
	assert_health("store: takes nothing since 0 s: refused\n");
}

static void
stopping(void **state)
{
	collector.state = COLLECTOR_DRAINING;
	assert_health("collector: is stopping since 0 s\n");
}

static void
a_queue_that_grows(void **state)
{
	collector.inflight.count = 1000; /* alone that is no backlog */
	collector.inflight.paused = true;
	assert_health("");
	queues[0].messages = 5200;
	assert_health("");
	queues[0].growing_ms = 9000;
	assert_health("backlog: master.in grows, 5200 responses wait, since 9 s\n");
	queues[1].growing_ms = 6000;
	queues[1].messages = 1;
	assert_health("backlog: master.in grows, 5200 responses wait, since 9 s\n"
		      "backlog: vogeler.fresh grows, 1 responses wait, since 6 s\n");
}

static void
assert_line(const char *line)
{
	const char *at = strstr(page.data, line);

	if (at == NULL || (at > page.data && at[-1] != '\n'))
		fail_msg("no line \"%s\" in:\n%s", line, page.data);
}

static void
metrics_of_all(void **state)
{
	struct metrics m;

	collector.inflight.received = 12;
	collector.inflight.stored = 5;
	collector.inflight.given_back = 3;
	collector.inflight.acked = 6;
	collector.inflight.dead[INFLIGHT_DEAD_MALFORMED] = 2;
	collector.inflight.dead[INFLIGHT_DEAD_REJECTED] = 1;
	collector.inflight.buried = 2;
	collector.inflight.dead_waiting = 1;
	collector.inflight.count = 4;
	collector.inflight.outstanding = 7;
	collector.inflight.slow_waiting = 2;
	collector.inflight.share_waiting = 18;
	collector.inflight.bytes = 4096;
	collector.in_hand_max = 1000;
	collector.inflight.bytes_max = 65536;
	collector.inflight.dead_waiting_max = 100;
	collector.inflight.refused_values[JSONX_READ] = 99;
	collector.inflight.refused_values[JSONX_DEPTH] = 4;
	collector.inflight.refused_values[JSONX_BYTES] = 5;
	collector.inflight.paused = true;
	pace = (struct store_pace){3, 8, 17};
	batch.answers[STORE_OK] = 5;
	batch.puts = 8;
	batch.put_ms = 1234;
	batch.put_ms_max = 567;
	batch.splits = 9;
	batch.retries = 10;
	batch.older = 11;
	collector.strays_dropped = 13;
	batch.last_ok_wall_ms = 1290000000123;
	queues[0].messages = 33;
	metrics_init(&m, &page);
	collector_metrics(&m, &parts);
	assert_false(m.failed);
	assert_line("vogeler_received_total 12\n");
	assert_line("vogeler_responses_total{result=\"stored\"} 5\n");
	assert_line("vogeler_responses_total{result=\"dead\"} 3\n");
	assert_line("vogeler_responses_total{result=\"given_back\"} 3\n");
	assert_line("vogeler_acked_total 6\n");
	assert_line("vogeler_dead_total{reason=\"malformed\"} 2\n");
	assert_line("vogeler_dead_confirmed_total 2\n");
	assert_line("vogeler_dead_waiting 1\n");
	assert_line("vogeler_inbox_state{state=\"TAKING\"} 1\n");
	assert_line("vogeler_inbox_state{state=\"PROBING\"} 0\n");
	assert_line("vogeler_inbox_deliveries 4\n");
	assert_line("vogeler_inbox_slow_start 2\n");
	assert_line("vogeler_inbox_over_share 18\n");
	assert_line("vogeler_inbox_unacked 7\n");
	assert_line("vogeler_inbox_held_bytes 4096\n");
	assert_line("vogeler_inbox_paused 1\n");
	assert_line("vogeler_store_writes_total{status=\"OK\"} 5\n");
	assert_line("vogeler_store_batches_total 8\n");
	assert_line("vogeler_store_batch_seconds_total 1.234\n");
	assert_line("vogeler_store_batch_seconds_max 0.567\n");
	assert_line("vogeler_store_splits_total 9\n");
	assert_line("vogeler_store_retries_total 10\n");
	assert_line("vogeler_store_damaged_hosts 0\n");
	assert_line("vogeler_results_older_total 11\n");
	assert_line("vogeler_ledger_strays_dropped_total 13\n");
	assert_line("vogeler_store_last_success_timestamp_seconds 1290000000.123\n");
	assert_line("vogeler_queue_messages{queue=\"master.in\"} 33\n");
	assert_line("vogeler_inbox_deliveries_limit 1000\n");
	assert_line("vogeler_inbox_held_bytes_limit 65536\n");
	assert_line("vogeler_dead_waiting_limit 100\n");
	assert_line("vogeler_values_refused_total{reason=\"syntax\"} 0\n");
	assert_line("vogeler_values_refused_total{reason=\"depth\"} 4\n");
	assert_line("vogeler_values_refused_total{reason=\"bytes\"} 5\n");
	assert_null(strstr(page.data, "reason=\"read\""));
	assert_line("vogeler_store_slowdowns_total 17\n");
	assert_line("vogeler_store_requests_allowed 3\n");
	assert_line("vogeler_store_requests_limit 8\n");
	assert_line("vogeler_bindings_hosts{result=\"bound\"} 9998\n");
	assert_line("vogeler_bindings_hosts{result=\"no_queue\"} 1\n");
	assert_line("vogeler_bindings_hosts{result=\"forbidden\"} 1\n");
	assert_line("vogeler_bindings_rounds_total 7\n");
	assert_line("vogeler_bindings_last_round_timestamp_seconds 1285480949.609\n");
	assert_line("vogeler_bindings_last_round_seconds 17.250\n");
	assert_line("vogeler_contact_hosts{state=\"online\"} 9000\n");
	assert_line("vogeler_contact_hosts{state=\"offline\"} 999\n");
	assert_line("vogeler_contact_hosts{state=\"never\"} 1\n");
	assert_line("vogeler_contact_last_look_timestamp_seconds 1285480949.609\n");
	assert_null(strstr(page.data, "queue=\"vogeler.fresh\"")); /* not known is not 0 */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(a_store_that_takes_nothing, setup, teardown),
	    cmocka_unit_test_setup_teardown(hosts_of_which_nothing_is_taken, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_store_that_does_not_answer, setup, teardown),
	    cmocka_unit_test_setup_teardown(stopping, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_queue_that_grows, setup, teardown),
	    cmocka_unit_test_setup_teardown(metrics_of_all, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
