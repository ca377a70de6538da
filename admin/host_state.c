/* SPDX-License-Identifier: Apache-2.0 */
/* See host_state.h. */
#include "admin/host_state.h"

#include "admin/record_view.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/store/record.h"
#include "shared/wire/jsonx.h"
#include "shared/wire/wire.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Agents write the timestamp of a last_error as Python's str(datetime.utcnow()) does,
 * "2010-09-26 06:16:29.609000"; all that the collector writes is as wallclock_format() has it. */
static bool
parse_time(const char *text, int64_t *ms)
{
	char ours[WALLCLOCK_TEXT_SIZE];

	if (wallclock_parse(text, ms))
		return true;
	if (strlen(text) < 19 || text[10] != ' ')
		return false;
	snprintf(ours, sizeof(ours), "%.10sT%.8sZ", text, text + 11);
	return wallclock_parse(ours, ms);
}

static int64_t
time_of(const json_t *obj, const char *key)
{
	int64_t at = 0;

	return parse_time(record_view_text(obj, key, ""), &at) ? at : 0;
}

static json_t *
metas_of(const json_t *head)
{
	return json_object_get(head, "vogeler");
}

/* The collector's time, which it has if its timestamp is of the host; of 0.1.0 that alone. */
static int64_t
error_at(const json_t *error)
{
	int64_t at = time_of(error, "received_at");

	return at != 0 ? at : time_of(error, "timestamp");
}

/* Compares by the orders that one machine gives its answers, or else by time. */
static bool
is_after(const json_t *meta, const json_t *error)
{
	json_int_t order = json_integer_value(json_object_get(meta, "order"));
	json_int_t of_error = json_integer_value(json_object_get(error, "order"));
	const char *machine = record_view_text(error, "machine_id", "");

	if (order > 0 && of_error > 0 &&
	    strcmp(record_view_text(meta, "machine_id", ""), machine) == 0)
		return order > of_error;
	return time_of(meta, "received_at") > error_at(error);
}

/* Says whether a good answer came after it: of that plugin, or NULL: of any. */
static bool
is_over(const json_t *error, const json_t *head, const char *plugin)
{
	const char *name;
	json_t *meta;

	json_object_foreach (metas_of(head), name, meta) {
		if (plugin != NULL && strcmp(name, plugin) != 0)
			continue;
		if (json_object_get(meta, "failure") == NULL && is_after(meta, error))
			return true;
	}
	return false;
}

static bool
is_named(const json_t *failing, const char *plugin)
{
	const json_t *each;
	size_t i;

	json_array_foreach (failing, i, each)
		if (plugin != NULL && strcmp(record_view_text(each, "plugin", ""), plugin) == 0)
			return true;
	return false;
}

/* When a plugin was heard last, good or not. */
static int64_t
heard_at(const json_t *meta)
{
	int64_t value = time_of(meta, "received_at");
	int64_t failure = time_of(json_object_get(meta, "failure"), "at");

	return failure > value ? failure : value;
}

/* An agent says it of itself. */
static bool
is_of_waiting(const json_t *error)
{
	return json_object_get(error, "plugin") == NULL &&
	       strncmp(
		   record_view_text(error, "message", ""), WIRE_WAITING, strlen(WIRE_WAITING)) == 0;
}

/* A failure that left no mark at a plugin: of the host as a whole, or of an answer that could not
 * be stored. */
static void
add_last_error(json_t *failing, const json_t *head)
{
	const json_t *error = json_object_get(head, "last_error");
	const char *plugin = record_view_text(error, "plugin", NULL);
	/* A refusal to run is no failure of a plugin, which the host may not even have. */
	bool refused = strcmp(record_view_text(error, "state", ""), "refused") == 0;
	json_t *one;

	if (error == NULL || is_of_waiting(error) || is_named(failing, plugin) ||
	    is_over(error, head, refused ? NULL : plugin))
		return;
	one = json_object();
	jsonx_set_str(one, "plugin", plugin);
	jsonx_set_str(one, "at",
	    record_view_text(error, "received_at", record_view_text(error, "timestamp", NULL)));
	jsonx_set_str(one, "state", record_view_text(error, "state", NULL));
	jsonx_set_str(one, "message", record_view_text(error, "message", ""));
	json_array_append_new(failing, one);
}

static int
newest_first(const void *a, const void *b)
{
	const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
	int64_t at_x = time_of(x, "at"), at_y = time_of(y, "at");

	if (at_x != at_y)
		return at_x > at_y ? -1 : 1;
	return strcmp(record_view_text(x, "plugin", ""), record_view_text(y, "plugin", ""));
}

static json_t *
sorted(json_t *list, int (*order)(const void *, const void *))
{
	size_t n = json_array_size(list), i;
	json_t **each = calloc(n + 1, sizeof(json_t *)), *out = json_array(), *one;

	if (each == NULL || out == NULL)
		xalloc_fail(0);
	json_array_foreach (list, i, one)
		each[i] = one;
	qsort(each, n, sizeof(json_t *), order);
	for (i = 0; i < n; i++)
		json_array_append(out, each[i]);
	free(each);
	json_decref(list);
	return out;
}

json_t *
host_state_failing(const json_t *head)
{
	json_t *failing = json_array(), *meta;
	const char *plugin;

	json_object_foreach (metas_of(head), plugin, meta) {
		const json_t *failure = json_object_get(meta, "failure");
		json_t *one = failure != NULL ? json_object() : NULL;

		if (one == NULL)
			continue;
		jsonx_set_str(one, "plugin", plugin);
		json_object_update(one, (json_t *)failure);
		json_array_append_new(failing, one);
	}
	add_last_error(failing, head);
	return sorted(failing, newest_first);
}

