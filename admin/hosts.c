/* "hosts": a table, or with --json an array of {host, first_seen, last_seen, plugins, last_error}.
 */
#include "admin/verb.h"
#include "admin/view.h"

#include "shared/jsonx.h"
#include "shared/store/store.h"
#include "shared/xalloc.h"

#include <libsmartcols/libsmartcols.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMN_HOST, COLUMN_SEEN, COLUMN_PLUGINS, COLUMN_ERROR };

struct hosts {
	struct verb_context *v;
	struct libscols_table *table;
	json_t *list; /* of --json */
};

static char *
joined(const json_t *names)
{
	struct buf b;
	size_t i;
	json_t *name;

	buf_init(&b, 64 * 1024);
	json_array_foreach (names, i, name)
		if (!buf_printf(&b, "%s%s", i == 0 ? "" : " ", json_string_value(name)))
			break; /* a table cell: more than 64 KiB of names is not for reading */
	return buf_take(&b, NULL);
}

static void
add_row(struct hosts *h, json_t *rec)
{
	struct libscols_line *line = scols_table_new_line(h->table, NULL);
	const json_t *error = json_object_get(rec, "last_error");
	json_t *names = view_plugins(rec);
	char *cell = joined(names);

	if (line == NULL)
		abort(); /* out of memory */
	scols_line_set_data(line, COLUMN_HOST, view_text(rec, "_id", ""));
	scols_line_set_data(line, COLUMN_SEEN, view_text(rec, "updated_at", ""));
	scols_line_set_data(line, COLUMN_PLUGINS, cell);
	scols_line_set_data(line, COLUMN_ERROR, view_text(error, "message", ""));
	free(cell);
	json_decref(names);
}

static void
add_object(struct hosts *h, json_t *rec)
{
	json_t *error = json_object_get(rec, "last_error");
	json_t *o = json_object();

	jsonx_set_str(o, "host", view_text(rec, "_id", ""));
	jsonx_set_str(o, "first_seen", view_text(rec, "created_at", ""));
	jsonx_set_str(o, "last_seen", view_text(rec, "updated_at", ""));
	json_object_set_new(o, "plugins", view_plugins(rec));
	json_object_set_new(o, "last_error", error == NULL ? json_null() : json_incref(error));
	json_array_append_new(h->list, o);
}

static void
print_json(const struct hosts *h)
{
	json_dumpf(h->list, stdout, JSON_INDENT(2));
	putchar('\n');
}

static void
print_table(const struct hosts *h)
{
	if (scols_table_get_nlines(h->table) == 0)
		fprintf(stderr, "no hosts yet: start vogeler-agent on one\n");
	else
		scols_print_table(h->table);
}

static void
hosts_free(struct hosts *h)
{
	scols_unref_table(h->table);
	json_decref(h->list);
	free(h);
}

static void
hosts_on_record(enum store_found found, json_t *rec, const char *why, void *arg)
{
	struct hosts *h = arg;

	switch (found) {
	case STORE_FOUND:
		if (h->v->json)
			add_object(h, rec);
		else
			add_row(h, rec);
		return;
	case STORE_FAILED:
		verb_fail(h->v, "cannot list the hosts in %s: %s", store_id(h->v->store), why);
		break;
	case STORE_MISSING: /* the end of the list */
		if (h->v->json)
			print_json(h);
		else
			print_table(h);
		verb_done(h->v, VERB_OK);
		break;
	}
	hosts_free(h);
}

void
verb_hosts(struct verb_context *v)
{
	struct hosts *h = xcalloc(1, sizeof(*h));

	h->v = v;
	h->list = json_array();
	h->table = scols_new_table();
	if (h->table == NULL)
		abort(); /* out of memory */
	scols_table_new_column(h->table, "HOST", 0, 0);
	scols_table_new_column(h->table, "LAST SEEN", 0, 0);
	scols_table_new_column(h->table, "PLUGINS", 0, SCOLS_FL_WRAP);
	scols_table_new_column(h->table, "LAST ERROR", 0, SCOLS_FL_WRAP);
	store_list(v->store, NULL, hosts_on_record, h);
}
