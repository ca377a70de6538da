/* SPDX-License-Identifier: Apache-2.0 */
/* cli: run as a real program: this test executes itself, with CLI_TEST_MODE saying what to do. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "shared/base/trouble.h"
#include "shared/config/cli.h"
#include "shared/config/options_load.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- the program --- */

static char *own_option;
static int own_flag;
static struct poptOption own_table[] = {
    {"plugin_dir", 'p', POPT_ARG_STRING, &own_option, 0, "Folder of plugins", "DIR"},
    {"oneshot", 'o', POPT_ARG_NONE, &own_flag, 0, "Run one command, and exit", NULL},
    POPT_TABLEEND,
};
static const struct cli_spec spec = {
    .program = "vogelerd",
    .usage = "[OPTION...]",
    .examples = "  vogelerd -c /etc/vogeler/vogeler.conf\n  vogelerd --qhost 10.10.10.2\n",
    .uses_broker = true,
    .uses_store = true,
    .service = "",
};
static const struct cli_spec agent_spec = {
    .program = "vogeler-agent",
    .usage = "[OPTION...] run|list",
    .table = own_table,
    .uses_broker = true,
};
static const struct cli_spec examiner_spec = {.program = "vogeler-admin", .examiner = "doctor"};

static void
print_file(const char *path)
{
	char text[4096];
	FILE *f = fopen(path, "r");
	size_t n = f != NULL ? fread(text, 1, sizeof(text), f) : 0;

	for (size_t i = 0; i < n; i++)
		putchar(text[i] != '\0' ? text[i] : ' ');
	if (f != NULL)
		fclose(f);
}

/* Into the file, since there is no other way out. */
static void
print_next_descriptor(const char *path)
{
	int fd = open(path, O_WRONLY | O_TRUNC);

	dprintf(fd, "next=%d", fd);
	close(fd);
}

static void
print_reload(struct cli *cli)
{
	char text[TROUBLE_WHAT_SIZE + TROUBLE_CURE_SIZE];
	struct options again;
	FILE *f = fopen(cli->config_path, "w");

	fputs(getenv("CLI_TEST_RELOAD"), f);
	fclose(f);
	if (cli_reload(cli, &again)) {
		printf("reload prefetch=%u qhost=%s\n", again.prefetch, again.qhost);
		options_finish(&again);
	} else {
		printf("reload failed\ncomplaints=%zu, %s\n", cli->n_complaints,
		    trouble_format(&cli->complaint, text, sizeof(text)));
	}
}

static int
program(int argc, char **argv, const char *mode)
{
	struct cli cli;
	struct uri *list, store;
	size_t n;

	if (strcmp(mode, "agent") == 0) {
		cli_init(&cli, &agent_spec, argc, argv);
		printf("own=%s flag=%d\n", own_option != NULL ? own_option : "-", own_flag);
		free(own_option);
	} else if (strcmp(mode, "examiner") == 0) {
		cli_init(&cli, &examiner_spec, argc, argv);
		printf("complaint=" TROUBLE_FMT "\n", TROUBLE_ARGS(&cli.complaint));
	} else {
		cli_init(&cli, &spec, argc, argv);
	}
	printf("prefetch=%u level=%s config=%s\n", cli.options.prefetch,
	    log_level_name(cli.options.log_level), cli.config_path != NULL ? cli.config_path : "-");
	for (size_t i = 0; cli.args[i] != NULL; i++)
		printf("arg=%s\n", cli.args[i]);
	if (strcmp(mode, "closed") == 0)
		print_next_descriptor(cli.config_path);
	if (strcmp(mode, "cmdline") == 0)
		print_file("/proc/self/cmdline");
	if (strcmp(mode, "reload") == 0)
		print_reload(&cli);
	if (strcmp(mode, "usage") == 0)
		cli_usage_error(&cli, "do %s?", cli.args[0]);
	if (strcmp(mode, "connect") == 0) {
		cli_brokers(&cli, &list, &n);
		cli_store(&cli, &store);
		printf("qhost=%s dbhost=%s\n", cli.options.qhost, cli.options.dbhost);
		uri_list_free(list, n);
		uri_finish(&store);
	}
	cli_finish(&cli);
	return 0;
}

/* --- running it --- */

static char dir[64], conf[128];
static char out[16384], err[16384];
static int status;

static void
slurp(int fd, char *text, size_t size)
{
	ssize_t n = pread(fd, text, size - 1, 0);

	assert_true(n >= 0);
	text[n] = '\0';
	close(fd);
}

