/* SPDX-License-Identifier: Apache-2.0 */
/* See plugin_program.h. */
#include "shared/config/plugin_program.h"

#include "shared/base/xalloc.h"
#include "shared/config/plugin.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A plugin has this for PATH when it sets none (shared/exec/spawn.h). */
#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

const char *
plugin_program_path(const struct plugin *p)
{
	for (size_t i = 0; p->env != NULL && p->env[i] != NULL; i++) {
		if (strncmp(p->env[i], "PATH=", 5) == 0)
			return p->env[i] + 5;
	}
	return DEFAULT_PATH;
}

char *
plugin_program_find(const struct plugin *p)
{
	const char *path = plugin_program_path(p), *program = p->argv[0];
	char *file;

	if (strchr(program, '/') != NULL)
		return xstrdup(program);
	while (*path != '\0') {
		size_t len = strcspn(path, ":");

		xasprintf(&file, "%.*s/%s", (int)len, path, program);
		if (*path == '/' && access(file, X_OK) == 0)
			return file;
		free(file);
		path += len;
		path += *path == ':';
	}
	return NULL;
}
