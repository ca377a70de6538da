/* SPDX-License-Identifier: Apache-2.0 */
/* Writing records to CouchDB, over _all_docs and _bulk_docs.
 *
 * A store_put is cut into lots, each about as many records as CouchDB takes best in one request;
 * at most opt->couch_requests of them are active (fewer by couch_pace.h), so memory is bounded:
 *
 *   waiting --pump--> records not in the cache are fetched --> results applied --> _bulk_docs
 *                                                                  ^ what did not fit, |
 *                                                                  | what was sealed   |
 *                                                                  +-------------------+
 *
 * A write whose record is stored, or needs no writing, is then answered, or handed to
 * couch_ledger.c if it brings outcomes of jobs, which answers it.
 *
 * A record that is being written is out of the cache; it comes back only with a 201 for it. After
 * anything else it is read anew, and written again even if that write turns out to have landed: it
 * may be on one node of three (couch_doc.h, "proven").
 *
 * Where every result only confirms what is known, a mark is written in place of a large record
 * (couch_doc.h). CouchDB compares the revision of one document, so another collector could write
 * the record of an older result over a value that a mark has just confirmed, and neither would
 * notice. Hence:
 *
 * - A mark is written only beside a record with a number, that is proven, over the last revision of
 *   the mark, and not if that one is sealed for this number.
 * - A record with a number is written only after its mark has been sealed; and with a new number,
 *   or none, and with all that the mark said.
 *
 * So whoever writes a mark while somebody is about to write the record runs into a conflict at the
 * mark, and reads both again. Sealing has no effect but this one, and if it is all that happens,
 * because of a crash, the record is simply written by the next result.
 *
 * A mark says nothing if its record has been deleted, or the database been made anew. So when the
 * mark is stored the record's revision is asked for, and anything else than the known one is a
 * conflict.
 *
 * That is asked now and then of a record that was written, too. A revision that came in by
 * replication may have won over ours: then ours is a branch that still takes writes, with a 201 for
 * each, and that nobody sees. The write is given again and goes on from the revision that is seen.
 * Whoever reads a record is told of revisions that lost: these are read too, and what is newer in
 * them is written with the record; then they are removed (couch_lost.h). So each record is read
 * anew now and then.
 */
#include "shared/store/couch/couch_ledger.h"

#include "shared/base/buf.h"
#include "shared/base/log.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/event/worker.h"
#include "shared/store/couch/couch_fetched.h"
#include "shared/store/couch/couch_lost.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	LOT_HOSTS_MAX = 500,
	BODY_BYTES = 4 * 1024 * 1024, /* a request is not begun to be larger than this */
	READ_AT_ONCE = 64 * 1024,     /* an answer over it is read on the helper thread */
	MARK_GAIN = 2,                /* what a mark is smaller at least than its record */
	VERIFY_MS = 10 * 60 * 1000,   /* so often a record that is written is looked after */
	REREAD_MS = 60 * 60 * 1000,   /* after once to twice that it is read again */
};

static const struct trouble left_out = {TROUBLE_OTHER, "the store's answer leaves it out", ""};
static const struct trouble unread = {TROUBLE_OTHER, "the store failed to read the record", ""};
static const struct trouble changed = {TROUBLE_OTHER, "the record has changed", ""};

/* A part is what of a record is to be sent. */
enum part {
	PART_RECORD,
	PART_MARK,
	PART_SEAL,     /* then the record */
	PART_VERIFIED, /* it is stored: is the record there as we know it? */
};

struct item {
	char *host;            /* w's, which may be gone when w is answered */
	struct store_write *w; /* NULL: answered */
	struct couch_doc *doc; /* NULL: not known yet, or no longer */
	bool applied;          /* doc has the results */
	enum part part;
	bool sent; /* in the request that is under way */
};

struct lot {
	TAILQ_ENTRY(lot) link;
	struct couch *c;
	store_written_fn *fn;
	void *arg;
	struct item *items;
	size_t n;
	size_t next; /* the first item that no request had yet */
};

static void lot_write(struct lot *lot);
static void lot_on_lost(const struct http_response *r, void *arg);

/* --- lots --- */

