/* SPDX-License-Identifier: Apache-2.0 */
/* See ledger_suite.h. */
#include "tests/unit/ledger_suite.h"

#include "shared/base/ident.h"
#include "shared/base/trouble.h"
#include "shared/base/xalloc.h"
#include "shared/wire/jsonx.h"
#include "tests/unit/store_drive.h"

#include "shared/store/fold.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { HOSTS_MAX = 1200 };

#define DAY_MS (INT64_C(24) * 3600 * 1000)
#define JOB    "0192f0c1-7b7a-7000-8000-000000000001"
#define OTHER  "0192f0c1-7b7a-7000-8000-000000000002"

static const struct suite_factory *factory;

/* ---- driving ---- */

struct waiting {
	struct fixture *s;
	bool in_call; /* an answer may not come from inside the call */
	bool done;
	bool ok;
	uint64_t pruned;
	bool more;
	char what[256];
	enum store_found found;
	json_t *list;
};

static void
wait_for(struct waiting *w)
{
	w->in_call = false;
	drive_wait(w->s, &w->done);
}

static void
answered(struct waiting *w)
{
	assert_false(w->in_call);
	assert_false(w->done);
	w->done = true;
	loop_stop(w->s->loop);
}

static void
on_done(const struct trouble *why, const char *done, void *arg)
{
	struct waiting *w = arg;

	w->ok = why == NULL;
	snprintf(w->what, sizeof(w->what), "%.255s", w->ok ? done : why->what);
	answered(w);
}

static void
on_job(enum store_found found, const struct job *j, const struct trouble *why, void *arg)
{
	struct waiting *w = arg;

	if (found == STORE_FAILED)
		fail_msg(TROUBLE_FMT, TROUBLE_ARGS(why));
	assert_int_equal(found == STORE_FOUND, j != NULL);
	if (found == STORE_FOUND)
		json_array_append_new(w->list, job_to_json(j));
	else
		answered(w);
}

static void
on_one_job(enum store_found found, const struct job *j, const struct trouble *why, void *arg)
{
	struct waiting *w = arg;

	if (found == STORE_FAILED)
		fail_msg(TROUBLE_FMT, TROUBLE_ARGS(why));
	assert_int_equal(found == STORE_FOUND, j != NULL);
	if (found == STORE_FOUND)
		w->list = job_to_json(j);
	answered(w);
}

static void
on_outcome(enum store_found found, const struct outcome *o, const struct trouble *why, void *arg)
{
	struct waiting *w = arg;

	if (found == STORE_FAILED)
		fail_msg(TROUBLE_FMT, TROUBLE_ARGS(why));
	assert_int_equal(found == STORE_FOUND, o != NULL);
	if (found == STORE_FOUND)
		json_array_append_new(w->list, outcome_to_json(o));
	else
		answered(w);
}

/* Hosts h0000, h0001, ... */
static struct job
job_new(const char *id, size_t n_hosts, int64_t sent_at)
{
	struct job j;

	job_init(&j);
	j.id = xstrdup(id);
	j.plugin = xstrdup("facter");
	j.user = xstrdup("ann");
	j.target = xstrdup("all");
	j.sent_at = DRIVE_T0 + sent_at;
	j.not_after = DRIVE_T0 + sent_at + 7 * DAY_MS;
	j.hosts = xcalloc(n_hosts + 1, sizeof(char *));
	for (; j.n_hosts < n_hosts; j.n_hosts++)
		xasprintf(&j.hosts[j.n_hosts], "h%04d", (int)j.n_hosts);
	return j;
}

static void
job_add(struct fixture *s, const struct job *j, const char *what)
{
	struct waiting w = {.s = s, .in_call = true};

	store_job_add(s->store, j, on_done, &w);
	wait_for(&w);
	if (!w.ok || (what != NULL && strcmp(w.what, what) != 0))
		fail_msg("%s", w.what);
}

static void
add_new(struct fixture *s, const char *id, size_t n_hosts, int64_t sent_at)
{
	struct job j = job_new(id, n_hosts, sent_at);

	job_add(s, &j, "created");
	job_finish(&j);
}

static json_t *
job_get(struct fixture *s, const char *id)
{
	struct waiting w = {.s = s, .in_call = true};

	store_job_get(s->store, id, on_one_job, &w);
	wait_for(&w);
	return w.list;
}

