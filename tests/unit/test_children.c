/* SPDX-License-Identifier: Apache-2.0 */
/* Real processes under the real loop: plugins that hang, flood, fork, die or hold on to a pipe. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/base/buf.h"
#include "shared/config/plugin.h"
#include "shared/event/loop.h"
#include "shared/exec/children.h"
#include "shared/exec/reaper.h"
#include <bsd/string.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define RUNS 4

struct result {
	int started, done;
	struct child_event end;
	struct buf out;
};

struct fixture {
	char dir[64];
	struct loop *loop;
	struct children *children;
	struct plugin plugins[RUNS];
	struct plugin_set set;
	char *argv[RUNS][4];
	char path[RUNS][PATH_MAX];
	char name[RUNS][16];
	struct result results[RUNS];
	size_t expected;
	const char *stop_at; /* send KILL when the output of run 0 holds this */
	int fds;
};

static int
count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(dir);
	for (struct dirent *d = readdir(dir); d != NULL; d = readdir(dir))
		n += d->d_name[0] != '.';
	closedir(dir);
	return n;
}

static void
on_event(const struct child_event *ev, void *arg)
{
	struct fixture *f = arg;
	struct result *r = &f->results[ev->id];

	assert_true(ev->id < RUNS);
	assert_int_equal(r->done, 0);
	switch ((enum child_event_kind)ev->kind) {
	case CHILD_STARTED:
		r->started++;
		break;
	case CHILD_OUTPUT:
		assert_int_equal(r->started, 1);
		assert_true(ev->length > 0 && ev->length <= CHILDMSG_DATA);
		assert_true(buf_append(&r->out, ev->data, ev->length));
		if (ev->id == 0 && f->stop_at != NULL && strstr(r->out.data, f->stop_at) != NULL) {
			struct child_request req = {.op = CHILD_OP_KILL, .id = 0};

			children_request(f->children, &req);
			f->stop_at = NULL;
		}
		break;
	case CHILD_DONE:
		r->done++;
		r->end = *ev;
		if (--f->expected == 0)
			loop_stop(f->loop);
		break;
	}
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	strcpy(f->dir, "/tmp/vogeler-child-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	for (int i = 0; i < RUNS; i++)
		buf_init(&f->results[i].out, 1U << 22);
	f->loop = loop_create();
	f->children = children_create(f->loop, on_event, f);
	f->set.plugins = f->plugins;
	f->fds = count_fds();
	*state = f;
	return 0;
}

struct waiting {
	struct loop *loop;
	struct loop_timer *timer;
};

static void
look_for_children(void *arg)
{
	struct waiting *w = arg;
	pid_t pid;

	if (reaper_list_children(getpid(), &pid, 1) == 0)
		loop_stop(w->loop);
	else
		loop_timer_arm(w->timer, 5);
}

/* Everything that a plugin started is gone, and reaped, and no descriptor is left. */
static void
assert_nothing_left(struct fixture *f)
{
	struct waiting w = {.loop = f->loop};

	w.timer = loop_timer_create(f->loop, "look", look_for_children, &w);
	loop_timer_arm(w.timer, 0);
	loop_run(f->loop);
	loop_timer_destroy(w.timer);
	assert_int_equal(children_running(f->children), 0);
	assert_int_equal(count_fds(), f->fds);
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	char path[PATH_MAX];

	children_destroy(f->children);
	loop_destroy(f->loop);
	for (int i = 0; i < RUNS; i++) {
		buf_finish(&f->results[i].out);
		snprintf(path, sizeof(path), "%s/script%d", f->dir, i);
		unlink(path);
	}
	assert_int_equal(rmdir(f->dir), 0);
	free(f);
	return 0;
}

/* Plugin i is this program; a second word may be given. */
static struct plugin *
declare(struct fixture *f, const char *program, const char *word)
{
	size_t i = f->set.n++;
	struct plugin *p = &f->plugins[i];

	assert_true(i < RUNS);
	strlcpy(f->path[i], program, sizeof(f->path[i]));
	snprintf(f->name[i], sizeof(f->name[i]), "p%zu", i);
	f->argv[i][0] = f->path[i];
	f->argv[i][1] = (char *)word;
	p->name = f->name[i];
	p->argv = f->argv[i];
	p->success[0] = true;
	return p;
}

/* Plugin i is a script of these lines. */
static struct plugin *
declare_script(struct fixture *f, const char *text)
{
	char path[PATH_MAX];
	FILE *out;

	snprintf(path, sizeof(path), "%s/script%zu", f->dir, f->set.n);
	out = fopen(path, "we");
	assert_non_null(out);
	fputs(text, out);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(chmod(path, 0755), 0);
	return declare(f, path, NULL);
}

static void
request(struct fixture *f, size_t i)
{
	struct child_request req = {.op = CHILD_OP_RUN, .id = i};

	snprintf(req.plugin, sizeof(req.plugin), "p%zu", i);
	children_request(f->children, &req);
	assert_int_equal(f->results[i].done, 0); /* never from inside the request */
	assert_int_equal(f->results[i].started, 0);
	f->expected++;
}

static void
load(struct fixture *f)
{
	struct child_defaults defaults = {.timeout_ms = 60000, .max_output = 1U << 20};

	children_set_plugins(f->children, &f->set, &defaults);
}

/* Runs all that was declared, side by side; the end of the first. */
static const struct child_event *
run(struct fixture *f)
{
	load(f);
	for (size_t i = 0; i < f->set.n; i++)
		request(f, i);
	loop_run(f->loop);
	for (size_t i = 0; i < f->set.n; i++)
		assert_int_equal(f->results[i].done, 1);
	return &f->results[0].end;
}

static const char *
output(struct fixture *f, size_t i)
{
	return f->results[i].out.len == 0 ? "" : f->results[i].out.data;
}

static void
assert_stderr(const struct child_event *ev, const char *text)
{
	assert_int_equal(ev->length, strlen(text));
	assert_memory_equal(ev->data, text, ev->length);
}

/* Well-behaved plugins. */

static void
output_and_exit_status(void **state)
{
	struct fixture *f = *state;
	const struct child_event *end;

	declare_script(f, "#!/bin/sh\necho one\necho two\necho oops >&2\n");
	end = run(f);
	assert_string_equal(child_outcome_name(end->outcome), "exited");
	assert_int_equal(end->exit_status, 0);
	assert_int_equal(end->signal, 0);
	assert_string_equal(output(f, 0), "one\ntwo\n");
	assert_int_equal(end->stdout_bytes, 8);
	assert_int_equal(end->stderr_bytes, 5);
	assert_stderr(end, "oops\n");
	assert_true(end->duration_ms >= 0);
	assert_nothing_left(f);
}

static void
found_in_path_with_words(void **state)
{
	struct fixture *f = *state;
	const struct child_event *end;

	declare(f, "echo", "a  b; $(id) *");
	end = run(f);
	assert_int_equal(end->outcome, CHILD_EXITED);
	assert_string_equal(output(f, 0), "a  b; $(id) *\n");
}

static void
several_at_once_keep_apart(void **state)
{
	struct fixture *f = *state;

	declare_script(f, "#!/bin/sh\nfor i in 1 2 3; do echo a$i; sleep 0.01; done\nexit 4\n");
	declare_script(f, "#!/bin/sh\nfor i in 1 2 3; do echo b$i; sleep 0.01; done\nexit 5\n");
	run(f);
	assert_string_equal(output(f, 0), "a1\na2\na3\n");
	assert_string_equal(output(f, 1), "b1\nb2\nb3\n");
	assert_int_equal(f->results[0].end.exit_status, 4);
	assert_int_equal(f->results[1].end.exit_status, 5);
	assert_nothing_left(f);
}

static void
success_is_what_the_plugin_says(void **state)
{
	struct fixture *f = *state;

	declare_script(f, "#!/bin/sh\nexit 0\n");
	declare_script(f, "#!/bin/sh\nexit 3\n")->success[3] = true;
	declare_script(f, "#!/bin/sh\nexit 1\n")->success[3] = true;
	run(f);
	assert_int_equal(f->results[0].end.success, 1);
	assert_int_equal(f->results[1].end.success, 1);
	assert_int_equal(f->results[1].end.exit_status, 3);
	assert_int_equal(f->results[2].end.success, 0);
}

static void
large_output_is_whole(void **state)
{
	struct fixture *f = *state;
	const struct child_event *end;

	declare_script(f, "#!/bin/sh\nhead -c 1048576 /dev/zero\n");
	end = run(f);
	assert_int_equal(end->outcome, CHILD_EXITED);
	assert_int_equal(f->results[0].out.len, 1048576);
}

static void
stderr_keeps_its_tail(void **state)
{
	struct fixture *f = *state;
	const struct child_event *end;

	declare_script(f, "#!/bin/sh\nhead -c 100000 /dev/zero >&2\nprintf END >&2\n");
	end = run(f);
	assert_int_equal(end->outcome, CHILD_EXITED);
	assert_int_equal(end->stderr_bytes, 100003);
	assert_int_equal(end->length, CHILD_STDERR_TAIL);
	assert_memory_equal(end->data + CHILD_STDERR_TAIL - 3, "END", 3);
	assert_int_equal(end->data[0], 0);
}

/* Hangs. */

static void
hang_ends_by_term_at_the_deadline(void **state)
{
	struct fixture *f = *state;
	const struct child_event *end;

	declare_script(f, "#!/bin/sh\necho before\nexec sleep inf\n")->timeout_ms = 100;
	end = run(f);
	assert_string_equal(child_outcome_name(end->outcome), "timeout");
	assert_int_equal(end->signal, SIGTERM);
	assert_int_equal(end->exit_status, -1);
	assert_int_equal(end->timeout_ms, 100);
	assert_true(end->duration_ms >= 100);
	assert_string_equal(output(f, 0), "before\n");
	assert_nothing_left(f);
}

static void
hang_ignoring_term_is_killed(void **state)
{
	struct fixture *f = *state;
	const struct child_event *end;

	declare_script(f, "#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 1; done\n")->timeout_ms =
	    2000;
	end = run(f);
	assert_int_equal(end->outcome, CHILD_TIMEOUT);
	assert_int_equal(end->signal, SIGKILL);
	assert_true(end->duration_ms >= 2000 + CHILD_TERM_GRACE_MS - 10);
	assert_nothing_left(f);
}

/* A timeout is one even if the plugin then exits 0. */
static void
exit_0_on_term_is_a_timeout(void **state)
{
	struct fixture *f = *state;
	const struct child_event *end;

	/* Long enough for the shell to have set its trap on a busy machine. */
	declare_script(f, "#!/bin/sh\ntrap 'exit 0' TERM\nsleep 60 & wait\n")->timeout_ms = 2000;
	end = run(f);
	assert_int_equal(end->outcome, CHILD_TIMEOUT);
	assert_int_equal(end->exit_status, 0);
	assert_nothing_left(f);
}

/* Floods. */

static void
flood_on_stdout_is_cut(void **state)
{
	struct fixture *f = *state;
	const struct child_event *end;

	declare_script(f, "#!/bin/sh\nexec head -c 1G /dev/zero\n")->max_output = 100000;
	end = run(f);
	assert_string_equal(child_outcome_name(end->outcome), "overflow");
	assert_int_equal(end->output_max, 100000);
	assert_int_equal(end->stdout_bytes, 100000);
	assert_int_equal(f->results[0].out.len, 100000);
	assert_nothing_left(f);
}

static void
flood_on_stderr_is_cut(void **state)
{
	struct fixture *f = *state;
	const struct child_event *end;

	declare_script(f, "#!/bin/sh\nexec head -c 1G /dev/zero >&2\n")->max_output = 100000;
	end = run(f);
	assert_int_equal(end->outcome, CHILD_OVERFLOW);
	assert_int_equal(end->stderr_bytes, 100000);
	assert_int_equal(end->length, CHILD_STDERR_TAIL);
	assert_nothing_left(f);
}

static void
flood_ignoring_signals_ends(void **state)
{
	struct fixture *f = *state;
	const struct child_event *end;

	declare_script(f,
	    "#!/bin/sh\ntrap '' TERM PIPE\nwhile :; do echo xxxxxxxxxxxxxxxxxxxx 2>/dev/null; done\n")
	    ->max_output = 1000;
	end = run(f);
	assert_int_equal(end->outcome, CHILD_OVERFLOW);
	assert_int_equal(end->signal, SIGKILL);
	assert_nothing_left(f);
}

/* Leaves processes behind that hold the pipe. */

static void
background_process_holds_the_pipe(void **state)
{
	struct fixture *f = *state;
	const struct child_event *end;

	declare_script(f, "#!/bin/sh\nsleep inf &\necho done\n");
	end = run(f);
	assert_int_equal(end->outcome, CHILD_EXITED);
	assert_int_equal(end->exit_status, 0);
	assert_string_equal(output(f, 0), "done\n");
	assert_nothing_left(f);
}

static void
daemon_with_setsid(void **state)
{
	struct fixture *f = *state;
	const struct child_event *end;

	declare_script(f, "#!/bin/sh\nsetsid sleep inf &\necho done\n");
	end = run(f);
	assert_int_equal(end->outcome, CHILD_EXITED);
	assert_string_equal(output(f, 0), "done\n");
	assert_nothing_left(f);
}

static void
double_fork_with_closed_pipes(void **state)
{
	struct fixture *f = *state;
	const struct child_event *end;

	declare_script(f,
	    "#!/bin/sh\n(setsid sh -c 'trap \"\" TERM HUP; sleep inf & sleep inf' >/dev/null 2>&1 "
	    "</dev/null &)\necho done\n");
	end = run(f);
	assert_int_equal(end->outcome, CHILD_EXITED);
	/* Nothing holds the pipe: no need to wait for the grace time. */
	assert_true(end->duration_ms < CHILD_DRAIN_MS);
	assert_nothing_left(f);
}

/* What comes through the pipe after the exit still counts. */
static void
output_of_a_grandchild_counts(void **state)
{
	struct fixture *f = *state;

	declare_script(f, "#!/bin/sh\n(sleep 0.1; echo late) &\necho first\n");
	run(f);
	assert_string_equal(output(f, 0), "first\nlate\n");
	assert_nothing_left(f);
}

/* The orphan of a run that goes on is not killed because another one ends. */
static void
orphans_of_others_live_on(void **state)
{
	struct fixture *f = *state;

	declare_script(f,
	    "#!/bin/sh\nfifo=$(mktemp -u) || exit 1\nmkfifo $fifo || exit 1\n"
	    "(sh -c \"sleep 0.4; echo from-orphan >$fifo\" &)\ncat $fifo; rm $fifo\n");
	declare_script(f, "#!/bin/sh\nsleep 0.1\n");
	run(f);
	assert_string_equal(output(f, 0), "from-orphan\n");
	assert_nothing_left(f);
}

/* What it may use. */

static void
limits_are_set(void **state)
{
	struct fixture *f = *state;
	const char *script = "#!/bin/sh\nulimit -t; ulimit -v; ulimit -f; ulimit -c\n";
	struct plugin *p;

	declare_script(f, script);
	p = declare_script(f, script);
	p->max_cpu_ms = 7000;
	p->max_memory = 512U << 20;
	p->max_file = 64U << 20;
	run(f);
	/* In seconds, KiB, blocks of 512 bytes. */
	assert_string_equal(output(f, 0), "61\nunlimited\n2097152\n0\n");
	assert_string_equal(output(f, 1), "7\n524288\n131072\n0\n");
}

/* It catches the signal at its limit, and is killed two seconds later. */
static void
spin_ends(void **state)
{
	struct fixture *f = *state;
	const struct child_event *end;

	declare_script(f, "#!/bin/sh\ntrap '' XCPU\nwhile :; do :; done\n")->max_cpu_ms = 1000;
	end = run(f);
	assert_string_equal(child_outcome_name(end->outcome), "signaled");
	assert_int_equal(end->signal, SIGKILL);
	assert_stderr(end, "more than 1 s of CPU time, its max_cpu\n");
	assert_nothing_left(f);
}

/* What it said itself stays, behind a whole line of ours. */
static void
large_file(void **state)
{
	struct fixture *f = *state;
	const struct child_event *end = &f->results[1].end;
	const char *whole = "\nit wrote a file of more than 1GiB, its max_file\n";
	char text[PATH_MAX];

	snprintf(text, sizeof(text),
	    "#!/bin/sh\necho mine >&2\nexec head -c 1M /dev/zero >%s/file\n", f->dir);
	declare_script(f, text)->max_file = 65536;
	declare_script(f, "#!/bin/sh\nhead -c 9000 /dev/zero | tr '\\0' x >&2\nkill -XFSZ $$\n");
	run(f);
	assert_int_equal(f->results[0].end.signal, SIGXFSZ);
	assert_stderr(
	    &f->results[0].end, "it wrote a file of more than 64KiB, its max_file\nmine\n");
	assert_int_equal(end->length, strlen(whole) + CHILD_STDERR_TAIL);
	assert_memory_equal(end->data, whole, strlen(whole));
	snprintf(text, sizeof(text), "%s/file", f->dir);
	assert_int_equal(unlink(text), 0);
}

/* One process is the plugin itself. Root is held to no number of processes. */
static void
a_limit_of_processes(void **state)
{
	struct fixture *f = *state;
	struct plugin *p = declare_script(f, "#!/bin/sh\n(echo child)\necho parent\n");

	p->max_processes = 1;
	if (geteuid() == 0) {
		assert_int_equal(chmod(f->dir, 0755), 0);
		p->user = (char *)"daemon";
	}
	run(f);
	assert_string_equal(output(f, 0), "");
	assert_int_equal(f->results[0].end.exit_status, 2);
	assert_non_null(memmem(f->results[0].end.data, f->results[0].end.length, "fork", 4));
}

static void
memory(void **state)
{
	struct fixture *f = *state;
	const struct child_event *end;

	declare_script(f, "#!/bin/sh\nexec head -c 1G /dev/zero | tail -c 200M >/dev/null\n");
	f->plugins[0].max_memory = 32U << 20;
	end = run(f);
	assert_int_equal(end->exit_status, 1);
	assert_non_null(memmem(end->data, end->length, "memory", 6));
}

/* How it ended. */

static void
exit_by_signal(void **state)
{
	struct fixture *f = *state;
	const struct child_event *end;

	declare_script(f, "#!/bin/sh\necho x\nkill -SEGV $$\n");
	end = run(f);
	assert_string_equal(child_outcome_name(end->outcome), "signaled");
	assert_int_equal(end->signal, SIGSEGV);
	assert_int_equal(end->exit_status, -1);
	assert_string_equal(output(f, 0), "x\n");
}

static void
exit_1_empty_and_both(void **state)
{
	struct fixture *f = *state;

	declare_script(f, "#!/bin/sh\nexit 1\n");
	declare_script(f, "#!/bin/sh\n");
	declare_script(f, "#!/bin/sh\necho output\nexit 1\n");
	run(f);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(f->results[i].end.outcome, CHILD_EXITED);
		assert_int_equal(f->results[i].end.exit_status, i == 1 ? 0 : 1);
	}
	assert_string_equal(output(f, 0), "");
	assert_string_equal(output(f, 1), "");
	assert_string_equal(output(f, 2), "output\n");
	assert_nothing_left(f);
}

