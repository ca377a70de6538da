/* vogeler-runner: puts commands on the queue. What is sent is confirmed by the broker before it is
 * called sent. */
#include "runner/send.h"
#include "shared/cli.h"
#include "shared/ident.h"
#include "shared/loop.h"
#include "shared/name.h"
#include "shared/wall.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* DESIGN 2. */
enum {
	EXIT_SENT = 0,
	EXIT_TROUBLE = 1,
	EXIT_NO_SUCH_HOST = 4,
	EXIT_INTERRUPTED = 130,
};

struct runner {
	struct loop *loop;
	const char *node;
	const char *plugin;
	char job[IDENT_SIZE];
	int status;
};

static char *opt_node;
static char *opt_command;

static struct poptOption table[] = {
    {"node", 'n', POPT_ARG_STRING, &opt_node, 0, "Host to send to, or \"all\"", "NODE|all"},
    {"command", 'x', POPT_ARG_STRING, &opt_command, 0, "Plugin to run: its name or alias",
	"PLUGIN"},
    POPT_TABLEEND,
};

static const struct cli_spec spec = {
    .program = "vogeler-runner",
    .usage = "[OPTION...] -n NODE|all -x PLUGIN",
    .examples = "  vogeler-runner -n all -x facter\n"
		"  vogeler-runner -c /etc/vogeler/vogeler.conf -n web01 -x get_procs\n",
    .table = table,
    .uses_broker = true,
};

static void
report_unroutable(const struct runner *r)
{
	if (strcmp(r->node, "all") == 0)
		fprintf(stderr,
		    "vogeler-runner: no host has been seen yet: nothing was sent; start "
		    "vogeler-agent on one first\n");
	else
		fprintf(stderr,
		    "vogeler-runner: %s: no such host: it was never seen, and nothing was sent; "
		    "start vogeler-agent there once, or see \"vogeler-admin hosts\" for the names\n",
		    r->node);
}

static void
runner_on_sent(enum send_outcome outcome, const char *text, void *arg)
{
	struct runner *r = arg;

	switch (outcome) {
	case SEND_CONFIRMED:
		printf("sent %s to %s, job %s\n", r->plugin, r->node, r->job);
		r->status = EXIT_SENT;
		break;
	case SEND_UNROUTABLE:
		report_unroutable(r);
		r->status = EXIT_NO_SUCH_HOST;
		break;
	case SEND_FAILED:
		fprintf(stderr, "vogeler-runner: %s\n", text);
		r->status = EXIT_TROUBLE;
		break;
	}
	loop_stop(r->loop);
}

static void
runner_on_signal(int signo, void *arg)
{
	struct runner *r = arg;

	fprintf(
	    stderr, "vogeler-runner: interrupted before the broker's confirm; job %s\n", r->job);
	r->status = EXIT_INTERRUPTED;
	loop_stop(r->loop);
}

static void
check_arguments(const struct cli *cli)
{
	const char *why;

	if (opt_node == NULL)
		cli_usage_error(cli, "-n is missing: a host name, or all");
	if (opt_command == NULL)
		cli_usage_error(cli, "-x is missing: the name or alias of a plugin");
	if (cli->args[0] != NULL)
		cli_usage_error(
		    cli, "what is \"%s\"? A host goes with -n, a plugin with -x", cli->args[0]);
	why = strcmp(opt_node, "all") == 0 ? NULL : name_host_error(opt_node);
	if (why != NULL)
		cli_usage_error(cli, "-n \"%s\": %s", opt_node, why);
	why = name_plugin_error(opt_command);
	if (why != NULL)
		cli_usage_error(cli, "-x \"%s\": %s", opt_command, why);
}

int
main(int argc, char **argv)
{
	struct runner r = {.status = EXIT_TROUBLE};
	struct send_request req = {0};
	struct uri *brokers;
	struct send *send;
	struct cli cli;

	cli_init(&cli, &spec, argc, argv);
	check_arguments(&cli);
	cli_brokers(&cli, &brokers, &req.n_brokers);
	ident_init();
	ident_job(r.job, wall_ms());
	r.node = opt_node;
	r.plugin = opt_command;
	r.loop = loop_create();
	loop_signal(r.loop, SIGINT, runner_on_signal, &r);
	loop_signal(r.loop, SIGTERM, runner_on_signal, &r);
	req.options = &cli.options;
	req.brokers = brokers;
	req.node = r.node;
	req.plugin = r.plugin;
	req.job = r.job;
	send = send_create(r.loop, &req, runner_on_sent, &r);
	loop_run(r.loop);
	send_destroy(send);
	loop_destroy(r.loop);
	uri_list_free(brokers, req.n_brokers);
	free(opt_node);
	free(opt_command);
	cli_finish(&cli);
	return fflush(stdout) == 0 ? r.status : EXIT_TROUBLE;
}
