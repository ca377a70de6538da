/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/config/plugin.h"
#include "shared/exec/limits.h"
#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct limits
of(struct plugin p, uint32_t timeout_ms)
{
	struct limits l;

	limits_of(&l, &p, timeout_ms);
	return l;
}

static void
defaults(void **state)
{
	struct limits l = of((struct plugin){0}, 60000);

	assert_int_equal(l.cpu_s, 61);
	assert_true(l.memory == RLIM_INFINITY);
	assert_true(l.processes == RLIM_INFINITY);
	assert_int_equal(l.file, 1 << 30);
	/* Never less than the time it has. */
	assert_int_equal(of((struct plugin){0}, 100).cpu_s, 2);
	assert_int_equal(of((struct plugin){0}, 1001).cpu_s, 3);
}

static void
what_the_plugin_says(void **state)
{
	struct plugin p = {
	    .max_cpu_ms = 5000, .max_memory = 1 << 20, .max_processes = 7, .max_file = 9};
	struct plugin none = {.max_cpu_ms = PLUGIN_UNLIMITED,
	    .max_memory = PLUGIN_UNLIMITED,
	    .max_processes = PLUGIN_UNLIMITED,
	    .max_file = PLUGIN_UNLIMITED};
	struct limits l = of(p, 60000);

	assert_int_equal(l.cpu_s, 5);
	assert_int_equal(l.memory, 1 << 20);
	assert_int_equal(l.processes, 7);
	assert_int_equal(l.file, 9);
	l = of(none, 60000);
	assert_true(l.cpu_s == RLIM_INFINITY && l.memory == RLIM_INFINITY);
	assert_true(l.processes == RLIM_INFINITY && l.file == RLIM_INFINITY);
}

/* In a process of its own: what is lowered cannot be raised again. */
static int
in_child(int (*fn)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(fn());
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static bool
is(__rlimit_resource_t resource, rlim_t soft, rlim_t hard)
{
	struct rlimit now;

	return getrlimit(resource, &now) == 0 && now.rlim_cur == soft && now.rlim_max == hard;
}

static int
apply(void)
{
	struct limits l = {
	    .cpu_s = 50, .memory = RLIM_INFINITY, .processes = RLIM_INFINITY, .file = 4096};
	struct rlimit before, few = {10, 20};

	if (getrlimit(RLIMIT_AS, &before) != 0 || setrlimit(RLIMIT_NPROC, &few) != 0)
		return 1;
	if (!limits_apply(&l))
		return 2;
	if (!is(RLIMIT_CORE, 0, 0) || !is(RLIMIT_CPU, 50, 50 + LIMITS_CPU_GRACE_S) ||
	    !is(RLIMIT_FSIZE, 4096, 4096))
		return 3;
	/* No limit of ours lifts another's. */
	if (!is(RLIMIT_NPROC, 10, 20) || !is(RLIMIT_AS, before.rlim_cur, before.rlim_max))
		return 4;
	/* Nor does a higher one. */
	l.cpu_s = 1000;
	l.file = RLIM_INFINITY;
	if (!limits_apply(&l) || !is(RLIMIT_CPU, 50, 50 + LIMITS_CPU_GRACE_S) ||
	    !is(RLIMIT_FSIZE, 4096, 4096))
		return 5;
	return 0;
}

static void
they_hold(void **state)
{
	assert_int_equal(in_child(apply), 0);
}

static const char *
explain(int code, int status, long cpu_s)
{
	static const struct limits l = {
	    .cpu_s = 10, .memory = 64 << 20, .processes = 5, .file = 1 << 20};
	static char text[LIMITS_TEXT_SIZE];
	siginfo_t end = {.si_code = code};
	struct rusage used = {.ru_utime.tv_sec = cpu_s / 2, .ru_stime.tv_sec = cpu_s - cpu_s / 2};

	end.si_status = status;
	return limits_explain(&l, &end, &used, text) ? text : "";
}

static void
ends_are_explained(void **state)
{
	const char *cpu = "more than 10 s of CPU time, its max_cpu";
	const char *file = "it wrote a file of more than 1MiB, its max_file";
	const char *memory = "it may have met its max_memory, 64MiB";

	assert_string_equal(explain(CLD_KILLED, SIGXCPU, 10), cpu);
	assert_string_equal(explain(CLD_EXITED, 128 + SIGXCPU, 0), cpu); /* a shell tells of it */
	assert_string_equal(explain(CLD_KILLED, SIGKILL, 12), cpu);
	assert_non_null(strstr(explain(CLD_KILLED, SIGKILL, 9), "when memory runs out"));
	assert_string_equal(explain(CLD_EXITED, 128 + SIGKILL, 9), "");
	assert_string_equal(explain(CLD_KILLED, SIGXFSZ, 0), file);
	assert_string_equal(explain(CLD_EXITED, 128 + SIGXFSZ, 0), file);
	assert_string_equal(explain(CLD_DUMPED, SIGSEGV, 0), memory);
	assert_string_equal(explain(CLD_KILLED, SIGABRT, 0), memory);
	assert_string_equal(explain(CLD_KILLED, SIGTERM, 12), "");
	assert_string_equal(explain(CLD_EXITED, 1, 12), "");
	assert_string_equal(explain(CLD_EXITED, 0, 0), "");
}

static void
no_limit_explains_nothing(void **state)
{
	struct limits l = {RLIM_INFINITY, RLIM_INFINITY, RLIM_INFINITY, RLIM_INFINITY};
	struct rusage used = {.ru_utime.tv_sec = 1000};
	const int signals[] = {SIGXCPU, SIGXFSZ, SIGSEGV};
	char text[LIMITS_TEXT_SIZE];
	siginfo_t end = {.si_code = CLD_KILLED};

	for (size_t i = 0; i < 3; i++) {
		end.si_status = signals[i];
		assert_false(limits_explain(&l, &end, &used, text));
	}
	end.si_status = SIGKILL;
	assert_true(limits_explain(&l, &end, &used, text));
	assert_non_null(strstr(text, "memory"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(defaults),
	    cmocka_unit_test(what_the_plugin_says),
	    cmocka_unit_test(they_hold),
	    cmocka_unit_test(ends_are_explained),
	    cmocka_unit_test(no_limit_explains_nothing),
	};

	return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
