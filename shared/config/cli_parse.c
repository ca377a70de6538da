/* See cli_parse.h. */
#include "shared/config/cli_parse.h"

#include "shared/base/uri.h"
#include "shared/base/xalloc.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HELP_COLUMN 30

static size_t
count_rows(const struct poptOption *table)
{
	size_t n = 0;

	while (table != NULL && (table[n].longName != NULL || table[n].shortName != '\0'))
		n++;
	return n;
}

/* The program's own rows first, then ours, less the short names that are taken. */
static struct poptOption *
join_tables(const struct poptOption *own, const struct poptOption *ours)
{
	size_t n_own = count_rows(own), n_ours = count_rows(ours);
	struct poptOption *all = xcalloc(n_own + n_ours + 1, sizeof(*all));

	if (n_own > 0)
		memcpy(all, own, n_own * sizeof(*all));
	memcpy(all + n_own, ours, n_ours * sizeof(*all));
	for (size_t i = n_own; i < n_own + n_ours; i++) {
		for (size_t j = 0; j < n_own; j++) {
			if (all[j].shortName == all[i].shortName)
				all[i].shortName = '\0';
		}
	}
	return all;
}

static void
make_table(struct cli *cli)
{
	/* Three ends: two are room for the rows that depend on what the program uses. */
	struct poptOption ours[] = {
	    {"config", 'c', POPT_ARG_STRING, &cli->config, 0, "Configuration file", "FILE"},
	    {"loglevel", '\0', POPT_ARG_STRING, &cli->loglevel, 0,
		"DEBUG, INFO, WARN, ERROR or CRITICAL", "LEVEL"},
	    {"option", 'o', POPT_ARG_ARGV, &cli->assignments, 0,
		"Set an option of the file (may be repeated)", "SEC.KEY=VALUE"},
	    {"check-config", '\0', POPT_ARG_NONE, &cli->check_config, 0,
		"Say what is wrong with the file, and exit", NULL},
	    {"dump-config", '\0', POPT_ARG_NONE, &cli->dump_config, 0,
		"Print all options as they hold, and exit", NULL},
	    {"verbose", 'v', POPT_ARG_NONE | POPT_ARGFLAG_DOC_HIDDEN, &cli->verbose, 0,
		"Same as --loglevel INFO", NULL},
	    {"debug", '\0', POPT_ARG_NONE | POPT_ARGFLAG_DOC_HIDDEN, &cli->debug, 0,
		"Same as --loglevel DEBUG", NULL},
	    {"version", '\0', POPT_ARG_NONE, &cli->version, 0, "Print the version, and exit", NULL},
	    {"help", 'h', POPT_ARG_NONE, &cli->help, 0, "Print this, and exit", NULL},
	    POPT_TABLEEND,
	    POPT_TABLEEND,
	    POPT_TABLEEND,
	};
	const struct poptOption qhost = {"qhost", '\0', POPT_ARG_STRING, &cli->qhost, 0,
	    "Broker: amqp://user:pw@host:5672/vhost, or several", "URI"};
	const struct poptOption dbhost = {"dbhost", '\0', POPT_ARG_STRING, &cli->dbhost, 0,
	    "Store: couch://host:5984/db or sqlite:///file", "URI"};
	size_t n = count_rows(ours), at = 1;

	for (size_t i = 0; i < n && cli->spec->verbose != NULL; i++) {
		if (ours[i].shortName == 'v') {
			ours[i].argInfo = POPT_ARG_NONE;
			ours[i].descrip = cli->spec->verbose;
		}
	}

	if (cli->spec->uses_broker) {
		memmove(ours + at + 1, ours + at, (n++ - at) * sizeof(*ours));
		ours[at++] = qhost;
	}
	if (cli->spec->uses_store) {
		memmove(ours + at + 1, ours + at, (n++ - at) * sizeof(*ours));
		ours[at++] = dbhost;
	}
	cli->table = join_tables(cli->spec->table, ours);
}

static void
print_row(const struct poptOption *row)
{
	char left[64], dash[4] = "   ";
	bool has_arg = row->argDescrip != NULL;

	if (row->shortName != '\0')
		snprintf(dash, sizeof(dash), "-%c,", row->shortName);
	if (row->longName != NULL)
		snprintf(left, sizeof(left), "%s --%s%s%s", dash, row->longName, has_arg ? "=" : "",
		    has_arg ? row->argDescrip : "");
	else
		snprintf(left, sizeof(left), "-%c%s%s", row->shortName, has_arg ? " " : "",
		    has_arg ? row->argDescrip : "");
	printf("  %-*s %s\n", HELP_COLUMN - 3, left, row->descrip != NULL ? row->descrip : "");
}

