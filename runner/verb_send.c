/* Without a verb: a command to its targets. */
#include "runner/send.h"
#include "runner/verb.h"
#include "shared/ident.h"
#include "shared/loop.h"
#include "shared/name.h"
#include "shared/wall.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

struct sender {
	struct loop *loop;
	const char *node;
	const char *plugin;
	char job[IDENT_SIZE];
	int status;
};

static void
report_unroutable(const struct sender *r)
{
	if (strcmp(r->node, "all") == 0)
		runner_say("no host has been seen yet: nothing was sent; start vogeler-agent on "
			   "one first");
	else
		runner_say("%s: no such host: it was never seen, and nothing was sent; start "
			   "vogeler-agent there once, or see \"vogeler-admin hosts\" for the names",
		    r->node);
}

static void
sender_on_sent(enum send_outcome outcome, const char *text, void *arg)
{
	struct sender *r = arg;

	switch (outcome) {
	case SEND_CONFIRMED:
		printf("sent %s to %s, job %s\n", r->plugin, r->node, r->job);
		r->status = RUNNER_OK;
		break;
	case SEND_UNROUTABLE:
		report_unroutable(r);
		r->status = RUNNER_NO_SUCH_HOST;
		break;
	case SEND_FAILED:
		runner_say("%s", text);
		r->status = RUNNER_TROUBLE;
		break;
	}
	loop_stop(r->loop);
}

static void
sender_on_signal(int signo, void *arg)
{
	struct sender *r = arg;

	runner_say("interrupted before the broker's confirm; job %s", r->job);
	r->status = RUNNER_INTERRUPTED;
	loop_stop(r->loop);
}

static void
check_arguments(const struct cli *cli, const struct runner_arguments *a)
{
	const char *why;

	if (a->nodes == NULL)
		cli_usage_error(cli, "-n is missing: a host name, or all");
	if (a->plugin == NULL)
		cli_usage_error(cli, "-x is missing: the name or alias of a plugin");
	why = strcmp(a->nodes[0], "all") == 0 ? NULL : name_host_error(a->nodes[0]);
	if (why != NULL)
		cli_usage_error(cli, "-n \"%s\": %s", a->nodes[0], why);
	why = name_plugin_error(a->plugin);
	if (why != NULL)
		cli_usage_error(cli, "-x \"%s\": %s", a->plugin, why);
}

int
verb_send(struct runner_context *c)
{
	struct sender r = {.status = RUNNER_TROUBLE};
	struct send_request req = {0};
	struct send *send;

	check_arguments(c->cli, c->arg);
	ident_job(r.job, wall_ms());
	r.loop = c->loop;
	r.node = c->arg->nodes[0];
	r.plugin = c->arg->plugin;
	loop_signal(r.loop, SIGINT, sender_on_signal, &r);
	loop_signal(r.loop, SIGTERM, sender_on_signal, &r);
	req.options = &c->cli->options;
	req.brokers = c->brokers;
	req.n_brokers = c->n_brokers;
	req.node = r.node;
	req.plugin = r.plugin;
	req.job = r.job;
	send = send_create(r.loop, &req, sender_on_sent, &r);
	loop_run(r.loop);
	send_destroy(send);
	return r.status;
}