static void
lot_destroy(struct lot *lot)
{
	for (size_t i = 0; i < lot->n; i++) {
		couch_doc_destroy(lot->items[i].doc);
		free(lot->items[i].host);
	}
	free(lot->items);
	free(lot);
}

static void
lot_finish(struct lot *lot)
{
	struct couch *c = lot->c;

	TAILQ_REMOVE(&c->active, lot, link);
	c->n_active--;
	loop_timer_arm(c->pump, 0);
	lot_destroy(lot);
}

/* Answers one write, at once or when its outcomes are stored too. Its record, unless taken away
 * before, is let go. */
static void
settle(struct lot *lot, struct item *item, enum store_status status, const struct trouble *why)
{
	struct store_write *w = item->w;

	couch_doc_destroy(item->doc);
	item->doc = NULL;
	item->sent = false;
	item->w = NULL;
	if (status != STORE_OK)
		log_debug("store", "store[%s]: %s, host=%s, why=" TROUBLE_FMT, lot->c->base.id,
		    store_status_name(status), w->host, TROUBLE_ARGS(why));
	if (status != STORE_OK || !couch_ledger_take(lot->c->ledger, w, lot->fn, lot->arg))
		lot->fn(w, status, why, lot->arg);
}

/* The store is out of reach: the other writes are answered too, instead of each waiting for its own
 * timeout. Records that have not been touched are as the store has them. */
static void
settle_rest(struct lot *lot, const struct trouble *why)
{
	for (size_t i = 0; i < lot->n; i++) {
		struct item *item = &lot->items[i];

		if (item->w == NULL)
			continue;
		if (item->doc != NULL && !item->applied) {
			couch_cache_give(lot->c->cache, item->doc);
			item->doc = NULL;
		}
		settle(lot, item, STORE_RETRY, why);
	}
	lot->next = lot->n;
}

static int
item_cmp(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	return strcmp(x->host, y->host);
}

static int
host_cmp_item(const void *host, const void *item)
{
	return strcmp(host, ((const struct item *)item)->host);
}

/* NULL: not of this lot, or answered. */
static struct item *
item_of(struct lot *lot, const char *host)
{
	struct item *item = bsearch(host, lot->items, lot->n, sizeof(*lot->items), host_cmp_item);

	return item != NULL && item->w != NULL ? item : NULL;
}

static enum couch_answer
read_answer(struct couch *c, const struct http_response *r, long want, struct trouble *why)
{
	enum couch_answer a = couch_answer_read(r, want, c->base.id, why);

	couch_note_answer(c, r);
	if (a == COUCH_NO_DB) /* what comes back in its place may be older, or empty */
		couch_cache_clear(c->cache);
	return a;
}

/* Asks for documents; when memory is out, ends the lot. */
static void
ask(struct lot *lot, const char *what, const char *const *ids, size_t n, http_fn *fn)
{
	struct couch *c = lot->c;
	struct buf body;
	char *url, *text;
	size_t len;

	buf_init(&body, BODY_BYTES); /* 2 * LOT_HOSTS_MAX names of at most 258 bytes */
	if (!couch_keys_body(&body, ids, n)) {
		buf_finish(&body);
		settle_rest(lot, &trouble_no_memory);
		lot_finish(lot);
		return;
	}
	xasprintf(&url, "%s/%s", c->url, what);
	text = buf_take(&body, &len);
	http_request(c->http, "POST", url, text, len, fn, lot);
	free(url);
}

/* --- writing --- */

/* Marks are a saving, and not worth the loss of an answer: without it the record is written. What
 * is refused of one host says nothing about the others. */
static void
refused_mark(struct lot *lot, struct item *item, const struct trouble *why)
{
	struct couch *c = lot->c;
	uint32_t unlogged;

	if (ratelimit_due(&c->marks_refused, why->what, loop_now(c->loop), &unlogged))
		log_warn("store",
		    "store[%s]: it refuses document " COUCH_MARKS_START
		    "%s: unchanged values of that host cost as much as changed ones, "
		    "unlogged_before=%" PRIu32 ", why=" TROUBLE_FMT,
		    c->base.id, item->host, unlogged, TROUBLE_ARGS(why));
	item->doc->unmarked = true;
	item->part = PART_RECORD;
	item->sent = false;
}

