/* SPDX-License-Identifier: Apache-2.0 */
/* A job on its way, from the ledger to the broker and to the end, with each of them late, away or
 * refusing. The store is this file; the broker and the loop are fakes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runner/interrupt.h"
#include "runner/job/dispatch.h"
#include "shared/base/log.h"
#include "shared/base/trouble.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/config/options_load.h"
#include "shared/store/job.h"
#include "shared/store/outcome.h"
#include "shared/store/store_backend.h"
#include "shared/target/target.h"
#include "tests/fake/fake_broker_api.h"
#include "tests/fake/fake_loop.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_MAX 16

enum answer { ANSWER_OK, ANSWER_NO, ANSWER_HOLD };

struct fixture {
	struct store store; /* first: what the backend's functions get */
	struct loop *loop;
	struct cli cli;
	struct uri broker;
	struct runner_arguments arg;
	struct runner_context context;
	struct interrupt interrupt;
	struct job job;
	struct dispatch_request req;
	struct step {
		struct fixture *f;
		void (*fn)(struct fixture *f);
		struct loop_timer *timer;
	} steps[STEPS_MAX];
	size_t n_steps;
	/* the store */
	enum answer jobs, outcomes;
	const char *hosts; /* that it knows, with blanks between them */
	struct loop_timer *answer;
	struct { /* what is not answered yet: the job, outcomes */
		enum answer how;
		store_done_fn *fn;
		void *arg;
	} asked[2];
	struct outcome booked[8];
	size_t n_booked;
	/* what was told */
	char said[2048];
	char books[1024]; /* "web01 queued; " */
	size_t published; /* when a step asked */
};

static struct fixture *fixture; /* for runner_say(), which has nothing of ours */

void
runner_say(const char *fmt, ...)
{
	size_t len = strlen(fixture->said);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(fixture->said + len, sizeof(fixture->said) - len, fmt, ap);
	va_end(ap);
	strncat(fixture->said, "\n", sizeof(fixture->said) - strlen(fixture->said) - 1);
}

/* ---- the store ---- */

static const struct trouble disk_full = {TROUBLE_OTHER, "the disk is full", ""};

static void
on_store_answer(void *arg)
{
	struct fixture *f = arg;

	for (size_t i = 0; i < 2; i++) {
		store_done_fn *fn = f->asked[i].fn;
		bool ok = f->asked[i].how == ANSWER_OK;

		if (fn == NULL || f->asked[i].how == ANSWER_HOLD)
			continue;
		f->asked[i].fn = NULL;
		fn(ok ? NULL : &disk_full, ok ? "created" : NULL, f->asked[i].arg);
	}
}

static void
answer_later(struct fixture *f, size_t which, enum answer how, store_done_fn *fn, void *arg)
{
	assert_null(f->asked[which].fn); /* one at a time */
	f->asked[which].how = how;
	f->asked[which].fn = fn;
	f->asked[which].arg = arg;
	loop_timer_arm(f->answer, 0);
}

static void
job_add(struct store *s, const struct job *j, store_done_fn *fn, void *arg)
{
	struct fixture *f = (struct fixture *)s;

	answer_later(f, 0, f->jobs, fn, arg);
}

static void
outcomes_add(struct store *s, const char *job, const struct outcome *o, size_t n, store_done_fn *fn,
    void *arg)
{
	struct fixture *f = (struct fixture *)s;

	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(f->books);

		snprintf(f->books + len, sizeof(f->books) - len, "%s %s; ", o[i].host,
		    outcome_state_name(o[i].state));
	}
	answer_later(f, 1, f->outcomes, fn, arg);
}

/* What hosts have answered, for the watch. */
static void
outcomes(struct store *s, const char *job, store_outcome_fn *fn, void *arg)
{
	struct fixture *f = (struct fixture *)s;

	for (size_t i = 0; i < f->n_booked; i++)
		fn(STORE_FOUND, &f->booked[i], NULL, arg);
	fn(STORE_MISSING, NULL, NULL, arg);
}

static void
list(struct store *s, const struct store_filter *filter, store_listed_fn *fn, void *arg)
{
	struct fixture *f = (struct fixture *)s;
	char *names = xstrdup(f->hosts), *next = names, *name;

	while ((name = strsep(&next, " ")) != NULL) {
		json_t *rec = json_pack("{s:s}", "_id", name);

		fn(STORE_FOUND, rec, NULL, arg);
		json_decref(rec);
	}
	fn(STORE_MISSING, NULL, NULL, arg);
	free(names);
}

static void
close_store(struct store *s)
{
}

