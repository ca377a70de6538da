/* SPDX-License-Identifier: Apache-2.0 */
/* See schedule.h. */
#include "agent/schedule.h"

#include "agent/outbox.h"
#include "agent/registry.h"
#include "agent/sequence.h"
#include "shared/base/buf.h"
#include "shared/base/ident.h"
#include "shared/base/log.h"
#include "shared/base/units.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include <assert.h>
#include <bsd/string.h>
#include <bsd/sys/queue.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct planned {
	char *plugin;
	uint64_t interval_ms, splay_ms;
	struct mono due;
	bool waits; /* was due, has not started */
};

/* Apart from what is planned: a run outlives its plugin's removal by a reload. */
struct schedule_run {
	TAILQ_ENTRY(schedule_run) link;
	uint64_t id;
	char *plugin;
	enum wire_format format;
	struct buf out;
};

struct schedule {
	struct schedule_config config;
	struct loop_timer *timer; /* NULL as long as there was no interval */
	struct planned *planned;  /* in the order of the registry */
	size_t n;
	size_t next_turn; /* where to look first for what waits, so that each has its turn */
	TAILQ_HEAD(, schedule_run) runs;
	size_t running;
	uint64_t last_id;
	bool draining;
};

struct schedule *
schedule_create(const struct schedule_config *config)
{
	struct schedule *s = xcalloc(1, sizeof(*s));

	s->config = *config;
	TAILQ_INIT(&s->runs);
	return s;
}

static void
run_remove(struct schedule *s, struct schedule_run *r)
{
	TAILQ_REMOVE(&s->runs, r, link);
	assert(s->running > 0);
	s->running--;
	buf_finish(&r->out);
	free(r->plugin);
	free(r);
}

static void
planned_free(struct planned *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(list[i].plugin);
	free(list);
}

void
schedule_destroy(struct schedule *s)
{
	struct schedule_run *r, *next;

	if (s == NULL)
		return;
	TAILQ_FOREACH_SAFE (r, &s->runs, link, next)
		run_remove(s, r);
	planned_free(s->planned, s->n);
	loop_timer_destroy(s->timer);
	free(s);
}

/* Running. */

static void
start(struct schedule *s, const struct plugin *p)
{
	struct child_request req = {.op = CHILD_OP_RUN};
	struct schedule_run *r = xcalloc(1, sizeof(*r));

	r->id = SCHEDULE_ID | ++s->last_id;
	r->plugin = xstrdup(p->name);
	r->format = p->format;
	buf_init(&r->out, p->max_output != 0 ? p->max_output : s->config.max_output);
	TAILQ_INSERT_TAIL(&s->runs, r, link);
	s->running++;
	req.id = r->id;
	strlcpy(req.plugin, p->name, sizeof(req.plugin));
	log_debug("schedule", "%s: running", p->name);
	s->config.request(&req, s->config.arg);
}

void
schedule_kick(struct schedule *s)
{
	size_t first = s->next_turn;

	for (size_t i = 0; i < s->n && !s->draining; i++) {
		struct planned *pl = &s->planned[(first + i) % s->n];

		if (!pl->waits || !s->config.may_start(pl->plugin, s->config.arg))
			continue;
		pl->waits = false;
		s->next_turn = (first + i + 1) % s->n;
		start(s, registry_find(s->config.registry, pl->plugin));
	}
}

/* --- time --- */

static void
arm(struct schedule *s)
{
	struct mono now;
	int64_t in = INT64_MAX;

	if (s->n == 0 || s->draining) {
		if (s->timer != NULL)
			loop_timer_disarm(s->timer);
		return;
	}
	now = loop_now(s->config.loop);
	for (size_t i = 0; i < s->n; i++) {
		int64_t left = mono_diff(s->planned[i].due, now);

		in = left < in ? left : in;
	}
	loop_timer_arm(s->timer, in > 0 ? in : 0);
}

/* Keeps the phase: the next due is a whole number of intervals away, however late it is now. */
static void
fall_due(struct schedule *s, struct planned *pl, struct mono now)
{
	int64_t interval = (int64_t)pl->interval_ms;
	int64_t passed = mono_diff(now, pl->due) / interval;

	pl->due = mono_add(pl->due, (passed + 1) * interval);
	if (schedule_runs(s, pl->plugin) || pl->waits)
		log_debug("schedule", "%s: due again before it was done, passed over", pl->plugin);
	else
		pl->waits = true;
}

static void
on_timer(void *arg)
{
	struct schedule *s = arg;
	struct mono now = loop_now(s->config.loop);

	for (size_t i = 0; i < s->n; i++) {
		if (mono_reached(now, s->planned[i].due))
			fall_due(s, &s->planned[i], now);
	}
	schedule_kick(s);
	arm(s);
}

/* --- plugins --- */

uint64_t
schedule_splay(const struct plugin *p)
{
	if (p->has_splay)
		return p->splay_ms;
	return p->interval_ms < SCHEDULE_SPLAY_MAX_MS ? p->interval_ms : SCHEDULE_SPLAY_MAX_MS;
}

static uint64_t
random_within(uint64_t ms)
{
	uint64_t random = (uint64_t)ident_random32() << 32 | ident_random32();

	return random % (ms + 1);
}

static struct planned *
find_planned(struct schedule *s, const char *plugin)
{
	for (size_t i = 0; i < s->n; i++) {
		if (strcmp(s->planned[i].plugin, plugin) == 0)
			return &s->planned[i];
	}
	return NULL;
}

