/* Jobs and outcomes as JSON and back, and the fold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/base/buf.h"
#include "shared/base/xalloc.h"
#include "shared/store/ledger.h"
#include "shared/store/record.h"
#include "shared/wire/jsonx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define T0 INT64_C(1285467389609) /* 2010-09-26T02:16:29.609Z */

static json_t *
parse(const char *text)
{
	char err[256] = "";
	json_t *json = jsonx_parse(text, strlen(text), NULL, err, sizeof(err));

	assert_string_equal(err, "");
	return json;
}

static void
assert_json(json_t *is, const char *want_text)
{
	json_t *want = parse(want_text);

	if (!json_equal(is, want)) {
		char *text = json_dumps(is, JSON_SORT_KEYS);

		print_error("is:        %s\nshould be: %s\n", text, want_text);
		free(text);
		fail();
	}
	json_decref(want);
	json_decref(is);
}

/* ---- names ---- */

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
ids(void **state)
{
	char longest[65];

	memset(longest, 'a', sizeof(longest) - 1);
	longest[63] = '\0';
	assert_true(ledger_id_ok("0192f0c1-7b7a-7000-8000-0123456789ab"));
	assert_true(ledger_id_ok(longest));
	longest[63] = 'a';
	longest[64] = '\0';
	assert_false(ledger_id_ok(longest));
	assert_false(ledger_id_ok(""));
	assert_false(ledger_id_ok("a/b"));
	assert_false(ledger_id_ok("a b"));
	assert_false(ledger_id_ok("\xc3\xa9"));
}

/* ---- jobs ---- */

static void
a_job_as_json(void **state)
{
	static const char text[] =
	    "{\"doc_type\":\"Job\",\"id\":\"j-1\",\"plugin\":\"facter\",\"user\":\"ops\","
	    "\"login\":\"ann\",\"login_host\":\"admin01\",\"target\":\"web*\",\"rerun_of\":\"j-0\",\"sent_at\":\"2010-09-26T02:16:29.609Z\","
	    "\"not_after\":\"2010-10-03T02:16:29.609Z\",\"confirms\":true,\"hosts\":[\"web1\",\"web2\"]}";
	json_t *json = parse(text);
	char err[128];
	struct job j;

	assert_true(job_from_json(json, &j, err, sizeof(err)));
	json_decref(json);
	assert_string_equal(j.id, "j-1");
	assert_string_equal(j.plugin, "facter");
	assert_string_equal(j.user, "ops");
	assert_string_equal(j.login, "ann");
	assert_string_equal(j.login_host, "admin01");
	assert_string_equal(j.target, "web*");
	assert_string_equal(j.rerun_of, "j-0");
	assert_int_equal(j.sent_at, T0);
	assert_int_equal(j.not_after, T0 + INT64_C(7) * 24 * 3600 * 1000);
	assert_int_equal(j.n_hosts, 2);
	assert_json(job_to_json(&j), text);
	job_finish(&j);
}

static void
a_job_of_few_words(void **state)
{
	json_t *json = parse("{\"_id\":\"job/a\",\"_rev\":\"1-x\",\"id\":\"a\",\"plugin\":\"p\","
			     "\"hosts\":[\"c\",\"a\",\"b\",\"a\",\"c\"]}");
	char err[128];
	struct job j;

	assert_true(job_from_json(json, &j, err, sizeof(err)));
	json_decref(json);
	assert_null(j.user);
	assert_null(job_sender(&j)); /* as before 0.1.1 */
	assert_null(j.target);
	assert_null(j.rerun_of);
	assert_int_equal(j.sent_at, 0);
	assert_int_equal(j.not_after, 0);
	assert_json(job_to_json(&j),
	    "{\"doc_type\":\"Job\",\"id\":\"a\",\"plugin\":\"p\",\"hosts\":[\"a\",\"b\",\"c\"]}");
	job_finish(&j);
}

static void
what_is_no_job(void **state)
{
	static const char *const texts[] = {"[]", "{}", "{\"id\":\"a\",\"hosts\":[]}",
	    "{\"id\":\"a/b\",\"plugin\":\"p\",\"hosts\":[]}", "{\"id\":\"a\",\"plugin\":\"p\"}",
	    "{\"id\":\"a\",\"plugin\":\"p\",\"hosts\":{}}",
	    "{\"id\":\"a\",\"plugin\":\"p\",\"hosts\":[1]}",
	    "{\"id\":\"a\",\"plugin\":\"p\",\"hosts\":[\"good\",\"a b\"]}",
	    "{\"id\":\"a\",\"plugin\":\"p\",\"hosts\":[],\"sent_at\":\"now\"}",
	    "{\"id\":\"a\",\"plugin\":\"p\",\"hosts\":[],\"not_after\":12}"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		json_t *json = parse(texts[i]);
		char err[128] = "";
		struct job j;

		if (job_from_json(json, &j, err, sizeof(err)))
			fail_msg("%s was taken", texts[i]);
		assert_string_not_equal(err, "");
		assert_null(j.id);
		json_decref(json);
	}
}

