/* SPDX-License-Identifier: Apache-2.0 */
/* The hand with its batch, acks and dead letters, between a fake broker and a fake store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/batch.h"
#include "daemon/deadletter.h"
#include "daemon/inflight.h"
#include "shared/base/trouble.h"
#include "shared/config/options_load.h"
#include "tests/fake/fake_broker_api.h"
#include "tests/fake/fake_loop.h"
#include "tests/fake/fake_store.h"
#include "tests/unit/collector_drive.h"

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fixture {
	struct loop *loop;
	struct fake_store *store;
	struct broker *consumer, *publisher;
	struct inflight *inflight;
	struct options options;
	bool refusing; /* deliveries: nothing is to be taken */
	bool store_is_away;
	unsigned int unparsed;     /* values given to the store as text */
	unsigned int stored, dead; /* on_done */
	unsigned int held_up;      /* on_held_up */
};

static void
consumer_ready(struct broker *b, void *arg)
{
}

static void
consumer_down(struct broker *b, const struct broker_failure *f, void *arg)
{
	inflight_on_consumer_down(((struct fixture *)arg)->inflight);
}

static void
delivered(struct broker *b, struct delivery *d, void *arg)
{
	struct fixture *w = arg;

	if (w->refusing)
		inflight_refuse(w->inflight, d);
	else
		inflight_take(w->inflight, d);
}

static void
publisher_ready(struct broker *b, void *arg)
{
	deadletter_on_ready(inflight_deadletter(((struct fixture *)arg)->inflight));
}

