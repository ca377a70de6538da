/* SPDX-License-Identifier: Apache-2.0 */
/* How a job's end is told: the exact text, the members of the JSON, the exit status. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "runner/print/events.h"
#include "runner/print/summary.h"
#include "shared/base/xalloc.h"
#include "shared/store/fold.h"
#include "shared/store/job.h"
#include "shared/store/outcome.h"

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#define ID  "0192e4c0-0000-7000-8000-000000000001"
#define NOW INT64_C(1700000000000)
#define DAY INT64_C(86400000)

struct fixture {
	struct job job;
	struct fold *fold;
	struct output_options opt;
};

static void
add_host(struct fixture *w, const char *name)
{
	w->job.hosts = xreallocarray(w->job.hosts, w->job.n_hosts + 1, sizeof(char *));
	w->job.hosts[w->job.n_hosts++] = xstrdup(name);
}

static int
setup(void **state)
{
	static const char *const hosts[] = {
	    "db01", "db02", "old1", "web01", "web02", "web03", "web04", "web05"};
	struct fixture *w = calloc(1, sizeof(*w));

	job_init(&w->job);
	w->job.id = xstrdup(ID);
	w->job.plugin = xstrdup("facter");
	w->job.user = xstrdup("ops");
	w->job.target = xstrdup("all");
	w->job.sent_at = NOW - 1000;
	w->job.not_after = NOW + 7 * DAY - 1000;
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
		add_host(w, hosts[i]);
	w->fold = fold_create(&w->job);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *w = *state;

	fold_destroy(w->fold);
	job_finish(&w->job);
	free(w);
	return 0;
}

static void
add(struct fixture *w, const char *host, enum outcome_state state, const char *why)
{
	struct outcome o;

	outcome_init(&o);
	o.host = host;
	o.state = state;
	o.why = why;
	o.at = NOW;
	o.order = outcome_is_answer(state) ? 7 : 0;
	fold_add(w->fold, &o);
}

static void
add_mixed(struct fixture *w)
{
	add(w, "web01", OUTCOME_OK, NULL);
	add(w, "web02", OUTCOME_OK, NULL);
	add(w, "db01", OUTCOME_FAILED, "exit status 2: no\033[2J such");
	add(w, "db02", OUTCOME_TIMEOUT, NULL);
	add(w, "old1", OUTCOME_UNROUTABLE, "no queue");
	add(w, "guest", OUTCOME_OK, NULL);
}

static char *
print(const struct fixture *w)
{
	char *text = NULL;
	size_t size;
	FILE *out = xmemstream(&text, &size);

	summary_print(out, &w->opt, &w->job, w->fold, NOW, NULL);
	fclose(out);
	return text;
}

static void
assert_prints(const struct fixture *w, const char *expected)
{
	char *text = print(w);

	assert_string_equal(text, expected);
	free(text);
}

#define LAST                                                                                       \
	"job " ID ": 8 targeted = 2 ok + 1 failed + 1 timeout + 1 unroutable + 3 queued "          \
	"(expire in 6 d 23 h)\n"

static void
exceptions_first_and_a_line_that_adds_up(void **state)
{
	struct fixture *w = *state;

	add_mixed(w);
	assert_prints(w, "db01: failed: exit status 2: no [2J such\n"
			 "db02: timeout\n"
			 "unroutable: old1\n"
			 "queued: web[03-05]\n"
			 "guest: ok, though it was no target\n" LAST);
}

static void
quiet_and_verbose(void **state)
{
	struct fixture *w = *state;

	add_mixed(w);
	w->opt.quiet = true;
	assert_prints(w, LAST);
	w->opt.quiet = false;
	w->opt.verbose = true;
	assert_prints(w, "db01: failed: exit status 2: no [2J such\n"
			 "db02: timeout\n"
			 "unroutable: old1\n"
			 "queued: web[03-05]\n"
			 "guest: ok, though it was no target\n"
			 "web01: ok\n"
			 "web02: ok\n" LAST);
}

static void
filters_name_each_host(void **state)
{
	struct fixture *w = *state;

	add_mixed(w);
	w->opt.filter = FILTER_FAILED;
	assert_prints(w, "db01: failed: exit status 2: no [2J such\ndb02: timeout\n" LAST);
	w->opt.filter = FILTER_MISSING;
	assert_prints(
	    w, "old1: unroutable: no queue\nweb03: queued\nweb04: queued\nweb05: queued\n" LAST);
	w->opt.filter = FILTER_OK;
	assert_prints(w, "web01: ok\nweb02: ok\n" LAST);
	w->opt.filter = FILTER_OK | FILTER_FAILED;
	assert_prints(w,
	    "db01: failed: exit status 2: no [2J such\ndb02: timeout\nweb01: ok\nweb02: ok\n" LAST);
}

static void
colours_on_states_alone(void **state)
{
	struct fixture *w = *state;

	add_mixed(w);
	w->opt.color = true;
	assert_prints(w, "db01: \033[31mfailed\033[0m: exit status 2: no [2J such\n"
			 "db02: \033[31mtimeout\033[0m\n"
			 "\033[33munroutable\033[0m: old1\n"
			 "\033[33mqueued\033[0m: web[03-05]\n"
			 "guest: \033[32mok\033[0m, though it was no target\n" LAST);
}

static void
why_no_run_of_their_own(void **state)
{
	struct fixture *w = *state;

	add(w, "web01", OUTCOME_CANCELLED, "never sent");
	add(w, "web02", OUTCOME_CANCELLED, "cancelled while it \033ran");
	add(w, "web03", OUTCOME_CANCELLED, "cancelled while it \033ran");
	add(w, "web04", OUTCOME_SUPERSEDED, "superseded by x");
	add(w, "web05", OUTCOME_SUPERSEDED, "superseded by x");
	assert_prints(w,
	    "superseded (superseded by x): web[04-05]\n"
	    "cancelled (mostly: cancelled while it  ran): web[01-03]\n"
	    "queued: db[01-02], old1\n"
	    "job " ID
	    ": 8 targeted = 2 superseded + 3 cancelled + 3 queued (expire in 6 d 23 h)\n");
	add(w, "db01", OUTCOME_CANCELLED, NULL);
	add(w, "db02", OUTCOME_CANCELLED, NULL);
	add(w, "old1", OUTCOME_CANCELLED, NULL);
	assert_prints(w, "superseded (superseded by x): web[04-05]\n"
			 "cancelled: db[01-02], old1, web[01-03]\n"
			 "job " ID ": 8 targeted = 2 superseded + 6 cancelled\n");
}

/* Many are not a flood: the rest is named by the way to see it. */
static void
long_lists_end(void **state)
{
	struct fixture *w = *state;
	char name[32], *text;
	size_t i, lines = 0;

	for (i = 0; i < 150; i++) {
		snprintf(name, sizeof(name), "x%03zu", i);
		add_host(w, name);
	}
	for (i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "y%c%c", (char)('a' + i % 26), (char)('a' + i / 26));
		add_host(w, name);
	}
	fold_destroy(w->fold);
	w->fold = fold_create(&w->job);
	for (i = 0; i < 150; i++) {
		snprintf(name, sizeof(name), "x%03zu", i);
		add(w, name, OUTCOME_FAILED, "no");
	}
	text = print(w);
	for (const char *p = text; *p != '\0'; p++)
		lines += *p == '\n';
	assert_int_equal(lines, 100 + 1 + 1 + 1);
	assert_non_null(
	    strstr(text, "x099: failed: no\nand 50 more failed: vogeler-runner result " ID
			 " --failed\nqueued: db[01-02], old1, web[01-05], yaa, "));
	assert_non_null(strstr(text, " and 33 more: vogeler-runner result " ID " --missing\njob "));
	assert_non_null(
	    strstr(text, ": 208 targeted = 150 failed + 58 queued (expire in 6 d 23 h)\n"));
	free(text);
}

