/* SPDX-License-Identifier: Apache-2.0 */
/* See host_binder.h. A lane has one connection after the other, each with a lot of the hosts; the
 * binder is done when no lane has a lot, none is left, and nothing failed.
 *
 *   LANE_IDLE --> LANE_CONNECTED -- lot is done --> LANE_PAUSING -- timer --> LANE_CONNECTED ...
 *                                                        `-- no host is left --> LANE_IDLE */
#include "shared/amqp/host_binder.h"

#include "shared/amqp/broker.h"
#include "shared/amqp/topology.h"
#include "shared/base/uri.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"

#include <stdio.h>
#include <stdlib.h>

enum binder_lane_state { LANE_IDLE, LANE_CONNECTED, LANE_PAUSING };

struct binder_lane {
	struct host_binder *binder;
	enum binder_lane_state state;
	struct loop_timer *timer;
	size_t first;              /* of the lot, in the hosts */
	struct topology *topology; /* of the lot */
	struct broker *broker;
	char role[64];
};

struct host_binder {
	struct loop *loop;
	struct broker_options opt;
	struct uri *uris;
	char *exchange;
	char **hosts;
	size_t n, next; /* of the hosts: the first that no lot has had */
	struct binder_lane lanes[HOST_BINDER_LANES];
	struct loop_timer *end;
	size_t in_a_row;     /* forbidden */
	bool look_only;      /* after so many */
	bool *is_absent;     /* of each host */
	const char **absent; /* names in hosts */
	struct host_binder_result result;
	char why[1024];
	host_binder_look_fn *look;
	host_binder_fn *fn;
	void *arg;
};

static void lane_enter(struct binder_lane *l, enum binder_lane_state next);

static void
drop_connection(struct binder_lane *l)
{
	broker_destroy(l->broker);
	l->broker = NULL;
	topology_destroy(l->topology);
	l->topology = NULL;
}

/* The end is told from the loop: nobody waits for it in the middle of a call. */
static void
end(struct host_binder *h)
{
	h->next = h->n;
	for (size_t i = 0; i < HOST_BINDER_LANES; i++)
		lane_enter(&h->lanes[i], LANE_IDLE);
	loop_timer_arm(h->end, 0);
}

static bool
is_idle(const struct host_binder *h)
{
	for (size_t i = 0; i < HOST_BINDER_LANES; i++) {
		if (h->lanes[i].state != LANE_IDLE)
			return false;
	}
	return true;
}

static void
end_if_all_had_their_turn(struct host_binder *h)
{
	if (h->next < h->n || !is_idle(h))
		return;
	h->result.looked = true;
	h->result.complete = !h->look_only;
	end(h);
}

/* All have their turn again, and nothing is bound. */
static void
look_alone(struct host_binder *h)
{
	h->look_only = true;
	h->next = 0;
	for (size_t i = 0; i < HOST_BINDER_LANES; i++)
		lane_enter(&h->lanes[i], LANE_PAUSING);
}

static void
on_forbidden(struct host_binder *h, const char *why)
{
	if (h->look_only)
		return;
	h->result.forbidden++;
	snprintf(h->why, sizeof(h->why), "%s", why);
	if (++h->in_a_row < HOST_BINDER_FORBIDDEN)
		return;
	if (h->look != NULL)
		look_alone(h);
	else
		end(h);
}

/* The topology goes with its connection; hosts stay. */
static size_t
host_of(const struct binder_lane *l, const struct topology_item *item)
{
	return l->first + (size_t)(item - l->topology->items);
}

static void
lane_on_consumers(struct broker *b, const struct topology_item *item, uint32_t messages,
    uint32_t consumers, void *arg)
{
	struct binder_lane *l = arg;
	struct host_binder *h = l->binder;

	h->look(h->hosts[host_of(l, item)], consumers, h->arg);
}

static void
on_no_queue(struct host_binder *h, size_t host)
{
	h->result.no_queue += !h->is_absent[host];
	h->is_absent[host] = true;
	if (h->look != NULL)
		h->look(h->hosts[host], 0, h->arg);
}

static void
lane_on_bound(struct broker *b, const struct topology_item *item, enum broker_bound bound,
    const char *why, void *arg)
{
	struct binder_lane *l = arg;
	struct host_binder *h = l->binder;

	switch (bound) {
	case BROKER_BOUND:
		h->result.bound += !h->look_only;
		h->in_a_row = 0;
		return;
	case BROKER_BOUND_NO_QUEUE:
		on_no_queue(h, host_of(l, item));
		return;
	case BROKER_BOUND_FORBIDDEN:
		on_forbidden(h, why);
		return;
	}
}

static void
lane_on_ready(struct broker *b, void *arg)
{
	broker_stop(b);
}

static void
lane_on_stopped(struct broker *b, void *arg)
{
	struct binder_lane *l = arg;

	lane_enter(l, l->binder->next < l->binder->n ? LANE_PAUSING : LANE_IDLE);
	end_if_all_had_their_turn(l->binder);
}

