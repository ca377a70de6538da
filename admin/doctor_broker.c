/* SPDX-License-Identifier: Apache-2.0 */
/* Each broker of the list: name, connection, login, vhost, exchanges and queues, the rights to send
 * and to read, who reads the answers and, where an agent runs, its commands. Nothing is made and
 * nothing stays behind. */
#include "admin/doctor.h"
#include "admin/queue_diff.h"

#include "shared/amqp/broker.h"
#include "shared/amqp/topology.h"
#include "shared/base/name.h"
#include "shared/base/trouble.h"
#include "shared/base/uri.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/config/options_broker.h"
#include "shared/event/loop.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* No queue is bound with this key, for host names cannot begin like it: what is sent is
 * returned. */
#define PROBE_KEY   "vogeler.doctor"
#define N_EXCHANGES 3 /* that one at the centre sends to */
/* Less is worth a word: the same as in conf/prometheus-rules.yml. */
#define CERTIFICATE_DAYS 14
#define DAY_MS           INT64_C(86400000)

static const char *const links[] = {"broker tcp", "broker tls", "broker login", "broker vhost",
    "topology", "permissions", "arrival", "durability", "message size", "collector", "dead letters",
    "agent", NULL};
enum { LINK_TLS = 1, LINK_LOGIN, LINK_VHOST, LINK_TOPOLOGY, LINK_PERMISSIONS };

struct patient {
	struct doctor *d;
	struct uri *uris;
	size_t n, i;
	struct topology *topology;
	char *host; /* of the agent on this machine; NULL if none */
	struct broker *broker;
	size_t link;          /* being checked */
	size_t exchange;      /* being sent to */
	bool may_send;        /* answers, by the rights of the user */
	bool sends;           /* and commands */
	bool missing;         /* an exchange: sending to it proves nothing */
	unsigned int release; /* of the broker */
	enum queue_type type_of_answers,
	    type_of_own; /* of the queues that are there; AUTO = not known */
	bool have_master, have_fresh, have_dead, have_host;
	struct broker_look master, fresh, dead, own;
};

static void check_next(struct patient *p);
static void check_reading(struct patient *p);

static const char *
where(const struct patient *p, char *out, size_t size)
{
	return uri_redacted(&p->uris[p->i], out, size);
}

static void
next_broker(struct patient *p)
{
	broker_destroy(p->broker);
	p->broker = NULL;
	p->i++;
	check_next(p);
}

static bool
is_tls(const struct patient *p)
{
	return p->uris[p->i].scheme == URI_AMQPS;
}

static const struct trouble is_blocked = {TROUBLE_OTHER,
    "the broker takes no messages: it is blocked", "see its log for a memory or disk alarm"};

/* The link that was being checked has failed, and the rest cannot be; but for who may not send: the
 * queues have been looked at, and reading is another right. */
static void
give_up(struct patient *p, bool may_go_on, const struct trouble *why)
{
	doctor_say_trouble(p->d, links[p->link], CHECK_FAIL, why);
	if (may_go_on && p->link == LINK_PERMISSIONS) {
		broker_destroy(p->broker);
		p->broker = NULL;
		check_reading(p);
		return;
	}
	doctor_skip(p->d, &links[p->link + 1], "not reached");
	next_broker(p);
}

static const char *
login_name(const struct patient *p)
{
	const struct uri *u = &p->uris[p->i];

	if (u->user == NULL && is_tls(p) && p->d->options->amqp_tls.cert_file != NULL)
		return "whom the certificate names";
	return u->user == NULL ? "guest" : u->user;
}

/* Names both: which of the two it is, the one who renews it knows. */
static void
say_certificate(struct patient *p)
{
	struct broker_status status;
	char end[WALLCLOCK_TEXT_SIZE];
	int64_t days;

	broker_status(p->broker, &status);
	if (status.certificate_end == 0) {
		doctor_say(
		    p->d, links[LINK_TLS], CHECK_OK, NULL, "the broker's certificate is good");
		return;
	}
	days = (status.certificate_end - wallclock_ms()) / DAY_MS;
	doctor_say(p->d, links[LINK_TLS], days < CERTIFICATE_DAYS ? CHECK_WARN : CHECK_OK,
	    days < CERTIFICATE_DAYS ? "renew the broker's certificate, or cert_file of [amqp]"
				    : NULL,
	    "the broker's certificate is good; the first of both sides' ends in %" PRId64
	    " days, %s",
	    days, wallclock_format_s(status.certificate_end, end));
}

