/* SPDX-License-Identifier: Apache-2.0 */
/* See limits.h. */
#include "shared/exec/limits.h"

#include "shared/base/units.h"
#include "shared/config/plugin.h"
#include <stdio.h>
#include <sys/wait.h>

#define SHELL_SIGNAL 128 /* a shell exits with this and the signal that ended its command */

static rlim_t
limit_or(uint64_t value, rlim_t otherwise)
{
	if (value == 0)
		return otherwise;
	return value == PLUGIN_UNLIMITED ? RLIM_INFINITY : (rlim_t)value;
}

void
limits_of(struct limits *l, const struct plugin *p, uint32_t timeout_ms)
{
	uint64_t cpu = p->max_cpu_ms;

	/* A second more than a plugin without threads can have used when its time is up: then it is
	 * the timeout that is told of. */
	if (cpu == 0)
		cpu = (uint64_t)timeout_ms + 1999;
	l->cpu_s = cpu == PLUGIN_UNLIMITED ? RLIM_INFINITY : (rlim_t)(cpu / 1000);
	l->memory = limit_or(p->max_memory, RLIM_INFINITY);
	l->processes = limit_or(p->max_processes, RLIM_INFINITY);
	l->file = limit_or(p->max_file, LIMITS_FILE_DEFAULT);
}

static bool
lower(__rlimit_resource_t resource, rlim_t soft, rlim_t hard)
{
	struct rlimit now;

	if (getrlimit(resource, &now) != 0)
		return false;
	/* RLIM_INFINITY is the largest. */
	if (soft < now.rlim_cur)
		now.rlim_cur = soft;
	if (hard < now.rlim_max)
		now.rlim_max = hard;
	return setrlimit(resource, &now) == 0;
}

bool
limits_apply(const struct limits *l)
{
	rlim_t cpu_hard = l->cpu_s == RLIM_INFINITY ? l->cpu_s : l->cpu_s + LIMITS_CPU_GRACE_S;

	return lower(RLIMIT_CORE, 0, 0) && lower(RLIMIT_CPU, l->cpu_s, cpu_hard) &&
	       lower(RLIMIT_FSIZE, l->file, l->file) &&
	       lower(RLIMIT_NPROC, l->processes, l->processes) &&
	       lower(RLIMIT_AS, l->memory, l->memory);
}

static bool
used_its_cpu(const struct limits *l, const struct rusage *used)
{
	return l->cpu_s != RLIM_INFINITY &&
	       (rlim_t)used->ru_utime.tv_sec + (rlim_t)used->ru_stime.tv_sec >= l->cpu_s;
}

static bool
explain_killed(const struct limits *l, const struct rusage *used, char text[LIMITS_TEXT_SIZE])
{
	if (used_its_cpu(l, used))
		snprintf(text, LIMITS_TEXT_SIZE, "more than %llu s of CPU time, its max_cpu",
		    (unsigned long long)l->cpu_s);
	else
		snprintf(text, LIMITS_TEXT_SIZE,
		    "not by the agent; the kernel does so when memory runs out, and logs it");
	return true;
}

/* Says whether it is a signal that ends a program that takes memory for granted. */
static bool
dies_without_memory(int signo)
{
	return signo == SIGSEGV || signo == SIGBUS || signo == SIGABRT;
}

bool
limits_explain(const struct limits *l, const siginfo_t *end, const struct rusage *used,
    char text[LIMITS_TEXT_SIZE])
{
	bool exited = end->si_code == CLD_EXITED;
	int signo = exited ? end->si_status - SHELL_SIGNAL : end->si_status;
	char size[UNITS_TEXT_SIZE];

	if (signo == SIGXCPU && l->cpu_s != RLIM_INFINITY) {
		snprintf(text, LIMITS_TEXT_SIZE, "more than %llu s of CPU time, its max_cpu",
		    (unsigned long long)l->cpu_s);
		return true;
	}
	if (signo == SIGXFSZ && l->file != RLIM_INFINITY) {
		snprintf(text, LIMITS_TEXT_SIZE, "it wrote a file of more than %s, its max_file",
		    units_format_bytes(l->file, size));
		return true;
	}
	if (l->memory != RLIM_INFINITY && dies_without_memory(signo)) {
		snprintf(text, LIMITS_TEXT_SIZE, "it may have met its max_memory, %s",
		    units_format_bytes(l->memory, size));
		return true;
	}
	return !exited && signo == SIGKILL && explain_killed(l, used, text);
}
