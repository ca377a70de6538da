/* SPDX-License-Identifier: Apache-2.0 */
/* vogelerd, the collector: options, the two brokers, the store, the collector between them,
 * signals.
 *
 * It publishes (dead letters) on a second connection, so that acks are not held up when the broker
 * blocks publishers. */
#include "daemon/bindings.h"
#include "daemon/collector.h"
#include "daemon/contact_tracker.h"
#include "daemon/deadletter.h"
#include "daemon/leader.h"
#include "daemon/load_design.h"
#include "daemon/metrics.h"
#include "daemon/prune.h"
#include "daemon/queue_depth.h"
#include "daemon/retention.h"
#include "shared/amqp/broker.h"
#include "shared/amqp/probe.h"
#include "shared/amqp/topology.h"
#include "shared/base/ident.h"
#include "shared/base/log.h"
#include "shared/base/trouble.h"
#include "shared/base/uri.h"
#include "shared/config/cli.h"
#include "shared/config/options_broker.h"
#include "shared/config/options_load.h"
#include "shared/event/loop.h"
#include "shared/event/sd_notify.h"
#include "shared/monitor/monitor.h"
#include "shared/store/store.h"

#include <inttypes.h>
#include <jansson.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATUS_PART  200           /* of each link, in STATUS= */
#define UPGRADE_EACH 500           /* ms: how often it is told how far the store is */
#define OUTPUT_SLACK (1024 * 1024) /* beside one dead letter of the largest size */

#define LARGE_TEXT (256 * 1024)

struct vogelerd {
	struct cli cli;
	struct loop *loop;
	struct uri *uris;
	size_t n_uris;
	struct uri store_uri;
	struct topology *topology;
	struct broker *consumer;
	struct broker *publisher;
	struct store *store;
	struct leader *leader;
	struct collector *collector;
	struct queue_depth *queue_depth;
	struct prune *prune;
	struct retention *retention;
	struct bindings *bindings;
	struct contact_tracker *contact_tracker;
	struct metrics_parts parts; /* what the monitor shows */
	struct monitor *monitor;
	struct sd_notify *notify;
	struct loop_timer *upgrade; /* of a store that an older Vogeler made */
	char broker_status[STATUS_PART];
	char store_status[STATUS_PART];
	char reload_status[STATUS_PART]; /* why the last reload was none; "" = it was one */
	unsigned int stopping;           /* brokers and others that have not ended yet */
	bool draining;
};

static char *load_dir;
static struct poptOption table[] = {
    {"load", 'l', POPT_ARG_STRING, &load_dir, 0, "Load the design documents in DIR, and exit",
	"DIR"},
    POPT_TABLEEND,
};

static const struct cli_spec spec = {
    .program = "vogelerd",
    .usage = "[OPTION...]",
    .examples = "  vogelerd -c /etc/vogeler/vogeler.conf\n"
		"  vogelerd --qhost amqp://guest:guest@127.0.0.1:5672/vogeler \\\n"
		"           --dbhost sqlite:///var/lib/vogelerd/system_records.db --loglevel INFO\n"
		"  vogelerd -l " VOGELER_DATADIR "/_design \\\n"
		"           --dbhost couch://localhost:5984/system_records\n",
    .table = table,
    .uses_broker = true,
    .uses_store = true,
    .service = "",
};

/* ---- what the service manager shows ---- */

static void
tell_status(struct vogelerd *v)
{
	sd_notify_status(v->notify, "%s%s%sbroker: %s; store: %s", v->draining ? "stopping; " : "",
	    v->reload_status, v->reload_status[0] != '\0' ? "; " : "", v->broker_status,
	    v->store_status);
}

static void
set_broker_status(struct vogelerd *v, const char *state, const char *detail)
{
	snprintf(v->broker_status, sizeof(v->broker_status), "%s %s", state, detail);
	tell_status(v);
}

