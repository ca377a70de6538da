/* SPDX-License-Identifier: Apache-2.0 */
/* What the list of hosts says of a host, from the head of its record. */
#include "admin/host_state.h"

#include "shared/base/wallclock.h"
#include "shared/wire/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static json_t *
head(const char *text)
{
	json_error_t err;
	json_t *rec = json_loads(text, 0, &err);

	if (rec == NULL)
		fail_msg("%s: %s", text, err.text);
	return rec;
}

#define AT(minute) "\"2026-11-30T18:" minute ":00.000Z\""
#define FAILED(minute)                                                                             \
	"{\"failure\":{\"since\":" AT("00") ",\"at\":" AT(minute) ",\"state\":\"failed\","         \
								  "\"message\":\"no\"}}"
#define GOOD(minute) "{\"received_at\":" AT(minute) "}"
#define ERROR(plugin, minute)                                                                      \
	"\"last_error\":{" plugin "\"timestamp\":" AT(minute) ",\"message\":\"was not stored\"}"

static void
failing_is(const char *text, const char *names)
{
	json_t *rec = head(text), *failing = host_state_failing(rec), *each;
	char got[256] = "";
	size_t i;

	json_array_foreach (failing, i, each) {
		const char *plugin = json_string_value(json_object_get(each, "plugin"));

		strcat(got, i == 0 ? "" : " ");
		strcat(got, plugin == NULL ? "-" : plugin);
	}
	assert_string_equal(got, names);
	json_decref(failing);
	json_decref(rec);
}

static void
what_fails_now_is_named_the_newest_first(void **state)
{
	failing_is("{\"vogeler\":{\"a\":" FAILED("10") ",\"b\":" GOOD("12") ",\"c\":" FAILED(
		       "11") "}," ERROR("\"plugin\":\"c\",", "11") "}",
	    "c a");
	failing_is("{\"vogeler\":{}}", "");
	failing_is("{}", "");
}

static void
an_error_stands_until_a_good_answer(void **state)
{
	failing_is("{\"vogeler\":{\"b\":" GOOD("12") "}," ERROR("\"plugin\":\"b\",", "11") "}", "");
	failing_is(
	    "{\"vogeler\":{\"b\":" GOOD("12") "}," ERROR("\"plugin\":\"b\",", "13") "}", "b");
	failing_is(
	    "{\"vogeler\":{\"b\":" GOOD("12") "}," ERROR("\"plugin\":\"x\",", "11") "}", "x");
	failing_is("{\"vogeler\":{\"b\":" GOOD("12") "}," ERROR(
		       "\"plugin\":\"x\",\"state\":\"refused\",", "11") "}",
	    "");
	failing_is("{\"vogeler\":{\"b\":" GOOD("12") "}," ERROR("", "11") "}", "");
	failing_is("{\"vogeler\":{\"b\":" GOOD("12") "}," ERROR("", "13") "}", "-");
	failing_is("{\"vogeler\":{\"b\":{}}," ERROR("", "13") "}", "-"); /* of 2010 */
}

/* As agents send it: with the host's own time, and an order that does not depend on its clock. */
#define SENT(plugin, time, order, machine)                                                         \
	"\"last_error\":{" plugin "\"timestamp\":\"2026-11-30 " time ".562000\",\"order\":" order  \
	",\"machine_id\":\"" machine "\",\"message\":\"no\"}"
#define ANSWERED(minute, order, machine)                                                           \
	"{\"received_at\":" AT(minute) ",\"order\":" order ",\"machine_id\":\"" machine "\"}"

static void
an_error_as_agents_send_it(void **state)
{
	/* Of the same machine: by order, wherever its clock is. */
	failing_is("{\"vogeler\":{\"b\":" ANSWERED("12", "8", "m") "}," SENT(
		       "\"plugin\":\"b\",", "18:11:00", "7", "m") "}",
	    "");
	failing_is("{\"vogeler\":{\"b\":" ANSWERED("12", "8", "m") "}," SENT(
		       "\"plugin\":\"b\",", "23:00:00", "7", "m") "}",
	    "");
	failing_is("{\"vogeler\":{\"b\":" ANSWERED("12", "8", "m") "}," SENT(
		       "\"plugin\":\"b\",", "03:00:00", "9", "m") "}",
	    "b");
	failing_is("{\"vogeler\":{\"b\":" ANSWERED("12", "8", "m") "}," SENT(
		       "\"plugin\":\"nosuch\",\"state\":\"refused\",", "23:00:00", "7", "m") "}",
	    "");
	/* Another machine's, or without an order: by time. */
	failing_is("{\"vogeler\":{\"b\":" ANSWERED("12", "8", "n") "}," SENT(
		       "\"plugin\":\"b\",", "18:11:00", "9", "m") "}",
	    "");
	failing_is("{\"vogeler\":{\"b\":" GOOD("12") "}," SENT(
		       "\"plugin\":\"b\",", "18:11:00", "0", "m") "}",
	    "");
	failing_is("{\"vogeler\":{\"b\":" GOOD("12") "}," SENT(
		       "\"plugin\":\"b\",", "18:13:00", "0", "m") "}",
	    "b");
	failing_is("{\"vogeler\":{\"b\":" GOOD("12") "}," SENT(
		       "\"plugin\":\"b\",\"received_at\":" AT("13") ",", "01:00:00", "0", "m") "}",
	    "b");
	failing_is("{\"vogeler\":{\"b\":" GOOD("12") "}," SENT(
		       "\"plugin\":\"b\",\"received_at\":" AT("11") ",", "23:00:00", "0", "m") "}",
	    "");
	/* The newest first, of either form. */
	failing_is("{\"vogeler\":{\"a\":" FAILED("10") "}," SENT(
		       "\"plugin\":\"b\",", "18:11:00", "0", "m") "}",
	    "b a");
	failing_is("{\"vogeler\":{\"a\":" FAILED("12") "}," SENT(
		       "\"plugin\":\"b\",", "18:11:00", "0", "m") "}",
	    "a b");
}

