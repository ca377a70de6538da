/* SPDX-License-Identifier: Apache-2.0 */
/* See store_suite.h. */
#include "tests/unit/store_suite.h"

#include "shared/base/buf.h"
#include "shared/base/ident.h"
#include "shared/base/xalloc.h"
#include "shared/store/head.h"
#include "shared/wire/jsonx.h"
#include "tests/unit/store_drive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MANY       1000
#define MANY_BATCH 100

static const struct suite_factory *factory;

/* The first members of each record here. */
#define HEAD(host, created, updated)                                                               \
	"{\"_id\":\"" host "\",\"system_name\":\"" host "\",\"doc_type\":\"SystemRecord\","        \
	"\"created_at\":\"2010-09-26T02:16:" created "Z\","                                        \
	"\"updated_at\":\"2010-09-26T02:16:" updated "Z\""
#define AT(seconds) "\"2010-09-26T02:16:" seconds "Z\""
/* What drive_good leaves in the metadata, with an order and without. */
#define GOOD(received, changed, order)                                                             \
	"{\"received_at\":" AT(received) ",\"changed_at\":" AT(                                    \
	    changed) ",\"order\":" order ",\"machine_id\":\"" DRIVE_MACHINE                        \
		     "\",\"format\":\"json\",\"hash\":\"@\"}"
#define GOOD_2010(received, changed)                                                               \
	"{\"received_at\":" AT(received) ",\"changed_at\":" AT(                                    \
	    changed) ",\"format\":\"json\",\"hash\":\"@\"}"

/* ---- the tests ---- */

static int
begin(void **state)
{
	struct fixture *s = xcalloc(1, sizeof(*s));

	*state = s;
	drive_open(s, factory->begin(), DRIVE_RECORD_MAX);
	drive_setup(s, "created");
	return 0;
}

static int
end(void **state)
{
	struct fixture *s = *state;

	drive_close(s);
	free(s);
	if (factory->end != NULL)
		factory->end();
	return 0;
}

static void
setup_twice_and_probe(void **state)
{
	struct fixture *s = *state;

	drive_setup(s, "was there");
	assert_true(drive_probe(s, NULL, 0));
}

static void
design_documents_are_taken(void **state)
{
	struct fixture *s = *state;
	json_t *doc = json_pack("{s:s,s:s,s:{s:{s:s}}}", "_id", "_design/t", "language",
	    "javascript", "views", "all", "map", "function (doc) { emit(doc._id, null); }");

	drive_load_design(s, doc, NULL);
	json_decref(doc);
}

static void
a_host_that_is_not_there(void **state)
{
	struct fixture *s = *state;
	json_t *all = drive_list(s);

	drive_expect(s, "nobody.example.com", NULL);
	assert_int_equal(json_array_size(all), 0);
	json_decref(all);
}

static void
a_result_key_by_key(void **state)
{
	struct fixture *s = *state;
	struct result *r = drive_good("facter", "{\"b\":[1,true,null,\"x\"],\"a\":{}}", 7, 0);

	r->format = WIRE_YAML;
	r->meta.collected_at = DRIVE_T0 - 1609;
	r->meta.boot_id = xstrdup("boot");
	r->meta.job = xstrdup("job");
	r->meta.response_id = xstrdup("resp");
	r->meta.exit_status = 0;
	r->meta.duration_ms = 1234;
	r->meta.truncated = true;
	r->note = json_pack("[s]", "cut");
	assert_int_equal(drive_put(s, "web01.example.com", r, NULL), STORE_OK);
	drive_expect(s, "web01.example.com",
	    HEAD("web01.example.com", "29.609",
		"29.609") ",\"facter\":{\"b\":[1,true,null,\"x\"],"
			  "\"a\":{}},\"vogeler\":{\"facter\":{"
			  "\"collected_at\":" AT(
			      "28.000") ","
					"\"received_at\":" AT("29.609") ",\"changed_at\":" AT(
					    "29.609") ",\"order\":7,"
						      "\"machine_id\":\"" DRIVE_MACHINE
						      "\",\"boot_id\":\"boot\",\"response_id\":\"resp\","
						      "\"job\":\"job\",\"format\":\"yaml\",\"exit_status\":0,\"duration_ms\":1234,"
						      "\"hash\":\"@\",\"truncated\":true,\"notes\":[\"cut\"]}}}");
}

static void
a_greeting_makes_the_host_known(void **state)
{
	struct fixture *s = *state;

	assert_int_equal(drive_put(s, "h", drive_result(NULL, 0, 0), NULL), STORE_OK);
	drive_expect(s, "h", HEAD("h", "29.609", "29.609") ",\"vogeler\":{}}");
	assert_int_equal(drive_put(s, "h", drive_result(NULL, 0, 1000), NULL), STORE_OK);
	drive_expect(s, "h", HEAD("h", "29.609", "30.609") ",\"vogeler\":{}}");
}

