/* SPDX-License-Identifier: Apache-2.0 */
/* See send_report.h. */
#include "runner/job/send_report.h"

#include "runner/print/output.h"
#include "shared/base/name.h"
#include "shared/base/printable.h"
#include "shared/base/xalloc.h"
#include "shared/config/cli_stdout.h"
#include "shared/store/job.h"
#include "shared/target/target.h"
#include "shared/wire/jsonx.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_SHOWN 5

const char *
send_report_whom(const struct job *job, bool broadcast, size_t n, char out[SEND_REPORT_WHOM_SIZE])
{
	if (broadcast)
		snprintf(out, SEND_REPORT_WHOM_SIZE, "all");
	else if (n == 1 && job->n_hosts == 1)
		snprintf(out, SEND_REPORT_WHOM_SIZE, "%s", job->hosts[0]);
	else
		snprintf(out, SEND_REPORT_WHOM_SIZE, "%zu host%s", n, n == 1 ? "" : "s");
	return out;
}

int
send_report_status(const struct send_report *s)
{
	if (s->n_refused > 0)
		return RUNNER_TROUBLE;
	return s->n_unroutable > 0 ? RUNNER_NO_SUCH_HOST : RUNNER_OK;
}

/* The store knows them. */
static void
say_without_queue(const struct send_report *s, const char *const *hosts, size_t n)
{
	char *names = names_some(hosts, n, NAMES_SHOWN);

	if (s->job->n_hosts == 1)
		runner_say("%s: " SEND_REPORT_NO_QUEUE
			   ", and nothing was sent; " SEND_REPORT_NO_QUEUE_CURE,
		    hosts[0]);
	else
		runner_say("%zu of %zu: " SEND_REPORT_NO_QUEUE ": %s; " SEND_REPORT_NO_QUEUE_CURE,
		    n, s->job->n_hosts, names);
	free(names);
}

static void
say_no_such_host(const struct send_report *s, const char *const *hosts, size_t n)
{
	char *names = names_some(hosts, n, NAMES_SHOWN);

	if (s->job->n_hosts == 1)
		runner_say("%s: no such host: it %s, and nothing was sent; start "
			   "vogeler-agent there once, or see \"vogeler-admin hosts\" for the names",
		    hosts[0], s->known != NULL ? "was never seen" : "has no queue at the broker");
	else
		runner_say(
		    "%zu of %zu: no such host: %s; see \"vogeler-admin hosts\" for the names", n,
		    s->job->n_hosts, names);
	free(names);
}

static void
say_unroutable(const struct send_report *s)
{
	const char **known = xcalloc(s->n_unroutable, sizeof(*known));
	const char **unknown = xcalloc(s->n_unroutable, sizeof(*unknown));
	size_t n_known = 0, n_unknown = 0;

	for (size_t i = 0; i < s->n_unroutable; i++) {
		if (s->known != NULL && hosts_has(s->known, s->unroutable[i]))
			known[n_known++] = s->unroutable[i];
		else
			unknown[n_unknown++] = s->unroutable[i];
	}
	if (n_known > 0)
		say_without_queue(s, known, n_known);
	if (n_unknown > 0)
		say_no_such_host(s, unknown, n_unknown);
	free(known);
	free(unknown);
}

static void
say_what_was_not(const struct send_report *s)
{
	char *names;

	if (s->n_unroutable > 0 && s->unroutable != NULL)
		say_unroutable(s);
	else if (s->n_unroutable > 0)
		runner_say("no host has been seen yet: nothing was sent; start vogeler-agent on "
			   "one first");
	if (s->n_refused == 0)
		return;
	if (s->refused == NULL) {
		runner_say("unsent: the broker refused the command: %s", s->refused_why);
		return;
	}
	names = names_some(s->refused, s->n_refused, NAMES_SHOWN);
	runner_say("%zu of %zu unsent, refused by the broker: %s: %s; send it again with "
		   "\"vogeler-runner rerun %s\" when it has room",
	    s->n_refused, s->job->n_hosts, s->refused_why, names, s->job->id);
	free(names);
}

json_t *
send_report_json(const struct send_report *s)
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
	for (size_t i = 0; s->unroutable != NULL && i < s->n_unroutable; i++)
		json_array_append_new(none, json_string(s->unroutable[i]));
	json_object_set_new(obj, "unroutable", none);
	if (s->n_refused > 0)
		jsonx_set_int(obj, "refused", (json_int_t)s->n_refused);
	jsonx_set_str(obj, "unsent", s->unsent);
	json_object_set_new(obj, "tracked", json_boolean(s->untracked == NULL));
	jsonx_set_str(obj, "untracked", s->untracked);
	return obj;
}

void
send_report_print(const struct send_report *s, const struct runner_arguments *a)
{
	char whom[SEND_REPORT_WHOM_SIZE];

	if (a->json || a->jsonl)
		output_event(stdout, send_report_json(s));
	else if (s->confirmed > 0 && a->quiet)
		printable_line(stdout, "%s", s->job->id);
	else if (s->confirmed > 0)
		printable_line(stdout, "sent %s to %s, job %s", s->job->plugin,
		    send_report_whom(s->job, s->broadcast, s->confirmed, whom), s->job->id);
	/* Its status says that something went wrong: it is not the sending. */
	if (cli_stdout_error() != NULL && s->confirmed > 0)
		runner_say("sent %s to %s all the same, job %s", s->job->plugin,
		    send_report_whom(s->job, s->broadcast, s->confirmed, whom), s->job->id);
	say_what_was_not(s);
	if (s->untracked != NULL && s->confirmed > 0 && !a->quiet)
		runner_say("outcomes are not tracked: %s", s->untracked);
}
