/* SPDX-License-Identifier: Apache-2.0 */
/* One command to many, through all that a connection may do: each publish is followed until the
 * broker has answered for it, and the publisher gives up when nobody will. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runner/job/publisher.h"
#include "shared/base/log.h"
#include "shared/base/trouble.h"
#include "shared/config/options_load.h"
#include "shared/wire/wire.h"
#include "tests/fake/fake_broker_api.h"
#include "tests/fake/fake_loop.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MINUTE 60000

struct fixture {
	struct loop *loop;
	struct options options;
	struct uri *brokers;
	struct publisher_request req;
	struct publisher *publisher;
	struct broker *broker;
	int ready, idle, failed;
	char answers[256]; /* "0=CONFIRMED ", in their order */
	char text[2048];   /* of on_failed */
};

static void
on_ready(void *arg)
{
	((struct fixture *)arg)->ready++;
}

static void
on_answer(size_t i, enum publisher_state state, const char *why, void *arg)
{
	struct fixture *f = arg;
	size_t len = strlen(f->answers);
	const char *name = state == PUBLISHER_CONFIRMED    ? "confirmed"
			   : state == PUBLISHER_UNROUTABLE ? "unroutable"
			   : state == PUBLISHER_REFUSED    ? "refused"
							   : "?";

	snprintf(f->answers + len, sizeof(f->answers) - len, "%zu=%s ", i, name);
	assert_true((state == PUBLISHER_REFUSED) <= (why != NULL));
}

static void
on_idle(void *arg)
{
	((struct fixture *)arg)->idle++;
}

static void
on_failed(const char *text, void *arg)
{
	struct fixture *f = arg;

	f->failed++;
	snprintf(f->text, sizeof(f->text), "%s", text);
}

static const struct publisher_handlers handlers = {
    .on_ready = on_ready,
    .on_answer = on_answer,
    .on_idle = on_idle,
    .on_failed = on_failed,
};

static void
begin(struct fixture *f, const char *uris, int64_t confirm_ms)
{
	struct trouble why = {0};
	char plugin[] = "hello", job[] = "j1";
	const struct command command = {.plugin = plugin, .job = job};

	log_set_level(LOG_LEVEL_CRITICAL);
	f->loop = loop_create();
	options_init(&f->options);
	f->req.options = &f->options;
	assert_true(uri_parse_brokers(uris, &f->brokers, &f->req.n_brokers, &why));
	f->req.brokers = f->brokers;
	f->req.confirm_ms = confirm_ms;
	f->publisher = publisher_create(f->loop, &f->req, &handlers, f);
	f->broker = fake_broker("publisher");
	publisher_set_command(f->publisher, &command);
}

static int
setup(void **state)
{
	*state = calloc(1, sizeof(struct fixture));
	assert_non_null(*state);
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	publisher_destroy(f->publisher);
	loop_destroy(f->loop);
	options_finish(&f->options);
	uri_list_free(f->brokers, f->req.n_brokers);
	free(f);
	return 0;
}

static void
add_two(struct fixture *f)
{
	publisher_add(f->publisher, "web01");
	publisher_add(f->publisher, "web02");
	fake_advance(f->loop, 0);
}

static void
answer(struct fixture *f, size_t i, enum broker_outcome outcome)
{
	fake_broker_confirm(
	    f->broker, fake_broker_publish_at(f->broker, i)->id, outcome, "no queue");
	fake_advance(f->loop, 0);
}

static void
each_is_answered_for(void **state)
{
	struct fixture *f = *state;

	begin(f, "amqp://u:p@b1/v", 0);
	add_two(f);
	assert_int_equal(fake_broker_published(f->broker), 0);
	fake_broker_up(f->broker);
	assert_int_equal(f->ready, 1);
	assert_int_equal(fake_broker_published(f->broker), 2);
	assert_string_equal(fake_broker_publish_at(f->broker, 1)->routing_key, "web02");
	assert_true(fake_broker_publish_at(f->broker, 1)->mandatory);
	assert_int_equal(publisher_state(f->publisher, 0), PUBLISHER_UNKNOWN);
	answer(f, 1, BROKER_RETURNED);
	assert_int_equal(f->idle, 0);
	answer(f, 0, BROKER_CONFIRMED);
	assert_string_equal(f->answers, "1=unroutable 0=confirmed ");
	assert_int_equal(f->idle, 1);
	publisher_add(f->publisher, NULL);
	fake_advance(f->loop, 0);
	assert_string_equal(fake_broker_publish_at(f->broker, 2)->routing_key, "broadcasts.all");
	answer(f, 2, BROKER_NACKED);
	assert_int_equal(publisher_state(f->publisher, 2), PUBLISHER_REFUSED);
	assert_int_equal(f->failed, 0);
}