static void
on_collector_state(enum collector_state state, const char *reason, void *arg)
{
	struct vogelerd *v = arg;

	if (state == COLLECTOR_TAKING)
		snprintf(v->store_status, sizeof(v->store_status), "writable");
	else if (state == COLLECTOR_PROBING)
		snprintf(v->store_status, sizeof(v->store_status), "away, %s", reason);
	else if (state == COLLECTOR_TRYING)
		snprintf(v->store_status, sizeof(v->store_status), "away, trying one response");
	else if (state == COLLECTOR_STANDBY)
		snprintf(v->store_status, sizeof(v->store_status), "standing by, %s", reason);
	tell_status(v);
}

/* Nothing is stored before, so the service is not ready before; and nobody is to end it because
 * that takes long. */
static void
tell_upgrade(void *arg)
{
	struct vogelerd *v = arg;
	int percent = store_upgrade_percent(v->store);

	if (percent < 0) {
		sd_notify_prepared(v->notify);
		return;
	}
	snprintf(
	    v->store_status, sizeof(v->store_status), "being brought up to date, %d %%", percent);
	tell_status(v);
	loop_timer_arm(v->upgrade, UPGRADE_EACH);
}

static void
await_upgrade(struct vogelerd *v)
{
	v->upgrade = loop_timer_create(v->loop, "upgrade", tell_upgrade, v);
	if (store_upgrade_percent(v->store) < 0)
		return;
	sd_notify_preparing(v->notify);
	loop_timer_arm(v->upgrade, 0);
}

/* ---- brokers ---- */

static void
consumer_on_ready(struct broker *b, void *arg)
{
	struct vogelerd *v = arg;

	set_broker_status(v, "connected to", broker_id(b));
	collector_on_consumer_ready(v->collector);
}

static void
consumer_on_down(struct broker *b, const struct broker_failure *f, void *arg)
{
	struct vogelerd *v = arg;

	set_broker_status(v, "away,", f->text);
	contact_tracker_broker_down(v->contact_tracker);
	collector_on_consumer_down(v->collector);
}

static void
consumer_on_delivery(struct broker *b, struct delivery *d, void *arg)
{
	struct vogelerd *v = arg;

	if (probe_is(&d->message)) {
		broker_ack(b, d->tag, false);
		delivery_destroy(d);
		return;
	}
	collector_on_delivery(v->collector, d);
}

static void
publisher_on_ready(struct broker *b, void *arg)
{
	struct vogelerd *v = arg;
	struct broker_status s;

	broker_status(b, &s);
	if (s.times_ready == 1)
		bindings_hurry(v->bindings);
	deadletter_on_ready(collector_deadletter(v->collector));
}

static void
publisher_on_writable(struct broker *b, void *arg)
{
	struct vogelerd *v = arg;

	deadletter_on_ready(collector_deadletter(v->collector));
}

/* A new exchange has no bindings: those of all hosts went with the old one. */
static void
on_topology(struct broker *b, const struct topology_item *item, bool created, void *arg)
{
	struct vogelerd *v = arg;

	if (created && item->kind == TOPOLOGY_EXCHANGE)
		bindings_hurry(v->bindings);
}

static void
publisher_on_confirm(
    struct broker *b, uint64_t id, enum broker_outcome outcome, const char *why, void *arg)
{
	struct vogelerd *v = arg;

	if (queue_depth_on_confirm(v->queue_depth, id, outcome))
		return;
	deadletter_on_confirm(collector_deadletter(v->collector), id, outcome, why);
	leader_on_confirm(v->leader, id, outcome);
}

static void
publisher_on_depth(struct broker *b, const char *queue, uint32_t messages, void *arg)
{
	struct vogelerd *v = arg;

	queue_depth_on_depth(v->queue_depth, queue, messages);
}

static void
on_part_stopped(void *arg)
{
	struct vogelerd *v = arg;

	if (v->stopping > 0 && --v->stopping == 0)
		loop_stop(v->loop);
}

static void
on_broker_stopped(struct broker *b, void *arg)
{
	on_part_stopped(arg);
}

