/* SPDX-License-Identifier: Apache-2.0 */
/* couch:// and couchs://: records in CouchDB. Opening and closing; writing is in couch_put.c. */
#include "shared/store/couch/couch_known.h"
#include "shared/store/couch/couch_ledger.h"
#include "shared/store/couch/couch_names.h"
#include "shared/store/couch/couch_strays.h"

#include "shared/base/errtext.h"
#include "shared/base/log.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/event/worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	MEAN_BYTES = 4 * 1024, /* of a record, before any was seen */
	SPARE_CONNECTIONS = 3, /* so that neither the ledger nor a probe waits behind records */
};

/* --- opening and closing --- */

static void
couch_close(struct store *s)
{
	struct couch *c = (struct couch *)s;

	http_destroy(c->http); /* no callback comes any more */
	c->closing = true;
	worker_destroy(c->worker);
	couch_put_forget(c);
	couch_strays_destroy(c->strays);
	couch_ledger_destroy(c->ledger);
	couch_known_destroy(c->known);
	couch_names_destroy(c->names);
	while (!LIST_EMPTY(&c->ops))
		couch_op_destroy(LIST_FIRST(&c->ops));
	loop_timer_destroy(c->pump);
	couch_cache_destroy(c->cache);
	pack_destroy(c->pack);
	free(c->url);
	free(c->jobs_url);
	free(c->prune_from);
	free(c->jobs_id);
	free(c->base.id);
	free(c);
}

static void
couch_set_login(struct store *s, const struct uri *uri)
{
	struct couch *c = (struct couch *)s;
	char id[512];

	http_set_login(c->http, uri->user, uri->password);
	free(c->base.id);
	free(c->jobs_id);
	c->base.id = xstrdup(uri_redacted(uri, id, sizeof(id)));
	xasprintf(&c->jobs_id, "%s_jobs", c->base.id);
}

static void
couch_set_batch_bytes(struct store *s, uint64_t bytes)
{
	((struct couch *)s)->lot_bytes = bytes > 0 ? (size_t)bytes : STORE_BATCH_BYTES;
}

static struct store *
couch_open(struct loop *loop, const struct uri *uri, const struct options *opt,
    enum store_access access, struct trouble *why)
{
	struct http_options hopt = {
	    .user = uri->user,
	    .password = uri->password,
	    .tls_host = uri->scheme == URI_COUCHS ? uri->host : NULL,
	    .others = uri->others,
	    .n_others = uri->n_others,
	    .tls = &opt->couch_tls,
	    .max_connections = opt->couch_requests + SPARE_CONNECTIONS,
	    .timeout_ms = opt->couch_timeout_ms,
	    .max_response_bytes = COUCH_ANSWER_MAX,
	};
	struct couch *c = xcalloc(1, sizeof(*c));
	char id[512];

	/* Now and not when it is needed: there may be no descriptor left by then. */
	c->worker = worker_create(loop, "couch");
	if (c->worker == NULL) {
		trouble_set(why, TROUBLE_OTHER, NULL, "couch: cannot make a thread: %s",
		    errtext_errno(errno));
		free(c);
		return NULL;
	}
	c->base.ops = &store_couch_ops;
	couch_pace_init(&c->pace, opt->couch_requests);
	c->base.limits.batch_count = STORE_BATCH_COUNT;
	c->base.limits.batch_bytes = STORE_BATCH_BYTES;
	couch_note_limits(c);
	c->base.id = xstrdup(uri_redacted(uri, id, sizeof(id)));
	c->loop = loop;
	c->http = http_create(loop, &hopt);
	c->pack = pack_create();
	c->cache = couch_cache_create((size_t)opt->couch_cache_bytes, c->pack);
	c->url = couch_url(uri);
	xasprintf(&c->jobs_url, "%s_jobs", c->url);
	xasprintf(&c->jobs_id, "%s_jobs", c->base.id);
	c->known = couch_known_create();
	c->names = couch_names_create();
	c->strays = couch_strays_create(c);
	c->ledger = couch_ledger_create(c);
	c->record_max = (size_t)opt->record_max_bytes;
	couch_set_batch_bytes(&c->base, opt->batch_max_bytes);
	c->mean_bytes = MEAN_BYTES;
	c->pump = loop_timer_create(loop, "couch-pump", couch_on_pump, c);
	TAILQ_INIT(&c->waiting);
	TAILQ_INIT(&c->active);
	LIST_INIT(&c->ops);
	return &c->base;
}

const struct store_ops store_couch_ops = {
    .scheme_text = "couch",
    .open = couch_open,
    .close = couch_close,
    .set_login = couch_set_login,
    .set_batch_bytes = couch_set_batch_bytes,
    .put = couch_put,
    .get = couch_get,
    .list = couch_list,
    .heads = couch_heads,
    .forget = couch_forget,
    .notes_put = couch_notes_put,
    .notes = couch_notes,
    .job_add = couch_job_add,
    .job_get = couch_job_get,
    .job_list = couch_job_list,
    .outcomes_add = couch_outcomes_add,
    .outcomes = couch_outcomes,
    .jobs_prune = couch_jobs_prune,
    .setup = couch_setup,
    .probe = couch_probe,
    .check = couch_check,
    .load_design = couch_load_design,
};
