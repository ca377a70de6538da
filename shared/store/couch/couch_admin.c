/* SPDX-License-Identifier: Apache-2.0 */
/* This works on the database itself: creating it, asking whether it takes writes, loading design
 * documents. */
#include "shared/base/trouble.h"
#include "shared/store/couch/couch_view.h"

#include "shared/base/log.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	TRIES_MAX = 3, /* when somebody else writes the same document at the same moment */
};

/* Setup and probe go through the database of the records, then that of the ledger. */
static const char *
url_of(const struct couch *c, bool ledger)
{
	return ledger ? c->jobs_url : c->url;
}

static const char *
id_of(const struct couch *c, bool ledger)
{
	return ledger ? c->jobs_id : c->base.id;
}

static enum couch_answer
read_answer(
    struct couch *c, bool ledger, const struct http_response *r, long want, struct trouble *why)
{
	couch_note_answer(c, r);
	return couch_answer_read(r, want, id_of(c, ledger), why);
}

/* --- setup --- */

struct setup_op {
	struct couch_op op; /* first */
	bool ledger;        /* its database has its turn */
	bool created;       /* one of them was */
	bool upgraded;      /* the views were others */
};

/* design_on_put() says this of a document that was another one; it is known by its address. */
static const char design_upgraded[] = "upgraded";

static void setup_one(struct setup_op *s);

static void
setup_next(struct setup_op *s, bool created)
{
	s->created = s->created || created;
	if (s->ledger) {
		couch_op_done(&s->op, NULL,
		    s->created    ? "created"
		    : s->upgraded ? "was there; " COUCH_VIEW_DESIGN
				    " was not as it should be, and is again"
				  : "was there");
		return;
	}
	s->ledger = true;
	setup_one(s);
}

/* A list does without its view, slowly: not worth a failure. */
static void
setup_on_views(const struct trouble *why, const char *done, void *arg)
{
	struct setup_op *s = arg;

	if (why != NULL)
		log_info("store", "store[%s]: views for lists of hosts: " TROUBLE_FMT,
		    id_of(s->op.c, s->ledger), TROUBLE_ARGS(why));
	else
		log_info("store", "store[%s]: views for lists of hosts: %s",
		    id_of(s->op.c, s->ledger), done);
	s->upgraded = done == design_upgraded;
	setup_next(s, false);
}

/* Asked for as an administrator only, for nobody else may: a login that is refused by way of trying
 * would count against the user. */
static void
setup_views(struct setup_op *s, bool created)
{
	json_t *design;

	s->created = s->created || created;
	if (s->ledger) {
		setup_next(s, false);
		return;
	}
	design = couch_view_design();
	couch_load_design(&s->op.c->base, design, setup_on_views, s);
	json_decref(design);
}

/* Each revision of a document is remembered by its number for as many as this, 1000 unless told,
 * and the whole list is written with the document: records are written often and never conflict for
 * long, and with 1000 a small one is written 22 times its size. Nobody's own database is changed.
 */
#define REVS_LIMIT "20"

/* Goes on whatever the answer is: the database is there, and doctor tells. */
static void
setup_on_limited(const struct http_response *r, void *arg)
{
	struct setup_op *s = arg;
	struct trouble why;

	if (read_answer(s->op.c, s->ledger, r, 200, &why) != COUCH_DONE)
		log_debug("store", "store[%s]: _revs_limit stays, why=" TROUBLE_FMT,
		    id_of(s->op.c, s->ledger), TROUBLE_ARGS(&why));
	setup_views(s, true);
}

static void
setup_limit(struct setup_op *s)
{
	char *url;

	xasprintf(&url, "%s/_revs_limit", url_of(s->op.c, s->ledger));
	couch_op_request(&s->op, "PUT", url, xstrdup(REVS_LIMIT), setup_on_limited);
	free(url);
}

