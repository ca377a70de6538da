/* SPDX-License-Identifier: Apache-2.0 */
/* See sqlite_migrate.h. */
#include "shared/store/sqlite/sqlite_migrate.h"

#include "shared/base/ident.h"
#include "shared/base/trouble.h"
#include "shared/base/xalloc.h"
#include "shared/store/sql/fact_columns.h"
#include "shared/store/sqlite/sqlite_rows.h"
#include "shared/wire/jsonx.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#define LOOK_EVERY 10000 /* instructions of SQLite, at whether to go on */

/* What schemas before 4 lack. */
static const char older_sql[] =
    "CREATE TABLE IF NOT EXISTS jobs (id TEXT PRIMARY KEY, sent_at INTEGER NOT NULL,"
    " not_after INTEGER NOT NULL, job TEXT NOT NULL);"
    "CREATE TABLE IF NOT EXISTS outcomes (job TEXT, host TEXT, state INTEGER, ord INTEGER,"
    " response_id TEXT, at INTEGER NOT NULL, why TEXT, duration_ms INTEGER NOT NULL,"
    " exit_status INTEGER NOT NULL, PRIMARY KEY (job, host, state, ord, response_id))"
    " WITHOUT ROWID;";
static const char older_strays_sql[] = "ALTER TABLE outcomes ADD COLUMN stray INTEGER";

static const char jobs_sql[] = "INSERT INTO job (name, sent_at, not_after, job)"
			       " SELECT id, sent_at, not_after, job FROM jobs ORDER BY id";

/* With secure_delete, which Debian's SQLite has, each page of a table that is dropped is written.
 */
static const char begin_sql[] = "PRAGMA secure_delete = OFF; BEGIN IMMEDIATE";

static const char drop_sql[] = "DROP TABLE hosts; DROP TABLE facts; DROP TABLE fact_values;"
			       "DROP TABLE jobs; DROP TABLE outcomes";

enum query { QUERY_HOSTS, QUERY_FACTS, QUERY_OUTCOMES, QUERY_ADD_OUTCOME, N_QUERIES };

/* What is left out is what nobody found before: rows whose key is of another type. */
static const char *const queries[N_QUERIES] = {
    [QUERY_HOSTS] = "SELECT host, created_at, updated_at, last_error FROM hosts"
		    " WHERE typeof(host) = 'text' ORDER BY host",
    [QUERY_FACTS] = "SELECT f.plugin, f.meta, v.value FROM facts f LEFT JOIN fact_values v"
		    " ON v.host = f.host AND v.plugin = f.plugin WHERE f.host = ?1"
		    " AND typeof(f.plugin) = 'text' ORDER BY f.plugin",
    [QUERY_OUTCOMES] = "SELECT job, host, ord, state, response_id, at, why, duration_ms,"
		       " exit_status, stray FROM outcomes WHERE typeof(job) = 'text'"
		       " AND typeof(host) = 'text' ORDER BY job, host",
    [QUERY_ADD_OUTCOME] = "INSERT OR IGNORE INTO outcome (job, host, ord, state, response_id, at,"
			  " why, duration_ms, exit_status, stray)"
			  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
};

struct migrate_run {
	struct sqldb *db;
	struct sqlite_migration *m;
	sqlite3_stmt *stmts[N_QUERIES];
	int64_t done, all; /* rows */
	char *job;         /* the one that the last outcome was of, */
	int64_t job_id;    /* and its number */
};

static int
is_cancelled(void *arg)
{
	const struct migrate_run *r = arg;

	return atomic_load(&r->m->cancel);
}

/* At 100 it is on disk. */
static void
count_row(struct migrate_run *r)
{
	r->done++;
	atomic_store(&r->m->percent, r->all == 0 ? 0 : (int)(r->done * 99 / r->all));
}

static bool
prepare(struct migrate_run *r)
{
	for (int i = 0; i < N_QUERIES; i++) {
		if (sqlite3_prepare_v2(r->db->handle, queries[i], -1, &r->stmts[i], NULL) !=
		    SQLITE_OK) {
			sqldb_fail_sqlite(r->db);
			return false;
		}
	}
	return true;
}

static int
step(struct migrate_run *r, enum query which)
{
	int rc = sqlite3_step(r->stmts[which]);

	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		sqldb_fail_sqlite(r->db);
	return rc;
}

static const char *
text_of(struct migrate_run *r, enum query which, int column)
{
	return (const char *)sqlite3_column_text(r->stmts[which], column);
}

/* ---- facts ---- */