static void
confirmed(struct broker *b, uint64_t id, enum broker_outcome outcome, const char *why, void *arg)
{
	deadletter_on_confirm(
	    inflight_deadletter(((struct fixture *)arg)->inflight), id, outcome, why);
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
on_done(bool stored, void *arg)
{
	struct fixture *w = arg;

	if (stored)
		w->stored++;
	else
		w->dead++;
}

static void
on_breaker(void *arg)
{
}

static void
on_held_up(void *arg)
{
	((struct fixture *)arg)->held_up++;
}

static const struct inflight_handlers inflight_handlers = {on_done, on_breaker, on_held_up, NULL};

static enum store_status
judge(struct fake_store *f, struct store_write *const *writes, size_t n, size_t i, void *arg)
{
	struct fixture *w = arg;

	if (w->store_is_away)
		return STORE_RETRY;
	w->unparsed += writes[i]->results[0]->unparsed != NULL;
	if (strcmp(writes[i]->host, "locked") == 0)
		return STORE_RETRY;
	if (strncmp(writes[i]->host, "damaged", 7) == 0)
		return STORE_DAMAGED;
	if (strcmp(writes[i]->host, "invalid") == 0) /* by validation of its values */
		return writes[i]->results[0]->error == NULL ? STORE_REFUSED : STORE_OK;
	return strcmp(writes[i]->host, "toolarge") == 0 ? STORE_REJECT : STORE_OK;
}

static int
setup(void **state)
{
	struct fixture *w = calloc(1, sizeof(*w));
	struct inflight_parts parts;

	ident_init();
	log_set_level(LOG_LEVEL_CRITICAL);
	w->loop = loop_create();
	w->store = fake_store_create(w->loop, 1, 0);
	fake_store_judge(w->store, judge, w);
	w->consumer = make_broker(w->loop, "consumer", &consumer_handlers, w);
	w->publisher = make_broker(w->loop, "publisher", &publisher_handlers, w);
	options_init(&w->options);
	w->options.intake_max_bytes = 100000;
	w->options.batch_max_age_ms = 50;
	w->options.store_patience_ms = 10000;
	parts =
	    (struct inflight_parts){w->loop, w->consumer, w->publisher, fake_store_base(w->store)};
	w->inflight = inflight_create(&parts, &w->options, &inflight_handlers, w);
	batch_tell(inflight_batch(w->inflight), BREAKER_PROBE_PASSED, NULL);
	fake_broker_up(w->consumer);
	fake_broker_up(w->publisher);
	fake_broker_log_clear(w->consumer);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *w = *state;

	fake_store_destroy(w->store);
	inflight_destroy(w->inflight);
	broker_destroy(w->consumer);
	broker_destroy(w->publisher);
	options_finish(&w->options);
	loop_destroy(w->loop);
	free(w);
	return 0;
}

static struct inflight_status
status(struct fixture *w)
{
	struct inflight_status s;

	inflight_status(w->inflight, &s);
	return s;
}

#define JOB "0192e4c0-0000-7000-8000-000000000001"

static void
a_response_is_acked_after_it_is_stored(void **state)
{
	struct fixture *w = *state;

	fake_store_hold(w->store);
	deliver(w->consumer, GOOD);
	deliver(w->consumer, "{\"syskey\":\"web01\",\"a\":\"1\",\"b\":\"2\",\"format\":\"json\"}");
	deliver(w->consumer, "{\"syskey\":\"db01\",\"format\":\"pydict\"}");
	fake_advance(w->loop, 1000);
	assert_string_equal(fake_store_put_text(w->store, 0), "web01:3 db01:1");
	assert_told(w->consumer, "");
	assert_int_equal(inflight_count(w->inflight), 3);
	fake_store_release(w->store);
	fake_advance(w->loop, 0);
	assert_told(w->consumer, "ack 3 multiple; ");
	assert_int_equal(inflight_count(w->inflight), 0);
	assert_int_equal(status(w).bytes, 0);
}

/* A put at a time, of one host each. */
static void
fresh_ones_go_into_the_next_put(void **state)
{
	struct fixture *w = *state;
	char body[128];

	w->options.batch_max_count = 1;
	inflight_set_options(w->inflight, &w->options);
	fake_store_hold(w->store);
	for (int i = 0; i < 20; i++) {
		snprintf(body, sizeof(body), "{\"syskey\":\"old%d\",\"format\":\"pydict\"}", i);
		deliver(w->consumer, body);
	}
	fake_advance(w->loop, 0);
	deliver_fresh(w->consumer, "{\"syskey\":\"new\",\"format\":\"pydict\"}");
	deliver_fresh(w->consumer, "{\"syskey\":\"old9\",\"format\":\"pydict\"}");
	fake_advance(w->loop, 0);
	assert_int_equal(fake_store_puts(w->store), 1);
	assert_string_equal(fake_store_put_text(w->store, 0), "old0:1");
	fake_store_release(w->store);
	for (int i = 0; i < 3; i++)
		fake_advance(w->loop, 0);
	assert_string_equal(fake_store_put_text(w->store, 1), "new:1");
	assert_string_equal(fake_store_put_text(w->store, 2), "old9:2");
	fake_advance(w->loop, 1000);
	assert_int_equal(inflight_count(w->inflight), 0);
}

/* It is read on a thread, whose word does not reach the fake loop: what is of the same host waits.
 */
static void
a_large_stale_one_does_not_hold_up_what_is_fresh(void **state)
{
	struct fixture *w = *state;
	char *body = NULL;

	assert_int_not_equal(
	    asprintf(&body, "{\"syskey\":\"old\",\"format\":\"raw\",\"ps\":\"%0100000d\"}", 0), -1);
	w->options.intake_max_bytes = 10000000;
	inflight_set_options(w->inflight, &w->options);
	deliver(w->consumer, body);
	deliver(w->consumer, "{\"syskey\":\"old\",\"format\":\"pydict\"}");
	deliver_fresh(w->consumer, "{\"syskey\":\"new\",\"format\":\"pydict\"}");
	fake_advance(w->loop, 50);
	assert_string_equal(fake_store_put_text(w->store, 0), "new:1");
	fake_advance(w->loop, 50);
	assert_told(w->consumer, "ack 3; "); /* nor its ack */
	free(body);
}

static void
deliver_answer(struct fixture *w, const char *host, const char *reply_to)
{
	struct message m = make_message("", NULL);
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
	struct fixture *w = *state;
	const struct fake_publish *p;

	fake_store_hold(w->store);
	deliver_answer(w, "web01", "vogeler.reply." JOB);
	deliver_answer(w, "web02", "vogeler.reply." JOB);
	deliver_answer(w, "toolarge", "vogeler.reply." JOB);
	fake_advance(w->loop, 1000);
	assert_int_equal(fake_broker_published(w->publisher), 0);
	fake_store_release(w->store);
	fake_advance(w->loop, 0);
	assert_int_equal(fake_broker_published(w->publisher), 1);
	p = fake_broker_publish_at(w->publisher, 0);
	assert_string_equal(p->exchange, "");
	assert_string_equal(p->routing_key, "vogeler.reply." JOB);
	assert_false(p->mandatory);
	assert_false(p->message.persistent);
	assert_non_null(strstr(p->message.body, "web01"));
	assert_non_null(strstr(p->message.body, "web02"));
	assert_null(strstr(p->message.body, "toolarge"));
}

/* Who watches, and the ledger, hear of an answer that is dead-lettered; before it is acked. */
static void
an_answer_that_is_not_taken_is_a_failure(void **state)
{
	struct fixture *w = *state;
	bool noticed = false, buried = false;

	deliver_answer(w, "toolarge", "vogeler.reply." JOB);
	fake_advance(w->loop, 1000);
	fake_advance(w->loop, 1000);
	assert_int_equal(fake_broker_published(w->publisher), 2);
	for (size_t i = 0; i < 2; i++) {
		const struct fake_publish *p = fake_broker_publish_at(w->publisher, i);

		buried = buried || strcmp(p->routing_key, "vogeler.dead") == 0;
		noticed = noticed || (strstr(p->message.body, "\"state\":\"failed\"") != NULL &&
					 strstr(p->message.body, "was not stored") != NULL);
	}
	assert_true(buried && noticed);
	/* The record takes the failure no more than the answer: the ledger has it. */
	assert_int_equal(fake_store_outcomes(w->store), 1);
}

/* "" = none was sent. Borrowed. */
static const char *
notice_of(struct fixture *w, const char *host)
{
	for (size_t i = 0; i < fake_broker_published(w->publisher); i++) {
		const struct fake_publish *p = fake_broker_publish_at(w->publisher, i);

		if (strcmp(p->routing_key, "vogeler.reply." JOB) == 0 &&
		    strstr(p->message.body, host) != NULL)
			return p->message.body;
	}
	return "";
}

/* CouchDB's validation: the record takes the failure in the answer's place. */
static void
an_answer_that_validation_refuses_is_a_failure(void **state)
{
	struct fixture *w = *state;

	deliver_answer(w, "invalid", "vogeler.reply." JOB);
	deliver_answer(w, "web01", NULL);
	fake_advance(w->loop, 1000);
	assert_non_null(strstr(notice_of(w, "invalid"), "\"state\":\"failed\""));
	assert_non_null(strstr(notice_of(w, "invalid"), "was not stored"));
	assert_int_equal(fake_store_outcomes(w->store), 0);
	assert_int_equal(w->stored, 1);
	assert_int_equal(status(w).dead[INFLIGHT_DEAD_REJECTED], 1);
}

/* All that is written of the host is put off, for longer than a delivery may be held; others are
 * taken. The ledger has it in the end, before the broker would close the channel. */
static void
a_host_that_is_put_off_for_long_is_a_failure(void **state)
{
	struct fixture *w = *state;
	int64_t ms;

	deliver_answer(w, "locked", "vogeler.reply." JOB);
	for (ms = 0; fake_store_outcomes(w->store) == 0 && ms < 30 * 60 * 1000; ms += 10000) {
		deliver_answer(w, "web01", NULL);
		fake_advance(w->loop, 10000);
	}
	assert_in_range(ms, BATCH_HOLD_MS, 25 * 60 * 1000);
	fake_advance(w->loop, 1000);
	assert_int_equal(fake_store_outcomes(w->store), 1);
	assert_non_null(strstr(notice_of(w, "locked"), "\"state\":\"failed\""));
	assert_int_equal(status(w).dead[INFLIGHT_DEAD_REJECTED], 1);
}

static void
nobody_makes_it_write_to_other_queues(void **state)
{
	static const char *const hostile[] = {"web02", "vogeler.dead", "master.in", "",
	    "vogeler.reply.", "vogeler.reply.0192e4c0-0000-7000-8000-000000000002",
	    "vogeler.reply." JOB "x", "amq.rabbitmq.reply-to"};
	struct fixture *w = *state;
	size_t i;

	for (i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++)
		deliver_answer(w, "web01", hostile[i]);
	deliver_answer(w, "web01", NULL);
	fake_advance(w->loop, 1000);
	assert_int_equal(status(w).stored, i + 1);
	assert_int_equal(fake_broker_published(w->publisher), 0);
	assert_int_equal(status(w).notices.dropped, 0);
}

static void
the_limits_of_values_can_be_changed(void **state)
{
	struct fixture *w = *state;

	deliver(w->consumer, "{\"syskey\":\"a\",\"p\":\"[[1]]\",\"format\":\"json\"}");
	deliver(w->consumer, "{\"syskey\":\"b\",\"p\":\"[[1]]\",\"format\":\"yaml\"}");
	fake_advance(w->loop, 100);
	assert_int_equal(w->unparsed, 0);
	w->options.json_depth = 1;
	w->options.yaml_depth = 1;
	w->options.object_keys = 1;
	inflight_set_options(w->inflight, &w->options);
	deliver(w->consumer, "{\"syskey\":\"f\",\"p\":\"{a: 1, b: 1}\",\"format\":\"yaml\"}");
	deliver(w->consumer,
	    "{\"syskey\":\"g\",\"p\":\"{\\\"a\\\":1,\\\"b\\\":1}\",\"format\":\"json\"}");
	deliver(w->consumer, "{\"syskey\":\"c\",\"p\":\"[[1]]\",\"format\":\"json\"}");
	deliver(w->consumer, "{\"syskey\":\"d\",\"p\":\"[[1]]\",\"format\":\"yaml\"}");
	deliver(w->consumer, "{\"syskey\":\"e\",\"p\":\"[1]\",\"format\":\"yaml\"}");
	fake_advance(w->loop, 100);
	assert_int_equal(w->unparsed, 4);
}

static void
poison_is_buried_and_the_rest_flows(void **state)
{
	struct fixture *w = *state;
	const struct fake_publish *p;

	deliver_from(w->consumer, "not json", "web07");
	deliver(w->consumer, GOOD);
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
	assert_told(w->consumer, "ack 2; "); /* the poison is not acked before it is confirmed */
	fake_broker_confirm(w->publisher, p->id, BROKER_CONFIRMED, NULL);
	fake_advance(w->loop, 0);
	assert_told(w->consumer, "ack 1; ");
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
	struct fixture *w = *state;
	size_t n = sizeof(bodies) / sizeof(bodies[0]), i;

	fake_broker_auto_confirm(w->publisher, true);
	for (i = 0; i < n; i++) {
		deliver(w->consumer, bodies[i]);
		fake_advance(w->loop, 0);
		assert_int_equal(fake_broker_published(w->publisher), i + 1);
	}
	assert_int_equal(fake_store_puts(w->store), 0);
	assert_int_equal(inflight_count(w->inflight), 0);
}

static void
an_oversize_message_is_buried_with_its_size(void **state)
{
	struct fixture *w = *state;
	struct message m = make_message("{\"syskey\":\"web01\"", NULL);

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
	struct fixture *w = *state;

	deliver(w->consumer, "x");
	fake_advance(w->loop, 0);
	fake_broker_confirm(w->publisher, 1, BROKER_RETURNED, "NO_ROUTE");
	fake_advance(w->loop, 60000);
	assert_int_equal(fake_broker_published(w->publisher), 2);
	fake_broker_down(w->publisher); /* LOST */
	fake_advance(w->loop, 60000);
	assert_int_equal(fake_broker_published(w->publisher), 2);
	assert_told(w->consumer, "");
	fake_broker_up(w->publisher);
	fake_advance(w->loop, 60000);
	assert_int_equal(fake_broker_published(w->publisher), 3);
	fake_broker_confirm(w->publisher, 3, BROKER_CONFIRMED, NULL);
	fake_advance(w->loop, 0);
	assert_told(w->consumer, "ack 1; ");
}

static void
headers_of_a_letter_are_the_collectors_own(void **state)
{
	struct fixture *w = *state;
	struct message m = make_message("x", "web07");
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
			     strcmp(dead->headers[i].value, "admin") == 0);
}

