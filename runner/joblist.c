/* See joblist.h. */
#include "runner/joblist.h"

#include "runner/summary.h"
#include "shared/jsonx.h"
#include "shared/log.h"
#include "shared/wall.h"
#include "shared/xalloc.h"

#include <libsmartcols.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TIME_SIZE 21 /* "2010-09-26T02:16:29Z" */

void
joblist_add(struct joblist *l, const struct job *job)
{
	struct joblist_job *copy;
	json_t *json = job_to_json(job);
	char err[256];

	l->jobs = xreallocarray(l->jobs, l->n + 1, sizeof(*l->jobs));
	copy = &l->jobs[l->n];
	copy->counts = (struct fold_counts){.targets = 0};
	if (job_from_json(json, &copy->job, err, sizeof(err)))
		l->n++;
	else
		log_warn("jobs", "%s: %s", job->id, err);
	json_decref(json);
}

void
joblist_finish(struct joblist *l)
{
	for (size_t i = 0; i < l->n; i++)
		job_finish(&l->jobs[i].job);
	free(l->jobs);
	*l = (struct joblist){.n = 0};
}

/* ---- JSON ---- */

static json_t *
job_json(const struct joblist_job *j)
{
	return summary_counted_json(&j->job, &j->counts);
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

enum column { COLUMN_JOB, COLUMN_SENT, COLUMN_PLUGIN, COLUMN_TARGET, COLUMN_HOSTS, COLUMN_STATES };

static const struct {
	const char *name;
	double hint;
	int flags;
} columns[] = {
    {"JOB", 36, 0},
    {"SENT", 20, 0},
    {"PLUGIN", 0.1, 0},
    {"TARGET", 0.2, SCOLS_FL_TRUNC},
    {"HOSTS", 5, SCOLS_FL_RIGHT},
    {"STATES", 0.3, 0},
};
#define N_COLUMNS (sizeof(columns) / sizeof(columns[0]))

static const char *
time_text(int64_t ms, char out[WALL_TEXT_SIZE])
{
	wall_format(ms, out);
	memcpy(out + TIME_SIZE - 2, "Z", 2); /* seconds are enough for people */
	return out;
}

/* NULL: "-", so that each row has all columns. */
static void
set_cell(struct libscols_line *line, enum column column, const char *text)
{
	char *clean = NULL;
	size_t size;
	FILE *out = output_memory(&clean, &size);

	output_clean(out, text != NULL && text[0] != '\0' ? text : "-");
	fclose(out);
	if (scols_line_set_data(line, (size_t)column, clean) != 0)
		fatal("jobs", "no memory");
	free(clean);
}

static void
add_row(struct libscols_table *table, const struct joblist_job *j)
{
	struct libscols_line *line = scols_table_new_line(table, NULL);
	char when[WALL_TEXT_SIZE], hosts[32], *states;

	if (line == NULL)
		fatal("jobs", "no memory");
	snprintf(hosts, sizeof(hosts), "%zu", j->counts.targets);
	states = summary_states(&j->counts);
	set_cell(line, COLUMN_JOB, j->job.id);
	set_cell(line, COLUMN_SENT, time_text(j->job.sent_at, when));
	set_cell(line, COLUMN_PLUGIN, j->job.plugin);
	set_cell(line, COLUMN_TARGET, j->job.target);
	set_cell(line, COLUMN_HOSTS, hosts);
	set_cell(line, COLUMN_STATES, states);
	free(states);
}

static void
print_table(FILE *out, const struct joblist *l)
{
	struct libscols_table *table = scols_new_table();

	if (table == NULL)
		fatal("jobs", "no memory");
	scols_table_set_stream(table, out);
	if (!isatty(fileno(out)))
		scols_table_set_termforce(table, SCOLS_TERMFORCE_NEVER);
	for (size_t i = 0; i < N_COLUMNS; i++) {
		if (scols_table_new_column(
			table, columns[i].name, columns[i].hint, columns[i].flags) == NULL)
			fatal("jobs", "no memory");
	}
	for (size_t i = 0; i < l->n; i++)
		add_row(table, &l->jobs[i]);
	scols_print_table(table);
	scols_unref_table(table);
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
			fprintf(out, "%s\n", l->jobs[i].job.id);
		break;
	}
	fflush(out);
}
