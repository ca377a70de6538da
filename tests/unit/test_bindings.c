/* SPDX-License-Identifier: Apache-2.0 */
/* bindings: when a round begins, whose queues it binds, and what is known of it. */
#include "daemon/bindings.h"

#include "shared/amqp/host_binder.h"
#include "shared/base/ident.h"
#include "shared/base/trouble.h"
#include "shared/base/uri.h"
#include "shared/base/xalloc.h"
#include "tests/fake/fake_broker_api.h"
#include "tests/fake/fake_loop.h"
#include "tests/fake/fake_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LONGEST_WAIT (BINDINGS_PERIOD_MS + BINDINGS_PERIOD_MS / 4)

struct fixture {
	struct loop *loop;
	struct fake_store *store;
	struct bindings *bindings;
	char seen[256]; /* "HOST=CONSUMERS ", and what is said at the end of a round */
};

static int
setup(void **state)
{
	struct fixture *w = xcalloc(1, sizeof(*w));
	struct broker_options opt;
	struct uri uri = {0};
	struct trouble why = {0};

	ident_init();
	w->loop = loop_create();
	w->store = fake_store_create(w->loop, 1, 0);
	assert_true(uri_parse("amqp://a:b@127.0.0.1/v", &uri, &why));
	broker_options_default(&opt);
	opt.uris = &uri;
	opt.n_uris = 1;
	w->bindings = bindings_create(w->loop, fake_store_base(w->store), &opt, "commands");
	uri_finish(&uri);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *w = *state;

	bindings_destroy(w->bindings);
	fake_store_destroy(w->store);
	loop_destroy(w->loop);
	free(w);
	return 0;
}

static struct broker *
connection(void)
{
	return fake_broker("bindings");
}

static void
on_saw(const char *host, uint32_t consumers, void *arg)
{
	struct fixture *w = arg;

	snprintf(w->seen + strlen(w->seen), sizeof(w->seen) - strlen(w->seen), "%s=%u ", host,
	    (unsigned int)consumers);
}

static void
on_round_over(bool whole, bool looked, void *arg)
{
	struct fixture *w = arg;

	snprintf(w->seen + strlen(w->seen), sizeof(w->seen) - strlen(w->seen), "%s%s",
	    whole ? "all" : "some", looked ? "" : " failed");
}

static struct bindings_status
status(struct fixture *w)
{
	struct bindings_status s;

	bindings_status(w->bindings, &s);
	return s;
}

/* The hosts of the round at hand, which are few. */
static const char *
at_hand(void)
{
	static char text[256];
	const struct topology *t;

	text[0] = '\0';
	if (connection() == NULL)
		return "none";
	t = fake_broker_topology(connection());
	for (size_t i = 0; i < t->n; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", i > 0 ? " " : "",
		    t->items[i].name);
	return text;
}

/* The round ends; how it is with each host: b bound, n no queue, f forbidden. */
static void
answer(struct fixture *w, const char *each)
{
	struct broker *b = connection();

	for (size_t i = 0; each[i] != '\0'; i++)
		fake_broker_bound(b, i,
		    each[i] == 'b'   ? BROKER_BOUND
		    : each[i] == 'n' ? BROKER_BOUND_NO_QUEUE
				     : BROKER_BOUND_FORBIDDEN,
		    "as the test says");
	fake_broker_up(b);
	fake_advance(w->loop, 0);
}

static void
hurry(struct fixture *w)
{
	bindings_hurry(w->bindings);
	fake_advance(w->loop, 0);
}

/* Until the next round; how long that took. */
static int64_t
wait_round(struct fixture *w)
{
	int64_t ms = fake_timer_in(w->loop, "bindings");

	assert_true(ms >= 0);
	fake_advance(w->loop, ms - 1);
	assert_null(connection());
	fake_advance(w->loop, 1);
	return ms;
}

static void
nothing_before_the_first_connection(void **state)
{
	struct fixture *w = *state;

	fake_store_hosts(w->store, "web01");
	fake_advance(w->loop, 2 * LONGEST_WAIT);
	assert_int_equal(fake_store_lists(w->store), 0);
	hurry(w);
	assert_string_equal(at_hand(), "web01");
}

