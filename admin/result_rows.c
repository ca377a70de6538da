/* SPDX-License-Identifier: Apache-2.0 */
/* See result_rows.h. Values are kept as canonical text: a tree may be a hundred times as large. */
#include "admin/result_rows.h"

#include "admin/csv.h"
#include "shared/base/xalloc.h"
#include "shared/print/answers.h"
#include "shared/print/table.h"
#include "shared/wire/jsonx.h"

#include <stdlib.h>
#include <string.h>

struct result_row {
	char *host;
	char *text;
};

struct result_rows {
	struct result_row *list;
	size_t n, room, bytes;
	json_t *columns; /* member: true, in their order */
	bool plain;      /* some value is no object */
	bool nested;     /* some does not fit into a row */
};

struct result_rows *
result_rows_create(void)
{
	struct result_rows *r = xcalloc(1, sizeof(*r));

	r->columns = json_object();
	return r;
}

void
result_rows_destroy(struct result_rows *r)
{
	if (r == NULL)
		return;
	for (size_t i = 0; i < r->n; i++) {
		free(r->list[i].host);
		free(r->list[i].text);
	}
	free(r->list);
	json_decref(r->columns);
	free(r);
}

static bool
is_scalar(const json_t *value)
{
	return !json_is_object(value) && !json_is_array(value);
}

/* One more than may be tells that there are too many. */
static void
note_columns(struct result_rows *r, const json_t *value)
{
	const char *key;
	json_t *member;

	r->plain |= !json_is_object(value);
	r->nested |= json_is_array(value);
	json_object_foreach ((json_t *)value, key, member) {
		r->nested |= !is_scalar(member);
		if (json_object_size(r->columns) <= RESULT_ROWS_COLUMNS)
			json_object_set_nocheck(r->columns, key, json_true());
	}
}

bool
result_rows_add(struct result_rows *r, const char *host, const json_t *value)
{
	struct buf text;

	buf_init(&text, RESULT_ROWS_BYTES - r->bytes);
	if (!jsonx_write(&text, value)) {
		buf_finish(&text);
		return false;
	}
	r->bytes += text.len;
	note_columns(r, value);
	if (r->n == r->room) {
		r->room = r->room == 0 ? 64 : r->room * 2;
		r->list = xreallocarray(r->list, r->room, sizeof(*r->list));
	}
	r->list[r->n++] = (struct result_row){xstrdup(host), buf_take(&text, NULL)};
	return true;
}

size_t
result_rows_count(const struct result_rows *r)
{
	return r->n;
}

/* --- cells --- */

static json_t *
parse(const struct result_row *row)
{
	char err[256];
	json_t *value = jsonx_parse_stored(row->text, strlen(row->text), err, sizeof(err));

	return value != NULL ? value : json_string(row->text);
}

/* A text as it is, all else as JSON, so a text with a NUL; malloced. NULL: null, or not there. */
static char *
cell_of(const json_t *value)
{
	struct buf text;
	char *cell = NULL;

	if (value == NULL || json_is_null(value))
		return NULL;
	if (json_is_string(value) && strlen(json_string_value(value)) == json_string_length(value))
		return xstrdup(json_string_value(value));
	buf_init(&text, RESULT_ROWS_BYTES);
	if (jsonx_write(&text, value))
		cell = buf_take(&text, NULL);
	buf_finish(&text);
	return cell;
}

/* This takes a cell of a row; malloced or NULL. */
typedef void cell_fn(char *cell, size_t column, void *arg);

static void
each_cell(const struct result_rows *r, const struct result_row *row, cell_fn *fn, void *arg)
{
	json_t *value = parse(row), *unused;
	const char *key;
	size_t column = 0;

	fn(xstrdup(row->host), column++, arg);
	if (r->plain)
		fn(json_is_object(value) ? NULL : cell_of(value), column++, arg);
	json_object_foreach (r->columns, key, unused)
		fn(cell_of(json_object_get(value, key)), column++, arg);
	json_decref(value);
}

/* --- the table --- */

static void
set_cell(char *text, size_t column, void *arg)
{
	table_cell(arg, column, text == NULL ? "-" : text);
	free(text);
}

static void
print_table(FILE *out, const struct result_rows *r)
{
	struct table *table = table_create();
	const char *key;
	json_t *unused;

	table_column(table, "HOST", TABLE_WHOLE);
	if (r->plain)
		table_column(table, "VALUE", TABLE_WORDS);
	json_object_foreach (r->columns, key, unused)
		table_column(table, key, TABLE_WORDS);
	for (size_t i = 0; i < r->n; i++) {
		table_row(table);
		each_cell(r, &r->list[i], set_cell, table);
	}
	table_print(out, table);
	table_destroy(table);
}

static void
print_blocks(FILE *out, const struct result_rows *r)
{
	struct answers *answers = answers_create();

	for (size_t i = 0; i < r->n; i++) {
		json_t *value = parse(&r->list[i]);

		answers_add(answers, r->list[i].host, value);
		json_decref(value);
	}
	answers_print(out, answers);
	answers_destroy(answers);
}

void
result_rows_print(FILE *out, const struct result_rows *r)
{
	if (r->nested || json_object_size(r->columns) > RESULT_ROWS_COLUMNS)
		print_blocks(out, r);
	else if (r->n > 0)
		print_table(out, r);
}

/* --- CSV --- */

static void
put_cell(char *text, size_t column, void *arg)
{
	csv_cell(arg, column, text);
	free(text);
}

bool
result_rows_print_csv(FILE *out, const struct result_rows *r)
{
	size_t column = 0;
	const char *key;
	json_t *unused;

	if (json_object_size(r->columns) > RESULT_ROWS_COLUMNS)
		return false;
	put_cell(xstrdup("host"), column++, out);
	if (r->plain)
		put_cell(xstrdup("value"), column++, out);
	json_object_foreach (r->columns, key, unused)
		put_cell(xstrdup(key), column++, out);
	putc('\n', out);
	for (size_t i = 0; i < r->n; i++) {
		each_cell(r, &r->list[i], put_cell, out);
		putc('\n', out);
	}
	return true;
}
