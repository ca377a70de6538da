/* SPDX-License-Identifier: Apache-2.0 */
/* This checks whether commands arrive at hosts of the store, wherever it runs: a runner is told of
 * those whose queue is not bound only when it sends. A bounded number is tried, those that were
 * heard or seen last. By name the broker itself proves it: a probe (shared/amqp/probe.h), which
 * everybody drops, comes back when no queue has that key. To all, it comes back only when no queue
 * at all is bound.
 */
#include "admin/doctor.h"

#include "admin/host_queues.h"
#include "shared/amqp/broker.h"
#include "shared/amqp/probe.h"
#include "shared/amqp/topology.h"
#include "shared/base/ident.h"
#include "shared/base/name.h"
#include "shared/base/trouble.h"
#include "shared/base/uri.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/config/options_broker.h"
#include "shared/event/loop.h"
#include "shared/target/hostlist.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MAX 5 /* of hosts, in one line */

static const char check[] = "commands";
static const char *const only_check[] = {check, NULL};

enum fate {
	FATE_NOT_TRIED, /* for what waits there, or for want of an answer */
	FATE_ARRIVES,
	FATE_UNBOUND,
	FATE_MISSING, /* its queue */
	FATE_GONE,    /* the same, of a host that is off, whose queue may expire */
};

struct round {
	struct doctor *d;
	struct hosts hosts;
	enum fate fates[DOCTOR_RECENT];
	struct host_queue_look looks[DOCTOR_RECENT];
	struct host_queues *queues;
	size_t at; /* the host that is tried; hosts.n: all of them */
	char id[IDENT_SIZE];
	struct uri *uris;
	size_t n_uris;
	struct broker *broker;
	struct loop_timer *timer;
};

static void
round_free(void *arg)
{
	struct round *r = arg;

	hosts_finish(&r->hosts);
	uri_list_free(r->uris, r->n_uris);
	free(r);
}

static void
forget_recent(struct doctor *d)
{
	for (size_t i = 0; i < d->n_recent; i++)
		free(d->recent[i].name);
	d->n_recent = 0;
}

static void
end(struct round *r)
{
	forget_recent(r->d);
	broker_destroy(r->broker);
	host_queues_close(r->queues);
	loop_timer_destroy(r->timer);
	loop_defer_free(r->d->v->loop, r, round_free);
	doctor_next(r->d);
}

/* ---- what is told ---- */

static size_t
count(const struct round *r, enum fate fate)
{
	size_t n = 0;

	for (size_t i = 0; i < r->hosts.n; i++)
		n += r->fates[i] == fate;
	return n;
}

/* Names those of that fate; malloced. */
static char *
names_of(const struct round *r, enum fate fate)
{
	const char **names = xcalloc(r->hosts.n + 1, sizeof(*names));
	size_t n = 0;
	char *text;

	for (size_t i = 0; i < r->hosts.n; i++) {
		if (r->fates[i] == fate)
			names[n++] = r->hosts.names[i];
	}
	text = names_some(names, n, NAMES_MAX);
	free(names);
	return text;
}

static void
say_fate(
    struct round *r, enum fate fate, enum check_status status, const char *cure, const char *what)
{
	char *names = names_of(r, fate);

	if (names[0] != '\0')
		doctor_say(r->d, check, status, cure, "%s: %s", what, names);
	free(names);
}

static void
say_queues(struct round *r)
{
	say_fate(r, FATE_MISSING, CHECK_FAIL,
	    "vogeler-admin setup with their names makes them, or the agent, at its next start, if it "
	    "may; a host that is no more: vogeler-admin forget",
	    "there is no queue of these hosts, and commands to them arrive nowhere");
	say_fate(r, FATE_GONE, CHECK_WARN,
	    "vogeler-admin setup with their names makes them; a host that is no more: vogeler-admin "
	    "forget",
	    "there is no queue of these hosts, which are not online, so commands do not wait for "
	    "them");
}