static void
what_the_store_rejects_is_buried_as_it_came(void **state)
{
	struct fixture *w = *state;
	const char *body = "{\"syskey\":\"toolarge\",\"ps\":\"x\",\"format\":\"raw\"}";

	fake_broker_auto_confirm(w->publisher, true);
	deliver(w->consumer, body);
	fake_advance(w->loop, 100);
	assert_int_equal(fake_broker_published(w->publisher), 1);
	assert_string_equal(fake_broker_publish_at(w->publisher, 0)->message.body, body);
	assert_string_equal(
	    message_str(&fake_broker_publish_at(w->publisher, 0)->message, "x-reason"),
	    "as the test says");
	assert_told(w->consumer, "ack 1; ");
}

static void
a_host_writes_only_its_own_record_when_attested(void **state)
{
	struct fixture *w = *state;
	const char *reason;

	w->options.attest = OPTIONS_ATTEST_YES;
	inflight_set_options(w->inflight, &w->options);
	deliver_from(w->consumer, GOOD, "web01");
	deliver_from(w->consumer, GOOD, "web02");
	deliver_from(w->consumer, GOOD, "WEB01");
	deliver_from(w->consumer, GOOD, NULL);
	fake_advance(w->loop, 100);
	assert_string_equal(fake_store_put_text(w->store, 0), "web01:1");
	assert_int_equal(fake_broker_published(w->publisher), 3);
	reason = message_str(&fake_broker_publish_at(w->publisher, 0)->message, "x-reason");
	assert_non_null(strstr(reason, "web02"));
}