/* Now and then a record is read again, though it is known: only so it is seen that replication has
 * brought a revision that lost. Not all of them at once. */
static bool
is_to_be_read_again(const struct couch *c, const struct couch_doc *d)
{
	int64_t spread = (int64_t)(couch_cache_hash(d->head.host) % REREAD_MS);

	return d->again || mono_diff(loop_now(c->loop), d->read_at) >= REREAD_MS + spread;
}

static void
finish_item(struct lot *lot, struct item *item)
{
	struct couch *c = lot->c;

	couch_lost_remove(c, item->doc);
	if (is_to_be_read_again(c, item->doc))
		couch_cache_let_go(c->cache, item->doc);
	else
		couch_cache_give(c->cache, item->doc);
	item->doc = NULL;
	settle(lot, item, STORE_OK, NULL);
}

static void
note_verified(const struct couch *c, struct couch_doc *d)
{
	d->has_verified = true;
	d->verified = loop_now(c->loop);
}

/* One that was just read is as good as looked after. */
static bool
verify_is_due(const struct couch *c, struct couch_doc *d)
{
	if (!d->has_verified)
		note_verified(c, d);
	return mono_diff(loop_now(c->loop), d->verified) >= VERIFY_MS;
}

static void
stored(struct lot *lot, struct item *item, const char *rev)
{
	item->sent = false;
	switch (item->part) {
	case PART_RECORD:
		couch_doc_set_rev(item->doc, rev);
		if (verify_is_due(lot->c, item->doc))
			item->part = PART_VERIFIED;
		else
			finish_item(lot, item);
		return;
	case PART_MARK:
		couch_doc_set_marked(item->doc, rev);
		item->part = PART_VERIFIED;
		return;
	case PART_SEAL:
		couch_doc_set_sealed(item->doc, rev);
		item->part = PART_RECORD;
		return;
	case PART_VERIFIED:
		return;
	}
}

static void
read_items(struct lot *lot, const struct couch_item *answers, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *host = couch_marked_host(answers[i].id);
		struct item *item = item_of(lot, host != NULL ? host : answers[i].id);

		if (item == NULL || !item->sent || (host != NULL) == (item->part == PART_RECORD))
			continue;
		if (answers[i].status == STORE_OK)
			stored(lot, item, answers[i].rev);
		else if (answers[i].status == STORE_REFUSED && host != NULL)
			refused_mark(lot, item, answers[i].why);
		else
			settle(lot, item, answers[i].status, answers[i].why);
	}
}

static void
settle_sent(struct lot *lot, enum store_status status, const struct trouble *why)
{
	for (size_t i = 0; i < lot->n; i++) {
		struct item *item = &lot->items[i];

		if (item->sent && status == STORE_REFUSED && item->part != PART_RECORD)
			refused_mark(lot, item, why);
		else if (item->sent)
			settle(lot, item, status, why);
	}
}

static size_t
count_sent(const struct lot *lot)
{
	size_t n = 0;

	for (size_t i = 0; i < lot->n; i++)
		n += lot->items[i].sent;
	return n;
}

static void
lot_on_written(const struct http_response *r, void *arg)
{
	struct lot *lot = arg;
	struct couch *c = lot->c;
	struct couch_item *answers = NULL;
	struct trouble why;
	size_t n = 0;
	enum couch_answer a = read_answer(c, r, 201, &why);

	couch_items_read(r, c->base.id, &a, &answers, &n, &why);
	if (a == COUCH_DONE) {
		read_items(lot, answers, n);
		settle_sent(lot, STORE_RETRY, &left_out);
	} else {
		enum store_status status = couch_answer_status(a, count_sent(lot));

		settle_sent(lot, status, &why);
		if (status == STORE_RETRY)
			settle_rest(lot, &why);
	}
	couch_items_free(answers, n);
	lot_write(lot);
}

/* Chooses what is to be sent of it. false: nothing. */
static bool
choose_part(struct lot *lot, struct item *item)
{
	enum couch_change change = couch_doc_apply(item->doc, item->w);

	item->applied = true;
	if (change == COUCH_SAME)
		return false;
	if (!couch_doc_is_open(item->doc) || item->doc->unmarked)
		item->part = PART_RECORD;
	else
		item->part = change == COUCH_FRESH && couch_doc_takes_mark(item->doc) ? PART_MARK
										      : PART_SEAL;
	return true;
}

