/* SPDX-License-Identifier: Apache-2.0 */
/* Nobody asks and the record fills all the same: in phase, never twice at once, by one timer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/outbox.h"
#include "agent/registry.h"
#include "agent/schedule.h"
#include "agent/sequence.h"
#include "shared/base/ident.h"
#include "shared/base/trouble.h"
#include "shared/base/wallclock.h"
#include "tests/fake/fake_broker_api.h"
#include "tests/fake/fake_encode_worker.h"
#include "tests/fake/fake_loop.h"
#include "tests/unit/decoded.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_OUTPUT 1000

struct fixture {
	char dir[64], path[96];
	struct loop *loop;
	struct broker *broker;
	struct outbox *outbox;
	struct encode_worker maker;
	struct sequence *order;
	struct registry registry;
	struct plugin plugins[3];
	struct schedule *schedule;
	struct child_request requests[4096];
	size_t n_requests;
	size_t at_once;   /* may run */
	const char *busy; /* this one runs elsewhere */
};

static void
request(const struct child_request *req, void *arg)
{
	struct fixture *f = arg;

	f->requests[f->n_requests++] = *req;
}

static bool
may_start(const char *plugin, void *arg)
{
	struct fixture *f = arg;

	return schedule_running(f->schedule) < f->at_once &&
	       (f->busy == NULL || strcmp(f->busy, plugin) != 0);
}

static void
on_ready(struct broker *b, void *arg)
{
	struct fixture *f = arg;

	if (f->outbox != NULL)
		outbox_on_ready(f->outbox);
}

static void
on_confirm(struct broker *b, uint64_t id, enum broker_outcome outcome, const char *why, void *arg)
{
	struct fixture *f = arg;

	outbox_on_confirm(f->outbox, id, outcome, why);
}

static void
make_broker(struct fixture *f)
{
	static const struct broker_handlers handlers = {
	    .on_ready = on_ready, .on_confirm = on_confirm};
	struct broker_options opt;

	broker_options_default(&opt);
	opt.role = "agent";
	opt.program = "test";
	f->broker = broker_create(f->loop, &opt, &handlers, f);
	broker_start(f->broker);
	fake_broker_up(f->broker);
}

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
	struct schedule_config config = {
	    .origin = {.host = "web01"},
	    .request = request,
	    .may_start = may_start,
	    .arg = f,
	};
	struct trouble trouble;

	assert_non_null(f);
	ident_init();
	strcpy(f->dir, "/tmp/vogeler-schedule-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/order", f->dir);
	f->plugins[0] = (struct plugin){.name = (char *)"asked", .format = WIRE_JSON};
	f->plugins[1] = (struct plugin){.name = (char *)"facter", .format = WIRE_YAML};
	f->plugins[2] = (struct plugin){.name = (char *)"ps", .format = WIRE_OUTPUT};
	f->registry.set = (struct plugin_set){.plugins = f->plugins, .n = 3};
	f->at_once = 8;
	f->loop = loop_create();
	make_broker(f);
	f->outbox = outbox_create(f->loop, f->broker, "vogeler.master.in", NULL, NULL);
	f->order = sequence_open(f->path, wallclock_ms(), &trouble);
	assert_non_null(f->order);
	config.loop = f->loop;
	config.registry = &f->registry;
	config.order = f->order;
	config.outbox = f->outbox;
	config.maker = &f->maker;
	f->schedule = schedule_create(&config);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	schedule_destroy(f->schedule);
	outbox_destroy(f->outbox);
	broker_destroy(f->broker);
	sequence_close(f->order);
	loop_destroy(f->loop);
	unlink(f->path);
	assert_int_equal(rmdir(f->dir), 0);
	free(f);
	return 0;
}

/* facter (1) or ps (2): this often, within this; splay_ms -1: none. */
static void
every(struct fixture *f, size_t plugin, uint64_t interval_ms, int64_t splay_ms)
{
	f->plugins[plugin].interval_ms = interval_ms;
	f->plugins[plugin].has_splay = splay_ms >= 0;
	f->plugins[plugin].splay_ms = splay_ms >= 0 ? (uint64_t)splay_ms : 0;
}

static void
load(struct fixture *f)
{
	schedule_reload(f->schedule, MAX_OUTPUT);
}

static struct child_event
done(uint64_t id, enum child_outcome outcome)
{
	return (struct child_event){
	    .kind = CHILD_DONE,
	    .id = id,
	    .outcome = outcome,
	    .success = outcome == CHILD_EXITED,
	    .duration_ms = 12,
	};
}

static void
end(struct fixture *f, size_t i, enum child_outcome outcome)
{
	struct child_event ev = done(f->requests[i].id, outcome);

	schedule_on_child(f->schedule, &ev);
}

