/* SPDX-License-Identifier: Apache-2.0 */
/* Replays a scenario against the real broker_fsm.c on a fake loop, clock and stream. One line is
 * one step; '#' starts a comment; words may be in "double quotes". After unbound's testbound.
 *
 *   option KEY VALUE           before create: uri (repeatable) heartbeat topology max_body
 *                              max_unconfirmed output_max rebind rebind_exchanges; after topology:
 *                              queues SECTION.KEY=VALUE (repeatable), as in vogeler.conf(5), and
 *                              optional QUEUE
 *   start stop destroy pause resume cancel
 *   depth QUEUE / try          asks; tries to publish
 *   without QUEUE PATTERN      why the connection does without it; - = it does not
 *   unbound QUEUE PATTERN      why it may not be bound; - = it may, or nobody asked
 *   rebind                     looks now whether exchanges and bindings are there
 *   logins URI...              as many as there are
 *   connect HOST:PORT          a connection must have been asked for
 *   up / down ERROR / low / congest / hold BYTES    bytes of output that are still to leave
 *   > METHOD FIELD...          the peer sends (peer.c)
 *   split N                    from here on what the peer sends arrives in pieces of N bytes
 *   < PATTERN                  the next frame that the broker wrote
 *   unwritten                  it wrote no other until here
 *   ! PATTERN                  the next callback that fired
 *   login / ready              the frames from connect to login, to READY (without topology)
 *   publish EXCHANGE KEY MESSAGE_ID BODY ID [mandatory]     ID 0: refused
 *   fit KEY HEADER_BYTES BODY_BYTES yes|headers|body [published|refused]
 *   consume QUEUE PREFETCH [exclusive]
 *   ack N [multiple] / nack N [multiple] [requeue]          N: the how manieth delivery
 *   when EVENT STEP...         does STEP inside the next callback of that name
 *   advance MS
 *   state NAME / timer NAME MIN MAX / no-timer NAME / unconfirmed N / can-publish yes|no
 *   stream closed|paused|reading / logged PATTERN N / wakes MAX
 *
 * At the end nothing may be left that the scenario did not name: no frame, no callback. */
#include "tests/replay/peer.h"

#include "shared/amqp/broker.h"
#include "shared/amqp/topology.h"
#include "shared/base/buf.h"
#include "shared/base/ident.h"
#include "shared/base/log.h"
#include "shared/base/trouble.h"
#include "shared/base/xalloc.h"
#include "shared/config/options_load.h"
#include "tests/fake/fake_loop.h"
#include "tests/fake/fake_stream.h"

#include <fnmatch.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_WORDS      64
#define MAX_HOOKS      8
#define MAX_DELIVERIES 600

struct line {
	char text[1024];
};

struct queue {
	struct line *lines;
	size_t n, head;
};

struct hook {
	char event[32];
	char step[256];
	bool armed;
};

static struct {
	const char *file;
	unsigned int line;
	struct loop *loop;
	struct broker *broker;
	struct broker_options opt;
	struct uri *uris;
	size_t n_uris;
	struct topology *topology;
	struct options queues;
	struct peer *peer;
	size_t split;
	struct queue frames, events;
	struct hook hooks[MAX_HOOKS];
	struct broker_tag tags[MAX_DELIVERIES];
	size_t n_tags;
	FILE *log;
} r;

static void step(const char *text);

static void
dump_log(void)
{
	char text[2048];

	rewind(r.log);
	while (fgets(text, sizeof(text), r.log) != NULL)
		fputs(text, stdout);
}

