/* See fake_store.h. */
#include "tests/fake/fake_store.h"

#include "shared/loop.h"
#include "shared/xalloc.h"

#include <assert.h>
#include <bsd/sys/queue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The table in store.c names these; a test that links this file has no other backend. */
const struct store_ops store_couch_ops, store_null_ops, store_sqlite_ops;

struct fake_put {
	TAILQ_ENTRY(fake_put) link;
	struct store_write **writes;
	size_t n;
	store_written_fn *fn;
	void *arg;
};

struct fake_probe {
	TAILQ_ENTRY(fake_probe) link;
	bool prune;
	store_done_fn *fn;
	void *arg;
};

struct fake_store {
	struct store base;
	struct loop_timer *answer;
	TAILQ_HEAD(, fake_put) puts;
	TAILQ_HEAD(, fake_probe) probes;
	fake_judge_fn *judge;
	void *judge_arg;
	bool held, probes_held;
	bool probe_ok;
	bool overlapped;
	size_t to_prune, n_prunes;
	int64_t pruned_before;
	size_t n_puts, n_probes, in_flight, max_in_flight;
	char *text[FAKE_STORE_LOG];
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
fake_jobs_prune(struct store *s, int64_t before_ms, store_done_fn *fn, void *arg)
{
	struct fake_store *f = (struct fake_store *)s;
	struct fake_probe *p = xcalloc(1, sizeof(*p));

	p->fn = fn;
	p->arg = arg;
	p->prune = true;
	f->n_prunes++;
	f->pruned_before = before_ms;
	TAILQ_INSERT_TAIL(&f->probes, p, link);
	loop_timer_arm(f->answer, 0);
}

static void
answer_probe(struct fake_store *f, const struct fake_probe *p)
{
	size_t n = f->to_prune < FAKE_STORE_PRUNES ? f->to_prune : FAKE_STORE_PRUNES;
	char removed[32];

	if (!f->probe_ok || !p->prune) {
		p->fn(f->probe_ok, f->probe_ok ? "was there" : "not there", p->arg);
		return;
	}
	f->to_prune -= n;
	snprintf(removed, sizeof(removed), "%zu", n);
	p->fn(true, removed, p->arg);
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
		p->fn(writes[i - 1], status[i - 1], "as the test says", p->arg);
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

static const struct store_ops fake_ops = {
    .scheme_text = "fake",
    .put = fake_put,
    .probe = fake_probe,
    .setup = fake_probe,
    .jobs_prune = fake_jobs_prune,
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
	TAILQ_INIT(&f->puts);
	TAILQ_INIT(&f->probes);
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
	for (i = 0; i < f->n_puts; i++)
		free(f->text[i]);
	loop_timer_destroy(f->answer);
	free(f->base.id);
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
