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
	char *path;               /* of the file that was read; owned */
	struct trouble *no_qhost; /* that of struct cli, or one like it */
	bool bad;
};

static void
tell(struct build *b, enum log_level level, const char *where, unsigned int line,
    const struct trouble *what)
{
	if (level == LOG_LEVEL_ERROR)
		b->bad = true;
	b->tell(level, where, line, what, (void *)(uintptr_t)b->cli);
}

static void
tell_error(struct build *b, const char *where, const char *text)
{
	struct trouble what;

	trouble_set(&what, TROUBLE_OTHER, NULL, "%s", text);
	tell(b, LOG_LEVEL_ERROR, where, 0, &what);
}

static void
on_note(enum log_level level, const char *file, unsigned int line, const struct trouble *what,
    void *arg)
{
	tell(arg, level, file, line, what);
}

static void
on_conf_error(const char *file, unsigned int line, const struct trouble *what, void *arg)
{
	tell(arg, LOG_LEVEL_ERROR, file, line, what);
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
	struct trouble why;
	struct ini_file c;

	if (path == NULL)
		return;
	b->path = xstrdup(path);
	/* The cure is not to let everyone read it: that would give passwords away, if there are any
	 * in it. */
	if (euidaccess(path, R_OK) != 0 && errno == EACCES) {
		trouble_set(&why, TROUBLE_OTHER,
		    "let an administrator move the broker's URI to a file of its own ([amqp] "
		    "dsn_file) and a store's password out of this one, then let all read this "
		    "one; or name a file of yours (-c FILE)",
		    "Permission denied");
		tell(b, LOG_LEVEL_ERROR, path, 0, &why);
		return;
	}
	if (ini_file_read(&c, path, false, on_conf_error, b)) {
		set_level_early(b->cli, &c);
		options_load(b->out, &c, on_note, b);
	}
	ini_file_finish(&c);
}

typedef bool set_fn(struct options *, const char *, const char *, struct trouble *);

static void
apply(struct build *b, set_fn *set, const char *where, const char *value, const char *source)
{
	struct trouble why;

	if (!set(b->out, value, source, &why))
		tell(b, LOG_LEVEL_ERROR, where, 0, &why);
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
		tell_error(b, path, strerror(err));
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
		return "write the broker's URI into it, or correct [amqp] dsn_file";
	case EACCES:
		return "who is to send commands becomes a member of the group that may "
		       "read it";
	}
	return NULL;
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
		trouble_set(b->no_qhost, TROUBLE_OTHER, qhost_file_cure(err), "%s: %s", path,
		    err == 0 ? "no URI in its first line" : strerror(err));
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
	struct trouble why;

	for (size_t i = 0; cli->line.assignments != NULL && cli->line.assignments[i] != NULL; i++) {
		if (!options_set(b->out, cli->line.assignments[i], &why))
			tell(b, LOG_LEVEL_ERROR, "-o", 0, &why);
	}
	if (cli->line.qhost != NULL)
		apply(b, options_set_qhost, "--qhost", cli->line.qhost, "command-line options");
	if (cli->line.dbhost != NULL)
		apply(b, options_set_dbhost, "--dbhost", cli->line.dbhost, "command-line options");
	if (command_line_level(cli, &level)) {
		b->out->log_level = level;
	} else if (cli->line.loglevel != NULL) {
		trouble_set(&why, TROUBLE_OTHER, NULL,
		    "'%s' should be DEBUG, INFO, WARN, ERROR or CRITICAL", cli->line.loglevel);
		tell(b, LOG_LEVEL_ERROR, "--loglevel", 0, &why);
	}
}

/* Checks groups once all was given, for -o may name groups of the file. */
static void
on_wrong_group(const struct hostgroup *g, bool error, const char *text, void *arg)
{
	struct trouble what;

	trouble_set(&what, TROUBLE_OTHER, NULL, "[group %s] %s", g->name, text);
	tell(arg, error ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN, g->file == NULL ? "-o" : g->file,
	    g->line, &what);
}

/* false: everything wrong was told; *out is finished. *path, the file's, is the caller's to free.
 */
static bool
build(const struct cli *cli, options_note_fn *tell_fn, struct options *out, char **path,
    struct trouble *no_qhost)
{
	struct build b = {.cli = cli, .tell = tell_fn, .out = out, .no_qhost = no_qhost};
	struct ini_file none = {0};

