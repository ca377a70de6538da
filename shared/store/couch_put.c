/* Writing records to CouchDB, over _all_docs and _bulk_docs.
 *
 * A store_put is cut into lots, each about as many records as CouchDB takes best in one request;
 * at most opt->couch_requests of them are active (fewer by couch_pace.h), so memory is bounded:
 *
 *   waiting --pump--> records not in the cache are fetched --> results applied --> _bulk_docs
 *                                                                  ^ what did not fit  |
 *                                                                  +-------------------+
 *
 * A write whose record is stored, or needs no writing, is then answered, or handed to
 * couch_ledger.c if it brings outcomes of jobs, which answers it.
 *
 * A record that is being written is out of the cache; it comes back only with a 201 for it. After
 * anything else it is read anew, so that a write that did land turns out to be UNCHANGED then. */
#include "shared/store/couch_ledger.h"

#include "shared/buf.h"
#include "shared/log.h"
#include "shared/loop.h"
#include "shared/store/couch_fetched.h"
#include "shared/worker.h"
#include "shared/xalloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	LOT_HOSTS_MAX = 500,
	BODY_BYTES = 4 * 1024 * 1024, /* a request is not begun to be larger than this */
	READ_AT_ONCE = 64 * 1024,     /* an answer over it is read on the helper thread */
	WHY_SIZE = 512,
};

