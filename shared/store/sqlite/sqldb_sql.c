/* SPDX-License-Identifier: Apache-2.0 */
/* See sqldb_sql.h. */
#include "shared/store/sqlite/sqldb_sql.h"

const char sqldb_schema_sql[] =
    "CREATE TABLE IF NOT EXISTS notes (id TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE host (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, created_at INTEGER,"
    " greeted_at INTEGER, last_error TEXT);"
    "CREATE TABLE plugin (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
    "CREATE TABLE machine (id INTEGER PRIMARY KEY, machine_id TEXT NOT NULL, boot_id TEXT NOT NULL,"
    " agent TEXT NOT NULL, UNIQUE (machine_id, boot_id, agent));"
    "CREATE TABLE job (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, sent_at INTEGER,"
    " not_after INTEGER, job TEXT);"
    "CREATE INDEX job_by_time ON job (sent_at, name);"
    "CREATE TABLE fresh (plugin INTEGER, host INTEGER, ord INTEGER, received_at INTEGER,"
    " collected_at INTEGER, duration_ms INTEGER, exit_status INTEGER, format INTEGER,"
    " machine INTEGER, job INTEGER, response_id, hash BLOB, bytes INTEGER, version INTEGER,"
    " meta TEXT, volatile TEXT, PRIMARY KEY (plugin, host)) WITHOUT ROWID;"
    "CREATE INDEX fresh_by_host ON fresh (host);"
    "CREATE TABLE version (seq INTEGER PRIMARY KEY AUTOINCREMENT, plugin INTEGER NOT NULL,"
    " host INTEGER NOT NULL, at INTEGER NOT NULL, changed_at INTEGER, ord INTEGER, base INTEGER,"
    " since INTEGER, codec INTEGER NOT NULL, bytes INTEGER NOT NULL, hash BLOB, v BLOB NOT NULL);"
    "CREATE TABLE version_of (plugin INTEGER, host INTEGER, seq INTEGER,"
    " PRIMARY KEY (plugin, host, seq)) WITHOUT ROWID;"
    "CREATE TABLE version_new (seq INTEGER PRIMARY KEY, plugin INTEGER, host INTEGER);"
    "CREATE TABLE latest (plugin INTEGER, host INTEGER, v BLOB NOT NULL,"
    " PRIMARY KEY (plugin, host));"
    "CREATE TABLE unparsed (plugin INTEGER, host INTEGER, v TEXT NOT NULL,"
    " PRIMARY KEY (plugin, host));"
    "CREATE TABLE outcome (job INTEGER, host INTEGER, ord INTEGER, state INTEGER, response_id,"
    " at INTEGER NOT NULL, why TEXT, duration_ms INTEGER NOT NULL, exit_status INTEGER NOT NULL,"
    " stray INTEGER, PRIMARY KEY (job, host, ord, state, response_id)) WITHOUT ROWID;"
    "CREATE INDEX outcome_stray ON outcome (host, at) WHERE stray = 1;"
    "PRAGMA user_version = 5"; /* SQLDB_SCHEMA_VERSION */

/* A key that has become of another type sorts behind all of its own: asked for what follows it, as
 * one of its own, SQLite would give it for ever. */
#define IS_TEXT(column) column " < X''"
#define IS_INT(column)  column " < ''"

/* The row's key is of the types that were written: reading goes on behind it, so one that is not
 * would come again and again; and a state that there is not is none to count by. */
#define OUTCOME_IS_WHOLE(states)                                                                   \
	"typeof(host) = 'integer' AND typeof(ord) = 'integer' AND typeof(state) = 'integer'"       \
	" AND state >= 0 AND state < " states " AND typeof(response_id) IN ('text', 'blob')"

/* In the order of sqlite_fact.c. */
#define FACT_COLUMNS                                                                               \
	"f.ord, f.received_at, f.collected_at, f.duration_ms, f.exit_status, f.format, f.machine," \
	" m.machine_id, m.boot_id, m.agent, f.job, j.name, f.response_id, f.hash, f.bytes,"        \
	" f.version, f.meta"