static const struct store_ops ops = {
    .scheme_text = "fake",
    .close = close_store,
    .list = list,
    .job_add = job_add,
    .outcomes_add = outcomes_add,
    .outcomes = outcomes,
};

/* ---- what happens, and when ---- */

static void
on_step(void *arg)
{
	struct step *step = arg;

	step->fn(step->f);
}

static void
at(struct fixture *f, int64_t ms, void (*fn)(struct fixture *f))
{
	struct step *step = &f->steps[f->n_steps++];

	assert_in_range(f->n_steps, 1, STEPS_MAX);
	*step = (struct step){f, fn, loop_timer_create(f->loop, "step", on_step, step)};
	loop_timer_arm(step->timer, ms);
}

static struct broker *
publisher(void)
{
	struct broker *b = fake_broker("publisher");

	assert_non_null(b);
	return b;
}

static void
up(struct fixture *f)
{
	fake_broker_up(publisher());
}

static void
unreachable(struct fixture *f)
{
	fake_broker_fail(publisher(), BROKER_ERR_NETWORK, "connection refused");
}

static void
watcher_up(struct fixture *f)
{
	fake_broker_up(fake_broker("watcher"));
}

static void
count(struct fixture *f)
{
	f->published = fake_broker_published(publisher());
}

/* The latest publish. */
static void
answer(enum broker_outcome outcome)
{
	struct broker *b = publisher();
	size_t n = fake_broker_published(b);

	assert_in_range(n, 1, 100);
	fake_broker_confirm(b, fake_broker_publish_at(b, n - 1)->id, outcome, "nobody");
}

static void
refuse(struct fixture *f)
{
	answer(BROKER_NACKED);
}

static void
unroutable(struct fixture *f)
{
	answer(BROKER_RETURNED);
}

static void
confirm_all(struct fixture *f)
{
	fake_broker_auto_confirm(publisher(), true);
}

static void
ctrl_c(struct fixture *f)
{
	f->interrupt.fn(f->interrupt.arg);
}

static void
store_answers(struct fixture *f)
{
	f->outcomes = f->jobs = f->asked[0].how = f->asked[1].how = ANSWER_OK;
	on_store_answer(f);
}

static void
host_answers(struct fixture *f, const char *host, enum outcome_state state)
{
	struct outcome *o = &f->booked[f->n_booked++];

	outcome_init(o);
	o->host = host;
	o->state = state;
	o->response_id = "r";
	o->order = 1;
	o->at = wallclock_ms();
}

static void
a_is_ok(struct fixture *f)
{
	host_answers(f, "a", OUTCOME_OK);
}

static void
b_is_ok(struct fixture *f)
{
	host_answers(f, "b", OUTCOME_OK);
}

static void
a_has_failed(struct fixture *f)
{
	host_answers(f, "a", OUTCOME_FAILED);
}

static int
setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	log_set_level(LOG_LEVEL_CRITICAL);
	f->store.ops = &ops;
	f->store.id = (char *)"fake";
	f->loop = loop_create();
	f->answer = loop_timer_create(f->loop, "store", on_store_answer, f);
	f->hosts = "a b";
	options_init(&f->cli.options);
	f->arg.quiet = true;
	f->arg.color = "never";
	f->arg.ttl_ms = 1000000;
	f->context = (struct runner_context){
	    .cli = &f->cli,
	    .arg = &f->arg,
	    .loop = f->loop,
	    .brokers = &f->broker,
	    .n_brokers = 1,
	    .store = &f->store,
	};
	f->req =
	    (struct dispatch_request){.c = &f->context, .interrupt = &f->interrupt, .job = &f->job};
	fixture = f;
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < f->n_steps; i++)
		loop_timer_destroy(f->steps[i].timer);
	loop_timer_destroy(f->answer);
	job_finish(&f->job);
	options_finish(&f->cli.options);
	loop_destroy(f->loop);
	free(f);
	return 0;
}

static int
run(struct fixture *f, const char *target)
{
	struct hosts hosts = {0};

	hosts_add(&hosts, "a");
	hosts_add(&hosts, "b");
	dispatch_job(&f->job, &f->context, "ps", target, &hosts);
	hosts_finish(&hosts);
	return dispatch_run(&f->req);
}

#define SAYS(text)        assert_non_null(strstr(f->said, text))
#define BOOKS(text)       assert_string_equal(f->books, text)
#define PUBLISHED_THEN(n) assert_int_equal(f->published, n)

/* ---- the ledger first ---- */

static void
the_ledger_has_it_before_the_broker(void **state)
{
	struct fixture *f = *state;

	f->jobs = ANSWER_HOLD;
	at(f, 10, up);
	at(f, 1000, count);
	at(f, 1001, store_answers);
	at(f, 1002, confirm_all);
	assert_int_equal(run(f, "a,b"), RUNNER_OK);
	PUBLISHED_THEN(0);
}

