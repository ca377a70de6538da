/* SPDX-License-Identifier: Apache-2.0 */
/* Outcomes as JSON and back, and of results. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/base/xalloc.h"
#include "shared/store/outcome.h"
#include "shared/store/record.h"
#include "shared/wire/jsonx.h"
#include "tests/unit/assert_json.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define T0 INT64_C(1285467389609) /* 2010-09-26T02:16:29.609Z */

static void
states_have_names(void **state)
{
	enum outcome_state s;

	for (int i = 0; i < OUTCOME_N_STATES; i++) {
		assert_true(outcome_state_parse(outcome_state_name((enum outcome_state)i), &s));
		assert_int_equal(s, i);
		assert_int_equal(outcome_is_answer(s), i < 5);
	}
	assert_false(outcome_state_parse("?", &s));
	assert_false(outcome_state_parse("OK", &s));
}

static void
an_outcome_as_json(void **state)
{
	static const char text[] =
	    "{\"host\":\"web1\",\"state\":\"failed\",\"response_id\":\"r\",\"why\":\"exit 3\","
	    "\"at\":\"2010-09-26T02:16:29.609Z\",\"order\":9,\"duration_ms\":0,"
	    "\"exit_status\":3}";
	json_t *json = parse(text);
	struct outcome o;

	assert_true(outcome_from_json(json, &o));
	assert_string_equal(o.host, "web1");
	assert_int_equal(o.state, OUTCOME_FAILED);
	assert_int_equal(o.at, T0);
	assert_int_equal(o.order, 9);
	assert_int_equal(o.duration_ms, 0);
	assert_int_equal(o.exit_status, 3);
	assert_json(outcome_to_json(&o), text);
	json_decref(json);

	json = parse("{\"host\":\"h\",\"state\":\"ok\",\"order\":-4,\"exit_status\":\"x\"}");
	assert_true(outcome_from_json(json, &o));
	assert_json(outcome_to_json(&o), "{\"host\":\"h\",\"state\":\"ok\"}");
	json_decref(json);
}

static void
what_is_no_outcome(void **state)
{
	static const char *const texts[] = {"[]", "{}", "{\"host\":\"h\"}", "{\"state\":\"ok\"}",
	    "{\"host\":\"h\",\"state\":\"good\"}", "{\"host\":1,\"state\":\"ok\"}",
	    "{\"host\":\"h\",\"state\":\"ok\",\"at\":\"soon\"}"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		json_t *json = parse(texts[i]);
		struct outcome o;

		if (outcome_from_json(json, &o))
			fail_msg("%s was taken", texts[i]);
		json_decref(json);
	}
}

/* One line, cut where a character ends. */
static void
why_is_kept_short(void **state)
{
	struct outcome o;
	char *why = xcalloc(1, 1000);
	json_t *json;
	const char *kept;

	outcome_init(&o);
	o.host = "h";
	o.state = OUTCOME_FAILED;
	o.why = "first\nsecond\tthird\r\n";
	json = outcome_to_json(&o);
	kept = json_string_value(json_object_get(json, "why"));
	assert_string_equal(kept, "first second third");
	json_decref(json);
	memset(why, 'x', OUTCOME_WHY_MAX - 1);
	strncat(why, "\xc3\xa9\xc3\xa9", 5);
	o.why = why;
	json = outcome_to_json(&o);
	kept = json_string_value(json_object_get(json, "why"));
	assert_int_equal(strlen(kept), OUTCOME_WHY_MAX - 1);
	json_decref(json);
	free(why);
}

static struct result *
result_new(enum wire_state s)
{
	struct result *r = xcalloc(1, sizeof(*r));

	result_init(r);
	r->plugin = xstrdup("ps");
	r->received_at = T0;
	r->meta.job = xstrdup("j-1");
	r->meta.response_id = xstrdup("r");
	r->meta.state = s;
	r->meta.order = 7;
	r->meta.duration_ms = 12;
	return r;
}

static void
assert_outcome(struct result *r, const char *want)
{
	struct outcome o;

	if (want == NULL) {
		assert_false(outcome_of_result("h", r, &o));
	} else {
		assert_true(outcome_of_result("h", r, &o));
		assert_json(outcome_to_json(&o), want);
	}
	result_finish(r);
	free(r);
}

#define REST                                                                                       \
	"\"host\":\"h\",\"response_id\":\"r\",\"at\":\"2010-09-26T02:16:29.609Z\",\"order\":7,"    \
	"\"duration_ms\":12"

static void
what_results_say(void **state)
{
	static const struct {
		enum wire_state s;
		const char *want;
	} failures[] = {
	    {WIRE_FAILED, "{" REST ",\"state\":\"failed\",\"why\":\"boom\"}"},
	    {WIRE_TIMEOUT, "{" REST ",\"state\":\"timeout\",\"why\":\"boom\"}"},
	    {WIRE_REFUSED, "{" REST ",\"state\":\"refused\",\"why\":\"boom\"}"},
	    {WIRE_SUPERSEDED, "{" REST ",\"state\":\"superseded\",\"why\":\"boom\"}"},
	    {WIRE_CANCELLED, "{" REST ",\"state\":\"cancelled\",\"why\":\"boom\"}"},
	    {WIRE_EXPIRED, "{" REST ",\"state\":\"expired\",\"why\":\"boom\"}"},
	};
	struct result *r = result_new(WIRE_OK);

	r->value = xstrdup("1");
	r->value_len = 1;
	r->meta.exit_status = 0;
	assert_outcome(r, "{" REST ",\"state\":\"ok\",\"exit_status\":0}");
	for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
		r = result_new(failures[i].s);
		r->error = xstrdup("boom");
		assert_outcome(r, failures[i].want);
	}
	r = result_new(WIRE_OK); /* it ran, and the record does not show it */
	r->value = xstrdup("1");
	r->value_len = 1;
	r->older = xstrdup("not stored");
	assert_outcome(r, "{" REST ",\"state\":\"ok\",\"why\":\"not stored\"}");
	r = result_new(WIRE_OK); /* a value that its format refused */
	r->unparsed = xstrdup("{");
	r->error = xstrdup("ps: not JSON");
	assert_outcome(r, "{" REST ",\"state\":\"failed\",\"why\":\"ps: not JSON\"}");
}

static void
results_of_no_job(void **state)
{
	struct result *r = result_new(WIRE_OK);

	free(r->meta.job);
	r->meta.job = NULL;
	assert_outcome(r, NULL);
	r = result_new(WIRE_OK);
	free(r->meta.job);
	r->meta.job = xstrdup("../job/j-2");
	assert_outcome(r, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(states_have_names),
	    cmocka_unit_test(an_outcome_as_json),
	    cmocka_unit_test(what_is_no_outcome),
	    cmocka_unit_test(why_is_kept_short),
	    cmocka_unit_test(what_results_say),
	    cmocka_unit_test(results_of_no_job),
	};

	return cmocka_run_group_tests_name("outcome", tests, NULL, NULL);
}
