/* SPDX-License-Identifier: Apache-2.0 */
/* Any HTTP answer from what may be CouchDB: each reader says what it is, or that it is none. The
 * first byte is the status and the content type, the rest the body. */
#include "shared/base/trouble.h"
#include "tests/fuzz/fuzz.h"

#include "shared/store/couch/couch_doc.h"
#include "shared/store/couch/couch_wire.h"
#include "shared/store/record.h"

#include <stdlib.h>
#include <string.h>

#define ID "couch://u:***@h:5984/db"

static const long statuses[] = {
    200, 201, 202, 301, 400, 401, 403, 404, 409, 412, 413, 429, 500, 502, 503, 0};

static void
check_answer(const struct http_response *r, long want)
{
	struct trouble why = {0};
	enum couch_answer a = couch_answer_read(r, want, ID, &why);

	if (a == COUCH_DONE) {
		if (r->status != want)
			abort();
		couch_answer_garbled(r, ID, &why);
	} else {
		(void)couch_answer_status(a, 1);
		(void)couch_answer_status(a, 2);
	}
	if (strstr(why.what, ID) == NULL)
		abort();
}

static void
check_items(const struct http_response *r)
{
	struct couch_item *items;
	size_t n;

	if (!couch_items_parse(r->body, r->body_len, &items, &n))
		return;
	for (size_t i = 0; i < n; i++) {
		if (items[i].id == NULL || items[i].status == STORE_REJECT_BATCH)
			abort();
		if ((items[i].status == STORE_OK) != (items[i].why == NULL))
			abort();
	}
	couch_items_free(items, n);
}

static void
check_mark(struct jspan doc)
{
	struct couch_mark mark;

	if (couch_mark_parse(doc, &mark) != (mark.rev != NULL))
		abort();
	couch_mark_finish(&mark);
}

static void
check_rows(const struct http_response *r)
{
	struct couch_rows rows;
	struct couch_row row;

	if (!couch_rows_open(&rows, r->body, r->body_len))
		return;
	while (couch_rows_next(&rows, &row)) {
		if (row.doc.len > 0 &&
		    (row.doc.text < r->body || row.doc.text + row.doc.len > r->body + r->body_len))
			abort();
		if (row.doc.len > 0)
			check_mark(row.doc);
		couch_row_finish(&row);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_response r = {0};
	char *body;

	if (size == 0)
		return 0;
	body = malloc(size);
	if (body == NULL)
		return 0;
	memcpy(body, data + 1, size - 1);
	body[size - 1] = '\0';
	r.status = statuses[data[0] & 15];
	r.error = r.status == 0 ? "connection refused" : NULL;
	r.content_type = (data[0] & 16) != 0 ? "text/html" : "application/json";
	r.body = body;
	r.body_len = size - 1;
	check_answer(&r, 200);
	check_answer(&r, 201);
	check_items(&r);
	check_rows(&r);
	free(couch_rev(body, size - 1));
	free(body);
	return 0;
}
