/* The inbox with its batch, acks and dead letters, between a fake broker and a fake store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/deadletter.h"
#include "daemon/inbox.h"
#include "tests/fake/fake_broker_api.h"
#include "tests/fake/fake_loop.h"
#include "tests/fake/fake_store.h"

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct world {
	unsigned int unparsed; /* values given to the store as text */
	struct loop *loop;
	struct fake_store *store;
	struct broker *consumer, *publisher;
	struct leader *leader;
	struct inbox *inbox;
	struct options options;
	unsigned int drained;
	bool store_is_away;
	bool rival; /* another collector writes the same records: every second write is in vain */
	unsigned int writes;
};

static void
consumer_ready(struct broker *b, void *arg)
{
	inbox_on_consumer_ready(((struct world *)arg)->inbox);
}

static void
consumer_down(struct broker *b, const struct broker_failure *f, void *arg)
{
	inbox_on_consumer_down(((struct world *)arg)->inbox);
}

static void
delivered(struct broker *b, struct delivery *d, void *arg)
{
	inbox_on_delivery(((struct world *)arg)->inbox, d);
}

static void
publisher_ready(struct broker *b, void *arg)
{
	inbox_on_publisher_ready(((struct world *)arg)->inbox);
}

static void
confirmed(struct broker *b, uint64_t id, enum broker_outcome outcome, const char *why, void *arg)
{
	inbox_on_confirm(((struct world *)arg)->inbox, id, outcome, why);
}

static const struct broker_handlers consumer_handlers = {
    .on_ready = consumer_ready,
    .on_down = consumer_down,
    .on_delivery = delivered,
};
static const struct broker_handlers publisher_handlers = {
    .on_ready = publisher_ready,
    .on_writable = publisher_ready,
    .on_confirm = confirmed,
};

static void
on_drained(void *arg)
{
	((struct world *)arg)->drained++;
}

static enum store_status
judge(struct fake_store *f, struct store_write *const *writes, size_t n, size_t i, void *arg)
{
	struct world *w = arg;

	if (w->store_is_away)
		return STORE_RETRY;
	if (w->rival && w->writes++ % 2 == 0)
		return STORE_CONFLICT;
	w->unparsed += writes[i]->results[0]->unparsed != NULL;
	return strcmp(writes[i]->host, "toolarge") == 0 ? STORE_REJECT : STORE_OK;
}

static struct broker *
make_broker(struct world *w, const char *role, const struct broker_handlers *handlers)
{
	struct broker_options opt;

	broker_options_default(&opt);
	opt.role = role;
	return broker_create(w->loop, &opt, handlers, w);
}

static void
on_leader(enum leader_state leader, void *arg)
{
	inbox_on_leader(((struct world *)arg)->inbox, leader);
}

static void
make_leader(struct world *w)
{
	struct broker_options opt;
	struct leader_parts parts = {w->loop, w->publisher, &opt, on_leader, w};

	broker_options_default(&opt);
	w->leader = leader_create(&parts);
}

static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct inbox_parts parts = {0};

	ident_init();
	log_set_level(LOG_LEVEL_CRITICAL);
	w->loop = loop_create();
	w->store = fake_store_create(w->loop, 1, 0);
	fake_store_judge(w->store, judge, w);
	w->consumer = make_broker(w, "consumer", &consumer_handlers);
	w->publisher = make_broker(w, "publisher", &publisher_handlers);
	make_leader(w);
	options_init(&w->options);
	w->options.prefetch = 1000;
	w->options.intake_max_bytes = 100000;
	w->options.batch_max_age_ms = 50;
	w->options.store_patience_ms = 10000;
	w->options.drain_timeout_ms = 10000;
	parts.loop = w->loop;
	parts.consumer = w->consumer;
	parts.publisher = w->publisher;
	parts.store = fake_store_base(w->store);
	parts.leader = w->leader;
	w->inbox = inbox_create(&parts, &w->options, on_drained, w);
	inbox_start(w->inbox);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	fake_store_destroy(w->store);
	inbox_destroy(w->inbox);
	leader_destroy(w->leader);
	broker_destroy(w->consumer);
	broker_destroy(w->publisher);
	options_finish(&w->options);
	loop_destroy(w->loop);
	free(w);
	return 0;
}

static int
setup_probed(void **state)
{
	setup(state);
	fake_advance(((struct world *)*state)->loop, 0);
	return 0;
}

static int
setup_taking(void **state)
{
	struct world *w;

	setup(state);
	w = *state;
	fake_advance(w->loop, 0);
	fake_broker_up(w->consumer);
	fake_broker_up(w->publisher);
	fake_advance(w->loop, 0);
	fake_broker_log_clear(w->consumer);
	return 0;
}

static int
setup_attesting(void **state)
{
	struct world *w;

	setup_taking(state);
	w = *state;
	w->options.attest = true;
	inbox_reload(w->inbox, &w->options);
	return 0;
}

static struct message
message(const char *body, const char *user)
{
	struct message m;

	message_init(&m);
	message_set_body(&m, strdup(body), strlen(body));
	m.user_id = user == NULL ? NULL : strdup(user);
	return m;
}

