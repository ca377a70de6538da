/* SPDX-License-Identifier: Apache-2.0 */
/* See sqldb.h. */
#include "shared/store/sqlite/sqldb.h"
#include "shared/base/trouble.h"

#include "shared/base/buf.h"
#include "shared/base/xalloc.h"
#include "shared/wire/jsonx.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define BUSY_TIMEOUT_MS 5000 /* another process, vogeler-admin say, is writing */

static const char schema_sql[] =
    "CREATE TABLE IF NOT EXISTS hosts (host TEXT PRIMARY KEY, created_at INTEGER NOT NULL,"
    " updated_at INTEGER NOT NULL, last_error TEXT) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS facts (host TEXT, plugin TEXT, value_bytes INTEGER NOT NULL,"
    " meta TEXT NOT NULL, PRIMARY KEY (host, plugin)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS fact_values (host TEXT, plugin TEXT, value TEXT NOT NULL,"
    " PRIMARY KEY (host, plugin));"
    "CREATE TABLE IF NOT EXISTS notes (id TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS jobs (id TEXT PRIMARY KEY, sent_at INTEGER NOT NULL,"
    " not_after INTEGER NOT NULL, job TEXT NOT NULL);"
    "CREATE INDEX IF NOT EXISTS jobs_by_time ON jobs (sent_at, id);"
    "CREATE TABLE IF NOT EXISTS outcomes (job TEXT, host TEXT, state INTEGER, ord INTEGER,"
    " response_id TEXT, at INTEGER NOT NULL, why TEXT, duration_ms INTEGER NOT NULL,"
    " exit_status INTEGER NOT NULL, PRIMARY KEY (job, host, state, ord, response_id))"
    " WITHOUT ROWID;";

/* stray: 1 if the job was not there, else NULL; the index has those alone. */
static const char strays_sql[] =
    "ALTER TABLE outcomes ADD COLUMN stray INTEGER;"
    "CREATE INDEX outcomes_stray ON outcomes (host, at) WHERE stray = 1;";

static const char version_sql[] = "PRAGMA user_version = 4"; /* SQLDB_SCHEMA_VERSION */

/* A checkpoint is paid by the commit that fills the log: of 16 MiB instead of 4 it comes every few
 * commits, and a page that several of them changed is copied once. The cache, in KiB, has the inner
 * pages of a file of some gigabytes. */
static const char cache_sql[] = "PRAGMA cache_size = -8192";
static const char small_cache_sql[] = "PRAGMA cache_size = -1024";
static const char pace_sql[] = "PRAGMA wal_autocheckpoint = 4096";

/* A key that has become a blob is behind all texts: asked for what follows it, as a text, SQLite
 * would give it for ever. */
#define IS_TEXT(column) column " < X''"

/* The row's key is of the types that were written: reading goes on behind it, so one that is not
 * would come again and again; and a state that there is not is none to count by. */
#define OUTCOME_IS_WHOLE(states)                                                                   \
	"typeof(host) = 'text' AND typeof(state) = 'integer' AND state >= 0 AND state < " states   \
	" AND typeof(ord) = 'integer' AND typeof(response_id) = 'text'"

