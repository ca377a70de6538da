/* SPDX-License-Identifier: Apache-2.0 */
/* Values, appended and read. See sqlite_rows.h. */
#include "shared/store/sqlite/sqlite_rows.h"

#include "shared/base/ident.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/store/sql/value_codec.h"
#include "shared/wire/jsonx.h"

#include <stdlib.h>
#include <string.h>

/* Bytes: below, a difference is not worth that its key value is looked for. */
#define DELTA_ABOVE 256

/* VERSION_COLUMNS of sqldb_sql.c. */
enum column {
	COLUMN_CODEC,
	COLUMN_BASE,
	COLUMN_BYTES,
	COLUMN_V,
	COLUMN_CHANGED_AT,
	COLUMN_HASH,
	N_COLUMNS,
	COLUMN_SINCE = N_COLUMNS, /* of STMT_VERSION_GET alone */
};

_Static_assert(N_COLUMNS == SQLITE_VERSION_COLUMNS, "what follows them is read by that number");

struct value_text {
	char *data; /* NULL: there is none */
	size_t len;
};

/* ---- reading ---- */

static bool
decode(struct sqldb *db, enum stmt which, int first, const struct value_text *key,
    struct value_text *out)
{
	size_t len;
	const void *v = sqldb_column_blob(db, which, first + COLUMN_V, &len);
	int64_t bytes = sqldb_column_int(db, which, first + COLUMN_BYTES);

	switch (value_decode(db->coder, sqldb_column_int(db, which, first + COLUMN_CODEC), v, len,
	    (uint64_t)bytes, key->data, key->len, &out->data)) {
	case VALUE_DECODED:
		out->len = (size_t)bytes;
		return true;
	case VALUE_DAMAGED:
		sqldb_damaged(db, "damaged: a value is not what was stored");
		return false;
	case VALUE_NO_MEMORY:
		sqldb_fail(db, NULL, "out of memory");
		return false;
	}
	return false;
}

static bool
get_version(struct sqldb *db, int64_t seq)
{
	int rc;

	sqldb_bind_int(db, STMT_VERSION_GET, 1, seq);
	rc = sqldb_step(db, STMT_VERSION_GET);
	if (rc == SQLITE_DONE)
		sqldb_damaged(db, "damaged: a value is not there");
	return rc == SQLITE_ROW;
}

/* A key value, which is no difference itself. */
static bool
read_key(struct sqldb *db, int64_t seq, struct value_text *key, uint64_t *stored)
{
	const struct value_text none = {0};
	size_t len;
	bool ok;

	if (!get_version(db, seq))
		return false;
	ok = decode(db, STMT_VERSION_GET, 0, &none, key);
	sqldb_column_blob(db, STMT_VERSION_GET, COLUMN_V, &len);
	if (stored != NULL)
		*stored = len;
	sqldb_done(db, STMT_VERSION_GET);
	return ok;
}

bool
sqlite_value_read(
    struct sqldb *db, enum stmt which, int first, int64_t version, char **text, size_t *len)
{
	struct value_text key = {0}, value = {0};
	bool ok = true;

	*text = NULL;
	*len = 0;
	if (version == 0)
		return true;
	if (sqldb_column_is_null(db, which, first + COLUMN_V)) {
		sqldb_damaged(db, "damaged: a value is not there");
		return false;
	}
	if (!sqldb_column_is_null(db, which, first + COLUMN_BASE))
		ok = read_key(db, sqldb_column_int(db, which, first + COLUMN_BASE), &key, NULL);
	ok = ok && decode(db, which, first, &key, &value);
	free(key.data);
	*text = value.data;
	*len = value.len;
	return ok;
}

/* ---- appending ---- */

/* *at: of the clock, which may be set back; seq is not. */
static bool
next_at(struct sqldb *db, int64_t *at)
{
	int rc = sqldb_step(db, STMT_LAST_VERSION);

	if (rc != SQLITE_ROW)
		return rc == SQLITE_DONE;
	if (sqldb_column_int(db, STMT_LAST_VERSION, 1) > *at)
		*at = sqldb_column_int(db, STMT_LAST_VERSION, 1);
	sqldb_done(db, STMT_LAST_VERSION);
	return true;
}

/* What the next value of a pair may be the difference from. */
struct base {
	int64_t seq; /* 0 = none */
	struct value_text text;
	uint64_t stored; /* bytes of it */
	uint64_t since;  /* of the differences from it so far */
};