static void
what_has_no_answer_goes_again_after_a_reconnect(void **state)
{
	struct fixture *f = *state;

	begin(f, "amqp://u:p@b1/v", 0);
	add_two(f);
	fake_broker_up(f->broker);
	answer(f, 0, BROKER_CONFIRMED);
	fake_broker_down(f->broker);
	assert_int_equal(f->failed, 0);
	fake_broker_fail(f->broker, BROKER_ERR_NETWORK, "refused");
	fake_broker_up(f->broker);
	assert_int_equal(f->ready, 1); /* once */
	assert_int_equal(fake_broker_published(f->broker), 3);
	assert_string_equal(fake_broker_publish_at(f->broker, 2)->routing_key, "web02");
	answer(f, 2, BROKER_CONFIRMED);
	assert_int_equal(f->idle, 1);
}

static void
nobody_to_be_reached_is_the_end(void **state)
{
	struct fixture *f = *state;

	begin(f, "amqp://u:p@b1/v,amqp://u:p@b2/v", 0);
	add_two(f);
	fake_broker_fail(f->broker, BROKER_ERR_NETWORK, "refused");
	assert_int_equal(f->failed, 0); /* the second has its turn */
	fake_broker_fail(f->broker, BROKER_ERR_NETWORK, "refused");
	assert_int_equal(f->failed, 1);
	assert_null(strstr(f->text, "may have been sent"));
	fake_broker_up(f->broker);
	assert_int_equal(f->ready, 0);
	assert_int_equal(fake_broker_published(f->broker), 0);
}

static void
a_refusal_while_something_is_open_is_the_end(void **state)
{
	struct fixture *f = *state;

	begin(f, "amqp://u:p@b1/v", 0);
	add_two(f);
	fake_broker_up(f->broker);
	fake_broker_fail(f->broker, BROKER_ERR_PERMISSION, "no rights");
	assert_int_equal(f->failed, 1);
	assert_non_null(
	    strstr(f->text, "the command may have been sent: sending it again is harmless"));
}

static void
a_refusal_after_a_loss_is_the_end(void **state)
{
	struct fixture *f = *state;

	begin(f, "amqp://u:p@b1/v", 0);
	add_two(f);
	fake_broker_up(f->broker);
	fake_broker_down(f->broker);
	assert_int_equal(f->failed, 0);
	fake_broker_fail(f->broker, BROKER_ERR_AUTH, "refused");
	assert_int_equal(f->failed, 1);
}

static void
a_connection_that_is_dropped_each_time_is_the_end(void **state)
{
	struct fixture *f = *state;

	begin(f, "amqp://u:p@b1/v", 0);
	add_two(f);
	fake_broker_up(f->broker);
	fake_broker_down(f->broker);
	assert_int_equal(f->failed, 0);
	fake_broker_up(f->broker);
	fake_broker_down(f->broker);
	assert_int_equal(f->failed, 1);
}

static void
with_nothing_open_it_waits_for_the_broker(void **state)
{
	struct fixture *f = *state;

	begin(f, "amqp://u:p@b1/v", 0);
	fake_broker_up(f->broker);
	fake_broker_fail(f->broker, BROKER_ERR_PERMISSION, "no rights");
	fake_broker_fail(f->broker, BROKER_ERR_AUTH, "refused");
	fake_advance(f->loop, 10 * MINUTE);
	assert_int_equal(f->failed, 0);
	fake_broker_up(f->broker);
	add_two(f);
	assert_int_equal(fake_broker_published(f->broker), 2);
}