static int
temp_fd(void)
{
	char path[] = "/tmp/vogeler-cli-XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	unlink(path);
	return fd;
}

/* args: up to a NULL; env: "NAME=value" up to a NULL. */
static void
run(const char *mode, const char *const *env, const char *const *args)
{
	char name[] = "vogelerd", *argv[32] = {name};
	int fd_out = temp_fd(), fd_err = temp_fd();
	pid_t pid;

	for (int i = 0; args[i] != NULL; i++)
		argv[i + 1] = (char *)(uintptr_t)args[i];
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(fd_out, STDOUT_FILENO);
		dup2(fd_err, STDERR_FILENO);
		if (strcmp(mode, "closed") == 0)
			close_range(0, ~0U, 0);
		setenv("CLI_TEST_MODE", mode, 1);
		setenv("VOGELER_CONFIG", conf, 1);
		for (int i = 0; env != NULL && env[i] != NULL; i++)
			putenv((char *)(uintptr_t)env[i]);
		execv("/proc/self/exe", argv);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	status = WEXITSTATUS(status);
	slurp(fd_out, out, sizeof(out));
	slurp(fd_err, err, sizeof(err));
}

#define RUN(mode, ...)          run(mode, NULL, (const char *const[]){__VA_ARGS__, NULL})
#define RUN_ENV(mode, env, ...) run(mode, env, (const char *const[]){__VA_ARGS__, NULL})

static void
write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void
assert_in(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("no \"%s\" in:\n%s(stderr: %s)", part, text, err);
}

static int
setup(void **state)
{
	static const char *const names[] = {"VOGELER_QHOST", "VOGELER_DBHOST", "VOGELER_CONFIG",
	    "CREDENTIALS_DIRECTORY", "JOURNAL_STREAM", "VOGELER_TRACE"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unsetenv(names[i]);
	snprintf(dir, sizeof(dir), "/tmp/vogeler-cli-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(conf, sizeof(conf), "%s/vogeler.conf", dir);
	write_file(conf, "");
	return 0;
}

static int
teardown(void **state)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/qhost", dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/dbhost", dir);
	unlink(path);
	unlink(conf);
	return rmdir(dir);
}

/* --- tests --- */

static void
precedence(void **state)
{
	char env[] = "VOGELER_QHOST=env", creds[100], path[100];
	const char *const with_env[] = {env, creds, NULL}, *const with_creds[] = {creds, NULL};

	snprintf(creds, sizeof(creds), "CREDENTIALS_DIRECTORY=%s", dir);
	write_file(conf, "[global]\nlog_level = INFO\n[amqp]\ndsn = amqp://file\n"
			 "[couch]\ndsn = couch://c\n");
	RUN("connect", "-v");
	assert_int_equal(status, 0);
	assert_in(out, "qhost=amqp://file dbhost=couch://c");
	assert_in(err, "Using qhost from configuration file\n");
	assert_in(err, "Using dbhost from configuration file\n");

	snprintf(path, sizeof(path), "%s/qhost", dir);
	write_file(path, "amqp://credential/v\n");
	RUN_ENV("connect", with_creds, "-v");
	assert_in(out, "qhost=amqp://credential/v dbhost=couch://c");
	assert_in(err, "INFO] vogelerd (config) - Using qhost from systemd credentials\n");

	RUN_ENV("connect", with_env, "-v");
	assert_in(out, "qhost=env ");
	assert_in(err, "Using qhost from environment\n");

	RUN_ENV("connect", with_env, "-v", "-o", "amqp.dsn=assigned");
	assert_in(out, "qhost=assigned ");

	RUN_ENV("connect", with_env, "-v", "--qhost", "amqp://line", "--dbhost=sqlite:///l");
	assert_in(out, "qhost=amqp://line dbhost=sqlite:///l");
	assert_in(err, "Using qhost from command-line options\n");
	assert_in(err, "Using dbhost from command-line options\n");
}

