/* SPDX-License-Identifier: Apache-2.0 */
/* The fold: neither order nor repetition of outcomes matters, and the states add up to the targets.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/base/buf.h"
#include "shared/base/xalloc.h"
#include "shared/store/fold.h"
#include "shared/store/job.h"
#include "shared/wire/jsonx.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define T0 INT64_C(1285467389609) /* 2010-09-26T02:16:29.609Z */

enum { N_HOSTS = 8 };
static char names[N_HOSTS][2] = {"a", "b", "c", "d", "e", "f", "g", "h"};
static char *hosts[N_HOSTS];

static struct job
job_of_hosts(int64_t not_after)
{
	for (size_t i = 0; i < N_HOSTS; i++)
		hosts[i] = names[i];
	return (struct job){.not_after = not_after, .hosts = hosts, .n_hosts = N_HOSTS};
}

static struct outcome
outcome(const char *host, enum outcome_state s, int64_t order)
{
	struct outcome o;

	outcome_init(&o);
	o.host = host;
	o.state = s;
	o.order = order;
	return o;
}

static bool
add(struct fold *f, const char *host, enum outcome_state s, int64_t order)
{
	struct outcome o = outcome(host, s, order);

	return fold_add(f, &o);
}

static struct fold_counts
count(const struct fold *f, int64_t now)
{
	struct fold_counts c;
	size_t sum = 0;

	fold_count(f, now, &c);
	for (int i = 0; i < OUTCOME_N_STATES; i++)
		sum += c.by[i];
	assert_int_equal(sum, c.targets);
	return c;
}

static void
silence_is_queued_then_expired(void **state)
{
	struct job j = job_of_hosts(1000);
	struct fold *f = fold_create(&j);
	struct fold_counts c = count(f, 1000);

	assert_int_equal(c.targets, N_HOSTS);
	assert_int_equal(c.by[OUTCOME_QUEUED], N_HOSTS);
	assert_int_equal(c.open, N_HOSTS);
	assert_true(add(f, "a", OUTCOME_OK, 1));
	c = count(f, 1001);
	assert_int_equal(c.by[OUTCOME_OK], 1);
	assert_int_equal(c.by[OUTCOME_EXPIRED], N_HOSTS - 1);
	assert_int_equal(c.open, 0);
	fold_destroy(f);
	j.not_after = 0;
	f = fold_create(&j);
	c = count(f, INT64_MAX);
	assert_int_equal(c.by[OUTCOME_QUEUED], N_HOSTS);
	fold_destroy(f);
}

/* The later row counts before the earlier one, whichever comes first. */
static void
which_outcome_counts(void **state)
{
	static const struct {
		enum outcome_state state;
		int64_t order;
		const char *response_id;
	} rows[] = {
	    /* each is later than the one above it, which would let that one count */
	    {OUTCOME_UNSENT, 0, NULL},
	    {OUTCOME_QUEUED, 0, NULL},
	    {OUTCOME_CANCELLED, 0, NULL}, /* of the runner */
	    {OUTCOME_UNROUTABLE, 0, NULL},
	    {OUTCOME_EXPIRED, 0, "j.a"},
	    {OUTCOME_EXPIRED, 9, "j.a"},
	    {OUTCOME_CANCELLED, 0, "j.a"}, /* of the host */
	    {OUTCOME_CANCELLED, 7, "j.a"},
	    {OUTCOME_SUPERSEDED, 0, "j.a"},
	    {OUTCOME_OK, 0, "j.a"},
	    {OUTCOME_SUPERSEDED, 1, "j.a"},
	    {OUTCOME_REFUSED, 1, "j.a"},
	    {OUTCOME_TIMEOUT, 1, "j.a"},
	    {OUTCOME_FAILED, 1, "j.a"},
	    {OUTCOME_OK, 1, "j.a"},
	    {OUTCOME_FAILED, 2, "j.a"},
	};
	struct outcome given[sizeof(rows) / sizeof(rows[0])];
	struct job j = job_of_hosts(0);

	j.confirms = true;
	j.n_hosts = 1;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		given[i] = outcome("a", rows[i].state, rows[i].order);
		given[i].response_id = rows[i].response_id;
		given[i].at = (int64_t)i + 1;
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
			struct fold *f = fold_create(&j);
			struct fold_counts c;

			assert_true(fold_add(f, &given[i]));
			assert_int_equal(fold_add(f, &given[k]), k > i);
			c = count(f, 2);
			assert_int_equal(c.by[rows[i > k ? i : k].state], 1);
			fold_destroy(f);
		}
	}
}

