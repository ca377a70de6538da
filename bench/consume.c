/* SPDX-License-Identifier: Apache-2.0 */
/* The ceiling of the broker: takes responses out of the collector's queue as the collector does,
 * with the same prefetch and acknowledgements, and does nothing with them. */
#include "bench/bench.h"

#include "shared/amqp/broker.h"
#include "shared/amqp/topology.h"
#include "shared/event/loop.h"

#include <time.h>

#define ACK_EACH 200

struct consume {
	struct bench *b;
	struct broker *broker;
	struct loop_timer *silence;
	struct broker_tag last;
	uint64_t want, n, bytes;
	double began, ended;
	unsigned int unacked;
};

static double
now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
consume_on_ready(struct broker *broker, void *arg)
{
	struct consume *c = arg;

	broker_consume(broker, TOPOLOGY_MASTER_QUEUE, (uint16_t)c->b->cli->options.prefetch, false);
}

static void
consume_on_delivery(struct broker *broker, struct delivery *d, void *arg)
{
	struct consume *c = arg;

	if (c->n == 0)
		c->began = now_s();
	c->n++;
	c->b->done++;
	c->bytes += d->message.body_len;
	c->last = d->tag;
	delivery_destroy(d);
	if (++c->unacked >= ACK_EACH || c->n == c->want) {
		broker_ack(broker, c->last, true);
		c->unacked = 0;
		loop_timer_arm(c->silence, c->b->patience_ms);
	}
	if (c->n == c->want) {
		c->ended = now_s();
		broker_stop(broker); /* the ack gets out */
	}
}

static void
consume_on_stopped(struct broker *broker, void *arg)
{
	struct consume *c = arg;

	bench_done(c->b, BENCH_OK);
}

static void
consume_on_down(struct broker *broker, const struct broker_failure *failure, void *arg)
{
	struct consume *c = arg;

	if (c->n < c->want)
		bench_fail(c->b, "%s", failure->text);
}

static void
consume_on_silence(void *arg)
{
	struct consume *c = arg;

	bench_fail(c->b, "the queue is empty: %llu responses were there, %llu expected",
	    (unsigned long long)c->n, (unsigned long long)c->want);
}

static const struct broker_handlers handlers = {
    .on_ready = consume_on_ready,
    .on_down = consume_on_down,
    .on_delivery = consume_on_delivery,
    .on_stopped = consume_on_stopped,
};

void
verb_consume(struct bench *b)
{
	const struct options *options = &b->cli->options;
	struct topology *topology =
	    topology_for_collector(options->broadcast_exchange, options->master_exchange);
	struct consume c = {.b = b, .want = (uint64_t)b->plan.hosts * b->plan.jobs};

	b->total = c.want;
	c.silence = loop_timer_create(b->loop, "bench silence", consume_on_silence, &c);
	loop_timer_arm(c.silence, b->patience_ms);
	c.broker = bench_broker(b, "consumer", topology, &handlers, &c);
	broker_start(c.broker);
	loop_run(b->loop);
	json_object_set_new(b->report, "responses", json_integer((json_int_t)c.n));
	json_object_set_new(b->report, "bytes", json_integer((json_int_t)c.bytes));
	json_object_set_new(b->report, "seconds", json_real(c.ended - c.began));
	json_object_set_new(b->report, "per_second",
	    json_real(c.ended > c.began ? (double)c.n / (c.ended - c.began) : 0));
	broker_destroy(c.broker);
	topology_destroy(topology);
	loop_timer_destroy(c.silence);
}
