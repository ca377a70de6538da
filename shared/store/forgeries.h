/* SPDX-License-Identifier: Apache-2.0 */
/* Answers that were refused since nobody vouches for the host that they name: how many, and the
 * last of them. The collector keeps it as a note of the store (store.h), where doctor finds it from
 * any machine; whoever runs several collectors finds what the last of them wrote.
 *
 *   forgeries  {"since": TIME, "at": TIME, "refused": 3, "untold": 1, "sender": "web02",
 *               "why": "user \"web02\" wrote in the name of \"web01\""}
 *
 * Pure. */
#ifndef VOGELER_FORGERIES_H
#define VOGELER_FORGERIES_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define FORGERIES_NOTE "forgeries"

struct forgeries {
	int64_t since_ms, at_ms; /* wall: of the first and the last; at_ms 0 = there was none */
	uint64_t refused;
	uint64_t untold; /* of these, answers to jobs that do not know of it */
	char sender[256], why[512];
};

/* sender: the user, NULL = it is not named. */
void forgeries_add(
    struct forgeries *f, const char *sender, const char *why, bool untold, int64_t wallclock_ms);
json_t *forgeries_note(const struct forgeries *f); /* {FORGERIES_NOTE: value}; the caller's */
/* notes: {ID: value}, as store_notes() gives them. What is garbled is none. */
void forgeries_load(struct forgeries *f, const json_t *notes);

#endif