/* Weaker than all else; who cannot read it has no broker, and is told when one is needed. */
static void
the_file_of_the_broker(void **state)
{
	char path[100], text[300];

	snprintf(path, sizeof(path), "%s/qhost", dir);
	snprintf(text, sizeof(text), "[amqp]\ndsn_file = %s\n[couch]\ndsn = couch://c\n", path);
	write_file(conf, text);
	RUN("connect", "x");
	assert_int_equal(status, 1);
	snprintf(text, sizeof(text),
	    "vogelerd: no broker is named: %s: No such file or directory; cure: write the "
	    "broker's URI into it, or correct [amqp] dsn_file\n",
	    path);
	assert_string_equal(err, text);
	write_file(path, "\n");
	RUN("connect", "x");
	assert_in(err, "no broker is named: ");
	assert_in(err, "/qhost: no URI in its first line; cure: write ");
	write_file(path, "amqp://u:secret@named/v\n");
	RUN("connect", "-v");
	assert_in(out, "qhost=amqp://u:secret@named/v ");
	snprintf(text, sizeof(text), "Using qhost from %s\n", path);
	assert_in(err, text);
	RUN("connect", "--qhost", "line");
	assert_in(out, "qhost=line ");
	write_file(path, "http://u:secret@named/v\n");
	RUN("connect", "x");
	assert_int_equal(status, 1);
	assert_in(err, "/qhost: ");
	assert_null(strstr(err, "secret"));
}

/* A service that has its broker from it goes on with what it has, and says what is wrong. */
static void
the_file_of_the_broker_at_a_reload(void **state)
{
	char path[100], text[300], gone[400];
	const char *const env[] = {gone, NULL};
	const char *const unit[] = {"CREDENTIALS_DIRECTORY=/nonexistent", NULL};

	snprintf(path, sizeof(path), "%s/qhost", dir);
	write_file(path, "amqp://u:secret@named/v\n");
	snprintf(text, sizeof(text), "[amqp]\ndsn_file = %s\n", path);
	snprintf(gone, sizeof(gone), "CLI_TEST_RELOAD=[amqp]\ndsn_file = %s.gone\n", path);
	write_file(conf, text);
	RUN_ENV("reload", env, "x");
	assert_in(out, "reload failed\ncomplaints=1, [amqp] dsn_file: ");
	assert_in(out, "/qhost.gone: No such file or directory; cure: ");
	assert_in(err, "ERROR] vogelerd (config) - [amqp] dsn_file: ");
	write_file(conf, text);
	RUN_ENV("reload", env, "--qhost", "line");
	assert_in(out, " qhost=line\n");
	RUN("", "--check-config");
	assert_int_equal(status, 0);
	assert_in(out, "[amqp] dsn_file: note: ");
	RUN_ENV("", unit, "--check-config");
	assert_int_equal(status, 1);
	assert_in(out, "[amqp] dsn_file: error: ");
	assert_null(strstr(out, ": ok\n"));
	RUN_ENV("", unit, "--check-config", "--qhost", "line");
	assert_int_equal(status, 0);
	RUN_ENV("agent", unit, "--check-config");
	assert_int_equal(status, 0);
}

static void
levels(void **state)
{
	write_file(conf, "[global]\nlog_level = ERROR\n");
	RUN("", "x");
	assert_in(out, "level=ERROR");
	RUN("", "-v");
	assert_in(out, "level=INFO");
	RUN("", "--debug");
	assert_in(out, "level=DEBUG");
	RUN("", "--debug", "--loglevel", "critical");
	assert_in(out, "level=CRITICAL");
	RUN("", "--loglevel", "LOUD");
	assert_int_equal(status, 1);
	assert_in(
	    err, "vogelerd: --loglevel: 'LOUD' should be DEBUG, INFO, WARN, ERROR or CRITICAL");
	write_file(conf, "[server]\nlog_level = DEBUG\nnothing = 1\n");
	RUN("", "x");
	assert_null(strstr(err, "no effect"));
	assert_in(err, "WARN] vogelerd (config) - ");
	assert_in(err, "vogeler.conf:3: unknown key 'nothing'");
	RUN("", "-v");
	assert_in(err, "vogeler.conf:2: [server] log_level has no effect");
}

static void
assignments_and_arguments(void **state)
{
	RUN("", "run", "-o", "server.prefetch=7", "-o", "global.log_level=INFO", "rest");
	assert_int_equal(status, 0);
	assert_in(out, "prefetch=7 level=INFO");
	assert_in(out, "arg=run\narg=rest\n");
	RUN("connect", "-o", "global.log_level=INFO", "--qhost=h", "--dbhost=null://");
	assert_in(err, "Using qhost from command-line options\n"); /* the level holds */
	RUN("", "-o", "server.prefech=7");
	assert_int_equal(status, 1);
	assert_in(err, "vogelerd: -o: unknown option 'server.prefech'; did you mean 'prefetch'?");
	RUN("", "--nonsense");
	assert_int_equal(status, 1);
	assert_in(err, "vogelerd: --nonsense: ");
	assert_in(err, "\nTry 'vogelerd --help'.\n");
	RUN("usage", "what");
	assert_int_equal(status, 1);
	assert_in(err, "vogelerd: do what?\nTry 'vogelerd --help'.\n");
}

