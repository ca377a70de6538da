/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel tells this of processes (proc(5)). */
#ifndef VOGELER_PROC_H
#define VOGELER_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct proc {
	pid_t pid, parent, session;
	uint64_t started; /* ticks since boot: with pid it names one process, and no later one */
	bool zombie;
	char name[16]; /* of the program, cut by the kernel */
};

/* false: there is none. */
bool proc_read(pid_t pid, struct proc *p);
/* All that we can see. Returns how many; the caller frees *list, which may be NULL. */
size_t proc_list(struct proc **list);
/* Says whether the environment that pid was executed with has this NAME=value, which is short.
 * false, too, when we may not look. */
bool proc_has_env(pid_t pid, const char *assignment);

#endif
