/* SPDX-License-Identifier: Apache-2.0 */
/* See values.h. */
#include "runner/print/values.h"

#include "runner/print/events.h"
#include "shared/base/buf.h"
#include "shared/base/errtext.h"
#include "shared/base/trouble.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/print/answers.h"
#include "shared/store/fold.h"
#include "shared/store/outcome.h"
#include "shared/store/store.h"
#include "shared/target/missing_part.h"
#include "shared/target/target.h"
#include "shared/target/value_path.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define READ_MAX  8                         /* records at once */
#define PIECE_MS  1000                      /* what is stored within it is printed together, */
#define PIECE_MAX ((size_t)8 * 1024 * 1024) /* but for so many bytes */
#define TOO_LARGE "too large to be shown"

enum values_state {
	VALUES_FOLLOWING, /* hosts may answer yet */
	VALUES_ENDING,    /* the last records are read */
	VALUES_ENDED,
};

struct values_reading {
	struct values *v;
	char *host; /* NULL: it is free */
	bool last;  /* begun when nothing could change any more */
};

struct values {
	struct values_request req;
	enum values_state state;
	json_t *shown;      /* a set of hosts, told or to be told in the next piece */
	struct hosts hosts; /* to be read, in their turn, */
	size_t next;        /* from this one on */
	struct values_reading reading[READ_MAX];
	size_t n_reading;
	struct answers *answers;
	struct answers *failures; /* of the next piece */
	json_t *failing, *told;   /* host: text, of these; of those that were printed */
	struct loop_timer *piece; /* prints what there is */
	struct loop_timer *soon;  /* the end, when there is nothing to be read */
	json_t *json;
	size_t json_bytes;
	bool trouble;
	size_t with_part; /* answers that have what show_path leads to; who has not, here: */
	struct missing_part *missing;
};

/* --- printing --- */

static void
on_failure(const char *line, void *arg)
{
	output_clean(stdout, line);
	putchar('\n');
}

static void
print_failures(struct values *v)
{
	answers_tell_lack(v->failures, on_failure, NULL);
	answers_destroy(v->failures);
	v->failures = answers_create();
	json_object_update(v->told, v->failing);
	json_object_clear(v->failing);
}

static void
print_piece(struct values *v)
{
	answers_print_new(stdout, v->answers);
	print_failures(v);
	fflush(stdout);
}

static void
values_on_piece(void *arg)
{
	struct values *v = arg;

	v->req.on_print(v->req.arg);
	print_piece(v);
	if (ferror(stdout))
		v->req.on_gone(v->req.arg);
}

static void
print_soon(struct values *v)
{
	if (answers_waiting(v->answers) > PIECE_MAX)
		loop_timer_arm(v->piece, 0);
	else if (v->state == VALUES_FOLLOWING && !loop_timer_armed(v->piece))
		loop_timer_arm(v->piece, PIECE_MS);
}

/* Who gave the same is not printed together once more: the records still have it. */
static void
print_count(const struct values *v)
{
	const char *path = v->req.output->show_path;
	bool quotable = path[0] != '\0' && strchr(path, '\'') == NULL;

	if (v->req.output->quiet || !answers_are_scattered(v->answers))
		return;
	printf("%zu answers, %zu different; side by side: vogeler-runner result ",
	    answers_count(v->answers), answers_different(v->answers));
	output_clean(stdout, v->req.job->id);
	printf(quotable ? " --show='" : " --show");
	output_clean(stdout, quotable ? path : "");
	puts(quotable ? "'" : "");
}

/* Tells which parts there are where no answer has the one that was asked for: it is mistyped,
 * perhaps. */
static void
tell_what_there_is(const struct values *v)
{
	char *there = v->with_part > 0 ? NULL : missing_part_text(v->missing), *line;

	if (there == NULL)
		return;
	xasprintf(&line, "--show=%s: %s", v->req.output->show_path, there);
	v->req.on_say(line, v->req.arg);
	free(line);
	free(there);
}

static void
print_all(struct values *v)
{
	if (v->req.output->format == OUTPUT_TEXT) {
		answers_print(stdout, v->answers);
		print_count(v);
	}
	fflush(stdout);
	answers_tell_lack(v->answers, v->req.on_say, v->req.arg);
	tell_what_there_is(v);
}

/* --- one answer --- */

static bool
is_shown(const struct values *v, const char *host)
{
	return json_object_get(v->shown, host) != NULL;
}

static void
set_shown(struct values *v, const char *host)
{
	json_object_set_nocheck(v->shown, host, json_true());
}

static json_t *
answer_object(const char *host, const char *plugin, const json_t *value, const char *why)
{
	json_t *o = answers_object(host, value, why);

	if (plugin != NULL)
		json_object_set_new(o, "plugin", json_string(plugin));
	return o;
}

