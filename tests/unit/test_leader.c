/* SPDX-License-Identifier: Apache-2.0 */
/* leader: when a collector asks, what it is told, and what it does then. */
#include "daemon/leader.h"

#include "shared/base/log.h"
#include "tests/fake/fake_broker_api.h"
#include "tests/fake/fake_loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

struct fixture {
	struct loop *loop;
	struct broker *publisher, *broker;
	struct leader *leader;
	uint64_t stored, conflicts;
	unsigned int told;
	enum leader_state last;
};

static void
on_ready(struct broker *b, void *arg)
{
}

static void
on_confirm(struct broker *b, uint64_t id, enum broker_outcome outcome, const char *why, void *arg)
{
	leader_on_confirm(((struct fixture *)arg)->leader, id, outcome);
}

static void
on_changed(enum leader_state state, void *arg)
{
	struct fixture *w = arg;

	w->told++;
	w->last = state;
}

static const struct broker_handlers handlers = {.on_ready = on_ready, .on_confirm = on_confirm};

static int
setup(void **state)
{
	struct fixture *w = calloc(1, sizeof(*w));
	struct broker_options opt;
	struct leader_parts parts;

	log_set_level(LOG_LEVEL_CRITICAL);
	w->loop = loop_create();
	broker_options_default(&opt);
	opt.role = "publisher";
	w->publisher = broker_create(w->loop, &opt, &handlers, w);
	parts = (struct leader_parts){w->loop, w->publisher, &opt, on_changed, w};
	w->leader = leader_create(&parts);
	w->broker = fake_broker("leader");
	fake_broker_up(w->publisher);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *w = *state;

	leader_destroy(w->leader);
	broker_destroy(w->publisher);
	loop_destroy(w->loop);
	free(w);
	return 0;
}

static void
note(struct fixture *w, uint64_t stored, uint64_t conflicts)
{
	w->stored += stored;
	w->conflicts += conflicts;
	leader_note(w->leader, w->stored, w->conflicts);
}

static void
assert_log(struct fixture *w, const char *expected)
{
	assert_string_equal(fake_broker_log(w->broker), expected);
	fake_broker_log_clear(w->broker);
}

static void
assert_told(struct fixture *w, enum leader_state state)
{
	assert_int_equal(w->told, 1);
	assert_int_equal(w->last, state);
	w->told = 0;
}

static void
conflicts(struct fixture *w)
{
	note(w, LEADER_WRITES / 2, LEADER_WRITES / 2);
}

static void
become(struct fixture *w, enum leader_state state)
{
	conflicts(w);
	if (state == LEADER_US)
		fake_broker_up(w->broker);
	else
		fake_broker_fail(w->broker, BROKER_ERR_IN_USE, "locked");
	assert_told(w, state);
	fake_broker_log_clear(w->broker);
	fake_advance(w->loop, 0);
}

/* The message that asks whether the queue is there. */
static const struct fake_publish *
asked(struct fixture *w, size_t i)
{
	const struct fake_publish *p;

	fake_advance(w->loop, LEADER_LOOK_MS);
	assert_int_equal(fake_broker_published(w->publisher), i + 1);
	p = fake_broker_publish_at(w->publisher, i);
	assert_string_equal(p->exchange, "");
	assert_string_equal(p->routing_key, "vogeler.leader");
	assert_string_equal(p->message.expiration, "0");
	assert_true(p->mandatory);
	return p;
}

static void
few_conflicts_are_nothing(void **state)
{
	struct fixture *w = *state;

	for (int i = 0; i < 100; i++)
		note(w, 181, 19);      /* below one of ten */
	note(w, 0, LEADER_WRITES - 1); /* many, but for how long? */
	fake_advance(w->loop, 60000);
	assert_log(w, "");
	note(w, 1, 0);
	assert_log(w, "start; ");
}

static void
who_has_the_queue_goes_on(void **state)
{
	struct fixture *w = *state;

	conflicts(w);
	assert_int_equal(w->told, 0);
	fake_broker_up(w->broker);
	assert_told(w, LEADER_US);
	assert_log(w, "start; ");
	conflicts(w); /* with somebody else */
	fake_advance(w->loop, 60000);
	assert_log(w, "");
	assert_int_equal(fake_broker_published(w->publisher), 0);
}

static void
who_has_it_not_waits_until_it_is_gone(void **state)
{
	struct fixture *w = *state;

	conflicts(w);
	fake_broker_fail(w->broker, BROKER_ERR_IN_USE, "locked");
	assert_told(w, LEADER_OTHER);
	assert_log(w, "start; stop; ");
	conflicts(w); /* of what was in flight */
	fake_broker_confirm(w->publisher, asked(w, 0)->id, BROKER_CONFIRMED, NULL);
	fake_broker_confirm(w->publisher, asked(w, 1)->id, BROKER_CONFIRMED, NULL);
	assert_log(w, "");
	fake_broker_confirm(w->publisher, asked(w, 2)->id, BROKER_RETURNED, "NO_ROUTE");
	assert_log(w, "start; ");
	assert_int_equal(w->told, 0);
	fake_broker_up(w->broker);
	assert_told(w, LEADER_US);
}

