/* SPDX-License-Identifier: Apache-2.0 */
/* A response is kept until the broker has confirmed it: every way in which it may not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/outbox.h"
#include "shared/base/ident.h"
#include "tests/fake/fake_broker_api.h"
#include "tests/fake/fake_loop.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fixture {
	struct loop *loop;
	struct broker *broker;
	struct outbox *outbox;
	uint64_t confirmed[128];
	size_t n_confirmed;
};

static void
on_confirmed(uint64_t id, void *arg)
{
	struct fixture *f = arg;

	f->confirmed[f->n_confirmed++] = id;
}

static void
on_ready(struct broker *b, void *arg)
{
	struct fixture *f = arg;

	outbox_on_ready(f->outbox);
}

static void
on_writable(struct broker *b, void *arg)
{
	struct fixture *f = arg;

	outbox_on_writable(f->outbox);
}

static void
on_confirm(struct broker *b, uint64_t id, enum broker_outcome outcome, const char *why, void *arg)
{
	struct fixture *f = arg;

	assert_true(outbox_on_confirm(f->outbox, id, outcome, why));
}

static const struct broker_handlers handlers = {
    .on_ready = on_ready,
    .on_writable = on_writable,
    .on_confirm = on_confirm,
};

static uint64_t
replaced(const struct fixture *f)
{
	struct outbox_status s;

	outbox_status(f->outbox, &s);
	return s.replaced;
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct broker_options opt;

	assert_non_null(f);
	ident_init();
	f->loop = loop_create();
	broker_options_default(&opt);
	opt.role = "agent";
	opt.program = "test";
	f->broker = broker_create(f->loop, &opt, &handlers, f);
	broker_start(f->broker);
	f->outbox = outbox_create(f->loop, f->broker, "vogeler.master.in", on_confirmed, f);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	outbox_destroy(f->outbox);
	broker_destroy(f->broker);
	loop_destroy(f->loop);
	free(f);
	return 0;
}

static void
add_to(struct fixture *f, uint64_t id, size_t size,
    void (*to)(struct outbox *o, uint64_t id, struct message *m))
{
	struct message m;
	char *body = calloc(size + 1, 1);

	assert_non_null(body);
	memset(body, 'x', size);
	message_init(&m);
	m.persistent = true;
	m.message_id = malloc(32);
	assert_non_null(m.message_id);
	snprintf(m.message_id, 32, "m%u", (unsigned int)id);
	message_set_body(&m, body, size);
	to(f->outbox, id, &m);
	assert_null(m.body); /* it has been taken */
	message_finish(&m);
}

static void
add(struct fixture *f, uint64_t id, size_t size)
{
	add_to(f, id, size, outbox_add);
}

static void
add_fresh(struct fixture *f, uint64_t id)
{
	add_to(f, id, 10, outbox_add_fresh);
}

/* A result that nobody asked for. */
static void
add_newest(struct fixture *f, const char *plugin, uint64_t id, size_t size)
{
	struct message m;
	char *body = calloc(size + 1, 1);

	assert_non_null(body);
	memset(body, 'x', size);
	message_init(&m);
	m.message_id = malloc(32);
	assert_non_null(m.message_id);
	snprintf(m.message_id, 32, "%s%u", plugin, (unsigned int)id);
	message_set_body(&m, body, size);
	outbox_add_newest(f->outbox, id, plugin, &m);
	assert_null(m.body);
	message_finish(&m);
}

static void
go_ready(struct fixture *f)
{
	fake_broker_up(f->broker);
}

static const struct fake_publish *
published(struct fixture *f, size_t i)
{
	return fake_broker_publish_at(f->broker, i);
}

static void
answer(struct fixture *f, size_t i, enum broker_outcome outcome)
{
	fake_broker_confirm(f->broker, published(f, i)->id, outcome, "why");
}