static bool
write_part(struct lot *lot, struct item *item, struct buf *body)
{
	size_t before = body->len;

	if (item->part == PART_MARK) {
		if (!couch_doc_write_mark(body, item->doc))
			return false;
		if (body->len - before <= couch_doc_text_bytes(item->doc, item->w) / MARK_GAIN)
			return true;
		buf_truncate(body, before);
		item->part = PART_SEAL;
	}
	if (item->part == PART_SEAL)
		return couch_doc_write_seal(body, item->doc);
	return couch_doc_write(body, item->doc);
}

/* Appends what is to be sent of an item to the body, or answers it at once. */
static void
add_item(struct lot *lot, struct item *item, struct buf *body)
{
	struct couch *c = lot->c;
	size_t before = body->len;
	bool fits;
	struct trouble why;

	if (!item->applied && !choose_part(lot, item)) {
		finish_item(lot, item);
		return;
	}
	if (item->part == PART_VERIFIED)
		return;
	if (item->part == PART_RECORD && !couch_doc_unpack(item->doc, c->pack)) {
		settle(lot, item, STORE_RETRY, &trouble_no_memory);
		return;
	}
	fits = buf_append_str(body, before > 0 ? "," : "{\"docs\":[");
	fits = fits && write_part(lot, item, body);
	if (fits && (item->part != PART_RECORD || body->len - before <= c->record_max)) {
		item->sent = true;
		return;
	}
	trouble_set(&why, TROUBLE_OTHER, NULL,
	    "record would be %s%zu bytes, over record_max_bytes (%zu)", fits ? "" : "more than ",
	    body->len - before, c->record_max);
	buf_truncate(body, before);
	settle(lot, item, STORE_REJECT, &why);
}

/* While CouchDB wants to be left alone nothing is sent: it is for the caller to come again. */
static bool
put_off(struct lot *lot)
{
	struct couch *c = lot->c;
	struct trouble why;

	if (couch_pace_wait_ms(&c->pace, loop_now(c->loop)) == 0)
		return false;
	trouble_set(&why, TROUBLE_OTHER, NULL, "%s has asked for time (Retry-After)", c->base.id);
	settle_rest(lot, &why);
	lot_finish(lot);
	return true;
}

static void
finish_verified(struct lot *lot, struct item *item)
{
	note_verified(lot->c, item->doc);
	finish_item(lot, item);
}

static void
verify_on_answer(const struct http_response *r, void *arg)
{
	struct lot *lot = arg;
	struct couch *c = lot->c;
	struct trouble why;
	struct couch_rows rows;
	struct couch_row row;
	enum couch_answer a = read_answer(c, r, 200, &why);

	if (a == COUCH_DONE && couch_rows_open(&rows, r->body, r->body_len)) {
		for (; couch_rows_next(&rows, &row); couch_row_finish(&row)) {
			struct item *item = item_of(lot, row.id);

			if (item == NULL || item->part != PART_VERIFIED)
				continue;
			if (row.error)
				settle(lot, item, STORE_RETRY, &unread);
			else if (row.rev == NULL || strcmp(row.rev, item->doc->rev) != 0)
				settle(lot, item, STORE_CONFLICT, &changed);
			else
				finish_verified(lot, item);
		}
	} else if (a == COUCH_DONE) {
		couch_answer_garbled(r, c->base.id, &why);
		a = COUCH_UNKNOWN;
	}
	if (a != COUCH_DONE)
		settle_rest(lot, &why);
	for (size_t i = 0; i < lot->n; i++)
		if (lot->items[i].w != NULL && lot->items[i].part == PART_VERIFIED)
			settle(lot, &lot->items[i], STORE_RETRY, &left_out);
	lot_write(lot);
}

/* Asks for the records that are to be looked after. false: there are none. */
static bool
lot_verify(struct lot *lot)
{
	const char **ids = xcalloc(lot->n, sizeof(*ids));
	size_t n = 0;

	for (size_t i = 0; i < lot->n; i++)
		if (lot->items[i].w != NULL && lot->items[i].part == PART_VERIFIED)
			ids[n++] = lot->items[i].host;
	if (n > 0)
		ask(lot, "_all_docs", ids, n, verify_on_answer);
	free(ids);
	return n > 0;
}