/* Members of a database may not create one; if it is there, that is no hindrance. */
static void
setup_on_looked(const struct http_response *r, void *arg)
{
	struct setup_op *s = arg;
	struct trouble why;

	enum couch_answer a = read_answer(s->op.c, s->ledger, r, 200, &why);

	if (a == COUCH_NO_DB)
		trouble_set(&why, TROUBLE_OTHER, NULL,
		    "%s: this user may not create the database; set up with an administrator's "
		    "user and password in the dsn",
		    id_of(s->op.c, s->ledger));
	if (a == COUCH_DONE)
		setup_next(s, false);
	else
		couch_op_done(&s->op, &why, NULL);
}

static void
setup_on_answer(const struct http_response *r, void *arg)
{
	struct setup_op *s = arg;
	struct trouble why;

	switch (read_answer(s->op.c, s->ledger, r, 201, &why)) {
	case COUCH_DONE:
		setup_limit(s);
		return;
	case COUCH_EXISTS:
		setup_views(s, false);
		return;
	case COUCH_DENIED:
		couch_op_request(&s->op, "GET", url_of(s->op.c, s->ledger), NULL, setup_on_looked);
		return;
	case COUCH_MISSING:
	case COUCH_NO_DB:
	case COUCH_CONFLICT:
	case COUCH_BAD:
	case COUCH_UNKNOWN:
		break;
	}
	if (r->status == 202) /* some nodes of the cluster have yet to make it */
		setup_limit(s);
	else
		couch_op_done(&s->op, &why, NULL);
}

static void
setup_one(struct setup_op *s)
{
	couch_op_request(&s->op, "PUT", url_of(s->op.c, s->ledger), NULL, setup_on_answer);
}

void
couch_setup(struct store *base, store_done_fn *fn, void *arg)
{
	struct setup_op *s =
	    (struct setup_op *)couch_op_create((struct couch *)base, sizeof(*s), NULL, arg);

	s->op.fn.done = fn;
	setup_one(s);
}

/* --- probe --- */

/* A write is the only proof that writes are taken: /_up stays 200 on a full disk.
 * A _local document is not replicated, in no view, and one is enough for all collectors. It is
 * removed at once. */
#define PROBE_ID "_local/vogeler-probe"

struct probe_op {
	struct couch_op op; /* first */
	bool ledger;        /* its database has its turn */
	unsigned int tries; /* after conflicts */
};

static void probe_look(struct probe_op *p);

/* Somebody else's probe may have written over it, or removed it, in between: that one tidies up.
 * Not all nodes have to know of it yet (202). */
static void
probe_on_removed(const struct http_response *r, void *arg)
{
	struct probe_op *p = arg;
	struct trouble why;
	enum couch_answer a = read_answer(p->op.c, p->ledger, r, 200, &why);

	if (a != COUCH_DONE && a != COUCH_CONFLICT && a != COUCH_MISSING && r->status != 202) {
		couch_op_done(&p->op, &why, NULL);
		return;
	}
	if (p->ledger) {
		couch_op_done(&p->op, NULL, "takes writes");
		return;
	}
	p->ledger = true;
	p->tries = 0;
	probe_look(p);
}

static void
probe_remove(struct probe_op *p, const struct http_response *r)
{
	char *rev = couch_rev(r->body, r->body_len), *url;

	xasprintf(
	    &url, "%s/" PROBE_ID "?rev=%s", url_of(p->op.c, p->ledger), rev != NULL ? rev : "");
	couch_op_request(&p->op, "DELETE", url, NULL, probe_on_removed);
	free(url);
	free(rev);
}

static void
probe_on_put(const struct http_response *r, void *arg)
{
	struct probe_op *p = arg;
	struct trouble why;
	enum couch_answer a = read_answer(p->op.c, p->ledger, r, 201, &why);

	if (a == COUCH_CONFLICT && ++p->tries < TRIES_MAX) {
		probe_look(p);
		return;
	}
	if (a == COUCH_DONE)
		probe_remove(p, r);
	else
		couch_op_done(&p->op, &why, NULL);
}

static void
probe_ask(struct probe_op *p, const char *method, char *body, http_fn *fn)
{
	char *url = couch_url_doc(url_of(p->op.c, p->ledger), PROBE_ID);

	couch_op_request(&p->op, method, url, body, fn);
	free(url);
}

