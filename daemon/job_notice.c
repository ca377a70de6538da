/* SPDX-License-Identifier: Apache-2.0 */
/* See job_notice.h. */
#include "daemon/job_notice.h"

#include "shared/amqp/broker.h"
#include "shared/amqp/topology.h"
#include "shared/base/log.h"
#include "shared/base/wallclock.h"
#include "shared/base/xalloc.h"
#include "shared/event/loop.h"
#include "shared/store/outcome.h"
#include "shared/store/record.h"
#include "shared/wire/jsonx.h"

#include <bsd/sys/queue.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGE_MAX (4 * 1024 * 1024)
/* A host's answer to a job is one result; a response with more of them is not worth the memory. */
#define RESULTS_MAX 8

struct job_notice_slip {
	TAILQ_ENTRY(job_notice_slip) link;
	char *queue;
	json_t *outcomes; /* an array */
};
TAILQ_HEAD(slips, job_notice_slip);

struct job_notice {
	struct broker *publisher;
	struct loop_timer *send;
	struct slips slips; /* one for each queue, in order of its first outcome */
	struct job_notice_stats stats;
};

/* ---- slips ---- */

static bool
is_queue_of(const char *reply_to, const char *job)
{
	size_t prefix = strlen(TOPOLOGY_REPLY_PREFIX);

	return strncmp(reply_to, TOPOLOGY_REPLY_PREFIX, prefix) == 0 &&
	       strcmp(reply_to + prefix, job) == 0;
}

struct job_notice_slip *
job_notice_slip(const char *reply_to, const char *host, struct result *const *results, size_t n)
{
	struct job_notice_slip *s = NULL;
	struct outcome o;

	if (reply_to == NULL)
		return NULL;
	for (size_t i = 0; i < n && i < RESULTS_MAX; i++) {
		if (!outcome_of_result(host, results[i], &o) ||
		    !is_queue_of(reply_to, results[i]->meta.job))
			continue;
		if (s == NULL) {
			s = xcalloc(1, sizeof(*s));
			s->queue = xstrdup(reply_to);
			s->outcomes = json_array();
		}
		json_array_append_new(s->outcomes, outcome_to_json(&o));
	}
	return s;
}

void
job_notice_slip_free(struct job_notice_slip *s)
{
	if (s == NULL)
		return;
	json_decref(s->outcomes);
	free(s->queue);
	free(s);
}

/* ---- sending ---- */

static bool
encode(const struct job_notice_slip *s, struct message *m)
{
	json_t *body = json_object();
	struct buf text;
	bool fits;
	size_t len;

	message_init(m);
	m->app_id = xstrdup("vogelerd");
	m->content_type = xstrdup("application/json");
	m->timestamp = wallclock_ms() / 1000;
	jsonx_set_str(body, "kind", "outcomes");
	jsonx_set_str(body, "job", s->queue + strlen(TOPOLOGY_REPLY_PREFIX));
	json_object_set(body, "outcomes", s->outcomes);
	buf_init(&text, MESSAGE_MAX);
	fits = jsonx_write(&text, body);
	if (fits) {
		char *taken = buf_take(&text, &len);

		message_set_body(m, taken, len);
	}
	buf_finish(&text);
	json_decref(body);
	return fits;
}

static bool
publish(struct job_notice *n, const struct job_notice_slip *s)
{
	struct message m;
	bool sent;

	if (!broker_can_publish(n->publisher) ||
	    broker_unconfirmed(n->publisher) >= JOB_NOTICE_UNCONFIRMED_MAX)
		return false;
	sent = encode(s, &m) && broker_publish(n->publisher, "", s->queue, false, &m) != 0;
	message_finish(&m);
	return sent;
}

static void
on_send(void *arg)
{
	struct job_notice *n = arg;

	while (!TAILQ_EMPTY(&n->slips)) {
		struct job_notice_slip *s = TAILQ_FIRST(&n->slips);
		bool sent = publish(n, s);

		TAILQ_REMOVE(&n->slips, s, link);
		log_debug("notice", "%s: %zu outcomes %s", s->queue, json_array_size(s->outcomes),
		    sent ? "told" : "not told, the publisher is not ready");
		if (sent)
			n->stats.sent++;
		else
			n->stats.dropped++;
		job_notice_slip_free(s);
	}
}

/* Most often the last one, if any. */
static struct job_notice_slip *
find(struct job_notice *n, const char *queue)
{
	struct job_notice_slip *s;

	TAILQ_FOREACH_REVERSE(s, &n->slips, slips, link)
	{
		if (strcmp(s->queue, queue) == 0 &&
		    json_array_size(s->outcomes) < JOB_NOTICE_OUTCOMES_MAX)
			return s;
	}
	return NULL;
}

void
job_notice_post(struct job_notice *n, struct job_notice_slip *s)
{
	struct job_notice_slip *same;

	if (s == NULL)
		return;
	same = find(n, s->queue);
	if (same != NULL) {
		json_array_extend(same->outcomes, s->outcomes);
		job_notice_slip_free(s);
		return;
	}
	TAILQ_INSERT_TAIL(&n->slips, s, link);
	loop_timer_arm(n->send, 0);
}

/* ---- what job_notice.h offers ---- */

struct job_notice *
job_notice_create(struct loop *loop, struct broker *publisher)
{
	struct job_notice *n = xcalloc(1, sizeof(*n));

	n->publisher = publisher;
	TAILQ_INIT(&n->slips);
	n->send = loop_timer_create(loop, "notice", on_send, n);
	return n;
}

void
job_notice_destroy(struct job_notice *n)
{
	if (n == NULL)
		return;
	while (!TAILQ_EMPTY(&n->slips)) {
		struct job_notice_slip *s = TAILQ_FIRST(&n->slips);

		TAILQ_REMOVE(&n->slips, s, link);
		job_notice_slip_free(s);
	}
	loop_timer_destroy(n->send);
	free(n);
}

const struct job_notice_stats *
job_notice_stats(const struct job_notice *n)
{
	return &n->stats;
}
