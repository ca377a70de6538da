/* SPDX-License-Identifier: Apache-2.0 */
/* See conn_pool.h. */
#include "bench/conn_pool.h"

#include "bench/bench.h"
#include "shared/amqp/broker.h"
#include "shared/amqp/topology.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"

#include <bsd/sys/queue.h>
#include <stdlib.h>

/* A round is what one connection has to publish of one job. */
struct pool_round {
	TAILQ_ENTRY(pool_round) link;
	uint32_t job;
	uint32_t next; /* host */
	char *reply_to;
};

struct pool_member {
	struct conn_pool *crew;
	struct broker *broker;
	TAILQ_HEAD(, pool_round) rounds;
};

struct conn_pool {
	struct bench *b;
	void (*on_ready)(void *arg);
	void *arg;
	struct topology *topology;
	struct pool_member *members;
	uint32_t n, ready;
	uint64_t confirmed;
};

static void
round_free(struct pool_member *m, struct pool_round *r)
{
	TAILQ_REMOVE(&m->rounds, r, link);
	free(r->reply_to);
	free(r);
}

/* false: not now. */
static bool
publish(struct pool_member *m, const struct pool_round *r)
{
	struct bench *b = m->crew->b;
	struct message message;
	uint64_t id;

	if (!broker_can_publish(m->broker))
		return false;
	plan_message(&b->plan, r->next, r->job, &message);
	message.reply_to = xstrdup_null(r->reply_to);
	id = broker_publish(
	    m->broker, b->cli->options.master_exchange, TOPOLOGY_MASTER_KEY, true, &message);
	message_finish(&message);
	return id != 0;
}

static void
publish_all(struct pool_member *m)
{
	const struct plan *p = &m->crew->b->plan;
	struct pool_round *r;

	while ((r = TAILQ_FIRST(&m->rounds)) != NULL) {
		for (; r->next < p->hosts; r->next += m->crew->n) {
			if (plan_conduct(p, r->next) != CONDUCT_OFFLINE && !publish(m, r))
				return;
		}
		round_free(m, r);
	}
}

static void
member_on_ready(struct broker *broker, void *arg)
{
	struct pool_member *m = arg;

	if (++m->crew->ready == m->crew->n)
		m->crew->on_ready(m->crew->arg);
}

static void
member_on_down(struct broker *broker, const struct broker_failure *f, void *arg)
{
	struct pool_member *m = arg;

	bench_fail(m->crew->b, "%s", f->text);
}

static void
member_on_confirm(
    struct broker *broker, uint64_t id, enum broker_outcome outcome, const char *why, void *arg)
{
	struct pool_member *m = arg;

	if (outcome != BROKER_CONFIRMED) {
		bench_fail(m->crew->b, "the broker did not take an answer: %s",
		    broker_outcome_name(outcome));
		return;
	}
	m->crew->confirmed++;
	publish_all(m);
}

static void
member_on_writable(struct broker *broker, void *arg)
{
	publish_all(arg);
}

static const struct broker_handlers handlers = {
    .on_ready = member_on_ready,
    .on_down = member_on_down,
    .on_confirm = member_on_confirm,
    .on_writable = member_on_writable,
};

struct conn_pool *
conn_pool_create(struct bench *b, void (*on_ready)(void *arg), void *arg)
{
	const struct options *options = &b->cli->options;
	struct conn_pool *c = xcalloc(1, sizeof(*c));

	c->b = b;
	c->on_ready = on_ready;
	c->arg = arg;
	c->n = b->connections;
	c->topology = topology_for_collector(options->broadcast_exchange, options->master_exchange);
	c->members = xcalloc(c->n, sizeof(*c->members));
	for (uint32_t i = 0; i < c->n; i++) {
		struct pool_member *m = &c->members[i];

		m->crew = c;
		TAILQ_INIT(&m->rounds);
		m->broker = bench_broker(b, "publisher", c->topology, &handlers, m);
		broker_start(m->broker);
	}
	return c;
}

void
conn_pool_answer(struct conn_pool *c, uint32_t job, const char *reply_to)
{
	for (uint32_t i = 0; i < c->n; i++) {
		struct pool_round *r = xcalloc(1, sizeof(*r));

		r->job = job;
		r->next = i;
		r->reply_to = xstrdup_null(reply_to);
		TAILQ_INSERT_TAIL(&c->members[i].rounds, r, link);
		publish_all(&c->members[i]);
	}
}

void
conn_pool_destroy(struct conn_pool *c)
{
	if (c == NULL)
		return;
	for (uint32_t i = 0; i < c->n; i++) {
		struct pool_member *m = &c->members[i];

		broker_destroy(m->broker);
		while (!TAILQ_EMPTY(&m->rounds))
			round_free(m, TAILQ_FIRST(&m->rounds));
	}
	topology_destroy(c->topology);
	free(c->members);
	free(c);
}
