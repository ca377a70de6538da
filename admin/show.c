/* "show HOST [PLUGIN]": a record for people, or with --json as it is stored. */
#include "admin/verb.h"
#include "admin/view.h"

#include "shared/jsonx.h"
#include "shared/phrase.h"
#include "shared/store/store.h"

#include <stdio.h>
#include <string.h>

#define OUTPUT_MAX (64 * 1024 * 1024) /* a record is 7 MB at most; indenting may multiply that */

static void
print_value(struct verb_context *v, const json_t *value, bool pretty)
{
	struct buf out;

	buf_init(&out, OUTPUT_MAX);
	if (pretty ? jsonx_write_pretty(&out, value) : jsonx_write(&out, value)) {
		fwrite(out.data, 1, out.len, stdout);
		putchar('\n');
		verb_done(v, VERB_OK);
	} else {
		verb_fail(v, "%s: the record is too large to print; use --json", v->args[0]);
	}
	buf_finish(&out);
}

static void
print_head(const json_t *rec)
{
	const json_t *error = json_object_get(rec, "last_error");

	printf("host        %s\n", view_text(rec, "_id", "-"));
	printf("first seen  %s\n", view_text(rec, "created_at", "-"));
	printf("last seen   %s\n", view_text(rec, "updated_at", "-"));
	if (error == NULL)
		printf("last error  none\n");
	else
		printf("last error  %s  %s\n", view_text(error, "timestamp", "-"),
		    view_text(error, "message", "-"));
}

static void
print_plugin_line(const char *plugin, const json_t *meta)
{
	const json_t *failure = json_object_get(meta, "failure");

	printf("\n%s  (%s, collected %s", plugin, view_text(meta, "format", "-"),
	    view_text(meta, "collected_at", "-"));
	if (failure != NULL)
		printf("; failing since %s: %s", view_text(failure, "since", "-"),
		    view_text(failure, "message", "-"));
	printf(")\n");
}

static void
print_record(struct verb_context *v, const json_t *rec)
{
	json_t *plugins = view_plugins(rec), *name;
	const json_t *value;
	struct buf out;
	size_t i;

	print_head(rec);
	buf_init(&out, OUTPUT_MAX);
	json_array_foreach (plugins, i, name) {
		print_plugin_line(json_string_value(name), view_meta(rec, json_string_value(name)));
		value = json_object_get(rec, json_string_value(name));
		buf_reset(&out);
		if (value != NULL && jsonx_write_pretty(&out, value))
			printf("%s\n", out.data);
	}
	buf_finish(&out);
	json_decref(plugins);
	verb_done(v, VERB_OK);
}

/* One that the record knows, with a failure in the place of a value. */
static void
no_value_yet(struct verb_context *v, const json_t *meta)
{
	const json_t *failure = json_object_get(meta, "failure");

	fprintf(stderr, "vogeler-admin: %s has no value of \"%s\" yet: failing since %s: %s%s\n",
	    v->args[0], v->args[1], view_text(failure, "since", "-"),
	    view_text(failure, "message", "-"),
	    json_object_get(meta, "unparsed") == NULL ? ""
						      : PHRASE_CURE
		"\"vogeler-admin --json show HOST\" has what the plugin printed");
	verb_done(v, VERB_NO_SUCH_HOST);
}

static void
no_such_plugin(struct verb_context *v, const json_t *rec)
{
	json_t *plugins = view_plugins(rec), *name;
	char *asked = uri_mask(v->args[1]);
	size_t i;

	fprintf(stderr, "vogeler-admin: %s has no \"%s\"; it has:", v->args[0], asked);
	free(asked);
	json_array_foreach (plugins, i, name)
		fprintf(stderr, " %s", json_string_value(name));
	fputc('\n', stderr);
	json_decref(plugins);
	verb_done(v, VERB_NO_SUCH_HOST);
}

static void
show_on_record(enum store_found found, json_t *rec, const char *why, void *arg)
{
	struct verb_context *v = arg;
	const json_t *value, *meta;

	switch (found) {
	case STORE_FAILED:
		verb_fail(v, "cannot read %s from %s: %s", v->args[0], store_id(v->store), why);
		return;
	case STORE_MISSING:
		cli_complain("vogeler-admin",
		    "%s: no such host in %s; \"vogeler-admin hosts\" lists them", v->args[0],
		    store_id(v->store));
		verb_done(v, VERB_NO_SUCH_HOST);
		return;
	case STORE_FOUND:
		break;
	}
	if (v->args[1] == NULL) {
		if (v->json)
			print_value(v, rec, false);
		else
			print_record(v, rec);
		return;
	}
	value = json_object_get(rec, v->args[1]);
	meta = view_meta(rec, v->args[1]);
	if (value != NULL)
		print_value(v, value, !v->json);
	else if (meta != NULL)
		no_value_yet(v, meta);
	else
		no_such_plugin(v, rec);
}

void
verb_show(struct verb_context *v)
{
	store_get(v->store, v->args[0], show_on_record, v);
}
