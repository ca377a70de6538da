/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of the tables that records are made of (sqldb_sql.h), of one host and plugin at a time. For
 * the sqlite backend alone. All of it is inside a transaction; false: db->why. */
#ifndef VOGELER_SQLITE_ROWS_H
#define VOGELER_SQLITE_ROWS_H

#include "shared/store/sqlite/sqldb.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- names (sqlite_names.c) ---- */

/* Each is added if it is not there. */
bool sqlite_host_id(struct sqldb *db, const char *name, int64_t *id);
bool sqlite_plugin_id(struct sqldb *db, const char *name, int64_t *id);
bool sqlite_job_id(struct sqldb *db, const char *name, int64_t *id);
/* NULL is none. */
bool sqlite_machine_id(
    struct sqldb *db, const char *machine, const char *boot, const char *agent, int64_t *id);
/* SQLITE_ROW: *id; _DONE: there is no record of it, or nobody has mentioned it. */
int sqlite_find_host(struct sqldb *db, const char *name, int64_t *id);
int sqlite_find_job(struct sqldb *db, const char *name, int64_t *id);
/* *name: the caller's; NULL when there is none of that number. */
bool sqlite_host_name(struct sqldb *db, int64_t id, char **name);

/* ---- what is said about a plugin of a host: a row of fresh (sqlite_fact.c) ---- */

#define SQLITE_HASH_PREFIX 8
/* What follows them in a row that is read begins there. */
#define SQLITE_FACT_COLUMNS    17
#define SQLITE_VERSION_COLUMNS 6

struct sqlite_fact {
	int64_t plugin, host;                /* numbers, */
	const char *plugin_name, *host_name; /* borrowed */
	bool found;                          /* it is stored */
	int64_t heard_at;                    /* when the latest answer came that changed it */
	int64_t version;                     /* of the value; 0 = there is none */
	/* The value's hash begins so. The whole is in the table of versions, of which a confirmed
	 * value needs no page. */
	bool has_prefix;
	unsigned char prefix[SQLITE_HASH_PREFIX];
	int64_t bytes;          /* of the value and of what could not be read, */
	int64_t unparsed_bytes; /* of the latter alone */
	size_t meta_bytes;      /* of what has no column */
	/* Of the machine that answered, and what is said of it: most answers are of the same. */
	int64_t machine;
	json_t *as_read; /* meta; owned */
};
void sqlite_fact_finish(struct sqlite_fact *row);

/* Of the row that the statement is on, whose first columns it is; its numbers and names are set.
 * *meta: the caller's, without hash and changed_at, which are the value's; unparsed is a number in
 * the place of the text. */
bool sqlite_fact_read(struct sqldb *db, enum stmt which, struct sqlite_fact *row, json_t **meta);
/* Writes it, with meta's hash and changed_at only where there is no value. */
bool sqlite_fact_write(struct sqldb *db, struct sqlite_fact *row, const json_t *meta);

/* ---- values (sqlite_value.c) ---- */

struct sqlite_value { /* borrowed */
	const char *text;
	size_t len;
	const char *hash;
	int64_t changed_at, order; /* 0 = absent */
};

/* Appends it as the newest of row's, which is to be written then. */
bool sqlite_value_append(struct sqldb *db, struct sqlite_fact *row, const struct sqlite_value *v);
/* Of the row that the statement is on, with the version's columns from first on. *text: the
 * caller's; NULL when version is 0. */
bool sqlite_value_read(
    struct sqldb *db, enum stmt which, int first, int64_t version, char **text, size_t *len);
/* Sets what meta has of the value. */
void sqlite_value_read_meta(struct sqldb *db, enum stmt which, int first, json_t *meta);

#endif