static void
deliver_from(struct world *w, const char *body, const char *user)
{
	struct message m = message(body, user);

	fake_broker_deliver(w->consumer, "vogeler.master.in", "", &m);
}

static void
deliver_fresh(struct world *w, const char *body)
{
	struct message m = message(body, NULL);

	fake_broker_deliver(w->consumer, "vogeler.master.in", "fresh", &m);
}

static void
deliver(struct world *w, const char *body)
{
	deliver_from(w, body, NULL);
}

#define GOOD "{\"syskey\":\"web01\",\"ps\":\"a\\nb\",\"format\":\"output\"}"

static void
assert_log(struct world *w, const char *expected)
{
	assert_string_equal(fake_broker_log(w->consumer), expected);
	fake_broker_log_clear(w->consumer);
}

static void
it_consumes_when_store_and_broker_are_there(void **state)
{
	struct world *w = *state;

	fake_store_probe_says(w->store, false);
	fake_broker_up(w->consumer);
	fake_advance(w->loop, 20000);
	assert_log(w, "");
	assert_in_range(fake_store_probes(w->store), 4, 20);
	fake_store_probe_says(w->store, true);
	fake_advance(w->loop, 20000);
	assert_log(w, "consume vogeler.fresh 1000; consume master.in 1000; ");
	fake_broker_down(w->consumer);
	fake_broker_up(w->consumer);
	assert_log(w, "consume vogeler.fresh 1000; consume master.in 1000; ");
}

static void
a_response_is_acked_after_it_is_stored(void **state)
{
	struct world *w = *state;

	fake_store_hold(w->store);
	deliver(w, GOOD);
	deliver(w, "{\"syskey\":\"web01\",\"a\":\"1\",\"b\":\"2\",\"format\":\"json\"}");
	deliver(w, "{\"syskey\":\"db01\",\"format\":\"pydict\"}");
	fake_advance(w->loop, 1000);
	assert_string_equal(fake_store_put_text(w->store, 0), "web01:3 db01:1");
	assert_log(w, "");
	assert_int_equal(inbox_in_hand(w->inbox), 3);
	fake_store_release(w->store);
	fake_advance(w->loop, 0);
	assert_log(w, "ack 3 multiple; ");
	assert_int_equal(inbox_in_hand(w->inbox), 0);
	assert_int_equal(inbox_held_bytes(w->inbox), 0);
}

static void
without_the_fresh_queue_it_reads_the_other(void **state)
{
	struct world *w = *state;

	fake_broker_without(w->consumer, "vogeler.fresh", "ACCESS_REFUSED");
	fake_broker_up(w->consumer);
	fake_advance(w->loop, 0);
	assert_log(w, "consume master.in 1000; ");
	inbox_reload(w->inbox, &w->options);
	assert_log(w, "consume master.in 1000; ");
	fake_broker_without(w->consumer, NULL, NULL);
	inbox_reload(w->inbox, &w->options);
	assert_log(w, "consume vogeler.fresh 1000; consume master.in 1000; ");
	fake_broker_down(w->consumer);
	fake_broker_up(w->consumer);
	assert_log(w, "consume vogeler.fresh 1000; consume master.in 1000; ");
}

/* A put at a time, of one host each. */
static void
fresh_ones_go_into_the_next_put(void **state)
{
	struct world *w = *state;
	char body[128];

	w->options.batch_max_count = 1;
	inbox_reload(w->inbox, &w->options);
	fake_store_hold(w->store);
	for (int i = 0; i < 20; i++) {
		snprintf(body, sizeof(body), "{\"syskey\":\"old%d\",\"format\":\"pydict\"}", i);
		deliver(w, body);
	}
	fake_advance(w->loop, 0);
	deliver_fresh(w, "{\"syskey\":\"new\",\"format\":\"pydict\"}");
	deliver_fresh(w, "{\"syskey\":\"old9\",\"format\":\"pydict\"}");
	fake_advance(w->loop, 0);
	assert_int_equal(fake_store_puts(w->store), 1);
	assert_string_equal(fake_store_put_text(w->store, 0), "old0:1");
	fake_store_release(w->store);
	for (int i = 0; i < 3; i++)
		fake_advance(w->loop, 0);
	assert_string_equal(fake_store_put_text(w->store, 1), "new:1");
	assert_string_equal(fake_store_put_text(w->store, 2), "old9:2");
	fake_advance(w->loop, 1000);
	assert_int_equal(inbox_in_hand(w->inbox), 0);
}

/* It is read on a thread, whose word does not reach the fake loop: what is behind it waits too. */
static void
a_large_stale_one_does_not_hold_up_what_is_fresh(void **state)
{
	struct world *w = *state;
	char *body = NULL;

	assert_int_not_equal(
	    asprintf(&body, "{\"syskey\":\"old\",\"format\":\"raw\",\"ps\":\"%0100000d\"}", 0), -1);
	w->options.intake_max_bytes = 10000000;
	inbox_reload(w->inbox, &w->options);
	deliver(w, body);
	deliver(w, GOOD);
	deliver_fresh(w, "{\"syskey\":\"new\",\"format\":\"pydict\"}");
	fake_advance(w->loop, 50);
	assert_string_equal(fake_store_put_text(w->store, 0), "new:1");
	fake_advance(w->loop, 50);
	assert_log(w, "ack 3; "); /* nor its ack */
	free(body);
}