static void
waits_for_the_broker(void **state)
{
	struct fixture *f = *state;

	add(f, 1, 10);
	add(f, 2, 10);
	assert_int_equal(fake_broker_published(f->broker), 0);
	go_ready(f);
	assert_int_equal(fake_broker_published(f->broker), 2);
	assert_string_equal(published(f, 0)->message.message_id, "m1");
	assert_string_equal(published(f, 0)->exchange, "vogeler.master.in");
	assert_string_equal(published(f, 0)->routing_key, "");
	assert_true(published(f, 0)->mandatory);
	assert_true(published(f, 0)->message.persistent);
	assert_string_equal(published(f, 1)->message.message_id, "m2");
	assert_int_equal(outbox_count(f->outbox), 2);
}

static void
gone_when_confirmed(void **state)
{
	struct fixture *f = *state;

	go_ready(f);
	add(f, 1, 10);
	add(f, 2, 10);
	answer(f, 1, BROKER_CONFIRMED);
	assert_int_equal(f->n_confirmed, 1);
	assert_int_equal(f->confirmed[0], 2);
	assert_int_equal(outbox_count(f->outbox), 1);
	answer(f, 0, BROKER_CONFIRMED);
	assert_int_equal(outbox_count(f->outbox), 0);
	assert_int_equal(fake_next_timer(f->loop), -1); /* nothing ticks when idle */
}

static void
lost_is_sent_again_when_ready(void **state)
{
	struct fixture *f = *state;

	go_ready(f);
	add(f, 1, 10);
	add(f, 2, 10);
	fake_broker_down(f->broker);
	fake_advance(f->loop, 100000);
	assert_int_equal(fake_broker_published(f->broker), 2);
	assert_int_equal(f->n_confirmed, 0);
	go_ready(f);
	assert_int_equal(fake_broker_published(f->broker), 4);
	assert_string_equal(published(f, 2)->message.message_id, "m1");
	assert_string_equal(published(f, 3)->message.message_id, "m2");
	/* A late answer to the first publishing is nobody's. */
	assert_false(outbox_on_confirm(f->outbox, 1, BROKER_CONFIRMED, NULL));
	answer(f, 2, BROKER_CONFIRMED);
	assert_int_equal(f->confirmed[0], 1);
}

static void
refused_is_kept(struct fixture *f, enum broker_outcome outcome)
{
	int64_t first, second;

	go_ready(f);
	add(f, 1, 10);
	answer(f, 0, outcome);
	assert_int_equal(outbox_count(f->outbox), 1);
	assert_int_equal(f->n_confirmed, 0);
	first = fake_timer_in(f->loop, "outbox");
	assert_true(first >= OUTBOX_RETRY_MS / 2 && first <= OUTBOX_RETRY_MS);
	add(f, 2, 10); /* held as well */
	assert_int_equal(fake_broker_published(f->broker), 1);
	fake_advance(f->loop, first);
	assert_int_equal(fake_broker_published(f->broker), 3);
	answer(f, 1, outcome);
	second = fake_timer_in(f->loop, "outbox");
	assert_true(second >= OUTBOX_RETRY_MS && second <= 2 * OUTBOX_RETRY_MS);
	answer(f, 2, outcome); /* of the same burst: the pause is not prolonged */
	assert_int_equal(fake_timer_in(f->loop, "outbox"), second);
	fake_advance(f->loop, second);
	answer(f, 3, BROKER_CONFIRMED);
	answer(f, 4, BROKER_CONFIRMED);
	assert_int_equal(outbox_count(f->outbox), 0);
	add(f, 3, 10);
	answer(f, 5, outcome);
	assert_true(fake_timer_in(f->loop, "outbox") <= OUTBOX_RETRY_MS); /* starts anew */
}

static void
nacked_is_kept_and_sent_again(void **state)
{
	refused_is_kept(*state, BROKER_NACKED);
}

static void
returned_is_kept_and_sent_again(void **state)
{
	refused_is_kept(*state, BROKER_RETURNED);
}

