/* SPDX-License-Identifier: Apache-2.0 */
/* See pg_schema.h. */
#include "shared/store/pg/pg_schema.h"

const char pg_schema_version_sql[] = "SELECT max(version) FROM vogeler.migration";

/* Names are sorted by their bytes, as everywhere in Vogeler. Times are milliseconds since the
 * epoch, as the records have them.
 *
 * host and plugin give short keys to names. A host that is forgotten takes its rows of fresh along,
 * and comes back under another id; a plugin's name is never removed. A record was changed last when
 * the newest of its rows was received, or it greeted.
 *
 * fresh has what is said of the latest answer of each plugin of each host (fact_columns.h), and is
 * all that an unchanged answer touches. It leaves room in its pages, and none of its indexes has a
 * column that changes, so that the new row goes beside the old one and no index is written (HOT).
 * bytes are those of the value, meta_bytes of all else that a record says of the plugin.
 *
 * version is the history, to which values are only ever appended: the row that fresh.version names
 * is the value of today; NULL, it never had one. A value is whole, or the difference from the one
 * that base names; since_base has the bytes of all differences from that one so far. It is
 * compressed already, so it is stored as it is (EXTERNAL). at is never before that of the version
 * before. Transactions commit in another order than they draw numbers: whoever follows the history
 * goes by (xid, seq), below the oldest transaction that is running (pg_snapshot_xmin).
 *
 * not_after of a job is 0 when it never expires. An outcome that comes again is the same row;
 * stray: its job was not there. */
#define MIGRATION_1                                                                                \
	"CREATE TABLE vogeler.host ("                                                              \
	"  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"                                       \
	"  name text COLLATE \"C\" NOT NULL UNIQUE,"                                               \
	"  created_at bigint NOT NULL,"                                                            \
	"  greeted_at bigint NOT NULL,"                                                            \
	"  last_error jsonb);"                                                                     \
	"CREATE TABLE vogeler.plugin ("                                                            \
	"  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"                                       \
	"  name text COLLATE \"C\" NOT NULL UNIQUE);"                                              \
	"CREATE SEQUENCE vogeler.version_seq;"                                                     \
	"CREATE TABLE vogeler.fresh ("                                                             \
	"  host int NOT NULL REFERENCES vogeler.host ON DELETE CASCADE,"                           \
	"  plugin int NOT NULL,"                                                                   \
	"  version bigint,"                                                                        \
	"  bytes int NOT NULL,"                                                                    \
	"  meta_bytes int NOT NULL,"                                                               \
	"  ord bigint,"                                                                            \
	"  received_at bigint NOT NULL,"                                                           \
	"  collected_at bigint,"                                                                   \
	"  changed_at bigint,"                                                                     \
	"  duration_ms bigint,"                                                                    \
	"  exit_status bigint,"                                                                    \
	"  format smallint,"                                                                       \
	"  hash bytea,"                                                                            \
	"  machine_id text,"                                                                       \
	"  boot_id text,"                                                                          \
	"  agent text,"                                                                            \
	"  job text,"                                                                              \
	"  response_id text,"                                                                      \
	"  meta jsonb,"                                                                            \
	"  unparsed text,"                                                                         \
	"  PRIMARY KEY (host, plugin)) WITH (fillfactor = 60);"                                    \
	"CREATE TABLE vogeler.version ("                                                           \
	"  host int NOT NULL,"                                                                     \
	"  plugin int NOT NULL,"                                                                   \
	"  seq bigint NOT NULL,"                                                                   \
	"  xid xid8 NOT NULL DEFAULT pg_current_xact_id(),"                                        \
	"  at bigint NOT NULL,"                                                                    \
	"  ord bigint,"                                                                            \
	"  base bigint,"                                                                           \
	"  since_base bigint NOT NULL,"                                                            \
	"  codec smallint NOT NULL,"                                                               \
	"  bytes int NOT NULL,"                                                                    \
	"  hash bytea,"                                                                            \
	"  v bytea NOT NULL,"                                                                      \
	"  PRIMARY KEY (host, plugin, seq));"                                                      \
	"ALTER TABLE vogeler.version ALTER COLUMN v SET STORAGE EXTERNAL;"                         \
	"CREATE INDEX version_feed ON vogeler.version (xid, seq);"                                 \
	"CREATE TABLE vogeler.note (id text COLLATE \"C\" PRIMARY KEY, value text NOT NULL);"      \
	"CREATE TABLE vogeler.job ("                                                               \
	"  id text COLLATE \"C\" PRIMARY KEY,"                                                     \
	"  sent_at bigint NOT NULL,"                                                               \
	"  not_after bigint NOT NULL,"                                                             \
	"  job text NOT NULL);"                                                                    \
	"CREATE INDEX job_by_time ON vogeler.job (sent_at, id);"                                   \
	"CREATE TABLE vogeler.outcome ("                                                           \
	"  job text COLLATE \"C\" NOT NULL,"                                                       \
	"  host text COLLATE \"C\" NOT NULL,"                                                      \
	"  ord bigint NOT NULL,"                                                                   \
	"  state smallint NOT NULL,"                                                               \
	"  response_id text COLLATE \"C\" NOT NULL,"                                               \
	"  at bigint NOT NULL,"                                                                    \
	"  why text,"                                                                              \
	"  duration_ms bigint NOT NULL,"                                                           \
	"  exit_status int NOT NULL,"                                                              \
	"  stray boolean NOT NULL,"                                                                \
	"  PRIMARY KEY (job, host, ord, state, response_id));"                                     \
	"CREATE INDEX outcome_stray ON vogeler.outcome (host, at) WHERE stray;"

