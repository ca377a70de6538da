/* SPDX-License-Identifier: Apache-2.0 */
/* Finding children by proc(5), and reaping those that nobody waits for. The keepers (subreaper.h)
 * take what plugins leave behind; the agent is a child subreaper besides, for what a keeper leaves
 * that somebody killed. */
#ifndef VOGELER_REAPER_H
#define VOGELER_REAPER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define REAPER_PIDS 512

/* Makes orphans ours. false: the kernel cannot (errno). */
bool reaper_adopt_orphans(void);
/* The children of a process at this moment, zombies included: at most max of them, returns how
 * many.
 */
size_t reaper_list_children(pid_t parent, pid_t *pids, size_t max);
/* Reads those of one thread, by the path of its list. Async-signal-safe. */
size_t reaper_read_children(const char *path, pid_t *pids, size_t max);
/* Kills pid, a child of ours, and reaps it if it is dead already. true: it is gone. */
bool reaper_kill(pid_t pid);

#endif
