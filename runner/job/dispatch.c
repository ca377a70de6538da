/* SPDX-License-Identifier: Apache-2.0 */
/* See dispatch.h.
 *
 *               READY      RECORDED           IDLE          SURVEYED (--wait)
 *   PREPARING -------> RECORDING -----> PUBLISHING -----> SURVEYING -------> WAITING
 *       |                  |                |  ^              |                |  |
 *       |                  |                |  +------------- WAVE ------------|--+
 *       |                  |                |                 | without --wait |
 *       v                  v                v                 v                v
 *       +------------------+--- FAILED, INTERRUPT, FOLLOW_END +----------------+--> LEAVING
 *
 *   LEAVING -- LEAVE_TIMER --> OVERDUE -- LEAVE_TIMER --> DONE
 *   LEAVING, OVERDUE -- SETTLED, INTERRUPT --> DONE
 *
 * What the runner itself learns of a host (no queue, refused, never sent) goes to the ledger by the
 * outcome writer. Leaving waits for it, though not for ever; what is not in the ledger by then is
 * told. */
#include "runner/job/dispatch_internal.h"

#include "runner/interrupt.h"
#include "runner/job/outcome_writer.h"
#include "runner/job/presence.h"
#include "runner/job/send_report.h"
#include "runner/job/sender.h"
#include "runner/job/waves.h"
#include "shared/base/ident.h"
#include "shared/base/log.h"
#include "shared/base/name.h"
#include "shared/base/trouble.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/store/fold.h"
#include "shared/store/job.h"
#include "shared/store/store.h"
#include "shared/wire/wire.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEAVE_MS      60000 /* for the ledger */
#define LEAVE_TELL_MS 1500  /* after this it is told what is waited for */
#define WAVE_LOOK_MS  200

enum dispatch_event {
	DISPATCH_EV_READY,        /* the publisher is, or the follower */
	DISPATCH_EV_RECORDED,     /* the ledger has the job */
	DISPATCH_EV_NOT_RECORDED, /* it has not: s->said */
	DISPATCH_EV_IDLE,         /* the broker has answered for all that was given to it */
	DISPATCH_EV_SURVEYED,     /* a look for who has no queue is over */
	DISPATCH_EV_WAVE,         /* time to look at the wave */
	DISPATCH_EV_DEADLINE,     /* the time of --wait is over */
	DISPATCH_EV_FOLLOW_END,   /* of each host it is known, or it is not waited for: status */
	DISPATCH_EV_FAILED,       /* the publisher has given up: s->said */
	DISPATCH_EV_INTERRUPT,
	DISPATCH_EV_SETTLED, /* the outcome writer has written, or given up */
	DISPATCH_EV_LEAVE_TIMER,
};

static void dispatch_step(struct dispatch *s, enum dispatch_event ev);
static void dispatch_enter(struct dispatch *s, enum dispatch_state next, const char *reason);

static const char *
state_name(enum dispatch_state state)
{
	switch (state) {
	case DISPATCH_PREPARING:
		return "PREPARING";
	case DISPATCH_RECORDING:
		return "RECORDING";
	case DISPATCH_PUBLISHING:
		return "PUBLISHING";
	case DISPATCH_SURVEYING:
		return "SURVEYING";
	case DISPATCH_WAITING:
		return "WAITING";
	case DISPATCH_LEAVING:
		return "LEAVING";
	case DISPATCH_OVERDUE:
		return "OVERDUE";
	case DISPATCH_DONE:
		return "DONE";
	}
	return "?";
}

/* --- leaving --- */

static bool
is_settled(const struct dispatch *s)
{
	if (s->untracked != NULL)
		return true;
	switch (s->record) {
	case RECORD_NONE:
	case RECORD_UNTRACKED:
	case RECORD_FAILED:
		return true;
	case RECORD_UNDER_WAY:
		return false;
	case RECORD_STORED:
		return outcome_writer_settled(s->books);
	}
	return true;
}

