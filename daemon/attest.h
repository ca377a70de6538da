/* SPDX-License-Identifier: Apache-2.0 */
/* This decides in whose name a response may be written: [server] attest.
 *
 *   no    anybody's
 *   yes   the sender's: the user_id, which the broker checks, is the host
 *   auto  as yes for a sender that has the name of a known host, so that a host with a user of its
 *         own writes its own record only; others are as with no
 *
 * Of what is not taken, a sender that has the name of a known host is told of it whatever the
 * policy, since the broker vouches for that name.
 *
 * Hosts are known from the store and from what they sent. The store is asked for its list when the
 * first sender comes for whom it matters; until it has answered, attest_settled() is false and what
 * that sender wrote waits (decode.h). Later the list is read again now and then, for hosts that
 * only other collectors have heard of. */
#ifndef VOGELER_ATTEST_H
#define VOGELER_ATTEST_H

#include "shared/config/options.h"
#include <stdbool.h>

struct attest;
struct loop;
struct message;
struct store;

/* fn: attest_settled() is true from now on; from the loop, never from inside. */
typedef void attest_settled_fn(void *arg);
struct attest *attest_create(
    struct loop *loop, struct store *store, attest_settled_fn *fn, void *arg);
/* After store_close(). NULL is fine. */
void attest_destroy(struct attest *a);
/* Takes over attest, retry_users and the users of the broker's URIs. */
void attest_set_options(struct attest *a, const struct options *opt);

/* Who has sent it: of what retry_users put back from the dead letters, the x-sender; it becomes the
 * user_id of m. */
void attest_find_sender(const struct attest *a, struct message *m);
/* false: whether the sender is a host is not known yet; the store is being asked. */
bool attest_settled(struct attest *a, const char *user);
/* Says whether this user has the name of a known host. */
bool attest_is_host(const struct attest *a, const char *user);
/* Says whether a response of this user must be of the host of that name. */
bool attest_is_bound(const struct attest *a, const char *user);
/* A response of that host was taken. */
void attest_saw(struct attest *a, const char *host);

#endif