static void
a_minute_without_an_answer_is_the_end(void **state)
{
	struct fixture *f = *state;

	begin(f, "amqp://u:p@b1/v", 0);
	add_two(f);
	fake_broker_up(f->broker);
	fake_advance(f->loop, MINUTE - 1);
	answer(f, 0, BROKER_CONFIRMED); /* and it begins anew */
	fake_advance(f->loop, MINUTE - 1);
	assert_int_equal(f->failed, 0);
	fake_advance(f->loop, 1);
	assert_int_equal(f->failed, 1);
	assert_non_null(strstr(f->text, "not confirmed within 1min"));
}

static void
nobody_there_for_a_minute_is_the_end(void **state)
{
	struct fixture *f = *state;

	begin(f, "amqp://u:p@b1/v", 0);
	add_two(f);
	fake_broker_up(f->broker);
	fake_broker_down(f->broker);
	fake_broker_fail(f->broker, BROKER_ERR_NETWORK, "refused");
	fake_advance(f->loop, MINUTE);
	assert_int_equal(f->failed, 1);
	assert_non_null(strstr(f->text, "refused"));
}

static void
an_alarm_lasts_as_long_as_it_lasts(void **state)
{
	struct fixture *f = *state;

	begin(f, "amqp://u:p@b1/v", 0);
	fake_broker_up(f->broker);
	fake_broker_block(f->broker, true);
	add_two(f);
	fake_advance(f->loop, 60 * MINUTE);
	assert_int_equal(f->failed, 0);
	assert_int_equal(fake_broker_published(f->broker), 0);
	fake_broker_block(f->broker, false);
	assert_int_equal(fake_broker_published(f->broker), 2);
	fake_advance(f->loop, MINUTE);
	assert_int_equal(f->failed, 1);
}

static void
but_not_longer_than_confirm_says(void **state)
{
	struct fixture *f = *state;

	begin(f, "amqp://u:p@b1/v", 5000);
	fake_broker_up(f->broker);
	fake_broker_block(f->broker, true);
	add_two(f);
	fake_advance(f->loop, 5000);
	assert_int_equal(f->failed, 1);
	assert_non_null(strstr(f->text, "for the broker takes no messages"));
}

static void
a_connection_that_is_lost_while_blocked_is_waited_for(void **state)
{
	struct fixture *f = *state;

	begin(f, "amqp://u:p@b1/v", 0);
	fake_broker_up(f->broker);
	fake_broker_block(f->broker, true);
	add_two(f);
	fake_broker_down(f->broker);
	fake_advance(f->loop, MINUTE - 1);
	assert_int_equal(f->failed, 0);
	fake_advance(f->loop, 1);
	assert_int_equal(f->failed, 1);
}

static void
halted_twice_is_halted(void **state)
{
	struct fixture *f = *state;

	begin(f, "amqp://u:p@b1/v", 0);
	publisher_add(f->publisher, "web01");
	publisher_add(f->publisher, "web02");
	publisher_halt(f->publisher);
	publisher_halt(f->publisher);
	fake_advance(f->loop, 0);
	assert_int_equal(f->idle, 1);
	fake_broker_up(f->broker);
	fake_advance(f->loop, 0);
	assert_int_equal(fake_broker_published(f->broker), 0);
	assert_int_equal(f->failed, 0);
	assert_string_equal(f->answers, "");
	assert_int_equal(publisher_state(f->publisher, 0), PUBLISHER_WAITING);
	assert_int_equal(publisher_state(f->publisher, 1), PUBLISHER_WAITING);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(each_is_answered_for),
	    TEST(what_has_no_answer_goes_again_after_a_reconnect),
	    TEST(nobody_to_be_reached_is_the_end),
	    TEST(a_refusal_while_something_is_open_is_the_end),
	    TEST(a_refusal_after_a_loss_is_the_end),
	    TEST(a_connection_that_is_dropped_each_time_is_the_end),
	    TEST(with_nothing_open_it_waits_for_the_broker),
	    TEST(a_minute_without_an_answer_is_the_end),
	    TEST(nobody_there_for_a_minute_is_the_end),
	    TEST(an_alarm_lasts_as_long_as_it_lasts),
	    TEST(but_not_longer_than_confirm_says),
	    TEST(a_connection_that_is_lost_while_blocked_is_waited_for),
	    TEST(halted_twice_is_halted),
	};

	return cmocka_run_group_tests_name("publisher", tests, NULL, NULL);
}
