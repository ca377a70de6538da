/* SPDX-License-Identifier: Apache-2.0 */
/* See reaper.h. */
#include "shared/exec/reaper.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

bool
reaper_adopt_orphans(void)
{
	return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0;
}

/* The number at *at, which a blank follows; 0: there is none, or the text was cut in it. */
static pid_t
take_pid(const char **at)
{
	const char *p = *at;
	pid_t pid = 0;

	while (*p >= '0' && *p <= '9')
		pid = pid * 10 + (*p++ - '0');
	if (*p != ' ')
		return 0;
	*at = p + 1;
	return pid;
}

/* One line of pids with blanks. What does not fit is found by the next sweep, when these are gone.
 */
size_t
reaper_read_children(const char *path, pid_t *pids, size_t max)
{
	char text[8192];
	const char *at = text;
	size_t n = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len;

	if (fd < 0)
		return 0; /* that thread is gone */
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[len > 0 ? len : 0] = '\0';
	while (n < max) {
		pids[n] = take_pid(&at);
		if (pids[n] == 0)
			break;
		n++;
	}
	return n;
}

size_t
reaper_list_children(pid_t parent, pid_t *pids, size_t max)
{
	char path[300];
	struct dirent *d;
	size_t n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)parent);
	dir = opendir(path);
	if (dir == NULL)
		return 0;
	/* Children belong to the thread that made or adopted them. */
	for (d = readdir(dir); d != NULL; d = readdir(dir)) {
		if (d->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/children", (int)parent, d->d_name);
		n += reaper_read_children(path, pids + n, max - n);
	}
	closedir(dir);
	return n;
}

bool
reaper_kill(pid_t pid)
{
	pid_t reaped;

	kill(pid, SIGKILL);
	reaped = waitpid(pid, NULL, WNOHANG);
	return reaped == pid || (reaped < 0 && errno == ECHILD);
}
