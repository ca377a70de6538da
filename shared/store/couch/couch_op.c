/* SPDX-License-Identifier: Apache-2.0 */
/* What all requests of the CouchDB backend share: the operation that one belongs to, and what each
 * answer teaches about the pace and the size of records. See couch.h. */
#include "shared/store/couch/couch.h"

#include "shared/base/log.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/store/couch/couch_ledger.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* --- operations --- */

struct couch_op *
couch_op_create(struct couch *c, size_t size, void (*finish)(struct couch_op *op), void *arg)
{
	struct couch_op *op;

	assert(size >= sizeof(*op));
	op = xcalloc(1, size);
	op->c = c;
	op->finish = finish;
	op->arg = arg;
	LIST_INSERT_HEAD(&c->ops, op, link);
	return op;
}

void
couch_op_destroy(struct couch_op *op)
{
	LIST_REMOVE(op, link);
	loop_timer_destroy(op->wait);
	if (op->finish != NULL)
		op->finish(op);
	free(op);
}

void
couch_op_later(struct couch_op *op, loop_fn *fn, int64_t wait_ms)
{
	assert(op->wait == NULL); /* it begins once */
	op->wait = loop_timer_create(op->c->loop, "couch-op", fn, op);
	loop_timer_arm(op->wait, wait_ms);
}

void
couch_op_listed(struct couch_op *op, enum store_found found, const struct trouble *why)
{
	store_listed_fn *fn = op->fn.listed;
	void *arg = op->arg;

	couch_op_destroy(op);
	fn(found, NULL, why, arg);
}

void
couch_op_request(struct couch_op *op, const char *method, const char *url, char *body, http_fn *fn)
{
	http_request(op->c->http, method, url, body, body != NULL ? strlen(body) : 0, fn, op);
}

void
couch_op_post(
    struct couch_op *op, const char *database, const char *what, json_t *body, http_fn *fn)
{
	char *url;

	xasprintf(&url, "%s/%s", database, what);
	couch_op_request(op, "POST", url, json_dumps(body, JSON_COMPACT), fn);
	json_decref(body);
	free(url);
}

void
couch_op_done(struct couch_op *op, const struct trouble *why, const char *done)
{
	store_done_fn *fn = op->fn.done;
	void *arg = op->arg;

	couch_op_destroy(op);
	fn(why, done, arg);
}

/* --- what answers teach --- */

void
couch_note_size(struct couch *c, size_t bytes, size_t records)
{
	if (records > 0)
		c->mean_bytes = (c->mean_bytes * 7 + bytes / records) / 8 + 1;
}

void
couch_note_too_large(struct couch *c, size_t records)
{
	size_t bytes = COUCH_ANSWER_MAX / (records > 0 ? records : 1);

	if (c->mean_bytes < bytes)
		c->mean_bytes = bytes;
}

/* A put whose records are stored and whose outcomes are on their way is not answered yet: it must
 * not keep others from being begun. */
void
couch_note_limits(struct couch *c)
{
	c->base.limits.batches_in_flight = c->pace.allowed + COUCH_LEDGER_PUTS;
	c->base.pace = (struct store_pace){c->pace.allowed, c->pace.max, c->pace.slowdowns};
}

void
couch_note_answer(struct couch *c, const struct http_response *r)
{
	uint32_t before = c->pace.allowed;

	couch_pace_note(&c->pace, r, loop_now(c->loop));
	couch_note_limits(c);
	if (c->pace.allowed == before)
		return;
	log_info("store", "store[%s]: requests at once: %u -> %u, status=%ld", c->base.id,
	    (unsigned int)before, (unsigned int)c->pace.allowed, r->status);
	loop_timer_arm(c->pump, 0);
}
