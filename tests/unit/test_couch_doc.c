/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/buf.h"
#include "shared/base/trouble.h"
#include "shared/base/xalloc.h"
#include "shared/store/couch/couch_doc.h"
#include "shared/store/store.h"

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

/* As the 2010 server wrote it: no vogeler key, times without a fraction; and what other people put
 * beside it. */
#define OLD_RECORD                                                                                  \
	"{\"_id\":\"web01\",\"_rev\":\"7-abc\",\"doc_type\":\"SystemRecord\","                      \
	"\"system_name\":\"web01\",\"created_at\":\"2010-09-26T06:16:29Z\","                        \
	"\"updated_at\":\"2010-09-27T06:16:29Z\",\"rpm\":[\"b-1\",\"a-2\"],"                        \
	"\"facter\":{\"z\":1.0,\"a\":1e2},\"syskey\":\"odd\",\"owner\":\"\\u00e9\","                \
	"\"big\":[18446744073709551616, 1],\"last_error\":{\"message\":\"m\",\"timestamp\":\"t\"}," \
	"\"_attachments\":{\"a.txt\":{\"stub\":true}}}"

static struct couch_doc *
parse(const char *text)
{
	struct trouble why;
	struct jspan s;
	struct couch_doc *d;

	assert_true(jspan_value(text, strlen(text), &s));
	d = couch_doc_parse("web01", s, &why);
	if (d == NULL)
		fail_msg(TROUBLE_FMT, TROUBLE_ARGS(&why));
	return d;
}

static void
assert_refused(const char *text, const char *part)
{
	char words[TROUBLE_WHAT_SIZE + TROUBLE_CURE_SIZE];
	struct trouble why;
	struct jspan s;

	assert_true(jspan_value(text, strlen(text), &s));
	assert_null(couch_doc_parse("web01", s, &why));
	assert_non_null(strstr(trouble_format(&why, words, sizeof(words)), part));
}

static void
assert_written(const struct couch_doc *d, const char *want)
{
	struct buf out;

	buf_init(&out, 1 << 20);
	assert_true(couch_doc_write(&out, d));
	assert_string_equal(out.data, want);
	buf_finish(&out);
}

static struct result
result_of(const char *plugin, const char *value, int64_t order)
{
	struct result r;

	result_init(&r);
	r.plugin = xstrdup(plugin);
	r.value = xstrdup(value);
	r.value_len = strlen(value);
	ident_hash(r.hash, value, r.value_len);
	r.format = WIRE_JSON;
	r.meta.order = order;
	r.meta.machine_id = xstrdup("m1");
	r.received_at = 1285481789609 + order;
	return r;
}

static enum couch_change
apply(struct couch_doc *d, struct result *r)
{
	struct store_write w = {.host = d->head.host, .results = &r, .n = 1};

	return couch_doc_apply(d, &w);
}

static void
keeps_what_2010_and_others_wrote(void **state)
{
	struct couch_doc *d = parse(OLD_RECORD);
	struct result r = result_of("facter", "{\"a\":2}", 5);
	static const char want[] =
	    "{\"_id\":\"web01\",\"_rev\":\"7-abc\",\"system_name\":\"web01\","
	    "\"doc_type\":\"SystemRecord\",\"created_at\":\"2010-09-26T06:16:29.000Z\","
	    "\"updated_at\":\"2010-09-27T06:16:29.000Z\",\"last_error\":{\"message\":\"m\","
	    "\"timestamp\":\"t\"},\"_attachments\":{\"a.txt\":{\"stub\":true}},"
	    "\"big\":[18446744073709551616, 1],\"facter\":{\"a\":100.0,\"z\":1.0},"
	    "\"owner\":\"\xc3\xa9\",\"rpm\":[\"b-1\",\"a-2\"],\"syskey\":\"odd\",\"vogeler\":{}}";
	struct buf out;

	(void)state;
	assert_written(d, want);
	assert_true(apply(d, &r));
	buf_init(&out, 1 << 20);
	assert_true(couch_doc_write(&out, d));
	assert_non_null(strstr(out.data, "\"facter\":{\"a\":2},\"owner\""));
	assert_non_null(strstr(out.data, "\"rpm\":[\"b-1\",\"a-2\"]"));
	assert_non_null(strstr(out.data, "\"vogeler\":{\"facter\":{"));
	buf_finish(&out);
	result_finish(&r);
	couch_doc_destroy(d);
}

/* What is written and read back is the same, and the same result again changes nothing; but it
 * is written once more, since what was read proves nothing. */
