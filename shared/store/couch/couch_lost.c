/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/store/couch/couch_lost.h"

#include "shared/base/log.h"
#include "shared/base/xalloc.h"

#include <stdlib.h>

/* Each may be a whole record of 8 MB, CouchDB's limit: an answer of the largest size holds so many.
 */
#define LOST_AT_ONCE (COUCH_ANSWER_MAX / (8 * 1024 * 1024) - 1)

/* Forgets what is known of them: it is of no use any more, and the next who reads the record sees
 * them. */
static void
forget(struct couch_doc *d)
{
	json_decref(d->lost);
	d->lost = NULL;
	json_decref(d->mark.lost);
	d->mark.lost = NULL;
}

void
couch_lost_ask(struct couch_doc *d, json_t *list)
{
	size_t before = json_array_size(list);

	couch_merge_ask(d, list);
	if (json_array_size(list) == before || before == 0 || json_array_size(list) <= LOST_AT_ONCE)
		return; /* marks are small: those of one record always have room */
	while (json_array_size(list) > before)
		json_array_remove(list, json_array_size(list) - 1);
	d->again = true;
	forget(d);
}

void
couch_lost_take(struct couch *c, struct couch_doc *d, struct couch_merge *m)
{
	bool changed;

	if (d->lost == NULL && d->mark.lost == NULL)
		return;
	if (m == NULL) {
		forget(d);
		return;
	}
	if (couch_merge_bytes(m, d) > c->record_max) {
		log_info("store",
		    "store[%s]: revisions in conflict are left as they are, together they are over "
		    "record_max_bytes (%zu): host=%s",
		    c->base.id, c->record_max, d->head.host);
		forget(d);
		return;
	}
	changed = couch_merge_apply(m, d);
	log_info("store",
	    "store[%s]: revisions in conflict are merged, as replication brings them: host=%s, "
	    "revisions=%zu, newer=%s",
	    c->base.id, d->head.host, json_array_size(d->lost), changed ? "yes" : "no");
}

static void
on_removed(const struct http_response *r, void *arg)
{
	struct couch_op *op = arg;
	struct trouble why;

	/* A revision that stays is seen again by the next who reads the record. */
	if (couch_answer_read(r, 201, op->c->base.id, &why) != COUCH_DONE)
		log_info("store", "store[%s]: revisions in conflict are not removed: " TROUBLE_FMT,
		    op->c->base.id, TROUBLE_ARGS(&why));
	couch_op_destroy(op);
}

void
couch_lost_remove(struct couch *c, struct couch_doc *d)
{
	json_t *docs = couch_merge_removal(d);

	forget(d);
	if (docs != NULL)
		couch_op_post(couch_op_create(c, sizeof(struct couch_op), NULL, NULL), c->url,
		    "_bulk_docs", json_pack("{s:o}", "docs", docs), on_removed);
}