static void
several_plugins_in_one_write(void **state)
{
	struct fixture *s = *state;

	assert_int_equal(drive_put(s, "h", drive_good("zeta", "1", 1, 0),
			     drive_good("alpha", "[2]", 2, 1), drive_good("zeta", "3", 3, 2), NULL),
	    STORE_OK);
	drive_expect(s, "h",
	    HEAD("h", "29.609", "29.611") ",\"alpha\":[2],\"zeta\":3,\"vogeler\":{\"alpha\":" GOOD(
		"29.610", "29.610", "2") ",\"zeta\":" GOOD("29.611", "29.611", "3") "}}");
	/* One of them again, later: the other stays. */
	assert_int_equal(drive_put(s, "h", drive_good("alpha", "4", 4, 1000), NULL), STORE_OK);
	drive_expect(s, "h",
	    HEAD("h", "29.609", "30.609") ",\"alpha\":4,\"zeta\":3,\"vogeler\":{\"alpha\":" GOOD(
		"30.609", "30.609", "4") ",\"zeta\":" GOOD("29.611", "29.611", "3") "}}");
}

static void
an_older_result_does_not_overwrite(void **state)
{
	static const char want[] =
	    HEAD("h", "29.609", "30.609") ",\"ps\":\"new\",\"vogeler\":{\"ps\":{\"received_at\":" AT(
		"29.609") ",\"changed_at\":" AT("29.609") ",\"order\":20,\"machine_id\":\"" DRIVE_MACHINE
							  "\",\"format\":\"json\",\"hash\":\"@\",\"older\":{\"count\":1,\"last_order\":10}}}}";
	struct fixture *s = *state;

	assert_int_equal(drive_put(s, "h", drive_good("ps", "\"new\"", 20, 0), NULL), STORE_OK);
	assert_int_equal(drive_put(s, "h", drive_good("ps", "\"old\"", 10, 1000), NULL), STORE_OK);
	drive_expect(s, "h", want);
	/* And again, as after a crash. */
	assert_int_equal(drive_put(s, "h", drive_good("ps", "\"old\"", 10, 2000), NULL), STORE_OK);
	assert_int_equal(drive_put(s, "h", drive_good("ps", "\"new\"", 20, 3000), NULL), STORE_OK);
	drive_expect(s, "h", want);
}

/* What was remembered of its order goes too: a host whose clock was ahead begins anew. Large, so
 * that CouchDB has a mark of it besides. */
static void
a_host_that_is_forgotten_begins_anew(void **state)
{
	struct fixture *s = *state;
	enum store_status status;
	char *large = calloc(1, 20003), text[] = "\"old\"";
	json_t *all;

	memset(large, 'x', 20002);
	large[0] = large[20001] = '"';
	drive_forget(s, "h", "not there");
	assert_int_equal(drive_put(s, "other", drive_good("ps", "1", 1, 0), NULL), STORE_OK);
	assert_int_equal(drive_put(s, "h", drive_good("ps", large, 20, 0), NULL), STORE_OK);
	assert_int_equal(drive_put(s, "h", drive_good("ps", large, 21, 1), NULL), STORE_OK);
	drive_forget(s, "h", "forgotten");
	drive_expect(s, "h", NULL);
	drive_forget(s, "h", "not there");
	all = drive_list(s);
	assert_int_equal(json_array_size(all), 1);
	json_decref(all);
	/* A store that remembers a revision finds out, and the batch puts it again. */
	status = drive_put(s, "h", drive_good("ps", text, 5, 2000), NULL);
	if (status == STORE_CONFLICT)
		status = drive_put(s, "h", drive_good("ps", text, 5, 2000), NULL);
	assert_int_equal(status, STORE_OK);
	drive_expect(s, "h",
	    HEAD("h", "31.609", "31.609") ",\"ps\":\"old\",\"vogeler\":{\"ps\":" GOOD(
		"31.609", "31.609", "5") "}}");
	free(large);
}

static void
expect_notes(struct fixture *s, const char *prefix, const char *text)
{
	json_t *want = json_loads(text, 0, NULL), *notes = drive_notes(s, prefix);

	assert_non_null(want);
	if (!json_equal(want, notes))
		fail_msg("the notes are %s, and not %s", json_dumps(notes, JSON_SORT_KEYS), text);
	json_decref(want);
	json_decref(notes);
}

static void
put_notes(struct fixture *s, const char *text)
{
	json_t *notes = json_loads(text, 0, NULL);

	assert_non_null(notes);
	drive_notes_put(s, notes);
	json_decref(notes);
}

