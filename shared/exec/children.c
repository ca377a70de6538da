/* SPDX-License-Identifier: Apache-2.0 */
/* See children.h. The life of a run:
 *
 *             started            deadline, STOP, OVERFLOW          2 s
 *   STARTING ---------> RUNNING -------------------------> TERMINATING ----> KILLED
 *      |                   |                                   |               |
 *      | cannot            +--------------- EXIT --------------+---------------+
 *      |                                      |                                | 5 s, still there
 *      |                                      v                                |
 *      |                                  DRAINING                             |
 *      |                                      | both pipes at their end, or 1 s|
 *      |                                      v                                |
 *      |                                   ENDING: all that it left is killed  |
 *      |                                      | its keeper is gone, or 5 s     |
 *      |                                      v                                |
 *      +-----------------------------------> DONE <----------------------------+
 *
 * What is signalled is signalled by the keeper (subreaper.h), whose children the plugin and its
 * orphans are; to the agent they are strangers. */
#include "shared/exec/children.h"

#include "shared/base/log.h"
#include "shared/base/xalloc.h"
#include "shared/config/plugin.h"
#include "shared/event/loop.h"
#include "shared/exec/limits.h"
#include "shared/exec/proc.h"
#include "shared/exec/reaper.h"
#include "shared/exec/spawn.h"
#include "shared/exec/subreaper.h"
#include <assert.h>
#include <bsd/string.h>
#include <bsd/sys/queue.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uthash.h>

#define READS_PER_PASS 8 /* of CHILDMSG_DATA: 64 KiB, so that a flood starves nobody */
#define SWEEP_FIRST_MS 10
#define SWEEP_MAX_MS   1000
#define REAPS_PER_PASS 1000

_Static_assert(
    CHILD_STDERR_TAIL + LIMITS_TEXT_SIZE + 2 <= CHILDMSG_DATA, "the tail travels in one message");
_Static_assert(SPAWN_ERROR_SIZE <= CHILDMSG_DATA, "the reason travels in one message");

enum run_state {
	RUN_STARTING,
	RUN_RUNNING,
	RUN_TERMINATING,
	RUN_KILLED,
	RUN_DRAINING,
	RUN_ENDING,
	RUN_DONE,
};

enum run_event {
	RUN_EV_TIMER, /* of the state it is in */
	RUN_EV_EXIT,
	RUN_EV_EOF,  /* on one of the pipes */
	RUN_EV_GONE, /* its keeper, and with it all that it kept */
	RUN_EV_STOP,
	RUN_EV_OVERFLOW,
};

/* A plugin as it was loaded, shared by the set in force and by the runs made from it. */
struct spec {
	UT_hash_handle hh;
	unsigned int refs;
	char *name;
	struct spawn *launch;
	struct limits limits;
	uint32_t timeout_ms;
	uint64_t max_output;
	bool success[256];
};

struct stream_end {
	struct run *run;
	int fd; /* -1: at its end, or closed by us */
	struct loop_watch *watch;
	uint64_t bytes;
};

struct run {
	TAILQ_ENTRY(run) entry;
	struct children *children;
	uint64_t id;
	struct spec *spec;
	enum run_state state;
	struct loop_timer *timer;
	struct mono started, exited;
	pid_t keeper; /* 0 = none */
	pid_t pid;    /* of the plugin; 0 = not known yet */
	int pidfd, control, status_fd;
	struct loop_watch *news_watch, *gone_watch;
	struct stream_end out, err;
	siginfo_t exit;           /* si_pid 0 until the plugin has exited */
	struct rusage used;       /* by then */
	enum child_outcome cause; /* why we ended it; CHILD_EXITED = we did not */
	int start_error;
	char start_text[SPAWN_ERROR_SIZE];
	char tail[CHILD_STDERR_TAIL];
	size_t tail_len;
};

struct children {
	struct loop *loop;
	child_event_fn *on_event;
	void *arg;
	struct spec *specs;
	TAILQ_HEAD(, run) runs;
	size_t n_runs;
	struct loop_timer *sweep_timer; /* armed only while something killed is not gone yet */
	int64_t sweep_ms;
	pid_t sweep_session;
	struct run_tracker tracker; /* note = NULL: nothing is written down */
	struct loop_timer *note_timer;
	bool note_soon; /* it is armed for what was started last */
};