static json_t *
job_list(struct fixture *s, size_t max)
{
	struct waiting w = {.s = s, .in_call = true, .list = json_array()};

	store_job_list(s->store, max, on_job, &w);
	wait_for(&w);
	return w.list;
}

static json_t *
outcomes(struct fixture *s, const char *id)
{
	struct waiting w = {.s = s, .in_call = true, .list = json_array()};

	store_outcomes(s->store, id, on_outcome, &w);
	wait_for(&w);
	return w.list;
}

static void
outcomes_add(struct fixture *s, const char *id, const struct outcome *o, size_t n)
{
	struct waiting w = {.s = s, .in_call = true};

	store_outcomes_add(s->store, id, o, n, on_done, &w);
	wait_for(&w);
	if (!w.ok)
		fail_msg("%s", w.what);
}

static void
outcome_add(struct fixture *s, const char *id, const char *host, enum outcome_state state)
{
	struct outcome o;

	outcome_init(&o);
	o.host = host;
	o.state = state;
	o.at = DRIVE_T0;
	outcomes_add(s, id, &o, 1);
}

static void
on_pruned(const struct trouble *why, uint64_t n, bool more, void *arg)
{
	struct waiting *w = arg;

	w->pruned = n;
	w->more = more;
	on_done(why, "", arg);
}

/* How many calls were needed until nothing was left to be removed. */
static unsigned int
prune(struct fixture *s, int64_t before)
{
	for (unsigned int calls = 1;; calls++) {
		struct waiting w = {.s = s, .in_call = true};

		store_jobs_prune(s->store, DRIVE_T0 + before, on_pruned, &w);
		wait_for(&w);
		if (!w.ok)
			fail_msg("%s", w.what);
		if (w.pruned == 0 && !w.more)
			return calls;
		assert_true(calls < 1000);
	}
}

/* As the collector has it from a response to that job. */
static struct result *
answer(const char *id, enum wire_state state, int64_t order)
{
	struct result *r = state == WIRE_OK ? drive_good("facter", "{\"a\":1}", order, order)
					    : drive_failed("facter", "boom", order, order);

	r->meta.state = state;
	r->meta.job = xstrdup(id);
	xasprintf(&r->meta.response_id, "resp-%d", (int)order);
	return r;
}

static void
count_job(struct fixture *s, const char *id, int64_t now, struct fold_counts *out)
{
	json_t *json = job_get(s, id), *list = outcomes(s, id), *one;
	struct fold *f;
	struct job j;
	char err[256];
	size_t i, sum = 0;

	assert_true(job_from_json(json, &j, err, sizeof(err)));
	f = fold_create(&j);
	json_array_foreach (list, i, one) {
		struct outcome o;

		assert_true(outcome_from_json(one, &o));
		fold_add(f, &o);
	}
	fold_count(f, DRIVE_T0 + now, out);
	for (i = 0; i < OUTCOME_N_STATES; i++)
		sum += out->by[i];
	assert_int_equal(sum, out->targets);
	assert_int_equal(sum, j.n_hosts);
	fold_destroy(f);
	job_finish(&j);
	json_decref(list);
	json_decref(json);
}

static void
assert_size(json_t *list, size_t n)
{
	assert_int_equal(json_array_size(list), n);
	json_decref(list);
}

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

/* ---- jobs ---- */

static void
a_job_comes_back_as_it_was(void **state)
{
	struct fixture *s = *state;
	struct job j = job_new(JOB, 3, 0);
	json_t *want = job_to_json(&j), *is;

	assert_null(job_get(s, JOB));
	job_add(s, &j, "created");
	job_add(s, &j, "was there"); /* as after a lost answer */
	is = job_get(s, JOB);
	assert_true(json_equal(is, want));
	assert_size(job_list(s, 10), 1);
	json_decref(is);
	json_decref(want);
	job_finish(&j);
}

static void
jobs_are_listed_newest_first(void **state)
{
	struct fixture *s = *state;
	json_t *list, *one;
	char id[IDENT_SIZE];
	size_t i;
	enum { JOBS = 70 }; /* more than a page */

	assert_size(job_list(s, 10), 0);
	for (int k = 0; k < JOBS; k++) {
		ident_job(id, DRIVE_T0 + k);
		add_new(s, id, 1, k);
		outcome_add(s, id, "h0000", OUTCOME_CANCELLED);
	}
	assert_size(job_list(s, 7), 7);
	list = job_list(s, 1000);
	assert_int_equal(json_array_size(list), JOBS);
	json_array_foreach (list, i, one) {
		struct job j;
		char err[256];

		assert_true(job_from_json(one, &j, err, sizeof(err)));
		assert_int_equal(j.sent_at, DRIVE_T0 + JOBS - 1 - (int)i);
		job_finish(&j);
	}
	json_decref(list);
	/* They are no records. */
	assert_size(drive_list(s), 0);
}

