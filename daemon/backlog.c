/* SPDX-License-Identifier: Apache-2.0 */
/* See backlog.h. */
#include "daemon/backlog.h"

#include "daemon/read/convert.h"
#include "shared/base/xalloc.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

enum lane { FRESH, STALE, N_LANES };

enum host_state {
	HOST_READY,   /* in a lane: has items, no write is out */
	HOST_DELAYED, /* in `delayed`: the same, but its time has not come */
	HOST_OUT,     /* a write is out; items may wait behind it */
};

struct backlog_host {
	TAILQ_ENTRY(backlog_host) link; /* of a lane or delayed */
	UT_hash_handle hh;
	enum host_state state;
	enum lane lane;                        /* while READY */
	struct backlog_items waiting[N_LANES]; /* taken in this order */
	size_t bytes;                          /* of waiting */
	size_t singly;     /* the next so many items are to be written one by one */
	struct mono until; /* while DELAYED */
	struct backlog_conflicts conflicts;
	struct backlog_retries retries;
	char name[];
};
TAILQ_HEAD(hosts, backlog_host);

struct backlog {
	struct backlog_host *by_name; /* uthash: those that have items or a write out */
	struct hosts ready[N_LANES];
	struct hosts delayed;
	size_t n_ready;
	unsigned int fresh_run; /* so many fresh hosts were taken in a row */
	size_t ready_bytes;
};

struct backlog *
backlog_create(void)
{
	struct backlog *bl = xcalloc(1, sizeof(*bl));

	for (int i = 0; i < N_LANES; i++)
		TAILQ_INIT(&bl->ready[i]);
	TAILQ_INIT(&bl->delayed);
	return bl;
}

static void
item_free(struct backlog_item *item)
{
	convert_free(item->results, item->n);
	free(item);
}

static void
items_free(struct backlog_items *items)
{
	while (!TAILQ_EMPTY(items)) {
		struct backlog_item *item = TAILQ_FIRST(items);

		TAILQ_REMOVE(items, item, link);
		item_free(item);
	}
}

static void
host_free(struct backlog *bl, struct backlog_host *h)
{
	HASH_DEL(bl->by_name, h);
	free(h);
}

static void
set_ready(struct backlog *bl, struct backlog_host *h)
{
	h->state = HOST_READY;
	h->lane = TAILQ_EMPTY(&h->waiting[FRESH]) ? STALE : FRESH;
	TAILQ_INSERT_TAIL(&bl->ready[h->lane], h, link);
	bl->n_ready++;
	bl->ready_bytes += h->bytes;
}

static void
leave_queue(struct backlog *bl, struct backlog_host *h)
{
	if (h->state == HOST_DELAYED)
		TAILQ_REMOVE(&bl->delayed, h, link);
	if (h->state != HOST_READY)
		return;
	TAILQ_REMOVE(&bl->ready[h->lane], h, link);
	assert(bl->n_ready > 0);
	bl->n_ready--;
	assert(bl->ready_bytes >= h->bytes);
	bl->ready_bytes -= h->bytes;
}

void
backlog_clear(struct backlog *bl)
{
	struct backlog_host *h, *tmp;

	HASH_ITER (hh, bl->by_name, h, tmp) {
		leave_queue(bl, h);
		for (int i = 0; i < N_LANES; i++)
			items_free(&h->waiting[i]);
		h->bytes = 0;
		h->singly = 0;
		h->retries = (struct backlog_retries){0};
		if (h->state != HOST_OUT)
			host_free(bl, h);
	}
}

void
backlog_destroy(struct backlog *bl)
{
	if (bl == NULL)
		return;
	backlog_clear(bl);
	assert(bl->by_name == NULL);
	free(bl);
}