static void fail(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

static void
fail(const char *fmt, ...)
{
	va_list ap;

	dump_log();
	printf("%s:%u: ", r.file, r.line);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	exit(1);
}

static void push(struct queue *q, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void
push(struct queue *q, const char *fmt, ...)
{
	va_list ap;

	q->lines = xreallocarray(q->lines, q->n + 1, sizeof(*q->lines));
	va_start(ap, fmt);
	vsnprintf(q->lines[q->n++].text, sizeof(q->lines->text), fmt, ap);
	va_end(ap);
}

static void
collect_frames(void)
{
	for (;;) {
		char text[1024];
		size_t len, used;
		const void *data = fake_stream_written(&len);
		bool got;

		if (len == 0 || r.peer == NULL)
			return;
		got = peer_describe(r.peer, data, len, &used, text, sizeof(text));
		fake_stream_written_drain(used);
		if (!got)
			return;
		push(&r.frames, "%s", text);
	}
}

static void
expect_next(struct queue *q, const char *what, const char *pattern)
{
	if (q->head == q->n)
		fail("no %s, and wanted \"%s\"", what, pattern);
	if (fnmatch(pattern, q->lines[q->head].text, 0) != 0)
		fail("the %s is \"%s\", and wanted \"%s\"", what, q->lines[q->head].text, pattern);
	q->head++;
}

static void
expect_nothing(const struct queue *q, const char *what)
{
	if (q->head < q->n)
		fail("a %s that nobody named: \"%s\" (of %zu)", what, q->lines[q->head].text,
		    q->n - q->head);
}

/* Callbacks. */

static void
run_hooks(const char *event)
{
	for (size_t i = 0; i < MAX_HOOKS; i++) {
		struct hook *h = &r.hooks[i];

		if (h->armed && strcmp(h->event, event) == 0) {
			h->armed = false;
			step(h->step);
			return;
		}
	}
}

static void
on_ready(struct broker *b, void *arg)
{
	push(&r.events, "ready");
	run_hooks("ready");
}

static void
on_down(struct broker *b, const struct broker_failure *f, void *arg)
{
	push(&r.events, "down %s: %s", broker_error_name(f->error), f->text);
	run_hooks("down");
}

static void
on_delivery(struct broker *b, struct delivery *d, void *arg)
{
	const char *plugin = message_str(&d->message, "plugin");

	if (r.n_tags < MAX_DELIVERIES)
		r.tags[r.n_tags++] = d->tag;
	push(&r.events, "delivery %llu key=%s%s%s size=%llu kept=%zu plugin=%s body=%.64s",
	    (unsigned long long)d->tag.tag, d->routing_key, d->redelivered ? " redelivered" : "",
	    d->oversize ? " oversize" : "", (unsigned long long)d->body_size, d->message.body_len,
	    plugin == NULL ? "?" : plugin, d->message.body);
	delivery_destroy(d);
	run_hooks("delivery");
}

static void
on_confirm(struct broker *b, uint64_t id, enum broker_outcome outcome, const char *why, void *arg)
{
	push(&r.events, "confirm %llu %s%s%s", (unsigned long long)id, broker_outcome_name(outcome),
	    why == NULL ? "" : " ", why == NULL ? "" : why);
	run_hooks("confirm");
}

static void
on_blocked(struct broker *b, bool blocked, const char *reason, void *arg)
{
	push(&r.events, "blocked %s%s%s", blocked ? "yes" : "no", reason == NULL ? "" : " ",
	    reason == NULL ? "" : reason);
	run_hooks("blocked");
}

static void
on_writable(struct broker *b, void *arg)
{
	push(&r.events, "writable");
	run_hooks("writable");
}

static void
on_consuming(struct broker *b, const char *queue, bool consuming, void *arg)
{
	if (consuming != broker_consuming(b, queue))
		fail("consuming %s is not what broker_consuming() says", queue);
	push(&r.events, "consuming %s %s", queue, consuming ? "yes" : "no");
	run_hooks("consuming");
}

static void
on_topology(struct broker *b, const struct topology_item *item, bool created, void *arg)
{
	uint32_t n = item->kind == TOPOLOGY_QUEUE ? broker_messages_found(b, item->name) : 0;

	if (n > 0)
		push(&r.events, "topology %s found messages=%u", item->name, n);
	else
		push(&r.events, "topology %s %s", item->name, created ? "made" : "found");
	run_hooks("topology");
}

static void
on_look(
    struct broker *b, const struct topology_item *item, const struct broker_look *look, void *arg)
{
	char *lacks = queue_arguments_text(&look->lacks);

	push(&r.events, "look %s %s messages=%u consumers=%u%s%s", item->name,
	    broker_sight_name(look->sight), look->messages, look->consumers,
	    look->why == NULL ? "" : " ", look->why == NULL ? "" : look->why);
	if (look->sight == BROKER_SIGHT_OTHER && item->kind == TOPOLOGY_QUEUE)
		push(&r.events, "look %s type=%s lacks=\"%s\"", item->name,
		    queue_type_name(look->type), lacks);
	free(lacks);
	run_hooks("look");
}

static void
on_consumers(struct broker *b, const struct topology_item *item, uint32_t messages,
    uint32_t consumers, void *arg)
{
	push(&r.events, "consumers %s %u messages=%u", item->name, (unsigned int)consumers,
	    (unsigned int)messages);
	run_hooks("consumers");
}

static void
on_bound(struct broker *b, const struct topology_item *item, enum broker_bound bound,
    const char *why, void *arg)
{
	push(&r.events, "bound %s %s%s%s", item->name, broker_bound_name(bound),
	    why == NULL ? "" : " ", why == NULL ? "" : why);
	run_hooks("bound");
}

static void
on_depth(struct broker *b, const char *queue, uint32_t messages, void *arg)
{
	push(&r.events, "depth %s %u", queue, messages);
	run_hooks("depth");
}

static void
on_stopped(struct broker *b, void *arg)
{
	push(&r.events, "stopped");
	run_hooks("stopped");
}

static const struct broker_handlers handlers = {
    .on_ready = on_ready,
    .on_down = on_down,
    .on_delivery = on_delivery,
    .on_confirm = on_confirm,
    .on_blocked = on_blocked,
    .on_writable = on_writable,
    .on_consuming = on_consuming,
    .on_topology = on_topology,
    .on_look = on_look,
    .on_consumers = on_consumers,
    .on_bound = on_bound,
    .on_depth = on_depth,
    .on_stopped = on_stopped,
};

/* Steps. */

static void
add_uri(const char *text)
{
	struct trouble why = {0};

	r.uris = xreallocarray(r.uris, r.n_uris + 1, sizeof(*r.uris));
	if (!uri_parse(text, &r.uris[r.n_uris], &why))
		fail("%s", why.what);
	r.n_uris++;
}

static void
set_topology(const char *which)
{
	const char *b = TOPOLOGY_BROADCAST_EXCHANGE, *m = TOPOLOGY_MASTER_EXCHANGE;

	if (strcmp(which, "collector") == 0)
		r.topology = topology_for_collector(b, m);
	else if (strcmp(which, "hosts") == 0) {
		r.topology = xcalloc(1, sizeof(*r.topology));
		topology_add_host(r.topology, b, "web01");
		topology_add_host(r.topology, b, "web02");
		topology_add_host(r.topology, b, "web03");
	} else if (strcmp(which, "runner") == 0)
		r.topology = topology_for_runner(b, m);
	else
		r.topology = topology_for_agent(b, m, which);
}

static void
set_queues(const char *assignment)
{
	struct trouble why = {0};

	if (!options_set(&r.queues, assignment, &why))
		fail("%s", why.what);
	topology_configure(r.topology, &r.queues.host_queue, &r.queues.master_queue);
}

static void
do_option(char **w, size_t n)
{
	if (n < 3)
		fail("option KEY VALUE");
	if (strcmp(w[1], "uri") == 0)
		add_uri(w[2]);
	else if (strcmp(w[1], "heartbeat") == 0)
		r.opt.heartbeat_s = (uint16_t)strtoul(w[2], NULL, 10);
	else if (strcmp(w[1], "topology") == 0)
		set_topology(w[2]);
	else if (strcmp(w[1], "look_only") == 0)
		r.opt.look_only = true;
	else if (strcmp(w[1], "bind_only") == 0)
		r.opt.bind_only = true;
	else if (strcmp(w[1], "bind_looks") == 0)
		r.opt.bind_only = r.opt.bind_looks = true;
	else if (strcmp(w[1], "quiet") == 0)
		r.opt.quiet = true;
	else if (strcmp(w[1], "queues") == 0)
		set_queues(w[2]);
	else if (strcmp(w[1], "optional") == 0)
		topology_make_optional(r.topology, w[2]);
	else if (strcmp(w[1], "max_body") == 0)
		r.opt.max_body_bytes = strtoul(w[2], NULL, 10);
	else if (strcmp(w[1], "max_unconfirmed") == 0)
		r.opt.max_unconfirmed = (uint32_t)strtoul(w[2], NULL, 10);
	else if (strcmp(w[1], "output_max") == 0)
		r.opt.output_max = strtoul(w[2], NULL, 10);
	else if (strcmp(w[1], "rebind") == 0)
		r.opt.rebind_ms = (uint32_t)strtoul(w[2], NULL, 10);
	else if (strcmp(w[1], "rebind_exchanges") == 0)
		r.opt.rebind_exchanges = true;
	else
		fail("no option %s", w[1]);
}

static void
do_start(char **w, size_t n)
{
	if (r.broker == NULL) {
		if (r.n_uris == 0)
			add_uri("amqp://guest:secret@mq.example/vogeler");
		r.opt.uris = r.uris;
		r.opt.n_uris = r.n_uris;
		r.opt.topology = r.topology;
		r.opt.program = "replay";
		r.opt.role = "test";
		r.broker = broker_create(r.loop, &r.opt, &handlers, NULL);
	}
	broker_start(r.broker);
}

static void
do_destroy(char **w, size_t n)
{
	broker_destroy(r.broker);
	r.broker = NULL;
}

static void
do_connect(char **w, size_t n)
{
	const char *opened = fake_stream_opened();

	if (opened == NULL || strcmp(opened, w[1]) != 0)
		fail("connection to %s, and wanted %s", opened == NULL ? "nobody" : opened, w[1]);
	expect_nothing(&r.frames, "frame");
	peer_destroy(r.peer);
	r.peer = peer_create();
}

static void
do_send(char **w, size_t n)
{
	struct buf out;

	buf_init(&out, 1 << 24);
	if (!peer_encode(r.peer, w + 1, n - 1, &out))
		fail("cannot send %s", w[1]);
	for (size_t at = 0; at < out.len;) {
		size_t piece = r.split == 0 || out.len - at < r.split ? out.len - at : r.split;

		fake_stream_data(out.data + at, piece);
		at += piece;
	}
	buf_finish(&out);
}

static void
do_steps(const char *const *steps)
{
	for (; *steps != NULL; steps++)
		step(*steps);
}

static void
do_login(char **w, size_t n)
{
	static const char *const steps[] = {"up", "< protocol 0-0-9-1", "> connection.start",
	    "< connection.start-ok PLAIN user=guest password=secret capabilities=5",
	    "> connection.tune 2047 131072 60", "< connection.tune-ok 1 131072 *",
	    "< connection.open *", "> connection.open-ok", "< channel.open", NULL};

	do_steps(steps);
}

static void
do_ready(char **w, size_t n)
{
	static const char *const steps[] = {"login", "> channel.open-ok", "< confirm.select",
	    "> confirm.select-ok", "! ready", "state READY", NULL};

	do_steps(steps);
}

static void
do_publish(char **w, size_t n)
{
	struct message m;
	uint64_t id;

	if (n < 6)
		fail("publish EXCHANGE KEY MESSAGE_ID BODY ID");
	message_init(&m);
	m.message_id = w[3][0] == '\0' ? NULL : xstrdup(w[3]);
	message_set_body(&m, xstrdup(w[4]), strlen(w[4]));
	id = broker_publish(r.broker, w[1], w[2], n > 6, &m);
	message_finish(&m);
	if (id != strtoull(w[5], NULL, 10))
		fail("publish gave %llu, and wanted %s", (unsigned long long)id, w[5]);
}

static char *
filled(const char *length)
{
	size_t n = strtoul(length, NULL, 10);
	char *text = xcalloc(n + 1, 1);

	memset(text, 'x', n);
	return text;
}

/* What broker_fit() says of a message of these sizes, and what becomes of it. */
static void
do_fit(char **w, size_t n)
{
	static const char *const names[] = {[BROKER_FITS] = "yes",
	    [BROKER_FIT_NO_HEADERS] = "headers",
	    [BROKER_FIT_NO_BODY] = "body"};
	struct message m;
	char *header = filled(w[2]),
	     *key = strcmp(w[1], "long") == 0 ? filled("256") : xstrdup(w[1]);
	const char *fit;
	bool published = false;

	message_init(&m);
	m.message_id = xstrdup("m");
	message_add_str(&m, "h", header);
	message_set_body(&m, filled(w[3]), strtoul(w[3], NULL, 10));
	fit = names[broker_fit(r.broker, "x", key, &m)];
	if (n > 5)
		published = broker_publish(r.broker, "x", key, false, &m) != 0;
	message_finish(&m);
	free(header);
	free(key);
	if (strcmp(fit, w[4]) != 0)
		fail("fit is %s, and wanted %s", fit, w[4]);
	if (n > 5 && published != (strcmp(w[5], "published") == 0))
		fail("it is %s, and wanted %s", published ? "published" : "refused", w[5]);
}

static bool
has(char **w, size_t n, const char *word)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(w[i], word) == 0)
			return true;
	}
	return false;
}

