/* SPDX-License-Identifier: Apache-2.0 */
/* agent/metrics: the agent's metrics and health from what its modules say, which are played here.
 */
#include "agent/metrics.h"

#include "agent/cmdq.h"
#include "agent/outbox.h"
#include "agent/schedule.h"
#include "agent/sequence.h"
#include "shared/exec/children.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static struct outbox_status outbox;
static struct cmdq_stats commands;
static bool order_fails;

void
outbox_status(const struct outbox *o, struct outbox_status *out)
{
	*out = outbox;
}

const struct cmdq_stats *
cmdq_stats(const struct cmdq *q)
{
	return &commands;
}

const char *
cmdq_result_name(enum cmdq_result result)
{
	return result == CMDQ_OK ? "ok" : "other";
}

size_t
cmdq_waiting(const struct cmdq *q)
{
	return 21;
}

size_t
cmdq_running(const struct cmdq *q)
{
	return 2;
}

size_t
schedule_running(const struct schedule *s)
{
	return 3;
}

bool
sequence_is_failing(const struct sequence *o)
{
	return order_fails;
}

const char *
child_outcome_name(enum child_outcome outcome)
{
	return outcome == CHILD_TIMEOUT ? "timeout" : "other";
}

static struct agent_parts parts;
static struct buf page;

static int
setup(void **state)
{
	outbox = (struct outbox_status){.why = ""};
	commands = (struct cmdq_stats){0};
	order_fails = false;
	parts = (struct agent_parts){0};
	buf_init(&page, 16384);
	return 0;
}

static int
teardown(void **state)
{
	buf_finish(&page);
	return 0;
}

static void
assert_health(const char *text)
{
	struct health h = {.out = &page};

	buf_reset(&page);
	agent_health(&h, &parts);
	assert_false(h.failed);
	assert_int_equal(h.narrow, text[0] != '\0');
	assert_string_equal(page.len == 0 ? "" : page.data, text);
}

static void
responses_that_wait(void **state)
{
	outbox.answers = 3;
	outbox.newest = 1;
	outbox.oldest_ms = MONITOR_STALL_MS - 1;
	assert_health("");
	outbox.oldest_ms = MONITOR_STALL_MS;
	assert_health("outbox: 4 responses wait since 5 s\n");
	outbox.oldest_ms = 0;
	outbox.why = "the queue is full";
	assert_health("outbox: 4 responses wait since 0 s: the queue is full\n");
}

static void
a_mark_that_cannot_be_written(void **state)
{
	order_fails = true;
	assert_health("order: the mark cannot be written\n");
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

	commands.results[CMDQ_OK] = 11;
	parts.outcomes[CHILD_TIMEOUT] = 12;
	parts.concurrency = 9;
	outbox = (struct outbox_status){.answers = 13,
	    .newest = 2,
	    .newest_bytes = 3,
	    .answer_bytes = 14,
	    .oldest_ms = 15016,
	    .why = "",
	    .added = 16,
	    .confirmed = 17,
	    .refused = 18,
	    .lost = 19,
	    .replaced = 20};
	order_fails = true;
	metrics_init(&m, &page);
	agent_metrics(&m, &parts);
	assert_false(m.failed);
	assert_line("vogeler_commands_total{state=\"ok\"} 11\n");
	assert_line("vogeler_commands_waiting 21\n");
	assert_line("vogeler_plugins_running 5\n");
	assert_line("vogeler_plugin_runs_total{outcome=\"timeout\"} 12\n");
	assert_line("vogeler_outbox_responses{kind=\"answer\"} 13\n");
	assert_line("vogeler_outbox_responses{kind=\"scheduled\"} 2\n");
	assert_line("vogeler_outbox_responses_limit{kind=\"answer\"} 64\n");
	assert_line("vogeler_outbox_bytes{kind=\"answer\"} 14\n");
	assert_line("vogeler_outbox_bytes{kind=\"scheduled\"} 3\n");
	assert_line("vogeler_outbox_bytes_limit{kind=\"answer\"} 33554432\n");
	assert_line("vogeler_outbox_bytes_limit{kind=\"scheduled\"} 16777216\n");
	assert_line("vogeler_plugins_running_limit 9\n");
	assert_line("vogeler_outbox_oldest_seconds 15.016\n");
	assert_line("vogeler_outbox_added_total 16\n");
	assert_line("vogeler_outbox_confirmed_total 17\n");
	assert_line("vogeler_outbox_refused_total 18\n");
	assert_line("vogeler_outbox_lost_total 19\n");
	assert_line("vogeler_outbox_replaced_total 20\n");
	assert_line("vogeler_order_failing 1\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(responses_that_wait, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_mark_that_cannot_be_written, setup, teardown),
	    cmocka_unit_test_setup_teardown(metrics_of_all, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
