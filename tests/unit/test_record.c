/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/store/record.h"

#include "shared/base/buf.h"
#include "shared/base/xalloc.h"
#include "shared/wire/jsonx.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define T0 INT64_C(1285467389609) /* 2010-09-26T02:16:29.609Z */

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static void
good(struct result *r, const char *value, const char *machine, int64_t order)
{
	result_init(r);
	r->plugin = xstrdup("ps");
	r->value = xstrdup(value);
	r->value_len = strlen(value);
	ident_hash(r->hash, value, r->value_len);
	r->format = WIRE_JSON;
	r->meta.machine_id = xstrdup_null(machine);
	r->meta.order = order;
	r->received_at = T0 + order;
}

static void
failed(struct result *r, const char *error, const char *machine, int64_t order)
{
	result_init(r);
	r->plugin = xstrdup("ps");
	r->error = xstrdup(error);
	r->meta.state = WIRE_FAILED;
	r->meta.exit_status = 1;
	r->meta.machine_id = xstrdup_null(machine);
	r->meta.order = order;
	r->received_at = T0 + order;
}

static enum record_change
apply(struct fact *f, struct result *r)
{
	enum record_change change = fact_apply(f, "web01", r);

	result_finish(r);
	return change;
}

static enum record_change
apply_good(struct fact *f, const char *value, const char *machine, int64_t order)
{
	struct result r;

	good(&r, value, machine, order);
	return apply(f, &r);
}

static enum record_change
apply_failed(struct fact *f, const char *error, const char *machine, int64_t order)
{
	struct result r;

	failed(&r, error, machine, order);
	return apply(f, &r);
}

static void
assert_json(const json_t *value, const char *want)
{
	struct buf out;

	buf_init(&out, 1 << 20);
	assert_true(jsonx_write(&out, value));
	assert_string_equal(out.data, want);
	buf_finish(&out);
}

static json_int_t
number(const struct fact *f, const char *key)
{
	return json_integer_value(json_object_get(f->meta, key));
}

static const char *
text(const json_t *obj, const char *key)
{
	return json_string_value(json_object_get(obj, key));
}

static void
everything_a_good_result_says(void **state)
{
	struct fact f = {0};
	struct result r;
	char want[1000];

	good(&r, "[1]", A, 7);
	r.meta.boot_id = xstrdup("boot");
	r.meta.version = xstrdup("0.1.1");
	r.meta.job = xstrdup("job");
	r.meta.response_id = xstrdup("resp");
	r.meta.collected_at = T0 - 1000;
	r.meta.exit_status = 0;
	r.meta.duration_ms = 12;
	r.meta.truncated = true;
	r.note = json_pack("[s]", "a note");
	snprintf(want, sizeof(want),
	    "{\"boot_id\":\"boot\",\"changed_at\":\"2010-09-26T02:16:29.616Z\",\"collected_at\":"
	    "\"2010-09-26T02:16:28.609Z\",\"duration_ms\":12,\"exit_status\":0,\"format\":\"json\","
	    "\"hash\":\"%s\",\"job\":\"job\",\"machine_id\":\"" A "\",\"notes\":[\"a note\"],"
	    "\"order\":7,\"received_at\":\"2010-09-26T02:16:29.616Z\",\"response_id\":\"resp\","
	    "\"truncated\":true,\"version\":\"0.1.1\"}",
	    r.hash);
	assert_int_equal(apply(&f, &r), RECORD_VALUE);
	assert_string_equal(f.value, "[1]");
	assert_int_equal(f.value_len, 3);
	assert_json(f.meta, want);
	fact_finish(&f);
}

/* All that a 2010 client says. */
static void
nothing_is_made_up(void **state)
{
	struct fact f = {0};
	const char *key;
	json_t *value;
	size_t n = 0;

	assert_int_equal(apply_good(&f, "1", NULL, 0), RECORD_VALUE);
	json_object_foreach (f.meta, key, value) {
		assert_true(strcmp(key, "received_at") == 0 || strcmp(key, "changed_at") == 0 ||
			    strcmp(key, "format") == 0 || strcmp(key, "hash") == 0);
		n++;
	}
	assert_int_equal(n, 4);
	fact_finish(&f);
}