/* Beside the records: no list of hosts has them, and forgetting a host leaves them. */
static void
notes_are_kept_beside_the_records(void **state)
{
	struct fixture *s = *state;
	json_t *list, *heads;

	expect_notes(s, "", "{}");
	put_notes(s, "{\"a.1\": {\"x\": [1, \"\u00e9\"]}, \"a.2\": {}, \"b.1\": 7}");
	put_notes(s, "{\"a.2\": {\"y\": null}, \"a.3\": \"new\"}");
	assert_int_equal(drive_put(s, "h", drive_good("ps", "1", 5, 0), NULL), STORE_OK);
	expect_notes(s, "a.",
	    "{\"a.1\": {\"x\": [1, \"\u00e9\"]}, \"a.2\": {\"y\": null}, \"a.3\": \"new\"}");
	expect_notes(s, "b.", "{\"b.1\": 7}");
	expect_notes(s, "c.", "{}");
	list = drive_list(s);
	heads = drive_heads(s);
	assert_int_equal(json_array_size(list), 1);
	assert_int_equal(json_array_size(heads), 1);
	json_decref(list);
	json_decref(heads);
	drive_forget(s, "h", "forgotten");
	expect_notes(s, "b.", "{\"b.1\": 7}");
}

static void
arrival_counts_without_order(void **state)
{
	struct fixture *s = *state;
	int i;

	assert_int_equal(drive_put(s, "h", drive_good("ps", "1", 0, 0), NULL), STORE_OK);
	for (i = 0; i < 2; i++) { /* the second time it is the same response */
		struct result *r = drive_good("ps", "2", 0, 1000 + i);

		r->meta.response_id = xstrdup("resp");
		assert_int_equal(drive_put(s, "h", r, NULL), STORE_OK);
	}
	drive_expect(s, "h",
	    HEAD("h", "29.609", "30.609") ",\"ps\":2,\"vogeler\":{\"ps\":{\"received_at\":" AT(
		"30.609") ",\"changed_at\":" AT("30.609") ",\"response_id\":\"resp\","
							  "\"format\":\"json\",\"hash\":\"@\"}}}");
}

static void
the_same_value_again(void **state)
{
	struct fixture *s = *state;

	assert_int_equal(drive_put(s, "h", drive_good("ps", "[1]", 1, 0), NULL), STORE_OK);
	assert_int_equal(drive_put(s, "h", drive_good("ps", "[1]", 2, 1000), NULL), STORE_OK);
	drive_expect(s, "h",
	    HEAD("h", "29.609", "30.609") ",\"ps\":[1],\"vogeler\":{\"ps\":" GOOD(
		"30.609", "29.609", "2") "}}");
}

static void
a_failure_keeps_the_value(void **state)
{
	struct fixture *s = *state;
	struct result *r = drive_failed("ps", "boom", 2, 1000);

	r->meta.signal = 9;
	r->meta.job = xstrdup("job");
	r->meta.stderr_tail = xstrdup("no");
	assert_int_equal(drive_put(s, "h", drive_good("ps", "[1]", 1, 0), NULL), STORE_OK);
	assert_int_equal(drive_put(s, "h", r, NULL), STORE_OK);
	assert_int_equal(drive_put(s, "h", drive_failed("ps", "again", 3, 2000), NULL), STORE_OK);
	drive_expect(s, "h",
	    HEAD("h", "29.609", "31.609") ",\"ps\":[1],\"last_error\":{\"timestamp\":" AT(
		"31.609") ",\"message\":\"again\",\"plugin\":\"ps\",\"state\":\"failed\","
			  "\"order\":3,\"machine_id\":\"" DRIVE_MACHINE "\"},\"vogeler\":{\"ps\":{"
			  "\"received_at\":" AT("29.609") ",\"changed_at\":" AT(
			      "29.609") ","
					"\"format\":\"json\",\"hash\":\"@\",\"order\":3,\"machine_id\":\"" DRIVE_MACHINE
					"\","
					"\"state\":\"failed\",\"failure\":{\"since\":" AT("30.609") ",\"at\":" AT(
					    "31.609") ",\"state\":\"failed\",\"message\":\"again\",\"exit_status\":1,\"count\":2}}}}");
	assert_int_equal(drive_put(s, "h", drive_good("ps", "[2]", 4, 3000), NULL), STORE_OK);
	drive_expect(s, "h",
	    HEAD("h", "29.609", "32.609") ",\"ps\":[2],\"last_error\":{\"timestamp\":" AT(
		"31.609") ",\"message\":\"again\",\"plugin\":\"ps\",\"state\":\"failed\","
			  "\"order\":3,\"machine_id\":\"" DRIVE_MACHINE
			  "\"},\"vogeler\":{\"ps\":" GOOD("32.609", "32.609", "4") "}}");
}

static void
a_failure_before_any_value(void **state)
{
	struct fixture *s = *state;

	assert_int_equal(drive_put(s, "h", drive_failed("ps", "boom", 1, 0), NULL), STORE_OK);
	drive_expect(s, "h",
	    HEAD("h", "29.609", "29.609") ",\"last_error\":{\"timestamp\":" AT(
		"29.609") ",\"message\":\"boom\",\"plugin\":\"ps\",\"state\":\"failed\","
			  "\"order\":1,\"machine_id\":\"" DRIVE_MACHINE "\"},\"vogeler\":{\"ps\":{"
			  "\"order\":1,\"machine_id\":\"" DRIVE_MACHINE "\",\"state\":\"failed\","
			  "\"failure\":{\"since\":" AT("29.609") ",\"at\":" AT(
			      "29.609") ",\"state\":\"failed\",\"message\":\"boom\",\"exit_status\":1}}}}");
}

