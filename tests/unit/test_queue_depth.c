/* SPDX-License-Identifier: Apache-2.0 */
/* lookout: what is asked, when a queue grows and when that is over. */
#include "daemon/queue_depth.h"

#include "shared/amqp/probe.h"
#include "tests/fake/fake_broker_api.h"
#include "tests/fake/fake_loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

struct fixture {
	struct loop *loop;
	struct broker *consumer, *publisher;
	struct queue_depth *queue_depth;
	uint32_t dead; /* one more each round */
};

static void
on_confirm(struct broker *b, uint64_t id, enum broker_outcome outcome, const char *why, void *arg)
{
	struct fixture *w = arg;

	assert_true(queue_depth_on_confirm(w->queue_depth, id, outcome));
	assert_false(queue_depth_on_confirm(w->queue_depth, id, outcome));
}

static void
on_depth(struct broker *b, const char *queue, uint32_t messages, void *arg)
{
	queue_depth_on_depth(((struct fixture *)arg)->queue_depth, queue, messages);
}

static void
on_ready(struct broker *b, void *arg)
{
}

static const struct broker_handlers handlers = {
    .on_ready = on_ready, .on_confirm = on_confirm, .on_depth = on_depth};

static struct broker *
make_broker(struct fixture *w, const char *role)
{
	struct broker_options opt;

	broker_options_default(&opt);
	opt.role = role;
	return broker_create(w->loop, &opt, &handlers, w);
}

static int
setup(void **state)
{
	static const struct queue_depth_watch queues[] = {{"master.in", true, "m.in", ""},
	    {"other", true, "m.in", "other"}, {"dead", false, NULL, NULL}};
	struct fixture *w = calloc(1, sizeof(*w));

	w->loop = loop_create();
	w->consumer = make_broker(w, "consumer");
	w->publisher = make_broker(w, "publisher");
	w->queue_depth = queue_depth_create(w->loop, w->publisher, w->consumer, queues, 3);
	fake_advance(w->loop, 1000);
	fake_broker_up(w->consumer);
	fake_broker_up(w->publisher);
	broker_consume(w->consumer, "master.in", 10, false);
	broker_consume(w->consumer, "other", 10, false);
	fake_advance(w->loop, 0);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *w = *state;

	queue_depth_destroy(w->queue_depth);
	broker_destroy(w->consumer);
	broker_destroy(w->publisher);
	loop_destroy(w->loop);
	free(w);
	return 0;
}

static struct queue_depth_queue
queue(struct fixture *w, size_t i)
{
	struct queue_depth_queue q;

	queue_depth_queue(w->queue_depth, i, &q);
	return q;
}

/* One round: both queues are asked for and answer. */
static void
round_of(struct fixture *w, uint32_t first, uint32_t second)
{
	fake_advance(w->loop, QUEUE_DEPTH_PERIOD_MS);
	fake_broker_depth(w->publisher, first);
	fake_broker_depth(w->publisher, second);
	fake_broker_depth(w->publisher, w->dead++);
}

static void
each_is_asked_in_turn(void **state)
{
	struct fixture *w = *state;

	assert_int_equal(queue_depth_count(w->queue_depth), 3);
	assert_string_equal(queue(w, 0).name, "master.in");
	assert_false(queue(w, 0).known);
	fake_advance(w->loop, QUEUE_DEPTH_PERIOD_MS);
	assert_string_equal(fake_broker_log(w->publisher), "try; depth master.in; ");
	fake_broker_depth(w->publisher, 7);
	assert_string_equal(fake_broker_log(w->publisher), "try; depth master.in; depth other; ");
	fake_broker_depth(w->publisher, 0);
	fake_broker_depth(w->publisher, 3);
	assert_int_equal(queue(w, 2).messages, 3);
	assert_true(queue(w, 0).known && queue(w, 1).known);
	assert_int_equal(queue(w, 0).messages, 7);
	assert_int_equal(queue(w, 1).messages, 0);
	fake_broker_log_clear(w->publisher);
	fake_advance(w->loop, QUEUE_DEPTH_PERIOD_MS);
	assert_string_equal(fake_broker_log(w->publisher), "try; depth master.in; ");
}