/* The lots of all lanes that are connected. false: there is none. */
static bool
bind_lots(struct fixture *w)
{
	char role[32] = "bindings";
	bool any = false;

	for (size_t lane = 0; lane < HOST_BINDER_LANES; lane++) {
		struct broker *b;

		if (lane > 0)
			snprintf(role, sizeof(role), "bindings %zu", lane + 1);
		b = fake_broker(role);
		if (b == NULL)
			continue;
		any = true;
		for (size_t i = 0; i < fake_broker_topology(b)->n; i++)
			fake_broker_bound(b, i, BROKER_BOUND, NULL);
		fake_broker_up(b);
	}
	fake_advance(w->loop, HOST_BINDER_PAUSE_MS);
	return any;
}

/* Rounds follow each other whatever the number of hosts. */
static void
round_after_round(void **state)
{
	struct fixture *w = *state;
	char names[8 * 2500] = "";

	for (int i = 0; i < 2000; i++)
		snprintf(names + strlen(names), sizeof(names) - strlen(names), "web%04d ", i);
	fake_store_hosts(w->store, names);
	hurry(w);
	for (uint64_t round = 1; round < 4; round++) {
		int64_t ms;

		while (bind_lots(w))
			continue;
		assert_int_equal(status(w).rounds, round);
		assert_int_equal(status(w).bound, 2000);
		assert_true(status(w).whole_wall_ms > 0);
		assert_true(status(w).whole_ms >= 0);
		ms = wait_round(w);
		assert_in_range(ms, BINDINGS_PERIOD_MS - 2 * HOST_BINDER_PAUSE_MS, LONGEST_WAIT);
	}
}

static void
asked_for_while_one_is_under_way(void **state)
{
	struct fixture *w = *state;

	fake_store_hosts(w->store, "web01 web02");
	hurry(w);
	hurry(w);
	answer(w, "bb");
	assert_string_equal(at_hand(), "web01 web02"); /* the next */
	answer(w, "bb");
	assert_null(connection());
	assert_in_range(wait_round(w), BINDINGS_PERIOD_MS, LONGEST_WAIT);
}

/* Each look for one is an error in the broker's log. */
static void
queues_that_are_missing(void **state)
{
	struct fixture *w = *state;
	int64_t waited = 0;

	fake_store_hosts(w->store, "web01 web02 web03");
	hurry(w);
	answer(w, "nbn");
	assert_int_equal(status(w).no_queue, 2);
	wait_round(w);
	assert_string_equal(at_hand(), "web02");
	answer(w, "n"); /* it is gone since */
	assert_int_equal(status(w).no_queue, 3);
	assert_int_equal(status(w).bound, 0);
	while (connection() == NULL && waited < BINDINGS_FULL_MS + 2 * LONGEST_WAIT)
		waited += wait_round(w);
	assert_in_range(
	    waited, BINDINGS_FULL_MS - 2 * LONGEST_WAIT, BINDINGS_FULL_MS + LONGEST_WAIT);
	assert_string_equal(at_hand(), "web01 web02 web03");
	answer(w, "bbn");
	assert_int_equal(status(w).no_queue, 1);
	/* A new exchange: whoever asks wants all. */
	hurry(w);
	assert_string_equal(at_hand(), "web01 web02 web03");
}

static void
what_is_no_host(void **state)
{
	struct fixture *w = *state;

	fake_store_hosts(w->store, "all web01 master.in vogeler.dead amq.x -x");
	hurry(w);
	assert_string_equal(at_hand(), "web01");
}

static void
a_store_or_a_broker_that_fails(void **state)
{
	struct fixture *w = *state;

	fake_store_hold_hosts(w->store);
	hurry(w);
	assert_null(connection());
	fake_store_hosts(w->store, NULL);
	fake_advance(w->loop, 0);
	assert_int_equal(fake_timer_in(w->loop, "bindings"), BINDINGS_RETRY_MS);
	fake_store_hosts(w->store, "web01 web02");
	fake_advance(w->loop, BINDINGS_RETRY_MS);
	fake_broker_bound(connection(), 0, BROKER_BOUND, NULL);
	fake_broker_down(connection());
	fake_advance(w->loop, 0);
	assert_int_equal(status(w).rounds, 0);
	assert_int_equal(status(w).whole_wall_ms, 0);
	assert_int_equal(fake_timer_in(w->loop, "bindings"), BINDINGS_RETRY_MS);
	fake_advance(w->loop, BINDINGS_RETRY_MS);
	assert_string_equal(at_hand(), "web01 web02");
	answer(w, "bb");
	assert_int_equal(status(w).rounds, 1);
}

