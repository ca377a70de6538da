/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/batch.h"
#include "daemon/damage.h"
#include "shared/base/log.h"
#include "shared/store/store_backend.h"
#include "tests/fake/fake_loop.h"
#include "tests/fake/fake_store.h"

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DELIVERIES_MAX 256

struct fixture {
	struct loop *loop;
	struct fake_store *store;
	struct batch *batch;
	unsigned int stored[DELIVERIES_MAX]; /* by owner */
	unsigned int rejected[DELIVERIES_MAX];
	unsigned int n_stored, n_rejected, n_down;
	unsigned int asked; /* of judges that count */
	unsigned int held;  /* how often */
	bool good;          /* what the judge says, of those that switch */
};

static void
on_done(void *owner, enum batch_verdict verdict, const char *why, void *arg)
{
	struct fixture *w = arg;
	size_t i = (size_t)(uintptr_t)owner;

	assert_in_range(i, 0, DELIVERIES_MAX - 1);
	if (verdict == BATCH_STORED) {
		w->stored[i]++;
		w->n_stored++;
	} else {
		assert_non_null(why);
		w->rejected[i]++;
		w->n_rejected++;
	}
}

static void
on_breaker(void *arg)
{
	struct fixture *w = arg;

	if (batch_breaker(w->batch)->state != BREAKER_AWAY)
		return;
	assert_string_not_equal(batch_breaker(w->batch)->why, "");
	w->n_down++;
	batch_clear(w->batch);
}

static void
on_held(void *owner, void *arg)
{
	((struct fixture *)arg)->held++;
}

static const struct batch_handlers handlers = {
    .on_done = on_done,
    .on_held = on_held,
    .on_breaker = on_breaker,
};

static const struct batch_options options = {
    .max_count = 64,
    .max_bytes = 1000000,
    .max_age_ms = 50,
    .patience_ms = 10000,
    .held_max_bytes = 100000,
};

static void
start(struct fixture *w, unsigned int in_flight, unsigned int min_interval_ms)
{
	w->loop = loop_create();
	w->store = fake_store_create(w->loop, in_flight, min_interval_ms);
	w->batch = batch_create(w->loop, fake_store_base(w->store), &options, &handlers, w);
	batch_tell(w->batch, BREAKER_PROBE_PASSED, NULL);
	fake_advance(w->loop, 0);
}

static int
setup(void **state)
{
	struct fixture *w = calloc(1, sizeof(*w));

	ident_init();
	start(w, 2, 0);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *w = *state;

	assert_false(fake_store_overlapped(w->store));
	fake_store_destroy(w->store);
	batch_destroy(w->batch);
	loop_destroy(w->loop);
	free(w);
	return 0;
}

static int
setup_like_couch(void **state)
{
	struct fixture *w = calloc(1, sizeof(*w));

	ident_init();
	start(w, 16, 0);
	*state = w;
	return 0;
}

static int
setup_like_sqlite(void **state)
{
	struct fixture *w = calloc(1, sizeof(*w));

	ident_init();
	start(w, 1, 50);
	*state = w;
	return 0;
}

static void
add_bytes(struct fixture *w, const char *host, size_t owner, size_t bytes)
{
	struct result **list = calloc(1, sizeof(*list));
	struct result *r = calloc(1, sizeof(*r));

	result_init(r);
	r->plugin = strdup("facter");
	r->value = calloc(1, bytes + 1);
	r->value_len = bytes;
	list[0] = r;
	batch_add(w->batch, host, list, 1, (void *)(uintptr_t)owner, false);
}

static void
add(struct fixture *w, const char *host, size_t owner)
{
	add_bytes(w, host, owner, 10);
}

static void
add_hosts(struct fixture *w, size_t n)
{
	char host[32];
	size_t i;

	for (i = 0; i < n; i++) {
		snprintf(host, sizeof(host), "h%zu", i);
		add(w, host, i);
	}
}

static void
what_waits_goes_when_it_is_old_enough(void **state)
{
	struct fixture *w = *state;

	add(w, "a", 1);
	fake_advance(w->loop, 30);
	add(w, "b", 2);
	fake_advance(w->loop, 19);
	assert_int_equal(fake_store_puts(w->store), 0);
	fake_advance(w->loop, 1);
	assert_int_equal(fake_store_puts(w->store), 1);
	assert_string_equal(fake_store_put_text(w->store, 0), "a:1 b:1");
	assert_int_equal(w->n_stored, 2);
	assert_int_equal(fake_next_timer(w->loop), -1); /* idle is idle */
}

static void
enough_hosts_do_not_wait_for_age(void **state)
{
	struct fixture *w = *state;

	add_hosts(w, 64);
	fake_advance(w->loop, 0);
	assert_int_equal(fake_store_puts(w->store), 1);
	assert_int_equal(w->n_stored, 64);
}

