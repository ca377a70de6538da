/* See dispatch.h.
 *
 *   connect, listen -> job to the ledger -> publish (a wave, or all) -> the broker's answers
 *                                              ^                              |
 *                                              +---- a wave has answered <----+--> end, or follow
 *
 * What the runner itself learns of a host (no queue, refused, never sent) goes to the ledger by the
 * books. Leaving waits for them, though not for ever; what is not in the ledger by then is told. */
#include "runner/job/dispatch.h"

#include "runner/interrupt.h"
#include "runner/job/job_follow.h"
#include "runner/job/outcome_writer.h"
#include "runner/job/presence.h"
#include "runner/job/publisher.h"
#include "runner/job/send_report.h"
#include "runner/job/sender.h"
#include "runner/job/waves.h"
#include "runner/print/output.h"
#include "shared/base/ident.h"
#include "shared/base/log.h"
#include "shared/base/name.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/store/fold.h"
#include "shared/store/store.h"
#include "shared/target/target.h"
#include "shared/wire/wire.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LEAVE_MS      60000 /* for the books */
#define LEAVE_TELL_MS 1500  /* after this it is told what is waited for */
#define WAVE_LOOK_MS  200
#define NOTE_MS       200 /* confirms of so long are written to the ledger at once */

enum sending_list { /* of the store's hosts, for what to say of those without a queue */
	LIST_NEVER,
	LIST_ASKED,
	LIST_THERE,
	LIST_FAILED,
};

struct dispatch {
	struct dispatch_request req;
	struct loop *loop;
	const struct runner_arguments *arg;
	const struct job *job;
	const char *untracked;
	char *trouble; /* what untracked is, if it was found out here */
	struct output_options output;
	struct publisher *send;
	struct job_follow *follow; /* NULL without --wait */
	struct outcome_writer *books;
	struct loop_timer *deadline; /* of --wait=DURATION */
	struct loop_timer *wave;     /* looks whether the wave has answered */
	struct loop_timer *leave;    /* ends the wait for the books */
	struct loop_timer *note;     /* writes which are confirmed */
	bool send_ready, follow_ready;
	bool writing; /* the job's way to the ledger has begun */
	bool written; /* that is over; and */
	bool wrote;   /* the job is in the ledger */
	bool idle;    /* all that was given to send is answered */
	bool told;    /* with --wait: that it was sent */
	bool halted;  /* no more is published */
	bool leaving, leave_told, interrupted;
	size_t unsent;    /* when it was interrupted */
	size_t n_unsent;  /* given up without the broker's confirm */
	char *books_why;  /* what the store said last, when it did not take it; NULL = nothing */
	size_t given;     /* hosts[0..given), of which */
	size_t wave_from; /* hosts[wave_from..given) are the last wave, */
	struct mono wave_since; /* which the broker had by then */
	/* A broadcast that the broker refused is sent again by name: each host has an answer of its
	 * own then. The item of hosts[i] is first_item + i. */
	bool by_name;
	size_t first_item;
	bool *noted; /* of each host: that it is confirmed is in the books */
	size_t n_noted;
	size_t confirmed, refused, n_unroutable;
	/* Of a broadcast, which the broker confirms once any host has it: who has no queue. */
	struct presence *presence;
	bool looking; /* it is not over */
	bool *absent; /* hosts[i] has none */
	bool *booked; /* that hosts[i] is unroutable */
	enum sending_list list;
	struct hosts known;
	bool printed;     /* on stdout: how it went */
	char *unsent_why; /* why no more is published, or waited for */
	char *refused_why;
	int status;
};

static void on_answered(struct dispatch *s);

