/* SPDX-License-Identifier: Apache-2.0 */
/* "hosts [HOSTS...]": a table, or with --json an array of objects. */
#include "admin/contact.h"
#include "admin/host_state.h"
#include "admin/meant.h"
#include "admin/record_view.h"
#include "admin/verb.h"

#include "shared/base/errtext.h"
#include "shared/base/trouble.h"
#include "shared/base/units.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/config/complain.h"
#include "shared/print/table.h"
#include "shared/store/store.h"
#include "shared/wire/jsonx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	COLUMN_HOST,
	COLUMN_STATE,
	COLUMN_SEEN,
	COLUMN_AGE,
	COLUMN_CLOCK,
	COLUMN_VERSION,
	COLUMN_PLUGINS,
	COLUMN_ERROR
};

struct listing {
	struct verb_context *v;
	struct table *table;
	struct contact_reading reading;
	struct contacts *contacts;
	struct trouble *contact_lack; /* why they say nothing of now; NULL = they do */
	bool clocks;                  /* one of them is off */
	json_t *list;                 /* of --json */
	struct meant meant;           /* nobody was named: all */
};

static void
set_plugins(struct listing *h, const json_t *rec)
{
	json_t *plugins = record_view_plugins(rec);
	char *text;

	if (h->v->verbose)
		text = record_view_joined(plugins);
	else
		xasprintf(&text, "%zu", json_array_size(plugins));
	table_cell(h->table, COLUMN_PLUGINS, text);
	free(text);
	json_decref(plugins);
}

static void
set_clock(struct listing *h, const json_t *rec)
{
	int64_t off = host_state_clock_off(rec);
	char span[UNITS_SPAN_SIZE], text[UNITS_SPAN_SIZE + 2];

	if (off == 0)
		return;
	h->clocks = true;
	snprintf(text, sizeof(text), "%c%s", off > 0 ? '+' : '-',
	    units_span(off > 0 ? off : -off, span));
	table_cell(h->table, COLUMN_CLOCK, text);
}

/* "df 2 h ago: no disk; and 2 more". The caller frees it. */
static char *
failing_text(const json_t *rec, int64_t now)
{
	json_t *failing = host_state_failing(rec);
	const json_t *newest = json_array_get(failing, 0);
	const char *plugin = record_view_text(newest, "plugin", "");
	char age[HOST_STATE_AGE_SIZE], more[32] = "", *text;
	char *message = errtext_of_plugin(plugin, record_view_text(newest, "message", ""));
	size_t n = json_array_size(failing);

	host_state_age(record_view_text(newest, "at", NULL), now, age);
	if (n > 1)
		snprintf(more, sizeof(more), "; and %zu more", n - 1);
	if (n == 0)
		text = xstrdup("");
	else
		xasprintf(&text, "%s%s%s%s%s%s", plugin,
		    plugin[0] != '\0' && age[0] != '\0' ? " " : "", age,
		    plugin[0] != '\0' || age[0] != '\0' ? ": " : "", message, more);
	free(message);
	json_decref(failing);
	return text;
}

/* Says what is wrong with the host as such, before what fails of it; malloced. */
static char *
trouble_of(const json_t *rec, int64_t now)
{
	struct host_state_two two;
	int64_t dropped, ahead = record_view_order_ahead(rec, now, &dropped);
	char span[UNITS_SPAN_SIZE], *text;

	if (host_state_two_machines(rec, now, &two))
		xasprintf(&text, "another machine has this name: %s%s%s%s", two.waits ? "" : two.id,
		    two.waits ? "" : " and ", two.other,
		    two.waits ? " waits for its queue" : " answer");
	else if (ahead > 0 && dropped > 0) /* else it is the clock, which has a column */
		xasprintf(&text, "newest order is %s ahead, answers were dropped as older",
		    units_span(ahead, span));
	else
		text = xstrdup("");
	return text;
}

static void
set_error(struct listing *h, const json_t *rec, int64_t now)
{
	char *failing = failing_text(rec, now), *trouble = trouble_of(rec, now), *text;

	xasprintf(&text, "%s%s%s", trouble, trouble[0] != '\0' && failing[0] != '\0' ? "; " : "",
	    failing);
	table_cell(h->table, COLUMN_ERROR, text);
	free(text);
	free(trouble);
	free(failing);
}

static void
add_row(struct listing *h, json_t *rec)
{
	const char *seen = record_view_text(rec, "updated_at", ""),
		   *version = host_state_version(rec);
	char age[HOST_STATE_AGE_SIZE], at[HOST_STATE_AT_SIZE], contact[CONTACT_TEXT_SIZE];
	int64_t now = wallclock_ms();

	table_row(h->table);
	table_cell(h->table, COLUMN_HOST, record_view_text(rec, "_id", ""));
	table_cell(h->table, COLUMN_STATE, contact_text(h->contacts, rec, now, contact));
	table_cell(h->table, COLUMN_SEEN, host_state_at(seen, at));
	table_cell(h->table, COLUMN_AGE, host_state_age(seen, now, age));
	set_clock(h, rec);
	table_cell(h->table, COLUMN_VERSION, version != NULL ? version : "-");
	set_plugins(h, rec);
	set_error(h, rec, now);
}

static void
add_machines(json_t *o, const json_t *rec)
{
	struct host_state_two two;
	json_t *ids;

	if (!host_state_two_machines(rec, wallclock_ms(), &two))
		return;
	ids = json_array();
	if (two.id != NULL)
		json_array_append_new(ids, json_string(two.id));
	json_array_append_new(ids, json_string(two.other));
	json_object_set_new(o, "machines", ids);
	jsonx_set_str(o, "two_machines_since", two.since);
}

