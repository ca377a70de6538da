/* "setup": makes what is missing, leaves what is there, and says which was which. Topology first,
 * then the database, then the design documents. Doing it twice changes nothing. What is there but
 * not as the options want it is left too, told with the ways out, and makes the status 1. */
#include "admin/verb.h"

#include "admin/differ.h"
#include "shared/broker.h"
#include "shared/loop.h"
#include "shared/name.h"
#include "shared/store/design.h"
#include "shared/store/store.h"
#include "shared/topology.h"
#include "shared/xalloc.h"

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
	json_t *designs;
	size_t next_design;
};

static void
setup_finish(void *arg)
{
	struct setup *s = arg;

	broker_destroy(s->broker);
	topology_destroy(s->topology);
	uri_list_free(s->brokers, s->n_brokers);
	json_decref(s->designs);
	free(s);
}

static void
end(struct setup *s)
{
	verb_done(s->v, s->differing == 0 ? VERB_OK : VERB_TROUBLE);
	loop_defer_free(s->v->loop, s, setup_finish);
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

static void
setup_on_design(bool ok, const char *what, void *arg)
{
	struct setup *s = arg;
	const char *name = design_name(s, s->next_design - 1);

	if (!ok) {
		fail(s, name, what);
		return;
	}
	printf("design document %s: %s\n", name, what);
	load_next_design(s);
}

static void
load_next_design(struct setup *s)
{
	if (s->next_design == json_array_size(s->designs)) {
		end(s);
		return;
	}
	store_load_design(
	    s->v->store, json_array_get(s->designs, s->next_design++), setup_on_design, s);
}

static void
setup_on_database(bool ok, const char *what, void *arg)
{
	struct setup *s = arg;
	const char *dir = s->v->design != NULL ? s->v->design : s->v->cli->options.design_docs_path;
	json_t *broken;
	char err[512];

	if (!ok) {
		fail(s, store_id(s->v->store), what);
		return;
	}
	printf("database %s: %s\n", store_id(s->v->store), what);
	if (dir == NULL) {
		end(s);
		return;
	}
	/* The sample file of 2010 names a folder that few have: then there are none to load. */
	if (s->v->design == NULL && access(dir, F_OK) != 0 && errno == ENOENT) {
		fflush(stdout);
		cli_complain("vogeler-admin",
		    "no design documents: %s, named by the configuration file, is not there", dir);
		end(s);
		return;
	}
	broken = json_array();
	s->designs = design_read(dir, broken, err, sizeof(err));
	if (json_array_size(broken) > 0)
		cli_complain("vogeler-admin", "%s", json_string_value(json_array_get(broken, 0)));
	json_decref(broken);
	if (s->designs == NULL)
		fail(s, "design documents", err);
	else
		load_next_design(s);
}

static void
setup_on_topology(struct broker *b, const struct topology_item *item, bool created, void *arg)
{
	printf("%s %s: %s\n", item->kind == TOPOLOGY_EXCHANGE ? "exchange" : "queue", item->name,
	    created ? "created" : "was there");
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
	s->differing++;
	fflush(stdout);
	differ_explain(stderr, s->brokers[0].path, item, look);
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
	const struct options *o = &s->v->cli->options;
	struct broker_options opt;

	broker_options_default(&opt);
	opt.program = "vogeler-admin";
	opt.role = role;
	opt.quiet = true;
	opt.look_only = look_only;
	opt.uris = s->brokers;
	opt.n_uris = s->n_brokers;
	opt.tls = &o->amqp_tls;
	opt.topology = s->topology;
	opt.connect_timeout_ms = o->connect_timeout_ms;
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
wanted_topology(const struct options *o, const char **hosts)
{
	struct topology *t = topology_for_collector(o->broadcast_exchange, o->master_exchange);

	for (size_t i = 0; hosts[i] != NULL; i++)
		topology_add_host(t, o->broadcast_exchange, hosts[i]);
	topology_configure(t, &o->host_queue, &o->master_queue);
	return t;
}

static void
check_hosts(const struct verb_context *v)
{
	for (size_t i = 0; v->args[i] != NULL; i++) {
		const char *wrong = name_host_error(v->args[i]);

		if (wrong != NULL)
			cli_usage_error(v->cli, "setup: '%s': %s", v->args[i], wrong);
	}
}

void
verb_setup(struct verb_context *v)
{
	struct setup *s;

	check_hosts(v);
	s = xcalloc(1, sizeof(*s));
	s->v = v;
	cli_brokers(v->cli, &s->brokers, &s->n_brokers);
	s->topology = wanted_topology(&v->cli->options, v->args);
	connect_broker(s, "setup", false);
}