static void
enough_bytes_do_not_wait_for_age(void **state)
{
	struct fixture *w = *state;

	add_bytes(w, "a", 1, 400000);
	fake_advance(w->loop, 0);
	assert_int_equal(fake_store_puts(w->store), 0);
	add_bytes(w, "b", 2, 700000);
	fake_advance(w->loop, 0);
	assert_int_equal(w->n_stored, 2);
}

static void
without_limits_of_its_own_it_has_those_of_the_store(void **state)
{
	struct fixture *w = *state;
	struct batch_options automatic = {.max_age_ms = 50, .patience_ms = 10000};
	struct store_limits *limits = &fake_store_base(w->store)->limits;

	batch_set_options(w->batch, &automatic);
	limits->batch_count = 3;
	limits->batch_bytes = 1000;
	add(w, "a", 1);
	add(w, "b", 2);
	fake_advance(w->loop, 0);
	assert_int_equal(fake_store_puts(w->store), 0);
	add(w, "c", 3);
	fake_advance(w->loop, 0);
	assert_string_equal(fake_store_put_text(w->store, 0), "a:1 b:1 c:1");
	add_bytes(w, "a", 4, 2000);
	fake_advance(w->loop, 0);
	assert_string_equal(fake_store_put_text(w->store, 1), "a:1");
	limits->batch_count = 100;
	limits->batch_bytes = 1000000;
	add_hosts(w, 64);
	fake_advance(w->loop, 49);
	assert_int_equal(fake_store_puts(w->store), 2);
	fake_advance(w->loop, 1);
	assert_int_equal(fake_store_puts(w->store), 3);
}

static void
the_time_of_puts_is_counted(void **state)
{
	struct fixture *w = *state;

	fake_store_hold(w->store);
	add_hosts(w, 64);
	fake_advance(w->loop, 300);
	fake_store_release(w->store);
	fake_advance(w->loop, 0);
	assert_in_range(batch_stats(w->batch)->put_ms, 290, 300);
	fake_store_hold(w->store);
	add_hosts(w, 64);
	fake_advance(w->loop, 200);
	fake_store_release(w->store);
	fake_advance(w->loop, 0);
	assert_in_range(batch_stats(w->batch)->put_ms, 490, 500);
	assert_in_range(batch_stats(w->batch)->put_ms_max, 290, 300);
}

static void
responses_of_one_host_become_one_write_up_to_the_bytes(void **state)
{
	struct fixture *w = *state;

	add(w, "a", 1);
	add(w, "a", 2);
	add(w, "b", 3);
	add(w, "a", 4);
	fake_advance(w->loop, 50);
	assert_string_equal(fake_store_put_text(w->store, 0), "a:3 b:1");
	add_bytes(w, "a", 5, 700000);
	add_bytes(w, "a", 6, 700000);
	fake_advance(w->loop, 50);
	assert_string_equal(fake_store_put_text(w->store, 1), "a:1");
	assert_string_equal(fake_store_put_text(w->store, 2), "a:1");
	assert_int_equal(w->n_stored, 6);
}

static void
a_host_has_one_write_in_flight_and_the_rest_merges(void **state)
{
	struct fixture *w = *state;

	fake_store_hold(w->store);
	add(w, "a", 1);
	fake_advance(w->loop, 50);
	add(w, "a", 2);
	add(w, "a", 3);
	add(w, "b", 4);
	fake_advance(w->loop, 50);
	assert_string_equal(fake_store_put_text(w->store, 1), "b:1");
	assert_int_equal(fake_store_puts(w->store), 2);
	fake_store_release(w->store);
	fake_advance(w->loop, 0);
	assert_string_equal(fake_store_put_text(w->store, 2), "a:2");
	assert_int_equal(w->n_stored, 4);
}

static void
the_limit_of_puts_in_flight_is_kept(void **state)
{
	struct fixture *w = *state;

	fake_store_hold(w->store);
	add_hosts(w, 200);
	fake_advance(w->loop, 1000);
	assert_int_equal(fake_store_in_flight(w->store), 2);
	fake_store_release(w->store);
	fake_advance(w->loop, 1000);
	assert_int_equal(fake_store_max_in_flight(w->store), 2);
	assert_int_equal(fake_store_puts(w->store), 4);
	assert_int_equal(w->n_stored, 200);
}

static void
the_interval_between_puts_is_kept(void **state)
{
	struct fixture *w = *state;

	add_hosts(w, 64);
	fake_advance(w->loop, 0);
	assert_int_equal(fake_store_puts(w->store), 1);
	add_hosts(w, 64);
	fake_advance(w->loop, 49);
	assert_int_equal(fake_store_puts(w->store), 1);
	fake_advance(w->loop, 1);
	assert_int_equal(fake_store_puts(w->store), 2);
}

