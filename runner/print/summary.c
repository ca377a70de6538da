/* SPDX-License-Identifier: Apache-2.0 */
/* See summary.h. */
#include "runner/print/summary.h"

#include "runner/print/events.h"
#include "runner/verb.h"
#include "shared/base/errtext.h"
#include "shared/base/units.h"
#include "shared/base/xalloc.h"
#include "shared/store/fold.h"
#include "shared/store/job.h"
#include "shared/store/outcome.h"
#include "shared/target/ranges.h"
#include "shared/wire/jsonx.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LIST_MAX   100 /* failed hosts with a line of their own, unless --failed */
#define PIECES_MAX 20  /* names or ranges of names of one state */
#define OTHERS_MAX 20  /* hosts that answered and were no targets */

#define RED    "\033[31m"
#define GREEN  "\033[32m"
#define YELLOW "\033[33m"
#define PLAIN  "\033[0m"

struct summary {
	FILE *out;
	const struct output_options *opt;
	const struct job *job;
	const struct fold *fold;
	const struct summary_shown *shown; /* NULL = nothing */
	int64_t now_ms;
	struct fold_counts counts;
	/* of one pass over the hosts */
	unsigned int filter;
	enum outcome_state state;
	size_t n, max;
	const char **names, **reasons; /* of these states; a reason is "" where there is none */
	json_t *list;
};

static unsigned int
filter_of(enum outcome_state s)
{
	switch (s) {
	case OUTCOME_OK:
		return FILTER_OK;
	case OUTCOME_FAILED:
	case OUTCOME_TIMEOUT:
	case OUTCOME_REFUSED:
		return FILTER_FAILED;
	case OUTCOME_SUPERSEDED:
	case OUTCOME_UNROUTABLE:
	case OUTCOME_CANCELLED:
	case OUTCOME_EXPIRED:
	case OUTCOME_QUEUED:
	case OUTCOME_UNSENT:
		return FILTER_MISSING;
	}
	return FILTER_NONE;
}

static size_t
count_of(const struct fold_counts *c, unsigned int filter)
{
	size_t n = 0;

	for (int i = 0; i < OUTCOME_N_STATES; i++) {
		if (filter_of((enum outcome_state)i) & filter)
			n += c->by[i];
	}
	return n;
}

int
summary_exit_status(const struct fold_counts *c)
{
	if (c->by[OUTCOME_UNSENT] > 0)
		return RUNNER_TROUBLE;
	if (count_of(c, FILTER_FAILED) > 0)
		return RUNNER_FAILED;
	if (c->by[OUTCOME_UNROUTABLE] > 0)
		return RUNNER_NO_SUCH_HOST;
	return count_of(c, FILTER_MISSING) > 0 ? RUNNER_OPEN : RUNNER_OK;
}

/* ---- text ---- */

static void
put_state(const struct summary *s, enum outcome_state state)
{
	const char *color = filter_of(state) == FILTER_OK       ? GREEN
			    : filter_of(state) == FILTER_FAILED ? RED
								: YELLOW;

	if (s->opt->color)
		fprintf(s->out, "%s%s" PLAIN, color, outcome_state_name(state));
	else
		fputs(outcome_state_name(state), s->out);
}

/* "web01: failed: exit status 2". */
static void
put_host(const struct summary *s, const struct outcome *o, bool target)
{
	output_clean(s->out, o->host);
	fputs(": ", s->out);
	put_state(s, o->state);
	if (!target)
		fputs(", though it was no target", s->out);
	if (o->why != NULL && o->why[0] != '\0') {
		char *why = errtext_of_plugin(s->job->plugin, o->why);

		fputs(": ", s->out);
		output_clean(s->out, why);
		free(why);
	}
	fputc('\n', s->out);
}

static bool
is_told(const struct summary *s, const struct outcome *o)
{
	return s->shown != NULL && s->shown->told(o, s->shown->arg);
}

static void
line_of_host(const struct outcome *o, bool target, void *arg)
{
	struct summary *s = arg;

	if (!target || !(filter_of(o->state) & s->filter) || is_told(s, o))
		return;
	if (s->n++ < s->max)
		put_host(s, o, target);
}

static void
line_of_other(const struct outcome *o, bool target, void *arg)
{
	struct summary *s = arg;

	if (!target && s->n++ < s->max)
		put_host(s, o, target);
}

