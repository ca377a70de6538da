/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts that answer each command once it is due, whatever else there is to do: what is measured is
 * everybody else. No command is collapsed with another, or too late; bench/agents.h has hosts that
 * are as agents are. A command is acknowledged only after the broker has confirmed the answer. */
#ifndef VOGELER_BENCH_ERRANDS_H
#define VOGELER_BENCH_ERRANDS_H

#include "bench/hosts_sim.h"
#include "bench/plan.h"
#include "shared/wire/wire.h"
#include <stdbool.h>
#include <stdint.h>

struct bench;
struct errands;

/* Who the hosts are and what they say; all functions are given the arg of errands_create(). */
struct errands_script {
	void (*on_ready)(void *arg); /* as of struct hosts_sim_script, with the next two */
	void (*name)(uint32_t host, char out[PLAN_NAME_SIZE], void *arg);
	enum conduct (*conduct)(uint32_t host, void *arg);
	/* false: the command is acknowledged and has no answer. */
	bool (*takes)(uint32_t host, const struct command *c, void *arg);
	uint32_t (*delay_ms)(uint32_t host, const struct command *c, void *arg);
	/* Initialises m: the answer, when it is due. */
	void (*answer)(uint32_t host, const struct command *c, struct message *m, void *arg);
};

/* script is borrowed until errands_destroy. */
struct errands *errands_create(struct bench *b, const struct errands_script *script, void *arg);
void errands_destroy(struct errands *e); /* NULL is fine */
/* Answers, second answers and rubbish that are still to be sent or confirmed. */
uint32_t errands_pending(const struct errands *e);
struct hosts_sim *errands_swarm(const struct errands *e); /* for its counts */

#endif
