/* SPDX-License-Identifier: Apache-2.0 */
/* Records out of rows: those of one host stand behind each other. */
#ifndef VOGELER_PG_RECORD_H
#define VOGELER_PG_RECORD_H

#include <jansson.h>
#include <libpq-fe.h>

struct value_coder;

/* Returns behind the last row of the host that row is of. */
int pg_record_end(const PGresult *res, int row);
/* These make what rows from first up to end say, the caller's. NULL: it is not as it was written.
 */
json_t *pg_record_make(struct value_coder *c, const PGresult *res, int first, int end);
json_t *pg_record_make_head(struct value_coder *c, const PGresult *res, int first, int end);
json_t *pg_record_make_values(struct value_coder *c, const PGresult *res, int first, int end);
json_t *pg_record_make_name(struct value_coder *c, const PGresult *res, int first, int end);

#endif