static void run_step(struct run *r, enum run_event ev);
static void run_enter(struct run *r, enum run_state next, const char *reason);

const char *
child_outcome_name(enum child_outcome outcome)
{
	switch (outcome) {
	case CHILD_NOT_STARTED:
		return "not started";
	case CHILD_STOPPED:
		return "stopped";
	case CHILD_TIMEOUT:
		return "timeout";
	case CHILD_OVERFLOW:
		return "overflow";
	case CHILD_SIGNALED:
		return "signaled";
	case CHILD_EXITED:
		return "exited";
	}
	return "?";
}

static const char *
run_state_name(enum run_state state)
{
	switch (state) {
	case RUN_STARTING:
		return "STARTING";
	case RUN_RUNNING:
		return "RUNNING";
	case RUN_TERMINATING:
		return "TERMINATING";
	case RUN_KILLED:
		return "KILLED";
	case RUN_DRAINING:
		return "DRAINING";
	case RUN_ENDING:
		return "ENDING";
	case RUN_DONE:
		return "DONE";
	}
	return "?";
}

static void
spec_unref(struct spec *spec)
{
	assert(spec->refs > 0);
	if (--spec->refs > 0)
		return;
	spawn_destroy(spec->launch);
	free(spec->name);
	free(spec);
}

/* Orphans. */

static const struct run *
find_keeper(const struct children *c, pid_t pid)
{
	const struct run *r;

	TAILQ_FOREACH (r, &c->runs, entry) {
		if (r->keeper == pid)
			return r;
	}
	return NULL;
}

/* Children that nobody waits for: those of a keeper that was killed; and as process 1 of a
 * container we are given what others started there. They are left alone while they live. */
static void
reap(struct children *c)
{
	siginfo_t end;

	for (int i = 0; i < REAPS_PER_PASS; i++) {
		end.si_pid = 0;
		if (waitid(P_ALL, 0, &end, WEXITED | WNOHANG | WNOWAIT) != 0 || end.si_pid == 0)
			return;
		if (find_keeper(c, end.si_pid) != NULL)
			return; /* its run takes it, and comes back here */
		(void)waitpid(end.si_pid, NULL, WNOHANG);
	}
}

static void
on_sigchld(int signo, void *arg)
{
	reap(arg);
}

/* Keepers have no mark: a plugin's environment is that of its program. */
static bool
is_plugins(const struct children *c, pid_t pid, pid_t session)
{
	return getsid(pid) == session ||
	       (c->tracker.mark != NULL && proc_has_env(pid, c->tracker.mark));
}

/* Somebody killed its keeper: what the plugin started came to us. Comes back by timer until
 * everything it killed is gone, since the death of one process may hand us its children. */
static void
sweep(struct children *c, pid_t session)
{
	pid_t pids[REAPER_PIDS];
	size_t n = reaper_list_children(getpid(), pids, REAPER_PIDS);
	bool again = false;

	for (size_t i = 0; i < n; i++) {
		if (!is_plugins(c, pids[i], session))
			continue;
		log_debug("child", "killing pid %d, left behind by a plugin", (int)pids[i]);
		again = true;
		(void)reaper_kill(pids[i]);
	}
	if (!again) {
		c->sweep_ms = SWEEP_FIRST_MS;
		return;
	}
	c->sweep_session = session;
	loop_timer_arm(c->sweep_timer, c->sweep_ms);
	c->sweep_ms = c->sweep_ms * 2 < SWEEP_MAX_MS ? c->sweep_ms * 2 : SWEEP_MAX_MS;
}

static void
sweep_on_timer(void *arg)
{
	struct children *c = arg;

	sweep(c, c->sweep_session);
}

static void
note_on_timer(void *arg)
{
	struct children *c = arg;
	pid_t keepers[CHILD_RUNS_MAX];
	const struct run *r;
	size_t n = 0;

	c->note_soon = false;
	TAILQ_FOREACH (r, &c->runs, entry) {
		if (r->keeper != 0 && n < CHILD_RUNS_MAX)
			keepers[n++] = r->keeper;
	}
	if (n == 0)
		return; /* what is written down is gone, or still ending */
	c->tracker.note(keepers, n, c->tracker.arg);
	loop_timer_arm(c->note_timer, CHILD_NOTE_AGAIN_MS);
}