/* Exit status 127 of a program is its own, not ours. */
static void
exit_127_is_not_an_exec_error(void **state)
{
	struct fixture *f = *state;
	const struct child_event *end;

	declare_script(f, "#!/bin/sh\nexit 127\n");
	end = run(f);
	assert_int_equal(end->outcome, CHILD_EXITED);
	assert_int_equal(end->exit_status, 127);
}

/* Cannot be run. */

static void
assert_not_started(const struct child_event *end, int error, const char *text)
{
	assert_string_equal(child_outcome_name(end->outcome), "not started");
	assert_int_equal(end->error, error);
	assert_int_equal(end->exit_status, -1);
	assert_true(end->length < sizeof(end->data));
	if (strstr(end->data, text) == NULL || end->length != strlen(end->data))
		fail_msg("\"%s\" does not hold \"%s\"", end->data, text);
}

static void
missing(void **state)
{
	struct fixture *f = *state;

	declare(f, "/nonexistent/x", NULL);
	declare(f, "no-such-program-of-vogeler", NULL);
	run(f);
	assert_not_started(
	    &f->results[0].end, ENOENT, "cannot run \"/nonexistent/x\": No such file or directory");
	assert_not_started(&f->results[1].end, ENOENT,
	    "cannot run \"no-such-program-of-vogeler\": No such file or directory");
	assert_nothing_left(f);
}