/* What people and dashboards may read, and nothing else of it: names and columns stay. A value has
 * its copy here if its plugin is one of [pg] sql_values; NULL, if PostgreSQL's JSON could not hold
 * it, which takes no NUL in a text. The copy has the version it is of, for a collector whose
 * sql_values does not name the plugin writes none, and what another one left would be old. v_change
 * gives nothing that could be joined by something before it later. The first five states of an
 * outcome are answers. version_by_time is for who asks them by time, and costs nothing: values are
 * appended, so a range of pages is a range of times. */
#define MIGRATION_1_VIEWS                                                                                \
	"CREATE TABLE vogeler.value ("                                                                   \
	"  host int NOT NULL REFERENCES vogeler.host ON DELETE CASCADE,"                                 \
	"  plugin int NOT NULL,"                                                                         \
	"  value jsonb,"                                                                                 \
	"  version bigint,"                                                                              \
	"  PRIMARY KEY (host, plugin));"                                                                 \
	"CREATE FUNCTION vogeler.at(ms bigint) RETURNS timestamptz LANGUAGE sql IMMUTABLE"               \
	"  AS 'SELECT to_timestamp(ms / 1000.0)';"                                                       \
	"CREATE INDEX version_by_time ON vogeler.version USING brin (vogeler.at(at))"                    \
	"  WITH (autosummarize = on);"                                                                   \
	"CREATE VIEW vogeler.v_host AS SELECT h.name AS host,"                                           \
	"  vogeler.at(h.created_at) AS created_at,"                                                      \
	"  vogeler.at(greatest(h.greeted_at, (SELECT max(f.received_at)"                                 \
	"    FROM vogeler.fresh f WHERE f.host = h.id))) AS updated_at,"                                 \
	"  h.last_error->>'message' AS last_error,"                                                      \
	"  h.last_error->>'plugin' AS last_error_plugin,"                                                \
	"  (SELECT count(*) FROM vogeler.fresh f WHERE f.host = h.id) AS plugins,"                       \
	"  (SELECT count(*) FROM vogeler.fresh f WHERE f.host = h.id AND f.meta ? 'failure') AS failing" \
	"  FROM vogeler.host h;"                                                                         \
	"CREATE VIEW vogeler.v_result AS SELECT h.name AS host, p.name AS plugin, v.value,"              \
	"  vogeler.at(f.received_at) AS received_at, vogeler.at(f.collected_at) AS collected_at,"        \
	"  vogeler.at(f.changed_at) AS changed_at, coalesce(f.meta->>'state', 'ok') AS state,"           \
	"  (f.meta->'failure'->>'since')::timestamptz AS failing_since,"                                 \
	"  f.meta->'failure'->>'message' AS error, f.exit_status, f.duration_ms, f.bytes,"               \
	"  encode(f.hash, 'hex') AS hash, f.ord AS \"order\", f.job, f.machine_id, f.agent"              \
	"  FROM vogeler.fresh f JOIN vogeler.host h ON h.id = f.host"                                    \
	"  JOIN vogeler.plugin p ON p.id = f.plugin"                                                     \
	"  LEFT JOIN vogeler.value v ON v.host = f.host AND v.plugin = f.plugin"                         \
	"  AND v.version = f.version;"                                                                   \
	"CREATE VIEW vogeler.v_history AS SELECT h.name AS host, p.name AS plugin,"                      \
	"  vogeler.at(v.at) AS changed_at, v.bytes, encode(v.hash, 'hex') AS hash,"                      \
	"  v.ord AS \"order\", v.seq"                                                                    \
	"  FROM vogeler.version v JOIN vogeler.host h ON h.id = v.host"                                  \
	"  JOIN vogeler.plugin p ON p.id = v.plugin;"                                                    \
	"CREATE VIEW vogeler.v_change AS SELECT v.xid, v.seq, h.name AS host, p.name AS plugin,"         \
	"  vogeler.at(v.at) AS changed_at, v.bytes, encode(v.hash, 'hex') AS hash"                       \
	"  FROM vogeler.version v JOIN vogeler.host h ON h.id = v.host"                                  \
	"  JOIN vogeler.plugin p ON p.id = v.plugin"                                                     \
	"  WHERE v.xid < pg_snapshot_xmin(pg_current_snapshot());"                                       \
	"CREATE VIEW vogeler.v_job AS SELECT j.id AS job, j.job::jsonb->>'plugin' AS plugin,"            \
	"  j.job::jsonb->>'target' AS target, j.job::jsonb->>'user' AS \"user\","                        \
	"  vogeler.at(j.sent_at) AS sent_at, vogeler.at(nullif(j.not_after, 0)) AS not_after,"           \
	"  jsonb_array_length(j.job::jsonb->'hosts') AS hosts,"                                          \
	"  (SELECT count(DISTINCT o.host) FROM vogeler.outcome o"                                        \
	"    WHERE o.job = j.id AND o.state < 5) AS answered"                                            \
	"  FROM vogeler.job j;"

