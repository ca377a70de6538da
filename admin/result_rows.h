/* SPDX-License-Identifier: Apache-2.0 */
/* This prints what a query yields as rows: a table for people, or CSV (RFC 4180, but lines end with
 * LF). The host comes first; then VALUE, if something is no object; then the members of objects, in
 * the order in which they were seen. */
#ifndef VOGELER_ADMIN_RESULT_ROWS_H
#define VOGELER_ADMIN_RESULT_ROWS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct result_rows;

#define RESULT_ROWS_BYTES   ((size_t)256 * 1024 * 1024) /* of all values */
#define RESULT_ROWS_COLUMNS 100

struct result_rows *result_rows_create(void);
void result_rows_destroy(struct result_rows *r); /* NULL is fine */
/* false: it is more than RESULT_ROWS_BYTES. */
bool result_rows_add(struct result_rows *r, const char *host, const json_t *value)
    __attribute__((warn_unused_result));
size_t result_rows_count(const struct result_rows *r);

/* A table, where each value is a scalar or an object of scalars, and has not too many columns; else
 * one below the other, as answers_print() has them. */
void result_rows_print(FILE *out, const struct result_rows *r);
/* What is no scalar is JSON; null, and a member that is not there, nothing. false: too many
 * columns, and nothing was printed. */
bool result_rows_print_csv(FILE *out, const struct result_rows *r)
    __attribute__((warn_unused_result));

#endif
