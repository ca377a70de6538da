/* SPDX-License-Identifier: Apache-2.0 */
/* The topology as each program declares it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/amqp/topology.h"

#include <string.h>

static const struct topology_item *
find(const struct topology *t, const char *name)
{
	for (size_t i = 0; i < t->n; i++) {
		if (strcmp(t->items[i].name, name) == 0)
			return &t->items[i];
	}
	return NULL;
}

/* Every exchange that a binding names must have been made by then. */
static void
assert_order(const struct topology *t)
{
	for (size_t i = 0; i < t->n; i++) {
		for (size_t j = 0; j < t->items[i].n_bindings; j++) {
			const struct topology_item *exchange =
			    find(t, t->items[i].bindings[j].exchange);

			assert_non_null(exchange);
			assert_true(exchange < &t->items[i]);
			assert_int_equal(exchange->kind, TOPOLOGY_EXCHANGE);
		}
	}
}

static void
assert_master(const struct topology *t, const char *exchange)
{
	const struct topology_item *queue = find(t, TOPOLOGY_MASTER_QUEUE);

	assert_string_equal(find(t, exchange)->type, "direct");
	assert_int_equal(queue->kind, TOPOLOGY_QUEUE);
	assert_int_equal(queue->n_bindings, 1);
	assert_string_equal(queue->bindings[0].exchange, exchange);
	assert_string_equal(queue->bindings[0].key, "");
}

static void
assert_fresh(const struct topology *t, const char *exchange)
{
	const struct topology_item *queue = find(t, TOPOLOGY_FRESH_QUEUE);

	assert_int_equal(queue->kind, TOPOLOGY_QUEUE);
	assert_false(queue->transient || queue->optional);
	assert_int_equal(queue->n_bindings, 1);
	assert_string_equal(queue->bindings[0].exchange, exchange);
	assert_string_equal(queue->bindings[0].key, "fresh");
}

static void
of_the_collector(void **state)
{
	struct topology *t =
	    topology_for_collector(TOPOLOGY_BROADCAST_EXCHANGE, TOPOLOGY_MASTER_EXCHANGE);

	assert_order(t);
	assert_master(t, TOPOLOGY_MASTER_EXCHANGE);
	assert_string_equal(find(t, TOPOLOGY_BROADCAST_EXCHANGE)->type, "topic");
	assert_int_equal(find(t, TOPOLOGY_DEAD_QUEUE)->kind, TOPOLOGY_QUEUE);
	assert_int_equal(find(t, TOPOLOGY_DEAD_QUEUE)->n_bindings, 0);
	assert_fresh(t, TOPOLOGY_MASTER_EXCHANGE);
	topology_destroy(t);
}

static void
agent(void **state)
{
	struct topology *t = topology_for_agent("b.in", "m.in", "web01.example.com");
	const struct topology_item *queue = find(t, "web01.example.com");

	assert_order(t);
	assert_master(t, "m.in"); /* so that an answer waits for a collector that never ran */
	assert_non_null(queue);
	assert_int_equal(queue->n_bindings, 2);
	assert_string_equal(queue->bindings[0].exchange, "b.in");
	assert_string_equal(queue->bindings[0].key, "broadcasts.*");
	assert_string_equal(queue->bindings[1].key, "web01.example.com");
	assert_null(find(t, TOPOLOGY_DEAD_QUEUE));
	assert_null(
	    find(t, TOPOLOGY_FRESH_QUEUE)); /* if it were there, somebody would have to read it */
	topology_destroy(t);
}

static void
of_the_runner(void **state)
{
	struct topology *t =
	    topology_for_runner(TOPOLOGY_BROADCAST_EXCHANGE, TOPOLOGY_MASTER_EXCHANGE);

	assert_order(t);
	assert_string_equal(find(t, TOPOLOGY_BROADCAST_EXCHANGE)->type, "topic");
	for (size_t i = 0; i < t->n; i++)
		assert_int_equal(t->items[i].kind, TOPOLOGY_EXCHANGE);
	topology_destroy(t);
	topology_destroy(NULL);
}

static void
reply(void **state)
{
	struct topology *t = topology_for_connection("vogeler.reply.x");

	assert_int_equal(t->n, 1);
	assert_string_equal(t->items[0].name, "vogeler.reply.x");
	assert_int_equal(t->items[0].kind, TOPOLOGY_QUEUE);
	assert_true(t->items[0].transient);
	assert_int_equal(t->items[0].n_bindings, 0);
	topology_destroy(t);
	t = topology_for_agent("b.in", "m.in", "web01");
	for (size_t i = 0; i < t->n; i++)
		assert_false(t->items[i].transient);
	topology_destroy(t);
}

static size_t
index_of(const struct topology *t, const char *name)
{
	return (size_t)(find(t, name) - t->items);
}

static void
no_arguments_unless_asked_for(void **state)
{
	struct queue_options plain = {0};
	struct topology *t = topology_for_agent("b.in", "m.in", "web01");
	size_t n = t->n;

	topology_configure(t, &plain, &plain);
	assert_int_equal(t->n, n);
	for (size_t i = 0; i < t->n; i++)
		assert_int_equal(t->items[i].arguments.n, 0);
	topology_destroy(t);
}

