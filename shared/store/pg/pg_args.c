/* SPDX-License-Identifier: Apache-2.0 */
/* See pg_args.h. */
#include "shared/store/pg/pg_args.h"

#include "shared/base/xalloc.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void
add(struct pg_args *a, const char *value, size_t len, int format)
{
	assert(a->n < PG_ARGS_MAX);
	a->values[a->n] = value;
	a->lengths[a->n] = (int)len;
	a->formats[a->n++] = format;
}

void
pg_arg_text(struct pg_args *a, const char *text)
{
	add(a, text, 0, 0);
}

/* An empty value is not NULL, whatever points to it. */
void
pg_arg_bytes(struct pg_args *a, const void *data, size_t len)
{
	add(a, data == NULL && len == 0 ? NULL : (const char *)data, len, 1);
}

void
pg_arg_int(struct pg_args *a, int64_t value)
{
	snprintf(a->numbers[a->n], sizeof(a->numbers[a->n]), "%" PRId64, value);
	add(a, a->numbers[a->n], 0, 0);
}

void
pg_arg_bool(struct pg_args *a, bool value)
{
	add(a, value ? "t" : "f", 0, 0);
}

void
pg_arg_null(struct pg_args *a)
{
	add(a, NULL, 0, 0);
}

/* Names and hashes of one put, which a collector bounds. */
#define ARRAY_MAX ((size_t)64 * 1024 * 1024)

void
pg_array_init(struct buf *b)
{
	buf_init(b, ARRAY_MAX);
}

static bool
add_quoted(struct buf *b, const char *text)
{
	bool ok = buf_append_char(b, '"');

	for (; *text != '\0' && ok; text++) {
		if (*text == '"' || *text == '\\')
			ok = buf_append_char(b, '\\');
		ok = ok && buf_append_char(b, *text);
	}
	return ok && buf_append_char(b, '"');
}

void
pg_array_add(struct buf *b, const char *text)
{
	if (!buf_append_char(b, b->len == 0 ? '{' : ',') ||
	    !(text == NULL ? buf_append_str(b, "NULL") : add_quoted(b, text)))
		xalloc_fail(b->len);
}

const char *
pg_array_end(struct buf *b)
{
	if (!buf_append_str(b, b->len == 0 ? "{}" : "}"))
		xalloc_fail(b->len);
	return b->data;
}

bool
pg_is_null(const PGresult *res, int row, int column)
{
	return PQgetisnull(res, row, column) != 0;
}

int64_t
pg_int(const PGresult *res, int row, int column, int64_t absent)
{
	const unsigned char *bytes = (const unsigned char *)PQgetvalue(res, row, column);
	int len = PQgetlength(res, row, column);
	uint64_t value;

	if (pg_is_null(res, row, column) || len == 0 || len > 8)
		return absent;
	value = bytes[0] >= 0x80 ? UINT64_MAX : 0;
	for (int i = 0; i < len; i++)
		value = value << 8 | bytes[i];
	return (int64_t)value;
}

bool
pg_bool(const PGresult *res, int row, int column)
{
	return pg_int(res, row, column, 0) != 0;
}

const char *
pg_text(const PGresult *res, int row, int column, size_t *len)
{
	if (len != NULL)
		*len = (size_t)PQgetlength(res, row, column);
	return pg_is_null(res, row, column) ? NULL : PQgetvalue(res, row, column);
}

int64_t
pg_affected(const PGresult *res)
{
	return strtoll(PQcmdTuples((PGresult *)res), NULL, 10);
}
