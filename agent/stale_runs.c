/* SPDX-License-Identifier: Apache-2.0 */
/* See stale_runs.h. The file is
 *
 *   vogeler-running 1 BOOT-ID MARK START
 *   PID START
 *   ...
 *
 * START being that of proc(5), in the first line the agent's own. It means nothing after a reboot,
 * so it need not be on disk and is not synced. */
#include "agent/stale_runs.h"

#include "agent/sequence.h"
#include "agent/statedir.h"
#include "shared/base/buf.h"
#include "shared/base/errtext.h"
#include "shared/base/ident.h"
#include "shared/base/log.h"
#include "shared/base/mono.h"
#include "shared/base/trouble.h"
#include "shared/base/xalloc.h"
#include "shared/exec/proc.h"
#include "shared/exec/reaper.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#define MARK_SIZE 33 /* 32 hexadecimal digits and NUL */
#define BOOT_SIZE 65
#define FILE_MAX  65536
#define WORDS     "vogeler-running 1 "
#define AT_ONCE   256 /* processes that are waited for together: each needs a descriptor */
#define N_NAMED   5
#define NAME_SIZE 40

struct known { /* one process, and no later one of this number */
	uint64_t started;
	pid_t pid;
	bool told; /* of a hunt: it was sent a signal */
};

struct stale_runs {
	char *path, *temporary;
	char boot[BOOT_SIZE];
	char assignment[sizeof(STALE_RUNS_VARIABLE) + MARK_SIZE];
	uint64_t started;
	struct known noted[STALE_RUNS_PIDS_MAX];
	size_t n_noted;
	bool failing;
};

/* --- what an agent before this one left --- */

struct hunt {
	char assignment[sizeof(STALE_RUNS_VARIABLE) + MARK_SIZE];
	uint64_t started; /* what is older than that agent is not its plugins' */
	struct known *known;
	size_t n_known;
	size_t n_told;
	char named[N_NAMED * NAME_SIZE]; /* the first of those */
};

static struct known *
hunt_add(struct hunt *h, pid_t pid, uint64_t started)
{
	struct known *k;

	h->known = xreallocarray(h->known, h->n_known + 1, sizeof(*h->known));
	k = &h->known[h->n_known++];
	*k = (struct known){.started = started, .pid = pid};
	return k;
}

static struct known *
hunt_known(const struct hunt *h, const struct proc *p)
{
	for (size_t i = 0; i < h->n_known; i++) {
		if (h->known[i].pid == p->pid && h->known[i].started == p->started)
			return &h->known[i];
	}
	return NULL;
}

/* false: there is nothing to look for, and nothing in h. */
static bool
hunt_read(struct hunt *h, const struct stale_runs *r)
{
	char boot[BOOT_SIZE], mark[MARK_SIZE];
	const char *line;
	struct buf text;
	uint64_t started;
	int error, pid;
	bool ok;

	buf_init(&text, FILE_MAX);
	ok = buf_read_file(&text, r->path, &error) && text.len > 0 &&
	     sscanf(text.data, WORDS "%64s %32s %" SCNu64, boot, mark, &h->started) == 3 &&
	     strcmp(boot, r->boot) == 0;
	if (ok)
		snprintf(h->assignment, sizeof(h->assignment), "%s=%s", STALE_RUNS_VARIABLE, mark);
	line = ok ? strchr(text.data, '\n') : NULL;
	while (line != NULL && sscanf(line + 1, "%d %" SCNu64, &pid, &started) == 2) {
		hunt_add(h, pid, started);
		line = strchr(line + 1, '\n');
	}
	buf_finish(&text);
	return ok;
}

/* Whoever started this agent is not to be ended by it, were it a plugin of the last one. */
static void
spare_ancestors(const struct proc *all, size_t n, bool *passed)
{
	pid_t pid = getpid();
	size_t i = 0;

	while (i < n) {
		if (all[i].pid != pid || passed[i]) {
			i++;
			continue;
		}
		passed[i] = true;
		pid = all[i].parent;
		i = 0;
	}
}

/* Says whether a process of a plugin has started it, or it is in its session: the plugin, or what
 * it started, began that, and its number is not given away while anything is in it. */
static bool
belongs_to(const struct proc *p, const struct proc *found, pid_t own_session)
{
	return p->parent == found->pid ||
	       (p->session == found->session && p->session != 0 && p->session != own_session);
}

