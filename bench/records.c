/* SPDX-License-Identifier: Apache-2.0 */
/* See records.h. */
#include "bench/records.h"

#include "bench/plan.h"
#include "daemon/read/convert.h"
#include "shared/base/buf.h"
#include "shared/base/xalloc.h"
#include "shared/store/couch/couch_doc.h"
#include "shared/store/store.h"
#include "shared/wire/wire.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECORD_MAX (8 * 1024 * 1024)

struct records {
	const struct plan *plan;
	struct couch_doc **docs; /* by host */
};

struct records *
records_create(const struct plan *p)
{
	struct records *r = xcalloc(1, sizeof(*r));

	r->plan = p;
	r->docs = xcalloc(p->hosts, sizeof(*r->docs));
	return r;
}

void
records_destroy(struct records *r)
{
	if (r == NULL)
		return;
	for (uint32_t i = 0; i < r->plan->hosts; i++)
		couch_doc_destroy(r->docs[i]);
	free(r->docs);
	free(r);
}

size_t
records_results(const struct plan *p, uint32_t host, uint32_t job, struct result ***results)
{
	struct response resp;
	struct message m;
	char err[256];
	size_t n;

	plan_message(p, host, job, &m);
	if (!wire_response_decode(&m, &resp, err, sizeof(err)))
		abort(); /* we made it */
	n = convert_response(&resp, NULL, plan_order(p, job), results);
	response_finish(&resp);
	message_finish(&m);
	return n;
}

struct record_text
records_next(struct records *r, uint32_t host, uint32_t job)
{
	struct record_text t = {.host = host};
	struct store_write w = {0};
	char name[PLAN_NAME_SIZE];
	struct buf out;

	plan_host(r->plan, host, name);
	if (r->docs[host] == NULL)
		r->docs[host] = couch_doc_create(name);
	w.host = name;
	w.n = records_results(r->plan, host, job, &w.results);
	couch_doc_apply(r->docs[host], &w);
	couch_doc_own(r->docs[host]);
	convert_free(w.results, w.n);
	buf_init(&out, RECORD_MAX);
	if (!couch_doc_write(&out, r->docs[host]))
		xalloc_fail(0);
	t.rev_at = strlen("{\"_id\":\"") + strlen(name) + strlen("\",");
	assert(out.len > t.rev_at && out.data[t.rev_at - 1] == ',');
	t.text = buf_take(&out, &t.len);
	return t;
}
