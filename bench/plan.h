/* SPDX-License-Identifier: Apache-2.0 */
/* This says what a run of the benchmark consists of, as arithmetic: which hosts there are and how
 * they behave, which jobs, and what each host answers to each. Whoever is given the same plan
 * expects the same: that is how the books are closed. Pure. */
#ifndef VOGELER_BENCH_PLAN_H
#define VOGELER_BENCH_PLAN_H

#include "bench/payload.h"
#include "shared/amqp/message.h"
#include "shared/base/ident.h"
#include <stdbool.h>
#include <stdint.h>

#define PLAN_NAME_SIZE 64
#define PLAN_HOSTS_MAX 100000
#define PLAN_MIX       5 /* plugins of a mix */

/* Each job asks each host for one plugin of it; five in turn ask for all. */
enum plan_mix {
	PLAN_ONE_PAYLOAD,
	PLAN_MIX_SIZES, /* from 200 bytes to 30 KB, each host another one */
	PLAN_MIX_FACTS, /* five of 600 bytes, all hosts the same one */
};

struct plan {
	int64_t run; /* wall ms, below 2^47: its number; part of the ids of its jobs */
	uint64_t seed;
	uint32_t hosts;
	uint32_t jobs;
	enum plan_mix mix;
	enum payload payload;   /* without mix */
	bool together;          /* the order of a backlog: what one host says stands together */
	unsigned int unchanged; /* percent of answers that repeat the one before */
	/* percent of hosts */
	unsigned int offline, slow, twice, poison;
};

/* false: err says which value is wrong. */
bool plan_check(const struct plan *p, char *err, size_t err_size);
bool plan_parse_profile(struct plan *p, const char *text);
const char *plan_profile_name(const struct plan *p);

void plan_host(const struct plan *p, uint32_t host, char out[PLAN_NAME_SIZE]);
bool plan_host_index(const struct plan *p, const char *name, uint32_t *host);
void plan_job(const struct plan *p, uint32_t job, char out[IDENT_SIZE]);
bool plan_job_index(const struct plan *p, const char *id, uint32_t *job);

enum conduct { CONDUCT_GOOD, CONDUCT_OFFLINE, CONDUCT_SLOW, CONDUCT_TWICE, CONDUCT_POISON };
#define CONDUCT_N (CONDUCT_POISON + 1)
/* Which hosts behave how is drawn by the seed; each conduct gets its share to the host. */
enum conduct plan_conduct(const struct plan *p, uint32_t host);

/* So many jobs ask each host for each of its plugins. */
uint32_t plan_plugins(const struct plan *p);
/* Says whose, and to which job, the k-th of the hosts * jobs answers of a backlog is. */
void plan_at(const struct plan *p, uint64_t k, uint32_t *host, uint32_t *job);
/* Returns the host of the k-th answer when the hosts of a job come in no order. */
uint32_t plan_shuffled_host(const struct plan *p, uint64_t k);
enum payload plan_payload(const struct plan *p, uint32_t host, uint32_t job);
/* Returns the latest job up to `job` whose answer of that plugin was not the repetition of an
 * earlier one: the version of the value that is sent. */
uint32_t plan_version(const struct plan *p, uint32_t host, uint32_t job);
int64_t plan_order(const struct plan *p, uint32_t job);
/* The response of host to job, ready to be published. Initialises m. */
void plan_message(const struct plan *p, uint32_t host, uint32_t job, struct message *m);
const char *plan_marker(
    const struct plan *p, uint32_t host, uint32_t job, char out[PAYLOAD_MARKER_SIZE]);

#endif