/* Puts what is alive of it first in *list, which the caller frees: returns how many. */
static size_t
hunt_find(const struct hunt *h, struct proc **list)
{
	struct proc *all;
	size_t n = proc_list(&all), n_found = 0, n_alive = 0;
	bool *passed = xcalloc(n + 1, sizeof(*passed));
	struct proc *found = xcalloc(n + 1, sizeof(*found));
	pid_t own_session = getsid(0);

	spare_ancestors(all, n, passed);
	for (size_t i = 0; i < n; i++) {
		if (passed[i] || all[i].started < h->started ||
		    !(hunt_known(h, &all[i]) != NULL || proc_has_env(all[i].pid, h->assignment)))
			continue;
		passed[i] = true;
		found[n_found++] = all[i];
	}
	for (size_t at = 0; at < n_found; at++) {
		for (size_t i = 0; i < n; i++) {
			if (passed[i] || !belongs_to(&all[i], &found[at], own_session))
				continue;
			passed[i] = true;
			found[n_found++] = all[i];
		}
	}
	/* The dead count as links, till somebody reaps them; there is nothing to end of them. */
	for (size_t i = 0; i < n_found; i++) {
		if (!found[i].zombie)
			found[n_alive++] = found[i];
	}
	free(passed);
	free(all);
	*list = found;
	return n_alive;
}

/* Its number may have been given away since it was found: what we hold is looked at once more.
 * -1: it is gone. */
static int
hold(const struct proc *p)
{
	struct proc now;
	int pidfd = pidfd_open(p->pid, 0);

	if (pidfd >= 0 && (!proc_read(p->pid, &now) || now.started != p->started)) {
		close(pidfd);
		return -1;
	}
	return pidfd;
}

/* Keeps it known, so that its children and its session are found when it is gone. */
static void
remember(struct hunt *h, const struct proc *p)
{
	size_t len = strlen(h->named);
	struct known *k = hunt_known(h, p);

	if (k == NULL)
		k = hunt_add(h, p->pid, p->started);
	if (k->told)
		return;
	k->told = true;
	h->n_told++;
	if (h->n_told <= N_NAMED)
		snprintf(h->named + len, sizeof(h->named) - len, "%s%d (%s)", len > 0 ? ", " : "",
		    (int)p->pid, p->name);
}

static void
wait_for(struct pollfd *held, size_t n, int64_t patience_ms)
{
	struct mono until = mono_add(mono_now(), patience_ms);

	for (size_t i = 0; i < n; i++) {
		int64_t left = mono_diff(until, mono_now());

		while (left > 0 && poll(&held[i], 1, (int)left) < 0 && errno == EINTR)
			left = mono_diff(until, mono_now());
	}
}

/* Sends it to all that is found, and waits until they are gone. Returns how many there were that
 * could be sent it. */
static size_t
hunt_round(struct hunt *h, int signo, int64_t patience_ms)
{
	struct pollfd held[AT_ONCE];
	struct proc *list;
	size_t n = hunt_find(h, &list), n_held = 0;

	for (size_t i = 0; i < n && n_held < AT_ONCE; i++) {
		int pidfd = hold(&list[i]);

		if (pidfd < 0)
			continue;
		remember(h, &list[i]);
		if (pidfd_send_signal(pidfd, signo, NULL, 0) == 0)
			held[n_held++] = (struct pollfd){.fd = pidfd, .events = POLLIN};
		else
			close(pidfd);
	}
	wait_for(held, n_held, patience_ms);
	for (size_t i = 0; i < n_held; i++)
		close(held[i].fd);
	free(list);
	return n_held;
}

static void
tell_end(const struct hunt *h)
{
	struct proc *left;
	size_t n = hunt_find(h, &left);

	if (n > 0)
		log_error("agent",
		    "cannot end all that plugins of an agent before this one, which was killed, left "
		    "running, and what they do goes on beside the commands that run now: "
		    "processes=%zu, left=%zu, pid %d (%s) for one" TROUBLE_CURE "end them as root",
		    h->n_told, n, (int)left[0].pid, left[0].name);
	else if (h->n_told > 0)
		log_warn("agent",
		    "ended what plugins of an agent before this one, which was killed, left running: "
		    "processes=%zu, pid %s%s",
		    h->n_told, h->named, h->n_told > N_NAMED ? ", ..." : "");
	free(left);
}

