/* SPDX-License-Identifier: Apache-2.0 */
/* What those who watch a job are told, and when nothing is sent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/job_notice.h"
#include "shared/base/xalloc.h"
#include "shared/store/outcome.h"
#include "shared/store/record.h"
#include "tests/fake/fake_broker_api.h"
#include "tests/fake/fake_loop.h"

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JOB   "0192e4c0-0000-7000-8000-000000000001"
#define QUEUE "vogeler.reply." JOB

struct fixture {
	struct loop *loop;
	struct broker *publisher;
	struct job_notice *notice;
};

static void
on_ready(struct broker *b, void *arg)
{
}

static const struct broker_handlers handlers = {.on_ready = on_ready};

static int
setup(void **state)
{
	struct fixture *w = calloc(1, sizeof(*w));
	struct broker_options opt;

	w->loop = loop_create();
	broker_options_default(&opt);
	opt.role = "publisher";
	w->publisher = broker_create(w->loop, &opt, &handlers, w);
	broker_start(w->publisher);
	w->notice = job_notice_create(w->loop, w->publisher);
	*state = w;
	return 0;
}

static int
setup_up(void **state)
{
	setup(state);
	fake_broker_up(((struct fixture *)*state)->publisher);
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *w = *state;

	job_notice_destroy(w->notice);
	job_notice_destroy(NULL);
	broker_destroy(w->publisher);
	loop_destroy(w->loop);
	free(w);
	return 0;
}

static struct job_notice_slip *
slip(const char *reply_to, const char *host, size_t n)
{
	struct result r, *results[20];
	struct job_notice_slip *s;

	result_init(&r);
	r.plugin = xstrdup("ps");
	r.value = xstrdup("1");
	r.meta.job = xstrdup(JOB);
	r.meta.state = WIRE_OK;
	r.meta.order = 7;
	for (size_t i = 0; i < n; i++)
		results[i] = &r;
	s = job_notice_slip(reply_to, host, results, n);
	result_finish(&r);
	return s;
}

static void
post(struct fixture *w, const char *host)
{
	job_notice_post(w->notice, slip(QUEUE, host, 1));
}

static json_t *
body(const struct fixture *w, size_t i)
{
	const struct fake_publish *p = fake_broker_publish_at(w->publisher, i);

	assert_string_equal(p->routing_key, QUEUE);
	return json_loads(p->message.body, 0, NULL);
}

static void
one_message_for_what_one_pass_brings(void **state)
{
	struct fixture *w = *state;
	json_t *json, *list;
	struct outcome o;

	post(w, "web01");
	post(w, "web02");
	assert_int_equal(fake_broker_published(w->publisher), 0);
	fake_advance(w->loop, 0);
	assert_int_equal(fake_broker_published(w->publisher), 1);
	json = body(w, 0);
	assert_string_equal(json_string_value(json_object_get(json, "kind")), "outcomes");
	assert_string_equal(json_string_value(json_object_get(json, "job")), JOB);
	list = json_object_get(json, "outcomes");
	assert_int_equal(json_array_size(list), 2);
	assert_true(outcome_from_json(json_array_get(list, 1), &o));
	assert_string_equal(o.host, "web02");
	assert_int_equal(o.state, OUTCOME_OK);
	assert_int_equal(o.order, 7);
	json_decref(json);
	post(w, "web03");
	fake_advance(w->loop, 0);
	assert_int_equal(fake_broker_published(w->publisher), 2);
	assert_int_equal(job_notice_stats(w->notice)->sent, 2);
}

static void
a_message_has_a_limit(void **state)
{
	struct fixture *w = *state;
	json_t *json;
	char host[32];

	for (int i = 0; i < JOB_NOTICE_OUTCOMES_MAX + 1; i++) {
		snprintf(host, sizeof(host), "web%d", i);
		post(w, host);
	}
	fake_advance(w->loop, 0);
	assert_int_equal(fake_broker_published(w->publisher), 2);
	json = body(w, 0);
	assert_int_equal(
	    json_array_size(json_object_get(json, "outcomes")), JOB_NOTICE_OUTCOMES_MAX);
	json_decref(json);
	/* and so has what one response may say */
	job_notice_post(w->notice, slip(QUEUE, "web01", 20));
	fake_advance(w->loop, 0);
	json = body(w, 2);
	assert_int_equal(json_array_size(json_object_get(json, "outcomes")), 8);
	json_decref(json);
}

/* The ledger has it; nothing waits for a publisher. */
static void
what_cannot_go_at_once_is_dropped(void **state)
{
	struct fixture *w = *state;

	post(w, "web01");
	fake_advance(w->loop, 0);
	assert_int_equal(job_notice_stats(w->notice)->dropped, 1);
	fake_broker_up(w->publisher);
	fake_broker_block(w->publisher, true);
	post(w, "web01");
	fake_advance(w->loop, 0);
	assert_int_equal(job_notice_stats(w->notice)->dropped, 2);
	fake_broker_block(w->publisher, false);
	fake_advance(w->loop, 60000);
	assert_int_equal(fake_broker_published(w->publisher), 0);
	for (int i = 0; i < JOB_NOTICE_UNCONFIRMED_MAX + 1; i++) {
		post(w, "web01");
		fake_advance(w->loop, 0);
	}
	assert_int_equal(fake_broker_published(w->publisher), JOB_NOTICE_UNCONFIRMED_MAX);
	assert_int_equal(job_notice_stats(w->notice)->dropped, 3);
}

static void
only_the_queue_of_its_own_job(void **state)
{
	struct fixture *w = *state;

	assert_null(slip(NULL, "web01", 1));
	assert_null(slip("", "web01", 1));
	assert_null(slip("web02", "web01", 1));
	assert_null(slip(JOB, "web01", 1));
	assert_null(slip("vogeler.reply.", "web01", 1));
	assert_null(slip("vogeler.reply.another", "web01", 1));
	assert_null(slip(QUEUE "x", "web01", 1));
	assert_null(slip(QUEUE, "web01", 0));
	job_notice_post(w->notice, NULL);
	job_notice_slip_free(slip(QUEUE, "web01", 1));
	post(w, "left"); /* for teardown */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		one_message_for_what_one_pass_brings, setup_up, teardown),
	    cmocka_unit_test_setup_teardown(a_message_has_a_limit, setup_up, teardown),
	    cmocka_unit_test_setup_teardown(what_cannot_go_at_once_is_dropped, setup, teardown),
	    cmocka_unit_test_setup_teardown(only_the_queue_of_its_own_job, setup_up, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
