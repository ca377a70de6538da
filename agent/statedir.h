/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's state folder, and the lock that keeps a second agent out of it. */
#ifndef VOGELER_STATEDIR_H
#define VOGELER_STATEDIR_H

#include <stdbool.h>

struct trouble;

#define STATEDIR_LOCK "lock"

enum statedir_result {
	STATEDIR_OK,
	STATEDIR_BUSY, /* another agent has it */
	STATEDIR_ERROR,
};

struct statedir_lock {
	int folder, file; /* -1 = not held */
};
/* clang-format off */
#define STATEDIR_UNLOCKED {-1, -1}
/* clang-format on */

/* Makes dir (mode 0700) if it is missing, refuses it when others than root and we own it or may
 * write to it, and takes the lock, which holds until statedir_close() or the process ends, however
 * it does. Other results: t says why. When the file system is full the folder alone is
 * locked, which is told at ERROR: a host whose disk is full is one to be asked questions. */
enum statedir_result statedir_open(const char *dir, struct statedir_lock *lock, struct trouble *t);
void statedir_close(struct statedir_lock *lock);
/* Says whether that errno means that there is no room. */
bool statedir_is_full(int err);
/* Names the way out when a file in it cannot be read or written for that errno. */
const char *statedir_cure(int err);

#endif
