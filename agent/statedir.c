/* See statedir.h. */
#include "agent/statedir.h"

#include "shared/base/errtext.h"
#include "shared/base/log.h"

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
make_folder(const char *dir, char *err, size_t err_size)
{
	struct stat st;

	if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
		snprintf(err, err_size, "cannot make the state folder %s: %s" ERRTEXT_CURE "%s",
		    dir, strerror(errno),
		    errno == ENOENT ? "make the folder above it" : statedir_cure(errno));
		return false;
	}
	if (stat(dir, &st) != 0) {
		snprintf(err, err_size, "cannot use the state folder %s: %s" ERRTEXT_CURE "%s", dir,
		    strerror(errno), statedir_cure(errno));
		return false;
	}
	if (!S_ISDIR(st.st_mode)) {
		snprintf(err, err_size,
		    "cannot use the state folder %s: it is not a folder" ERRTEXT_CURE
		    "move it away, or set [client] state_dir",
		    dir);
		return false;
	}
	/* Who can write there can put another file in the place of each. The rule is that of the
	 * plugin folder (shared/config/plugin_dir.c), but that no group may write either. */
	if (st.st_uid != 0 && st.st_uid != geteuid()) {
		snprintf(err, err_size,
		    "will not use the state folder %s: owned by neither root nor the user this "
		    "runs as (owner %u)" ERRTEXT_CURE
		    "chown it to that user, or set [client] state_dir",
		    dir, (unsigned int)st.st_uid);
		return false;
	}
	if ((st.st_mode & 022) != 0) {
		snprintf(err, err_size,
		    "will not use the state folder %s: others may write to it (mode %04o)" ERRTEXT_CURE
		    "chmod go-w",
		    dir, (unsigned int)st.st_mode & 07777);
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

/* For whoever is told that the folder is in use; nothing depends on it. */
static void
write_pid(int fd)
{
	char text[32];
	int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());

	if (ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)len, 0) < 0)
		return;
}

static enum statedir_result
busy(const char *dir, int fd, char *err, size_t err_size)
{
	snprintf(err, err_size,
	    "the state folder %s is in use by another agent, pid %ld" ERRTEXT_CURE
	    "end that one, or give this one another [client] state_dir and name",
	    dir, read_pid(fd));
	return STATEDIR_BUSY;
}

/* Where folders cannot be locked, as on NFS, the file's lock has to do. */
static bool
is_taken(int fd)
{
	return flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

/* Locks the folder, which needs no room, and the file in it, which says whose the lock is. */
static enum statedir_result
take_locks(
    const char *dir, const char *path, struct statedir_lock *lock, char *err, size_t err_size)
{
	lock->folder = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	lock->file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (lock->file < 0 && !(lock->folder >= 0 && statedir_is_full(errno))) {
		snprintf(err, err_size, "cannot write to the state folder %s: %s" ERRTEXT_CURE "%s",
		    dir, errtext_errno(errno), statedir_cure(errno));
		return STATEDIR_ERROR;
	}
	if (lock->file < 0)
		log_error("agent", "cannot make %s: %s" ERRTEXT_CURE "%s", path,
		    errtext_errno(errno), statedir_cure(errno));
	if (lock->folder >= 0 && is_taken(lock->folder))
		return busy(dir, lock->file, err, err_size);
	if (lock->file >= 0 && flock(lock->file, LOCK_EX | LOCK_NB) != 0)
		return busy(dir, lock->file, err, err_size);
	if (lock->file >= 0)
		write_pid(lock->file);
	return STATEDIR_OK;
}

enum statedir_result
statedir_open(const char *dir, struct statedir_lock *lock, char *err, size_t err_size)
{
	enum statedir_result result;
	char path[PATH_MAX];

	*lock = (struct statedir_lock)STATEDIR_UNLOCKED;
	if (!make_folder(dir, err, err_size))
		return STATEDIR_ERROR;
	if (snprintf(path, sizeof(path), "%s/%s", dir, STATEDIR_LOCK) >= (int)sizeof(path)) {
		snprintf(
		    err, err_size, "cannot use the state folder %s: its name is too long", dir);
		return STATEDIR_ERROR;
	}
	result = take_locks(dir, path, lock, err, err_size);
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
