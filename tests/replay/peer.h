/* SPDX-License-Identifier: Apache-2.0 */
/* The other end of a replayed connection: puts what the scenario says into frames, and what the
 * broker under test wrote into lines of text. */
#ifndef VOGELER_REPLAY_PEER_H
#define VOGELER_REPLAY_PEER_H

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct peer;

struct peer *peer_create(void);
void peer_destroy(struct peer *p);
/* words[0] is a method, "connection.tune", or "heartbeat", "protocol", "raw"; the rest its fields,
 * as listed in peer.c. false: no such thing. */
bool peer_encode(struct peer *p, char *const *words, size_t n, struct buf *out);
/* Describes the next frame of data into text; false when there is no whole frame. *used bytes are
 * taken in either case. Exits when it is not AMQP: the broker must never write such a thing. */
bool peer_describe(
    struct peer *p, const void *data, size_t len, size_t *used, char *text, size_t size);

#endif