static void
order_decides(void **state)
{
	struct fact f = {0};

	assert_int_equal(apply_good(&f, "10", A, 10), RECORD_VALUE);
	assert_int_equal(apply_good(&f, "20", A, 20), RECORD_VALUE);
	assert_int_equal(apply_good(&f, "10", A, 10), RECORD_META);
	assert_string_equal(f.value, "20");
	assert_int_equal(number(&f, "order"), 20);
	assert_json(json_object_get(f.meta, "older"), "{\"count\":1,\"last_order\":10}");
	/* The same once more: nothing new. */
	assert_int_equal(apply_good(&f, "10", A, 10), RECORD_UNCHANGED);
	assert_int_equal(apply_failed(&f, "x", A, 15), RECORD_META);
	assert_null(json_object_get(f.meta, "failure"));
	assert_json(json_object_get(f.meta, "older"), "{\"count\":2,\"last_order\":15}");
	assert_int_equal(apply_good(&f, "30", A, 30), RECORD_VALUE);
	assert_json(json_object_get(f.meta, "older"), "{\"count\":2,\"last_order\":15}");
	fact_finish(&f);
}

static void
another_machine_is_not_compared(void **state)
{
	struct fact f = {0};

	assert_int_equal(apply_good(&f, "1", A, 1000), RECORD_VALUE);
	assert_int_equal(apply_good(&f, "2", B, 5), RECORD_VALUE);
	assert_string_equal(f.value, "2");
	assert_int_equal(number(&f, "order"), 5);
	assert_string_equal(text(f.meta, "machine_id"), B);
	/* 2010 from then on: arrival counts, and the old marks are gone. */
	assert_int_equal(apply_good(&f, "3", NULL, 0), RECORD_VALUE);
	assert_null(json_object_get(f.meta, "order"));
	assert_null(json_object_get(f.meta, "machine_id"));
	assert_int_equal(apply_good(&f, "4", B, 1), RECORD_VALUE);
	fact_finish(&f);
}

static const char *
two_since(const struct fact *f)
{
	const json_t *other = record_two_machines(f->meta);

	return other == NULL ? NULL : text(other, "two_since");
}

/* One machine id after another is a machine that was set up anew; one that comes back is a second
 * machine under the name, whether its results are good or not. */
static void
two_machines_under_one_name(void **state)
{
	const int64_t day = 24 * 3600 * INT64_C(1000);
	struct fact f = {0};
	json_t *other;

	apply_good(&f, "1", A, 10);
	apply_good(&f, "1", B, 20);
	apply_good(&f, "2", B, 30);
	assert_null(record_two_machines(f.meta));
	assert_string_equal(text(json_object_get(f.meta, "other_machine"), "machine_id"), A);
	/* The broker delivers both again. */
	apply_good(&f, "1", A, 10);
	apply_good(&f, "2", B, 30);
	assert_null(record_two_machines(f.meta));
	apply_failed(&f, "no", A, 40);
	assert_non_null(two_since(&f));
	assert_string_equal(text(record_two_machines(f.meta), "machine_id"), B);
	other = json_deep_copy(record_two_machines(f.meta));
	apply_good(&f, "1", A, 50);
	assert_true(json_equal(other, record_two_machines(f.meta)));
	apply_good(&f, "1", B, 60);
	assert_string_equal(two_since(&f), text(other, "two_since"));
	/* A has got another name. */
	apply_good(&f, "1", B, 60 + 6 * day);
	assert_non_null(two_since(&f));
	apply_good(&f, "1", B, 61 + 8 * day);
	assert_null(record_two_machines(f.meta));
	assert_null(json_object_get(f.meta, "other_machine"));
	json_decref(other);
	fact_finish(&f);
}

