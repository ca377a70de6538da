/* SPDX-License-Identifier: Apache-2.0 */
/* See cli.h. */
#include "shared/config/cli.h"
#include "shared/base/trouble.h"
#include "shared/config/options_load.h"

#include "shared/base/buf.h"
#include "shared/base/printable.h"
#include "shared/base/xalloc.h"
#include "shared/config/cli_stdout.h"
#include "shared/config/cli_verbs.h"
#include "shared/config/complain.h"
#include "shared/config/ini_file.h"
#include "shared/target/target.h"
#include "shared/wire/jsonx.h"
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define CREDENTIAL_MAX 4096
#define ERR_SIZE       512

/* Building the options, and where to tell what is wrong: on stderr at the start, in the log at a
 * reload, on stdout for --check-config. */
struct build {
	const struct cli *cli;
	options_note_fn *tell;
	struct options *out;
	char *path;     /* of the file that was read; owned */
	char *no_qhost; /* as in struct cli; owned */
	bool bad;
};

static void
tell(struct build *b, enum log_level level, const char *where, unsigned int line, const char *text)
{
	if (level == LOG_LEVEL_ERROR)
		b->bad = true;
	b->tell(level, where, line, text, (void *)(uintptr_t)b->cli);
}

static void
on_note(enum log_level level, const char *file, unsigned int line, const char *text, void *arg)
{
	tell(arg, level, file, line, text);
}

static void
on_conf_error(const char *file, unsigned int line, const char *text, void *arg)
{
	tell(arg, LOG_LEVEL_ERROR, file, line, text);
}

/* --- the sources, weakest first --- */

/* -c, else VOGELER_CONFIG, else the default when it exists. NULL: none. */
static const char *
find_config(const struct cli *cli)
{
	const char *env = getenv("VOGELER_CONFIG");

	if (cli->line.config != NULL)
		return cli->line.config;
	if (env != NULL && env[0] != '\0')
		return env;
	/* One that is there but cannot be reached is an error, told when it is read. */
	return access(CLI_DEFAULT_CONFIG, F_OK) == 0 || errno != ENOENT ? CLI_DEFAULT_CONFIG : NULL;
}

/* The level of the command line: --loglevel, else --debug, else --verbose. */
static bool
command_line_level(const struct cli *cli, enum log_level *level)
{
	if (cli->line.loglevel != NULL)
		return log_level_parse(cli->line.loglevel, level);
	*level = cli->line.debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO;
	return cli->line.debug || (cli->line.verbose && cli->line.spec->verbose == NULL);
}

/* So that what is told about the file is filtered as the file itself asks. */
static void
set_level_early(const struct cli *cli, const struct ini_file *c)
{
	const struct ini_file_entry *e = ini_file_find(c, "global", "log_level");
	enum log_level level;

	if (command_line_level(cli, &level) || (e != NULL && log_level_parse(e->value, &level)))
		log_set_level(level);
}

static void
load_file(struct build *b)
{
	const char *path = find_config(b->cli);
	struct ini_file c;

	if (path == NULL)
		return;
	b->path = xstrdup(path);
	/* The cure is not to let everyone read it: that would give passwords away, if there are any
	 * in it. */
	if (euidaccess(path, R_OK) != 0 && errno == EACCES) {
		tell(b, LOG_LEVEL_ERROR, path, 0,
		    "Permission denied" TROUBLE_CURE
		    "let an administrator move the broker's URI to a file of its own ([amqp] "
		    "dsn_file) and a store's password out of this one, then let all read this "
		    "one; or name a file of yours (-c FILE)");
		return;
	}
	if (ini_file_read(&c, path, false, on_conf_error, b)) {
		set_level_early(b->cli, &c);
		options_load(b->out, &c, on_note, b);
	}
	ini_file_finish(&c);
}

typedef bool set_fn(struct options *, const char *, const char *, char *, size_t);