#define JOB "0192e4c0-0000-7000-8000-000000000001"

static void
deliver_answer(struct world *w, const char *host, const char *reply_to)
{
	struct message m = message("", NULL);
	char body[200];

	snprintf(body, sizeof(body), "{\"syskey\":\"%s\",\"ps\":\"a\",\"format\":\"raw\"}", host);
	message_set_body(&m, strdup(body), strlen(body));
	m.correlation_id = strdup(JOB);
	m.reply_to = reply_to == NULL ? NULL : strdup(reply_to);
	message_add_str(&m, "plugin", "ps");
	message_add_str(&m, "state", "ok");
	message_add_int(&m, "order", 7);
	fake_broker_deliver(w->consumer, "vogeler.master.in", "", &m);
}

/* After the commit, several in one message. */
static void
who_watches_is_told_of_what_is_stored(void **state)
{
	struct world *w = *state;
	const struct fake_publish *p;

	fake_store_hold(w->store);
	deliver_answer(w, "web01", "vogeler.reply." JOB);
	deliver_answer(w, "web02", "vogeler.reply." JOB);
	deliver_answer(w, "toolarge", "vogeler.reply." JOB);
	fake_advance(w->loop, 1000);
	assert_int_equal(fake_broker_published(w->publisher), 0);
	fake_store_release(w->store);
	fake_advance(w->loop, 0);
	assert_int_equal(fake_broker_published(w->publisher), 2); /* and the dead letter */
	p = fake_broker_publish_at(w->publisher, 0);
	if (strcmp(p->routing_key, "vogeler.dead") == 0)
		p = fake_broker_publish_at(w->publisher, 1);
	assert_string_equal(p->exchange, "");
	assert_string_equal(p->routing_key, "vogeler.reply." JOB);
	assert_false(p->mandatory);
	assert_false(p->message.persistent);
	assert_non_null(strstr(p->message.body, "web01"));
	assert_non_null(strstr(p->message.body, "web02"));
	assert_null(strstr(p->message.body, "toolarge"));
}

static void
nobody_makes_it_write_to_other_queues(void **state)
{
	static const char *const hostile[] = {"web02", "vogeler.dead", "master.in", "",
	    "vogeler.reply.", "vogeler.reply.0192e4c0-0000-7000-8000-000000000002",
	    "vogeler.reply." JOB "x", "amq.rabbitmq.reply-to"};
	struct world *w = *state;
	struct inbox_status s;
	size_t i;

	for (i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++)
		deliver_answer(w, "web01", hostile[i]);
	deliver_answer(w, "web01", NULL);
	fake_advance(w->loop, 1000);
	inbox_status(w->inbox, &s);
	assert_int_equal(s.stored, i + 1);
	assert_int_equal(fake_broker_published(w->publisher), 0);
	assert_int_equal(s.notices.dropped, 0);
}

static void
a_reload_changes_the_limits_of_values(void **state)
{
	struct world *w = *state;

	deliver(w, "{\"syskey\":\"a\",\"p\":\"[[1]]\",\"format\":\"json\"}");
	deliver(w, "{\"syskey\":\"b\",\"p\":\"[[1]]\",\"format\":\"yaml\"}");
	fake_advance(w->loop, 100);
	assert_int_equal(w->unparsed, 0);
	w->options.json_depth = 1;
	w->options.yaml_depth = 1;
	w->options.object_keys = 1;
	inbox_reload(w->inbox, &w->options);
	deliver(w, "{\"syskey\":\"f\",\"p\":\"{a: 1, b: 1}\",\"format\":\"yaml\"}");
	deliver(w, "{\"syskey\":\"g\",\"p\":\"{\\\"a\\\":1,\\\"b\\\":1}\",\"format\":\"json\"}");
	deliver(w, "{\"syskey\":\"c\",\"p\":\"[[1]]\",\"format\":\"json\"}");
	deliver(w, "{\"syskey\":\"d\",\"p\":\"[[1]]\",\"format\":\"yaml\"}");
	deliver(w, "{\"syskey\":\"e\",\"p\":\"[1]\",\"format\":\"yaml\"}");
	fake_advance(w->loop, 100);
	assert_int_equal(w->unparsed, 4);
}

static void
poison_is_buried_and_the_rest_flows(void **state)
{
	struct world *w = *state;
	const struct fake_publish *p;

	deliver_from(w, "not json", "web07");
	deliver(w, GOOD);
	fake_advance(w->loop, 100);
	assert_int_equal(fake_store_puts(w->store), 1);
	assert_int_equal(fake_broker_published(w->publisher), 1);
	p = fake_broker_publish_at(w->publisher, 0);
	assert_string_equal(p->exchange, "");
	assert_string_equal(p->routing_key, "vogeler.dead");
	assert_true(p->mandatory);
	assert_true(p->message.persistent);
	assert_string_equal(p->message.body, "not json");
	assert_null(p->message.user_id); /* the broker module fills in the login's */
	assert_non_null(message_str(&p->message, "x-reason"));
	assert_string_equal(message_str(&p->message, "x-sender"), "web07");
	assert_string_equal(message_str(&p->message, "x-exchange"), "vogeler.master.in");
	assert_string_equal(message_str(&p->message, "x-routing-key"), "");
	fake_advance(w->loop, 2000);
	assert_log(w, "ack 2; "); /* the poison is not acked before it is confirmed */
	fake_broker_confirm(w->publisher, p->id, BROKER_CONFIRMED, NULL);
	fake_advance(w->loop, 0);
	assert_log(w, "ack 1; ");
}