static void
what_is_confirmed_is_written_down_and_it_ends(void **state)
{
	struct fixture *f = *state;

	at(f, 10, confirm_all);
	at(f, 20, up);
	assert_int_equal(run(f, "a,b"), RUNNER_OK);
	BOOKS("* queued; ");
	assert_string_equal(f->said, "");
}

static void
without_the_ledger_it_is_sent_all_the_same(void **state)
{
	struct fixture *f = *state;

	f->jobs = ANSWER_NO;
	at(f, 10, confirm_all);
	at(f, 20, up);
	at(f, 30, count);
	assert_int_equal(run(f, "a,b"), RUNNER_OK);
	BOOKS("");
}

static void
but_not_when_it_was_to_be_waited_for(void **state)
{
	struct fixture *f = *state;

	f->arg.wait = true;
	f->jobs = ANSWER_NO;
	at(f, 10, up);
	at(f, 20, watcher_up);
	at(f, 20, count);
	assert_int_equal(run(f, "a,b"), RUNNER_TROUBLE);
	PUBLISHED_THEN(0);
	SAYS("the job cannot be written to the store: the disk is full; nothing was sent");
}

/* ---- the broker ---- */

static void
a_broker_out_of_reach_is_the_end(void **state)
{
	struct fixture *f = *state;

	at(f, 10, unreachable);
	assert_int_equal(run(f, "a,b"), RUNNER_TROUBLE);
	SAYS("connection refused");
	BOOKS("");
}

static void
no_confirm_in_time_is_unsent(void **state)
{
	struct fixture *f = *state;

	f->arg.confirm_ms = 30000;
	at(f, 10, up);
	assert_int_equal(run(f, "a,b"), RUNNER_TROUBLE);
	BOOKS("a unsent; b unsent; ");
	SAYS("unsent; job ");
}

static void
a_refused_host_is_unsent(void **state)
{
	struct fixture *f = *state;

	at(f, 10, up);
	at(f, 20, refuse);
	at(f, 30, count);
	f->arg.confirm_ms = 30000;
	assert_int_equal(run(f, "a,b"), RUNNER_TROUBLE);
	PUBLISHED_THEN(2);
	BOOKS("b unsent; a unsent; ");
}

static void
a_refused_broadcast_goes_again_by_name(void **state)
{
	struct fixture *f = *state;

	f->req.broadcast = true;
	at(f, 10, up);
	at(f, 20, refuse);
	at(f, 21, confirm_all);
	at(f, 30, count);
	f->arg.confirm_ms = 30000;
	(void)run(f, "all");
	PUBLISHED_THEN(3);
	assert_string_equal(fake_broker("publisher") == NULL ? "gone" : "there", "gone");
}

static void
who_has_no_queue_is_written_down(void **state)
{
	struct fixture *f = *state;

	at(f, 10, up);
	at(f, 20, unroutable); /* b */
	at(f, 30, ctrl_c);
	assert_int_equal(run(f, "a,b"), RUNNER_INTERRUPTED);
	BOOKS("b unroutable; a unsent; ");
}

/* ---- Ctrl-C, in each state ---- */

static void
interrupted_before_it_began(void **state)
{
	struct fixture *f = *state;

	at(f, 10, ctrl_c);
	assert_int_equal(run(f, "a,b"), RUNNER_INTERRUPTED);
	SAYS("interrupted; nothing was sent");
	BOOKS("");
}

static void
interrupted_while_it_is_recorded(void **state)
{
	struct fixture *f = *state;

	f->jobs = ANSWER_HOLD;
	at(f, 10, up);
	at(f, 20, ctrl_c);
	at(f, 5000, ctrl_c);
	assert_int_equal(run(f, "a,b"), RUNNER_INTERRUPTED);
	SAYS("interrupted before the broker's confirm: unsent");
	SAYS("waiting until the ledger has what became of job");
	SAYS("nothing was sent; whether the ledger has job");
}

static void
the_ledger_may_still_have_it_then(void **state)
{
	struct fixture *f = *state;

	f->jobs = ANSWER_HOLD;
	at(f, 10, up);
	at(f, 20, ctrl_c);
	at(f, 500, store_answers);
	assert_int_equal(run(f, "a,b"), RUNNER_INTERRUPTED);
	BOOKS("a cancelled; b cancelled; ");
	SAYS("2 of 2 hosts were not sent to yet: cancelled");
}

