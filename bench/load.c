/* SPDX-License-Identifier: Apache-2.0 */
/* Open loop: jobs go out at a fixed rate, whatever comes back and however late, and the latency of
 * each answer counts from the moment at which its job was to be sent. It ends when the collector
 * says that the outcome is on disk, or, should that notice be lost, when the ledger shows it.
 *
 *   hosts connect -> jobs are written to the ledger, each with its queue for notices -> the clock
 *   starts: job i is due at i / rate -> each job is watched to its end -> the books are closed
 *
 * With --one-by-one a job is sent when the one before it has ended. */
#include "bench/bench.h"
#include "bench/conn_pool.h"
#include "bench/errands.h"
#include "bench/histogram.h"
#include "bench/ledger_check.h"

#include "runner/job/job_watch.h"
#include "shared/amqp/broker.h"
#include "shared/amqp/topology.h"
#include "shared/base/trouble.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/store/store.h"
#include "shared/wire/wire.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SETTLE_MS 20
#define JOBS_MAX  2000 /* each has a connection for its notices */

struct bench_load;

struct load_job {
	struct bench_load *load;
	uint32_t index;
	struct job job;
	struct job_watch *watch;
	int64_t due_us; /* when it was to be sent */
	int64_t last_us;
	uint32_t ok;
	bool sent;
	bool *known; /* by host */
};

struct bench_load {
	struct bench *b;
	struct errands *errands;
	struct conn_pool *crew;
	struct topology *topology;
	struct broker *commander;
	struct load_job *jobs;
	char **targets; /* names of the hosts that will answer, shared by all jobs */
	size_t n_targets;
	struct ledger_check *books;
	struct loop_timer *clock;
	struct loop_timer *settle;
	struct mono all_ended;
	struct histogram latency;
	uint32_t prepared, next, ended, incomplete;
	uint64_t unanswered; /* targets of jobs that were given up */
	int64_t began_us, late_us;
	bool hosts_ready, commander_ready;
};

static int64_t
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void prepare_next(struct bench_load *l);

/* ---- sending ---- */

static void
send_command(struct load_job *j)
{
	struct bench_load *l = j->load;
	struct bench *b = l->b;
	struct command c = {
	    .plugin = (char *)plan_profile_name(&b->plan),
	    .job = j->job.id,
	    .reply_to = (char *)job_watch_reply_to(j->watch),
	    .sent_at = wallclock_ms(),
	    .not_after = j->job.not_after,
	};
	struct message m;

	wire_command_encode(&c, &m);
	if (broker_publish(l->commander, b->cli->options.broadcast_exchange, TOPOLOGY_BROADCAST_KEY,
		true, &m) == 0)
		bench_fail(b, "job %" PRIu32 ": the broker takes no command", j->index);
	message_finish(&m);
}

static void
wait_on(struct load_job *j)
{
	struct bench *b = j->load->b;

	job_watch_set_deadline(j->watch, mono_add(loop_now(b->loop), b->patience_ms));
}

static void
send_job(struct bench_load *l, int64_t due_us)
{
	struct load_job *j = &l->jobs[l->next++];
	int64_t late = now_us() - due_us;

	if (late > l->late_us)
		l->late_us = late;
	j->due_us = due_us;
	j->sent = true;
	job_watch_start(j->watch);
	wait_on(j);
	if (l->crew != NULL)
		conn_pool_answer(l->crew, j->index, job_watch_reply_to(j->watch));
	else
		send_command(j);
}

static void
load_on_clock(void *arg)
{
	struct bench_load *l = arg;
	int64_t now = now_us();

	if (l->b->one_by_one) {
		send_job(l, now);
		return;
	}
	while (l->next < l->b->plan.jobs && !l->b->over) {
		int64_t due = l->began_us + (int64_t)(1e6 * l->next / l->b->rate);

		if (due > now) {
			loop_timer_arm(l->clock, (due - now + 999) / 1000);
			return;
		}
		send_job(l, due);
	}
}

/* ---- how jobs end ---- */

static void
on_books(const struct ledger_check_counts *c, void *arg)
{
	struct bench_load *l = arg;

	json_object_set_new(l->b->report, "books", ledger_check_json(c));
	bench_done(l->b, ledger_check_close(c) && l->incomplete == 0 ? BENCH_OK : BENCH_BOOKS);
}

static void
job_on_outcome(const struct outcome *o, bool target, void *arg)
{
	struct load_job *j = arg;
	struct bench_load *l = j->load;
	uint32_t host;

	if (!j->sent || !target || !outcome_is_answer(o->state) ||
	    !plan_host_index(&l->b->plan, o->host, &host) || j->known[host])
		return;
	j->known[host] = true;
	j->ok += o->state == OUTCOME_OK;
	j->last_us = now_us();
	histogram_record(&l->latency, (uint64_t)(j->last_us - j->due_us));
	l->b->done++;
	wait_on(j);
}

