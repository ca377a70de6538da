/* SPDX-License-Identifier: Apache-2.0 */
/* See cli_parse.h. */
#include "shared/config/cli_parse.h"

#include "shared/base/uri.h"
#include "shared/base/xalloc.h"
#include "shared/config/cli_verbs.h"
#include "shared/config/complain.h"
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
	for (size_t i = 0; i < n_own; i++) /* so that popt tells which it has seen */
		all[i].val = (int)i + 1;
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
make_table(struct command_line *line)
{
	/* Three ends: two are room for the rows that depend on what the program uses. */
	struct poptOption ours[] = {
	    {"config", 'c', POPT_ARG_STRING, &line->config, 0, "Configuration file", "FILE"},
	    {"loglevel", '\0', POPT_ARG_STRING, &line->loglevel, 0,
		"DEBUG, INFO, WARN, ERROR or CRITICAL", "LEVEL"},
	    {"option", 'o', POPT_ARG_ARGV, &line->assignments, 0,
		"Set an option of the file (may be repeated)", "SEC.KEY=VALUE"},
	    {"check-config", '\0', POPT_ARG_NONE, &line->check_config, 0,
		"Say what is wrong with the file, and exit", NULL},
	    {"dump-config", '\0', POPT_ARG_NONE, &line->dump_config, 0,
		"Print all options as they hold, and exit", NULL},
	    {"verbose", 'v', POPT_ARG_NONE | POPT_ARGFLAG_DOC_HIDDEN, &line->verbose, 0,
		"Same as --loglevel INFO", NULL},
	    {"debug", '\0', POPT_ARG_NONE | POPT_ARGFLAG_DOC_HIDDEN, &line->debug, 0,
		"Same as --loglevel DEBUG", NULL},
	    {"version", '\0', POPT_ARG_NONE, &line->version, 0, "Print the version, and exit",
		NULL},
	    {"help", 'h', POPT_ARG_NONE, &line->help, 0, "Print this, and exit", NULL},
	    POPT_TABLEEND,
	    POPT_TABLEEND,
	    POPT_TABLEEND,
	};
	const struct poptOption qhost = {"qhost", '\0', POPT_ARG_STRING, &line->qhost, 0,
	    "Broker: amqp://user:pw@host:5672/vhost, or several", "URI"};
	const struct poptOption dbhost = {"dbhost", '\0', POPT_ARG_STRING, &line->dbhost, 0,
	    "Store: couch://host/db, pg:// or sqlite:///file", "URI"};
	size_t n = count_rows(ours), at = 1;

	for (size_t i = 0; i < n && line->spec->verbose != NULL; i++) {
		if (ours[i].shortName == 'v') {
			ours[i].argInfo = POPT_ARG_NONE;
			ours[i].descrip = line->spec->verbose;
		}
	}

	if (line->spec->uses_broker) {
		memmove(ours + at + 1, ours + at, (n++ - at) * sizeof(*ours));
		ours[at++] = qhost;
	}
	if (line->spec->uses_store) {
		memmove(ours + at + 1, ours + at, (n++ - at) * sizeof(*ours));
		ours[at++] = dbhost;
	}
	line->table = join_tables(line->spec->table, ours);
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

static bool
goes_with(const struct cli_spec *spec, const struct cli_verb *verb, const struct poptOption *row)
{
	return verb->options == NULL ||
	       cli_verbs_have_option(verb->options, row->longName, row->shortName) ||
	       (spec->common != NULL &&
		   cli_verbs_have_option(spec->common, row->longName, row->shortName));
}

static void
print_help(const struct command_line *line)
{
	const struct cli_spec *spec = line->spec;

	printf("Usage: %s %s\n", spec->program, spec->usage);
	for (size_t i = 0; i < count_rows(line->table); i++) {
		if ((line->table[i].argInfo & POPT_ARGFLAG_DOC_HIDDEN) == 0)
			print_row(&line->table[i]);
	}
	if (spec->examples != NULL)
		printf("Examples:\n%s", spec->examples);
	if (spec->verbs == NULL)
		return;
	cli_verbs_print(spec->verbs);
	if (spec->verbs_note != NULL)
		printf("%s", spec->verbs_note);
}

/* Prints what is said of a verb alone: its words, what it does, and its own options. */
static void
print_verb_help(const struct command_line *line, const struct cli_verb *verb)
{
	const struct cli_spec *spec = line->spec;

	printf("Usage: %s [OPTION...] %s%s%s\n%s\n", spec->program, verb->name,
	    verb->words[0] == '\0' ? "" : " ", verb->words, verb->summary);
	for (size_t i = 0; i < count_rows(spec->table); i++) {
		const struct poptOption *row = &spec->table[i];

		if ((row->argInfo & POPT_ARGFLAG_DOC_HIDDEN) == 0 && goes_with(spec, verb, row))
			print_row(row);
	}
	printf("What all commands take, and examples: %s --help\n", spec->program);
}

static void
copy_and_scrub(struct command_line *line, int argc, char **argv)
{
	line->argc = argc;
	line->argv = xcalloc((size_t)argc + 1, sizeof(*line->argv));
	for (int i = 0; i < argc; i++) {
		line->argv[i] = xstrdup(argv[i]);
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

/* Hides what /proc/PID/environ shows, the memory that the program was started with. Of any other
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
take_environment(struct command_line *line)
{
	for (char **v = environ; v != NULL && *v != NULL; v++) {
		char *qhost = value_of(*v, CLI_QHOST_VARIABLE);
		char *dbhost = value_of(*v, CLI_DBHOST_VARIABLE);

		if (qhost != NULL)
			take(&line->env_qhost, qhost);
		else if (dbhost != NULL)
			take(&line->env_dbhost, dbhost);
		else
			hide(v);
	}
	/* Nor does a child of ours need them. */
	unsetenv(CLI_QHOST_VARIABLE);
	unsetenv(CLI_DBHOST_VARIABLE);
}

static void
run_popt(struct command_line *line)
{
	static const char *none[] = {NULL};
	int rc;

	line->popt = poptGetContext(
	    line->spec->program, line->argc, (const char **)line->argv, line->table, 0);
	line->given = xcalloc(count_rows(line->spec->table) + 1, sizeof(*line->given));
	while ((rc = poptGetNextOpt(line->popt)) > 0)
		line->given[rc - 1] = true;
	if (rc < -1)
		complain_usage(
		    line->spec->program, "%s: %s", poptBadOption(line->popt, 0), poptStrerror(rc));
	line->args = poptGetArgs(line->popt);
	if (line->args == NULL)
		line->args = none;
}

void
cli_parse(struct command_line *line, const struct cli_spec *spec, int argc, char **argv)
{
	const struct cli_verb *verb = NULL;

	line->spec = spec;
	copy_and_scrub(line, argc, argv);
	take_environment(line);
	make_table(line);
	run_popt(line);
	if (line->help) {
		if (spec->verbs != NULL && line->args[0] != NULL)
			verb = cli_verbs_named(spec->verbs, line->args[0]);
		if (verb != NULL)
			print_verb_help(line, verb);
		else
			print_help(line);
		exit(0);
	}
	if (line->version) {
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
cli_parse_finish(struct command_line *line)
{
	poptFreeContext(line->popt);
	for (int i = 0; i < line->argc; i++)
		free_secret(line->argv[i]);
	free(line->argv);
	free(line->table);
	free(line->given);
	free(line->config);
	free(line->loglevel);
	free_secret(line->env_qhost);
	free_secret(line->env_dbhost);
	free_secret(line->qhost);
	free_secret(line->dbhost);
	for (size_t i = 0; line->assignments != NULL && line->assignments[i] != NULL; i++)
		free_secret(line->assignments[i]);
	free(line->assignments);
}
