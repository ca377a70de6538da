/* SPDX-License-Identifier: Apache-2.0 */
/* Removing what is known of a host: its record, then its mark, which says nothing without it.
 * Behind a revision that is removed another one may come up that had lost to it, as replication
 * brings them: that one is removed too. One of a later generation has been written since. */
#include "shared/store/couch/couch.h"

#include "shared/base/xalloc.h"
#include "shared/store/couch/couch_doc.h"

#include <stdio.h>
#include <stdlib.h>

enum {
	TRIES_MAX = 8, /* against a collector that writes the record all the time */
};

static void forget_look(struct couch_op *op);

static enum couch_answer
read_answer(const struct couch_op *op, const struct http_response *r, struct trouble *why)
{
	couch_note_answer(op->c, r);
	return couch_answer_read(r, 200, op->c->base.id, why);
}

/* op->startkey is the host, op->endkey its mark once that has its turn. */
static void
forget_next(struct couch_op *op)
{
	if (op->endkey != NULL) {
		couch_op_done(op, NULL, op->created ? "forgotten" : "not there");
		return;
	}
	xasprintf(&op->endkey, COUCH_MARKS_START "%s", op->startkey);
	op->tries = 0;
	op->generation = 0;
	forget_look(op);
}

static void
forget_on_removed(const struct http_response *r, void *arg)
{
	struct couch_op *op = arg;
	struct trouble why;
	enum couch_answer a = read_answer(op, r, &why);

	if (a == COUCH_CONFLICT && ++op->tries < TRIES_MAX) {
		forget_look(op);
		return;
	}
	/* Some nodes of a cluster may have yet to hear of it (202): it is under way. */
	if (a != COUCH_DONE && a != COUCH_MISSING && r->status != 202) {
		couch_op_done(op, &why, NULL);
		return;
	}
	op->created = op->created || op->endkey == NULL;
	if (a == COUCH_DONE)
		forget_look(op);
	else
		forget_next(op);
}

/* Returns 12 of "12-abc". */
static size_t
generation(const char *rev)
{
	return (size_t)strtoul(rev, NULL, 10);
}

static void
forget_on_looked(const struct http_response *r, void *arg)
{
	struct couch_op *op = arg;
	struct trouble why;
	char *rev, *doc, *url;
	enum couch_answer a = read_answer(op, r, &why);

	if (a == COUCH_MISSING) {
		forget_next(op);
		return;
	}
	if (a != COUCH_DONE) {
		couch_op_done(op, &why, NULL);
		return;
	}
	rev = couch_rev(r->body, r->body_len);
	if (rev == NULL) {
		couch_answer_garbled(r, op->c->base.id, &why);
		couch_op_done(op, &why, NULL);
		return;
	}
	if (op->generation > 0 && generation(rev) > op->generation) {
		free(rev);
		forget_next(op);
		return;
	}
	op->generation = generation(rev);
	doc = couch_url_doc(op->c->url, op->endkey != NULL ? op->endkey : op->startkey);
	xasprintf(&url, "%s?rev=%s", doc, rev);
	couch_op_request(op, "DELETE", url, NULL, forget_on_removed);
	free(url);
	free(doc);
	free(rev);
}

static void
forget_look(struct couch_op *op)
{
	char *url = couch_url_doc(op->c->url, op->endkey != NULL ? op->endkey : op->startkey);

	couch_op_request(op, "GET", url, NULL, forget_on_looked);
	free(url);
}

void
couch_forget(struct store *s, const char *host, store_done_fn *fn, void *arg)
{
	struct couch_op *op = couch_op_create((struct couch *)s, arg);

	op->done = fn;
	op->startkey = xstrdup(host);
	forget_look(op);
}