/* What a dump of another server brought has the numbers of its transactions, which are still to
 * come here: it goes before all of ours, in the order of seq. The lock's number is ours alone by
 * chance: two that set up at once must not both find that nothing is there. */
const char pg_schema_setup_sql[] =
    "DO $setup$ BEGIN"
    "  PERFORM pg_advisory_xact_lock(6840712045);"
    "  IF to_regclass('vogeler.migration') IS NULL THEN"
    "    CREATE SCHEMA IF NOT EXISTS vogeler;"
    "    CREATE TABLE vogeler.migration ("
    "      version int PRIMARY KEY,"
    "      made_at timestamptz NOT NULL DEFAULT now());"
    "  END IF;"
    "  IF NOT EXISTS (SELECT FROM vogeler.migration WHERE version = 1) THEN"
    "    " MIGRATION_1 MIGRATION_1_VIEWS "    INSERT INTO vogeler.migration (version) VALUES (1);"
    "  END IF;"
    "  IF EXISTS (SELECT FROM vogeler.version WHERE xid > pg_current_xact_id()) THEN"
    "    UPDATE vogeler.version SET xid = '0' WHERE xid <> '0';"
    "  END IF;"
    "  BEGIN"
    "    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'vogeler_read') THEN"
    "      CREATE ROLE vogeler_read NOLOGIN;"
    "      GRANT vogeler_read TO CURRENT_USER;"
    "    END IF;"
    "  EXCEPTION WHEN insufficient_privilege OR duplicate_object THEN NULL;"
    "  END;"
    "  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'vogeler_read') THEN"
    "    GRANT USAGE ON SCHEMA vogeler TO vogeler_read;"
    "    GRANT SELECT ON vogeler.v_host, vogeler.v_result, vogeler.v_history,"
    "      vogeler.v_change, vogeler.v_job TO vogeler_read;"
    "  END IF;"
    "END $setup$";