static struct broker_tag
nth_tag(const char *word)
{
	size_t i = strtoul(word, NULL, 10);

	if (i == 0 || i > r.n_tags)
		fail("there was no delivery %zu", i);
	return r.tags[i - 1];
}

static void
do_when(const char *text, char **w, size_t n)
{
	for (size_t i = 0; i < MAX_HOOKS; i++) {
		struct hook *h = &r.hooks[i];

		if (h->armed)
			continue;
		h->armed = true;
		snprintf(h->event, sizeof(h->event), "%s", w[1]);
		snprintf(h->step, sizeof(h->step), "%s",
		    strstr(text, w[1]) + strlen(w[1]) +
			strspn(strstr(text, w[1]) + strlen(w[1]), " "));
		return;
	}
	fail("too many hooks");
}

static void
do_timer(char **w, size_t n)
{
	int64_t in = fake_timer_in(r.loop, w[1]);

	if (n == 2) {
		if (in >= 0)
			fail("timer %s is armed", w[1]);
	} else if (in < strtoll(w[2], NULL, 10) || in > strtoll(w[3], NULL, 10)) {
		fail(
		    "timer %s fires in %lld, and wanted %s to %s", w[1], (long long)in, w[2], w[3]);
	}
}

static void
do_logged(char **w, size_t n)
{
	char text[2048], pattern[256];
	unsigned long lines = 0;

	fflush(stderr);
	rewind(r.log);
	snprintf(pattern, sizeof(pattern), "*%s*", w[1]);
	while (fgets(text, sizeof(text), r.log) != NULL)
		lines += fnmatch(pattern, text, 0) == 0;
	fseek(r.log, 0, SEEK_END);
	if (lines != strtoul(w[2], NULL, 10))
		fail("%lu log lines match %s, and wanted %s", lines, w[1], w[2]);
}