/* ---- outcomes ---- */

static void
what_the_runner_says(void **state)
{
	struct fixture *s = *state;
	struct outcome o;
	json_t *list;

	add_new(s, JOB, 3, 0);
	assert_size(outcomes(s, JOB), 0);
	outcome_init(&o);
	o.host = "h0001";
	o.state = OUTCOME_UNROUTABLE;
	o.why = "no queue of that name";
	o.at = DRIVE_T0 + 5;
	outcomes_add(s, JOB, &o, 1);
	list = outcomes(s, JOB);
	assert_int_equal(json_array_size(list), 1);
	assert_string_equal(
	    json_string_value(json_object_get(json_array_get(list, 0), "why")), o.why);
	json_decref(list);
	assert_size(outcomes(s, OTHER), 0);
	outcomes_add(s, OTHER, NULL, 0);
}

static void
an_answer_is_in_the_ledger(void **state)
{
	static const char want_text[] =
	    "{\"host\":\"h0001\",\"state\":\"failed\",\"why\":\"boom\",\"response_id\":\"resp-3\","
	    "\"at\":\"2010-09-26T02:16:29.612Z\",\"order\":3,\"duration_ms\":55,"
	    "\"exit_status\":1}";
	struct fixture *s = *state;
	struct result *r = answer(JOB, WIRE_FAILED, 3);
	struct fold_counts c;
	json_t *list, *want;
	char err[128];

	add_new(s, JOB, 4, 0);
	r->meta.duration_ms = 55;
	assert_int_equal(drive_put(s, "h0001", r, NULL), STORE_OK);
	list = outcomes(s, JOB);
	want = jsonx_parse(want_text, strlen(want_text), NULL, err, sizeof(err));
	assert_int_equal(json_array_size(list), 1);
	assert_true(json_equal(json_array_get(list, 0), want));
	json_decref(want);
	json_decref(list);
	assert_int_equal(drive_put(s, "h0002", answer(JOB, WIRE_OK, 4), NULL), STORE_OK);
	assert_int_equal(drive_put(s, "nobody", answer(JOB, WIRE_OK, 5), NULL), STORE_OK);
	count_job(s, JOB, 0, &c);
	assert_int_equal(c.by[OUTCOME_FAILED], 1);
	assert_int_equal(c.by[OUTCOME_OK], 1);
	assert_int_equal(c.by[OUTCOME_QUEUED], 2);
	assert_int_equal(c.others, 1);
}

/* A record that needs no write says nothing about the ledger: the write before it may have been cut
 * between the two. And it is no matter how often the outcome is there. */
static void
a_duplicate_is_in_the_ledger(void **state)
{
	struct fixture *s = *state;
	struct result *r = answer(JOB, WIRE_OK, 3);
	struct fold_counts c;

	add_new(s, JOB, 2, 0);
	free(r->meta.job);
	r->meta.job = NULL; /* the record, and not the outcome */
	assert_int_equal(drive_put(s, "h0000", r, NULL), STORE_OK);
	assert_size(outcomes(s, JOB), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(drive_put(s, "h0000", answer(JOB, WIRE_OK, 3), NULL), STORE_OK);
		count_job(s, JOB, 0, &c);
		assert_int_equal(c.by[OUTCOME_OK], 1);
		assert_int_equal(c.by[OUTCOME_QUEUED], 1);
	}
}

