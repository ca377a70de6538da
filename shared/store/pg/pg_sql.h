/* SPDX-License-Identifier: Apache-2.0 */
/* Every statement of the PostgreSQL store. A connection prepares each at its first use. */
#ifndef VOGELER_PG_SQL_H
#define VOGELER_PG_SQL_H

struct pg_args;
struct pg_session;

enum pg_stmt {
	PG_STMT_UNBLOCK,
	PG_STMT_PAUSE,
	PG_STMT_READ_HEADS,
	PG_STMT_READ_FACTS,
	PG_STMT_PLUGIN_NEW,
	PG_STMT_HOST_NEW,
	PG_STMT_HOST_SET,
	PG_STMT_FACT_NEW,
	PG_STMT_FACT_SET,
	PG_STMT_VALUE_SET,
	PG_STMT_VALUE_COPY,
	PG_STMT_OUTCOME_PUT,
	PG_STMT_STRAYS_TRIM,

	PG_STMT_RECORD_GET,
	PG_STMT_RECORDS_AFTER,
	PG_STMT_VALUES_AFTER,
	PG_STMT_NAMES_AFTER,
	PG_STMT_HEADS_AFTER,
	PG_STMT_FORGET_VERSIONS,
	PG_STMT_FORGET_HOST,

	PG_STMT_NOTE_PUT,
	PG_STMT_NOTES,
	PG_STMT_JOB_PUT,
	PG_STMT_STRAYS_OF_JOB,
	PG_STMT_JOB_GET,
	PG_STMT_JOBS_BEFORE,
	PG_STMT_OUTCOMES_AFTER,
	PG_STMT_OUTCOMES_ODD,
	PG_STMT_JOBS_PRUNE,
	PG_STMT_OUTCOMES_PRUNE,
	PG_STMT_HISTORY_PRUNE,

	PG_STMT_SCHEMA_VERSION,
	PG_STMT_SCHEMA_SETUP,
	PG_STMT_PROBE,
	PG_STMT_UNPROBE,
	PG_N_STMTS,
};

extern const char *const pg_sql[PG_N_STMTS];

/* Gives it to the server, within pg_task.send alone. What args points to is copied. */
void pg_send(struct pg_session *s, enum pg_stmt stmt, const struct pg_args *args);

/* The columns of what is read of a fact: PG_FACT_COLUMNS in pg_sql.c, from PG_COL_FACT of each. */
enum pg_fact_column {
	PG_FACT_BYTES,
	PG_FACT_ORD,
	PG_FACT_RECEIVED_AT,
	PG_FACT_COLLECTED_AT,
	PG_FACT_CHANGED_AT,
	PG_FACT_DURATION_MS,
	PG_FACT_EXIT_STATUS,
	PG_FACT_FORMAT,
	PG_FACT_HASH,
	PG_FACT_MACHINE_ID,
	PG_FACT_BOOT_ID,
	PG_FACT_AGENT,
	PG_FACT_JOB,
	PG_FACT_RESPONSE_ID,
	PG_FACT_META,
	PG_FACT_N_COLUMNS,
};

/* READ_HEADS($1 names): which of them, counted from 1, and what is stored of it. */
enum pg_head_column {
	PG_HEAD_N,
	PG_HEAD_GUARD,
	PG_HEAD_CREATED_AT,
	PG_HEAD_GREETED_AT,
	PG_HEAD_LAST_ERROR,
	PG_HEAD_BYTES,
};

/* READ_FACTS($1 hosts, $2 plugins, $3 hashes of what came, $4 bytes of it): of those that are
 * there. BASE is absent where nothing changed, and where a difference from it could not be small.
 */
enum pg_read_column {
	PG_READ_N,
	PG_READ_GUARD,
	PG_READ_META_BYTES,
	PG_READ_UNPARSED_BYTES,
	PG_READ_AT,
	PG_READ_SINCE_BASE,
	PG_READ_BASE,
	PG_READ_BASE_CODEC,
	PG_READ_BASE_BYTES,
	PG_READ_BASE_V,
	PG_READ_FACT,
};

/* RECORD_GET($1 name), RECORDS_AFTER($1 name, $2 hosts, $3 bytes): a row for each fact of a host,
 * or one with a plugin that is NULL. HEADS_AFTER($1, $2) has the columns before UNPARSED. */
enum pg_record_column {
	PG_RECORD_HOST,
	PG_RECORD_CREATED_AT,
	PG_RECORD_GREETED_AT,
	PG_RECORD_LAST_ERROR,
	PG_RECORD_PLUGIN,
	PG_RECORD_FACT,
	PG_RECORD_UNPARSED = PG_RECORD_FACT + PG_FACT_N_COLUMNS,
	PG_RECORD_VALUE,
};

/* Of a value: behind each other, in RECORD_GET, RECORDS_AFTER from PG_RECORD_VALUE on, in
 * VALUES_AFTER($1 name, $2 hosts, $3 bytes, $4 plugins) behind host and plugin. */
enum pg_value_column {
	PG_VALUE_CODEC,
	PG_VALUE_BYTES,
	PG_VALUE_V,
	PG_VALUE_BASE_CODEC,
	PG_VALUE_BASE_BYTES,
	PG_VALUE_BASE_V,
};

#endif