static void
every_kind_of_poison_is_refused(void **state)
{
	static const char *const bodies[] = {
	    "",
	    "[]",
	    "{\"ps\":\"x\",\"format\":\"raw\"}",
	    "{\"syskey\":\"_design/x\",\"ps\":\"x\",\"format\":\"raw\"}",
	    "{\"syskey\":\"web01\",\"ps\":\"x\",\"format\":\"pickle\"}",
	    "{\"syskey\":\"web01\",\"_id\":\"x\",\"format\":\"raw\"}",
	    "{\"syskey\":\"web01\",\"vogeler\":\"x\",\"format\":\"raw\"}",
	};
	struct world *w = *state;
	size_t n = sizeof(bodies) / sizeof(bodies[0]), i;

	fake_broker_auto_confirm(w->publisher, true);
	for (i = 0; i < n; i++) {
		deliver(w, bodies[i]);
		fake_advance(w->loop, 0);
		assert_int_equal(fake_broker_published(w->publisher), i + 1);
	}
	assert_int_equal(fake_store_puts(w->store), 0);
	assert_int_equal(inbox_in_hand(w->inbox), 0);
}

static void
an_oversize_message_is_buried_with_its_size(void **state)
{
	struct world *w = *state;
	struct message m = message("{\"syskey\":\"web01\"", NULL);

	fake_broker_deliver_oversize(w->consumer, "vogeler.master.in", "", &m, 99000000);
	fake_advance(w->loop, 0);
	assert_int_equal(fake_broker_published(w->publisher), 1);
	{
		const struct message *dead = &fake_broker_publish_at(w->publisher, 0)->message;
		int64_t size = 0;

		assert_true(message_int(dead, "x-oversize", &size));
		assert_int_equal(size, 99000000);
	}
}

static void
a_letter_is_sent_again_until_it_is_confirmed(void **state)
{
	struct world *w = *state;

	deliver(w, "x");
	fake_advance(w->loop, 0);
	fake_broker_confirm(w->publisher, 1, BROKER_RETURNED, "NO_ROUTE");
	fake_advance(w->loop, 60000);
	assert_int_equal(fake_broker_published(w->publisher), 2);
	fake_broker_down(w->publisher); /* LOST */
	fake_advance(w->loop, 60000);
	assert_int_equal(fake_broker_published(w->publisher), 2);
	assert_log(w, "");
	fake_broker_up(w->publisher);
	fake_advance(w->loop, 60000);
	assert_int_equal(fake_broker_published(w->publisher), 3);
	fake_broker_confirm(w->publisher, 3, BROKER_CONFIRMED, NULL);
	fake_advance(w->loop, 0);
	assert_log(w, "ack 1; ");
}

static void
headers_of_a_letter_are_the_collectors_own(void **state)
{
	struct world *w = *state;
	struct message m = message("x", "web07");
	const struct message *dead;
	char name[32];
	int i;

	message_add_str(&m, "x-sender", "admin");
	for (i = 1; i < MESSAGE_HEADERS_MAX; i++) {
		snprintf(name, sizeof(name), "h%d", i);
		message_add_int(&m, name, i);
	}
	m.expiration = strdup("1000");
	m.correlation_id = strdup("job-1");
	fake_broker_deliver(w->consumer, "e", "k", &m);
	fake_advance(w->loop, 0);
	dead = &fake_broker_publish_at(w->publisher, 0)->message;
	assert_string_equal(message_str(dead, "x-sender"), "web07");
	assert_string_equal(message_str(dead, "x-routing-key"), "k");
	assert_null(dead->expiration);
	assert_string_equal(dead->correlation_id, "job-1");
	for (i = 0; i < (int)dead->n_headers; i++)
		assert_false(strcmp(dead->headers[i].name, "x-sender") == 0 &&
			     strcmp(dead->headers[i].u.str, "admin") == 0);
}

static void
what_the_store_rejects_is_buried_as_it_came(void **state)
{
	struct world *w = *state;
	const char *body = "{\"syskey\":\"toolarge\",\"ps\":\"x\",\"format\":\"raw\"}";

	fake_broker_auto_confirm(w->publisher, true);
	deliver(w, body);
	fake_advance(w->loop, 100);
	assert_int_equal(fake_broker_published(w->publisher), 1);
	assert_string_equal(fake_broker_publish_at(w->publisher, 0)->message.body, body);
	assert_string_equal(
	    message_str(&fake_broker_publish_at(w->publisher, 0)->message, "x-reason"),
	    "as the test says");
	assert_log(w, "ack 1; ");
}

