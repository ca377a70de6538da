/* SPDX-License-Identifier: Apache-2.0 */
/* A fact's metadata as columns of vogeler.fresh, and back. */
#ifndef VOGELER_PG_FACT_H
#define VOGELER_PG_FACT_H

#include "shared/store/pg/pg_args.h"
#include "shared/store/sql/fact_columns.h"
#include <jansson.h>

/* The columns of enum pg_fact_column, from column first on. NULL: the row is not as it was written.
 * The caller's. */
json_t *pg_fact_meta(const PGresult *res, int row, int first);
/* Adds the parameters $4 to $18 of the statements that write a fact: bytes of its value, and c.
 * rest is the text of c->rest, or NULL. What they point to is c's. */
void pg_fact_args(struct pg_args *a, const struct fact_columns *c, int64_t bytes, const char *rest);

#endif
