/* See sent.h. */
#include "runner/sent.h"

#include "runner/output.h"
#include "shared/jsonx.h"
#include "shared/store/ledger.h"
#include <stdio.h>
#include <string.h>

#define NAMES_SHOWN 5

const char *
sent_whom(const struct job *job, bool broadcast, size_t n, char out[SENT_WHOM_SIZE])
{
	if (broadcast)
		snprintf(out, SENT_WHOM_SIZE, "all");
	else if (n == 1 && job->n_hosts == 1)
		snprintf(out, SENT_WHOM_SIZE, "%s", job->hosts[0]);
	else
		snprintf(out, SENT_WHOM_SIZE, "%zu host%s", n, n == 1 ? "" : "s");
	return out;
}

int
sent_status(const struct sent *s)
{
	if (s->refused > 0)
		return s->confirmed > 0 ? RUNNER_FAILED : RUNNER_TROUBLE;
	return s->n_unroutable > 0 ? RUNNER_NO_SUCH_HOST : RUNNER_OK;
}

static void
say_unroutable(const struct sent *s)
{
	char names[NAMES_SHOWN * 256 + 64];
	size_t at = 0;

	if (s->broadcast) {
		runner_say("no host has been seen yet: nothing was sent; start vogeler-agent on "
			   "one first");
		return;
	}
	if (s->job->n_hosts == 1) {
		runner_say("%s: no such host: it was never seen, and nothing was sent; start "
			   "vogeler-agent there once, or see \"vogeler-admin hosts\" for the names",
		    s->job->hosts[0]);
		return;
	}
	for (size_t i = 0; i < s->n_unroutable && i < NAMES_SHOWN; i++)
		at += (size_t)snprintf(
		    names + at, sizeof(names) - at, "%s%s", i > 0 ? ", " : "", s->unroutable[i]);
	if (s->n_unroutable > NAMES_SHOWN)
		snprintf(
		    names + at, sizeof(names) - at, " and %zu more", s->n_unroutable - NAMES_SHOWN);
	runner_say("%zu of %zu: no such host: %s; see \"vogeler-admin hosts\" for the names",
	    s->n_unroutable, s->job->n_hosts, names);
}

static void
say_what_was_not(const struct sent *s)
{
	if (s->n_unroutable > 0)
		say_unroutable(s);
	if (s->refused > 0 && s->job->n_hosts > 1 && !s->broadcast)
		runner_say("%zu of %zu refused by the broker: %s", s->refused, s->job->n_hosts,
		    s->refused_why);
	else if (s->refused > 0)
		runner_say("the broker refused the command: %s", s->refused_why);
}

json_t *
sent_json(const struct sent *s)
{
	json_t *obj = json_object(), *none = json_array();

	jsonx_set_str(obj, "kind", "sent");
	jsonx_set_str(obj, "job", s->job->id);
	jsonx_set_str(obj, "plugin", s->job->plugin);
	jsonx_set_str(obj, "target", s->job->target);
	jsonx_set_str(obj, "rerun_of", s->job->rerun_of);
	jsonx_set_int(obj, "targets", (json_int_t)s->job->n_hosts);
	json_object_set_new(obj, "broadcast", json_boolean(s->broadcast));
	if (!s->broadcast)
		jsonx_set_int(obj, "sent", (json_int_t)s->confirmed);
	for (size_t i = 0; !s->broadcast && i < s->n_unroutable; i++)
		json_array_append_new(none, json_string(s->unroutable[i]));
	json_object_set_new(obj, "unroutable", none);
	if (s->refused > 0)
		jsonx_set_int(obj, "refused", (json_int_t)s->refused);
	json_object_set_new(obj, "tracked", json_boolean(s->untracked == NULL));
	jsonx_set_str(obj, "untracked", s->untracked);
	return obj;
}

void
sent_print(const struct sent *s, const struct runner_arguments *a)
{
	char whom[SENT_WHOM_SIZE];

	if (a->json || a->jsonl)
		output_event(stdout, sent_json(s));
	else if (s->confirmed > 0 && a->quiet)
		printf("%s\n", s->job->id);
	else if (s->confirmed > 0)
		printf("sent %s to %s, job %s\n", s->job->plugin,
		    sent_whom(s->job, s->broadcast, s->confirmed, whom), s->job->id);
	fflush(stdout);
	say_what_was_not(s);
	if (s->untracked != NULL && s->confirmed > 0 && !a->quiet)
		runner_say("outcomes are not tracked: %s", s->untracked);
}
