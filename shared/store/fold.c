/* SPDX-License-Identifier: Apache-2.0 */
/* The fold: what many outcomes, in any order and repeated, say about each host. See fold.h. */
#include "shared/store/fold.h"

#include "shared/base/xalloc.h"
#include "shared/store/job.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define NOTE_GRACE_MS 60000 /* after not_after, for the runner to note a confirm */

struct stand {            /* how it stands with one host */
	struct outcome o; /* its strings are these */
	char *host, *response_id, *why;
	bool target;
	bool known; /* false: o has only the host */
	UT_hash_handle hh;
};

struct fold {
	struct stand *by_host; /* uthash */
	int64_t not_after;
	bool confirmed; /* for each target; or the runner writes no notes */
	size_t targets;
};

/* ---- which one counts ---- */

static int
compare_int(int64_t a, int64_t b)
{
	return (a > b) - (a < b);
}

static int
compare_str(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return compare_int(a != NULL, b != NULL);
	return strcmp(a, b);
}

/* The host's own word comes before what the runner says of it. Of its words, that it did not run
 * the command counts least: one that it has answered may come to it again, and be too late by then.
 */
static int
rank(const struct outcome *o)
{
	switch (o->state) {
	case OUTCOME_OK:
	case OUTCOME_FAILED:
	case OUTCOME_TIMEOUT:
	case OUTCOME_REFUSED:
	case OUTCOME_SUPERSEDED:
		return 0;
	case OUTCOME_CANCELLED:
		return o->response_id != NULL ? 1 : 4;
	case OUTCOME_EXPIRED:
		return 2;
	case OUTCOME_UNROUTABLE:
		return 3;
	case OUTCOME_QUEUED:
		return 5;
	case OUTCOME_UNSENT:
		return 6;
	}
	return 7;
}

/* Below 0: a counts before b. Only of equal ones 0, so that the order in which they come is no
 * matter. */
static int
compare(const struct outcome *a, const struct outcome *b)
{
	int c = compare_int(rank(a), rank(b));

	if (c == 0)
		c = compare_int(b->order, a->order);
	if (c == 0)
		c = compare_int(a->state, b->state);
	if (c == 0)
		c = compare_int(a->at, b->at);
	if (c == 0)
		c = compare_str(a->response_id, b->response_id);
	if (c == 0) /* a notice was written before the store said more */
		c = compare_int(b->why != NULL, a->why != NULL);
	if (c == 0)
		c = compare_str(a->why, b->why);
	if (c == 0)
		c = compare_int(a->duration_ms, b->duration_ms);
	return c != 0 ? c : compare_int(a->exit_status, b->exit_status);
}

/* Says whether it is the same news: a repetition may bring another time. */
static bool
is_same(const struct outcome *a, const struct outcome *b)
{
	return a->state == b->state && a->order == b->order &&
	       compare_str(a->response_id, b->response_id) == 0 && compare_str(a->why, b->why) == 0;
}

/* ---- the table ---- */

static struct stand *
stand_add(struct fold *f, const char *host, bool target)
{
	struct stand *s = xcalloc(1, sizeof(*s));

	outcome_init(&s->o);
	s->host = xstrdup(host);
	s->o.host = s->host;
	s->target = target;
	HASH_ADD_KEYPTR(hh, f->by_host, s->host, strlen(s->host), s);
	return s;
}

static void
stand_set(struct stand *s, const struct outcome *o)
{
	free(s->response_id);
	free(s->why);
	s->response_id = xstrdup_null(o->response_id);
	s->why = xstrdup_null(o->why);
	s->o = *o;
	s->o.host = s->host;
	s->o.response_id = s->response_id;
	s->o.why = s->why;
}

struct fold *
fold_create(const struct job *j)
{
	struct fold *f = xcalloc(1, sizeof(*f));
	struct stand *s;
	size_t i;

	f->not_after = j->not_after;
	f->confirmed = !j->confirms;
	for (i = 0; i < j->n_hosts; i++) {
		HASH_FIND_STR(f->by_host, j->hosts[i], s);
		if (s == NULL) {
			stand_add(f, j->hosts[i], true);
			f->targets++;
		}
	}
	return f;
}

