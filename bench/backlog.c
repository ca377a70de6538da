/* SPDX-License-Identifier: Apache-2.0 */
/* Puts a backlog into the collector's queue: what all hosts answer to all jobs, each confirmed.
 * With a store its ledger has the jobs before. */
#include "bench/bench.h"
#include "bench/ledger_jobs.h"

#include "shared/amqp/broker.h"
#include "shared/amqp/topology.h"
#include "shared/base/mono.h"
#include "shared/event/loop.h"
#include "shared/store/store.h"

#include <inttypes.h>

struct fill {
	struct bench *b;
	struct broker *broker;
	struct mono began;
	uint64_t n, next, confirmed, bytes;
};

static void
publish(struct fill *f)
{
	const char *exchange = f->b->cli->options.master_exchange;

	while (f->next < f->n && broker_can_publish(f->broker)) {
		struct message m;
		uint32_t host, job;
		uint64_t id;

		plan_at(&f->b->plan, f->next, &host, &job);
		plan_message(&f->b->plan, host, job, &m);
		id = broker_publish(f->broker, exchange, TOPOLOGY_MASTER_KEY, true, &m);
		if (id != 0) {
			f->next++;
			f->bytes += m.body_len;
		}
		message_finish(&m);
		if (id == 0)
			return; /* on_writable */
	}
}

static void
fill_on_ready(struct broker *broker, void *arg)
{
	struct fill *f = arg;

	f->began = mono_now();
	publish(f);
}

static void
fill_on_writable(struct broker *broker, void *arg)
{
	publish(arg);
}

static void
fill_on_confirm(
    struct broker *broker, uint64_t id, enum broker_outcome outcome, const char *why, void *arg)
{
	struct fill *f = arg;

	if (outcome != BROKER_CONFIRMED) {
		bench_fail(f->b, "the broker did not take an answer: %s%s%s",
		    broker_outcome_name(outcome), why != NULL ? ", " : "", why != NULL ? why : "");
		return;
	}
	f->confirmed++;
	f->b->done++;
	if (f->confirmed == f->n)
		bench_done(f->b, BENCH_OK);
	else
		publish(f);
}

static void
fill_on_down(struct broker *broker, const struct broker_failure *failure, void *arg)
{
	struct fill *f = arg;

	bench_fail(f->b, "%s", failure->text);
}

static const struct broker_handlers handlers = {
    .on_ready = fill_on_ready,
    .on_down = fill_on_down,
    .on_confirm = fill_on_confirm,
    .on_writable = fill_on_writable,
};

static void
fill_start(void *arg)
{
	struct fill *f = arg;

	broker_start(f->broker);
}

void
verb_fill(struct bench *b)
{
	const struct options *options = &b->cli->options;
	struct topology *topology =
	    topology_for_collector(options->broadcast_exchange, options->master_exchange);
	struct fill f = {.b = b, .n = (uint64_t)b->plan.hosts * b->plan.jobs};
	double s;

	b->total = f.n;
	f.broker = bench_broker(b, "publisher", topology, &handlers, &f);
	if (b->store != NULL)
		ledger_jobs_add(b, fill_start, &f);
	else
		fill_start(&f);
	loop_run(b->loop);
	store_close(b->store);
	b->store = NULL;
	s = (double)mono_diff(mono_now(), f.began) / 1000;
	json_object_set_new(b->report, "run", json_integer(b->plan.run));
	json_object_set_new(b->report, "responses", json_integer((json_int_t)f.confirmed));
	json_object_set_new(b->report, "bytes", json_integer((json_int_t)f.bytes));
	json_object_set_new(b->report, "seconds", json_real(s));
	json_object_set_new(b->report, "per_second", json_real((double)f.confirmed / s));
	broker_destroy(f.broker);
	topology_destroy(topology);
}
