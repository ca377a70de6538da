/* See sending.h.
 *
 *   connect, listen -> job to the ledger -> publish (a wave, or all) -> the broker's answers
 *                                              ^                              |
 *                                              +---- a wave has answered <----+--> end, or follow
 *
 * What the runner itself learns of a host (no queue, refused, never sent) goes to the ledger by the
 * books. Leaving waits for them, though not for ever; what is not in the ledger by then is told. */
#include "runner/sending.h"

#include "runner/books.h"
#include "runner/follow.h"
#include "runner/interrupt.h"
#include "runner/send.h"
#include "runner/sent.h"
#include "shared/target/target.h"
#include "shared/ident.h"
#include "shared/log.h"
#include "shared/loop.h"
#include "shared/store/store.h"
#include "shared/wall.h"
#include "shared/wire.h"
#include "shared/xalloc.h"
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LEAVE_MS      60000 /* for the books */
#define LEAVE_TELL_MS 1500  /* after this it is told what is waited for */
#define WAVE_LOOK_MS  200
#define NO_SUCH_HOST  "no such host: it was never seen"

struct sending {
	struct sending_request req;
	struct loop *loop;
	const struct runner_arguments *arg;
	const struct job *job;
	const char *untracked;
	char *trouble; /* what untracked is, if it was found out here */
	struct output_options output;
	struct send *send;
	struct follow *follow; /* NULL without --wait */
	struct books *books;
	struct loop_timer *deadline; /* of --wait=DURATION */
	struct loop_timer *wave;     /* looks whether the wave has answered */
	struct loop_timer *leave;    /* ends the wait for the books */
	bool send_ready, follow_ready;
	bool writing; /* the job's way to the ledger has begun */
	bool written; /* that is over; and */
	bool wrote;   /* the job is in the ledger */
	bool idle;    /* all that was given to send is answered */
	bool told;    /* with --wait: that it was sent */
	bool halted;  /* no more is published */
	bool leaving, leave_told, interrupted;
	size_t unsent;   /* when it was interrupted */
	char *books_why; /* what the store said last, when it did not take it; NULL = nothing */
	size_t given;    /* hosts[0..given) */
	size_t confirmed, refused, n_unroutable;
	char *refused_why;
	int status;
};

static void
leave_if_settled(struct sending *s)
{
	bool settled = books_settled(s->books);

	if (s->untracked != NULL || !s->writing)
		settled = true;
	else if (!s->written)
		settled = false; /* it is on its way */
	else if (!s->wrote)
		settled = true;
	if (s->leaving && settled)
		loop_stop(s->loop);
}

static void
leave(struct sending *s, int status)
{
	s->leaving = true;
	s->status = status;
	books_flush(s->books); /* the last confirm, which would do it, may come later */
	loop_timer_disarm(s->wave);
	loop_timer_disarm(s->deadline);
	loop_timer_arm(s->leave, LEAVE_TELL_MS);
	leave_if_settled(s);
}

static void
sending_on_leave(void *arg)
{
	struct sending *s = arg;

	if (s->leave_told) {
		loop_stop(s->loop);
		return;
	}
	s->leave_told = true;
	runner_say(
	    "waiting until the ledger has what became of job %s; Ctrl-C ends that", s->job->id);
	loop_timer_arm(s->leave, LEAVE_MS);
}

/* The last words: what of it the ledger does not know, for then it goes on to say "queued". */
static void
conclude(struct sending *s)
{
	size_t missing = books_missing(s->books);

	if (s->untracked == NULL && s->writing && !s->written) {
		runner_say(
		    "nothing was sent; whether the ledger has job %s is not known", s->job->id);
	} else if (s->untracked == NULL && s->wrote && missing > 0) {
		runner_say("of %zu of %zu hosts the ledger does not know how it ended, and says "
			   "queued until they expire: %s",
		    missing, s->job->n_hosts,
		    s->books_why == NULL ? "the store does not answer" : s->books_why);
	} else {
		if (s->unsent > 0 && (s->wrote || s->untracked != NULL))
			runner_say("%zu of %zu hosts were not sent to yet: cancelled", s->unsent,
			    s->job->n_hosts);
		return;
	}
	if (!s->interrupted)
		s->status = RUNNER_TROUBLE;
}

/* --- what the runner knows of hosts --- */