static const char *const stmt_sql[STMT_COUNT] = {
    [STMT_BEGIN_READ] = "BEGIN",
    [STMT_BEGIN_WRITE] = "BEGIN IMMEDIATE",
    [STMT_COMMIT] = "COMMIT",
    [STMT_ROLLBACK] = "ROLLBACK",
    [STMT_SAVE] = "SAVEPOINT one_write",
    [STMT_RELEASE] = "RELEASE one_write",
    [STMT_UNDO] = "ROLLBACK TO one_write",
    [STMT_PROBE] = "INSERT OR REPLACE INTO hosts VALUES ('vogeler.probe', 0, 0, NULL)",
    [STMT_UNPROBE] = "DELETE FROM hosts WHERE host = 'vogeler.probe'",
    [STMT_HEAD_GET] = "SELECT host, created_at, updated_at, last_error FROM hosts WHERE host = ?1",
    [STMT_HEAD_PUT] = "INSERT INTO hosts (host, created_at, updated_at, last_error)"
		      " VALUES (?1, ?2, ?3, ?4) ON CONFLICT (host) DO UPDATE SET"
		      " updated_at = excluded.updated_at, last_error = excluded.last_error",
    [STMT_FACT_GET] = "SELECT meta, value_bytes FROM facts WHERE host = ?1 AND plugin = ?2",
    [STMT_FACT_PUT] = "INSERT INTO facts (host, plugin, meta, value_bytes) VALUES (?1, ?2, ?3, ?4)"
		      " ON CONFLICT (host, plugin) DO UPDATE SET meta = excluded.meta,"
		      " value_bytes = excluded.value_bytes",
    [STMT_FACT_DROP] = "DELETE FROM facts WHERE host = ?1 AND plugin = ?2",
    [STMT_VALUE_PUT] = "INSERT INTO fact_values (host, plugin, value) VALUES (?1, ?2, ?3)"
		       " ON CONFLICT (host, plugin) DO UPDATE SET value = excluded.value",
    [STMT_RECORD_BYTES] = "SELECT total(value_bytes + length(CAST(meta AS BLOB)) +"
			  " 2 * length(plugin) + 8) + coalesce((SELECT length(CAST(last_error AS"
			  " BLOB)) FROM hosts WHERE host = ?1), 0) FROM facts WHERE host = ?1",
    [STMT_FACTS_OF] = "SELECT f.plugin, f.meta, v.value FROM facts f LEFT JOIN fact_values v"
		      " ON v.host = f.host AND v.plugin = f.plugin WHERE f.host = ?1"
		      " ORDER BY f.plugin",
    /* Values are in a table of their own: not a page of them is read. */
    [STMT_METAS_OF] = "SELECT plugin, meta FROM facts WHERE host = ?1 ORDER BY plugin",
    [STMT_FACT_OF] = "SELECT value FROM fact_values WHERE host = ?1 AND plugin = ?2",
    [STMT_HOSTS_AFTER] =
	"SELECT host FROM hosts WHERE host > ?1 AND " IS_TEXT("host") " ORDER BY host LIMIT ?2",
    [STMT_FACTS_HOST_AFTER] = "SELECT min(host) FROM facts WHERE host > ?1 AND " IS_TEXT("host"),
    [STMT_FORGET_HEAD] = "DELETE FROM hosts WHERE host = ?1",
    [STMT_FORGET_FACTS] = "DELETE FROM facts WHERE host = ?1",
    [STMT_FORGET_VALUES] = "DELETE FROM fact_values WHERE host = ?1",
    [STMT_NOTE_PUT] = "INSERT INTO notes (id, value) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE"
		      " SET value = excluded.value",
    [STMT_NOTES] = "SELECT id, value FROM notes WHERE id >= ?1 AND id < ?1 || '~' ORDER BY id",
    /* A job is never changed: given again, after a lost answer, it is the same. */
    [STMT_JOB_PUT] = "INSERT INTO jobs (id, sent_at, not_after, job) VALUES (?1, ?2, ?3, ?4)"
		     " ON CONFLICT (id) DO NOTHING",
    [STMT_JOB_GET] = "SELECT job FROM jobs WHERE id = ?1",
    /* Ids come from the index alone, so that a damaged row is met by itself. */
    [STMT_JOBS_BEFORE] = "SELECT id, sent_at FROM jobs WHERE (sent_at, id) < (?1, ?2)"
			 " ORDER BY sent_at DESC, id DESC LIMIT ?3",
    /* Slow, and right where the index is damaged. */
    [STMT_JOBS_BEFORE_BY_TABLE] =
	"SELECT id, sent_at FROM jobs NOT INDEXED WHERE (sent_at, id) < (?1, ?2)"
	" ORDER BY sent_at DESC, id DESC LIMIT ?3",
    /* not_after is 0 for what never expires. */
    [STMT_JOBS_PRUNE] = "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE sent_at < ?1"
			" AND not_after < ?1 ORDER BY sent_at LIMIT ?2)",
    /* An outcome that comes again, after a redelivery, is the same row. */
    [STMT_OUTCOME_PUT] = "INSERT INTO outcomes (job, host, state, ord, response_id, at, why,"
			 " duration_ms, exit_status, stray) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8,"
			 " ?9, CASE WHEN EXISTS (SELECT 1 FROM jobs WHERE id = ?1) THEN NULL"
			 " ELSE 1 END) ON CONFLICT DO NOTHING",
    [STMT_STRAYS_TRIM] =
	"DELETE FROM outcomes WHERE (job, host, state, ord, response_id) IN"
	" (SELECT job, host, state, ord, response_id FROM outcomes INDEXED BY outcomes_stray"
	" WHERE stray = 1 AND host = ?1 ORDER BY at DESC LIMIT -1 OFFSET ?2)",
    [STMT_STRAYS_OF_JOB] = "UPDATE outcomes SET stray = NULL WHERE job = ?1 AND stray = 1",
    [STMT_OUTCOMES_AFTER] =
	"SELECT host, state, ord, response_id, at, why, duration_ms, exit_status FROM outcomes"
	" WHERE job = ?1 AND (host, state, ord, response_id) > (?2, ?3, ?4, ?5)"
	" AND " OUTCOME_IS_WHOLE("?7") " ORDER BY host, state, ord, response_id LIMIT ?6",
    [STMT_OUTCOMES_ODD] =
	"SELECT count(*) FROM outcomes WHERE job = ?1 AND NOT (" OUTCOME_IS_WHOLE("?2") ")",
    /* The key leads from one job to the next, without reading all rows of it. */
    [STMT_OUTCOMES_JOB_AFTER] =
	"SELECT job, EXISTS (SELECT 1 FROM jobs WHERE id = outcomes.job)"
	" FROM outcomes WHERE job > ?1 AND " IS_TEXT("job") " ORDER BY job LIMIT 1",
    [STMT_OUTCOMES_NEWER] = "SELECT 1 FROM outcomes WHERE job = ?1 AND at >= ?2 LIMIT 1",
    [STMT_OUTCOMES_PRUNE] = "DELETE FROM outcomes WHERE job = ?1 AND host <= (SELECT max(host) FROM"
			    " (SELECT host FROM outcomes WHERE job = ?1 ORDER BY host LIMIT ?2))",
};