/* Conflict for "a" as long as the test wants. */
static enum store_status
judge_conflict(
    struct fake_store *f, struct store_write *const *writes, size_t n, size_t i, void *arg)
{
	struct fixture *w = arg;

	if (strcmp(writes[i]->host, "a") != 0 || w->good)
		return STORE_OK;
	w->asked++;
	return STORE_CONFLICT;
}

static void
a_conflict_is_tried_again_soon_then_later(void **state)
{
	struct fixture *w = *state;
	int waited;

	fake_store_judge(w->store, judge_conflict, w);
	add(w, "a", 1);
	add(w, "b", 2);
	for (waited = 0; waited < 4000 && w->asked < BATCH_CONFLICTS_MAX; waited++)
		fake_advance(w->loop, 1);
	assert_in_range(waited, 500, 3000); /* with pauses that grow */
	fake_advance(w->loop, 4990);
	assert_int_equal(w->stored[2], 1);
	assert_int_equal(w->stored[1], 0);
	assert_int_equal(w->asked, BATCH_CONFLICTS_MAX);
	w->good = true;
	add(w, "a", 3);
	fake_advance(w->loop, 100);
	assert_int_equal(w->stored[1], 1);
	assert_int_equal(w->stored[3], 1);
	assert_string_equal(fake_store_put_text(w->store, fake_store_puts(w->store) - 1), "a:2");
	assert_int_equal(batch_stats(w->batch)->conflicts, BATCH_CONFLICTS_MAX);
}

static enum store_status
judge_all_conflict(
    struct fake_store *f, struct store_write *const *writes, size_t n, size_t i, void *arg)
{
	return STORE_CONFLICT;
}

static void
conflicts_of_many_hosts_are_one_line(void **state)
{
	struct fixture *w = *state;
	FILE *log = tmpfile();
	int terminal = dup(STDERR_FILENO), lines = 0;
	char line[512];

	dup2(fileno(log), STDERR_FILENO);
	log_set_level(LOG_LEVEL_WARN);
	fake_store_judge(w->store, judge_all_conflict, w);
	add_hosts(w, 5);
	fake_advance(w->loop, 4000);
	dup2(terminal, STDERR_FILENO);
	close(terminal);
	assert_int_equal(batch_stats(w->batch)->conflicts, 5 * BATCH_CONFLICTS_MAX);
	rewind(log);
	while (fgets(line, sizeof(line), log) != NULL)
		lines += strstr(line, "times in a row") != NULL;
	fclose(log);
	assert_int_equal(lines, 1);
}

static enum store_status
judge_retry(struct fake_store *f, struct store_write *const *writes, size_t n, size_t i, void *arg)
{
	struct fixture *w = arg;

	w->asked++;
	return w->good ? STORE_OK : STORE_RETRY;
}

static void
a_store_that_is_away_gets_the_same_again_with_backoff(void **state)
{
	struct fixture *w = *state;

	fake_store_judge(w->store, judge_retry, w);
	add(w, "a", 1);
	fake_advance(w->loop, 50);
	assert_int_equal(batch_breaker(w->batch)->refusals, 1);
	fake_advance(w->loop, 3000);
	assert_in_range(fake_store_puts(w->store), 4, 7); /* 100, 200, 400 ... and not in a loop */
	assert_int_equal(w->n_down, 0);
	w->good = true;
	fake_advance(w->loop, 5000);
	assert_int_equal(w->stored[1], 1);
	assert_int_equal(batch_breaker(w->batch)->refusals, 0);
}

/* Else one moment without an answer costs a crowd as much as sixteen in a row. */
static void
puts_that_are_refused_together_are_one_refusal(void **state)
{
	struct fixture *w = *state;
	struct batch_options narrow = options;

	narrow.max_count = 8;
	batch_set_options(w->batch, &narrow);
	fake_store_judge(w->store, judge_retry, w);
	fake_store_hold(w->store);
	add_hosts(w, 128);
	fake_advance(w->loop, 50);
	assert_int_equal(fake_store_in_flight(w->store), 16);
	fake_store_release(w->store);
	fake_advance(w->loop, 0);
	assert_int_equal(fake_store_in_flight(w->store), 0);
	assert_int_equal(batch_breaker(w->batch)->refusals, 1);
	assert_int_equal(batch_breaker(w->batch)->width, 4);
	w->good = true;
	fake_advance(w->loop, 200);
	assert_int_equal(w->n_stored, 128);
	w->good = false; /* one after the other is another thing */
	add(w, "a", 1);
	fake_advance(w->loop, 3000);
	assert_in_range(batch_breaker(w->batch)->refusals, 4, 7);
}

