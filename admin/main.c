/* SPDX-License-Identifier: Apache-2.0 */
/* vogeler-admin: sets up, looks, reports. */
#include "admin/verb.h"

#include "shared/base/ident.h"
#include "shared/base/trouble.h"
#include "shared/base/units.h"
#include "shared/base/xalloc.h"
#include "shared/config/cli_verbs.h"
#include "shared/config/complain.h"
#include "shared/event/loop.h"
#include "shared/query/jq_child.h"
#include "shared/store/store.h"

#include <locale.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* This is what main() itself does for a verb. */
struct admin_verb {
	bool without_store; /* it opens what it needs itself */
	bool makes;         /* a store that is not there yet */
	/* Starts the verb; the loop then runs until verb_done(). */
	void (*run)(struct verb_context *v);
};

/* clang-format off */
#define OWN(...) &(const struct admin_verb){__VA_ARGS__}

static const struct cli_verb list[] = { /* sorted, as in vogeler-admin(8) */
	{"backup", "FILE", "copy the store (sqlite://) into a file, while it is used",
	 1, 1, "a file", "", OWN(true, false, verb_backup)},
	{"doctor", "", "check each link: configuration, broker, store, collector",
	 0, 0, NULL, "--json --timeout --as", OWN(true, false, verb_doctor)},
	{"forget", "HOSTS...", "remove records and queues of hosts that are gone",
	 1, 4096, "a host name", "--yes", OWN(false, false, verb_forget)},
	{"forget-order", "HOST", "take the next answers of a host whatever their order",
	 1, 1, "a host name", "", OWN(false, false, verb_forget_order)},
	{"hosts", "[HOSTS...]", "list the hosts: online, last seen, plugins, what fails now",
	 0, 4096, NULL, "--json --verbose", OWN(false, false, verb_hosts)},
	{"query", "EXPR [HOSTS]", "ask the records in jq's language: a table, CSV or JSON",
	 1, 2, "an expression of jq", "--json --csv --timeout", OWN(false, false, verb_query)},
	{"queue", "HOSTS...", "tell which commands wait for hosts, and who reads them",
	 1, 4096, "a host name", "--json", OWN(false, false, verb_queue)},
	{"restore", "FILE", "put such a copy in the place of the store",
	 1, 1, "a file", "--yes", OWN(true, false, verb_restore)},
	{"setup", "[HOST...]", "make exchanges, queues, database, design documents",
	 0, 4096, NULL, "--design --all", OWN(false, true, verb_setup)},
	{"show", "HOSTS [PLUGIN [PATH]]", "records of hosts, or one plugin, or a part of it",
	 1, 3, "a host name", "--json", OWN(false, false, verb_show)},
	{"sql", "SELECT", "ask the views of pg:// in SQL: a table, CSV or JSON",
	 1, 1, "a question in SQL", "--json --csv --timeout", OWN(true, false, verb_sql)},
};
#undef OWN
/* clang-format on */

static const struct cli_verbs verbs = {list, sizeof(list) / sizeof(list[0]), NULL, NULL};

static int opt_json, opt_csv, opt_yes, opt_all, opt_verbose;
static char *opt_design, *opt_timeout, *opt_as;

#define TIMEOUT_MS     (5 * 60 * 1000)
#define TIMEOUT_MAX_MS (UINT64_C(24) * 3600 * 1000)

static struct poptOption table[] = {
    {"json", '\0', POPT_ARG_NONE, &opt_json, 0, "Print JSON; of show: records as they are stored",
	NULL},
    {"csv", '\0', POPT_ARG_NONE, &opt_csv, 0, "query, sql: print CSV", NULL},
    {"design", '\0', POPT_ARG_STRING, &opt_design, 0,
	"setup: folder of the design documents to load", "DIR"},
    {"timeout", '\0', POPT_ARG_STRING, &opt_timeout, 0,
	"doctor: end then (5min); query, sql: limit (30s)", "DURATION"},
    {"as", '\0', POPT_ARG_STRING, &opt_as, 0, "doctor: as agent, collector, operator, reader",
	"ROLE"},
    {"all", '\0', POPT_ARG_NONE, &opt_all, 0, "setup: bind the queues of all hosts in the store",
	NULL},
    {"verbose", 'v', POPT_ARG_NONE, &opt_verbose, 0, "hosts: versions, names of the plugins", NULL},
    {"yes", 'y', POPT_ARG_NONE, &opt_yes, 0, "restore, forget: do not ask", NULL},
    POPT_TABLEEND,
};