static void
note_soon(struct children *c)
{
	if (c->tracker.note == NULL || c->note_soon)
		return;
	c->note_soon = true;
	loop_timer_arm(c->note_timer, CHILD_NOTE_MS);
}

/* Output. */

static void
stream_end_close(struct stream_end *s)
{
	loop_watch_destroy(s->watch);
	s->watch = NULL;
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

static bool
at_end(const struct run *r)
{
	return r->out.fd < 0 && r->err.fd < 0;
}

static void
tail_append(struct run *r, const char *data, size_t len)
{
	size_t room = sizeof(r->tail);

	if (len >= room) {
		memcpy(r->tail, data + len - room, room);
		r->tail_len = room;
		return;
	}
	if (r->tail_len + len > room) {
		size_t drop = r->tail_len + len - room;

		memmove(r->tail, r->tail + drop, r->tail_len - drop);
		r->tail_len -= drop;
	}
	memcpy(r->tail + r->tail_len, data, len);
	r->tail_len += len;
}

/* Hands over what is within the cap; false: it was more. */
static bool
take_output(struct run *r, struct stream_end *s, struct child_event *ev, size_t len)
{
	uint64_t room = r->spec->max_output - s->bytes;
	size_t take = len < room ? len : (size_t)room;

	s->bytes += take;
	if (s == &r->err) {
		tail_append(r, ev->data, take);
	} else if (take > 0) {
		ev->length = (uint32_t)take;
		r->children->on_event(ev, r->children->arg);
	}
	return take == len;
}

static void
run_on_data(int fd, unsigned int events, void *arg)
{
	struct stream_end *s = arg;
	struct run *r = s->run;
	struct child_event ev;

	memset(&ev, 0, offsetof(struct child_event, data));
	ev.kind = CHILD_OUTPUT;
	ev.id = r->id;
	for (int i = 0; i < READS_PER_PASS; i++) {
		ssize_t n = read(fd, ev.data, sizeof(ev.data));

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			stream_end_close(s);
			run_step(r, RUN_EV_EOF);
			return;
		}
		if (!take_output(r, s, &ev, (size_t)n)) {
			run_step(r, RUN_EV_OVERFLOW);
			return;
		}
	}
}

/* The state machine. */

static void
run_on_timer(void *arg)
{
	run_step(arg, RUN_EV_TIMER);
}

static void
take_exit(struct run *r)
{
	r->exited = loop_now(r->children->loop);
	run_step(r, RUN_EV_EXIT);
}

static void
run_on_news(int fd, unsigned int events, void *arg)
{
	struct run *r = arg;
	struct subreaper_report report;
	bool gone;

	if (subreaper_hear(fd, &report, &gone)) {
		r->pid = report.pid;
		if (report.news != SUBREAPER_EXITED)
			return;
		r->exit = report.end;
		r->used = report.used;
		take_exit(r);
	} else if (gone) {
		loop_watch_destroy(r->news_watch);
		r->news_watch = NULL;
	}
}

static void
run_on_gone(int fd, unsigned int events, void *arg)
{
	struct run *r = arg;
	struct subreaper_report report;
	bool gone, known = r->exit.si_pid != 0;

	/* Its last words may not have been read yet. */
	while (!known && subreaper_hear(r->control, &report, &gone)) {
		r->pid = report.pid;
		r->exit = report.end;
		r->used = report.used;
	}
	if (!known)
		r->exited = loop_now(r->children->loop);
	loop_watch_destroy(r->news_watch);
	loop_watch_destroy(r->gone_watch);
	r->news_watch = r->gone_watch = NULL;
	run_step(r, RUN_EV_GONE);
}

static void
watch_pipe(struct run *r, struct stream_end *s, int fd)
{
	s->fd = fd;
	s->watch = loop_watch_create(r->children->loop, fd, LOOP_READ, run_on_data, s);
}