static void
patience_ends_and_everything_can_be_given_back(void **state)
{
	struct fixture *w = *state;

	fake_store_judge(w->store, judge_retry, w);
	add(w, "a", 1);
	fake_advance(w->loop, 50);
	add(w, "b", 2);
	fake_advance(w->loop, 9900);
	assert_int_equal(w->n_down, 0);
	fake_advance(w->loop, 6000);
	assert_int_equal(w->n_down, 1);
	assert_int_equal(batch_breaker(w->batch)->state, BREAKER_AWAY);
	w->asked = 0;
	fake_advance(w->loop, 60000);
	assert_int_equal(w->asked, 0);
	assert_int_equal(w->n_down, 1);
	w->good = true;
	batch_tell(w->batch, BREAKER_PROBE_PASSED, NULL);
	assert_int_equal(batch_breaker(w->batch)->state, BREAKER_TRYING);
	add(w, "a", 3);
	fake_advance(w->loop, 50);
	assert_int_equal(w->stored[3], 1);
	assert_int_equal(w->stored[1] + w->stored[2], 0); /* cleared: not told */
}

static enum store_status
judge_retry_a(
    struct fake_store *f, struct store_write *const *writes, size_t n, size_t i, void *arg)
{
	struct fixture *w = arg;

	return strcmp(writes[i]->host, "a") == 0 && !w->good ? STORE_RETRY : STORE_OK;
}

static void
one_host_that_must_wait_does_not_stop_the_others(void **state)
{
	struct fixture *w = *state;

	fake_store_judge(w->store, judge_retry_a, w);
	add(w, "a", 1);
	add(w, "b", 2);
	fake_advance(w->loop, 50);
	assert_int_equal(batch_breaker(w->batch)->refusals, 0);
	assert_int_equal(w->stored[2], 1);
	add(w, "b", 3);
	fake_advance(w->loop, 50);
	assert_int_equal(w->stored[3], 1);
	w->good = true;
	fake_advance(w->loop, 5000);
	assert_int_equal(w->stored[1], 1);
	assert_int_equal(w->n_down, 0);
}

/* Alone in its put: that says nothing about the store. */
static void
one_host_that_is_refused_for_long_is_rejected(void **state)
{
	struct fixture *w = *state;

	fake_store_judge(w->store, judge_retry_a, w);
	add(w, "a", 1);
	add(w, "a", 2);
	add(w, "b", 3);
	for (int i = 0; i < BATCH_HOLD_MS / 60000; i++) {
		fake_advance(w->loop, 59000);
		assert_int_equal(w->n_rejected, 0);
		add(w, "b", 10);
		fake_advance(w->loop, 1000);
	}
	fake_advance(w->loop, 15000); /* each by itself */
	assert_int_equal(w->rejected[1], 1);
	assert_int_equal(w->rejected[2], 1);
	assert_int_equal(w->n_rejected, 2);
	assert_int_equal(w->n_down, 0);
	w->good = true;
	add(w, "a", 4);
	fake_advance(w->loop, 50);
	assert_int_equal(w->stored[4], 1);
}

/* Hosts d... are damaged. */
static enum store_status
judge_damaged(
    struct fake_store *f, struct store_write *const *writes, size_t n, size_t i, void *arg)
{
	struct fixture *w = arg;

	return writes[i]->host[0] == 'd' && !w->good ? STORE_DAMAGED : STORE_OK;
}

static void
add_damaged(struct fixture *w, size_t n)
{
	char host[32];

	for (size_t i = 0; i < n; i++) {
		snprintf(host, sizeof(host), "d%zu", i);
		add(w, host, i);
	}
}

/* However many come one after the other, with nothing that is taken between them. */
static void
damaged_hosts_say_nothing_about_the_store(void **state)
{
	struct fixture *w = *state;

	fake_store_judge(w->store, judge_damaged, w);
	for (size_t i = 0; i < 100; i++) {
		char host[32];

		snprintf(host, sizeof(host), "d%zu", i);
		add(w, host, i);
		fake_advance(w->loop, 1000);
		assert_int_equal(batch_breaker(w->batch)->state, BREAKER_THERE);
		assert_int_equal(batch_breaker(w->batch)->refusals, 0);
		assert_int_equal(batch_breaker(w->batch)->width, BREAKER_WIDTH_MAX);
	}
	assert_in_range(w->held, 100, 100000);
	assert_int_equal(damage_hosts(batch_damage(w->batch)), 100);
	add(w, "good", 200);
	fake_advance(w->loop, 50);
	assert_int_equal(w->stored[200], 1);
	w->good = true;
	fake_advance(w->loop, 10000);
	assert_int_equal(w->n_stored, 101);
	assert_int_equal(damage_hosts(batch_damage(w->batch)), 0);
	assert_int_equal(w->n_down, 0);
}