static void
print_help(const struct cli *cli)
{
	const struct cli_spec *spec = cli->spec;

	printf("Usage: %s %s\n", spec->program, spec->usage);
	for (size_t i = 0; i < count_rows(cli->table); i++) {
		if ((cli->table[i].argInfo & POPT_ARGFLAG_DOC_HIDDEN) == 0)
			print_row(&cli->table[i]);
	}
	if (spec->examples != NULL)
		printf("%s%s%s", strncmp(spec->examples, "Example", 7) == 0 ? "" : "Examples:\n",
		    spec->examples, spec->examples[strlen(spec->examples) - 1] == '\n' ? "" : "\n");
}

static void
copy_and_scrub(struct cli *cli, int argc, char **argv)
{
	cli->argc = argc;
	cli->argv = xcalloc((size_t)argc + 1, sizeof(*cli->argv));
	for (int i = 0; i < argc; i++) {
		cli->argv[i] = xstrdup(argv[i]);
		if (i > 0)
			uri_scrub(argv[i]);
	}
}

/* The value of NAME=value for that name; NULL for another one. */
static char *
value_of(char *variable, const char *name)
{
	size_t len = strlen(name);

	return strncmp(variable, name, len) == 0 && variable[len] == '=' ? variable + len + 1
									 : NULL;
}

static void
take(char **where, char *value)
{
	if (*where == NULL)
		*where = xstrdup(value);
	explicit_bzero(value, strlen(value));
}

/* What /proc/PID/environ shows is the memory that the program was started with. Of any other
 * variable with a password in a URI, such as a proxy's, the program has a copy from now on. */
static void
hide(char **variable)
{
	char *shown = uri_mask(*variable), *copy;

	if (strcmp(shown, *variable) != 0) {
		copy = xstrdup(*variable);
		explicit_bzero(*variable, strlen(*variable));
		*variable = copy;
	}
	free(shown);
}

static void
take_environment(struct cli *cli)
{
	for (char **v = environ; v != NULL && *v != NULL; v++) {
		char *qhost = value_of(*v, CLI_QHOST_VARIABLE);
		char *dbhost = value_of(*v, CLI_DBHOST_VARIABLE);

		if (qhost != NULL)
			take(&cli->env_qhost, qhost);
		else if (dbhost != NULL)
			take(&cli->env_dbhost, dbhost);
		else
			hide(v);
	}
	/* Nor does a child of ours need them. */
	unsetenv(CLI_QHOST_VARIABLE);
	unsetenv(CLI_DBHOST_VARIABLE);
}

static void
run_popt(struct cli *cli)
{
	static const char *none[] = {NULL};
	int rc;

	cli->popt =
	    poptGetContext(cli->spec->program, cli->argc, (const char **)cli->argv, cli->table, 0);
	do
		rc = poptGetNextOpt(cli->popt);
	while (rc > 0);
	if (rc < -1)
		cli_usage_error(cli, "%s: %s", poptBadOption(cli->popt, 0), poptStrerror(rc));
	cli->args = poptGetArgs(cli->popt);
	if (cli->args == NULL)
		cli->args = none;
}

void
cli_parse(struct cli *cli, const struct cli_spec *spec, int argc, char **argv)
{
	cli->spec = spec;
	copy_and_scrub(cli, argc, argv);
	take_environment(cli);
	make_table(cli);
	run_popt(cli);
	if (cli->help) {
		print_help(cli);
		exit(0);
	}
	if (cli->version) {
		printf("%s %s\n", spec->program, VOGELER_VERSION);
		exit(0);
	}
}

static void
free_secret(char *s)
{
	if (s != NULL)
		explicit_bzero(s, strlen(s));
	free(s);
}

void
cli_parse_finish(struct cli *cli)
{
	poptFreeContext(cli->popt);
	for (int i = 0; i < cli->argc; i++)
		free_secret(cli->argv[i]);
	free(cli->argv);
	free(cli->table);
	free(cli->config);
	free(cli->loglevel);
	free_secret(cli->env_qhost);
	free_secret(cli->env_dbhost);
	free_secret(cli->qhost);
	free_secret(cli->dbhost);
	for (size_t i = 0; cli->assignments != NULL && cli->assignments[i] != NULL; i++)
		free_secret(cli->assignments[i]);
	free(cli->assignments);
}
