/* See sweep.h. */
#include "agent/sweep.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

bool
sweep_adopt_orphans(void)
{
	return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0;
}

/* One line of pids with spaces. What does not fit is found by the next sweep, when these are gone.
 */
static size_t
read_children(const char *path, pid_t *pids, size_t max)
{
	char text[8192];
	size_t n = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len;
	char *p = text;

	if (fd < 0)
		return 0; /* that thread is gone */
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (len <= 0)
		return 0;
	text[len] = '\0';
	while (n < max) {
		char *end;
		long pid = strtol(p, &end, 10);

		/* A number that touches the end may be cut. */
		if (end == p || *end != ' ')
			break;
		pids[n++] = (pid_t)pid;
		p = end;
	}
	return n;
}

size_t
sweep_list_children(pid_t *pids, size_t max)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *d;
	size_t n = 0;

	if (dir == NULL)
		return 0;
	/* Children belong to the thread that made or adopted them. */
	for (d = readdir(dir); d != NULL; d = readdir(dir)) {
		char path[300];

		if (d->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/self/task/%s/children", d->d_name);
		n += read_children(path, pids + n, max - n);
	}
	closedir(dir);
	return n;
}

bool
sweep_kill(pid_t pid)
{
	pid_t reaped;

	kill(pid, SIGKILL);
	reaped = waitpid(pid, NULL, WNOHANG);
	return reaped == pid || (reaped < 0 && errno == ECHILD);
}