/* ---- outcomes ---- */

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

/* ---- the fold ---- */

enum { N_HOSTS = 8 };
static char names[N_HOSTS][2] = {"a", "b", "c", "d", "e", "f", "g", "h"};
static char *hosts[N_HOSTS];

static struct job
job_of_hosts(int64_t not_after)
{
	for (size_t i = 0; i < N_HOSTS; i++)
		hosts[i] = names[i];
	return (struct job){.not_after = not_after, .hosts = hosts, .n_hosts = N_HOSTS};
}

static struct outcome
outcome(const char *host, enum outcome_state s, int64_t order)
{
	struct outcome o;

	outcome_init(&o);
	o.host = host;
	o.state = s;
	o.order = order;
	return o;
}

static bool
add(struct fold *f, const char *host, enum outcome_state s, int64_t order)
{
	struct outcome o = outcome(host, s, order);

	return fold_add(f, &o);
}

static struct fold_counts
count(const struct fold *f, int64_t now)
{
	struct fold_counts c;
	size_t sum = 0;

	fold_count(f, now, &c);
	for (int i = 0; i < OUTCOME_N_STATES; i++)
		sum += c.by[i];
	assert_int_equal(sum, c.targets);
	return c;
}

static void
silence_is_queued_then_expired(void **state)
{
	struct job j = job_of_hosts(1000);
	struct fold *f = fold_create(&j);
	struct fold_counts c = count(f, 1000);

	assert_int_equal(c.targets, N_HOSTS);
	assert_int_equal(c.by[OUTCOME_QUEUED], N_HOSTS);
	assert_int_equal(c.open, N_HOSTS);
	assert_true(add(f, "a", OUTCOME_OK, 1));
	c = count(f, 1001);
	assert_int_equal(c.by[OUTCOME_OK], 1);
	assert_int_equal(c.by[OUTCOME_EXPIRED], N_HOSTS - 1);
	assert_int_equal(c.open, 0);
	fold_destroy(f);
	j.not_after = 0;
	f = fold_create(&j);
	c = count(f, INT64_MAX);
	assert_int_equal(c.by[OUTCOME_QUEUED], N_HOSTS);
	fold_destroy(f);
}

/* The later row counts before the earlier one, whichever comes first. */
static void
which_outcome_counts(void **state)
{
	static const struct {
		enum outcome_state state;
		int64_t order;
		const char *response_id;
	} rows[] = {
	    /* each is later than the one above it, which would let that one count */
	    {OUTCOME_UNSENT, 0, NULL},
	    {OUTCOME_QUEUED, 0, NULL},
	    {OUTCOME_CANCELLED, 0, NULL}, /* of the runner */
	    {OUTCOME_UNROUTABLE, 0, NULL},
	    {OUTCOME_EXPIRED, 0, "j.a"},
	    {OUTCOME_EXPIRED, 9, "j.a"},
	    {OUTCOME_CANCELLED, 0, "j.a"}, /* of the host */
	    {OUTCOME_CANCELLED, 7, "j.a"},
	    {OUTCOME_SUPERSEDED, 0, "j.a"},
	    {OUTCOME_OK, 0, "j.a"},
	    {OUTCOME_SUPERSEDED, 1, "j.a"},
	    {OUTCOME_REFUSED, 1, "j.a"},
	    {OUTCOME_TIMEOUT, 1, "j.a"},
	    {OUTCOME_FAILED, 1, "j.a"},
	    {OUTCOME_OK, 1, "j.a"},
	    {OUTCOME_FAILED, 2, "j.a"},
	};
	struct outcome given[sizeof(rows) / sizeof(rows[0])];
	struct job j = job_of_hosts(0);

	j.confirms = true;
	j.n_hosts = 1;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		given[i] = outcome("a", rows[i].state, rows[i].order);
		given[i].response_id = rows[i].response_id;
		given[i].at = (int64_t)i + 1;
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
			struct fold *f = fold_create(&j);
			struct fold_counts c;

			assert_true(fold_add(f, &given[i]));
			assert_int_equal(fold_add(f, &given[k]), k > i);
			c = count(f, 2);
			assert_int_equal(c.by[rows[i > k ? i : k].state], 1);
			fold_destroy(f);
		}
	}
}