/* Hosts that answer twice, or send rubbish, may still be at it. */
static void
load_on_settle(void *arg)
{
	struct bench_load *l = arg;

	if (l->errands != NULL && errands_pending(l->errands) > 0 &&
	    mono_diff(loop_now(l->b->loop), l->all_ended) < l->b->patience_ms) {
		loop_timer_arm(l->settle, SETTLE_MS);
		return;
	}
	l->books = ledger_check_create(l->b, l->b->extra, on_books, l);
	ledger_check_start(l->books);
}

/* An answer that has not come when its job is given up took that long at least: left out, the worst
 * would make the figures better. */
static void
count_unanswered(struct load_job *j)
{
	struct bench_load *l = j->load;
	uint64_t us = (uint64_t)(now_us() - j->due_us);

	for (uint32_t host = 0; host < l->b->plan.hosts; host++) {
		if (j->known[host] || plan_conduct(&l->b->plan, host) == CONDUCT_OFFLINE)
			continue;
		histogram_record(&l->latency, us);
		l->unanswered++;
	}
}

static void
job_on_end(enum job_watch_end end, const char *text, void *arg)
{
	struct load_job *j = arg;
	struct bench_load *l = j->load;

	l->incomplete += end != JOB_WATCH_COMPLETE;
	if (j->sent)
		count_unanswered(j);
	if (++l->ended == l->b->plan.jobs) {
		l->all_ended = loop_now(l->b->loop);
		loop_timer_arm(l->settle, 0);
	} else if (l->b->one_by_one) {
		loop_timer_arm(l->clock, 0);
	}
}

static void
job_on_ready(void *arg)
{
	struct load_job *j = arg;

	prepare_next(j->load);
}

static const struct job_watch_handlers job_watch_handlers = {
    .on_ready = job_on_ready,
    .on_outcome = job_on_outcome,
    .on_end = job_on_end,
};

/* ---- getting ready ---- */

/* Lists those that will answer: the others have the command in their queue. */
static void
list_targets(struct bench_load *l)
{
	const struct plan *p = &l->b->plan;
	char name[PLAN_NAME_SIZE];

	l->targets = xcalloc(p->hosts, sizeof(*l->targets));
	for (uint32_t host = 0; host < p->hosts; host++) {
		if (plan_conduct(p, host) == CONDUCT_OFFLINE)
			continue;
		plan_host(p, host, name);
		l->targets[l->n_targets++] = xstrdup(name);
	}
	l->b->total = (uint64_t)l->n_targets * p->jobs;
}

static void
make_job(struct bench_load *l, struct load_job *j)
{
	const struct plan *p = &l->b->plan;
	char id[IDENT_SIZE];

	plan_job(p, j->index, id);
	job_init(&j->job);
	j->job.id = xstrdup(id);
	j->job.plugin = xstrdup(plan_profile_name(p));
	j->job.user = xstrdup("vogeler-bench");
	j->job.target = xstrdup("all");
	j->job.sent_at = wallclock_ms();
	j->job.not_after = j->job.sent_at + INT64_C(3600) * 1000;
	j->job.hosts = l->targets;
	j->job.n_hosts = l->n_targets;
	j->known = xcalloc(p->hosts, sizeof(*j->known));
}

static void
on_job_added(const struct trouble *why, const char *done, void *arg)
{
	struct load_job *j = arg;
	struct bench_load *l = j->load;
	struct job_watch_request req = {
	    .loop = l->b->loop,
	    .options = &l->b->cli->options,
	    .brokers = l->b->brokers,
	    .n_brokers = l->b->n_brokers,
	    .store = l->b->store,
	    .job = &j->job,
	};

	if (why != NULL) {
		bench_fail(l->b, "the ledger takes no job: " TROUBLE_FMT, TROUBLE_ARGS(why));
		return;
	}
	j->watch = job_watch_create(&req, &job_watch_handlers, j);
}

static void
prepare_next(struct bench_load *l)
{
	struct load_job *j;

	if (l->prepared == l->b->plan.jobs) {
		l->began_us = now_us();
		load_on_clock(l);
		return;
	}
	j = &l->jobs[l->prepared];
	j->load = l;
	j->index = l->prepared++;
	make_job(l, j);
	store_job_add(l->b->store, &j->job, on_job_added, j);
}

static void
start_when_ready(struct bench_load *l)
{
	if (l->hosts_ready && l->commander_ready && l->prepared == 0)
		prepare_next(l);
}

static void
on_hosts(void *arg)
{
	struct bench_load *l = arg;

	l->hosts_ready = true;
	start_when_ready(l);
}

static void
commander_on_ready(struct broker *broker, void *arg)
{
	struct bench_load *l = arg;

	l->commander_ready = true;
	start_when_ready(l);
}

static void
commander_on_down(struct broker *broker, const struct broker_failure *f, void *arg)
{
	struct bench_load *l = arg;

	bench_fail(l->b, "%s", f->text);
}

static void
commander_on_confirm(
    struct broker *broker, uint64_t id, enum broker_outcome outcome, const char *why, void *arg)
{
	struct bench_load *l = arg;

	/* Of a LOST one, which is the end of a connection, on_down says why. */
	if (outcome == BROKER_NACKED || outcome == BROKER_RETURNED)
		bench_fail(
		    l->b, "the broker did not take a command: %s", broker_outcome_name(outcome));
}

