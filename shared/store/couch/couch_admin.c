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

void
couch_op_done(struct couch_op *op, const struct trouble *why, const char *done)
{
	store_done_fn *fn = op->done;
	void *arg = op->arg;

	couch_op_destroy(op);
	fn(why, done, arg);
}

static struct couch_op *
admin_op(struct store *s, store_done_fn *fn, void *arg)
{
	struct couch_op *op = couch_op_create((struct couch *)s, arg);

	op->done = fn;
	return op;
}

/* Setup and probe go through the database of the records, then that of the ledger. */
static const char *
url_of(const struct couch_op *op)
{
	return op->ledger ? op->c->jobs_url : op->c->url;
}

static const char *
id_of(const struct couch_op *op)
{
	return op->ledger ? op->c->jobs_id : op->c->base.id;
}

static enum couch_answer
read_answer(
    const struct couch_op *op, const struct http_response *r, long want, struct trouble *why)
{
	couch_note_answer(op->c, r);
	return couch_answer_read(r, want, id_of(op), why);
}

/* --- setup --- */

/* design_on_put() says this of a document that was another one; it is known by its address. */
static const char design_upgraded[] = "upgraded";

static void setup_one(struct couch_op *op);

static void
setup_next(struct couch_op *op, bool created)
{
	op->created = op->created || created;
	if (op->ledger) {
		couch_op_done(op, NULL,
		    op->created    ? "created"
		    : op->upgraded ? "was there; " COUCH_VIEW_DESIGN
				     " was not as it should be, and is again"
				   : "was there");
		return;
	}
	op->ledger = true;
	setup_one(op);
}

/* A list does without its view, slowly: not worth a failure. */
static void
setup_on_views(const struct trouble *why, const char *done, void *arg)
{
	struct couch_op *op = arg;

	if (why != NULL)
		log_info("store", "store[%s]: views for lists of hosts: " TROUBLE_FMT, id_of(op),
		    TROUBLE_ARGS(why));
	else
		log_info("store", "store[%s]: views for lists of hosts: %s", id_of(op), done);
	op->upgraded = done == design_upgraded;
	setup_next(op, false);
}

/* Asked for as an administrator only, for nobody else may: a login that is refused by way of trying
 * would count against the user. */
static void
setup_views(struct couch_op *op, bool created)
{
	json_t *design;

	op->created = op->created || created;
	if (op->ledger) {
		setup_next(op, false);
		return;
	}
	design = couch_view_design();
	couch_load_design(&op->c->base, design, setup_on_views, op);
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
	struct couch_op *op = arg;
	struct trouble why;

	if (read_answer(op, r, 200, &why) != COUCH_DONE)
		log_debug("store", "store[%s]: _revs_limit stays, why=" TROUBLE_FMT, id_of(op),
		    TROUBLE_ARGS(&why));
	setup_views(op, true);
}

static void
setup_limit(struct couch_op *op)
{
	char *url;

	xasprintf(&url, "%s/_revs_limit", url_of(op));
	couch_op_request(op, "PUT", url, xstrdup(REVS_LIMIT), setup_on_limited);
	free(url);
}

/* Members of a database may not create one; if it is there, that is no hindrance. */
static void
setup_on_looked(const struct http_response *r, void *arg)
{
	struct couch_op *op = arg;
	struct trouble why;

	enum couch_answer a = read_answer(op, r, 200, &why);

	if (a == COUCH_NO_DB)
		trouble_set(&why, TROUBLE_OTHER, NULL,
		    "%s: this user may not create the database; set up with an administrator's "
		    "user and password in the dsn",
		    id_of(op));
	if (a == COUCH_DONE)
		setup_next(op, false);
	else
		couch_op_done(op, &why, NULL);
}

static void
setup_on_answer(const struct http_response *r, void *arg)
{
	struct couch_op *op = arg;
	struct trouble why;

	switch (read_answer(op, r, 201, &why)) {
	case COUCH_DONE:
		setup_limit(op);
		return;
	case COUCH_EXISTS:
		setup_views(op, false);
		return;
	case COUCH_DENIED:
		couch_op_request(op, "GET", url_of(op), NULL, setup_on_looked);
		return;
	case COUCH_MISSING:
	case COUCH_NO_DB:
	case COUCH_CONFLICT:
	case COUCH_BAD:
	case COUCH_UNKNOWN:
		break;
	}
	if (r->status == 202) /* some nodes of the cluster have yet to make it */
		setup_limit(op);
	else
		couch_op_done(op, &why, NULL);
}

