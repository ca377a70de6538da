/* SPDX-License-Identifier: Apache-2.0 */
/* The options of all programs as they hold, which options_load.h fills: one table (options_table.h)
 * has a row for each, read by the file, -o section.key=value, --check-config, --dump-config and the
 * test that compares it with conf/vogeler.conf and vogeler.conf(5).
 *
 * Precedence: command line, environment (VOGELER_QHOST, VOGELER_DBHOST), systemd credentials
 * ($CREDENTIALS_DIRECTORY/qhost, dbhost), file, the file of [amqp] dsn_file, default. */
#ifndef VOGELER_OPTIONS_H
#define VOGELER_OPTIONS_H

#include "shared/amqp/queue_args.h"
#include "shared/base/log.h"
#include "shared/event/tls.h"
#include "shared/target/hostgroups.h"
#include <stdbool.h>
#include <stdint.h>

#define OPTIONS_FILE_SOURCE "configuration file" /* as qhost_source and dbhost_source say it */

/* Must the AMQP user of a response have the name of its host? AUTO: if a host has such a name. */
enum options_attest { OPTIONS_ATTEST_AUTO, OPTIONS_ATTEST_YES, OPTIONS_ATTEST_NO };
const char *options_attest_name(enum options_attest attest);

/* A value that another one has replaced is kept for so long, and of each plugin of a host so many
 * are. The value in hand does not count. */
struct options_keep {
	uint32_t age_s, count; /* OPTIONS_KEEP_ALL: no bound */
};
#define OPTIONS_KEEP_ALL UINT32_MAX

struct options { /* strings owned; NULL = not set. The comment names [section] key of the file. */
	enum log_level log_level; /* [global] log_level, default WARN */
	char *plugin_path;        /* [global] plugin_path, default SYSCONFDIR/vogeler/plugins */
	char *qhost;              /* [amqp] dsn */
	char *qhost_source; /* "command-line options", "configuration file", ...: for the INFO line
			       of 2010 */
	char *qhost_file;   /* [amqp] dsn_file */
	char *dbhost;       /* [couch] dsn, or [pg] dsn, [sqlite] dsn with [persistence] backend;
			       [persistence] dsn wins */
	char *dbhost_source;
	char *design_docs_path;      /* [couch] design_docs_path */
	char *broadcast_exchange;    /* [amqp] broadcast_exchange */
	char *master_exchange;       /* [amqp] master_exchange */
	uint32_t heartbeat_s;        /* [amqp] heartbeat, seconds, default 10s */
	uint32_t connect_timeout_ms; /* [amqp] connect_timeout, default 10s */
	uint32_t reconnect_max_ms;   /* [amqp] reconnect_max, default 30s */
	struct tls_options amqp_tls; /* [amqp] ca_file, cert_file, key_file */
	/* collector */
	uint32_t prefetch;          /* [server] prefetch, default 1000, 1..65535 */
	uint64_t intake_max_bytes;  /* [server] intake_max_bytes, default 32MiB */
	uint64_t message_max_bytes; /* [server] message_max_bytes, default 8MiB: larger is
				       dead-lettered */
	uint64_t record_max_bytes;  /* [server] record_max_bytes, default 7MiB */
	uint32_t batch_max_count;   /* [server] batch_max_count, default auto = 0: store_limits */
	uint64_t batch_max_bytes;   /* [server] batch_max_bytes, default auto = 0: store_limits */
	uint32_t batch_max_age_ms;  /* [server] batch_max_age, default 50ms */
	uint32_t store_patience_ms; /* [server] store_patience, default 10s: then deliveries are
				       given back */
	uint32_t drain_timeout_ms;  /* [server] drain_timeout, default 10s */
	char *server_listen;        /* [server] listen, default "auto" */
	uint32_t job_ttl_s;         /* [persistence] job_ttl, default 30d, 0 = keep all */
	struct options_keep history_keep; /* [history] keep, default 400d, 1000 */
	enum options_attest attest;       /* [server] attest, default auto: see daemon/attest.h */
	char *retry_users;                /* [server] retry_users, NULL = those of qhost */
	uint32_t json_depth;              /* [limits] json_depth, default 64, 1..64 */
	uint32_t json_nodes;              /* [limits] json_nodes, default 300000 */
	uint32_t object_keys;             /* [limits] object_keys, default 20000 */
	uint32_t yaml_depth;              /* [limits] yaml_depth, default 64, 1..64 */
	uint32_t yaml_nodes;              /* [limits] yaml_nodes, default 100000 */
	uint64_t yaml_bytes;              /* [limits] yaml_bytes, default 1MiB */
	/* couch */
	uint64_t couch_cache_bytes;   /* [couch] cache_bytes, default 256MiB */
	uint32_t couch_requests;      /* [couch] requests, default 16: in flight at once */
	uint32_t couch_timeout_ms;    /* [couch] timeout, default 30s */
	struct tls_options couch_tls; /* [couch] ca_file, cert_file, key_file */
	/* pg */
	uint32_t pg_connections; /* [pg] connections, default 8: of one program, at once */
	char *pg_sql_values;     /* [pg] sql_values, NULL = none: plugins, with commas */
	/* sqlite */
	bool sqlite_relaxed; /* [sqlite] synchronous, default full: a commit is on disk; normal: it
				may be lost in a power cut, though the file stays whole */
	/* what queues are made with; the keys of both sections are those of struct queue_options */
	struct queue_options host_queue;
	struct queue_options master_queue;
	/* agent */
	char *node_name;            /* [client] name, default name_of_this_host() */
	char *state_dir;            /* [client] state_dir, default /var/lib/vogeler-agent */
	char *client_listen;        /* [client] listen, default "none" */
	uint32_t catch_up_splay_ms; /* [client] catch_up_splay, default 10s, 0 = none */
	uint32_t concurrency;       /* [client] concurrency, default 2: plugins at once */
	uint32_t plugin_timeout_ms; /* [client] timeout, default 60s, below 25min */
	uint64_t plugin_max_output; /* [client] max_output, default 1MiB */
	/* operators */
	struct hostgroups groups; /* [group NAME]: no rows, for the sections are the user's */
};

enum options_program { OPTION_COLLECTOR, OPTION_AGENT, OPTION_PROGRAMS };

#endif