static struct planned
plan(struct schedule *s, const struct plugin *p)
{
	const struct planned *old = find_planned(s, p->name);
	struct planned pl = {xstrdup(p->name), p->interval_ms, schedule_splay(p), {0}, false};
	char every[UNITS_TEXT_SIZE], within[UNITS_TEXT_SIZE];
	uint64_t first;

	if (old != NULL && old->interval_ms == pl.interval_ms && old->splay_ms == pl.splay_ms) {
		pl.due = old->due;
		pl.waits = old->waits;
		return pl;
	}
	first = random_within(pl.splay_ms);
	pl.due = mono_add(loop_now(s->config.loop), (int64_t)first);
	log_info("schedule", "%s: collected every %s, splay=%s first_in_ms=%" PRIu64, p->name,
	    units_format_ms(pl.interval_ms, every), units_format_ms(pl.splay_ms, within), first);
	return pl;
}

void
schedule_reload(struct schedule *s, uint64_t max_output)
{
	const struct plugin_set *set = &s->config.registry->set;
	struct planned *list = xcalloc(set->n + 1, sizeof(*list));
	size_t n = 0;

	s->config.max_output = max_output;
	for (size_t i = 0; i < set->n; i++) {
		if (set->plugins[i].interval_ms != 0)
			list[n++] = plan(s, &set->plugins[i]);
	}
	planned_free(s->planned, s->n);
	s->planned = list;
	s->n = n;
	s->next_turn = 0;
	if (n > 0 && s->timer == NULL)
		s->timer = loop_timer_create(s->config.loop, "schedule", on_timer, s);
	arm(s);
}

/* --- what comes back --- */

static struct schedule_run *
find_run(struct schedule *s, uint64_t id)
{
	struct schedule_run *r;

	TAILQ_FOREACH (r, &s->runs, link) {
		if (r->id == id)
			return r;
	}
	return NULL;
}

static struct report_request
request_of(const struct schedule_run *r)
{
	return (struct report_request){.plugin = r->plugin, .format = r->format};
}

static void
note_ok(const struct schedule_run *r, size_t bytes, const struct response *resp)
{
	log_debug("schedule", "%s: done, bytes=%zu duration_ms=%" PRId64, r->plugin, bytes,
	    resp->meta.duration_ms);
}

/* Takes what m holds, and ends the run. */
static void
finish_run(struct schedule *s, struct schedule_run *r, struct message *m)
{
	outbox_add_newest(s->config.outbox, r->id, r->plugin, m);
	run_remove(s, r);
}

/* Reports a run; with much output it stays until the report is made. */
static void
report(struct schedule *s, struct schedule_run *r, const struct child_event *done)
{
	struct report_request req = request_of(r);
	struct response resp;
	struct message m;
	int64_t now = wallclock_ms();

	report_begin(&resp, &s->config.origin, &req, done, &r->out,
	    sequence_next(s->config.order, now), now);
	if (resp.meta.state != WIRE_OK) {
		log_warn("schedule", "%s", report_failure_text(&resp));
	} else if (encode_worker_takes(s->config.maker, r->out.len)) {
		encode_worker_make(s->config.maker, r->id, &resp, &r->out);
		return;
	} else {
		note_ok(r, r->out.len, &resp);
		report_value(&resp, &r->out);
	}
	report_encode(&resp, &s->config.origin, &req, s->config.order, &m);
	finish_run(s, r, &m);
	message_finish(&m);
	response_finish(&resp);
}

void
schedule_on_made(struct schedule *s, struct made *made)
{
	struct schedule_run *r = find_run(s, made->id);
	struct report_request req;

	if (r == NULL)
		return;
	req = request_of(r);
	note_ok(r, made->bytes, &made->r);
	if (!made->sendable)
		report_replace(&made->r, &s->config.origin, &req, s->config.order, &made->m);
	finish_run(s, r, &made->m);
}

static void
stop_run(struct schedule *s, const struct schedule_run *r)
{
	struct child_request stop = {.op = CHILD_OP_KILL, .id = r->id};

	s->config.request(&stop, s->config.arg);
}

void
schedule_on_child(struct schedule *s, const struct child_event *ev)
{
	struct schedule_run *r = find_run(s, ev->id);

	if (r == NULL)
		return;
	switch ((enum child_event_kind)ev->kind) {
	case CHILD_STARTED:
		break;
	case CHILD_OUTPUT:
		if (!buf_append(&r->out, ev->data, ev->length)) {
			log_error("schedule", "%s: no memory for its output", r->plugin);
			stop_run(s, r);
		}
		break;
	case CHILD_DONE:
		if (ev->outcome != CHILD_STOPPED)
			report(s, r, ev);
		else
			run_remove(s, r);
		break;
	}
}

void
schedule_drain(struct schedule *s)
{
	s->draining = true;
	arm(s);
}

void
schedule_stop_running(struct schedule *s)
{
	struct schedule_run *r;

	TAILQ_FOREACH (r, &s->runs, link)
		stop_run(s, r);
}

bool
schedule_runs(const struct schedule *s, const char *plugin)
{
	const struct schedule_run *r;

	TAILQ_FOREACH (r, &s->runs, link) {
		if (strcmp(r->plugin, plugin) == 0)
			return true;
	}
	return false;
}

size_t
schedule_running(const struct schedule *s)
{
	return s->running;
}