/* Of many hosts, of several jobs, in one write and in one put. */
static void
a_put_of_many(void **state)
{
	enum { N = 300 };
	static struct result *results[N][2];
	static struct store_write writes[N];
	static enum store_status statuses[N];
	static char hosts[N][8];
	struct fixture *s = *state;
	struct fold_counts c;

	add_new(s, JOB, N + 5, 0);
	add_new(s, OTHER, N, 1);
	for (int i = 0; i < N; i++) {
		snprintf(hosts[i], sizeof(hosts[i]), "h%04d", i);
		results[i][0] = answer(JOB, i % 3 == 0 ? WIRE_TIMEOUT : WIRE_OK, 10);
		results[i][1] = answer(OTHER, WIRE_SUPERSEDED, 11);
		drive_write_init(&writes[i], hosts[i], results[i], 2);
	}
	drive_put_batch(s, writes, N, statuses, NULL);
	for (int i = 0; i < N; i++) {
		assert_int_equal(statuses[i], STORE_OK);
		drive_results_free(results[i], 2);
	}
	count_job(s, JOB, 0, &c);
	assert_int_equal(c.by[OUTCOME_TIMEOUT], N / 3);
	assert_int_equal(c.by[OUTCOME_OK], N - N / 3);
	assert_int_equal(c.by[OUTCOME_QUEUED], 5);
	count_job(s, OTHER, 0, &c);
	assert_int_equal(c.by[OUTCOME_SUPERSEDED], N);
}

/* More than a page of them, of two writers: two collectors, or a collector and the runner. */
static void
two_writers(void **state)
{
	static char hosts[HOSTS_MAX][8];
	static struct outcome list[HOSTS_MAX];
	struct fixture *s = *state, other;
	char *uri = xstrdup(factory->begin());
	struct fold_counts c;

	drive_close(s);
	drive_open(s, uri, DRIVE_RECORD_MAX);
	drive_setup(s, NULL);
	drive_open(&other, uri, DRIVE_RECORD_MAX);
	add_new(s, JOB, HOSTS_MAX, 0);
	for (int i = 0; i < HOSTS_MAX; i++) {
		snprintf(hosts[i], sizeof(hosts[i]), "h%04d", i);
		outcome_init(&list[i]);
		list[i].host = hosts[i];
		list[i].state = OUTCOME_CANCELLED;
		list[i].at = DRIVE_T0;
	}
	outcomes_add(&other, JOB, list, HOSTS_MAX);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(drive_put(s, hosts[i], answer(JOB, WIRE_OK, 9), NULL), STORE_OK);
		assert_int_equal(
		    drive_put(&other, hosts[i + 5], answer(JOB, WIRE_FAILED, 8), NULL), STORE_OK);
	}
	for (int i = 0; i < 2; i++) {
		count_job(i == 0 ? s : &other, JOB, 0, &c);
		assert_int_equal(c.by[OUTCOME_OK], 10);
		assert_int_equal(c.by[OUTCOME_FAILED], 5);
		assert_int_equal(c.by[OUTCOME_CANCELLED], HOSTS_MAX - 15);
	}
	drive_close(&other);
	free(uri);
}

static void
ids_that_cannot_be(void **state)
{
	struct fixture *s = *state;
	struct result *r = answer("../" JOB, WIRE_OK, 3);

	/* It has come from a host: the answer is kept, it belongs to no job. */
	assert_int_equal(drive_put(s, "h0000", r, NULL), STORE_OK);
	assert_null(job_get(s, "a/../b"));
	assert_null(job_get(s, ""));
	assert_size(outcomes(s, "../" JOB), 0);
	assert_size(outcomes(s, ""), 0);
}

static void
all_is_there_after_a_restart(void **state)
{
	struct fixture *s = *state;
	char *uri = xstrdup(factory->begin());
	struct fold_counts c;

	for (int i = 0; i < 2; i++) {
		drive_close(s);
		drive_open(s, uri, DRIVE_RECORD_MAX);
		drive_setup(s, i == 0 ? "created" : "was there");
		if (i == 0) {
			add_new(s, JOB, 2, 0);
			assert_int_equal(
			    drive_put(s, "h0000", answer(JOB, WIRE_OK, 3), NULL), STORE_OK);
		}
		count_job(s, JOB, 0, &c);
		assert_int_equal(c.by[OUTCOME_OK], 1);
	}
	free(uri);
}

/* More than one document of CouchDB may have. All of them are the job, read alone or in a list; and
 * they go with it. */