static void
probe_put(struct probe_op *p, const char *rev)
{
	char at[WALLCLOCK_TEXT_SIZE];
	json_t *doc = json_pack("{s:s, s:s, s:s*}", "_id", PROBE_ID, "probed_at",
	    wallclock_format(wallclock_ms(), at), "_rev", rev);
	char *body = json_dumps(doc, JSON_COMPACT);

	json_decref(doc);
	if (body == NULL)
		couch_op_done(&p->op, &trouble_no_memory, NULL);
	else
		probe_ask(p, "PUT", body, probe_on_put);
}

static void
probe_on_looked(const struct http_response *r, void *arg)
{
	struct probe_op *p = arg;
	struct trouble why;
	char *rev = NULL;
	enum couch_answer a = read_answer(p->op.c, p->ledger, r, 200, &why);

	if (a == COUCH_DONE) {
		rev = couch_rev(r->body, r->body_len);
		if (rev == NULL) {
			couch_answer_garbled(r, id_of(p->op.c, p->ledger), &why);
			a = COUCH_UNKNOWN;
		}
	}
	if (a == COUCH_DONE || a == COUCH_MISSING)
		probe_put(p, rev);
	else
		couch_op_done(&p->op, &why, NULL);
	free(rev);
}

static void
probe_look(struct probe_op *p)
{
	probe_ask(p, "GET", NULL, probe_on_looked);
}

static void
probe_on_time(void *arg)
{
	probe_look(arg);
}

void
couch_probe(struct store *s, store_done_fn *fn, void *arg)
{
	struct couch *c = (struct couch *)s;
	struct probe_op *p = (struct probe_op *)couch_op_create(c, sizeof(*p), NULL, arg);
	int64_t wait_ms = couch_pace_wait_ms(&c->pace, loop_now(c->loop));

	p->op.fn.done = fn;
	if (wait_ms == 0)
		probe_look(p);
	else
		couch_op_later(&p->op, probe_on_time, wait_ms);
}

/* --- design documents --- */

struct design_op {
	struct couch_op op; /* first */
	char *url;
	json_t *doc;
	unsigned int tries; /* after conflicts */
};

static void
design_finish(struct couch_op *op)
{
	struct design_op *d = (struct design_op *)op;

	free(d->url);
	json_decref(d->doc);
}

static void design_look(struct design_op *d);

static void
design_on_put(const struct http_response *r, void *arg)
{
	struct design_op *d = arg;
	struct trouble why;
	enum couch_answer a = read_answer(d->op.c, false, r, 201, &why);

	if (a == COUCH_CONFLICT && ++d->tries < TRIES_MAX)
		design_look(d);
	else if (a == COUCH_DONE)
		couch_op_done(&d->op, NULL,
		    json_object_get(d->doc, "_rev") != NULL ? design_upgraded : "loaded");
	else
		couch_op_done(&d->op, &why, NULL);
}

static void
design_put(struct design_op *d)
{
	char *body = json_dumps(d->doc, JSON_COMPACT);

	if (body == NULL)
		couch_op_done(&d->op, &trouble_no_memory, NULL);
	else
		couch_op_request(&d->op, "PUT", d->url, body, design_on_put);
}

/* Keeps type and bytes of attachments, which are ours; the rest is the database's. */
static json_t *
plain_attachments(const json_t *doc)
{
	json_t *plain = json_object(), *a;
	const char *name;

	json_object_foreach (json_object_get(doc, "_attachments"), name, a)
		json_object_set_new(plain, name,
		    json_pack("{s:O?,s:O?}", "content_type", json_object_get(a, "content_type"),
			"data", json_object_get(a, "data")));
	return plain;
}

/* Gives the new one the revision of what is there; then they differ only if something else does.
 * Attachments that somebody has added to a document of which the folder has none stay there. */
