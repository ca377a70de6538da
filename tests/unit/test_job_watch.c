/* SPDX-License-Identifier: Apache-2.0 */
/* Following a job: when the store is asked, what a notice changes, and what ends it. The store is
 * this file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "runner/job/job_watch.h"
#include "shared/base/log.h"
#include "shared/base/trouble.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/config/options_load.h"
#include "shared/store/fold.h"
#include "shared/store/store.h"
#include "tests/fake/fake_broker_api.h"
#include "tests/fake/fake_loop.h"

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID "0192e4c0-0000-7000-8000-000000000001"

struct fixture {
	struct loop *loop;
	struct job job;
	struct options options;
	struct uri broker;
	struct job_watch *watch;
	/* the store */
	struct loop_timer *answer;
	struct outcome stored[8];
	size_t n_stored;
	unsigned int asked;
	bool away, held;
	store_outcome_fn *fn;
	void *arg;
	/* what was told */
	unsigned int ready, ended;
	enum job_watch_end how;
	char text[600], outcomes[600], trouble[600], clock[600];
};

static struct fixture *world; /* for the store's functions, which have nothing of ours */

const char *
store_id(const struct store *s)
{
	return "fake";
}

void
store_outcomes(struct store *s, const char *job, store_outcome_fn *fn, void *arg)
{
	assert_string_equal(job, ID);
	assert_null(world->fn); /* one at a time */
	world->asked++;
	world->fn = fn;
	world->arg = arg;
	if (!world->held)
		loop_timer_arm(world->answer, 0);
}

static const struct trouble refused = {TROUBLE_OTHER, "refused", ""};

static void
on_answer(void *arg)
{
	struct fixture *w = arg;
	store_outcome_fn *fn = w->fn;

	w->fn = NULL;
	for (size_t i = 0; i < w->n_stored && !w->away; i++)
		fn(STORE_FOUND, &w->stored[i], NULL, w->arg);
	fn(w->away ? STORE_FAILED : STORE_MISSING, NULL, w->away ? &refused : NULL, w->arg);
}

static void
on_ready(void *arg)
{
	((struct fixture *)arg)->ready++;
}

static void
note(char *text, size_t size, const char *what)
{
	size_t len = strlen(text);

	snprintf(text + len, size - len, "%s; ", what);
}

static void
on_outcome(const struct outcome *o, bool target, void *arg)
{
	struct fixture *w = arg;
	char text[200];

	snprintf(text, sizeof(text), "%s%s %s", target ? "" : "no target ", o->host,
	    outcome_state_name(o->state));
	note(w->outcomes, sizeof(w->outcomes), text);
}

static void
on_trouble(const char *text, void *arg)
{
	struct fixture *w = arg;

	note(w->trouble, sizeof(w->trouble), text != NULL ? text : "over");
}

static void
on_clock(const char *text, void *arg)
{
	struct fixture *w = arg;

	note(w->clock, sizeof(w->clock), text);
}

static void
on_end(enum job_watch_end how, const char *text, void *arg)
{
	struct fixture *w = arg;

	w->ended++;
	w->how = how;
	snprintf(w->text, sizeof(w->text), "%s", text != NULL ? text : "");
}

static const struct job_watch_handlers handlers = {
    .on_ready = on_ready,
    .on_outcome = on_outcome,
    .on_trouble = on_trouble,
    .on_clock = on_clock,
    .on_end = on_end,
};

static int
setup(void **state)
{
	struct fixture *w = calloc(1, sizeof(*w));

	log_set_level(LOG_LEVEL_CRITICAL);
	w->loop = loop_create();
	w->answer = loop_timer_create(w->loop, "fake answer", on_answer, w);
	options_init(&w->options);
	job_init(&w->job);
	w->job.id = xstrdup(ID);
	w->job.plugin = xstrdup("ps");
	w->job.hosts = xcalloc(3, sizeof(char *));
	w->job.hosts[0] = xstrdup("a");
	w->job.hosts[1] = xstrdup("b");
	w->job.hosts[2] = xstrdup("c");
	w->job.n_hosts = 3;
	world = w;
	*state = w;
	return 0;
}

