/* One command to many: what is not published yet when it is halted is over, however often one
 * says so. The broker of these tests cannot be reached; with one, tests/integration sends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runner/job/publisher.h"
#include "shared/config/options_load.h"
#include "shared/event/loop.h"
#include "shared/wire/wire.h"

struct told {
	struct loop *loop;
	int idle, failed, answers;
};

static void
on_ready(void *arg)
{
	fail_msg("there is no broker");
}

static void
on_answer(size_t i, enum publisher_state state, const char *why, void *arg)
{
	struct told *t = arg;

	t->answers++;
}

static void
on_idle(void *arg)
{
	struct told *t = arg;

	t->idle++;
	loop_stop(t->loop);
}

static void
on_failed(const char *text, void *arg)
{
	struct told *t = arg;

	t->failed++;
	loop_stop(t->loop);
}

static const struct publisher_handlers handlers = {
    .on_ready = on_ready,
    .on_answer = on_answer,
    .on_idle = on_idle,
    .on_failed = on_failed,
};

static void
test_halted_twice_is_halted(void **state)
{
	char plugin[] = "hello", job[] = "j1";
	const struct command command = {.plugin = plugin, .job = job};
	struct told told = {.loop = loop_create()};
	struct uri *brokers;
	struct options options;
	struct publisher_request req = {.options = &options};
	char err[256];
	struct publisher *s;

	options_init(&options);
	assert_true(uri_parse_brokers(
	    "amqp://u:p@127.0.0.1:1/v", &brokers, &req.n_brokers, err, sizeof(err)));
	req.brokers = brokers;
	s = publisher_create(told.loop, &req, &handlers, &told);
	publisher_set_command(s, &command);
	publisher_add(s, "web01");
	publisher_add(s, "web02");
	publisher_halt(s);
	publisher_halt(s);
	loop_run(told.loop);
	assert_int_equal(told.idle, 1);
	assert_int_equal(told.failed + told.answers, 0);
	assert_int_equal(publisher_state(s, 0), PUBLISHER_WAITING);
	assert_int_equal(publisher_state(s, 1), PUBLISHER_WAITING);
	publisher_destroy(s);
	loop_destroy(told.loop);
	options_finish(&options);
	uri_list_free(brokers, req.n_brokers);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_halted_twice_is_halted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
