/* SPDX-License-Identifier: Apache-2.0 */
/* See pg_sql.h. */
#include "shared/store/pg/pg_sql.h"

#include "shared/store/pg/pg_args.h"
#include "shared/store/pg/pg_schema.h"
#include "shared/store/pg/pg_session.h"

#include <stdio.h>

/* ---- writing ---- */

/* In the order of enum pg_fact_column. */
#define FACT_COLUMNS                                                                               \
	"f.bytes, f.ord, f.received_at, f.collected_at, f.changed_at, f.duration_ms,"              \
	" f.exit_status, f.format, f.hash, f.machine_id, f.boot_id, f.agent, f.job,"               \
	" f.response_id, f.meta::text"

/* The parameters of the three that write a fact, pg_put_send.c: $1 host, $2 plugin, $3 what its row
 * was when it was read, as xmin, or NULL: this transaction made it; $4 to $18 the columns; $19
 * meta_bytes, $20 unparsed, $21 whether the one that is there stays; of a new value $22 at, $23
 * base, $24 since_base, $25 codec, $26 v. */
#define FACT_NAMES                                                                                   \
	"bytes, ord, received_at, collected_at, changed_at, duration_ms, exit_status, format, hash," \
	" machine_id, boot_id, agent, job, response_id, meta, meta_bytes, unparsed"
#define FACT_VALUES                                                                                \
	"$4::int, $5::bigint, $6::bigint, $7::bigint, $8::bigint, $9::bigint, $10::bigint,"        \
	" $11::smallint, $12::bytea, $13::text, $14::text, $15::text, $16::text, $17::text,"       \
	" $18::jsonb, $19::int"
#define FACT_ROW                                                                                   \
	" WHERE f.host = (SELECT id FROM vogeler.host WHERE name = $1)"                            \
	" AND f.plugin = (SELECT id FROM vogeler.plugin WHERE name = $2)"                          \
	" AND f.xmin = coalesce($3::xid, pg_current_xact_id()::xid)"
#define FACT_SET                                                                                   \
	"UPDATE vogeler.fresh f SET (" FACT_NAMES ") = (" FACT_VALUES                              \
	", CASE WHEN $21::boolean THEN f.unparsed ELSE $20::text END)"
#define VERSION_ADD                                                                                \
	"INSERT INTO vogeler.version (host, plugin, seq, at, ord, base, since_base, codec, bytes," \
	" hash, v) SELECT f.host, f.plugin, f.version, $22::bigint, $5::bigint, $23::bigint,"      \
	" $24::bigint, $25::smallint, $4::int, $12::bytea, $26::bytea FROM f"

/* ---- reading ---- */

#define VALUE_COLUMNS "v.codec, v.bytes, v.v, b.codec, b.bytes, b.v"
#define VALUE_JOINS                                                                                \
	" LEFT JOIN vogeler.version v ON v.host = f.host AND v.plugin = f.plugin"                  \
	" AND v.seq = f.version"                                                                   \
	" LEFT JOIN vogeler.version b ON b.host = f.host AND b.plugin = f.plugin"                  \
	" AND b.seq = v.base"
#define HEAD_COLUMNS   "h.name, h.created_at, h.greeted_at, h.last_error::text, p.name, " FACT_COLUMNS
#define RECORD_COLUMNS HEAD_COLUMNS ", f.unparsed, " VALUE_COLUMNS
#define FACT_JOINS                                                                                 \
	" LEFT JOIN vogeler.fresh f ON f.host = h.id"                                              \
	" LEFT JOIN vogeler.plugin p ON p.id = f.plugin"
#define HOSTS_AFTER "SELECT * FROM vogeler.host WHERE name > $1 ORDER BY name LIMIT $2::int"
/* The next hosts, each with how many bytes those before it on the page have: who reads leaves out
 * what is behind the one that passes $3. what: of a row of fresh, f. */
