/* The verbs of vogeler-admin: one file each, one row of the table in main.c each. */
#ifndef VOGELER_VERB_H
#define VOGELER_VERB_H

#include "shared/cli.h"
#include <stdbool.h>
#include <stdint.h>

struct loop;
struct store;

enum {
	VERB_OK = 0,
	VERB_TROUBLE = 1,
	VERB_NO_SUCH_HOST = 4,
};

struct verb_context {
	const struct cli *cli;
	struct loop *loop;
	struct store *store; /* opened before the verb runs; NULL for verbs without */
	const char **args;   /* what follows the verb, NULL-terminated */
	bool json;           /* --json */
	const char *design;  /* --design DIR, or NULL */
	uint64_t timeout_ms; /* --timeout, of doctor */
	int status;          /* what the program exits with; VERB_TROUBLE until said otherwise */
};

struct verb {
	const char *name;
	const char *summary;
	int min_args, max_args;
	bool without_store; /* it opens what it needs itself */
	bool makes;         /* a store that is not there yet */
	/* Starts the verb; the loop then runs until verb_done(). */
	void (*run)(struct verb_context *v);
};

void verb_doctor(struct verb_context *v);
void verb_setup(struct verb_context *v);
void verb_hosts(struct verb_context *v);
void verb_show(struct verb_context *v);

/* Ends the loop with that exit status. */
void verb_done(struct verb_context *v, int status);
/* "vogeler-admin: text" on stderr, and the end with VERB_TROUBLE. */
void verb_fail(struct verb_context *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