/* false: nothing runs; start_error and start_text say why. */
static bool
start_process(struct run *r)
{
	struct spawned child;

	if (r->spec == NULL)
		return false;
	if (!spawn_start(r->spec->launch, &child, &r->start_error, r->start_text))
		return false;
	r->keeper = child.keeper;
	note_soon(r->children);
	r->pidfd = child.pidfd;
	r->control = child.control;
	r->status_fd = child.status;
	watch_pipe(r, &r->out, child.out);
	watch_pipe(r, &r->err, child.err);
	r->news_watch =
	    loop_watch_create(r->children->loop, child.control, LOOP_READ, run_on_news, r);
	r->gone_watch =
	    loop_watch_create(r->children->loop, child.pidfd, LOOP_READ, run_on_gone, r);
	return true;
}

static void
tell_started(const struct run *r)
{
	struct child_event ev;

	memset(&ev, 0, offsetof(struct child_event, data));
	ev.kind = CHILD_STARTED;
	ev.id = r->id;
	r->children->on_event(&ev, r->children->arg);
}

/* Gives what it wrote to standard error; before it, as a shell would say it, what the kernel ended
 * it for. */
static void
fill_stderr(const struct run *r, struct child_event *ev)
{
	char why[LIMITS_TEXT_SIZE];
	int n = 0;

	/* A first line of what was cut may be half a line: after it begins a whole one. */
	if (r->exit.si_pid != 0 && r->cause == CHILD_EXITED && !ev->success &&
	    limits_explain(&r->spec->limits, &r->exit, &r->used, why))
		n = snprintf(ev->data, sizeof(ev->data), "%s%s\n",
		    r->err.bytes > r->tail_len ? "\n" : "", why);
	memcpy(ev->data + n, r->tail, r->tail_len);
	ev->length = (uint32_t)((size_t)n + r->tail_len);
}

static void
fill_done(const struct run *r, struct child_event *ev)
{
	memset(ev, 0, offsetof(struct child_event, data));
	ev->kind = CHILD_DONE;
	ev->id = r->id;
	ev->outcome = r->cause;
	ev->exit_status = -1;
	ev->duration_ms = mono_diff(r->exited, r->started);
	ev->stdout_bytes = r->out.bytes;
	ev->stderr_bytes = r->err.bytes;
	if (r->spec != NULL) {
		ev->output_max = r->spec->max_output;
		ev->timeout_ms = r->spec->timeout_ms;
	}
	if (r->start_error != 0) {
		ev->outcome = CHILD_NOT_STARTED;
		ev->error = r->start_error;
		ev->length = (uint32_t)strlcpy(ev->data, r->start_text, sizeof(ev->data));
		return;
	}
	if (r->exit.si_pid != 0 && r->exit.si_code == CLD_EXITED) {
		ev->exit_status = r->exit.si_status;
		ev->success =
		    r->cause == CHILD_EXITED && r->spec->success[(unsigned char)r->exit.si_status];
	} else if (r->exit.si_pid != 0) {
		ev->signal = r->exit.si_status;
		if (r->cause == CHILD_EXITED)
			ev->outcome = CHILD_SIGNALED;
	}
	fill_stderr(r, ev);
}

/* Everything but the memory. A keeper that is not gone yet ends when control is closed, and is
 * reaped as any child. */
static void
run_release(struct run *r)
{
	loop_timer_destroy(r->timer);
	loop_watch_destroy(r->news_watch);
	loop_watch_destroy(r->gone_watch);
	stream_end_close(&r->out);
	stream_end_close(&r->err);
	if (r->keeper != 0) {
		(void)waitpid(r->keeper, NULL, WNOHANG);
		close(r->pidfd);
		close(r->control);
		close(r->status_fd);
	}
	if (r->spec != NULL)
		spec_unref(r->spec);
	TAILQ_REMOVE(&r->children->runs, r, entry);
	assert(r->children->n_runs > 0);
	r->children->n_runs--;
}

/* Returns how the keeper ended. si_pid 0: it did not. */
static siginfo_t
keepers_end(const struct run *r)
{
	siginfo_t end = {0};

	if (r->keeper != 0 &&
	    waitid(P_PIDFD, (id_t)r->pidfd, &end, WEXITED | WNOHANG | WNOWAIT) != 0)
		end.si_pid = 0;
	return end;
}

