/* SPDX-License-Identifier: Apache-2.0 */
/* Records and parts of them, out of the tables of the sqlite backend. See sqlite.h. */
#include "shared/store/sqlite/sqlite.h"

#include "shared/base/buf.h"
#include "shared/base/xalloc.h"
#include "shared/store/head.h"
#include "shared/wire/jsonx.h"

#include <stdlib.h>
#include <string.h>

#define RECORD_TEXT_MAX (512 * 1024 * 1024)

bool
sqlite_read_head(struct sqldb *db, struct record_head *head, struct sqlite_head *row)
{
	bool ok;
	int rc;

	*row = (struct sqlite_head){0};
	sqldb_bind_str(db, STMT_HOST_GET, 1, head->host);
	rc = sqldb_step(db, STMT_HOST_GET);
	if (rc != SQLITE_ROW)
		return rc == SQLITE_DONE;
	row->id = sqldb_column_int(db, STMT_HOST_GET, 0);
	row->found = !sqldb_column_is_null(db, STMT_HOST_GET, 1);
	head->created_at = sqldb_column_int(db, STMT_HOST_GET, 1);
	head->updated_at = sqldb_column_int(db, STMT_HOST_GET, 2);
	ok = sqldb_column_json(db, STMT_HOST_GET, 3, &head->last_error);
	sqldb_column_text(db, STMT_HOST_GET, 3, &row->error_bytes);
	sqldb_done(db, STMT_HOST_GET);
	return ok;
}

/* The name of the plugin stands behind the columns of the fact. NULL: damaged. */
static const char *
read_plugin(struct sqldb *db, enum stmt which)
{
	size_t len;
	const char *name = sqldb_column_text(db, which, SQLITE_FACT_COLUMNS, &len);

	if (name == NULL)
		sqldb_damaged(db, "damaged: a row leads to another that is not there");
	return name;
}

static void
note_heard(struct record_head *head, const struct sqlite_fact *row)
{
	if (row->heard_at > head->updated_at)
		head->updated_at = row->heard_at;
}

/* ---- records ---- */

#define FIRST_OF_VERSION   (SQLITE_FACT_COLUMNS + 1)
#define COLUMN_OF_UNPARSED (FIRST_OF_VERSION + SQLITE_VERSION_COLUMNS)

struct facts {
	char **plugins;
	struct fact *list;
	size_t n;
};

static void
facts_finish(struct facts *f)
{
	size_t i;

	for (i = 0; i < f->n; i++) {
		free(f->plugins[i]);
		fact_finish(&f->list[i]);
	}
	free(f->plugins);
	free(f->list);
}

static bool
read_unparsed(struct sqldb *db, json_t *meta)
{
	size_t len;
	const char *text;

	if (json_object_get(meta, "unparsed") == NULL)
		return true;
	text = sqldb_column_text(db, STMT_FACTS_OF, COLUMN_OF_UNPARSED, &len);
	if (text == NULL)
		sqldb_damaged(db, "damaged: a text is not there");
	else
		jsonx_set_str(meta, "unparsed", text);
	return text != NULL;
}

static bool
read_fact(struct sqldb *db, struct record_head *head, const char *plugin, struct fact *fact)
{
	struct sqlite_fact row = {.plugin_name = plugin, .host_name = head->host};

	if (!sqlite_fact_read(db, STMT_FACTS_OF, &row, &fact->meta) ||
	    !sqlite_value_read(
		db, STMT_FACTS_OF, FIRST_OF_VERSION, row.version, &fact->value, &fact->value_len) ||
	    !read_unparsed(db, fact->meta))
		return false;
	if (row.version != 0)
		sqlite_value_read_meta(db, STMT_FACTS_OF, FIRST_OF_VERSION, fact->meta);
	note_heard(head, &row);
	return true;
}

static bool
facts_add(struct sqldb *db, struct record_head *head, struct facts *f)
{
	const char *plugin = read_plugin(db, STMT_FACTS_OF);

	if (plugin == NULL)
		return false;
	f->plugins = xreallocarray(f->plugins, f->n + 1, sizeof(*f->plugins));
	f->list = xreallocarray(f->list, f->n + 1, sizeof(*f->list));
	f->plugins[f->n] = xstrdup(plugin);
	f->list[f->n] = (struct fact){0};
	f->n++;
	return read_fact(db, head, f->plugins[f->n - 1], &f->list[f->n - 1]);
}

static bool
read_facts(struct sqldb *db, int64_t host, struct record_head *head, struct facts *f)
{
	int rc;

	sqldb_bind_int(db, STMT_FACTS_OF, 1, host);
	rc = sqldb_step(db, STMT_FACTS_OF);
	for (; rc == SQLITE_ROW; rc = sqldb_step(db, STMT_FACTS_OF)) {
		if (!facts_add(db, head, f)) {
			sqldb_done(db, STMT_FACTS_OF);
			return false;
		}
	}
	return rc == SQLITE_DONE;
}