int64_t
host_state_clock_off(const json_t *head)
{
	int64_t most = INT64_MIN;
	const char *plugin;
	json_t *meta;

	json_object_foreach (metas_of(head), plugin, meta) {
		int64_t collected = time_of(meta, "collected_at");
		int64_t received = time_of(meta, "received_at");

		if (collected != 0 && received != 0 && collected - received > most)
			most = collected - received;
	}
	if (most == INT64_MIN || (most < HOST_STATE_CLOCK_MS && most > -HOST_STATE_CLOCK_MS))
		return 0;
	return most;
}

static int
by_text(const void *a, const void *b)
{
	return strcmp(
	    json_string_value(*(json_t *const *)a), json_string_value(*(json_t *const *)b));
}

json_t *
host_state_machines(const json_t *head)
{
	json_t *seen = json_object(), *list = json_array(), *meta;
	const char *name;

	json_object_foreach (metas_of(head), name, meta) {
		const char *id = record_view_text(meta, "machine_id", NULL);

		if (id == NULL || json_object_get(seen, id) != NULL)
			continue;
		json_object_set_new(seen, id, json_true());
		json_array_append_new(list, json_string(id));
	}
	json_decref(seen);
	return sorted(list, by_text);
}

/* When anything told that this machine is there. */
static int64_t
machine_heard_at(const json_t *head, const char *id)
{
	const char *name;
	int64_t last = 0;
	json_t *meta;

	json_object_foreach (metas_of(head), name, meta) {
		const json_t *other = json_object_get(meta, "other_machine");
		int64_t at = 0;

		if (strcmp(record_view_text(meta, "machine_id", ""), id) == 0)
			at = heard_at(meta);
		else if (strcmp(record_view_text(other, "machine_id", ""), id) == 0)
			at = time_of(other, "until");
		last = at > last ? at : last;
	}
	return last;
}

static bool
take_turns(const json_t *head, struct host_state_two *out)
{
	const char *name;
	json_t *meta;

	json_object_foreach (metas_of(head), name, meta) {
		const json_t *other = record_two_machines(meta);
		int64_t apart;

		if (other == NULL)
			continue;
		*out = (struct host_state_two){
		    .id = record_view_text(meta, "machine_id", "?"),
		    .other = record_view_text(other, "machine_id", "?"),
		    .since = record_view_text(other, "two_since", "?"),
		};
		apart = machine_heard_at(head, out->id) - machine_heard_at(head, out->other);
		if (apart < HOST_STATE_ALONE_MS && apart > -HOST_STATE_ALONE_MS)
			return true;
	}
	return false;
}

static const char *
last_heard_but(const json_t *head, const char *other)
{
	const char *name, *last = NULL;
	int64_t at = -1;
	json_t *meta;

	json_object_foreach (metas_of(head), name, meta) {
		const char *id = record_view_text(meta, "machine_id", NULL);

		if (id == NULL || strcmp(id, other) == 0 || heard_at(meta) <= at)
			continue;
		at = heard_at(meta);
		last = id;
	}
	return last;
}

bool
host_state_two_machines(const json_t *head, int64_t now_ms, struct host_state_two *out)
{
	const json_t *error = json_object_get(head, "last_error");

	if (take_turns(head, out))
		return true;
	if (!is_of_waiting(error) || now_ms - error_at(error) > HOST_STATE_WAITS_MS)
		return false;
	*out = (struct host_state_two){
	    .other = record_view_text(error, "machine_id", "?"),
	    .waits = true,
	    .since =
		record_view_text(error, "received_at", record_view_text(error, "timestamp", "?")),
	};
	out->id = last_heard_but(head, out->other);
	return true;
}

const char *
host_state_version(const json_t *head)
{
	const json_t *last = NULL;
	const char *name;
	int64_t at = 0;
	json_t *meta;

	json_object_foreach (metas_of(head), name, meta) {
		int64_t heard = heard_at(meta);
		json_int_t order = json_integer_value(json_object_get(meta, "order"));

		if (last != NULL &&
		    (heard < at || (heard == at &&
				       order < json_integer_value(json_object_get(last, "order")))))
			continue;
		last = meta;
		at = heard;
	}
	return record_view_text(last, "version", NULL);
}

const char *
host_state_at(const char *at, char out[HOST_STATE_AT_SIZE])
{
	int64_t ms;

	if (parse_time(at, &ms))
		wallclock_format_s(ms, out);
	else
		snprintf(out, HOST_STATE_AT_SIZE, "%s", at);
	return out;
}

const char *
host_state_age(const char *at, int64_t now_ms, char out[HOST_STATE_AGE_SIZE])
{
	int64_t then;

	out[0] = '\0';
	return at != NULL && parse_time(at, &then) ? wallclock_age(then, now_ms, out) : out;
}

const char *
host_state_when(const char *at, int64_t now_ms, char out[HOST_STATE_WHEN_SIZE])
{
	char text[HOST_STATE_AT_SIZE], age[HOST_STATE_AGE_SIZE];

	host_state_at(at, text);
	host_state_age(at, now_ms, age);
	if (age[0] == '\0')
		snprintf(out, HOST_STATE_WHEN_SIZE, "%s", text);
	else
		snprintf(out, HOST_STATE_WHEN_SIZE, "%s (%s)", text, age);
	return out;
}