static void
retries_are_capped_and_never_end(void **state)
{
	struct fixture *f = *state;

	go_ready(f);
	add(f, 1, 10);
	for (size_t i = 0; i < 100; i++) {
		int64_t in;

		answer(f, i, BROKER_NACKED);
		in = fake_timer_in(f->loop, "outbox");
		assert_in_range(in, 1, OUTBOX_RETRY_MAX_MS);
		fake_advance(f->loop, in);
		assert_int_equal(fake_broker_published(f->broker), i + 2);
	}
}

/* Who is told that no queue is bound looks after the bindings, which he may be able to make. */
static void
returned_has_the_bindings_looked_after(void **state)
{
	struct fixture *f = *state;

	go_ready(f);
	add(f, 1, 10);
	fake_broker_log_clear(f->broker);
	answer(f, 0, BROKER_NACKED);
	assert_null(strstr(fake_broker_log(f->broker), "keep"));
	fake_advance(f->loop, fake_timer_in(f->loop, "outbox"));
	answer(f, 1, BROKER_RETURNED);
	assert_non_null(strstr(fake_broker_log(f->broker), "keep"));
}

/* A reconnect does not wait for the pause of the old connection. */
static void
reconnect_ends_a_pause(void **state)
{
	struct fixture *f = *state;

	go_ready(f);
	add(f, 1, 10);
	answer(f, 0, BROKER_RETURNED);
	fake_broker_down(f->broker);
	go_ready(f);
	assert_int_equal(fake_broker_published(f->broker), 2);
	assert_int_equal(fake_timer_in(f->loop, "outbox"), -1);
}

static void
blocked_broker_is_waited_for(void **state)
{
	struct fixture *f = *state;

	go_ready(f);
	fake_broker_block(f->broker, true);
	add(f, 1, 10);
	assert_int_equal(fake_broker_published(f->broker), 0);
	fake_broker_block(f->broker, false);
	assert_int_equal(fake_broker_published(f->broker), 1);
	outbox_on_writable(f->outbox); /* and not twice */
	assert_int_equal(fake_broker_published(f->broker), 1);
}

static void
room_by_count(void **state)
{
	struct fixture *f = *state;

	for (uint64_t i = 0; i < OUTBOX_COUNT_MAX; i++) {
		assert_true(outbox_has_room(f->outbox, 1));
		add(f, i, 10);
	}
	assert_false(outbox_has_room(f->outbox, 1));
	go_ready(f);
	answer(f, 0, BROKER_CONFIRMED);
	assert_true(outbox_has_room(f->outbox, 1));
	assert_false(outbox_has_room(f->outbox, 2));
}

static void
room_by_bytes(void **state)
{
	struct fixture *f = *state;

	add(f, 1, OUTBOX_BYTES_MAX / 2);
	assert_true(outbox_has_room(f->outbox, 1));
	add(f, 2, OUTBOX_BYTES_MAX / 2);
	assert_false(outbox_has_room(f->outbox, 1));
	go_ready(f);
	answer(f, 1, BROKER_CONFIRMED);
	assert_true(outbox_has_room(f->outbox, 1));
}

static void
assert_published(struct fixture *f, const char *ids)
{
	char got[1024] = "";
	size_t len = 0;

	for (size_t i = 0; i < fake_broker_published(f->broker); i++)
		len += (size_t)snprintf(
		    got + len, sizeof(got) - len, "%s ", published(f, i)->message.message_id);
	assert_string_equal(got, ids);
}

static void
newest_replaces_what_waits(void **state)
{
	struct fixture *f = *state;

	add_newest(f, "a", 1, 10);
	add_newest(f, "b", 2, 10);
	add_newest(f, "a", 3, 10);
	add_newest(f, "a", 4, 10);
	assert_int_equal(outbox_count(f->outbox), 2);
	assert_int_equal(replaced(f), 2);
	go_ready(f);
	assert_published(f, "b2 a4 ");
	answer(f, 0, BROKER_CONFIRMED);
	answer(f, 1, BROKER_CONFIRMED);
	assert_int_equal(outbox_count(f->outbox), 0);
	assert_int_equal(fake_next_timer(f->loop), -1);
}

