/* See near_names.h. */
#include "runner/near_names.h"

#include "runner/interrupt.h"
#include "shared/loop.h"
#include "shared/store/store.h"

#include <string.h>
#include <strings.h>

struct nearing {
	struct runner_context *c;
	const struct hosts *names;
	size_t next; /* of names: the one that is asked for */
	bool missing[NEAR_NAMES_MAX];
	bool any_missing, told[NEAR_NAMES_MAX];
	int status;
};

static void
end(struct nearing *n, int status)
{
	n->status = status;
	loop_stop(n->c->loop);
}

/* web01 and web01.example.com. */
static bool
is_label_of(const char *label, const char *name)
{
	size_t len = strlen(label);

	return strncasecmp(label, name, len) == 0 && name[len] == '.';
}

static void
nearing_on_listed(enum store_found found, json_t *rec, const char *why, void *arg)
{
	struct nearing *n = arg;
	const char *host;

	if (found != STORE_FOUND) {
		end(n, RUNNER_OK);
		return;
	}
	host = json_string_value(json_object_get(rec, "_id"));
	for (size_t i = 0; host != NULL && i < n->names->n; i++) {
		const char *name = n->names->names[i];

		if (!n->missing[i] || n->told[i] ||
		    (strcasecmp(name, host) != 0 && !is_label_of(name, host) &&
			!is_label_of(host, name)))
			continue;
		n->told[i] = true;
		runner_say("%s: there is no record of that name; did you mean %s?", name, host);
	}
}

static void ask_next(struct nearing *n);

static void
nearing_on_got(enum store_found found, json_t *rec, const char *why, void *arg)
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
	if (n.status != RUNNER_OK) { /* it may have more to tell */
		store_close(c->store);
		c->store = NULL;
	}
	return n.status;
}