/* Sends SIGKILL, until nothing is left, to what ignores SIGTERM, and to what was started or not
 * seen meanwhile (a process that executes something has no environment for a moment). */
static void
end_remains(const struct stale_runs *r)
{
	struct hunt h = {.known = NULL};
	struct mono until = mono_add(mono_now(), STALE_RUNS_TERM_MS + STALE_RUNS_KILL_MS);

	if (!hunt_read(&h, r))
		return;
	(void)hunt_round(&h, SIGTERM, STALE_RUNS_TERM_MS);
	while (hunt_round(&h, SIGKILL, mono_diff(until, mono_now())) > 0 &&
	       !mono_reached(mono_now(), until))
		continue;
	tell_end(&h);
	free(h.known);
}

/* --- what this one starts --- */

static void
write_file(struct stale_runs *r)
{
	int fd = open(r->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
	bool ok = f != NULL;

	if (ok) {
		fprintf(f, WORDS "%s %s %" PRIu64 "\n", r->boot,
		    r->assignment + sizeof(STALE_RUNS_VARIABLE), r->started);
		for (size_t i = 0; i < r->n_noted; i++)
			fprintf(f, "%d %" PRIu64 "\n", (int)r->noted[i].pid, r->noted[i].started);
		ok = fflush(f) == 0;
		ok = fclose(f) == 0 && ok && rename(r->temporary, r->path) == 0;
	}
	if (!ok && !r->failing)
		log_warn("agent",
		    "cannot write %s: %s; should this agent and its plugin-keeper be killed, what "
		    "a plugin left running may not be found" TROUBLE_CURE "%s",
		    r->path, errtext_errno(errno), statedir_cure(errno));
	r->failing = !ok;
}

struct stale_runs *
stale_runs_open(const char *state_dir)
{
	struct stale_runs *r = xcalloc(1, sizeof(*r));
	char *boot = sequence_read_id("/proc/sys/kernel/random/boot_id");
	struct proc self;

	xasprintf(&r->path, "%s/%s", state_dir, STALE_RUNS_FILE);
	xasprintf(&r->temporary, "%s.new", r->path);
	snprintf(r->boot, sizeof(r->boot), "%s", boot != NULL ? boot : "-");
	free(boot);
	end_remains(r);
	snprintf(r->assignment, sizeof(r->assignment), "%s=%08x%08x%08x%08x", STALE_RUNS_VARIABLE,
	    ident_random32(), ident_random32(), ident_random32(), ident_random32());
	if (proc_read(getpid(), &self))
		r->started = self.started;
	write_file(r);
	return r;
}

const char *
stale_runs_mark(const struct stale_runs *r)
{
	return r->assignment;
}

/* pids[0..n) and what is below them, each before its children. */
static size_t
list_below(pid_t *pids, size_t n, size_t max)
{
	for (size_t at = 0; at < n && n < max; at++)
		n += reaper_list_children(pids[at], pids + n, max - n);
	return n;
}

static bool
is_noted(const struct stale_runs *r, const struct known *list, size_t n)
{
	for (size_t i = 0; i < n && n == r->n_noted; i++) {
		if (list[i].pid != r->noted[i].pid || list[i].started != r->noted[i].started)
			return false;
	}
	return n == r->n_noted;
}

void
stale_runs_note(struct stale_runs *r, const pid_t *keepers, size_t n)
{
	struct known noted[STALE_RUNS_PIDS_MAX];
	pid_t pids[STALE_RUNS_PIDS_MAX];
	struct proc p;
	size_t n_noted = 0;

	n = n < STALE_RUNS_PIDS_MAX ? n : STALE_RUNS_PIDS_MAX;
	memcpy(pids, keepers, n * sizeof(*pids));
	n = list_below(pids, n, STALE_RUNS_PIDS_MAX);
	for (size_t i = 0; i < n; i++) {
		if (proc_read(pids[i], &p))
			noted[n_noted++] = (struct known){.pid = p.pid, .started = p.started};
	}
	if (is_noted(r, noted, n_noted))
		return;
	memcpy(r->noted, noted, n_noted * sizeof(*noted));
	r->n_noted = n_noted;
	write_file(r);
}

void
stale_runs_close(struct stale_runs *r, bool something_left)
{
	if (r == NULL)
		return;
	if (!something_left)
		(void)unlink(r->path);
	free(r->path);
	free(r->temporary);
	free(r);
}