/* Tells that all is well up to, but not with, that link. */
static void
passed(struct patient *p, size_t link)
{
	char text[320];

	if (p->link <= LINK_TLS && link > LINK_TLS)
		say_certificate(p);
	if (p->link <= LINK_LOGIN && link > LINK_LOGIN)
		doctor_say(p->d, links[LINK_LOGIN], CHECK_OK, NULL, "%s as %s",
		    where(p, text, sizeof(text)), login_name(p));
	if (p->link <= LINK_VHOST && link > LINK_VHOST)
		doctor_say(p->d, links[LINK_VHOST], CHECK_OK, NULL, "%s", p->uris[p->i].path);
	if (p->link < link)
		p->link = link;
}

static void
say_queue(struct patient *p, const char *name, const struct broker_look *look)
{
	doctor_say(p->d, links[LINK_TOPOLOGY], CHECK_OK, NULL,
	    "queue %s is there%s, messages=%u, consumers=%u", name,
	    look->sight == BROKER_SIGHT_SAME ? " as it should be" : "", look->messages,
	    look->consumers);
}

static const char *
cure_for_missing(const struct topology_item *item)
{
	return item->role == QUEUE_HOST ? "start vogeler-agent, which makes it if it may; or "
					  "vogeler-admin setup, with the name of the host"
					: "vogeler-admin setup";
}

/* Answers get through without the fresh queue, but behind all others. */
static void
say_missing(struct patient *p, const struct topology_item *item)
{
	if (strcmp(item->name, TOPOLOGY_FRESH_QUEUE) == 0)
		doctor_say(p->d, links[LINK_TOPOLOGY], CHECK_WARN, cure_for_missing(item),
		    "there is no queue " TOPOLOGY_FRESH_QUEUE
		    ", answers that somebody waits for come behind all others");
	else
		doctor_say(p->d, links[LINK_TOPOLOGY], CHECK_FAIL, cure_for_missing(item),
		    "there is no %s %s", item->kind == TOPOLOGY_QUEUE ? "queue" : "exchange",
		    item->name);
}

/* One classic queue is enough to lose something, and one that nobody knows to leave it open. */
static enum queue_type
weaker(enum queue_type a, enum queue_type b)
{
	if (a == QUEUE_CLASSIC || b == QUEUE_CLASSIC)
		return QUEUE_CLASSIC;
	return a == QUEUE_AUTO ? a : b;
}

static void
remember_type(struct patient *p, const struct topology_item *item, const struct broker_look *look)
{
	if (look->sight == BROKER_SIGHT_MISSING)
		return;
	if (item->role == QUEUE_HOST)
		p->type_of_own = look->type;
	else if (strcmp(item->name, TOPOLOGY_MASTER_QUEUE) == 0)
		p->type_of_answers = look->type;
	else if (item->role == QUEUE_MASTER)
		p->type_of_answers = weaker(p->type_of_answers, look->type);
}

static void
remember_queue(struct patient *p, const struct topology_item *item, const struct broker_look *look)
{
	if (look->sight == BROKER_SIGHT_MISSING || look->sight == BROKER_SIGHT_LOCKED)
		return;
	if (strcmp(item->name, TOPOLOGY_DEAD_QUEUE) == 0) {
		p->dead = *look;
		p->have_dead = true;
	} else if (strcmp(item->name, TOPOLOGY_FRESH_QUEUE) == 0) {
		p->fresh = *look;
		p->have_fresh = true;
	} else if (item->role == QUEUE_HOST) {
		p->own = *look;
		p->have_host = true;
	} else {
		p->master = *look;
		p->have_master = true;
	}
}

/* A lack that no option asks about works until it is needed; else what the options promise is not
 * so. */