static void
the_programs_own_options(void **state)
{
	RUN("agent", "-p", "/d", "-o", "--option", "server.prefetch=3", "run");
	assert_int_equal(status, 0);
	assert_in(out, "own=/d flag=1\n");
	assert_in(out, "prefetch=3");
	assert_in(out, "arg=run\n");
	RUN("agent", "--dbhost", "couch://h");
	assert_int_equal(status, 1);
	assert_in(err, "vogeler-agent: --dbhost: unknown option");
}

static void
the_missing_line(void **state)
{
	char expected[300];

	RUN("connect", "x");
	assert_int_equal(status, 1);
	snprintf(expected, sizeof(expected),
	    "vogelerd: no broker is named; cure: give --qhost URI, or set dsn of [amqp] in %s "
	    "(-c FILE names another)\n",
	    conf);
	assert_string_equal(err, expected);
	RUN("connect", "--qhost", "h");
	assert_int_equal(status, 1);
	assert_in(err, "vogelerd: no store is named; cure: give --dbhost URI, or set dsn of "
		       "[couch] or of [sqlite] in ");
	if (access(VOGELER_SYSCONFDIR "/vogeler/vogeler.conf", F_OK) == 0)
		return; /* a Vogeler is installed here: then there is always a file */
	RUN_ENV("connect", ((const char *const[]){"VOGELER_CONFIG=", NULL}), "x");
	assert_int_equal(status, 1);
	assert_string_equal(err,
	    "vogelerd: no broker is named; cure: give --qhost URI, or -c FILE with dsn of [amqp] set "
	    "in it (" VOGELER_SYSCONFDIR "/vogeler/vogeler.conf is not there)\n");
}

static void
the_null_device_is_an_empty_configuration(void **state)
{
	RUN("", "-c", "/dev/null", "--check-config");
	assert_int_equal(status, 0);
	assert_in(out, "/dev/null: ok\n");
	RUN_ENV("connect", ((const char *const[]){"VOGELER_CONFIG=/dev/null", NULL}), "--qhost=h",
	    "--dbhost=null://");
	assert_int_equal(status, 0);
}

static void
bad_files_end_the_start(void **state)
{
	RUN("", "-c", "/dev/zero");
	assert_int_equal(status, 1);
	assert_string_equal(
	    err, "vogelerd: /dev/zero: neither a file nor /dev/null; cure: name a file\n");
	RUN("", "-c", "/nonexistent/v.conf");
	assert_int_equal(status, 1);
	assert_string_equal(err,
	    "vogelerd: /nonexistent/v.conf: No such file or directory; cure: make it, or name another\n");
	write_file(conf, "[server]\nprefetch = 0\nattest = maybe\n");
	/* Even at a level that would hide it. */
	RUN("", "--loglevel", "CRITICAL");
	assert_int_equal(status, 1);
	assert_in(
	    err, "vogeler.conf:2: [server] prefetch: '0' should be a number, from 1 to 65535\n");
	assert_in(err, "vogeler.conf:3: [server] attest: 'maybe' should be auto, yes or no\n");
	assert_string_equal(out, "");
}

static void
bad_uris_end_the_start(void **state)
{
	const char *const env[] = {"VOGELER_QHOST=amqp://u:secret@h:0", NULL};

	RUN_ENV("connect", env, "x");
	assert_int_equal(status, 1);
	assert_in(err, "vogelerd: VOGELER_QHOST: port 0");
	RUN("connect", "--qhost", "amqp://u:secret@h/v?x");
	assert_int_equal(status, 1);
	assert_in(err, "vogelerd: --qhost: amqp:// URI with '?'");
	RUN("connect", "--dbhost", "amqp://u:secret@h/v");
	assert_int_equal(status, 1);
	assert_in(err, "vogelerd: --dbhost: amqp:// should be a store");
	assert_null(strstr(err, "secret"));
	RUN("connect", "--qhsot=amqp://u:secret@h/v");
	assert_int_equal(status, 1);
	assert_in(err, "vogelerd: --qhsot=amqp://u:***@h/v: unknown option");
}

