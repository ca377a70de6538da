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

struct forget_op {
	struct couch_op op; /* first */
	char *host, *mark;  /* mark: its document, once that has its turn */
	unsigned int tries;
	size_t generation; /* of the revision that is removed */
	bool any;          /* a record was */
};

static void
forget_finish(struct couch_op *op)
{
	struct forget_op *f = (struct forget_op *)op;

	free(f->host);
	free(f->mark);
}

static void forget_look(struct forget_op *f);

static enum couch_answer
read_answer(const struct forget_op *f, const struct http_response *r, struct trouble *why)
{
	couch_note_answer(f->op.c, r);
	return couch_answer_read(r, 200, f->op.c->base.id, why);
}

static void
forget_next(struct forget_op *f)
{
	if (f->mark != NULL) {
		couch_op_done(&f->op, NULL, f->any ? "forgotten" : "not there");
		return;
	}
	xasprintf(&f->mark, COUCH_MARKS_START "%s", f->host);
	f->tries = 0;
	f->generation = 0;
	forget_look(f);
}

static void
forget_on_removed(const struct http_response *r, void *arg)
{
	struct forget_op *f = arg;
	struct trouble why;
	enum couch_answer a = read_answer(f, r, &why);

	if (a == COUCH_CONFLICT && ++f->tries < TRIES_MAX) {
		forget_look(f);
		return;
	}
	/* Some nodes of a cluster may have yet to hear of it (202): it is under way. */
	if (a != COUCH_DONE && a != COUCH_MISSING && r->status != 202) {
		couch_op_done(&f->op, &why, NULL);
		return;
	}
	f->any = f->any || f->mark == NULL;
	if (a == COUCH_DONE)
		forget_look(f);
	else
		forget_next(f);
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
	struct forget_op *f = arg;
	struct trouble why;
	char *rev, *doc, *url;
	enum couch_answer a = read_answer(f, r, &why);

	if (a == COUCH_MISSING) {
		forget_next(f);
		return;
	}
	if (a != COUCH_DONE) {
		couch_op_done(&f->op, &why, NULL);
		return;
	}
	rev = couch_rev(r->body, r->body_len);
	if (rev == NULL) {
		couch_answer_garbled(r, f->op.c->base.id, &why);
		couch_op_done(&f->op, &why, NULL);
		return;
	}
	if (f->generation > 0 && generation(rev) > f->generation) {
		free(rev);
		forget_next(f);
		return;
	}
	f->generation = generation(rev);
	doc = couch_url_doc(f->op.c->url, f->mark != NULL ? f->mark : f->host);
	xasprintf(&url, "%s?rev=%s", doc, rev);
	couch_op_request(&f->op, "DELETE", url, NULL, forget_on_removed);
	free(url);
	free(doc);
	free(rev);
}

static void
forget_look(struct forget_op *f)
{
	char *url = couch_url_doc(f->op.c->url, f->mark != NULL ? f->mark : f->host);

	couch_op_request(&f->op, "GET", url, NULL, forget_on_looked);
	free(url);
}

void
couch_forget(struct store *s, const char *host, store_done_fn *fn, void *arg)
{
	struct forget_op *f =
	    (struct forget_op *)couch_op_create((struct couch *)s, sizeof(*f), forget_finish, arg);

	f->op.fn.done = fn;
	f->host = xstrdup(host);
	forget_look(f);
}
