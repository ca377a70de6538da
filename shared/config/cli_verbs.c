/* SPDX-License-Identifier: Apache-2.0 */
/* See cli_verbs.h. */
#include "shared/config/cli_verbs.h"

#include "shared/base/near.h"
#include "shared/base/xalloc.h"
#include "shared/config/complain.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEFT_MAX 20 /* verbs and their words have a column of that at most */

static size_t
left_length(const struct cli_verb *v)
{
	return strlen(v->name) + (v->words[0] == '\0' ? 0 : 1 + strlen(v->words));
}

void
cli_verbs_print(const struct cli_verbs *verbs)
{
	size_t column = 0;

	for (size_t i = 0; i < verbs->n; i++) {
		size_t len = left_length(&verbs->list[i]);

		if (len > column && len <= LEFT_MAX)
			column = len;
	}
	if (verbs->without != NULL)
		printf("Commands (without one, %s):\n", verbs->without);
	else
		printf("Commands:\n");
	for (size_t i = 0; i < verbs->n; i++) {
		const struct cli_verb *v = &verbs->list[i];
		size_t len = left_length(v);

		printf("  %s%s%s%*s%s\n", v->name, v->words[0] == '\0' ? "" : " ", v->words,
		    (int)(len < column ? column - len + 2 : 2), "", v->summary);
	}
}

/* "backup, doctor, ..."; malloced. */
static char *
names_of(const struct cli_verbs *verbs)
{
	char *text;
	size_t size;
	FILE *f = xmemstream(&text, &size);

	for (size_t i = 0; i < verbs->n; i++)
		fprintf(f, "%s%s", i == 0 ? "" : ", ", verbs->list[i].name);
	fclose(f);
	return text;
}

static void unknown(const char *program, const struct cli_verbs *verbs, const char *word)
    __attribute__((noreturn));

static void
unknown(const char *program, const struct cli_verbs *verbs, const char *word)
{
	const char **names = xcalloc(verbs->n + 1, sizeof(*names)), *near;
	char *all = names_of(verbs);

	for (size_t i = 0; i < verbs->n; i++)
		names[i] = verbs->list[i].name;
	near = near_name(word, names, verbs->n);
	if (near != NULL)
		complain_usage(program, "no such verb: \"%s\"; did you mean %s? There are: %s",
		    word, near, all);
	if (verbs->stray != NULL)
		complain_usage(
		    program, "what is \"%s\"? %s; verbs are %s", word, verbs->stray, all);
	complain_usage(program, "no such verb: \"%s\"; there are: %s", word, all);
}

static void
check_words(const char *program, const struct cli_verb *v, const char *const *words)
{
	int n = 0;

	while (words[n] != NULL)
		n++;
	if (n < v->min_words)
		complain_usage(program, "%s: %s is missing", v->name, v->missing);
	if (n > v->max_words)
		complain_usage(program, "%s: \"%s\" is one too many", v->name, words[v->max_words]);
}

const struct cli_verb *
cli_verbs_named(const struct cli_verbs *verbs, const char *name)
{
	for (size_t i = 0; i < verbs->n; i++) {
		if (strcmp(verbs->list[i].name, name) == 0)
			return &verbs->list[i];
	}
	return NULL;
}

const struct cli_verb *
cli_verbs_find(const char *program, const struct cli_verbs *verbs, const char *const *args)
{
	const struct cli_verb *v;

	if (args[0] == NULL && verbs->stray == NULL)
		complain_usage(program, "what is to be done? One of: %s", names_of(verbs));
	if (args[0] == NULL)
		return NULL;
	v = cli_verbs_named(verbs, args[0]);
	if (v == NULL)
		unknown(program, verbs, args[0]);
	check_words(program, v, args + 1);
	return v;
}

static bool
has_word(const char *words, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = words; (at = strstr(at, word)) != NULL; at += len) {
		if ((at == words || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0'))
			return true;
	}
	return false;
}

bool
cli_verbs_have_option(const char *names, const char *long_name, char short_name)
{
	char name[64];

	if (long_name != NULL) {
		snprintf(name, sizeof(name), "--%s", long_name);
		if (has_word(names, name))
			return true;
	}
	snprintf(name, sizeof(name), "-%c", short_name);
	return short_name != '\0' && has_word(names, name);
}

void
cli_verbs_check_option(const char *program, const struct cli_verbs *verbs,
    const struct cli_verb *verb, const char *long_name, char short_name)
{
	bool by_long = short_name == '\0';

	if (verb == NULL || verb->options == NULL ||
	    cli_verbs_have_option(verb->options, long_name, short_name))
		return;
	/* The option is called as those verbs call it that take it. */
	for (size_t i = 0; i < verbs->n && !by_long && long_name != NULL; i++)
		by_long = verbs->list[i].options != NULL &&
			  cli_verbs_have_option(verbs->list[i].options, long_name, '\0');
	if (by_long)
		complain_usage(program, "--%s does not go with \"%s\"", long_name, verb->name);
	complain_usage(program, "-%c does not go with \"%s\"", short_name, verb->name);
}