static void
configured(void **state)
{
	struct queue_options host = {.expires_ms = 60000}, master = {.max_length = 3};
	struct topology *t = topology_for_agent("b.in", "m.in", "web01");
	const struct queue_arguments *a;

	topology_configure(t, &host, &master);
	a = &find(t, "web01")->arguments;
	assert_int_equal(a->n, 1);
	assert_string_equal(a->list[0].name, "x-expires");
	a = &find(t, TOPOLOGY_MASTER_QUEUE)->arguments;
	assert_int_equal(a->n, 1);
	assert_string_equal(a->list[0].name, "x-max-length");
	assert_null(find(t, TOPOLOGY_DEAD_QUEUE));
	topology_destroy(t);
	t = topology_for_collector("b.in", "m.in");
	topology_configure(t, &host, &master);
	a = &find(t, TOPOLOGY_FRESH_QUEUE)->arguments;
	assert_int_equal(a->n, 1);
	assert_string_equal(a->list[0].name, "x-max-length");
	topology_destroy(t);
}

static const char *
type_of(const struct queue_arguments *a)
{
	return a->n > 0 && strcmp(a->list[0].name, "x-queue-type") == 0 ? a->list[0].text : "";
}

/* From RabbitMQ 4 on a classic queue is confirmed before it is synced. */
static void
type_by_release(void **state)
{
	static const struct {
		enum queue_type type;
		const char *master, *dead, *master_4, *dead_4;
	} rows[] = {
	    {QUEUE_AUTO, "", "", "quorum", "quorum"},
	    {QUEUE_QUORUM, "quorum", "", "quorum", "quorum"},
	    {QUEUE_CLASSIC, "", "", "", ""},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct queue_options host = {0}, master = {.type = rows[i].type};
		struct topology *t = topology_for_collector("b.in", "m.in");
		const struct topology_item *dead = find(t, TOPOLOGY_DEAD_QUEUE);
		const struct topology_item *queue = find(t, TOPOLOGY_FRESH_QUEUE);

		topology_configure(t, &host, &master);
		assert_string_equal(type_of(&queue->arguments), rows[i].master);
		assert_string_equal(type_of(&dead->arguments), rows[i].dead);
		assert_string_equal(type_of(&queue->arguments_since_4), rows[i].master_4);
		assert_string_equal(type_of(&dead->arguments_since_4), rows[i].dead_4);
		topology_destroy(t);
	}
}

static void
optional_items(void **state)
{
	struct topology *t = topology_for_collector("b.in", "m.in");

	topology_make_optional(t, TOPOLOGY_FRESH_QUEUE);
	for (size_t i = 0; i < t->n; i++)
		assert_int_equal(
		    t->items[i].optional, strcmp(t->items[i].name, TOPOLOGY_FRESH_QUEUE) == 0);
	topology_destroy(t);
}

/* Whoever makes the queue that sends there. */
static void
dead_letter_queue_comes_first(void **state)
{
	struct queue_options host = {0}, master = {.dead_letter = true};
	struct topology *all[] = {
	    topology_for_agent("b.in", "m.in", "web01"),
	    topology_for_collector("b.in", "m.in"),
	};

	for (size_t i = 0; i < 2; i++) {
		size_t n = all[i]->n;

		topology_configure(all[i], &host, &master);
		assert_int_equal(all[i]->n, i == 0 ? n + 1 : n);
		assert_order(all[i]);
		assert_master(all[i], "m.in");
		assert_true(index_of(all[i], TOPOLOGY_DEAD_QUEUE) <
			    index_of(all[i], TOPOLOGY_MASTER_QUEUE));
		if (i == 1)
			assert_true(index_of(all[i], TOPOLOGY_DEAD_QUEUE) <
				    index_of(all[i], TOPOLOGY_FRESH_QUEUE));
		assert_int_equal(find(all[i], TOPOLOGY_DEAD_QUEUE)->arguments.n, 2);
		assert_int_equal(find(all[i], TOPOLOGY_MASTER_QUEUE)->arguments.n, 2);
		n = all[i]->n;
		topology_configure(all[i], &host, &master); /* again */
		assert_int_equal(all[i]->n, n);
		topology_destroy(all[i]);
	}
}

static void
dead_letter_of_the_runner(void **state)
{
	struct queue_options host = {0}, master = {.dead_letter = true};
	struct topology *t = topology_for_runner("b.in", "m.in");

	topology_configure(t, &host, &master);
	assert_null(find(t, TOPOLOGY_DEAD_QUEUE));
	topology_destroy(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(of_the_collector),
	    cmocka_unit_test(agent),
	    cmocka_unit_test(of_the_runner),
	    cmocka_unit_test(reply),
	    cmocka_unit_test(no_arguments_unless_asked_for),
	    cmocka_unit_test(configured),
	    cmocka_unit_test(type_by_release),
	    cmocka_unit_test(optional_items),
	    cmocka_unit_test(dead_letter_queue_comes_first),
	    cmocka_unit_test(dead_letter_of_the_runner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
