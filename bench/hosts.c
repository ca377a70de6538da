/* Simulates hosts that answer whatever they are asked, until it is told to stop. */
#include "bench/bench.h"
#include "bench/swarm.h"

#include "shared/loop.h"
#include "shared/mono.h"

#include <inttypes.h>
#include <stdio.h>

static void
hosts_on_ready(void *arg)
{
	struct bench *b = arg;

	/* For whoever waits for it; nothing else comes on stdout until the end. */
	printf("{\"ready\":%" PRIu32 "}\n", b->plan.hosts);
	fflush(stdout);
}

void
report_swarm(struct bench *b, const struct swarm *s)
{
	const struct swarm_counts *n = swarm_counts(s);

	json_object_set_new(b->report, "hosts",
	    json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "ready", (json_int_t)n->ready, "offline",
		(json_int_t)n->offline, "commands", (json_int_t)n->commands, "answers",
		(json_int_t)n->answers, "again", (json_int_t)n->again, "poison",
		(json_int_t)n->poison, "not_asked", (json_int_t)n->not_asked, "failures",
		(json_int_t)n->failures));
}

void
verb_hosts(struct bench *b)
{
	struct swarm *s = swarm_create(b, hosts_on_ready, b);

	swarm_start(s);
	loop_run(b->loop);
	report_swarm(b, s);
	swarm_destroy(s);
	b->status = BENCH_OK; /* a signal is how it ends */
}