static void
what_was_put_back_is_of_whom_it_was(void **state)
{
	struct fixture *w = *state;
	struct message m;

	w->options.attest = OPTIONS_ATTEST_YES;
	w->options.retry_users = strdup("ops, ops2");
	inflight_set_options(w->inflight, &w->options);
	deliver_from_with(w->consumer, GOOD, "ops2", "x-sender", "web01"); /* taken */
	deliver_from_with(w->consumer, GOOD, "ops", "x-sender", "web02");
	deliver_from_with(w->consumer, GOOD, "web02", "x-sender", "web01"); /* who may say so? */
	deliver_from_with(w->consumer, GOOD, "ops", "x-other", "web01");
	fake_advance(w->loop, 100);
	assert_string_equal(fake_store_put_text(w->store, 0), "web01:1");
	assert_int_equal(fake_store_puts(w->store), 1);
	assert_int_equal(fake_broker_published(w->publisher), 3);
	/* And so it goes into the dead letters again. */
	m = fake_broker_publish_at(w->publisher, 0)->message;
	assert_string_equal(message_str(&m, "x-sender"), "web02");
	m = fake_broker_publish_at(w->publisher, 1)->message;
	assert_string_equal(message_str(&m, "x-sender"), "web02");
	free(w->options.retry_users);
	w->options.retry_users = NULL;
}

static void
without_retry_users_it_is_the_collector_that_puts_back(void **state)
{
	struct fixture *w = *state;
	struct trouble why = {0};

	w->options.attest = OPTIONS_ATTEST_YES;
	assert_true(options_set_qhost(&w->options, "amqp://vogelerd:x@h/v", "test", &why));
	inflight_set_options(w->inflight, &w->options);
	deliver_from_with(w->consumer, GOOD, "vogelerd", "x-sender", "web01");
	deliver_from_with(w->consumer, GOOD, "ops", "x-sender", "web01");
	fake_advance(w->loop, 100);
	assert_int_equal(fake_store_puts(w->store), 1);
	assert_int_equal(fake_broker_published(w->publisher), 1);
}

/* The default. */
static void
auto_binds_the_users_that_have_a_hosts_name(void **state)
{
	struct fixture *w = *state;
	struct trouble why = {0};

	assert_true(options_set_qhost(&w->options, "amqp://vogelerd:x@h/v", "test", &why));
	inflight_set_options(w->inflight, &w->options);
	deliver_from(w->consumer, GOOD, NULL);
	deliver_from(w->consumer, GOOD, "vogelerd"); /* a host may have that name */
	fake_advance(w->loop, 100);
	assert_int_equal(fake_store_lists(w->store), 0); /* there was no question */
	assert_int_equal(w->stored, 2);
	fake_store_hosts(w->store, "web01 web02 vogelerd");
	deliver_from(w->consumer, GOOD, "web01");
	deliver_from(w->consumer, GOOD, "web02");
	deliver_from(w->consumer, GOOD, "agents");
	deliver_from(w->consumer, GOOD, "vogelerd");
	deliver_from(w->consumer, "{\"syskey\":\"new\",\"format\":\"pydict\"}", "new");
	deliver_from(w->consumer, GOOD, "new");
	fake_advance(w->loop, 200);
	assert_int_equal(fake_store_lists(w->store), 1);
	assert_int_equal(w->stored, 2 + 4);
	assert_int_equal(fake_broker_published(w->publisher), 2); /* by web02 and new */
}

