/* SPDX-License-Identifier: Apache-2.0 */
/* See fake_store.h. */
#include "tests/fake/fake_store.h"
#include "shared/base/trouble.h"

#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/store/store_backend.h"

#include <assert.h>
#include <bsd/sys/queue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The table in store.c names these; a test that links this file has no other backend. */
const struct store_ops store_couch_ops, store_null_ops, store_sqlite_ops;

static const struct trouble as_told = {TROUBLE_OTHER, "as the test says", ""};
static const struct trouble not_there = {TROUBLE_OTHER, "not there", ""};

struct fake_put {
	TAILQ_ENTRY(fake_put) link;
	struct store_write **writes;
	size_t n;
	store_written_fn *fn;
	void *arg;
};

struct fake_probe {
	TAILQ_ENTRY(fake_probe) link;
	store_done_fn *fn;
	store_pruned_fn *pruned;
	store_job_fn *job; /* store_job_list() */
	void *arg;
};

struct fake_note {
	TAILQ_ENTRY(fake_note) link;
	store_done_fn *done; /* of a put */
	store_got_fn *got;
	void *arg;
};

struct fake_store {
	struct store base;
	TAILQ_HEAD(, fake_note) asked_notes;
	struct loop_timer *note_answer;
	json_t *notes;
	bool notes_fail;
	size_t n_note_puts;
	struct loop_timer *answer;
	TAILQ_HEAD(, fake_put) puts;
	TAILQ_HEAD(, fake_probe) probes;
	fake_judge_fn *judge;
	void *judge_arg;
	bool held, probes_held;
	bool probe_ok;
	bool overlapped;
	size_t to_prune, n_prunes;
	struct options_keep keep;          /* of the latest store_history_prune() */
	int64_t pruned_before, newest_job; /* 0: there is no job */
	size_t n_puts, n_probes, in_flight, max_in_flight;
	char *text[FAKE_STORE_LOG];
	char *hosts; /* NULL: held */
	size_t n_lists;
	store_listed_fn *listed; /* who waits for them */
	void *listed_arg;
	size_t outcomes; /* that were added */
};

static void
note_put(struct fake_store *f, struct store_write **writes, size_t n)
{
	char *text = NULL;
	size_t size = 0, i;
	FILE *out = open_memstream(&text, &size);

	assert(out != NULL && f->n_puts < FAKE_STORE_LOG);
	for (i = 0; i < n; i++)
		fprintf(out, "%s%s:%zu", i == 0 ? "" : " ", writes[i]->host, writes[i]->n);
	fclose(out);
	f->text[f->n_puts++] = text;
}

static void
check_overlap(struct fake_store *f, const char *host)
{
	struct fake_put *p;
	size_t i;

	TAILQ_FOREACH (p, &f->puts, link) {
		for (i = 0; i < p->n; i++)
			f->overlapped = f->overlapped || strcmp(p->writes[i]->host, host) == 0;
	}
}

static void
fake_put(struct store *s, struct store_write **writes, size_t n, store_written_fn *fn, void *arg)
{
	struct fake_store *f = (struct fake_store *)s;
	struct fake_put *p = xcalloc(1, sizeof(*p));
	size_t i;

	assert(n > 0);
	for (i = 0; i < n; i++)
		check_overlap(f, writes[i]->host);
	note_put(f, writes, n);
	p->writes = writes;
	p->n = n;
	p->fn = fn;
	p->arg = arg;
	TAILQ_INSERT_TAIL(&f->puts, p, link);
	f->in_flight++;
	if (f->in_flight > f->max_in_flight)
		f->max_in_flight = f->in_flight;
	if (!f->held)
		loop_timer_arm(f->answer, 0);
}

static void
fake_probe(struct store *s, store_done_fn *fn, void *arg)
{
	struct fake_store *f = (struct fake_store *)s;
	struct fake_probe *p = xcalloc(1, sizeof(*p));

	p->fn = fn;
	p->arg = arg;
	f->n_probes++;
	TAILQ_INSERT_TAIL(&f->probes, p, link);
	loop_timer_arm(f->answer, 0);
}

