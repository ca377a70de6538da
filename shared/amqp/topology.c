/* SPDX-License-Identifier: Apache-2.0 */
/* See topology.h. */
#include "shared/amqp/topology.h"

#include "shared/base/xalloc.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static struct topology_item *
add_item(struct topology *t, enum topology_kind kind, const char *name)
{
	struct topology_item *item;

	t->items = xreallocarray(t->items, t->n + 1, sizeof(*t->items));
	item = &t->items[t->n++];
	*item = (struct topology_item){.kind = kind, .name = xstrdup(name)};
	return item;
}

static void
add_exchange(struct topology *t, const char *name, const char *type)
{
	add_item(t, TOPOLOGY_EXCHANGE, name)->type = xstrdup(type);
}

static void
add_binding(struct topology_item *item, const char *exchange, const char *key)
{
	assert(item->n_bindings < sizeof(item->bindings) / sizeof(item->bindings[0]));
	item->bindings[item->n_bindings++] =
	    (struct topology_binding){.exchange = xstrdup(exchange), .key = xstrdup(key)};
}

static struct topology_item *
add_responses(struct topology *t, const char *master_exchange, const char *name, const char *key)
{
	struct topology_item *queue = add_item(t, TOPOLOGY_QUEUE, name);

	queue->role = QUEUE_MASTER;
	add_binding(queue, master_exchange, key);
	return queue;
}

struct topology *
topology_for_collector(const char *broadcast_exchange, const char *master_exchange)
{
	struct topology *t = xcalloc(1, sizeof(*t));

	add_exchange(t, broadcast_exchange, "topic");
	add_exchange(t, master_exchange, "direct");
	add_responses(t, master_exchange, TOPOLOGY_MASTER_QUEUE, TOPOLOGY_MASTER_KEY);
	/* Reached by its name through the default exchange: no binding. */
	add_item(t, TOPOLOGY_QUEUE, TOPOLOGY_DEAD_QUEUE)->role = QUEUE_DEAD;
	add_responses(t, master_exchange, TOPOLOGY_FRESH_QUEUE, TOPOLOGY_FRESH_KEY);
	return t;
}

void
topology_add_host(struct topology *t, const char *broadcast_exchange, const char *host)
{
	struct topology_item *queue = add_item(t, TOPOLOGY_QUEUE, host);

	queue->role = QUEUE_HOST;
	if (broadcast_exchange == NULL)
		return;
	add_binding(queue, broadcast_exchange, TOPOLOGY_BROADCAST_PATTERN);
	add_binding(queue, broadcast_exchange, host);
}

struct topology *
topology_for_agent(const char *broadcast_exchange, const char *master_exchange, const char *host)
{
	struct topology *t = xcalloc(1, sizeof(*t));

	add_exchange(t, broadcast_exchange, "topic");
	add_exchange(t, master_exchange, "direct");
	topology_add_host(t, broadcast_exchange, host);
	/* Where responses go, and wait while no collector runs: whoever comes first makes it. */
	add_responses(t, master_exchange, TOPOLOGY_MASTER_QUEUE, TOPOLOGY_MASTER_KEY)->foreign =
	    true;
	return t;
}

struct topology *
topology_for_runner(const char *broadcast_exchange, const char *master_exchange)
{
	struct topology *t = xcalloc(1, sizeof(*t));

	add_exchange(t, broadcast_exchange, "topic");
	add_exchange(t, master_exchange, "direct");
	return t;
}

struct topology *
topology_for_connection(const char *queue)
{
	struct topology *t = xcalloc(1, sizeof(*t));

	add_item(t, TOPOLOGY_QUEUE, queue)->transient = true;
	return t;
}

static size_t
index_of(const struct topology *t, const char *queue)
{
	size_t i = 0;

	while (i < t->n &&
	       (t->items[i].kind != TOPOLOGY_QUEUE || strcmp(t->items[i].name, queue) != 0))
		i++;
	return i;
}

void
topology_bind(struct topology *t, const char *queue, const char *exchange, const char *key)
{
	size_t i = index_of(t, queue);

	assert(i < t->n);
	add_binding(&t->items[i], exchange, key);
}

void
topology_make_optional(struct topology *t, const char *queue)
{
	size_t i = index_of(t, queue);

	assert(i < t->n);
	t->items[i].optional = true;
}

/* A dead letter that finds no queue is gone: it is made before the queue that sends there. */
static void
put_dead_first(struct topology *t)
{
	size_t dead = index_of(t, TOPOLOGY_DEAD_QUEUE), master;
	struct topology_item item;

	if (dead == t->n)
		add_item(t, TOPOLOGY_QUEUE, TOPOLOGY_DEAD_QUEUE)->role = QUEUE_DEAD;
	master = index_of(t, TOPOLOGY_MASTER_QUEUE);
	if (dead < master)
		return;
	item = t->items[dead];
	memmove(&t->items[master + 1], &t->items[master], (dead - master) * sizeof(item));
	t->items[master] = item;
}

static void
arguments_for(const struct queue_options *q, enum queue_type automatic, enum queue_role role,
    struct queue_arguments *out)
{
	struct queue_options own = *q;

	/* Dead letters were in a classic queue also where the responses are not: one that is synced
	 * will do. */
	if (own.type == QUEUE_AUTO || (role == QUEUE_DEAD && own.type == QUEUE_QUORUM))
		own.type = automatic;
	queue_arguments(&own, role, TOPOLOGY_DEAD_QUEUE, out);
}

void
topology_configure(
    struct topology *t, const struct queue_options *host, const struct queue_options *master)
{
	if (master->dead_letter && index_of(t, TOPOLOGY_MASTER_QUEUE) < t->n)
		put_dead_first(t);
	for (size_t i = 0; i < t->n; i++) {
		struct topology_item *item = &t->items[i];
		const struct queue_options *q = item->role == QUEUE_HOST ? host : master;

		arguments_for(q, QUEUE_CLASSIC, item->role, &item->arguments);
		arguments_for(q, QUEUE_QUORUM, item->role, &item->arguments_since_4);
	}
}

void
topology_destroy(struct topology *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < t->n; i++) {
		struct topology_item *item = &t->items[i];

		for (size_t j = 0; j < item->n_bindings; j++) {
			free(item->bindings[j].exchange);
			free(item->bindings[j].key);
		}
		free(item->name);
		free(item->type);
	}
	free(t->items);
	free(t);
}