static bool exec(struct sqldb *db, const char *sql);

void
sqldb_fail(struct sqldb *db, const char *cure, const char *what)
{
	db->fault = SQLDB_FAULT_FILE;
	trouble_set(&db->why, TROUBLE_OTHER, cure, "%s: %s", db->path, what);
}

/* A page is read for the rows that are on it: when it cannot be, others can. What cannot be written
 * stops all. */
static enum sqldb_fault
fault_of(int extended)
{
	switch (extended) {
	case SQLITE_IOERR_READ:
	case SQLITE_IOERR_SHORT_READ:
	case SQLITE_IOERR_CORRUPTFS:
	case SQLITE_IOERR_DATA:
		return SQLDB_FAULT_ROW;
	}
	switch (extended & 0xff) {
	case SQLITE_CORRUPT:
	case SQLITE_CONSTRAINT: /* no write of ours breaks one unless an index is damaged */
	case SQLITE_MISMATCH:
	case SQLITE_TOOBIG:
		return SQLDB_FAULT_ROW;
	}
	return SQLDB_FAULT_FILE;
}

bool
sqldb_is_mounted_read_only(const char *path)
{
	struct statvfs st;

	return statvfs(path, &st) == 0 && (st.f_flag & ST_RDONLY) != 0;
}

/* Says that it may not be written. The rights may be all there. */
static void
fail_rights(struct sqldb *db, const char *what)
{
	if (sqldb_is_mounted_read_only(db->path))
		trouble_set(&db->why, TROUBLE_OTHER,
		    "see the kernel's log about the disk, then mount -o remount,rw",
		    "%s: %s; its file system is mounted read-only", db->path, what);
	else
		trouble_set(&db->why, TROUBLE_OTHER,
		    "give this user the right to write the file and its folder", "%s: %s", db->path,
		    what);
}