static void
leave(struct dispatch *s, int status, const char *reason)
{
	s->status = status;
	dispatch_enter(s, DISPATCH_LEAVING, reason);
}

/* The last words: what of it the ledger does not know, for then it goes on to say "queued". */
static void
conclude(struct dispatch *s)
{
	size_t missing = outcome_writer_missing(s->books);

	if (s->untracked == NULL && s->record == RECORD_UNDER_WAY) {
		runner_say(
		    "nothing was sent; whether the ledger has job %s is not known", s->job->id);
	} else if (s->untracked == NULL && s->record == RECORD_STORED && missing > 0) {
		runner_say(
		    "the ledger does not have all that is known here of the hosts of job %s, "
		    "and may call some unsent that are not: %s",
		    s->job->id, s->books_why == NULL ? "the store does not answer" : s->books_why);
	} else {
		if (s->unsent > 0 && (s->record == RECORD_STORED || s->untracked != NULL))
			runner_say("%zu of %zu hosts were not sent to yet: cancelled", s->unsent,
			    s->job->n_hosts);
		return;
	}
	if (s->status != RUNNER_INTERRUPTED)
		s->status = RUNNER_TROUBLE;
}

/* --- what others say --- */

static void
dispatch_on_leave(void *arg)
{
	dispatch_step(arg, DISPATCH_EV_LEAVE_TIMER);
}

static void
dispatch_on_note(void *arg)
{
	dispatch_note_confirmed(arg);
}

static void
dispatch_on_books(const struct trouble *why, void *arg)
{
	struct dispatch *s = arg;

	if (why != NULL) {
		free(s->books_why);
		s->books_why = trouble_text(why);
	}
	dispatch_step(s, DISPATCH_EV_SETTLED);
}

static void
dispatch_on_follow_end(int status, void *arg)
{
	struct dispatch *s = arg;

	s->follow_status = status;
	dispatch_step(s, DISPATCH_EV_FOLLOW_END);
}

static void
dispatch_on_deadline(void *arg)
{
	dispatch_step(arg, DISPATCH_EV_DEADLINE);
}

static void
dispatch_on_interrupt(void *arg)
{
	dispatch_step(arg, DISPATCH_EV_INTERRUPT);
}

static void
dispatch_on_wave(void *arg)
{
	dispatch_step(arg, DISPATCH_EV_WAVE);
}

static void
dispatch_on_answer(size_t item, enum publisher_state state, const char *why, void *arg)
{
	dispatch_take_answer(arg, item, state, why);
}

static void
dispatch_on_idle(void *arg)
{
	dispatch_step(arg, DISPATCH_EV_IDLE);
}

static void
dispatch_on_failed(const char *text, void *arg)
{
	struct dispatch *s = arg;

	s->said = text;
	dispatch_step(s, DISPATCH_EV_FAILED);
	s->said = NULL;
}

static void
dispatch_on_ready(void *arg)
{
	dispatch_step(arg, DISPATCH_EV_READY);
}

static void
dispatch_on_written(const struct trouble *why, const char *done, void *arg)
{
	struct dispatch *s = arg;

	char *text = why != NULL ? trouble_text(why) : NULL;

	s->record = why == NULL ? RECORD_STORED : RECORD_FAILED;
	s->said = text;
	dispatch_step(s, why == NULL ? DISPATCH_EV_RECORDED : DISPATCH_EV_NOT_RECORDED);
	s->said = NULL;
	free(text);
}

static void
dispatch_on_absent(size_t host, void *arg)
{
	dispatch_take_absent(arg, host);
}

static void
dispatch_on_present(const char *why, void *arg)
{
	struct dispatch *s = arg;

	presence_destroy(s->presence);
	s->presence = NULL;
	if (why != NULL && !s->by_name)
		runner_say("not all hosts were looked at, whether they have a queue: %s", why);
	dispatch_step(s, DISPATCH_EV_SURVEYED);
}