static const struct broker_handlers consumer_handlers = {
    .on_ready = consumer_on_ready,
    .on_down = consumer_on_down,
    .on_delivery = consumer_on_delivery,
    .on_topology = on_topology,
    .on_stopped = on_broker_stopped,
};

static const struct broker_handlers publisher_handlers = {
    .on_ready = publisher_on_ready,
    .on_confirm = publisher_on_confirm,
    .on_writable = publisher_on_writable,
    .on_topology = on_topology,
    .on_depth = publisher_on_depth,
    .on_stopped = on_broker_stopped,
};

static void
broker_options(struct vogelerd *v, struct broker_options *opt)
{
	const struct options *o = &v->cli.options;

	options_broker(o, "vogelerd", NULL, v->uris, v->n_uris, opt);
	opt->topology = v->topology;
	opt->heartbeat_s = (uint16_t)o->heartbeat_s;
	opt->reconnect_max_ms = o->reconnect_max_ms;
	opt->max_body_bytes = o->message_max_bytes;
	opt->output_max = o->message_max_bytes + OUTPUT_SLACK;
}

static struct broker *
make_broker(struct vogelerd *v, const char *role, const struct broker_handlers *handlers)
{
	struct broker_options opt;

	broker_options(v, &opt);
	opt.role = role;
	/* Once for both: the one for publishing is never paused. */
	if (handlers == &publisher_handlers) {
		opt.rebind_ms = BROKER_REBIND_MS;
		opt.rebind_exchanges = true;
	}
	return broker_create(v->loop, &opt, handlers, v);
}

static void
on_leader(enum leader_state state, void *arg)
{
	collector_on_leader(((struct vogelerd *)arg)->collector, state);
}

static void
make_leader(struct vogelerd *v)
{
	struct broker_options opt;
	struct leader_parts parts = {v->loop, v->publisher, &opt, on_leader, v};

	broker_options(v, &opt);
	v->leader = leader_create(&parts);
}

/* ---- signals ---- */

static void
on_drained(void *arg)
{
	struct vogelerd *v = arg;

	v->stopping = 3;
	contact_tracker_end(v->contact_tracker, on_part_stopped, v);
	broker_stop(v->consumer);
	broker_stop(v->publisher);
}

static void
on_terminate(int signo, void *arg)
{
	struct vogelerd *v = arg;

	if (v->draining) {
		log_warn("main", "asked again to stop: leaving at once");
		loop_stop(v->loop);
		return;
	}
	v->draining = true;
	sd_notify_stopping(v->notify,
	    (uint64_t)v->cli.options.drain_timeout_ms + v->cli.options.connect_timeout_ms);
	log_info("main", "asked to stop (%s): finishing what is in hand", strsignal(signo));
	collector_drain(v->collector);
}

/* Users and passwords may change while we run; the places are those from before. */
static void
take_logins(struct vogelerd *v)
{
	const struct options *o = &v->cli.options;
	struct uri *list = NULL, store = {0};
	size_t n = 0;
	struct trouble why;

	if (uri_parse_brokers(o->qhost, &list, &n, &why)) {
		broker_set_logins(v->consumer, list, n);
		broker_set_logins(v->publisher, list, n);
		leader_set_logins(v->leader, list, n);
		bindings_set_logins(v->bindings, list, n);
		bindings_hurry(v->bindings); /* it may have rights now that it had not */
		uri_list_free(list, n);
	}
	if (uri_parse(o->dbhost, &store, &why)) {
		store_set_login(v->store, &store);
		uri_finish(&store);
	}
}

static void
warn_of_attest(const struct options *o)
{
	if (o->attest == OPTIONS_ATTEST_NO)
		log_warn("main",
		    "[server] attest = no: whoever may send responses can write the record of every "
		    "host; give hosts users of their own and set it to yes, or to auto");
}

static void
refuse_reload(struct vogelerd *v)
{
	char more[48] = "", text[STATUS_PART - 80];

	log_error("main",
	    "not reloaded: the options have errors: those from before stay in force" TROUBLE_CURE
	    "mend what is named above, then reload again");
	if (v->cli.n_complaints > 1)
		snprintf(more, sizeof(more), " (and %zu more in the log)", v->cli.n_complaints - 1);
	snprintf(v->reload_status, sizeof(v->reload_status), "not reloaded: %s%s",
	    trouble_format(&v->cli.complaint, text, sizeof(text)), more);
	tell_status(v);
}