static void
a_sender_waits_until_it_is_known_whether_it_is_a_host(void **state)
{
	struct fixture *w = *state;

	fake_store_hold_hosts(w->store);
	deliver_from(w->consumer, GOOD, "web02");
	deliver_from(w->consumer, GOOD, NULL); /* and overtakes nothing */
	fake_advance(w->loop, 500);
	assert_int_equal(fake_store_puts(w->store), 0);
	fake_store_hosts(w->store, NULL); /* the store fails */
	fake_advance(w->loop, 5000);
	assert_int_equal(fake_store_lists(w->store), 2);
	assert_int_equal(fake_store_puts(w->store), 0);
	fake_store_hosts(w->store, "web02");
	fake_advance(w->loop, 200);
	assert_int_equal(w->stored, 1);
	assert_int_equal(fake_broker_published(w->publisher), 1);
}

static void
what_waits_for_the_list_can_be_given_back(void **state)
{
	struct fixture *w = *state;

	fake_store_hold_hosts(w->store);
	deliver_from(w->consumer, GOOD, "web02");
	fake_advance(w->loop, 100);
	inflight_give_back(w->inflight);
	assert_int_equal(inflight_count(w->inflight), 0);
	fake_store_hosts(w->store, "web02");
	fake_advance(w->loop, 100);
	assert_int_equal(fake_store_puts(w->store), 0);
	deliver_from(w->consumer, GOOD, "web02"); /* then it is no question any more */
	w->options.attest = OPTIONS_ATTEST_NO;
	inflight_set_options(w->inflight, &w->options);
	deliver_from(w->consumer, GOOD, "web02");
	fake_advance(w->loop, 100);
	assert_int_equal(w->stored, 1);
}

/* The queue of dead letters takes nothing: of poison the tags are held, and good answers go on. */
static void
many_dead_letters_hold_up_nothing(void **state)
{
	struct fixture *w = *state;
	size_t bytes;
	int i;

	w->options.intake_max_bytes = 10000000;
	inflight_set_options(w->inflight, &w->options);
	fake_broker_block(w->publisher, true);
	for (i = 0; i < DEADLETTER_PENDING_MAX; i++)
		deliver(w->consumer, "x");
	bytes = status(w).bytes;
	for (i = 0; i < 500; i++)
		deliver(w->consumer, "x");
	assert_int_equal(status(w).bytes, bytes);
	assert_int_equal(inflight_dead_held(w->inflight), DEADLETTER_PENDING_MAX + 500);
	deliver(w->consumer, GOOD);
	fake_advance(w->loop, 5000);
	assert_int_equal(w->stored, 1);
	assert_told(w->consumer, "ack 601; ");
	assert_int_equal(inflight_waiting(w->inflight), 0);
	assert_in_range(w->held_up, 1, 5);
	assert_in_range(status(w).dead_stuck_ms, 5000, 5000);
	fake_broker_auto_confirm(w->publisher, true);
	fake_broker_block(w->publisher, false);
	fake_advance(w->loop, 2000);
	assert_int_equal(inflight_count(w->inflight), 0);
	assert_int_equal(status(w).given_back, 500);
	assert_int_equal(status(w).buried, DEADLETTER_PENDING_MAX);
	assert_int_equal(status(w).dead_stuck_ms, 0);
	assert_int_equal(status(w).outstanding, 0);
}

static void
a_lost_consumer_takes_unsent_dead_letters_along(void **state)
{
	struct fixture *w = *state;

	fake_broker_block(w->publisher, true);
	deliver(w->consumer, "x");
	fake_advance(w->loop, 100);
	fake_broker_down(w->consumer);
	assert_int_equal(inflight_count(w->inflight), 0);
	fake_broker_up(w->consumer);
	deliver(w->consumer, "x"); /* it comes again */
	fake_broker_auto_confirm(w->publisher, true);
	fake_broker_block(w->publisher, false);
	fake_advance(w->loop, 60000);
	assert_int_equal(fake_broker_published(w->publisher), 1);
	assert_int_equal(inflight_count(w->inflight), 0);
}

static void
a_dead_letter_lost_on_the_way_is_not_sent_for_a_lost_consumer(void **state)
{
	struct fixture *w = *state;

	deliver(w->consumer, "x");
	fake_advance(w->loop, 100);
	assert_int_equal(fake_broker_published(w->publisher), 1);
	fake_broker_down(w->consumer);
	fake_broker_down(w->publisher); /* nobody knows whether it arrived */
	assert_int_equal(inflight_count(w->inflight), 0);
	fake_broker_up(w->publisher);
	fake_broker_up(w->consumer);
	fake_advance(w->loop, 60000);
	assert_int_equal(fake_broker_published(w->publisher), 1);
	deliver(w->consumer, "x"); /* it comes again */
	fake_advance(w->loop, 100);
	assert_int_equal(fake_broker_published(w->publisher), 2);
}