static void
interrupted_before_the_confirm(void **state)
{
	struct fixture *f = *state;

	at(f, 10, up);
	at(f, 20, ctrl_c);
	assert_int_equal(run(f, "a,b"), RUNNER_INTERRUPTED);
	BOOKS("a unsent; b unsent; ");
	SAYS("interrupted before the broker's confirm: unsent");
}

static void
interrupted_while_it_waits(void **state)
{
	struct fixture *f = *state;

	f->arg.wait = true;
	at(f, 5, confirm_all);
	at(f, 10, up);
	at(f, 10, watcher_up);
	at(f, 3000, ctrl_c);
	assert_int_equal(run(f, "a,b"), RUNNER_INTERRUPTED);
	BOOKS("* queued; ");
}

/* ---- a ledger that does not take what became of it ---- */

static void
the_ledger_is_waited_for_but_not_for_ever(void **state)
{
	struct fixture *f = *state;
	struct mono begun = loop_now(f->loop);

	f->outcomes = ANSWER_HOLD;
	at(f, 5, confirm_all);
	at(f, 10, up);
	assert_int_equal(run(f, "a,b"), RUNNER_TROUBLE);
	SAYS("waiting until the ledger has what became of job");
	SAYS("the ledger does not have all that is known here");
	assert_in_range(mono_diff(loop_now(f->loop), begun), 60000, 70000);
}

static void
and_it_may_come_back(void **state)
{
	struct fixture *f = *state;

	f->outcomes = ANSWER_HOLD;
	at(f, 5, confirm_all);
	at(f, 10, up);
	at(f, 20000, store_answers);
	assert_int_equal(run(f, "a,b"), RUNNER_OK);
	assert_null(strstr(f->said, "does not have"));
}

/* ---- --wait, and waves ---- */

static void
it_is_followed_to_its_end(void **state)
{
	struct fixture *f = *state;

	f->arg.wait = true;
	at(f, 5, confirm_all);
	at(f, 10, up);
	at(f, 10, watcher_up);
	at(f, 2000, a_is_ok);
	at(f, 4000, b_is_ok);
	assert_int_equal(run(f, "a,b"), RUNNER_OK);
}

static void
the_time_of_wait_is_over(void **state)
{
	struct fixture *f = *state;

	f->arg.wait = true;
	f->arg.wait_ms = 5000;
	at(f, 5, confirm_all);
	at(f, 10, up);
	at(f, 10, watcher_up);
	at(f, 2000, a_is_ok);
	assert_int_equal(run(f, "a,b"), RUNNER_OPEN);
}

static void
a_wave_waits_for_the_one_before(void **state)
{
	struct fixture *f = *state;

	f->arg.wait = true;
	f->arg.waves.size = 1;
	at(f, 5, confirm_all);
	at(f, 10, up);
	at(f, 10, watcher_up);
	at(f, 4000, count);
	at(f, 4001, a_is_ok);
	at(f, 20000, b_is_ok);
	assert_int_equal(run(f, "a,b"), RUNNER_OK);
	PUBLISHED_THEN(1);
}

static void
a_wave_that_failed_whole_is_the_last(void **state)
{
	struct fixture *f = *state;

	f->arg.wait = true;
	f->arg.waves.size = 1;
	at(f, 5, confirm_all);
	at(f, 10, up);
	at(f, 10, watcher_up);
	at(f, 2000, a_has_failed);
	assert_int_equal(run(f, "a,b"), RUNNER_FAILED);
	SAYS("1 of 2 hosts were not sent to: cancelled");
	assert_non_null(strstr(f->books, "b cancelled; "));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(the_ledger_has_it_before_the_broker),
	    TEST(what_is_confirmed_is_written_down_and_it_ends),
	    TEST(without_the_ledger_it_is_sent_all_the_same),
	    TEST(but_not_when_it_was_to_be_waited_for),
	    TEST(a_broker_out_of_reach_is_the_end),
	    TEST(no_confirm_in_time_is_unsent),
	    TEST(a_refused_host_is_unsent),
	    TEST(a_refused_broadcast_goes_again_by_name),
	    TEST(who_has_no_queue_is_written_down),
	    TEST(interrupted_before_it_began),
	    TEST(interrupted_while_it_is_recorded),
	    TEST(the_ledger_may_still_have_it_then),
	    TEST(interrupted_before_the_confirm),
	    TEST(interrupted_while_it_waits),
	    TEST(the_ledger_is_waited_for_but_not_for_ever),
	    TEST(and_it_may_come_back),
	    TEST(it_is_followed_to_its_end),
	    TEST(the_time_of_wait_is_over),
	    TEST(a_wave_waits_for_the_one_before),
	    TEST(a_wave_that_failed_whole_is_the_last),
	};

	return cmocka_run_group_tests_name("dispatch", tests, NULL, NULL);
}
