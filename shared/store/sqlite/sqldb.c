/* SPDX-License-Identifier: Apache-2.0 */
/* See sqldb.h. */
#include "shared/store/sqlite/sqldb.h"
#include "shared/base/trouble.h"

#include "shared/base/buf.h"
#include "shared/base/xalloc.h"
#include "shared/store/sql/value_codec.h"
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

/* A checkpoint is paid by the commit that fills the log: of 16 MiB instead of 4 it comes every few
 * commits, and a page that several of them changed is copied once. The cache, in KiB, has the inner
 * pages of a file of some gigabytes. */
static const char cache_sql[] = "PRAGMA cache_size = -8192";
static const char small_cache_sql[] = "PRAGMA cache_size = -1024";
/* What is deleted is overwritten where that writes no page more. */
static const char secure_sql[] = "PRAGMA secure_delete = FAST";
static const char pace_sql[] = "PRAGMA wal_autocheckpoint = 4096";

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

void
sqldb_fail_sqlite(struct sqldb *db)
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
	if (which == STMT_BEGIN_WRITE || which == STMT_UNDO)
		db->epoch++;
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW)
		return rc;
	if (rc != SQLITE_DONE)
		sqldb_fail_sqlite(db);
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
sqldb_last_id(struct sqldb *db)
{
	return sqlite3_last_insert_rowid(db->handle);
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
sqldb_bind_blob(struct sqldb *db, enum stmt which, int column, const void *data, size_t len)
{
	sqlite3_bind_blob64(db->stmts[which], column, data, len, SQLITE_STATIC);
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

const void *
sqldb_column_blob(struct sqldb *db, enum stmt which, int column, size_t *len)
{
	const void *data = sqlite3_column_blob(db->stmts[which], column);

	*len = (size_t)sqlite3_column_bytes(db->stmts[which], column);
	if (data == NULL && *len > 0)
		xalloc_fail(0);
	return data;
}

bool
sqldb_column_is_null(struct sqldb *db, enum stmt which, int column)
{
	return sqlite3_column_type(db->stmts[which], column) == SQLITE_NULL;
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
	    sqldb_exec(db, small ? small_cache_sql : cache_sql))
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

bool
sqldb_exec(struct sqldb *db, const char *sql)
{
	if (sqlite3_exec(db->handle, sql, NULL, NULL, NULL) == SQLITE_OK)
		return true;
	sqldb_fail_sqlite(db);
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
		sqldb_fail_sqlite(db);
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
		sqldb_fail_sqlite(db);
	sqlite3_finalize(stmt);
	return rc == SQLITE_DONE;
}

/* Both of one moment: another process may be making the tables. */
static bool
read_schema(struct sqldb *db, int64_t *version, int64_t *tables)
{
	bool ok = sqldb_exec(db, "BEGIN");

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
	if (version < 0 || (version == 0 && tables > 0)) {
		sqldb_fail(db, NULL, "an SQLite database, but not one of Vogeler's");
		return false;
	}
	if (version < SQLDB_SCHEMA_VERSION && (db->read_only || (!db->make && version > 0))) {
		sqldb_fail(db, "start vogelerd, which brings it up to date at its start",
		    "made by an older Vogeler");
		return false;
	}
	db->schema = (int)version;
	return true;
}

/* Makes the tables in one transaction, for two programs may come at once; the second finds
 * everything there. */
static bool
create_schema(struct sqldb *db)
{
	int64_t version;

	if (db->schema != 0)
		return true;
	if (sqldb_exec(db, "BEGIN IMMEDIATE") &&
	    sqldb_query_int(db, "PRAGMA user_version", &version)) {
		db->created = version == 0;
		db->schema = version == 0 ? SQLDB_SCHEMA_VERSION : (int)version;
		if ((version != 0 || sqldb_exec(db, sqldb_schema_sql)) && sqldb_exec(db, "COMMIT"))
			return true;
	}
	sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
	return false;
}

bool
sqldb_is_old(const struct sqldb *db)
{
	return db->schema < SQLDB_SCHEMA_VERSION;
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
		sqldb_fail_sqlite(db);
	return rc == SQLITE_OK;
}

bool
sqldb_prepare(struct sqldb *db)
{
	int i;

	for (i = 0; i < STMT_COUNT; i++) {
		if (sqlite3_prepare_v3(db->handle, sqldb_stmt_sql[i], -1, SQLITE_PREPARE_PERSISTENT,
			&db->stmts[i], NULL) != SQLITE_OK) {
			sqldb_fail_sqlite(db);
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
	sqldb_fail_sqlite(db);
	return false;
}

static bool
set_up_writing(struct sqldb *db, bool relaxed)
{
	return use_wal(db) && keep_log(db) &&
	       sqldb_exec(db, "PRAGMA journal_size_limit = 67108864") && sqldb_exec(db, pace_sql) &&
	       sqldb_exec(db, cache_sql) && sqldb_exec(db, secure_sql) &&
	       sqldb_exec(
		   db, relaxed ? "PRAGMA synchronous = NORMAL" : "PRAGMA synchronous = FULL") &&
	       create_schema(db);
}

static bool
open_handle(struct sqldb *db)
{
	int flags = db->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;

	if (sqlite3_open_v2(db->path, &db->handle, flags | SQLITE_OPEN_NOMUTEX, NULL) !=
	    SQLITE_OK) {
		sqldb_fail_sqlite(db);
		return false;
	}
	sqlite3_busy_timeout(db->handle, BUSY_TIMEOUT_MS);
	return check_schema(db) && (db->read_only || set_up_writing(db, db->relaxed)) &&
	       (sqldb_is_old(db) || sqldb_prepare(db));
}

void
sqldb_unprepare(struct sqldb *db)
{
	db->epoch++;
	for (int i = 0; i < STMT_COUNT; i++) {
		sqlite3_finalize(db->stmts[i]);
		db->stmts[i] = NULL;
	}
}

static void
close_handle(struct sqldb *db)
{
	sqldb_unprepare(db);
	sqlite3_close(db->handle);
	db->handle = NULL;
	db->small_cache = false;
}

bool
sqldb_open(struct sqldb *db, const char *path, bool make, bool relaxed)
{
	struct stat folder;

	db->path = xstrdup(path);
	db->coder = value_coder_create();
	db->make = make;
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
	value_coder_destroy(db->coder);
	free(db->path);
	*db = (struct sqldb){0};
}