/* After an outage the first that comes may be one of them. */
static void
a_damaged_host_does_not_keep_the_store_on_trial(void **state)
{
	struct fixture *w = *state;

	fake_store_judge(w->store, judge_retry, w);
	add(w, "a", 1);
	fake_advance(w->loop, 60000);
	assert_int_equal(w->n_down, 1);
	fake_store_judge(w->store, judge_damaged, w);
	batch_tell(w->batch, BREAKER_PROBE_PASSED, NULL);
	assert_int_equal(batch_breaker(w->batch)->state, BREAKER_TRYING);
	add(w, "d", 2);
	fake_advance(w->loop, 100);
	assert_int_equal(batch_breaker(w->batch)->state, BREAKER_THERE);
}

static void
a_damaged_host_is_rejected_in_the_end_if_others_are_taken(void **state)
{
	struct fixture *w = *state;

	fake_store_judge(w->store, judge_damaged, w);
	add_damaged(w, 3);
	fake_advance(w->loop, BATCH_HOLD_MS - 1000);
	add(w, "good", 10);
	fake_advance(w->loop, 100);
	assert_int_equal(w->n_rejected, 0);
	fake_advance(w->loop, 7000);
	assert_int_equal(w->n_rejected, 3);
	assert_int_equal(w->n_down, 0);
}

/* Whoever was given up and sends nothing more, since it is gone, is known of no longer. */
static void
a_damaged_host_that_is_silent_is_forgotten(void **state)
{
	struct fixture *w = *state;

	fake_store_judge(w->store, judge_damaged, w);
	add_damaged(w, 2);
	fake_advance(w->loop, BATCH_HOLD_MS - 1000);
	add(w, "good", 10);
	fake_advance(w->loop, 10000);
	assert_int_equal(w->n_rejected, 2);
	assert_int_equal(damage_hosts(batch_damage(w->batch)), 2);
	fake_advance(w->loop, BATCH_HOLD_MS / 2);
	add(w, "d1", 11);
	fake_advance(w->loop, BATCH_HOLD_MS / 2 - 20000);
	assert_int_equal(damage_hosts(batch_damage(w->batch)), 2);
	fake_advance(w->loop, 40000);
	assert_int_equal(damage_hosts(batch_damage(w->batch)), 1); /* d1 is refused still */
	fake_advance(w->loop, BATCH_HOLD_MS / 2 - 30000);
	add(w, "good", 12);
	fake_advance(w->loop, 20000);
	assert_int_equal(w->n_rejected, 3);
	fake_advance(w->loop, BATCH_HOLD_MS + 20000);
	assert_int_equal(damage_hosts(batch_damage(w->batch)), 0);
	assert_int_equal(w->n_down, 0);
}

/* An index with one page is the trouble of all hosts: they stay in the queue. */
static void
damaged_hosts_are_not_rejected_while_nothing_is_taken(void **state)
{
	struct fixture *w = *state;

	fake_store_judge(w->store, judge_damaged, w);
	add_damaged(w, 3);
	add_bytes(w, "dlarge", 4, 200000);
	fake_advance(w->loop, BATCH_HOLD_MS - 1000);
	assert_int_equal(w->n_down, 0);
	fake_advance(w->loop, 60000);
	assert_int_equal(w->n_rejected, 0);
	assert_int_equal(w->n_down, 1);
}

static void
what_waits_for_damaged_hosts_is_bounded(void **state)
{
	struct fixture *w = *state;

	fake_store_judge(w->store, judge_damaged, w);
	for (size_t i = 0; i < 10; i++) {
		char host[32];

		snprintf(host, sizeof(host), "d%zu", i);
		add_bytes(w, host, i, 40000);
	}
	fake_advance(w->loop, 1000);
	add(w, "good", 10);
	fake_advance(w->loop, 20000);
	assert_int_equal(w->n_rejected, 8); /* two are 80000 */
	w->good = true;
	fake_advance(w->loop, 10000);
	assert_int_equal(w->n_stored, 3);
}

/* The store itself may be away by now. */
static void
one_host_that_is_refused_is_not_rejected_while_nothing_is_taken(void **state)
{
	struct fixture *w = *state;

	fake_store_judge(w->store, judge_retry_a, w);
	add(w, "a", 1);
	add(w, "b", 2);
	fake_advance(w->loop, BATCH_HOLD_MS - 10000);
	assert_int_equal(w->n_down, 0);
	fake_advance(w->loop, 40000);
	assert_int_equal(w->n_rejected, 0);
	assert_int_equal(w->n_down, 1);
}