/* What says no machine id, as 2010 does, says nothing of machines. */
static void
no_machine_id_is_no_machine(void **state)
{
	struct fact f = {0};

	apply_good(&f, "1", A, 10);
	apply_good(&f, "1", NULL, 20);
	apply_good(&f, "1", A, 30);
	assert_null(json_object_get(f.meta, "other_machine"));
	fact_finish(&f);
}

static void
duplicates_change_nothing(void **state)
{
	struct fact f = {0};
	struct result r;
	json_t *before;

	assert_int_equal(apply_good(&f, "1", A, 7), RECORD_VALUE);
	before = json_deep_copy(f.meta);
	good(&r, "1", A, 7);
	r.received_at = T0 + 99999;
	assert_int_equal(apply(&f, &r), RECORD_UNCHANGED);
	assert_true(json_equal(before, f.meta));
	json_decref(before);

	good(&r, "2", NULL, 0);
	r.meta.response_id = xstrdup("one");
	assert_int_equal(apply(&f, &r), RECORD_VALUE);
	good(&r, "2", NULL, 0);
	r.meta.response_id = xstrdup("one");
	assert_int_equal(apply(&f, &r), RECORD_UNCHANGED);
	good(&r, "2", NULL, 0);
	r.meta.response_id = xstrdup("two");
	assert_int_equal(apply(&f, &r), RECORD_META);
	fact_finish(&f);
}

/* Any sequence, given again from the start as after a crash, ends the same. */
static void
a_replayed_sequence_ends_the_same(void **state)
{
	struct fact f = {0};
	json_t *before = NULL;
	int round;

	for (round = 0; round < 2; round++) {
		apply_good(&f, "1", A, 10);
		apply_failed(&f, "x", A, 20);
		apply_good(&f, "0", A, 5);
		apply_failed(&f, "y", A, 30);
		apply_good(&f, "0", A, 25);
		if (before == NULL)
			before = json_deep_copy(f.meta);
	}
	/* 10, 20 and 30 are older or the same in the second round; 10 and 20 are below 25. */
	assert_true(json_equal(before, f.meta));
	assert_string_equal(f.value, "1");
	json_decref(before);
	fact_finish(&f);
}

static void
the_same_value_again(void **state)
{
	struct fact f = {0};

	assert_int_equal(apply_good(&f, "1", A, 1), RECORD_VALUE);
	/* A backend that has not read the value. */
	free(f.value);
	f.value = NULL;
	assert_int_equal(apply_good(&f, "1", A, 1000), RECORD_META);
	assert_null(f.value);
	assert_string_equal(text(f.meta, "changed_at"), "2010-09-26T02:16:29.610Z");
	assert_string_equal(text(f.meta, "received_at"), "2010-09-26T02:16:30.609Z");
	assert_int_equal(number(&f, "order"), 1000);
	assert_int_equal(apply_good(&f, "2", A, 1001), RECORD_VALUE);
	assert_string_equal(f.value, "2");
	fact_finish(&f);
}