static void
begin(struct fixture *w, size_t brokers)
{
	struct job_watch_request req = {
	    .loop = w->loop,
	    .options = &w->options,
	    .brokers = &w->broker,
	    .n_brokers = brokers,
	    .job = &w->job,
	};

	w->watch = job_watch_create(&req, &handlers, w);
	assert_int_equal(w->ready, 0);
	fake_advance(w->loop, 0);
}

static int
setup_alone(void **state)
{
	setup(state);
	begin(*state, 0);
	return 0;
}

static int
setup_listening(void **state)
{
	setup(state);
	begin(*state, 1);
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *w = *state;

	job_watch_destroy(w->watch);
	loop_timer_destroy(w->answer);
	job_finish(&w->job);
	options_finish(&w->options);
	loop_destroy(w->loop);
	free(w);
	return 0;
}

static struct outcome
outcome(const char *host, enum outcome_state state)
{
	struct outcome o;

	outcome_init(&o);
	o.host = host;
	o.state = state;
	o.order = outcome_is_answer(state) ? 7 : 0;
	return o;
}

static void
store(struct fixture *w, const char *host, enum outcome_state state)
{
	w->stored[w->n_stored++] = outcome(host, state);
}

static void
assert_told(struct fixture *w, const char *expected)
{
	assert_string_equal(w->outcomes, expected);
	w->outcomes[0] = '\0';
}

static size_t
still_open(const struct fixture *w)
{
	struct fold_counts c;

	fold_count(job_watch_fold(w->watch), wallclock_ms(), &c);
	return c.open;
}

static void
notice(struct fixture *w, const char *job, const char *outcomes)
{
	struct message m;
	char *body;

	message_init(&m);
	xasprintf(&body, "{\"kind\":\"outcomes\",\"job\":\"%s\",\"outcomes\":[%s]}", job, outcomes);
	message_set_body(&m, body, strlen(body));
	fake_broker_deliver(fake_broker("watcher"), "", "vogeler.reply." ID, &m);
}

#define OK(host) "{\"host\":\"" host "\",\"state\":\"ok\",\"order\":7}"

static void
the_store_alone(void **state)
{
	struct fixture *w = *state;

	assert_int_equal(w->ready, 1);
	assert_null(job_watch_reply_to(w->watch));
	fake_advance(w->loop, 5000);
	assert_int_equal(w->asked, 0); /* the job is not there yet */
	job_watch_start(w->watch);
	fake_advance(w->loop, 0);
	assert_int_equal(w->asked, 1);
	store(w, "a", OUTCOME_OK);
	store(w, "x", OUTCOME_OK);
	fake_advance(w->loop, 1000);
	assert_told(w, "a ok; no target x ok; ");
	store(w, "b", OUTCOME_FAILED);
	store(w, "a", OUTCOME_OK); /* again is no news */
	fake_advance(w->loop, 1000);
	assert_told(w, "b failed; ");
	assert_int_equal(still_open(w), 1);
	assert_int_equal(w->ended, 0);
	store(w, "c", OUTCOME_TIMEOUT);
	fake_advance(w->loop, 1000);
	assert_told(w, "c timeout; ");
	assert_int_equal(w->ended, 1);
	assert_int_equal(w->how, JOB_WATCH_COMPLETE);
	w->asked = 0;
	fake_advance(w->loop, 60000);
	assert_int_equal(w->asked, 0);
	assert_int_equal(w->ended, 1);
}