/* One object that has all of them is as large as they are. */
static json_t *
keep(struct values *v, json_t *object)
{
	const json_t *value = json_object_get(object, "value");
	struct buf text;

	buf_init(&text, VALUES_JSON_MAX - v->json_bytes);
	if (value != NULL && !jsonx_write(&text, value)) {
		json_object_set_new(object, "error",
		    json_string(
			"too much for one object" TROUBLE_CURE "--jsonl has an object each"));
		json_object_del(object, "value");
	} else {
		v->json_bytes += text.len;
	}
	buf_finish(&text);
	return object;
}

static void
say(struct values *v, const char *host, const char *plugin, const json_t *value, const char *why)
{
	set_shown(v, host);
	switch (v->req.output->format) {
	case OUTPUT_TEXT:
		if (value != NULL)
			answers_add(v->answers, host, value);
		else
			answers_lack(v->answers, host, why);
		print_soon(v);
		return;
	case OUTPUT_JSON:
		json_array_append_new(v->json, keep(v, answer_object(host, plugin, value, why)));
		return;
	case OUTPUT_JSONL:
		output_event(
		    stdout, event_answer(v->req.job, answer_object(host, plugin, value, why)));
		return;
	}
}

static void
say_value(struct values *v, const char *host, const char *plugin, const json_t *value)
{
	const char *path = v->req.output->show_path;
	const json_t *last;
	size_t len;
	char *why;

	value = path[0] == '\0' ? value : value_path_get(value, path, &last, &len);
	if (value != NULL) {
		v->with_part++;
		say(v, host, plugin, value, NULL);
		return;
	}
	missing_part_add(v->missing, last, len);
	xasprintf(&why, "\"%s\" has no %s", plugin, path);
	say(v, host, plugin, NULL, why);
	free(why);
}

static bool
is_of_job(const struct values *v, const json_t *meta)
{
	const char *job = json_string_value(json_object_get(meta, "job"));

	return job != NULL && strcmp(job, v->req.job->id) == 0;
}

/* Says each value that this job brought; an agent's answer has one. Returns how many. */
static size_t
say_values(struct values *v, const char *host, const json_t *rec)
{
	const char *plugin;
	json_t *meta;
	size_t n = 0;

	json_object_foreach (json_object_get(rec, "vogeler"), plugin, meta) {
		const json_t *value = json_object_get(rec, plugin);

		if (value == NULL || !is_of_job(v, meta))
			continue;
		say_value(v, host, plugin, value);
		n++;
	}
	return n;
}

/* An alias is not in the record: then it is not known which plugin it was. */
static void
say_no_value(struct values *v, const char *host, const json_t *rec)
{
	const char *plugin = v->req.job->plugin, *job;
	const json_t *meta = json_object_get(json_object_get(rec, "vogeler"), plugin);
	char *why;

	job = json_string_value(json_object_get(meta, "job"));
	if (rec == NULL)
		xasprintf(&why, "answered, and has no record any more: it was forgotten");
	else if (json_object_get(rec, plugin) == NULL || is_of_job(v, meta))
		xasprintf(&why, "answered, and the record has no answer of this job any more");
	else
		xasprintf(&why,
		    "answered, and a later answer of \"%s\" has taken the place of this one (%s%s)",
		    plugin, job == NULL ? "of no job" : "job ", job == NULL ? "" : job);
	say(v, host, NULL, NULL, why);
	free(why);
}

/* --- reading --- */

static void read_next(struct values *v);

/* Takes what the record has; what is missing now may be there the next time, at the end. */
static void
take_record(struct values *v, const struct values_reading *r, const char *host,
    enum store_found found, json_t *rec, const struct trouble *why)
{
	char *text;

	if (found == STORE_FAILED && r->last) {
		v->trouble = true;
		xasprintf(&text, "answered, and its record cannot be read: " TROUBLE_FMT,
		    TROUBLE_ARGS(why));
		say(v, host, NULL, NULL, text);
		free(text);
	} else if (found != STORE_FAILED && say_values(v, host, rec) == 0 && r->last) {
		say_no_value(v, host, rec);
	}
}

static void
values_on_record(enum store_found found, json_t *rec, const struct trouble *why, void *arg)
{
	struct values_reading *r = arg;
	struct values *v = r->v;
	char *host = r->host;

	r->host = NULL;
	assert(v->n_reading > 0);
	v->n_reading--;
	if (v->state != VALUES_ENDED && !is_shown(v, host))
		take_record(v, r, host, found, rec, why);
	free(host);
	if (ferror(stdout))
		v->req.on_gone(v->req.arg);
	else
		read_next(v);
}

static struct values_reading *
free_reading(struct values *v)
{
	for (size_t i = 0; i < READ_MAX; i++) {
		if (v->reading[i].host == NULL)
			return &v->reading[i];
	}
	return NULL;
}

/* The one writer of the state. */
static void
values_enter(struct values *v, enum values_state next)
{
	v->state = next;
	loop_timer_disarm(v->piece); /* what is read behind the last answer is printed as one */
	if (next == VALUES_ENDED)
		print_all(v);
}

