/* SPDX-License-Identifier: Apache-2.0 */
/* Growable bytes with a cap given at birth. Appending past the cap, or out of memory, fails and
 * leaves what was there as it was. After curl's dynbuf. */
#ifndef VOGELER_BUF_H
#define VOGELER_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct buf {
	/* data is NUL-terminated after the first append; the NUL is not counted in len. */
	char *data;
	size_t len;
	size_t cap;
	size_t max; /* bytes of content allowed */
};

void buf_init(struct buf *b, size_t max);
void buf_finish(struct buf *b); /* frees; the buf may be used again, with the same cap */
void buf_reset(struct buf *b);  /* empties, keeps the memory */
bool buf_append(struct buf *b, const void *data, size_t len) __attribute__((warn_unused_result));
bool buf_append_str(struct buf *b, const char *s) __attribute__((warn_unused_result));
bool buf_append_char(struct buf *b, char c) __attribute__((warn_unused_result));
bool buf_printf(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3), warn_unused_result));
void buf_truncate(struct buf *b, size_t len); /* len <= b->len */
void buf_drop_front(struct buf *b, size_t n); /* n <= b->len */
/* Moves ownership of the NUL-terminated bytes to the caller, who frees; b is empty afterwards.
 * Never NULL: an empty buf gives "". len may be NULL. */
char *buf_take(struct buf *b, size_t *len);
/* Reads a whole regular file, or /dev/null, appending. false: *err_errno says why (EFBIG when it is
 * over the cap, EINVAL when it is a FIFO, a socket or another device). */
bool buf_read_file(struct buf *b, const char *path, int *err_errno)
    __attribute__((warn_unused_result));
/* Writes all of it to a blocking descriptor. false: errno says why. */
bool buf_write_all(int fd, const void *data, size_t len) __attribute__((warn_unused_result));

#endif