	*no_qhost = (struct trouble){0};
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
log_it(enum log_level level, const char *where, unsigned int line, const struct trouble *what)
{
	struct trouble shown = *what;

	complain_place(&shown, where, line);
	log_msg(level, "config", TROUBLE_FMT, TROUBLE_ARGS(&shown));
}

/* Keeps it for who is to tell it: the examiner, and the service in its status. */
static void
keep_complaint(enum log_level level, const char *where, unsigned int line,
    const struct trouble *what, void *arg)
{
	struct cli *cli = arg;

	if (level != LOG_LEVEL_ERROR || cli->n_complaints++ > 0)
		return;
	cli->complaint = *what;
	complain_place(&cli->complaint, where, line);
}

static void
log_and_keep(enum log_level level, const char *where, unsigned int line, const struct trouble *what,
    void *arg)
{
	log_it(level, where, line, what);
	keep_complaint(level, where, line, what, arg);
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
tell_at_start(enum log_level level, const char *where, unsigned int line,
    const struct trouble *what, void *arg)
{
	const struct cli *cli = arg;
	struct trouble shown = *what;

	if (level == LOG_LEVEL_WARN || (level != LOG_LEVEL_ERROR && is_service(cli)))
		log_it(level, where, line, what);
	if (level != LOG_LEVEL_ERROR)
		return;
	complain_place(&shown, where, line);
	complain_trouble(cli->line.spec->program, &shown);
}

void
cli_tell_check(enum log_level level, const char *where, unsigned int line,
    const struct trouble *what, void *arg)
{
	const char *kind = level == LOG_LEVEL_ERROR  ? "error"
			   : level == LOG_LEVEL_WARN ? "warning"
						     : "note";
	struct trouble shown = *what;

	trouble_prefix(&shown, "%s: ", kind);
	complain_place(&shown, where, line);
	printable_line(stdout, TROUBLE_FMT, TROUBLE_ARGS(&shown));
}

/* The service could not start with it. But newer versions of systemd give credentials to the start
 * alone and not to ExecReload=: one that is not here may name the broker, so that it is no error
 * where there are none at all. */
static bool
check_qhost_file(struct cli *cli)
{
	bool bad = is_service(cli) && getenv("CREDENTIALS_DIRECTORY") != NULL;

	if (cli->no_qhost.kind == TROUBLE_NONE)
		return true;
	cli_tell_check(
	    bad ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, "[amqp] dsn_file", 0, &cli->no_qhost, cli);
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
	if (ok && cli->no_qhost.kind == TROUBLE_NONE && spec->uses_broker)
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

	cli->complaint = (struct trouble){0};
	cli->n_complaints = 0;
	ok = build(cli, log_and_keep, &fresh, &path, &cli->no_qhost);
	if (ok && cli->no_qhost.kind != TROUBLE_NONE) {
		log_and_keep(LOG_LEVEL_ERROR, "[amqp] dsn_file", 0, &cli->no_qhost, cli);
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
	struct trouble why;

	if (no_qhost && cli->no_qhost.kind != TROUBLE_NONE) {
		why = cli->no_qhost;
		trouble_prefix(&why, "no broker is named: ");
		complain_trouble(cli->line.spec->program, &why);
	} else if (no_qhost) {
		missing(cli, "broker", "qhost", "dsn of [amqp]");
	}
	if (no_dbhost)
		missing(cli, "store", "dbhost", "dsn of [couch] or of [sqlite]");
	if (no_qhost || no_dbhost)
		exit(1);
}

static void
usage_trouble(const struct cli *cli, const struct trouble *why)
{
	complain_trouble(cli->line.spec->program, why);
	complain_try_help(cli->line.spec->program);
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
	struct trouble why;

	cli_need(cli, true, false);
	if (!uri_parse_brokers(o->qhost, list, n, &why)) {
		trouble_prefix(&why, "qhost from %s: ", o->qhost_source);
		usage_trouble(cli, &why);
	}
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
	struct trouble why;

	cli_need(cli, false, true);
	if (!uri_parse(o->dbhost, store, &why)) {
		trouble_prefix(&why, "dbhost from %s: ", o->dbhost_source);
		usage_trouble(cli, &why);
	}
	if (store->scheme == URI_COUCHS)
		check_tls(cli, "couch", &o->couch_tls);
	log_info("config", "Using dbhost from %s", o->dbhost_source);
}
