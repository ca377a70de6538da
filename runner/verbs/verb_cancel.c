/* SPDX-License-Identifier: Apache-2.0 */
/* "cancel JOB": tells the hosts that have not answered, and then the ledger, so that the books say
 * so of hosts that are off too. What a host answers after all counts more than that. */
#include "runner/interrupt.h"
#include "runner/job/dispatch.h"
#include "runner/job/job_lookup.h"
#include "runner/job/job_state.h"
#include "runner/job/outcome_writer.h"
#include "runner/job/publisher.h"
#include "runner/print/output.h"
#include "shared/base/ident.h"
#include "shared/base/printable.h"
#include "shared/base/trouble.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/store/store.h"
#include "shared/wire/jsonx.h"
#include "shared/wire/wire.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CANCEL_TTL_MS (24 * INT64_C(3600) * 1000) /* at least */

struct cancelling {
	struct runner_context *c;
	const struct job *job;
	struct hosts open;
	bool by_name;      /* as the job was not, or as the broker refused it to all at once */
	size_t first_item; /* of open, in send */
	struct publisher *send;
	struct outcome_writer *books;
	size_t refused;
	char *refused_why;
	bool begun;
	int status;
};

static void
end(struct cancelling *k, int status)
{
	k->status = status;
	loop_stop(k->c->loop);
}

static void
report(const struct cancelling *k)
{
	const struct runner_arguments *a = k->c->arg;
	size_t cancelled = k->open.n - k->refused;
	json_t *obj;

	if (a->json || a->jsonl) {
		obj = json_object();
		jsonx_set_str(obj, "kind", "cancel");
		jsonx_set_str(obj, "job", k->job->id);
		jsonx_set_int(obj, "targets", (json_int_t)k->job->n_hosts);
		jsonx_set_int(obj, "cancelled", (json_int_t)cancelled);
		output_event(stdout, obj);
	} else if (!a->quiet) {
		printable_line(stdout, "cancelled job %s: %zu of %zu hosts had not answered",
		    k->job->id, cancelled, k->job->n_hosts);
	}
}

static void
cancelling_on_books(const struct trouble *why, void *arg)
{
	struct cancelling *k = arg;

	if (why != NULL) {
		runner_say(
		    "the hosts were told, but not the ledger: " TROUBLE_FMT, TROUBLE_ARGS(why));
		end(k, RUNNER_TROUBLE);
		return;
	}
	report(k);
	end(k, k->refused > 0 ? RUNNER_TROUBLE : RUNNER_OK);
}

static void
send_by_name(struct cancelling *k)
{
	k->first_item = k->by_name ? 0 : 1;
	k->by_name = true;
	for (size_t i = 0; i < k->open.n; i++)
		publisher_add(k->send, k->open.names[i]);
}

static void
cancelling_on_answer(size_t i, enum publisher_state state, const char *why, void *arg)
{
	struct cancelling *k = arg;

	if (state != PUBLISHER_REFUSED)
		return;
	if (!k->by_name)
		send_by_name(k);
	else if (k->refused++ == 0)
		k->refused_why = xstrdup(why);
}

/* Books those that were told, and those that have no queue; not those that the broker told
 * nothing. */
static void
book(struct cancelling *k)
{
	struct outcome o;
	char *why;

	xasprintf(&why, "by \"vogeler-runner cancel\"");
	for (size_t i = 0; i < k->open.n; i++) {
		if (k->by_name && publisher_state(k->send, k->first_item + i) == PUBLISHER_REFUSED)
			continue;
		outcome_init(&o);
		o.host = k->open.names[i];
		o.state = OUTCOME_CANCELLED;
		o.why = why;
		o.at = wallclock_ms();
		outcome_writer_add(k->books, &o);
	}
	free(why);
}

static void
cancelling_on_idle(void *arg)
{
	struct cancelling *k = arg;

	if (!k->begun)
		return;
	k->begun = false;
	if (k->refused > 0)
		runner_say("the broker refused the cancel to %zu of %zu hosts: %s", k->refused,
		    k->open.n, k->refused_why);
	book(k);
	if (outcome_writer_settled(k->books))
		end(k, RUNNER_TROUBLE);
	outcome_writer_flush(k->books);
}