static void
a_job_may_have_very_many_hosts(void **state)
{
	enum { VERY_MANY = 25000 };
	struct fixture *s = *state;
	struct job j = job_new(JOB, VERY_MANY, 0);
	struct fold_counts c;
	json_t *got, *listed;

	job_add(s, &j, "created");
	job_add(s, &j, NULL); /* after an answer that was lost */
	add_new(s, OTHER, 3, 1000);
	outcome_add(s, JOB, "h24999", OUTCOME_OK);
	got = job_get(s, JOB);
	assert_int_equal(json_array_size(json_object_get(got, "hosts")), VERY_MANY);
	listed = job_list(s, 10);
	assert_int_equal(json_array_size(listed), 2);
	assert_true(json_equal(json_array_get(listed, 1), got));
	json_decref(listed);
	json_decref(got);
	count_job(s, JOB, 0, &c);
	assert_int_equal(c.targets, VERY_MANY);
	assert_int_equal(c.by[OUTCOME_OK], 1);
	prune(s, 30 * DAY_MS);
	assert_null(job_get(s, JOB));
	assert_size(outcomes(s, JOB), 0);
	job_finish(&j);
}

/* A host that makes up jobs, which it answers, does not fill the disk: of its outcomes that belong
 * to no job the newest stay. Those of others, and of jobs that are there, are not touched. */
static void
of_unknown_jobs_few_are_kept(void **state)
{
	enum { INVENTED = OUTCOME_STRAYS_MAX + 50 };
	struct fixture *s = *state;
	struct result *r;
	size_t kept = 0;
	char id[32];

	if (!factory->bounds_strays)
		return;
	add_new(s, JOB, 2, 0);
	assert_int_equal(drive_put(s, "h0000", answer(JOB, WIRE_OK, 1), NULL), STORE_OK);
	assert_int_equal(drive_put(s, "h0001", answer("invented-000", WIRE_OK, 1), NULL), STORE_OK);
	for (int i = 0; i < INVENTED; i++) {
		snprintf(id, sizeof(id), "invented-%03d", i);
		r = answer(id, i % 2 == 0 ? WIRE_OK : WIRE_FAILED, 10 + i);
		assert_int_equal(drive_put(s, "h0000", r, NULL), STORE_OK);
	}
	assert_int_equal(store_strays_dropped(s->store), INVENTED - OUTCOME_STRAYS_MAX);
	for (int i = 0; i < INVENTED; i++) {
		size_t n;
		json_t *list;

		snprintf(id, sizeof(id), "invented-%03d", i);
		list = outcomes(s, id);
		n = json_array_size(list);
		json_decref(list);
		if (i == 0) {
			assert_int_equal(n, 1); /* of the other host */
			continue;
		}
		assert_int_equal(n, i >= INVENTED - OUTCOME_STRAYS_MAX);
		kept += n;
	}
	assert_int_equal(kept, OUTCOME_STRAYS_MAX);
	assert_size(outcomes(s, JOB), 1);
}

/* The job comes after its answer: what was kept is its. */
static void
a_job_that_comes_late(void **state)
{
	struct fixture *s = *state;
	struct fold_counts c;
	char id[32];

	assert_int_equal(drive_put(s, "h0000", answer(JOB, WIRE_OK, 1), NULL), STORE_OK);
	add_new(s, JOB, 2, 0);
	for (int i = 0; i < OUTCOME_STRAYS_MAX + 1; i++) {
		snprintf(id, sizeof(id), "invented-%03d", i);
		assert_int_equal(
		    drive_put(s, "h0000", answer(id, WIRE_OK, 10 + i), NULL), STORE_OK);
	}
	count_job(s, JOB, 0, &c);
	assert_int_equal(c.by[OUTCOME_OK], 1);
}

/* One write has answers to a job that is there and to one that is not. */
static void
one_write_may_have_both(void **state)
{
	struct fixture *s = *state;
	struct fold_counts c;

	add_new(s, JOB, 2, 0);
	assert_int_equal(drive_put(s, "h0000", answer("invented", WIRE_OK, 1),
			     answer(JOB, WIRE_OK, 2), answer("made-up", WIRE_OK, 3), NULL),
	    STORE_OK);
	count_job(s, JOB, 0, &c);
	assert_int_equal(c.by[OUTCOME_OK], 1);
	assert_size(outcomes(s, JOB), 1);
	assert_size(outcomes(s, "invented"), 1);
	assert_size(outcomes(s, "made-up"), 1);
}

