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
sqlite_read_head(struct sqldb *db, struct record_head *head, bool *found, size_t *error_bytes)
{
	bool ok;
	int rc;

	sqldb_bind_str(db, STMT_HEAD_GET, 1, head->host);
	rc = sqldb_step(db, STMT_HEAD_GET);
	*found = rc == SQLITE_ROW;
	*error_bytes = 0;
	if (rc != SQLITE_ROW)
		return rc == SQLITE_DONE;
	head->created_at = sqlite3_column_int64(db->stmts[STMT_HEAD_GET], 1);
	head->updated_at = sqlite3_column_int64(db->stmts[STMT_HEAD_GET], 2);
	ok = sqldb_column_json(db, STMT_HEAD_GET, 3, &head->last_error);
	sqldb_column_text(db, STMT_HEAD_GET, 3, error_bytes);
	sqldb_done(db, STMT_HEAD_GET);
	return ok;
}

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
facts_add(struct sqldb *db, struct facts *f)
{
	size_t len;
	const char *plugin = sqldb_column_text(db, STMT_FACTS_OF, 0, &len);
	const char *value;
	struct fact *fact;

	f->plugins = xreallocarray(f->plugins, f->n + 1, sizeof(*f->plugins));
	f->list = xreallocarray(f->list, f->n + 1, sizeof(*f->list));
	f->plugins[f->n] = xstrdup(plugin == NULL ? "" : plugin);
	fact = &f->list[f->n++];
	*fact = (struct fact){0};
	value = sqldb_column_text(db, STMT_FACTS_OF, 2, &len);
	if (value != NULL) {
		fact->value = xstrndup(value, len);
		fact->value_len = strlen(fact->value);
	}
	return sqldb_column_json(db, STMT_FACTS_OF, 1, &fact->meta);
}

static bool
read_facts(struct sqldb *db, const char *host, struct facts *f)
{
	int rc;

	sqldb_bind_str(db, STMT_FACTS_OF, 1, host);
	rc = sqldb_step(db, STMT_FACTS_OF);
	for (; rc == SQLITE_ROW; rc = sqldb_step(db, STMT_FACTS_OF)) {
		if (!facts_add(db, f)) {
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
	bool found = false, ok;
	size_t error_bytes;

	ok = sqlite_read_head(db, &head, &found, &error_bytes);
	if (ok && found) {
		ok = read_facts(db, host, &facts);
		if (ok)
			*rec = record_parse(db, &head, &facts, bytes);
		ok = *rec != NULL;
	}
	facts_finish(&facts);
	record_head_finish(&head);
	if (!ok)
		return STORE_FAILED;
	return found ? STORE_FOUND : STORE_MISSING;
}

static bool
add_meta(struct sqldb *db, json_t *heading, size_t *bytes)
{
	size_t len;
	const char *plugin = sqldb_column_text(db, STMT_METAS_OF, 0, &len);
	const char *text = sqldb_column_text(db, STMT_METAS_OF, 1, &len);
	struct jspan meta;

	*bytes += len;
	if (plugin != NULL && text != NULL && jspan_value(text, len, &meta) &&
	    head_add(heading, plugin, meta))
		return true;
	sqldb_damaged(db, "damaged: a column does not hold JSON");
	return false;
}

static bool
add_metas(struct sqldb *db, const char *host, json_t *heading, size_t *bytes)
{
	int rc;

	sqldb_bind_str(db, STMT_METAS_OF, 1, host);
	rc = sqldb_step(db, STMT_METAS_OF);
	for (; rc == SQLITE_ROW; rc = sqldb_step(db, STMT_METAS_OF)) {
		if (!add_meta(db, heading, bytes)) {
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
	json_t *heading = NULL;
	bool found = false, ok;
	size_t error_bytes;

	ok = sqlite_read_head(db, &row, &found, &error_bytes);
	*bytes += error_bytes;
	if (ok && found) {
		heading = head_create(&row);
		ok = add_metas(db, host, heading, bytes);
	}
	record_head_finish(&row);
	if (ok && found) {
		*head = heading;
		return STORE_FOUND;
	}
	json_decref(heading);
	return ok ? STORE_MISSING : STORE_FAILED;
}

/* Adds the value of one plugin, if the host has it. */
static bool
read_value(struct sqldb *db, json_t *rec, const char *host, const char *plugin, size_t *bytes)
{
	json_t *value = NULL;
	char err[256];
	size_t len;
	const char *text;
	int rc;

	sqldb_bind_str(db, STMT_FACT_OF, 1, host);
	sqldb_bind_str(db, STMT_FACT_OF, 2, plugin);
	rc = sqldb_step(db, STMT_FACT_OF);
	if (rc != SQLITE_ROW)
		return rc == SQLITE_DONE;
	text = sqldb_column_text(db, STMT_FACT_OF, 0, &len);
	if (text != NULL)
		value = jsonx_parse_stored(text, len, err, sizeof(err));
	if (value == NULL)
		sqldb_damaged(db, "a value is not JSON");
	*bytes += len;
	sqldb_done(db, STMT_FACT_OF);
	return value != NULL && json_object_set_new(rec, plugin, value) == 0;
}

enum store_found
sqlite_read_values(struct sqldb *db, const char *host, char *const plugins[], size_t n_plugins,
    json_t **rec, size_t *bytes)
{
	size_t i;

	*rec = json_object();
	jsonx_set_str(*rec, "_id", host);
	for (i = 0; i < n_plugins; i++) {
		if (!read_value(db, *rec, host, plugins[i], bytes)) {
			json_decref(*rec);
			*rec = NULL;
			return STORE_FAILED;
		}
	}
	return STORE_FOUND;
}
