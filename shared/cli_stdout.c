/* See cli_stdout.h. */
#include "shared/cli_stdout.h"

#include "shared/phrase.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void
cli_fill_descriptors(void)
{
	int fd;

	for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		/* open() takes the lowest number that is free, and those below are not. */
		if (fcntl(fd, F_GETFD) < 0)
			(void)!open("/dev/null", fd == STDOUT_FILENO ? O_RDONLY : O_RDWR);
	}
}

static const char *
reason(int err)
{
	switch (err) {
	case 0: /* it was long ago, and nobody kept it */
		return "some of it is missing";
	case EPIPE:
		return "whoever read it has closed the pipe";
	case EBADF:
		return "standard output is closed";
	default:
		return phrase_errno(err);
	}
}

/* A write that failed long ago left no errno; that nobody reads can still be seen. */
static bool
is_unread(void)
{
	struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};

	return poll(&out, 1, 0) > 0 && (out.revents & POLLERR) != 0;
}

/* on_exit(3): in contrast to atexit(3) the status is known, and one that says more than "1" stays.
 */
static void
close_stdout(int status, void *arg)
{
	const char *program = arg;
	bool failed = ferror(stdout) != 0;
	int err = failed && is_unread() ? EPIPE : 0;

	if (fclose(stdout) != 0) { /* on NFS the last errors come here */
		err = errno;
		failed = true;
	}
	if (!failed)
		return;
	fprintf(stderr, "%s: cannot write the output: %s\n", program, reason(err));
	if (status == 0)
		_exit(1);
}

void
cli_guard_stdout(const char *program)
{
	signal(SIGPIPE, SIG_IGN);
	on_exit(close_stdout, (void *)(uintptr_t)program);
}