static bool
design_same(struct design_op *d, json_t *there)
{
	json_t *ours, *theirs = plain_attachments(there);
	bool same;

	json_object_set(d->doc, "_rev", json_object_get(there, "_rev"));
	if (json_object_get(d->doc, "_attachments") == NULL && json_object_size(theirs) > 0)
		json_object_set(d->doc, "_attachments", theirs);
	ours = plain_attachments(d->doc);
	same = json_equal(ours, theirs);
	json_decref(ours);
	json_decref(theirs);
	if (json_object_get(d->doc, "_attachments") != NULL)
		json_object_set(there, "_attachments", json_object_get(d->doc, "_attachments"));
	return same && json_equal(d->doc, there);
}

/* The document that is there, the caller's; NULL unless COUCH_DONE. */
static json_t *
design_read_answer(const struct design_op *d, const struct http_response *r, enum couch_answer *a,
    struct trouble *why)
{
	json_t *there = NULL;

	*a = read_answer(d->op.c, false, r, 200, why);
	if (*a == COUCH_DONE) {
		there = json_loadb(r->body, r->body_len, 0, NULL);
		if (!json_is_string(json_object_get(there, "_rev"))) {
			couch_answer_garbled(r, d->op.c->base.id, why);
			*a = COUCH_UNKNOWN;
		}
	}
	return there;
}

static void
design_on_looked(const struct http_response *r, void *arg)
{
	struct design_op *d = arg;
	struct trouble why;
	enum couch_answer a;
	json_t *there = design_read_answer(d, r, &a, &why);

	json_object_del(d->doc, "_rev");
	if (a == COUCH_MISSING) {
		design_put(d);
		return;
	}
	if (a != COUCH_DONE)
		couch_op_done(&d->op, &why, NULL);
	else if (design_same(d, there))
		couch_op_done(&d->op, NULL, "unchanged");
	else
		design_put(d);
	json_decref(there);
}

static void
design_ask(struct design_op *d, http_fn *fn)
{
	char *url;

	xasprintf(&url, "%s?attachments=true", d->url);
	couch_op_request(&d->op, "GET", url, NULL, fn);
	free(url);
}

static void
design_look(struct design_op *d)
{
	design_ask(d, design_on_looked);
}

static struct design_op *
design_create(struct couch *c, const char *id, json_t *doc, store_done_fn *fn, void *arg)
{
	struct design_op *d =
	    (struct design_op *)couch_op_create(c, sizeof(*d), design_finish, arg);

	d->op.fn.done = fn;
	d->doc = doc;
	d->url = couch_url_doc(c->url, id);
	return d;
}

void
couch_load_design(struct store *s, json_t *doc, store_done_fn *fn, void *arg)
{
	const char *id = json_string_value(json_object_get(doc, "_id"));

	/* The copy gets a _rev of its own. */
	design_look(design_create(
	    (struct couch *)s, id != NULL ? id : "_design/", json_copy(doc), fn, arg));
}

/* --- check --- */

/* One that is not there is told by who lists, and lists without it. */
static void
check_on_looked(const struct http_response *r, void *arg)
{
	struct design_op *d = arg;
	struct trouble why;
	enum couch_answer a;
	json_t *there = design_read_answer(d, r, &a, &why);
	bool same = a == COUCH_DONE && design_same(d, there);

	if (a == COUCH_DONE && !same)
		trouble_set(&why, TROUBLE_OTHER,
		    "run \"vogeler-admin setup\" with an administrator's user",
		    "%s: " COUCH_VIEW_DESIGN
		    " is not as it should be, so that lists of hosts may be "
		    "wrong or empty",
		    d->op.c->base.id);
	json_decref(there);
	if (a == COUCH_MISSING)
		couch_op_done(&d->op, NULL, "there is no " COUCH_VIEW_DESIGN);
	else
		couch_op_done(&d->op, same ? NULL : &why,
		    same ? COUCH_VIEW_DESIGN " is as it should be" : NULL);
}

void
couch_check(struct store *s, store_done_fn *fn, void *arg)
{
	design_ask(
	    design_create((struct couch *)s, COUCH_VIEW_DESIGN, couch_view_design(), fn, arg),
	    check_on_looked);
}
