/* SPDX-License-Identifier: Apache-2.0 */
/* What a server's refusal asks of us, by its SQLSTATE, and the words for it. No I/O. */
#ifndef VOGELER_PG_FAULT_H
#define VOGELER_PG_FAULT_H

#include "shared/base/trouble.h"
#include <libpq-fe.h>
#include <stdbool.h>

enum pg_fault {
	PG_FAULT_NONE,
	PG_FAULT_RETRY,   /* it may go well later: out of reach, no room, a deadlock, a restart */
	PG_FAULT_LEAVE,   /* the same, on another connection: this server takes no writes, or has
			     forgotten what was prepared */
	PG_FAULT_REJECT,  /* what it was given will never be taken */
	PG_FAULT_MISSING, /* the database or its tables are not there, or of another version */
	PG_FAULT_DENIED,  /* login or rights: somebody must act */
};
const char *pg_fault_name(enum pg_fault f);

#define PG_STATE_SIZE 6 /* five characters and NUL */

struct pg_refusal {
	enum pg_fault fault; /* NONE = none */
	char state[PG_STATE_SIZE];
	struct trouble trouble;
};

/* state NULL or "": the connection ended. */
enum pg_fault pg_fault_of(const char *state);
/* Of a statement that failed. where: the server, as it is to be named. */
void pg_refusal_of_result(struct pg_refusal *r, const char *where, const PGresult *res);
enum pg_phase {
	PG_PHASE_CONNECT, /* until there is a socket */
	PG_PHASE_TLS,
	PG_PHASE_LOGIN,
	PG_PHASE_PASSWORD, /* the login has ended because we have none */
	PG_PHASE_USE,
};
const char *pg_phase_text(enum pg_phase phase); /* "connecting" */
/* Of a connection that could not be made or has ended, by what libpq says of it with
 * PQERRORS_VERBOSE. */
void pg_refusal_of_message(
    struct pg_refusal *r, const char *where, enum pg_phase phase, const char *message);

#endif
