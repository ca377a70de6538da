/* SPDX-License-Identifier: Apache-2.0 */
/* The ways out that setup names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "admin/queue_diff.h"
#include "shared/amqp/broker.h"
#include "shared/amqp/topology.h"

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

/* A queue that was made without what of these options begins at the argument of that name and is
 * not further; NULL: another thing is wrong. */
static void
explain(const struct queue_options *q, const char *name, const char *first, size_t n)
{
	struct topology *t = topology_for_agent("b.in", "m.in", "web01.example.com");
	struct broker_look look = {
	    .sight = BROKER_SIGHT_OTHER, .why = first == NULL ? OTHER : NONE};
	size_t size;
	FILE *out;

	free(text);
	out = open_memstream(&text, &size);
	topology_configure(t, q, q);
	for (size_t i = 0; i < t->n; i++) {
		if (strcmp(t->items[i].name, name) != 0)
			continue;
		look.wanted = &t->items[i].arguments;
		for (size_t j = 0; first != NULL && j < look.wanted->n; j++) {
			const struct queue_argument *a = &look.wanted->list[j];

			if (look.lacks.n < n && (look.lacks.n > 0 || strcmp(a->name, first) == 0))
				queue_arguments_add(&look.lacks, a);
		}
		queue_diff_explain(out, "/v", &t->items[i], &look);
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
policy_where_one_does(void **state)
{
	struct queue_options q = {.expires_ms = 60000, .max_length = 3, .max_length_bytes = 1000};

	explain(&q, "web01.example.com", "x-expires", 1);
	says("queue web01.example.com exists with other arguments; wanted: x-expires 60000, ");
	says(NONE);
	says("take expires out of [host_queue]");
	says("rabbitmqctl set_policy -p '/v' --apply-to queues 'web01.example.com' "
	     "'^web01\\.example\\.com$' '{\"expires\":60000}'\n");
	says_not("delete_queue");
	explain(&q, "master.in", "x-max-length", 2);
	says("take max_length and max_length_bytes out of [master_queue]");
	says("'{\"max-length\":3,\"max-length-bytes\":1000}'");
	explain(&q, "master.in", "x-expires", 3);
	says("take expires, max_length and max_length_bytes out of");
	q = (struct queue_options){.dead_letter = true};
	explain(&q, "master.in", "x-dead-letter-exchange", 2);
	says("take dead_letter out of");
}

static void
only_made_anew_where_no_policy_does(void **state)
{
	struct queue_options q = {.type = QUEUE_QUORUM, .expires_ms = 60000};

	explain(&q, "master.in", NULL, 0);
	says("wanted: x-queue-type quorum, x-delivery-limit 2147483647, x-expires 60000; ");
	says("make [master_queue] say what is there");
	says("rabbitmqctl delete_queue -p '/v' 'master.in'   (what waits in it is lost)");
	says_not("set_policy");
	explain(&q, "web01.example.com", "x-single-active-consumer", 2);
	says("rabbitmqctl delete_queue");
	says_not("set_policy");
	q = (struct queue_options){.type = QUEUE_CLASSIC};
	explain(&q, "master.in", NULL, 0);
	says("wanted: no arguments; ");
	says_not("set_policy");
}

/* A limit that nobody asked for, on a queue of before there was one: not an option is wrong. */
static void
limit_of_ours(void **state)
{
	struct queue_options q = {.type = QUEUE_QUORUM};

	explain(&q, "web01.example.com", "x-delivery-limit", 1);
	says("web01.example.com was made without x-delivery-limit");
	says("21st time");
	says("rabbitmqctl set_policy -p '/v' --apply-to queues 'web01.example.com' "
	     "'^web01\\.example\\.com$' '{\"delivery-limit\":2147483647}'\n");
	says_not("options");
	q.delivery_limit = 30;
	explain(&q, "web01.example.com", "x-delivery-limit", 1);
	says("exists with other arguments");
	says("take delivery_limit out of [host_queue]");
	q = (struct queue_options){.type = QUEUE_QUORUM, .expires_ms = 1};
	explain(&q, "master.in", "x-delivery-limit", 2);
	says("exists with other arguments");
	says("take expires out of [master_queue]");
	says("'{\"delivery-limit\":2147483647,\"expires\":1}'");
}

static void
exchange(void **state)
{
	struct queue_options q = {0};

	explain(&q, "b.in", NULL, 0);
	says("exchange b.in exists, but not as a durable one of type topic");
	says_not("delete_queue");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_teardown(policy_where_one_does, teardown),
	    cmocka_unit_test_teardown(only_made_anew_where_no_policy_does, teardown),
	    cmocka_unit_test_teardown(limit_of_ours, teardown),
	    cmocka_unit_test_teardown(exchange, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