static enum store_status
judge_poison(struct fake_store *f, struct store_write *const *writes, size_t n, size_t i, void *arg)
{
	const char *culprit = arg;
	size_t j;

	for (j = 0; j < n; j++) {
		if (strcmp(writes[j]->host, culprit) == 0)
			return STORE_REJECT_BATCH;
	}
	return STORE_OK;
}

static void
bisect_finds(struct fixture *w, const char *culprit, size_t index)
{
	size_t i;

	fake_store_judge(w->store, judge_poison, (void *)(uintptr_t)culprit);
	add_hosts(w, 64);
	fake_advance(w->loop, 1000);
	assert_int_equal(w->n_rejected, 1);
	assert_int_equal(w->rejected[index], 1);
	assert_int_equal(w->n_stored, 63);
	for (i = 0; i < 64; i++)
		assert_int_equal(w->stored[i], i == index ? 0 : 1);
	/* The first one, 6 halvings and the proof; the good halves go with what comes next. */
	assert_in_range(fake_store_puts(w->store), 2, 1 + 6 + 1 + 6);
	assert_int_equal(fake_next_timer(w->loop), -1);
}

static void
bisecting_finds_the_first(void **state)
{
	bisect_finds(*state, "h0", 0);
}

static void
bisecting_finds_one_in_the_middle(void **state)
{
	bisect_finds(*state, "h37", 37);
}

static void
bisecting_finds_the_last(void **state)
{
	bisect_finds(*state, "h63", 63);
}

static enum store_status
judge_two(struct fake_store *f, struct store_write *const *writes, size_t n, size_t i, void *arg)
{
	static char third[] = "h3", sixtieth[] = "h60";

	if (judge_poison(f, writes, n, i, third) != STORE_OK)
		return STORE_REJECT_BATCH;
	return judge_poison(f, writes, n, i, sixtieth);
}

static void
bisecting_finds_two_and_no_innocent(void **state)
{
	struct fixture *w = *state;

	fake_store_judge(w->store, judge_two, NULL);
	add_hosts(w, 64);
	fake_advance(w->loop, 1000);
	assert_int_equal(w->n_stored, 62);
	assert_int_equal(w->rejected[3] + w->rejected[60], 2);
}

static enum store_status
judge_too_large_together(
    struct fake_store *f, struct store_write *const *writes, size_t n, size_t i, void *arg)
{
	return n > 20 ? STORE_REJECT_BATCH : STORE_OK;
}

static void
a_batch_without_a_culprit_is_stored_in_parts(void **state)
{
	struct fixture *w = *state;

	fake_store_judge(w->store, judge_too_large_together, NULL);
	add_hosts(w, 64);
	fake_advance(w->loop, 1000);
	assert_int_equal(w->n_stored, 64);
	assert_int_equal(w->n_rejected, 0);
}

/* Refuses any write that holds the delivery whose value has 33 bytes. */
static enum store_status
judge_one_result(
    struct fake_store *f, struct store_write *const *writes, size_t n, size_t i, void *arg)
{
	size_t j;

	for (j = 0; j < writes[i]->n; j++) {
		if (writes[i]->results[j]->value_len == 33)
			return STORE_REJECT;
	}
	return STORE_OK;
}

static void
of_one_host_only_the_refused_delivery_is_rejected(void **state)
{
	struct fixture *w = *state;

	fake_store_judge(w->store, judge_one_result, NULL);
	add(w, "a", 1);
	add_bytes(w, "a", 2, 33);
	add(w, "a", 3);
	add(w, "b", 4);
	fake_advance(w->loop, 1000);
	assert_int_equal(w->n_stored, 3);
	assert_int_equal(w->rejected[2], 1);
	assert_int_equal(w->n_rejected, 1);
}

static void
what_is_cleared_in_flight_is_not_told(void **state)
{
	struct fixture *w = *state;

	fake_store_hold(w->store);
	add(w, "a", 1);
	fake_advance(w->loop, 50);
	add(w, "a", 2);
	batch_clear(w->batch);
	add(w, "a", 3);
	fake_advance(w->loop, 100);
	assert_int_equal(fake_store_puts(w->store), 1); /* one write of a host at a time, still */
	fake_store_release(w->store);
	fake_advance(w->loop, 100);
	assert_int_equal(w->stored[1] + w->stored[2], 0);
	assert_int_equal(w->stored[3], 1);
}

static void
in_a_hurry_nothing_waits_for_age(void **state)
{
	struct fixture *w = *state;

	add(w, "a", 1);
	batch_hurry(w->batch);
	fake_advance(w->loop, 0);
	assert_int_equal(w->n_stored, 1);
}

