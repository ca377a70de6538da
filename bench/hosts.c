/* Simulates a fleet that answers whatever it is asked and collects by itself, as agents with the
 * sample plugins do, until it is told to stop. */
#include "bench/bench.h"
#include "bench/swarm.h"

#include "shared/loop.h"
#include "shared/mono.h"
#include "shared/wall.h"
#include "shared/xalloc.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define TICK_MS 250

struct fleet_host {
	int64_t order; /* of its last answer: never given twice */
	bool reads;    /* its queue, at present */
};

struct hosts {
	struct bench *b;
	struct swarm *swarm;
	struct loop_timer *tick;
	struct fleet_host *hosts;
	struct mono began, ticked;
	bool silenced;
};

static void
hosts_on_ready(void *arg)
{
	struct hosts *v = arg;

	/* For whoever waits for it; nothing else comes on stdout until the end. */
	printf("{\"ready\":%" PRIu32 "}\n", v->b->plan.hosts);
	fflush(stdout);
}

/* ---- the script ---- */

static void
hosts_name(uint32_t host, char out[PLAN_NAME_SIZE], void *arg)
{
	const struct hosts *v = arg;

	fleet_host(&v->b->fleet, host, out);
}

/* Offline and the like may be asked for, as of load. */
static enum conduct
hosts_conduct(uint32_t host, void *arg)
{
	const struct hosts *v = arg;

	return plan_conduct(&v->b->plan, host);
}

static bool
hosts_takes(uint32_t host, const struct command *c, void *arg)
{
	/* What is to be cancelled has been answered already, or is about to be. */
	return c->cancels == NULL;
}

static uint32_t
hosts_delay_ms(uint32_t host, const struct command *c, void *arg)
{
	const struct hosts *v = arg;
	const char *plugin = fleet_find_plugin(c->plugin);
	uint32_t slow_ms = hosts_conduct(host, arg) == CONDUCT_SLOW ? v->b->slow_ms : 0;

	return slow_ms + (plugin == NULL ? 0 : fleet_delay_ms(&v->b->fleet, host, plugin));
}

static void
hosts_answer(uint32_t host, const struct command *c, struct message *m, void *arg)
{
	struct hosts *v = arg;
	struct fleet_host *h = &v->hosts[host];
	int64_t now = wall_ms();
	struct response r;

	h->order = now > h->order ? now : h->order + 1;
	fleet_response(&v->b->fleet, host, c, h->order, now, &r);
	if (!wire_response_encode(&r, m))
		xalloc_fail(0);
	response_finish(&r);
}

/* ---- what they do by themselves ---- */

/* The plugins of a host are due one after the other, spread over the interval; the hosts are spread
 * over each of these steps. So the load is even, whatever their number. */
static uint32_t
steps_until(const struct hosts *v, uint32_t host, int64_t ms)
{
	uint32_t step_ms = v->b->interval_ms / FLEET_PLUGINS;
	int64_t offset = (int64_t)step_ms * host / v->b->plan.hosts;

	return ms < offset ? 0 : (uint32_t)((ms - offset) / step_ms) + 1;
}

static void
collect_due(struct hosts *v, uint32_t host, int64_t from_ms, int64_t to_ms)
{
	uint32_t end = steps_until(v, host, to_ms);

	for (uint32_t step = steps_until(v, host, from_ms); step < end; step++)
		swarm_collect(v->swarm, host, fleet_plugin(step % FLEET_PLUGINS));
}

static void
silence_some(struct hosts *v)
{
	v->silenced = true;
	for (uint32_t i = 0; i < v->b->plan.hosts; i++) {
		if (fleet_trouble(&v->b->fleet, i) == FLEET_SILENT)
			swarm_silence(v->swarm, i);
	}
}

static void
hosts_on_tick(void *arg)
{
	struct hosts *v = arg;
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
	struct hosts *v = arg;

	if (v->hosts[host].reads || v->b->interval_ms == 0)
		return;
	v->hosts[host].reads = true;
	for (unsigned int i = 0; i < FLEET_PLUGINS; i++)
		swarm_collect(v->swarm, host, fleet_plugin(i));
}

static const struct swarm_script script = {
    .on_ready = hosts_on_ready,
    .on_host = hosts_on_host,
    .name = hosts_name,
    .conduct = hosts_conduct,
    .takes = hosts_takes,
    .delay_ms = hosts_delay_ms,
    .answer = hosts_answer,
};

void
report_swarm(struct bench *b, const struct swarm *s)
{
	const struct swarm_counts *n = swarm_counts(s);

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
	struct hosts v = {.b = b, .began = loop_now(b->loop), .ticked = loop_now(b->loop)};

	v.hosts = xcalloc(b->plan.hosts, sizeof(*v.hosts));
	v.swarm = swarm_create(b, &script, &v);
	v.tick = loop_timer_create(b->loop, "bench hosts", hosts_on_tick, &v);
	loop_timer_arm(v.tick, TICK_MS);
	swarm_start(v.swarm);
	loop_run(b->loop);
	report_swarm(b, v.swarm);
	swarm_destroy(v.swarm);
	loop_timer_destroy(v.tick);
	free(v.hosts);
	b->status = BENCH_OK; /* a signal is how it ends */
}