static void
newest_goes_behind_answers(void **state)
{
	struct fixture *f = *state;

	add_newest(f, "a", 1, 10);
	add(f, 2, 10);
	add(f, 3, 10);
	go_ready(f);
	assert_published(f, "m2 m3 a1 ");
}

static void
newest_takes_no_room_of_answers(void **state)
{
	struct fixture *f = *state;

	for (uint64_t i = 0; i < OUTBOX_COUNT_MAX; i++) {
		char name[16];

		snprintf(name, sizeof(name), "p%u", (unsigned int)i);
		add_newest(f, name, i, 10);
	}
	add_newest(f, "large", 100, OUTBOX_NEWEST_MAX / 2);
	assert_true(outbox_has_room(f->outbox, OUTBOX_COUNT_MAX));
	assert_int_equal(outbox_count(f->outbox), OUTBOX_COUNT_MAX + 1);
}

/* While one is with the broker the next waits, and only the newest of those. */
static void
one_of_a_plugin_is_sent_at_once(void **state)
{
	struct fixture *f = *state;

	go_ready(f);
	add_newest(f, "a", 1, 10);
	add_newest(f, "a", 2, 10);
	add_newest(f, "a", 3, 10);
	assert_published(f, "a1 ");
	assert_int_equal(outbox_count(f->outbox), 2);
	answer(f, 0, BROKER_CONFIRMED);
	assert_published(f, "a1 a3 ");
	answer(f, 1, BROKER_CONFIRMED);
	assert_int_equal(outbox_count(f->outbox), 0);
}

static void
lost_gives_way_to_the_newer(void **state)
{
	struct fixture *f = *state;

	go_ready(f);
	add_newest(f, "a", 1, 10);
	add_newest(f, "b", 2, 10);
	add_newest(f, "a", 3, 10);
	fake_broker_down(f->broker);
	assert_int_equal(outbox_count(f->outbox), 2);
	assert_int_equal(replaced(f), 1);
	go_ready(f);
	assert_published(f, "a1 b2 b2 a3 ");
}

static void
refused_gives_way_to_the_newer(void **state)
{
	struct fixture *f = *state;

	go_ready(f);
	add_newest(f, "a", 1, 10);
	add_newest(f, "a", 2, 10);
	answer(f, 0, BROKER_NACKED);
	assert_int_equal(outbox_count(f->outbox), 1);
	fake_advance(f->loop, fake_timer_in(f->loop, "outbox"));
	assert_published(f, "a1 a2 ");
}

/* A message of which the outbox counts this many bytes. */
static size_t
body_for(size_t bytes)
{
	struct message m;
	size_t around;

	message_init(&m);
	m.message_id = malloc(32);
	assert_non_null(m.message_id);
	snprintf(m.message_id, 32, "x1");
	message_set_body(&m, calloc(1, 1), 0);
	around = message_size(&m);
	message_finish(&m);
	return bytes - around;
}

static void
bytes_of_the_newest_are_bounded(void **state)
{
	struct fixture *f = *state;
	size_t half = body_for(OUTBOX_NEWEST_MAX / 2);

	add_newest(f, "a", 1, half);
	add_newest(f, "b", 2, half - 1);
	assert_int_equal(replaced(f), 0); /* below */
	add_newest(f, "b", 3, half);
	assert_int_equal(replaced(f), 1); /* at: the older of its own */
	assert_int_equal(outbox_count(f->outbox), 2);
	add_newest(f, "b", 4, half + 1);
	assert_int_equal(replaced(f), 3); /* above: the oldest of all as well */
	assert_int_equal(outbox_count(f->outbox), 1);
	add(f, 5, 10); /* answers are not touched */
	add_newest(f, "c", 6, half);
	assert_int_equal(outbox_count(f->outbox), 2);
	go_ready(f);
	assert_published(f, "m5 c6 ");
}

