/* SPDX-License-Identifier: Apache-2.0 */
/* See near_names.h. */
#include "runner/near_names.h"

#include "runner/interrupt.h"
#include "shared/event/loop.h"
#include "shared/store/store.h"
#include "shared/target/ranges.h"

#include <stdlib.h>

struct nearing {
	struct runner_context *c;
	const struct hosts *names;
	size_t next; /* of names: the one that is asked for */
	bool missing[NEAR_NAMES_MAX];
	bool any_missing;
	struct hosts known; /* that have records; read when one is missing */
	int status;
};

static void
end(struct nearing *n, int status)
{
	n->status = status;
	loop_stop(n->c->loop);
}

/* Who sends is told by the queues; a dry run looks at none. */
static void
tell_unknown(const struct hosts *unknown)
{
	char *names = ranges_some((const char *const *)unknown->names, unknown->n);

	runner_say("no record is known of %zu of them: %s", unknown->n, names);
	free(names);
}

static void
tell(const struct nearing *n)
{
	struct hosts unknown = {0};

	for (size_t i = 0; i < n->names->n; i++) {
		const char *name = n->names->names[i];
		const char *host = n->missing[i] ? hosts_near(&n->known, name) : NULL;

		if (host != NULL)
			runner_say(
			    "%s: there is no record of that name; did you mean %s?", name, host);
		else if (n->missing[i])
			hosts_add(&unknown, name);
	}
	hosts_sort(&unknown);
	if (n->c->arg->dry_run && unknown.n > 0)
		tell_unknown(&unknown);
	hosts_finish(&unknown);
}

static void
nearing_on_listed(enum store_found found, json_t *rec, const struct trouble *why, void *arg)
{
	struct nearing *n = arg;
	const char *host = json_string_value(json_object_get(rec, "_id")); /* NULL of NULL */

	switch (found) {
	case STORE_FOUND:
		if (host != NULL)
			hosts_add(&n->known, host);
		return;
	case STORE_MISSING:
		tell(n);
		end(n, RUNNER_OK);
		return;
	case STORE_FAILED:
		end(n, RUNNER_OK);
		return;
	}
}

static void ask_next(struct nearing *n);

static void
nearing_on_got(enum store_found found, json_t *rec, const struct trouble *why, void *arg)
{
	struct nearing *n = arg;

	if (found == STORE_FAILED) {
		end(n, RUNNER_OK);
		return;
	}
	n->missing[n->next] = found == STORE_MISSING;
	n->any_missing |= found == STORE_MISSING;
	n->next++;
	ask_next(n);
}

static void
ask_next(struct nearing *n)
{
	static const struct store_filter names_alone = {NULL, 0};

	if (n->next < n->names->n)
		store_get(n->c->store, n->names->names[n->next], nearing_on_got, n);
	else if (n->any_missing)
		store_list(n->c->store, &names_alone, nearing_on_listed, n);
	else
		end(n, RUNNER_OK);
}

static void
nearing_on_interrupt(void *arg)
{
	runner_say("interrupted; nothing was sent");
	end(arg, RUNNER_INTERRUPTED);
}

int
near_names_tell(struct runner_context *c, struct interrupt *interrupt, const struct hosts *names)
{
	struct nearing n = {.c = c, .names = names};

	if (names->n == 0 || names->n > NEAR_NAMES_MAX || c->store == NULL)
		return RUNNER_OK;
	interrupt->arg = &n;
	interrupt->fn = nearing_on_interrupt;
	ask_next(&n);
	loop_run(c->loop);
	interrupt->fn = NULL;
	hosts_finish(&n.known);
	if (n.status != RUNNER_OK) { /* it may have more to tell */
		store_close(c->store);
		c->store = NULL;
	}
	return n.status;
}