/* Said of a command that the broker has confirmed: nothing else is queued, and nothing else can
 * expire. */
static void
silence_is_unsent_without_the_runners_note(void **state)
{
	struct job j = job_of_hosts(1000);
	struct fold_counts c;
	struct fold *f;
	struct outcome o;

	j.confirms = true;
	f = fold_create(&j);
	c = count(f, 1000);
	assert_int_equal(c.by[OUTCOME_UNSENT], N_HOSTS);
	assert_int_equal(c.open, N_HOSTS); /* the runner may be about to note it */
	assert_true(add(f, "a", OUTCOME_QUEUED, 0));
	assert_true(add(f, "b", OUTCOME_OK, 1));
	o = outcome("c", OUTCOME_UNSENT, 0);
	o.at = 500;
	o.why = "refused";
	assert_true(fold_add(f, &o));
	c = count(f, 1000);
	assert_int_equal(c.by[OUTCOME_QUEUED], 1);
	assert_int_equal(c.by[OUTCOME_UNSENT], N_HOSTS - 2);
	assert_int_equal(c.open, N_HOSTS - 2); /* that of c is known */
	c = count(f, 1001);
	assert_int_equal(c.by[OUTCOME_EXPIRED], 1);
	assert_int_equal(c.by[OUTCOME_UNSENT], N_HOSTS - 2);
	assert_int_equal(c.open, N_HOSTS - 3);
	assert_int_equal(count(f, 1000 + 61000).open, 0);
	assert_true(add(f, "c", OUTCOME_OK, 1)); /* it was on its way after all */
	assert_int_equal(count(f, 0).by[OUTCOME_OK], 2);
	fold_destroy(f);
}

static void
one_note_may_stand_for_all(void **state)
{
	struct job j = job_of_hosts(1000);
	struct fold_counts c;
	struct fold *f;

	j.confirms = true;
	f = fold_create(&j);
	assert_true(add(f, "a", OUTCOME_OK, 1));
	assert_true(add(f, "b", OUTCOME_UNROUTABLE, 0));
	add(f, OUTCOME_EVERY_HOST, OUTCOME_QUEUED, 0);
	c = count(f, 1000);
	assert_int_equal(c.by[OUTCOME_QUEUED], N_HOSTS - 2);
	assert_int_equal(c.by[OUTCOME_UNROUTABLE], 1);
	assert_int_equal(c.others, 0);
	c = count(f, 1001);
	assert_int_equal(c.by[OUTCOME_EXPIRED], N_HOSTS - 2);
	add(f, OUTCOME_EVERY_HOST, OUTCOME_OK, 0); /* forged: of that host alone QUEUED is taken */
	assert_int_equal(count(f, 0).by[OUTCOME_OK], 1);
	fold_destroy(f);
}

static void
what_the_fold_does_not_take(void **state)
{
	struct job j = job_of_hosts(0);
	struct fold *f = fold_create(&j);

	assert_false(add(f, "a", OUTCOME_EXPIRED, 0)); /* nobody's word */
	assert_false(add(f, "x", OUTCOME_QUEUED, 0));
	assert_false(add(f, "x", OUTCOME_UNSENT, 0));
	assert_false(add(f, "x", OUTCOME_UNROUTABLE, 0));
	assert_false(add(f, "x", OUTCOME_CANCELLED, 0));
	assert_int_equal(count(f, 0).others, 0);
	assert_int_equal(count(f, 0).by[OUTCOME_QUEUED], N_HOSTS);
	assert_true(add(f, "x", OUTCOME_OK, 1));
	assert_false(add(f, "x", OUTCOME_OK, 1));
	assert_int_equal(count(f, 0).others, 1);
	assert_int_equal(count(f, 0).by[OUTCOME_QUEUED], N_HOSTS);
	fold_destroy(f);
}

static void
the_earlier_of_two_alike(void **state)
{
	struct job j = job_of_hosts(0);
	struct fold *f = fold_create(&j);
	struct outcome o = outcome("a", OUTCOME_OK, 3);

	o.at = 20;
	assert_true(fold_add(f, &o));
	o.at = 10;
	assert_false(fold_add(f, &o)); /* the same news, brought twice */
	o.why = "else";
	o.at = 9;
	assert_true(fold_add(f, &o));
	fold_destroy(f);
}