static void
lane_on_down(struct broker *b, const struct broker_failure *f, void *arg)
{
	struct host_binder *h = ((struct binder_lane *)arg)->binder;

	snprintf(h->why, sizeof(h->why), "%s", f->text);
	end(h);
}

static const struct broker_handlers handlers = {
    .on_ready = lane_on_ready,
    .on_down = lane_on_down,
    .on_consumers = lane_on_consumers,
    .on_bound = lane_on_bound,
    .on_stopped = lane_on_stopped,
};

static void
begin_lot(struct binder_lane *l)
{
	struct host_binder *h = l->binder;
	struct broker_options opt = h->opt;

	l->first = h->next;
	l->topology = xcalloc(1, sizeof(*l->topology));
	for (size_t i = 0; i < HOST_BINDER_LOT && h->next < h->n; i++)
		topology_add_host(
		    l->topology, h->look_only ? NULL : h->exchange, h->hosts[h->next++]);
	opt.role = l->role;
	opt.topology = l->topology;
	l->broker = broker_create(h->loop, &opt, &handlers, l);
	broker_start(l->broker);
}

/* Others may have taken the hosts that were left. */
static void
lane_on_timer(void *arg)
{
	struct binder_lane *l = arg;

	lane_enter(l, l->binder->next < l->binder->n ? LANE_CONNECTED : LANE_IDLE);
	end_if_all_had_their_turn(l->binder);
}

/* The only writer of ->state. */
static void
lane_enter(struct binder_lane *l, enum binder_lane_state next)
{
	l->state = next;
	drop_connection(l);
	switch (next) {
	case LANE_IDLE:
		loop_timer_disarm(l->timer);
		return;
	case LANE_CONNECTED:
		begin_lot(l);
		return;
	case LANE_PAUSING:
		loop_timer_arm(l->timer, HOST_BINDER_PAUSE_MS);
		return;
	}
}

static void
binder_on_end(void *arg)
{
	struct host_binder *h = arg;
	size_t n = 0;

	h->absent = xcalloc(h->result.no_queue + 1, sizeof(*h->absent));
	for (size_t i = 0; i < h->n; i++) {
		if (h->is_absent[i])
			h->absent[n++] = h->hosts[i];
	}
	h->result.absent = h->absent;
	h->result.why = h->why;
	h->fn(&h->result, h->arg);
}

/* The first has the name alone: with few hosts it is the only one. */
static void
lane_init(struct host_binder *h, size_t i)
{
	struct binder_lane *l = &h->lanes[i];

	l->binder = h;
	l->timer = loop_timer_create(h->loop, "host_binder", lane_on_timer, l);
	if (i == 0)
		snprintf(l->role, sizeof(l->role), "%s", h->opt.role);
	else
		snprintf(l->role, sizeof(l->role), "%s %zu", h->opt.role, i + 1);
}

struct host_binder *
host_binder_start(struct loop *loop, const struct broker_options *opt,
    const char *broadcast_exchange, char **hosts, size_t n, host_binder_look_fn *look,
    host_binder_fn *fn, void *arg)
{
	struct host_binder *h = xcalloc(1, sizeof(*h));

	h->loop = loop;
	h->opt = *opt;
	h->uris = xcalloc(opt->n_uris, sizeof(*h->uris));
	for (size_t i = 0; i < opt->n_uris; i++)
		uri_copy(&h->uris[i], &opt->uris[i]);
	h->opt.uris = h->uris;
	h->opt.bind_only = true;
	h->opt.bind_looks = look != NULL;
	h->opt.quiet = true; /* fn tells */
	h->opt.rebind_ms = 0;
	h->exchange = xstrdup(broadcast_exchange);
	h->hosts = hosts;
	h->n = n;
	h->look = look;
	h->fn = fn;
	h->arg = arg;
	h->is_absent = xcalloc(n + 1, sizeof(*h->is_absent));
	h->end = loop_timer_create(loop, "host_binder end", binder_on_end, h);
	for (size_t i = 0; i < HOST_BINDER_LANES; i++)
		lane_init(h, i);
	for (size_t i = 0; i < HOST_BINDER_LANES && h->next < n; i++)
		lane_enter(&h->lanes[i], LANE_CONNECTED);
	end_if_all_had_their_turn(h); /* there is none */
	return h;
}

void
host_binder_destroy(struct host_binder *h)
{
	if (h == NULL)
		return;
	for (size_t i = 0; i < HOST_BINDER_LANES; i++) {
		drop_connection(&h->lanes[i]);
		loop_timer_destroy(h->lanes[i].timer);
	}
	loop_timer_destroy(h->end);
	for (size_t i = 0; i < h->n; i++)
		free(h->hosts[i]);
	free(h->hosts);
	free(h->is_absent);
	free(h->absent);
	uri_list_free(h->uris, h->opt.n_uris);
	free(h->exchange);
	free(h);
}
