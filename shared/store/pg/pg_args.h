/* SPDX-License-Identifier: Apache-2.0 */
/* The parameters of one statement, and the columns of what comes back: libpq's arrays of pointers,
 * filled and read. Results are in binary format. */
#ifndef VOGELER_PG_ARGS_H
#define VOGELER_PG_ARGS_H

#include "shared/base/buf.h"
#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PG_ARGS_MAX 26

struct pg_args { /* zeroed it is empty; texts and bytes are borrowed until it is sent */
	int n;
	const char *values[PG_ARGS_MAX];
	int lengths[PG_ARGS_MAX], formats[PG_ARGS_MAX];
	char numbers[PG_ARGS_MAX][24];
};
/* Each adds one. NULL is NULL. */
void pg_arg_text(struct pg_args *a, const char *text);
void pg_arg_bytes(struct pg_args *a, const void *data, size_t len);
void pg_arg_int(struct pg_args *a, int64_t value);
void pg_arg_bool(struct pg_args *a, bool value);
void pg_arg_null(struct pg_args *a);

/* An array of texts, which PostgreSQL reads as any other type as well; NULL is NULL. What
 * pg_array_end() returns is b's, until buf_finish(). */
void pg_array_init(struct buf *b);
void pg_array_add(struct buf *b, const char *text);
const char *pg_array_end(struct buf *b);

bool pg_is_null(const PGresult *res, int row, int column);
int64_t pg_int(const PGresult *res, int row, int column, int64_t absent); /* of any width */
bool pg_bool(const PGresult *res, int row, int column);
/* Borrowed from res; NULL = NULL. len may be NULL. */
const char *pg_text(const PGresult *res, int row, int column, size_t *len);
/* Rows that a statement has written, or given. */
int64_t pg_affected(const PGresult *res);

#endif
