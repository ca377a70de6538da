/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of the PostgreSQL store, as SQL. They are in a schema of their own, "vogeler", so that
 * a database may have other tables beside them; every statement of the store names it. */
#ifndef VOGELER_PG_SCHEMA_H
#define VOGELER_PG_SCHEMA_H

#define PG_SCHEMA_VERSION 1

/* Gives one row, the newest migration that was made; fails as of a table that is not there (42P01)
 * where nobody has set it up. */
extern const char pg_schema_version_sql[];
/* Makes what is missing, as one statement, so whole or not at all: the migrations that this
 * database has not seen. Repeatable, also by several at once. */
extern const char pg_schema_setup_sql[];

#endif