static void
a_delayed_host_does_not_hold_up_the_age_of_others(void **state)
{
	struct fixture *w = *state;

	fake_store_judge(w->store, judge_conflict, w);
	add(w, "a", 1);
	fake_advance(w->loop, 4000); /* a's next try is seconds away */
	add(w, "b", 2);
	fake_advance(w->loop, 50);
	assert_int_equal(w->stored[2], 1);
}

static void
destroying_with_puts_in_flight_frees_them(void **state)
{
	struct fixture *w = *state;

	fake_store_hold(w->store);
	add_hosts(w, 100);
	fake_advance(w->loop, 50);
	add(w, "h0", 1);
	assert_int_equal(fake_store_in_flight(w->store), 2);
}

/* ---- is it the host, or the store? ---- */

static enum store_status
judge_refused(
    struct fake_store *f, struct store_write *const *writes, size_t n, size_t i, void *arg)
{
	struct fixture *w = arg;

	return w->good ? STORE_OK : STORE_REFUSED;
}

/* As a database that this user may not write to: nothing of it is any host's fault. */
static void
a_store_that_refuses_every_host_is_away(void **state)
{
	struct fixture *w = *state;

	fake_store_judge(w->store, judge_refused, w);
	add_hosts(w, 64);
	fake_advance(w->loop, 0);
	assert_int_equal(batch_breaker(w->batch)->refusals, 1);
	assert_int_equal(batch_breaker(w->batch)->width, 32);
	fake_advance(w->loop, 9000);
	assert_int_equal(batch_breaker(w->batch)->width, 1);
	assert_int_equal(w->n_down, 0);
	fake_advance(w->loop, 8000);
	assert_int_equal(w->n_down, 1);
	assert_int_equal(w->n_rejected, 0);
	batch_tell(w->batch, BREAKER_PROBE_PASSED, NULL);
	add_hosts(w, 64); /* they come again, each alone */
	fake_advance(w->loop, BATCH_HOLD_MS - 20000);
	assert_int_equal(w->n_rejected, 0);
	w->good = true;
	fake_advance(w->loop, 10000);
	assert_int_equal(w->n_stored, 64);
	assert_int_equal(w->n_rejected, 0);
}

static enum store_status
judge_whole(struct fake_store *f, struct store_write *const *writes, size_t n, size_t i, void *arg)
{
	struct fixture *w = arg;

	return w->good ? STORE_OK : n > 1 ? STORE_REJECT_BATCH : STORE_REFUSED;
}

/* As a partitioned database does. */
static void
a_store_that_refuses_every_batch_is_away(void **state)
{
	struct fixture *w = *state;

	fake_store_judge(w->store, judge_whole, w);
	add_hosts(w, 64);
	fake_advance(w->loop, 3000);
	assert_int_equal(w->n_rejected, 0);
	assert_in_range(fake_store_puts(w->store), 8, 40);
	w->good = true;
	fake_advance(w->loop, 10000);
	assert_int_equal(w->n_stored, 64);
}

static enum store_status
judge_refused_a(
    struct fake_store *f, struct store_write *const *writes, size_t n, size_t i, void *arg)
{
	return strcmp(writes[i]->host, "a") == 0 ? STORE_REFUSED : STORE_OK;
}

/* Refused alone it may be the store; once another was taken it is not. */
static void
a_host_that_is_refused_is_rejected_when_another_was_taken(void **state)
{
	struct fixture *w = *state;

	fake_store_judge(w->store, judge_refused_a, w);
	add(w, "a", 1);
	add(w, "b", 2);
	fake_advance(w->loop, 50);
	assert_int_equal(w->rejected[1], 1);
	add(w, "a", 3);
	fake_advance(w->loop, 3000);
	assert_int_equal(w->n_rejected, 1);
	add(w, "b", 4);
	fake_advance(w->loop, 12000);
	assert_int_equal(w->stored[4], 1);
	assert_int_equal(w->rejected[3], 1);
	assert_int_equal(w->n_down, 0);
}

/* On a quiet site nobody else comes: a probe has to do. */
static void
a_host_that_is_refused_alone_is_rejected_in_the_end(void **state)
{
	struct fixture *w = *state;

	fake_store_judge(w->store, judge_retry_a, w);
	add(w, "a", 1);
	fake_advance(w->loop, 30000);
	assert_int_equal(w->n_down, 1);
	batch_tell(w->batch, BREAKER_PROBE_PASSED, NULL);
	add(w, "a", 2);
	fake_advance(w->loop, BATCH_HOLD_MS - 1000);
	assert_int_equal(w->n_rejected, 0);
	fake_advance(w->loop, 10000);
	assert_int_equal(w->rejected[2], 1);
	assert_int_equal(w->n_down, 1);
	add(w, "b", 3);
	fake_advance(w->loop, 100);
	assert_int_equal(w->stored[3], 1);
}