/* Megabytes, with all that is written otherwise in JSON. Caller frees. */
static char *
raw_text(char mark)
{
	static const char unit[] = "x[\"\\\n\1\x7f\xc3\xa4\xf0\x9f\x98\x80";
	size_t len = 2 * 1024 * 1024, i;
	char *text = xcalloc(1, len + sizeof(unit));

	for (i = 0; i < len; i += sizeof(unit) - 1)
		memcpy(text + i, unit, sizeof(unit) - 1);
	text[0] = mark;
	return text;
}

static void
put_raw(struct fixture *s, char mark, int64_t order)
{
	struct result *r = drive_result("ps", order, order);
	enum store_status status;
	char *text = raw_text(mark);
	struct store_write w;

	r->unparsed = raw_text(mark);
	r->error = xstrdup("not JSON");
	drive_write_init(&w, "web01", &r, 1);
	drive_put_batch(s, &w, 1, &status, NULL);
	assert_int_equal(status, STORE_OK);
	assert_string_equal(r->unparsed, text); /* a write may come again */
	free(text);
	drive_results_free(&r, 1);
}

static void
assert_raw(struct fixture *s, char mark, const char *in_state)
{
	json_t *record = drive_get(s, "web01");
	json_t *meta = json_object_get(json_object_get(record, "vogeler"), "ps");
	char *text = raw_text(mark);

	assert_string_equal(json_string_value(json_object_get(meta, "unparsed")), text);
	assert_string_equal(json_string_value(json_object_get(meta, "state")), in_state);
	free(text);
	json_decref(record);
}

/* It is kept while it is the latest, and not looked at for the sake of what is beside it. */
static void
megabytes_of_raw_text_are_kept_until_the_next_value(void **state)
{
	struct fixture *s = *state;
	json_t *record, *meta;

	put_raw(s, 'a', 2);
	assert_raw(s, 'a', "unparsed");
	put_raw(s, 'b', 3);
	assert_raw(s, 'b', "unparsed");
	assert_int_equal(drive_put(s, "web01", drive_good("ps", "1", 1, 1), NULL), STORE_OK);
	assert_raw(s, 'b', "unparsed"); /* that was an older one, counted beside it */
	assert_int_equal(
	    drive_put(s, "web01", drive_failed("ps", "it hangs", 4, 4), NULL), STORE_OK);
	assert_raw(s, 'b', "failed");
	assert_int_equal(drive_put(s, "web01", drive_good("ps", "1", 5, 5), NULL), STORE_OK);
	record = drive_get(s, "web01");
	meta = json_object_get(json_object_get(record, "vogeler"), "ps");
	assert_null(json_object_get(meta, "unparsed"));
	json_decref(record);
}

static void
an_unparsed_value_keeps_its_text(void **state)
{
	struct fixture *s = *state;
	struct result *r = drive_result("ps", 2, 1000);

	r->unparsed = xstrdup("{\"broken\n");
	r->error = xstrdup("ps: not JSON");
	assert_int_equal(drive_put(s, "h", drive_good("ps", "1", 1, 0), r, NULL), STORE_OK);
	drive_expect(s, "h",
	    HEAD("h", "29.609", "30.609") ",\"ps\":1,\"last_error\":{\"timestamp\":" AT(
		"30.609") ",\"message\":\"ps: not JSON\",\"plugin\":\"ps\",\"state\":"
			  "\"unparsed\",\"order\":2,\"machine_id\":\"" DRIVE_MACHINE
			  "\"},\"vogeler\":{"
			  "\"ps\":{\"received_at\":" AT("29.609") ",\"changed_at\":" AT(
			      "29.609") ",\"format\":\"json\",\"hash\":\"@\",\"order\":2,\"machine_id\":\"" DRIVE_MACHINE
					"\","
					"\"state\":\"unparsed\",\"unparsed\":\"{\\\"broken\\n\",\"failure\":{\"since\":" AT(
					    "30.609") ",\"at\":" AT("30.609") ",\"state\":\"unparsed\",\"message\":"
									      "\"ps: not JSON\"}}}}");
}

static void
a_refused_command_is_no_fact(void **state)
{
	struct fixture *s = *state;
	struct result *r = drive_failed("rm", "Plugin rm is not authorized", 5, 0);

	r->meta.state = WIRE_REFUSED;
	r->error_timestamp = xstrdup("2010-09-26 06:16:29.609000");
	assert_int_equal(drive_put(s, "h", r, NULL), STORE_OK);
	drive_expect(s, "h",
	    HEAD("h", "29.609",
		"29.609") ",\"last_error\":{\"timestamp\":\"2010-09-26 06:16:29.609000\","
			  "\"received_at\":" AT(
			      "29.609") ",\"message\":\"Plugin rm is not authorized\",\"plugin\":\"rm\","
					"\"state\":\"refused\",\"order\":5,\"machine_id\":\"" DRIVE_MACHINE
					"\"},"
					"\"vogeler\":{}}");
}

