/* SPDX-License-Identifier: Apache-2.0 */
/* One connection to PostgreSQL: libpq in its non-blocking and pipeline modes on the loop, its names
 * resolved by the resolver. (libpq has the tag pg_conn for its own.)
 *
 * What is done on it are tasks (pg_task.h), one at a time. A statement with a name is prepared once
 * on each connection, on the way.
 *
 * Once started it stays up by itself. A URI with several servers, and a name with several
 * addresses, are tried in turn. Of several servers only one that takes writes will do
 * (target_session_attrs=any: any). */
#ifndef VOGELER_PG_SESSION_H
#define VOGELER_PG_SESSION_H

#include "shared/store/pg/pg_task.h"
#include <stdbool.h>
#include <stdint.h>

struct loop;
struct pg_session;
struct tls_options;
struct uri;

struct pg_session_options {
	const struct uri *uri;         /* pg://; copied */
	const struct tls_options *tls; /* where the URI says nothing; copied; NULL = none */
	const char *program;           /* application_name; borrowed for good */
	uint32_t connect_timeout_ms;   /* of each address, and for the login */
	uint32_t statement_timeout_ms; /* the server's, of each statement */
	uint32_t reconnect_first_ms, reconnect_max_ms;
};
void pg_session_options_default(struct pg_session_options *opt); /* all but uri */

struct pg_session_handlers {
	/* It can be given a task: it is connected, or done with the one before. */
	void (*on_ready)(struct pg_session *s, void *arg);
	/* It has ended, or could not be made; it is tried again by itself. The task in hand has
	 * been told. */
	void (*on_down)(
	    struct pg_session *s, enum pg_fault fault, const struct trouble *why, void *arg);
};

/* Made IDLE. No callback ever fires inside a call but pg_task.send. */
struct pg_session *pg_session_create(struct loop *loop, const struct pg_session_options *opt,
    const struct pg_session_handlers *handlers, void *arg);
/* From any callback as well. The task in hand is not told. NULL is fine. */
void pg_session_destroy(struct pg_session *s);
void pg_session_start(struct pg_session *s); /* does nothing when it was */
/* User and password of the connections that are made from now on. One that was refused is tried
 * at once. */
void pg_session_set_login(struct pg_session *s, const struct uri *uri);

bool pg_session_is_ready(const struct pg_session *s);
bool pg_session_is_up(const struct pg_session *s); /* ready, or busy */
/* Only when it is ready. t is borrowed until its on_end. */
void pg_session_run(struct pg_session *s, struct pg_task *t);
struct pg_task *pg_session_task(const struct pg_session *s); /* in hand; NULL = none */
/* Within t->send alone. All of q is copied. */
void pg_session_query(struct pg_session *s, const struct pg_query *q);
/* Asks the server to stop the task in hand, which then ends with 57014, unless it has ended before.
 * Nothing is waited for: the request goes over a connection of its own, made on a helper thread.
 * Does nothing when there is no task. */
void pg_session_cancel(struct pg_session *s);
/* The server's version, 150018, while it is up. */
int pg_session_server_version(const struct pg_session *s);
/* "pg://user@host:5432/database", without a password. */
const char *pg_session_where(const struct pg_session *s);

#endif