#define FACT_NAMES " LEFT JOIN machine m ON m.id = f.machine LEFT JOIN job j ON j.id = f.job"
/* In the order of sqlite_value.c. */
#define VERSION_COLUMNS "v.codec, v.base, v.bytes, v.v, v.changed_at, v.hash"

const char *const sqldb_stmt_sql[STMT_COUNT] = {
    [STMT_BEGIN_READ] = "BEGIN",
    [STMT_BEGIN_WRITE] = "BEGIN IMMEDIATE",
    [STMT_COMMIT] = "COMMIT",
    [STMT_ROLLBACK] = "ROLLBACK",
    [STMT_SAVE] = "SAVEPOINT one_write",
    [STMT_RELEASE] = "RELEASE one_write",
    [STMT_UNDO] = "ROLLBACK TO one_write",
    [STMT_PROBE] = "INSERT OR REPLACE INTO host (name) VALUES ('vogeler.probe')",
    [STMT_UNPROBE] = "DELETE FROM host WHERE name = 'vogeler.probe'",

    [STMT_HOST_GET] = "SELECT id, created_at, greeted_at, last_error FROM host WHERE name = ?1",
    [STMT_HOST_NAME] = "SELECT name FROM host WHERE id = ?1",
    [STMT_HOST_ADD] = "INSERT INTO host (name) VALUES (?1)",
    [STMT_HOST_PUT] =
	"UPDATE host SET created_at = ?2, greeted_at = ?3, last_error = ?4 WHERE id = ?1",
    [STMT_PLUGIN_GET] = "SELECT id FROM plugin WHERE name = ?1",
    [STMT_PLUGIN_ADD] = "INSERT INTO plugin (name) VALUES (?1)",
    [STMT_MACHINE_GET] =
	"SELECT id FROM machine WHERE machine_id = ?1 AND boot_id = ?2 AND agent = ?3",
    [STMT_MACHINE_ADD] = "INSERT INTO machine (machine_id, boot_id, agent) VALUES (?1, ?2, ?3)",
    [STMT_JOB_ID_GET] = "SELECT id FROM job WHERE name = ?1",
    [STMT_JOB_ID_ADD] = "INSERT INTO job (name) VALUES (?1)",

    [STMT_FACT_GET] =
	"SELECT " FACT_COLUMNS " FROM fresh f" FACT_NAMES " WHERE f.plugin = ?1 AND f.host = ?2",
    [STMT_FACT_PUT] =
	"INSERT INTO fresh (plugin, host, ord, received_at, collected_at, duration_ms, exit_status,"
	" format, machine, job, response_id, hash, bytes, version, meta) VALUES (?1, ?2, ?3, ?4,"
	" ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15) ON CONFLICT (plugin, host) DO UPDATE"
	" SET ord = excluded.ord, received_at = excluded.received_at,"
	" collected_at = excluded.collected_at, duration_ms = excluded.duration_ms,"
	" exit_status = excluded.exit_status, format = excluded.format,"
	" machine = excluded.machine, job = excluded.job, response_id = excluded.response_id,"
	" hash = excluded.hash, bytes = excluded.bytes, version = excluded.version,"
	" meta = excluded.meta",
    [STMT_LAST_VERSION] = "SELECT seq, at FROM version ORDER BY seq DESC LIMIT 1",
    [STMT_VERSION_GET] = "SELECT " VERSION_COLUMNS ", v.since FROM version v WHERE v.seq = ?1",
    [STMT_VERSION_ADD] =
	"INSERT INTO version (plugin, host, at, changed_at, ord, base, since, codec, bytes, hash,"
	" v) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    [STMT_VERSION_OF_ADD] =
	"INSERT INTO version_of (plugin, host, seq) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
    [STMT_NEW_ADD] = "INSERT INTO version_new (plugin, host, seq) VALUES (?1, ?2, ?3)",
    [STMT_NEW_SPAN] = "SELECT coalesce((SELECT min(seq) FROM version_new), 0),"
		      " coalesce((SELECT max(seq) FROM version_new), 0)",
    [STMT_NEW_LIST] = "SELECT plugin, host, seq FROM version_new WHERE seq BETWEEN ?1 AND ?2",
    [STMT_NEW_DROP] = "DELETE FROM version_new WHERE seq <= ?1",
    [STMT_UNPARSED_PUT] = "INSERT INTO unparsed (plugin, host, v) VALUES (?1, ?2, ?3)"
			  " ON CONFLICT (plugin, host) DO UPDATE SET v = excluded.v",
    [STMT_UNPARSED_DROP] = "DELETE FROM unparsed WHERE plugin = ?1 AND host = ?2",
    /* ?2 stands for what no table has of a fact: its columns. */
    [STMT_RECORD_BYTES] =
	"SELECT total(bytes + coalesce(length(CAST(meta AS BLOB)), 0) + ?2) + coalesce((SELECT"
	" length(CAST(last_error AS BLOB)) FROM host WHERE id = ?1), 0)"
	" FROM fresh INDEXED BY fresh_by_host WHERE host = ?1",

    [STMT_DATA_VERSION] = "PRAGMA data_version",

    [STMT_FACTS_OF] =
	"SELECT " FACT_COLUMNS ", p.name, " VERSION_COLUMNS ", u.v"
	" FROM fresh f INDEXED BY fresh_by_host" FACT_NAMES " LEFT JOIN plugin p ON p.id = f.plugin"
	" LEFT JOIN version v ON v.seq = f.version"
	" LEFT JOIN unparsed u ON u.plugin = f.plugin AND u.host = f.host"
	" WHERE f.host = ?1",
    /* Values are in tables of their own: not a page of them is read. */
    [STMT_HEADS_OF] = "SELECT p.name, f.ord, f.received_at, f.collected_at, f.machine,"
		      " m.machine_id, m.agent, f.meta FROM fresh f INDEXED BY fresh_by_host"
		      " LEFT JOIN machine m ON m.id = f.machine"
		      " LEFT JOIN plugin p ON p.id = f.plugin WHERE f.host = ?1 ORDER BY p.name",
    [STMT_VALUE_OF] = "SELECT f.version, " VERSION_COLUMNS " FROM plugin p"
		      " JOIN fresh f ON f.plugin = p.id AND f.host = ?1"
		      " LEFT JOIN version v ON v.seq = f.version WHERE p.name = ?2",
    /* Names come from the index alone, so that a damaged row is met by itself. */
    [STMT_HOSTS_AFTER] =
	"SELECT name FROM host WHERE name > ?1 AND " IS_TEXT("name") " ORDER BY name LIMIT ?2",
    /* Slow, and right where the index is damaged. */
    [STMT_HOST_AFTER_BY_TABLE] =
	"SELECT min(name) FROM host NOT INDEXED WHERE name > ?1 AND " IS_TEXT("name"),
    [STMT_FORGET_VERSIONS] =
	"DELETE FROM version WHERE seq IN (SELECT o.seq FROM fresh f INDEXED BY fresh_by_host"
	" JOIN version_of o ON o.plugin = f.plugin AND o.host = f.host WHERE f.host = ?1"
	" UNION ALL SELECT seq FROM version_new WHERE host = ?1)",
    [STMT_FORGET_VERSION_OF] =
	"DELETE FROM version_of WHERE host = ?1 AND plugin IN"
	" (SELECT plugin FROM fresh INDEXED BY fresh_by_host WHERE host = ?1)",
    [STMT_FORGET_NEW] = "DELETE FROM version_new WHERE host = ?1",
    [STMT_FORGET_LATEST] = "DELETE FROM latest WHERE host = ?1 AND plugin IN"
			   " (SELECT plugin FROM fresh INDEXED BY fresh_by_host WHERE host = ?1)",
    [STMT_FORGET_UNPARSED] = "DELETE FROM unparsed WHERE host = ?1 AND plugin IN"
			     " (SELECT plugin FROM fresh INDEXED BY fresh_by_host WHERE host = ?1)",
    [STMT_FORGET_FACTS] = "DELETE FROM fresh WHERE host = ?1",
    /* Its name stays: outcomes have it. */
    [STMT_FORGET_HEAD] = "UPDATE host SET created_at = NULL, greeted_at = NULL, last_error = NULL"
			 " WHERE id = ?1 AND created_at IS NOT NULL",

    [STMT_VERSION_SEEK] = "SELECT seq, at FROM version WHERE seq >= ?1 ORDER BY seq LIMIT 1",
    [STMT_HISTORY_STEP] = "SELECT coalesce(max(seq), 0) FROM (SELECT seq FROM version"
			  " WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3)",
    [STMT_HISTORY_DROP_OLD] =
	"DELETE FROM version WHERE seq IN (SELECT v.seq FROM version v CROSS JOIN version w"
	" ON w.seq = (SELECT max(o.seq) FROM version_of o WHERE o.plugin = v.plugin"
	" AND o.host = v.host AND o.seq <= ?3) WHERE v.seq > ?1 AND v.seq <= ?2"
	" AND v.seq < w.seq AND v.seq IS NOT w.base)",
    [STMT_HISTORY_PAIR] = "SELECT plugin, host FROM version_of WHERE (plugin, host) > (?1, ?2)"
			  " ORDER BY plugin, host, seq LIMIT 1 OFFSET ?3",
    [STMT_HISTORY_DROP_MANY] =
	"WITH ranked AS MATERIALIZED (SELECT plugin, host, seq, row_number() OVER"
	" (PARTITION BY plugin, host ORDER BY seq DESC) - 1 AS newer FROM version_of"
	" WHERE (plugin, host) > (?1, ?2) AND (plugin, host) <= (?3, ?4))"
	" DELETE FROM version WHERE seq IN (SELECT r.seq FROM ranked s CROSS JOIN version w"
	" ON w.seq = s.seq JOIN ranked r ON r.plugin = s.plugin AND r.host = s.host"
	" WHERE s.newer = ?5 AND r.newer > ?5 AND r.seq IS NOT w.base)",
    [STMT_HISTORY_CUT_INDEX] =
	"DELETE FROM version_of WHERE (plugin, host) > (?1, ?2) AND (plugin, host) <= (?3, ?4)"
	" AND seq <= ?5 AND NOT EXISTS (SELECT 1 FROM version v WHERE v.seq = version_of.seq)",

    /* Numbers are given in turn, so the highest one says how many there have been. */
    [STMT_NAMES_COUNT] =
	"SELECT coalesce((SELECT max(id) FROM host), 0) + coalesce((SELECT max(id) FROM machine), 0)"
	" + coalesce((SELECT max(id) FROM job), 0) + coalesce((SELECT max(id) FROM plugin), 0)",
    [STMT_NAMES_DROP_HOSTS] = "DELETE FROM host WHERE created_at IS NULL"
			      " AND id NOT IN (SELECT host FROM outcome)",
    [STMT_NAMES_DROP_MACHINES] =
	"DELETE FROM machine WHERE id NOT IN (SELECT machine FROM fresh WHERE machine IS NOT NULL)",
    [STMT_NAMES_DROP_JOBS] = "DELETE FROM job WHERE job IS NULL"
			     " AND id NOT IN (SELECT job FROM fresh WHERE job IS NOT NULL)"
			     " AND id NOT IN (SELECT job FROM outcome)",
    [STMT_NAMES_DROP_PLUGINS] = "DELETE FROM plugin WHERE id NOT IN (SELECT plugin FROM fresh)",

    [STMT_NOTE_PUT] = "INSERT INTO notes (id, value) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE"
		      " SET value = excluded.value",
    [STMT_NOTES] = "SELECT id, value FROM notes WHERE id >= ?1 AND id < ?1 || '~' ORDER BY id",

    /* A job is never changed: given again, after a lost answer, it is the same. Its name may have
     * been mentioned before. */
    [STMT_JOB_PUT] = "INSERT INTO job (name, sent_at, not_after, job) VALUES (?1, ?2, ?3, ?4)"
		     " ON CONFLICT (name) DO UPDATE SET sent_at = excluded.sent_at,"
		     " not_after = excluded.not_after, job = excluded.job WHERE job.job IS NULL",
    [STMT_JOB_GET] = "SELECT job FROM job WHERE name = ?1 AND job IS NOT NULL",
    /* The index has no time of a name that is only mentioned. */
    [STMT_JOBS_BEFORE] = "SELECT name, sent_at FROM job WHERE (sent_at, name) < (?1, ?2)"
			 " ORDER BY sent_at DESC, name DESC LIMIT ?3",
    [STMT_JOBS_BEFORE_BY_TABLE] =
	"SELECT name, sent_at FROM job NOT INDEXED WHERE (sent_at, name) < (?1, ?2)"
	" ORDER BY sent_at DESC, name DESC LIMIT ?3",
    /* not_after is 0 for what never expires. */
    [STMT_JOBS_PRUNE] = "UPDATE job SET sent_at = NULL, not_after = NULL, job = NULL WHERE id IN"
			" (SELECT id FROM job WHERE sent_at < ?1 AND not_after < ?1"
			" ORDER BY sent_at LIMIT ?2)",

    /* An outcome that comes again, after a redelivery, is the same row. */
    [STMT_OUTCOME_PUT] =
	"INSERT INTO outcome (job, host, ord, state, response_id, at, why, duration_ms,"
	" exit_status, stray) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, CASE WHEN EXISTS"
	" (SELECT 1 FROM job WHERE id = ?1 AND job IS NOT NULL) THEN NULL ELSE 1 END)"
	" ON CONFLICT DO NOTHING",
    [STMT_STRAYS_TRIM] =
	"DELETE FROM outcome WHERE (job, host, ord, state, response_id) IN"
	" (SELECT job, host, ord, state, response_id FROM outcome INDEXED BY outcome_stray"
	" WHERE stray = 1 AND host = ?1 ORDER BY at DESC LIMIT -1 OFFSET ?2)",
    [STMT_STRAYS_OF_JOB] = "UPDATE outcome SET stray = NULL WHERE stray = 1"
			   " AND job = (SELECT id FROM job WHERE name = ?1)",
    [STMT_OUTCOMES_AFTER] =
	"SELECT host, ord, state, response_id, at, why, duration_ms, exit_status FROM outcome"
	" WHERE job = ?1 AND (host, ord, state, response_id) > (?2, ?3, ?4, ?5)"
	" AND " OUTCOME_IS_WHOLE("?7") " ORDER BY host, ord, state, response_id LIMIT ?6",
    [STMT_OUTCOMES_ODD] =
	"SELECT count(*) FROM outcome WHERE job = ?1 AND NOT (" OUTCOME_IS_WHOLE("?2") ")",
    /* The key leads from one job to the next, without reading all rows of it. */
    [STMT_OUTCOMES_JOB_AFTER] =
	"SELECT job, EXISTS (SELECT 1 FROM job WHERE id = outcome.job AND job IS NOT NULL)"
	" FROM outcome WHERE job > ?1 AND " IS_INT("job") " ORDER BY job LIMIT 1",
    [STMT_OUTCOMES_NEWER] = "SELECT 1 FROM outcome WHERE job = ?1 AND at >= ?2 LIMIT 1",
    [STMT_OUTCOMES_PRUNE] = "DELETE FROM outcome WHERE job = ?1 AND host <= (SELECT max(host) FROM"
			    " (SELECT host FROM outcome WHERE job = ?1 ORDER BY host LIMIT ?2))",
};