static void
a_failure_keeps_the_value(void **state)
{
	struct fact f = {0};
	struct result r;
	json_t *failure;

	apply_good(&f, "1", A, 1);
	failed(&r, "exit status 1", A, 1000);
	r.meta.job = xstrdup("job-2");
	r.meta.stderr_tail = xstrdup("no \xff such");
	r.meta.stdout_tail = xstrdup("out");
	r.meta.signal = 9;
	assert_int_equal(apply(&f, &r), RECORD_META);
	assert_string_equal(f.value, "1");
	assert_string_equal(text(f.meta, "state"), "failed");
	assert_string_equal(text(f.meta, "received_at"), "2010-09-26T02:16:29.610Z");
	assert_int_equal(number(&f, "order"), 1000);
	failure = json_object_get(f.meta, "failure");
	assert_json(failure,
	    "{\"at\":\"2010-09-26T02:16:30.609Z\",\"exit_status\":1,\"job\":\"job-2\",\"message\":"
	    "\"exit status 1\",\"signal\":9,\"since\":\"2010-09-26T02:16:30.609Z\",\"state\":"
	    "\"failed\",\"stderr_tail\":\"no \xef\xbf\xbd such\",\"stdout_tail\":\"out\"}");
	apply_failed(&f, "again", A, 2000);
	apply_failed(&f, "and again", A, 3000);
	failure = json_object_get(f.meta, "failure");
	assert_string_equal(text(failure, "since"), "2010-09-26T02:16:30.609Z");
	assert_string_equal(text(failure, "at"), "2010-09-26T02:16:32.609Z");
	assert_string_equal(text(failure, "message"), "and again");
	assert_int_equal(json_integer_value(json_object_get(failure, "count")), 3);
	assert_int_equal(apply_good(&f, "1", A, 4000), RECORD_META);
	assert_null(json_object_get(f.meta, "failure"));
	assert_null(json_object_get(f.meta, "state"));
	fact_finish(&f);
}

static void
an_unparsed_value_is_a_failure(void **state)
{
	struct fact f = {0};
	struct result r;

	apply_good(&f, "1", A, 1);
	result_init(&r);
	r.plugin = xstrdup("ps");
	r.unparsed = xstrdup("{broken");
	r.note = json_pack("[s]", "a NUL is shown");
	r.error = xstrdup("ps: line 1: no");
	r.format = WIRE_YAML;
	r.meta.machine_id = xstrdup(A);
	r.meta.order = 2;
	r.received_at = T0;
	assert_int_equal(apply(&f, &r), RECORD_META);
	assert_string_equal(f.value, "1");
	assert_string_equal(text(f.meta, "unparsed"), "{broken");
	assert_string_equal(text(f.meta, "state"), "unparsed");
	assert_string_equal(text(json_object_get(f.meta, "failure"), "message"), "ps: line 1: no");
	assert_json(
	    json_object_get(json_object_get(f.meta, "failure"), "notes"), "[\"a NUL is shown\"]");
	assert_null(json_object_get(f.meta, "notes")); /* of the value there are none */
	/* Nothing is lost by a failure after it, only by a good value. */
	apply_failed(&f, "x", A, 3);
	assert_string_equal(text(f.meta, "unparsed"), "{broken");
	apply_good(&f, "1", A, 4);
	assert_null(json_object_get(f.meta, "unparsed"));
	fact_finish(&f);
}

static void
what_was_no_run_leaves_the_fact(void **state)
{
	struct fact f = {0};
	struct result r;
	json_t *error = NULL;

	failed(&r, "not known here", A, 9);
	r.meta.state = WIRE_REFUSED;
	assert_true(last_error_apply(&error, &r));
	assert_string_equal(text(error, "state"), "refused");
	assert_int_equal(apply(&f, &r), RECORD_UNCHANGED);
	failed(&r, "collapsed", A, 10);
	r.meta.state = WIRE_SUPERSEDED;
	assert_false(last_error_apply(&error, &r));
	assert_int_equal(apply(&f, &r), RECORD_UNCHANGED);
	failed(&r, "cancelled while it ran", A, 11);
	r.meta.state = WIRE_CANCELLED;
	assert_false(last_error_apply(&error, &r));
	assert_int_equal(apply(&f, &r), RECORD_UNCHANGED);
	assert_null(f.meta);
	json_decref(error);
	fact_finish(&f);
}

static bool
error_from(json_t **error, const char *message, const char *machine, int64_t order)
{
	struct result r;
	bool changed;

	failed(&r, message, machine, order);
	changed = last_error_apply(error, &r);
	result_finish(&r);
	return changed;
}