/* Says what the file system says. */
static void
fail_errno(struct sqldb *db)
{
	int err = errno;

	sqldb_fail(db,
	    err == ENOENT                    ? "put it back, or restart to have a new one made"
	    : err == ENOSPC || err == EDQUOT ? "make room on the disk it is on"
					     : NULL,
	    strerror(err));
	if (err == EACCES || err == EROFS)
		fail_rights(db, strerror(err));
}

/* Says what SQLite says, and the way out where there is one. */
static void
fail_sqlite(struct sqldb *db)
{
	const char *cure = NULL;

	db->fault = fault_of(sqlite3_extended_errcode(db->handle));
	switch (sqlite3_errcode(db->handle)) {
	case SQLITE_FULL:
		cure = "make room on the disk it is on";
		break;
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
	case SQLITE_READONLY:
		fail_rights(db, sqlite3_errmsg(db->handle));
		return;
	case SQLITE_BUSY:
		cure = "what else has it open, a copy or a backup?";
		break;
	case SQLITE_IOERR:
		cure = "see the kernel's log about the disk";
		break;
	case SQLITE_CORRUPT:
		cure = SQLDB_CURE_DAMAGED;
		break;
	case SQLITE_NOTADB:
		cure = "move it away, and put a copy in its place";
		break;
	}
	trouble_set(&db->why, TROUBLE_OTHER, cure, "%s: %s", db->path, sqlite3_errmsg(db->handle));
}

/* Resets after DONE and errors, so that nothing stays bound and no read stays open. */
int
sqldb_step(struct sqldb *db, enum stmt which)
{
	sqlite3_stmt *stmt = db->stmts[which];
	int rc;

	if (stmt == NULL) { /* it could not be opened anew, db->why */
		db->fault = SQLDB_FAULT_FILE;
		return SQLITE_MISUSE;
	}
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW)
		return rc;
	if (rc != SQLITE_DONE)
		fail_sqlite(db);
	sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
	return rc;
}

void
sqldb_done(struct sqldb *db, enum stmt which)
{
	sqlite3_reset(db->stmts[which]);
	sqlite3_clear_bindings(db->stmts[which]);
}

int64_t
sqldb_changes(struct sqldb *db)
{
	return sqlite3_changes64(db->handle);
}

bool
sqldb_run(struct sqldb *db, enum stmt which)
{
	return sqldb_step(db, which) == SQLITE_DONE;
}

void
sqldb_bind_text(struct sqldb *db, enum stmt which, int column, const char *text, size_t len)
{
	sqlite3_bind_text64(
	    db->stmts[which], column, text, len, SQLITE_STATIC, SQLITE_UTF8); /* NULL stays NULL */
}

void
sqldb_bind_str(struct sqldb *db, enum stmt which, int column, const char *text)
{
	sqldb_bind_text(db, which, column, text, text == NULL ? 0 : strlen(text));
}

void
sqldb_bind_int(struct sqldb *db, enum stmt which, int column, int64_t value)
{
	sqlite3_bind_int64(db->stmts[which], column, value);
}

const char *
sqldb_column_text(struct sqldb *db, enum stmt which, int column, size_t *len)
{
	const char *text = (const char *)sqlite3_column_text(db->stmts[which], column);

	if (text == NULL && sqlite3_column_type(db->stmts[which], column) != SQLITE_NULL)
		xalloc_fail(0); /* or it would be taken for one that is not there */
	*len = (size_t)sqlite3_column_bytes(db->stmts[which], column);
	return text;
}

int64_t
sqldb_column_int(struct sqldb *db, enum stmt which, int column)
{
	return sqlite3_column_int64(db->stmts[which], column);
}

