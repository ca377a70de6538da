/* SPDX-License-Identifier: Apache-2.0 */
/* monitor: what /healthz says of a broker's connection, and which metrics there are of it. */
#include "shared/monitor/monitor.h"

#include "shared/amqp/broker.h"
#include "shared/event/loop.h"
#include "tests/fake/fake_broker_api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static struct loop *loop;
static struct broker *consumer, *publisher;
static struct buf page;
static struct monitor_parts parts;
static const char *trouble; /* of the program */

/* What a connection that is well says. */
static struct broker_status well, of_consumer, of_publisher;

static void
on_ready(struct broker *b, void *arg)
{
}

static void
own_metrics(struct metrics *m, void *arg)
{
	metrics_single(m, "vogeler_own", METRICS_GAUGE, "Own.", 7);
}

static void
own_health(struct health *h, void *arg)
{
	if (trouble != NULL)
		health_narrow(h, "own", trouble, -1, "");
}

static struct broker *
make_broker(const char *role)
{
	static const struct broker_handlers handlers = {.on_ready = on_ready};
	struct broker_options opt;

	broker_options_default(&opt);
	opt.role = role;
	return broker_create(loop, &opt, &handlers, NULL);
}

static int
setup(void **state)
{
	loop = loop_create();
	consumer = make_broker("consumer");
	publisher = make_broker("publisher");
	well = (struct broker_status){.ready = true,
	    .heartbeat_ms = 10000,
	    .silent_ms = 5000,
	    .failure = "",
	    .blocked_reason = "",
	    .times_ready = 1};
	of_consumer = of_publisher = well;
	of_consumer.role = "consumer";
	of_publisher.role = "publisher";
	fake_broker_status(consumer, &of_consumer);
	fake_broker_status(publisher, &of_publisher);
	trouble = NULL;
	parts = (struct monitor_parts){.loop = loop,
	    .brokers = {consumer, publisher},
	    .n_brokers = 2,
	    .metrics = own_metrics,
	    .health = own_health};
	buf_init(&page, 16384);
	return 0;
}

static int
teardown(void **state)
{
	broker_destroy(consumer);
	broker_destroy(publisher);
	loop_destroy(loop);
	buf_finish(&page);
	return 0;
}

static void
assert_health(const char *text)
{
	bool healthy;

	buf_reset(&page);
	assert_true(monitor_health(&parts, &page, &healthy));
	assert_string_equal(page.data, text);
	assert_int_equal(healthy, strcmp(text, "ok\n") == 0);
}

static void
all_is_well(void **state)
{
	assert_health("ok\n");
}

static void
down(void **state)
{
	of_consumer.ready = false;
	of_consumer.down_ms = 2999;
	of_consumer.failure = "refused";
	assert_health("broker: consumer is down since 2 s: refused\n");
	of_consumer.failure = "";
	assert_health("broker: consumer is down since 2 s\n");
	of_consumer.ready = true;
	assert_health("ok\n");
}

static void
blocked(void **state)
{
	of_publisher.blocked = true;
	of_publisher.blocked_ms = 61000;
	of_publisher.blocked_reason = "low on disk";
	assert_health("broker: publisher is blocked since 61 s: low on disk\n");
}

static void
silent(void **state)
{
	of_consumer.silent_ms = 8000;
	assert_health("ok\n");
	of_consumer.silent_ms = 8001;
	assert_health("broker: consumer is silent since 8 s\n");
	of_consumer.heartbeat_ms = 0; /* there are none: silence says nothing */
	assert_health("ok\n");
}

static void
unconfirmed(void **state)
{
	of_publisher.unconfirmed_ms = MONITOR_STALL_MS - 1;
	assert_health("ok\n");
	of_publisher.unconfirmed_ms = MONITOR_STALL_MS;
	assert_health("broker: publisher gets no confirm since 5 s\n");
}