static void
a_host_writes_only_its_own_record_when_attested(void **state)
{
	struct world *w = *state;
	const char *reason;

	deliver_from(w, GOOD, "web01");
	deliver_from(w, GOOD, "web02");
	deliver_from(w, GOOD, "WEB01");
	deliver_from(w, GOOD, NULL);
	fake_advance(w->loop, 100);
	assert_string_equal(fake_store_put_text(w->store, 0), "web01:1");
	assert_int_equal(fake_broker_published(w->publisher), 3);
	reason = message_str(&fake_broker_publish_at(w->publisher, 0)->message, "x-reason");
	assert_non_null(strstr(reason, "web02"));
}

static void
many_dead_letters_close_the_valve(void **state)
{
	struct world *w = *state;
	int i;

	for (i = 0; i < DEADLETTER_PENDING_MAX - 1; i++)
		deliver(w, "x");
	fake_advance(w->loop, 0);
	assert_log(w, "");
	deliver(w, "x");
	assert_log(w, "pause; ");
	fake_broker_auto_confirm(w->publisher, true);
	fake_advance(w->loop, 0);
	assert_log(w, "resume; ack 100 multiple; ");
}

static void
a_lost_consumer_takes_unsent_dead_letters_along(void **state)
{
	struct world *w = *state;

	fake_broker_block(w->publisher, true);
	deliver(w, "x");
	fake_advance(w->loop, 100);
	fake_broker_down(w->consumer);
	assert_int_equal(inbox_in_hand(w->inbox), 0);
	fake_broker_up(w->consumer);
	deliver(w, "x"); /* it comes again */
	fake_broker_auto_confirm(w->publisher, true);
	fake_broker_block(w->publisher, false);
	fake_advance(w->loop, 60000);
	assert_int_equal(fake_broker_published(w->publisher), 1);
	assert_int_equal(inbox_in_hand(w->inbox), 0);
}

static void
a_dead_letter_lost_on_the_way_is_not_sent_for_a_lost_consumer(void **state)
{
	struct world *w = *state;

	deliver(w, "x");
	fake_advance(w->loop, 100);
	assert_int_equal(fake_broker_published(w->publisher), 1);
	fake_broker_down(w->consumer);
	fake_broker_down(w->publisher); /* nobody knows whether it arrived */
	assert_int_equal(inbox_in_hand(w->inbox), 0);
	fake_broker_up(w->publisher);
	fake_broker_up(w->consumer);
	fake_advance(w->loop, 60000);
	assert_int_equal(fake_broker_published(w->publisher), 1);
	deliver(w, "x"); /* it comes again */
	fake_advance(w->loop, 100);
	assert_int_equal(fake_broker_published(w->publisher), 2);
}

static void
held_bytes_close_the_valve_and_open_it_again(void **state)
{
	struct world *w = *state;
	char *body = NULL;

	assert_int_not_equal(
	    asprintf(&body, "{\"syskey\":\"web01\",\"format\":\"raw\",\"ps\":\"%060000d\"}", 0),
	    -1);
	fake_store_hold(w->store);
	deliver(w, body);
	assert_true(fake_broker_is_paused(w->consumer));
	assert_in_range(inbox_held_bytes(w->inbox), 120000, 140000);
	fake_store_release(w->store);
	fake_advance(w->loop, 50);
	assert_false(fake_broker_is_paused(w->consumer));
	assert_log(w, "pause; resume; ack 1; ");
	free(body);
}

static void
a_reload_applies_the_prefetch(void **state)
{
	struct world *w = *state;

	inbox_reload(w->inbox, &w->options);
	assert_log(w, "");
	w->options.prefetch = 7;
	inbox_reload(w->inbox, &w->options);
	assert_log(w, "cancel; consume vogeler.fresh 7; consume master.in 7; ");
	fake_broker_down(w->consumer);
	w->options.prefetch = 8;
	inbox_reload(w->inbox, &w->options);
	assert_log(w, "");
	fake_broker_up(w->consumer);
	fake_advance(w->loop, 0);
	assert_log(w, "consume vogeler.fresh 8; consume master.in 8; ");
}

/* Its password may be what was reloaded. */
static void
a_reload_asks_a_store_that_is_away(void **state)
{
	struct world *w = *state;

	w->store_is_away = true;
	fake_store_probe_says(w->store, false);
	deliver(w, GOOD);
	fake_advance(w->loop, 60000);
	assert_int_equal(inbox_get_state(w->inbox), INBOX_PROBING);
	fake_store_probe_says(w->store, true);
	inbox_reload(w->inbox, &w->options);
	fake_advance(w->loop, 0);
	fake_advance(w->loop, 0);
	assert_int_equal(inbox_get_state(w->inbox), INBOX_TRYING);
}

static void
until(struct world *w, enum inbox_state s)
{
	for (int i = 0; i < 10000 && inbox_get_state(w->inbox) != s; i++)
		fake_advance(w->loop, 100);
	assert_int_equal(inbox_get_state(w->inbox), s);
}

