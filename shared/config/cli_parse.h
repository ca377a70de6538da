/* SPDX-License-Identifier: Apache-2.0 */
/* A command line, on popt: the options that all programs share, those of the program, --help and
 * --version, and the environment that goes with it. What they mean is cli.h's. */
#ifndef VOGELER_CLI_PARSE_H
#define VOGELER_CLI_PARSE_H

#include <popt.h>
#include <stdbool.h>

struct cli;
struct cli_verbs;

#define CLI_QHOST_VARIABLE  "VOGELER_QHOST"
#define CLI_DBHOST_VARIABLE "VOGELER_DBHOST"

struct cli_spec {
	const char *program;
	const char *usage;             /* "[OPTION...] COMMAND" */
	const char *examples;          /* printed below the options, without that word */
	struct poptOption *table;      /* the program's own rows, POPT_TABLEEND-ed; NULL = none */
	const struct cli_verbs *verbs; /* NULL = it has none */
	const char *verbs_note;        /* printed below the verbs; NULL = nothing */
	const char *common;   /* of the own options: those that go with each verb, "--json -q" */
	bool uses_broker;     /* accepts --qhost */
	bool uses_store;      /* accepts --dbhost */
	const char *verbose;  /* what -v is here, for --help; NULL = the same as --loglevel INFO */
	const char *service;  /* the verb with which it is one, "" = always, NULL = never: only
				 a service tells at each start what has no effect */
	const char *examiner; /* the verb that runs with a configuration that cannot be used, too,
				 and tells of it itself (cli.complaint); NULL = none */
	/* Checks what --check-config looks at beside the options, which are good; tells by
	 * cli_tell_check(). as_service: the verb is the one that is. Returns false when something
	 * is wrong. NULL = nothing more. */
	bool (*check)(const struct cli *cli, bool as_service);
};

/* A command line is kept as it was given; all owned, NULL = not given. */
struct command_line {
	const struct cli_spec *spec; /* borrowed until cli_parse_finish() */
	struct poptOption *table;    /* the program's rows and the shared ones */
	poptContext popt;
	char **argv; /* a copy, with passwords */
	int argc;
	const char **args; /* what is left after options, NULL-terminated, never NULL; popt's */
	char *config, *qhost, *dbhost, *loglevel;
	char *env_qhost, *env_dbhost; /* as the environment had them; it has them no more */
	char **assignments;           /* of -o, NULL-terminated */
	bool *given;                  /* of the program's own rows, by their place */
	int verbose, debug, check_config, dump_config, help, version;
};

/* Copies argv, scrubs the original and the environment, fills line, which is zeroed; exits for
 * --help, --version and mistakes. */
void cli_parse(struct command_line *line, const struct cli_spec *spec, int argc, char **argv);
void cli_parse_finish(struct command_line *line);

#endif