/* An idle stretch: how often do we wake? */
static void
do_wakes(char **w, size_t n)
{
	long long left = strtoll(w[1], NULL, 10);
	long most = strtol(w[2], NULL, 10), wakes = 0;
	int64_t next = fake_next_timer(r.loop);

	for (; next >= 0 && next <= left; next = fake_next_timer(r.loop)) {
		fake_advance(r.loop, next);
		left -= next;
		if (++wakes > most)
			fail("woke more than %ld times", most);
	}
}

static void
check(bool ok, const char *what, const char *wanted)
{
	if (!ok)
		fail("%s is not %s", what, wanted);
}

static void
do_stream(char **w, size_t n)
{
	const char *is = !fake_stream_is_open()    ? "closed"
			 : fake_stream_is_paused() ? "paused"
						   : "reading";

	if (strcmp(is, w[1]) != 0)
		fail("the stream is %s", is);
}

static void
check_without(char **w, size_t n)
{
	const char *why = broker_without(r.broker, w[1]);

	if (n != 3)
		fail("without QUEUE PATTERN");
	if (fnmatch(w[2], why == NULL ? "-" : why, 0) != 0)
		fail("without %s: %s", w[1], why == NULL ? "-" : why);
}

static void
check_unbound(char **w, size_t n)
{
	const char *why = broker_unbound(r.broker, w[1]);

	if (n != 3)
		fail("unbound QUEUE PATTERN");
	if (fnmatch(w[2], why == NULL ? "-" : why, 0) != 0)
		fail("unbound %s: %s", w[1], why == NULL ? "-" : why);
}