static void
book(struct sending *s, size_t host, enum outcome_state state, const char *why)
{
	struct outcome o;

	outcome_init(&o);
	o.host = s->job->hosts[host];
	o.state = state;
	o.why = why;
	o.at = wall_ms();
	if (s->follow != NULL)
		watch_add(follow_watch(s->follow), &o);
	if (s->untracked == NULL && s->writing)
		books_add(s->books, &o);
}

static void
sending_on_books(const char *trouble, void *arg)
{
	struct sending *s = arg;

	if (trouble != NULL) {
		free(s->books_why);
		s->books_why = xstrdup(trouble);
	}
	leave_if_settled(s);
}

/* No more is published; what was not is cancelled. Returns how many that are. */
static size_t
cancel_unsent(struct sending *s, const char *why)
{
	size_t n = 0;

	s->halted = true;
	loop_timer_disarm(s->wave);
	send_halt(s->send);
	for (size_t i = 0; i < s->job->n_hosts; i++) {
		if (i < s->given && send_state(s->send, s->req.broadcast ? 0 : i) != SEND_WAITING)
			continue;
		book(s, i, OUTCOME_CANCELLED, why);
		n++;
	}
	books_flush(s->books);
	return n;
}

/* --- the end --- */

static void
report(struct sending *s)
{
	struct sent sent = {
	    .job = s->job,
	    .broadcast = s->req.broadcast,
	    .confirmed = s->confirmed,
	    .refused = s->refused,
	    .refused_why = s->refused_why,
	    .n_unroutable = s->n_unroutable,
	    .untracked = s->untracked,
	};
	size_t n = 0;

	if (s->n_unroutable > 0 && !s->req.broadcast)
		sent.unroutable = xcalloc(s->n_unroutable, sizeof(*sent.unroutable));
	for (size_t i = 0; sent.unroutable != NULL && i < s->given; i++) {
		if (send_state(s->send, i) == SEND_UNROUTABLE)
			sent.unroutable[n++] = s->job->hosts[i];
	}
	sent_print(&sent, s->arg);
	leave(s, sent_status(&sent));
	free(sent.unroutable);
}

/* With --wait the last word is the summary's; this one is for who waits. */
static void
tell_sent(struct sending *s)
{
	char whom[SENT_WHOM_SIZE];

	if (s->told || s->confirmed == 0)
		return;
	s->told = true;
	if (s->arg->quiet)
		return;
	follow_make_room(s->follow);
	runner_say("sent %s to %s%s, job %s", s->job->plugin,
	    sent_whom(s->job, s->req.broadcast, s->confirmed, whom),
	    s->given < s->job->n_hosts ? " first" : "", s->job->id);
}

static void
sending_on_follow_end(int status, void *arg)
{
	struct sending *s = arg;

	send_halt(s->send);
	if (s->refused > 0 && status != RUNNER_TROUBLE)
		status = RUNNER_FAILED; /* the summary knows of the cancelled only */
	leave(s, status);
}

static void
sending_on_deadline(void *arg)
{
	struct sending *s = arg;

	cancel_unsent(s, "never sent: the time of --wait was over");
	watch_set_deadline(follow_watch(s->follow), loop_now(s->loop));
}

static void
sending_on_interrupt(void *arg)
{
	struct sending *s = arg;

	s->interrupted = true;
	s->status = RUNNER_INTERRUPTED;
	if (s->leaving) {
		loop_stop(s->loop);
		return;
	}
	s->unsent = cancel_unsent(s, "never sent: the runner was interrupted");
	if (s->follow != NULL && s->confirmed > 0)
		follow_interrupted(s->follow);
	else if (s->writing)
		runner_say("interrupted before the broker's confirm; job %s", s->job->id);
	else
		runner_say("interrupted; nothing was sent");
	if (!s->writing)
		s->unsent = 0; /* there is no job */
	leave(s, RUNNER_INTERRUPTED);
}

/* --- publishing --- */

static void
next_wave(struct sending *s)
{
	size_t n = s->job->n_hosts - s->given;

	s->idle = false;
	if (s->req.broadcast) {
		s->given = s->job->n_hosts;
		send_add(s->send, NULL);
		return;
	}
	if (s->arg->batch > 0 && s->arg->batch < n)
		n = s->arg->batch;
	for (; n > 0; n--)
		send_add(s->send, s->job->hosts[s->given++]);
}

