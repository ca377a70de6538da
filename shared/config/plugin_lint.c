/* SPDX-License-Identifier: Apache-2.0 */
/* See plugin_lint.h. */
#include "shared/config/plugin_lint.h"
#include "shared/base/trouble.h"

#include "shared/base/shellwords.h"
#include "shared/base/xalloc.h"
#include "shared/config/plugin_program.h"
#include <errno.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PART_SIZE 40

struct linter {
	const struct plugin *plugin;
	ini_file_error_fn *on_warning;
	void *arg;
};

static void warn(const struct linter *l, unsigned int line, const char *cure, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

static void
warn(const struct linter *l, unsigned int line, const char *cure, const char *fmt, ...)
{
	struct trouble what;
	va_list ap;

	va_start(ap, fmt);
	trouble_vset(&what, TROUBLE_OTHER, cure, fmt, ap);
	va_end(ap);
	l->on_warning(l->plugin->file, line, &what, l->arg);
}

/* A first word such as LANG=C is the name of a program here. */
static bool
is_assignment(const char *word)
{
	const char *equals = strchr(word, '=');

	return equals != NULL && equals > word &&
	       memchr(word, '/', (size_t)(equals - word)) == NULL;
}

static void
lint_command(const struct linter *l)
{
	const struct plugin *p = l->plugin;
	char part[PART_SIZE];

	if (shellwords_find_shell(p->command, part, sizeof(part)))
		warn(l, p->command_line,
		    "put what needs a shell into a script, or write sh -c '...'; in quotes it means "
		    "itself",
		    "plugin '%s': no shell runs its command, so the %s in it is passed on as it "
		    "stands",
		    p->name, part);
	if (is_assignment(p->argv[0]))
		warn(l, p->command_line, "give variables with env",
		    "plugin '%s': no shell runs its command, so '%s' is taken for a program",
		    p->name, p->argv[0]);
}

/* Checks a path; one that cannot be looked at is left to the agent, which may be root. */
static void
lint_file(const struct linter *l, const char *program)
{
	const struct plugin *p = l->plugin;
	struct stat st;
	char *path;

	xasprintf(&path, "%s%s", program[0] == '/' ? "" : "/", program); /* as it is run: in / */
	if (stat(path, &st) != 0) {
		if (errno == ENOENT || errno == ENOTDIR)
			warn(l, p->command_line, "install it, or correct the path",
			    "plugin '%s': there is no program '%s' on this host, so each run will "
			    "fail",
			    p->name, path);
	} else if (!S_ISREG(st.st_mode) || (st.st_mode & 0111) == 0) {
		warn(l, p->command_line, S_ISREG(st.st_mode) ? "chmod +x" : "name a program",
		    "plugin '%s': '%s' is no file that may be executed, so each run will fail",
		    p->name, path);
	}
	free(path);
}

/* Warns alone: the program may be installed by the time it is to run. */
static void
lint_program(const struct linter *l)
{
	const struct plugin *p = l->plugin;
	char *program = plugin_program_find(p);

	if (program != NULL)
		lint_file(l, program);
	else if (!is_assignment(p->argv[0])) /* said already */
		warn(l, p->command_line, "install it, or give its path",
		    "plugin '%s': there is no program '%s' on this host (PATH=%s), so each run "
		    "will fail",
		    p->name, p->argv[0], plugin_program_path(p));
	free(program);
}

/* getpwnam(3): several values of errno mean that there is no such user. */
static bool
is_no_such_user(int error)
{
	return error == 0 || error == ENOENT || error == ESRCH || error == EBADF || error == EPERM;
}

static void
lint_user(const struct linter *l)
{
	const struct plugin *p = l->plugin;

	if (p->user == NULL)
		return;
	errno = 0;
	if (getpwnam(p->user) != NULL)
		return;
	if (is_no_such_user(errno))
		warn(l, p->user_line, "make that user, or correct the name",
		    "plugin '%s': there is no user '%s' on this host, so each run will fail",
		    p->name, p->user);
	else
		warn(l, p->user_line, NULL, "plugin '%s': the user '%s' cannot be looked up: %s",
		    p->name, p->user, strerror(errno));
}

void
plugin_lint(const struct plugin *p, ini_file_error_fn *on_warning, void *arg)
{
	const struct linter l = {p, on_warning, arg};

	lint_command(&l);
	lint_program(&l);
	lint_user(&l);
}

void
plugin_lint_set(const struct plugin_set *set, ini_file_error_fn *on_warning, void *arg)
{
	for (size_t i = 0; i < set->n; i++)
		plugin_lint(&set->plugins[i], on_warning, arg);
}