/* The longer nothing comes, the less it is asked; news makes it quick again. */
static void
patience_grows(void **state)
{
	struct fixture *w = *state;

	job_watch_start(w->watch);
	fake_advance(w->loop, 3000);
	assert_in_range(w->asked, 2, 4);
	fake_advance(w->loop, 100000);
	w->asked = 0;
	fake_advance(w->loop, 100000);
	assert_in_range(w->asked, 9, 11);
	store(w, "a", OUTCOME_OK);
	while (w->outcomes[0] == '\0')
		fake_advance(w->loop, 100);
	w->asked = 0;
	fake_advance(w->loop, 1000);
	assert_in_range(w->asked, 1, 2);
}

static void
what_the_caller_knows(void **state)
{
	struct fixture *w = *state;
	struct outcome o = outcome("b", OUTCOME_UNROUTABLE);

	job_watch_start(w->watch);
	job_watch_add(w->watch, &o);
	assert_told(w, "");
	fake_advance(w->loop, 0);
	assert_told(w, "b unroutable; ");
	store(w, "a", OUTCOME_OK);
	store(w, "c", OUTCOME_OK);
	fake_advance(w->loop, 1000);
	assert_int_equal(w->ended, 1);
	assert_int_equal(w->how, JOB_WATCH_COMPLETE);
	assert_told(w, "a ok; c ok; ");
}

/* While the store is being asked, too; and it was the last that was missing. */
static void
what_the_caller_learns_last(void **state)
{
	struct fixture *w = *state;
	struct outcome o = outcome("b", OUTCOME_UNROUTABLE);

	store(w, "a", OUTCOME_OK);
	store(w, "c", OUTCOME_OK);
	w->held = true;
	job_watch_start(w->watch);
	fake_advance(w->loop, 0);
	job_watch_add(w->watch, &o);
	loop_timer_arm(w->answer, 0);
	fake_advance(w->loop, 0);
	assert_int_equal(w->ended, 1);
	assert_int_equal(w->how, JOB_WATCH_COMPLETE);
	assert_int_equal(still_open(w), 0);
}

static void
the_deadline(void **state)
{
	struct fixture *w = *state;

	job_watch_start(w->watch);
	job_watch_set_deadline(w->watch, mono_add(loop_now(w->loop), 3500));
	store(w, "a", OUTCOME_OK);
	fake_advance(w->loop, 3400);
	assert_int_equal(w->ended, 0);
	store(w, "b", OUTCOME_OK); /* the last word is the store's */
	w->asked = 0;
	fake_advance(w->loop, 100);
	assert_int_equal(w->asked, 1);
	assert_int_equal(w->ended, 1);
	assert_int_equal(w->how, JOB_WATCH_DEADLINE);
	assert_int_equal(still_open(w), 1);
}

static void
a_deadline_in_the_past(void **state)
{
	struct fixture *w = *state;

	job_watch_start(w->watch);
	job_watch_set_deadline(w->watch, mono_add(loop_now(w->loop), -10));
	fake_advance(w->loop, 0);
	fake_advance(w->loop, 0);
	assert_int_equal(w->ended, 1);
	assert_int_equal(w->how, JOB_WATCH_DEADLINE);
}

static void
the_store_goes_away(void **state)
{
	struct fixture *w = *state;

	job_watch_start(w->watch);
	job_watch_set_deadline(w->watch, mono_add(loop_now(w->loop), 60000));
	fake_advance(w->loop, 1500);
	w->away = true;
	fake_advance(w->loop, 20000);
	assert_string_equal(w->trouble, "refused; "); /* once */
	w->away = false;
	fake_advance(w->loop, 11000);
	assert_string_equal(w->trouble, "refused; over; ");
	assert_int_equal(w->ended, 0);
	w->away = true;
	fake_advance(w->loop, 60000);
	assert_int_equal(w->ended, 1);
	assert_int_equal(w->how, JOB_WATCH_FAILED);
	assert_non_null(strstr(w->text, "refused"));
}