static void
held_bytes_close_the_valve_and_open_it_again(void **state)
{
	struct fixture *w = *state;
	char *body = NULL;

	assert_int_not_equal(
	    asprintf(&body, "{\"syskey\":\"web01\",\"format\":\"raw\",\"ps\":\"%060000d\"}", 0),
	    -1);
	fake_store_hold(w->store);
	deliver(w->consumer, body);
	assert_true(fake_broker_is_paused(w->consumer));
	assert_in_range(status(w).bytes, 120000, 140000);
	fake_store_release(w->store);
	fake_advance(w->loop, 50);
	assert_false(fake_broker_is_paused(w->consumer));
	assert_told(w->consumer, "pause; resume; ack 1; ");
	free(body);
}

static void
acks_of_a_lost_connection_are_not_sent_on_the_next(void **state)
{
	struct fixture *w = *state;

	fake_store_hold(w->store);
	deliver(w->consumer, GOOD);
	fake_advance(w->loop, 100);
	fake_broker_down(w->consumer);
	fake_broker_up(w->consumer);
	deliver(w->consumer, GOOD);
	fake_broker_log_clear(w->consumer);
	fake_store_release(w->store);
	fake_advance(w->loop, 100);
	assert_told(w->consumer, "ack 1; ");
	assert_int_equal(inflight_count(w->inflight), 0);
}

static void
what_is_done_is_told(void **state)
{
	struct fixture *w = *state;

	fake_broker_auto_confirm(w->publisher, true);
	deliver(w->consumer, GOOD);
	deliver(w->consumer, "poison");
	deliver(w->consumer, "{\"syskey\":\"toolarge\",\"ps\":\"x\",\"format\":\"raw\"}");
	assert_int_equal(w->stored + w->dead, 0);
	fake_advance(w->loop, 1000);
	assert_int_equal(w->stored, 1);
	assert_int_equal(w->dead, 2);
	assert_int_equal(inflight_received(w->inflight), 3);
}

/* What is read, in the batch, under way to the store, or a dead letter. */
static void
everything_in_hand_can_be_given_back(void **state)
{
	struct fixture *w = *state;

	fake_store_hold(w->store);
	deliver(w->consumer, GOOD);
	fake_advance(w->loop, 100);
	deliver(w->consumer, GOOD);
	deliver(w->consumer, "poison");
	assert_int_equal(inflight_count(w->inflight), 3);
	assert_int_equal(inflight_waiting(w->inflight), 2);
	inflight_give_back(w->inflight);
	assert_told(w->consumer, "nack 3 multiple requeue; ");
	assert_int_equal(inflight_count(w->inflight), 0);
	assert_int_equal(inflight_waiting(w->inflight), 0);
	assert_int_equal(status(w).bytes, 0);
	assert_int_equal(status(w).given_back, 3);
	fake_store_release(w->store);
	fake_broker_auto_confirm(w->publisher, true);
	fake_advance(w->loop, 60000);
	assert_told(w->consumer, "");
	assert_int_equal(w->stored + w->dead, 0);
}

static void
what_is_refused_returns_at_once(void **state)
{
	struct fixture *w = *state;

	w->refusing = true;
	deliver(w->consumer, GOOD);
	assert_told(w->consumer, "nack 1 requeue; ");
	assert_int_equal(status(w).given_back, 1);
	assert_int_equal(inflight_received(w->inflight), 0);
}

static void
how_long_the_store_has_written_nothing(void **state)
{
	struct fixture *w = *state;

	fake_advance(w->loop, 30000);
	assert_int_equal(status(w).stalled_ms, 0); /* nothing waits for it */
	fake_store_hold(w->store);
	deliver(w->consumer, GOOD);
	fake_advance(w->loop, 7000);
	deliver(w->consumer, GOOD);
	fake_advance(w->loop, 1000);
	assert_int_equal(status(w).stalled_ms, 8000);
	fake_store_release(w->store);
	fake_advance(w->loop, 1000);
	assert_int_equal(status(w).stalled_ms, 0);
}

/* ---- slow start ---- */

static void
deliver_of(struct fixture *w, const char *host, bool redelivered)
{
	char body[200];

	snprintf(body, sizeof(body), "{\"syskey\":\"%s\",\"ps\":\"a\",\"format\":\"raw\"}", host);
	fake_broker_redelivers(w->consumer, redelivered);
	deliver(w->consumer, body);
}

