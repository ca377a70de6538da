/* SPDX-License-Identifier: Apache-2.0 */
/* This finds what a delivery is before it is a command: whether it was routed to this host at all,
 * and whether it only asks if it arrives. */
#ifndef VOGELER_AGENT_ARRIVAL_H
#define VOGELER_AGENT_ARRIVAL_H

#include "shared/amqp/broker.h"
#include <stdbool.h>

enum arrival {
	ARRIVAL_COMMAND, /* or what calls itself one */
	/* Neither to all nor to this host by name: somebody else bound the queue. Or not through
	 * the exchange of commands: who may only read or answer can still write to queues directly.
	 */
	ARRIVAL_MISROUTED,
	ARRIVAL_PROBE, /* see shared/amqp/probe.h */
};

/* exchange: that of commands. */
enum arrival arrival_of(const struct delivery *d, const char *exchange, const char *host);

#endif