static void
not_executable_and_directory(void **state)
{
	struct fixture *f = *state;

	declare_script(f, "#!/bin/sh\n");
	assert_int_equal(chmod(f->path[0], 0644), 0);
	declare(f, "/usr", NULL);
	run(f);
	assert_not_started(&f->results[0].end, EACCES, "Permission denied");
	assert_not_started(&f->results[1].end, EACCES, "cannot run \"/usr\": Permission denied");
}

static void
interpreter(void **state)
{
	struct fixture *f = *state;

	declare_script(f, "echo no interpreter line\n");
	declare_script(f, "#!/nonexistent/interpreter\n");
	run(f);
	assert_not_started(&f->results[0].end, ENOEXEC, "Exec format error");
	assert_string_equal(output(f, 0), "");
	assert_not_started(&f->results[1].end, ENOENT, "interpreter");
	assert_nothing_left(f);
}

static void
unknown_plugin_and_user(void **state)
{
	struct fixture *f = *state;
	struct plugin *p = declare_script(f, "#!/bin/sh\n");

	p->user = (char *)"no-such-user-of-vogeler";
	load(f);
	request(f, 0);
	request(f, 1);
	loop_run(f->loop);
	assert_not_started(
	    &f->results[0].end, ENOENT, "there is no user \"no-such-user-of-vogeler\"");
	assert_not_started(&f->results[1].end, ENOENT, "no such plugin");
	assert_int_equal(f->results[0].started, 0);
}