static void
reads_back_what_it_wrote(void **state)
{
	struct couch_doc *d = couch_doc_create("web01"), *again;
	struct result a = result_of("a", "{\"big\":\"18446744073709551616\",\"r\":0.1}", 7);
	struct result b = result_of("b", "null", 8);
	struct buf first, second;

	(void)state;
	assert_true(apply(d, &a));
	assert_true(apply(d, &b));
	couch_doc_set_rev(d, "1-x");
	buf_init(&first, 1 << 20);
	buf_init(&second, 1 << 20);
	assert_true(couch_doc_write(&first, d));
	again = parse(first.data);
	assert_int_equal(apply(again, &a), COUCH_FRESH);
	again->proven = true;
	again->change = COUCH_SAME;
	assert_int_equal(apply(again, &a), COUCH_SAME);
	assert_int_equal(apply(again, &b), COUCH_SAME);
	assert_true(couch_doc_write(&second, again));
	assert_string_equal(first.data, second.data);
	assert_string_equal(again->rev, "1-x");
	buf_finish(&first);
	buf_finish(&second);
	result_finish(&a);
	result_finish(&b);
	couch_doc_destroy(d);
	couch_doc_destroy(again);
}

/* Who edited it is told what brings the host's answers back into the record. */
static void
a_member_that_somebody_spoiled_has_a_cure(void **state)
{
	assert_refused("{\"_id\":\"web01\",\"_rev\":\"1-a\",\"vogeler\":\"oops\"}",
	    "member \"vogeler\" that cannot be read; cure: remove that member there");
}

static void
a_greeting_makes_a_host_known(void **state)
{
	struct couch_doc *d = couch_doc_create("web01");
	struct result r;

	(void)state;
	result_init(&r);
	r.received_at = 1285481789609;
	assert_true(apply(d, &r));
	assert_written(d,
	    "{\"_id\":\"web01\",\"system_name\":\"web01\",\"doc_type\":\"SystemRecord\","
	    "\"created_at\":\"2010-09-26T06:16:29.609Z\","
	    "\"updated_at\":\"2010-09-26T06:16:29.609Z\",\"vogeler\":{}}");
	result_finish(&r);
	couch_doc_destroy(d);
}

/* jsonx refuses nesting over 64 and repeated keys; CouchDB does not. */
static void
keeps_what_we_would_refuse(void **state)
{
	char deep[512], text[1024], want[1024];
	struct couch_doc *d;

	(void)state;
	memset(deep, '[', 200);
	memset(deep + 200, ']', 200);
	deep[400] = '\0';
	snprintf(text, sizeof(text),
	    "{\"_id\":\"web01\",\"_rev\":\"1-a\",\"deep\":%s,\"twice\":{\"a\":1,\"a\":2},"
	    "\"nul\":\"a\\u0000b\"}",
	    deep);
	d = parse(text);
	snprintf(want, sizeof(want), "\"deep\":%s", deep);
	struct buf out;
	buf_init(&out, 1 << 20);
	assert_true(couch_doc_write(&out, d));
	assert_non_null(strstr(out.data, want));
	assert_non_null(strstr(out.data, "\"twice\":{\"a\":1,\"a\":2}"));
	assert_non_null(strstr(out.data, "\"nul\":\"a\\u0000b\""));
	buf_finish(&out);
	couch_doc_destroy(d);
}

static void
refuses_what_it_cannot_keep(void **state)
{
	(void)state;
	assert_refused("[]", "not a document");
	assert_refused("{\"_id\":\"web01\"}", "not a document"); /* no revision */
	assert_refused("{\"_rev\":\"1-a\",\"a\":1 2}", "not a document");
	assert_refused("{\"_rev\":\"1-a\",\"a\":xyz}", "\"a\"");
	assert_refused("{\"_rev\":\"1-a\",\"a\":[}}", "\"a\"");
	assert_refused("{\"_rev\":\"1-a\",\"vogeler\":7}", "\"vogeler\"");
	assert_refused("{\"_rev\":7}", "\"_rev\"");
	assert_refused("{\"_rev\":\"1-a\",\"a\\u0000b\":1}", "u0000");
}

static void
the_last_of_repeated_members_counts(void **state)
{
	struct couch_doc *d = parse("{\"_rev\":\"1-a\",\"p\":1,\"_rev\":\"2-b\",\"p\":[2]}");

	(void)state;
	assert_string_equal(d->rev, "2-b");
	assert_int_equal(d->n, 1);
	assert_string_equal(d->facts[0].value, "[2]");
	couch_doc_destroy(d);
}

