/* The file behind sqlite://: opening it, its schema, its statements. Blocking; used by one thread
 * at a time. Every failure leaves its sentence, with the path, in why. For the sqlite backend
 * alone.
 *
 * Schema 2. hosts: the head of a record. facts: what is said about each plugin. fact_values: the
 * values, apart, so that a result that brings the same value again, or a failure, writes a small
 * row and neither reads nor rewrites the value. jobs, outcomes: the ledger. Schema 1 had no ledger;
 * opening such a file adds it. */
#ifndef VOGELER_SQLDB_H
#define VOGELER_SQLDB_H

#include "shared/buf.h"
#include <jansson.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SQLDB_WHY_SIZE 512

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
	STMT_VALUE_PUT,
	STMT_RECORD_BYTES,
	STMT_FACTS_OF,
	STMT_FACT_OF,
	STMT_HOSTS_AFTER,
	STMT_JOB_PUT,
	STMT_JOB_GET,
	STMT_JOBS_BEFORE,
	STMT_JOBS_PRUNE,
	STMT_OUTCOME_PUT,
	STMT_OUTCOMES_AFTER,
	STMT_OUTCOMES_JOB_AFTER,
	STMT_OUTCOMES_NEWER,
	STMT_OUTCOMES_PRUNE,
	STMT_COUNT
};

struct sqldb {
	sqlite3 *handle;
	sqlite3_stmt *stmts[STMT_COUNT];
	char *path;
	dev_t dev; /* the file that was opened, */
	ino_t ino; /* to notice when the path leads to another */
	bool created;
	char why[SQLDB_WHY_SIZE]; /* of the latest failure */
	bool damaged; /* that was what we wrote, and cannot be read: no use to try again. The
			 caller clears it. */
};

/* Opens the file, or makes it (mode 0640) with its tables; the folder must be there. relaxed: a
 * commit does not wait for the disk (https://www.sqlite.org/pragma.html#pragma_synchronous). false:
 * why; close it all the same. Refuses what is no database, not ours, or made by a newer Vogeler. */
bool sqldb_open(struct sqldb *db, const char *path, bool relaxed);
void sqldb_close(struct sqldb *db);
/* Of an open one, as SQLite itself says: "full", "normal"; "?" when it cannot say. */
const char *sqldb_synchronous(struct sqldb *db);
void sqldb_fail(struct sqldb *db, const char *what);    /* sets why */
void sqldb_damaged(struct sqldb *db, const char *what); /* and damaged */
/* Does the path still lead to the file that is open? Writing to one that nobody will find again is
 * no storing. */
bool sqldb_file_is_there(struct sqldb *db);

/* SQLITE_ROW, SQLITE_DONE, or an error. Whoever leaves rows unread says sqldb_done. */
int sqldb_step(struct sqldb *db, enum stmt which);
bool sqldb_run(struct sqldb *db, enum stmt which); /* for statements without rows */
void sqldb_done(struct sqldb *db, enum stmt which);
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
/* Canonical text; initialises out, which is to be finished only on true. */
bool sqldb_write_json(struct sqldb *db, struct buf *out, const json_t *value);

#endif