void
sqldb_damaged(struct sqldb *db, const char *what)
{
	sqldb_fail(db, NULL, what);
	db->fault = SQLDB_FAULT_DAMAGED;
}

/* Reads what we wrote ourselves: if it is not JSON any more, the file is damaged. */
bool
sqldb_column_json(struct sqldb *db, enum stmt which, int column, json_t **out)
{
	size_t len;
	const char *text = sqldb_column_text(db, which, column, &len);
	char err[128];

	*out = NULL;
	if (text == NULL)
		return true;
	*out = jsonx_parse_stored(text, len, err, sizeof(err));
	if (*out == NULL)
		sqldb_damaged(db, "damaged: a column does not hold JSON");
	return *out != NULL;
}

bool
sqldb_write_json(struct sqldb *db, struct buf *out, const json_t *value)
{
	buf_init(out, SQLDB_JSON_MAX);
	if (jsonx_write(out, value))
		return true;
	buf_finish(out);
	sqldb_fail(db, NULL, "out of memory");
	return false;
}

/* The pages of a row of megabytes would take the place of all others, and the memory stay ours. */
void
sqldb_use_small_cache(struct sqldb *db, bool small)
{
	if (db->handle != NULL && small != db->small_cache &&
	    exec(db, small ? small_cache_sql : cache_sql))
		db->small_cache = small;
}

void
sqldb_roll_back(struct sqldb *db)
{
	struct trouble why = db->why; /* what led here is the news */
	enum sqldb_fault fault = db->fault;

	if (db->handle == NULL ||
	    sqlite3_get_autocommit(db->handle)) /* SQLite has done so itself */
		return;
	sqldb_run(db, STMT_ROLLBACK);
	db->why = why;
	db->fault = fault;
}

int64_t
sqldb_wal_bytes(const struct sqldb *db)
{
	struct stat st;
	char *path;
	int64_t bytes;

	xasprintf(&path, "%s-wal", db->path);
	bytes = stat(path, &st) == 0 ? (int64_t)st.st_size : 0;
	free(path);
	return bytes;
}

static bool open_handle(struct sqldb *db);
static void close_handle(struct sqldb *db);

/* Closed first: what SQLite knows of the write-ahead log is shared by all that have the file open
 * in this process. */
static bool
open_anew(struct sqldb *db)
{
	if (db->handle != NULL && access(db->path, W_OK) != 0) {
		fail_errno(db);
		return false;
	}
	close_handle(db);
	if (open_handle(db))
		return true;
	close_handle(db);
	return false;
}

bool
sqldb_file_is_there(struct sqldb *db)
{
	struct stat st;

	if (stat(db->path, &st) != 0) {
		fail_errno(db);
		return false;
	}
	if (st.st_dev != db->dev || st.st_ino != db->ino) {
		sqldb_fail(db, "restart to use that one", "was replaced by another file");
		return false;
	}
	if (db->read_only || (db->handle != NULL && sqlite3_db_readonly(db->handle, "main") == 0))
		return true;
	return open_anew(db);
}

static char *
folder_of(const char *path)
{
	char *folder = xstrdup(path), *slash = strrchr(folder, '/');

	if (slash != NULL)
		slash[slash == folder ? 1 : 0] = '\0';
	return folder;
}

static bool
find_folder(struct sqldb *db, struct stat *st)
{
	char *folder = folder_of(db->path);
	bool ok = stat(folder, st) == 0 && S_ISDIR(st->st_mode) && access(folder, X_OK) == 0;

	if (!ok && errno == EACCES)
		trouble_set(&db->why, TROUBLE_OTHER,
		    "let it be a member of a group that may (vogeler-read, to read)",
		    "%s: this user may not look into the folder %s", db->path, folder);
	else if (!ok)
		trouble_set(&db->why, TROUBLE_OTHER, "make it, for the user this runs as",
		    "%s: there is no folder %s", db->path, folder);
	free(folder);
	return ok;
}

