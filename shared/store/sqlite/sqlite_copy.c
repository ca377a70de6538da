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
fail_sqlite(sqlite3 *db, const char *path, struct trouble *why)
{
	const char *cure = NULL;

	switch (sqlite3_errcode(db)) {
	case SQLITE_FULL:
		cure = "make room on the disk it is on";
		break;
	case SQLITE_BUSY:
		cure = "another program writes to it without a pause; try again";
		break;
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
	case SQLITE_READONLY:
		cure = "give this user the right to read and write it and its folder";
		break;
	}
	trouble_set(why, TROUBLE_OTHER, cure, "%s: %s", path, sqlite3_errmsg(db));
}

static bool
open_one(sqlite3 **db, const char *path, int flags, struct trouble *why)
{
	if (sqlite3_open_v2(path, db, flags | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK) {
		sqlite3_busy_timeout(*db, BUSY_TIMEOUT_MS);
		return true;
	}
	fail_sqlite(*db, path, why);
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
is_ours(sqlite3 *db, const char *path, bool empty_too, struct trouble *why)
{
	char version[32], tables[32];

	if (!query(db, "PRAGMA user_version", version, sizeof(version)) ||
	    !query(db, "SELECT count(*) FROM sqlite_master", tables, sizeof(tables))) {
		fail_sqlite(db, path, why);
		return false;
	}
	if (empty_too && strcmp(version, "0") == 0 && strcmp(tables, "0") == 0)
		return true;
	if (atol(version) >= 1 && atol(version) <= SQLDB_SCHEMA_VERSION)
		return true;
	if (atol(version) > SQLDB_SCHEMA_VERSION)
		trouble_set(why, TROUBLE_OTHER, "use its vogeler-admin",
		    "%s: made by a newer Vogeler", path);
	else
		trouble_set(why, TROUBLE_OTHER, "name the file that dbhost names, or a backup",
		    "%s: not a store of Vogeler's", path);
	return false;
}

/* Checks it, since what is damaged is not to be copied in silence: a backup that cannot be restored
 * is none. */
static bool
is_whole(sqlite3 *db, const char *path, struct trouble *why)
{
	char verdict[256];

	if (!query(db, "PRAGMA quick_check(1)", verdict, sizeof(verdict))) {
		fail_sqlite(db, path, why);
		return false;
	}
	if (strcmp(verdict, "ok") == 0)
		return true;
	trouble_set(why, TROUBLE_OTHER, "put an older backup in its place (vogeler-admin restore)",
	    "%s: damaged: %s", path, verdict);
	return false;
}

/* Makes what is read from here to the end the content of one moment. */
static bool
hold(sqlite3 *db, const char *path, struct trouble *why)
{
	char tables[32];

	if (sqlite3_exec(db, "BEGIN", NULL, NULL, NULL) == SQLITE_OK &&
	    query(db, "SELECT count(*) FROM sqlite_master", tables, sizeof(tables)))
		return true;
	fail_sqlite(db, path, why);
	return false;
}

static bool
open_from(struct sqlite_copy *c, struct trouble *why)
{
	if (access(c->from_path, R_OK) != 0) {
		trouble_set(why, TROUBLE_OTHER,
		    errno == EACCES ? "give this user the right to read it, and to enter its folder"
				    : "correct the path",
		    "%s: %s", c->from_path, strerror(errno));
		return false;
	}
	return open_one(&c->from, c->from_path, SQLITE_OPEN_READONLY, why) &&
	       is_ours(c->from, c->from_path, false, why) && is_whole(c->from, c->from_path, why) &&
	       hold(c->from, c->from_path, why);
}

static bool
make_file(struct sqlite_copy *c, bool replace, struct trouble *why)
{
	int fd = open(c->to_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);

	if (fd >= 0) {
		c->made = true;
		close(fd);
		return true;
	}
	if (errno == EEXIST && replace)
		return true;
	trouble_set(why, TROUBLE_OTHER,
	    errno == EEXIST ? "name a file that is not there yet" : NULL, "%s: %s", c->to_path,
	    strerror(errno));
	return false;
}

static bool
open_to(struct sqlite_copy *c, bool replace, struct trouble *why)
{
	return make_file(c, replace, why) &&
	       open_one(&c->to, c->to_path, SQLITE_OPEN_READWRITE, why) &&
	       is_ours(c->to, c->to_path, true, why);
}

struct sqlite_copy *
sqlite_copy_create(const char *from, const char *to, bool replace, struct trouble *why)
{
	struct sqlite_copy *c = xcalloc(1, sizeof(*c));
	char bytes[32];

	c->from_path = xstrdup(from);
	c->to_path = xstrdup(to);
	if (open_from(c, why) && open_to(c, replace, why)) {
		c->page_bytes =
		    query(c->from, "PRAGMA page_size", bytes, sizeof(bytes)) ? atol(bytes) : 0;
		c->backup = sqlite3_backup_init(c->to, "main", c->from, "main");
		if (c->backup != NULL)
			return c;
		fail_sqlite(c->to, c->to_path, why);
	}
	sqlite_copy_destroy(c);
	return NULL;
}

/* A backup is one file: with a log beside it, it would be what it is there to avoid. */
static bool
settle(struct sqlite_copy *c, struct trouble *why)
{
	int rc = sqlite3_backup_finish(c->backup);

	c->backup = NULL;
	if (rc == SQLITE_OK && c->made)
		rc = sqlite3_exec(c->to, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL);
	if (rc != SQLITE_OK) {
		fail_sqlite(c->to, c->to_path, why);
		return false;
	}
	c->done = true;
	return true;
}

enum sqlite_copy_result
sqlite_copy_step(struct sqlite_copy *c, struct trouble *why)
{
	int rc = sqlite3_backup_step(c->backup, SLICE_PAGES);

	if (rc == SQLITE_OK)
		return SQLITE_COPY_MORE;
	if (rc == SQLITE_DONE)
		return settle(c, why) ? SQLITE_COPY_DONE : SQLITE_COPY_FAILED;
	trouble_set(why, TROUBLE_OTHER,
	    rc == SQLITE_BUSY   ? "stop the collector that has it open, and try again"
	    : rc == SQLITE_FULL ? "make room on the disk it is on"
				: NULL,
	    "%s: %s", c->to_path, sqlite3_errstr(rc));
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
