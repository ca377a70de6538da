/* SPDX-License-Identifier: Apache-2.0 */
/* This finds which hosts a command goes to: what -n and --where say, put to the store, then
 * --limit. */
#ifndef VOGELER_TARGET_SELECT_H
#define VOGELER_TARGET_SELECT_H

#include "runner/verb.h"
#include "shared/target/target.h"

struct interrupt;

struct target_select {
	struct targets targets;
	struct hosts hosts; /* sorted */
	bool all;           /* every host there is: one broadcast reaches them */
	bool many;          /* more may be meant than what was typed */
	char *text;         /* for people: "web*", "all where .facter" */
	char *untracked;    /* why the store is not to be used after all; NULL = it is */
};

/* Reads -n of the command line; a mistake in it ends the program. */
void target_select_init(struct target_select *w, struct runner_context *c);
void target_select_finish(struct target_select *w);
/* Runs the loop until the hosts are known. Anything but RUNNER_OK: it was said why. */
int target_select_find(
    struct target_select *w, struct runner_context *c, struct interrupt *interrupt);

/* --limit: the first so many, in order of name. */
void target_select_limit(struct hosts *hosts, const struct runner_arguments *a);
/* --dry-run: one name a line, or JSON. */
void target_select_print(const struct hosts *hosts, const struct runner_arguments *a);

#endif
