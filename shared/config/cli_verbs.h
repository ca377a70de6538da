/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs of a program are one table, which says which one is meant, what --help says of them,
 * and what is said of a slip. */
#ifndef VOGELER_CLI_VERBS_H
#define VOGELER_CLI_VERBS_H

#include <stdbool.h>
#include <stddef.h>

struct cli_verb {
	const char *name;
	const char *words;   /* what goes with it, for --help: "HOSTS [PLUGIN]"; "" = nothing */
	const char *summary; /* for --help, a few words without a full stop */
	int min_words, max_words;
	/* It names what is not there: "a host name"; NULL if min_words is 0. */
	const char *missing;
	/* It lists, with blanks between them, those that go with it of the options that not all
	 * verbs take: "--json -y"; NULL = all of them. */
	const char *options;
	const void *own; /* what the program itself has to know of it */
};

struct cli_verbs {
	const struct cli_verb *list; /* sorted by name */
	size_t n;
	/* A command line may be without one: what is done then, and what a word that is no verb may
	 * have been meant for; both NULL: one is needed. */
	const char *without, *stray;
};

/* Prints "Commands:", and a line for each. */
void cli_verbs_print(const struct cli_verbs *verbs);
/* Returns the one of that name, or NULL. */
const struct cli_verb *cli_verbs_named(const struct cli_verbs *verbs, const char *name);
/* Returns the one that args begin with, if what follows it can be right; NULL: there is none and
 * none is needed. A slip ends the program (complain_usage). */
const struct cli_verb *cli_verbs_find(
    const char *program, const struct cli_verbs *verbs, const char *const *args);
/* Ends the program if the verb does not take that option, which was given; either name may be NULL
 * (short_name: 0). verb NULL takes all. */
void cli_verbs_check_option(const char *program, const struct cli_verbs *verbs,
    const struct cli_verb *verb, const char *long_name, char short_name);
/* Says whether names, with blanks between them, have that option by either of its names. */
bool cli_verbs_have_option(const char *names, const char *long_name, char short_name);

#endif