static void
assert_line(const struct fixture *w, int64_t now_ms, const char *expected)
{
	struct fold_counts c;
	char *text;

	fold_count(w->fold, now_ms, &c);
	text = summary_line(&w->job, &c, now_ms);
	assert_string_equal(text, expected);
	free(text);
}

static void
the_last_line(void **state)
{
	struct fixture *w = *state;

	assert_line(w, NOW, "8 targeted = 8 queued (expire in 6 d 23 h)");
	assert_line(w, NOW + 8 * DAY, "8 targeted = 8 expired");
	w->job.not_after = 0;
	fold_destroy(w->fold);
	w->fold = fold_create(&w->job);
	assert_line(w, NOW + 800 * DAY, "8 targeted = 8 queued");
	add(w, "web01", OUTCOME_SUPERSEDED, "superseded by x");
	add(w, "web02", OUTCOME_CANCELLED, NULL);
	add(w, "web03", OUTCOME_REFUSED, NULL);
	assert_line(w, NOW, "8 targeted = 1 refused + 1 superseded + 1 cancelled + 5 queued");
	w->job.n_hosts = 0;
	fold_destroy(w->fold);
	w->fold = fold_create(&w->job);
	w->job.n_hosts = 8;
	assert_line(w, NOW, "0 targeted");
}