static const struct cli_spec spec = {
    .program = "vogeler-admin",
    .usage = "[OPTION...] COMMAND [ARGUMENT...]",
    .examples = "  vogeler-admin setup\n"
		"  vogeler-admin doctor\n"
		"  vogeler-admin hosts\n"
		"  vogeler-admin show web01 facter\n"
		"  vogeler-admin show 'web*' os-release '[0]'\n"
		"  vogeler-admin query '.packages[]? | select(startswith(\"openssl 3.0.\"))'\n"
		"  vogeler-admin sql 'SELECT host, error FROM v_result WHERE error IS NOT NULL'\n"
		"  vogeler-admin show web01 --json | jq .facter\n",
    .verbs = &verbs,
    .verbs_note = "HOSTS: all, names, globs, ranges, groups, files, or a list of these:\n"
		  "web01,db[01-12],'x*',@web,@FILE\n",
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
	complain_va("vogeler-admin", fmt, ap);
	va_end(ap);
	verb_done(v, VERB_TROUBLE);
}

void
verb_fail_trouble(struct verb_context *v, const struct trouble *why, const char *fmt, ...)
{
	struct trouble told = *why;
	char *tried;
	va_list ap;

	va_start(ap, fmt);
	xvasprintf(&tried, fmt, ap);
	va_end(ap);
	trouble_prefix(&told, "%s: ", tried);
	free(tried);
	complain_trouble("vogeler-admin", &told);
	verb_done(v, VERB_TROUBLE);
}

void
verb_interrupted(struct verb_context *v, int signo)
{
	if (v->undo != NULL)
		v->undo(v->undo_arg);
	exit(128 + signo);
}

/* Ends the program in the middle of something: what is open ends with it. */
static void
admin_on_signal(int signo, void *arg)
{
	struct verb_context *v = arg;
	void (*cancel)(int, void *) = v->cancel;

	v->cancel = NULL;
	if (cancel != NULL)
		cancel(signo, v->cancel_arg);
	else
		verb_interrupted(v, signo);
}

static uint64_t
timeout_ms(const struct cli *cli)
{
	char ask[UNITS_ASK_SIZE];
	uint64_t ms = TIMEOUT_MS;

	if (opt_timeout != NULL && units_ask(opt_timeout, ask) != NULL)
		cli_usage_error(cli, "--timeout=%s: %s", opt_timeout, ask);
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
	const struct admin_verb *verb;
	struct uri store_uri = {0};
	struct cli cli;
	struct trouble why;

	if (jq_child_is_meant(argc, argv))
		return jq_child_main(argv);
	setlocale(LC_CTYPE, "C.UTF-8"); /* how wide characters are, for the tables */
	cli_init(&cli, &spec, argc, argv);
	verb = cli_verb(&cli)->own;
	if (!verb->without_store)
		cli_store(&cli, &store_uri);
	ident_init();
	v.cli = &cli;
	v.args = cli.args + 1;
	v.json = opt_json != 0;
	v.csv = opt_csv != 0;
	v.yes = opt_yes != 0;
	v.verbose = opt_verbose != 0;
	v.all = opt_all != 0;
	v.design = opt_design;
	v.timeout_ms = timeout_ms(&cli);
	v.timeout_given = opt_timeout != NULL;
	v.as = opt_as;
	v.loop = loop_create();
	loop_signal(v.loop, SIGINT, admin_on_signal, &v);
	loop_signal(v.loop, SIGTERM, admin_on_signal, &v);
	if (!verb->without_store)
		v.store = store_open(
		    v.loop, &store_uri, &cli.options, verb->makes ? STORE_MAKE : STORE_USE, &why);
	if (v.store == NULL && !verb->without_store) {
		complain_trouble("vogeler-admin", &why);
	} else {
		verb->run(&v);
		loop_run(v.loop);
	}
	store_close(v.store);
	if (v.finish != NULL)
		v.finish(v.finish_arg);
	loop_destroy(v.loop);
	uri_finish(&store_uri);
	free(opt_design);
	free(opt_timeout);
	free(opt_as);
	cli_finish(&cli);
	return v.status;
}
