/* SPDX-License-Identifier: Apache-2.0 */
/* The connections of many simulated hosts in one loop: each has its own, with queue and bindings,
 * as an agent has. What it does with its commands is its script's: bench/errands.h, bench/agents.h.
 */
#ifndef VOGELER_BENCH_HOSTS_SIM_H
#define VOGELER_BENCH_HOSTS_SIM_H

#include "bench/plan.h"
#include "shared/amqp/broker.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bench;
struct hosts_sim;

/* Who the hosts are; and what becomes of their connections, as of struct broker_handlers. All
 * functions are given the swarm's arg; those of connections are not called of offline hosts. */
struct hosts_sim_script {
	/* Once, when each host has its queue, and reads it unless it is offline. */
	void (*on_ready)(void *arg);
	void (*name)(uint32_t host, char out[PLAN_NAME_SIZE], void *arg);
	enum conduct (*conduct)(uint32_t host, void *arg);
	/* Its connection is made, and not started yet. It lives as long as the swarm. */
	void (*on_begin)(uint32_t host, struct broker *broker, void *arg);
	/* These are called before it begins to read its queue, and when it does, each time. May be
	 * NULL. */
	void (*on_connected)(uint32_t host, void *arg);
	void (*on_consuming)(uint32_t host, void *arg);
	void (*on_delivery)(uint32_t host, struct delivery *d, void *arg); /* takes d */
	void (*on_confirm)(
	    uint32_t host, uint64_t id, enum broker_outcome outcome, const char *why, void *arg);
	void (*on_writable)(uint32_t host, void *arg);
	void (*on_down)(uint32_t host, void *arg); /* may be NULL */
};

struct hosts_sim_counts {
	uint64_t commands;    /* that hosts were given */
	uint64_t answers;     /* first answers that are confirmed */
	uint64_t again;       /* second ones of hosts that answer twice, confirmed */
	uint64_t poison;      /* confirmed rubbish */
	uint64_t unexplained; /* commands that the script does not take */
	uint64_t collected;   /* results that were not asked for, confirmed */
	uint32_t ready;       /* hosts that read their queue */
	uint32_t offline;     /* hosts that have a queue and do not read it */
	uint64_t failures;    /* connections that failed */
};

/* script is borrowed until hosts_sim_destroy. */
struct hosts_sim *hosts_sim_create(
    struct bench *b, const struct hosts_sim_script *script, void *arg);
void hosts_sim_destroy(struct hosts_sim *s); /* NULL is fine */
void hosts_sim_start(struct hosts_sim *s);
/* The host is not heard of any more. */
void hosts_sim_silence(struct hosts_sim *s, uint32_t host);
/* All but the last three are counted by the script. */
struct hosts_sim_counts *hosts_sim_counts(struct hosts_sim *s);

#endif