/* Silence of the broker, with the connection up, does not pile up either. */
static void
bytes_with_the_broker_are_bounded(void **state)
{
	struct fixture *f = *state;

	go_ready(f);
	add_newest(f, "a", 1, body_for(OUTBOX_NEWEST_MAX / 2));
	add_newest(f, "b", 2, body_for(OUTBOX_NEWEST_MAX / 2));
	add_newest(f, "c", 3, body_for(OUTBOX_NEWEST_MAX / 2));
	assert_published(f, "a1 b2 c3 ");
	assert_int_equal(outbox_count(f->outbox), 2);
	/* The late answer is nobody's. */
	assert_false(outbox_on_confirm(f->outbox, published(f, 0)->id, BROKER_CONFIRMED, NULL));
	answer(f, 1, BROKER_CONFIRMED);
	answer(f, 2, BROKER_CONFIRMED);
	assert_int_equal(outbox_count(f->outbox), 0);
}

static const char *
key(struct fixture *f, size_t i)
{
	return published(f, i)->routing_key;
}

static void
fresh_goes_first_and_on_its_own_lane(void **state)
{
	struct fixture *f = *state;

	add_newest(f, "a", 1, 10);
	add(f, 2, 10);
	add_fresh(f, 3);
	add_fresh(f, 4);
	go_ready(f);
	assert_published(f, "m3 m4 m2 a1 ");
	assert_string_equal(key(f, 0), "fresh");
	assert_string_equal(key(f, 1), "fresh");
	assert_true(published(f, 0)->mandatory);
	assert_string_equal(key(f, 2), "");
	assert_string_equal(key(f, 3), "");
}

/* A collector of 2010: told once by the broker, known until the next connection. */
static void
without_a_fresh_lane_all_go_with_the_others(void **state)
{
	struct fixture *f = *state;

	go_ready(f);
	add_fresh(f, 1);
	add_fresh(f, 2);
	answer(f, 0, BROKER_RETURNED);
	assert_published(f, "m1 m2 m1 "); /* at once */
	assert_string_equal(key(f, 2), "");
	answer(f, 1, BROKER_RETURNED);
	assert_string_equal(key(f, 3), "");
	add_fresh(f, 3);
	assert_string_equal(key(f, 4), "");
	assert_int_equal(fake_next_timer(f->loop), -1); /* nothing is held */
	answer(f, 2, BROKER_CONFIRMED);
	answer(f, 3, BROKER_CONFIRMED);
	answer(f, 4, BROKER_CONFIRMED);
	assert_int_equal(f->n_confirmed, 3);
	fake_broker_down(f->broker);
	go_ready(f);
	add_fresh(f, 5);
	assert_string_equal(key(f, 5), "fresh");
}

static void
returned_on_both_lanes_is_kept(void **state)
{
	struct fixture *f = *state;

	go_ready(f);
	add_fresh(f, 1);
	answer(f, 0, BROKER_RETURNED);
	answer(f, 1, BROKER_RETURNED);
	assert_int_equal(fake_broker_published(f->broker), 2);
	fake_advance(f->loop, OUTBOX_RETRY_MS);
	assert_int_equal(fake_broker_published(f->broker), 3);
	assert_int_equal(outbox_count(f->outbox), 1);
}

static void
a_full_queue_does_not_hold_up_the_fresh(void **state)
{
	struct fixture *f = *state;
	struct outbox_status s;

	go_ready(f);
	add(f, 1, 10);
	answer(f, 0, BROKER_NACKED);
	add(f, 2, 10);
	add_fresh(f, 3);
	assert_published(f, "m1 m3 ");
	answer(f, 1, BROKER_NACKED); /* and the reverse */
	fake_advance(f->loop, OUTBOX_RETRY_MS);
	assert_int_equal(outbox_count(f->outbox), 3);
	outbox_status(f->outbox, &s);
	assert_int_equal(s.refused, 2);
	assert_int_equal(fake_broker_published(f->broker), 5);
}

