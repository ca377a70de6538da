/* SPDX-License-Identifier: Apache-2.0 */
/* The body of a delivery that is read is kept for one case, that the store refuses what it says:
 * until then it is held compressed. */
#ifndef VOGELER_PACKED_H
#define VOGELER_PACKED_H

#include <stdbool.h>
#include <stddef.h>

struct delivery;
struct message;
struct pack;

/* Packs the body, unless that gains nothing. */
void packed_close(struct pack *p, struct delivery *d);
/* Sets m to the message with its body as it came, for the caller to read until packed_done(); d
 * stays as it is. false: out of memory. */
bool packed_open(struct pack *p, const struct delivery *d, struct message *m)
    __attribute__((warn_unused_result));
void packed_done(const struct delivery *d, struct message *m);
/* d's body becomes what it was, cut to its first bytes. false: out of memory. */
bool packed_cut(struct pack *p, struct delivery *d, size_t len) __attribute__((warn_unused_result));

#endif