static void
dispatch_on_listed(enum store_found found, json_t *rec, const struct trouble *why, void *arg)
{
	struct dispatch *s = arg;
	const char *host = json_string_value(json_object_get(rec, "_id"));

	if (found == STORE_FOUND) {
		if (host != NULL)
			hosts_add(&s->known, host);
		return;
	}
	hosts_sort(&s->known);
	s->list = found == STORE_MISSING ? LIST_THERE : LIST_FAILED;
	dispatch_step(s, DISPATCH_EV_SURVEYED);
}

/* --- what is done --- */

/* Tells who waits that it was sent: with --wait the last word is the summary's. */
static void
tell_sent(struct dispatch *s)
{
	char whom[SEND_REPORT_WHOM_SIZE];

	if (s->told || s->confirmed == 0)
		return;
	s->told = true;
	if (s->arg->quiet)
		return;
	job_follow_make_room(s->follow);
	runner_say("sent %s to %s%s, job %s", s->job->plugin,
	    send_report_whom(s->job, !s->by_name, s->confirmed, whom),
	    s->given < s->job->n_hosts ? " first" : "", s->job->id);
}

/* Ends the wait: how the job stands by then is what is told. */
static void
end_wait(struct dispatch *s)
{
	job_watch_set_deadline(job_follow_watch(s->follow), loop_now(s->loop));
}

static void
next_wave(struct dispatch *s)
{
	size_t n = s->job->n_hosts - s->given;

	s->wave_from = s->given;
	if (!s->by_name) {
		s->given = s->job->n_hosts;
		publisher_add(s->send, NULL);
		return;
	}
	if (s->arg->waves.size > 0 && s->arg->waves.size < n)
		n = s->arg->waves.size;
	for (; n > 0; n--)
		publisher_add(s->send, s->job->hosts[s->given++]);
}

struct wave_look {
	const struct dispatch *s;
	size_t at;
	struct waves_count count;
};

static void
look_at(const struct outcome *o, bool target, void *arg)
{
	struct wave_look *l = arg;
	size_t i = l->at;
	bool open = outcome_is_open(o);
	bool failed = !open && o->state != OUTCOME_OK && o->state != OUTCOME_SUPERSEDED;

	if (!target)
		return;
	l->at++;
	if (i >= l->s->given)
		return;
	l->count.open += open;
	l->count.failed += failed;
	if (i < l->s->wave_from)
		return;
	l->count.wave_open += open;
	l->count.wave_failed += failed;
}

static void
look_at_waves(struct dispatch *s, struct waves_count *out)
{
	struct wave_look look = {
	    .s = s,
	    .count =
		{
		    .targets = s->job->n_hosts,
		    .sent = s->given,
		    .wave = s->given - s->wave_from,
		    .age_ms = mono_diff(loop_now(s->loop), s->wave_since),
		},
	};

	fold_each(job_watch_fold(job_follow_watch(s->follow)), wallclock_ms(), look_at, &look);
	*out = look.count;
}

static void
stop_waves(struct dispatch *s, const struct waves_count *n)
{
	char reason[WAVES_WHY_SIZE], why[WAVES_WHY_SIZE + 32];

	waves_why(&s->arg->waves, n, reason);
	job_follow_make_room(s->follow);
	runner_say("stopped: %s; %zu of %zu hosts were not sent to: cancelled; see why with "
		   "\"vogeler-runner result %s\", go on with \"vogeler-runner rerun %s\"; "
		   "--max-failures says how many may be",
	    reason, n->targets - n->sent, n->targets, s->job->id, s->job->id);
	snprintf(why, sizeof(why), "stopped, as %s", reason);
	dispatch_give_up(s, why);
	if (n->open > 0)
		end_wait(s);
}

