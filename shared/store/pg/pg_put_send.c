/* SPDX-License-Identifier: Apache-2.0 */
/* The statements of a put. Rows are written in one order, by host and plugin, whoever writes them:
 * so two that write the same ones wait for each other, and never in a circle. See pg_put.h. */
#include "shared/store/pg/pg_put.h"

#include "shared/base/xalloc.h"
#include "shared/store/pg/pg_fact.h"
#include "shared/wire/jsonx.h"

#include <stdlib.h>
#include <string.h>

struct put_sending {
	const struct pg_store *store;
	struct pg_session *conn;
	struct pg_sent *sent;
	size_t n, room;
};

static void
add(struct put_sending *s, enum pg_stmt stmt, const struct pg_args *args, struct pg_host *h,
    enum pg_sent_kind kind)
{
	if (s->n == s->room) {
		s->room = s->room * 2 + 64;
		s->sent = xreallocarray(s->sent, s->room, sizeof(*s->sent));
	}
	s->sent[s->n++] = (struct pg_sent){h, kind};
	pg_send(s->conn, stmt, args);
}

static char *
json_text(const json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT);

	if (text == NULL)
		xalloc_fail(0);
	return text;
}

static void
add_host(struct put_sending *s, struct pg_host *h)
{
	struct pg_args args = {0};
	bool is_new = h->guard[0] == '\0';
	char *error = NULL;

	if (!h->head_changed)
		return;
	if (h->head.last_error != NULL)
		error = json_text(h->head.last_error);
	pg_arg_text(&args, h->head.host);
	if (is_new)
		pg_arg_int(&args, h->head.created_at);
	pg_arg_int(&args, h->head.updated_at);
	pg_arg_text(&args, error);
	if (!is_new)
		pg_arg_text(&args, h->guard);
	add(s, is_new ? PG_STMT_HOST_NEW : PG_STMT_HOST_SET, &args, h, PG_SENT_GUARDED);
	free(error);
}

static void
arg_version(struct pg_args *args, const struct pg_step *step)
{
	if (step->v == NULL) {
		for (int i = 0; i < 5; i++)
			pg_arg_null(args);
		return;
	}
	pg_arg_int(args, step->at);
	if (step->base != 0)
		pg_arg_int(args, step->base);
	else
		pg_arg_null(args);
	pg_arg_int(args, step->since_base);
	pg_arg_int(args, step->codec);
	pg_arg_bytes(args, step->v, step->v_len);
}

static void
add_step(struct put_sending *s, struct pg_host *h, const struct pg_step *step)
{
	const char *guard = step->is_first && step->t->guard[0] != '\0' ? step->t->guard : NULL;
	enum pg_stmt stmt = PG_STMT_FACT_SET;
	struct pg_args args = {0};

	if (step->is_first && guard == NULL)
		stmt = PG_STMT_FACT_NEW;
	else if (step->v != NULL)
		stmt = PG_STMT_VALUE_SET;
	pg_arg_text(&args, h->w->host);
	pg_arg_text(&args, step->t->plugin);
	pg_arg_text(&args, guard);
	pg_fact_args(&args, &step->columns, step->value_bytes, step->rest);
	pg_arg_int(&args, step->meta_bytes);
	pg_arg_text(&args, step->unparsed);
	pg_arg_bool(&args, step->keeps_unparsed);
	if (stmt != PG_STMT_FACT_SET)
		arg_version(&args, step);
	add(s, stmt, &args, h, PG_SENT_GUARDED);
}

/* Says whether it is one of the names, between which are commas and blanks. */
static bool
is_named(const char *names, const char *name)
{
	size_t len;

	for (; names != NULL && *names != '\0'; names += len) {
		names += strspn(names, ", \t");
		len = strcspn(names, ", \t");
		if (len > 0 && strlen(name) == len && strncmp(names, name, len) == 0)
			return true;
	}
	return false;
}

/* jsonb takes no NUL in a text; what it cannot hold has no copy. */
static void
add_copy(struct put_sending *s, struct pg_host *h, const struct pg_touched *t)
{
	struct pg_args args = {0};
	bool fits = memmem(t->fact.value, t->fact.value_len, "\\u0000", 6) == NULL;

	pg_arg_text(&args, h->w->host);
	pg_arg_text(&args, t->plugin);
	pg_arg_text(&args, fits ? t->fact.value : NULL);
	add(s, PG_STMT_VALUE_COPY, &args, h, PG_SENT_PLAIN);
}