static void
cancelling_on_failed(const char *text, void *arg)
{
	runner_say("%s", text);
	end(arg, RUNNER_TROUBLE);
}

static void
cancelling_on_interrupt(void *arg)
{
	struct cancelling *k = arg;

	runner_say("interrupted; whether job %s is cancelled is not known", k->job->id);
	end(k, RUNNER_INTERRUPTED);
}

/* A cancel outlives what runs beyond the not_after of its command, and a host's clock that is
 * behind. */
static int64_t
cancel_not_after(const struct job *job, int64_t now)
{
	if (job->not_after == 0)
		return 0;
	return job->not_after > now + CANCEL_TTL_MS ? job->not_after : now + CANCEL_TTL_MS;
}

static void
cancelling_on_ready(void *arg)
{
	struct cancelling *k = arg;
	char id[IDENT_SIZE];
	const int64_t now = wallclock_ms();
	const struct command command = {
	    .job = id,
	    .cancels = k->job->id,
	    .sent_at = now,
	    .not_after = cancel_not_after(k->job, now),
	};

	ident_job(id, now);
	publisher_set_command(k->send, &command);
	k->begun = true;
	if (k->by_name)
		send_by_name(k);
	else
		publisher_add(k->send, NULL);
}

static const struct publisher_handlers handlers = {
    .on_ready = cancelling_on_ready,
    .on_answer = cancelling_on_answer,
    .on_idle = cancelling_on_idle,
    .on_failed = cancelling_on_failed,
};

static int
tell(struct cancelling *k, struct interrupt *interrupt)
{
	struct runner_context *c = k->c;
	const struct publisher_request req = {
	    .options = &c->cli->options,
	    .brokers = c->brokers,
	    .n_brokers = c->n_brokers,
	    .confirm_ms = c->arg->confirm_ms,
	};

	interrupt->arg = k;
	interrupt->fn = cancelling_on_interrupt;
	k->books = outcome_writer_create(c->loop, c->store, k->job->id, cancelling_on_books, k);
	k->send = publisher_create(c->loop, &req, &handlers, k);
	loop_run(c->loop);
	interrupt->fn = NULL;
	publisher_destroy(k->send);
	store_close(c->store);
	c->store = NULL;
	outcome_writer_destroy(k->books);
	free(k->refused_why);
	return k->status;
}

static void
say_finished(const struct cancelling *k)
{
	const struct runner_arguments *a = k->c->arg;

	if (a->json || a->jsonl)
		report(k);
	else if (!a->quiet)
		printable_line(stdout,
		    "job %s is finished: each of its hosts has an answer or cannot have one; there "
		    "was nothing to cancel",
		    k->job->id);
}

static int
cancel(struct runner_context *c, struct interrupt *interrupt, const struct job *job)
{
	struct cancelling k = {.c = c, .job = job, .status = RUNNER_TROUBLE};
	struct fold *fold;
	int status = job_state_load(c, job, interrupt, &fold);

	if (status != RUNNER_OK)
		return status;
	/* An expired command may still be running, which only its host knows; what was not
	 * confirmed may have arrived. */
	job_state_hosts(
	    fold, 1U << OUTCOME_QUEUED | 1U << OUTCOME_EXPIRED | 1U << OUTCOME_UNSENT, &k.open);
	fold_destroy(fold);
	k.by_name = !dispatch_was_broadcast(job);
	if (k.open.n > 0)
		status = tell(&k, interrupt);
	else
		say_finished(&k);
	hosts_finish(&k.open);
	return status;
}

int
verb_cancel(struct runner_context *c)
{
	struct interrupt interrupt;
	struct job job;
	int status;

	interrupt_init(&interrupt, c->loop);
	status = job_lookup(c, &interrupt, c->arg->words[0], &job);
	if (status != RUNNER_OK)
		return status;
	status = cancel(c, &interrupt, &job);
	job_finish(&job);
	return status;
}
