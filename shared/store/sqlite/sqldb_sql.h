/* SPDX-License-Identifier: Apache-2.0 */
/* The tables behind sqlite://, and the text of every statement. For sqldb alone.
 *
 * Schema 5. What is said again and again is said once, and numbered: the names of hosts and
 * plugins, machines (with boot and the version of the agent), jobs.
 *
 * fresh    what is said about a plugin of a host (fact_columns.h), a small row: an answer that
 *          brings the same value again touches nothing else. By plugin, since a plugin is asked of
 *          the whole fleet: its rows lie together. hash: the first bytes of that of the value.
 *          bytes: of the value and of a text in unparsed. meta: what there is no column for.
 * version  every value that a host has had, appended and never changed. The newest of a pair is the
 *          value, fresh.version; a pair without one has had none. at: of the clock, never going
 *          back, so that a time is a place in seq. changed_at: when the answer was received.
 *          codec, base, bytes, v: value_codec.h; base is the seq of the key value. since: bytes of
 *          the differences from the same key value, up to this one.
 * version_of  finds those of a pair, but for the newest, which are in version_new, by seq; both
 *          may lead to some that are gone (sqlite_index.c, sqlite_history.c).
 * latest   the value of a plugin of which no history is kept, replaced.
 * unparsed what the format of the latest answer refused.
 * host     with created_at it is a record's head. greeted_at: the newest answer that changed this
 *          row; the record's updated_at is that or the newest received_at of its plugins.
 * job      with a text it is in the ledger; without one, a name that is mentioned.
 * outcome  the ledger. stray: 1 if the job was not there, else NULL.
 * notes    of the collector's own. */
#ifndef VOGELER_SQLDB_SQL_H
#define VOGELER_SQLDB_SQL_H

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
	STMT_HOST_GET,
	STMT_HOST_NAME,
	STMT_HOST_ADD,
	STMT_HOST_PUT,
	STMT_PLUGIN_GET,
	STMT_PLUGIN_ADD,
	STMT_MACHINE_GET,
	STMT_MACHINE_ADD,
	STMT_JOB_ID_GET,
	STMT_JOB_ID_ADD,
	STMT_FACT_GET,
	STMT_FACT_PUT,
	STMT_LAST_VERSION,
	STMT_VERSION_GET,
	STMT_VERSION_ADD,
	STMT_VERSION_OF_ADD,
	STMT_NEW_ADD,
	STMT_NEW_SPAN,
	STMT_NEW_LIST,
	STMT_NEW_DROP,
	STMT_UNPARSED_PUT,
	STMT_UNPARSED_DROP,
	STMT_RECORD_BYTES,
	STMT_DATA_VERSION,
	STMT_FACTS_OF,
	STMT_HEADS_OF,
	STMT_VALUE_OF,
	STMT_HOSTS_AFTER,
	STMT_HOST_AFTER_BY_TABLE,
	STMT_FORGET_VERSIONS,
	STMT_FORGET_VERSION_OF,
	STMT_FORGET_NEW,
	STMT_FORGET_LATEST,
	STMT_FORGET_UNPARSED,
	STMT_FORGET_FACTS,
	STMT_FORGET_HEAD,
	STMT_VERSION_SEEK,
	STMT_HISTORY_STEP,
	STMT_HISTORY_DROP_OLD,
	STMT_HISTORY_PAIR,
	STMT_HISTORY_DROP_MANY,
	STMT_HISTORY_CUT_INDEX,
	STMT_NAMES_COUNT,
	STMT_NAMES_DROP_HOSTS,
	STMT_NAMES_DROP_MACHINES,
	STMT_NAMES_DROP_JOBS,
	STMT_NAMES_DROP_PLUGINS,
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

extern const char sqldb_schema_sql[]; /* makes it, with its number */
extern const char *const sqldb_stmt_sql[STMT_COUNT];

#endif