static bool
any_left(const struct lot *lot)
{
	for (size_t i = 0; i < lot->n; i++)
		if (lot->items[i].w != NULL)
			return true;
	return false;
}

/* Sends the next request of the lot; when nothing is left to be sent, ends it. */
static void
lot_write(struct lot *lot)
{
	struct couch *c = lot->c;
	struct buf body;
	char *url;
	size_t len;

	if (put_off(lot))
		return;
	if (lot->next == lot->n) { /* all have been sent; of the sealed ones the record is left */
		if (lot_verify(lot))
			return;
		lot->next = 0;
	}
	buf_init(&body, BODY_BYTES + 2 * c->record_max + 1024);
	for (; lot->next < lot->n && body.len < BODY_BYTES; lot->next++)
		if (lot->items[lot->next].w != NULL)
			add_item(lot, &lot->items[lot->next], &body);
	if (body.len == 0) {
		buf_finish(&body);
		if (any_left(lot)) /* marks that were stored by an earlier request */
			lot_write(lot);
		else
			lot_finish(lot);
		return;
	}
	if (!buf_append_str(&body, "]}")) { /* out of memory: the cap has room for it */
		buf_finish(&body);
		settle_sent(lot, STORE_RETRY, &trouble_no_memory);
		settle_rest(lot, &trouble_no_memory);
		lot_finish(lot);
		return;
	}
	xasprintf(&url, "%s/_bulk_docs", c->url);
	log_debug("store", "store[%s]: writing, records=%zu, bytes=%zu", c->base.id,
	    count_sent(lot), body.len);
	char *text = buf_take(&body, &len);
	http_request(c->http, "POST", url, text, len, lot_on_written, lot);
	free(url);
}

/* --- fetching --- */

static size_t
count_unknown(const struct lot *lot)
{
	size_t n = 0;

	for (size_t i = 0; i < lot->n; i++)
		n += lot->items[i].w != NULL && lot->items[i].doc == NULL;
	return n;
}

static void
settle_unknown(struct lot *lot, enum store_status status, const struct trouble *why)
{
	for (size_t i = 0; i < lot->n; i++)
		if (lot->items[i].w != NULL && lot->items[i].doc == NULL)
			settle(lot, &lot->items[i], status, why);
}

static void
take_row(struct lot *lot, struct couch_fetched_row *row)
{
	struct item *item = item_of(lot, row->id);

	if (item == NULL || item->doc != NULL)
		return;
	switch (row->kind) {
	case COUCH_FETCHED_DOC:
		couch_note_size(lot->c, row->bytes, 1);
		item->doc = row->doc;
		row->doc = NULL;
		item->doc->read_at = loop_now(lot->c->loop);
		return;
	case COUCH_FETCHED_MISSING:
		item->doc = couch_doc_create(item->w->host);
		item->doc->read_at = loop_now(lot->c->loop);
		return;
	case COUCH_FETCHED_MARK: /* take_marks */
	case COUCH_FETCHED_UNMARKED:
		return;
	case COUCH_FETCHED_ERROR:
		settle(lot, item, STORE_RETRY, &unread);
		return;
	case COUCH_FETCHED_UNREADABLE:
		settle(lot, item, STORE_REJECT, row->why);
		return;
	}
}

/* When all records are there: theirs may come first. */
static void
take_marks(struct lot *lot, struct couch_fetched *f)
{
	for (size_t i = 0; i < f->n; i++) {
		struct couch_fetched_row *row = &f->rows[i];
		struct item *item = row->kind == COUCH_FETCHED_MARK ? item_of(lot, row->id) : NULL;

		if (item == NULL || item->doc == NULL)
			continue;
		if (!couch_doc_take_mark(item->doc, &row->mark))
			settle(lot, item, STORE_RETRY, &trouble_no_memory);
	}
}

static void
prove_items(struct lot *lot)
{
	for (size_t i = 0; i < lot->n; i++)
		if (lot->items[i].doc != NULL && !lot->items[i].doc->proven)
			couch_cache_prove(lot->c->cache, lot->items[i].doc);
}

/* --- revisions that lost --- */