/* --- any order, any repetition --- */

enum { OUTCOMES = 60, ROUNDS = 300, SHUFFLES = 4 };

static uint32_t seed;

static uint32_t
rnd(uint32_t below)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % below;
}

static struct outcome
random_outcome(void)
{
	static const char *const some[] = {
	    "a", "b", "c", "d", "e", "f", "g", "h", "x", "y", OUTCOME_EVERY_HOST};
	static const char *const whys[] = {NULL, "one", "two"};
	struct outcome o;

	outcome_init(&o);
	o.host = some[rnd(rnd(30) == 0 ? 11 : 10)];
	o.state = (enum outcome_state)rnd(OUTCOME_N_STATES);
	o.order = rnd(4);
	o.at = rnd(3);
	o.why = whys[rnd(3)];
	o.response_id = whys[rnd(3)];
	o.duration_ms = (int64_t)rnd(3) - 1;
	o.exit_status = (int)rnd(3) - 1;
	return o;
}

static void
write_stand(const struct outcome *o, bool target, void *arg)
{
	json_t *all = arg, *one = outcome_to_json(o);

	json_object_set_new(one, "target", json_boolean(target));
	json_array_append_new(all, one);
}

/* All that the fold says, of these outcomes in random order, each perhaps several times. */
static json_t *
fold_shuffled(const struct outcome *list, int64_t now, bool confirms)
{
	struct job j = job_of_hosts(5);
	struct fold *f;
	json_t *all = json_array();
	bool given[OUTCOMES] = {false};
	size_t left = OUTCOMES;

	j.confirms = confirms;
	f = fold_create(&j);
	while (left > 0) {
		size_t i = rnd(OUTCOMES);

		fold_add(f, &list[i]);
		left -= !given[i];
		given[i] = true;
		assert_int_equal(count(f, now).targets, N_HOSTS);
	}
	fold_each(f, now, write_stand, all);
	fold_destroy(f);
	return all;
}

static void
order_and_repetition_are_no_matter(void **state)
{
	for (uint32_t round = 0; round < ROUNDS; round++) {
		struct outcome list[OUTCOMES];
		json_t *first;

		seed = round;
		for (size_t i = 0; i < OUTCOMES; i++)
			list[i] = random_outcome();
		first = fold_shuffled(list, 4 + round % 3, round % 2 == 0);
		for (int i = 0; i < SHUFFLES; i++) {
			json_t *again = fold_shuffled(list, 4 + round % 3, round % 2 == 0);

			if (!json_equal(first, again))
				fail_msg("round %u differs", round);
			json_decref(again);
		}
		json_decref(first);
	}
}

static void
note_host(const struct outcome *o, bool target, void *arg)
{
	char *text = arg;
	size_t len = strlen(text);

	snprintf(text + len, 128 - len, "%s:%s%s ", o->host, outcome_state_name(o->state),
	    target ? "" : "!");
}

static void
each_in_order_of_name(void **state)
{
	struct job j = job_of_hosts(10);
	struct fold *f;
	char text[128] = "";

	j.n_hosts = 3;
	f = fold_create(&j);
	add(f, "z", OUTCOME_OK, 1);
	add(f, "0", OUTCOME_FAILED, 1);
	add(f, "b", OUTCOME_TIMEOUT, 1);
	fold_each(f, 11, note_host, text);
	assert_string_equal(text, "a:expired b:timeout c:expired 0:failed! z:ok! ");
	fold_destroy(f);
	fold_destroy(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(states_have_names),
	    cmocka_unit_test(ids),
	    cmocka_unit_test(a_job_as_json),
	    cmocka_unit_test(a_job_of_few_words),
	    cmocka_unit_test(what_is_no_job),
	    cmocka_unit_test(an_outcome_as_json),
	    cmocka_unit_test(what_is_no_outcome),
	    cmocka_unit_test(why_is_kept_short),
	    cmocka_unit_test(what_results_say),
	    cmocka_unit_test(results_of_no_job),
	    cmocka_unit_test(silence_is_queued_then_expired),
	    cmocka_unit_test(which_outcome_counts),
	    cmocka_unit_test(silence_is_unsent_without_the_runners_note),
	    cmocka_unit_test(one_note_may_stand_for_all),
	    cmocka_unit_test(what_the_fold_does_not_take),
	    cmocka_unit_test(the_earlier_of_two_alike),
	    cmocka_unit_test(order_and_repetition_are_no_matter),
	    cmocka_unit_test(each_in_order_of_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
