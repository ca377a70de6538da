/* SPDX-License-Identifier: Apache-2.0 */
/* See joblist.h. */
#include "runner/print/joblist.h"

#include "runner/print/summary.h"
#include "shared/base/log.h"
#include "shared/base/printable.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/print/table.h"
#include "shared/wire/jsonx.h"

#include <stdlib.h>
#include <string.h>

void
joblist_add(struct joblist *l, const struct job *job)
{
	struct joblist_job *copy;
	json_t *json = job_to_json(job);
	char err[256];

	l->jobs = xreallocarray(l->jobs, l->n + 1, sizeof(*l->jobs));
	copy = &l->jobs[l->n];
	copy->counts = (struct fold_counts){.targets = 0};
	copy->unread = false;
	if (job_from_json(json, &copy->job, err, sizeof(err)))
		l->n++;
	else
		log_warn("jobs", "%s: %s", job->id, err);
	json_decref(json);
}

bool
joblist_is_to_nobody(const struct joblist_job *j)
{
	const struct fold_counts *c = &j->counts;

	return !j->unread && c->targets > 0 && c->by[OUTCOME_UNROUTABLE] == c->targets &&
	       c->others == 0;
}

void
joblist_drop(struct joblist *l, size_t i)
{
	job_finish(&l->jobs[i].job);
	memmove(&l->jobs[i], &l->jobs[i + 1], (l->n - i - 1) * sizeof(*l->jobs));
	l->n--;
}

void
joblist_cut(struct joblist *l, size_t n)
{
	while (l->n > n)
		job_finish(&l->jobs[--l->n].job);
}

void
joblist_finish(struct joblist *l)
{
	joblist_cut(l, 0);
	free(l->jobs);
	*l = (struct joblist){.n = 0};
}

/* ---- JSON ---- */

static json_t *
job_json(const struct joblist_job *j)
{
	static const char *const unknown[] = {"counts", "others", "complete", "exit_status"};
	json_t *json = summary_counted_json(&j->job, &j->counts);

	for (size_t i = 0; j->unread && i < sizeof(unknown) / sizeof(unknown[0]); i++)
		json_object_set_new(json, unknown[i], json_null());
	return json;
}

static void
print_json(FILE *out, const struct joblist *l)
{
	json_t *json = json_object(), *jobs = json_array();

	for (size_t i = 0; i < l->n; i++)
		json_array_append_new(jobs, job_json(&l->jobs[i]));
	jsonx_set_str(json, "kind", "jobs");
	json_object_set_new(json, "jobs", jobs);
	json_dumpf(json, out, JSON_INDENT(2));
	fputc('\n', out);
	json_decref(json);
}

/* ---- the table ---- */

enum column {
	COLUMN_JOB,
	COLUMN_SENT,
	COLUMN_AGE,
	COLUMN_BY,
	COLUMN_PLUGIN,
	COLUMN_TARGET,
	COLUMN_HOSTS,
	COLUMN_STATES
};

static const struct {
	const char *name;
	enum table_kind kind;
} columns[] = {
    {"JOB", TABLE_WHOLE},
    {"SENT", TABLE_WHOLE},
    {"AGE", TABLE_RIGHT},
    {"BY", TABLE_WHOLE},
    {"PLUGIN", TABLE_WHOLE},
    {"TARGET", TABLE_WORDS},
    {"HOSTS", TABLE_RIGHT},
    {"STATES", TABLE_WORDS},
};
#define N_COLUMNS (sizeof(columns) / sizeof(columns[0]))

/* NULL: "-", so that each row has all columns. */
static void
set_cell(struct table *table, enum column column, const char *text)
{
	table_cell(table, (size_t)column, text != NULL && text[0] != '\0' ? text : "-");
}

static void
add_row(struct table *table, const struct joblist_job *j, int64_t now_ms)
{
	char when[WALLCLOCK_TEXT_SIZE], age[WALLCLOCK_AGE_SIZE], hosts[32], *states, *sender;

	table_row(table);
	snprintf(hosts, sizeof(hosts), "%zu", j->counts.targets);
	states = j->unread ? xstrdup("unknown") : summary_states(&j->counts);
	sender = job_sender(&j->job);
	set_cell(table, COLUMN_JOB, j->job.id);
	set_cell(table, COLUMN_SENT, wallclock_format_s(j->job.sent_at, when));
	set_cell(table, COLUMN_AGE, wallclock_age(j->job.sent_at, now_ms, age));
	set_cell(table, COLUMN_BY, sender);
	set_cell(table, COLUMN_PLUGIN, j->job.plugin);
	set_cell(table, COLUMN_TARGET, j->job.target);
	set_cell(table, COLUMN_HOSTS, hosts);
	set_cell(table, COLUMN_STATES, states);
	free(sender);
	free(states);
}

static void
print_table(FILE *out, const struct joblist *l)
{
	struct table *table = table_create();

	for (size_t i = 0; i < N_COLUMNS; i++)
		table_column(table, columns[i].name, columns[i].kind);
	for (size_t i = 0; i < l->n; i++)
		add_row(table, &l->jobs[i], l->now_ms);
	table_print(out, table);
	table_destroy(table);
}

void
joblist_print(FILE *out, const struct output_options *opt, const struct joblist *l)
{
	size_t i;

	switch (opt->format) {
	case OUTPUT_JSON:
		print_json(out, l);
		break;
	case OUTPUT_JSONL:
		for (i = 0; i < l->n; i++)
			output_event(out, job_json(&l->jobs[i]));
		break;
	case OUTPUT_TEXT:
		if (!opt->quiet)
			print_table(out, l);
		for (i = 0; opt->quiet && i < l->n; i++)
			printable_line(out, "%s", l->jobs[i].job.id);
		break;
	}
	fflush(out);
}