static bool
move_unparsed(struct migrate_run *r, struct sqlite_fact *row, json_t *meta)
{
	const char *text = jsonx_get_str(meta, "unparsed");
	struct sqldb *db = r->db;

	if (text == NULL)
		return true;
	sqldb_bind_int(db, STMT_UNPARSED_PUT, 1, row->plugin);
	sqldb_bind_int(db, STMT_UNPARSED_PUT, 2, row->host);
	sqldb_bind_str(db, STMT_UNPARSED_PUT, 3, text);
	if (!sqldb_run(db, STMT_UNPARSED_PUT))
		return false;
	row->unparsed_bytes = (int64_t)jsonx_string_length(text, strlen(text));
	jsonx_set_int(meta, "unparsed", row->unparsed_bytes);
	return true;
}

static bool
move_value(struct migrate_run *r, struct sqlite_fact *row, const json_t *meta)
{
	struct sqlite_value value = {
	    .text = text_of(r, QUERY_FACTS, 2),
	    .len = (size_t)sqlite3_column_bytes(r->stmts[QUERY_FACTS], 2),
	    .hash = jsonx_get_str(meta, "hash"),
	    .order = json_integer_value(json_object_get(meta, "order")),
	};

	if (value.text == NULL)
		return true;
	if (!jsonx_get_time(meta, "changed_at", &value.changed_at))
		value.changed_at = 0;
	row->bytes = (int64_t)value.len;
	return sqlite_value_append(r->db, row, &value);
}

static bool
move_fact(struct migrate_run *r, int64_t host, const char *host_name)
{
	struct sqlite_fact row = {
	    .host = host, .host_name = host_name, .plugin_name = text_of(r, QUERY_FACTS, 0)};
	const char *text = text_of(r, QUERY_FACTS, 1);
	char err[128], why[512];
	json_t *meta =
	    text == NULL ? NULL : jsonx_parse_stored(text, strlen(text), err, sizeof(err));
	bool ok = json_is_object(meta);

	if (!ok) {
		snprintf(why, sizeof(why), "damaged: what is stored of %s, plugin %s is not JSON",
		    host_name, row.plugin_name);
		sqldb_damaged(r->db, why);
	}
	row.heard_at = ok ? fact_columns_heard_at(meta) : 0;
	ok = ok && sqlite_plugin_id(r->db, row.plugin_name, &row.plugin) &&
	     move_value(r, &row, meta) && move_unparsed(r, &row, meta);
	row.bytes += row.unparsed_bytes;
	ok = ok && sqlite_fact_write(r->db, &row, meta);
	json_decref(meta);
	count_row(r);
	return ok;
}

static bool
move_facts(struct migrate_run *r, int64_t host, const char *name)
{
	int rc = SQLITE_ROW;

	sqlite3_bind_text(r->stmts[QUERY_FACTS], 1, name, -1, SQLITE_STATIC);
	while (rc == SQLITE_ROW) {
		rc = step(r, QUERY_FACTS);
		if (rc == SQLITE_ROW && !move_fact(r, host, name))
			rc = SQLITE_ERROR;
	}
	sqlite3_reset(r->stmts[QUERY_FACTS]);
	return rc == SQLITE_DONE;
}

static bool
move_host(struct migrate_run *r)
{
	struct sqldb *db = r->db;
	const char *name = text_of(r, QUERY_HOSTS, 0), *error = text_of(r, QUERY_HOSTS, 3);
	int64_t id;

	if (!sqlite_host_id(db, name, &id))
		return false;
	sqldb_bind_int(db, STMT_HOST_PUT, 1, id);
	sqldb_bind_int(db, STMT_HOST_PUT, 2, sqlite3_column_int64(r->stmts[QUERY_HOSTS], 1));
	sqldb_bind_int(db, STMT_HOST_PUT, 3, sqlite3_column_int64(r->stmts[QUERY_HOSTS], 2));
	sqldb_bind_str(db, STMT_HOST_PUT, 4, error);
	return sqldb_run(db, STMT_HOST_PUT) && move_facts(r, id, name);
}

static bool
move_hosts(struct migrate_run *r)
{
	int rc = step(r, QUERY_HOSTS);

	while (rc == SQLITE_ROW && move_host(r))
		rc = step(r, QUERY_HOSTS);
	return rc == SQLITE_DONE;
}

/* ---- the ledger ---- */

static bool
find_job(struct migrate_run *r, const char *job)
{
	if (r->job != NULL && strcmp(r->job, job) == 0)
		return true;
	free(r->job);
	r->job = xstrdup(job);
	return sqlite_job_id(r->db, job, &r->job_id);
}

static bool
move_outcome(struct migrate_run *r)
{
	sqlite3_stmt *from = r->stmts[QUERY_OUTCOMES], *to = r->stmts[QUERY_ADD_OUTCOME];
	unsigned char bytes[IDENT_BYTES];
	int64_t host;
	bool ok;

	if (!find_job(r, text_of(r, QUERY_OUTCOMES, 0)) ||
	    !sqlite_host_id(r->db, text_of(r, QUERY_OUTCOMES, 1), &host))
		return false;
	sqlite3_bind_int64(to, 1, r->job_id);
	sqlite3_bind_int64(to, 2, host);
	for (int i = 2; i < 10; i++)
		sqlite3_bind_value(to, i + 1, sqlite3_column_value(from, i));
	if (ident_to_bytes(text_of(r, QUERY_OUTCOMES, 4), bytes))
		sqlite3_bind_blob(to, 5, bytes, sizeof(bytes), SQLITE_STATIC);
	ok = step(r, QUERY_ADD_OUTCOME) == SQLITE_DONE;
	sqlite3_reset(to);
	count_row(r);
	return ok;
}

