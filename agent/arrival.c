/* SPDX-License-Identifier: Apache-2.0 */
/* See arrival.h. */
#include "agent/arrival.h"

#include "shared/amqp/probe.h"
#include "shared/amqp/topology.h"

#include <string.h>

/* Matches as the topic pattern of a host does: one word behind the dot, "all" or, of 2010, "*". */
static bool
is_to_all(const char *key)
{
	static const char prefix[] = "broadcasts.";

	return strncmp(key, prefix, sizeof(prefix) - 1) == 0 &&
	       strchr(key + sizeof(prefix) - 1, '.') == NULL;
}

enum arrival
arrival_of(const struct delivery *d, const char *exchange, const char *host)
{
	bool to_us = is_to_all(d->routing_key) || strcmp(d->routing_key, host) == 0;

	if (!to_us || strcmp(d->exchange, exchange) != 0)
		return ARRIVAL_MISROUTED;
	return probe_is(&d->message) ? ARRIVAL_PROBE : ARRIVAL_COMMAND;
}
