/* SPDX-License-Identifier: Apache-2.0 */
/* The file behind sqlite://: opening it, its schema, its statements. Blocking; used by one thread
 * at a time. Every failure leaves its sentence, with the path, in why. For the sqlite backend
 * alone.
 *
 * Schema 4. hosts: the head of a record. facts: what is said about each plugin. fact_values: the
 * values, apart, so that a result that brings the same value again, or a failure, writes a small
 * row and neither reads nor rewrites the value. notes: of the collector's own. jobs, outcomes: the
 * ledger. Schema 1 had no ledger, 2 did not tell which outcomes are of jobs that are not there, 3
 * had no notes; opening such a file adds it. */
#ifndef VOGELER_SQLDB_H
#define VOGELER_SQLDB_H

#include "shared/base/buf.h"
#include "shared/base/trouble.h"
#include <jansson.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SQLDB_SCHEMA_VERSION 4
#define SQLDB_JSON_MAX       (512 * 1024 * 1024) /* bytes of a text that is written */

enum stmt {
	STMT_BEGIN_READ,
	STMT_BEGIN_WRITE,
	STMT_COMMIT,
	STMT_ROLLBACK,
	STMT_SAVE,
	STMT_RELEASE,
	STMT_UNDO,
	STMT_PROBE,
	STMT_UNPROBE,
	STMT_HEAD_GET,
	STMT_HEAD_PUT,
	STMT_FACT_GET,
	STMT_FACT_PUT,
	STMT_FACT_DROP,
	STMT_VALUE_PUT,
	STMT_RECORD_BYTES,
	STMT_FACTS_OF,
	STMT_METAS_OF,
	STMT_FACT_OF,
	STMT_HOSTS_AFTER,
	STMT_FACTS_HOST_AFTER,
	STMT_FORGET_HEAD,
	STMT_FORGET_FACTS,
	STMT_FORGET_VALUES,
	STMT_NOTE_PUT,
	STMT_NOTES,
	STMT_JOB_PUT,
	STMT_JOB_GET,
	STMT_JOBS_BEFORE,
	STMT_JOBS_BEFORE_BY_TABLE,
	STMT_JOBS_PRUNE,
	STMT_OUTCOME_PUT,
	STMT_STRAYS_TRIM,
	STMT_STRAYS_OF_JOB,
	STMT_OUTCOMES_AFTER,
	STMT_OUTCOMES_ODD,
	STMT_OUTCOMES_JOB_AFTER,
	STMT_OUTCOMES_NEWER,
	STMT_OUTCOMES_PRUNE,
	STMT_COUNT
};

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

struct sqldb {
	sqlite3 *handle;
	sqlite3_stmt *stmts[STMT_COUNT];
	char *path;
	dev_t dev; /* the file that was opened, */
	ino_t ino; /* to notice when the path leads to another */
	bool created;
	bool read_only; /* this user may not write the file */
	bool relaxed;
	bool small_cache;
	struct trouble why;     /* the latest failure */
	enum sqldb_fault fault; /* the same; the caller clears it */
};

/* Opens the file; with make, it is made with its tables when it is not there, in a folder that is:
 * for its group too, as far as the umask lets it, and, by root, for the owner of the folder, who
 * could else not use it. Without make it is opened to be read only where this user may not write
 * it. relaxed: a commit does not wait for the disk
 * (https://www.sqlite.org/pragma.html#pragma_synchronous). false: why; close it all the same.
 * Refuses what is no database, not ours, or made by a newer Vogeler. */
bool sqldb_open(struct sqldb *db, const char *path, bool make, bool relaxed);
void sqldb_close(struct sqldb *db);
/* Returns, of an open one, what SQLite itself says: "full", "normal"; "?" when it cannot say. */
const char *sqldb_synchronous(struct sqldb *db);
/* Sets why, and with it the path; the fault is the file's. cure may be NULL. */
void sqldb_fail(struct sqldb *db, const char *cure, const char *what);
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
/* Runs a query to its end, for nothing but that. */
bool sqldb_can_read(struct sqldb *db, const char *sql);
/* Takes the first column of a query's first row. */
bool sqldb_query_int(struct sqldb *db, const char *sql, int64_t *value);
int64_t sqldb_changes(struct sqldb *db); /* rows that the latest statement wrote or removed */
/* Ends a transaction, if one is open; keeps why. */
void sqldb_roll_back(struct sqldb *db);

/* Columns count from 1 when bound, from 0 when read, as in SQLite. A text that is bound must live
 * until the statement is through; NULL is NULL. */
void sqldb_bind_text(struct sqldb *db, enum stmt which, int column, const char *text, size_t len);
void sqldb_bind_str(struct sqldb *db, enum stmt which, int column, const char *text);
void sqldb_bind_int(struct sqldb *db, enum stmt which, int column, int64_t value);
const char *sqldb_column_text(struct sqldb *db, enum stmt which, int column, size_t *len);
int64_t sqldb_column_int(struct sqldb *db, enum stmt which, int column);
/* NULL gives NULL. false: not JSON; damaged. */
bool sqldb_column_json(struct sqldb *db, enum stmt which, int column, json_t **out);
/* Around writing what is large. That it cannot be made small costs memory alone. */
void sqldb_use_small_cache(struct sqldb *db, bool small);
/* Canonical text; initialises out, which is to be finished only on true. */
bool sqldb_write_json(struct sqldb *db, struct buf *out, const json_t *value);

#endif