/* Those of answers are UUIDs, which a store may keep as 16 bytes. */
static void
ids_of_answers_come_back(void **state)
{
	static const char *const ids[] = {"00112233-4455-8677-8899-aabbccddeeff",
	    "11002233-4455-8677-8899-aabbccddee00", "ffffffff-ffff-8fff-bfff-ff0000ffffff", "none"};
	struct fixture *s = *state;
	const char *id;
	json_t *list;
	size_t i;

	for (i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		char host[8];
		struct outcome o;

		snprintf(host, sizeof(host), "h%04zu", i);
		outcome_init(&o);
		o.host = host;
		o.response_id = ids[i];
		o.at = DRIVE_T0;
		outcomes_add(s, JOB, &o, 1);
	}
	list = outcomes(s, JOB);
	assert_int_equal(json_array_size(list), i);
	while (i-- > 0) {
		const char *host =
		    json_string_value(json_object_get(json_array_get(list, i), "host"));

		id = json_string_value(json_object_get(json_array_get(list, i), "response_id"));
		assert_non_null(id);
		assert_string_equal(id, ids[atoi(host + 1)]);
	}
	json_decref(list);
}

/* ---- pruning ---- */

static void
old_jobs_go_with_their_outcomes(void **state)
{
	struct fixture *s = *state;
	struct job j = job_new("never-expires", 1, 0);

	add_new(s, JOB, 1, 0);
	outcome_add(s, JOB, "h0000", OUTCOME_CANCELLED);
	add_new(s, OTHER, 1, DAY_MS);
	outcome_add(s, OTHER, "h0000", OUTCOME_CANCELLED);
	outcome_add(s, "nobodys", "h0000", OUTCOME_OK);
	/* It can still be run until it expires. */
	assert_int_equal(prune(s, DAY_MS / 2), 2);
	assert_size(job_list(s, 10), 2);
	assert_size(outcomes(s, JOB), 1);
	assert_size(outcomes(s, OTHER), 1);
	assert_size(outcomes(s, "nobodys"), 0);

	j.not_after = 0;
	job_add(s, &j, NULL);
	job_finish(&j);
	assert_true(prune(s, 7 * DAY_MS + 1) > 1);
	assert_null(job_get(s, JOB));
	assert_null(job_get(s, "never-expires"));
	assert_size(outcomes(s, JOB), 0);
	assert_size(outcomes(s, OTHER), 1);
	json_decref(job_get(s, OTHER));
	assert_size(job_list(s, 10), 1);
	assert_int_equal(prune(s, 7 * DAY_MS + 1), 1);
}

static void
what_is_of_late_stays(void **state)
{
	struct fixture *s = *state;

	outcome_add(s, "nobodys", "h0000", OUTCOME_OK);
	assert_int_equal(prune(s, 0), 1);
	assert_size(outcomes(s, "nobodys"), 1);
	assert_int_equal(prune(s, 1), 2);
	assert_size(outcomes(s, "nobodys"), 0);
}

static void
many_go_in_several_calls(void **state)
{
	static struct outcome list[HOSTS_MAX];
	static char hosts[HOSTS_MAX][8];
	struct fixture *s = *state;
	char id[32];

	for (int i = 0; i < HOSTS_MAX; i++) {
		snprintf(hosts[i], sizeof(hosts[i]), "h%04d", i);
		outcome_init(&list[i]);
		list[i].host = hosts[i];
		list[i].state = OUTCOME_CANCELLED;
	}
	for (int i = 0; i < 5; i++) {
		snprintf(id, sizeof(id), "many-%d", i);
		add_new(s, id, 1, 0);
		outcomes_add(s, id, list, HOSTS_MAX);
	}
	add_new(s, JOB, 1, 100 * DAY_MS);
	for (int i = 0; i < 250; i++) { /* those that stay are looked at too, a few in a call */
		snprintf(id, sizeof(id), "kept-%03d", i);
		add_new(s, id, 1, 100 * DAY_MS);
		outcome_add(s, id, "h0000", OUTCOME_CANCELLED);
	}
	prune(s, 30 * DAY_MS);
	for (int i = 0; i < 5; i++) {
		snprintf(id, sizeof(id), "many-%d", i);
		assert_null(job_get(s, id));
		assert_size(outcomes(s, id), 0);
	}
	assert_size(job_list(s, 300), 251);
}

/* ---- lists of a part of each record ---- */

