/* SPDX-License-Identifier: Apache-2.0 */
/* The bindings of the hosts' queues, which hosts with minimal rights cannot make themselves. The
 * collector makes those of all hosts that the store knows: at its start, when it had to make an
 * exchange, and then again and again, since a binding that is gone tells nobody, and neither does
 * an exchange that somebody else made anew. Between two rounds are 12 to 15 s, which is as often as
 * 10,000 hosts are worth to the broker: to find all bound costs it 3 s of a processor, to bind all
 * anew 20 and more, and both together are to end within a minute. A queue that was not there is
 * looked for once an hour, for each such look is an error in the broker's log, or when its host has
 * been heard of.
 *
 * On the way each queue is looked at: who reads it is told to whoever observes. */
#ifndef VOGELER_DAEMON_BINDINGS_H
#define VOGELER_DAEMON_BINDINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bindings;
struct broker_options;
struct loop;
struct store;
struct uri;

#define BINDINGS_PERIOD_MS INT64_C(12000)            /* between rounds, and up to a quarter more */
#define BINDINGS_FULL_MS   (INT64_C(60) * 60 * 1000) /* between looks for queues that are missing */
#define BINDINGS_HEAR_MS   INT64_C(1000)             /* from a hello to a look */
#define BINDINGS_HEARD_MAX ((size_t)250)             /* hosts; more have their turn with all */
#define BINDINGS_RETRY_MS  INT64_C(5000)             /* when broker or store fail */

struct bindings_status {
	uint64_t rounds;         /* that ended with each host having had its turn */
	size_t bound, forbidden; /* hosts, of the last round, whole or not */
	size_t no_queue;         /* and those that had none at the last look */
	int64_t whole_wall_ms;   /* when the last whole round ended; 0 = there was none */
	int64_t whole_ms;        /* how long it took, of which the store's list is a part */
};

/* opt: of the connections; its uris are copied, its strings and tls borrowed until
 * bindings_destroy. Nothing happens before bindings_hurry(). */
struct bindings *bindings_create(struct loop *loop, struct store *store,
    const struct broker_options *opt, const char *broadcast_exchange);
struct bindings_observer {
	void (*saw)(const char *host, uint32_t consumers, void *arg);
	/* whole: each host of the store was seen since the last call, by a look or as one that
	 * had no queue at the last; else only some. looked: none was passed over because the broker
	 * failed. */
	void (*round_over)(bool whole, bool looked, void *arg);
	void *arg;
};
/* Sets the observer, before the first round; it is copied. */
void bindings_observe(struct bindings *b, const struct bindings_observer *observer);
/* The host said hello and may be new, or back: it has its turn in a second or so. */
void bindings_hear(struct bindings *b, const char *host);
/* An answer of the store may be under way: close that first. NULL is fine. */
void bindings_destroy(struct bindings *b);
/* Makes those of all hosts at once: the first connection is there, or an exchange was made. */
void bindings_hurry(struct bindings *b);
void bindings_set_logins(struct bindings *b, const struct uri *uris, size_t n);
void bindings_status(const struct bindings *b, struct bindings_status *out);

#endif
