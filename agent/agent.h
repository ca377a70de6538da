/* SPDX-License-Identifier: Apache-2.0 */
/* The agent as a service: broker -> cmdq -> children -> outbox -> ack, and its life cycle. */
#ifndef VOGELER_AGENT_H
#define VOGELER_AGENT_H

#include "shared/config/cli.h"
#include <stdbool.h>

#define AGENT_EXIT_BUSY  75 /* EX_TEMPFAIL of sysexits.h: another agent has the state folder */
#define AGENT_PREFETCH   1000
#define AGENT_DRAIN_MS   10000           /* for running plugins, when told to stop */
#define AGENT_LEAVE_MS   5000            /* after that, for their last answers */
#define AGENT_BLOCKED_MS 1500            /* in place of each of these, when the broker blocks us */
#define AGENT_WAITING_MS (5 * 60 * 1000) /* between two words of waiting for the queue */
#define AGENT_ORDER_FILE "order"

/* plugin_dir: from the command line, or NULL. oneshot: ends after the first command was answered.
 * Returns the exit status. */
int agent_run(struct cli *cli, const char *plugin_dir, bool oneshot);

/* Returns what -p, the configuration or the default say. */
const char *agent_plugin_dir(const struct cli *cli, const char *plugin_dir);
/* [client] name, checked: NULL after an error line. Malloced. */
char *agent_host(const struct cli *cli);

#endif
