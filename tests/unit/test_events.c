/* SPDX-License-Identifier: Apache-2.0 */
/* What --jsonl prints of a job and of its hosts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "runner/print/events.h"
#include "shared/store/job.h"
#include "shared/store/outcome.h"

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static char id[] = "0192e4c0-0000-7000-8000-000000000001", plugin[] = "facter", target[] = "db*",
	    db01[] = "db01", db02[] = "db02";
static char *hosts[] = {db01, db02};
static const struct job job = {
    .id = id,
    .plugin = plugin,
    .target = target,
    .sent_at = 1700000000000,
    .hosts = hosts,
    .n_hosts = 2,
};

static void
assert_event(json_t *event, const char *expected)
{
	char *text = json_dumps(event, JSON_COMPACT);

	assert_string_equal(text, expected);
	free(text);
	json_decref(event);
}

#define HEAD "\"job\":\"0192e4c0-0000-7000-8000-000000000001\","

static void
of_a_job(void **state)
{
	assert_event(event_job(&job),
	    "{\"kind\":\"job\"," HEAD "\"plugin\":\"facter\",\"target\":\"db*\","
	    "\"sent_at\":\"2023-11-14T22:13:20.000Z\",\"targets\":2}");
}

static void
of_a_host(void **state)
{
	struct outcome o;

	outcome_init(&o);
	o.host = "db01";
	o.state = OUTCOME_FAILED;
	o.why = "exit \"2\"\033";
	o.at = 1700000000000;
	o.order = 7;
	o.duration_ms = 5;
	o.exit_status = 2;
	assert_event(event_outcome(&job, &o, true),
	    "{\"kind\":\"outcome\"," HEAD "\"host\":\"db01\",\"state\":\"failed\","
	    "\"why\":\"exit \\\"2\\\"\",\"at\":\"2023-11-14T22:13:20.000Z\",\"order\":7,"
	    "\"duration_ms\":5,\"exit_status\":2,\"target\":true}");
	outcome_init(&o);
	o.host = "guest";
	o.state = OUTCOME_OK;
	assert_event(event_outcome(&job, &o, false),
	    "{\"kind\":\"outcome\"," HEAD "\"host\":\"guest\",\"state\":\"ok\",\"target\":false}");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(of_a_job),
	    cmocka_unit_test(of_a_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
