/* The agent's state folder, and the lock that keeps a second agent out of it. */
#ifndef VOGELER_STATEDIR_H
#define VOGELER_STATEDIR_H

#include <stddef.h>

#define STATEDIR_LOCK "lock"

enum statedir_result {
	STATEDIR_OK,
	STATEDIR_BUSY, /* another agent has it */
	STATEDIR_ERROR,
};

/* Makes dir (mode 0700) if it is missing, refuses it when others than root and we own it or may
 * write to it, and takes the lock, which holds until *lock_fd is closed
 * or the process ends, however it does. Other results: err is one sentence. */
enum statedir_result statedir_open(const char *dir, int *lock_fd, char *err, size_t err_size);
/* The way out, when a file in it cannot be read or written for that errno. */
const char *statedir_cure(int err);

#endif
