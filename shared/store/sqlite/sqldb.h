/* SPDX-License-Identifier: Apache-2.0 */
/* The file behind sqlite://: opening it, its schema, its statements. Blocking; used by one thread
 * at a time. Every failure leaves its sentence, with the path, in why. For the sqlite backend
 * alone.
 *
 * The tables are in sqldb_sql.h. A file of an older Vogeler (schemas 1 to 4) is open, but none of
 * its statements can be run before sqlite_migrate.h has brought it up to date. */
#ifndef VOGELER_SQLDB_H
#define VOGELER_SQLDB_H

#include "shared/base/buf.h"
#include "shared/base/trouble.h"
#include "shared/store/sqlite/sqldb_sql.h"
#include <jansson.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SQLDB_SCHEMA_VERSION 5
#define SQLDB_KNOWN          8                   /* plugins in one transaction, mostly */
#define SQLDB_KNOWN_SIZE     64                  /* longer names are looked for each time */
#define SQLDB_JSON_MAX       (512 * 1024 * 1024) /* bytes of a text that is written */

/* A fault says whose a failure is. Of the file as a whole nothing more can be expected for now; of
 * what lies where only some rows are, others know nothing. */
enum sqldb_fault {
	SQLDB_FAULT_NONE,
	SQLDB_FAULT_FILE,    /* full, locked, not writable, no memory: it may pass */
	SQLDB_FAULT_ROW,     /* a damaged page, or one that cannot be read from the disk */
	SQLDB_FAULT_DAMAGED, /* what we wrote is not JSON any more: no use to try again */
};

/* A page of the file is damaged. */
#define SQLDB_CURE_DAMAGED                                                                         \
	"stop the collector; put a backup in its place, or what sqlite3 FILE .recover saves"

struct value_coder;

/* The number of a name, as long as epoch is the same. */
struct sqldb_known {
	uint64_t epoch; /* 0 = nothing is known */
	char name[SQLDB_KNOWN_SIZE];
	int64_t id;
};

struct sqldb {
	sqlite3 *handle;
	struct value_coder *coder;
	sqlite3_stmt *stmts[STMT_COUNT];
	char *path;
	dev_t dev; /* the file that was opened, */
	ino_t ino; /* to notice when the path leads to another */
	bool created;
	int schema;     /* of the file */
	bool read_only; /* this user may not write the file */
	bool make;
	bool relaxed;
	bool small_cache;
	/* Counts where what is known of rows may end: transactions that begin, and what is undone.
	 */
	uint64_t epoch;
	struct sqldb_known plugins[SQLDB_KNOWN], job; /* sqlite_names.c's */
	struct trouble why;                           /* the latest failure */
	enum sqldb_fault fault;                       /* the same; the caller clears it */
};

/* Says whether it is of an older Vogeler: then nothing can be asked of it yet. */
bool sqldb_is_old(const struct sqldb *db);
/* Opens the file; with make, it is made with its tables when it is not there, in a folder that is:
 * for its group too, as far as the umask lets it, and, by root, for the owner of the folder, who
 * could else not use it. Without make it is opened to be read only where this user may not write
 * it, and one of an older Vogeler is refused. relaxed: a commit does not wait for the disk
 * (https://www.sqlite.org/pragma.html#pragma_synchronous). false: why; close it all the same.
 * Refuses what is no database, not ours, or made by a newer Vogeler. */
bool sqldb_open(struct sqldb *db, const char *path, bool make, bool relaxed);
void sqldb_close(struct sqldb *db);
/* Returns, of an open one, what SQLite itself says: "full", "normal"; "?" when it cannot say. */
const char *sqldb_synchronous(struct sqldb *db);
/* Sets why, and with it the path; the fault is the file's. cure may be NULL. */
void sqldb_fail(struct sqldb *db, const char *cure, const char *what);
/* Says what SQLite says, and the way out where there is one. */
void sqldb_fail_sqlite(struct sqldb *db);
void sqldb_damaged(struct sqldb *db, const char *what);
/* Returns the size of the write-ahead log, which grows while somebody reads without end; 0 = there
 * is none. Any thread. */
int64_t sqldb_wal_bytes(const struct sqldb *db);
/* Says, before a write, whether the path still leads to the file that is open. Writing to one that
 * nobody will find again is no storing. And SQLite opens a file that cannot be written so that it
 * can be read, for good: once it can be written it is opened anew. */
bool sqldb_file_is_there(struct sqldb *db);
/* Is the file system it is on mounted so that nothing can be written? */
bool sqldb_is_mounted_read_only(const char *path);

/* SQLITE_ROW, SQLITE_DONE, or an error. Whoever leaves rows unread says sqldb_done. */
int sqldb_step(struct sqldb *db, enum stmt which);
bool sqldb_run(struct sqldb *db, enum stmt which); /* for statements without rows */
void sqldb_done(struct sqldb *db, enum stmt which);
bool sqldb_exec(struct sqldb *db, const char *sql); /* any number of statements without rows */
/* Makes the statements, once the tables are there. */
bool sqldb_prepare(struct sqldb *db);
void sqldb_unprepare(struct sqldb *db);
/* Runs a query to its end, for nothing but that. */
bool sqldb_can_read(struct sqldb *db, const char *sql);
/* Takes the first column of a query's first row. */
bool sqldb_query_int(struct sqldb *db, const char *sql, int64_t *value);
int64_t sqldb_changes(struct sqldb *db); /* rows that the latest statement wrote or removed */
int64_t sqldb_last_id(struct sqldb *db); /* of the latest row that was added */
/* Ends a transaction, if one is open; keeps why. */
void sqldb_roll_back(struct sqldb *db);

/* Columns count from 1 when bound, from 0 when read, as in SQLite. A text that is bound must live
 * until the statement is through; NULL is NULL. */
void sqldb_bind_text(struct sqldb *db, enum stmt which, int column, const char *text, size_t len);
void sqldb_bind_str(struct sqldb *db, enum stmt which, int column, const char *text);
void sqldb_bind_blob(struct sqldb *db, enum stmt which, int column, const void *data, size_t len);
void sqldb_bind_int(struct sqldb *db, enum stmt which, int column, int64_t value);
const char *sqldb_column_text(struct sqldb *db, enum stmt which, int column, size_t *len);
const void *sqldb_column_blob(struct sqldb *db, enum stmt which, int column, size_t *len);
bool sqldb_column_is_null(struct sqldb *db, enum stmt which, int column);
int64_t sqldb_column_int(struct sqldb *db, enum stmt which, int column);
/* NULL gives NULL. false: not JSON; damaged. */
bool sqldb_column_json(struct sqldb *db, enum stmt which, int column, json_t **out);
/* Around writing what is large. That it cannot be made small costs memory alone. */
void sqldb_use_small_cache(struct sqldb *db, bool small);
/* Canonical text; initialises out, which is to be finished only on true. */
bool sqldb_write_json(struct sqldb *db, struct buf *out, const json_t *value);

#endif