static void
add_object(struct listing *h, json_t *rec)
{
	json_t *error = json_object_get(rec, "last_error");
	const char *version = host_state_version(rec);
	json_t *o = json_object();
	int64_t dropped, ahead = record_view_order_ahead(rec, wallclock_ms(), &dropped);
	int64_t off = host_state_clock_off(rec);

	jsonx_set_str(o, "host", record_view_text(rec, "_id", ""));
	json_object_set_new(o, "contact", contact_json(h->contacts, rec, wallclock_ms()));
	jsonx_set_str(o, "first_seen", record_view_text(rec, "created_at", ""));
	jsonx_set_str(o, "last_seen", record_view_text(rec, "updated_at", ""));
	json_object_set_new(o, "version", version != NULL ? json_string(version) : json_null());
	json_object_set_new(o, "plugins", record_view_plugins(rec));
	json_object_set_new(o, "last_error", error == NULL ? json_null() : json_incref(error));
	json_object_set_new(o, "failing", host_state_failing(rec));
	json_object_set_new(o, "machine_ids", host_state_machines(rec));
	if (off != 0)
		jsonx_set_int(o, "clock_off_ms", off);
	if (ahead > 0)
		jsonx_set_int(o, "order_ahead_ms", ahead);
	if (dropped > 0)
		jsonx_set_int(o, "dropped_as_older", dropped);
	add_machines(o, rec);
	json_array_append_new(h->list, o);
}

static void
print_json(const struct listing *h)
{
	json_dumpf(h->list, stdout, JSON_INDENT(2));
	putchar('\n');
}

static void
print_table(const struct listing *h)
{
	if (table_rows(h->table) == 0 && h->meant.known.n > 0)
		return; /* who was named and is not there is told */
	if (table_rows(h->table) == 0) {
		fprintf(stderr, "no hosts yet: start vogeler-agent on one\n");
		return;
	}
	if (!h->clocks) /* there is little room, and nothing to be said */
		table_hide(h->table, COLUMN_CLOCK);
	if (!h->v->verbose)
		table_hide(h->table, COLUMN_VERSION);
	table_print(stdout, h->table);
}

static void
listing_finish(void *arg)
{
	struct listing *h = arg;

	meant_finish(&h->meant);
	table_destroy(h->table);
	contacts_destroy(h->contacts);
	free(h->contact_lack);
	json_decref(h->list);
	free(h);
}

static bool
is_meant(struct listing *h, const char *host)
{
	if (h->v->args[0] == NULL)
		return true;
	hosts_add(&h->meant.known, host);
	return targets_include(&h->meant.targets, host);
}

/* Tells which of those that were named are missing. */
static int
tell_missing(struct listing *h)
{
	if (h->v->args[0] == NULL)
		return VERB_OK;
	return meant_tell_missing(&h->meant) == 0 ? VERB_OK : VERB_NO_SUCH_HOST;
}

static void
hosts_on_record(enum store_found found, json_t *rec, const struct trouble *why, void *arg)
{
	struct listing *h = arg;

	switch (found) {
	case STORE_FOUND:
		if (!is_meant(h, record_view_text(rec, "_id", "")))
			return;
		if (h->v->json)
			add_object(h, rec);
		else
			add_row(h, rec);
		return;
	case STORE_FAILED:
		verb_fail_trouble(h->v, why, "cannot list the hosts in %s", store_id(h->v->store));
		break;
	case STORE_MISSING: /* the end of the list */
		if (h->v->json)
			print_json(h);
		else
			print_table(h);
		if (h->contact_lack != NULL &&
		    (table_rows(h->table) > 0 || json_array_size(h->list) > 0))
			complain_line("vogeler-admin", "which hosts are online is " TROUBLE_FMT,
			    TROUBLE_ARGS(h->contact_lack));
		if (store_lists_slowly(h->v->store))
			complain_line("vogeler-admin",
			    "%s: every record was read whole to list the hosts: the view for it is "
			    "not there" TROUBLE_CURE
			    "run \"vogeler-admin setup\" with an administrator's user",
			    store_id(h->v->store));
		fflush(stdout);
		verb_done(h->v, tell_missing(h));
		break;
	}
}

static void
hosts_on_contacts(struct contacts *contacts, const struct trouble *why, void *arg)
{
	struct listing *h = arg;

	h->contacts = contacts;
	h->contact_lack = contact_lack(contacts, why, wallclock_ms());
	store_heads(h->v->store, hosts_on_record, h);
}

static void
hosts_on_meant(void *arg)
{
	struct listing *h = arg;

	contact_read(&h->reading, h->v->store, hosts_on_contacts, h);
}

void
verb_hosts(struct verb_context *v)
{
	struct listing *h = xcalloc(1, sizeof(*h));

	h->v = v;
	h->list = json_array();
	h->table = table_create();
	table_column(h->table, "HOST", TABLE_WHOLE);
	table_column(h->table, "STATE", TABLE_WHOLE);
	table_column(h->table, "LAST SEEN", TABLE_WHOLE);
	table_column(h->table, "AGE", TABLE_RIGHT);
	table_column(h->table, "CLOCK", TABLE_WHOLE);
	table_column(h->table, "VERSION", TABLE_WHOLE);
	table_column(h->table, "PLUGINS", v->verbose ? TABLE_WORDS : TABLE_RIGHT);
	table_column(h->table, "LAST ERROR", TABLE_WORDS);
	meant_init(&h->meant, v, "hosts", v->args);
	v->finish = listing_finish;
	v->finish_arg = h;
	meant_ask(&h->meant, hosts_on_meant, h);
}
