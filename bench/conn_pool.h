/* SPDX-License-Identifier: Apache-2.0 */
/* Fewer connections than hosts: the hosts of a plan have no queue and are not asked; what they
 * would answer to a job is published over the connections that they share. */
#ifndef VOGELER_BENCH_CONN_POOL_H
#define VOGELER_BENCH_CONN_POOL_H

#include <stdint.h>

struct bench;
struct conn_pool;

/* b->connections of them. on_ready: once, when all of them are up. */
struct conn_pool *conn_pool_create(struct bench *b, void (*on_ready)(void *arg), void *arg);
void conn_pool_destroy(struct conn_pool *c); /* NULL is fine */
/* Every host that is not offline answers this job. reply_to is copied; may be NULL. */
void conn_pool_answer(struct conn_pool *c, uint32_t job, const char *reply_to);

#endif
