/* SPDX-License-Identifier: Apache-2.0 */
/* See encode_worker.h. */
#include "agent/encode_worker.h"

#include "agent/report.h"
#include "shared/base/errtext.h"
#include "shared/base/log.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/event/worker.h"
#include <errno.h>
#include <stdlib.h>

struct encode_worker {
	struct worker *worker;
	encode_worker_done_fn *fn;
	void *arg;
};

struct making {
	struct encode_worker *maker;
	struct made made;
	struct buf out;
};

struct encode_worker *
encode_worker_create(struct loop *loop, encode_worker_done_fn *fn, void *arg)
{
	struct encode_worker *mk = xcalloc(1, sizeof(*mk));

	mk->worker = worker_create(loop, "maker");
	if (mk->worker == NULL)
		fatal("maker", "cannot make a thread: %s", errtext_errno(errno));
	mk->fn = fn;
	mk->arg = arg;
	return mk;
}

void
encode_worker_destroy(struct encode_worker *mk)
{
	if (mk == NULL)
		return;
	worker_destroy(mk->worker);
	free(mk);
}

bool
encode_worker_takes(const struct encode_worker *mk, size_t bytes)
{
	return mk != NULL && bytes > ENCODE_WORKER_SMALL;
}

/* Runs on the thread, and frees there too, as a million values take time. */
static void
run(void *arg)
{
	struct making *g = arg;

	report_value(&g->made.r, &g->out);
	buf_finish(&g->out);
	g->made.sendable = report_try_encode(&g->made.r, &g->made.m);
	json_object_clear(g->made.r.results);
}

static void
done(void *arg)
{
	struct making *g = arg;

	g->maker->fn(&g->made, g->maker->arg);
	response_finish(&g->made.r);
	message_finish(&g->made.m);
	free(g);
}

void
encode_worker_make(struct encode_worker *mk, uint64_t id, struct response *r, struct buf *out)
{
	struct making *g = xcalloc(1, sizeof(*g));

	g->maker = mk;
	g->made.id = id;
	g->made.bytes = out->len;
	g->made.r = *r;
	*r = (struct response){0};
	g->out = *out;
	buf_init(out, 0);
	worker_submit(mk->worker, run, done, g);
}
