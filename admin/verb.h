/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs of vogeler-admin: one file each, one row of the table in main.c each. */
#ifndef VOGELER_VERB_H
#define VOGELER_VERB_H

#include "shared/config/cli.h"
#include "shared/store/store.h"
#include <stdbool.h>
#include <stdint.h>

struct loop;
struct store;

enum {
	VERB_OK = 0,
	VERB_TROUBLE = 1,
	VERB_SOME_FAILED = 2, /* of a query: some host's record */
	VERB_NO_SUCH_HOST = 4,
};

struct verb_context {
	struct cli *cli; /* its options: doctor takes those of the role it looks for */
	struct loop *loop;
	struct store *store; /* opened before the verb runs; NULL for verbs without */
	const char **args;   /* what follows the verb, NULL-terminated */
	bool json;           /* --json */
	bool csv;            /* --csv, of query and sql */
	const char *design;  /* --design DIR, or NULL */
	uint64_t timeout_ms; /* --timeout, of doctor, query and sql, */
	bool timeout_given;  /* or doctor's own */
	const char *as;      /* --as ROLE, of doctor, or NULL */
	bool yes;            /* --yes */
	bool verbose;        /* --verbose, of hosts */
	bool all;            /* --all, of setup */
	/* What a verb does at the first signal in place of being ended, which it then does itself,
	 * with 128 + signo; may be NULL. */
	void (*cancel)(int signo, void *arg);
	void *cancel_arg;
	/* What a verb undoes when it is interrupted; may be NULL. */
	void (*undo)(void *arg);
	void *undo_arg;
	/* What a verb frees behind the end of the store, which may have been asked for more; may be
	 * NULL. */
	void (*finish)(void *arg);
	void *finish_arg;
	int status; /* what the program exits with; VERB_TROUBLE until said otherwise */
};

void verb_backup(struct verb_context *v);
void verb_doctor(struct verb_context *v);
void verb_setup(struct verb_context *v);
void verb_forget_order(struct verb_context *v);
void verb_hosts(struct verb_context *v);
void verb_forget(struct verb_context *v);
void verb_queue(struct verb_context *v);
void verb_query(struct verb_context *v);
void verb_restore(struct verb_context *v);
void verb_show(struct verb_context *v);
void verb_sql(struct verb_context *v);

/* Ends the loop with that exit status. */
void verb_done(struct verb_context *v, int status);
/* Undoes what is to be undone, and exits with 128 + signo. */
void verb_interrupted(struct verb_context *v, int signo) __attribute__((noreturn));
/* "vogeler-admin: text" on stderr, and the end with VERB_TROUBLE. */
void verb_fail(struct verb_context *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Fails with what went wrong elsewhere, behind what was tried: "cannot list the hosts in X: ". */
void verb_fail_trouble(struct verb_context *v, const struct trouble *why, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