static void
say_lacks(struct patient *p, const struct topology_item *item, const struct broker_look *look,
    const char *policy)
{
	bool limit = queue_diff_limit(look);
	char *lacks = queue_diff_lacks(look), *options = queue_diff_options(item, look), *cure;

	xasprintf(&cure, "%s%s%s", policy, options == NULL ? "" : "; then take ",
	    options == NULL ? "" : options);
	doctor_say(p->d, links[LINK_TOPOLOGY], limit ? CHECK_WARN : CHECK_FAIL, cure,
	    "queue %s is there, messages=%u, consumers=%u, but was made without %s, and whether a "
	    "policy sets it cannot be seen from here%s%s",
	    item->name, look->messages, look->consumers, lacks, limit ? ": else " : "",
	    limit ? queue_diff_limit_danger(look) : "");
	free(lacks);
	free(options);
	free(cure);
}

/* No policy makes the queue what the options say; one can keep RabbitMQ from dropping meanwhile. */
static void
say_odd_queue(struct patient *p, const struct topology_item *item, const struct broker_look *look)
{
	char *limit = queue_diff_delivery_policy(p->uris[p->i].path, item, look), *cure;

	xasprintf(&cure,
	    "%shave it made anew, for no policy can change that; vogeler-admin setup explains both%s%s",
	    queue_diff_sayable(look) ? "set the options to what is there, or " : "",
	    limit != NULL
		? "; until then, for RabbitMQ 4 drops a message at the 21st time that it is "
		  "given back to a quorum queue without a delivery limit of ours: "
		: "",
	    limit != NULL ? limit : "");
	doctor_say(p->d, links[LINK_TOPOLOGY], CHECK_FAIL, cure,
	    "queue %s is of another kind, the broker says \"%s\"", item->name, look->why);
	free(cure);
	free(limit);
}

static void
say_other(struct patient *p, const struct topology_item *item, const struct broker_look *look)
{
	char *policy = queue_diff_policy(p->uris[p->i].path, item, look);

	if (policy != NULL)
		say_lacks(p, item, look, policy);
	else if (item->kind == TOPOLOGY_QUEUE)
		say_odd_queue(p, item, look);
	else
		doctor_say(p->d, links[LINK_TOPOLOGY], CHECK_FAIL,
		    "delete it and run vogeler-admin setup, or set another name",
		    "exchange %s is of another kind, the broker says \"%s\"", item->name,
		    look->why);
	free(policy);
}

static void
patient_on_look(
    struct broker *b, const struct topology_item *item, const struct broker_look *look, void *arg)
{
	struct patient *p = arg;
	bool queue = item->kind == TOPOLOGY_QUEUE;
	const char *kind = queue ? "queue" : "exchange", *check = links[LINK_TOPOLOGY];

	passed(p, LINK_TOPOLOGY);
	switch (look->sight) {
	case BROKER_SIGHT_SAME:
	case BROKER_SIGHT_THERE:
		if (queue)
			say_queue(p, item->name, look);
		else
			doctor_say(p->d, check, CHECK_OK, NULL, "exchange %s is there%s",
			    item->name, look->sight == BROKER_SIGHT_SAME ? " as it should be" : "");
		break;
	case BROKER_SIGHT_OTHER:
		say_other(p, item, look);
		break;
	case BROKER_SIGHT_LOCKED:
		doctor_say(p->d, check, CHECK_FAIL,
		    "end that program: rabbitmqctl list_queues name "
		    "owner_pid",
		    "%s %s is exclusive to another program's connection", kind, item->name);
		break;
	case BROKER_SIGHT_MISSING:
		say_missing(p, item);
		break;
	}
	if (!queue && look->sight == BROKER_SIGHT_MISSING)
		p->missing = true;
	if (queue) {
		remember_queue(p, item, look);
		remember_type(p, item, look);
	}
}

/* Says what a confirm of this broker is worth. */
static void
say_durability(struct patient *p)
{
	const char *const check[] = {"durability", NULL};

	if (p->release == 0)
		doctor_skip(p->d, check, "the broker is not RabbitMQ, or does not say which");
	else if (p->release < BROKER_UNSYNCED_RELEASE)
		doctor_say(p->d, check[0], CHECK_OK, NULL,
		    "RabbitMQ %u has what it confirms on its disk", p->release);
	else if (p->type_of_answers == QUEUE_AUTO)
		doctor_skip(p->d, check,
		    "of which type the queues of the responses are cannot be seen from here");
	else if (p->type_of_answers == QUEUE_CLASSIC)
		doctor_say(p->d, check[0], CHECK_WARN,
		    "a queue's type changes only when it is made anew: let them run empty, delete "
		    "them with rabbitmqctl delete_queue (what still waits in them is lost) and run "
		    "vogeler-admin setup, which makes them quorum queues; or see to it that the "
		    "power stays on",
		    "the queues of the responses are classic, and RabbitMQ %u confirms what is in "
		    "those before it is on its disk: a power cut can lose what was confirmed, a "
		    "kill cannot",
		    p->release);
	else
		doctor_say(p->d, check[0], CHECK_OK, NULL,
		    "RabbitMQ %u has what it confirms of responses on its disk%s", p->release,
		    p->type_of_own == QUEUE_QUORUM
			? ", and of commands"
			: "; commands, in classic queues of hosts, may be confirmed a moment "
			  "before (a power cut can lose these, a kill cannot)");
}

