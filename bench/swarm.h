/* Many simulated hosts in one loop: each has its own connection, queue and bindings, as an agent
 * has, and answers what it is asked as the plan says. A command is acknowledged only after the
 * broker has confirmed the answer. */
#ifndef VOGELER_BENCH_SWARM_H
#define VOGELER_BENCH_SWARM_H

#include <stddef.h>
#include <stdint.h>

struct bench;
struct swarm;

struct swarm_counts {
	uint64_t commands; /* that hosts were given */
	uint64_t answers;  /* first answers that are confirmed */
	uint64_t again;    /* second ones of hosts that answer twice, confirmed */
	uint64_t poison;   /* confirmed rubbish */
	uint64_t
	    not_asked;     /* commands that no job of the plan explains: answered as the last one */
	uint32_t ready;    /* hosts that read their queue */
	uint32_t offline;  /* hosts that have a queue and do not read it */
	uint64_t failures; /* connections that failed */
};

/* on_ready: once, when each host has its queue, and reads it unless it is offline. */
struct swarm *swarm_create(struct bench *b, void (*on_ready)(void *arg), void *arg);
void swarm_destroy(struct swarm *s); /* NULL is fine */
void swarm_start(struct swarm *s);
/* Answers, second answers and rubbish that are still to be sent or confirmed. */
uint32_t swarm_pending(const struct swarm *s);
const struct swarm_counts *swarm_counts(const struct swarm *s);

#endif
