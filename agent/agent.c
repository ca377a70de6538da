/* SPDX-License-Identifier: Apache-2.0 */
/* See agent.h. The life of the service:
 *
 *   SERVING ---- SIGTERM, SIGINT, one shot done ----> DRAINING ---- nothing runs ----> LEAVING
 *                                                        |          and the outbox       |
 *                                                        |          is empty, or 10 s    | stopped,
 *                                                        +--- second signal: at once     v or 5 s
 *                                                                        +-----------> ENDED */
#include "agent/agent.h"

#include "agent/arrival.h"
#include "agent/cmdq.h"
#include "agent/encode_worker.h"
#include "agent/machine_id.h"
#include "agent/metrics.h"
#include "agent/outbox.h"
#include "agent/registry.h"
#include "agent/schedule.h"
#include "agent/sequence.h"
#include "agent/stale_runs.h"
#include "agent/statedir.h"
#include "shared/amqp/broker.h"
#include "shared/amqp/probe.h"
#include "shared/amqp/topology.h"
#include "shared/base/ident.h"
#include "shared/base/log.h"
#include "shared/base/name.h"
#include "shared/base/ratelimit.h"
#include "shared/base/trouble.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/config/complain.h"
#include "shared/config/options_broker.h"
#include "shared/config/options_load.h"
#include "shared/event/loop.h"
#include "shared/event/sd_notify.h"
#include "shared/exec/children.h"
#include "shared/monitor/monitor.h"
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define STATUS_PART 240 /* of the broker, and of the plugins, in STATUS= */
#define GREETING_ID 0   /* of the outbox; those of commands start at 1 */

enum agent_state { AGENT_SERVING, AGENT_DRAINING, AGENT_LEAVING, AGENT_ENDED };

struct agent {
	struct cli *cli;
	const char *plugin_dir; /* of the command line */
	bool oneshot;
	enum agent_state state;
	char *host;
	char *machine_id, *boot_id;
	struct trouble in_use; /* what it means that somebody else reads this host's queue */
	struct uri *uris;
	size_t n_uris;
	struct statedir_lock lock;
	struct stale_runs *stale_runs;
	struct registry registry;
	struct sequence *order;
	struct topology *topology;
	struct loop *loop;
	struct loop_timer *timer; /* of DRAINING and LEAVING */
	struct children *children;
	struct sd_notify *notify;
	char broker_status[STATUS_PART];
	char plugin_status[STATUS_PART]; /* what is not in force that should be; "" = nothing */
	struct broker *broker;
	struct outbox *outbox;
	struct encode_worker *maker;
	struct cmdq *cmdq;
	struct schedule *schedule; /* empty with oneshot */
	struct agent_parts parts;  /* what the monitor shows */
	struct ratelimit misrouted;
	struct mono waiting_told; /* ms 0: not yet */
	struct monitor *monitor;
};

static void agent_enter(struct agent *a, enum agent_state next, const char *reason);

static const char *
agent_state_name(enum agent_state state)
{
	switch (state) {
	case AGENT_SERVING:
		return "SERVING";
	case AGENT_DRAINING:
		return "DRAINING";
	case AGENT_LEAVING:
		return "LEAVING";
	case AGENT_ENDED:
		return "ENDED";
	}
	return "?";
}

/* --- what the service manager shows --- */

static void
tell_status(struct agent *a)
{
	sd_notify_status(a->notify, "%s%sbroker: %s", a->plugin_status,
	    a->plugin_status[0] != '\0' ? "; " : "", a->broker_status);
}