static void
as_jansson_value(void **state)
{
	struct trouble why;
	struct jspan s;
	json_t *j;

	(void)state;
	assert_true(jspan_value(OLD_RECORD, strlen(OLD_RECORD), &s));
	j = couch_doc_json(s, &why);
	assert_non_null(j);
	assert_int_equal(json_object_size(j), 13);
	assert_true(json_is_real(json_object_get(json_object_get(j, "facter"), "z")));
	json_decref(j);
	assert_true(jspan_value("{\"a\":xyz}", 9, &s));
	assert_null(couch_doc_json(s, &why));
	assert_true(jspan_value("[1]", 3, &s));
	assert_null(couch_doc_json(s, &why));
}

#define RECORD(number)                                                                             \
	"{\"_id\":\"web01\",\"_rev\":\"5-r\",\"updated_at\":\"2010-09-26T06:16:29.000Z\",\"a\":1," \
	"\"b\":2,\"vogeler\":{" number "\"a\":{\"order\":1,\"hash\":\"x\"},"                       \
	"\"b\":{\"order\":1,\"hash\":\"y\"}}}"
#define MARK(rest)                                                                                   \
	"{\"_id\":\"mark/web01\",\"_rev\":\"2-m\",\"updated_at\":\"2010-09-26T06:17:00.000Z\"," rest \
	"\"vogeler\":{\"a\":{\"order\":9,\"hash\":\"x\"},\"b\":{\"order\":9,\"hash\":\"z\"},"        \
	"\"gone\":{\"order\":9}}}"

static json_int_t
order_in(const struct couch_doc *d, size_t i)
{
	return json_integer_value(json_object_get(d->facts[i].meta, "order"));
}