static void
out_of_descriptors(void **state)
{
	struct fixture *f = *state;
	struct rlimit before, now;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	now = before;
	now.rlim_cur = (rlim_t)f->fds + 1;
	declare(f, "true", NULL);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
	run(f);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_not_started(&f->results[0].end, EMFILE, "Too many open files");
	assert_nothing_left(f);
}

static void
a_checksum(void **state)
{
	struct fixture *f = *state;
	const char *text = "#!/bin/sh\necho right\n";
	unsigned char digest[crypto_hash_sha256_BYTES];
	char hex[2 * sizeof(digest) + 1];
	char wrong[sizeof(hex)];

	crypto_hash_sha256(digest, (const unsigned char *)text, strlen(text));
	sodium_bin2hex(hex, sizeof(hex), digest, sizeof(digest));
	strlcpy(wrong, hex, sizeof(wrong));
	wrong[0] = wrong[0] == '0' ? '1' : '0';
	declare_script(f, text)->sha256 = hex;
	declare_script(f, text)->sha256 = wrong;
	run(f);
	assert_string_equal(output(f, 0), "right\n");
	assert_string_equal(output(f, 1), "");
	assert_not_started(&f->results[1].end, EPERM, "sha256");
}

static void
digest_of(const char *path, char hex[2 * crypto_hash_sha256_BYTES + 1])
{
	unsigned char digest[crypto_hash_sha256_BYTES];
	struct buf text;
	int error;

	buf_init(&text, 1U << 24);
	assert_true(buf_read_file(&text, path, &error));
	crypto_hash_sha256(digest, (const unsigned char *)text.data, text.len);
	sodium_bin2hex(hex, 2 * sizeof(digest) + 1, digest, sizeof(digest));
	buf_finish(&text);
}

