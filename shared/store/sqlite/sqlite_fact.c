/* SPDX-License-Identifier: Apache-2.0 */
/* A row of fresh, to and from the metadata of a fact. See sqlite_rows.h. */
#include "shared/store/sqlite/sqlite_rows.h"

#include "shared/base/buf.h"
#include "shared/base/ident.h"
#include "shared/base/xalloc.h"
#include "shared/store/sql/fact_columns.h"

#include <stdlib.h>
#include <string.h>

/* In the place of the id of the response: the one that every agent makes of job, host and plugin.
 */
#define RESPONSE_OF_JOB 1

/* FACT_COLUMNS of sqldb_sql.c. */
enum column {
	COLUMN_ORD,
	COLUMN_RECEIVED_AT,
	COLUMN_COLLECTED_AT,
	COLUMN_DURATION_MS,
	COLUMN_EXIT_STATUS,
	COLUMN_FORMAT,
	COLUMN_MACHINE,
	COLUMN_MACHINE_ID,
	COLUMN_BOOT_ID,
	COLUMN_AGENT,
	COLUMN_JOB,
	COLUMN_JOB_NAME,
	COLUMN_RESPONSE_ID,
	COLUMN_HASH,
	COLUMN_BYTES,
	COLUMN_VERSION,
	COLUMN_META,
	N_COLUMNS
};

_Static_assert(N_COLUMNS == SQLITE_FACT_COLUMNS, "what follows them is read by that number");

/* ---- reading ---- */

static int64_t
column_or(struct sqldb *db, enum stmt which, enum column column, int64_t absent)
{
	return sqldb_column_is_null(db, which, column) ? absent
						       : sqldb_column_int(db, which, column);
}

/* A text of a row that another one leads to: "" is none. false: that row is not there. */
static bool
named(struct sqldb *db, enum stmt which, enum column id, enum column column, const char **text)
{
	size_t len;

	*text = NULL;
	if (sqldb_column_is_null(db, which, id))
		return true;
	*text = sqldb_column_text(db, which, column, &len);
	if (*text == NULL)
		return false;
	if (len == 0)
		*text = NULL;
	return true;
}

static bool
read_names(struct sqldb *db, enum stmt which, struct fact_columns *c)
{
	if (named(db, which, COLUMN_MACHINE, COLUMN_MACHINE_ID, &c->machine_id) &&
	    named(db, which, COLUMN_MACHINE, COLUMN_BOOT_ID, &c->boot_id) &&
	    named(db, which, COLUMN_MACHINE, COLUMN_AGENT, &c->version) &&
	    named(db, which, COLUMN_JOB, COLUMN_JOB_NAME, &c->job))
		return true;
	sqldb_damaged(db, "damaged: a row leads to another that is not there");
	return false;
}

static const char *
read_response_id(struct sqldb *db, enum stmt which, const struct sqlite_fact *row, const char *job,
    char made[IDENT_SIZE])
{
	size_t len;

	switch (sqlite3_column_type(db->stmts[which], COLUMN_RESPONSE_ID)) {
	case SQLITE_INTEGER:
		ident_response(made, job, row->host_name, row->plugin_name);
		return made;
	case SQLITE_BLOB: {
		const void *bytes = sqldb_column_blob(db, which, COLUMN_RESPONSE_ID, &len);

		if (len != IDENT_BYTES)
			return NULL;
		ident_from_bytes(made, bytes);
		return made;
	}
	}
	return sqldb_column_text(db, which, COLUMN_RESPONSE_ID, &len);
}

static void
read_hash(struct sqldb *db, enum stmt which, struct sqlite_fact *row)
{
	size_t len;
	const void *hash = sqldb_column_blob(db, which, COLUMN_HASH, &len);

	row->has_prefix = len == sizeof(row->prefix);
	if (row->has_prefix)
		memcpy(row->prefix, hash, len);
}

bool
sqlite_fact_read(struct sqldb *db, enum stmt which, struct sqlite_fact *row, json_t **meta)
{
	struct fact_columns c = {0};
	char response_id[IDENT_SIZE];
	size_t len;

	*meta = NULL;
	sqldb_column_text(db, which, COLUMN_META, &row->meta_bytes);
	if (!read_names(db, which, &c) || !sqldb_column_json(db, which, COLUMN_META, &c.rest))
		return false;
	c.order = column_or(db, which, COLUMN_ORD, 0);
	c.received_at = column_or(db, which, COLUMN_RECEIVED_AT, 0);
	c.collected_at = column_or(db, which, COLUMN_COLLECTED_AT, 0);
	c.duration_ms = column_or(db, which, COLUMN_DURATION_MS, -1);
	c.exit_status = column_or(db, which, COLUMN_EXIT_STATUS, -1);
	c.format = (int)column_or(db, which, COLUMN_FORMAT, -1);
	c.response_id = read_response_id(db, which, row, c.job, response_id);
	read_hash(db, which, row);
	row->found = true;
	row->heard_at = c.received_at;
	row->bytes = sqldb_column_int(db, which, COLUMN_BYTES);
	row->version = column_or(db, which, COLUMN_VERSION, 0);
	row->machine = column_or(db, which, COLUMN_MACHINE, 0);
	*meta = fact_columns_meta(&c);
	row->as_read = json_incref(*meta);
	len = (size_t)json_integer_value(json_object_get(*meta, "unparsed"));
	row->unparsed_bytes = (int64_t)len;
	fact_columns_finish(&c);
	return true;
}

