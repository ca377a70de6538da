/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/store/couch/couch_fetched.h"

#include "shared/base/xalloc.h"
#include "shared/store/couch/couch_wire.h"

#include <stdlib.h>

static void
read_row(struct couch_fetched_row *r, const struct couch_row *row)
{
	struct trouble why;
	const char *host = couch_marked_host(row->id);

	*r = (struct couch_fetched_row){.id = xstrdup(host != NULL ? host : row->id)};
	if (row->error) {
		r->kind = COUCH_FETCHED_ERROR;
		return;
	}
	if (row->doc.text == NULL) {
		r->kind = host != NULL ? COUCH_FETCHED_UNMARKED : COUCH_FETCHED_MISSING;
		return;
	}
	if (host != NULL) {
		r->kind =
		    couch_mark_parse(row->doc, &r->mark) ? COUCH_FETCHED_MARK : COUCH_FETCHED_ERROR;
		return;
	}
	r->bytes = row->doc.len;
	r->doc = couch_doc_parse(row->id, row->doc, &why);
	r->kind = r->doc != NULL ? COUCH_FETCHED_DOC : COUCH_FETCHED_UNREADABLE;
	if (r->doc == NULL)
		r->why = trouble_dup(&why);
}

bool
couch_fetched_parse(struct couch_fetched *f, const char *body, size_t len)
{
	struct couch_rows rows;
	struct couch_row row;
	size_t cap = 0;

	*f = (struct couch_fetched){0};
	if (!couch_rows_open(&rows, body, len))
		return false;
	while (couch_rows_next(&rows, &row)) {
		if (f->n == cap) {
			cap = cap == 0 ? 16 : cap * 2;
			f->rows = xreallocarray(f->rows, cap, sizeof(*f->rows));
		}
		read_row(&f->rows[f->n++], &row);
		couch_row_finish(&row);
	}
	return !rows.it.bad;
}

void
couch_fetched_finish(struct couch_fetched *f)
{
	for (size_t i = 0; i < f->n; i++) {
		free(f->rows[i].id);
		free(f->rows[i].why);
		couch_mark_finish(&f->rows[i].mark);
		couch_doc_destroy(f->rows[i].doc);
	}
	free(f->rows);
	*f = (struct couch_fetched){0};
}