static void
the_error_of_2010(void **state)
{
	struct fixture *s = *state;
	struct result *r = drive_result(NULL, 0, 0);

	r->error = xstrdup("boom");
	r->error_timestamp = xstrdup("2010-09-26 06:16:29.609123");
	assert_int_equal(drive_put(s, "h", r, NULL), STORE_OK);
	drive_expect(s, "h",
	    HEAD("h", "29.609", "29.609") ",\"last_error\":{\"timestamp\":"
					  "\"2010-09-26 06:16:29.609123\",\"received_at\":" AT(
					      "29.609") ",\"message\":\"boom\","
							"\"state\":\"failed\"},\"vogeler\":{}}");
}

static void
two_hosts_in_a_batch(void **state)
{
	struct fixture *s = *state;
	struct result *of_a[] = {drive_good("ps", "\"a\"", 1, 0)};
	struct result *of_b[] = {drive_good("ps", "\"b\"", 1, 0), drive_good("df", "[]", 2, 5)};
	struct store_write writes[2];
	enum store_status statuses[2];

	drive_write_init(&writes[0], "b.example.com", of_b, 2);
	drive_write_init(&writes[1], "a.example.com", of_a, 1);
	drive_put_batch(s, writes, 2, statuses, NULL);
	assert_int_equal(statuses[0], STORE_OK);
	assert_int_equal(statuses[1], STORE_OK);
	drive_expect(s, "a.example.com",
	    HEAD("a.example.com", "29.609", "29.609") ",\"ps\":\"a\",\"vogeler\":{\"ps\":" GOOD(
		"29.609", "29.609", "1") "}}");
	drive_expect(s, "b.example.com",
	    HEAD("b.example.com", "29.609", "29.614") ",\"ps\":\"b\",\"df\":[],\"vogeler\":{"
						      "\"df\":" GOOD("29.614", "29.614",
							  "2") ","
							       "\"ps\":" GOOD(
								   "29.609", "29.609", "1") "}}");
	drive_results_free(of_a, 1);
	drive_results_free(of_b, 2);
}

/* All that JSON can say, and names that other languages have plans for. */
static void
values_come_back_as_they_went_in(void **state)
{
	static const char value[] =
	    "{\"\":\"empty key\",\"a.b/c\":[[],{},[[null]]],\"nul\":\"a\\u0000b\",\"ctrl\":"
	    "\"\\u0001\\u001f\\u007f\\b\\f\\n\\r\\t\\\\\\\"\",\"text\":\"\xc3\xa9\xe2\x82\xac"
	    "\xf0\x9f\x98\x80\",\"constructor\":true,\"true\":false,\"real\":[0.1,-2.5,"
	    "1.5e-7,0.30000000000000004],\"int\":[0,-1,9007199254740991],\"big\":"
	    "\"123456789012345678901234567890\",\"_id\":\"inner\",\"quote\":\"'; DROP TABLE "
	    "hosts; --\"}";
	static const char numbers[] = "[9223372036854775807,-9223372036854775808,1.0,1e300,100.0]";
	struct fixture *s = *state;
	char want[4096];

	assert_int_equal(drive_put(s, "h", drive_good("all", value, 0, 0), NULL), STORE_OK);
	snprintf(want, sizeof(want), "%s,\"all\":%s,\"vogeler\":{\"all\":%s}}",
	    HEAD("h", "29.609", "29.609"), value, GOOD_2010("29.609", "29.609"));
	drive_expect(s, "h", want);
	if (factory->javascript_numbers)
		return;
	assert_int_equal(drive_put(s, "n", drive_good("all", numbers, 0, 0), NULL), STORE_OK);
	snprintf(want, sizeof(want), "%s,\"all\":%s,\"vogeler\":{\"all\":%s}}",
	    HEAD("n", "29.609", "29.609"), numbers, GOOD_2010("29.609", "29.609"));
	drive_expect(s, "n", want);
}

static void
a_value_as_deep_as_allowed(void **state)
{
	struct fixture *s = *state;
	char value[2 * JSONX_DEPTH_MAX + 1];
	json_t *rec, *inner;
	int depth = 0;

	memset(value, '[', JSONX_DEPTH_MAX);
	memset(value + JSONX_DEPTH_MAX, ']', JSONX_DEPTH_MAX);
	value[2 * JSONX_DEPTH_MAX] = '\0';
	assert_int_equal(drive_put(s, "h", drive_good("deep", value, 1, 0), NULL), STORE_OK);
	/* A second write, for a store that reads before it writes. */
	assert_int_equal(drive_put(s, "h", drive_good("ps", "1", 2, 0), NULL), STORE_OK);
	rec = drive_get(s, "h");
	inner = json_object_get(rec, "deep");
	for (; json_is_array(inner); inner = json_array_get(inner, 0))
		depth++;
	assert_int_equal(depth, JSONX_DEPTH_MAX);
	json_decref(rec);
}

/* Opens the same store again: with another limit on records. */
static void
reopen(struct fixture *s, const char *uri, uint64_t record_max)
{
	drive_close(s);
	drive_open(s, uri, record_max);
}