/* To ask for it would cost the channel. */
static void
one_that_is_not_there_is_not_asked(void **state)
{
	struct fixture *w = *state;

	fake_broker_without(w->publisher, "other", "ACCESS_REFUSED");
	for (int i = 0; i < 2; i++) {
		fake_broker_log_clear(w->publisher);
		fake_advance(w->loop, QUEUE_DEPTH_PERIOD_MS);
		assert_string_equal(fake_broker_log(w->publisher), "try; depth master.in; ");
		fake_broker_depth(w->publisher, 7);
		assert_string_equal(
		    fake_broker_log(w->publisher), "try; depth master.in; depth dead; ");
		fake_broker_depth(w->publisher, 0);
	}
	assert_true(queue(w, 0).known);
	assert_false(queue(w, 1).known);
	fake_broker_without(w->publisher, NULL, NULL);
	round_of(w, 7, 3);
	assert_int_equal(queue(w, 1).messages, 3);
}

static void
three_rises_are_growth(void **state)
{
	struct fixture *w = *state;

	round_of(w, 5, 9);
	round_of(w, 6, 9);
	round_of(w, 7, 9);
	assert_int_equal(queue(w, 0).growing_ms, 0);
	round_of(w, 8, 9);
	assert_int_equal(queue(w, 0).growing_ms, 3 * QUEUE_DEPTH_PERIOD_MS);
	assert_true(queue(w, 2).messages > 0);
	assert_int_equal(queue(w, 2).growing_ms, 0); /* nobody is to consume it */
	assert_int_equal(queue(w, 1).growing_ms, 0);
	round_of(w, 20, 10);
	assert_int_equal(queue(w, 0).growing_ms, 4 * QUEUE_DEPTH_PERIOD_MS);
	round_of(w, 20, 11);
	assert_int_equal(queue(w, 0).growing_ms, 0);
	round_of(w, 21, 12);
	assert_int_equal(queue(w, 0).growing_ms, 0);
	assert_int_equal(queue(w, 1).growing_ms, 3 * QUEUE_DEPTH_PERIOD_MS);
}

/* 300 at once every 10 s, 40 fewer in 2 s: each burst leaves 100 more than the one before. */
static void
bursts_that_add_up_are_growth(void **state)
{
	struct fixture *w = *state;
	uint32_t messages = 0;
	int i, told = 0;

	for (i = 0; i < 120; i++) {
		messages += i % 5 == 0 ? 300 : 0;
		messages -= 40;
		round_of(w, messages, 0);
		told += queue(w, 0).growing_ms > 0;
	}
	assert_in_range(told, 120 - 5 * 16, 119); /* from the fourth span on, without a gap */
	assert_true(queue(w, 0).growing_ms > 60000);
	while (messages > 0) {
		messages -= messages > 100 ? 100 : messages;
		round_of(w, messages, 0);
	}
	for (i = 0; i < 32; i++)
		round_of(w, 0, 0);
	assert_int_equal(queue(w, 0).growing_ms, 0);
}

static void
bursts_that_are_worked_off_are_no_growth(void **state)
{
	struct fixture *w = *state;
	uint32_t messages = 0;
	int i;

	for (i = 0; i < 500; i++) {
		if (i % 37 == 0)
			messages += 1000;
		messages -= messages > 31 ? 31 : messages;
		round_of(w, messages, 0);
		assert_int_equal(queue(w, 0).growing_ms, 0);
	}
}

static void
what_waits_while_nobody_consumes_is_no_growth(void **state)
{
	struct fixture *w = *state;

	broker_cancel(w->consumer);
	fake_advance(w->loop, 0);
	for (uint32_t n = 0; n < 5; n++)
		round_of(w, n, 0);
	assert_int_equal(queue(w, 0).growing_ms, 0);
	broker_consume(w->consumer, "master.in", 10, false);
	fake_advance(w->loop, 0);
	round_of(w, 6, 0);
	round_of(w, 7, 0);
	assert_int_equal(queue(w, 0).growing_ms, 0);
	round_of(w, 8, 0);
	assert_true(queue(w, 0).growing_ms > 0);
}

