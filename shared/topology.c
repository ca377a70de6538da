/* See topology.h. */
#include "shared/topology.h"

#include "shared/xalloc.h"

#include <assert.h>
#include <stdlib.h>

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

/* Where responses go, and wait while no collector runs: whoever comes first makes it. */
static void
add_master(struct topology *t, const char *master_exchange)
{
	add_exchange(t, master_exchange, "direct");
	add_binding(add_item(t, TOPOLOGY_QUEUE, TOPOLOGY_MASTER_QUEUE), master_exchange,
	    TOPOLOGY_MASTER_KEY);
}

struct topology *
topology_for_collector(const char *broadcast_exchange, const char *master_exchange)
{
	struct topology *t = xcalloc(1, sizeof(*t));

	add_exchange(t, broadcast_exchange, "topic");
	add_master(t, master_exchange);
	/* Reached by its name through the default exchange: no binding. */
	add_item(t, TOPOLOGY_QUEUE, TOPOLOGY_DEAD_QUEUE);
	return t;
}

struct topology *
topology_for_agent(const char *broadcast_exchange, const char *master_exchange, const char *host)
{
	struct topology *t = xcalloc(1, sizeof(*t));
	struct topology_item *queue;

	add_exchange(t, broadcast_exchange, "topic");
	add_master(t, master_exchange);
	queue = add_item(t, TOPOLOGY_QUEUE, host);
	add_binding(queue, broadcast_exchange, TOPOLOGY_BROADCAST_PATTERN);
	add_binding(queue, broadcast_exchange, host);
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