static void
say_collector(struct patient *p)
{
	const char *const none[] = {"collector", NULL}, *const no_dead[] = {"dead letters", NULL};
	const struct broker_look *m = &p->master;

	if (!p->have_master)
		doctor_skip(p->d, none, "there is no queue " TOPOLOGY_MASTER_QUEUE);
	else if (m->consumers == 0)
		doctor_say(p->d, "collector", CHECK_WARN,
		    "start vogelerd; if it runs, its store takes nothing (see the lines below and "
		    "its log)",
		    "nobody reads " TOPOLOGY_MASTER_QUEUE ", messages waiting=%u", m->messages);
	else if (p->have_fresh && p->fresh.consumers == 0)
		doctor_say(p->d, "collector", CHECK_WARN,
		    "upgrade vogelerd, or give its user the right to read the queue, and reload it",
		    "%u read " TOPOLOGY_MASTER_QUEUE ", but nobody reads " TOPOLOGY_FRESH_QUEUE
		    ", messages waiting=%u",
		    m->consumers, p->fresh.messages);
	else
		doctor_say(p->d, "collector", CHECK_OK, NULL,
		    "%u %s " TOPOLOGY_MASTER_QUEUE ", messages waiting=%u", m->consumers,
		    m->consumers == 1 ? "reads" : "read", m->messages);
	if (p->have_master)
		doctor_backlog(p->d, TOPOLOGY_MASTER_QUEUE, m);
	if (p->have_fresh)
		doctor_backlog(p->d, TOPOLOGY_FRESH_QUEUE, &p->fresh);
	if (!p->have_dead)
		doctor_skip(p->d, no_dead, "there is no queue " TOPOLOGY_DEAD_QUEUE);
	else if (p->dead.messages > 0)
		doctor_say(p->d, "dead letters", CHECK_WARN,
		    "see their headers x-reason and x-sender, then purge the queue; where a user "
		    "that is no host wrote an answer for one, its job does not know: give each "
		    "host a user of its own (docs/running.md); vogeler_dead_untold_total counts "
		    "these",
		    "%u in " TOPOLOGY_DEAD_QUEUE, p->dead.messages);
	else
		doctor_say(p->d, "dead letters", CHECK_OK, NULL, "none");
}

static void
say_agent(struct patient *p)
{
	const char *const check[] = {"agent", NULL};

	if (p->host == NULL)
		doctor_skip(p->d, check,
		    p->d->role == DOCTOR_HERE ? "there is none on this machine" : "not looked for");
	else if (!p->have_host)
		doctor_skip(p->d, check, "its queue is not there");
	else if (p->own.consumers == 0)
		doctor_say(p->d, check[0], CHECK_WARN, "start vogeler-agent",
		    "nobody reads %s, commands waiting=%u", p->host, p->own.messages);
	else
		doctor_say(p->d, check[0], CHECK_OK, NULL, "%u reads %s, commands waiting=%u",
		    p->own.consumers, p->host, p->own.messages);
}

static void
patient_on_arrival(uint64_t message_max, void *arg)
{
	struct patient *p = arg;

	say_durability(p);
	if (p->d->collector)
		doctor_message_size(p->d, p->release, message_max);
	say_collector(p);
	say_agent(p);
	next_broker(p);
}

static void
patient_on_read(void *arg)
{
	struct patient *p = arg;

	struct doctor_arrival what = {
	    .uri = &p->uris[p->i],
	    .master = p->have_master ? &p->master : NULL,
	    .fresh = p->have_fresh ? &p->fresh : NULL,
	    .host = p->have_host ? p->host : NULL,
	    .own = &p->own,
	    .may_send = p->may_send,
	    .sends = p->sends,
	};

	doctor_arrival(p->d, &what, patient_on_arrival, p);
}