static void
no_consumer(void **state)
{
	of_consumer.queue = "master.in";
	of_consumer.unconsumed_ms = 12000;
	assert_health("consumer: none on queue master.in since 12 s\n");
	of_consumer.consumer_lost = true; /* by the last connection */
	of_consumer.failure = "in use";
	assert_health("consumer: none on queue master.in since 12 s: in use\n");
	of_consumer.ready = false;
	of_consumer.down_ms = 300;
	assert_health("consumer: none on queue master.in since 12 s: in use\n");
	of_consumer.consumer_lost = false; /* the connection's own line tells it */
	assert_health("broker: consumer is down since 0 s: in use\n");
	of_consumer.ready = of_consumer.consuming = true;
	assert_health("ok\n");
}

static void
several(void **state)
{
	of_consumer.ready = false;
	of_consumer.failure = "refused";
	of_publisher.blocked = true;
	trouble = "is in trouble";
	assert_health("broker: consumer is down since 0 s: refused\n"
		      "broker: publisher is blocked since 0 s\n"
		      "own: is in trouble\n");
}

static void
a_page_that_is_full_is_none(void **state)
{
	bool healthy;

	buf_finish(&page);
	buf_init(&page, 10);
	of_consumer.ready = false;
	of_consumer.failure = "refused";
	assert_false(monitor_health(&parts, &page, &healthy));
	assert_false(monitor_metrics(&parts, &page));
}

static void
assert_line(const char *line)
{
	const char *at = strstr(page.data, line);

	if (at == NULL || (at > page.data && at[-1] != '\n'))
		fail_msg("no line \"%s\" in:\n%s", line, page.data);
}

static void
metrics_of_the_connections(void **state)
{
	of_consumer.times_ready = 3;
	of_consumer.failures = 5;
	of_consumer.deliveries = 1000;
	of_publisher.blocked = true;
	of_publisher.times_ready = 0;
	of_publisher.ready = false;
	of_publisher.outcomes[BROKER_NACKED] = 2;
	of_consumer.outcomes[BROKER_NACKED] = 99; /* it does not publish */
	assert_true(monitor_metrics(&parts, &page));
	assert_line("vogeler_broker_connected{role=\"consumer\"} 1\n");
	assert_line("vogeler_broker_connected{role=\"publisher\"} 0\n");
	assert_line("vogeler_broker_blocked{role=\"consumer\"} 0\n");
	assert_line("vogeler_broker_blocked{role=\"publisher\"} 1\n");
	assert_line("vogeler_broker_reconnects_total{role=\"consumer\"} 2\n");
	assert_line("vogeler_broker_reconnects_total{role=\"publisher\"} 0\n");
	assert_line("vogeler_broker_failures_total{role=\"consumer\"} 5\n");
	assert_line("vogeler_broker_deliveries_total{role=\"consumer\"} 1000\n");
	assert_line("vogeler_publish_answers_total{outcome=\"NACKED\"} 2\n");
	assert_line("vogeler_publish_unconfirmed 0\n");
	assert_line("vogeler_build_info{version=\"" VOGELER_VERSION "\"} 1\n");
	assert_line("vogeler_own 7\n");
}

static void
an_address_that_is_none(void **state)
{
	struct monitor *mon;
	char err[256];

	assert_true(monitor_start(&parts, "none", &mon, err, sizeof(err)));
	assert_null(mon);
	assert_false(monitor_start(&parts, "everywhere", &mon, err, sizeof(err)));
	assert_null(mon);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(all_is_well, setup, teardown),
	    cmocka_unit_test_setup_teardown(down, setup, teardown),
	    cmocka_unit_test_setup_teardown(blocked, setup, teardown),
	    cmocka_unit_test_setup_teardown(silent, setup, teardown),
	    cmocka_unit_test_setup_teardown(unconfirmed, setup, teardown),
	    cmocka_unit_test_setup_teardown(no_consumer, setup, teardown),
	    cmocka_unit_test_setup_teardown(several, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_page_that_is_full_is_none, setup, teardown),
	    cmocka_unit_test_setup_teardown(metrics_of_the_connections, setup, teardown),
	    cmocka_unit_test_setup_teardown(an_address_that_is_none, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