static void
setup_one(struct couch_op *op)
{
	couch_op_request(op, "PUT", url_of(op), NULL, setup_on_answer);
}

void
couch_setup(struct store *s, store_done_fn *fn, void *arg)
{
	setup_one(admin_op(s, fn, arg));
}

/* --- probe --- */

/* A write is the only proof that writes are taken: /_up stays 200 on a full disk.
 * A _local document is not replicated, in no view, and one is enough for all collectors. It is
 * removed at once. */
#define PROBE_ID "_local/vogeler-probe"

static void probe_look(struct couch_op *op);

/* Somebody else's probe may have written over it, or removed it, in between: that one tidies up.
 * Not all nodes have to know of it yet (202). */
static void
probe_on_removed(const struct http_response *r, void *arg)
{
	struct couch_op *op = arg;
	struct trouble why;
	enum couch_answer a = read_answer(op, r, 200, &why);

	if (a != COUCH_DONE && a != COUCH_CONFLICT && a != COUCH_MISSING && r->status != 202) {
		couch_op_done(op, &why, NULL);
		return;
	}
	if (op->ledger) {
		couch_op_done(op, NULL, "takes writes");
		return;
	}
	op->ledger = true;
	op->tries = 0;
	probe_look(op);
}

static void
probe_remove(struct couch_op *op, const struct http_response *r)
{
	char *rev = couch_rev(r->body, r->body_len), *url;

	xasprintf(&url, "%s/" PROBE_ID "?rev=%s", url_of(op), rev != NULL ? rev : "");
	couch_op_request(op, "DELETE", url, NULL, probe_on_removed);
	free(url);
	free(rev);
}

static void
probe_on_put(const struct http_response *r, void *arg)
{
	struct couch_op *op = arg;
	struct trouble why;
	enum couch_answer a = read_answer(op, r, 201, &why);

	if (a == COUCH_CONFLICT && ++op->tries < TRIES_MAX) {
		probe_look(op);
		return;
	}
	if (a == COUCH_DONE)
		probe_remove(op, r);
	else
		couch_op_done(op, &why, NULL);
}

static void
probe_ask(struct couch_op *op, const char *method, char *body, http_fn *fn)
{
	char *url = couch_url_doc(url_of(op), PROBE_ID);

	couch_op_request(op, method, url, body, fn);
	free(url);
}

static void
probe_put(struct couch_op *op, const char *rev)
{
	char at[WALLCLOCK_TEXT_SIZE];
	json_t *doc = json_pack("{s:s, s:s, s:s*}", "_id", PROBE_ID, "probed_at",
	    wallclock_format(wallclock_ms(), at), "_rev", rev);
	char *body = json_dumps(doc, JSON_COMPACT);

	json_decref(doc);
	if (body == NULL)
		couch_op_done(op, &trouble_no_memory, NULL);
	else
		probe_ask(op, "PUT", body, probe_on_put);
}

static void
probe_on_looked(const struct http_response *r, void *arg)
{
	struct couch_op *op = arg;
	struct trouble why;
	char *rev = NULL;
	enum couch_answer a = read_answer(op, r, 200, &why);

	if (a == COUCH_DONE) {
		rev = couch_rev(r->body, r->body_len);
		if (rev == NULL) {
			couch_answer_garbled(r, id_of(op), &why);
			a = COUCH_UNKNOWN;
		}
	}
	if (a == COUCH_DONE || a == COUCH_MISSING)
		probe_put(op, rev);
	else
		couch_op_done(op, &why, NULL);
	free(rev);
}

static void
probe_look(struct couch_op *op)
{
	probe_ask(op, "GET", NULL, probe_on_looked);
}

static void
probe_on_time(void *arg)
{
	probe_look(arg);
}

void
couch_probe(struct store *s, store_done_fn *fn, void *arg)
{
	struct couch_op *op = admin_op(s, fn, arg);
	int64_t wait_ms;

	wait_ms = couch_pace_wait_ms(&op->c->pace, loop_now(op->c->loop));
	if (wait_ms == 0) {
		probe_look(op);
		return;
	}
	op->wait = loop_timer_create(op->c->loop, "couch-probe", probe_on_time, op);
	loop_timer_arm(op->wait, wait_ms);
}

/* --- design documents --- */

static void design_look(struct couch_op *op);