struct wave_look {
	const struct sending *s;
	size_t at, open;
};

static void
look_at(const struct outcome *o, bool target, void *arg)
{
	struct wave_look *l = arg;

	if (target && l->at++ < l->s->given && o->state == OUTCOME_QUEUED)
		l->open++;
}

static void
sending_on_wave(void *arg)
{
	struct sending *s = arg;
	struct wave_look look = {.s = s};

	fold_each(watch_fold(follow_watch(s->follow)), wall_ms(), look_at, &look);
	if (look.open == 0)
		next_wave(s);
	else
		loop_timer_arm(s->wave, WAVE_LOOK_MS);
}

static void
sending_on_answer(size_t i, enum send_state state, const char *why, void *arg)
{
	struct sending *s = arg;
	enum outcome_state outcome = OUTCOME_UNROUTABLE;
	char *text = NULL;

	if (state == SEND_CONFIRMED) {
		s->confirmed++;
		return;
	}
	if (state == SEND_REFUSED) {
		if (s->refused++ == 0)
			s->refused_why = xstrdup(why);
		if (s->req.broadcast)
			return; /* some queues may have taken it */
		outcome = OUTCOME_CANCELLED;
		xasprintf(&text, "never sent: refused by the broker: %s", why);
	} else {
		s->n_unroutable++;
	}
	if (s->req.broadcast) {
		for (i = 0; i < s->job->n_hosts; i++)
			book(s, i, outcome, NO_SUCH_HOST);
	} else {
		book(s, i, outcome, text == NULL ? NO_SUCH_HOST : text);
	}
	free(text);
}

static void
sending_on_idle(void *arg)
{
	struct sending *s = arg;

	if (s->idle || s->leaving)
		return;
	s->idle = true;
	books_flush(s->books);
	if (s->follow == NULL) {
		report(s);
		return;
	}
	tell_sent(s);
	if (s->given < s->job->n_hosts && !s->halted)
		loop_timer_arm(s->wave, WAVE_LOOK_MS);
}

static void
sending_on_failed(const char *text, void *arg)
{
	struct sending *s = arg;
	char *why;

	if (s->leaving)
		return;
	if (s->follow != NULL)
		follow_make_room(s->follow);
	runner_say("%s", text);
	xasprintf(&why, "never sent: %s", text);
	cancel_unsent(s, why);
	free(why);
	if (s->confirmed > 0)
		runner_say(
		    "sent to %zu of %zu hosts; job %s", s->confirmed, s->job->n_hosts, s->job->id);
	leave(s, RUNNER_TROUBLE);
}

/* --- the job --- */

static void
publish(struct sending *s)
{
	const struct command command = {
	    .plugin = s->job->plugin,
	    .job = s->job->id,
	    .sent_at = s->job->sent_at,
	    .not_after = s->job->not_after,
	    .reply_to = s->follow == NULL ? NULL : (char *)watch_reply_to(follow_watch(s->follow)),
	};
	char whom[SENT_WHOM_SIZE];

	log_info("runner", "Sending %s to %s, job=%s", s->job->plugin,
	    sent_whom(s->job, s->req.broadcast, s->job->n_hosts, whom), s->job->id);
	send_set_command(s->send, &command);
	next_wave(s);
}

static void
sending_on_written(bool ok, const char *what, void *arg)
{
	struct sending *s = arg;

	s->written = true;
	s->wrote = ok;
	if (s->leaving) {
		leave_if_settled(s);
		return;
	}
	if (!ok && s->follow != NULL) {
		runner_say("the job cannot be written to the store: %s; nothing was sent", what);
		leave(s, RUNNER_TROUBLE);
		return;
	}
	if (!ok) {
		s->trouble = xstrdup(what);
		s->untracked = s->trouble;
	}
	if (s->follow != NULL)
		watch_start(follow_watch(s->follow));
	if (s->arg->wait_ms > 0)
		loop_timer_arm(s->deadline, s->arg->wait_ms);
	publish(s);
}

static void
begin_if_ready(struct sending *s)
{
	if (!s->send_ready || (s->follow != NULL && !s->follow_ready) || s->writing || s->leaving)
		return;
	s->writing = true;
	if (s->untracked == NULL)
		store_job_add(s->req.c->store, s->job, sending_on_written, s);
	else
		publish(s);
}