void
fold_destroy(struct fold *f)
{
	struct stand *s, *next;

	if (f == NULL)
		return;
	HASH_ITER (hh, f->by_host, s, next) {
		HASH_DEL(f->by_host, s);
		free(s->response_id);
		free(s->why);
		free(s->host);
		free(s);
	}
	free(f);
}

static bool
is_hosts_word(const struct outcome *o)
{
	return rank(o) <= 2;
}

bool
fold_add(struct fold *f, const struct outcome *given)
{
	struct outcome o = *given;
	char why[OUTCOME_WHY_SIZE];
	struct stand *s;
	bool same;

	assert(o.state < OUTCOME_N_STATES);
	if (o.host == NULL || (o.state == OUTCOME_EXPIRED && o.response_id == NULL))
		return false;
	if (strcmp(o.host, OUTCOME_EVERY_HOST) == 0) {
		f->confirmed = f->confirmed || o.state == OUTCOME_QUEUED;
		return false;
	}
	HASH_FIND_STR(f->by_host, o.host, s);
	if (s == NULL && !is_hosts_word(&o))
		return false;
	if (s == NULL)
		s = stand_add(f, o.host, false);
	o.why = outcome_why(o.why, why);
	if (s->known && compare(&s->o, &o) <= 0)
		return false;
	same = s->known && is_same(&s->o, &o);
	s->known = true;
	stand_set(s, &o);
	return !same;
}

/* ---- reading ---- */

static bool
is_over(const struct fold *f, int64_t now_ms)
{
	return f->not_after > 0 && now_ms > f->not_after;
}

/* Tells what is known of the host, and what follows from silence; its strings are s's. */
static void
stand_now(const struct fold *f, const struct stand *s, int64_t now_ms, struct outcome *out)
{
	bool unsent = !s->known || s->o.state == OUTCOME_UNSENT;

	if (unsent && f->confirmed) {
		outcome_init(out); /* QUEUED */
		out->host = s->host;
	} else {
		*out = s->o;
		if (!s->known)
			out->state = OUTCOME_UNSENT;
	}
	if (out->state == OUTCOME_QUEUED && is_over(f, now_ms)) {
		out->state = OUTCOME_EXPIRED;
		out->at = f->not_after;
	}
}

void
fold_count(const struct fold *f, int64_t now_ms, struct fold_counts *out)
{
	const struct stand *s;

	*out = (struct fold_counts){.targets = f->targets};
	for (s = f->by_host; s != NULL; s = s->hh.next) {
		struct outcome o;

		if (!s->target) {
			out->others++;
			continue;
		}
		stand_now(f, s, now_ms, &o);
		out->by[o.state]++;
		/* An unsent command may be on its way to the broker, whose confirm is noted
		 * then. */
		out->open += outcome_is_open(&o) && !is_over(f, now_ms - NOTE_GRACE_MS);
	}
}

static int
by_name(const void *a, const void *b)
{
	const struct stand *x = *(const struct stand *const *)a;
	const struct stand *y = *(const struct stand *const *)b;

	if (x->target != y->target)
		return x->target ? -1 : 1;
	return strcmp(x->host, y->host);
}

void
fold_each(const struct fold *f, int64_t now_ms, fold_fn *fn, void *arg)
{
	size_t n = HASH_COUNT(f->by_host), i = 0;
	const struct stand **all = xcalloc(n + 1, sizeof(*all)), *s;

	for (s = f->by_host; s != NULL; s = s->hh.next)
		all[i++] = s;
	qsort(all, n, sizeof(*all), by_name);
	for (i = 0; i < n; i++) {
		struct outcome o;

		stand_now(f, all[i], now_ms, &o);
		fn(&o, all[i]->target, arg);
	}
	free(all);
}
