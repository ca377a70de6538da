/* Who is in contact (shared/store/contacts.h): takes what is seen of the hosts' queues, round by
 * round, and stores what has changed, and once a minute that it was looked. What is not stored now
 * is with the next round.
 *
 * A host goes offline when two rounds in a row find that its queue is not read: in one alone its
 * agent may be restarting, or the broker may be on its way down, with our connection the last that
 * it closes. After the broker was away, or after our start, all agents are on their way back, each
 * when its wait between two attempts is over: until they have had the time, who has not been seen
 * again since does not go. Nor is a host that was never seen called so before: it may be new. */
#ifndef VOGELER_ROLLCALL_H
#define VOGELER_ROLLCALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct rollcall;
struct store;

#define ROLLCALL_LOOK_MS (INT64_C(55) * 1000) /* between two notes that it was looked */
#define ROLLCALL_END_MS  2000

struct rollcall_status {
	size_t online, offline, never; /* hosts, as of the last look */
	int64_t looked_wall_ms;        /* 0 = none yet */
};

/* return_ms: how long agents may take to come back to a broker that is there again. */
struct rollcall *rollcall_create(struct loop *loop, struct store *store, int64_t return_ms);
/* After store_close(). NULL is fine. */
void rollcall_destroy(struct rollcall *r);
/* consumers: of the host's queue. */
void rollcall_saw(struct rollcall *r, const char *host, uint32_t consumers);
/* whole: each host that the store knows was seen; else only some. looked: none of them was passed
 * over because the broker failed. */
void rollcall_round_over(struct rollcall *r, bool whole, bool looked);
/* The connection to the broker has gone. */
void rollcall_broker_down(struct rollcall *r);
/* Stores that nobody looks any more; then, or when that takes longer than ROLLCALL_END_MS, fn, once
 * and never from inside the call. */
void rollcall_end(struct rollcall *r, void (*fn)(void *arg), void *arg);
/* Whether there is nothing new in hearing from it. */
bool rollcall_is_online(const struct rollcall *r, const char *host);
void rollcall_status(const struct rollcall *r, struct rollcall_status *out);

#endif