static void
a_store_outage_gives_back_once_cancels_and_probes(void **state)
{
	struct world *w = *state;

	w->store_is_away = true;
	fake_store_probe_says(w->store, false);
	deliver(w, GOOD);
	deliver_fresh(w, GOOD);
	fake_advance(w->loop, 9000);
	assert_log(w, "");
	fake_advance(w->loop, 8000);
	assert_log(w, "cancel; nack 2 multiple requeue; ");
	assert_int_equal(inbox_in_hand(w->inbox), 0);
	deliver(w, GOOD); /* it was on its way */
	assert_log(w, "nack 3 requeue; ");
	fake_advance(w->loop, 60000);
	assert_log(w, "");
	w->store_is_away = false;
	fake_store_probe_says(w->store, true);
	until(w, INBOX_TRYING);
	assert_log(w, "consume vogeler.fresh 1; consume master.in 1; ");
	deliver(w, GOOD);
	fake_advance(w->loop, 100);
	assert_log(w, "cancel; consume vogeler.fresh 1000; consume master.in 1000; ack 4; ");
}

/* Deliveries that wait for the store in PROBING and TRYING are told as trouble with it. */
static int64_t
trouble_ms(struct world *w)
{
	struct inbox_status s;

	inbox_status(w->inbox, &s);
	return s.trouble != NULL ? s.trouble_ms : -1;
}

static uint64_t
given_back(struct world *w)
{
	struct inbox_status s;

	inbox_status(w->inbox, &s);
	return s.given_back;
}

/* As of a full disk: there is room for a probe, and for nothing else. */
static void
a_probe_that_passes_is_no_proof(void **state)
{
	struct world *w = *state;
	int64_t before = 0, now;
	size_t puts;

	w->store_is_away = true;
	deliver(w, GOOD);
	deliver(w, GOOD);
	until(w, INBOX_TRYING);
	assert_log(
	    w, "cancel; nack 2 multiple requeue; consume vogeler.fresh 1; consume master.in 1; ");
	deliver(w, GOOD); /* one of them comes again */
	puts = fake_store_puts(w->store);
	for (int i = 0; i < 300; i++) {
		fake_advance(w->loop, 1000);
		now = trouble_ms(w);
		assert_true(now >= before + 1000 || i == 0);
		before = now;
	}
	assert_true(before >= 300000);
	assert_log(w, "");
	assert_int_equal(given_back(w), 2);
	assert_in_range(fake_store_puts(w->store), puts + 50, puts + 150); /* at most every 5 s */
	w->store_is_away = false;
	fake_advance(w->loop, 6000);
	assert_log(w, "cancel; consume vogeler.fresh 1000; consume master.in 1000; ack 3; ");
	assert_int_equal(trouble_ms(w), -1);
}

/* The broker closes a channel that holds a delivery for 30 minutes. */
static void
what_is_tried_is_not_held_for_ever(void **state)
{
	struct world *w = *state;

	w->store_is_away = true;
	deliver(w, GOOD);
	until(w, INBOX_TRYING);
	deliver(w, GOOD);
	fake_broker_log_clear(w->consumer);
	fake_advance(w->loop, 9 * 60 * 1000);
	assert_log(w, "");
	until(w, INBOX_PROBING);
	until(w, INBOX_TRYING);
	assert_log(
	    w, "cancel; nack 2 multiple requeue; consume vogeler.fresh 1; consume master.in 1; ");
	assert_in_range(trouble_ms(w), 10 * 60 * 1000, 11 * 60 * 1000);
}

/* Somebody else has taken what was given back. */
static void
when_nothing_waits_it_takes_all_again(void **state)
{
	struct world *w = *state;

	w->store_is_away = true;
	deliver(w, GOOD);
	fake_advance(w->loop, 60000);
	assert_log(w,
	    "cancel; nack 1 multiple requeue; consume vogeler.fresh 1; consume master.in 1; cancel; consume vogeler.fresh 1000; consume master.in 1000; ");
	assert_int_equal(trouble_ms(w), -1);
}

static void
an_idle_store_is_probed(void **state)
{
	struct world *w = *state;
	size_t before = fake_store_probes(w->store);

	for (int i = 0; i < 30; i++) {
		deliver(w, GOOD);
		fake_advance(w->loop, 2000);
	}
	assert_int_equal(fake_store_probes(w->store), before); /* the writes tell */
	fake_broker_log_clear(w->consumer);
	fake_advance(w->loop, 60000);
	assert_in_range(fake_store_probes(w->store), before + 11, before + 14);
	assert_int_equal(trouble_ms(w), -1);
	fake_store_probe_says(w->store, false);
	fake_advance(w->loop, 5000);
	assert_true(trouble_ms(w) >= 0);
	assert_log(w, "cancel; ");
	fake_store_probe_says(w->store, true);
	fake_advance(w->loop, 10000);
	assert_int_equal(trouble_ms(w), -1);
	assert_log(
	    w, "consume vogeler.fresh 1000; consume master.in 1000; "); /* no write was refused */
}

static void
a_probe_without_an_answer_is_seen(void **state)
{
	struct world *w = *state;
	struct inbox_status s;

	fake_store_hold_probes(w->store, true);
	fake_advance(w->loop, 8000);
	inbox_status(w->inbox, &s);
	assert_in_range(s.unanswered_ms, 3000, 4000);
	deliver(w, GOOD); /* it takes writes all the same */
	fake_advance(w->loop, 100);
	inbox_status(w->inbox, &s);
	assert_int_equal(s.unanswered_ms, 0);
	fake_store_hold_probes(w->store, false);
	fake_advance(w->loop, 5000);
	inbox_status(w->inbox, &s);
	assert_int_equal(s.unanswered_ms, 0);
	assert_null(s.trouble);
}