static void
design_on_put(const struct http_response *r, void *arg)
{
	struct couch_op *op = arg;
	struct trouble why;
	enum couch_answer a = read_answer(op, r, 201, &why);

	if (a == COUCH_CONFLICT && ++op->tries < TRIES_MAX)
		design_look(op);
	else if (a == COUCH_DONE)
		couch_op_done(op, NULL,
		    json_object_get(op->doc, "_rev") != NULL ? design_upgraded : "loaded");
	else
		couch_op_done(op, &why, NULL);
}

static void
design_put(struct couch_op *op)
{
	char *body = json_dumps(op->doc, JSON_COMPACT);

	if (body == NULL)
		couch_op_done(op, &trouble_no_memory, NULL);
	else
		couch_op_request(op, "PUT", op->url, body, design_on_put);
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
design_same(struct couch_op *op, json_t *there)
{
	json_t *ours, *theirs = plain_attachments(there);
	bool same;

	json_object_set(op->doc, "_rev", json_object_get(there, "_rev"));
	if (json_object_get(op->doc, "_attachments") == NULL && json_object_size(theirs) > 0)
		json_object_set(op->doc, "_attachments", theirs);
	ours = plain_attachments(op->doc);
	same = json_equal(ours, theirs);
	json_decref(ours);
	json_decref(theirs);
	if (json_object_get(op->doc, "_attachments") != NULL)
		json_object_set(there, "_attachments", json_object_get(op->doc, "_attachments"));
	return same && json_equal(op->doc, there);
}

/* The document that is there, the caller's; NULL unless COUCH_DONE. */
static json_t *
design_read_answer(const struct couch_op *op, const struct http_response *r, enum couch_answer *a,
    struct trouble *why)
{
	json_t *there = NULL;

	*a = read_answer(op, r, 200, why);
	if (*a == COUCH_DONE) {
		there = json_loadb(r->body, r->body_len, 0, NULL);
		if (!json_is_string(json_object_get(there, "_rev"))) {
			couch_answer_garbled(r, op->c->base.id, why);
			*a = COUCH_UNKNOWN;
		}
	}
	return there;
}

static void
design_on_looked(const struct http_response *r, void *arg)
{
	struct couch_op *op = arg;
	struct trouble why;
	enum couch_answer a;
	json_t *there = design_read_answer(op, r, &a, &why);

	json_object_del(op->doc, "_rev");
	if (a == COUCH_MISSING) {
		design_put(op);
		return;
	}
	if (a != COUCH_DONE)
		couch_op_done(op, &why, NULL);
	else if (design_same(op, there))
		couch_op_done(op, NULL, "unchanged");
	else
		design_put(op);
	json_decref(there);
}

static void
design_ask(struct couch_op *op, http_fn *fn)
{
	char *url;

	xasprintf(&url, "%s?attachments=true", op->url);
	couch_op_request(op, "GET", url, NULL, fn);
	free(url);
}

static void
design_look(struct couch_op *op)
{
	design_ask(op, design_on_looked);
}

void
couch_load_design(struct store *s, json_t *doc, store_done_fn *fn, void *arg)
{
	struct couch_op *op = admin_op(s, fn, arg);
	const char *id = json_string_value(json_object_get(doc, "_id"));

	op->doc = json_copy(doc); /* gets a _rev of its own */
	op->url = couch_url_doc(op->c->url, id != NULL ? id : "_design/");
	design_look(op);
}

/* --- check --- */

/* One that is not there is told by who lists, and lists without it. */
static void
check_on_looked(const struct http_response *r, void *arg)
{
	struct couch_op *op = arg;
	struct trouble why;
	enum couch_answer a;
	json_t *there = design_read_answer(op, r, &a, &why);
	bool same = a == COUCH_DONE && design_same(op, there);

	if (a == COUCH_DONE && !same)
		trouble_set(&why, TROUBLE_OTHER,
		    "run \"vogeler-admin setup\" with an administrator's user",
		    "%s: " COUCH_VIEW_DESIGN
		    " is not as it should be, so that lists of hosts may be "
		    "wrong or empty",
		    op->c->base.id);
	json_decref(there);
	if (a == COUCH_MISSING)
		couch_op_done(op, NULL, "there is no " COUCH_VIEW_DESIGN);
	else
		couch_op_done(
		    op, same ? NULL : &why, same ? COUCH_VIEW_DESIGN " is as it should be" : NULL);
}

void
couch_check(struct store *s, store_done_fn *fn, void *arg)
{
	struct couch_op *op = admin_op(s, fn, arg);

	op->doc = couch_view_design();
	op->url = couch_url_doc(op->c->url, COUCH_VIEW_DESIGN);
	design_ask(op, check_on_looked);
}
