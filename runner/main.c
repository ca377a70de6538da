/* SPDX-License-Identifier: Apache-2.0 */
/* vogeler-runner: puts commands on the queue, and follows what becomes of them. What is sent is
 * confirmed by the broker before it is called sent. */
#include "runner/arguments.h"
#include "runner/verb.h"

#include "shared/base/ident.h"
#include "shared/base/trouble.h"
#include "shared/config/cli_verbs.h"
#include "shared/config/complain.h"
#include "shared/event/loop.h"
#include "shared/query/jq_child.h"
#include "shared/store/store.h"

#include <locale.h>
#include <stdarg.h>
#include <stdio.h>

#define ERR_SIZE 512

static const struct runner_verb sending = {.needs_broker = true, .run = verb_send};

void
runner_say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain_va("vogeler-runner", fmt, ap);
	va_end(ap);
}

/* Opens the store, without which most can be done; what it takes is in c->untracked. */
static void
open_store(
    struct runner_context *c, const struct runner_verb *verb, struct uri *uri, char err[ERR_SIZE])
{
	struct trouble why;

	if (!verb->needs_store && c->cli->options.dbhost == NULL) {
		c->untracked = "no dbhost is configured";
		return;
	}
	cli_store(c->cli, uri);
	if (uri->scheme == URI_NULL)
		c->untracked = "null:// keeps nothing";
	else
		c->store = store_open(c->loop, uri, &c->cli->options, STORE_USE, &why);
	if (c->store == NULL && c->untracked == NULL) {
		c->untracked = trouble_format(&why, err, ERR_SIZE);
	}
}

static int
run(struct runner_context *c, const struct runner_verb *verb)
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
	const struct cli_verb *named;
	const struct runner_verb *verb;
	struct cli cli;
	int status;

	if (jq_child_is_meant(argc, argv))
		return jq_child_main(argv);
	setlocale(LC_CTYPE, "C.UTF-8"); /* how wide characters are, for the tables */
	arguments_init(&arg, &cli, argc, argv);
	named = cli_verb(&cli);
	verb = named != NULL ? named->own : &sending;
	arguments_check(&arg, &cli, verb);
	if (named != NULL)
		arg.words++;
	c.cli = &cli;
	status = run(&c, verb);
	arguments_finish(&arg, &cli);
	return status;
}