static struct backlog_host *
find_or_add_host(struct backlog *bl, const char *name)
{
	struct backlog_host *h;
	size_t len = strlen(name);

	HASH_FIND(hh, bl->by_name, name, len, h);
	if (h != NULL)
		return h;
	h = xcalloc(1, sizeof(*h) + len + 1);
	memcpy(h->name, name, len + 1);
	for (int i = 0; i < N_LANES; i++)
		TAILQ_INIT(&h->waiting[i]);
	HASH_ADD_KEYPTR(hh, bl->by_name, h->name, len, h);
	set_ready(bl, h);
	return h;
}

static size_t
results_bytes(struct result *const *results, size_t n)
{
	size_t i, bytes = 0;

	for (i = 0; i < n; i++)
		bytes += result_bytes(results[i]);
	return bytes;
}

size_t
backlog_add(struct backlog *bl, const char *host, struct result **results, size_t n, void *owner,
    bool fresh, struct mono now)
{
	struct backlog_host *h = find_or_add_host(bl, host);
	struct backlog_item *item = xcalloc(1, sizeof(*item));

	item->results = results;
	item->n = n;
	item->bytes = results_bytes(results, n);
	item->owner = owner;
	item->fresh = fresh;
	item->since = now;
	TAILQ_INSERT_TAIL(&h->waiting[fresh ? FRESH : STALE], item, link);
	/* It may come before those that are to be written one by one. */
	if (fresh && h->singly > 0)
		h->singly++;
	h->bytes += item->bytes;
	if (h->state != HOST_READY)
		return item->bytes;
	bl->ready_bytes += item->bytes;
	if (fresh && h->lane == STALE) {
		leave_queue(bl, h);
		set_ready(bl, h);
	}
	return item->bytes;
}

static struct backlog_item *
first_item(struct backlog_host *h)
{
	struct backlog_item *item = TAILQ_FIRST(&h->waiting[FRESH]);

	return item != NULL ? item : TAILQ_FIRST(&h->waiting[STALE]);
}

/* Moves the first item of h to w: one of a backlog goes before those that are fresh, for it is
 * older most often. first_fresh: of w; NULL = it has none yet. */
static void
take_item(struct backlog_host *h, struct backlog_write *w, struct backlog_item **first_fresh)
{
	struct backlog_item *item = first_item(h);

	TAILQ_REMOVE(&h->waiting[item->fresh ? FRESH : STALE], item, link);
	assert(h->bytes >= item->bytes);
	h->bytes -= item->bytes;
	if (!item->fresh && *first_fresh != NULL)
		TAILQ_INSERT_BEFORE(*first_fresh, item, link);
	else
		TAILQ_INSERT_TAIL(&w->items, item, link);
	if (item->fresh && *first_fresh == NULL)
		*first_fresh = item;
	w->n_items++;
	w->write.n += item->n;
	w->write.bytes += item->bytes;
}

static void
list_results(struct backlog_write *w)
{
	struct backlog_item *item;
	size_t n = 0;

	w->write.results = xcalloc(w->write.n, sizeof(struct result *));
	TAILQ_FOREACH (item, &w->items, link) {
		memcpy(&w->write.results[n], item->results, item->n * sizeof(struct result *));
		n += item->n;
	}
}

static struct backlog_host *
next_host(struct backlog *bl)
{
	struct backlog_host *fresh = TAILQ_FIRST(&bl->ready[FRESH]);
	struct backlog_host *stale = TAILQ_FIRST(&bl->ready[STALE]);

	if (fresh == NULL || (stale != NULL && bl->fresh_run >= BACKLOG_FRESH_RUN)) {
		bl->fresh_run = 0;
		return stale;
	}
	bl->fresh_run++;
	return fresh;
}

struct backlog_write *
backlog_take(struct backlog *bl, size_t max_bytes)
{
	struct backlog_host *h = next_host(bl);
	struct backlog_item *next, *first_fresh = NULL;
	struct backlog_write *w;

	if (h == NULL)
		return NULL;
	assert(h->state != HOST_OUT); /* one write of a host at a time */
	leave_queue(bl, h);
	h->state = HOST_OUT;
	w = xcalloc(1, sizeof(*w));
	TAILQ_INIT(&w->items);
	w->host = h;
	w->write.host = h->name;
	w->write.owner = w;
	do {
		take_item(h, w, &first_fresh);
		next = first_item(h);
	} while (h->singly == 0 && next != NULL && w->write.bytes + next->bytes <= max_bytes);
	if (h->singly > 0)
		h->singly--;
	list_results(w);
	return w;
}