static void
last_error_is_the_latest(void **state)
{
	json_t *error = NULL;
	struct result r;

	good(&r, "1", A, 1);
	assert_false(last_error_apply(&error, &r));
	result_finish(&r);
	assert_true(error_from(&error, "first", A, 10));
	assert_json(error,
	    "{\"machine_id\":\"" A "\",\"message\":\"first\",\"order\":10,\"plugin\":"
	    "\"ps\",\"state\":\"failed\",\"timestamp\":\"2010-09-26T02:16:29.619Z\"}");
	assert_false(error_from(&error, "first", A, 10));
	assert_false(error_from(&error, "older", A, 9));
	assert_true(error_from(&error, "newer", A, 11));
	assert_true(error_from(&error, "other machine", B, 1));
	assert_true(error_from(&error, "2010", NULL, 0));
	assert_false(error_from(&error, "2010", NULL, 0));
	assert_string_equal(text(error, "message"), "2010");
	good(&r, "1", A, 100);
	assert_false(last_error_apply(&error, &r));
	assert_string_equal(text(error, "message"), "2010");
	result_finish(&r);
	json_decref(error);
}

static void
last_error_as_the_host_sent_it(void **state)
{
	json_t *error = NULL;
	struct result r;

	result_init(&r);
	r.error = xstrdup("Plugin x is not authorized");
	r.error_timestamp = xstrdup("2010-09-26 06:16:29.609123");
	r.received_at = T0;
	assert_true(last_error_apply(&error, &r));
	assert_json(error, "{\"message\":\"Plugin x is not authorized\","
			   "\"received_at\":\"2010-09-26T02:16:29.609Z\",\"state\":\"failed\","
			   "\"timestamp\":\"2010-09-26 06:16:29.609123\"}");
	r.received_at++;
	assert_false(last_error_apply(&error, &r));
	result_finish(&r);
	json_decref(error);
}

static void
times_of_the_head(void **state)
{
	struct record_head head = {.host = xstrdup("h")};
	struct fact f = {0};
	struct result greeting, r;
	bool changed = false;

	result_init(&greeting);
	greeting.received_at = T0;
	assert_int_equal(record_apply(&head, NULL, &greeting, &changed), RECORD_UNCHANGED);
	assert_true(changed);
	assert_int_equal(head.created_at, T0);
	assert_int_equal(head.updated_at, T0);
	assert_null(head.last_error);

	changed = false;
	good(&r, "1", A, 500);
	assert_int_equal(record_apply(&head, &f, &r, &changed), RECORD_VALUE);
	assert_true(changed);
	assert_int_equal(head.created_at, T0);
	assert_int_equal(head.updated_at, T0 + 500);

	changed = false;
	r.received_at += 1000; /* delivered again */
	assert_int_equal(record_apply(&head, &f, &r, &changed), RECORD_UNCHANGED);
	assert_false(changed);
	assert_int_equal(head.updated_at, T0 + 500);

	greeting.received_at = T0 + 100; /* never back */
	record_apply(&head, NULL, &greeting, &changed);
	assert_int_equal(head.updated_at, T0 + 500);
	result_finish(&r);
	result_finish(&greeting);
	fact_finish(&f);
	record_head_finish(&head);
}

static void
assert_meta(const struct fact *f, const char *unparsed)
{
	struct buf out;
	json_t *meta;

	buf_init(&out, 10000);
	assert_true(fact_write_meta(&out, f));
	meta = json_loadb(out.data, out.len, 0, NULL);
	assert_non_null(meta);
	assert_string_equal(text(meta, "state"), "unparsed");
	assert_string_equal(text(meta, "unparsed"), unparsed);
	json_decref(meta);
	buf_finish(&out);
}