static void
fake_jobs_prune(struct store *s, int64_t before_ms, store_pruned_fn *fn, void *arg)
{
	struct fake_store *f = (struct fake_store *)s;
	struct fake_probe *p = xcalloc(1, sizeof(*p));

	p->pruned = fn;
	p->arg = arg;
	f->n_prunes++;
	f->pruned_before = before_ms;
	TAILQ_INSERT_TAIL(&f->probes, p, link);
	loop_timer_arm(f->answer, 0);
}

static void
fake_history_prune(struct store *s, const struct options_keep *keep, store_pruned_fn *fn, void *arg)
{
	struct fake_store *f = (struct fake_store *)s;

	f->keep = *keep;
	fake_jobs_prune(s, 0, fn, arg);
}

static void
fake_job_list(struct store *s, size_t max, store_job_fn *fn, void *arg)
{
	struct fake_store *f = (struct fake_store *)s;
	struct fake_probe *p = xcalloc(1, sizeof(*p));

	p->job = fn;
	p->arg = arg;
	TAILQ_INSERT_TAIL(&f->probes, p, link);
	loop_timer_arm(f->answer, 0);
}

/* The newest alone. */
static void
answer_jobs(const struct fake_store *f, const struct fake_probe *p)
{
	struct job j = {.sent_at = f->newest_job};

	if (f->newest_job != 0)
		p->job(STORE_FOUND, &j, NULL, p->arg);
	p->job(STORE_MISSING, NULL, NULL, p->arg);
}

static void
answer_probe(struct fake_store *f, const struct fake_probe *p)
{
	size_t n = f->to_prune < FAKE_STORE_PRUNES ? f->to_prune : FAKE_STORE_PRUNES;

	if (p->job != NULL) {
		answer_jobs(f, p);
		return;
	}
	if (p->pruned == NULL) {
		p->fn(f->probe_ok ? NULL : &not_there, f->probe_ok ? "was there" : NULL, p->arg);
		return;
	}
	if (!f->probe_ok) {
		p->pruned(&not_there, 0, false, p->arg);
		return;
	}
	f->to_prune -= n;
	p->pruned(NULL, n, false, p->arg);
}

static void
answer_put(struct fake_store *f, struct fake_put *p)
{
	enum store_status *status = xcalloc(p->n, sizeof(*status));
	struct store_write **writes = xcalloc(p->n, sizeof(struct store_write *));
	size_t i;

	for (i = 0; i < p->n; i++) {
		writes[i] = p->writes[i];
		status[i] =
		    f->judge == NULL ? STORE_OK : f->judge(f, p->writes, p->n, i, f->judge_arg);
	}
	/* The last answer may free everything that the caller lent; backwards, as order is free. */
	for (i = p->n; i > 0; i--)
		p->fn(writes[i - 1], status[i - 1], &as_told, p->arg);
	free(status);
	free(writes);
	free(p);
}

static void
on_answer(void *arg)
{
	struct fake_store *f = arg;
	struct fake_put *p;
	struct fake_probe *probe = f->probes_held ? NULL : TAILQ_FIRST(&f->probes);

	if (probe != NULL) {
		TAILQ_REMOVE(&f->probes, probe, link);
		answer_probe(f, probe);
		free(probe);
	}
	p = f->held ? NULL : TAILQ_FIRST(&f->puts);
	if (p != NULL) {
		TAILQ_REMOVE(&f->puts, p, link);
		f->in_flight--;
		answer_put(f, p);
	}
	if ((!f->probes_held && !TAILQ_EMPTY(&f->probes)) || (!f->held && !TAILQ_EMPTY(&f->puts)))
		loop_timer_arm(f->answer, 0);
}

