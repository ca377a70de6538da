/* vogeler-runner: puts commands on the queue, and follows what becomes of them. What is sent is
 * confirmed by the broker before it is called sent. */
#include "runner/arguments.h"
#include "runner/verb.h"

#include "shared/base/ident.h"
#include "shared/base/near.h"
#include "shared/config/complain.h"
#include "shared/event/loop.h"
#include "shared/query/jq_child.h"
#include "shared/store/store.h"

#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ERR_SIZE 512

static const struct verb sending = {.needs_broker = true, .run = verb_send};
static const struct verb verbs[] = {
    /* sorted; the same as in --help and vogeler-runner(1) */
    {"cancel", 1, 1, true, true, "--confirm", verb_cancel},
    {"jobs", 0, 0, true, false, "--limit", verb_jobs},
    {"rerun", 1, 1, true, true,
	"-y --batch --batch-timeout --confirm --dry-run --failed --limit --max-failures --missing --ok --show --ttl --wait",
	verb_rerun},
    {"result", 1, 1, true, false, "--failed --missing --ok --show", verb_result},
    {"watch", 1, 1, true, false, "--failed --missing --ok --show --wait", verb_watch},
    {.name = NULL},
};

void
runner_say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain_va("vogeler-runner", fmt, ap);
	va_end(ap);
}

static void
check_words(const struct cli *cli, const struct verb *verb)
{
	int n = 0;

	while (cli->args[n + 1] != NULL)
		n++;
	if (n < verb->min_words)
		cli_usage_error(cli, "%s: the id of a job is missing", verb->name);
	if (n > verb->max_words)
		cli_usage_error(
		    cli, "%s: \"%s\" is one too many", verb->name, cli->args[verb->max_words + 1]);
}

static const struct verb *
find_verb(const struct cli *cli)
{
	const char *name = cli->args[0], *names[sizeof(verbs) / sizeof(verbs[0])], *near;
	size_t n = 0;

	if (name == NULL)
		return &sending;
	for (const struct verb *v = verbs; v->name != NULL; v++) {
		if (strcmp(v->name, name) == 0) {
			check_words(cli, v);
			return v;
		}
	}
	for (const struct verb *v = verbs; v->name != NULL; v++)
		names[n++] = v->name;
	near = near_name(name, names, n);
	if (near != NULL)
		cli_usage_error(cli, "no such verb: \"%s\"; did you mean %s?", name, near);
	cli_usage_error(cli,
	    "what is \"%s\"? A host goes with -n, a plugin with -x; verbs are cancel, jobs, rerun, "
	    "result, watch",
	    name);
}

/* Without a store most can be done; what it takes is in c->untracked. */
static void
open_store(struct runner_context *c, const struct verb *verb, struct uri *uri, char err[ERR_SIZE])
{
	if (!verb->needs_store && c->cli->options.dbhost == NULL) {
		c->untracked = "no dbhost is configured";
		return;
	}
	cli_store(c->cli, uri);
	if (uri->scheme == URI_NULL)
		c->untracked = "null:// keeps nothing";
	else
		c->store = store_open(c->loop, uri, &c->cli->options, STORE_USE, err, ERR_SIZE);
	if (c->store == NULL && c->untracked == NULL)
		c->untracked = err;
}

static int
run(struct runner_context *c, const struct verb *verb)
{
	struct uri store_uri = {0}, *brokers = NULL;
	char err[ERR_SIZE];
	int status = RUNNER_TROUBLE;

	if (verb->needs_broker)
		cli_brokers(c->cli, &brokers, &c->n_brokers);
	c->brokers = brokers;
	ident_init();
	c->loop = loop_create();
	open_store(c, verb, &store_uri, err);
	if (verb->needs_store && c->store == NULL)
		runner_say("%s", c->untracked);
	else
		status = verb->run(c);
	store_close(c->store);
	loop_destroy(c->loop);
	uri_finish(&store_uri);
	uri_list_free(brokers, c->n_brokers);
	return status;
}

int
main(int argc, char **argv)
{
	struct runner_arguments arg;
	struct runner_context c = {.arg = &arg};
	const struct verb *verb;
	struct cli cli;
	int status;

	if (jq_child_is_meant(argc, argv))
		return jq_child_main(argv);
	setlocale(LC_CTYPE, "C.UTF-8"); /* how wide characters are, for the tables */
	arguments_init(&arg, &cli, argc, argv);
	verb = find_verb(&cli);
	arguments_check(&arg, &cli, verb);
	if (verb->name != NULL)
		arg.words++;
	c.cli = &cli;
	status = run(&c, verb);
	arguments_finish(&arg, &cli);
	return status;
}