/* The table of vogeler-runner(1). */
static void
exit_statuses(void **state)
{
	static const struct {
		enum outcome_state state;
		int status;
	} alone[] = {
	    {OUTCOME_OK, 0},
	    {OUTCOME_FAILED, 2},
	    {OUTCOME_TIMEOUT, 2},
	    {OUTCOME_REFUSED, 2},
	    {OUTCOME_SUPERSEDED, 3},
	    {OUTCOME_CANCELLED, 3},
	    {OUTCOME_UNROUTABLE, 4},
	    {OUTCOME_EXPIRED, 3},
	    {OUTCOME_QUEUED, 3},
	    {OUTCOME_UNSENT, 1},
	};
	struct fold_counts c;

	for (size_t i = 0; i < sizeof(alone) / sizeof(alone[0]); i++) {
		c = (struct fold_counts){.targets = 2};
		c.by[OUTCOME_OK] = 1;
		c.by[alone[i].state]++;
		assert_int_equal(summary_exit_status(&c), alone[i].status);
		c.by[OUTCOME_QUEUED]++; /* waiting is the least of it */
		assert_int_equal(
		    summary_exit_status(&c), alone[i].status == 0 ? 3 : alone[i].status);
		c.by[OUTCOME_UNROUTABLE]++;
		assert_int_equal(summary_exit_status(&c),
		    alone[i].status == 1 || alone[i].status == 2 ? alone[i].status : 4);
	}
	c = (struct fold_counts){.others = 1};
	assert_int_equal(summary_exit_status(&c), 0);
}

static const char *
text_of(const json_t *json, const char *key)
{
	return json_string_value(json_object_get(json, key));
}

static void
one_object(void **state)
{
	struct fixture *w = *state;
	json_t *json, *counts, *hosts;
	json_int_t sum = 0;
	const char *key;
	json_t *value;
	char *text;

	add_mixed(w);
	w->opt.format = OUTPUT_JSON;
	text = print(w);
	json = json_loads(text, 0, NULL);
	free(text);
	assert_string_equal(text_of(json, "kind"), "summary");
	assert_string_equal(text_of(json, "job"), ID);
	assert_string_equal(text_of(json, "plugin"), "facter");
	assert_int_equal(json_integer_value(json_object_get(json, "targets")), 8);
	assert_int_equal(json_integer_value(json_object_get(json, "others")), 1);
	assert_int_equal(json_integer_value(json_object_get(json, "exit_status")), 2);
	assert_true(json_is_false(json_object_get(json, "complete")));
	counts = json_object_get(json, "counts");
	assert_int_equal(json_object_size(counts), OUTCOME_N_STATES);
	json_object_foreach (counts, key, value)
		sum += json_integer_value(value);
	assert_int_equal(sum, 8);
	hosts = json_object_get(json, "hosts");
	assert_int_equal(json_array_size(hosts), 9); /* the guest, too */
	assert_string_equal(text_of(json_array_get(hosts, 0), "host"), "db01");
	assert_string_equal(text_of(json_array_get(hosts, 0), "state"), "failed");
	assert_true(json_is_true(json_object_get(json_array_get(hosts, 0), "target")));
	assert_true(json_is_false(json_object_get(json_array_get(hosts, 8), "target")));
	json_decref(json);
	w->opt.filter = FILTER_MISSING;
	json = summary_json(&w->opt, &w->job, w->fold, NOW);
	assert_int_equal(json_array_size(json_object_get(json, "hosts")), 4);
	json_decref(json);
	w->opt.quiet = true;
	json = summary_json(&w->opt, &w->job, w->fold, NOW);
	assert_null(json_object_get(json, "hosts"));
	json_decref(json);
}

static void
events(void **state)
{
	struct fixture *w = *state;
	struct outcome o;
	json_t *json;
	char *text;

	json = event_job(&w->job);
	assert_string_equal(text_of(json, "kind"), "job");
	assert_string_equal(text_of(json, "job"), ID);
	assert_string_equal(text_of(json, "target"), "all");
	assert_string_equal(text_of(json, "sent_at"), "2023-11-14T22:13:19.000Z");
	assert_int_equal(json_integer_value(json_object_get(json, "targets")), 8);
	assert_null(json_object_get(json, "hosts"));
	assert_null(json_object_get(json, "rerun_of"));
	json_decref(json);
	outcome_init(&o);
	o.host = "db01";
	o.state = OUTCOME_FAILED;
	o.exit_status = 2;
	json = event_outcome(&w->job, &o, true);
	assert_string_equal(text_of(json, "kind"), "outcome");
	assert_string_equal(text_of(json, "job"), ID);
	assert_string_equal(text_of(json, "host"), "db01");
	assert_string_equal(text_of(json, "state"), "failed");
	assert_int_equal(json_integer_value(json_object_get(json, "exit_status")), 2);
	assert_null(json_object_get(json, "duration_ms"));
	assert_true(json_is_true(json_object_get(json, "target")));
	json_decref(json);
	w->opt.format = OUTPUT_JSONL; /* a line, without the hosts, of which there were events */
	text = print(w);
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	assert_null(strstr(text, "\"hosts\""));
	free(text);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(exceptions_first_and_a_line_that_adds_up),
	    TEST(quiet_and_verbose),
	    TEST(filters_name_each_host),
	    TEST(colours_on_states_alone),
	    TEST(why_no_run_of_their_own),
	    TEST(long_lists_end),
	    TEST(the_last_line),
	    TEST(exit_statuses),
	    TEST(one_object),
	    TEST(events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