/* No copy is made of it, unless it has to be mended; written it is the same. */
static void
what_is_unparsed_is_borrowed(void **state)
{
	struct fact f = {.borrows = true};
	struct result r, again;

	result_init(&r);
	result_init(&again);
	r.plugin = xstrdup("ps");
	r.unparsed = xstrdup("{\"\\\n\1broken");
	assert_int_equal(fact_apply(&f, "web01", &r), RECORD_META);
	assert_ptr_equal(f.unparsed, r.unparsed);
	assert_null(json_object_get(f.meta, "unparsed"));
	assert_int_equal(jsonx_string_length(r.unparsed, strlen(r.unparsed)),
	    strlen("'{\\\"\\\\\\n\\u0001broken'"));
	assert_meta(&f, r.unparsed);
	again.plugin = xstrdup("ps");
	again.unparsed = xstrdup("x\xff");
	assert_int_equal(fact_apply(&f, "web01", &again), RECORD_META);
	assert_meta(&f, "x\xef\xbf\xbd");
	fact_finish(&f);
	result_finish(&r);
	result_finish(&again);
}

static void
a_record_as_text(void **state)
{
	static const char *const plugins[] = {"zeta", "broken", "alpha"};
	struct record_head head = {
	    .host = xstrdup("web01"), .created_at = T0, .updated_at = T0 + 1};
	struct fact facts[3] = {{0}};
	struct buf out;

	facts[0].value = xstrdup("{\"a\":0.1}");
	facts[0].value_len = 9;
	facts[0].meta = json_pack("{s:i}", "order", 3);
	facts[1].meta = json_pack("{s:s}", "state", "failed");
	facts[2].value = xstrdup("null");
	facts[2].value_len = 4;
	facts[2].meta = json_pack("{s:i}", "order", 4);
	head.last_error = json_pack("{s:s}", "message", "m\"");
	buf_init(&out, 1000);
	assert_true(record_write(&out, &head, "1-x", plugins, facts, 3));
	assert_string_equal(out.data,
	    "{\"_id\":\"web01\",\"_rev\":\"1-x\",\"system_name\":\"web01\",\"doc_type\":"
	    "\"SystemRecord\",\"created_at\":\"2010-09-26T02:16:29.609Z\",\"updated_at\":"
	    "\"2010-09-26T02:16:29.610Z\",\"last_error\":{\"message\":\"m\\\"\"},\"alpha\":null,"
	    "\"zeta\":{\"a\":0.1},\"vogeler\":{\"alpha\":{\"order\":4},\"broken\":{\"state\":"
	    "\"failed\"},\"zeta\":{\"order\":3}}}");
	buf_finish(&out);

	buf_init(&out, 1000);
	json_decref(head.last_error);
	head.last_error = NULL;
	assert_true(record_write(&out, &head, NULL, NULL, NULL, 0));
	assert_string_equal(out.data,
	    "{\"_id\":\"web01\",\"system_name\":\"web01\",\"doc_type\":\"SystemRecord\","
	    "\"created_at\":\"2010-09-26T02:16:29.609Z\",\"updated_at\":"
	    "\"2010-09-26T02:16:29.610Z\",\"vogeler\":{}}");
	buf_finish(&out);
	buf_init(&out, 150);
	assert_false(record_write(&out, &head, NULL, plugins, facts, 3));
	buf_finish(&out);
	fact_finish(&facts[0]);
	fact_finish(&facts[1]);
	fact_finish(&facts[2]);
	record_head_finish(&head);
}

/* ---- two accounts ---- */

enum { MERGE_RESULTS = 6, MERGE_ROUNDS = 4000 };

/* Results 1 to MERGE_RESULTS: a bit of bad says that it failed, one of elsewhere who got it. */
static void
apply_some(struct fact *f, unsigned int bad, unsigned int elsewhere, bool all, bool other)
{
	char text[16];

	for (int i = 1; i <= MERGE_RESULTS; i++) {
		snprintf(text, sizeof(text), "%d", i / 2); /* some repeat a value */
		if (!all && ((elsewhere >> i) & 1) != other)
			continue;
		if ((bad >> i) & 1)
			apply_failed(f, text, A, i);
		else
			apply_good(f, text, A, i);
	}
}

