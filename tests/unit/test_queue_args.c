/* SPDX-License-Identifier: Apache-2.0 */
/* Options of a queue as arguments of its declaration and as a policy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/amqp/queue_args.h"
#include "shared/amqp/topology.h"

#include <stdlib.h>

static const struct queue_options everything = {
    .type = QUEUE_QUORUM,
    .expires_ms = 3600000,
    .max_length = 3,
    .max_length_bytes = 1ULL << 40,
    .overflow = QUEUE_REJECT_PUBLISH,
    .message_ttl_ms = 60000,
    .dead_letter = true,
    .delivery_limit = 20,
};

static void
assert_text(const struct queue_options *q, enum queue_role role, const char *expected)
{
	struct queue_arguments a;
	char *text;

	queue_arguments(q, role, TOPOLOGY_DEAD_QUEUE, &a);
	text = queue_arguments_text(&a);
	assert_string_equal(text, expected);
	free(text);
}

static void
assert_policy(const struct queue_options *q, enum queue_role role, const char *expected)
{
	struct queue_arguments a;
	char *text;

	queue_arguments(q, role, TOPOLOGY_DEAD_QUEUE, &a);
	text = queue_policy(&a);
	if (expected == NULL)
		assert_null(text);
	else
		assert_string_equal(text, expected);
	free(text);
}

static void
defaults_are_those_of_2010(void **state)
{
	struct queue_options none = {0};

	assert_text(&none, QUEUE_PLAIN, "no arguments");
	assert_text(&none, QUEUE_HOST, "no arguments");
	assert_text(&none, QUEUE_MASTER, "no arguments");
	assert_policy(&none, QUEUE_MASTER, NULL);
}

static void
all_arguments(void **state)
{
	assert_text(&everything, QUEUE_MASTER,
	    "x-queue-type quorum, x-delivery-limit 20, x-expires 3600000, x-max-length 3, "
	    "x-max-length-bytes 1099511627776, x-overflow reject-publish, x-message-ttl 60000, "
	    "x-dead-letter-exchange \"\", x-dead-letter-routing-key vogeler.dead, "
	    "x-dead-letter-strategy at-least-once");
	assert_text(&everything, QUEUE_PLAIN, "no arguments");
}

/* A broker refuses on a classic queue what only quorum queues have. */
static void
classic(void **state)
{
	struct queue_options q = {.delivery_limit = 20, .dead_letter = true};

	assert_text(&q, QUEUE_MASTER,
	    "x-dead-letter-exchange \"\", x-dead-letter-routing-key vogeler.dead");
	q.overflow = QUEUE_REJECT_PUBLISH;
	assert_text(&q, QUEUE_MASTER,
	    "x-overflow reject-publish, x-dead-letter-exchange \"\", "
	    "x-dead-letter-routing-key vogeler.dead");
}

static void
one_consumer_of_a_quorum_host_queue(void **state)
{
	struct queue_options q = {.type = QUEUE_QUORUM};

	assert_text(&q, QUEUE_HOST,
	    "x-queue-type quorum, x-single-active-consumer true, x-delivery-limit 2147483647");
}

/* RabbitMQ 4 drops at the 21st give-back where nobody set a limit; 3.10 at the first where it is
 * -1. */
static void
a_quorum_queue_is_never_without_our_delivery_limit(void **state)
{
	struct queue_options q = {.type = QUEUE_QUORUM};

	assert_text(&q, QUEUE_MASTER, "x-queue-type quorum, x-delivery-limit 2147483647");
	assert_policy(&q, QUEUE_HOST, "{\"delivery-limit\":2147483647}");
	assert_text(&q, QUEUE_DEAD,
	    "x-queue-type quorum, x-delivery-limit 2147483647, x-max-length-bytes 67108864, "
	    "x-overflow drop-head");
	q.delivery_limit = 30;
	assert_text(&q, QUEUE_HOST,
	    "x-queue-type quorum, x-single-active-consumer true, x-delivery-limit 30");
}

static void
dead_letters_have_a_limit(void **state)
{
	struct queue_options q = {.max_length = 3, .dead_letter = true, .expires_ms = 60000};

	assert_text(&q, QUEUE_DEAD, "x-max-length-bytes 67108864, x-overflow drop-head");
	assert_policy(&q, QUEUE_DEAD, "{\"max-length-bytes\":67108864,\"overflow\":\"drop-head\"}");
}

static void
named_argument(void **state)
{
	struct queue_arguments a;

	queue_arguments(&everything, QUEUE_MASTER, TOPOLOGY_DEAD_QUEUE, &a);
	assert_string_equal(
	    queue_argument_named(&a, "inequivalent arg 'x-max-length' for queue 'x'")->name,
	    "x-max-length");
	assert_null(queue_argument_named(&a, "inequivalent arg 'durable' for queue 'x'"));
	assert_string_equal(
	    queue_argument_named(
		&a, "inequivalent arg 'x-expires' for queue 'x' in vhost 'x-max-length'")
		->name,
	    "x-expires");
}

static void
policy(void **state)
{
	struct queue_options q = {.expires_ms = 60000, .overflow = QUEUE_REJECT_PUBLISH};

	assert_policy(&q, QUEUE_HOST, "{\"expires\":60000,\"overflow\":\"reject-publish\"}");
	assert_policy(&everything, QUEUE_MASTER,
	    "{\"delivery-limit\":20,\"expires\":3600000,\"max-length\":3,"
	    "\"max-length-bytes\":1099511627776,\"overflow\":\"reject-publish\","
	    "\"message-ttl\":60000,\"dead-letter-exchange\":\"\","
	    "\"dead-letter-routing-key\":\"vogeler.dead\","
	    "\"dead-letter-strategy\":\"at-least-once\"}");
}

static void
names(void **state)
{
	assert_string_equal(queue_type_name(QUEUE_CLASSIC), "classic");
	assert_string_equal(queue_type_name(QUEUE_QUORUM), "quorum");
	assert_string_equal(queue_type_name(QUEUE_AUTO), "auto");
	assert_string_equal(queue_overflow_name(QUEUE_DROP_HEAD), "drop-head");
	assert_string_equal(queue_overflow_name(QUEUE_REJECT_PUBLISH), "reject-publish");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(defaults_are_those_of_2010),
	    cmocka_unit_test(all_arguments),
	    cmocka_unit_test(classic),
	    cmocka_unit_test(one_consumer_of_a_quorum_host_queue),
	    cmocka_unit_test(a_quorum_queue_is_never_without_our_delivery_limit),
	    cmocka_unit_test(dead_letters_have_a_limit),
	    cmocka_unit_test(named_argument),
	    cmocka_unit_test(policy),
	    cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