static void
do_broker_call(char **w, size_t n)
{
	if (strcmp(w[0], "stop") == 0)
		broker_stop(r.broker);
	else if (strcmp(w[0], "pause") == 0)
		broker_pause(r.broker);
	else if (strcmp(w[0], "resume") == 0)
		broker_resume(r.broker);
	else if (strcmp(w[0], "cancel") == 0)
		broker_cancel(r.broker);
	else if (strcmp(w[0], "consume") == 0)
		broker_consume(r.broker, w[1], (uint16_t)strtoul(w[2], NULL, 10), n > 3);
	else if (strcmp(w[0], "ack") == 0)
		broker_ack(r.broker, nth_tag(w[1]), has(w, n, "multiple"));
	else if (strcmp(w[0], "nack") == 0)
		broker_nack(r.broker, nth_tag(w[1]), has(w, n, "multiple"), has(w, n, "requeue"));
	else if (strcmp(w[0], "depth") == 0)
		broker_ask_depth(r.broker, w[1]);
	else if (strcmp(w[0], "without") == 0)
		check_without(w, n);
	else if (strcmp(w[0], "unbound") == 0)
		check_unbound(w, n);
	else if (strcmp(w[0], "rebind") == 0)
		broker_rebind(r.broker);
	else if (strcmp(w[0], "try") == 0)
		broker_try_publish(r.broker);
	else if (strcmp(w[0], "state") == 0)
		check(strcmp(broker_state_text(r.broker), w[1]) == 0, broker_state_text(r.broker),
		    w[1]);
	else if (strcmp(w[0], "unconfirmed") == 0)
		check(broker_unconfirmed(r.broker) == strtoul(w[1], NULL, 10), "unconfirmed", w[1]);
	else if (strcmp(w[0], "can-publish") == 0)
		check(broker_can_publish(r.broker) == (w[1][0] == 'y'), "can-publish", w[1]);
	else
		fail("no such step: %s", w[0]);
}

