/* SPDX-License-Identifier: Apache-2.0 */
/* See sqlite_copy.h. */
#include "shared/store/sqlite/sqlite_copy.h"
#include "shared/base/trouble.h"

#include "shared/base/xalloc.h"
#include "shared/store/sqlite/sqldb.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SLICE_PAGES     1024
#define BUSY_TIMEOUT_MS 5000
#define FILE_MODE       0640

struct sqlite_copy {
	char *from_path, *to_path;
	sqlite3 *from, *to;
	sqlite3_backup *backup;
	int64_t page_bytes;
	bool made; /* the file of to_path, by us */
	bool done;
};

static void
fail_sqlite(sqlite3 *db, const char *path, char *err, size_t err_size)
{
	const char *cure = "";

	switch (sqlite3_errcode(db)) {
	case SQLITE_FULL:
		cure = TROUBLE_CURE "make room on the disk it is on";
		break;
	case SQLITE_BUSY:
		cure = TROUBLE_CURE "another program writes to it without a pause; try again";
		break;
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
	case SQLITE_READONLY:
		cure = TROUBLE_CURE "give this user the right to read and write it and its folder";
		break;
	}
	snprintf(err, err_size, "%s: %s%s", path, sqlite3_errmsg(db), cure);
}

static bool
open_one(sqlite3 **db, const char *path, int flags, char *err, size_t err_size)
{
	if (sqlite3_open_v2(path, db, flags | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK) {
		sqlite3_busy_timeout(*db, BUSY_TIMEOUT_MS);
		return true;
	}
	fail_sqlite(*db, path, err, err_size);
	return false;
}

/* The first column of the first row, as text of at most size. */
static bool
query(sqlite3 *db, const char *sql, char *out, size_t size)
{
	sqlite3_stmt *stmt = NULL;
	bool ok = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) == SQLITE_OK &&
		  sqlite3_step(stmt) == SQLITE_ROW;

	if (ok)
		snprintf(out, size, "%s", (const char *)sqlite3_column_text(stmt, 0));
	sqlite3_finalize(stmt);
	return ok;
}

/* One of ours, of a schema that this Vogeler knows; an empty file is, once it is to be written. */
static bool
is_ours(sqlite3 *db, const char *path, bool empty_too, char *err, size_t err_size)
{
	char version[32], tables[32];

	if (!query(db, "PRAGMA user_version", version, sizeof(version)) ||
	    !query(db, "SELECT count(*) FROM sqlite_master", tables, sizeof(tables))) {
		fail_sqlite(db, path, err, err_size);
		return false;
	}
	if (empty_too && strcmp(version, "0") == 0 && strcmp(tables, "0") == 0)
		return true;
	if (atol(version) >= 1 && atol(version) <= SQLDB_SCHEMA_VERSION)
		return true;
	snprintf(err, err_size, "%s: %s", path,
	    atol(version) > SQLDB_SCHEMA_VERSION ? "made by a newer Vogeler" TROUBLE_CURE
						   "use its vogeler-admin"
						 : "not a store of Vogeler's" TROUBLE_CURE
						   "name the file that dbhost names, or a backup");
	return false;
}

/* Checks it, since what is damaged is not to be copied in silence: a backup that cannot be restored
 * is none. */
static bool
is_whole(sqlite3 *db, const char *path, char *err, size_t err_size)
{
	char verdict[256];

	if (!query(db, "PRAGMA quick_check(1)", verdict, sizeof(verdict))) {
		fail_sqlite(db, path, err, err_size);
		return false;
	}
	if (strcmp(verdict, "ok") == 0)
		return true;
	snprintf(err, err_size,
	    "%s: damaged: %s" TROUBLE_CURE
	    "put an older backup in its place (vogeler-admin restore)",
	    path, verdict);
	return false;
}

/* Makes what is read from here to the end the content of one moment. */
static bool
hold(sqlite3 *db, const char *path, char *err, size_t err_size)
{
	char tables[32];

	if (sqlite3_exec(db, "BEGIN", NULL, NULL, NULL) == SQLITE_OK &&
	    query(db, "SELECT count(*) FROM sqlite_master", tables, sizeof(tables)))
		return true;
	fail_sqlite(db, path, err, err_size);
	return false;
}

