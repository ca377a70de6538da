/* Which hosts a command goes to: what -n and --where say, put to the store, then --limit. */
#ifndef VOGELER_WHOM_H
#define VOGELER_WHOM_H

#include "runner/verb.h"
#include "shared/target/target.h"

struct interrupt;

struct whom {
	struct targets targets;
	struct hosts hosts; /* sorted */
	bool all;           /* every host there is: one broadcast reaches them */
	bool many;          /* more may be meant than what was typed */
	char *text;         /* for people: "web*", "all where .facter" */
	char *untracked;    /* why the store is not to be used after all; NULL = it is */
};

/* Reads -n of the command line; a mistake in it ends the program. */
void whom_init(struct whom *w, struct runner_context *c);
void whom_finish(struct whom *w);
/* Runs the loop until the hosts are known. Anything but RUNNER_OK: it was said why. */
int whom_find(struct whom *w, struct runner_context *c, struct interrupt *interrupt);

/* --limit: the first so many, in order of name. */
void whom_limit(struct hosts *hosts, const struct runner_arguments *a);
/* --dry-run: one name a line, or JSON. */
void whom_print(const struct hosts *hosts, const struct runner_arguments *a);

#endif