static void
apply(struct build *b, set_fn *set, const char *where, const char *value, const char *source)
{
	char err[ERR_SIZE];

	if (!set(b->out, value, source, err, sizeof(err)))
		tell(b, LOG_LEVEL_ERROR, where, 0, err);
}

char *
cli_read_credential(const char *path, int *err)
{
	struct buf text;
	char *line = NULL;
	size_t len;

	*err = 0;
	buf_init(&text, CREDENTIAL_MAX);
	if (buf_read_file(&text, path, err)) {
		*err = 0;
		len = text.len > 0 ? strcspn(text.data, "\r\n") : 0;
		if (len > 0)
			line = xstrndup(text.data, len);
		if (text.data != NULL)
			explicit_bzero(text.data, text.len);
	}
	buf_finish(&text);
	return line;
}

/* systemd.exec(5), "LoadCredential=": a file by that name, if the unit gives it to us. */
static void
load_credential(struct build *b, set_fn *set, const char *name)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	char *path, *value;
	int err;

	if (dir == NULL || dir[0] == '\0')
		return;
	xasprintf(&path, "%s/%s", dir, name);
	value = cli_read_credential(path, &err);
	if (value != NULL) {
		apply(b, set, path, value, "systemd credentials");
		explicit_bzero(value, strlen(value));
	} else if (err != 0 && err != ENOENT) {
		tell(b, LOG_LEVEL_ERROR, path, 0, strerror(err));
	}
	free(value);
	free(path);
}

/* err: 0 when the file could be read. */
static const char *
qhost_file_cure(int err)
{
	switch (err) {
	case 0:
	case ENOENT:
		return TROUBLE_CURE "write the broker's URI into it, or correct [amqp] dsn_file";
	case EACCES:
		return TROUBLE_CURE
		    "who is to send commands becomes a member of the group that may "
		    "read it";
	}
	return "";
}

/* The file of [amqp] dsn_file. It is no error that it cannot be read: who is not to send commands
 * does without, and whoever needs a broker is told. */
static void
load_qhost_file(struct build *b)
{
	const char *path = b->out->qhost_file;
	char *value;
	int err;

	if (b->out->qhost != NULL || path == NULL)
		return;
	value = cli_read_credential(path, &err);
	if (value != NULL) {
		apply(b, options_set_qhost, path, value, path);
		explicit_bzero(value, strlen(value));
	} else {
		xasprintf(&b->no_qhost, "%s: %s%s", path,
		    err == 0 ? "no URI in its first line" : strerror(err), qhost_file_cure(err));
	}
	free(value);
}

static void
load_environment(struct build *b, set_fn *set, const char *name, const char *value)
{
	if (value != NULL && value[0] != '\0')
		apply(b, set, name, value, "environment");
}

static void
load_command_line(struct build *b)
{
	const struct cli *cli = b->cli;
	enum log_level level;
	char err[ERR_SIZE];

	for (size_t i = 0; cli->line.assignments != NULL && cli->line.assignments[i] != NULL; i++) {
		if (!options_set(b->out, cli->line.assignments[i], err, sizeof(err)))
			tell(b, LOG_LEVEL_ERROR, "-o", 0, err);
	}
	if (cli->line.qhost != NULL)
		apply(b, options_set_qhost, "--qhost", cli->line.qhost, "command-line options");
	if (cli->line.dbhost != NULL)
		apply(b, options_set_dbhost, "--dbhost", cli->line.dbhost, "command-line options");
	if (command_line_level(cli, &level)) {
		b->out->log_level = level;
	} else if (cli->line.loglevel != NULL) {
		snprintf(err, sizeof(err), "'%s' should be DEBUG, INFO, WARN, ERROR or CRITICAL",
		    cli->line.loglevel);
		tell(b, LOG_LEVEL_ERROR, "--loglevel", 0, err);
	}
}

/* Checks groups once all was given, for -o may name groups of the file. */
static void
on_wrong_group(const struct hostgroup *g, bool error, const char *text, void *arg)
{
	char *named;

	xasprintf(&named, "[group %s] %s", g->name, text);
	tell(arg, error ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN, g->file == NULL ? "-o" : g->file,
	    g->line, named);
	free(named);
}

