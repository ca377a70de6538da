/* SPDX-License-Identifier: Apache-2.0 */
/* A topology says as data which exchanges, queues and bindings a program needs. The broker module
 * makes them, unless it is to look or to bind alone: what is not transient it declares passively
 * first (so a host without configure rights works), and only on 404 for real. The bindings of a
 * queue are made at every connect, also of one that was found: who was killed between the two, or
 * had its exchange deleted, would else be out of reach for ever. All is durable, but for what is of
 * one connection. */
#ifndef VOGELER_TOPOLOGY_H
#define VOGELER_TOPOLOGY_H

#include "shared/amqp/queue_args.h"
#include <stdbool.h>
#include <stddef.h>

#define TOPOLOGY_BROADCAST_EXCHANGE "vogeler.broadcast.in" /* topic: commands */
#define TOPOLOGY_MASTER_EXCHANGE    "vogeler.master.in"    /* direct: responses */
#define TOPOLOGY_MASTER_QUEUE       "master.in"
#define TOPOLOGY_DEAD_QUEUE         "vogeler.dead"
/* Answers that somebody waits for, so that a backlog in master.in does not hold them up. The
 * collector makes it; without it (2010) they go to master.in like all others. */
#define TOPOLOGY_FRESH_QUEUE       "vogeler.fresh"
#define TOPOLOGY_REPLY_PREFIX      "vogeler.reply." /* the queue of one who watches a job */
#define TOPOLOGY_LEADER_QUEUE      "vogeler.leader" /* who has it goes on (daemon/leader.h) */
#define TOPOLOGY_BROADCAST_KEY     "broadcasts.all" /* what the runner publishes "all" with */
#define TOPOLOGY_BROADCAST_PATTERN "broadcasts.*"   /* what a host binds */
#define TOPOLOGY_MASTER_KEY        ""
#define TOPOLOGY_FRESH_KEY         "fresh"

enum topology_kind { TOPOLOGY_EXCHANGE, TOPOLOGY_QUEUE };

struct topology_binding {
	char *exchange;
	char *key;
};

struct topology_item {
	enum topology_kind kind;
	char *name;
	char *type;                          /* of an exchange: "topic", "direct" */
	struct topology_binding bindings[2]; /* of a queue */
	size_t n_bindings;
	/* The queue is another program's, and its bindings too: they are made as a help, by who may
	 * bind his own. Else each of thousands of hosts without that right would be refused twice
	 * at every connect. */
	bool foreign;
	/* A queue of its connection alone, gone with it: exclusive, auto-delete, not durable. Made
	 * without a look whether it is there. */
	bool transient;
	/* When it is not there and the user may not make it, or may not read it, its connection
	 * does without: broker_without() says so. */
	bool optional;
	enum queue_role role;
	/* Of a queue: what it is made with at a broker before RabbitMQ 4, and from it on; none
	 * unless topology_configure(). */
	struct queue_arguments arguments, arguments_since_4;
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
/* Has one queue, which its connection alone has, and which is gone with it. */
struct topology *topology_for_connection(const char *queue);
/* Adds a binding to a queue that is in t. */
void topology_bind(struct topology *t, const char *queue, const char *exchange, const char *key);
void topology_make_optional(struct topology *t, const char *queue);
/* The queue of one more host, with its bindings, or without when the exchange is NULL. */
void topology_add_host(struct topology *t, const char *broadcast_exchange, const char *host);
/* The queues that have to be made get the arguments that the options ask for, or that the release
 * of the broker does (QUEUE_AUTO); without this, those of 2010, which are none. Where they
 * dead-letter, the dead-letter queue is made first. */
void topology_configure(
    struct topology *t, const struct queue_options *host, const struct queue_options *master);
void topology_destroy(struct topology *t);

#endif
