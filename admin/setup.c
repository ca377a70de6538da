/* SPDX-License-Identifier: Apache-2.0 */
/* "setup": makes what is missing, leaves what is there, and says which was which. Topology first,
 * then the database, then the design documents. Doing it twice changes nothing. What is there but
 * not as the options want it is left too, told with the ways out, and makes the status 1. */
#include "admin/verb.h"

#include "admin/meant.h"
#include "admin/queue_diff.h"
#include "shared/amqp/broker.h"
#include "shared/amqp/host_binder.h"
#include "shared/amqp/topology.h"
#include "shared/base/name.h"
#include "shared/base/printable.h"
#include "shared/base/trouble.h"
#include "shared/base/xalloc.h"
#include "shared/config/complain.h"
#include "shared/config/options_broker.h"
#include "shared/event/loop.h"
#include "shared/store/couch/design.h"
#include "shared/store/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct setup {
	struct verb_context *v;
	struct uri *brokers;
	size_t n_brokers;
	struct topology *topology;
	struct broker *broker;
	size_t failures;
	size_t differing; /* exchanges and queues that are not as wanted */
	size_t broken;    /* design documents that could not be read, or were refused */
	json_t *designs;
	size_t next_design;
	bool made_exchange;
	char **hosts; /* of the store, on the way to the binder */
	size_t n_hosts;
	struct host_binder *binder;
};

static void
setup_finish(void *arg)
{
	struct setup *s = arg;

	broker_destroy(s->broker);
	host_binder_destroy(s->binder);
	for (size_t i = 0; s->hosts != NULL && i < s->n_hosts; i++)
		free(s->hosts[i]);
	free(s->hosts);
	topology_destroy(s->topology);
	uri_list_free(s->brokers, s->n_brokers);
	json_decref(s->designs);
	free(s);
}

static void
end(struct setup *s)
{
	verb_done(s->v, s->differing + s->broken == 0 ? VERB_OK : VERB_TROUBLE);
	loop_defer_free(s->v->loop, s, setup_finish);
}

static void fail(struct setup *s, const char *what, const char *why);

/* The store does not do what was asked of it. */
static void
fail_trouble(struct setup *s, const struct trouble *why)
{
	char *text = trouble_text(why);

	fail(s, store_id(s->v->store), text);
	free(text);
}

static void
broker_options(const struct setup *s, struct broker_options *opt, const char *role)
{
	const struct options *o = &s->v->cli->options;

	options_broker(o, "vogeler-admin", role, s->brokers, s->n_brokers, opt);
	opt->quiet = true;
}

static void
setup_on_all_bound(const struct host_binder_result *r, void *arg)
{
	struct setup *s = arg;
	bool whole = r->complete && r->forbidden == 0;

	printf("bindings of the hosts of the store: %zu queues bound, %zu hosts have no queue, "
	       "%zu refused%s\n",
	    r->bound, r->no_queue, r->forbidden, r->complete ? "" : ", the others not tried");
	if (!whole) {
		fflush(stdout);
		s->differing++;
		complain_line("vogeler-admin",
		    "not all queues of hosts are bound: %s" TROUBLE_CURE
		    "give the user of this run write on the hosts' "
		    "queues and read on exchange %s, then run setup "
		    "--all",
		    r->why, s->v->cli->options.broadcast_exchange);
	}
	end(s);
}

static void
setup_on_host(enum store_found found, json_t *rec, const struct trouble *why, void *arg)
{
	struct setup *s = arg;
	const char *name = json_string_value(json_object_get(rec, "_id"));
	struct broker_options opt;
	char **hosts = s->hosts;

	if (found == STORE_FAILED) {
		fail_trouble(s, why);
		return;
	}
	if (found == STORE_FOUND) {
		if (name == NULL || name_host_error(name) != NULL)
			return;
		s->hosts = xreallocarray(s->hosts, s->n_hosts + 1, sizeof(*s->hosts));
		s->hosts[s->n_hosts++] = xstrdup(name);
		return;
	}
	if (s->n_hosts == 0 && !s->v->all) {
		end(s);
		return;
	}
	broker_options(s, &opt, "setup-bind");
	s->hosts = NULL;
	s->binder = host_binder_start(s->v->loop, &opt, s->v->cli->options.broadcast_exchange,
	    hosts, s->n_hosts, NULL, setup_on_all_bound, s);
}

/* An exchange that was made has no bindings: those of all hosts went with the old one. */
static void
bind_hosts(struct setup *s)
{
	static const struct store_filter names_only = {.plugins = NULL, .n = 0};

	if (s->v->all || s->made_exchange)
		store_list(s->v->store, &names_only, setup_on_host, s);
	else
		end(s);
}

static void
fail(struct setup *s, const char *what, const char *why)
{
	verb_fail(s->v, "%s: %s", what, why);
	loop_defer_free(s->v->loop, s, setup_finish);
}

static void load_next_design(struct setup *s);

static const char *
design_name(const struct setup *s, size_t i)
{
	return json_string_value(json_object_get(json_array_get(s->designs, i), "_id"));
}

/* One that is broken keeps no other out. */
static void
complain_of_design(struct setup *s, const char *what, const char *why)
{
	s->broken++;
	fflush(stdout);
	complain_line("vogeler-admin", "design document %s: %s", what, why);
}

static void
setup_on_design(const struct trouble *why, const char *done, void *arg)
{
	struct setup *s = arg;
	const char *name = design_name(s, s->next_design - 1);

	char *text;

	if (why == NULL) {
		printable_line(stdout, "design document %s: %s", name, done);
	} else {
		text = trouble_text(why);
		complain_of_design(s, name, text);
		free(text);
	}
	load_next_design(s);
}

