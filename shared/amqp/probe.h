/* SPDX-License-Identifier: Apache-2.0 */
/* A message that asks only whether it arrives. vogeler-admin doctor sends it the way of a command
 * or of an answer, the collector the way of an answer; who gets it acknowledges it and stores, runs
 * and tells nothing. A host that is named in it echoes it to the queue of who asks, through the
 * exchange of the answers, which is all that a host may write to. To programs that do not know it,
 * it is a command that has expired, or a dead letter. */
#ifndef VOGELER_PROBE_H
#define VOGELER_PROBE_H

#include "shared/amqp/message.h"
#include <stdbool.h>
#include <stdint.h>

/* app_id: who asks. The rest may be NULL: id and host, where the echo goes, and after how many
 * milliseconds it goes by itself where nobody reads it (and nothing waits before it: a broker drops
 * at the head of a queue alone). */
void probe_make(struct message *m, const char *app_id, const char *id, const char *host,
    const char *reply_to, const char *expires_ms);
bool probe_is(const struct message *m);
/* Is an echo from that host wanted? */
bool probe_asks(const struct message *m, const char *host);
/* The echo of a probe that came with this routing key: goes with key m->reply_to. message_max: what
 * the broker has told who echoes of the size of messages; 0 = nothing. */
void probe_echo(
    const struct message *m, const char *routing_key, uint64_t message_max, struct message *out);
/* The routing key that the probe of this id had; NULL: it is no echo of that. */
const char *probe_echoed(const struct message *m, const char *id);
uint64_t probe_message_max(const struct message *echo); /* of probe_echo(), or 0 */

#endif