static void
run_finish(struct run *r)
{
	struct children *c = r->children;
	struct child_event done;
	siginfo_t keeper = keepers_end(r);
	bool left_some =
	    keeper.si_pid != 0 && (keeper.si_code != CLD_EXITED || keeper.si_status != 0);
	pid_t session = r->pid;

	if (r->keeper != 0)
		(void)spawn_failure(r->spec->launch, r->status_fd, &r->start_error, r->start_text);
	/* A keeper that was killed could not say how its plugin ended: with it. */
	if (r->exit.si_pid == 0 && r->start_error == 0)
		r->exit = keeper;
	if (r->exit.si_pid == 0)
		r->exited = loop_now(c->loop);
	fill_done(r, &done);
	run_release(r);
	loop_defer_free(c->loop, r, free);
	reap(c);
	if (left_some && session != 0)
		sweep(c, session);
	c->on_event(&done, c->arg);
}

/* The only writer of r->state. May finish r: callers return right after it. */
static void
run_enter(struct run *r, enum run_state next, const char *reason)
{
	log_debug("child", "%s[%llu]: %s -> %s, pid=%d reason=%s",
	    r->spec != NULL ? r->spec->name : "?", (unsigned long long)r->id,
	    run_state_name(r->state), run_state_name(next), (int)r->pid, reason);
	r->state = next;
	loop_timer_disarm(r->timer);
	switch (next) {
	case RUN_STARTING:
		loop_timer_arm(r->timer, 0);
		break;
	case RUN_RUNNING:
		loop_timer_arm(r->timer, r->spec->timeout_ms);
		tell_started(r);
		break;
	case RUN_TERMINATING:
		subreaper_tell(r->control, SUBREAPER_TERM);
		loop_timer_arm(r->timer, CHILD_TERM_GRACE_MS);
		break;
	case RUN_KILLED:
		subreaper_tell(r->control, SUBREAPER_KILL);
		loop_timer_arm(r->timer, CHILD_KILL_WAIT_MS);
		break;
	case RUN_DRAINING:
		loop_timer_arm(r->timer, CHILD_DRAIN_MS);
		break;
	case RUN_ENDING:
		if (r->gone_watch == NULL) {
			run_enter(r, RUN_DONE, "nothing is left");
			break;
		}
		stream_end_close(&r->out);
		stream_end_close(&r->err);
		(void)shutdown(r->control, SHUT_WR);
		loop_timer_arm(r->timer, CHILD_KILL_WAIT_MS);
		break;
	case RUN_DONE:
		run_finish(r);
		break;
	}
}

static void
run_end(struct run *r, enum child_outcome cause, const char *reason)
{
	r->cause = cause;
	run_enter(r, RUN_TERMINATING, reason);
}

static void
step_starting(struct run *r, enum run_event ev)
{
	switch (ev) {
	case RUN_EV_TIMER:
		if (r->cause == CHILD_STOPPED)
			run_enter(r, RUN_DONE, "stopped before it began");
		else if (start_process(r))
			run_enter(r, RUN_RUNNING, "started");
		else
			run_enter(r, RUN_DONE, r->start_text);
		break;
	case RUN_EV_STOP:
		r->cause = CHILD_STOPPED;
		break;
	case RUN_EV_EXIT:
	case RUN_EV_EOF:
	case RUN_EV_OVERFLOW:
	case RUN_EV_GONE:
		break; /* there is no process yet */
	}
}

static void
step_running(struct run *r, enum run_event ev)
{
	switch (ev) {
	case RUN_EV_TIMER:
		run_end(r, CHILD_TIMEOUT, "deadline");
		break;
	case RUN_EV_STOP:
		run_end(r, CHILD_STOPPED, "stop");
		break;
	case RUN_EV_OVERFLOW:
		/* Reading no more: it gets SIGPIPE, should it ignore SIGTERM. */
		stream_end_close(&r->out);
		stream_end_close(&r->err);
		run_end(r, CHILD_OVERFLOW, "output over its cap");
		break;
	case RUN_EV_EXIT:
		run_enter(r, at_end(r) ? RUN_ENDING : RUN_DRAINING, "exit");
		break;
	case RUN_EV_EOF:
		break; /* it may run on without them, until its deadline */
	case RUN_EV_GONE:
		run_enter(r, at_end(r) ? RUN_ENDING : RUN_DRAINING, "its keeper is gone");
		break;
	}
}