static void
sha256_of_a_program(void **state)
{
	struct fixture *f = *state;
	char hex[2 * crypto_hash_sha256_BYTES + 1];

	digest_of("/bin/ls", hex);
	/* What is left open of the check would be seen. */
	declare(f, "/bin/ls", "/proc/self/fd")->sha256 = hex;
	run(f);
	assert_string_equal(output(f, 0), "0\n1\n2\n3\n");
	assert_nothing_left(f);
}

#define FLIPS_RUNS 40

static void flip_for_ever(const char *a, const char *b, const char *to) __attribute__((noreturn));

static void
flip_for_ever(const char *a, const char *b, const char *to)
{
	char temporary[PATH_MAX + 8];

	snprintf(temporary, sizeof(temporary), "%s.new", to);
	for (;;) {
		unlink(temporary);
		if (link(a, temporary) != 0 || rename(temporary, to) != 0)
			_exit(1);
		unlink(temporary);
		if (link(b, temporary) != 0 || rename(temporary, to) != 0)
			_exit(1);
	}
}

/* Another file takes its name again and again: it is refused or not seen, and never executed. */
static void
sha256_is_of_what_is_executed(void **state)
{
	struct fixture *f = *state;
	char hex[2 * crypto_hash_sha256_BYTES + 1], temporary[PATH_MAX + 8];
	struct plugin *p = declare_script(f, "#!/bin/sh\necho right\n");
	pid_t flipper;
	int rights = 0;

	declare_script(f, "#!/bin/sh\necho wrong\n");
	declare_script(f, "#!/bin/sh\necho first\n");
	digest_of(f->path[0], hex);
	p->sha256 = hex;
	p->argv[0] = f->path[2];
	f->set.n = 1;
	load(f);
	flipper = fork();
	assert_true(flipper >= 0);
	if (flipper == 0)
		flip_for_ever(f->path[0], f->path[1], f->path[2]);
	for (int i = 0; i < FLIPS_RUNS; i++) {
		f->results[0].started = f->results[0].done = 0;
		buf_reset(&f->results[0].out);
		f->expected = 0;
		request(f, 0);
		loop_run(f->loop);
		assert_string_not_equal(output(f, 0), "wrong\n");
		rights += strcmp(output(f, 0), "right\n") == 0;
	}
	assert_int_equal(kill(flipper, SIGKILL), 0);
	assert_true(rights > 0);
	snprintf(temporary, sizeof(temporary), "%s.new", f->path[2]);
	unlink(temporary);
	f->set.n = 3;
	assert_nothing_left(f);
}

