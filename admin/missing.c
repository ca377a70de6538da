/* SPDX-License-Identifier: Apache-2.0 */
/* See missing.h. */
#include "admin/missing.h"
#include "shared/base/trouble.h"

#include "shared/base/xalloc.h"
#include "shared/config/complain.h"
#include "shared/store/store.h"
#include "shared/target/ranges.h"

#include <stdlib.h>

static void
reading_on_listed(enum store_found found, json_t *rec, const struct trouble *why, void *arg)
{
	const struct known_reading *r = arg;
	const char *host = json_string_value(json_object_get(rec, "_id")); /* NULL of NULL */

	switch (found) {
	case STORE_FOUND:
		if (host != NULL)
			hosts_add(r->known, host);
		return;
	case STORE_MISSING:
		hosts_sort(r->known);
		r->fn(NULL, r->arg);
		return;
	case STORE_FAILED:
		hosts_sort(r->known);
		r->fn(why, r->arg);
		return;
	}
}

void
known_read(struct known_reading *r, struct store *store, struct hosts *known,
    void (*fn)(const struct trouble *why, void *arg), void *arg)
{
	static const struct store_filter names_alone = {NULL, 0};

	*r = (struct known_reading){known, fn, arg};
	store_list(store, &names_alone, reading_on_listed, r);
}

void
missing_say(const struct store *store, const struct hosts *known, const char *word)
{
	char hint[RANGES_HINT_SIZE];
	const char *near;

	if (word[0] == '@') {
		complain_line("vogeler-admin",
		    "%s: no host is in this group; \"vogeler-admin hosts\" lists them", word);
		return;
	}
	near = hosts_near(known, word);
	if (near != NULL)
		complain_line("vogeler-admin", "%s: no such host in %s; did you mean %s?", word,
		    store_id(store), near);
	else
		complain_line("vogeler-admin",
		    "%s: no such host in %s%s; \"vogeler-admin hosts\" lists them", word,
		    store_id(store), ranges_hint(word, hint));
}

void
missing_say_nobody(void)
{
	complain_line("vogeler-admin", "no hosts yet: start vogeler-agent on one");
}

struct missing {
	struct verb_context *v;
	struct hosts known;
	struct known_reading reading;
};

/* A store that cannot list them is no news here: the host is missing all the same. */
static void
missing_on_known(const struct trouble *why, void *arg)
{
	struct missing *m = arg;

	missing_say(m->v->store, &m->known, m->v->args[0]);
	verb_done(m->v, VERB_NO_SUCH_HOST);
	hosts_finish(&m->known);
	free(m);
}

void
missing_end(struct verb_context *v, enum store_found found, const struct trouble *why)
{
	struct missing *m;

	if (found == STORE_FAILED) {
		verb_fail_trouble(v, why, "cannot read %s from %s", v->args[0], store_id(v->store));
		return;
	}
	m = xcalloc(1, sizeof(*m));
	m->v = v;
	known_read(&m->reading, v->store, &m->known, missing_on_known, m);
}
