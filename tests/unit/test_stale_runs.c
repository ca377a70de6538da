/* SPDX-License-Identifier: Apache-2.0 */
/* Real processes, and the file that an agent leaves that was killed. What they are told apart by is
 * staged here; test_plugins_fault.py kills agents. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/stale_runs.h"
#include "shared/base/ident.h"
#include "shared/exec/proc.h"
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MARK       "0123456789abcdef0123456789abcdef"
#define OTHER_MARK "fedcba9876543210fedcba9876543210"
#define SLEEPERS   3

struct fixture {
	char dir[64], path[96];
	pid_t sleepers[SLEEPERS];
	size_t n;
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	strcpy(f->dir, "/tmp/vogeler-remains-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/%s", f->dir, STALE_RUNS_FILE);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < f->n; i++) {
		kill(f->sleepers[i], SIGKILL);
		waitpid(f->sleepers[i], NULL, 0);
	}
	unlink(f->path);
	assert_int_equal(rmdir(f->dir), 0);
	free(f);
	return 0;
}

/* It is in a session of its own, and deaf to SIGTERM if told to be. mark: "" = none. */
static pid_t
start(struct fixture *f, const char *mark, const char *script)
{
	char assignment[64];
	char *env[] = {assignment, NULL};
	int up[2];
	char byte;
	pid_t pid;

	snprintf(assignment, sizeof(assignment), "%s%s",
	    mark[0] != '\0' ? STALE_RUNS_VARIABLE "=" : "A=", mark);
	assert_int_equal(pipe(up), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		setsid();
		dup2(up[1], STDOUT_FILENO);
		execle("/bin/sh", "sh", "-c", script, NULL, env);
		_exit(127);
	}
	close(up[1]);
	assert_int_equal(read(up[0], &byte, 1), 1);
	close(up[0]);
	f->sleepers[f->n++] = pid;
	return pid;
}

static uint64_t
started(pid_t pid)
{
	struct proc p;

	assert_true(proc_read(pid, &p));
	return p.started;
}

static void
write_record(const struct fixture *f, const char *boot, pid_t pid, uint64_t at)
{
	char this_boot[64] = "";
	FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%63s", this_boot), 1);
	fclose(file);
	file = fopen(f->path, "we");
	assert_non_null(file);
	fprintf(file, "vogeler-running 1 %s %s %" PRIu64 "\n", boot != NULL ? boot : this_boot,
	    MARK, started(getpid()));
	if (pid != 0)
		fprintf(file, "%d %" PRIu64 "\n", (int)pid, at);
	fclose(file);
}

static void
take_over(const struct fixture *f)
{
	stale_runs_close(stale_runs_open(f->dir), false);
}

static bool
is_alive(pid_t pid)
{
	struct proc p;

	return proc_read(pid, &p) && !p.zombie;
}

static void
what_has_the_mark_is_ended(void **state)
{
	struct fixture *f = *state;
	pid_t ours = start(f, MARK, "trap '' TERM; echo; while :; do sleep 1; done");
	pid_t others = start(f, OTHER_MARK, "echo; exec sleep inf");
	pid_t nobodys = start(f, "", "echo; exec sleep inf");

	write_record(f, NULL, 0, 0);
	take_over(f);
	assert_false(is_alive(ours));
	assert_true(is_alive(others));
	assert_true(is_alive(nobodys));
}

/* The number alone says nothing: it is given away again. */
static void
a_number_counts_with_its_start_time_only(void **state)
{
	struct fixture *f = *state;
	pid_t pid = start(f, "", "echo; exec sleep inf");

	write_record(f, NULL, pid, started(pid) - 1);
	take_over(f);
	assert_true(is_alive(pid));
	write_record(f, NULL, pid, started(pid));
	take_over(f);
	assert_false(is_alive(pid));
}

static void
children_and_the_session_go_with_it(void **state)
{
	struct fixture *f = *state;
	struct proc *all;
	size_t n, n_alive = 0;
	pid_t pid = start(f, "", "setsid sleep inf & sleep inf & echo; wait");

	write_record(f, NULL, pid, started(pid));
	take_over(f);
	n = proc_list(&all);
	for (size_t i = 0; i < n; i++)
		n_alive += !all[i].zombie && (all[i].parent == pid || all[i].session == pid);
	assert_int_equal(n_alive, 0);
	free(all);
}

static void
another_boot_or_no_record_ends_nothing(void **state)
{
	struct fixture *f = *state;
	pid_t pid = start(f, MARK, "echo; exec sleep inf");
	FILE *file;

	write_record(f, "another-boot", pid, started(pid));
	take_over(f);
	assert_true(is_alive(pid));
	take_over(f);
	assert_true(is_alive(pid));
	file = fopen(f->path, "we");
	assert_non_null(file);
	fprintf(file, "vogeler-running 1 cut off in");
	fclose(file);
	take_over(f);
	assert_true(is_alive(pid));
}

static void
what_is_noted_is_found_without_a_mark(void **state)
{
	struct fixture *f = *state;
	struct stale_runs *r = stale_runs_open(f->dir);
	pid_t pid = start(f, "", "setsid sleep inf & echo; wait"), child = 0;
	struct proc *all;
	size_t n;

	stale_runs_note(r, &pid, 1);
	stale_runs_close(r, true);
	n = proc_list(&all);
	for (size_t i = 0; i < n; i++) {
		if (all[i].parent == pid)
			child = all[i].pid;
	}
	free(all);
	assert_int_not_equal(child, 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_true(is_alive(child));
	take_over(f);
	assert_false(is_alive(child));
}

static void
each_agent_has_a_mark_of_its_own(void **state)
{
	struct fixture *f = *state;
	struct stale_runs *r = stale_runs_open(f->dir);
	char *first = strdup(stale_runs_mark(r));

	stale_runs_close(r, true);
	r = stale_runs_open(f->dir);
	assert_string_not_equal(first, stale_runs_mark(r));
	assert_int_equal(strncmp(first, STALE_RUNS_VARIABLE "=", sizeof(STALE_RUNS_VARIABLE)), 0);
	stale_runs_close(r, false);
	assert_int_not_equal(access(f->path, F_OK), 0);
	free(first);
}

/* Wherever it stands in an environment that is longer than what is read at once. (A process has
 * none while it executes something, so this one does not.) */
static void
a_mark_is_found_anywhere(void **state)
{
	struct fixture *f = *state;
	char script[256];

	for (int before = 16300; before < 16400; before += 7) {
		snprintf(script, sizeof(script),
		    "A=$(head -c %d /dev/zero | tr '\\0' a) " STALE_RUNS_VARIABLE "=" MARK
		    " exec env sh -c 'echo; kill -STOP $$'",
		    before);
		f->n = 0;
		start(f, "", script);
		assert_true(proc_has_env(f->sleepers[0], STALE_RUNS_VARIABLE "=" MARK));
		assert_false(proc_has_env(f->sleepers[0], STALE_RUNS_VARIABLE "=" OTHER_MARK));
		kill(f->sleepers[0], SIGKILL);
		waitpid(f->sleepers[0], NULL, 0);
		f->n = 0;
	}
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(what_has_the_mark_is_ended),
	    TEST(a_number_counts_with_its_start_time_only),
	    TEST(children_and_the_session_go_with_it),
	    TEST(another_boot_or_no_record_ends_nothing),
	    TEST(what_is_noted_is_found_without_a_mark),
	    TEST(each_agent_has_a_mark_of_its_own),
	    TEST(a_mark_is_found_anywhere),
	};

	ident_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