static void
a_user_that_may_not_bind(void **state)
{
	struct fixture *w = *state;

	fake_store_hosts(w->store, "web01 web02");
	hurry(w);
	answer(w, "fb");
	assert_int_equal(status(w).forbidden, 1);
	assert_int_equal(status(w).bound, 1);
	assert_in_range(wait_round(w), BINDINGS_PERIOD_MS, LONGEST_WAIT);
}

static void
observe(struct fixture *w)
{
	const struct bindings_observer observer = {on_saw, on_round_over, w};

	bindings_observe(w->bindings, &observer);
}

static void
assert_seen(struct fixture *w, const char *text)
{
	assert_string_equal(w->seen, text);
	w->seen[0] = '\0';
}

static void
each_host_is_seen_in_each_round(void **state)
{
	struct fixture *w = *state;

	observe(w);
	fake_store_hosts(w->store, "web01 web02");
	hurry(w);
	fake_broker_consumers(connection(), 0, 1);
	answer(w, "bn");
	assert_seen(w, "web01=1 web02=0 all");
	wait_round(w);
	assert_string_equal(at_hand(), "web01");
	fake_broker_consumers(connection(), 0, 0);
	answer(w, "b");
	assert_seen(w, "web02=0 web01=0 all"); /* it had no queue at the last look */
	wait_round(w);
	fake_broker_down(connection());
	fake_advance(w->loop, 0);
	assert_seen(w, "web02=0 all failed");
}

/* Who says hello has its turn at once, and all have theirs when it comes. */
static void
who_is_heard_of(void **state)
{
	struct fixture *w = *state;
	int64_t left;

	observe(w);
	fake_store_hosts(w->store, "web01 web02");
	bindings_hear(w->bindings, "web01"); /* before anything */
	fake_advance(w->loop, BINDINGS_HEAR_MS);
	assert_null(connection());
	hurry(w);
	fake_broker_consumers(connection(), 0, 1);
	answer(w, "bn");
	assert_seen(w, "web01=1 web02=0 all");
	fake_advance(w->loop, BINDINGS_HEAR_MS);
	answer(w, "b"); /* web01, that was heard of before */
	assert_seen(w, "some");
	bindings_hear(w->bindings, "web02");
	bindings_hear(w->bindings, "web02");
	bindings_hear(w->bindings, "web03");
	bindings_hear(w->bindings, "-no-host");
	fake_advance(w->loop, BINDINGS_HEAR_MS - 1);
	assert_null(connection());
	fake_advance(w->loop, 1);
	assert_string_equal(at_hand(), "web02 web03");
	fake_broker_consumers(connection(), 0, 1);
	answer(w, "bn");
	assert_seen(w, "web02=1 web03=0 some");
	assert_int_equal(status(w).rounds, 1);
	left = wait_round(w);
	assert_in_range(left, BINDINGS_PERIOD_MS - 4 * BINDINGS_HEAR_MS, LONGEST_WAIT);
	assert_string_equal(at_hand(), "web01 web02"); /* which has a queue now */
}

/* What is under way is dropped. */
static void
it_ends_in_the_middle(void **state)
{
	struct fixture *w = *state;

	fake_store_hosts(w->store, "web01");
	hurry(w);
	assert_non_null(connection());
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(nothing_before_the_first_connection, setup, teardown),
	    cmocka_unit_test_setup_teardown(round_after_round, setup, teardown),
	    cmocka_unit_test_setup_teardown(asked_for_while_one_is_under_way, setup, teardown),
	    cmocka_unit_test_setup_teardown(queues_that_are_missing, setup, teardown),
	    cmocka_unit_test_setup_teardown(what_is_no_host, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_store_or_a_broker_that_fails, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_user_that_may_not_bind, setup, teardown),
	    cmocka_unit_test_setup_teardown(it_ends_in_the_middle, setup, teardown),
	    cmocka_unit_test_setup_teardown(each_host_is_seen_in_each_round, setup, teardown),
	    cmocka_unit_test_setup_teardown(who_is_heard_of, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