/* false: everything wrong was told; *out is finished. *path, the file's, and *no_qhost are the
 * caller's to free. */
static bool
build(const struct cli *cli, options_note_fn *tell_fn, struct options *out, char **path,
    char **no_qhost)
{
	struct build b = {.cli = cli, .tell = tell_fn, .out = out};
	struct ini_file none = {0};

	options_init(out);
	set_level_early(cli, &none);
	load_file(&b);
	if (cli->line.spec->uses_broker) {
		load_credential(&b, options_set_qhost, "qhost");
		load_environment(&b, options_set_qhost, CLI_QHOST_VARIABLE, cli->line.env_qhost);
	}
	if (cli->line.spec->uses_store) {
		load_credential(&b, options_set_dbhost, "dbhost");
		load_environment(&b, options_set_dbhost, CLI_DBHOST_VARIABLE, cli->line.env_dbhost);
	}
	load_command_line(&b);
	if (cli->line.spec->uses_broker)
		load_qhost_file(&b);
	targets_check_groups(&out->groups, on_wrong_group, &b);
	*path = b.path;
	*no_qhost = b.no_qhost;
	if (b.bad)
		options_finish(out);
	return !b.bad;
}

/* Builds cli->options in the same way. */
static bool
build_own(struct cli *cli, options_note_fn *tell_fn)
{
	return build(cli, tell_fn, &cli->options, &cli->config_path, &cli->no_qhost);
}

/* --- telling --- */

static void
log_it(enum log_level level, const char *where, unsigned int line, const char *text, void *arg)
{
	char *shown = complain_text(where, line, text);

	log_msg(level, "config", "%s", shown);
	free(shown);
}

/* Keeps it for who is to tell it: the examiner, and the service in its status. */
static void
keep_complaint(
    enum log_level level, const char *where, unsigned int line, const char *text, void *arg)
{
	struct cli *cli = arg;

	if (level != LOG_LEVEL_ERROR || cli->n_complaints++ > 0)
		return;
	cli->complaint = complain_text(where, line, text);
}

static void
log_and_keep(
    enum log_level level, const char *where, unsigned int line, const char *text, void *arg)
{
	log_it(level, where, line, text, NULL);
	keep_complaint(level, where, line, text, arg);
}

static bool
has_verb(const struct cli *cli, const char *verb)
{
	return verb != NULL && cli->args[0] != NULL && strcmp(cli->args[0], verb) == 0;
}

static bool
is_service(const struct cli *cli)
{
	const char *verb = cli->line.spec->service;

	return verb != NULL && !cli->line.dump_config && (verb[0] == '\0' || has_verb(cli, verb));
}

/* An error that ends the start is not a matter of log levels. */
static void
tell_at_start(
    enum log_level level, const char *where, unsigned int line, const char *text, void *arg)
{
	const struct cli *cli = arg;
	char *shown;

	if (level == LOG_LEVEL_WARN || (level != LOG_LEVEL_ERROR && is_service(cli)))
		log_it(level, where, line, text, NULL);
	if (level != LOG_LEVEL_ERROR)
		return;
	shown = complain_text(where, line, text);
	complain_line(cli->line.spec->program, "%s", shown);
	free(shown);
}

void
cli_tell_check(
    enum log_level level, const char *where, unsigned int line, const char *text, void *arg)
{
	const char *kind = level == LOG_LEVEL_ERROR  ? "error"
			   : level == LOG_LEVEL_WARN ? "warning"
						     : "note";
	char *told, *shown;

	xasprintf(&told, "%s: %s", kind, text);
	shown = complain_text(where, line, told);
	printable_line(stdout, "%s", shown);
	free(shown);
	free(told);
}

/* The service could not start with it. But newer versions of systemd give credentials to the start
 * alone and not to ExecReload=: one that is not here may name the broker, so that it is no error
 * where there are none at all. */