static char *
big_value(size_t len)
{
	char *text = xcalloc(1, len + 1);

	memset(text, 'x', len);
	text[0] = text[len - 1] = '"';
	return text;
}

/* In its own store, with a small limit. */
static void
too_large_a_record_is_rejected_alone(void **state)
{
	struct fixture *s = *state;
	char *big = big_value(30000), why[3][DRIVE_WHY_SIZE];
	const char *uri = factory->begin();
	struct result *of_a[] = {drive_good("ps", "1", 2, 1000)};
	struct result *of_b[] = {drive_good("ps", big, 2, 1000)};
	struct result *of_c[] = {drive_good("df", "2", 2, 1000)};
	struct store_write writes[3];
	enum store_status statuses[3];

	reopen(s, uri, 20000);
	drive_setup(s, NULL);
	assert_int_equal(drive_put(s, "b", drive_good("ps", "\"small\"", 1, 0), NULL), STORE_OK);
	drive_write_init(&writes[0], "a", of_a, 1);
	drive_write_init(&writes[1], "b", of_b, 1);
	drive_write_init(&writes[2], "c", of_c, 1);
	drive_put_batch(s, writes, 3, statuses, why);
	assert_int_equal(statuses[0], STORE_OK);
	assert_int_equal(statuses[1], STORE_REJECT);
	assert_string_not_equal(why[1], "");
	assert_int_equal(statuses[2], STORE_OK);
	drive_expect(s, "a",
	    HEAD("a", "30.609", "30.609") ",\"ps\":1,\"vogeler\":{\"ps\":" GOOD(
		"30.609", "30.609", "2") "}}");
	drive_expect(s, "b",
	    HEAD("b", "29.609", "29.609") ",\"ps\":\"small\",\"vogeler\":{\"ps\":" GOOD(
		"29.609", "29.609", "1") "}}");
	drive_expect(s, "c",
	    HEAD("c", "30.609", "30.609") ",\"df\":2,\"vogeler\":{\"df\":" GOOD(
		"30.609", "30.609", "2") "}}");
	drive_results_free(of_a, 1);
	drive_results_free(of_b, 1);
	drive_results_free(of_c, 1);
	free(big);
}

static void
several_results_add_up_to_too_large(void **state)
{
	struct fixture *s = *state;
	char *big = big_value(9000);

	reopen(s, factory->begin(), 20000);
	drive_setup(s, NULL);
	assert_int_equal(drive_put(s, "h", drive_good("a", big, 1, 0), NULL), STORE_OK);
	assert_int_equal(drive_put(s, "h", drive_good("b", big, 2, 0), NULL), STORE_OK);
	assert_int_equal(drive_put(s, "h", drive_good("c", big, 3, 0), NULL), STORE_REJECT);
	/* What does not make it larger is taken. */
	assert_int_equal(drive_put(s, "h", drive_good("a", "1", 4, 0), NULL), STORE_OK);
	assert_int_equal(drive_put(s, "h", drive_good("c", big, 5, 0), NULL), STORE_OK);
	free(big);
}

static void
an_error_may_be_too_large_too(void **state)
{
	struct fixture *s = *state;
	char *big = big_value(30000);

	reopen(s, factory->begin(), 20000);
	drive_setup(s, NULL);
	assert_int_equal(drive_put(s, "h", drive_failed(NULL, big, 1, 0), NULL), STORE_REJECT);
	assert_int_equal(drive_put(s, "h", drive_good("a", "1", 2, 0), NULL), STORE_OK);
	free(big);
}

static void
what_was_stored_is_there_after_a_restart(void **state)
{
	static const char want[] = HEAD("h", "29.609",
	    "29.609") ",\"ps\":[1],\"vogeler\":{\"ps\":" GOOD("29.609", "29.609", "1") "}}";
	struct fixture *s = *state;
	char *uri = xstrdup(factory->begin());

	reopen(s, uri, DRIVE_RECORD_MAX);
	drive_setup(s, NULL);
	assert_int_equal(drive_put(s, "h", drive_good("ps", "[1]", 1, 0), NULL), STORE_OK);
	reopen(s, uri, DRIVE_RECORD_MAX);
	drive_setup(s, "was there");
	drive_expect(s, "h", want);
	assert_int_equal(drive_put(s, "h", drive_good("ps", "[1]", 1, 1000), NULL), STORE_OK);
	drive_expect(s, "h", want);
	free(uri);
}

static void
put_many(struct fixture *s, int first, int64_t order)
{
	struct result *results[MANY_BATCH];
	struct store_write writes[MANY_BATCH];
	enum store_status statuses[MANY_BATCH];
	char hosts[MANY_BATCH][16], value[32];
	int i;

	for (i = 0; i < MANY_BATCH; i++) {
		snprintf(hosts[i], sizeof(hosts[i]), "h%04d", first + i);
		snprintf(value, sizeof(value), "[%d,%d]", first + i, (int)order);
		results[i] = drive_good("ps", value, order, order);
		drive_write_init(&writes[i], hosts[i], &results[i], 1);
	}
	drive_put_batch(s, writes, MANY_BATCH, statuses, NULL);
	for (i = 0; i < MANY_BATCH; i++)
		assert_int_equal(statuses[i], STORE_OK);
	drive_results_free(results, MANY_BATCH);
}

