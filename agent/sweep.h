/* Processes that plugins left behind. A daemon escapes the process group of its plugin by setsid()
 * and outlives it; because the agent is a child subreaper (PR_SET_CHILD_SUBREAPER), such an orphan
 * becomes a child of the agent and is listed as one by proc(5). */
#ifndef VOGELER_SWEEP_H
#define VOGELER_SWEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Makes orphans ours. false: the kernel cannot (errno). */
bool sweep_adopt_orphans(void);
/* Our children at this moment, zombies included: at most max of them, returns how many. */
size_t sweep_list_children(pid_t *pids, size_t max);
/* Kills pid, a child of ours, and reaps it if it is dead already. true: it is gone. */
bool sweep_kill(pid_t pid);

#endif
