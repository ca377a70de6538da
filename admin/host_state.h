/* SPDX-License-Identifier: Apache-2.0 */
/* This reads in the head of a record (shared/store/head.h) how its host is now, for the list of
 * hosts. Pure. */
#ifndef VOGELER_HOST_STATE_H
#define VOGELER_HOST_STATE_H

#include "shared/base/wallclock.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* A clock that is off by less says nothing. */
#define HOST_STATE_CLOCK_MS (60 * INT64_C(1000))

/* The failures that stand, the newest first: an array of {plugin, since, at, state, message,
 * count}, of which those are left out that nobody said. last_error is one of them only if no good
 * answer came after it: of its plugin, or of any if it is about the host as a whole. The caller's.
 */
json_t *host_state_failing(const json_t *head);
/* Returns how far the clock of the host is ahead of the collector's, in ms; below 0: behind.
 * Answers are received after they were collected, some of them long after, so the one that says
 * most counts: a host is ahead by so much at least, and one that is behind may only be one whose
 * answers were all late. 0: it is not off by HOST_STATE_CLOCK_MS, or nothing tells. */
int64_t host_state_clock_off(const json_t *head);
/* Array of those that it was heard as, each once, in order. The caller's. */
json_t *host_state_machines(const json_t *head);
/* Two machines under one name. They answer by turns (record_two_machines()), until only one of them
 * has been heard for HOST_STATE_ALONE_MS; or one waits for the queue, which another agent reads,
 * and said so within HOST_STATE_WAITS_MS: agents repeat it every five minutes. */
#define HOST_STATE_ALONE_MS (2 * 3600 * INT64_C(1000))
#define HOST_STATE_WAITS_MS (15 * 60 * INT64_C(1000))
struct host_state_two {
	const char *id;    /* of the one that answers, or NULL: none has said its id */
	const char *other; /* the same one, if both agents are on one machine */
	bool waits;        /* the other one, and since is when it said so last */
	const char *since; /* a time */
};
/* false: nothing tells of two. out borrows from head. */
bool host_state_two_machines(const json_t *head, int64_t now_ms, struct host_state_two *out);
/* The agent's, as the last answer has it. Borrowed; NULL: it did not say (2010, 0.1.0), or nothing
 * was ever answered. */
const char *host_state_version(const json_t *head);

/* Seconds are enough for a list: "2026-11-30T18:47:06Z"; what is no time stays as it is, as far as
 * there is room. */
#define HOST_STATE_AT_SIZE 40
const char *host_state_at(const char *at, char out[HOST_STATE_AT_SIZE]);
/* "3 min ago", in one unit; "" if at is not a time. */
#define HOST_STATE_AGE_SIZE WALLCLOCK_AGE_SIZE
const char *host_state_age(const char *at, int64_t now_ms, char out[HOST_STATE_AGE_SIZE]);
/* Both: "2026-11-30T18:47:06Z (3 min ago)". */
#define HOST_STATE_WHEN_SIZE (HOST_STATE_AT_SIZE + HOST_STATE_AGE_SIZE + 4)
const char *host_state_when(const char *at, int64_t now_ms, char out[HOST_STATE_WHEN_SIZE]);

#endif