static bool
open_from(struct sqlite_copy *c, char *err, size_t err_size)
{
	if (access(c->from_path, R_OK) != 0) {
		snprintf(err, err_size, "%s: %s%s", c->from_path, strerror(errno),
		    errno == EACCES ? TROUBLE_CURE
			"give this user the right to read it, and to enter its folder"
				    : TROUBLE_CURE "correct the path");
		return false;
	}
	return open_one(&c->from, c->from_path, SQLITE_OPEN_READONLY, err, err_size) &&
	       is_ours(c->from, c->from_path, false, err, err_size) &&
	       is_whole(c->from, c->from_path, err, err_size) &&
	       hold(c->from, c->from_path, err, err_size);
}

static bool
make_file(struct sqlite_copy *c, bool replace, char *err, size_t err_size)
{
	int fd = open(c->to_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);

	if (fd >= 0) {
		c->made = true;
		close(fd);
		return true;
	}
	if (errno == EEXIST && replace)
		return true;
	snprintf(err, err_size, "%s: %s%s", c->to_path, strerror(errno),
	    errno == EEXIST ? TROUBLE_CURE "name a file that is not there yet" : "");
	return false;
}

static bool
open_to(struct sqlite_copy *c, bool replace, char *err, size_t err_size)
{
	return make_file(c, replace, err, err_size) &&
	       open_one(&c->to, c->to_path, SQLITE_OPEN_READWRITE, err, err_size) &&
	       is_ours(c->to, c->to_path, true, err, err_size);
}

struct sqlite_copy *
sqlite_copy_create(const char *from, const char *to, bool replace, char *err, size_t err_size)
{
	struct sqlite_copy *c = xcalloc(1, sizeof(*c));
	char bytes[32];

	c->from_path = xstrdup(from);
	c->to_path = xstrdup(to);
	if (open_from(c, err, err_size) && open_to(c, replace, err, err_size)) {
		c->page_bytes =
		    query(c->from, "PRAGMA page_size", bytes, sizeof(bytes)) ? atol(bytes) : 0;
		c->backup = sqlite3_backup_init(c->to, "main", c->from, "main");
		if (c->backup != NULL)
			return c;
		fail_sqlite(c->to, c->to_path, err, err_size);
	}
	sqlite_copy_destroy(c);
	return NULL;
}

/* A backup is one file: with a log beside it, it would be what it is there to avoid. */
static bool
settle(struct sqlite_copy *c, char *err, size_t err_size)
{
	int rc = sqlite3_backup_finish(c->backup);

	c->backup = NULL;
	if (rc == SQLITE_OK && c->made)
		rc = sqlite3_exec(c->to, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL);
	if (rc != SQLITE_OK) {
		fail_sqlite(c->to, c->to_path, err, err_size);
		return false;
	}
	c->done = true;
	return true;
}

enum sqlite_copy_result
sqlite_copy_step(struct sqlite_copy *c, char *err, size_t err_size)
{
	int rc = sqlite3_backup_step(c->backup, SLICE_PAGES);

	if (rc == SQLITE_OK)
		return SQLITE_COPY_MORE;
	if (rc == SQLITE_DONE)
		return settle(c, err, err_size) ? SQLITE_COPY_DONE : SQLITE_COPY_FAILED;
	snprintf(err, err_size, "%s: %s%s", c->to_path, sqlite3_errstr(rc),
	    rc == SQLITE_BUSY   ? TROUBLE_CURE "stop the collector that has it open, and try again"
	    : rc == SQLITE_FULL ? TROUBLE_CURE "make room on the disk it is on"
				: "");
	return SQLITE_COPY_FAILED;
}

void
sqlite_copy_progress(const struct sqlite_copy *c, int64_t *done, int64_t *all)
{
	*all = *done = 0;
	if (c->backup == NULL)
		return;
	*all = sqlite3_backup_pagecount(c->backup) * c->page_bytes;
	*done = *all - sqlite3_backup_remaining(c->backup) * c->page_bytes;
}

void
sqlite_copy_destroy(struct sqlite_copy *c)
{
	if (c == NULL)
		return;
	if (c->backup != NULL)
		sqlite3_backup_finish(c->backup); /* rolls back */
	sqlite3_close(c->to);
	sqlite3_close(c->from);
	if (c->made && !c->done)
		unlink(c->to_path);
	free(c->from_path);
	free(c->to_path);
	free(c);
}