static void
look_at_wave(struct dispatch *s)
{
	struct waves_count n;

	look_at_waves(s, &n);
	switch (waves_step(&s->arg->waves, &n)) {
	case WAVES_WAIT:
		loop_timer_arm(s->wave, WAVE_LOOK_MS);
		break;
	case WAVES_NEXT:
		dispatch_enter(s, DISPATCH_PUBLISHING, "the next wave");
		break;
	case WAVES_STOP:
		stop_waves(s, &n);
		break;
	case WAVES_ENDED:
		end_wait(s);
		break;
	}
}

static const struct presence_handlers presence_handlers = {
    .on_absent = dispatch_on_absent,
    .on_done = dispatch_on_present,
};

static void
look_for_queues(struct dispatch *s)
{
	const struct presence_request req = {
	    .options = &s->req.c->cli->options,
	    .brokers = s->req.c->brokers,
	    .n_brokers = s->req.c->n_brokers,
	    .hosts = s->job->hosts,
	    .n = s->job->n_hosts,
	};

	s->presence = presence_start(s->loop, &req, &presence_handlers, s);
}

/* The broker has answered for all that was given to it: who has no queue is looked up, and written
 * down. */
static void
survey(struct dispatch *s)
{
	static const struct store_filter names = {NULL, 0};

	if (s->presence != NULL || s->list == LIST_ASKED)
		return;
	if (s->n_unroutable > 0 && s->list == LIST_NEVER && s->untracked == NULL) {
		s->list = LIST_ASKED;
		store_list(s->req.c->store, &names, dispatch_on_listed, s);
		return;
	}
	dispatch_book_unroutable(s);
	dispatch_note_confirmed(s);
	outcome_writer_flush(s->books);
	if (s->follow == NULL)
		leave(s, dispatch_report(s), "it is sent");
	else
		dispatch_enter(s, DISPATCH_WAITING, "the broker has answered");
}

static void
set_command(struct dispatch *s)
{
	const struct command command = {
	    .plugin = s->job->plugin,
	    .job = s->job->id,
	    .sent_at = s->job->sent_at,
	    .not_after = s->job->not_after,
	    .reply_to =
		s->follow == NULL ? NULL : (char *)job_watch_reply_to(job_follow_watch(s->follow)),
	};
	char whom[SEND_REPORT_WHOM_SIZE];

	log_info("runner", "Sending %s to %s, job=%s", s->job->plugin,
	    send_report_whom(s->job, !s->by_name, s->job->n_hosts, whom), s->job->id);
	publisher_set_command(s->send, &command);
}

static void
begin_record(struct dispatch *s)
{
	if (s->untracked == NULL) {
		s->record = RECORD_UNDER_WAY;
		store_job_add(s->req.c->store, s->job, dispatch_on_written, s);
	} else {
		s->record = RECORD_UNTRACKED;
		set_command(s);
		dispatch_enter(s, DISPATCH_PUBLISHING, "it is not tracked");
	}
}

static void
recorded(struct dispatch *s)
{
	if (s->follow != NULL)
		job_watch_start(job_follow_watch(s->follow));
	if (s->arg->wait_ms > 0)
		loop_timer_arm(s->deadline, s->arg->wait_ms);
	set_command(s);
	dispatch_enter(s, DISPATCH_PUBLISHING,
	    s->record == RECORD_STORED ? "it is in the ledger" : "it is not tracked");
}

/* Ends a job that could not be recorded, for with --wait there would be nothing to wait for;
 * without, it is sent all the same. */
static void
not_recorded(struct dispatch *s)
{
	if (s->follow != NULL) {
		runner_say("the job cannot be written to the store: %s; nothing was sent", s->said);
		xasprintf(&s->unsent_why, "the job cannot be written to the store: %s", s->said);
		leave(s, RUNNER_TROUBLE, "the ledger does not take it");
		return;
	}
	s->trouble = xstrdup(s->said);
	s->untracked = s->trouble;
	recorded(s);
}

static void
end_in_time(struct dispatch *s)
{
	dispatch_give_up(s, "the time of --wait was over");
	end_wait(s);
}

