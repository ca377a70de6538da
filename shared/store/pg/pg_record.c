/* SPDX-License-Identifier: Apache-2.0 */
/* See pg_record.h. */
#include "shared/store/pg/pg_record.h"

#include "shared/base/xalloc.h"
#include "shared/store/head.h"
#include "shared/store/pg/pg_args.h"
#include "shared/store/pg/pg_fact.h"
#include "shared/store/pg/pg_sql.h"
#include "shared/store/pg/pg_value.h"
#include "shared/store/record.h"
#include "shared/wire/jsonx.h"

#include <stdlib.h>
#include <string.h>

#define RECORD_TEXT_MAX ((size_t)512 * 1024 * 1024)

int
pg_record_end(const PGresult *res, int row)
{
	const char *host = pg_text(res, row, PG_RECORD_HOST, NULL);
	int end = row + 1;

	while (end < PQntuples(res) && strcmp(pg_text(res, end, PG_RECORD_HOST, NULL), host) == 0)
		end++;
	return end;
}

/* Each row of a host has its head, and when one of its plugins was heard. */
static bool
read_head(struct record_head *head, const PGresult *res, int first, int end)
{
	char err[128];
	size_t len;
	const char *error = pg_text(res, first, PG_RECORD_LAST_ERROR, &len);

	head->host = xstrdup(pg_text(res, first, PG_RECORD_HOST, NULL));
	head->created_at = pg_int(res, first, PG_RECORD_CREATED_AT, 0);
	head->updated_at = pg_int(res, first, PG_RECORD_GREETED_AT, 0);
	for (int row = first; row < end; row++) {
		int64_t at = pg_int(res, row, PG_RECORD_FACT + PG_FACT_RECEIVED_AT, 0);

		if (at > head->updated_at)
			head->updated_at = at;
	}
	if (error == NULL)
		return true;
	head->last_error = jsonx_parse_stored(error, len, err, sizeof(err));
	return head->last_error != NULL;
}

static bool
read_fact(struct value_coder *c, struct fact *f, const PGresult *res, int row)
{
	f->meta = pg_fact_meta(res, row, PG_RECORD_FACT);
	if (f->meta == NULL)
		return false;
	jsonx_set_str(f->meta, "unparsed", pg_text(res, row, PG_RECORD_UNPARSED, NULL));
	return pg_value_read(c, res, row, PG_RECORD_VALUE, &f->value, &f->value_len);
}

static json_t *
parse_record(
    const struct record_head *head, const char *const *plugins, const struct fact *facts, size_t n)
{
	struct buf text;
	json_t *rec;
	char err[256];

	buf_init(&text, RECORD_TEXT_MAX);
	if (!record_write(&text, head, NULL, plugins, facts, n))
		xalloc_fail(text.len);
	rec = jsonx_parse_stored(text.data, text.len, err, sizeof(err));
	buf_finish(&text);
	return rec;
}

json_t *
pg_record_make(struct value_coder *c, const PGresult *res, int first, int end)
{
	size_t room = (size_t)(end - first), n = 0;
	struct fact *facts = xcalloc(room, sizeof(*facts));
	const char **plugins = xcalloc(room, sizeof(*plugins));
	struct record_head head = {0};
	bool ok = read_head(&head, res, first, end);
	json_t *rec = NULL;

	for (int row = first; row < end && ok; row++) {
		plugins[n] = pg_text(res, row, PG_RECORD_PLUGIN, NULL);
		if (plugins[n] != NULL)
			ok = read_fact(c, &facts[n++], res, row);
	}
	if (ok)
		rec = parse_record(&head, plugins, facts, n);
	for (size_t i = 0; i < n; i++)
		fact_finish(&facts[i]);
	free(facts);
	free(plugins);
	record_head_finish(&head);
	return rec;
}

json_t *
pg_record_make_head(struct value_coder *c, const PGresult *res, int first, int end)
{
	struct record_head head = {0};
	bool ok = read_head(&head, res, first, end);
	json_t *rec = ok ? head_create(&head) : NULL, *slim = NULL;
	json_t *metas = json_object_get(rec, "vogeler");

	(void)c;
	for (int row = first; row < end && ok; row++) {
		const char *plugin = pg_text(res, row, PG_RECORD_PLUGIN, NULL);
		json_t *meta;

		if (plugin == NULL)
			continue;
		meta = pg_fact_meta(res, row, PG_RECORD_FACT);
		ok = meta != NULL && json_object_set_new(metas, plugin, meta) == 0;
	}
	record_head_finish(&head);
	if (ok)
		slim = head_of_record(rec);
	json_decref(rec);
	return slim;
}

json_t *
pg_record_make_name(struct value_coder *c, const PGresult *res, int first, int end)
{
	json_t *rec = json_object();

	(void)c;
	(void)end;
	if (rec == NULL)
		xalloc_fail(0);
	jsonx_set_str(rec, "_id", pg_text(res, first, PG_RECORD_HOST, NULL));
	return rec;
}

json_t *
pg_record_make_values(struct value_coder *c, const PGresult *res, int first, int end)
{
	enum { PLUGIN = 1, VALUE };
	json_t *rec = pg_record_make_name(c, res, first, end);

	for (int row = first; row < end; row++) {
		const char *plugin = pg_text(res, row, PLUGIN, NULL);
		json_t *value = NULL;
		char *text, err[128];
		size_t len;
		bool ok = pg_value_read(c, res, row, VALUE, &text, &len);

		if (ok && text != NULL && plugin != NULL) {
			value = jsonx_parse_stored(text, len, err, sizeof(err));
			ok = value != NULL && json_object_set_new(rec, plugin, value) == 0;
		}
		free(text);
		if (!ok) {
			json_decref(rec);
			return NULL;
		}
	}
	return rec;
}