/* Said of a command that the broker has confirmed: nothing else is queued, and nothing else can
 * expire. */
static void
silence_is_unsent_without_the_runners_note(void **state)
{
	struct job j = job_of_hosts(1000);
	struct fold_counts c;
	struct fold *f;
	struct outcome o;

	j.confirms = true;
	f = fold_create(&j);
	c = count(f, 1000);
	assert_int_equal(c.by[OUTCOME_UNSENT], N_HOSTS);
	assert_int_equal(c.open, N_HOSTS); /* the runner may be about to note it */
	assert_true(add(f, "a", OUTCOME_QUEUED, 0));
	assert_true(add(f, "b", OUTCOME_OK, 1));
	o = outcome("c", OUTCOME_UNSENT, 0);
	o.at = 500;
	o.why = "refused";
	assert_true(fold_add(f, &o));
	c = count(f, 1000);
	assert_int_equal(c.by[OUTCOME_QUEUED], 1);
	assert_int_equal(c.by[OUTCOME_UNSENT], N_HOSTS - 2);
	assert_int_equal(c.open, N_HOSTS - 2); /* that of c is known */
	c = count(f, 1001);
	assert_int_equal(c.by[OUTCOME_EXPIRED], 1);
	assert_int_equal(c.by[OUTCOME_UNSENT], N_HOSTS - 2);
	assert_int_equal(c.open, N_HOSTS - 3);
	assert_int_equal(count(f, 1000 + 61000).open, 0);
	assert_true(add(f, "c", OUTCOME_OK, 1)); /* it was on its way after all */
	assert_int_equal(count(f, 0).by[OUTCOME_OK], 2);
	fold_destroy(f);
}

static void
one_note_may_stand_for_all(void **state)
{
	struct job j = job_of_hosts(1000);
	struct fold_counts c;
	struct fold *f;

	j.confirms = true;
	f = fold_create(&j);
	assert_true(add(f, "a", OUTCOME_OK, 1));
	assert_true(add(f, "b", OUTCOME_UNROUTABLE, 0));
	add(f, OUTCOME_EVERY_HOST, OUTCOME_QUEUED, 0);
	c = count(f, 1000);
	assert_int_equal(c.by[OUTCOME_QUEUED], N_HOSTS - 2);
	assert_int_equal(c.by[OUTCOME_UNROUTABLE], 1);
	assert_int_equal(c.others, 0);
	c = count(f, 1001);
	assert_int_equal(c.by[OUTCOME_EXPIRED], N_HOSTS - 2);
	add(f, OUTCOME_EVERY_HOST, OUTCOME_OK, 0); /* forged: of that host alone QUEUED is taken */
	assert_int_equal(count(f, 0).by[OUTCOME_OK], 1);
	fold_destroy(f);
}

static void
what_the_fold_does_not_take(void **state)
{
	struct job j = job_of_hosts(0);
	struct fold *f = fold_create(&j);

	assert_false(add(f, "a", OUTCOME_EXPIRED, 0)); /* nobody's word */
	assert_false(add(f, "x", OUTCOME_QUEUED, 0));
	assert_false(add(f, "x", OUTCOME_UNSENT, 0));
	assert_false(add(f, "x", OUTCOME_UNROUTABLE, 0));
	assert_false(add(f, "x", OUTCOME_CANCELLED, 0));
	assert_int_equal(count(f, 0).others, 0);
	assert_int_equal(count(f, 0).by[OUTCOME_QUEUED], N_HOSTS);
	assert_true(add(f, "x", OUTCOME_OK, 1));
	assert_false(add(f, "x", OUTCOME_OK, 1));
	assert_int_equal(count(f, 0).others, 1);
	assert_int_equal(count(f, 0).by[OUTCOME_QUEUED], N_HOSTS);
	fold_destroy(f);
}