static void
answer_list(struct fake_store *f)
{
	char *names = xstrdup(f->hosts), *rest = names, *name;
	store_listed_fn *fn = f->listed;

	f->listed = NULL;
	while ((name = strsep(&rest, " ")) != NULL) {
		json_t *rec = json_pack("{s:s}", "_id", name);

		if (name[0] != '\0')
			fn(STORE_FOUND, rec, NULL, f->listed_arg);
		json_decref(rec);
	}
	free(names);
	fn(STORE_MISSING, NULL, NULL, f->listed_arg);
}

static void
fake_list(struct store *s, const struct store_filter *filter, store_listed_fn *fn, void *arg)
{
	struct fake_store *f = (struct fake_store *)s;

	assert(filter != NULL && filter->n == 0);
	f->n_lists++;
	f->listed = fn;
	f->listed_arg = arg;
	if (f->hosts != NULL)
		answer_list(f);
}

void
fake_store_hosts(struct fake_store *f, const char *names)
{
	store_listed_fn *fn = f->listed;

	free(f->hosts);
	f->hosts = xstrdup_null(names);
	if (fn == NULL)
		return;
	if (names != NULL) {
		answer_list(f);
		return;
	}
	f->listed = NULL;
	fn(STORE_FAILED, NULL, &as_told, f->listed_arg);
}

void
fake_store_hold_hosts(struct fake_store *f)
{
	free(f->hosts);
	f->hosts = NULL;
}

size_t
fake_store_lists(const struct fake_store *f)
{
	return f->n_lists;
}

/* Counted; never answered, as nobody of those that link this waits for it. */
static void
fake_outcomes_add(struct store *s, const char *job, const struct outcome *o, size_t n,
    store_done_fn *fn, void *arg)
{
	struct fake_store *f = (struct fake_store *)s;

	f->outcomes += n;
}

static struct fake_note *
ask_note(struct fake_store *f, void *arg)
{
	struct fake_note *n = xcalloc(1, sizeof(*n));

	n->arg = arg;
	TAILQ_INSERT_TAIL(&f->asked_notes, n, link);
	loop_timer_arm(f->note_answer, 0);
	return n;
}

static void
fake_notes_put(struct store *s, const json_t *notes, store_done_fn *fn, void *arg)
{
	struct fake_store *f = (struct fake_store *)s;

	f->n_note_puts++;
	if (!f->notes_fail)
		json_object_update(f->notes, (json_t *)notes);
	ask_note(f, arg)->done = fn;
}

static void
fake_notes(struct store *s, const char *prefix, store_got_fn *fn, void *arg)
{
	ask_note((struct fake_store *)s, arg)->got = fn;
}

static void
on_note_answer(void *arg)
{
	struct fake_store *f = arg;
	struct fake_note *n = TAILQ_FIRST(&f->asked_notes);

	if (n == NULL)
		return;
	TAILQ_REMOVE(&f->asked_notes, n, link);
	if (!TAILQ_EMPTY(&f->asked_notes))
		loop_timer_arm(f->note_answer, 0);
	if (n->done != NULL)
		n->done(f->notes_fail ? &as_told : NULL, "as the test says", n->arg);
	else if (f->notes_fail)
		n->got(STORE_FAILED, NULL, &as_told, n->arg);
	else
		n->got(STORE_FOUND, f->notes, NULL, n->arg);
	free(n);
}

void
fake_store_notes_are(struct fake_store *f, bool ok)
{
	f->notes_fail = !ok;
}

const json_t *
fake_store_notes(const struct fake_store *f)
{
	return f->notes;
}

size_t
fake_store_note_puts(const struct fake_store *f)
{
	return f->n_note_puts;
}

static const struct store_ops fake_ops = {
    .scheme_text = "fake",
    .put = fake_put,
    .list = fake_list,
    .notes_put = fake_notes_put,
    .notes = fake_notes,
    .probe = fake_probe,
    .setup = fake_probe,
    .job_list = fake_job_list,
    .jobs_prune = fake_jobs_prune,
    .history_prune = fake_history_prune,
    .outcomes_add = fake_outcomes_add,
};