/* Whole or not at all. */
static void
reload(struct vogelerd *v)
{
	struct options *now = &v->cli.options, fresh;
	char *restart;

	if (!cli_reload(&v->cli, &fresh)) {
		refuse_reload(v);
		return;
	}
	v->reload_status[0] = '\0';
	tell_status(v);
	restart = options_take(now, &fresh, OPTION_COLLECTOR);
	options_finish(&fresh);
	if (restart != NULL)
		log_warn("main", "options reloaded; changes of %s need a restart", restart);
	else
		log_info("main", "options reloaded");
	free(restart);
	log_set_level(now->log_level);
	warn_of_attest(now);
	take_logins(v);
	store_set_batch_bytes(v->store, now->batch_max_bytes);
	collector_reload(v->collector, now);
	prune_set_ttl(v->prune, now->job_ttl_s);
	retention_set_keep(v->retention, &now->history_keep);
}

static void
on_hangup(int signo, void *arg)
{
	struct vogelerd *v = arg;

	sd_notify_reloading(v->notify);
	reload(v);
	sd_notify_reloaded(v->notify);
}

/* ---- the program ---- */

static void
open_store(struct vogelerd *v)
{
	struct trouble why;

	cli_store(&v->cli, &v->store_uri);
	v->store = store_open(v->loop, &v->store_uri, &v->cli.options, STORE_MAKE, &why);
	if (v->store == NULL)
		fatal("main", TROUBLE_FMT, TROUBLE_ARGS(&why));
}

static void
on_host_seen(const char *host, uint32_t consumers, void *arg)
{
	struct vogelerd *v = arg;

	contact_tracker_saw(v->contact_tracker, host, consumers);
}

static void
on_round_over(bool whole, bool looked, void *arg)
{
	struct vogelerd *v = arg;

	contact_tracker_round_over(v->contact_tracker, whole, looked);
}

static void
on_greeted(const char *host, void *arg)
{
	struct vogelerd *v = arg;

	if (!contact_tracker_is_online(v->contact_tracker, host))
		bindings_hear(v->bindings, host);
}

static void
make_bindings(struct vogelerd *v)
{
	const struct bindings_observer observer = {on_host_seen, on_round_over, v};
	struct broker_options opt;

	broker_options(v, &opt);
	v->bindings = bindings_create(v->loop, v->store, &opt, v->cli.options.broadcast_exchange);
	v->contact_tracker =
	    contact_tracker_create(v->loop, v->store, 2 * (int64_t)v->cli.options.reconnect_max_ms);
	bindings_observe(v->bindings, &observer);
}

static void
make_collector(struct vogelerd *v)
{
	struct collector_parts parts = {
	    .loop = v->loop,
	    .consumer = v->consumer,
	    .publisher = v->publisher,
	    .store = v->store,
	    .leader = v->leader,
	    /* A file of our own is made; a database on a server may be one that is being restored.
	     */
	    .setup_store = v->store_uri.scheme == URI_SQLITE || v->store_uri.scheme == URI_NULL,
	    .on_state = on_collector_state,
	    .on_greeted = on_greeted,
	};

	v->collector = collector_create(&parts, &v->cli.options, on_drained, v);
}

static void
make_queue_depth(struct vogelerd *v)
{
	const char *exchange = v->cli.options.master_exchange;
	const struct queue_depth_watch queues[] = {
	    {TOPOLOGY_MASTER_QUEUE, true, exchange, TOPOLOGY_MASTER_KEY},
	    {TOPOLOGY_FRESH_QUEUE, true, exchange, TOPOLOGY_FRESH_KEY},
	    {TOPOLOGY_DEAD_QUEUE, false, NULL, NULL},
	};

	v->queue_depth = queue_depth_create(
	    v->loop, v->publisher, v->consumer, queues, sizeof(queues) / sizeof(queues[0]));
}

