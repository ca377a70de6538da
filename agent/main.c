/* vogeler-agent: on every host. Runs the plugins that are declared here when told to, and sends
 * what they print. See agent.h (run) and verbs.h (list, exec). */
#include "agent/agent.h"
#include "agent/registry.h"
#include "agent/verbs.h"
#include "shared/base/ident.h"
#include "shared/config/cli.h"
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

/* The folder may be missing on a machine that is none of the inventory, but not for the service. */
static bool
check(const struct cli *cli, bool as_service)
{
	return registry_check(agent_plugin_dir(cli, plugin_dir), !as_service);
}

static const struct cli_spec spec = {
    .program = "vogeler-agent",
    .usage = "[OPTION...] run|list|exec PLUGIN",
    .examples = "Examples:\n"
		"  vogeler-agent -c /etc/vogeler/vogeler.conf run\n"
		"  vogeler-agent -p ./plugins --qhost amqp://broker.example.com/vogeler run -o\n"
		"  vogeler-agent -p ./plugins list\n"
		"  vogeler-agent -p ./plugins exec facter\n"
		"\n"
		"Commands:\n"
		"  run          take commands from the broker until told to stop\n"
		"  list         show the plugins that are registered here\n"
		"  exec PLUGIN  run one plugin here, show what would be sent; no broker\n",
    .table = option_table,
    .uses_broker = true,
    .service = "run",
    .check = check,
};

static size_t
count_args(const struct cli *cli)
{
	size_t n = 0;

	while (cli->args != NULL && cli->args[n] != NULL)
		n++;
	return n;
}

static int
dispatch(struct cli *cli)
{
	size_t n = count_args(cli);
	const char *verb = n > 0 ? cli->args[0] : NULL;
	const char *dir = agent_plugin_dir(cli, plugin_dir);

	if (verb == NULL)
		cli_usage_error(cli, "what to do? One of run, list, exec PLUGIN");
	if (oneshot && strcmp(verb, "run") != 0)
		cli_usage_error(cli, "--oneshot belongs to run");
	if (strcmp(verb, "run") == 0 && n == 1)
		return agent_run(cli, plugin_dir, oneshot != 0);
	if (strcmp(verb, "list") == 0 && n == 1)
		return verbs_list(dir);
	if (strcmp(verb, "exec") == 0 && n == 2)
		return verbs_exec(cli, dir, cli->args[1]);
	if (strcmp(verb, "exec") == 0 && n == 1)
		cli_usage_error(cli, "exec needs the name of a plugin");
	if (strcmp(verb, "run") == 0 || strcmp(verb, "list") == 0 || strcmp(verb, "exec") == 0)
		cli_usage_error(cli, "'%s' is one argument too many", cli->args[n - 1]);
	cli_usage_error(cli, "there is no command '%s'; there are run, list and exec", verb);
}

int
main(int argc, char **argv)
{
	struct cli cli;
	int status;

	cli_init(&cli, &spec, argc, argv);
	ident_init();
	status = dispatch(&cli);
	cli_finish(&cli);
	free(plugin_dir);
	return status;
}
