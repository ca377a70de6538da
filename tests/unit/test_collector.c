/* SPDX-License-Identifier: Apache-2.0 */
/* The states of the collector, between a fake broker and a fake store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/collector.h"
#include "daemon/deadletter.h"
#include "daemon/leader.h"
#include "shared/config/options_load.h"
#include "tests/fake/fake_broker_api.h"
#include "tests/fake/fake_loop.h"
#include "tests/fake/fake_store.h"
#include "tests/unit/collector_drive.h"

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct fixture {
	struct loop *loop;
	struct fake_store *store;
	struct broker *consumer, *publisher;
	struct leader *leader;
	struct collector *collector;
	struct options options;
	unsigned int drained;
	bool store_is_away;
	bool rival; /* another collector writes the same records: every second write is in vain */
	unsigned int writes;
};

static void
consumer_ready(struct broker *b, void *arg)
{
	collector_on_consumer_ready(((struct fixture *)arg)->collector);
}

static void
consumer_down(struct broker *b, const struct broker_failure *f, void *arg)
{
	collector_on_consumer_down(((struct fixture *)arg)->collector);
}

static void
delivered(struct broker *b, struct delivery *d, void *arg)
{
	collector_on_delivery(((struct fixture *)arg)->collector, d);
}

static void
publisher_ready(struct broker *b, void *arg)
{
	deadletter_on_ready(collector_deadletter(((struct fixture *)arg)->collector));
}

static void
confirmed(struct broker *b, uint64_t id, enum broker_outcome outcome, const char *why, void *arg)
{
	struct fixture *w = arg;

	deadletter_on_confirm(collector_deadletter(w->collector), id, outcome, why);
	leader_on_confirm(w->leader, id, outcome);
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
	((struct fixture *)arg)->drained++;
}

static enum store_status
judge(struct fake_store *f, struct store_write *const *writes, size_t n, size_t i, void *arg)
{
	struct fixture *w = arg;

	if (w->store_is_away)
		return STORE_RETRY;
	if (w->rival && w->writes++ % 2 == 0)
		return STORE_CONFLICT;
	return strcmp(writes[i]->host, "bad") == 0 ? STORE_RETRY : STORE_OK;
}

static void
on_leader(enum leader_state leader, void *arg)
{
	collector_on_leader(((struct fixture *)arg)->collector, leader);
}

static void
make_leader(struct fixture *w)
{
	struct broker_options opt;
	struct leader_parts parts = {w->loop, w->publisher, &opt, on_leader, w};

	broker_options_default(&opt);
	w->leader = leader_create(&parts);
}

static int
setup(void **state)
{
	struct fixture *w = calloc(1, sizeof(*w));
	struct collector_parts parts = {0};

	ident_init();
	log_set_level(LOG_LEVEL_CRITICAL);
	w->loop = loop_create();
	w->store = fake_store_create(w->loop, 1, 0);
	fake_store_judge(w->store, judge, w);
	w->consumer = make_broker(w->loop, "consumer", &consumer_handlers, w);
	w->publisher = make_broker(w->loop, "publisher", &publisher_handlers, w);
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
	w->collector = collector_create(&parts, &w->options, on_drained, w);
	collector_start(w->collector);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *w = *state;

	fake_store_destroy(w->store);
	collector_destroy(w->collector);
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
	fake_advance(((struct fixture *)*state)->loop, 0);
	return 0;
}

static int
setup_taking(void **state)
{
	struct fixture *w;

	setup(state);
	w = *state;
	fake_advance(w->loop, 0);
	fake_broker_up(w->consumer);
	fake_broker_up(w->publisher);
	fake_advance(w->loop, 0);
	fake_broker_log_clear(w->consumer);
	return 0;
}

static struct collector_status
status(struct fixture *w)
{
	struct collector_status s;

	collector_status(w->collector, &s);
	return s;
}

