/* SPDX-License-Identifier: Apache-2.0 */
/* See pg_value.h. */
#include "shared/store/pg/pg_value.h"

#include "shared/base/xalloc.h"
#include "shared/store/pg/pg_sql.h"

#include <stdlib.h>

/* A key value is never a difference. */
static bool
read_base(struct value_coder *c, const PGresult *res, int row, int first, char **text, size_t *len)
{
	size_t v_len;
	const char *v = pg_text(res, row, first + PG_VALUE_BASE_V, &v_len);
	int64_t codec = pg_int(res, row, first + PG_VALUE_BASE_CODEC, -1);

	*text = NULL;
	*len = (size_t)pg_int(res, row, first + PG_VALUE_BASE_BYTES, 0);
	return v == NULL || (codec != VALUE_CODEC_DELTA &&
				pg_value_decode(c, codec, v, v_len, *len, NULL, 0, text));
}

bool
pg_value_decode(struct value_coder *c, int64_t codec, const char *v, size_t v_len, size_t bytes,
    const char *key, size_t key_len, char **text)
{
	switch (value_decode(c, codec, v, v_len, bytes, key, key_len, text)) {
	case VALUE_DECODED:
		return true;
	case VALUE_DAMAGED:
		break;
	case VALUE_NO_MEMORY:
		xalloc_fail(bytes); /* or what is stored would look damaged */
	}
	*text = NULL;
	return false;
}

bool
pg_value_read(
    struct value_coder *c, const PGresult *res, int row, int first, char **text, size_t *len)
{
	size_t v_len, base_len;
	const char *v = pg_text(res, row, first + PG_VALUE_V, &v_len);
	int64_t codec = pg_int(res, row, first + PG_VALUE_CODEC, -1);
	char *base;
	bool ok;

	*text = NULL;
	*len = (size_t)pg_int(res, row, first + PG_VALUE_BYTES, 0);
	if (v == NULL)
		return true;
	ok = read_base(c, res, row, first, &base, &base_len) &&
	     pg_value_decode(c, codec, v, v_len, *len, base, base_len, text);
	free(base);
	return ok;
}