struct item {
	struct store_write *w; /* NULL: answered */
	struct couch_doc *doc; /* NULL: not known yet, or no longer */
	bool sent;             /* in the request that is under way */
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

/* --- lots --- */

static void
lot_destroy(struct lot *lot)
{
	for (size_t i = 0; i < lot->n; i++)
		couch_doc_destroy(lot->items[i].doc);
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
settle(struct lot *lot, struct item *item, enum store_status status, const char *why)
{
	struct store_write *w = item->w;

	couch_doc_destroy(item->doc);
	item->doc = NULL;
	item->sent = false;
	item->w = NULL;
	if (status != STORE_OK)
		log_debug("store", "store[%s]: %s, host=%s, why=%s", lot->c->base.id,
		    store_status_name(status), w->host, why);
	if (status != STORE_OK || !couch_ledger_take(lot->c->ledger, w, lot->fn, lot->arg))
		lot->fn(w, status, why, lot->arg);
}

/* The store is out of reach: the writes that no request had are answered too, instead of each
 * waiting for its own timeout. Their records are as the store has them. */
static void
settle_rest(struct lot *lot, const char *why)
{
	for (size_t i = lot->next; i < lot->n; i++) {
		struct item *item = &lot->items[i];

		if (item->w == NULL)
			continue;
		if (item->doc != NULL)
			couch_cache_give(lot->c->cache, item->doc);
		item->doc = NULL;
		settle(lot, item, STORE_RETRY, why);
	}
	lot->next = lot->n;
}

static struct item *
item_of(struct lot *lot, const char *host, size_t *hint)
{
	for (size_t k = 0; k < lot->n; k++) { /* answers mostly come in the order asked */
		size_t i = (*hint + k) % lot->n;

		if (lot->items[i].w != NULL && strcmp(lot->items[i].w->host, host) == 0) {
			*hint = i + 1;
			return &lot->items[i];
		}
	}
	return NULL;
}

static enum couch_answer
read_answer(struct couch *c, const struct http_response *r, long want, char *why)
{
	enum couch_answer a = couch_answer_read(r, want, c->base.id, why, WHY_SIZE);

	couch_note_answer(c, r);
	if (a == COUCH_NO_DB) /* what comes back in its place may be older, or empty */
		couch_cache_clear(c->cache);
	return a;
}

/* --- writing --- */

static void
read_items(struct lot *lot, const struct couch_item *answers, size_t n)
{
	size_t hint = 0;

	for (size_t i = 0; i < n; i++) {
		struct item *item = item_of(lot, answers[i].id, &hint);

		if (item == NULL || !item->sent)
			continue;
		if (answers[i].status == STORE_OK) {
			couch_doc_set_rev(item->doc, answers[i].rev);
			couch_cache_give(lot->c->cache, item->doc);
			item->doc = NULL;
		}
		settle(lot, item, answers[i].status, answers[i].why);
	}
}

static void
settle_sent(struct lot *lot, enum store_status status, const char *why)
{
	for (size_t i = 0; i < lot->n; i++)
		if (lot->items[i].sent)
			settle(lot, &lot->items[i], status, why);
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
	char why[WHY_SIZE];
	size_t n = 0;
	enum couch_answer a = read_answer(c, r, 201, why);

	if (a == COUCH_DONE && !couch_items_parse(r->body, r->body_len, &answers, &n)) {
		couch_answer_garbled(r, c->base.id, why, sizeof(why));
		a = COUCH_UNKNOWN;
	}
	if (a == COUCH_DONE) {
		read_items(lot, answers, n);
		settle_sent(lot, STORE_RETRY, "the store's answer leaves it out");
	} else {
		enum store_status status = couch_answer_status(a, count_sent(lot));

		settle_sent(lot, status, why);
		if (status == STORE_RETRY)
			settle_rest(lot, why);
	}
	couch_items_free(answers, n);
	lot_write(lot);
}

/* Appends the record of an item to the body, or answers it at once. */
static void
add_record(struct lot *lot, struct item *item, struct buf *body)
{
	struct couch *c = lot->c;
	size_t before = body->len;
	bool fits;
	char why[WHY_SIZE];

	if (!couch_doc_apply(item->doc, item->w)) {
		couch_cache_give(c->cache, item->doc);
		item->doc = NULL;
		settle(lot, item, STORE_OK, NULL);
		return;
	}
	fits = buf_append_str(body, before > 0 ? "," : "{\"docs\":[");
	fits = fits && couch_doc_write(body, item->doc);
	if (fits && body->len - before <= c->record_max) {
		item->sent = true;
		return;
	}
	snprintf(why, sizeof(why), "record would be %s%zu bytes, over record_max_bytes (%zu)",
	    fits ? "" : "more than ", body->len - before, c->record_max);
	buf_truncate(body, before);
	settle(lot, item, STORE_REJECT, why);
}

/* While CouchDB wants to be left alone nothing is sent: it is for the caller to come again. */
static bool
put_off(struct lot *lot)
{
	struct couch *c = lot->c;
	char why[WHY_SIZE];

	if (couch_pace_wait_ms(&c->pace, loop_now(c->loop)) == 0)
		return false;
	snprintf(why, sizeof(why), "%s has asked for time (Retry-After)", c->base.id);
	settle_rest(lot, why);
	lot_finish(lot);
	return true;
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
	buf_init(&body, BODY_BYTES + 2 * c->record_max + 1024);
	for (; lot->next < lot->n && body.len < BODY_BYTES; lot->next++)
		if (lot->items[lot->next].w != NULL)
			add_record(lot, &lot->items[lot->next], &body);
	if (body.len == 0) {
		buf_finish(&body);
		lot_finish(lot);
		return;
	}
	if (!buf_append_str(&body, "]}")) { /* out of memory: the cap has room for it */
		buf_finish(&body);
		settle_sent(lot, STORE_RETRY, "out of memory");
		settle_rest(lot, "out of memory");
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
settle_unknown(struct lot *lot, enum store_status status, const char *why)
{
	for (size_t i = 0; i < lot->n; i++)
		if (lot->items[i].w != NULL && lot->items[i].doc == NULL)
			settle(lot, &lot->items[i], status, why);
}

static void
take_row(struct lot *lot, struct couch_fetched_row *row, size_t *hint)
{
	struct item *item = item_of(lot, row->id, hint);

	if (item == NULL || item->doc != NULL)
		return;
	switch (row->kind) {
	case COUCH_FETCHED_DOC:
		couch_note_size(lot->c, row->bytes, 1);
		item->doc = row->doc;
		row->doc = NULL;
		return;
	case COUCH_FETCHED_MISSING:
		item->doc = couch_doc_create(item->w->host);
		return;
	case COUCH_FETCHED_ERROR:
		settle(lot, item, STORE_RETRY, "the store failed to read the record");
		return;
	case COUCH_FETCHED_UNREADABLE:
		settle(lot, item, STORE_REJECT, row->why);
		return;
	}
}

/* Takes over what is in f. */
static void
take_rows(struct lot *lot, struct couch_fetched *f, enum couch_answer a, const char *why)
{
	size_t hint = 0;

	for (size_t i = 0; i < f->n; i++)
		take_row(lot, &f->rows[i], &hint);
	couch_fetched_finish(f);
	if (a == COUCH_DONE)
		settle_unknown(lot, STORE_RETRY, "the store's answer leaves it out");
	else if (couch_answer_status(a, 1) == STORE_RETRY)
		settle_rest(lot, why);
	else
		settle_unknown(lot, couch_answer_status(a, count_unknown(lot)), why);
	lot_write(lot);
}

/* An answer on its way through the thread. */
struct reading {
	struct lot *lot;
	char *body;
	size_t len;
	struct couch_fetched fetched;
	bool ok;
	char garbled[WHY_SIZE]; /* what to say if it is not ok */
};

static void
reading_run(void *arg)
{
	struct reading *r = arg;

	r->ok = couch_fetched_parse(&r->fetched, r->body, r->len);
}

static void
reading_done(void *arg)
{
	struct reading *r = arg;

	if (r->lot->c->closing)
		couch_fetched_finish(&r->fetched);
	else
		take_rows(r->lot, &r->fetched, r->ok ? COUCH_DONE : COUCH_UNKNOWN, r->garbled);
	free(r->body);
	free(r);
}

static bool
read_on_thread(struct lot *lot, const struct http_response *r)
{
	struct couch *c = lot->c;
	char *body = malloc(r->body_len);
	struct reading *reading;

	if (body == NULL)
		return false;
	memcpy(body, r->body, r->body_len);
	reading = xcalloc(1, sizeof(*reading));
	reading->lot = lot;
	reading->body = body;
	reading->len = r->body_len;
	couch_answer_garbled(r, c->base.id, reading->garbled, sizeof(reading->garbled));
	if (c->worker == NULL)
		c->worker = worker_create(c->loop, "couch");
	worker_submit(c->worker, reading_run, reading_done, reading);
	return true;
}

static void
lot_on_fetched(const struct http_response *r, void *arg)
{
	struct lot *lot = arg;
	struct couch_fetched f = {0};
	char why[WHY_SIZE];
	enum couch_answer a = read_answer(lot->c, r, 200, why);

	if (r->too_large)
		couch_note_too_large(lot->c, count_unknown(lot));
	if (a == COUCH_DONE && r->body_len > READ_AT_ONCE && read_on_thread(lot, r))
		return;
	if (a == COUCH_DONE && !couch_fetched_parse(&f, r->body, r->body_len)) {
		couch_answer_garbled(r, lot->c->base.id, why, sizeof(why));
		a = COUCH_UNKNOWN;
	}
	take_rows(lot, &f, a, why);
}

static void
lot_fetch(struct lot *lot)
{
	const char **ids = xcalloc(lot->n, sizeof(*ids));
	struct buf body;
	char *url;
	size_t n = 0, len;

	for (size_t i = 0; i < lot->n; i++)
		if (lot->items[i].doc == NULL)
			ids[n++] = lot->items[i].w->host;
	buf_init(&body, BODY_BYTES); /* LOT_HOSTS_MAX names of at most 253 bytes */
	if (!couch_keys_body(&body, ids, n)) {
		buf_finish(&body);
		free(ids);
		settle_rest(lot, "out of memory");
		lot_finish(lot);
		return;
	}
	free(ids);
	xasprintf(&url, "%s/_all_docs?include_docs=true", lot->c->url);
	char *text = buf_take(&body, &len);
	http_request(lot->c->http, "POST", url, text, len, lot_on_fetched, lot);
	free(url);
}

static void
lot_start(struct lot *lot)
{
	struct couch *c = lot->c;

	if (put_off(lot))
		return;
	for (size_t i = 0; i < lot->n; i++)
		lot->items[i].doc = couch_cache_take(c->cache, lot->items[i].w->host);
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

/* How many of the writes make one lot. */
static size_t
cut(const struct couch *c, struct store_write **writes, size_t n)
{
	size_t bytes = 0, i;

	for (i = 0; i < n && i < LOT_HOSTS_MAX; i++) {
		size_t known = couch_cache_peek(c->cache, writes[i]->host);

		if (bytes >= c->lot_bytes)
			break;
		bytes += (known > 0 ? known : c->mean_bytes) + writes[i]->bytes;
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
			lot->items[i].w = writes[i];
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