static void
it_consumes_when_store_and_broker_are_there(void **state)
{
	struct fixture *w = *state;

	fake_store_probe_says(w->store, false);
	fake_broker_up(w->consumer);
	fake_advance(w->loop, 20000);
	assert_told(w->consumer, "");
	assert_in_range(fake_store_probes(w->store), 4, 20);
	fake_store_probe_says(w->store, true);
	fake_advance(w->loop, 20000);
	assert_told(w->consumer, "consume vogeler.fresh 1000; consume master.in 1000; ");
	fake_broker_down(w->consumer);
	fake_broker_up(w->consumer);
	assert_told(w->consumer, "consume vogeler.fresh 1000; consume master.in 1000; ");
}

static void
without_the_fresh_queue_it_reads_the_other(void **state)
{
	struct fixture *w = *state;

	fake_broker_without(w->consumer, "vogeler.fresh", "ACCESS_REFUSED");
	fake_broker_up(w->consumer);
	fake_advance(w->loop, 0);
	assert_told(w->consumer, "consume master.in 1000; ");
	collector_reload(w->collector, &w->options);
	assert_told(w->consumer, "consume master.in 1000; ");
	fake_broker_without(w->consumer, NULL, NULL);
	collector_reload(w->collector, &w->options);
	assert_told(w->consumer, "consume vogeler.fresh 1000; consume master.in 1000; ");
	fake_broker_down(w->consumer);
	fake_broker_up(w->consumer);
	assert_told(w->consumer, "consume vogeler.fresh 1000; consume master.in 1000; ");
}

static void
a_reload_applies_the_prefetch(void **state)
{
	struct fixture *w = *state;

	collector_reload(w->collector, &w->options);
	assert_told(w->consumer, "");
	w->options.prefetch = 7;
	collector_reload(w->collector, &w->options);
	assert_told(w->consumer, "cancel; consume vogeler.fresh 7; consume master.in 7; ");
	fake_broker_down(w->consumer);
	w->options.prefetch = 8;
	collector_reload(w->collector, &w->options);
	assert_told(w->consumer, "");
	fake_broker_up(w->consumer);
	fake_advance(w->loop, 0);
	assert_told(w->consumer, "consume vogeler.fresh 8; consume master.in 8; ");
}

/* Its password may be what was reloaded. */
static void
a_reload_asks_a_store_that_is_away(void **state)
{
	struct fixture *w = *state;

	w->store_is_away = true;
	fake_store_probe_says(w->store, false);
	deliver(w->consumer, GOOD);
	fake_advance(w->loop, 60000);
	assert_int_equal(collector_get_state(w->collector), COLLECTOR_PROBING);
	fake_store_probe_says(w->store, true);
	collector_reload(w->collector, &w->options);
	fake_advance(w->loop, 0);
	fake_advance(w->loop, 0);
	assert_int_equal(collector_get_state(w->collector), COLLECTOR_TRYING);
}

static void
until(struct fixture *w, enum collector_state s)
{
	for (int i = 0; i < 10000 && collector_get_state(w->collector) != s; i++)
		fake_advance(w->loop, 100);
	assert_int_equal(collector_get_state(w->collector), s);
}

static void
a_store_outage_gives_back_once_cancels_and_probes(void **state)
{
	struct fixture *w = *state;

	w->store_is_away = true;
	fake_store_probe_says(w->store, false);
	deliver(w->consumer, GOOD);
	deliver_fresh(w->consumer, GOOD);
	fake_advance(w->loop, 9000);
	assert_told(w->consumer, "");
	fake_advance(w->loop, 8000);
	assert_told(w->consumer, "cancel; nack 2 multiple requeue; ");
	assert_int_equal(status(w).inflight.count, 0);
	deliver(w->consumer, GOOD); /* it was on its way */
	assert_told(w->consumer, "nack 3 requeue; ");
	fake_advance(w->loop, 60000);
	assert_told(w->consumer, "");
	w->store_is_away = false;
	fake_store_probe_says(w->store, true);
	until(w, COLLECTOR_TRYING);
	assert_told(w->consumer, "consume vogeler.fresh 1; consume master.in 1; ");
	deliver(w->consumer, GOOD);
	fake_advance(w->loop, 100);
	assert_told(
	    w->consumer, "cancel; consume vogeler.fresh 1000; consume master.in 1000; ack 4; ");
}

