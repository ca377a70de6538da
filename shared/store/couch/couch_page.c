/* SPDX-License-Identifier: Apache-2.0 */
/* See couch_page.h. */
#include "shared/store/couch/couch_page.h"

#include "shared/base/log.h"
#include "shared/base/xalloc.h"
#include "shared/store/couch/couch_doc.h"

#include <stdlib.h>

bool
couch_page_read(struct couch_op *op, const struct http_response *r, couch_page_fn *fn)
{
	struct couch_rows rows;
	struct couch_row row;
	size_t n = 0;

	free(op->startkey);
	op->startkey = NULL;
	if (!couch_rows_open(&rows, r->body, r->body_len))
		return false;
	for (; couch_rows_next(&rows, &row); couch_row_finish(&row), n++) {
		if (n < op->limit)
			fn(op, &row);
		else if (op->startkey == NULL)
			op->startkey = xstrdup(row.id);
	}
	return !rows.it.bad;
}

void
couch_page_ask(struct couch_op *op, bool descending, http_fn *fn)
{
	struct couch_range range = {.start = op->startkey,
	    .end = op->endkey,
	    .limit = op->limit + 1,
	    .docs = true,
	    .descending = descending};
	char *url = couch_url_range(op->c->jobs_url, &range);

	couch_op_request(op, "GET", url, NULL, fn);
	free(url);
}

enum couch_page_next
couch_page_answer(
    struct couch_op *op, const struct http_response *r, couch_page_fn *fn, struct trouble *why)
{
	enum couch_answer a = couch_answer_read(r, 200, op->c->jobs_id, why);

	couch_note_answer(op->c, r);
	if (r->too_large && op->limit > 1) {
		op->limit = op->limit / 4 + 1 < op->limit ? op->limit / 4 + 1 : 1;
		return COUCH_PAGE_AGAIN;
	}
	if (a == COUCH_DONE && couch_page_read(op, r, fn))
		return COUCH_PAGE_READ;
	if (a == COUCH_DONE)
		couch_answer_garbled(r, op->c->jobs_id, why);
	return COUCH_PAGE_FAILED;
}

json_t *
couch_page_json(const char *database, const char *id, struct jspan doc)
{
	struct trouble why;
	json_t *json = couch_doc_json(doc, &why);

	if (json == NULL)
		log_warn("store", "store[%s]: left out of the list: " TROUBLE_FMT ", id=%s",
		    database, TROUBLE_ARGS(&why), id);
	return json;
}