#define PAGE(what, rows)                                                                           \
	"WITH page AS (SELECT h.*, sum(s.bytes) OVER (ORDER BY h.name) - s.bytes AS before"        \
	" FROM (" HOSTS_AFTER ") h CROSS JOIN LATERAL (SELECT coalesce(sum(" what                  \
	"), 0) AS bytes FROM " rows " WHERE f.host = h.id) s) SELECT "

/* The facts of some plugins. */
#define WANTED                                                                                     \
	"vogeler.fresh f JOIN vogeler.plugin p ON p.id = f.plugin AND p.name = ANY ($4::text[])"

/* A state that there is not is none to count by. */
#define OUTCOME_IS_WHOLE(states) "state >= 0 AND state < " states

const char *const pg_sql[PG_N_STMTS] = {
    /* One that is in the middle of what it has to say, and says nothing, holds what it has written
     * so far locked for as long as it is there: a collector that was stopped, or whose machine
     * hangs. */
    [PG_STMT_UNBLOCK] = "SELECT count(pg_terminate_backend(a.pid)) FROM pg_stat_activity a"
			" WHERE a.datname = current_database() AND a.application_name LIKE 'vogel%'"
			" AND a.pid <> pg_backend_pid() AND pg_has_role(a.usesysid, 'USAGE')"
			" AND a.state = 'active' AND a.wait_event = 'ClientRead'"
			" AND a.xact_start < clock_timestamp() - interval '4 s'",
    [PG_STMT_PAUSE] = "SELECT pg_sleep($1::int / 1000.0)",
    [PG_STMT_READ_HEADS] =
	"SELECT k.n, h.xmin::text, h.created_at, h.greeted_at, h.last_error::text,"
	" (SELECT sum(f.bytes::bigint + f.meta_bytes) FROM vogeler.fresh f"
	" WHERE f.host = h.id)::bigint FROM unnest($1::text[]) WITH ORDINALITY AS k(name, n)"
	" JOIN vogeler.host h ON h.name = k.name",
    /* LIMIT keeps each row one look into the key, whatever is known of the tables. */
    [PG_STMT_READ_FACTS] =
	"SELECT k.n, f.xmin::text, f.meta_bytes, octet_length(f.unparsed), v.at, v.since_base,"
	" b.seq, b.codec, b.bytes, b.v, " FACT_COLUMNS
	" FROM unnest($1::text[], $2::text[], $3::bytea[], $4::int[])"
	" WITH ORDINALITY AS k(host, plugin, hash, bytes, n)"
	" JOIN vogeler.host h ON h.name = k.host"
	" JOIN vogeler.plugin p ON p.name = k.plugin"
	" CROSS JOIN LATERAL (SELECT *, xmin FROM vogeler.fresh"
	" WHERE host = h.id AND plugin = p.id LIMIT 1) f"
	" LEFT JOIN LATERAL (SELECT * FROM vogeler.version WHERE k.hash IS DISTINCT FROM f.hash"
	" AND host = f.host AND plugin = f.plugin AND seq = f.version LIMIT 1) v ON true"
	" LEFT JOIN LATERAL (SELECT * FROM vogeler.version WHERE host = v.host"
	" AND plugin = v.plugin AND seq = coalesce(v.base, v.seq) AND bytes / 4 <= k.bytes"
	" AND k.bytes / 4 <= bytes LIMIT 1) b ON true",
    /* A number is drawn for each row that is tried, so it is not tried with a name that is there.
     */
    [PG_STMT_PLUGIN_NEW] =
	"INSERT INTO vogeler.plugin (name) SELECT $1::text WHERE NOT EXISTS"
	" (SELECT FROM vogeler.plugin WHERE name = $1::text) ON CONFLICT (name) DO NOTHING",
    [PG_STMT_HOST_NEW] =
	"INSERT INTO vogeler.host (name, created_at, greeted_at, last_error) VALUES ($1, $2, $3, $4)"
	" ON CONFLICT (name) DO NOTHING",
    [PG_STMT_HOST_SET] = "UPDATE vogeler.host SET greeted_at = $2, last_error = $3"
			 " WHERE name = $1 AND xmin = $4::xid",
    [PG_STMT_FACT_NEW] =
	"WITH f AS (INSERT INTO vogeler.fresh AS f (host, plugin, version, " FACT_NAMES
	") SELECT h.id, p.id, CASE WHEN $26::bytea IS NOT NULL THEN nextval('vogeler.version_seq')"
	" END, " FACT_VALUES ", $20::text FROM vogeler.host h, vogeler.plugin p"
	" WHERE h.name = $1 AND p.name = $2 AND $3::xid IS NULL AND NOT $21::boolean"
	" ON CONFLICT (host, plugin) DO NOTHING RETURNING f.host, f.plugin, f.version),"
	" v AS (" VERSION_ADD " WHERE f.version IS NOT NULL) SELECT 1 FROM f",
    [PG_STMT_FACT_SET] = FACT_SET FACT_ROW,
    [PG_STMT_VALUE_SET] =
	"WITH f AS (" FACT_SET ", version = nextval('vogeler.version_seq')" FACT_ROW
	" RETURNING f.host, f.plugin, f.version) " VERSION_ADD,
    /* Of what this transaction has written, and of nothing else. */
    [PG_STMT_VALUE_COPY] =
	"INSERT INTO vogeler.value (host, plugin, value, version)"
	" SELECT f.host, f.plugin, $3::jsonb, f.version"
	" FROM vogeler.fresh f JOIN vogeler.host h ON h.id = f.host JOIN vogeler.plugin p"
	" ON p.id = f.plugin WHERE h.name = $1 AND p.name = $2"
	" AND f.xmin = pg_current_xact_id()::xid"
	" ON CONFLICT (host, plugin) DO UPDATE SET value = EXCLUDED.value, version = EXCLUDED.version",
    /* An outcome that comes again, after a redelivery, is the same row. */
    [PG_STMT_OUTCOME_PUT] =
	"INSERT INTO vogeler.outcome (job, host, ord, state, response_id, at, why, duration_ms,"
	" exit_status, stray) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9,"
	" NOT EXISTS (SELECT FROM vogeler.job WHERE id = $1)) ON CONFLICT DO NOTHING",
    [PG_STMT_STRAYS_TRIM] =
	"DELETE FROM vogeler.outcome WHERE (job, host, ord, state, response_id) IN"
	" (SELECT job, host, ord, state, response_id FROM vogeler.outcome"
	" WHERE stray AND host = $1 ORDER BY at DESC OFFSET $2::int)",

    [PG_STMT_RECORD_GET] =
	"SELECT " RECORD_COLUMNS " FROM vogeler.host h" FACT_JOINS VALUE_JOINS " WHERE h.name = $1",
    [PG_STMT_RECORDS_AFTER] =
	PAGE("f.bytes::bigint + f.meta_bytes", "vogeler.fresh f") RECORD_COLUMNS
    " FROM page h" FACT_JOINS VALUE_JOINS " WHERE h.before < $3::bigint ORDER BY h.name",
    [PG_STMT_VALUES_AFTER] =
	PAGE("f.bytes::bigint", WANTED) "h.name, p.name, " VALUE_COLUMNS " FROM page h"
					" LEFT JOIN (" WANTED ") ON f.host = h.id" VALUE_JOINS
					" WHERE h.before < $3::bigint ORDER BY h.name",
    [PG_STMT_NAMES_AFTER] =
	"SELECT name FROM vogeler.host WHERE name > $1 ORDER BY name LIMIT $2::int",
    [PG_STMT_HEADS_AFTER] =
	"SELECT " HEAD_COLUMNS " FROM (" HOSTS_AFTER ") h" FACT_JOINS " ORDER BY h.name",
    /* Before its rows, and after them: what is written meanwhile waits for the host, or it waits
     * for that; and then what was appended last is seen. */
    [PG_STMT_FORGET_HOST] = "DELETE FROM vogeler.host WHERE name = $1 RETURNING id",
    [PG_STMT_FORGET_VERSIONS] = "DELETE FROM vogeler.version WHERE host = $1",

    [PG_STMT_NOTE_PUT] = "INSERT INTO vogeler.note (id, value) VALUES ($1, $2)"
			 " ON CONFLICT (id) DO UPDATE SET value = EXCLUDED.value",
    [PG_STMT_NOTES] = "SELECT id, value FROM vogeler.note WHERE id >= $1 AND id < $1 || '~'",
    /* A job is never changed: given again, after a lost answer, it is the same. */
    [PG_STMT_JOB_PUT] = "INSERT INTO vogeler.job (id, sent_at, not_after, job)"
			" VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING",
    [PG_STMT_STRAYS_OF_JOB] = "UPDATE vogeler.outcome SET stray = false WHERE job = $1 AND stray",
    [PG_STMT_JOB_GET] = "SELECT job FROM vogeler.job WHERE id = $1",
    /* As many as are $4 bytes together, and the one that passes it. */
    [PG_STMT_JOBS_BEFORE] =
	"SELECT id, sent_at, job FROM (SELECT id, sent_at, job,"
	" sum(octet_length(job)) OVER (ORDER BY sent_at DESC, id DESC) - octet_length(job) AS before"
	" FROM (SELECT * FROM vogeler.job WHERE (sent_at, id) < ($1::bigint, $2)"
	" ORDER BY sent_at DESC, id DESC LIMIT $3::int) j) k WHERE before < $4::bigint"
	" ORDER BY sent_at DESC, id DESC",
    [PG_STMT_OUTCOMES_AFTER] =
	"SELECT host, ord, state, response_id, at, why, duration_ms, exit_status"
	" FROM vogeler.outcome WHERE job = $1"
	" AND (host, ord, state, response_id) > ($2, $3::bigint, $4::smallint, $5)"
	" AND " OUTCOME_IS_WHOLE("$7::smallint") " ORDER BY host, ord, state, response_id"
						 " LIMIT $6::int",
    [PG_STMT_OUTCOMES_ODD] = "SELECT count(*) FROM vogeler.outcome WHERE job = $1"
			     " AND NOT (" OUTCOME_IS_WHOLE("$2::smallint") ")",
    [PG_STMT_JOBS_PRUNE] =
	"DELETE FROM vogeler.job WHERE id IN (SELECT id FROM vogeler.job"
	" WHERE sent_at < $1::bigint AND not_after < $1::bigint ORDER BY sent_at LIMIT $2::int)",
    /* The key leads from one job to the next, without reading all rows of it. Gives where it
     * stopped: the last job that was looked at, how many outcomes went, and whether that was all.
     */
    [PG_STMT_OUTCOMES_PRUNE] =
	"WITH RECURSIVE step(job, n) AS ("
	" (SELECT o.job, 1 FROM vogeler.outcome o WHERE o.job > $1 ORDER BY o.job LIMIT 1)"
	" UNION ALL SELECT (SELECT o.job FROM vogeler.outcome o WHERE o.job > s.job"
	" ORDER BY o.job LIMIT 1), n + 1 FROM step s WHERE s.job IS NOT NULL AND n < $3::int),"
	" orphan AS (SELECT job FROM step s WHERE s.job IS NOT NULL"
	" AND NOT EXISTS (SELECT FROM vogeler.job j WHERE j.id = s.job)"
	" AND NOT EXISTS (SELECT FROM vogeler.outcome o WHERE o.job = s.job AND o.at >= $2::bigint)"
	" ORDER BY job LIMIT 1),"
	" gone AS (DELETE FROM vogeler.outcome WHERE (job, host, ord, state, response_id) IN"
	" (SELECT o.job, o.host, o.ord, o.state, o.response_id FROM vogeler.outcome o"
	" JOIN orphan USING (job) ORDER BY o.host LIMIT $4::int) RETURNING job)"
	" SELECT (SELECT job FROM orphan), (SELECT count(*) FROM gone), (SELECT max(job) FROM step),"
	" (SELECT count(*) FROM step WHERE job IS NOT NULL) < $3::int",

    /* Looks at $3 pairs of host and plugin behind the one of $1 and $2, and removes at most $4 rows
     * of them: those that were replaced longer before the newest of all than $5 ms, or by more than
     * $6 others (NULL: any), unless one that stays is a difference from it; and all of a pair that
     * is gone. Who has not the turn finds nothing. Gives how many went, the last pair, and whether
     * there are more. */
    [PG_STMT_HISTORY_PRUNE] =
	"WITH RECURSIVE turn AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(6840712046) AS ours),"
	" step(host, plugin, n) AS ((SELECT v.host, v.plugin, 1 FROM vogeler.version v"
	" WHERE (v.host, v.plugin) > ($1::int, $2::int) AND (SELECT ours FROM turn)"
	" ORDER BY v.host, v.plugin LIMIT 1)"
	" UNION ALL SELECT x.host, x.plugin, s.n + 1 FROM step s CROSS JOIN LATERAL"
	" (SELECT v.host, v.plugin FROM vogeler.version v WHERE (v.host, v.plugin) >"
	" (s.host, s.plugin) ORDER BY v.host, v.plugin LIMIT 1) x WHERE s.n < $3::int),"
	" newest AS MATERIALIZED (SELECT max(at) AS at FROM (SELECT at FROM vogeler.version"
	" ORDER BY xid DESC, seq DESC LIMIT 100) v),"
	" ranked AS MATERIALIZED (SELECT s.host, s.plugin, v.seq, v.base, f.host IS NULL AS orphan,"
	" lead(v.at) OVER (PARTITION BY s.host, s.plugin ORDER BY v.seq) AS replaced_at,"
	" row_number() OVER (PARTITION BY s.host, s.plugin ORDER BY v.seq DESC) - 1 AS others"
	" FROM step s JOIN vogeler.version v USING (host, plugin)"
	" LEFT JOIN vogeler.fresh f ON f.host = s.host AND f.plugin = s.plugin),"
	" judged AS MATERIALIZED (SELECT host, plugin, seq, base, orphan OR (others > 0"
	" AND (replaced_at < (SELECT at FROM newest) - $5::bigint OR others > $6::bigint) IS TRUE)"
	" AS goes FROM ranked),"
	" gone AS (DELETE FROM vogeler.version WHERE (host, plugin, seq) IN (SELECT j.host, j.plugin,"
	" j.seq FROM judged j WHERE j.goes AND NOT EXISTS (SELECT FROM judged k WHERE NOT k.goes"
	" AND k.host = j.host AND k.plugin = j.plugin AND k.base = j.seq) LIMIT $4::int)"
	" RETURNING seq)"
	" SELECT (SELECT count(*) FROM gone), s.host, s.plugin FROM step s ORDER BY s.n DESC LIMIT 1",

    [PG_STMT_SCHEMA_VERSION] = pg_schema_version_sql,
    [PG_STMT_SCHEMA_SETUP] = pg_schema_setup_sql,
    /* A row comes and goes in one transaction: nobody sees it, but its commit is on disk. */
    [PG_STMT_PROBE] = "INSERT INTO vogeler.note (id, value) VALUES ('vogeler.probe', '')"
		      " ON CONFLICT (id) DO UPDATE SET value = EXCLUDED.value",
    [PG_STMT_UNPROBE] = "DELETE FROM vogeler.note WHERE id = 'vogeler.probe'",
};

void
pg_send(struct pg_session *s, enum pg_stmt stmt, const struct pg_args *args)
{
	char name[16];
	const struct pg_query q = {
	    .name = name,
	    .sql = pg_sql[stmt],
	    .n = args->n,
	    .values = args->values,
	    .lengths = args->lengths,
	    .formats = args->formats,
	};

	snprintf(name, sizeof(name), "s%d", (int)stmt);
	pg_session_query(s, &q);
}