/* Answers do not wait for them to be readable: then m is NULL. Takes over what is in it. */
static void
take_lost(struct lot *lot, struct couch_merge *m, const struct trouble *why)
{
	struct couch *c = lot->c;

	if (m == NULL)
		log_info("store", "store[%s]: revisions in conflict are not read: " TROUBLE_FMT,
		    c->base.id, TROUBLE_ARGS(why));
	for (size_t i = 0; i < lot->n; i++)
		if (lot->items[i].doc != NULL)
			couch_lost_take(c, lot->items[i].doc, m);
	if (m != NULL)
		couch_merge_finish(m);
	lot_write(lot);
}

/* Asks for what was lost, of some records at a time. false: there is nothing. */
static bool
lot_ask_lost(struct lot *lot)
{
	struct couch *c = lot->c;
	json_t *docs = json_array(), *body = json_pack("{s:o}", "docs", docs);
	char *url, *text;

	for (size_t i = 0; i < lot->n; i++)
		if (lot->items[i].doc != NULL)
			couch_lost_ask(lot->items[i].doc, docs);
	text = json_array_size(docs) > 0 ? json_dumps(body, JSON_COMPACT) : NULL;
	json_decref(body);
	if (text == NULL)
		return false;
	xasprintf(&url, "%s/_bulk_get", c->url);
	http_request(c->http, "POST", url, text, strlen(text), lot_on_lost, lot);
	free(url);
	return true;
}

/* Takes over what is in f. */
static void
take_rows(struct lot *lot, struct couch_fetched *f, enum couch_answer a, const struct trouble *why)
{
	for (size_t i = 0; i < f->n; i++)
		take_row(lot, &f->rows[i]);
	take_marks(lot, f);
	prove_items(lot);
	couch_fetched_finish(f);
	if (a == COUCH_DONE)
		settle_unknown(lot, STORE_RETRY, &left_out);
	else if (couch_answer_status(a, 1) == STORE_RETRY)
		settle_rest(lot, why);
	else
		settle_unknown(lot, couch_answer_status(a, count_unknown(lot)), why);
	if (!lot_ask_lost(lot))
		lot_write(lot);
}

/* --- answers that hold records --- */

/* One that is taken apart: a large one on the thread. */
struct put_reading {
	struct lot *lot;
	char *body; /* owned; NULL: the answer's own */
	size_t len;
	bool is_lost; /* revisions that lost, and else what was fetched */
	struct couch_fetched fetched;
	struct couch_merge lost;
	bool ok;
	struct trouble garbled; /* what to say if it is not ok */
};

static void
reading_parse(struct put_reading *r, const char *body)
{
	r->ok = r->is_lost ? couch_merge_read(&r->lost, body, r->len)
			   : couch_fetched_parse(&r->fetched, body, r->len);
}

static void
reading_take(struct put_reading *r)
{
	if (!r->is_lost)
		take_rows(r->lot, &r->fetched, r->ok ? COUCH_DONE : COUCH_UNKNOWN, &r->garbled);
	else if (r->ok)
		take_lost(r->lot, &r->lost, NULL);
	else
		take_lost(r->lot, NULL, &r->garbled);
}

static void
reading_run(void *arg)
{
	struct put_reading *r = arg;

	reading_parse(r, r->body);
}

static void
reading_destroy(struct put_reading *r)
{
	couch_fetched_finish(&r->fetched);
	couch_merge_finish(&r->lost);
	free(r->body);
	free(r);
}

static void
reading_done(void *arg)
{
	struct put_reading *r = arg;

	if (!r->lot->c->closing)
		reading_take(r);
	reading_destroy(r);
}

static void
read_records(struct lot *lot, const struct http_response *resp, bool is_lost)
{
	struct put_reading *r = xcalloc(1, sizeof(*r));

	r->lot = lot;
	r->is_lost = is_lost;
	r->len = resp->body_len;
	couch_answer_garbled(resp, lot->c->base.id, &r->garbled);
	if (resp->body_len > READ_AT_ONCE)
		r->body = malloc(resp->body_len);
	if (r->body != NULL) {
		memcpy(r->body, resp->body, resp->body_len);
		worker_submit(lot->c->worker, reading_run, reading_done, r);
		return;
	}
	reading_parse(r, resp->body);
	reading_take(r);
	reading_destroy(r);
}

