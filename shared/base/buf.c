/* SPDX-License-Identifier: Apache-2.0 */
/* See buf.h. */
#include "shared/base/buf.h"

#include "shared/base/xalloc.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUF_FIRST_CAP 64
#define BUF_READ_STEP (64 * 1024)
/* What is taken may live long, in a cache or a queue that counts its length: no more than one part
 * in so many is room that growing has left. */
#define TAKE_SLACK 8

void
buf_init(struct buf *b, size_t max)
{
	/* One byte is needed for the NUL, so the largest cap is not quite SIZE_MAX. */
	*b = (struct buf){.max = max < SIZE_MAX ? max : SIZE_MAX - 1};
}

void
buf_finish(struct buf *b)
{
	free(b->data);
	buf_init(b, b->max);
}

void
buf_reset(struct buf *b)
{
	buf_truncate(b, 0);
}

/* Makes room for len more bytes and the NUL. */
static bool
reserve(struct buf *b, size_t len)
{
	size_t need, cap;
	char *data;

	if (len > b->max - b->len)
		return false;
	need = b->len + len + 1;
	if (need <= b->cap)
		return true;
	cap = b->cap < BUF_FIRST_CAP ? BUF_FIRST_CAP : b->cap;
	while (cap < need)
		cap = cap > SIZE_MAX / 2 ? SIZE_MAX : cap * 2;
	if (cap > b->max + 1)
		cap = b->max + 1;
	data = realloc(b->data, cap);
	if (data == NULL)
		return false;
	b->data = data;
	b->cap = cap;
	return true;
}

bool
buf_append(struct buf *b, const void *data, size_t len)
{
	if (!reserve(b, len))
		return false;
	if (len > 0)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = '\0';
	return true;
}

bool
buf_append_str(struct buf *b, const char *s)
{
	return buf_append(b, s, strlen(s));
}

bool
buf_append_char(struct buf *b, char c)
{
	return buf_append(b, &c, 1);
}

static bool append_va(struct buf *b, size_t n, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));

static bool
append_va(struct buf *b, size_t n, const char *fmt, va_list ap)
{
	if (!reserve(b, n))
		return false;
	vsnprintf(b->data + b->len, n + 1, fmt, ap);
	b->len += n;
	return true;
}

bool
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int n;
	bool ok;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return false;
	va_start(ap, fmt);
	ok = append_va(b, (size_t)n, fmt, ap);
	va_end(ap);
	return ok;
}

void
buf_truncate(struct buf *b, size_t len)
{
	assert(len <= b->len);
	b->len = len;
	if (b->data != NULL)
		b->data[len] = '\0';
}

void
buf_drop_front(struct buf *b, size_t n)
{
	assert(n <= b->len);
	if (n == 0)
		return;
	memmove(b->data, b->data + n, b->len - n);
	buf_truncate(b, b->len - n);
}

char *
buf_take(struct buf *b, size_t *len)
{
	char *data = b->data, *fitted;

	if (len != NULL)
		*len = b->len;
	if (data == NULL) {
		data = xcalloc(1, 1);
	} else if (b->cap - b->len > b->len / TAKE_SLACK) {
		fitted = realloc(data, b->len + 1);
		if (fitted != NULL)
			data = fitted;
	}
	buf_init(b, b->max);
	return data;
}

/* 0, or why not. */
static int
read_all(struct buf *b, int fd)
{
	char step[BUF_READ_STEP];
	ssize_t n;

	for (;;) {
		n = read(fd, step, sizeof(step));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		if ((size_t)n > b->max - b->len)
			return EFBIG;
		if (!buf_append(b, step, (size_t)n))
			return ENOMEM;
		if (n == 0)
			return 0;
	}
}

/* The null device stands for a file with nothing in it; other devices may never end. */
static bool
is_null_device(const struct stat *st)
{
	struct stat null;

	return S_ISCHR(st->st_mode) && stat("/dev/null", &null) == 0 && S_ISCHR(null.st_mode) &&
	       st->st_rdev == null.st_rdev;
}

static int
check_readable(int fd)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return errno;
	if (S_ISDIR(st.st_mode))
		return EISDIR;
	return S_ISREG(st.st_mode) || is_null_device(&st) ? 0 : EINVAL;
}

bool
buf_read_file(struct buf *b, const char *path, int *err_errno)
{
	size_t before = b->len;
	int fd, err;

	/* O_NONBLOCK: a FIFO in the place of a file must not hang us before it is seen to be one.
	 */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0) {
		*err_errno = errno;
		return false;
	}
	err = check_readable(fd);
	if (err == 0)
		err = read_all(b, fd);
	close(fd);
	if (err == 0)
		return true;
	buf_truncate(b, before);
	*err_errno = err;
	return false;
}

bool
buf_write_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}
