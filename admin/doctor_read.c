/* SPDX-License-Identifier: Apache-2.0 */
/* The right to read queues: on a connection of its own for each, which the answer ends. */
#include "admin/doctor.h"

#include "shared/amqp/broker.h"
#include "shared/base/uri.h"
#include "shared/base/xalloc.h"
#include "shared/config/options_broker.h"
#include "shared/event/loop.h"

#include <stdlib.h>
#include <string.h>

struct read_check {
	struct doctor *d;
	const struct uri *uri;
	const char *queues[DOCTOR_READ_MAX];
	size_t n, i;
	struct broker *broker;
	doctor_read_fn *fn;
	void *arg;
};

static void read_next(struct read_check *r);

static void
next_queue(struct read_check *r)
{
	broker_destroy(r->broker);
	r->broker = NULL;
	r->i++;
	read_next(r);
}

static void
say_yes(struct read_check *r)
{
	doctor_say(r->d, "permissions", CHECK_OK, NULL, "may read queue %s", r->queues[r->i]);
	next_queue(r);
}

static void
reading_on_ready(struct broker *b, void *arg)
{
	struct read_check *r = arg;

	broker_probe_read(b, r->queues[r->i]);
}

static void
reading_on_down(struct broker *b, const struct broker_failure *f, void *arg)
{
	struct read_check *r = arg;

	/* A broker that does not trust this user would have said no before it said that this cannot
	 * be had. */
	if (f->error == BROKER_ERR_MISMATCH) {
		say_yes(r);
		return;
	}
	doctor_say_trouble(r->d, "permissions", CHECK_FAIL, f->trouble);
	next_queue(r);
}

/* Called by a broker that does not look at the argument. */
static void
reading_on_consuming(struct broker *b, const char *queue, bool consuming, void *arg)
{
	if (consuming)
		say_yes(arg);
}

static const struct broker_handlers handlers = {
    .on_ready = reading_on_ready,
    .on_down = reading_on_down,
    .on_consuming = reading_on_consuming,
};

static void
read_next(struct read_check *r)
{
	const struct options *o = r->d->options;
	struct broker_options opt;

	if (r->i == r->n) {
		loop_defer_free(r->d->v->loop, r, free);
		r->fn(r->arg);
		return;
	}
	options_broker(o, "vogeler-admin", "doctor", r->uri, 1, &opt);
	opt.quiet = true;
	r->broker = broker_create(r->d->v->loop, &opt, &handlers, r);
	broker_start(r->broker);
}

void
doctor_read(struct doctor *d, const struct uri *uri, const char *const *queues, size_t n,
    doctor_read_fn *fn, void *arg)
{
	struct read_check *r = xcalloc(1, sizeof(*r));

	r->d = d;
	r->uri = uri;
	r->n = n;
	memcpy(r->queues, queues, n * sizeof(*queues));
	r->fn = fn;
	r->arg = arg;
	read_next(r);
}
