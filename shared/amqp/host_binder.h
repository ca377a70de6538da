/* SPDX-License-Identifier: Apache-2.0 */
/* Binds the queues of many hosts to the exchange of commands: for hosts whose users may not do it
 * themselves; and tells who is in contact, which is whose queue is read. On connections of its own,
 * a few at a time, each for some hundreds of hosts: a queue that is not there, or that may not be
 * bound, costs a channel, which no other traffic should feel, and the pauses in between leave the
 * broker time for others. The broker does what one channel asks for one after the other and waits
 * for its own tables in between: what two ask for is done in less than half of the time, more gain
 * little. Nothing is made. */
#ifndef VOGELER_HOST_BINDER_H
#define VOGELER_HOST_BINDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct broker_options;
struct host_binder;
struct loop;

#define HOST_BINDER_LOT      250 /* hosts a connection */
#define HOST_BINDER_LANES    3   /* connections at a time */
#define HOST_BINDER_PAUSE_MS 100 /* between two lots of a lane: of 10,000 hosts, a second */
/* After so many refusals in a row it is the user that lacks the right, and not a host that has
 * another one. Looking takes no right: that goes on alone. */
#define HOST_BINDER_FORBIDDEN 10

struct host_binder_result {
	size_t bound, no_queue, forbidden;
	/* Those without a queue, in the order of hosts; the binder's. */
	const char *const *absent;
	bool looked;     /* each host has had its turn, */
	bool complete;   /* and its queue was to be bound */
	const char *why; /* else: a sentence; and the broker's words on the last one forbidden */
};

typedef void host_binder_fn(const struct host_binder_result *r, void *arg);
/* consumers: of its queue, none of a queue that is not there. */
typedef void host_binder_look_fn(const char *host, uint32_t consumers, void *arg);

/* Takes hosts and the names in it. opt: role, program, uris and the like; borrowed during the call,
 * its strings and tls until host_binder_destroy. look: called on
 * the way for each host, perhaps twice, and may not destroy it; NULL: nobody is looked at. fn is
 * called once, on the loop, after which only host_binder_destroy() may follow; in fn too. */
struct host_binder *host_binder_start(struct loop *loop, const struct broker_options *opt,
    const char *broadcast_exchange, char **hosts, size_t n, host_binder_look_fn *look,
    host_binder_fn *fn, void *arg);
void host_binder_destroy(struct host_binder *h); /* NULL is fine */

#endif