static void
a_full_lane_of_the_fresh_does_not_hold_up_the_others(void **state)
{
	struct fixture *f = *state;

	go_ready(f);
	add_fresh(f, 1);
	answer(f, 0, BROKER_NACKED);
	add_fresh(f, 2);
	add(f, 3, 10);
	add_newest(f, "a", 4, 10);
	assert_published(f, "m1 m3 a4 ");
	assert_true(fake_timer_in(f->loop, "fresh") > 0);
	assert_int_equal(fake_timer_in(f->loop, "outbox"), -1);
}

static void
what_has_become_old_is_not_fresh(void **state)
{
	struct fixture *f = *state;

	add_fresh(f, 1);
	fake_advance(f->loop, OUTBOX_FRESH_MS - 1);
	go_ready(f);
	assert_string_equal(key(f, 0), "fresh");
	fake_broker_down(f->broker);
	fake_advance(f->loop, 1);
	go_ready(f);
	assert_string_equal(key(f, 1), "");
}

/* A failure, with so many bytes on each of stdout and stderr. */
static void
add_failure(struct fixture *f, uint64_t id, size_t printed)
{
	struct message m;
	char *tail = calloc(printed + 1, 1);

	assert_non_null(tail);
	memset(tail, 'x', printed);
	message_init(&m);
	m.message_id = strdup("failure");
	message_add_str(&m, "plugin", "facter");
	message_add_str(&m, "stdout_tail", tail);
	message_add_str(&m, "stderr_tail", tail);
	message_set_body(&m, calloc(11, 1), 10);
	outbox_add(f->outbox, id, &m);
	message_finish(&m);
	free(tail);
}

static const char *
header(struct fixture *f, size_t i, const char *name)
{
	return message_str(&published(f, i)->message, name);
}

static void
what_was_printed_gives_way_to_small_frames(void **state)
{
	struct fixture *f = *state;

	fake_broker_limits(f->broker, 3000, 0);
	add_failure(f, 1, 100);
	add_failure(f, 2, 2000);
	add_failure(f, 3, 6000);
	add(f, 4, 10);
	go_ready(f);
	assert_published(f, "failure failure failure m4 ");
	assert_non_null(header(f, 0, "stdout_tail"));
	assert_non_null(header(f, 0, "stderr_tail"));
	assert_null(header(f, 1, "stdout_tail"));
	assert_non_null(header(f, 1, "stderr_tail")); /* it says why */
	assert_null(header(f, 2, "stderr_tail"));
	assert_string_equal(header(f, 2, "plugin"), "facter");
	assert_int_equal(published(f, 2)->message.body_len, 10);
	for (size_t i = 0; i < 4; i++)
		answer(f, i, BROKER_CONFIRMED);
	assert_int_equal(f->n_confirmed, 4);
	assert_int_equal(outbox_count(f->outbox), 0);
	assert_true(outbox_has_room(f->outbox, OUTBOX_COUNT_MAX));
}

static void
the_name_of_a_refused_command_gives_way(void **state)
{
	struct fixture *f = *state;
	struct message m;
	char name[4000] = "";

	memset(name, 'x', sizeof(name) - 1);
	fake_broker_limits(f->broker, 3000, 0);
	go_ready(f);
	message_init(&m);
	message_add_str(&m, "plugin", name);
	message_add_str(&m, "state", "refused");
	outbox_add(f->outbox, 1, &m);
	assert_int_equal(fake_broker_published(f->broker), 1);
	assert_null(header(f, 0, "plugin"));
	assert_string_equal(header(f, 0, "state"), "refused");
}