/* A URI in the place of something else: whoever forgot --qhost must not find it in the journal. */
static void
no_complaint_has_a_password(void **state)
{
	const char *const uri = "amqp://u:secret@h/v";
	const char *const reload[] = {"CLI_TEST_RELOAD=[amqp]\nheartbeat = amqp://u:secret@h\n"
				      "[amqp://u:secret@h]\nx = 1\n",
	    NULL};

	RUN("usage", uri);
	assert_in(err, "vogelerd: do amqp://u:***@h/v?\nTry 'vogelerd --help'.\n");
	RUN("", "-c", uri);
	assert_in(err, "vogelerd: amqp://u:***@h/v: No such file or directory");
	RUN("", "--check-config", "-c", uri);
	assert_in(out, "amqp://u:***@h/v: error: No such file or directory");
	RUN("examiner", "doctor", "-c", uri);
	assert_in(out, "complaint=amqp://u:***@h/v: No such file or directory");
	RUN("", "--loglevel", uri);
	assert_in(err, "vogelerd: --loglevel: 'amqp://u:***@h/v' should be DEBUG");
	RUN("", "-o", uri);
	assert_int_equal(status, 1);
	RUN("", "-o", "amqp://u:secret@h/v.x=1");
	assert_in(err, "vogelerd: -o: unknown option 'amqp://u:***@h/v.x'");
	RUN("connect", "--dbhost=couchs://h/d", "--qhost=h", "-o",
	    "couch.ca_file=amqp://u:secret@h/v");
	assert_in(err, "amqp://u:***@h/v");
	RUN_ENV("reload", reload, "x");
	assert_in(err, "[amqp] heartbeat: 'amqp://u:***@h' should be");
}

/* The '@' may be beyond what was kept of a message. */
static void
no_password_is_cut_out_of_its_uri(void **state)
{
	char text[2100] = "couch.timeout=amqp://u:";

	memset(text + strlen(text), 'S', 2000);
	strcat(text, "@h/v");
	RUN("", "-o", text);
	assert_int_equal(status, 1);
	assert_in(err, "couch.timeout: 'amqp://u:***");
	assert_null(strstr(err, "SSS"));
}

static void
passwords_leave_the_process_list(void **state)
{
	RUN("cmdline", "--qhost", "amqp://u:secret@h,amqp://u:geheim@i",
	    "--dbhost=couch://u:secret@h/d", "-o", "amqp.dsn=amqp://u:secret@h",
	    "-osqlite.dsn=sqlite:///x", "last");
	assert_int_equal(status, 0);
	assert_in(out, "vogelerd --qhost amqp://u:******@h,amqp://u:******@i "
		       "--dbhost=couch://u:******@h/d -o amqp.dsn=amqp://u:******@h "
		       "-osqlite.dsn=sqlite:///x last ");
	assert_null(strstr(out, "secret"));
	assert_null(strstr(out, "geheim"));
	RUN("connect", "--qhost", "amqp://u:secret@h", "--dbhost=null://");
	assert_in(out, "qhost=amqp://u:secret@h "); /* but we know it */
}

static void
checks_the_file(void **state)
{
	char expected[300];

	write_file(conf, "[server]\nprefetch = 5\n");
	RUN("", "--check-config");
	assert_int_equal(status, 0);
	snprintf(expected, sizeof(expected), "%s: ok\n", conf);
	assert_non_null(strstr(out, "note: no broker is named here: vogelerd will need --qhost"));
	assert_non_null(strstr(out, "note: no store is named here: vogelerd will need --dbhost"));
	assert_in(out, expected);
	write_file(conf, "[amqp]\ndsn = amqp://h/\n[couch]\ndsn = couch://h/x\n");
	RUN("", "--check-config");
	assert_int_equal(status, 0);
	assert_string_equal(out, expected);
	write_file(conf, "[server]\nprefetch = 0\nprefech = 1\nlog_level = DEBUG\n[x\n");
	RUN("", "--check-config");
	assert_int_equal(status, 1);
	assert_in(out, "vogeler.conf:5: error: ");
	write_file(conf, "[server]\nprefetch = 0\nprefech = 1\nlog_level = DEBUG\n");
	RUN("", "--check-config");
	assert_int_equal(status, 1);
	assert_in(out, "vogeler.conf:2: error: [server] prefetch");
	assert_in(out, "vogeler.conf:3: warning: unknown key 'prefech'");
	assert_in(out, "vogeler.conf:4: note: [server] log_level has no effect");
	assert_null(strstr(out, ": ok"));
	RUN("", "--check-config", "-c", "/nonexistent/v.conf");
	assert_int_equal(status, 1);
	assert_string_equal(out,
	    "/nonexistent/v.conf: error: No such file or directory; cure: make it, or name another\n");
}