/* Deliveries that wait for the store in PROBING and TRYING are told as trouble with it. */
static int64_t
trouble_ms(struct fixture *w)
{
	struct collector_status s = status(w);

	return s.trouble != NULL ? s.trouble_ms : -1;
}

/* What the consumer is told while more and more is refused. */
#define WIDER(n)  "cancel; consume vogeler.fresh " n "; consume master.in " n "; "
#define ALL_WIDER WIDER("2") WIDER("4") WIDER("8") WIDER("16") WIDER("32") WIDER("64")

/* As of a full disk: there is room for a probe, and for nothing else. */
static void
a_probe_that_passes_is_no_proof(void **state)
{
	struct fixture *w = *state;
	int64_t before = 0, now;
	size_t puts;

	w->store_is_away = true;
	deliver(w->consumer, GOOD);
	deliver(w->consumer, GOOD);
	until(w, COLLECTOR_TRYING);
	assert_told(w->consumer,
	    "cancel; nack 2 multiple requeue; consume vogeler.fresh 1; consume master.in 1; ");
	deliver(w->consumer, GOOD); /* one of them comes again */
	puts = fake_store_puts(w->store);
	for (int i = 0; i < 300; i++) {
		fake_advance(w->loop, 1000);
		now = trouble_ms(w);
		assert_true(now >= before + 1000 || i == 0);
		before = now;
	}
	assert_true(before >= 300000);
	assert_told(w->consumer, ALL_WIDER);
	assert_int_equal(status(w).inflight.given_back, 2);
	assert_in_range(fake_store_puts(w->store), puts + 50, puts + 150); /* at most every 5 s */
	w->store_is_away = false;
	fake_advance(w->loop, 6000);
	assert_told(
	    w->consumer, "cancel; consume vogeler.fresh 1000; consume master.in 1000; ack 3; ");
	assert_int_equal(trouble_ms(w), -1);
}

/* The broker closes a channel that holds a delivery for 30 minutes. */
static void
what_is_tried_is_not_held_for_ever(void **state)
{
	struct fixture *w = *state;

	w->store_is_away = true;
	deliver(w->consumer, GOOD);
	until(w, COLLECTOR_TRYING);
	deliver(w->consumer, GOOD);
	deliver(w->consumer, "{\"syskey\":\"web02\",\"ps\":\"a\",\"format\":\"output\"}");
	fake_broker_log_clear(w->consumer);
	fake_advance(w->loop, 9 * 60 * 1000);
	assert_told(w->consumer, ALL_WIDER);
	until(w, COLLECTOR_PROBING);
	until(w, COLLECTOR_TRYING);
	assert_told(w->consumer,
	    "cancel; nack 3 multiple requeue; consume vogeler.fresh 1; consume master.in 1; ");
	assert_in_range(trouble_ms(w), 10 * 60 * 1000, 11 * 60 * 1000);
}

