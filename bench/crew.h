/* Fewer connections than hosts: the hosts of a plan have no queue and are not asked; what they
 * would answer to a job is published over the connections that they share. */
#ifndef VOGELER_BENCH_CREW_H
#define VOGELER_BENCH_CREW_H

#include <stdint.h>

struct bench;
struct crew;

/* b->connections of them. on_ready: once, when all of them are up. */
struct crew *crew_create(struct bench *b, void (*on_ready)(void *arg), void *arg);
void crew_destroy(struct crew *c); /* NULL is fine */
/* Every host that is not offline answers this job. reply_to is copied; may be NULL. */
void crew_answer(struct crew *c, uint32_t job, const char *reply_to);
uint64_t crew_confirmed(const struct crew *c);

#endif