static void
print(struct fixture *f, size_t i, const char *text)
{
	struct child_event ev = {.kind = CHILD_OUTPUT, .id = f->requests[i].id};

	ev.length = (uint32_t)strlen(text);
	memcpy(ev.data, text, ev.length);
	schedule_on_child(f->schedule, &ev);
}

/* In how many ms the timer fires. */
static int64_t
next(struct fixture *f)
{
	return fake_timer_in(f->loop, "schedule");
}

static void
without_an_interval_nothing_ticks(void **state)
{
	struct fixture *f = *state;

	load(f);
	assert_int_equal(fake_next_timer(f->loop), -1);
	fake_advance(f->loop, 1000000000);
	assert_int_equal(f->n_requests, 0);
}

static void
first_within_the_splay_then_each_interval(void **state)
{
	struct fixture *f = *state;
	int64_t first;

	every(f, 1, 60000, 5000);
	load(f);
	first = next(f);
	assert_in_range(first, 0, 5000);
	assert_int_equal(f->n_requests, 0);
	fake_advance(f->loop, first);
	assert_int_equal(f->n_requests, 1);
	assert_int_equal(f->requests[0].op, CHILD_OP_RUN);
	assert_string_equal(f->requests[0].plugin, "facter");
	assert_true((f->requests[0].id & SCHEDULE_ID) != 0);
	for (size_t i = 1; i < 100; i++) {
		/* However long it takes: due times do not drift. */
		fake_advance(f->loop, (int64_t)(i * 97));
		end(f, i - 1, CHILD_EXITED);
		assert_int_equal(next(f), 60000 - (int64_t)(i * 97));
		fake_advance(f->loop, next(f) - 1);
		assert_int_equal(f->n_requests, i);
		fake_advance(f->loop, 1);
		assert_int_equal(f->n_requests, i + 1);
		assert_int_equal(next(f), 60000);
	}
}

/* A fleet that is switched on at once: the first runs are spread over the whole splay. */
static void
first_runs_are_spread(struct fixture *f, uint64_t interval, int64_t splay, int64_t within)
{
	unsigned int quarter[4] = {0};

	for (size_t i = 0; i < 400; i++) {
		int64_t in;

		every(f, 1, 0, -1);
		load(f);
		every(f, 1, interval, splay);
		load(f);
		in = next(f);
		assert_in_range(in, 0, within);
		quarter[in == within ? 3 : in * 4 / within]++;
	}
	for (size_t i = 0; i < 4; i++)
		assert_in_range(quarter[i], 40, 160);
}

static void
first_runs_have_their_own_time(void **state)
{
	first_runs_are_spread(*state, 3600000, 1800000, 1800000);
}

static void
without_a_splay_over_the_interval(void **state)
{
	first_runs_are_spread(*state, 30000, -1, 30000);
}

static void
without_a_splay_not_for_a_day(void **state)
{
	first_runs_are_spread(*state, 86400000, -1, SCHEDULE_SPLAY_MAX_MS);
}

static void
splay_of_zero_is_now(void **state)
{
	struct fixture *f = *state;

	every(f, 1, 60000, 0);
	load(f);
	assert_int_equal(next(f), 0);
}

static void
a_run_that_goes_on_is_not_doubled(void **state)
{
	struct fixture *f = *state;

	every(f, 1, 1000, 0);
	load(f);
	fake_advance(f->loop, 0);
	fake_advance(f->loop, 10500);
	assert_int_equal(f->n_requests, 1);
	assert_true(schedule_runs(f->schedule, "facter"));
	end(f, 0, CHILD_EXITED);
	schedule_kick(f->schedule);
	assert_int_equal(f->n_requests, 1); /* what was passed over is not made up for */
	assert_int_equal(next(f), 500);     /* and the phase is the old one */
	fake_advance(f->loop, 500);
	assert_int_equal(f->n_requests, 2);
}

static void
waits_for_its_turn_once(void **state)
{
	struct fixture *f = *state;

	f->at_once = 1;
	every(f, 1, 1000, 0);
	every(f, 2, 1000, 0);
	load(f);
	fake_advance(f->loop, 5000);
	assert_int_equal(f->n_requests, 1);
	assert_string_equal(f->requests[0].plugin, "facter");
	end(f, 0, CHILD_EXITED);
	schedule_kick(f->schedule);
	assert_int_equal(f->n_requests, 2);
	assert_string_equal(f->requests[1].plugin, "ps");
	fake_advance(f->loop, 1000); /* facter is due again, behind ps */
	end(f, 1, CHILD_EXITED);
	schedule_kick(f->schedule);
	assert_int_equal(f->n_requests, 3);
	assert_string_equal(f->requests[2].plugin, "facter");
	end(f, 2, CHILD_EXITED);
	schedule_kick(f->schedule);
	assert_int_equal(f->n_requests, 3);
}