static void
the_earlier_of_two_alike(void **state)
{
	struct job j = job_of_hosts(0);
	struct fold *f = fold_create(&j);
	struct outcome o = outcome("a", OUTCOME_OK, 3);

	o.at = 20;
	assert_true(fold_add(f, &o));
	o.at = 10;
	assert_false(fold_add(f, &o)); /* the same news, brought twice */
	o.why = "else";
	o.at = 9;
	assert_true(fold_add(f, &o));
	fold_destroy(f);
}

/* --- any order, any repetition --- */

enum { OUTCOMES = 60, ROUNDS = 300, SHUFFLES = 4 };

static uint32_t seed;

static uint32_t
rnd(uint32_t below)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % below;
}

static struct outcome
random_outcome(void)
{
	static const char *const some[] = {
	    "a", "b", "c", "d", "e", "f", "g", "h", "x", "y", OUTCOME_EVERY_HOST};
	static const char *const whys[] = {NULL, "one", "two"};
	struct outcome o;

	outcome_init(&o);
	o.host = some[rnd(rnd(30) == 0 ? 11 : 10)];
	o.state = (enum outcome_state)rnd(OUTCOME_N_STATES);
	o.order = rnd(4);
	o.at = rnd(3);
	o.why = whys[rnd(3)];
	o.response_id = whys[rnd(3)];
	o.duration_ms = (int64_t)rnd(3) - 1;
	o.exit_status = (int)rnd(3) - 1;
	return o;
}

static void
write_stand(const struct outcome *o, bool target, void *arg)
{
	json_t *all = arg, *one = outcome_to_json(o);

	json_object_set_new(one, "target", json_boolean(target));
	json_array_append_new(all, one);
}

/* All that the fold says, of these outcomes in random order, each perhaps several times. */
static json_t *
fold_shuffled(const struct outcome *list, int64_t now, bool confirms)
{
	struct job j = job_of_hosts(5);
	struct fold *f;
	json_t *all = json_array();
	bool given[OUTCOMES] = {false};
	size_t left = OUTCOMES;

	j.confirms = confirms;
	f = fold_create(&j);
	while (left > 0) {
		size_t i = rnd(OUTCOMES);

		fold_add(f, &list[i]);
		left -= !given[i];
		given[i] = true;
		assert_int_equal(count(f, now).targets, N_HOSTS);
	}
	fold_each(f, now, write_stand, all);
	fold_destroy(f);
	return all;
}

static void
order_and_repetition_are_no_matter(void **state)
{
	for (uint32_t round = 0; round < ROUNDS; round++) {
		struct outcome list[OUTCOMES];
		json_t *first;

		seed = round;
		for (size_t i = 0; i < OUTCOMES; i++)
			list[i] = random_outcome();
		first = fold_shuffled(list, 4 + round % 3, round % 2 == 0);
		for (int i = 0; i < SHUFFLES; i++) {
			json_t *again = fold_shuffled(list, 4 + round % 3, round % 2 == 0);

			if (!json_equal(first, again))
				fail_msg("round %u differs", round);
			json_decref(again);
		}
		json_decref(first);
	}
}

static void
note_host(const struct outcome *o, bool target, void *arg)
{
	char *text = arg;
	size_t len = strlen(text);

	snprintf(text + len, 128 - len, "%s:%s%s ", o->host, outcome_state_name(o->state),
	    target ? "" : "!");
}

static void
each_in_order_of_name(void **state)
{
	struct job j = job_of_hosts(10);
	struct fold *f;
	char text[128] = "";

	j.n_hosts = 3;
	f = fold_create(&j);
	add(f, "z", OUTCOME_OK, 1);
	add(f, "0", OUTCOME_FAILED, 1);
	add(f, "b", OUTCOME_TIMEOUT, 1);
	fold_each(f, 11, note_host, text);
	assert_string_equal(text, "a:expired b:timeout c:expired 0:failed! z:ok! ");
	fold_destroy(f);
	fold_destroy(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(silence_is_queued_then_expired),
	    cmocka_unit_test(which_outcome_counts),
	    cmocka_unit_test(silence_is_unsent_without_the_runners_note),
	    cmocka_unit_test(one_note_may_stand_for_all),
	    cmocka_unit_test(what_the_fold_does_not_take),
	    cmocka_unit_test(the_earlier_of_two_alike),
	    cmocka_unit_test(order_and_repetition_are_no_matter),
	    cmocka_unit_test(each_in_order_of_name),
	};

	return cmocka_run_group_tests_name("fold", tests, NULL, NULL);
}