static void
step_ending(struct run *r, enum run_event ev)
{
	switch (ev) {
	case RUN_EV_TIMER:
		if (r->state == RUN_TERMINATING) {
			run_enter(r, RUN_KILLED, "still there after SIGTERM");
			break;
		}
		log_error("child", "%s[%llu]: pid %d does not die by SIGKILL; giving up on it",
		    r->spec->name, (unsigned long long)r->id, (int)r->pid);
		run_enter(r, RUN_DONE, "cannot be killed");
		break;
	case RUN_EV_OVERFLOW:
		stream_end_close(&r->out);
		stream_end_close(&r->err);
		break;
	case RUN_EV_EXIT:
		run_enter(r, at_end(r) ? RUN_ENDING : RUN_DRAINING, "exit");
		break;
	case RUN_EV_GONE:
		run_enter(r, at_end(r) ? RUN_ENDING : RUN_DRAINING, "its keeper is gone");
		break;
	case RUN_EV_EOF:
	case RUN_EV_STOP:
		break; /* on its way already */
	}
}

static void
step_draining(struct run *r, enum run_event ev)
{
	switch (ev) {
	case RUN_EV_TIMER:
		run_enter(r, RUN_ENDING, "a process it left behind holds its output");
		break;
	case RUN_EV_EOF:
		if (at_end(r))
			run_enter(r, RUN_ENDING, "end of output");
		break;
	case RUN_EV_OVERFLOW:
		if (r->cause == CHILD_EXITED)
			r->cause = CHILD_OVERFLOW;
		run_enter(r, RUN_ENDING, "output over its cap");
		break;
	case RUN_EV_STOP:
	case RUN_EV_EXIT:
	case RUN_EV_GONE:
		break;
	}
}

static void
step_all_ending(struct run *r, enum run_event ev)
{
	switch (ev) {
	case RUN_EV_TIMER:
		log_error("child",
		    "%s[%llu]: something that it left behind does not die by SIGKILL; giving up on "
		    "it",
		    r->spec->name, (unsigned long long)r->id);
		run_enter(r, RUN_DONE, "cannot be killed");
		break;
	case RUN_EV_GONE:
		run_enter(r, RUN_DONE, "nothing is left");
		break;
	case RUN_EV_EXIT:
	case RUN_EV_EOF:
	case RUN_EV_STOP:
	case RUN_EV_OVERFLOW:
		break;
	}
}

/* May finish r. */
static void
run_step(struct run *r, enum run_event ev)
{
	switch (r->state) {
	case RUN_STARTING:
		step_starting(r, ev);
		break;
	case RUN_RUNNING:
		step_running(r, ev);
		break;
	case RUN_TERMINATING:
	case RUN_KILLED:
		step_ending(r, ev);
		break;
	case RUN_DRAINING:
		step_draining(r, ev);
		break;
	case RUN_ENDING:
		step_all_ending(r, ev);
		break;
	case RUN_DONE:
		break;
	}
}

/* Requests. */

static struct run *
find_run(const struct children *c, uint64_t id)
{
	struct run *r;

	TAILQ_FOREACH (r, &c->runs, entry) {
		if (r->id == id)
			return r;
	}
	return NULL;
}

static void
run_create(struct children *c, const struct child_request *req)
{
	struct run *r;

	if (find_run(c, req->id) != NULL) {
		log_error("child", "run %llu exists already; the request is ignored",
		    (unsigned long long)req->id);
		return;
	}
	r = xcalloc(1, sizeof(*r));
	r->children = c;
	r->id = req->id;
	r->cause = CHILD_EXITED;
	r->out = (struct stream_end){.run = r, .fd = -1};
	r->err = (struct stream_end){.run = r, .fd = -1};
	r->started = r->exited = loop_now(c->loop);
	r->timer = loop_timer_create(c->loop, "child", run_on_timer, r);
	HASH_FIND_STR(c->specs, req->plugin, r->spec);
	if (c->n_runs >= CHILD_RUNS_MAX) {
		r->spec = NULL;
		r->start_error = EAGAIN;
		strlcpy(r->start_text, "too many plugins run already", sizeof(r->start_text));
	} else if (r->spec == NULL) {
		r->start_error = ENOENT;
		strlcpy(r->start_text, "no such plugin is loaded", sizeof(r->start_text));
	} else {
		r->spec->refs++;
	}
	TAILQ_INSERT_TAIL(&c->runs, r, entry);
	c->n_runs++;
	run_enter(r, RUN_STARTING, "requested");
}

