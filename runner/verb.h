/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs of vogeler-runner, and what the command line says to them. Without a verb it sends. One
 * verb_NAME.c and one row of the table in arguments.c each. */
#ifndef VOGELER_RUNNER_VERB_H
#define VOGELER_RUNNER_VERB_H

#include "runner/job/waves.h"
#include "shared/base/uri.h"
#include "shared/config/cli.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct store;

enum runner_status { /* vogeler-runner(1), EXIT STATUS */
	RUNNER_OK = 0,
	RUNNER_TROUBLE = 1,      /* usage; broker or store out of reach; some command is unsent */
	RUNNER_FAILED = 2,       /* some host failed, refused, timed out */
	RUNNER_OPEN = 3,         /* somebody has no answer of its own */
	RUNNER_NO_SUCH_HOST = 4, /* some target has no queue */
	RUNNER_INTERRUPTED = 130,
};

struct runner_arguments {   /* as given, checked; strings borrowed from the command line */
	const char **words; /* what follows the verb, NULL-terminated */

	/* whom to ask what */
	char **nodes;       /* -n, NULL-terminated; NULL = none */
	const char *plugin; /* -x; NULL = none */
	const char *where;  /* --where; NULL = none */
	int64_t where_ms;   /* --where-timeout */
	int64_t ttl_ms;     /* --ttl; 0 = for ever */
	int64_t confirm_ms; /* --confirm; 0: until the wait ends */
	bool where_ms_given, ttl_given, confirm_given;
	struct waves_rule waves; /* --batch and what belongs to it */
	uint32_t limit;          /* --limit; 0 = no limit */
	bool limit_percent;      /* limit is a share of the targets */
	bool dry_run;            /* --dry-run */
	bool yes;                /* -y */

	/* waiting and showing */
	bool wait;                /* --wait */
	int64_t wait_ms;          /* its duration; 0 = until nothing is open */
	bool json, jsonl;         /* --json, --jsonl; never both */
	bool quiet;               /* -q */
	bool verbose;             /* -v */
	const char *color;        /* --color: auto (the default), always, never */
	bool failed, missing, ok; /* --failed, --missing, --ok: which hosts */
	const char *show;         /* --show: a path, or ""; NULL = not given */
};

struct runner_context {
	const struct cli *cli;
	const struct runner_arguments *arg;
	struct loop *loop;
	const struct uri *brokers; /* none of a verb that has no use for them */
	size_t n_brokers;
	struct store *store; /* NULL: untracked says why there is none; never of a verb that needs
				it. Whether it can be reached is not known. */
	const char *untracked;
};

struct runner_verb {
	bool needs_store, needs_broker;
	/* Runs the loop until the verb is done, and returns an enum runner_status. Signals are the
	 * verb's. */
	int (*run)(struct runner_context *c);
};

int verb_cancel(struct runner_context *c);
int verb_jobs(struct runner_context *c);
int verb_rerun(struct runner_context *c);
int verb_result(struct runner_context *c);
int verb_send(struct runner_context *c);
int verb_watch(struct runner_context *c);

/* "vogeler-runner: text" on stderr. */
void runner_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
