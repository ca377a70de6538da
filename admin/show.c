/* SPDX-License-Identifier: Apache-2.0 */
/* "show HOST [PLUGIN [PATH]]": a record for people, or with --json as it is stored. */
#include "admin/contact.h"
#include "admin/host_state.h"
#include "admin/missing.h"
#include "admin/record_print.h"
#include "admin/record_view.h"
#include "admin/show_many.h"
#include "admin/verb.h"

#include "shared/base/errtext.h"
#include "shared/base/trouble.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/config/complain.h"
#include "shared/print/answers.h"
#include "shared/store/store.h"
#include "shared/target/missing_part.h"
#include "shared/target/value_path.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
print_json(struct verb_context *v, const json_t *value)
{
	if (record_print_json(value))
		verb_done(v, VERB_OK);
	else
		verb_fail(v, "%s: too large to print", v->args[0]);
}

/* One that the record knows, with a failure in the place of a value, or with nothing. */
static void
no_value_yet(struct verb_context *v, const json_t *meta)
{
	const json_t *failure = json_object_get(meta, "failure");
	char since[HOST_STATE_WHEN_SIZE], *message;

	if (failure == NULL) {
		complain_line("vogeler-admin",
		    "%s has no value of \"%s\": it was removed in the store" TROUBLE_CURE
		    "vogeler-runner -n %s -x %s brings it back",
		    v->args[0], v->args[1], v->args[0], v->args[1]);
		verb_done(v, VERB_NO_SUCH_HOST);
		return;
	}
	message = errtext_of_plugin(v->args[1], record_view_text(failure, "message", "-"));
	host_state_when(record_view_text(failure, "since", "-"), wallclock_ms(), since);
	if (json_object_get(meta, "unparsed") == NULL)
		complain_line("vogeler-admin",
		    "%s has no value of \"%s\" yet: failing since %s: %s", v->args[0], v->args[1],
		    since, message);
	else
		complain_line("vogeler-admin",
		    "%s has no value of \"%s\" yet: failing since %s: %s" TROUBLE_CURE
		    "\"vogeler-admin --json show %s\" has what the plugin printed",
		    v->args[0], v->args[1], since, message, v->args[0]);
	free(message);
	verb_done(v, VERB_NO_SUCH_HOST);
}

static void
no_such_plugin(struct verb_context *v, const json_t *rec)
{
	json_t *plugins = record_view_plugins(rec);
	char *names = record_view_some(plugins);
	const char *near = record_view_near(plugins, v->args[1]);

	if (near != NULL)
		complain_line("vogeler-admin", "%s has no \"%s\"; did you mean %s? It has: %s",
		    v->args[0], v->args[1], near, names);
	else
		complain_line("vogeler-admin", "%s has no \"%s\"; it has: %s", v->args[0],
		    v->args[1], names[0] != '\0' ? names : "nothing yet");
	free(names);
	json_decref(plugins);
	verb_done(v, VERB_NO_SUCH_HOST);
}

/* Names the part that there still is, and what is in it. */
static void
no_such_part(struct verb_context *v, const json_t *last, size_t len)
{
	struct missing_part *missing = missing_part_create(v->args[2]);
	char *there;

	missing_part_add(missing, last, len);
	there = missing_part_text(missing);
	complain_line(
	    "vogeler-admin", "%s: \"%s\" has no %s; %s", v->args[0], v->args[1], v->args[2], there);
	free(there);
	missing_part_destroy(missing);
	verb_done(v, VERB_NO_SUCH_HOST);
}

static void
print_value(struct verb_context *v, const json_t *value)
{
	const char *path = v->args[2];
	const json_t *last;
	size_t len;

	if (path != NULL) {
		value = value_path_get(value, path, &last, &len);
		if (value == NULL) {
			no_such_part(v, last, len);
			return;
		}
	}
	if (v->json) {
		print_json(v, value);
		return;
	}
	if (path != NULL)
		answers_print_value(stdout, value);
	else
		record_print_value(value);
	verb_done(v, VERB_OK);
}

/* The record waits for it. */
struct showing {
	struct verb_context *v;
	json_t *rec;
	struct contact_reading reading;
};

static void
show_on_contacts(struct contacts *contacts, const struct trouble *why, void *arg)
{
	struct showing *s = arg;
	char *contact = contact_sentence(contacts, s->rec, wallclock_ms());

	record_print(s->rec, contact);
	verb_done(s->v, VERB_OK);
	free(contact);
	contacts_destroy(contacts);
	json_decref(s->rec);
	free(s);
}

static void
print_record(struct verb_context *v, json_t *rec)
{
	const json_t *value, *meta;
	struct showing *s;

	if (v->args[1] == NULL && v->json) {
		print_json(v, rec);
		return;
	}
	if (v->args[1] == NULL) {
		s = xcalloc(1, sizeof(*s));
		s->v = v;
		s->rec = json_incref(rec);
		contact_read(&s->reading, v->store, show_on_contacts, s);
		return;
	}
	value = json_object_get(rec, v->args[1]);
	meta = record_view_meta(rec, v->args[1]);
	if (value != NULL)
		print_value(v, value);
	else if (meta != NULL)
		no_value_yet(v, meta);
	else
		no_such_plugin(v, rec);
}

static void
show_on_record(enum store_found found, json_t *rec, const struct trouble *why, void *arg)
{
	struct verb_context *v = arg;

	if (found == STORE_FOUND)
		print_record(v, rec);
	else
		missing_end(v, found, why);
}

void
verb_show(struct verb_context *v)
{
	const char *path = v->args[1] == NULL ? NULL : v->args[2], *why;

	why = path == NULL ? NULL : value_path_error(path);
	if (why != NULL)
		cli_usage_error(v->cli, "show: the path \"%s\": %s", path, why);
	if (!show_many(v))
		store_get(v->store, v->args[0], show_on_record, v);
}