static void
only_what_is_wanted_is_listed(void **state)
{
	static const char *const wanted[] = {"facter", "packages"};
	static const char want_text[] =
	    "[{\"_id\":\"a\",\"facter\":{\"os\":{\"name\":\"Debian\"}}},"
	    "{\"_id\":\"b\",\"facter\":1,\"packages\":[\"x\"]},{\"_id\":\"c\"}]";
	static const char want_names[] = "[{\"_id\":\"a\"},{\"_id\":\"b\"},{\"_id\":\"c\"}]";
	struct store_filter filter = {.plugins = wanted, .n = 2};
	struct fixture *s = *state;
	char err[128];

	assert_int_equal(
	    drive_put(s, "a", drive_good("facter", "{\"os\":{\"name\":\"Debian\"}}", 1, 0),
		drive_good("ps", "[1]", 2, 0), NULL),
	    STORE_OK);
	assert_int_equal(drive_put(s, "b", drive_good("packages", "[\"x\"]", 1, 0),
			     drive_good("facter", "1", 2, 0), NULL),
	    STORE_OK);
	assert_int_equal(drive_put(s, "c", drive_failed("facter", "boom", 1, 0), NULL), STORE_OK);
	for (int names = 0; names < 2; names++) {
		const char *text = names ? want_names : want_text;
		json_t *want = jsonx_parse(text, strlen(text), NULL, err, sizeof(err));
		json_t *is;

		filter.n = names ? 0 : 2;
		is = drive_list_filtered(s, &filter);
		assert_true(json_equal(is, want));
		json_decref(is);
		json_decref(want);
	}
}

static void
all_hosts_are_in_a_list_of_parts(void **state)
{
	enum { N = 450, BATCH = 150 };
	static const char *const wanted[] = {"ps"};
	static struct result *results[BATCH];
	static struct store_write writes[BATCH];
	static enum store_status statuses[BATCH];
	static char hosts[BATCH][8];
	struct store_filter filter = {.plugins = wanted, .n = 1};
	struct fixture *s = *state;

	for (int first = 0; first < N; first += BATCH) {
		for (int i = 0; i < BATCH; i++) {
			snprintf(hosts[i], sizeof(hosts[i]), "h%04d", first + i);
			results[i] = drive_good("ps", "[1,2]", 1, 0);
			drive_write_init(&writes[i], hosts[i], &results[i], 1);
		}
		drive_put_batch(s, writes, BATCH, statuses, NULL);
		drive_results_free(results, BATCH);
	}
	for (int names = 0; names < 2; names++) {
		json_t *list, *rec;
		size_t i;

		filter.n = names ? 0 : 1;
		list = drive_list_filtered(s, &filter);
		assert_int_equal(json_array_size(list), N);
		json_array_foreach (list, i, rec) {
			char host[8];

			snprintf(host, sizeof(host), "h%04d", (int)i);
			assert_string_equal(json_string_value(json_object_get(rec, "_id")), host);
			assert_int_equal(json_object_size(rec), names ? 1 : 2);
		}
		json_decref(list);
	}
}

#define LEDGER_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
ledger_suite_run(const struct suite_factory *given)
{
	const struct CMUnitTest tests[] = {
	    LEDGER_TEST(a_job_comes_back_as_it_was),
	    LEDGER_TEST(jobs_are_listed_newest_first),
	    LEDGER_TEST(what_the_runner_says),
	    LEDGER_TEST(an_answer_is_in_the_ledger),
	    LEDGER_TEST(a_duplicate_is_in_the_ledger),
	    LEDGER_TEST(a_put_of_many),
	    LEDGER_TEST(two_writers),
	    LEDGER_TEST(ids_that_cannot_be),
	    LEDGER_TEST(all_is_there_after_a_restart),
	    LEDGER_TEST(a_job_may_have_very_many_hosts),
	    LEDGER_TEST(of_unknown_jobs_few_are_kept),
	    LEDGER_TEST(a_job_that_comes_late),
	    LEDGER_TEST(one_write_may_have_both),
	    LEDGER_TEST(ids_of_answers_come_back),
	    LEDGER_TEST(old_jobs_go_with_their_outcomes),
	    LEDGER_TEST(what_is_of_late_stays),
	    LEDGER_TEST(many_go_in_several_calls),
	    LEDGER_TEST(only_what_is_wanted_is_listed),
	    LEDGER_TEST(all_hosts_are_in_a_list_of_parts),
	};

	factory = given;
	ident_init();
	return cmocka_run_group_tests_name("ledger suite", tests, NULL, NULL);
}