/* Odd with its output. */

static void
closes_its_output_early(void **state)
{
	struct fixture *f = *state;
	const struct child_event *end;

	declare_script(f, "#!/bin/sh\necho all\nexec >&- 2>&-\nsleep 0.2\nexit 3\n");
	end = run(f);
	assert_int_equal(end->outcome, CHILD_EXITED);
	assert_int_equal(end->exit_status, 3);
	assert_true(end->duration_ms >= 190);
	assert_string_equal(output(f, 0), "all\n");
}

static void
closes_its_output_and_hangs(void **state)
{
	struct fixture *f = *state;
	const struct child_event *end;

	declare_script(f, "#!/bin/sh\necho all\nexec >&- 2>&-\nexec sleep inf\n")->timeout_ms = 200;
	end = run(f);
	assert_int_equal(end->outcome, CHILD_TIMEOUT);
	assert_nothing_left(f);
}

/* Activity does not move the deadline. */
static void
trickle_ends_at_the_deadline(void **state)
{
	struct fixture *f = *state;
	const struct child_event *end;

	declare_script(f, "#!/bin/sh\nwhile :; do printf x; sleep 0.02; done\n")->timeout_ms = 300;
	end = run(f);
	assert_int_equal(end->outcome, CHILD_TIMEOUT);
	assert_true(f->results[0].out.len >= 1);
	assert_nothing_left(f);
}

/* What it sees. */

static void
descriptors(void **state)
{
	struct fixture *f = *state;
	int leak = open("/dev/null", O_RDONLY); /* on purpose without O_CLOEXEC */

	assert_true(leak >= 0);
	declare(f, "ls", "/proc/self/fd");
	declare_script(f, "#!/bin/sh\nreadlink /proc/self/fd/0\ncat\n");
	run(f);
	close(leak);
	assert_string_equal(output(f, 0), "0\n1\n2\n3\n"); /* 3 is how ls reads the directory */
	assert_string_equal(output(f, 1), "/dev/null\n");
}

static void
the_environment(void **state)
{
	struct fixture *f = *state;
	char *extra[] = {(char *)"COLOR=blue", (char *)"LANG=de_DE.UTF-8", NULL};

	assert_int_equal(setenv("VOGELER_QHOST", "amqp://u:secret@h/", 1), 0);
	declare(f, "/usr/bin/env", NULL);
	declare(f, "/usr/bin/env", NULL)->env = extra;
	run(f);
	assert_int_equal(unsetenv("VOGELER_QHOST"), 0);
	assert_null(strstr(output(f, 0), "secret"));
	assert_non_null(strstr(output(f, 0), "PATH=/usr/local/sbin:"));
	assert_non_null(strstr(output(f, 0), "LANG=C.UTF-8\n"));
	assert_non_null(strstr(output(f, 0), "HOME=/"));
	assert_non_null(strstr(output(f, 1), "COLOR=blue\n"));
	assert_non_null(strstr(output(f, 1), "LANG=de_DE.UTF-8\n"));
	assert_null(strstr(output(f, 1), "LANG=C.UTF-8\n"));
}

/* Signals at their defaults and unblocked, a session of its own, cwd, umask, no core files. */
static void
surroundings(void **state)
{
	struct fixture *f = *state;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	assert_int_equal(sigprocmask(SIG_BLOCK, &set, NULL), 0);
	declare_script(f,
	    "#!/bin/sh\ngrep -E '^Sig(Blk|Ign):' /proc/self/status\npwd\numask\nulimit -c\n"
	    "[ $(ps -o sid= -p $$) = $$ ] && [ $(ps -o pgid= -p $$) = $$ ] && echo leader\n");
	run(f);
	assert_int_equal(sigprocmask(SIG_UNBLOCK, &set, NULL), 0);
	assert_string_equal(output(f, 0),
	    "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n/\n0022\n0\nleader\n");
}

static void
another_user(void **state)
{
	struct fixture *f = *state;

	if (geteuid() == 0)
		assert_int_equal(chmod(f->dir, 0755), 0);
	declare_script(
	    f, "#!/bin/sh\nid -un; id -Gn; echo $HOME; grep NoNewPrivs /proc/self/status\n")
	    ->user = (char *)"daemon";
	run(f);
	if (geteuid() == 0)
		assert_string_equal(output(f, 0), "daemon\ndaemon\n/usr/sbin\nNoNewPrivs:\t1\n");
	else
		assert_not_started(&f->results[0].end, EPERM, "only root");
}

/* Whoever is not there any more, or a zombie that somebody else is to reap. */
static bool
is_gone(pid_t pid)
{
	char path[64], text[512] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (f == NULL)
		return true;
	if (fgets(text, sizeof(text), f) == NULL)
		text[0] = '\0';
	fclose(f);
	return strstr(text, ") Z ") != NULL;
}

