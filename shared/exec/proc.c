/* SPDX-License-Identifier: Apache-2.0 */
/* See proc.h. */
#include "shared/exec/proc.h"

#include "shared/base/xalloc.h"
#include <bsd/string.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK   16384
#define ENV_MAX 128

static int
open_file(pid_t pid, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* The name stands in brackets and may hold any, so its end is the last one. */
static bool
parse_stat(const char *text, struct proc *p)
{
	const char *name = strchr(text, '('), *end = strrchr(text, ')');
	char state;

	if (name == NULL || end == NULL || end < name)
		return false;
	name++;
	snprintf(p->name, sizeof(p->name), "%.*s", (int)(end - name), name);
	if (sscanf(end,
		") %c %d %*d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d "
		"%*d %" SCNu64,
		&state, &p->parent, &p->session, &p->started) != 4)
		return false;
	p->zombie = state == 'Z' || state == 'X';
	return true;
}

bool
proc_read(pid_t pid, struct proc *p)
{
	char text[1024];
	int fd = open_file(pid, "stat");
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	memset(p, 0, sizeof(*p));
	p->pid = pid;
	return parse_stat(text, p);
}

size_t
proc_list(struct proc **list)
{
	DIR *dir = opendir("/proc");
	size_t n = 0, room = 0;
	struct dirent *d;

	*list = NULL;
	if (dir == NULL)
		return 0;
	for (d = readdir(dir); d != NULL; d = readdir(dir)) {
		pid_t pid = (pid_t)strtol(d->d_name, NULL, 10);

		if (n == room) {
			room = room == 0 ? 256 : 2 * room;
			*list = xreallocarray(*list, room, sizeof(**list));
		}
		if (pid > 0 && proc_read(pid, &(*list)[n]))
			n++;
	}
	closedir(dir);
	return n;
}

bool
proc_has_env(pid_t pid, const char *assignment)
{
	char block[BLOCK] = "",
	     wanted[ENV_MAX] = ""; /* both begin with the NUL before a variable */
	size_t len = strlcpy(wanted + 1, assignment, sizeof(wanted) - 1) + 2, kept = 1;
	int fd = open_file(pid, "environ");
	bool found = false;
	ssize_t n;

	if (fd < 0)
		return false;
	while (!found && (n = read(fd, block + kept, sizeof(block) - kept)) > 0) {
		size_t filled = kept + (size_t)n;

		found = memmem(block, filled, wanted, len) != NULL;
		/* The end of a block, which may be the beginning of it, goes before the
		 * next one. */
		kept = filled < len ? filled : len - 1;
		memmove(block, block + filled - kept, kept);
	}
	close(fd);
	return found;
}