static void
lot_on_fetched(const struct http_response *r, void *arg)
{
	struct lot *lot = arg;
	struct couch_fetched none = {0};
	struct trouble why;
	enum couch_answer a = read_answer(lot->c, r, 200, &why);

	if (r->too_large)
		couch_note_too_large(lot->c, count_unknown(lot));
	if (a == COUCH_DONE)
		read_records(lot, r, false);
	else
		take_rows(lot, &none, a, &why);
}

static void
lot_on_lost(const struct http_response *r, void *arg)
{
	struct lot *lot = arg;
	struct trouble why;

	if (read_answer(lot->c, r, 200, &why) == COUCH_DONE)
		read_records(lot, r, true);
	else
		take_lost(lot, NULL, &why);
}

static void
lot_fetch(struct lot *lot)
{
	const char **ids = xcalloc(2 * lot->n, sizeof(*ids));
	char **marks = xcalloc(lot->n, sizeof(*marks));
	size_t n = 0;

	for (size_t i = 0; i < lot->n; i++) {
		if (lot->items[i].doc != NULL)
			continue;
		xasprintf(&marks[i], COUCH_MARKS_START "%s", lot->items[i].host);
		ids[n++] = lot->items[i].host;
		ids[n++] = marks[i];
	}
	ask(lot, "_all_docs?include_docs=true&conflicts=true", ids, n, lot_on_fetched);
	for (size_t i = 0; i < lot->n; i++)
		free(marks[i]);
	free(marks);
	free(ids);
}

static void
lot_start(struct lot *lot)
{
	struct couch *c = lot->c;

	if (put_off(lot))
		return;
	for (size_t i = 0; i < lot->n; i++)
		lot->items[i].doc = couch_cache_take(c->cache, lot->items[i].host);
	if (count_unknown(lot) > 0)
		lot_fetch(lot);
	else
		lot_write(lot);
}

void
couch_on_pump(void *arg)
{
	struct couch *c = arg;

	while (!TAILQ_EMPTY(&c->waiting) && c->n_active < c->pace.allowed) {
		struct lot *lot = TAILQ_FIRST(&c->waiting);

		TAILQ_REMOVE(&c->waiting, lot, link);
		TAILQ_INSERT_TAIL(&c->active, lot, link);
		c->n_active++;
		lot_start(lot);
	}
}

/* Returns how many of the writes make one lot. */
static size_t
cut(const struct couch *c, struct store_write **writes, size_t n)
{
	size_t bytes = 0, i;

	for (i = 0; i < n && i < LOT_HOSTS_MAX; i++) {
		size_t known = couch_cache_peek(c->cache, writes[i]);

		if (bytes >= c->lot_bytes)
			break;
		bytes += known > 0 ? known : c->mean_bytes + writes[i]->bytes;
	}
	return i;
}

void
couch_put(struct store *s, struct store_write **writes, size_t n, store_written_fn *fn, void *arg)
{
	struct couch *c = (struct couch *)s;

	while (n > 0) {
		struct lot *lot = xcalloc(1, sizeof(*lot));

		*lot = (struct lot){.c = c, .fn = fn, .arg = arg, .n = cut(c, writes, n)};
		lot->items = xcalloc(lot->n, sizeof(*lot->items));
		for (size_t i = 0; i < lot->n; i++)
			lot->items[i] =
			    (struct item){.host = xstrdup(writes[i]->host), .w = writes[i]};
		qsort(lot->items, lot->n, sizeof(*lot->items), item_cmp); /* for item_of */
		TAILQ_INSERT_TAIL(&c->waiting, lot, link);
		writes += lot->n;
		n -= lot->n;
	}
	loop_timer_arm(c->pump, 0); /* never an answer from inside the call */
}

void
couch_put_forget(struct couch *c)
{
	struct lot *lot;

	while ((lot = TAILQ_FIRST(&c->waiting)) != NULL) {
		TAILQ_REMOVE(&c->waiting, lot, link);
		lot_destroy(lot);
	}
	while ((lot = TAILQ_FIRST(&c->active)) != NULL) {
		TAILQ_REMOVE(&c->active, lot, link);
		lot_destroy(lot);
	}
}
