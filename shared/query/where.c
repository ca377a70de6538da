/* SPDX-License-Identifier: Apache-2.0 */
/* See where.h. */
#include "shared/query/where.h"

#include "shared/base/xalloc.h"

#include <stdlib.h>

static void
note_failure(struct where *w, const char *host, const char *text)
{
	char *before = w->why;

	if (w->failed++ >= WHERE_NAMED_MAX)
		return;
	xasprintf(&w->why, "%s%s%s: %s", before == NULL ? "" : before, before == NULL ? "" : "; ",
	    host, text);
	free(before);
}

void
where_take(struct where *w, const char *host, enum jq_word word, const char *text)
{
	w->n++;
	if (word == JQ_WORD_TRUE)
		hosts_add(&w->in, host);
	else if (word == JQ_WORD_ERROR)
		note_failure(w, host, text);
}

char *
where_trouble(const struct where *w)
{
	char *text;

	if (w->failed == 0)
		return NULL;
	xasprintf(
	    &text, "%zu of %zu hosts left out, it failed on them: %s", w->failed, w->n, w->why);
	return text;
}

void
where_finish(struct where *w)
{
	hosts_finish(&w->in);
	free(w->why);
	*w = (struct where){0};
}
