/* See load.h. */
#include "daemon/load.h"

#include "shared/cli.h"
#include "shared/loop.h"
#include "shared/store/design.h"
#include "shared/store/store.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

struct load {
	struct loop *loop;
	struct store *store;
	json_t *docs;
	size_t next;
	int status;
};

static void load_next(struct load *l);

static void
fail(struct load *l, const char *what, const char *why)
{
	cli_complain("vogelerd", "%s: %s", what, why);
	l->status = 1;
	loop_stop(l->loop);
}

static void
on_loaded(bool ok, const char *what, void *arg)
{
	struct load *l = arg;
	const json_t *doc = json_array_get(l->docs, l->next);
	const char *id = json_string_value(json_object_get(doc, "_id"));

	if (!ok) {
		fail(l, id, what);
		return;
	}
	printf("%s: %s\n", id, what);
	l->next++;
	load_next(l);
}

static void
load_next(struct load *l)
{
	json_t *doc = json_array_get(l->docs, l->next);

	if (doc != NULL) {
		store_load_design(l->store, doc, on_loaded, l);
		return;
	}
	printf("Design docs loaded\n");
	l->status = 0;
	loop_stop(l->loop);
}

static void
on_set_up(bool ok, const char *what, void *arg)
{
	struct load *l = arg;

	if (!ok)
		fail(l, store_id(l->store), what);
	else
		load_next(l);
}

int
load_designs(struct loop *loop, struct store *store, const char *dir)
{
	struct load l = {.loop = loop, .store = store, .status = 1};
	json_t *broken;
	char err[512] = "", *shown = uri_mask(dir);

	printf("Loading design docs from %s\n", shown);
	free(shown);
	fflush(stdout); /* before anything that stderr says about it */
	broken = json_array();
	l.docs = design_read(dir, broken, err, sizeof(err));
	if (json_array_size(broken) > 0)
		cli_complain("vogelerd", "%s", json_string_value(json_array_get(broken, 0)));
	json_decref(broken);
	if (l.docs == NULL) {
		cli_complain("vogelerd", "%s", err);
		return 1;
	}
	store_setup(store, on_set_up, &l);
	loop_run(loop);
	json_decref(l.docs);
	return l.status;
}