/* The broker would close the channel that it is held on. */
static void
a_host_in_conflict_all_the_time_is_rejected(void **state)
{
	struct fixture *w = *state;

	fake_store_judge(w->store, judge_conflict, w);
	add(w, "a", 1);
	fake_advance(w->loop, BATCH_HOLD_MS - 10000);
	assert_int_equal(w->n_rejected, 0);
	fake_advance(w->loop, 20000);
	assert_int_equal(w->rejected[1], 1);
	add(w, "a", 2); /* it has ten minutes of its own */
	fake_advance(w->loop, BATCH_HOLD_MS - 10000);
	assert_int_equal(w->n_rejected, 1);
}

/* Narrow puts find what it does take. */
static enum store_status
judge_room_for_8(
    struct fake_store *f, struct store_write *const *writes, size_t n, size_t i, void *arg)
{
	return n > 8 ? STORE_RETRY : STORE_OK;
}

static void
what_is_put_at_once_shrinks_and_grows(void **state)
{
	struct fixture *w = *state;

	fake_store_judge(w->store, judge_room_for_8, w);
	add_hosts(w, 200);
	fake_advance(w->loop, 10000);
	assert_int_equal(w->n_stored, 200);
	assert_int_equal(w->n_down, 0);
	fake_store_judge(w->store, judge_retry, w);
	w->good = true;
	add_hosts(w, 200);
	fake_advance(w->loop, 1000);
	assert_in_range(batch_breaker(w->batch)->width, 64, BREAKER_WIDTH_MAX);
}

#define WITH_WORLD(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH_WORLD(what_waits_goes_when_it_is_old_enough),
	    WITH_WORLD(enough_hosts_do_not_wait_for_age),
	    WITH_WORLD(enough_bytes_do_not_wait_for_age),
	    WITH_WORLD(responses_of_one_host_become_one_write_up_to_the_bytes),
	    WITH_WORLD(a_host_has_one_write_in_flight_and_the_rest_merges),
	    WITH_WORLD(without_limits_of_its_own_it_has_those_of_the_store),
	    WITH_WORLD(the_time_of_puts_is_counted),
	    WITH_WORLD(the_limit_of_puts_in_flight_is_kept),
	    cmocka_unit_test_setup_teardown(
		the_interval_between_puts_is_kept, setup_like_sqlite, teardown),
	    WITH_WORLD(a_conflict_is_tried_again_soon_then_later),
	    WITH_WORLD(conflicts_of_many_hosts_are_one_line),
	    WITH_WORLD(a_store_that_is_away_gets_the_same_again_with_backoff),
	    cmocka_unit_test_setup_teardown(
		damaged_hosts_say_nothing_about_the_store, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		a_damaged_host_does_not_keep_the_store_on_trial, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		a_damaged_host_is_rejected_in_the_end_if_others_are_taken, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		a_damaged_host_that_is_silent_is_forgotten, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		damaged_hosts_are_not_rejected_while_nothing_is_taken, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		what_waits_for_damaged_hosts_is_bounded, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		puts_that_are_refused_together_are_one_refusal, setup_like_couch, teardown),
	    WITH_WORLD(patience_ends_and_everything_can_be_given_back),
	    WITH_WORLD(a_store_that_refuses_every_host_is_away),
	    WITH_WORLD(a_store_that_refuses_every_batch_is_away),
	    WITH_WORLD(a_host_that_is_refused_is_rejected_when_another_was_taken),
	    WITH_WORLD(a_host_that_is_refused_alone_is_rejected_in_the_end),
	    WITH_WORLD(a_host_in_conflict_all_the_time_is_rejected),
	    WITH_WORLD(what_is_put_at_once_shrinks_and_grows),
	    WITH_WORLD(one_host_that_must_wait_does_not_stop_the_others),
	    WITH_WORLD(one_host_that_is_refused_for_long_is_rejected),
	    WITH_WORLD(one_host_that_is_refused_is_not_rejected_while_nothing_is_taken),
	    WITH_WORLD(bisecting_finds_the_first),
	    WITH_WORLD(bisecting_finds_one_in_the_middle),
	    WITH_WORLD(bisecting_finds_the_last),
	    WITH_WORLD(bisecting_finds_two_and_no_innocent),
	    WITH_WORLD(a_batch_without_a_culprit_is_stored_in_parts),
	    WITH_WORLD(of_one_host_only_the_refused_delivery_is_rejected),
	    WITH_WORLD(what_is_cleared_in_flight_is_not_told),
	    WITH_WORLD(in_a_hurry_nothing_waits_for_age),
	    WITH_WORLD(a_delayed_host_does_not_hold_up_the_age_of_others),
	    WITH_WORLD(destroying_with_puts_in_flight_frees_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
