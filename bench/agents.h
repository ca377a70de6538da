/* SPDX-License-Identifier: Apache-2.0 */
/* Simulated hosts that are as agents are, on the wire: commands, from their delivery to the
 * acknowledgement, and answers are dealt with by the agent's own code (agent/cmdq.h,
 * agent/outbox.h, agent/report.h). Only plugins are not run: the fleet says what each prints and
 * when it ends. Marks of order are not kept on the disk. */
#ifndef VOGELER_BENCH_AGENTS_H
#define VOGELER_BENCH_AGENTS_H

#include <stdint.h>

struct agents;
struct bench;
struct hosts_sim;

struct agents_handlers {
	/* Once, when each host has its queue, and reads it unless it is offline. */
	void (*on_ready)(void *arg);
	/* Each time a host begins to read its queue. */
	void (*on_host)(uint32_t host, void *arg);
};

/* handlers are borrowed until agents_destroy. */
struct agents *agents_create(struct bench *b, const struct agents_handlers *handlers, void *arg);
void agents_destroy(struct agents *a); /* NULL is fine */
/* The host sends what it collects by itself; nothing while its connection is not up. */
void agents_collect(struct agents *a, uint32_t host, const char *plugin);
/* The host is not heard of any more. */
void agents_silence(struct agents *a, uint32_t host);
struct hosts_sim *agents_swarm(const struct agents *a); /* for its counts */

#endif