/* Both are always due: neither starves. */
static void
each_has_its_turn(void **state)
{
	struct fixture *f = *state;
	size_t facter = 0;

	f->at_once = 1;
	every(f, 1, 1000, 0);
	every(f, 2, 1000, 0);
	load(f);
	fake_advance(f->loop, 0);
	for (size_t i = 0; i < 20; i++) {
		assert_int_equal(f->n_requests, i + 1);
		facter += strcmp(f->requests[i].plugin, "facter") == 0;
		fake_advance(f->loop, 5000);
		end(f, i, CHILD_EXITED);
		schedule_kick(f->schedule);
	}
	assert_int_equal(facter, 10);
}

static void
not_beside_a_command(void **state)
{
	struct fixture *f = *state;

	f->busy = "facter";
	every(f, 1, 1000, 0);
	load(f);
	fake_advance(f->loop, 2500);
	assert_int_equal(f->n_requests, 0);
	f->busy = NULL;
	schedule_kick(f->schedule);
	assert_int_equal(f->n_requests, 1);
}

static void
reload_keeps_phases(void **state)
{
	struct fixture *f = *state;

	every(f, 1, 60000, 0);
	load(f);
	fake_advance(f->loop, 0);
	fake_advance(f->loop, 25000);
	load(f);
	assert_int_equal(next(f), 35000);
	every(f, 2, 90000, 90000);
	load(f);
	fake_advance(f->loop, 34999);
	end(f, 0, CHILD_EXITED);
	f->n_requests = 0;
	f->busy = "ps";
	fake_advance(f->loop, 1);
	assert_int_equal(f->n_requests, 1);
	assert_string_equal(f->requests[0].plugin, "facter");
}

static void
reload_changes_the_interval(void **state)
{
	struct fixture *f = *state;

	every(f, 1, 86400000, 0);
	load(f);
	fake_advance(f->loop, 0);
	end(f, 0, CHILD_EXITED);
	every(f, 1, 10000, 4000);
	load(f);
	assert_in_range(next(f), 0, 4000);
	fake_advance(f->loop, 4000);
	assert_int_equal(f->n_requests, 2);
}

static void
reload_takes_the_interval_away(void **state)
{
	struct fixture *f = *state;

	every(f, 1, 1000, 0);
	load(f);
	fake_advance(f->loop, 0);
	every(f, 1, 0, -1);
	load(f);
	assert_int_equal(fake_next_timer(f->loop), -1);
	print(f, 0, "--- 1\n");
	end(f, 0, CHILD_EXITED); /* that one is reported still */
	assert_int_equal(fake_broker_published(f->broker), 1);
	assert_int_equal(schedule_running(f->schedule), 0);
}

static void
reload_while_it_waits(void **state)
{
	struct fixture *f = *state;

	f->busy = "facter";
	every(f, 1, 60000, 0);
	load(f);
	fake_advance(f->loop, 0);
	load(f);
	f->busy = NULL;
	schedule_kick(f->schedule);
	assert_int_equal(f->n_requests, 1);
}

static void
result_has_no_job(void **state)
{
	struct fixture *f = *state;
	const struct message *m;
	json_t *all;
	struct response r;
	char err[256];
	int64_t order;

	every(f, 1, 1000, 0);
	load(f);
	fake_advance(f->loop, 0);
	print(f, 0, "a: 1\n");
	print(f, 0, "b: 2\n");
	end(f, 0, CHILD_EXITED);
	assert_int_equal(fake_broker_published(f->broker), 1);
	m = &fake_broker_publish_at(f->broker, 0)->message;
	assert_null(m->correlation_id);
	assert_null(m->reply_to);
	assert_non_null(m->message_id);
	assert_true(message_int(m, "order", &order));
	assert_true(wire_response_decode(m, &r, err, sizeof(err)));
	assert_string_equal(r.host, "web01");
	assert_int_equal(r.meta.state, WIRE_OK);
	assert_int_equal(r.format, WIRE_YAML);
	assert_string_equal(r.meta.plugin, "facter");
	all = decoded(&r);
	assert_string_equal(json_string_value(json_object_get(all, "facter")), "a: 1\nb: 2\n");
	json_decref(all);
	response_finish(&r);
}

static void
failure_is_reported(void **state)
{
	struct fixture *f = *state;
	struct response r;
	char err[256];

	every(f, 1, 1000, 0);
	load(f);
	fake_advance(f->loop, 0);
	end(f, 0, CHILD_TIMEOUT);
	assert_int_equal(fake_broker_published(f->broker), 1);
	assert_true(wire_response_decode(
	    &fake_broker_publish_at(f->broker, 0)->message, &r, err, sizeof(err)));
	assert_int_equal(r.meta.state, WIRE_TIMEOUT);
	assert_int_equal(r.n_values, 1);
	assert_string_equal(r.values[0].key, "last_error");
	response_finish(&r);
}

