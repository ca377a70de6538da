/* SPDX-License-Identifier: Apache-2.0 */
/* Which verb is meant, and what is said of a slip: the part that ends the program is run in a
 * child. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/config/cli_verbs.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct cli_verb list[] = {
    {"backup", "FILE", "copy the store", 1, 1, "a file", "", NULL},
    {"hosts", "", "list the hosts", 0, 0, NULL, "--json --batch-timeout -y", NULL},
    {"show", "HOST [PLUGIN [PATH OF IT]]", "show it", 1, 2, "a host name", "--batch", NULL},
    {"watch", "", "all options", 0, 0, NULL, NULL, NULL},
};
static const struct cli_verbs needed = {list, 4, NULL, NULL};
static const struct cli_verbs optional = {list, 4, "it is sent", "A host goes with -n"};

/* What fn says on stderr when it ends the program with status 1; malloced. */
static char *
last_words(void (*fn)(const void *arg), const void *arg)
{
	static char said[1024];
	int fds[2], status;
	ssize_t n, len = 0;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		dup2(fds[1], STDERR_FILENO);
		fn(arg);
		_exit(0);
	}
	close(fds[1]);
	while ((n = read(fds[0], said + len, sizeof(said) - 1 - (size_t)len)) > 0)
		len += n;
	said[len] = '\0';
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), len > 0 ? 1 : 0);
	return said;
}

struct find {
	const struct cli_verbs *verbs;
	const char *args[5];
};

static void
find(const void *arg)
{
	const struct find *f = arg;

	(void)cli_verbs_find("prog", f->verbs, f->args);
}

static void
says(const struct cli_verbs *verbs, const char *first, const char *second, const char *third,
    const char *expected)
{
	struct find f = {verbs, {first, second, third, NULL}};
	char whole[512];

	snprintf(whole, sizeof(whole), "prog: %s\nTry 'prog --help'.\n", expected);
	assert_string_equal(last_words(find, &f), expected[0] == '\0' ? "" : whole);
}

static void
one_is_found_or_a_slip_told(void **state)
{
	const char *show[] = {"show", "web01", NULL}, *none[] = {NULL};

	assert_ptr_equal(cli_verbs_find("prog", &needed, show), &list[2]);
	assert_null(cli_verbs_find("prog", &optional, none));
	says(&needed, NULL, NULL, NULL, "what is to be done? One of: backup, hosts, show, watch");
	says(&needed, "backup", NULL, NULL, "backup: a file is missing");
	says(&needed, "hosts", "x", NULL, "hosts: \"x\" is one too many");
	says(&needed, "hsots", NULL, NULL,
	    "no such verb: \"hsots\"; did you mean hosts? There are: backup, hosts, show, watch");
	says(&needed, "frobnicate", NULL, NULL,
	    "no such verb: \"frobnicate\"; there are: backup, hosts, show, watch");
	says(&optional, "frobnicate", NULL, NULL,
	    "what is \"frobnicate\"? A host goes with -n; verbs are backup, hosts, show, watch");
	says(&needed, "watch", NULL, NULL, "");
}

struct check {
	const struct cli_verb *verb;
	const char *long_name;
	char short_name;
};

static void
check(const void *arg)
{
	const struct check *c = arg;

	cli_verbs_check_option("prog", &needed, c->verb, c->long_name, c->short_name);
}

static void
refuses(const struct cli_verb *verb, const char *long_name, char short_name, const char *expected)
{
	struct check c = {verb, long_name, short_name};
	const char *said = last_words(check, &c);

	assert_int_equal(strncmp(said, expected, strlen(expected)), 0);
	assert_int_equal(said[0] == '\0', expected[0] == '\0');
}

/* An option is called as the verbs call it that take it; else by its short name. */
static void
an_option_goes_with_some(void **state)
{
	refuses(&list[1], "json", '\0', "");
	refuses(&list[1], "yes", 'y', "");
	refuses(&list[1], "batch", '\0', "prog: --batch does not go with \"hosts\"\n");
	refuses(
	    &list[2], "batch-timeout", '\0', "prog: --batch-timeout does not go with \"show\"\n");
	refuses(&list[0], "json", 'j', "prog: --json does not go with \"backup\"\n");
	refuses(&list[0], "yes", 'y', "prog: -y does not go with \"backup\"\n");
	refuses(&list[0], "node", 'n', "prog: -n does not go with \"backup\"\n");
	refuses(&list[3], "node", 'n', ""); /* it takes all */
	refuses(NULL, "node", 'n', "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(one_is_found_or_a_slip_told),
	    cmocka_unit_test(an_option_goes_with_some),
	};

	return cmocka_run_group_tests_name("cli_verbs", tests, NULL, NULL);
}