static void
off_is(const char *metas, int64_t ms)
{
	char text[512];
	json_t *rec;

	snprintf(text, sizeof(text), "{\"vogeler\":{%s}}", metas);
	rec = head(text);
	assert_int_equal(host_state_clock_off(rec), ms);
	json_decref(rec);
}

#define SEEN(collected, received)                                                                  \
	"{\"collected_at\":" AT(collected) ",\"received_at\":" AT(received) "}"

static void
a_clock_that_is_off(void **state)
{
	off_is("", 0);
	off_is("\"a\":{}", 0);
	off_is("\"a\":" SEEN("10", "10"), 0);
	off_is("\"a\":" SEEN("15", "10"), 300000);
	off_is("\"a\":" SEEN("10", "15"), -300000);
	off_is("\"a\":" SEEN("10", "15") ",\"b\":" SEEN("15", "15"), 0); /* only late */
	off_is("\"a\":" SEEN("10", "15") ",\"b\":" SEEN("16", "15"), 60000);
}

static void
age_is(const char *at, int64_t now_ms, const char *text)
{
	char age[HOST_STATE_AGE_SIZE];

	assert_string_equal(host_state_age(at, now_ms, age), text);
}

static void
ages_have_one_unit(void **state)
{
	age_is("1970-01-01T00:00:00.000Z", 59999, "59 s ago");
	age_is("1970-01-01T00:00:00.000Z", 60000 + 59999, "1 min ago");
	age_is("1970-01-01T00:00:00.000Z", 3600000 * 23 + 3599999, "23 h ago");
	age_is("1970-01-01T00:00:00Z", INT64_C(86400000) * 400, "400 d ago");
	age_is("1970-01-01T00:00:05.000Z", 0, "0 s ago"); /* of a clock that is ahead */
	age_is("1970-01-01 00:00:05.000009", 65000, "1 min ago");
	age_is("yesterday", 0, "");
	age_is(NULL, 0, "");
}

static void
times_have_seconds(void **state)
{
	char out[HOST_STATE_AT_SIZE];

	assert_string_equal(host_state_at("2026-11-30T18:47:06.123Z", out), "2026-11-30T18:47:06Z");
	assert_string_equal(host_state_at("2026-11-30T18:47:06Z", out), "2026-11-30T18:47:06Z");
	assert_string_equal(host_state_at("Sunday", out), "Sunday");
}

static void
machines_are_named_once(void **state)
{
	json_t *rec =
	    head("{\"vogeler\":{\"a\":{\"machine_id\":\"y\"},\"b\":{\"machine_id\":\"x\"},"
		 "\"c\":{\"machine_id\":\"y\"},\"d\":{}}}");
	json_t *list = host_state_machines(rec), *want = json_pack("[s,s]", "x", "y");

	assert_true(json_equal(list, want));
	json_decref(list);
	json_decref(want);
	json_decref(rec);
}

/* "" = nothing tells of two; minute: of now. */
static void
two_are(const char *text, const char *minute, const char *want)
{
	json_t *rec = head(text);
	struct host_state_two two;
	char at[40], got[64] = "";
	int64_t now;

	snprintf(at, sizeof(at), "2026-11-30T%s:00.000Z", minute);
	assert_true(wallclock_parse(at, &now));
	if (host_state_two_machines(rec, now, &two))
		snprintf(got, sizeof(got), "%s %s%s", two.id != NULL ? two.id : "-", two.other,
		    two.waits ? " waits" : "");
	assert_string_equal(got, want);
	json_decref(rec);
}

