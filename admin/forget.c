/* "forget HOST": its record, what is remembered of the order of its results, and its queue with the
 * commands that wait there; the ledger stays. A queue that somebody reads stays as well: the host
 * is there, and would make it again. */
#include "admin/confirm.h"
#include "admin/host_queue.h"
#include "admin/missing.h"
#include "admin/verb.h"

#include "shared/name.h"
#include "shared/store/store.h"
#include "shared/xalloc.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct forgetting {
	struct verb_context *v;
	struct host_queue *queue; /* NULL: no broker is named */
	struct host_queue_look look;
	bool recorded; /* there is a record */
	bool no_host;  /* nor can be by that name: it has no queue */
};

static const char *
host_of(const struct forgetting *f)
{
	return f->v->args[0];
}

static void
forget_end(struct forgetting *f, int status)
{
	verb_done(f->v, status);
	host_queue_close(f->queue);
	free(f);
}

/* ---- the queue ---- */

static void
forget_on_deleted(bool ok, uint32_t messages, const char *why, void *arg)
{
	struct forgetting *f = arg;

	if (ok)
		printf("queue %s: deleted, with %" PRIu32 " waiting message%s\n", host_of(f),
		    messages, messages == 1 ? "" : "s");
	fflush(stdout);
	if (!ok)
		cli_complain("vogeler-admin", "queue %s stays: %s", host_of(f), why);
	forget_end(f, ok ? VERB_OK : VERB_TROUBLE);
}

static void
forget_queue(struct forgetting *f)
{
	fflush(stdout);
	if (f->queue == NULL && !f->no_host) {
		cli_complain("vogeler-admin",
		    "queue %s is left as it is, if it is there: no broker is named (--qhost)",
		    host_of(f));
	} else if (f->look.sight == HOST_QUEUE_UNKNOWN) {
		forget_end(f, VERB_TROUBLE); /* that was said before anything was asked */
		return;
	} else if (f->look.sight == HOST_QUEUE_THERE && f->look.consumers > 0) {
		cli_complain("vogeler-admin",
		    "queue %s stays: an agent reads it; stop that first, then forget the host",
		    host_of(f));
	} else if (f->look.sight == HOST_QUEUE_THERE) {
		host_queue_delete(f->queue, forget_on_deleted);
		return;
	}
	forget_end(f, VERB_OK);
}

/* ---- the record ---- */

static void
forget_on_done(bool ok, const char *what, void *arg)
{
	struct forgetting *f = arg;

	if (!ok) {
		verb_fail(f->v, "%s: %s", host_of(f), what);
		forget_end(f, VERB_TROUBLE);
		return;
	}
	printf("%s: %s\n", host_of(f), what);
	forget_queue(f);
}

static void
ask(struct forgetting *f)
{
	bool queue = f->look.sight == HOST_QUEUE_THERE && f->look.consumers == 0;
	char question[768], waiting[64] = "";

	if (queue && f->look.messages > 0)
		snprintf(waiting, sizeof(waiting), " with %" PRIu32 " waiting message%s",
		    f->look.messages, f->look.messages == 1 ? "" : "s");
	snprintf(question, sizeof(question),
	    "%s%.253s%s%s? (If it answers again, it is there again.)",
	    f->recorded ? "forget all that " : "delete queue ", host_of(f),
	    !f->recorded ? ""
	    : queue      ? " has answered, and delete its queue"
			 : " has answered",
	    waiting);
	if (!confirm(f->v, question))
		forget_end(f, VERB_TROUBLE);
	else if (f->recorded)
		store_forget(f->v->store, host_of(f), forget_on_done, f);
	else
		forget_queue(f);
}

/* A host that never answered has a queue alone. */
static void
forget_on_record(enum store_found found, json_t *rec, const char *why, void *arg)
{
	struct forgetting *f = arg;

	f->recorded = found == STORE_FOUND;
	if (found == STORE_FAILED ||
	    (found == STORE_MISSING &&
		!(f->look.sight == HOST_QUEUE_THERE && f->look.consumers == 0))) {
		missing_end(f->v, found, why);
		host_queue_close(f->queue);
		free(f);
		return;
	}
	ask(f);
}

static void
forget_on_look(const struct host_queue_look *look, void *arg)
{
	struct forgetting *f = arg;

	f->look = *look;
	f->look.why = NULL; /* it is the call's */
	if (look->sight == HOST_QUEUE_UNKNOWN)
		cli_complain("vogeler-admin",
		    "its queue, if it has one, will stay: the broker cannot be asked: %s",
		    look->why);
	store_get(f->v->store, host_of(f), forget_on_record, f);
}

void
verb_forget(struct verb_context *v)
{
	struct forgetting *f = xcalloc(1, sizeof(*f));

	f->v = v;
	/* master.in and the like are no hosts, whoever has put a record of that name there. */
	f->look.sight = HOST_QUEUE_MISSING;
	f->no_host = name_host_error(v->args[0]) != NULL;
	if (v->cli->options.qhost != NULL && !f->no_host) {
		f->queue = host_queue_open(v, v->args[0], forget_on_look, f);
		return;
	}
	store_get(v->store, v->args[0], forget_on_record, f);
}
