/* The fold: what many outcomes, in any order and repeated, say about each host. See ledger.h. */
#include "shared/store/ledger_why.h"
#include "shared/xalloc.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct stand {            /* how it stands with one host */
	struct outcome o; /* its strings are these; QUEUED: nothing is known */
	char *host, *response_id, *why;
	bool target;
	UT_hash_handle hh;
};

struct fold {
	struct stand *by_host; /* uthash */
	int64_t not_after;
	size_t targets;
};

/* ---- why ---- */

/* Where the text may be cut at most: not within a character. */
static size_t
cut(const char *text, size_t max)
{
	size_t len = strnlen(text, max + 1);

	if (len <= max)
		return len;
	for (len = max; len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80; len--)
		;
	return len;
}

const char *
ledger_why(const char *why, char out[LEDGER_WHY_SIZE])
{
	size_t len, i;

	if (why == NULL)
		return NULL;
	len = cut(why, OUTCOME_WHY_MAX);
	while (len > 0 && (unsigned char)why[len - 1] <= ' ')
		len--;
	for (i = 0; i < len; i++)
		out[i] = (unsigned char)why[i] < ' ' ? ' ' : why[i];
	out[len] = '\0';
	return out;
}

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

/* Below 0: a counts before b. Only of equal ones 0, so that the order in which they come is no
 * matter. */
static int
compare(const struct outcome *a, const struct outcome *b)
{
	bool answer = outcome_is_answer(a->state);
	int c = compare_int(outcome_is_answer(b->state), answer);

	if (c == 0 && answer)
		c = compare_int(b->order, a->order);
	if (c == 0)
		c = compare_int(a->state, b->state);
	if (c == 0) /* the host's own word comes before what the runner says of it */
		c = compare_int(b->response_id != NULL, a->response_id != NULL);
	if (c == 0)
		c = compare_int(b->order, a->order);
	if (c == 0)
		c = compare_int(a->at, b->at);
	if (c == 0)
		c = compare_str(a->response_id, b->response_id);
	if (c == 0)
		c = compare_str(a->why, b->why);
	if (c == 0)
		c = compare_int(a->duration_ms, b->duration_ms);
	return c != 0 ? c : compare_int(a->exit_status, b->exit_status);
}

/* The same news: a repetition may bring another time. */
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

bool
fold_add(struct fold *f, const struct outcome *given)
{
	struct outcome o = *given;
	char why[LEDGER_WHY_SIZE];
	struct stand *s;
	bool same;

	if (o.host == NULL || o.state == OUTCOME_EXPIRED || o.state == OUTCOME_QUEUED)
		return false;
	HASH_FIND_STR(f->by_host, o.host, s);
	if (s == NULL && !outcome_is_answer(o.state))
		return false;
	if (s == NULL)
		s = stand_add(f, o.host, false);
	o.why = ledger_why(o.why, why);
	if (s->o.state != OUTCOME_QUEUED && compare(&s->o, &o) <= 0)
		return false;
	same = is_same(&s->o, &o);
	stand_set(s, &o);
	return !same;
}

/* ---- reading ---- */

static enum outcome_state
state_now(const struct fold *f, const struct stand *s, int64_t now_ms)
{
	if (s->o.state == OUTCOME_QUEUED && f->not_after > 0 && now_ms > f->not_after)
		return OUTCOME_EXPIRED;
	return s->o.state;
}

void
fold_count(const struct fold *f, int64_t now_ms, struct fold_counts *out)
{
	const struct stand *s;

	*out = (struct fold_counts){.targets = f->targets};
	for (s = f->by_host; s != NULL; s = s->hh.next) {
		if (s->target)
			out->by[state_now(f, s, now_ms)]++;
		else
			out->others++;
	}
}

size_t
fold_open(const struct fold_counts *c)
{
	return c->by[OUTCOME_QUEUED];
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
		struct outcome o = all[i]->o;

		o.state = state_now(f, all[i], now_ms);
		if (o.state == OUTCOME_EXPIRED)
			o.at = f->not_after;
		fn(&o, all[i]->target, arg);
	}
	free(all);
}