static void
a_store_that_never_answers(void **state)
{
	struct fixture *w = *state;

	w->held = true;
	job_watch_start(w->watch);
	job_watch_set_deadline(w->watch, mono_add(loop_now(w->loop), 10000));
	fake_advance(w->loop, 39000);
	assert_int_equal(w->asked, 1);
	assert_int_equal(w->ended, 0);
	fake_advance(w->loop, 2000);
	assert_int_equal(w->ended, 1);
	assert_int_equal(w->how, JOB_WATCH_FAILED);
	loop_timer_arm(w->answer, 0); /* too late */
	fake_advance(w->loop, 1000);
	assert_int_equal(w->ended, 1);
}

static void
notices_make_it_quick(void **state)
{
	struct fixture *w = *state;
	struct broker *b = fake_broker("watcher");

	assert_int_equal(w->ready, 0);
	assert_string_equal(job_watch_reply_to(w->watch), "vogeler.reply." ID);
	fake_broker_up(b);
	assert_int_equal(w->ready, 1);
	assert_non_null(strstr(fake_broker_log(b), "consume vogeler.reply." ID " 100 exclusive; "));
	job_watch_start(w->watch);
	fake_advance(w->loop, 100);
	fake_broker_log_clear(b);
	notice(w, ID, OK("a") "," OK("b"));
	assert_told(w, "a ok; b ok; ");
	assert_string_equal(fake_broker_log(b), "ack 1; ");
	store(w, "a", OUTCOME_OK);
	store(w, "b", OUTCOME_OK);
	store(w, "c", OUTCOME_OK);
	notice(w, ID, OK("c"));
	assert_int_equal(w->ended, 0); /* the store is to say so, */
	fake_advance(w->loop, 100);    /* and is asked at once */
	assert_int_equal(w->ended, 1);
	assert_int_equal(w->how, JOB_WATCH_COMPLETE);
	assert_told(w, "c ok; ");
	assert_null(fake_broker("watcher"));
}

/* Whoever may write to the queue cannot end a job that way, nor say how it ended. */
static void
notices_are_hints(void **state)
{
	struct fixture *w = *state;

	fake_broker_up(fake_broker("watcher"));
	job_watch_start(w->watch);
	store(w, "a", OUTCOME_FAILED);
	notice(w, ID, OK("a") "," OK("b") "," OK("c"));
	fake_advance(w->loop, 20000);
	assert_int_equal(w->ended, 0);
	job_watch_set_deadline(w->watch, loop_now(w->loop));
	fake_advance(w->loop, 0);
	fake_advance(w->loop, 0);
	assert_int_equal(w->how, JOB_WATCH_DEADLINE);
	assert_int_equal(still_open(w), 2);
}

static void
rubbish_in_the_queue(void **state)
{
	struct fixture *w = *state;
	struct message m;

	fake_broker_up(fake_broker("watcher"));
	job_watch_start(w->watch);
	message_init(&m);
	message_set_body(&m, xstrdup("not json"), 8);
	fake_broker_deliver(fake_broker("watcher"), "", "vogeler.reply." ID, &m);
	notice(w, "another", OK("a"));
	notice(w, ID,
	    "1,null,{},{\"host\":\"a\"},{\"host\":\"a\",\"state\":\"queued\"},"
	    "{\"host\":\"a\",\"state\":\"unsent\"},{\"host\":\"*\",\"state\":\"queued\"}");
	message_init(&m);
	message_set_body(&m, xstrdup("{}"), 2);
	fake_broker_deliver_oversize(fake_broker("watcher"), "", "vogeler.reply." ID, &m, 1 << 30);
	fake_advance(w->loop, 1000);
	assert_told(w, "");
	assert_int_equal(still_open(w), 3);
}

/* Here by the network, as the fake has it; a broker that is not there shall not keep the store's
 * word from being heard. */