static void
say_bindings(struct round *r)
{
	char what[300];

	snprintf(what, sizeof(what),
	    "commands sent to exchange %s by name reach no queue, they are not bound",
	    r->d->options->broadcast_exchange);
	say_fate(r, FATE_UNBOUND, CHECK_FAIL,
	    "vogeler-admin setup --all binds them; a collector that runs and may bind does too",
	    what);
	if (count(r, FATE_ARRIVES) > 0)
		doctor_say(r->d, check, CHECK_OK, NULL,
		    "by name they arrive in the queues of hosts=%zu, of the %zu that were heard or "
		    "seen last",
		    count(r, FATE_ARRIVES), r->hosts.n);
	say_fate(r, FATE_NOT_TRIED, CHECK_SKIP, NULL,
	    "whether they arrive is not tried where some wait that nobody reads, or that a limit of "
	    "the queue could cost");
}

static void
say_all(struct round *r, bool returned)
{
	const char *exchange = r->d->options->broadcast_exchange;

	if (returned)
		doctor_say(r->d, check, CHECK_FAIL,
		    "vogeler-admin setup --all binds them; a collector that runs and may bind does "
		    "too",
		    "commands to all, sent to exchange %s, reach no queue: no host's is bound "
		    "with key \"" TOPOLOGY_BROADCAST_PATTERN "\"",
		    exchange);
	else
		doctor_say(r->d, check, CHECK_OK, NULL,
		    "those to all reach queues; whether that of one host is among them, doctor on "
		    "that host tells");
}

/* ---- sending ---- */

/* Behind commands that wait it would stay until the host is back, and where what may wait is
 * limited it could push one out. */
static bool
may_try(const struct round *r, size_t i)
{
	const struct host_queue_look *look = &r->looks[i];

	return look->sight == HOST_QUEUE_THERE &&
	       (look->messages == 0 || (look->consumers > 0 && doctor_may_send_to_all(r->d)));
}

static void
send(struct round *r, const char *key, const char *host, const char *expires_ms)
{
	struct message m;
	uint64_t id;

	probe_make(&m, "vogeler-admin", r->id, host, NULL, expires_ms);
	id = broker_publish(r->broker, r->d->options->broadcast_exchange, key, true, &m);
	message_finish(&m);
	if (id != 0) {
		loop_timer_arm(r->timer, r->d->options->connect_timeout_ms);
		return;
	}
	doctor_skip(r->d, only_check, "the broker takes no messages now");
	end(r);
}

static void
try_next(struct round *r)
{
	while (r->at < r->hosts.n && !may_try(r, r->at))
		r->at++;
	if (r->at < r->hosts.n) {
		send(r, r->hosts.names[r->at], r->hosts.names[r->at],
		    r->looks[r->at].consumers == 0 ? "0" : NULL);
		return;
	}
	say_bindings(r);
	if (doctor_may_send_to_all(r->d)) {
		send(r, DOCTOR_ALL_KEY, NULL, DOCTOR_ALL_EXPIRES_MS);
		return;
	}
	doctor_skip(r->d, only_check,
	    "whether those to all arrive is not tried: [host_queue] limits how much may wait");
	end(r);
}

static void
round_on_ready(struct broker *b, void *arg)
{
	try_next(arg);
}

static void
round_on_confirm(
    struct broker *b, uint64_t id, enum broker_outcome outcome, const char *why, void *arg)
{
	struct round *r = arg;

	if (outcome == BROKER_LOST)
		return; /* on_down says why */
	if (r->at == r->hosts.n) {
		say_all(r, outcome == BROKER_RETURNED);
		end(r);
		return;
	}
	r->fates[r->at++] = outcome == BROKER_RETURNED ? FATE_UNBOUND : FATE_ARRIVES;
	try_next(r);
}

