/* SPDX-License-Identifier: Apache-2.0 */
/* See subreaper.h. */
#include "shared/exec/subreaper.h"

#include "shared/exec/reaper.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define N_KEPT   3
#define ROUND_MS 10 /* between two looks for what is to be killed */

/* What follows, to subreaper_run, runs in the keeper: it makes async-signal-safe calls only. */

struct watch {
	const struct subreaper *k;
	int signals; /* of children */
	pid_t plugin;
	bool told;   /* that it exited; it stays a zombie, so its number is not given away */
	bool reaped; /* now it may be */
};

/* The agent's lock, sockets and files would live on in here. */
static void
close_others(const struct subreaper *k)
{
	int keep[N_KEPT + 1] = {k->kept[0], k->kept[1], k->kept[2], k->control};
	unsigned int from = STDERR_FILENO + 1;
	int null = open("/dev/null", O_RDWR);

	for (int fd = STDIN_FILENO; null >= 0 && fd <= STDERR_FILENO; fd++)
		(void)dup2(null, fd);
	for (size_t i = 0; i <= N_KEPT; i++) {
		for (size_t j = i + 1; j <= N_KEPT; j++) {
			int swap = keep[i];

			if (keep[j] >= swap)
				continue;
			keep[i] = keep[j];
			keep[j] = swap;
		}
		if ((unsigned int)keep[i] > from)
			(void)close_range(from, (unsigned int)keep[i] - 1, 0);
		from = (unsigned int)keep[i] + 1;
	}
	(void)close_range(from, ~0U, 0);
}

static void
report(const struct watch *w, const struct subreaper_report *r)
{
	/* The agent reads two of these for each run: there is room. */
	(void)send(w->k->control, r, sizeof(*r), MSG_NOSIGNAL);
}

static void
tell_started(const struct watch *w)
{
	struct subreaper_report r;

	memset(&r, 0, sizeof(r));
	r.news = SUBREAPER_STARTED;
	r.pid = w->plugin;
	report(w, &r);
}

static void
tell_exited(struct watch *w)
{
	struct subreaper_report r;

	memset(&r, 0, sizeof(r));
	r.news = SUBREAPER_EXITED;
	r.pid = w->plugin;
	/* The system call itself, as waitid(3) leaves out what was used. */
	if (syscall(SYS_waitid, P_PID, w->plugin, &r.end, WEXITED | WNOHANG | WNOWAIT, &r.used) !=
		0 ||
	    r.end.si_pid == 0)
		return;
	w->told = true;
	report(w, &r);
}

/* Orphans are reaped as they end. The plugin is not: while it is dead and unreaped those behind it
 * cannot be seen, but then the run has a second at most. */
static void
reap(struct watch *w)
{
	siginfo_t end;

	for (;;) {
		end.si_pid = 0;
		if (waitid(P_ALL, 0, &end, WEXITED | WNOHANG | WNOWAIT) != 0 || end.si_pid == 0)
			return;
		if (end.si_pid == w->plugin) {
			if (!w->told)
				tell_exited(w);
			return;
		}
		(void)waitpid(end.si_pid, NULL, WNOHANG);
	}
}

static void
kill_children(const struct watch *w)
{
	pid_t pids[REAPER_PIDS];
	size_t n;

	/* The whole group at once: what forks faster than it is listed is not ended otherwise. */
	if (!w->reaped) {
		(void)kill(-w->plugin, SIGKILL);
		(void)kill(w->plugin, SIGKILL); /* before its setsid() it has no group */
	}
	n = reaper_read_children("/proc/thread-self/children", pids, REAPER_PIDS);
	for (size_t i = 0; i < n; i++)
		(void)kill(pids[i], SIGKILL);
}

/* false: there is no child left. */
static bool
reap_all(struct watch *w)
{
	pid_t pid;

	do {
		pid = waitpid(-1, NULL, WNOHANG);
		if (pid == w->plugin)
			w->reaped = true;
	} while (pid > 0);
	return pid == 0 || errno != ECHILD;
}

static void
drain_signals(const struct watch *w, int timeout_ms)
{
	struct signalfd_siginfo si;
	struct pollfd p = {.fd = w->signals, .events = POLLIN};

	if (poll(&p, 1, timeout_ms) <= 0)
		return;
	while (read(w->signals, &si, sizeof(si)) > 0)
		continue;
}

static int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void end(struct watch *w) __attribute__((noreturn));

/* The death of one process hands us its children. */
static void
end(struct watch *w)
{
	int64_t until = now_ms() + SUBREAPER_END_MS;

	do {
		kill_children(w);
		if (!reap_all(w))
			_exit(0);
		drain_signals(w, ROUND_MS);
	} while (now_ms() < until);
	_exit(1);
}

static void
obey(struct watch *w)
{
	char order;
	ssize_t n = recv(w->k->control, &order, sizeof(order), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		end(w);
	if (order == SUBREAPER_TERM)
		(void)kill(-w->plugin, SIGTERM);
	else if (order == SUBREAPER_KILL)
		kill_children(w);
}

static void watch(struct watch *w) __attribute__((noreturn));

static void
watch(struct watch *w)
{
	struct pollfd p[2] = {
	    {.fd = w->signals, .events = POLLIN},
	    {.fd = w->k->control, .events = POLLIN},
	};

	for (;;) {
		reap(w);
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			end(w);
		if (p[0].revents != 0)
			drain_signals(w, 0);
		if (p[1].revents != 0)
			obey(w);
	}
}

void
subreaper_run(const struct subreaper *k)
{
	struct watch w = {.k = k};
	sigset_t children;

	/* Neither a terminal's signals nor what is sent to the agent by its name are for us. */
	(void)setsid();
	(void)prctl(PR_SET_NAME, "plugin-keeper", 0, 0, 0);
	close_others(k);
	sigemptyset(&children);
	sigaddset(&children, SIGCHLD);
	w.signals = signalfd(-1, &children, SFD_NONBLOCK | SFD_CLOEXEC);
	if (w.signals < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) {
		k->failed(errno, k->arg);
		_exit(1);
	}
	w.plugin = _Fork();
	if (w.plugin == 0)
		k->start(k->arg);
	if (w.plugin < 0) {
		k->failed(errno, k->arg);
		_exit(1);
	}
	for (size_t i = 0; i < N_KEPT; i++)
		close(k->kept[i]); /* their end is the plugin's end */
	tell_started(&w);
	watch(&w);
}

/* What follows runs in the agent again. */

void
subreaper_tell(int control, enum subreaper_order order)
{
	char byte = (char)order;

	(void)send(control, &byte, sizeof(byte), MSG_NOSIGNAL | MSG_DONTWAIT);
}

bool
subreaper_hear(int control, struct subreaper_report *r, bool *gone)
{
	ssize_t n = recv(control, r, sizeof(*r), MSG_DONTWAIT);

	*gone = n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
	return n == (ssize_t)sizeof(*r);
}
