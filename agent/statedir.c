/* SPDX-License-Identifier: Apache-2.0 */
/* See statedir.h. */
#include "agent/statedir.h"

#include "shared/base/errtext.h"
#include "shared/base/log.h"
#include "shared/base/trouble.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

bool
statedir_is_full(int err)
{
	return err == ENOSPC || err == EDQUOT;
}

const char *
statedir_cure(int err)
{
	switch (err) {
	case ENOSPC:
	case EDQUOT:
		return "make room there, or set [client] state_dir";
	case EROFS:
		return "mount it writable, or set [client] state_dir";
	case EACCES:
	case EPERM:
		return "give this user the right to write there, or set [client] state_dir";
	default:
		return "look at the file system it is on, or set [client] state_dir";
	}
}

static bool
make_folder(const char *dir, struct trouble *t)
{
	struct stat st;

	if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
		trouble_set(t, TROUBLE_OTHER,
		    errno == ENOENT ? "make the folder above it" : statedir_cure(errno),
		    "cannot make the state folder %s: %s", dir, strerror(errno));
		return false;
	}
	if (stat(dir, &st) != 0) {
		trouble_set(t, TROUBLE_OTHER, statedir_cure(errno),
		    "cannot use the state folder %s: %s", dir, strerror(errno));
		return false;
	}
	if (!S_ISDIR(st.st_mode)) {
		trouble_set(t, TROUBLE_OTHER, "move it away, or set [client] state_dir",
		    "cannot use the state folder %s: it is not a folder", dir);
		return false;
	}
	/* Who can write there can put another file in the place of each. The rule is that of the
	 * plugin folder (shared/config/plugin_dir.c), but that no group may write either. */
	if (st.st_uid != 0 && st.st_uid != geteuid()) {
		trouble_set(t, TROUBLE_OTHER, "chown it to that user, or set [client] state_dir",
		    "will not use the state folder %s: owned by neither root nor the user this runs as (owner %u)",
		    dir, (unsigned int)st.st_uid);
		return false;
	}
	if ((st.st_mode & 022) != 0) {
		trouble_set(t, TROUBLE_OTHER, "chmod go-w",
		    "will not use the state folder %s: others may write to it (mode %04o)", dir,
		    (unsigned int)st.st_mode & 07777);
		return false;
	}
	return true;
}

static long
read_pid(int fd)
{
	char text[32];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return 0;
	text[n] = '\0';
	return strtol(text, NULL, 10);
}

/* Writes it for whoever is told that the folder is in use; nothing depends on it. */
static void
write_pid(int fd)
{
	char text[32];
	int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());

	if (ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)len, 0) < 0)
		return;
}

static enum statedir_result
busy(const char *dir, int fd, struct trouble *t)
{
	trouble_set(t, TROUBLE_OTHER,
	    "end that one, or give this one another [client] state_dir and name",
	    "the state folder %s is in use by another agent, pid %ld", dir, read_pid(fd));
	return STATEDIR_BUSY;
}

/* Tries the lock of the file where folders cannot be locked, as on NFS. */
static bool
is_taken(int fd)
{
	return flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

/* Locks the folder, which needs no room, and the file in it, which says whose the lock is. */
static enum statedir_result
take_locks(const char *dir, const char *path, struct statedir_lock *lock, struct trouble *t)
{
	lock->folder = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	lock->file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (lock->file < 0 && !(lock->folder >= 0 && statedir_is_full(errno))) {
		trouble_set(t, TROUBLE_OTHER, statedir_cure(errno),
		    "cannot write to the state folder %s: %s", dir, errtext_errno(errno));
		return STATEDIR_ERROR;
	}
	if (lock->file < 0)
		log_error("agent", "cannot make %s: %s" TROUBLE_CURE "%s", path,
		    errtext_errno(errno), statedir_cure(errno));
	if (lock->folder >= 0 && is_taken(lock->folder))
		return busy(dir, lock->file, t);
	if (lock->file >= 0 && flock(lock->file, LOCK_EX | LOCK_NB) != 0)
		return busy(dir, lock->file, t);
	if (lock->file >= 0)
		write_pid(lock->file);
	return STATEDIR_OK;
}

enum statedir_result
statedir_open(const char *dir, struct statedir_lock *lock, struct trouble *t)
{
	enum statedir_result result;
	char path[PATH_MAX];

	*lock = (struct statedir_lock)STATEDIR_UNLOCKED;
	if (!make_folder(dir, t))
		return STATEDIR_ERROR;
	if (snprintf(path, sizeof(path), "%s/%s", dir, STATEDIR_LOCK) >= (int)sizeof(path)) {
		trouble_set(t, TROUBLE_OTHER, "set [client] state_dir",
		    "cannot use the state folder %s: its name is too long", dir);
		return STATEDIR_ERROR;
	}
	result = take_locks(dir, path, lock, t);
	if (result != STATEDIR_OK)
		statedir_close(lock);
	return result;
}

void
statedir_close(struct statedir_lock *lock)
{
	if (lock->folder >= 0)
		close(lock->folder);
	if (lock->file >= 0)
		close(lock->file);
	*lock = (struct statedir_lock)STATEDIR_UNLOCKED;
}