/* "and 120 more: vogeler-runner result JOB --missing" */
static void
put_more(const struct summary *s, size_t n, const char *what, const char *option)
{
	fprintf(s->out, "and %zu more%s: vogeler-runner result ", n, what);
	output_clean(s->out, s->job->id);
	fprintf(s->out, " %s\n", option);
}

static void
put_hosts(struct summary *s, unsigned int filter, size_t max)
{
	s->filter = filter;
	s->n = 0;
	s->max = max;
	fold_each(s->fold, s->now_ms, line_of_host, s);
	if (s->n > max)
		put_more(s, s->n - max, " failed", "--failed");
}

static void
take_name(const struct outcome *o, bool target, void *arg)
{
	struct summary *s = arg;

	if (!target || o->state != s->state)
		return;
	s->names[s->n] = o->host;
	s->reasons[s->n++] = o->why == NULL ? "" : o->why;
}

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Finds the reason that is there most often, of equally many the first by name; *all: there is no
 * other. Sorts them. */
static const char *
commonest(const char **reasons, size_t n, bool *all)
{
	size_t best = 0, most = 0, from = 0;

	qsort(reasons, n, sizeof(*reasons), by_text);
	for (size_t i = 1; i <= n; i++) {
		if (i < n && strcmp(reasons[i], reasons[from]) == 0)
			continue;
		if (i - from > most) {
			most = i - from;
			best = from;
		}
		from = i;
	}
	*all = most == n;
	return reasons[best];
}

/* " (mostly: cancelled while it ran)", of the states that do not say it all. */
static void
put_reason(struct summary *s)
{
	const char *reason;
	bool all;

	if (s->state == OUTCOME_UNROUTABLE || s->state == OUTCOME_QUEUED)
		return;
	reason = commonest(s->reasons, s->n, &all);
	if (reason[0] == '\0')
		return;
	fputs(all ? " (" : " (mostly: ", s->out);
	output_clean(s->out, reason);
	putc(')', s->out);
}

/* "queued: web[10-22], db01" */
static void
put_ranges(struct summary *s, enum outcome_state state)
{
	size_t left;
	char *text;

	if (s->counts.by[state] == 0)
		return;
	s->state = state;
	s->n = 0;
	s->names = xcalloc(s->counts.by[state], sizeof(*s->names));
	s->reasons = xcalloc(s->counts.by[state], sizeof(*s->reasons));
	fold_each(s->fold, s->now_ms, take_name, s);
	text = ranges_text(s->names, s->n, PIECES_MAX, &left);
	put_state(s, state);
	put_reason(s);
	fputs(": ", s->out);
	output_clean(s->out, text);
	if (left > 0) {
		fputc(' ', s->out);
		put_more(s, left, "", "--missing");
	} else {
		fputc('\n', s->out);
	}
	free(text);
	free((void *)s->names);
	free((void *)s->reasons);
	s->names = s->reasons = NULL;
}

static void
put_others(struct summary *s)
{
	s->n = 0;
	s->max = OTHERS_MAX;
	fold_each(s->fold, s->now_ms, line_of_other, s);
	if (s->n > s->max)
		put_more(s, s->n - s->max, " that were no targets", "--json");
}

static void
line_of_older(const struct outcome *o, bool target, void *arg)
{
	struct summary *s = arg;

	if (target && o->state == OUTCOME_OK && o->why != NULL && s->n++ < s->max)
		put_host(s, o, target);
}

/* Ok, and yet the record does not show it: with --verbose they are among all that are ok. */
static void
put_older(struct summary *s)
{
	if (s->opt->verbose)
		return;
	s->n = 0;
	s->max = LIST_MAX;
	fold_each(s->fold, s->now_ms, line_of_older, s);
	if (s->n > s->max)
		put_more(s, s->n - s->max, " that were not stored", "--ok");
}

static void
put_exceptions(struct summary *s)
{
	put_hosts(s, FILTER_FAILED, LIST_MAX);
	for (int i = OUTCOME_SUPERSEDED; i < OUTCOME_N_STATES; i++)
		put_ranges(s, (enum outcome_state)i);
	put_older(s);
	put_others(s);
	if (s->opt->verbose)
		put_hosts(s, FILTER_OK, SIZE_MAX);
}