/* Checks the right to read what the programs on this machine read, and is there. */
static void
check_reading(struct patient *p)
{
	const char *queues[DOCTOR_READ_MAX];
	size_t n = 0;

	if (p->d->collector && p->d->options->dbhost != NULL && p->have_master)
		queues[n++] = TOPOLOGY_MASTER_QUEUE;
	if (p->d->collector && p->d->options->dbhost != NULL && p->have_fresh)
		queues[n++] = TOPOLOGY_FRESH_QUEUE;
	if (p->have_host)
		queues[n++] = p->host;
	doctor_read(p->d, &p->uris[p->i], queues, n, patient_on_read, p);
}

/* Sends to the exchange of answers, to the default one, of dead letters, and, last, to that of
 * commands. An agent sends answers only, and a collector no commands: they should not have the
 * right to. */
static void
send_probe(struct patient *p)
{
	const struct options *o = p->d->options;
	const char *exchanges[] = {o->master_exchange, "", o->broadcast_exchange};
	bool sender = p->d->role == DOCTOR_OPERATOR;
	size_t n = p->d->collector || sender ? N_EXCHANGES : 1;
	struct message m;

	if (p->exchange == n) {
		p->may_send = !sender;
		p->sends = p->d->collector || sender;
		if (sender)
			doctor_say(p->d, links[LINK_PERMISSIONS], CHECK_OK, NULL, "may send to %s",
			    o->broadcast_exchange);
		else if (p->d->collector)
			doctor_say(p->d, links[LINK_PERMISSIONS], CHECK_OK, NULL,
			    "may send to %s, %s and the default exchange", o->broadcast_exchange,
			    o->master_exchange);
		else
			doctor_say(p->d, links[LINK_PERMISSIONS], CHECK_OK, NULL, "may send to %s",
			    o->master_exchange);
		broker_stop(p->broker);
		return;
	}
	message_init(&m);
	m.app_id = xstrdup("vogeler-admin");
	message_set_body(&m, xstrdup("doctor"), strlen("doctor"));
	if (broker_publish(p->broker, exchanges[p->exchange++], PROBE_KEY, true, &m) == 0)
		give_up(p, true, &is_blocked);
	message_finish(&m);
}

static void
patient_on_ready(struct broker *b, void *arg)
{
	struct patient *p = arg;
	const char *const none[] = {links[LINK_PERMISSIONS], NULL};

	p->release = broker_release(b);
	passed(p, LINK_PERMISSIONS);
	if (!p->missing) {
		send_probe(p);
		return;
	}
	doctor_skip(p->d, none, "there is nothing to send to");
	broker_stop(b);
}

static void
patient_on_confirm(
    struct broker *b, uint64_t id, enum broker_outcome outcome, const char *why, void *arg)
{
	struct patient *p = arg;

	if (outcome != BROKER_LOST) /* then on_down says why */
		send_probe(p);
}

static void
patient_on_blocked(struct broker *b, bool blocked, const char *reason, void *arg)
{
	struct trouble why;

	if (!blocked)
		return;
	trouble_set(&why, TROUBLE_OTHER, "see its log; free memory or disk there",
	    "the broker takes no messages (%s)", reason == NULL ? "no reason given" : reason);
	give_up(arg, true, &why);
}

static void
patient_on_down(struct broker *b, const struct broker_failure *f, void *arg)
{
	struct patient *p = arg;

	if (f->error == BROKER_ERR_AUTH)
		passed(p, LINK_LOGIN);
	else if (f->error == BROKER_ERR_VHOST)
		passed(p, LINK_VHOST);
	if (f->error == BROKER_ERR_PERMISSION && p->link == LINK_PERMISSIONS &&
	    p->exchange == N_EXCHANGES && p->d->role != DOCTOR_OPERATOR) {
		doctor_say(p->d, links[LINK_PERMISSIONS], CHECK_OK, NULL,
		    "may send to %s and the default exchange; commands it may not send, which only "
		    "those need who do",
		    p->d->options->master_exchange);
		p->may_send = true;
		broker_destroy(p->broker);
		p->broker = NULL;
		check_reading(p);
		return;
	}
	give_up(p, f->error == BROKER_ERR_PERMISSION, f->trouble);
}