static json_t *
record_parse(struct sqldb *db, const struct record_head *head, const struct facts *f, size_t *bytes)
{
	json_t *rec = NULL;
	struct buf text;
	char err[256];

	buf_init(&text, RECORD_TEXT_MAX);
	if (!record_write(&text, head, NULL, (const char *const *)f->plugins, f->list, f->n)) {
		sqldb_fail(db, NULL, "out of memory");
	} else {
		rec = jsonx_parse_stored(text.data, text.len, err, sizeof(err));
		*bytes += text.len;
		if (rec == NULL)
			sqldb_damaged(db, err);
	}
	buf_finish(&text);
	return rec;
}

enum store_found
sqlite_read(struct sqldb *db, const char *host, json_t **rec, size_t *bytes)
{
	struct record_head head = {.host = xstrdup(host)};
	struct facts facts = {0};
	struct sqlite_head row;
	bool ok;

	ok = sqlite_read_head(db, &head, &row);
	if (ok && row.found) {
		*rec = read_facts(db, row.id, &head, &facts)
			   ? record_parse(db, &head, &facts, bytes)
			   : NULL;
		ok = *rec != NULL;
	}
	facts_finish(&facts);
	record_head_finish(&head);
	if (!ok)
		return STORE_FAILED;
	return row.found ? STORE_FOUND : STORE_MISSING;
}

/* ---- heads ---- */

static bool
add_meta(struct sqldb *db, struct record_head *head, json_t *metas, size_t *bytes)
{
	struct sqlite_fact row = {
	    .plugin_name = read_plugin(db, STMT_METAS_OF), .host_name = head->host};
	json_t *meta;

	if (row.plugin_name == NULL || !sqlite_fact_read(db, STMT_METAS_OF, &row, &meta))
		return false;
	*bytes += row.meta_bytes;
	note_heard(head, &row);
	if (json_object_set_new(metas, row.plugin_name, meta) != 0)
		xalloc_fail(0);
	return true;
}

static bool
add_metas(struct sqldb *db, int64_t host, struct record_head *head, json_t *metas, size_t *bytes)
{
	int rc;

	sqldb_bind_int(db, STMT_METAS_OF, 1, host);
	rc = sqldb_step(db, STMT_METAS_OF);
	for (; rc == SQLITE_ROW; rc = sqldb_step(db, STMT_METAS_OF)) {
		if (!add_meta(db, head, metas, bytes)) {
			sqldb_done(db, STMT_METAS_OF);
			return false;
		}
	}
	return rc == SQLITE_DONE;
}

enum store_found
sqlite_read_heading(struct sqldb *db, const char *host, json_t **head, size_t *bytes)
{
	struct record_head row = {.host = xstrdup(host)};
	json_t *metas = json_object();
	struct sqlite_head found;
	bool ok;

	ok = sqlite_read_head(db, &row, &found);
	*bytes += found.error_bytes;
	if (ok && found.found) {
		ok = add_metas(db, found.id, &row, metas, bytes);
		if (ok)
			*head = head_of_metas(&row, metas);
	}
	json_decref(metas);
	record_head_finish(&row);
	if (!ok)
		return STORE_FAILED;
	return found.found ? STORE_FOUND : STORE_MISSING;
}

/* ---- values ---- */

static bool
take_value(struct sqldb *db, json_t *rec, const char *plugin, size_t *bytes)
{
	json_t *value = NULL;
	char err[256], *text;
	size_t len;
	bool ok = sqlite_value_read(
	    db, STMT_VALUE_OF, 1, sqldb_column_int(db, STMT_VALUE_OF, 0), &text, &len);

	*bytes += len;
	if (ok && text != NULL) {
		value = jsonx_parse_stored(text, len, err, sizeof(err));
		ok = value != NULL && json_object_set_new(rec, plugin, value) == 0;
		if (!ok)
			sqldb_damaged(db, "a value is not JSON");
	}
	free(text);
	return ok;
}

/* Adds the value of one plugin, if the host has it. */
static bool
read_value(struct sqldb *db, json_t *rec, int64_t host, const char *plugin, size_t *bytes)
{
	bool ok;
	int rc;

	sqldb_bind_int(db, STMT_VALUE_OF, 1, host);
	sqldb_bind_str(db, STMT_VALUE_OF, 2, plugin);
	rc = sqldb_step(db, STMT_VALUE_OF);
	if (rc != SQLITE_ROW)
		return rc == SQLITE_DONE;
	ok = take_value(db, rec, plugin, bytes);
	sqldb_done(db, STMT_VALUE_OF);
	return ok;
}

enum store_found
sqlite_read_values(struct sqldb *db, const char *host, char *const plugins[], size_t n_plugins,
    json_t **rec, size_t *bytes)
{
	int64_t id;
	int rc = sqlite_find_host(db, host, &id);
	bool ok = true;

	if (rc != SQLITE_ROW)
		return rc == SQLITE_DONE ? STORE_MISSING : STORE_FAILED;
	*rec = json_object();
	jsonx_set_str(*rec, "_id", host);
	for (size_t i = 0; ok && i < n_plugins; i++)
		ok = read_value(db, *rec, id, plugins[i], bytes);
	if (ok)
		return STORE_FOUND;
	json_decref(*rec);
	*rec = NULL;
	return STORE_FAILED;
}