/* ---- what its hosts are and say: the plan ---- */

static void
load_name(uint32_t host, char out[PLAN_NAME_SIZE], void *arg)
{
	const struct bench_load *l = arg;

	plan_host(&l->b->plan, host, out);
}

static enum conduct
load_conduct(uint32_t host, void *arg)
{
	const struct bench_load *l = arg;

	return plan_conduct(&l->b->plan, host);
}

static bool
load_takes(uint32_t host, const struct command *c, void *arg)
{
	const struct bench_load *l = arg;
	uint32_t job;

	return c->job != NULL && plan_job_index(&l->b->plan, c->job, &job);
}

static uint32_t
load_delay_ms(uint32_t host, const struct command *c, void *arg)
{
	return load_conduct(host, arg) == CONDUCT_SLOW
		   ? ((const struct bench_load *)arg)->b->slow_ms
		   : 0;
}

static void
load_answer(uint32_t host, const struct command *c, struct message *m, void *arg)
{
	const struct bench_load *l = arg;
	uint32_t job;

	if (!plan_job_index(&l->b->plan, c->job, &job))
		abort(); /* load_takes() */
	plan_message(&l->b->plan, host, job, m);
	m->reply_to = xstrdup_null(c->reply_to);
}

static const struct errands_script script = {
    .on_ready = on_hosts,
    .name = load_name,
    .conduct = load_conduct,
    .takes = load_takes,
    .delay_ms = load_delay_ms,
    .answer = load_answer,
};

static const struct broker_handlers commander_handlers = {
    .on_ready = commander_on_ready,
    .on_down = commander_on_down,
    .on_confirm = commander_on_confirm,
};

static void
load_on_set_up(const struct trouble *why, const char *done, void *arg)
{
	struct bench_load *l = arg;

	if (why != NULL) {
		bench_fail(l->b, TROUBLE_FMT, TROUBLE_ARGS(why));
		return;
	}
	if (l->b->connections > 0) {
		l->crew = conn_pool_create(l->b, on_hosts, l);
	} else {
		l->errands = errands_create(l->b, &script, l);
	}
	broker_start(l->commander);
}

/* ---- the end ---- */

static void
report(struct bench_load *l)
{
	json_t *report = l->b->report, *jobs = json_array();

	for (uint32_t i = 0; i < l->next; i++) {
		const struct load_job *j = &l->jobs[i];

		json_array_append_new(
		    jobs, json_pack("{s:I,s:I,s:f}", "targets", (json_int_t)j->job.n_hosts, "ok",
			      (json_int_t)j->ok, "seconds",
			      j->ok > 0 ? (double)(j->last_us - j->due_us) / 1e6 : 0.0));
	}
	json_object_set_new(report, "run", json_integer(l->b->plan.run));
	json_object_set_new(report, "jobs", jobs);
	json_object_set_new(report, "incomplete", json_integer(l->incomplete));
	json_object_set_new(report, "unanswered", json_integer((json_int_t)l->unanswered));
	json_object_set_new(report, "late_us", json_integer(l->late_us));
	json_object_set_new(report, "latency", histogram_json(&l->latency));
	if (l->errands != NULL)
		report_swarm(l->b, errands_swarm(l->errands));
}

static void
load_finish(struct bench_load *l)
{
	store_close(l->b->store);
	l->b->store = NULL;
	for (uint32_t i = 0; i < l->prepared; i++) {
		job_watch_destroy(l->jobs[i].watch);
		l->jobs[i].job.hosts = NULL; /* shared */
		l->jobs[i].job.n_hosts = 0;
		job_finish(&l->jobs[i].job);
		free(l->jobs[i].known);
	}
	ledger_check_destroy(l->books);
	errands_destroy(l->errands);
	conn_pool_destroy(l->crew);
	broker_destroy(l->commander);
	topology_destroy(l->topology);
	loop_timer_destroy(l->clock);
	loop_timer_destroy(l->settle);
	for (size_t i = 0; i < l->n_targets; i++)
		free(l->targets[i]);
	free(l->targets);
	free(l->jobs);
	free(l);
}

void
verb_load(struct bench *b)
{
	const struct options *options = &b->cli->options;
	struct bench_load *l;

	if (b->store_uri.scheme == URI_NULL || b->plan.jobs > JOBS_MAX) {
		bench_fail(b, b->plan.jobs > JOBS_MAX ? "load: at most 2000 jobs"
						      : "load: null:// has no ledger to look into");
		return;
	}
	l = xcalloc(1, sizeof(*l));
	l->b = b;
	l->jobs = xcalloc(b->plan.jobs, sizeof(*l->jobs));
	l->clock = loop_timer_create(b->loop, "bench clock", load_on_clock, l);
	l->settle = loop_timer_create(b->loop, "bench settle", load_on_settle, l);
	list_targets(l);
	l->topology = topology_for_collector(options->broadcast_exchange, options->master_exchange);
	l->commander = bench_broker(b, "commander", l->topology, &commander_handlers, l);
	store_setup(b->store, load_on_set_up, l);
	loop_run(b->loop);
	report(l);
	load_finish(l);
}
