/* SPDX-License-Identifier: Apache-2.0 */
/* See bindings.h.
 *
 *   WAITING -- timer --> LISTING -- all names are there --> BINDING -- done --> WAITING
 *      +------ somebody was heard of ------------------------> ^ */
#include "daemon/bindings.h"

#include "shared/amqp/broker.h"
#include "shared/amqp/host_binder.h"
#include "shared/base/ident.h"
#include "shared/base/log.h"
#include "shared/base/name.h"
#include "shared/base/trouble.h"
#include "shared/base/uri.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/store/store.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum bindings_state { BINDINGS_WAITING, BINDINGS_LISTING, BINDINGS_BINDING };

struct names {
	char **list;
	size_t n;
};

struct bindings {
	struct loop *loop;
	struct store *store;
	struct broker_options opt;
	struct uri *uris;
	char *exchange;
	enum bindings_state state;
	struct loop_timer *timer;
	struct host_binder *binder;
	struct names hosts;  /* LISTING */
	struct names absent; /* had no queue at the last look; sorted */
	struct names heard;  /* have their turn before all have */
	bool some;           /* BINDING: those alone */
	struct mono next_at; /* WAITING: the turn of all */
	struct bindings_observer observer;
	bool full;  /* this round looks for those as well */
	bool begun; /* bindings_hurry() was called */
	bool again; /* it was asked for while a round was under way */
	bool had_full;
	struct mono full_at;
	bool complained;
	struct mono began; /* the round */
	struct bindings_status status;
};

static void bindings_enter(struct bindings *b, enum bindings_state next, int64_t wait_ms);

static void
names_add(struct names *names, const char *name)
{
	names->list = xreallocarray(names->list, names->n + 1, sizeof(*names->list));
	names->list[names->n++] = xstrdup(name);
}

static void
names_finish(struct names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->list[i]);
	free(names->list);
	*names = (struct names){0};
}

static int
compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool
names_have(const struct names *sorted, const char *name)
{
	return sorted->n > 0 &&
	       bsearch(&name, sorted->list, sorted->n, sizeof(*sorted->list), compare) != NULL;
}

/* Several collectors do not ask for the same at the same time for ever. */
static int64_t
period(void)
{
	return BINDINGS_PERIOD_MS + ident_random32() % (BINDINGS_PERIOD_MS / 4);
}

/* Once, until it is different: the hosts that may bind do so themselves. */
static void
complain(struct bindings *b, const struct host_binder_result *r)
{
	if (r->forbidden == 0 && r->complete) {
		b->complained = false;
		return;
	}
	if (r->forbidden == 0) {
		log_info("bindings", "the hosts' queues are not bound now: %s", r->why);
		return;
	}
	if (!b->complained)
		log_warn("bindings",
		    "may not bind the queues of hosts, the broker says \"%s\"; hosts that may not do "
		    "it themselves stay without commands when an exchange is made anew" TROUBLE_CURE
		    "give this user write on the hosts' queues, and read on the exchange "
		    "(docs/running.md)",
		    r->why);
	b->complained = true;
}

/* A round that was to look for all of them says who has no queue; another adds those that have lost
 * theirs since. */
static void
remember_absent(struct bindings *b, const struct host_binder_result *r)
{
	if (b->full && r->looked) {
		b->had_full = true;
		b->full_at = loop_now(b->loop);
		names_finish(&b->absent);
	} else if (b->full) {
		return;
	}
	for (size_t i = 0; i < r->no_queue; i++)
		names_add(&b->absent, r->absent[i]);
	if (b->absent.n > 0)
		qsort(b->absent.list, b->absent.n, sizeof(*b->absent.list), compare);
}

static void
remember(struct bindings *b, const struct host_binder_result *r)
{
	b->status.bound = r->bound;
	b->status.forbidden = r->forbidden;
	b->status.no_queue = b->absent.n;
	if (!r->complete)
		return;
	b->status.rounds++;
	b->status.whole_wall_ms = wallclock_ms();
	b->status.whole_ms = mono_diff(loop_now(b->loop), b->began);
}

static void
on_bound(const struct host_binder_result *r, void *arg)
{
	struct bindings *b = arg;
	bool some = b->some;
	int64_t wait_ms = some ? mono_diff(b->next_at, loop_now(b->loop))
			  : r->complete || r->forbidden > 0 ? period()
							    : BINDINGS_RETRY_MS;

	remember_absent(b, r);
	if (!some) {
		remember(b, r);
		complain(b, r);
	}
	if (b->observer.round_over != NULL)
		b->observer.round_over(!some, r->looked, b->observer.arg);
	log_debug("bindings", "queues of hosts: bound=%zu, no_queue=%zu, forbidden=%zu", r->bound,
	    r->no_queue, r->forbidden);
	bindings_enter(b, BINDINGS_WAITING, wait_ms);
}

static void
on_listed(enum store_found found, json_t *rec, const struct trouble *why, void *arg)
{
	struct bindings *b = arg;
	const char *name = json_string_value(json_object_get(rec, "_id"));

	switch (found) {
	case STORE_FOUND:
		if (name == NULL || name_host_error(name) != NULL)
			return;
		if (b->full || !names_have(&b->absent, name))
			names_add(&b->hosts, name);
		else if (b->observer.saw != NULL)
			b->observer.saw(name, 0, b->observer.arg);
		return;
	case STORE_MISSING:
		bindings_enter(b, BINDINGS_BINDING, 0);
		return;
	case STORE_FAILED:
		log_info("bindings",
		    "the hosts' queues are not bound now: the store says \"" TROUBLE_FMT "\"",
		    TROUBLE_ARGS(why));
		bindings_enter(b, BINDINGS_WAITING, BINDINGS_RETRY_MS);
		return;
	}
}