/* All that is not read can be seen as waiting; the acks of a lot go before the next one. */
static void
what_came_back_is_tried_alone_and_acked_at_once(void **state)
{
	struct fixture *w = *state;
	char host[16];

	for (int i = 0; i < 4; i++) {
		snprintf(host, sizeof(host), "back%d", i);
		deliver_of(w, host, true);
	}
	deliver_of(w, "new", false);
	fake_advance(w->loop, 0);
	assert_int_equal(status(w).slow_waiting, 4);
	assert_int_equal(inflight_waiting(w->inflight), 1);
	fake_advance(w->loop, 50);
	assert_string_equal(fake_store_put_text(w->store, 0), "new:1");
	fake_advance(w->loop, 50);
	assert_int_equal(status(w).slow_waiting, 3);
	assert_told(w->consumer, "ack 5; ");
	fake_advance(w->loop, 50);
	assert_int_equal(fake_store_puts(w->store), 2);
	fake_advance(w->loop, 10);
	assert_int_equal(status(w).slow_waiting, 1);
	assert_int_equal(status(w).acked, 2);
	fake_advance(w->loop, 50);
	fake_advance(w->loop, 10);
	fake_advance(w->loop, 50);
	fake_advance(w->loop, 1000);
	assert_int_equal(w->stored, 5);
	assert_int_equal(status(w).acked, 5);
	assert_int_equal(inflight_count(w->inflight), 0);
}

/* Its dead letter may wait for hours. */
static void
poison_that_came_back_stops_nothing(void **state)
{
	struct fixture *w = *state;

	fake_broker_down(w->publisher);
	fake_broker_redelivers(w->consumer, true);
	deliver(w->consumer, "not json");
	deliver(w->consumer, "not json");
	deliver(w->consumer, "not json");
	deliver_of(w, "web01", true);
	for (int i = 0; i < 20; i++)
		fake_advance(w->loop, 50);
	assert_int_equal(w->stored, 1);
	assert_int_equal(status(w).slow_waiting, 0);
	assert_int_equal(status(w).dead_waiting, 3);
}

/* Nor does what waits for the mending of the store: neither its turn nor its place is kept. */
static void
what_is_of_a_damaged_host_stops_nothing(void **state)
{
	struct fixture *w = *state;

	deliver_of(w, "damaged1", true);
	deliver_of(w, "damaged2", true);
	deliver_of(w, "web01", true);
	for (int i = 0; i < 20; i++)
		fake_advance(w->loop, 50);
	assert_int_equal(w->stored, 1);
	assert_int_equal(status(w).slow_waiting, 0);
	assert_int_equal(status(w).damaged, 2);
	assert_int_equal(status(w).stalled_ms, 0);
	assert_int_equal(inflight_waiting(w->inflight), 0);
	assert_int_equal(inflight_held_up_now(w->inflight), 2);
	assert_int_equal(w->held_up, 2);
}

static void
what_waits_for_its_turn_comes_again(void **state)
{
	struct fixture *w = *state;

	deliver_of(w, "a", true);
	deliver_of(w, "b", true);
	fake_broker_down(w->consumer); /* its tags are void */
	assert_int_equal(inflight_count(w->inflight), 0);
	assert_int_equal(w->dead, 2); /* on_done(false) */
	fake_broker_up(w->consumer);
	fake_broker_log_clear(w->consumer);
	deliver_of(w, "a", true);
	deliver_of(w, "b", true);
	inflight_give_back(w->inflight);
	assert_told(w->consumer, "nack 2 multiple requeue; ");
	deliver_of(w, "a", true);
	inflight_return_held(w->inflight); /* the drain */
	fake_advance(w->loop, 0);
	assert_told(w->consumer, "nack 3 requeue; ");
	assert_int_equal(inflight_count(w->inflight), 0);
	fake_advance(w->loop, 1000);
	assert_int_equal(fake_store_puts(w->store), 0);
}

/* ---- the share of a host ---- */

static void
deliver_large(struct fixture *w, const char *host, bool redelivered)
{
	char body[20100];

	snprintf(body, sizeof(body), "{\"syskey\":\"%s\",\"format\":\"raw\",\"ps\":\"%020000d\"}",
	    host, 0);
	fake_broker_redelivers(w->consumer, redelivered);
	deliver(w->consumer, body);
}

/* Of what is over the share the tag is held, and it is given back when there is room, in order. */
static void
a_host_with_much_holds_up_no_other(void **state)
{
	struct fixture *w = *state;

	fake_store_hold(w->store);
	for (int i = 0; i < 6; i++)
		deliver_large(w, "big", false);
	deliver(w->consumer, GOOD);
	assert_false(fake_broker_is_paused(w->consumer));
	assert_in_range(status(w).bytes, 20000, 50000);
	assert_int_equal(status(w).share_waiting, 5);
	assert_int_equal(inflight_held_up(w->inflight), 5);
	assert_int_equal(inflight_held_up_now(w->inflight), 5);
	inflight_on_consume(w->inflight); /* with a prefetch of which they hold nothing */
	assert_int_equal(inflight_held_up_now(w->inflight), 0);
	assert_int_equal(inflight_waiting(w->inflight), 2);
	fake_advance(w->loop, 3000);
	assert_in_range(w->held_up, 1, 5);
	assert_told(w->consumer, "");
	fake_store_release(w->store);
	fake_advance(w->loop, 0);
	fake_advance(w->loop, 0);
	assert_told(w->consumer, "ack 1; ack 7; nack 2 requeue; ");
	fake_advance(w->loop, 1000); /* no more until it has come again */
	assert_told(w->consumer, "");
	deliver_large(w, "big", true);
	fake_advance(w->loop, 100);
	fake_advance(w->loop, 0);
	assert_told(w->consumer, "ack 8; nack 3 requeue; ");
	assert_int_equal(w->stored, 3);
	assert_int_equal(status(w).share_waiting, 3);
	assert_int_equal(inflight_held_up_now(w->inflight), 0);
	deliver_large(w, "big", false);
	assert_int_equal(inflight_held_up_now(w->inflight), 1);
	assert_int_equal(status(w).share_waiting, 4);
	assert_int_equal(status(w).given_back, 2);
	assert_int_equal(status(w).slow_waiting, 0); /* it is known why it came back */
}