static void
round_on_down(struct broker *b, const struct broker_failure *f, void *arg)
{
	struct round *r = arg;

	if (f->error == BROKER_ERR_PERMISSION)
		doctor_skip(r->d, only_check,
		    "whether they arrive at hosts is not tried: this user may not send any; run "
		    "doctor as one who may");
	else if (f->error == BROKER_ERR_NOT_FOUND)
		doctor_skip(r->d, only_check, "there is no exchange to send them to");
	else
		doctor_say_trouble(r->d, check, CHECK_FAIL, f->trouble);
	end(r);
}

static void
round_on_timer(void *arg)
{
	struct round *r = arg;
	const char *queue = r->at < r->hosts.n ? r->hosts.names[r->at] : "HOST";
	char *cure = queue_silent_cure(r->uris[0].path, queue);

	doctor_say(r->d, check, CHECK_FAIL, cure,
	    "the broker does not say what became of a probe to %s",
	    r->at < r->hosts.n ? queue : "all hosts");
	free(cure);
	end(r);
}

static const struct broker_handlers handlers = {
    .on_ready = round_on_ready,
    .on_down = round_on_down,
    .on_confirm = round_on_confirm,
};

static void
connect_broker(struct round *r)
{
	const struct options *o = r->d->options;
	struct broker_options opt;

	options_broker(o, "vogeler-admin", "doctor", r->uris, r->n_uris, &opt);
	opt.quiet = true;
	r->broker = broker_create(r->d->v->loop, &opt, &handlers, r);
	broker_start(r->broker);
}

/* ---- the queues ---- */

static enum contact_state
state_of(const struct doctor *d, const char *host)
{
	for (size_t i = 0; i < d->n_recent; i++) {
		if (strcmp(d->recent[i].name, host) == 0)
			return d->recent[i].state;
	}
	return CONTACT_UNKNOWN;
}

/* The queue of a host that is off goes with [host_queue] expires, as it is meant to. */
static enum fate
fate_without_queue(const struct round *r, const char *host)
{
	enum contact_state state = state_of(r->d, host);
	bool expires = r->d->options->host_queue.expires_ms != 0;

	return state == CONTACT_NEVER || (expires && state != CONTACT_ONLINE) ? FATE_GONE
									      : FATE_MISSING;
}

static void
round_on_queues(const struct host_queue_look *looks, const char *why, void *arg)
{
	struct round *r = arg;

	for (size_t i = 0; i < r->hosts.n; i++) {
		r->looks[i] = looks[i];
		if (looks[i].sight == HOST_QUEUE_MISSING)
			r->fates[i] = fate_without_queue(r, r->hosts.names[i]);
	}
	host_queues_close(r->queues);
	r->queues = NULL;
	if (why != NULL) {
		doctor_skip(r->d, only_check, "the broker was not reached");
		end(r);
		return;
	}
	say_queues(r);
	connect_broker(r);
}

static bool
is_wanted(struct doctor *d)
{
	if (d->role != DOCTOR_OPERATOR && !d->collector)
		return false;
	if (d->options->qhost == NULL)
		doctor_skip(d, only_check, "no broker is named");
	else if (d->n_recent == 0)
		doctor_skip(d, only_check, "no host is known of the store");
	return d->options->qhost != NULL && d->n_recent > 0;
}

void
doctor_commands(struct doctor *d)
{
	struct round *r;
	struct trouble why;

	if (!is_wanted(d)) {
		forget_recent(d);
		doctor_next(d);
		return;
	}
	r = xcalloc(1, sizeof(*r));
	r->d = d;
	if (!uri_parse_brokers(d->options->qhost, &r->uris, &r->n_uris, &why)) {
		round_free(r); /* which was told */
		forget_recent(d);
		doctor_next(d);
		return;
	}
	for (size_t i = 0; i < d->n_recent; i++)
		hosts_add(&r->hosts, d->recent[i].name);
	hosts_sort(&r->hosts);
	ident_job(r->id, wallclock_ms());
	r->timer = loop_timer_create(d->v->loop, "commands", round_on_timer, r);
	r->queues = host_queues_open(d->v, &r->hosts, round_on_queues, r);
}
