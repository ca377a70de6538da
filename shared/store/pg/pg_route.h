/* SPDX-License-Identifier: Apache-2.0 */
/* The way to a server: which of the URI's is tried, at which of its addresses, and what libpq is
 * given for it. No I/O.
 *
 * A round begins at the server where the last one ended, and tries each server at each address. */
#ifndef VOGELER_PG_ROUTE_H
#define VOGELER_PG_ROUTE_H

#include "shared/base/uri.h"
#include "shared/event/tls.h"
#include <stdbool.h>
#include <stddef.h>

struct addrinfo;

#define PG_WHERE_SIZE  400
#define PG_PARAMS_SIZE 20

struct pg_route { /* all owned */
	struct uri uri;
	struct tls_options tls;
	size_t place,
	    tried; /* of the URI's; how many this round has been at, the present one too */
	struct addrinfo *list, *address; /* of this place; NULL of a socket's folder */
	char numeric[64];                /* the address as text */
};

struct pg_params { /* for PQconnectStartParams(); borrows the route and program */
	const char *keys[PG_PARAMS_SIZE], *values[PG_PARAMS_SIZE];
	int n;
	char port[8];
};

void pg_route_init(struct pg_route *r, const struct uri *uri, const struct tls_options *tls);
void pg_route_finish(struct pg_route *r);
void pg_route_set_login(struct pg_route *r, const struct uri *uri);

void pg_route_begin(struct pg_route *r); /* a round */
const char *pg_route_host(const struct pg_route *r);
uint16_t pg_route_port(const struct pg_route *r);
bool pg_route_is_socket(const struct pg_route *r); /* it has a folder in place of a name */
/* Takes ownership of the list, which is not empty. */
void pg_route_set_addresses(struct pg_route *r, struct addrinfo *list);
/* false: this place has no more. */
bool pg_route_next_address(struct pg_route *r);
/* false: the round is over; the next begins at another place, if there is one. */
bool pg_route_next_place(struct pg_route *r);
/* Must the server take writes? */
bool pg_route_wants_writes(const struct pg_route *r);

void pg_route_params(const struct pg_route *r, const char *program, struct pg_params *p);
/* "pg://user@host:5432/database", with the address where that is not the host. user: who libpq has
 * found us to be, for a URI without one; may be NULL. Returns out. */
const char *pg_route_where(const struct pg_route *r, const char *user, char *out, size_t size);

#endif