static void
print_text(struct summary *s)
{
	char *line;

	if (!s->opt->quiet && s->opt->filter == FILTER_NONE)
		put_exceptions(s);
	else if (!s->opt->quiet)
		put_hosts(s, s->opt->filter, SIZE_MAX);
	line = summary_line(s->job, &s->counts, s->now_ms);
	fputs("job ", s->out);
	output_clean(s->out, s->job->id);
	fprintf(s->out, ": %s\n", line);
	free(line);
}

char *
summary_states(const struct fold_counts *c)
{
	const char *sign = "";
	char *text = NULL;
	size_t size;
	FILE *out = xmemstream(&text, &size);

	/* Queued is the last of them, for what is said of when these expire. */
	for (int i = 0; i <= OUTCOME_N_STATES; i++) {
		enum outcome_state state =
		    i < OUTCOME_N_STATES ? (enum outcome_state)i : OUTCOME_QUEUED;

		if (c->by[state] == 0 || i == OUTCOME_QUEUED)
			continue;
		fprintf(out, "%s%zu %s", sign, c->by[state], outcome_state_name(state));
		sign = " + ";
	}
	fclose(out);
	return text;
}

char *
summary_line(const struct job *job, const struct fold_counts *c, int64_t now_ms)
{
	char span[UNITS_SPAN_SIZE], *states = summary_states(c), *text = NULL;
	size_t size;
	FILE *out = xmemstream(&text, &size);

	fprintf(out, "%zu targeted", c->targets);
	if (c->targets > 0)
		fprintf(out, " = %s", states);
	if (c->by[OUTCOME_QUEUED] > 0 && job->not_after > 0)
		fprintf(out, " (expire in %s)", units_span(job->not_after - now_ms, span));
	fclose(out);
	free(states);
	return text;
}

/* ---- JSON ---- */

static void
take_json(const struct outcome *o, bool target, void *arg)
{
	struct summary *s = arg;
	json_t *host;

	if (!(filter_of(o->state) & s->filter))
		return;
	host = outcome_to_json(o);
	json_object_set_new(host, "target", json_boolean(target));
	json_array_append_new(s->list, host);
}

static json_t *
counts_json(const struct fold_counts *c)
{
	json_t *counts = json_object();

	for (int i = 0; i < OUTCOME_N_STATES; i++)
		jsonx_set_int(
		    counts, outcome_state_name((enum outcome_state)i), (json_int_t)c->by[i]);
	return counts;
}

json_t *
summary_counted_json(const struct job *job, const struct fold_counts *c)
{
	json_t *json = event_job(job);

	jsonx_set_str(json, "kind", "summary");
	json_object_set_new(json, "counts", counts_json(c));
	jsonx_set_int(json, "others", (json_int_t)c->others);
	json_object_set_new(json, "complete", json_boolean(c->open == 0));
	jsonx_set_int(json, "exit_status", summary_exit_status(c));
	return json;
}

json_t *
summary_json(const struct output_options *opt, const struct job *job, const struct fold *fold,
    int64_t now_ms)
{
	struct summary s = {.opt = opt, .job = job, .fold = fold, .now_ms = now_ms};
	json_t *json;

	fold_count(fold, now_ms, &s.counts);
	json = summary_counted_json(job, &s.counts);
	if (opt->quiet || opt->format == OUTPUT_JSONL)
		return json;
	s.filter =
	    opt->filter != FILTER_NONE ? opt->filter : FILTER_OK | FILTER_FAILED | FILTER_MISSING;
	s.list = json_array();
	fold_each(fold, now_ms, take_json, &s);
	json_object_set_new(json, "hosts", s.list);
	return json;
}

/* ---- all ---- */

void
summary_print(FILE *out, const struct output_options *opt, const struct job *job,
    const struct fold *fold, int64_t now_ms, const struct summary_shown *shown)
{
	struct summary s = {.out = out, .opt = opt, .job = job, .fold = fold, .now_ms = now_ms};
	json_t *json;

	s.shown = shown;
	switch (opt->format) {
	case OUTPUT_TEXT:
		fold_count(fold, now_ms, &s.counts);
		print_text(&s);
		break;
	case OUTPUT_JSON:
		json = summary_json(opt, job, fold, now_ms);
		if (shown != NULL)
			json_object_set(json, "answers", shown->answers);
		json_dumpf(json, out, JSON_INDENT(2));
		fputc('\n', out);
		json_decref(json);
		break;
	case OUTPUT_JSONL:
		output_event(out, summary_json(opt, job, fold, now_ms));
		break;
	}
	fflush(out);
}
