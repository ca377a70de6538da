/* "cancel JOB": tells the hosts that have not answered, and then the ledger, so that the books say
 * so of hosts that are off too. What a host answers after all counts more than that. */
#include "runner/books.h"
#include "runner/interrupt.h"
#include "runner/lookup.h"
#include "runner/output.h"
#include "runner/send.h"
#include "runner/sending.h"
#include "runner/standing.h"
#include "shared/ident.h"
#include "shared/jsonx.h"
#include "shared/loop.h"
#include "shared/store/store.h"
#include "shared/wall.h"
#include "shared/wire.h"
#include "shared/xalloc.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cancelling {
	struct runner_context *c;
	const struct job *job;
	struct hosts open;
	bool broadcast; /* as the job was */
	struct send *send;
	struct books *books;
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
	size_t cancelled = k->open.n - (k->broadcast ? 0 : k->refused);
	json_t *obj;

	if (a->json || a->jsonl) {
		obj = json_object();
		jsonx_set_str(obj, "kind", "cancel");
		jsonx_set_str(obj, "job", k->job->id);
		jsonx_set_int(obj, "targets", (json_int_t)k->job->n_hosts);
		jsonx_set_int(obj, "cancelled", (json_int_t)cancelled);
		output_event(stdout, obj);
	} else if (!a->quiet) {
		printf("cancelled job %s: %zu of %zu hosts had not answered\n", k->job->id,
		    cancelled, k->job->n_hosts);
	}
}

static void
cancelling_on_books(const char *trouble, void *arg)
{
	struct cancelling *k = arg;

	if (trouble != NULL) {
		runner_say("the hosts were told, but not the ledger: %s", trouble);
		end(k, RUNNER_TROUBLE);
		return;
	}
	report(k);
	end(k, k->refused > 0 ? RUNNER_FAILED : RUNNER_OK);
}

static void
cancelling_on_answer(size_t i, enum send_state state, const char *why, void *arg)
{
	struct cancelling *k = arg;

	if (state == SEND_REFUSED && k->refused++ == 0)
		k->refused_why = xstrdup(why);
}

/* Those that were told, and those that have no queue; not those that the broker told nothing. */
static void
book(struct cancelling *k)
{
	struct outcome o;
	char *why;

	xasprintf(&why, "by \"vogeler-runner cancel\"");
	for (size_t i = 0; i < k->open.n; i++) {
		if (send_state(k->send, k->broadcast ? 0 : i) == SEND_REFUSED)
			continue;
		outcome_init(&o);
		o.host = k->open.names[i];
		o.state = OUTCOME_CANCELLED;
		o.why = why;
		o.at = wall_ms();
		books_add(k->books, &o);
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
		runner_say("the broker refused the cancel to %s: %s",
		    k->broadcast ? "some hosts" : "a host", k->refused_why);
	book(k);
	if (books_settled(k->books))
		end(k, RUNNER_TROUBLE);
	books_flush(k->books);
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

static void
cancelling_on_ready(void *arg)
{
	struct cancelling *k = arg;
	char id[IDENT_SIZE];
	const struct command command = {
	    .job = id,
	    .cancels = k->job->id,
	    .sent_at = wall_ms(),
	    .not_after = k->job->not_after,
	};

	ident_job(id, command.sent_at);
	send_set_command(k->send, &command);
	k->begun = true;
	for (size_t i = 0; !k->broadcast && i < k->open.n; i++)
		send_add(k->send, k->open.names[i]);
	if (k->broadcast)
		send_add(k->send, NULL);
}

static const struct send_handlers handlers = {
    .on_ready = cancelling_on_ready,
    .on_answer = cancelling_on_answer,
    .on_idle = cancelling_on_idle,
    .on_failed = cancelling_on_failed,
};

static int
tell(struct cancelling *k, struct interrupt *interrupt)
{
	struct runner_context *c = k->c;
	const struct send_request req = {
	    .options = &c->cli->options,
	    .brokers = c->brokers,
	    .n_brokers = c->n_brokers,
	};

	interrupt->arg = k;
	interrupt->fn = cancelling_on_interrupt;
	k->books = books_create(c->loop, c->store, k->job->id, cancelling_on_books, k);
	k->send = send_create(c->loop, &req, &handlers, k);
	loop_run(c->loop);
	interrupt->fn = NULL;
	send_destroy(k->send);
	store_close(c->store);
	c->store = NULL;
	books_destroy(k->books);
	free(k->refused_why);
	return k->status;
}

static int
cancel(struct runner_context *c, struct interrupt *interrupt, const struct job *job)
{
	struct cancelling k = {.c = c, .job = job, .status = RUNNER_TROUBLE};
	struct fold *fold;
	int status = standing_load(c, job, interrupt, &fold);

	if (status != RUNNER_OK)
		return status;
	standing_hosts(fold, 1U << OUTCOME_QUEUED, &k.open);
	fold_destroy(fold);
	k.broadcast = sending_was_broadcast(job);
	if (k.open.n > 0)
		status = tell(&k, interrupt);
	else
		report(&k);
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
	status = lookup_job(c, &interrupt, c->arg->words[0], &job);
	if (status != RUNNER_OK)
		return status;
	status = cancel(c, &interrupt, &job);
	job_finish(&job);
	return status;
}
