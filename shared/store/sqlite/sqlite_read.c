/* SPDX-License-Identifier: Apache-2.0 */
/* Records and parts of them, out of the tables of the sqlite backend. See sqlite.h. */
#include "shared/store/sqlite/sqlite.h"

#include "shared/base/buf.h"
#include "shared/base/xalloc.h"
#include "shared/store/head.h"
#include "shared/store/sql/fact_columns.h"
#include "shared/wire/jsonx.h"

#include <stdlib.h>
#include <string.h>

#define RECORD_TEXT_MAX (512 * 1024 * 1024)
#define HEAD_BYTES      300 /* of a plugin, about */

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

/* NULL: damaged. */
static const char *
read_plugin(struct sqldb *db, enum stmt which, int column)
{
	size_t len;
	const char *name = sqldb_column_text(db, which, column, &len);

	if (name == NULL)
		sqldb_damaged(db, "damaged: a row leads to another that is not there");
	return name;
}

static void
note_heard(struct record_head *head, int64_t heard_at)
{
	if (heard_at > head->updated_at)
		head->updated_at = heard_at;
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

	bool ok = sqlite_fact_read(db, STMT_FACTS_OF, &row, &fact->meta);

	sqlite_fact_finish(&row);
	if (!ok ||
	    !sqlite_value_read(
		db, STMT_FACTS_OF, FIRST_OF_VERSION, row.version, &fact->value, &fact->value_len) ||
	    !read_unparsed(db, fact->meta))
		return false;
	if (row.version != 0)
		sqlite_value_read_meta(db, STMT_FACTS_OF, FIRST_OF_VERSION, fact->meta);
	note_heard(head, row.heard_at);
	return true;
}

static bool
facts_add(struct sqldb *db, struct record_head *head, struct facts *f)
{
	const char *plugin = read_plugin(db, STMT_FACTS_OF, SQLITE_FACT_COLUMNS);

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

enum head_column {
	HEAD_PLUGIN,
	HEAD_ORD,
	HEAD_RECEIVED_AT,
	HEAD_COLLECTED_AT,
	HEAD_MACHINE,
	HEAD_MACHINE_ID,
	HEAD_AGENT,
	HEAD_META,
};

static bool
read_head_row(struct sqldb *db, struct fact_columns *c)
{
	const enum stmt which = STMT_HEADS_OF;
	size_t len;

	*c = (struct fact_columns){.duration_ms = -1, .exit_status = -1, .format = -1};
	c->order = sqldb_column_int(db, which, HEAD_ORD);
	c->received_at = sqldb_column_int(db, which, HEAD_RECEIVED_AT);
	c->collected_at = sqldb_column_int(db, which, HEAD_COLLECTED_AT);
	if (!sqldb_column_is_null(db, which, HEAD_MACHINE)) {
		c->machine_id = sqldb_column_text(db, which, HEAD_MACHINE_ID, &len);
		c->version = sqldb_column_text(db, which, HEAD_AGENT, &len);
		if (c->machine_id == NULL || c->version == NULL) {
			sqldb_damaged(db, "damaged: a row leads to another that is not there");
			return false;
		}
		if (c->machine_id[0] == '\0')
			c->machine_id = NULL;
		if (c->version[0] == '\0')
			c->version = NULL;
	}
	return sqldb_column_json(db, which, HEAD_META, &c->rest);
}

static bool
add_to_head(struct sqldb *db, struct record_head *row, json_t *head, size_t *bytes)
{
	const char *plugin = read_plugin(db, STMT_HEADS_OF, HEAD_PLUGIN);
	struct fact_columns c;
	bool ok = plugin != NULL && read_head_row(db, &c);

	if (!ok)
		return false;
	*bytes += strlen(plugin) + HEAD_BYTES;
	note_heard(row, c.received_at);
	head_add(head, plugin, fact_columns_meta(&c));
	fact_columns_finish(&c);
	return true;
}

static bool
add_all_to_head(
    struct sqldb *db, int64_t host, struct record_head *row, json_t *head, size_t *bytes)
{
	int rc;

	sqldb_bind_int(db, STMT_HEADS_OF, 1, host);
	rc = sqldb_step(db, STMT_HEADS_OF);
	for (; rc == SQLITE_ROW; rc = sqldb_step(db, STMT_HEADS_OF)) {
		if (!add_to_head(db, row, head, bytes)) {
			sqldb_done(db, STMT_HEADS_OF);
			return false;
		}
	}
	return rc == SQLITE_DONE;
}

enum store_found
sqlite_read_heading(struct sqldb *db, const char *host, json_t **head, size_t *bytes)
{
	struct record_head row = {.host = xstrdup(host)};
	json_t *heading = NULL;
	struct sqlite_head found;
	bool ok;

	ok = sqlite_read_head(db, &row, &found);
	*bytes += found.error_bytes;
	if (ok && found.found) {
		heading = head_create(&row);
		ok = add_all_to_head(db, found.id, &row, heading, bytes);
		head_set_updated_at(heading, row.updated_at);
	}
	record_head_finish(&row);
	if (ok && found.found) {
		*head = heading;
		return STORE_FOUND;
	}
	json_decref(heading);
	return ok ? STORE_MISSING : STORE_FAILED;
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
