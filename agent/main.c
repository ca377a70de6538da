/* SPDX-License-Identifier: Apache-2.0 */
/* vogeler-agent: on every host. Runs the plugins that are declared here when told to, and sends
 * what they print. See agent.h (run) and verbs.h (list, exec). */
#include "agent/agent.h"
#include "agent/registry.h"
#include "agent/verbs.h"
#include "shared/base/ident.h"
#include "shared/config/cli.h"
#include "shared/config/cli_verbs.h"
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static char *plugin_dir;
static int oneshot;

static struct poptOption option_table[] = {
    {"oneshot", 'o', POPT_ARG_NONE, &oneshot, 0,
	"run: end after one command; -o: this, not --option", NULL},
    {"plugin_dir", 'p', POPT_ARG_STRING, &plugin_dir, 0,
	"where plugins are declared (also --plugin-dir)", "DIR"},
    {"plugin-dir", '\0', POPT_ARG_STRING | POPT_ARGFLAG_DOC_HIDDEN, &plugin_dir, 0, NULL, NULL},
    POPT_TABLEEND,
};

struct agent_verb {
	int (*run)(struct cli *cli);
};

static int
run_service(struct cli *cli)
{
	return agent_run(cli, plugin_dir, oneshot != 0);
}

static int
run_list(struct cli *cli)
{
	return verbs_list(agent_plugin_dir(cli, plugin_dir));
}

static int
run_exec(struct cli *cli)
{
	return verbs_exec(cli, agent_plugin_dir(cli, plugin_dir), cli->args[1]);
}

/* The folder may be missing on a machine that is none of the inventory, but not for the service. */
static bool
check(const struct cli *cli, bool as_service)
{
	return registry_check(agent_plugin_dir(cli, plugin_dir), !as_service);
}

/* clang-format off */
#define OWN(fn) &(const struct agent_verb){fn}

static const struct cli_verb list[] = { /* sorted, as in vogeler-agent(8) */
	{"exec", "PLUGIN", "run one plugin here, show what would be sent; no broker",
	 1, 1, "the name of a plugin", "", OWN(run_exec)},
	{"list", "", "show the plugins that are registered here",
	 0, 0, NULL, "", OWN(run_list)},
	{"run", "", "take commands from the broker until told to stop",
	 0, 0, NULL, "--oneshot", OWN(run_service)},
};
#undef OWN
/* clang-format on */

static const struct cli_verbs verbs = {list, sizeof(list) / sizeof(list[0]), NULL, NULL};

static const struct cli_spec spec = {
    .program = "vogeler-agent",
    .usage = "[OPTION...] COMMAND [PLUGIN]",
    .examples = "  vogeler-agent -c /etc/vogeler/vogeler.conf run\n"
		"  vogeler-agent -p ./plugins --qhost amqp://broker.example.com/vogeler run -o\n"
		"  vogeler-agent -p ./plugins list\n"
		"  vogeler-agent -p ./plugins exec facter\n",
    .table = option_table,
    .verbs = &verbs,
    .common = "--plugin_dir --plugin-dir",
    .uses_broker = true,
    .service = "run",
    .check = check,
};

int
main(int argc, char **argv)
{
	const struct agent_verb *verb;
	struct cli cli;
	int status;

	cli_init(&cli, &spec, argc, argv);
	verb = cli_verb(&cli)->own;
	ident_init();
	status = verb->run(&cli);
	cli_finish(&cli);
	free(plugin_dir);
	return status;
}
