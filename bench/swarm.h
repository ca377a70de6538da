/* Many simulated hosts in one loop: each has its own connection, queue and bindings, as an agent
 * has, and answers what it is asked as its script says. A command is acknowledged only after the
 * broker has confirmed the answer. */
#ifndef VOGELER_BENCH_SWARM_H
#define VOGELER_BENCH_SWARM_H

#include "bench/plan.h"
#include "shared/wire.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bench;
struct swarm;

/* Who the hosts are and what they say; all functions are given the swarm's arg. */
struct swarm_script {
	/* Once, when each host has its queue, and reads it unless it is offline. */
	void (*on_ready)(void *arg);
	/* May be NULL. Each time a host begins to read its queue. */
	void (*on_host)(uint32_t host, void *arg);
	void (*name)(uint32_t host, char out[PLAN_NAME_SIZE], void *arg);
	enum conduct (*conduct)(uint32_t host, void *arg);
	/* false: the command is acknowledged and has no answer. */
	bool (*takes)(uint32_t host, const struct command *c, void *arg);
	uint32_t (*delay_ms)(uint32_t host, const struct command *c, void *arg);
	/* Initialises m: the answer, when it is due. c is what was asked, or what swarm_collect()
	 * was given, which has no job. */
	void (*answer)(uint32_t host, const struct command *c, struct message *m, void *arg);
};

struct swarm_counts {
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

/* script is borrowed until swarm_destroy. */
struct swarm *swarm_create(struct bench *b, const struct swarm_script *script, void *arg);
void swarm_destroy(struct swarm *s); /* NULL is fine */
void swarm_start(struct swarm *s);
/* The host sends what it collects by itself; nothing while its connection is not up. */
void swarm_collect(struct swarm *s, uint32_t host, const char *plugin);
/* The host is not heard of any more. */
void swarm_silence(struct swarm *s, uint32_t host);
/* Answers, second answers and rubbish that are still to be sent or confirmed. */
uint32_t swarm_pending(const struct swarm *s);
const struct swarm_counts *swarm_counts(const struct swarm *s);

#endif