static void
flood_is_ended(void **state)
{
	struct fixture *f = *state;
	char text[MAX_OUTPUT + 1];

	memset(text, 'x', MAX_OUTPUT);
	text[MAX_OUTPUT] = '\0';
	every(f, 1, 1000, 0);
	load(f);
	fake_advance(f->loop, 0);
	print(f, 0, text);
	assert_int_equal(f->n_requests, 1);
	print(f, 0, "x");
	assert_int_equal(f->n_requests, 2);
	assert_int_equal(f->requests[1].op, CHILD_OP_KILL);
	assert_int_equal(f->requests[1].id, f->requests[0].id);
}

static void
while_the_broker_is_away_the_newest_is_kept(void **state)
{
	struct fixture *f = *state;
	const struct message *m;

	fake_broker_down(f->broker);
	every(f, 1, 1000, 0);
	every(f, 2, 1000, 0);
	load(f);
	for (size_t i = 0; i < 1000; i++) {
		char text[32];

		fake_advance(f->loop, i == 0 ? 0 : 1000);
		snprintf(text, sizeof(text), "%zu", i);
		print(f, 2 * i, text);
		end(f, 2 * i, CHILD_EXITED);
		end(f, 2 * i + 1, CHILD_EXITED);
		assert_int_equal(outbox_count(f->outbox), 2);
	}
	assert_int_equal(replaced(f), 2 * 999);
	fake_broker_up(f->broker);
	assert_int_equal(fake_broker_published(f->broker), 2);
	m = &fake_broker_publish_at(f->broker, 0)->message;
	assert_non_null(strstr(m->body, "\"facter\":\"999\""));
}

static void
drain(void **state)
{
	struct fixture *f = *state;

	f->at_once = 1;
	every(f, 1, 1000, 0);
	every(f, 2, 1000, 0);
	load(f);
	fake_advance(f->loop, 0);
	schedule_drain(f->schedule);
	assert_int_equal(fake_next_timer(f->loop), -1);
	end(f, 0, CHILD_EXITED);
	schedule_kick(f->schedule);
	assert_int_equal(f->n_requests, 1); /* ps does not start any more */
	assert_int_equal(fake_broker_published(f->broker), 1);
}

static void
stopped_is_not_reported(void **state)
{
	struct fixture *f = *state;

	every(f, 1, 1000, 0);
	load(f);
	fake_advance(f->loop, 0);
	schedule_stop_running(f->schedule);
	assert_int_equal(f->requests[1].op, CHILD_OP_KILL);
	end(f, 0, CHILD_STOPPED);
	assert_int_equal(fake_broker_published(f->broker), 0);
	assert_int_equal(schedule_running(f->schedule), 0);
}

/* What is being made runs still. */
static void
runs_until_its_result_is_made(void **state)
{
	struct fixture *f = *state;
	struct encode_worker *mk = &f->maker;

	mk->makes = true;
	every(f, 1, 1000, 0);
	load(f);
	fake_advance(f->loop, 0);
	print(f, 0, "out");
	end(f, 0, CHILD_EXITED);
	assert_int_equal(fake_broker_published(f->broker), 0);
	assert_true(schedule_runs(f->schedule, "facter"));
	fake_advance(f->loop, 1000);
	assert_int_equal(f->n_requests, 1);
	report_value(&mk->made.r, &mk->out);
	buf_finish(&mk->out);
	mk->made.sendable = report_try_encode(&mk->made.r, &mk->made.m);
	schedule_on_made(f->schedule, &mk->made);
	assert_int_equal(fake_broker_published(f->broker), 1);
	assert_non_null(
	    strstr(fake_broker_publish_at(f->broker, 0)->message.body, "\"facter\":\"out\""));
	assert_int_equal(schedule_running(f->schedule), 0);
	response_finish(&mk->made.r);
	message_finish(&mk->made.m);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(without_an_interval_nothing_ticks),
	    TEST(runs_until_its_result_is_made),
	    TEST(first_within_the_splay_then_each_interval),
	    TEST(first_runs_have_their_own_time),
	    TEST(without_a_splay_over_the_interval),
	    TEST(without_a_splay_not_for_a_day),
	    TEST(splay_of_zero_is_now),
	    TEST(a_run_that_goes_on_is_not_doubled),
	    TEST(waits_for_its_turn_once),
	    TEST(each_has_its_turn),
	    TEST(not_beside_a_command),
	    TEST(reload_keeps_phases),
	    TEST(reload_changes_the_interval),
	    TEST(reload_takes_the_interval_away),
	    TEST(reload_while_it_waits),
	    TEST(result_has_no_job),
	    TEST(failure_is_reported),
	    TEST(flood_is_ended),
	    TEST(while_the_broker_is_away_the_newest_is_kept),
	    TEST(drain),
	    TEST(stopped_is_not_reported),
	};

	return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}
