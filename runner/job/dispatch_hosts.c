/* SPDX-License-Identifier: Apache-2.0 */
/* This brings what the runner itself learns of hosts (no queue, refused, never sent) to the ledger
 * and to the screen: see dispatch_internal.h. */
#include "runner/job/dispatch_internal.h"

#include "runner/job/outcome_writer.h"
#include "runner/job/presence.h"
#include "runner/job/send_report.h"
#include "shared/base/log.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/store/job.h"
#include <stdio.h>
#include <stdlib.h>

#define NOTE_MS 200 /* confirms of so long are written to the ledger at once */

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
	if (s->untracked == NULL && s->record != RECORD_NONE)
		outcome_writer_add(s->books, &o);
}

/* Its outcome goes to the ledger, and to who follows. */
static void
book(struct dispatch *s, size_t host, enum outcome_state state, const char *why)
{
	book_as(s, s->job->hosts[host], state, why);
}

/* Notes of a broadcast that each host has it, which may be said only when it is known who cannot.
 * One note stands for all, if all are confirmed by then. */
void
dispatch_note_confirmed(struct dispatch *s)
{
	bool all = s->n_noted == 0 && (!s->by_name || s->confirmed == s->job->n_hosts);

	loop_timer_disarm(s->note);
	if (s->confirmed == s->n_noted || s->presence != NULL)
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

static bool
is_unroutable(const struct dispatch *s, size_t host)
{
	return s->by_name ? state_of(s, host) == PUBLISHER_UNROUTABLE : s->absent[host];
}

void
dispatch_book_unroutable(struct dispatch *s)
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

size_t
dispatch_give_up(struct dispatch *s, const char *why)
{
	char *cancelled, *unsent;
	size_t n = 0;

	xasprintf(&cancelled, "never sent: %s", why);
	xasprintf(&unsent, "not confirmed by the broker: %s", why);
	presence_destroy(s->presence);
	s->presence = NULL;
	if (s->unsent_why == NULL)
		s->unsent_why = xstrdup(why);
	loop_timer_disarm(s->wave);
	publisher_halt(s->send);
	dispatch_book_unroutable(s);
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
	dispatch_note_confirmed(s);
	outcome_writer_flush(s->books);
	free(cancelled);
	free(unsent);
	return n;
}

static void
sent_make(const struct dispatch *s, struct send_report *sent)
{
	const char *untracked = s->untracked;
	size_t n_unroutable = 0, n_refused = 0;
	bool all = s->by_name ? s->confirmed + s->refused + s->n_unroutable == s->job->n_hosts
			      : s->confirmed > 0;

	if (untracked == NULL && s->record != RECORD_STORED)
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

int
dispatch_report(struct dispatch *s)
{
	struct send_report sent;
	int status;

	sent_make(s, &sent);
	send_report_print(&sent, s->arg);
	s->printed = true;
	status = send_report_status(&sent);
	sent_free(&sent);
	return status;
}

void
dispatch_report_end(struct dispatch *s)
{
	struct send_report sent;

	if (s->printed || (!s->arg->json && !s->arg->jsonl))
		return;
	sent_make(s, &sent);
	output_event(stdout, send_report_json(&sent));
	sent_free(&sent);
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

void
dispatch_take_absent(struct dispatch *s, size_t host)
{
	if (s->by_name || s->absent[host])
		return;
	s->absent[host] = true;
	s->n_unroutable++;
}

void
dispatch_take_answer(struct dispatch *s, size_t item, enum publisher_state state, const char *why)
{
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
		if (!s->by_name && s->job->n_hosts > 0 && s->unsent_why == NULL)
			send_again_by_name(s);
		else
			take_refusal(s, host, why);
		break;
	case PUBLISHER_UNROUTABLE:
		if (s->by_name || s->job->n_hosts == 0)
			s->n_unroutable++;
		for (size_t i = 0; !s->by_name && i < s->job->n_hosts; i++)
			dispatch_take_absent(s, i);
		break;
	}
}