/* Lines at WARN and above that have text; the log begins anew. */
static int
lines_with(FILE *log, const char *text)
{
	char line[1024];
	int n = 0;

	rewind(log);
	while (fgets(line, sizeof(line), log) != NULL)
		n += strstr(line, text) != NULL;
	assert_int_equal(ftruncate(fileno(log), 0), 0);
	rewind(log);
	return n;
}

static void
the_end_of_an_outage_sums_up_what_was_not_told(void **state)
{
	struct world *w = *state;
	FILE *log = tmpfile();
	int terminal = dup(STDERR_FILENO), told[3];

	dup2(fileno(log), STDERR_FILENO);
	log_set_level(LOG_LEVEL_WARN);
	for (int i = 0; i < 3; i++) { /* the second too soon after the first */
		fake_store_probe_says(w->store, false);
		fake_advance(w->loop, 30000);
		assert_int_equal(inbox_get_state(w->inbox), INBOX_PROBING);
		fake_store_probe_says(w->store, true);
		until(w, INBOX_TAKING);
		told[i] = lines_with(log, " s, unlogged=");
	}
	log_set_level(LOG_LEVEL_CRITICAL);
	dup2(terminal, STDERR_FILENO);
	close(terminal);
	fclose(log);
	assert_int_equal(told[0], 1);
	assert_int_equal(told[1], 0);
	assert_int_equal(told[2], 1);
}

static void
acks_of_a_lost_connection_are_not_sent_on_the_next(void **state)
{
	struct world *w = *state;

	fake_store_hold(w->store);
	deliver(w, GOOD);
	fake_advance(w->loop, 100);
	fake_broker_down(w->consumer);
	fake_broker_up(w->consumer);
	deliver(w, GOOD);
	fake_broker_log_clear(w->consumer);
	fake_store_release(w->store);
	fake_advance(w->loop, 100);
	assert_log(w, "ack 1; ");
	assert_int_equal(inbox_in_hand(w->inbox), 0);
}

/* Two collectors in each other's way: the other has the queue. One answer is left in hand. */
static void
stand_by(struct world *w)
{
	char body[64];
	struct broker *leader = fake_broker("leader");

	w->rival = true;
	for (int i = 0; i < LEADER_WRITES; i++) {
		snprintf(body, sizeof(body),
		    "{\"syskey\":\"h%03d\",\"ps\":\"a\",\"format\":\"output\"}", i);
		deliver(w, body);
	}
	fake_advance(w->loop, 1000);
	assert_string_equal(fake_broker_log(leader), "start; ");
	w->rival = false;
	fake_advance(w->loop, 10000);
	fake_broker_log_clear(leader);
	fake_broker_log_clear(w->consumer);
	deliver(w, GOOD);
	fake_broker_fail(leader, BROKER_ERR_IN_USE, "RESOURCE_LOCKED");
	assert_int_equal(inbox_get_state(w->inbox), INBOX_STANDBY);
}

/* The other is gone. */
static void
take_over(struct world *w)
{
	struct broker *leader = fake_broker("leader");

	fake_advance(w->loop, LEADER_LOOK_MS);
	fake_broker_confirm(w->publisher, fake_broker_published(w->publisher), BROKER_RETURNED, "");
	fake_broker_up(leader);
	until(w, INBOX_TAKING);
	fake_broker_log_clear(leader);
}

static void
who_is_not_the_leader_gives_back_and_stands_by(void **state)
{
	struct world *w = *state;

	stand_by(w);
	assert_log(w, "cancel; nack 201 multiple requeue; ");
	assert_int_equal(inbox_in_hand(w->inbox), 0);
	deliver(w, GOOD); /* it was on its way */
	assert_log(w, "nack 202 requeue; ");
	fake_broker_down(w->consumer);
	fake_broker_up(w->consumer);
	fake_advance(w->loop, 60000);
	assert_log(w, "");
	assert_int_equal(trouble_ms(w), -1);
	inbox_drain(w->inbox);
	fake_advance(w->loop, 0);
	assert_int_equal(w->drained, 1);
}

/* Who stands by with a store that is away could not go on: that is told. */
static void
who_stands_by_probes_its_store(void **state)
{
	struct world *w = *state;

	stand_by(w);
	fake_store_probe_says(w->store, false);
	until(w, INBOX_PROBING);
	fake_advance(w->loop, 10000);
	assert_true(trouble_ms(w) >= 10000);
	fake_store_probe_says(w->store, true);
	until(w, INBOX_STANDBY);
	assert_int_equal(trouble_ms(w), -1);
	fake_store_probe_says(w->store, false);
	until(w, INBOX_PROBING);
	fake_advance(w->loop, LEADER_LOOK_MS);
	fake_broker_confirm(w->publisher, fake_broker_published(w->publisher), BROKER_RETURNED, "");
	fake_broker_log_clear(fake_broker("leader"));
	fake_broker_up(fake_broker("leader")); /* the other has no store either */
	fake_advance(w->loop, 10000);
	assert_int_equal(inbox_get_state(w->inbox), INBOX_PROBING);
	assert_string_equal(fake_broker_log(fake_broker("leader")), "stop; ");
	fake_store_probe_says(w->store, true);
	until(w, INBOX_TAKING);
}