static void
sending_on_send_ready(void *arg)
{
	struct sending *s = arg;

	s->send_ready = true;
	begin_if_ready(s);
}

static void
sending_on_follow_ready(void *arg)
{
	struct sending *s = arg;

	s->follow_ready = true;
	begin_if_ready(s);
}

static const struct send_handlers send_handlers = {
    .on_ready = sending_on_send_ready,
    .on_answer = sending_on_answer,
    .on_idle = sending_on_idle,
    .on_failed = sending_on_failed,
};

static struct follow *
create_follow(struct sending *s)
{
	const struct runner_context *c = s->req.c;
	const struct follow_request req = {
	    .watch =
		{
		    .loop = c->loop,
		    .options = &c->cli->options,
		    .brokers = c->brokers,
		    .n_brokers = c->n_brokers,
		    .store = c->store,
		    .job = s->job,
		},
	    .output = &s->output,
	    .on_ready = sending_on_follow_ready,
	    .on_end = sending_on_follow_end,
	    .arg = s,
	};

	return follow_create(&req);
}

static void
start(struct sending *s)
{
	const struct runner_context *c = s->req.c;
	const struct send_request req = {
	    .options = &c->cli->options,
	    .brokers = c->brokers,
	    .n_brokers = c->n_brokers,
	};

	output_options_from(&s->output, s->arg);
	s->output.filter = s->job->rerun_of == NULL ? s->output.filter : FILTER_NONE;
	s->books = books_create(
	    s->loop, s->untracked == NULL ? c->store : NULL, s->job->id, sending_on_books, s);
	s->deadline = loop_timer_create(s->loop, "wait", sending_on_deadline, s);
	s->wave = loop_timer_create(s->loop, "wave", sending_on_wave, s);
	s->leave = loop_timer_create(s->loop, "leave", sending_on_leave, s);
	if (s->arg->wait)
		s->follow = create_follow(s);
	s->send = send_create(s->loop, &req, &send_handlers, s);
}

static void
stop(struct sending *s)
{
	struct runner_context *c = s->req.c;

	send_destroy(s->send);
	store_close(c->store); /* before who asked it goes */
	c->store = NULL;
	follow_destroy(s->follow);
	books_destroy(s->books);
	loop_timer_destroy(s->deadline);
	loop_timer_destroy(s->wave);
	loop_timer_destroy(s->leave);
	free(s->refused_why);
	free(s->trouble);
	free(s->books_why);
}

int
sending_run(const struct sending_request *req)
{
	struct sending s = {
	    .req = *req,
	    .loop = req->c->loop,
	    .arg = req->c->arg,
	    .job = req->job,
	    .untracked = req->untracked,
	    .status = RUNNER_TROUBLE,
	};

	req->interrupt->arg = &s;
	req->interrupt->fn = sending_on_interrupt;
	start(&s);
	loop_run(s.loop);
	req->interrupt->fn = NULL;
	conclude(&s);
	stop(&s);
	return s.status;
}

/* The one that the broker knows, and vouches for; else the one who sits here. */
static char *
who(const struct runner_context *c)
{
	const struct passwd *pw;

	if (c->n_brokers > 0 && c->brokers[0].user != NULL)
		return xstrdup(c->brokers[0].user);
	pw = getpwuid(geteuid());
	return pw == NULL ? NULL : xstrdup(pw->pw_name);
}

void
sending_job(struct job *job, const struct runner_context *c, const char *plugin, const char *target,
    struct hosts *hosts)
{
	int64_t now = wall_ms();

	job_init(job);
	job->id = xcalloc(1, IDENT_SIZE);
	ident_job(job->id, now);
	job->plugin = xstrdup(plugin);
	job->user = who(c);
	job->target = xstrdup(target);
	job->sent_at = now;
	job->not_after = c->arg->ttl_ms == 0 ? 0 : now + c->arg->ttl_ms;
	job->hosts = hosts->names;
	job->n_hosts = hosts->n;
	*hosts = (struct hosts){0};
}

bool
sending_was_broadcast(const struct job *job)
{
	return job->target != NULL && strcmp(job->target, "all") == 0 && job->rerun_of == NULL;
}