void
sqlite_fact_finish(struct sqlite_fact *row)
{
	json_decref(row->as_read);
	row->as_read = NULL;
}

/* ---- writing ---- */

static void
bind_or_null(struct sqldb *db, int column, int64_t value, int64_t absent)
{
	if (value != absent)
		sqldb_bind_int(db, STMT_FACT_PUT, column, value);
}

static void
bind_response_id(struct sqldb *db, int column, const struct sqlite_fact *row,
    const struct fact_columns *c, unsigned char bytes[IDENT_BYTES])
{
	char made[IDENT_SIZE];

	if (c->response_id == NULL)
		return;
	if (c->job != NULL) {
		ident_response(made, c->job, row->host_name, row->plugin_name);
		if (strcmp(made, c->response_id) == 0) {
			sqldb_bind_int(db, STMT_FACT_PUT, column, RESPONSE_OF_JOB);
			return;
		}
	}
	if (ident_to_bytes(c->response_id, bytes))
		sqldb_bind_blob(db, STMT_FACT_PUT, column, bytes, IDENT_BYTES);
	else
		sqldb_bind_str(db, STMT_FACT_PUT, column, c->response_id);
}

static bool
is_as_read(const struct sqlite_fact *row, const char *key, const char *text)
{
	const char *before = json_string_value(json_object_get(row->as_read, key));

	return text == NULL || before == NULL ? text == before : strcmp(text, before) == 0;
}

static bool
find_machine(struct sqldb *db, struct sqlite_fact *row, const struct fact_columns *c)
{
	if (is_as_read(row, "machine_id", c->machine_id) &&
	    is_as_read(row, "boot_id", c->boot_id) && is_as_read(row, "version", c->version))
		return true;
	row->machine = 0;
	return (c->machine_id == NULL && c->boot_id == NULL && c->version == NULL) ||
	       sqlite_machine_id(db, c->machine_id, c->boot_id, c->version, &row->machine);
}

static bool
find_names(struct sqldb *db, struct sqlite_fact *row, const struct fact_columns *c, int64_t *job)
{
	*job = 0;
	return find_machine(db, row, c) && (c->job == NULL || sqlite_job_id(db, c->job, job));
}

static bool
put(struct sqldb *db, struct sqlite_fact *row, const struct fact_columns *c)
{
	unsigned char response_id[IDENT_BYTES];
	int64_t job;
	struct buf rest = {0};
	bool ok;

	if (!find_names(db, row, c, &job) ||
	    (c->rest != NULL && !sqldb_write_json(db, &rest, c->rest)))
		return false;
	sqldb_bind_int(db, STMT_FACT_PUT, 1, row->plugin);
	sqldb_bind_int(db, STMT_FACT_PUT, 2, row->host);
	bind_or_null(db, 3, c->order, 0);
	sqldb_bind_int(db, STMT_FACT_PUT, 4, c->received_at);
	bind_or_null(db, 5, c->collected_at, 0);
	bind_or_null(db, 6, c->duration_ms, -1);
	bind_or_null(db, 7, c->exit_status, -1);
	bind_or_null(db, 8, c->format, -1);
	bind_or_null(db, 9, row->machine, 0);
	bind_or_null(db, 10, job, 0);
	bind_response_id(db, 11, row, c, response_id);
	if (row->has_prefix)
		sqldb_bind_blob(db, STMT_FACT_PUT, 12, row->prefix, sizeof(row->prefix));
	sqldb_bind_int(db, STMT_FACT_PUT, 13, row->bytes);
	bind_or_null(db, 14, row->version, 0);
	if (c->rest != NULL)
		sqldb_bind_text(db, STMT_FACT_PUT, 15, rest.data, rest.len);
	ok = sqldb_run(db, STMT_FACT_PUT);
	row->meta_bytes = rest.len;
	buf_finish(&rest);
	return ok;
}

/* What is the version's is there; without one it is nobody's but meta's. */
static void
keep_of_value(struct fact_columns *c, const json_t *meta)
{
	static const char *const members[] = {"hash", "changed_at"};

	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		json_t *member = json_object_get(meta, members[i]);

		if (member == NULL)
			continue;
		if (c->rest == NULL)
			c->rest = json_object();
		if (c->rest == NULL || json_object_set(c->rest, members[i], member) != 0)
			xalloc_fail(0);
	}
}

bool
sqlite_fact_write(struct sqldb *db, struct sqlite_fact *row, const json_t *meta)
{
	struct fact_columns c;
	bool ok;

	fact_columns_take(&c, meta, row->heard_at);
	if (row->version == 0)
		keep_of_value(&c, meta);
	ok = put(db, row, &c);
	fact_columns_finish(&c);
	return ok;
}