static void
nothing_is_known_without_a_connection(void **state)
{
	struct fixture *w = *state;

	for (uint32_t n = 1; n < 5; n++)
		round_of(w, n, 0);
	assert_true(queue(w, 0).growing_ms > 0);
	fake_advance(w->loop, QUEUE_DEPTH_PERIOD_MS); /* asked, and not answered */
	fake_broker_down(w->publisher);
	fake_advance(w->loop, 2 * QUEUE_DEPTH_PERIOD_MS);
	assert_false(queue(w, 0).known);
	assert_int_equal(queue(w, 0).growing_ms, 0);
	fake_broker_up(w->publisher);
	round_of(w, 9, 0);
	assert_true(queue(w, 0).known);
	assert_int_equal(queue(w, 0).growing_ms, 0);
}

static struct queue_depth_queue
look(struct fixture *w, size_t i)
{
	struct queue_depth_queue q;

	queue_depth_queue(w->queue_depth, i, &q);
	return q;
}

/* Who may bind needs no probe; who may not learns by one whether others have. */
static void
a_queue_that_may_not_be_bound_is_sent_a_probe(void **state)
{
	struct fixture *w = *state;
	const struct fake_publish *p;

	fake_advance(w->loop, 3 * QUEUE_DEPTH_PROBE_MS);
	assert_int_equal(fake_broker_published(w->publisher), 0);
	fake_broker_unbound(w->publisher, "other");
	fake_advance(w->loop, QUEUE_DEPTH_PERIOD_MS);
	assert_int_equal(fake_broker_published(w->publisher), 1);
	p = fake_broker_publish_at(w->publisher, 0);
	assert_string_equal(p->exchange, "m.in");
	assert_string_equal(p->routing_key, "other");
	assert_true(p->mandatory && probe_is(&p->message));
	assert_false(look(w, 1).unbound);
	fake_broker_confirm(w->publisher, p->id, BROKER_RETURNED, "312 NO_ROUTE");
	assert_true(look(w, 1).unbound);
	assert_string_equal(look(w, 1).key, "other");
	assert_false(look(w, 0).unbound);
	fake_advance(w->loop, QUEUE_DEPTH_PROBE_MS);
	assert_int_equal(fake_broker_published(w->publisher), 2);
	p = fake_broker_publish_at(w->publisher, 1);
	fake_broker_confirm(w->publisher, p->id, BROKER_CONFIRMED, NULL);
	assert_false(look(w, 1).unbound);
}

static void
rights_that_are_given_end_it(void **state)
{
	struct fixture *w = *state;

	fake_broker_unbound(w->publisher, "master.in");
	fake_advance(w->loop, QUEUE_DEPTH_PERIOD_MS);
	fake_broker_confirm(w->publisher, fake_broker_publish_at(w->publisher, 0)->id,
	    BROKER_RETURNED, "312 NO_ROUTE");
	fake_advance(w->loop, QUEUE_DEPTH_PERIOD_MS);
	assert_true(look(w, 0).unbound);
	assert_true(look(w, 0).unbound_ms >= QUEUE_DEPTH_PERIOD_MS);
	fake_broker_unbound(w->publisher, NULL);
	fake_advance(w->loop, QUEUE_DEPTH_PERIOD_MS);
	assert_false(look(w, 0).unbound);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		a_queue_that_may_not_be_bound_is_sent_a_probe, setup, teardown),
	    cmocka_unit_test_setup_teardown(rights_that_are_given_end_it, setup, teardown),
	    cmocka_unit_test_setup_teardown(each_is_asked_in_turn, setup, teardown),
	    cmocka_unit_test_setup_teardown(one_that_is_not_there_is_not_asked, setup, teardown),
	    cmocka_unit_test_setup_teardown(three_rises_are_growth, setup, teardown),
	    cmocka_unit_test_setup_teardown(bursts_that_add_up_are_growth, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		bursts_that_are_worked_off_are_no_growth, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		what_waits_while_nobody_consumes_is_no_growth, setup, teardown),
	    cmocka_unit_test_setup_teardown(nothing_is_known_without_a_connection, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