/* The plugin and what it started die with a killed agent. The agent here is a process that runs
 * one plugin, which tells its pid and that of a daemon through a pipe to us and hangs. */
static void
dies_with_the_agent(void **state)
{
	struct fixture *f = *state;
	char path[PATH_MAX + 16], script[2 * PATH_MAX + 200];
	int status, plugin, daemon;
	pid_t agent;
	FILE *pids;

	snprintf(path, sizeof(path), "%s/fifo", f->dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	snprintf(script, sizeof(script),
	    "#!/bin/sh\nme=$$\nsetsid sh -c 'echo '$me' $$ >%s; exec sleep inf >/dev/null 2>&1' &\n"
	    "exec sleep inf\n",
	    path);
	declare_script(f, script);
	agent = fork();
	assert_true(agent >= 0);
	if (agent == 0) {
		struct loop *loop = loop_create();
		struct child_defaults defaults = {.timeout_ms = 60000, .max_output = 1000};
		struct child_request req = {.op = CHILD_OP_RUN, .id = 0, .plugin = "p0"};
		struct children *c = children_create(loop, on_event, f);

		children_set_plugins(c, &f->set, &defaults);
		children_request(c, &req);
		loop_run(loop);
		_exit(1);
	}
	pids = fopen(path, "re");
	assert_non_null(pids);
	assert_int_equal(fscanf(pids, "%d %d", &plugin, &daemon), 2);
	fclose(pids);
	assert_false(is_gone(plugin));
	assert_int_equal(kill(agent, SIGKILL), 0);
	assert_int_equal(waitpid(agent, &status, 0), agent);
	/* Its keeper is now an orphan of ours, as this test's own fixture made us a subreaper. */
	assert_true(waitpid(-1, &status, 0) > 0);
	assert_int_equal(status, 0);
	assert_true(is_gone(plugin));
	assert_true(is_gone(daemon));
	unlink(path);
}

/* E: orphans, of ours and of others. */

static void
orphans_are_reaped_while_the_plugin_runs(void **state)
{
	struct fixture *f = *state;

	declare_script(f, "#!/bin/sh\nfor i in $(seq 300); do (true &); done\n"
			  "while ps -o stat= -s $$ | grep -q Z; do sleep 0.05; done\necho none\n");
	run(f);
	assert_string_equal(output(f, 0), "none\n");
	assert_nothing_left(f);
}

/* A child from before our exec, and what it leaves behind: an agent that is process 1 of a
 * container is given such, too. */
static void
what_no_plugin_started_is_left_alone(void **state)
{
	struct fixture *f = *state;
	int fds[2];
	pid_t child, orphan = 0;

	assert_int_equal(pipe(fds), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		pid_t grandchild = fork();

		if (grandchild == 0) {
			setsid();
			for (;;)
				pause();
		}
		_exit(write(fds[1], &grandchild, sizeof(grandchild)) < 0);
	}
	assert_int_equal(read(fds[0], &orphan, sizeof(orphan)), sizeof(orphan));
	close(fds[0]);
	close(fds[1]);
	declare_script(f, "#!/bin/sh\n(setsid sleep inf &)\necho up\n");
	run(f);
	assert_string_equal(output(f, 0), "up\n");
	assert_false(is_gone(orphan));
	assert_int_equal(kill(orphan, SIGKILL), 0);
	assert_nothing_left(f);
}

static void
kill_only_child(void *arg)
{
	pid_t pid;

	assert_int_equal(reaper_list_children(getpid(), &pid, 1), 1);
	assert_int_equal(kill(pid, SIGKILL), 0);
}

static void
a_killed_keeper_takes_the_session_with_it(void **state)
{
	struct fixture *f = *state;
	struct loop_timer *timer = loop_timer_create(f->loop, "kill", kill_only_child, f);
	const struct child_event *end;

	declare_script(f, "#!/bin/sh\nsleep inf &\nexec sleep inf\n");
	loop_timer_arm(timer, 300);
	end = run(f);
	assert_string_equal(child_outcome_name(end->outcome), "signaled");
	assert_int_equal(end->signal, SIGKILL);
	assert_nothing_left(f);
	loop_timer_destroy(timer);
}

/* KILL requests. */

static void
stop_while_running(void **state)
{
	struct fixture *f = *state;
	const struct child_event *end;

	f->stop_at = "ready";
	declare_script(f, "#!/bin/sh\necho ready\nexec sleep inf\n");
	end = run(f);
	assert_string_equal(child_outcome_name(end->outcome), "stopped");
	assert_int_equal(end->signal, SIGTERM);
	assert_nothing_left(f);
}

static void
count_done(const struct child_event *ev, void *arg)
{
	unsigned int *done = arg;

	assert_int_equal(ev->kind, CHILD_DONE); /* all were stopped before they began */
	done[ev->outcome]++;
	if (ev->outcome == CHILD_NOT_STARTED) {
		assert_int_equal(ev->id, CHILD_RUNS_MAX);
		assert_int_equal(ev->error, EAGAIN);
		assert_memory_equal(ev->data, "too many plugins run already", ev->length);
	}
}

static void
stop_loop(void *arg)
{
	loop_stop(arg);
}

static void
too_many_and_twice(void **state)
{
	struct fixture *f = *state;
	unsigned int done[CHILD_N_OUTCOMES] = {0};
	struct children *c = children_create(f->loop, count_done, done);
	struct child_defaults defaults = {.timeout_ms = 60000, .max_output = 1000};
	struct child_request req = {.op = CHILD_OP_RUN, .plugin = "p0"};
	struct loop_timer *end = loop_timer_create(f->loop, "end", stop_loop, f->loop);

	declare(f, "/bin/true", NULL);
	children_set_plugins(c, &f->set, &defaults);
	for (req.id = 0; req.id <= CHILD_RUNS_MAX; req.id++)
		children_request(c, &req);
	req.id = 7;
	children_request(c, &req); /* it runs: ignored */
	assert_int_equal(children_running(c), CHILD_RUNS_MAX + 1);
	req.op = CHILD_OP_KILL;
	for (req.id = 0; req.id < CHILD_RUNS_MAX; req.id++)
		children_request(c, &req);
	loop_timer_arm(end, 0); /* behind those of the runs */
	while (children_running(c) > 0)
		loop_run(f->loop);
	assert_int_equal(done[CHILD_STOPPED], CHILD_RUNS_MAX);
	assert_int_equal(done[CHILD_NOT_STARTED], 1);
	loop_timer_destroy(end);
	children_destroy(c);
}

static void
stop_before_start_and_unknown(void **state)
{
	struct fixture *f = *state;
	struct child_request stop = {.op = CHILD_OP_KILL, .id = 0};

	declare_script(f, "#!/bin/sh\necho ran\n");
	load(f);
	children_request(f->children, &stop); /* there is none yet */
	request(f, 0);
	children_request(f->children, &stop);
	loop_run(f->loop);
	assert_int_equal(f->results[0].end.outcome, CHILD_STOPPED);
	assert_int_equal(f->results[0].started, 0);
	assert_string_equal(output(f, 0), "");
}

static void
reload_does_not_disturb_a_run(void **state)
{
	struct fixture *f = *state;
	struct plugin_set none = {0};
	struct child_defaults defaults = {.timeout_ms = 1, .max_output = 1};

	declare_script(f, "#!/bin/sh\nsleep 0.1\necho whole output\n");
	load(f);
	request(f, 0);
	children_set_plugins(f->children, &none, &defaults);
	loop_run(f->loop);
	assert_int_equal(f->results[0].end.outcome, CHILD_EXITED);
	assert_string_equal(output(f, 0), "whole output\n");
}

static void
destroy_kills(void **state)
{
	struct fixture *f = *state;
	pid_t pids[4];

	declare_script(f, "#!/bin/sh\necho up\nexec sleep inf\n");
	declare_script(f, "#!/bin/sh\nexit 0\n");
	load(f);
	request(f, 0);
	request(f, 1);
	f->expected--; /* the first never ends by itself */
	loop_run(f->loop);
	children_destroy(f->children);
	f->children = NULL;
	while (reaper_list_children(getpid(), pids, 4) > 0)
		assert_true(waitpid(pids[0], NULL, 0) > 0);
	assert_int_equal(f->results[0].done, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(output_and_exit_status),
	    TEST(found_in_path_with_words),
	    TEST(several_at_once_keep_apart),
	    TEST(success_is_what_the_plugin_says),
	    TEST(large_output_is_whole),
	    TEST(stderr_keeps_its_tail),
	    TEST(hang_ends_by_term_at_the_deadline),
	    TEST(hang_ignoring_term_is_killed),
	    TEST(exit_0_on_term_is_a_timeout),
	    TEST(flood_on_stdout_is_cut),
	    TEST(flood_on_stderr_is_cut),
	    TEST(flood_ignoring_signals_ends),
	    TEST(background_process_holds_the_pipe),
	    TEST(daemon_with_setsid),
	    TEST(double_fork_with_closed_pipes),
	    TEST(output_of_a_grandchild_counts),
	    TEST(orphans_of_others_live_on),
	    TEST(limits_are_set),
	    TEST(spin_ends),
	    TEST(large_file),
	    TEST(a_limit_of_processes),
	    TEST(memory),
	    TEST(exit_by_signal),
	    TEST(exit_1_empty_and_both),
	    TEST(exit_127_is_not_an_exec_error),
	    TEST(missing),
	    TEST(not_executable_and_directory),
	    TEST(interpreter),
	    TEST(unknown_plugin_and_user),
	    TEST(out_of_descriptors),
	    TEST(a_checksum),
	    TEST(sha256_of_a_program),
	    TEST(sha256_is_of_what_is_executed),
	    TEST(closes_its_output_early),
	    TEST(closes_its_output_and_hangs),
	    TEST(trickle_ends_at_the_deadline),
	    TEST(descriptors),
	    TEST(the_environment),
	    TEST(surroundings),
	    TEST(another_user),
	    TEST(dies_with_the_agent),
	    TEST(orphans_are_reaped_while_the_plugin_runs),
	    TEST(what_no_plugin_started_is_left_alone),
	    TEST(a_killed_keeper_takes_the_session_with_it),
	    TEST(stop_while_running),
	    TEST(too_many_and_twice),
	    TEST(stop_before_start_and_unknown),
	    TEST(reload_does_not_disturb_a_run),
	    TEST(destroy_kills),
	};

	return cmocka_run_group_tests_name("child", tests, NULL, NULL);
}
