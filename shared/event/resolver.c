/* SPDX-License-Identifier: Apache-2.0 */
/* See resolver.h. */
#include "shared/event/resolver.h"

#include "shared/base/errtext.h"
#include "shared/base/trouble.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/event/worker.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

/* Goes to the thread and may outlive the resolver. */
struct question {
	struct resolver *resolver; /* for the loop's thread alone; gone once abandoned */
	char *host;
	char port[8];
	int rc;
	int err;
	struct addrinfo *list;
};

struct resolver {
	struct loop *loop;
	struct loop_timer *timer; /* what is known already is answered in the next pass */
	struct worker *worker;    /* otherwise */
	struct question *question;
	resolver_fn *fn;
	void *arg;
};

static void
question_free(void *job)
{
	struct question *q = job;

	if (q->list != NULL)
		freeaddrinfo(q->list);
	free(q->host);
	free(q);
}

static void
ask(struct question *q, int flags)
{
	/* No AI_ADDRCONFIG: it would hide "localhost" from a machine that has only the loopback. */
	struct addrinfo hints = {
	    .ai_family = AF_UNSPEC,
	    .ai_socktype = SOCK_STREAM,
	    .ai_flags = AI_NUMERICSERV | flags,
	};

	errno = 0;
	q->rc = getaddrinfo(q->host, q->port, &hints, &q->list);
	q->err = errno;
	if (q->rc != 0)
		q->list = NULL;
	/* A resolver without descriptors cannot even read /etc/hosts, and says that there is no
	 * such host. */
	if (q->rc != 0 && (q->err == EMFILE || q->err == ENFILE))
		q->rc = EAI_SYSTEM;
}

static void
question_run(void *job)
{
	ask(job, 0);
}

/* Ends r. */
static void
answer(struct resolver *r)
{
	struct question *q = r->question;
	struct addrinfo *list = q->list;
	struct trouble t = {0};
	resolver_fn *fn = r->fn;
	void *arg = r->arg;

	if (list == NULL)
		errtext_resolve(q->rc, q->err, &t);
	q->list = NULL;
	question_free(q);
	loop_timer_destroy(r->timer);
	worker_destroy(r->worker); /* idle: does not wait */
	free(r);
	fn(list, &t, arg);
}

static void
question_done(void *job)
{
	struct question *q = job;

	answer(q->resolver);
}

static void
on_known(void *arg)
{
	answer(arg);
}

static void
answer_soon(struct resolver *r)
{
	r->timer = loop_timer_create(r->loop, "resolver", on_known, r);
	loop_timer_arm(r->timer, 0);
}

/* Fails as a name server might where there can be no thread, as when descriptors are short: whoever
 * asked tries again later. */
static void
ask_on_thread(struct resolver *r)
{
	r->worker = worker_create(r->loop, "resolver");
	if (r->worker != NULL) {
		worker_submit(r->worker, question_run, question_done, r->question);
		return;
	}
	r->question->rc = EAI_SYSTEM;
	r->question->err = errno;
	answer_soon(r);
}

struct resolver *
resolver_start(struct loop *loop, const char *host, uint16_t port, resolver_fn *fn, void *arg)
{
	struct resolver *r = xcalloc(1, sizeof(*r));
	struct question *q = xcalloc(1, sizeof(*q));

	q->resolver = r;
	q->host = xstrdup(host);
	snprintf(q->port, sizeof(q->port), "%u", (unsigned int)port);
	r->loop = loop;
	r->question = q;
	r->fn = fn;
	r->arg = arg;
	ask(q, AI_NUMERICHOST);
	if (q->rc == 0)
		answer_soon(r);
	else
		ask_on_thread(r);
	return r;
}

void
resolver_cancel(struct resolver *r)
{
	if (r == NULL)
		return;
	if (r->worker != NULL)
		worker_abandon(r->worker, question_free);
	else
		question_free(r->question);
	loop_timer_destroy(r->timer);
	free(r);
}