static bool
find_base(struct sqldb *db, int64_t last, struct base *base)
{
	base->seq = last;
	if (last == 0)
		return true;
	if (!get_version(db, last))
		return false;
	if (!sqldb_column_is_null(db, STMT_VERSION_GET, COLUMN_BASE)) {
		base->seq = sqldb_column_int(db, STMT_VERSION_GET, COLUMN_BASE);
		base->since = (uint64_t)sqldb_column_int(db, STMT_VERSION_GET, COLUMN_SINCE);
	}
	sqldb_done(db, STMT_VERSION_GET);
	return read_key(db, base->seq, &base->text, &base->stored);
}

/* Encodes it as a difference, or as a new key value, with which base has no seq. */
static bool
encode(struct sqldb *db, const struct sqlite_fact *row, const struct sqlite_value *v,
    struct base *base, struct value_coded *out)
{
	bool ok = v->len <= DELTA_ABOVE || find_base(db, row->version, base);

	if (!ok)
		return false;
	ok = value_encode(db->coder, v->text, v->len, base->text.data, base->text.len, out);
	if (ok && out->codec == VALUE_CODEC_DELTA &&
	    value_wants_key(base->since, out->len, base->stored))
		ok = value_encode(db->coder, v->text, v->len, NULL, 0, out);
	if (!ok)
		sqldb_fail(db, NULL, "out of memory");
	base->since += out->len;
	if (out->codec != VALUE_CODEC_DELTA)
		base->seq = 0;
	return ok;
}

static bool
add_version(struct sqldb *db, struct sqlite_fact *row, const struct sqlite_value *v,
    const struct base *base, const struct value_coded *coded)
{
	unsigned char hash[IDENT_HASH_BYTES];
	int64_t at = v->changed_at > 0 ? v->changed_at : wallclock_ms();

	row->has_prefix = ident_hash_to_bytes(v->hash, hash);
	if (row->has_prefix)
		memcpy(row->prefix, hash, sizeof(row->prefix));
	if (!next_at(db, &at))
		return false;
	sqldb_bind_int(db, STMT_VERSION_ADD, 1, row->plugin);
	sqldb_bind_int(db, STMT_VERSION_ADD, 2, row->host);
	sqldb_bind_int(db, STMT_VERSION_ADD, 3, at);
	if (v->changed_at > 0)
		sqldb_bind_int(db, STMT_VERSION_ADD, 4, v->changed_at);
	if (v->order > 0)
		sqldb_bind_int(db, STMT_VERSION_ADD, 5, v->order);
	if (base->seq != 0) {
		sqldb_bind_int(db, STMT_VERSION_ADD, 6, base->seq);
		sqldb_bind_int(db, STMT_VERSION_ADD, 7, (int64_t)base->since);
	}
	sqldb_bind_int(db, STMT_VERSION_ADD, 8, coded->codec);
	sqldb_bind_int(db, STMT_VERSION_ADD, 9, (int64_t)v->len);
	if (row->has_prefix)
		sqldb_bind_blob(db, STMT_VERSION_ADD, 10, hash, sizeof(hash));
	sqldb_bind_blob(db, STMT_VERSION_ADD, 11, coded->data, coded->len);
	return sqldb_run(db, STMT_VERSION_ADD);
}

bool
sqlite_value_append(struct sqldb *db, struct sqlite_fact *row, const struct sqlite_value *v)
{
	struct base base = {0};
	struct value_coded coded;
	bool ok = encode(db, row, v, &base, &coded) && add_version(db, row, v, &base, &coded);

	free(base.text.data);
	value_coder_trim(db->coder);
	if (!ok)
		return false;
	row->version = sqldb_last_id(db);
	sqldb_bind_int(db, STMT_NEW_ADD, 1, row->plugin);
	sqldb_bind_int(db, STMT_NEW_ADD, 2, row->host);
	sqldb_bind_int(db, STMT_NEW_ADD, 3, row->version);
	return sqldb_run(db, STMT_NEW_ADD);
}

/* Members that are there stay: they are there because no column of the version could have them. */
void
sqlite_value_read_meta(struct sqldb *db, enum stmt which, int first, json_t *meta)
{
	char hash[IDENT_HASH_SIZE];
	const void *bytes;
	size_t len;

	if (json_object_get(meta, "changed_at") == NULL)
		jsonx_set_time(
		    meta, "changed_at", sqldb_column_int(db, which, first + COLUMN_CHANGED_AT));
	bytes = sqldb_column_blob(db, which, first + COLUMN_HASH, &len);
	if (json_object_get(meta, "hash") != NULL || len != IDENT_HASH_BYTES)
		return;
	ident_hash_from_bytes(hash, bytes);
	jsonx_set_str(meta, "hash", hash);
}