static void
a_third_may_be_faster(void **state)
{
	struct fixture *w = *state;

	become(w, LEADER_OTHER);
	fake_broker_confirm(w->publisher, asked(w, 0)->id, BROKER_RETURNED, "NO_ROUTE");
	fake_broker_fail(w->broker, BROKER_ERR_IN_USE, "locked");
	assert_log(w, "start; stop; ");
	assert_int_equal(w->told, 0);
	fake_broker_confirm(w->publisher, asked(w, 1)->id, BROKER_RETURNED, "NO_ROUTE");
	assert_log(w, "start; ");
}

/* One question at a time; what was lost is asked again. */
static void
a_question_is_not_repeated_before_its_answer(void **state)
{
	struct fixture *w = *state;
	const struct fake_publish *first;

	become(w, LEADER_OTHER);
	first = asked(w, 0);
	fake_advance(w->loop, 5 * LEADER_LOOK_MS);
	assert_int_equal(fake_broker_published(w->publisher), 1);
	assert_log(w, "");
	fake_broker_confirm(w->publisher, first->id, BROKER_LOST, NULL);
	asked(w, 1);
	assert_log(w, "");
}

/* RabbitMQ takes no messages while it has an alarm; that the leader is gone must not wait for it.
 */
static void
a_broker_that_blocks_is_asked_by_connection(void **state)
{
	struct fixture *w = *state;

	become(w, LEADER_OTHER);
	fake_broker_block(w->publisher, true);
	fake_advance(w->loop, LEADER_LOOK_MS);
	assert_log(w, "start; ");
	fake_broker_fail(w->broker, BROKER_ERR_IN_USE, "locked");
	assert_int_equal(w->told, 0);
	fake_broker_down(w->publisher);
	assert_log(w, "stop; ");
	fake_advance(w->loop, 5 * LEADER_LOOK_MS);
	assert_log(w, "");
}

/* Nobody stands by for a leader that cannot be told. */
static void
a_failure_ends_it(void **state)
{
	struct fixture *w = *state;

	become(w, LEADER_US);
	fake_broker_down(w->broker);
	assert_told(w, LEADER_NONE);
	conflicts(w); /* the connection comes again by itself */
	assert_log(w, "");
	fake_broker_fail(w->broker, BROKER_ERR_IN_USE, "locked");
	assert_told(w, LEADER_OTHER);
	fake_advance(w->loop, 0);
	fake_broker_confirm(w->publisher, asked(w, 0)->id, BROKER_RETURNED, "NO_ROUTE");
	fake_broker_fail(w->broker, BROKER_ERR_TIMEOUT, "silence");
	assert_told(w, LEADER_NONE);
}

static void
what_is_not_permitted_is_tried_after_a_reload(void **state)
{
	static const enum broker_error errors[] = {BROKER_ERR_PERMISSION, BROKER_ERR_MISMATCH};
	struct fixture *w = *state;

	for (size_t i = 0; i < 2; i++) {
		conflicts(w);
		fake_broker_fail(w->broker, errors[i], "no");
		assert_log(w, "start; stop; ");
		fake_advance(w->loop, 0);
		conflicts(w);
		assert_log(w, "");
		leader_reload(w->leader);
	}
	assert_int_equal(w->told, 0);
	become(w, LEADER_US);
}

static void
who_resigns_may_ask_again(void **state)
{
	struct fixture *w = *state;

	become(w, LEADER_US);
	leader_resign(w->leader);
	assert_log(w, "stop; ");
	conflicts(w); /* it has not said goodbye yet */
	assert_log(w, "");
	fake_advance(w->loop, 0);
	conflicts(w);
	assert_log(w, "start; ");
	leader_resign(w->leader); /* not answered yet */
	leader_resign(w->leader);
	assert_log(w, "stop; ");
	fake_advance(w->loop, 0);
	assert_int_equal(w->told, 0);
	become(w, LEADER_OTHER);
	leader_resign(w->leader); /* nothing to give up */
	assert_log(w, "");
	asked(w, 0);
}

#define UNIT(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    UNIT(few_conflicts_are_nothing),
	    UNIT(who_has_the_queue_goes_on),
	    UNIT(who_has_it_not_waits_until_it_is_gone),
	    UNIT(a_third_may_be_faster),
	    UNIT(a_question_is_not_repeated_before_its_answer),
	    UNIT(a_broker_that_blocks_is_asked_by_connection),
	    UNIT(a_failure_ends_it),
	    UNIT(what_is_not_permitted_is_tried_after_a_reload),
	    UNIT(who_resigns_may_ask_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