static void
begin_listing(struct bindings *b)
{
	static const struct store_filter names_only = {.plugins = NULL, .n = 0};

	b->full =
	    b->full || !b->had_full || mono_diff(loop_now(b->loop), b->full_at) >= BINDINGS_FULL_MS;
	b->again = false;
	b->began = loop_now(b->loop);
	names_finish(&b->hosts);
	store_list(b->store, &names_only, on_listed, b);
}

static void
on_consumers(const char *host, uint32_t consumers, void *arg)
{
	struct bindings *b = arg;

	b->observer.saw(host, consumers, b->observer.arg);
}

static void
begin_binding(struct bindings *b)
{
	struct names *from = b->some ? &b->heard : &b->hosts, hosts = *from;

	*from = (struct names){0};
	b->binder = host_binder_start(b->loop, &b->opt, b->exchange, hosts.list, hosts.n,
	    b->observer.saw != NULL ? on_consumers : NULL, on_bound, b);
}

static void
arm(struct bindings *b)
{
	int64_t wait_ms = mono_diff(b->next_at, loop_now(b->loop));

	if (b->heard.n > 0 && wait_ms > BINDINGS_HEAR_MS)
		wait_ms = BINDINGS_HEAR_MS;
	loop_timer_arm(b->timer, wait_ms > 0 ? wait_ms : 0);
}

static void
begin_waiting(struct bindings *b, int64_t wait_ms)
{
	host_binder_destroy(b->binder);
	b->binder = NULL;
	b->full = b->again;
	b->some = false;
	b->next_at = mono_add(loop_now(b->loop), b->again || wait_ms < 0 ? 0 : wait_ms);
	arm(b);
}

static void
bindings_enter(struct bindings *b, enum bindings_state next, int64_t wait_ms)
{
	b->state = next;
	switch (next) {
	case BINDINGS_WAITING:
		begin_waiting(b, wait_ms);
		return;
	case BINDINGS_LISTING:
		begin_listing(b);
		return;
	case BINDINGS_BINDING:
		begin_binding(b);
		return;
	}
}

static void
on_timer(void *arg)
{
	struct bindings *b = arg;

	b->some = !mono_reached(loop_now(b->loop), b->next_at);
	bindings_enter(b, b->some ? BINDINGS_BINDING : BINDINGS_LISTING, 0);
}

static void
set_uris(struct bindings *b, const struct uri *uris, size_t n)
{
	uri_list_free(b->uris, b->opt.n_uris);
	b->uris = xcalloc(n, sizeof(*b->uris));
	for (size_t i = 0; i < n; i++)
		uri_copy(&b->uris[i], &uris[i]);
	b->opt.uris = b->uris;
	b->opt.n_uris = n;
}

struct bindings *
bindings_create(struct loop *loop, struct store *store, const struct broker_options *opt,
    const char *broadcast_exchange)
{
	struct bindings *b = xcalloc(1, sizeof(*b));

	b->loop = loop;
	b->store = store;
	b->opt = *opt;
	set_uris(b, opt->uris, opt->n_uris);
	b->opt.role = "bindings";
	b->exchange = xstrdup(broadcast_exchange);
	b->timer = loop_timer_create(loop, "bindings", on_timer, b);
	return b;
}

void
bindings_destroy(struct bindings *b)
{
	if (b == NULL)
		return;
	host_binder_destroy(b->binder);
	loop_timer_destroy(b->timer);
	names_finish(&b->hosts);
	names_finish(&b->absent);
	names_finish(&b->heard);
	uri_list_free(b->uris, b->opt.n_uris);
	free(b->exchange);
	free(b);
}

void
bindings_hurry(struct bindings *b)
{
	b->begun = b->again = true;
	if (b->state != BINDINGS_WAITING)
		return;
	b->full = true;
	b->next_at = loop_now(b->loop);
	arm(b);
}

void
bindings_observe(struct bindings *b, const struct bindings_observer *observer)
{
	b->observer = *observer;
}

static void
forget_absent(struct bindings *b, const char *host)
{
	size_t n = 0;

	for (size_t i = 0; i < b->absent.n; i++) {
		if (strcmp(b->absent.list[i], host) == 0)
			free(b->absent.list[i]);
		else
			b->absent.list[n++] = b->absent.list[i];
	}
	b->absent.n = n;
}

void
bindings_hear(struct bindings *b, const char *host)
{
	forget_absent(b, host);
	for (size_t i = 0; i < b->heard.n; i++) {
		if (strcmp(b->heard.list[i], host) == 0)
			return;
	}
	if (b->heard.n == BINDINGS_HEARD_MAX || name_host_error(host) != NULL)
		return;
	names_add(&b->heard, host);
	if (b->state == BINDINGS_WAITING && b->begun)
		arm(b);
}

void
bindings_set_logins(struct bindings *b, const struct uri *uris, size_t n)
{
	set_uris(b, uris, n);
}

void
bindings_status(const struct bindings *b, struct bindings_status *out)
{
	*out = b->status;
}