static void
dumps(void **state)
{
	RUN("", "--dump-config", "--qhost", "amqp://u:secret@h", "-o", "server.prefetch=9");
	assert_int_equal(status, 0);
	assert_in(out, "[amqp]\n");
	assert_in(out, "\ndsn = amqp://u:***@h\n");
	assert_in(out, "\nprefetch = 9\n");
	write_file(conf, out);
	RUN("", "-v");
	assert_int_equal(status, 0);
	assert_string_equal(err, "");
	assert_in(out, "prefetch=9");
}

/* What is opened next must not take the place of stderr. */
static void
missing_standard_descriptors_are_filled(void **state)
{
	RUN("closed", "x");
	assert_int_equal(status, 1); /* what it prints has nowhere to go */
	slurp(open(conf, O_RDONLY), out, sizeof(out));
	assert_string_equal(out, "next=3");
}

static void
help_and_version(void **state)
{
	size_t lines = 0, width = 0;

	RUN("", "--version");
	assert_int_equal(status, 0);
	assert_string_equal(out, "vogelerd " VOGELER_VERSION "\n");
	RUN("", "-h");
	assert_int_equal(status, 0);
	assert_string_equal(err, "");
	assert_in(out, "Usage: vogelerd [OPTION...]\n");
	assert_in(out, "  -c, --config=FILE");
	assert_in(out, "--qhost=URI");
	assert_in(out, "--dbhost=URI");
	assert_in(out, "Examples:\n  vogelerd -c /etc/");
	for (const char *p = out; *p != '\0'; p++) {
		lines += *p == '\n';
		width = *p == '\n' ? 0 : width + 1;
		assert_true(width <= 80);
	}
	assert_true(lines <= 24);
	RUN("agent", "--help");
	assert_in(out, "  -p, --plugin_dir=DIR");
	assert_in(out, "  -o, --oneshot");
	assert_in(out, "      --option=SEC.KEY");
	assert_null(strstr(out, "--dbhost"));
}

static void
reloads(void **state)
{
	const char *const good[] = {
	    "CLI_TEST_RELOAD=[server]\nprefetch = 6\n[amqp]\ndsn = other\n", NULL};
	const char *const bad[] = {"CLI_TEST_RELOAD=[server]\nprefetch = 0\n", NULL};

	write_file(conf, "[server]\nprefetch = 5\n");
	RUN_ENV("reload", good, "--qhost", "line");
	assert_int_equal(status, 0);
	assert_in(out, "prefetch=5");
	assert_in(out, "reload prefetch=6 qhost=line\n");
	write_file(conf, "[server]\nprefetch = 5\n");
	RUN_ENV("reload", bad, "x");
	assert_in(out, "reload failed\ncomplaints=1, ");
	assert_in(out, "vogeler.conf:2: [server] prefetch");
	assert_in(err, "ERROR] vogelerd (config) - ");
	assert_in(err, "vogeler.conf:2: [server] prefetch");
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(precedence, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_file_of_the_broker, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_file_of_the_broker_at_a_reload, setup, teardown),
	    cmocka_unit_test_setup_teardown(levels, setup, teardown),
	    cmocka_unit_test_setup_teardown(assignments_and_arguments, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_programs_own_options, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_missing_line, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		the_null_device_is_an_empty_configuration, setup, teardown),
	    cmocka_unit_test_setup_teardown(bad_files_end_the_start, setup, teardown),
	    cmocka_unit_test_setup_teardown(bad_uris_end_the_start, setup, teardown),
	    cmocka_unit_test_setup_teardown(no_complaint_has_a_password, setup, teardown),
	    cmocka_unit_test_setup_teardown(no_password_is_cut_out_of_its_uri, setup, teardown),
	    cmocka_unit_test_setup_teardown(passwords_leave_the_process_list, setup, teardown),
	    cmocka_unit_test_setup_teardown(checks_the_file, setup, teardown),
	    cmocka_unit_test_setup_teardown(dumps, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		missing_standard_descriptors_are_filled, setup, teardown),
	    cmocka_unit_test_setup_teardown(help_and_version, setup, teardown),
	    cmocka_unit_test_setup_teardown(reloads, setup, teardown),
	};
	const char *mode = getenv("CLI_TEST_MODE");

	if (mode != NULL)
		return program(argc, argv, mode);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
