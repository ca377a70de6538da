/* SPDX-License-Identifier: Apache-2.0 */
/* A few connections to one database, and the tasks (pg_task.h) that wait for one of them.
 *
 * The first task makes the first connection, and one that finds all of them busy another, one after
 * the other and max at most; they are kept. When none can be had, what waits ends with the reason
 * why. A task whose connection is lost fails; whoever gave it knows whether it may be done again.
 */
#ifndef VOGELER_PG_POOL_H
#define VOGELER_PG_POOL_H

#include "shared/store/pg/pg_session.h"

struct loop;
struct pg_pool;
struct uri;

struct pg_pool *pg_pool_create(
    struct loop *loop, const struct pg_session_options *opt, unsigned int max);
/* Ends what waits and what is under way, as a fault, from inside. From any callback as well. NULL
 * is fine. */
void pg_pool_destroy(struct pg_pool *p);
void pg_pool_set_login(struct pg_pool *p, const struct uri *uri);
/* on_end never comes from inside. */
void pg_pool_submit(struct pg_pool *p, struct pg_task *t);

#endif