#define ANSWERS(id, at) "\"machine_id\":\"" id "\",\"received_at\":\"2026-11-30T" at ":00.000Z\""
#define TURNS(id, until)                                                                           \
	",\"other_machine\":{\"machine_id\":\"" id "\",\"until\":\"2026-11-30T" until              \
	":00.000Z\",\"two_since\":" AT("00") "}"

/* Until one of them alone has answered for two hours, whenever that is looked at. */
static void
two_machines_take_turns(void **state)
{
	two_are("{\"vogeler\":{\"p\":{" ANSWERS("a", "18:10") "}}}", "18:20", "");
	two_are("{\"vogeler\":{\"p\":{" ANSWERS("a", "18:10") TURNS("b", "18:05") "}}}", "23:00",
	    "a b");
	two_are("{\"vogeler\":{\"p\":{" ANSWERS("a", "20:04") TURNS("b", "18:05") "}}}", "20:05",
	    "a b");
	two_are(
	    "{\"vogeler\":{\"p\":{" ANSWERS("a", "20:05") TURNS("b", "18:05") "}}}", "20:05", "");
	/* Answers of other plugins tell as well who is there. */
	two_are("{\"vogeler\":{\"p\":{" ANSWERS("a", "18:10")
		    TURNS("b", "18:05") "},\"q\":{" ANSWERS("a", "20:30") "}}}",
	    "20:30", "");
	two_are("{\"vogeler\":{\"p\":{" ANSWERS("a", "20:10")
		    TURNS("b", "18:05") "},\"q\":{" ANSWERS("b", "20:20") "}}}",
	    "20:30", "a b");
}

#define WAITS(minute)                                                                              \
	"\"last_error\":{\"machine_id\":\"b\",\"message\":\"" WIRE_WAITING ": so\",\"state\":"     \
	"\"failed\",\"timestamp\":" AT(minute) ",\"received_at\":" AT(minute) "}"

/* As long as it says so again and again; the answers of the one that has the queue end it not. */
static void
a_second_machine_waits(void **state)
{
	const char *waits = "{\"vogeler\":{\"p\":{" ANSWERS("a", "18:10") "}}," WAITS("05") "}";

	two_are(waits, "18:20", "a b waits");
	two_are(waits, "18:21", "");
	failing_is(waits, "");
	two_are("{\"vogeler\":{}," WAITS("05") "}", "18:06", "- b waits");
	/* Both on one machine. */
	two_are("{\"vogeler\":{\"p\":{" ANSWERS("b", "18:10") "}}," WAITS("05") "}", "18:11",
	    "- b waits");
	two_are("{\"vogeler\":{}," ERROR("\"machine_id\":\"b\",", "05") "}", "18:06", "");
}

static void
version_is(const char *metas, const char *want)
{
	json_t *rec = head(metas);

	if (want == NULL)
		assert_null(host_state_version(rec));
	else
		assert_string_equal(host_state_version(rec), want);
	json_decref(rec);
}

#define HEARD(at) "\"received_at\":\"2026-11-30T18:00:0" at ".000Z\""

static void
the_version_is_that_of_the_last_answer(void **state)
{
	version_is("{}", NULL);
	version_is("{\"vogeler\":{\"a\":{" HEARD("1") "}}}", NULL);
	version_is("{\"vogeler\":{\"a\":{" HEARD("2") ",\"version\":\"2\"},\"b\":{" HEARD(
		       "1") ",\"version\":\"1\"}}}",
	    "2");
	/* An older agent is back, which does not say. */
	version_is(
	    "{\"vogeler\":{\"a\":{" HEARD("1") ",\"version\":\"1\"},\"b\":{" HEARD("2") "}}}",
	    NULL);
	/* A failure is heard too. */
	version_is(
	    "{\"vogeler\":{\"a\":{" HEARD("1") ",\"version\":\"2\",\"failure\":{\"at\":"
					       "\"2026-11-30T18:00:09.000Z\"}},\"b\":{" HEARD(
						   "2") ",\"version\":\"1\"}}}",
	    "2");
	/* Several at one time, of which the order tells the last. */
	version_is(
	    "{\"vogeler\":{\"a\":{" HEARD("1") ",\"order\":7,\"version\":\"2\"},\"b\":{" HEARD(
		"1") ",\"order\":6,\"version\":\"1\"}}}",
	    "2");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_fails_now_is_named_the_newest_first),
	    cmocka_unit_test(an_error_stands_until_a_good_answer),
	    cmocka_unit_test(an_error_as_agents_send_it),
	    cmocka_unit_test(a_clock_that_is_off),
	    cmocka_unit_test(ages_have_one_unit),
	    cmocka_unit_test(times_have_seconds),
	    cmocka_unit_test(machines_are_named_once),
	    cmocka_unit_test(two_machines_take_turns),
	    cmocka_unit_test(a_second_machine_waits),
	    cmocka_unit_test(the_version_is_that_of_the_last_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
