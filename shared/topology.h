/* The exchanges, queues and bindings of DESIGN 3, as data: what each program needs to exist.
 * broker.c makes it so: passive declaration first (so a host without configure rights works), and
 * only on 404 declares and binds. All durable. */
#ifndef VOGELER_TOPOLOGY_H
#define VOGELER_TOPOLOGY_H

#include <stdbool.h>
#include <stddef.h>

#define TOPOLOGY_BROADCAST_EXCHANGE "vogeler.broadcast.in" /* topic: commands */
#define TOPOLOGY_MASTER_EXCHANGE    "vogeler.master.in"    /* direct: responses */
#define TOPOLOGY_MASTER_QUEUE       "master.in"
#define TOPOLOGY_DEAD_QUEUE         "vogeler.dead"
#define TOPOLOGY_BROADCAST_KEY      "broadcasts.all" /* what the runner publishes "all" with */
#define TOPOLOGY_BROADCAST_PATTERN  "broadcasts.*"   /* what a host binds */
#define TOPOLOGY_MASTER_KEY         ""

enum topology_kind { TOPOLOGY_EXCHANGE, TOPOLOGY_QUEUE };

struct topology_binding {
	char *exchange;
	char *key;
};

struct topology_item {
	enum topology_kind kind;
	char *name;
	char *type;                          /* of an exchange: "topic", "direct" */
	struct topology_binding bindings[2]; /* of a queue; made only when the queue was made */
	size_t n_bindings;
};

struct topology {
	struct topology_item *items; /* in the order in which they are made */
	size_t n;
};

/* Exchange names may be other than the default ([amqp] master_exchange, broadcast_exchange). */
struct topology *topology_for_collector(
    const char *broadcast_exchange, const char *master_exchange);
struct topology *topology_for_agent(
    const char *broadcast_exchange, const char *master_exchange, const char *host);
struct topology *topology_for_runner(const char *broadcast_exchange, const char *master_exchange);
void topology_destroy(struct topology *t);

#endif