static bool
move_ledger(struct migrate_run *r)
{
	int rc = step(r, QUERY_OUTCOMES);

	while (rc == SQLITE_ROW && move_outcome(r))
		rc = step(r, QUERY_OUTCOMES);
	return rc == SQLITE_DONE;
}

/* ---- all of it ---- */

static void
say_no_room(struct sqldb *db, int64_t need, int64_t room)
{
	char what[256];

	snprintf(what, sizeof(what),
	    "to bring it up to date takes %" PRId64 " MiB beside it, and %" PRId64 " MiB are free",
	    need >> 20, room >> 20);
	sqldb_fail(db, "make room on the disk it is on", what);
}

/* The log has all that is made, and then the file has: what is old is free only in the end. What is
 * made is less than half of what is old: values are compressed, names said once. */
static bool
has_room(struct sqldb *db)
{
	int64_t pages, free_pages, page_bytes, need;
	struct statvfs st;

	if (!sqldb_query_int(db, "PRAGMA page_count", &pages) ||
	    !sqldb_query_int(db, "PRAGMA freelist_count", &free_pages) ||
	    !sqldb_query_int(db, "PRAGMA page_size", &page_bytes))
		return false;
	need = (pages - free_pages) * page_bytes;
	if (statvfs(db->path, &st) != 0 || (int64_t)(st.f_bavail * st.f_frsize) >= need)
		return true;
	say_no_room(db, need, (int64_t)(st.f_bavail * st.f_frsize));
	return false;
}

static bool
count_rows(struct migrate_run *r)
{
	return sqldb_query_int(r->db,
	    "SELECT (SELECT count(*) FROM facts) + (SELECT count(*) FROM outcomes)", &r->all);
}

static bool
move_all(struct migrate_run *r, int64_t schema)
{
	struct sqldb *db = r->db;

	return sqldb_exec(db, older_sql) && (schema >= 3 || sqldb_exec(db, older_strays_sql)) &&
	       count_rows(r) && sqldb_exec(db, sqldb_schema_sql) && sqldb_prepare(db) &&
	       prepare(r) && sqldb_exec(db, jobs_sql) && move_hosts(r) && move_ledger(r);
}

static void
finish(struct migrate_run *r)
{
	for (int i = 0; i < N_QUERIES; i++)
		sqlite3_finalize(r->stmts[i]);
	free(r->job);
}

/* In the transaction. Another process may have done it meanwhile. */
static bool
migrate(struct sqldb *db, struct sqlite_migration *m)
{
	struct migrate_run r = {.db = db, .m = m};
	int64_t schema;
	bool ok;

	if (!sqldb_query_int(db, "PRAGMA user_version", &schema))
		return false;
	if (schema == SQLDB_SCHEMA_VERSION)
		return sqldb_prepare(db);
	sqlite3_progress_handler(db->handle, LOOK_EVERY, is_cancelled, &r);
	ok = move_all(&r, schema);
	finish(&r); /* a table that is read cannot be dropped */
	ok = ok && sqldb_exec(db, drop_sql);
	sqlite3_progress_handler(db->handle, 0, NULL, NULL);
	if (atomic_load(&m->cancel)) {
		sqldb_fail(db, NULL, "stopped before it was up to date");
		return false;
	}
	return ok;
}

/* A backup that an older Vogeler made may have been put in the place of what was there. */
static bool
look_at_schema(struct sqldb *db)
{
	int64_t schema;

	if (!sqldb_query_int(db, "PRAGMA user_version", &schema))
		return false;
	if (schema < db->schema)
		sqldb_unprepare(db);
	db->schema = (int)schema;
	return true;
}

bool
sqlite_migrate(struct sqldb *db, struct sqlite_migration *m)
{
	bool ok;

	if (!look_at_schema(db))
		return false;
	if (!sqldb_is_old(db))
		return db->stmts[0] != NULL || sqldb_prepare(db);
	atomic_store(&m->percent, 0);
	ok =
	    has_room(db) && sqldb_exec(db, begin_sql) && migrate(db, m) && sqldb_exec(db, "COMMIT");
	if (ok) {
		db->schema = SQLDB_SCHEMA_VERSION;
		sqlite3_wal_checkpoint_v2(db->handle, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	} else {
		sqldb_unprepare(db); /* they are of tables that go again */
		sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
	}
	atomic_store(&m->percent, -1);
	return ok;
}