/* Of one host alone, whose answer is at the head of the queue each time. */
static void
a_record_that_is_refused_does_not_hold_up_the_others(void **state)
{
	struct fixture *w = *state;
	const char *bad = "{\"syskey\":\"bad\",\"ps\":\"a\",\"format\":\"raw\"}";

	deliver(w->consumer, bad);
	until(w, COLLECTOR_TRYING);
	fake_broker_log_clear(w->consumer);
	deliver(w->consumer, bad);
	fake_advance(w->loop, 20000);
	assert_told(w->consumer, WIDER("2"));
	deliver(w->consumer, GOOD);
	until(w, COLLECTOR_TAKING);
	fake_advance(w->loop, 2000);
	assert_told(
	    w->consumer, "cancel; consume vogeler.fresh 1000; consume master.in 1000; ack 3; ");
	for (int i = 0; i < 13; i++) { /* a quiet site */
		assert_int_equal(fake_broker_published(w->publisher), 0);
		fake_advance(w->loop, 45000);
		deliver(w->consumer, GOOD);
		fake_advance(w->loop, 100);
		assert_int_equal(status(w).inflight.stored, i + 2);
	}
	fake_advance(w->loop, 30000);
	assert_int_equal(collector_get_state(w->collector), COLLECTOR_TAKING);
	assert_int_equal(fake_broker_published(w->publisher), 1);
	assert_non_null(
	    strstr(message_str(&fake_broker_publish_at(w->publisher, 0)->message, "x-reason"),
		"refused for 10 minutes, while others were taken: "));
}

/* Somebody else has taken what was given back. */
static void
when_nothing_waits_it_takes_all_again(void **state)
{
	struct fixture *w = *state;

	w->store_is_away = true;
	deliver(w->consumer, GOOD);
	fake_advance(w->loop, 60000);
	assert_told(w->consumer,
	    "cancel; nack 1 multiple requeue; consume vogeler.fresh 1; consume master.in 1; cancel; consume vogeler.fresh 1000; consume master.in 1000; ");
	assert_int_equal(trouble_ms(w), -1);
}