static void
start_monitor(struct vogelerd *v)
{
	struct monitor_parts parts = {
	    .loop = v->loop,
	    .option = "[server] listen",
	    .auto_address = "127.0.0.1:22010",
	    .brokers = {v->consumer, v->publisher},
	    .n_brokers = 2,
	    .metrics = collector_metrics,
	    .health = collector_health,
	    .arg = &v->parts,
	};
	char err[512];

	v->parts =
	    (struct metrics_parts){v->collector, v->queue_depth, v->bindings, v->contact_tracker};
	if (!monitor_start(&parts, v->cli.options.server_listen, &v->monitor, err, sizeof(err)))
		fatal("main", "%s", err);
}

static void
collect(struct vogelerd *v)
{
	const struct options *o = &v->cli.options;

	v->topology = topology_for_collector(o->broadcast_exchange, o->master_exchange);
	topology_make_optional(v->topology, TOPOLOGY_FRESH_QUEUE);
	topology_configure(v->topology, &o->host_queue, &o->master_queue);
	v->notify = sd_notify_create(v->loop);
	await_upgrade(v);
	v->consumer = make_broker(v, "consumer", &consumer_handlers);
	v->publisher = make_broker(v, "publisher", &publisher_handlers);
	make_leader(v);
	make_bindings(v);
	make_collector(v);
	make_queue_depth(v);
	start_monitor(v);
	v->prune = prune_create(v->loop, v->store, o->job_ttl_s);
	v->retention = retention_create(v->loop, v->store, &o->history_keep);
	loop_signal(v->loop, SIGTERM, on_terminate, v);
	loop_signal(v->loop, SIGINT, on_terminate, v);
	loop_signal(v->loop, SIGHUP, on_hangup, v);
	log_info("main", "Vogeler(Server) has started");
	warn_of_attest(o);
	set_broker_status(v, "connecting to", broker_id(v->consumer));
	collector_start(v->collector);
	broker_start(v->consumer);
	broker_start(v->publisher);
	loop_run(v->loop);
	log_debug("main", "the longest pass of the loop took %" PRIu64 " us of CPU",
	    loop_max_pass_us(v->loop));
	monitor_stop(v->monitor);
	queue_depth_destroy(v->queue_depth);
	leader_destroy(v->leader);
	broker_destroy(v->consumer);
	broker_destroy(v->publisher);
}

int
main(int argc, char **argv)
{
	struct vogelerd v = {.store_status = "not asked yet"};
	int status = 0;

	/* A large text is given back to the system when it is freed. Without this the first one
	 * that is freed raises the size from which that is so to its own, and the rest stay ours.
	 */
	mallopt(M_MMAP_THRESHOLD, LARGE_TEXT);
	cli_init(&v.cli, &spec, argc, argv);
	if (v.cli.args[0] != NULL)
		cli_usage_error(&v.cli, "\"%s\" is not understood", v.cli.args[0]);
	ident_init();
	json_object_seed(0); /* before there are threads: jansson has one seed for all */
	v.loop = loop_create();
	cli_need(&v.cli, load_dir == NULL, true);
	if (load_dir == NULL)
		cli_brokers(&v.cli, &v.uris, &v.n_uris);
	open_store(&v);
	if (load_dir != NULL) {
		status = load_designs(v.loop, v.store, load_dir);
	} else {
		log_info("main", "Skipping design document load");
		collect(&v);
	}
	store_close(v.store);
	prune_destroy(v.prune);
	retention_destroy(v.retention);
	bindings_destroy(v.bindings);
	contact_tracker_destroy(v.contact_tracker);
	collector_destroy(v.collector);
	loop_timer_destroy(v.upgrade);
	sd_notify_destroy(v.notify);
	topology_destroy(v.topology);
	uri_list_free(v.uris, v.n_uris);
	uri_finish(&v.store_uri);
	loop_destroy(v.loop);
	cli_finish(&v.cli);
	free(load_dir);
	return status;
}