static void
do_logins(char **w, size_t n)
{
	struct uri list[MAX_WORDS] = {0};
	struct trouble why = {0};

	for (size_t i = 1; i < n; i++)
		if (!uri_parse(w[i], &list[i - 1], &why))
			fail("%s", why.what);
	broker_set_logins(r.broker, list, n - 1);
	for (size_t i = 1; i < n; i++)
		uri_finish(&list[i - 1]);
}

static void
do_stream_call(char **w, size_t n)
{
	if (strcmp(w[0], "up") == 0)
		fake_stream_up();
	else if (strcmp(w[0], "down") == 0)
		fake_stream_down(w[1]);
	else if (strcmp(w[0], "low") == 0)
		fake_stream_low();
	else if (strcmp(w[0], "hold") == 0)
		fake_stream_hold(strtoul(w[1], NULL, 10));
	else
		fake_stream_congest(true);
}

/* Of broker_status(). */
static void
do_status(char **w, size_t n)
{
	struct broker_status s;

	broker_status(r.broker, &s);
	if (strcmp(w[0], "down-for") == 0)
		check(s.down_ms == strtol(w[1], NULL, 10), "down-for", w[1]);
	else if (strcmp(w[0], "no-consumer-for") == 0)
		check(s.unconsumed_ms == strtol(w[1], NULL, 10), "no-consumer-for", w[1]);
	else
		check(s.consumer_lost == (w[1][0] == 'y'), "consumer-lost", w[1]);
}

static void
do_advance(char **w, size_t n)
{
	fake_advance(r.loop, strtoll(w[1], NULL, 10));
	fake_stream_pump();
}

static void
do_split(char **w, size_t n)
{
	r.split = strtoul(w[1], NULL, 10);
}

static void
do_unwritten(char **w, size_t n)
{
	expect_nothing(&r.frames, "frame");
}

