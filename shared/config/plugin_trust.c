/* SPDX-License-Identifier: Apache-2.0 */
/* See plugin_trust.h. */
#include "shared/config/plugin_trust.h"

#include "shared/base/xalloc.h"
#include "shared/config/plugin.h"
#include "shared/config/plugin_program.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SCRIPTS_MAX 4 /* whose interpreter is a script: the kernel's own limit */
#define WORD_ENDS   " \t\n;&|()<>{}=\"'`$:,"

static const char *
wrong_with(const struct stat *st, uid_t agent, bool *group)
{
	/* Nobody takes away what is another's in a folder with the sticky bit. */
	bool sticky = S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX) != 0;

	*group = false;
	if (st->st_uid != 0 && st->st_uid != agent)
		return "its owner is neither root nor the user that the agent runs as";
	if ((st->st_mode & S_IWOTH) != 0 && !sticky)
		return "everyone may write it";
	*group = (st->st_mode & S_IWGRP) != 0 && st->st_gid != 0 && !sticky;
	return *group ? "a group may write it" : NULL;
}

/* The file and the folders above it. */
static char *
check_path(const char *path, uid_t agent, bool *group)
{
	char *at = xstrdup(path), *slash, *text = NULL;
	const char *wrong = NULL;
	struct stat st;

	while (at[0] == '/' && wrong == NULL) {
		if (stat(at, &st) == 0)
			wrong = wrong_with(&st, agent, group);
		if (wrong != NULL)
			xasprintf(&text, "%s: %s", at, wrong);
		slash = strrchr(at, '/');
		if (slash == at && at[1] == '\0')
			break;
		slash[slash == at] = '\0';
	}
	free(at);
	return text;
}

/* Checks it by its name, and where a link leads. */
static char *
check_file(const char *path, uid_t agent, bool *group)
{
	char *text = check_path(path, agent, group), *real;

	if (text != NULL)
		return text;
	real = realpath(path, NULL);
	if (real != NULL && strcmp(real, path) != 0)
		text = check_path(real, agent, group);
	free(real);
	return text;
}

static bool
is_interpreter(const char *program)
{
	static const char *const known[] = {"sh", "bash", "dash", "ksh", "zsh", "busybox", "env",
	    "python", "perl", "ruby", "node", "php", "lua", "tclsh", "awk", "nice", "ionice",
	    "timeout", "sudo", "setpriv", "chrt", "nohup", "stdbuf"};
	const char *slash = strrchr(program, '/'), *name = slash == NULL ? program : slash + 1;

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		size_t len = strlen(known[i]);

		/* python3.11 is one, too. */
		if (strncmp(name, known[i], len) == 0 &&
		    name[len + strspn(name + len, "0123456789.")] == '\0')
			return true;
	}
	return false;
}

/* Returns what a script names as its interpreter, in absolute form; malloced, or NULL. */
static char *
interpreter_of(const char *file)
{
	char head[256] = "";
	FILE *f = fopen(file, "re");
	const char *path;
	size_t len;

	if (f == NULL)
		return NULL;
	if (fgets(head, sizeof(head), f) == NULL)
		head[0] = '\0';
	fclose(f);
	if (strncmp(head, "#!", 2) != 0)
		return NULL;
	path = head + 2 + strspn(head + 2, " \t");
	len = strcspn(path, " \t\n");
	return path[0] == '/' ? xstrndup(path, len) : NULL;
}

/* A program, and if it is a script what reads it, which may be a script again. */
static char *
check_program(const char *path, uid_t agent, bool *group)
{
	char *file = xstrdup(path), *next, *text = NULL;

	for (int depth = 0; file != NULL && text == NULL && depth < SCRIPTS_MAX; depth++) {
		text = check_file(file, agent, group);
		next = interpreter_of(file);
		free(file);
		file = next;
	}
	free(file);
	return text;
}

/* Takes for run what of an argument is an executable file, and of an interpreter each argument that
 * is a file: which words are run is the program's affair. */
static char *
check_argument(const char *argument, bool interpreted, uid_t agent, bool *group)
{
	char *text = NULL, *path;
	struct stat st;

	for (const char *p = argument; *p != '\0' && text == NULL;) {
		size_t len = strcspn(p, WORD_ENDS);
		bool whole = p == argument && p[len] == '\0';

		path = xstrndup(p, len);
		if (path[0] == '/' && stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
		    ((interpreted && whole) || (st.st_mode & 0111) != 0))
			text = check_program(path, agent, group);
		free(path);
		p += len;
		p += *p != '\0';
	}
	return text;
}

char *
plugin_trust_error(const struct plugin *p, uid_t agent, bool *group)
{
	char *program = NULL, *text = NULL;

	*group = false;
	if (p->user != NULL && strcmp(p->user, "root") != 0)
		return NULL;
	if (p->sha256 == NULL)
		program = plugin_program_find(p);
	if (program != NULL)
		text = check_program(program, agent, group);
	free(program);
	for (size_t i = 1; text == NULL && p->argv[i] != NULL; i++)
		text = check_argument(p->argv[i], is_interpreter(p->argv[0]), agent, group);
	return text;
}