static bool
check_qhost_file(struct cli *cli)
{
	bool bad = is_service(cli) && getenv("CREDENTIALS_DIRECTORY") != NULL;

	if (cli->no_qhost == NULL)
		return true;
	cli_tell_check(
	    bad ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, "[amqp] dsn_file", 0, cli->no_qhost, cli);
	return !bad;
}

/* A unit may name it in a credential, which is not here: so it is no error. */
static void
note_unnamed(const struct cli *cli, const char *what, const char *option, const char *variable,
    const char *value)
{
	if (value != NULL || cli->line.spec->service == NULL)
		return;
	printf("note: no %s is named here: %s will need --%s, %s or the credential %s\n", what,
	    cli->line.spec->program, option, variable, option);
}

static void
check_config(struct cli *cli)
{
	const struct cli_spec *spec = cli->line.spec;
	bool ok = build_own(cli, cli_tell_check);
	const char *path = cli->config_path;

	if (ok && spec->check != NULL)
		ok = spec->check(cli, is_service(cli));
	ok = ok && check_qhost_file(cli);
	if (ok && cli->no_qhost == NULL && spec->uses_broker)
		note_unnamed(cli, "broker", "qhost", "VOGELER_QHOST", cli->options.qhost);
	if (ok && spec->uses_store)
		note_unnamed(cli, "store", "dbhost", "VOGELER_DBHOST", cli->options.dbhost);
	if (ok && path != NULL)
		printf("%s: ok\n", path);
	else if (ok)
		printf("no configuration file (looked for %s): ok\n", CLI_DEFAULT_CONFIG);
	exit(ok ? 0 : 1);
}

/* --- what cli.h offers --- */

/* Passwords are in our memory: who has the same user could read them by ptrace(2) and
 * /proc/PID/mem, and from a core file. The limit alone does not hold where core_pattern is a pipe.
 */
static void
keep_memory_to_ourselves(void)
{
	const struct rlimit none = {0, 0};

	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	(void)setrlimit(RLIMIT_CORE, &none);
}

/* A file gets the values as they are; a terminal obeys none of them. */
static void
dump_config(const struct options *o)
{
	char *text;
	size_t size;
	FILE *out;

	if (!isatty(STDOUT_FILENO)) {
		options_dump(o, stdout);
		return;
	}
	out = xmemstream(&text, &size);
	options_dump(o, out);
	fclose(out);
	printable_put(stdout, text, PRINTABLE_KEEP_BREAKS);
	free(text);
}

void
cli_init(struct cli *cli, const struct cli_spec *spec, int argc, char **argv)
{
	cli_fill_descriptors();
	keep_memory_to_ourselves();
	cli_guard_stdout(spec->program);
	*cli = (struct cli){0};
	log_init(spec->program);
	jsonx_init();
	cli_parse(&cli->line, spec, argc, argv);
	cli->args = cli->line.args;
	if (cli->line.check_config)
		check_config(cli);
	if (!cli->line.dump_config && has_verb(cli, spec->examiner)) {
		if (!build_own(cli, keep_complaint))
			options_init(&cli->options);
	} else if (!build_own(cli, tell_at_start)) {
		exit(1);
	}
	log_set_level(cli->options.log_level);
	if (cli->line.dump_config) {
		dump_config(&cli->options);
		exit(0);
	}
}

void
cli_finish(struct cli *cli)
{
	options_finish(&cli->options);
	free(cli->config_path);
	free(cli->complaint);
	free(cli->no_qhost);
	cli_parse_finish(&cli->line);
	*cli = (struct cli){0};
}

void
cli_usage_error(const struct cli *cli, const char *fmt, ...)
{
	char *text;
	va_list ap;

	va_start(ap, fmt);
	xvasprintf(&text, fmt, ap);
	va_end(ap);
	complain_usage(cli->line.spec->program, "%s", text);
}

