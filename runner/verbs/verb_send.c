/* SPDX-License-Identifier: Apache-2.0 */
/* This is what the runner does without a verb: it sends a command to its targets. */
#include "runner/interrupt.h"
#include "runner/job/dispatch.h"
#include "runner/near_names.h"
#include "runner/plugin_known.h"
#include "runner/target_select.h"
#include "runner/verb.h"
#include "shared/base/ask.h"
#include "shared/base/name.h"
#include "shared/store/job.h"
#include <stdio.h>
#include <unistd.h>

static void
check_arguments(const struct cli *cli, const struct runner_arguments *a)
{
	const char *why;

	if (a->nodes == NULL && a->where == NULL)
		cli_usage_error(cli, "-n is missing: a host name, or all; or --where");
	if (a->plugin == NULL && !a->dry_run)
		cli_usage_error(cli, "-x is missing: the name or alias of a plugin");
	why = a->plugin == NULL ? NULL : name_plugin_error(a->plugin);
	if (why != NULL)
		cli_usage_error(cli, "-x \"%s\": %s", a->plugin, why);
	if ((a->ok || a->failed || a->missing) && !a->wait)
		cli_usage_error(
		    cli, "--ok, --failed and --missing choose what is shown: with --wait");
}

/* --- "are you sure?" --- */

/* Asks, since what was typed may mean more hosts than one thinks, or no plugin; a script is not
 * asked. */
static int
confirm(const struct runner_context *c, const struct target_select *w, bool unknown)
{
	char question[512];
	int signo;

	if ((!unknown && (!w->many || w->hosts.n < 2)) || c->arg->yes || !isatty(STDIN_FILENO) ||
	    !isatty(STDERR_FILENO))
		return RUNNER_OK;
	snprintf(question, sizeof(question), "send %s to %zu host%s?", c->arg->plugin, w->hosts.n,
	    w->hosts.n == 1 ? "" : "s");
	switch (ask_yes_no(question, &signo)) {
	case ASK_YES:
		return RUNNER_OK;
	case ASK_NO:
		runner_say("nothing was sent");
		return RUNNER_TROUBLE;
	case ASK_INTERRUPTED:
		runner_say("interrupted; nothing was sent");
		return RUNNER_INTERRUPTED;
	}
	return RUNNER_TROUBLE;
}

/* --- the verb --- */

static int
send_it(struct runner_context *c, struct target_select *w, struct interrupt *interrupt)
{
	struct dispatch_request req = {
	    .c = c,
	    .interrupt = interrupt,
	    .broadcast = w->all,
	    .untracked = w->untracked != NULL ? w->untracked : c->untracked,
	};
	struct job job;
	int status = RUNNER_TROUBLE;

	if (c->arg->wait && req.untracked != NULL) {
		runner_say("--wait needs the store: %s; nothing was sent", req.untracked);
		return status;
	}
	dispatch_job(&job, c, c->arg->plugin, w->text, &w->hosts);
	req.job = &job;
	status = dispatch_run(&req);
	job_finish(&job);
	return status;
}

int
verb_send(struct runner_context *c)
{
	struct interrupt interrupt;
	struct target_select whom;
	bool unknown = false;
	int status;

	check_arguments(c->cli, c->arg);
	target_select_init(&whom, c);
	interrupt_init(&interrupt, c->loop);
	status = target_select_find(&whom, c, &interrupt);
	if (status == RUNNER_OK && whom.targets.names.n > 0 && !c->arg->quiet)
		status = near_names_tell(c, &interrupt, &whom.targets.names);
	if (status == RUNNER_OK && whom.untracked == NULL && !c->arg->quiet)
		status = plugin_known_tell(c, &interrupt, &whom.hosts, &unknown);
	if (status == RUNNER_OK && c->arg->dry_run)
		target_select_print(&whom.hosts, c->arg);
	else if (status == RUNNER_OK)
		status = confirm(c, &whom, unknown);
	if (status == RUNNER_OK && !c->arg->dry_run)
		status = send_it(c, &whom, &interrupt);
	target_select_finish(&whom);
	return status;
}