static void
without_a_broker(void **state)
{
	struct fixture *w = *state;
	struct broker *b = fake_broker("watcher");

	fake_broker_up(b);
	assert_int_equal(w->ready, 1);
	fake_broker_down(b);
	assert_non_null(fake_broker("watcher")); /* it heals by itself */
	assert_string_equal(job_watch_reply_to(w->watch), "vogeler.reply." ID);
	fake_broker_up(b);
	assert_int_equal(w->ready, 1);
	job_watch_start(w->watch);
	store(w, "a", OUTCOME_OK);
	store(w, "b", OUTCOME_OK);
	store(w, "c", OUTCOME_OK);
	fake_advance(w->loop, 1000);
	assert_int_equal(w->how, JOB_WATCH_COMPLETE);
}

static void
a_job_without_targets(void **state)
{
	struct fixture *w = *state;

	job_watch_destroy(w->watch);
	for (size_t i = 0; i < 3; i++)
		free(w->job.hosts[i]);
	w->job.n_hosts = 0;
	w->ready = 0;
	begin(w, 0);
	job_watch_start(w->watch);
	fake_advance(w->loop, 100);
	assert_int_equal(w->ended, 1);
	assert_int_equal(w->how, JOB_WATCH_COMPLETE);
}

#define MINUTE_MS (INT64_C(60) * 1000)

/* Of an answer the collector's clock says when it was known. */
static void
answered_at(struct fixture *w, const char *host, int64_t at)
{
	store(w, host, OUTCOME_OK);
	w->stored[w->n_stored - 1].at = at;
}

static void
clocks_that_agree(void **state)
{
	struct fixture *w = *state;

	w->job.sent_at = wallclock_ms();
	job_watch_start(w->watch);
	answered_at(w, "a", w->job.sent_at - MINUTE_MS + 1000);
	answered_at(w, "b", w->job.sent_at + MINUTE_MS - 1000);
	store(w, "c", OUTCOME_CANCELLED); /* a runner's, of any clock */
	w->stored[2].at = w->job.sent_at + 60 * MINUTE_MS;
	fake_advance(w->loop, 1000);
	assert_int_equal(w->ended, 1);
	assert_string_equal(w->clock, "");
}

static void
a_clock_here_that_is_behind(void **state)
{
	struct fixture *w = *state;

	w->job.sent_at = wallclock_ms();
	job_watch_start(w->watch);
	answered_at(w, "a", w->job.sent_at + 90 * MINUTE_MS + 30000);
	answered_at(w, "b", w->job.sent_at + 90 * MINUTE_MS + 30000);
	fake_advance(w->loop, 3000);
	assert_non_null(strstr(w->clock, "the clock here is 1 h 30 min behind the collector's"));
	assert_null(strstr(strstr(w->clock, "the clock") + 1, "the clock")); /* once */
}

static void
a_sender_s_clock_that_is_ahead(void **state)
{
	struct fixture *w = *state;

	w->job.sent_at = wallclock_ms();
	job_watch_start(w->watch);
	answered_at(w, "a", w->job.sent_at - 90 * MINUTE_MS);
	fake_advance(w->loop, 1000);
	assert_non_null(strstr(w->clock,
	    "the clock by which this job was sent is 1 h 30 min ahead of the collector's"));
}

int
main(void)
{
#define ALONE(f)  cmocka_unit_test_setup_teardown(f, setup_alone, teardown)
#define LISTEN(f) cmocka_unit_test_setup_teardown(f, setup_listening, teardown)
	const struct CMUnitTest tests[] = {
	    ALONE(clocks_that_agree),
	    ALONE(a_clock_here_that_is_behind),
	    ALONE(a_sender_s_clock_that_is_ahead),
	    ALONE(the_store_alone),
	    ALONE(patience_grows),
	    ALONE(what_the_caller_knows),
	    ALONE(what_the_caller_learns_last),
	    ALONE(the_deadline),
	    ALONE(a_deadline_in_the_past),
	    ALONE(the_store_goes_away),
	    ALONE(a_store_that_never_answers),
	    ALONE(a_job_without_targets),
	    LISTEN(notices_make_it_quick),
	    LISTEN(notices_are_hints),
	    LISTEN(rubbish_in_the_queue),
	    LISTEN(without_a_broker),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
