/* SPDX-License-Identifier: Apache-2.0 */
/* "forget-order HOST": the next answer of the host counts, whatever its order is. For a host that
 * was heard with a clock ahead and has lost its state folder since, or in whose name somebody wrote
 * an order of his own: it would not be heard until the clock has caught up. */
#include "admin/missing.h"
#include "admin/record_view.h"
#include "admin/verb.h"
#include "shared/base/trouble.h"

#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/store/store.h"

#include <stdio.h>
#include <stdlib.h>

#define TRIES 5 /* against a collector that writes the same record */

struct order_forgetting {
	struct verb_context *v;
	struct store_write
	    write; /* for the host itself, and for each plugin, one that is no result */
	int tries;
};

static void
forgetting_free(struct order_forgetting *f)
{
	for (size_t i = 0; i < f->write.n; i++) {
		result_finish(f->write.results[i]);
		free(f->write.results[i]);
	}
	free(f->write.results);
	free(f);
}

static void
forgetting_on_written(
    struct store_write *w, enum store_status status, const struct trouble *why, void *arg)
{
	struct order_forgetting *f = arg;

	if (status == STORE_CONFLICT && ++f->tries < TRIES) {
		store_put(f->v->store, &w, 1, forgetting_on_written, f);
		return;
	}
	if (status == STORE_OK) {
		printf("%s: the orders of %zu plugins are forgotten; its next answers count\n",
		    w->host, w->n - 1);
		verb_done(f->v, VERB_OK);
	} else {
		verb_fail(f->v, "cannot write %s to %s: %s%s%s", w->host, store_id(f->v->store),
		    why != NULL ? why->what : store_status_name(status),
		    why != NULL && why->cure[0] != '\0' ? TROUBLE_CURE : "",
		    why != NULL ? why->cure : "");
	}
	forgetting_free(f);
}

static void
add(struct order_forgetting *f, const char *plugin)
{
	struct result *r = xcalloc(1, sizeof(*r));

	result_init(r);
	r->plugin = xstrdup_null(plugin);
	r->forget_order = true;
	r->received_at = wallclock_ms();
	f->write.results[f->write.n++] = r;
}

static void
forget_on_record(enum store_found found, json_t *rec, const struct trouble *why, void *arg)
{
	struct verb_context *v = arg;
	json_t *metas = json_object_get(rec, "vogeler"), *meta;
	struct store_write *w;
	struct order_forgetting *f;
	const char *plugin;

	if (found != STORE_FOUND) {
		missing_end(v, found, why);
		return;
	}
	f = xcalloc(1, sizeof(*f));
	f->v = v;
	f->write.host = v->args[0];
	f->write.results = xcalloc(json_object_size(metas) + 1, sizeof(struct result *));
	add(f, NULL);
	json_object_foreach (metas, plugin, meta) {
		if (json_is_object(meta))
			add(f, plugin);
	}
	w = &f->write;
	store_put(v->store, &w, 1, forgetting_on_written, f);
}

void
verb_forget_order(struct verb_context *v)
{
	store_get(v->store, v->args[0], forget_on_record, v);
}