static void
interrupt(struct dispatch *s)
{
	bool begun = s->record != RECORD_NONE;

	s->unsent = dispatch_give_up(s, "the runner was interrupted");
	if (s->follow != NULL && s->confirmed > 0)
		job_follow_interrupted(s->follow);
	if (s->n_unsent > 0 || (begun && s->confirmed == 0))
		runner_say("interrupted before the broker's confirm: unsent; job %s", s->job->id);
	else if (!begun)
		runner_say("interrupted; nothing was sent");
	if (!begun)
		s->unsent = 0; /* there is no job */
	leave(s, RUNNER_INTERRUPTED, "interrupted");
}

static void
fail(struct dispatch *s)
{
	if (s->follow != NULL)
		job_follow_make_room(s->follow);
	runner_say("%s", s->said);
	dispatch_give_up(s, s->said);
	if (s->confirmed > 0)
		runner_say("sent to %zu of %zu hosts, the others are unsent; job %s", s->confirmed,
		    s->job->n_hosts, s->job->id);
	else if (s->record != RECORD_NONE)
		runner_say("unsent; job %s", s->job->id);
	leave(s, RUNNER_TROUBLE, s->said);
}

static void
follow_ended(struct dispatch *s)
{
	s->printed = job_follow_summed_up(s->follow);
	publisher_halt(s->send);
	leave(s, s->follow_status, "followed to its end");
}

/* --- states --- */

/* The only writer of ->state. */
static void
dispatch_enter(struct dispatch *s, enum dispatch_state next, const char *reason)
{
	enum dispatch_state old = s->state;

	log_info(
	    "runner", "dispatch: %s -> %s, reason=%s", state_name(old), state_name(next), reason);
	s->state = next;
	switch (next) {
	case DISPATCH_PREPARING:
		return; /* how it begins */
	case DISPATCH_RECORDING:
		begin_record(s);
		return;
	case DISPATCH_PUBLISHING:
		next_wave(s);
		if (!s->by_name && s->untracked == NULL && s->job->n_hosts > 0)
			look_for_queues(s);
		return;
	case DISPATCH_SURVEYING:
		survey(s);
		return;
	case DISPATCH_WAITING:
		tell_sent(s);
		s->wave_since = loop_now(s->loop);
		if ((s->given < s->job->n_hosts || s->arg->waves.time_ms > 0) &&
		    s->unsent_why == NULL)
			loop_timer_arm(s->wave, WAVE_LOOK_MS);
		return;
	case DISPATCH_LEAVING:
		outcome_writer_flush(
		    s->books); /* the last confirm, which would do it, may come later */
		loop_timer_disarm(s->wave);
		loop_timer_disarm(s->deadline);
		loop_timer_arm(s->leave, LEAVE_TELL_MS);
		dispatch_step(s, DISPATCH_EV_SETTLED);
		return;
	case DISPATCH_OVERDUE:
		runner_say("waiting until the ledger has what became of job %s; Ctrl-C ends that",
		    s->job->id);
		loop_timer_arm(s->leave, LEAVE_MS);
		return;
	case DISPATCH_DONE:
		loop_stop(s->loop);
		return;
	}
}

/* Takes the events that end each of the states before LEAVING. true: it was one. */
static bool
step_to_leaving(struct dispatch *s, enum dispatch_event ev)
{
	switch (ev) {
	case DISPATCH_EV_FOLLOW_END:
		follow_ended(s);
		return true;
	case DISPATCH_EV_FAILED:
		fail(s);
		return true;
	case DISPATCH_EV_INTERRUPT:
		interrupt(s);
		return true;
	case DISPATCH_EV_READY:
	case DISPATCH_EV_RECORDED:
	case DISPATCH_EV_NOT_RECORDED:
	case DISPATCH_EV_IDLE:
	case DISPATCH_EV_SURVEYED:
	case DISPATCH_EV_WAVE:
	case DISPATCH_EV_DEADLINE:
	case DISPATCH_EV_SETTLED:
	case DISPATCH_EV_LEAVE_TIMER:
		return false;
	}
	return false;
}

