/* SPDX-License-Identifier: Apache-2.0 */
/* Limits say how much of the machine a plugin may use: resource limits (setrlimit(2)) that the
 * kernel holds each of its processes to, even if the agent is stopped. Only the number of processes
 * is counted together, over all of the plugin's user, and not at all for root. */
#ifndef VOGELER_LIMITS_H
#define VOGELER_LIMITS_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

struct plugin;

#define LIMITS_FILE_DEFAULT (UINT64_C(1) << 30)
#define LIMITS_CPU_GRACE_S  2 /* from SIGXCPU, which can be caught, to SIGKILL */
#define LIMITS_TEXT_SIZE    160

struct limits {
	rlim_t cpu_s, memory, processes, file; /* RLIM_INFINITY = none */
};

/* Takes what p says, and the defaults for what it does not. timeout_ms: the one that holds
 * for p. */
void limits_of(struct limits *l, const struct plugin *p, uint32_t timeout_ms);
/* Applies them to this process from now on; a limit that was lower already stays.
 * Async-signal-safe. false: errno. */
bool limits_apply(const struct limits *l) __attribute__((warn_unused_result));
/* Says in a sentence whether one of them, or want of memory, explains an end that nobody here
 * caused. */
bool limits_explain(const struct limits *l, const siginfo_t *end, const struct rusage *used,
    char text[LIMITS_TEXT_SIZE]);

#endif
