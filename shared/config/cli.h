/* SPDX-License-Identifier: Apache-2.0 */
/* All programs share these command-line options, on popt, and the order in which they count. Each
 * program's main adds a table of its own; a short option of it takes the shared one's place.
 */
#ifndef VOGELER_CLI_H
#define VOGELER_CLI_H

#include "shared/base/trouble.h"
#include "shared/base/uri.h"
#include "shared/config/cli_parse.h"
#include "shared/config/options.h"
#include <stdbool.h>

struct cli {
	struct options options;
	char *config_path; /* the file that was read, NULL if none */
	const char **args; /* what is left after options, NULL-terminated, never NULL; of line */
	struct trouble complaint; /* the first of what makes the configuration unusable, at the
				start (of an examiner: options are the defaults then) or the last
				cli_reload(). none = it is well */
	size_t n_complaints;      /* how many there are */
	/* Why [amqp] dsn_file names no broker; none = it does, or is not needed. */
	struct trouble no_qhost;
	struct command_line line; /* as it was given */
};

#define CLI_DEFAULT_CONFIG VOGELER_SYSCONFDIR "/vogeler/vogeler.conf"

/* A program does this first, before it opens any descriptor: a stdin, stdout or stderr that is
 * missing becomes /dev/null; nobody of the same user may look into the process or have a core file
 * of it (PR_SET_DUMPABLE). Scrubs passwords from argv and environment, sets up the log, reads
 * options, environment, credentials and file (-c, VOGELER_CONFIG, or
 * SYSCONFDIR/vogeler/vogeler.conf when it exists). Handles --help, --version, --check-config,
 * --dump-config and every error itself, by exiting (0, or 1 after a line on stderr that says what
 * would be right). */
void cli_init(struct cli *cli, const struct cli_spec *spec, int argc, char **argv);
void cli_finish(struct cli *cli);
/* Returns the first line of a credential of systemd's, to be wiped and freed; NULL: there is none,
 * or it is empty; *err is the errno, 0 when the file could be read. */
char *cli_read_credential(const char *path, int *err);
/* Calls complain_usage() for this program. */
void cli_usage_error(const struct cli *cli, const char *fmt, ...)
    __attribute__((noreturn, format(printf, 2, 3)));
/* Returns the verb that is meant; what is wrong with it, its words or its options ends the program.
 * NULL: none, and none is needed. */
const struct cli_verb *cli_verb(const struct cli *cli);
/* Reads the file again, for SIGHUP of a service: false (all errors logged, cli->complaint says the
 * first) leaves *out untouched. A broker that [amqp] dsn_file cannot name any more is an error,
 * since a service has one. Caller options_finish()es *out. */
bool cli_reload(struct cli *cli, struct options *out);
/* Prints "where:line: error: text" on stdout, or warning, or note, as --check-config says things.
 */
void cli_tell_check(enum log_level level, const char *where, unsigned int line,
    const struct trouble *what, void *arg);

/* Exits 1 with a line for each of those that is unset. */
void cli_need(const struct cli *cli, bool qhost, bool dbhost);
/* Parses options.qhost / options.dbhost, exits 1 with the missing-option line of that program when
 * unset or bad. */
void cli_brokers(const struct cli *cli, struct uri **list, size_t *n);
void cli_store(const struct cli *cli, struct uri *store);

#endif