static void
add_steps(struct put_sending *s, struct pg_host *h)
{
	for (size_t i = 0; i < h->n_touched; i++) {
		const struct pg_touched *t = &h->touched[i];
		bool has_value = false;

		for (size_t k = 0; k < h->n_steps; k++) {
			if (h->steps[k].t != t)
				continue;
			add_step(s, h, &h->steps[k]);
			has_value = has_value || h->steps[k].v != NULL;
		}
		if (has_value && is_named(s->store->sql_values, t->plugin))
			add_copy(s, h, t);
	}
}

static int
job_cmp(const void *a, const void *b)
{
	const struct result *x = *(const struct result *const *)a;
	const struct result *y = *(const struct result *const *)b;
	int cmp = strcmp(x->meta.job, y->meta.job);

	return cmp != 0 ? cmp : (x->meta.order > y->meta.order) - (x->meta.order < y->meta.order);
}

/* Those that belong to a job, in the order of their rows; the caller's. */
static const struct result **
answers_of(const struct store_write *w, size_t *n)
{
	const struct result **answers = xcalloc(w->n + 1, sizeof(const struct result *));
	struct outcome o;

	*n = 0;
	for (size_t i = 0; i < w->n; i++)
		if (outcome_of_result(w->host, w->results[i], &o))
			answers[(*n)++] = w->results[i];
	qsort(answers, *n, sizeof(const struct result *), job_cmp);
	return answers;
}

/* Whoever invents jobs that he answers must not fill the disk. */
static void
add_outcomes(struct put_sending *s, struct pg_host *h)
{
	size_t n;
	const struct result **answers = answers_of(h->w, &n);
	struct pg_args trim = {0};

	for (size_t i = 0; i < n; i++) {
		struct pg_outcome_texts texts;
		struct pg_args args = {0};
		struct outcome o;

		outcome_of_result(h->w->host, answers[i], &o);
		pg_outcome_args(&args, &texts, answers[i]->meta.job, &o);
		add(s, PG_STMT_OUTCOME_PUT, &args, h, PG_SENT_PLAIN);
		pg_outcome_texts_finish(&texts);
	}
	if (n > 0) {
		pg_arg_text(&trim, h->w->host);
		pg_arg_int(&trim, OUTCOME_STRAYS_MAX);
		add(s, PG_STMT_STRAYS_TRIM, &trim, h, PG_SENT_TRIM);
	}
	free(answers);
}

static int
name_cmp(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names that may be new, before the rows that need them. */
static void
add_plugins(struct put_sending *s, struct pg_host *hosts, size_t n)
{
	const char **names = NULL;
	size_t n_names = 0;

	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < hosts[i].n_touched; k++) {
			const struct pg_touched *t = &hosts[i].touched[k];

			if (hosts[i].state != PG_HOST_APPLIED || !t->has_step ||
			    t->guard[0] != '\0')
				continue;
			names = xreallocarray(names, n_names + 1, sizeof(*names));
			names[n_names++] = t->plugin;
		}
	}
	if (n_names > 0)
		qsort(names, n_names, sizeof(*names), name_cmp);
	for (size_t i = 0; i < n_names; i++) {
		struct pg_args args = {0};

		if (i > 0 && strcmp(names[i], names[i - 1]) == 0)
			continue;
		pg_arg_text(&args, names[i]);
		add(s, PG_STMT_PLUGIN_NEW, &args, NULL, PG_SENT_PLAIN);
	}
	free(names);
}

size_t
pg_put_send_writes(const struct pg_store *store, struct pg_session *c, struct pg_host *hosts,
    size_t n, struct pg_sent **sent)
{
	struct put_sending s = {.store = store, .conn = c};

	add_plugins(&s, hosts, n);
	for (size_t i = 0; i < n; i++) {
		if (hosts[i].state != PG_HOST_APPLIED)
			continue;
		add_host(&s, &hosts[i]);
		add_steps(&s, &hosts[i]);
		add_outcomes(&s, &hosts[i]);
	}
	*sent = s.sent;
	return s.n;
}
