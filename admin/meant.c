/* SPDX-License-Identifier: Apache-2.0 */
/* See meant.h. */
#include "admin/meant.h"

#include "admin/missing.h"
#include "admin/verb.h"

#include "shared/config/complain.h"
#include "shared/query/group_query.h"
#include "shared/store/store.h"

#include <stdlib.h>
#include <string.h>

#define ERR_SIZE         1024
#define WHERE_TIMEOUT_MS 30000 /* as vogeler-runner --where-timeout has it */

bool
meant_is_more(const char *word)
{
	return strcmp(word, "all") == 0 || strcmp(word, "-") == 0 ||
	       strpbrk(word, "*?[,@/") != NULL;
}

void
meant_init(struct meant *m, struct verb_context *v, const char *verb, const char *const *words)
{
	char err[ERR_SIZE];

	*m = (struct meant){.v = v};
	/* The words are those of the command line, which nobody changes. */
	if (!targets_parse(&m->targets, "", (char *const *)(void *)words, &v->cli->options.groups,
		err, sizeof(err)))
		cli_usage_error(v->cli, "%s %s", verb, err);
}

void
meant_finish(struct meant *m)
{
	group_query_destroy(m->groups);
	targets_finish(&m->targets);
	hosts_finish(&m->known);
}

/* --- groups --- */

static void
meant_on_note(const char *line, void *arg)
{
	complain_line("vogeler-admin", "%s", line);
}

static void
meant_on_groups(enum record_query_end how, const char *why, void *arg)
{
	struct meant *m = arg;

	switch (how) {
	case RECORD_QUERY_DONE:
		m->ready(m->arg);
		break;
	case RECORD_QUERY_BAD:
		verb_fail(m->v, "%s", why);
		break;
	case RECORD_QUERY_NO_STORE:
		verb_fail(m->v, "cannot read from %s: %s", store_id(m->v->store), why);
		break;
	}
}

void
meant_ask(struct meant *m, void (*ready)(void *arg), void *arg)
{
	const struct group_query_request req = {
	    .loop = m->v->loop,
	    .store = m->v->store,
	    .targets = &m->targets,
	    .timeout_ms = WHERE_TIMEOUT_MS,
	    .on_note = meant_on_note,
	    .on_end = meant_on_groups,
	    .arg = m,
	};
	char *why;

	m->ready = ready;
	m->arg = arg;
	m->groups = group_query_create(&req, &why);
	if (m->groups == NULL && why == NULL)
		ready(arg);
	else if (m->groups == NULL)
		verb_fail(m->v, "%s", why);
	free(why);
}

/* --- who is not there --- */

struct telling {
	const struct meant *m;
	size_t missing;
};

static void
meant_on_nobody(const char *word, void *arg)
{
	struct telling *t = arg;

	missing_say(t->m->v->store, &t->m->known, word);
	t->missing++;
}

size_t
meant_tell_missing(struct meant *m)
{
	struct telling t = {.m = m};
	struct hosts meant = {0};

	hosts_sort(&m->known);
	targets_resolve(&m->targets, &m->known, &meant, meant_on_nobody, &t);
	for (size_t i = 0; i < meant.n; i++) {
		if (!hosts_has(&m->known, meant.names[i]))
			meant_on_nobody(meant.names[i], &t);
	}
	hosts_finish(&meant);
	return t.missing;
}
