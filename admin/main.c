/* vogeler-admin: sets up, looks, reports. */
#include "admin/verb.h"

#include "shared/ident.h"
#include "shared/loop.h"
#include "shared/store/store.h"
#include "shared/units.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct verb verbs[] = {
    /* sorted; the same rows as in --help and vogeler-admin(8) */
    {"doctor", "check each link: configuration, broker, store, collector", 0, 0, true, false,
	verb_doctor},
    {"hosts", "list the hosts: last seen, plugins, last error", 0, 0, false, false, verb_hosts},
    {"setup", "make exchanges, queues (of hosts too), database, design documents", 0, 4096, false,
	true, verb_setup},
    {"show", "show the record of a host, or one plugin of it", 1, 2, false, false, verb_show},
};

static int opt_json;
static char *opt_design, *opt_timeout;

#define TIMEOUT_MS     (5 * 60 * 1000)
#define TIMEOUT_MAX_MS (UINT64_C(24) * 3600 * 1000)

static struct poptOption table[] = {
    {"json", '\0', POPT_ARG_NONE, &opt_json, 0, "Print JSON: records as stored", NULL},
    {"design", '\0', POPT_ARG_STRING, &opt_design, 0,
	"setup: folder of the design documents to load", "DIR"},
    {"timeout", '\0', POPT_ARG_STRING, &opt_timeout, 0,
	"doctor: end after that long, done or not (5min)", "DURATION"},
    POPT_TABLEEND,
};

static const struct cli_spec spec = {
    .program = "vogeler-admin",
    .usage = "[OPTION...] doctor | hosts | setup [HOST...] | show HOST [PLUGIN]",
    .examples = "  vogeler-admin setup\n"
		"  vogeler-admin doctor\n"
		"  vogeler-admin hosts\n"
		"  vogeler-admin show web01 facter\n"
		"  vogeler-admin show web01 --json | jq .facter\n",
    .table = table,
    .uses_broker = true,
    .uses_store = true,
    .examiner = "doctor",
};

void
verb_done(struct verb_context *v, int status)
{
	v->status = status;
	loop_stop(v->loop);
}

void
verb_fail(struct verb_context *v, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	cli_vcomplain("vogeler-admin", fmt, ap);
	va_end(ap);
	verb_done(v, VERB_TROUBLE);
}

static const struct verb *
find_verb(const struct cli *cli)
{
	const char *name = cli->args[0];
	int n = 0;

	if (name == NULL)
		cli_usage_error(cli, "what is to be done? One of: doctor, hosts, setup, show");
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(verbs[i].name, name) != 0)
			continue;
		while (cli->args[n + 1] != NULL)
			n++;
		if (n < verbs[i].min_args)
			cli_usage_error(cli, "%s: a host name is missing", name);
		if (n > verbs[i].max_args)
			cli_usage_error(cli, "%s: \"%s\" is one too many", name, cli->args[n]);
		return &verbs[i];
	}
	cli_usage_error(cli, "no such verb: \"%s\"; there are: doctor, hosts, setup, show", name);
}

/* In the middle of something: what is open ends with the program. */
static void
admin_on_signal(int signo, void *arg)
{
	exit(128 + signo);
}

static uint64_t
timeout_ms(const struct cli *cli)
{
	uint64_t ms = TIMEOUT_MS;

	if (opt_timeout != NULL &&
	    (!units_parse_ms(opt_timeout, &ms) || ms == 0 || ms > TIMEOUT_MAX_MS))
		cli_usage_error(cli,
		    "--timeout: \"%s\" should be a duration of at most 24h, such as 30s",
		    opt_timeout);
	return ms;
}

int
main(int argc, char **argv)
{
	struct verb_context v = {.status = VERB_TROUBLE};
	const struct verb *verb;
	struct uri store_uri = {0};
	struct cli cli;
	char err[512];

	cli_init(&cli, &spec, argc, argv);
	verb = find_verb(&cli);
	if (!verb->without_store)
		cli_store(&cli, &store_uri);
	ident_init();
	v.cli = &cli;
	v.args = cli.args + 1;
	v.json = opt_json != 0;
	v.design = opt_design;
	v.timeout_ms = timeout_ms(&cli);
	v.loop = loop_create();
	loop_signal(v.loop, SIGINT, admin_on_signal, &v);
	loop_signal(v.loop, SIGTERM, admin_on_signal, &v);
	if (!verb->without_store)
		v.store = store_open(v.loop, &store_uri, &cli.options,
		    verb->makes ? STORE_MAKE : STORE_USE, err, sizeof(err));
	if (v.store == NULL && !verb->without_store) {
		cli_complain("vogeler-admin", "%s", err);
	} else {
		verb->run(&v);
		loop_run(v.loop);
	}
	store_close(v.store);
	loop_destroy(v.loop);
	uri_finish(&store_uri);
	free(opt_design);
	free(opt_timeout);
	cli_finish(&cli);
	if (fflush(stdout) != 0 && v.status == VERB_OK)
		v.status = VERB_TROUBLE;
	return v.status;
}
