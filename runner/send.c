/* See send.h. A connection that breaks before the confirm is not the end: the command is sent again
 * after the reconnect. An agent that got it twice runs it once, for both carry the same job. */
#include "runner/send.h"

#include "shared/broker.h"
#include "shared/log.h"
#include "shared/loop.h"
#include "shared/topology.h"
#include "shared/wall.h"
#include "shared/wire.h"
#include "shared/xalloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUBSYSTEM      "runner"
#define DEFAULT_TTL_MS (7 * 24 * 3600 * INT64_C(1000)) /* DESIGN: not_after, 7 days */

struct send {
	struct loop *loop;
	struct send_request req;
	send_fn *fn;
	void *arg;
	struct topology *topology;
	struct broker *broker;
	struct message message;
	size_t failures; /* since the last READY */
	bool published;  /* at least once: "nobody knows" instead of "not sent" */
	bool finished;
};

static void
finish(struct send *s, enum send_outcome outcome, const char *text)
{
	if (s->finished)
		return;
	s->finished = true;
	s->fn(outcome, text, s->arg);
}

static const char *
routing_key(const struct send *s)
{
	return strcmp(s->req.node, "all") == 0 ? TOPOLOGY_BROADCAST_KEY : s->req.node;
}

static void
send_on_ready(struct broker *b, void *arg)
{
	struct send *s = arg;

	log_info(SUBSYSTEM, "Sending %s to %s", s->req.plugin, s->req.node);
	s->failures = 0;
	if (broker_publish(
		b, s->req.options->broadcast_exchange, routing_key(s), true, &s->message) != 0)
		s->published = true;
	/* Otherwise the broker is blocked: on_writable comes when it is not any more. */
}

static void
send_on_blocked(struct broker *b, bool blocked, const char *reason, void *arg)
{
	if (blocked)
		log_warn(SUBSYSTEM, "%s: the broker takes no messages for now (%s); waiting",
		    broker_id(b), reason == NULL ? "no reason given" : reason);
}

static void
send_on_writable(struct broker *b, void *arg)
{
	if (broker_unconfirmed(b) == 0)
		send_on_ready(b, arg);
}

static void
send_on_confirm(
    struct broker *b, uint64_t id, enum broker_outcome outcome, const char *why, void *arg)
{
	struct send *s = arg;
	char text[512];

	switch (outcome) {
	case BROKER_CONFIRMED:
		finish(s, SEND_CONFIRMED, NULL);
		break;
	case BROKER_RETURNED:
		finish(s, SEND_UNROUTABLE, NULL);
		break;
	case BROKER_NACKED:
		snprintf(text, sizeof(text), "%s refused the command: %s", broker_id(b),
		    why == NULL ? "basic.nack (a host's queue may be full)" : why);
		finish(s, SEND_FAILED, text);
		break;
	case BROKER_LOST:
		break; /* on_ready sends it again, or on_down gives up */
	}
}

static void
send_on_down(struct broker *b, const struct broker_failure *f, void *arg)
{
	struct send *s = arg;
	char text[1024];

	/* Each broker of the list has had its turn. */
	if (++s->failures < s->req.n_brokers)
		return;
	snprintf(text, sizeof(text), "%s%s", f->text,
	    s->published ? "; the command may have been sent: sending it again is harmless" : "");
	finish(s, SEND_FAILED, text);
}

static const struct broker_handlers handlers = {
    .on_ready = send_on_ready,
    .on_down = send_on_down,
    .on_confirm = send_on_confirm,
    .on_blocked = send_on_blocked,
    .on_writable = send_on_writable,
};

static void
encode(struct send *s)
{
	int64_t now = wall_ms();
	struct command c = {
	    .plugin = xstrdup(s->req.plugin),
	    .job = xstrdup(s->req.job),
	    .sent_at = now,
	    .not_after = now + DEFAULT_TTL_MS,
	};

	wire_command_encode(&c, &s->message);
	command_finish(&c);
}

struct send *
send_create(struct loop *loop, const struct send_request *req, send_fn *fn, void *arg)
{
	struct send *s = xcalloc(1, sizeof(*s));
	struct broker_options opt;

	s->loop = loop;
	s->req = *req;
	s->fn = fn;
	s->arg = arg;
	message_init(&s->message);
	encode(s);
	s->topology =
	    topology_for_runner(req->options->broadcast_exchange, req->options->master_exchange);
	broker_options_default(&opt);
	opt.program = "vogeler-runner";
	opt.role = "publisher";
	opt.quiet = true;
	opt.uris = req->brokers;
	opt.n_uris = req->n_brokers;
	opt.tls = &req->options->amqp_tls;
	opt.topology = s->topology;
	opt.heartbeat_s = (uint16_t)req->options->heartbeat_s;
	opt.connect_timeout_ms = req->options->connect_timeout_ms;
	s->broker = broker_create(loop, &opt, &handlers, s);
	broker_start(s->broker);
	return s;
}

void
send_destroy(struct send *s)
{
	if (s == NULL)
		return;
	broker_destroy(s->broker);
	topology_destroy(s->topology);
	message_finish(&s->message);
	free(s);
}
