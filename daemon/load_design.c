/* SPDX-License-Identifier: Apache-2.0 */
/* See load_design.h. */
#include "daemon/load_design.h"

#include "shared/base/printable.h"
#include "shared/base/trouble.h"
#include "shared/config/cli.h"
#include "shared/config/complain.h"
#include "shared/event/loop.h"
#include "shared/store/couch/design.h"
#include "shared/store/store.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

struct design_load {
	struct loop *loop;
	struct store *store;
	json_t *docs;
	size_t next;
	int status;
};

static void load_next(struct design_load *l);

static void
complain(struct design_load *l, const char *what, const char *why)
{
	fflush(stdout); /* in their order */
	complain_line("vogelerd", "%s: %s", what, why);
	l->status = 1;
}

static void
complain_why(struct design_load *l, const char *what, const struct trouble *why)
{
	char *text = trouble_text(why);

	complain(l, what, text);
	free(text);
}

/* One that is refused keeps no other out. */
static void
on_loaded(const struct trouble *why, const char *done, void *arg)
{
	struct design_load *l = arg;
	const json_t *doc = json_array_get(l->docs, l->next);
	const char *id = json_string_value(json_object_get(doc, "_id"));

	if (why == NULL)
		printable_line(stdout, "%s: %s", id, done);
	else
		complain_why(l, id, why);
	l->next++;
	load_next(l);
}

static void
load_next(struct design_load *l)
{
	json_t *doc = json_array_get(l->docs, l->next);

	if (doc != NULL) {
		store_load_design(l->store, doc, on_loaded, l);
		return;
	}
	printf(l->status == 0 ? "Design docs loaded\n"
			      : "Design docs loaded, but for those that are named above\n");
	loop_stop(l->loop);
}

static void
on_set_up(const struct trouble *why, const char *done, void *arg)
{
	struct design_load *l = arg;

	if (why == NULL) {
		load_next(l);
		return;
	}
	complain_why(l, store_id(l->store), why);
	loop_stop(l->loop);
}

int
load_designs(struct loop *loop, struct store *store, const char *dir)
{
	struct design_load l = {.loop = loop, .store = store};
	json_t *broken = json_array(), *why;
	size_t i;
	char err[512] = "", *shown = uri_mask(dir);

	printable_line(stdout, "Loading design docs from %s", shown);
	free(shown);
	fflush(stdout); /* before anything that stderr says about it */
	l.docs = design_read(dir, broken, err, sizeof(err));
	json_array_foreach (broken, i, why)
		complain(&l, "left out", json_string_value(why));
	json_decref(broken);
	if (l.docs == NULL) {
		complain_line("vogelerd", "%s", err);
		return 1;
	}
	store_setup(store, on_set_up, &l);
	loop_run(loop);
	json_decref(l.docs);
	return l.status;
}