static void
what_waits_for_room_comes_again(void **state)
{
	struct fixture *w = *state;

	fake_store_hold(w->store);
	for (int i = 0; i < 3; i++)
		deliver_large(w, "big", false);
	fake_broker_down(w->consumer); /* its tags are void */
	assert_int_equal(status(w).share_waiting, 0);
	assert_int_equal(inflight_count(w->inflight), 1);
	fake_broker_up(w->consumer);
	fake_broker_log_clear(w->consumer);
	deliver_large(w, "big", true);
	inflight_return_held(w->inflight); /* the drain */
	assert_told(w->consumer, "nack 1 requeue; ");
	deliver_large(w, "big", true);
	inflight_give_back(w->inflight);
	assert_told(w->consumer, "nack 2 multiple requeue; ");
	assert_int_equal(inflight_count(w->inflight), 0);
	assert_int_equal(status(w).bytes, 0);
	fake_store_release(w->store);
	fake_advance(w->loop, 1000);
	assert_told(w->consumer, "");
}

/* The queue of dead letters takes nothing, which stops no good answers of the same host. */
static void
dead_letters_have_left_the_share(void **state)
{
	struct fixture *w = *state;

	fake_broker_block(w->publisher, true);
	deliver_large(w, "all", false); /* a name that is none */
	deliver_large(w, "all", false);
	fake_advance(w->loop, 100);
	deliver_large(w, "all", false);
	fake_advance(w->loop, 100);
	assert_int_equal(status(w).share_waiting, 0);
	assert_int_equal(inflight_dead_held(w->inflight), 3);
}

/* It fills its own share, whatever name it writes. */
static void
who_writes_in_the_name_of_another_pays(void **state)
{
	struct fixture *w = *state;
	char body[20100];

	w->options.attest = OPTIONS_ATTEST_YES;
	inflight_set_options(w->inflight, &w->options);
	fake_store_hold(w->store);
	snprintf(
	    body, sizeof(body), "{\"syskey\":\"web01\",\"format\":\"raw\",\"ps\":\"%020000d\"}", 0);
	deliver_from(w->consumer, body, "web01");
	deliver_from(w->consumer, body, "web02");
	assert_int_equal(status(w).share_waiting, 0);
	deliver_from(w->consumer, body, "web01");
	assert_int_equal(status(w).share_waiting, 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_response_is_acked_after_it_is_stored),
	    TEST(fresh_ones_go_into_the_next_put),
	    TEST(a_large_stale_one_does_not_hold_up_what_is_fresh),
	    TEST(who_watches_is_told_of_what_is_stored),
	    TEST(an_answer_that_is_not_taken_is_a_failure),
	    TEST(an_answer_that_validation_refuses_is_a_failure),
	    TEST(a_host_that_is_put_off_for_long_is_a_failure),
	    TEST(nobody_makes_it_write_to_other_queues),
	    TEST(the_limits_of_values_can_be_changed),
	    TEST(poison_is_buried_and_the_rest_flows),
	    TEST(every_kind_of_poison_is_refused),
	    TEST(an_oversize_message_is_buried_with_its_size),
	    TEST(a_letter_is_sent_again_until_it_is_confirmed),
	    TEST(headers_of_a_letter_are_the_collectors_own),
	    TEST(what_the_store_rejects_is_buried_as_it_came),
	    TEST(a_host_writes_only_its_own_record_when_attested),
	    TEST(many_dead_letters_hold_up_nothing),
	    TEST(what_was_put_back_is_of_whom_it_was),
	    TEST(without_retry_users_it_is_the_collector_that_puts_back),
	    TEST(auto_binds_the_users_that_have_a_hosts_name),
	    TEST(a_sender_waits_until_it_is_known_whether_it_is_a_host),
	    TEST(what_waits_for_the_list_can_be_given_back),
	    TEST(a_lost_consumer_takes_unsent_dead_letters_along),
	    TEST(a_dead_letter_lost_on_the_way_is_not_sent_for_a_lost_consumer),
	    TEST(held_bytes_close_the_valve_and_open_it_again),
	    TEST(acks_of_a_lost_connection_are_not_sent_on_the_next),
	    TEST(what_is_done_is_told),
	    TEST(everything_in_hand_can_be_given_back),
	    TEST(what_came_back_is_tried_alone_and_acked_at_once),
	    TEST(poison_that_came_back_stops_nothing),
	    TEST(what_is_of_a_damaged_host_stops_nothing),
	    TEST(what_waits_for_its_turn_comes_again),
	    TEST(a_host_with_much_holds_up_no_other),
	    TEST(what_waits_for_room_comes_again),
	    TEST(dead_letters_have_left_the_share),
	    TEST(who_writes_in_the_name_of_another_pays),
	    TEST(what_is_refused_returns_at_once),
	    TEST(how_long_the_store_has_written_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