/* Each head is that of its record as the list has it, in the same order. */
static void
expect_heads(struct fixture *s)
{
	json_t *all = drive_list(s), *heads = drive_heads(s), *rec;
	size_t i;

	assert_int_equal(json_array_size(heads), json_array_size(all));
	json_array_foreach (all, i, rec) {
		json_t *head = head_of_record(rec);

		assert_true(json_equal(json_array_get(heads, i), head));
		json_decref(head);
	}
	json_decref(heads);
	json_decref(all);
}

/* New, then an update of each; listed in order of host. */
static void
a_thousand_hosts(void **state)
{
	struct fixture *s = *state;
	json_t *all, *rec;
	char host[16];
	size_t i;
	int first;

	for (first = MANY - MANY_BATCH; first >= 0; first -= MANY_BATCH)
		put_many(s, first, 1);
	for (first = 0; first < MANY; first += MANY_BATCH)
		put_many(s, first, 2);
	all = drive_list(s);
	assert_int_equal(json_array_size(all), MANY);
	json_array_foreach (all, i, rec) {
		snprintf(host, sizeof(host), "h%04d", (int)i);
		assert_string_equal(json_string_value(json_object_get(rec, "_id")), host);
		assert_int_equal(
		    json_integer_value(json_array_get(json_object_get(rec, "ps"), 0)), i);
		assert_int_equal(
		    json_integer_value(json_array_get(json_object_get(rec, "ps"), 1)), 2);
	}
	json_decref(all);
	expect_heads(s);
}

/* What list and get say is the same. */
static void
a_list_has_whole_records(void **state)
{
	struct fixture *s = *state;
	json_t *all, *rec;

	assert_int_equal(drive_put(s, "h", drive_good("ps", "{\"b\":1,\"a\":[2.5]}", 1, 0),
			     drive_failed("df", "boom", 2, 0), NULL),
	    STORE_OK);
	all = drive_list(s);
	rec = drive_get(s, "h");
	assert_int_equal(json_array_size(all), 1);
	assert_true(json_equal(json_array_get(all, 0), rec));
	json_decref(rec);
	json_decref(all);
}

static void
expect_head(struct fixture *s, size_t i, const char *text)
{
	json_t *heads = drive_heads(s), *want = json_loads(text, 0, NULL);

	assert_non_null(want);
	if (!json_equal(json_array_get(heads, i), want)) {
		char *is = json_dumps(json_array_get(heads, i), JSON_SORT_KEYS);

		fail_msg("%s\nis not\n%s", is, text);
	}
	json_decref(want);
	json_decref(heads);
}

/* What a list of hosts shows, and nothing of the values nor of what a plugin wrote on stderr. */
static void
heads_have_no_values(void **state)
{
	struct fixture *s = *state;
	struct result *failed = drive_failed("df", "no \"disk\"", 2, 0);

	failed->meta.stderr_tail = xstrdup("a long tail");
	assert_int_equal(
	    drive_put(s, "b", drive_good("ps", "{\"failure\":1}", 1, 0), failed, NULL), STORE_OK);
	assert_int_equal(drive_put(s, "a", drive_result(NULL, 0, 0), NULL), STORE_OK);
	expect_head(s, 0,
	    "{\"_id\":\"a\",\"created_at\":" AT("29.609") ",\"updated_at\":" AT(
		"29.609") ",\"vogeler\":{}}");
	expect_head(s, 1,
	    "{\"_id\":\"b\",\"created_at\":" AT("29.609") ",\"updated_at\":" AT("29.609") ",\"last_error\":{\"timestamp\":" AT(
		"29.609") ",\"message\":\"no \\\"disk\\\"\","
			  "\"plugin\":\"df\",\"state\":\"failed\",\"order\":2,\"machine_id\":\"" DRIVE_MACHINE
			  "\"},\"vogeler\":{\"df\":{\"order\":2,\"machine_id\":\"" DRIVE_MACHINE
			  "\",\"failure\":{\"since\":" AT("29.609") ",\"at\":" AT(
			      "29.609") ",\"state\":\"failed\",\"message\":\"no \\\"disk\\\"\"}},\"ps\":{\"order\":1,"
					"\"machine_id\":\"" DRIVE_MACHINE
					"\",\"received_at\":" AT("29.609") "}}}");
	expect_heads(s);
	/* What is over is not said any more. */
	assert_int_equal(drive_put(s, "b", drive_good("df", "1", 3, 1000), NULL), STORE_OK);
	expect_heads(s);
}

/* The same rule over a record in memory. */
struct model {
	struct record_head head;
	const char *const *plugins;
	struct fact facts[3];
};

