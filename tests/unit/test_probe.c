/* SPDX-License-Identifier: Apache-2.0 */
/* A message that asks only whether it arrives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/amqp/probe.h"
#include "shared/base/xalloc.h"

#include <stdlib.h>

static void
there_and_back(void **state)
{
	struct message m, echo;

	probe_make(&m, "test", "id1", "web01", "vogeler.reply.x", "3000");
	assert_true(probe_is(&m) && probe_asks(&m, "web01"));
	assert_false(probe_asks(&m, "web0") || probe_asks(&m, "web011"));
	assert_string_equal(m.expiration, "3000");
	assert_string_equal(message_str(&m, "not_after"), "1");
	probe_echo(&m, "broadcasts.all", 65536, &echo);
	assert_string_equal(probe_echoed(&echo, "id1"), "broadcasts.all");
	assert_null(probe_echoed(&echo, "id2"));
	assert_null(echo.reply_to);
	assert_int_equal(probe_message_max(&echo), 65536);
	message_finish(&echo);
	probe_echo(&m, "web01", 0, &echo);
	assert_string_equal(probe_echoed(&echo, "id1"), "web01");
	assert_int_equal(probe_message_max(&echo), 0);
	message_finish(&echo);
	message_finish(&m);
}

/* Who may send commands cannot make a host write anywhere else with it. */
static void
an_echo_goes_to_queues_of_replies_alone(void **state)
{
	static const char *const elsewhere[] = {"", "fresh", "master.in", "vogeler.dead", "web02"};
	struct message m;

	for (size_t i = 0; i < sizeof(elsewhere) / sizeof(elsewhere[0]); i++) {
		probe_make(&m, "test", "id1", "web01", elsewhere[i], NULL);
		assert_false(probe_asks(&m, "web01"));
		message_finish(&m);
	}
	probe_make(&m, "test", NULL, NULL, NULL, NULL);
	assert_true(probe_is(&m));
	assert_false(probe_asks(&m, "web01"));
	message_finish(&m);
	message_init(&m);
	assert_false(probe_is(&m));
	message_finish(&m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(there_and_back),
	    cmocka_unit_test(an_echo_goes_to_queues_of_replies_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