/* SQLite would create it too, but readable for everyone. */
static bool
create_file(struct sqldb *db, const struct stat *folder)
{
	int fd = open(db->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0660);

	if (fd < 0 && errno == EEXIST)
		return true;
	if (fd < 0 || (geteuid() == 0 && fchown(fd, folder->st_uid, folder->st_gid) != 0)) {
		fail_errno(db);
		if (fd >= 0)
			close(fd);
		return false;
	}
	close(fd);
	return true;
}

/* Finds the file where none is to be made. */
static bool
find_file(struct sqldb *db)
{
	if (access(db->path, R_OK) == 0) {
		db->read_only = access(db->path, W_OK) != 0;
		return true;
	}
	if (errno == ENOENT)
		sqldb_fail(db,
		    "correct the path in dbhost, or make it with \"vogeler-admin setup\"",
		    "no such file");
	else if (errno == EACCES)
		sqldb_fail(db, "let it be a member of a group that may (vogeler-read)",
		    "this user may not read it");
	else
		fail_errno(db);
	return false;
}

static bool
note_file(struct sqldb *db)
{
	struct stat st;

	if (stat(db->path, &st) != 0) {
		fail_errno(db);
		return false;
	}
	db->dev = st.st_dev;
	db->ino = st.st_ino;
	return true;
}

static bool
exec(struct sqldb *db, const char *sql)
{
	if (sqlite3_exec(db->handle, sql, NULL, NULL, NULL) == SQLITE_OK)
		return true;
	fail_sqlite(db);
	return false;
}

/* The first column of the first row. */
bool
sqldb_query_int(struct sqldb *db, const char *sql, int64_t *value)
{
	sqlite3_stmt *stmt = NULL;
	bool ok = sqlite3_prepare_v2(db->handle, sql, -1, &stmt, NULL) == SQLITE_OK &&
		  sqlite3_step(stmt) == SQLITE_ROW;

	if (ok)
		*value = sqlite3_column_int64(stmt, 0);
	else
		fail_sqlite(db);
	sqlite3_finalize(stmt);
	return ok;
}

bool
sqldb_can_read(struct sqldb *db, const char *sql)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db->handle, sql, -1, &stmt, NULL);

	while (rc == SQLITE_OK || rc == SQLITE_ROW)
		rc = sqlite3_step(stmt);
	if (rc != SQLITE_DONE)
		fail_sqlite(db);
	sqlite3_finalize(stmt);
	return rc == SQLITE_DONE;
}

/* Both of one moment: another process may be making the tables. */
static bool
read_schema(struct sqldb *db, int64_t *version, int64_t *tables)
{
	bool ok = exec(db, "BEGIN");

	ok = ok && sqldb_query_int(db, "PRAGMA user_version", version) &&
	     sqldb_query_int(db, "SELECT count(*) FROM sqlite_master", tables);
	sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
	return ok;
}

/* Looks before anything is changed: it may be somebody else's file. */
static bool
check_schema(struct sqldb *db)
{
	int64_t version, tables;

	if (!read_schema(db, &version, &tables))
		return false;
	if (version > SQLDB_SCHEMA_VERSION) {
		trouble_set(&db->why, TROUBLE_OTHER, NULL,
		    "%s: made by a newer Vogeler (schema %d, this one knows %d)", db->path,
		    (int)version, SQLDB_SCHEMA_VERSION);
		return false;
	}
	if (db->read_only && version < SQLDB_SCHEMA_VERSION) {
		sqldb_fail(db,
		    "start vogelerd, which brings it up to date; this user may only read it",
		    "made by an older Vogeler");
		return false;
	}
	if (version < 0 || (version == 0 && tables > 0)) {
		sqldb_fail(db, NULL, "an SQLite database, but not one of Vogeler's");
		return false;
	}
	return true;
}

/* Makes it in one transaction, for two programs may come at once; the second finds everything
 * there. What an older schema has stays as it is: tables and columns are only added. */