const struct cli_verb *
cli_verb(const struct cli *cli)
{
	const struct cli_spec *spec = cli->line.spec;
	const struct cli_verb *verb = cli_verbs_find(spec->program, spec->verbs, cli->args);

	for (size_t i = 0; spec->table[i].longName != NULL || spec->table[i].shortName != 0; i++) {
		const struct poptOption *row = &spec->table[i];

		if (cli->line.given[i] &&
		    !(spec->common != NULL &&
			cli_verbs_have_option(spec->common, row->longName, row->shortName)))
			cli_verbs_check_option(
			    spec->program, spec->verbs, verb, row->longName, row->shortName);
	}
	return verb;
}

bool
cli_reload(struct cli *cli, struct options *out)
{
	struct options fresh;
	char *path = NULL;
	bool ok;

	free(cli->complaint);
	cli->complaint = NULL;
	cli->n_complaints = 0;
	free(cli->no_qhost);
	ok = build(cli, log_and_keep, &fresh, &path, &cli->no_qhost);
	if (ok && cli->no_qhost != NULL) {
		log_and_keep(LOG_LEVEL_ERROR, "[amqp] dsn_file", 0, cli->no_qhost, cli);
		options_finish(&fresh);
		ok = false;
	}
	log_set_level(ok ? fresh.log_level : cli->options.log_level);
	if (ok)
		*out = fresh;
	free(path);
	return ok;
}

/* what: "broker". keys: of which one is to be set, with their sections. */
static void
missing(const struct cli *cli, const char *what, const char *option, const char *keys)
{
	if (cli->config_path != NULL)
		complain_line(cli->line.spec->program,
		    "no %s is named" TROUBLE_CURE
		    "give --%s URI, or set %s in %s (-c FILE names another)",
		    what, option, keys, cli->config_path);
	else
		complain_line(cli->line.spec->program,
		    "no %s is named" TROUBLE_CURE
		    "give --%s URI, or -c FILE with %s set in it (%s is not there)",
		    what, option, keys, CLI_DEFAULT_CONFIG);
}

void
cli_need(const struct cli *cli, bool qhost, bool dbhost)
{
	bool no_qhost = qhost && cli->options.qhost == NULL;
	bool no_dbhost = dbhost && cli->options.dbhost == NULL;

	if (no_qhost && cli->no_qhost != NULL)
		complain_line(cli->line.spec->program, "no broker is named: %s", cli->no_qhost);
	else if (no_qhost)
		missing(cli, "broker", "qhost", "dsn of [amqp]");
	if (no_dbhost)
		missing(cli, "store", "dbhost", "dsn of [couch] or of [sqlite]");
	if (no_qhost || no_dbhost)
		exit(1);
}

/* Now rather than at each connection: what is wrong with the files is for whoever starts us. */
static void
check_tls(const struct cli *cli, const char *section, const struct tls_options *tls)
{
	char err[ERR_SIZE];

	if (!tls_check(tls, err, sizeof(err)))
		cli_usage_error(cli, "[%s] %s", section, err);
}

void
cli_brokers(const struct cli *cli, struct uri **list, size_t *n)
{
	const struct options *o = &cli->options;
	char err[ERR_SIZE];

	cli_need(cli, true, false);
	if (!uri_parse_brokers(o->qhost, list, n, err, sizeof(err)))
		cli_usage_error(cli, "qhost from %s: %s", o->qhost_source, err);
	for (size_t i = 0; i < *n; i++)
		if ((*list)[i].scheme == URI_AMQPS) {
			check_tls(cli, "amqp", &o->amqp_tls);
			break;
		}
	log_info("config", "Using qhost from %s", o->qhost_source);
}

void
cli_store(const struct cli *cli, struct uri *store)
{
	const struct options *o = &cli->options;
	char err[ERR_SIZE];

	cli_need(cli, false, true);
	if (!uri_parse(o->dbhost, store, err, sizeof(err)))
		cli_usage_error(cli, "dbhost from %s: %s", o->dbhost_source, err);
	if (store->scheme == URI_COUCHS)
		check_tls(cli, "couch", &o->couch_tls);
	log_info("config", "Using dbhost from %s", o->dbhost_source);
}