static void
a_mark_counts_for_its_record_and_value(void **state)
{
	static const struct {
		const char *record, *mark;
		bool counts, is_open, takes_mark, proven_open;
	} rows[] = {
	    {RECORD("\"_mark\":3,"), MARK("\"of\":3,"), true, true, true, true},
	    {RECORD("\"_mark\":3,"), MARK("\"of\":3,\"sealed\":true,"), true, true, false, false},
	    {RECORD("\"_mark\":3,"), MARK("\"of\":2,\"sealed\":true,"), false, true, true, true},
	    {RECORD("\"_mark\":3,"), MARK("\"of\":4,"), false, false, false, false},
	    {RECORD(""), MARK("\"of\":3,"), false, false, false, false},
	    {RECORD("\"_mark\":\"3\","), MARK("\"of\":3,"), false, false, false, false},
	    {RECORD("\"_mark\":3,"), MARK(""), false, true, true, true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct couch_doc *d = parse(rows[i].record);
		struct couch_mark m, shown;
		struct jspan s;
		struct trouble why;
		json_t *rec, *metas;
		const char *at;

		assert_true(jspan_value(rows[i].mark, strlen(rows[i].mark), &s));
		assert_true(couch_mark_parse(s, &m));
		assert_true(couch_mark_parse(s, &shown));
		assert_true(couch_doc_take_mark(d, &m));
		assert_string_equal(d->mark.rev, "2-m");
		assert_int_equal(order_in(d, 0), rows[i].counts ? 9 : 1);
		assert_int_equal(order_in(d, 1), 1); /* of another value */
		assert_int_equal(d->n, 2);
		assert_int_equal(couch_doc_is_open(d), rows[i].is_open);
		assert_false(couch_doc_takes_mark(d));
		d->proven = true;
		assert_int_equal(couch_doc_takes_mark(d), rows[i].takes_mark);
		assert_int_equal(couch_doc_is_proven(d), !rows[i].counts);
		d->mark.proven = true;
		assert_true(couch_doc_is_proven(d));
		assert_int_equal(couch_doc_is_open(d), rows[i].proven_open);
		couch_doc_destroy(d);

		assert_true(jspan_value(rows[i].record, strlen(rows[i].record), &s));
		rec = couch_doc_json(s, &why);
		couch_doc_show(rec, &shown);
		metas = json_object_get(rec, "vogeler");
		at = json_string_value(json_object_get(rec, "updated_at"));
		assert_int_equal(json_object_size(metas), 2);
		assert_int_equal(
		    json_integer_value(json_object_get(json_object_get(metas, "a"), "order")),
		    rows[i].counts ? 9 : 1);
		assert_int_equal(
		    json_integer_value(json_object_get(json_object_get(metas, "b"), "order")), 1);
		assert_non_null(strstr(at, rows[i].counts ? "06:17" : "06:16"));
		assert_null(json_object_get(rec, "_rev"));
		couch_mark_finish(&shown);
		json_decref(rec);
	}
}

/* A failure, and its end, are in the record itself, for whoever reads it without its mark. */
static void
what_only_confirms_is_told_from_what_changes(void **state)
{
	struct couch_doc *d = couch_doc_create("web01");
	struct result good = result_of("p", "1", 1), other = result_of("p", "2", 20), greeting;

	(void)state;
	assert_int_equal(apply(d, &good), COUCH_CHANGED);
	couch_doc_set_rev(d, "1-x");
	assert_int_equal(apply(d, &good), COUCH_SAME);
	good.meta.order = 10;
	assert_int_equal(apply(d, &good), COUCH_FRESH);
	couch_doc_set_rev(d, "2-x");
	good.meta.order = 5; /* an older one is counted */
	assert_int_equal(apply(d, &good), COUCH_FRESH);
	couch_doc_set_rev(d, "3-x");
	result_init(&greeting);
	greeting.received_at = good.received_at + 1000;
	assert_int_equal(apply(d, &greeting), COUCH_FRESH);
	couch_doc_set_rev(d, "4-x");
	good.meta.order = 11;
	good.meta.state = WIRE_FAILED;
	assert_int_equal(apply(d, &good), COUCH_CHANGED);
	couch_doc_set_rev(d, "5-x");
	good.meta.order = 12;
	good.meta.state = WIRE_OK;
	assert_int_equal(apply(d, &good), COUCH_CHANGED);
	couch_doc_set_rev(d, "6-x");
	assert_int_equal(apply(d, &other), COUCH_CHANGED);
	result_finish(&good);
	result_finish(&other);
	result_finish(&greeting);
	couch_doc_destroy(d);
}

/* In Fauxton, say: the hash that is stored is of no value that is there. */
static void
what_was_edited_by_hand_is_put_right(void **state)
{
	static const char *const edits[] = {"2", "[2,1]", NULL};

	(void)state;
	for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
		struct couch_doc *d = couch_doc_create("web01"), *read;
		struct result was = result_of("p", "[1,2]", 1), now = result_of("p", "[1,2]", 2);
		struct store_write w = {
		    .host = "web01", .results = &(struct result *){&now}, .n = 1};
		struct buf out;
		json_t *rec, *metas;
		char *text;

		assert_int_equal(apply(d, &was), COUCH_CHANGED);
		couch_doc_set_rev(d, "1-x");
		buf_init(&out, 1 << 20);
		assert_true(couch_doc_write(&out, d));
		rec = json_loads(out.data, 0, NULL);
		if (edits[i] != NULL)
			json_object_set_new(rec, "p", json_loads(edits[i], JSON_DECODE_ANY, NULL));
		else
			json_object_del(rec, "p");
		text = json_dumps(rec, 0);
		read = parse(text);
		read->proven = true;
		read->number = 1;
		assert_false(couch_doc_confirms(read, &w));
		/* By the very result that had been stored, too. */
		assert_int_equal(apply(read, i == 0 ? &was : &now), COUCH_CHANGED);
		buf_reset(&out);
		assert_true(couch_doc_write(&out, read));
		assert_non_null(strstr(out.data, "\"p\":[1,2],"));
		assert_non_null(strstr(out.data, "\"changed_at\":\"2010-09-26T06:16:29.610Z\""));
		couch_doc_set_rev(read, "3-x");
		assert_int_equal(apply(read, &now), i == 0 ? COUCH_FRESH : COUCH_SAME);

		couch_doc_show_edited(rec);
		metas = json_object_get(rec, "vogeler");
		assert_true(json_is_true(json_object_get(json_object_get(metas, "p"), "edited")));
		json_object_set_new(rec, "p", json_loads("[1,2]", 0, NULL));
		json_object_del(json_object_get(metas, "p"), "edited");
		couch_doc_show_edited(rec);
		assert_null(json_object_get(json_object_get(metas, "p"), "edited"));
		json_decref(rec);
		free(text);
		buf_finish(&out);
		result_finish(&was);
		result_finish(&now);
		couch_doc_destroy(d);
		couch_doc_destroy(read);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(keeps_what_2010_and_others_wrote),
	    cmocka_unit_test(reads_back_what_it_wrote),
	    cmocka_unit_test(a_member_that_somebody_spoiled_has_a_cure),
	    cmocka_unit_test(a_greeting_makes_a_host_known),
	    cmocka_unit_test(keeps_what_we_would_refuse),
	    cmocka_unit_test(refuses_what_it_cannot_keep),
	    cmocka_unit_test(the_last_of_repeated_members_counts),
	    cmocka_unit_test(as_jansson_value),
	    cmocka_unit_test(a_mark_counts_for_its_record_and_value),
	    cmocka_unit_test(what_only_confirms_is_told_from_what_changes),
	    cmocka_unit_test(what_was_edited_by_hand_is_put_right),
	};

	ident_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