static bool
create_schema(struct sqldb *db)
{
	int64_t version;

	if (!sqldb_query_int(db, "PRAGMA user_version", &version))
		return false;
	if (version == SQLDB_SCHEMA_VERSION)
		return true;
	if (exec(db, "BEGIN IMMEDIATE") && sqldb_query_int(db, "PRAGMA user_version", &version)) {
		db->created = version == 0;
		if (version == SQLDB_SCHEMA_VERSION ||
		    (exec(db, schema_sql) && (version >= 3 || exec(db, strays_sql)) &&
			exec(db, version_sql))) {
			if (exec(db, "COMMIT"))
				return true;
		}
	}
	sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
	return false;
}

/* SQLite does not wait for others here, whatever the timeout is: changing the mode takes the whole
 * file. */
static bool
use_wal(struct sqldb *db)
{
	int waited_ms, rc = SQLITE_BUSY;

	for (waited_ms = 0; rc == SQLITE_BUSY && waited_ms < BUSY_TIMEOUT_MS; waited_ms += 10) {
		if (waited_ms > 0)
			sqlite3_sleep(10);
		rc = sqlite3_exec(db->handle, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
	}
	if (rc != SQLITE_OK)
		fail_sqlite(db);
	return rc == SQLITE_OK;
}

static bool
prepare_all(struct sqldb *db)
{
	int i;

	for (i = 0; i < STMT_COUNT; i++) {
		if (sqlite3_prepare_v3(db->handle, stmt_sql[i], -1, SQLITE_PREPARE_PERSISTENT,
			&db->stmts[i], NULL) != SQLITE_OK) {
			fail_sqlite(db);
			return false;
		}
	}
	return true;
}

/* Readers find the log beside the file also when nobody who may make it has the file open. */
static bool
keep_log(struct sqldb *db)
{
	int yes = 1;

	if (sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_PERSIST_WAL, &yes) == SQLITE_OK)
		return true;
	fail_sqlite(db);
	return false;
}

static bool
set_up_writing(struct sqldb *db, bool relaxed)
{
	return use_wal(db) && keep_log(db) && exec(db, "PRAGMA journal_size_limit = 67108864") &&
	       exec(db, pace_sql) && exec(db, cache_sql) &&
	       exec(db, relaxed ? "PRAGMA synchronous = NORMAL" : "PRAGMA synchronous = FULL") &&
	       create_schema(db);
}

static bool
open_handle(struct sqldb *db)
{
	int flags = db->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;

	if (sqlite3_open_v2(db->path, &db->handle, flags | SQLITE_OPEN_NOMUTEX, NULL) !=
	    SQLITE_OK) {
		fail_sqlite(db);
		return false;
	}
	sqlite3_busy_timeout(db->handle, BUSY_TIMEOUT_MS);
	return check_schema(db) && (db->read_only || set_up_writing(db, db->relaxed)) &&
	       prepare_all(db);
}

static void
close_handle(struct sqldb *db)
{
	for (int i = 0; i < STMT_COUNT; i++) {
		sqlite3_finalize(db->stmts[i]);
		db->stmts[i] = NULL;
	}
	sqlite3_close(db->handle);
	db->handle = NULL;
	db->small_cache = false;
}

bool
sqldb_open(struct sqldb *db, const char *path, bool make, bool relaxed)
{
	struct stat folder;

	db->path = xstrdup(path);
	db->relaxed = relaxed;
	return find_folder(db, &folder) && (make ? create_file(db, &folder) : find_file(db)) &&
	       note_file(db) && open_handle(db);
}

const char *
sqldb_synchronous(struct sqldb *db)
{
	static const char *const names[] = {"off", "normal", "full", "extra"};
	int64_t value;

	if (!sqldb_query_int(db, "PRAGMA synchronous", &value) || value < 0 || value > 3)
		return "?";
	return names[value];
}

void
sqldb_close(struct sqldb *db)
{
	close_handle(db);
	free(db->path);
	*db = (struct sqldb){0};
}