struct fake_store *
fake_store_create(struct loop *loop, unsigned int batches_in_flight, unsigned int min_interval_ms)
{
	struct fake_store *f = xcalloc(1, sizeof(*f));

	f->base.ops = &fake_ops;
	f->base.id = xstrdup("fake://");
	f->base.limits.batches_in_flight = batches_in_flight;
	f->base.limits.min_interval_ms = min_interval_ms;
	f->base.limits.batch_count = STORE_BATCH_COUNT;
	f->base.limits.batch_bytes = STORE_BATCH_BYTES;
	f->probe_ok = true;
	f->hosts = xstrdup("");
	TAILQ_INIT(&f->puts);
	TAILQ_INIT(&f->probes);
	TAILQ_INIT(&f->asked_notes);
	f->notes = json_object();
	f->note_answer = loop_timer_create(loop, "fake notes", on_note_answer, f);
	f->answer = loop_timer_create(loop, "fake store", on_answer, f);
	return f;
}

void
fake_store_destroy(struct fake_store *f)
{
	size_t i;

	while (!TAILQ_EMPTY(&f->puts)) {
		struct fake_put *p = TAILQ_FIRST(&f->puts);

		TAILQ_REMOVE(&f->puts, p, link);
		free(p);
	}
	while (!TAILQ_EMPTY(&f->probes)) {
		struct fake_probe *p = TAILQ_FIRST(&f->probes);

		TAILQ_REMOVE(&f->probes, p, link);
		free(p);
	}
	while (!TAILQ_EMPTY(&f->asked_notes)) {
		struct fake_note *n = TAILQ_FIRST(&f->asked_notes);

		TAILQ_REMOVE(&f->asked_notes, n, link);
		free(n);
	}
	json_decref(f->notes);
	loop_timer_destroy(f->note_answer);
	for (i = 0; i < f->n_puts; i++)
		free(f->text[i]);
	loop_timer_destroy(f->answer);
	free(f->base.id);
	free(f->hosts);
	free(f);
}

struct store *
fake_store_base(struct fake_store *f)
{
	return &f->base;
}

void
fake_store_judge(struct fake_store *f, fake_judge_fn *fn, void *arg)
{
	f->judge = fn;
	f->judge_arg = arg;
}

void
fake_store_hold(struct fake_store *f)
{
	f->held = true;
}

void
fake_store_release(struct fake_store *f)
{
	f->held = false;
	loop_timer_arm(f->answer, 0);
}

void
fake_store_probe_says(struct fake_store *f, bool ok)
{
	f->probe_ok = ok;
}

void
fake_store_hold_probes(struct fake_store *f, bool hold)
{
	f->probes_held = hold;
	loop_timer_arm(f->answer, 0);
}

void
fake_store_to_prune(struct fake_store *f, size_t n)
{
	f->to_prune = n;
}

void
fake_store_newest_job(struct fake_store *f, int64_t sent_at)
{
	f->newest_job = sent_at;
}

struct options_keep
fake_store_keep(const struct fake_store *f)
{
	return f->keep;
}

size_t
fake_store_prunes(const struct fake_store *f)
{
	return f->n_prunes;
}

int64_t
fake_store_pruned_before(const struct fake_store *f)
{
	return f->pruned_before;
}

size_t
fake_store_puts(const struct fake_store *f)
{
	return f->n_puts;
}

size_t
fake_store_probes(const struct fake_store *f)
{
	return f->n_probes;
}

size_t
fake_store_in_flight(const struct fake_store *f)
{
	return f->in_flight;
}

size_t
fake_store_max_in_flight(const struct fake_store *f)
{
	return f->max_in_flight;
}

const char *
fake_store_put_text(const struct fake_store *f, size_t i)
{
	return i < f->n_puts ? f->text[i] : "";
}

bool
fake_store_overlapped(const struct fake_store *f)
{
	return f->overlapped;
}

size_t
fake_store_outcomes(const struct fake_store *f)
{
	return f->outcomes;
}