static void
model_apply(struct model *m, struct result *r)
{
	bool changed = false;
	struct fact *f = NULL;

	for (size_t i = 0; i < 3 && r->plugin != NULL; i++)
		if (strcmp(m->plugins[i], r->plugin) == 0)
			f = &m->facts[i];
	record_apply(&m->head, f, r, &changed);
}

static void
model_expect(struct fixture *s, const struct model *m)
{
	struct buf text;

	buf_init(&text, 1 << 20);
	assert_true(record_write(&text, &m->head, NULL, m->plugins, m->facts, 3));
	drive_expect(s, m->head.host, text.data);
	buf_finish(&text);
}

static struct result *
random_result(const char *const *plugins, int64_t *order, int64_t at)
{
	static const char *const machines[] = {DRIVE_MACHINE, "another"};
	const char *plugin = plugins[rand() % 3];
	int64_t its = rand() % 4 == 0 ? *order - rand() % 5 : ++*order;
	struct result *r;
	char *value;

	if (rand() % 12 == 0)
		return drive_result(NULL, 0, at);
	if (rand() % 10 == 0) {
		r = drive_failed(plugin, "boom", its, at);
		r->meta.state = rand() % 2 == 0 ? WIRE_FAILED : WIRE_TIMEOUT;
		return r;
	}
	value = big_value(rand() % 4 == 0 ? 11000 : 12000); /* mostly the same again */
	r = drive_good(plugin, value, its > 0 ? its : 0, at);
	free(value);
	free(r->meta.machine_id);
	r->meta.machine_id = its > 0 ? xstrdup(machines[rand() % 20 == 0]) : NULL;
	r->meta.response_id = xstrdup("resp");
	return r;
}

/* Large values that are mostly confirmed: a store that does not write them each time shows the
 * record of the rule all the same, key by key, also to one that has just been opened. */
static void
large_values_again_and_again(void **state)
{
	static const char *const plugins[] = {"facter", "packages", "ps"};
	struct fixture *s = *state;
	char *uri = xstrdup(factory->begin());
	struct model m = {.plugins = plugins};
	int64_t order = 0;

	srand(7);
	m.head.host = xstrdup("h");
	reopen(s, uri, DRIVE_RECORD_MAX);
	drive_setup(s, NULL);
	for (int i = 0; i < 120; i++) {
		struct result *r = random_result(plugins, &order, i * 10);

		model_apply(&m, r);
		assert_int_equal(drive_put(s, "h", r, NULL), STORE_OK);
		if (i % 3 == 0)
			model_expect(s, &m);
		if (i % 20 == 19) {
			json_t *all, *rec;

			reopen(s, uri, DRIVE_RECORD_MAX);
			expect_heads(s);
			all = drive_list(s);
			rec = drive_get(s, "h");
			assert_int_equal(json_array_size(all), 1);
			assert_true(json_equal(json_array_get(all, 0), rec));
			json_decref(all);
			json_decref(rec);
		}
	}
	model_expect(s, &m);
	record_head_finish(&m.head);
	for (size_t i = 0; i < 3; i++)
		fact_finish(&m.facts[i]);
	free(uri);
}

#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
store_suite_run(const struct suite_factory *given)
{
	const struct CMUnitTest tests[] = {
	    STORE_TEST(setup_twice_and_probe),
	    STORE_TEST(design_documents_are_taken),
	    STORE_TEST(a_host_that_is_not_there),
	    STORE_TEST(a_result_key_by_key),
	    STORE_TEST(a_greeting_makes_the_host_known),
	    STORE_TEST(several_plugins_in_one_write),
	    STORE_TEST(an_older_result_does_not_overwrite),
	    STORE_TEST(a_host_that_is_forgotten_begins_anew),
	    STORE_TEST(notes_are_kept_beside_the_records),
	    STORE_TEST(arrival_counts_without_order),
	    STORE_TEST(the_same_value_again),
	    STORE_TEST(a_failure_keeps_the_value),
	    STORE_TEST(a_failure_before_any_value),
	    STORE_TEST(an_unparsed_value_keeps_its_text),
	    STORE_TEST(megabytes_of_raw_text_are_kept_until_the_next_value),
	    STORE_TEST(a_refused_command_is_no_fact),
	    STORE_TEST(the_error_of_2010),
	    STORE_TEST(two_hosts_in_a_batch),
	    STORE_TEST(values_come_back_as_they_went_in),
	    STORE_TEST(a_value_as_deep_as_allowed),
	    STORE_TEST(too_large_a_record_is_rejected_alone),
	    STORE_TEST(several_results_add_up_to_too_large),
	    STORE_TEST(an_error_may_be_too_large_too),
	    STORE_TEST(what_was_stored_is_there_after_a_restart),
	    STORE_TEST(a_thousand_hosts),
	    STORE_TEST(a_list_has_whole_records),
	    STORE_TEST(heads_have_no_values),
	    STORE_TEST(large_values_again_and_again),
	};

	factory = given;
	ident_init();
	return cmocka_run_group_tests_name("store suite", tests, NULL, NULL);
}
