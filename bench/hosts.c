/* SPDX-License-Identifier: Apache-2.0 */
/* Simulates a fleet that answers whatever it is asked and collects by itself, as agents with the
 * sample plugins do, until it is told to stop. */
#include "bench/agents.h"
#include "bench/bench.h"
#include "bench/hosts_sim.h"

#include "shared/base/mono.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define TICK_MS 250

struct fleet_hosts {
	struct bench *b;
	struct agents *agents;
	struct loop_timer *tick;
	bool *known; /* hosts that have told what they are */
	struct mono began, ticked;
	bool silenced;
};

static void
hosts_on_ready(void *arg)
{
	struct fleet_hosts *v = arg;

	/* Tells whoever waits for it; nothing else comes on stdout until the end. */
	printf("{\"ready\":%" PRIu32 "}\n", v->b->plan.hosts);
	fflush(stdout);
}

/* ---- what they do by themselves ---- */

/* The plugins of a host are due one after the other, spread over the interval; the hosts are spread
 * over each of these steps. So the load is even, whatever their number. */
static uint32_t
steps_until(const struct fleet_hosts *v, uint32_t host, int64_t ms)
{
	uint32_t step_ms = v->b->interval_ms / FLEET_PLUGINS;
	int64_t offset = (int64_t)step_ms * host / v->b->plan.hosts;

	return ms < offset ? 0 : (uint32_t)((ms - offset) / step_ms) + 1;
}

static void
collect_due(struct fleet_hosts *v, uint32_t host, int64_t from_ms, int64_t to_ms)
{
	uint32_t end = steps_until(v, host, to_ms);

	for (uint32_t step = steps_until(v, host, from_ms); step < end; step++)
		agents_collect(v->agents, host, fleet_plugin(step % FLEET_PLUGINS));
}

static void
silence_some(struct fleet_hosts *v)
{
	v->silenced = true;
	for (uint32_t i = 0; i < v->b->plan.hosts; i++) {
		if (fleet_trouble(&v->b->fleet, i) == FLEET_SILENT)
			agents_silence(v->agents, i);
	}
}

static void
hosts_on_tick(void *arg)
{
	struct fleet_hosts *v = arg;
	struct mono now = loop_now(v->b->loop);
	int64_t from_ms = mono_diff(v->ticked, v->began), to_ms = mono_diff(now, v->began);

	if (v->b->interval_ms > 0) {
		for (uint32_t i = 0; i < v->b->plan.hosts; i++)
			collect_due(v, i, from_ms, to_ms);
	}
	v->ticked = now;
	if (!v->silenced && to_ms >= FLEET_SILENT_MS)
		silence_some(v);
	loop_timer_arm(v->tick, TICK_MS);
}

/* A host that begins tells what it is at once: nobody shall wait an interval for a first look. */
static void
hosts_on_host(uint32_t host, void *arg)
{
	struct fleet_hosts *v = arg;

	if (v->known[host] || v->b->interval_ms == 0)
		return;
	v->known[host] = true;
	for (unsigned int i = 0; i < FLEET_PLUGINS; i++)
		agents_collect(v->agents, host, fleet_plugin(i));
}

static const struct agents_handlers handlers = {
    .on_ready = hosts_on_ready,
    .on_host = hosts_on_host,
};

void
report_swarm(struct bench *b, struct hosts_sim *s)
{
	const struct hosts_sim_counts *n = hosts_sim_counts(s);

	json_object_set_new(b->report, "hosts",
	    json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "ready", (json_int_t)n->ready,
		"offline", (json_int_t)n->offline, "commands", (json_int_t)n->commands, "answers",
		(json_int_t)n->answers, "collected", (json_int_t)n->collected, "again",
		(json_int_t)n->again, "poison", (json_int_t)n->poison, "unexplained",
		(json_int_t)n->unexplained, "failures", (json_int_t)n->failures));
}

void
verb_hosts(struct bench *b)
{
	struct fleet_hosts v = {.b = b, .began = loop_now(b->loop), .ticked = loop_now(b->loop)};

	v.known = xcalloc(b->plan.hosts, sizeof(*v.known));
	v.agents = agents_create(b, &handlers, &v);
	v.tick = loop_timer_create(b->loop, "bench hosts", hosts_on_tick, &v);
	loop_timer_arm(v.tick, TICK_MS);
	loop_run(b->loop);
	report_swarm(b, agents_swarm(v.agents));
	agents_destroy(v.agents);
	loop_timer_destroy(v.tick);
	free(v.known);
	b->status = BENCH_OK; /* a signal is how it ends */
}
