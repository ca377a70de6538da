/* The ways out that setup names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "admin/differ.h"
#include "shared/topology.h"

#include <stdlib.h>
#include <string.h>

#define NONE  "received the value '1' of type 'signedint' but current is none"
#define OTHER "received none but current is the value '1' of type 'signedint'"

static char *text;

static int
teardown(void **state)
{
	free(text);
	text = NULL;
	return 0;
}

static void
explain(const struct queue_options *q, const char *name, const char *why)
{
	struct topology *t = topology_for_agent("b.in", "m.in", "web01.example.com");
	size_t size;
	FILE *out;

	free(text);
	out = open_memstream(&text, &size);
	topology_configure(t, q, q);
	for (size_t i = 0; i < t->n; i++) {
		if (strcmp(t->items[i].name, name) == 0)
			differ_explain(out, "/v", &t->items[i], why);
	}
	fclose(out);
	topology_destroy(t);
}

static void
says(const char *what)
{
	if (strstr(text, what) == NULL)
		fail_msg("no \"%s\" in:\n%s", what, text);
}

static void
says_not(const char *what)
{
	if (strstr(text, what) != NULL)
		fail_msg("\"%s\" in:\n%s", what, text);
}

static void
test_policy_where_one_does(void **state)
{
	struct queue_options q = {.expires_ms = 60000};

	explain(&q, "web01.example.com", NONE);
	says("queue web01.example.com exists with other arguments; wanted: x-expires 60000; ");
	says(NONE);
	says("keys out of [host_queue]");
	says("rabbitmqctl set_policy -p '/v' --apply-to queues 'web01.example.com' "
	     "'^web01\\.example\\.com$' '{\"expires\":60000}'\n");
	says("rabbitmqctl delete_queue -p '/v' 'web01.example.com'");
	explain(&q, "master.in", NONE);
	says("keys out of [master_queue]");
}

static void
test_no_policy_where_none_does(void **state)
{
	struct queue_options q = {.type = QUEUE_QUORUM, .expires_ms = 60000};

	explain(&q, "master.in", NONE);
	says("wanted: x-queue-type quorum, x-expires 60000; ");
	says_not("set_policy");
	q.type = QUEUE_CLASSIC;
	explain(&q, "master.in", OTHER);
	says_not("set_policy");
	q.expires_ms = 0;
	explain(&q, "master.in", OTHER);
	says("wanted: no arguments; ");
	says("make [master_queue] say what is there");
	says_not("set_policy");
}

static void
test_exchange(void **state)
{
	struct queue_options q = {0};

	explain(&q, "b.in", "inequivalent arg 'type'");
	says("exchange b.in exists, but not as a durable one of type topic");
	says_not("delete_queue");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_teardown(test_policy_where_one_does, teardown),
	    cmocka_unit_test_teardown(test_no_policy_where_none_does, teardown),
	    cmocka_unit_test_teardown(test_exchange, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