static void
values_on_soon(void *arg)
{
	struct values *v = arg;

	if (v->state != VALUES_ENDING)
		return;
	v->req.on_print(v->req.arg);
	values_enter(v, VALUES_ENDED);
	v->req.on_end(v->req.arg);
}

static void
read_next(struct values *v)
{
	struct values_reading *r;

	while (v->next < v->hosts.n && v->n_reading < READ_MAX) {
		r = free_reading(v);
		*r = (struct values_reading){v, v->hosts.names[v->next], v->state == VALUES_ENDING};
		v->hosts.names[v->next++] = NULL;
		v->n_reading++;
		store_get(v->req.store, r->host, values_on_record, r);
	}
	if (v->state == VALUES_ENDING && v->n_reading == 0)
		loop_timer_arm(v->soon, 0);
}

/* --- what values.h offers --- */

struct values *
values_create(const struct values_request *req)
{
	struct values *v = xcalloc(1, sizeof(*v));

	v->req = *req;
	v->shown = json_object();
	v->json = json_array();
	v->answers = answers_create();
	v->failures = answers_create();
	v->missing = missing_part_create(req->output->show_path);
	v->failing = json_object();
	v->told = json_object();
	v->piece = loop_timer_create(req->loop, "values piece", values_on_piece, v);
	v->soon = loop_timer_create(req->loop, "values end", values_on_soon, v);
	return v;
}

void
values_destroy(struct values *v)
{
	if (v == NULL)
		return;
	for (size_t i = 0; i < READ_MAX; i++)
		free(v->reading[i].host);
	for (; v->next < v->hosts.n; v->next++)
		free(v->hosts.names[v->next]);
	free(v->hosts.names);
	json_decref(v->shown);
	json_decref(v->json);
	answers_destroy(v->answers);
	answers_destroy(v->failures);
	missing_part_destroy(v->missing);
	json_decref(v->failing);
	json_decref(v->told);
	loop_timer_destroy(v->piece);
	loop_timer_destroy(v->soon);
	free(v);
}

/* "failed: exit status 2"; malloced. */
static char *
failure_text(const struct outcome *o)
{
	char *why = o->why == NULL ? NULL : errtext_of_host(o->why), *text;

	xasprintf(&text, "%s%s%s", outcome_state_name(o->state), why == NULL ? "" : ": ",
	    why == NULL ? "" : why);
	free(why);
	return text;
}

static void
take_failure(struct values *v, const struct outcome *o)
{
	char *text;

	if (v->req.output->format != OUTPUT_TEXT || v->req.output->quiet)
		return; /* it is an event, or in the object; or not asked for */
	text = failure_text(o);
	answers_lack(v->failures, o->host, text);
	json_object_set_new(v->failing, o->host, json_string(text));
	print_soon(v);
	free(text);
}

bool
values_told(const struct values *v, const struct outcome *o)
{
	const char *told = json_string_value(json_object_get(v->told, o->host));
	char *text = failure_text(o);
	bool same = told != NULL && strcmp(told, text) == 0;

	free(text);
	return same;
}

void
values_take(struct values *v, const struct outcome *o)
{
	if (v->state != VALUES_FOLLOWING)
		return;
	if (o->state == OUTCOME_OK && o->why == NULL && !is_shown(v, o->host)) {
		hosts_add(&v->hosts, o->host);
		read_next(v);
	} else if (o->state == OUTCOME_FAILED || o->state == OUTCOME_TIMEOUT ||
		   o->state == OUTCOME_REFUSED) {
		take_failure(v, o);
	}
}

/* Looks again at who was not shown. A host that is ok with a why had its value not taken; in text
 * the summary says it. */
static void
look_again(const struct outcome *o, bool target, void *arg)
{
	struct values *v = arg;

	if (o->state != OUTCOME_OK || is_shown(v, o->host))
		return;
	if (o->why == NULL)
		hosts_add(&v->hosts, o->host);
	else if (v->req.output->format != OUTPUT_TEXT)
		say(v, o->host, NULL, NULL, o->why);
}

void
values_end(struct values *v, const struct fold *fold, int64_t now_ms)
{
	if (v->state != VALUES_FOLLOWING)
		return;
	values_enter(v, VALUES_ENDING);
	fold_each(fold, now_ms, look_again, v);
	read_next(v);
}

void
values_cut(struct values *v)
{
	if (v->state == VALUES_ENDED)
		return;
	values_enter(v, VALUES_ENDED);
	print_failures(v);
	fflush(stdout);
}

bool
values_have_trouble(const struct values *v)
{
	return v->trouble;
}

bool
values_lack_part(const struct values *v)
{
	return v->with_part == 0 && missing_part_any(v->missing);
}

json_t *
values_json(const struct values *v)
{
	return v->json;
}