static void
an_idle_store_is_probed(void **state)
{
	struct fixture *w = *state;
	size_t before = fake_store_probes(w->store);

	for (int i = 0; i < 30; i++) {
		deliver(w->consumer, GOOD);
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
	assert_told(w->consumer, "cancel; ");
	fake_store_probe_says(w->store, true);
	fake_advance(w->loop, 10000);
	assert_int_equal(trouble_ms(w), -1);
	assert_told(w->consumer,
	    "consume vogeler.fresh 1000; consume master.in 1000; "); /* no write was refused */
}

static void
a_probe_without_an_answer_is_seen(void **state)
{
	struct fixture *w = *state;

	fake_store_hold_probes(w->store, true);
	fake_advance(w->loop, 8000);
	assert_in_range(status(w).unanswered_ms, 3000, 4000);
	deliver(w->consumer, GOOD); /* it takes writes all the same */
	fake_advance(w->loop, 100);
	assert_int_equal(status(w).unanswered_ms, 0);
	fake_store_hold_probes(w->store, false);
	fake_advance(w->loop, 5000);
	assert_int_equal(status(w).unanswered_ms, 0);
	assert_null(status(w).trouble);
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
	struct fixture *w = *state;
	FILE *log = tmpfile();
	int terminal = dup(STDERR_FILENO), told[3];

	dup2(fileno(log), STDERR_FILENO);
	log_set_level(LOG_LEVEL_WARN);
	for (int i = 0; i < 3; i++) { /* the second too soon after the first */
		fake_store_probe_says(w->store, false);
		fake_advance(w->loop, 30000);
		assert_int_equal(collector_get_state(w->collector), COLLECTOR_PROBING);
		fake_store_probe_says(w->store, true);
		until(w, COLLECTOR_TAKING);
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

/* Two collectors in each other's way: the other has the queue. One answer is left in hand. */
static void
stand_by(struct fixture *w)
{
	char body[64];
	struct broker *leader = fake_broker("leader");

	w->rival = true;
	for (int i = 0; i < LEADER_WRITES; i++) {
		snprintf(body, sizeof(body),
		    "{\"syskey\":\"h%03d\",\"ps\":\"a\",\"format\":\"output\"}", i);
		deliver(w->consumer, body);
	}
	fake_advance(w->loop, 1000);
	assert_string_equal(fake_broker_log(leader), "start; ");
	w->rival = false;
	fake_advance(w->loop, 10000);
	fake_broker_log_clear(leader);
	fake_broker_log_clear(w->consumer);
	deliver(w->consumer, GOOD);
	fake_broker_fail(leader, BROKER_ERR_IN_USE, "RESOURCE_LOCKED");
	assert_int_equal(collector_get_state(w->collector), COLLECTOR_STANDBY);
}

/* The other is gone. */
static void
take_over(struct fixture *w)
{
	struct broker *leader = fake_broker("leader");

	fake_advance(w->loop, LEADER_LOOK_MS);
	fake_broker_confirm(w->publisher, fake_broker_published(w->publisher), BROKER_RETURNED, "");
	fake_broker_up(leader);
	until(w, COLLECTOR_TAKING);
	fake_broker_log_clear(leader);
}

static void
who_is_not_the_leader_gives_back_and_stands_by(void **state)
{
	struct fixture *w = *state;

	stand_by(w);
	assert_told(w->consumer, "cancel; nack 201 multiple requeue; ");
	assert_int_equal(status(w).inflight.count, 0);
	deliver(w->consumer, GOOD); /* it was on its way */
	assert_told(w->consumer, "nack 202 requeue; ");
	fake_broker_down(w->consumer);
	fake_broker_up(w->consumer);
	fake_advance(w->loop, 60000);
	assert_told(w->consumer, "");
	assert_int_equal(trouble_ms(w), -1);
	collector_drain(w->collector);
	fake_advance(w->loop, 0);
	assert_int_equal(w->drained, 1);
}

/* Who stands by with a store that is away could not go on: that is told. */
static void
who_stands_by_probes_its_store(void **state)
{
	struct fixture *w = *state;

	stand_by(w);
	fake_store_probe_says(w->store, false);
	until(w, COLLECTOR_PROBING);
	fake_advance(w->loop, 10000);
	assert_true(trouble_ms(w) >= 10000);
	fake_store_probe_says(w->store, true);
	until(w, COLLECTOR_STANDBY);
	assert_int_equal(trouble_ms(w), -1);
	fake_store_probe_says(w->store, false);
	until(w, COLLECTOR_PROBING);
	fake_advance(w->loop, LEADER_LOOK_MS);
	fake_broker_confirm(w->publisher, fake_broker_published(w->publisher), BROKER_RETURNED, "");
	fake_broker_log_clear(fake_broker("leader"));
	fake_broker_up(fake_broker("leader")); /* the other has no store either */
	fake_advance(w->loop, 10000);
	assert_int_equal(collector_get_state(w->collector), COLLECTOR_PROBING);
	assert_string_equal(fake_broker_log(fake_broker("leader")), "stop; ");
	fake_store_probe_says(w->store, true);
	until(w, COLLECTOR_TAKING);
}

static void
when_the_other_is_gone_it_goes_on(void **state)
{
	struct fixture *w = *state;

	stand_by(w);
	fake_broker_log_clear(w->consumer);
	take_over(w);
	assert_told(w->consumer, "consume vogeler.fresh 1000; consume master.in 1000; ");
	deliver(w->consumer, GOOD);
	fake_advance(w->loop, 100);
	assert_told(w->consumer, "ack 202; ");
}

static void
who_loses_its_store_or_its_consumers_resigns(void **state)
{
	struct fixture *w = *state;
	struct broker *leader = fake_broker("leader");

	stand_by(w);
	take_over(w);
	w->store_is_away = true;
	deliver(w->consumer, GOOD);
	until(w, COLLECTOR_PROBING);
	assert_string_equal(fake_broker_log(leader), "stop; ");
	w->store_is_away = false;
	until(w, COLLECTOR_TAKING);
	fake_broker_log_clear(leader);
	stand_by(w);
	take_over(w);
	fake_broker_down(w->consumer);
	assert_string_equal(fake_broker_log(leader), "stop; ");
}

static void
draining_finishes_what_is_in_hand(void **state)
{
	struct fixture *w = *state;

	deliver(w->consumer, GOOD);
	collector_drain(w->collector);
	assert_told(w->consumer, "cancel; ");
	deliver(w->consumer, GOOD);
	assert_told(w->consumer, "nack 2 requeue; ");
	assert_int_equal(w->drained, 0);
	fake_advance(w->loop, 0);
	assert_told(w->consumer, "ack 1; ");
	assert_int_equal(w->drained, 1);
	assert_int_equal(collector_get_state(w->collector), COLLECTOR_DRAINED);
}

static void
draining_gives_back_when_time_is_over(void **state)
{
	struct fixture *w = *state;

	fake_store_hold(w->store);
	deliver(w->consumer, GOOD);
	fake_advance(w->loop, 100);
	collector_drain(w->collector);
	fake_advance(w->loop, 9999);
	assert_int_equal(w->drained, 0);
	fake_advance(w->loop, 1);
	assert_told(w->consumer, "cancel; nack 1 multiple requeue; ");
	assert_int_equal(w->drained, 1);
}

static void
draining_with_nothing_in_hand_is_over_at_once(void **state)
{
	struct fixture *w = *state;

	collector_drain(w->collector);
	assert_int_equal(w->drained, 0);
	fake_advance(w->loop, 0);
	assert_int_equal(w->drained, 1);
	collector_drain(w->collector);
	fake_advance(w->loop, 100000);
	assert_int_equal(w->drained, 1);
}

/* Dead letters that cannot be sent hold half of it at most. */
static void
poison_does_not_use_up_the_prefetch(void **state)
{
	struct fixture *w = *state;

	fake_broker_block(w->publisher, true);
	for (int i = 0; i < 499; i++)
		deliver(w->consumer, "x");
	fake_advance(w->loop, 5000);
	assert_told(w->consumer, "");
	for (int i = 0; i < 3; i++)
		deliver(w->consumer, "x");
	fake_advance(w->loop, 5000);
	assert_told(w->consumer, "cancel; consume vogeler.fresh 1000; consume master.in 1000; ");
	for (int i = 0; i < 500; i++)
		deliver(w->consumer, "x");
	fake_advance(w->loop, 5000);
	assert_told(w->consumer, "cancel; consume vogeler.fresh 1000; consume master.in 1000; ");
}

#define TAKING(f) cmocka_unit_test_setup_teardown(f, setup_taking, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		it_consumes_when_store_and_broker_are_there, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		without_the_fresh_queue_it_reads_the_other, setup_probed, teardown),
	    TAKING(a_reload_applies_the_prefetch),
	    TAKING(a_reload_asks_a_store_that_is_away),
	    TAKING(a_store_outage_gives_back_once_cancels_and_probes),
	    TAKING(a_probe_that_passes_is_no_proof),
	    TAKING(what_is_tried_is_not_held_for_ever),
	    TAKING(a_record_that_is_refused_does_not_hold_up_the_others),
	    TAKING(when_nothing_waits_it_takes_all_again),
	    TAKING(an_idle_store_is_probed),
	    TAKING(a_probe_without_an_answer_is_seen),
	    TAKING(the_end_of_an_outage_sums_up_what_was_not_told),
	    TAKING(who_is_not_the_leader_gives_back_and_stands_by),
	    TAKING(who_stands_by_probes_its_store),
	    TAKING(when_the_other_is_gone_it_goes_on),
	    TAKING(who_loses_its_store_or_its_consumers_resigns),
	    TAKING(draining_finishes_what_is_in_hand),
	    TAKING(draining_gives_back_when_time_is_over),
	    TAKING(draining_with_nothing_in_hand_is_over_at_once),
	    TAKING(poison_does_not_use_up_the_prefetch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
