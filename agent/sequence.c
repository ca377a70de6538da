/* SPDX-License-Identifier: Apache-2.0 */
/* See sequence.h. The file is one line: "vogeler-order 1 CEILING HASH", HASH being ident_hash() of
 * what stands before it: whatever is cut off or altered does not verify. */
#include "agent/sequence.h"

#include "agent/statedir.h"

#include "shared/base/buf.h"
#include "shared/base/ident.h"
#include "shared/base/log.h"
#include "shared/base/trouble.h"
#include "shared/base/xalloc.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_MAX 256
#define ID_MAX   128

struct sequence {
	char *path;
	char *temporary;
	char *folder;
	int64_t last;
	int64_t ceiling; /* on disk */
	bool failing;
};

static void
format_line(char out[FILE_MAX], int64_t ceiling)
{
	char text[64], hash[IDENT_HASH_SIZE];
	int len = snprintf(text, sizeof(text), "vogeler-order 1 %" PRId64, ceiling);

	ident_hash(hash, text, (size_t)len);
	snprintf(out, FILE_MAX, "%s %s\n", text, hash);
}

static bool
parse_line(const char *text, size_t len, int64_t *ceiling)
{
	char expected[FILE_MAX];

	if (sscanf(text, "vogeler-order 1 %" SCNd64, ceiling) != 1 || *ceiling <= 0)
		return false;
	format_line(expected, *ceiling);
	return strlen(expected) == len && memcmp(expected, text, len) == 0;
}

static bool
write_all(int fd, const char *text)
{
	size_t len = strlen(text);
	ssize_t n = write(fd, text, len);

	if (n >= 0 && (size_t)n != len)
		errno = ENOSPC;
	return n == (ssize_t)len;
}

static bool
sync_folder(const char *folder)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok = fd >= 0 && fsync(fd) == 0;
	int error = errno;

	if (fd >= 0)
		close(fd);
	errno = error;
	return ok;
}

/* false: errno; the old file is still there. */
static bool
write_ceiling(const struct sequence *o, int64_t ceiling)
{
	char line[FILE_MAX];
	int error;
	int fd = open(o->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	bool ok;

	if (fd < 0)
		return false;
	format_line(line, ceiling);
	ok = write_all(fd, line) && fsync(fd) == 0;
	error = errno;
	if (close(fd) != 0 && ok) {
		ok = false;
		error = errno;
	}
	errno = error;
	return ok && rename(o->temporary, o->path) == 0 && sync_folder(o->folder);
}

static bool
raise_ceiling(struct sequence *o, int64_t mark, int64_t wallclock_ms)
{
	int64_t ahead = mark > wallclock_ms ? SEQUENCE_AHEAD_MARKS : SEQUENCE_AHEAD_MS;
	int64_t ceiling = mark > INT64_MAX - ahead ? INT64_MAX : mark + ahead;

	if (!write_ceiling(o, ceiling))
		return false;
	o->ceiling = ceiling;
	o->failing = false;
	return true;
}

static bool
read_ceiling(struct sequence *o, struct trouble *t)
{
	struct buf text;
	int error = 0;
	bool ok;

	buf_init(&text, FILE_MAX);
	ok = buf_read_file(&text, o->path, &error);
	if (!ok && error != ENOENT && error != EFBIG) {
		trouble_set(t, TROUBLE_OTHER, statedir_cure(error), "cannot read %s: %s", o->path,
		    strerror(error));
		buf_finish(&text);
		return false;
	}
	if (error == ENOENT)
		log_info("order", "%s is not there yet: this is a first start", o->path);
	else if (!ok || text.len == 0 || !parse_line(text.data, text.len, &o->ceiling))
		log_warn("order", "%s is damaged; order marks go on from the clock alone", o->path);
	else
		o->last = o->ceiling;
	buf_finish(&text);
	return true;
}

static void
tell_failing(struct sequence *o)
{
	log_error("order",
	    "cannot write %s: %s; order marks are not safe against a crash" TROUBLE_CURE "%s",
	    o->path, strerror(errno), statedir_cure(errno));
	o->failing = true;
}

static void
sequence_free(struct sequence *o)
{
	free(o->path);
	free(o->temporary);
	free(o->folder);
	free(o);
}

struct sequence *
sequence_open(const char *path, int64_t wallclock_ms, struct trouble *t)
{
	struct sequence *o = xcalloc(1, sizeof(*o));
	const char *slash = strrchr(path, '/');

	o->path = xstrdup(path);
	xasprintf(&o->temporary, "%s.new", path);
	o->folder = slash == NULL ? xstrdup(".") : xstrndup(path, (size_t)(slash - path) + 1);
	if (!read_ceiling(o, t)) {
		sequence_free(o);
		return NULL;
	}
	if (o->last < wallclock_ms)
		o->last = wallclock_ms - 1; /* what the next life may go on from if none is given */
	if (raise_ceiling(o, o->last > wallclock_ms ? o->last : wallclock_ms, wallclock_ms))
		return o;
	if (statedir_is_full(errno)) {
		tell_failing(o);
		return o;
	}
	trouble_set(t, TROUBLE_OTHER, statedir_cure(errno), "cannot write %s: %s", o->path,
	    strerror(errno));
	sequence_free(o);
	return NULL;
}

struct sequence *
sequence_in_memory(void)
{
	struct sequence *o = xcalloc(1, sizeof(*o));

	o->ceiling = INT64_MAX; /* never passed, so never written */
	return o;
}

void
sequence_close(struct sequence *o)
{
	if (o == NULL)
		return;
	assert(o->last <= o->ceiling || o->failing);
	if (o->path != NULL && !write_ceiling(o, o->last))
		log_debug("order", "%s keeps its ceiling: %s", o->path, strerror(errno));
	sequence_free(o);
}

int64_t
sequence_next(struct sequence *o, int64_t wallclock_ms)
{
	int64_t mark = o->last + 1 > wallclock_ms ? o->last + 1 : wallclock_ms;

	if (mark > o->ceiling && !raise_ceiling(o, mark, wallclock_ms) && !o->failing)
		tell_failing(o);
	o->last = mark;
	return mark;
}

bool
sequence_is_failing(const struct sequence *o)
{
	return o->failing;
}

char *
sequence_read_id(const char *path)
{
	char text[ID_MAX];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return NULL;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return NULL;
	text[n] = '\0';
	text[strcspn(text, "\r\n")] = '\0';
	return text[0] == '\0' ? NULL : xstrdup(text);
}