static void
write_free(struct backlog_write *w)
{
	items_free(&w->items);
	free(w->write.results);
	free(w->why);
	free(w);
}

static void
give_items_back(struct backlog_host *h, struct backlog_write *w)
{
	while (!TAILQ_EMPTY(&w->items)) {
		struct backlog_item *item = TAILQ_LAST(&w->items, backlog_items);

		TAILQ_REMOVE(&w->items, item, link);
		TAILQ_INSERT_HEAD(&h->waiting[item->fresh ? FRESH : STALE], item, link);
		h->bytes += item->bytes;
	}
}

void
backlog_return(struct backlog *bl, struct backlog_write *w, struct mono until)
{
	struct backlog_host *h = w->host;

	if (h->singly > 0)
		h->singly += w->n_items;
	give_items_back(h, w);
	h->state = HOST_DELAYED;
	h->until = until;
	TAILQ_INSERT_TAIL(&bl->delayed, h, link);
	write_free(w);
}

void
backlog_return_singly(struct backlog *bl, struct backlog_write *w, struct mono now)
{
	struct backlog_item *item;

	w->host->singly = w->n_items;
	/* Fresh ones that came meanwhile may be taken before some of them. */
	TAILQ_FOREACH (item, &w->host->waiting[FRESH], link)
		w->host->singly++;
	give_items_back(w->host, w);
	set_ready(bl, w->host);
	write_free(w);
}

void
backlog_finish(struct backlog *bl, struct backlog_write *w)
{
	struct backlog_host *h = w->host;

	h->conflicts = (struct backlog_conflicts){0};
	if (first_item(h) == NULL)
		host_free(bl, h);
	else
		set_ready(bl, h);
	write_free(w);
}

void
backlog_wake(struct backlog *bl, struct mono now)
{
	struct backlog_host *h, *next;

	for (h = TAILQ_FIRST(&bl->delayed); h != NULL; h = next) {
		next = TAILQ_NEXT(h, link);
		if (!mono_reached(now, h->until))
			continue;
		leave_queue(bl, h);
		set_ready(bl, h);
	}
}

struct backlog_conflicts *
backlog_conflicts(struct backlog_write *w)
{
	return &w->host->conflicts;
}

struct backlog_retries *
backlog_retries(const struct backlog_write *w)
{
	return &w->host->retries;
}

size_t
backlog_hosts(const struct backlog *bl)
{
	return HASH_COUNT(bl->by_name);
}

size_t
backlog_ready(const struct backlog *bl)
{
	return bl->n_ready;
}

size_t
backlog_ready_bytes(const struct backlog *bl)
{
	return bl->ready_bytes;
}

/* Looks in all that waits for the hosts of a lane; since: the oldest so far, if any. */
static bool
find_oldest(const struct hosts *hosts, bool any, struct mono *since)
{
	struct backlog_host *h;

	TAILQ_FOREACH (h, hosts, link) {
		for (int i = 0; i < N_LANES; i++) {
			const struct backlog_item *item = TAILQ_FIRST(&h->waiting[i]);

			if (item == NULL)
				continue;
			if (!any || mono_diff(item->since, *since) < 0)
				*since = item->since;
			any = true;
		}
	}
	return any;
}

bool
backlog_oldest(const struct backlog *bl, struct mono *since)
{
	return find_oldest(&bl->ready[STALE], find_oldest(&bl->ready[FRESH], false, since), since);
}

bool
backlog_next_wake(const struct backlog *bl, struct mono *at)
{
	struct backlog_host *h;
	bool any = false;

	TAILQ_FOREACH (h, &bl->delayed, link) {
		if (!any || mono_diff(h->until, *at) < 0)
			*at = h->until;
		any = true;
	}
	return any;
}
