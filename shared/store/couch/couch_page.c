/* SPDX-License-Identifier: Apache-2.0 */
/* See couch_page.h. */
#include "shared/store/couch/couch_page.h"

#include "shared/base/log.h"
#include "shared/base/xalloc.h"
#include "shared/store/couch/couch_doc.h"

#include <stdlib.h>

void
couch_page_finish(struct couch_page *p)
{
	free(p->start);
	free(p->end);
}

bool
couch_page_read(
    struct couch_op *op, struct couch_page *p, const struct http_response *r, couch_page_fn *fn)
{
	struct couch_rows rows;
	struct couch_row row;
	size_t n = 0;

	free(p->start);
	p->start = NULL;
	if (!couch_rows_open(&rows, r->body, r->body_len))
		return false;
	for (; couch_rows_next(&rows, &row); couch_row_finish(&row), n++) {
		if (n < p->limit)
			fn(op, &row);
		else if (p->start == NULL)
			p->start = xstrdup(row.id);
	}
	return !rows.it.bad;
}

void
couch_page_ask(struct couch_op *op, const struct couch_page *p, bool descending, http_fn *fn)
{
	struct couch_range range = {.start = p->start,
	    .end = p->end,
	    .limit = p->limit + 1,
	    .docs = true,
	    .descending = descending};
	char *url = couch_url_range(op->c->jobs_url, &range);

	couch_op_request(op, "GET", url, NULL, fn);
	free(url);
}

enum couch_page_next
couch_page_answer(struct couch_op *op, struct couch_page *p, const struct http_response *r,
    couch_page_fn *fn, struct trouble *why)
{
	enum couch_answer a = couch_answer_read(r, 200, op->c->jobs_id, why);

	couch_note_answer(op->c, r);
	if (r->too_large && p->limit > 1) {
		p->limit = p->limit / 4 + 1 < p->limit ? p->limit / 4 + 1 : 1;
		return COUCH_PAGE_AGAIN;
	}
	if (a == COUCH_DONE && couch_page_read(op, p, r, fn))
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