static const struct {
	const char *name;
	size_t words; /* at least */
	void (*fn)(char **w, size_t n);
} steps[] = {
    {">", 2, do_send},
    {"advance", 2, do_advance},
    {"congest", 1, do_stream_call},
    {"connect", 2, do_connect},
    {"consumer-lost", 2, do_status},
    {"destroy", 1, do_destroy},
    {"down", 2, do_stream_call},
    {"down-for", 2, do_status},
    {"fit", 5, do_fit},
    {"hold", 2, do_stream_call},
    {"logged", 3, do_logged},
    {"login", 1, do_login},
    {"logins", 2, do_logins},
    {"low", 1, do_stream_call},
    {"no-consumer-for", 2, do_status},
    {"no-timer", 2, do_timer},
    {"option", 3, do_option},
    {"publish", 6, do_publish},
    {"ready", 1, do_ready},
    {"split", 2, do_split},
    {"start", 1, do_start},
    {"stream", 2, do_stream},
    {"timer", 4, do_timer},
    {"unwritten", 1, do_unwritten},
    {"up", 1, do_stream_call},
    {"wakes", 3, do_wakes},
};

static size_t
split_words(char *text, char **w)
{
	size_t n = 0;

	for (char *p = text; *p != '\0' && n < MAX_WORDS;) {
		char end = ' ';

		p += strspn(p, " \t\n");
		if (*p == '\0' || *p == '#')
			break;
		if (*p == '"') {
			end = '"';
			p++;
		}
		w[n++] = p;
		p += end == '"' ? strcspn(p, "\"") : strcspn(p, " \t\n");
		if (*p != '\0')
			*p++ = '\0';
	}
	return n;
}

static void
step(const char *text)
{
	char copy[4096], *w[MAX_WORDS];
	size_t n;

	/* Patterns are taken as they stand. */
	text += strspn(text, " \t");
	if (strncmp(text, "< ", 2) == 0) {
		collect_frames();
		expect_next(&r.frames, "frame", text + 2);
		return;
	}
	if (strncmp(text, "! ", 2) == 0) {
		expect_next(&r.events, "callback", text + 2);
		return;
	}
	snprintf(copy, sizeof(copy), "%s", text);
	n = split_words(copy, w);
	if (n == 0)
		return;
	if (strcmp(w[0], "when") == 0) {
		do_when(text, w, n);
		return;
	}
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		if (strcmp(steps[i].name, w[0]) == 0) {
			if (n < steps[i].words)
				fail("%s wants more words", w[0]);
			steps[i].fn(w, n);
			collect_frames();
			return;
		}
	}
	do_broker_call(w, n);
	collect_frames();
}

static void
run_file(void)
{
	char text[4096];
	FILE *f = fopen(r.file, "r");

	if (f == NULL)
		fail("cannot open it");
	while (fgets(text, sizeof(text), f) != NULL) {
		r.line++;
		text[strcspn(text, "\n")] = '\0';
		step(text);
	}
	fclose(f);
	collect_frames();
	expect_nothing(&r.frames, "frame");
	expect_nothing(&r.events, "callback");
}

static void
finish(void)
{
	broker_destroy(r.broker);
	fake_advance(r.loop, 0);
	fake_stream_finish();
	loop_destroy(r.loop);
	peer_destroy(r.peer);
	topology_destroy(r.topology);
	options_finish(&r.queues);
	for (size_t i = 0; i < r.n_uris; i++)
		uri_finish(&r.uris[i]);
	free(r.uris);
	free(r.frames.lines);
	free(r.events.lines);
}

/* Our log is where stderr was, and an assertion went there too. */
static void
on_abort(int signo)
{
	dump_log();
	printf("%s:%u: aborted\n", r.file, r.line);
	fflush(stdout);
}

/* There in a build with sanitizers. */
extern void __sanitizer_set_report_fd(void *fd) __attribute__((weak));

int
main(int argc, char **argv)
{
	int terminal;

	if (argc != 2) {
		fprintf(stderr, "usage: replay SCENARIO.rpl\n");
		return 2;
	}
	r.file = argv[1];
	r.log = tmpfile();
	terminal = dup(STDERR_FILENO);
	if (__sanitizer_set_report_fd != NULL)
		__sanitizer_set_report_fd((void *)(intptr_t)terminal);
	if (r.log == NULL || dup2(fileno(r.log), STDERR_FILENO) < 0)
		return 2;
	signal(SIGABRT, on_abort);
	ident_init();
	log_init("replay");
	log_set_level(LOG_LEVEL_INFO);
	r.loop = loop_create();
	broker_options_default(&r.opt);
	options_init(&r.queues);
	run_file();
	finish();
	return 0;
}