static void
step_leaving(struct dispatch *s, enum dispatch_event ev)
{
	switch (ev) {
	case DISPATCH_EV_RECORDED:
	case DISPATCH_EV_NOT_RECORDED:
	case DISPATCH_EV_SETTLED:
		if (is_settled(s))
			dispatch_enter(s, DISPATCH_DONE, "the ledger has it");
		return;
	case DISPATCH_EV_INTERRUPT:
		s->status = RUNNER_INTERRUPTED;
		dispatch_enter(s, DISPATCH_DONE, "interrupted");
		return;
	case DISPATCH_EV_LEAVE_TIMER:
		if (s->state == DISPATCH_LEAVING)
			dispatch_enter(s, DISPATCH_OVERDUE, "the ledger does not have it yet");
		else
			dispatch_enter(s, DISPATCH_DONE, "the ledger does not take it");
		return;
	case DISPATCH_EV_FOLLOW_END: /* what was given up is known, too: that ends it */
		s->printed = job_follow_summed_up(s->follow);
		if (s->status != RUNNER_INTERRUPTED)
			s->status = s->follow_status;
		return;
	case DISPATCH_EV_READY:
	case DISPATCH_EV_IDLE:
	case DISPATCH_EV_SURVEYED:
	case DISPATCH_EV_WAVE:
	case DISPATCH_EV_DEADLINE:
	case DISPATCH_EV_FAILED:
		return;
	}
}

static void
dispatch_step(struct dispatch *s, enum dispatch_event ev)
{
	switch (s->state) {
	case DISPATCH_PREPARING:
		if (step_to_leaving(s, ev) || ev != DISPATCH_EV_READY)
			return;
		assert(s->n_awaited > 0);
		if (--s->n_awaited == 0)
			dispatch_enter(s, DISPATCH_RECORDING, "connected");
		return;
	case DISPATCH_RECORDING:
		if (step_to_leaving(s, ev))
			return;
		if (ev == DISPATCH_EV_RECORDED)
			recorded(s);
		else if (ev == DISPATCH_EV_NOT_RECORDED)
			not_recorded(s);
		return;
	case DISPATCH_PUBLISHING:
		if (step_to_leaving(s, ev))
			return;
		if (ev == DISPATCH_EV_IDLE)
			dispatch_enter(s, DISPATCH_SURVEYING, "all is answered");
		else if (ev == DISPATCH_EV_DEADLINE)
			end_in_time(s);
		return;
	case DISPATCH_SURVEYING:
		if (step_to_leaving(s, ev))
			return;
		if (ev == DISPATCH_EV_SURVEYED)
			survey(s);
		else if (ev == DISPATCH_EV_DEADLINE)
			end_in_time(s);
		return;
	case DISPATCH_WAITING:
		if (step_to_leaving(s, ev))
			return;
		if (ev == DISPATCH_EV_WAVE)
			look_at_wave(s);
		else if (ev == DISPATCH_EV_DEADLINE)
			end_in_time(s);
		return;
	case DISPATCH_LEAVING:
	case DISPATCH_OVERDUE:
		step_leaving(s, ev);
		return;
	case DISPATCH_DONE:
		return;
	}
}

/* --- the whole --- */

static const struct publisher_handlers publisher_handlers = {
    .on_ready = dispatch_on_ready,
    .on_answer = dispatch_on_answer,
    .on_idle = dispatch_on_idle,
    .on_failed = dispatch_on_failed,
};

static struct job_follow *
create_follow(struct dispatch *s)
{
	const struct runner_context *c = s->req.c;
	const struct job_follow_request req = {
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
	    .on_ready = dispatch_on_ready,
	    .on_end = dispatch_on_follow_end,
	    .arg = s,
	};

	return job_follow_create(&req);
}

