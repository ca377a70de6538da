/* SPDX-License-Identifier: Apache-2.0 */
/* Was it routed to this host, and through the exchange of commands? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/arrival.h"

#define COMMANDS "vogeler.broadcast.in"

static enum arrival
arrival_through(const char *exchange, const char *key)
{
	struct delivery d = {.exchange = (char *)exchange, .routing_key = (char *)key};

	message_init(&d.message);
	return arrival_of(&d, COMMANDS, "web01.example.com");
}

static enum arrival
arrival(const char *key)
{
	return arrival_through(COMMANDS, key);
}

static void
to_all_or_by_name(void **state)
{
	assert_int_equal(arrival("broadcasts.all"), ARRIVAL_COMMAND);
	assert_int_equal(arrival("broadcasts.*"), ARRIVAL_COMMAND); /* of 2010, literally */
	assert_int_equal(arrival("web01.example.com"), ARRIVAL_COMMAND);
}

/* What is bound with "#" gets the commands of all others. */
static void
to_others(void **state)
{
	static const char *const keys[] = {"", "web02.example.com", "web01", "WEB01.example.com",
	    "web01.example.com.", "broadcasts", "broadcasts.all.more", "xbroadcasts.all", "#"};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		assert_int_equal(arrival(keys[i]), ARRIVAL_MISROUTED);
}

/* Whoever may write to the queue directly, or binds it to an exchange of their own. */
static void
through_another_exchange(void **state)
{
	static const char *const exchanges[] = {
	    "", "vogeler.master.in", "mine", "vogeler.broadcast.in2", "vogeler.broadcast"};

	for (size_t i = 0; i < sizeof(exchanges) / sizeof(exchanges[0]); i++) {
		assert_int_equal(
		    arrival_through(exchanges[i], "web01.example.com"), ARRIVAL_MISROUTED);
		assert_int_equal(
		    arrival_through(exchanges[i], "broadcasts.all"), ARRIVAL_MISROUTED);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(to_all_or_by_name),
	    cmocka_unit_test(to_others),
	    cmocka_unit_test(through_another_exchange),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
