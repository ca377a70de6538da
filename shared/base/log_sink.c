/* SPDX-License-Identifier: Apache-2.0 */
/* See log_sink.h. */
#include "shared/base/log_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum sink_kind {
	SINK_UNKNOWN,
	SINK_FILE,   /* takes everything at once, as files and /dev/null do */
	SINK_OWN,    /* own_fd, opened for us alone and non-blocking */
	SINK_SOCKET, /* journald's, most often */
	SINK_POLLED,
};

static struct {
	enum sink_kind kind;
	dev_t dev; /* of the standard error that kind is about */
	ino_t ino;
	int own_fd; /* of SINK_OWN */
	char *waiting;
	size_t len;
} sink = {.own_fd = -1};

static bool
may_block(mode_t mode)
{
	return S_ISFIFO(mode) || (S_ISCHR(mode) && isatty(STDERR_FILENO));
}

static void
close_own(void)
{
	if (sink.own_fd >= 0)
		close(sink.own_fd);
	sink.own_fd = -1;
}

/* Looked at for each line, as somebody may have put another file there. */
static void
look_at_stderr(void)
{
	struct stat st;

	if (fstat(STDERR_FILENO, &st) != 0) {
		close_own();
		sink.kind = SINK_UNKNOWN;
		return;
	}
	if (sink.kind != SINK_UNKNOWN && st.st_dev == sink.dev && st.st_ino == sink.ino)
		return;
	close_own();
	sink.dev = st.st_dev;
	sink.ino = st.st_ino;
	sink.kind = S_ISSOCK(st.st_mode) ? SINK_SOCKET : SINK_FILE;
	if (!may_block(st.st_mode))
		return;
	sink.own_fd =
	    open("/proc/self/fd/2", O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	sink.kind = sink.own_fd >= 0 ? SINK_OWN : SINK_POLLED;
}

void
log_sink_open(void)
{
	look_at_stderr();
}

static bool
is_writable(int timeout_ms)
{
	int fd = sink.kind == SINK_OWN ? sink.own_fd : STDERR_FILENO;
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	return poll(&p, 1, timeout_ms) > 0;
}

/* -1 and EAGAIN: it would have to wait. */
static ssize_t
try_write(const char *data, size_t len)
{
	switch (sink.kind) {
	case SINK_SOCKET:
		return send(STDERR_FILENO, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	case SINK_OWN:
		return write(sink.own_fd, data, len);
	case SINK_POLLED:
		if (!is_writable(0)) {
			errno = EAGAIN;
			return -1;
		}
		return write(STDERR_FILENO, data, len);
	case SINK_UNKNOWN:
	case SINK_FILE:
		break;
	}
	return write(STDERR_FILENO, data, len);
}

/* Returns how much of data is dealt with. A log that cannot be written is no reason to stop, nor is
 * there anyone to tell: such a line is dealt with, too. */
static size_t
write_line(const char *data, size_t len)
{
	ssize_t n = try_write(data, len);

	while (n < 0 && errno == EINTR)
		n = try_write(data, len);
	if (n >= 0)
		return (size_t)n;
	return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS ? 0 : len;
}

static bool
wait_in_buffer(const char *line, size_t len)
{
	if (sink.waiting == NULL)
		sink.waiting = malloc(LOG_SINK_MAX);
	if (sink.waiting == NULL || sink.len + len > LOG_SINK_MAX)
		return false;
	memcpy(sink.waiting + sink.len, line, len);
	sink.len += len;
	return true;
}

bool
log_sink_flush(void)
{
	size_t done = 0;

	if (sink.len == 0)
		return true;
	look_at_stderr();
	while (done < sink.len) {
		const char *line = sink.waiting + done;
		const char *end = memchr(line, '\n', sink.len - done);
		size_t len = end != NULL ? (size_t)(end - line) + 1 : sink.len - done;
		size_t written = write_line(line, len);

		done += written;
		if (written < len)
			break;
	}
	sink.len -= done;
	memmove(sink.waiting, sink.waiting + done, sink.len);
	return sink.len == 0;
}

bool
log_sink_put(const char *line, size_t len)
{
	size_t written;

	if (!log_sink_flush())
		return wait_in_buffer(line, len);
	look_at_stderr();
	written = write_line(line, len);
	return written == len || wait_in_buffer(line + written, len - written);
}

bool
log_sink_put_after_pause(const char *line, size_t len)
{
	(void)log_sink_flush();
	return sink.len <= LOG_SINK_MAX / 2 && log_sink_put(line, len);
}

static int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void
log_sink_finish(int patience_ms)
{
	int64_t end = now_ms() + patience_ms;

	while (!log_sink_flush()) {
		int64_t left = end - now_ms();

		if (left <= 0 || !is_writable((int)left))
			break;
	}
	free(sink.waiting);
	sink.waiting = NULL;
	sink.len = 0;
}