static void
start(struct dispatch *s)
{
	const struct runner_context *c = s->req.c;
	const struct publisher_request req = {
	    .options = &c->cli->options,
	    .brokers = c->brokers,
	    .n_brokers = c->n_brokers,
	    .confirm_ms = s->arg->confirm_ms,
	};

	s->by_name = !s->req.broadcast;
	s->noted = xcalloc(s->job->n_hosts + 1, sizeof(*s->noted));
	s->absent = xcalloc(s->job->n_hosts + 1, sizeof(*s->absent));
	s->booked = xcalloc(s->job->n_hosts + 1, sizeof(*s->booked));
	output_options_from(&s->output, s->arg);
	s->output.filter = s->job->rerun_of == NULL ? s->output.filter : FILTER_NONE;
	s->books = outcome_writer_create(
	    s->loop, s->untracked == NULL ? c->store : NULL, s->job->id, dispatch_on_books, s);
	s->deadline = loop_timer_create(s->loop, "wait", dispatch_on_deadline, s);
	s->wave = loop_timer_create(s->loop, "wave", dispatch_on_wave, s);
	s->leave = loop_timer_create(s->loop, "leave", dispatch_on_leave, s);
	s->note = loop_timer_create(s->loop, "note", dispatch_on_note, s);
	s->n_awaited = s->arg->wait ? 2 : 1;
	if (s->arg->wait)
		s->follow = create_follow(s);
	s->send = publisher_create(s->loop, &req, &publisher_handlers, s);
}

static void
stop(struct dispatch *s)
{
	struct runner_context *c = s->req.c;

	publisher_destroy(s->send);
	presence_destroy(s->presence);
	store_close(c->store); /* before who asked it goes */
	c->store = NULL;
	job_follow_destroy(s->follow);
	outcome_writer_destroy(s->books);
	loop_timer_destroy(s->deadline);
	loop_timer_destroy(s->wave);
	loop_timer_destroy(s->leave);
	loop_timer_destroy(s->note);
	free(s->noted);
	free(s->absent);
	free(s->booked);
	hosts_finish(&s->known);
	free(s->unsent_why);
	free(s->refused_why);
	free(s->trouble);
	free(s->books_why);
}

int
dispatch_run(const struct dispatch_request *req)
{
	struct dispatch s = {
	    .req = *req,
	    .loop = req->c->loop,
	    .arg = req->c->arg,
	    .job = req->job,
	    .untracked = req->untracked,
	    .status = RUNNER_TROUBLE,
	};

	req->interrupt->arg = &s;
	req->interrupt->fn = dispatch_on_interrupt;
	start(&s);
	loop_run(s.loop);
	req->interrupt->fn = NULL;
	conclude(&s);
	dispatch_report_end(&s);
	stop(&s);
	return s.status;
}

void
dispatch_job(struct job *job, const struct runner_context *c, const char *plugin,
    const char *target, struct hosts *hosts)
{
	int64_t now = wallclock_ms();

	job_init(job);
	job->id = xcalloc(1, IDENT_SIZE);
	ident_job(job->id, now);
	job->plugin = xstrdup(plugin);
	job->login = sender_login();
	job->login_host = name_of_this_host();
	/* The one that the broker knows, and vouches for. */
	job->user = xstrdup(
	    c->n_brokers > 0 && c->brokers[0].user != NULL ? c->brokers[0].user : job->login);
	job->target = xstrdup(target);
	job->sent_at = now;
	job->not_after = c->arg->ttl_ms == 0 ? 0 : now + c->arg->ttl_ms;
	job->confirms = true;
	job->hosts = hosts->names;
	job->n_hosts = hosts->n;
	*hosts = (struct hosts){0};
}

bool
dispatch_was_broadcast(const struct job *job)
{
	return job->target != NULL && strcmp(job->target, "all") == 0 && job->rerun_of == NULL;
}