void
children_request(struct children *c, const struct child_request *req)
{
	struct run *r;

	if (memchr(req->plugin, '\0', sizeof(req->plugin)) == NULL)
		fatal("child", "a request's plugin name is not terminated");
	switch ((enum child_op)req->op) {
	case CHILD_OP_RUN:
		run_create(c, req);
		break;
	case CHILD_OP_KILL:
		r = find_run(c, req->id);
		if (r != NULL)
			run_step(r, RUN_EV_STOP);
		break;
	}
}

size_t
children_running(const struct children *c)
{
	return c->n_runs;
}

static void
drop_specs(struct children *c)
{
	struct spec *spec, *next;

	HASH_ITER (hh, c->specs, spec, next) {
		HASH_DEL(c->specs, spec);
		spec_unref(spec);
	}
}

void
children_set_plugins(
    struct children *c, const struct plugin_set *set, const struct child_defaults *defaults)
{
	drop_specs(c);
	for (size_t i = 0; i < set->n; i++) {
		const struct plugin *p = &set->plugins[i];
		struct spec *spec = xcalloc(1, sizeof(*spec));

		spec->refs = 1;
		spec->name = xstrdup(p->name);
		spec->timeout_ms = p->timeout_ms != 0 ? p->timeout_ms : defaults->timeout_ms;
		limits_of(&spec->limits, p, spec->timeout_ms);
		spec->launch = spawn_create(p, &spec->limits, c->tracker.mark);
		spec->max_output = p->max_output != 0 ? p->max_output : defaults->max_output;
		memcpy(spec->success, p->success, sizeof(spec->success));
		HASH_ADD_KEYPTR(hh, c->specs, spec->name, strlen(spec->name), spec);
	}
}

struct children *
children_create(struct loop *loop, child_event_fn *on_event, void *arg)
{
	struct children *c = xcalloc(1, sizeof(*c));

	c->loop = loop;
	c->on_event = on_event;
	c->arg = arg;
	c->sweep_ms = SWEEP_FIRST_MS;
	c->sweep_timer = loop_timer_create(loop, "sweep", sweep_on_timer, c);
	TAILQ_INIT(&c->runs);
	loop_signal(loop, SIGCHLD, on_sigchld, c);
	if (!reaper_adopt_orphans())
		log_warn("child", "processes that plugins leave behind will not be found: %s",
		    strerror(errno));
	return c;
}

void
children_track(struct children *c, const struct run_tracker *t)
{
	assert(t->mark != NULL && t->note != NULL);
	c->tracker = *t;
	c->note_timer = loop_timer_create(c->loop, "note", note_on_timer, c);
}

/* Waits some milliseconds for all of them together, and more only if the kernel holds one. */
static bool
wait_gone(const struct run *r)
{
	struct pollfd p = {.fd = r->pidfd, .events = POLLIN};

	if (r->keeper == 0 || poll(&p, 1, CHILD_DESTROY_MS) != 0)
		return true;
	log_warn("child", "%s: not gone yet: left to its keeper", r->spec->name);
	return false;
}

bool
children_destroy(struct children *c)
{
	struct run *r, *next;
	bool gone = true;

	if (c == NULL)
		return true;
	TAILQ_FOREACH (r, &c->runs, entry) {
		if (r->keeper != 0)
			(void)shutdown(r->control, SHUT_WR);
	}
	TAILQ_FOREACH_SAFE (r, &c->runs, entry, next) {
		gone = wait_gone(r) && gone;
		run_release(r);
		free(r);
	}
	drop_specs(c);
	loop_timer_destroy(c->sweep_timer);
	loop_timer_destroy(c->note_timer);
	free(c);
	return gone;
}