/* Output is part full: it is as it was when it has drained. */
static void
no_room_now_takes_nothing_away(void **state)
{
	struct fixture *f = *state;

	fake_broker_room(f->broker, 5);
	go_ready(f);
	add_failure(f, 1, 2000);
	add(f, 2, 10);
	assert_int_equal(fake_broker_published(f->broker), 0);
	fake_broker_room(f->broker, 0);
	assert_published(f, "failure m2 ");
	assert_non_null(header(f, 0, "stdout_tail"));
	assert_non_null(header(f, 0, "stderr_tail"));
}

static void
what_cannot_be_sent_does_not_hold_up_the_others(void **state)
{
	struct fixture *f = *state;

	fake_broker_limits(f->broker, 0, 100);
	go_ready(f);
	add(f, 1, 101);
	add(f, 2, 100);
	add_fresh(f, 3);
	add_newest(f, "a", 4, 10);
	assert_published(f, "m2 m3 a4 ");
	assert_int_equal(outbox_count(f->outbox), 4);
	fake_broker_down(f->broker);
	fake_broker_limits(f->broker, 0, 0);
	go_ready(f);
	assert_published(f, "m2 m3 a4 m3 m1 m2 a4 ");
}

static void
what_the_broker_finds_too_large_is_reported_as_such(void **state)
{
	struct fixture *f = *state;
	const struct message *m;

	outbox_set_host(f->outbox, "web01");
	fake_broker_limits(f->broker, 0, 500);
	go_ready(f);
	add(f, 1, 501);
	add(f, 2, 100);
	assert_int_equal(fake_broker_published(f->broker), 2);
	m = &published(f, 0)->message;
	assert_non_null(strstr(m->body, "{\"syskey\":\"web01\",\"last_error\":{"));
	assert_non_null(strstr(m->body, "a message of 501 bytes, is larger than the broker takes"));
	assert_string_equal(header(f, 0, "state"), "failed");
	assert_string_equal(m->message_id, "m1");
	answer(f, 0, BROKER_CONFIRMED);
	answer(f, 1, BROKER_CONFIRMED);
	assert_int_equal(outbox_count(f->outbox), 0);
	assert_true(outbox_has_room(f->outbox, OUTBOX_COUNT_MAX));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(waits_for_the_broker),
	    TEST(gone_when_confirmed),
	    TEST(lost_is_sent_again_when_ready),
	    TEST(nacked_is_kept_and_sent_again),
	    TEST(returned_is_kept_and_sent_again),
	    TEST(returned_has_the_bindings_looked_after),
	    TEST(retries_are_capped_and_never_end),
	    TEST(reconnect_ends_a_pause),
	    TEST(blocked_broker_is_waited_for),
	    TEST(room_by_count),
	    TEST(room_by_bytes),
	    TEST(newest_replaces_what_waits),
	    TEST(newest_goes_behind_answers),
	    TEST(newest_takes_no_room_of_answers),
	    TEST(one_of_a_plugin_is_sent_at_once),
	    TEST(lost_gives_way_to_the_newer),
	    TEST(refused_gives_way_to_the_newer),
	    TEST(bytes_of_the_newest_are_bounded),
	    TEST(bytes_with_the_broker_are_bounded),
	    TEST(fresh_goes_first_and_on_its_own_lane),
	    TEST(without_a_fresh_lane_all_go_with_the_others),
	    TEST(returned_on_both_lanes_is_kept),
	    TEST(a_full_queue_does_not_hold_up_the_fresh),
	    TEST(a_full_lane_of_the_fresh_does_not_hold_up_the_others),
	    TEST(what_has_become_old_is_not_fresh),
	    TEST(what_was_printed_gives_way_to_small_frames),
	    TEST(the_name_of_a_refused_command_gives_way),
	    TEST(no_room_now_takes_nothing_away),
	    TEST(what_cannot_be_sent_does_not_hold_up_the_others),
	    TEST(what_the_broker_finds_too_large_is_reported_as_such),
	};

	return cmocka_run_group_tests_name("outbox", tests, NULL, NULL);
}
