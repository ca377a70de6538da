/* SPDX-License-Identifier: Apache-2.0 */
/* Names to addresses without stopping the loop: getaddrinfo() on a helper thread that lives as long
 * as the one question. Numeric addresses need no thread. */
#ifndef VOGELER_RESOLVER_H
#define VOGELER_RESOLVER_H

#include <stdint.h>

struct addrinfo;
struct loop;
struct resolver;
struct trouble;

/* list: the addresses, in the order to try; the callee's, who calls freeaddrinfo(). NULL: t
 * says why. Fires once, in the loop, never inside resolver_start(); the resolver is gone then. */
typedef void resolver_fn(struct addrinfo *list, const struct trouble *t, void *arg);

struct resolver *resolver_start(
    struct loop *loop, const char *host, uint16_t port, resolver_fn *fn, void *arg);
/* Forgets it before fn has fired, without waiting for a name server that is silent. NULL is
 * fine. */
void resolver_cancel(struct resolver *r);

#endif
