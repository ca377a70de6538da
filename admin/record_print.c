/* SPDX-License-Identifier: Apache-2.0 */
/* See record_print.h. */
#include "admin/record_print.h"

#include "admin/host_facts.h"
#include "admin/host_state.h"
#include "admin/record_view.h"

#include "shared/base/errtext.h"
#include "shared/base/printable.h"
#include "shared/base/units.h"
#include "shared/base/wallclock.h"
#include "shared/wire/jsonx.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OUTPUT_MAX (64 * 1024 * 1024) /* a record is 7 MB at most; indenting may multiply that */

/* Prints the orders where they are of use: of a host that is not heard, or was not. */
static void
print_orders(const json_t *rec)
{
	int64_t dropped, ahead = record_view_order_ahead(rec, wallclock_ms(), &dropped);
	char span[UNITS_SPAN_SIZE];

	if (ahead > 0)
		printable_line(stdout,
		    "orders      newest order is %s ahead of the clock: answers below it are dropped; "
		    "\"vogeler-admin forget-order %s\" mends it",
		    units_span(ahead, span), record_view_text(rec, "_id", "HOST"));
	if (dropped > 0)
		printf("older       %" PRId64 " answers dropped as older than what is here\n",
		    dropped);
}

/* A member that is a time, in the form that all lists have; "-" if it is missing. */
static const char *
when(const json_t *obj, const char *key, char out[HOST_STATE_WHEN_SIZE])
{
	return host_state_when(record_view_text(obj, key, "-"), wallclock_ms(), out);
}

static void
print_machines(const json_t *rec)
{
	static const char cure[] = "give one of them another [client] name";
	struct host_state_two two;
	char since[HOST_STATE_WHEN_SIZE];

	if (!host_state_two_machines(rec, wallclock_ms(), &two))
		return;
	host_state_when(two.since, wallclock_ms(), since);
	if (two.waits)
		printable_line(stdout,
		    "machines    the agent with the machine id %s waits for the queue of this name, "
		    "which another agent reads, as it said last at %s; %s",
		    two.other, since, cure);
	else
		printable_line(stdout,
		    "machines    two answer under this name since %s: those with the machine ids "
		    "%s and %s; %s",
		    since, two.id, two.other, cure);
}

/* A line for each that the record has: a host of 2010 says no version, and facts need a plugin. */
static void
print_facts(const json_t *rec)
{
	const char *version = host_state_version(rec), *address = host_facts_address(rec);
	char *os = host_facts_os(rec), *ids;
	json_t *machines = host_state_machines(rec);

	ids = record_view_joined(machines);

	if (version != NULL)
		printable_line(stdout, "agent       %s", version);
	if (os != NULL)
		printable_line(stdout, "os          %s", os);
	if (address != NULL)
		printable_line(stdout, "address     %s", address);
	if (ids[0] != '\0')
		printable_line(stdout, "machine id  %s", ids);
	free(ids);
	json_decref(machines);
	free(os);
}

static void
print_head(const json_t *rec, const char *contact)
{
	const json_t *error = json_object_get(rec, "last_error");
	char *message = errtext_of_host(record_view_text(error, "message", "-"));
	char at[HOST_STATE_WHEN_SIZE];

	printable_line(stdout, "host        %s", record_view_text(rec, "_id", "-"));
	printable_line(stdout, "contact     %s", contact);
	print_facts(rec);
	printable_line(stdout, "first seen  %s", when(rec, "created_at", at));
	printable_line(stdout, "last seen   %s", when(rec, "updated_at", at));
	if (error == NULL)
		printf("last error  none\n");
	else
		printable_line(stdout, "last error  %s  %s", when(error, "timestamp", at), message);
	free(message);
	print_machines(rec);
	print_orders(rec);
}

static void
print_plugin_line(const char *plugin, const json_t *meta)
{
	const json_t *failure = json_object_get(meta, "failure");
	const char *edited = json_is_true(json_object_get(meta, "edited"))
				 ? "; edited in the store, not what the host sent: its next answer "
				   "puts that right"
				 : "";
	char collected[HOST_STATE_WHEN_SIZE], since[HOST_STATE_WHEN_SIZE];
	char *message = errtext_of_plugin(plugin, record_view_text(failure, "message", "-"));

	when(meta, "collected_at", collected);
	putchar('\n');
	if (failure == NULL)
		printable_line(stdout, "%s  (%s, collected %s%s)", plugin,
		    record_view_text(meta, "format", "-"), collected, edited);
	else
		printable_line(stdout, "%s  (%s, collected %s%s; failing since %s: %s)", plugin,
		    record_view_text(meta, "format", "-"), collected, edited,
		    when(failure, "since", since), message);
	free(message);
}

/* Prints what was changed in reading: the value below is not quite what was printed. */
static void
print_notes(const json_t *meta)
{
	const json_t *note;
	size_t i;

	json_array_foreach (json_object_get(meta, "notes"), i, note)
		printable_line(stdout, "note: %s", json_string_value(note));
	json_array_foreach (json_object_get(json_object_get(meta, "failure"), "notes"), i, note)
		printable_line(stdout, "note on the failure: %s", json_string_value(note));
}

static void
print_indented(const json_t *value, struct buf *out)
{
	buf_reset(out);
	if (value != NULL && jsonx_write_pretty(out, value))
		printable_put(stdout, out->data, PRINTABLE_KEEP_BREAKS);
	putchar('\n');
}

void
record_print(const json_t *rec, const char *contact)
{
	json_t *plugins = record_view_plugins(rec), *others = record_view_others(rec), *name;
	struct buf out;
	size_t i;

	print_head(rec, contact);
	buf_init(&out, OUTPUT_MAX);
	json_array_foreach (plugins, i, name) {
		const json_t *meta = record_view_meta(rec, json_string_value(name));

		print_plugin_line(json_string_value(name), meta);
		print_notes(meta);
		print_indented(json_object_get(rec, json_string_value(name)), &out);
	}
	json_array_foreach (others, i, name) {
		putchar('\n');
		printable_line(stdout, "%s  (of no plugin: somebody else put it into the record)",
		    json_string_value(name));
		print_indented(json_object_get(rec, json_string_value(name)), &out);
	}
	buf_finish(&out);
	json_decref(plugins);
	json_decref(others);
}

void
record_print_value(const json_t *value)
{
	struct buf out;

	buf_init(&out, OUTPUT_MAX);
	print_indented(value, &out);
	buf_finish(&out);
}

bool
record_print_json(const json_t *value)
{
	struct buf out;
	bool ok;

	buf_init(&out, OUTPUT_MAX);
	ok = jsonx_write(&out, value);
	if (ok)
		fwrite(out.data, 1, out.len, stdout);
	putchar('\n');
	buf_finish(&out);
	return ok;
}