/* However the results were dealt to two, together they say what one would who had got all. */
static void
two_accounts_make_one(void **state)
{
	static const char *const members[] = {"order", "received_at", "hash", "state", NULL};

	srand(1);
	for (int round = 0; round < MERGE_ROUNDS; round++) {
		unsigned int bad = (unsigned int)rand(), elsewhere = (unsigned int)rand();
		struct fact want = {0}, is = {0}, other = {0};

		apply_some(&want, bad, elsewhere, true, false);
		apply_some(&is, bad, elsewhere, false, false);
		apply_some(&other, bad, elsewhere, false, true);
		fact_merge(&is, &other);
		for (size_t i = 0; members[i] != NULL; i++) {
			const json_t *a = json_object_get(is.meta, members[i]);
			const json_t *b = json_object_get(want.meta, members[i]);

			assert_true(a == b || json_equal(a, b));
		}
		assert_int_equal(is.value == NULL, want.value == NULL);
		if (want.value != NULL)
			assert_string_equal(is.value, want.value);
		assert_false(fact_merge(&is, &other)); /* once is enough */
		fact_finish(&want);
		fact_finish(&is);
		fact_finish(&other);
	}
}

/* Orders of two machines say nothing about each other; and what others have put there stays. */
static void
accounts_that_orders_do_not_compare(void **state)
{
	struct fact f = {0}, other = {0};
	struct result r;

	good(&r, "1", A, 100);
	apply(&f, &r);
	good(&r, "2", B, 50);
	r.received_at = T0 + 200;
	apply(&other, &r);
	assert_true(fact_merge(&f, &other));
	assert_string_equal(f.value, "2");
	assert_false(fact_merge(&f, &other));
	fact_finish(&other);
	other = (struct fact){.value = xstrdup("\"by hand\""), .value_len = 9};
	assert_false(fact_merge(&f, &other));
	assert_true(fact_merge(&other, &f));
	assert_string_equal(other.value, "2");
	fact_finish(&f);
	fact_finish(&other);
}

static void
the_later_last_error_counts(void **state)
{
	json_t *mine = json_pack("{s:s,s:I,s:s}", "timestamp", "2010-09-26T02:16:29.000Z", "order",
	    (json_int_t)7, "machine_id", A);
	json_t *newer = json_pack("{s:s,s:I,s:s}", "timestamp", "2010-09-26T02:16:20.000Z", "order",
	    (json_int_t)8, "machine_id", A);
	json_t *later = json_pack("{s:s}", "timestamp", "2010-09-26T02:16:21.000Z");
	json_t *none = NULL;

	assert_true(last_error_merge(&mine, newer));
	assert_false(last_error_merge(&mine, newer));
	assert_true(last_error_merge(&mine, later));
	assert_false(last_error_merge(&mine, NULL));
	assert_true(last_error_merge(&none, later));
	json_decref(mine);
	json_decref(newer);
	json_decref(later);
	json_decref(none);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(everything_a_good_result_says),
	    cmocka_unit_test(nothing_is_made_up),
	    cmocka_unit_test(order_decides),
	    cmocka_unit_test(another_machine_is_not_compared),
	    cmocka_unit_test(two_machines_under_one_name),
	    cmocka_unit_test(no_machine_id_is_no_machine),
	    cmocka_unit_test(duplicates_change_nothing),
	    cmocka_unit_test(a_replayed_sequence_ends_the_same),
	    cmocka_unit_test(the_same_value_again),
	    cmocka_unit_test(a_failure_keeps_the_value),
	    cmocka_unit_test(an_unparsed_value_is_a_failure),
	    cmocka_unit_test(what_was_no_run_leaves_the_fact),
	    cmocka_unit_test(last_error_is_the_latest),
	    cmocka_unit_test(last_error_as_the_host_sent_it),
	    cmocka_unit_test(times_of_the_head),
	    cmocka_unit_test(what_is_unparsed_is_borrowed),
	    cmocka_unit_test(a_record_as_text),
	    cmocka_unit_test(two_accounts_make_one),
	    cmocka_unit_test(accounts_that_orders_do_not_compare),
	    cmocka_unit_test(the_later_last_error_counts),
	};

	ident_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