static void
leave_if_settled(struct dispatch *s)
{
	bool settled = outcome_writer_settled(s->books);

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
leave(struct dispatch *s, int status)
{
	s->leaving = true;
	s->status = status;
	outcome_writer_flush(s->books); /* the last confirm, which would do it, may come later */
	loop_timer_disarm(s->wave);
	loop_timer_disarm(s->deadline);
	loop_timer_arm(s->leave, LEAVE_TELL_MS);
	leave_if_settled(s);
}

static void
dispatch_on_leave(void *arg)
{
	struct dispatch *s = arg;

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
conclude(struct dispatch *s)
{
	size_t missing = outcome_writer_missing(s->books);

	if (s->untracked == NULL && s->writing && !s->written) {
		runner_say(
		    "nothing was sent; whether the ledger has job %s is not known", s->job->id);
	} else if (s->untracked == NULL && s->wrote && missing > 0) {
		runner_say(
		    "the ledger does not have all that is known here of the hosts of job %s, "
		    "and may call some unsent that are not: %s",
		    s->job->id, s->books_why == NULL ? "the store does not answer" : s->books_why);
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

static enum publisher_state
state_of(const struct dispatch *s, size_t host)
{
	return publisher_state(s->send, s->by_name ? s->first_item + host : 0);
}

static void
book_as(struct dispatch *s, const char *host, enum outcome_state state, const char *why)
{
	struct outcome o;

	outcome_init(&o);
	o.host = host;
	o.state = state;
	o.why = why;
	o.at = wallclock_ms();
	if (s->follow != NULL)
		job_watch_add(job_follow_watch(s->follow), &o);
	if (s->untracked == NULL && s->writing)
		outcome_writer_add(s->books, &o);
}

static void
book(struct dispatch *s, size_t host, enum outcome_state state, const char *why)
{
	book_as(s, s->job->hosts[host], state, why);
}

/* Of a broadcast, that each host has it may be said only when it is known who cannot. One note
 * stands for all, if all are confirmed by then. */
static void
note_confirmed(struct dispatch *s)
{
	bool all = s->n_noted == 0 && (!s->by_name || s->confirmed == s->job->n_hosts);

	loop_timer_disarm(s->note);
	if (s->confirmed == s->n_noted || s->looking)
		return;
	if (all)
		book_as(s, OUTCOME_EVERY_HOST, OUTCOME_QUEUED, NULL);
	for (size_t i = 0; s->by_name && i < s->given; i++) {
		if (s->noted[i] || state_of(s, i) != PUBLISHER_CONFIRMED)
			continue;
		s->noted[i] = true;
		if (!all)
			book(s, i, OUTCOME_QUEUED, NULL);
	}
	s->n_noted = s->confirmed;
	outcome_writer_flush(s->books);
}

static void
dispatch_on_note(void *arg)
{
	note_confirmed(arg);
}

static void
dispatch_on_books(const char *trouble, void *arg)
{
	struct dispatch *s = arg;

	if (trouble != NULL) {
		free(s->books_why);
		s->books_why = xstrdup(trouble);
	}
	leave_if_settled(s);
}

static bool
is_unroutable(const struct dispatch *s, size_t host)
{
	return s->by_name ? state_of(s, host) == PUBLISHER_UNROUTABLE : s->absent[host];
}

static void
book_unroutable(struct dispatch *s)
{
	for (size_t i = 0; s->n_unroutable > 0 && i < s->given; i++) {
		const char *why = SEND_REPORT_NO_QUEUE_AT_ALL;

		if (s->booked[i] || !is_unroutable(s, i))
			continue;
		s->booked[i] = true;
		if (s->list == LIST_THERE)
			why = hosts_has(&s->known, s->job->hosts[i])
				  ? SEND_REPORT_NO_QUEUE "; " SEND_REPORT_NO_QUEUE_CURE
				  : "no such host: it was never seen";
		book(s, i, OUTCOME_UNROUTABLE, why);
	}
}

/* No more is published: what was not is cancelled, and what the broker has not answered for is
 * unsent. Returns how many were cancelled. */
static size_t
give_up(struct dispatch *s, const char *why)
{
	char *cancelled, *unsent;
	size_t n = 0;

	xasprintf(&cancelled, "never sent: %s", why);
	xasprintf(&unsent, "not confirmed by the broker: %s", why);
	s->halted = true;
	s->looking = false;
	presence_destroy(s->presence);
	s->presence = NULL;
	if (s->unsent_why == NULL)
		s->unsent_why = xstrdup(why);
	loop_timer_disarm(s->wave);
	publisher_halt(s->send);
	book_unroutable(s);
	for (size_t i = 0; i < s->job->n_hosts; i++) {
		enum publisher_state state = i < s->given ? state_of(s, i) : PUBLISHER_WAITING;

		if (state == PUBLISHER_WAITING) {
			book(s, i, OUTCOME_CANCELLED, cancelled);
			n++;
		} else if (state == PUBLISHER_UNKNOWN) {
			book(s, i, OUTCOME_UNSENT, unsent);
			s->n_unsent++;
		}
	}
	note_confirmed(s);
	outcome_writer_flush(s->books);
	free(cancelled);
	free(unsent);
	return n;
}

/* --- the end --- */

static void
sent_make(const struct dispatch *s, struct send_report *sent)
{
	const char *untracked = s->untracked;
	size_t n_unroutable = 0, n_refused = 0;
	bool all = s->by_name ? s->confirmed + s->refused + s->n_unroutable == s->job->n_hosts
			      : s->confirmed > 0;

	if (untracked == NULL && !s->wrote)
		untracked = "the job was not written to the store";
	*sent = (struct send_report){
	    .job = s->job,
	    .broadcast = !s->by_name,
	    .confirmed = s->confirmed,
	    .n_refused = s->refused,
	    .refused_why = s->refused_why,
	    .n_unroutable = s->n_unroutable,
	    .known = s->list == LIST_THERE ? &s->known : NULL,
	    .unsent = all ? NULL : s->unsent_why,
	    .untracked = untracked,
	};
	if (s->by_name || s->job->n_hosts > 0)
		sent->unroutable = xcalloc(s->n_unroutable + 1, sizeof(*sent->unroutable));
	if (s->by_name)
		sent->refused = xcalloc(s->refused + 1, sizeof(*sent->refused));
	for (size_t i = 0; i < s->given; i++) {
		if (is_unroutable(s, i))
			sent->unroutable[n_unroutable++] = s->job->hosts[i];
		else if (s->by_name && state_of(s, i) == PUBLISHER_REFUSED)
			sent->refused[n_refused++] = s->job->hosts[i];
	}
}

static void
sent_free(struct send_report *sent)
{
	free(sent->unroutable);
	free(sent->refused);
}

static void
report(struct dispatch *s)
{
	struct send_report sent;

	sent_make(s, &sent);
	send_report_print(&sent, s->arg);
	s->printed = true;
	leave(s, send_report_status(&sent));
	sent_free(&sent);
}

/* Whoever reads JSON gets an object, however it ended. */
static void
report_end(struct dispatch *s)
{
	struct send_report sent;

	if (s->printed || (!s->arg->json && !s->arg->jsonl))
		return;
	sent_make(s, &sent);
	output_event(stdout, send_report_json(&sent));
	sent_free(&sent);
}

/* With --wait the last word is the summary's; this one is for who waits. */
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

static void
dispatch_on_follow_end(int status, void *arg)
{
	struct dispatch *s = arg;

	s->printed = job_follow_summed_up(s->follow);
	publisher_halt(s->send);
	leave(s, status);
}

/* How it stands by then is what is told. */
static void
end_wait(struct dispatch *s)
{
	job_watch_set_deadline(job_follow_watch(s->follow), loop_now(s->loop));
}

static void
dispatch_on_deadline(void *arg)
{
	struct dispatch *s = arg;

	give_up(s, "the time of --wait was over");
	end_wait(s);
}

static void
dispatch_on_interrupt(void *arg)
{
	struct dispatch *s = arg;

	s->interrupted = true;
	s->status = RUNNER_INTERRUPTED;
	if (s->leaving) {
		loop_stop(s->loop);
		return;
	}
	s->unsent = give_up(s, "the runner was interrupted");
	if (s->follow != NULL && s->confirmed > 0)
		job_follow_interrupted(s->follow);
	if (s->n_unsent > 0 || (s->writing && s->confirmed == 0))
		runner_say("interrupted before the broker's confirm: unsent; job %s", s->job->id);
	else if (!s->writing)
		runner_say("interrupted; nothing was sent");
	if (!s->writing)
		s->unsent = 0; /* there is no job */
	leave(s, RUNNER_INTERRUPTED);
}

/* --- publishing --- */

static void
next_wave(struct dispatch *s)
{
	size_t n = s->job->n_hosts - s->given;

	s->idle = false;
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
	give_up(s, why);
	if (n->open > 0)
		end_wait(s);
}

static void
dispatch_on_wave(void *arg)
{
	struct dispatch *s = arg;
	struct waves_count n;

	look_at_waves(s, &n);
	switch (waves_step(&s->arg->waves, &n)) {
	case WAVES_WAIT:
		loop_timer_arm(s->wave, WAVE_LOOK_MS);
		break;
	case WAVES_NEXT:
		next_wave(s);
		break;
	case WAVES_STOP:
		stop_waves(s, &n);
		break;
	case WAVES_ENDED:
		end_wait(s);
		break;
	}
}

/* Some host's queue has not taken it: which, nobody says. A host that has it knows it again. */
static void
send_again_by_name(struct dispatch *s)
{
	log_info("runner", "the broker refused it for some host: sent again by name, job=%s",
	    s->job->id);
	s->by_name = true;
	s->n_unroutable = 0; /* each is told by its own answer now */
	s->first_item = 1;
	for (size_t i = 0; i < s->job->n_hosts; i++)
		publisher_add(s->send, s->job->hosts[i]);
}

static void
dispatch_on_absent(size_t host, void *arg)
{
	struct dispatch *s = arg;

	if (s->by_name || s->absent[host])
		return;
	s->absent[host] = true;
	s->n_unroutable++;
}

static void
take_refusal(struct dispatch *s, size_t host, const char *why)
{
	char *text;

	if (s->refused++ == 0)
		s->refused_why = xstrdup(why);
	if (!s->by_name)
		return; /* no host is known */
	xasprintf(&text, "refused by the broker: %s", why);
	book(s, host, OUTCOME_UNSENT, text);
	free(text);
}

static void
dispatch_on_answer(size_t item, enum publisher_state state, const char *why, void *arg)
{
	struct dispatch *s = arg;
	size_t host = item - s->first_item;

	switch (state) {
	case PUBLISHER_WAITING:
	case PUBLISHER_UNKNOWN:
		break;
	case PUBLISHER_CONFIRMED:
		s->confirmed++;
		if (!loop_timer_armed(s->note))
			loop_timer_arm(s->note, NOTE_MS);
		break;
	case PUBLISHER_REFUSED:
		if (!s->by_name && s->job->n_hosts > 0 && !s->halted)
			send_again_by_name(s);
		else
			take_refusal(s, host, why);
		break;
	case PUBLISHER_UNROUTABLE:
		if (s->by_name || s->job->n_hosts == 0)
			s->n_unroutable++;
		for (size_t i = 0; !s->by_name && i < s->job->n_hosts; i++)
			dispatch_on_absent(i, s);
		break;
	}
}

static void
dispatch_on_listed(enum store_found found, json_t *rec, const char *why, void *arg)
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
	on_answered(s);
}

/* The broker has answered for all that was given to it. */
static void
on_answered(struct dispatch *s)
{
	static const struct store_filter names = {NULL, 0};

	if (!s->idle || s->looking || s->leaving || s->list == LIST_ASKED)
		return;
	if (s->n_unroutable > 0 && s->list == LIST_NEVER && s->untracked == NULL) {
		s->list = LIST_ASKED;
		store_list(s->req.c->store, &names, dispatch_on_listed, s);
		return;
	}
	book_unroutable(s);
	note_confirmed(s);
	outcome_writer_flush(s->books);
	if (s->follow == NULL) {
		report(s);
		return;
	}
	tell_sent(s);
	s->wave_since = loop_now(s->loop);
	if ((s->given < s->job->n_hosts || s->arg->waves.time_ms > 0) && !s->halted)
		loop_timer_arm(s->wave, WAVE_LOOK_MS);
}

static void
dispatch_on_idle(void *arg)
{
	struct dispatch *s = arg;

	if (s->idle || s->leaving)
		return;
	s->idle = true;
	on_answered(s);
}

static void
dispatch_on_present(const char *why, void *arg)
{
	struct dispatch *s = arg;

	s->looking = false;
	if (why != NULL && !s->by_name)
		runner_say("not all hosts were looked at, whether they have a queue: %s", why);
	on_answered(s);
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

	s->looking = true;
	s->presence = presence_start(s->loop, &req, &presence_handlers, s);
}

static void
dispatch_on_failed(const char *text, void *arg)
{
	struct dispatch *s = arg;

	if (s->leaving)
		return;
	if (s->follow != NULL)
		job_follow_make_room(s->follow);
	runner_say("%s", text);
	give_up(s, text);
	if (s->confirmed > 0)
		runner_say("sent to %zu of %zu hosts, the others are unsent; job %s", s->confirmed,
		    s->job->n_hosts, s->job->id);
	else if (s->writing)
		runner_say("unsent; job %s", s->job->id);
	leave(s, RUNNER_TROUBLE);
}

/* --- the job --- */

static void
publish(struct dispatch *s)
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
	next_wave(s);
	if (!s->by_name && s->untracked == NULL && s->job->n_hosts > 0)
		look_for_queues(s);
}

static void
dispatch_on_written(bool ok, const char *what, void *arg)
{
	struct dispatch *s = arg;

	s->written = true;
	s->wrote = ok;
	if (s->leaving) {
		leave_if_settled(s);
		return;
	}
	if (!ok && s->follow != NULL) {
		runner_say("the job cannot be written to the store: %s; nothing was sent", what);
		xasprintf(&s->unsent_why, "the job cannot be written to the store: %s", what);
		leave(s, RUNNER_TROUBLE);
		return;
	}
	if (!ok) {
		s->trouble = xstrdup(what);
		s->untracked = s->trouble;
	}
	if (s->follow != NULL)
		job_watch_start(job_follow_watch(s->follow));
	if (s->arg->wait_ms > 0)
		loop_timer_arm(s->deadline, s->arg->wait_ms);
	publish(s);
}

static void
begin_if_ready(struct dispatch *s)
{
	if (!s->send_ready || (s->follow != NULL && !s->follow_ready) || s->writing || s->leaving)
		return;
	s->writing = true;
	if (s->untracked == NULL)
		store_job_add(s->req.c->store, s->job, dispatch_on_written, s);
	else
		publish(s);
}

static void
dispatch_on_send_ready(void *arg)
{
	struct dispatch *s = arg;

	s->send_ready = true;
	begin_if_ready(s);
}

static void
dispatch_on_follow_ready(void *arg)
{
	struct dispatch *s = arg;

	s->follow_ready = true;
	begin_if_ready(s);
}

static const struct publisher_handlers publisher_handlers = {
    .on_ready = dispatch_on_send_ready,
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
	    .on_ready = dispatch_on_follow_ready,
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
	report_end(&s);
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
