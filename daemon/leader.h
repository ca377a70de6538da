/* SPDX-License-Identifier: Apache-2.0 */
/* The leader says which of several collectors goes on, where they are in each other's way.
 *
 * The broker deals the answers of one host to its collectors in turn, and CouchDB takes a record
 * only over the revision that is there: what one collector knows of a record is out of date as soon
 * as another has written it. Each such conflict costs a write in vain, a read and one more write,
 * and two collectors are slower than one. So when conflicts are a lasting share of the writes, a
 * collector asks for the queue vogeler.leader, which is exclusive (AMQP 0-9-1, queue.declare): one
 * connection has it, and it is gone with that. Who gets it goes on; the others stand by until it is
 * gone.
 *
 *   NONE -- lasting conflicts, the queue is ours --> US -- leader_resign, connection lost --> NONE
 *   NONE -- lasting conflicts, it is another's --> OTHER -- it is gone, and ours now --> US
 *   US, OTHER -- whose it is cannot be told --> NONE
 *
 * NONE is as without all this: nobody stands by who does not know of another. To be refused by the
 * broker costs a connection and lines in its log, so OTHER asks with an empty mandatory message to
 * that queue, which comes back (basic.return) once there is none. */
#ifndef VOGELER_DAEMON_LEADER_H
#define VOGELER_DAEMON_LEADER_H

#include "shared/amqp/broker.h"
#include <stdint.h>

struct leader;
struct loop;

/* Conflicts last when of so many writes in a row one of so many was one. */
#define LEADER_WRITES  200
#define LEADER_SHARE   10
#define LEADER_LOOK_MS 2000 /* OTHER: whether the queue is still there */

enum leader_state { LEADER_NONE, LEADER_US, LEADER_OTHER };

/* The state is another. Never from inside a leader_ function. */
typedef void leader_changed_fn(enum leader_state state, void *arg);

struct leader_parts { /* all borrowed until leader_destroy, but for opt */
	struct loop *loop;
	struct broker *publisher;
	/* These are for the connection that has the queue. Its topology and role are the
	 * leader's. */
	const struct broker_options *opt;
	leader_changed_fn *on_changed;
	void *arg;
};

struct leader *leader_create(const struct leader_parts *parts);
void leader_destroy(struct leader *l); /* NULL is fine */

enum leader_state leader_get_state(const struct leader *l);
/* So many writes came to an end so far, with a record stored or in a conflict. */
void leader_note(struct leader *l, uint64_t stored, uint64_t conflicts);
/* Goes from US, or from asking, to NONE, without on_changed: another may go on. */
void leader_resign(struct leader *l);
/* Takes the publisher's confirms; what is not its own it ignores. */
void leader_on_confirm(struct leader *l, uint64_t id, enum broker_outcome outcome);
/* broker_set_logins(); and what was not permitted may be now. */
void leader_set_logins(struct leader *l, const struct uri *uris, size_t n);
void leader_reload(struct leader *l);

#endif