static void set_broker_status(struct agent *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void
set_broker_status(struct agent *a, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(a->broker_status, sizeof(a->broker_status), fmt, ap);
	va_end(ap);
	tell_status(a);
}

/* complaint: the first of n. */
static void
set_plugin_status(struct agent *a, const char *what, const struct trouble *complaint, size_t n)
{
	char more[48] = "", text[STATUS_PART - 100];

	if (n > 1)
		snprintf(more, sizeof(more), " (and %zu more in the log)", n - 1);
	snprintf(a->plugin_status, sizeof(a->plugin_status), "%s: %s%s", what,
	    complaint->kind != TROUBLE_NONE ? trouble_format(complaint, text, sizeof(text))
					    : "see the log",
	    more);
}

static size_t
plugins_running(const struct agent *a)
{
	return cmdq_running(a->cmdq) + schedule_running(a->schedule);
}

/* Leaves without what cannot be flushed to a broker that is away: the command of such an answer is
 * still there and will be run again. */
static void
check_drained(struct agent *a)
{
	if (a->state != AGENT_DRAINING)
		return;
	if (!broker_is_ready(a->broker))
		agent_enter(a, AGENT_LEAVING, "the broker is away");
	else if (plugins_running(a) == 0 && outbox_count(a->outbox) == 0)
		agent_enter(a, AGENT_LEAVING, "everything is answered");
}

static void
on_timer(void *arg)
{
	struct agent *a = arg;

	if (a->state == AGENT_DRAINING)
		agent_enter(a, AGENT_LEAVING, "time is up");
	else if (a->state == AGENT_LEAVING)
		agent_enter(a, AGENT_ENDED, "the broker does not say goodbye");
}

/* A broker that is out of memory reads nothing of ours, a goodbye neither, and its alarm may last
 * for hours: it has a moment. */
static void
arm_for_state(struct agent *a)
{
	struct broker_status s;

	if (a->state != AGENT_DRAINING && a->state != AGENT_LEAVING)
		return;
	broker_status(a->broker, &s);
	if (s.blocked) {
		log_info("agent", "the broker blocks us: giving it %d ms", AGENT_BLOCKED_MS);
		loop_timer_arm(a->timer, AGENT_BLOCKED_MS);
	} else {
		loop_timer_arm(
		    a->timer, a->state == AGENT_DRAINING ? AGENT_DRAIN_MS : AGENT_LEAVE_MS);
	}
}

static void
agent_enter(struct agent *a, enum agent_state next, const char *reason)
{
	log_info("agent", "%s -> %s, reason=%s", agent_state_name(a->state), agent_state_name(next),
	    reason);
	a->state = next;
	loop_timer_disarm(a->timer);
	switch (next) {
	case AGENT_SERVING:
		break;
	case AGENT_DRAINING:
		sd_notify_stopping(a->notify, AGENT_DRAIN_MS + AGENT_LEAVE_MS);
		arm_for_state(a);
		cmdq_drain(a->cmdq);
		schedule_drain(a->schedule);
		broker_cancel(a->broker);
		check_drained(a);
		break;
	case AGENT_LEAVING:
		arm_for_state(a);
		cmdq_stop_running(a->cmdq);
		schedule_stop_running(a->schedule);
		broker_stop(a->broker);
		break;
	case AGENT_ENDED:
		loop_stop(a->loop);
		break;
	}
}

/* Handlers of the broker. */

/* One shot means one command: what is behind it stays with the broker. A quorum queue knows no
 * exclusive consumer (RabbitMQ ignores the wish): it is made with a single active one instead. */
static void
consume(struct agent *a)
{
	broker_consume(a->broker, a->host, a->oneshot ? 1 : AGENT_PREFETCH,
	    a->cli->options.host_queue.type == QUEUE_CLASSIC);
}

static void
on_ready(struct broker *b, void *arg)
{
	struct agent *a = arg;

	outbox_on_ready(a->outbox);
	if (a->state == AGENT_SERVING) {
		if (!a->oneshot)
			cmdq_catch_up(a->cmdq, broker_messages_found(b, a->host), AGENT_PREFETCH);
		consume(a);
	}
	check_drained(a);
}

/* Nobody asks a machine that has no queue, so it speaks for itself: at the next connection, before
 * the queue is asked for again. The newest word takes the place of one that was not confirmed. */
static void
tell_waiting(struct agent *a)
{
	struct report_origin origin = {a->host, a->machine_id, a->boot_id};
	struct mono now = loop_now(a->loop);
	struct response r;
	struct message m;

	if (a->waiting_told.ms != 0 && mono_diff(now, a->waiting_told) < AGENT_WAITING_MS)
		return;
	a->waiting_told = now;
	report_waiting(&r, &origin, wallclock_ms());
	if (wire_response_encode(&r, &m))
		outbox_add_newest(a->outbox, GREETING_ID, "(in use)", &m);
	message_finish(&m);
	response_finish(&r);
}

static void
on_down(struct broker *b, const struct broker_failure *f, void *arg)
{
	struct agent *a = arg;

	if (f->by_another && a->state == AGENT_SERVING)
		tell_waiting(a);
	set_broker_status(a, "away, %s", f->text);
	check_drained(a);
}

/* Whoever may bind this queue could have the host do what was sent to another, and whoever may
 * write to it what they have no right to send. */
static void
refuse_misrouted(struct agent *a, const struct delivery *d)
{
	const char *user = d->message.user_id != NULL ? d->message.user_id : "(not known)";
	const char *commands = a->cli->options.broadcast_exchange;
	char kind[2 * 256 + 1];
	uint32_t unlogged;

	snprintf(kind, sizeof(kind), "%s %s", d->exchange, d->routing_key);
	if (!ratelimit_due(&a->misrouted, kind, loop_now(a->loop), &unlogged))
		return;
	if (strcmp(d->exchange, commands) != 0)
		log_warn("agent",
		    "refused a message that did not come through exchange %s: exchange=%s, key=%s, "
		    "user=%s, unlogged_before=%u" TROUBLE_CURE
		    "send commands with vogeler-runner; if nobody put it into queue %s on purpose, "
		    "see who may write to it (rabbitmqctl list_permissions)",
		    commands, d->exchange[0] == '\0' ? "(the default one)" : d->exchange,
		    d->routing_key, user, unlogged, a->host);
	else
		log_warn("agent",
		    "refused a message that was not sent to this host: exchange=%s, key=%s, "
		    "user=%s, unlogged_before=%u" TROUBLE_CURE
		    "see who has bound queue %s (rabbitmqctl list_bindings); its keys are %s and "
		    "%s",
		    d->exchange, d->routing_key, user, unlogged, a->host,
		    TOPOLOGY_BROADCAST_PATTERN, a->host);
}

/* Lost, it is asked for again. */
static void
echo_probe(struct agent *a, const struct delivery *d)
{
	struct message m;

	probe_echo(&d->message, d->routing_key, broker_message_max(a->broker), &m);
	if (broker_publish(
		a->broker, a->cli->options.master_exchange, d->message.reply_to, false, &m) == 0)
		log_debug("agent", "a probe is not answered: nothing can be sent now");
	message_finish(&m);
}

static void
on_delivery(struct broker *b, struct delivery *d, void *arg)
{
	struct agent *a = arg;

	switch (arrival_of(d, a->cli->options.broadcast_exchange, a->host)) {
	case ARRIVAL_COMMAND:
		cmdq_take(a->cmdq, d);
		return;
	case ARRIVAL_MISROUTED:
		refuse_misrouted(a, d);
		cmdq_pass_over(a->cmdq, d, true);
		return;
	case ARRIVAL_PROBE:
		if (probe_asks(&d->message, a->host))
			echo_probe(a, d);
		cmdq_pass_over(a->cmdq, d, false);
		return;
	}
}

static void
on_confirm(struct broker *b, uint64_t id, enum broker_outcome outcome, const char *why, void *arg)
{
	struct agent *a = arg;

	(void)outbox_on_confirm(a->outbox, id, outcome, why);
	check_drained(a);
}

static void
on_writable(struct broker *b, void *arg)
{
	struct agent *a = arg;

	outbox_on_writable(a->outbox);
}

static void
on_blocked(struct broker *b, bool blocked, const char *reason, void *arg)
{
	struct agent *a = arg;

	if (blocked)
		arm_for_state(a);
}

static void
on_consuming(struct broker *b, const char *queue, bool consuming, void *arg)
{
	struct agent *a = arg;

	if (consuming) {
		cmdq_on_consuming(a->cmdq);
		log_info("agent", "Vogeler(Client) has started, waiting for commands in queue %s",
		    a->host);
		set_broker_status(
		    a, "connected to %s, waiting for commands in queue %s", broker_id(b), a->host);
	} else if (a->state == AGENT_SERVING && broker_is_ready(b)) {
		/* The queue was deleted, or moved to another node: ask again. If it is not there
		 * the broker module starts over and makes it. */
		log_warn(
		    "agent", "the broker ended the consumer of queue %s; consuming again", a->host);
		consume(a);
	}
}

static void
on_stopped(struct broker *b, void *arg)
{
	struct agent *a = arg;

	if (a->state == AGENT_LEAVING)
		agent_enter(a, AGENT_ENDED, "disconnected");
}

static const struct broker_handlers broker_callbacks = {
    .on_ready = on_ready,
    .on_down = on_down,
    .on_delivery = on_delivery,
    .on_confirm = on_confirm,
    .on_blocked = on_blocked,
    .on_writable = on_writable,
    .on_consuming = on_consuming,
    .on_stopped = on_stopped,
};

/* Between the parts. */

static void
on_ended(struct agent *a)
{
	cmdq_kick(a->cmdq); /* who asks goes first */
	schedule_kick(a->schedule);
	check_drained(a);
}

static void
on_child(const struct child_event *ev, void *arg)
{
	struct agent *a = arg;

	if ((ev->id & SCHEDULE_ID) != 0)
		schedule_on_child(a->schedule, ev);
	else
		cmdq_on_child(a->cmdq, ev);
	if (ev->kind != CHILD_DONE)
		return;
	if (ev->outcome < CHILD_N_OUTCOMES)
		a->parts.outcomes[ev->outcome]++;
	on_ended(a);
}

static void
on_made(struct made *made, void *arg)
{
	struct agent *a = arg;

	if ((made->id & SCHEDULE_ID) != 0)
		schedule_on_made(a->schedule, made);
	else
		cmdq_on_made(a->cmdq, made);
	on_ended(a);
}

static void
request_child(const struct child_request *req, void *arg)
{
	struct agent *a = arg;

	children_request(a->children, req);
}

/* Both commands and the schedule start plugins; concurrency is for both together. */
static bool
may_start(const char *plugin, void *arg)
{
	const struct agent *a = arg;

	return plugins_running(a) < a->cli->options.concurrency && !cmdq_runs(a->cmdq, plugin) &&
	       !schedule_runs(a->schedule, plugin);
}

static void
on_confirmed(uint64_t id, void *arg)
{
	struct agent *a = arg;

	if ((id & SCHEDULE_ID) == 0)
		cmdq_on_confirmed(a->cmdq, id);
}

static void
on_answered(void *arg)
{
	struct agent *a = arg;

	if (a->oneshot && a->state == AGENT_SERVING)
		agent_enter(a, AGENT_DRAINING, "one shot: the first command is answered");
}

/* Signals. */

static void
on_terminate(int signo, void *arg)
{
	struct agent *a = arg;

	if (a->state == AGENT_SERVING)
		agent_enter(a, AGENT_DRAINING, strsignal(signo));
	else
		agent_enter(a, AGENT_ENDED, "told twice");
}

const char *
agent_plugin_dir(const struct cli *cli, const char *plugin_dir)
{
	return plugin_dir != NULL ? plugin_dir : cli->options.plugin_path;
}

static void
hand_plugins_to_children(struct agent *a, const struct options *o)
{
	struct child_defaults defaults = {o->plugin_timeout_ms, o->plugin_max_output};

	children_set_plugins(a->children, &a->registry.set, &defaults);
}

static void
plan(struct agent *a, const struct options *o)
{
	if (!a->oneshot)
		schedule_reload(a->schedule, o->plugin_max_output);
}

/* Users and passwords may change while we run; the places are those from before. */
static void
take_logins(struct agent *a)
{
	struct uri *list;
	size_t n;
	struct trouble why;

	if (!uri_parse_brokers(a->cli->options.qhost, &list, &n, &why))
		return;
	broker_set_logins(a->broker, list, n);
	uri_list_free(list, n);
}

static void
refuse_reload(struct agent *a, const struct trouble *complaint, size_t n)
{
	log_error("agent", "not reloaded: options and plugins stay as they were" TROUBLE_CURE
			   "mend what is named above, then reload again");
	set_plugin_status(a, "not reloaded", complaint, n);
	tell_status(a);
}

/* Whole or not at all: options and plugins are both good, or both stay. */
static void
reload(struct agent *a)
{
	struct options *now = &a->cli->options, next;
	char *restart;

	if (!cli_reload(a->cli, &next)) {
		refuse_reload(a, &a->cli->complaint, a->cli->n_complaints);
		return;
	}
	if (!registry_reload(&a->registry, a->plugin_dir != NULL ? a->plugin_dir : next.plugin_path,
		now->state_dir)) {
		log_set_level(now->log_level); /* cli_reload() has set the new one */
		refuse_reload(a, &a->registry.complaint, a->registry.n_complaints);
		options_finish(&next);
		return;
	}
	restart = options_take(now, &next, OPTION_AGENT);
	options_finish(&next);
	log_set_level(now->log_level);
	take_logins(a);
	hand_plugins_to_children(a, now);
	cmdq_set_limits(a->cmdq, now->plugin_max_output, now->catch_up_splay_ms);
	plan(a, now);
	cmdq_kick(a->cmdq);
	a->plugin_status[0] = '\0';
	tell_status(a);
	log_info("agent", "reloaded the plugins, log_level, plugin_path, timeout, max_output, "
			  "catch_up_splay and the broker's user and password");
	if (restart != NULL)
		log_warn("agent", "changes of %s need a restart", restart);
	free(restart);
}

static void
on_reload(int signo, void *arg)
{
	struct agent *a = arg;

	sd_notify_reloading(a->notify);
	reload(a);
	sd_notify_reloaded(a->notify);
}

/* Start. */

char *
agent_host(const struct cli *cli)
{
	char *host =
	    cli->options.node_name != NULL ? xstrdup(cli->options.node_name) : name_of_this_host();
	const char *why = name_host_error(host);

	if (why == NULL)
		return host;
	complain_line("vogeler-agent",
	    "cannot use '%s' as this host's name: %s; set another one with [client] name in the "
	    "configuration file",
	    host, why);
	free(host);
	return NULL;
}

static void
warn_of_name(const char *host)
{
	if (strcasecmp(host, "localhost") == 0 || strncasecmp(host, "localhost.", 10) == 0)
		log_warn("agent",
		    "this host is called %s, as others may be: they would share one queue and one "
		    "record; give it a name of its own, with hostnamectl or [client] name",
		    host);
}

static void
complain(const struct trouble *t)
{
	char *text = trouble_text(t);

	complain_line("vogeler-agent", "%s", text);
	free(text);
}

/* 0, or the exit status after an error line. */
static int
open_state(struct agent *a)
{
	const char *dir = a->cli->options.state_dir;
	struct trouble t;
	char *path = NULL;

	switch (statedir_open(dir, &a->lock, &t)) {
	case STATEDIR_OK:
		break;
	case STATEDIR_BUSY:
		complain(&t);
		return AGENT_EXIT_BUSY;
	case STATEDIR_ERROR:
		complain(&t);
		return 1;
	}
	xasprintf(&path, "%s/%s", dir, AGENT_ORDER_FILE);
	a->order = sequence_open(path, wallclock_ms(), &t);
	free(path);
	if (a->order == NULL) {
		complain(&t);
		return 1;
	}
	return registry_load(&a->registry, agent_plugin_dir(a->cli, a->plugin_dir), dir) ? 0 : 1;
}

static void
make_broker(struct agent *a)
{
	const struct options *o = &a->cli->options;
	struct broker_options opt;

	a->topology = topology_for_agent(o->broadcast_exchange, o->master_exchange, a->host);
	topology_configure(a->topology, &o->host_queue, &o->master_queue);
	/* Not on this one with this state folder: that has a lock. */
	trouble_set(&a->in_use, TROUBLE_OTHER, NULL,
	    "another machine has this name (or an agent here with a state folder of its own); the machine id here is %s",
	    a->machine_id != NULL ? a->machine_id : "not known");
	trouble_set_cure(&a->in_use,
	    "give one of them another [client] name; vogeler-admin show %s has the machine id that answers",
	    a->host);
	options_broker(o, "vogeler-agent", "agent", a->uris, a->n_uris, &opt);
	opt.in_use = &a->in_use;
	opt.topology = a->topology;
	opt.rebind_ms = BROKER_REBIND_MS;
	opt.heartbeat_s = (uint16_t)o->heartbeat_s;
	opt.reconnect_max_ms = o->reconnect_max_ms;
	opt.max_body_bytes = WIRE_COMMAND_MAX;
	opt.output_max = 2 * REPORT_MESSAGE_MAX;
	a->broker = broker_create(a->loop, &opt, &broker_callbacks, a);
}

static void
note_runs(const pid_t *subreapers, size_t n, void *stale_runs)
{
	stale_runs_note(stale_runs, subreapers, n);
}

static void
make_schedule(struct agent *a)
{
	const struct schedule_config config = {
	    .origin = {a->host, a->machine_id, a->boot_id},
	    .loop = a->loop,
	    .registry = &a->registry,
	    .order = a->order,
	    .outbox = a->outbox,
	    .maker = a->maker,
	    .request = request_child,
	    .may_start = may_start,
	    .arg = a,
	};

	a->schedule = schedule_create(&config);
	plan(a, &a->cli->options);
}

static void
make_parts(struct agent *a)
{
	const struct options *o = &a->cli->options;
	struct cmdq_config config = {
	    .origin = {a->host, a->machine_id, a->boot_id},
	    .registry = &a->registry,
	    .order = a->order,
	    .catch_up_splay_ms = o->catch_up_splay_ms,
	    .concurrency = o->concurrency,
	    .max_output = o->plugin_max_output,
	    .request = request_child,
	    .may_start = may_start,
	    .on_answered = on_answered,
	    .arg = a,
	};

	a->loop = loop_create();
	a->timer = loop_timer_create(a->loop, "agent", on_timer, a);
	a->notify = sd_notify_create(a->loop);
	make_broker(a);
	if (a->registry.n_complaints > 0)
		set_plugin_status(
		    a, "plugins left out", &a->registry.complaint, a->registry.n_complaints);
	set_broker_status(a, "connecting to %s", broker_id(a->broker));
	a->children = children_create(a->loop, on_child, a);
	children_track(a->children,
	    &(struct run_tracker){stale_runs_mark(a->stale_runs), note_runs, a->stale_runs});
	hand_plugins_to_children(a, o);
	a->outbox = outbox_create(a->loop, a->broker, o->master_exchange, on_confirmed, a);
	outbox_set_host(a->outbox, a->host);
	config.loop = a->loop;
	config.broker = a->broker;
	config.outbox = a->outbox;
	a->maker = encode_worker_create(a->loop, on_made, a);
	config.maker = a->maker;
	a->cmdq = cmdq_create(&config);
	make_schedule(a);
	loop_signal(a->loop, SIGTERM, on_terminate, a);
	loop_signal(a->loop, SIGINT, on_terminate, a);
	loop_signal(a->loop, SIGHUP, on_reload, a);
}

/* false after an error line. */
static bool
start_monitor(struct agent *a)
{
	struct monitor_parts parts = {
	    .loop = a->loop,
	    .option = "[client] listen",
	    .auto_address = "127.0.0.1:22011",
	    .brokers = {a->broker},
	    .n_brokers = 1,
	    .metrics = agent_metrics,
	    .health = agent_health,
	    .arg = &a->parts,
	};
	char err[512];

	a->parts = (struct agent_parts){
	    .cmdq = a->cmdq,
	    .schedule = a->schedule,
	    .outbox = a->outbox,
	    .order = a->order,
	    .concurrency = a->cli->options.concurrency,
	};
	if (monitor_start(&parts, a->cli->options.client_listen, &a->monitor, err, sizeof(err)))
		return true;
	complain_line("vogeler-agent", "%s", err);
	return false;
}

static void
greet(struct agent *a)
{
	struct report_origin origin = {a->host, a->machine_id, a->boot_id};
	struct response r;
	struct message m;

	report_greeting(&r, &origin, wallclock_ms());
	if (wire_response_encode(&r, &m))
		outbox_add(a->outbox, GREETING_ID, &m);
	message_finish(&m);
	response_finish(&r);
}

static void
agent_finish(struct agent *a)
{
	monitor_stop(a->monitor);
	encode_worker_destroy(a->maker); /* what it made is for those below */
	cmdq_destroy(a->cmdq);
	schedule_destroy(a->schedule);
	outbox_destroy(a->outbox);
	stale_runs_close(a->stale_runs, !children_destroy(a->children));
	broker_destroy(a->broker);
	sd_notify_destroy(a->notify);
	loop_timer_destroy(a->timer);
	if (a->loop != NULL)
		loop_destroy(a->loop);
	topology_destroy(a->topology);
	registry_finish(&a->registry);
	sequence_close(a->order);
	uri_list_free(a->uris, a->n_uris);
	statedir_close(&a->lock);
	free(a->host);
	free(a->machine_id);
	free(a->boot_id);
}

int
agent_run(struct cli *cli, const char *plugin_dir, bool oneshot)
{
	struct agent a = {
	    .cli = cli, .plugin_dir = plugin_dir, .oneshot = oneshot, .lock = STATEDIR_UNLOCKED};
	int status = 1;

	registry_init(&a.registry);
	cli_brokers(cli, &a.uris, &a.n_uris);
	a.host = agent_host(cli);
	if (a.host == NULL)
		goto out;
	log_info("agent", "Vogeler(Client) is starting up, host=%s", a.host);
	warn_of_name(a.host);
	status = open_state(&a);
	if (status != 0)
		goto out;
	a.stale_runs = stale_runs_open(cli->options.state_dir);
	a.machine_id = machine_id(MACHINE_ID_SYSTEM, cli->options.state_dir);
	a.boot_id = sequence_read_id("/proc/sys/kernel/random/boot_id");
	make_parts(&a);
	if (!start_monitor(&a)) {
		status = 1;
		goto out;
	}
	greet(&a);
	broker_start(a.broker);
	loop_run(a.loop);
	log_info("agent", "Vogeler(Client) has ended");
out:
	agent_finish(&a);
	return status;
}
