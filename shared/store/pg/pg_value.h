/* SPDX-License-Identifier: Apache-2.0 */
/* Values as they are stored: whole, or as the difference from one that is. */
#ifndef VOGELER_PG_VALUE_H
#define VOGELER_PG_VALUE_H

#include "shared/store/pg/pg_args.h"
#include "shared/store/sql/value_codec.h"

/* As value_decode(); without memory it ends the program. */
bool pg_value_decode(struct value_coder *c, int64_t codec, const char *v, size_t v_len,
    size_t bytes, const char *key, size_t key_len, char **text) __attribute__((warn_unused_result));
/* The value of a row whose columns of enum pg_value_column begin at first. false: it is not as it
 * was written. *text is malloced; NULL: the row has no value. */
bool pg_value_read(struct value_coder *c, const PGresult *res, int row, int first, char **text,
    size_t *len) __attribute__((warn_unused_result));

#endif