static void
load_next_design(struct setup *s)
{
	if (s->next_design == json_array_size(s->designs)) {
		bind_hosts(s);
		return;
	}
	store_load_design(
	    s->v->store, json_array_get(s->designs, s->next_design++), setup_on_design, s);
}

static void
setup_on_database(const struct trouble *why, const char *done, void *arg)
{
	struct setup *s = arg;
	const char *dir = s->v->design != NULL ? s->v->design : s->v->cli->options.design_docs_path;
	json_t *broken, *left_out;
	char err[512];
	size_t i;

	if (why != NULL) {
		fail_trouble(s, why);
		return;
	}
	printable_line(stdout, "database %s: %s", store_id(s->v->store), done);
	if (dir == NULL) {
		bind_hosts(s);
		return;
	}
	/* The sample file of 2010 names a folder that few have: then there are none to load. */
	if (s->v->design == NULL && access(dir, F_OK) != 0 && errno == ENOENT) {
		fflush(stdout);
		complain_line("vogeler-admin",
		    "no design documents: %s, named by the configuration file, is not there", dir);
		bind_hosts(s);
		return;
	}
	broken = json_array();
	s->designs = design_read(dir, broken, err, sizeof(err));
	json_array_foreach (broken, i, left_out)
		complain_of_design(s, "left out", json_string_value(left_out));
	json_decref(broken);
	if (s->designs == NULL)
		fail(s, "design documents", err);
	else
		load_next_design(s);
}

static void
setup_on_topology(struct broker *b, const struct topology_item *item, bool created, void *arg)
{
	struct setup *s = arg;

	if (created && item->kind == TOPOLOGY_EXCHANGE)
		s->made_exchange = true;
	printable_line(stdout, "%s %s: %s", item->kind == TOPOLOGY_EXCHANGE ? "exchange" : "queue",
	    item->name, created ? "created" : "was there");
}

static void
setup_on_ready(struct broker *b, void *arg)
{
	broker_stop(b);
}

static void
setup_on_look(
    struct broker *b, const struct topology_item *item, const struct broker_look *look, void *arg)
{
	struct setup *s = arg;

	if (look->sight != BROKER_SIGHT_OTHER)
		return;
	fflush(stdout);
	if (!queue_diff_limit(look))
		s->differing++;
	queue_diff_explain(stderr, s->brokers[0].path, item, look);
}

static void
setup_on_looked(struct broker *b, void *arg)
{
	struct setup *s = arg;

	store_setup(s->v->store, setup_on_database, s);
}

static void
setup_on_down(struct broker *b, const struct broker_failure *f, void *arg)
{
	struct setup *s = arg;

	/* Each broker of the list has had its turn. */
	if (++s->failures == s->n_brokers)
		fail(s, "broker", f->text);
}

static void setup_on_made(struct broker *b, void *arg);

static const struct broker_handlers makers = {
    .on_ready = setup_on_ready,
    .on_down = setup_on_down,
    .on_topology = setup_on_topology,
    .on_stopped = setup_on_made,
};

static const struct broker_handlers lookers = {
    .on_ready = setup_on_ready,
    .on_down = setup_on_down,
    .on_look = setup_on_look,
    .on_stopped = setup_on_looked,
};

static void
connect_broker(struct setup *s, const char *role, bool look_only)
{
	struct broker_options opt;

	broker_options(s, &opt, role);
	opt.look_only = look_only;
	opt.topology = s->topology;
	broker_destroy(s->broker);
	s->failures = 0;
	s->broker = broker_create(s->v->loop, &opt, look_only ? &lookers : &makers, s);
	broker_start(s->broker);
}

/* All is there now. Was it there as it is wanted? */
static void
setup_on_made(struct broker *b, void *arg)
{
	connect_broker(arg, "setup-look", true);
}

/* The exchanges and queues of the collector, and the queues of the hosts that are named. */
static struct topology *
wanted_topology(const struct options *o, const struct hosts *hosts)
{
	struct topology *t = topology_for_collector(o->broadcast_exchange, o->master_exchange);

	for (size_t i = 0; i < hosts->n; i++)
		topology_add_host(t, o->broadcast_exchange, hosts->names[i]);
	topology_configure(t, &o->host_queue, &o->master_queue);
	return t;
}

static void
setup_on_where(struct target_group *g, void *arg)
{
	const struct verb_context *v = arg;

	cli_usage_error(v->cli,
	    "setup @%s: the group has a where, and which hosts are so is known of those that have answered, and "
	    "these have their queues; name the others",
	    g->name);
}

/* Hosts that are new are not known to the store, which may not be there yet either. */
static void
find_hosts(struct verb_context *v, struct hosts *hosts)
{
	const struct hosts none = {0};
	struct meant m;

	meant_init(&m, v, "setup", v->args);
	targets_each_where(&m.targets, setup_on_where, v);
	if (targets_need_known(&m.targets))
		cli_usage_error(v->cli,
		    "setup %s: queues are made for hosts that are named, as web01 or web[01-20]; "
		    "--all binds those of the hosts that the store knows",
		    m.targets.text);
	targets_resolve(&m.targets, &none, hosts, NULL, NULL);
	meant_finish(&m);
}

void
verb_setup(struct verb_context *v)
{
	struct setup *s;
	struct hosts hosts = {0};

	find_hosts(v, &hosts);
	s = xcalloc(1, sizeof(*s));
	s->v = v;
	cli_brokers(v->cli, &s->brokers, &s->n_brokers);
	s->topology = wanted_topology(&v->cli->options, &hosts);
	hosts_finish(&hosts);
	connect_broker(s, "setup", false);
}