static void
when_the_other_is_gone_it_goes_on(void **state)
{
	struct world *w = *state;

	stand_by(w);
	fake_broker_log_clear(w->consumer);
	take_over(w);
	assert_log(w, "cancel; consume vogeler.fresh 1000; consume master.in 1000; ");
	deliver(w, GOOD);
	fake_advance(w->loop, 100);
	assert_log(w, "ack 202; ");
}

static void
who_loses_its_store_or_its_consumers_resigns(void **state)
{
	struct world *w = *state;
	struct broker *leader = fake_broker("leader");

	stand_by(w);
	take_over(w);
	w->store_is_away = true;
	deliver(w, GOOD);
	until(w, INBOX_PROBING);
	assert_string_equal(fake_broker_log(leader), "stop; ");
	w->store_is_away = false;
	until(w, INBOX_TAKING);
	fake_broker_log_clear(leader);
	stand_by(w);
	take_over(w);
	fake_broker_down(w->consumer);
	assert_string_equal(fake_broker_log(leader), "stop; ");
}

static void
draining_finishes_what_is_in_hand(void **state)
{
	struct world *w = *state;

	deliver(w, GOOD);
	inbox_drain(w->inbox);
	assert_log(w, "cancel; ");
	deliver(w, GOOD);
	assert_log(w, "nack 2 requeue; ");
	assert_int_equal(w->drained, 0);
	fake_advance(w->loop, 0);
	assert_log(w, "ack 1; ");
	assert_int_equal(w->drained, 1);
	assert_int_equal(inbox_get_state(w->inbox), INBOX_DRAINED);
}

static void
draining_gives_back_when_time_is_over(void **state)
{
	struct world *w = *state;

	fake_store_hold(w->store);
	deliver(w, GOOD);
	fake_advance(w->loop, 100);
	inbox_drain(w->inbox);
	fake_advance(w->loop, 9999);
	assert_int_equal(w->drained, 0);
	fake_advance(w->loop, 1);
	assert_log(w, "cancel; nack 1 multiple requeue; ");
	assert_int_equal(w->drained, 1);
}

static void
draining_with_nothing_in_hand_is_over_at_once(void **state)
{
	struct world *w = *state;

	inbox_drain(w->inbox);
	assert_int_equal(w->drained, 0);
	fake_advance(w->loop, 0);
	assert_int_equal(w->drained, 1);
	inbox_drain(w->inbox);
	fake_advance(w->loop, 100000);
	assert_int_equal(w->drained, 1);
}

#define TAKING(f) cmocka_unit_test_setup_teardown(f, setup_taking, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		it_consumes_when_store_and_broker_are_there, setup, teardown),
	    TAKING(a_response_is_acked_after_it_is_stored),
	    cmocka_unit_test_setup_teardown(
		without_the_fresh_queue_it_reads_the_other, setup_probed, teardown),
	    TAKING(fresh_ones_go_into_the_next_put),
	    TAKING(a_large_stale_one_does_not_hold_up_what_is_fresh),
	    TAKING(who_watches_is_told_of_what_is_stored),
	    TAKING(nobody_makes_it_write_to_other_queues),
	    TAKING(a_reload_changes_the_limits_of_values),
	    TAKING(poison_is_buried_and_the_rest_flows),
	    TAKING(every_kind_of_poison_is_refused),
	    TAKING(an_oversize_message_is_buried_with_its_size),
	    TAKING(a_letter_is_sent_again_until_it_is_confirmed),
	    TAKING(headers_of_a_letter_are_the_collectors_own),
	    TAKING(what_the_store_rejects_is_buried_as_it_came),
	    cmocka_unit_test_setup_teardown(
		a_host_writes_only_its_own_record_when_attested, setup_attesting, teardown),
	    TAKING(many_dead_letters_close_the_valve),
	    TAKING(a_lost_consumer_takes_unsent_dead_letters_along),
	    TAKING(a_dead_letter_lost_on_the_way_is_not_sent_for_a_lost_consumer),
	    TAKING(held_bytes_close_the_valve_and_open_it_again),
	    TAKING(a_reload_applies_the_prefetch),
	    TAKING(a_reload_asks_a_store_that_is_away),
	    TAKING(a_store_outage_gives_back_once_cancels_and_probes),
	    TAKING(a_probe_that_passes_is_no_proof),
	    TAKING(what_is_tried_is_not_held_for_ever),
	    TAKING(when_nothing_waits_it_takes_all_again),
	    TAKING(an_idle_store_is_probed),
	    TAKING(a_probe_without_an_answer_is_seen),
	    TAKING(the_end_of_an_outage_sums_up_what_was_not_told),
	    TAKING(acks_of_a_lost_connection_are_not_sent_on_the_next),
	    TAKING(who_is_not_the_leader_gives_back_and_stands_by),
	    TAKING(who_stands_by_probes_its_store),
	    TAKING(when_the_other_is_gone_it_goes_on),
	    TAKING(who_loses_its_store_or_its_consumers_resigns),
	    TAKING(draining_finishes_what_is_in_hand),
	    TAKING(draining_gives_back_when_time_is_over),
	    TAKING(draining_with_nothing_in_hand_is_over_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