static void
patient_on_stopped(struct broker *b, void *arg)
{
	check_reading(arg);
}

static const struct broker_handlers handlers = {
    .on_ready = patient_on_ready,
    .on_down = patient_on_down,
    .on_confirm = patient_on_confirm,
    .on_blocked = patient_on_blocked,
    .on_look = patient_on_look,
    .on_stopped = patient_on_stopped,
};

static void
patient_on_reached(bool ok, void *arg)
{
	struct patient *p = arg;
	const struct options *o = p->d->options;
	struct broker_options opt;

	if (!ok) {
		doctor_skip(p->d, &links[p->link], "not reached");
		next_broker(p);
		return;
	}
	options_broker(o, "vogeler-admin", "doctor", &p->uris[p->i], 1, &opt);
	opt.topology = p->topology;
	opt.look_only = true;
	opt.quiet = true;
	p->broker = broker_create(p->d->v->loop, &opt, &handlers, p);
	broker_start(p->broker);
}

static void
patient_free(void *arg)
{
	struct patient *p = arg;

	topology_destroy(p->topology);
	uri_list_free(p->uris, p->n);
	free(p->host);
	free(p);
}

static void
check_next(struct patient *p)
{
	struct doctor *d = p->d;

	if (p->i == p->n) {
		loop_defer_free(d->v->loop, p, patient_free);
		doctor_next(d);
		return;
	}
	p->link = is_tls(p) ? LINK_TLS : LINK_LOGIN;
	p->exchange = d->role == DOCTOR_OPERATOR ? N_EXCHANGES - 1 : 0;
	p->may_send = p->sends = false;
	p->release = 0;
	p->type_of_answers = p->type_of_own = QUEUE_AUTO;
	p->missing = p->have_master = p->have_fresh = p->have_dead = p->have_host = false;
	reach_start(d, "broker", p->uris[p->i].host, p->uris[p->i].port, patient_on_reached, p);
}

/* The name that the agent here has; NULL: none runs here, or it cannot. */
static char *
agent_name(struct doctor *d)
{
	const char *name = d->options->node_name, *wrong;
	char *host;

	if (!d->agent)
		return NULL;
	host = name != NULL ? xstrdup(name) : name_of_this_host();
	wrong = name_host_error(host);
	if (wrong == NULL)
		return host;
	doctor_say(d, "agent", CHECK_FAIL, "set another one with [client] name",
	    "cannot be named \"%s\": %s", host, wrong);
	free(host);
	return NULL;
}

static void
say_no_broker(struct doctor *d)
{
	static const char *const first[] = {"broker dns", NULL};
	const struct trouble *no_qhost = &d->v->cli->no_qhost;
	const char *why = "no broker is named";

	if (d->role == DOCTOR_READER) {
		why = "who only reads the store needs none";
		doctor_skip(d, first, why);
	} else if (no_qhost->kind != TROUBLE_NONE) {
		doctor_say_trouble(d, first[0], CHECK_FAIL, no_qhost);
	} else {
		doctor_say(d, first[0], CHECK_FAIL,
		    geteuid() == 0
			? "give --qhost URI, or [amqp] dsn in the file"
			: "give --qhost URI, or [amqp] dsn in the file; where a service has it "
			  "as a credential, run this as root",
		    "%s", why);
	}
	doctor_skip(d, links, why);
	doctor_next(d);
}

void
doctor_broker(struct doctor *d)
{
	const struct options *o = d->options;
	struct patient *p;
	struct trouble why;

	if (o->qhost == NULL || d->role == DOCTOR_READER) {
		say_no_broker(d);
		return;
	}
	p = xcalloc(1, sizeof(*p));
	p->d = d;
	if (!uri_parse_brokers(o->qhost, &p->uris, &p->n, &why))
		doctor_say_trouble(d, "broker dns", CHECK_FAIL, &why);
	p->topology = topology_for_collector(o->broadcast_exchange, o->master_exchange);
	p->host = agent_name(d);
	if (p->host != NULL)
		topology_add_host(p->topology, o->broadcast_exchange, p->host);
	topology_configure(p->topology, &o->host_queue, &o->master_queue);
	check_next(p);
}
