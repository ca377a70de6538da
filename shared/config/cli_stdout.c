/* SPDX-License-Identifier: Apache-2.0 */
/* See cli_stdout.h. */
#include "shared/config/cli_stdout.h"

#include "shared/base/errtext.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
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

/* Why the first write failed; 0 = none has. stdio alone keeps that one did, not why. */
static int write_errno;

static ssize_t
stdout_write(void *cookie, const char *data, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = write(STDOUT_FILENO, data + done, size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			if (write_errno == 0)
				write_errno = errno;
			return 0; /* what fopencookie(3) wants of an error */
		}
		done += (size_t)n;
	}
	return (ssize_t)size;
}

static int
stdout_close(void *cookie)
{
	int rc = close(STDOUT_FILENO); /* on NFS the last errors come here */

	if (rc != 0 && write_errno == 0)
		write_errno = errno;
	return rc;
}

static const char *
reason(int err)
{
	switch (err) {
	case EPIPE:
		return "whoever read it has closed the pipe";
	case EBADF:
		return "standard output is closed";
	default:
		return errtext_errno(err);
	}
}

const char *
cli_stdout_error(void)
{
	fflush(stdout);
	return write_errno != 0 ? reason(write_errno) : NULL;
}

/* on_exit(3): in contrast to atexit(3) the status is known, and one that says more than "1" stays.
 */
static void
close_stdout(int status, void *arg)
{
	const char *program = arg;

	fclose(stdout);
	if (write_errno == 0)
		return;
	fprintf(stderr, "%s: cannot write the output: %s\n", program, reason(write_errno));
	if (status == 0)
		_exit(1);
}

void
cli_guard_stdout(const char *program)
{
	static const cookie_io_functions_t through = {.write = stdout_write, .close = stdout_close};
	FILE *out = fopencookie(NULL, "w", through);

	signal(SIGPIPE, SIG_IGN);
	if (out == NULL)
		abort();
	setvbuf(out, NULL, isatty(STDOUT_FILENO) ? _IOLBF : _IOFBF, BUFSIZ);
	stdout = out;
	on_exit(close_stdout, (void *)(uintptr_t)program);
}
