/* SPDX-License-Identifier: Apache-2.0 */
/* Who is in contact (shared/store/contacts.h): takes what is seen of the hosts' queues, round by
 * round, and stores what has changed, and once a minute that it was looked. What is not stored now
 * is with the next round.
 *
 * A host goes offline when two rounds in a row find that its queue is not read: in one alone its
 * agent may be restarting, or the broker may be on its way down, with our connection the last that
 * it closes. After the broker was away, or after our start, all agents are on their way back, each
 * when its wait between two attempts is over: until they have had the time, who has not been seen
 * again since does not go. Nor is a host that was never seen called so before: it may be new. */
#ifndef VOGELER_CONTACT_TRACKER_H
#define VOGELER_CONTACT_TRACKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct contact_tracker;
struct store;

#define CONTACT_TRACKER_LOOK_MS (INT64_C(55) * 1000) /* between two notes that it was looked */
#define CONTACT_TRACKER_END_MS  2000

struct contact_tracker_status {
	size_t online, offline, never; /* hosts, as of the last look */
	int64_t looked_wall_ms;        /* 0 = none yet */
};

/* return_ms: how long agents may take to come back to a broker that is there again. */
struct contact_tracker *contact_tracker_create(
    struct loop *loop, struct store *store, int64_t return_ms);
/* After store_close(). NULL is fine. */
void contact_tracker_destroy(struct contact_tracker *r);
/* consumers: of the host's queue. */
void contact_tracker_saw(struct contact_tracker *r, const char *host, uint32_t consumers);
/* whole: each host that the store knows was seen; else only some. looked: none of them was passed
 * over because the broker failed. */
void contact_tracker_round_over(struct contact_tracker *r, bool whole, bool looked);
/* The connection to the broker has gone. */
void contact_tracker_broker_down(struct contact_tracker *r);
/* Stores that nobody looks any more; then, or when that takes longer than CONTACT_TRACKER_END_MS,
 * fn, once and never from inside the call. */
void contact_tracker_end(struct contact_tracker *r, void (*fn)(void *arg), void *arg);
/* Says whether there is nothing new in hearing from it. */
bool contact_tracker_is_online(const struct contact_tracker *r, const char *host);
void contact_tracker_status(const struct contact_tracker *r, struct contact_tracker_status *out);

#endif
